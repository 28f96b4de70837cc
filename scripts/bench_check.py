"""The check of a kernel beside naive central differences: ``python scripts/bench_check.py``.

A ReLU network 784-256-128-10 of 234,752 parameters, 64 samples, one entry of a gradient planted wrong.  "naive" is two forward
evaluations an entry, measured on a few hundred of them; the row is how much longer all of them take than the check.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

import derivkit as dk

NET = """x: 784
t: onehot 10
W1: 256, 784
W2: 128, 256
W3: 10, 128
h1 = relu(W1 @ x)
h2 = relu(W2 @ h1)
y = softmax(W3 @ h2)
E = cross_entropy(t, y)"""
LEAVES = ("W1", "W2", "W3")
SAMPLES, ENTRIES = 64, 300
LIMIT = 1000.0  # times


class Times(NamedTuple):
    """Seconds of the check and of naive differences over every parameter, and how many there are."""

    check: float
    naive: float
    parameters: int


def forward(a: dict[str, np.ndarray]) -> float:
    """Return the loss, as one writes it: no gradient is computed."""
    z = np.maximum(np.maximum(a["x"] @ a["W1"].T, 0) @ a["W2"].T, 0) @ a["W3"].T
    top = z.max(axis=1, keepdims=True)
    return float(np.mean(top[:, 0] + np.log(np.exp(z - top).sum(axis=1)) - np.sum(a["t"] * z, axis=1)))


def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {"x": rng.normal(size=(SAMPLES, 784)), "t": np.eye(10)[rng.integers(10, size=SAMPLES)]}
    for name, shape in zip(LEAVES, ((256, 784), (128, 256), (10, 128)), strict=True):
        made[name] = rng.normal(size=shape) * np.sqrt(2 / shape[1])
    return made


def naive(arrays: dict[str, np.ndarray], grads: dict[str, np.ndarray]) -> float:
    """Return the seconds that one entry takes, after seeing that its difference is the slope."""
    rng = np.random.default_rng(1)
    W, places = arrays["W1"], [tuple(int(rng.integers(n)) for n in arrays["W1"].shape) for _ in range(ENTRIES)]
    slopes = []
    started = time.perf_counter()
    for place in places:
        kept = W[place]
        W[place] = kept + 1e-6
        above = forward(arrays)
        W[place] = kept - 1e-6
        slopes.append((above - forward(arrays)) / 2e-6)
        W[place] = kept
    spent = time.perf_counter() - started
    np.testing.assert_allclose(slopes, [grads["W1"][p] for p in places], atol=1e-7)
    return spent / ENTRIES


def times() -> Times:
    """Return both times, each the best of some; the planted entry must be the one that is named."""
    kernel = dk.compile(NET, wrt=LEAVES, batch=("x", "t"))
    arrays = data()
    grads = {name: g.copy() for name, g in kernel(arrays)[1].items()}
    entry = min(naive(arrays, grads) for _ in range(3))
    grads["W1"][37, 512] *= 1.01
    spans = []
    for _ in range(5):
        started = time.perf_counter()
        report = kernel.check(arrays, grads)
        spans.append(time.perf_counter() - started)
        assert [(e.leaf, e.index) for e in report.entries] == [("W1", (37, 512))], report
    count = sum(arrays[name].size for name in LEAVES)
    return Times(min(spans), entry * count, count)


def main() -> int:
    """Print the row; 1 when it is missed."""
    t = times()
    ratio = t.naive / t.check
    print(f"every one of {t.parameters:,} gradient entries checked, one wrong named: {1000 * t.check:.0f} ms")
    missed = "  MISSED" if ratio < LIMIT else ""
    print(f"naive central differences (extrapolated): {t.naive:.0f} s, {ratio:,.0f} times as long; limit {LIMIT:,.0f}{missed}")
    return int(ratio < LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
