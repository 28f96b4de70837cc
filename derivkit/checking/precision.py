"""Low precision: f measured with float64 copies of its arguments, where it takes them and then really computes in float64.

A float32 value hides whatever is smaller than its rounding; the same function in float64 hides nothing, and a float32
gradient can be held against it to float32 accuracy.  Where the gradient, too, computes in float64, it is judged there,
and the float32 one must be its rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from derivkit.checking.contract import contract, scalar
from derivkit.checking.directions import joint, line_along, only, slope_size
from derivkit.checking.line import Line
from derivkit.checking.problem import COARSE, Array, Floats, Problem, Task, output_of, typical, unalarmed
from derivkit.checking.residual import Residual, measure
from derivkit.checking.trees import rebuild
from derivkit.errors import DerivkitError

#: A move of the arguments that float32 (and anything coarser) rounds away: a function that computes in float64 sees it.
_HAIR = 1e-8
_DOUBT = 10.0
#: A sum over a batch loses so many epsilons of a typical one.
SUMMED = 64.0
_EPS = float(np.finfo(np.float64).eps)
#: Rounding to float32 leaves a claim off by its epsilon at most; a few hundredths of that, where they are measured, show it.
_CAST, _SHOWN = float(np.finfo(np.float32).eps), 1e-10
#: Numbers of so few bits fit in float32 without having been rounded to it.
_FEW_BITS = 12


def widened(task: Task, problem: Problem) -> tuple[Task, Problem] | None:
    """Return the task with float64 copies of its arguments, and the same claims against f there; ``None`` if f forbids it."""
    if problem.grain <= COARSE or all(p.dtype == np.float64 for p in problem.point):
        return None
    point = tuple(p.astype(np.float64) for p in problem.point)
    there = replace(task, leaves=tuple(replace(leaf, array=p) for leaf, p in zip(task.leaves, point, strict=True)))
    task.calls.one_more()
    try:
        with np.errstate(all="ignore"):
            output = output_of(there, unalarmed(task.f, *rebuild(task.args, there.leaves, point))).astype(np.float64)
    except Exception:  # whatever f says about arguments that nobody gave it: it does not take them
        return None
    if output.shape != problem.output.shape:
        return None
    weights = problem.cotangent.astype(np.float64)
    base = float(np.sum(weights * output))
    mass = float(np.sum(np.abs(weights * output)))
    if not math.isfinite(base) or abs(base - problem.base) > math.sqrt(problem.grain) * mass:
        return None
    wide = replace(problem, value=scalar(there, weights), point=point, base=base, unit=_EPS, doubt=_DOUBT)
    return (there, wide) if _follows(task, wide, mass) else None


def _follows(task: Task, wide: Problem, mass: float) -> bool:
    """Return whether F moves in proportion with moves that low precision would round away, leaf by leaf."""
    direction = joint(wide, np.random.default_rng([task.seed, 6]))
    seen = False
    for k, u in enumerate(direction):
        part = only(direction, k)
        expected = abs(wide.predict(tuple(_HAIR * v for v in part)))
        if not np.any(u) or expected < 1e3 * _EPS * mass:
            continue
        once, twice = (
            wide.value(tuple(p + n * _HAIR * v for p, v in zip(wide.point, part, strict=True))) - wide.base for n in (1, 2)
        )
        if not abs(twice - 2 * once) <= 0.2 * max(abs(once), expected):
            return False
        seen = seen or once != 0
    return seen


def exact(there: Task) -> Problem | None:
    """Return the problem of f and the claim, both evaluated in float64; ``None`` where the claim does not go along."""
    try:
        problem = contract(there, tuple(leaf.array for leaf in there.leaves))
    except DerivkitError:
        return None
    if not isinstance(problem, Problem) or problem.grain > COARSE or problem.claims is None:
        return None
    return None if _cast(there, problem) else problem  # low precision within, handed over in float64, is no second opinion


def _cast(there: Task, problem: Problem) -> bool:
    """Return whether a claim in float64 has but the digits of float32, here and where the arguments have more than those."""
    if not _short(problem.claims or ()):
        return False
    moved = tuple(
        p + 1e-3 * u for p, u in zip(problem.point, joint(problem, np.random.default_rng([there.seed, 8])), strict=True)
    )
    try:
        aside = contract(replace(there, errstate={}), moved)
    except DerivkitError:
        return True
    return not isinstance(aside, Problem) or _short(aside.claims or ())


def casts(task: Task, problem: Problem) -> list[tuple[int, Line, Residual]]:
    """Return the leaves whose claim is right only to float32, all its numbers being such, and what shows it.

    Where f is coarser, or the numbers are exact (data that came in float32), nothing is off and nothing is found.
    """
    found: list[tuple[int, Line, Residual]] = []
    if problem.grain > COARSE or problem.claims is None:
        return found
    rng = np.random.default_rng([task.seed, 10])
    both = joint(problem, rng), joint(problem, rng)  # along one, roundings may cancel
    for k, numbers in enumerate(problem.jacobians or problem.claims):
        if numbers is None or not _rounded(numbers) or task.rtol > 0:
            continue
        shown = (seen for direction in both if (seen := _off(problem, only(direction, k))) is not None)
        found += [(k, *seen) for seen in islice(shown, 1)]
    return found


def _off(problem: Problem, direction: tuple[Floats, ...]) -> tuple[Line, Residual] | None:
    """Measure a claim as closely as f allows; return what is off if it is no more than float32's rounding."""
    size, mass = slope_size(problem, direction)
    line = line_along(problem, direction)
    r = measure(line, size, _SHOWN * size + 4 * problem.grain * mass)
    far = r.verdict == "wrong" and not r.gap and 10 * r.error_bar <= abs(r.value) <= _CAST * size
    return (line, r) if far else None


def _rounded(numbers: Array) -> bool:
    """Return whether all numbers fit in float32, and one at least needs most of its bits."""
    with np.errstate(over="ignore"):
        fit = np.array_equal(numbers.astype(np.float32), numbers)
    fraction = np.ldexp(np.frexp(numbers.astype(np.float64))[0], _FEW_BITS)
    return fit and bool(np.any(fraction != np.rint(fraction)))


def _short(claims: Sequence[Floats | None]) -> bool:
    with np.errstate(over="ignore"):
        return all(np.array_equal(c.astype(np.float32), c) for c in claims if c is not None)


def departure(problem: Problem, precise: Problem) -> float:
    """Return how far the claims of low precision are from those in float64, at the worst entry, relative to that entry.

    What rounding does to the sum that an entry is, in proportion to its leaf's typical entry, does not count: an entry far
    below that has few digits left.
    """
    worst = 0.0
    for low, high in zip(problem.claims or (), precise.claims or (), strict=True):
        if low is not None and high is not None:
            off = np.maximum(np.abs(low - high) - SUMMED * problem.grain * typical(high), 0.0)
            worst = max(worst, float(np.max(np.where(off > 0, off / np.maximum(np.abs(high), 1e-300), 0.0))))
    return worst
