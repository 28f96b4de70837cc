"""The same work by hand, in NumPy as fast as its author could write it.

Buffers are made once, ``out=`` is everywhere, no sum is taken that a product can do.  Nothing here is generated; what is
called idiomatic is what one writes without thinking of speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy import add, divide, dot, exp, greater, log, maximum, multiply, reciprocal, sqrt, subtract, tanh, vecdot
from numpy.typing import NDArray

Array = NDArray[Any]
Loss = Callable[[], float]

# -- softmax and cross entropy --------------------------------------------------------------------------------------------


def cross_entropy(z: Array, t: Array, g: Array) -> Loss:
    """Return the mean loss of integer labels; the gradient comes into ``g``."""
    rows, count = z.shape
    flat, gf = z.reshape(-1), g.reshape(-1)
    ones, first, share = np.ones(count, z.dtype), np.arange(0, rows * count, count), z.dtype.type(1 / rows)
    m, s, r, own, less = (np.empty(rows, z.dtype) for _ in range(5))
    top, place, shares = np.empty(rows, np.intp), np.empty(rows, np.intp), np.full(rows, share)
    mc, rc = m[:, None], r[:, None]

    def step() -> float:
        z.argmax(1, top)
        add(top, first, top)
        flat.take(top, None, m, "clip")
        add(first, t, place)
        subtract(z, mc, g)
        gf.take(place, None, own, "clip")
        exp(g, g)
        dot(g, ones, s)
        divide(shares, s, r)
        multiply(g, rc, g)
        gf.take(place, None, less, "clip")
        subtract(less, shares, less)
        gf[place] = less
        return float((log(s).sum() - own.sum()) / rows)

    return step


def idiomatic_cross_entropy(z: Array, t: Array) -> Loss:
    rows = len(z)
    lines = np.arange(rows)

    def step() -> float:
        e = np.exp(z - z.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        loss = -np.log(p[lines, t]).mean()
        p[lines, t] -= 1
        p /= rows
        return float(loss)

    return step


# -- networks -------------------------------------------------------------------------------------------------------------


def _relu(h: Array, zeros: Array) -> None:
    maximum(h, zeros, out=h)


def _relu_back(d: Array, h: Array, zeros: Array, on: Array) -> None:
    greater(h, zeros, on)
    multiply(d, on, d)


def _sigmoid(h: Array, _: Array) -> None:
    multiply(h, 0.5, h)
    tanh(h, h)
    multiply(h, 0.5, h)
    add(h, 0.5, h)


def _sigmoid_back(d: Array, h: Array, _: Array, u: Array) -> None:
    multiply(h, h, u)
    subtract(h, u, u)
    multiply(d, u, d)


def three_layers(kind: str, x: Array, t: Array, params: Mapping[str, Array], rate: float) -> Loss:
    """Return a step of gradient descent of a network of three layers with biases, softmax and labels, in place."""
    rows, real = len(x), x.dtype
    act, back = (_relu, _relu_back) if kind == "relu" else (_sigmoid, _sigmoid_back)
    w1, w2, w3, b1, b2, b3 = (params[w] for w in ("W1", "W2", "W3", "b1", "b2", "b3"))
    h1, h2, z = (np.empty((rows, len(b)), real) for b in (b1, b2, b3))
    d1, d2, zeros1, zeros2 = np.empty_like(h1), np.empty_like(h2), np.zeros_like(h1), np.zeros_like(h2)
    u1, u2 = (np.empty(h.shape, bool if kind == "relu" else real) for h in (h1, h2))
    ones, classes = np.ones(rows, real), np.ones(len(b3), real)
    g1, g2, g3, c1, c2, c3 = (np.empty_like(a) for a in (w1, w2, w3, b1, b2, b3))
    w1t, w2t, w3t, zt, d1t, d2t = w1.T, w2.T, w3.T, z.T, d1.T, d2.T
    first, flat = np.arange(0, rows * len(b3), len(b3)), z.reshape(-1)
    top, place, (m, s, r, own, less) = np.empty(rows, np.intp), np.empty(rows, np.intp), np.empty((5, rows), real)
    mc, rc, shares = m[:, None], r[:, None], np.full(rows, rate / rows, real)

    def step() -> float:
        x.dot(w1t, h1)
        add(h1, b1, h1)
        act(h1, zeros1)
        h1.dot(w2t, h2)
        add(h2, b2, h2)
        act(h2, zeros2)
        h2.dot(w3t, z)
        add(z, b3, z)
        z.argmax(1, top)
        add(top, first, top)
        flat.take(top, None, m, "clip")
        add(first, t, place)
        subtract(z, mc, z)
        flat.take(place, None, own, "clip")
        exp(z, z)
        z.dot(classes, s)
        loss = (log(s).sum() - own.sum()) / rows
        divide(shares, s, r)
        multiply(z, rc, z)
        flat.take(place, None, less, "clip")
        subtract(less, shares, less)
        flat[place] = less
        z.dot(w3, d2)
        back(d2, h2, zeros2, u2)
        d2.dot(w2, d1)
        back(d1, h1, zeros1, u1)
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


def products(x: Array, weights: Sequence[Array]) -> Callable[[], None]:
    """Return the matrix products of a step of a dense network alone: no step in NumPy can be faster."""
    h = [x, *(np.zeros((len(x), len(w)), x.dtype) for w in weights)]
    d, g = [np.zeros_like(a) for a in h], [np.empty_like(w) for w in weights]

    def step() -> None:
        for n, w in enumerate(weights):
            h[n].dot(w.T, h[n + 1])
        for n in reversed(range(len(weights))):
            d[n + 1].T.dot(h[n], g[n])
            if n:
                d[n + 1].dot(weights[n], d[n])

    return step


def tanh_net(x: Array, t: Array, flat: Array, hidden: int, rate: float) -> Loss:
    """Return a step of the two-layer tanh network without biases, one-hot targets, in place on ``flat``."""
    rows, real, wide, count = len(x), x.dtype, x.shape[1], t.shape[1]
    h, z, m, s = np.empty((rows, hidden), real), np.empty((rows, count), real), np.empty((rows, 1), real), np.empty(rows, real)
    d, u, ones, classes = np.empty_like(h), np.empty_like(h), np.ones_like(h), np.ones(count, real)
    shares, sc, cut, grads = np.full((rows, count), rate / rows, real), s[:, None], hidden * wide, np.empty_like(flat)
    a1, a2 = flat[:cut].reshape(hidden, wide), flat[cut:].reshape(count, hidden)
    g1, g2 = grads[:cut].reshape(hidden, wide), grads[cut:].reshape(count, hidden)
    a1t, a2t, zt, dt, tf, zf = a1.T, a2.T, z.T, d.T, t.reshape(-1), z.reshape(-1)

    def step() -> float:
        x.dot(a1t, h)
        tanh(h, h)
        h.dot(a2t, z)
        maximum.reduce(z, 1, None, m, True)
        subtract(z, m, z)
        near = tf.dot(zf)
        exp(z, z)
        z.dot(classes, s)
        loss = (add.reduce(log(s)) - near) / rows
        divide(z, sc, z)
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

    return step


def tanh_epoch(x: Array, t: Array, flat: Array, hidden: int, rate: float, rows: Sequence[Array]) -> Callable[[], None]:
    """Return one pass over the data: a step of :func:`tanh_net` on each of the ``rows``, gathered into buffers."""
    most = max(map(len, rows))
    xs, ts = np.empty((most, x.shape[1]), x.dtype), np.empty((most, t.shape[1]), t.dtype)
    steps = {n: (xs[:n], ts[:n], tanh_net(xs[:n], ts[:n], flat, hidden, rate)) for n in {*map(len, rows)}}

    def epoch() -> None:
        for places in rows:
            xb, tb, step = steps[len(places)]
            x.take(places, 0, xb, "clip")
            t.take(places, 0, tb, "clip")
            step()

    return epoch


# -- layers ---------------------------------------------------------------------------------------------------------------


def gelu(x: Array, seed: Array, y: Array, back: Array, part: int = 262_144) -> Callable[[], None]:
    """Return the tanh form of gelu and its pullback, in blocks that stay in the cache."""
    q, u, v = (np.empty(part, x.dtype) for _ in range(3))
    c = float(np.sqrt(2 / np.pi))
    blocks = [(x[n : n + part], seed[n : n + part], y[n : n + part], back[n : n + part]) for n in range(0, len(x), part)]

    def step() -> None:
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

    return step


def layer_norm(x: Array, seed: Array, g: Array, b: Array, made: Sequence[Array], part: int = 512) -> Callable[[], None]:
    """Return layer normalisation with its pullback; ``made`` are y and the cotangents of x, g and b."""
    (rows, width), real = x.shape, x.dtype
    y, back, dg, db = made
    n, w, ones, lines = np.empty((part, width), real), np.empty((part, width), real), np.ones(width, real), np.ones(part, real)
    m, s, q = np.empty((part, 1), real), np.empty((part, 1), real), np.empty((part, 1), real)
    mf, sf, qf = m[:, 0], s[:, 0], q[:, 0]
    blocks = [tuple(a[k : k + part] for a in (x, seed, y, back)) for k in range(0, rows, part)]

    def step() -> None:
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

    return step


def idiomatic_layer_norm(x: Array, seed: Array, g: Array, b: Array) -> Callable[[], None]:
    def step() -> None:
        mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
        inverse = 1 / np.sqrt(var + 1e-5)
        normal = (x - mean) * inverse
        _ = g * normal + b
        d = seed * g
        _ = (d - d.mean(1, keepdims=True) - normal * (d * normal).mean(1, keepdims=True)) * inverse
        _ = (seed * normal).sum(0), seed.sum(0)

    return step
