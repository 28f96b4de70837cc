"""Stable forms for tails: what loses its digits where a function comes near 0 or 1, and what is computed instead.

The slope of a sigmoid, p (1 - p), has none left where p is near 1, nor has 1 - tanh(z)²; 1 + tanh(z) has none far below 0; a
rounding error of z² is multiplied by z² in exp(-z²).  Rows that cost more than the textbook's form stand for functions of
inputs alone: behind a layer's sum h (1 - h) stays, which is as good as h itself.
"""

from __future__ import annotations

from fractions import Fraction
from math import log2

from derivkit.numeric.codegen.look import Look, argument_of, base_and_power, logit_of, minus, opposite
from derivkit.symbolic.expr import Add, Expr, Fn, Mul, Num, Pow, Ref, key
from derivkit.symbolic.normal import add, coefficient, factors_of, mul, normal, power, scaled, terms_of

_HALF = Fraction(1, 2)


def sigmoid_slope(expr: Expr, look: Look) -> Expr | None:
    """P (1 - p) with p = sigmoid(z), and p itself only as a name of it or as a factor of a name, as in silu."""
    factors = [base_and_power(f) for f in expr.args] if isinstance(expr, Mul) else []
    logits = {n: z for n, (base, e) in enumerate(factors) if e >= 1 and (z := logit_of(base, look)) is not None}
    for n, z in logits.items():
        if not (isinstance(factors[n][0], Fn) or look.is_given(z)):
            continue
        for k, (base, e) in enumerate(factors):
            made: list[Expr] = []
            if k > n and k in logits and opposite(z, logits[k]) == 1:
                both = min(factors[n][1], e)
                left = [power(factors[j][0], Num(factors[j][1] - both)) for j in (n, k)]
                made = [power(Fn("sigmoid_slope", (logits[k] if isinstance(factors[n][0], Add) else z,)), Num(both)), *left]
            elif k != n and factors[n][1] == e == 1 and isinstance(base, Ref) and look.is_given(z):
                others = _without_sigmoid(look.through(base), minus(z), look)
                made = [] if others is None else [*others, Fn("sigmoid_slope", (minus(z),))]
            if made:
                kept = [[power(b, Num(m))] if j not in (n, k) else [] for j, (b, m) in enumerate(factors)]
                kept[min(n, k)] = made
                return mul([factor for place in kept for factor in place])
    return None


def _without_sigmoid(expr: Expr, logit: Expr, look: Look) -> list[Expr] | None:
    """Return the other factors of a product with the factor sigmoid(logit)."""
    factors = factors_of(expr)
    own = [n for n, f in enumerate(factors) if (z := logit_of(f, look)) is not None and opposite(minus(logit), z) == 1]
    return [f for n, f in enumerate(factors) if n != own[0]] if len(own) == 1 and len(factors) > 1 else None


def half_tanh(expr: Expr, look: Look) -> Expr | None:
    """1 + tanh(z) and 1 - tanh(z), with any factor, also beside other terms."""
    for number, share, base, rest in _beside_number(expr):
        z = argument_of(base, "tanh") or argument_of(look.through(base), "tanh")
        if z is not None and abs(share) == abs(number) and (isinstance(base, Fn) or look.is_given(z)):
            look.halves.add(key(z))
            return add([scaled(2 * number, Fn("sigmoid", (scaled(2 * share / number, z),))), *rest])
    return None


def tanh_slope(expr: Expr, look: Look) -> Expr | None:
    """1 - tanh(z)²: where its sigmoid is there already, and of inputs."""
    for number, share, base, rest in _beside_number(expr):
        square, e = base_and_power(base)
        z = argument_of(look.through(square), "tanh")
        if z is None or e != 2 or share != -number:
            continue
        if key(z) in look.halves or look.is_given(z):
            return add([scaled(4 * number, Fn("sigmoid_slope", (scaled(2, z),))), *rest])
    return None


def _beside_number(expr: Expr) -> list[tuple[Fraction, Fraction, Expr, list[Expr]]]:
    """Return for the number in a sum and each other term: the number, the term's coefficient and base, the terms left."""
    terms = expr.args if isinstance(expr, Add) else ()
    number = next((t for t in terms if isinstance(t, Num)), None)
    if number is None:
        return []
    others = [t for t in terms if t is not number]
    return [(number.value, *coefficient(t), [o for o in others if o is not t]) for t in others]


def exp_square(expr: Expr, look: Look) -> Expr | None:
    """exp(c z²) with c = -1, -1/2 and other powers of 2, which leave the parts of the square exact."""
    exponent = argument_of(expr, "exp")
    if exponent is None:
        return None
    c, square = coefficient(normal(exponent))
    if not (isinstance(square, Pow) and square.exponent == Num(2) and look.is_given(square.base)):
        return None
    exact = -8 <= c <= Fraction(-1, 8) and log2(-c).is_integer()
    return Fn("exp_square", (square.base, Num(c))) if exact else None


def normal_cdf(expr: Expr, _: Look) -> Expr | None:
    """erfc(-z / √2), twice the distribution function of a normal variable."""
    inner = argument_of(expr, "erfc")
    factors = () if inner is None else factors_of(inner)
    root = next((f for f in factors if f == Pow(Num(2), Num(-_HALF))), None)
    if root is None:
        return None
    z = mul([f for f in factors if f is not root])
    return scaled(2, Fn("normal_cdf", (minus(z),)))


def power_times_log(expr: Expr, look: Look) -> Expr | None:
    """z^a log(z), and x log(x / y): 0 where the power is 0, as its limit, and not 0 times -inf; also beside other terms."""
    factors = expr.args if isinstance(expr, Mul) else ()
    for total in factors:
        for term in terms_of(total):
            c, log = coefficient(term)
            z = argument_of(log, "log")
            found = None if z is None else next((f for f in factors if f is not total and _vanishes_with(f, z, look)), None)
            if z is None or found is None:
                continue
            others = [f for f in factors if f is not total and f is not found]
            left = add(t for t in terms_of(total) if t is not term)
            return add([mul([Num(c), Fn("xlogy", (found, z)), *others]), mul([left, found, *others])])
    return None


def _vanishes_with(expr: Expr, z: Expr, look: Look) -> bool:
    """Return whether a power, or a name of one, is 0 where the logarithm of ``z`` is not finite."""
    seen = look.through(expr)
    if isinstance(seen, Pow) and not isinstance(seen.exponent, Num):
        return key(seen.base) == key(z)  # c^x, in its derivative by x
    base, e = base_and_power(expr)
    above = {key(b) for b, m in map(base_and_power, (z, *factors_of(z))) if m > 0}
    return e > 0 and key(base) in above
