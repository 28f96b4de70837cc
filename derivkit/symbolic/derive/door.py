"""``derive``: the list of passes from a program to a derivation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from derivkit.collector import collector_paused
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.layout import read_layout
from derivkit.symbolic.derive.again import derivative_graph
from derivkit.symbolic.derive.decorate import ProgramFunction
from derivkit.symbolic.derive.expand import expanded
from derivkit.symbolic.derive.inline import Flattener, without_unread
from derivkit.symbolic.derive.kinds import Differentiated, chosen_kind, differentiated
from derivkit.symbolic.derive.kinks import conventions
from derivkit.symbolic.derive.lemmas import has_lemma, lemma
from derivkit.symbolic.derive.narrate import narrate
from derivkit.symbolic.derive.reverse import Pass
from derivkit.symbolic.derive.selfcheck import selfcheck
from derivkit.symbolic.derive.symmetry import without_solutions
from derivkit.symbolic.expr import Expr, Fn, Name, Prim
from derivkit.symbolic.given import words_of
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.parse.lexer import ascii_name
from derivkit.symbolic.steps import Derivation, Lemma, Result, Step


class _Parameters:
    """The request for every ``real`` input of a program."""

    def __repr__(self) -> str:
        """Return the name at the front door."""
        return "derivkit.PARAMETERS"


PARAMETERS = _Parameters()


@collector_paused()
def derive(
    program: str | Graph | ProgramFunction | Derivation,
    /,
    wrt: str | Iterable[str] | _Parameters,
    shapes: Mapping[str, str] | None = None,
    *,
    kind: str | None = None,
    along: str | Iterable[str] | None = None,
    layout: str = "mixed",
    expand: str | Iterable[str] = (),
    check: bool = True,
) -> Derivation:
    """Derive the gradient or Jacobian of a program's output, step by step, at symbolic sizes.

    ``program`` is text in the program language, a function decorated with ``@program``, or a derivation, whose result is then
    differentiated again; ``wrt`` names inputs or
    intermediate lines (one, several, or
    ``PARAMETERS``: every ``real`` input).  ``kind`` is ``None`` (the gradient of a scalar, the Jacobian of an array),
    ``"gradient"``, ``"jacobian"``, ``"vjp"`` (the cotangent is the input ``<output>_bar``), ``"jvp"``, ``"hessian"`` or
    ``"hvp"``; the directions of a jvp and an hvp are the inputs named by ``along`` (``<wrt>_dot`` otherwise).  A Hessian by
    several names has a result for each, and ``results["a, b"]`` for the mixed ones.  ``layout`` is the default of printing and
    returning.  ``expand="softmax"`` derives through the definition of an operation instead of citing its lemma.
    Every line is checked numerically before it is returned, unless ``check=False``.

    Raises :class:`DerivkitError` for a program that cannot be read and :class:`DerivationError` (DK033) for a line that
    fails the check: a bug of ours.

    >>> import derivkit
    >>> d = derivkit.derive("E = sum((W @ x - y)**2)", wrt="x")
    >>> d.result.program()
    '2 * W.T @ (W @ x - y)'
    """
    if not isinstance(check, bool):
        raise DerivkitError(f"check= is True or False, not {echo(repr(check))}", code="DK010")
    read_layout(layout)
    graph = expanded(_read(program, shapes), words_of("expand", expand))
    found = _differentiated(graph, wrt, kind, along)
    lemmas = _lemmas(found)
    steps = narrate(found.passes, {one.op: one.number for one in lemmas})
    results = _results(found, layout)
    checked = str(selfcheck(found.primal, found.full, steps, results, found.claims)) if check else ""
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
        directions=found.directions,
        conventions=conventions(_through(found), found.full, results.values()),
    )


@collector_paused()
def differentiate(
    program: str | Graph | ProgramFunction | Derivation,
    /,
    wrt: str | Iterable[str] | _Parameters,
    shapes: Mapping[str, str] | None = None,
    *,
    kind: str | None = None,
    along: str | Iterable[str] | None = None,
    data: Collection[str] = (),
) -> Derivation:
    """Return the derivation without its prose: the graph with its adjoints and bare results, for what only runs.

    The arguments are those of :func:`derive`, and ``data``, the inputs that are no ``PARAMETERS``; nothing is narrated,
    written out or checked, which takes most of the time.

    >>> differentiate("E = sum(x**2)", wrt="x").steps
    ()
    """
    found = _differentiated(_read(program, shapes), wrt, kind, along, data)
    return Derivation(found.primal, found.full, found.kind, found.wrt, (), (), found.results)


def _differentiated(
    graph: Graph,
    wrt: str | Iterable[str] | _Parameters,
    kind: str | None,
    along: str | Iterable[str] | None,
    data: Collection[str] = (),
) -> Differentiated:
    names = _names(graph, wrt, data)
    return differentiated(graph.moving(names), names, chosen_kind(graph, None if kind is None else str(kind)), along)


def _through(found: Differentiated, linear: bool = True) -> Iterator[Expr]:
    """Yield the right sides that were differentiated, in the order of the passes."""
    for done in found.passes:
        if isinstance(done, Pass):
            parts = [c for a in done.adjoints for c in a.contributions]
            yield from {c.consumer.name: c.consumer.rhs for c in parts if linear or not c.linear}.values()
        else:
            yield from (t.of.rhs for t in done.tangents)


def _facts(steps: tuple[Step, ...], results: Mapping[str, Result]) -> tuple[str, ...]:
    """Return what was used of the inputs' kinds and of the definitions: ``t is one-hot``."""
    told = [f for s in steps for line in s.substeps for f in line.facts]
    told += [f for r in results.values() for f in r.facts]
    return tuple(dict.fromkeys(f.partition(":")[0] for f in told))


