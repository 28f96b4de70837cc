"""Quotients and logarithms of sums of exponentials, shifted so that nothing overflows.

SymPy writes a softmax-weighted mean as ``Sum(c*exp(z))/Sum(exp(z))`` and ``log(exp(a) + exp(b))``, shapes that have no
primitive: each exponential is taken relative to the sum that it is divided by.
"""

from __future__ import annotations

from derivkit.symbolic.expr import Add, Expr, Fn, Mul, Num, Pow, Prim, Sum
from derivkit.symbolic.normal import add, factors_of, fn, mul, scaled, sum_over


def shifted(expr: Expr) -> Expr:
    """Return ``expr`` with every exponential relative to the sum of exponentials that divides it.

    >>> from derivkit.symbolic.expr import Ref, user
    >>> a, b = (Fn("exp", (Ref(user(c)),)) for c in "ab")
    >>> shifted(Fn("log", (Add((a, b)),))).args[0].op
    'maximum'
    """
    if not expr.children:
        return expr
    children = tuple(shifted(c) for c in expr.children)
    made = expr if all(a is b for a, b in zip(children, expr.children, strict=True)) else expr.rebuilt(children)
    if isinstance(made, Fn) and made.op == "log":
        return _logarithm(made)
    return _quotient(made) if isinstance(made, Mul) else made


def _exponent(expr: Expr) -> tuple[list[Expr], Expr] | None:
    """Return (other factors, z) of a product with one factor exp(z)."""
    factors = factors_of(expr)
    exponents = [f.args[0] for f in factors if isinstance(f, Fn) and f.op == "exp"]
    if not exponents:
        return None
    return [f for f in factors if not (isinstance(f, Fn) and f.op == "exp")], add(exponents)


def _logarithm(expr: Fn) -> Expr:
    """Return log Σ c e^z as m + log Σ c e^(z − m) for terms beside each other, m the largest z."""
    terms = expr.args[0].args if isinstance(expr.args[0], Add) else ()
    parts = [_exponent(t) for t in terms]
    known = [p for p in parts if p is not None]
    if len(known) < 2 or len(known) < len(parts):
        return expr
    largest = known[0][1]
    for _, z in known[1:]:
        largest = fn("maximum", (largest, z))
    shifts = [mul((*rest, fn("exp", (add((z, scaled(-1, largest))),)))) for rest, z in known]
    return Add((largest, fn("log", (Add(tuple(shifts)),))))


def _quotient(expr: Mul) -> Expr:
    for below in expr.args:
        if not (isinstance(below, Pow) and isinstance(below.base, Sum) and below.exponent == Num(-1)):
            continue
        parts = _exponent(below.base.body)
        if parts is None or parts[0]:
            continue
        total = Prim("logsumexp", below.base.indices, (parts[1],), ())
        above = [f for f in expr.args if f is not below]
        for n, factor in enumerate(above):
            made = _relative(factor, total)
            if made is not None:
                return mul((*above[:n], made, *above[n + 1 :]))
    return expr


def _relative(factor: Expr, total: Expr) -> Expr | None:
    """Return a factor over e^total, ``None`` where it holds no exponential."""
    if isinstance(factor, Fn) and factor.op == "exp":
        return fn("exp", (add((factor.args[0], scaled(-1, total))),))
    parts = _exponent(factor.body) if isinstance(factor, Sum) else None
    if not isinstance(factor, Sum) or parts is None:
        return None
    rest, z = parts
    return sum_over(factor.indices, mul((*rest, fn("exp", (add((z, scaled(-1, total))),)))))
