r"""The smallest things in a formula: letters, groups, brackets, commands, environments."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from derivkit.symbolic.notes import bigs, derivatives, tables
from derivkit.symbolic.notes.formula import (
    Application,
    Bracketed,
    Cases,
    Formula,
    Indexed,
    Indicator,
    List,
    Matrix,
    Number,
    Power,
    Quotient,
    Relation,
    Struck,
    Symbol,
    Transposed,
    Words,
)

if TYPE_CHECKING:
    from derivkit.symbolic.notes.marks import Token
    from derivkit.symbolic.notes.pratt import Parser

#: Letters whose differential is that of a call: ``df(x)``.
_ONE = {"1", "I"}


def name(p: Parser) -> Formula:
    """Read a letter or word, a differential, or the expectation."""
    start = p.i
    if is_differential(p):
        return derivatives.differential(p)
    token = p.next()
    if token.style == "bb" and token.text == "E" and p.token.kind in ("_", "open"):
        return bigs.expectation(p, start)
    if token.text == "arg" and token.style == "op" and p.token.text in ("max", "min"):
        return Symbol("arg" + p.next().text, "op", **p.span(start))
    if token.text in _ONE and token.style in ("bb", "bold") and p.token.kind == "open" and p.token.text in ("[", "\\{"):
        close = p.match[p.i]
        inner = p.inside(p.i + 1, close, p.relation)
        p.i = close + 1
        return Indicator(inner, **p.span(start))
    style = "" if token.style == "op" and token.text in tables.FUNCTION_COMMANDS else token.style
    return Symbol(token.text, style, **p.span(start))


def is_differential(p: Parser) -> bool:
    r"""Return whether a ``d`` here is that of a differential: ``dx`` side by side, ``\mathrm{d} x``."""
    token = p.token
    following = p.tokens[p.i + 1] if p.i + 1 < p.end else None
    if token.kind != "name" or token.text != "d" or following is None:
        return False
    if token.style == "text":
        return following.kind in ("name", "open", "lbrace") or (following.kind == "command" and following.text in tables.ACCENTS)
    before = p.tokens[p.i - 1] if p.i else None
    alone = before is None or before.kind != "name" or before.end != token.start
    accented = following.kind == "command" and following.text in tables.ACCENTS
    return (
        not token.style
        and alone
        and (following.kind == "name" or accented)
        and following.start - token.end <= 8
        and not following.space
    )


def group(p: Parser) -> Formula:
    r"""Read ``{...}``; an empty group with a raised t before a factor is its transpose: ``{}^t(y - t)``."""
    start = p.i
    close = p.match[start]
    if close == start + 1:
        p.i = close + 1
        return _before(p, start)
    over = next((i for i in range(start + 1, close) if p.tokens[i].text == "over" and p.tokens[i].kind == "command"), None)
    if over is not None and not any(p.tokens[i].kind in ("lbrace", "rbrace") for i in (start + 1, over - 1) if i == over):
        p.i = close + 1
        if (found := derivatives.fraction(p, start, (start + 1, over), (over + 1, close))) is not None:
            return found
        above = p.inside(start + 1, over, p.sum)
        under = p.inside(over + 1, close, p.sum)
        p.i = close + 1
        return Quotient(above, under, **p.span(start))
    inner = p.inside(start + 1, close, lambda: _listed(p, start + 1))
    p.i = close + 1
    return inner


def _before(p: Parser, start: int) -> Formula:
    if p.token.kind == "^" and p.i + 1 < p.end:
        p.next()
        a, b = p.argument()
        if b - a == 1 and p.tokens[a].text in ("t", "T", "top"):
            return Transposed(p.factor(), **p.span(start))
        raise p.error("a raised letter before nothing", p.tokens[a])
    return p.factor()


def _listed(p: Parser, start: int) -> Formula:
    found = p.items()
    if len(found) == 1 and found[0] is not None:
        return found[0]
    return List(tuple(found), "", **p.span(start))


def bracketed(p: Parser) -> Formula:
    """Read a pair of brackets: a group, a list, a condition, a norm."""
    start = p.i
    opener = p.next()
    close = p.match[start]
    found = p.inside(start + 1, close, p.items)
    p.i = close + 1
    items = tuple(item for item in found if item is not None)
    kinds = {"|": "abs", "\\|": "norm", "\\langle": "inner", "\\lfloor": "floor", "\\lceil": "ceil"}
    if opener.text in kinds:
        if len(items) != len(found) or not items:
            raise p.error("dots or nothing where a value is expected", opener)
        return Bracketed(kinds[opener.text], items, **p.span(start))  # type: ignore[arg-type]
    if p.tokens[close].text == ")|":
        return _evaluated(p, start, found)
    if len(found) == 1 and found[0] is not None:
        only = found[0]
        return Indicator(only, **p.span(start)) if isinstance(only, Relation) else only
    if not found:
        raise p.error("empty brackets", opener)
    brackets = opener.text[-1] + p.tokens[close].text[-1]
    return List(tuple(found), brackets, **p.span(start))


def _evaluated(p: Parser, start: int, found: list[Formula | None]) -> Formula:
    r"""Read ``\left. f \right|_{x = 0}``."""
    if len(found) != 1 or found[0] is None or p.token.kind != "_":
        raise p.error("a value at a point without the point", p.tokens[start])
    p.i -= 1  # the stroke itself
    return derivatives.at(p, start, found[0])


def barred(p: Parser) -> Formula:
    r"""Read ``|x|`` and ``\|x\|`` between strokes that look the same."""
    start = p.i
    bar = p.next()
    p.bars = [*p.bars, bar.text]
    items = [p.relation()]
    if p.token.kind != "bar" or p.token.text != bar.text:
        raise p.error("a stroke that is never closed", bar, code="DK074")
    p.next()
    p.bars = p.bars[:-1]
    return Bracketed("abs" if bar.text == "|" else "norm", tuple(items), **p.span(start))


# Commands ---------------------------------------------------------------------------------------------------------------


def command(p: Parser) -> Formula:
    """Read what a command stands for."""
    token = p.token
    if token.text in tables.NOT_READ:
        raise p.error(f"\\{token.text}: {tables.NOT_READ[token.text]} is not read")
    if token.text in tables.ACCENTS:
        return accented(p)
    read = COMMANDS.get(token.text)
    if read is None:
        raise p.error(f"a command that is not known: \\{token.text[:40]}")
    return read(p)


def is_derivative(p: Parser) -> bool:
    """Return whether the fraction here is a derivative."""
    token = p.token
    if token.text not in tables.FRACTIONS or p.i + 1 >= p.end or p.tokens[p.i + 1].kind != "lbrace":
        return False
    first = p.tokens[p.i + 2]
    return (first.kind == "command" and first.text == "partial") or (first.kind == "name" and first.text == "d")


def fraction(p: Parser) -> Formula:
    """Read a fraction, or a derivative written as one."""
    start = p.i
    p.next()
    over = p.argument()
    under = p.argument()
    found = derivatives.fraction(p, start, over, under)
    if found is not None:
        return derivatives.called(p, start, found) if over[1] - over[0] > 1 else found
    after = p.i
    above = p.inside(*over, p.relation)
    below = p.inside(*under, p.relation)
    p.i = after
    return Quotient(above, below, **p.span(start))


def root(p: Parser) -> Formula:
    """Read a root, of any degree."""
    start = p.i
    p.next()
    if p.token.kind == "open" and p.token.text == "[":
        close = p.match[p.i]
        degree = p.inside(p.i + 1, close, p.relation)
        p.i = close + 1
        inner = p.inside(*p.argument(), p.relation) if p.token.kind else degree
        one = Number(Fraction(1), "1", **p.span(start))
        return Power(inner, Quotient(one, degree, **p.span(start)), **p.span(start))
    a, b = p.argument()
    after = p.i
    inner = p.inside(a, b, p.relation)
    p.i = after
    return Application(Symbol("sqrt", **p.span(start)), (inner,), **p.span(start))


def accented(p: Parser) -> Formula:
    r"""Read ``\hat{y}``: the hat belongs to the letter, also over ``\hat{y_i}``."""
    start = p.i
    mark = tables.ACCENTS[p.next().text]
    a, b = p.argument()
    after = p.i
    inner = p.inside(a, b, p.relation)
    p.i = after
    if isinstance(inner, Symbol):
        return Symbol(f"{inner.name}_{mark}", inner.style, inner.label, **p.span(start))
    if isinstance(inner, Indexed) and isinstance(inner.base, Symbol):
        base = Symbol(f"{inner.base.name}_{mark}", inner.base.style, inner.base.label, **p.span(start))
        return Indexed(base, inner.subscripts, **p.span(start))
    raise p.error(f"a {mark} over more than a letter", p.tokens[start])


def cancelled(p: Parser) -> Formula:
    r"""Read ``\cancel{x}``: what was struck out, or the number that its author wrote in its place (``\cancel{x}^0``)."""
    start = p.i
    p.next()
    a, b = p.argument()
    replaced: tuple[int, int] | None = None
    scripts_start = p.i
    while p.token.kind in ("_", "^"):
        kind = p.next().kind
        found = p.argument()
        if kind == "^":
            replaced = found
    if replaced is not None and replaced[1] - replaced[0] == 1 and p.tokens[replaced[0]].text in ("0", "1"):
        text, after = p.tokens[replaced[0]].text, p.i
        base = p.inside(a, b, p.relation)
        p.i = after
        return Struck(base, Number(Fraction(text), text, **p.span(start)), **p.span(start))
    p.i = scripts_start
    inner = p.inside(a, b, p.relation)
    p.i = scripts_start
    return inner


def cancelled_to(p: Parser) -> Formula:
    r"""Read ``\cancelto{0}{x}``."""
    p.next()
    value = p.argument()
    p.argument()
    after = p.i
    inner = p.inside(*value, p.relation)
    p.i = after
    return inner


def unmarked(p: Parser) -> Formula:
    r"""Read ``\arg\max``."""
    start = p.i
    token = p.next()
    if token.text == "arg" and p.token.kind == "command" and p.token.text in ("max", "min"):
        return Symbol("arg" + p.next().text, "op", **p.span(start))
    raise p.error(f"a command that is not known: \\{token.text[:40]}", token)


def braced(p: Parser) -> Formula:
    r"""Read ``\underbrace{x}_{\text{what it is}}`` as what stands above the brace."""
    p.next()
    a, b = p.argument()
    while p.token.kind in ("_", "^"):
        p.next()
        p.argument()
    after = p.i
    inner = p.inside(a, b, p.relation)
    p.i = after
    return inner


def underset(p: Parser) -> Formula:
    r"""Read ``\underset{x}{\min} f`` as ``\min_x f``."""
    start = p.i
    p.next()
    below = p.argument()
    a, b = p.argument()
    if b - a == 1 and p.tokens[a].text in ("max", "min", "sum", "prod"):
        return bigs.big(p, start, p.tokens[a].text, below)
    after = p.i
    inner = p.inside(a, b, p.relation)
    p.i = after
    return inner


COMMANDS: dict[str, Callable[[Parser], Formula]] = {
    **dict.fromkeys(tables.FRACTIONS, fraction),
    **{"sqrt": root, "cancel": cancelled, "cancelto": cancelled_to, "arg": unmarked, "underset": underset},
    **{"underbrace": braced, "overbrace": braced, "underbracket": braced, "overbracket": braced},
    **dict.fromkeys(tables.BIG, lambda p: bigs.big(p, p.i, p.next().text, None)),
    **{"partial": derivatives.partial, "nabla": derivatives.nabla},
}


# Environments -----------------------------------------------------------------------------------------------------------


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
        while value[1] > value[0] and p.tokens[value[1] - 1].kind in (",", ";", "quad", "."):
            value = (value[0], value[1] - 1)
        found.append((p.inside(*value, p.relation), _condition(p, *condition) if condition else None))
    return tuple(found)


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
