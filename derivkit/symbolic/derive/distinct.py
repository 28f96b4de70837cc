"""The lines of a step that a reader can tell apart."""

from __future__ import annotations

from operator import is_

from derivkit.symbolic.expr import Expr, Mul, key
from derivkit.symbolic.normal import factors_of
from derivkit.symbolic.steps import Step


def distinct(lines: list[Step]) -> list[Step]:
    """Drop a line that differs from the one before only in brackets and order, keeping the later look of a final form."""
    kept: list[Step] = []
    for line in lines:
        if kept and key(_flat(kept[-1].after)) == key(_flat(line.after)):
            last = kept[-1]
            if line.rule == "fact":
                kept[-1] = line
            elif line.rule in {"form", "normal"}:
                kept[-1] = Step(last.rule, last.before, line.after, last.reason, about=last.about, facts=last.facts)
            continue
        kept.append(line)
    return kept


def _flat(expr: Expr) -> Expr:
    if not expr.children:
        return expr
    children = tuple(_flat(c) for c in expr.children)
    if isinstance(expr, Mul) and any(isinstance(c, Mul) for c in children):
        return Mul(tuple(f for c in children for f in factors_of(c)))
    return expr if all(map(is_, children, expr.children)) else expr.rebuilt(children)
