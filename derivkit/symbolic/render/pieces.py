"""What the printer is made of: pieces of text that know how tightly they bind, and the walk that joins them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from unicodedata import normalize

from derivkit.symbolic.expr import Expr, Name, Ref
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.render.styles import PROGRAM, Style, text_name

#: How tightly a piece of text holds together.
SUM, QUOTIENT, PRODUCT, POWER, ATOM = range(5)


class Piece(NamedTuple):
    """The text of an expression: its sign apart, how tightly it binds, and how it may stand among factors.

    ``reach``: a Σ at its end reaches to the end of the term.  ``apart``: as a factor it needs a dot, not a space.
    """

    text: str
    binds: int = ATOM
    negative: bool = False
    reach: bool = False
    apart: bool = False


#: The shapes of arrays, where a program has to say that an axis has another size than the index that reads it.
Shapes = Mapping[Name, tuple[Size, ...]]
Writers = Mapping[type, Callable[[Any, Any], Piece]]


class Ranks(dict[Name, int]):
    """The number of axes of every name, and which ``single`` axes have one entry: a page has no subscript for these."""

    def __init__(self, shapes: Shapes) -> None:
        """Take the shapes of the names."""
        super().__init__({name: len(shape) for name, shape in shapes.items()})
        self.spelled = {str(name): len(shape) for name, shape in shapes.items()}
        self.single = frozenset((name, n) for name, shape in shapes.items() for n, size in enumerate(shape) if size.literal == 1)


class Writer:
    """The printing of one line."""

    def __init__(self, style: Style, letters: Mapping[Index, str], ranks: Mapping[Name, int], writers: Writers) -> None:
        """Start with nothing printed; ``writers`` says which function prints which class of nodes."""
        self.style = style
        self.letters = letters
        self.ranks = ranks
        self.writers = writers
        self.ranged: frozenset[Index] | None = None
        self.shapes: Shapes = {}
        self.pieces: dict[int, Piece] = {}

    def whole(self, expr: Expr) -> str:
        """Return the text of an expression that stands alone."""
        stack = [(expr, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in self.pieces:
                continue
            if ready or not node.children:
                self.pieces[id(node)] = self.writers[type(node)](self, node)
            else:
                stack.append((node, True))
                stack.extend((c, False) for c in reversed(node.children))
        return self.signed(self.pieces[id(expr)])

    def of(self, node: Expr) -> Piece:
        """Return the piece of an operand."""
        return self.pieces[id(node)]

    def signed(self, piece: Piece) -> str:
        """Return the text with its sign."""
        return self.style.minus + piece.text if piece.negative else piece.text

    def text(self, node: Expr) -> str:
        """Return the text of an operand where no parentheses are needed."""
        return self.signed(self.of(node))

    def holding(self, piece: Piece, binds: int) -> str:
        """Return the text in parentheses unless it holds together at least as tightly as ``binds``."""
        if piece.negative or piece.binds < binds or (piece.reach and binds > PRODUCT):
            return self.style.paren(self.signed(piece))
        return piece.text

    def subscript(self, sub: Affine) -> str:
        """Return a subscript: ``i``, ``i+p-1``, ``k_n``."""
        style, text = self.style, ""
        for atom, coefficient in sub.terms:
            if isinstance(atom, Index):
                name = self.letters[atom]
            else:
                assert isinstance(atom, Ref)  # noqa: S101 - an integer-valued reference
                name = reference(self, atom).text
            literal = coefficient.literal
            negative = literal is not None and literal < 0
            count = Size.of(-literal) if negative and literal is not None else coefficient
            sign = style.minus if negative else "+" if text else ""
            text += sign + (name if count.literal == 1 else self.count(count) + name)
        if sub.const.terms or not text:
            const = style.size(sub.const)
            text += const if not text or const.startswith(style.minus) else "+" + const
        return text

    def reads(self, subs: Sequence[Affine], sizes: Sequence[Size]) -> tuple[str, ...]:
        """Return subscripts of axes of ``sizes``; in a program an index alone has the range of its axis, so ``i+0``."""
        other = (s.bare is not None and s.bare.size != n for s, n in zip(subs, sizes, strict=True))
        return tuple(self.subscript(s) + ("+0" if shifted else "") for s, shifted in zip(subs, other, strict=True))

    def count(self, size: Size) -> str:
        """Return a size as the coefficient of an index."""
        text = self.style.size(size)
        simple = size.name is not None or size.literal is not None
        return (text if simple else f"({text})") + ("*" if self.style is PROGRAM else "")

    def told(self, sub: Affine) -> bool:
        """Say whether a subscript's range is told by an array that the line reads at it (in a program it must be)."""
        return self.ranged is None or sub.bare is None or sub.bare in self.ranged

    def letters_of(self, indices: Iterable[Index]) -> tuple[str, ...]:
        """Return the letters of bound indices."""
        return tuple(self.letters[i] for i in indices)


# -- names ---------------------------------------------------------------------------------------------------------------


def named(style: Style, ranks: Mapping[Name, int], name: Name, subs: tuple[str, ...]) -> str:
    """Return a name with subscripts; an adjoint or a local derivative as a quotient of differentials, each with its own."""
    moved = name.pushed
    if style is PROGRAM or not name.is_derivative:
        if style is not PROGRAM and isinstance(ranks, Ranks) and ranks.single:
            subs = tuple(s for n, s in enumerate(subs) if s != "0" or (name, n) not in ranks.single)
        return style.subscripted(dotted(name) if style.name == "text" and str(name) not in style.labels else str(name), subs)
    if name.kind == "local" and name.of is not None and name.output is not None:
        top, bottom = ranks.get(name.of, len(subs)), ranks.get(name.output, len(subs))
        above, below = subs[:top], subs[len(subs) - min(bottom, len(subs)) :]  # on its diagonal both share the subscripts
        return style.derivative(named(style, ranks, name.of, above), (named(style, ranks, name.output, below),))
    bottoms: list[Name] = []
    output: Name = name if moved is None else moved
    while output.kind == "adjoint" and output.of is not None and output.output is not None:
        bottoms.insert(0, output.of)
        output = output.output
    rest = subs
    shown: list[str] = []
    for n in reversed(bottoms):
        rank = min(ranks.get(n, len(rest)), len(rest))
        cut = len(rest) - rank
        bottom_text = named(style, ranks, n, rest[cut:])
        shown.insert(0, style.paren(bottom_text) if n.kind == "adjoint" else bottom_text)
        rest = rest[:cut]
    numerator = output if moved is None else Name("tangent", "", of=output)  # the derivative of ∂E/∂w along v is ∂Ė/∂w
    return style.derivative(named(style, ranks, numerator, rest), tuple(shown))


def dotted(name: Name) -> str:
    """Return a name in plain text; the tangent of a letter has its dot above it: ż."""
    if name.kind != "tangent" or name.of is None:
        return str(name)
    letter, rest = text_name(str(name.of))[:1], text_name(str(name.of))[1:]
    return normalize("NFC", f"{letter}\u0307") + rest if not rest or rest.isdigit() else str(name)


def reference(w: Writer, node: Ref) -> Piece:
    """Return an entry of a named array."""
    derivative = w.style is not PROGRAM and node.name.is_derivative
    shape = w.shapes.get(node.name)
    subs = tuple(map(w.subscript, node.subs)) if shape is None else w.reads(node.subs, shape)
    text = named(w.style, w.ranks, node.name, subs)
    raised = w.style is not PROGRAM and not derivative and w.style.raised(text)
    return Piece(text, PRODUCT if derivative else POWER if raised else ATOM, apart=derivative)
