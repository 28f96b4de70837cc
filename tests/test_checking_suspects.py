"""The table of suspects: each row names the bug that is planted for it, and no other row does; guests cannot fool the check."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import count

import numpy as np
import pytest
import sympy

from derivkit.checking.check import assert_gradient, check_gradient, check_jacobian, check_jvp, check_vjp
from derivkit.checking.diagnose import SUSPECTS
from derivkit.checking.factors import LOCAL
from derivkit.errors import DerivkitError

RNG = np.random.default_rng(6)
X6, Y6 = RNG.normal(size=6) + np.array([0, 3, 0, -3, 0, 0]), RNG.uniform(0.5, 2, 6)
X45, Y45, X55 = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5)), RNG.normal(size=(5, 5))
C6 = np.array([1.0, -2.0, 0.5, 3.0, -0.7, 1.3])
KEEP = np.resize([True, True, False, True, False, True, True], (4, 5))


def smooth(x):
    return float(np.sum(np.sin(x) + x**3))


def slope(x):
    return np.cos(x) + 3 * x**2


def put(g, index, value):
    g = g.copy()
    g[index] = value
    return g


def deviation(x):
    return (x - x.mean(0)) / x.std(0)


def coupled(w):
    return float(np.sum(w[1:] * w[:-1]))


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


#: The words of a row's sentence: what is checked, f, the wrong gradient, the arguments.
PLANTED = {
    "is zero, the true one is not": (check_gradient, smooth, lambda x: 0 * x, X6),
    "opposite sign": (check_gradient, smooth, lambda x: -slope(x), X6),
    "is a factor": (check_gradient, smooth, lambda x: 3 * slope(x), X6),
    "belongs to another argument": (
        check_gradient,
        lambda x, y: float(np.sum(np.sin(x) * y)),
        lambda x, y: (np.sin(x), np.cos(x) * y),
        X6,
        Y6,
    ),
    "right but transposed": (check_gradient, smooth, lambda x: slope(x).T.copy(), X55),
    "right entries in the wrong order": (check_gradient, smooth, lambda x: np.roll(slope(x), 2), X6),
    "shifted to the wrong side": (check_gradient, coupled, lambda w: np.r_[w[1:], 0] + np.r_[w[:-1], 0], X6),
    "is the diagonal of the true one": (check_jacobian, softmax, lambda z: np.diag(softmax(z) * (1 - softmax(z))), X6),
    "together with its mirror image": (
        check_gradient,
        smooth,
        lambda x: slope(x) + slope(x).T - np.diag(np.diagonal(slope(x))),
        X55,
    ),
    "over the wrong axis": (check_gradient, smooth, lambda x: np.tile(slope(x).sum(0), (4, 1)), X45),
    "true total in the wrong entries": (
        check_gradient,
        lambda b: float(np.sum(np.sin(X55 + b) * Y45[:1].T[:5] * X55)),
        lambda b: (np.cos(X55 + b) * Y45[:1].T[:5] * X55).sum(1),
        np.linspace(0.3, 1.7, 5) ** 2,
    ),
    "a mask, clip or threshold": (check_gradient, lambda x: float(np.sum(np.sin(x) * KEEP)), np.cos, X45),
    "right but for one block": (check_gradient, smooth, lambda x: put(slope(x), 2, 0.7), X45),
    "right but for a few entries": (check_gradient, smooth, lambda x: put(slope(x), (2, 3), 0.7), X45),
    "the slope of a penalty": (check_gradient, lambda x: smooth(x) + 0.3 * float(np.sum(x**2)), slope, X6),
    "should be zero": (check_gradient, lambda x, y: smooth(y), lambda x, y: (np.exp(x), slope(y)), X6, Y6),
    "one path of the chain rule": (check_gradient, lambda x: smooth(x) + 2 * float(np.sum(x)), slope, X6),
    "a mean, deviation or norm along": (
        check_gradient,
        lambda x: float(np.sum(Y45 * deviation(x))),
        lambda x: Y45 / x.std(0),
        X45,
    ),
    "lacks a local factor": (check_gradient, lambda x: float(C6 @ np.tanh(x)), lambda x: C6, X6),
    "is zero where the true one is not": (check_gradient, smooth, lambda x: slope(x) * (np.indices(x.shape).sum(0) % 2), X45),
    "only to low precision": (check_gradient, smooth, lambda x: slope(x.astype(np.float32)).astype(float), X45),
    "in no recognised way": (check_gradient, smooth, lambda x: np.exp(np.sin(5 * x)) - 0.3, X45),
}


def test_every_row_has_its_planted_bug():
    for suspect in SUSPECTS:
        assert [words for words in PLANTED if words in suspect.sentence], suspect.sentence
    assert len(PLANTED) == len(SUSPECTS)


@pytest.mark.parametrize("words", PLANTED)
def test_a_row_and_no_other_names_its_planted_bug(words):
    check, f, wrong, *args = PLANTED[words]
    report = check(f, wrong, *args)
    assert not report.ok
    assert not report.undecided
    assert [other for other in PLANTED if other in report.summary] == [words], str(report)
    (code,) = {suspect.code for suspect in SUSPECTS if words in suspect.sentence}
    assert report.diagnosis.partition(":")[0] == code


def _formula(name):
    """Read the name of a local factor as SymPy does: ``f'(u)`` is the derivative of f at u."""
    known = {"sigmoid": lambda u: 1 / (1 + sympy.exp(-u))}
    text = re.sub(r"([x)]) \(", r"\1*(", name.replace("²", "**2"))
    if derivative := re.fullmatch(r"(\w+)'\((.*)\)", text):
        inner, t = sympy.sympify(derivative[2], known), sympy.Symbol("t")
        return sympy.diff(sympy.sympify(f"{derivative[1]}(t)", known), t).subs(t, inner)
    return sympy.sympify(text, known)


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_factor_is_what_its_name_says(name):
    points = np.array([0.1, 0.35, 0.6, 0.95])
    assert LOCAL[name](points) == pytest.approx([float(_formula(name).subs("x", p)) for p in points], rel=1e-12)


