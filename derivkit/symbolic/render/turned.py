"""Transposes of formulas, pushed inwards where that reads better: ``2 rᵀ X``, not ``(2 Xᵀ r)ᵀ``; ``xᵀ (A + Aᵀ)``.

The transpose of a column is a row.  It goes over scalars, sums and products as long as that takes no more marks ᵀ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from derivkit.symbolic.arrays import Array
from derivkit.symbolic.index import ONE
from derivkit.symbolic.render.joins import ATOM, POWER, PRODUCT, Piece, transposed, within
from derivkit.symbolic.render.styles import Style

Done = Mapping[int, Piece | None]
Write = Callable[[Array, Done, Style], Piece | None]

_DEPTH = 8


def turned(node: Array, done: Done, style: Style, write: Write, depth: int = _DEPTH) -> Piece | None:
    """Return the transpose of a vector (a row) or a matrix; ``write`` writes one node from the pieces of its operands."""
    piece = done[id(node)]
    if piece is None or node.op in ("diag", "eye", "zeros"):
        return piece
    if node.op == "transpose":
        return done[id(node.args[0])]
    if node.op == "ones" and node.rank == 1:
        return Piece(style.transposed(style.ones), POWER)
    plain = transposed(piece, style)
    pusher = _PUSHERS.get(node.op)
    pushed = pusher(node, done, style, write, depth - 1) if pusher is not None and depth and node.rank in (1, 2) else None
    if pushed is None:
        return plain
    more = _marks(pushed, style) - _marks(plain, style)
    return pushed if more <= _allowed(node, done) else plain


def _allowed(node: Array, done: Done) -> int:
    """Return how many more marks the pushed form may have: one where it saves brackets around brackets or a long product."""
    scaled = any(not a.rank for a in node.args)
    if node.op in ("fn", "pow") or (node.op == "mul" and not scaled):
        return -1
    if node.op == "add" and any(a.shape != node.shape for a in node.args):
        return -1  # (X − 𝟏 μᵀ)ᵀ beside X − 𝟏 μᵀ, not Xᵀ − μ 𝟏ᵀ
    if node.op == "matmul":
        pieces = [done[id(a)] for a in node.args]
        whole = done[id(node)]
        nested = whole is not None and "(" in whole.text and any(a.op == "matmul" for a in node.args)
        return int(nested or any(p is not None and p.binds < PRODUCT for p in pieces))
    return int(node.op == "mul")  # what is scaled was weighed by itself


def _marks(piece: Piece, style: Style) -> int:
    return piece.text.count(style.top) - piece.text.count(f"⁻{style.top}")  # X⁻ᵀ reads as well as X⁻¹


def _matmul(node: Array, done: Done, style: Style, write: Write, depth: int) -> Piece | None:
    a, b = node.args
    if a.rank > 2 or b.rank > 2:
        return None
    if a.rank == 1:  # the column Bᵀ a is the row aᵀ B
        left, right = turned(a, done, style, write, depth), done[id(b)]
    else:
        left, right = turned(b, done, style, write, depth), turned(a, done, style, write, depth)
        product = done[id(a)] if a.op == "matmul" else None
        if product is not None and right == transposed(product, style):
            return None  # (X W Wᵀ)ᵀ, not W (X W)ᵀ
    if left is None or right is None:
        return None
    return Piece(style.product(within(left, PRODUCT, style), within(right, PRODUCT, style)), PRODUCT)


def _outer(node: Array, done: Done, style: Style, write: Write, depth: int) -> Piece | None:
    column, row = done[id(node.args[1])], turned(node.args[0], done, style, write, depth)
    if column is None or row is None:
        return None
    return Piece(style.product(within(column, PRODUCT, style), within(row, PRODUCT, style)), PRODUCT)


def _entries(node: Array, done: Done, style: Style, write: Write, depth: int) -> Piece | None:
    """Return the same operation on the transposes of its operands."""
    if node.rank == 1 and node.op in ("fn", "pow"):
        return None
    if node.op == "mul" and node.rank:
        whole = _scaled(node, done, style, write, depth)
        if whole is not None:
            return whole
    made: dict[int, Piece | None] = dict(done)
    args = tuple(_operand(arg, node, made, style, write, depth) for arg in node.args)
    if any(a is None for a in args):
        return None
    found = [a for a in args if a is not None]
    if node.op == "add" and all(a.shape == node.shape for a in node.args):
        texts = [_signed_texts(node, pieces) for pieces in ([made[id(a)] for a in found], [done[id(a)] for a in node.args])]
        if texts[0] == texts[1]:
            return done[id(node)]  # A + Aᵀ is its own transpose
    return write(Array(node.op, tuple(found), node.shape[::-1], node.params), made, style)


def _signed_texts(node: Array, pieces: list[Piece | None]) -> list[tuple[str, str]]:
    return sorted((str(sign), piece.text if piece else "") for sign, piece in zip(node.params, pieces, strict=True))


def _scaled(node: Array, done: Done, style: Style, write: Write, depth: int) -> Piece | None:
    """Return a scalar times the transpose of the rest, or ``None`` when there is no scalar."""
    count: int = node.params[0]  # type: ignore[assignment]
    pairs = [(a, n >= count) for n, a in enumerate(node.args)]
    arrays = [(a, below) for a, below in pairs if a.rank]
    scalars = [(a, below) for a, below in pairs if not a.rank]
    if not scalars:
        return None
    core = arrays[0][0] if len(arrays) == 1 and not arrays[0][1] else _product(arrays, node)
    made = dict(done)
    if core.op == "mul" and id(core) not in made:
        made[id(core)] = write(core, done, style)
    leaf = Array("turned", (), node.shape[::-1])
    made[id(leaf)] = None if made[id(core)] is None or core.shape != node.shape else turned(core, made, style, write, depth)
    if made[id(leaf)] is None:
        return None
    return write(_product([*scalars, (leaf, False)], leaf), made, style)


def _product(pairs: list[tuple[Array, bool]], like: Array) -> Array:
    above, below = [a for a, under in pairs if not under], [a for a, under in pairs if under]
    return Array("mul", (*above, *below), like.shape, (len(above),))


def _operand(arg: Array, node: Array, made: dict[int, Piece | None], style: Style, write: Write, depth: int) -> Array | None:
    """Return a leaf that stands for the transpose of an operand, its piece in ``made``; a row becomes a column."""
    if not arg.rank:
        return arg
    if arg.shape == node.shape:
        leaf = Array("turned", (), arg.shape[::-1])
        made[id(leaf)] = turned(arg, made, style, write, depth)
    elif node.rank == 2 and arg.rank == 1:
        repeated = Array("expand", (arg,), (arg.shape[0], ONE), (False, True))
        made[id(repeated)] = None  # written with its operand
        return repeated
    elif arg.op == "expand" and arg.params == (False, True):
        return arg.args[0]
    elif arg.rank == 2 and arg.shape[1] == ONE:
        leaf = Array("turned", (), arg.shape[:1])
        made[id(leaf)] = made[id(arg)]
    else:
        return None
    return leaf if made[id(leaf)] is not None else None


def _inverse(node: Array, done: Done, style: Style, _: Write, __: int) -> Piece | None:
    """Return ``A⁻ᵀ``, of a symmetric matrix ``A⁻¹``."""
    if node.params:
        return done[id(node)]
    piece = done[id(node.args[0])]
    return None if piece is None else Piece(style.turned_inverse(within(piece, ATOM, style)), POWER)


def _solution(node: Array, done: Done, style: Style, write: Write, depth: int) -> Piece | None:
    """Return the solution of a system, turned: ``bᵀ A⁻ᵀ``."""
    matrix = node.args[0]
    base = matrix.args[0] if matrix.op == "transpose" else matrix
    piece, row = done[id(base)], turned(node.args[1], done, style, write, depth)
    if piece is None or row is None:
        return None
    mark = style.inverse if matrix.op == "transpose" or node.params else style.turned_inverse
    return Piece(style.product(within(row, PRODUCT, style), mark(within(piece, ATOM, style))), PRODUCT)


_PUSHERS: dict[str, Callable[[Array, Done, Style, Write, int], Piece | None]] = {
    "matmul": _matmul,
    "outer": _outer,
    "inv": _inverse,
    "solve": _solution,
    "add": _entries,
    "mul": _entries,
    "fn": _entries,
    "pow": _entries,
}
