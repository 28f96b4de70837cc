"""Every derivation checks itself before it is shown: each line against the line before, each result against complex steps.

The points respect the declared kinds; the sizes are distinct, so that a transpose shows, and once all ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivationError, DerivkitError
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Expr, Name, Ref, walk
from derivkit.symbolic.graph import Graph, Input
from derivkit.symbolic.index import Index
from derivkit.symbolic.steps import Result, Step

Array = NDArray[Any]
TOLERANCE = 1e-7  # of the largest entry: twice the digits that a wrong line could agree in by chance are left
STEP = 1e-40
POINTS = 2
LARGEST = 1_000_000  # entries of an array: fixed sizes beyond that are not evaluated
LONG_NODES = 300  # a longer derivation is checked at one point of each set of sizes, which costs half and sees the same


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


def selfcheck(primal: Graph, full: Graph, steps: tuple[Step, ...], results: Mapping[str, Result]) -> Checked:
    """Check every line and every result; raise :class:`DerivationError` (DK033) with the first line that fails."""
    worst, done, distinct = 0.0, 0, False
    lines = sum(max(1, len(s.substeps)) for s in steps) + len(results)
    rng = np.random.default_rng(20)
    long = sum(line.after.nodes for s in steps for line in s.substeps) > LONG_NODES
    count = 1 if long else POINTS
    for sizes in size_sets(primal):
        found = list(points(primal, sizes, rng, count))
        done += bool(found)
        distinct |= bool(found) and (not sizes or any(v > 1 for v in sizes.values()))
        for values in found:
            with np.errstate(all="ignore"):
                worst = max(worst, _at_point(primal, full, steps, results, values, sizes, rng))
    return Checked(lines, done if distinct else 0, count, worst)  # sizes of 1 alone show little


def _at_point(
    primal: Graph,
    full: Graph,
    steps: tuple[Step, ...],
    results: Mapping[str, Result],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> float:
    env = evaluate_graph(full, values, sizes)
    seen: dict[tuple[Expr, tuple[Index | None, ...]], Array] = {}

    def value(expr: Expr, order: tuple[Index | None, ...]) -> Array:
        if (expr, order) not in seen:
            seen[expr, order] = evaluate_expr(expr, env, sizes, order)
        return seen[expr, order]

    worst = 0.0
    for d in full.definitions:
        if d.shown is not None:
            worst = max(worst, _compare(env[d.name], value(d.shown, d.indices), str(d.name)))
    for step in steps:
        free = sorted(step.before.free, key=lambda i: i.uid)
        order: tuple[Index | None, ...] = (*free,)
        last = value(step.after, order)
        if step.before.name.kind != "local":  # type: ignore[attr-defined]
            worst = max(worst, _compare(value(step.before, order), last, f"step {step.number}"))
        for n, line in enumerate(step.substeps):  # a local derivative is checked through the adjoints that use it
            if not _reads_local(line):
                worst = max(worst, _compare(last, value(line.after, order), f"step {step.number}, line {n + 1}"))
    for result in results.values():
        if result.name in env:
            order = result.outputs + result.inputs
            worst = max(worst, _compare(env[result.name], value(result.expr, order), f"the result for {result.wrt}"))
    return max(worst, _against_complex_step(primal, tuple(results.values()), env, values, sizes, rng))


def _reads_local(line: Step) -> bool:
    return any(isinstance(n, Ref) and n.name.kind == "local" for n in walk(line.after))


def _compare(left: Array, right: Array, where: str, scale: float = 0.0) -> float:
    if not (np.all(np.isfinite(left)) and np.all(np.isfinite(right))):
        return 0.0  # the derivative itself has no value here: √ at 0, as the standard deviation of one number
    size = max(float(np.max(np.abs(left), initial=0.0)), float(np.max(np.abs(right), initial=0.0)), scale, 1e-3)
    error = float(np.max(np.abs(left - right), initial=0.0)) / size
    if error > TOLERANCE:
        raise DerivationError(
            f"{where} fails derivkit's own check (error {error:.1e})",
            code="DK033",
            hint="this is a bug in derivkit: please report it",
        )
    return error


def _against_complex_step(
    primal: Graph,
    results: tuple[Result, ...],
    env: Mapping[Name, Array],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> float:
    """Compare the results along one random direction with Im f(x + ih v) / h of the program (Squire & Trapp 1998).

    All inputs move at once, so that a network's check costs one evaluation whatever the number of its weights; when that
    disagrees they move one by one, to say which result is wrong.
    """
    inputs = tuple(r for r in results if r.wrt in primal.inputs)
    groups = [inputs] if inputs else []
    groups += [(r,) for r in results if r.wrt not in primal.inputs and r.wrt not in primal.extra]
    worst = 0.0
    for group in groups:
        try:
            worst = max(worst, _along_direction(primal, group, env, values, sizes, rng))
        except DerivationError:
            for one in group:
                _along_direction(primal, (one,), env, values, sizes, rng)
            raise
    return worst


def _along_direction(
    primal: Graph,
    group: tuple[Result, ...],
    env: Mapping[Name, Array],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> float:
    claimed, scale = np.zeros(()), 0.0
    directions: dict[Name, Array] = {}
    for result in group:
        shape = tuple(s.evaluate(sizes) for s in result.input_shape)
        direction = np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))
        derivative = (
            env[result.name] if result.name in env else evaluate_expr(result.expr, env, sizes, result.outputs + result.inputs)
        )
        claimed = claimed + (np.tensordot(derivative, direction, len(shape)) if shape else derivative * direction)
        scale += float(np.sum(np.abs(derivative), initial=0.0)) / max(1, derivative.size // max(1, direction.size))
        directions[result.wrt] = direction
    first = group[0]
    if first.wrt in primal.inputs:
        moved = dict(values)
        for name, direction in directions.items():
            moved[str(name)] = np.asarray(np.asarray(values[str(name)], dtype=complex) + 1j * STEP * direction)
        stepped = evaluate_graph(primal, moved, sizes)[primal.output]
    else:
        stepped = _continued(primal, first.wrt, env, directions[first.wrt], sizes)
    measured: Array = np.asarray(np.imag(stepped) / STEP)
    seed = next((n for n in env if str(n) == f"{primal.output}_bar"), None)
    if seed is not None and any(r.name.kind == "cotangent" for r in group):
        measured = np.asarray(np.sum(measured * env[seed]))
    where = "the result for " + ", ".join(str(r.wrt) for r in group)
    return _compare(measured, np.asarray(claimed), where, scale)


def _continued(primal: Graph, wrt: Name, env: Mapping[Name, Array], direction: Array, sizes: Mapping[str, int]) -> Array:
    """Return the output with the definition ``wrt`` moved: the definitions behind it are evaluated again."""
    here: dict[Name, Array] = {n: env[n] for n in primal.inputs}
    for d in primal.definitions:
        here[d.name] = evaluate_expr(d.rhs, here, sizes, d.indices)
        if d.name == wrt:
            here[d.name] = here[d.name] + 1j * STEP * direction
    return here[primal.output]


# -- sizes and points ---------------------------------------------------------------------------------------------------


def size_sets(graph: Graph) -> list[dict[str, int]]:
    """Return sets of sizes for a program: twice all distinct, once all ones (where the program allows it)."""
    names: dict[str, None] = {}
    for given in (*graph.inputs.values(), *graph.extra.values()):
        for size in (*given.shape, *(() if given.range is None else (given.range,))):
            names.update(dict.fromkeys(size.names()))
    for d in graph.definitions:
        for size in d.shape:
            names.update(dict.fromkeys(size.names()))
    order = list(names)
    distinct = {n: 3 + i for i, n in enumerate(order)}
    other = {n: 2 + (i + 1) % len(order) for i, n in enumerate(order)} if len(order) > 1 else dict.fromkeys(order, 5)
    choices = [distinct, other, dict.fromkeys(order, 1)] if order else [{}]
    found = [c for c in choices if _possible(graph, c)]
    for larger in (3, 7, 15):  # a size such as N − 2 needs room
        if found or not order:
            break
        found = [moved for c in choices[:2] if _possible(graph, moved := {n: v + larger for n, v in c.items()})]
    return found


def _possible(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Say whether every axis has a size and no array is too large to evaluate a dozen times."""
    out = graph.shape(graph.output)
    shapes = [d.shape for d in graph.definitions] + [out + g.shape for g in graph.inputs.values()]
    lengths = [[s.evaluate(sizes) for s in shape] for shape in shapes]
    return all(n >= 1 for shape in lengths for n in shape) and all(prod(shape) <= LARGEST for shape in lengths)


