"""What a gradient must keep before it is measured, in the orders and at the points where it is asked again."""

from __future__ import annotations

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_jvp, check_vjp
from derivkit.errors import DerivkitError

RNG = np.random.default_rng(4)
X6, X34 = RNG.normal(size=6), RNG.normal(size=(3, 4))


def smooth(x):
    return float(np.sum(np.sin(x)))


def _strict_order(x):
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        raise ValueError("C order only")
    return np.cos(x)


def _other_shape(x):
    return np.cos(x) if x.flags.c_contiguous else np.cos(x).ravel()


def _writes_in_fortran_order(x):
    if not x.flags.c_contiguous:
        x[0, 0] += 1
        return np.cos(x)
    return np.cos(x)


@pytest.mark.parametrize(
    ("grad", "code"), [(_strict_order, "layout"), (_other_shape, "layout"), (_writes_in_fortran_order, "mutates-input")]
)
def test_a_gradient_that_minds_the_memory_order_is_told_so(grad, code):
    assert check_gradient(smooth, grad, X34).diagnosis == code


def test_a_pullback_that_changes_its_shape_with_the_cotangent_is_wrong():
    report = check_vjp(np.sin, lambda y, x: y * np.cos(x) if np.sum(y * SIGNS) > 0 else np.zeros(2), X6)
    assert not report.ok
    assert report.diagnosis in ("shape", "cotangent")


#: The cotangent that seed 0 draws has these signs.
SIGNS = np.random.default_rng(0).choice([-1.0, 1.0], 6)


def test_pushforwards_repeat_and_are_linear():
    stream = np.random.default_rng(1)
    assert check_jvp(np.sin, lambda v, x: v * np.cos(x), X6).ok
    assert check_jvp(np.sin, lambda v, x: v * np.cos(x) + stream.normal(size=6), X6).diagnosis == "nondeterministic"
    assert not check_jvp(np.sin, lambda v, x: v**2 * np.cos(x), X6).ok
    assert not check_jvp(np.sin, lambda v, x: np.zeros(3), X6).ok
    noisy = lambda x: np.sin(x) + stream.normal(size=6)  # noqa: E731
    assert check_jvp(noisy, lambda v, x: v * np.cos(x), X6).diagnosis == "nondeterministic"


def test_a_large_pushforward_is_judged_along_directions():
    x = RNG.normal(size=400)
    assert check_jvp(np.sin, lambda v, x: v * np.cos(x), x).ok
    assert check_jvp(np.sin, lambda v, x: 2 * v * np.cos(x), x).diagnosis is not None


def test_a_layer_whose_gradient_fails_elsewhere_is_judged_here():
    def only_here(x):
        if not np.array_equal(x, X6):
            raise RuntimeError("nothing cached for this point")
        return np.cos(X6)

    assert check_gradient(smooth, only_here, X6).ok
    assert check_gradient(smooth, lambda x: 2 * only_here(x), X6).diagnosis == "scale:2"


@pytest.mark.parametrize("claim", [lambda x: None, lambda x: {"x": 1.0}, lambda x: "none", lambda x: [[1.0], [1.0, 2.0]]])
def test_what_is_no_gradient_never_passes(claim):
    try:
        ok = check_gradient(smooth, claim, X6).ok
    except DerivkitError:
        ok = False
    assert not ok


def test_a_gradient_of_float32_that_is_right_in_float64_only_is_not_passed():
    def grad(x):
        return np.cos(x) * (x.dtype.type(1.2) if x.dtype == np.float32 else 1)

    assert not check_gradient(lambda x: np.sum(np.sin(x)), grad, X6.astype(np.float32)).ok


def _kept():
    buffer = np.zeros_like(X34)

    def pushed(x_dot, x):
        buffer[...] = x_dot * np.cos(x)
        return buffer

    return pushed


#: name: a pushforward of the sine that breaks its contract, the cause
PUSHED = {
    "square": (lambda x_dot, x: x_dot**2 * np.cos(x), "cotangent"),
    "absolute": (lambda x_dot, x: np.abs(x_dot) * np.cos(x), "cotangent"),
    "ignored": (lambda x_dot, x: np.cos(x), "cotangent"),
    "largest": (lambda x_dot, x: np.cos(x) * x_dot * np.abs(x_dot) / np.max(np.abs(x_dot)), "cotangent"),
    "writes into the tangent": (lambda x_dot, x: np.multiply(x_dot, np.cos(x), out=x_dot), "mutates-input"),
    "writes into the argument": (lambda x_dot, x: np.multiply(x_dot, np.cos(x), out=x), "mutates-input"),
    "one buffer": (_kept(), "aliasing"),
    "not finite": (lambda x_dot, x: x_dot * np.cos(x) / np.where(x > 0, 1.0, 0.0), "non-finite"),
    "memory order": (lambda x_dot, x: (x_dot.ravel(order="K") * np.cos(x).ravel()).reshape(x.shape), "layout"),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(("pushed", "code"), PUSHED.values(), ids=PUSHED)
def test_a_pushforward_keeps_its_contract(pushed, code):
    report = check_jvp(np.sin, pushed, X34.copy())
    assert report.diagnosis == code, str(report)
    assert check_jvp(np.sin, lambda x_dot, x: x_dot * np.cos(x), X34).ok
