"""``derivkit verify --explain LINE``: derivkit's own derivation of a line's derivative, below the lines of the author."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from derivkit.checking.verify.findings import Claim
from derivkit.checking.verify.judge import Judge
from derivkit.checking.verify.notes import judge_document, verify_document
from derivkit.checking.verify.told import WIDTH, told_claims
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.derive import derive
from derivkit.symbolic.derive.softmaxes import with_softmaxes
from derivkit.symbolic.expr import Expr, Name, Ref, user
from derivkit.symbolic.expr import replace as replaced
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.reading import Reading
from derivkit.symbolic.notes.slopes import refuse_unknown
from derivkit.symbolic.steps import Derivation

_CALL = re.compile(r"(.+)\((\d+)\)")  # the name of a function's value where it was called for the second time: f(2)
_NEAR = 6  # lines that are named where there is no formula


def explain_line(text: str, line: int, *, path: str = "text", shapes: Mapping[str, str] | None = None, width: int = WIDTH) -> str:
    r"""Return the author's relations of a line's chain, with their verdicts, and derivkit's own derivation of its derivative.

    Raises DerivkitError: DK008 where no formula stands in the line, DK030 where it has no derivative that can be derived.

    >>> print(explain_line(r"$E = \sum_k x_k^2$ has $\frac{\partial E}{\partial x_k} = 2 x_k$", 1))  # doctest: +ELLIPSIS
    text, line 1
    <BLANKLINE>
       1:4  definition   E = \sum_k x_k^2
      1:57  right        \frac{\partial E}{\partial x_k} = 2 x_k
    <BLANKLINE>
    derived:
    <BLANKLINE>
    E = ‖x‖²;   ∂E/∂x
    ...
    """
    told = dict(shapes or {})
    document, (chains, judge) = verify_document(path, text, told), judge_document(text, told)
    claims = [claim for claim in document.claims if claim.line == line]
    if not claims:
        raise _nothing(line, document.claims, path)
    orders = [order for order, chain in enumerate(chains) if any(place.line == line for _, place, _ in chain.links)]
    places = {(place.line, place.column) for order in orders for _, place, _ in chains[order].links}
    shown = [c for c in document.claims if (c.line, c.column) in places or c in claims]
    head = [f"{echo(path)}, line {line}", "", *told_claims(shown, width, False), "", "derived:", ""]
    derived, why = [], "has no derivative to explain"
    for order in orders:
        try:
            derived += [derivation_of(judge, *pair).text() for pair in _derivatives(judge, order, chains[order])]
        except DerivkitError as error:
            why = f"cannot be explained: {error.message}"
    if not derived:
        raise DerivkitError(f"line {line} of '{echo(path)}' {why}", code="DK030")
    return "\n".join([*head, "\n\n".join(dict.fromkeys(derived))])


def _nothing(line: int, claims: Sequence[Claim], path: str) -> DerivkitError:
    near = sorted({claim.line for claim in claims}, key=lambda other: abs(other - line))[:_NEAR]
    hint = f"formulas stand in lines {', '.join(map(str, sorted(near)))}" if near else None
    return DerivkitError(f"no formula in line {line} of '{echo(path)}'", code="DK008", hint=hint)


def _derivatives(judge: Judge, order: int, chain: f.Chain) -> Iterator[tuple[Definition | Name, Name]]:
    """Yield what is differentiated on the left of a chain, and by what; else on the first side that is a derivative."""
    sides = [side for side in (chain.first, *(term for _, _, term in chain.links)) if isinstance(side, f.Derivative)]
    for derivative in sides[:1]:
        if len(derivative.by) != 1:
            continue
        reading = Reading(judge.meaning, order)
        of, by = reading.term(derivative.of), reading.term(derivative.by[0])
        if not isinstance(by.expr, Ref):
            continue
        refuse_unknown(reading, of, by.expr.name)
        if isinstance(of.expr, Ref) and of.expr.name in judge.meaning.definitions:
            yield of.expr.name, by.expr.name
        else:
            indices = (*sorted(of.expr.free - {*of.axes}, key=lambda i: i.uid), *of.axes)
            yield Definition(user("out"), tuple(i.size for i in indices), indices, of.expr), by.expr.name


def derivation_of(judge: Judge, output: Definition | Name, name: Name) -> Derivation:
    """Return the derivation of a name of a document, or of a line of its own, by another name."""
    graph = _graph(judge, output, name)
    return derive(graph, [str(_spelled(graph, name))])


def _graph(judge: Judge, output: Definition | Name, wrt: Name) -> Graph:
    """Return the part of a document that a derivative needs as a program."""
    meaning = judge.meaning
    last = output if isinstance(output, Definition) else meaning.definitions[output]
    lines = {**meaning.definitions, last.name: last}
    needed = {last.name}
    for name in reversed(list(lines)):
        if name in needed:
            needed.update(lines[name].rhs.reads)
    kept = [_tidy(lines[name], lines, wrt) for name in lines if name in needed]
    read = {n for line in kept for n in line.rhs.reads} | {last.name, wrt}
    inputs = {n: Input(n, kind, shape) for n, (kind, shape) in meaning.inputs.items() if n in read}
    return _renamed(Graph(inputs, tuple(line for line in kept if line.name in read), last.name))


def _tidy(line: Definition, lines: Mapping[Name, Definition], wrt: Name) -> Definition:
    """Return a definition with a softmax by its name, and without a second name for the value of a function: y = f(1)."""

    def opened(node: Expr) -> Expr | None:
        called = isinstance(node, Ref) and node.name in lines and node.name != wrt and _CALL.fullmatch(str(node.name))
        return lines[node.name].at(node.subs) if called and isinstance(node, Ref) else None

    rhs = replaced(line.rhs, opened) if isinstance(line.rhs, Ref) else line.rhs
    return replace(line, rhs=with_softmaxes(rhs, {}))


def _renamed(graph: Graph) -> Graph:
    """Return a program in which the value of a function that is called once has the function's name."""
    words = [str(n) for n in (*graph.inputs, *(d.name for d in graph))]
    called = [match[1] for word in words if (match := _CALL.fullmatch(word))]
    free = {word for word in called if called.count(word) == 1 and word not in words}
    new = {d.name: user(match[1]) for d in graph if (match := _CALL.fullmatch(str(d.name))) and match[1] in free}

    def named(node: Expr) -> Expr | None:
        return Ref(new[node.name], node.subs) if isinstance(node, Ref) and node.name in new else None

    lines = tuple(replace(d, name=new.get(d.name, d.name), rhs=replaced(d.rhs, named)) for d in graph)
    return Graph(graph.inputs, lines, new.get(graph.output, graph.output))


def _spelled(graph: Graph, name: Name) -> Name:
    """Return a name of the document as it is called in the program."""
    if graph.knows(name):
        return name
    match = _CALL.fullmatch(str(name))
    return user(match[1]) if match else name
