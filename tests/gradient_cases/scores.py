"""The checker on the corpus: what came of each row, the numbers that the limits are about, and the limits."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from derivkit.checking.check import check_gradient, check_jacobian, check_jvp, check_vjp
from derivkit.checking.report import Report
from gradient_cases.proof import claimed
from gradient_cases.rows import Row, rows

KINDS = {"gradient": check_gradient, "vjp": check_vjp, "jvp": check_jvp, "jacobian": check_jacobian}
#: Faults that are as small as this, relative to the whole gradient, are tried on every smooth float64 row.
FAINT = (1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8)


@dataclass(frozen=True)
class Result:
    """What came of one row."""

    row: Row
    report: Report
    seconds: float

    @property
    def judged(self) -> bool:
        """Whether the verdict is the right one."""
        return self.report.ok if self.row.right else not (self.report.ok or self.report.undecided)

    @property
    def named(self) -> bool:
        """Whether the cause is one that the row allows, its factor right to 1 %."""
        code, _, detail = (self.report.diagnosis or "ok").partition(":")
        for allowed in self.row.expected.split("|"):
            name, _, number = allowed.partition(":")
            if code == name and (not number or abs(float(detail) / float(number) - 1) <= 0.01):
                return True
        return False

    @property
    def blamed(self) -> bool:
        """Whether the wrong leaves, and no others, are blamed; by contract some faults have none."""
        return not self.row.blame or self.report.blame == self.row.blame


def run(seed: int, only: set[str] | None = None) -> list[Result]:
    """Check the corpus (or only the rows of these names) with the data of ``seed``."""
    results = []
    for row in rows(seed):
        if only is not None and row.name not in only:
            continue
        started = time.process_time()
        report = KINDS[row.kind](row.f, row.grad, *row.args)
        results.append(Result(row, report, time.process_time() - started))
    return results


def faintest(seed: int) -> list[tuple[str, float]]:
    """Return, for each row that can show it, the smallest factor 1 + ε that is called wrong without a gap above it."""
    found = []
    for row in rows(seed):
        if not row.right or row.kind != "gradient" or row.exact or row.kink or row.huge or row.accuracy > 1e-8:
            continue
        if not any(np.any(g) for g in claimed(row)):  # of zero there is no share
            continue
        report = check_gradient(row.f, row.grad, *row.args)
        if not report.error_bar <= 1e-9:  # f itself is coarser than the fault
            continue
        least = 1.0
        for fault in FAINT:
            if check_gradient(row.f, _scaled(row.grad, 1 + fault), *row.args).verdict != "wrong":
                break
            least = fault
        found.append((row.name, least))
    return found


def _scaled(grad, factor):
    def times(tree):
        if isinstance(tree, dict):
            return {key: times(value) for key, value in tree.items()}
        if isinstance(tree, (list, tuple)):
            return type(tree)(times(value) for value in tree)
        return None if tree is None else tree * factor

    return lambda *args: times(grad(*args))


def shares(results: list[Result]) -> dict[str, float]:
    """Return the numbers that the limits are about."""
    right = [r for r in results if r.row.right]
    wrong = [r for r in results if not r.row.right]
    huge = [r for r in results if r.row.huge and np.size(r.row.args[0]) < 200_000]
    return {
        "right accepted": sum(r.judged for r in right) / len(right),
        "wrong rejected": sum(r.judged for r in wrong) / len(wrong),
        "wrong accepted": sum(r.report.ok for r in wrong) / len(wrong),
        "cause named": sum(r.named for r in wrong) / len(wrong),
        "leaf blamed": sum(r.blamed for r in wrong) / len(wrong),
        "evaluations, right, median": statistics.median(r.report.evaluations for r in right),
        "evaluations, wrong, median": statistics.median(r.report.evaluations for r in wrong),
        "evaluations, wrong, most": max(r.report.evaluations for r in wrong),
        "evaluations, 100,000 and right, most": max(r.report.evaluations for r in huge if r.row.right),
        "evaluations, 100,000 and wrong, most": max(r.report.evaluations for r in huge if not r.row.right),
        "seconds": sum(r.seconds for r in results),
    }


#: What must hold: the number's name, "least" or "most", and the limit.
LIMITS = (
    ("right accepted", "least", 1.0),
    ("wrong rejected", "least", 1.0),
    ("wrong accepted", "most", 0.0),
    ("cause named", "least", 0.95),
    ("leaf blamed", "least", 1.0),
    ("evaluations, right, median", "most", 20),
    ("evaluations, wrong, median", "most", 100),
    ("evaluations, wrong, most", "most", 500),
    ("evaluations, 100,000 and right, most", "most", 40),
    ("evaluations, 100,000 and wrong, most", "most", 500),
    ("seconds", "most", 10.0),
    ("faintest fault seen in all", "most", 1e-6),
)


def missed(numbers: dict[str, float]) -> list[str]:
    """Return what is beyond its limit."""
    far = {"least": lambda value, limit: value < limit, "most": lambda value, limit: value > limit}
    return [
        f"{name} {numbers[name]:.4g}, limit {limit:g}"
        for name, way, limit in LIMITS
        if name in numbers and far[way](numbers[name], limit)
    ]


def complaints(results: list[Result]) -> list[str]:
    """Return a line for each row that was not judged as it should be."""
    lines = []
    for r in results:
        if not r.judged or (not r.row.right and not (r.named and r.blamed)):
            got = f"{r.report.verdict} {r.report.diagnosis} {r.report.blame}"
            lines.append(f"  {r.row.name}: {got}, not {r.row.expected} {r.row.blame} ({r.report.evaluations} evaluations)")
    return lines
