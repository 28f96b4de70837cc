"""Terms and their arithmetic: numbers, vectors and matrices, as their shapes say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Add, Expr, Fn, Mul, Num, Pow, Sum, freshen
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.notes import formula as f

MINUS = Num(-1)


def unclear(message: str) -> DerivkitError:
    """Return the error for what has no meaning that derivkit can be sure of: such a relation is not decided."""
    return DerivkitError(message, code="DK060")


class Misfit(DerivkitError):
    """Axes of different lengths, which would have to be as long as each other."""

    def __init__(self, pairs: Sequence[tuple[Size, Size]]) -> None:
        """Keep the lengths."""
        super().__init__("the shapes do not fit", code="DK060")
        self.pairs = tuple(pairs)


@dataclass(frozen=True, slots=True)
class Term:
    """An expression, the axes that are not written, and whether a vector is a row."""

    expr: Expr
    axes: tuple[Index, ...] = ()
    row: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an argument of a document's function stands for: an expression, read at ``indices``."""

    expr: Expr
    indices: tuple[Index, ...]
    axes: tuple[Index, ...]


def negative(term: Term) -> Term:
    """Return the term with the other sign."""
    return replace(term, expr=Mul((MINUS, term.expr)))


def added(terms: list[Term]) -> Term:
    """Return a sum; a number is added to every entry."""
    axes = max((t.axes for t in terms), key=len)
    row = next(t.row for t in terms if t.axes == axes)
    return Term(Add(tuple(onto(t, axes) for t in terms)), axes, row)


def onto(term: Term, axes: tuple[Index, ...]) -> Expr:
    """Return a term's expression over other axes, which must be as long as its own."""
    if not term.axes or term.axes == axes:
        return term.expr
    if len(term.axes) == 1 and len(axes) > 1 and not term.row:
        axes = _beside(term.axes[0], axes)
    if len(term.axes) != len(axes):
        raise unclear("the shapes do not fit")
    same_lengths(term.axes, axes)
    return freshen(term.expr, {a: Affine.of(b) for a, b in zip(term.axes, axes, strict=True)})


def _beside(axis: Index, axes: tuple[Index, ...]) -> tuple[Index, ...]:
    """Return the axis of a matrix along which a vector is added to each of its rows, or to each of its columns."""
    fitting = [a for a in axes if a.size == axis.size]
    return (fitting[0],) if len(fitting) == 1 else axes[-1:]


def same_lengths(one: tuple[Index, ...], other: tuple[Index, ...]) -> None:
    """Refuse axes of different lengths."""
    pairs = [(a.size, b.size) for a, b in zip(one, other, strict=True) if a.size != b.size]
    if pairs:
        raise Misfit(pairs)


def times(a: Term, sign: f.ProductSign, b: Term) -> Term:
    """Return a product of numbers, matrices and vectors, as its sign and their shapes say."""
    if not a.axes or not b.axes:
        return Term(Mul((a.expr, b.expr)), a.axes or b.axes, a.row or b.row)
    if sign in ("odot", "circ", "ast") or (sign == "cdot" and a.row == b.row and len(a.axes) == len(b.axes) == 2):
        return Term(Mul((a.expr, onto(b, a.axes))), a.axes, a.row)
    outer = sign in ("otimes", "times") or (len(a.axes) == len(b.axes) == 1 and not a.row and b.row)
    if outer:
        if len(a.axes) != 1 or len(b.axes) != 1:
            raise unclear("derivkit is not sure what this product of arrays is")
        inner = tuple(i.fresh() for i in b.axes)
        return Term(Mul((a.expr, onto(b, inner))), (*a.axes, *inner))
    if len(a.axes) == len(b.axes) == 1 and not a.row and sign != "cdot":
        raise unclear("a product of two vectors, neither of them transposed")
    same_lengths(a.axes[-1:], b.axes[:1])
    bound = a.axes[-1].fresh()
    left = freshen(a.expr, {a.axes[-1]: Affine.of(bound)})
    rest = tuple(i.fresh() for i in b.axes[1:])
    right = freshen(b.expr, {i: Affine.of(j) for i, j in zip(b.axes, (bound, *rest), strict=True)})
    return Term(Sum((bound,), Mul((left, right))), (*a.axes[:-1], *rest), len(a.axes) == 1 and bool(rest))


def power(base: Term, exponent: Expr) -> Term:
    """Return each entry to a power."""
    return replace(base, expr=Pow(base.expr, exponent))


def transposed(term: Term) -> Term:
    """Return the transpose."""
    if len(term.axes) < 2:
        return replace(term, row=bool(term.axes) and not term.row)
    return replace(term, axes=term.axes[::-1])


def bracketed(formula: f.Bracketed, items: Sequence[Term]) -> Term:
    """Return a norm, a magnitude or an inner product."""
    if formula.kind == "abs" and len(items) == 1:
        return replace(items[0], expr=Fn("abs", (items[0].expr,)))
    if formula.kind == "norm" and len(items) == 1 and items[0].axes:
        order = formula.order
        if isinstance(order, f.Number) and order.value == 1 and len(items[0].axes) == 1:
            return Term(Sum(items[0].axes, Fn("abs", (items[0].expr,))))
        if isinstance(order, f.Number):
            known = order.value == 2 and len(items[0].axes) == 1
        else:
            known = len(items[0].axes) == 1 if order is None else isinstance(order, f.Symbol) and order.name == "F"
        if not known:
            raise unclear("a norm other than the Euclidean one")
        square = Sum(items[0].axes, Pow(items[0].expr, Num(2)))
        return Term(Pow(square, Num(Fraction(1, 2))))
    if formula.kind == "inner" and len(items) == 2 and items[0].axes:
        return Term(Sum(items[0].axes, Mul((items[0].expr, onto(items[1], items[0].axes)))))
    raise unclear("derivkit does not know these brackets")
