"""Symmetric matrices among arrays: their transposes are not written, nor those of their inverses."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from functools import reduce

from derivkit.symbolic.arrays.nodes import add, common_number, matmul, mul, number, scalars_first, zeros
from derivkit.symbolic.arrays.transposes import transpose
from derivkit.symbolic.arrays.tree import Array, Numbering, postorder, rebuilt
from derivkit.symbolic.expr import Name

MARK = ("symmetric",)  # the parameter of an inverse, or of a solution, of a matrix that is its own transpose


def symmetrised(root: Array, names: Collection[Name]) -> Array:
    """Return the array without the transposes of matrices that are symmetric, ``names`` being so; such inverses are marked."""
    numbers = Numbering()
    done: dict[int, Array] = {}
    symmetric: set[int] = set()  # value numbers
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        made = node if all(a is b for a, b in zip(args, node.args, strict=True)) else _rebuilt(node, args, numbers)
        made = _mirrored(made, numbers, symmetric)
        if made.op == "transpose" and made.rank == 2 and numbers(made.args[0]) in symmetric:
            made = made.args[0]
        if made.op in ("inv", "solve") and made.args[0].rank == 2 and numbers(made.args[0]) in symmetric:
            made = Array(made.op, made.args, made.shape, MARK)
        if made.rank == 2 and _is_symmetric(made, names, numbers, symmetric):
            symmetric.add(numbers(made))
        done[id(node)] = made
    return done[id(root)]


def _is_symmetric(node: Array, names: Collection[Name], numbers: Numbering, known: Collection[int]) -> bool:
    if node.op == "name":
        return node.params[0] in names
    if node.op in ("eye", "diag", "ones", "zeros"):
        return node.shape[0] == node.shape[1]
    if node.op == "inv":
        return node.params == MARK
    if node.op in ("add", "mul"):
        return all(not a.rank or numbers(a) in known for a in node.args)
    if node.op == "outer":
        return numbers(node.args[0]) == numbers(node.args[1])
    return node.op == "matmul" and _is_mirror(_factors(node, False), numbers, known)


def _rebuilt(node: Array, args: tuple[Array, ...], numbers: Numbering) -> Array:
    """Return a node over other operands; terms that have become equal are counted."""
    if node.op == "mul":
        count: int = node.params[0]  # type: ignore[assignment]
        return mul(args[:count], args[count:])
    if node.op == "matmul":
        return scalars_first(rebuilt(node, args))
    if node.op != "add":
        return rebuilt(node, args)
    terms: dict[int, tuple[Fraction, Array]] = {}
    for sign, arg in zip(node.params, args, strict=True):
        value = numbers(_product(_factors(arg, False)))
        terms[value] = (terms[value][0] if value in terms else Fraction(0)) + Fraction(sign), arg  # type: ignore[call-overload]
    kept = [(c, arg) for c, arg in terms.values() if c]
    return common_number(add([(1, mul([number(c), arg])) for c, arg in kept])) if kept else zeros(node.shape)


_Factors = list[tuple[Array, bool]]


def _factors(node: Array, turned: bool) -> _Factors:
    """Return the matrices of a product, each with whether it is turned, however they are bracketed."""
    if node.op == "transpose" and node.rank == 2:
        return _factors(node.args[0], not turned)
    if node.op == "matmul" and node.rank == 2 and all(a.rank == 2 for a in node.args):
        parts = [_factors(a, turned) for a in node.args]
        return [f for part in (parts[::-1] if turned else parts) for f in part]
    return [(node, turned)]


def _is_mirror(factors: _Factors, numbers: Numbering, known: Collection[int]) -> bool:
    """Say whether a product is its own transpose, factor by factor: H P Hᵀ for a symmetric P."""
    for (left, one), (right, other) in zip(factors, reversed(factors), strict=True):
        value = numbers(left)
        if value != numbers(right) or (one == other and value not in known):
            return False
    return True


def _mirrored(node: Array, numbers: Numbering, known: Collection[int]) -> Array:
    """Return ``(A X)ᵀ X`` as ``Xᵀ A X`` for a symmetric A, so that equal products are written alike."""
    if node.op != "matmul" or node.rank != 2:
        return node
    factors = _factors(node, False)
    if len(factors) < 3 or not _is_mirror(factors, numbers, known):
        return node
    return _product([(f, turned and numbers(f) not in known) for f, turned in factors])


def _product(factors: _Factors) -> Array:
    return reduce(matmul, [transpose(f, (1, 0)) if turned else f for f, turned in factors])
