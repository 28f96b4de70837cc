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
