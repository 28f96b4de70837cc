"""Where f has a kink: is the claim a generalised slope, and does the kink hide another fault?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from derivkit.checking.contract import contract
from derivkit.checking.directions import Measured, joint, line_along, only, settle, slope_size, tolerance_of
from derivkit.checking.line import Line, rung
from derivkit.checking.problem import SMALL, Finding, Point, Problem, Task
from derivkit.errors import DerivkitError
from derivkit.numeric.finite_difference import RATIO, scales

#: At a kink, so many leaves, and rows of a leaf along each axis, are moved by themselves.
ROWS = 8
#: One-sided slopes are taken over a hair, or over as much as f's rounding asks for, but from near.
HAIR, NEAR = 1e-5, 0.03


def off_zeros(task: Task, problem: Problem) -> list[Measured]:
    """Return what is wrong along a direction that keeps every zero argument where it is: most kinks are there."""
    direction = joint(problem, np.random.default_rng([task.seed, 5]))
    masked = tuple(np.where(p == 0, 0.0, u) for p, u in zip(problem.point, direction, strict=True))
    if not any(np.any(u) for u in masked):
        return []
    line, residual = settle(task, problem, masked)
    return [(line, residual)] if residual.verdict == "wrong" and not residual.gap else []


def entries_alone(task: Task, problem: Problem) -> Iterator[Measured]:
    """Yield what is measured of single entries at a kink that do not fit: of all in a small problem, else of those that are 0.

    Many kinks met at once have a wide range of slopes, in which a fault at one of them is lost.
    """
    if problem.claims is None:
        return
    direction = joint(problem, np.random.default_rng([task.seed, 7]))
    small = sum(p.size for p in problem.point) <= SMALL
    asked = 0
    for k, p in enumerate(problem.point):
        for index in np.argwhere((direction[k] != 0) & (small | (p == 0)))[: SMALL - asked]:
            mask = np.zeros(p.shape, dtype=np.bool_)
            mask[tuple(index)] = True
            line = line_along(problem, only(direction, k, mask))
            asked += 1
            if not between(task, problem, line):
                yield settle(task, problem, line.direction)


def between(task: Task, problem: Problem, line: Line) -> bool:
    """Return whether the claim lies between the slopes on the two sides of the point, by two or four function values.

    Those are in the generalised gradient, so nothing more is to be asked; a smooth line has both at the claim.
    """
    size, _ = slope_size(problem, line.direction)
    noise = max(line.noise, line.unit * abs(line.base))
    step = max(line.finest, min(NEAR, max(HAIR, 1e4 * noise / size if size > 0 else 0.0)))
    near = rung(line, step)
    clean = tolerance_of(task, problem, line.direction) + 8 * near.rounding / step
    if _astride(near.forward, near.backward, clean):
        return True
    nearer = rung(line, RATIO * step)
    forward, backward = (
        (b - RATIO * a) / (1 - RATIO) for a, b in ((near.forward, nearer.forward), (near.backward, nearer.backward))
    )
    return _astride(forward, backward, clean + 16 * near.rounding / step)


def _astride(forward: float, backward: float, clean: float) -> bool:
    return min(forward, backward) <= clean and max(forward, backward) >= -clean


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


def moved_aside(task: Task, problem: Problem, attempt: int) -> tuple[Task, Problem] | None:
    """Return what there is to check a thousandth aside; ``None`` where that says nothing about the point."""
    rng = np.random.default_rng([task.seed, 2, attempt])
    moved = tuple(
        (p.astype(np.float64) + 1e-3 * u).astype(p.dtype) for p, u in zip(problem.point, joint(problem, rng), strict=True)
    )
    there = replace(task, leaves=tuple(replace(leaf, array=m) for leaf, m in zip(task.leaves, moved, strict=True)))
    try:
        other = contract(there, moved)
    except DerivkitError:
        return None
    if isinstance(other, Finding) or other.claims is None or problem.claims is None:
        return None
    if all(a is None or (b is not None and np.array_equal(a, b)) for a, b in zip(problem.claims, other.claims, strict=True)):
        return None  # a table for this point only, or a linear piece
    return there, replace(other, grain=max(other.grain, problem.grain), doubt=problem.doubt)


def outside(line: Line, problem: Problem, task: Task) -> tuple[float, float] | None:
    """Return the range of residual slopes around the point if the claim is not in it (Clarke, 1983, ch. 2).

    The one-sided slopes at the point are too narrow a range where convex and concave kinks meet, so slopes are taken
    at nearby points in many directions, until there are such on both sides of the claim.  Where f has none of them, the
    range is empty: from infinity to minus infinity.
    """
    rng = np.random.default_rng([task.seed, 3])
    coarse = line.finest > 1e-8
    offset, step = (0.02, 0.002) if coarse else (1e-5, 1e-7)
    size, _ = slope_size(problem, line.direction)
    around = [line.direction, tuple(-u for u in line.direction)] + [joint(problem, rng) for _ in range(30)]
    slopes: list[tuple[float, Point]] = []
    low, high, slack = math.inf, -math.inf, 0.0
    for direction in around:
        centre = tuple((p.astype(np.float64) + offset * u).astype(p.dtype) for p, u in zip(line.point, direction, strict=True))
        above, below = (_departure(line, problem, centre, signed) for signed in (step, -step))
        if not math.isfinite(slope := (above - below) / (2 * step)):
            continue
        slopes.append((slope, centre))
        low, high = min(low, slope), max(high, slope)
        slack = 4 * line.unit * abs(line.base) / step + 20 * offset * max(size, high - low)
        if low - slack <= 0.0 <= high + slack:
            return None
    # Two values: one kink, the range is exact; more: several kinks, of which 32 samples may miss the extremes.  But a
    # step across a kink has a slope between the two as well: that is none of any point
    margin = 0.01 * (high - low)
    within = (centre for slope, centre in slopes if low + margin < slope < high - margin)
    if any(not _bend(line, problem, centre, step) > margin for centre in within):
        slack += 0.25 * (high - low)
    return None if low - slack <= 0.0 <= high + slack else (low, high)


def _bend(line: Line, problem: Problem, centre: Point, step: float) -> float:
    """Return by how much the slopes on the two sides of ``centre`` differ."""
    below, middle, above = (_departure(line, problem, centre, signed) for signed in (-step, 0.0, step))
    return abs(above + below - 2 * middle) / step


def _departure(line: Line, problem: Problem, centre: Point, step: float) -> float:
    """Return the function less the claim at ``step`` from ``centre`` along the line."""
    pairs = zip(centre, line.direction, strict=True)
    reached = tuple((c.astype(np.float64) + step * u).astype(c.dtype) for c, u in pairs)
    return line.value(reached) - problem.predict(tuple(r.astype(np.float64) - c for r, c in zip(reached, centre, strict=True)))
