"""A derivation as plain text: the header, what is given, numbered steps with reasons in a column, the result, lemmas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from derivkit.layout import Layout
from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import Size
from derivkit.symbolic.render.matrix import matrix_text
from derivkit.symbolic.render.page import NOTATIONS, Block, LemmaPart, Outcome, Page, Row, another, option, page, with_results
from derivkit.symbolic.render.styles import TEXT, text_name
from derivkit.symbolic.steps import Derivation

WIDTH = 110
_REASONS = 78


def to_text(
    derivation: Derivation,
    *,
    layout: str | None = None,
    notation: str = "both",
    steps: str = "full",
    lemmas: bool = False,
    style: str = "delta",
) -> str:
    """Return a derivation as text with Unicode signs, each line with its reason.

    ``layout`` orders the axes of the results (``mixed``, ``numerator``, ``denominator``); ``notation`` says how results are
    written (``index``, ``matrix``, ``both``; the steps are in index notation); ``steps`` is ``full``, ``brief`` (a line each)
    or ``none``; ``lemmas`` appends each lemma with its proof; ``style="cases"`` splits a δ into cases.

    >>> from derivkit.symbolic.derive import derive
    >>> print(to_text(derive("E = x * x", "x", {"x": ""}, check=False), notation="index"))  # doctest: +NORMALIZE_WHITESPACE
    E = x · x;   ∂E/∂x
    layout: mixed (a gradient has the shape of its variable; a Jacobian is ∂out/∂in); ∂E/∂x ∈ R
    Let  x ∈ R
    <BLANKLINE>
     1  ∂E/∂x = 2 x    ...
    """
    option("notation", notation, NOTATIONS)
    made = page(derivation, "text", layout, steps, lemmas, style)
    blocks = list(with_results(made, lambda outcome: _matrix(outcome, made.layout, notation)))
    parts = ["\n".join(_header(made)), "\n".join(_set(blocks))]
    if made.checked:
        parts[-1] += f"\n{_prefixed('checked', made.checked)}"
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
    shapes = ", ".join(f"{o.whole} ∈ {_power('R', o.shape)}" for o in made.outcomes)
    yield f"layout: {made.layout} ({made.meaning}); {shapes}"
    given = [_space(i) for i in made.inputs]
    if given or made.lets:
        yield from _wrapped("Let  ", [*(f"{g}, " for g in given[:-1]), *(f"{g},  " for g in (*given[-1:], *made.lets))])
    if made.assumed:
        yield from _wrapped("assumed: ", [f"{a}; " for a in made.assumed])


def _wrapped(head: str, items: list[str]) -> Iterator[str]:
    """Yield the items on lines of at most ``WIDTH``, broken only between items."""
    line, indent = head, " " * len(head)
    for item in items:
        if len(line) + len(item.rstrip()) > WIDTH and line.strip() and line != indent and line != head:
            yield line.rstrip()
            line = indent
        line += item
    yield line.rstrip(" ,;")


def _times(shape: Iterable[Size]) -> str:
    return "×".join(t if (t := TEXT.size(s)).isalnum() else f"({t})" for s in shape)


def _power(base: str, shape: tuple[Size, ...]) -> str:
    if not shape:
        return base
    sizes = _times(shape) if len(shape) > 1 else TEXT.size(shape[0])
    return f"{base}^{sizes}" if len(shape) == 1 and sizes.isalnum() else f"{base}^{{{sizes}}}"


def _space(declared: Input) -> str:
    name, shape = text_name(str(declared.name)), declared.shape
    where = _power("R", shape)
    if declared.kind == "label":
        limit = "" if declared.range is None else f" in 0..{TEXT.size(declared.range - 1)}"
        return f"{name} a label{limit}" if not shape else f"{name} {_times(shape)} labels{limit}"
    spaces = {
        "onehot": f"{name} one-hot in {where}",
        "simplex": f"{name} in the simplex of {where}",
        "mask": f"{name} ∈ {_power('{0,1}', shape)}",
        "positive": f"{name} > 0 in {where}",
        "symmetric": f"{name} symmetric in {where}",
    }
    return spaces.get(declared.kind, f"{name} ∈ {where}")


# -- the steps -----------------------------------------------------------------------------------------------------------


def _matrix(outcome: Outcome, layout: Layout, notation: str) -> Iterator[Row]:
    matrix = matrix_text(outcome.result, layout) if notation != "index" else None
    if matrix is not None and another(outcome, matrix):
        yield Row(matrix, "in matrix notation")
    elif matrix is None and notation == "matrix":
        yield Row(outcome.row.right, "index notation: there is no matrix form", outcome.row.by_cases)


def _set(blocks: list[Block]) -> Iterator[str]:
    """Yield the lines of the blocks, aligned: numbers, left sides, ``=``, reasons."""
    left = max((len(b.left) for b in blocks), default=0)
    if left > WIDTH // 3:
        left = WIDTH // 3
    digits = max((len(str(b.number)) for b in blocks), default=1) + 1
    lines = []
    for block in blocks:
        for n, row in enumerate(block.rows):
            number = str(block.number) if n == 0 and block.number else ""
            lines.append((f"{number:>{digits}}  {block.left if n == 0 else '':<{left}} = {_right(row)}", row.reason))
    column = min(max((len(line) for line, _ in lines if len(line) <= _REASONS), default=0), _REASONS) + 4
    for line, why in lines:
        if len(line) < column:
            yield f"{line:<{column}}{why}".rstrip()
        elif len(line) + len(why) < WIDTH + 20:
            yield f"{line}    {why}".rstrip()
        else:  # too long for a column: the reason stands below
            yield line
            yield f"{'':<{digits + left + 5}}({why})"


def _right(row: Row) -> str:
    return ",  ".join(f"{value} if {condition}" for value, condition in row.by_cases) if row.by_cases else row.right


def _lemma(part: LemmaPart) -> Iterator[str]:
    yield f"Lemma {part.number} ({part.title})   {',  '.join(part.definitions)}"
    yield from _set(list(part.blocks))
    if part.by_cases:
        yield "    by cases: " + ",  ".join(f"{value} if {condition}" for value, condition in part.by_cases)


def _prefixed(word: str, text: str) -> str:
    return text if text.startswith(word) else f"{word}: {text}"
