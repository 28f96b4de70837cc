"""Every expression that differs from another in one place, as slips of the pen do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from derivkit.symbolic.elementary import is_indicator
from derivkit.symbolic.expr import Add, Delta, Expr, Fn, Mul, Name, Num, Pow, Ref, SizeOf, Sum
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Size

Told = tuple[str, str]  # (code, sentence about {place})
MOST = 600


@dataclass(frozen=True, slots=True)
class Edit:
    """An expression with one place changed.

    ``lost`` says what a claim that equals it has done to the derivative, ``extra`` what a claim has done that becomes the
    derivative by this edit; ``{place}`` stands for ``place`` in both.  ``node`` is the sum or product that ``place`` is a
    part of, ``whole`` what a dropped term is in the whole expression: with the factors and sums around it.
    """

    expr: Expr
    place: Expr
    lost: Told
    extra: Told
    node: Expr | None = None
    whole: Expr | None = None


def edits(expr: Expr, graph: Graph) -> Iterator[Edit]:
    """Yield the edits of every place, at most :data:`MOST`, the outer places first."""
    names = _alike(graph)
    todo: list[tuple[Expr, tuple[tuple[Expr, int], ...]]] = [(expr, ())]
    count = 0
    for node, path in todo:
        for edit in _here(node, names):
            count += 1
            if count > MOST:
                return
            whole = None if edit.lost[0] != "missing-term" else _around(edit.place, path)
            yield Edit(_rebuilt(edit.expr, path), edit.place, edit.lost, edit.extra, node, whole)
        todo.extend((child, (*path, (node, n))) for n, child in enumerate(node.children))


def _rebuilt(expr: Expr, path: tuple[tuple[Expr, int], ...]) -> Expr:
    for node, n in reversed(path):
        expr = node.rebuilt((*node.children[:n], expr, *node.children[n + 1 :]))
    return expr


def _around(term: Expr, path: tuple[tuple[Expr, int], ...]) -> Expr | None:
    """Return a term of an inner sum with what multiplies and sums it, ``None`` where a function lies between."""
    numbers = [Fraction(1)]

    def plain(expr: Expr) -> tuple[Expr, ...]:
        factors = expr.args if isinstance(expr, Mul) else (expr,)
        numbers.extend(f.value for f in factors if isinstance(f, Num))
        return tuple(f for f in factors if not isinstance(f, Num))

    rest = plain(term)
    for node, n in reversed(path):
        if isinstance(node, Mul):
            rest = (*plain(Mul(node.args[:n])), *rest, *plain(Mul(node.args[n + 1 :])))
        elif isinstance(node, Sum):
            rest = (node.rebuilt((_product(rest),)),)
        elif not isinstance(node, Add):
            return None
    number = prod(numbers)
    return _product(rest if number == 1 else (Num(number), *rest))


def _product(factors: tuple[Expr, ...]) -> Expr:
    return Num(1) if not factors else factors[0] if len(factors) == 1 else Mul(factors)


def _alike(graph: Graph) -> dict[Name, list[Name]]:
    """Return for each name the author's others of its shape."""
    shapes = {n: i.shape for n, i in graph.inputs.items() if i.kind != "label"}
    shapes |= {d.name: d.shape for d in graph if d.name.kind == "user"}
    return {n: [m for m, other in shapes.items() if m != n and other == shape] for n, shape in shapes.items()}


def _here(node: Expr, names: dict[Name, list[Name]]) -> Iterator[Edit]:
    if isinstance(node, Add):
        yield from _terms(node)
    elif isinstance(node, Mul):
        yield from _factors(node)
    elif isinstance(node, Pow) and isinstance(node.exponent, Num):
        yield from _powers(node)
    elif isinstance(node, Ref):
        yield from _references(node, names)
    elif isinstance(node, Sum):
        yield from _sums(node)
    elif isinstance(node, Fn) and len(node.args) == 1:
        told = ("sign", "has the opposite sign inside {place}")
        yield Edit(Fn(node.op, (_negative(node.args[0]),)), node, told, told)
        code = "mask" if node.op in ("relu", "step") else "function"
        yield _both(node.args[0], node, code, "reads {place} without the function", "applies {place} where there is none")


