"""Reverse mode over named definitions: every adjoint is itself a definition, so that a second pass is the same function.

A pass only computes; what a reader is told of it is written in ``narrate``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from derivkit.symbolic.derive.cost import cost
from derivkit.symbolic.derive.differences import alike
from derivkit.symbolic.derive.differentiate import checked_size, partial
from derivkit.symbolic.derive.facts import Fact, use_facts
from derivkit.symbolic.derive.folds import Knowledge, knowledge
from derivkit.symbolic.derive.forms import is_sum_free, polished, settled, simplify
from derivkit.symbolic.derive.guards import choices_of, may_fail
from derivkit.symbolic.derive.local import Term, careful, diagonal, is_linear, joined, open_terms, renaming
from derivkit.symbolic.derive.onehot import picked
from derivkit.symbolic.derive.readers import Readers, check_work, readers_of
from derivkit.symbolic.derive.symmetry import oriented
from derivkit.symbolic.expr import (
    ONE_EXPR,
    ZERO_EXPR,
    Add,
    Delta,
    Expr,
    Mul,
    Name,
    Num,
    Ref,
    Sum,
    references,
    walk,
)
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.normal import add, delta, mul, normal

SUBSTITUTE_NODES = 40
TRIVIAL_COST = 3  # a name with a sign or a number: shorter to write than to name


@dataclass(frozen=True)
class Contribution:
    """What one consumer of a node adds to the node's adjoint: Σ over ``over`` of (consumer's adjoint) · ``local``.

    ``diagonal`` says that the local derivative is 0 but at equal positions (an elementwise operation): then its δ is
    contracted already and ``local`` is the slope.  ``linear``: the local derivative does not depend on node or consumer.
    """

    consumer: Definition
    adjoint: Ref
    local: Expr
    slope: Expr | None
    over: tuple[Index, ...]
    linear: bool
    seed: bool
    terms: tuple[Term, ...] = ()
    choices: tuple[Expr, ...] = ()

    def times(self, adjoint: Expr) -> Expr:
        """Return what is added, for a consumer with this ``adjoint``."""
        return joined(self.over, adjoint, self.terms or (((), self.local),), self.choices)


@dataclass(frozen=True)
class Adjoint:
    """One adjoint as it was found: the ``product`` that a reader starts from, then the ``stages`` to the shown form."""

    of: Name
    definition: Definition
    contributions: tuple[Contribution, ...]
    substituted: bool
    product: Expr
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Stage:
    """A form on the way, and what led to it: ``normal`` (cancelling, contracting), ``fact`` or ``form``."""

    rule: str
    expr: Expr
    fact: Fact | None = None
    total: Expr | None = None


@dataclass(frozen=True)
class Pass:
    """The adjoints of ``graph.output`` with respect to everything between it and ``wrt``, outermost first.

    ``held`` is what is known where lines that are differentiated by move freely, ``None`` where there are none.
    """

    graph: Graph
    outputs: tuple[Index | None, ...]
    adjoints: tuple[Adjoint, ...]
    known: Knowledge
    seed: Name | None = None
    held: Knowledge | None = None

    def name(self, of: Name) -> Name:
        """Return the name of a node's adjoint, or of its cotangent when the pass was seeded."""
        return adjoint_name(self.graph, self.seed, of)

    def adjoint(self, of: Name) -> Adjoint | None:
        """Return the adjoint of a node, ``None`` when the output does not depend on it."""
        return next((a for a in self.adjoints if a.of == of), None)


