"""Solving δ(left, right) for a bound index: which index it fixes, at what value, and whether that value is in range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from derivkit.symbolic.index import ONE, Affine, Index, Size
from derivkit.symbolic.nodes import Add, Delta, Expr, Fn, Mul, Num, Pow, Prim, Ref, Sum
from derivkit.symbolic.ranges import is_beyond, is_within

RENAME, IN_RANGE, OPEN = 0, 1, 2


class Solution(NamedTuple):
    """A bound index that a δ fixes: a ``preference`` (the smaller the better), the index and its value."""

    preference: int
    bound: Index
    value: Affine


def solutions(delta: Delta, indices: tuple[Index, ...]) -> Iterator[Solution]:
    """Yield what ``delta`` fixes among the bound ``indices``, in their order.

    Preferred is an index of equal size (or one that runs over all positions which several indices have together, as in a
    reshape); then a value that is in range by itself; else the summand or an indicator must see to the range.
    """
    gap = delta.left - delta.right
    kept = _digits_to_keep(delta, indices)
    for index in indices:
        c = gap.coefficient(index).literal
        if c not in {1, -1} or index in kept or any(index in a.free for a, _ in gap.terms if a is not index):  # type: ignore[attr-defined]
            continue
        value = (Affine.of(index) - gap) if c == 1 else (gap + index)
        bare, places = value.bare, row_major_places(value)
        if (bare is not None and bare.size == index.size) or (places is not None and places[1] == index.size):
            yield Solution(RENAME, index, value)
        elif _is_position(delta, value, index) or _is_label(value) or is_within(value, index.size):
            yield Solution(IN_RANGE, index, value)  # a position that the program may read, or a label: in range by declaration
        else:
            yield Solution(OPEN, index, value)


def _is_position(delta: Delta, value: Affine, index: Index) -> bool:
    """Say whether a value is a position as the program reads it: of δ(0, i+1) it is one that nobody reads, −1."""
    written = any(value == side and not side.part for side in (delta.left, delta.right))
    return value.constant is not None and written and not is_beyond(value, index.size)


def _is_label(value: Affine) -> bool:
    """Say whether a subscript is just a label, not one shifted or scaled out of its range."""
    if value.const.terms or len(value.terms) != 1:
        return False
    atom, coefficient = value.terms[0]
    return coefficient == ONE and not isinstance(atom, Index)


def vanishes(expr: Expr, index: Index) -> bool:
    """Say whether an expression is 0 by itself whenever ``index`` is out of its range: it reads arrays barely at it."""
    if isinstance(expr, Ref | Prim):
        subs = expr.subs if isinstance(expr, Ref) else expr.at
        return not index.part and any(s.bare is index and not s.part for s in subs)
    if isinstance(expr, Mul):
        return any(vanishes(factor, index) for factor in expr.args)
    if isinstance(expr, Add):
        return all(vanishes(term, index) for term in expr.args)
    if isinstance(expr, Sum):
        return vanishes(expr.body, index)
    positive = isinstance(expr, Pow) and isinstance(expr.exponent, Num) and expr.exponent.value > 0
    return positive and vanishes(expr.children[0], index)


def reads_as_zero(expr: Expr, index: Index) -> bool:
    """Say whether ``expr`` may be read out of range of ``index`` as it stands: an array at it, or a product with one.

    A sum of terms gets a name instead, and so does a quotient of arrays, which out of range is 0/0 and not 0.
    """
    factors = expr.args if isinstance(expr, Mul) else (expr,)
    return any(isinstance(f, Ref) and vanishes(f, index) for f in factors) and not is_rough(expr, index)


def is_rough(expr: Expr, index: Index, opened: bool = False) -> bool:
    """Say whether an expression may have no value where ``index`` is out of its range, as a quotient of arrays: 0/0.

    With ``opened`` a name counts as what it stands for, where its subscript tells; by itself a name has a value everywhere.
    """
    if index not in expr.free:
        return False
    if isinstance(expr, Ref):
        return opened and any(s.bare is index and s.part > 1 for s in expr.subs)
    if isinstance(expr, Pow) and not (isinstance(expr.exponent, Num) and expr.exponent.value > 0):
        return True
    if isinstance(expr, Fn | Prim) and expr.op in _SINGULAR_AT_ZERO:
        return True
    return any(is_rough(child, index, opened) for child in expr.children)


_SINGULAR_AT_ZERO = frozenset({"log", "inv", "solve", "logdet"})


def may_leave(sub: Affine, index: Index) -> bool:
    """Say whether a subscript in the place of ``index`` may be out of its range; a label never is, nor is a written position."""
    bare = sub.bare
    if bare is not None and bare.size == index.size:
        return False
    if _is_label(sub) or is_within(sub, index.size):
        return False
    return sub.constant is None or bool(sub.part) or is_beyond(sub, index.size)


# -- several indices as one: the positions of a reshape ------------------------------------------------------------------


def row_major_places(sub: Affine) -> tuple[frozenset[Index], Size] | None:
    """Return (indices, number of positions) of a subscript such as ``W*a + b`` with b < W, that takes each position once.

    >>> a, b = Index("a", Size.of("H")), Index("b", Size.of("W"))
    >>> str(row_major_places(Affine.of(a).scaled(Size.of("W")) + b)[1]), row_major_places(Affine.of(a).scaled(2) + b)
    ('H*W', None)
    """
    if sub.const.terms or len(sub.terms) < 2:
        return None
    places = ONE
    strides = {coefficient: atom for atom, coefficient in sub.terms if isinstance(atom, Index)}
    for _ in sub.terms:
        atom = strides.pop(places, None)
        if atom is None:
            return None
        places = places * atom.size
    return frozenset(sub.indices()), places


def matched_digits(left: Affine, right: Affine) -> list[tuple[Index, Index]]:
    """Return which indices must agree for two such subscripts to agree: ``W*a + b`` and ``W*c + d``, with b, d < W."""
    if row_major_places(left) is None or row_major_places(right) is None:
        return []
    digits = {(coefficient, atom.size): atom for atom, coefficient in right.terms if isinstance(atom, Index)}
    pairs = [(a, digits.get((c, a.size))) for a, c in left.terms if isinstance(a, Index)]
    found = [(a, b) for a, b in pairs if b is not None]
    return found if len(found) == len(left.terms) == len(right.terms) else []


def _digits_to_keep(delta: Delta, indices: tuple[Index, ...]) -> frozenset[Index]:
    """Return the bound indices that together have one position each: solving for one of them would tear them apart."""
    kept: frozenset[Index] = frozenset()
    for side, other in ((delta.left, delta.right), (delta.right, delta.left)):
        places = row_major_places(side)
        if places is None or not places[0].issubset(indices) or not places[0].isdisjoint(other.free):
            continue
        beside, bare = row_major_places(other), other.bare
        if (beside is not None and beside[1] == places[1]) or (bare is not None and bare.size == places[1]):
            kept = kept | places[0]
    return kept
