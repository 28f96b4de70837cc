"""Windows as views of arrays that are padded in place, and their opposite, sums by position: nothing is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from derivkit.numeric.codegen import products
from derivkit.numeric.codegen.builder import Builder, lengths
from derivkit.numeric.codegen.instructions import BUFFER, PADDED, REAL, Instruction, Storage, Value
from derivkit.symbolic.arrays import Array

#: An axis of a window: the axis of the array, the step along it, the length.
View = tuple[int, int, int]

#: Runs up to this many entries cost more to begin than to copy (measured), and so many copies are made to lengthen them.
_SHORT, _SHIFTS = 128, 16

#: A scatter over more places than this is a loop that NumPy's helper does.
_PLACES = 128


def source(node: Array) -> Array:
    """Return what a window, also a transposed one, is of; else the node itself."""
    window = node.args[0] if node.op == "transpose" else node
    return window.args[0] if window.op == "window" else node


def starts_of(node: Array) -> tuple[int, ...]:
    """Return where a window, also a transposed one, starts."""
    window = node.args[0] if node.op == "transpose" else node
    return tuple(int(s.literal or 0) for s in window.params[0])  # type: ignore[attr-defined]


def views_of(node: Array) -> list[tuple[int, int, int]]:
    """Return the axis of the source, the step and the length of each axis of a window, also a transposed one, else nothing."""
    if node.op == "transpose" and node.args[0].op == "window":
        inner = views_of(node.args[0])
        return [inner[int(n)] for n in node.params]  # type: ignore[call-overload]
    if node.op != "window":
        return []
    return [(n, int(step.literal or 0), int(count.literal or 0)) for n, step, count in node.params[1]]  # type: ignore[attr-defined]


def window(build: Builder, node: Array) -> Value | None:
    """Lower a window: a slice, or a view of the operand between zeros."""
    sliced = products.window(build, node)
    x = build.value(node.args[0])
    if sliced is not None or x.is_number or min(lengths(node), default=0) < 1:
        return sliced
    return viewed(build, build.as_real(x), starts_of(node), views_of(node))


def viewed(build: Builder, x: Value, starts: Sequence[int], axes: Sequence[View]) -> Value:
    """Return the view of ``x`` from ``starts`` on whose axes are (axis of x, step, length); beyond ``x`` are zeros."""
    before, after = _beyond(x.shape, starts, axes)
    rows = axes[0] == (0, 1, x.shape[0]) and not starts[0] and all(n for n, _, _ in axes[1:])
    if any(before) or any(after):
        x = _padded(build, x, before, after)
    begin = tuple(s + b for s, b in zip(starts, before, strict=True))
    build.helpers.add("windows")
    rows = rows and x.has_rows
    told = [f"({n}, {step}, {'len({})' if rows and not k else length})" for k, (n, step, length) in enumerate(axes)]
    path = f"windows({{}}, {begin}, [{', '.join(told)}])"
    return x.view(path, tuple(length for _, _, length in axes), by_rows=rows)


def _beyond(shape: Sequence[int], starts: Sequence[int], axes: Sequence[View]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how far a window reaches beyond each axis, before and after it."""
    first, last = list(starts), list(starts)
    for axis, step, length in axes:
        first[axis] += min(0, step * (length - 1))
        last[axis] += max(0, step * (length - 1))
    return tuple(max(0, -n) for n in first), tuple(max(0, n + 1 - length) for n, length in zip(last, shape, strict=True))


