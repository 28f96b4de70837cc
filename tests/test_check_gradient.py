"""No correct gradient rejected, no faulty one accepted, and the cause named."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from derivkit.checking.check import assert_gradient, check_gradient, check_jacobian, check_jvp, check_vjp
from derivkit.checking.trees import argument_names, leaves, rebuild
from derivkit.errors import DerivkitError

RNG = np.random.default_rng(7)
X5 = RNG.normal(size=5)
X34 = RNG.normal(size=(3, 4))
X44 = RNG.normal(size=(4, 4))
BIG = RNG.normal(size=(40, 30))
A44 = RNG.normal(size=(4, 4))
A5 = RNG.normal(size=(5, 5))


def relu(x):
    return np.maximum(x, 0)


def loss(W, b, X, t):
    h = np.tanh(X @ W + b)
    return float(np.mean((h.sum(1) - t) ** 2))


def loss_grad(W, b, X, t):
    h = np.tanh(X @ W + b)
    e = 2 * (h.sum(1) - t) / len(t)
    z = e[:, None] * (1 - h**2)
    return X.T @ z, z.sum(0), None, None


NET = (RNG.normal(size=(4, 3)), np.zeros(3), RNG.normal(size=(6, 4)), RNG.integers(0, 3, 6))


def layers(p, n):
    return float(np.sum(np.sin(p["w"]) * p["more"][0]) * n + p["b"] ** 2)


def layers_grad(p, n):
    s, m = p["w"], p["more"][0]
    return {"w": np.cos(s) * m * n, "more": [np.sin(s) * n], "b": 2 * p["b"]}, None


def f32_net(x):
    return np.float32(np.sum(np.tanh(x @ A44.astype(np.float32)) ** 2))


def f32_net_grad(x):
    a = A44.astype(np.float32)
    h = np.tanh(x @ a)
    return (2 * h * (1 - h**2)) @ a.T


RIGHT = {
    "square": (lambda x: float(x @ x), lambda x: 2 * x, X5),
    "python float": (lambda x: x**3, lambda x: 3 * x**2, 2.5),
    "constant": (lambda x: 3.7, lambda x: 0 * x, X5),
    "even at zero": (lambda x: float(np.cos(x).sum()), lambda x: -np.sin(x), np.zeros(3)),
    "quadratic at its minimum": (lambda x: float(x @ x), lambda x: 2 * x, np.zeros(3)),
    "logsumexp": (lambda x: float(np.log(np.exp(x).sum())), lambda x: np.exp(x) / np.exp(x).sum(), X5),
    "fast sine": (lambda x: float(np.sin(1e6 * x).sum()), lambda x: 1e6 * np.cos(1e6 * x), X5),
    "large argument": (lambda x: float(np.sin(x).sum()), lambda x: np.cos(x), 1e6 + X5),
    "offset": (lambda x: 1e6 + float(x @ x), lambda x: 2 * x, X5),
    "mixed units": (lambda x: float(np.log(x).sum()), lambda x: 1 / x, np.array([1e-12, 1e-3, 1.0, 1e12])),
    "one tiny entry": (lambda x: float(x @ x), lambda x: 2 * x, np.array([1.0, 1e-9, -2.0])),
    "float32": (f32_net, f32_net_grad, X44.astype(np.float32)),
    "float32 inside": (
        lambda x: float(f32_net(x.astype(np.float32))),
        lambda x: f32_net_grad(x.astype(np.float32)).astype(float),
        X44,
    ),
    "float32 large": (lambda x: np.float32(np.mean(x * x)), lambda x: 2 * x / np.float32(x.size), BIG.astype(np.float32)),
    "relu": (lambda x: float(relu(x).sum()), lambda x: (x > 0) * 1.0, X34),
    "relu at a zero": (lambda x: float((relu(x) * [1, 2, 3]).sum()), lambda x: (x > 0) * [1.0, 2, 3], np.array([1.0, 0.0, -1.0])),
    "abs at zeros, sign 0": (lambda x: float(np.abs(x).sum()), lambda x: np.sign(x), np.array([0.0, 1.0, 0.0, -3.0])),
    "relu at zero, slope one half": (lambda x: float(relu(x)), lambda x: 0.5, 0.0),
    "kink near": (lambda x: float(np.abs(x - 1).sum()), lambda x: np.sign(x - 1), np.array([1 + 1e-6, 2.0])),
    "kink and smooth": (lambda x: float((relu(x) + x**2).sum()), lambda x: (x > 0) + 2 * x, np.array([0.0, 1.0, -2.0, 3.0])),
    "rounded to seven places": (lambda x: float(np.round((x**2).sum(), 7)), lambda x: 2 * x, X5),
    "ripple": (lambda x: float((x**2).sum() + 1e-11 * np.sin(1e9 * x).sum()), lambda x: 2 * x, X5),
    "maximum": (lambda x: float(x.max()), lambda x: (x == x.max()) * 1.0, X5),
    "power at a domain edge": (lambda x: float(np.sum(x**1.5)), lambda x: 1.5 * x**0.5, np.array([0.0, 1.0, 2.0])),
    "log near its edge": (lambda x: float(np.log(1 - x).sum()), lambda x: -1 / (1 - x), np.array([1 - 1e-6, 0.5])),
    "integers and None": (loss, loss_grad, *NET),
    "dict": (layers, layers_grad, {"w": X5, "more": [X5 + 1], "b": 0.5}, 3),
    "list as array": (lambda x: sum(v**2 for v in x), lambda x: 2 * np.array(x), [1.0, 2.0, 3.0]),
    "array as list": (lambda x: float(x @ x), lambda x: list(2 * x), X5),
    "tuple of one": (lambda x: float(x @ x), lambda x: (2 * x,), X5),
    "fortran order": (lambda x: float(np.sum(x**3)), lambda x: 3 * x**2, np.asfortranarray(X34)),
    "matrix": (lambda x: float(np.linalg.slogdet(x)[1]), lambda x: np.linalg.inv(x).T, X44),
    "big": (lambda x: float(np.sum(np.sin(x))), lambda x: np.cos(x), BIG),
    "empty neighbour": (lambda x, e: float(x @ x), lambda x, e: (2 * x, e), X5, np.zeros(0)),
} | {
    f"scale 1e{k}": (
        lambda x, c=10.0**k: c * float(np.tanh(x / c).sum()),
        lambda x, c=10.0**k: 1 - np.tanh(x / c) ** 2,
        X5 * 10.0**k,
    )
    for k in range(-12, 13, 4)
}


@pytest.mark.parametrize("name", RIGHT)
def test_correct_gradients_pass(name):
    f, grad, *args = RIGHT[name]
    report = check_gradient(f, grad, *args)
    assert report.ok, str(report)
    assert report.diagnosis is None
    assert not report.undecided


def cube(x):
    return float(np.sum(x**3 + np.sin(x)))


def cube_grad(x):
    return 3 * x**2 + np.cos(x)


def at(array, index, value):
    result = array.copy()
    result[index] = value
    return result


def twice(x, y):
    return float(np.sum(np.sin(x)) + np.sum(y**3))


class Accumulates:
    def __init__(self):
        self.total = 0.0

    def __call__(self, x):
        self.total = self.total + cube_grad(x)
        return self.total


class Overwrites:
    def __init__(self):
        self.buffer = np.zeros(5)

    def __call__(self, x):
        self.buffer[:] = cube_grad(x)
        return self.buffer


def mutates(x):
    x += 1
    return cube_grad(x - 1)


STREAM = np.random.default_rng(3)


def random_grad(x):
    return cube_grad(x) + STREAM.normal(size=x.shape)


WRONG = {
    "factor": (cube, lambda x: cube_grad(x) / 8, "scale:0.125", X34),
    "factor, third": (cube, lambda x: 3 * cube_grad(x), "scale:3", X34),
    "slight factor": (cube, lambda x: 1.00001 * cube_grad(x), "scale:1.00001", X34),
    "factor, big": (cube, lambda x: cube_grad(x) / 40, "scale:0.025", BIG),
    "factor, float32": (f32_net, lambda x: 2 * f32_net_grad(x), "scale:2", X44.astype(np.float32)),
    "sign": (cube, lambda x: -cube_grad(x), "sign", X34),
    "sign, big": (cube, lambda x: -cube_grad(x), "sign", BIG),
    "transpose": (cube, lambda x: cube_grad(x).T.copy(), "transpose", X44),
    "transpose, not square": (cube, lambda x: cube_grad(x).T, "transpose", X34),
    "flip": (cube, lambda x: cube_grad(x)[::-1], "permutation", X5),
    "roll, big": (cube, lambda x: np.roll(cube_grad(x), 1, 0), "permutation", BIG),
    "reshape": (cube, lambda x: cube_grad(x).ravel(order="F").reshape(x.shape), "permutation", X34),
    "shuffle": (cube, lambda x: cube_grad(x)[[2, 0, 4, 1, 3]], "permutation", X5),
    "swapped": (twice, lambda x, y: (3 * y**2, np.cos(x)), "swapped-args", X5, X5 + 1),
    "swapped shapes": (twice, lambda x, y: (3 * y**2, np.cos(x)), "swapped-args", X5, X34),
    "zero": (cube, lambda x: np.zeros_like(x), "zero", X34),
    "zero leaf": (twice, lambda x, y: (np.cos(x), 0 * y), "zero", X5, X34),
    "half zero": (cube, lambda x: np.where(np.arange(12).reshape(3, 4) % 2, cube_grad(x), 0), "zero", X34),
    "one entry": (cube, lambda x: at(cube_grad(x), (1, 2), 7.0), "few-entries", X34),
    "one entry, big": (cube, lambda x: at(cube_grad(x), (17, 23), 7.0), "few-entries", BIG),
    "row": (cube, lambda x: at(cube_grad(x), 1, 7.0), "block", X34),
    "column, big": (cube, lambda x: at(cube_grad(x), (slice(None), 3), 7.0), "block", BIG),
    "bias not summed": (lambda b: float(np.sum(np.sin(X34 + b))), lambda b: np.cos(X34 + b), "wrong-axis", np.zeros(4)),
    "bias summed over the other axis": (
        lambda b: float(np.sum(np.sin(A44 + b) * X44)),
        lambda b: (np.cos(A44 + b) * X44).sum(1),
        "wrong-axis",
        np.ones(4),
    ),
    "one dimension too many": (cube, lambda x: cube_grad(x)[None], "shape", X5),
    "flat": (cube, lambda x: cube_grad(x).ravel(), "shape", X34),
    "too few": (twice, lambda x, y: (np.cos(x),), "shape", X5, X5),
    "float32 gradient": (cube, lambda x: cube_grad(x).astype(np.float32), "dtype", X5),
    "integer gradient": (cube, lambda x: cube_grad(x).astype(int), "dtype", X5),
    "nan": (cube, lambda x: at(cube_grad(x), 2, np.nan), "non-finite", X5),
    "mutates": (cube, mutates, "mutates-input", X5),
    "random": (cube, random_grad, "nondeterministic", X5),
    "accumulates": (cube, Accumulates(), "stateful", X5),
    "overwrites": (cube, Overwrites(), "aliasing", X5),
    "weight decay": (lambda x: cube(x) + 0.05 * float(np.sum(x**2)), cube_grad, "regulariser", X34),
    "lasso": (lambda x: cube(x) + 0.1 * float(np.abs(x).sum()), cube_grad, "regulariser", X34),
    "quadratic form, one path": (lambda x: float(np.sum((x @ x) * A44)), lambda x: A44 @ x.T, "dense", X44),
    "centring": (lambda x: cube(x) + 2 * float(x.sum()), cube_grad, "missing-term", X34),
    "inner cast": (cube, lambda x: cube_grad(x.astype(np.float32)).astype(np.float64), "precision", X34),
    "outside the kink": (
        lambda x: float(np.abs(x).sum()),
        lambda x: np.where(x == 0, 1.5, np.sign(x)),
        "kink",
        np.array([0.0, 1.0]),
    ),
    "fault beside a kink": (
        lambda x: float((relu(x) + x**2).sum()),
        lambda x: (x > 0) + 3 * x,
        None,
        np.array([0.0, 1.0, -2.0, 3.0]),
    ),
    "factor beside many kinks": (
        lambda x: float(relu(x) @ np.arange(-2.0, 4)),
        lambda x: 1.01 * np.arange(-2.0, 4) * (x > 0),
        None,
        np.array([0.0, 1.0, 0.0, 3.0, 0.0, 0.5]),
    ),
    "one of many kinks, in a large leaf": (
        lambda x: float(relu(x).sum()),
        lambda x: np.where(x == 0, at(np.full(150, 0.5), 4, 1.3), (x > 0) * 1.0),
        "kink",
        np.where(np.arange(150) % 15 == 4, 0.0, BIG.ravel()[:150]),
    ),
    "two maxima, off in opposite ways": (
        lambda x, y: float(x.max() + y.max()),
        lambda x, y: (np.array([0.6, 0.6, 0.0]), np.array([0.4, 0.4, 0.0])),
        "kink",
        np.array([1.0, 1.0, 0.3]),
        np.array([1.0, 1.0, 0.3]),
    ),
    "dense": (cube, lambda x: np.exp(np.sin(5 * x)), "dense", X34),
    "negligible leaf": (lambda x, y: float(x @ x + 1e-6 * (y @ y)), lambda x, y: (2 * x, 3e-6 * y), "scale:1.5", X5, X5 + 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_faults_are_rejected_with_their_cause(name):
    f, grad, expected, *args = WRONG[name]
    report = check_gradient(f, grad, *args)
    assert not report.ok
    assert not report.undecided, str(report)
    assert len(str(report).splitlines()) <= 20
    if expected is not None and expected.startswith("scale:"):
        code, detail = report.diagnosis.split(":")
        assert code == "scale"
        assert float(detail) == pytest.approx(float(expected[6:]), rel=1e-7 if "float32" not in name else 1e-3)
    elif expected is not None:
        assert report.diagnosis == expected, str(report)


def test_blame_and_entries_point_at_the_fault():
    report = check_gradient(twice, lambda x, y: (np.cos(x), at(3 * y**2, (1, 2), 9.0)), X5, X34)
    assert report.blame == (1,)
    entry = report.entries[0]
    assert (entry.leaf, entry.index, entry.yours) == ("y", (1, 2), 9.0)
    assert abs(entry.measured - 3 * X34[1, 2] ** 2) <= max(entry.error_bar, 1e-9)
    big = check_gradient(cube, lambda x: at(cube_grad(x), (17, 23), 7.0), BIG)
    assert big.entries[0].index == (17, 23)
    assert big.entries[0].measured == pytest.approx(cube_grad(BIG)[17, 23], rel=1e-6)


F32 = np.float32


def f32_three_leaves(seed, act):
    r = np.random.default_rng(seed)
    X, T = r.normal(size=(6, 5)).astype(F32), np.eye(3, dtype=F32)[r.integers(0, 3, 6)]
    args = tuple((s * r.normal(size=n)).astype(F32) for s, n in ((0.45, (4, 5)), (0.1, 4), (0.5, (3, 4))))
    up, slope = {"tanh": (np.tanh, lambda h: 1 - h * h), "relu": (relu, lambda h: (h > 0).astype(h.dtype))}[act]

    def f(W1, b, W2):
        y = up(X @ W1.T + b) @ W2.T
        return np.mean(np.log(np.exp(y).sum(1)) - (y * T).sum(1))

    def grad(W1, b, W2):
        h = up(X @ W1.T + b)
        e = np.exp(h @ W2.T)
        y_bar = (e / e.sum(1, keepdims=True) - T) / e.dtype.type(6)
        z_bar = y_bar @ W2 * slope(h)
        return z_bar.T @ X, z_bar.sum(0), y_bar.T @ h

    return f, grad, args


def as_table(f, grad, args):
    table = grad(*args)
    return f, lambda *_: table


def cast_within(f, grad, args):
    def low(*given):
        return [x.astype(F32) for x in given]

    def cast(*given):
        return tuple(g.astype(x.dtype) for g, x in zip(grad(*low(*given)), given, strict=True))

    return lambda *given: float(f(*low(*given))), cast


def only_float32(f, grad, args):
    def strict(*given):
        if any(x.dtype != F32 for x in given):
            raise TypeError("float32 only")
        return f(*given)

    return strict, grad


#: How f and its gradient treat precision, and whether a right gradient must be seen to be right.
PRECISIONS = {
    "follows its arguments": (lambda f, grad, args: (f, grad), True),
    "a Python float": (lambda f, grad, args: (lambda *given: float(f(*given)), grad), True),
    "a table of float32 gradients": (as_table, True),
    "float32 result": (lambda f, grad, args: (lambda *given: F32(f(*given)), grad), False),
    "float32 within": (cast_within, False),
    "float32 arguments only": (only_float32, False),
}


@pytest.mark.parametrize("act", ["tanh", "relu"])
@pytest.mark.parametrize("form", PRECISIONS)
def test_in_float32_one_per_cent_of_one_entry_is_never_accepted(form, act):
    made, decided = PRECISIONS[form]
    for seed in range(3 if decided else 2):
        f, grad, args = f32_three_leaves(seed, act)
        right = check_gradient(*made(f, grad, args), *args)
        assert right.ok or (right.undecided and not decided), str(right)
        leaf = seed % 3
        truth = grad(*args)[leaf]
        visible = np.flatnonzero(truth)
        index = np.unravel_index(visible[(7 * seed + 2) % visible.size], truth.shape)

        def faulty(*given, grad=grad, leaf=leaf, index=index):
            claims = [g.copy() for g in grad(*given)]
            claims[leaf][index] *= claims[leaf].dtype.type(1.01)
            return tuple(claims)

        report = check_gradient(*made(f, faulty, args), *args)
        assert not report.ok
        if report.undecided:
            assert report.diagnosis == "undecided"
            assert form != "follows its arguments"
        elif decided:
            assert report.diagnosis == "few-entries", str(report)
            assert report.blame == (leaf,)
            assert report.entries[0].index == index
            assert report.entries[0].yours == np.float64(faulty(*args)[leaf][index])


def test_float32_rounding_that_piles_up_is_no_fault():
    x = (1000 + RNG.normal(size=50)).astype(F32)

    def grad(x):
        return 2 * (x - x.mean()) / x.dtype.type(x.size)

    assert check_gradient(lambda x: np.mean((x - x.mean()) ** 2), grad, x).diagnosis in (None, "undecided")
    assert check_gradient(lambda x: np.mean((x - x.mean()) ** 2), lambda x: 1.5 * grad(x), x).diagnosis == "scale:1.5"


def test_a_gradient_right_in_float64_only_is_not_accepted_in_float32():
    def grad(x):
        return x**2 * (3.3 if x.dtype == F32 else 3)

    report = check_gradient(lambda x: np.sum(x**3), grad, X34.astype(F32))
    assert not report.ok


def test_reproduce_shows_the_arguments_as_they_came():
    report = check_gradient(lambda x: np.sum(x**2), lambda x: 4 * x, X5.astype(F32))
    assert report.diagnosis == "scale:2"
    assert "dtype=np.float32" in report.reproduce


KINKS = {  # zeros, the claim at them: each is outside its own range of slopes, though the sum is inside
    "one of many": at(np.full(8, 0.5), 3, 1.3),
    "above and below": at(at(np.full(8, 0.5), 3, 1.3), 4, -0.3),
    "relu as abs": at(np.full(8, 0.0), 5, -1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_fault_confined_to_one_entry_at_a_kink_is_seen(name):
    at_zero = KINKS[name]
    x = np.concatenate([np.zeros(8), X5])
    report = check_gradient(lambda x: float(relu(x).sum()), lambda x: np.concatenate([at_zero, (x[8:] > 0) * 1.0]), x)
    assert report.diagnosis == "kink", str(report)
    right = np.linspace(0, 1, 8)
    assert check_gradient(lambda x: float(relu(x).sum()), lambda x: np.concatenate([right, (x[8:] > 0) * 1.0]), x).ok


def test_what_is_not_claimed_is_not_judged_and_is_named():
    report = check_gradient(twice, lambda x, y: (np.cos(x), None), X5, X34)
    assert report.ok
    assert "not claimed, so not checked: y" in str(report)
    report = check_gradient(twice, lambda x, y: (None, 2 * y), X5, X34)
    assert report.blame == (1,)
    low = check_gradient(lambda x, y: np.sum(x * x) + np.sum(y), lambda x, y: (2 * x, None), X5.astype(F32), X5.astype(F32))
    assert low.ok
    with pytest.raises(DerivkitError, match="nothing is claimed"):
        check_gradient(twice, lambda x, y: (None, None), X5, X34)


def test_the_cost_of_a_right_gradient_does_not_grow():
    counts = [check_gradient(cube, cube_grad, RNG.normal(size=n) + 2).evaluations for n in (10, 1000, 100_000)]
    assert max(counts) <= 100


def test_same_seed_same_report_and_the_global_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    one, two = (check_gradient(cube, lambda x: 2 * cube_grad(x), X34, seed=5) for _ in range(2))
    assert one == two
    assert one.seed == 5
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    "report",
    [
        check_gradient(cube, cube_grad, X5),
        check_vjp(np.sin, lambda y, x: y * np.cos(x), X5),
        check_jvp(np.sin, lambda v, x: v * np.cos(x), X5),
        check_jacobian(np.sin, lambda x: np.diag(np.cos(x)), X5),
    ],
)
def test_the_seed_is_0_unless_another_is_given(report):
    assert report.ok
    assert report.seed == 0


def test_noise_is_undecided_and_rtol_only_relaxes():
    def noisy_grad(x):
        return 1e-6 * np.cos(x)

    def noisy(x):
        return 1e12 + float(np.sum(np.sin(x))) * 1e-6

    report = check_gradient(noisy, noisy_grad, X5)
    assert report.undecided
    assert not report.ok
    with pytest.raises(AssertionError, match="undecided"):
        assert_gradient(noisy, noisy_grad, X5)
    assert_gradient(noisy, noisy_grad, X5, allow_undecided=True)
    assert not check_gradient(cube, lambda x: cube_grad(x) * 1.001, X5)
    assert check_gradient(cube, lambda x: cube_grad(x) * 1.001, X5, rtol=0.01)


def affine(x, w):
    return np.tanh(A5 @ x) * w


VJP = {
    "right": (lambda y, x, w: (A5.T @ (y * w * (1 - np.tanh(A5 @ x) ** 2)), np.sum(y * np.tanh(A5 @ x))), None),
    "scale": (lambda y, x, w: (2 * A5.T @ (y * w * (1 - np.tanh(A5 @ x) ** 2)), 2 * np.sum(y * np.tanh(A5 @ x))), "scale:2"),
    "not linear": (lambda y, x, w: (A5.T @ (abs(y) * w), np.sum(y)), "cotangent"),
    "missing factor": (lambda y, x, w: (A5.T @ (y * w), np.sum(y * np.tanh(A5 @ x))), "dense"),
}


@pytest.mark.parametrize("name", VJP)
def test_vjp(name):
    vjp, expected = VJP[name]
    report = check_vjp(affine, vjp, X5, 1.7)
    assert report.diagnosis == expected, str(report)


def test_jvp():
    def right(t, x, w):
        return (1 - np.tanh(A5 @ x) ** 2) * (A5 @ t[0]) * w + np.tanh(A5 @ x) * t[1]

    assert check_jvp(affine, right, X5, 1.7)
    assert check_jvp(affine, lambda t, x, w: -right(t, x, w), X5, 1.7).diagnosis == "sign"
    assert check_jvp(affine, lambda t, x, w: right(t, x, w)[None], X5, 1.7).diagnosis == "shape"
    assert check_jvp(np.sin, lambda t, x: t * np.cos(x), BIG)
    assert not check_jvp(np.sin, lambda t, x: t * np.cos(x) * 1.5, BIG)


def test_jacobian():
    def right(x):
        return (1 - np.tanh(A5 @ x) ** 2)[:, None] * A5

    def f(x):
        return np.tanh(A5 @ x)

    assert check_jacobian(f, right, X5)
    assert check_jacobian(f, lambda x: right(x).T, X5).diagnosis == "transpose"
    assert check_jacobian(f, lambda x: at(right(x), (2, 3), 0.3), X5).entries[0].index == (2, 3)
    assert check_jacobian(f, lambda x: 4 * right(x), X5).diagnosis == "scale:4"


MISUSE = {
    "not a function": (lambda: check_gradient(3, cube_grad, X5), "DK010"),
    "nothing to differentiate": (lambda: check_gradient(cube, cube_grad, 3), "DK010"),
    "array value": (lambda: check_gradient(np.sin, np.cos, X5), "DK010"),
    "complex": (lambda: check_gradient(cube, cube_grad, X5 + 1j), "DK010"),
    "f raises": (lambda: check_gradient(lambda x: 1 // 0, cube_grad, X5), "DK050"),
    "f is nan": (lambda: check_gradient(lambda x: float("nan"), cube_grad, X5), "DK050"),
    "grad raises": (lambda: check_gradient(cube, lambda x: 1 // 0, X5), "DK050"),
    "x is nan": (lambda: check_gradient(cube, cube_grad, at(X5, 0, np.nan)), "DK050"),
    "rtol": (lambda: check_gradient(cube, cube_grad, X5, rtol=-1.0), "DK010"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_an_error_with_a_code(name):
    call, code = MISUSE[name]
    with pytest.raises(DerivkitError) as caught:
        call()
    assert caught.value.code == code


def test_reports_pickle_and_become_json():
    report = check_gradient(cube, lambda x: cube_grad(x) / 8, X34)
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301
    data = json.loads(json.dumps(report.to_json()))
    assert (data["schema"], data["diagnosis"]) == ("derivkit.report/1", "scale:0.125")
    assert "a factor 8 missing" in str(report)
    assert repr(report) == "<Report wrong: scale:0.125>"
    assert check_gradient(cube, lambda x: 2 * x, X5).reproduce.startswith("derivkit.check_gradient(cube, grad, np.array([")


def test_arguments_are_never_written_to_and_names_are_found():
    x = X5.copy()
    check_gradient(cube, mutates, x)
    assert np.array_equal(x, X5)
    tree = ({"w": X5, "n": 3}, [1.0, np.ones(2)])
    found = leaves(tree, argument_names(lambda p, q: 0, 2))
    assert [leaf.name for leaf in found] == ["p['w']", "q[0]", "q[1]"]
    again = rebuild(tree, found, [leaf.array for leaf in found])
    assert again[0]["w"] is not X5
    assert again[1][0] == 1.0


def test_the_checking_wing_does_not_load_sympy():
    code = "import sys, derivkit.checking.check; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_plugin_loads_nothing_until_used():
    code = "import sys, derivkit.pytest_plugin; sys.exit(bool({'numpy', 'sympy', 'derivkit.checking'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
