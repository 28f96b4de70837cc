"""Correct gradients, at points where differences have a hard time: none is rejected, few are undecided, all are cheap.

Every row's own gradient is first held against an independent judge: the complex step, or mpmath with 60 digits.
"""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from scipy import special

from derivkit.checking.check import check_gradient

RNG = np.random.default_rng(20)
F32 = np.float32
X5 = RNG.normal(size=5)
P5 = RNG.uniform(0.5, 2.0, 5)
X34 = RNG.normal(size=(3, 4))
X12 = X34[0].repeat(3)
A5 = RNG.normal(size=(5, 5))
S5 = A5 @ A5.T + np.eye(5)
HILBERT = 1.0 / (np.arange(6)[:, None] + np.arange(6) + 1)
C5 = np.array([1.0, -2.0, 0.5, 3.0, -0.7])


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def mp_judge(function):
    """The judge of a function of one variable: mpmath's own derivative at 60 digits."""

    def judge(x):
        with mpmath.workdps(60):
            v = mpmath.mpf(float(x))
            return float(mpmath.diff(function, v, h=(abs(v) or 1) * mpmath.mpf(10) ** -25))

    return judge


#: name: f and f' of one variable, mpmath's f (None: no second judge), and the points.
ELEMENTWISE = {
    "exp": (np.exp, np.exp, mpmath.exp, [0.0, 1.0, -700.0, 50.0, 300.0, 700.0]),
    "expm1": (np.expm1, np.exp, mpmath.expm1, [1e-10, -30.0, 0.0]),
    "log": (np.log, lambda x: 1 / x, mpmath.log, [1e-300, 1e-12, 1.0, 1 + 1e-9, 1e12]),
    "log1p": (np.log1p, lambda x: 1 / (1 + x), mpmath.log1p, [1e-12, -0.99999, -1 + 1e-12, 1e8]),
    "log(1 - x)": (lambda x: np.log(1 - x), lambda x: -1 / (1 - x), lambda x: mpmath.log(1 - x), [1 - 1e-9, 1 - 1e-13]),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x), mpmath.sqrt, [1e-300, 1e-12, 4.0, 1e12]),
    "sqrt(1 - x^2)": (
        lambda x: np.sqrt(1 - x**2),
        lambda x: -x / np.sqrt(1 - x**2),
        lambda x: mpmath.sqrt(1 - x**2),
        [0.0, 0.9999999, 1 - 1e-12],
    ),
    "arcsin": (np.arcsin, lambda x: 1 / np.sqrt(1 - x**2), mpmath.asin, [0.0, 0.5, 0.999999999, -0.99999999999]),
    "arccos": (np.arccos, lambda x: -1 / np.sqrt(1 - x**2), mpmath.acos, [0.0, 0.999999999]),
    "arctanh": (np.arctanh, lambda x: 1 / (1 - x**2), mpmath.atanh, [0.1, 0.9999999, -0.99999999999]),
    "arccosh": (np.arccosh, lambda x: 1 / np.sqrt((x - 1) * (x + 1)), mpmath.acosh, [1 + 1e-9, 1 + 1e-6, 2.0]),
    "arctan": (np.arctan, lambda x: 1 / (1 + x**2), mpmath.atan, [0.0, 1e3, 1e8]),
    "tan": (np.tan, lambda x: 1 / np.cos(x) ** 2, mpmath.tan, [0.3, 1.57, 1.5707]),
    "sin": (np.sin, np.cos, mpmath.sin, [0.0, 1.0, math.pi / 2, 1e6, 1e9]),
    "sin(1e5 x)": (lambda x: np.sin(1e5 * x), lambda x: 1e5 * np.cos(1e5 * x), lambda x: mpmath.sin(100000 * x), [1.0]),
    "cos": (np.cos, lambda x: -np.sin(x), mpmath.cos, [0.0, 1e-9, 3.0]),
    "sinh": (np.sinh, np.cosh, mpmath.sinh, [0.0, 300.0, -20.0]),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2, mpmath.tanh, [0.0, 5.0, 20.0, -300.0]),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x), lambda x: 1 / (1 + mpmath.exp(-x)), [0.0, 30.0, -30.0]),
    "softplus": (lambda x: np.logaddexp(0, x), sigmoid, lambda x: mpmath.log(1 + mpmath.exp(x)), [0.0, 35.0, -5.0, 700.0]),
    "erf": (special.erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-(x**2)), mpmath.erf, [0.0, 1.0, 4.0, 7.0]),
    "lgamma": (special.gammaln, special.digamma, mpmath.loggamma, [1e-8, 1.5, 1e5]),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 1 / x, [1e-8, -3.0, 1e100]),
    "x^3": (lambda x: x**3, lambda x: 3 * x**2, lambda x: x**3, [0.0, 1e-50, 1e50, -2.0]),
    "x^10": (lambda x: x**10, lambda x: 10 * x**9, lambda x: x**10, [0.0, 1.0, 1e-20]),
    "x^1.5": (lambda x: x**1.5, lambda x: 1.5 * x**0.5, None, [0.0, 1e-10, 7.0]),
    "x^x": (lambda x: x**x, lambda x: x**x * (np.log(x) + 1), lambda x: x**x, [0.3, 1 / math.e, 1e-6, 20.0]),
    "x log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1, lambda x: x * mpmath.log(x), [1e-12, 1 / math.e, 1.0]),
    "exp(-1/x^2)": (
        lambda x: np.exp(-1 / x**2),
        lambda x: 2 / x**3 * np.exp(-1 / x**2),
        lambda x: mpmath.exp(-1 / x**2),
        [0.1, 0.04, 1.0],
    ),
    "x^2 sin(1/x)": (
        lambda x: x**2 * np.sin(1 / x),
        lambda x: 2 * x * np.sin(1 / x) - np.cos(1 / x),
        lambda x: x**2 * mpmath.sin(1 / x),
        [0.3, 0.01, 1e-3],
    ),
    "Runge": (
        lambda x: 1 / (1 + 1e6 * x**2),
        lambda x: -2e6 * x / (1 + 1e6 * x**2) ** 2,
        lambda x: 1 / (1 + 1000000 * x**2),
        [0.0, 1e-3, 0.5],
    ),
    "spike": (
        lambda x: x + np.exp(-1e8 * (x - 1) ** 2),
        lambda x: 1 - 2e8 * (x - 1) * np.exp(-1e8 * (x - 1) ** 2),
        lambda x: x + mpmath.exp(-(10**8) * (x - 1) ** 2),
        [1.0, 1.0001],
    ),
    "cancels": (
        lambda x: (1 - np.cos(x)) / x**2,
        lambda x: np.sin(x) / x**2 - 2 * (1 - np.cos(x)) / x**3,
        lambda x: (1 - mpmath.cos(x)) / x**2,
        [0.1, 1.0],
    ),
    "x^2 far away": (lambda x: x**2, lambda x: 2 * x, lambda x: x**2, [1e8, 1e150, 1e-150]),
    "abs(x - 1)": (lambda x: np.abs(x - 1), lambda x: np.sign(x - 1), None, [1 + 1e-3, 1 - 1e-6, 1 + 1e-9, 1 - 1e-12, 1.0]),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, None, [0.0, 1e-9, -1e-300, 2.0]),
    "relu^2": (lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0), None, [0.0, 1e-5, -1e-5]),
    "x|x|": (lambda x: x * np.abs(x), lambda x: 2 * np.abs(x), None, [0.0, 1e-7, -3.0]),
    "|x|^1.5": (lambda x: np.abs(x) ** 1.5, lambda x: 1.5 * np.sqrt(np.abs(x)) * np.sign(x), None, [0.0, 1e-6]),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1.0, np.exp(x)), None, [0.0, 1e-8, -2.0]),
    "huber": (
        lambda x: np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5),
        lambda x: np.clip(x, -1, 1),
        None,
        [0.0, 1.0, 1 + 1e-7, -5.0],
    ),
    "floor": (np.floor, lambda x: 0 * x, None, [2.5, -0.001, 1000.01]),
    "x + floor": (lambda x: x + np.floor(x), lambda x: 1.0 + 0 * x, None, [2.5, 0.99, 100.3]),
    "hinge": (lambda x: np.maximum(0, 1 - x), lambda x: -(x < 1) * 1.0, None, [0.999, 1.001, 1.0]),
    "clip": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1) * 1.0, None, [0.5, 1.1, 1 + 1e-8]),
}


