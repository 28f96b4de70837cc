"""What somebody met who checked hand-written layers: float32 beside small slopes, the wrong leaf, calls that miss an argument."""

from __future__ import annotations

import re

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_vjp
from derivkit.errors import DerivkitError

F32 = np.float32


def gate(x, w):
    a = x.astype(F32) @ w.astype(F32)
    return F32(np.mean(np.square(a / (1 + np.exp(-a)))))


def gate_slopes(x, w):
    x, w = x.astype(F32), w.astype(F32)
    a = x @ w
    s = 1 / (1 + np.exp(-a))
    moved = 2 * a * s * (s + a * s * (1 - s)) / F32(a.size)
    return moved @ w.T, x.T @ moved


@pytest.mark.parametrize("number", [13, 18, 23, 27, 34, 39])  # points where a few slopes are a fiftieth of the others
def test_float32_is_enough_for_a_right_gradient_with_a_few_small_slopes(number):
    rng = np.random.default_rng(number)
    x, w = rng.normal(size=(4, 3)).astype(F32), rng.normal(size=(3, 5)).astype(F32)
    assert check_gradient(gate, gate_slopes, x, w).ok
    slopes = gate_slopes(x, w)[1]
    smallest = np.unravel_index(np.argmin(np.abs(slopes)), slopes.shape)
    for factor in (1.5, -1.0):  # the smallest slope wrong: unsure perhaps, but never right

        def wrong(x, w, factor=factor):
            made = gate_slopes(x, w)
            made[1][smallest] *= F32(factor)
            return made

        assert not check_gradient(gate, wrong, x, w).ok


@pytest.mark.parametrize("number", [6, 10])
def test_a_right_leaf_is_not_blamed_where_float32_shows_no_single_one(number):
    def forgetful(x, w):  # takes the gate's slope for 1 on the way to w
        x, w = x.astype(F32), w.astype(F32)
        a = x @ w
        return gate_slopes(x, w)[0], x.T @ (2 * a / (1 + np.exp(-a)) / F32(a.size))

    rng = np.random.default_rng(number)
    x, w = rng.normal(size=(4, 3)).astype(F32), rng.normal(size=(3, 5)).astype(F32)
    for seed in range(6):
        report = check_gradient(gate, forgetful, x, w, seed=seed)
        assert report.blame == (1,), (seed, str(report))
        assert all(abs(e.yours - e.measured) > e.error_bar for e in report.entries)


def test_the_leaf_that_shows_the_cause_comes_first():
    x, v = np.array([0.5, -1.25, 2.0, 0.75]), np.array([1.5, 0.25, -0.5, 2.0])
    report = check_gradient(lambda x, v: np.sum(np.sin(x) * v**3), lambda x, v: (x**7 + v, -3 * np.sin(x) * v**2), x, v)
    assert (report.diagnosis, report.blame) == ("sign", (0, 1)), str(report)
    assert "v's gradient has the opposite sign" in str(report)
    assert "x: dense" in str(report)


def cast(array):
    return array.astype(F32).astype(float)


def right_for_the_first():
    seen = []

    def vjp(y_bar, x):
        seen.append(y_bar.copy())
        return y_bar * np.cos(x) + 1e-7 * (y_bar - seen[0])

    return vjp


X45 = np.random.default_rng(0).normal(size=(4, 5))


@pytest.mark.parametrize(
    ("vjp", "code"),
    [
        (lambda y_bar, x: cast(y_bar * np.cos(x)), "precision"),
        (lambda y_bar, x: cast(2 * y_bar * np.cos(x)), "scale:2"),
        (right_for_the_first(), "cotangent"),
        (lambda y_bar, x: y_bar * np.cos(x) + 1e-3, "cotangent"),
    ],
)
def test_a_cast_inside_a_pullback_is_no_crooked_pullback(vjp, code):
    assert check_vjp(np.sin, vjp, X45).diagnosis == code


def test_rounded_slopes_are_not_in_another_order():
    report = check_gradient(lambda x: np.sum(np.sin(x)), lambda x: cast(np.cos(x)), X45)
    assert report.diagnosis == "precision", str(report)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: check_vjp(np.sin, lambda y_bar: y_bar, X45), r"vjp\(cotangent, \*args\)"),
        (lambda: check_gradient(np.sum, lambda: 1.0, X45), r"grad\(\*args\)"),
        (lambda: check_gradient(np.sum, np.ones_like, np.arange(3)), r"astype\(float\)"),
    ],
)
def test_a_call_that_cannot_work_says_which_would(call, hint):
    with pytest.raises(DerivkitError) as caught:
        call()
    assert caught.value.hint is not None
    assert re.search(hint, caught.value.hint)


def test_a_gradient_without_return_and_one_for_too_few_arguments():
    f = lambda x, y: float(np.sum(x * y))  # noqa: E731
    assert "is a return missing?" in str(check_gradient(f, lambda x, y: None, X45, X45))
    assert "1 entry for 2 arguments: give None for one that has no gradient" in str(check_gradient(f, lambda x, y: y, X45, X45))
    assert check_gradient(f, lambda x, y: (y, None), X45, X45).ok
