"""What the reader knows of an expression while it builds it, so that no number or tree can grow out of bounds."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from derivkit import limits
from derivkit.errors import DerivkitError

#: Exact arithmetic on literals stops here; beyond it a value is only known to be a constant.
BITS = 4096
_ARITHMETIC: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": lambda a, b: Fraction(a // b),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one node.

    ``height`` is the nesting that a walk meets which takes :func:`~derivkit.symbolic.parse.syntax.spine` in a loop,
    ``value`` the exact value when ``constant`` (made of literals alone) and cheap, ``power`` the largest product of
    literal exponents one inside the other (2 for ``x**2``, 4 for ``(x**2)**2``; 0 where there is none).
    """

    height: int = 1
    chain: bool = False
    constant: bool = False
    value: Fraction | None = None
    power: int = 0


def literal(value: Fraction) -> Facts:
    """Return the facts of a number; DK005 when a double cannot hold it."""
    return Facts(constant=True, value=_held(value))


def opaque(children: Iterable[Facts]) -> Facts:
    """Return the facts of a call, a subscript, a comparison: literals and powers end there."""
    return Facts(height=1 + max((child.height for child in children), default=0))


def signed(op: str, operand: Facts) -> Facts:
    """Return the facts of ``-operand`` or ``+operand``."""
    value = operand.value if operand.value is None or op == "+" else -operand.value
    return Facts(operand.height + 1, constant=operand.constant, value=value, power=operand.power)


def joined(op: str, left: Facts, right: Facts) -> Facts:
    """Return the facts of ``left op right``.

    Raises :class:`DerivkitError` (without a place): DK005 for a literal value out of bounds, DK015 for a power.

    >>> joined("**", literal(Fraction(2)), literal(Fraction(10))).value
    Fraction(1024, 1)
    """
    height = max(left.height + (not left.chain), right.height + 1)
    constant = left.constant and right.constant
    if op == "**":
        power = _power(left, right)
        value = _raised(left.value, right.value)
    else:
        power = max(left.power, right.power)
        value = _computed(op, left.value, right.value)
    return Facts(height, True, constant, value, power)


def _held(value: Fraction) -> Fraction | None:
    size = abs(value)
    if size and not Fraction(1, 10**limits.LITERAL_EXPONENT) <= size < Fraction(10 ** (limits.LITERAL_EXPONENT + 1)):
        raise DerivkitError(f"a number beyond 1e±{limits.LITERAL_EXPONENT}", code="DK005")
    return value if max(value.numerator.bit_length(), value.denominator.bit_length()) <= BITS else None


def _computed(op: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None or op not in _ARITHMETIC:
        return None
    if op in ("/", "//") and not right:
        raise DerivkitError("a division by zero", code="DK005")
    return _held(_ARITHMETIC[op](left, right))


def _raised(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    if base is None or exponent is None or exponent.denominator != 1:
        return None
    if not base and exponent < 0:
        raise DerivkitError("a division by zero", code="DK005")
    return _held(base ** int(exponent))


def _power(base: Facts, exponent: Facts) -> int:
    """Return the product of nested literal exponents, refusing towers and what is out of bounds."""
    limit = limits.LITERAL_POWER
    if not exponent.constant:
        return max(base.power, exponent.power)
    if exponent.power or (base.constant and base.power):
        raise DerivkitError("a tower of powers of literals", code="DK015", hint="write its value")
    if exponent.value is None:
        raise DerivkitError("an exponent that is too long", code="DK015", hint="write its value")
    power = max(1, math.ceil(abs(exponent.value)))
    if power > limit:
        raise DerivkitError(f"a power beyond {limit}", code="DK015", hint="exp(n*log(x)) has no such limit")
    if power * max(1, base.power) > limit:
        raise DerivkitError(f"nested powers beyond {limit} together", code="DK015", hint="give the inner power a name")
    return power * max(1, base.power)
