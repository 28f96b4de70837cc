"""Recurrent nets: time steps and gates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradient_cases.rows import Row, family, right, sigmoid, wrong

STEPS, WIDTH = 4, 3


@family
def plain(r: np.random.Generator) -> Iterator[Row]:
    X, c = r.normal(size=(STEPS, 2)), r.normal(size=WIDTH)
    args = (r.normal(size=(WIDTH, WIDTH)), r.normal(size=(WIDTH, 2)), 0.3 * r.normal(size=WIDTH))

    def states(W, U, b):
        h = [np.zeros(WIDTH)]
        for x in X:
            h.append(np.tanh(W @ h[-1] + U @ x + b))
        return h

    f = lambda W, U, b: c @ states(W, U, b)[-1]

    def grad(W, U, b, depth=STEPS, late=0):
        h, h_bar = states(W, U, b), c
        W_bar, U_bar, b_bar = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
        for t in range(STEPS, STEPS - depth, -1):
            z = h_bar * (1 - h[t] ** 2)
            W_bar, U_bar, b_bar = W_bar + np.outer(z, h[t - 1 + late]), U_bar + np.outer(z, X[t - 1]), b_bar + z
            h_bar = W.T @ z
        return W_bar, U_bar, b_bar

    yield right("recurrent net", f, grad, *args)
    yield wrong("recurrent net: the last step only", "dense|missing-term", f, lambda *a: grad(*a, depth=1), *args)
    yield wrong("recurrent net: two steps short", "dense|missing-term", f, lambda *a: grad(*a, depth=2), *args)
    yield wrong("recurrent net: the state after the step", "dense", f, lambda *a: grad(*a, late=1), *args, blame=(0,))
    turned = lambda *a: (grad(*a)[0].T.copy(), *grad(*a)[1:])
    yield wrong("recurrent net: W transposed", "transpose", f, turned, *args, blame=(0,))
    yield wrong("recurrent net: averaged over time", "scale:0.25", f, lambda *a: tuple(g / STEPS for g in grad(*a)), *args)


@family
def lstm(r: np.random.Generator) -> Iterator[Row]:
    X, c0 = r.normal(size=(2, 3)), r.normal(size=3)
    W, b = r.normal(size=(12, 6)), 0.3 * r.normal(size=12)
    i, f_, g, o = (slice(k, k + 3) for k in (0, 3, 6, 9))

    def run(W, b):
        h, cell, kept = np.zeros(3), np.zeros(3), []
        for x in X:
            u = np.concatenate([x, h])
            z = W @ u + b
            a = np.concatenate([sigmoid(z[:6]), np.tanh(z[g]), sigmoid(z[o])])
            before, cell = cell, a[f_] * cell + a[i] * a[g]
            h = a[o] * np.tanh(cell)
            kept.append((u, a, before, cell))
        return h, cell, kept

    def f(W, b):
        h, cell, _ = run(W, b)
        return c0 @ h + np.sum(np.sin(cell))

    def grad(W, b, past=None, forget=True, gate=None):
        _, last, kept = run(W, b)
        h_bar, c_bar = c0, np.cos(last)
        W_bar, b_bar = np.zeros_like(W), np.zeros_like(b)
        for u, a, before, cell in reversed(kept):
            c_all = c_bar + h_bar * a[o] * (1 - np.tanh(cell) ** 2)
            from_forget = c_all * (cell if past else before)
            up = np.concatenate([c_all * a[g], from_forget, c_all * a[i], h_bar * np.tanh(cell)])
            slope = np.concatenate([a[:6] * (1 - a[:6]), 1 - a[g] ** 2, a[o] * (1 - a[o])])
            if gate is not None:
                slope = gate(slope, a)
            z = up * slope
            W_bar, b_bar = W_bar + np.outer(z, u), b_bar + z
            h_bar, c_bar = (W.T @ z)[3:], c_all * (a[f_] if forget else 1)
        return W_bar, b_bar

    def exchanged(W, b):
        order = np.r_[3:6, 0:3, 6:12]
        return tuple(g[order] for g in grad(W, b))

    def without(W, b, part=o):
        W_bar, b_bar = grad(W, b)
        W_bar[part], b_bar[part] = 0, 0
        return W_bar, b_bar

    yield right("lstm", f, grad, W, b)
    yield wrong("lstm: input and forget gates exchanged", "permutation", f, exchanged, W, b)
    yield wrong("lstm: output gate detached", "block|zero", f, without, W, b)
    yield wrong("lstm: the cell after for the cell before", "block|dense", f, lambda W, b: grad(W, b, past=True), W, b)
    yield wrong(
        "lstm: forget gate not in the cell's path", "block|dense|missing-term", f, lambda W, b: grad(W, b, forget=False), W, b
    )
    tanh = lambda slope, a: np.concatenate([slope[:6], a[g] * (1 - a[g]), slope[o]])
    yield wrong("lstm: sigmoid's slope for tanh's", "block|dense", f, lambda W, b: grad(W, b, gate=tanh), W, b)


@family
def gru(r: np.random.Generator) -> Iterator[Row]:
    x, h, c = r.normal(size=3), r.normal(size=3), r.normal(size=3)
    args = tuple(r.normal(size=(3, 6)) for _ in range(3))
    u = np.r_[x, h]

    def f(Wz, Wr, Wn):
        z, s = sigmoid(Wz @ u), sigmoid(Wr @ u)
        n = np.tanh(Wn @ np.concatenate([x, s * h]))
        return c @ ((1 - z) * n + z * h)

    def grad(Wz, Wr, Wn, turned=False, reset=True):
        z, s = sigmoid(Wz @ u), sigmoid(Wr @ u)
        v = np.r_[x, s * h if reset else h]
        n = np.tanh(Wn @ np.r_[x, s * h])
        n_bar = c * (z if turned else 1 - z) * (1 - n**2)
        s_bar = (Wn.T @ n_bar)[3:] * h * s * (1 - s)
        return np.outer(c * (h - n) * z * (1 - z), u), np.outer(s_bar, u), np.outer(n_bar, v)

    yield right("gru", f, grad, *args)
    yield wrong("gru: z for 1 - z", "missing-factor|dense", f, lambda *a: grad(*a, turned=True), *args, blame=(1, 2))
    yield wrong("gru: reset gate ignored", "block|missing-factor", f, lambda *a: grad(*a, reset=False), *args, blame=(2,))
    yield wrong("gru: gates exchanged", "swapped-args", f, lambda *a: tuple(grad(*a)[k] for k in (1, 0, 2)), *args, blame=(0, 1))
    yield wrong("gru: sign of the update gate", "sign", f, lambda *a: (-grad(*a)[0], *grad(*a)[1:]), *args, blame=(0,))
