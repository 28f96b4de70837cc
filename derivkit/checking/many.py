"""A table of named checks, run one after the other or by somebody's executor: the same reports either way."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from derivkit.checking.check import check_gradient, check_jacobian, check_jvp, check_vjp
from derivkit.checking.report import Report
from derivkit.checking.sending import packed
from derivkit.errors import DerivkitError, did_you_mean, echo

#: A case may say in front which of the checks it wants.
KINDS: dict[str, Callable[..., Report]] = {
    "gradient": check_gradient,
    "vjp": check_vjp,
    "jvp": check_jvp,
    "jacobian": check_jacobian,
}
#: A task for a worker takes at least so long: sending it costs about a hundredth of that.
CHUNK_SECONDS = 0.05
#: The first cases go alone: the quickest of them tells how many of the others make a task.
PROBES = 3
#: Progress is shown when this much time has passed.
PATIENCE = 1.0
WIDTH = 60

Case = tuple[Any, ...]
Timed = tuple[Report, float]


class Reports(dict[str, Report]):
    """The reports of a table of checks, by name; ``str`` is the table, and it is true when every one is right.

    >>> table = Reports(square=Report(True, summary="agrees", error=1e-12, evaluations=15))
    >>> print(table)
    case    verdict  cause  relative error  evaluations
    square  ok              1e-12           15
    1 check: all right
    """

    @property
    def ok(self) -> bool:
        """Whether every claim is right."""
        return all(report.ok for report in self.values())

    def __bool__(self) -> bool:
        """Return ``ok``, as for a single report."""
        return self.ok

    def __str__(self) -> str:
        """Return a table with a line for each check, and a last line with the verdict."""
        rows = [("case", "verdict", "cause", "relative error", "evaluations")]
        for name, report in self.items():
            error = f"{report.error:.2g}" if math.isfinite(report.error) else ""
            cause = report.diagnosis if report.diagnosis not in (None, report.verdict) else ""
            rows.append((echo(name, WIDTH), report.verdict, cause or "", error, str(report.evaluations)))
        widths = [max(len(row[k]) for row in rows) for k in range(5)]
        lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        count = f"{len(self)} check{'' if len(self) == 1 else 's'}"
        wrong = [name for name, report in self.items() if not report.ok and not report.undecided]
        unclear = sum(report.undecided for report in self.values())
        verdicts = [f"{len(wrong)} wrong"] * bool(wrong) + [f"{unclear} undecided"] * bool(unclear)
        return "\n".join([*lines, f"{count}: {', '.join(verdicts) or 'all right'}"])


def check_many(
    cases: Mapping[str, Case] | Iterable[tuple[str, Case]],
    /,
    executor: Executor | None = None,
    *,
    seed: int = 0,
    rtol: float = 0.0,
) -> Reports:
    """Run a table of checks, name by name, and return their reports in the table's order: a dict that prints as a table.

    A case is ``(f, grad, *args)``, or ``(kind, f, claim, *args)`` with kind ``"gradient"``, ``"vjp"``, ``"jvp"`` or
    ``"jacobian"``.  ``executor`` is any ``concurrent.futures.Executor``; only its ``submit`` and the futures' ``result``
    are used, and the reports do not depend on it.  Functions that pickle cannot send go by cloudpickle, if it is there.
    On a terminal, a line on standard error shows the progress of a table that takes longer than a second.
    Raises DerivkitError (DK010) that names the case for a case that cannot be read or sent; what a check itself raises
    names its case, too.

    >>> reports = check_many({"right": (lambda x: x**2, lambda x: 2 * x, 3.0), "wrong": (lambda x: x**2, lambda x: x, 3.0)})
    >>> [(name, report.diagnosis) for name, report in reports.items()]
    [('right', None), ('wrong', 'scale:0.5')]
    """
    table = _table(cases)
    progress = _Progress(len(table))
    errstate = dict(np.geterr())  # a worker has its own
    calls: list[Callable[[], Timed]] = [partial(_run, name, case, seed, rtol, errstate) for name, case in table.items()]
    try:
        if executor is None:
            return Reports((name, progress.seen(call()[0])) for name, call in zip(table, calls, strict=True))
        if not isinstance(executor, ThreadPoolExecutor):
            calls = [packed(name, table[name], call) for name, call in zip(table, calls, strict=True)]
        return Reports(zip(table, _distributed(executor, list(table), calls, progress), strict=True))
    finally:
        progress.end()


def _table(cases: Mapping[str, Case] | Iterable[tuple[str, Case]]) -> dict[str, Case]:
    pairs = list(cases.items() if isinstance(cases, Mapping) else cases)
    table: dict[str, Case] = {}
    for name, case in pairs:
        if name in table:
            raise DerivkitError(f"two cases are called {name!r}", code="DK011")
        _kind_of(name, case)
        table[name] = case
    return table


def _kind_of(name: str, case: Case) -> tuple[str, Case]:
    if isinstance(case, (tuple, list)) and case:
        kind, rest = (case[0], case[1:]) if isinstance(case[0], str) else ("gradient", case)
        if kind in KINDS and len(rest) >= 2:
            return kind, tuple(rest)
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"one of {', '.join(KINDS)}"
            raise DerivkitError(f"case {name!r}: there is no check '{echo(kind)}'", code="DK010", hint=hint)
    raise DerivkitError(f"case {name!r}: expected (f, grad, *args) or (kind, f, claim, *args)", code="DK010")


def _distributed(executor: Executor, names: list[str], calls: list[Callable[[], Timed]], progress: _Progress) -> list[Report]:
    """Return the reports of all calls; some first alone, the others in tasks that are worth sending."""
    probes = [(k, k + 1) for k in range(min(PROBES, len(calls)))]
    found = [_results(names, span, executor.submit(_run_all, calls[slice(*span)]), progress) for span in probes]
    quickest = min((seconds for timed in found for _, seconds in timed), default=CHUNK_SECONDS)
    length = max(1, math.ceil(CHUNK_SECONDS / max(quickest, 1e-6)))
    spans = [(k, min(k + length, len(calls))) for k in range(len(probes), len(calls), length)]
    waiting = [(span, executor.submit(_run_all, calls[slice(*span)])) for span in spans]
    found += [_results(names, span, future, progress) for span, future in waiting]
    return [report for timed in found for report, _ in timed]


def _results(names: list[str], span: tuple[int, int], future: Any, progress: _Progress) -> list[Timed]:
    try:
        timed: list[Timed] = future.result()
    except DerivkitError:
        raise
    except Exception as error:  # the worker was killed, say: of a case's own error the note is there already
        among = names[slice(*span)]
        if not any("in the case" in note for note in getattr(error, "__notes__", ())):
            others = f" or one of {len(among) - 1} others" if len(among) > 1 else ""
            error.add_note(f"in the case {among[0]!r}{others}")
        raise
    for report, _ in timed:
        progress.seen(report)
    return timed


def _run_all(calls: list[Callable[[], Timed]]) -> list[Timed]:
    return [call() for call in calls]


def _run(name: str, case: Case, seed: int, rtol: float, errstate: dict[str, Any]) -> Timed:
    """Return the report of one case and how long it took."""
    kind, given = _kind_of(name, case)
    start = time.perf_counter()
    try:
        with np.errstate(**errstate):
            report = KINDS[kind](*given, seed=seed, rtol=rtol)
    except DerivkitError as error:
        told = DerivkitError(f"case {name!r}: {error}", code=error.code, hint=error.hint)
        told.add_note(f"in the case {name!r}")
        raise told from error
    except Exception as error:
        error.add_note(f"in the case {name!r}")
        raise
    return report, time.perf_counter() - start


class _Progress:
    """A line on a terminal that counts, once there has been time to get impatient."""

    def __init__(self, count: int) -> None:
        self.count, self.done, self.wrong, self.start, self.width = count, 0, 0, time.monotonic(), 0
        self.terminal = sys.stderr is not None and sys.stderr.isatty()

    def seen(self, report: Report) -> Report:
        self.done += 1
        self.wrong += not report.ok and not report.undecided
        if self.terminal and time.monotonic() - self.start > PATIENCE:
            line = f"checked {self.done} of {self.count}{f', {self.wrong} wrong' if self.wrong else ''}"
            self.width = max(self.width, len(line))
            print(f"\r{line:{self.width}}", end="", file=sys.stderr, flush=True)
        return report

    def end(self) -> None:
        if self.width:
            print(f"\r{'':{self.width}}\r", end="", file=sys.stderr, flush=True)
