"""Bound kernels beside the same by hand, timed in turns in one run: ``scripts/bench kernels``.

"expert" is NumPy as fast as its author could write it: buffers made once, ``out=`` everywhere, products instead of sums;
"idiomatic" is what one writes without thinking of speed; "torch" runs where it is installed.  A ratio is their time over ours.
Before anything is timed the values are compared.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
from numpy import add, dot, exp, greater, log, maximum, multiply, reciprocal, sqrt, subtract, tanh, vecdot

import derivkit as dk

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

Run = Callable[[], object]
RATE = 1e-6  # so small that no row's parameters move while it is timed

CE = "z: K\nt: label K\nE = cross_entropy(onehot(t, K), softmax(z))"
MLP = """x: D
t: label K
W1: A, D
b1: A
W2: B, A
b2: B
W3: K, B
b3: K
h1 = relu(W1 @ x + b1)
h2 = relu(W2 @ h1 + b2)
z = W3 @ h2 + b3
E = cross_entropy(onehot(t, K), softmax(z))"""
TANH = "x: D\nt: onehot K\nW1: M, D\nW2: K, M\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = -sum(t*log(y))"
NORM = "x: N, D\ng: D\nb: D\ny = layer_norm(x, g, b)"


class Work(NamedTuple):
    """One row: ours, and the peers by name; ``same`` compares the values first."""

    what: str
    ours: Run
    peers: dict[str, Run]
    same: Callable[[], None]


def seconds(run: Run, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - started) / count


def ratios(work: Work, rounds: int = 11) -> tuple[float, dict[str, float]]:
    """Return our time in microseconds, and the median over the rounds of each peer's time over ours."""
    runs = {"ours": work.ours, **work.peers}
    counts = {}
    for name, run in runs.items():
        run()
        counts[name] = max(1, int(0.02 / max(seconds(run, 1), 1e-7)))
    spans: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            spans[name].append(seconds(run, counts[name]))
    over = {n: statistics.median(p / o for p, o in zip(spans[n], spans["ours"], strict=True)) for n in work.peers}
    return 1e6 * statistics.median(spans["ours"]), over


# -- softmax and cross entropy --------------------------------------------------------------------------------------------


def cross_entropy(rng: np.random.Generator, rows: int, count: int) -> Work:
    z = (3 * rng.normal(size=(rows, count))).astype(np.float32)
    t = rng.integers(0, count, rows)
    step = dk.compile(CE, "z", batch=("z", "t")).bind(z=z, t=t)

    g, flat, lines = np.empty_like(z), z.reshape(-1), np.arange(rows)
    gf, ones, first = g.reshape(-1), np.ones(count, z.dtype), np.arange(0, rows * count, count)
    m, s, r, top = np.empty(rows, z.dtype), np.empty(rows, z.dtype), np.empty(rows, z.dtype), np.empty(rows, np.intp)
    mc, rc, share = m[:, None], r[:, None], z.dtype.type(1 / rows)

    def expert() -> float:
        z.argmax(1, top)
        add(top, first, top)
        flat.take(top, None, m, "clip")
        place = first + t
        subtract(z, mc, g)
        own = gf.take(place)
        exp(g, g)
        dot(g, ones, s)
        np.divide(share, s, r)
        multiply(g, rc, g)
        gf[place] -= share
        return float((log(s).sum() - own.sum()) / rows)

    def idiomatic() -> float:
        e = np.exp(z - z.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        loss = -np.log(p[lines, t]).mean()
        p[lines, t] -= 1
        p /= rows
        return float(loss)

    def same() -> None:
        np.testing.assert_allclose([step(), idiomatic()], [expert()] * 2, rtol=1e-4)
        np.testing.assert_allclose(step.grads["z"], g, rtol=1e-4, atol=1e-7)

    peers: dict[str, Run] = {"expert": expert, "idiomatic": idiomatic}
    if torch:
        zt, tt = torch.tensor(z, requires_grad=True), torch.tensor(t)
        peers["torch"] = lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(zt, tt), zt)
    return Work(f"softmax, cross entropy, {rows} x {count}", step, peers, same)


# -- networks -------------------------------------------------------------------------------------------------------------


