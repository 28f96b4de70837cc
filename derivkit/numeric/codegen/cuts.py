"""A program cut open at one name, for measuring: what comes behind as a function of it, loss by loss where losses do not mix.

Only the primal program is read here, no adjoint: what is measured with it proves something of the adjoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from derivkit.numeric.codegen.emit import needed
from derivkit.numeric.codegen.lift import Program, lift
from derivkit.numeric.codegen.stable import stabilise
from derivkit.symbolic.expr import (
    Add,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Name,
    Prim,
    Ref,
    Sum,
    bare,
    freshen,
    references,
    substitute,
    walk,
)
from derivkit.symbolic.expr import replace as replaced
from derivkit.symbolic.graph import Definition, Input, axes
from derivkit.symbolic.index import ONE, Affine, Index, Size
from derivkit.symbolic.steps import Derivation


def objective(derivation: Derivation, lifted: Program) -> Program:
    """Return the stable primal program, batched as the kernel is, with one number for its value.

    That number is the loss; of a pullback it is the sum of the outputs times their cotangents.
    """
    primal = derivation.primal
    cotangents = tuple(i for i in derivation.graph.inputs.values() if i.name not in primal.inputs)
    inputs = (*primal.inputs.values(), *(i for i in cotangents if derivation.kind == "vjp"))
    program = Program(
        inputs,
        tuple(replace(d, shown=None) for d in primal.definitions),
        primal.output,
        {},
        derivation.kind,
        unread=tuple(i for i in derivation.graph.extra.values() if i.name not in {j.name for j in inputs}),
    )
    made = lift(program, [str(n) for n in lifted.batched], lifted.reduce if derivation.kind == "gradient" else None)
    if derivation.kind == "vjp":
        made = contracted(made, next(i.name for i in made.inputs if str(i.name) == f"{primal.output}_bar"))
    wanted = {*lifted.gradients, *(str(i.name) for i in lifted.inputs)}
    told = tuple(i for i in made.unread if str(i.name) in wanted)  # its gradient is zero, or it alone tells a size
    stable = stabilise(replace(made, inputs=(*made.inputs, *told)))
    return replace(stable, definitions=tuple(stable.definitions[place] for place in needed(stable)))


def contracted(program: Program, cotangent: Name) -> Program:
    """Return the program with ⟨cotangent, value⟩ for its value."""
    over = axes(program.shape(program.value))
    subs = tuple(Affine.of(0 if i is None else i) for i in over)
    body: Expr = Mul((Ref(cotangent, subs), Ref(program.value, subs)))
    bound = tuple(i for i in over if i is not None)
    total = Definition(unused(program, "total"), (), (), Sum(bound, body) if bound else body)
    return replace(program, definitions=(*program.definitions, total), value=total.name)


def unused(program: Program, word: str) -> Name:
    """Return a name that the program does not have."""
    taken = {str(n) for n in program.shapes()} | {n for shape in program.shapes().values() for s in shape for n in s.names()}
    return next(Name("anon", w) for k in range(len(taken) + 1) if (w := f"{word}{k or ''}") not in taken)


# -- cutting --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """What comes behind ``name``: its value are the losses over the axes ``kept`` of ``name``, in this order.

    The loss is their sum, up to what ``name`` does not move.
    """

    name: Name
    shape: tuple[Size, ...]
    kept: tuple[int, ...]
    tail: Program


def cut(program: Program, name: Name) -> Cut:
    """Return the program behind ``name``, with a loss for each position along every axis along which none mixes."""
    shape = program.shape(name)
    moved = _dependents(program.definitions, name)
    tail = replace(program, definitions=tuple(d for d in program.definitions if d.name in moved and d.name != name))
    kept: list[int] = []
    for axis in reversed(range(len(shape))):  # each new axis of losses is put in front
        apart = None if shape[axis] == ONE else _apart(tail, name, shape[axis], axis)
        if apart is not None:
            tail = apart
            kept.insert(0, axis)
    return Cut(name, shape, tuple(kept), _closed(program, tail, name))


def _dependents(definitions: Iterable[Definition], name: Name) -> set[Name]:
    found = {name}
    for d in definitions:
        if not found.isdisjoint(references(d.rhs)):
            found.add(d.name)
    return found


def _closed(program: Program, tail: Program, name: Name) -> Program:
    """Return the tail with all that it reads for inputs; integers read in subscripts are computed anew."""
    made = {d.name: d for d in program.definitions if d.name != name}
    own = {d.name for d in tail.definitions}
    again: set[Name] = set()
    bodies = [d.rhs for d in tail.definitions]
    while bodies:
        body = bodies.pop()
        new = {n for n in _places(body) if n in made} - own - again
        bodies += [made[n].rhs for n in new]
        again |= new
    definitions = (*(d for d in program.definitions if d.name in again), *tail.definitions)
    read = {n for d in definitions for n in references(d.rhs)} - own - again - {name}
    return replace(
        tail,
        inputs=(_held(program, name), *_inputs(program, read)),
        definitions=definitions,
        kind="value",
        gradients={},
        unread=(),
    )


def alone(program: Program, definition: Definition) -> Program:
    """Return the program of one definition, with all that it reads for inputs."""
    inputs = _inputs(program, references(definition.rhs))
    return replace(
        program, inputs=inputs, definitions=(definition,), value=definition.name, kind="value", gradients={}, unread=()
    )


def valued(program: Program, names: Iterable[Name]) -> Program:
    """Return the program that returns the definitions ``names``."""
    return replace(program, kind="values", gradients={str(k): n for k, n in enumerate(names)}, unread=())


def _held(program: Program, name: Name) -> Input:
    return Input(name, "real", program.shape(name))


def _inputs(program: Program, read: Iterable[Name]) -> tuple[Input, ...]:
    """Return what is read, as inputs: the program's own, and what it computes."""
    names = set(read)
    own = (i for i in program.inputs if i.name in names)
    return (*own, *(_held(program, d.name) for d in program.definitions if d.name in names))


