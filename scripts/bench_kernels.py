"""Bound kernels beside the same by hand and in other libraries, in turns in one run: ``scripts/bench kernels``.

The hand-written NumPy is in ``experts.py``; PyTorch and JAX run where they are installed (``scripts/bench peers`` installs
them, in an environment of their own).  Before anything is timed the values are compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

# isort: off
from side_by_side import Run, Work, report  # it sets the number of threads, before NumPy loads

import experts
import numpy as np
import derivkit as dk

# isort: on

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None
try:
    import jax
except ImportError:
    jax = None

RATE = 1e-6  # so small that no row's parameters move while it is timed
REAL = np.float32

CE = "z: K\nt: label K\nE = cross_entropy(onehot(t, K), softmax(z))"
MLP = """x: D
t: label K
W1: A, D
b1: A
W2: B, A
b2: B
W3: K, B
b3: K
h1 = {0}(W1 @ x + b1)
h2 = {0}(W2 @ h1 + b2)
z = W3 @ h2 + b3
E = cross_entropy(onehot(t, K), softmax(z))"""
TANH = "x: D\nt: onehot K\nW1: M, D\nW2: K, M\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = -sum(t*log(y))"
NORM = "x: N, D\ng: D\nb: D\ny = layer_norm(x, g, b)"


def one_step(net: Any, x: np.ndarray, t: np.ndarray) -> Run:
    """Return a step of gradient descent in PyTorch."""
    descent, xt, tt = torch.optim.SGD(net.parameters(), lr=RATE), torch.tensor(x), torch.tensor(t)

    def step() -> None:
        descent.zero_grad()
        torch.nn.functional.cross_entropy(net(xt), tt).backward()
        descent.step()

    return step


def jitted(loss: Callable[..., Any], params: Any, *data: np.ndarray) -> Run:
    """Return a compiled step of gradient descent in JAX."""
    given = [jax.numpy.asarray(a) for a in data]
    state = [jax.tree.map(jax.numpy.asarray, params)]

    @jax.jit
    def step(params: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, *given)
        return value, jax.tree.map(lambda p, g: p - RATE * g, params, grads)

    def run() -> float:
        value, state[0] = step(state[0])
        return float(value)

    return run


def cross_entropy(rng: np.random.Generator, rows: int, count: int) -> Work:
    z, t = (3 * rng.normal(size=(rows, count))).astype(REAL), rng.integers(0, count, rows)
    g = np.empty_like(z)
    step = dk.compile(CE, "z", batch=("z", "t")).bind(z=z, t=t)
    expert, idiomatic = experts.cross_entropy(z, t, g), experts.idiomatic_cross_entropy(z, t)

    def same() -> None:
        wide = z.astype(float)
        e = np.exp(wide - wide.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        loss = -np.log(p[np.arange(rows), t]).mean()
        p[np.arange(rows), t] -= 1
        np.testing.assert_allclose([step(), expert(), idiomatic()], [loss] * 3, rtol=1e-4)
        for made in (step.grads["z"], g):
            np.testing.assert_allclose(made, p / rows, rtol=1e-4, atol=1e-7)

    peers: dict[str, Run] = {"expert": expert, "idiomatic": idiomatic}
    if torch:
        zt, tt = torch.tensor(z, requires_grad=True), torch.tensor(t)
        peers["torch"] = lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(zt, tt), zt)
    targets = {"expert": 0.95, "idiomatic": 1.3, "torch": 3.0 if rows * count < 1000 else 1.0}
    return Work(f"softmax, cross entropy, {rows} x {count}", step, peers, same, targets)


def network(rng: np.random.Generator, kind: str, sizes: tuple[int, ...], rows: int, targets: dict[str, float]) -> Work:
    x, t = rng.normal(size=(rows, sizes[0])).astype(REAL), rng.integers(0, sizes[-1], rows)
    params = {f"W{n}": (0.05 * rng.normal(size=(b, a))).astype(REAL) for n, (a, b) in enumerate(pairwise(sizes), 1)}
    params |= {f"b{n}": np.zeros(b, REAL) for n, b in enumerate(sizes[1:], 1)}
    words = ("W1", "b1", "W2", "b2", "W3", "b3")
    kernel = dk.compile(MLP.format(kind), words, batch=("x", "t"))
    step = kernel.sgd(lr=RATE, x=x, t=t, **params)
    expert = experts.three_layers(kind, x, t, {w: a.copy() for w, a in params.items()}, RATE)
    peers: dict[str, Run] = {"expert": expert, "limit": experts.products(x, [params[w] for w in ("W1", "W2", "W3")])}
    if torch:
        act = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}[kind]
        layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        peers["torch"] = one_step(torch.nn.Sequential(layers[0], act(), layers[1], act(), layers[2]), x, t)
    if jax:

        def loss(p: Any, x: Any, t: Any) -> Any:
            act = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[kind]
            h = act(act(x @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"]) @ p["W3"].T + p["b3"]
            return -jax.numpy.take_along_axis(jax.nn.log_softmax(h), t[:, None], 1).mean()

        peers["jax"] = jitted(loss, params, x, t)

    def same() -> None:
        exact = kernel({"x": x.astype(float), "t": t, **{w: a.astype(float) for w, a in params.items()}})[0]
        np.testing.assert_allclose([step(), expert()], [exact] * 2, rtol=1e-4)

    return Work(f"{kind} net {'-'.join(map(str, sizes))}, step, batch {rows}", step, peers, same, targets)


def tanh_net(rng: np.random.Generator, rows: int) -> Work:
    x, t = rng.normal(size=(rows, 4)).astype(REAL), np.eye(3, dtype=REAL)[rng.integers(0, 3, rows)]
    w1, w2 = rng.normal(size=(8, 4)).astype(REAL), rng.normal(size=(3, 8)).astype(REAL)
    kernel = dk.compile(TANH, ("W1", "W2"), batch=("x", "t"))
    step = kernel.sgd(lr=RATE, x=x, t=t, W1=w1, W2=w2)
    expert = experts.tanh_net(x, t, np.concatenate([w1.ravel(), w2.ravel()]), 8, RATE)
    peers: dict[str, Run] = {"expert": expert}
    if torch:
        peers["torch"] = torch_tanh(w1, w2, [(torch.tensor(x), torch.tensor(t))])
    if jax:

        def loss(p: Any, x: Any, t: Any) -> Any:
            return -(t * jax.nn.log_softmax(jax.numpy.tanh(x @ p[0].T) @ p[1].T)).sum() / len(t)

        peers["jax"] = jitted(loss, (w1, w2), x, t)

    def same() -> None:
        exact = kernel(x=x.astype(float), t=t.astype(float), W1=w1.astype(float), W2=w2.astype(float))[0]
        np.testing.assert_allclose([step(), expert()], [exact] * 2, rtol=1e-4)

    return Work(f"tanh net 4-8-3, step, batch {rows}", step, peers, same, {"expert": 0.9, "torch": 7, "jax": 1.2})


def torch_tanh(w1: np.ndarray, w2: np.ndarray, batches: list[Any]) -> Run:
    """Return a step on each of the batches in PyTorch."""
    v1, v2 = torch.tensor(w1, requires_grad=True), torch.tensor(w2, requires_grad=True)
    descent = torch.optim.SGD([v1, v2], lr=RATE)

    def run() -> None:
        for x, t in batches:
            descent.zero_grad()
            (-(t * torch.log_softmax(torch.tanh(x @ v1.T) @ v2.T, 1)).sum() / len(x)).backward()
            descent.step()

    return run


def digits(rng: np.random.Generator) -> Work:
    images, labels = dk.load_digits()
    x, t, hidden = images.astype(REAL), np.eye(10, dtype=REAL)[labels], 32
    w1, w2 = (0.3 * rng.normal(size=(hidden, 64))).astype(REAL), (0.3 * rng.normal(size=(10, hidden))).astype(REAL)
    order = rng.permutation(len(x))
    rows = [order[n : n + 32] for n in range(0, len(x), 32)]
    kernel = dk.compile(TANH, ("W1", "W2"), batch=("x", "t"))
    step = kernel.sgd(lr=RATE, rows=32, x=x, t=t, W1=w1, W2=w2)
    flat = np.concatenate([w1.ravel(), w2.ravel()])
    peers: dict[str, Run] = {"expert": experts.tanh_epoch(x, t, flat, hidden, RATE, rows)}
    if torch:
        peers["torch"] = torch_tanh(w1, w2, [(torch.tensor(x[r]), torch.tensor(t[r])) for r in rows])

    def ours() -> None:
        for places in rows:
            step(places)

    def same() -> None:
        ours()
        peers["expert"]()
        np.testing.assert_allclose(np.concatenate([p.ravel() for p in step.params.values()]), flat, rtol=1e-5, atol=1e-6)

    return Work(f"digits, tanh net 64-32-10, epoch of {len(rows)} steps", ours, peers, same, {"expert": 0.9, "torch": 2.2})


def gelu(rng: np.random.Generator) -> Work:
    x, seed = rng.normal(size=10**6).astype(REAL), rng.normal(size=10**6).astype(REAL)
    step = dk.compile("x: N\ny = gelu_tanh(x)", "x", kind="vjp").bind(x=x, y_bar=seed)
    y, back = np.empty_like(x), np.empty_like(x)
    expert = experts.gelu(x, seed, y, back)

    def same() -> None:
        step()
        expert()
        np.testing.assert_allclose(step.value, y, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(step.grads["x"], back, rtol=1e-4, atol=1e-5)

    peers: dict[str, Run] = {"expert": expert}
    if torch:
        xt, seeds = torch.tensor(x, requires_grad=True), torch.tensor(seed)
        peers["torch"] = lambda: torch.autograd.grad(torch.nn.functional.gelu(xt, approximate="tanh"), xt, seeds)
    return Work("gelu (tanh), value and gradient, 1,000,000", step, peers, same, {"expert": 0.9, "torch": 1.0})


def layer_norm(rng: np.random.Generator) -> Work:
    x, seed = rng.normal(size=(4096, 512)).astype(REAL), rng.normal(size=(4096, 512)).astype(REAL)
    g, b = rng.normal(size=512).astype(REAL), rng.normal(size=512).astype(REAL)
    step = dk.compile(NORM, "x,g,b", kind="vjp").bind(x=x, g=g, b=b, y_bar=seed)
    made = np.empty_like(x), np.empty_like(x), np.empty_like(g), np.empty_like(b)
    expert = experts.layer_norm(x, seed, g, b, made)

    def same() -> None:
        step()
        expert()
        for ours, theirs in zip((step.value, *(step.grads[w] for w in "xgb")), made, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)

    peers: dict[str, Run] = {"expert": expert, "idiomatic": experts.idiomatic_layer_norm(x, seed, g, b)}
    if torch:
        xt, gt, bt = (torch.tensor(a, requires_grad=True) for a in (x, g, b))
        seeds = torch.tensor(seed)
        peers["torch"] = lambda: torch.autograd.grad(torch.nn.functional.layer_norm(xt, (512,), gt, bt), (xt, gt, bt), seeds)
    return Work("layer norm, value and gradients, 4096 x 512", step, peers, same, {"expert": 0.9, "idiomatic": 1.6})


def works() -> Iterator[Work]:
    rng = np.random.default_rng(0)
    for rows, count in ((32, 10), (256, 1000), (4096, 1000), (64, 50257)):
        yield cross_entropy(rng, rows, count)
    for rows, limit in ((1, {}), (64, {"limit": 0.85}), (512, {"limit": 0.95})):
        yield network(rng, "relu", (784, 256, 128, 10), rows, {"expert": 0.95, "torch": 1.15, **limit})
    yield network(rng, "sigmoid", (784, 128, 64, 10), 64, {"expert": 0.95, "torch": 1.2})
    for rows in (1, 32):
        yield tanh_net(rng, rows)
    yield digits(rng)
    yield gelu(rng)
    yield layer_norm(rng)


if __name__ == "__main__":
    raise SystemExit(report(works(), table="--table" in sys.argv))
