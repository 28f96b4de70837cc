"""Affine reads in a product: which of them are windows, and which are solved again for another index or scattered.

A read ``w[a - 2*i]`` is Σ_p w[p] δ(p, a − 2i).  It is a window of ``w`` over (a, i); eliminating a summed index makes it a window
of something else (``Σ_j g[j] w[i-j]`` is ``Σ_p g[i-p] w[p]``); or the δ becomes a scatter into the axis a.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from derivkit.symbolic.arrays import nodes
from derivkit.symbolic.arrays.affine import ALONG, inside, is_window, positions, windowed
from derivkit.symbolic.arrays.contract import Operand, align, straight
from derivkit.symbolic.arrays.lengths import shorter, unit
from derivkit.symbolic.expr import Delta, Expr, Inside, Num, Pow, Prim, Ref, replace, walk
from derivkit.symbolic.index import ONE, Affine, Index, Size
from derivkit.symbolic.normal import inside as range_of
from derivkit.symbolic.ranges import at_least, is_within, reach


class Equation(NamedTuple):
    """A δ with a summed index that it fixes (``eliminate``), or with an axis that it is scattered into, or both.

    With ``outer`` the axis ``into`` is one of our own, of the values of ``outer``, at which it is then read.
    """

    delta: Delta
    eliminate: Index | None = None
    into: Index | None = None
    outer: Affine | None = None


class Scatter(NamedTuple):
    """Σ over the indices of ``sub`` of the product goes to ``into`` = ``sub``, which is then read at ``outer``."""

    into: Index
    sub: Affine
    outer: Affine | None


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


def padded_read(
    factors: Sequence[tuple[Expr, bool]], summed: Sequence[Index], shapes: Callable[..., tuple[Size, ...]]
) -> tuple[Affine, Size] | None:
    """Return j + c, at which one of several factors that depend on j is read, and the length of that shorter axis.

    Such a product is made over the axis and padded as a whole, ``pad(g * o * u, (0, 3*H))``: beyond it it is 0.
    """
    for sub, length in [read for f, inverse in factors if not inverse and isinstance(f, Ref) for read in reads_of(f, shapes)]:
        index = sub.indices()[0] if is_window(sub) and len(sub.terms) == 1 else None
        if index is None or index in summed or sub.coefficient(index) != ONE or length == index.size:
            continue
        start = sub.const * -1
        mine = [f for f, _ in factors if index in f.free]
        if len(mine) < 2 or not at_least(start) or not at_least(index.size - start - length):
            continue
        if all(_is_read_at(f, index) for f in mine):
            return sub, length
    return None


def _is_read_at(expr: Expr, index: Index) -> bool:
    """Say whether an index stands in an expression only in subscripts of arrays, with no other one beside it."""
    for node in walk(expr):
        if isinstance(node, Delta | Inside | Prim) and index in node.free:
            return False
        if isinstance(node, Ref) and any(index in s.free and (len(s.terms) > 1 or not is_window(s)) for s in node.subs):
            return False
    return True


def choose(sub: Affine, length: Size, summed: Sequence[Index], readers: Callable[[Index], int]) -> tuple[str, Index] | None:
    """Return how a read is better written with a δ: ``eliminate`` a summed index, or scatter ``into`` a kept one.

    ``None`` is a window over all the indices of the subscript.  ``readers`` counts the subscripts that read an index.
    """
    if sub.bare is not None or not is_window(sub):
        return None
    inner = [i for i in sub.indices() if i in summed]
    outer = [i for i in sub.indices() if i not in summed]
    if not inner or is_within(sub, length):
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
    inner = [i for i in gap.indices() if i in summed]
    outer = [i for i in gap.indices() if i not in summed]
    best = longest([i for i in inner if i in ones])
    steep = longest([i for i in inner if i not in ones])
    wasteful = best is None or (steep is not None and shorter(best.size, steep.size) <= 0)
    if inner and len(outer) == 1 and outer[0] in ones:
        return Equation(delta, into=outer[0], eliminate=None if wasteful else best)
    if inner and len(outer) > 1 and (wasteful or steep is not None) and len({_sign(gap.coefficient(i)) for i in outer}) == 1:
        return _flattened(delta, outer)
    return Equation(delta, eliminate=best)


def _sign(step: Size) -> int:
    return 1 if at_least(step) else -1 if at_least(step * -1) else 0


def _flattened(delta: Delta, outer: Sequence[Index]) -> Equation:
    """Return a δ with several kept indices as one with an axis for all of them, as reshaping reads and writes it."""
    gap = delta.left - delta.right
    gap = gap if _sign(gap.coefficient(outer[0])) > 0 else gap.scaled(-1)
    places = Affine(((i, gap.coefficient(i)) for i in outer), Size.of(0))
    low, high = reach(places)
    into = Index("m", high - low + 1)
    rest = places - gap
    return Equation(Delta(Affine.of(into) + low, rest), into=into, outer=places - low)


def longest(indices: Sequence[Index]) -> Index | None:
    """Return the index over the longest range as a rule, the first of equal ones."""
    best: Index | None = None
    for i in indices:
        best = i if best is None or shorter(best.size, i.size) < 0 else best
    return best


def unsolved(
    factors: list[tuple[Expr, bool]], summed: list[Index], shapes: Callable[..., tuple[Size, ...]]
) -> tuple[list[tuple[Expr, bool]], list[Equation]]:
    """Replace affine reads by bare ones where a window would be wasteful; the equations say what the new indices are."""
    equations: list[Equation] = []
    while True:
        reads = [() if inverse else reads_of(f, shapes) for f, inverse in factors]
        found = _wasteful(factors, reads, summed)
        if found is None:
            return factors, equations
        sub, length, (how, index) = found
        p = Index("p", length)
        summed.append(p)
        delta = Delta(Affine.of(p), sub)
        equations.append(Equation(delta, into=index) if how == "into" else Equation(delta, eliminate=index))
        factors = [(reread(f, sub, Affine.of(p)), inverse) for f, inverse in factors]


def _wasteful(
    factors: Sequence[tuple[Expr, bool]], reads: Sequence[Reads], summed: Sequence[Index]
) -> tuple[Affine, Size, tuple[str, Index]] | None:
    def readers(index: Index) -> int:
        subs = {s for each in reads for s, _ in each if index in s.free}
        return len(subs) + sum(index in f.free for (f, _), each in zip(factors, reads, strict=True) if not each)

    for each in reads:
        for sub, length in each:
            choice = choose(sub, length, summed, readers)
            if choice is not None:
                return sub, length, choice
    return None


def reread(expr: Expr, old: Affine, new: Affine) -> Expr:
    """Return the expression with every subscript ``old`` written ``new``, which a δ says is equal."""

    def changed(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and old in node.subs:
            return Ref(node.name, tuple(new if s == old else s for s in node.subs))
        if isinstance(node, Prim) and old in node.at:
            args = tuple(reread(a, old, new) for a in node.args)
            return Prim(node.op, node.bound, args, tuple(new if s == old else s for s in node.at))
        if isinstance(node, Inside) and node.subscript == old:
            return range_of(new, node.size)
        return None

    return replace(expr, changed)


def resolved(
    operands: list[Operand], equations: Sequence[Equation], summed: list[Index], label: Callable[[Expr], Operand]
) -> tuple[list[Operand], list[Scatter]]:
    """Use each equation to window the operands, or set it aside as a scatter, or put it in as a mask."""
    scatters: list[Scatter] = []
    pending = sorted(equations, key=lambda e: e.eliminate is None)
    for n in range(len(pending)):
        delta, index, into, outer = pending[n]
        others = pending[n + 1 :]
        free = into is not None and _is_free(into, value_of(into, delta), operands, others, scatters, summed)
        used = any(index in o.axes for o in operands)
        fixed = index is None or index not in summed or any(index in s.sub.free for s in scatters)
        if index is not None and not fixed and (used or not free):
            value = value_of(index, delta)
            summed.remove(index)
            if not used:
                operands.append(inside(Inside(value, index.size), label))
            operands = [windowed(straight(o), {index: value}) if index in o.axes else o for o in operands]
            pending[n + 1 :] = [_renamed(e, {index: value}, summed) for e in others]
        elif into is not None and free:
            scatters.append(Scatter(into, value_of(into, delta), outer))
        else:
            sides = (delta.left, delta.right) if outer is None else (outer, value_of(into, delta) if into else outer)
            (x, y), axes = align([positions(s, label) for s in sides])
            operands.append(Operand(nodes.fn("equal", x, y), axes))
    return operands, scatters


def _renamed(equation: Equation, mapping: Mapping[Index, Affine], summed: Sequence[Index]) -> Equation:
    """Return the equation without an index that another one eliminated."""
    delta = equation.delta
    if equation.outer is not None and equation.into is not None:
        delta = Delta(equation.outer, value_of(equation.into, delta))
    if delta.free.isdisjoint(mapping):
        return equation
    new = Delta(delta.left.substitute(mapping), delta.right.substitute(mapping))
    return solve(new, summed)


def _is_free(
    into: Index,
    sub: Affine,
    operands: Sequence[Operand],
    others: Sequence[Equation],
    scatters: Sequence[Scatter],
    summed: Sequence[Index],
) -> bool:
    """Return whether a δ can be a scatter: nothing else has the axis, and no other one uses up its indices."""
    kept = [k for k in (*(e.outer for e in others), *(s.outer for s in scatters)) if k is not None]
    if any(into in o.axes for o in operands) or any(into in e.delta.free for e in others) or any(into in k.free for k in kept):
        return False
    if any(into in s.free or into is a or not s.free.isdisjoint(sub.free) for a, s, _ in scatters):
        return False
    return all(i in summed for i in sub.indices())


# -- kinds of δ ------------------------------------------------------------------------------------------------------------


def is_place(sub: Affine) -> bool:
    """Return whether a subscript is a place on an axis: a number, or a size that is provably not negative."""
    return sub.constant is not None and at_least(sub.constant)


def differ(delta: Delta) -> bool:
    """Return whether a δ is between two places that are provably never the same: δ(j, M) for j below M."""
    gap = delta.left - delta.right
    if gap.constant is None and not is_window(gap):
        return False
    low, high = reach(gap)
    return at_least(low, 1) or at_least(high * -1, 1)


def is_affine(factor: Expr) -> bool:
    """Return whether a factor is a δ over indices that is more than an equality of two of them."""
    if not isinstance(factor, Delta):
        return False
    gap = factor.left - factor.right
    both = factor.left.bare is not None and factor.right.bare is not None
    return is_window(gap) and not both and not (len(gap.terms) == 1 and is_place(value_of(gap.indices()[0], factor)))


def has_affine(body: Expr) -> bool:
    """Return whether subscripts, δ or ranges in a product are affine."""
    for node in walk(body):
        if isinstance(node, Inside) or (isinstance(node, Delta) and is_affine(node)):
            return True
        if isinstance(node, Ref | Prim) and any(
            s.bare is None and is_window(s) for s in (node.subs if isinstance(node, Ref) else node.at)
        ):
            return True
    return False
