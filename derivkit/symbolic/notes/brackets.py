r"""Brackets that do not pair: the smallest change with which a formula can be read, and what it was."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from derivkit.errors import echo
from derivkit.symbolic.notes.marks import Token, Unreadable, normalised
from derivkit.symbolic.notes.tokens import Lexer
from derivkit.symbolic.notes.traced import Traced

_ROUND = {"(": ")", "[": "]", "\\{": "\\}"}
#: More brackets than these are not mended: nobody meant such a formula.
_MOST = 6
_FRAMES = {"lbrace": "rbrace", "begin": "end"}


class Edit(NamedTuple):
    """A range of the text, and what goes there."""

    start: int
    end: int
    new: str
    what: str


def balanced(formula: Traced, names: Collection[str] = ()) -> tuple[Traced, list[tuple[int, str, str]]]:
    r"""Return a formula whose brackets pair, and for each change (offset in the document, what it was, what it became).

    A surplus bracket is dropped, a missing one is put at the end of its row or group.

    >>> balanced(Traced.whole("(a)) b = f(x"))[0].text
    '(a) b = f(x)'
    """
    formula = normalised(formula)
    try:
        tokens = Lexer(formula.text, names).tokens()
    except Unreadable:
        return formula, []  # the reader will say what is wrong
    edits = sorted(_edits(tokens))
    if len(edits) > _MOST:
        return formula, []
    reports = []
    for edit in reversed(edits):
        offset = formula.origin(edit.start)
        formula = formula.replaced(edit.start, edit.end, edit.new)
        around = formula.text[max(edit.start - 40, 0) : edit.start + 20]
        reports.append((offset, edit.what, "read as " + echo(" ".join(around.split()))))
    return formula, reports[::-1]


def _edits(tokens: list[Token]) -> list[Edit]:
    found: list[Edit] = []
    waiting: list[int] = []
    for i, token in enumerate(tokens):
        if len(found) > _MOST:
            return found
        if token.kind in _FRAMES or (token.kind == "open" and token.text in _ROUND):
            waiting.append(i)
        elif token.kind in ("rbrace", "end"):
            _missing(waiting, tokens, i, found)
            if waiting:
                waiting.pop()
        elif token.kind == "close" and token.text in _ROUND.values():
            _close(waiting, tokens, i, found)
        elif token.kind == "close" and token.text == ")|" and waiting and tokens[waiting[-1]].kind == "open":
            waiting.pop()
        elif token.kind == "row" and _starts_link(tokens, i):
            _missing(waiting, tokens, i, found)
    _missing(waiting, tokens, len(tokens), found)
    return found


def _starts_link(tokens: list[Token], row: int) -> bool:
    """Return whether the row after this one begins with a relation."""
    following = next((t for t in tokens[row + 1 :] if t.kind not in ("&", "quad", "row")), None)
    return following is not None and following.kind == "rel"


def _missing(waiting: list[int], tokens: list[Token], end: int, found: list[Edit]) -> None:
    """Close what is open since the last frame, before token ``end``."""
    while waiting and tokens[waiting[-1]].kind == "open" and len(found) <= _MOST:
        at = waiting.pop()
        opener, last = tokens[at], _last(tokens, at, end)
        found.append(Edit(last.end, last.end, _ROUND[opener.text], f"missing {_ROUND[opener.text]} of {opener.text}"))


def _last(tokens: list[Token], opener: int, end: int) -> Token:
    """Return the token behind which a missing bracket goes: the end of the row, or of the left side it was opened on."""
    start = max((i for i in range(opener) if tokens[i].kind == "row"), default=-1)
    depth = 0
    left = not any(t.kind == "rel" for t in tokens[start + 1 : opener])
    for i in range(opener + 1, end):
        depth += tokens[i].kind in ("open", "lbrace", "begin")
        depth -= tokens[i].kind in ("close", "rbrace", "end")
        if (
            tokens[i].kind in ("rel", "&")
            and depth <= 0
            and left
            and i > opener + 1
            and tokens[opener - 1].text not in ("P", "p")
        ):
            end = i
            break
    while end > opener + 1 and tokens[end - 1].kind in ("quad", ".", ",", "&", "row", ";"):
        end -= 1
    return tokens[end - 1]


def _close(waiting: list[int], tokens: list[Token], i: int, found: list[Edit]) -> None:
    token = tokens[i]
    frame = next((j for j in range(len(waiting) - 1, -1, -1) if tokens[waiting[j]].kind in _FRAMES), -1)
    fitting = next((j for j in range(len(waiting) - 1, frame, -1) if _ROUND[tokens[waiting[j]].text] == token.text), None)
    if len(waiting) - 1 > frame and (fitting == len(waiting) - 1 or _interval(tokens, waiting[-1], i)):
        waiting.pop()
    elif fitting is not None:
        for at in waiting[fitting + 1 :][::-1]:
            bracket = _ROUND[tokens[at].text]
            found.append(Edit(token.start, token.start, bracket, f"missing {bracket} of {tokens[at].text}"))
        del waiting[fitting:]
    else:
        found.append(Edit(token.start, token.end, "", f"surplus {token.text}"))


def _interval(tokens: list[Token], start: int, i: int) -> bool:
    """Return whether this is a half-open interval: ``[0, 1)``."""
    between = tokens[start + 1 : i]
    opener = tokens[start]
    return opener.text in "([" and tokens[i].text in ")]" and len(between) <= 6 and any(t.kind == "," for t in between)
