"""Mutation testing of the gradient checker: ``scripts/mutants [--per-file 30] [--seed 0] [--workers 2] [files]``.

Each mutant is one change by an operator of cosmic-ray, at a place chosen at random, evenly over the files; ``--per-file 0``
takes every mutant.  A mutant lives in the memory of a forked process that has imported everything but derivkit.checking:
nothing is written into the tree, and a kill costs well under a second more than the tests that it takes.  It is killed
when a row of the corpus or a test fails, or takes more than five times its normal time.  Survivors are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import math
import os
import pickle
import random
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "derivkit" / "checking"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import coverage  # noqa: E402
import hypothesis  # noqa: E402, F401 - what the tests need, imported once for all the forks
import numpy as np  # noqa: E402
import parso  # noqa: E402
import pytest  # noqa: E402
import sympy  # noqa: E402, F401
from cosmic_ray.ast import ast_nodes, get_ast  # noqa: E402
from cosmic_ray.mutating import mutate_code  # noqa: E402
from cosmic_ray.plugins import get_operator, operator_names  # noqa: E402

FILES = """check contract residual resolution directions kinks quick factors shapes line measured precision problem
diagnose places evidence spelled""".split()
#: After the corpus; tests that start another Python would not see the mutant.
TESTS = """tests/test_checking_suspects tests/test_checking_contract tests/test_checking_corners tests/test_checking_liars
tests/test_checking_wrong tests/test_checking_extremes tests/test_checking_large tests/test_checking_right
tests/test_check_gradient tests/test_checking_trees tests/test_checking_libraries tests/test_checking_units tests/test_report
derivkit/checking/check derivkit/checking/spelled derivkit/checking/places""".split()
OPTIONS = ["-xq", "-n0", "-knot loads_nothing and not does_not_load", "-pno:cacheprovider", "--hypothesis-seed=0"]
OPTIONS += ["-Wignore::pytest.PytestAssertRewriteWarning"]  # what is imported once for all is not rewritten
#: A bit operation in place of arithmetic, an ``is`` in place of ``<``: on floats these raise or say no, which flatters.
LEFT_OUT = re.compile(
    r"NoOp|BinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow|MatMul)_(LShift|RShift|Bit)"
    r"|ComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is|ComparisonOperator_Is(Not)?_(Eq|NotEq|Lt|LtE|Gt|GtE)"
)
#: Steps that take so many seconds, with coverage, are left out.
LONG = 0.3
#: A step may take this many times its own normal time, and this many seconds more.
SLOWER, GRACE = 5.0, 2.0


class Mutant(NamedTuple):
    """One change: the file, the operator of cosmic-ray, its occurrence there, and the place."""

    file: str
    operator: str
    occurrence: int
    place: tuple[int, int]

    @property
    def path(self) -> Path:
        """The file that is changed."""
        return ENGINE / f"{self.file}.py"

    def source(self) -> str:
        """Return the changed file."""
        return mutate_code(self.path.read_text(), get_operator(self.operator)(), self.occurrence)

    def __str__(self) -> str:
        """Say what is changed into what."""
        old, new = self.path.read_text().splitlines(), self.source().splitlines()
        differ = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), self.place[0] - 1)
        shown = f"{old[differ].strip()}\n      → {new[differ].strip() if differ < len(new) else '(gone)'}"
        return f"{self.file}.py:{differ + 1} {self.operator.removeprefix('core/')} {self.occurrence}\n        {shown}"


def mutants(file: str) -> Iterator[Mutant]:
    """Yield every mutant of a file, but for those of annotations, which nobody evaluates, and of ``strict=``, which holds."""
    tree = get_ast((ENGINE / f"{file}.py").read_text())
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or LEFT_OUT.search(name):
            continue
        places = ((node, at) for node in ast_nodes(tree) for at, _ in operator().mutation_positions(node))
        for occurrence, (node, at) in enumerate(places):
            if not _idle(node):
                yield Mutant(file, name, occurrence, at)


def _idle(node: parso.tree.NodeOrLeaf) -> bool:
    while node.parent is not None:
        child, node = node, node.parent
        if node.type == "argument" and node.children[0].get_code() == "strict":
            return True
        if node.type == "tfpdef" or (node.type == "annassign" and child is node.children[1]):
            return True
        if node.type == "funcdef" and child is node.annotation:
            return True
    return False


def sample(file: str, count: int, seed: int) -> tuple[list[Mutant], int]:
    """Return ``count`` mutants of a file (0: all), one of each place before another of any, and how many there are."""
    draw = random.Random(f"{seed} {file}")
    places: dict[tuple[int, int], list[Mutant]] = {}
    for mutant in mutants(file):
        places.setdefault(mutant.place, []).append(mutant)
    order = list(places.values())
    draw.shuffle(order)
    for each in order:
        draw.shuffle(each)
    rounds = [m for turn in zip_longest(*order) for m in turn if m is not None]
    return rounds[: count or None], len(rounds)


class Changed(SourceFileLoader):
    """Finds the mutated module, and no other, and loads it from memory."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(f"derivkit.checking.{mutant.file}", str(mutant.path))
        self.code = compile(mutant.source(), self.path, "exec", dont_inherit=True)

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str):
        return self.code


