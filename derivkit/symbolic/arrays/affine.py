"""Affine subscripts as arrays: windows of padded arrays, scatters into strided places, masks; and which of them to use.

A read ``w[a - 2*i]`` is Σ_p w[p] δ(p, a − 2i).  It is a window of ``w`` over (a, i); eliminating a summed index makes it a window
of something else (``Σ_j g[j] w[i-j]`` is ``Σ_p g[i-p] w[p]``); or the δ becomes a scatter into the axis a.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from derivkit.symbolic.arrays import nodes
from derivkit.symbolic.arrays.contract import Axes, Operand, align, letter
from derivkit.symbolic.arrays.lengths import at_least, reach, shorter, unit, within
from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.expr import ONE_EXPR, Delta, Expr, Inside, Num, Pow, Prim, Ref
from derivkit.symbolic.index import ONE, ZERO, Affine, Index, Size

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
    return with_distinct_axes(nodes.window(x.node, starts, axes), tuple(letters))


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
    if is_window(node.subscript):
        low, high = reach(node.subscript)
    tests = []
    if low is None or not at_least(low):
        tests.append(nodes.fn("greater_equal", at, nodes.number(0)))
    if high is None or not at_least(node.size - high, 1):
        tests.append(nodes.fn("less", at, nodes.size(node.size)))
    return Operand(nodes.mul(tests), axes) if tests else Operand(nodes.number(1), ())


# -- what an affine read in a product becomes -------------------------------------------------------------------------------


class Equation(NamedTuple):
    """A δ with a summed index that it fixes (``eliminate``), or with an axis that it is scattered into."""

    delta: Delta
    eliminate: Index | None = None
    into: Index | None = None


def value_of(index: Index, delta: Delta) -> Affine:
    """Return what a δ says that ``index`` is, which has the coefficient 1 or −1 in it."""
    gap = delta.left - delta.right
    return gap.scaled(-unit(gap.coefficient(index))) + index


Reads = tuple[tuple[Affine, Size], ...]


def reads_of(expr: Expr, shapes: Callable[..., tuple[Size, ...]]) -> Reads:
    """Return the subscripts at which a factor is read and the lengths of those axes, when it is 0 out of range."""
    if isinstance(expr, Ref):
        return tuple(zip(expr.subs, shapes(expr.name), strict=True))
    if isinstance(expr, Prim) and expr.op in ALONG:
        return tuple(zip(expr.at, (b.size for b in expr.bound), strict=True))
    if isinstance(expr, Inside):
        return ((expr.subscript, expr.size),)
    if isinstance(expr, Pow) and isinstance(expr.exponent, Num) and expr.exponent.value > 0:
        return reads_of(expr.base, shapes)
    return ()


def read_at(expr: Expr, subs: tuple[Affine, ...]) -> Expr:
    """Return the factor read at other subscripts, each bare or as it was."""
    if isinstance(expr, Ref):
        return Ref(expr.name, subs)
    if isinstance(expr, Prim):
        return Prim(expr.op, expr.bound, expr.args, subs)
    if isinstance(expr, Pow):
        return Pow(read_at(expr.base, subs), expr.exponent)
    return ONE_EXPR if subs[0].bare is not None else expr  # a range


def choose(sub: Affine, length: Size, summed: Sequence[Index], readers: Callable[[Index], int]) -> tuple[str, Index] | None:
    """Return how a read is better written with a δ: ``eliminate`` a summed index, or scatter ``into`` a kept one.

    ``None`` is a window over all the indices of the subscript.  ``readers`` counts the subscripts that read an index.
    """
    if sub.bare is not None or not is_window(sub):
        return None
    inner = [i for i in sub.indices() if i in summed]
    outer = [i for i in sub.indices() if i not in summed]
    if not inner or within(sub, length):
        return None
    facts = [i.size for i in sub.indices()]
    for j in inner:
        if unit(sub.coefficient(j)):
            order = shorter(length, j.size, facts)
            if order < 0 or (order == 0 and length != j.size and any(j.size == a.size for a in outer)):
                return "eliminate", j
    if len(outer) == 1 and readers(outer[0]) == 1:
        (a,) = outer
        step = unit(sub.coefficient(a))
        against = [j for j in inner if not unit(sub.coefficient(j)) and at_least(sub.coefficient(j) * -step, 1)]
        if step and against and shorter(length, a.size, facts) <= 0:
            return "into", a
    return None


def solve(delta: Delta, summed: Sequence[Index]) -> Equation:
    """Return how to resolve a δ that stands in the product: by its longest summed index, else into a kept axis."""
    gap = delta.left - delta.right
    if not is_window(gap):
        return Equation(delta)
    ones = [i for i in gap.indices() if unit(gap.coefficient(i))]
    inner = [i for i in ones if i in summed]
    if inner:
        best = inner[0]
        for i in inner[1:]:
            best = i if shorter(best.size, i.size) < 0 else best
        return Equation(delta, eliminate=best)
    outer = [i for i in gap.indices() if i not in summed]
    if len(outer) == 1 and outer[0] in ones and len(gap.terms) > 1:
        return Equation(delta, into=outer[0])
    return Equation(delta)


def scattered(x: Operand, into: Index, sub: Affine) -> Operand:
    """Return Σ over the indices of ``sub`` of ``x`` δ(into, sub): the longest of them becomes the axis ``into``."""
    over = list(sub.indices())
    first = over[0]
    for i in over[1:]:
        first = i if shorter(first.size, i.size) < 0 else first
    over = [first, *(i for i in over if i is not first)]
    axes = [x.axes.index(i) for i in over]
    node = nodes.scatter(x.node, axes, [sub.coefficient(i) for i in over], sub.const, into.size)
    return Operand(node, tuple(into if a is first else a for a in x.axes if a is first or a not in over))


def is_plain(sub: Affine) -> bool:
    """Return whether a subscript is one integer-valued array."""
    return len(sub.terms) == 1 and sub.const == ZERO and isinstance(sub.terms[0][0], Expr) and sub.terms[0][1] == ONE
