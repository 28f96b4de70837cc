"""Square matrices against their own inverses in a product: ``inv(L @ L.T) @ L`` is ``inv(L).T``.

Where a product of square matrices has an inverse, so has each of them.
"""

from __future__ import annotations

from functools import reduce

from derivkit.symbolic.arrays.nodes import matmul
from derivkit.symbolic.arrays.transposes import transpose
from derivkit.symbolic.arrays.tree import Array, Numbering, postorder, rebuilt

Factor = tuple[Array, bool]  # a matrix, and whether it is turned


def factors(node: Array, turned: bool = False) -> list[Factor]:
    """Return the matrices of a product, each with whether it is turned, however they are bracketed."""
    if node.op == "transpose" and node.rank == 2:
        return factors(node.args[0], not turned)
    if node.op == "matmul" and node.rank == 2 and all(a.rank == 2 for a in node.args):
        parts = [factors(a, turned) for a in node.args]
        return [f for part in (parts[::-1] if turned else parts) for f in part]
    return [(node, turned)]


def product(found: list[Factor]) -> Array:
    """Return the product of matrices, bracketed from the left."""
    return reduce(matmul, [transpose(f, (1, 0)) if turned else f for f, turned in found])


def cancelled(root: Array) -> Array:
    """Return the array with the square factors beside an inverse that has them in it gone."""
    if not any(n.op == "inv" and n.args[0].op in ("matmul", "transpose") for n in postorder(root)):
        return root
    numbers = Numbering()
    done: dict[int, Array] = {}
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        made = node if all(a is b for a, b in zip(args, node.args, strict=True)) else rebuilt(node, args)
        done[id(node)] = _shorter(made, numbers) if made.op == "matmul" and made.rank == 2 else made
    return done[id(root)]


def _shorter(node: Array, numbers: Numbering) -> Array:
    found = factors(node)
    changed = True
    count = len(found)
    while changed and len(found) > 1:
        changed = False
        for n in range(len(found) - 1):
            made = _pair(found[n], found[n + 1], numbers)
            if made is not None:
                found[n : n + 2] = [made]
                changed = True
                break
    return node if len(found) == count else product(found)


def _pair(left: Factor, right: Factor, numbers: Numbering) -> Factor | None:
    """Return the inverse that is left of ``P inv(Q P)`` or of ``inv(P Q) P``, ``None`` where nothing cancels."""
    for (inverse, turned), (matrix, way), after in ((right, left, False), (left, right, True)):
        if inverse.op != "inv" or inverse.params or matrix.shape[0] != matrix.shape[1]:
            continue
        inner = factors(inverse.args[0], turned)
        same, flipped = inner[0] if after else inner[-1]
        if len(inner) < 2 or flipped != way or numbers(same) != numbers(matrix):
            continue
        rest = inner[1:] if after else inner[:-1]
        if len(rest) == 1:
            return Array("inv", (rest[0][0],), inverse.shape), rest[0][1]
        return Array("inv", (product(rest),), inverse.shape), False
    return None
