"""Definitions that are products: ``p = e/Z`` says what a product with e and 1/Z in it is, and one with p and Z.

A product beside a number, as in ``D = 1 − 2 Σ p g / S``, is one too: that of 1 − D.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import cached_property

from derivkit.symbolic.derive.match import Binding, match
from derivkit.symbolic.expr import ONE_EXPR, Add, Expr, Name, Num, Pow, Ref, references, replace, substitute
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
    def _is_single(self) -> bool:
        return sum(not isinstance(b, Num) for b, _ in self.factors) == 1

    @cached_property
    def _long(self) -> frozenset[object]:
        others = sum(b.nodes for b, _ in self.factors if isinstance(b, Ref))
        return frozenset(look(b) for b, _ in self.factors if not isinstance(b, Ref) and b.nodes >= LONG_NODES + others)

    def is_foldable_from(self, kinds: Collection[object]) -> bool:
        """Say whether one part of it may be folded: it is one power but for a number, or one of ``kinds`` is a long part."""
        return self._is_single or not self._long.isdisjoint(kinds)


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


def partly_folded(expr: Add, sums: Sequence[Definition]) -> Expr | None:
    """Return a sum with the terms that are a definition's, or minus them, as its name; ``None`` where there are none."""
    for d in sums:
        patterns = d.rhs.children
        if len(patterns) >= len(expr.args) or not references(d.rhs).keys() <= references(expr).keys():
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
    for d in whole:
        if d.name.told and not unnamed.keys().isdisjoint(references(d.rhs)):
            rhs = d.rhs
            while rhs.nodes <= limit and not unnamed.keys().isdisjoint(references(rhs)):
                rhs = replace(rhs, lambda n: unnamed[n.name].at(n.subs) if isinstance(n, Ref) and n.name in unnamed else None)
            if rhs.nodes <= limit:
                yield replace_fields(d, rhs=normal(rhs))
