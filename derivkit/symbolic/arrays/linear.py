"""Inverses, solutions and determinants as array nodes; an inverse that only multiplies becomes a solution.

``inv(A) @ b`` costs more than ``solve(A, b)`` and loses digits, so a kernel never forms an inverse that only multiplies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from derivkit.symbolic.arrays import nodes
from derivkit.symbolic.arrays.contract import Operand, moved
from derivkit.symbolic.arrays.transposes import transpose
from derivkit.symbolic.arrays.tree import Array, NoArrayForm, Numbering, postorder, rebuilt
from derivkit.symbolic.expr import Expr, Name, Prim
from derivkit.symbolic.index import ZERO, Affine

Visit = Callable[[Expr], Operand]
Read = Callable[[Array, Sequence[Affine]], Operand]


def operation(expr: Prim, visit: Visit, read: Read) -> Operand:
    """Return an operation on matrices as an operand: their rows and columns are the last two axes."""
    args = [visit(a) for a in expr.args]
    missing = [i.hint for i in expr.bound if i not in args[0].axes]
    if missing:
        raise NoArrayForm(f"'{missing[0]}' is no axis of the matrix")
    if expr.op == "solve":
        return _solution(expr, args[0], args[1], read)
    batch = tuple(a for a in args[0].axes if a not in expr.bound)
    own = tuple(a for a in args[0].axes if a in expr.bound)  # as they are: the inverse of Aᵀ is that of A, read the other way
    matrix = moved(args[0], (*batch, *own))
    if expr.op == "inv":
        at = dict(zip(expr.bound[::-1], expr.at, strict=True))  # a row of the inverse stands for a column of the matrix
        subs = [*map(Affine.of, batch), at[own[1]], at[own[0]]]
        return read(Array("inv", (matrix,), matrix.shape), subs)
    return Operand(Array(expr.op, (matrix,), matrix.shape[:-2]), batch)


def _solution(expr: Prim, a: Operand, b: Operand, read: Read) -> Operand:
    """Return ``solve(a, b)``: what only b has are columns, all but the last of them a stack as NumPy broadcasts it."""
    row, column = expr.bound
    if row not in b.axes:
        raise NoArrayForm("the right-hand side has no rows")
    batch = tuple(x for x in a.axes if x not in expr.bound)
    extra = tuple(x for x in b.axes if x is not row and x not in batch)
    lead, last = (*extra[:-1], *batch), extra[-1:]
    matrix = moved(a, (*batch, row, column))
    present = [x for x in lead if x in b.axes]
    right = moved(b, (*present, row, *last))
    if lead and not last:
        right = nodes.expand(right, [False] * (len(present) + 1) + [True])
    if present:
        start = lead.index(present[0])
        width = right.rank - len(present)
        right = nodes.expand(right, [x not in b.axes for x in lead[start:]] + [False] * width)
    shape = (*(x.size for x in lead), column.size, *(right.shape[-1:] if lead or last else ()))
    node = Array("solve", (matrix, right), shape)
    if lead and not last:
        node = nodes.index(node, [*([None] * (len(lead) + 1)), ZERO])
    return read(node, [*map(Affine.of, lead), *expr.at, *map(Affine.of, last)])


# -- inverses that only multiply --------------------------------------------------------------------------------------------


def with_solves(roots: Sequence[Array], named: Mapping[Name, Array] | None = None) -> list[Array]:
    """Return the arrays with each inverse that does nothing but multiply replaced by solutions of linear systems.

    ``named`` are inverses with a name of their own that may be written where they are read, if that removes them.
    """
    numbers = Numbering()
    opened = [_opened(root, named or {}) for root in roots]
    kept = _kept(opened, numbers)
    if named:
        unwanted = {n for n, node in named.items() if numbers(node) in kept}
        opened = [_opened(root, {n: x for n, x in named.items() if n not in unwanted}) for root in roots]
        kept = _kept(opened, numbers)
    return [_rewritten(root, lambda node: _solved(node, numbers, kept)) for root in opened]


def _opened(root: Array, named: Mapping[Name, Array]) -> Array:
    return _rewritten(root, lambda n: named.get(n.params[0], n) if n.op == "name" else n) if named else root  # type: ignore[call-overload]


def _rewritten(root: Array, change: Callable[[Array], Array]) -> Array:
    done: dict[int, Array] = {}
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        done[id(node)] = change(node if same else rebuilt(node, args))
    return done[id(root)]


def inverted(node: Array) -> tuple[Array, bool] | None:
    """Return the inverse that a node is, and whether it is turned; ``None`` when it is none."""
    if node.op == "inv":
        return node, False
    last = (*range(node.rank - 2), node.rank - 1, node.rank - 2)
    if node.op == "transpose" and node.params == last and node.args[0].op == "inv":
        return node.args[0], True
    return None


def _kept(roots: Sequence[Array], numbers: Numbering) -> set[int]:
    """Return the value numbers of inverses that are needed themselves: somewhere they do more than multiply."""
    kept: set[int] = set()
    for root in roots:
        for node in (Array("result", (root,), root.shape), *postorder(root)):
            for place, arg in enumerate(node.args):
                found = inverted(arg)
                if found is not None and inverted(node) is None and not _multiplies(node, place):
                    kept.add(numbers(found[0]))
    return kept


def _multiplies(node: Array, place: int) -> bool:
    """Say whether an inverse at ``place`` of a node is the factor of a product that can be solved for."""
    if node.op != "matmul" or inverted(node.args[1 - place]) is not None:
        return False
    return place == 0 or (node.args[1].rank == 2 and node.args[0].rank <= 2)


def _solved(node: Array, numbers: Numbering, kept: set[int]) -> Array:
    if node.op != "matmul":
        return node
    left, right = node.args
    found = inverted(left)
    if found is not None and numbers(found[0]) not in kept:
        return Array("solve", (_matrix(*found), right), node.shape, found[0].params)
    found = inverted(right)
    if found is None or numbers(found[0]) in kept:
        return node
    matrix = _matrix(found[0], not found[1])  # b A⁻¹ is the solution of Aᵀ, turned
    if left.rank == 1:
        return Array("solve", (matrix, left), node.shape, found[0].params)
    return transpose(Array("solve", (matrix, transpose(left, (1, 0))), node.shape[::-1], found[0].params), (1, 0))


def _matrix(inverse: Array, turned: bool) -> Array:
    matrix = inverse.args[0]
    turned = turned and not inverse.params  # a symmetric one is its own transpose
    return transpose(matrix, (*range(matrix.rank - 2), matrix.rank - 1, matrix.rank - 2)) if turned else matrix


def around(node: Array) -> Array:
    """Return ``inv(X).T @ outer(a, b) @ inv(X).T`` for the outer product of what both inverses make of two vectors."""
    if node.op != "outer" or any(a.op != "matmul" for a in node.args):
        return node
    (p, a), (q, b) = (each.args for each in node.args)
    first, second = inverted(p), inverted(q)
    if first is None or second is None or a.rank != 1 or b.rank != 1:
        return node
    if first[1] == second[1] and not first[0].params:  # of a symmetric matrix it is all one
        return node
    numbers = Numbering()
    if numbers(first[0]) != numbers(second[0]):
        return node
    after = q if first[0].params else transpose(q, (1, 0))
    return nodes.matmul(nodes.matmul(p, nodes.outer(a, b)), after)
