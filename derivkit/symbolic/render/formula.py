"""Array expressions as mathematics, in Unicode and LaTeX: columns, ⊙, ᵀ and diag, one small writer for each operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from derivkit.symbolic.arrays import Array, postorder
from derivkit.symbolic.arrays.dialects import for_reading
from derivkit.symbolic.arrays.nodes import parts, reduce
from derivkit.symbolic.index import Size
from derivkit.symbolic.render import convolutions, inverses, leaves
from derivkit.symbolic.render.joins import (
    ATOM,
    ENTRYWISE,
    POWER,
    PRODUCT,
    SUM,
    Piece,
    axis_option,
    entrywise,
    quotient,
    transposed,
    within,
)
from derivkit.symbolic.render.ones import all_ones, column_of, term
from derivkit.symbolic.render.styles import Style, number
from derivkit.symbolic.render.turned import Done, turned

_LIMIT = 4_000


def formula(root: Array, style: Style) -> Piece | None:
    """Return an array as mathematics: vectors are columns, ⊙ and ⊘ are entrywise; ``None`` without an honest notation."""
    root = for_reading(root)
    done = _written(root, style)
    return done[id(root)]


def row_formula(root: Array, style: Style) -> Piece | None:
    """Return the transpose of an array as mathematics: a vector becomes a row, ``2 (X w − y)ᵀ X``."""
    root = for_reading(root)
    return turned(root, _written(root, style), style, _write)


def _written(root: Array, style: Style) -> dict[int, Piece | None]:
    done: dict[int, Piece | None] = {}
    for node in postorder(root):
        done[id(node)] = _write(node, done, style)
    return done


def _write(node: Array, done: Done, style: Style) -> Piece | None:
    writer = _WRITERS.get(node.op)
    piece = writer(node, done, style) if writer and node.rank <= 2 else None
    return piece if piece is None or len(piece.text) < _LIMIT else None


def _pieces(node: Array, done: Done) -> list[Piece] | None:
    found = [done[id(a)] for a in node.args]
    return None if any(p is None for p in found) else [p for p in found if p is not None]


def _same_shape(node: Array) -> bool:
    """Return whether the operands are scalars or all of the node's shape: no vector is broadcast over a matrix."""
    return all(a.rank == 0 or a.shape == node.shape for a in node.args)


def _add(node: Array, done: Done, style: Style) -> Piece | None:
    pieces = [term(arg, node, done, style, _write) for arg in node.args]
    if any(p is None for p in pieces):
        return None
    numbers = node.rank == 2 and any(not a.rank for a in node.args)
    own = [p if a.rank else done[id(a)] for p, a in zip(pieces, node.args, strict=True)]
    return Piece(_joined(node, pieces, style), SUM, _joined(node, own, style) if numbers else "")


def _joined(node: Array, terms: Sequence[Piece | None], style: Style) -> str:
    text = ""
    for sign, piece in zip(node.params, (p for p in terms if p is not None), strict=True):
        mark = style.minus if sign == -1 else "+"
        inner = within(piece, ENTRYWISE, style)
        text = f"{text} {mark} {inner}" if text else (style.minus if sign == -1 else "") + inner
    return text


def _mul(node: Array, done: Done, style: Style) -> Piece | None:
    """A scalar in front, one quotient; in one line of text what is only divided is written ``Xᵀ r/N``."""
    sign, factors, divisors, done = _coefficient(*parts(node), done, style)
    scalars = [f for f in factors if not f.rank], [d for d in divisors if not d.rank]
    array = _entrywise(node, [f for f in factors if f.rank], [d for d in divisors if d.rank], done, style)
    if array is None:
        return None
    if node.rank and scalars[1] and not scalars[0] and _divided(scalars[1], style):
        bottom = _scalar([], scalars[1], done, style, alone=True)
        top = array.text if style.fraction else within(array, PRODUCT, style)
        if bottom is None:
            return None
        made = quotient(top, bottom, style)
        return Piece(sign + made.text, SUM if sign else PRODUCT)
    beside = {id(f): _bracketed(f, done, style) for f in scalars[0]} if node.rank else {}
    scalar = _scalar(*scalars, {**done, **beside}, style)
    if scalar is None:
        return None
    if not node.rank:
        whole = scalar if scalar.text else Piece("1")
        return Piece(sign + within(whole, ENTRYWISE, style), SUM) if sign else whole
    if not scalar.text:
        return Piece(sign + within(array, ENTRYWISE, style), SUM) if sign else array
    quotient_first = style.fraction is None and scalars[1]  # (2/N) Xᵀ r
    front = style.paren(scalar.text) if quotient_first else within(scalar, PRODUCT, style)
    return Piece(sign + style.product(front, within(array, PRODUCT, style)), SUM if sign else PRODUCT)


