"""Along which lines a claim is measured, and the verdict on one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
#: A leaf with a lower share than this of the slopes hides in a joint direction.
HIDES = 1e-2
#: Leaves that hide are measured together from one of these floors to the next, in units of f's rounding: a slope is
#: known to about a hundred roundings, so one leaf's fault of 1e-6, 1e-4 or 1e-2 of itself shows.
FLOORS = (1e8, 1e6, 1e4)
#: What a claim is off by, in the mean over random directions, may be so many times larger along one of them; where the
#: caller grants a tolerance, that mean is taken over so many directions, and may be off by so much of it.
UNLIKELY, MEAN, LENIENT = 4.0, 8, 1.6

Direction = tuple[Floats, ...]
Measured = tuple[Line, Residual]


def joint(problem: Problem, rng: np.random.Generator) -> Direction:
    """Return a direction that shows every entry, in its own unit: |x| · random sign · uniform(0.5, 1.5)."""
    unclaimed = [c is None for c in problem.claims] if problem.claims is not None else [False] * len(problem.point)
    result = []
    for p, skip in zip(problem.point, unclaimed, strict=True):
        sign, size = rng.choice([-1.0, 1.0], p.shape), rng.uniform(0.5, 1.5, p.shape)
        result.append(np.zeros(p.shape) if skip else np.asarray(scales(p.astype(np.float64)) * sign * size))
    return tuple(result)


def only(direction: Direction, position: int, mask: NDArray[np.bool_] | None = None) -> Direction:
    """Return the direction with all but one leaf, or a masked part of that leaf, held still."""
    kept = [np.zeros_like(u) for u in direction]
    kept[position] = direction[position] if mask is None else np.where(mask, direction[position], 0.0)
    return tuple(kept)


def shares(problem: Problem, direction: Direction) -> list[Floats]:
    """Return the size of each entry's claimed slope along a direction, leaf by leaf."""
    return [np.zeros_like(u) if c is None else np.abs(c * u) for c, u in zip(problem.claims or (), direction, strict=True)]


def hidden(task: Task, problem: Problem, first: Direction, second: Direction) -> Iterator[Direction]:
    """Yield directions for the leaves that hide in the joint ones, and one for all entries that hide in their leaf."""
    if problem.claims is None:
        yield from (only(first, k) for k in range(len(first)) if len(first) > 1)
        return
    groups = levels(task, problem, second)[1:] if sum(bool(np.any(u)) for u in first) > 1 else []
    yield from (direction for _, direction in groups)
    sizes = shares(problem, first)
    if (count := sum(s.size for s in sizes)) > MANY:
        return  # among so many, some slopes are zero by chance, and a fault in them that can be seen, the joint ones show
    total = norm(np.array([norm(s) for s in sizes]))
    small = tuple(np.where(s < 1e-5 * total / math.sqrt(max(1, count)), u, 0.0) for s, u in zip(sizes, first, strict=True))
    shown = {k for leaves, _ in groups for k in leaves}
    covered = [k for k, u in enumerate(small) if np.any(u) and k not in shown]
    if covered and total > 0:
        yield tuple(u if k in covered else np.zeros_like(u) for k, u in enumerate(small))


def levels(task: Task, problem: Problem, direction: Direction) -> list[tuple[list[int], Direction]]:
    """Return the leaves by the size of their slopes, those that do not hide first, and a direction for each group.

    There the leaves that hide are moved so little that all their slopes are about as large as the least: each is seen as
    well as the others, and no two faults cancel.  What is below all floors is moved as far as it goes.
    """
    uneven = np.random.default_rng([task.seed, 10]).uniform(0.4, 1.0, len(direction))
    sizes = np.array([norm(s) for s in shares(problem, direction)])
    noise = max(problem.noise, problem.unit * abs(problem.base), 1e-300)
    bounds = [HIDES * norm(sizes), *(floor * noise for floor in FLOORS if floor * noise < HIDES * norm(sizes)), -1.0]
    moving = [k for k, u in enumerate(direction) if np.any(u)]
    found: list[tuple[list[int], Direction]] = []
    for bound, above in zip(bounds, (math.inf, *bounds), strict=False):
        group = [k for k in moving if bound <= sizes[k] < above]
        even = 0.0 < bound < bounds[0]
        least = min((float(sizes[k]) for k in group), default=0.0)
        factors = {k: uneven[k] * least / float(sizes[k]) if even else 1.0 for k in group}
        if group or not found:
            found.append((group, tuple(factors.get(k, 0.0) * u for k, u in enumerate(direction))))
    return found