def elementwise():
    """One row for each function and point as a Python float, and one for all its points in an array, with weights."""
    for name, (f, slope, judge, points) in ELEMENTWISE.items():
        for x in points:
            yield (
                f"{name} at {x:.13g}",
                (lambda x, f=f: float(f(x)), lambda x, s=slope: float(s(x)), x),
                judge and mp_judge(judge),
            )


def logsumexp(z):
    m = np.max(z.real)
    return m + np.log(np.sum(np.exp(z - m)))


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def layer_norm(x):
    return np.sum(C5 * (x - x.mean()) / np.sqrt(np.mean((x - x.mean()) ** 2) + 1e-5))


def layer_norm_grad(x):
    s = np.sqrt(np.mean((x - x.mean()) ** 2) + 1e-5)
    n = (x - x.mean()) / s
    return (C5 - C5.mean() - n * np.mean(C5 * n)) / s


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_grad(x):
    g, r = np.zeros_like(x), x[1:] - x[:-1] ** 2
    g[1:] += 200 * r
    g[:-1] += -400 * r * x[:-1] - 2 * (1 - x[:-1])
    return g


def wood(x, n=60):
    """Chaotic enough to stretch a step: sixty logistic steps short of chaos."""
    v = x[0]
    for _ in range(n):
        v = x[1] * v * (1 - v)
    return v


