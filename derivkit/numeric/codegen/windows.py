"""Windows as views of arrays that are padded in place, and their opposite, sums by position: nothing is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from derivkit.numeric.codegen import products
from derivkit.numeric.codegen.builder import Builder, lengths
from derivkit.numeric.codegen.instructions import BUFFER, CONSTANT, REAL, Instruction, Storage, Value
from derivkit.symbolic.arrays import Array

#: A scatter over more places than this is a loop that NumPy's helper does.
_PLACES = 128


def source(node: Array) -> Array:
    """Return what a window, also a transposed one, is of; else the node itself."""
    window = node.args[0] if node.op == "transpose" else node
    return window.args[0] if window.op == "window" else node


def window(build: Builder, node: Array) -> Value | None:
    """Lower a window: a slice, or a view of the operand between zeros."""
    sliced = products.window(build, node)
    x = build.value(node.args[0])
    if sliced is not None or x.is_number or min(lengths(node), default=0) < 1:
        return sliced
    starts = [int(s.literal or 0) for s in node.params[0]]  # type: ignore[attr-defined]
    axes = [(int(n), int(step.literal or 0), int(count.literal or 0)) for n, step, count in node.params[1]]  # type: ignore[attr-defined]
    return viewed(build, build.as_real(x), starts, axes)


def viewed(build: Builder, x: Value, starts: Sequence[int], axes: Sequence[tuple[int, int, int]]) -> Value:
    """Return the view of ``x`` from ``starts`` on whose axes are (axis of x, step, length); beyond ``x`` are zeros."""
    first, last = list(starts), list(starts)
    for axis, step, length in axes:
        first[axis] += min(0, step * (length - 1))
        last[axis] += max(0, step * (length - 1))
    before = tuple(max(0, -n) for n in first)
    after = tuple(max(0, n + 1 - length) for n, length in zip(last, x.shape, strict=True))
    rows = axes[0] == (0, 1, x.shape[0]) and not starts[0] and all(n for n, _, _ in axes[1:])
    if any(before) or any(after):
        x = _padded(build, x, before, after)
    begin = tuple(s + b for s, b in zip(starts, before, strict=True))
    build.helpers.add("windows")
    path = f"windows({{}}, {begin}, {list(axes)})"
    return x.view(path, tuple(length for _, _, length in axes), by_rows=rows and x.has_rows)


def _padded(build: Builder, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
    """Return ``x`` between zeros, which are written once: each step fills in what lies between them."""
    key = ("padded", x, tuple(before), tuple(after))
    if key not in build.notes:
        shape = tuple(b + n + a for b, n, a in zip(before, x.shape, after, strict=True))
        storage = Storage("padded", shape, REAL, CONSTANT, f"np.zeros({shape}, dtype=dtype)")
        whole = Value(shape, REAL, storage)
        part = ", ".join(f"{b}:{b + n}" if b or a else ":" for b, n, a in zip(before, x.shape, after, strict=True))
        rows = not before[0] and not after[0]
        inner = whole.view("{}[" + part + "]", x.shape, by_rows=rows)
        build.instructions.append(
            Instruction("copyto({1}, {0})", (x, inner), storage, inplace=False, rows=(True, True) if rows else ())
        )
        build.notes[key] = whole
    found: Value = build.notes[key]
    return found


# -- sums by position -----------------------------------------------------------------------------------------------------


def scatter(build: Builder, node: Array) -> Value | None:
    """Lower a sum by position: strided copies or additions, one for each place along the axes that go."""
    v = build.value(node.args[0])
    axes: tuple[int, ...] = node.params[0]  # type: ignore[assignment]
    if v.is_number or min((*v.shape, *lengths(node)), default=0) < 1:
        return None
    v = build.as_real(v)
    steps = [int(s.literal or 0) for s in node.params[1]]  # type: ignore[attr-defined]
    start = int(node.params[2].literal or 0)  # type: ignore[attr-defined]
    axis = axes[0] - sum(a < axes[0] for a in axes[1:])
    shape = lengths(node)
    lines = _lines(v.shape, axes, steps, start, shape[axis])
    if len(lines) > _PLACES:
        return None
    times = [0] * shape[axis]
    for _, _, into in lines:
        for n in into:
            times[n] += 1
    storage = Storage("u", shape, REAL, BUFFER)
    out = Value(shape, REAL, storage)
    rows = 0 not in axes and v.has_rows
    once = max(times) <= 1
    if once or not lines:
        text = [] if min(times) else ["{out}.fill(0)"]
    else:  # begin with what fills all places, else with zeros
        lines.sort(key=lambda line: len(line[2]) < shape[axis])
        text = [] if len(lines[0][2]) == shape[axis] else ["{out}.fill(0)"]
    reads: list[Value] = []
    for n, (place, taken, into) in enumerate(lines):
        at = dict(zip(axes[1:], place, strict=True)) | {axes[0]: _slice(taken, v.shape[axes[0]])}
        read = tuple(s for k, s in enumerate(v.shape) if k not in axes[1:])
        read = (*read[:axis], len(taken), *read[axis + 1 :])
        part = _part(v, [str(at.get(k, ":")) for k in range(len(v.shape))], read, rows)
        mine = _part(out, [_slice(into, shape[axis]) if k == axis else ":" for k in range(len(shape))], read, rows)
        a, b = f"{{{len(reads)}}}", f"{{{len(reads) + 1}}}"
        text.append(f"copyto({a}, {b})" if once or (n == 0 and not text) else f"add({a}, {b}, {a})")
        reads += [mine, part]
    cut = (True,) * len(reads) if rows else ()
    build.instructions.append(Instruction("; ".join(text), tuple(reads), storage, inplace=False, rows=cut))
    return out


def _lines(
    shape: Sequence[int], axes: Sequence[int], steps: Sequence[int], start: int, size: int
) -> list[tuple[tuple[int, ...], range, range]]:
    """Return for each place along ``axes[1:]`` which of those along ``axes[0]`` go where: what falls outside is dropped."""
    lines = []
    for place in product(*(range(shape[a]) for a in axes[1:])):
        first = start + sum(s * n for s, n in zip(steps[1:], place, strict=True))
        taken = [n for n in range(shape[axes[0]]) if 0 <= first + steps[0] * n < size]
        if taken:
            into = range(first + steps[0] * taken[0], first + steps[0] * taken[-1] + (1 if steps[0] > 0 else -1), steps[0] or 1)
            lines.append((place, range(taken[0], taken[-1] + 1), into))
    return lines


def _part(x: Value, items: Sequence[str], shape: tuple[int, ...], rows: bool) -> Value:
    """Return a part of an array, cut by what stands between the brackets."""
    while items and items[-1] == ":":
        items = items[:-1]
    return x.view("{}[" + ", ".join(items) + "]", shape, by_rows=rows) if items else x


def _slice(places: range, length: int) -> str:
    """Return places as they stand between brackets."""
    first, last, step = places[0], places[-1], places.step
    if step == 1 and len(places) == length:
        return ":"
    stop = last + (1 if step > 0 else -1)
    return f"{first}:{stop if stop >= 0 else ''}{f':{step}' if step != 1 else ''}"
