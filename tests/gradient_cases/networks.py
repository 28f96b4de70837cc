"""Networks: batches, biases, losses, penalties, masks, embeddings, attention."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradient_cases.rows import Row, absolute, family, logsumexp, put, right, sigmoid, softmax, wrong

N = 8


def _changed(grad, k, change):
    """The claim with its k-th entry changed."""

    def claim(*args):
        given = list(grad(*args))
        given[k] = change(given[k])
        return tuple(given)

    return claim


@family
def two_layers(r: np.random.Generator) -> Iterator[Row]:
    X, T = r.normal(size=(N, 4)), np.eye(3)[r.integers(0, 3, N)]
    args = (r.normal(size=(4, 5)), 0.3 * r.normal(size=5), r.normal(size=(5, 3)), 0.3 * r.normal(size=3))

    def f(W1, b1, W2, b2):
        y = np.tanh(X @ W1 + b1) @ W2 + b2
        return np.mean(logsumexp(y) - np.sum(y * T, 1))

    def grad(W1, b1, W2, b2, slope=lambda h: 1 - h**2, onehot=T, count=N, past=0.0):
        h = np.tanh(X @ W1 + b1)
        e = (softmax(h @ W2 + b2) - onehot) / count
        z = e @ W2.T * slope(h)
        return X.T @ z, z.sum(0), (h + past).T @ e, e.sum(0)

    def unsummed(W1, b1, W2, b2):
        h = np.tanh(X @ W1 + b1)
        e = (softmax(h @ W2 + b2) - T) / N
        return (*grad(W1, b1, W2, b2)[:3], e)

    yield right("two layers", f, grad, *args)
    yield wrong("two layers: 1/N missing", "scale:8", f, lambda *a: grad(*a, count=1), *args)
    yield wrong("two layers: 1/N twice", "scale:0.125", f, lambda *a: grad(*a, count=N * N), *args)
    yield wrong("two layers: bias averaged", "scale:0.125", f, _changed(grad, 1, lambda g: g / N), *args, blame=(1,))
    yield wrong("two layers: bias not summed", "wrong-axis", f, unsummed, *args, blame=(3,))
    yield wrong("two layers: W1 transposed", "transpose", f, _changed(grad, 0, lambda g: g.T), *args, blame=(0,))
    yield wrong("two layers: sign of the loss", "sign", f, lambda *a: tuple(-g for g in grad(*a)), *args)
    yield wrong("two layers: sign of W2", "sign", f, _changed(grad, 2, np.negative), *args, blame=(2,))
    yield wrong(
        "two layers: tanh' forgotten", "missing-factor|dense", f, lambda *a: grad(*a, slope=np.ones_like), *args, blame=(0, 1)
    )
    twice = lambda h: 1 - np.tanh(h) ** 2
    yield wrong("two layers: tanh' of tanh", "missing-factor|dense", f, lambda *a: grad(*a, slope=twice), *args, blame=(0, 1))
    yield wrong("two layers: labels forgotten", "dense|missing-term", f, lambda *a: grad(*a, onehot=0), *args)
    yield wrong("two layers: b1 detached", "zero", f, _changed(grad, 1, np.zeros_like), *args, blame=(1,))
    yield wrong("two layers: units flipped", "permutation", f, _changed(grad, 2, lambda g: g[::-1]), *args, blame=(2,))
    yield wrong(
        "two layers: a unit forgotten",
        "block|zero",
        f,
        _changed(grad, 0, lambda g: put(g, (slice(None), 2), 0.0)),
        *args,
        blame=(0,),
    )
    yield wrong(
        "two layers: one weight",
        "few-entries",
        f,
        _changed(grad, 0, lambda g: put(g, (1, 3), 1.3 * g[1, 3] + 0.01)),
        *args,
        blame=(0,),
    )
    yield wrong(
        "two layers: W1 and W2 by 2",
        "scale:2",
        f,
        _changed(_changed(grad, 0, lambda g: 2 * g), 2, lambda g: 2 * g),
        *args,
        blame=(0, 2),
    )
    float32 = lambda g: g.astype(np.float32).astype(float)
    yield wrong("two layers: W2 rounded to float32", "precision", f, _changed(grad, 2, float32), *args, blame=(2,))
    yield wrong("two layers: b1 rounded to float32", "precision", f, _changed(grad, 1, float32), *args, blame=(1,))
    yield wrong(
        "two layers: off by 1e-5", "scale:1.00001|precision", f, _changed(grad, 2, lambda g: 1.00001 * g), *args, blame=(2,)
    )


@family
def penalties(r: np.random.Generator) -> Iterator[Row]:
    X, t = r.normal(size=(N, 6)), r.integers(0, 2, N) * 2.0 - 1
    w, b = r.normal(size=6), 0.7
    w[:3] = [0.8, -0.9, 1.1]  # of one sign, a slope of |w| would be a constant
    w[3:] = np.abs(w[3:])

    def f(w, b, l2=0.1, l1=0.0):
        return np.mean(np.log(1 + np.exp(-t * (X @ w + b)))) + 0.5 * l2 * np.sum(w**2) + l1 * np.sum(absolute(w))

    def grad(w, b, l2=0.1, l1=0.0, on_b=0.0):
        s = -t * sigmoid(-t * (X @ w + b)) / N
        return X.T @ s + l2 * w + l1 * np.sign(w), float(s.sum() + on_b * b)

    yield right("ridge", f, grad, w, b)
    yield wrong("ridge: decay lost", "regulariser", f, lambda w, b: grad(w, b, 0.0), w, b, blame=(0,))
    yield wrong("ridge: decay doubled", "regulariser", f, lambda w, b: grad(w, b, 0.2), w, b, blame=(0,))
    yield wrong("ridge: decay subtracted", "regulariser", f, lambda w, b: grad(w, b, -0.1), w, b, blame=(0,))
    lasso = lambda w, b: f(w, b, 0.0, 0.2)
    yield right("lasso", lasso, lambda w, b: grad(w, b, 0.0, 0.2), w, b)
    yield wrong("lasso: penalty lost", "regulariser", lasso, lambda w, b: grad(w, b, 0.0), w, b, blame=(0,))
    yield wrong("lasso: w for its sign", "dense|regulariser", lasso, lambda w, b: grad(w, b, 0.2), w, b, blame=(0,))
    elastic = lambda w, b: f(w, b, 0.1, 0.2)
    yield right("elastic net", elastic, lambda w, b: grad(w, b, 0.1, 0.2), w, b)
    yield wrong("elastic net: no l1", "regulariser", elastic, lambda w, b: grad(w, b, 0.1), w, b, blame=(0,))
    W = r.normal(size=(20, 15))
    big = lambda W: np.sum(np.sin(W)) + 0.05 * np.sum(W**2)
    yield wrong("decay of a large matrix lost", "regulariser", big, np.cos, W)


@family
def losses(r: np.random.Generator) -> Iterator[Row]:
    Z, T = r.normal(size=(5, 4)), np.eye(4)[r.integers(0, 4, 5)]
    ce = lambda Z: np.mean(logsumexp(Z) - np.sum(Z * T, 1))
    yield right("cross entropy", ce, lambda Z: (softmax(Z) - T) / 5, Z)
    yield wrong("cross entropy: over the wrong axis", "dense|wrong-axis", ce, lambda Z: (softmax(Z, 0) - T) / 5, Z)
    yield wrong("cross entropy: sum for mean", "scale:5", ce, lambda Z: softmax(Z) - T, Z)
    yield wrong("cross entropy: mean over entries", "scale:0.25", ce, lambda Z: (softmax(Z) - T) / 20, Z)
    yield wrong("cross entropy: t - y", "sign", ce, lambda Z: (T - softmax(Z)) / 5, Z)
    z, c = r.normal(size=6), away_from_mean(r, 6)
    soft = lambda z: softmax(z) @ c
    yield right("softmax", soft, lambda z: softmax(z) * (c - softmax(z) @ c), z)
    yield wrong(
        "softmax: the diagonal, y(1-y)c",
        "missing-factor|missing-term|dense",
        soft,
        lambda z: softmax(z) * (1 - softmax(z)) * c,
        z,
    )
    yield wrong("softmax: without its mean", "missing-term|dense", soft, lambda z: softmax(z) * c, z)
    vjp = lambda y_bar, z: softmax(z) * (y_bar - softmax(z) @ y_bar)
    yield right("softmax pullback", softmax, vjp, z, kind="vjp")
    J = lambda z: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z))
    yield right("softmax Jacobian", softmax, J, z, kind="jacobian")
    yield wrong(
        "softmax Jacobian: its diagonal",
        "missing-term",
        softmax,
        lambda z: np.diag(softmax(z) * (1 - softmax(z))),
        z,
        kind="jacobian",
    )
    yield wrong(
        "softmax Jacobian: without y yᵀ",
        "missing-term|dense|few-entries",
        softmax,
        lambda z: np.diag(softmax(z)),
        z,
        kind="jacobian",
    )
    yield right("softmax pushforward", softmax, lambda v, z: softmax(z) * (v - softmax(z) @ v), z, kind="jvp")
    yield wrong(
        "softmax pushforward: twice", "scale:2", softmax, lambda v, z: 2 * softmax(z) * (v - softmax(z) @ v), z, kind="jvp"
    )
    p, t = r.uniform(0.1, 0.9, 6), r.integers(0, 2, 6).astype(float)
    bce = lambda p: -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    yield right("binary cross entropy", bce, lambda p: (p - t) / (p * (1 - p)) / 6, p)
    yield wrong("binary cross entropy: that of the logits", "missing-factor", bce, lambda p: (p - t) / 6, p)
    yield wrong("binary cross entropy: 1/N missing", "scale:6", bce, lambda p: (p - t) / (p * (1 - p)), p)
    y, d = r.normal(size=7), 0.6
    far = np.abs(y) > d
    huber = lambda y: np.sum(np.where(np.abs(y.real) < d, 0.5 * y**2, d * absolute(y) - 0.5 * d**2))
    if far.any() and not far.all():
        yield right("huber", huber, lambda y: np.clip(y, -d, d), y)
        yield wrong("huber: clip ignored", "mask|few-entries|dense", huber, lambda y: y, y)


def away_from_mean(r, n):
    return r.normal(size=n) + np.arange(n)


@family
def masks(r: np.random.Generator) -> Iterator[Row]:
    X = r.normal(size=(5, 4))
    keep = np.resize([True, True, False, True, False, True, True], (5, 4))
    f = lambda X: np.sum(np.sin(X) * keep / 0.6)
    yield right("dropout", f, lambda X: np.cos(X) * keep / 0.6, X)
    yield wrong("dropout: mask ignored", "mask", f, lambda X: np.cos(X) / 0.6, X)
    yield wrong("dropout: not divided by the share kept", "scale:0.6", f, lambda X: np.cos(X) * keep, X)
    yield wrong("dropout: mask turned round", "mask", f, lambda X: np.cos(X) * ~keep / 0.6, X)
    C = r.normal(size=(5, 4))
    clipped = lambda X: np.sum(C * np.clip(X.real, -0.7, 0.7) if not np.iscomplexobj(X) else C * _clip(X))
    yield right("clip", clipped, lambda X: C * (np.abs(X) < 0.7), X)
    yield wrong("clip: ignored", "mask", clipped, lambda X: C, X)
    E = r.normal(size=(7, 3))
    ids = np.array([0, 2, 2, 5, 0, 2])
    w = r.normal(size=(6, 3))
    table = lambda E: np.sum(w * np.sin(E[ids]))

    def scattered(E):
        g = np.zeros_like(E)
        np.add.at(g, ids, w * np.cos(E[ids]))
        return g

    def overwritten(E):
        g = np.zeros_like(E)
        g[ids] = w * np.cos(E[ids])
        return g

    yield right("embedding", table, scattered, E)
    yield wrong("embedding: twice-used rows overwritten", "block|few-entries|dense", table, overwritten, E)
    yield wrong("embedding: padding row not skipped", "block", lambda E: table(put(E, 0, 0 * E[0])), scattered, E)


def _clip(X):
    return np.where(X.real < -0.7, -0.7, np.where(X.real > 0.7, 0.7, X))


@family
def attention(r: np.random.Generator) -> Iterator[Row]:
    Q, K, V, C = (r.normal(size=(4, 4)) for _ in range(4))
    causal = np.tril(np.ones((4, 4), dtype=bool))

    def f(Q, K, V):
        return np.sum(C * (softmax(np.where(causal, Q @ K.T / 2, -1e30)) @ V))

    def grad(Q, K, V, scale=0.5, mean=True, mask=causal):
        P = softmax(np.where(mask, Q @ K.T / 2, -1e30))
        P_bar = C @ V.T
        S_bar = P * (P_bar - (np.sum(P * P_bar, 1, keepdims=True) if mean else 0))
        return scale * S_bar @ K, scale * S_bar.T @ Q, P.T @ C

    args = (Q, K, V)
    yield right("attention", f, grad, *args)
    yield wrong("attention: 1/sqrt(d) missing", "scale:2", f, lambda *a: grad(*a, scale=1.0), *args, blame=(0, 1))
    yield wrong(
        "attention: softmax without its mean", "dense|missing-term", f, lambda *a: grad(*a, mean=False), *args, blame=(0, 1)
    )
    yield wrong("attention: mask ignored", "dense", f, lambda *a: grad(*a, mask=True), *args)
    yield wrong(
        "attention: K and V exchanged", "swapped-args", f, lambda *a: tuple(grad(*a)[k] for k in (0, 2, 1)), *args, blame=(1, 2)
    )
    yield wrong(
        "attention: K transposed", "transpose", f, lambda *a: (grad(*a)[0], grad(*a)[1].T.copy(), grad(*a)[2]), *args, blame=(1,)
    )
    yield wrong("attention: V detached", "zero", f, lambda *a: (*grad(*a)[:2], 0 * V), *args, blame=(2,))
