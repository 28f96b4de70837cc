"""What a line that is not right lacks, or what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.verify.findings import Claim
from derivkit.checking.verify.mistakes import MISSING, MOST, ROWS, Around, Row, changes
from derivkit.checking.verify.relations import Sides, agree, points, sides, values
from derivkit.symbolic.expr import Add, Delta, Expr, Fn, Mul, Name, Num, Pow, Ref, Sum
from derivkit.symbolic.index import Affine
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import Context
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.reading import Reading
from derivkit.symbolic.notes.terms import Term
from derivkit.symbolic.notes.written import latex

#: Kinds that a document may have forgotten to state, with what it would have to say.
KINDS = {
    "simplex": "the entries of {0} sum to 1",
    "onehot": "{0} is one-hot",
    "symmetric": "{0} is symmetric",
    "positive": "{0} > 0",
}
SECONDS = 10.0
NUMBERS = 24  # of a counterexample
CUTS = 200  # of the left side that are tried
ATOMS = 16  # tried as what is missing
#: Letters of data and weights, of which nobody forgets to say that they are one-hot or symmetric.
DATA = frozenset("x X w W phi Phi theta z h".split())
DOUBT = "the sides differ, but derivkit is not sure that it reads them as they are meant"


Found = tuple[str, f.Formula | None, str]  # the cause, the corrected right side, and what was done to it


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a relation: its formula, and what it means or why that is not clear."""

    formula: f.Formula | None
    term: Term | None
    why: str = ""


class Judged(Protocol):
    """What is asked of the judge of a document."""

    context: Context
    meaning: Meaning

    def side(self, reading: Reading, formula: f.Formula | None) -> Side:
        """Read one side."""

    def same(
        self, before: Side, after: Side, where: Expr | None = None, kinds: Mapping[Name, str] | None = None
    ) -> bool | None:  # fmt: skip
        """Say whether two terms are equal."""

    def inputs_of(self, *given: Side) -> list[Name]:
        """Return the inputs that some terms are made of."""

    def is_forced(self, order: int, word: str) -> bool:
        """Say whether a matrix is square only because one line asks for it."""

    def struck(self, side: Side) -> tuple[str, ...]:
        """Return what was taken for a number where its author struck it out."""


def refuted(judge: Judged, claim: Claim, reading: Reading, before: Side, after: Side, where: Expr | None, proved: bool) -> Claim:
    """Return what an unequal pair lacks, or what is wrong with it."""
    found = None
    if (lack := needs(judge, before, after, where)) is None:
        found = corrected(judge, reading, before, after, where)
        lack = needs_class(judge, before, after, where) if found is None else None
        found = lost(judge, reading, before, after, where) if found is None and lack is None else found
    if lack is not None and lack.endswith("symmetric"):
        found = corrected(judge, reading, before, after, where)
        forced = judge.is_forced(reading.order, lack.partition(" ")[0])
        lack = None if is_swapped(judge, found) or (forced and found is not None) else lack
    if lack is not None:
        lacks = judge.struck(after) or (lack,)
        return replace(claim, status="right_if", needs=lacks, message="right if " + " and ".join(lacks))
    if alone := strangers(judge, reading, before, after):
        told = f"the sides differ, but the document does not say what {', '.join(map(str, alone))} has to do with the left side"
        return replace(claim, message=told)
    example = counterexample(judge, before, after, where)
    if found is not None:
        cause, formula, told = found
        better = None if formula is None else latex(formula)
        return replace(claim, status="wrong", cause=cause, correction=better, counterexample=example, message=told)
    if not proved and judge.inputs_of(before, after):  # of numbers alone there is one reading
        return replace(claim, message=DOUBT)
    return replace(claim, status="wrong", cause="other", counterexample=example, message="the sides differ")


def apart(reading: Reading) -> Reading:
    """Return a reading that knows the letters of a chain, and adds none to them."""
    return Reading(reading.meaning, reading.order, dict(reading.scope))


def is_swapped(judge: Judged, found: Found | None) -> bool:
    """Say whether a line has two subscripts in an order in which they stand nowhere else in the document."""
    if found is None or found[0] != "index-swapped" or judge.context.matrices:
        return False
    known = {a for many in judge.context.atoms.values() for a in many}
    return all(n in known for n in f.walk((found[1],)) if isinstance(n, f.Indexed) and len(n.subscripts) == 2)


