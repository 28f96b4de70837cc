"""The normalising constructors: they flatten, collect, cancel and contract, and keep the order of first appearance.

Every function takes normal operands and returns a normal expression of equal value; none of them ever reorders what the
author wrote, opens a bracket without need, or makes a condition on an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from math import isqrt
from typing import Any, cast

from derivkit.symbolic.deltas import OPEN, Solution, is_rough, matched_digits, solutions, vanishes
from derivkit.symbolic.elementary import UNIT, fn, is_indicator, num
from derivkit.symbolic.expr import (
    ONE_EXPR,
    ZERO_EXPR,
    Add,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    freshen,
    key,
    replace,
    substitute,
)
from derivkit.symbolic.index import ONE, Affine, Index, Size
from derivkit.symbolic.ranges import is_beyond, is_within

__all__ = [
    "add",
    "coefficient",
    "delta",
    "factors_of",
    "fn",
    "inside",
    "is_indicator",
    "mul",
    "negative",
    "normal",
    "num",
    "power",
    "scaled",
    "size_factor",
    "sum_over",
    "terms_of",
]

_POWER_LIMIT = 1024
_NOTHING = Fraction(0)


def coefficient(expr: Expr) -> tuple[Fraction, Expr]:
    """Split ``expr`` into its rational coefficient and the rest.

    >>> from derivkit.symbolic.expr import Const
    >>> c, rest = coefficient(mul((num(3), Const("pi"))))
    >>> c, rest.name
    (Fraction(3, 1), 'pi')
    """
    if isinstance(expr, Num):
        return expr.value, ONE_EXPR
    if isinstance(expr, Mul) and isinstance(expr.args[0], Num):
        rest = expr.args[1:]
        return expr.args[0].value, rest[0] if len(rest) == 1 else Mul(rest)
    return UNIT, expr


def terms_of(expr: Expr) -> tuple[Expr, ...]:
    """Return the terms of a sum (itself when it is no sum)."""
    return expr.args if isinstance(expr, Add) else (expr,)


def factors_of(expr: Expr) -> tuple[Expr, ...]:
    """Return the factors of a product (itself when it is no product)."""
    return expr.args if isinstance(expr, Mul) else (expr,)


def _flat(kind: type[Expr], operands: Iterable[Expr]) -> Iterator[Expr]:
    stack = [iter(operands)]
    while stack:
        for operand in stack[-1]:
            if isinstance(operand, kind):
                stack.append(iter(operand.children))
                break
            yield operand
        else:
            stack.pop()


def add(operands: Iterable[Expr]) -> Expr:
    """Return the sum, like terms collected where the first of them stood, numbers last."""
    collected: dict[int, tuple[Fraction, Expr]] = {}
    number = _NOTHING
    first_number = -1
    for term in _flat(Add, operands):
        c, rest = coefficient(term)
        if rest is ONE_EXPR:
            if first_number < 0:
                first_number = len(collected)
            number += c
            continue
        k = key(rest)
        collected[k] = (collected[k][0] + c, collected[k][1]) if k in collected else (c, rest)
    made = [scaled(c, rest) if c.numerator else None for c, rest in collected.values()]
    if number.numerator:
        made.insert(first_number, num(number))
    kept = [m for m in made if m is not None]
    if not kept:
        return ZERO_EXPR
    return kept[0] if len(kept) == 1 else Add(tuple(kept))


def scaled(c: Fraction | int, expr: Expr) -> Expr:
    """Return ``c`` times a normal expression."""
    if c is UNIT:
        return expr
    c0, rest = coefficient(expr)
    value = c if c0 is UNIT else c0 * c
    if value == 0:
        return ZERO_EXPR
    if rest is ONE_EXPR:
        return num(value)
    return rest if value == 1 else Mul((num(value), *factors_of(rest)))


def negative(expr: Expr) -> Expr:
    """Return minus the expression, spread over the terms of a sum."""
    return add(scaled(-1, t) for t in terms_of(expr))


def mul(operands: Iterable[Expr]) -> Expr:
    """Return the product: numbers in front, powers of the same base merged where the base first stood."""
    number = UNIT
    bases: dict[int, tuple[Expr, list[Expr]]] = {}
    for factor in _flat(Mul, operands):
        if isinstance(factor, Num):
            number = factor.value if number is UNIT else number * factor.value
            if not number.numerator:
                return ZERO_EXPR
            continue
        base, exponent = (factor.base, factor.exponent) if isinstance(factor, Pow) else (factor, ONE_EXPR)
        k = key(base)
        if k not in bases and isinstance(base, Add) and any(isinstance(other, Add) for other, _ in bases.values()):
            opposite = key(negative(base))  # (p − 1) meets 1 / (1 − p)
            if opposite in bases and isinstance(exponent, Num) and exponent.value.denominator == 1:
                number *= -1 if exponent.value % 2 else 1
                k = opposite
        if k in bases:
            bases[k][1].append(exponent)
        else:
            bases[k] = (base, [exponent])
    for k, (base, exponents) in list(bases.items()):
        if not isinstance(base, Pow) or key(base.base) not in bases:
            continue
        if all(isinstance(e, Num) and e.value.denominator == 1 for e in exponents):
            met = bases[key(base.base)][1]  # x**k meets 1 / x**k
            met += [mul((e, t)) for e in bases.pop(k)[1] for t in terms_of(base.exponent)]
    made: list[Expr] = []
    for base, exponents in bases.values():
        if len(exponents) > 1 and isinstance(base, Inside) and any(_is_positive(e) for e in exponents):
            exponents = [ONE_EXPR]  # a range stays where it was divided by itself: what stands beside it is read there
        power_ = exponents[0] if len(exponents) == 1 else add(exponents)
        if len(exponents) == 1 and power_ is ONE_EXPR:
            made.append(base)
            continue
        piece = power(base, power_)
        c, rest = coefficient(piece)
        if c is not UNIT:
            number = number * c
        if rest is not ONE_EXPR:
            made.extend(factors_of(rest))
    if not number.numerator:
        return ZERO_EXPR
    if not made:
        return num(number)
    kinds = set(map(type, made))
    if Mul in kinds or (len(made) > 1 and len(set(map(key, made))) < len(made)):
        return mul((num(number), *made))  # merging made a base meet itself again, as in (ab)**2 / a
    ranges = {key(m) for m in made if isinstance(m, Inside)} if Inside in kinds else ()
    if ranges and len(ranges) < len(made):
        freed = [m if isinstance(m, Inside) else _within(m, ranges) for m in made]
        if any(new is not old for new, old in zip(freed, made, strict=True)):
            return mul((num(number), *freed))
    if number is not UNIT and number != 1:
        made.insert(0, num(number))
    return made[0] if len(made) == 1 else Mul(tuple(made))


def _within(factor: Expr, ranges: set[int]) -> Expr:
    """Return a factor without the ``ranges`` that stand beside it: where one of them is 0, so is the product."""
    made = replace(factor, lambda node: ONE_EXPR if isinstance(node, Inside) and key(node) in ranges else None)
    return factor if made is factor else normal(made)


def _is_positive(exponent: Expr) -> bool:
    return isinstance(exponent, Num) and exponent.value > 0


def power(base: Expr, exponent: Expr) -> Expr:
    """Return ``base ** exponent``; integer powers are spread over products."""
    if isinstance(exponent, Num):
        e = exponent.value
        if e == 0:
            return ONE_EXPR
        if e == 1:
            return base
        if isinstance(base, Num):
            exact = _number_power(base.value, e)
            if exact is not None:
                return num(exact)
        if e > 0 and is_indicator(base):
            return base
        if isinstance(base, Pow) and isinstance(base.exponent, Num) and _powers_merge(base.exponent.value, e):
            return power(base.base, num(base.exponent.value * e))
        if isinstance(base, Mul) and e.denominator == 1:
            return mul(power(f, exponent) for f in base.args)
        if isinstance(base, SizeOf) and base.size.literal is not None:
            return power(num(base.size.literal), exponent)
    return Pow(base, exponent)


def _powers_merge(inner: Fraction, outer: Fraction) -> bool:
    # (x^a)^b = x^(ab) for integer b, and where x^a already needs x >= 0
    return outer.denominator == 1 or inner.denominator != 1


def _number_power(value: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator == 1 and abs(exponent) <= _POWER_LIMIT and (value or exponent > 0):
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        return value**exponent.numerator if bits * abs(exponent) <= 4096 else None
    if exponent.denominator == 2 and value > 0 and abs(exponent) <= _POWER_LIMIT:
        top, bottom = isqrt(value.numerator), isqrt(value.denominator)
        if top * top == value.numerator and bottom * bottom == value.denominator:
            return _number_power(Fraction(top, bottom), exponent * 2)
    return None


def delta(left: Affine, right: Affine) -> Expr:
    """Return δ(left, right), decided where both sides are known."""
    if left == right:
        return ONE_EXPR
    gap = (left - right).constant
    if gap is not None and gap.literal is not None:
        return ONE_EXPR if gap.literal == 0 else ZERO_EXPR
    if is_beyond(left - right, ONE):
        return ZERO_EXPR  # δ(0, i+1)
    pairs = matched_digits(left, right)
    return mul(delta(Affine.of(a), Affine.of(b)) for a, b in pairs) if pairs else Delta(left, right)


def inside(subscript: Affine, size: Size) -> Expr:
    """Return [0 ≤ subscript < size], 1 or 0 when that is certain."""
    if is_beyond(subscript, size):
        return ZERO_EXPR
    return ONE_EXPR if is_within(subscript, size) else Inside(subscript, size)


# -- sums ---------------------------------------------------------------------------------------------------------------


def sum_over(indices: tuple[Index, ...], body: Expr) -> Expr:
    """Return Σ over ``indices`` of a normal ``body``: constants taken out, deltas contracted, nothing else opened."""
    if body is ZERO_EXPR or (isinstance(body, Num) and body.value == 0):
        return ZERO_EXPR
    absent = [i for i in indices if i not in body.free]
    if absent:
        counts = [size_factor(i.size) for i in absent]
        return mul((*counts, sum_over(tuple(i for i in indices if i in body.free), body)))
    if not indices:
        return body
    if isinstance(body, Sum):
        inner = cast(Sum, freshen(body)) if set(body.indices) & set(indices) else body
        return sum_over(indices + inner.indices, inner.body)
    if isinstance(body, Add):
        return _sum_of_terms(indices, body)
    outer, inner_factors = _split(indices, factors_of(body))
    if outer:
        return mul((*outer, sum_over(indices, mul(inner_factors))))
    contracted = _contract(indices, inner_factors)
    if contracted is not None:
        return contracted
    for n, whole in enumerate(inner_factors):
        factor = _spread_sum(whole)
        if isinstance(factor, Add) and _has_delta(factor, indices):
            spread = (mul((*inner_factors[:n], t, *inner_factors[n + 1 :])) for t in factor.args)
            return add(sum_over(indices, t) for t in spread)
    return Sum(indices, body)


def size_factor(size: Size) -> Expr:
    """Return a size as a factor."""
    literal = size.literal
    return SizeOf(size) if literal is None else num(literal)


def _split(indices: tuple[Index, ...], factors: tuple[Expr, ...]) -> tuple[list[Expr], tuple[Expr, ...]]:
    bound = frozenset(indices)
    outer = [f for f in factors if f.free.isdisjoint(bound)]
    return outer, tuple(f for f in factors if not f.free.isdisjoint(bound))


def _has_delta(expr: Expr, indices: tuple[Index, ...]) -> bool:
    """Say whether a δ or a sum's worth of it stands at the top of a term of ``expr`` and can be contracted."""
    for term in terms_of(expr):
        for factor in factors_of(term):
            if isinstance(factor, Delta) and any(True for _ in solutions(factor, indices)):
                return True
            if isinstance(_spread_sum(factor), Add) and _has_delta(_spread_sum(factor), indices):
                return True
    return False


