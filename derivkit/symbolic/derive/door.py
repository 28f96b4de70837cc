"""``derive``: the list of passes from a program to a derivation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.layout import read_layout
from derivkit.symbolic.derive.decorate import ProgramFunction
from derivkit.symbolic.derive.expand import expanded
from derivkit.symbolic.derive.inline import Flattener
from derivkit.symbolic.derive.lemmas import has_lemma, lemma
from derivkit.symbolic.derive.narrate import narrate
from derivkit.symbolic.derive.reverse import Pass, node_indices, reverse
from derivkit.symbolic.derive.selfcheck import selfcheck
from derivkit.symbolic.expr import ZERO_EXPR, Fn, Name, Prim, user, walk
from derivkit.symbolic.graph import Graph, Input, axes
from derivkit.symbolic.ops import OPS
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.steps import Derivation, Lemma, Result, Step

KINDS = ("gradient", "jacobian", "vjp")


class _Parameters:
    """The request for every ``real`` input of a program."""

    def __repr__(self) -> str:
        """Return the name at the front door."""
        return "derivkit.PARAMETERS"


PARAMETERS = _Parameters()


def derive(
    program: str | Graph | ProgramFunction,
    /,
    wrt: str | Iterable[str] | _Parameters,
    shapes: Mapping[str, str] | None = None,
    *,
    kind: str | None = None,
    along: str | None = None,
    layout: str = "mixed",
    expand: str | Iterable[str] = (),
    check: bool = True,
) -> Derivation:
    """Derive the gradient or Jacobian of a program's output, step by step, at symbolic sizes.

    ``program`` is text in the program language or a function decorated with ``@program``; ``wrt`` names inputs or
    intermediate lines (one, several, or
    ``PARAMETERS``: every ``real`` input).  ``kind`` is ``None`` (the gradient of a scalar, the Jacobian of an array),
    ``"gradient"``, ``"jacobian"`` or ``"vjp"`` (the cotangent is the input ``<output>_bar``).  ``layout`` is the default of
    printing and returning.  ``expand="softmax"`` derives through the definition of an operation instead of citing its lemma.
    Every line is checked numerically before it is returned, unless ``check=False``.

    Raises :class:`DerivkitError` for a program that cannot be read and :class:`DerivationError` (DK033) for a line that
    fails the check: a bug of ours.

    >>> import derivkit
    >>> d = derivkit.derive("E = sum((W @ x - y)**2)", wrt="x")
    >>> d.result.program()
    '2 * W.T @ (W @ x - y)'
    """
    del along
    read_layout(layout)
    graph = expanded(_read(program, shapes), expand)
    found = _differentiated(graph, wrt, kind)
    lemmas = _lemmas(found.done)
    steps = narrate(found.done, {one.op: one.number for one in lemmas})
    results = _results(found.done, found.wrt, layout)
    checked = str(selfcheck(found.primal, found.full, steps, results)) if check else ""
    return Derivation(
        primal=found.primal,
        graph=found.full,
        kind=found.kind,
        wrt=found.wrt,
        steps=steps,
        lemmas=lemmas,
        results=results,
        facts=_facts(steps, results),
        lets=tuple(d for d in found.primal.definitions if d.name.kind == "anon"),
        checked=checked,
        layout=layout,
        conventions=_conventions(found.done),
    )


def differentiate(
    program: str | Graph | ProgramFunction,
    /,
    wrt: str | Iterable[str] | _Parameters,
    shapes: Mapping[str, str] | None = None,
    *,
    kind: str | None = None,
) -> Derivation:
    """Return the derivation without its prose: the graph with its adjoints and bare results, for what only runs.

    The arguments are those of :func:`derive`; nothing is narrated, written out or checked, which takes most of the time.

    >>> differentiate("E = sum(x**2)", wrt="x").steps
    ()
    """
    found = _differentiated(_read(program, shapes), wrt, kind)
    results = {str(n): _bare_result(found.done, n) for n in found.wrt}
    return Derivation(found.primal, found.full, found.kind, found.wrt, (), (), results)


@dataclass(frozen=True)
class _Differentiated:
    """A reverse pass with the graphs before and after it."""

    primal: Graph
    full: Graph
    done: Pass
    kind: str
    wrt: tuple[Name, ...]


def _differentiated(graph: Graph, wrt: str | Iterable[str] | _Parameters, kind: str | None) -> _Differentiated:
    chosen = _kind(graph, kind)
    primal, seed = _seeded(graph, chosen)
    names = _names(primal, wrt)
    done = reverse(primal, names, seed)
    adjoints = tuple(a.definition for a in done.adjoints if a.definition.name != seed)
    full = Graph(primal.inputs, (*primal.definitions, *adjoints), primal.output, primal.assumed, primal.source, primal.extra)
    return _Differentiated(primal, full, done, chosen, names)


def _conventions(done: Pass) -> tuple[str, ...]:
    """Return the conventions of the operations that were differentiated through."""
    through = {c.consumer.name: c.consumer.rhs for a in done.adjoints for c in a.contributions}
    ops = (n.op for rhs in through.values() for n in walk(rhs) if isinstance(n, Fn | Prim))
    return tuple(dict.fromkeys(c for op in ops if (c := OPS[op].convention)))


def _facts(steps: tuple[Step, ...], results: Mapping[str, Result]) -> tuple[str, ...]:
    """Return what was used of the inputs' kinds and of the definitions: ``t is one-hot``."""
    told = [f for s in steps for line in s.substeps for f in line.facts]
    told += [f for r in results.values() for f in r.facts]
    return tuple(dict.fromkeys(f.partition(":")[0] for f in told))


