"""What is left of a claimed slope along one line: function values on a ladder of steps, and the verdict on them.

The residual is measured, not the slope: a right claim drives it to zero faster than the step, and the rounding of the
arguments cancels exactly, since the claim is taken at the displacement really made.

Nothing is called wrong on coarse steps alone.  An extrapolation stands only if every finer step agrees with it as far
as the function's own rounding lets it: a domain's edge, a kink or a fold that is nearer than the coarse steps shows there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.line import Line, Rung, narrowed, quantum, rung, scatter
from derivkit.numeric.finite_difference import LARGEST_STEP, RATIO, extrapolate, windows

Floats = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
#: The first look goes down this many rungs, each 0.29 of the one before; below, every third is enough.
QUICK, STRIDE = 5, 3
#: A claim that agrees to this share of the slopes' norm in the first look is settled.
SHARP = 1e-8
#: What agrees with a wider bar than this (a fault of 1e-5 might hide in it) is looked at on the whole ladder; in low precision.
FINE, CLOSE = 1e-6, 1e-3
#: A bar of so many roundings of f, divided by the step, is made by those.
ROUNDED = 8.0
#: One-sided slopes that differ by a lower share than this are measured again, at other steps.
FAINT = 1e-2
#: A function whose fine structure is lower than this share of a full-size move is noisy; higher, it is meant.
RIPPLE = 1e-3
#: A move that grows by more than this from one step to the next says nothing about the point (exp of a large number).
RUNAWAY = 1e5
#: Steps that start here are used when a full-size move of tiny arguments does not move the function.
WIDEST = 1e10


@dataclass(frozen=True, slots=True)
class Residual:
    """The measured slope minus the claimed one, along one line, extrapolated to step zero.

    ``verdict`` is "ok", "wrong" or "unclear"; ``scale`` is the slope that the bar was held against; ``gap`` is the
    difference of the one-sided slopes if it does not shrink with the step (a kink), else 0; ``noise`` the absolute
    error of one function value; ``rungs`` what was measured, step by step.
    """

    verdict: str
    value: float
    error_bar: float
    scale: float
    claimed: float
    noise: float
    gap: float = 0.0
    rungs: tuple[Rung, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """What the residual is held against: the slopes' norm, the rounding granted to a right claim, the claimed slope."""

    scale: float
    tolerance: float
    slope: float


@dataclass(frozen=True, slots=True)
class Window:
    """One extrapolation to step zero: rungs ``start`` to ``stop`` (exclusive), how many finer ones confirm it, the top step."""

    value: float
    error_bar: float
    start: int
    stop: int
    confirmed: int
    top: float

    def vanishes(self, tolerance: float, bars: float = 2.0) -> bool:
        """Return whether the residual is zero as far as can be told."""
        return abs(self.value) <= bars * self.error_bar + tolerance


def measure(line: Line, scale: float, tolerance: float, *, brief: bool = False) -> Residual:
    """Measure the residual of the claim along ``line``.

    ``scale`` is the claimed slope's norm, ``tolerance`` the absolute error that a right claim may have from rounding;
    ``brief``: a claim that agrees as far as f's rounding shows is settled, though its bar is wide.
    Six function values in the smooth and right case, about twenty-four when a smooth function's claim is plainly
    wrong; on suspicion the whole ladder, the function's own noise, and a second ladder at other steps.
    """
    claim = Claim(scale, tolerance, line.predict(line.direction))
    rungs, settled = _first_look(line, claim, brief=brief)
    if settled is not None:
        return replace(settled, rungs=tuple(rungs))
    found = replace(_closer_look(line, claim, rungs), rungs=tuple(rungs))
    if 0 < abs(found.gap) <= FAINT * found.scale:  # a kink is there on every ladder, a chance agreement is not
        others = [rung(line, 0.57 * r.step) for r in rungs[:QUICK]]
        again = replace(_closer_look(line, claim, others, shift=0.57), rungs=tuple(others))
        return found if abs(again.gap - found.gap) <= 0.5 * abs(found.gap) else again
    return found


