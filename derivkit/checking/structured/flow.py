"""How a fault at one array would show in every leaf before it: without a derivative, for any number of suspects at once.

If the slopes by an array z are off by Δ on the way back, a leaf W is off by Jᵀ Δ.  Along a direction V of W that is ⟨Δ, J V⟩, and
J V, for all arrays of the program together, takes a few evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.structured.columns import BARS, Columns, typical
from derivkit.checking.structured.measured import Measurement
from derivkit.checking.structured.routes import Run, compiled
from derivkit.checking.structured.verdict import Judged
from derivkit.numeric.codegen.cuts import Cut, alone, contracted, cut, unused, valued
from derivkit.numeric.codegen.lift import Program
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.graph import Definition, Input

Floats = NDArray[np.float64]

#: So many directions of each leaf.
DIRECTIONS = 4
#: Steps of the two coarse differences and of the fine one: where they disagree a kink is in between, and the fine one holds.
COARSE, FINE = 1e-4, 1e-6
#: Errors of entries add up to so many times the root of their squares at the most: each of their bounds is wide already.
SPREAD = 2.0
#: Products of two measured numbers agree to this share.
CLOSE = 2e-7
#: No more columns than this are measured of an array on the way: there, no cause is looked for.
MOST = 2000
#: A suspect is convicted by so many digits that agree, and by as many more for a number that is fitted.
DIGITS = 6.0
#: A factor below this is none.
VANISHED = 1e-6


@dataclass(frozen=True, slots=True)
class Fault:
    """A suspect: the slopes by ``at`` are off by ``change``, plus an unknown multiple of ``extra`` where there is one.

    ``said`` follows "W1's gradient"; {factor} in it and in ``code`` stands for one more than the multiple, {verb:...} is put
    into the plural.
    """

    code: str
    said: str
    at: Name
    change: Floats
    extra: Floats | None = None

    @property
    def is_scale(self) -> bool:
        """Whether a mere factor is wrong."""
        return self.code.startswith("scale")


@dataclass(frozen=True, slots=True)
class Row:
    """What a leaf is off by along one direction, how well that is known, and how each array moves along it."""

    off: float
    allowed: float
    moves: Mapping[Name, Floats]


@dataclass(slots=True)
class Flow:
    """The program, what was measured at it, and a few directions of each leaf."""

    program: Program
    m: Measurement
    judged: Sequence[Judged]
    leaves: Mapping[str, Name]
    rows: dict[str, list[Row]] = field(init=False, default_factory=dict)
    _slopes: dict[Name, Floats | None] = field(init=False, default_factory=dict)
    _local: dict[tuple[Name, Name], tuple[Cut, Run, Name]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Move each leaf along its directions."""
        names = [d.name for d in self.program.definitions]
        run = compiled(valued(self.program, names), self.m.sizes)
        rng = np.random.default_rng([0, 2])
        for j in self.judged:
            self.rows[j.name] = [self._row(j, rng.normal(size=j.claim.shape), names, run) for _ in range(DIRECTIONS)]

    def _row(self, j: Judged, way: Floats, names: Sequence[Name], run: Run) -> Row:
        leaf, unit = self.leaves[j.name], (typical(j.point) or 1.0)

        def central(step: float) -> list[Floats]:
            there, back = (run({**self.m.values, leaf: j.point + s * unit * way}) for s in (step, -step))
            pairs = zip(there, back, strict=True)
            return [np.asarray((np.asarray(a, float) - np.asarray(b, float)) / (2 * step * unit)) for a, b in pairs]

        moves = {leaf: way}
        for name, wide, half, fine in zip(names, central(COARSE), central(COARSE / 2), central(FINE), strict=True):
            smooth = (4 * half - wide) / 3
            moves[name] = np.where(np.abs(smooth - fine) <= 1e-6 * (np.abs(smooth) + typical(smooth)), smooth, fine)
        found = j.found
        bar = BARS * found.bar + found.gap + j.granted + 1e-7 * typical(found.value)
        return Row(float(np.sum((j.claim - found.value) * way)), SPREAD * float(np.sqrt(np.sum((bar * way) ** 2))), moves)

    # -- what is asked of a suspect ---------------------------------------------------------------------------------------

    def reaches(self, name: Name, j: Judged) -> bool:
        """Return whether an array moves with a leaf."""
        return any(np.any(row.moves[name]) for row in self.rows[j.name] if name in row.moves)

    def explains(self, fault: Fault) -> tuple[list[str], float]:
        """Return the wrong leaves that a fault explains, nearest to the loss first, and the multiple.

        There are none where a right leaf would be wrong, too.
        """
        if not np.all(np.isfinite(fault.change)) or (fault.extra is not None and not np.all(np.isfinite(fault.extra))):
            return [], 0.0
        reached = [j for j in self.judged if self.reaches(fault.at, j)]
        wrong = [j for j in self.backwards(reached) if np.any(j.wrong)]
        if not wrong:
            return [], 0.0
        multiple, slack = (0.0, 0.0) if fault.extra is None else self._fitted(fault, self.rows[wrong[0].name])
        if not np.isfinite(multiple):
            return [], 0.0
        agreeing = {j.name: self._digits(fault, multiple, slack, j) for j in reached}
        if any(agreeing[j.name] is None for j in reached if not np.any(j.wrong)):
            return [], 0.0
        names = [j.name for j in wrong if agreeing[j.name] is not None]
        digits = sum(agreeing[name] or 0.0 for name in names)
        enough = digits >= DIGITS * (1 if fault.extra is None else 2)
        lost = fault.is_scale and not abs(1 + multiple) > VANISHED  # what is left out altogether has its own suspects
        return (names, multiple) if enough and not lost else ([], 0.0)

    def _fitted(self, fault: Fault, rows: Sequence[Row]) -> tuple[float, float]:
        """Return the multiple that fits best, and how well it is known."""
        terms = (fault.change, fault.change if fault.extra is None else fault.extra)
        parts = np.array([[float(np.sum(a * r.moves[fault.at])) for a in terms] for r in rows])
        rest = np.array([r.off for r in rows]) - parts[:, 0]
        weight = float(parts[:, 1] @ parts[:, 1])
        if not weight > 0:
            return float("nan"), 0.0
        known = max(r.allowed for r in rows) / float(np.sqrt(weight))
        return float(parts[:, 1] @ rest) / weight, known

    def _digits(self, fault: Fault, multiple: float, slack: float, j: Judged) -> float | None:
        """Return to how many digits in all a fault predicts what a leaf is off by; ``None`` if it does not."""
        change = fault.change if fault.extra is None else fault.change + multiple * fault.extra
        each = []
        for row in self.rows[j.name]:
            moves = row.moves[fault.at]
            products = change * moves
            allowed = row.allowed + CLOSE * float(np.sqrt(np.sum(products**2)))
            allowed += 0.0 if fault.extra is None else slack * abs(float(np.sum(fault.extra * moves)))
            if not abs(float(np.sum(products)) - row.off) <= allowed:
                return None
            each.append(float(np.log10(max(abs(row.off) / allowed, 1.0))) if allowed > 0 else 16.0)
        return float(np.mean(each)) * min(DIRECTIONS, j.claim.size)

    def backwards(self, judged: Sequence[Judged]) -> list[Judged]:
        """Return leaves in the order in which the way back from the loss meets them."""
        return sorted(judged, key=lambda j: -self.met(j.name))

    def met(self, word: str) -> int:
        """Return the place of the last definition that reads a leaf."""
        leaf = self.leaves[word]
        return max((n for n, d in enumerate(self.program.definitions) if leaf in references(d.rhs)), default=-1)

    # -- what is measured for them ----------------------------------------------------------------------------------------

    def readers(self, name: Name) -> list[Definition]:
        """Return the definitions that read an array."""
        return [d for d in self.program.definitions if name in references(d.rhs)]

    def value(self, name: Name) -> Floats:
        """Return an array at the point."""
        return np.asarray(self.m.values[name], dtype=np.float64)

    def kept(self, name: Name) -> tuple[int, ...]:
        """Return the axes of an array along which losses do not mix: the samples."""
        return cut(self.program, name).kept

    def slopes(self, name: Name) -> Floats | None:
        """Return the measured slopes of the loss by an array, or ``None`` for one that takes too many columns."""
        if name not in self._slopes:
            known = next((j.found.value for j in self.judged if self.leaves[j.name] == name), None)
            if name == self.program.value:
                known = np.ones(())
            if known is None and self._columns(cut(self.program, name)) <= MOST:
                known = self.m.columns[name].slopes.value if self._is_measured(name) else self.m.slopes(name)
            self._slopes[name] = known if known is not None and np.all(np.isfinite(known)) else None
        return self._slopes[name]

    def _is_measured(self, name: Name) -> bool:
        return name in self.m.columns and name not in self.m.routes.aliases.values()

    def _columns(self, made: Cut) -> int:
        return int(np.prod([s.evaluate(self.m.sizes) for n, s in enumerate(made.shape) if n not in made.kept]))

    def pulled(self, reader: Definition, name: Name, held: Mapping[Name, Floats] | None = None) -> Floats | None:
        """Return what goes back to an array through one reader of it, by differences of that line alone.

        ``held`` puts other numbers in the place of what else the line reads, on the way back only.
        """
        behind = self.slopes(reader.name)
        if behind is None:
            return None
        if held is None and len(self.readers(name)) == 1:
            return self.slopes(name)
        made, run, bar = self._line(reader, name)
        if self._columns(made) > MOST:
            return None
        values = {**self.m.values, bar: behind, **(held or {})}
        columns = Columns(lambda array: np.asarray(run({**values, name: array})), self.value(name).copy(), made.kept)
        columns.measure()
        self.m.others += columns.calls
        return columns.slopes.value

    def _line(self, reader: Definition, name: Name) -> tuple[Cut, Run, Name]:
        """Return one definition, times its slopes, cut open at an array that it reads."""
        if (reader.name, name) not in self._local:
            program = alone(self.program, reader)
            bar = Input(unused(self.program, "bar"), "real", reader.shape)
            from_loss = contracted(Program((*program.inputs, bar), (reader,), reader.name, {}, "value"), bar.name)
            made = cut(from_loss, name)
            self._local[reader.name, name] = (made, compiled(made.tail, self.m.sizes), bar.name)
        return self._local[reader.name, name]
