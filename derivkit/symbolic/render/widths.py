r"""How wide a formula of LaTeX is set, roughly, in points at 10pt, and where a long one may be broken."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}]|.", re.DOTALL)
_SPACED = {"+", "-", "=", "<", ">", r"\odot", r"\oslash", r"\cdot", r"\le", r"\ge", r"\ne", r"\in", r"\times"}
_NOTHING = {r"\left", r"\right", r"\displaystyle", r"\textstyle", r"\mathit", r"\mathrm", r"\mathbf", r"\text", " ", "&", r"\,"}
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


def broken(formula: str, room: float) -> list[str]:
    r"""Return a formula in parts of at most ``room`` points, cut before a + or - outside braces, brackets first.

    >>> broken("a + b - c", 30)
    ['a + b', '- c']
    """
    made = [formula]
    for depth in range(3):
        if all(width(line) <= room for line in made):
            break
        made = []
        for piece in _pieces(formula, depth):
            if made and width(made[-1] + piece) <= room:
                made[-1] += piece
            else:
                made.append(piece)
    return [line.strip() for line in made]


def _pieces(formula: str, depth: int) -> list[str]:
    pieces, level, held, start, at = [], 0, 0, 0, 0
    for token in _TOKEN.findall(formula):
        if token in ("{", r"\left", r"\begin"):
            held += 1
        elif token in ("}", r"\right"):
            held -= 1
        elif token in "()":
            level += 1 if token == "(" else -1
        if held == 0 and level <= depth and at > start and formula.startswith((" + ", " - "), at - 1) and token in "+-":
            pieces.append(formula[start:at])
            start = at
        at += len(token)
    return [*pieces, formula[start:]]
