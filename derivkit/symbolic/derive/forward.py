"""Forward mode over named definitions: the tangent of every node that moves, each a definition like any other.

Over a graph that ends in a gradient it gives Hessian–vector products without the Hessian (Pearlmutter 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivkit.symbolic.derive.differentiate import checked_size, partial
from derivkit.symbolic.derive.facts import Fact, use_facts
from derivkit.symbolic.derive.folds import Knowledge, knowledge
from derivkit.symbolic.derive.forms import polished, simplify
from derivkit.symbolic.derive.reverse import Stage, copies, node_indices, reference, stages_of
from derivkit.symbolic.expr import ZERO_EXPR, Add, Expr, Mul, Name, Ref, Sum, references
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import add, factors_of, mul, normal, sum_over


@dataclass(frozen=True)
class Part:
    """What one operand adds to a tangent: Σ over ``over`` of ``local`` · (the operand's tangent)."""

    of: Name
    local: Expr
    over: tuple[Index, ...]
    tangent: Ref


@dataclass(frozen=True)
class Tangent:
    """One tangent as it was found: the ``product`` that a reader starts from, then the ``stages`` to the shown form."""

    of: Definition
    definition: Definition
    parts: tuple[Part, ...]
    product: Expr
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Forward:
    """The tangents of what lies between the moving names and the output, in the program's order."""

    graph: Graph
    directions: Mapping[Name, Name]
    tangents: tuple[Tangent, ...]
    known: Knowledge

    def tangent(self, of: Name) -> Tangent | None:
        """Return the tangent of a node, ``None`` when it does not move."""
        return next((t for t in self.tangents if t.of.name == of), None)


def tangent_name(of: Name) -> Name:
    """Return the name of the tangent of ``of``."""
    return Name("tangent", "", of=of)


def forward(graph: Graph, directions: Mapping[Name, Name], targets: tuple[Name, ...]) -> Forward:
    """Return the tangents of ``targets`` and of what they need, when each name of ``directions`` moves along its direction."""
    known = knowledge(graph.holding(n for n in directions if n not in graph.inputs))
    alive = graph.dependents(frozenset(directions)) & graph.needed(targets)
    names = {n: graph.unused("tangent", n) for n in alive if n not in directions} | dict(directions)
    made: list[Tangent] = []
    for d in graph.definitions:
        if d.name in alive and d.name not in directions:
            made.append(_tangent(graph, d, names, known))
    return Forward(graph, directions, tuple(made), known)


def _tangent(graph: Graph, d: Definition, names: Mapping[Name, Name], known: Knowledge) -> Tangent:
    fresh = copies(d)
    here = reference(d.name, fresh)
    body = normal(d.at(here.subs))
    parts = []
    for name in dict.fromkeys(references(body)):
        if name not in names or name == d.name:
            continue
        at = node_indices(graph, name)
        local = partial(body, name, at, here)
        if local is not ZERO_EXPR:
            parts.append(Part(name, local, tuple(i for i in at if i is not None), reference(names[name], at)))
    product = add(sum_over(p.over, mul((p.local, p.tangent))) for p in parts)
    checked_size(product, d.name)
    stages = stages_of(product, known)
    shown = stages[-1].expr
    rhs, best = (shown, None) if not _declared(stages) else (_exact(product, known), shown)
    sentences = tuple(s.fact.sentence for s in stages if s.fact is not None)
    definition = Definition(names[d.name], d.shape, fresh, rhs, best, sentences)
    return Tangent(d, definition, tuple(parts), _raw(parts), stages)


def _declared(stages: tuple[Stage, ...]) -> bool:
    return any(isinstance(s.fact, Fact) and s.fact.declared for s in stages)


def _exact(product: Expr, known: Knowledge) -> Expr:
    total, _ = use_facts(product, known.facts, declared=False)
    return polished(simplify(total, known))


def _raw(parts: list[Part]) -> Expr:
    """Return the line a reader starts from: Σ (local derivative) · (tangent), nothing contracted yet."""
    terms: list[Expr] = []
    for p in parts:
        body = Mul((*factors_of(polished(p.local)), p.tangent))
        terms.append(Sum(p.over, body) if p.over else body)
    return terms[0] if len(terms) == 1 else Add(tuple(terms)) if terms else ZERO_EXPR
