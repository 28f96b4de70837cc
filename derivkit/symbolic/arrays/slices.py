"""Windows that are plain slices, ``x[1:, ::2]``: those that provably stay inside of the array; and arrays side by side."""

from __future__ import annotations

from collections.abc import Callable

from derivkit.symbolic.arrays.nodes import mul, number
from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.index import ONE, ZERO, Size
from derivkit.symbolic.ranges import at_least


def slices(node: Array, shown: Callable[[Size], str] = str) -> str | None:
    """Return what stands between the brackets of a window that is a slice, else ``None``; ``shown`` writes a size.

    >>> from derivkit.symbolic.arrays.nodes import zeros
    >>> from derivkit.symbolic.arrays.views import window
    >>> L = Size.of("L")
    >>> slices(window(zeros((L,)), (ONE,), ((0, ONE, L - 1),))), slices(window(zeros((L,)), (L - 1,), ((0, ONE * -1, L),)))
    ('1:', '::-1')
    """
    starts: tuple[Size, ...] = node.params[0]  # type: ignore[assignment]
    axes: tuple[tuple[int, Size, Size], ...] = node.params[1]  # type: ignore[assignment]
    if [a for a, _, _ in axes] != list(range(node.args[0].rank)):
        return None
    items = []
    for start, (axis, step, count) in zip(starts, axes, strict=True):
        item = _slice(start, step, count, node.args[0].shape[axis], shown)
        if item is None:
            return None
        items.append(item)
    while len(items) > 1 and items[-1] == ":":
        items.pop()
    return ", ".join(items)


def _slice(start: Size, step: Size, count: Size, length: Size, shown: Callable[[Size], str]) -> str | None:
    stride = step.literal
    if stride == -1 and start == length - 1 and count == length:
        return "::-1"
    last = start + step * (count - 1)
    if stride is None or stride < 1 or not at_least(start) or not at_least(length - last, 1):
        return None
    first = shown(start) if start.terms else ""
    to_end = at_least(start + step * count - length)
    return f"{first}:{'' if to_end else _stop(last + 1, length, shown)}{f':{stride}' if stride > 1 else ''}"


def _stop(stop: Size, length: Size, shown: Callable[[Size], str]) -> str:
    before = (stop - length).literal
    return shown(stop) if before is None or length.literal is not None else str(before)


def concatenation(node: Array) -> Array | None:
    """Return a sum of arrays padded to stand one behind the other as their concatenation, else ``None``."""
    if node.op != "add" or any(a.op != "window" or a.args[0].rank != node.rank for a in node.args):
        return None
    axis = next((n for n in range(node.rank) if node.args[0].args[0].shape[n] != node.shape[n]), None)
    if axis is None:
        return None
    left = {}
    for sign, part in zip(node.params, node.args, strict=True):
        starts: tuple[Size, ...] = part.params[0]  # type: ignore[assignment]
        plain = tuple((n, ONE, length) for n, length in enumerate(node.shape))
        moved = [n for n, s in enumerate(starts) if s.terms]
        whole = all(part.args[0].shape[n] == length for n, length in enumerate(node.shape) if n != axis)
        if part.params[1] != plain or not set(moved) <= {axis} or not whole:
            return None
        left[starts[axis] * -1] = part.args[0] if sign == 1 else mul([number(-1), part.args[0]])
    place, ordered = ZERO, []
    while place in left:
        ordered.append(left.pop(place))
        place = place + ordered[-1].shape[axis]
    if left or place != node.shape[axis] or len(ordered) < len(node.args):
        return None
    return Array("concat", tuple(ordered), node.shape, (axis,))


def padding(node: Array, shown: Callable[[Size], str] = str) -> str | None:
    """Return the widths by which a window pads an array with zeros, as ``pad`` takes them, or ``None``: ``(1, 0)``."""
    starts: tuple[Size, ...] = node.params[0]  # type: ignore[assignment]
    axes: tuple[tuple[int, Size, Size], ...] = node.params[1]  # type: ignore[assignment]
    x = node.args[0]
    if [(a, step) for a, step, _ in axes] != [(n, Size.of(1)) for n in range(x.rank)]:
        return None
    widths = [(s * -1, count + s - length) for s, (_, _, count), length in zip(starts, axes, x.shape, strict=True)]
    if not widths or not all(at_least(w) for pair in widths for w in pair):
        return None
    if len({w for pair in widths for w in pair}) == 1:
        return shown(widths[0][0])
    texts = [f"({shown(before)}, {shown(after)})" for before, after in widths]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