def reverse(graph: Graph, wrt: tuple[Name, ...], seed: Name | None = None) -> Pass:
    """Return the adjoints of the output of ``graph``, down to ``wrt`` (inputs or definitions).

    With a ``seed`` (an input of the output's shape, its cotangent) they are vector–Jacobian products; without one they
    are derivatives of every entry of the output, whose axes come first.
    """
    known, lines = knowledge(graph), [n for n in wrt if n not in graph.inputs and graph.knows(n)]
    held = knowledge(graph.holding(lines)) if lines else None
    above = graph.dependents(frozenset(lines)) if lines else frozenset()
    alive = _between(graph, wrt)
    readers = readers_of(graph)
    check_work(readers, alive)
    outputs = () if seed else node_indices(graph, graph.output, readers)
    run = _Run(graph, alive, outputs, seed, readers, {})
    for name in _backwards(graph, alive):
        run.done[name] = _adjoint(run, name, held if held is not None and name in above else known)
    return Pass(graph, run.outputs, tuple(run.done.values()), known, seed, held)


def adjoint_name(graph: Graph, seed: Name | None, of: Name) -> Name:
    """Return the name of ∂output/∂``of``, in a seeded pass of the cotangent of ``of``."""
    if seed is None:
        return Name("adjoint", "", of=of, output=graph.output)
    return seed if of == graph.output else graph.unused("cotangent", of)


@dataclass(frozen=True)
class _Run:
    """What one reverse pass knows while it runs."""

    graph: Graph
    alive: frozenset[Name]
    outputs: tuple[Index | None, ...]
    seed: Name | None
    readers: Readers
    done: dict[Name, Adjoint]

    def name(self, of: Name) -> Name:
        """Return the name of a node's adjoint."""
        return adjoint_name(self.graph, self.seed, of)


def _between(graph: Graph, wrt: tuple[Name, ...]) -> frozenset[Name]:
    """Return the names that depend on one of ``wrt`` (these included) and on which the output depends."""
    return graph.dependents(frozenset(wrt)) & graph.needed((graph.output,))


def _backwards(graph: Graph, alive: frozenset[Name]) -> list[Name]:
    order = [n for n in graph.inputs if n in alive] + [d.name for d in graph.definitions if d.name in alive]
    return order[::-1]


def copies(d: Definition) -> tuple[Index | None, ...]:
    """Return new indices for the axes of a definition: its array has these axes, whatever its right side reads in part."""
    return tuple(None if i is None else Index(i.hint, i.size) for i in d.indices)


def node_indices(graph: Graph, name: Name, readers: Readers | None = None) -> tuple[Index | None, ...]:
    """Return new indices for a node: the letters of its definition, for an input those of its first bare reader."""
    if name not in graph.inputs:
        return copies(graph[name])
    shape = graph.inputs[name].shape
    letters: list[str | None] = [None] * len(shape)
    for d in graph.definitions if readers is None else (part for _, part in readers.get(name, ())):
        for node in walk(d.rhs):
            if isinstance(node, Ref) and node.name == name:
                for axis, sub in enumerate(node.subs):
                    if letters[axis] is None and sub.bare is not None:
                        letters[axis] = sub.bare.hint
    return tuple(None if s.literal == 1 else Index(h or "i", s) for s, h in zip(shape, letters, strict=True))


def local_derivative(graph: Graph, d: Definition, name: Name) -> tuple[Expr, tuple[Index | None, ...], tuple[Index | None, ...]]:
    """Return ∂ ``d`` / ∂ ``name`` in the order of a textbook, with the indices of the line and those of the name."""
    rows, columns = copies(d), node_indices(graph, name)
    here = reference(d.name, rows)
    return polished(partial(normal(d.at(here.subs)), name, columns, here)), rows, columns


def reference(name: Name, indices: tuple[Index | None, ...]) -> Ref:
    """Return ``name[indices]``."""
    return Ref(name, tuple(Affine.of(0 if i is None else i) for i in indices))


# -- one adjoint ----------------------------------------------------------------------------------------------------------