def _both(expr: Expr, place: Expr, code: str, lost: str, extra: str, other: str = "") -> Edit:
    return Edit(expr, place, (code, lost), (other or code, extra))


def _negative(expr: Expr) -> Expr:
    return Mul((Num(-1), expr))


def _terms(node: Add) -> Iterator[Edit]:
    for n, term in enumerate(node.args):
        rest = node.args[:n] + node.args[n + 1 :]
        left = rest[0] if len(rest) == 1 else Add(rest)
        yield _both(left, term, "missing-term", "lacks the term {place}", "has the term {place} too much", "extra-term")
        turned = Add((*node.args[:n], _negative(term), *node.args[n + 1 :]))
        yield _both(
            turned, term, "sign", "has the opposite sign at the term {place}", "has the opposite sign at the term {place}"
        )
        for factor in (Fraction(1, 2), Fraction(2)):
            scaled = Add((*node.args[:n], Mul((Num(factor), term)), *node.args[n + 1 :]))
            yield _both(scaled, term, "missing-factor", "has a wrong factor at the term {place}", "has a wrong factor at {place}")
    deltas = [t for t in node.args if isinstance(t, Delta) or any(isinstance(f, Delta) for f in t.children)]
    for term in deltas:
        yield _both(term, term, "diagonal", "has the diagonal only: {place}", "has more than {place}")


def _factors(node: Mul) -> Iterator[Edit]:
    for n, factor in enumerate(node.args):
        rest = node.args[:n] + node.args[n + 1 :]
        left = rest[0] if len(rest) == 1 else Mul(rest)
        yield _both(left, factor, "missing-factor", "lacks the factor {place}", "has the factor {place} too much", "extra-factor")
        if not isinstance(factor, Num) and not is_indicator(factor):
            twice = Mul((*node.args, factor))
            yield _both(twice, factor, "extra-factor", "has the factor {place} twice", "lacks a factor {place}", "missing-factor")
            over = Mul((*rest, Pow(factor, Num(-1))))
            yield _both(over, factor, "power", "divides by {place} or multiplies, the wrong way round", "has {place} upside down")


def _powers(node: Pow) -> Iterator[Edit]:
    exponent = node.exponent.value  # type: ignore[attr-defined]
    for other in (exponent - 1, exponent + 1, -exponent, exponent / 2, exponent * 2):
        yield _both(Pow(node.base, Num(other)), node, "power", "has another power than {place}", "has a wrong power: {place}")


def _references(node: Ref, names: dict[Name, list[Name]]) -> Iterator[Edit]:
    for n in range(len(node.subs)):
        for m in range(n):
            subs = list(node.subs)
            subs[n], subs[m] = subs[m], subs[n]
            yield _both(
                Ref(node.name, tuple(subs)), node, "index-swapped", "swaps the indices of {place}", "swaps indices: {place}"
            )
    for other in names.get(node.name, ()):
        new = Ref(other, node.subs)
        yield Edit(
            new, node, ("wrong-name", f"reads {other} where {{place}} is meant"), ("wrong-name", f"reads {{place}}, not {other}")
        )


def _sums(node: Sum) -> Iterator[Edit]:
    size = Size.of(1)
    for index in node.indices:
        size = size * index.size
    mean = Mul((Pow(SizeOf(size), Num(-1)), node))
    yield _both(
        mean, node, "scale", "takes a mean where the sum {place} is meant", "takes a sum where the mean of {place} is meant"
    )
    total = Mul((SizeOf(size), node))
    yield _both(
        total, node, "scale", "takes a sum where the mean of {place} is meant", "takes a mean where the sum {place} is meant"
    )
