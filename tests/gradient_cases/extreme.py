"""Scales, domain edges, oscillation, cancellation, saturation, zeros; trees; huge arrays."""

from __future__ import annotations

from collections.abc import Iterator

import mpmath
import numpy as np

from gradient_cases.rows import Row, absolute, family, logsumexp, put, right, softmax, wrong


@family
def scales(r: np.random.Generator) -> Iterator[Row]:
    x = r.normal(size=5)
    for k in (-12, -6, 6, 12):
        s = 10.0**k
        f = lambda x, s=s: s * np.sum(np.tanh(x / s))
        yield right(f"scale 1e{k}", f, lambda x, s=s: 1 - np.tanh(x / s) ** 2, x * s)
        yield wrong(f"scale 1e{k}: by 8", "scale:8", f, lambda x, s=s: 8 * (1 - np.tanh(x / s) ** 2), x * s)
    units = np.array([1e-12, 1e-4, 1.0, 1e5, 1e12]) * r.uniform(1, 2, 5)
    logs = lambda x: np.sum(np.log(x))
    closed = lambda *x: sum(mpmath.log(v) for v in x)
    yield right("units apart", logs, lambda x: 1 / x, units, closed=closed)
    yield wrong("units apart: twice", "scale:2", logs, lambda x: 2 / x, units, closed=closed)
    yield wrong(
        "units apart: two by 3/2",
        "few-entries|block|dense",
        logs,
        lambda x: (1 + (np.arange(5) > 2) / 2) / x,
        units,
        closed=closed,
    )
    yield wrong("units apart: the small one", "few-entries", logs, lambda x: (1 + (np.arange(5) == 0)) / x, units, closed=closed)
    yield wrong(
        "units apart: the large one", "few-entries", logs, lambda x: (1 + 0.1 * (np.arange(5) == 4)) / x, units, closed=closed
    )
    two = lambda x, y: np.sum(x**2) + 1e-8 * np.sum(np.sin(y))
    yield right("one leaf matters little", two, lambda x, y: (2 * x, 1e-8 * np.cos(y)), x, x + 1)
    yield wrong(
        "one leaf matters little, and is wrong", "scale:1.5", two, lambda x, y: (2 * x, 1.5e-8 * np.cos(y)), x, x + 1, blame=(1,)
    )
    for offset in (1e6, 1e9):
        yield right(f"behind {offset:g}", lambda x, o=offset: o + np.sum(x**2), lambda x: 2 * x, x)
    yield wrong("behind 1e6: by 2", "scale:2", lambda x: 1e6 + np.sum(x**2), lambda x: 4 * x, x)


@family
def edges(r: np.random.Generator) -> Iterator[Row]:
    u = r.uniform(0.1, 0.9, 3)
    log = lambda p: -np.sum(np.log(1 - p))
    yield right(
        "log near its edge", log, lambda p: 1 / (1 - p), np.r_[1 - 1e-9, u], closed=lambda *p: -sum(mpmath.log(1 - v) for v in p)
    )
    yield wrong(
        "log near its edge: sign",
        "sign",
        log,
        lambda p: -1 / (1 - p),
        np.r_[1 - 1e-9, u],
        closed=lambda *p: -sum(mpmath.log(1 - v) for v in p),
    )
    tiny = 10.0 ** -r.uniform(5, 10, 4)
    yield right("log of tiny", lambda x: np.sum(np.log(x)), lambda x: 1 / x, tiny)
    yield right("square root of tiny", lambda x: np.sum(np.sqrt(x)), lambda x: 0.5 / np.sqrt(x), tiny)
    yield right("x^1.5 at 0", lambda x: np.sum(x**1.5), lambda x: 1.5 * x**0.5, np.r_[0.0, u])
    near = 1 - 10.0 ** -r.uniform(6, 9, 2)
    for name, f, slope, m in (
        ("arcsin", np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x)), mpmath.asin),
        ("arctanh", np.arctanh, lambda x: 1 / ((1 - x) * (1 + x)), mpmath.atanh),
    ):
        closed = lambda *x, m=m: sum(m(v) for v in x)
        yield right(f"{name} near 1", lambda x, f=f: np.sum(f(x)), slope, near, closed=closed)
        yield wrong(
            f"{name} near 1: half", "scale:0.5", lambda x, f=f: np.sum(f(x)), lambda x, s=slope: s(x) / 2, near, closed=closed
        )

    def strict(x):
        if np.any(x.real <= 0.5):
            raise ValueError("outside")
        return np.sum(np.sqrt(x - 0.5))

    yield right("raises beside the point", strict, lambda x: 0.5 / np.sqrt(x - 0.5), 0.5 + np.r_[1e-6, u])
    nan = lambda x: np.sum(np.where(x.real < 1, np.nan, (x - 1) ** 2))
    yield right("NaN beside the point", nan, lambda x: 2 * (x - 1), np.r_[1.0 + 1e-7, 1 + u])


