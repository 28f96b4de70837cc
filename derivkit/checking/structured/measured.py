"""Every entry of every gradient of a kernel, measured: columns of what the leaves enter linearly, pulled back and certified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.structured.columns import Columns, typical
from derivkit.checking.structured.routes import Array, Routes, Run, Share, behind, compiled
from derivkit.numeric.codegen.cuts import alone, cut, valued
from derivkit.numeric.codegen.lift import Program
from derivkit.symbolic.expr import Name
from derivkit.symbolic.graph import Definition

Floats = NDArray[np.float64]

#: Identities that are linear hold to this share of their addends: rounding of long sums.
CERTAIN = 1e-9
#: Beyond this, a value that is amplified no more is likelier than one that is.
LARGEST = 100.0


@dataclass(frozen=True, slots=True)
class Leaf:
    """What was measured of one leaf; ``mass`` are the sums of the addends' absolute values: rounding is in proportion.

    ``reach`` are those of the slopes of full-size moves.
    """

    value: Floats
    bar: Floats
    gap: Floats
    mass: Floats
    reach: Floats

    def __add__(self, other: Leaf) -> Leaf:
        """Return what is known of the sum of two shares."""
        return Leaf(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(slots=True)
class Measurement:
    """The values at the point, the columns measured of each cut, and how they go back to the leaves."""

    routes: Routes
    sizes: Mapping[str, int]
    values: dict[Name, Array]
    blur: float = 0.0
    columns: dict[Name, Columns] = field(init=False, default_factory=dict)
    others: int = field(init=False, default=0)
    _runs: dict[int, Run] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Evaluate the program once."""
        program = self.routes.program
        self.values |= {alias: self.values[leaf] for alias, leaf in self.routes.aliases.items()}
        names = [d.name for d in program.definitions]
        found = compiled(valued(program, names), self.sizes)(self.values)
        self.values |= {name: np.asarray(v) for name, v in zip(names, found, strict=True)}

    def measure(self) -> None:
        """Measure every cut."""
        for name, made in self.routes.cuts.items():
            point = np.array(self.values[name], dtype=np.float64)
            self.columns[name] = Columns(behind(made, self.sizes, self.values), point, made.kept, self.blur)
            self.columns[name].measure()

    @property
    def loss(self) -> float:
        """The value of the program."""
        return float(self.values[self.routes.program.value])

    @property
    def calls(self) -> int:
        """How often a loss was evaluated."""
        return 1 + self.others + sum(c.calls for c in self.columns.values())

    @property
    def amplification(self) -> float:
        """By how much the rounding of an argument of an exponential, say, is more than that of its value: its size."""
        sizes = [float(np.max(np.abs(c.point), initial=0.0)) for c in self.columns.values()]
        return 1.0 + min(max(sizes, default=0.0), LARGEST)

    def leaf(self, leaf: Name) -> Leaf:
        """Return what is known of a leaf: the sum of its shares."""
        shape = np.shape(self.values[leaf])
        total = Leaf(*(np.zeros(shape) for _ in fields(Leaf)))
        for share in self.routes.shares[leaf] or ():
            total = total + self.through(share)
        return total

    def through(self, share: Share) -> Leaf:
        """Return what goes to a leaf through one cut."""
        slopes = self.columns[share.cut].slopes
        if share.pull is None or share.absolute is None:
            return Leaf(slopes.value, slopes.bar, slopes.gap, np.abs(slopes.value), slopes.reach)
        bounds = (slopes.bar, slopes.gap, np.abs(slopes.value), slopes.reach)
        return Leaf(self._run(share.pull, slopes.value), *(self._run(share.absolute, a) for a in bounds))

    def slopes(self, name: Name) -> Floats:
        """Measure the slopes of any definition."""
        point = np.array(self.values[name], dtype=np.float64)
        made = cut(self.routes.program, name)
        columns = Columns(behind(made, self.sizes, self.values), point, made.kept)
        columns.measure()
        self.others += columns.calls
        return columns.slopes.value

    def at(self, definition: Definition, name: Name) -> Callable[[Floats], Floats]:
        """Return a definition as a function of one name that it reads."""
        run = compiled(alone(self.routes.program, definition), self.sizes)
        return lambda array: np.asarray(run({**self.values, name: array}), dtype=np.float64)

    def _run(self, program: Program, bar: Floats) -> Floats:
        """Return the pullback of ``bar``, which is the first input of its program."""
        run = self._compiled(program)
        return np.asarray(run({**self.values, program.inputs[0].name: bar}), dtype=np.float64)

    def sharpen(self, leaf: Name, mask: NDArray[np.bool_]) -> int:
        """Measure closely what moves the masked entries of a leaf; return how many columns there were left to measure."""
        count = 0
        for share in self.routes.shares[leaf] or ():
            columns = self.columns[share.cut]
            reached = mask if share.site is None else self._reached(share, leaf, mask)
            chosen = [c for c in columns.columns_of(reached) if c not in columns.sharp]
            columns.sharpen(chosen)
            count += len(chosen)
        return count

    def _reached(self, share: Share, leaf: Name, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the entries of the cut that the masked entries of the leaf move: NaN spreads to all of them."""
        marked = np.where(mask, np.nan, self.values[leaf])
        return np.isnan(self._at_site(share, leaf, marked))

    def _at_site(self, share: Share, leaf: Name, value: Array) -> Floats:
        if share.site is None:
            raise AssertionError("a leaf that is cut itself has no site")
        return np.asarray(self._compiled(share.site)({**self.values, leaf: value}), dtype=np.float64)

    def certified(self, leaf: Name, rng: np.random.Generator) -> bool:
        """Return whether every pullback to a leaf keeps ⟨B, D V⟩ = ⟨pull(B), V⟩ for a random B and V, D by differences."""
        for share in self.routes.shares[leaf] or ():
            if share.pull is None or share.absolute is None or share.site is None:
                continue
            here = self.values[leaf]
            move = (typical(here) or 1.0) * rng.normal(size=here.shape)
            cotangent = rng.normal(size=np.shape(self.values[share.cut]))
            step = 2.0**-14
            difference = self._at_site(share, leaf, here + step * move) - self._at_site(share, leaf, here - step * move)
            there = float(np.sum(cotangent * difference)) / (2 * step)
            back = float(np.sum(self._run(share.pull, cotangent) * move))
            size = float(np.sum(np.abs(self._run(share.absolute, np.abs(cotangent)) * move)))
            size += float(np.sum(np.abs(cotangent * self.values[share.cut])))
            if not abs(there - back) <= CERTAIN * size:
                return False
        return True

    def _compiled(self, program: Program) -> Run:
        if id(program) not in self._runs:
            self._runs[id(program)] = compiled(program, self.sizes)
        return self._runs[id(program)]