def _closer_look(line: Line, claim: Claim, rungs: list[Rung], shift: float = 1.0) -> Residual:
    """Go down the ladder as far as it takes, and ask again where the answer is no."""
    scale = claim.scale
    _descend(line, rungs, _steps(line, (0, *range(QUICK + 1, 40, STRIDE)), shift), claim)
    found, best = _weigh(line, rungs, claim, 0.0)
    if abs(found.gap) > FAINT * found.scale and _folded(rungs, found.gap):
        return found
    if _dead(line, rungs) and claim.scale <= _EPS * max(float(np.max(np.abs(p), initial=0.0)) for p in line.point):
        # f is constant to its last bit, and the claim is far below that; where it is 0, the move that moves it has its size
        size = abs(line.base) or _farther(line)
        verdict = "ok" if claim.scale <= 1e-6 * line.unit * size else "unclear"
        held = found.scale if line.base else max(found.scale, size)
        return replace(found, verdict=verdict, error_bar=line.unit * size, scale=held)
    if found.verdict == "ok" and found.error_bar <= (FINE * scale if line.unit <= FINE**2 else CLOSE * found.scale):
        return found
    if found.verdict == "wrong" and best and _plain(best):
        return found
    blunt = found if found.verdict == "ok" else None
    noise = scatter(line)
    if found.verdict == "wrong" or not math.isfinite(found.error_bar) or noise < 0.1 * scale:
        _descend(line, rungs, _steps(line, range(40), shift), claim)
    found, best = _weigh(line, rungs, claim, noise)
    if found.verdict == "wrong" and best is not None and not _plain(best):
        found = _second_opinion(line, claim, noise, found, best)
    if blunt is not None and found.verdict != "wrong" and not (found.verdict == "ok" and found.error_bar < blunt.error_bar):
        return blunt  # its own noise is all that f has to say
    if found.verdict == "unclear" and not found.gap and _unmoved(line, rungs):
        return _widened(line, rungs, claim, noise, found)
    return found


def _steps(line: Line, numbers: Iterable[int], shift: float = 1.0) -> list[float]:
    return [t for k in numbers if (t := shift * LARGEST_STEP * RATIO**k) >= line.finest]


def _first_look(line: Line, claim: Claim, *, brief: bool) -> tuple[list[Rung], Residual | None]:
    """Return the coarse rungs, and the verdict if they are enough to call the claim right."""
    rungs: list[Rung] = []
    for step in _steps(line, range(not brief, QUICK + (not brief))):
        rungs.append(rung(line, step))
        if len(rungs) < 3 or not all(math.isfinite(r.central) for r in rungs):
            continue
        noise = max(r.rounding for r in rungs)
        value, bar = (float(n) for n in extrapolate([r.step for r in rungs], np.array([r.central for r in rungs]), noise))
        sharp = bar <= (SHARP / 10 if len(rungs) < QUICK else SHARP) * claim.scale
        floor = ROUNDED * noise / step if brief else 0.0
        if (
            (sharp or bar <= floor)
            and abs(value) <= 2 * bar + claim.tolerance
            and abs(value) <= max(1e-3 * claim.scale, floor, claim.tolerance)
        ):
            # a central difference is blind to a kink at the point itself: the one-sided slopes are not
            before, gap = (abs(r.forward - r.backward) for r in rungs[-2:])
            if gap <= 0.1 * claim.scale + floor and gap <= 0.6 * before + 1e-6 * claim.scale + floor:
                return rungs, Residual("ok", value, bar, claim.scale, claim.slope, noise)
        elif sharp and abs(value) > 1e3 * bar:
            break  # smooth and plainly off: what remains is to look from near
    return rungs, None


def glance(line: Line) -> tuple[float, float] | None:
    """Return the slope along a smooth line and its bar in about ten function values, ``None`` where it takes more."""
    claimed = line.predict(line.direction)
    coarse = line.noise > 1e-10 * max(abs(line.base), abs(claimed))
    enough = 1e-3 if coarse else SHARP
    rungs: list[Rung] = []
    for step in _steps(line, range(not coarse, QUICK + 1)):
        rungs.append(rung(line, step))
        if not math.isfinite(rungs[-1].central):
            return None
        if len(rungs) >= 3:
            noise = max(r.rounding for r in rungs)
            steps, values = [r.step for r in rungs], np.array([r.central for r in rungs])
            value, bar = (float(n) for n in extrapolate(steps, values, noise))
            size = max(abs(value + claimed), abs(claimed))
            rounded = ROUNDED * noise / step  # in a coarse function that is all there is to know
            if bar <= max(enough * size, rounded if coarse else min(rounded, 1e-3 * size)):
                near = rung(line, max(1e-6, line.finest))  # what is smooth only from afar shows here
                seen = abs(near.central - value) <= bar + 8 * near.rounding / near.step + 1e-6 * size
                return (value + claimed, bar) if seen else None
    return None


