"""Totals of what has a mean with a name: Σ_p X_pj is N m_j, so that Σ_p (m_j − X_pj) is 0, wherever it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivkit.symbolic.derive.match import match
from derivkit.symbolic.expr import ZERO_EXPR, Add, Expr, Mul, Num, Pow, Ref, SizeOf, Sum, references, replace, substitute, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.normal import add, mul, normal, num, sum_over


class Mean(NamedTuple):
    """A definition that is a mean over one axis, and the Σ in it."""

    definition: Definition
    total: Sum
    size: SizeOf


def means(definitions: Sequence[Definition]) -> tuple[Mean, ...]:
    """Return the definitions that are N⁻¹ Σ of an array, over one axis of size N."""
    found = []
    for d in definitions:
        if not isinstance(d.rhs, Mul) or len(d.rhs.args) != 2:
            continue
        inverse, total = sorted(d.rhs.args, key=lambda f: isinstance(f, Sum))
        if not isinstance(total, Sum) or len(total.indices) != 1 or not isinstance(total.body, Ref):
            continue
        count = SizeOf(total.indices[0].size)
        if isinstance(inverse, Pow) and inverse.base == count and inverse.exponent == num(-1):
            found.append(Mean(d, total, count))
    return tuple(found)


def without_centred(expr: Expr, named: Sequence[Mean]) -> Expr:
    """Return ``expr`` without the sums of centred values; itself where there are none."""
    read = references(expr) if named else {}
    useful = [m for m in named if m.definition.name in read and isinstance(m.total.body, Ref) and m.total.body.name in read]
    if not useful:
        return expr

    def change(node: Expr) -> Expr | None:
        if not isinstance(node, Sum) or not isinstance(node.body, Add):
            return None
        spread = add(_counted(sum_over(node.indices, t), useful) for t in node.body.args)
        return spread if isinstance(spread, Num) else None

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def mean_behind(expr: Expr, named: Sequence[Mean]) -> Definition | None:
    """Return the mean that a Σ in ``expr`` is centred by: why that Σ is 0."""
    sums = [node for node in walk(expr) if isinstance(node, Sum)] if named else []
    return next((m.definition for m in named if any(without_centred(s, (m,)) == ZERO_EXPR for s in sums)), None)


def _counted(term: Expr, named: Sequence[Mean]) -> Expr:
    """Return a term with the totals in it as N times the mean."""

    def change(node: Expr) -> Expr | None:
        for mean in named if isinstance(node, Sum) else ():
            free = frozenset(mean.definition.bound)
            binding = match(mean.total, node, free)
            if binding is not None and all(i in binding for i in free):
                return mul((mean.size, substitute(mean.definition.ref(), binding)))
        return None

    made = replace(term, change)
    return term if made is term else normal(made)
