"""Along which lines a claim is measured, and the verdict on one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.line import Line, rung
from derivkit.checking.problem import COARSE, GRANTED, Floats, Problem, Task, norm
from derivkit.checking.residual import Residual, measure
from derivkit.numeric.finite_difference import ladder, scales

#: No rounding, not even of float16, takes this share of a gradient's norm.
SURE = 0.3
#: Of more entries than these, the ones with small slopes get no direction of their own.
MANY = 10_000


def joint(problem: Problem, rng: np.random.Generator) -> tuple[Floats, ...]:
    """Return a direction that shows every entry, in its own unit: |x| · random sign · uniform(0.5, 1.5)."""
    unclaimed = [c is None for c in problem.claims] if problem.claims is not None else [False] * len(problem.point)
    result = []
    for p, skip in zip(problem.point, unclaimed, strict=True):
        sign, size = rng.choice([-1.0, 1.0], p.shape), rng.uniform(0.5, 1.5, p.shape)
        result.append(np.zeros(p.shape) if skip else np.asarray(scales(p.astype(np.float64)) * sign * size))
    return tuple(result)


def only(direction: tuple[Floats, ...], position: int, mask: NDArray[np.bool_] | None = None) -> tuple[Floats, ...]:
    """Return the direction with all but one leaf, or a masked part of that leaf, held still."""
    kept = [np.zeros_like(u) for u in direction]
    kept[position] = direction[position] if mask is None else np.where(mask, direction[position], 0.0)
    return tuple(kept)


def directions(task: Task, problem: Problem) -> Iterator[tuple[Floats, ...]]:
    """Yield two joint directions, one for each leaf that hides in them, and one for all entries that hide in their leaf."""
    rng = np.random.default_rng([task.seed, 1])
    first, second = joint(problem, rng), joint(problem, rng)
    yield first
    yield second
    if problem.claims is None:
        yield from (only(first, k) for k in range(len(first)) if len(first) > 1)
        return
    shares = [np.zeros_like(u) if c is None else np.abs(c * u) for c, u in zip(problem.claims, first, strict=True)]
    total = norm(np.array([norm(s) for s in shares]))
    hidden = [k for k, s in enumerate(shares) if np.any(first[k]) and norm(s) < 1e-2 * total]
    if sum(bool(np.any(u)) for u in first) > 1:
        yield from (only(second, k) for k in hidden)
    if sum(s.size for s in shares) > MANY:
        return  # among so many, some slopes are zero by chance, and a fault in them that can be seen, the joint ones show
    typical = total / math.sqrt(max(1, sum(s.size for s in shares)))
    small = tuple(np.where(s < 1e-5 * typical, u, 0.0) for s, u in zip(shares, first, strict=True))
    covered = [k for k, u in enumerate(small) if np.any(u) and k not in hidden]
    if covered and total > 0:
        yield tuple(u if k in covered else np.zeros_like(u) for k, u in enumerate(small))


def line_along(problem: Problem, direction: tuple[Floats, ...]) -> Line:
    """Return the line through the point along ``direction``."""
    return Line(problem.value, problem.predict, problem.point, direction, problem.base, problem.unit, problem.noise)


def slope_size(problem: Problem, direction: tuple[Floats, ...]) -> tuple[float, float]:
    """Return the 2-norm and the 1-norm of the claimed slopes: scales that do not cancel as their sum does."""
    if problem.claims is None:
        slope = abs(problem.predict(direction))
        return slope, slope
    slopes = [np.abs(c * u).ravel() for c, u in zip(problem.claims, direction, strict=True) if c is not None]
    every = np.concatenate(slopes)
    return norm(every), float(np.sum(every))


def tolerance_of(task: Task, problem: Problem, direction: tuple[Floats, ...]) -> float:
    """Return how far a right claim may be off along ``direction``, by its own rounding and by what the caller grants."""
    size, mass = slope_size(problem, direction)
    return max(task.rtol, GRANTED, 128 * problem.grain) * size + 4 * problem.grain * mass


def settle(task: Task, problem: Problem, direction: tuple[Floats, ...], slack: float = 0.0) -> tuple[Line, Residual]:
    """Measure one direction; where it leaves f's domain on both sides, try the one that grows every |x|.

    ``slack`` is added to the tolerance.
    """
    size, _ = slope_size(problem, direction)
    tolerance = tolerance_of(task, problem, direction) + slack
    line = line_along(problem, direction)
    result = measure(line, size, tolerance)
    if math.isinf(result.error_bar):
        growing = tuple(np.abs(u) * np.where(p < 0, -1.0, 1.0) for u, p in zip(direction, problem.point, strict=True))
        line = line_along(problem, growing)
        result = measure(line, size, tolerance)
    # A part whose full-size change moves F by less than F's own rounding, inside a gradient that is settled otherwise.
    partial = sum(bool(np.any(u)) for u in direction) < len(direction) or any(np.any(u == 0) for u in direction)
    invisible = result.verdict == "unclear" and not result.gap and partial and size <= 1e3 * result.noise
    if invisible and abs(result.value) <= 2 * result.error_bar + tolerance:
        result = replace(result, verdict="ok")
    doubtful = min(problem.doubt * tolerance, max(tolerance, SURE * size)) + 5 * result.error_bar
    if result.verdict == "wrong" and abs(result.value) <= doubtful and problem.doubt > 1:
        result = replace(result, verdict="unclear")
    if result.verdict == "wrong" and problem.unit > COARSE and _contested(line, result, size):
        result = replace(result, verdict="unclear")
    return line, result


def _contested(line: Line, found: Residual, size: float) -> bool:
    """Return whether the claim is right on one side of the point, at some short step.

    In low precision a kink may be nearer than any step that rises above the rounding.  All longer steps then agree on a
    wrong slope, and only the side without the kink shows that the claim is right.
    """
    for step in ladder(0.03, max(1e-3, line.finest)):
        if 4 * found.noise / step > 0.3 * abs(found.value):
            return False  # from here on, everything agrees with everything
        short = rung(line, step)
        if min(abs(short.forward), abs(short.backward)) <= 4 * found.noise / step + 3e-3 * size:
            return True
    return False
