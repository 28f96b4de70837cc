"""What is measured of a leaf that is known to be wrong: whose fault, its true entries or slopes, the worst entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from derivkit.checking import quick
from derivkit.checking.calls import Spent
from derivkit.checking.diagnose import wrong_part
from derivkit.checking.directions import Direction, Measured, joint, levels, line_along, only, settle, slope_size
from derivkit.checking.measured import Evidence
from derivkit.checking.problem import COARSE, SMALL, Floats, Problem, Task, typical, unalarmed
from derivkit.checking.report import Entry, Leaf
from derivkit.checking.residual import glance, measure
from derivkit.checking.trees import rebuild
from derivkit.numeric.finite_difference import jacobian, scales

#: Of up to so many entries each gets a ladder of its own, where single differences do not do.
LADDERS = 40
#: Among so many leaves each is asked whether it is wrong; among more, halves and halves of those.
FEW = 48
#: Steps at which one difference may tell which parts are wrong, and to which share it must be as a ladder says.
PROBES, CLEAR = (1e-4, 1e-3, 1e-2, 0.1), 0.1
#: A Jacobian of up to so many columns gets a ladder for each.
FEWEST = 6
#: A slope takes about so many function values by a ladder, and this many by a single step.
LADDER, STEP = 12, 2
#: Further wrong leaves are not diagnosed once the check has taken so many function values.
ENOUGH = 300


def blamed(task: Task, problem: Problem, wrong: Sequence[Measured], rng: np.random.Generator) -> list[int]:
    """Return the leaves whose own part of the claim is wrong; none if that cannot be told.

    A ``wrong`` line that moves one leaf alone has told already.
    """
    told = {moved[0] for line, _ in wrong if len(moved := [k for k, u in enumerate(line.direction) if np.any(u)]) == 1}
    moving = [k for k, c in enumerate(problem.claims or ()) if c is not None]
    direction = fresh = joint(problem, rng)
    seen = wrong[0][0].direction
    if all(np.any(seen[k]) for k in moving):
        direction = seen  # it keeps off the kinks, where there are any
    found: list[int] | None = None
    if len(moving) <= 1:
        return moving
    with suppress(Spent):
        if len(moving) <= FEW and not told:
            found = quick.blamed(task, problem, wrong[0])
        if not found:
            found, groups = list(told), levels(task, problem, direction)
            if len(moving) > FEW and alike(problem, wrong[0], [fresh, *(together for _, together in groups)]):
                return moving
            for leaves, together in groups:
                parts_at_fault(task, problem, [k for k in leaves if k not in told], together, found)
    return sorted(found or ())


def alike(problem: Problem, wrong: Measured, directions: Sequence[Direction]) -> bool:
    """Return whether the whole claim is one multiple of the truth, as far as any of the directions shows."""
    line, r = wrong
    if abs(r.claimed) <= 0.01 * r.scale or abs(r.value) <= 1e-6 * r.scale or not all(np.any(u) for u in line.direction):
        return False
    ratio, doubt = 1 + r.value / r.claimed, r.error_bar / abs(r.claimed)
    for direction in directions:
        claimed = problem.predict(direction)
        value, bar = slope(problem, direction)
        if abs(value - ratio * claimed) > 5 * (bar + doubt * abs(claimed)) + 1e-7 * slope_size(problem, direction)[0]:
            return False
    return True


def parts_at_fault(task: Task, problem: Problem, leaves: list[int], direction: Direction, found: list[int]) -> None:
    """Add to ``found`` those of the leaves along whose part of the direction the claim is wrong: halves of halves are asked."""

    def part(some: Sequence[int]) -> Direction:
        return tuple(u if k in some else 0 * u for k, u in enumerate(direction))

    rest = leaves
    while rest and (faulty := prober(task, problem, part(rest))) is not None:
        before, groups = len(found), [rest]
        while groups:
            whole = groups.pop(0)
            if len(whole) == 1:  # rounding piles up in a part, too: where there is much of it, a ladder must agree
                if quick.trusted(problem) or wrong_along(task, problem, part(whole)):
                    found += whole
                continue
            middle = len(whole) // 2
            try:
                groups += [half for half in (whole[:middle], whole[middle:]) if faulty(part(half))]
            except Spent:  # something in these is wrong: nobody knows what
                found += [k for group in (whole, *groups) for k in group] if quick.trusted(problem) else []
                raise
        if len(found) == before:
            return
        rest = [k for k in rest if k not in found]  # a slight fault may have been lost beside large ones


def prober(task: Task, problem: Problem, whole: Direction) -> Callable[[Direction], bool] | None:
    """Return what tells whether the claim is wrong along a part of a direction; ``None`` if it is not along the whole.

    By one difference or two for each part, where those show for the whole what a ladder does; else by ladders.
    """
    r = settle(task, problem, whole, brief=True)[1]
    if r.gap:
        return partial(wrong_along, task, problem)
    if r.verdict != "wrong":
        return None
    for step in PROBES:
        limit, rounding, _ = quick.nearer(problem, whole, step, quick.along(problem, whole, step)[0])
        doubt = abs(limit - r.value) + r.error_bar
        if doubt + 2 * rounding <= CLEAR * abs(r.value):
            return partial(quick.faulty, task, problem, step, doubt)
    return partial(wrong_along, task, problem)


def wrong_along(task: Task, problem: Problem, direction: Direction) -> bool:
    """Return whether the claim is wrong along a direction, if need be without the arguments that are 0.

    Most kinks are there, where a claim that is no mean of both sides may be right.
    """
    found = settle(task, problem, direction)[1]
    still = tuple(np.where(p != 0, u, 0.0) for p, u in zip(problem.point, direction, strict=True))
    if found.gap and any(np.any(u) for u in still):
        found = settle(task, problem, still)[1]
    return found.verdict == "wrong" and not found.gap


def slope(problem: Problem, direction: tuple[Floats, ...]) -> tuple[float, float]:
    """Return the true slope of F along ``direction`` and its bar."""
    line = line_along(problem, direction)
    if (smooth := glance(line)) is not None:
        return smooth
    # no tolerance, so that nothing counts as agreement: the claim is in doubt, and must not choose which steps are believed
    r = measure(line, slope_size(problem, direction)[0], -math.inf)
    return r.value + r.claimed, r.error_bar


def evidence_of(task: Task, problem: Problem, k: int, rng: np.random.Generator) -> Evidence:
    """Measure leaf ``k``: a small one entry by entry, a large one along six directions, or as many as may be."""
    claims = problem.claims or ()
    claim = claims[k]
    if claim is None:
        raise AssertionError("an unclaimed leaf cannot be blamed")
    point = problem.point[k].astype(np.float64)
    if problem.jacobians and point.size <= SMALL and problem.output.size * point.size <= SMALL**2:
        return _jacobian_evidence(task, problem, k, rng)
    size = scales(point)
    if problem.unit > COARSE:  # wide steps rise above the rounding
        size = 4 * np.maximum(size, np.median(size))
    zero = tuple(np.zeros(p.shape) for p in problem.point)
    found = None
    if claim.size <= SMALL and STEP * claim.size + 3 * LADDER <= task.calls.left:
        found = quick.entries(problem, k, size, rng, lambda u: slope(problem, u))
    if found is not None or (claim.size <= LADDERS and LADDER * claim.size <= task.calls.left):
        rows, directions = None, [np.where(np.arange(claim.size) == i, size.ravel(), 0.0) for i in range(claim.size)]
        units = size.ravel()
    else:
        rows = np.stack([joint(problem, rng)[k].ravel() for _ in range(max(2, min(6, task.calls.left // LADDER)))])
        directions, units = list(rows), np.ones(len(rows))
    if found is None:
        measured = []
        with suppress(Spent):
            for u in directions:
                measured.append(slope(problem, (*zero[:k], u.reshape(claim.shape), *zero[k + 1 :])))
        if len(measured) < len(directions):  # a few random directions do, but all entries are needed
            if rows is None or len(measured) < 2:
                raise Spent
            rows, units = rows[: len(measured)], units[: len(measured)]
        found = np.array([m[0] for m in measured]), np.array([m[1] for m in measured])
        for i in np.flatnonzero(point == 0) if rows is None else ():  # most kinks are at 0, where any slope between may be meant
            kinked = (*zero[:k], directions[i].reshape(claim.shape), *zero[k + 1 :])
            found[1][i] = max(found[1][i], quick.bend(problem, kinked) / 8)
    values, bars = found[0] / units, found[1] / units
    others = tuple(c for j, c in enumerate(claims) if j != k and c is not None)
    base = joint(problem, rng)

    known: dict[bytes, bool] = {}  # several suspects bisect the same leaf

    probe: list[Callable[[Direction], bool] | None] = []

    def wrong_on(mask: NDArray[np.bool_]) -> bool:
        key = np.packbits(mask).tobytes()
        if not probe:
            probe.append(prober(task, problem, only(base, k)))
        if key not in known:
            known[key] = probe[0] is not None and probe[0](only(base, k, mask))
        return known[key]

    bars = np.where(np.isfinite(bars), bars, np.max(bars[np.isfinite(bars)], initial=0.0))
    if problem.grain > COARSE:  # the claim's own rounding is no fault
        known_values = values[np.isfinite(values)]
        bars = bars + 16 * problem.grain * (np.abs(np.where(np.isfinite(values), values, 0.0)) + typical(known_values))
    values, own = np.where(np.isfinite(values), values, 0.0), None if rows is not None else units
    return Evidence(task.leaves[k].name, k, claim, point, rows, values, bars, others, wrong_on, own)


def _jacobian_evidence(task: Task, problem: Problem, k: int, rng: np.random.Generator) -> Evidence:
    """Measure a whole Jacobian: its own rows and columns say more than their contraction with one cotangent."""

    def alone(x: Floats) -> Floats:
        task.calls.one_more()
        reached = tuple(x.astype(p.dtype) if j == k else p for j, p in enumerate(problem.point))
        return np.asarray(unalarmed(task.f, *rebuild(task.args, task.leaves, reached)), dtype=np.float64)

    at = problem.point[k].astype(np.float64)
    truth, bars = (quick.columns(alone, at, rng) if at.size > FEWEST and quick.trusted(problem) else None) or jacobian(alone, at)
    every = [np.asarray(j, dtype=np.float64) for j in problem.jacobians if j is not None]
    claim = np.asarray(problem.jacobians[k], dtype=np.float64)
    others = tuple(j for j in every if j.shape == claim.shape and not np.array_equal(j, claim))
    function = getattr(task.f, "__name__", "f").replace("<lambda>", "f")
    name = f"d({function})/d({task.leaves[k].name})"
    moved = np.abs(truth) * scales(problem.point[k].astype(np.float64))
    largest = np.max(moved, axis=tuple(range(problem.output.ndim, truth.ndim)), keepdims=True)
    units = np.where(largest > 0, scales(problem.point[k].astype(np.float64)) / np.where(largest > 0, largest, 1.0), 1.0)
    return Evidence(name, k, claim, np.zeros(0), None, truth.ravel(), bars.ravel(), others, lambda mask: True, units.ravel())


def every_entry(case: Evidence) -> Leaf:
    """Return all entries of a leaf that was measured entry by entry."""
    yours, measured, bars = (tuple(float(n) for n in np.ravel(a)) for a in (case.claim, case.measured, case.bars))
    return Leaf(case.name, case.claim.shape, yours, measured, bars)


def evidence_for(
    task: Task, problem: Problem, blame: Sequence[int], rng: np.random.Generator
) -> tuple[list[int], list[Evidence]]:
    """Measure the first of the blamed leaves, and up to three more as long as that is cheap; return who is to blame, and why.

    Where no leaf could be blamed all are suspected, and one that comes out right is cleared if another does not.
    """
    suspects = list(blame) or [k for k, c in enumerate(problem.claims or ()) if c is not None]
    cases: list[Evidence] = []
    with suppress(Spent):
        for k in suspects[:4]:
            if task.calls.made < ENOUGH or not (cases and (blame or cases[-1].convicts())):
                cases.append(evidence_of(task, problem, k, rng))
    convicted = [case for case in cases if blame or case.convicts()] or cases
    cleared = {case.position for case in cases} - {case.position for case in convicted}
    return [k for k in suspects if k not in cleared], convicted


def worst_entries(task: Task, problem: Problem, case: Evidence, code: str) -> list[Entry]:
    """Return the worst entries of a small leaf, and of a large one those that bisection found."""
    if case.rows is None:
        order = np.argsort(-np.abs(case.claim.ravel() - case.measured), kind="stable")
        wrong = case.misses().ravel()
        chosen = [(int(i), float(case.measured[i]), float(case.bars[i])) for i in order if wrong[i]][:16]
    else:
        part = None
        with suppress(Spent):
            part = wrong_part(case) if code in ("few-entries", "block") else None
        indices = np.flatnonzero(part)[:16] if part is not None else np.array([int(np.argmax(np.abs(case.claim)))])
        chosen = []
        with suppress(Spent):
            for i in indices:
                size = float(scales(case.point).ravel()[i])
                direction = only(tuple(np.full(p.shape, size) for p in problem.point), case.position)
                single = tuple(np.where(np.arange(u.size).reshape(u.shape) == i, u, 0.0) for u in direction)
                value, bar = slope(problem, single)
                chosen.append((int(i), value / size, bar / size))
    shape, flat = case.claim.shape, case.claim.ravel()
    return [Entry(case.name, tuple(int(n) for n in np.unravel_index(i, shape)), float(flat[i]), v, b) for i, v, b in chosen]
