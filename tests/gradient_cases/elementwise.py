"""Functions entry by entry: the slope left out, of another function, at another point."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt

import numpy as np
from scipy.special import erf

from gradient_cases.rows import Row, absolute, away, family, relu, right, sigmoid, wrong

#: name: f, its slope, the points ("p": positive), and the faults: what is wrong, the codes, the wrong slope.
ACTIVATIONS = {
    "tanh": (
        np.tanh,
        lambda x: 1 - np.tanh(x) ** 2,
        "x",
        {
            "no slope": ("missing-factor", np.ones_like),
            "slope at the output": ("missing-factor", lambda x: 1 - np.tanh(np.tanh(x)) ** 2),
            "1 - x²": ("missing-factor", lambda x: 1 - x**2),
            "sigmoid's": ("missing-factor", lambda x: np.tanh(x) * (1 - np.tanh(x))),
        },
    ),
    "sigmoid": (
        sigmoid,
        lambda x: sigmoid(x) * (1 - sigmoid(x)),
        "x",
        {
            "no slope": ("missing-factor", np.ones_like),
            "x(1 - x)": ("missing-factor", lambda x: x * (1 - x)),
            "only y": ("missing-factor", sigmoid),
            "slope at the output": ("missing-factor", lambda x: sigmoid(sigmoid(x)) * (1 - sigmoid(sigmoid(x)))),
        },
    ),
    "relu": (
        relu,
        lambda x: (x > 0) * 1.0,
        "x",
        {"mask ignored": ("mask", np.ones_like), "mask turned": ("mask", lambda x: (x < 0) * 1.0)},
    ),
    "leaky relu": (
        lambda x: np.where(x.real > 0, x, 0.1 * x),
        lambda x: np.where(x > 0, 1.0, 0.1),
        "x",
        {
            "relu's": ("zero|mask|missing-factor|block", lambda x: (x > 0) * 1.0),
            "sides exchanged": ("missing-factor|dense|mask", lambda x: np.where(x > 0, 0.1, 1.0)),
        },
    ),
    "softplus": (
        lambda x: np.log1p(np.exp(x)),
        sigmoid,
        "x",
        {"1 - sigmoid": ("missing-factor", lambda x: 1 - sigmoid(x)), "no slope": ("missing-factor", np.ones_like)},
    ),
    "swish": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x)),
        "x",
        {
            "one term only": ("missing-term|missing-factor|dense", sigmoid),
            "the other only": ("missing-term|missing-factor|dense", lambda x: x * sigmoid(x) * (1 - sigmoid(x))),
        },
    ),
    "sine": (np.sin, np.cos, "x", {"sign": ("sign", lambda x: -np.cos(x)), "sine": ("missing-factor", np.sin)}),
    "cosine": (np.cos, lambda x: -np.sin(x), "x", {"sign": ("sign", np.sin)}),
    "exp": (np.exp, np.exp, "x", {"no slope": ("missing-factor", np.ones_like)}),
    "log": (np.log, lambda x: 1 / x, "p", {"x": ("missing-factor", lambda x: x), "log": ("missing-factor|dense", np.log)}),
    "square root": (np.sqrt, lambda x: 0.5 / np.sqrt(x), "p", {"factor 2": ("scale:2", lambda x: 1 / np.sqrt(x))}),
    "square": (
        np.square,
        lambda x: 2 * x,
        "x",
        {"factor 2": ("scale:0.5", lambda x: x), "no x": ("missing-factor", lambda x: 2 + 0 * x)},
    ),
    "reciprocal": (
        lambda x: 1 / x,
        lambda x: -1 / x**2,
        "x",
        {"sign": ("sign", lambda x: 1 / x**2), "1/x": ("missing-factor", lambda x: -1 / x)},
    ),
    "x log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1, "p", {"1 missing": ("missing-term", np.log)}),
    "arctan": (np.arctan, lambda x: 1 / (1 + x**2), "x", {"1 - x²": ("missing-factor|dense", lambda x: 1 / (1 - x**2))}),
    "absolute": (absolute, np.sign, "x", {"no sign": ("missing-factor|mask|few-entries|block|dense", np.ones_like)}),
}


@family
def activations(r: np.random.Generator) -> Iterator[Row]:
    for name, (f, slope, kind, faults) in ACTIVATIONS.items():
        x = r.uniform(0.3, 3.0, 7) if kind == "p" else away(r, 7)
        x[:2] = (0.4, 1.1) if kind == "p" else (0.6, -0.8)
        c = r.normal(size=7) + 3
        weighted = name not in ("x log x",)
        c = c if weighted else np.ones(7)

        def total(x, f=f, c=c):
            return c @ f(x)

        yield right(name, total, lambda x, s=slope, c=c: c * s(x), x)
        for what, (codes, claim) in faults.items():
            yield wrong(f"{name}: {what}", codes, total, lambda x, s=claim, c=c: c * s(x), x)


@family
def gelu(r: np.random.Generator) -> Iterator[Row]:
    x, c = away(r, 8), r.normal(size=8) + 3
    cdf = lambda x: 0.5 * (1 + erf(x / sqrt(2)))
    pdf = lambda x: np.exp(-(x**2) / 2) / sqrt(2 * pi)
    f = lambda x: c @ (x * cdf(x))

    def near(x):
        t = np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))
        return c * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2))

    yield right("gelu", f, lambda x: c * (cdf(x) + x * pdf(x)), x)
    yield wrong("gelu: the approximate one's slope", "dense|missing-factor", f, near, x)
    yield wrong("gelu: x φ(x) missing", "missing-term|missing-factor|dense", f, lambda x: c * cdf(x), x)


@family
def points(r: np.random.Generator) -> Iterator[Row]:
    X = r.normal(size=(5, 4))
    f = lambda X: np.sum(np.sin(X) + X**3)
    g = lambda X: np.cos(X) + 3 * X**2
    yield right("smooth", f, g, X)
    yield wrong("smooth: at another point", "dense", f, lambda X: g(X + 0.1), X)
    yield wrong("smooth: rounded to float32", "precision", f, lambda X: g(X.astype(np.float32)).astype(float), X)
    yield wrong(
        "smooth: forward differences", "precision", f, lambda X: (np.sin(X + 1e-6) + (X + 1e-6) ** 3 - np.sin(X) - X**3) / 1e-6, X
    )
    yield wrong("smooth: a constant added", "missing-term", f, lambda X: g(X) + 0.3, X)
    yield wrong("smooth: one entry by 1 %", "few-entries", f, lambda X: g(X) * (1 + 0.01 * (np.arange(20).reshape(5, 4) == 7)), X)
    yield wrong("smooth: a row zero", "block|zero", f, lambda X: g(X) * (np.arange(5) != 2)[:, None], X)
    yield wrong("smooth: columns rolled", "permutation", f, lambda X: np.roll(g(X), 1, 1), X)
    yield wrong("smooth: rows flipped", "permutation", f, lambda X: g(X)[::-1], X)
    yield wrong("smooth: reshaped in Fortran order", "permutation", f, lambda X: g(X).ravel(order="F").reshape(5, 4), X)
    yield wrong("smooth: another function", "dense", f, lambda X: np.exp(np.sin(5 * X)) + 2, X)
    yield wrong("smooth: by pi", "scale:3.141592654", f, lambda X: pi * g(X), X)
    yield wrong("smooth: by 1.000001", "scale:1.000001|precision", f, lambda X: 1.000001 * g(X), X)
    yield wrong("smooth: zero", "zero", f, lambda X: 0 * X, X)
    yield wrong("smooth: checkerboard zero", "zero|mask", f, lambda X: g(X) * (np.indices(X.shape).sum(0) % 2), X)
    yield wrong(
        "smooth: averaged over columns", "wrong-axis|block|dense", f, lambda X: np.tile(g(X).mean(1, keepdims=True), (1, 4)), X
    )
    yield wrong("smooth: summed over rows", "wrong-axis|dense", f, lambda X: np.tile(g(X).sum(0), (5, 1)), X)
