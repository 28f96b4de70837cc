"""Chains of relations: every link judged by itself and against what is known to be right, and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.verify.findings import Claim
from derivkit.checking.verify.refute import DOUBT, Side, refuted
from derivkit.checking.verify.relations import agree, is_unsteady, points, sides, values
from derivkit.errors import DerivkitError
from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import Expr, Name
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import DEFINING, Context
from derivkit.symbolic.notes.fitted import read_fitted
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.reading import Reading
from derivkit.symbolic.notes.spaces import Told
from derivkit.symbolic.notes.told import kind_of
from derivkit.symbolic.notes.written import latex

#: Signs between two sides that say something which may be right or wrong.
JUDGED = frozenset({"=", ":=", "=="})
#: Signs that say something of a name, or of what comes next, and nothing that is right or wrong.
SAID = frozenset({"in", "!=", "<", ">", "<=", ">=", "<-", "->", "=>", "sub", "sim", "approx", "propto", "&"})


@dataclass(slots=True)
class Judge:
    """One document while it is judged."""

    context: Context
    meaning: Meaning
    chains: tuple[f.Chain, ...] = ()
    claims: list[Claim] = field(default_factory=list)
    proved: list[frozenset[Name]] = field(default_factory=list)
    doubts: dict[int, frozenset[Name]] = field(default_factory=dict)

    # -- a chain ---------------------------------------------------------------------------------------------------------

    def chain(self, order: int, chain: f.Chain) -> None:
        """Judge the links of one chain."""
        reading = Reading(self.meaning, order)
        where = self.where(reading, chain)
        if not chain.links:
            self.number(reading, chain)
            return
        parts = (chain.first, *(part for _, _, part in chain.links))
        judged = [n for n, (op, _, _) in enumerate(chain.links) if not self.says_something(op, *parts[n : n + 2])]
        sides_of = {n: self.side(reading, parts[n]) for n in sorted({0, *judged, *(n + 1 for n in judged)} if judged else ())}
        anchor, broken, proved = sides_of.get(0, Side(None, None)), False, False
        for n in judged:
            (op, place, _), before, after = chain.links[n], sides_of[n], sides_of[n + 1]
            claim = Claim(place.line, place.column, "", "undecided", read=self.relation(op, before, after))
            if n == 0 and op in DEFINING and self.defines(order):
                claim, anchor = replace(claim, status="definition"), (after if after.term is not None else before)
            elif op not in JUDGED:
                claim = replace(claim, message=f"'{op}' says nothing that is right or wrong")
            else:
                claim = self.link(claim, reading, before, after, anchor, where, broken, proved)
            if claim.status in ("right", "right_if"):
                anchor, broken, proved = after, False, True
            broken = broken or claim.status == "wrong"
            if claim.status == "right":
                self.proved.append(frozenset(self.inputs_of(before, after)))
            elif claim.message is DOUBT:
                self.doubts[len(self.claims)] = frozenset(self.inputs_of(before, after))
            self.claims.append(claim)

    def settle(self) -> None:
        """Call a line wrong of which every name stands in a line that is right: so they are read as they are meant."""
        known = frozenset[Name]().union(*self.proved) if len(self.proved) > 1 else frozenset()
        for n, names in self.doubts.items():
            if names <= known:
                self.claims[n] = replace(self.claims[n], status="wrong", cause="other", message="the sides differ")

    def number(self, reading: Reading, chain: f.Chain) -> None:
        """Tell the value of arithmetic that stands by itself, which claims nothing."""
        side = self.side(reading, chain.first)
        if side.term is None or side.formula is None or side.term.expr.reads or side.term.expr.free:
            return
        if any(isinstance(n, f.Sum | f.Product | f.Quotient | f.Power) for n in f.walk((side.formula,))):
            with np.errstate(all="ignore"):
                value = float(evaluate_expr(side.term.expr, {}, {}, ()))
            if not np.isfinite(value):
                return
            place, end = side.formula.place, side.formula.end
            shown = f.Number(Fraction(value), f"{value:g}" if value % 1 else f"{int(value):,}", place=end, end=end)
            read = f.Relation("=", side.formula, shown, place=place, end=end)
            self.claims.append(Claim(place.line, place.column, "", "definition", message=f"= {shown.text}", read=read))

    def says_something(self, op: str, left: f.Formula | None, right: f.Formula | None) -> bool:
        """Say whether a relation says something of a name, or which case is treated, and claims nothing."""
        if op in SAID or self.is_condition(left, right) or self.is_update(left, right):
            return True
        if left is None or right is None:
            return False
        return kind_of(f.Relation(op, left, right, place=left.place, end=right.end)) is not None

    def is_condition(self, *formulas: f.Formula | None) -> bool:
        """Say whether a relation is between index letters: a case that is treated."""
        if not all(isinstance(s, f.Symbol | f.Number) for s in formulas):
            return False
        names = [s.name for s in formulas if isinstance(s, f.Symbol)]
        return any(n in self.context.letters and not self.context.definitions.get(n) for n in names)

    def is_update(self, left: f.Formula | None, right: f.Formula | None) -> bool:
        """Say whether a name is given a new value, made from its old one and a slope: no claim."""
        named = None if left is None else self.context.name_of(left)
        if named is None or not isinstance(right, f.Sum) or all(self.context.name_of(t) != named for _, t in right.terms):
            return False
        return any(isinstance(n, f.Derivative) for n in f.walk((right,)))

    def relation(self, op: str, before: Side, after: Side) -> f.Relation:
        """Return a link as it was read."""
        assert after.formula is not None  # noqa: S101 - only the first side of a chain may be missing
        left = after.formula if before.formula is None else before.formula
        return f.Relation(op, left, after.formula, place=left.place, end=after.formula.end)

    def side(self, reading: Reading, formula: f.Formula | None) -> Side:
        """Read one side."""
        if formula is None:
            return Side(None, None, "there is no left side")
        try:
            return Side(formula, reading.term(formula))
        except DerivkitError as error:
            return Side(formula, None, error.message)
        except RecursionError:
            return Side(formula, None, "it is too deep")

    def where(self, reading: Reading, chain: f.Chain) -> Expr | None:
        """Return the condition under which a chain is meant."""
        made: Expr | None = None
        for part in chain.where:
            try:
                made = reading.condition(part)
            except DerivkitError:
                continue
        return made

    def defines(self, order: int) -> bool:
        """Say whether the first relation of a chain defines its left side."""
        return any(s.order == order for many in self.context.definitions.values() for s in many)

    def link(
        self,
        claim: Claim,
        reading: Reading,
        before: Side,
        after: Side,
        anchor: Side,
        where: Expr | None,
        broken: bool,
        proved: bool,
    ) -> Claim:
        """Return the verdict on one relation."""
        if isinstance(before.formula, f.Differential) and after.formula is not None:
            return self.differential(claim, reading, before.formula, after.formula)
        if after.term is None or (before.term is None and anchor.term is None):
            return replace(claim, message=after.why or before.why)
        tried = [s for s in (before, anchor) if s.term is not None]
        verdicts = [self.same(s, after, where) for s in dict.fromkeys(tried)]
        if True in verdicts and (struck := self.struck(after)) and not self.struck(before):
            return replace(claim, status="right_if", needs=struck, message=f"right if {' and '.join(struck)}")
        if True in verdicts[:1] and not (broken and False in verdicts[1:]):
            return self.loose(replace(claim, status="right"), before, after)
        if True in verdicts:
            return replace(claim, status="follows" if verdicts[0] else "right")
        if before.term is None or verdicts[0] is None:
            return replace(claim, message=before.why or "no point was found at which both sides have a value")
        return refuted(self, claim, reading, before, after, where, proved)

    def is_forced(self, order: int, word: str) -> bool:
        """Say whether a matrix is square only because one line asks for it: that line then has its shapes wrong."""
        others = [replace(c, links=()) if n == order else c for n, c in enumerate(self.chains)]
        axes = read_fitted(others, self.context.told, self.context.aliases).axes
        return axes.size(("axis", word, 0)) != axes.size(("axis", word, 1))

    def struck(self, side: Side) -> tuple[str, ...]:
        """Return what was taken for a number where its author struck it out."""
        found = [n for n in f.walk((side.formula,)) if isinstance(n, f.Struck)]
        return tuple(dict.fromkeys(f"{latex(n.base)} = {n.value.text}" for n in found))

    def loose(self, claim: Claim, before: Side, after: Side) -> Claim:
        """Name brackets that are missing, though the line is right, where a sum of zeros stands outside of them."""
        expanded = any(isinstance(n, f.Derivative) and isinstance(n.of, f.Big) for n in f.walk((before.formula,)))
        sums = (n for n in f.walk((after.formula,)) if isinstance(n, f.Sum))
        pairs = ((a, b) for n in sums for (_, a), (_, b) in pairwise(n.terms))
        if not expanded or not any(_is_nothing(b) and isinstance(a, f.Product | f.Big) for a, b in pairs):
            return claim
        told = (
            "brackets are missing: one part of a factor stands outside of the product, and changes nothing only because it is 0"
        )
        return replace(claim, cause="parenthesis", message=told)

    def differential(self, claim: Claim, reading: Reading, left: f.Differential, right: f.Formula) -> Claim:
        """Judge ``dy = a dx`` as ∂y/∂x = a, for each differential on its right."""
        parts = {latex(n.of): n for n in f.walk((right,)) if isinstance(n, f.Differential)}
        for word, part in parts.items():
            slope = f.Derivative(left.of, (part.of,), "d", place=left.place, end=left.end)
            before, after = self.side(reading, slope), self.side(reading, factor_of(right, word))
            verdict = self.same(before, after)
            if verdict is None:
                return replace(claim, message=before.why or after.why)
            if not verdict:
                return refuted(self, claim, reading, before, after, None, True)
        return replace(claim, status="right") if parts else claim

    # -- equality --------------------------------------------------------------------------------------------------------

    def same(self, before: Side, after: Side, where: Expr | None = None, kinds: Mapping[Name, str] | None = None) -> bool | None:
        """Say whether two terms are equal; ``None`` where that cannot be told."""
        if before.term is None or after.term is None:
            return None
        given = sides(before.term, after.term, where)
        seen = False
        for point in points(self.meaning, (before.term, after.term), kinds=kinds):
            pair = values(given, point)
            if pair is None or not all(np.all(np.isfinite(side)) for side in pair):
                continue
            if not agree(*pair, given.lettered, point.floor) and not _rounded(*pair, after.formula):
                if is_unsteady(self.meaning, given, point, pair):
                    continue
                return False
            seen = seen or pair[0].size > 0
        return True if seen else None

    # -- names -------------------------------------------------------------------------------------------------------------

    def inputs_of(self, *given: Side) -> list[Name]:
        """Return the inputs that some terms are made of."""
        found = self.meaning.needed(n for s in given if s.term is not None for n in s.term.expr.reads)
        return [n for n in self.meaning.inputs if n in found]


def _rounded(left: NDArray[Any], right: NDArray[Any], formula: f.Formula | None) -> bool:
    """Say whether a number is the left side to as many digits as are written."""
    while isinstance(formula, f.Sign):
        formula = formula.operand
    if not isinstance(formula, f.Number) or left.shape != right.shape:
        return False
    digits = len(formula.text.partition(".")[2])
    return bool(np.all(np.abs(left - right) <= 0.5 * 10.0**-digits + 1e-12))


def _is_nothing(formula: f.Formula) -> bool:
    return isinstance(formula, f.Big) and isinstance(formula.body, f.Number) and not formula.body.value


def factor_of(formula: Any, word: str) -> Any:
    """Return a formula with the differential of ``word`` put to 1, and any other to 0."""
    if isinstance(formula, f.Differential):
        one = Fraction(int(latex(formula.of) == word))
        return f.Number(one, str(one), place=formula.place, end=formula.end)
    if isinstance(formula, tuple):
        return tuple(factor_of(part, word) for part in formula)
    if not isinstance(formula, f.Sum | f.Product | f.Sign | f.List):
        return formula
    names = [field.name for field in fields(formula) if field.name not in ("place", "end")]
    return replace(formula, **{name: factor_of(getattr(formula, name), word) for name in names})


def judged(chains: Sequence[f.Chain], told: Mapping[str, Told] | None = None, alike: Mapping[str, str] | None = None) -> Judge:
    """Return the judge of a document's chains, with a claim for each of their relations."""
    context = read_fitted(chains, told, alike)
    made = Judge(context, Meaning(context), tuple(chains))
    for order, chain in enumerate(chains):
        made.chain(order, chain)
    made.settle()
    return made
