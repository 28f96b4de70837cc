"""What a check found: verdict, cause, evidence, and how to see it again."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

#: The first part of ``Report.diagnosis`` when it is not a suspect's code: the check could not decide.
UNDECIDED = "undecided"
LINES = 20
WIDTH = 160
SUBJECT = 60  # a subject is not cut shorter to stay in one line with the cause


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a gradient: where it is, what was claimed, what was measured, and how well that is known.

    >>> Entry("W1", (0, 2), 1.5, 3.0, 1e-9)
    Entry(leaf='W1', index=(0, 2), yours=1.5, measured=3.0, error_bar=1e-09)
    >>> print(Entry("W1", (0, 2), 1.5, 3.0, 1e-9))
    W1[0, 2]: yours 1.5, measured 3 ± 1e-09
    """

    leaf: str
    index: tuple[int, ...]
    yours: float
    measured: float
    error_bar: float

    def __str__(self) -> str:
        """Return the entry on one line."""
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return f"{self.leaf}{place}: yours {self.yours:.9g}, measured {self.measured:.9g} ± {self.error_bar:.1g}"


@dataclass(frozen=True, slots=True)
class Leaf:
    """What was measured of all entries of a small leaf that is wrong; the numbers in C order.

    >>> Leaf("W", (1, 2), (1.0, 2.0), (1.0, 4.0), (1e-9, 1e-9)).shape
    (1, 2)
    """

    name: str
    shape: tuple[int, ...]
    yours: tuple[float, ...]
    measured: tuple[float, ...]
    error_bar: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The verdict on a claimed derivative; ``bool(report)`` is "it is right".

    ``ok`` and ``undecided`` are never both true.  ``diagnosis`` is ``None`` when ok, else ``code`` or ``code:detail``;
    ``blame`` the positions of the wrong leaves among the differentiable ones; ``entries`` the worst entries, worst
    first; ``error`` and ``error_bar`` the largest residual and its bar, relative to the gradient along the direction
    measured; ``evaluations`` the calls of f; ``reproduce`` one line that runs the same check.  ``subject`` names what
    was checked, ``summary`` is the verdict's sentence, ``evidence`` the lines that support it, ``unchecked`` the names of
    the gradients that were not given.  For pictures: ``ladder`` has the step, the residual and the rounding error of each
    rung of the worst line, ``leaves`` all entries of small leaves that are wrong.

    >>> report = Report(True, subject="gradient of f", summary="agrees with differences", error=1e-12, error_bar=1e-11)
    >>> bool(report), report.diagnosis
    (True, None)
    >>> print(report)
    ok: gradient of f: agrees with differences (relative residual 1e-12 ± 1e-11, 0 evaluations, seed 0)
    """

    ok: bool
    undecided: bool = False
    diagnosis: str | None = None
    blame: tuple[int, ...] = ()
    entries: tuple[Entry, ...] = ()
    error: float = math.nan
    error_bar: float = math.nan
    evaluations: int = 0
    seed: int = 0
    reproduce: str = ""
    subject: str = ""
    summary: str = ""
    evidence: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    ladder: tuple[tuple[float, float, float], ...] = ()
    leaves: tuple[Leaf, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a report that says two things at once."""
        if self.ok and (self.undecided or self.diagnosis is not None):
            raise AssertionError("a report is right, or has a diagnosis: not both")

    def __bool__(self) -> bool:
        """Return whether the claim is right; undecided is not right."""
        return self.ok

    def __eq__(self, other: object) -> bool:
        """Return whether two reports say the same; what was not measured (NaN) is equal to what was not measured."""
        return isinstance(other, Report) and self._told() == other._told()

    def __hash__(self) -> int:
        """Return the hash of what the report says."""
        return hash(self._told())

    def _told(self) -> tuple[str, ...]:
        return tuple(repr(getattr(self, field.name)) for field in fields(self) if field.compare)

    def __repr__(self) -> str:
        """Return the verdict, short."""
        return f"<Report {self.verdict}{f': {self.diagnosis}' if self.diagnosis else ''}>"

    @property
    def verdict(self) -> str:
        """The verdict in a word: "ok", "undecided" or "wrong"."""
        return "ok" if self.ok else UNDECIDED if self.undecided else "wrong"

    def __str__(self) -> str:
        """Return at most 20 lines: verdict and cause, worst entries, evidence, how to reproduce."""
        numbers = [f"relative residual {self.error:.3g} ± {self.error_bar:.1g}"] if math.isfinite(self.error) else []
        numbers += [f"{self.evaluations} evaluations", f"seed {self.seed}"]
        shown = f" ({', '.join(numbers)})"
        lines = _headline(self.verdict, self.subject, self.summary, shown)
        if self.diagnosis:
            lines.append(f"  cause: {self.diagnosis}")
        lines += [f"  {'worst entry' if k == 0 else '       then'}: {entry}" for k, entry in enumerate(self.entries[:5])]
        if len(self.entries) > 5:
            lines.append(f"  and {len(self.entries) - 5} more entries (report.entries)")
        lines += [f"  {line}" for line in self.evidence[:8]]
        if self.unchecked:
            lines.append(f"  not checked: {', '.join(self.unchecked)} (no gradient given)")
        again = [f"  reproduce: {self.reproduce}"] if self.reproduce and not self.ok else []
        return "\n".join([*(cut(line) for line in lines[: LINES - len(again)]), *again])

    def plot(self) -> Any:
        """Return a matplotlib figure: the residual against the step with the error floor, and the map of a wrong matrix.

        Raises DerivkitError: DK043 without matplotlib, DK050 where nothing was measured.  ``figure.savefig("report.png")``
        writes it to a file; a notebook shows it.
        """
        from derivkit.checking.plot import figure

        return figure(self)

    def _repr_mimebundle_(self, include: Collection[str] | None = None, exclude: Collection[str] | None = None) -> dict[str, str]:
        from derivkit.checking.notebook import mime_bundle

        return mime_bundle(self, include, exclude)

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON data with ``"schema": "derivkit.report/1"``; numbers that are not finite become ``None``.

        >>> Report(True).to_json()["schema"]
        'derivkit.report/1'
        """
        return {
            "schema": "derivkit.report/1",
            "verdict": self.verdict,
            "ok": self.ok,
            "undecided": self.undecided,
            "diagnosis": self.diagnosis,
            "blame": list(self.blame),
            "entries": [
                {
                    "leaf": entry.leaf,
                    "index": list(entry.index),
                    "yours": _finite(entry.yours),
                    "measured": _finite(entry.measured),
                    "error_bar": _finite(entry.error_bar),
                }
                for entry in self.entries
            ],
            "error": _finite(self.error),
            "error_bar": _finite(self.error_bar),
            "evaluations": self.evaluations,
            "seed": self.seed,
            "reproduce": self.reproduce,
            "subject": self.subject,
            "summary": self.summary,
            "evidence": list(self.evidence),
            "ladder": [[_finite(number) for number in rung] for rung in self.ladder],
            "unchecked": list(self.unchecked),
        }


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _headline(verdict: str, subject: str, summary: str, numbers: str) -> list[str]:
    """Return the first line; the cause and the numbers stay whole, so that a long subject is cut, or the cause gets lines."""
    if not subject or not summary:
        return [cut(f"{verdict}: {subject or summary}", WIDTH - len(numbers)) + numbers]
    room = WIDTH - len(f"{verdict}: : {summary}{numbers}")
    if len(subject) <= room or room >= SUBJECT:
        return [f"{verdict}: {cut(subject, room)}: {summary}{numbers}"]
    if len(subject) <= SUBJECT:  # the cause belongs to the first sentence, the numbers can wait
        whole = textwrap.wrap(f"{verdict}: {subject}: {summary}", WIDTH, subsequent_indent="    ", max_lines=2, placeholder=" …")
        return [*whole, f" {numbers}"]
    head = f"{verdict}: {cut(subject, WIDTH - len(verdict) - 2 - len(numbers))}{numbers}"
    return [head, *textwrap.wrap(summary, WIDTH, initial_indent="  ", subsequent_indent="    ", max_lines=3, placeholder=" …")]


def cut(line: str, width: int = WIDTH) -> str:
    """Return a line that fits, without its middle where it is too long: both ends of a formula tell which it is."""
    if len(line) <= width:
        return line
    tail = (width - 3) // 3
    return f"{line[: width - 3 - tail]} … {line[-tail:]}"
