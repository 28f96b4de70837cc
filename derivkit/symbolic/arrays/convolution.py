"""Contractions that are convolutions, in the words of the language: ``conv2d(g, flip(w), padding=P-1)``.

A window of ``x`` that is summed against ``w`` over one index for each spatial axis is a cross-correlation with a stride, a
dilation and a padding; where the summed index runs backwards ``w`` is flipped.  One more common index is the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivkit.symbolic.arrays.nodes import expand, mul, parts
from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.arrays.views import window
from derivkit.symbolic.index import ONE, ZERO, Size
from derivkit.symbolic.ranges import at_least

Axis = tuple[int, Size, Size]


def letters_of(node: Array) -> tuple[str, str, str] | None:
    """Return the letters of two operands and of the result, of an einsum or of a product with windows in it."""
    if len(node.args) != 2:
        return None
    if node.op == "einsum":
        operands, result = str(node.params[0]).split("->")
        a, b = operands.split(",")
        return (a, b, result) if len(set(a)) == len(a) and len(set(b)) == len(b) else None
    if node.op == "matmul" and any(is_panel(x) for x in node.args):
        x, y = node.args
        if y.rank > 2 or (x.rank == 1 and y.rank == 1):
            return None
        a = "abcdefgh"[: x.rank - 1] + "k"
        b = "kz"[: y.rank]
        return a, b, a[:-1] + b[1:]
    return None


def is_panel(node: Array) -> bool:
    """Return whether an array is a window with more axes than the array that it looks at."""
    base = node.args[0] if node.op in ("transpose", "turn") else node
    return base.op == "window" and len(base.params[1]) > base.args[0].rank  # type: ignore[arg-type]


class _Slide(NamedTuple):
    """How one spatial axis is read: the letters of output and kernel, and stride, padding, dilation; whether backwards."""

    output: str
    kernel: str
    options: tuple[Size, Size, Size]
    back: bool
    length: Size
    wanted: Size


def convolution(node: Array) -> Array | None:
    """Return a contraction as a convolution where it is one, else ``None``."""
    letters = letters_of(node)
    if letters is None:
        return None
    a, b, result = letters
    x, y = node.args
    if not is_panel(x):
        x, y, a, b = y, x, b, a
    return _matched(x, a, y, b, result) if is_panel(x) and not is_panel(y) else None


def _matched(x: Array, a: str, w: Array, b: str, result: str) -> Array | None:
    if x.op in ("transpose", "turn"):
        order: tuple[int, ...] = x.params  # type: ignore[assignment]
        x, a = x.args[0], "".join(a[order.index(n)] for n in range(len(order)))
    source = x.args[0]
    starts: tuple[Size, ...] = x.params[0]  # type: ignore[assignment]
    views: tuple[Axis, ...] = x.params[1]  # type: ignore[assignment]
    slides: list[_Slide] = []
    plain: dict[str, int] = {}
    for n, length in enumerate(source.shape):
        own = [(letter, view) for letter, view in zip(a, views, strict=True) if view[0] == n]
        if len(own) == 1 and own[0][1] == (n, ONE, length) and starts[n] == ZERO:
            plain[own[0][0]] = n
            continue
        slide = _slide(own, starts[n], length, b, result)
        if slide is None:
            return None
        slides.append(slide)
    if len(slides) not in (1, 2):
        return None
    spatial = [n for n in range(source.rank) if n not in plain.values()]
    channel = [c for c in plain if c in b and c not in result]
    sample = [c for c in plain if c not in b and c in result]
    kernels = [s.kernel for s in slides]
    filters = [c for c in b if c not in channel and c not in kernels]
    if len(channel) + len(sample) < len(plain) or len(channel) > 1 or len(sample) > 1 or len(filters) > 1:
        return None
    if any(c not in result for c in filters) or (not filters and (channel or sample)) or (filters and not (channel or sample)):
        return None
    left = turn(source, [*(plain[c] for c in sample + channel), *spatial])
    right = turn(w, [b.index(c) for c in filters + channel + kernels])
    right = flip(right, [n + len(filters + channel) for n, s in enumerate(slides) if s.back])
    if filters and not channel:  # one channel for all
        left, right = (expand(v, [n == 1 for n in range(v.rank + 1)]) for v in (left, right))
    made = _conv(left, right, slides, [source.shape[plain[c]] for c in sample] + [w.shape[b.index(c)] for c in filters])
    axes = sample + filters + [s.output for s in slides]
    return None if made is None else turn(made, [axes.index(c) for c in result])


def _slide(own: Sequence[tuple[str, Axis]], start: Size, length: Size, b: str, result: str) -> _Slide | None:
    if len(own) != 2:
        return None
    (i, first), (p, second) = own if own[0][0] in result else own[::-1]
    if i not in result or i in b or p in result or p not in b:
        return None
    stride, dilation, back = first[1], second[1], False
    around = dilation * (second[2] - 1)
    if at_least(dilation * -1, 1):
        dilation, around, back = dilation * -1, around * -1, True
    pad = around - start if back else start * -1
    if not (at_least(stride, 1) and at_least(dilation, 1) and at_least(pad)):
        return None
    made = (length + pad * 2 - around - 1) // stride + 1
    return _Slide(i, p, (stride, pad, dilation), back, made, first[2])


def _conv(x: Array, w: Array, slides: Sequence[_Slide], lead: Sequence[Size]) -> Array | None:
    if not all(s.length == s.wanted or at_least(s.length - s.wanted) for s in slides):
        return None
    shape = (*lead, *(s.length for s in slides))
    made = Array("conv", (x, w), shape, tuple(tuple(s.options[n] for s in slides) for n in range(3)))
    views = [(n, ONE, size) for n, size in enumerate((*lead, *(s.wanted for s in slides)))]
    return window(made, [ZERO] * len(shape), views)


def turn(x: Array, order: Sequence[int]) -> Array:
    """Return ``x`` with its axes permuted, in words."""
    if x.op in ("turn", "transpose"):
        return turn(x.args[0], [x.params[n] for n in order])  # type: ignore[misc]
    if list(order) == list(range(x.rank)):
        return x
    factors, divisors = parts(x)
    if x.op == "mul" and sum(f.rank > 0 for f in factors) == 1 and not any(d.rank for d in divisors):
        return mul([turn(f, order) if f.rank else f for f in factors], divisors)  # scalars stay outside
    return Array("turn", (x,), tuple(x.shape[n] for n in order), tuple(order))


def flip(x: Array, axes: Sequence[int]) -> Array:
    """Return ``x`` backwards along ``axes``."""
    return Array("flip", (x,), x.shape, tuple(axes)) if axes else x


def words(node: Array, args: Sequence[str]) -> str:
    """Return a convolution as a call: ``conv1d(g, flip(w), padding=K-1)``."""
    texts = []
    for name, values, default in zip(("stride", "padding", "dilation"), node.params, (ONE, ZERO, ONE), strict=True):
        sizes: tuple[Size, ...] = values  # type: ignore[assignment]
        if any(s != default for s in sizes):
            one = len(set(sizes)) == 1
            texts.append(f", {name}={sizes[0] if one else '(' + ', '.join(map(str, sizes)) + ')'}")
    return f"conv{len(node.params[0])}d({args[0]}, {args[1]}{''.join(texts)})"  # type: ignore[arg-type]
