"""Where f has a kink: is the claim a generalised slope, and does the kink hide another fault?"""

from __future__ import annotations

import math

import numpy as np

from derivkit.checking.directions import joint, only, settle, slope_size
from derivkit.checking.line import Line
from derivkit.checking.problem import SMALL, Problem, Task
from derivkit.checking.residual import Residual


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


def inside(line: Line, problem: Problem, task: Task) -> bool:
    """Return whether the claim lies in the range of directional derivatives around the point (Clarke, 1983, ch. 2).

    The one-sided slopes at the point are too narrow a range where convex and concave kinks meet, so slopes are taken
    at nearby points in many directions.
    """
    rng = np.random.default_rng([task.seed, 3])
    fine = line.finest > 1e-8
    offset, step = (0.02, 0.002) if fine else (1e-5, 1e-7)
    size, _ = slope_size(problem, line.direction)
    around = [line.direction, tuple(-u for u in line.direction)] + [joint(problem, rng) for _ in range(30)]
    residuals = []
    for direction in around:
        centre = tuple((p.astype(np.float64) + offset * u).astype(p.dtype) for p, u in zip(line.point, direction, strict=True))
        sides = []
        for signed in (step, -step):
            pairs = zip(centre, line.direction, strict=True)
            reached = tuple((c.astype(np.float64) + signed * u).astype(c.dtype) for c, u in pairs)
            moved = tuple(r.astype(np.float64) - c for r, c in zip(reached, centre, strict=True))
            sides.append(line.value(reached) - problem.predict(moved))
        residuals.append((sides[0] - sides[1]) / (2 * step))
    slopes = np.array([r for r in residuals if math.isfinite(r)])
    if not slopes.size:
        return True
    low, high = float(slopes.min()), float(slopes.max())
    middle = slopes[(slopes > low + 0.01 * (high - low)) & (slopes < high - 0.01 * (high - low))]
    # two values: one kink, the range is exact; more: several kinks, of which 32 samples may miss the extremes
    width = high - low
    slack = 4 * line.unit * abs(line.base) / step + 20 * offset * max(size, width) + (0.25 * width if middle.size else 0.0)
    return low - slack <= 0.0 <= high + slack
