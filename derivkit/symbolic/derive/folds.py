"""What a program's own definitions allow: folding back to its names, and facts about sums.

A *fold* replaces an expression by the name that the author gave it.  A *fact* is Σ = 1 or Σ = 0, declared with an input
(one-hot, simplex) or proved from the definitions (a softmax, also one written out by hand; centred values).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from functools import cached_property

from derivkit.symbolic.derive.byreads import ByReads
from derivkit.symbolic.derive.contractions import contractions
from derivkit.symbolic.derive.differences import Differences, differences
from derivkit.symbolic.derive.facts import Fact, declared_facts, onehot_facts, use_facts
from derivkit.symbolic.derive.match import match
from derivkit.symbolic.derive.positive import is_positive, may_vanish, positive_names, vanishing_names
from derivkit.symbolic.derive.probe import sums_to_prove
from derivkit.symbolic.derive.relations import Relation, Relations, look, monomial_cost, partly_folded, relation_of, written_out
from derivkit.symbolic.derive.softmaxes import exponential_sums
from derivkit.symbolic.derive.symmetry import symmetric_facts, without_solutions
from derivkit.symbolic.derive.totals import Mean, means
from derivkit.symbolic.elementary import divides
from derivkit.symbolic.expr import (
    ONE_EXPR,
    Add,
    Const,
    Delta,
    Expr,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    key,
    references,
    replace,
    substitute,
)
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import add, coefficient, factors_of, mul, negative, normal, num, power, scaled, sum_over, terms_of

PROOF_NODES = 40
EFFORT_NODES = 1_500  # the longest textbook program needs some 600


@dataclass(frozen=True)
class Solved:
    """A definition solved for its largest term: ``exp(−z) = 1/p − 1`` from ``p = 1 / (1 + exp(−z))``."""

    definition: Definition
    term: Expr
    value: Expr


class Effort:
    """How much searching for shorter forms a derivation may still do, in nodes: long programs stay linear and quick."""

    def __init__(self, nodes: int = EFFORT_NODES) -> None:
        """Start with all of it."""
        self.left = nodes

    def spend(self, nodes: int) -> bool:
        """Spend some; say whether there was any left."""
        self.left -= nodes
        return self.left >= 0


@dataclass(frozen=True)
class Knowledge:
    """All that folding may use, made once for a graph."""

    relations: tuple[Relation, ...]
    whole: tuple[Definition, ...]
    facts: tuple[Fact, ...]
    solved: tuple[Solved, ...] = ()
    symmetric: tuple[Fact, ...] = ()
    positive: frozenset[Name] = frozenset()
    vanishing: frozenset[Name] = frozenset()
    contractions: tuple[Definition, ...] = ()
    onehot: tuple[Fact, ...] = ()
    own: Differences = field(default_factory=Differences)
    effort: Effort = field(default_factory=lambda: Effort())
    folded: dict[Expr, Expr] = field(init=False, default_factory=dict, repr=False, compare=False)
    forms: dict[Expr, tuple[Expr, int]] = field(init=False, default_factory=dict, repr=False, compare=False)  # with its effort

    @cached_property
    def by_shape(self) -> dict[tuple[object, ...], list[Definition]]:
        """The definitions by the look of their right side's root, so that few are tried."""
        found: dict[tuple[object, ...], list[Definition]] = {}
        for d in self.whole:
            found.setdefault(_shape(d.rhs), []).append(d)
        return found

    @cached_property
    def means(self) -> tuple[Mean, ...]:
        """The definitions that are means over an axis."""
        return means(self.whole)

    @cached_property
    def sums(self) -> ByReads[Definition]:
        """The author's lines that are sums of terms."""
        found = [d for d in self.whole if isinstance(d.rhs, Add) and d.name.told]
        return ByReads(found, (references(d.rhs) for d in found))

    @cached_property
    def solved_of(self) -> ByReads[Solved]:
        """The solved definitions, by what their terms read."""
        return ByReads(self.solved, (references(one.term) for one in self.solved))

    @cached_property
    def exponential_sums(self) -> dict[Name, Definition]:
        """The sums of exponentials that nobody has named: what is divided by one is a softmax."""
        return exponential_sums(self.whole)

    @cached_property
    def products(self) -> Relations:
        """The relations by what stands in them."""
        return Relations(self.relations)

    @cached_property
    def related(self) -> dict[Name, frozenset[Name]]:
        """For each name of a relation, the names that it may turn into."""
        found: dict[Name, frozenset[Name]] = {}
        for r in self.relations:
            names = frozenset((r.definition.name, *references(r.definition.rhs)))
            for n in names:
                found[n] = found.get(n, frozenset()) | names
        return found

    def named_by_author(self) -> Knowledge:
        """Return the folds that lead to the author's own names (and those of formulas) only, for results."""
        return replace_fields(
            self,
            whole=tuple(d for d in self.whole if d.name.told),
            relations=tuple(r for r in self.relations if r.definition.name.told),
            solved=tuple(o for o in self.solved if o.definition.name.told),
            contractions=tuple(d for d in self.contractions if d.name.told),
        )