def _spread_sum(factor: Expr) -> Expr:
    """Return Σ over terms with a δ of other indices as the terms summed each, so that the δ can be contracted."""
    if not isinstance(factor, Sum) or not isinstance(factor.body, Add):
        return factor
    if not any(isinstance(f, Delta) for t in factor.body.args for f in factors_of(t)):
        return factor
    return add(sum_over(factor.indices, t) for t in factor.body.args)


def _sum_of_terms(indices: tuple[Index, ...], body: Add) -> Expr:
    split = [t for t in body.args if _has_delta(t, indices)]
    if not split:
        return Sum(indices, body)
    chosen = {id(t) for t in split}
    rest = [t for t in body.args if id(t) not in chosen]
    pieces: list[Expr] = []
    for term in body.args:  # each where it stood; what stays together stands where its first term did
        if id(term) in chosen:
            pieces.append(sum_over(indices, term))
        elif rest and term is rest[0]:
            pieces.append(sum_over(indices, add(rest)))
    return add(pieces)


def _contract(indices: tuple[Index, ...], factors: tuple[Expr, ...]) -> Expr | None:
    """Use one δ among ``factors`` to do one of the sums, if its range allows; best without an indicator of the range."""
    found: tuple[tuple[int, bool, bool, int], Solution] | None = None
    for n, factor in enumerate(factors):
        for solution in solutions(factor, indices) if isinstance(factor, Delta) else ():
            others = factors[:n] + factors[n + 1 :]
            unsure = solution.preference == OPEN
            rough = unsure and any(is_rough(f, solution.bound, opened=True) for f in others)
            zero = any(vanishes(f, solution.bound) for f in others) and not any(is_rough(f, solution.bound) for f in others)
            guarded = unsure and not zero
            rank = (solution.preference, rough, guarded, n)
            if found is None or rank < found[0]:
                found = (rank, solution)
    if found is None:
        return None
    (_, _, guarded, n), (_, index, value) = found
    left = tuple(i for i in indices if i is not index)
    replaced = [normal(substitute(f, {index: value})) for f in factors[:n] + factors[n + 1 :]]
    return sum_over(left, mul((*replaced, *((inside(value, index.size),) if guarded else ()))))


