"""Looking at expressions and behind names: what the rows of stable forms have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from derivkit.symbolic.expr import ONE_EXPR, Add, Expr, Fn, Name, Num, Pow, Prim, Ref, Sum, key, references, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.normal import coefficient, negative, scaled


@dataclass(frozen=True, slots=True)
class Look:
    """Looks behind names."""

    done: dict[Name, Definition]
    elementwise: dict[Name, bool] = field(default_factory=dict)
    halves: set[int] = field(default_factory=set)  # the z of which 1 + tanh(z) became a sigmoid

    def through(self, expr: Expr) -> Expr:
        """Return what a name stands for, again and again; another expression as it is."""
        while isinstance(expr, Ref) and expr.name in self.done:
            expr = self.done[expr.name].at(expr.subs)
        return expr

    def opened(self, expr: Expr, names: set[Name]) -> Expr:
        """Return ``expr`` with the ``names`` in it replaced by their right sides."""
        if isinstance(expr, Ref):
            return self.done[expr.name].at(expr.subs) if expr.name in names else expr
        return expr.rebuilt(tuple(self.opened(c, names) for c in expr.children)) if expr.children else expr

    def is_given(self, expr: Expr) -> bool:
        """Return whether ``expr`` is computed from inputs entry by entry: no sum and no softmax is behind it."""
        if any(isinstance(node, Sum | Prim) for node in walk(expr)):
            return False
        return all(self._named(name) for name in references(expr))

    def _named(self, name: Name) -> bool:
        if name not in self.elementwise:
            self.elementwise[name] = name not in self.done or self.is_given(self.done[name].rhs)
        return self.elementwise[name]


def argument_of(expr: Expr, op: str) -> Expr | None:
    """Return the argument where ``expr`` is the function ``op`` of one."""
    return expr.args[0] if isinstance(expr, Fn) and expr.op == op and len(expr.args) == 1 else None


def minus(expr: Expr) -> Expr:
    """Return minus ``expr``, a factor in front."""
    return scaled(-1, expr)


def logit_of(expr: Expr, look: Look) -> Expr | None:
    """Return the logit of a sigmoid, of a name for one, or of 1 minus one."""
    seen = look.through(expr)
    logit = argument_of(seen, "sigmoid")
    if logit is not None:
        return logit
    if isinstance(seen, Add) and len(seen.args) == 2 and ONE_EXPR in seen.args:
        (other,) = [a for a in seen.args if a != ONE_EXPR] or [ONE_EXPR]
        logit = argument_of(look.through(minus(other)), "sigmoid")
        return None if logit is None else minus(logit)
    return None


def base_and_power(expr: Expr) -> tuple[Expr, Fraction]:
    """Return a power's base and its exponent, 1 for what is no power of a number."""
    if not (isinstance(expr, Pow) and isinstance(expr.exponent, Num)):
        return expr, Fraction(1)
    base, e = base_and_power(expr.base)  # (x^a)^b, as the reader leaves 1 / x^a
    both = e * expr.exponent.value
    return (base, both) if e.denominator * expr.exponent.value.denominator == 1 or e == 1 else (expr.base, expr.exponent.value)


def opposite(one: Expr, other: Expr) -> Fraction:
    """Return how often ``one`` is minus ``other``, 0 when it is no multiple."""
    if key(negative(one)) == key(negative(negative(other))):
        return Fraction(1)
    (c, z), (d, w) = coefficient(one), coefficient(other)
    return -c / d if key(z) == key(w) else Fraction(0)


def beside(expr: Expr, number: int) -> Expr | None:
    """Return the other term of a sum of two, one of which is the ``number``."""
    if isinstance(expr, Add) and len(expr.args) == 2 and Num(number) in expr.args:
        return next((a for a in expr.args if a != Num(number)), None)
    return None
