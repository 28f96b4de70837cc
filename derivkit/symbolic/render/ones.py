"""Terms of other shapes in a sum of arrays: what is repeated is written with ones, ``X Wᵀ + 𝟏 bᵀ``, ``I − 𝟏 𝟏ᵀ/D``."""

from __future__ import annotations

from derivkit.symbolic.arrays import Array, postorder
from derivkit.symbolic.arrays.nodes import parts, reduce
from derivkit.symbolic.index import ONE
from derivkit.symbolic.render.joins import PRODUCT, Piece, before_factor, within
from derivkit.symbolic.render.styles import Style
from derivkit.symbolic.render.turned import Done, Write, turned


def term(arg: Array, node: Array, done: Done, style: Style, write: Write) -> Piece | None:
    """Return a term of the sum ``node``; under a matrix a row, a column and a number are repeated by ones.

    A number under the entries of a vector is written as it is; beside a matrix it would be read as a multiple of I.
    """
    piece = done[id(arg)]
    if arg.shape == node.shape or (node.rank == 1 and all(n == ONE for n in arg.shape)):
        return piece
    if node.rank != 2:
        return None
    if all(n == ONE for n in arg.shape):
        return None if piece is None else _number(arg, piece, node, done, style, write)
    row_of_ones = style.transposed(style.ones)
    vector = column_of(arg)
    if vector is not None:
        column = written(vector, done, style, write)[id(vector)]
        return (
            None
            if column is None
            else Piece(style.product(before_factor(within(column, PRODUCT, style), style), row_of_ones), PRODUCT)
        )
    if piece is None:
        return None
    if arg.rank == 2 and arg.shape[1] == ONE:  # sum(G, axis=1) under each column
        return Piece(style.product(before_factor(within(piece, PRODUCT, style), style), row_of_ones), PRODUCT)
    row = piece if arg.rank == 2 else turned(arg, done, style, write)
    return None if row is None else Piece(style.product(style.ones, within(row, PRODUCT, style)), PRODUCT)


def column_of(arg: Array) -> Array | None:
    """Return the vector of which an array is the column: ``a[:, None]``, also where ``a`` is a product or a quotient."""
    if arg.op == "expand" and arg.params == (False, True):
        return arg.args[0]
    if arg.op == "reduce" and arg.params[1] == (1,) and arg.params[2]:
        return reduce(str(arg.params[0]), arg.args[0], (1,))
    if arg.op not in ("add", "mul", "pow", "fn") or arg.rank != 2 or arg.shape[1] != ONE:
        return None
    parts_ = [a if not a.rank else column_of(a) for a in arg.args]
    known = tuple(a for a in parts_ if a is not None)
    return Array(arg.op, known, arg.shape[:1], arg.params) if len(known) == len(parts_) else None


def written(root: Array, done: Done, style: Style, write: Write) -> Done:
    """Return the pieces with those of an array that no other reads."""
    made = dict(done)
    for node in postorder(root):
        if id(node) not in made:
            made[id(node)] = write(node, made, style)
    return made


def _number(arg: Array, piece: Piece, node: Array, done: Done, style: Style, write: Write) -> Piece | None:
    """Return a number times the matrix of ones."""
    ones = Array("turned", (), node.shape)
    made: dict[int, Piece | None] = {**done, id(ones): Piece(all_ones(style), PRODUCT)}
    above, below = parts(arg) if not arg.rank else ((arg,), ())
    if arg.rank:
        scalar = Array("turned", (), ())
        made[id(scalar)], above = piece, (scalar,)
    factors = tuple(a for a in above if a.op != "number" or a.params[0] != 1)
    return write(Array("mul", (*factors, ones, *below), node.shape, (len(factors) + 1,)), made, style)


def all_ones(style: Style) -> str:
    """Return the matrix of ones, ``𝟏 𝟏ᵀ``."""
    return f"{style.ones} {style.transposed(style.ones)}"
