"""The leaves of formulas of arrays: names, numbers, sizes, constants."""

from __future__ import annotations

from fractions import Fraction

from derivkit.symbolic.arrays import Array
from derivkit.symbolic.expr import Name
from derivkit.symbolic.index import Size
from derivkit.symbolic.render.joins import ATOM, POWER, PRODUCT, SUM, Piece, quotient
from derivkit.symbolic.render.pieces import named
from derivkit.symbolic.render.styles import Style
from derivkit.symbolic.render.styles import number as digits
from derivkit.symbolic.render.turned import Done


def name(node: Array, _: Done, style: Style) -> Piece:
    """Return a name; an adjoint is a quotient of differentials."""
    name: Name = node.params[0]  # type: ignore[assignment]
    text = named(style, {}, name, ())
    if name.is_derivative:
        return Piece(text, PRODUCT)
    return Piece(text, POWER if style.raised(text) else ATOM)


def number(node: Array, _: Done, style: Style) -> Piece:
    """Return a rational number."""
    value: Fraction = node.params[0]  # type: ignore[assignment]
    top, bottom = digits(abs(value))
    piece = quotient(style.decimal(top), Piece(bottom), style) if bottom else Piece(style.decimal(top))
    return Piece(style.minus + piece.text, SUM) if value < 0 else piece


def size(node: Array, _: Done, style: Style) -> Piece:
    """Return a size."""
    size: Size = node.params[0]  # type: ignore[assignment]
    return Piece(style.size(size), ATOM if size.name else SUM if len(size.terms) > 1 else PRODUCT)


def constant(node: Array, _: Done, style: Style) -> Piece:
    """Return π or ∞."""
    return Piece(style.constants[str(node.params[0])])
