"""Central differences at one step, two function values each: good enough once a ladder has certified their sum.

A ladder along every entry would cost ten values an entry.  One step has no error bar of its own, but what it says of
the parts must add up to what ladders say of random mixtures of them: no part can be off by more than the mixture is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from derivkit.checking.directions import line_along, only, tolerance_of
from derivkit.checking.line import Line, Rung, rung
from derivkit.checking.problem import COARSE, Floats, Problem, Task, norm
from derivkit.checking.residual import Residual
from derivkit.numeric.finite_difference import RATIO, derivative, scales

#: Steps relative to the arguments: truncation and rounding are both near 1e-10 at the first, far folds ask for the second.
STEPS = (1e-5, 1e-7)
#: What does not add up to this share is left to ladders, and so is an entry known to a lower share than SHARE.
FITS, SHARE = 1e-7, 1e-3
#: The parts of a fault are known to this share of it, or a hypothesis could explain what is only truncation.
FINE = 1e-4
#: One-sided slopes that differ by more than this share at a hundred-thousandth of the argument are a kink's.
BENT = 1e-2
#: A residual so many times what a right one may be is no truncation.
SURE = 1e3

Direction = tuple[Floats, ...]


def trusted(problem: Problem) -> bool:
    """Return whether F is smooth enough to its last digits for one step to say anything."""
    return problem.unit <= COARSE and problem.noise <= 1e-12 * max(abs(problem.base), 1e-300)


def along(problem: Problem, direction: Direction, step: float) -> tuple[float, float]:
    """Return the residual along a direction by one central difference, and what rounding does to it."""
    found = rung(line_along(problem, direction), step)
    return found.central, 2 * found.rounding / step


def blamed(task: Task, problem: Problem, wrong: tuple[Line, Residual]) -> list[int] | None:
    """Return the leaves that make up a joint direction's residual; ``None`` where the parts do not add up to it."""
    line, whole = wrong
    moving = [k for k, u in enumerate(line.direction) if np.any(u)]
    if not trusted(problem) or len(moving) < sum(c is not None for c in problem.claims or ()):
        return None
    parts = {k: only(line.direction, k) for k in moving}
    found = {k: along(problem, part, STEPS[0]) for k, part in parts.items()}
    rounding = sum(r for _, r in found.values())
    doubt = max(abs(sum(value for value, _ in found.values()) - whole.value), whole.error_bar)
    if not doubt <= FITS * whole.scale + rounding:
        return None
    blame = []
    for k, (value, own) in found.items():
        clean = tolerance_of(task, problem, parts[k]) + 4 * own
        if abs(value) <= clean:
            continue
        nearer, own = along(problem, parts[k], RATIO * STEPS[0])
        if abs(nearer) <= 0.1 * abs(value):  # it falls with the square of the step: truncation
            continue
        if abs(nearer) > clean + 4 * own + doubt:
            blame.append(k)
    return blame


def entries(
    problem: Problem, k: int, units: Floats, rng: np.random.Generator, ladder: Callable[[Direction], tuple[float, float]]
) -> tuple[Floats, Floats] | None:
    """Return the slopes of F along each entry of leaf ``k`` moved by its unit, and bars; ``None`` where they do not add up.

    ``ladder`` measures a direction closely: two random mixtures, and entries far smaller than those.
    """
    claim = (problem.claims or ())[k]
    if claim is None or not trusted(problem) or units.size < 3:
        return None
    zero = tuple(np.zeros(p.shape) for p in problem.point)

    def moved(weights: Floats) -> Direction:
        return (*zero[:k], np.asarray(weights * units), *zero[k + 1 :])

    mixtures = [rng.choice([-1.0, 1.0], units.shape) * rng.uniform(0.5, 1.5, units.shape) for _ in range(2)]
    told = [ladder(moved(w)) for w in mixtures]
    size = max(abs(value) for value, _ in told)
    if not all(bar <= FITS * size for _, bar in told):
        return None
    step = min(STEPS, key=lambda h: abs(_slope(problem, moved(mixtures[0]), h)[0] - told[0][0]))
    singles = [moved(np.reshape(np.arange(units.size) == i, units.shape)) for i in range(units.size)]
    values, rounding, bends = np.array([_slope(problem, single, step) for single in singles]).T
    if not np.all(np.isfinite(values)):
        return None
    doubt = max(max(abs(float(w.ravel() @ values) - value), bar) for w, (value, bar) in zip(mixtures, told, strict=True))
    fault = norm(values - (claim * units).ravel())
    if doubt > min(FITS * norm(values) + norm(rounding), FINE * fault):
        return None
    bars = 2 * doubt + rounding
    share = np.abs(claim * units).ravel()
    blunt = (bars > SHARE * np.maximum(np.abs(values), share)) & (np.maximum(np.abs(values), share) > 4 * rounding)
    for i in np.flatnonzero(blunt & (bends == 0)):
        values[i], bars[i] = ladder(singles[i])
    return values, np.maximum(bars, bends / 8)  # at a kink any slope between the two may be meant: five bars are half the gap