class Clock:
    """A stopwatch for the records, and a pytest plugin: ends the process when a step takes too long.

    ``normal`` holds the seconds of each step without a mutant, ``through`` the steps that reach the mutant, the others
    are left out; while there are none, times are taken, and ``lines`` says which step reaches which lines.
    """

    def __init__(self, normal: dict[str, float], through: set[str] | None = None) -> None:
        self.normal, self.through, self.taken, self.last = normal, through, {}, "collection"
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(ENGINE / f"{file}.py") for file in FILES]
        )

    def lines(self) -> dict[str, dict[int, set[str]]]:
        self.coverage.stop()
        data = self.coverage.get_data()
        return {Path(f).stem: {n: set(c) for n, c in data.contexts_by_lineno(f).items()} for f in data.measured_files()}

    def wanted(self, step: str) -> bool:
        reached = self.through is None or step in self.through or step not in self.normal
        return not self.normal or (reached and self.normal.get(step, 0.0) < LONG)

    def start(self, step: str) -> None:
        if not self.normal:
            self.coverage.switch_context(step)
        limit = SLOWER * self.normal.get(step, 0.0) + GRACE if self.normal else 0.0
        signal.setitimer(signal.ITIMER_PROF, limit)  # its signal ends the process
        self.taken[step], self.last = time.process_time(), step

    def stop(self, step: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.taken[step] = time.process_time() - self.taken[step]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.start(item.nodeid)
        result = yield
        self.stop(item.nodeid)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: self.normal.get(item.nodeid, 0.0))  # the quick ones first
        items[:] = [item for item in items if self.wanted(item.nodeid)]


def noticed(clock: Clock) -> str:
    """Run the corpus, then the tests, until something fails; return what did, or nothing."""
    warnings.simplefilter("ignore")
    import records  # imports what may be mutated

    known = {line.split(" | ")[0]: line.split(" | ")[1] for line in records.FILE.read_text().splitlines()}
    lines: list[str] = []
    stories: list[str] = []
    steps = [step for step in (*records.corpus(), *records.tables()) if clock.wanted(step[0])]
    for name, check in sorted(steps, key=lambda step: clock.normal.get(step[0], 0.0)):
        clock.start(name)
        with np.errstate(all="ignore"):
            lines.append(records.line(name, check()))
        clock.stop(name)
        stories += records.departures(lines[-1:])[0]
        if lines[-1].split(" | ")[1] != known[name] or len(stories) > records.OTHERWISE:
            return f"the record of {name}"
    if len(records.departures(lines)[1]) > records.BARS:
        return "the record of the error bars"
    options = [*OPTIONS, f"--rootdir={ROOT}", *(f"{ROOT}/{name}.py" for name in TESTS)]
    return "" if pytest.main(options, plugins=[clock]) in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else clock.last


