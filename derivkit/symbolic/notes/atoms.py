r"""The smallest things in a formula: letters, groups, brackets, commands, environments."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from derivkit.symbolic.notes import bigs, derivatives, tables
from derivkit.symbolic.notes.formula import (
    Application,
    Bracketed,
    Formula,
    Indexed,
    Indicator,
    List,
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
    following = p.token
    if token.text == "Delta" and following.kind == "name" and following.text not in tables.FUNCTIONS and not token.style:
        p.next()  # the increment of a name is a name
        return Symbol(f"Delta_{following.text}", following.style, **p.span(start))
    style = "" if token.style == "op" and token.text in tables.FUNCTION_COMMANDS else token.style
    return Symbol(token.text, style, **p.span(start))


def is_differential(p: Parser) -> bool:
    r"""Return whether a ``d`` here is that of a differential: ``dx`` side by side, ``\mathrm{d} x``."""
    token = p.token
    following = p.tokens[p.i + 1] if p.i + 1 < p.end else None
    if token.kind != "name" or token.text != "d" or following is None:
        return False
    if following.kind == "open" and following.text == "(" and following.start == token.end:
        return token.style in ("", "text") and p.differentials > 1
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
    if (
        opener.text == "\\{"
        and any(t.kind in (":", "bar") for t in p.tokens[start + 1 : close])
        and p.comparing(start + 1, close)
    ):
        p.i = close + 1  # a set by its condition, {x : Ax = 0}
        return Words("a set by its condition", **p.span(start))
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
    if isinstance(inner, Symbol) and inner.name in ("argmax", "argmin"):
        found = p.inside(*below, p.items)
        inner = Indexed(inner, tuple(item for item in found if item is not None), **p.span(start))
    p.i = after
    return inner


COMMANDS: dict[str, Callable[[Parser], Formula]] = {
    **dict.fromkeys(tables.FRACTIONS, fraction),
    **{"sqrt": root, "cancel": cancelled, "cancelto": cancelled_to, "arg": unmarked, "underset": underset},
    **{"underbrace": braced, "overbrace": braced, "underbracket": braced, "overbracket": braced},
    **dict.fromkeys(tables.BIG, lambda p: bigs.big(p, p.i, p.next().text, None)),
    **{"partial": derivatives.partial, "nabla": derivatives.nabla},
}
