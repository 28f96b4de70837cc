"""Every derivation checks itself before it is shown: each line against the line before, each result against complex steps.

The points respect the declared kinds; the sizes are distinct, so that a transpose shows, and once all ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivationError
from derivkit.symbolic.derive.around import around
from derivkit.symbolic.derive.kinds import Claim
from derivkit.symbolic.derive.measure import compare, measure, worst_of
from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.derive.rounding import is_rounding
from derivkit.symbolic.evaluate import Evaluation, evaluate_graph
from derivkit.symbolic.expr import Expr, Ref, freshen, references, replace, substitute, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.steps import Result, Step

Array = NDArray[Any]
POINTS = 2
LONG_NODES = 300  # a longer derivation is checked at one point of each set of sizes, which costs half and sees the same
LARGEST_TOTAL = 4_000_000  # entries of all arrays together: fixed sizes beyond that are not evaluated
SHORT_AXIS = 30
VERY_LONG_NODES = 3_000  # beyond, two sets of sizes are enough; the line that is printed says how many there were


@dataclass(frozen=True)
class Checked:
    """How many lines were checked, at how many sets of sizes and points, and the worst relative error."""

    lines: int
    sizes: int
    points: int
    worst: float

    def __str__(self) -> str:
        """Return the sentence that is printed under a derivation."""
        if not self.sizes:
            return "not checked: no point was found at which the program is finite and small enough to evaluate"
        return (
            f"checked: {self.lines} of {self.lines} lines at {_sets(self.sizes)} × {self.points} point{'s' * (self.points > 1)}, "
            f"worst error {self.worst:.0e}"
        )


def _sets(count: int) -> str:
    return "one set of sizes" if count == 1 else f"{count} sets of sizes"


def selfcheck(
    primal: Graph, full: Graph, steps: tuple[Step, ...], results: Mapping[str, Result], claims: tuple[Claim, ...]
) -> Checked:
    """Check every line and every result; raise :class:`DerivationError` (DK033) with the first line that fails.

    ``claims`` say what the results are derivatives of.
    """
    worst, done, distinct = 0.0, 0, False
    lines = sum(max(1, len(s.substeps)) for s in steps) + len(results)
    rng = np.random.default_rng(20)
    nodes = sum(line.after.nodes for s in steps for line in s.substeps)
    count = 1 if nodes > LONG_NODES else POINTS
    sets, enough = size_sets(primal), 3
    if nodes > VERY_LONG_NODES:
        sets, enough = [*sets[:1], *sets[:0:-1]], 2  # sizes of 1 before a second set of distinct ones
    for sizes in sets:
        if done == enough or _entries(full, steps, sizes) > LARGEST_TOTAL:
            continue
        found = list(points(primal, sizes, rng, count))
        with np.errstate(all="ignore"):
            errors = [_at_point(primal, full, steps, results, claims, values, sizes, rng) for values in found]
        if not any(e == e for e in errors):
            continue  # a derivative that has no value there is not checked
        worst, done = max(worst, worst_of(errors)), done + 1
        distinct |= not sizes or any(v > 1 for v in sizes.values())
    return Checked(lines, done if distinct else 0, count, worst)  # sizes of 1 alone show little


def _entries(graph: Graph, steps: tuple[Step, ...], sizes: Mapping[str, int]) -> int:
    """Return how many entries the arrays of a check have: of all definitions, and within the lines where axes are long."""
    shapes = [[s.evaluate(sizes) for s in d.shape] for d in graph.definitions]
    total = sum(map(prod, shapes))
    if all(n <= SHORT_AXIS for shape in shapes for n in shape):
        return total
    within = {n for step in steps for line in step.substeps for n in walk(line.after)}
    return total + sum(prod(i.size.evaluate(sizes) for i in n.free) for n in within)


def _at_point(
    primal: Graph,
    full: Graph,
    steps: tuple[Step, ...],
    results: Mapping[str, Result],
    claims: tuple[Claim, ...],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> float:
    env = evaluate_graph(full, values, sizes)
    run = Evaluation(env, sizes)
    seen: dict[tuple[Expr, tuple[Index | None, ...]], Array] = {}

    def value(expr: Expr, order: tuple[Index | None, ...]) -> Array:
        if (expr, order) not in seen:
            seen[expr, order] = run.array(expr, order)
        return seen[expr, order]

    def gap(left: Array, right: Array, lines: tuple[Expr, ...], order: tuple[Index | None, ...], where: str) -> float:
        try:
            return compare(left, right, where)
        except DerivationError:
            if not is_rounding(left, right, lines, run, order):
                raise
            return 0.0  # of what was added and taken away again, nothing is wrong

    worst, opened = 0.0, _opened(steps)
    for d in full.definitions:
        if d.shown is not None:
            worst = max(worst, gap(env[d.name], value(d.shown, d.indices), (d.rhs, d.shown), d.indices, str(d.name)))
    for step in steps:
        free = sorted(step.before.free, key=lambda i: i.uid)
        order: tuple[Index | None, ...] = (*free,)
        last = value(step.after, order)
        if step.before.name.kind != "local":  # type: ignore[attr-defined]
            worst = max(worst, gap(value(step.before, order), last, (step.after,), order, f"step {step.number}"))
        for n, line in enumerate(step.substeps):  # a local derivative is checked through the adjoints that use it
            if (after := opened.get(id(line))) is not None:
                where = f"step {step.number}, line {n + 1}"
                worst = max(worst, gap(value(after, order), last, (step.after, after), order, where))  # 0/0 may be cancelled
    for result in results.values():
        if result.name in env:
            order = result.outputs + result.inputs
            worst = max(
                worst, gap(env[result.name], value(result.expr, order), (result.expr,), order, f"the result for {result.wrt}")
            )
    off = worst_of([around(primal, claim, values, sizes, rng) for claim in claims])
    measured = worst_of([measure(claim, env, values, sizes, rng) for claim in claims])
    worst = max(worst, off) if off == off else worst
    return max(measured, worst) if measured == measured else measured


def _opened(steps: tuple[Step, ...]) -> dict[int, Expr]:
    """Return the lines by identity, the local derivatives that they quote written out; without those that cannot be."""
    told = {s.before.name: s for s in steps if isinstance(s.before, Ref) and s.before.name.kind == "local"}

    def change(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or node.name not in told:
            return None
        step = told[node.name]
        pairs: dict[Index, Affine] = {}
        for own, sub in zip(step.before.subs, node.subs, strict=True):  # type: ignore[attr-defined]
            if own.bare is not None and pairs.setdefault(own.bare, sub) != sub:
                return None  # the diagonal of an elementwise operation, read beside it
        return substitute(freshen(step.after), pairs)

    made = {}
    for line in (line for s in steps for line in s.substeps):
        after = replace(line.after, change, told.keys())
        if not any(name.kind == "local" for name in references(after)):
            made[id(line)] = after
    return made
