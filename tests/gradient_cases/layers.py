"""Layers: convolutions, pools, norms, padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradient_cases.rows import Row, family, right, wrong


def _windows(x, k, step=1):
    return np.stack([x[i : i + k] for i in range(0, len(x) - k + 1, step)])


@family
def convolutions(r: np.random.Generator) -> Iterator[Row]:
    x, w, c = r.normal(size=9), r.normal(size=3), r.normal(size=7)
    f = lambda x, w: c @ np.tanh(_windows(x, 3) @ w)

    def grad(x, w, back="full", kernel=False):
        y_bar = c * (1 - np.tanh(_windows(x, 3) @ w) ** 2)
        x_bar = np.convolve(y_bar, w) if back == "full" else np.convolve(y_bar, w[::-1])
        w_bar = _windows(x, 3).T @ y_bar
        return x_bar, w_bar[::-1] if kernel else w_bar

    yield right("convolution", f, grad, x, w)
    yield wrong("convolution: kernel not flipped", "dense|wrong-axis", f, lambda *a: grad(*a, back="same"), x, w, blame=(0,))
    yield wrong("convolution: kernel's gradient flipped", "permutation", f, lambda *a: grad(*a, kernel=True), x, w, blame=(1,))
    yield wrong(
        "convolution: padding off by one",
        "permutation|dense",
        f,
        lambda *a: (np.roll(grad(*a)[0], 1), grad(*a)[1]),
        x,
        w,
        blame=(0,),
    )
    X, W, C = r.normal(size=(2, 6, 6)), r.normal(size=(3, 2, 3, 3)), r.normal(size=(3, 4, 4))

    def patches(X):
        return np.stack([X[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)], 1).reshape(2, 3, 3, 4, 4)

    def conv(X, W, b):
        return np.sum(C * np.sin(np.einsum("oikl,iklyx->oyx", W, patches(X)) + b[:, None, None]))

    def back(X, W, b, kernel=lambda W: W, over=(1, 2)):
        y_bar = C * np.cos(np.einsum("oikl,iklyx->oyx", W, patches(X)) + b[:, None, None])
        X_bar = np.zeros_like(X)
        for i in range(3):
            for j in range(3):
                X_bar[:, i : i + 4, j : j + 4] += np.einsum("oi,oyx->iyx", kernel(W)[:, :, i, j], y_bar)
        return X_bar, np.einsum("oyx,iklyx->oikl", y_bar, patches(X)), y_bar.sum(over)

    args = (X, W, r.normal(size=3))
    yield right("convolution in 2-d", conv, back, *args)
    yield wrong(
        "convolution in 2-d: not flipped",
        "dense",
        conv,
        lambda *a: back(*a, kernel=lambda W: W[:, :, ::-1, ::-1]),
        *args,
        blame=(0,),
    )
    yield wrong("convolution in 2-d: bias not summed", "wrong-axis|shape", conv, lambda *a: back(*a, over=1), *args, blame=(2,))
    turned = lambda *a: (back(*a)[0], back(*a)[1].transpose(0, 1, 3, 2).copy(), back(*a)[2])
    yield wrong("convolution in 2-d: kernel's axes exchanged", "permutation|transpose", conv, turned, *args, blame=(1,))


@family
def pools(r: np.random.Generator) -> Iterator[Row]:
    x, c = r.permutation(12) * 0.3 - 1.7, r.normal(size=4) + 3
    top = lambda x: x.reshape(4, 3).max(1)
    f = lambda x: c @ top(x) ** 2

    def grad(x, where=None):
        w = x.reshape(4, 3)
        hit = w == top(x)[:, None] if where is None else where(w)
        return (hit * (2 * c * top(x))[:, None]).ravel()

    yield right("maximum pool", f, grad, x)
    yield wrong("maximum pool: to all", "mask", f, lambda x: grad(x, np.ones_like), x)
    yield wrong("maximum pool: to the least", "mask|permutation", f, lambda x: grad(x, lambda w: w == w.min(1)[:, None]), x)
    shifted = lambda w: np.roll(w == w.max(1)[:, None], 1, 1)
    yield wrong("maximum pool: beside its place", "mask|permutation", f, lambda x: grad(x, shifted), x)
    tied = np.array([1.0, 1.0, 0.2, -1.0, 0.5, 0.5]) * (1 + r.uniform())
    best = lambda x: 3 * x[:3].max() + 2 * x[3:].max()
    first = np.array([3.0, 0, 0, 0, 2, 0])
    yield right("maximum pool with ties: the first", best, lambda x: first, tied, kink=True)
    yield right("maximum pool with ties: shared", best, lambda x: np.array([1.5, 1.5, 0, 0, 1, 1]), tied, kink=True)
    yield wrong("maximum pool with ties: to each", "kink", best, lambda x: np.array([3.0, 3, 0, 0, 2, 2]), tied, kink=True)
    yield wrong(
        "maximum pool with ties: past them",
        "kink|dense|few-entries|block|wrong-axis|mask",  # of what is tied, any share may be right
        best,
        lambda x: np.array([0, 0, 3.0, 2, 0, 0]),
        tied,
        kink=True,
    )
    z = r.permutation(10) * 0.4 - 1.7
    rank = lambda z: np.argsort(np.argsort(-z.real))
    best3 = lambda z: np.sum(np.where(rank(z) < 3, z**2, 0 * z))
    yield right("best three", best3, lambda z: 2 * z * (rank(z) < 3), z)
    yield wrong("best three: one more", "few-entries", best3, lambda z: 2 * z * (rank(z) < 3) + (rank(z) == 7), z)
    yield wrong("best three: z too often", "missing-factor", best3, lambda z: 2 * z**2 * (rank(z) < 3), z)
    y = r.normal(size=12)
    mean = lambda y: c @ np.sin(y.reshape(4, 3).mean(1))
    spread = lambda y, n=3: np.repeat(c * np.cos(y.reshape(4, 3).mean(1)) / n, 3)
    yield right("average pool", mean, spread, y)
    yield wrong("average pool: 1/k missing", "scale:3", mean, lambda y: spread(y, 1), y)
    yield wrong("average pool: by k²", "scale:0.3333333333", mean, lambda y: spread(y, 9), y)
    d = r.normal(size=5)
    lapped = lambda y: d @ np.sin(_windows(y, 4, 2).sum(1))

    def added(y, add=True):
        s, g = d * np.cos(_windows(y, 4, 2).sum(1)), np.zeros_like(y)
        for i in range(5):
            g[2 * i : 2 * i + 4] = s[i] + (g[2 * i : 2 * i + 4] if add else 0)
        return g

    yield right("overlapping pool", lapped, added, y)
    yield wrong("overlapping pool: overwritten", "block|dense|few-entries|missing-term", lapped, lambda y: added(y, False), y)


def _normalised(x, axis):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(((x - x.mean(axis, keepdims=True)) ** 2).mean(axis, keepdims=True) + 1e-5)


@family
def norms(r: np.random.Generator) -> Iterator[Row]:
    C = r.normal(size=(6, 5)) + np.arange(5)
    X, gamma, beta = r.normal(size=(6, 5)), r.uniform(0.5, 2, 5), r.normal(size=5)
    for name, axis in (("layer norm", 1), ("batch norm", 0)):

        def f(X, gamma, beta, axis=axis):
            return np.sum(C * np.sin(gamma * _normalised(X, axis) + beta))

        def grad(X, gamma, beta, axis=axis, mean=True, spread=True, along=None, scaled=True, over=0):
            n = _normalised(X, axis)
            y_bar = C * np.cos(gamma * n + beta)
            n_bar, a = y_bar * (gamma if scaled else 1), axis if along is None else along
            off = (n_bar.mean(a, keepdims=True) if mean else 0) + (n * (n_bar * n).mean(a, keepdims=True) if spread else 0)
            s = np.sqrt(((X - X.mean(axis, keepdims=True)) ** 2).mean(axis, keepdims=True) + 1e-5)
            return (n_bar - off) / s, (y_bar * n).sum(over), y_bar.sum(over)

        args = (X, gamma, beta)
        yield right(name, f, grad, *args)
        for what, options in (
            ("statistics held", {"mean": False, "spread": False}),
            ("mean held", {"mean": False}),
            ("variance held", {"spread": False}),
        ):
            yield wrong(f"{name}: {what}", "missing-term", f, lambda *a, g=grad, o=options: g(*a, **o), *args, blame=(0,))
        yield wrong(
            f"{name}: gamma forgotten", "dense|missing-factor", f, lambda *a, g=grad: g(*a, scaled=False), *args, blame=(0,)
        )
        yield wrong(
            f"{name}: averages along the other axis",
            "dense|wrong-axis",
            f,
            lambda *a, g=grad, o=1 - axis: g(*a, along=o),
            *args,
            blame=(0,),
        )
        averaged = lambda *a, g=grad: (*g(*a)[:2], g(*a)[2] / 6)
        yield wrong(f"{name}: beta averaged", "scale:0.1666666667", f, averaged, *args, blame=(2,))
    unsummed = lambda X, g, b: (*grad(X, g, b)[:2], C * np.cos(g * _normalised(X, 0) + b))
    yield wrong("batch norm: beta not summed", "wrong-axis", f, unsummed, *args, blame=(2,))
    v, c = r.normal(size=6), r.normal(size=6)
    unit = lambda v: c @ (v / np.sqrt(np.sum(v**2)))
    length = np.linalg.norm
    yield right("unit vector", unit, lambda v: (c - v * (v @ c) / length(v) ** 2) / length(v), v)
    yield wrong("unit vector: length held", "missing-term", unit, lambda v: c / length(v), v)
    yield wrong("unit vector: length missing", f"scale:{length(v):.10g}", unit, lambda v: c - v * (v @ c) / length(v) ** 2, v)
    directed = lambda v: unit(v)  # its length does not matter, so a penalty of round weight must be told from a length held
    tangent = lambda v: (c - v * (v @ c) / length(v) ** 2) / length(v)
    yield wrong("unit vector: decay too much", "regulariser", directed, lambda v: tangent(v) + 0.05 * v, v)
    yield wrong("unit vector: l1 too much", "regulariser|missing-term", directed, lambda v: tangent(v) + 0.02 * np.sign(v), v)
    A, B = r.normal(size=(5, 3)), r.normal(size=(5, 3))
    rows = lambda A: np.sqrt(np.sum(A**2, 1, keepdims=True))
    cosines = lambda A, B: np.sum(A * B / rows(A) / rows(B))
    turned = lambda A, B: B / rows(A) / rows(B) - A * np.sum(A * B, 1, keepdims=True) / rows(A) ** 3 / rows(B)
    yield right("cosines of rows", cosines, lambda A, B: (turned(A, B), turned(B, A)), A, B)
    held = lambda A, B: (B / rows(A) / rows(B), turned(B, A))
    yield wrong("cosines of rows: length held", "missing-term", cosines, held, A, B, blame=(0,))
    rms = lambda v: c @ (v / np.sqrt(np.mean(v**2) + 1e-6))
    s = lambda v: np.sqrt(np.mean(v**2) + 1e-6)
    yield right("rms norm", rms, lambda v: c / s(v) - v * (v @ c) / 6 / s(v) ** 3, v)
    yield wrong("rms norm: held", "missing-term", rms, lambda v: c / s(v), v)
    total = lambda v: c @ np.cumsum(np.sin(v))
    yield right("cumulative sum", total, lambda v: np.cumsum(c[::-1])[::-1] * np.cos(v), v)
    yield wrong("cumulative sum: not reversed", "dense", total, lambda v: np.cumsum(c) * np.cos(v), v)
    edge = lambda v: np.sum(np.arange(1.0, 9) * np.pad(np.sin(v), 1))
    yield right("padding", edge, lambda v: np.arange(2.0, 8) * np.cos(v), v)
    yield wrong("padding: off by one", "dense|missing-term|missing-factor", edge, lambda v: np.arange(1.0, 7) * np.cos(v), v)
    diff = lambda v: np.sum(np.diff(v) ** 2)
    ends = lambda v: np.r_[0, 2 * np.diff(v)] - np.r_[2 * np.diff(v), 0]
    yield right("differences", diff, ends, v)
    yield wrong("differences: an end forgotten", "few-entries", diff, lambda v: np.r_[0, ends(v)[1:]], v)
