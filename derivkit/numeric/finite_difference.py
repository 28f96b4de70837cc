"""Differences with error bars: step ladders, extrapolation to step zero, residuals along a line.

Every function returns a value *and* a bar that covers truncation and rounding: no caller needs a step or a tolerance.
Steps fall by 0.29, which is not dyadic: powers of two alias with the periods that people put into test functions.

Source: L. F. Richardson (1911), "The approximate arithmetical solution by finite differences"; C. J. F. Ridders
(1982), "Accurate computation of F'(x)", Adv. Eng. Software 4(2); J. J. Moré and S. M. Wild (2011), "Estimating
computational noise", SIAM J. Sci. Comput. 33(3); W. Squire and G. Trapp (1998), "Using complex variables to
estimate derivatives of real functions", SIAM Review 40(1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATIO = 0.29
FIRST_STEP = 0.0123
LARGEST_STEP = 0.36
FINEST_STEP = 1e-10
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Window:
    """One extrapolation to step zero: ``value`` ± ``error_bar``, from ``rungs`` rungs that start at ``start``."""

    value: float
    error_bar: float
    start: int
    rungs: int


def ladder(first: float = FIRST_STEP, finest: float = FINEST_STEP) -> tuple[float, ...]:
    """Return the falling steps from ``first`` down to ``finest``.

    >>> [f"{t:.3g}" for t in ladder(0.1, 0.005)]
    ['0.1', '0.029', '0.00841']
    """
    count = 1 + max(0, math.floor(math.log(finest / first) / math.log(RATIO)))
    return tuple(first * RATIO**k for k in range(count))


def neville(steps: Sequence[float], values: Floats, power: int = 2) -> tuple[Floats, Floats]:
    """Extrapolate ``values`` (m, ...), taken at m ``steps``, to step zero; return the value and the weights (m,).

    The error is a series in ``step ** power``: 2 for central differences, 1 for one-sided ones.

    >>> value, _ = neville([0.4, 0.1], np.array([1.16, 1.01]))
    >>> round(float(value), 12)
    1.0
    """
    weights, _ = _weights(tuple(steps), power)
    return (weights @ values if values.ndim == 1 else np.tensordot(weights, values, axes=1)), weights


@lru_cache(maxsize=4096)
def _weights(steps: tuple[float, ...], power: int) -> tuple[Floats, float]:
    """Return the weights, and how much they magnify an absolute error of the function."""
    z = np.asarray(steps, dtype=np.float64) ** power
    weights = np.array([np.prod([z[k] / (z[k] - z[j]) for k in range(len(z)) if k != j]) for j in range(len(z))])
    weights.setflags(write=False)
    return weights, float(np.sum(np.abs(weights) / np.asarray(steps)))


def windows(steps: Sequence[float], values: Floats, noise: float, power: int = 2) -> Iterator[tuple[int, int, Floats, Floats]]:
    """Yield ``(start, rungs, value, bar)`` for every run of 2 to 5 neighbouring rungs.

    ``values`` is (m, ...); value and bar have the shape of one rung.  The bar is the larger disagreement with the two
    extrapolations of one rung less (an upper bound on the truncation once the series has set in), and never below
    what an absolute error ``noise`` of the function does to the quotients.
    """
    count = len(steps)
    lower = [np.asarray(v) for v in values]
    for rungs in range(2, min(5, count) + 1):
        current = []
        for start in range(count - rungs + 1):
            part = slice(start, start + rungs)
            value, _ = neville(steps[part], values[part], power)
            rounding = noise * _weights(tuple(steps[part]), power)[1]
            truncation = np.maximum(np.abs(value - lower[start]), np.abs(value - lower[start + 1]))
            current.append(value)
            yield start, rungs, value, truncation + rounding
        lower = current


def extrapolate(steps: Sequence[float], values: Floats, noise: float, power: int = 2) -> tuple[Floats, Floats]:
    """Return the best extrapolation of ``values`` (m, ...) and its error bar, entry by entry; at least 2 rungs.

    >>> steps = ladder(0.1, 0.001)
    >>> slope, bar = extrapolate(steps, np.array([(math.exp(t) - math.exp(-t)) / (2 * t) for t in steps]), 1e-16)
    >>> bool(abs(slope - 1) <= bar < 1e-9)
    True
    """
    best = np.full(np.shape(values)[1:], np.nan)
    bars = np.full(np.shape(values)[1:], np.inf)
    for _, _, value, bar in windows(steps, values, noise, power):
        better = bar < bars
        best, bars = np.where(better, value, best), np.where(better, bar, bars)
    return best, bars


def scales(x: Floats) -> Floats:
    """Return the size of each entry of ``x``: |x|, the median of the others where it is 0, and 1 where all are.

    Steps in proportion to these respect every unit and never leave the domain of a positive quantity.

    >>> scales(np.array([-2.0, 0.0, 4.0])).tolist()
    [2.0, 3.0, 4.0]
    """
    size = np.abs(x)
    filled = size[size > 0]
    return np.where(size > 0, size, np.median(filled) if filled.size else 1.0)


def derivative(f: Callable[[Floats], Any], x: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Return the derivative of ``f`` at ``x`` along ``direction`` (both of one shape), and its bar; shaped like ``f(x)``.

    Rungs where ``f`` raises or is not finite are left out; the bar is infinite if fewer than three are left.

    >>> slope, bar = derivative(np.sin, np.array([0.5]), np.array([1.0]))
    >>> bool(abs(slope[0] - np.cos(0.5)) <= bar[0] < 1e-8)
    True
    """
    base = _evaluated(f, x)
    noise = 2 * _EPS * (float(np.max(np.abs(base), initial=0.0)) if base is not None else 1.0)
    steps: list[float] = []
    values: list[Floats] = []
    shape = base.shape if base is not None else ()
    best, bars = np.full(shape, np.nan), np.full(shape, np.inf)
    for step in ladder():
        upper, lower = x + step * direction, x - step * direction
        above, below = _evaluated(f, upper), _evaluated(f, lower)
        if above is None or below is None:
            continue
        steps.append(step)
        values.append((above - below) / (2 * step))
        if len(steps) >= 3:
            best, bars = extrapolate(steps, np.array(values), noise)
            if np.all(bars <= 1e-9 * np.max(np.abs(best), initial=0.0)):
                break
    return best, bars