def _shape(expr: Expr) -> tuple[object, ...]:
    read = frozenset(c.name for c in expr.children if isinstance(c, Ref))
    return (type(expr), getattr(expr, "op", None), len(expr.children), len(getattr(expr, "indices", ())), read)


def knowledge(graph: Graph) -> Knowledge:
    """Return the folds and facts of a program."""
    relations, whole, solved = [], [], []
    for d in graph.definitions:
        if isinstance(d.rhs, Ref | Num):
            continue
        rhs = normal(d.rhs)
        whole.append(Definition(d.name, d.shape, d.indices, rhs))
        if isinstance(d.rhs, Prim) and d.rhs.op == "solve":
            whole.append(replace_fields(whole[-1], rhs=normal(without_solutions(d).rhs)))
        solved += _solved(d, rhs)
        relation = relation_of(d, rhs)
        if relation is not None:
            relations.append(relation)
    for d in tuple(written_out(whole, PROOF_NODES)):
        relation = relation_of(d, d.rhs)
        relations += [] if relation is None else [relation]
        whole.append(d)
    given = (symmetric_facts(graph), positive_names(graph), vanishing_names(graph), contractions(whole))
    known = Knowledge(tuple(relations), tuple(whole), (), tuple(solved), *given, onehot_facts(graph), differences(whole))
    return replace_fields(known, facts=(*declared_facts(graph), *_proved(graph, known)))


def _solved(d: Definition, rhs: Expr) -> list[Solved]:
    base, exponent = (rhs.base, rhs.exponent) if isinstance(rhs, Pow) else (rhs, ONE_EXPR)
    if not isinstance(base, Add) or not isinstance(exponent, Num) or abs(exponent.value) != 1:
        return []
    candidates = [t for t in base.args if not isinstance(t, Num) and coefficient(t)[0] in {1, -1} and not isinstance(t, Ref)]
    if len(candidates) != 1 or frozenset(d.bound) != candidates[0].free:
        return []
    sign, term = coefficient(candidates[0])
    others = add(scaled(-1, t) for t in base.args if t is not candidates[0])
    return [Solved(d, term, scaled(sign, add((power(d.ref(), exponent), others))))]


def _proved(graph: Graph, known: Knowledge) -> list[Fact]:
    """Return what can be proved of sums over an axis: the total of the right side comes out as 0 or 1."""
    facts: list[Fact] = []
    likely = sums_to_prove(graph) if any(map(_may_be_proved, graph.definitions)) else frozenset()
    for d in graph.definitions:
        if isinstance(d.rhs, Prim) and d.rhs.op == "softmax":
            axis = next(n for n, i in enumerate(d.indices) if i is not None and i in d.rhs.at[0].free)
            facts.append(Fact(d.name, axis, 1, False, f"{d.name} is a softmax: {{0}} = 1"))
            continue
        for axis, index in enumerate(d.indices if _may_be_proved(d) else ()):
            if index is not None and (d.name, axis) in likely:
                facts += _proof(graph, d, axis, index, known, tuple(facts))
    return facts


