"""Slips that textbooks warn of: off-diagonal entries doubled, a kernel not flipped, a statistic held constant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from derivkit.checking.verify.samples import Array, Case, Sample, close, each, evaluated
from derivkit.errors import DerivkitError
from derivkit.layout import axis_order
from derivkit.symbolic.derive import derive
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Name, Ref, walk
from derivkit.symbolic.graph import Graph, Input
from derivkit.symbolic.steps import Result

Cause = tuple[str, str]
MOST = 12  # programs with something held constant


def doubled(case: Case) -> Cause | None:
    """Return the cause of T + Tᵀ − diag(T): the derivative by the entries of one triangle."""
    if any(t.ndim != 2 or t.shape != c.shape or t.shape[0] != t.shape[1] for c, t in each(case)):
        return None
    if all(close(claim, truth + truth.T - np.diag(np.diagonal(truth))) for claim, truth in each(case)):
        told = "counts each entry off the diagonal together with its mirror image: that is the derivative by one triangle"
        return "doubled-off-diagonal", f"{told} of {case.result.wrt}, not by its entries"
    return None


def unflipped(case: Case) -> Cause | None:
    """Return the array that the derivative reads the other way round, as a convolution's derivative reads its kernel."""
    known = {n: i.shape for n, i in case.result.graph.inputs.items() if i.kind != "label"}
    read = {n.name for n in walk(case.result.expr) if isinstance(n, Ref)}
    for name, axes in (
        (n, axes) for n, shape in known.items() if n in read for axes in ((-1,), (-2, -1)) if len(axes) <= len(shape)
    ):
        if all(close(s.claim, _with(case, s, name, axes)) for s in case.samples):
            turned = f"{name}[::-1]" if len(known[name]) == 1 else f"flip({name}, axis={axes if len(axes) > 1 else axes[0]})"
            return "flip", f"reads {name} the wrong way round: the derivative reads it flipped against the claim, {turned}"
    return None


def _with(case: Case, s: Sample, name: Name, axes: tuple[int, ...]) -> Array:
    natural = (*case.result.outputs, *case.result.inputs)
    env = {**s.env, name: np.flip(s.env[name], axes)}
    order = axis_order(case.layout, len(case.result.outputs), len(case.result.inputs))
    return np.transpose(evaluated(case.result.expr, natural, env, s.sizes, np.zeros((0,) * len(order))), order)


def constant(case: Case) -> Cause | None:
    """Return the lines of the program that the claim does not differentiate, as the statistics of a normalisation."""
    if case.derivation.kind not in ("gradient", "jacobian"):
        return None
    graph = case.derivation.primal
    for names in _held(graph, case.result.wrt):
        try:
            result = derive(_holding(graph, names), wrt=str(case.result.wrt), kind=case.derivation.kind, check=False).result
            right = all(close(s.claim, _value(case, result, names, s)) for s in case.samples)
        except (DerivkitError, ArithmeticError, ValueError):
            continue
        if right:
            own = [n.label for n in names if n.kind == "user"]
            words = " and ".join(own) or "a sum over entries, as in a mean or a norm,"
            return "held-constant", f"takes {words} for constant, but {case.result.wrt} moves {'them' if len(own) > 1 else 'it'}"
    return None


def _held(graph: Graph, wrt: Name) -> Iterator[tuple[Name, ...]]:
    """Yield the names that may have been held constant: reductions of what depends on ``wrt``, alone and together."""
    moving = {wrt}
    found: list[Name] = []
    for d in graph:
        if any(isinstance(n, Ref) and n.name in moving for n in walk(d.rhs)):
            moving.add(d.name)
            if d.name != graph.output and len(d.shape) < len(graph.shape(wrt)):
                found.append(d.name)
    groups = [tuple(found)] if len(found) > 2 else []
    groups += [pair for size in (1, 2) for pair in combinations(found, size)]
    yield from groups[:MOST]


def _holding(graph: Graph, names: tuple[Name, ...]) -> Graph:
    """Return the program with some of its lines given."""
    given = {n: Input(n, "real", graph[n].shape) for n in names}
    return replace(graph, inputs={**graph.inputs, **given}, definitions=tuple(d for d in graph if d.name not in given))


def _value(case: Case, result: Result, names: tuple[Name, ...], s: Sample) -> Array:
    primal = evaluate_graph(case.derivation.primal, s.values, s.sizes)
    env = evaluate_graph(result.graph, {**s.values, **{str(n): primal[n] for n in names}}, s.sizes)
    for d in result.shared:
        env[d.name] = evaluate_expr(d.best, env, s.sizes, d.indices)
    natural = evaluate_expr(result.expr, env, s.sizes, (*result.outputs, *result.inputs))
    return np.transpose(natural, axis_order(case.layout, len(result.outputs), len(result.inputs)))