def strangers(judge: Judged, reading: Reading, before: Side, after: Side) -> list[Name]:
    """Return the names on the right of which the left says nothing: their author knows more than the document says."""
    parts = [p for n in f.walk((before.formula,)) if isinstance(n, f.Derivative) for p in (n.of, *n.by)]
    known = set(judge.inputs_of(before, *(judge.side(apart(reading), part) for part in parts)))
    return [n for n in judge.inputs_of(after) if n not in known]


def needs(judge: Judged, before: Side, after: Side, where: Expr | None) -> str | None:
    """Return what a document would have to say for its line to be right."""
    moved = [judge.context.name_of(by) for s in (before, after) for by in moved_by(s.formula)]
    held = {named[0] for named in moved if named is not None}
    names = [n for n in judge.inputs_of(before, after) if str(n) not in held]
    for kind, told in KINDS.items():
        for name in names:
            rank = len(judge.meaning.inputs[name][1])
            if judge.meaning.inputs[name][0] != "real" or ((kind == "symmetric") != (rank == 2) and kind != "positive"):
                continue
            if kind != "positive" and (rank == 0 or str(name) in DATA):
                continue
            if judge.same(before, after, where, {name: kind}):
                return told.format(name)
    return None


def needs_class(judge: Judged, before: Side, after: Side, where: Expr | None) -> str | None:
    """Return the one-hot name of which an index must be the true class."""
    if where is not None or before.term is None or after.term is None:
        return None
    free = sides(before.term, after.term).free
    for name in judge.inputs_of(before, after):
        kind, shape = judge.meaning.inputs[name]
        if len(shape) != 1 or kind not in ("onehot", "simplex") or str(name) in DATA:
            continue
        for index in (i for i in free if i.size == shape[0]):
            here = Fn("equal", (Ref(name, (Affine.of(index),)), Num(1)))
            if judge.same(before, after, here, {name: "onehot"}):
                return f"{index.hint} is the true class, {name}_{index.hint} = 1"
    return None


def corrected(
    judge: Judged, reading: Reading, before: Side, after: Side, where: Expr | None, rows: tuple[Row, ...] = ROWS
) -> Found | None:
    """Return the single change that mends a line."""
    started = time.monotonic()
    around = Around(tuple(reading.scope), (), judge.context.matrices, *atoms(judge, reading.order))
    assert after.formula is not None  # noqa: S101 - there is a term
    for change in islice(changes(after.formula, around, rows), MOST):
        if time.monotonic() - started > SECONDS:
            return None
        made = judge.side(apart(reading), change.formula)
        if made.term is not None and judge.same(before, made, where):
            return change.cause, change.formula, change.told
    return None


def lost(judge: Judged, reading: Reading, before: Side, after: Side, where: Expr | None) -> Found | None:
    """Return what a line lacks: all but its diagonal, a name of the document, a part of its left side, a factor."""
    if before.term is not None and after.term is not None and is_diagonal(judge, before, after):
        return "diagonal", None, "only the diagonal is right"
    if (found := corrected(judge, reading, before, after, where, MISSING)) is not None:
        return found
    if (gone := cut(judge, before, after, where)) is not None:
        return gone
    if (told := ratio(judge, before, after, where)) is not None:
        return "factor", None, told
    return None


def atoms(judge: Judged, order: int) -> tuple[tuple[f.Formula, ...], tuple[f.Formula, ...]]:
    """Return the names and the factors of a document that may be missing in a line, those of its own chain first."""
    every = judge.context.atoms
    found = dict.fromkeys((*every.get(order, ()), *(a for many in every.values() for a in many)))
    names = [a for a in found if isinstance(a, f.Symbol | f.Indexed | f.Application)]
    return tuple(names[:ATOMS]), tuple(a for a in found if a not in names)[:ATOMS]


def cut(judge: Judged, before: Side, after: Side, where: Expr | None) -> tuple[str, None, str] | None:
    """Return what a line has lost of the left side: a term, a factor or a power, wherever it stood in it."""
    assert before.term is not None  # noqa: S101 - asked for by who calls
    for cause, expr, told in islice(losses(before.term.expr), CUTS):
        if judge.same(Side(None, replace(before.term, expr=expr)), after, where):
            return cause, None, told
    return None


