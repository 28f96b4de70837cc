"""A derivation as HTML: one self-contained file for any browser, or a fragment for a notebook; formulas are MathML.

Built as a tree and written by ``xml.etree``, so that whatever a title or a name holds stays text.  No script, no link,
nothing fetched: the policy in the head forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from xml.etree import ElementTree as ET

from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import Size
from derivkit.symbolic.render.lines import Block, Row
from derivkit.symbolic.render.mathml import MATHML, among_words, by_cases, mark, math
from derivkit.symbolic.render.page import LemmaPart, Outcome, Page, in_matrix, listed, page, with_results
from derivkit.symbolic.render.styles import Style
from derivkit.symbolic.steps import Derivation

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

#: What every page of ours has.
MATHS_STYLE = """
.derivkit { line-height: 1.5; max-width: 72rem; overflow-wrap: break-word; }
.derivkit math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", math; font-size: 1.1em; }
.derivkit mi.name { font-style: italic; }
.derivkit mtable.cases mtd { text-align: left; padding-right: 1em; }
"""
#: A step is a grid: its number, its left side, and rows of ``= ...`` with the reason, beside it where there is room, else below.
_STYLE = """
.derivkit .line, .derivkit .left, .derivkit .right, .derivkit .why, .derivkit .note,
.derivkit summary { overflow-x: auto; overflow-y: hidden; }
.derivkit .line, .derivkit .left, .derivkit .right { padding: 0.3em 0; }
.derivkit .note, .derivkit .why { opacity: 0.8; }
.derivkit .why, .derivkit .note { font-size: 0.92em; }
.derivkit .why math { font-size: 1.2em; }
.derivkit .step { display: grid; grid-template-columns: 2.2em fit-content(32%) minmax(0, 1fr); column-gap: 0.6em;
  align-items: baseline; padding: 0.35em 0; border-top: 1px solid rgba(128, 128, 128, 0.3); }
.derivkit .number { grid-column: 1; text-align: right; white-space: nowrap; opacity: 0.7; }
.derivkit .left { grid-column: 2; }
.derivkit .row { grid-column: 3; display: flex; flex-wrap: wrap; align-items: baseline; column-gap: 1em; }
.derivkit .right { flex: 9999 1 auto; max-width: 100%; }
.derivkit .why { flex: 1 1 20em; }
.derivkit details { margin: 0.6em 0; padding: 0.2em 0.8em; border: 1px solid rgba(128, 128, 128, 0.4); border-radius: 0.4em; }
.derivkit summary { cursor: pointer; padding: 0.2em 0; }
@media (max-width: 46rem) {
  .derivkit .step { grid-template-columns: 2em fit-content(35%) minmax(0, 1fr); column-gap: 0.4em; }
}
"""
PAGE_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: #fdfdfb; color: #1b1b1b;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.5rem; line-height: 1.3; overflow-x: auto; overflow-y: hidden; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6; } }
@media print { body { background: none; color: #000000; } }
"""


