"""How long a test may take: what is promised of an idle machine, and more on one that is busy, slow, or traces each line."""

from __future__ import annotations

import sys
import time

#: What the chores below take on the machine that the promises were measured on, when it does nothing else.
IDLE = 0.015


def patience(seconds: float = 2.0) -> float:
    """Return the ``seconds`` that were promised, times how much slower than that machine this one is now."""
    started = time.perf_counter()
    _chores()
    slower = max(1.0, (time.perf_counter() - started) / IDLE)
    return seconds * slower * (1.0 if sys.gettrace() is None else 6.0)


def _chores() -> str:
    found = {}
    for k in range(20_000):
        found[k % 97, str(k)] = (k, k * k)
    return str(min(found, key=str))