def losses(expr: Expr) -> Iterator[tuple[str, Expr, str]]:
    """Yield an expression without one of its terms, factors or powers."""
    match expr:
        case Add() | Mul():
            cause, told = ("other", "a term is missing") if isinstance(expr, Add) else ("factor", "a factor is missing")
            for n, part in enumerate(expr.args):
                rest = (*expr.args[:n], *expr.args[n + 1 :])
                yield cause, type(expr)(rest) if len(rest) > 1 else rest[0] if rest else Num(int(isinstance(expr, Mul))), told
                for why, made, words in losses(part):
                    yield why, type(expr)((*expr.args[:n], made, *expr.args[n + 1 :])), words
        case Pow():
            if isinstance(expr.exponent, Num) and expr.exponent.value not in (1, -1):
                yield "power", expr.base, "a power is missing"
            for why, made, words in losses(expr.base):
                yield why, Pow(made, expr.exponent), words
        case Sum():
            for why, made, words in losses(expr.body):
                yield why, Sum(expr.indices, made), words


def ratio(judge: Judged, before: Side, after: Side, where: Expr | None) -> str | None:
    """Say by which factor a line is off, where that is one number at every point, or one for each set of sizes."""
    if before.term is None or after.term is None:
        return None
    given = sides(before.term, after.term, where)
    found: dict[tuple[int, ...], list[float]] = {}
    for point in points(judge.meaning, (before.term, after.term)):
        pair = values(given, point)
        if pair is None or pair[0].shape != pair[1].shape or not pair[0].size or not np.all(np.isfinite(pair)):
            return None
        left, right = pair
        norm = float(np.sum(right * right))
        factor = float(np.sum(left * right)) / norm if norm else 0.0
        if not factor or not np.allclose(left, factor * right, rtol=1e-7, atol=1e-9):
            return None
        found.setdefault(tuple(point.sizes.values()), []).append(factor)
    every = [v for many in found.values() for v in many]
    if not every or any(max(many) - min(many) > 1e-7 * abs(many[0]) for many in found.values()):
        return None
    same = max(every) - min(every) <= 1e-7 * abs(every[0])
    return f"it is off by the factor {every[0]:.6g}" if same else "it is off by a factor that depends on sizes alone"


def is_diagonal(judge: Judged, before: Side, after: Side) -> bool:
    """Say whether a line is right where two of its indices are equal, and nowhere else."""
    assert before.term is not None  # noqa: S101
    assert after.term is not None  # noqa: S101
    free = sides(before.term, after.term).free
    pairs = [(a, b) for n, a in enumerate(free) for b in free[n + 1 :] if a.size == b.size]
    return any(judge.same(before, after, Delta(Affine.of(a), Affine.of(b))) for a, b in pairs)


def counterexample(judge: Judged, before: Side, after: Side, where: Expr | None) -> dict[str, Any] | None:
    """Return the point with the fewest numbers at which the sides differ."""
    assert before.term is not None  # noqa: S101
    assert after.term is not None  # noqa: S101
    given = sides(before.term, after.term, where)
    for point in points(judge.meaning, (before.term, after.term), smallest=True):
        pair = values(given, point)
        if pair is None or agree(*pair, given.lettered, point.floor):
            continue
        inputs = {str(n): point.values[n] for n in judge.inputs_of(before, after)}
        shown = {n: _shown(a) for n, a in inputs.items()} if sum(a.size for a in inputs.values()) <= NUMBERS else {}
        left, right, at = _worst(given, *pair)
        return {"sizes": dict(point.sizes), "values": shown, "at": at, "left": left, "right": right}
    return None


def moved_by(formula: f.Formula | None) -> tuple[f.Formula, ...]:
    """Return by what a formula differentiates."""
    return tuple(by for n in f.walk((formula,)) if isinstance(n, f.Derivative) for by in n.by)


def _shown(array: NDArray[Any]) -> Any:
    return np.round(np.asarray(array, dtype=float), 4).tolist()


def _worst(given: Sides, left: NDArray[Any], right: NDArray[Any]) -> tuple[float, float, dict[str, int]]:
    if left.shape != right.shape or not left.size:
        return float("nan"), float("nan"), {}
    at = np.unravel_index(int(np.argmax(np.nan_to_num(np.abs(left - right), nan=np.inf))), left.shape)
    letters = {i.hint: int(n) + 1 for i, n in zip(given.free, at, strict=False)} if given.where is None else {}
    return float(left[at]), float(right[at]), letters
