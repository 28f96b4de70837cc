"""Reading a line without turning pages: adjoints written out where they are short, and results over the program's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivkit.symbolic.derive.folds import Knowledge
from derivkit.symbolic.derive.forms import cost, polished, simplify
from derivkit.symbolic.expr import Expr, Name, Ref, replace, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.normal import normal

SHOWN_NODES = 30
RESULT_NODES = 400
REPEATED_NODES = 9
SIMPLIFY_NODES = 160


def written_out(expr: Expr, table: Mapping[Name, Definition], limit: int = SHOWN_NODES) -> Expr:
    """Return ``expr`` with the adjoints that it reads replaced by their shown forms, while these are short.

    The names of ``table`` are replaced, recursively, each only when its written-out form has at most ``limit`` nodes.
    """
    known: dict[Name, Expr | None] = {}

    def body(name: Name) -> Expr | None:
        if name not in known:
            made = _replaced(table[name].best, body, table)
            known[name] = made if made.nodes <= limit else None
        return known[name]

    made = _replaced(expr, body, table)
    return made if made is expr else polished(normal(made))


def _replaced(expr: Expr, body: object, table: Mapping[Name, Definition]) -> Expr:
    def change(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and node.name in table:
            inner = body(node.name)  # type: ignore[operator]
            return None if inner is None else table[node.name].at(node.subs, inner)
        return None

    return replace(expr, change)


@dataclass(frozen=True)
class Flat:
    """A result over the program's names; ``shared`` are the definitions that were too long, or used too often, to open."""

    expr: Expr
    shared: tuple[Definition, ...]


def flattened(expr: Expr, table: Mapping[Name, Definition], order: tuple[Name, ...], known: Knowledge) -> Flat:
    """Return ``expr`` with the names of ``table`` opened, in the reverse of ``order`` so that each is opened once.

    A name that is read once is opened; one read several times only while it is short; what stays is shared.
    """
    shared: list[Definition] = []
    for name in reversed(order):
        uses = _uses(expr, name) + sum(_uses(d.rhs, name) for d in shared)
        if not uses:
            continue
        d = table[name]
        body = d.best
        if (uses == 1 or body.nodes <= REPEATED_NODES) and expr.nodes + uses * body.nodes <= RESULT_NODES:
            expr = _opened(expr, d)
            shared = [Definition(s.name, s.shape, s.indices, _opened(s.rhs, d), None, s.facts) for s in shared]
        else:
            shared.append(Definition(d.name, d.shape, d.indices, body, None, d.facts))
    return Flat(_tidy(expr, known), tuple(reversed([_tidied(s, known) for s in shared])))


def _uses(expr: Expr, name: Name) -> int:
    return sum(isinstance(n, Ref) and n.name == name for n in walk(expr))


def _opened(expr: Expr, d: Definition) -> Expr:
    return replace(expr, lambda n: d.at(n.subs, d.best) if isinstance(n, Ref) and n.name == d.name else None)


def _tidy(expr: Expr, known: Knowledge) -> Expr:
    made = normal(expr)
    if made.nodes > SIMPLIFY_NODES:
        return polished(made)
    shorter = polished(simplify(made, known))
    plain = polished(made)
    return shorter if cost(shorter) < cost(plain) else plain


def _tidied(d: Definition, known: Knowledge) -> Definition:
    return Definition(d.name, d.shape, d.indices, _tidy(d.rhs, known), None, d.facts)
