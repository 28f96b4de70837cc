"""Convolutions, flips and slices as mathematics: ``conv(g, flip(w), padding=K−1)``, ``x[1:]``."""

from __future__ import annotations

from derivkit.symbolic.arrays import Array
from derivkit.symbolic.arrays.slices import padding, slices
from derivkit.symbolic.index import ONE, ZERO, Size
from derivkit.symbolic.render.joins import ATOM, Piece, axis_option, within
from derivkit.symbolic.render.styles import Style
from derivkit.symbolic.render.turned import Done


def convolution(node: Array, done: Done, style: Style) -> Piece | None:
    """Return ``conv(x, w)`` with what of stride, padding and dilation is not usual."""
    pieces = [done[id(a)] for a in node.args]
    texts = [p.text for p in pieces if p is not None]
    if len(texts) < len(pieces):
        return None
    for name, values, usual in zip(("stride", "padding", "dilation"), node.params, (ONE, ZERO, ONE), strict=True):
        sizes: tuple[Size, ...] = values  # type: ignore[assignment]
        if any(s != usual for s in sizes):
            inner = ", ".join(style.size(s) for s in sizes)
            texts.append(style.keyword(name, style.size(sizes[0]) if len(set(sizes)) == 1 else f"({inner})"))
    return Piece(style.word("conv") + style.paren(", ".join(texts)))


def flipped(node: Array, done: Done, style: Style) -> Piece | None:
    """Return ``flip(w)``: backwards along all axes, or those named."""
    piece, axes = done[id(node.args[0])], node.params
    if piece is None:
        return None
    some = "" if len(axes) == node.rank else axis_option(axes, style)  # type: ignore[arg-type]
    return Piece(style.word("flip") + style.paren(piece.text + some))


def concatenated(node: Array, done: Done, style: Style) -> Piece | None:
    """Return ``concat(a, b)``: arrays one behind the other."""
    pieces = [done[id(a)] for a in node.args]
    texts = [p.text for p in pieces if p is not None]
    if len(texts) < len(pieces):
        return None
    along = axis_option(node.params, style) if node.params[0] else ""  # type: ignore[arg-type]
    return Piece(style.word("concat") + style.paren(", ".join(texts) + along))


def part(node: Array, done: Done, style: Style) -> Piece | None:
    """Return a slice, ``x[1:]``, or zeros around, ``pad(x, (1, 0))``; other windows have no notation."""
    piece, inner, widths = done[id(node.args[0])], slices(node, style.size), padding(node, style.size)
    if piece is not None and inner is None and widths is not None:
        return Piece(style.word("pad") + style.paren(f"{piece.text}, {widths.replace('-', style.minus)}"))
    if piece is None or inner is None:
        return None
    base = within(piece, ATOM, style)
    shown = inner.replace("-", style.minus)
    return Piece(f"{base}[{shown}]" if style.name == "text" else style.read(base, (shown.replace(":", style.colon),)))