def _may_be_proved(d: Definition) -> bool:
    return d.name.kind == "user" and d.rhs.nodes <= PROOF_NODES and isinstance(d.rhs, Add | Mul | Delta) and any(d.indices)


def _proof(graph: Graph, d: Definition, axis: int, index: Index, known: Knowledge, before: tuple[Fact, ...]) -> list[Fact]:
    declared = (*declared_facts(graph), *before)
    for total in _totals(graph, d, index, known, any(f.declared for f in declared)):
        made, used = use_facts(total, declared, declared=True)
        made = normal(spread(made))
        if isinstance(made, Num) and made.value in {0, 1}:
            value = int(made.value)
            on_declared = any(f.declared for f, _ in used)
            return [Fact(d.name, axis, value, on_declared, f"by the definition of {d.name}: {{0}} = {value}")]
    return []


def _totals(graph: Graph, d: Definition, index: Index, known: Knowledge, in_turn: bool) -> Iterator[Expr]:
    """Yield forms of the total of a line: folding takes longest, and is last but where it decides what is used (``in_turn``)."""
    forms = []
    for opened in (False, True):
        rhs = _one_level_opened(graph, d.rhs) if opened else normal(d.rhs)
        forms.append(add(sum_over((index,), t) for t in terms_of(spread(rhs))))
        yield forms[-1]
        if in_turn or opened:
            yield from (fold_monomials(fold_whole(form, known), known) for form in forms)
            forms = []


def _one_level_opened(graph: Graph, expr: Expr) -> Expr:
    table = {d.name: d for d in graph.definitions if d.rhs.nodes <= PROOF_NODES and not isinstance(d.rhs, Prim)}
    opened = replace(expr, lambda n: table[n.name].at(n.subs) if isinstance(n, Ref) and n.name in table else None, table.keys())
    return normal(opened)


def spread(expr: Expr) -> Expr:
    """Return a product of sums as the sum of its products, one level deep."""
    if isinstance(expr, Add):
        return add(spread(t) for t in expr.args)
    if not isinstance(expr, Mul):
        return expr
    for n, factor in enumerate(expr.args):
        if isinstance(factor, Add):
            return add(spread(mul((*expr.args[:n], t, *expr.args[n + 1 :]))) for t in factor.args)
    return expr


# -- folding ------------------------------------------------------------------------------------------------------------


def fold_whole(expr: Expr, known: Knowledge) -> Expr:
    """Return ``expr`` with every sub-expression that is a definition's right side replaced by its name."""
    if not known.whole:
        return expr

    def change(node: Expr) -> Expr | None:
        if isinstance(node, Ref | Num | Const | SizeOf):
            return node
        read = references(node).keys()
        for d in known.by_shape.get(_shape(node), ()):
            if not references(d.rhs).keys() <= read:
                continue
            binding = match(d.rhs, node, frozenset(d.bound))
            if binding is not None and all(i in binding for i in d.bound):
                return substitute(d.ref(), binding)
        return partly_folded(node, known.sums) if isinstance(node, Add) else None

    changed = replace(expr, change)
    return expr if changed is expr else normal(changed)


def fold_monomials(expr: Expr, known: Knowledge) -> Expr:
    """Return ``expr`` with its products made smaller by the relations name = Π base ** exponent: e/Z is p, p Z is e."""
    if not known.relations:
        return expr
    return _fold_products(expr, known)


def _fold_products(expr: Expr, known: Knowledge) -> Expr:
    if not expr.children:
        return expr
    if expr not in known.folded:  # candidates for a form have most of their parts in common
        known.folded[expr] = _newly_folded(expr, known)
    made = known.folded[expr]
    return expr if made == expr else made


