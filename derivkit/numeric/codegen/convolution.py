"""Sums of products, also with windows: matrix products of panels, in which the windows lie side by side.

A window costs one copy, in runs along the last axis; what is left is BLAS.  The panel is made for some rows of the batch
at a time where it is large (see ``blocks``).  Nothing here knows of convolutions: which axes are summed decides all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from derivkit.numeric.codegen import products
from derivkit.numeric.codegen.builder import Builder, lengths
from derivkit.numeric.codegen.instructions import BUFFER, CONSTANT, REAL, Instruction, Storage, Value
from derivkit.numeric.codegen.windows import side_by_side, source, starts_of, views_of
from derivkit.symbolic.arrays import Array
from derivkit.symbolic.arrays.nodes import expand, tensordot
from derivkit.symbolic.arrays.transposes import transpose as transposed
from derivkit.symbolic.arrays.views import scatter
from derivkit.symbolic.index import Size

#: Entries of a panel that is filled and read before the next one (measured: 1.5 MB of float32).
PANEL = 393_216

#: Adding up the products of every place is slower than copying windows, so many times.
_ADDING = 1.5

_DOTS = ("window_dot", "tensordot")
_ENTRYWISE = ("add", "mul", "fn")


def dot(build: Builder, node: Array) -> Value | None:
    """Lower a sum over pairs of axes."""
    return _lowered(build, node, tuple(range(node.rank)))


def transpose(build: Builder, node: Array) -> Value | None:
    """Lower a transpose; a product has its axes in that order at once."""
    x, order = node.args[0], tuple(int(n) for n in node.params)  # type: ignore[call-overload]
    if not build.is_shared(x):
        if x.op in _DOTS:
            return _lowered(build, x, order)
        if x.op in _ENTRYWISE and any(a.op == "transpose" and a.args[0].op in _DOTS for a in x.args):
            args = tuple(_turned(a, order) for a in x.args)
            return build.value(Array(x.op, args, node.shape, x.params))
    return products.transpose(build, node)


def _turned(x: Array, order: tuple[int, ...]) -> Array:
    """Return an operand of an entrywise operation for a result with its axes in another order."""
    if x.rank < len(order) and x.rank:
        x = expand(x, [n < len(order) - x.rank for n in range(len(order))])
    return transposed(x, order) if x.rank else x


# -- products -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """An operand: its axes that stay, in the order of the result, and those that go."""

    node: Array
    kept: tuple[int, ...]
    gone: tuple[int, ...]

    def size(self, axes: Sequence[int]) -> int:
        return prod(lengths(self.node)[n] for n in axes)


def _lowered(build: Builder, node: Array, order: tuple[int, ...]) -> Value | None:
    """Lower a sum over pairs of axes, ``order`` saying which axis of the node comes where in the result."""
    other = _by_adding(node)
    if other is not None:
        build.recognised["windows of few outputs: a matrix product at all places, added up where they belong"] += 1
        return build.value(transposed(other, order))
    v, a = node.args
    if any(build.value(source(x)).is_number for x in node.args) or min(lengths(v) + lengths(a), default=1) < 1:
        return None
    over_v, over_a = (tuple(int(n) for n in over) for over in node.params)  # type: ignore[attr-defined]
    kept_v = [n for n in range(v.rank) if n not in over_v]
    kept_a = [n for n in range(a.rank) if n not in over_a]
    count = len(kept_v)
    pairs = sorted(zip(over_v, over_a, strict=True), key=lambda pair: pair[1])
    left = _Side(v, tuple(kept_v[n] for n in order if n < count), tuple(p for p, _ in pairs))
    right = _Side(a, tuple(kept_a[n - count] for n in order if n >= count), tuple(p for _, p in pairs))
    if order and order[0] == 0 < count and kept_v[0] == 0 and _is_rows(v) and len(order) > 1:
        return _of_rows(build, left, right, order, count)
    if pairs and pairs[0] == (0, 0) and len(pairs) > 1 and _is_rows(v) and lengths(v)[0] > 1 and _gains(left, right):
        return _over_rows(build, left, right, order, count)
    return _in_strips(build, left, right, order, count) or _plain(build, left, right, order, count)


def _is_rows(v: Array) -> bool:
    """Return whether the first axis of an operand is the first one of what it is a window of."""
    views = views_of(v)
    return not views or (views[0] == (0, 1, lengths(source(v))[0]) and all(n for n, _, _ in views[1:]) and not starts_of(v)[0])


def _gains(left: _Side, right: _Side) -> bool:
    """Return whether the products for each row are smaller than what is multiplied, so that adding them up is cheap."""
    x, y, inner = left.size(left.kept), right.size(right.kept), left.size(left.gone[1:])
    return x * y <= (x + y) * inner


def _of_rows(build: Builder, left: _Side, right: _Side, order: Sequence[int], count: int) -> Value:
    """Lower a product for each row of the left operand."""
    rows, rest = lengths(left.node)[0], _Side(left.node, left.kept[1:], left.gone)
    first = all(n < count for n in order[1 : 1 + len(rest.kept)])
    swapped = not first or not rest.kept
    x = _matrix(build, rest, rest.kept, rest.gone, row=0)
    y = _matrix(build, right, right.kept, right.gone)
    shape_x, shape_y = (tuple(lengths(s.node)[n] for n in s.kept) for s in (rest, right))
    operands = (y, _flipped(x)) if swapped else (x, _flipped(y))
    made = _multiplied(build, operands, (rows, *(shape_y + shape_x if swapped else shape_x + shape_y)), rows=True)
    places = [0, *range(1, count), *range(count, len(order))]
    stored = [0, *places[count:], *places[1:count]] if swapped else places
    return _in_order(made, stored, _places(order, count))


def _over_rows(build: Builder, left: _Side, right: _Side, order: Sequence[int], count: int) -> Value:
    """Lower a product that is summed over the rows of both operands: one for each row, added up."""
    rows = lengths(left.node)[0]
    x, y = (_matrix(build, side, side.kept, side.gone[1:], row=side.gone[0]) for side in (left, right))
    swapped = right.size(right.kept) > left.size(left.kept)  # the longer side comes first: BLAS is up to a third faster
    operands = (y, _flipped(x)) if swapped else (x, _flipped(y))
    sides = (right, left) if swapped else (left, right)
    shape = tuple(lengths(s.node)[n] for s in sides for n in s.kept)
    flat = tuple(s.size(s.kept) for s in sides)
    part = _multiplied(build, operands, (rows, *flat), rows=True)
    total = Storage("u", shape, REAL, BUFFER)
    out = Value(shape, REAL, total)
    own = Storage("part", flat, REAL, CONSTANT, f"np.empty({flat}, dtype=dtype)")
    reads = (part, Value(flat, REAL, own), out.reshaped(*flat))
    adding = "add.reduce({0}, 0, None, {1}); add({2}, {1}, {2})"
    build.instructions.append(
        Instruction("add.reduce({0}, 0, None, {2})", reads, total, inplace=False, rows=(True, False, False), adding=adding)
    )
    stored = [*range(count, len(order)), *range(count)] if swapped else list(range(len(order)))
    return _in_order(out, stored, _places(order, count))


def _plain(build: Builder, left: _Side, right: _Side, order: Sequence[int], count: int) -> Value:
    """Lower a product as one of two matrices."""
    x, y = (_matrix(build, side, side.kept, side.gone) for side in (left, right))
    swapped = bool(order) and order[0] >= count
    sides = (right, left) if swapped else (left, right)
    shape = tuple(lengths(s.node)[n] for s in sides for n in s.kept)
    if not shape:
        return build.emit("{out} = {0}.dot({1})", (_as_vector(x), _as_vector(y)), ())
    made = _multiplied(build, (y, _flipped(x)) if swapped else (x, _flipped(y)), shape)
    stored = [*range(count, len(order)), *range(count)] if swapped else list(range(len(order)))
    return _in_order(made, stored, _places(order, count))


def _multiplied(
    build: Builder, operands: tuple[Value, Value], shape: tuple[int, ...], rows: bool = False, strips: int = 0
) -> Value:
    """Append the product of two matrices, or of one for each row, into an array of ``shape``, cut into ``strips`` if any."""
    a, b = operands
    storage = Storage("u", shape, REAL, BUFFER)
    out = Value(shape, REAL, storage)
    flat = (*((strips or shape[0],) if rows else ()), a.shape[-2], b.shape[-1])
    into = out.view(f"{{}}.reshape{(-1, *flat[1:]) if rows else flat}", flat, whole=True, by_rows=rows) if flat != shape else out
    if strips:
        into = out.view(f"{{}}.reshape({flat[-2]}, {strips}, {flat[-1]}).transpose(1, 0, 2)", flat)
    text = "np.matmul({0}, {1}, {2})" if rows else "{0}.dot({1}, {2})"
    if a.shape[-1] == 1:
        text = "multiply({0}, {1}, {2})"
    cut = (len(a.shape) > 2, len(b.shape) > 2, True) if rows else ()
    build.instructions.append(Instruction(text, (a, b, into), storage, inplace=False, rows=cut, block=PANEL if rows else 0))
    return out


def _places(order: Sequence[int], count: int) -> list[int]:
    """Return for each axis of the result its number when those of the left operand come first, each in their order."""
    left, right = iter(range(count)), iter(range(count, len(order)))
    return [next(left) if n < count else next(right) for n in order]


def _in_order(made: Value, stored: Sequence[int], wanted: Sequence[int]) -> Value:
    """Return a view of ``made``, whose axes are ``stored``, with them as they are ``wanted``."""
    if list(stored) == list(wanted):
        return made
    axes = tuple(list(stored).index(n) for n in wanted)
    return made.view(f"np.transpose({{}}, {axes})", tuple(made.shape[n] for n in axes), by_rows=axes[0] == 0)


def _in_strips(build: Builder, left: _Side, right: _Side, order: Sequence[int], count: int) -> Value | None:
    """Lower a product with windows of one large image strip by strip, each of some lines, so that a panel is small."""
    v, views = left.node, views_of(left.node)
    split = next((n for n, view in enumerate(views) if sum(view[0] == m for m, _, _ in views) > 1), None)
    if split is None or prod(lengths(v)) <= PANEL:
        return None
    split = max((n for n, view in enumerate(views) if view[0] == views[split][0]), key=lambda n: views[n][2])
    axis, step, count_lines = views[split]
    most = PANEL * count_lines // prod(lengths(v))
    lines = max((n for n in range(1, most + 1) if count_lines % n == 0), default=1)
    if lines < 2:
        return None
    strips = count_lines // lines
    parts = [(axis, step * lines, strips), *views]
    parts[split + 1] = (axis, step, lines)
    params = (tuple(map(Size.of, starts_of(v))), tuple((n, Size.of(s), Size.of(c)) for n, s, c in parts))
    cut = Array("window", (source(v),), tuple(Size.of(c) for _, _, c in parts), params)
    kept, gone = tuple(n + 1 for n in left.kept), tuple(n + 1 for n in left.gone)
    build.recognised["windows of one large image: strip by strip"] += 1
    if split in left.kept:
        if left.kept[0] != split or any(n < count for n in order[: len(right.kept)]):
            return None
        x, y = _matrix(build, _Side(cut, kept, gone), kept, gone, row=0), _matrix(build, right, right.kept, right.gone)
        shape = (*(lengths(right.node)[n] for n in right.kept), *(lengths(v)[n] for n in left.kept))
        return _multiplied(build, (y, _flipped(x)), shape, rows=True, strips=strips)
    place = right.gone[left.gone.index(split)]
    a = right.node
    shape_a = (*a.shape[:place], Size.of(strips), Size.of(lines), *a.shape[place + 1 :])

    def moved(axes: Sequence[int]) -> tuple[int, ...]:
        return tuple(n if n < place else n + 1 for n in axes)

    halves = Array("reshape", (a,), shape_a)
    sides = _Side(cut, kept, (0, *gone)), _Side(halves, moved(right.kept), (place, *moved(right.gone)))
    return _over_rows(build, *sides, order, count)


# -- operands -------------------------------------------------------------------------------------------------------------


def _matrix(build: Builder, side: _Side, kept: Sequence[int], gone: Sequence[int], row: int | None = None) -> Value:
    """Return an operand with the axes ``kept`` and ``gone`` as those of a matrix, of one for each place along ``row``."""
    shape, rows = lengths(side.node), row is not None
    first = () if row is None else (row,)
    sizes = [prod(shape[n] for n in axes) for axes in (kept, gone)]
    value = None if views_of(side.node) else build.as_real(build.value(side.node))
    for turned, axes in ((False, (*first, *kept, *gone)), (True, (*first, *gone, *kept))):
        if value is not None and value.whole and _is_sorted(axes, shape):
            return _folded(value, sizes, turned, rows, has_rows=value.has_rows)
    if value is not None and value.whole and row is not None and _is_sorted((*kept, row, *gone), shape):
        path = f"{{}}.reshape({sizes[0]}, {shape[row]}, {sizes[1]}).transpose(1, 0, 2)"
        return value.view(path, (shape[row], sizes[0], sizes[1]))
    turned = max((shape[n] for n in kept[-1:]), default=1) > max((shape[n] for n in gone[-1:]), default=1)
    axes = (*first, *gone, *kept) if turned else (*first, *kept, *gone)
    if value is None:
        return _folded(_panel(build, side.node, axes, rows), sizes, turned, rows, has_rows=True)
    key = ("turned", value, axes, rows)
    if key not in build.notes:
        view = value.view(f"np.transpose({{}}, {axes})", tuple(shape[n] for n in axes), by_rows=row == 0 and value.has_rows)
        build.notes[key] = build.emit("copyto({out}, {0})", (view,), view.shape, early=not rows, rows=(True,) if rows else ())
    return _folded(build.notes[key], sizes, turned, rows, has_rows=True)


def _is_sorted(axes: Sequence[int], shape: Sequence[int]) -> bool:
    """Return whether axes stand in their order, those of length 1 apart."""
    long = [n for n in axes if shape[n] > 1]
    return long == sorted(long)


def _panel(build: Builder, node: Array, axes: Sequence[int], rows: bool) -> Value:
    """Return windows side by side; a small panel is made once for all who read it."""
    key = ("panel", build.numbers(node.args[0]), node.op, node.params, tuple(axes))
    if key in build.notes:
        found: Value = build.notes[key]
        return found
    starts, views = starts_of(node), [views_of(node)[n] for n in axes]
    view = side_by_side(build, build.as_real(build.value(source(node))), starts, views)
    build.recognised["windows laid side by side in a panel: a matrix product"] += 1
    made = build.emit("copyto({out}, {0})", (view,), view.shape, hint="panel", rows=(True,) if rows else ())
    build.instructions[-1].block = PANEL
    if made.entries <= PANEL:
        build.notes[key] = made
    return made


def _folded(value: Value, sizes: Sequence[int], turned: bool, rows: bool, has_rows: bool) -> Value:
    """Return an array whose axes are in order as a matrix, or as one for each row."""
    shape: tuple[int, ...] = tuple(reversed(sizes) if turned else sizes)
    after: tuple[int, ...]
    if rows:
        shape = (value.shape[0], *shape)
        path = f".reshape{(-1, *shape[1:])}" if shape != value.shape else ""
        turn, after = ".transpose(0, 2, 1)", (shape[0], shape[2], shape[1])
    else:
        path = f".reshape{shape}" if shape != value.shape else ""
        turn, after = ".T", shape[::-1]
    folded = value.view("{}" + path, shape, whole=True, by_rows=rows and has_rows) if path else value
    return folded.view("{}" + turn, after, by_rows=rows and has_rows) if turned else folded


def _flipped(x: Value) -> Value:
    """Return a matrix, or one for each row, transposed."""
    turn, rows = (".T", False) if len(x.shape) == 2 else (".transpose(0, 2, 1)", x.has_rows)
    shape = (*x.shape[:-2], x.shape[-1], x.shape[-2])
    if x.path.endswith(turn):
        return Value(shape, x.holds, x.storage, x.path[: -len(turn)], whole=True, by_rows=rows)
    return x.view("{}" + turn, shape, by_rows=rows)


def _as_vector(x: Value) -> Value:
    """Return a matrix of one row or column as a vector."""
    return x.view("{}.reshape(-1)", (x.entries,), whole=True)


# -- the other way round --------------------------------------------------------------------------------------------------


def _by_adding(node: Array) -> Array | None:
    """Return a sum of products with windows as products at all places, added up where they belong, if those are fewer."""
    v, a = node.args
    views = views_of(v)
    if not views:
        return None
    over_v, over_a = (tuple(int(n) for n in over) for over in node.params)  # type: ignore[attr-defined]
    x, starts = source(v), starts_of(v)
    of = [[n for n, view in enumerate(views) if view[0] == axis] for axis in range(x.rank)]
    whole = [
        len(own) == 1 and views[own[0]] == (n, 1, length) and not starts[n]
        for n, (own, length) in enumerate(zip(of, lengths(x), strict=True))
    ]
    gone = [n for n in range(x.rank) if whole[n] and of[n][0] in over_v]
    rows = [n for n in range(x.rank) if whole[n] and of[n][0] not in over_v]
    moved = [n for n in range(x.rank) if not whole[n]]
    kept = {n: [k for k in of[n] if k not in over_v] for n in moved}
    if not moved or any(len(k) != 1 or views[k[0]][1] != 1 for k in kept.values()):
        return None
    pairs = dict(zip(over_v, over_a, strict=True))
    taps = {n: [pairs[k] for k in of[n] if k in pairs] for n in moved}
    flat = {t for own in taps.values() for t in own}
    channels = [n for n in range(a.rank) if n not in over_a]
    width = prod(lengths(a)[n] for n in channels)
    if width * prod(lengths(x)[n] for n in (*rows, *moved)) * _ADDING >= prod(lengths(v)) // prod(lengths(a)[t] for t in flat):
        return None
    made = tensordot(x, a, gone, [pairs[of[n][0]] for n in gone])
    axes: list[tuple[str, int]] = [("x", n) for n in range(x.rank) if n not in gone]
    axes += [("a", n) for n in range(a.rank) if n in channels or n in flat]
    put = [("x", n) for n in rows] + [each for each in axes if each[0] == "a"] + [("x", n) for n in moved]
    made = transposed(made, [axes.index(each) for each in put])
    for n in moved:
        own = [("x", n), *(("a", t) for t in taps[n])]
        steps = [1, *(-views[k][1] for k in of[n] if k in pairs)]
        (place,) = kept[n]
        made = scatter(
            made, [put.index(each) for each in own], [Size.of(s) for s in steps], Size.of(-starts[n]), Size.of(views[place][2])
        )
        put = [each for each in put if each not in own[1:]]
    wanted = [("x", next(m for m in range(x.rank) if k in of[m])) for k in range(v.rank) if k not in over_v]
    wanted += [("a", n) for n in channels]
    return transposed(made, [put.index(each) for each in wanted])
