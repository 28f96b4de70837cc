"""Arguments that mean nothing: each is refused in the words of the argument, with a code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import derivkit as dk

PROGRAM = "x: N\nE = sum(x**2)"
LABEL = "k: label K\nE: K\ny = sum(E[k]**2)"
MEANINGLESS: list[tuple[Callable[[dk.Derivation], object], str]] = [
    (lambda d: dk.cost(5), "a program is text or a program function, not int"),  # type: ignore[arg-type]
    (lambda d: d.text(labels="x=a"), "labels= is a mapping"),
    (lambda d: d.text(labels={"x": 5}), "the label of 'x' is text, not 5"),
    (lambda d: d.sympy(indices=5), "indices= has one index for each axis"),
    (lambda d: dk.derive(PROGRAM, "x", kind="hvp", along=5), "along= is a name or several, not 5"),  # type: ignore[arg-type]
    (lambda d: dk.derive(PROGRAM, "x", kind="hvp", along="N"), "the direction 'N' is a size"),
    (lambda d: dk.derive(PROGRAM, "x", kind="jvp", along="sum"), "the direction 'sum' is a function"),
    (lambda d: dk.derive(PROGRAM, "x", kind="hvp", along="lambda"), "along='lambda' is no name"),
    (lambda d: dk.derive(LABEL, "E").evaluate(k=True, E=np.ones(2)), "labels are integers, not bool"),
    (lambda d: dk.compile(LABEL, "E")(k=True, E=np.ones(2)), "labels are integers, not bool"),
    (lambda d: dk.derive("x: 2\nw: 2\nE = sum(conv1d(x, w, dilation=2))", "x"), "which spans 3 with a dilation of 2"),
]


@pytest.mark.parametrize(("call", "said"), MEANINGLESS, ids=[said for _, said in MEANINGLESS])
def test_what_means_nothing_is_refused(call, said):
    with pytest.raises(dk.DerivkitError) as refused:
        call(dk.derive(PROGRAM, "x"))
    assert said in str(refused.value)
    assert refused.value.code


def test_an_axis_of_one_is_read_at_its_position():
    assert "at [0, k, 0, j]" in dk.derive("x: 1, M\ny = x**2", "x", layout="denominator").text()
