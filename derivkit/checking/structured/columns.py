"""∂L/∂z by differences, one column at a time for all samples at once: two evaluations of what comes behind z a column.

Each sample keeps its own loss, so that one shifted column gives one slope for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.numeric.finite_difference import extrapolate

Array = NDArray[np.float64]
Column = tuple[int, ...]

#: The step, in units of an entry's scale: truncation and rounding both leave about ten digits.
STEP = 3e-6
#: A measurement with wider bars than this share of the slopes is made again with the best of these steps (above the first).
SHARP, STEPS = 1e-6, (3e-7, STEP, 3e-5, 3e-4, 3e-3, 3e-2)
#: A measurement is trusted within so many of its error bars.
BARS = 5.0
#: One-sided slopes that differ by more than this share: a kink is nearer than the step.
UNEVEN = 1e-3
#: The rungs at which a kink is looked for nearer by, in steps.
NEARER = (0.1, 0.01)
#: The steps of a closer look, not dyadic: they must not alias with the periods of test functions.
RUNGS = tuple(1e-2 * 0.19**k for k in range(10))
#: Full-size moves, as shares of an entry's scale; a larger growth from one to the other is a runaway.
FULL, RUNAWAY = (0.1, 0.36), 1e5
#: An entry is moved by at least this share of a typical one.
SMALLEST = 1e-2
#: The least size of a loss: quotients by its rounding must stay numbers.
LEAST = 1e-230
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Slopes:
    """Measured slopes with their error bars; ``gap`` is how far the one-sided slopes differ at a kink, else 0.

    ``reach`` is what the loss does over a full-size move, as a slope: a slope far below it has lost digits to it.
    """

    value: Array
    bar: Array
    gap: Array
    reach: Array


@dataclass(slots=True)
class Columns:
    """The losses behind an array at ``point``, and what has been measured of their slopes.

    ``losses`` takes such an array to the losses over the axes ``kept`` of it; ``calls`` counts evaluations.  A kink within
    ``blur`` of the point, in units of an entry's scale, may be on its other side in the precision of the claim.
    """

    losses: Callable[[Array], Array]
    point: Array
    kept: tuple[int, ...]
    blur: float = 0.0
    slopes: Slopes = field(init=False)
    step: float = field(init=False, default=STEP)
    sharp: set[Column] = field(init=False, default_factory=set)
    calls: int = field(init=False, default=0)
    _work: Array = field(init=False)
    _scales: Array = field(init=False)
    _base: Array = field(init=False)
    _noise: Array = field(init=False)

    def __post_init__(self) -> None:
        """Evaluate at the point, and see how noisy the losses are."""
        self._work = self.point.copy()
        self._scales = self._sizes()
        self._base = self._at()
        self._noise = self._scatter()
        value, bar, gap = (np.zeros(self.point.shape) for _ in range(3))
        behind = tuple(range(-len(self.kept), 0))
        reach = np.moveaxis(self._reach() / np.moveaxis(self._scales, self.kept, behind), behind, self.kept)
        self.slopes = Slopes(value, bar, gap, reach)

    def columns(self) -> Iterable[Column]:
        """Return every column: a position on the axes that are not kept."""
        return np.ndindex(self._sorted(self.point).shape[len(self.kept) :])

    def columns_of(self, mask: NDArray[np.bool_]) -> list[Column]:
        """Return the columns in which ``mask``, of the array's shape, is true somewhere."""
        some = self._sorted(mask).any(axis=tuple(range(len(self.kept))))
        return [tuple(int(n) for n in c) for c in np.argwhere(some)]

    def measure(self) -> None:
        """Measure every column; with longer steps once more where the losses are too coarse for short ones."""
        self._pass()
        if BARS * typical(self.slopes.bar) > SHARP * typical(self.slopes.value) and (better := self._pilot()) != self.step:
            self.step = better
            self._pass()

    def _pilot(self) -> float:
        """Return the step at which truncation and rounding together are least, as two columns tell."""
        columns = list(self.columns())
        pairs = [[self._pair(c, step) for c in dict.fromkeys((columns[0], columns[-1]))] for step in STEPS]
        slopes = [np.array([p[0] for p in some]) for some in pairs]
        errors = [
            max(typical(fine - coarse), typical(np.array([self._noise / p[2] for p in some])))
            for fine, coarse, some in zip(slopes, slopes[1:], pairs[1:], strict=False)
        ]
        usable = [np.all(np.isfinite(coarse)) for coarse in slopes[1:]]
        return min((e, step) for e, step, fits in zip(errors, STEPS[1:], [True, *usable[1:]], strict=True) if fits)[1]

    def _pass(self) -> None:
        """Measure every column, and once more from nearer by where a kink is within the step."""
        move = self.step * self._scales
        above, below = self.point + move, self.point - move
        up, down = np.empty(self.point.shape), np.empty(self.point.shape)
        view, ups, downs, highs, lows = (self._sorted(a) for a in (self._work, up, down, above, below))
        here = self._sorted(self.point)
        for column in self.columns():
            place = _place(column)
            view[place] = highs[place]
            ups[place] = self._at()
            view[place] = lows[place]
            downs[place] = self._at()
            view[place] = here[place]
        width = self._sorted(above - below)
        base, noise = (a[(..., *(np.newaxis,) * (width.ndim - len(self.kept)))] for a in (self._base, self._noise))
        central, uneven = (ups - downs) / width, np.abs((ups - base) + (downs - base)) * 2 / width
        for kept, new in ((self.slopes.value, central), (self.slopes.bar, 3 * noise / width)):
            self._sorted(kept)[...] = new
        level = UNEVEN * (np.abs(central) + typical(central)) + 20 * noise / width
        near = ~(uneven <= level) & np.isfinite(central)
        for column in self.columns_of(self._unsorted(near)):
            self._nearer(column, near[_place(column)])
        outside = self._unsorted(~np.isfinite(central)) & (self.point != 0)
        if np.any(outside):  # of a small positive number even a short step leaves the domain: in its own unit it does not
            self._scales = np.where(outside, np.abs(self.point), self._scales)
            self.sharpen(self.columns_of(outside))

    def sharpen(self, columns: Iterable[Column]) -> None:
        """Measure these columns on a whole ladder of steps."""
        for column in columns:
            self.sharp.add(column)
            size = self._sorted(self._scales)[_place(column)]
            pairs = [self._pair(column, step) for step in RUNGS]
            central = np.array([p[0] for p in pairs])
            uneven = np.array([p[1] for p in pairs])
            found, wide = extrapolate(RUNGS, central * size / self._noise, 2.0)  # in units of each sample's own noise
            value, bar = found * self._noise / size, wide * self._noise / size
            self._keep(column, value, bar, self._gap(uneven, value, size))

    # -- one column -------------------------------------------------------------------------------------------------------

    def _gap(self, uneven: Array, value: Array, size: Array) -> Array:
        """Return how far one-sided slopes differ at the finest steps that tell, where that does not shrink with the step."""
        level = 0.02 * (np.abs(value) + typical(value))
        gap = np.zeros(size.shape)
        settled = np.zeros(size.shape, dtype=bool)
        for k in reversed(range(1, len(RUNGS))):
            tells = ~settled & (8 * self._noise / (RUNGS[k] * size) <= level) & np.isfinite(uneven[k])
            kinked = tells & (uneven[k] > level) & (uneven[k] > 0.6 * uneven[k - 1])
            gap = np.where(kinked, uneven[k], gap)
            settled |= tells
        if self.blur:
            far = max(k for k, step in enumerate(RUNGS) if step >= min(self.blur, RUNGS[0]))
            gap = np.maximum(gap, np.where(uneven[far] > level, 2 * uneven[far], 0.0))
        return gap

    def _nearer(self, column: Column, left: NDArray[np.bool_]) -> None:
        """Measure a column with shorter steps; what is uneven at the shortest, too, is at a kink."""
        value, bar, gap = (self._sorted(a)[_place(column)].copy() for a in (self.slopes.value, self.slopes.bar, self.slopes.gap))
        for share in NEARER:
            central, uneven, width = self._pair(column, share * self.step)
            fine = left & np.isfinite(central)
            value, bar = np.where(fine, central, value), np.where(fine, 3 * self._noise / width, bar)
            left = left & ~(uneven <= self._even(central, width))
            gap = np.where(fine, np.where(left, uneven, 0.0), gap)
        self._keep(column, value, bar, np.where(np.isfinite(gap), gap, np.inf))

    def _even(self, central: Array, width: Array) -> Array:
        return UNEVEN * (np.abs(central) + typical(central)) + 20 * self._noise / width

    def _pair(self, column: Column, step: float) -> tuple[Array, Array, Array]:
        """Return the central slope, the difference of the one-sided ones, and the width of the step really made."""
        place = _place(column)
        view = self._sorted(self._work)
        here = view[place].copy()
        move = step * self._sorted(self._scales)[_place(column)]
        above, below = here + move, here - move
        view[place] = above
        up = self._at()
        view[place] = below
        down = self._at()
        view[place] = here
        width = above - below
        return (up - down) / width, np.abs((up - self._base) + (down - self._base)) * 2 / width, width

    def _sizes(self) -> Array:
        """Return by what each entry is moved, in its own unit: a column of samples has one."""
        size = np.abs(self.point)
        typically = np.sqrt(np.mean(size**2, axis=self.kept, keepdims=True)) if self.kept else size
        return np.maximum(np.maximum(size, typically), SMALLEST * typical(self.point) or 1.0)

    def _keep(self, column: Column, value: Array, bar: Array, gap: Array) -> None:
        for kept, new in zip((self.slopes.value, self.slopes.bar, self.slopes.gap), (value, bar, gap), strict=True):
            self._sorted(kept)[_place(column)] = new

    def _sorted(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array with the kept axes in front: a view."""
        return np.moveaxis(array, self.kept, range(len(self.kept)))

    def _unsorted(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.moveaxis(array, range(len(self.kept)), self.kept)

    def _at(self) -> Array:
        self.calls += 1
        try:
            return np.asarray(self.losses(self._work), dtype=np.float64)
        except (ArithmeticError, ValueError):  # a singular matrix, say: there is nothing to measure there
            return np.full([self.point.shape[axis] for axis in self.kept], np.nan)

    def _scatter(self) -> Array:
        """Return the absolute error of each loss: third differences at neighbouring points leave nothing else."""
        rng = np.random.default_rng(0)
        unit = np.where(self.point == 0, typical(self.point) or 1.0, np.abs(self.point)) * rng.uniform(-1, 1, self.point.shape)
        values = []
        for k in range(8):  # from the point on to one side: a kink at the point is not crossed
            self._work[...] = self.point + 1e-10 * k * unit
            values.append(self._at())
        self._work[...] = self.point
        rough = np.median(np.abs(np.diff(np.array(values), 3, axis=0)), axis=0) / 2
        rough = np.where(np.isfinite(rough), rough, 0.0)
        return np.maximum(np.maximum(rough, typical(rough)), _EPS * (np.abs(self._base) + LEAST))

    def _reach(self) -> Array:
        """Return by how much each loss moves over a full-size move: to zero, or to all sides unless it runs away there (exp)."""
        signs = np.random.default_rng(1).choice([-1.0, 1.0], self.point.shape)
        moves = [share * signs * self._scales for share in FULL]
        found = []
        for move, share in ((-self.point, 1.0), *zip(moves, FULL, strict=True)):
            self._work[...] = self.point + move
            moved = np.abs(self._at() - self._base) / share
            found.append(np.where(np.isfinite(moved), moved, 0.0))
        self._work[...] = self.point
        home, small, large = found
        return np.maximum(home, np.where((small > 0) & (large > RUNAWAY * small), small, np.maximum(small, large)))


def _place(column: Column) -> tuple[Any, ...]:
    """Return where a column is, in an array with the kept axes in front."""
    return (..., *column)


def typical(values: NDArray[Any]) -> float:
    """Return the root mean square, where squares overflow or vanish too."""
    sizes = np.abs(values[np.isfinite(values)])
    top = float(np.max(sizes, initial=0.0))
    return top * float(np.sqrt(np.mean((sizes / top) ** 2))) if top else 0.0
