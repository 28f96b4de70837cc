"""Symmetric matrices among arrays: their transposes are not written, nor those of their inverses."""

from __future__ import annotations

from collections.abc import Collection

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
        made = node if all(a is b for a, b in zip(args, node.args, strict=True)) else rebuilt(node, args)
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
    if node.op == "matmul":
        left, right = node.args
        if left.op == "matmul" and numbers(left.args[1]) in known:  # H P Hᵀ
            left = left.args[0]
        return left.rank == right.rank == 2 and numbers(transpose(left, (1, 0))) == numbers(right)
    return False
