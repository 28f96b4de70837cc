"""Subscripts of arrays: positions, slices, new axes and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from derivkit.symbolic.deltas import may_leave, reads_as_zero
from derivkit.symbolic.expr import ZERO_EXPR, Expr, Inside, Ref, substitute
from derivkit.symbolic.index import ONE, ZERO, Affine, Index, Size
from derivkit.symbolic.parse.algebra import product
from derivkit.symbolic.parse.context import HINTS, Context, Value, ordered
from derivkit.symbolic.parse.shapes import shown
from derivkit.symbolic.parse.syntax import Place
from derivkit.symbolic.ranges import is_beyond, is_within


@dataclass(frozen=True, slots=True)
class NewAxis:
    """``None`` among the subscripts."""


@dataclass(frozen=True, slots=True)
class Span:
    """``start:stop:step``; a negative literal counts from the end."""

    start: Size | None
    stop: Size | None
    step: int
    place: Place


@dataclass(frozen=True, slots=True)
class At:
    """One position: an affine form of indices, sizes and labels; ``alone`` says that an index has the range of the axis.

    A position that is ``found`` comes of an index over a size of 1: it is none that the author wrote, and may be out of range.
    """

    position: Affine
    place: Place
    alone: bool = True
    found: bool = False


Item = NewAxis | Span | At | Value
_FULL = Span(None, None, 1, Place(0, 0))


def take(context: Context, base: Value, items: Sequence[Item], place: Place) -> Value:
    """Return ``base[items]`` with NumPy's meaning; an array of labels picks, and its axes come where it stands."""
    base = context.whole(base) if base.label is None else base  # an argmax is read by rows as it stands
    used = sum(not isinstance(item, NewAxis) for item in items)
    if used > len(base.axes):
        message = f"{used} subscript{'s' * (used != 1)} for an array of shape {shown(map(context.sizes.resolve, base.shape))}"
        raise context.error(place, message, "DK012", "an undeclared name has the rank of its letter: declare its shape")
    items = [*items, *[_FULL] * (len(base.axes) - used)]
    if not all(isinstance(base.expr, Ref) and _is_safe(base.expr, *read) for read in _left(base, items)):
        base = _named(context, base)
    items = [_reference(context, item) if isinstance(item, Value) else item for item in items]
    labels = [item for item in items if isinstance(item, Value)]
    label_axes, label_exprs = context.broadcast(labels) if labels else ((), [])
    places = [n for n, item in enumerate(items) if isinstance(item, Value)]
    if places and places[-1] - places[0] >= len(places):
        raise context.error(labels[-1].place, "labels with other subscripts between them", "DK010", "transpose first")
    axes: list[Index | None] = []
    mapping: dict[Index, Affine] = {}
    guards: list[Expr] = []
    sources = iter(base.axes)
    for number, item in enumerate(items):
        if isinstance(item, NewAxis):
            axes.append(None)
            continue
        axis = next(sources)
        if isinstance(item, Span):
            axes.append(_sliced(context, axis, item, mapping))
        elif isinstance(item, At):
            guards.extend(_placed(context, axis, item, mapping, base))
        else:
            if number == places[0]:
                axes.extend(label_axes)
            if item.label is not None and not context.sizes.unify(item.label, ONE if axis is None else axis.size):
                raise context.misfit(base, item, f"the labels run over {item.label}")
            if axis is not None:
                mapping[axis] = Affine.of(label_exprs[places.index(number)])
    return Value(tuple(axes), product((*guards, substitute(base.expr, mapping))), place, base.label, base.number)


def _reference(context: Context, label: Value) -> Value:
    """Return a label as an array with a name, as subscripts hold it."""
    value = label if isinstance(label.expr, Ref) else context.renamed(label, HINTS["argmax"])
    if not isinstance(value.expr, Ref):
        raise context.error(label.place, "a position that has no name", "DK019", "give it a name on a line of its own")
    return value


def _named(context: Context, value: Value) -> Value:
    expr = context.named(value.expr, "u", ordered(value.expr.free, value.indices), of="read")  # 0 out of range by its name
    return Value(value.axes, expr, value.place, value.label, value.number)


def _left(base: Value, items: Sequence[Item]) -> list[tuple[Index | None, Affine]]:
    """Return the axes with the positions that may be out of range, where an array reads as 0 and an expression need not."""
    pairs = zip(base.axes, (i for i in items if not isinstance(i, NewAxis)), strict=True)
    beyond = [(axis, i.position) for axis, i in pairs if isinstance(i, At) and (not i.alone or i.position.bare is None)]
    return [(axis, position) for axis, position in beyond if position.constant is None]


def _is_safe(expr: Expr, axis: Index | None, position: Affine) -> bool:
    """Say whether ``expr`` may be read at ``position`` of an axis; where it has no such axis the range is said beside."""
    return axis is None or axis not in expr.free or not may_leave(position, axis) or reads_as_zero(expr, axis)


