r"""Brackets that do not pair: the smallest change with which a formula can be read, and what it was."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from derivkit.symbolic.notes.marks import Token, Unreadable, normalised
from derivkit.symbolic.notes.tokens import Lexer
from derivkit.symbolic.notes.traced import Traced

_ROUND = {"(": ")", "[": "]", "\\{": "\\}"}
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
    reports = []
    for edit in reversed(edits):
        reports.append((formula.origin(edit.start), edit.what, edit.new))
        formula = formula.replaced(edit.start, edit.end, edit.new)
    return formula, reports[::-1]


def _edits(tokens: list[Token]) -> list[Edit]:
    found: list[Edit] = []
    waiting: list[Token] = []
    for i, token in enumerate(tokens):
        if token.kind in _FRAMES or (token.kind == "open" and token.text in _ROUND):
            waiting.append(token)
        elif token.kind in ("rbrace", "end"):
            _missing(waiting, tokens, i, found)
            if waiting:
                waiting.pop()
        elif token.kind == "close" and token.text in _ROUND.values():
            _close(waiting, tokens, i, found)
        elif token.kind == "close" and token.text == ")|" and waiting and waiting[-1].kind == "open":
            waiting.pop()
        elif token.kind == "row" and _starts_link(tokens, i):
            _missing(waiting, tokens, i, found)
    _missing(waiting, tokens, len(tokens), found)
    return found


def _starts_link(tokens: list[Token], row: int) -> bool:
    """Return whether the row after this one begins with a relation."""
    following = next((t for t in tokens[row + 1 :] if t.kind not in ("&", "quad", "row")), None)
    return following is not None and following.kind == "rel"


def _missing(waiting: list[Token], tokens: list[Token], end: int, found: list[Edit]) -> None:
    """Close what is open since the last frame, before token ``end``."""
    while waiting and waiting[-1].kind == "open":
        opener = waiting.pop()
        last = _last(tokens, tokens.index(opener), end)
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


def _close(waiting: list[Token], tokens: list[Token], i: int, found: list[Edit]) -> None:
    token = tokens[i]
    frame = max((j for j, t in enumerate(waiting) if t.kind in _FRAMES), default=-1)
    openers = waiting[frame + 1 :]
    fitting = [t for t in openers if _ROUND.get(t.text) == token.text]
    if openers and (openers[-1] in fitting[-1:] or _interval(tokens, openers[-1], i)):
        waiting.pop()
    elif fitting:
        while waiting[-1] is not fitting[-1]:
            opener = waiting.pop()
            found.append(Edit(token.start, token.start, _ROUND[opener.text], f"missing {_ROUND[opener.text]} of {opener.text}"))
        waiting.pop()
    else:
        found.append(Edit(token.start, token.end, "", f"surplus {token.text}"))


def _interval(tokens: list[Token], opener: Token, i: int) -> bool:
    """Return whether this is a half-open interval: ``[0, 1)``."""
    start = tokens.index(opener)
    between = tokens[start + 1 : i]
    return opener.text in "([" and tokens[i].text in ")]" and len(between) <= 6 and any(t.kind == "," for t in between)
