"""A table of named checks, run one after the other or by somebody's executor: the same reports either way."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from derivkit.checking.check import check_gradient, check_jacobian, check_jvp, check_vjp
from derivkit.checking.report import Report
from derivkit.errors import DerivkitError

#: A case may say in front which of the checks it wants.
KINDS: dict[str, Callable[..., Report]] = {
    "gradient": check_gradient,
    "vjp": check_vjp,
    "jvp": check_jvp,
    "jacobian": check_jacobian,
}
#: A task for a worker takes at least so long: sending it costs about a hundredth of that.
CHUNK_SECONDS = 0.05

Case = tuple[Any, ...]


def check_many(
    cases: Mapping[str, Case], /, executor: Executor | None = None, *, seed: int = 0, rtol: float = 0.0
) -> dict[str, Report]:
    """Run a table of checks, name by name, and return their reports in the table's order.

    A case is ``(f, grad, *args)``, or ``(kind, f, claim, *args)`` with kind ``"gradient"``, ``"vjp"``, ``"jvp"`` or
    ``"jacobian"``.  ``executor`` is any ``concurrent.futures.Executor``; only its ``submit`` and the futures' ``result``
    are used, and the reports do not depend on it.  Functions that pickle cannot send go by cloudpickle, if it is there.
    Raises DerivkitError (DK010) that names the case for a case that cannot be read or sent; what a check itself raises
    carries its case's name as a note.

    >>> reports = check_many({"right": (lambda x: x**2, lambda x: 2 * x, 3.0), "wrong": (lambda x: x**2, lambda x: x, 3.0)})
    >>> [(name, report.diagnosis) for name, report in reports.items()]
    [('right', None), ('wrong', 'scale:0.5')]
    """
    for name, case in cases.items():
        _kind_of(name, case)
    table = list(cases.items())
    if executor is None:
        return {name: _run(name, case, seed, rtol) for name, case in table}
    send = _plain if isinstance(executor, ThreadPoolExecutor) else _packed
    calls = [send(name, case, seed, rtol) for name, case in table]
    # the first case tells how many of them are worth a task
    start = time.perf_counter()
    first = [executor.submit(call).result() for call in calls[:1]]
    length = max(1, math.ceil(CHUNK_SECONDS / max(time.perf_counter() - start, 1e-6)))
    futures = [executor.submit(_run_chunk, calls[k : k + length]) for k in range(1, len(calls), length)]
    reports = first + [report for future in futures for report in future.result()]
    return dict(zip(cases, reports, strict=True))


def _kind_of(name: str, case: Case) -> tuple[str, Case]:
    kind, rest = (case[0], case[1:]) if len(case) and isinstance(case[0], str) else ("gradient", case)
    if kind not in KINDS or len(rest) < 2:
        raise DerivkitError(f"case {name!r}: expected (f, grad, *args) or (kind, f, claim, *args)", code="DK010")
    return kind, tuple(rest)


def _run(name: str, case: Case, seed: int, rtol: float) -> Report:
    kind, given = _kind_of(name, case)
    try:
        return KINDS[kind](*given, seed=seed, rtol=rtol)
    except Exception as error:
        error.add_note(f"in the case {name!r}")
        raise


def _run_chunk(calls: list[Callable[[], Report]]) -> list[Report]:
    return [call() for call in calls]


def _plain(name: str, case: Case, seed: int, rtol: float) -> Callable[[], Report]:
    return partial(_run, name, case, seed, rtol)


def _packed(name: str, case: Case, seed: int, rtol: float) -> Callable[[], Report]:
    """Return a call that can be sent to another process."""
    try:
        pickle.dumps(case)
        return partial(_run, name, case, seed, rtol)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        try:
            import cloudpickle
        except ImportError:
            raise DerivkitError(
                f"case {name!r} cannot be sent to another process: {error}",
                code="DK010",
                hint="define its functions at the top of a module, or install cloudpickle",
            ) from error
        return partial(_unpacked, name, cloudpickle.dumps(case), seed, rtol)


def _unpacked(name: str, packed: bytes, seed: int, rtol: float) -> Report:
    return _run(name, pickle.loads(packed), seed, rtol)  # noqa: S301 - our own bytes, made by _packed
