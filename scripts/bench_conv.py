"""Bound convolutions beside the same by hand: forward and both gradients, 3 x 3, the output as large as the input.

Alone: ``python scripts/bench_conv.py``, with ``--table`` for Markdown; see ``scripts/bench_kernels.py`` for the words.
"""

# ruff: noqa: I001  -- side_by_side sets the number of threads, before NumPy is imported

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from side_by_side import Run, Work, report

import numpy as np
from numpy import add, copyto, matmul
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

import derivkit as dk

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

SAME = "x: N, C, H, W\nw: K, C, 3, 3\ny = conv2d(x, w, padding=1)"
Array = NDArray[Any]


def expert(x: Array, w: Array, seed: Array) -> tuple[Run, dict[str, Array]]:
    """Return a step by hand, and where its results are.

    Columns are shifted first, so that a row of the panel is one run of the image; the gradient by the input is the product
    at all places, its rows added up in place before its columns.
    """
    (count, inner, high, wide), outer, real = x.shape, len(w), x.dtype
    size, taps = high * wide, inner * 9
    step = max(1, 393_216 // (taps * size))
    while count % step:
        step -= 1
    shifted = np.zeros((step, inner, 3, high + 2, wide), real)
    left, middle, right = shifted[:, :, 0, 1:-1, 1:], shifted[:, :, 1, 1:-1], shifted[:, :, 2, 1:-1, :-1]
    n, c, q, h, one = shifted.strides
    runs = as_strided(shifted, (step, inner, 3, 3, size), (n, c, h, q, one))
    panel = np.empty((step, inner, 3, 3, size), real)
    rows = panel.reshape(step, taps, size)
    matrix = w.reshape(outer, taps)
    back = matrix.T
    y, dx, dw = np.empty((count, outer, high, wide), real), np.empty_like(x), np.empty_like(w)
    part, sums, total = np.empty((step, taps, outer), real), np.empty((taps, outer), real), np.empty((taps, outer), real)
    placed = np.empty((step, inner, 3, 3, high, wide), real)
    products = placed.reshape(step, taps, size)
    above, centre, below = placed[:, :, 0, :, 1:], placed[:, :, 1], placed[:, :, 2, :, :-1]
    down, up = centre[:, :, :, :-1], centre[:, :, :, 1:]
    columns = centre[:, :, 0, :, 1:], centre[:, :, 1], centre[:, :, 2, :, :-1]
    parts = []
    for k in range(0, count, step):
        cut = slice(k, k + step)
        given = seed[cut].reshape(step, outer, size)
        into = dx[cut]
        made = y[cut].reshape(step, outer, size)
        parts.append(
            (
                x[cut],
                x[cut][..., :-1],
                x[cut][..., 1:],
                made,
                given,
                given.transpose(0, 2, 1),
                into,
                into[..., :-1],
                into[..., 1:],
            )
        )
    first, second, third = columns

    def run() -> None:
        total.fill(0)
        for own, but_last, but_first, made, given, turned, into, to_last, to_first in parts:
            copyto(left, but_last)
            copyto(middle, own)
            copyto(right, but_first)
            copyto(panel, runs)
            matmul(matrix, rows, made)
            matmul(rows, turned, part)
            add.reduce(part, 0, None, sums)
            add(total, sums, total)
            matmul(back, given, products)
            add(down, above, down)
            add(up, below, up)
            copyto(into, second)
            add(to_last, first, to_last)
            add(to_first, third, to_first)
        copyto(dw.reshape(outer, taps), total.T)

    return run, {"y": y, "x": dx, "w": dw}


def idiomatic(x: Array, w: Array, seed: Array) -> tuple[Array, Array, Array]:
    """Return the output and both gradients as one writes them."""
    pads = ((0, 0), (0, 0), (1, 1), (1, 1))
    views = sliding_window_view(np.pad(x, pads), (3, 3), (2, 3))  # type: ignore[call-overload]
    y = np.tensordot(views, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    dw = np.tensordot(seed, views, ((0, 2, 3), (0, 2, 3)))
    turned = sliding_window_view(np.pad(seed, pads), (3, 3), (2, 3))  # type: ignore[call-overload]
    dx = np.tensordot(turned, w[:, :, ::-1, ::-1], ((1, 4, 5), (0, 2, 3))).transpose(0, 3, 1, 2)
    return y, dx, dw


def convolution(rng: np.random.Generator, count: int, inner: int, outer: int, size: int, targets: dict[str, float]) -> Work:
    x = rng.normal(size=(count, inner, size, size)).astype(np.float32)
    w = (rng.normal(size=(outer, inner, 3, 3)) / 3).astype(np.float32)
    seed = rng.normal(size=(count, outer, size, size)).astype(np.float32)
    step = dk.compile(SAME, "x,w", kind="vjp").bind(x=x, w=w, y_bar=seed)
    by_hand, held = expert(x, w, seed)
    peers: dict[str, Run] = {"expert": by_hand, "idiomatic": lambda: idiomatic(x, w, seed)}

    def made_by_hand() -> tuple[Array, ...]:
        by_hand()
        return held["y"], held["x"], held["w"]

    results: list[Callable[[], Any]] = [made_by_hand, lambda: idiomatic(x, w, seed)]
    if torch:
        xt, wt, seeds = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True), torch.tensor(seed)

        def by_torch() -> list[Array]:
            y = torch.nn.functional.conv2d(xt, wt, padding=1)
            return [y.detach(), *torch.autograd.grad(y, (xt, wt), seeds)]

        peers["torch"] = by_torch
        results.append(lambda: [each.numpy() for each in by_torch()])

    def same() -> None:
        expected = idiomatic(*(each.astype(np.float64) for each in (x, w, seed)))
        ours = (step(), step.grads["x"], step.grads["w"])
        for made in (ours, *(each() for each in results)):
            for got, right in zip(made, expected, strict=True):
                np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-5 * np.abs(right).max())

    return Work(f"conv 3x3 same, {count} x {inner}->{outer} x {size}x{size}", step, peers, same, targets)


def works() -> Iterator[Work]:
    rng = np.random.default_rng(0)
    yield convolution(rng, 32, 1, 8, 28, {"expert": 0.9, "idiomatic": 5, "torch": 1.1})
    yield convolution(rng, 16, 16, 32, 32, {"expert": 0.9, "idiomatic": 3})


if __name__ == "__main__":
    raise SystemExit(report(works(), table="--table" in sys.argv))
