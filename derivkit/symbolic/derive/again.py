"""The graph that ends in a derivative: what a second pass starts from.

The first pass leaves adjoints behind, each a definition free of declared facts.  Those that are short are written into the
derivative, so that ∇E = Xᵀ(p − t) is differentiated as a reader would; long ones stay definitions, shared.
"""

from __future__ import annotations

from dataclasses import replace

from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.folds import knowledge
from derivkit.symbolic.derive.forms import polished, shortest
from derivkit.symbolic.expr import Expr, Name, Ref, walk
from derivkit.symbolic.expr import replace as replace_nodes
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.normal import normal

#: The longest derivative that is written in one line; beyond it adjoints keep their names.
OPENED_NODES = 60


def derivative_graph(primal: Graph, full: Graph, targets: tuple[Name, ...]) -> Graph:
    """Return ``primal`` followed by the definitions of the derivatives ``targets``; the last of them is the output.

    ``full`` is the graph of the first pass.  What the targets do not need is left out.
    """
    own = [d for d in primal.definitions if d.name.kind in ("user", "anon")]  # a derivation's own derivatives are opened, too
    made_here = {d.name for d in full.definitions} - {d.name for d in own}
    table = {d.name: replace(d, shown=None, facts=()) for d in full.definitions if d.name in made_here}
    order = list(table)
    known = knowledge(primal.holding(t.of for t in targets if t.of is not None)).named_by_author()
    made: dict[Name, Definition] = {}
    for target in targets:
        if target not in table:
            raise DerivkitError("this derivative is 0, and so are those that follow", code="DK030")
        expr = _opened(table[target].rhs, table, order)
        made[target] = replace(table[target], rhs=polished(shortest(normal(expr), known)))
    definitions = (*own, *(d for n, d in table.items() if n not in made), *made.values())
    whole = replace(full, definitions=definitions, output=targets[-1], apart=None)
    kept = whole.needed(targets)
    return replace(whole, definitions=tuple(d for d in definitions if d.name in kept or d.name not in table))


def _opened(expr: Expr, table: dict[Name, Definition], order: list[Name]) -> Expr:
    """Return ``expr`` with the adjoints that it reads written out, the latest first, while it stays short."""
    for name in reversed(order):
        d = table[name]
        uses = sum(isinstance(n, Ref) and n.name == name for n in walk(expr))
        if uses and expr.nodes + uses * d.rhs.nodes <= OPENED_NODES:
            expr = _written(expr, d)
    return expr


def _written(expr: Expr, d: Definition) -> Expr:
    return replace_nodes(expr, lambda n: d.at(n.subs) if isinstance(n, Ref) and n.name == d.name else None)
