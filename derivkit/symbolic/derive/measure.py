"""Results against complex steps of what they are derivatives of: no rule of differentiation is used here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivationError
from derivkit.symbolic.derive.kinds import Claim
from derivkit.symbolic.evaluate import Evaluation, evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Name, Num, Pow, Prim, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.steps import Result

Array = NDArray[Any]
TOLERANCE = 1e-7  # of the largest entry: twice the digits that a wrong line could agree in by chance are left
STEP = 1e-40
NUDGES = 3
LOST = 8  # entries without a value that are measured one by one
UNSURE = 100  # times what a unit of rounding in the inputs does: the operations between round as often as that


def measure(
    claim: Claim, env: Mapping[Name, Array], values: Mapping[str, Array], sizes: Mapping[str, int], rng: np.random.Generator
) -> float:
    """Compare the results of a claim with Im f(x + ih v) / h of its graph (Squire & Trapp 1998); return the worst error.

    It is nan where nothing could be compared.  The direction v is the claim's own, or random.  All inputs move at once, so that
    a network's check costs one evaluation whatever the number of its weights; when that disagrees they move one by one, to say
    which result is wrong.
    """
    if claim.directions:
        given = {name: env[direction] for name, direction in claim.directions.items()}
        measured = _moved(claim.graph, given, env, values, sizes)
        errors = [
            _judged(measured, _value(r, env, sizes), f"the result for {r.wrt}", claim.graph, env, sizes) for r in claim.results
        ]
        return worst_of(errors)
    inputs = tuple(r for r in claim.results if r.wrt in claim.graph.inputs)
    groups = [inputs] if inputs else []
    groups += [(r,) for r in claim.results if r.wrt not in claim.graph.inputs and r.wrt not in claim.graph.extra]
    errors = []
    for group in groups:
        try:
            errors.append(_along_direction(claim.graph, group, env, values, sizes, rng))
        except DerivationError:
            for one in group:
                _along_direction(claim.graph, (one,), env, values, sizes, rng)
            raise
    return worst_of(errors)


def worst_of(errors: Iterable[float]) -> float:
    """Return the largest of the errors that could be had; nan where there are some and none of them could.

    >>> worst_of([]), worst_of([float("nan"), 1e-16]), worst_of([float("nan")])
    (0.0, 1e-16, nan)
    """
    every = list(errors)
    return max((e for e in every if e == e), default=np.nan if every else 0.0)


def compare(left: Array, right: Array, where: str, scale: float = 0.0) -> float:
    """Return the relative error between two arrays where the ``left`` one has values, nan where it has none.

    Raise DK033, saying ``where``, when the error is no rounding error, or when the right one has no value where the left has one.
    """
    known = np.isfinite(left)
    if (known & ~np.isfinite(right)).any():
        raise _failed(f"{where} fails derivkit's own check (it has no value where there is one)")
    if not known.all():
        if not known.any():
            return np.nan  # the derivative itself has no value here: √ at 0
        left, right = np.where(known, left, 0.0), np.where(known, right, 0.0)
    size = max(float(np.abs(left).max(initial=0.0)), float(np.abs(right).max(initial=0.0)), scale, 1e-3)
    error = float(np.abs(left - right).max(initial=0.0)) / size
    if error > TOLERANCE:
        raise _failed(f"{where} fails derivkit's own check (error {error:.1e})")
    return error


def _failed(message: str) -> DerivationError:
    return DerivationError(message, code="DK033", hint="this is a bug in derivkit: please report it")


def _judged(
    measured: Array,
    claimed: Array,
    where: str,
    graph: Graph,
    env: Mapping[Name, Array],
    sizes: Mapping[str, int],
    scale: float = 0.0,
) -> float:
    """Compare with what was measured; at the edge of a root's domain a derivative may have no value though a step finds one."""
    lost = np.isfinite(measured) & ~np.isfinite(claimed)
    if np.any(lost) and at_edge(graph, env, sizes):
        measured = np.where(lost, np.nan, measured)
    return compare(measured, claimed, where, scale)