def mlp(rng: np.random.Generator, rows: int) -> Work:
    sizes = (784, 256, 128, 10)
    x, t = rng.normal(size=(rows, 784)).astype(np.float32), rng.integers(0, 10, rows)
    params = {f"W{n}": (0.05 * rng.normal(size=(b, a))).astype(np.float32) for n, (a, b) in enumerate(pairwise(sizes), 1)}
    params |= {f"b{n}": np.zeros(b, np.float32) for n, b in enumerate(sizes[1:], 1)}
    words = ("W1", "b1", "W2", "b2", "W3", "b3")
    step = dk.compile(MLP, words, batch=("x", "t")).sgd(lr=RATE, x=x, t=t, **params)
    peers = {"expert": mlp_expert(x, t, {w: a.copy() for w, a in params.items()}), "limit": mlp_products(x, params)}
    if torch:
        layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
        descent, xt, tt = torch.optim.SGD(net.parameters(), lr=RATE), torch.tensor(x), torch.tensor(t)

        def torch_step() -> None:
            descent.zero_grad()
            torch.nn.functional.cross_entropy(net(xt), tt).backward()
            descent.step()

        peers["torch"] = torch_step
    return Work(
        f"ReLU MLP 784-256-128-10, step, batch {rows}",
        step,
        peers,
        lambda: np.testing.assert_allclose(step(), peers["expert"](), rtol=1e-4),
    )


def mlp_expert(x: np.ndarray, t: np.ndarray, params: dict[str, np.ndarray]) -> Run:
    rows, real = len(x), np.float32
    w1, w2, w3, b1, b2, b3 = (params[w] for w in ("W1", "W2", "W3", "b1", "b2", "b3"))
    h1, h2, z = (np.empty((rows, len(b)), real) for b in (b1, b2, b3))
    d1, d2, zeros1, zeros2 = np.empty_like(h1), np.empty_like(h2), np.zeros_like(h1), np.zeros_like(h2)
    on1, on2, ones, classes = np.empty(h1.shape, bool), np.empty(h2.shape, bool), np.ones(rows, real), np.ones(len(b3), real)
    g1, g2, g3, c1, c2, c3 = (np.empty_like(a) for a in (w1, w2, w3, b1, b2, b3))
    w1t, w2t, w3t, zt, d1t, d2t = w1.T, w2.T, w3.T, z.T, d1.T, d2.T
    first, flat = np.arange(0, rows * len(b3), len(b3)), z.reshape(-1)
    top, m, s, r = np.empty(rows, np.intp), np.empty(rows, real), np.empty(rows, real), np.empty(rows, real)
    mc, rc, share, shares = m[:, None], r[:, None], real(RATE / rows), np.full(rows, RATE / rows, real)

    def step() -> float:
        x.dot(w1t, h1)
        add(h1, b1, h1)
        maximum(h1, zeros1, out=h1)
        h1.dot(w2t, h2)
        add(h2, b2, h2)
        maximum(h2, zeros2, out=h2)
        h2.dot(w3t, z)
        add(z, b3, z)
        z.argmax(1, top)
        add(top, first, top)
        flat.take(top, None, m, "clip")
        place = first + t
        subtract(z, mc, z)
        own = flat.take(place)
        exp(z, z)
        z.dot(classes, s)
        loss = (log(s).sum() - own.sum()) / rows
        np.divide(shares, s, r)
        multiply(z, rc, z)
        flat[place] -= share
        z.dot(w3, d2)
        greater(h2, zeros2, on2)
        multiply(d2, on2, d2)
        d2.dot(w2, d1)
        greater(h1, zeros1, on1)
        multiply(d1, on1, d1)
        if rows == 1:
            multiply(zt, h2, g3)
            multiply(d2t, h1, g2)
            multiply(d1t, x, g1)
        else:
            zt.dot(h2, g3)
            d2t.dot(h1, g2)
            d1t.dot(x, g1)
        ones.dot(z, c3)
        ones.dot(d2, c2)
        ones.dot(d1, c1)
        for p, g in ((w1, g1), (w2, g2), (w3, g3), (b1, c1), (b2, c2), (b3, c3)):
            subtract(p, g, p)
        return float(loss)

    return step