def _read(program: str | Graph | ProgramFunction | Derivation, shapes: Mapping[str, str] | None) -> Graph:
    if not isinstance(program, str | Graph | ProgramFunction | Derivation):
        raise DerivkitError(f"a program is text or a program function, not {type(program).__name__}", code="DK010")
    if shapes is not None and not isinstance(shapes, Mapping):
        raise DerivkitError("shapes= is a mapping of names to declarations", code="DK010", hint="shapes={'W': 'M, D'}")
    if isinstance(program, str):
        return read_program(program, shapes)
    if shapes is not None:
        raise DerivkitError("a program function and a graph have their own shapes", code="DK010", hint="leave shapes= out")
    if isinstance(program, Derivation):
        return derivative_graph(program.primal, program.graph, (program.result.name,))
    return program.graph if isinstance(program, ProgramFunction) else program


def _names(graph: Graph, wrt: str | Iterable[str] | _Parameters, data: Collection[str] = ()) -> tuple[Name, ...]:
    if isinstance(wrt, _Parameters):
        others = {f"{graph.output}_bar", *data}
        real = tuple(n for n, i in graph.inputs.items() if i.kind == "real" and str(n) not in others)
        if not real:
            raise DerivkitError("the program has no real input", code="DK010", hint="name what to differentiate by: wrt='p'")
        return real
    if not isinstance(wrt, str | Iterable):
        raise DerivkitError(f"wrt= is a name or several, not {type(wrt).__name__}", code="DK010", hint="wrt='W1'")
    words = [w.strip() for w in wrt.split(",")] if isinstance(wrt, str) else list(wrt)
    asked = [ascii_name(w) if isinstance(w, str) else w for w in words]
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


def _lemmas(found: Differentiated) -> tuple[Lemma, ...]:
    ops = (rhs.op for rhs in _through(found, linear=False) if isinstance(rhs, Fn | Prim) and has_lemma(rhs.op))
    return tuple(lemma(op, n) for n, op in enumerate(dict.fromkeys(ops), 1))


def _results(found: Differentiated, layout: str) -> dict[str, Result]:
    """Return each result over the program's own names: adjoints, tangents and anonymous nodes are opened."""
    opened = [without_solutions(p) for p in found.primal.definitions if p.name.opened and p.name not in found.wrt]
    for done in found.passes:
        if isinstance(done, Pass):
            opened += [a.definition for a in done.adjoints if a.contributions]
        else:
            opened += [t.definition for t in done.tangents]
    bare = [one.expr for one in found.results.values()]
    table, order = {o.name: o for o in opened}, tuple(o.name for o in opened)
    last = found.passes[-1]
    anywhere = Flattener(table, order, last.known.named_by_author(), bare)
    held = last.held if isinstance(last, Pass) else None
    moving = anywhere if held is None else Flattener(table, order, held.named_by_author(), bare)
    return {
        key: _result(found, one, layout, anywhere if one.wrt in found.primal.inputs else moving)
        for key, one in found.results.items()
    }


def _result(found: Differentiated, bare: Result, layout: str, flattener: Flattener) -> Result:
    flat = flattener.flat(bare.expr)
    expr = without_unread(flat.expr, found.full)  # a tangent is one of the arrays, too
    return replace(bare, graph=found.primal, expr=expr, shared=flat.shared, facts=flat.facts, layout=layout)
