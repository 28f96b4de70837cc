"""Operations that only move entries: padding, flipping, repeating, joining and reshaping arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as pairs_of

from derivkit.symbolic.deltas import reads_as_zero
from derivkit.symbolic.expr import Add, Delta, Expr, Inside, substitute
from derivkit.symbolic.index import ONE, ZERO, Affine, Index, Size
from derivkit.symbolic.parse import algebra, syntax
from derivkit.symbolic.parse.arguments import Arguments, Row, read_axes, wrong
from derivkit.symbolic.parse.context import Context, Value, ordered
from derivkit.symbolic.parse.shapes import read_size, shown
from derivkit.symbolic.parse.syntax import Expression

# -- reading beyond an axis ----------------------------------------------------------------------------------------------


def extended(context: Context, value: Value, numbers: Sequence[int], function: str) -> Value:
    """Return ``value`` under a name where it does not read as 0 beyond its axes at ``numbers``.

    What does not depend on an axis, as ``ones(N)``, stays: :func:`read_at` says the range.
    """
    axes = [value.axes[n] for n in numbers]
    if all(a is None or a not in value.expr.free or reads_as_zero(value.expr, a) for a in axes):
        return value
    return context.renamed(value, "u", function)


def read_at(value: Value, number: int, position: Affine) -> Expr:
    """Return the entries of an ``extended`` value at ``position`` of one axis, 0 where that is out of range."""
    axis = value.axes[number]
    if axis is None:
        return algebra.product((value.expr, Delta(position + position.const * -1, Affine.of(position.const * -1))))
    if reads_as_zero(value.expr, axis):
        return substitute(value.expr, {axis: position})
    return algebra.product((Inside(position, axis.size), substitute(value.expr, {axis: position})))


def read_length(context: Context, arguments: Arguments, node: Expression, least: int = 0) -> Size:
    """Return a length among the arguments, at least ``least`` where it is a number."""
    size = read_size(node, context.size_names)
    if size is None or (size.literal is not None and size.literal < least):
        raise wrong(context, arguments, node.place, f"expected an integer from {least} or a size")
    return context.sizes.resolve(size)


def items_of(node: Expression) -> tuple[Expression, ...] | None:
    """Return the items of a tuple or list, ``None`` for anything else."""
    return node.items if isinstance(node, syntax.Tuple | syntax.List) else None


# -- rows ----------------------------------------------------------------------------------------------------------------


def _pad(context: Context, arguments: Arguments) -> Value:
    """Zeros around an array: it is read at shifted positions, where out of range is 0."""
    x = context.whole(arguments.x)
    widths = _pad_widths(context, arguments, len(x.axes))
    padded = [n for n, (low, high) in enumerate(widths) if (low, high) != (ZERO, ZERO)]
    x = extended(context, x, padded, arguments.function)
    for n in padded:
        low, high = widths[n]
        new = context.index(x.shape[n] + low + high)
        expr = read_at(x, n, Affine.of(0 if new is None else new) - low)
        x = Value((*x.axes[:n], new, *x.axes[n + 1 :]), expr, arguments.place)
    return Value(x.axes, x.expr, arguments.place)


def _pad_widths(context: Context, arguments: Arguments, rank: int) -> list[tuple[Size, Size]]:
    """Return (before, after) for each axis: NumPy's ``pad_width`` is n, (before, after), or a pair for each axis."""
    node = arguments.options["n"]
    items = items_of(node)
    if items is None:
        width = read_length(context, arguments, node)
        return [(width, width)] * rank
    rows = [items_of(item) for item in items]
    if all(row is None for row in rows) and len(items) == 2:
        rows = [items] * rank
    if len(rows) != rank or any(row is None or len(row) != 2 for row in rows):
        raise wrong(context, arguments, node.place, f"expected n, (before, after), or such a pair for each of {rank} axes")
    found = [tuple(read_length(context, arguments, n) for n in row) for row in rows if row is not None]
    return [(low, high) for low, high in found]


def _flip(context: Context, arguments: Arguments) -> Value:
    x = context.whole(arguments.x)
    mapping: dict[Index, Affine] = {}
    axes = list(x.axes)
    for n in read_axes(context, arguments, len(x.axes), arguments.options.get("axis")):
        old = x.axes[n]
        if old is not None:
            axes[n] = new = old.fresh()
            mapping[old] = Affine.of(old.size - 1) - new
    return Value(tuple(axes), substitute(x.expr, mapping), arguments.place)


def _repeat(context: Context, arguments: Arguments) -> Value:
    """Each entry n times: entry a stands at the positions n·a + r."""
    x = context.whole(arguments.x)
    n = read_length(context, arguments, arguments.options["n"], 1)
    node = arguments.options.get("axis")
    if isinstance(node, syntax.NoneItem | None) and len(x.axes) != 1:
        raise wrong(context, arguments, arguments.place, f"axis= says along which of {len(x.axes)} axes")
    (at,) = read_axes(context, arguments, len(x.axes), node)[:1]
    axis = x.axes[at]
    if n == ONE or axis is None:  # an array of one entry is the same at every position
        return Value((*x.axes[:at], axis if n == ONE else context.index(n), *x.axes[at + 1 :]), x.expr, arguments.place)
    new, copy = Index(axis.hint, axis.size * n), Index("r", n)
    axes = (*x.axes[:at], new, *x.axes[at + 1 :])
    place = Delta(Affine.of(new), Affine.of(axis).scaled(n) + copy)
    present = ordered((*x.expr.free, axis))
    body = algebra.product((context.without_sums(x.expr, present), place))
    return Value(axes, algebra.summed(context, (axis, copy), body, ()), arguments.place)


