"""Sizes and points at which a program is tried: they respect the declared kinds, and every node is finite there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.conditioning import matrices, well_conditioned
from derivkit.symbolic.elementary import condition_of
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.expr import Const, Fn, Num, Ref, user, walk
from derivkit.symbolic.graph import Graph, Input
from derivkit.symbolic.index import FloorDiv, Size

Array = NDArray[Any]
MODERATE = 1e6  # beyond it, softmaxes are saturated and squares fill the digits: such a point shows less
LARGEST = 1_000_000  # entries of an array: fixed sizes beyond that are not evaluated


def size_sets(graph: Graph) -> list[dict[str, int]]:
    """Return sets of sizes for a program: twice all distinct, once all ones (where the program allows it)."""
    names: dict[str, None] = {}
    subtracted = {n for d in graph.definitions for s in d.shape for n in _subtracted(s)}
    subtracted |= {n for need in graph.needs for n in _subtracted(need.size - need.least)}
    for given in (*graph.inputs.values(), *graph.extra.values()):
        for size in (*given.shape, *(() if given.range is None else (given.range,))):
            names.update(dict.fromkeys(size.names()))
    for d in graph.definitions:
        for size in d.shape:
            names.update(dict.fromkeys(size.names()))
    order = sorted(names, key=lambda name: name not in subtracted)  # the window P of L − P + 1 is small
    distinct = {n: 3 + i for i, n in enumerate(order)}
    other = {n: 2 + (i + 1) % len(order) for i, n in enumerate(order)} if len(order) > 1 else dict.fromkeys(order, 5)
    choices = [_roomy(graph, c, subtracted) for c in (distinct, other, dict.fromkeys(order, 1))] if order else [{}]
    found = [c for c in choices if _possible(graph, c)]
    for larger in (3, 7, 15):  # a size such as N − 2 needs room
        if not order or any(v > 1 for c in found for v in c.values()):
            break
        moved = [{n: v + larger for n, v in c.items()} for c in choices[:2]]
        moved += [{n: 2 if n in subtracted else v for n, v in c.items()} for c in moved]  # as an axis of 3, less a window
        found = [c for c in moved if _possible(graph, c)] + found
    return found


def _roomy(graph: Graph, sizes: dict[str, int], subtracted: set[str]) -> dict[str, int]:
    """Return sizes as much larger as a slice such as ``x[:9]`` needs them."""
    room = max((need.missing(sizes) for need in graph.needs), default=0)
    return {n: v if n in subtracted else v + room for n, v in sizes.items()} if room else sizes


def _subtracted(size: Size) -> set[str]:
    """Return the names that make a size smaller: those that stand with a minus sign alone."""
    parts = [size, *(atom.numerator for monomial, _ in size.terms for atom in monomial if isinstance(atom, FloorDiv))]
    found: dict[str, bool] = {}
    for monomial, coefficient in (term for part in parts for term in part.terms):
        for atom in monomial:
            if isinstance(atom, str):
                found[atom] = found.get(atom, True) and coefficient < 0
    return {name for name, only in found.items() if only}


def _possible(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Say whether every axis has a size and no array is too large to evaluate a dozen times."""
    if any(need.missing(sizes) for need in graph.needs):
        return False
    out = graph.shape(graph.output)
    shapes = [d.shape for d in graph.definitions] + [out + g.shape for g in graph.inputs.values()]
    lengths = [[s.evaluate(sizes) for s in shape] for shape in shapes]
    return all(n >= 1 for shape in lengths for n in shape) and all(prod(shape) <= LARGEST for shape in lengths)


_SAMPLERS = ("spread", "positive", "unit", "small")


def points(graph: Graph, sizes: Mapping[str, int], rng: np.random.Generator, count: int) -> Iterator[dict[str, Array]]:
    """Yield ``count`` points at which every node of the program is finite, and moderate if that can be; else none."""
    finite: list[dict[str, Array]] = []
    for sampler in ("dominant", *_SAMPLERS) if any(matrices(graph)) else _SAMPLERS:
        found = [p for p in (_finite_point(graph, sizes, rng, sampler) for _ in range(count)) if p is not None]
        if len(found) < count:
            continue
        finite = finite or [values for values, _ in found]
        if all(largest <= MODERATE for _, largest in found):
            finite = [values for values, _ in found]
            break
    if finite and (tied := _tied(graph, finite[-1])) is not None and _largest(graph, tied, sizes) is not None:
        finite[-1] = tied
    yield from finite