def jacobian(f: Callable[[Floats], Any], x: Floats) -> tuple[Floats, Floats]:
    """Return the Jacobian of ``f`` at ``x`` by central differences, and its bars: both ``f(x).shape + x.shape``.

    Of a scalar function that is the gradient.

    >>> value, _ = jacobian(lambda x: np.array([x[0] * x[1], x[0]]), np.array([2.0, 3.0]))
    >>> np.round(value, 6).tolist()
    [[3.0, 2.0], [1.0, 0.0]]
    """
    size = scales(x)
    columns, bars = [], []
    for index in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[index] = size[index]
        column, bar = derivative(f, x, direction)
        columns.append(column / size[index])
        bars.append(bar / size[index])
    if not columns:
        return np.zeros(x.shape), np.zeros(x.shape)
    shape = np.shape(columns[0]) + x.shape
    return np.stack(columns, -1).reshape(shape), np.stack(bars, -1).reshape(shape)


def complex_step(f: Callable[[Any], Any], x: Floats, direction: Floats) -> Floats:
    """Return Im f(x + i h direction) / h with h = 1e-30: exact to rounding where ``f`` is analytic, and silent where not.

    A second opinion only: ``abs``, casts, comparisons and ``vdot`` make it lie.

    >>> round(float(complex_step(np.exp, np.array(0.0), np.array(1.0))), 12)
    1.0
    """
    return np.asarray(np.imag(f(x + 1e-30j * direction)), dtype=np.float64) / 1e-30


def _evaluated(f: Callable[[Floats], Any], x: Floats) -> Floats | None:
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(f(x.copy()), dtype=np.float64)
    except (ArithmeticError, ValueError, RuntimeWarning):
        return None
    return value if np.all(np.isfinite(value)) else None


@dataclass(frozen=True, slots=True)
class Line:
    """A scalar function and a claimed derivative along one line through ``point``.

    ``value`` (NaN where the function cannot be evaluated) and ``predict`` (the claimed change for a displacement) take
    tuples of arrays; ``direction`` is float64, of the point's shapes; ``base`` is the value at the point, ``unit`` the
    machine epsilon of the function's output.
    """

    value: Callable[[tuple[Floats, ...]], float]
    predict: Callable[[tuple[Floats, ...]], float]
    point: tuple[NDArray[Any], ...]
    direction: tuple[Floats, ...]
    base: float
    unit: float

    @property
    def finest(self) -> float:
        """The finest useful step: below it, the coarsest moving array cannot follow the direction."""
        moving = [p for p, u in zip(self.point, self.direction, strict=True) if np.any(u)]
        coarsest = max((float(np.finfo(p.dtype).eps) for p in moving), default=_EPS)
        return max(FINEST_STEP, 32 * coarsest)


@dataclass(frozen=True, slots=True)
class Rung:
    """Residual slopes at one step: what is left of the central and one-sided quotients after the claim is taken away."""

    step: float
    central: float
    forward: float
    backward: float
    above: float
    below: float


