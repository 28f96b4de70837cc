"""Counts over the problems of ``tests/problems.py``: how many results are as short as the textbook's, and in matrix notation.

Every problem is derived and checked: the derivation's own check against complex steps, and both printed forms and the
textbook's evaluated at three sets of sizes, one of them all ones.  ``scripts/problems WORD`` takes the families with that word.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from problems import PROBLEMS
from textbook import Outcome, outcome

SLOWEST = 5


def line_of(made: Outcome) -> str:
    """Return a problem on one line: its program, what is differentiated and how."""
    p = made.problem
    return f"[{p.family}] {'; '.join(p.program.splitlines())}   d/d{p.by} {p.kind}".rstrip()


def main(word: str) -> int:
    """Print the exceptions, then the counts; return 1 when anything is wrong."""
    started = time.perf_counter()
    made = [outcome(p) for p in PROBLEMS if word in p.family]
    for each in made:
        if each.wrong:
            print(f"WRONG {line_of(each)}\n    {each.wrong}")
        if not each.is_short or not each.matrix:
            print(f"{'' if each.matrix else 'no matrix notation: '}{line_of(each)}")
            print(f"    textbook  {each.book}\n    derivkit  {each.matrix or each.index}")
    total = time.perf_counter() - started
    print(f"\n{len(made)} problems in {len({e.problem.family for e in made})} families, {total:.1f} s")
    for each in sorted(made, key=lambda e: -e.seconds)[:SLOWEST]:
        print(f"    {each.seconds * 1e3:5.0f} ms  {line_of(each)}")
    rows = {"no longer than the textbook's": [e.is_short for e in made], "in matrix notation": [bool(e.matrix) for e in made]}
    rows["wrong, or not read back"] = [bool(e.wrong) for e in made]
    for what, flags in rows.items():
        print(f"{sum(flags):4d} of {len(flags)} {what} ({100 * sum(flags) / max(1, len(flags)):.1f} %)")
    return int(any(e.wrong for e in made))


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