def _tied(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array] | None:
    """Return a point with an entry just where a branch of ``where`` ends: x = 0 in where(x == 0, 1, sin(x)/x)."""
    made = dict(values)
    for node in (n for d in graph.definitions for n in walk(d.rhs) if isinstance(n, Fn) and n.op == "where"):
        test = condition_of(node.args[0])
        if not isinstance(test, Fn) or test.op not in _STRICT:
            continue
        name = next((str(a.name) for a in test.args if isinstance(a, Ref) and a.name in graph.inputs), None)
        bound = next((float(a.value) for a in test.args if isinstance(a, Num)), None)
        if name is not None and bound is not None and graph.inputs[user(name)].kind == "real" and made[name].size:
            entries = made[name].flatten()
            entries[0] = bound
            made[name] = entries.reshape(made[name].shape)
    return made if any(made[n] is not values[n] for n in made) else None


_STRICT = frozenset({"equal", "not_equal", "greater", "less"})  # at the bound itself it is the other branch that counts


def _finite_point(
    graph: Graph, sizes: Mapping[str, int], rng: np.random.Generator, sampler: str
) -> tuple[dict[str, Array], float] | None:
    """Return a point at which every node is finite, and its largest value; ``None`` where one is not, or an axis is empty."""
    try:
        values = {str(n): sample(g, sizes, rng, sampler) for n, g in (*graph.inputs.items(), *graph.extra.items())}
    except (DerivkitError, ArithmeticError, ValueError, IndexError):
        return None
    largest = _largest(graph, values, sizes)
    return None if largest is None else (values, largest)


def _largest(graph: Graph, values: Mapping[str, Array], sizes: Mapping[str, int]) -> float | None:
    """Return the largest value of any node; ``None`` where one has none, but for an infinity that the author wrote."""
    with np.errstate(all="ignore"):
        try:
            env = evaluate_graph(graph, values, sizes)
        except (DerivkitError, ArithmeticError, ValueError, IndexError):
            return None
        written = {d.name for d in graph.definitions if any(isinstance(n, Const) and n.name == "inf" for n in walk(d.rhs))}
        written.discard(graph.output)
        sized = [np.abs(a) for n, a in env.items() if a.dtype.kind in "fc" and n not in written]
        sized += [np.where(np.isinf(env[n]), 0.0, np.abs(env[n])) for n in written]
        largest = float(np.max([0.0, *(np.max(a, initial=0.0) for a in sized)]))
        return largest if np.isfinite(largest) and well_conditioned(graph, env, sizes) else None


def sample(given: Input, sizes: Mapping[str, int], rng: np.random.Generator, sampler: str = "spread") -> Array:
    """Return a random array of an input's kind and shape; ``sampler`` is where reals lie: spread, positive, unit, small.

    A ``dominant`` square matrix has a diagonal that outweighs its rows: it has an inverse and a positive determinant.
    """
    shape = tuple(s.evaluate(sizes) for s in given.shape)
    kind = given.kind
    if kind == "label":
        return np.asarray(rng.integers(0, 1 if given.range is None else given.range.evaluate(sizes), shape))
    if kind == "mask":
        mask = rng.integers(0, 2, shape).astype(float)
        if sampler != "spread" and mask.size:  # where −∞ stands for a 0, a row of zeros alone has no softmax
            np.put_along_axis(mask, rng.integers(0, shape[-1], (*shape[:-1], 1)), 1.0, -1) if shape else mask.fill(1.0)
        return mask
    if kind == "onehot":
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if kind == "simplex":
        raw = rng.uniform(0.2, 1.0, shape)
        return np.asarray(raw / raw.sum(axis=-1, keepdims=True))
    values = _reals(shape, rng, "positive" if kind == "positive" and sampler in ("spread", "dominant") else sampler)
    if kind == "positive":
        values = np.abs(values)
    if sampler == "dominant" and len(shape) > 1 and shape[-1] == shape[-2] and kind != "positive":
        values = values + (shape[-1] + 1) * np.eye(shape[-1])
    return np.asarray((values + np.swapaxes(values, -1, -2)) / 2) if kind == "symmetric" else values


def _reals(shape: tuple[int, ...], rng: np.random.Generator, sampler: str) -> Array:
    if sampler == "positive":
        return rng.uniform(0.3, 1.7, shape)
    if sampler == "unit":
        return rng.uniform(0.15, 0.85, shape)
    if sampler == "small":  # the sum of a row of ten is still below 1: long chains neither grow nor saturate
        return np.asarray(rng.uniform(0.02, 0.12, shape) * rng.choice([-1.0, 1.0], shape))
    return np.asarray(rng.uniform(0.2, 1.2, shape) * rng.choice([-1.0, 1.0], shape))
