"""Symmetric matrices among arrays: their transposes are not written, nor those of their inverses."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from derivkit.symbolic.arrays.cancel import Factor, factors, product
from derivkit.symbolic.arrays.nodes import add, common_number, mul, number, scalars_first, zeros
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
        made = _turned(made, numbers, symmetric)
        if made.op in ("inv", "solve") and made.args[0].rank == 2 and numbers(made.args[0]) in symmetric:
            made = Array(made.op, made.args, made.shape, MARK)
        if made.rank == 2 and _is_symmetric(made, names, numbers, symmetric):
            symmetric.add(numbers(made))
        done[id(node)] = made
    return done[id(root)]


def _turned(node: Array, numbers: Numbering, known: Collection[int]) -> Array:
    """Return ``(H P)ᵀ`` as ``P Hᵀ`` where P is symmetric, for no transpose more."""
    if node.op != "transpose" or node.rank != 2:
        return node
    found = factors(node)
    plain = [(f, turned and numbers(f) not in known) for f, turned in found]
    before = 1 + sum(not turned for _, turned in found)
    return product(plain) if plain != found and sum(turned for _, turned in plain) <= before else node


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
    return node.op == "matmul" and _is_mirror(factors(node), numbers, known)


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
        value = numbers(product(factors(arg)))
        terms[value] = (terms[value][0] if value in terms else Fraction(0)) + Fraction(sign), arg  # type: ignore[call-overload]
    kept = [(c, arg) for c, arg in terms.values() if c]
    return common_number(add([(1, mul([number(c), arg])) for c, arg in kept])) if kept else zeros(node.shape)


def _is_mirror(found: list[Factor], numbers: Numbering, known: Collection[int]) -> bool:
    """Say whether a product is its own transpose, factor by factor: H P Hᵀ for a symmetric P."""
    for (left, one), (right, other) in zip(found, reversed(found), strict=True):
        value = numbers(left)
        if value != numbers(right) or (one == other and value not in known):
            return False
    return True


def _mirrored(node: Array, numbers: Numbering, known: Collection[int]) -> Array:
    """Return ``(A X)ᵀ X`` as ``Xᵀ A X`` for a symmetric A, so that equal products are written alike."""
    if node.op != "matmul" or node.rank != 2:
        return node
    found = factors(node)
    if len(found) < 3 or not _is_mirror(found, numbers, known):
        return node
    return product([(f, turned and numbers(f) not in known) for f, turned in found])
