"""Results as program text, which parses again and means the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace as replaced

from derivkit import limits
from derivkit.errors import DerivkitError
from derivkit.layout import axis_order, read_layout
from derivkit.symbolic.expr import Add, Expr, Inside, Name, Prim, Ref, freshen, key, references, replace, substitute, user
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import ONE, Affine, Index
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.matrix import matrix_program
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.page import option, ranks
from derivkit.symbolic.render.pieces import Shapes
from derivkit.symbolic.render.source import equation
from derivkit.symbolic.render.spelling import spelled
from derivkit.symbolic.steps import Derivation, Result

_TOKEN = re.compile(r"\w+|\*\*|\S|\n")


def to_program(derivation: Derivation, *, notation: str = "matrix", layout: str | None = None) -> str:
    """Return a program: declarations, the author's lines, then a line (with shared parts, several) for each derivative.

    ``notation="matrix"`` is array code, falling back to index notation for a result that has no array form;
    ``notation="index"`` writes every derivative entry by entry.

    >>> from derivkit.symbolic.derive import derive
    >>> print(to_program(derive("E = sum(x**2)", "x", {"x": "D"}, check=False)))
    x: D
    E = sum(x**2)
    dE_dx = 2 * x
    """
    option("notation", notation, ("index", "matrix"))
    text = _program(derivation, _told_apart(derivation), notation, layout or derivation.layout)
    if _is_readable(text):
        return text
    return _program(derivation, _told_apart(_in_names(derivation)), notation, layout or derivation.layout)


def _program(derivation: Derivation, results: list[Result], notation: str, layout: str) -> str:
    used = {n for r in results for e in (r.expr, *(d.best for d in r.shared)) for n in references(e)}
    shown = _shown(derivation.primal, used)
    entries = _Entries(derivation.graph)
    lines = [_declaration(i) for i in _declared(derivation, used)]
    lines += [_author_line(entries, d) for d in shown]
    for result in results:
        lines += entries.lines(result, notation, layout)
    return "\n".join(dict.fromkeys(lines))


def _is_readable(text: str) -> bool:
    return len(text) <= limits.TEXT_BYTES and len(_TOKEN.findall(text)) <= limits.TOKENS


def _in_names(derivation: Derivation) -> Derivation:
    """Return the derivation with its results in the names of its steps, a line for each, since written out they are too long."""
    graph = {d.name: d for d in derivation.graph}
    results = {}
    for wrt, result in derivation.results.items():
        d = graph.get(result.name)
        natural = (*result.outputs, *result.inputs)
        if d is None or len(d.indices) != len(natural):
            results[wrt] = result
            continue
        pairs = {a: Affine.of(b) for a, b in zip(d.indices, natural, strict=True) if a is not None and b is not None}
        results[wrt] = replaced(result, expr=substitute(freshen(d.best), pairs), shared=())
    return replaced(derivation, results=results)


def result_program(result: Result, notation: str = "matrix", layout: str = "mixed") -> str:
    """Return a result as one expression in the names of ``result.graph``; DK032 when there is no such form."""
    option("notation", notation, ("index", "matrix"))
    if notation == "matrix":
        text = matrix_program(result, read_layout(layout))
        if text is None:
            hint = "notation='index' writes it entry by entry"
            raise DerivkitError("this derivative has no matrix form", code="DK032", hint=hint)
        return text
    return _Entries(result.graph).entries(result, layout)[1]


def result_line(result: Result) -> str:
    """Return ``dE_dW1 = ...`` in matrix notation, or in index notation where there is no other."""
    return "\n".join(_Entries(result.graph).lines(result, "matrix", result.layout))


# -- what stands in the program ------------------------------------------------------------------------------------------


def _shown(primal: Graph, used: set[Name]) -> list[Definition]:
    """Return the author's lines, and before each what it needs of the lines between that results read by name."""
    needed = set(used)
    kept = []
    for d in reversed(primal.definitions):
        if d.name.kind != "anon" or d.name in needed:
            kept.append(d)
            needed.update(references(d.rhs) if d.name.kind == "anon" or not d.text else ())
    return kept[::-1]


def _declared(derivation: Derivation, used: set[Name]) -> list[Input]:
    """Return the inputs of the program, and those of a pullback or pushforward that the results read."""
    more = {**derivation.graph.extra, **derivation.graph.inputs}
    return [*derivation.primal.inputs.values(), *(i for n, i in more.items() if n in used and n not in derivation.primal.inputs)]


