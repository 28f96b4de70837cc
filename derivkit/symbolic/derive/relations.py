"""Definitions that are products: ``p = e/Z`` says what a product with e and 1/Z in it is, and one with p and Z.

A product beside a number, as in ``D = 1 − 2 Σ p g / S``, is one too: that of 1 − D.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import cached_property

from derivkit.symbolic.derive.byreads import ByReads
from derivkit.symbolic.derive.match import Binding, match
from derivkit.symbolic.expr import ONE_EXPR, Add, Expr, Name, Num, Pow, Ref, Sum, references, replace, substitute
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import add, coefficient, factors_of, negative, normal, scaled

LONG_NODES = 6  # what a name and a factor beside it are at least shorter than


@dataclass(frozen=True)
class Relation:
    """A definition that is a monomial: whole = Π base ** exponent, over its indices; the whole is its name, as a rule."""

    definition: Definition
    whole: Expr
    factors: tuple[tuple[Expr, Num], ...]

    @cached_property
    def names(self) -> frozenset[Name]:
        """The names that stand in it: its own and those of its bases."""
        return frozenset((self.definition.name, *(b.name for b, _ in self.factors if isinstance(b, Ref))))

    @cached_property
    def kinds(self) -> frozenset[object]:
        """What its other bases look like."""
        return frozenset(look(b) for b, _ in self.factors if not isinstance(b, Ref | Num))

    @cached_property
    def parts(self) -> frozenset[object]:
        """The names and the looks of all its bases."""
        return self.names | self.kinds

    @cached_property
    def is_single(self) -> bool:
        """Whether it is one power but for a number: then that alone may be folded."""
        return sum(not isinstance(b, Num) for b, _ in self.factors) == 1

    @cached_property
    def long(self) -> frozenset[object]:
        """The looks of its bases that are long enough to be folded alone."""
        others = sum(b.nodes for b, _ in self.factors if isinstance(b, Ref))
        return frozenset(look(b) for b, _ in self.factors if not isinstance(b, Ref) and b.nodes >= LONG_NODES + others)


class Relations:
    """The relations of a program by the names and the looks of their bases, so that few are tried."""

    def __init__(self, relations: Sequence[Relation]) -> None:
        """Keep the places of each."""
        self._all = relations
        self._of: dict[object, list[int]] = {}
        self._lone: dict[object, list[int]] = {}  # those that may be folded from this part alone
        for n, r in enumerate(relations):
            for part in r.parts:
                self._of.setdefault(part, []).append(n)
            for part in r.parts if r.is_single else r.long:
                self._lone.setdefault(part, []).append(n)

    def __contains__(self, part: object) -> bool:
        """Say whether a name, or a base of this look, stands in one."""
        return part in self._of

    def among(self, present: Collection[object]) -> list[Relation]:
        """Return those of which two parts stand in a product, or a long one: else it could only become longer."""
        parts = [p for p in present if p in self._of]
        few = sorted(parts, key=lambda p: len(self._of[p]))[:-1]  # of two parts one is not the commonest
        found = {n for part in few for n in self._of[part]}
        found = {n for n in found if sum(p in self._all[n].parts for p in parts) >= 2}
        found.update(n for part in parts for n in self._lone.get(part, ()))
        return [self._all[n] for n in sorted(found)]


def look(expr: Expr) -> object:
    """Return what equal expressions have alike, found without comparing them."""
    return (type(expr), frozenset(references(expr)))


def relation_of(d: Definition, rhs: Expr) -> Relation | None:
    """Return the relation that a definition with the normal right side ``rhs`` is, ``None`` for a sum or a bare name."""
    whole: Expr = d.ref()
    if isinstance(rhs, Add):
        terms = [t for t in rhs.args if not isinstance(t, Num)]
        if len(terms) != 1 or terms[0].nodes < LONG_NODES or terms[0].free != frozenset(d.bound):
            return None
        number = next(t for t in rhs.args if isinstance(t, Num))
        whole, rhs = add((whole, negative(number))), terms[0]
        if coefficient(rhs)[0] < 0:
            whole, rhs = negative(whole), negative(rhs)
    factors = []
    for factor in factors_of(rhs):
        base, exponent = (factor.base, factor.exponent) if isinstance(factor, Pow) else (factor, ONE_EXPR)
        if not isinstance(exponent, Num):
            return None
        factors.append((base, exponent))
    trivial = len(factors) == 1 and factors[0][1] is ONE_EXPR and not isinstance(whole, Add)
    return None if trivial else Relation(d, whole, tuple(factors))


def monomial_cost(expr: Expr) -> int:
    """Return the length of a product: bases, and what their exponents add."""
    total = 0
    for factor in factors_of(expr):
        if isinstance(factor, Pow):
            total += factor.base.nodes + 2
            if isinstance(factor.exponent, Num):
                total += min(4, int(abs(factor.exponent.value)))
        elif not isinstance(factor, Num):
            total += factor.nodes + isinstance(factor, Sum)
    return total


def partly_folded(expr: Add, sums: ByReads[Definition]) -> Expr | None:
    """Return a sum with the terms that are a definition's, or minus them, as its name; ``None`` where there are none."""
    for d in sums.within(references(expr)):
        patterns = d.rhs.children
        if len(patterns) >= len(expr.args):
            continue
        for sign in (1, -1):
            found = next(_chosen([scaled(sign, p) for p in patterns], expr.args, frozenset(d.bound), {}, ()), None)
            if found is not None and all(i in found[1] for i in d.bound):
                rest = [t for n, t in enumerate(expr.args) if n not in found[0]]
                return add((*rest, scaled(sign, substitute(d.ref(), found[1]))))
    return None


def _chosen(
    patterns: Sequence[Expr], terms: Sequence[Expr], free: frozenset[Index], binding: Binding, taken: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Binding]]:
    if len(taken) == len(patterns):
        yield taken, binding
        return
    for n, term in enumerate(terms):
        found = None if n in taken else match(patterns[len(taken)], term, free, binding)
        if found is not None:
            yield from _chosen(patterns, terms, free, found, (*taken, n))


def written_out(whole: Sequence[Definition], limit: int) -> Iterator[Definition]:
    """Yield the author's lines again as results have them: what nobody has named written out, while short."""
    unnamed = {d.name: d for d in whole if d.name.opened and d.rhs.nodes <= limit}

    def open_(node: Expr) -> Expr | None:
        return unnamed[node.name].at(node.subs) if isinstance(node, Ref) and node.name in unnamed else None

    for d in whole:
        if d.name.told and not unnamed.keys().isdisjoint(references(d.rhs)):
            rhs = d.rhs
            opened = replace(rhs, open_)
            while opened is not rhs and opened.nodes <= limit:  # a name in a subscript stays
                rhs, opened = opened, replace(opened, open_)
            rhs = opened
            if rhs.nodes <= limit:
                yield replace_fields(d, rhs=normal(rhs))
