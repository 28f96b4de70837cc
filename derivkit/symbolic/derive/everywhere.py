"""One change at every node of an expression, the form kept normal."""

from __future__ import annotations

from collections.abc import Callable

from derivkit.symbolic.expr import Add, Expr, Mul, Pow, Prim, Sum
from derivkit.symbolic.normal import add, mul, power, sum_over

Change = Callable[[Expr], Expr]


def everywhere(expr: Expr, change: Change) -> Expr:
    """Apply ``change`` to every node, children first, keeping the form normal."""
    if expr.children and not isinstance(expr, Prim):
        children = tuple(everywhere(c, change) for c in expr.children)
        if any(a is not b for a, b in zip(children, expr.children, strict=True)):
            expr = _rebuilt(expr, children)
    return change(expr)


def _rebuilt(expr: Expr, children: tuple[Expr, ...]) -> Expr:
    if isinstance(expr, Add):
        return add(children)
    if isinstance(expr, Mul):
        return mul(children)
    if isinstance(expr, Sum):
        return sum_over(expr.indices, children[0])
    if isinstance(expr, Pow):
        return power(*children)
    return expr.rebuilt(children)
