"""Documents: every relation read, judged by itself and against its neighbours, and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from derivkit.checking.verify.findings import Claim, Document, Verification
from derivkit.checking.verify.relations import Point, Sides, agree, points, sides, values
from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Expr
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import DEFINING, Context, read_context
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.reading import Reading
from derivkit.symbolic.notes.terms import Term

#: Signs between two sides that say something which may be right or wrong.
JUDGED = frozenset({"=", ":=", "=="})


@dataclass(slots=True)
class Judge:
    """One document while it is judged."""

    context: Context
    meaning: Meaning
    claims: list[Claim] = field(default_factory=list)

    def chain(self, order: int, chain: f.Chain, text: str = "") -> None:
        """Judge the links of one chain."""
        reading = Reading(self.meaning, order)
        before: Term | str = self.read(reading, chain.first)
        anchor = before  # the last term that is known to be right
        broken = False
        for number, (op, place, formula) in enumerate(chain.links):
            after = self.read(reading, formula)
            status, message = self.link(order, chain, number, op, before, after, anchor, formula)
            if status == "wrong" and broken and self.same(before, after, formula) is True:
                status = "follows"
            self.claims.append(Claim(place.line, place.column, text, status, message=message))
            broken = broken or status == "wrong"
            if status in ("right", "definition"):
                anchor = after if isinstance(after, Term) else anchor
                broken = False
            before = after

    def read(self, reading: Reading, formula: f.Formula | None) -> Term | str:
        """Return a term, or why it has no meaning."""
        if formula is None:
            return "there is no left side"
        try:
            return reading.term(formula)
        except DerivkitError as error:
            return error.message
        except RecursionError:
            return "it is too deep"

    def link(
        self, order: int, chain: f.Chain, number: int, op: str, before: Term | str, after: Term | str, anchor: Term | str,
        formula: f.Formula,
    ) -> tuple[str, str]:  # fmt: skip
        """Return the status of one relation, and a sentence."""
        if number == 0 and op in DEFINING and self.defines(order, chain):
            return "definition", ""
        if op not in JUDGED:
            return "undecided", f"'{op}' says nothing that can be judged"
        for side in (before, after):
            if isinstance(side, str):
                return "undecided", side
        verdict = self.same(before, after, formula)
        if verdict is not True and anchor is not before:
            verdict = self.same(anchor, after, formula) or verdict
        if verdict is None:
            return "undecided", "no point was found at which both sides have a value"
        return ("right", "") if verdict else ("wrong", "")

    def defines(self, order: int, chain: f.Chain) -> bool:
        """Say whether the first relation of a chain defines its left side."""
        return any(s.order == order for many in self.context.definitions.values() for s in many)

    def same(self, before: Term | str, after: Term | str, formula: f.Formula) -> bool | None:
        """Say whether two terms are equal; ``None`` where that cannot be told."""
        if isinstance(before, str) or isinstance(after, str):
            return None
        given = sides(before, after)
        seen = False
        for point in points(self.meaning, (before.expr, after.expr)):
            pair = values(given, point)
            if pair is None or not np.all(np.isfinite(pair[0])):
                continue
            seen = True
            if not agree(*pair, len(given.free)) and not _rounded(*pair, formula):
                return False
        return True if seen else None


def _rounded(left: np.ndarray, right: np.ndarray, formula: f.Formula) -> bool:
    """Say whether a number is the left side to as many digits as are written."""
    while isinstance(formula, f.Sign):
        formula = formula.operand
    if not isinstance(formula, f.Number) or left.shape != right.shape:
        return False
    digits = len(formula.text.partition(".")[2])
    return bool(np.all(np.abs(left - right) <= 0.5 * 10.0**-digits + 1e-12))


def judge(chains: Sequence[f.Chain], shapes: Mapping[str, tuple[str, int]] | None = None) -> tuple[Claim, ...]:
    """Return what is said of the chains of a document."""
    context = read_context(chains, shapes)
    made = Judge(context, Meaning(context))
    for order, chain in enumerate(chains):
        made.chain(order, chain)
    return tuple(made.claims)


_ = (Document, Verification, Fraction, Expr, Point, Sides)
