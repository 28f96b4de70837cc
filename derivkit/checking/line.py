"""A function and a claimed slope along one line: points that can be represented, values on both sides, and their noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
#: Values that all have so few bits are whole numbers, not the 11 bits of float16.
_FEW_BITS = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A scalar function and a claimed derivative along one line through ``point``.

    ``value`` (NaN where the function cannot be evaluated) and ``predict`` (the claimed change for a displacement) take
    tuples of arrays; ``direction`` is float64, of the point's shapes; ``base`` is the value at the point, ``unit`` the
    machine epsilon of the function's output, ``noise`` the absolute error of a value that is known already.
    """

    value: Callable[[tuple[Floats, ...]], float]
    predict: Callable[[tuple[Floats, ...]], float]
    point: tuple[NDArray[Any], ...]
    direction: tuple[Floats, ...]
    base: float
    unit: float
    noise: float = 0.0

    @property
    def finest(self) -> float:
        """The finest useful step: below it, the coarsest moving array cannot follow the direction."""
        moving = [(p, u) for p, u in zip(self.point, self.direction, strict=True) if np.any(u)]
        return 32 * max((float(np.finfo(p.dtype).eps) * _slowness(p, u) for p, u in moving), default=_EPS)


def _slowness(p: NDArray[Any], u: Floats) -> float:
    """Return how much less than in proportion to itself an entry moves: a direction of its own size counts as 1."""
    moved = u != 0
    return max(1.0, 0.5 * float(np.max(np.abs(p[moved]) / np.abs(u[moved]))))


@dataclass(frozen=True, slots=True)
class Rung:
    """Residual slopes at one step: what is left of the central and one-sided quotients after the claim is taken away.

    ``rounding`` is the absolute error of the function values that the output's own epsilon makes.
    """

    step: float
    central: float
    forward: float
    backward: float
    above: float
    below: float
    rounding: float


def displaced(line: Line, step: float) -> tuple[tuple[NDArray[Any], ...], tuple[Floats, ...]]:
    """Return the *representable* point reached by ``step`` along the line, and the displacement really made."""
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = zip(line.point, line.direction, strict=True)
        reached = tuple((p.astype(np.float64) + step * u).astype(p.dtype) for p, u in pairs)
        moved = tuple(r.astype(np.float64) - p.astype(np.float64) for r, p in zip(reached, line.point, strict=True))
    return reached, moved


def rung(line: Line, step: float) -> Rung:
    """Evaluate both sides of the line at ``step``: two function values."""
    up, moved_up = displaced(line, step)
    down, moved_down = displaced(line, -step)
    above, below = line.value(up), line.value(down)
    with np.errstate(over="ignore", invalid="ignore"):
        claim_up, claim_down = line.predict(moved_up), line.predict(moved_down)
        central = ((above - below) - (claim_up - claim_down)) / (2 * step)
        forward, backward = ((above - line.base) - claim_up) / step, ((line.base - below) + claim_down) / step
    largest = max(abs(v) for v in (line.base, above, below) if math.isfinite(v))
    return Rung(step, central, forward, backward, above, below, max(line.noise, line.unit * largest))


def scatter(line: Line) -> float:
    """Return the scatter of the function over nine points a hair apart: fourth differences leave nothing else.

    What falls with the distance of the points is no noise, but an edge or a fold that is near.
    """
    found = _fourth(line, max(1e-10, line.finest) / 8)
    if found > 8 * line.unit * abs(line.base) and line.finest < 1e-10:
        nearer = _fourth(line, line.finest / 4)
        return found if nearer > 0.05 * found else nearer
    return found


def _fourth(line: Line, hair: float) -> float:
    values = []
    for j in range(1, 10):
        point, moved = displaced(line, j * hair)
        values.append(line.value(point) - line.base - line.predict(moved))
    fourth = np.diff(np.array(values), 4)
    return 2 * float(np.max(np.abs(fourth))) / math.sqrt(70) if np.all(np.isfinite(fourth)) else 0.0


def narrowed(values: Floats) -> float:
    """Return the epsilon of the float16 or float32 in which all of four values or more fit, else 0: there was a cast within.

    Whole numbers and the like fit as well; they need few digits, those of a narrow float most that it has.

    >>> bool(narrowed(np.array([1.0, 2.0, 3.0, 5.0])) == np.finfo(np.float32).eps)
    True
    """
    if values.size < 4:
        return 0.0
    fraction = np.ldexp(np.frexp(values)[0], _FEW_BITS)
    plain = bool(np.all(fraction == np.rint(fraction)))
    with np.errstate(over="ignore"):
        if not plain and np.all(values.astype(np.float16) == values):
            return float(np.finfo(np.float16).eps)
        return float(np.finfo(np.float32).eps) if np.all(values.astype(np.float32) == values) else 0.0


def quantum(line: Line, rungs: Sequence[Rung]) -> float:
    """Return the height of the function's steps if it is flat from near and on a grid from afar (a float32 inside), else 0.

    Flat where its own rounding makes it so is not flat; a grid of a few large steps is meant (`floor`).
    """
    flat = [r for r in rungs if r.above == r.below == line.base]
    moves = sorted({abs(v - line.base) for r in rungs for v in (r.above, r.below) if math.isfinite(v) and v != line.base})
    if len(flat) < 2 or len(moves) < 4 or not 8 * min(r.rounding for r in flat) < moves[0] <= 2e-3 * moves[-1]:
        return 0.0
    # the smallest move seen may be a few quanta; far values would only magnify its own rounding
    near = np.array([m for m in moves if m < 1e3 * moves[0]]) / moves[0]
    fits = (k for k in range(1, 17) if near.size >= 3 and np.max(np.abs(k * near - np.round(k * near))) < 1e-3)
    return moves[0] / next(fits, math.inf)
