"""What is usually wrong with a line: a table of single changes to what was written, each with the name of the mistake.

A change is tried on the tree of the author's right side; where the changed line equals the left one, it is the correction, in the
author's own notation but for that one place, and its row names the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from derivkit.symbolic.notes import formula as f

#: What a row may look at: the letters that are free in the chain, those bound around, and names to differentiate by.
MOST = 1500  # changes tried of one line


@dataclass(frozen=True, slots=True)
class Around:
    """What is known at a place of a line: index letters that stand there, and those that sums around it bind."""

    letters: tuple[str, ...]
    bound: tuple[str, ...] = ()
    matrices: bool = False
    atoms: tuple[f.Formula, ...] = ()
    factors: tuple[f.Formula, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A changed line, the cause, and what was done."""

    cause: str
    formula: f.Formula
    told: str


#: Parts that are changed with the node that they belong to, or not at all.
_WHOLE = frozenset("place end label letters lower upper spelled op kind subscripts base function".split())
Row = Callable[[f.Formula, Around], Iterator[tuple[str, f.Formula, str]]]


def changes(formula: f.Formula, around: Around, rows: tuple[Row, ...]) -> Iterator[Change]:
    """Yield the lines that differ from one in one place, the likeliest mistakes first."""
    for row in rows:
        for cause, made, told in _everywhere(row, formula, around):
            yield Change(cause, made, told)


def _everywhere(row: Row, node: Any, around: Around) -> Iterator[tuple[str, Any, str]]:
    if is_dataclass(node) and not isinstance(node, type):
        if not isinstance(node, f.Relation):
            yield from row(node, around)  # type: ignore[arg-type]
        if isinstance(node, f.Big):
            own = tuple(s.name for s in node.letters)
            around = replace(around, letters=(*around.letters, *own), bound=(*around.bound, *own))
        for part in fields(node):
            if part.name in _WHOLE and not (part.name == "base" and isinstance(node, f.Power | f.Transposed)):
                continue
            for cause, made, told in _everywhere(row, getattr(node, part.name), around):
                yield cause, replace(node, **{part.name: made}), told
    elif isinstance(node, tuple):
        for n, part in enumerate(node):
            for cause, made, told in _everywhere(row, part, around):
                yield cause, (*node[:n], made, *node[n + 1 :]), told


# -- rows ------------------------------------------------------------------------------------------------------------------