def wood_grad(x, n=60):
    v, d = x[0], np.array([1.0, 0.0])
    for _ in range(n):
        d = x[1] * (1 - 2 * v) * d + np.array([0.0, v * (1 - v)])
        v = x[1] * v * (1 - v)
    return d


def entropy(p):
    return np.sum(p * np.log(p))


def gaussian_nll(mu, s):
    return np.sum(0.5 * ((X5 - mu) / s) ** 2 + np.log(s))


#: Analytic functions of arrays: the complex step is the judge.
ANALYTIC = {
    "logsumexp far apart": (logsumexp, softmax, np.array([100.0, 0.0, -50.0])),
    "logsumexp farther": (logsumexp, softmax, np.array([1000.0, 0.0, -1000.0])),
    "logsumexp near": (logsumexp, softmax, np.array([100.0, 99.0, 98.0])),
    "logsumexp at zero": (logsumexp, softmax, np.zeros(4)),
    "logsumexp, naive": (lambda z: np.log(np.sum(np.exp(z))), softmax, np.array([300.0, 10.0, -5.0])),
    "cross entropy": (lambda z: logsumexp(z) - z[1], lambda z: softmax(z) - np.eye(5)[1], 5 * X5),
    "cross entropy, sure": (lambda z: logsumexp(z) - z[0], lambda z: softmax(z) - np.eye(3)[0], np.array([20.0, 0.0, -3.0])),
    "cross entropy, surer": (lambda z: logsumexp(z) - z[0], lambda z: softmax(z) - np.eye(3)[0], np.array([60.0, 1.0, -3.0])),
    "entropy": (entropy, lambda p: np.log(p) + 1, P5),
    "entropy, nearly one-hot": (entropy, lambda p: np.log(p) + 1, np.array([1 - 2e-9, 1e-9, 1e-9])),
    "norm": (lambda x: np.sqrt(np.sum(x * x)), lambda x: x / np.sqrt(np.sum(x * x)), X5),
    "norm, tiny": (lambda x: np.sqrt(np.sum(x * x)), lambda x: x / np.sqrt(np.sum(x * x)), 1e-100 * X5),
    "norm, one entry tiny": (lambda x: np.sqrt(np.sum(x * x)), lambda x: x / np.sqrt(np.sum(x * x)), np.array([3.0, 1e-7, 4.0])),
    "norm of a difference": (
        lambda x: np.sqrt(np.sum((x - 1) ** 2)),
        lambda x: (x - 1) / np.sqrt(np.sum((x - 1) ** 2)),
        1 + 1e-5 * X5,
    ),
    "quadratic": (lambda x: x @ S5 @ x, lambda x: 2 * S5 @ x, X5),
    "quadratic, Hilbert": (lambda x: x @ HILBERT @ x, lambda x: 2 * HILBERT @ x, RNG.normal(size=6)),
    "quadratic, badly scaled": (
        lambda x: np.sum(10.0 ** np.arange(-12, 13, 6) * x**2),
        lambda x: 2 * 10.0 ** np.arange(-12, 13, 6) * x,
        X5,
    ),
    "quadratic at its minimum": (lambda x: np.sum(S5 @ (x - P5) * (x - P5)), lambda x: 2 * S5 @ (x - P5), P5),
    "near the minimum": (lambda x: np.sum((x - P5) ** 2), lambda x: 2 * (x - P5), P5 + 1e-7),
    "near a minimum with a value": (lambda x: 3 + np.sum((x - P5) ** 2), lambda x: 2 * (x - P5), P5 + 1e-4),
    "rosenbrock": (rosenbrock, rosenbrock_grad, np.array([-1.2, 1.0, 0.5, 2.0])),
    "rosenbrock at its minimum": (rosenbrock, rosenbrock_grad, np.ones(4)),
    "determinant": (lambda x: np.linalg.det(x), lambda x: np.linalg.det(x) * np.linalg.inv(x).T, A5),
    "log determinant": (lambda x: np.log(np.linalg.det(x)), lambda x: np.linalg.inv(x).T, S5),
    "log determinant, bad": (lambda x: np.log(np.linalg.det(x)), lambda x: np.linalg.inv(x).T, HILBERT[:4, :4]),
    "trace of the inverse": (lambda x: np.trace(np.linalg.inv(x)), lambda x: -(np.linalg.inv(x) @ np.linalg.inv(x)).T, S5),
    "solve": (
        lambda a: C5 @ np.linalg.solve(a, X5),
        lambda a: -np.outer(np.linalg.solve(a.T, C5), np.linalg.solve(a, X5)),
        S5,
    ),
    "layer norm": (layer_norm, layer_norm_grad, X5),
    "layer norm, almost constant": (layer_norm, layer_norm_grad, 1 + 1e-3 * X5),
    "layer norm, far": (layer_norm, layer_norm_grad, 1e4 + X5),
    "variance, far": (lambda x: np.mean((x - x.mean()) ** 2), lambda x: 2 * (x - x.mean()) / x.size, 1e6 + X5),
    "variance, textbook": (lambda x: np.mean(x**2) - x.mean() ** 2, lambda x: 2 * (x - x.mean()) / x.size, 1e3 + X5),
    "logistic map": (wood, wood_grad, np.array([0.3, 2.9])),
    "big constant": (lambda x: 1e8 + np.sum(x**2), lambda x: 2 * x, X5),
    "bigger constant": (lambda x: 1e11 + np.sum(x**2), lambda x: 2 * x, X5),
    "cancelling constant": (lambda x: (1e6 + np.sum(x**2)) - 1e6, lambda x: 2 * x, X5),
    "cancelling terms": (lambda x: np.sum(x**2) + 1e6 * np.sum(x) - 1e6 * np.sum(x[::-1]), lambda x: 2 * x, X5),
    "cancelling gradient": (lambda x: np.sum(np.sin(x)) - np.sum(x), lambda x: np.cos(x) - 1, 1e-2 * X5),
    "product of many": (lambda x: np.prod(x), lambda x: np.prod(x) / x, RNG.uniform(0.5, 2, 40)),
    "product with units": (lambda x: np.prod(x), lambda x: np.prod(x) / x, np.array([1e-100, 1e50, 1e60])),
    "exp of large": (lambda x: np.sum(np.exp(x)), np.exp, np.array([600.0, 500.0, 1.0])),
    "log of a large exp": (lambda x: np.log(np.sum(np.exp(x))), softmax, np.array([700.0, 650.0])),
    "softmax times": (lambda z: softmax(z) @ C5, lambda z: softmax(z) * (C5 - softmax(z) @ C5), 10 * X5),
    "huge and tiny": (lambda x: np.sum(x**2), lambda x: 2 * x, np.array([1e150, 1e-150, 1.0])),
    "units": (lambda x: np.sum(np.log(x)), lambda x: 1 / x, np.array([1e-200, 1e-9, 1.0, 1e200])),
    "outer scale 1e-200": (lambda x: 1e-200 * np.sum(np.sin(x)), lambda x: 1e-200 * np.cos(x), X5),
    "outer scale 1e200": (lambda x: 1e200 * np.sum(np.sin(x)), lambda x: 1e200 * np.cos(x), X5),
    "zero times": (lambda x: 0 * np.sum(x), lambda x: 0 * x, X5),
    "zero-dimensional": (lambda x: np.exp(np.sin(x)), lambda x: np.cos(x) * np.exp(np.sin(x)), np.array(0.7)),
    "one entry": (lambda x: np.sum(x**2), lambda x: 2 * x, np.array([[[3.0]]])),
    "mean of many": (lambda x: np.mean(np.sin(x)), lambda x: np.cos(x) / x.size, RNG.normal(size=20000)),
    "product of sums": (lambda x: np.sum(x) * np.sum(x**2), lambda x: np.sum(x**2) + 2 * x * np.sum(x), X34),
    "odd at zero": (lambda x: np.sum(np.sin(x) ** 3), lambda x: 3 * np.sin(x) ** 2 * np.cos(x), np.zeros(3)),
    "mostly zeros": (lambda x: np.sum(np.sin(x) * (1 + x)), lambda x: np.cos(x) * (1 + x) + np.sin(x), np.eye(6)[2] * 5),
    "only two of many matter": (
        lambda x: x[3] ** 2 + x[70],
        lambda x: 2 * x[3] * np.eye(100)[3] + np.eye(100)[70],
        RNG.normal(size=100),
    ),
    "two arguments": (gaussian_nll, lambda mu, s: (np.sum((mu - X5) / s**2), np.sum(-((X5 - mu) ** 2) / s**3 + 1 / s)), 0.3, 2.0),
    "an unimportant argument": (
        lambda x, y: np.sum(x**2) + 1e-9 * np.sum(np.sin(y)),
        lambda x, y: (2 * x, 1e-9 * np.cos(y)),
        X5,
        X34,
    ),
    "an unused argument": (lambda x, y: np.sum(x**2), lambda x, y: (2 * x, 0 * y), X5, X34),
}