def _read(program: str | Graph | ProgramFunction, shapes: Mapping[str, str] | None) -> Graph:
    if not isinstance(program, str | Graph | ProgramFunction):
        raise DerivkitError(f"a program is text or a program function, not {type(program).__name__}", code="DK010")
    if shapes is not None and not isinstance(shapes, Mapping):
        raise DerivkitError("shapes= is a mapping of names to declarations", code="DK010", hint="shapes={'W': 'M, D'}")
    if isinstance(program, str):
        return read_program(program, shapes)
    if shapes is not None:
        raise DerivkitError("a program function and a graph have their own shapes", code="DK010", hint="leave shapes= out")
    return program.graph if isinstance(program, ProgramFunction) else program


def _kind(graph: Graph, kind: str | None) -> str:
    scalar = not graph.shape(graph.output)
    if kind is None:
        return "gradient" if scalar else "jacobian"
    if kind not in KINDS:
        raise DerivkitError(
            f"unknown kind '{echo(kind)}'", code="DK031", hint=did_you_mean(str(kind), KINDS) or f"one of {', '.join(KINDS)}"
        )
    if kind == "gradient" and not scalar:
        shape = ", ".join(map(str, graph.shape(graph.output)))
        raise DerivkitError(
            f"a gradient is of a scalar, and {graph.output} has shape ({shape})",
            code="DK031",
            hint="ask for kind='jacobian' or kind='vjp', or sum the output",
        )
    return kind


def _seeded(graph: Graph, kind: str) -> tuple[Graph, Name | None]:
    """Give a vjp its cotangent: the input ``<output>_bar`` of the output's shape."""
    if kind != "vjp":
        return graph, None
    seed = user(f"{graph.output}_bar")
    shape = graph.shape(graph.output)
    if seed in graph.inputs:
        raise DerivkitError(f"'{seed}' is the name of the cotangent, but the program uses it", code="DK011")
    extra = {n: i for n, i in graph.extra.items() if n != seed}
    inputs = {**graph.inputs, seed: Input(seed, "real", shape)}
    return Graph(inputs, graph.definitions, graph.output, graph.assumed, graph.source, extra), seed


def _names(graph: Graph, wrt: str | Iterable[str] | _Parameters) -> tuple[Name, ...]:
    if isinstance(wrt, _Parameters):
        real = tuple(n for n, i in graph.inputs.items() if i.kind == "real" and str(n) != f"{graph.output}_bar")
        if not real:
            raise DerivkitError("the program has no real input", code="DK010", hint="name what to differentiate by: wrt='p'")
        return real
    if not isinstance(wrt, str | Iterable):
        raise DerivkitError(f"wrt= is a name or several, not {type(wrt).__name__}", code="DK010", hint="wrt='W1'")
    asked = [w.strip() for w in wrt.split(",")] if isinstance(wrt, str) else list(wrt)
    known = {str(n): n for n in graph.inputs}
    known |= {str(d.name): d.name for d in graph.definitions}
    known |= {str(n): n for n in graph.extra}
    found = []
    for word in asked:
        if not isinstance(word, str) or word not in known:
            raise DerivkitError(
                f"cannot differentiate with respect to '{echo(word)}': the program has no such name",
                code="DK008",
                hint=did_you_mean(str(word), known) or f"the names are {', '.join(known)}"[:120],
            )
        name = known[word]
        given = graph.inputs.get(name) or graph.extra.get(name)
        if given is not None and given.kind == "label":
            raise DerivkitError(f"'{word}' is a label: it has no derivative", code="DK014")
        found.append(name)
    if not found:
        raise DerivkitError("nothing to differentiate with respect to", code="DK010", hint="give a name: wrt='W1'")
    return tuple(dict.fromkeys(found))


def _lemmas(done: Pass) -> tuple[Lemma, ...]:
    ops: dict[str, None] = {}
    for adjoint in done.adjoints:
        for c in adjoint.contributions:
            rhs = c.consumer.rhs
            if isinstance(rhs, Fn | Prim) and not c.linear and has_lemma(rhs.op):
                ops.setdefault(rhs.op)
    return tuple(lemma(op, n) for n, op in enumerate(ops, 1))


def _results(done: Pass, wrt: tuple[Name, ...], layout: str) -> dict[str, Result]:
    """Return each result over the program's own names: adjoints and anonymous nodes are opened."""
    opened = [p for p in done.graph.definitions if p.name.kind == "anon" and p.name not in wrt]
    opened += [a.definition for a in done.adjoints if a.contributions]
    flattener = Flattener({o.name: o for o in opened}, tuple(o.name for o in opened), done.known.named_by_author())
    return {str(n): _result(done, n, layout, flattener) for n in wrt}


def _result(done: Pass, wrt: Name, layout: str, flattener: Flattener) -> Result:
    bare = _bare_result(done, wrt)
    flat = flattener.flat(bare.expr)
    return replace(bare, expr=flat.expr, shared=flat.shared, facts=flat.facts, layout=layout)


def _bare_result(done: Pass, wrt: Name) -> Result:
    """Return the result as its adjoint's definition has it, in the names of the derived graph."""
    graph, rank = done.graph, len(done.outputs)
    adjoint = done.adjoint(wrt)
    output_shape, shape = graph.shape(graph.output) if done.outputs else (), graph.shape(wrt)
    if adjoint is None:
        name = done.name(wrt)
        inputs = node_indices(graph, wrt) if wrt in graph.inputs else axes(shape)
        return Result(name, wrt, ZERO_EXPR, done.outputs, inputs, output_shape, shape, graph)
    d = adjoint.definition
    return Result(d.name, wrt, d.best, d.indices[:rank], d.indices[rank:], output_shape, shape, graph)
