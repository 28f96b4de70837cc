"""Which of two symbolic sizes is the shorter one as a rule: it decides between two forms that are both right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from derivkit.symbolic.index import ONE, Size
from derivkit.symbolic.ranges import at_least

_TYPICAL = (2, 3, 5, 8, 16, 32, 64)
_SAMPLES = 64


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