def start(mutant: Mutant | None, clock: Clock, told: Path) -> int:
    """Fork a process that judges the mutant; what noticed it goes into the file ``told``."""
    if child := os.fork():
        return child
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    code = 1
    try:
        if mutant is not None:
            sys.meta_path.insert(0, Changed(mutant))
        else:
            clock.coverage.start()
        told.write_text(noticed(clock))
        code = 0
    except BaseException as error:
        told.write_text(f"{type(error).__name__}: {error}")
    finally:
        if mutant is None:
            (told.parent / "normal").write_bytes(pickle.dumps((clock.taken, clock.lines())))
        os._exit(code)


def reaching(mutant: Mutant, lines: dict[str, dict[int, set[str]]]) -> set[str] | None:
    """Return the steps that reach a mutant; ``None``, which is all, where it runs on import or is not told by its line."""
    known = lines.get(mutant.file, {})
    steps = next((known[n] for n in range(mutant.place[0], 0, -1) if n in known), {""})
    return None if "" in steps else steps


def run(chosen: list[Mutant], workers: int, kept: Path) -> list[tuple[Mutant, str]]:
    """Judge the mutants and return each with what noticed it; ``kept`` is where the normal times and lines of the steps are."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        if not kept.exists():
            os.waitpid(start(None, Clock({}), told), 0)
            if told.read_text():
                raise SystemExit(f"without a mutant, {told.read_text()} fails")
            kept.write_bytes((Path(folder) / "normal").read_bytes())
        normal, lines = pickle.loads(kept.read_bytes())
        results: list[tuple[Mutant, str]] = []
        running, began = {}, time.monotonic()
        waiting = [(m, Path(folder) / str(n)) for n, m in enumerate(chosen)]
        while waiting or running:
            while waiting and len(running) < workers:
                mutant, told = waiting.pop(0)
                running[start(mutant, Clock(normal, reaching(mutant, lines)), told)] = mutant, told
            try:
                child, _ = os.wait()
            except KeyboardInterrupt:  # a smaller sample, as even over the files; what runs is run to its end
                waiting = []
                continue
            mutant, told = running.pop(child)
            noticed_by = told.read_text() if told.exists() else "the clock"
            results.append((mutant, noticed_by))
            line = f"{len(results)}/{len(chosen)} {time.monotonic() - began:.0f} s {noticed_by or 'SURVIVED'}: {mutant}"
            print(line if not noticed_by else line.splitlines()[0][:150], flush=True)
    return results


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share."""
    z = 1.96
    middle, wide = hits + z * z / 2, z * math.sqrt(hits * (count - hits) / count + z * z / 4)
    return (middle - wide) / (count + z * z), (middle + wide) / (count + z * z)


def main() -> int:
    """Run the sample, print the score of each file and of all, and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=FILES, help="names of modules in derivkit/checking")
    parser.add_argument("--per-file", type=int, default=30, help="how many mutants of each file, 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    sources = b"".join(file.read_bytes() for folder in (ENGINE, ROOT / "tests") for file in sorted(folder.rglob("*.py")))
    kept = Path(sys.prefix) / f"mutants-{hashlib.sha256(sources).hexdigest()[:16]}"  # as long as nothing changes
    samples = {file: sample(file, options.per_file, options.seed) for file in options.files}
    chosen = [m for mixed in zip_longest(*(s for s, _ in samples.values())) for m in mixed if m is not None]
    results = run(chosen, options.workers, kept)
    print(f"{'file':12} {'mutants':>8} {'sampled':>8} {'killed':>7}")
    for file, (_, every) in samples.items():
        noticed_by = [by for m, by in results if m.file == file]
        killed = sum(map(bool, noticed_by))
        print(f"{file:12} {every:8} {len(noticed_by):8} {killed / max(len(noticed_by), 1):7.0%}")
    killed, every = sum(bool(by) for _, by in results), sum(n for _, n in samples.values())
    low, high = wilson(killed, len(results))
    print(f"{'all':12} {every:8} {len(results):8} {killed / len(results):7.1%}  (95 %: {low:.1%} to {high:.1%})")
    for mutant in sorted(m for m, by in results if not by):
        print(mutant)
    return int(killed < 0.9 * len(results))


if __name__ == "__main__":
    sys.exit(main())
