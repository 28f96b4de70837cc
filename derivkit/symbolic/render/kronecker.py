"""Jacobians by a matrix as Kronecker products: how they act on vectors, a matrix being read row by row."""

from __future__ import annotations

from derivkit.symbolic.expr import ONE_EXPR, Expr, Mul
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import factors_of
from derivkit.symbolic.render.matrix import jacobian_form, math_form, row_form
from derivkit.symbolic.render.styles import Style

Axes = tuple[Index | None, ...]


def kronecker(expr: Expr, rows: Axes, columns: Axes, graph: Graph, style: Style) -> str | None:
    """Return ∂(``rows``)/∂(``columns``) as ``A ⊗ B``, or ``None`` where it is none: ``I ⊗ xᵀ`` for W x by W.

    With matrices read row by row, ``(A ⊗ B)[(c, d), (k, l)] = A[c, k] B[d, l]``: the factors of ``expr`` must fall apart
    into those two.  A vector is a matrix of one row or one column.
    """
    if None in rows or None in columns or len(rows) > 2 or len(columns) > 2 or len(rows) + len(columns) < 3:
        return None
    for outer, inner in _pairings(rows, columns):
        parts = _parted(factors_of(expr), outer, inner)
        if parts is None:
            continue
        shown = [_shown(part, axes, graph, style) for part, axes in zip(parts, (outer, inner), strict=True)]
        if None not in shown:
            return style.kronecker.join(t for t in shown if t is not None)
    return None


def _pairings(rows: Axes, columns: Axes) -> list[tuple[Axes, Axes]]:
    """Return which axes (row, column) each of the two factors may have."""
    if len(rows) == len(columns) == 2:
        return [((rows[0], columns[0]), (rows[1], columns[1]))]
    if len(columns) == 2:
        return [((rows[0], columns[0]), (None, columns[1])), ((None, columns[0]), (rows[0], columns[1]))]
    return [((rows[0], columns[0]), (rows[1], None)), ((rows[0], None), (rows[1], columns[0]))]


def _parted(factors: tuple[Expr, ...], outer: Axes, inner: Axes) -> tuple[Expr, Expr] | None:
    first, second = ([f for f in factors if f.free & {*own}] for own in (outer, inner))
    if {id(f) for f in first} & {id(f) for f in second}:
        return None
    first = [f for f in factors if f not in second]  # what has no index stands with the first
    return _product(first), _product(second)


def _product(factors: list[Expr]) -> Expr:
    return ONE_EXPR if not factors else factors[0] if len(factors) == 1 else Mul(tuple(factors))


def _shown(expr: Expr, axes: Axes, graph: Graph, style: Style) -> str | None:
    row, column = axes
    if row is None:
        text = row_form(expr, (column,), graph, style)
    elif column is None:
        text = math_form(expr, (row,), graph, style)
    else:
        text = jacobian_form(expr, (row, column), graph, style)
    return None if text is None else style.paren(text) if " " in text and not _closed(text) else text


def _closed(text: str) -> bool:
    """Say whether a text is one call, which needs no brackets: ``diag(1 − h²)``."""
    head, bracket, rest = text.partition("(")
    if not bracket or not head.isalnum() or not rest.endswith(")"):
        return False
    depth = 1
    for n, character in enumerate(rest):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return n == len(rest) - 1
    return False
