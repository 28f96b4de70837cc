"""Results as program text, which parses again and means the same."""

from __future__ import annotations

from collections.abc import Iterator

from derivkit.errors import DerivkitError
from derivkit.layout import axis_order, read_layout
from derivkit.symbolic.expr import Add, Delta, Expr, Inside, Name, Prim, Ref, references, user, walk
from derivkit.symbolic.graph import Definition, Input
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.matrix import matrix_program
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.page import option, ranks
from derivkit.symbolic.steps import Derivation, Result


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
    lines = [_declaration(i) for i in derivation.primal.inputs.values()]
    used = {n for r in derivation.results.values() for e in (r.expr, *(d.best for d in r.shared)) for n in references(e)}
    shown = [d for d in derivation.primal.definitions if d.name.kind != "anon" or d.name in used]
    lines += [_author_line(derivation, d) for d in shown]
    for result in derivation.results.values():
        lines += _lines(result, notation, layout or derivation.layout)
    return "\n".join(lines)


def result_program(result: Result, notation: str = "matrix", layout: str = "mixed") -> str:
    """Return a result as one expression; DK032 when there is no such form."""
    option("notation", notation, ("index", "matrix"))
    if notation == "matrix":
        text = matrix_program(result, read_layout(layout))
        if text is None:
            hint = "notation='index' writes it entry by entry"
            raise DerivkitError("this derivative has no matrix form", code="DK032", hint=hint)
        return text
    return _entries(result, layout)[1]


def result_line(result: Result) -> str:
    """Return ``dE_dW1 = ...`` in matrix notation, or in index notation where there is no other."""
    return "\n".join(_lines(result, "matrix", result.layout))


def _lines(result: Result, notation: str, layout: str) -> Iterator[str]:
    matrix = matrix_program(result, read_layout(layout)) if notation == "matrix" else None
    if matrix is None:
        letters = Letters.of(result.graph)
        for d in result.shared:
            yield " = ".join(_left_right(letters, result, d.name, _whole(d.indices), d.best))
        yield " = ".join(_entries(result, layout))
    else:
        for d in result.shared:  # the planner reads shared parts by name
            yield " = ".join(_left_right(Letters.of(result.graph), result, d.name, _whole(d.indices), d.best))
        yield f"{_label(result)} = {matrix}"


def _label(result: Result) -> str:
    """Return the name that a program gives to a result: ``dE_dx``, with a line behind it where the author has that name."""
    graph = result.graph
    taken = {str(n) for n in (*graph.inputs, *graph.extra, *(d.name for d in graph.definitions))}
    label = str(result.name)
    while label in taken:
        label += "_"
    return label


def _whole(indices: tuple[Index | None, ...]) -> tuple[Affine, ...]:
    return tuple(Affine.of(Index("i", _ONE) if i is None else i) for i in indices)


def _entries(result: Result, layout: str) -> tuple[str, str]:
    """Return (``dE_dW1[j,i]``, the entry), the axes in the order of ``layout``."""
    order = axis_order(read_layout(layout), len(result.output_shape), len(result.input_shape))
    natural = (*result.outputs, *result.inputs)
    subs = _whole(tuple(natural[n] for n in order))
    return _left_right(Letters.of(result.graph), result, user(_label(result)), subs, result.expr)


def _left_right(letters: Letters, result: Result, name: Name, subs: tuple[Affine, ...], expr: Expr) -> tuple[str, str]:
    """Return both sides of an index definition; every index of the left side is read by an array on the right."""
    notation = Notation("program", letters, ranks(result.graph))
    notation.ranged = _read(expr, result)
    deltas = {s.bare for n in walk(expr) if isinstance(n, Delta) for s in (n.left, n.right)}  # eye(K)[i,j] tells the range
    unread = [s.bare for s in subs if s.bare is not None and s.bare not in notation.ranged and s.bare not in deltas]
    left, right, *ones = notation.line((Ref(name, subs), expr, *(Inside(Affine.of(i), i.size) for i in unread)))
    if not ones:
        return left, right
    return left, " * ".join(ones if right == "1" else [f"({right})" if isinstance(expr, Add) else right, *ones])


def _read(expr: Expr, result: Result) -> frozenset[Index]:
    """Return the indices at which some array is read barely, along an axis of the index's own size."""
    shared = {d.name: d.shape for d in result.shared}
    found: set[Index] = set()
    for node in walk(expr):
        if isinstance(node, Prim):
            found.update(s.bare for s in node.at if s.bare is not None)
        elif isinstance(node, Ref):
            shape = shared[node.name] if node.name in shared else result.graph.shape(node.name)
            pairs = zip(node.subs, shape, strict=True)
            for sub, size in pairs:
                if sub.bare is not None and sub.bare.size == size:
                    found.add(sub.bare)
                elif sub.bare is not None:  # a slice, or an index that runs past an axis: its letter would tell another range
                    raise DerivkitError(
                        f"'{node.name}' is read along {sub.bare.size} of its {size} entries: that has no program text yet",
                        code="DK032",
                        hint="print text, or JSON",
                    )
    return frozenset(found)


def _declaration(declared: Input) -> str:
    kind = "" if declared.kind == "real" else declared.kind
    sizes = [*([declared.range] if declared.range is not None else []), *declared.shape]
    words = " ".join(p for p in (kind, ", ".join(map(str, sizes))) if p)
    return f"{declared.name}: {words}" if words else f"{declared.name}:"


def _author_line(derivation: Derivation, d: Definition) -> str:
    if d.text:
        return d.text if "=" in d.text.replace("==", "").replace("<=", "").replace(">=", "") else f"{d.name} = {d.text}"
    letters = Letters.of(derivation.graph)
    left, right = Notation("program", letters, ranks(derivation.graph)).line((d.ref(), d.rhs))
    return f"{left} = {right}"


_ONE = Affine.of(1).const
