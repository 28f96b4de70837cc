"""The kinds of derivative: which passes each of them is, over which graph, and where its results stand.

A gradient, a Jacobian and a VJP are one reverse pass; a JVP is one forward pass; a Hessian is a reverse pass over the graph
that ends in the gradient, and a Hessian–vector product a forward pass over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from keyword import iskeyword

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.derive.again import derivative_graph
from derivkit.symbolic.derive.forward import Forward, forward, tangent_name
from derivkit.symbolic.derive.reverse import Pass, node_indices, reverse
from derivkit.symbolic.expr import ZERO_EXPR, Name, user
from derivkit.symbolic.given import words_of
from derivkit.symbolic.graph import Definition, Graph, Input, axes
from derivkit.symbolic.ops import FUNCTIONS
from derivkit.symbolic.steps import Result

KINDS = ("gradient", "jacobian", "vjp", "jvp", "hessian", "hvp")

#: The kinds that are derivatives along a direction.
ALONG = ("jvp", "hvp")


@dataclass(frozen=True)
class Claim:
    """Results to be measured: derivatives of the output of ``graph``, along ``directions`` where there are any."""

    graph: Graph
    results: tuple[Result, ...]
    directions: Mapping[Name, Name] = field(default_factory=dict)


@dataclass(frozen=True)
class Differentiated:
    """What the passes of one kind found: ``results`` by key, in the names of the derived graph ``full``."""

    primal: Graph
    full: Graph
    kind: str
    wrt: tuple[Name, ...]
    passes: tuple[Pass | Forward, ...]
    results: Mapping[str, Result]
    claims: tuple[Claim, ...]
    directions: Mapping[Name, Name] = field(default_factory=dict)


def differentiated(graph: Graph, wrt: tuple[Name, ...], kind: str, along: Iterable[str] | str | None = None) -> Differentiated:
    """Run the passes of ``kind`` over ``graph``.

    The cotangent of a vjp is the input ``<output>_bar``; the directions of a jvp or an hvp are the inputs named by ``along``,
    one for each of ``wrt`` (``<name>_dot`` where none is named).
    """
    if along is not None and kind not in ALONG:
        raise DerivkitError(f"along= means nothing to a {kind}", code="DK031", hint="it is for kind='jvp' and kind='hvp'")
    if kind in ("jvp", "hvp", "hessian"):
        _check_independent(graph, wrt)
    if kind == "vjp":
        return _pulled_back(graph, wrt)
    if kind == "jvp":
        return _pushed_forward(graph, wrt, along)
    if kind == "hvp":
        return _hessian_times(graph, wrt, along)
    return _hessian(graph, wrt) if kind == "hessian" else _once(graph, reverse(graph, wrt), wrt, kind)


def _check_independent(graph: Graph, wrt: tuple[Name, ...]) -> None:
    """Refuse to move a line and what it is made of at once: what the mixed derivative then means, nobody has said."""
    for name in wrt:
        behind = graph.dependents(frozenset((name,))) - {name}
        other = next((w for w in wrt if w in behind), None)
        if other is not None:
            hint = "derive by one of them at a time"
            raise DerivkitError(f"'{other}' depends on '{name}': they cannot move independently", code="DK031", hint=hint)


def chosen_kind(graph: Graph, kind: str | None) -> str:
    """Return the kind asked for, the natural one for ``None``; DK031 where the output's shape does not allow it."""
    scalar = not graph.shape(graph.output)
    if kind is None:
        return "gradient" if scalar else "jacobian"
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS) or f"one of {', '.join(KINDS)}"
        raise DerivkitError(f"unknown kind '{echo(kind)}'", code="DK031", hint=hint)
    if kind in ("gradient", "hessian", "hvp") and not scalar:
        shape = ", ".join(map(str, graph.shape(graph.output)))
        article = "an" if kind == "hvp" else "a"
        hint = "ask for kind='jacobian' or kind='vjp', or sum the output"
        raise DerivkitError(f"{article} {kind} is of a scalar, and {graph.output} has shape ({shape})", code="DK031", hint=hint)
    return kind


# -- one pass -------------------------------------------------------------------------------------------------------------


