"""The numbers that ``scripts/bench`` prints: each with its limit, timed in this one run."""

from __future__ import annotations

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


def rows() -> list[Row]:
    ten, twenty = (best(lambda n=n: str(dk.derive(layers(n), wrt="W1")), 3) for n in (10, 20))
    bare = python("-c", "pass")
    return [
        Row("derive and print, 20 layers / 10 layers", twenty / ten, 2.5, "x"),
        Row("tanh net, derive and compile", 1000 * best(lambda: compiled(TANH_NET, ["W1", "W2"])), 60, "ms"),
        Row("10 layers, derive and compile", 1000 * best(lambda: compiled(layers(10), ["W1"]), 3), 150, "ms"),
        Row("derivkit derive, softmax and cross entropy", python("-m", "derivkit", "derive", SOFTMAX_CE, "--wrt", "z"), 1, "s"),
        Row("derivkit --help, over a bare Python", 1000 * (python("-m", "derivkit", "--help") - bare), 100, "ms"),
    ]


def compiled(program: str, wrt: list[str]) -> object:
    dk.derive(program, wrt=wrt)
    return dk.compile(program, wrt=wrt).source


def main() -> int:
    missed = 0
    for row in rows():
        over = row.value > row.limit
        missed += over
        print(f"{row.what:46} {row.value:8.2f} {row.unit:3} limit {row.limit:g}{'  MISSED' if over else ''}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