def _concat(context: Context, arguments: Arguments) -> Value:
    """Arrays one behind the other: each is read at the position less the sizes before it, where out of range is 0."""
    values = [context.whole(value) for value in arguments.more]
    if not values:
        raise wrong(context, arguments, arguments.place, "nothing to join")
    first = values[0]
    for value in values:
        if len(value.axes) != len(first.axes) or not value.axes:
            raise context.misfit(first, value, "joined arrays have the same number of axes, at least one")
    (at,) = read_axes(context, arguments, len(first.axes), arguments.options["axis"])[:1]
    for value in values[1:]:
        for n, (one, other) in enumerate(zip(first.shape, value.shape, strict=True)):
            if n != at and not context.sizes.unify(one, other):
                raise context.misfit(first, value, f"joined arrays have the same sizes but along axis {at}")
    if len(values) == 1:
        return Value(first.axes, first.expr, arguments.place)
    values = [extended(context, value, (at,), arguments.function) for value in values]
    values = [Value(v.axes, context.without_sums(v.expr, v.indices), v.place) for v in values]
    total = sum((v.shape[at] for v in values), ZERO)
    new = Index(next((a.hint for v in values if (a := v.axes[at]) is not None), "i"), context.sizes.resolve(total))
    parts: list[Value] = []
    offset = ZERO
    for value in values:
        expr = read_at(value, at, Affine.of(new) - offset)
        parts.append(Value((*value.axes[:at], None, *value.axes[at + 1 :]), expr, value.place))
        offset = offset + value.shape[at]
    axes, exprs = context.broadcast(parts)
    terms = [t for e in exprs for t in (e.args if isinstance(e, Add) else (e,))]
    return Value((*axes[:at], new, *axes[at + 1 :]), Add(tuple(terms)), arguments.place)


# -- reshape -------------------------------------------------------------------------------------------------------------


def _reshape(context: Context, arguments: Arguments) -> Value:
    """The same entries in the same order (the last axis runs fastest): axes are kept, merged or split."""
    x = context.whole(arguments.x)
    sizes = _new_shape(context, arguments, x)
    old = [axis for axis in x.axes if axis is not None]
    axes: list[Index | None] = [context.index(size) for size in sizes]
    new = [axis for axis in axes if axis is not None]
    mapping: dict[Index, Affine] = {}
    merged: list[Index] = []
    places: list[Expr] = []
    for left, right in _groups(old, new):
        if len(left) == 1:
            mapping[left[0]] = row_major(right)
        else:
            merged += left
            places.append(Delta(row_major(right), row_major(left)))
    expr = substitute(x.expr, mapping)
    if not merged:
        return Value(tuple(axes), expr, arguments.place)
    expr = context.without_sums(expr, ordered(expr.free))
    return Value(
        tuple(axes),
        algebra.summed(context, tuple(merged), algebra.product((expr, *places)), tuple(new)),
        arguments.place,
    )


def row_major(indices: Sequence[Index]) -> Affine:
    """Return the position that several indices have together, the last running fastest.

    >>> a, b = Index("a", Size.of("H")), Index("b", Size.of("W"))
    >>> str(row_major((a, b)))
    'W*a+b'
    """
    position, stride = Affine.of(0), ONE
    for index in reversed(indices):
        position = Affine.of(index).scaled(stride) + position
        stride = stride * index.size
    return position


def _new_shape(context: Context, arguments: Arguments, x: Value) -> list[Size]:
    node = arguments.options["shape"]
    nodes = items_of(node)
    if nodes is None:
        nodes = (node, *arguments.rest)
    open_ = [n for n, item in enumerate(nodes) if read_size(item, ()) == Size.of(-1)]
    sizes = [ONE if n in open_ else read_length(context, arguments, item, 1) for n, item in enumerate(nodes)]
    have, want = context.sizes.resolve(_product(x.shape)), _product(sizes)
    unknown = any(name.startswith("?") for name in have.names())
    if len(open_) > 1:
        raise wrong(context, arguments, node.place, "one size of -1 at most")
    if open_:
        rest = have // want
        if not unknown and rest * want != have:
            raise wrong(context, arguments, node.place, f"{have} entries of shape {shown(x.shape)} are no multiple of {want}")
        sizes[open_[0]] = rest
    elif not context.sizes.unify(have, want) and not unknown:
        message = f"{have} entries of shape {shown(map(context.sizes.resolve, x.shape))} as {want}: {shown(sizes)}"
        raise context.error(node.place, message, "DK012", "the sizes of both shapes have one product")
    return sizes


def _product(sizes: Sequence[Size]) -> Size:
    total = ONE
    for size in sizes:
        total = total * size
    return total


def _groups(old: Sequence[Index], new: Sequence[Index]) -> list[tuple[list[Index], list[Index]]]:
    """Return the smallest runs of old and new axes that hold the same entries."""
    found: list[tuple[list[Index], list[Index]]] = []
    m = n = 0
    while m < len(old) and n < len(new):
        ends = sorted(pairs_of(range(m + 1, len(old) + 1), range(n + 1, len(new) + 1)), key=sum)
        for i, j in ends:
            if _product([a.size for a in old[m:i]]) == _product([a.size for a in new[n:j]]):
                break
        else:
            i, j = len(old), len(new)
        found.append((list(old[m:i]), list(new[n:j])))
        m, n = i, j
    return found


STRUCTURE_ROWS: dict[str, Row] = {
    "pad": Row(_pad, frozenset({"n"})),
    "flip": Row(_flip, frozenset({"axis"})),
    "repeat": Row(_repeat, frozenset({"n", "axis"})),
    "concat": Row(_concat, frozenset({"axis"}), more=True),
    "reshape": Row(_reshape, frozenset({"shape"}), rest=True),
}
