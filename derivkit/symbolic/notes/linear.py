"""Whole matrices: inverse, determinant, trace, diagonal, identity, a vector of ones, powers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from derivkit.symbolic.expr import Delta, Expr, Fn, Mul, Num, Prim, Sum, freshen, substitute
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.notes.terms import Term, power, same_lengths, times, unclear

HIGHEST = 4  # power of a matrix that is written out


def square(term: Term) -> tuple[Index, Index]:
    """Return the axes of a square matrix."""
    if len(term.axes) != 2:
        raise unclear("a function of a matrix, of what is no matrix")
    row, column = term.axes
    same_lengths((row,), (column,))
    return row, column


def inverse(term: Term) -> Term:
    """Return the inverse of a matrix."""
    bound = tuple(i.fresh() for i in square(term))
    inner = freshen(term.expr, _onto(term.axes, bound))
    return replace(term, expr=Prim("inv", bound, (inner,), tuple(map(Affine.of, term.axes))))


def determinant(term: Term) -> Term:
    """Return the determinant of a matrix."""
    bound = tuple(i.fresh() for i in square(term))
    return Term(Prim("det", bound, (freshen(term.expr, _onto(term.axes, bound)),), ()))


def trace(term: Term) -> Term:
    """Return the sum of the diagonal of a matrix; a number is its own."""
    if not term.axes:
        return term
    row, column = square(term)
    bound = row.fresh()
    return Term(Sum((bound,), substitute(term.expr, {row: Affine.of(bound), column: Affine.of(bound)})))


def diagonal(term: Term) -> Term:
    """Return the diagonal matrix of a vector; of a matrix its diagonal."""
    if len(term.axes) == 1:
        (row,) = term.axes
        column = row.fresh()
        return Term(times(Term(term.expr), "", Term(Delta(Affine.of(row), Affine.of(column)))).expr, (row, column))
    row, column = square(term)
    return Term(substitute(term.expr, {column: Affine.of(row)}), (row,))


def log_determinant(term: Term) -> Term:
    """Return the logarithm of the magnitude of a determinant, as one logarithm."""
    return Term(Fn("log", (Fn("abs", (determinant(term).expr,)),)))


def identity(size: Size) -> Term:
    """Return the identity matrix."""
    row, column = Index("i", size), Index("j", size)
    return Term(Delta(Affine.of(row), Affine.of(column)), (row, column))


def ones(size: Size) -> Term:
    """Return a row of ones."""
    index = Index("i", size)
    return Term(Num(1), (index,), row=True)


def raised(base: Term, exponent: Expr) -> Term:
    """Return a power: of a matrix by products and its inverse, of a vector entry by entry."""
    if len(base.axes) < 2:
        return power(base, exponent)
    if isinstance(exponent, Mul) and all(isinstance(a, Num) for a in exponent.args):  # - 1
        exponent = Num(prod(a.value for a in exponent.args if isinstance(a, Num)))
    if not isinstance(exponent, Num) or exponent.value.denominator != 1 or not 1 <= abs(exponent.value) <= HIGHEST:
        raise unclear("a power of a matrix")
    square(base)
    one = inverse(base) if exponent.value < 0 else base
    made = one
    for _ in range(abs(int(exponent.value)) - 1):
        made = times(made, "", one)
    return made


def _onto(axes: tuple[Index, ...], others: tuple[Index, ...]) -> Mapping[Index, Affine]:
    return {a: Affine.of(b) for a, b in zip(axes, others, strict=True)}


#: Functions of a matrix by the words that people use.
MATRIX: Mapping[str, Callable[[Term], Term]] = {
    **dict.fromkeys(("tr", "Tr", "trace", "Trace"), trace),
    "det": determinant,
    "diag": diagonal,
    "logdet": log_determinant,
}
