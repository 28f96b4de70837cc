"""How long a form is: what is chosen among equal ones is the shortest."""

from __future__ import annotations

from typing import TypeGuard

from derivkit.symbolic.derive.differences import Differences
from derivkit.symbolic.elementary import divides
from derivkit.symbolic.expr import Add, Delta, Expr, Fn, Mul, Num, Pow, Ref, SizeOf, Sum, key
from derivkit.symbolic.normal import factors_of

OWN_SAVING = 2  # for a difference that the program has: a name is shorter still
TWOFOLD_COST = 2  # what a fraction above another bar is read like
_COST: dict[type[Expr], int] = {Add: 0, Mul: 0, Ref: 2, Delta: 2, Sum: 2, Pow: 1}
NONE = Differences()


def cost(expr: Expr, own: Differences = NONE) -> int:
    """Return the length of a form as a reader sees it: two for a name, one for a sign, a number, a function, a power.

    A difference that is the program's ``own`` is read at once.
    """
    total = 0
    stack = [expr]
    while stack:
        node = stack.pop()
        total += _COST.get(type(node), 1)
        if isinstance(node, Add):
            if own.names and own.has(node):
                total -= OWN_SAVING
            total += len(node.args) - 1
        elif isinstance(node, Pow) and isinstance(node.exponent, Num):
            total += node.exponent.value == -2  # a bar and a power
            stack.append(node.base)
            continue
        elif isinstance(node, Mul) and isinstance(node.args[0], Num) and node.args[0].value == -1:
            stack.extend(node.args[1:])
            continue
        elif isinstance(node, Mul) and _is_twofold(node):
            total += TWOFOLD_COST
        elif isinstance(node, Fn):
            total += sum(isinstance(a, Mul) and isinstance(a.args[0], Num) and a.args[0].value == -1 for a in node.args)
        stack.extend(node.children)
    return total


def _is_twofold(expr: Mul) -> bool:
    """Say whether a fraction is added to something above another bar: (1 − t/p)/(1 − p) is written over p (1 − p)."""
    sums = [f for f in expr.args if isinstance(f, Add)]
    below = {key(f.base) for f in expr.args if _divides(f) and isinstance(f.base, Add)} if sums else ()
    for total in sums if below else ():
        inner = [{key(f.base) for f in factors_of(t) if _divides(f)} for t in total.args]
        if not all(inner) and any(found.difference(below) for found in inner):
            return True
    return False


def _divides(factor: Expr) -> TypeGuard[Pow]:
    return divides(factor) and not isinstance(factor.base, SizeOf)
