"""Kinks, ties, jumps elsewhere, casts, noise: where differences are hard to read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradient_cases.rows import Row, absolute, away, family, relu, right, sigmoid, wrong

F32 = np.float32


@family
def kinks(r: np.random.Generator) -> Iterator[Row]:
    c = r.uniform(1, 3, 5)
    x = away(r, 5)
    z = x * [1, 0, 1, 0, 1]
    f = lambda x: c @ relu(x)
    yield right("relu at zeros, slope 0", f, lambda x: c * (x > 0), z, kink=True)
    yield right("relu at zeros, slope 1", f, lambda x: c * (x >= 0), z, kink=True)
    yield right("relu at zeros, slope 1/2", f, lambda x: c * np.heaviside(x, 0.5), z, kink=True)
    yield wrong("relu at zeros, slope 2", "kink|few-entries", f, lambda x: c * np.heaviside(x, 2.0), z, kink=True)
    yield wrong("relu at zeros, slope -1", "kink|few-entries", f, lambda x: c * np.heaviside(x, -1.0), z, kink=True)
    prelu = lambda x, a: np.sum(c * np.where(x.real > 0, x, a * x))
    sides = lambda x, a: (c * np.where(x > 0, 1, a), float(np.sum(c * x * (x < 0))))
    yield right("prelu at zeros", prelu, sides, z, 0.25)
    yield wrong(
        "prelu at zeros: over all", "scale|sign|dense", prelu, lambda x, a: (sides(x, a)[0], float(c @ x)), z, 0.25, blame=(1,)
    )
    selu = lambda x: 1.05 * np.sum(c * np.where(x.real > 0, x, 1.67 * (np.exp(x) - 1)))
    bent = lambda x: c * np.where(x > 0, 1, 1.67 * np.exp(x))
    yield wrong("selu at zeros: scale lost", "scale:0.9523809524", selu, bent, z)
    both = lambda x: np.sum(c * absolute(x) + np.sin(x))
    slope = lambda x: c * np.sign(x) + np.cos(x)
    yield right("absolute at zeros", both, slope, z, kink=True)
    yield wrong(
        "absolute at zeros, and a fault beside",
        "few-entries|kink|dense|scale",
        both,
        lambda x: slope(x) + 0.4 * (np.arange(5) == 4),
        z,
        kink=True,
    )
    yield wrong("absolute at zeros: twice", "scale:2|kink", both, lambda x: 2 * slope(x), z, kink=True)
    yield right("kink a hair away", lambda x: np.sum(absolute(x - 1)), lambda x: np.sign(x - 1), 1 + away(r, 4, 1e-7, 1e-6))
    yield right("a hair beside a kink", lambda x: np.sum(relu(x - 1)), lambda x: (x > 1) * 1.0, np.array([1 + 1e-12, 2, 0.5]))
    yield right("relu, none at zero", f, lambda x: c * (x > 0), away(r, 5, 1e-3, 1e-2))
    flat = r.uniform(0.2, 0.8, 4) + np.array([1, -2, 3, 0])
    yield right("piecewise constant", lambda x: np.sum(np.floor(x.real)), lambda x: 0 * x, flat)
    yield wrong(
        "piecewise constant: 1",
        "zero|dense|mask|missing-term|few-entries|regulariser|missing-factor",
        lambda x: np.sum(np.floor(x.real)),
        np.ones_like,
        flat,
    )
    yield right("rounded up plus smooth", lambda x: np.sum(np.ceil(x.real) + x**2), lambda x: 2 * x, flat)
    tied = np.repeat(r.normal(size=2), 2)
    yield right(
        "maximum of all equal", lambda x: 3 * np.max(x), lambda x: np.full(4, 0.75), np.full(4, r.uniform(1, 2)), kink=True
    )
    yield right("sorted with ties", lambda x: np.sort(x) @ [1.0, 2, 3, 4], _ranks, tied, kink=True)
    yield right("median", lambda x: 2 * np.sort(x)[2], lambda x: 2.0 * (np.argsort(np.argsort(x)) == 2), r.permutation(5) + 0.5)
    yield right("norm at zero", lambda x: np.sqrt(np.sum(x**2)), lambda x: 0 * x, np.zeros(3), kink=True)
    yield right("hinge on its margin", lambda x: relu(1 - x), lambda x: -0.3, 1.0, kink=True)
    yield wrong("hinge on its margin: sign", "kink|sign", lambda x: relu(1 - x), lambda x: 1.0, 1.0, kink=True)
    eye = np.eye(2)
    top = lambda M: (M[0, 0] + M[1, 1]) / 2 + np.sqrt((M[0, 0] - M[1, 1]) ** 2 + (M[0, 1] + M[1, 0]) ** 2) / 2
    yield right("largest eigenvalue of equals: half of each", top, lambda M: eye / 2, 2 * eye, kink=True)
    yield wrong("largest eigenvalue of equals: each of them", "kink", top, lambda M: eye, 2 * eye, kink=True)
    W, X = r.normal(size=(3, 4)), r.normal(size=(6, 3))
    net = lambda W: np.sum(relu(X @ W) ** 2)
    yield right("relu net at zero weights", net, lambda W: X.T @ (2 * relu(X @ W)), 0 * W)
    yield right("relu net", net, lambda W: X.T @ (2 * relu(X @ W)), W)


def _ranks(x):
    return np.argsort(np.argsort(x, kind="stable"), kind="stable") + 1.0


def _low(f):
    """f as it is with a cast to float32 within."""
    return lambda *x: float(f(*[np.asarray(v, F32) for v in x]))


@family
def low_precision(r: np.random.Generator) -> Iterator[Row]:
    X, x = r.normal(size=(3, 4)), r.uniform(0.5, 2, 5)
    squares, tanh = (lambda x: np.sum(x * x)), (lambda x: np.sum(np.tanh(x)))
    slope = lambda x: 1 - np.tanh(x) ** 2
    yield right("float32 within: squares", _low(squares), lambda x: 2 * x, X, exact=squares)
    yield right("float32 within: tanh", _low(tanh), slope, X, exact=tanh)
    yield right("float32 within: product", _low(np.prod), lambda x: np.prod(x) / x, x, exact=np.prod)
    yield wrong("float32 within: twice", "scale:2", _low(squares), lambda x: 4 * x, X, exact=squares)
    yield wrong("float32 within: sign", "sign", _low(tanh), lambda x: -slope(x), X, exact=tanh)
    yield wrong(
        "float32 within: one entry by half",
        "few-entries",
        _low(squares),
        lambda x: 2 * x * (1 + 0.5 * (np.arange(12).reshape(3, 4) == 5)),
        X + np.sign(X),
        exact=squares,
    )
    X32, x32 = X.astype(F32), x.astype(F32)
    loose = {"accuracy": 1e-4}
    yield right("float32: squares", squares, lambda x: 2 * x, X32, **loose)
    yield right("float32: tanh", tanh, slope, X32, **loose)
    yield right("float32: log", lambda x: np.sum(np.log(x)), lambda x: 1 / x, x32, **loose)
    yield right(
        "float32: many", lambda x: np.mean(np.sin(x)), lambda x: np.cos(x) / F32(x.size), r.normal(size=900).astype(F32), **loose
    )
    yield wrong("float32: twice", "scale:2", squares, lambda x: 4 * x, X32, **loose)
    yield wrong(
        "float32: transposed",
        "transpose",
        lambda x: np.sum(np.sin(x) * np.arange(9.0).reshape(3, 3).astype(x.dtype)),
        lambda x: (np.cos(x) * np.arange(9.0).reshape(3, 3).astype(x.dtype)).T.copy(),
        X32[:, :3].copy(),
        **loose,
    )
    yield wrong("float32: one entry by 3 %", "few-entries", squares, lambda x: put32(2 * x, 1.03), X32, **loose)
    yield wrong("float32: zero", "zero", tanh, lambda x: 0 * x, X32, **loose)
    yield right("float16: squares", squares, lambda x: 2 * x, X.astype(np.float16), accuracy=1e-2)
    yield wrong("float16: thrice", "scale:3", squares, lambda x: 6 * x, X.astype(np.float16), accuracy=1e-2)
    yield right("long double", lambda x: np.sum(x**3), lambda x: 3 * x**2, x.astype(np.longdouble))
    W32, batch = r.normal(size=(64, 32)).astype(F32), r.normal(size=(50, 64)).astype(F32)
    layer = lambda W: np.mean(np.tanh(batch @ W) ** 2)

    def pull(W):
        h = np.tanh(batch @ W)
        return batch.T @ (2 * h * (1 - h**2) / F32(h.size))

    yield right("float32: a layer of 2048 weights", layer, pull, W32, **loose)
    mixed = lambda a, b: np.sum(a * np.sin(b))
    yield right("data that came in float32", lambda x: x @ X32.astype(float).sum(0), lambda x: X32.astype(float).sum(0), X[0])
    yield right("weights that came in float32", lambda x: x[:4] @ X32[1].astype(float), lambda x: X32[1].astype(float), X[0])
    yield right("float32 beside float64", mixed, lambda a, b: (np.sin(b), a * np.cos(b)), X32, X, **loose)


def put32(g, factor):
    g = g.copy()
    g[1, 2] *= F32(factor)
    return g


def _root(x, tolerance):
    y = 0 * x
    for _ in range(200):
        step = (y**3 + y - x) / (3 * y**2 + 1)
        y = y - step
        if np.max(np.abs(step)) < tolerance:
            break
    return y


def _fixed(x, tolerance):
    y, step = 0 * x, 0 * x + 1
    while np.max(np.abs(step)) > tolerance:
        step = np.sin(x + y) / 2 - y
        y = y + step
    return y


@family
def noise(r: np.random.Generator) -> Iterator[Row]:
    x, X = r.uniform(0.5, 2, 5), r.normal(size=(3, 4))
    root = lambda x, t=1e-15: np.sum(_root(x, t))
    slope = lambda x: 1 / (3 * _root(x, 1e-15) ** 2 + 1)
    yield right("solver, loose", lambda x: root(x, 1e-5), slope, x, exact=root)
    yield right("solver, tight", lambda x: root(x, 1e-11), slope, x, exact=root)
    yield wrong("solver, loose: twice", "scale:2", lambda x: root(x, 1e-5), lambda x: 2 * slope(x), x, exact=root)
    roots = lambda x: np.sum(np.sqrt(x))
    iterated = lambda x: roots(x) + 1e-8 * np.sum(np.sin(3 * x))
    yield right("an iteration's own slope", iterated, lambda x: 0.5 / np.sqrt(x), x, exact=roots)
    fixed = lambda x, t=1e-15: np.sum(_fixed(x, t))

    def implicit(x, whole=True):
        c = np.cos(x + _fixed(x, 1e-15)) / 2
        return c / (1 - c) if whole else c

    yield right("fixed point", lambda x: fixed(x, 1e-10), implicit, x, exact=fixed)
    yield wrong(
        "fixed point: last step only",
        "missing-factor|dense",
        lambda x: fixed(x, 1e-10),
        lambda x: implicit(x, False),
        x,
        exact=fixed,
    )
    squares = lambda x: np.sum(x**2)
    yield right("rounded to six places", lambda x: np.round(squares(x), 6), lambda x: 2 * x, x, exact=squares)
    yield right("ripple", lambda x: squares(x) + 1e-10 * np.sum(np.sin(1e8 * x)), lambda x: 2 * x, x, exact=squares)
    hashed = lambda x: squares(x) + 1e-9 * np.sin(1e13 * np.sum(x))
    yield right("hashed noise", hashed, lambda x: 2 * x, x, exact=squares)
    yield wrong("hashed noise: by 3", "scale:3", hashed, lambda x: 6 * x, x, exact=squares)
    t = np.linspace(0, 1, 200)
    integral = lambda a: np.sum(np.exp(-(np.outer(a, t) ** 2))) / 200
    yield right("quadrature", integral, lambda a: np.sum(-2 * np.outer(a, t**2) * np.exp(-(np.outer(a, t) ** 2)), 1) / 200, x)
    yield right("logistic", lambda x: np.sum(sigmoid(30 * x)), lambda x: 30 * sigmoid(30 * x) * (1 - sigmoid(30 * x)), X)
