"""Which definitions read a name, and what of them: the terms of a long sum that do not read it cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Add, Expr, Name, Sum, references
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.normal import normal

LONG_SUM = 8  # terms
WORK_NODES = 20_000  # of all right sides, each as often as there are names to differentiate it by

#: The definitions that read a name: each whole, and with only the terms that do.
Readers = Mapping[Name, tuple[tuple[Definition, Definition], ...]]


def readers_of(graph: Graph) -> Readers:
    """Return the definitions that read each name, in order, their right sides normal; each with the terms that read it."""
    found: dict[Name, list[tuple[Definition, Definition]]] = {}
    for d in graph.definitions:
        reader = replace(d, rhs=normal(d.rhs))
        terms = _terms_reading(reader.rhs)
        for name in references(reader.rhs):
            part = reader if name not in terms else replace(reader, rhs=terms[name])
            found.setdefault(name, []).append((reader, part))
    return {n: tuple(ds) for n, ds in found.items()}


def _terms_reading(expr: Expr) -> dict[Name, Expr]:
    """Return the terms of a long sum by the name that they read: the others have no derivative, and a cost."""
    body = expr.body if isinstance(expr, Sum) else expr
    if not isinstance(body, Add) or len(body.args) < LONG_SUM:
        return {}
    terms: dict[Name, list[Expr]] = {}
    for term in body.args:
        for name in references(term):
            terms.setdefault(name, []).append(term)
    sums = {name: found[0] if len(found) == 1 else Add(tuple(found)) for name, found in terms.items()}
    return {n: Sum(expr.indices, s) for n, s in sums.items()} if isinstance(expr, Sum) else sums


def check_work(readers: Readers, alive: frozenset[Name]) -> None:
    """Refuse a program whose derivatives together are too long for anybody, before making the first."""
    nodes = sum(part.rhs.nodes for name in alive for whole, part in readers.get(name, ()) if whole.name in alive)
    if nodes > WORK_NODES:
        raise DerivkitError(
            f"the derivatives by {len(alive)} names have some {nodes:,} nodes together, more than the limit of {WORK_NODES:,}",
            code="DK018",
            hint="give a long sum a name of its own, or make names that are used alike one array: sum(x), prod(x)",
        )
