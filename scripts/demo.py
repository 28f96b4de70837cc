"""The five parts of ``scripts/demo``: derive, check, compile, train, reject."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import derivkit as dk
from derivkit.numeric.data import one_hot, split

PROGRAM = """\
x: D
W1: M, D
W2: K, M
t: onehot K
h = tanh(W1 @ x)
y = softmax(W2 @ h)
E = cross_entropy(t, y)
"""
EPOCHS, BATCH, RATE, HIDDEN = 20, 32, 0.5, 64

Arrays = Mapping[str, NDArray[np.generic]]
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def part(number: int, title: str) -> None:
    print("\n" + paint(f"{number}  {title}", "1;36") + "\n", flush=True)


def note(text: str) -> None:
    print(paint(text, "2"), flush=True)


def loss(W1: NDArray[np.generic], arrays: Arrays) -> np.generic:
    """Return E by plain NumPy, written by hand: it knows nothing of derivkit, and takes complex numbers."""
    z = arrays["W2"] @ np.tanh(W1 @ arrays["x"])
    return np.log(np.exp(z).sum()) - arrays["t"] @ z


def complex_step(arrays: Arrays, step: float = 1e-30) -> NDArray[np.float64]:
    """Return dE/dW1 entry by entry as Im E(W1 + i step) / step, which loses no digits to subtraction."""
    W1 = arrays["W1"]
    gradient = np.empty(W1.shape)
    for entry in np.ndindex(W1.shape):
        moved = W1.astype(complex)
        moved[entry] += 1j * step
        gradient[entry] = np.imag(loss(moved, arrays)) / step
    return gradient


def show_derivation() -> Any:
    part(1, "Derive: a two-layer network, symbolic sizes, dE/dW1")
    print(paint(PROGRAM, "33"))
    started = time.perf_counter()
    derivation = dk.derive(PROGRAM, wrt="W1")
    print(derivation)
    note(f"derived and checked in {1000 * (time.perf_counter() - started):.0f} ms")
    return derivation


def show_checks(derivation: Any) -> None:
    part(2, "Check: every line was evaluated against the line before; and once more, from outside")
    random = np.random.default_rng(0)
    for D, M, K in [(5, 4, 3), (2, 7, 6), (1, 1, 1)]:
        arrays = {
            "x": random.normal(size=D),
            "W1": random.normal(size=(M, D)),
            "W2": random.normal(size=(K, M)),
            "t": one_hot([K - 1], K)[0],
        }
        ours, theirs = derivation.evaluate(arrays), complex_step(arrays)
        error = float(np.abs(ours - theirs).max() / max(1e-300, np.abs(theirs).max()))
        print(f"   D, M, K = {D}, {M}, {K}:  dE/dW1 is {ours.shape}, differs from a hand-written complex step by {error:.0e}")


def show_kernel() -> Any:
    part(3, "Compile: the same derivation, over a batch, as NumPy")
    kernel = dk.compile(PROGRAM, wrt=("W1", "W2"), batch=("x", "t"), reduce="mean")
    print(kernel.source.rstrip())
    return kernel


def show_training(kernel: Any) -> None:
    part(4, "Train: 1797 handwritten digits, one fifth of them held out")
    parts = split(*dk.load_digits())
    random = np.random.default_rng(0)
    start = {"W1": random.normal(size=(HIDDEN, 64)) / 8, "W2": random.normal(size=(10, HIDDEN)) / np.sqrt(HIDDEN)}
    data = {"x": parts.train_images, "t": one_hot(parts.train_labels, 10)}
    started = time.perf_counter()
    history = dk.fit(kernel, data=data, params=start, epochs=EPOCHS, batch_size=BATCH, lr=RATE, seed=0)
    seconds = time.perf_counter() - started
    for epoch in sorted({0, 1, 3, 7, EPOCHS - 1}):
        print(f"   epoch {epoch + 1:3d}   loss {history.loss[epoch]:.4f}")
    scores = np.tanh(parts.test_images @ history.params["W1"].T) @ history.params["W2"].T
    accuracy = float((scores.argmax(axis=1) == parts.test_labels).mean())
    print(f"\n   {100 * accuracy:.1f} % of {len(scores)} digits it never saw are read correctly, after {seconds:.1f} s")


def show_rejection() -> None:
    part(5, "Verify: somebody's gradient, with a mistake in it")
    random = np.random.default_rng(1)
    X, w, target = random.normal(size=(6, 3)), random.normal(size=3), random.normal(size=6)

    def squared_error(w: NDArray[np.float64]) -> float:
        return float(((X @ w - target) ** 2).mean())

    def claimed(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return X.T @ (X @ w - target) / len(X)

    note("E(w) = mean((X w − t)²),  claimed: dE/dw = Xᵀ (X w − t) / N\n")
    report = dk.check_gradient(squared_error, claimed, w)
    print(report)
    if report.ok:
        raise SystemExit("demo: a wrong gradient passed")


def main() -> None:
    derivation = show_derivation()
    show_checks(derivation)
    kernel = show_kernel()
    show_training(kernel)
    show_rejection()
    print()


if __name__ == "__main__":
    main()
