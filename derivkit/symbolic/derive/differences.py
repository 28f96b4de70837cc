"""The differences that a program has in it, ``Xhat − X`` or ``x − m``: a reader knows them, so they are kept and kept alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from derivkit.symbolic.elementary import number_of
from derivkit.symbolic.expr import Add, Const, Delta, Expr, Inside, Mul, Name, Num, Ref, SizeOf, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.normal import mul, negative, normal, num

LONGEST = 30  # nodes


@dataclass(frozen=True)
class Differences:
    """The differences of a program: what they look like, whatever their indices, and the sets of names in them."""

    looks: frozenset[int] = frozenset()
    names: frozenset[frozenset[Name]] = frozenset()
    _met: dict[Expr, bool] = field(init=False, default_factory=dict, repr=False, compare=False)

    def has(self, expr: Add) -> bool:
        """Say whether a sum is one of them, or minus one."""
        found = self._met.get(expr)
        if found is None:
            found = frozenset(expr.reads) in self.names and is_difference(expr)
            found = found and (outline(expr) in self.looks or outline(negative(expr)) in self.looks)
            self._met[expr] = found
        return found


def differences(definitions: Iterable[Definition]) -> Differences:
    """Return the differences that stand in the right sides of a program."""
    own = [d for d in definitions if d.name.kind in ("user", "anon")]
    found = [n for d in own for n in walk(d.rhs) if isinstance(n, Add) and is_difference(n)]
    return Differences(frozenset(map(outline, found)), frozenset(frozenset(n.reads) for n in found))


def is_difference(expr: Expr) -> bool:
    """Say whether a short sum has terms of both signs and no number: what is left between two things."""
    if not isinstance(expr, Add) or expr.nodes > LONGEST or any(isinstance(t, Num) for t in expr.args):
        return False
    return 0 < sum(map(_is_minus, expr.args)) < len(expr.args)


def outline(expr: Expr) -> int:
    """Return a number that equal expressions share, whatever their indices and the order of terms and factors."""
    if isinstance(expr, Ref):
        return hash(expr.name)
    if isinstance(expr, Num | SizeOf | Const):
        return hash(expr)
    if isinstance(expr, Delta | Inside):
        return hash(type(expr).__name__)
    inner = [outline(c) for c in expr.children]
    return hash((type(expr).__name__, getattr(expr, "op", ""), *(sorted(inner) if isinstance(expr, Add | Mul) else inner)))


def alike(expr: Expr, known: Differences) -> Expr:
    """Return ``expr`` with a − b for b − a where both are in it, as the program has it: −(x − m)(x − m)ᵀ."""
    found = [n for n in walk(expr) if isinstance(n, Add) and is_difference(n)]
    if len(found) < 2:
        return expr
    opposite = {outline(n): outline(negative(n)) for n in found}
    turned: set[int] = set()
    for one, other in opposite.items():
        if other in opposite and other != one and one not in turned and other not in turned:
            turned.add(one if other in known.looks else other)
    return _turned(expr, turned) if turned else expr


def _turned(expr: Expr, looks: Collection[int]) -> Expr:
    if is_difference(expr) and outline(expr) in looks:
        return mul((num(-1), negative(expr)))
    if not expr.children:
        return expr
    children = tuple(_turned(c, looks) for c in expr.children)
    return expr if all(a is b for a, b in zip(children, expr.children, strict=True)) else normal(expr.rebuilt(children))


def _is_minus(term: Expr) -> bool:
    return number_of(term) < 0
