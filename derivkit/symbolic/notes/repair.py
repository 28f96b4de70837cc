r"""Escapes that were lost on the way: ``\frac`` that some program read as a form feed and ``rac``, and their like.

Only inside formulas, only where the word as it stands is none that anybody writes, and each is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.traced import Traced, joined

#: The letter of each escape that becomes one character, and what commands begin with it.
ESCAPES: dict[str, tuple[str, list[str]]] = {
    "\x07": ("a", "alpha approx ast arctan arcsin arccos arg angle".split()),
    "\x08": (
        "b",
        "beta begin bar boldsymbol bold bf big Big bigg Bigg bigl bigr biggl biggr binom bullet bm because bot boxed".split(),
    ),
    "\x0c": ("f", "frac forall".split()),
    "\x0b": ("v", "vec vdots varepsilon varphi vartheta vert vee varrho varsigma".split()),
    "\x1b": ("e", "epsilon eta end exp equiv ell emptyset".split()),
    "\t": (
        "t",
        "text tanh times theta tilde top tau tan triangleq tfrac therefore textbf textrm textit tag to tr textstyle".split(),
    ),
    "\n": ("n", "nabla neq nonumber notag nabla".split()),
    "\r": ("r", "right rho rangle rightarrow rvert rVert rfloor rceil rm".split()),
}
#: What is left of a command after the escape, where it is implausible by itself; some only before a certain character.
BARE: dict[str, tuple[str, str]] = {
    **{rest: (full, "{") for rest, full in {"rac": "frac", "egin": "begin", "ext": "text", "ilde": "tilde", "nd": "end"}.items()},
    **{rest: (full, "{") for rest, full in {"ec": "vec", "oldsymbol": "boldsymbol", "athbf": "mathbf", "qrt": "sqrt"}.items()},
    **{rest: (full, "{") for rest, full in {"extbf": "textbf", "extrm": "textrm", "extit": "textit"}.items()},
    **{rest: (full, "") for rest, full in {"anh": "tanh", "imes": "times", "heta": "theta", "abla": "nabla"}.items()},
    **{rest: (full, "") for rest, full in {"arepsilon": "varepsilon", "arphi": "varphi", "riangleq": "triangleq"}.items()},
    **{rest: (full, "") for rest, full in {"lpha": "alpha", "pprox": "approx", "orall": "forall", "onumber": "nonumber"}.items()},
    **{rest: (full, "") for rest, full in {"herefore": "therefore", "artial": "partial", "dots": "vdots"}.items()},
    **{"ight": ("right", r".)]|\}/"), "eft": ("left", r".([|\{/")},
    # the backslash alone was lost
    **{word: (word, "{") for word in "frac dfrac sqrt begin end text mathbf mathrm mathcal boldsymbol operatorname hat".split()},
    **{word: (word, "") for word in "partial nabla cdot times alpha beta gamma delta theta lambda sigma epsilon omega".split()},
    **{word: (word, "") for word in "neq leq geq quad qquad odot otimes cdots ldots infty".split()},
    **{"left": ("left", r"([|\{."), "right": ("right", r")]|\}.")},
}
BARE.pop("dots")
_NEWLINES = {"\n": {"eq": "neq", "abla": "nabla", "onumber": "nonumber", "otag": "notag", "ight": "right"}}
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&le;": "\\le", "&ge;": "\\ge", "&nbsp;": " "}
_ENVIRONMENTS = "|".join(sorted(tables.ROWS | tables.CASES | set(tables.MATRICES) | tables.ARRAYS))
_KEPT = (
    r"\\(?:text[a-z]*|mathrm|operatorname\*?|label|tag\*?|mbox|hbox|ref|eqref|mathit)\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}"
)
_PIECE = re.compile(
    rf"(?P<kept>{_KEPT})|(?P<command>\\(?:[A-Za-z]+|[^_]))|(?P<underscore>\\_)|(?P<entity>&(?:lt|gt|amp|le|ge|nbsp);)"
    rf"|(?P<control>[\x07\x08\x0b\x0c\x1b\t\n\r])(?P<after>[A-Za-z]+)|(?P<word>(?<![A-Za-z])[A-Za-z]{{2,}})"
)
_FRAME = re.compile(rf"\\(begin|end)\s*\{{({_ENVIRONMENTS})\*?\}}")
_ROW_END = re.compile(r"\\\\|\\(?=[ \t\n]|&|$)(?!&(?:lt|gt|amp);)")
_DOUBLED = re.compile(r"\\\\(?=(?:frac|sum|partial|left|right|begin|end|mathbf|text|cdot|exp|log|ln|nabla|sigma)(?![A-Za-z]))")
_SINGLE = re.compile(r"(?<!\\)\\[A-Za-z]")


class Repair(NamedTuple):
    """What was mended: where, what it was, and what it became."""

    line: int
    column: int
    what: str
    became: str


class Edit(NamedTuple):
    """A repair before its place is known: the range in the text, and what goes there."""

    start: int
    end: int
    new: str
    what: str


def repaired(formula: Traced) -> tuple[Traced, list[tuple[int, str, str]]]:
    r"""Return a formula with its lost escapes put back, and for each (offset in the document, what it was, what it became).

    >>> repaired(Traced.whole("h(a) = anh(a)"))[0].text
    'h(a) = \\tanh(a)'
    """
    reports: list[tuple[int, str, str]] = []
    for find in (_halves, _words, _rows):
        formula = _applied(formula, list(find(formula.text)), reports)
    return formula, reports


def _applied(formula: Traced, edits: list[Edit], reports: list[tuple[int, str, str]]) -> Traced:
    if not edits:
        return formula
    parts, at = [], 0
    for edit in edits:
        parts += [formula.cut(at, edit.start), formula.anchored(edit.start, edit.new)]
        reports.append((formula.origin(edit.start), edit.what, edit.new))
        at = edit.end
    return joined([*parts, formula.cut(at, len(formula.text))])


def _halves(text: str) -> Iterator[Edit]:
    """Find backslashes that were doubled throughout."""
    doubled = list(_DOUBLED.finditer(text))
    if doubled and not _SINGLE.search(text):
        for found in re.finditer(r"\\\\(?=[A-Za-z,;!|{}\\ ])", text):
            if not text.startswith("\\\\\\\\", found.start()):
                yield Edit(found.start(), found.end(), "\\", "\\\\")


def _words(text: str) -> Iterator[Edit]:
    """Find what is left of commands."""
    for found in _PIECE.finditer(text):
        start, end = found.span()
        kind = found.lastgroup
        if kind == "entity":
            yield Edit(start, end, _ENTITIES[found.group()], found.group())
        elif kind == "underscore":
            yield Edit(start, end, "_", "\\_")
        elif kind == "after":
            yield from _escaped(text, found)
        elif kind == "word":
            yield from _bare(text, found.group(), start)


def _escaped(text: str, found: re.Match[str]) -> Iterator[Edit]:
    control, run = found.group("control"), found.group("after")
    start = found.start()
    shown = f"{control!r}"[1:-1] + run
    if control == "\n":
        command = _NEWLINES["\n"].get(run)
        if command is not None and (run != "ight" or text[found.end() : found.end() + 1] in set(r".)]|\}")):
            yield Edit(start, found.end(), "\\" + command, shown)
            return
    else:
        letter, commands = ESCAPES[control]
        whole = letter + run
        blank = control in "\t\r"
        indented = blank and (start == 0 or text[start - 1] in "\n\t ")
        if whole in commands and not (indented and run not in BARE):
            yield Edit(start, found.end(), "\\" + whole, shown)
            return
        longest = max((c for c in commands if whole.startswith(c) and len(c) > 2), key=len, default=None)
        if longest is not None and not blank:
            yield Edit(start, start + len(longest), "\\" + longest + " ", shown)
            return
    yield from _bare(text, run, start + 1)


def _bare(text: str, run: str, start: int) -> Iterator[Edit]:
    full, before = BARE.get(run, ("", ""))
    following = text[start + len(run) : start + len(run) + 2].lstrip()[:1]
    if full and (not before or (following and following in before)):
        space = " " if not before and following.isalpha() else ""
        yield Edit(start, start + len(run), f"\\{full}{space}", run)


def _rows(text: str) -> Iterator[Edit]:
    r"""Find row ends of which one backslash was lost: ``\ `` inside of rows that have no other end."""
    if "\\ " not in text and "\\\n" not in text and "\\&" not in text:
        return
    frames: list[list[int]] = []
    found: list[int] = []
    for piece in re.finditer(rf"{_FRAME.pattern}|{_ROW_END.pattern}|\\.", text, re.DOTALL):
        if piece.group(1) == "begin":
            frames.append([])
        elif piece.group(1) == "end" and frames:
            found += _lost(text, frames.pop())
        elif frames and (piece.group() == "\\" or piece.group() == "\\\\"):
            frames[-1].append(piece.start())
    for i in sorted(found):
        yield Edit(i, i + 1, "\\\\", "\\")


def _lost(text: str, ends: list[int]) -> list[int]:
    """Return which of an environment's row ends are single: all where no other is there, else those before a relation."""
    single = [i for i in ends if text[i : i + 2] != "\\\\"]
    if len(single) == len(ends):
        return [i for i in single if not text[:i].endswith(",")]
    return [i for i in single if re.match(r"\s*&?\s*=", text[i + 1 :])]