def relu(x):
    return np.maximum(x, 0)


def low(f):
    """f as it is when somebody casts to float32 within."""
    return lambda *x: float(f(*[np.asarray(v, F32) for v in x]))


def newton_root(x, tolerance):
    """The root y of y^3 + y = x, by Newton's method stopped at a tolerance."""
    y = np.zeros_like(x)
    for _ in range(200):
        step = (y**3 + y - x) / (3 * y**2 + 1)
        y = y - step
        if np.max(np.abs(step)) < tolerance:
            break
    return y


def root_grad(x):
    y = newton_root(x, 1e-15)
    return 1 / (3 * y**2 + 1)


def fixed_point(x, tolerance):
    """The y with y = sin(x + y) / 2, by iteration stopped at a tolerance: the count of steps jumps with x."""
    y, step = np.zeros_like(x), np.ones_like(x)
    while np.max(np.abs(step)) > tolerance:
        step = np.sin(x + y) / 2 - y
        y = y + step
    return y


def fixed_grad(x):
    c = np.cos(x + fixed_point(x, 1e-15)) / 2
    return c / (1 - c)


def bisected(x):
    """The square root by bisection down to 1e-9: a staircase."""
    lower, upper = 0.0, 4.0
    while upper - lower > 1e-9:
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if middle * middle < x else (lower, middle)
    return lower


