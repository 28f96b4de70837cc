"""What formulas of arrays are joined from: a text and how tightly it binds, brackets, transposes, quotients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivkit.symbolic.render.styles import Style

#: How tightly a formula binds: a sum, an entrywise product, a product, a power, a letter.
SUM, ENTRYWISE, PRODUCT, POWER, ATOM = range(5)


class Piece(NamedTuple):
    """A formula and how tightly it binds."""

    text: str
    binds: int = ATOM


def within(piece: Piece, least: int, style: Style) -> str:
    """Return the formula, in parentheses where it binds less tightly than ``least``."""
    return piece.text if piece.binds >= least else style.paren(piece.text)


def transposed(piece: Piece, style: Style) -> Piece:
    """Return the transpose: ``Wᵀ``, ``(A x)ᵀ``."""
    mark = "ᵀ" if style.name == "text" else r"^\top"
    return Piece(within(piece, ATOM, style) + mark, POWER)


def quotient(top: str, bottom: Piece, style: Style) -> Piece:
    """Return a quotient: a fraction, or in one line ``(a + b)/(c d)``."""
    if style.fraction is not None:
        return Piece(style.fraction(top, bottom.text))
    return Piece(f"{top}/{within(bottom, POWER, style)}", PRODUCT)


class Ones(NamedTuple):
    """The vector of ones, as a column and as a row."""

    column: str
    transposed: str


ONES = {"text": Ones("𝟏", "𝟏ᵀ"), "latex": Ones(r"\mathbf{1}", r"\mathbf{1}^\top")}


def axis_option(axes: Sequence[int], style: Style) -> str:
    """Return ``, axis=1`` as it follows an argument."""
    word = ", ".join(map(str, axes))
    word = word if len(axes) == 1 else f"({word})"
    return f", axis={word}" if style.name == "text" else rf", \mathrm{{axis}}{{=}}{word}"


def norm(inner: str, rank: int, style: Style) -> str:
    """Return a norm: ``‖x‖``, of a matrix ``‖X‖_F``."""
    frobenius = "_F" if rank == 2 else ""
    return (f"‖{inner}‖" if style.name == "text" else rf"\lVert {inner} \rVert") + frobenius