def _sliced(context: Context, axis: Index | None, span: Span, mapping: dict[Index, Affine]) -> Index | None:
    """Return the axis that a slice leaves, and keep how it reads the old one."""
    if span.start is None and span.stop is None and span.step == 1:
        return axis
    size = context.sizes.resolve(ONE if axis is None else axis.size)
    if span.step < 0:
        if span.start is not None or span.stop is not None:
            raise context.error(
                span.place, "a reversed part", "DK010", f"reverse all of an axis, x[::{span.step}], then take a part"
            )
        if axis is None:
            return None
        new = context.index((size - span.step - 1) // -span.step)
        if new is not None:
            new.part = span.step < -1
        mapping[axis] = Affine.of(size - 1) + (Affine.of(0) if new is None else Affine.of(new).scaled(span.step))
        return new
    start, stop = _end(span.start, size, ZERO), _end(span.stop, size, size)
    length = (stop - start + (span.step - 1)) // span.step
    if length.literal is not None and length.literal < 1:
        raise context.error(span.place, f"an empty slice of an axis of size {size}", "DK020")
    what = f"the slice {_shown(span)}"
    context.need(ZERO, start, what)
    context.need(stop, size, what)
    new = context.index(length)
    if new is not None:
        new.part = True
    if axis is not None:
        mapping[axis] = (Affine.of(0) if new is None else Affine.of(new).scaled(span.step)) + Affine.of(start)
    return new


def _shown(span: Span) -> str:
    ends = ["" if bound is None else str(bound) for bound in (span.start, span.stop)]
    return ":".join([*ends, str(span.step)] if span.step > 1 else ends)


def _end(bound: Size | None, size: Size, default: Size) -> Size:
    if bound is None:
        return default
    literal = bound.literal
    if literal is None:
        return bound
    if literal < 0:
        bound, literal = size + literal, None if size.literal is None else size.literal + literal
    if size.literal is None or literal is None:
        return bound
    return Size.of(max(0, min(literal, size.literal)))


def _same(context: Context, left: Size, right: Size) -> bool:
    """Say whether two sizes may be the same: they are, or one of them is not known yet."""
    one, other = context.sizes.resolve(left), context.sizes.resolve(right)
    return one == other or any(name.startswith("?") for size in (one, other) for name in size.names())


def _placed(context: Context, axis: Index | None, item: At, mapping: dict[Index, Affine], base: Value) -> list[Expr]:
    """Keep what a position reads; return the indicator of the range where the array itself cannot show it."""
    size = ONE if axis is None else axis.size
    position, bare, constant = item.position, item.position.bare, item.position.constant
    guarded = False
    uniform = axis is None or axis not in base.expr.free  # ones(P)[i - 1]: nothing but the range depends on the position
    if bare is not None and not item.alone:
        bare.part = True  # it may run past the axis, or over a part of it
        context.sizes.reads.append((position, size))
        guarded = uniform or not _is_safe(base.expr, axis, position)  # the latter where nothing gets a name
    elif bare is not None:
        if uniform and context.sizes.resolve(bare.size).names() and not _same(context, bare.size, size):
            return [Inside(position, size)]
        if not context.sizes.unify(bare.size, size):
            runs = context.sizes.resolve(bare.size)
            message = f"index '{bare.hint}' runs over {runs}, this axis has {context.sizes.resolve(size)}"
            raise context.error(item.place, message, "DK012", "an index has one range")
    elif constant is not None and item.found:
        if axis is None or is_beyond(position, size):
            mapping.update({} if axis is None else {axis: Affine.of(0)})
            return [] if axis is None and constant == ZERO else [ZERO_EXPR]
        guarded = not is_within(position, size)
    elif constant is not None and constant.literal is not None:
        literal, limit = constant.literal, context.sizes.resolve(size).literal
        position = position if literal >= 0 else position + Affine.of(size)
        if limit is not None and not -limit <= literal < limit:
            raise context.error(item.place, f"position {literal} of an axis of size {limit}", "DK019")
        context.need(Size.of(literal + 1 if literal >= 0 else -literal), size, f"position {literal}")
    elif constant is not None:
        if is_beyond(Affine.of(context.sizes.resolve(constant)), context.sizes.resolve(size)):
            raise context.error(item.place, f"position {constant} of an axis of size {context.sizes.resolve(size)}", "DK019")
        context.need(constant + 1, size, f"position {constant}")
        context.need(ZERO, constant, f"position {constant}")
    elif constant is None:
        context.sizes.reads.append((position, size))
        guarded = uniform or not _is_safe(base.expr, axis, position)  # the latter where nothing gets a name
    if axis is not None:
        mapping[axis] = position
    return [Inside(position, size)] if guarded else []
