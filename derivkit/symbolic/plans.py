"""The order in which the reference evaluation visits an expression, kept: every size and point asks for it again."""

from __future__ import annotations

from derivkit.symbolic.expr import Expr, Sum
from derivkit.symbolic.normal import factors_of, terms_of

_PLANNED = 1_000  # plans of larger expressions are not kept
_KEPT_PLANS = 4_096  # a derivation's lines, that each size set asks for again

Plan = tuple[tuple[Expr, tuple[int, ...], tuple[int, ...]], ...]
_plans: dict[Expr, Plan] = {}


def plan_of(expr: Expr) -> Plan:
    """Return the plan of ``expr``, kept while it is short; a long derivation's lines all fit."""
    if expr in _plans:
        return _plans[expr]
    if len(_plans) >= _KEPT_PLANS:
        _plans.clear()
    made = _new_plan(expr)
    if len(made) <= _PLANNED:
        _plans[expr] = made
    return made


def _new_plan(expr: Expr) -> Plan:
    """Return (node, places of its operands, places no longer needed), operands first; every node once, without recursion."""
    place: dict[int, int] = {}
    found: list[tuple[Expr, tuple[int, ...]]] = []
    stack: list[tuple[Expr, tuple[Expr, ...] | None]] = [(expr, None)]
    while stack:
        node, ready = stack.pop()
        if id(node) in place:
            continue
        operands = _operands(node) if ready is None else ready
        if ready is None and operands:
            stack.append((node, operands))
            stack.extend([(o, None) for o in reversed(operands)])
        else:
            place[id(node)] = len(found)
            found.append((node, tuple([place[id(o)] for o in operands])))
    last = {operand: n for n, (_, operands) in enumerate(found) for operand in operands}
    return tuple((node, ops, tuple(o for o in dict.fromkeys(ops) if last[o] == n)) for n, (node, ops) in enumerate(found))


def _operands(node: Expr) -> tuple[Expr, ...]:
    if isinstance(node, Sum):  # Σ of a sum of products: the products are never built
        return tuple(f for term in terms_of(node.body) for f in factors_of(term))
    return node.children