def line_along(problem: Problem, direction: Direction) -> Line:
    """Return the line through the point along ``direction``."""
    return Line(problem.value, problem.predict, problem.point, direction, problem.base, problem.unit, problem.noise)


def slope_size(problem: Problem, direction: Direction) -> tuple[float, float]:
    """Return the 2-norm and the 1-norm of the claimed slopes: scales that do not cancel as their sum does."""
    if problem.claims is None:
        slope = abs(problem.predict(direction))
        return slope, slope
    slopes = [np.abs(c * u).ravel() for c, u in zip(problem.claims, direction, strict=True) if c is not None]
    every = np.concatenate(slopes)
    return norm(every), float(np.sum(every))


def tolerance_of(task: Task, problem: Problem, direction: Direction) -> float:
    """Return how far a right claim may be off along ``direction``, by its own rounding and by what the caller grants."""
    size, mass = slope_size(problem, direction)
    return max(UNLIKELY * task.rtol, GRANTED, 128 * problem.grain) * size + 4 * problem.grain * mass


def settle(task: Task, problem: Problem, direction: Direction, slack: float = 0.0, *, brief: bool = False) -> Measured:
    """Measure one direction; where it leaves f's domain on both sides, try the one that grows every |x|.

    ``slack`` is added to the tolerance; ``brief``: what agrees as far as f's rounding shows is settled.
    """
    size, _ = slope_size(problem, direction)
    tolerance = tolerance_of(task, problem, direction) + slack
    line = line_along(problem, direction)
    result = measure(line, size, tolerance, brief=brief)
    if math.isinf(result.error_bar):
        growing = tuple(np.abs(u) * np.where(p < 0, -1.0, 1.0) for u, p in zip(direction, problem.point, strict=True))
        line = line_along(problem, growing)
        result = measure(line, size, tolerance, brief=brief)
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


def relaxed(task: Task, problem: Problem, rng: np.random.Generator, joint_ones: Sequence[Measured]) -> Iterator[Measured]:
    """Yield further joint directions where the caller grants a tolerance that may be exceeded; "wrong" if in the mean it is.

    The mean square over random signs is the square of the norm of what the claim is off by; one direction may show any part.
    """
    found, strict = list(joint_ones), replace(task, rtol=0.0)
    line, r = found[-1]
    if tolerance_of(task, problem, line.direction) <= tolerance_of(strict, problem, line.direction):
        return

    def share(measured: Measured) -> float:
        return abs(measured[1].value) / max(slope_size(problem, measured[0].direction)[0], 1e-300)

    if max(map(share, found)) <= 0.1 * task.rtol:
        return
    while len(found) < MEAN:
        found.append(settle(task, problem, joint(problem, rng)))
        yield found[-1]
    line, r = max(found, key=share)
    sure = [max(0.0, share(one) * (1 - 5 * one[1].error_bar / max(abs(one[1].value), 1e-300))) for one in found]
    plain = tolerance_of(strict, problem, line.direction) / max(slope_size(problem, line.direction)[0], 1e-300)
    exceeded = norm(np.array(sure)) / math.sqrt(MEAN) > max(LENIENT * task.rtol, plain)
    if exceeded and not any(other.gap for _, other in found):
        yield line, replace(r, verdict="wrong")


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
