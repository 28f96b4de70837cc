"""What a kernel computes, as definitions; and batching, which is adding an index to them.

Lifting adds the index n to every definition that depends on a batched input; the gradient of an unbatched input is then the
sum over n of its lifted definition.  With ``reduce="mean"`` the factor 1/N is put once, where the adjoints begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.expr import (
    ZERO_EXPR,
    Add,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    bare,
    freshen,
    references,
)
from derivkit.symbolic.graph import Definition, Graph, Input, axes
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.steps import Derivation

REDUCTIONS = ("mean", "sum")

#: The kinds that are of a loss: their value and their results are reduced over the batch.
REDUCED = ("gradient", "hessian", "hvp")

#: The kinds that are of an output: each sample has its own.
_OUTPUTS = ("vjp", "jvp")


@dataclass(frozen=True, slots=True)
class Program:
    """Inputs, definitions in order, and which of them are returned: the value, and a gradient for each name.

    ``shown`` are the definitions before lifting, for comments; ``batched`` the inputs that have the axis ``batch``;
    ``unread`` the inputs that nothing reads: they are taken only where they alone tell a size.
    """

    inputs: tuple[Input, ...]
    definitions: tuple[Definition, ...]
    value: Name
    gradients: Mapping[str, Name]
    kind: str = "gradient"
    batched: frozenset[Name] = frozenset()
    batch: Size | None = None
    reduce: str | None = None
    shown: Mapping[Name, Definition] = field(default_factory=dict)
    unread: tuple[Input, ...] = ()

    def shape(self, name: Name) -> tuple[Size, ...]:
        """Return the shape of an input or a definition."""
        return self.shapes()[name]

    def shapes(self) -> dict[Name, tuple[Size, ...]]:
        """Return all shapes."""
        return {**{i.name: i.shape for i in self.inputs}, **{d.name: d.shape for d in self.definitions}}


def program_of(derivation: Derivation) -> Program:
    """Return what a derivation computes: its output and the derivative by each name; textbook forms where there are any."""
    graph = derivation.graph
    known = {d.name for d in graph}
    definitions = [replace(d, rhs=d.best, shown=None) for d in graph]
    gradients = {}
    for word, result in derivation.results.items():
        gradients[word] = result.name
        if result.name not in known:  # nothing depends on it
            shape = (*result.output_shape, *result.input_shape)
            definitions.append(Definition(result.name, shape, axes(shape), ZERO_EXPR))
    inputs = tuple(graph.inputs.values())
    shown, unread = {d.name: d for d in graph}, tuple(graph.extra.values())
    return Program(inputs, tuple(definitions), graph.output, gradients, derivation.kind, shown=shown, unread=unread)


def scores_of(primal: Graph, classes: Size) -> Program | None:
    """Return the program of the scores that the last softmax over ``classes`` is taken of, or ``None``."""
    for d in reversed(primal.definitions):
        found = _softmax(d.rhs, classes)
        if found is not None and found.free.issubset({*d.bound, *_bound(found)}):
            (over,) = found.bound
            kept = tuple(i for i in d.bound if i in found.args[0].free)
            name = Name("anon", "scores")
            shape = (*(i.size for i in kept), over.size)
            scores = Definition(name, shape, (*kept, over), found.args[0])
            before = [replace(b, shown=None) for b in primal.definitions]
            inputs, unread = tuple(primal.inputs.values()), tuple(primal.extra.values())
            return Program(inputs, (*before, scores), name, {}, "value", unread=unread)
    return None


def _bound(prim: Prim) -> tuple[Index, ...]:
    return prim.bound


def _softmax(expr: Expr, classes: Size) -> Prim | None:
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Prim) and node.op in ("softmax", "log_softmax") and node.bound[0].size == classes:
            return node
        stack.extend(node.children)
    return None


# -- lifting --------------------------------------------------------------------------------------------------------------


def lift(program: Program, batch: Iterable[str], reduce: str | None, rate: Fraction | None = None) -> Program:
    """Return the program over a batch of the inputs named by ``batch``; itself when there are none.

    With a ``rate`` the gradients are that many times as large: put where the adjoints begin, it costs nothing.
    """
    names = tuple(batch)
    if reduce is not None and reduce not in REDUCTIONS:
        hint = did_you_mean(str(reduce), REDUCTIONS) or "mean or sum"
        raise DerivkitError(f"unknown reduce '{echo(reduce)}'", code="DK031", hint=hint)
    if not names:
        return program if rate is None else replace(program, definitions=_scaled_once(program.definitions, Num(rate)))
    if program.kind == "jacobian":
        raise DerivkitError("a Jacobian is not batched", code="DK031", hint="ask for kind='vjp', or leave batch= out")
    batched = _batched_inputs(program, names)
    index = Index("n", Size.of(_free_letter(program)))
    lifted = _Lift(index, set(batched))
    inputs, unread = (
        tuple(replace(i, shape=(index.size, *i.shape)) if i.name in batched else i for i in some)
        for some in (program.inputs, program.unread)
    )
    definitions: Iterable[Definition] = [lifted.definition(d) for d in program.definitions]
    if program.kind == "hessian" and any(_independent(n) in lifted.names for n in program.gradients.values()):
        raise DerivkitError("a Hessian by a batched name is not batched", code="DK031", hint="ask for kind='hvp'")
    scale = reduce or "mean" if program.kind in REDUCED else None
    same = scale == "mean" and program.value not in lifted.names  # the mean of N times the same
    factors: list[Expr] = [Num(rate)] if rate is not None else []
    if scale == "mean" and program.kind == "gradient" and not same:
        factors.append(Pow(SizeOf(index.size), Num(-1)))
    if factors:
        definitions = _scaled_once(definitions, Mul(tuple(factors)) if len(factors) > 1 else factors[0])
    made = replace(
        program, inputs=inputs, definitions=tuple(definitions), batched=batched, batch=index.size, reduce=scale, unread=unread
    )
    return _reduced(made, index, lifted.names, None if same else scale)


def _batched_inputs(program: Program, names: tuple[str, ...]) -> frozenset[Name]:
    known = {str(i.name): i.name for i in (*program.inputs, *program.unread)}
    for word in names:
        if word not in known:
            hint = did_you_mean(str(word), known) or f"the inputs are {', '.join(known)}"
            raise DerivkitError(f"batch='{echo(word)}' is no input of this program", code="DK008", hint=hint)
    batched = {known[word] for word in names}
    if program.kind == "vjp":  # the cotangent has the axes of the output
        batched |= {name for word, name in known.items() if word == f"{program.value}_bar"}
    batched |= {name for name in known.values() if name.kind == "tangent" and name.of in batched}  # a direction moves with it
    return frozenset(batched)


def _free_letter(program: Program) -> str:
    taken = {n for shape in program.shapes().values() for s in shape for n in s.names()}
    taken |= {str(name) for name in program.shapes()}
    return next(c for c in ("N", "B", "S", "BATCH", *(f"N{k}" for k in range(1000))) if c not in taken)


class _Lift:
    """Adds one index to whatever depends on the batched names."""

    def __init__(self, index: Index, names: set[Name]) -> None:
        self.index = index
        self.names = names
        self.sub = bare(index)

    def definition(self, d: Definition) -> Definition:
        """Return the definition lifted, when it reads a lifted name."""
        if self.names.isdisjoint(references(d.rhs)):
            return d
        self.names.add(d.name)
        return replace(d, shape=(self.index.size, *d.shape), indices=(self.index, *d.indices), rhs=self.expr(d.rhs))

    def expr(self, expr: Expr) -> Expr:
        """Return ``expr`` with the index in front of the subscripts of every lifted name, also inside subscripts."""
        if isinstance(expr, Ref):
            subs = tuple(self.affine(s) for s in expr.subs)
            return Ref(expr.name, (self.sub, *subs) if expr.name in self.names else subs)
        if isinstance(expr, Delta):
            return Delta(self.affine(expr.left), self.affine(expr.right))
        if isinstance(expr, Inside):
            return Inside(self.affine(expr.subscript), expr.size)
        if isinstance(expr, Prim):
            return Prim(expr.op, expr.bound, tuple(self.expr(a) for a in expr.args), tuple(self.affine(s) for s in expr.at))
        return expr.rebuilt(tuple(self.expr(c) for c in expr.children)) if expr.children else expr

    def affine(self, sub: Affine) -> Affine:
        """Return a subscript with the integer-valued references in it lifted."""
        return Affine(((self.expr(a) if isinstance(a, Expr) else a, c) for a, c in sub.terms), sub.const)


def _reduced(program: Program, index: Index, lifted: set[Name], scale: str | None) -> Program:
    """Sum a loss, and each gradient by what is the same for all samples; what belongs to a sample has its axis."""
    table = {d.name: d for d in program.definitions}
    extra: list[Definition] = []
    late = scale == "mean" and program.kind != "gradient"  # a gradient's adjoints have 1/N already

    def made(name: Name, **changes: Any) -> Name:
        extra.append(replace(table[name], name=Name("anon", str(name)), **changes))
        return extra[-1].name

    def mean(body: Expr, divided: bool) -> Expr:
        return Mul((Pow(SizeOf(index.size), Num(-1)), body)) if divided else body

    def with_axis(name: Name) -> Name:
        own = table[name]
        if name in lifted:
            return made(name, rhs=mean(own.rhs, late)) if late else name
        return made(name, shape=(index.size, *own.shape), indices=(index, *own.indices), rhs=mean(own.rhs, late))

    def summed(name: Name, divided: bool) -> Name:
        own, cut = table[name], int(name in lifted)
        body = mean(_summed(own, index, lifted), divided)
        return made(name, shape=own.shape[cut:], indices=own.indices[cut:], rhs=body)

    value = program.value
    if scale is not None:
        value = summed(value, scale == "mean")
    elif program.kind in _OUTPUTS:
        value = with_axis(value)
    gradients = {}
    for word, name in program.gradients.items():
        if program.kind == "jvp" or _independent(name) in lifted:
            gradients[word] = with_axis(name)
        elif name not in lifted and (late or (program.kind in REDUCED and scale is None)):
            gradients[word] = name  # the mean of N times the same
        else:
            gradients[word] = summed(name, late)
    shown = {**program.shown, **{new: program.shown[old] for old, new in _renamed(program, gradients, value)}}
    place = next(n for n, d in enumerate(program.definitions, 1) if d.name == program.value)  # forward lines, then backward ones
    forward = (*program.definitions[:place], *(d for d in extra if d.name == value))
    definitions = (*forward, *program.definitions[place:], *(d for d in extra if d.name != value))
    return replace(program, definitions=definitions, value=value, gradients=gradients, shown=shown)


def _independent(name: Name) -> Name | None:
    """Return what a derivative is by: ``w`` of ∂E/∂w and of (∂²E/∂w∂w) v."""
    return (name.pushed or name).of


def _renamed(program: Program, gradients: Mapping[str, Name], value: Name) -> list[tuple[Name, Name]]:
    pairs = [(program.gradients[word], new) for word, new in gradients.items()]
    return [(old, new) for old, new in [*pairs, (program.value, value)] if old in program.shown]


def _summed(d: Definition, index: Index, lifted: set[Name]) -> Expr:
    if d.name not in lifted:
        return Mul((SizeOf(index.size), d.rhs))
    fresh = index.fresh()
    subs = (bare(fresh), *(Affine.of(0 if i is None else i) for i in d.indices[1:]))
    return Sum((fresh,), d.at(subs, freshen(d.rhs)))


# -- 1/N, once ------------------------------------------------------------------------------------------------------------


def _scaled_once(definitions: Iterable[Definition], factor: Expr) -> tuple[Definition, ...]:
    """Multiply the adjoints by ``factor`` where they begin; those that follow from others are then multiplied already."""
    return tuple(replace(d, rhs=_homogeneous(d.rhs, factor)) if _is_adjoint(d.name) else d for d in definitions)


def _homogeneous(expr: Expr, factor: Expr) -> Expr:
    """Return ``expr`` with each term that begins an adjoint multiplied by ``factor``; the others read a scaled one."""
    degree = _degree(expr)
    if degree == 0:
        return Mul((expr, factor))
    if degree == 1:
        return expr
    if isinstance(expr, Fn) and expr.op == "where" and _degree(expr.args[0]) == 0:
        return expr.rebuilt((expr.args[0], *(_homogeneous(branch, factor) for branch in expr.args[1:])))
    if isinstance(expr, Add | Sum):
        return expr.rebuilt(tuple(_homogeneous(c, factor) for c in expr.children))
    mixed = [c for c in expr.children if _degree(c) is None]
    if isinstance(expr, Mul) and len(mixed) == 1 and all(_degree(c) == 0 for c in expr.args if c is not mixed[0]):
        return Mul(tuple(_homogeneous(c, factor) if c is mixed[0] else c for c in expr.args))
    raise DerivkitError("the adjoints of this program do not scale together", code="DK030", hint="use reduce='sum'")


def _is_adjoint(name: Name) -> bool:
    return name.kind in ("adjoint", "cotangent")


def _is_zero(expr: Expr) -> bool:
    return isinstance(expr, Num) and not expr.value  # as often scaled as one likes


def _degree(expr: Expr) -> int | None:
    """Return how often adjoints multiply in ``expr`` (0 or 1), ``None`` when its terms or its branches differ."""
    if isinstance(expr, Ref):
        return int(_is_adjoint(expr.name))
    degrees = [_degree(c) for c in expr.children]
    if None in degrees:
        return None
    plain = [d for d in degrees if d is not None]
    if isinstance(expr, Fn) and expr.op == "where" and not plain[0]:
        plain = [d for d, branch in zip(plain[1:], expr.args[1:], strict=True) if not _is_zero(branch)]
        return plain[0] if len(set(plain)) == 1 else None
    if isinstance(expr, Mul):
        return sum(plain)
    if isinstance(expr, Sum):
        return plain[0]
    if isinstance(expr, Add):
        return plain[0] if len(set(plain)) == 1 else None
    return 0 if not any(plain) else None
