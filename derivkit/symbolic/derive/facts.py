"""Facts: Σ over an axis is 1 or 0, a matrix is symmetric (see ``symmetry``).  Declared, or proved from the definitions.

A declared fact holds at the point, not around it: a form that used one must not be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from derivkit.symbolic.expr import Add, Expr, Name, Ref, Sum, references, replace
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import add, factors_of, mul, normal, num, sum_over


@dataclass(frozen=True)
class Fact:
    """Σ over the last-but-``axis`` axis of ``name`` is ``value``; ``declared`` facts hold at the point, not around it."""

    name: Name
    axis: int
    value: int
    declared: bool
    sentence: str


def declared_facts(graph: Graph) -> list[Fact]:
    """Return the facts that come with the kinds of the inputs."""
    facts = []
    for given in graph.inputs.values():
        if given.kind in {"onehot", "simplex"} and given.shape:
            word = "one-hot" if given.kind == "onehot" else "a distribution"
            facts.append(Fact(given.name, len(given.shape) - 1, 1, True, f"{given.name} is {word}: {{0}} = 1"))
    return facts


def onehot_facts(graph: Graph) -> tuple[Fact, ...]:
    """Return that the inputs declared one-hot pick one entry."""
    found = (i for i in graph.inputs.values() if i.kind == "onehot" and i.shape)
    return tuple(Fact(i.name, len(i.shape) - 1, 1, True, f"{i.name} is one-hot: it picks one entry") for i in found)


def use_facts(expr: Expr, known: tuple[Fact, ...], declared: bool) -> tuple[Expr, tuple[tuple[Fact, Expr], ...]]:
    """Return ``expr`` with every Σ that a fact decides replaced, and the facts used, each with its Σ."""
    names = references(expr) if known else {}
    facts = {(f.name, f.axis): f for f in known if f.name in names and (declared or not f.declared)}
    if not facts:
        return expr, ()
    used: dict[tuple[Name, int], tuple[Fact, Expr]] = {}

    def change(node: Expr) -> Expr | None:
        if not isinstance(node, Sum):
            return None
        if isinstance(node.body, Add):
            return _split_off(node, node.body, change)
        found = _decided(node, facts)
        if found is None:
            return None
        fact, index, others = found
        used.setdefault((fact.name, fact.axis), (fact, _total(node, fact, index)))
        left = tuple(i for i in node.indices if i is not index)
        return replace(sum_over(left, mul((num(fact.value), *others))), change)

    changed = replace(expr, change)
    return (normal(changed), tuple(used.values())) if used else (expr, ())


def _split_off(node: Sum, body: Add, change: Callable[[Expr], Expr | None]) -> Expr | None:
    """Return Σ of a sum with the terms that a fact decides summed by themselves, ``None`` when there is none."""
    pieces: list[Expr] = []
    rest: list[Expr] = []
    for term in body.args:
        whole = sum_over(node.indices, term)
        made = replace(whole, change)
        if made is whole:
            rest.append(term)
        else:
            pieces.append(made)
    if not pieces:
        return None
    return add((*((sum_over(node.indices, add(rest)),) if rest else ()), *pieces))


def _decided(node: Sum, facts: Mapping[tuple[Name, int], Fact]) -> tuple[Fact, Index, list[Expr]] | None:
    """Return the fact about one of the indices of Σ, when just one factor depends on that index."""
    factors = factors_of(node.body)
    for factor in factors:
        if not isinstance(factor, Ref):
            continue
        for axis, sub in enumerate(factor.subs):
            fact, index = facts.get((factor.name, axis)), sub.bare
            if fact is None or index is None or index not in node.indices:
                continue
            others = [f for f in factors if f is not factor]
            if not any(index in f.free for f in others) and sum(index in s.free for s in factor.subs) == 1:
                return fact, index, others
    return None


def _total(node: Sum, fact: Fact, index: Index) -> Expr:
    factor = next(f for f in factors_of(node.body) if isinstance(f, Ref) and f.name == fact.name and index in f.free)
    return Sum((index,), factor)
