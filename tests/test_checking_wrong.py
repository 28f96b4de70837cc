"""Wrong gradients of many kinds: all are rejected for the stated reason, at a cost that is counted."""

from __future__ import annotations

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_jacobian, check_vjp

RNG = np.random.default_rng(31)
X3 = RNG.normal(size=3)
X6 = RNG.normal(size=6)
P6 = RNG.uniform(0.5, 2.0, 6)
X45 = RNG.normal(size=(4, 5))
Y45 = RNG.normal(size=(4, 5))
X55 = RNG.normal(size=(5, 5))
BIG = RNG.normal(size=(50, 60))
C6 = np.array([1.0, -2.0, 0.5, 3.0, -0.7, 1.1])
DATA = RNG.normal(size=(8, 4))
LABELS = RNG.normal(size=(8, 3))
MASK = RNG.random((4, 5)) > 0.4
BIG_MASK = RNG.random((50, 60)) > 0.5


def smooth(x):
    return float(np.sum(np.sin(x) + x**3))


def smooth_grad(x):
    return np.cos(x) + 3 * x**2


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer(W, b):
    return float(np.mean(np.sum((np.tanh(DATA @ W + b) - LABELS) ** 2, 1)))


def layer_grad(W, b, *, count=8, slope=True, flip=False, mean_b=False):
    h = np.tanh(DATA @ W + b)
    z_bar = 2 * (h - LABELS) / count * ((1 - h**2) if slope else 1)
    return (DATA.T[::-1] if flip else DATA.T) @ z_bar, z_bar.mean(0) if mean_b else z_bar.sum(0)


WB = (RNG.normal(size=(4, 3)), 0.1 * RNG.normal(size=3))


def pair(x, y):
    return float(np.sum(np.sin(x) * y))


def with_entry(g, index, value):
    g = g.copy()
    g[index] = value
    return g


def coupled(w):
    return float(np.sum(w[1:] * w[:-1]))


def normalised(x):
    return (x - x.mean(0)) / x.std(0)


def gaussian(S):
    return 3.5 * float(np.linalg.slogdet(S)[1]) + 0.5 * float(np.trace(np.linalg.solve(S, DATA.T @ DATA)))


def gaussian_grad(S):
    P = np.linalg.inv(S)
    return 3.5 * P - 0.5 * P @ DATA.T @ DATA @ P


def one_triangle(g):
    return 2 * g - np.diag(np.diagonal(g))


class Stale:
    """Keeps the gradient of the previous call's arguments, as a layer that caches its forward pass does."""

    def __init__(self):
        self.last = np.zeros(6)

    def __call__(self, x):
        self.last, given = smooth_grad(x), self.last
        return given


