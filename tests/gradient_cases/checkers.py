"""Other people's gradient checkers on the corpus: a row as they take it, what each says of it, and the sums of that.

What the corpus has and a checker has not is done for it: trees are taken apart, float32 goes in as float64, Jacobians and
pushforwards are turned into pullbacks, and f is called before the gradient, uncounted, as layers want it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from derivkit.checking.report import Report
from gradient_cases.proof import SHOWN, at, paths, with_leaf
from gradient_cases.rows import Row, rows
from gradient_cases.scores import KINDS, Result

#: A row that takes more seconds with a checker is one that it cannot run.
PATIENCE = 20.0


class Problem:
    """A row as arrays ``leaves``, a function ``f`` of them that counts its ``calls``, and the pullback ``pull`` that is claimed.

    For checkers of functions of one vector there are ``x``, ``value`` and ``gradient``, contracted with a random cotangent.
    """

    def __init__(self, row: Row) -> None:
        self.row, self.calls, self.late = row, 0, False
        self.places = list(paths(row.args))
        self.leaves = [np.array(at(row.args, place), dtype=float) for place in self.places]
        self.size = sum(leaf.size for leaf in self.leaves)
        started = time.process_time()
        shape = np.shape(row.f(*self._arguments(self._copies(self.leaves))))
        self.seconds = time.process_time() - started
        self.cotangent = np.random.default_rng(1).normal(size=shape) if shape else np.ones(())
        self.ends = time.process_time() + PATIENCE
        self._plain = len(self.leaves) == 1 and self.leaves[0].ndim == 1

    def counted(self, *args: Any) -> Any:
        if time.process_time() > self.ends:
            self.late = True
            raise TimeoutError
        self.calls += 1
        return self.row.f(*args)

    def f(self, *leaves: np.ndarray) -> np.ndarray:
        return np.asarray(self.counted(*self._arguments(leaves)), dtype=float)

    def pull(self, y_bar: np.ndarray, *leaves: np.ndarray) -> list[np.ndarray]:
        row, args = self.row, self._arguments(leaves)
        row.f(*self._arguments(self._copies(leaves)))
        if row.kind == "vjp":
            made = row.grad(y_bar, *args)
        elif row.kind == "jacobian":
            made = np.tensordot(y_bar, row.grad(*args), y_bar.ndim)
        elif row.kind == "jvp":
            units = np.eye(self.size).reshape(-1, *leaves[0].shape)
            made = np.array([np.sum(y_bar * row.grad(unit, *args)) for unit in units]).reshape(leaves[0].shape)
        else:
            made = row.grad(*args)
        entries = made if len(args) > 1 or (isinstance(made, tuple) and not isinstance(args[0], tuple)) else (made,)
        if len(entries) != len(args):
            raise ValueError(f"{len(entries)} gradients of {len(args)} arguments")
        scaled = row.kind == "gradient" and y_bar != 1
        return [np.asarray(y_bar * g if scaled else g) for g in (at(entries, place) for place in self.places)]

    @property
    def x(self) -> np.ndarray:
        return self._joined(self._copies(self.leaves))

    def value(self, x: np.ndarray) -> float:
        return float(np.sum(self.cotangent * self.f(*self._split(x))))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self._joined(self.pull(self.cotangent, *self._split(x)))

    def _split(self, x):
        if self._plain:
            return [x]
        ends = np.cumsum([leaf.size for leaf in self.leaves])[:-1]
        return [part.reshape(leaf.shape) for part, leaf in zip(np.split(x, ends), self.leaves, strict=True)]

    def _joined(self, leaves):
        return leaves[0] if self._plain else np.concatenate([np.ravel(leaf) for leaf in leaves])

    def _arguments(self, leaves):
        args = self.row.args
        for place, leaf in zip(self.places, leaves, strict=True):
            args = with_leaf(args, place, leaf if isinstance(at(self.row.args, place), np.ndarray) else leaf[()])
        return args

    def _copies(self, leaves):
        return [np.array(leaf) for leaf in leaves]


class Checker(NamedTuple):
    """``judge`` returns a truth value or a report; ``each`` are the least evaluations that it needs for an entry of x."""

    name: str
    judge: Callable[[Problem], Any]
    each: int = 0


def ours(p: Problem) -> Report:
    return KINDS[p.row.kind](p.counted, p.row.grad, *p.row.args)


def central(p: Problem, most: float) -> bool:
    """Central differences with h = 1e-5; the largest relative error of an entry must stay below ``most`` (cs231n.github.io)."""
    slopes = np.array([(p.value(p.x + step) - p.value(p.x - step)) / 2e-5 for step in 1e-5 * np.eye(p.size)])
    claim = p.gradient(p.x)
    top = np.maximum(np.abs(claim), np.abs(slopes))
    return bool(np.max(np.abs(claim - slopes) / np.where(top == 0, 1, top)) < most)


#: Those that need nothing but NumPy.
HERE = (
    Checker("derivkit", ours),
    Checker("central differences, 1e-7", lambda p: central(p, 1e-7), 2),
    Checker("central differences, 1e-4", lambda p: central(p, 1e-4), 2),
)


@dataclass(frozen=True)
class Outcome:
    """What a checker said of a row: right, wrong, or nothing (None)."""

    row: Row
    said: bool | None
    named: bool
    calls: int
    seconds: float
    why: str = ""


def outcome(checker: Checker, row: Row) -> Outcome:
    """Ask a checker.  An exception counts in its favour: as a rejection where the gradient is wrong, else as no verdict."""
    p = Problem(row)
    if checker.each and checker.each * p.size * p.seconds > PATIENCE:
        return Outcome(row, None, False, 0, 0.0, "too long")
    started, why, named = time.process_time(), "", False
    try:
        made = checker.judge(p)
        said = bool(made)
        if isinstance(made, Report):
            said, named = None if made.undecided else made.ok, Result(row, made, 0.0).named
    except Exception as error:
        said = None if row.right or p.late else False
        why = f"{type(error).__name__}: {error}".splitlines()[-1]  # JAX puts the trace first
    return Outcome(row, said, named, p.calls, time.process_time() - started, why)


def outcomes(checker: Checker, seed: int, only: set[str] | None = None) -> list[Outcome]:
    """Ask a checker of the corpus (or only of the rows of these names); rows keep state, so each checker gets its own."""
    np.random.seed(seed)  # of those that draw from it
    with np.errstate(all="ignore"):
        return [outcome(checker, row) for row in rows(seed) if only is None or row.name in only]


@dataclass(frozen=True)
class Tally:
    """The sums over the corpus.

    ``values`` and ``forms`` are the wrong ones accepted, by what is wrong with them; ``share`` are the verdicts that are right;
    ``right`` and ``wrong`` the median evaluations for such rows.
    """

    alarms: int
    values: int
    forms: int
    silent: int
    share: float
    right: float
    wrong: float
    most: int
    named: float
    seconds: float


def formal(row: Row) -> bool:
    """Whether the fault is one of form or behaviour: the values, as they come, may be right."""
    return row.expected.partition("|")[0].partition(":")[0] in SHOWN


def tally(made: list[Outcome]) -> Tally:
    """Return the sums; shares are of the rows that have a verdict."""
    told = [o for o in made if o.said is not None]
    right, wrong = ([o for o in told if o.row.right is kind] for kind in (True, False))
    missed = [o for o in wrong if o.said]
    return Tally(
        alarms=sum(not o.said for o in right),
        values=sum(not formal(o.row) for o in missed),
        forms=sum(formal(o.row) for o in missed),
        silent=len(made) - len(told),
        share=sum(o.said == o.row.right for o in told) / max(len(told), 1),
        right=statistics.median([o.calls for o in right] or [0]),
        wrong=statistics.median([o.calls for o in wrong] or [0]),
        most=max((o.calls for o in told), default=0),
        named=sum(o.named for o in wrong) / max(len(wrong), 1),
        seconds=sum(o.seconds for o in told),
    )
