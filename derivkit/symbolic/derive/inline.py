"""Reading a line without turning pages: adjoints written out where they are short, and results over the program's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from derivkit.symbolic.derive.contractions import regrouped
from derivkit.symbolic.derive.cost import cost
from derivkit.symbolic.derive.differences import alike
from derivkit.symbolic.derive.folds import Knowledge
from derivkit.symbolic.derive.forms import polished, shortest
from derivkit.symbolic.derive.symmetry import oriented, turned_inverses
from derivkit.symbolic.expr import ZERO_EXPR, Add, Expr, Name, Ref, replace
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.normal import normal
from derivkit.symbolic.ranges import is_beyond

SHOWN_NODES = 30
RESULT_NODES = 400
ALL_NODES = 4_000  # of all results together: beyond, each has its share and reads more of the steps' names
LEAST_NODES = 30
SIMPLIFY_NODES = 160
SHORT_CHAIN_NODES = 30
SHORT_SUM_NODES = 80
DEEPEST = 80  # definitions opened one in another: beyond that nobody reads on, nor can a recursion


class Writer:
    """Writes the names of ``table`` out in lines, each only when its written-out form has at most ``limit`` nodes."""

    def __init__(self, table: Mapping[Name, Definition], limit: int = SHOWN_NODES) -> None:
        """Remember the table; forms are made when they are first needed, and kept."""
        self._table = table
        self._limit = limit
        self._known: dict[Name, Expr | None] = {}
        self._made: dict[Expr, Expr] = {}

    def written_out(self, expr: Expr) -> Expr:
        """Return ``expr`` with the names replaced that are short; itself when there is none."""
        if expr not in self._made:  # a line is written once by itself, and once where it is read
            made = self.quoted(expr)
            self._made[expr] = made if made is expr else normal(made)
        made = self._made[expr]
        return expr if made == expr else made

    def quoted(self, expr: Expr, ended: Mapping[Name, Expr] = MappingProxyType({})) -> Expr:
        """Return the same as it is written, before anything cancels: names as their own steps ``ended``, where that is known."""

        def change(node: Expr) -> Expr | None:
            if not isinstance(node, Ref) or node.name not in self._table:
                return None
            inner = self._body(node.name)
            return None if inner is None else self._table[node.name].at(node.subs, ended.get(node.name, inner))

        return replace(expr, change, self._table.keys())

    def writes(self, name: Name) -> bool:
        """Say whether a name is written out."""
        return name in self._table and self._body(name) is not None

    def _body(self, name: Name) -> Expr | None:
        if name not in self._known:
            best = self._table[name].best
            made = self.written_out(best) if best.nodes <= self._limit else best
            self._known[name] = made if made.nodes <= self._limit else None
        return self._known[name]


@dataclass(frozen=True)
class Flat:
    """A result over the program's names; ``shared`` are the definitions that were too long, or used too often, to open."""

    expr: Expr
    shared: tuple[Definition, ...]
    facts: tuple[str, ...] = ()


