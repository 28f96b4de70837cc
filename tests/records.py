"""What a user would notice of every check in the tables of the tests: one line each, kept in ``records.txt``.

A change of a threshold that no verdict shows is seen here: in the words, the blame, the entries, the cost or the error bars.
``scripts/test tests/test_gradient_cases.py --update-golden`` writes the file anew, to be reviewed as a diff.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import test_check_gradient
import test_checking_right
import test_checking_suspects
import test_checking_wrong
from gradient_cases.rows import rows
from gradient_cases.scores import KINDS

from derivkit.checking.check import check_gradient
from derivkit.checking.report import Report

FILE = Path(__file__).with_name("records.txt")
#: Another machine sums in another order: so many lines may tell another story, and so many have another error bar.
OTHERWISE, BARS = 4, 30


def corpus() -> Iterator[tuple[str, Callable[[], Report]]]:
    """Yield the name of each row of the corpus, and what checks it."""
    for row in rows(0):
        yield row.name, lambda row=row: KINDS[row.kind](row.f, row.grad, *row.args)


def tables() -> Iterator[tuple[str, Callable[[], Report]]]:
    """Yield the same for the tables of right and wrong gradients in the other files of tests."""
    for module, table in (("first", test_check_gradient.RIGHT), ("right", test_checking_right.ROWS)):
        for name, (f, grad, *args) in table.items():
            yield f"{module}: {name}", lambda f=f, grad=grad, args=args: check_gradient(f, grad, *args)
    for module, table in (("faulty", test_check_gradient.WRONG), ("wrong", test_checking_wrong.WRONG)):
        for name, (f, grad, _, *args) in table.items():
            yield f"{module}: {name}", lambda f=f, grad=grad, args=args: check_gradient(f, grad, *args)
    for name, (check, f, grad, *args) in test_checking_suspects.PLANTED.items():
        yield f"planted: {name}", lambda check=check, f=f, grad=grad, args=args: check(f, grad, *args)


def line(name: str, report: Report) -> str:
    """Return verdict, words without numbers, blame, entries, evaluations and the exponents of the error bars."""
    words = re.sub(r"-?(\d[\d.]*(e[-+]?\d+)?|inf|nan)", "#", " / ".join((report.summary, *report.evidence)))
    listed = sorted((e.leaf, e.index) for e in report.entries)  # which one is the worst may hang on the last bit
    entries = ", ".join(f"{leaf}{list(index)}" for leaf, index in listed) if len(listed) < 16 else "16 entries or more"
    bars = " ".join(f"{_exponent(bar):.1f}" for bar in (report.error_bar, max((e.error_bar for e in report.entries), default=0)))
    told = (report.verdict, words, f"blames {list(report.blame)}", entries)
    return " | ".join((name, *told, str(report.evaluations), bars))


def _exponent(bar: float) -> float:
    return math.log10(bar) if bar > 0 else math.nan


def departures(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the lines that tell another story than is recorded, or at another cost, and those with another error bar."""
    known = {each.split(" | ")[0]: each.split(" | ") for each in FILE.read_text(encoding="utf-8").splitlines()}
    stories, bars = [], []
    for now in lines:
        *told, evaluations, wide = now.split(" | ")
        *then, least, width = known.get(told[0], ["", "0", ""])
        if told != then or abs(int(evaluations) - int(least)) > 0.05 * int(least):
            stories.append(f"{' | '.join((*then, least, width))}\n  now: {now}")
        elif any(abs(float(a) - float(b)) > 0.5 for a, b in zip(wide.split(), width.split(), strict=True)):
            bars.append(f"{told[0]}: error bars of 1e{width}, now {wide}")
    return stories, bars
