"""Both sides of a relation at random sizes and points."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.verify.samples import close
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.points import sample
from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import Expr, Name, SizeOf, walk
from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.terms import Term

Array = NDArray[Any]
POINTS = 4
LONGEST, TRIES = 8, 400  # sizes that are drawn where windows have to fit
LEAST, MOST = 1e-9, 1e-5  # the change of the numbers at a point, and that of a side which it may bring
SAMPLERS = ("spread", "positive", "unit")


@dataclass(frozen=True, slots=True)
class Point:
    """A point: sizes, inputs by name, and the value of every line."""

    sizes: Mapping[str, int]
    values: Mapping[Name, Array]

    @property
    def floor(self) -> float:
        """What the rounding of terms that cancel may leave here."""
        return 1e-12 * max((float(np.max(np.abs(a), initial=1.0)) for a in self.values.values()), default=1.0)


@dataclass(frozen=True, slots=True)
class Sides:
    """Two terms with their common free indices, and a condition on those."""

    left: Term
    right: Term
    free: tuple[Index, ...]
    where: Expr | None = None

    @property
    def lettered(self) -> int:
        """How many axes of the values are letters': a condition leaves a list of the entries at which it holds."""
        return 0 if self.where is not None else len(self.free)


def sides(left: Term, right: Term, where: Expr | None = None) -> Sides:
    """Return two terms with the free indices of both in one order."""
    found = {i for t in (left, right) for i in t.expr.free - {*t.axes}}
    if where is not None:
        found |= where.free
    return Sides(left, right, tuple(sorted(found, key=lambda i: i.uid)), where)


def points(
    meaning: Meaning, terms: tuple[Term, ...], seed: int = 0, kinds: Mapping[Name, str] | None = None, smallest: bool = False
) -> Iterator[Point]:
    """Yield points at several sets of sizes at which every line that ``terms`` need has a finite value.

    ``kinds`` are other kinds for some inputs; the ``smallest`` sizes come first where that is asked for.
    """
    exprs = tuple(t.expr for t in terms)
    needed = meaning.needed(n for e in exprs for n in e.reads)
    lengths = _lengths(meaning, exprs, needed) | {i.size for t in terms for i in t.axes}
    names = sorted({w for s in lengths for w in s.names()})
    rng = np.random.default_rng(seed)
    sets = _size_sets(names, lengths)
    if smallest:
        sets = [dict.fromkeys(names, 1), dict.fromkeys(names, 2), *sets]
    for sizes in sets:
        for n in range(POINTS):
            for sampler in SAMPLERS[n % len(SAMPLERS) :] + SAMPLERS:
                point = _point(meaning, needed, sizes, rng, sampler, kinds or {})
                if point is not None:
                    yield point
                    break


def _lengths(meaning: Meaning, exprs: tuple[Expr, ...], needed: set[Name]) -> set[Size]:
    """Return every size that some terms and what they are made of have."""
    lines = [meaning.definitions[n].rhs for n in needed if n in meaning.definitions]
    sizes = {s for n in needed if n in meaning.inputs for s in meaning.inputs[n][1]}
    sizes |= {size for name, size in meaning.ranges.items() if name in needed}
    for expr in (*exprs, *lines):
        for node in walk(expr):
            sizes.update(i.size for i in node.free)
            if isinstance(node, SizeOf):
                sizes.add(node.size)
    return sizes


def _size_sets(names: list[str], lengths: Collection[Size]) -> list[dict[str, int]]:
    """Return sets of sizes: all distinct, and another way round; where a length L - P + 1 would not be positive, others."""
    if not names:
        return [{}]
    sets = [{n: 3 + k for k, n in enumerate(names)}, {n: 2 + (k + 1) % len(names) for k, n in enumerate(names)}]
    if all(_is_long(lengths, sizes) for sizes in sets):
        return sets
    rng = np.random.default_rng(0)
    drawn = [dict(zip(names, map(int, rng.integers(2, LONGEST, len(names))), strict=True)) for _ in range(TRIES)]
    return [sizes for sizes in (*sets, *drawn) if _is_long(lengths, sizes)][:3]


