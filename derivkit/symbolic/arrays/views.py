"""The constructors of views: windows of padded arrays, scatters, other shapes of the same entries."""

from __future__ import annotations

from collections.abc import Sequence

from derivkit.symbolic.arrays.nodes import broadcast_shape
from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.index import ONE, ZERO, Size
from derivkit.symbolic.ranges import at_least

Windows = Sequence[tuple[int, Size, Size]]


def entries(x: Array, places: Sequence[Array]) -> Array:
    """Return ``x[places[0], places[1], ...]``, 0 where a place is out of range."""
    return Array("entries", (x, *places), broadcast_shape(p.shape for p in places))


def window(x: Array, starts: Sequence[Size], axes: Sequence[tuple[int, Size, Size]]) -> Array:
    """Return ``x`` read at ``starts`` and on from there: an axis of the result is (axis of x, step, length).

    Out of range ``x`` reads as 0.  The whole of ``x`` is ``x``.
    """
    whole = tuple((n, ONE, length) for n, length in enumerate(x.shape))
    if tuple(axes) == whole and not any(s.terms for s in starts):
        return x
    if not any(s.terms for s in starts) and _splits(x.shape, axes):
        return reshape(x, [length for _, _, length in axes])
    composed = _composed(x, starts, axes) if x.op == "window" else None
    if composed is not None:
        return window(*composed)
    return Array("window", (x,), tuple(length for _, _, length in axes), (tuple(starts), tuple(axes)))


def _splits(shape: Sequence[Size], axes: Windows) -> bool:
    """Return whether axes of windows cut each axis into rows, one after the other: i and j of the place W·i + j."""
    if [a for a, _, _ in axes] != sorted(a for a, _, _ in axes):
        return False
    for n, length in enumerate(shape):
        step = ONE
        for _, each, count in reversed([view for view in axes if view[0] == n]):
            if each != step:
                return False
            step = step * count
        if step != length:
            return False
    return True


def reshape(x: Array, shape: Sequence[Size]) -> Array:
    """Return the same entries in another shape."""
    x = x.args[0] if x.op == "reshape" else x
    return x if tuple(shape) == x.shape else Array("reshape", (x,), tuple(shape))


def _composed(x: Array, starts: Sequence[Size], axes: Windows) -> tuple[Array, Sequence[Size], Windows] | None:
    """Return two windows, one of the other, as one, where no axis is windowed twice: ``pad(x, 1)[1:-1]`` is ``x``."""
    inner: tuple[Size, ...] = x.params[0]  # type: ignore[assignment]
    views: Windows = x.params[1]  # type: ignore[assignment]
    source = x.args[0]
    whole = [not inner[k].terms and [v for v in views if v[0] == k] == [(k, ONE, source.shape[k])] for k, _, _ in views]
    kept = [not starts[n].terms and [a for a in axes if a[0] == n] == [(n, ONE, length)] for n, length in enumerate(x.shape)]
    inside = [_stays(starts[n], [a for a in axes if a[0] == n], length) for n, length in enumerate(x.shape)]
    if not all(a or b or c for a, b, c in zip(whole, kept, inside, strict=True)):
        return None
    made = [(views[n][0], views[n][1] * step, length) for n, step, length in axes]
    first = list(inner)
    for n, (k, step, _) in enumerate(views):
        first[k] = first[k] + step * starts[n]
    return source, first, made


def _stays(start: Size, axes: Windows, length: Size) -> bool:
    """Return whether a window provably stays inside of an axis."""
    low = high = start
    for _, step, count in axes:
        if not at_least(step):
            return False
        high = high + step * (count - 1)
    return at_least(low) and at_least(length - high, 1)


def only(x: Array, axis: int, start: Size, count: Size) -> Array:
    """Return ``x`` where its axis is within ``count`` places from ``start`` on, 0 elsewhere: a slice between zeros."""
    starts = [start * -1 if n == axis else ZERO for n in range(x.rank)]
    views = [(n, ONE, length) for n, length in enumerate(x.shape)]
    return window(_cut(x, axis, start, count), starts, views)


def _cut(x: Array, axis: int, start: Size, count: Size) -> Array:
    """Return a slice along one axis, taken of the operands of elementwise operations."""
    if x.op in ("add", "mul", "pow", "fn") and all(not a.rank or a.shape == x.shape for a in x.args):
        shape = tuple(count if n == axis else length for n, length in enumerate(x.shape))
        return Array(x.op, tuple(_cut(a, axis, start, count) if a.rank else a for a in x.args), shape, x.params)
    starts = [start if n == axis else ZERO for n in range(x.rank)]
    return window(x, starts, [(n, ONE, count if n == axis else length) for n, length in enumerate(x.shape)])


def scatter(x: Array, axes: Sequence[int], steps: Sequence[Size], start: Size, length: Size) -> Array:
    """Return the sums of ``x`` by the position start + Σ steps · (places along ``axes``), which must be below ``length``.

    ``axes[0]`` becomes the axis of positions, the other ``axes`` go; what lies out of range is dropped.
    """
    shape = tuple(length if n == axes[0] else s for n, s in enumerate(x.shape) if n == axes[0] or n not in axes)
    order = sorted(range(len(axes)), key=lambda n: axes[n])
    first, count = min(axes), len(axes)
    views = [(0, steps[n], x.shape[axes[n]]) for n in order]
    if not start.terms and sorted(axes) == list(range(first, first + count)) and _splits((length,), views):
        return reshape(x, [*x.shape[:first], length, *x.shape[first + count :]])
    return Array("scatter", (x,), shape, (tuple(axes), tuple(steps), start))
