"""Timing side by side: our run and its peers in turns, in one process, on one thread; a ratio is their time over ours."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

_ONE = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(_ONE, "1"))  # before NumPy loads
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

Run = Callable[[], object]

#: At least so much of a row's time is measured in a round, in seconds.
ROUND = 0.02


class Work(NamedTuple):
    """One row: ours, and the peers by name; ``same`` compares the values first; ``targets`` are the ratios to reach."""

    what: str
    ours: Run
    peers: dict[str, Run]
    same: Callable[[], None]
    targets: Mapping[str, float] = {}


def seconds(run: Run, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - started) / count


def ratios(work: Work, rounds: int = 11) -> tuple[float, dict[str, float]]:
    """Return our time in microseconds, and the median over the rounds of each peer's time over ours."""
    runs = {"ours": work.ours, **work.peers}
    counts = {}
    for name, run in runs.items():
        run()
        counts[name] = max(1, int(ROUND / max(seconds(run, 1), 1e-7)))
    spans: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            spans[name].append(seconds(run, counts[name]))
    over = {n: statistics.median(p / o for p, o in zip(spans[n], spans["ours"], strict=True)) for n in work.peers}
    return 1e6 * statistics.median(spans["ours"]), over


def report(works: Iterable[Work], *, table: bool = False) -> int:
    """Print a line for each row, as a table of Markdown when asked; return 1 when a target is missed."""
    missed = 0
    if table:
        print("| work | ours, us | their time over ours (target) |\n|---|---|---|")
    for work in works:
        work.same()
        ours, over = ratios(work)
        told = []
        for name, ratio in over.items():
            target = work.targets.get(name)
            short = target is not None and ratio < target
            missed += short
            told.append(f"{name} {ratio:.2f}" + ("" if target is None else f" ({target:g}{', missed' if short else ''})"))
        row = (
            f"| {work.what} | {ours:.1f} | {', '.join(told)} |"
            if table
            else f"{work.what:48} {ours:10.1f} us   {'  '.join(told)}"
        )
        print(row, flush=True)
    return min(missed, 1)
