"""A verification as plain text: what is wrong at length, what is right in a line, and how many there are of each."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from derivkit.checking.report import cut
from derivkit.checking.verify.findings import COUNTED, STATUSES, Claim, Document, Verification
from derivkit.errors import DerivkitError, echo

WIDTH = 100
NARROWEST = 40
LONGEST = 2_000  # characters of a formula or a sentence that are looked at
LINES = 4  # of a sentence that is longer than one
NUMBERS = 24  # of an array in a counterexample; a larger one is told by its shape
DIGITS = (4, 6, 9, 17)  # of a number in a counterexample: so many that the two sides look different
_SHAPED = "of shape"

#: The verdict in a column, where the sentence of ``STATUSES`` would be too wide.
VERDICTS = {**STATUSES, "follows": "follows"}
#: How a terminal shows a verdict: green, yellow, red, faint.
COLOURS = {
    "right": "\x1b[32m",
    "right_if": "\x1b[33m",
    "wrong": "\x1b[1;31m",
    "follows": "\x1b[33m",
    "definition": "\x1b[2m",
    "undecided": "\x1b[33m",
    "unread": "\x1b[33m",
}
_EQUALS = "\u00a0=\u00a0"  # at which no line is broken
_PLAIN = "\x1b[0m"
_COLUMN = max(map(len, VERDICTS.values()))


def to_text(verification: Verification, *, width: int | None = None, colour: bool = False) -> str:
    r"""Return a verification as plain text, at most ``width`` columns wide (default: 100), with ``colour`` for a terminal.

    Raises DerivkitError (DK031) for a width below 40.

    >>> wrong = Claim(3, 6, "y = x", "wrong", "sign", (), "-x", {"sizes": {}, "values": {"x": 2.0}, "left": -2.0, "right": 2.0},
    ...               "the sign is wrong", r"y &= x \\")
    >>> print(to_text(Verification((Document("notes.tex", ("x: a number",), (wrong,)),))))
    notes.tex
    assumed: x: a number
    <BLANKLINE>
      3:6  wrong        the sign is wrong (sign)
                          y &= x \\
                               ^
                        instead: -x
                        left -2, right 2, where x = 2
    <BLANKLINE>
    1 relation: 1 wrong; 0 of 1 right (0 %)
    """
    width = WIDTH if width is None else width
    if isinstance(width, bool) or not isinstance(width, int) or width < NARROWEST:
        raise DerivkitError(f"a width is a whole number from {NARROWEST}, not {echo(width)}", code="DK031")
    parts = ["\n".join(_document(document, width, colour)) for document in verification.files]
    if len(verification.files) > 1:
        parts.append("\n".join(_wrapped(f"{len(verification.files)} files, {tally(verification)}", width)))
    return "\n\n".join(parts)


def _document(document: Document, width: int, colour: bool) -> Iterator[str]:
    path = echo(document.path, width - len(": no formula"))
    if not document.claims:
        yield f"{path}: no formula"
        return
    yield path
    for number, assumption in enumerate(document.assumptions):
        yield from _wrapped(flat(assumption), width, "         " if number else "assumed: ", "           ")
    yield ""
    yield from told_claims(document.claims, width, colour)
    yield ""
    yield from _wrapped(tally(document), width)


def told_claims(claims: Sequence[Claim], width: int, colour: bool) -> Iterator[str]:
    """Yield the lines of some relations, their places in a column."""
    places = [f"{claim.line}:{claim.column}" for claim in claims]
    margin = max(map(len, places)) + 2
    for place, claim in zip(places, claims, strict=True):
        yield from _claim(claim, f"{place:>{margin}}", width, colour)


def tally(said: Document | Verification) -> str:
    """Return how many relations there are of each status, and how many of those that were decided are right.

    >>> tally(Document("", (), (Claim(1, 1, "a = a", "right"), Claim(2, 1, "a", "unread"))))
    '2 relations: 1 right, 1 not read; 1 of 1 right (100 %)'
    """
    counts = said.counts
    number = sum(counts.values())
    each = ", ".join(f"{n} {_plural(VERDICTS[status], n)}" for status, n in counts.items())
    decided = sum(counts.get(status, 0) for status in COUNTED)
    right = sum(counts.get(status, 0) for status, good in COUNTED.items() if good)
    share = f"{right} of {decided} right ({100 * right // decided} %)" if decided else "none decided"
    return f"{number} {_plural('relation', number)}: {each}; {share}" if number else "no formula"


def _plural(word: str, number: int) -> str:
    return f"{word}s" if number != 1 and word in ("relation", VERDICTS["definition"]) else word


# -- a relation ----------------------------------------------------------------------------------------------------------


def _claim(claim: Claim, place: str, width: int, colour: bool) -> Iterator[str]:
    """Yield the lines of one relation: the verdict on the first, beside the formula or, where that is shown below, the reason."""
    verdict = f"{VERDICTS[claim.status]:{_COLUMN}}"
    indent = " " * (len(place) + 2 + len(verdict) + 2)
    head = f"{place}  {COLOURS[claim.status]}{verdict}{_PLAIN}  " if colour else f"{place}  {verdict}  "
    text, *below = _said(claim, width - len(indent))
    yield (head + text).rstrip()
    for line in below:
        yield indent + line


def _said(claim: Claim, room: int) -> Iterator[str]:
    if claim.status in ("wrong", "unread"):
        yield from _wrapped(reason(claim), room)
        yield from (f"  {line}" for line in pointed(claim, room - 2))
    else:
        yield cut(flat(claim.text), room)
        if claim.message and claim.status != "right_if":
            yield from _wrapped(flat(claim.message), room)
    if claim.needs:
        word = "if " if claim.status == "right_if" else "needs "
        yield from _wrapped(" and ".join(map(flat, claim.needs)), room, word, " " * len(word))
    if claim.correction:
        yield from _wrapped(flat(claim.correction), room, "instead: ", " " * 9)
    if claim.counterexample:
        yield from _wrapped(counterexample(claim.counterexample).replace(" = ", _EQUALS), room)


def reason(claim: Claim) -> str:
    """Return why a relation has its verdict, with the code of the cause: ``the sign is wrong (sign)``."""
    code = f"({claim.cause})" if claim.cause else ""
    return " ".join(part for part in (flat(claim.message), code) if part)


def pointed(claim: Claim, room: int) -> list[str]:
    """Return the line of the document with a caret under the relation, as much of it as there is room for.

    Without the line (a report that was read back), the relation alone.

    >>> pointed(Claim(1, 7, "", "wrong", source="let  $ a = b $"), 40)
    ['let  $ a = b $', '      ^']
    """
    source = claim.source.replace("\t", " ").rstrip()
    if not source:
        return [cut(flat(claim.text), room)] if claim.text.strip() else []
    at = min(max(claim.column - 1, 0), len(source))
    start = len(source) - len(source.lstrip())
    if at - start > 2 * room // 3 and len(source) - start > room:
        start = min(at - room // 2, max(start, len(source) - room + 1))
        source, at, start = "…" + source[start:], at - start + 1, 0
    shown = echo(source[start : start + room + 1], room)
    return [shown, " " * min(cells(echo(source[start:at], room)), room) + "^"]


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes.

    >>> cells("aé"), cells("数")
    (2, 2)
    """
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def flat(text: str) -> str:
    """Return a text on one line, safe to print."""
    return echo(" ".join(text.split()), LONGEST)


