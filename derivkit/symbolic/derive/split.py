"""Sums taken apart again for matrix notation: what is one Σ entry by entry may be several products of matrices."""

from __future__ import annotations

from derivkit.symbolic.expr import Add, Expr, Mul, Ref, Sum
from derivkit.symbolic.normal import add, factors_of, mul, normal, sum_over, terms_of


def split(expr: Expr) -> Expr:
    """Return ``expr`` with Σ spread over terms that broadcast in one bracket: ``Σ_i c_i (a_i U_ij + b_i V_ij)``.

    In matrices that is ``U.T @ (a * c) + V.T @ (b * c)``.  Differences of names stay: ``X.T @ (p - t)``.
    """
    if isinstance(expr, Sum):
        made = _split_sum(expr)
        if made is not None:
            return add(split(t) for t in terms_of(made))
    if not expr.children:
        return expr
    children = tuple(split(c) for c in expr.children)
    return expr if all(a is b for a, b in zip(children, expr.children, strict=True)) else normal(expr.rebuilt(children))


def _split_sum(expr: Sum) -> Expr | None:
    factors = factors_of(expr.body)
    for n, factor in enumerate(factors):
        if isinstance(factor, Add) and (len(factors) == 1 or broadcasts(factor)):
            others = (*factors[:n], *factors[n + 1 :])
            return add(sum_over(expr.indices, mul((*others, t))) for t in factor.args)
    return None


def broadcasts(expr: Add) -> bool:
    """Say whether the terms of a sum are written as arrays of different axes, or as scaled matrices."""
    return not any(t.free == expr.free for t in expr.args) or any(_scales(t) for t in expr.args)


def _scales(term: Expr) -> bool:
    """Say whether a term is a matrix with its rows or columns multiplied by something else, or factors of different axes."""
    if not isinstance(term, Mul):
        return False
    if not any(f.free == term.free for f in term.args):
        return True
    matrix = next((f for f in term.args if isinstance(f, Ref) and len(f.free) > 1), None)
    return matrix is not None and any(f.free and f.free < matrix.free for f in term.args)


def inward(expr: Expr) -> Expr:
    """Return ``v_j Σ_n r_n X_ni G_nj`` with v in the Σ: in matrices ``X.T @ (outer(r, v) * G)``."""
    if isinstance(expr, Add):
        terms = tuple(inward(t) for t in expr.args)
        return expr if all(a is b for a, b in zip(terms, expr.args, strict=True)) else Add(terms)
    sums = [f for f in factors_of(expr) if isinstance(f, Sum) and not isinstance(f.body, Add)]
    if len(expr.free) < 2 or len(sums) != 1:
        return expr
    (total,) = sums
    others = [f for f in factors_of(expr) if f is not total]
    moved = [f for f in others if f.free and f.free < total.free]
    if not moved:
        return expr
    made = Sum(total.indices, Mul((*moved, *factors_of(total.body))))
    left = [f for f in others if f not in moved]
    return Mul((*left, made)) if left else made
