"""Functions that cheat: whatever they return or do, a wrong gradient does not pass, and what makes no sense is an error."""

from __future__ import annotations

import numpy as np
import pytest

import derivkit as dk

X = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]])


def squares(x):
    return float(np.sum(np.asarray(x) ** 2))


class Equal(np.ndarray):
    """An array that is equal to everything."""

    def __eq__(self, other):
        return np.ones(self.shape, bool)

    def __ne__(self, other):
        return np.zeros(self.shape, bool)

    __hash__ = None


class Lying(np.ndarray):
    """An array that lies about its shape and its type."""

    @property
    def shape(self):
        return (2, 3)

    @property
    def dtype(self):
        return np.dtype(np.float64)


class Shifting:
    """What is another array whenever it is read."""

    def __init__(self):
        self.reads = 0

    def __array__(self, dtype=None, copy=None):
        self.reads += 1
        return 2 * X * self.reads


class Half:
    """An array whose arithmetic is clever."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __array__(self, dtype=None, copy=None):
        return self.numbers

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__


#: name: a claimed gradient that is wrong
CLAIMS = {
    "equal to all": lambda x: (3 * x).view(Equal),
    "lies about its shape": lambda x: (2 * x).ravel().view(Lying),
    "another at each read": lambda x: Shifting(),
    "no difference to any": lambda x: Half(3 * x),
    "masked": lambda x: np.ma.array(2 * x, mask=np.eye(2, 3, dtype=bool)),
    "broadcasts": lambda x: (2 * x)[:1],
    "broadcast by strides": lambda x: np.broadcast_to((2 * x)[:1], (2, 3)),
    "a scalar": lambda x: 2.0,
    "one axis more": lambda x: (2 * x)[None],
    "infinite": lambda x: 2 * x / 0.0 if x.size else x,
    "words": lambda x: [["2.0", "-4.0", "1.0"], ["0.5", "6.0", "-3.0"]],
    "truth": lambda x: x > 0,
    "complex": lambda x: 2 * x + 0j,
    "complex, wrong": lambda x: 2 * x + 1j,
    "objects": lambda x: (3 * x).astype(object),
    "a dict": lambda x: {"x": 2 * x},
    "nothing in it": lambda x: [],
    "rounded": lambda x: np.round(2 * x),
    "a set": lambda x: {1.0, 2.0},
    "a generator": lambda x: (row for row in 2 * x),
    "NaN at one place": lambda x: np.where(x == 3.0, np.nan, 2 * x),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_wrong_gradient_does_not_pass(claim):
    with np.errstate(all="ignore"):
        report = dk.check_gradient(squares, claim, X)
    assert not report.ok
    assert not report.undecided
    assert report.diagnosis
    assert str(report).startswith("wrong")


def test_what_is_changed_behind_the_scenes_is_seen():
    memory = {}

    def remembers(x):
        memory["x"] = x
        return squares(x)

    def overwrites(x):
        memory["x"] *= 0.5  # the array that f was given, which nobody reads any more
        return 2 * x

    assert dk.check_gradient(remembers, overwrites, X).ok

    def changes(x):
        x.setflags(write=True)
        x[0, 0] = 7.0
        return 2 * x

    assert dk.check_gradient(squares, changes, X).diagnosis == "mutates-input"
    assert X[0, 0] == 1.0


def test_what_looks_whether_it_is_checked():
    calls = []

    def once(x):
        calls.append(1)
        return 2 * x if len(calls) == 1 else 3 * x

    assert not dk.check_gradient(squares, once, X)
    state = np.random.get_state()[1].copy()
    dk.check_gradient(squares, lambda x: 2 * x, X)
    assert np.array_equal(state, np.random.get_state()[1])


#: name: a function that cannot be checked, its error
ERRORS = {
    "raises": (lambda x: 1 / 0, "f raised ZeroDivisionError"),
    "long message": (lambda x: [][x.size] if x.size else 0, "f raised IndexError"),
    "an array": (lambda x: x, "not a scalar"),
    "words": (lambda x: "1.0", "not real numbers"),
    "nothing": (lambda x: None, "not real numbers"),
    "complex": (lambda x: 1j, "not real numbers"),
    "ragged": (lambda x: [[1.0], [1.0, 2.0]], "one array of numbers"),
    "NaN": (lambda x: np.nan, "not finite"),
    "masked": (lambda x: np.ma.masked_all(()), "not finite"),
    "arity": (lambda x, y: 0.0, "missing 1 required positional argument"),
}


@pytest.mark.parametrize(("f", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_checked_is_an_error(f, message):
    with pytest.raises(dk.DerivkitError, match=message) as caught:
        dk.check_gradient(f, lambda x: 2 * x, X)
    assert "\n" not in str(caught.value)


def test_a_gradient_that_cannot_be_called_is_an_error():
    with pytest.raises(dk.DerivkitError, match="the gradient raised TypeError"):
        dk.check_gradient(squares, lambda: X, X)
    with pytest.raises(dk.DerivkitError, match="takes two functions"):
        dk.check_gradient(squares, 2 * X, X)