class Sly(np.ndarray):
    """An array that says it equals everything."""

    def __eq__(self, other):
        return np.ones(self.shape, dtype=bool)

    def __ne__(self, other):
        return np.zeros(self.shape, dtype=bool)

    __hash__ = None


class Liar:
    """Something that is an array of one shape and says that it has another."""

    def __init__(self, array, shape):
        self.array, self.shape, self.ndim = array, shape, len(shape)

    def __array__(self, dtype=None, copy=None):
        return self.array


def _mutating(x):
    x *= 2
    return smooth(x)


CALLS = count()
#: Guests that try to pass with a gradient that is wrong.
SLY = {
    "equal to everything": (smooth, lambda x: (2 * slope(x)).view(Sly), X6),
    "arguments equal to everything": (smooth, lambda x: 2 * np.asarray(slope(x)), X6.view(Sly)),
    "masked where it is wrong": (smooth, lambda x: np.ma.masked_array(put(slope(x), 2, 99.0), np.arange(6) == 2), X6),
    "broadcast": (lambda x: float(np.sum(x)) * 2, lambda x: np.broadcast_to(3.0, x.shape), X6),
    "a scalar for all": (lambda x: float(np.sum(x)) * 2, lambda x: 2.0, X6),
    "lies about its shape": (smooth, lambda x: Liar(np.ones((3, 2)), (6,)), X6),
    "f mutates": (_mutating, lambda x: 2 * slope(2 * x), X6),
    "gradient mutates": (smooth, lambda x: slope(np.subtract(x, 0, out=np.add(x, 1, out=x))), X6),
    "f counts its calls": (lambda x: smooth(x) + next(CALLS), slope, X6),
    "constant f for another's gradient": (lambda x: 1.0, slope, X6),
    "object array": (smooth, lambda x: slope(x).astype(object), X6),
    "longer than the argument": (smooth, lambda x: np.r_[slope(x), 0.0], X6),
    "matrix class": (lambda x: float(np.sum(np.asarray(x) ** 2)), lambda x: np.asarray(x) * 3, np.asarray(X45)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", SLY)
def test_nothing_that_a_function_does_makes_a_wrong_gradient_pass(name):
    f, wrong, *args = SLY[name]
    before = [np.array(a, copy=True) for a in args]
    passed = False
    with suppress(DerivkitError):
        passed = check_gradient(f, wrong, *args).ok
    assert not passed
    assert all(np.asarray(a).tobytes() == b.tobytes() for a, b in zip(args, before, strict=True))


def _raises(*_):
    raise ValueError("not here")


#: Checks that cannot run: clear errors, no verdicts.
IMPOSSIBLE = {
    "f makes a check that cannot run": (check_gradient, lambda x: check_gradient(_raises, slope, x), slope, X6),
    "f raises at the point": (check_gradient, _raises, slope, X6),
    "the gradient raises": (check_gradient, smooth, _raises, X6),
    "the pushforward raises": (check_jvp, np.sin, _raises, X6),
    "f takes two": (check_gradient, lambda x, y: 0.0, slope, X6),
    "the gradient takes none": (check_gradient, smooth, lambda: 0.0, X6),
    "the gradient is None": (check_gradient, smooth, lambda x: None, X6),
    "f is NaN": (check_gradient, lambda x: float("nan"), slope, X6),
    "f is no scalar": (check_gradient, np.sin, slope, X6),
    "f is text": (check_gradient, lambda x: "1", slope, X6),
    "f is a ragged list": (check_vjp, lambda x: [[1.0], [1.0, 2.0]], lambda y, x: x, X6),
    "no function": (check_gradient, 3.0, slope, X6),
    "nothing to differentiate": (check_gradient, smooth, slope, 3),
    "arguments are NaN": (check_gradient, smooth, slope, np.array([np.nan])),
    "complex arguments": (check_gradient, smooth, slope, X6 + 1j),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_check_that_cannot_run_is_a_clear_error(name):
    check, f, claim, *args = IMPOSSIBLE[name]
    with pytest.raises(DerivkitError) as caught:
        check(f, claim, *args)
    assert caught.value.code in ("DK010", "DK050")
    assert len(str(caught.value)) > 15


@pytest.mark.parametrize("rtol", [-1.0, 1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_share(rtol):
    with pytest.raises(DerivkitError, match="rtol"):
        check_gradient(smooth, slope, X6, rtol=rtol)


def test_a_tolerance_only_relaxes():
    near = lambda x: slope(x) * (1 + 1e-4)  # noqa: E731
    assert not check_gradient(smooth, near, X6).ok
    assert check_gradient(smooth, near, X6, rtol=1e-3).ok
    assert_gradient(smooth, near, X6, rtol=1e-3)
    with pytest.raises(AssertionError, match="scale"):
        assert_gradient(smooth, near, X6)