def _once(graph: Graph, done: Pass, wrt: tuple[Name, ...], kind: str) -> Differentiated:
    results = {str(n): _adjoint_result(done, n) for n in wrt}
    full = _extended(graph, _adjoints(done))
    return Differentiated(graph, full, kind, wrt, (done,), results, (Claim(graph, tuple(results.values())),))


def _pulled_back(graph: Graph, wrt: tuple[Name, ...]) -> Differentiated:
    seed = user(f"{graph.output}_bar")
    if seed in graph.inputs or any(str(d.name) == str(seed) for d in graph.definitions):
        raise DerivkitError(f"'{seed}' is the name of the cotangent, but the program uses it", code="DK011")
    graph = _with_inputs(graph, {seed: graph.shape(graph.output)})
    return _once(graph, reverse(graph, wrt, seed), wrt, "vjp")


def _pushed_forward(graph: Graph, wrt: tuple[Name, ...], along: Iterable[str] | str | None) -> Differentiated:
    graph, directions = _directed(graph, wrt, along)
    done = forward(graph, directions, (graph.output,))
    found = done.tangent(graph.output)
    name, shape = tangent_name(graph.output), graph.shape(graph.output)
    full = _extended(graph, [t.definition for t in done.tangents])
    if graph.output in directions:
        at = node_indices(graph, graph.output)
        moved = Definition(directions[graph.output], shape, at, ZERO_EXPR).ref()
        result = Result(name, wrt[0], moved, at, (), shape, (), full)
    elif found is None:
        result = Result(name, wrt[0], ZERO_EXPR, axes(shape), (), shape, (), full)
    else:
        moved_to = found.definition
        result = Result(moved_to.name, wrt[0], moved_to.best, moved_to.indices, (), shape, (), full)
    results = {", ".join(map(str, wrt)): result}
    return Differentiated(graph, full, "jvp", wrt, (done,), results, (Claim(graph, (result,), directions),), directions)


# -- two passes -----------------------------------------------------------------------------------------------------------


def _hessian(graph: Graph, wrt: tuple[Name, ...]) -> Differentiated:
    done = reverse(graph, wrt)
    first = _once(graph, done, wrt, "gradient")
    results: dict[str, Result] = {}
    full, passes, claims = first.full, [*first.passes], []
    for row in wrt:
        if done.adjoint(row) is None:
            found = {str(n): _zero(graph, first.results[str(row)], n) for n in wrt}
        else:
            below = derivative_graph(graph, first.full, (first.results[str(row)].name,))
            second = reverse(below, wrt)
            passes.append(second)
            full = _extended(full, _adjoints(second))
            found = {str(n): _adjoint_result(second, n) for n in wrt}
            claims.append(Claim(below, tuple(found.values())))
        results |= {(n if n == str(row) else f"{row}, {n}"): r for n, r in found.items()}
    results = {k: replace(r, graph=full) for k, r in results.items()}
    return Differentiated(graph, full, "hessian", wrt, tuple(passes), results, tuple(claims))


def _zero(graph: Graph, row: Result, column: Name) -> Result:
    name = Name("adjoint", "", of=column, output=row.name)
    shapes = row.input_shape, graph.shape(column)
    return Result(name, column, ZERO_EXPR, axes(shapes[0]), axes(shapes[1]), *shapes, graph)


def _hessian_times(graph: Graph, wrt: tuple[Name, ...], along: Iterable[str] | str | None) -> Differentiated:
    graph, directions = _directed(graph, wrt, along)
    done = reverse(graph, wrt)
    first = _once(graph, done, wrt, "gradient")
    targets = tuple(first.results[str(n)].name for n in wrt if done.adjoint(n) is not None)
    full, passes, claims = first.full, [*first.passes], []
    results = {str(n): _still(graph, first.results[str(n)]) for n in wrt}
    if targets:
        below = derivative_graph(graph, first.full, targets)
        second = forward(below, directions, targets)
        passes.append(second)
        full = _extended(full, [t.definition for t in second.tangents])
        for n in wrt:
            found = second.tangent(first.results[str(n)].name)
            if found is not None:
                d = found.definition
                results[str(n)] = Result(d.name, n, d.best, (), d.indices, (), d.shape, full)
                claims.append(Claim(replace(below, output=found.of.name), (results[str(n)],), directions))
    return Differentiated(graph, full, "hvp", wrt, tuple(passes), results, tuple(claims), directions)