def conv(w):
    return np.sum(np.convolve(X12, w, "valid") ** 2)


def conv_grad(w):
    return np.correlate(X12, 2 * np.convolve(X12, w, "valid"), "valid")[::-1]


def net(W1, b1, W2):
    return float(np.sum((relu(X34 @ W1 + b1) @ W2) ** 2))


def net_grad(W1, b1, W2):
    z = X34 @ W1 + b1
    y_bar = 2 * relu(z) @ W2
    z_bar = np.outer(y_bar, W2) * (z > 0)
    return X34.T @ z_bar, z_bar.sum(0), relu(z).T @ y_bar


def tree(p):
    return float(sum(np.sum(np.sin((k + 1) * v)) for k, v in enumerate(p["layers"])) + p["head"][0] ** 2 * p["head"][1])


def tree_grad(p):
    a, b = p["head"]
    return {"layers": [(k + 1) * np.cos((k + 1) * v) for k, v in enumerate(p["layers"])], "head": (2 * a * b, a**2)}


X32 = X34.astype(F32)
#: Functions that no complex number goes through; their gradients are closed forms that a reader can check.
ROUGH = {
    "float32 inside: squares": (low(lambda x: np.sum(x * x)), lambda x: 2 * x, X34),
    "float32 inside: exp": (low(lambda x: np.sum(np.exp(x))), np.exp, X34),
    "float32 inside: tanh": (low(lambda x: np.sum(np.tanh(x))), lambda x: 1 - np.tanh(x) ** 2, X34),
    "float32 inside: mean": (low(lambda x: np.mean(np.sin(x))), lambda x: np.cos(x) / x.size, X34),
    "float32 inside: logsumexp": (low(lambda z: np.log(np.sum(np.exp(z)))), softmax, X5),
    "float32 inside: product": (low(lambda x: np.prod(x)), lambda x: np.prod(x) / x, P5),
    "float32 inside: scalar": (low(lambda x: np.sin(x)), lambda x: math.cos(x), 0.6),
    "float32 inside: matrix": (low(lambda x: np.sum((x @ x.T) ** 2)), lambda x: 4 * x @ x.T @ x, X34),
    "float32 inside: relu net": (low(lambda x: np.sum(relu(x @ A5[:4].astype(F32)))), lambda x: (x @ A5[:4] > 0) @ A5[:4].T, X34),
    "float32 inside: constant 10": (low(lambda x: 10 + np.sum(x * x)), lambda x: 2 * x, X5),
    "float32 inside: two arguments": (low(lambda x, y: np.sum(x * y)), lambda x, y: (y, x), X34, X34 + 2),
    "float32 inside, float32 claim": (low(lambda x: np.sum(x**3)), lambda x: (3 * x.astype(F32) ** 2).astype(float), X34),
    "float32: squares": (lambda x: np.sum(x * x), lambda x: 2 * x, X32),
    "float32: exp": (lambda x: np.sum(np.exp(x)), np.exp, X32),
    "float32: mean of many": (lambda x: np.mean(x**2), lambda x: 2 * x / F32(x.size), RNG.normal(size=3000).astype(F32)),
    "float32: logsumexp": (lambda z: np.log(np.sum(np.exp(z))), softmax, X5.astype(F32)),
    "float32: constant 100": (lambda x: 100 + np.sum(x * x), lambda x: 2 * x, X32),
    "float32: one cast of f": (lambda x: F32(np.sum(x.astype(float) ** 2)), lambda x: 2 * x, X32),
    "float32: strict": (lambda x: np.sum(np.sin(x)) if x.dtype == F32 else 1 / 0, np.cos, X32),
    "float32: strict, two": (
        lambda x, y: np.sum(np.sin(x) * y) if x.dtype == F32 else 1 / 0,
        lambda x, y: (np.cos(x) * y, np.sin(x)),
        X32,
        X32 + F32(2),
    ),
    "float32 scalar": (lambda x: np.sin(x), lambda x: np.cos(x), F32(0.7)),
    "float16: squares": (lambda x: np.sum(x * x), lambda x: 2 * x, X5.astype(np.float16)),
    "rounded to six places": (lambda x: round(float(np.sum(x**2)), 6), lambda x: 2 * x, X5),
    "rounded to four places": (lambda x: round(float(np.sum(x**2)), 4), lambda x: 2 * x, X5),
    "solver, loose": (lambda x: float(np.sum(newton_root(x, 1e-5))), root_grad, P5),
    "solver, slow": (lambda x: float(np.sum(fixed_point(x, 1e-11))), fixed_grad, P5),
    "solver, tight": (lambda x: float(np.sum(newton_root(x, 1e-12))), root_grad, P5),
    "solver, bisection": (lambda x: bisected(x), lambda x: 0.5 / math.sqrt(x), 2.3),
    "ripple": (lambda x: float(np.sum(x**2) + 1e-10 * np.sum(np.sin(1e8 * x))), lambda x: 2 * x, X5),
    "hashed noise": (
        lambda x: float(np.sum(x**2) + 1e-7 * (math.sin(1e12 * float(np.sum(x))) % 1)),
        lambda x: 2 * x,
        X5,
    ),
    "relu net": (net, net_grad, RNG.normal(size=(4, 6)), 0.1 * RNG.normal(size=6), RNG.normal(size=6)),
    "relu net, a hidden unit on its kink": (net, net_grad, np.zeros((4, 6)), np.zeros(6), RNG.normal(size=6)),
    "abs sum": (lambda x: float(np.abs(x).sum()), np.sign, X34),
    "abs sum with zeros": (lambda x: float(np.abs(x).sum()), np.sign, np.where(np.arange(12).reshape(3, 4) % 3, X34, 0)),
    "maximum": (lambda x: float(x.max()), lambda x: (x == x.max()) * 1.0, X34),
    "maximum, nearly tied": (lambda x: float(x.max()), lambda x: (x == x.max()) * 1.0, np.array([1.0, 1.0 - 1e-7, 0.0])),
    "maximum, tied": (lambda x: float(x.max()), lambda x: (x == x.max()) / np.sum(x == x.max()), np.array([1.0, 1.0, 0.0])),
    "maximum, tied, first": (lambda x: float(x.max()), lambda x: np.array([1.0, 0, 0]), np.array([1.0, 1.0, 0.0])),
    "median": (lambda x: float(np.median(x)), lambda x: (x == np.median(x)) * 1.0, X5),
    "sorted": (lambda x: float(np.sort(x) @ C5), lambda x: C5[np.argsort(np.argsort(x))], X5),
    "interpolation": (lambda x: float(np.interp(x, [0, 1, 2], [0, 3, 1])), lambda x: -2.0, 1.25),
    "eigenvalue": (
        lambda x: float(np.linalg.eigvalsh((x + x.T) / 2)[-1]),
        lambda x: np.outer(*[np.linalg.eigh((x + x.T) / 2)[1][:, -1]] * 2),
        S5,
    ),
    "singular values": (
        lambda x: float(np.linalg.norm(x, "nuc")),
        lambda x: (u := np.linalg.svd(x, full_matrices=False))[0] @ u[2],
        X34,
    ),
    "convolution": (lambda w: float(conv(w)), conv_grad, np.array([1.0, -2.0, 0.3])),
    "tree": (tree, tree_grad, {"layers": [X5, X34, np.array(0.3)], "head": (1.5, -2.0)}),
    "sixty leaves": (
        lambda p: sum(math.sin(v) * (k + 1) for k, v in enumerate(p)),
        lambda p: [math.cos(v) * (k + 1) for k, v in enumerate(p)],
        RNG.normal(size=60).tolist(),
    ),
    "thirty arrays": (
        lambda *p: float(sum(np.sum(v**2) * 4.0**-k for k, v in enumerate(p))),
        lambda *p: tuple(2 * v * 4.0**-k for k, v in enumerate(p)),
        *RNG.normal(size=(30, 3)),
    ),
    "list of lists": (
        lambda m: m[0][0] * m[1][1] - m[0][1] * m[1][0],
        lambda m: [[m[1][1], -m[1][0]], [-m[0][1], m[0][0]]],
        [[1.0, 2.0], [3.0, 5.0]],
    ),
    "integers beside": (
        lambda x, k: float(np.sum(x[k])),
        lambda x, k: (np.bincount(k, minlength=5) * 1.0, None),
        X5,
        np.array([1, 1, 3]),
    ),
    "penalised, log barrier": (
        lambda x: float(-np.log(x).sum() - np.log(1 - x).sum()),
        lambda x: -1 / x + 1 / (1 - x),
        np.array([1e-7, 0.5, 1 - 1e-7]),
    ),
    "raises outside": (
        lambda x: math.sqrt(x) * math.log(2 - x),
        lambda x: math.log(2 - x) / (2 * math.sqrt(x)) - math.sqrt(x) / (2 - x),
        1.9999999,
    ),
    "raises below": (lambda x: math.acosh(x), lambda x: 1 / math.sqrt(x * x - 1), 1.0000001),
}

