"""Branches of a case distinction that stand in different terms, joined to one ``where``."""

from __future__ import annotations

from dataclasses import dataclass

from derivkit.symbolic.derive.everywhere import everywhere
from derivkit.symbolic.elementary import condition_of, fn, is_indicator
from derivkit.symbolic.expr import ZERO_EXPR, Add, Expr, Fn, Num, key
from derivkit.symbolic.normal import add, factors_of, mul


def branches_joined(expr: Expr) -> Expr:
    """Return ``expr`` with [c] a + [not c] b written as where(c, a, b), at every depth; so are where(c, a, 0) + [not c] b."""
    return everywhere(expr, lambda e: _join_branches(e) if isinstance(e, Add) else e)


def _join_branches(expr: Add) -> Expr:
    sides = [_sides(term) for term in expr.args]
    for a, one in enumerate(sides):
        for b, other in enumerate(sides[a + 1 :], a + 1):
            other = None if one is None or other is None else _like(other, one.condition)
            if one is None or other is None:
                continue
            if one.whole and other.whole and (one.yes is ZERO_EXPR) == (other.yes is ZERO_EXPR):
                continue  # [c] a + [c] b is [c] (a + b)
            yes, no = add((one.yes, other.yes)), add((one.no, other.no))
            rest = [t for n, t in enumerate(expr.args) if n not in {a, b}]
            return add((*rest[:a], _where(one.condition, yes, no), *rest[a:]))
    return expr


def _where(condition: Expr, yes: Expr, no: Expr) -> Expr:
    """Return where(condition, yes, no), the factors that both have in front."""
    shared = {key(f) for f in factors_of(yes)} & {key(f) for f in factors_of(no)}
    branches = (mul(f for f in factors_of(each) if key(f) not in shared) for each in (yes, no))
    return mul((*(f for f in factors_of(yes) if key(f) in shared), fn("where", (condition, *branches))))


_OPPOSITE = {"less_equal": "greater", "greater_equal": "less", "greater": "less_equal", "less": "greater_equal"}


@dataclass(frozen=True)
class _Sides:
    """A term as where(condition, yes, no); ``whole`` where it was a product with an indicator."""

    condition: Expr
    yes: Expr
    no: Expr
    whole: bool


def _like(sides: _Sides, condition: Expr) -> _Sides | None:
    """Return the same sides of ``condition``, turned where theirs is the opposite; ``None`` where it is another."""
    own = sides.condition
    if key(own) == key(condition):
        return sides
    if isinstance(own, Fn) and own.op in _OPPOSITE and key(Fn(_OPPOSITE[own.op], own.args)) == key(condition):
        return _Sides(condition, sides.no, sides.yes, sides.whole)
    return None


def _sides(term: Expr) -> _Sides | None:
    factors = factors_of(term)
    for n, factor in enumerate(factors):
        rest = factors[:n] + factors[n + 1 :]
        if isinstance(factor, Fn) and factor.op == "where":
            yes, no = (mul((*rest, branch)) for branch in factor.args[1:])
            whole = all(isinstance(branch, Num) for branch in factor.args[1:])
            return _Sides(condition(factor), yes, no, whole)
        if isinstance(factor, Fn) and is_indicator(factor):
            return _Sides(condition_of(factor), mul(rest), ZERO_EXPR, True)
    return None


def condition(where: Fn) -> Expr:
    """Return the condition of a ``where``, a step as the comparison that it is."""
    return condition_of(where.args[0])
