"""Choices are strongly zero: where a branch is not taken, its derivative counts nothing, even if it has no value there."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import derivkit as dk
from derivkit.symbolic.normal import mul

#: Program in x, where to look, the gradient there, and its form.
CASES = [
    ("where(x > 0, sqrt(x), 0)", [-1, 4], [0, 0.25], "where(x > 0, 1 / (2 * sqrt(x)), 0)"),
    ("where(x <= 0, 0, sqrt(x))", [-1, 4], [0, 0.25], "where(x <= 0, 0, 1 / (2 * sqrt(x)))"),
    ("where(x > 0, x*log(x), 0)", [0, 1, -1], [0, 1, 0], "where(x > 0, log(x) + 1, 0)"),
    ("where(x == 0, 1, sin(x)/x)", [0, 1], [0, np.cos(1) - np.sin(1)], "where(x == 0, 0, (cos(x) - sin(x) / x) / x)"),
    ("where(x < 0, exp(x), 0)", [1000, -1], [0, np.exp(-1)], "where(x < 0, exp(x), 0)"),
    ("where(x > 0, x, exp(x) - 1)", [1000, -1], [1, np.exp(-1)], "where(x > 0, 1, exp(x))"),
    ("maximum(log(x), 0)", [0, 2], [0, 0.5], "where(log(x) >= 0, 1 / x, 0)"),
    ("minimum(1/x, 3)", [0, 2], [0, -0.25], "where(1 / x <= 3, -1 / x**2, 0)"),
    ("relu(log(x))", [0, 2], [0, 0.5], "where(log(x) > 0, 1 / x, 0)"),
    ("clip(log(x), -1, 1)", [0, 2, 10], [0, 0.5, 0], "where(log(x) <= 1, where(log(x) >= -1, 1 / x, 0), 0)"),
    ("where(x > 0, x, -x)", [-1, 4], [-1, 1], "where(x > 0, 1, -1)"),
    ("relu(x)", [-1, 4], [0, 1], "step(x)"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("body", "at", "right", "form"), CASES, ids=[c[0] for c in CASES])
def test_a_branch_that_is_not_taken_counts_nothing(body, at, right, form):
    program, x = f"x: N\nE = sum({body})", np.array(at, float)
    d = dk.derive(program, "x")
    assert d.result.program() == form
    assert d.checked.startswith("checked")
    np.testing.assert_allclose(d.evaluate(x=x), right, rtol=1e-12)
    kernel = dk.compile(program, "x")
    np.testing.assert_allclose(kernel(x=x)[1]["x"], right, rtol=1e-12)
    step = kernel.bind(x=x)
    step()
    np.testing.assert_allclose(step.grads["x"], right, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("line", ["u = sqrt(x)\nE = sum(where(x > 0, u, 0))", "r = x*x\nu = 1/r\nE = sum(where(r > 0, u, 0))"])
def test_a_guarded_line_is_guarded(line):
    x = np.array([0.0, 4.0])
    d = dk.derive(f"x: N\n{line}", "x")
    assert np.all(np.isfinite(d.evaluate(x=x)))
    assert np.all(np.isfinite(dk.compile(f"x: N\n{line}", "x")(x=x)[1]["x"]))


def test_a_second_derivative_is_guarded():
    d = dk.derive("x: N\nE = sum(where(x > 0, sqrt(x), 0))", "x", kind="hessian")
    np.testing.assert_allclose(d.evaluate(x=np.array([-1.0, 4.0])), np.diag([0, -1 / 32]))


def test_the_check_stands_where_a_guard_is_off(monkeypatch):
    monkeypatch.setattr(sys.modules["derivkit.symbolic.derive.differentiate"], "chosen", lambda slope, inner: mul((slope, inner)))
    for body in ("where(x == 0, 1, sin(x)/x)", "where(x > 0, x*log(x), 0)", "where(x > 0, sqrt(x), 0)"):
        with pytest.raises(dk.DerivationError):
            dk.derive(f"x: N\nE = sum({body})", "x")


MASKED = [
    "E = sum(softmax(where(m > 0, z, -inf))**2)",
    "E = sum(logsumexp(where(m > 0, z, -inf), axis=1)**2)",
    "E = sum(max(where(m > 0, z, -inf), axis=1)**2)",
]


@pytest.mark.parametrize("line", MASKED)
def test_what_is_masked_by_infinity_is_checked(line):
    assert dk.derive(f"z: N, M\nm: mask N, M\n{line}", "z").checked.startswith("checked")


HAND_WRITTEN = [
    "h = where(a > 0, a, exp(a) - 1)\nE = sum((W2 @ h - t)**2)",
    "h = where(a > 0, sqrt(a), 0)\nE = sum((W2 @ h - t)**2) + sum(h**2)",
    "h = where(a > 0, a**2, 3*a)\nE = sum((W2 @ h - t)**2) + sum(h)",
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("lines", HAND_WRITTEN)
def test_a_hand_written_activation_is_averaged_over_a_batch(lines):
    program = f"x: D\nW1: M, D\nW2: K, M\nt: K\na = W1 @ x\n{lines}"
    rng = np.random.default_rng(5)
    given = {word: rng.normal(size=shape) for word, shape in {"x": (5, 3), "t": (5, 2), "W1": (4, 3), "W2": (2, 4)}.items()}
    mean, total = (dk.compile(program, "W1", batch=("x", "t"), reduce=how)(**given) for how in ("mean", "sum"))
    np.testing.assert_allclose(5 * mean[1]["W1"], total[1]["W1"], rtol=1e-12)
    np.testing.assert_allclose(5 * mean[0], total[0], rtol=1e-12)