#: name: f, the wrong gradient, the codes that say it, the arguments.
WRONG = {
    "twice": (smooth, lambda x: 2 * smooth_grad(x), "scale:2", X3),
    "half": (smooth, lambda x: smooth_grad(x) / 2, "scale:0.5", X3),
    "a per mille": (smooth, lambda x: 1.001 * smooth_grad(x), "scale:1.001", X3),
    "a millionth": (smooth, lambda x: (1 + 1e-6) * smooth_grad(x), "scale:1.000001 precision", X6),
    "sum instead of mean": (lambda x: smooth(x) / x.size, smooth_grad, "scale:6", X6),
    "mean instead of sum": (smooth, lambda x: smooth_grad(x) / x.size, "scale:0.05", X45),
    "no batch size": (layer, lambda W, b: layer_grad(W, b, count=1), "scale:8", *WB),
    "sign": (smooth, lambda x: -smooth_grad(x), "sign", X3),
    "sign of one of two": (pair, lambda x, y: (-np.cos(x) * y, np.sin(x)), "sign", X6, P6),
    "sign of a scalar": (lambda x: x**2, lambda x: -2 * x, "sign", 3.0),
    "transposed": (smooth, lambda x: smooth_grad(x).T.copy(), "transpose", X55),
    "transposed shape": (smooth, lambda x: smooth_grad(x).T.copy(), "transpose", X45),
    "transposed, big": (smooth, lambda x: smooth_grad(x).T.copy(), "transpose", BIG[:50, :50]),
    "off by one": (smooth, lambda x: np.roll(smooth_grad(x), 1), "permutation", X6),
    "off by one, columns": (smooth, lambda x: np.roll(smooth_grad(x), -1, 1), "permutation", X45),
    "off by one, big": (smooth, lambda x: np.roll(smooth_grad(x), 1, 1), "permutation", BIG),
    "flipped": (smooth, lambda x: smooth_grad(x)[::-1], "permutation", X6),
    "sorted": (lambda x: float(np.sort(x) @ C6), lambda x: C6[np.argsort(x)], "permutation", X6),
    "one wrong entry": (smooth, lambda x: with_entry(smooth_grad(x), 2, 0.3), "few-entries", X6),
    "one wrong entry of three": (smooth, lambda x: with_entry(smooth_grad(x), 1, 9.0), "few-entries", X3),
    "one wrong entry, by a per cent": (
        smooth,
        lambda x: with_entry(smooth_grad(x), (1, 1), 1.01 * smooth_grad(x)[1, 1]),
        "few-entries",
        X45,
    ),
    "one wrong entry, big": (smooth, lambda x: with_entry(smooth_grad(x), (31, 7), 0.3), "few-entries", BIG),
    "a missing row": (smooth, lambda x: with_entry(smooth_grad(x), 2, 0.0), "block zero", X45),
    "a wrong column": (smooth, lambda x: with_entry(smooth_grad(x), (slice(None), 1), 1.7), "block", X45),
    "the border forgotten": (
        lambda x: float(np.sum(np.diff(x) ** 2)),
        lambda x: np.r_[0, 2 * np.diff(x)] - np.r_[0, 2 * np.diff(x)[1:], 0],
        "few-entries",
        X6,
    ),
    "zero": (smooth, lambda x: 0 * x, "zero", X6),
    "zero for a scalar": (lambda x: x**2, lambda x: 0.0, "zero", 3.0),
    "one branch detached": (pair, lambda x, y: (np.cos(x) * y, 0 * y), "zero", X6, P6),
    "swapped": (pair, lambda x, y: (np.sin(x), np.cos(x) * y), "swapped-args", X6, P6),
    "missing constant": (lambda x: float(np.sum(x * np.log(x))), np.log, "missing-term", np.array([0.5, 1.0, 2.0])),
    "missing constant, more": (lambda x: float(np.sum(x * np.log(x))), np.log, "missing-term", P6),
    "one path only": (lambda A: float(np.sum((A + A.T) * X55)), lambda A: X55, "dense missing-term", X55 + 1),
    "symmetric part forgotten": (lambda x: float(x @ X55 @ x), lambda x: X55 @ x, "dense", X6[:5]),
    "softmax without the mean": (
        lambda z: float(softmax(z) @ C6),
        lambda z: softmax(z) * C6,
        "missing-term dense",
        X6,
    ),
    "centring forgotten": (
        lambda x: float(np.sum(C6 * (x - x.mean()) ** 2)),
        lambda x: 2 * C6 * (x - x.mean()),
        "missing-term",
        X6,
    ),
    "one-hot forgotten": (lambda z: float(np.log(np.exp(z).sum()) - z[2]), softmax, "few-entries", X6),
    "no weight decay": (lambda x: smooth(x) + 0.05 * float(x @ x), smooth_grad, "regulariser", X6),
    "too much weight decay": (lambda x: smooth(x) + 0.05 * float(x @ x), lambda x: smooth_grad(x) + 0.2 * x, "regulariser", X6),
    "no lasso": (lambda x: smooth(x) + 0.3 * float(np.abs(x).sum()), smooth_grad, "regulariser", X6),
    "tanh without its slope": (layer, lambda W, b: layer_grad(W, b, slope=False), "missing-factor dense", *WB),
    "tanh without its slope, entrywise": (
        lambda x: float(C6 @ np.tanh(x)),
        lambda x: C6,
        "missing-factor",
        X6,
    ),
    "tanh's slope at the output": (
        lambda x: float(C6 @ np.tanh(x)),
        lambda x: C6 * (1 - np.tanh(np.tanh(x)) ** 2),
        "missing-factor dense",
        X6,
    ),
    "log without its slope": (lambda x: float(C6 @ np.log(x)), lambda x: C6, "missing-factor", P6),
    "square without x": (lambda x: float(C6 @ x**2), lambda x: 2 * C6, "missing-factor", X6),
    "exp without itself": (lambda x: float(C6 @ np.exp(x)), lambda x: C6, "missing-factor", X6),
    "a column's factor": (
        lambda W: float(np.sum(np.tanh(X6[:4] @ W))),
        lambda W: np.outer(X6[:4], np.ones(5)),
        "missing-factor",
        X45,
    ),
    "relu's mask forgotten": (
        lambda x: float(np.sum(np.maximum(x, 0) ** 2 + np.maximum(x, 0))),
        lambda x: 2 * x + 1,
        "mask",
        X45,
    ),
    "relu's mask turned": (
        lambda x: float(np.sum(np.maximum(x, 0) ** 2)),
        lambda x: 2 * x * (x < 0),
        "mask",
        X45,
    ),
    "dropout's mask forgotten": (
        lambda x: float(np.sum(np.sin(x) * MASK)),
        np.cos,
        "mask",
        X45,
    ),
    "relu's mask forgotten, big": (lambda x: float(np.sum(np.maximum(x, 0) ** 2)), lambda x: 2 * x, "mask", BIG),
    "clip forgotten": (lambda x: float(np.sum(np.clip(x, -1, 1) * Y45)), lambda x: Y45, "mask few-entries", X45),
    "bias not summed": (lambda b: float(np.sum(np.sin(X45 + b))), lambda b: np.cos(X45 + b), "wrong-axis", np.zeros(5)),
    "bias averaged": (layer, lambda W, b: layer_grad(W, b, mean_b=True), "scale:0.125", *WB),
    "summed over the wrong axis": (
        lambda b: float(np.sum(np.sin(X55 + b) * X55)),
        lambda b: (np.cos(X55 + b) * X55).sum(1),
        "wrong-axis",
        np.ones(5),
    ),
    "softmax over the wrong axis": (
        lambda z: float(np.sum(np.log(np.exp(z).sum(1)))),
        lambda z: softmax(z.T).T,
        "dense wrong-axis",
        X45,
    ),
    "neighbours on one side": (coupled, lambda w: np.r_[w[1:], 0] + np.r_[w[:-1], 0], "permutation", X6),
    "one neighbour twice": (coupled, lambda w: 2 * np.r_[w[1:], 0], "permutation", X6),
    "neighbours round the end": (
        lambda w: float(np.sum(np.roll(w, 1) * w)),
        lambda w: 2 * np.roll(w, 1),
        "permutation",
        X6,
    ),
    "one neighbour only": (coupled, lambda w: np.r_[w[1:], 0], "missing-term", X6),
    "statistics held": (lambda x: float(np.sum(Y45 * normalised(x))), lambda x: Y45 / x.std(0), "missing-term", X45),
    "deviation held": (
        lambda x: float(np.sum(Y45 * normalised(x))),
        lambda x: (Y45 - Y45.mean(0)) / x.std(0),
        "missing-term",
        X45,
    ),
    "statistics held, big": (
        lambda x: float(np.sum(np.cos(BIG) * normalised(x))),
        lambda x: np.cos(BIG) / x.std(0),
        "missing-term",
        BIG,
    ),
    "statistics of a layer held": (
        lambda x: float(C6 @ ((x - x.mean()) / np.sqrt(x.var() + 0.1))),
        lambda x: C6 / np.sqrt(x.var() + 0.1),
        "missing-term",
        X6,
    ),
    "norms held": (
        lambda x: float(np.sum(Y45 * x / np.linalg.norm(x, axis=0))),
        lambda x: Y45 / np.linalg.norm(x, axis=0),
        "missing-term",
        X45,
    ),
    "one triangle": (gaussian, lambda S: one_triangle(gaussian_grad(S)), "missing-factor", DATA.T @ DATA + np.eye(4)),
    "one triangle, of no symmetric matrix": (
        smooth,
        lambda x: smooth_grad(x) + smooth_grad(x).T - np.diag(np.diagonal(smooth_grad(x))),
        "missing-factor",
        X55,
    ),
    "reversed features": (layer, lambda W, b: layer_grad(W, b, flip=True), "permutation", *WB),
    "dense": (smooth, lambda x: np.exp(np.sin(7 * x)) - 3, "dense", X6),
    "float32 within the gradient": (smooth, lambda x: smooth_grad(x.astype(np.float32)).astype(float), "precision", X45),
    "stale": (smooth, Stale(), "stateful aliasing nondeterministic", X6),
    "wrong for Fortran order": (
        smooth,
        lambda x: smooth_grad(x.ravel(order="K")).reshape(x.shape),
        "layout",
        X45,
    ),
    "outside a kink": (
        lambda x: float(np.abs(x).sum()),
        lambda x: np.where(x == 0, 2.0, np.sign(x)),
        "kink",
        np.array([0.0, 1, -2]),
    ),
    "wrong near a domain's edge": (lambda x: float(np.arcsin(x)), lambda x: 2 / float(np.sqrt(1 - x**2)), "scale:2", 0.999999999),
    "wrong where exp is large": (
        lambda x: float(np.sum(np.exp(x))),
        lambda x: 2 * np.exp(x),
        "scale:2",
        np.array([600.0, 599.0, 598.0]),
    ),
    "wrong where logsumexp is one-sided": (
        lambda z: float(100 + np.log(np.sum(np.exp(z - 100)))),
        lambda z: 1.5 * softmax(z),
        "few-entries",  # the others are invisible
        np.array([100.0, 0.0, -50.0]),
    ),
    "wrong behind a constant": (lambda x: 1e8 + smooth(x), lambda x: 1.5 * smooth_grad(x), "scale:1.5", X6),
    "float32 inside, twice": (lambda x: float(np.sum(np.sin(x.astype(np.float32)))), lambda x: 2 * np.cos(x), "scale:2", X6),
    "float32 inside, sign": (lambda x: float(np.sum(np.sin(x.astype(np.float32)))), lambda x: -np.cos(x), "sign", X45),
    "float32, twice": (lambda x: np.sum(np.sin(x)), lambda x: 2 * np.cos(x), "scale:2", X45.astype(np.float32)),
}
#: Measured in low precision, a factor has as many digits.
COARSE = {"float32 inside, twice", "a per mille", "wrong behind a constant", "float32, twice"}
SMALL = [name for name, row in WRONG.items() if sum(np.size(x) for x in row[3:]) <= 6]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_rejected_for_its_reason(name):
    f, grad, expected, *args = WRONG[name]
    report = check_gradient(f, grad, *args)
    assert not report.ok
    assert not report.undecided, str(report)
    codes = {code.partition(":")[0]: code for code in expected.split()}
    code, _, detail = (report.diagnosis or "").partition(":")
    assert code in codes, str(report)
    if code == "scale":
        number = float(codes[code].partition(":")[2])
        assert float(detail) == pytest.approx(number, rel=1e-4 if name in COARSE else 1e-7)
    assert len(str(report).splitlines()) <= 20


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [3, 4, 6, 20])
def test_a_vector_has_no_other_axis(n, seed):
    w = np.random.default_rng(seed).normal(size=n)
    report = check_gradient(coupled, lambda w: np.r_[w[1:], 0] + np.r_[w[:-1], 0], w)
    assert report.diagnosis == "permutation"
    assert report.summary == "a term of w's gradient is w shifted to the wrong side, by 1 place"
    t = np.tanh
    report = check_gradient(
        lambda w: float(t(w[1:]) @ w[:-1]), lambda w: np.r_[t(w[1:]), 0] + np.r_[w[:-1] * (1 - t(w[1:]) ** 2), 0], w
    )
    assert "shift" in report.summary  # the total alone cannot tell what it is
    report = check_gradient(smooth, lambda x: np.full(n, smooth_grad(x).mean()), w)
    assert not report.ok
    assert "over the wrong axis" not in report.summary


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_diagonal_of_a_jacobian_is_named(n):
    z = np.random.default_rng(n).normal(size=n)
    report = check_jacobian(softmax, lambda z: np.diag(softmax(z) * (1 - softmax(z))), z)
    assert report.diagnosis.startswith("missing-term")
    assert "the diagonal of the true one" in report.summary
    rows = np.stack([z, -z])
    each = [np.eye(2), np.eye(n)]
    report = check_jacobian(softmax, lambda z: np.einsum("nk,nm,kl->nkml", softmax(z) * (1 - softmax(z)), *each), rows)
    assert report.diagnosis.startswith("missing-term")


@pytest.mark.parametrize("n", [1, 3, 6])
def test_a_wrong_small_vector_costs_a_few_dozen_evaluations(n):
    for factor in (2.0, -1.0, 1.001):
        report = check_gradient(smooth, lambda x, c=factor: c * smooth_grad(x), X6[:n])
        assert report.evaluations <= 30 + 10 * n, str(report)


def test_a_wrong_pullback_is_rejected_for_its_reason():
    def f(x):
        return np.tanh(X55 @ x)

    def vjp(y, x):
        return X55.T @ (y * (1 - np.tanh(X55 @ x) ** 2))

    assert check_vjp(f, vjp, X6[:5])
    assert check_vjp(f, lambda y, x: 3 * vjp(y, x), X6[:5]).diagnosis == "scale:3"
    assert check_vjp(f, lambda y, x: X55 @ (y * (1 - np.tanh(X55 @ x) ** 2)), X6[:5]).diagnosis == "dense"
    assert check_vjp(f, lambda y, x: vjp(np.ones(5), x), X6[:5]).diagnosis == "cotangent"
    assert check_vjp(np.sin, lambda y, x: y.ravel(order="K").reshape(x.shape) * np.cos(x), X45).diagnosis == "layout"