def _is_long(lengths: Collection[Size], sizes: Mapping[str, int]) -> bool:
    return all(length.evaluate(sizes) > 0 for length in lengths)


def _point(
    meaning: Meaning,
    needed: set[Name],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
    sampler: str,
    kinds: Mapping[Name, str],
) -> Point | None:
    inputs = ((n, Input(n, kinds.get(n, kind), shape, meaning.ranges.get(n))) for n, (kind, shape) in meaning.inputs.items())
    try:
        with np.errstate(all="ignore"):
            env = {name: sample(given, sizes, rng, sampler) for name, given in inputs if name in needed}
            _evaluate_lines(meaning, needed, env, sizes)
    except (DerivkitError, ArithmeticError, ValueError, KeyError, IndexError):
        return None
    if not all(np.all(np.isfinite(a)) and np.max(np.abs(a), initial=0.0) < 1e6 for a in env.values()):
        return None
    return Point(sizes, env)


def _evaluate_lines(meaning: Meaning, needed: Collection[Name], env: dict[Name, Array], sizes: Mapping[str, int]) -> None:
    """Add the values of the needed lines to those of the inputs."""
    for name, definition in meaning.definitions.items():
        if name in needed:
            env[name] = evaluate_expr(definition.rhs, env, sizes, definition.indices)


def values(given: Sides, point: Point) -> tuple[Array, Array] | None:
    """Return both sides at a point, their free indices first; ``None`` where one has no value."""
    try:
        with np.errstate(all="ignore"):
            left, right = (
                np.asarray(evaluate_expr(t.expr, point.values, point.sizes, (*given.free, *t.axes)), dtype=float)
                for t in (given.left, given.right)
            )
            if given.where is not None:
                mask = np.asarray(evaluate_expr(given.where, point.values, point.sizes, given.free)) != 0
                left, right = (a[mask] for a in (left, right))
    except (DerivkitError, ArithmeticError, ValueError, KeyError, IndexError):
        return None
    return left, right


def is_unsteady(meaning: Meaning, given: Sides, point: Point, pair: tuple[Array, Array]) -> bool:
    """Say whether a point tells nothing: the least change of its numbers changes a side, as where a matrix has no inverse."""
    env: dict[Name, Array] = {}
    try:
        with np.errstate(all="ignore"):
            for name, array in ((n, a) for n, a in point.values.items() if n not in meaning.definitions):
                fixed = meaning.inputs[name][0] in ("label", "onehot", "mask", "simplex")
                env[name] = array if fixed else array * (1 + LEAST * np.cos(np.arange(array.size)).reshape(array.shape))
            _evaluate_lines(meaning, point.values, env, point.sizes)
    except (DerivkitError, ArithmeticError, ValueError, KeyError, IndexError):
        return True
    moved = values(given, Point(point.sizes, env))
    if moved is None or any(a.shape != b.shape for a, b in zip(pair, moved, strict=True)):
        return True
    sizes = [float(np.max(np.abs(a), initial=0.0)) for a in pair]
    changes = [float(np.max(np.abs(a - b), initial=0.0)) for a, b in zip(pair, moved, strict=True)]
    return any(not change <= MOST * size + point.floor for change, size in zip(changes, sizes, strict=True))


def agree(left: Array, right: Array, free: int, floor: float) -> bool:
    """Say whether two sides are equal, in either layout of the axes that matrix notation does not write.

    Differences below ``floor`` are the rounding of terms that cancel.
    """
    if left.ndim != right.ndim:
        return False
    if _near(left, right, floor):
        return True
    more = right.ndim - free
    orders = permutations(range(more)) if 1 < more < 5 else ()
    return any(_near(left, np.transpose(right, (*range(free), *(free + n for n in order))), floor) for order in orders)


def _near(left: Array, right: Array, floor: float) -> bool:
    if left.shape != right.shape or not np.all(np.isfinite(right)):  # within what is granted of infinity lies everything
        return False
    return close(left, right) or bool(np.max(np.abs(left - right), initial=0.0) <= floor)