def _descend(line: Line, rungs: list[Rung], steps: Sequence[float], claim: Claim) -> None:
    """Add rungs at ``steps`` that are not there yet, as long as they can tell more than the function's rounding."""
    have = {r.step for r in rungs}
    for step in steps:
        finite = [r for r in rungs if math.isfinite(r.central)]
        largest = max([claim.scale, *(abs(r.central) for r in finite)])
        rounding = min((r.rounding for r in finite), default=0.0)
        if finite and step < min(r.step for r in finite) and rounding / step > 3 * largest > 0:
            break
        if step not in have:
            rungs.append(rung(line, step))
    rungs.sort(key=lambda r: -r.step)


def _side(rungs: Sequence[Rung]) -> tuple[str, list[Rung]]:
    """Choose central quotients, or one-sided ones where the other side lies outside the domain down to the finest step."""
    kept = {side: [r for r in rungs if math.isfinite(getattr(r, side))] for side in ("central", "forward", "backward")}
    if len(kept["central"]) >= 2:
        return "central", kept["central"]
    side = max(("forward", "backward"), key=lambda name: len(kept[name]))
    return side, kept[side]


def _weigh(line: Line, rungs: Sequence[Rung], claim: Claim, noise: float) -> tuple[Residual, Window | None]:
    """Return the verdict on the rungs, given the function's absolute ``noise`` beyond its rounding, and the window it is from."""
    side, usable = _side(rungs)
    if len(usable) < 2:
        return Residual("unclear", math.nan, math.inf, claim.scale, claim.slope, noise), None
    # a one-sided quotient divides by the step, a central one by twice it: its rounding is twice as large
    power, share = (2, 1.0) if side == "central" else (1, 2.0)
    grain = quantum(line, usable)
    level = max(noise, grain)
    if line.unit < 1e-12:
        numbers = np.array([v for r in usable for v in (r.above, r.below) if math.isfinite(v)])
        level = max(level, narrowed(numbers) * float(np.max(np.abs(numbers), initial=0.0)))
    errors = share * np.maximum(np.array([r.rounding for r in usable]), level)
    steps, values = [r.step for r in usable], np.array([getattr(r, side) for r in usable])
    every, settled = _windows(steps, values, errors, power)
    best = min(settled, key=lambda w: w.error_bar)
    reference = _reference(line, usable, claim, best, side)
    # what F does over a full-size move is not known better than to its own epsilon
    claim = replace(claim, tolerance=claim.tolerance + 64 * line.unit * reference)
    # a coarse f is coarse whether its values show it or only its dtype says so
    resolved = (1e-2 if max(level, line.unit * abs(line.base)) > 1e-10 * abs(line.base) else CLOSE) * reference
    # even a good function may answer for arguments that are an epsilon away
    wide = np.maximum(errors, 2 * share * line.unit * claim.scale)
    gap = _gap(usable, wide, reference) if side == "central" else 0.0
    verdict, shown = _verdict(best, claim, resolved)
    if verdict == "wrong":
        _, again = _windows(steps, values, wide, power)
        verdict, shown = _verdict(min(again, key=lambda w: w.error_bar), claim, resolved)
    moves = max((abs(v - line.base) for r in usable[:3] for v in (r.above, r.below) if math.isfinite(v)), default=0.0)
    if verdict != "ok" and (coarse := _above_ripple(every, best, steps, values, claim, (reference, moves), power)) is not None:
        far = not coarse.vanishes(claim.tolerance)
        if far or verdict == "wrong" or coarse.error_bar <= SHARP**0.5 * claim.scale:
            verdict, shown = ("wrong" if far else "ok"), coarse
            best = coarse if far else best
    if verdict == "wrong" and best.stop - best.start + best.confirmed < 3:
        verdict = "unclear"
    if verdict == "wrong" and grain and abs(claim.slope) <= 1e-6 * abs(best.value):
        verdict = "unclear"  # flat from near, as claimed, though not from afar: both readings have their reason
    if gap and verdict != "wrong":
        verdict = "unclear"
    return Residual(verdict, shown.value, shown.error_bar, reference, claim.slope, float(np.min(errors)), gap), shown