def _adjoint(run: _Run, name: Name, known: Knowledge) -> Adjoint:
    graph, outputs, done = run.graph, run.outputs, run.done
    adjoint_name = run.name(name)
    indices = node_indices(graph, name, run.readers)
    if name == graph.output:
        pairs = zip(outputs, indices, strict=True) if run.seed is None else ()
        seed = mul((ONE_EXPR, *(delta(Affine.of(p), Affine.of(i)) for p, i in pairs if p is not None and i is not None)))
        body = seed if run.seed is None else reference(run.seed, indices)
        definition = Definition(adjoint_name, graph.shape(name) * (1 if run.seed else 2), outputs + indices, body)
        return Adjoint(name, definition, (), False, body, ())
    contributions = _contributions(run, name, indices)
    product, substituted = _choose_product(contributions, done, known)
    checked_size(product, name)
    stages = stages_of(product, known)
    shown = stages[-1].expr
    facts = tuple(s.fact for s in stages if s.fact is not None)
    exact = _exact(contributions, done, known, substituted, facts)
    shape = tuple(graph.shape(graph.output) if outputs else ()) + graph.shape(name)
    sentences = tuple(f.sentence for f in facts)
    rhs, best = (shown, None) if exact is None else (exact, shown)
    definition = Definition(adjoint_name, shape, outputs + indices, rhs, best, sentences)
    return Adjoint(name, definition, contributions, substituted, raw_product(contributions, done, substituted), stages)


def stages_of(product: Expr, known: Knowledge) -> tuple[Stage, ...]:
    """Return the forms from the contracted product to the shown one: facts and shorter forms until nothing changes."""
    stages = [Stage("normal", product)]
    for _ in range(4):
        before = stages[-1].expr
        made, facts = use_facts(before, known.facts, declared=True)
        stages.extend(Stage("fact", made, fact, total) for fact, total in facts)
        for fact in known.symmetric:
            turned = oriented(made, fact)
            if turned is not made and cost(simplify(turned, known), known.own) < cost(simplify(made, known), known.own):
                made = turned
                stages.append(Stage("fact", made, fact))
        for fact in known.onehot:
            chosen = picked(made, fact)
            if chosen is not made and cost(simplify(chosen, known), known.own) < cost(simplify(made, known), known.own):
                made = chosen
                stages.append(Stage("fact", made, fact))
        shorter = simplify(made, known)
        if shorter is not made:
            stages.append(Stage("form", shorter))
        if stages[-1].expr is before:
            made, facts = settled(before, known)
            if not facts:
                break
            stages.extend(Stage("fact", made, fact, total) for fact, total in facts)
    last = polished(alike(stages[-1].expr, known.own))
    if last is not stages[-1].expr:
        stages.append(Stage("form", last))
    return tuple(stages)


def _contributions(run: _Run, name: Name, indices: tuple[Index | None, ...]) -> tuple[Contribution, ...]:
    found = []
    outputs = run.outputs
    for d, part in run.readers.get(name, ()):
        if d.name not in run.alive or d.name == name:
            continue
        fresh = copies(d)
        here = reference(d.name, fresh)
        local = partial(part.at(here.subs), name, indices, here)
        if local is ZERO_EXPR or (isinstance(local, Num) and not local.value):
            continue
        over = tuple(i for i in fresh if i is not None)
        terms = open_terms(part.at(here.subs), name, indices)
        adjoint = Ref(run.name(d.name), reference(d.name, outputs + fresh).subs)
        value = run.done[d.name].definition
        adjoint = careful(adjoint, value)
        slope, over = diagonal(local, over, indices)
        if slope is not None:
            adjoint = adjoint.substituted(renaming(local, indices))
        found.append(
            Contribution(
                d,
                adjoint,
                local if slope is None else slope,
                slope,
                over,
                is_linear(d.rhs, d.name, local, name),
                d.name == run.graph.output and run.seed is None,
                terms if slope is None else (),
                choices_of(value.at(adjoint.subs, value.best)) if may_fail(local) else (),
            )
        )
    return tuple(found)


def _value(c: Contribution, done: Mapping[Name, Adjoint], exact: bool = False) -> Expr:
    definition = done[c.consumer.name].definition
    return definition.at(c.adjoint.subs, definition.rhs if exact else definition.best)


def _trivial(c: Contribution, done: Mapping[Name, Adjoint]) -> bool:
    best = done[c.consumer.name].definition.best
    return c.seed or cost(best) <= TRIVIAL_COST or isinstance(best, Delta)


