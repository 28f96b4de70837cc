"""Transposes: pushed inwards where fewer of them remain, so that one is written only where it is needed."""

from __future__ import annotations

from collections.abc import Sequence

from derivkit.symbolic.arrays.nodes import expand, eye, matmul, outer
from derivkit.symbolic.arrays.tree import Array

_ENTRYWISE = frozenset({"add", "mul", "pow", "fn"})


def transpose(x: Array, axes: Sequence[int], factor: bool = False) -> Array:
    """Return ``x`` with its axes permuted, the transpose pushed inwards where fewer of them remain.

    A ``factor`` stands in brackets anyhow: there a sum stays as it is, ``(U @ V.T - X).T @ U``.
    """
    axes = tuple(axes)
    if axes == tuple(range(x.rank)):
        return x
    if x.rank == 2:
        cost, made = _transposed(x, 8)
        return made if cost < 1 or not factor or x.op != "add" else _turned(x)
    if x.op == "transpose":
        return transpose(x.args[0], [x.params[a] for a in axes])  # type: ignore[misc]
    return Array("transpose", (x,), tuple(x.shape[a] for a in axes), axes)


def transpose_cost(x: Array, axes: Sequence[int]) -> int:
    """Return how many transposes more (or fewer) ``transpose(x, axes)`` has than ``x``."""
    if tuple(axes) == tuple(range(x.rank)):
        return 0
    return min(1, _transposed(x, 8)[0]) if x.rank == 2 else 1


def _transposed(x: Array, depth: int) -> tuple[int, Array]:
    """Return the matrix ``x`` transposed, and the change in their number: pushed inwards where that reads better."""
    plain = (1, _turned(x))
    if x.op == "transpose":
        return -1, x.args[0]
    if x.op == "inv":
        return 0, x if x.params else plain[1]  # X⁻ᵀ reads as well as X⁻¹; of a symmetric matrix it is the same
    if x.op in ("diag", "eye"):
        return 0, (x if x.op == "diag" else eye(x.shape[1], x.shape[0]))
    if x.op in ("ones", "zeros"):
        return 0, Array(x.op, (), (x.shape[1], x.shape[0]))
    if x.op == "outer":
        return 0, outer(x.args[1], x.args[0])
    if depth == 0:
        return plain
    if x.op == "matmul" and x.args[0].rank == 2 and x.args[1].rank == 2:
        (c1, a), (c2, b) = (_transposed(y, depth - 1) for y in x.args)
        return (c1 + c2, matmul(b, a)) if c1 + c2 < 1 or (c1 + c2 <= 2 and _around_inverse(x)) else plain
    if x.op in _ENTRYWISE and len(x.args) <= 8:
        pairs = [_turned_operand(a, x, depth - 1) for a in x.args]
        cost = sum(c for c, _ in pairs)
        if cost == 1 and x.op != "mul" and sum(a.rank > 0 for a in x.args) == 1:
            return plain  # step(H).T and (1 - H**2).T, not step(H.T) and 1 - H.T**2
        if cost <= 1 or sum(a.rank > 0 for a in x.args) == 1:  # 2 * X.T, not (2 * X).T; X.T * r, not (r[:, None] * X).T
            return cost, Array(x.op, tuple(a for _, a in pairs), (x.shape[1], x.shape[0]), x.params)
    return plain


def _turned_operand(a: Array, x: Array, depth: int) -> tuple[int, Array]:
    """Return an operand of the entrywise ``x`` as that of its transpose: what was a column needs no axis, a row one more."""
    if a.rank == 0:
        return 0, a
    if a.shape == x.shape:
        return _transposed(a, depth)
    if a.op == "expand" and a.params == (False, True):
        return 0, a.args[0]
    if a.rank == 1 and a.shape[0] == x.shape[1]:
        return 1, expand(a, (False, True))
    return 2, Array("transpose", (a,), a.shape[::-1], (1, 0))


def _turned(x: Array) -> Array:
    return Array("transpose", (x,), (x.shape[1], x.shape[0]), (1, 0))


def _around_inverse(x: Array) -> bool:
    """Say whether a factor is an inverse: X⁻ᵀ Aᵀ Bᵀ X⁻ᵀ is written, not (X⁻¹ B A X⁻¹)ᵀ."""
    if x.op == "transpose":
        return _around_inverse(x.args[0])
    return x.op == "inv" or (x.op == "matmul" and any(_around_inverse(a) for a in x.args))
