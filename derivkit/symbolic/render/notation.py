"""The printer of index notation: one walk, three styles (see ``styles``), as few parentheses as a reader needs.

Operands are printed before what contains them, so that neither a deep nor a shared expression costs more than its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Add, Const, Delta, Expr, Fn, Inside, Mul, Name, Num, Pow, Prim, Ref, SizeOf, Sum
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.ops import ELEMENTWISE
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.pieces import (
    ATOM,
    POWER,
    PRODUCT,
    QUOTIENT,
    SUM,
    Piece,
    Shapes,
    Writer,
    Writers,
    named,
    reference,
)
from derivkit.symbolic.render.primitives import primitive
from derivkit.symbolic.render.styles import PROGRAM, Style, number, style_for

#: The most nodes (as a tree) that are printed; anything larger is no longer for a reader.
NODES = 200_000


class Notation:
    r"""The printer for one document: a style, the letters of its indices, and the ranks of the named arrays.

    >>> from derivkit.symbolic.expr import bare, user
    >>> from derivkit.symbolic.index import Size
    >>> j, k = Index("j", Size.of("M")), Index("k", Size.of("K"))
    >>> w, r = Ref(user("W2"), (bare(k), bare(j))), Ref(user("r"), (bare(k),))
    >>> slope = Add((Num(1), Mul((Num(-1), Pow(Ref(user("h"), (bare(j),)), Num(2))))))
    >>> expr = Mul((Sum((k,), Mul((w, r))), slope))
    >>> for style in ("text", "latex", "program"):
    ...     print(Notation(style)(expr))
    (1 − h_j²) Σ_k W2_kj r_k
    (1 - h_{j}^{2}) \, \sum_{k} W_{2,kj} \, r_{k}
    sum[k](W2[k,j] * r[k]) * (1 - h[j]**2)
    """

    def __init__(
        self, style: str | Style = "text", letters: Letters | None = None, ranks: Mapping[Name, int] | None = None
    ) -> None:
        """Print in ``style`` ("text", "latex", "program", or a style of its own)."""
        self.letters = letters if letters is not None else Letters()
        self.style = style_for(style, self.letters.taken)
        self.ranks = {} if ranks is None else ranks
        self.ranged: frozenset[Index] | None = None  # where it matters, the indices whose range the line tells
        self.shapes: Shapes = {}  # where it matters, those of the arrays

    def __call__(self, expr: Expr, scope: Iterable[Index] = ()) -> str:
        """Return ``expr`` as text; its bound indices avoid the letters of ``scope``, which stands in the same line."""
        return self.line((expr,), scope)[0]

    def line(self, exprs: tuple[Expr, ...], scope: Iterable[Index] = ()) -> tuple[str, ...]:
        """Return several expressions that stand in one line, with letters that fit all of them."""
        return self.written(exprs, self.letters.bound(exprs, scope))

    def written(self, exprs: tuple[Expr, ...], letters: Mapping[Index, str]) -> tuple[str, ...]:
        """Return several expressions with ``letters`` chosen already; DK018 when nobody could read them."""
        if sum(e.nodes for e in exprs) > NODES:
            raise DerivkitError(f"a result of more than {NODES} nodes is not printed", code="DK018")
        writer = Writer(self.style, letters, self.ranks, _WRITERS)
        writer.ranged, writer.shapes = self.ranged, self.shapes
        return tuple(writer.whole(e) for e in exprs)

    def array(self, name: Name, subs: tuple[str, ...] = ()) -> str:
        """Return a name with the subscripts given as text: ``h_j``, ``∂E/∂h_j``."""
        return named(self.style, self.ranks, name, subs)


# -- numbers, sums, products ---------------------------------------------------------------------------------------------


def _number(w: Writer, node: Num) -> Piece:
    top, bottom = number(abs(node.value))
    top = w.style.decimal(top)
    if not bottom:
        return Piece(top, ATOM, node.value < 0)
    if w.style.fraction is not None:
        return Piece(w.style.fraction(top, bottom), ATOM, node.value < 0)
    return Piece(f"{top}/{bottom}", QUOTIENT, node.value < 0)


def _size_of(w: Writer, node: SizeOf) -> Piece:
    text = w.style.size(node.size)
    return Piece(text, ATOM if node.size.name is not None or node.size.literal is not None else SUM)


def _add(w: Writer, node: Add) -> Piece:
    first, *rest = (w.of(a) for a in node.args)
    parts = [w.signed(first) if first.binds > SUM else w.style.paren(w.signed(first))]
    for piece in rest:
        body = w.style.paren(piece.text) if piece.binds == SUM else piece.text
        parts.append(f" {w.style.minus if piece.negative else '+'} {body}")
    return Piece("".join(parts), SUM)


def _product(w: Writer, node: Mul) -> Piece:
    """Numbers and positive powers above, negative powers below; a Σ goes last, where it may reach to the end."""
    args = node.args
    coefficient = Fraction(1)
    if isinstance(args[0], Num) and len(args) > 1:
        coefficient, args = args[0].value, args[1:]
    top_number, bottom_number = number(abs(coefficient))
    above: list[Piece] = []
    below: list[Piece] = []
    for factor in args:
        lowered = _lowered(w, factor)
        if lowered is None:
            above.append(w.of(factor))
        else:
            below.append(lowered)
    if bottom_number:
        below.insert(0, Piece(bottom_number))
    if top_number != "1":
        above.insert(0, Piece(w.style.decimal(top_number)))
    negative = coefficient < 0
    if above and above[0].negative and len(above) == 1 and not below and not negative:
        return above[0]
    if not below:
        return _joined(w, above, negative)
    reaching = [p for p in above if p.reach] if w.style.last else []
    if reaching:
        plain = [p for p in above if not p.reach]
        lead = _quotient(w, plain, below)
        if w.style.fraction is None:
            lead = Piece(w.style.paren(lead.text))
        return _joined(w, [lead, *reaching], negative)
    return _quotient(w, above, below)._replace(negative=negative)


def _lowered(w: Writer, factor: Expr) -> Piece | None:
    """Return what stands below the bar for a factor with a negative exponent."""
    if isinstance(factor, Pow) and isinstance(factor.exponent, Num) and factor.exponent.value < 0:
        return _raised(w, w.of(factor.base), -factor.exponent.value)
    return None


def _joined(w: Writer, pieces: list[Piece], negative: bool = False) -> Piece:
    style = w.style
    if style.last:
        pieces = [p for p in pieces if not p.reach] + [p for p in pieces if p.reach]
    if len(pieces) == 1:
        return _alone(w, pieces[0])._replace(negative=negative) if not pieces[0].negative else _nested(w, pieces[0], negative)
    text = ""
    before = Piece("")
    for n, piece in enumerate(pieces):
        last = n == len(pieces) - 1
        bracketed = piece.negative or piece.binds < PRODUCT or (piece.reach and not last)
        body = style.paren(w.signed(piece)) if bracketed else piece.text
        grouped = piece._replace(apart=piece.apart or (bracketed and piece.binds == QUOTIENT))
        if n:
            digits = body[0].isdigit()
            text += style.dot if (before.apart or (grouped.apart and not piece.reach) or digits) else style.times
        text += body
        before = grouped
    return Piece(text, PRODUCT, negative, reach=pieces[-1].reach)


def _alone(w: Writer, piece: Piece) -> Piece:
    return piece if piece.binds > SUM else Piece(w.style.paren(w.signed(piece)))


def _nested(w: Writer, piece: Piece, negative: bool) -> Piece:
    return Piece(w.style.paren(w.signed(piece)), ATOM, negative)


def _quotient(w: Writer, above: list[Piece], below: list[Piece]) -> Piece:
    if w.style.fraction is not None:  # a bar brackets what is above and below it
        parts = []
        for pieces in (above, below):
            parts.append(w.signed(pieces[0]) if len(pieces) == 1 else _joined(w, pieces).text if pieces else "1")
        return Piece(w.style.fraction(*parts), ATOM)
    top = _joined(w, above) if above else Piece("1")
    single = len(below) == 1 and not below[0].apart
    bottom = w.holding(below[0], POWER) if single else w.style.paren(_joined(w, below).text)
    return Piece(f"{w.holding(top, PRODUCT) if not top.reach else w.style.paren(top.text)} / {bottom}", QUOTIENT)


# -- powers, functions, binders ------------------------------------------------------------------------------------------


def _power(w: Writer, node: Pow) -> Piece:
    if isinstance(node.exponent, Num):
        if node.exponent.value < 0:
            return _quotient(w, [], [_raised(w, w.of(node.base), -node.exponent.value)])
        return _raised(w, w.of(node.base), node.exponent.value)
    exponent = w.of(node.exponent)
    simple = exponent.binds == ATOM and not exponent.negative
    return Piece(w.style.power(w.holding(w.of(node.base), ATOM), w.signed(exponent), simple), POWER)


def _raised(w: Writer, base: Piece, exponent: Fraction) -> Piece:
    if exponent == 1:
        return base
    if exponent == Fraction(1, 2):
        root = w.style.sqrt(w.signed(base), base.binds == ATOM and not base.negative)
        return Piece(root, POWER if w.style.name == "text" else ATOM)
    top, bottom = number(exponent)
    text = f"{top}/{bottom}" if bottom else top
    return Piece(w.style.power(w.holding(base, ATOM), text, not bottom), POWER)


def _function(w: Writer, node: Fn) -> Piece:
    args = tuple(w.text(a) for a in node.args[: _given(node)])
    if node.op == "where" and isinstance(node.args[0], Fn) and node.args[0].op in w.style.compare:
        args = (args[0][1:-1], *args[1:])  # a condition needs no brackets of its own
    if node.op in w.style.compare:
        text = f"{args[0]} {w.style.compare[node.op]} {args[1]}"
        return Piece(f"({text})" if w.style is PROGRAM else f"[{text}]")
    raised = node.op == "exp" and w.style.exponential
    return Piece(w.style.call(node.op, args), POWER if raised else ATOM)


def _given(node: Fn) -> int:
    """Return how many operands are written: those at the end that have their default are not."""
    row = ELEMENTWISE[node.op]
    count = len(node.args)
    for parameter, arg in reversed(list(zip(row.parameters, node.args, strict=True))):
        default = row.defaults.get(parameter)
        if default is None or not isinstance(arg, Num) or arg.value != Fraction(default):
            break
        count -= 1
    return count


def _sum(w: Writer, node: Sum) -> Piece:
    body = w.of(node.body)
    letters = w.letters_of(node.indices)
    if w.style is not PROGRAM:  # Σ_{i<2}: over a part of the axis that the letter subscripts
        bounds = zip(letters, node.indices, strict=True)
        letters = tuple(f"{letter}<{w.style.size(i.size)}" if i.part else letter for letter, i in bounds)
    if not w.style.last:
        return Piece(w.style.sum(letters, w.signed(body)))
    held = body.text if body.binds > SUM and not body.negative else w.style.paren(w.signed(body))
    return Piece(w.style.sum(letters, held), PRODUCT, reach=True)


def _delta(w: Writer, node: Delta) -> Piece:
    left, right = w.subscript(node.left), w.subscript(node.right)
    size = None if w.told(node.left) and w.told(node.right) else eye_size(node)
    if size is not None:
        return Piece(f"eye({w.style.size(size)})[{left},{right}]")
    one, other = node.left.bare, node.right.bare
    if w.style is PROGRAM and one is not None and other is not None and one.size != other.size:
        left += "+0"  # two indices alone have one range
    return Piece(w.style.delta(left, right))


def eye_size(node: Delta) -> Size | None:
    """Return the size of the identity matrix of which a δ is an entry, where it is one: of indices alone and positions."""
    sizes = {s.bare.size for s in (node.left, node.right) if s.bare is not None}
    if len(sizes) != 1:
        return None
    (size,) = sizes
    others = [s.constant for s in (node.left, node.right) if s.bare is None]
    return size if all(c is not None and _is_position(c, size) for c in others) else None


def _is_position(constant: Size, size: Size) -> bool:
    literal, limit = constant.literal, size.literal
    return literal is None or (literal >= 0 and (limit is None or literal < limit))


def _inside(w: Writer, node: Inside) -> Piece:
    at = w.reads((node.subscript,), (node.size,))[0] if w.style is PROGRAM else w.subscript(node.subscript)
    return Piece(w.style.inside(at, w.style.size(node.size)))


_WRITERS: Writers = {
    Num: _number,
    Const: lambda w, node: Piece(w.style.constants[node.name]),
    SizeOf: _size_of,
    Ref: reference,
    Add: _add,
    Mul: _product,
    Pow: _power,
    Fn: _function,
    Sum: _sum,
    Delta: _delta,
    Inside: _inside,
    Prim: primitive,
}
