"""Functions that the table has no row for, written by those that it has: stable near 0 and near the ends of their domains."""

from __future__ import annotations

from fractions import Fraction

from derivkit.symbolic.expr import ONE_EXPR, ZERO_EXPR, Const, Expr, Fn, Num
from derivkit.symbolic.normal import add, fn, mul, num, power, scaled


def root(x: Expr) -> Expr:
    """Return √x."""
    return power(x, Num(Fraction(1, 2)))


def over(a: Expr, b: Expr) -> Expr:
    """Return a / b."""
    return mul((a, power(b, num(-1))))


def less(a: Expr, b: Expr) -> Expr:
    """Return a − b."""
    return add((a, scaled(-1, b)))


def asinh(x: Expr) -> Expr:
    """Return sign(x) log1p(a + a²/(1 + √(1 + a²))) with a = |x|: no cancellation."""
    a = fn("abs", (x,))
    square = power(a, num(2))
    inner = add((a, over(square, add((ONE_EXPR, root(add((ONE_EXPR, square))))))))
    return mul((fn("sign", (x,)), Fn("log1p", (inner,))))


def acosh(x: Expr) -> Expr:
    """Return log1p(u + √(u (x + 1))) with u = x − 1."""
    above = less(x, ONE_EXPR)
    return Fn("log1p", (add((above, mul((root(above), root(add((x, ONE_EXPR))))))),))


def atanh(x: Expr) -> Expr:
    """Return (log1p(x) − log1p(−x)) / 2."""
    return scaled(Fraction(1, 2), less(Fn("log1p", (x,)), Fn("log1p", (scaled(-1, x),))))


def asin(x: Expr) -> Expr:
    """Return 2 arctan(x / (1 + √((1 − x)(1 + x)))), right up to ±1."""
    cosine = mul((root(less(ONE_EXPR, x)), root(add((ONE_EXPR, x)))))
    return scaled(2, Fn("arctan", (over(x, add((ONE_EXPR, cosine))),)))


def acos(x: Expr) -> Expr:
    """Return π/2 − asin x."""
    return less(scaled(Fraction(1, 2), Const("pi")), asin(x))


def sinc(x: Expr) -> Expr:
    """Return sin x / x, 1 at 0, with no division by 0 on the way."""
    zero = fn("equal", (x, ZERO_EXPR))
    return fn("where", (zero, ONE_EXPR, over(fn("sin", (x,)), fn("where", (zero, ONE_EXPR, x)))))
