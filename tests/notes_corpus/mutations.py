"""Single changes to the right side of a line, as slips of the pen make them, each with the causes that name it rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

from derivkit.symbolic.notes import formula as f

Slip = tuple[str, Any]
#: What each kind of slip may rightly be called.
CAUSES = {
    "sign": {"sign"},
    "transpose": {"transpose"},
    "index": {"index-swapped", "index-reused", "diagonal"},
    "factor": {"factor"},
    "power": {"power"},
    "exponent": {"exponent", "sign"},
    "sum": {"missing-sum"},
    "range": {"range"},
    "parenthesis": {"parenthesis"},
    "variable": {"wrong-variable"},
    "term": {"other"},
}


@dataclass(frozen=True)
class Letters:
    """The index letters and the plain names of a line."""

    indices: tuple[str, ...]
    names: tuple[f.Symbol, ...]


def slips(formula: f.Formula, left: f.Formula | None) -> Iterator[Slip]:
    """Yield (kind, changed formula) for every single change of the table."""
    nodes = [n for n in f.walk((left, formula)) if n is not None]
    found = dict.fromkeys(s.name for n in nodes if isinstance(n, f.Indexed) for s in n.subscripts if isinstance(s, f.Symbol))
    under = {id(s) for n in nodes if isinstance(n, f.Indexed) for s in n.subscripts}
    under |= {id(s) for n in nodes if isinstance(n, f.Big) for s in (*n.letters, n.upper, n.lower)}
    under |= {id(n.function) for n in nodes if isinstance(n, f.Application)}
    under |= {id(n.base) for n in nodes if isinstance(n, f.Indexed)}
    names = {n.name: n for n in nodes if isinstance(n, f.Symbol) and id(n) not in under and n.label is None and n.name != "e"}
    letters = Letters(tuple(found), tuple(names.values()))
    for make in TABLE:
        yield from _everywhere(make, formula, letters)


def _everywhere(make: Callable[[Any, Letters], Iterator[Slip]], node: Any, letters: Letters) -> Iterator[Slip]:
    if isinstance(node, tuple) and not hasattr(node, "line"):
        for n, part in enumerate(node):
            for kind, made in _everywhere(make, part, letters):
                yield kind, (*node[:n], made, *node[n + 1 :])
    elif is_dataclass(node) and not isinstance(node, type):
        yield from make(node, letters)
        for part in fields(node):
            skip = {"place", "end", "label", "letters", "by", "function", "lower", "upper", "subscripts", "conditions"}
            if part.name in skip or (isinstance(node, f.Indexed) and part.name == "base"):
                continue
            for kind, made in _everywhere(make, getattr(node, part.name), letters):
                yield kind, replace(node, **{part.name: made})


def _at(node: Any) -> dict[str, Any]:
    return {"place": node.place, "end": node.end}


def signs(node: Any, letters: Letters) -> Iterator[Slip]:
    """A sign turned, dropped, or put before a product."""
    if isinstance(node, f.Sum):
        for n, (sign, term) in enumerate(node.terms):
            terms = (*node.terms[:n], ("-" if sign == "+" else "+", term), *node.terms[n + 1 :])
            yield "sign", replace(node, terms=terms)
    elif isinstance(node, f.Sign) and not isinstance(node.operand, f.Number):
        yield "sign", node.operand
    elif isinstance(node, f.Product | f.Quotient):
        yield "sign", f.Sign("-", node, **_at(node))


def transposes(node: Any, letters: Letters) -> Iterator[Slip]:
    """A transpose dropped, or put on a large letter."""
    if isinstance(node, f.Transposed) and not isinstance(node.base, f.Number):
        yield "transpose", node.base
        return
    large = isinstance(node, f.Symbol) and node.name.isupper() and len(node.name) == 1 and node.name not in "INLEJ"
    if large and node.name in {s.name for s in letters.names}:
        yield "transpose", f.Transposed(node, **_at(node))


def indices(node: Any, letters: Letters) -> Iterator[Slip]:
    """Two subscripts exchanged, or another letter for one."""
    if not isinstance(node, f.Indexed):
        return
    if len(node.subscripts) == 2:
        yield "index", replace(node, subscripts=node.subscripts[::-1])
    for n, sub in enumerate(node.subscripts):
        if isinstance(sub, f.Symbol):
            for name in letters.indices:
                if name != sub.name:
                    yield (
                        "index",
                        replace(node, subscripts=(*node.subscripts[:n], replace(sub, name=name), *node.subscripts[n + 1 :])),
                    )


def factors(node: Any, letters: Letters) -> Iterator[Slip]:
    """A factor or a divisor forgotten, or a number doubled."""
    if isinstance(node, f.Product):
        for n in range(len(node.factors)):
            rest = (*node.factors[:n], *node.factors[n + 1 :])
            yield "factor", rest[0][1] if len(rest) == 1 else replace(node, factors=(("", rest[0][1]), *rest[1:]))
        two = f.Number(Fraction(2), "2", **_at(node))
        yield "factor", replace(node, factors=(("", two), *node.factors))
    elif isinstance(node, f.Quotient) and not isinstance(node.over, f.Number):
        yield "factor", node.over


def powers(node: Any, letters: Letters) -> Iterator[Slip]:
    """A square forgotten, a power one too high; the argument of an exponential turned."""
    if isinstance(node, f.Power) and isinstance(node.exponent, f.Number) and node.exponent.value > 1:
        yield "power", node.base
        yield "power", replace(node, exponent=replace(node.exponent, value=node.exponent.value + 1))
    if isinstance(node, f.Power) and isinstance(node.base, f.Symbol) and node.base.name == "e":
        inner = node.exponent
        yield "exponent", replace(node, exponent=inner.operand if isinstance(inner, f.Sign) else f.Sign("-", inner, **_at(inner)))
    if isinstance(node, f.Application) and isinstance(node.function, f.Symbol) and node.function.name in ("exp", "sigma"):
        (inner,) = node.arguments
        turned = inner.operand if isinstance(inner, f.Sign) else f.Sign("-", inner, **_at(inner))
        yield "exponent", replace(node, arguments=(turned,))


def sums(node: Any, letters: Letters) -> Iterator[Slip]:
    """A sum forgotten, or begun or ended one off."""
    if isinstance(node, f.Big) and node.op == "sum":
        yield "sum", node.body
        if isinstance(node.lower, f.Number):
            yield "range", replace(node, lower=replace(node.lower, value=node.lower.value + 1, text=str(node.lower.value + 1)))


def parentheses(node: Any, letters: Letters) -> Iterator[Slip]:
    """Brackets forgotten: a (b + c) as a b + c, (a + b) / c as a + b / c."""
    if isinstance(node, f.Product) and len(node.factors) > 1:
        for n, (sign, factor) in enumerate(node.factors):
            inner = factor.items[0] if isinstance(factor, f.List) and len(factor.items) == 1 else factor
            if isinstance(inner, f.Sum) and len(inner.terms) > 1 and n == len(node.factors) - 1:
                (s0, t0), *others = inner.terms
                if s0 == "+":
                    yield (
                        "parenthesis",
                        replace(inner, terms=(("+", replace(node, factors=(*node.factors[:n], (sign, t0)))), *others)),
                    )


def variables(node: Any, letters: Letters) -> Iterator[Slip]:
    """One name for another."""
    if isinstance(node, f.Symbol) and node.name in {s.name for s in letters.names}:
        for other in letters.names:
            if other.name != node.name and other.name.isupper() == node.name.isupper():
                yield "variable", replace(other, **_at(node))


def terms(node: Any, letters: Letters) -> Iterator[Slip]:
    """A term forgotten."""
    if isinstance(node, f.Sum) and len(node.terms) > 1:
        for n in range(len(node.terms)):
            yield "term", replace(node, terms=(*node.terms[:n], *node.terms[n + 1 :]))


TABLE = (signs, transposes, indices, factors, powers, sums, parentheses, variables, terms)
