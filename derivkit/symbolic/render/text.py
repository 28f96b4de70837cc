"""A derivation as plain text: the header, what is given, numbered steps with reasons in a column, the result, lemmas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from unicodedata import combining

from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import Size
from derivkit.symbolic.render.lines import Block, Row
from derivkit.symbolic.render.page import LemmaPart, Outcome, Page, in_matrix, page, with_results
from derivkit.symbolic.render.styles import Style
from derivkit.symbolic.steps import Derivation

WIDTH = 110
LONG = 130  # a header, or a line with its reason, may be this long
_LINE = 100  # a formula may not: it is broken at a + or a −
_REASONS = 78


def to_text(
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
    r"""Return a derivation as text with Unicode signs, each line with its reason.

    ``layout`` orders the axes of the results (``mixed``, ``numerator``, ``denominator``); ``notation`` says how results are
    written (``index``, ``matrix``, ``both``; the steps are in index notation); ``steps`` is ``full``, ``brief`` (a line each)
    or ``none``; ``lemmas`` appends each lemma with its proof; ``style="cases"`` splits a δ into cases; ``title`` stands above;
    ``labels`` says how names are printed (``{"W1": r"\mathbf{W}_1"}``: letters, digits, Greek and a few commands of LaTeX).

    >>> from derivkit.symbolic.derive import derive
    >>> print(to_text(derive("E = x * x", "x", {"x": ""}, check=False), notation="index"))  # doctest: +NORMALIZE_WHITESPACE
    E = x x;   ∂E/∂x
    layout: mixed (a gradient has the shape of its variable; a Jacobian is ∂out/∂in); ∂E/∂x ∈ R
    Let  x ∈ R
    <BLANKLINE>
     1  ∂E/∂x = 2 x    ...
    """
    made = page(derivation, "text", layout, steps, lemmas, style, title, labels, notation=notation)
    blocks = list(with_results(made, lambda outcome: in_matrix(outcome, made, notation)))
    below = [] if made.told or not made.facts else [f"used: {'; '.join(made.facts)}"]
    below += [f"at kinks: {', '.join(made.conventions)}"] if made.conventions else []
    below += [_prefixed("checked", made.checked)] if made.checked else []
    parts = [made.title, "\n".join(_header(made)), "\n".join([*_set(blocks), *below])]
    parts += ["\n".join(_lemma(one)) for one in made.lemmas]
    return "\n\n".join(p for p in parts if p)


# -- the header ----------------------------------------------------------------------------------------------------------


def _header(made: Page) -> Iterator[str]:
    whole = ", ".join(o.whole for o in made.outcomes)
    line = ",  ".join(made.definitions) + f";   {whole}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield from reversed(made.definitions)
        yield f"sought: {whole}"
    head, shapes = f"layout: {made.layout} ({made.meaning}); ", [f"{s}, " for s in (_shape(o, made.style) for o in made.outcomes)]
    if len(head + "".join(shapes)) - 2 <= LONG:
        yield (head + "".join(shapes)).rstrip(" ,;")
    else:
        yield head.rstrip(" ;")
        yield from _wrapped("        ", shapes)
    given = [_space(i, made.style) for i in made.inputs]
    if given or made.lets:
        yield from _wrapped("Let  ", [*(f"{g}, " for g in given[:-1]), *(f"{g},  " for g in (*given[-1:], *made.lets))])
    if made.assumed:
        yield from _wrapped("assumed: ", [f"{a}; " for a in made.assumed])


def _shape(outcome: Outcome, style: Style) -> str:
    """Return the space of a result; where a layout turns its axes also which entry stands where."""
    shape = f"{outcome.whole} ∈ {_power('R', outcome.space, style)}"
    return shape if outcome.entry is None else f"{shape} with {outcome.entry[1]} at [{outcome.entry[0]}]"


def _wrapped(head: str, items: list[str]) -> Iterator[str]:
    """Yield the items on lines of at most ``WIDTH``, broken only between items."""
    line, indent = head, " " * len(head)
    for item in items:
        if len(line) + len(item.rstrip()) > WIDTH and line.strip() and line != indent and line != head:
            yield line.rstrip()
            line = indent
        line += item
    yield line.rstrip(" ,;")


def _times(shape: Iterable[Size], style: Style) -> str:
    return "×".join(t if (t := style.size(s)).isalnum() else f"({t})" for s in shape)


def _power(base: str, shape: tuple[Size, ...], style: Style) -> str:
    if not shape:
        return base
    sizes = _times(shape, style) if len(shape) > 1 else style.size(shape[0])
    return f"{base}^{sizes}" if len(shape) == 1 and sizes.isalnum() else f"{base}^{{{sizes}}}"


def _space(declared: Input, style: Style) -> str:
    name, shape = style.variable(declared.name), declared.shape
    where = _power("R", shape, style)
    if declared.kind == "label":
        limit = "" if declared.range is None else f" in 0..{style.size(declared.range - 1)}"
        return f"{name} a label{limit}" if not shape else f"{name} {_times(shape, style)} labels{limit}"
    spaces = {
        "onehot": f"{name} one-hot in {where}",
        "simplex": f"{name} in the simplex of {where}",
        "mask": f"{name} ∈ {_power('{0,1}', shape, style)}",
        "positive": f"{name} > 0 in {where}",
        "symmetric": f"{name} symmetric in {where}",
    }
    return spaces.get(declared.kind, f"{name} ∈ {where}")


# -- the steps -----------------------------------------------------------------------------------------------------------


def _set(blocks: list[Block]) -> Iterator[str]:
    """Yield the lines of the blocks, aligned: numbers, left sides, ``=``, reasons."""
    left = max((_wide(b.left) for b in blocks), default=0)
    if left > WIDTH // 3:
        left = WIDTH // 3
    digits = max((len(str(b.number)) for b in blocks), default=1) + 1
    indent = digits + 2 + left
    lines: list[tuple[str, str]] = []
    for block in blocks:
        for n, row in enumerate(block.rows):
            number = str(block.number) if n == 0 and block.number else ""
            first, *more = broken(_right(row), _LINE - indent - 3)
            start = f"{number:>{digits}}  {_padded(block.left if n == 0 else '', left)} = {first}"
            *before, last = [start, *(f"{'':{indent + 5}}{text}" for text in more)]
            lines += [*((line, "") for line in before), (last, row.reason)]
    column = min(max((_wide(line) for line, _ in lines if _wide(line) <= _REASONS), default=0), _REASONS) + 4
    for line, why in lines:
        if _wide(line) < column:
            yield f"{_padded(line, column)}{why}".rstrip()
        elif not why or _wide(line) + len(why) + 4 <= LONG:
            yield f"{line}    {why}".rstrip()
        else:  # too long for a column: the reason stands below
            yield line
            yield f"{'':<{indent + 3}}({why})"


@lru_cache(maxsize=4096)  # a column is measured before its lines are written
def _wide(text: str) -> int:
    """Return how many columns a text takes: the accent on a letter takes none."""
    return len(text) - sum(map(bool, map(combining, text)))


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - _wide(text))


_OPENING, _CLOSING, _BREAKS, _FACTORS = "([{", ")]}", (" + ", " − ", ",  "), (" (", " Σ")


def broken(text: str, room: int) -> list[str]:
    """Return a formula on lines of at most ``room`` characters, broken as far outside as can be: before a + or −, else a factor.

    >>> broken("a_i + (b_i − c_i) d_i − e_i", 22)
    ['a_i + (b_i − c_i) d_i', '− e_i']
    >>> broken("(b_i − c_i + d_i) (1 − e_i)", 24)
    ['(b_i − c_i + d_i)', '(1 − e_i)']
    """
    lines, start, cuts = [], 0, list(_cuts(text))
    while len(text) - start > room:
        later = [(where, depth) for where, depth in cuts if where > start + room // 4]
        fitting = [cut for cut in later if cut[0] <= start + room] or later[:1]
        if not fitting:
            break
        end, _ = min(fitting, key=lambda cut: (cut[1], -cut[0]))
        lines.append(text[start:end].strip())
        start = end
    return [*lines, text[start:].strip()]


def _cuts(text: str) -> Iterator[tuple[int, float]]:
    """Yield each place where a line may end, and in how many brackets it stands; between factors counts a half more."""
    level = 0
    for n, character in enumerate(text):
        level += (character in _OPENING) - (character in _CLOSING)
        if character not in " ,":
            continue
        if text.startswith(_BREAKS, n):
            yield n + 3 if character == "," else n + 1, level
        elif text.startswith(_FACTORS, n) and text[n - 1] not in "+−·,=":
            yield n + 1, level + 0.5


def _right(row: Row) -> str:
    return ",  ".join(f"{value} if {condition}" for value, condition in row.by_cases) if row.by_cases else row.right


def _lemma(part: LemmaPart) -> Iterator[str]:
    yield f"Lemma {part.number} ({part.title})   {',  '.join(part.definitions)}"
    yield from _set(list(part.blocks))
    if part.by_cases:
        yield "    by cases: " + ",  ".join(f"{value} if {condition}" for value, condition in part.by_cases)


def _prefixed(word: str, text: str) -> str:
    return text if text.startswith(word) else f"{word}: {text}"
