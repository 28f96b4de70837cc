"""Ranges: what slices, pads and windows leave of an axis survives every opening of one line in another, at small sizes too."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from test_second_order import reference

import derivkit as dk
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.parse import read_program

#: Programs of which a derivative, or the line that prints it, read an entry that the program does not have.
PROGRAMS = [
    ("x: N\nu = tanh(pad(x[1:], (1, 0))[:-1])\nE = sum(pad(u, 1)**2)", "hvp"),
    ("x: N\nu = sigmoid(pad(x[1:], (1, 0))[:-1])\nE = sum(pad(u, 1)**2)", "hvp"),
    ("x: N\nw: 2\nu = log(3 + pad(conv1d(x[::2], w), (1, 0)))\nv = concat(u, u[:1])\nE = sum(v**2)", "gradient"),
    ("x: N\nu = concat(x, x)[1:][::-1]\nv = concat(u, u[:1])\nE = sum(v**2)", "hvp"),
    ("x: N\nv = x + 0.1*sum(x)\nu = v*sum(v**2)\ny = concat(u, u[:1])\nE = sum(y**3)", "hvp"),
    ("x: N\nu = sin(x[1:])\nv = sqrt(1 + u**2)*u\nE = sum(tanh(v))", "hessian"),
]
SIZES = (1, 2, 3, 5, 8)


def wanted(text: str, kind: str, values: dict[str, Any], sizes: dict[str, int]) -> np.ndarray:
    """Return the derivative by x, by complex steps through the oracle's interpreter and their differences."""
    if kind in ("hessian", "hvp"):
        square = reference(text, values, sizes, "x", "x")
        return square if kind == "hessian" else square @ values["x_dot"]
    rows = oracle.complex_step_jacobian(text, values, sizes, "x")
    return rows @ values["x_dot"] if kind == "jvp" else rows


@pytest.mark.parametrize(("text", "kind"), PROGRAMS)
def test_no_entry_beyond_a_range_is_read(text: str, kind: str) -> None:
    d = dk.derive(text, "x", kind=kind)
    kernel = dk.compile(d)
    forms = [read_program(d.program(notation=notation)) for notation in ("index", "matrix")]
    done = 0
    for n in SIZES:
        sizes, rng = {"N": n}, np.random.default_rng(n)
        values = oracle.sample(text, sizes, rng)
        given = values | ({"x_dot": rng.normal(size=n)} if kind in ("jvp", "hvp") else {})
        if any(need.missing(sizes) for need in d.graph.needs) or any(s.evaluate(sizes) < 1 for g in d.graph for s in g.shape):
            continue  # a slice is empty at this size
        made = d.evaluate(given, sizes=sizes)
        truth, done = wanted(text, kind, given, sizes), done + 1
        np.testing.assert_allclose(made, truth, atol=2e-7, rtol=0, err_msg=f"{kind} at N = {n}")
        np.testing.assert_allclose(kernel(given)[1]["x"], made, atol=1e-12, rtol=1e-12)
        for form in forms:
            env = evaluate_graph(form, {str(name): given[str(name)] for name in form.inputs}, sizes)
            np.testing.assert_allclose(env[form.output], made, atol=1e-12, rtol=1e-12, err_msg=f"{kind} at N = {n}")
    assert done > 2