def _along_direction(
    graph: Graph,
    group: tuple[Result, ...],
    env: Mapping[Name, Array],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> float:
    claimed, scale = np.zeros(()), 0.0
    directions: dict[Name, Array] = {}
    lost: dict[Name, tuple[Array, Array]] = {}
    for result in group:
        shape = tuple(s.evaluate(sizes) for s in result.input_shape)
        direction = np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))
        derivative = _value(result, env, sizes)
        if not np.all(np.isfinite(derivative)):  # what has no value stands still, and is looked at by itself below
            entries = ~np.all(np.isfinite(derivative), axis=tuple(range(derivative.ndim - len(shape))))
            lost[result.wrt] = entries, derivative
            derivative, direction = np.where(entries, 0.0, derivative), np.where(entries, 0.0, direction)
        claimed = claimed + (np.tensordot(derivative, direction, len(shape)) if shape else derivative * direction)
        scale += float(np.sum(np.abs(derivative), initial=0.0)) / max(1, derivative.size // max(1, direction.size))
        directions[result.wrt] = direction
    seed = next((n for n in env if str(n) == f"{graph.output}_bar"), None)
    pulled = seed is not None and any(r.name.kind == "cotangent" for r in group)

    def measured(at: Mapping[str, Array], along: Mapping[Name, Array] = directions) -> Array:
        made = _moved(graph, along, env, at, sizes)
        return np.asarray(np.sum(made * env[seed])) if pulled and seed is not None else made

    first = measured(values)
    where = "the result for " + ", ".join(str(r.wrt) for r in group)
    if lost and not at_edge(graph, env, sizes):
        for name, (entries, derivative) in lost.items():
            for entry in np.argwhere(entries)[:LOST]:
                step = np.zeros(entries.shape)
                step[tuple(entry)] = 1.0
                compare(measured(values, {name: step}), derivative[(..., *entry)], where)
    if lost and not any(np.any(d) for d in directions.values()):
        return np.nan
    try:
        return compare(first, np.asarray(claimed), where, scale)
    except DerivationError:
        again = (measured(_nudged(values, rng)) for _ in range(NUDGES))
        unsure = float(np.max([np.max(np.abs(first - a), initial=0.0) for a in again]))
        if float(np.max(np.abs(first - claimed), initial=0.0)) > UNSURE * unsure:
            raise
        return 0.0


def at_edge(graph: Graph, env: Mapping[Name, Array], sizes: Mapping[str, int]) -> bool:
    """Say whether the program takes a root or a norm of 0, where it has no derivative: the deviation of one number."""
    run = Evaluation(env, sizes)
    for d in graph.definitions:
        for node in walk(d.rhs) if d.name.kind in {"user", "anon"} else ():
            root = isinstance(node, Pow) and not (isinstance(node.exponent, Num) and node.exponent.value.denominator == 1)
            if root or (isinstance(node, Prim) and node.op == "norm"):
                inner = node.base if isinstance(node, Pow) else node
                if not np.all(run.run(inner)[1]):
                    return True
    return False


def _nudged(values: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Return the inputs moved by a unit of rounding: what then changes has no more digits at this point."""
    nudge = {n: a.dtype.kind == "f" for n, a in values.items()}
    return {n: a * (1 + np.finfo(float).eps * rng.choice([-1.0, 1.0], a.shape)) if nudge[n] else a for n, a in values.items()}


def _value(result: Result, env: Mapping[Name, Array], sizes: Mapping[str, int]) -> Array:
    return env[result.name] if result.name in env else evaluate_expr(result.expr, env, sizes, result.outputs + result.inputs)


def _moved(
    graph: Graph,
    directions: Mapping[Name, Array],
    env: Mapping[Name, Array],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
) -> Array:
    """Return the derivative of the output of ``graph`` as the names of ``directions`` move along them.

    Measured is the program where nothing is read under another line's name, whatever was differentiated.
    """
    graph = graph.apart or graph
    if all(n in graph.inputs or n in graph.extra for n in directions):
        moved = dict(values)
        for name, direction in directions.items():
            moved[str(name)] = np.asarray(np.asarray(values[str(name)], dtype=complex) + 1j * STEP * direction)
        return np.asarray(np.imag(evaluate_graph(graph, moved, sizes)[graph.output]) / STEP)
    here = stepped(graph, {n: env[n] for n in graph.inputs}, directions, sizes)
    return np.asarray(np.imag(here[graph.output]) / STEP)


def stepped(
    graph: Graph,
    given: Mapping[Name, Array],
    along: Mapping[Name, Array],
    sizes: Mapping[str, int],
    moved: Mapping[Name, Array] | None = None,
) -> dict[Name, Array]:
    """Return the values of a program that takes a complex step ``along`` some names.

    A line that moves does so whatever is before it, and the lines behind it follow; lines may be ``moved`` off what they are
    defined to be, by factors.
    """
    here = {n: a + 1j * STEP * along[n] if n in along else a for n, a in given.items()}
    run = Evaluation(here, sizes)
    for d in graph.definitions:
        value = run.array(d.rhs, d.indices)
        value = value * moved[d.name] if moved and d.name in moved else value
        here[d.name] = value + 1j * STEP * along[d.name] if d.name in along else value
    return here
