r"""How wide a formula of LaTeX is set, roughly, in points at 10pt, and where a long one may be broken."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}]|.", re.DOTALL)
_SPACED = {"+", "-", "=", "<", ">", r"\odot", r"\oslash", r"\cdot", r"\le", r"\ge", r"\ne", r"\in", r"\times"}
_NOTHING = {
    r"\left",
    r"\right",
    r"\biggl",
    r"\biggr",
    r"\displaystyle",
    r"\textstyle",
    r"\mathit",
    r"\mathrm",
    r"\mathbf",
    r"\text",
    " ",
    "&",
    r"\,",
}
_WIDE = {r"\sum": 14.5, r"\quad": 10.0, r"\qquad": 20.0, r"\partial": 5.6, "(": 3.9, ")": 3.9, ",": 4.4, r"\operatorname": 2.0}
_RAISED = 0.75  # the size of a subscript


def width(formula: str) -> float:
    r"""Return about how many points a formula takes.

    >>> round(width("x_{i}")), width(r"\frac{abc}{d}") < width("abcd")
    (9, True)
    """
    return _group(_TOKEN.findall(formula), 0)[0]


def _group(tokens: list[str], at: int) -> tuple[float, int]:
    """Return the width from ``at`` to the closing brace, and the place behind it."""
    total, scale = 0.0, 1.0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token == "}":
            break
        if token == "{":
            inner, at = _group(tokens, at)
            total += scale * inner
            scale = 1.0
        elif token == r"\frac":
            above, at = _group(tokens, at + 1)
            below, at = _group(tokens, at + 1)
            total += max(above, below) + 2.4
        elif token in "_^":
            scale = _RAISED
        elif token in _SPACED:
            total += 12.0
        elif token not in _NOTHING:
            total += scale * _WIDE.get(token, 7.3 if token.isupper() else 5.1 if len(token) == 1 else 7.0)
            scale = 1.0
        elif token == r"\,":
            total += 1.7
    return total, at


#: Where a long formula may be cut: before a sign or, a level worse, between factors; each outside of more brackets first.
_TERMS, _FACTORS = (" + ", " - "), (r" \odot ", r" \oslash ", r" \sum", " (", r" \left(")
_OPERATORS = ("+", "-", "=", "(", ",", r"\odot", r"\oslash", r"\cdot", r"\otimes")
_LEVELS = [(depth, signs) for depth in range(4) for signs in (_TERMS, (*_TERMS, *_FACTORS))]
_OPENED = 3  # a pair of stretching brackets that is wider than this part of the room may have to be cut inside


def broken(formula: str, room: float) -> list[str]:
    r"""Return a formula in parts of at most ``room`` points, cut outside braces and as far outside of brackets as can be.

    >>> broken("a + b - c", 30)
    ['a + b', '- c']
    >>> broken(r"(a + b) (c - d) \odot e", 70)
    ['(a + b) (c - d)', '\\odot e']
    """
    return [line.strip() for line in _lines(formula, room, 0)]


def _lines(formula: str, room: float, level: int) -> list[str]:
    """Return the parts, each with the blank before it; what is still too long is cut at the next level, alone."""
    if width(formula) <= room or level == len(_LEVELS):
        return [formula]
    depth, signs = _LEVELS[level]
    made: list[str] = []
    for piece in _pieces(_opened(formula, room / _OPENED) if depth else formula, depth, signs):
        if made and width(made[-1] + piece) <= room:
            made[-1] += piece
        else:
            first, *more = _lines(piece, room, level + 1)
            joined = made.pop() + first if made and width(made[-1]) < room / 4 and width(made[-1] + first) <= room else first
            made += [joined, *more]
    return made


def _pieces(formula: str, depth: int, signs: tuple[str, ...]) -> list[str]:
    pieces, level, held, start, at = [], 0, 0, 0, 0
    for token in _TOKEN.findall(formula):
        cut = held == 0 and level <= depth and at > start + 1 and formula.startswith(signs, at - 1)
        if cut and not formula[start : at - 1].endswith(_OPERATORS):
            pieces.append(formula[start : at - 1])
            start = at - 1
        if token in ("{", r"\left", r"\begin"):
            held += 1
        elif token in ("}", r"\right"):
            held -= 1
        elif token in "()" and not formula[:at].endswith((r"\left", r"\right")):
            level += 1 if token == "(" else -1
        at += len(token)
    return [*pieces, formula[start:]]


def _opened(formula: str, least: float) -> str:
    r"""Return a formula with its outermost wide pairs of \left( and \right) at a fixed size: between those a line may end."""
    held, start, at, made, done = 0, 0, 0, "", 0
    for token in _TOKEN.findall(formula):
        if token in ("{", r"\left"):
            start = at if not held else start
            held += 1
        elif token in ("}", r"\right"):
            held -= 1
            group = formula[start:at]
            if token == r"\right" and not held and group.startswith(r"\left(") and width(group) > least:
                made += formula[done:start] + r"\biggl(" + group[len(r"\left(") :] + r"\biggr"
                done = at + len(token)
        at += len(token)
    return made + formula[done:]
