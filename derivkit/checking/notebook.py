"""What a notebook shows of a report: the verdict, a table of entries, the evidence; no script, and everything escaped."""

from __future__ import annotations

from collections.abc import Callable, Collection
from xml.etree import ElementTree as Xml

from derivkit.checking.report import Report

#: The colour of a verdict: readable on white and on black.
COLOURS = {"ok": "#2e8b57", "wrong": "#d04040", "undecided": "#b8860b"}
ENTRIES = 8


def report_html(report: Report) -> str:
    """Return a fragment of HTML.

    >>> report_html(Report(True, subject="gradient of f<x>", summary="agrees"))[:62]
    '<div class="derivkit-report"><p><b style="color:#2e8b57">ok</b'
    """
    page = Xml.Element("div", {"class": "derivkit-report"})
    head = Xml.SubElement(page, "p")
    Xml.SubElement(head, "b", style=f"color:{COLOURS[report.verdict]}").text = report.verdict
    head[0].tail = f" {': '.join(part for part in (report.subject, report.summary) if part)}"
    if report.diagnosis and report.diagnosis != report.verdict:
        cause = Xml.SubElement(page, "p")
        cause.text = "cause: "
        Xml.SubElement(cause, "code").text = report.diagnosis
    if report.entries:
        _table(page, report)
    for line in report.evidence[:ENTRIES]:
        Xml.SubElement(page, "p").text = line
    if report.reproduce and not report.ok:
        Xml.SubElement(Xml.SubElement(page, "pre"), "code").text = report.reproduce
    small = Xml.SubElement(Xml.SubElement(page, "p"), "small")
    small.text = (
        f"relative residual {report.error:.3g} ± {report.error_bar:.1g}, {report.evaluations} evaluations, seed {report.seed}"
    )
    return Xml.tostring(page, encoding="unicode")


def _table(page: Xml.Element, report: Report) -> None:
    table = Xml.SubElement(page, "table")
    rows = [("entry", "yours", "measured", "error bar")]
    for entry in report.entries[:ENTRIES]:
        place = f"{entry.leaf}[{', '.join(map(str, entry.index))}]" if entry.index else entry.leaf
        rows.append((place, f"{entry.yours:.9g}", f"{entry.measured:.9g}", f"{entry.error_bar:.1g}"))
    for number, row in enumerate(rows):
        line = Xml.SubElement(table, "tr")
        for cell in row:
            Xml.SubElement(line, "td" if number else "th").text = cell


_FORMS: dict[str, Callable[[Report], str]] = {"text/plain": str, "text/html": report_html}


def mime_bundle(report: Report, include: Collection[str] | None, exclude: Collection[str] | None) -> dict[str, str]:
    """Return a report in each form that is asked for; see IPython's ``_repr_mimebundle_``.

    >>> sorted(mime_bundle(Report(True), None, None))
    ['text/html', 'text/plain']
    """
    wanted = [kind for kind in _FORMS if (not include or kind in include) and (not exclude or kind not in exclude)]
    return {kind: _FORMS[kind](report) for kind in wanted}