def _still(graph: Graph, gradient: Result) -> Result:
    shape = gradient.input_shape
    return Result(tangent_name(gradient.name), gradient.wrt, ZERO_EXPR, (), axes(shape), (), shape, graph)


# -- parts ----------------------------------------------------------------------------------------------------------------


def _adjoints(done: Pass) -> list[Definition]:
    return [a.definition for a in done.adjoints if a.definition.name != done.seed]


def _extended(graph: Graph, more: list[Definition]) -> Graph:
    known = {d.name for d in graph.definitions}
    return replace(graph, definitions=(*graph.definitions, *(d for d in more if d.name not in known)))


def _with_inputs(graph: Graph, more: Mapping[Name, tuple[object, ...]]) -> Graph:
    extra = {n: i for n, i in graph.extra.items() if n not in more}
    new = {n: Input(n, "real", tuple(shape)) for n, shape in more.items() if n not in graph.inputs}  # type: ignore[arg-type]
    apart = None if graph.apart is None else _with_inputs(graph.apart, more)
    return replace(graph, inputs={**graph.inputs, **new}, extra=extra, apart=apart)


def _directed(graph: Graph, wrt: tuple[Name, ...], along: Iterable[str] | str | None) -> tuple[Graph, dict[Name, Name]]:
    """Give each name of ``wrt`` its direction: an input of the same shape."""
    words = [str(tangent_name(n)) for n in wrt] if along is None else _words(along)
    if len(words) != len(wrt):
        message = f"along= names {len(words)} directions for {len(wrt)} names"
        raise DerivkitError(message, code="DK010", hint="one for each name of wrt")
    known = {**graph.inputs, **graph.extra}
    directions: dict[Name, Name] = {}
    shapes = [i.shape for i in known.values()] + [d.shape for d in graph]
    sizes = {n for shape in shapes for size in shape for n in size.names()}
    for name, word in zip(wrt, words, strict=True):
        direction = user(word) if along is not None or user(word) in known else tangent_name(name)
        if word in sizes:
            raise DerivkitError(f"the direction '{word}' is a size of the program", code="DK011", hint="along='v'")
        if any(str(d.name) == word for d in graph.definitions):
            raise DerivkitError(f"the direction '{echo(word)}' is a line of the program", code="DK011", hint="along='v'")
        given = known.get(direction)
        if given is not None and (given.shape != graph.shape(name) or given.kind == "label"):
            shape = ", ".join(map(str, graph.shape(name))) or "no axes"
            raise DerivkitError(f"the direction '{echo(word)}' needs the shape of {name}: {shape}", code="DK012")
        directions[name] = direction
    return _with_inputs(graph, {directions[n]: graph.shape(n) for n in wrt}), directions


def _words(along: Iterable[str] | str) -> list[str]:
    words = words_of("along", along)
    for word in words:
        if not word.isidentifier() or not word.isascii() or iskeyword(word):
            raise DerivkitError(f"along='{echo(word)}' is no name", code="DK010", hint="along='v'")
        if word in FUNCTIONS:
            raise DerivkitError(f"the direction '{word}' is a function", code="DK006", hint="along='v'")
    return list(words)


def _adjoint_result(done: Pass, wrt: Name) -> Result:
    """Return a result as its adjoint's definition has it, in the names of the derived graph."""
    graph, rank = done.graph, len(done.outputs)
    adjoint = done.adjoint(wrt)
    output_shape, shape = graph.shape(graph.output) if done.outputs else (), graph.shape(wrt)
    if adjoint is None:
        name = done.name(wrt)
        inputs = node_indices(graph, wrt) if wrt in graph.inputs else axes(shape)
        return Result(name, wrt, ZERO_EXPR, done.outputs, inputs, output_shape, shape, graph)
    d = adjoint.definition
    return Result(d.name, wrt, d.best, d.indices[:rank], d.indices[rank:], output_shape, shape, graph)