def columns(f: Callable[[Floats], Floats], x: Floats, rng: np.random.Generator) -> tuple[Floats, Floats] | None:
    """Return the Jacobian of ``f`` by one difference for each column, and its bars; ``None`` where the columns do not add up."""
    size = scales(x)
    mixtures = [rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.5, x.shape) for _ in range(2)]
    told = [derivative(f, x, weights * size) for weights in mixtures]
    found = []
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += STEPS[0] * size[index]
        below[index] -= STEPS[0] * size[index]
        try:
            found.append((f(above) - f(below)) / (above[index] - below[index]))
        except (ArithmeticError, ValueError, RuntimeWarning):
            return None
    moved = np.stack(found, -1) * size.ravel()
    doubt = np.max([np.abs(moved @ w.ravel() - value) + bar for w, (value, bar) in zip(mixtures, told, strict=True)], axis=0)
    if not np.all(doubt <= FITS * max(float(np.max(np.abs(value))) for value, _ in told)):
        return None
    shape, bars = moved.shape[:-1] + x.shape, 2 * doubt[..., None] / size.ravel()
    return np.reshape(np.stack(found, -1), shape), np.reshape(bars, shape)


def bend(problem: Problem, direction: Direction, found: Rung | None = None) -> float:
    """Return the difference of the slopes to both sides, where it is a kink's and neither rounding nor plain curvature."""
    found = found or rung(line_along(problem, direction), STEPS[0])
    claimed, gap = problem.predict(direction), abs(found.forward - found.backward)
    size = max(abs(found.forward + claimed), abs(found.backward + claimed))
    return gap if gap > BENT * size + 8 * found.rounding / found.step else 0.0


def _slope(problem: Problem, direction: Direction, step: float) -> tuple[float, float, float]:
    found = rung(line_along(problem, direction), step)
    return found.central + problem.predict(direction), 2 * found.rounding / step, bend(problem, direction, found)


def faulty(task: Task, problem: Problem, step: float, doubt: float, direction: Direction) -> bool:
    """Return whether the claim is wrong along a direction by one difference or two; for the whole those are off by ``doubt``."""
    value, rounding = along(problem, direction, step)
    clean = tolerance_of(task, problem, direction) + 2 * doubt
    if not abs(value) > clean + 4 * rounding:
        return False
    if abs(value) > SURE * (clean + 4 * rounding):
        return True
    limit, rounding, truncation = nearer(problem, direction, step, value)
    return abs(limit) > clean + 4 * rounding + 0.1 * truncation


def nearer(problem: Problem, direction: Direction, step: float, value: float) -> tuple[float, float, float]:
    """Return the limit of ``value``, known at ``step``, by another difference, what rounding does to it, and its truncation."""
    again, rounding = along(problem, direction, RATIO * step)
    limit = (again - RATIO**2 * value) / (1 - RATIO**2)
    return limit, 1.2 * rounding, abs(again - limit)