def _windows(steps: Sequence[float], values: Floats, errors: Floats, power: int) -> tuple[list[Window], list[Window]]:
    """Return every window, and those that no finer rung contradicts (the finest one never is)."""
    every, settled = [], []
    for start, count, extrapolated, wide in windows(steps, values, errors, power):
        value, bar, stop = float(extrapolated), float(wide), start + count
        informative = errors[stop:] / np.asarray(steps[stop:])
        # what a rung is off by truncation falls with the step: finer ones are nearer than the last of the window
        agree = np.abs(values[stop:] - value) <= abs(values[stop - 1] - value) + 3 * bar + 4 * informative
        confirmed = int(np.sum(informative < 0.1 * abs(value)))
        every.append(Window(value, bar, start, stop, confirmed, steps[start]))
        if np.all(agree):
            settled.append(every[-1])
    return every, settled


def _reference(line: Line, rungs: Sequence[Rung], claim: Claim, best: Window, side: str) -> float:
    """Return the slope to hold a bar against: the claimed, the measured, or what F does over a full-size move."""
    coarse = [r for r in rungs if r.step > 1e-3]
    moves = [0.0]
    for r in reversed(coarse):  # the finest first
        sides = [abs(v - line.base) / r.step for v in (r.above, r.below) if math.isfinite(v)]
        largest = max(sides, default=0.0)
        if largest * r.step > 10 * abs(line.base) and largest > RUNAWAY * moves[-1] > 0:
            break
        moves.append(largest)
    # a claim of zero for a constant has no scale of its own
    constant = abs(line.base) if claim.slope == claim.scale == 0 else 0.0
    off = [abs(getattr(r, side)) for r in coarse[len(coarse) + 1 - len(moves) :]]
    return float(max([claim.scale, abs(best.value + claim.slope), constant, *off, *moves]))


def _verdict(best: Window, claim: Claim, resolved: float) -> tuple[str, Window]:
    if best.vanishes(claim.tolerance):
        return ("ok" if best.error_bar <= resolved else "unclear"), best
    if best.vanishes(claim.tolerance, 5.0):  # between two bars and five nothing is sure, unless five are small
        return ("ok" if 5 * best.error_bar <= 0.1 * resolved else "unclear"), best
    return "wrong", best


def _above_ripple(
    every: Sequence[Window],
    best: Window,
    steps: Sequence[float],
    values: Floats,
    claim: Claim,
    sizes: tuple[float, float],
    power: int,
) -> Window | None:
    """Return a plateau of coarse steps on which the claim sits, if all that contradicts it from near is a low ripple.

    One from which the claim is far off, too, if the ripple leaves nothing to be read from near.
    ``sizes`` are the slope that the bar is held against, and what F does over a full-size move: a ripple is low beside that.

    The noise of a solver, a `round`, a ripple: the claim is right at the scale at which the function means anything.
    """
    reference, moves = sizes
    whole = max(claim.scale, moves)
    for window in every:
        if window.stop - window.start < 3 or window.stop >= len(steps):
            continue
        height = float(np.max(np.abs(values[window.stop :] - window.value) * np.asarray(steps[window.stop :])))
        if height > RIPPLE * whole:
            continue
        part = slice(window.start, window.stop)
        rough = windows(steps[part], values[part], height, power)
        value, bar = min(((float(v), float(b)) for _, _, v, b in rough), key=lambda found: found[1])
        # where the finest rungs speak for the claim after all, the coarse ones are not confirmed
        near = best.vanishes(claim.tolerance) and best.error_bar < abs(value)
        found = replace(window, value=value, error_bar=bar, confirmed=0 if near else window.confirmed)
        if found.vanishes(claim.tolerance) and bar <= 1e-2 * reference and bar + abs(value) <= 0.2 * abs(best.value):
            return found  # far inside the alleged fault
        # far off, and from near there is nothing to be read at all; a far larger claim may be the ripple's own slope
        low = height <= RIPPLE * moves and best.error_bar > 1e-2 * abs(best.value)
        far = not found.vanishes(10 * claim.tolerance, 10.0) and bar <= 1e-2 * abs(value)
        if low and far and claim.scale <= 1e3 * abs(value + claim.slope):
            return found
    return None


