r"""Where formulas begin and end inside of running text: dollars, ``\(``, ``\[``, environments; and which dollars are prices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.traced import Traced

_FRAMES = "|".join(sorted(tables.ROWS - {"aligned", "gathered", "split", "alignedat", "multlined"}))
_INNER = "aligned|gathered|split|cases|alignedat|array|[pbvBV]?matrix"
_OPEN = re.compile(
    rf"""(?P<escaped>\\\$)
    |(?P<doubled>\\\\\\\\[(\[]|\\\\[(\[])
    |(?P<dollars>\$\$)
    |(?P<ticked>\$`)
    |(?P<dollar>\$)
    |(?P<round>\\\()
    |(?P<square>\\\[)
    |(?P<frame>(?:\\|\\b|\x08|(?<![A-Za-z\\]))(?:begin|(?<=\\b|.\x08)egin|(?<![A-Za-z])egin)\{{(?P<name>{_FRAMES}|{_INNER})\*?\}})
    |(?P<role>:math:`)
    |(?P<element><math>|\[latex\]|\[math\])
    |(?P<code>`+)
    |(?P<verb>\\verb\*?(?P<mark>[^A-Za-z\s])[^\n]*?(?P=mark))
    |(?P<skip>\\\\|\\[A-Za-z]+|\\.)""",
    re.VERBOSE | re.DOTALL,
)
_TEXT = re.compile(r"\\(?:text[a-z]*|mbox|hbox|intertext)\s*\{")
_CLOSERS = {"round": r"\)", "square": r"\]", "ticked": "`$", "role": "`"}
_ELEMENTS = {"<math>": "</math>", "[latex]": "[/latex]", "[math]": "[/math]"}
_SIGN = re.compile(r"\s*(?:\\(?:times|cdot|partial|nabla|odot|otimes|circ|pm|to|top|sum|prod|in)|[-+=*/<>])\s*")  # 3 $\times$ 4
_BLANK = re.compile(r"\n[ \t]*\n")
_PROSE_RUN = re.compile(r"(?<![A-Za-z\\{_^])[A-Za-z]{2,}[,.]? +[A-Za-z]{2,}(?![A-Za-z{_^(])")
_LONGEST = 20_000
#: Environments that may stand in one of their own kind, and how many of its ends and beginnings are looked at.
_NESTED = {"aligned", "array", "cases", "matrix", "pmatrix", "bmatrix"}
_MOST_MARKS = 40


class Found(NamedTuple):
    """A stretch of text: prose, a formula, or what could not be read (``reason``); ``surplus`` is a dollar too many.

    ``start`` and ``end`` are those of what stands between the delimiters, ``opens`` and ``over`` those of it all.
    """

    kind: str
    start: int
    end: int
    reason: str = ""
    surplus: int | None = None
    opens: int = 0
    over: int = 0


class _Ahead:
    """Where something stands next in a text: each is looked for once on the way through, however often it is asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.known: dict[str | re.Pattern[str], int] = {}

    def find(self, what: str | re.Pattern[str], at: int, end: int | None = None) -> int:
        """Return the first place from ``at`` on, and -1 where none begins before ``end``."""
        end = at + _LONGEST if end is None else end
        place = self.known.get(what, -1)
        if place < at:
            if isinstance(what, str):
                place = self.text.find(what, at)
            else:
                match = what.search(self.text, at)
                place = match.start() if match else -1
            self.known[what] = place = len(self.text) if place < 0 else place
        return place if place < min(end, len(self.text)) else -1


def scan(text: str, latex: bool) -> Iterator[Found]:
    """Yield the formulas of a text in order, as ranges of what stands between their delimiters."""
    at, ahead = 0, _Ahead(text)
    while opened := _OPEN.search(text, at):
        kind = opened.lastgroup or ""
        kind = "frame" if kind == "name" else "verb" if opened.group("verb") else kind
        if kind in ("escaped", "skip", "verb"):
            at = opened.end()
            continue
        found = _formula(ahead, kind, opened, latex)
        if found is None:
            at = opened.end()
            continue
        at, formula = found
        if formula is not None and not _SIGN.fullmatch(text, formula.start, formula.end):
            yield formula._replace(opens=opened.start(), over=at)


def _formula(ahead: _Ahead, kind: str, opened: re.Match[str], latex: bool) -> tuple[int, Found | None] | None:
    """Return where the scan goes on, and the formula; ``None`` where none begins here."""
    text, (start, inside) = ahead.text, opened.span()
    if kind == "code":
        return _code(ahead, opened, latex)
    if kind == "frame":
        return _frame(text, opened)
    if kind == "dollar":
        return _inline(ahead, inside)
    if kind == "dollars":
        return _display(text, inside)
    if kind == "doubled":
        closer = opened.group()[:-1] + {"(": ")", "[": "]"}[opened.group()[-1]]
        end = ahead.find(closer, inside)
        if latex or end < 0 or "\n\n" in text[inside:end]:
            return None
        return end + len(closer), Found("formula", inside, end)
    closer = _ELEMENTS[opened.group()] if kind == "element" else _CLOSERS[kind]
    end = ahead.find(closer, inside)
    if end < 0 or (kind in ("ticked", "role", "round") and ahead.find(_BLANK, inside, end) >= 0):
        if (
            kind in ("round", "square")
            and re.search(r"[\\^_=]", text[inside : inside + 40])
            and not _is_foreign(text[inside : inside + 40])
        ):
            return inside, Found("unread", start, min(len(text), inside + 40), f"{opened.group()} is never closed")
        return None
    if not latex and kind in ("round", "square") and (_is_prose(text[inside:end]) or _is_foreign(text[inside:end])):
        return None  # brackets that Markdown escapes
    return end + len(closer), Found("formula", inside, end)


def _code(ahead: _Ahead, opened: re.Match[str], latex: bool) -> tuple[int, Found | None] | None:
    """Skip code between backticks, which in LaTeX are quotation marks."""
    if latex:
        return None
    ticks = opened.group()
    end = ahead.find(ticks, opened.end())
    if end < 0 or ahead.find(_BLANK, opened.end(), end) >= 0:
        return None
    return end + len(ticks), None


def _frame(text: str, opened: re.Match[str]) -> tuple[int, Found | None]:
    name = opened.group("name")
    depth = 1
    for mark in islice(re.compile(rf"(begin|egin|end|nd)\{{{name}\*?\}}").finditer(text, opened.end()), _MOST_MARKS):
        depth += 1 if mark.group(1).endswith("egin") else -1
        if not depth:
            return mark.end(), Found("formula", opened.start(), mark.end())
        if name not in _NESTED:
            break  # another one begins: this one was never closed
    return opened.end(), Found("unread", opened.start(), opened.end(), f"the environment {name} is never closed")


def _dollars(text: str, at: int, end: int) -> Iterator[tuple[int, int]]:
    r"""Yield the dollars from ``at``, with how many stand together, outside of ``\text{...}`` and escapes."""
    while at < end:
        if text[at] == "\\":
            prose = _TEXT.match(text, at)
            if prose:
                at = _text_end(text, prose.end(), end)
            else:
                at += 2
        elif text[at] == "$":
            together = 2 if text.startswith("$$", at) else 1
            yield at, together
            at += together
        else:
            at += 1


def _text_end(text: str, at: int, end: int) -> int:
    """Return the end of a group of prose, if it is closed on its line; else where it began."""
    depth = 1
    for i in range(at, min(end, at + 500)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if not depth:
            return i + 1
    return at


def _display(text: str, inside: int) -> tuple[int, Found | None]:
    """Read ``$$...$$``, over blank lines too; one dollar closes it as well, where the author forgot the other."""
    for at, together in _dollars(text, inside, len(text)):
        if together == 2:
            return at + 2, Found("formula", inside, at)
        if text[at + 1 : _line_end(text, at)].count("$") % 2:
            break  # this dollar opens a formula of its own
        return at + 1, Found("formula", inside, at, surplus=at)
    return inside, Found("unread", inside - 2, min(len(text), inside + 40), "$$ is never closed")


def _inline(ahead: _Ahead, inside: int) -> tuple[int, Found | None] | None:
    """Read ``$...$`` within one paragraph, unless the dollar is that of a price."""
    text, blank = ahead.text, ahead.find(_BLANK, inside)
    end = min(len(text), inside + _LONGEST) if blank < 0 else blank
    for at, together in _dollars(text, inside, end):
        content = text[inside:at]
        priced = text[inside : inside + 8].lstrip()[:1].isdigit() and (text[at + 1 : at + 2].isdigit() or _is_price(content))
        if not content.strip() or priced or _is_prose(content) or _is_word(content):
            return None
        if together == 1:
            return at + 1, Found("formula", inside, at)
        rest = text[at + 2 : _line_end(text, at)]
        if rest.count("$") % 2:  # $a$$b$
            return at + 1, Found("formula", inside, at)
        return at + 2, Found("formula", inside, at, surplus=at)
    content = text[inside:end]
    if text[inside : inside + 1].isdigit() or not re.search(r"[\\^_=]", content[:80]):
        return None
    return inside, Found("unread", inside - 1, min(end, inside + 40), "$ is never closed")


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _is_price(content: str) -> bool:
    return not re.search(r"[\\^_=+*/<>{}]", content) and re.search(r"[A-Za-z]{2,}|\s-|-$|\s$", content) is not None


def _is_foreign(content: str) -> bool:
    """Return whether this is running text in letters that formulas are not written in, or a number in brackets."""
    bare = re.sub(r"\\(?:text[a-z]*|mathrm|operatorname|mbox)\s*\{[^{}]*\}", " ", content)
    return re.fullmatch(r"[\d\s,-]*", content) is not None or any("\u2e80" <= c <= "\ud7a3" and c.isalpha() for c in bare)


def _is_word(content: str) -> bool:
    """Return whether a dollar is the first letter of a word (``$foo and $bar``): no blank behind it, but one before the next."""
    return content[:1].isalpha() and content[-1:].isspace() and not re.search(r"[\\^_=+*/<>{}()-]", content)


def _is_prose(content: str) -> bool:
    """Return whether this is running text between two dollars that do not belong together."""
    bare = re.sub(r"\\(?:text[a-z]*|mathrm|operatorname|mbox)\s*\{[^{}]*\}|\\[A-Za-z]+", " ", content)
    return len(_PROSE_RUN.findall(bare)) >= 1 and len(re.findall(r"[A-Za-z]{3,}", bare)) >= 3


def traced(piece: Traced, found: Found) -> Traced:
    """Return the characters of what was found."""
    return piece.cut(found.start, found.end)
