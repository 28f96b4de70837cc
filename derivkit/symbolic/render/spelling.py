"""What a program says of an expression: every index has the range of an axis that it subscripts alone.

The reader gives an index the range of such an axis (see ``parse/subscripts``), so an index of which no array tells the
range gets a factor that does, ``ones(N)[p]``, which the reader folds away again.  ``x[i+0]`` reads an axis of another size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import (
    ONE_EXPR,
    Add,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Prim,
    Ref,
    Sum,
    freshen,
    substitute,
    walk,
)
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import factors_of, normal, size_factor
from derivkit.symbolic.render.notation import NODES, eye_size
from derivkit.symbolic.render.pieces import Shapes

#: A sum over a literal size up to this is written out where a δ picks its terms, as in a stack: x² + y².
_TERMS = 8
_WRITTEN_NODES = 400


class Spelled(NamedTuple):
    """An expression that a program can say, and the indices of which arrays tell the range; other δ are ``eye(K)[i,j]``."""

    expr: Expr
    ranged: frozenset[Index]
    told: frozenset[Index]


def spelled(expr: Expr, shapes: Shapes) -> Spelled:
    """Return ``expr`` with unique binders, each of which tells the range of its indices.

    >>> from derivkit.symbolic.expr import Num, user
    >>> x, n = user("x"), Index("n", Size.of("N"))
    >>> [type(a).__name__ for a in spelled(Prim("logsumexp", (n,), (Num(1),), ()), {}).expr.args]
    ['Inside']
    """
    if expr.nodes > NODES:
        raise DerivkitError(f"a result of more than {NODES} nodes is not printed", code="DK018")
    made = _everywhere(freshen(expr), _plainer)
    ranged = _ranged(made, shapes)
    told = ranged | _told_by_eye(made, ranged)
    return Spelled(_everywhere(made, lambda node: _telling(node, told)), ranged | _added(made, told), told)


def _everywhere(expr: Expr, change: Callable[[Any], Expr]) -> Expr:
    """Return ``expr`` with every node changed, operands first."""
    if expr.children:
        children = tuple(_everywhere(c, change) for c in expr.children)
        if any(a is not b for a, b in zip(children, expr.children, strict=True)):
            expr = expr.rebuilt(children)
    return change(expr)


# -- saying it in the words of the language ------------------------------------------------------------------------------


def _plainer(node: Expr) -> Expr:
    if isinstance(node, Sum):
        return _counted(node)
    if isinstance(node, Prim) and node.op == "prod_except":
        return _product_of_others(node)
    return node


def _counted(node: Sum) -> Expr:
    """Return Σ with its size as a factor where nothing depends on an index, and written out where a δ picks its terms."""
    absent = [i for i in node.indices if i not in node.body.free]
    left = tuple(i for i in node.indices if i in node.body.free)
    body = node.body
    picked = next((i for i in left if _is_picked(i, body)), None)
    if picked is not None:
        count = picked.size.literal or 0
        terms = [normal(freshen(substitute(body, {picked: Affine.of(n)}))) for n in range(count)]
        body, left = normal(Add(tuple(terms))), tuple(i for i in left if i is not picked)
        body = _counted(Sum(left, body)) if left else body
    elif left:
        body = node if not absent else Sum(left, body)
    return body if not absent else Mul((*(size_factor(i.size) for i in absent), *factors_of(body)))


def _is_picked(index: Index, body: Expr) -> bool:
    count = index.size.literal
    if count is None or count > _TERMS or count * body.nodes > _WRITTEN_NODES:
        return False
    deltas = (node for node in walk(body) if isinstance(node, Delta))
    return any({d.left.bare, d.right.bare} == {index, None} and (d.left.constant or d.right.constant) is not None for d in deltas)


def _product_of_others(node: Prim) -> Expr:
    """Return Π over the entries other than the one at the node's position: ``prod[q](where(delta[p,q] == 1, 1, x[q]))``."""
    same = [Delta(at, Affine.of(b)) for at, b in zip(node.at, node.bound, strict=True)]
    itself = same[0] if len(same) == 1 else Mul(tuple(same))
    others = Fn("where", (Fn("equal", (itself, ONE_EXPR)), ONE_EXPR, node.args[0]))
    return Prim("prod", node.bound, (others,), ())


# -- telling the ranges --------------------------------------------------------------------------------------------------


def _ranged(expr: Expr, shapes: Shapes) -> frozenset[Index]:
    """Return the indices that subscript an axis of their own size alone."""
    found: set[Index] = set()
    for node in walk(expr):
        for sub, size in _reads(node, shapes):
            if sub.bare is not None and sub.bare.size == size:
                found.add(sub.bare)
    return frozenset(found)


def _reads(node: Expr, shapes: Shapes) -> list[tuple[Affine, Size]]:
    if isinstance(node, Ref) and node.name in shapes:
        return list(zip(node.subs, shapes[node.name], strict=True))
    if isinstance(node, Inside):
        return [(node.subscript, node.size)]
    if isinstance(node, Prim):
        return [(sub, index.size) for sub, index in zip(node.at, node.bound, strict=False)]
    return []


def _told_by_eye(expr: Expr, ranged: frozenset[Index]) -> set[Index]:
    found: set[Index] = set()
    for node in walk(expr):
        if isinstance(node, Delta):
            sides = {s.bare for s in (node.left, node.right) if s.bare is not None}
            if not sides <= ranged and eye_size(node) is not None:
                found.update(sides)
    return found


def _telling(node: Expr, told: frozenset[Index]) -> Expr:
    """Return a binder with a factor ``ones(N)[p]`` for each of its indices of which nothing tells the range."""
    if not isinstance(node, Sum | Prim):
        return node
    missing = [i for i in (node.indices if isinstance(node, Sum) else node.bound) if i not in told]
    if not missing:
        return node
    body = node.children[0]
    ones = tuple(Inside(Affine.of(i), i.size) for i in missing)
    factors = tuple(f for f in factors_of(body) if f != ONE_EXPR)
    made = ones[0] if len(ones) == 1 and not factors else Mul((*factors, *ones))
    return node.rebuilt((made,))


def _added(expr: Expr, told: frozenset[Index]) -> frozenset[Index]:
    bound = (node.indices if isinstance(node, Sum) else node.bound for node in walk(expr) if isinstance(node, Sum | Prim))
    return frozenset(i for indices in bound for i in indices if i not in told)
