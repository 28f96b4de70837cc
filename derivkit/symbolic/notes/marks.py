r"""A piece of a formula, before it is a part of a tree; and what is done with the pieces before and after the lexer."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, TypedDict

from derivkit.errors import DerivkitError
from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.traced import Traced, joined
from derivkit.symbolic.parse.syntax import Place

_RAISED = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ]+")


class Token(NamedTuple):
    """A piece of a formula; ``start`` and ``end`` are offsets into its text, ``space`` says whether a blank stands before it.

    ``kind`` is ``number name op rel arrow open close bar lbrace rbrace ^ _ ' , ; & row quad dots words command begin end
    left right`` or the sign itself.
    """

    kind: str
    text: str
    start: int
    end: int
    style: str = ""
    space: bool = False


class Span(TypedDict):
    """The keywords of every node: where it begins, and where it is over."""

    place: Place
    end: Place


class Unreadable(DerivkitError):
    """A formula that cannot be read; ``offset`` is where in its text, until the reader knows line and column."""

    def __init__(self, message: str, offset: int, *, code: str, hint: str | None = None) -> None:
        """Keep the offset."""
        super().__init__(message, code=code, hint=hint)
        self.offset = offset


class Unfinished(Unreadable):
    """A sign without what it is applied to: where nothing is claimed, it is only spoken of."""


def normalised(formula: Traced) -> Traced:
    r"""Return the formula with typographic signs spelled as commands: ``x²`` is ``x^{2}``, ``∂`` is ``\partial``."""
    if formula.text.isascii():
        return formula
    parts = []
    at = 0
    while at < len(formula.text):
        character = formula.text[at]
        raised = _RAISED.match(formula.text, at)
        end = raised.end() if raised else at + 1
        if raised:
            inner = "".join(tables.SIGNS[c].removeprefix("^") for c in raised.group())
            parts.append(formula.anchored(at, "^{" + inner + "}"))
        elif character in "ΣΠ" and formula.text[at + 1 : at + 3].lstrip().startswith("_"):
            parts.append(formula.anchored(at, {"Σ": r"\sum", "Π": r"\prod"}[character]))
        elif character in tables.SIGNS:
            parts.append(formula.anchored(at, tables.SIGNS[character] + " " * tables.SIGNS[character].startswith("\\")))
        elif "\U0001d400" <= character <= "\U0001d7ff" or "\uff01" <= character <= "\uff5e":
            parts.append(formula.anchored(at, unicodedata.normalize("NFKC", character)))
        else:
            parts.append(formula.cut(at, end))
        at = end
    return joined(parts)


def paired(tokens: list[Token]) -> list[Token]:
    r"""Return the tokens with each ``\left.`` and ``\right.`` read: cases, a value at a point, or a bracket over two rows."""
    found = list(tokens)
    waiting: list[int] = []
    drop: set[int] = set()
    for i, token in enumerate(tokens):
        if token.kind == "left" or token.style == "left":
            waiting.append(i)
        elif (token.kind == "right" or token.style == "right") and waiting:
            start = waiting.pop()
            _pair(found, start, i, drop)
        elif token.kind == "right":
            drop.add(i)
    drop.update(i for i, token in enumerate(found) if token.kind in ("left", "right"))
    for i in range(1, len(found) - 2):  # {=} is = without the space around it
        alone = found[i].kind == "lbrace" and found[i + 1].kind == "rel" and found[i + 2].kind == "rbrace"
        if alone and found[i - 1].kind not in ("_", "^"):
            drop.update((i, i + 2))
        elif found[i].kind == "lbrace" and found[i + 1].kind == "rbrace" and found[i + 2].kind == "op":
            drop.update((i, i + 1))  # {}+ b: an empty group makes the sign one between two terms
    for i in range(1, len(found) - 1):  # n{+}1: braces that only change the space around a sign
        if found[i].kind in ("op", "rel") and found[i - 1].kind == "lbrace" and found[i + 1].kind == "rbrace":
            scripted = i > 1 and found[i - 2].kind in ("_", "^")
            drop.update(() if scripted else (i - 1, i + 1))
    return [t for i, t in enumerate(found) if i not in drop]


def _pair(found: list[Token], start: int, end: int, drop: set[int]) -> None:
    left, right = found[start], found[end]
    inner = found[start + 1 : end]
    framed = bool(inner) and inner[0].kind == "begin" and inner[-1].kind == "end" and inner[0].text == inner[-1].text
    if left.kind == "left" and right.kind == "close" and right.text == "|":
        found[start] = left._replace(kind="open", text="(")
        found[end] = right._replace(kind="close", text=")|")
    elif right.kind == "right" and left.text == "\\{" and framed:
        found[start + 1] = inner[0]._replace(text="cases")
        found[end - 1] = inner[-1]._replace(text="cases")
        drop.update((start, end))


def delimiter(name: str) -> tuple[str, str]:
    """Return the kind and the text of the token that a command for a bracket is."""
    sign = tables.DELIMITERS[name]
    if sign in ("|", "\\|"):
        side = {"l": "open", "r": "close"}.get(name[0], "bar")
        return side if name.endswith("ert") else "bar", sign
    return ("open" if sign in tables.OPENERS else "close"), sign


def is_remark(before: list[Token], behind: str) -> bool:
    r"""Return whether prose stands in a column of its own: behind ``&&``, or behind a space at the end of a row."""
    kinds = [t.kind for t in before[-2:]]
    if kinds == ["&", "&"]:
        return True
    return kinds[-1:] == ["quad"] and re.match(r"[\s$}]*(?:\\\\|\\end|$)", behind) is not None
