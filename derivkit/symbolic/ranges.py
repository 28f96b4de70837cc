"""What is certain of sizes and subscripts, whatever the sizes are: each name is 1 or more, and nothing else is known of it."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import combinations

from derivkit.symbolic.index import Affine, FloorDiv, Index, Size

Monomial = tuple[str, ...]

_ATOMS = 12  # a proof expands products of names: more of them are not tried
_KEPT_PROOFS = 8_192


@lru_cache(maxsize=_KEPT_PROOFS)
def at_least(size: Size, least: int = 0) -> bool:
    """Return whether ``size`` is provably ``least`` or more when every name is 1 or more.

    >>> L, K = Size.of("L"), Size.of("K")
    >>> at_least(L * K - L), at_least(L - K), at_least(L - (L // 2) * 2)
    (True, False, True)
    """
    bound = _below(size)
    if bound is None:
        return False
    shifted: dict[Monomial, Fraction] = {(): Fraction(-least)}
    for names, value in bound.items():  # each name is 1 + t with t at least 0
        if len(names) > _ATOMS:
            return False
        for count in range(len(names) + 1):
            for some in combinations(names, count):
                shifted[some] = shifted.get(some, Fraction(0)) + value
    return all(value >= 0 for value in shifted.values())


def _below(size: Size) -> dict[Monomial, Fraction] | None:
    """Return a polynomial in names that is nowhere above ``size``: floors are opened towards the safe side."""
    total: dict[Monomial, Fraction] = {}
    for monomial, coefficient in size.terms:
        floors = [a for a in monomial if isinstance(a, FloorDiv)]
        if not floors:
            names = tuple(a for a in monomial if isinstance(a, str))
            total[names] = total.get(names, Fraction(0)) + coefficient
            continue
        d = floors[0].denominator.literal
        if len(monomial) > 1 or d is None or d < 1:
            return None
        numerator = floors[0].numerator - (d - 1) if coefficient > 0 else floors[0].numerator * -1
        opened = _below(numerator)  # (n − d + 1)/d ≤ floor(n/d) ≤ n/d
        if opened is None:
            return None
        for names, value in opened.items():
            total[names] = total.get(names, Fraction(0)) + value * abs(coefficient) / d
    return total


def reach(sub: Affine) -> tuple[Size, Size]:
    """Return the smallest and the largest value of a subscript over indices with provable signs; a label counts 0.

    >>> i, p = Index("i", Size.of("N")), Index("p", Size.of("P"))
    >>> [str(s) for s in reach(Affine.of(i) - p + 2)]
    ['-P+3', 'N+1']
    """
    low = high = sub.const
    for atom in sub.indices():
        step = sub.coefficient(atom)
        far = step * (atom.size - 1)
        if at_least(step):
            high = high + far
        elif at_least(step * -1):
            low = low + far
        else:
            low, high = low - far * far, high + far * far  # of unknown sign: nothing is provable
    return low, high


def is_within(sub: Affine, length: Size) -> bool:
    """Say whether 0 ≤ ``sub`` < ``length`` is certain; the axis, whatever its length, has an entry.

    >>> i, rest = Index("i", Size.of("A")), Size.of("A") - 2
    >>> is_within(Affine.of(i), Size.of("A") + Size.of("B")), is_within(Affine.of(i) - 1, Size.of("A"))
    (True, False)
    >>> is_within(Affine.of(0), rest), is_within(Affine.of(rest - 1), rest), is_within(Affine.of(1), rest)
    (True, True, False)
    """
    low, high = reach(sub)
    first = at_least(low) or at_least(low - length + 1)
    return first and (at_least(length - high, 1) or at_least(high * -1)) and _is_plain(sub)


def is_beyond(sub: Affine, length: Size) -> bool:
    """Say whether it is certain that ``sub`` is out of the range of an axis: x[:, M] of M columns, which is 0."""
    low, high = reach(sub)
    return _is_plain(sub) and (at_least(low - length) or at_least(high * -1, 1))


def _is_plain(sub: Affine) -> bool:
    return all(isinstance(atom, Index) for atom, _ in sub.terms)
