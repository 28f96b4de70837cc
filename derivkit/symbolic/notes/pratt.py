r"""A Pratt parser for formulas: tokens to the tree of :mod:`~derivkit.symbolic.notes.formula`.

It sees places, no meaning: ``f(z)`` is an :class:`~derivkit.symbolic.notes.formula.Application` whatever ``f`` is.  Where a
reader would have to guess (``1/2x``), it refuses, so that nobody is accused for a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar, cast

from derivkit import limits
from derivkit.symbolic.notes import atoms, frames, scripts, tables
from derivkit.symbolic.notes.formula import (
    Derivative,
    Differential,
    Formula,
    Indicator,
    List,
    Number,
    Product,
    ProductSign,
    Quotient,
    Relation,
    Sign,
    Sum,
    Words,
)
from derivkit.symbolic.notes.marks import Span, Token, Unfinished, Unreadable
from derivkit.symbolic.parse.syntax import Place

T = TypeVar("T")
_STARTS = {"number", "name", "open", "lbrace", "command", "begin", "dots"}
_SEPARATORS = {",", ";"}


class Parser:
    """Reads one statement's tokens; ``place`` knows where in the document an offset stands."""

    def __init__(self, tokens: list[Token], place: Callable[[int], Place], names: Collection[str] = ()) -> None:
        """Match the brackets once."""
        self.names = names
        self.summed = {u.text for t, u, v in zip(tokens, tokens[1:], tokens[2:], strict=False) if _bounds(t, u, v)}
        self.tokens = tokens
        self.place = place
        self.i: int = 0
        self.end: int = len(tokens)
        self.bars: list[str] = []
        self.conditional = False
        self.depth = 0
        self.match = _matched(tokens)
        #: How often a d stands before something without a blank: where two do, d( is a differential too.
        self.differentials = sum(t.text == "d" and t.end == u.start and u.kind in ("name", "open") for t, u in pairwise(tokens))

    # Where we are -------------------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        """The next token; behind the last one, one of kind ``over``."""
        if self.i < self.end:
            return self.tokens[self.i]
        last = self.tokens[self.end - 1].end if self.end else 0
        return Token("over", "", last, last)

    def next(self) -> Token:
        """Return the next token and go on."""
        token = self.token
        self.i += 1
        return token

    def is_op(self, *texts: str) -> bool:
        """Return whether the next token is one of these signs."""
        return self.token.kind == "op" and self.token.text in texts

    def span(self, start: int) -> Span:
        """Return the place and the end of what was read since token ``start``."""
        begin, last = self.tokens[min(start, len(self.tokens) - 1)], self.tokens[max(self.i - 1, 0)]
        end = self.place(max(last.end - 1, 0))
        return {"place": self.place(begin.start), "end": Place(end.line, end.column + 1)}

    def error(self, message: str, token: Token | None = None, code: str = "DK070", hint: str | None = None) -> Unreadable:
        """Return the error for a token (the next one)."""
        return Unreadable(message, (token or self.token).start, code=code, hint=hint)

    def unfinished(self, message: str) -> Unfinished:
        """Return the error where the formula is over too early."""
        return Unfinished(message, self.token.start, code="DK070")

    def inside(self, start: int, end: int, read: Callable[[], T]) -> T:
        """Read the tokens from ``start`` to ``end`` by themselves, all of them, and come back."""
        kept = (self.i, self.end, self.bars, self.conditional)
        self.i, self.end, self.bars, self.conditional = start, end, [], False
        found = read()
        if self.i < self.end:
            raise self.error(f"cannot go on at {self.token.text[:30]!r}")
        self.i, self.end, self.bars, self.conditional = kept
        return found

    # Levels, loosest first ----------------------------------------------------------------------------------------------

    def relation(self) -> Formula:
        """Read ``a = b``, ``a < b < c`` or a term."""
        start = self.i
        left = self.sum()
        found: list[Formula] = []
        while self.token.kind == "rel":
            op = self.next().text
            right = self.sum()
            found.append(Relation(op, left, right, **self.span(start)))
            left = right
        if not found:
            return left
        whole = found[0]
        for other in found[1:]:
            whole = Relation("&", whole, other, **self.span(start))
        return whole

    def sum(self) -> Formula:
        """Read terms with their signs."""
        start = self.i
        terms: list[tuple[str, Formula]] = []
        while True:
            sign = self.next().text if self.is_op("+", "-") else "+"
            signed = self.i > start if not terms else True
            terms.append((sign, self.product()))
            if not self.is_op("+", "-"):
                break
        if len(terms) > 1:
            return Sum(cast("tuple[tuple[str, Formula], ...]", tuple(terms)), **self.span(start))  # type: ignore[arg-type]
        sign, only = terms[0]
        if not signed:
            return only
        return Sign("-" if sign == "-" else "+", only, **self.span(start))

    def product(self) -> Formula:
        """Read factors up to the next ``+``, ``-`` or relation."""
        self.depth += 1
        if self.depth > limits.FORMULA_NESTING:
            raise self.error(f"nested deeper than {limits.FORMULA_NESTING}", code="DK003")
        start = self.i
        factors: list[tuple[ProductSign, Formula]] = [("", self.signed())]
        quotients = 0
        while True:
            if self.is_op("/"):
                quotients += 1
                if quotients > limits.FORMULA_NESTING:
                    raise self.error(f"more than {limits.FORMULA_NESTING} quotients in one product", code="DK003")
                sign, over = factors.pop()
                factors.append((sign, self.quotient(over)))
            elif self.token.kind == "op" and self.token.text not in "+-":
                factors.append(self.explicit())
            elif self.starts_factor():
                factors.append(("", self.factor()))
            else:
                break
        self.depth -= 1
        return factors[0][1] if len(factors) == 1 else Product(tuple(factors), **self.span(start))

    def explicit(self) -> tuple[ProductSign, Formula]:
        r"""Read a sign and the factor behind it; ``\oslash b`` is the product with 1/b, entry by entry."""
        start = self.i
        sign, factor = self.next().text, self.signed()
        if sign != "oslash":
            return cast(ProductSign, sign), factor
        one = Number(Fraction(1), "1", **self.span(start))
        return "odot", Quotient(one, factor, **self.span(start))

    def quotient(self, over: Formula) -> Formula:
        """Read what stands behind a stroke; where it is not clear how far that goes, refuse."""
        stroke = self.next()
        start = self.i
        under = self.signed()
        last, following = self.tokens[self.i - 1], self.token
        adjacent = following.kind == "name" and following.start == last.end and last.kind in ("name", "number")
        if adjacent and self.tokens[start].space:  # a / 2b: the blanks say what belongs together
            factors: list[tuple[ProductSign, Formula]] = [("", under)]
            while self.starts_factor() and not self.token.space:
                factors.append(("", self.factor()))
            under = Product(tuple(factors), **self.span(start))
        elif adjacent:
            hint = "write \\frac{...}{...}, or brackets below the stroke"
            raise self.error("it is not clear what stands below the stroke", self.tokens[start], code="DK071", hint=hint)
        where = {"place": over.place, "end": self.span(start)["end"]}
        if isinstance(over, Differential) and isinstance(under, Differential):
            spelled = "partial" if stroke.style == "partial" else "d"
            return Derivative(over.of, (under.of,), spelled, **where)  # type: ignore[arg-type]
        return Quotient(over, under, **where)

    def signed(self) -> Formula:
        r"""Read a factor that may have a sign, as behind a dot: ``a \cdot -b``."""
        start = self.i
        if self.is_op("+", "-"):
            op = self.next().text
            self.depth += 1
            if self.depth > limits.FORMULA_NESTING:
                raise self.error(f"nested deeper than {limits.FORMULA_NESTING}", code="DK003")
            operand = self.signed()
            self.depth -= 1
            return Sign("-" if op == "-" else "+", operand, **self.span(start))
        return self.factor()

    def starts_factor(self) -> bool:
        """Return whether a factor begins here without a sign before it."""
        token = self.token
        if token.kind == "bar":
            return not (self.bars and self.bars[-1] == token.text) and not self.conditional
        if token.kind == "command" and token.text in ("over", "forall"):
            return False
        return token.kind in _STARTS

    def factor(self) -> Formula:
        """Read an atom with its scripts and brackets."""
        return scripts.scripted(self, self.i, self.atom())

    # Atoms --------------------------------------------------------------------------------------------------------------

    def atom(self) -> Formula:
        """Read the smallest thing there is."""
        token = self.token
        match token.kind:
            case "number":
                return self.number()
            case "name":
                return atoms.name(self)
            case "lbrace":
                return atoms.group(self)
            case "open":
                return atoms.bracketed(self)
            case "bar":
                return atoms.barred(self)
            case "command":
                return atoms.command(self)
            case "begin":
                return frames.environment(self)
            case "dots" | "words":
                start = self.i
                self.next()
                return Words("..." if token.kind == "dots" else token.text, **self.span(start))
            case "over":
                raise self.unfinished("something is missing at the end")
        raise self.error(f"expected a term, found {token.text[:30]!r}")

    def number(self) -> Formula:
        r"""Read a number, or the 1 of an indicator: ``1\{y = k\}``."""
        start = self.i
        token = self.next()
        following = self.token
        if token.text == "1" and following.kind == "open" and following.text in ("\\{", "[", "("):
            close = self.match[self.i]
            if any(t.kind == "rel" for t in self.tokens[self.i + 1 : close]) and self.comparing(self.i + 1, close):
                inner = self.inside(self.i + 1, close, self.relation)
                self.i = close + 1
                return inner if isinstance(inner, Indicator) else Indicator(inner, **self.span(start))
        return Number(Fraction(token.text), token.text, **self.span(start))

    def comparing(self, start: int, end: int) -> bool:
        """Return whether a relation stands between two tokens, outside of all brackets."""
        depth = 0
        for token in self.tokens[start:end]:
            depth += token.kind in ("open", "lbrace", "begin")
            depth -= token.kind in ("close", "rbrace", "end")
            if token.kind == "rel" and not depth:
                return True
        return False

    def argument(self) -> tuple[int, int]:
        """Return the range of the argument that a command has here, and go behind it."""
        start = self.i
        if self.token.kind == "lbrace":
            close = self.match[start]
            self.i = close + 1
            return start + 1, close
        if self.token.kind in ("number", "name", "words"):
            self.i += 1
            return start, start + 1
        if self.token.kind == "command":
            self.atom()
            return start, self.i
        raise self.error("a command without its argument")

    def items(self) -> list[Formula | None]:
        """Read a list up to its end; dots are ``None``."""
        found: list[Formula | None] = []
        while self.i < self.end:
            alone = self.i + 1 >= self.end or self.tokens[self.i + 1].kind in _SEPARATORS or self.tokens[self.i + 1].kind == "bar"
            if self.token.kind == "dots" and alone:
                self.next()
                found.append(None)
            elif self.is_op("cdot") and alone:  # a place left open: \sigma(\cdot)
                start = self.i
                self.next()
                found.append(Words("\\cdot", **self.span(start)))
            else:
                found.append(self.relation())
                if self.token.kind == "?":
                    start = self.i
                    self.next()
                    found[-1] = Indicator(cast(Formula, found[-1]), **self.span(start - 1))
            if self.token.kind in _SEPARATORS or (self.token.kind == "bar" and self.conditional):
                self.next()
                if self.token.kind == "bar" and self.conditional:
                    self.next()
            elif self.i < self.end:
                raise self.error(f"cannot go on at {self.token.text[:30]!r}")
        return found

    def arguments(self) -> tuple[Formula, ...]:
        """Read the arguments of a call, up to its end; a bar (``P(y | x)``) parts them as a comma does."""
        depth = 0
        bars: list[int] = []
        for i, token in enumerate(self.tokens[self.i : self.end]):
            depth += token.kind in ("open", "lbrace", "begin")
            depth -= token.kind in ("close", "rbrace", "end")
            bars += [i] if token.kind == "bar" and not depth else []
        self.conditional = len(bars) == 1 or (len(bars) == 2 and bars[1] == bars[0] + 1)
        start = self.i
        found = self.items()
        if any(item is None for item in found):
            return (List(tuple(found), "", **self.span(start)),)
        return tuple(item for item in found if item is not None)

    def implicit(self) -> Formula:
        """Read what a function takes without brackets: one juxtaposed group, up to the next sign or function."""
        start = self.i
        if self.is_op("-", "+"):
            op = self.next().text
            operand = self.implicit()
            return Sign("-" if op == "-" else "+", operand, **self.span(start))
        factors = [self.factor()]
        while self.starts_factor() and not self.stops_argument():
            factors.append(self.factor())
        if len(factors) == 1:
            return factors[0]
        return Product(tuple(("", f) for f in factors), **self.span(start))

    def stops_argument(self) -> bool:
        """Return whether what follows is surely no part of a function's argument."""
        token = self.token
        if token.kind == "name":
            return token.text in tables.FUNCTIONS or atoms.is_differential(self)
        if token.kind == "command":
            return token.text in tables.BIG or token.text in ("partial", "nabla") or atoms.is_derivative(self)
        return token.kind in ("dots", "begin")


def _bounds(before: Token, letter: Token, after: Token) -> bool:
    r"""Return whether a letter runs below a sign: ``_{l = 1}``."""
    return before.kind == "lbrace" and letter.kind == "name" and after.kind == "rel"


def _matched(tokens: list[Token]) -> dict[int, int]:
    """Return where each bracket is closed; what is not closed at all is refused."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for i, token in enumerate(tokens):
        if token.kind in ("open", "lbrace", "begin"):
            waiting.append(i)
        elif token.kind in ("close", "rbrace", "end"):
            opener = {"close": "open", "rbrace": "lbrace", "end": "begin"}[token.kind]
            if not waiting or tokens[waiting[-1]].kind != opener:
                raise Unreadable(f"{token.text[:30]!r} closes nothing", token.start, code="DK074")
            found[waiting.pop()] = i
    if waiting:
        raise Unreadable(f"{tokens[waiting[-1]].text[:30]!r} is never closed", tokens[waiting[-1]].start, code="DK074")
    return found