def _bracketed(scalar: Array, done: Done, style: Style) -> Piece | None:
    """Return a scalar as it stands beside an array: ``(aᵀ x) x``."""
    piece = done[id(scalar)]
    product = scalar.op == "matmul" and piece is not None
    return Piece(style.paren(piece.text)) if product and piece is not None else piece


def _divided(divisors: Sequence[Array], style: Style) -> bool:
    """Return whether an array stands over its divisors; LaTeX sets sizes and numbers as a fraction in front."""
    return style.fraction is None or any(d.op not in ("number", "size") for d in divisors)


def _coefficient(
    factors: Sequence[Array], divisors: Sequence[Array], done: Done, style: Style
) -> tuple[str, Sequence[Array], Sequence[Array], Done]:
    """Return the sign, and the factors and divisors with a leading fraction taken apart."""
    if not factors or factors[0].op != "number":
        return "", factors, divisors, done
    value: Fraction = factors[0].params[0]  # type: ignore[assignment]
    top, bottom = number(abs(value))
    made = dict(done)
    found: list[list[Array]] = [[], []]
    for place, text, part in ((0, top, abs(value) if not bottom else Fraction(top)), (1, bottom, Fraction(bottom or 1))):
        if text and part != 1:
            leaf = Array("number", (), (), (part,))
            made[id(leaf)] = leaves.number(leaf, done, style)
            found[place].append(leaf)
    sign = style.minus if value < 0 else ""
    return sign, [*found[0], *factors[1:]], [*found[1], *divisors], made


def _scalar(factors: Sequence[Array], divisors: Sequence[Array], done: Done, style: Style, alone: bool = False) -> Piece | None:
    """Return the scalars of a product as one quotient; with ``alone`` the divisors only, as what stands below the line."""
    above, below = [done[id(f)] for f in factors], [done[id(d)] for d in divisors]
    if any(p is None for p in (*above, *below)):
        return None
    only = len(above) == 1 and not below
    top = style.product(*(within(p, SUM if only else PRODUCT, style) for p in above if p is not None))
    if not below:
        return Piece(top, above[0].binds if only and above[0] is not None else PRODUCT)
    bottom = style.product(*(within(p, PRODUCT, style) for p in below if p is not None))
    line = below[0] if len(below) == 1 and below[0] is not None else Piece(bottom, PRODUCT)
    return line if alone else quotient(top or "1", line, style)


def _entrywise(node: Array, factors: Sequence[Array], divisors: Sequence[Array], done: Done, style: Style) -> Piece | None:
    """Return ``a ⊙ b ⊘ c``; a vector that scales rows or columns is a diagonal matrix."""
    if not factors and not divisors:
        return Piece("")
    left: list[str] = []
    right: list[str] = []
    full: list[tuple[Piece, bool]] = []
    for arg, inverse in [*((f, False) for f in factors), *((d, True) for d in divisors)]:
        if arg.shape == node.shape:
            piece = done[id(arg)]
            if piece is None:
                return None
            full.append((piece, inverse))
            continue
        vector = _scaling(arg)
        inner = None if vector is None else formula(vector, style)
        if inner is None or node.rank != 2:
            return None
        diagonal = style.word("diag") + style.paren(inner.text)
        diagonal = style.inverse(diagonal) if inverse else diagonal
        (right if arg.rank == 1 else left).append(diagonal)
    if not full:
        return None
    times, over = style.entrywise
    full = full if len(full) == 1 and not full[0][1] else [(entrywise(p), under) for p, under in full]
    first, inverse = full[0]
    body = first.text if len(full) == 1 and not inverse else within(first, POWER, style)
    if inverse:
        body = f"1 {over} {body}"
    for piece, inverse in full[1:]:
        body += f" {over if inverse else times} {within(piece, POWER, style)}"
    binds = first.binds if len(full) == 1 and not inverse else ENTRYWISE
    if left or right:
        inner_text = within(Piece(body, binds), PRODUCT, style)
        return Piece(style.product(*left, inner_text, *right), PRODUCT)
    return Piece(body, binds)