def _places(expr: Expr) -> set[Name]:
    """Return the names that are read in subscripts."""
    atoms = (a for node in walk(expr) for sub in node.subscripts for a, _ in sub.terms if isinstance(a, Expr))
    return {n for a in atoms for n in references(a)}


# -- one loss for each position -------------------------------------------------------------------------------------------


class _Mixes(Exception):
    """Losses along the axis are not apart."""


def _apart(tail: Program, name: Name, size: Size, axis: int) -> Program | None:
    """Return the tail with one more axis in front of its value, over which it is summed; ``None`` where positions mix.

    A definition carries the axis as long as it reads every moved name at one and the same index of it; where that index
    is summed over, the sum is left out, and from there on everything must be linear.
    """
    index = Index("u", size)
    carried: dict[Name, int] = {name: axis}
    totals: set[Name] = set()
    made = []
    for d in tail.definitions:
        moved = references(d.rhs).keys() & (carried.keys() | totals)
        if not moved:
            made.append(d)
            continue
        if not moved.isdisjoint(_places(d.rhs)):
            return None
        along = None if moved & totals else _index_of(d.rhs, carried)
        if along is not None and along in d.indices:
            carried[d.name] = d.indices.index(along)
            made.append(d)
            continue
        try:
            body = _Opened(carried, totals, index).of(d.rhs)
        except _Mixes:
            return None
        totals.add(d.name)
        made.append(replace(d, shape=(size, *d.shape), indices=(index, *d.indices), rhs=body))
        index = index.fresh()
    return replace(tail, definitions=tuple(made)) if tail.value in totals else None


def _index_of(expr: Expr, carried: Mapping[Name, int]) -> Index | None:
    """Return the one free index at which ``expr`` reads everything that is carried."""
    found = {n.subs[carried[n.name]].bare for n in walk(expr) if isinstance(n, Ref) and n.name in carried}
    along = found.pop() if len(found) == 1 else None
    return along if along is not None and along in expr.free else None


@dataclass(frozen=True, slots=True)
class _Opened:
    """Rewrites a linear expression Σ_u f(u) as its summand f(``index``)."""

    carried: Mapping[Name, int]
    totals: set[Name]
    index: Index

    def moves(self, expr: Expr) -> bool:
        return any(n in self.carried or n in self.totals for n in references(expr))

    def of(self, expr: Expr) -> Expr:
        """Return the summand of what moves in ``expr``; what does not move is left out of a sum."""
        if isinstance(expr, Ref) and expr.name in self.totals:
            return Ref(expr.name, (bare(self.index), *expr.subs))
        if isinstance(expr, Add):
            return Add(tuple(self.of(term) for term in expr.args if self.moves(term)))
        if isinstance(expr, Mul):
            moving = [f for f in expr.args if self.moves(f)]
            if len(moving) == 1:
                return Mul(tuple(self.of(f) if f is moving[0] else f for f in expr.args))
        if isinstance(expr, Sum):
            along = None if self.totals & references(expr).keys() else _index_of(expr.body, self.carried)
            if along is None or along not in expr.indices:
                return Sum(expr.indices, self.of(expr.body))
            rest = tuple(i for i in expr.indices if i is not along)
            body = substitute(expr.body, {along: bare(self.index)})
            return freshen(Sum(rest, body) if rest else body)
        raise _Mixes


