"""Terms and factors that belong together: one bracket opened term by term, terms below one bar, roots of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import isqrt

from derivkit.symbolic.elementary import divides
from derivkit.symbolic.expr import Add, Const, Expr, Mul, Num, Pow, SizeOf, key, replace, walk
from derivkit.symbolic.normal import add, factors_of, mul, normal, num, power

HALF = Fraction(1, 2)


def term_by_term(product: Mul, short: Callable[[Expr], Expr]) -> Expr:
    """Return ``p (1 − p) (a/p + b)`` as ``a (1 − p) + b p (1 − p)``: opened where a term cancels, each term made ``short``."""
    factors = factors_of(product)
    for n, factor in enumerate(factors):
        others = factors[:n] + factors[n + 1 :]
        if isinstance(factor, Add) and any(_meets(t, others) for t in factor.args):
            return add(short(mul((*others, t))) for t in factor.args)
    return product


def _meets(term: Expr, others: tuple[Expr, ...]) -> bool:
    """Say whether a term divides by one of the factors beside its bracket."""
    below = {key(n.base) for n in walk(term) if divides(n)}
    return any(key(f) in below for f in others)


def by_denominator(expr: Add, short: Callable[[Expr], Expr]) -> Expr:
    """Return ``s + a/v − b/v`` as ``s + (a − b)/v``: the terms below one bar together, each group made ``short``."""
    groups: dict[frozenset[int], list[Expr]] = {}
    for term in expr.args:
        groups.setdefault(_below(factors_of(term)), []).append(term)
    if len(groups) == 1 or len(groups) == len(expr.args):
        return expr
    return Add(tuple(short(add(g)) if bar else g[0] if len(g) == 1 else add(g) for bar, g in groups.items()))


def _below(factors: Iterable[Expr]) -> frozenset[int]:
    """Return what stands below the bar; a size does not count: it makes a mean of its own sum."""
    return frozenset(key(f) for f in factors if divides(f) and not isinstance(f.base, SizeOf))


def with_joined_roots(expr: Expr) -> Expr:
    """Return ``expr`` with the roots of numbers in a product made one: √(2π) / (√2 √π) is 1."""

    def change(node: Expr) -> Expr | None:
        if not isinstance(node, Mul):
            return None
        roots = [(f, square) for f in node.args if (square := _square(f)) is not None]
        if len(roots) < 2:
            return None
        number, pis = Fraction(1), 0
        for _, (value, count) in roots:
            number, pis = number * value, pis + count
        others = [f for f in node.args if all(f is not r for r, _ in roots)]
        return replace(mul((*others, _root(number, pis))), change)

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def _square(factor: Expr) -> tuple[Fraction, int] | None:
    """Return the square of ``√(a πⁿ)`` or of one over it, as a number and the power of π; ``None`` for anything else."""
    if not isinstance(factor, Pow) or not isinstance(factor.exponent, Num) or abs(factor.exponent.value) != HALF:
        return None
    number, pis = Fraction(1), 0
    for part in factors_of(factor.base):
        if isinstance(part, Num) and part.value > 0:
            number *= part.value
        elif isinstance(part, Const) and part.name == "pi":
            pis += 1
        else:
            return None
    return (number, pis) if factor.exponent.value > 0 else (1 / number, -pis)


def _root(number: Fraction, pis: int) -> Expr:
    """Return ``√(number πⁿ)``, below the bar what is less than 1."""
    top, bottom = isqrt(number.numerator), isqrt(number.denominator)
    if top**2 == number.numerator and bottom**2 == number.denominator:
        outside, number = Fraction(top, bottom), Fraction(1)
    else:
        outside = Fraction(1)
    pi = Const("pi")
    whole, odd = divmod(abs(pis), 2)
    below = pis < 0 if odd else number < 1
    inside = mul((num(1 / number if below else number), *([pi] * odd)))
    root = power(inside, num(-HALF if below else HALF))
    return mul((num(outside), root, power(pi, num(whole if pis > 0 else -whole))))
