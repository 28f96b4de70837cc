"""What is known of symbolic sizes: which are provably large enough, and which of two is the shorter one as a rule.

A proof decides what may be written as a plain slice; "as a rule" decides only between two forms that are both right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

from derivkit.symbolic.index import ONE, Affine, FloorDiv, Size

Monomial = tuple[str, ...]

_TYPICAL = (2, 3, 5, 8, 16, 32, 64)
_SAMPLES = 64
_ATOMS = 12  # a proof expands products of names: more of them are not tried


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
    """Return the smallest and the largest value of a subscript over indices with literal coefficients or provable signs.

    >>> from derivkit.symbolic.index import Index
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


def within(sub: Affine, length: Size) -> bool:
    """Return whether a subscript provably stays inside of an axis."""
    low, high = reach(sub)
    return at_least(low) and at_least(length - high, 1)


def beyond(sub: Affine, length: Size) -> bool:
    """Return whether a subscript provably stays outside of an axis: x[:, M] of M columns, which is 0."""
    low, high = reach(sub)
    return at_least(low - length) or at_least(high * -1, 1)


def shorter(a: Size, b: Size, facts: Sequence[Size] = ()) -> int:
    """Return −1 when ``a`` is shorter than ``b`` as a rule, 1 when it is longer, 0 when there is no telling.

    ``facts`` are sizes of axes, so 1 or more: a kernel is shorter than the signal of which it leaves a valid part.

    >>> L, K = Size.of("L"), Size.of("K")
    >>> shorter(K, L), shorter(K, L, [L - K + 1]), shorter(Size.of(3), L)
    (0, -1, -1)
    """
    gap = b - a
    if at_least(gap):
        return -1 if gap != Size.of(0) else 0
    if at_least(gap * -1):
        return 1
    mean = _mean_gap(a, b, tuple(dict.fromkeys(facts)))
    return 0 if abs(mean) < 0.1 else -1 if mean > 0 else 1


@lru_cache(maxsize=4096)
def _mean_gap(a: Size, b: Size, facts: tuple[Size, ...]) -> float:
    names = sorted({n for s in (a, b, *facts) for n in s.names()})
    gaps = []
    for values in _points(len(names)):
        at = dict(zip(names, values, strict=True))
        x, y = a.evaluate(at), b.evaluate(at)
        if min(x, y) >= 1 and all(f.evaluate(at) >= 1 for f in facts):
            gaps.append(math.log(y / x))
    return sum(gaps) / len(gaps) if gaps else 0.0


def _points(count: int) -> list[tuple[int, ...]]:
    """Return the same sizes each time: pairs of points that exchange the names, so that no name is preferred."""
    state, points = 1, []
    for _ in range(_SAMPLES):
        values = []
        for _ in range(count):
            state = (state * 1103515245 + 12345) % 2**31
            values.append(_TYPICAL[(state >> 16) % len(_TYPICAL)])
        points += [tuple(values), tuple(reversed(values))]
    return points


def unit(step: Size) -> int:
    """Return the coefficient when it is 1 or −1, else 0."""
    return 1 if step == ONE else -1 if step == Size.of(-1) else 0