class Flattener:
    """Opens the names of ``table`` in results, the latest of ``order`` first, so that each is opened once.

    A result is one expression while it is short enough to read; beyond that what is read several times stays, shared.
    """

    def __init__(
        self, table: Mapping[Name, Definition], order: tuple[Name, ...], known: Knowledge, results: Iterable[Expr] = ()
    ) -> None:
        """Remember what may be opened, and how long each of the ``results`` may become."""
        self._table = table
        self._order = order
        self._known = known
        self._reads = {n: _counts(d.best, table) for n, d in table.items()}
        self._chains: dict[Name, Expr] = {}
        self._opened: dict[tuple[Expr, Name], tuple[Expr, Counter[Name]]] = {}
        self._kept: dict[tuple[Name, Expr], Definition] = {}
        self._limit = self._fair_limit(tuple(results))

    def _fair_limit(self, results: tuple[Expr, ...]) -> int:
        """Return how many nodes a result may have, from a count of what all of them would have when opened."""
        sizes: dict[Name, int] = {}
        for name in self._order:  # each reads only names before it
            grown = sum(uses * sizes[n] for n, uses in self._reads[name].items())
            sizes[name] = min(RESULT_NODES, self._table[name].best.nodes + grown)
        opened = (r.nodes + sum(uses * sizes[n] for n, uses in _counts(r, self._table).items()) for r in results)
        if sum(min(RESULT_NODES, size) for size in opened) <= ALL_NODES:
            return RESULT_NODES
        return max(LEAST_NODES, ALL_NODES // len(results))

    def flat(self, expr: Expr) -> Flat:
        """Return ``expr`` over the program's names."""
        uses = self._total_uses(expr)
        if any(n.kind == "anon" for n in uses) or any(u > 1 for u in uses.values()):
            return self._one_by_one(expr)
        if expr.nodes + sum(self._table[n].best.nodes - 1 for n in uses) > self._limit:  # too long, as far as it is opened
            return self._one_by_one(expr)
        for name in self._order:  # each reads only names before it: a long chain is opened without recursion
            if name in uses and name not in self._chains:
                self._chains[name] = self._along_chain(self._table[name].best)
        made = self._along_chain(expr)
        if made.nodes > self._limit or _counts(made, self._table):  # something was too long to be opened
            return self._one_by_one(expr)
        made = normal(made)
        if made.nodes > (SHORT_SUM_NODES if isinstance(made, Add) else SHORT_CHAIN_NODES):
            # made short already, when the pass chose between names and values; the terms of a sum meet only here
            return Flat(polished(alike(regrouped(made, self._known.contractions), self._known.own)), ())
        return Flat(*self._tidied(made))

    def _total_uses(self, expr: Expr) -> Counter[Name]:
        total = _counts(expr, self._table)
        for name in reversed(self._order):
            if total[name]:
                total.update(self._reads[name])
        return total

    def _along_chain(self, expr: Expr) -> Expr:
        """Open names that are each read once: what one result opened serves the next."""

        def change(node: Expr) -> Expr | None:
            if not isinstance(node, Ref) or node.name not in self._table:
                return None
            d, body = self._table[node.name], self._chains[node.name]
            return d.at(node.subs, body) if body.nodes <= self._limit else node

        return replace(expr, change, self._table.keys())

    def _one_by_one(self, expr: Expr) -> Flat:
        bodies: dict[Name | None, Expr] = {None: expr}  # the result, and what it shares
        reads: dict[Name | None, Counter[Name]] = {None: _counts(expr, self._table)}
        total = Counter(reads[None])
        opened = 0  # each may nest the result one deeper
        for name in reversed(self._order):
            d = self._table[name]
            uses = total[name]
            if not uses:
                continue
            if bodies[None].nodes + uses * d.best.nodes <= self._limit and opened < DEEPEST:
                opened += 1
                for reader in [n for n, r in reads.items() if name in r]:
                    total.subtract(reads[reader])
                    bodies[reader], reads[reader] = self._with_opened(bodies[reader], d)
                    total.update(reads[reader])
            else:
                bodies[name], reads[name] = d.best, self._reads[name]
                total.update(reads[name])
        expr = bodies.pop(None)
        made = [self._shared(self._table[n], body) for n, body in reversed(bodies.items()) if n is not None]
        short, _, facts = self._tidied(expr)
        return Flat(short, tuple(made), facts)

    def _with_opened(self, expr: Expr, d: Definition) -> tuple[Expr, Counter[Name]]:
        """Return ``expr`` with one name opened, and what it then reads; results open the same in what they share."""
        if (expr, d.name) not in self._opened:
            made = replace(expr, lambda n: d.at(n.subs, d.best) if isinstance(n, Ref) and n.name == d.name else None, {d.name})
            self._opened[expr, d.name] = made, _counts(made, self._table)
        return self._opened[expr, d.name]

    def _shared(self, d: Definition, body: Expr) -> Definition:
        if (d.name, body) not in self._kept:
            self._kept[d.name, body] = Definition(d.name, d.shape, d.indices, polished(normal(body)), None, d.facts)
        return self._kept[d.name, body]

    def _tidied(self, expr: Expr) -> tuple[Expr, tuple[Definition, ...], tuple[str, ...]]:
        """Return the shortest form, nothing shared, and the declared facts that it used."""
        made = normal(expr)
        if made.nodes > SIMPLIFY_NODES:
            return polished(made), (), ()
        own = self._known.own
        short, facts = shortest(made, self._known), []
        for fact in self._known.symmetric:
            other = oriented(made, fact)
            if other is made:
                continue
            turned = shortest(other, self._known)
            if (cost(turned, own), turned_inverses(turned)) < (cost(short, own), turned_inverses(short)):
                short, made = turned, other
                facts.append(fact.sentence)
        plain = polished(alike(made, own))
        return (polished(alike(short, own)) if cost(short, own) < cost(plain, own) else plain), (), tuple(facts)


def without_unread(expr: Expr, graph: Graph) -> Expr:
    """Return ``expr`` without the entries of the program's arrays that are certainly out of range: x[2*N-1] of N."""

    def change(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or all(s.bare is not None for s in node.subs) or not graph.knows(node.name):
            return None
        return ZERO_EXPR if any(map(is_beyond, node.subs, graph.shape(node.name))) else None

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def _counts(expr: Expr, table: Mapping[Name, Definition]) -> Counter[Name]:
    """Count each name of the table as often as it is written."""
    counts: Counter[Name] = Counter()
    stack = [expr]
    while stack:
        node = stack.pop()
        if table.keys().isdisjoint(node.reads):
            continue
        if isinstance(node, Ref) and node.name in table:
            counts[node.name] += 1
        stack.extend(node.children)
    return counts
