"""Where a joint direction is too blunt to show a slight fault of one entry: leaf by leaf, small leaves entry by entry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from derivkit.checking.directions import UNLIKELY, Measured, joint, only, settle, tolerance_of
from derivkit.checking.problem import COARSE, SMALL, Floats, Problem, Task, norm, typical
from derivkit.checking.residual import Residual
from derivkit.numeric.finite_difference import scales

#: A fault of this share of one entry must not pass.
VISIBLE = 0.01
#: In low precision, what is off by no more than its bar may hide a fault of this share of a typical entry.
FAINT = 0.003
#: Joint directions with a bar below this share show every entry worth the name.
SHARP = 1e-7
#: An entry of low precision loses its digits below this share of its leaf's typical entry, in units of the epsilon.
ROUNDING = 16.0
#: Entries of a large leaf are measured in groups of one size, at most so many in a group, and so many groups.
GROUP, GROUPS = 1024, 48


def resolve(task: Task, problem: Problem, joint_ones: Sequence[Residual]) -> Iterator[Measured]:
    """Yield what is measured beyond the joint directions: nothing where those show a fault of 1 % in any entry.

    A residual comes back "unclear" where even alone a leaf or an entry is not measured well enough to show that.
    """
    blunt = any(r.error_bar > SHARP * r.scale for r in joint_ones) or problem.grain > COARSE
    if problem.claims is None or not blunt or not any(c is not None and np.any(c) for c in problem.claims):
        return
    direction = joint(problem, np.random.default_rng([task.seed, 1]))
    bar = max(max(r.error_bar, abs(r.value)) for r in joint_ones)  # even what agrees may hide all that it is off by
    hidden = 3 * bar + tolerance_of(task, problem, direction)
    floor = negligible(joint_ones) if problem.unit <= COARSE else 0.0
    for k, claim in enumerate(problem.claims):
        if claim is None or not claim.size:
            continue
        shares = np.abs(claim * direction[k])
        demand = _demand(task, problem, shares)
        blind = (demand < hidden) | any(r.verdict == "unclear" for r in joint_ones)
        if not np.any(blind):
            continue
        if claim.size <= SMALL:
            yield from _entries(task, problem, k, blind, floor)
        else:
            yield from _groups(task, problem, direction, k, blind)


def negligible(joint_ones: Sequence[Residual]) -> float:
    """Return the slope below which a part of the claim is lost in the rounding of what F does over full-size moves."""
    return 1e-11 * max((r.scale for r in joint_ones), default=0.0)


def _invisible(problem: Problem, r: Residual, floor: float) -> float:
    """Return the residual that an entry may hide: in a saturated function a slope of some roundings is as good as known."""
    return max(floor, 1e4 * problem.unit * abs(problem.base), 1e-4 * r.scale) if problem.unit <= COARSE else 0.0


def _demand(task: Task, problem: Problem, shares: Floats) -> Floats:
    """Return the residual of each entry that must be seen: 1 % of it, and of a zero, a tenth of a typical entry."""
    rows = math.sqrt(problem.output.size) if problem.jacobians else 1.0
    return np.where(shares > 0, VISIBLE * shares / rows, 0.1 * typical(shares)) + UNLIKELY * task.rtol * norm(shares)


def _entries(
    task: Task, problem: Problem, k: int, blind: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], floor: float
) -> Iterator[Measured]:
    """Measure the blind entries of a small leaf one by one; in low precision with wide steps, as far as f takes them."""
    claim = problem.claims[k] if problem.claims is not None else None
    if claim is None:
        raise AssertionError("an unclaimed leaf has no entries")
    size = scales(problem.point[k].astype(np.float64))
    size = np.maximum(size, np.median(size))
    shares = np.abs(claim) * size
    rounding = ROUNDING * problem.grain * typical(shares) if problem.grain > COARSE else 0.0
    low = problem.unit > COARSE or problem.noise > 1e-10 * abs(problem.base)
    for index in np.argwhere(blind):
        mask = np.zeros(claim.shape, dtype=np.bool_)
        mask[tuple(index)] = True
        for stretch, brief in ((4.0, True), (4.0, False), (1.0, False)) if low else ((1.0, True), (1.0, False)):
            whole = tuple(np.full(p.shape, 0.0) for p in problem.point)
            direction = only((*whole[:k], np.asarray(stretch * size), *whole[k + 1 :]), k, mask)
            line, r = settle(task, problem, direction, slack=stretch * (rounding + floor), brief=brief)
            demand = stretch * float(_demand(task, problem, shares)[tuple(index)])
            reach = 3 * r.error_bar + tolerance_of(task, problem, direction) + stretch * rounding
            clear = reach <= max(demand, stretch * _invisible(problem, r, floor))
            if low and abs(r.value) <= r.error_bar:  # an entry far below its leaf's others may be below the rounding, too
                clear = clear or reach <= stretch * FAINT * typical(shares)
            if clear or r.verdict == "wrong":
                break
        if r.verdict == "ok" and not clear:
            r = replace(r, verdict="unclear")
        yield line, r


def _groups(
    task: Task,
    problem: Problem,
    direction: tuple[Floats, ...],
    k: int,
    blind: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> list[Measured]:
    """Measure a large leaf: alone where f is coarse; where it is not, entries of one size together, the large ones first."""
    claim = problem.claims[k] if problem.claims is not None else None
    if claim is None:
        raise AssertionError("an unclaimed leaf has no entries")
    shares = np.abs(claim * direction[k])
    size = typical(shares)
    if problem.unit > COARSE:
        line, r = settle(task, problem, only(direction, k))
        reach = 3 * r.error_bar + tolerance_of(task, problem, only(direction, k))
        unseen = reach > VISIBLE * size + UNLIKELY * task.rtol * norm(shares)
        return [(line, replace(r, verdict="unclear") if unseen and r.verdict == "ok" else r)]
    rounding = ROUNDING * problem.grain * size
    found = []
    for mask in _of_one_size(np.where(blind, shares, 0.0)):
        slack = rounding * math.sqrt(float(np.sum(mask)))
        found.append(settle(task, problem, only(direction, k, mask), slack=slack))
    return found


def _of_one_size(shares: Floats) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Yield masks of entries that differ by less than a factor of four, the largest first."""
    order = np.argsort(-shares.ravel(), kind="stable")
    ordered = shares.ravel()[order]
    start, made = 0, 0
    while start < order.size and ordered[start] > 1e-5 * typical(shares) and made < GROUPS:
        stop = min(start + GROUP, int(np.searchsorted(-ordered, -ordered[start] / 4, side="right")))
        mask = np.zeros(shares.size, dtype=np.bool_)
        mask[order[start:stop]] = True
        yield mask.reshape(shares.shape)
        start, made = stop, made + 1
