"""What becomes of one problem of ``problems``: derived, checked three ways, measured against the textbook's form."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

import numpy as np
from problems import Problem

import derivkit as dk
from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.expr import user
from derivkit.symbolic.parse import read_program

BOOK, BOOKS = "textbook_form", "the textbook's form"
ENTRY = re.compile(r"^\w+(\[[^\]=]*\])\s*=\s*(.*)$")


class Outcome(NamedTuple):
    """A result beside the textbook's: ``matrix`` is empty where there is none; ``wrong`` says what disagrees, or nothing."""

    problem: Problem
    matrix: str
    index: str
    wrong: str
    seconds: float

    @property
    def book(self) -> str:
        """The textbook's form without the name in front."""
        entry = ENTRY.match(self.problem.textbook)
        return entry[2] if entry else self.problem.textbook

    @property
    def length(self) -> int:
        """The length of the shorter notation, blanks ignored."""
        return min(length(form) for form in (self.matrix, self.index) if form)

    @property
    def is_short(self) -> bool:
        """Whether it is no longer than the textbook's."""
        return self.length <= length(self.book)


def length(form: str) -> int:
    """Return the number of characters that are no blanks."""
    return len("".join(form.split()))


def outcome(problem: Problem, sizes: int = 3) -> Outcome:
    """Derive a problem (which checks itself against complex steps) and compare both printed forms with the textbook's."""
    started = time.process_time()
    try:
        d = dk.derive(problem.program, problem.by, kind=problem.kind or None)
    except dk.DerivkitError as error:
        return Outcome(problem, "", "none", f"not derived: {error}", 0.0)
    try:
        matrix = d.result.program("matrix")
    except dk.DerivkitError:
        matrix = ""
    index = d.result.program("index")
    seconds = time.process_time() - started
    return Outcome(problem, matrix, index, _disagreement(d, problem, sizes), seconds)


def _disagreement(d: dk.Derivation, problem: Problem, count: int) -> str:
    """Return which of the textbook's form and the printed programs differ from the derivative, and where."""
    entry = ENTRY.match(problem.textbook)
    line = f"{BOOK}{entry[1]} = {entry[2]}" if entry else f"{BOOK} = {problem.textbook}"
    declared = [f"{n}: {', '.join(map(str, i.shape))}" for n, i in d.graph.extra.items()]
    texts = {notation: d.program(notation=notation) for notation in ("index", "matrix")}
    inputs = "\n".join(dict.fromkeys([*declared, texts["matrix"]]))
    try:
        programs = {BOOKS: read_program(f"{inputs}\n{line}"), **{n: read_program(t) for n, t in texts.items()}}
    except dk.DerivkitError as error:
        return f"not read: {error}"
    rng, done = np.random.default_rng(7), 0
    for sizes in size_sets(d.graph)[:count]:
        for values in points(d.graph, sizes, rng, 1):
            done += 1
            wanted = d.result.evaluate(values, sizes=sizes)
            for what, graph in programs.items():
                try:
                    env = evaluate_graph(graph, {str(n): values[str(n)] for n in graph.inputs}, sizes)
                except dk.DerivkitError as error:
                    if error.code == "DK020" and done > 1:
                        continue  # a slice is empty at sizes of 1
                    return f"{what} has no value at {sizes}: {error}"
                made = env[user(BOOK) if what == BOOKS else graph.output]
                if made.shape != wanted.shape or not _close(made, wanted):
                    return f"{what} differs at {sizes}: {made} is not {wanted}"
    return "" if done else "no point was found"


def _close(made: np.ndarray, wanted: np.ndarray) -> bool:
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    finite = np.isfinite(wanted) & np.isfinite(made)
    return bool(np.all(np.abs(np.where(finite, made - wanted, 0.0)) <= 1e-8 * scale))
