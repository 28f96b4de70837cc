"""Branches of a case distinction that stand in different terms, joined to one ``where``."""

from __future__ import annotations

<<<<<<< ../forms3-mine/derivkit/symbolic/derive/branches.py
from collections.abc import Sequence
=======
from dataclasses import dataclass
>>>>>>> derivkit/symbolic/derive/branches.py

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
            if one is None or other is None or key(one.condition) != key(other.condition):
                continue
<<<<<<< ../forms3-mine/derivkit/symbolic/derive/branches.py
            for b, no in enumerate(expr.args):
                rest = _without_complement(no, factor)
                if b != a and rest is not None:
                    joined = _joined(factor, [f for m, f in enumerate(factors_of(yes)) if m != n], list(factors_of(rest)))
                    return add((joined, *(t for m, t in enumerate(expr.args) if m not in {a, b})))
    return expr


def _joined(indicator: Expr, yes: Sequence[Expr], no: Sequence[Expr]) -> Expr:
    """Return where(indicator, Π yes, Π no), the factors that both have in front."""
    shared = {key(f) for f in yes} & {key(f) for f in no}
    branches = (mul(f for f in each if key(f) not in shared) for each in (yes, no))
    return mul((*(f for f in yes if key(f) in shared), fn("where", (indicator, *branches))))


def _without_complement(term: Expr, indicator: Expr) -> Expr | None:
    """Return ``term`` without its factor where(indicator, 0, 1), or the opposite comparison; ``None`` when it has none."""
    factors = factors_of(term)
    for n, factor in enumerate(factors):
        if isinstance(factor, Fn) and _excludes(factor, indicator):
            return mul(factors[:n] + factors[n + 1 :])
=======
            if one.whole and other.whole and (one.yes is ZERO_EXPR) == (other.yes is ZERO_EXPR):
                continue  # [c] a + [c] b is [c] (a + b)
            yes, no = add((one.yes, other.yes)), add((one.no, other.no))
            rest = [t for n, t in enumerate(expr.args) if n not in {a, b}]
            return add((*rest[:a], fn("where", (one.condition, yes, no)), *rest[a:]))
    return expr


@dataclass(frozen=True)
class _Sides:
    """A term as where(condition, yes, no); ``whole`` where it was a product with an indicator."""

    condition: Expr
    yes: Expr
    no: Expr
    whole: bool


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
>>>>>>> derivkit/symbolic/derive/branches.py
    return None


def _excludes(factor: Fn, indicator: Expr) -> bool:
    """Say whether ``factor`` is 1 where ``indicator`` is 0, and 0 where it is 1."""
    if factor.op == "where":
        return factor.args[1:] == (num(0), num(1)) and key(condition(factor)) == key(condition_of(indicator))
    opposite = _OPPOSITE.get(factor.op)
    return opposite is not None and key(Fn(opposite, factor.args)) == key(indicator)


_OPPOSITE = {"less_equal": "greater", "greater_equal": "less", "greater": "less_equal", "less": "greater_equal"}


def condition(where: Fn) -> Expr:
    """Return the condition of a ``where``, a step as the comparison that it is."""
    return condition_of(where.args[0])