def _wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    if not text:
        return [first.rstrip()]
    lines = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, max_lines=LINES, placeholder=" …", break_on_hyphens=False
    )
    return [line.replace(_EQUALS, " = ") for line in lines]


# -- a counterexample ----------------------------------------------------------------------------------------------------


def counterexample(found: Mapping[str, Any]) -> str:
    """Return a counterexample as a sentence: both sides, and where.

    >>> counterexample({"sizes": {"K": 2}, "values": {"t": [1.0, 0.0]}, "left": 0.5, "right": -0.5, "at": {"k": 1}})
    'at k = 1: left 0.5, right -0.5, where K = 2, t = [1, 0]'
    """
    letters = ", ".join(_named(letter, value) for letter, value in found.get("at", {}).items())
    for digits in DIGITS:
        sides = [_value(found[side], digits) for side in ("left", "right") if side in found]
        if len({*sides}) > 1:  # else they look the same
            break
    told = ", ".join(f"{side} {value}" for side, value in zip(("left", "right"), sides, strict=False))
    named = {**found.get("sizes", {}), **found.get("values", {})}
    where = ", ".join(_named(name, value) for name, value in named.items())
    return (f"at {letters}: " if letters else "") + told + (f", where {where}" if where else "")


def _named(name: str, value: object) -> str:
    value = _value(value)
    return f"{flat(name)} {value}" if value.startswith(_SHAPED) else f"{flat(name)} = {value}"


def _value(value: object, digits: int = DIGITS[0]) -> str:
    """Return a number, or an array as nested lists; a large one by its shape."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (list, tuple)):
        shape = _shape(value)
        if math.prod(shape) > NUMBERS:
            return f"{_SHAPED} {'×'.join(map(str, shape))}"
        return f"[{', '.join(_value(item, digits) for item in value)}]"
    return f"{value:.{digits}g}" if isinstance(value, float) else flat(str(value))


def _shape(value: object) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, (list, tuple)):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)