def _scaling(arg: Array) -> Array | None:
    """Return the vector whose diagonal matrix an operand of smaller shape is: a row, or a column ``a[:, None]``."""
    if arg.rank == 1:
        return arg
    return reduce(str(arg.params[0]), arg.args[0], (1,)) if arg.op == "reduce" and arg.params[1] == (1,) else column_of(arg)


def _pow(node: Array, done: Done, style: Style) -> Piece | None:
    pieces = _pieces(node, done)
    if pieces is None or node.args[1].rank:
        return None
    base, exponent = map(entrywise, pieces)
    if node.rank < 2:
        simple = exponent.binds == ATOM
        return Piece(style.power(within(base, ATOM, style), exponent.text, simple), POWER)
    square = node.args[1].op == "number" and node.args[1].params[0] == 2 and base.binds == ATOM
    if square and node.args[0].op in ("fn", "along"):
        return Piece(style.power(base.text, "2", True), POWER)  # tanh(X Wᵀ)²: no one takes it for a matrix product
    if square:
        return Piece(f"{base.text} {style.entrywise[0]} {base.text}", ENTRYWISE)
    return Piece(style.circled(within(base, ATOM, style), exponent.text), POWER) if exponent.binds == ATOM else None


def _fn(node: Array, done: Done, style: Style) -> Piece | None:
    pieces = _pieces(node, done)
    word = str(node.params[0])
    if pieces is None or not _same_shape(node):
        return None
    pieces = [entrywise(p) for p in pieces]
    if word == "sqrt":
        return Piece(style.sqrt(pieces[0].text, pieces[0].binds == ATOM))
    if word == "where":
        return _where(node, pieces, done, style)
    if word in style.compare:
        return Piece(f"[{pieces[0].text} {style.compare[word]} {pieces[1].text}]")
    made = style.call(word, tuple(p.text for p in pieces))
    return Piece(made, PRODUCT if word == "exp" and style.exponential else ATOM)


def _where(node: Array, pieces: Sequence[Piece], done: Done, style: Style) -> Piece:
    """A choice between 1 and 0 is an indicator ``[|y − t| > c]``; a condition has no brackets of its own."""
    test = node.args[0]
    word = str(test.params[0]) if test.op == "fn" else ""
    texts = [p.text for p in pieces]
    if word in style.compare:
        texts[0] = texts[0][1:-1]
        if texts[1:] == ["1", "0"] and test.shape == node.shape:
            return pieces[0]
        opposite = _OPPOSITE.get(word)
        if texts[1:] == ["0", "1"] and test.shape == node.shape and opposite:
            left, right = (p.text for p in _pieces(test, done) or ())
            return Piece(f"[{left} {style.compare[opposite]} {right}]")
    return Piece(style.call("where", tuple(texts)))


_OPPOSITE = {"less": "greater_equal", "greater": "less_equal", "less_equal": "greater", "greater_equal": "less"}


def _transpose(node: Array, done: Done, style: Style) -> Piece | None:
    return turned(node.args[0], done, style, _write) if node.rank == 2 else None


def _matmul(node: Array, done: Done, style: Style) -> Piece | None:
    a, b = node.args
    pieces = _pieces(node, done)
    if pieces is None or a.rank > 2 or b.rank > 2:
        return None
    if a.rank == 1:
        first, second = (b, a) if b.rank == 2 else (a, b)  # a row times a matrix is written as the column that it is
        row = turned(first, done, style, _write)
        pieces = [row, pieces[0 if second is a else 1]] if row is not None else pieces
    return Piece(style.product(within(pieces[0], PRODUCT, style), within(pieces[1], PRODUCT, style)), PRODUCT)


def _form(node: Array, done: Done, style: Style) -> Piece | None:
    """``x @ A @ y`` is ``xᵀ A y``; every other product as usual."""
    a, b = node.args
    if not node.rank and a.op == "matmul" and a.args[0].rank == 1 and a.args[1].rank == 2:
        words = [turned(a.args[0], done, style, _write), done[id(a.args[1])], done[id(b)]]
        if all(p is not None for p in words):
            return Piece(style.product(*(within(p, PRODUCT, style) for p in words if p is not None)), PRODUCT)
    return _matmul(node, done, style)


