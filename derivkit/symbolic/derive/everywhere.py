"""One change at every node of an expression, the form kept normal."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_

from derivkit.symbolic.expr import Add, Expr, Mul, Pow, Prim, Sum
from derivkit.symbolic.normal import add, mul, power, sum_over

Change = Callable[[Expr], Expr]


def everywhere(expr: Expr, change: Change) -> Expr:
    """Apply ``change`` to every node, children first, keeping the form normal."""
    if expr.children and not isinstance(expr, Prim):
        children = tuple([everywhere(c, change) for c in expr.children])
        if not all(map(is_, children, expr.children)):
            expr = rebuilt(expr, children)
    return change(expr)


def rebuilt(expr: Expr, children: tuple[Expr, ...]) -> Expr:
    """Return the node over other children, sums, products and powers in normal form."""
    if isinstance(expr, Add):
        return add(children)
    if isinstance(expr, Mul):
        return mul(children)
    if isinstance(expr, Sum):
        return sum_over(expr.indices, children[0])
    if isinstance(expr, Pow):
        return power(*children)
    return expr.rebuilt(children)