# -- what is linear in a name ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """Σ over ``bound`` of ``factor`` · name[``subs``]: one reading of a name, the others of it held."""

    bound: tuple[Index, ...]
    factor: tuple[Expr, ...]
    subs: tuple[Affine, ...]


def linear(expr: Expr, name: Name) -> list[Term] | None:
    """Return each reading of ``name`` in ``expr`` as a term; ``None`` where one stands in a function or a power."""
    if name not in references(expr):
        return []
    if name in _places(expr):
        return None
    if isinstance(expr, Ref):
        return [Term((), (), expr.subs)]
    parts: list[tuple[tuple[Index, ...], tuple[Expr, ...], Expr]] = []
    if isinstance(expr, Add):
        parts = [((), (), term) for term in expr.args]
    elif isinstance(expr, Mul):
        parts = [((), (*expr.args[:k], *expr.args[k + 1 :]), f) for k, f in enumerate(expr.args)]
    elif isinstance(expr, Sum):
        parts = [(expr.indices, (), expr.body)]
    else:
        return None
    found = []
    for bound, factor, part in parts:
        terms = linear(part, name)
        if terms is None:
            return None
        found += [Term((*bound, *t.bound), (*factor, *t.factor), t.subs) for t in terms]
    return found


def pullback(program: Program, site: Definition, name: Name, terms: list[Term]) -> tuple[Program, Program]:
    """Return what takes ∂L/∂site to the share of ∂L/∂name that goes through ``site``; and the same of absolute values.

    The second bounds what errors, and what rounding of the addends, can do to the first.
    """
    shape = program.shape(name)
    bar = unused(program, "bar")
    made = []
    for absolute in (False, True):
        rows = axes(shape)
        bodies = [_pulled(site, bar, term, rows, absolute) for term in terms]
        rhs = bodies[0] if len(bodies) == 1 else Add(tuple(bodies))
        d = Definition(unused(program, "pulled"), shape, rows, rhs)
        given = (Input(bar, "real", site.shape), *_inputs(program, references(rhs)))
        made.append(Program(given, (d,), d.name, {}, "value"))
    return made[0], made[1]


def _pulled(site: Definition, bar: Name, term: Term, rows: tuple[Index | None, ...], absolute: bool) -> Expr:
    """Return Σ bar · factor · δ(subscripts, rows); a subscript that is an index by itself becomes the row."""
    over = [*site.bound, *term.bound]
    becomes: dict[Index, Affine] = {}
    deltas: list[Expr] = []
    for sub, row in zip(term.subs, rows, strict=True):
        if row is None:
            continue
        if sub.bare is not None and sub.bare in over and sub.bare not in becomes and sub.bare.size == row.size:
            becomes[sub.bare] = bare(row)
        else:
            deltas.append(Delta(sub, bare(row)))
    factor: Expr = Mul(term.factor) if len(term.factor) > 1 else term.factor[0] if term.factor else site.ref()
    parts = [Fn("abs", (factor,)) if absolute else factor] if term.factor else []
    body = Mul((Ref(bar, site.ref().subs), *parts, *deltas))
    left = tuple(i for i in over if i not in becomes)
    return freshen(Sum(left, body) if left else body, becomes)


def renamed(program: Program, name: Name, places: Iterable[Name]) -> tuple[Program, Name]:
    """Return the program with the definitions ``places`` reading another input in the place of ``name``."""
    alias, chosen = unused(program, str(name)), set(places)

    def other(node: Expr) -> Expr | None:
        return Ref(alias, node.subs) if isinstance(node, Ref) and node.name == name else None

    definitions = tuple(replace(d, rhs=replaced(d.rhs, other, {name})) if d.name in chosen else d for d in program.definitions)
    mine = replace(next((i for i in program.inputs if i.name == name), _held(program, name)), name=alias)
    return replace(program, inputs=(*program.inputs, mine), definitions=definitions), alias


def elementwise(definition: Definition, name: Name) -> bool:
    """Return whether a definition is a function of ``name`` entry by entry, and of nothing else."""
    own = tuple(Affine.of(0 if i is None else i) for i in definition.indices)
    return set(references(definition.rhs)) == {name} and all(
        not isinstance(n, Sum | Prim | Delta | Inside) and (not isinstance(n, Ref) or n.subs == own) for n in walk(definition.rhs)
    )
