"""Differences with error bars: step ladders and extrapolation to step zero.

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
def _weights(steps: tuple[float, ...], power: int) -> tuple[Floats, Floats]:
    """Return the weights, and how much each magnifies an absolute error of the function."""
    z = np.asarray(steps, dtype=np.float64) ** power
    weights = np.array([np.prod([z[k] / (z[k] - z[j]) for k in range(len(z)) if k != j]) for j in range(len(z))])
    weights.setflags(write=False)
    return weights, np.abs(weights) / np.asarray(steps)


def windows(
    steps: Sequence[float], values: Floats, noise: float | Floats, power: int = 2
) -> Iterator[tuple[int, int, Floats, Floats]]:
    """Yield ``(start, rungs, value, bar)`` for every run of 2 to 5 neighbouring rungs.

    ``values`` is (m, ...); value and bar have the shape of one rung.  The bar is the larger disagreement with the two
    extrapolations of one rung less (an upper bound on the truncation once the series has set in), and never below
    what an absolute error ``noise`` of the function (one number, or one for each rung) does to the quotients.
    """
    errors = np.broadcast_to(np.asarray(noise, dtype=np.float64), (len(steps),))
    count = len(steps)
    lower = [np.asarray(v) for v in values]
    for rungs in range(2, min(5, count) + 1):
        current = []
        for start in range(count - rungs + 1):
            part = slice(start, start + rungs)
            value, _ = neville(steps[part], values[part], power)
            rounding = float(errors[part] @ _weights(tuple(steps[part]), power)[1])
            truncation = np.maximum(np.abs(value - lower[start]), np.abs(value - lower[start + 1]))
            current.append(value)
            yield start, rungs, value, truncation + rounding
        lower = current


def extrapolate(steps: Sequence[float], values: Floats, noise: float | Floats, power: int = 2) -> tuple[Floats, Floats]:
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