@dataclass(frozen=True, slots=True)
class Residual:
    """The measured slope minus the claimed one, along one line, extrapolated to step zero.

    ``verdict`` is "ok", "wrong" or "unclear"; ``scale`` is the slope that the bar was held against; ``gap`` is the
    difference of the one-sided slopes if it does not shrink with the step (a kink), else 0; ``noise`` the absolute
    error of one function value.
    """

    verdict: str
    value: float
    error_bar: float
    scale: float
    claimed: float
    noise: float
    gap: float = 0.0


def displaced(line: Line, step: float) -> tuple[tuple[NDArray[Any], ...], tuple[Floats, ...]]:
    """Return the *representable* point reached by ``step`` along the line, and the displacement really made."""
    pairs = zip(line.point, line.direction, strict=True)
    reached = tuple((p.astype(np.float64) + step * u).astype(p.dtype) for p, u in pairs)
    moved = tuple(r.astype(np.float64) - p.astype(np.float64) for r, p in zip(reached, line.point, strict=True))
    return reached, moved


def rung(line: Line, step: float) -> Rung:
    """Evaluate both sides of the line at ``step``: two function values.

    The claim is taken at the displacement really made: the rounding of the arguments cancels exactly.
    """
    up, moved_up = displaced(line, step)
    down, moved_down = displaced(line, -step)
    above, below = line.value(up), line.value(down)
    claim_up, claim_down = line.predict(moved_up), line.predict(moved_down)
    central = ((above - below) - (claim_up - claim_down)) / (2 * step)
    forward, backward = ((above - line.base) - claim_up) / step, ((line.base - below) + claim_down) / step
    return Rung(step, central, forward, backward, above, below)


def measured_noise(line: Line, rungs: Sequence[Rung]) -> float:
    """Return the absolute error of one function value: rounding, measured scatter, or the height of its steps.

    Fourth differences at nine points a hair apart leave only scatter.  A function quantised from within (a float32
    inside, a `round`) is flat there: it shows as values on one grid.
    """
    values = np.array([v for r in rungs for v in (r.above, r.below) if math.isfinite(v)] + [line.base])
    largest = float(np.max(np.abs(values)))
    noise = line.unit * largest
    hair = line.finest / 8
    scatter = []
    for j in range(1, 10):
        point, moved = displaced(line, j * hair)
        scatter.append(line.value(point) - line.base - line.predict(moved))
    fourth = np.diff(np.array(scatter), 4)
    if np.all(np.isfinite(fourth)):
        noise = max(noise, 2 * float(np.max(np.abs(fourth))) / math.sqrt(70))
    distinct = np.unique(values)
    if distinct.size >= 4 and any(r.above == r.below for r in rungs):
        quantum = float(np.min(np.diff(distinct)))
        near = (distinct - line.base)[np.abs(distinct - line.base) < 1e3 * quantum] / quantum
        # the smallest difference seen may be a few quanta; far values would only magnify its own rounding
        if near.size >= 4 and any(float(np.max(np.abs(k * near - np.round(k * near)))) < 1e-3 for k in range(1, 9)):
            noise = max(noise, quantum)
    with np.errstate(over="ignore"):
        if distinct.size >= 4 and bool(np.all(distinct.astype(np.float32).astype(np.float64) == distinct)):
            noise = max(noise, float(np.finfo(np.float32).eps) * largest)
    return noise


def measure(line: Line, scale: float, tolerance: float) -> Residual:
    """Measure the residual of the claim along ``line``.

    ``scale`` is the claimed slope's norm, ``tolerance`` the absolute error that a right claim may have from rounding.
    Six function values in the smooth and right case; on suspicion the whole ladder, the function's own noise, and a
    second ladder at other steps: nothing is called wrong on one ladder.
    """
    claimed = line.predict(line.direction)
    quick = _quick(line, scale, tolerance, claimed)
    if quick is not None:
        return quick
    first = _full(line, scale, tolerance, claimed, LARGEST_STEP)
    if first.verdict == "ok":
        return first
    second = _full(line, scale, tolerance, claimed, LARGEST_STEP * 0.57)
    if second.verdict == "ok" or first.verdict == "unclear":
        return second
    apart = abs(first.value - second.value)
    if second.verdict == "wrong" and apart > 5 * (first.error_bar + second.error_bar):
        return replace(second, verdict="unclear", error_bar=apart)
    return min(first, second, key=lambda r: r.error_bar) if second.verdict == "wrong" else second


