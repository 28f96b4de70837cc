"""Where floats end, and where a claim can hardly be told from a wrong one: no warning of ours, no crash, no false verdict."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_jvp, check_vjp

X4 = np.array([0.3, 0.7, 1.1, 0.2])
FAR = np.array([100.0, 0.0, -50.0])


def log_sum(x):
    return float(np.sum(np.log(x)))


@pytest.mark.parametrize("factor", [1.0, 1.001, 2.0, -1.0, 0.0])
@pytest.mark.parametrize("x", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("shape", [(1,), (3,), (12, 15)])
def test_at_extreme_points_nothing_warns_and_the_verdict_stands(x, shape, factor):
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        assert check_gradient(log_sum, lambda x: factor / x, np.full(shape, x)).ok == (factor == 1)


def test_a_warning_of_the_callers_own_is_no_fault_even_where_warnings_are_errors():
    def f(x):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return float(np.sum(np.where(x > 0, np.log(1 + np.exp(-x)), -x)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.array([-800.0, -900.0])
        assert check_gradient(f, lambda x: np.where(x > 0, -1 / (1 + np.exp(x)), -1.0), x).ok


@pytest.mark.parametrize("seed", range(4))
def test_a_fast_sine_is_measured_well_enough_to_see_a_fault_of_1e_5(seed):
    def f(x):
        return float(np.sum(np.sin(1e6 * x)))

    assert check_gradient(f, lambda x: 1e6 * np.cos(1e6 * x), X4, seed=seed).ok
    report = check_gradient(f, lambda x: 1.00001e6 * np.cos(1e6 * x), X4, seed=seed)
    assert not report.ok
    assert report.diagnosis != "scale:1"


@pytest.mark.parametrize("power", [7, 8])
@pytest.mark.parametrize("seed", range(6))
def test_a_faster_sine_has_no_kink(power, seed):
    w = 10.0**power
    report = check_gradient(lambda x: float(np.sum(np.sin(w * x))), lambda x: w * np.cos(w * x), X4[:3], seed=seed)
    assert report.diagnosis in (None, "undecided"), str(report)


@pytest.mark.parametrize("factor", [1.0001, 1.00001, 0.99999])
def test_a_factor_is_told_to_seven_digits(factor):
    for x in (X4, np.array([1.0]), np.array([0.0])):
        report = check_gradient(lambda x: float(np.sum(np.sin(x))), lambda x: factor * np.cos(x), x)
        assert report.diagnosis == f"scale:{factor:.7g}"


def test_log_softmax_far_apart_is_right():
    def log_softmax(z):
        z = z - z.max()
        return z - np.log(np.sum(np.exp(z)))

    def softmax(z):
        e = np.exp(z - z.max())
        return e / e.sum()

    for k, unit in enumerate(np.eye(3)):
        assert check_gradient(lambda z, k=k: float(log_softmax(z)[k]), lambda z, u=unit: u - softmax(z), FAR).ok
    assert check_vjp(log_softmax, lambda y, z: y - y.sum() * softmax(z), FAR).ok


def test_a_pushforward_of_arguments_in_far_units_is_right():
    x = np.array([1e-300, 1.0, 1e300])
    assert check_jvp(np.log, lambda t, x: t / x, x).ok
    assert not check_jvp(np.log, lambda t, x: 2 * t / x, x).ok


def test_what_a_right_verdict_cannot_see_is_said():
    report = check_gradient(lambda x: 1e11 + float(np.sum(x**2)), lambda x: 2 * x, X4)
    assert report.undecided or "too coarse here to show a fault smaller than" in str(report)
    assert "too coarse" not in str(check_gradient(lambda x: float(np.sum(x**2)), lambda x: 2 * x, X4))


def test_the_fault_of_a_leaf_beside_a_fast_sine_is_that_leaf_s():
    def f(x, y):
        return float(np.sum(np.sin(3000 * x)) + np.sum(y**2))

    report = check_gradient(f, lambda x, y: (3000 * np.cos(3000 * x), 4 * y), X4, X4)
    assert (report.diagnosis, report.blame) == ("scale:2", (1,))


def test_an_entry_whose_square_leaves_the_floats_is_the_worst():
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        report = check_gradient(lambda x: float(np.sum(x**2)), lambda x: np.append(1e200, 2 * x[1:]), X4)
    assert not report.ok
    assert report.entries[0].index == (0,)
