"""Branches of a case distinction that stand in different terms, joined to one ``where``."""

from __future__ import annotations

from derivkit.symbolic.derive.everywhere import everywhere
from derivkit.symbolic.elementary import condition_of, fn, is_indicator
from derivkit.symbolic.expr import Add, Expr, Fn, key
from derivkit.symbolic.normal import add, factors_of, mul, num


def branches_joined(expr: Expr) -> Expr:
    """Return ``expr`` with [c] a + [not c] b written as where(c, a, b), at every depth."""
    return everywhere(expr, lambda e: _join_branches(e) if isinstance(e, Add) else e)


def _join_branches(expr: Add) -> Expr:
    for a, yes in enumerate(expr.args):
        for n, factor in enumerate(factors_of(yes)):
            if not is_indicator(factor):
                continue
            for b, no in enumerate(expr.args):
                rest = _without_complement(no, factor)
                if b != a and rest is not None:
                    joined = fn("where", (factor, mul(f for m, f in enumerate(factors_of(yes)) if m != n), rest))
                    return add((joined, *(t for m, t in enumerate(expr.args) if m not in {a, b})))
    return expr


def _without_complement(term: Expr, indicator: Expr) -> Expr | None:
    """Return ``term`` without its factor where(indicator, 0, 1), ``None`` when it has none."""
    factors = factors_of(term)
    for n, factor in enumerate(factors):
        if not isinstance(factor, Fn) or factor.op != "where" or factor.args[1:] != (num(0), num(1)):
            continue
        if key(condition(factor)) == key(condition_of(indicator)):
            return mul(factors[:n] + factors[n + 1 :])
    return None


def condition(where: Fn) -> Expr:
    """Return the condition of a ``where``, a step as the comparison that it is."""
    return condition_of(where.args[0])