def _padded(build: Builder, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
    """Return ``x`` between zeros, which are written once: each step fills in what lies between them."""
    key = ("padded", x, tuple(before), tuple(after))
    if key not in build.notes:
        shape, inner = _between(x.shape, before, after)
        build.notes[key] = _filled(build, shape, [(inner, x)], rows=not before[0] and not after[0] and x.has_rows)
    found: Value = build.notes[key]
    return found


def _between(shape: Sequence[int], before: Sequence[int], after: Sequence[int]) -> tuple[tuple[int, ...], list[str]]:
    """Return the lengths of an array between zeros, and where between the brackets it begins and ends."""
    lines = list(zip(before, shape, after, strict=True))
    return tuple(b + n + a for b, n, a in lines), [f"{b}:{b + n}" if b or a else ":" for b, n, a in lines]


def _filled(build: Builder, shape: tuple[int, ...], parts: Sequence[tuple[Sequence[str], Value]], rows: bool) -> Value:
    """Return an array of zeros in which a step fills some parts, each cut by what stands between the brackets."""
    storage = Storage("padded", shape, REAL, PADDED)
    whole = Value(shape, REAL, storage)
    reads = [v for items, x in parts for v in (part_of(whole, items, x.shape, rows), x)]
    text = "; ".join(f"copyto({{{2 * n}}}, {{{2 * n + 1}}})" for n in range(len(parts)))
    build.instructions.append(Instruction(text, tuple(reads), storage, inplace=False, rows=(True,) * len(reads) if rows else ()))
    return whole


def side_by_side(build: Builder, x: Value, starts: Sequence[int], axes: Sequence[View]) -> Value:
    """Return windows as :func:`viewed` does, of columns that are shifted first where that leaves fewer and longer runs.

    A row of the panel of windows P x Q is then one run of the image; of the padded image it is a run for each line of it.
    """
    last = len(x.shape) - 1
    own = [k for k, (n, _, _) in enumerate(axes) if n == last]
    others = [n for n in range(last) if sum(m == n for m, _, _ in axes) > 1]
    if len(own) != 2 or not others or axes[own[1]][2] > _SHORT or axes[own[0]][2] > _SHIFTS:
        return viewed(build, x, starts, axes)
    (_, tap, taps), (_, step, count) = (axes[k] for k in own)
    put, rest = others[0], [view for view in axes if view[0] != last]
    before, after = _beyond(x.shape, [*starts[:-1], 0], rest)
    build.recognised["columns shifted before rows: longer runs"] += 1
    key = ("shifted", x, before, after, starts[-1], axes[own[0]], axes[own[1]])
    if key not in build.notes:
        high, inner = _between(x.shape, before, after)
        parts = []
        rows = bool(put) and not before[0] and not after[0] and x.has_rows
        for (k,), into, read in _lines((count, taps), (0, 1), (step, tap), starts[-1], x.shape[-1]):
            items = [*inner[:put], str(k), *inner[put:last], _slice(into, count)]
            part = part_of(x, [*[":"] * last, _slice(read, x.shape[-1])], (*x.shape[:-1], len(into)), rows)
            parts.append((items, part))
        build.notes[key] = _filled(build, (*high[:put], taps, *high[put:last], count), parts, rows)
    begin = [s + b for s, b in zip(starts[:-1], before, strict=False)]
    moved = [(n if n < put else n + 1, each, length) for n, each, length in axes]
    moved[own[0]], moved[own[1]] = (put, 1, taps), (last + 1, 1, count)
    return viewed(build, build.notes[key], [*begin[:put], 0, *begin[put:], 0], moved)


# -- sums by position -----------------------------------------------------------------------------------------------------


def scatter(build: Builder, node: Array, inplace: bool = False) -> Value | None:
    """Lower a sum by position: strided copies or additions, one for each place along the axes that go.

    It is ``inplace`` in that part of the operand which fills all places, if there is one.
    """
    inner = node.args[0]
    again = inner.op == "scatter" and not build.is_shared(inner)
    v = (scatter(build, inner, inplace=True) if again else None) or build.value(inner)
    axes: tuple[int, ...] = node.params[0]  # type: ignore[assignment]
    if v.is_number or min((*v.shape, *lengths(node)), default=0) < 1:
        return None
    v, shape, rows = build.as_real(v), lengths(node), 0 not in axes and v.has_rows
    axis = axes[0] - sum(a < axes[0] for a in axes[1:])
    steps, start = [int(s.literal or 0) for s in node.params[1]], int(node.params[2].literal or 0)  # type: ignore[attr-defined]
    lines = _lines(v.shape, axes, steps, start, shape[axis])
    lines.sort(key=lambda line: len(line[2]) < shape[axis])  # begin with what fills all places
    if not lines or len(lines) > _PLACES:
        return None

    def taken_of(x: Value, place: Sequence[int], taken: range) -> Value:
        at = {**dict(zip(axes[1:], map(str, place), strict=True)), axes[0]: _slice(taken, v.shape[axes[0]])}
        left = [len(taken) if k == axes[0] else n for k, n in enumerate(v.shape) if k not in axes[1:]]
        return part_of(x, [at.get(k, ":") for k in range(len(v.shape))], tuple(left), rows)

    fills, places = len(lines[0][2]) == shape[axis], [n for _, _, into in lines for n in into]
    own = inplace and fills and len(lines) > 1 and v.path == "{}" and v.storage is not None and v.storage.place == BUFFER
    storage = Storage("u", v.shape if own else shape, REAL, BUFFER)
    whole = Value(storage.shape, REAL, storage)
    out = taken_of(whole, *lines[0][:2]) if own else whole
    reads = [v] if own else []
    text = [] if fills or len(set(places)) == len(places) == shape[axis] else ["{out}.fill(0)"]
    apart = len(set(places)) == len(places)
    for n, (place, taken, into) in enumerate(lines):
        if own and not n:
            continue
        size = (*shape[:axis], len(into), *shape[axis + 1 :])
        mine = part_of(out, [_slice(into, shape[axis]) if k == axis else ":" for k in range(len(shape))], size, rows)
        word = "copyto({0}, {1})" if apart or (fills and not n) else "add({0}, {1}, {0})"
        text.append(word.format(f"{{{len(reads)}}}", f"{{{len(reads) + 1}}}"))
        reads += [mine, taken_of(whole if own else v, place, taken)]
    cut = (True,) * len(reads) if rows else ()
    build.instructions.append(Instruction("; ".join(text), tuple(reads), storage, inplace=False, updates=own, rows=cut))
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


def part_of(x: Value, items: Sequence[str], shape: tuple[int, ...], rows: bool) -> Value:
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
