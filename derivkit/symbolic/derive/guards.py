"""Choices are strongly zero: of where(c, a, b) the derivative of a counts nothing where c fails, even if it has no value there.

A product [c] · a′ would be 0 · nan at such a point, though the program is made so as never to look there: where(x > 0, √x, 0).
"""

from __future__ import annotations

from math import inf

from derivkit.symbolic.derive.positive import is_positive, is_square
from derivkit.symbolic.elementary import condition_of, fn, is_indicator
from derivkit.symbolic.expr import ONE_EXPR, ZERO_EXPR, Delta, Expr, Fn, Inside, Mul, Num, Pow, key, replace, walk
from derivkit.symbolic.normal import add, factors_of, mul, normal, num, terms_of
from derivkit.symbolic.ops import ELEMENTWISE

#: Functions that leave the floats: 0 · exp(1000) is nan.
_OVERFLOWING = frozenset({"exp", "expm1", "sinh", "cosh"})
_EVERYWHERE = (-inf, inf)


def chosen(slope: Expr, inner: Expr) -> Expr:
    """Return ``slope * inner``, as a ``where`` if the slope is a choice and ``inner`` may have no value beyond it.

    >>> from derivkit.symbolic.expr import Ref, user
    >>> x = Ref(user("x"))
    >>> made = chosen(Fn("step", (x,)), Pow(x, num(-1)))
    >>> made.op, made.args[1] == Pow(x, num(-1)), made.args[2].value == 0
    ('where', True, True)
    """
    if isinstance(slope, Mul):
        for factor in slope.args:
            inner = chosen(factor, inner)
        return inner
    side = _side(slope)
    if side is None or not may_fail(inner):
        return mul((slope, inner))
    condition, taken = side
    groups: dict[tuple[Expr, ...], list[Expr]] = {}
    for term in terms_of(inner):
        outer, kept = _split(term, condition)
        groups.setdefault(outer, []).append(kept)
    made = []
    for outer, terms in groups.items():
        body = _settled(add(terms), condition, taken)
        branches = (body, ZERO_EXPR) if taken else (ZERO_EXPR, body)
        made.append(mul((*outer, fn("where", (condition, *branches)))))
    return add(made)


def choices_of(expr: Expr) -> tuple[Expr, ...]:
    """Return the factors of an adjoint, as numbers 0 and 1, that say where it is 0 because something else was chosen.

    >>> from derivkit.symbolic.expr import Ref, user
    >>> x = Ref(user("x"))
    >>> [c.op for c in choices_of(mul((num(2), Fn("where", (x, x, ZERO_EXPR)), Fn("step", (x,)))))]
    ['where', 'step']
    """
    found: list[Expr] = []
    for factor in factors_of(expr):
        if isinstance(factor, Fn) and factor.op == "where" and ZERO_EXPR in factor.args[1:]:
            taken = factor.args[2] == ZERO_EXPR
            found.append(fn("where", (factor.args[0], num(int(taken)), num(int(not taken)))))
        elif isinstance(factor, Fn) and is_indicator(factor):
            found.append(factor)
    return tuple(found)


def _settled(expr: Expr, condition: Expr, taken: bool) -> Expr:
    """Return what an expression is where the condition holds (or does not)."""
    known = key(condition_of(condition))

    def change(node: Expr) -> Expr | None:
        if isinstance(node, Fn) and node.op == "where" and key(condition_of(node.args[0])) == known:
            return replace(node.args[1 if taken else 2], change)
        same = isinstance(node, Fn) and is_indicator(node) and key(condition_of(node)) == known
        return num(int(taken)) if same else None

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def _side(slope: Expr) -> tuple[Expr, bool] | None:
    """Return the condition under which a slope is 1, else 0, and whether it holds there; ``None`` for another slope."""
    if isinstance(slope, Fn) and slope.op == "where":
        if slope.args[1:] == (ONE_EXPR, ZERO_EXPR):
            return slope.args[0], True
        return (slope.args[0], False) if slope.args[1:] == (ZERO_EXPR, ONE_EXPR) else None
    return (slope, True) if isinstance(slope, Fn) and is_indicator(slope) else None


def _split(term: Expr, condition: Expr) -> tuple[tuple[Expr, ...], Expr]:
    """Return the factors of a term that stay before the choice (δ, and what has other indices), and the rest."""
    factors = factors_of(term)
    own = condition.free.union(*(f.free for f in factors if may_fail(f)))
    outer = tuple(f for f in factors if isinstance(f, Delta | Inside) or not (may_fail(f) or f.free <= own))
    return outer, mul(f for f in factors if f not in outer)


def may_fail(expr: Expr) -> bool:
    """Say whether an expression may have no finite value somewhere, by the look of it.

    >>> from derivkit.symbolic.expr import Ref, user
    >>> x = Ref(user("x"))
    >>> may_fail(Fn("log", (x,))), may_fail(Fn("tanh", (x,))), may_fail(Pow(x, num(-1))), may_fail(Pow(x, num(2)))
    (True, False, True, False)
    """
    return any(_fails(node) for node in walk(expr))


def _fails(node: Expr) -> bool:
    if isinstance(node, Pow):
        exponent = node.exponent.value if isinstance(node.exponent, Num) else None
        if exponent is not None and exponent > 0 and (exponent.denominator == 1 or is_square(node.base)):
            return False
        return not is_positive(node.base, frozenset())
    if not isinstance(node, Fn):
        return False
    row = ELEMENTWISE[node.op]
    if node.op in _OVERFLOWING:
        return not _is_bounded(node.args[0])
    return row.domain != _EVERYWHERE and not is_positive(node.args[0], frozenset())


def _is_bounded(exponent: Expr) -> bool:
    """Say whether an exponent is never above 0: minus a square, or the least of something and 0."""
    if isinstance(exponent, Fn) and exponent.op == "minimum":
        return ZERO_EXPR in exponent.args
    return (
        isinstance(exponent, Mul)
        and isinstance(exponent.args[0], Num)
        and exponent.args[0].value < 0
        and is_square(mul((num(-1), exponent)))
    )