def _outer(node: Array, done: Done, style: Style) -> Piece | None:
    column, row = done[id(node.args[0])], turned(node.args[1], done, style, _write)
    if column is None or row is None:
        return None
    return Piece(style.product(within(column, PRODUCT, style), within(row, PRODUCT, style)), PRODUCT)


def _word(word: str) -> Callable[[Array, Done, Style], Piece | None]:
    def write(node: Array, done: Done, style: Style) -> Piece | None:
        pieces = _pieces(node, done)
        return None if pieces is None else Piece(style.word(word) + style.paren(pieces[0].text))

    return write


def _reduce(node: Array, done: Done, style: Style) -> Piece | None:
    piece = done[id(node.args[0])]
    word, axes, kept = node.params
    x = node.args[0]
    if piece is None or (x.op == "onehot" and x.rank > 1):  # counts of labels: index notation says more
        return None
    if kept and axes == (0,) and x.rank == 2:  # a row
        column = _reduce(reduce(str(word), x, (0,)), done, style)
        return None if column is None else transposed(column, style)
    whole = len(axes) == x.rank  # type: ignore[arg-type]
    if word == "sum" and whole and x.op == "pow" and x.args[1].params == (Fraction(2),):
        base = done[id(x.args[0])]
        if base is not None:
            return Piece(style.power(style.norm(base.text, x.rank == 2), "2", True), POWER)
    if word == "norm" and whole:
        return Piece(style.norm(piece.text, x.rank == 2))
    inner = entrywise(piece).text + ("" if whole else axis_option(axes, style))  # type: ignore[arg-type]
    if word in ("sum", "mean", "norm"):
        return Piece(style.word(str(word)) + style.paren(inner))
    made = style.call(str(word), (inner,))
    return Piece(made, ATOM if made.endswith(")") else PRODUCT)


def _along(node: Array, done: Done, style: Style) -> Piece | None:
    piece = done[id(node.args[0])]
    word, axes = node.params
    if piece is None or word not in ("softmax", "log_softmax"):
        return None
    inner = entrywise(piece).text + ("" if axes == (node.rank - 1,) else axis_option(axes, style))  # type: ignore[arg-type]
    return Piece(style.call(str(word), (inner,)))


def _index(node: Array, done: Done, style: Style) -> Piece | None:
    """An entry of a named array, ``x_k``, or one of its rows, which is read as a column: ``U_c``."""
    x = node.args[0]
    row = node.rank == 1 and x.rank == 2 and node.params[0] is not None and node.params[1] is None
    if x.op != "name" or (node.rank and not row):
        return None
    subs = []
    for sub in node.params[:1] if row else node.params:
        label = None if isinstance(sub, Size) else done[id(node.args[1 + sub])]  # type: ignore[operator]
        if not isinstance(sub, Size) and label is None:
            return None
        subs.append(style.size(sub) if isinstance(sub, Size) else label.text)  # type: ignore[union-attr]
    return Piece(style.subscripted(str(x.params[0]), tuple(subs)), POWER)


def _onehot(node: Array, done: Done, style: Style) -> Piece | None:
    if not node.args:
        return Piece(style.subscripted("e", (style.size(node.params[0]),)))  # type: ignore[arg-type]
    piece = done[id(node.args[0])]
    if piece is None:
        return None
    return Piece(style.word("onehot") + style.paren(piece.text))


_WRITERS: dict[str, Callable[[Array, Done, Style], Piece | None]] = {
    "name": leaves.name,
    "number": leaves.number,
    "size": leaves.size,
    "constant": leaves.constant,
    "add": _add,
    "mul": _mul,
    "pow": _pow,
    "fn": _fn,
    "transpose": _transpose,
    "matmul": _form,
    "outer": _outer,
    "diag": _word("diag"),
    "diagonal": _word("diag"),
    "trace": _word("tr"),
    "eye": lambda node, done, style: Piece("I") if node.shape[0] == node.shape[1] else None,
    "ones": lambda node, done, style: Piece(style.ones) if node.rank < 2 else Piece(all_ones(style), PRODUCT),
    "zeros": lambda node, done, style: Piece("0"),
    "reduce": _reduce,
    "along": _along,
    "index": _index,
    "onehot": _onehot,
    "conv": convolutions.convolution,
    "flip": convolutions.flipped,
    "window": convolutions.part,
    "concat": convolutions.concatenated,
    "inv": inverses.inverse,
    "solve": inverses.solution,
    "det": _word("det"),
    "logdet": _word("logdet"),
}
