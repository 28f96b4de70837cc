"""Conditions: 1 where they hold, else 0; between positions, numbers, or arrays entry by entry; and cases."""

from __future__ import annotations

from derivkit.symbolic.expr import Add, Delta, Expr, Fn, Inside, Mul, Num
from derivkit.symbolic.index import Affine, Size
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.meaning import Reads
from derivkit.symbolic.notes.terms import MINUS, Term, onto, unclear

COMPARED = {"<": "less", ">": "greater", "<=": "less_equal", ">=": "greater_equal", "=": "equal", "!=": "not_equal"}


def condition(reading: Reads, formula: f.Formula) -> Expr:
    """Return 1 where a condition holds, else 0: between indices, or between numbers."""
    if isinstance(formula, f.Relation) and formula.op == "&":
        return Mul((condition(reading, formula.left), condition(reading, formula.right)))
    if not isinstance(formula, f.Relation) or formula.op not in COMPARED:
        raise unclear("derivkit does not know this condition")
    if _is_between(reading, formula):
        return between(formula.op, reading.subscript(formula.left), reading.subscript(formula.right))
    made = compared(reading, formula)
    if made.axes:
        raise unclear("a condition on arrays")
    return made.expr


def _is_between(reading: Reads, formula: f.Relation) -> bool:
    """Say whether a relation is one of positions: i = j, 0 <= l - 1, but not x_i > 0."""
    return any(reading.is_position(side) for side in (formula.left, formula.right))


def compared(reading: Reads, formula: f.Relation) -> Term:
    """Return 1 where a relation holds, else 0: of two arrays entry by entry."""
    if formula.op not in COMPARED or _is_between(reading, formula):
        return Term(condition(reading, formula))
    left, right = reading.term(formula.left), reading.term(formula.right)
    axes = max(left.axes, right.axes, key=len)
    return Term(Fn(COMPARED[formula.op], (onto(left, axes), onto(right, axes))), axes)


def between(op: str, a: Affine, b: Affine) -> Expr:
    """Return 1 where two positions are so, else 0."""
    different = {"<": b - a - 1, "<=": b - a, ">": a - b - 1, ">=": a - b}
    if op in different:
        return Inside(different[op], Size.of(2**31))
    same = Delta(a, b)
    return same if op == "=" else Add((Num(1), Mul((MINUS, same))))


def cases(reading: Reads, formula: f.Cases) -> Term:
    """Return the first value whose condition holds."""
    terms = [(reading.term(value), None if test is None else condition(reading, test)) for value, test in formula.rows]
    if any(t.axes for t, _ in terms):
        raise unclear("cases of arrays")
    made = terms[-1][0].expr
    for value, test in reversed(terms[:-1]):
        if test is None:
            raise unclear("a case without a condition")
        made = Fn("where", (test, value.expr, made))
    return Term(made)