SINGLE = {name: (row, judge) for name, row, judge in elementwise()}
ROWS = {name: row for name, (row, _) in SINGLE.items()} | ANALYTIC | ROUGH
#: Where the function itself has too few digits for a verdict: these may be undecided, but never rejected.
MAY_BE_UNDECIDED = {
    "log(1 - x) at 0.9999999999999",  # 500 floats away from the edge
    "arctanh at -0.99999999999",
    "floor at 1000.01",  # a staircase, or a slope that is rounded?
    "cross entropy, surer",  # a difference of 60 and 60 that is exactly 0
    "float16: squares",
}


@pytest.mark.parametrize("name", [name for name, (_, judge) in SINGLE.items() if judge])
def test_mpmath_says_that_the_slopes_of_the_table_are_right(name):
    (_, slope, x), judge = SINGLE[name]
    truth = judge(x)
    # a slope may be that of arguments a few epsilons away, where the function is steep
    allowed = 1e-9 * abs(truth) + abs(judge(x * (1 + 1e-15)) - truth) + 1e-15 * (abs(truth) > 1e-3)
    assert abs(slope(x) - truth) <= max(allowed, 1e-15 if "x" not in name else 1e-13)


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_complex_step_says_that_the_gradients_of_the_table_are_right(name):
    f, grad, *args = ANALYTIC[name]
    claims = grad(*args) if len(args) > 1 else (grad(*args),)
    for k, (claim, x) in enumerate(zip(claims, args, strict=True)):
        x, claim = np.asarray(x, float), np.asarray(claim)
        size = float(np.max(np.abs(claim)))
        for index in itertools.islice(np.ndindex(x.shape), 40):
            h = 1e-20 * (abs(x[index]) or 1.0)
            moved = x.astype(complex)
            moved[index] += 1j * h
            with np.errstate(all="ignore"):
                truth = np.imag(f(*args[:k], moved, *args[k + 1 :])) / h
            assert abs(claim[index] - truth) <= 1e-7 * size + 1e-30


@pytest.mark.parametrize("name", ROWS)
def test_a_right_gradient_is_not_rejected(name):
    f, grad, *args = ROWS[name]
    for seed in (0, 1):
        report = check_gradient(f, grad, *args, seed=seed)
        assert report.ok or (report.undecided and name in MAY_BE_UNDECIDED), str(report)
        assert report.evaluations <= 1000


def test_most_right_gradients_cost_few_evaluations():
    counts = [check_gradient(f, grad, *args).evaluations for f, grad, *args in ANALYTIC.values()]
    assert np.median(counts) <= 40, counts
