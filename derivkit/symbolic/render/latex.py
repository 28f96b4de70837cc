r"""A derivation as LaTeX: a fragment for any document with amsmath, or a minimal article that compiles alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from unicodedata import normalize

from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import Size
from derivkit.symbolic.render.lines import Block, Row
from derivkit.symbolic.render.page import (
    LemmaPart,
    Outcome,
    Page,
    in_matrix,
    listed,
    page,
    with_results,
)
from derivkit.symbolic.render.styles import Style, escaped
from derivkit.symbolic.render.widths import broken, width
from derivkit.symbolic.steps import Derivation

PAGE = 470.0  # points: the width of a line
COLUMN = 215.0  # the longest right side beside whose like the reasons stand in a column
LONG = 4  # lines: a longer display may be broken at the foot of a page, in a group that keeps this to itself
TEXT_WIDTH = 0.95  # words are narrower than the letters of a formula

_DOCUMENT = r"""\documentclass[fleqn]{article}
\usepackage{amsmath}
\setlength{\parindent}{0pt}
\setlength{\parskip}{1ex}
\setlength{\mathindent}{0pt}
\setlength{\textwidth}{17cm}
\setlength{\oddsidemargin}{-0.5cm}
\setlength{\textheight}{23cm}
\setlength{\topmargin}{-1.5cm}
\begin{document}
\raggedright
%s
\end{document}
"""


def latex_document(fragment: str) -> str:
    r"""Return a minimal article around a fragment of :func:`to_latex`; it compiles with LaTeX and amsmath alone.

    >>> print(latex_document("$x$").splitlines()[1])
    \usepackage{amsmath}
    """
    return _DOCUMENT % fragment


def to_latex(
    derivation: Derivation,
    *,
    layout: str | None = None,
    notation: str = "both",
    steps: str = "full",
    lemmas: bool = False,
    style: str = "delta",
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    r"""Return a derivation as a LaTeX fragment (amsmath, ASCII only): ``align*`` with a reason beside each line.

    The options are those of ``to_text``.

    >>> from derivkit.symbolic.derive import derive
    >>> print(to_latex(derive("E = sum(x**2)", "x", {"x": "D"}, check=False), steps="none"))  # doctest: +ELLIPSIS
    \begin{align*}
    ...
    """
    made = page(derivation, "latex", layout, steps, lemmas, style, title, labels, notation=notation)
    parts = [
        *([rf"\textbf{{{_ascii(made.title)}}}"] if made.title else []),
        *_header(made),
        _align(with_results(made, lambda outcome: in_matrix(outcome, made, notation))),
    ]
    if made.facts and not made.told:
        parts.append(f"Used: {'; '.join(made.facts)}.")
    if made.conventions:
        parts.append(f"At kinks: {escaped(', '.join(made.conventions))}.")
    if made.checked:
        parts.append(escaped(made.checked if made.checked.startswith("checked") else f"checked: {made.checked}") + ".")
    for part in made.lemmas:
        parts += _lemma(part)
    return "\n\n".join(parts) + "\n"


def _ascii(text: str) -> str:
    """Return words for a file in ASCII: a sign that has no name here is named by its number, for fonts that have it."""
    known = (_accented(c) if c.isalpha() else c for c in escaped(text))
    return "".join(c if c.isascii() else "".join(f"U+{ord(s):04X}" for s in c) for c in known)


def _accented(letter: str) -> str:
    base, sign = normalize("NFD", letter)[:1], normalize("NFD", letter)[1:]
    return rf"\{_ACCENTS[sign]}{{{base}}}" if sign in _ACCENTS and base.isascii() else letter


_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0308": '"',
    "\u030a": "r",
    "\u030c": "v",
    "\u0327": "c",
}


# -- the header ----------------------------------------------------------------------------------------------------------


def _header(made: Page) -> Iterator[str]:
    if made.definitions:
        yield _align([Block(0, "", (Row(d),)) for d in listed(made)])
    shapes = ", ".join(shape_of(o, made.style) for o in made.outcomes)
    yield f"Layout: {made.layout} ({escaped(made.meaning)}); {shapes}."
    given = [*(space_of(i, made.style) for i in made.inputs), *(f"${d}$" for d in made.lets)]
    if given:
        yield f"Let {', '.join(given)}."
    if made.assumed:
        yield f"Assumed: {escaped('; '.join(made.assumed))}."


def shape_of(outcome: Outcome, style: Style) -> str:
    """Return the space of a result; where a layout turns its axes also which entry stands where."""
    shape = rf"${outcome.whole} \in {_real(outcome.space, style)}$"
    return shape if outcome.entry is None else rf"{shape} with ${outcome.entry[1]}$ at $[{outcome.entry[0]}]$"


def _times(shape: Iterable[Size], style: Style) -> str:
    return r" \times ".join(t if s.name or s.literal is not None else f"({t})" for s in shape for t in (style.size(s),))


def _power(base: str, shape: tuple[Size, ...], style: Style) -> str:
    return f"{base}^{{{_times(shape, style) if len(shape) > 1 else style.size(shape[0])}}}" if shape else base


def _real(shape: tuple[Size, ...], style: Style) -> str:
    return _power(r"\mathbf{R}", shape, style)


def space_of(declared: Input, style: Style) -> str:
    """Return what is given of an input: its space, and what is declared of it."""
    name, shape = style.variable(declared.name), declared.shape
    where = _real(shape, style)
    binary = _power(r"\{0, 1\}", shape, style)
    if declared.kind == "label":
        limit = "" if declared.range is None else rf" in $0, \dots, {style.size(declared.range - 1)}$"
        return f"${name}$ {f'${_times(shape, style)}$ labels' if shape else 'a label'}{limit}"
    spaces = {
        "onehot": f"${name}$ one-hot in ${where}$",
        "simplex": f"${name}$ in the simplex of ${where}$",
        "mask": rf"${name} \in {binary}$",
        "positive": f"${name} > 0$ in ${where}$",
        "symmetric": f"${name}$ symmetric in ${where}$",
    }
    return spaces.get(declared.kind, rf"${name} \in {where}$")


# -- the steps -----------------------------------------------------------------------------------------------------------


def _align(blocks: Iterable[Block]) -> str:
    r"""Return ``align*``: number and left side, ``=``, right side, reason; long lines broken, long reasons below."""
    rows = [(_left(block, n), block, row) for block in blocks for n, row in enumerate(block.rows)]
    start = max((width(left) for left, _, _ in rows), default=0.0) + 14
    short = [width(row.right) for _, _, row in rows if row.reason and not row.by_cases and width(row.right) <= COLUMN]
    column = start + max(short, default=0.0) + 20
    lines: list[str] = []
    for left, block, row in rows:
        if not block.left and " = " in row.right:  # a whole equation: aligned at its own sign
            head, _, right = row.right.partition(" = ")
            lines += _broken(head, right, "", start, PAGE)
        elif row.by_cases:
            lines.append(f"{left} &= {cases_of(row.by_cases)}".strip() + (rf" && \text{{{row.reason}}}" if row.reason else ""))
        else:
            lines += _broken(left, row.right, row.reason, start, column)
    whole = "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"
    return whole if len(lines) <= LONG else f"{{\\allowdisplaybreaks\n{whole}}}"


def _left(block: Block, n: int) -> str:
    number = rf"({block.number})\quad " if block.number else ""
    return number + block.left if n == 0 else ""


def _broken(left: str, right: str, why: str, start: float, column: float) -> Iterator[str]:
    """Yield the lines of one row: in its columns when it fits, else free of them (in a box of no width)."""
    first, *more = broken(right, PAGE - start - 30)
    told = width(why) * TEXT_WIDTH if why else 0.0
    if not more and start + width(first) + 20 <= column + 1 and column + told <= PAGE:
        yield f"{left} &= {first}".strip() + (rf" && \text{{{why}}}" if why else "")
        return
    beside = start + width(more[-1] if more else first) + 30 + told <= PAGE
    lines = [f"{left} &= {_free(first)}".strip(), *("& " + _free(r"\qquad {}" + line) for line in more)]
    if why and beside:
        last = lines.pop()
        lines.append(last[:-2] + rf" \qquad \text{{{why}}}$}}")
    elif why:
        lines.append("& " + _free(rf"\qquad \text{{({why})}}"))
    yield from lines


def _free(formula: str) -> str:
    return rf"\rlap{{$\displaystyle {formula}$}}"


def cases_of(values: tuple[tuple[str, str], ...]) -> str:
    """Return (value, condition) pairs behind a brace."""
    lines = (rf"{value} & \text{{if }} {condition}".replace("≠", r"\ne") for value, condition in values)
    return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}"


def _lemma(part: LemmaPart) -> Iterator[str]:
    definitions = ", ".join(f"${d}$" for d in part.definitions)
    yield rf"\textbf{{Lemma {part.number}}} ({escaped(part.title)}). {definitions}."
    yield _align(part.blocks)
    if part.by_cases:
        yield rf"By cases: $\displaystyle {cases_of(part.by_cases)}$."