# -- a whole expression --------------------------------------------------------------------------------------------------


def normal(expr: Expr) -> Expr:
    """Return the normal form of a raw expression.

    >>> from derivkit.symbolic.expr import user
    >>> x = Ref(user("x"))
    >>> key(normal(Add((x, Mul((num(2), x)))))) == key(normal(Mul((x, num(3)))))
    True
    """
    made = _NORMAL.get(type(expr))
    return expr if made is None else made(expr)


_NORMAL: dict[type[Expr], Callable[[Any], Expr]] = {
    Add: lambda expr: add(map(normal, _flat(Add, (expr,)))),
    Mul: lambda expr: mul(map(normal, _flat(Mul, (expr,)))),
    Pow: lambda expr: power(normal(expr.base), normal(expr.exponent)),
    Sum: lambda expr: sum_over(expr.indices, normal(expr.body)),
    Delta: lambda expr: delta(expr.left, expr.right),
    Inside: lambda expr: inside(expr.subscript, expr.size),
    Fn: lambda expr: fn(expr.op, tuple(map(normal, expr.args))),
    Prim: lambda expr: Prim(expr.op, expr.bound, tuple(map(normal, expr.args)), expr.at),
    SizeOf: lambda expr: size_factor(expr.size),
    Ref: lambda expr: ZERO_EXPR if any(map(_is_before_the_first, expr.subs)) else expr,
}


def _is_before_the_first(sub: Affine) -> bool:
    """Say whether a subscript is a negative number, which is out of every range (the author's ``x[-1]`` is ``x[N−1]``)."""
    return not sub.terms and (sub.const.literal or 0) < 0
