"""Axes of literal size 1: they have no index, and yet a position beyond them is 0 and they are stretched as NumPy's are."""

from __future__ import annotations

import numpy as np
import pytest

import derivkit as dk

#: Program, name, inputs, and the gradient there.
CASES = [
    ("x: N, 1\ny[i,j] = x[i,j-1]*x[i,j]\nE = sum(y)", "x", {"x": [[3], [5]]}, [[0], [0]]),
    ("x: N, 1\ny[i,j] = x[i,j+1] + x[i,j]\nE = sum(y**2)", "x", {"x": [[3], [5]]}, [[6], [10]]),
    ("x: N, 1\ny[i,j] = exp(x)[i,j-1] + x[i,j]\nE = sum(y)", "x", {"x": [[3]]}, [[1]]),
    ("x: 1\ny[i] = x[i+1]*x[i]\nE = sum(y)", "x", {"x": [3]}, [0]),
    ("x: 1\nE = x[-1]*x[0]", "x", {"x": [3]}, [6]),
    ("x: N\ny: 1\nu[j] = x[j-1]*y[j] + y[j]\nE = sum(u**2)", "y", {"x": [3, 4], "y": [2]}, [4]),
    ("x: N\ny: 1\nu[j] = x[j+1]*y[j]\nE = sum(u**2)", "x", {"x": [3], "y": [2]}, [0]),
    ("x: N\ny: 1\nu[j] = x[j+1]*y[j]\nE = sum(u**2)", "x", {"x": [3, 4], "y": [2]}, [0, 32]),
    ("x: N\ny: 1\nu[j] = x[N-1+j]*y[j] + x[N+j]\nE = sum(u**2)", "x", {"x": [3, 4], "y": [2]}, [0, 32]),
    (
        "y: M, M\nx: K, M, M\nv = conv1d(y, x)\nu[i,j] = v[i+1,j-1]*v[i,j]\nE = sum(u)",
        "y",
        {"y": np.ones((2, 2)), "x": np.ones((3, 2, 2))},
        np.zeros((2, 2)),
    ),
]


@pytest.mark.parametrize(("program", "name", "inputs", "right"), CASES, ids=[c[0].replace("\n", "; ") for c in CASES])
def test_a_position_beyond_an_axis_of_one_reads_zero(program, name, inputs, right):
    given = {k: np.array(v, float) for k, v in inputs.items()}
    d = dk.derive(program, name)
    assert d.checked.startswith("checked")
    np.testing.assert_allclose(d.evaluate(**given), right)
    np.testing.assert_allclose(dk.compile(program, name)(**given)[1][name], right)


def test_a_written_position_beyond_an_axis_of_one_is_refused():
    with pytest.raises(dk.DerivkitError, match="position 1 of an axis of size 1"):
        dk.derive("x: 1\nE = x[1]", "x")


FOUND_OUT = [
    ("x: 1, M\nv[j,i] = x[i,j]\nu = eye(M) + v\nE = sum(u**2)", {"x": [[1, 2, 3]]}, [[8, 14, 20]]),
    ("x: 1, M\ny: N, M\nv[i,j] = 2*x[i,j]\nE = sum((v + y)**2)", {"x": [[1, 2]], "y": [[0, 1], [1, 0]]}, [[20, 36]]),
]


@pytest.mark.parametrize(("program", "inputs", "right"), FOUND_OUT, ids=[c[0].replace("\n", "; ") for c in FOUND_OUT])
def test_an_axis_that_turns_out_to_be_one_is_stretched(program, inputs, right):
    given = {k: np.array(v, float) for k, v in inputs.items()}
    np.testing.assert_allclose(dk.derive(program, "x").evaluate(**given), right)


@pytest.mark.parametrize("line", ["y = eye(2*N)[4*N,0]*x", "y[i] = eye(N)[N,i]*x[i]", "y = x[N+1]"])
def test_a_written_position_that_is_on_no_axis_is_refused(line):
    with pytest.raises(dk.DerivkitError, match=r"position .* of an axis of size"):
        dk.derive(f"x: N\n{line}", "x")


PAST_THE_END = [
    ("t: M\nx: 1\nv = concat(t, x)\nu[i] = v[i+1]*v[i]", "x", "vjp"),
    ("t: M\nx: 1\nv = concat(t, x)\nE = sum(v**3)", "t, x", "hessian"),
]


@pytest.mark.parametrize(("program", "names", "kind"), PAST_THE_END)
def test_a_derivative_reads_no_position_past_an_end(program, names, kind):
    text = dk.derive(program, names, kind=kind).program(notation="index")
    assert dk.derive(text, "x", kind="jacobian" if kind == "vjp" else None).checked.startswith("checked")
