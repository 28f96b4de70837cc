"""The Python doors: one spelling of names, nothing taken silently, the same meaning in text, evaluation and kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError

SQUARE = "x: N\nE = sum(x**2)"
GREEK = "δ:\nx: N\nE = δ*sum(x**2)"
POINT = {"x": np.array([1.0, 2.0])}

# -- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrt", ["δ", "delta"])
@pytest.mark.parametrize("given", ["δ", "delta"])
@pytest.mark.parametrize("text", [GREEK, GREEK.replace("δ", "delta")])
def test_greek_letters_and_their_names_are_one(text: str, given: str, wrt: str) -> None:
    values = {given: 3.0, **POINT}
    assert dk.derive(text, wrt).evaluate(values) == 5
    assert dk.derive(text, wrt).evaluate(**values) == 5
    assert dk.derive("E = δ*sum(x**2)", wrt, shapes={given: "", "x": "N"}).evaluate(values) == 5
    value, grads = dk.compile(text, wrt)(values)
    assert (value, grads["delta"]) == (15, 5)
    batched = dk.compile(text, wrt, batch=given)
    assert batched({given: np.array([3.0, 4.0]), **POINT})[0] == 17.5
    history = dk.fit(dk.compile(text, wrt), data=POINT, params={given: 1.0}, epochs=1, lr=0.1)
    assert history.params["delta"] == pytest.approx(0.5)


# -- nothing is taken silently --------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[], object], str, str]] = {
    "a size of no axis": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"Q": 4}), "DK008", "no size 'Q'"),
    "a size below 1": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"N": 0}), "DK020", "whole number from 1"),
    "half a size": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"N": 2.5}), "DK020", "whole number"),  # type: ignore[dict-item]
    "a size that is True": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"N": True}), "DK020", "whole number"),
    "sizes that are a list": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes=["N"]), "DK010", "mapping"),  # type: ignore[arg-type]
    "complex numbers": (lambda: dk.derive(SQUARE, "x").evaluate(x=[1j, 2]), "DK040", "complex128, not real"),
    "complex numbers for a kernel": (lambda: dk.compile(SQUARE, "x")(x=[1j, 2]), "DK040", "complex128, not real"),
    "arrays without names": (lambda: dk.derive(SQUARE, "x").evaluate(np.ones(3)), "DK010", "by name"),  # type: ignore[arg-type]
    "arrays without names for a kernel": (lambda: dk.compile(SQUARE, "x")(np.ones(3)), "DK010", "by name"),  # type: ignore[arg-type]
    "a name twice": (lambda: dk.derive(GREEK, "x").evaluate({"δ": 1, "delta": 2, **POINT}), "DK010", "given twice"),
    "an unknown name": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, y=2), "DK008", "'y' is no input"),
    "a check that is a word": (lambda: dk.derive(SQUARE, "x", check="no"), "DK010", "check= is True or False"),  # type: ignore[arg-type]
    "a direction": (lambda: dk.derive(SQUARE, "x", along="v"), "DK031", "along="),
    "zero over zero": (lambda: dk.derive("x: N\nE = sum(x)*0/0", "x"), "DK005", "division by zero"),
    "a sum over zero": (lambda: dk.derive("x: N\nE = sum(x)/0", "x"), "DK005", "division by zero"),
    "a zero by arithmetic": (lambda: dk.derive("x: N\nE = sum(x)/(1 - 1)", "x"), "DK005", "division by zero"),
    "a root of zero below": (lambda: dk.derive("x: N\nE = sum(x)*0**-0.5", "x"), "DK005", "division by zero"),
}


@pytest.mark.parametrize("call", WRONG)
def test_what_means_nothing_is_refused(call: str) -> None:
    run, code, said = WRONG[call]
    with pytest.raises(DerivkitError, match=said) as caught:
        run()
    assert caught.value.code == code


def test_a_division_by_zero_has_its_place() -> None:
    with pytest.raises(DerivkitError) as caught:
        dk.derive("x: N\nE = sum(x)*0/0", "x")
    assert (caught.value.line, caught.value.column) == (2, 14)
