"""Affine subscripts as arrays: windows of padded arrays, masks, and scatters into strided places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from derivkit.symbolic.arrays import nodes, views
from derivkit.symbolic.arrays.contract import Axes, Operand, align, letter
from derivkit.symbolic.arrays.lengths import shorter
from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.expr import Add, Expr, Fn, Inside, Mul, Num, Pow, Prim, Ref, replace
from derivkit.symbolic.index import ONE, ZERO, Affine, Index, Size
from derivkit.symbolic.ranges import at_least, reach

#: Primitives that are read at positions along their bound axes.
ALONG = frozenset({"softmax", "log_softmax", "first_max", "prod_except"})

# -- windows --------------------------------------------------------------------------------------------------------------


def windowed(x: Operand, reads: Mapping[Index, Affine]) -> Operand:
    """Return the operand with some axes read at affine forms over indices; out of range it is 0."""
    starts: list[Size] = []
    axes: list[tuple[int, Size, Size]] = []
    letters: list[Index] = []
    for n, axis in enumerate(x.axes):
        sub = reads.get(axis, Affine.of(axis))
        starts.append(sub.const)
        for atom in sub.indices():
            axes.append((n, sub.coefficient(atom), atom.size))
            letters.append(atom)
    return with_distinct_axes(views.window(x.node, starts, axes), tuple(letters))


def with_distinct_axes(array: Array, axes: Axes) -> Operand:
    """Return the operand, axes that carry the same index read along their diagonal."""
    distinct = tuple(dict.fromkeys(axes))
    if len(distinct) == len(axes):
        return Operand(array, axes)
    if len(axes) == 2:
        return Operand(nodes.diagonal(array), distinct)
    letters: dict[Index, str] = {}
    for axis in distinct:
        letters[axis] = letter(axis, letters.values())
    spec = "".join(letters[a] for a in axes) + "->" + "".join(letters.values())
    return Operand(nodes.einsum(spec, [array], tuple(a.size for a in distinct)), distinct)


def is_window(sub: Affine) -> bool:
    """Return whether a subscript is an affine form over indices alone (no integer-valued array in it)."""
    return bool(sub.terms) and all(isinstance(a, Index) for a, _ in sub.terms)


# -- masks ----------------------------------------------------------------------------------------------------------------


def positions(sub: Affine, label: Callable[[Expr], Operand]) -> Operand:
    """Return the integers that a subscript takes, with an axis for each of its indices."""
    operands, steps = [], []
    for atom, step in sub.terms:
        operands.append(Operand(nodes.arange(atom.size), (atom,)) if isinstance(atom, Index) else label(atom))  # type: ignore[arg-type]
        steps.append(step)
    arrays, axes = align(operands)
    terms = [(1, nodes.mul([nodes.size(s), a])) for s, a in zip(steps, arrays, strict=True)]
    if sub.const.terms or not terms:
        terms.append((1, nodes.size(sub.const)))
    return Operand(nodes.add(terms), axes)


def inside(node: Inside, label: Callable[[Expr], Operand]) -> Operand:
    """Return the indicator of a range, without the half of it that is provable."""
    at, axes = positions(node.subscript, label)[:2]
    low = high = None
    if is_window(node.subscript) or node.subscript.constant is not None:
        low, high = reach(node.subscript)
    tests = []
    if low is None or not at_least(low):
        tests.append(nodes.fn("greater_equal", at, nodes.number(0)))
    if high is None or not at_least(node.size - high, 1):
        tests.append(nodes.fn("less", at, nodes.size(node.size)))
    return Operand(nodes.mul(tests), axes) if tests else Operand(nodes.number(1), ())


def is_part(node: Expr, summed: Sequence[Index]) -> bool:
    """Return whether a range keeps a provable part of one kept index: [0 ≤ i − 1 < N − 1] for i below N."""
    if not isinstance(node, Inside) or len(node.subscript.terms) != 1 or not is_window(node.subscript):
        return False
    (index,) = node.subscript.indices()
    start = node.subscript.const * -1
    plain = node.subscript.coefficient(index) == ONE and index not in summed
    return plain and at_least(start) and at_least(index.size - start - node.size)


def part_of(x: Operand, node: Inside) -> Operand:
    """Return the operand where the range holds, 0 elsewhere."""
    (index,) = node.subscript.indices()
    if index not in x.axes:  # whatever had it is 0 by itself
        return x
    return Operand(views.only(x.node, x.axes.index(index), node.subscript.const * -1, node.size), x.axes)


def where_it_counts(factor: Expr, inverse: bool, masks: Sequence[Inside]) -> Expr:
    """Return a factor in which each divisor is 1 where a mask beside it is 0: what does not count is not divided by 0 either."""
    if inverse:
        return _masked(factor, masks)
    beside = [m for m in masks if m.free <= factor.free]
    return replace(factor, lambda node: _without_edge(node, beside)) if beside and not isinstance(factor, Inside) else factor


def _without_edge(node: Expr, masks: Sequence[Inside]) -> Expr | None:
    """Return a divisor, a root or a logarithm inside of a factor, if out of range it is one of 0."""
    if isinstance(node, Pow) and _is_zero_outside(node.base):
        if isinstance(node.exponent, Num) and node.exponent.value > 0:
            return None
        return Pow(_masked(node.base, masks), node.exponent)
    if isinstance(node, Fn) and node.op == "log" and _is_zero_outside(node.args[0]):
        return Fn("log", (_masked(node.args[0], masks),))
    return None


def _masked(expr: Expr, masks: Sequence[Inside]) -> Expr:
    for mask in masks:
        if not mask.free.isdisjoint(expr.free):
            expr = Fn("where", (mask, expr, Num(1)))
    return expr


def _is_zero_outside(expr: Expr) -> bool:
    """Say whether an expression may be 0 where all that it reads is: a number added to it keeps it from that."""
    if isinstance(expr, Add):
        return all(map(_is_zero_outside, expr.args))
    if isinstance(expr, Mul):
        return any(map(_is_zero_outside, expr.args))
    if isinstance(expr, Ref | Prim):
        subs = expr.subs if isinstance(expr, Ref) else expr.at
        return any(s.bare is None or s.part for s in subs)
    return any(map(_is_zero_outside, expr.children))


# -- scatters and labels -----------------------------------------------------------------------------------------------------


def scattered(x: Operand, into: Index, sub: Affine) -> Operand:
    """Return Σ over the indices of ``sub`` of ``x`` δ(into, sub): the longest of them becomes the axis ``into``."""
    over = list(sub.indices())
    first = over[0]
    for i in over[1:]:
        first = i if shorter(first.size, i.size) < 0 else first
    over = [first, *(i for i in over if i is not first)]
    axes = [x.axes.index(i) for i in over]
    node = views.scatter(x.node, axes, [sub.coefficient(i) for i in over], sub.const, into.size)
    return Operand(node, tuple(into if a is first else a for a in x.axes if a is first or a not in over))


def is_plain(sub: Affine) -> bool:
    """Return whether a subscript is one integer-valued array."""
    return len(sub.terms) == 1 and sub.const == ZERO and isinstance(sub.terms[0][0], Expr) and sub.terms[0][1] == ONE
