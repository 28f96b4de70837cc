"""What formulas of arrays are joined from: a text and how tightly it binds, brackets, transposes, quotients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivkit.symbolic.render.styles import Style

#: How tightly a formula binds: a sum, an entrywise product, a product, a power, a letter.
SUM, ENTRYWISE, PRODUCT, POWER, ATOM = range(5)


class Piece(NamedTuple):
    """A formula and how tightly it binds; ``loose`` is how a sum is written among entries, ``1 − H ⊙ H`` with no 𝟏 𝟏ᵀ."""

    text: str
    binds: int = ATOM
    loose: str = ""


def within(piece: Piece, least: int, style: Style) -> str:
    """Return the formula, in parentheses where it binds less tightly than ``least``."""
    return piece.text if piece.binds >= least else style.paren(piece.text)


def entrywise(piece: Piece) -> Piece:
    """Return the formula as an operand of an entrywise operation, where a number stands under each entry."""
    return Piece(piece.loose, piece.binds) if piece.loose else piece


def transposed(piece: Piece, style: Style) -> Piece:
    """Return the transpose: ``Wᵀ``, ``(A x)ᵀ``."""
    return Piece(style.transposed(within(piece, ATOM, style)), POWER)


def quotient(top: str, bottom: Piece, style: Style) -> Piece:
    """Return a quotient: a fraction, or in one line ``(a + b)/(c d)``."""
    if style.fraction is not None:
        return Piece(style.fraction(top, bottom.text))
    return Piece(f"{top}/{within(bottom, POWER, style)}", PRODUCT)


def before_factor(text: str, style: Style) -> str:
    """Return a formula as a factor follows it: ``(N/2) logdet(S)``, which is not N over all that follows."""
    return style.paren(text) if style.fraction is None and _ends_in_quotient(text) else text


def _ends_in_quotient(text: str) -> bool:
    """Say whether a text ends in what stands below a stroke, outside of brackets."""
    depth = 0
    for character in reversed(text):
        depth += (character in ")]}") - (character in "([{")
        if depth == 0 and character in "/ ":
            return character == "/"
    return False


def axis_option(axes: Sequence[int], style: Style) -> str:
    """Return ``, axis=1`` as it follows an argument."""
    word = ", ".join(map(str, axes))
    word = word if len(axes) == 1 else f"({word})"
    return f", {style.keyword('axis', word)}"
