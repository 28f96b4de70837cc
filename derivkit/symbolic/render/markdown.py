r"""A derivation as Markdown, for GitHub, notebooks and note-taking programs: formulas between ``$`` and ``$$``.

The LaTeX is the one of ``latex``, spelt so that a reader of Markdown leaves it alone: ``\lbrace`` for ``\{``, ``\thinspace``
for ``\,`` (a backslash in front of a sign is Markdown's own), ``\lt`` for ``<``, a hyphen for the ``\_`` of an operation's name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from derivkit.symbolic.render.latex import cases_of, shape_of, space_of
from derivkit.symbolic.render.lines import Block
from derivkit.symbolic.render.page import LemmaPart, in_matrix, listed, page, with_results
from derivkit.symbolic.render.styles import LATEX
from derivkit.symbolic.steps import Derivation

#: Commands whose name is a sign, and characters that HTML has a use for.
_SPELT = {r"\,": r"\thinspace ", r"\{": r"\lbrace ", r"\}": r"\rbrace ", r"\_": "-", "<": r"\lt ", ">": r"\gt "}
_SIGNS = re.compile(r"\\\\|\\[,{}_]|[<>]")

MARKDOWN = replace(LATEX, inline=lambda t: f"${spelt(t)}$", words=lambda t: escaped(t))


def spelt(formula: str) -> str:
    r"""Return a formula of LaTeX spelt for Markdown.

    >>> print(spelt(r"a \, b < \{0\}"))
    a \thinspace b \lt \lbrace 0\rbrace
    """
    made = _SIGNS.sub(lambda m: _SPELT.get(m[0], m[0]), formula)
    return re.sub(r"(?<=[a-z]) +", " ", made).strip()


def escaped(text: str) -> str:
    r"""Return words for Markdown, none of them a sign of it.

    >>> print(escaped("a_b *c* <i> $5"))
    a\_b \*c\* &lt;i&gt; \$5
    """
    return re.sub(r"[\\`*_\[\]|$~#]", lambda m: "\\" + m[0], html.escape(text, quote=False))


def to_markdown(
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
    """Return a derivation as Markdown: each step a formula, its reasons below it; the options are those of ``to_text``.

    >>> from derivkit.symbolic.derive import derive
    >>> print(to_markdown(derive("E = sum(x**2)", "x", {"x": "D"}, check=False), title="squares").splitlines()[0])
    # squares
    """
    made = page(derivation, MARKDOWN, layout, steps, lemmas, style, title, labels, notation=notation)
    parts = [f"# {escaped(made.title)}"] if made.title else []
    parts += [_display([spelt(d)]) for d in listed(made)]
    shapes = ", ".join(_dollars(shape_of(o, made.style)) for o in made.outcomes)
    parts.append(f"Layout: {made.layout} ({escaped(made.meaning)}); {shapes}.")
    given = [*(_dollars(space_of(i, made.style)) for i in made.inputs), *(made.style.inline(d) for d in made.lets)]
    parts += [f"Let {', '.join(given)}."] if given else []
    parts += [f"Assumed: {escaped('; '.join(made.assumed))}."] if made.assumed else []
    parts += _steps(with_results(made, lambda outcome: in_matrix(outcome, made, notation)))
    parts += [f"Used: {'; '.join(made.facts)}."] if made.facts and not made.told else []
    parts += [f"At kinks: {escaped(', '.join(made.conventions))}."] if made.conventions else []
    if made.checked:
        parts.append(escaped(made.checked if made.checked.startswith("checked") else f"checked: {made.checked}") + ".")
    for part in made.lemmas:
        parts += _lemma(part)
    return "\n\n".join(parts) + "\n"


def _dollars(text: str) -> str:
    """Return words with formulas between dollars, each formula spelt for Markdown."""
    return "".join(f"${spelt(p)}$" if n % 2 else p for n, p in enumerate(text.split("$")))


def _display(lines: list[str]) -> str:
    """Return formulas on lines of their own."""
    if len(lines) == 1:
        return f"$$\n{lines[0]}\n$$"
    return "$$\n\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}\n$$"


# -- the steps -----------------------------------------------------------------------------------------------------------


def _steps(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield each step: its number with the reasons, then its lines; where there are several, letters say which is which."""
    for block in blocks:
        lines: list[str] = []
        reasons: list[str] = []
        told = [row for row in block.rows if row.reason]
        for row in block.rows:
            right = cases_of(row.by_cases) if row.by_cases else row.right
            letter = f"({chr(ord('a') + told.index(row))})" if row.reason and len(block.rows) > 1 else ""
            lines.append(f"{block.left if not lines else ''} &= {right}".strip() + (rf" && \text{{{letter}}}" if letter else ""))
            reasons += [f"{letter} {row.reason}".strip()] if row.reason else []
        head = " ".join([*([f"**({block.number})**"] if block.number else []), *(["; ".join(reasons)] if reasons else [])])
        if head:
            yield head
        yield _display([spelt(line if len(lines) > 1 else line.replace(" &= ", " = ", 1)) for line in lines])


def _lemma(part: LemmaPart) -> Iterator[str]:
    definitions = ", ".join(f"${spelt(d)}$" for d in part.definitions)
    yield f"**Lemma {part.number}** ({escaped(part.title)}). {definitions}."
    yield from _steps(part.blocks)
    if part.by_cases:
        yield "By cases:"
        yield _display([spelt(cases_of(part.by_cases))])
