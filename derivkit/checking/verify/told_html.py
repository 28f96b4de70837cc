"""A verification as one self-contained HTML page: the formulas of each document as they were read, with their verdicts.

Built as a tree and written by ``xml.etree``; every text of a document goes through ``echo``.
No script, no link, nothing fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from xml.etree import ElementTree as ET

from derivkit.checking.verify.findings import STATUSES, Claim, Document, Verification
from derivkit.checking.verify.told import VERDICTS, counterexample, flat, pointed, reason, tally, to_text
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.notes.document import read_formula
from derivkit.symbolic.render.html import MATHS_STYLE, PAGE_STYLE, add, as_page, written
from derivkit.symbolic.render.signs import SPACE
from derivkit.symbolic.render.written import mathml

TITLE = 200  # the most characters of a title
_ROOM = 160  # of a line of the document that is shown with a caret

#: A relation is a grid: its place, its verdict, and the formula with what is said of it, below where there is no room beside.
_STYLE = """
.derivkit h2 { font-size: 1.2rem; margin: 1.6em 0 0.4em; overflow-wrap: anywhere; }
.derivkit .claim { display: grid; grid-template-columns: 4.5em 7.5em minmax(0, 1fr); column-gap: 0.8em;
  align-items: baseline; padding: 0.4em 0 0.4em 0.5em; border-top: 1px solid rgba(128, 128, 128, 0.3);
  border-left: 0.3em solid transparent; }
