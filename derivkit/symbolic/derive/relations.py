"""Definitions that are products: ``p = e/Z`` says what a product with e and 1/Z in it is, and one with p and Z.

A product beside a number, as in ``D = 1 − 2 Σ p g / S``, is one too: that of 1 − D.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from derivkit.symbolic.expr import ONE_EXPR, Add, Expr, Name, Num, Pow, Ref, references
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.normal import add, coefficient, factors_of, negative

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
