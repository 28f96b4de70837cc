"""What can be proved positive: then it may stand below a fraction bar where it did not stand before."""

from __future__ import annotations

from collections.abc import Callable, Set

from derivkit.symbolic.expr import Add, Const, Expr, Fn, Mul, Name, Num, Pow, Prim, Ref, SizeOf, Sum
from derivkit.symbolic.graph import Graph

_VANISHING = frozenset({"exp", "sigmoid", "softplus"})
_POSITIVE_FUNCTIONS = _VANISHING | {"cosh"}


def positive_names(graph: Graph) -> frozenset[Name]:
    """Return the inputs declared positive and the definitions that are positive whatever the inputs are."""
    return _followed(graph, is_positive, {n for n, i in graph.inputs.items() if i.kind == "positive"})


def is_positive(expr: Expr, names: Set[Name]) -> bool:
    """Say whether ``expr`` is provably above 0, knowing that ``names`` are.

    >>> is_positive(Add((Num(1), Fn("exp", (Num(-3),)))), frozenset())
    True
    """
    if isinstance(expr, Num):
        return expr.value > 0
    if isinstance(expr, Ref):
        return expr.name in names
    if isinstance(expr, SizeOf | Const):
        return True
    if isinstance(expr, Fn):
        return expr.op in _POSITIVE_FUNCTIONS
    if isinstance(expr, Prim):
        return expr.op == "softmax"
    if isinstance(expr, Add):
        signs = [is_positive(t, names) for t in expr.args]
        return any(signs) and all(s or is_square(t) for s, t in zip(signs, expr.args, strict=True))
    if isinstance(expr, Mul):
        return all(is_positive(f, names) for f in expr.args)
    if isinstance(expr, Pow):
        return is_positive(expr.base, names)
    return isinstance(expr, Sum) and is_positive(expr.body, names)


def may_vanish(expr: Expr, names: Set[Name]) -> bool:
    """Say whether ``expr``, though positive, may be 0 in floats as ``names`` may: an exponential, a softmax, a sigmoid."""
    if isinstance(expr, Ref):
        return expr.name in names
    if isinstance(expr, Mul):
        return any(may_vanish(f, names) for f in expr.args)
    if isinstance(expr, Pow):
        return may_vanish(expr.base, names)
    return (isinstance(expr, Prim) and expr.op == "softmax") or (isinstance(expr, Fn) and expr.op in _VANISHING)


def vanishing_names(graph: Graph) -> frozenset[Name]:
    """Return the definitions that may be 0 in floats although they are positive."""
    return _followed(graph, may_vanish, set())


def _followed(graph: Graph, holds: Callable[[Expr, Set[Name]], bool], found: set[Name]) -> frozenset[Name]:
    """Return the names of which something ``holds``, line after line."""
    for d in graph.definitions:
        if holds(d.rhs, found):
            found.add(d.name)
    return frozenset(found)


def is_square(expr: Expr) -> bool:
    """Say whether ``expr`` is never below 0, by the look of it."""
    if isinstance(expr, Pow) and isinstance(expr.exponent, Num):
        return expr.exponent.value % 2 == 0
    if isinstance(expr, Sum):
        return is_square(expr.body)
    if isinstance(expr, Mul):
        return all(is_square(f) or (isinstance(f, Num) and f.value > 0) or isinstance(f, SizeOf) for f in expr.args)
    return isinstance(expr, SizeOf) or (isinstance(expr, Num) and expr.value >= 0)
