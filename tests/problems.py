"""Problems of courses, appendices and layer libraries, read from ``problems.txt``.

The textbook's form is what a book or a paper prints, in the program's own names; it is checked numerically before it is used,
and only its length counts.  ``scripts/problems`` derives them all and prints the counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Problem(NamedTuple):
    """One problem; ``kind`` is empty for the natural one."""

    family: str
    program: str
    by: str
    textbook: str
    kind: str = ""


def read_problems(text: str) -> list[Problem]:
    """Read families (``## name``), programs (lines separated by ``;``) and under each ``| by kind => textbook``."""
    problems, family, program = [], "", ""
    for line in text.strip().splitlines():
        line = line.strip()
        if not line or line.startswith("# "):
            continue
        if line.startswith("## "):
            family = line[3:]
        elif line.startswith("| "):
            by, _, textbook = line[2:].partition(" => ")
            name, _, kind = by.strip().partition(" ")
            problems.append(Problem(family, program, name, textbook.strip(), kind.strip()))
        else:
            program = "\n".join(part.strip() for part in line.split(";"))
    return problems


PROBLEMS = read_problems((Path(__file__).parent / "problems.txt").read_text())
