"""Local derivatives: what a consumer's adjoint is multiplied with, and how the sums over positions and windows are done.

A window's sum is done together with that over the consumer's positions: of δ(i + p, a) the output's index i is eliminated
rather than the window's p, where both can be, which gives Σ_p w_p ȳ_{a−p}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from derivkit.symbolic.deltas import is_rough, vanishes
from derivkit.symbolic.derive.differentiate import partial
from derivkit.symbolic.derive.guards import chosen
from derivkit.symbolic.expr import ZERO_EXPR, Add, Delta, Expr, Fn, Mul, Name, Num, Pow, Prim, Ref, Sum, freshen, references, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.normal import add, factors_of, mul, sum_over

#: A term of a derivative, with the sums that are still to do.
Term = tuple[tuple[Index, ...], Expr]


def open_terms(expr: Expr, target: Name, at: tuple[Index | None, ...]) -> tuple[Term, ...]:
    """Return the terms of ∂ ``expr`` / ∂ ``target[at]`` with their sums still to do; none where no subscript is affine."""
    return tuple(_terms(expr, target, at)) if _is_affine(expr, target) else ()


def joined(over: tuple[Index, ...], adjoint: Expr, terms: tuple[Term, ...], choices: tuple[Expr, ...] = ()) -> Expr:
    """Return Σ over ``over`` of ``adjoint`` times the terms, all sums of a term at once; 0 where a choice says so."""
    pieces = []
    for indices, body in terms:
        fresh = tuple(i.fresh() for i in indices)
        own = freshen(body, {i: Affine.of(f) for i, f in zip(indices, fresh, strict=True)})
        pieces.append(sum_over((*over, *fresh), chosen(Mul(choices), mul((adjoint, own))) if choices else mul((adjoint, own))))
    return add(pieces)


def careful(adjoint: Ref, definition: Definition) -> Ref:
    """Return an adjoint that says where it would not be 0 out of range, or have no value, once it is written out."""
    best = definition.best
    subs = [
        sub if i is None else Affine(sub.terms, sub.const, 2 if is_rough(best, i, opened=True) else int(not vanishes(best, i)))
        for sub, i in zip(adjoint.subs, definition.indices, strict=True)
    ]
    return Ref(adjoint.name, tuple(subs))


def _is_affine(expr: Expr, target: Name) -> bool:
    """Say whether a sum reads ``target``, or a δ in it holds, several indices in one subscript."""
    if not any(isinstance(node, Sum) for node in walk(expr)):
        return False
    subs: list[Affine] = []
    for node in walk(expr):
        if isinstance(node, Ref) and node.name == target:
            subs += node.subs
        elif isinstance(node, Delta):
            subs += (node.left, node.right)
    return any(len(sub.indices()) > 1 for sub in subs)


def _terms(expr: Expr, target: Name, at: tuple[Index | None, ...]) -> Iterator[Term]:
    if isinstance(expr, Add):
        for term in expr.args:
            yield from _terms(term, target, at)
    elif isinstance(expr, Mul):
        for n, factor in enumerate(expr.args):
            if target in references(factor):
                for indices, body in _terms(factor, target, at):
                    yield indices, mul((*expr.args[:n], body, *expr.args[n + 1 :]))
    elif isinstance(expr, Sum):
        fresh = cast(Sum, freshen(expr))
        for indices, body in _terms(fresh.body, target, at):
            yield (*fresh.indices, *indices), body
    else:
        local = partial(expr, target, at)
        if local is not ZERO_EXPR and not (isinstance(local, Num) and not local.value):
            yield (), local


def is_linear(rhs: Expr, consumer: Name, local: Expr, name: Name) -> bool:
    """Say whether a local derivative depends neither on the node nor on its consumer."""
    if isinstance(rhs, Fn | Prim | Pow):
        return False
    read = references(local)
    return name not in read and consumer not in read


def diagonal(local: Expr, over: tuple[Index, ...], indices: tuple[Index | None, ...]) -> tuple[Expr | None, tuple[Index, ...]]:
    """Return the slope of an elementwise operation: ``local`` is δ (over all its positions) times it; else ``None``."""
    factors = factors_of(local)
    deltas = [f for f in factors if isinstance(f, Delta) and f.left.bare in over and f.right.bare in indices]
    if not over or len(deltas) != len(over) or {f.left.bare for f in deltas} != set(over):
        return None, over
    if len({f.right.bare for f in deltas}) != len(deltas):
        return None, over
    return sum_over(over, local), ()


def renaming(local: Expr, indices: tuple[Index | None, ...]) -> dict[Index, Affine]:
    """Return the positions of the consumer in terms of those of the node, as the δ of a diagonal say."""
    deltas = (f for f in factors_of(local) if isinstance(f, Delta) and f.right.bare in indices)
    return {f.left.bare: f.right for f in deltas if f.left.bare is not None}
