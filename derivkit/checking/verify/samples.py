"""A claim and its derivative at several sizes and points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError
from derivkit.layout import Layout, axis_order
from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.elementary import INDICATORS
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Expr, Fn, Name, Prim, walk
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import Index
from derivkit.symbolic.steps import Derivation, Result

Array = NDArray[Any]
Axes = tuple[Index | None, ...]
POINTS = 12  # in all
TOLERANCE = 1e-9
MORE = 30  # where a program decides
FEW = 6  # names of sizes
FAR = 40  # a position beyond that is looked for no longer
NOTHING = 1e-12  # what is smaller may be the rounding of a sum that cancels
DOUBT = 1e-5  # a smaller difference is looked at with more digits
#: Kinds that a claim may rest on, with the words for them.
KIND_WORDS = {
    "onehot": "one-hot",
    "simplex": "on the simplex",
    "symmetric": "symmetric",
    "positive": "positive",
    "mask": "a mask",
}


@dataclass(frozen=True)
class Formula:
    """A claim that was read: its expression, its axes, and the lines that it needs beyond the program's."""

    expr: Expr
    axes: Axes
    graph: Graph
    before: tuple[Definition, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One point: the sizes, the inputs, the value of every name, and both sides with their axes in the layout asked for."""

    sizes: Mapping[str, int]
    values: Mapping[str, Array]
    env: Mapping[Name, Array]
    truth: Array
    claim: Array


@dataclass(frozen=True)
class Case:
    """One claim about one result."""

    derivation: Derivation
    result: Result
    layout: Layout
    formula: Formula
    samples: tuple[Sample, ...]

    @property
    def right(self) -> bool:
        """Whether both sides agree everywhere."""
        return bool(self.samples) and all(close(s.claim, s.truth) for s in self.samples)

    @property
    def axes(self) -> Axes:
        """The axes of the derivative in the layout asked for."""
        natural = (*self.result.outputs, *self.result.inputs)
        return tuple(natural[n] for n in axis_order(self.layout, len(self.result.outputs), len(self.result.inputs)))


def close(a: Array, b: Array) -> bool:
    """Return whether two arrays have one shape and the same entries, but for rounding."""
    if a.shape != b.shape or not np.all(np.isfinite(a)):
        return False
    return bool(np.all(np.abs(a - b) <= tolerated(np.maximum(np.abs(a), np.abs(b)))))


def tolerated(a: Array) -> Array:
    """Return what each entry may be off by."""
    size = np.abs(a)
    return np.asarray(TOLERANCE * size + 1e-2 * TOLERANCE * np.max(size, initial=0.0))


def off(a: Array, b: Array) -> float:
    """Return the largest difference relative to the largest entry; infinite for other shapes."""
    if a.shape != b.shape or not np.all(np.isfinite(a)):
        return float("inf")
    size = max(float(np.max(np.abs(b), initial=0.0)), float(np.max(np.abs(a), initial=0.0)))
    return float(np.max(np.abs(a - b), initial=0.0)) / size if size else 0.0


def sampled(
    result: Result, formula: Formula, layout: Layout, seed: int, kinds: Mapping[Name, str] | None = None
) -> tuple[Sample, ...]:
    """Return both sides at several points; ``kinds`` replaces the declared kinds of some inputs."""
    return tuple(drawn(result, formula, layout, seed, kinds))


def drawn(
    result: Result, formula: Formula, layout: Layout, seed: int, kinds: Mapping[Name, str] | None = None
) -> Iterator[Sample]:
    """Yield what :func:`sampled` returns, one by one: who looks for a difference may stop at the first."""
    graph = declared(result.graph, kinds or {})
    rng = np.random.default_rng(seed)
    sets = [*size_sets(graph), *_apart(graph), *_beyond(graph, formula.expr)]
    for sizes in sets:
        for values in points(graph, sizes, rng, max(2, POINTS // max(1, len(sets)))):
            sample = at_point(result, formula, layout, sizes, values)
            if sample is not None and not close(sample.claim, sample.truth) and off(sample.claim, sample.truth) < DOUBT:
                finer = {n: a.astype(np.longdouble) if a.dtype.kind == "f" else a for n, a in values.items()}
                sample = at_point(result, formula, layout, sizes, finer)  # what rounding did is gone
            elif sample is not None and 0 < _largest(sample) < NOTHING:
                finer = {n: a.astype(np.longdouble) if a.dtype.kind == "f" else a for n, a in values.items()}
                sample = _zero(sample, at_point(result, formula, layout, sizes, finer))
            if sample is not None:
                yield sample


def _largest(s: Sample) -> float:
    return max(float(np.max(np.abs(a), initial=0.0)) for a in (s.truth, s.claim))


def _zero(sample: Sample, finer: Sample | None) -> Sample:
    """Return the sample as one of zeros where both sides are no more than rounding, which more digits make smaller."""
    if finer is None or close(sample.claim, sample.truth) or sample.claim.shape != sample.truth.shape:
        return sample
    zeros = np.zeros_like(sample.truth, dtype=float)
    return replace(sample, truth=zeros, claim=zeros) if _largest(finer) < _largest(sample) / 50 else sample


def _apart(graph: Graph) -> list[dict[str, int]]:
    """Return one more set of sizes, each other than in the first: a factor 1/N is no number then."""
    first = next(iter(size_sets(graph)), {})
    return [{n: 2 * v - 1 for n, v in first.items()}] if first and max(first.values()) > 1 and len(first) <= FEW else []


def _beyond(graph: Graph, expr: Expr) -> list[dict[str, int]]:
    """Return sizes at which the largest position that a claim reads is inside: of x[7] an axis of 3 shows nothing."""
    first = next(iter(size_sets(graph)), {})
    read = [abs(s.const.literal or 0) for n in walk(expr) for s in n.subscripts]
    far = min(max(read, default=0), FAR)
    return [{n: v + far for n, v in first.items()}] if first and far >= min(first.values()) else []


def elsewhere(case: Case, seed: int) -> Iterator[Sample]:
    """Yield more points, nearer to 0 and farther out: where a program decides, a few points may all decide the same."""
    rng = np.random.default_rng(seed + 1)
    graph = case.result.graph
    moving = {str(n) for n, i in (*graph.inputs.items(), *graph.extra.items()) if i.kind in ("real", "positive", "symmetric")}
    for sizes in size_sets(graph)[:1]:
        for values in points(graph, sizes, rng, MORE):
            moved = {n: v * rng.choice((0.3, 1.0, 4.0)) if n in moving else v for n, v in values.items()}
            sample = at_point(case.result, case.formula, case.layout, sizes, moved)
            if sample is not None:
                yield sample


def decides(exprs: Iterable[Expr]) -> bool:
    """Return whether some expression takes a decision: a step, a comparison, a maximum."""
    nodes = (n for e in exprs for n in walk(e))
    return any(
        (isinstance(n, Fn) and (n.op in _DECIDING or n.op in INDICATORS)) or (isinstance(n, Prim) and n.op in _CHOOSING)
        for n in nodes
    )


_DECIDING = frozenset({"where", "sign", "abs", "relu", "maximum", "minimum", "clip", "leaky_relu", "elu", "selu", "hardtanh"})
_CHOOSING = frozenset({"max", "min", "argmax", "first_max"})


def declared(graph: Graph, kinds: Mapping[Name, str]) -> Graph:
    """Return the program with other kinds of inputs."""

    def changed(given: Mapping[Name, Input]) -> dict[Name, Input]:
        return {n: replace(i, kind=kinds.get(n, i.kind)) for n, i in given.items()}

    return replace(graph, inputs=changed(graph.inputs), extra=changed(graph.extra)) if kinds else graph


def at_point(
    result: Result, formula: Formula, layout: Layout, sizes: Mapping[str, int], values: Mapping[str, Array]
) -> Sample | None:
    """Return both sides at a point, ``None`` where the derivative is not finite."""
    with np.errstate(all="ignore"):
        try:
            env = evaluate_graph(result.graph, values, sizes)
            for d in (*result.shared, *formula.before):
                env[d.name] = evaluate_expr(d.best, env, sizes, d.indices)
            natural = evaluate_expr(result.expr, env, sizes, (*result.outputs, *result.inputs))
        except (DerivkitError, ArithmeticError, ValueError):
            return None
        if not np.all(np.isfinite(natural)):
            return None
        truth = np.transpose(natural, axis_order(layout, len(result.outputs), len(result.inputs)))
        return Sample(sizes, values, env, truth, evaluated(formula.expr, formula.axes, env, sizes, truth))


def evaluated(expr: Expr, axes: Axes, env: Mapping[Name, Array], sizes: Mapping[str, int], like: Array) -> Array:
    """Return the value of an expression; nan throughout where it has none."""
    try:
        with np.errstate(all="ignore"):
            return evaluate_expr(expr, env, sizes, axes)
    except (DerivkitError, ArithmeticError, ValueError):
        return np.full_like(like, np.nan, dtype=float)


def telling(samples: tuple[Sample, ...]) -> bool:
    """Return whether some point has sizes above 1: where every size is 1 much is equal that is not the same."""
    return any(not s.sizes or max(s.sizes.values()) > 1 for s in samples)


def each(case: Case) -> Iterator[tuple[Array, Array]]:
    """Yield (claim, truth) at every point."""
    for s in case.samples:
        yield s.claim, s.truth