def _choose_product(contributions: tuple[Contribution, ...], done: Mapping[Name, Adjoint], known: Knowledge) -> tuple[Expr, bool]:
    """Return Σ of the contributions, consumers' adjoints substituted where that makes the whole smaller."""
    named, opened, gain, any_small = [], [], 0, False
    searching = known.effort.left >= 0
    for c in contributions:
        best = done[c.consumer.name].definition.best
        small = searching and is_sum_free(best) and best.nodes <= SUBSTITUTE_NODES
        if _trivial(c, done):
            named.append(c.times(_value(c, done)))
            opened.append(named[-1])
            continue
        named.append(c.times(c.adjoint))
        if small:
            opened.append(c.times(_value(c, done)))
            gain += cost(best) - 2  # a name costs two
            any_small = True
        else:
            opened.append(named[-1])
    with_names = add(named)
    if not any_small or not _may_cancel(contributions, done, known):
        return with_names, False
    with_values = add(opened)
    if with_values.nodes <= 4 * SUBSTITUTE_NODES:
        shorter = stages_of(with_values, known)[-1].expr
        if cost(shorter) < cost(simplify(with_names, known)) + gain:
            return with_values, True
    return with_names, False


def _may_cancel(contributions: tuple[Contribution, ...], done: Mapping[Name, Adjoint], known: Knowledge) -> bool:
    """Say whether some name stands in two of the parts that would meet, itself or through a relation such as p = e/Z."""
    seen: set[Name] = set()
    with_facts = {f.name for f in known.facts}
    for c in contributions:
        best = done[c.consumer.name].definition.best
        if c.over and not with_facts.isdisjoint(references(best)):
            return True  # a sum over what a fact is about
        for part in (best, c.local):
            names: set[Name] = set()
            for name in references(part):
                names |= known.related.get(name, frozenset((name,)))
            if names & seen:
                return True
            seen |= names
    return False


def raw_product(
    contributions: tuple[Contribution, ...], done: Mapping[Name, Adjoint], substituted: bool, named: Container[Name] = ()
) -> Expr:
    """Return the line a reader starts from: Σ (adjoint) · (local derivative), nothing cancelled yet; ``named`` stay names."""
    terms: list[Expr] = []
    for c in contributions:
        small = is_sum_free(done[c.consumer.name].definition.best)
        opened = c.adjoint.name not in named and (_trivial(c, done) or (substituted and small))
        value = _value(c, done) if opened else c.adjoint
        body = _raw_factor_pair(value, polished(c.local))
        terms.append(Sum(c.over, body) if c.over else body)
    return terms[0] if len(terms) == 1 else Add(tuple(terms))


def _exact(
    contributions: tuple[Contribution, ...],
    done: Mapping[Name, Adjoint],
    known: Knowledge,
    substituted: bool,
    facts: tuple[Fact, ...],
) -> Expr | None:
    """Return the adjoint without declared facts, ``None`` when it is the shown one."""
    opened = [c for c in contributions if substituted or _trivial(c, done)]  # the others are read by name, in both forms
    declared = any(f.declared for f in facts)
    if not declared and all(done[c.consumer.name].definition.shown is None for c in opened):
        return None
    terms = []
    for c in contributions:
        rhs = done[c.consumer.name].definition.rhs
        use = _trivial(c, done) or (substituted and is_sum_free(rhs) and rhs.nodes <= SUBSTITUTE_NODES)
        terms.append(c.times(_value(c, done, exact=True) if use else c.adjoint))
    total, _ = use_facts(add(terms), known.facts, declared=False)
    return polished(simplify(total, known))


def _raw_factor_pair(left: Expr, right: Expr) -> Expr:
    kept = tuple(f for f in (left, right) if not (isinstance(f, Num) and f.value == 1))
    return kept[0] if len(kept) == 1 else Mul(kept) if kept else ONE_EXPR