def _quick(line: Line, scale: float, tolerance: float, claimed: float) -> Residual | None:
    rungs: list[Rung] = []
    for step in ladder()[:5]:
        if step < line.finest:
            return None
        rungs.append(rung(line, step))
        if not math.isfinite(rungs[-1].central):
            return None
        if len(rungs) >= 3:
            noise = line.unit * max(abs(line.base), *(abs(r.above) for r in rungs))
            values = np.array([r.central for r in rungs])
            value, bar = (float(n) for n in extrapolate([r.step for r in rungs], values, noise))
            sharp = bar <= (1e-9 if len(rungs) < 5 else 1e-8) * scale
            if sharp and abs(value) <= 2 * bar + tolerance and abs(value) <= 1e-3 * scale:
                # a central difference is blind to a kink at the point itself: the one-sided slopes are not
                gap = rungs[-1].forward - rungs[-1].backward
                if abs(gap) <= 0.1 * scale and abs(gap) <= 0.6 * abs(rungs[-2].forward - rungs[-2].backward) + 1e-6 * scale:
                    return Residual("ok", value, bar, scale, claimed, noise)
    return None


def _full(line: Line, scale: float, tolerance: float, claimed: float, first: float) -> Residual:
    rungs = [rung(line, step) for step in ladder(first, line.finest)]
    noise = measured_noise(line, rungs)
    side, usable = _side(rungs)
    if len(usable) < 3:
        return Residual("unclear", math.nan, math.inf, scale, claimed, noise)
    # a one-sided quotient divides by the step, a central one by twice it: its rounding is twice as large
    power, share = (2, 1.0) if side == "central" else (1, 2.0)
    steps = [r.step for r in usable]
    values = np.array([getattr(r, side) for r in usable])
    found = [Window(float(v), float(b), s, n) for s, n, v, b in windows(steps, values, share * noise, power)]
    best = min(found, key=lambda w: w.error_bar)
    coarse = max((abs(getattr(r, side)) for r in usable if r.step > 1e-3), default=0.0)
    # a claim of zero has no scale of its own: hold it against what f itself does over a full-size move
    natural = max(abs(line.base), *(abs(v) for r in usable for v in (r.above, r.below) if math.isfinite(v)))
    reference = max(scale, abs(best.value + claimed), coarse, natural if claimed == scale == 0 else 0.0)
    resolved = (1e-2 if noise > 1e-10 * abs(line.base) else 1e-3) * reference
    gap = _gap(usable, noise, reference) if side == "central" else 0.0
    verdict = _verdict(best, found, tolerance, resolved)
    if gap and verdict != "wrong":
        verdict = "unclear"
    chosen = min((w for w in found if abs(w.value) <= 2 * w.error_bar + tolerance), key=lambda w: w.error_bar, default=best)
    shown = chosen if verdict == "ok" else best
    return Residual(verdict, shown.value, shown.error_bar, reference, claimed, noise, gap)


def _side(rungs: Sequence[Rung]) -> tuple[str, list[Rung]]:
    """Choose central quotients, or one-sided ones where the other side lies outside the domain down to the finest step."""
    central = [r for r in rungs if math.isfinite(r.central)]
    if len(central) >= 3:
        return "central", central
    kept = {side: [r for r in rungs if math.isfinite(getattr(r, side))] for side in ("forward", "backward")}
    return max(kept.items(), key=lambda item: len(item[1]))


def _verdict(best: Window, found: Sequence[Window], tolerance: float, resolved: float) -> str:
    if abs(best.value) <= 2 * best.error_bar + tolerance:
        return "ok" if best.error_bar <= resolved else "unclear"
    # Several plateaus (solver noise, a fine ripple): a claim that sits on one of them, and far inside the alleged
    # fault, is right at the scale at which the function means anything.
    for w in found:
        if w.rungs >= 3 and abs(w.value) <= 2 * w.error_bar + tolerance and w.error_bar + abs(w.value) <= 1e-2 * abs(best.value):
            return "ok" if w.error_bar <= resolved else "unclear"
    return "wrong" if abs(best.value) > 5 * best.error_bar + tolerance else "unclear"


def _gap(rungs: Sequence[Rung], noise: float, reference: float) -> float:
    """Return the limit of forward minus backward slope if it is certainly not 0, else 0."""
    steps = [r.step for r in rungs]
    gaps = np.array([r.forward - r.backward for r in rungs])
    value, bar = extrapolate(steps, gaps, 2 * noise, power=1)
    certain = abs(float(value)) > 5 * float(bar) and abs(float(value)) > 1e-6 * reference
    # the last usable rungs must still show it: an extrapolation from coarse rungs may look past a far kink
    fine = [g for t, g in zip(steps, gaps, strict=True) if 8 * noise / t <= 0.1 * abs(float(value))]
    return float(value) if certain and fine and abs(fine[-1]) > 0.5 * abs(float(value)) else 0.0