.derivkit .place { text-align: right; white-space: nowrap; opacity: 0.7; font-variant-numeric: tabular-nums; }
.derivkit .verdict { font-weight: 600; white-space: nowrap; }
.derivkit .formula, .derivkit .claim pre { overflow-x: auto; overflow-y: hidden; }
.derivkit .formula { padding: 0.25em 0; }
.derivkit .claim pre { margin: 0.3em 0; line-height: 1.2; }
.derivkit .claim p, .derivkit .assumed { margin: 0.2em 0; }
.derivkit .is-right .verdict { color: #2e8b57; }
.derivkit .is-wrong .verdict { color: #d04040; }
.derivkit .is-wrong { border-left-color: #d04040; background: rgba(208, 64, 64, 0.07); }
.derivkit .is-right_if .verdict, .derivkit .is-follows .verdict, .derivkit .is-undecided .verdict,
.derivkit .is-unread .verdict { color: #9a7000; }
.derivkit .is-definition .verdict { font-weight: 400; opacity: 0.7; }
.derivkit .struck { background: linear-gradient(to top right, transparent 47%, currentcolor 47% 53%, transparent 53%); }
.derivkit .note { font-size: 0.92em; opacity: 0.85; }
@media (max-width: 46rem) {
  .derivkit .claim { grid-template-columns: auto minmax(0, 1fr); }
  .derivkit .place { text-align: left; }
  .derivkit .said { grid-column: 1 / 3; }
}
"""
#: A notebook has its own idea of the dark.
_DARK_STYLE = """
@media (prefers-color-scheme: dark) {
  .derivkit .is-right .verdict { color: #57c785; }
  .derivkit .is-wrong .verdict { color: #ff7b72; }
  .derivkit .is-right_if .verdict, .derivkit .is-follows .verdict, .derivkit .is-undecided .verdict,
  .derivkit .is-unread .verdict { color: #e0b040; }
}
"""


def to_html(verification: Verification, *, title: str | None = None) -> str:
    """Return a verification as one self-contained HTML page; ``title`` stands above it.

    >>> page = to_html(Verification((Document("a<b>.tex", (), (Claim(1, 1, "y = x", "right"),)),)))
    >>> page.splitlines()[0], "<h2>a&lt;b&gt;.tex</h2>" in page
    ('<!DOCTYPE html>', True)
    """
    main = ET.Element("main", {"class": "derivkit"})
    head = "Formulas, line by line" if title is None else echo(title, TITLE)
    add(main, "h1").text = head
    main.extend(_sections(verification))
    return as_page(main, head, PAGE_STYLE + MATHS_STYLE + _STYLE + _DARK_STYLE)


def html_fragment(verification: Verification) -> str:
    """Return a verification as a ``div`` for a notebook, which brings its own colours."""
    root = ET.Element("div", {"class": "derivkit"})
    add(root, "style").text = MATHS_STYLE + _STYLE
    root.extend(_sections(verification))
    return written(root)


def _sections(verification: Verification) -> list[ET.Element]:
    sections = [_section(document) for document in verification.files]
    if len(verification.files) > 1:
        total = ET.Element("p")
        total.text = f"{len(verification.files)} files, {tally(verification)}"
        sections.insert(0, total)
    return sections


def _section(document: Document) -> ET.Element:
    section = ET.Element("section")
    add(section, "h2").text = flat(document.path)
    add(section, "p").text = tally(document)
    if document.assumptions:
        add(section, "p", **{"class": "note"}).text = "Assumed:"
        assumed = add(section, "ul", **{"class": "note"})
        for assumption in document.assumptions:
            add(assumed, "li").text = flat(assumption)
    section.extend(map(_claim, document.claims))
    return section


def _claim(claim: Claim) -> ET.Element:
    box = ET.Element("div", {"class": f"claim is-{claim.status}"})
    add(box, "div", **{"class": "place"}).text = f"{claim.line}:{claim.column}"
    add(box, "div", **{"class": "verdict", "title": STATUSES[claim.status]}).text = VERDICTS[claim.status]
    said = add(box, "div", **{"class": "said"})
    said.append(_formula(claim))
    for line in _reasons(claim):
        add(said, "p").text = line
    if claim.correction:
        said.append(_instead(claim.correction))
    if claim.counterexample:
        add(said, "p", **{"class": "note"}).text = counterexample(claim.counterexample)
    return box


def _formula(claim: Claim) -> ET.Element:
    """Return a relation as it was read; where it was not, or no page could show it, as it stands in the document."""
    if claim.read is None and claim.status == "unread":
        source = ET.Element("pre")
        source.text = "\n".join(pointed(claim, _ROOM)) or "…"
        return source
    box = ET.Element("div", {"class": "formula"})
    try:
        if claim.read is not None:
            box.append(mathml(claim.read, display=True))
            return box
    except DerivkitError:  # too deep
        pass
    add(box, "code").text = flat(claim.text) or "…"
    return box


def _instead(correction: str) -> ET.Element:
    """Return a correction as a formula, and as LaTeX to copy."""
    box = ET.Element("div", {"class": "formula"})
    add(box, "span").text = f"instead:{2 * SPACE}"
    try:
        (chain,) = read_formula(correction)
        box.append(mathml(chain, display=True))
        add(add(box, "div", **{"class": "note"}), "code").text = flat(correction)
    except (DerivkitError, ValueError):  # it was not read back as one formula
        add(box, "code").text = flat(correction)
    return box


def _reasons(claim: Claim) -> list[str]:
    needs = f"{'if' if claim.status == 'right_if' else 'needs'} {' and '.join(map(flat, claim.needs))}" if claim.needs else ""
    return [line for line in (reason(claim) if claim.status not in ("right", "right_if", "definition") else "", needs) if line]


_FORMS: dict[str, Callable[[Verification], str]] = {"text/plain": to_text, "text/html": html_fragment}


def mime_bundle(verification: Verification, include: Collection[str] | None, exclude: Collection[str] | None) -> dict[str, str]:
    """Return a verification in each form that is asked for; see IPython's ``_repr_mimebundle_``.

    >>> sorted(mime_bundle(Verification(()), None, None))
    ['text/html', 'text/plain']
    """
    wanted = [kind for kind in _FORMS if (not include or kind in include) and (not exclude or kind not in exclude)]
    return {kind: _FORMS[kind](verification) for kind in wanted}
