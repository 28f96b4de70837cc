"""The difference tools: the error bar holds, and is small where it can be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from derivkit.checking.line import Line
from derivkit.checking.residual import measure
from derivkit.numeric.finite_difference import (
    complex_step,
    derivative,
    jacobian,
    ladder,
    neville,
    scales,
)

SMOOTH = [
    ("exp", np.exp, np.exp, 0.7),
    ("sin", np.sin, np.cos, 2.0),
    ("fast sine", lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x), 1.3),
    ("tiny", lambda x: 1e-12 * np.tanh(x), lambda x: 1e-12 / np.cosh(x) ** 2, 0.4),
    ("reciprocal", lambda x: 1 / x, lambda x: -1 / x**2, 1e-3),
]


@pytest.mark.parametrize(("name", "f", "slope", "x"), SMOOTH, ids=[row[0] for row in SMOOTH])
def test_the_bar_covers_the_error_and_is_small(name, f, slope, x):
    value, bar = derivative(f, np.array(x), np.array(abs(x)))
    true = slope(x) * abs(x)
    assert abs(value - true) <= bar
    assert bar <= 1e-6 * abs(true)


def test_neville_is_exact_on_its_own_series():
    steps = ladder(0.3, 0.01)[:3]
    values = np.array([[5 + 2 * t**2 - 3 * t**4, -1 + t**4] for t in steps])
    value, weights = neville(steps, values)
    np.testing.assert_allclose(value, [5, -1], rtol=1e-13)
    assert math.isclose(weights.sum(), 1.0, rel_tol=1e-13)


def test_the_jacobian_has_the_documented_shape():
    a = np.arange(6.0).reshape(2, 3) + 1
    value, bars = jacobian(lambda x: a @ x, np.array([1.0, 0.0, -2.0]))
    assert value.shape == bars.shape == (2, 3)
    np.testing.assert_allclose(value, a, rtol=1e-9)
    value, _ = jacobian(lambda x: float(np.sum(x**3)), a)
    np.testing.assert_allclose(value, 3 * a**2, rtol=1e-8)


def test_complex_step_agrees_where_f_is_analytic():
    x, u = np.array([0.2, 0.5]), np.array([1.0, -2.0])
    np.testing.assert_allclose(complex_step(np.sin, x, u), np.cos(x) * u, rtol=1e-14)


def test_scales_of_zeros_are_one():
    assert scales(np.zeros(3)).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("claim", "verdict"), [(math.cos(1.0), "ok"), (math.cos(1.0) * (1 + 1e-6), "wrong"), (0.0, "wrong"), (-1.0, "wrong")]
)
def test_residual_verdicts(claim, verdict):
    line = Line(
        value=lambda p: float(np.sin(p[0])),
        predict=lambda m: claim * float(m[0]),
        point=(np.array(1.0),),
        direction=(np.array(1.0),),
        base=math.sin(1.0),
        unit=2.3e-16,
    )
    assert measure(line, abs(claim), 1e-9 * abs(claim)).verdict == verdict