def _told_apart(derivation: Derivation) -> list[Result]:
    """Return the results with names for their shared parts that nothing else has; equal parts have one name."""
    taken = _names(derivation.graph) | {_label(r) for r in derivation.results.values()}
    known: dict[tuple[Name, int], Name] = {}
    results = []
    for result in derivation.results.values():
        names: dict[Name, Name] = {}
        shared = []
        for d in _parts(derivation, result):
            rhs = _renamed(d.best, names)
            place = (d.name, key(Prim("definition", d.bound, (rhs,), ())))
            if place not in known:
                known[place] = user(_free(str(d.name), taken))
                taken.add(str(known[place]))
            names[d.name] = known[place]
            shared.append(Definition(known[place], d.shape, d.indices, rhs))
        results.append(replaced(result, expr=_renamed(result.expr, names), shared=tuple(shared)))
    return results


def _parts(derivation: Derivation, result: Result) -> list[Definition]:
    """Return the definitions that a result reads and the program lacks: shared parts, and tangents on the way."""
    primal = {d.name for d in derivation.primal}
    table = {d.name: d for d in (*derivation.graph, *result.shared) if d.name not in primal}
    needed = set(references(result.expr))
    kept = []
    for d in reversed(table.values()):
        if d.name in needed:
            kept.append(d)
            needed.update(references(d.best))
    return kept[::-1]


def _renamed(expr: Expr, names: Mapping[Name, Name]) -> Expr:
    def change(node: Expr) -> Expr | None:
        return Ref(names[node.name], node.subs) if isinstance(node, Ref) and node.name in names else None

    return replace(expr, change, names.keys())


def _names(graph: Graph) -> set[str]:
    """Return the names of a program, without those that derivatives get."""
    own = (d.name for d in graph if d.name.kind in ("user", "anon"))
    return {str(n) for n in (*graph.inputs, *graph.extra, *own)}


def _free(label: str, taken: set[str]) -> str:
    while label in taken:
        label += "_"
    return label


def _label(result: Result) -> str:
    """Return the name that a program gives to a result: ``dE_dx``, with a line behind it where the author has that name."""
    return _free(str(result.name), _names(result.graph))


def _declaration(declared: Input) -> str:
    kind = "" if declared.kind == "real" else declared.kind
    sizes = [*([declared.range] if declared.range is not None else []), *declared.shape]
    words = " ".join(p for p in (kind, ", ".join(map(str, sizes))) if p)
    return f"{declared.name}: {words}" if words else f"{declared.name}:"


def _author_line(entries: _Entries, d: Definition) -> str:
    if d.text:
        return equation(d)
    return " = ".join(entries.line(d.name, _whole(d.indices), d.rhs))


def _whole(indices: tuple[Index | None, ...]) -> tuple[Affine, ...]:
    return tuple(Affine.of(Index("i", ONE) if i is None else i) for i in indices)


# -- lines ---------------------------------------------------------------------------------------------------------------


class _Entries:
    """The writing of definitions entry by entry, in the names of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._taken = Letters.of(graph).taken
        self._ranks = ranks(graph)
        self._shapes: Shapes = {n: graph.shape(n) for n in self._ranks}

    def lines(self, result: Result, notation: str, layout: str) -> Iterator[str]:
        """Yield the lines of a result: its shared parts, then the result."""
        own = {d.name: d.shape for d in result.shared}
        for d in result.shared:
            yield " = ".join(self.line(d.name, _whole(d.indices), d.best, own))
        matrix = matrix_program(result, read_layout(layout)) if notation == "matrix" else None
        yield " = ".join(self.entries(result, layout)) if matrix is None else f"{_label(result)} = {matrix}"

    def entries(self, result: Result, layout: str) -> tuple[str, str]:
        """Return (``dE_dW1[j,i]``, the entry), the axes in the order of ``layout``."""
        order = axis_order(read_layout(layout), len(result.output_shape), len(result.input_shape))
        natural = (*result.outputs, *result.inputs)
        subs = _whole(tuple(natural[n] for n in order))
        return self.line(user(_label(result)), subs, result.expr, {d.name: d.shape for d in result.shared})

    def line(self, name: Name, subs: tuple[Affine, ...], expr: Expr, shared: Shapes | None = None) -> tuple[str, str]:
        """Return both sides of an index definition; the right side tells the range of every index."""
        notation = Notation("program", Letters(self._taken), self._ranks)
        notation.shapes = {**self._shapes, **(shared or {})}
        made = spelled(expr, notation.shapes)
        notation.ranged = made.ranged
        unread = [s.bare for s in subs if s.bare is not None and s.bare not in made.told]
        left, right, *ones = notation.line((Ref(name, subs), made.expr, *(Inside(Affine.of(i), i.size) for i in unread)))
        if not ones:
            return left, right
        return left, " * ".join(ones if right == "1" else [f"({right})" if isinstance(made.expr, Add) else right, *ones])
