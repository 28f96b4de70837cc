"""Numbers and elementwise operations in normal form: folded where their operands decide them."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeGuard

from derivkit import limits
from derivkit.symbolic.expr import Delta, Expr, Fn, Inside, Mul, Num, Pow, key

#: Elementwise operations whose value is 0 or 1, so that a power of them is themselves.
INDICATORS = frozenset({"greater", "less", "greater_equal", "less_equal", "equal", "not_equal", "step"})


def divides(factor: Expr) -> TypeGuard[Pow]:
    """Say whether a factor stands below the fraction bar: a power with a negative number as its exponent."""
    return isinstance(factor, Pow) and isinstance(factor.exponent, Num) and factor.exponent.value < 0


def num(value: Fraction | int) -> Num:
    """Return a number; the small ones are made once."""
    return (_WHOLE.get(value.numerator) if value.denominator == 1 else None) or Num(value)


_WHOLE = {n: Num(n) for n in range(-4, 9)}
UNIT = Fraction(1)


def rounded(value: Fraction) -> str:
    """Return a number of more digits than are read, as its nearest float; an empty text for every other number.

    >>> rounded(Fraction(1, 3)), rounded(Fraction(7 * 10**49)), rounded(Fraction(1, 3**99))
    ('', '7e49', '5.820975652447899e-48')
    """
    if max(abs(value.numerator), value.denominator) < 10**limits.LITERAL_DIGITS:
        return ""
    nearest = float(value) if abs(value) < 10**limits.LITERAL_EXPONENT else 0.0
    return repr(nearest).replace("e+", "e") if nearest else ""


def number_of(expr: Expr) -> Fraction:
    """Return the rational coefficient of ``expr`` alone."""
    first = expr.args[0] if isinstance(expr, Mul) else expr
    return first.value if isinstance(first, Num) else UNIT


def is_indicator(expr: Expr) -> bool:
    """Say whether the value is always 0 or 1."""
    return isinstance(expr, Delta | Inside) or (isinstance(expr, Fn) and expr.op in INDICATORS)


def fn(op: str, args: tuple[Expr, ...]) -> Expr:
    """Return an elementwise operation, folded where its operands decide it."""
    if op == "where":
        condition, yes, no = condition_of(args[0]), args[1], args[2]
        if key(yes) == key(no):
            return yes
        if isinstance(condition, Num):
            return yes if condition.value else no
        if yes is not None and isinstance(yes, Num) and isinstance(no, Num):
            return _two_valued(condition, yes.value, no.value)
        return Fn(op, (condition, yes, no))
    if op == "step" and isinstance(args[0], Fn) and args[0].op == "relu":
        return Fn("step", args[0].args)  # relu(x) > 0 exactly where x > 0
    positive = _positive_part(op, args)
    if positive is not None:
        return Fn("step", (positive,))
    if op in INDICATORS and len(args) == 2 and all(isinstance(a, Num) for a in args):
        return num(int(_COMPARE[op](args[0].value, args[1].value)))  # type: ignore[attr-defined]
    if isinstance(args[0], Num) and _AT.get(op, {}).get(args[0].value) is not None:
        return num(_AT[op][args[0].value])
    return Fn(op, args)


#: The values of functions at 0 and 1 that are numbers.
_AT: dict[str, dict[Fraction, int]] = {
    "exp": {Fraction(0): 1},
    "log": {Fraction(1): 0},
    **{op: {Fraction(0): 0} for op in ("sin", "tanh", "sign", "relu", "abs", "step", "erf")},
}

_COMPARE = {
    "greater": Fraction.__gt__,
    "less": Fraction.__lt__,
    "greater_equal": Fraction.__ge__,
    "less_equal": Fraction.__le__,
    "equal": Fraction.__eq__,
    "not_equal": Fraction.__ne__,
}


def _two_valued(condition: Expr, yes: Fraction, no: Fraction) -> Expr:
    if is_indicator(condition) and yes == 1 and no == 0:
        positive = _positive_part(condition.op, condition.args) if isinstance(condition, Fn) else None
        return condition if positive is None else Fn("step", (positive,))
    return Fn("where", (condition, num(yes), num(no)))


def _positive_part(op: str, args: tuple[Expr, ...]) -> Expr | None:
    """Return x when the comparison is x > 0 (or 0 < x), which is step(x)."""
    if op in {"greater", "less"}:
        larger, smaller = args if op == "greater" else args[::-1]
        if isinstance(smaller, Num) and smaller.value == 0 and not isinstance(larger, Num):
            return larger
    return None


def condition_of(indicator: Expr) -> Expr:
    """Return a condition as a comparison: inside ``where``, step(x) is written x > 0."""
    if isinstance(indicator, Fn) and indicator.op == "step":
        return Fn("greater", (indicator.args[0], Num(0)))
    return indicator
