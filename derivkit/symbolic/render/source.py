"""The author's lines as mathematics: ``c = xᵀ y/(‖x‖ ‖y‖)``, every name and every operation where the author wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from derivkit.errors import DerivkitError
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.ops import ELEMENTWISE, FUNCTIONS, OPS
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.statements import parse_program
from derivkit.symbolic.render.joins import (
    ATOM,
    ENTRYWISE,
    POWER,
    PRODUCT,
    SUM,
    Piece,
    before_factor,
    entrywise,
    quotient,
    transposed,
    within,
)
from derivkit.symbolic.render.ones import all_ones
from derivkit.symbolic.render.ranks import rank_of
from derivkit.symbolic.render.styles import Style

_LONGEST = 600  # characters: a longer line is not read, and printed as it was written


class _NoMathematics(Exception):
    """The line says something that has no place on paper: a slice, a keyword without a word."""


class Term(NamedTuple):
    """A piece with its rank (``None``: not known).

    ``row`` is what it is as a row, where that is not its transpose; ``negated`` what stands behind its minus sign;
    ``upright`` what it is the transpose of; ``inner`` says that it is an inner product, which has brackets beside an array.
    """

    piece: Piece
    rank: int | None = None
    row: str = ""
    negated: Piece | None = None
    upright: Piece | None = None
    inner: bool = False


def equation(definition: Definition) -> str:
    """Return a line of the author as program text, with the name that a bare last expression got."""
    name, text = str(definition.name), definition.text
    return text if re.match(rf"{name}\s*(\[[^=]*\]\s*)?=(?!=)", text) else f"{name} = {text}"


def authored(definition: Definition, ranks: Mapping[str, int], style: Style) -> str | None:
    """Return a line of the author as mathematics, ``None`` where it has no such form; ``ranks`` are those of the names."""
    if not definition.text or len(definition.text) > _LONGEST:
        return None
    try:
        (statement,) = parse_program(definition.text, FUNCTIONS).statements
        if isinstance(statement, syntax.Declaration):
            return None
        right = _Lines(ranks, style).term(statement.value).piece.text
    except (DerivkitError, _NoMathematics, ValueError):
        return None
    if isinstance(statement, syntax.IndexDefinition):
        left = style.subscripted(statement.name, tuple(i.id for i in statement.indices))
    else:
        left = style.variable(definition.name)
    return f"{left} = {right}"


class _Lines:
    """The printing of one author's lines; a method for each node of the surface tree."""

    def __init__(self, ranks: Mapping[str, int], style: Style) -> None:
        self.ranks = ranks
        self.style = style
        self.times, self.over = style.entrywise

    def term(self, node: syntax.Expression | syntax.Slice) -> Term:
        """Return the term of an expression."""
        match node:
            case syntax.Number():
                return Term(Piece(self.style.decimal(node.text)), 0)
            case syntax.Name():
                text = self.style.constants.get(node.id) or self.style.subscripted(node.id, ())
                return Term(Piece(text, POWER if self.style.raised(text) else ATOM), self.ranks.get(node.id, 0))
            case syntax.Unary():
                inner = self.term(node.operand)
                return inner if node.op == "+" else self.minus(inner)
            case syntax.Binary():
                return self.binary(node)
            case syntax.Compare():
                return self.compared(node)
            case syntax.Call():
                return self.call(node)
            case syntax.Subscript():
                return self.read(node)
            case syntax.Attribute() if node.name == "T":
                return self.turned(self.term(node.base))
            case syntax.IndexedReduce():
                return self.reduced(node)
            case syntax.DeltaTerm():
                return Term(Piece(self.style.delta(self.plain(node.a), self.plain(node.b))), 0)
            case syntax.Tuple() | syntax.List():
                return Term(Piece(self.style.paren(", ".join(self.plain(i) for i in node.items))))
        raise _NoMathematics

    def plain(self, node: syntax.Expression | syntax.Slice) -> str:
        """Return the text of an expression between commas."""
        return self.term(node).piece.text

    def minus(self, x: Term) -> Term:
        return Term(Piece(self.style.minus + within(x.piece, ENTRYWISE, self.style), SUM), x.rank, "", x.piece)

    def turned(self, x: Term) -> Term:
        if x.upright is not None:
            return Term(x.upright, x.rank)
        return x if x.rank is not None and x.rank < 2 else Term(transposed(x.piece, self.style), x.rank, upright=x.piece)

    # -- operators ----------------------------------------------------------------------------------------------------

    def binary(self, node: syntax.Binary) -> Term:
        a, b = self.operands(node)
        rank = None if a.rank is None or b.rank is None else max(a.rank, b.rank)
        inner = not rank and node.op in ("*", "/") and (a.inner or b.inner)
        if a.negated is not None and node.op in ("*", "/"):  # -t*s is −(t ⊙ s), which needs no brackets
            a = a._replace(piece=a.negated, negated=None)
            return self.minus(Term(self.product(a, b) if node.op == "*" else self.divided(a, b), rank, inner=inner))
        match node.op:
            case "+" | "-":
                return Term(self.sum(a, b, "+" if node.op == "+" else self.style.minus), rank)
            case "*":
                return Term(self.product(a, b), rank, inner=inner)
            case "/":
                return Term(self.divided(a, b), rank)
            case "@":
                return self.matmul(a, b)
            case "**":
                return Term(self.power(a, b, node.right), rank)
        raise _NoMathematics

    def operands(self, node: syntax.Binary) -> tuple[Term, Term]:
        """Return both sides; ``v[:, None]`` under a matrix is v 𝟏ᵀ, elsewhere it has no place on paper."""
        sides = [_new_axis(side) if node.op in "+-*/" else None for side in (node.left, node.right)]
        if (sides[0] is None) == (sides[1] is None):
            return self.term(node.left), self.term(node.right)
        vector, is_column = sides[0] or sides[1] or (node, False)
        given, matrix = self.term(vector), self.term(node.right if sides[0] else node.left)
        if given.rank != 1 or matrix.rank != 2:
            raise _NoMathematics
        factors = (given.piece.text, self.style.transposed(self.style.ones))
        if given.piece.binds < PRODUCT or not is_column:
            held = within(given.piece, ATOM, self.style)
            factors = (held, factors[1]) if is_column else (self.style.ones, self.style.transposed(held))
        spread = Term(Piece(self.style.product(*factors), PRODUCT), 2)
        return (spread, matrix) if sides[0] else (matrix, spread)

    def sum(self, a: Term, b: Term, sign: str) -> Piece:
        """Return a sum; a number under each entry of a matrix is written with ones, but for entrywise operations."""
        plain = f"{entrywise(a.piece).text} {sign} {within(b.piece, ENTRYWISE, self.style)}"
        if {a.rank, b.rank} != {0, 2}:
            return Piece(f"{a.piece.text} {sign} {within(b.piece, ENTRYWISE, self.style)}", SUM, plain if a.piece.loose else "")
        left, right = (self.everywhere(x.piece) if x.rank == 0 else x.piece for x in (a, b))
        return Piece(f"{left.text} {sign} {within(right, ENTRYWISE, self.style)}", SUM, plain)

    def everywhere(self, number: Piece) -> Piece:
        ones = all_ones(self.style)
        return Piece(ones if number.text == "1" else self.style.product(within(number, PRODUCT, self.style), ones), PRODUCT)

    def product(self, a: Term, b: Term) -> Piece:
        if 0 in (a.rank, b.rank):
            beside = [self.style.paren(x.piece.text) if x.inner and y.rank else "" for x, y in ((a, b), (b, a))]
            left, right = (shown or within(x.piece, PRODUCT, self.style) for shown, x in zip(beside, (a, b), strict=True))
            left = before_factor(left, self.style)
            together = right[:1].isdigit() or self.style.barred(right)
            return Piece(left + (self.style.dot if together else self.style.times) + right, PRODUCT)
        times = self.times if a.rank and b.rank else self.style.dot.strip()
        return Piece(f"{self.factor(a)} {times} {within(entrywise(b.piece), POWER, self.style)}", ENTRYWISE)

    def factor(self, x: Term) -> str:
        return x.piece.text if x.piece.binds == ENTRYWISE else within(entrywise(x.piece), POWER, self.style)

    def divided(self, a: Term, b: Term) -> Piece:
        if a.rank and b.rank:
            return Piece(f"{self.factor(a)} {self.over} {within(entrywise(b.piece), POWER, self.style)}", ENTRYWISE)
        top = within(a.piece, PRODUCT, self.style) if self.style.fraction is None else a.piece.text
        return quotient(top, b.piece, self.style)

    def matmul(self, a: Term, b: Term) -> Term:
        if a.negated is not None:  # -y @ z is −(yᵀ z), which needs no brackets
            made = self.matmul(a._replace(piece=a.negated, negated=None), b)
            return self.minus(made)._replace(row=made.row, inner=made.inner)
        right = within(b.piece, PRODUCT, self.style)
        if a.rank is None or b.rank is None or a.rank > 2 or b.rank > 2:
            return Term(Piece(self.style.product(within(a.piece, PRODUCT, self.style), right), PRODUCT))
        if a.rank == 1:
            row = self.style.product(a.row or transposed(a.piece, self.style).text, right)
            if b.rank == 1:
                return Term(Piece(row, PRODUCT), 0, inner=True)
            column = self.style.product(*(within(p, PRODUCT, self.style) for p in (self.turned(b).piece, a.piece)))
            return Term(Piece(column, PRODUCT), 1, row)
        return Term(Piece(self.style.product(within(a.piece, PRODUCT, self.style), right), PRODUCT), b.rank)

    def power(self, base: Term, exponent: Term, written: syntax.Expression) -> Piece:
        name = base.piece.binds == ATOM and not base.piece.text.endswith(")")
        text = exponent.piece.text
        if base.rank and base.rank > 1 and not (base.piece.binds == ATOM and not name):
            if name and text == "2":
                return Piece(f"{base.piece.text} {self.times} {base.piece.text}", ENTRYWISE)
            return Piece(self.style.circled(within(entrywise(base.piece), ATOM, self.style), text), POWER)
        simple = exponent.piece.binds == ATOM and not text.startswith("(")
        fraction = self.style.barred(base.piece.text)
        held = self.style.paren(base.piece.text) if fraction else within(base.piece, ATOM, self.style)
        return Piece(self.style.power(held, text, simple or isinstance(written, syntax.Number)), POWER)

    def compared(self, node: syntax.Compare) -> Term:
        a, b = self.term(node.left), self.term(node.right)
        sign = self.style.compare[_COMPARISONS[node.op]]
        rank = None if a.rank is None or b.rank is None else max(a.rank, b.rank)
        return Term(Piece(f"[{a.piece.text} {sign} {b.piece.text}]"), rank)

    # -- calls --------------------------------------------------------------------------------------------------------

    def call(self, node: syntax.Call) -> Term:
        args = [self.term(a) for a in node.args]
        given = {k.name: k.value for k in node.keywords}
        if node.function in ELEMENTWISE or node.function in _ENTRIES:
            args = [a._replace(piece=entrywise(a.piece)) for a in args]
        if not given:
            made = self.formula(node, args)
            if made is not None:
                return made
        texts = [a.piece.text for a in args]
        if node.function == "where" and isinstance(node.args[0], syntax.Compare):
            texts[0] = texts[0][1:-1]  # a condition needs no brackets of its own
        words = [*texts, *(self.keyword(name, value) for name, value in given.items())]
        rank = rank_of(node.function, [a.rank for a in args], given)
        if node.function in OPS and not given:
            raised = node.function == "exp" and self.style.exponential
            return Term(Piece(self.style.call(node.function, tuple(words)), POWER if raised else ATOM), rank)
        return Term(Piece(self.style.word(node.function) + self.style.paren(", ".join(words))), rank)

    def keyword(self, name: str, value: syntax.Expression) -> str:
        if isinstance(value, syntax.Boolean | syntax.NoneItem | syntax.String):
            shown = str(value.value) if not isinstance(value, syntax.NoneItem) else "None"
            shown = self.style.literal(shown)
        else:
            shown = self.plain(value)
        return self.style.keyword(name, shown)

    def formula(self, node: syntax.Call, args: Sequence[Term]) -> Term | None:
        """Return a call that has signs of its own: norms, roots, inner and outer products, traces."""
        first = args[0] if args else Term(Piece(""))
        match node.function, len(args):
            case "sqrt", 1:
                return Term(Piece(self.style.sqrt(first.piece.text, first.piece.binds == ATOM), ATOM), first.rank)
            case "abs", 1:
                return Term(Piece(self.style.call("abs", (first.piece.text,))), first.rank)
            case "norm", 1 if first.rank in (1, 2):
                return Term(Piece(self.norm(first)), 0)
            case "sum", 1:
                return self.total(node.args[0])
            case (("dot" | "inner"), 2) if args[0].rank == args[1].rank == 1:
                return self.matmul(args[0], args[1])
            case "outer", 2:
                left = within(first.piece, PRODUCT, self.style)
                return Term(Piece(self.style.product(left, transposed(args[1].piece, self.style).text), PRODUCT), 2)
            case "transpose", 1:
                return self.turned(first)
            case "inv", 1:
                return Term(Piece(self.style.inverse(within(first.piece, ATOM, self.style)), POWER), first.rank)
            case "solve", 2:
                inverse = self.style.inverse(within(first.piece, ATOM, self.style))
                return Term(Piece(self.style.product(inverse, within(args[1].piece, PRODUCT, self.style)), PRODUCT), args[1].rank)
            case "trace", 1:
                return Term(Piece(self.style.word("tr") + self.style.paren(first.piece.text)), 0)
        return None

    def total(self, argument: syntax.Expression) -> Term | None:
        """Return a sum of squares as a squared norm."""
        if isinstance(argument, syntax.Binary) and argument.op == "**" and isinstance(argument.right, syntax.Number):
            base = self.term(argument.left)
            if argument.right.value == 2 and base.rank in (1, 2):
                return Term(Piece(self.style.power(self.norm(base), "2", True), POWER), 0)
        return None

    def norm(self, x: Term) -> str:
        return self.style.norm(x.piece.text, x.rank == 2)

    # -- subscripts and indices ---------------------------------------------------------------------------------------

    def read(self, node: syntax.Subscript) -> Term:
        if any(isinstance(i, syntax.NoneItem) for i in node.items):
            raise _NoMathematics
        if any(isinstance(i, syntax.Slice) for i in node.items):
            return self.part(node)
        items = [self.term(i) for i in node.items]
        subs = tuple(i.piece.text.replace(" ", "") for i in items)
        base = self.term(node.base)
        rank = self.left(base.rank, [i.rank for i in items])
        if isinstance(node.base, syntax.Name):
            return Term(Piece(self.style.subscripted(node.base.id, subs), POWER), rank)
        return Term(Piece(self.style.read(within(base.piece, ATOM, self.style), subs), POWER), rank)

    def part(self, node: syntax.Subscript) -> Term:
        """Return a part of an array, ``a[H:2H]``: every slice keeps an axis, every index takes one."""
        base = self.term(node.base)
        items = ", ".join(self.span(i) if isinstance(i, syntax.Slice) else self.plain(i).replace(" ", "") for i in node.items)
        slices = sum(isinstance(i, syntax.Slice) for i in node.items)
        rank = None if base.rank is None else base.rank - len(node.items) + slices
        held = within(base.piece, ATOM, self.style)
        return Term(Piece(f"{held}[{items}]" if self.style.name == "text" else self.style.read(held, (items,))), rank)

    def span(self, node: syntax.Slice) -> str:
        ends = ["" if end is None else self.plain(end).replace(" ", "") for end in (node.start, node.stop, node.step)]
        return self.style.colon.join(ends if node.step is not None else ends[:2])

    def left(self, rank: int | None, subs: Sequence[int | None]) -> int | None:
        """Return the rank of what subscripts of these ranks read: an array of labels N gathers N rows, ``E[k]`` is N×D."""
        known = [r for r in subs if r is not None]
        if rank is None or len(known) < len(subs):
            return None
        return max(rank - len(subs), 0) + max(known, default=0)

    def reduced(self, node: syntax.IndexedReduce) -> Term:
        letters = tuple(i.id for i in node.indices)
        body = self.term(node.body).piece
        if node.name == "sum":
            return Term(Piece(self.style.sum(letters, within(body, ENTRYWISE, self.style)), PRODUCT), 0)
        called = self.style.word(node.name) + self.style.paren(body.text)
        return Term(Piece(self.style.over(called, ",".join(letters))), 0)


def _new_axis(node: syntax.Expression) -> tuple[syntax.Expression, bool] | None:
    """Return the vector of ``v[:, None]`` (a column) or ``v[None, :]``, and whether it is a column; ``None`` for all else."""
    if not isinstance(node, syntax.Subscript) or len(node.items) != 2:
        return None
    kinds = [type(i) for i in node.items]
    whole = all(i.start is i.stop is i.step is None for i in node.items if isinstance(i, syntax.Slice))
    return (node.base, kinds[1] is syntax.NoneItem) if whole and {*kinds} == {syntax.Slice, syntax.NoneItem} else None


#: The names of comparisons in the table of operations.
_COMPARISONS = {"<": "less", ">": "greater", "<=": "less_equal", ">=": "greater_equal", "==": "equal", "!=": "not_equal"}
_ENTRIES = frozenset({"sum", "mean", "max", "min", "prod", "softmax", "log_softmax", "logsumexp", "cumsum", "flip", "where"})