def _gap(rungs: Sequence[Rung], errors: Floats, reference: float) -> float:
    """Return the limit of forward minus backward slope if it is certainly not 0, else 0."""
    steps = [r.step for r in rungs]
    gaps = np.array([r.forward - r.backward for r in rungs])
    value, bar = (float(n) for n in extrapolate(steps, gaps, 2 * errors, power=1))
    certain = abs(value) > max(5 * bar, 1e-6 * reference)
    # the last usable rungs must still show it: an extrapolation from coarse rungs may look past a far kink
    fine = [g for t, g, e in zip(steps, gaps, errors, strict=True) if 8 * e / t <= 0.1 * abs(value)]
    return value if certain and fine and abs(fine[-1]) > 0.5 * abs(value) else 0.0


def _folded(rungs: Sequence[Rung], gap: float) -> bool:
    """Return whether at least three steps from near all show the same gap: no noise does that, and nothing more is to be seen."""
    seen = [r.forward - r.backward for r in rungs if r.step < 1e-3 and 8 * r.rounding / r.step <= FAINT * abs(gap)]
    return len(seen) >= 3 and all(abs(g - gap) <= FAINT * abs(gap) for g in seen)


def _plain(best: Window) -> bool:
    """Return whether a residual is so sharp, and confirmed on so many finer rungs, that no noise could have made it."""
    return best.error_bar <= 1e-6 * abs(best.value) and best.confirmed >= 3


def _second_opinion(line: Line, claim: Claim, noise: float, found: Residual, best: Window) -> Residual:
    """Ask once more, at other steps around the window that says wrong: nothing is called wrong on one ladder."""
    others = [rung(line, t) for k in range(-1, 4) if (t := 0.57 * best.top * RATIO**k) >= line.finest]
    again, _ = _weigh(line, others, claim, noise)
    apart = abs(again.value - found.value)
    if again.verdict == "wrong" and apart <= 5 * (again.error_bar + found.error_bar) + 0.05 * abs(found.value):
        return found if found.error_bar <= again.error_bar else again
    return replace(found, verdict="unclear", error_bar=max(found.error_bar, apart if math.isfinite(apart) else math.inf))


def _unmoved(line: Line, rungs: Sequence[Rung]) -> bool:
    """Return whether a full-size move does not move the function visibly: the arguments are tiny for it."""
    moved = [abs(v - line.base) for r in rungs for v in (r.above, r.below) if math.isfinite(v)]
    return bool(moved) and max(moved) <= 1e-6 * abs(line.base)


def _dead(line: Line, rungs: Sequence[Rung]) -> bool:
    """Return whether no step moves the function by even one bit."""
    return all(v == line.base for r in rungs for v in (r.above, r.below))


def _farther(line: Line) -> float:
    """Return the size of a function's first value that is not as at the point, at steps that are huge for the arguments."""
    for step in (LARGEST_STEP * RATIO**-k for k in range(1, 8)):
        far = rung(line, step)
        if moved := [abs(v) for v in (far.above, far.below) if math.isfinite(v) and v != line.base]:
            return min(moved)
    return 0.0


def _widened(line: Line, rungs: list[Rung], claim: Claim, noise: float, found: Residual) -> Residual:
    """Measure with steps that are huge for the arguments."""
    wide: list[Rung] = []
    step = LARGEST_STEP / RATIO
    while step < WIDEST:
        wide.append(rung(line, step))
        finite = [abs(v - line.base) for v in (wide[-1].above, wide[-1].below) if math.isfinite(v)]
        if not finite or max(finite) > 0.1 * abs(line.base):
            break
        step /= RATIO**2
    together = sorted([*wide, *rungs], key=lambda r: -r.step)
    again, _ = _weigh(line, together, claim, noise)
    return again if again.verdict == "ok" else found
