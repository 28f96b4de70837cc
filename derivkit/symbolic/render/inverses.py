"""Inverses and solutions in print: ``A⁻¹`` and ``A⁻ᵀ`` among arrays, ``A⁻¹_ij`` and ``(A⁻¹ b)_i`` entry by entry."""

from __future__ import annotations

from derivkit.symbolic.arrays import Array
from derivkit.symbolic.expr import Prim, Ref
from derivkit.symbolic.ops_linear import MATRICES
from derivkit.symbolic.render.joins import ATOM, POWER, PRODUCT, Piece, within
from derivkit.symbolic.render.pieces import Piece as Entry
from derivkit.symbolic.render.pieces import Writer, named
from derivkit.symbolic.render.styles import Style
from derivkit.symbolic.render.turned import Done

# -- among arrays -----------------------------------------------------------------------------------------------------------


def inverse(node: Array, done: Done, style: Style) -> Piece | None:
    """Return ``A⁻¹``."""
    piece = done[id(node.args[0])]
    return None if piece is None or node.rank != 2 else Piece(style.inverse(within(piece, ATOM, style)), POWER)


def _matrix(node: Array, done: Done, style: Style) -> Piece | None:
    """Return the inverse of the matrix of a system."""
    matrix = node.args[0]
    if matrix.op == "transpose":
        piece = done[id(matrix.args[0])]
        return None if piece is None else Piece(style.turned_inverse(within(piece, ATOM, style)), POWER)
    piece = done[id(matrix)]
    return None if piece is None else Piece(style.inverse(within(piece, ATOM, style)), POWER)


def solution(node: Array, done: Done, style: Style) -> Piece | None:
    """Return the solution of a system as ``A⁻¹ b``."""
    left, right = _matrix(node, done, style), done[id(node.args[1])]
    if left is None or right is None or node.args[0].rank > 2 or node.rank > 2:
        return None
    return Piece(style.product(left.text, within(right, PRODUCT, style)), PRODUCT)


# -- entry by entry ---------------------------------------------------------------------------------------------------------


def entry(w: Writer, node: Prim) -> Entry | None:
    """Return an operation on matrices read at its subscripts on a page, ``None`` where the general form serves."""
    if node.op not in MATRICES or w.style.name == "program":
        return None
    at = tuple(w.subscript(s) for s in node.at)
    matrix = _name(w, node, 0)
    if node.op == "inv" and matrix is not None:
        shown = w.style.inverse(matrix)
        return Entry(w.style.read(shown if w.style.name == "text" else w.style.paren(shown), at))
    if node.op == "solve":
        right = _name(w, node, 1)
        if matrix is not None and right is not None:
            rest = tuple(w.subscript(s) for s in node.args[1].subs[1:])  # type: ignore[attr-defined]
            shown = w.style.product(w.style.inverse(matrix), right)
            return Entry(w.style.read(w.style.paren(shown), at + rest))
        inner = w.style.call(node.op, tuple(w.text(a) for a in node.args))
        return Entry(w.style.read(w.style.over(inner, ",".join(w.letters_of(node.bound))), at))
    return None


def _name(w: Writer, node: Prim, n: int) -> str | None:
    """Return the name of an argument that is a whole array, its rows first."""
    argument = node.args[n]
    count = 1 if n else 2
    if not isinstance(argument, Ref) or tuple(s.bare for s in argument.subs[:count]) != node.bound[:count]:
        return None
    if (not n and len(argument.subs) != 2) or len(argument.subs) > 2 or any(i.part for i in node.bound):
        return None
    return named(w.style, w.ranks, argument.name, ())


def program(w: Writer, node: Prim) -> str | None:
    """Return program text for what the general form has no words for: a solution, entry by entry."""
    if node.op != "solve":
        return None
    at = w.reads(node.at, [node.bound[1].size])
    if _name(w, node, 0) is not None and _name(w, node, 1) is not None:
        right: Ref = node.args[1]  # type: ignore[assignment]
        rest = tuple(map(w.subscript, right.subs[1:]))
        return f"solve({node.args[0].name}, {right.name})[{','.join((*at, *rest))}]"  # type: ignore[attr-defined]
    row, column = w.letters_of(node.bound)
    taken = {*w.letters.values(), *map(str, w.ranks)}
    other = next(c for c in "pqrstuvwxyzabcdefgh" if c not in taken)
    inner = f"inv[{other},{column}]({_renamed(w, node, other)})"
    return f"sum[{row}]({inner}[{at[0]},{row}] * ({w.text(node.args[1])}))"


def _renamed(w: Writer, node: Prim, letter: str) -> str:
    """Return the text of the matrix with another letter for its row, which the right-hand side has, too."""
    inner = Writer(w.style, {**w.letters, node.bound[0]: letter}, w.ranks, w.writers)
    inner.ranged, inner.shapes = w.ranged, w.shapes
    return inner.whole(node.args[0])
