"""The numbers that ``scripts/bench`` prints: each with its limit, timed in this one run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import derivkit as dk

TANH_NET = """\
x: D
W1: M, D
W2: K, M
t: onehot K
h = tanh(W1 @ x)
y = softmax(W2 @ h)
E = cross_entropy(t, y)
"""
CONVOLUTION = """\
x: C, H, W
w: O, C, P, Q
t: O, H, W
E = sum[o,i,j]((sum[c,p,q](x[c,i+p-1,j+q-1] * w[o,c,p,q]) - t[o,i,j])**2)
"""
SOFTMAX_CE = "z: K\nt: onehot K\ny = softmax(z)\nE = cross_entropy(t, y)"


class Row(NamedTuple):
    """One measured number and the most that it may be."""

    what: str
    value: float
    limit: float
    unit: str


def layers(count: int) -> str:
    """Return a sigmoid network of ``count`` layers with softmax and cross entropy."""
    shapes = [f"W{k}: M{k}, M{k - 1}" for k in range(1, count + 1)]
    body = [f"h{k} = sigmoid(W{k} @ h{k - 1})" for k in range(1, count)]
    last = [f"y = softmax(W{count} @ h{count - 1})", "E = cross_entropy(t, y)"]
    return "\n".join(["h0: M0", *shapes, f"t: onehot M{count}", *body, *last])


def best(run: Callable[[], object], times: int = 5) -> float:
    """Return the shortest of several runs, in seconds, after one that fills the caches."""
    run()
    spans = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        spans.append(time.perf_counter() - started)
    return min(spans)


def python(*arguments: str) -> float:
    return best(lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL))


def convolution() -> float:
    """Return how long a 3×3 convolution takes forward and backward, over the same by hand: im2col and one GEMM each."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, w, t = (rng.normal(size=shape) for shape in ((32, 16, 32, 32), (32, 16, 3, 3), (32, 32, 32, 32)))
    kernel = dk.compile(dk.derive(CONVOLUTION, wrt=["x", "w"], check=False), batch=["x", "t"])

    def by_hand() -> tuple[float, dict[str, np.ndarray]]:
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        columns = np.empty((16, 3, 3, 32, 32, 32))
        for p, q in np.ndindex(3, 3):
            columns[:, p, q] = padded[:, :, p : p + 32, q : q + 32].transpose(1, 0, 2, 3)
        panel, flat = columns.reshape(144, -1), w.reshape(32, 144)
        r = (flat @ panel).reshape(32, 32, 32, 32).transpose(1, 0, 2, 3) - t
        g = (2 / 32 * r).transpose(1, 0, 2, 3).reshape(32, -1)
        back = (flat.T @ g).reshape(16, 3, 3, 32, 32, 32)
        dx = np.zeros_like(padded)
        for p, q in np.ndindex(3, 3):
            dx[:, :, p : p + 32, q : q + 32] += back[:, p, q].transpose(1, 0, 2, 3)
        return float(np.sum(r * r) / 32), {"x": dx[:, :, 1:-1, 1:-1], "w": (g @ panel.T).reshape(w.shape)}

    ours, theirs = kernel(x=x, w=w, t=t), by_hand()
    for word in "xw":
        np.testing.assert_allclose(ours[1][word], theirs[1][word], rtol=1e-9, atol=1e-9)
    return best(lambda: kernel(x=x, w=w, t=t)) / best(by_hand)


def rows() -> list[Row]:
    ten, twenty = (best(lambda n=n: str(dk.derive(layers(n), wrt="W1")), 3) for n in (10, 20))
    bare = python("-c", "pass")
    return [
        Row("derive and print, 20 layers / 10 layers", twenty / ten, 2.5, "x"),
        Row("tanh net, derive and compile", 1000 * best(lambda: compiled(TANH_NET, ["W1", "W2"])), 60, "ms"),
        Row("10 layers, derive and compile", 1000 * best(lambda: compiled(layers(10), ["W1"]), 3), 150, "ms"),
        Row("3x3 convolution and its gradients / im2col by hand", convolution(), 3, "x"),
        Row("derivkit derive, softmax and cross entropy", python("-m", "derivkit", "derive", SOFTMAX_CE, "--wrt", "z"), 1, "s"),
        Row("derivkit --help, over a bare Python", 1000 * (python("-m", "derivkit", "--help") - bare), 100, "ms"),
    ]


def compiled(program: str, wrt: list[str]) -> object:
    dk.derive(program, wrt=wrt)
    return dk.compile(program, wrt=wrt).source


def main() -> int:
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # before NumPy loads
    missed = 0
    for row in rows():
        over = row.value > row.limit
        missed += over
        print(f"{row.what:50} {row.value:8.2f} {row.unit:3} limit {row.limit:g}{'  MISSED' if over else ''}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
