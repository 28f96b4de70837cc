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
from derivkit.symbolic.arrays.lengths import at_least, shorter, unit, within
from derivkit.symbolic.expr import Delta, Expr, Inside, Num, Pow, Prim, Ref, replace
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import inside as range_of


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
        equations.append(Equation(Delta(Affine.of(p), sub), **{how: index}))
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
) -> tuple[list[Operand], list[tuple[Index, Affine]]]:
    """Use each equation to window the operands, or set it aside as a scatter, or put it in as a mask."""
    scatters: list[tuple[Index, Affine]] = []
    pending = sorted(equations, key=lambda e: e.eliminate is None)
    for n in range(len(pending)):
        delta, index, into = pending[n]
        others = pending[n + 1 :]
        if index is not None and index in summed:
            value = value_of(index, delta)
            summed.remove(index)
            if not any(index in o.axes for o in operands):
                operands.append(inside(Inside(value, index.size), label))
            operands = [windowed(straight(o), {index: value}) if index in o.axes else o for o in operands]
            pending[n + 1 :] = [_renamed(e, {index: value}, summed) for e in others]
        elif into is not None and _is_free(into, value_of(into, delta), operands, others, scatters, summed):
            scatters.append((into, value_of(into, delta)))
        else:
            a, b = (positions(s, label) for s in (delta.left, delta.right))
            (x, y), axes = align([a, b])
            operands.append(Operand(nodes.fn("equal", x, y), axes))
    return operands, scatters


def _renamed(equation: Equation, mapping: Mapping[Index, Affine], summed: Sequence[Index]) -> Equation:
    """Return the equation without an index that another one eliminated."""
    delta = equation.delta
    if delta.free.isdisjoint(mapping):
        return equation
    new = Delta(delta.left.substitute(mapping), delta.right.substitute(mapping))
    return solve(new, summed)


def _is_free(
    into: Index,
    sub: Affine,
    operands: Sequence[Operand],
    others: Sequence[Equation],
    scatters: Sequence[tuple[Index, Affine]],
    summed: Sequence[Index],
) -> bool:
    """Return whether a δ can be a scatter: nothing else has the axis, and no other one uses up its indices."""
    if any(into in o.axes for o in operands) or any(into in e.delta.free for e in others):
        return False
    if any(into in s.free or into is a or not s.free.isdisjoint(sub.free) for a, s in scatters):
        return False
    return all(i in summed for i in sub.indices())