_SAMPLERS = ("spread", "positive", "unit")


def points(graph: Graph, sizes: Mapping[str, int], rng: np.random.Generator, count: int) -> Iterator[dict[str, Array]]:
    """Yield ``count`` points at which every node of the program is finite; none when none is found."""
    for sampler in _SAMPLERS:
        found = []
        for _ in range(count):
            values = _finite_point(graph, sizes, rng, sampler)
            if values is not None:
                found.append(values)
        if len(found) == count:
            yield from found
            return


def _finite_point(graph: Graph, sizes: Mapping[str, int], rng: np.random.Generator, sampler: str) -> dict[str, Array] | None:
    """Return a point at which every node is finite, ``None`` where this one is not, or where an axis is empty."""
    with np.errstate(all="ignore"):
        try:
            values = {str(n): sample(g, sizes, rng, sampler) for n, g in (*graph.inputs.items(), *graph.extra.items())}
            env = evaluate_graph(graph, values, sizes)
        except (DerivkitError, ArithmeticError, ValueError, IndexError):
            return None
    return values if all(np.all(np.isfinite(a)) for a in env.values() if a.dtype.kind in "fc") else None


def sample(given: Input, sizes: Mapping[str, int], rng: np.random.Generator, sampler: str = "spread") -> Array:
    """Return a random array of an input's kind and shape; ``sampler`` is where reals lie: spread, positive or unit."""
    shape = tuple(s.evaluate(sizes) for s in given.shape)
    kind = given.kind
    if kind == "label":
        return np.asarray(rng.integers(0, 1 if given.range is None else given.range.evaluate(sizes), shape))
    if kind == "mask":
        return rng.integers(0, 2, shape).astype(float)
    if kind == "onehot":
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if kind == "simplex":
        raw = rng.uniform(0.2, 1.0, shape)
        return np.asarray(raw / raw.sum(axis=-1, keepdims=True))
    values = _reals(shape, rng, "positive" if kind == "positive" and sampler == "spread" else sampler)
    return np.asarray((values + np.swapaxes(values, -1, -2)) / 2) if kind == "symmetric" else values


def _reals(shape: tuple[int, ...], rng: np.random.Generator, sampler: str) -> Array:
    if sampler == "positive":
        return rng.uniform(0.3, 1.7, shape)
    if sampler == "unit":
        return rng.uniform(0.15, 0.85, shape)
    return np.asarray(rng.uniform(0.2, 1.2, shape) * rng.choice([-1.0, 1.0], shape))