@family
def shapes_of_functions(r: np.random.Generator) -> Iterator[Row]:
    x, c = r.normal(size=5), r.normal(size=5)
    for w in (1e3, 1e6):
        yield right(f"sin({w:g} x)", lambda x, w=w: np.sum(np.sin(w * x)), lambda x, w=w: w * np.cos(w * x), x)
        yield wrong(
            f"sin({w:g} x): inner slope",
            f"scale:{1 / w:.10g}",
            lambda x, w=w: np.sum(np.sin(w * x)),
            lambda x, w=w: np.cos(w * x),
            x,
        )
    yield right("far out", lambda x: np.sum(np.sin(x)), np.cos, 1e6 + x)
    yield right(
        "saturated", lambda x: np.sum(c * np.tanh(x)), lambda x: c / np.cosh(x) ** 2, np.array([18.0, -20, 0.3, 25, -0.7])
    )
    yield right("logsumexp far apart", logsumexp, softmax, np.array([300.0, 0.0, -50]) + x[:3])
    yield right("logsumexp of equals", logsumexp, softmax, np.full(4, 1e3))
    yield right("cancelling terms", lambda x: np.sum(x**2) + 1e6 * (np.sum(x) - np.sum(x[::-1])), lambda x: 2 * x, x)
    yield right("cancelling gradient", lambda x: np.sum(np.sin(x) - x), lambda x: -2 * np.sin(x / 2) ** 2, 1e-2 * x)
    yield right("variance, far", lambda x: np.mean((x - x.mean()) ** 2), lambda x: 2 * (x - x.mean()) / 5, 1e5 + x)
    yield right("zero gradient", lambda x: 0 * np.sum(x) + 2.5, lambda x: 0 * x, x)
    yield right("minimum", lambda x: np.sum((x - c) ** 2), lambda x: 2 * (x - c), c.copy())
    yield right("odd at zero", lambda x: np.sum(np.sin(x) ** 3), lambda x: 3 * np.sin(x) ** 2 * np.cos(x), np.zeros(4))
    yield right("even at zero", lambda x: np.sum(np.cos(x)), lambda x: -np.sin(x), np.zeros(4))
    yield right("exp of large", lambda x: np.sum(np.exp(x)), np.exp, 300 + x)
    yield right("product of many", np.prod, lambda x: np.prod(x) / x, r.uniform(0.5, 2, 40))
    yield right("Rosenbrock", _rosenbrock, _rosenbrock_grad, x)
    yield wrong("Rosenbrock: one path", "dense|few-entries", _rosenbrock, lambda x: _rosenbrock_grad(x, 0), x)
    yield right(
        "chirp",
        lambda x: np.sum(x**2 * np.sin(1 / x)),
        lambda x: 2 * x * np.sin(1 / x) - np.cos(1 / x),
        np.array([0.05, -0.02, 0.3]),
    )
    yield right(
        "one of many matters",
        lambda x: x[3] ** 2 + x[70],
        lambda x: 2 * x[3] * np.eye(100)[3] + np.eye(100)[70],
        r.normal(size=100),
    )


