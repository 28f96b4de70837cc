r"""Matrices and cases: the environments whose rows are a part of a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.formula import Application, Cases, Formula, Matrix, Relation, Symbol, Words

if TYPE_CHECKING:
    from derivkit.symbolic.notes.marks import Token
    from derivkit.symbolic.notes.pratt import Parser


def environment(p: Parser) -> Formula:
    """Read a matrix, cases, or a frame around rows."""
    start = p.i
    token = p.next()
    close = p.match[start]
    if token.text in tables.CASES:
        found = cases(p, start + 1, close)
        p.i = close + 1
        return Cases(found, **p.span(start))
    if token.text in tables.MATRICES or token.text in tables.ARRAYS:
        rows = tuple(tuple(_entry(p, a, b) for a, b in _cells(p, *row)) for row in _rows(p, start + 1, close))
        p.i = close + 1
        matrix = Matrix(rows, **p.span(start))
        if token.text == "vmatrix":
            return Application(Symbol("det", **p.span(start)), (matrix,), **p.span(start))
        return matrix
    raise p.error(f"rows inside of a formula: {token.text[:30]}", token)


def _rows(p: Parser, a: int, b: int) -> list[tuple[int, int]]:
    return [(c, d) for c, d in _split(p.tokens, a, b, "row") if c < d]


def _cells(p: Parser, a: int, b: int) -> list[tuple[int, int]]:
    return _split(p.tokens, a, b, "&")


def _split(tokens: list[Token], a: int, b: int, kind: str) -> list[tuple[int, int]]:
    found, begin, depth = [], a, 0
    for i in range(a, b):
        depth += tokens[i].kind in ("open", "lbrace", "begin")
        depth -= tokens[i].kind in ("close", "rbrace", "end")
        if tokens[i].kind == kind and not depth:
            found.append((begin, i))
            begin = i + 1
    return [*found, (begin, b)]


def _entry(p: Parser, a: int, b: int) -> Formula | None:
    if all(t.kind in ("dots", "quad") for t in p.tokens[a:b]):
        return None
    return p.inside(a, b, p.relation)


def cases(p: Parser, a: int, b: int) -> tuple[tuple[Formula, Formula | None], ...]:
    """Read rows of values with their conditions."""
    found = []
    for row in _rows(p, a, b):
        cells = [cell for cell in _cells(p, *row) if cell[0] < cell[1]]
        value, condition = cells[0], (cells[1][0], cells[-1][1]) if len(cells) > 1 else None
        if condition is None:
            value, condition = _cut(p, *value)
        value, condition = _unbraced(p, value), _unbraced(p, condition) if condition else None
        while value[1] > value[0] and p.tokens[value[1] - 1].kind in (",", ";", "quad", "."):
            value = (value[0], value[1] - 1)
        found.append((p.inside(*value, p.relation), _condition(p, *condition) if condition else None))
    return tuple(found)


def _unbraced(p: Parser, cell: tuple[int, int]) -> tuple[int, int]:
    """Return the inside of a cell that is one group in braces."""
    a, b = cell
    return (a + 1, b - 1) if p.tokens[a].kind == "lbrace" and p.match[a] == b - 1 else cell


def _cut(p: Parser, a: int, b: int) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Cut a row without ``&`` before its "if", or at its first comma."""
    for kinds in (("words",), (",", "quad")):
        for i in range(a + 1, b):
            if p.tokens[i].kind in kinds:
                return (a, i), (i, b)
    return (a, b), None


def _condition(p: Parser, a: int, b: int) -> Formula | None:
    """Read a condition; "otherwise" is none."""
    words = [t for t in p.tokens[a:b] if t.kind == "words"]
    kept = [i for i in range(a, b) if p.tokens[i].kind not in ("words", "quad", "&", ".", ":")]
    kept = [i for i in kept if not (p.tokens[i].kind in (",", ";") and i in (kept[0], kept[-1]))]
    if not kept:
        plain = " ".join(t.text for t in words).lower()
        known = not plain or any(word in plain for word in ("otherwise", "else", "elsewhere"))
        return None if known else Words(plain, place=p.place(p.tokens[a].start), end=p.place(p.tokens[b - 1].end))
    parts: list[Formula] = []
    for c, d in _runs(p, a, b):
        parts += [item for item in p.inside(c, d, p.items) if item is not None]
    whole = parts[0]
    for part in parts[1:]:
        whole = Relation("&", whole, part, place=whole.place, end=part.end)
    return whole


def _runs(p: Parser, a: int, b: int) -> list[tuple[int, int]]:
    """Return the ranges between words and spaces."""
    found, begin = [], a
    for i in range(a, b + 1):
        if (
            i == b
            or p.tokens[i].kind in ("words", "quad", "&", ".", ":")
            or (p.tokens[i].kind in (",", ";") and i in (begin, b - 1))
        ):
            if begin < i:
                found.append((begin, i))
            begin = i + 1
    return found