def _signs(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    del around
    if isinstance(node, f.Sum):
        for n, (sign, term) in enumerate(node.terms):
            turned: tuple[Literal["+", "-"], f.Formula] = ("-" if sign == "+" else "+", term)
            yield "sign", replace(node, terms=(*node.terms[:n], turned, *node.terms[n + 1 :])), "a sign is turned"
        if len(node.terms) == 2 and node.terms[1][0] == "-":
            (_, first), (_, second) = node.terms
            yield "sign", replace(node, terms=(("+", second), ("-", first))), "the difference is the other way round"
    elif isinstance(node, f.Sign):
        yield "sign", node.operand, "a minus too many"
    elif isinstance(node, f.Application | f.Quotient | f.Product | f.Big):
        yield "sign", f.Sign("-", node, place=node.place, end=node.end), "a minus is missing"


def _indices(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    if not isinstance(node, f.Indexed):
        return
    for n, sub in enumerate(node.subscripts):
        if not isinstance(sub, f.Symbol):
            continue
        for name in dict.fromkeys(around.letters):
            if name != sub.name:
                cause = (
                    "index-reused" if around.letters.count(sub.name) > 1 or around.letters.count(name) > 1 else "index-swapped"
                )
                other = (*node.subscripts[:n], replace(sub, name=name), *node.subscripts[n + 1 :])
                yield cause, replace(node, subscripts=other), f"the index {sub.name} should be {name}"
    if len(node.subscripts) == 2:
        yield "index-swapped", replace(node, subscripts=node.subscripts[::-1]), "two indices are exchanged"


def _transposes(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    if not around.matrices:
        return
    if isinstance(node, f.Application) and len(node.arguments) == 1:
        left = f.Transposed(node.function, place=node.place, end=node.place)
        inner = f.List(node.arguments, place=node.place, end=node.end)
        made = f.Product((("", left), ("", inner)), place=node.place, end=node.end)
        yield "transpose", made, "a transpose is missing"
    if isinstance(node, f.Transposed):
        yield "transpose", node.base, "a transpose too many"
    elif isinstance(node, f.Symbol | f.List | f.Sum):
        yield "transpose", f.Transposed(node, place=node.place, end=node.end), "a transpose is missing"
    elif isinstance(node, f.Product) and len(node.factors) == 2:
        (_, a), (sign, b) = node.factors
        yield "transpose", replace(node, factors=(("", b), (sign, a))), "two factors are exchanged"


def _powers(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    del around
    if isinstance(node, f.Power) and isinstance(node.exponent, f.Number):
        yield "power", node.base, "a power too many"
        for step in (1, -1):
            exponent = replace(node.exponent, value=node.exponent.value + step)
            yield "power", replace(node, exponent=exponent), f"the exponent should be {exponent.value}"
    elif isinstance(node, f.Application | f.Indexed | f.Symbol | f.List):
        two = f.Number(Fraction(2), "2", place=node.end, end=node.end)
        yield "power", f.Power(node, two, place=node.place, end=node.end), "a square is missing"
    if isinstance(node, f.Application) and len(node.arguments) == 1:
        inner = node.arguments[0]
        turned = inner.operand if isinstance(inner, f.Sign) else f.Sign("-", inner, place=inner.place, end=inner.end)
        yield "exponent", replace(node, arguments=(turned,)), "the argument has the other sign"
    if isinstance(node, f.Power) and isinstance(node.base, f.Symbol) and node.base.name == "e":
        inner = node.exponent
        turned = inner.operand if isinstance(inner, f.Sign) else f.Sign("-", inner, place=inner.place, end=inner.end)
        yield "exponent", replace(node, exponent=turned), "the exponent has the other sign"


def _dropped(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    del around
    if isinstance(node, f.Product):
        for n in range(len(node.factors)):
            rest = (*node.factors[:n], *node.factors[n + 1 :])
            if len(rest) == 1:
                yield "factor", rest[0][1], "a factor too many"
            else:
                yield "factor", replace(node, factors=(("", rest[0][1]), *rest[1:])), "a factor too many"
    elif isinstance(node, f.Quotient):
        yield "factor", node.over, "a divisor too many"
    elif isinstance(node, f.Sum) and len(node.terms) > 1:
        for n in range(len(node.terms)):
            yield "other", replace(node, terms=(*node.terms[:n], *node.terms[n + 1 :])), "a term too many"


def _sums(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    if isinstance(node, f.Big):
        yield "missing-sum", node.body, "a sum too many"
        yield from _ranges(node)
        if node.conditions:
            yield "range", replace(node, conditions=()), "the sum leaves out what belongs to it"
    elif isinstance(node, f.Sum | f.Product | f.Quotient | f.Application | f.Indexed):
        for name in dict.fromkeys(around.letters):
            if name not in around.bound:
                symbol = f.Symbol(name, place=node.place, end=node.place)
                made = f.Big("sum", (symbol,), None, None, (), node, place=node.place, end=node.end)
                yield "missing-sum", made, f"a sum over {name} is missing"


def _ranges(node: f.Big) -> Iterator[tuple[str, f.Formula, str]]:
    if isinstance(node.lower, f.Number):
        for step in (1, -1):
            begin = replace(node.lower, value=node.lower.value + step, text=str(node.lower.value + step))
            yield "range", replace(node, lower=begin), f"the sum should begin at {begin.text}"
    if isinstance(node.upper, f.Sum):
        yield "range", replace(node, upper=node.upper.terms[0][1]), "the sum ends too early or too late"
    elif isinstance(node.upper, f.Symbol):
        at = {"place": node.upper.place, "end": node.upper.end}
        less = f.Sum((("+", node.upper), ("-", f.Number(Fraction(1), "1", **at))), **at)
        yield "range", replace(node, upper=less), "the sum ends too late"


def _names(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    """Yield a line with another name of the document in one place."""
    if isinstance(node, f.Symbol | f.Indexed | f.Application):
        for atom in around.atoms:
            if atom != node:
                yield "wrong-variable", atom, "one name stands for another"


def _missing(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    """Yield a line with one factor more: a number, or a name of the document."""
    if isinstance(node, f.Number | f.List | f.Relation | f.Sign):
        return
    at = {"place": node.place, "end": node.end}
    two = f.Number(Fraction(2), "2", **at)
    yield "factor", f.Product((("", two), ("", node)), **at), "a factor 2 is missing"
    yield "factor", f.Quotient(node, two, **at), "a factor 1/2 is missing"
    for atom in (*around.atoms, *around.factors):
        yield "factor", f.Product((("", node), ("", atom)), **at), "a factor is missing"
        if around.matrices:
            yield "factor", f.Product((("", atom), ("", node)), **at), "a factor is missing"
            yield "factor", f.Product((("", node), ("odot", atom)), **at), "a factor is missing"
            yield "factor", f.Product((("", f.Transposed(atom, **at)), ("", node)), **at), "a factor is missing"
            yield "factor", f.Product((("", node), ("", f.Transposed(atom, **at))), **at), "a factor is missing"


def _divisors(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    """Yield a line with one divisor more, of the document's names and factors."""
    if isinstance(node, f.Number | f.List | f.Relation | f.Sign) or around.matrices:
        return
    for atom in (*around.atoms, *around.factors):
        yield "factor", f.Quotient(node, atom, place=node.place, end=node.end), "a divisor is missing"


def _added(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    """Yield a line with one term more: a number, or a name of the document."""
    if isinstance(node, f.List | f.Relation | f.Quotient | f.Big):
        return
    at = {"place": node.place, "end": node.end}
    terms: tuple[tuple[Literal["+", "-"], f.Formula], ...] = node.terms if isinstance(node, f.Sum) else (("+", node),)
    for atom in (f.Number(Fraction(1), "1", **at), *around.atoms):
        if atom != node:
            yield "other", f.Sum((*terms, ("-", atom)), **at), "a term is missing"
            yield "other", f.Sum((*terms, ("+", atom)), **at), "a term is missing"


def _brackets(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    """Yield what a bracket that begins or ends at another place would mean."""
    del around
    if isinstance(node, f.Sum) and len(node.terms) > 1:
        (_, first), *others = node.terms
        if isinstance(first, f.Product) and others:
            inner = replace(node, terms=(("+", first.factors[-1][1]), *others), place=first.factors[-1][1].place)
            made = replace(first, factors=(*first.factors[:-1], (first.factors[-1][0], inner)), end=node.end)
            yield "parenthesis", made, "the last factor and what follows belong into brackets"
        if isinstance(first, f.Big):
            yield "parenthesis", replace(first, body=replace(node, terms=(("+", first.body), *others))), "the sum goes on"
    if isinstance(node, f.Product) and len(node.factors) > 1:
        for n, (sign, factor) in enumerate(node.factors):
            terms = factor.items[0] if isinstance(factor, f.List) and len(factor.items) == 1 else factor
            if isinstance(terms, f.Sum) and len(terms.terms) > 1:
                (s0, t0), *others = terms.terms
                product = replace(node, factors=(*node.factors[:n], (sign, t0), *node.factors[n + 1 :]))
                yield "parenthesis", replace(terms, terms=((s0, product), *others)), "the brackets end too late"


def _variables(node: f.Formula, around: Around) -> Iterator[tuple[str, f.Formula, str]]:
    del around
    if isinstance(node, f.Derivative) and len(node.by) == 1:
        yield "wrong-variable", replace(node, of=node.by[0], by=(node.of,)), "it is differentiated by the wrong variable"


ROWS: tuple[Row, ...] = (_signs, _indices, _transposes, _powers, _sums, _dropped, _brackets, _variables)
#: What only a document's other names mend, tried when nothing else does.
MISSING: tuple[Row, ...] = (_missing, _added, _names, _divisors)