def _rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def _rosenbrock_grad(x, through=1):
    g, off = np.zeros_like(x), x[1:] - x[:-1] ** 2
    g[1:] += 200 * off * through
    g[:-1] += -400 * off * x[:-1] - 2 * (1 - x[:-1])
    return g


@family
def trees(r: np.random.Generator) -> Iterator[Row]:
    params = {"layers": [r.normal(size=(2, 3)), r.normal(size=4)], "head": (1.5, r.normal(size=2)), "steps": 3}

    def f(p):
        return sum((k + 1) * np.sum(np.sin(v)) for k, v in enumerate(p["layers"])) + p["head"][0] ** 2 * np.sum(p["head"][1] ** 3)

    def grad(p, first=1.0, head=1.0):
        a, v = p["head"]
        layers = [(k + 1) * np.cos(v) for k, v in enumerate(p["layers"])]
        return {"layers": [first * layers[0], *layers[1:]], "head": (head * 2 * a * np.sum(v**3), a**2 * 3 * v**2), "steps": None}

    yield right("tree", f, grad, params)
    yield wrong("tree: first layer by 3", "scale:3", f, lambda p: grad(p, first=3.0), params, blame=(0,))
    yield wrong("tree: head's sign", "sign", f, lambda p: grad(p, head=-1.0), params, blame=(2,))
    many = [r.normal(size=(2, 2)) for _ in range(25)]
    total = lambda *xs: sum(np.sum(np.sin((k + 1) * x)) for k, x in enumerate(xs))
    slopes = lambda *xs: tuple((k + 1) * np.cos((k + 1) * x) for k, x in enumerate(xs))
    yield right("many leaves", total, slopes, *many)
    yield wrong(
        "many leaves: one of them",
        "sign",
        total,
        lambda *xs: tuple(-g if k == 17 else g for k, g in enumerate(slopes(*xs))),
        *many,
        blame=(17,),
    )
    yield right("integers among floats", lambda x, n: np.sum(x**n), lambda x, n: (n * x ** (n - 1), None), r.normal(size=4), 3)
    yield right("list of numbers", lambda x: sum(v**2 for v in x), lambda x: [2 * v for v in x], [1.0, 2.5, -3.0])
    yield right("number", lambda x: np.exp(np.sin(x)), lambda x: np.cos(x) * np.exp(np.sin(x)), 0.7)
    yield right("empty beside", lambda x, e: np.sum(x**2) + np.sum(e), lambda x, e: (2 * x, e), r.normal(size=3), np.zeros(0))


@family
def huge(r: np.random.Generator) -> Iterator[Row]:
    x, n = r.normal(size=100_000), 100_000
    f = lambda x: np.sum(x * np.cos(x)) + 0.5 * np.mean(x) ** 2
    grad = lambda x: np.cos(x) - x * np.sin(x) + np.mean(x) / x.size
    k = int(r.integers(n))
    yield right("100,000 entries", f, grad, x, huge=True)
    yield wrong("100,000 entries: one of them", "few-entries", f, lambda x: put(grad(x), k, grad(x)[k] + 3.0), x, huge=True)
    yield wrong("100,000 entries: by 100,000", "scale:1e-05", f, lambda x: grad(x) / n, x, huge=True)
    X = r.normal(size=(400, 300))
    g = lambda X: np.mean(np.tanh(X))
    slope = lambda X: (1 - np.tanh(X) ** 2) / X.size
    yield right("a matrix of 120,000", g, slope, X, huge=True)
    yield wrong("a matrix of 120,000: a row", "block", g, lambda X: put(slope(X), 111, 0.0), X, huge=True)
    yield right("a million", lambda x: np.sum(absolute(x)), np.sign, r.normal(size=1_000_000), huge=True)