def mlp_products(x: np.ndarray, params: dict[str, np.ndarray]) -> Run:
    """Return the matrix products of a step alone: no step in NumPy can be faster."""
    weights = [params[w] for w in ("W1", "W2", "W3")]
    h = [x, *(np.zeros((len(x), len(w)), np.float32) for w in weights)]
    d, g = [np.zeros_like(a) for a in h], [np.empty_like(w) for w in weights]

    def products() -> None:
        for n, w in enumerate(weights):
            h[n].dot(w.T, h[n + 1])
        for n in (2, 1, 0):
            d[n + 1].T.dot(h[n], g[n])
            if n:
                d[n + 1].dot(weights[n], d[n])

    return products


def tanh_net(rng: np.random.Generator, rows: int) -> Work:
    real = np.float32
    x, t = rng.normal(size=(rows, 4)).astype(real), np.eye(3, dtype=real)[rng.integers(0, 3, rows)]
    w1, w2 = rng.normal(size=(8, 4)).astype(real), rng.normal(size=(3, 8)).astype(real)
    step = dk.compile(TANH, ("W1", "W2"), batch=("x", "t")).sgd(lr=RATE, x=x, t=t, W1=w1, W2=w2)

    h, z, m, s = np.empty((rows, 8), real), np.empty((rows, 3), real), np.empty((rows, 1), real), np.empty(rows, real)
    d, u, ones, classes = np.empty((rows, 8), real), np.empty((rows, 8), real), np.ones((rows, 8), real), np.ones(3, real)
    shares, sc = np.full((rows, 3), RATE / rows, real), s[:, None]
    flat, grads = np.concatenate([w1.ravel(), w2.ravel()]), np.empty(56, real)
    a1, a2, g1, g2 = flat[:32].reshape(8, 4), flat[32:].reshape(3, 8), grads[:32].reshape(8, 4), grads[32:].reshape(3, 8)
    a1t, a2t, zt, dt, tf, zf = a1.T, a2.T, z.T, d.T, t.reshape(-1), z.reshape(-1)

    def expert() -> float:
        x.dot(a1t, h)
        tanh(h, h)
        h.dot(a2t, z)
        maximum.reduce(z, 1, None, m, True)
        subtract(z, m, z)
        near = tf.dot(zf)
        exp(z, z)
        z.dot(classes, s)
        loss = (add.reduce(log(s)) - near) / rows
        np.divide(z, sc, z)
        subtract(z, t, z)
        multiply(z, shares, z)
        z.dot(a2, d)
        multiply(h, h, u)
        subtract(ones, u, u)
        multiply(d, u, d)
        dt.dot(x, g1)
        zt.dot(h, g2)
        subtract(flat, grads, flat)
        return float(loss)

    peers: dict[str, Run] = {"expert": expert}
    if torch:
        v1, v2 = torch.tensor(w1, requires_grad=True), torch.tensor(w2, requires_grad=True)
        xt, tt, descent = torch.tensor(x), torch.tensor(t), torch.optim.SGD([v1, v2], lr=RATE)

        def torch_step() -> None:
            descent.zero_grad()
            (-(tt * torch.log_softmax(torch.tanh(xt @ v1.T) @ v2.T, 1)).sum() / rows).backward()
            descent.step()

        peers["torch"] = torch_step
    return Work(
        f"tanh net 4-8-3, step, batch {rows}", step, peers, lambda: np.testing.assert_allclose(step(), expert(), rtol=1e-4)
    )


# -- layers ---------------------------------------------------------------------------------------------------------------