def to_html(
    derivation: Derivation,
    *,
    layout: str | None = None,
    notation: str = "both",
    steps: str = "full",
    lemmas: bool = True,
    style: str = "delta",
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Return a derivation as one self-contained HTML page with MathML; the options are those of ``to_text``.

    The lemmas are there, folded away, unless ``lemmas=False``.

    >>> from derivkit.symbolic.derive import derive
    >>> made = to_html(derive("E = sum(x**2)", "x", {"x": "D"}, check=False), title="a <b>")
    >>> made.splitlines()[0], "<title>a &lt;b&gt;</title>" in made
    ('<!DOCTYPE html>', True)
    """
    made = _page(derivation, layout, notation, steps, lemmas, style, title, labels)
    main = ET.Element("main", {"class": "derivkit"})
    _words(add(main, "h1"), made.title or ", ".join(made.style.inline(o.whole) for o in made.outcomes))
    main.extend(_body(made, notation))
    return as_page(main, made.title or _plain_title(derivation), PAGE_STYLE + MATHS_STYLE + _STYLE)


def as_page(main: ET.Element, title: str, style: str) -> str:
    """Return a page of its own around ``main``: no script, nothing fetched, and a policy that forbids both."""
    root = ET.Element("html", {"xmlns": "http://www.w3.org/1999/xhtml", "lang": "en"})
    head = add(root, "head")
    add(head, "meta", charset="utf-8")
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    ET.SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": POLICY})
    add(head, "title").text = title
    add(head, "style").text = style
    add(root, "body").append(main)
    return "<!DOCTYPE html>\n" + written(root)


def html_fragment(derivation: Derivation) -> str:
    """Return a derivation as a ``div`` for a notebook, which brings its own colours."""
    made = _page(derivation, None, "both", "full", True, "delta", None, None)
    root = ET.Element("div", {"class": "derivkit"})
    add(root, "style").text = MATHS_STYLE + _STYLE
    root.extend(_body(made, "both"))
    return written(root)


def _page(
    derivation: Derivation,
    layout: str | None,
    notation: str,
    steps: str,
    lemmas: bool,
    style: str,
    title: str | None,
    labels: Mapping[str, str] | None,
) -> Page:
    return page(derivation, MATHML, layout, steps, lemmas, style, title, labels, notation=notation)


def _plain_title(derivation: Derivation) -> str:
    names = ", ".join(map(str, derivation.wrt))
    return f"{derivation.kind} of {derivation.primal.output} with respect to {names}"


def written(root: ET.Element) -> str:
    """Return a tree as text."""
    return ET.tostring(root, encoding="unicode") + "\n"


# -- the parts of the page -----------------------------------------------------------------------------------------------


def _body(made: Page, notation: str) -> Iterator[ET.Element]:
    for definition in listed(made):
        yield _boxed("line", math(definition, display=True))
    shapes = ", ".join(_shape(o, made.style) for o in made.outcomes)
    yield _note(f"Layout: {made.layout} ({made.meaning}); {shapes}.")
    given = [*(_space(i, made.style) for i in made.inputs), *(made.style.inline(d) for d in made.lets)]
    if given:
        yield _note(f"Let {', '.join(given)}.")
    if made.assumed:
        yield _note(f"Assumed: {'; '.join(made.assumed)}.")
    for block in with_results(made, lambda outcome: in_matrix(outcome, made, notation)):
        yield _step(block)
    if made.facts and not made.told:
        yield _note(f"Used: {'; '.join(made.facts)}.")
    if made.conventions:
        yield _note(f"At kinks: {', '.join(made.conventions)}.")
    if made.checked:
        yield _note((made.checked if made.checked.startswith("checked") else f"checked: {made.checked}") + ".")
    for part in made.lemmas:
        yield _lemma(part, made.style)


def _step(block: Block) -> ET.Element:
    """Return a step: number, left side, and for each line ``= ...`` and the reason."""
    step = ET.Element("div", {"class": "step"})
    if block.number:
        add(step, "div", **{"class": "number"}).text = f"({block.number})"
    if block.left:
        step.append(_boxed("left", math(block.left, display=True)))
    for row in block.rows:
        line = add(step, "div", **{"class": "row"})
        line.append(_boxed("right", _right(row)))
        if row.reason:
            _words(add(line, "div", **{"class": "why"}), row.reason)
    return step


def _right(row: Row) -> ET.Element:
    return by_cases("=", row.by_cases) if row.by_cases else math(f"= {row.right}", display=True)


def _lemma(part: LemmaPart, style: Style) -> ET.Element:
    details = ET.Element("details")
    definitions = ", ".join(style.inline(d) for d in part.definitions)
    _words(add(details, "summary"), f"Lemma {part.number} ({part.title}): {definitions}")
    details.extend(_step(block) for block in part.blocks)
    if part.by_cases:
        details.append(_note("By cases:"))
        details.append(_boxed("line", by_cases("", part.by_cases)))
    return details


# -- what is given -------------------------------------------------------------------------------------------------------


def _shape(outcome: Outcome, style: Style) -> str:
    """Return the space of a result; where a layout turns its axes also which entry stands where."""
    shape = style.inline(f"{outcome.whole} ∈ {_power('ℝ', outcome.space, style)}")
    return shape if outcome.entry is None else f"{shape} with {style.inline(outcome.entry[1])} at {style.inline(_at(outcome))}"


def _at(outcome: Outcome) -> str:
    return f"[{'' if outcome.entry is None else outcome.entry[0]}]"


def _times(shape: Iterable[Size], style: Style) -> str:
    return "×".join(t if s.name or s.literal is not None else f"({t})" for s in shape for t in (style.size(s),))


def _power(base: str, shape: tuple[Size, ...], style: Style) -> str:
    return mark("sup", base, _times(shape, style) if len(shape) > 1 else style.size(shape[0])) if shape else base


def _space(declared: Input, style: Style) -> str:
    name, shape = style.variable(declared.name), declared.shape
    where = _power("ℝ", shape, style)
    if declared.kind == "label":
        limit = "" if declared.range is None else f" in {style.inline(f'0, …, {style.size(declared.range - 1)}')}"
        return f"{style.inline(name)} {f'{style.inline(_times(shape, style))} labels' if shape else 'a label'}{limit}"
    spaces = {
        "onehot": f"{style.inline(name)} one-hot in {style.inline(where)}",
        "simplex": f"{style.inline(name)} in the simplex of {style.inline(where)}",
        "mask": style.inline(f"{name} ∈ {_power('{0, 1}', shape, style)}"),
        "positive": f"{style.inline(f'{name} > 0')} in {style.inline(where)}",
        "symmetric": f"{style.inline(name)} symmetric in {style.inline(where)}",
    }
    return spaces.get(declared.kind, style.inline(f"{name} ∈ {where}"))


# -- elements ------------------------------------------------------------------------------------------------------------


def add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    """Put an element at the end of another, and return it."""
    return ET.SubElement(parent, tag, attributes)


def _boxed(kind: str, formula: ET.Element) -> ET.Element:
    """Return a formula in a box that scrolls by itself when it is too long."""
    box = ET.Element("div", {"class": kind})
    box.append(formula)
    return box


def _note(text: str) -> ET.Element:
    note = ET.Element("p", {"class": "note"})
    _words(note, text)
    return note


def _words(parent: ET.Element, text: str) -> None:
    """Put words with formulas among them into an element."""
    last: ET.Element | None = None
    for piece in among_words(text):
        if isinstance(piece, ET.Element):
            parent.append(piece)
            last = piece
        elif last is None:
            parent.text = piece
        else:
            last.tail = piece