def _newly_folded(expr: Expr, known: Knowledge) -> Expr:
    children = tuple(_fold_products(c, known) for c in expr.children)
    if any(a is not b for a, b in zip(children, expr.children, strict=True)):
        expr = normal(expr.rebuilt(children))
    if not isinstance(expr, Mul | Pow):
        return expr
    if isinstance(expr, Mul):
        expr = _absorbed(expr, known)
    while isinstance(expr, Mul | Pow):
        better = min(_neighbours(expr, known), key=monomial_cost, default=expr)
        if monomial_cost(better) >= monomial_cost(expr):
            return expr
        expr = better
    return expr


def _absorbed(expr: Mul, known: Knowledge) -> Expr:
    """Return (1/s) Σ_i g_i c_i as Σ_i g_i n_i when n = c/s: what stands before a sum is folded with what is in it."""
    sums = [f for f in expr.args if isinstance(f, Sum)]
    for total in sums:
        for factor in expr.args:
            base = factor.base if isinstance(factor, Pow) else factor
            part = base.name if isinstance(base, Ref) else look(base)
            if isinstance(base, Num | Sum) or part not in known.products or isinstance(total.body, Add):
                continue
            inner = mul((total.body, base if base is factor else power(base, num(_sign(factor)))))
            folded = _fold_products(inner, known)
            others = [f for f in expr.args if f is not total and f is not factor]
            left = mul((factor, power(base, num(-_sign(factor)))))
            made = mul((*others, left, sum_over(total.indices, folded)))
            if monomial_cost(made) < monomial_cost(expr):
                return _fold_products(made, known)
    return expr


def _sign(factor: Expr) -> int:
    return -1 if divides(factor) else 1


def _divides_anew(made: Expr, before: Expr, known: Knowledge, derivative: bool) -> bool:
    """Say whether ``made`` has something below the fraction bar that may be 0 and was not below it before.

    What is positive may be 0 in floats, too: for the name of a ``derivative`` that is too much (p_dot dE/dx / p is nan).
    """
    was_below = {key(f.base) for f in factors_of(before) if divides(f)}
    new = [f.base for f in factors_of(made) if divides(f) and key(f.base) not in was_below]
    return any(not is_positive(b, known.positive) or (derivative and may_vanish(b, known.vanishing)) for b in new)


def _neighbours(expr: Expr, known: Knowledge) -> list[Expr]:
    found: dict[int, Expr] = {}
    for relation in _applicable(expr, known):
        bound = frozenset(relation.definition.bound)
        name = relation.whole
        for factor in factors_of(expr):
            base = factor.base if isinstance(factor, Pow) else factor
            for pattern in (name, *(b for b, _ in relation.factors)):
                binding = match(pattern, base, bound)
                if binding is None and isinstance(base, Add):
                    binding = match(pattern, negative(base), bound)  # (m − x)/s is minus what is named
                if binding is None or not all(i in binding for i in bound):
                    continue
                ratio = [power(substitute(name, binding), num(-1))]
                ratio += [power(substitute(b, binding), e) for b, e in relation.factors]
                for sign in (1, -1):
                    made = mul((expr, *(power(r, num(sign)) for r in ratio)))
                    if _divides_anew(made, expr, known, relation.definition.name.is_derivative):
                        continue
                    found.setdefault(key(made), made)
    return list(found.values())


def _applicable(expr: Expr, known: Knowledge) -> list[Relation]:
    bases = [f.base if isinstance(f, Pow) else f for f in factors_of(expr)]
    return known.products.among({b.name if isinstance(b, Ref) else look(b) for b in bases if not isinstance(b, Num)})


def with_solved(expr: Expr, one: Solved) -> Expr | None:
    """Return ``expr`` with the term of a solved definition replaced by its value, ``None`` when it does not occur."""
    names = references(one.term).keys()
    if not names <= references(expr).keys():
        return None
    bound = frozenset(one.definition.bound)

    def change(node: Expr) -> Expr | None:
        binding = match(one.term, node, bound)
        if binding is None or not all(i in binding for i in bound):
            return None
        return substitute(one.value, binding)

    made = replace(expr, change, names or None)
    return None if made is expr else normal(made)