def gelu(rng: np.random.Generator) -> Work:
    x, seed = rng.normal(size=10**6).astype(np.float32), rng.normal(size=10**6).astype(np.float32)
    step = dk.compile("x: N\ny = gelu_tanh(x)", "x", kind="vjp").bind(x=x, y_bar=seed)
    y, back, part = np.empty_like(x), np.empty_like(x), 32_768
    q, u, v = np.empty(part, np.float32), np.empty(part, np.float32), np.empty(part, np.float32)
    c = float(np.sqrt(2 / np.pi))
    blocks = [(x[n : n + part], seed[n : n + part], y[n : n + part], back[n : n + part]) for n in range(0, len(x), part)]

    def expert() -> None:
        for a, g, out, down in blocks:
            w, p, r = q[: len(a)], u[: len(a)], v[: len(a)]
            multiply(a, a, w)
            multiply(w, 0.044715 * c, p)
            add(p, c, p)
            multiply(p, a, p)
            tanh(p, p)
            multiply(w, 3 * 0.044715 * c / 2, w)
            add(w, c / 2, w)
            multiply(w, a, w)
            multiply(p, p, r)
            subtract(1, r, r)
            multiply(w, r, w)
            multiply(p, 0.5, p)
            add(p, 0.5, p)
            multiply(a, p, out)
            add(w, p, w)
            multiply(w, g, down)

    def same() -> None:
        step()
        expert()
        np.testing.assert_allclose(step.value, y, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(step.grads["x"], back, rtol=1e-4, atol=1e-5)

    peers: dict[str, Run] = {"expert": expert}
    if torch:
        xt, seeds = torch.tensor(x, requires_grad=True), torch.tensor(seed)
        peers["torch"] = lambda: torch.autograd.grad(torch.nn.functional.gelu(xt, approximate="tanh"), xt, seeds)
    return Work("gelu (tanh), value and gradient, 1,000,000", step, peers, same)


def layer_norm(rng: np.random.Generator) -> Work:
    rows, width, real = 4096, 512, np.float32
    x, seed = rng.normal(size=(rows, width)).astype(real), rng.normal(size=(rows, width)).astype(real)
    g, b = rng.normal(size=width).astype(real), rng.normal(size=width).astype(real)
    step = dk.compile(NORM, "x,g,b", kind="vjp").bind(x=x, g=g, b=b, y_bar=seed)
    part, y, back, dg, db = 64, np.empty_like(x), np.empty_like(x), np.empty_like(g), np.empty_like(b)
    n, w, ones, lines = np.empty((part, width), real), np.empty((part, width), real), np.ones(width, real), np.ones(part, real)
    m, s, q = np.empty((part, 1), real), np.empty((part, 1), real), np.empty((part, 1), real)
    mf, sf, qf = m[:, 0], s[:, 0], q[:, 0]
    blocks = [tuple(a[k : k + part] for a in (x, seed, y, back)) for k in range(0, rows, part)]

    def expert() -> None:
        dg.fill(0)
        db.fill(0)
        for a, u, out, down in blocks:
            a.dot(ones, mf)
            multiply(m, 1 / width, m)
            subtract(a, m, n)
            vecdot(n, n, sf)
            multiply(s, 1 / width, s)
            add(s, 1e-5, s)
            sqrt(s, s)
            reciprocal(s, s)
            multiply(n, s, n)
            multiply(n, g, out)
            add(out, b, out)
            multiply(u, n, w)
            add(dg, lines.dot(w), dg)
            add(db, lines.dot(u), db)
            multiply(u, g, down)
            down.dot(ones, mf)
            vecdot(down, n, qf)
            multiply(m, 1 / width, m)
            multiply(q, 1 / width, q)
            subtract(down, m, down)
            multiply(n, q, w)
            subtract(down, w, down)
            multiply(down, s, down)

    def idiomatic() -> None:
        mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
        inverse = 1 / np.sqrt(var + 1e-5)
        normal = (x - mean) * inverse
        _ = g * normal + b
        d = seed * g
        _ = (d - d.mean(1, keepdims=True) - normal * (d * normal).mean(1, keepdims=True)) * inverse
        _ = (seed * normal).sum(0), seed.sum(0)

    def same() -> None:
        step()
        expert()
        for ours, theirs in ((step.value, y), (step.grads["x"], back), (step.grads["g"], dg), (step.grads["b"], db)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)

    return Work("layer norm, value and gradients, 4096 x 512", step, {"expert": expert, "idiomatic": idiomatic}, same)


def works() -> Iterator[Work]:
    rng = np.random.default_rng(0)
    for rows, count in ((32, 10), (256, 1000), (4096, 1000), (64, 50257)):
        yield cross_entropy(rng, rows, count)
    for rows in (1, 64, 512):
        yield mlp(rng, rows)
    for rows in (1, 32):
        yield tanh_net(rng, rows)
    yield gelu(rng)
    yield layer_norm(rng)


def main() -> int:
    for work in works():
        work.same()
        ours, over = ratios(work)
        told = "  ".join(f"{name} {ratio:5.2f}" for name, ratio in over.items())
        print(f"{work.what:44} {ours:10.1f} us   {told}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
