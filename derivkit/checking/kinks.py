"""Where f has a kink: is the claim a generalised slope, and does the kink hide another fault?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from derivkit.checking.directions import joint, line_along, only, settle, slope_size
from derivkit.checking.line import Line
from derivkit.checking.problem import SMALL, Point, Problem, Task
from derivkit.checking.residual import Residual
from derivkit.numeric.finite_difference import scales

#: At a kink, so many leaves, and rows of a leaf along each axis, are moved by themselves.
ROWS = 8


def off_zeros(task: Task, problem: Problem) -> list[tuple[Line, Residual]]:
    """Return what is wrong along a direction that keeps every zero argument where it is: most kinks are there."""
    direction = joint(problem, np.random.default_rng([task.seed, 5]))
    masked = tuple(np.where(p == 0, 0.0, u) for p, u in zip(problem.point, direction, strict=True))
    if not any(np.any(u) for u in masked):
        return []
    line, residual = settle(task, problem, masked)
    return [(line, residual)] if residual.verdict == "wrong" and not residual.gap else []


def entries_alone(task: Task, problem: Problem) -> list[tuple[Line, Residual]]:
    """Return what is measured of single entries at a kink: of all in a small problem, else of the first that are 0.

    Many kinks met at once have a wide range of slopes, in which a fault at one of them is lost.
    """
    if problem.claims is None:
        return []
    direction = joint(problem, np.random.default_rng([task.seed, 7]))
    small = sum(p.size for p in problem.point) <= SMALL
    found: list[tuple[Line, Residual]] = []
    for k, p in enumerate(problem.point):
        for index in np.argwhere((direction[k] != 0) & (small | (p == 0)))[: SMALL - len(found)]:
            mask = np.zeros(p.shape, dtype=np.bool_)
            mask[tuple(index)] = True
            found.append(settle(task, problem, only(direction, k, mask)))
    return found


def shifts(problem: Problem) -> Iterator[Line]:
    """Yield moves that leave a tie a tie: of all entries, a leaf, or a row of it, by as much or by as large a share.

    A maximum has no kink along these: what is no mixture of the tied slopes shows, though each entry is in its range.
    """
    unclaimed = [c is None for c in problem.claims] if problem.claims is not None else [False] * len(problem.point)
    sizes = [
        np.zeros(p.shape) if skip else scales(p.astype(np.float64)) for p, skip in zip(problem.point, unclaimed, strict=True)
    ]
    even = tuple(np.full(s.shape, np.median(s) if s.size else 1.0) for s in sizes)
    along = tuple(np.where(s > 0, p.astype(np.float64), 0.0) for p, s in zip(problem.point, sizes, strict=True))
    leaves = [k for k, skip in enumerate(unclaimed) if not skip]
    for whole in (even, along):
        parts = [only(whole, k) for k in leaves] if len(leaves) > 1 else []
        yield from (line_along(problem, u) for u in (whole, *parts[:ROWS]) if any(np.any(v) for v in u))
    for k in leaves[:ROWS]:
        for axis, count in enumerate(sizes[k].shape if sizes[k].ndim > 1 else ()):
            for index in range(min(count, ROWS)):
                mask = np.zeros(sizes[k].shape, dtype=np.bool_)
                mask[(slice(None),) * axis + (index,)] = True
                yield line_along(problem, only(even, k, mask))


def outside(line: Line, problem: Problem, task: Task) -> tuple[float, float] | None:
    """Return the range of residual slopes around the point if the claim is not in it (Clarke, 1983, ch. 2).

    The one-sided slopes at the point are too narrow a range where convex and concave kinks meet, so slopes are taken
    at nearby points in many directions, until there are such on both sides of the claim.
    """
    rng = np.random.default_rng([task.seed, 3])
    coarse = line.finest > 1e-8
    offset, step = (0.02, 0.002) if coarse else (1e-5, 1e-7)
    size, _ = slope_size(problem, line.direction)
    around = [line.direction, tuple(-u for u in line.direction)] + [joint(problem, rng) for _ in range(30)]
    slopes: list[tuple[float, float]] = []
    low, high, slack = math.inf, -math.inf, 0.0
    for direction in around:
        centre = tuple((p.astype(np.float64) + offset * u).astype(p.dtype) for p, u in zip(line.point, direction, strict=True))
        middle, above, below = (_departure(line, problem, centre, signed) for signed in (0.0, step, -step))
        if not math.isfinite(slope := (above - below) / (2 * step)):
            continue
        slopes.append((slope, abs(above + below - 2 * middle) / step))
        low, high = min(low, slope), max(high, slope)
        slack = 4 * line.unit * abs(line.base) / step + 20 * offset * max(size, high - low)
        if low - slack <= 0.0 <= high + slack:
            return None
    # Two values: one kink, the range is exact; more: several kinks, of which 32 samples may miss the extremes.  But a
    # step across a kink has a slope between the two as well: that is none of any point
    margin = 0.01 * (high - low)
    if any(low + margin < slope < high - margin and not gap > margin for slope, gap in slopes):
        slack += 0.25 * (high - low)
    return None if not slopes or low - slack <= 0.0 <= high + slack else (low, high)


def _departure(line: Line, problem: Problem, centre: Point, step: float) -> float:
    """Return the function less the claim at ``step`` from ``centre`` along the line."""
    pairs = zip(centre, line.direction, strict=True)
    reached = tuple((c.astype(np.float64) + step * u).astype(c.dtype) for c, u in pairs)
    return line.value(reached) - problem.predict(tuple(r.astype(np.float64) - c for r, c in zip(reached, centre, strict=True)))
