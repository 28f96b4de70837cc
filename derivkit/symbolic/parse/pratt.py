"""Tokens to expressions: a Pratt parser with the precedence of Python, bounded in every direction."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import TypeVar, get_args

from derivkit import limits
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.parse import bounds, syntax
from derivkit.symbolic.parse.bounds import Facts
from derivkit.symbolic.parse.lexer import Token
from derivkit.symbolic.parse.syntax import Expression, Name, Place, error_at

#: How tightly the binary operators bind; a sign binds more tightly than ``*`` and less than ``**``, as in Python.
BINDING: dict[str, int] = {
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 10),
    **dict.fromkeys(("+", "-"), 20),
    **dict.fromkeys(("*", "/", "//", "@"), 30),
    "**": 50,
}
COMPARISON, SIGN, POWER = 10, 40, 50
#: The reductions that may be written over named indices, ``sum[k](...)``.
REDUCTIONS = frozenset(
    {
        "sum",
        "prod",
        "mean",
        "max",
        "min",
        "argmax",
        "norm",
        "logsumexp",
        "softmax",
        "log_softmax",
        "first_max",
        "inv",
        "det",
        "logdet",
    }
)
CONSTANTS = frozenset({"pi", "inf"})
OTHER_NAME = "choose another name, as {0}_"  # pi_ is printed π
#: Words of Python, with what to write here.
WORDS: dict[str, str] = {
    "lambda": "write lamda or λ",
    "if": "write where(condition, a, b)",
    "else": "write where(condition, a, b)",
    "for": "write sum[k](...), or an index definition y[i] = ...",
    "in": "write sum[k](...); the range of k is that of the axis",
    "and": "write the product of the comparisons",
    "or": "write where(condition, a, b)",
    "not": "write where(condition, a, b)",
    "return": "the last line is the output",
}
_VALUES: tuple[type, ...] = get_args(syntax.Value)
_Node = TypeVar("_Node", bound=syntax.Expression)


class Reader:
    """One reading of one list of tokens; ``facts`` are what the bounds need of each node built so far.

    >>> from derivkit.symbolic.parse.lexer import tokenize
    >>> Reader(tokenize("-x**2"), "-x**2", {"exp"}).expression()
    Unary(op='-', operand=Binary(op='**', left=Name(id='x'), right=Number(value=Fraction(2, 1), text='2')))
    """

    def __init__(self, tokens: Sequence[Token], source: str, functions: Collection[str], modules: Collection[str] = ()) -> None:
        """Start at the first token."""
        self.source = source
        self.token = tokens[0]
        self.variables: set[str] = set()
        self._tokens = tokens
        self._at = 0
        self._functions = functions
        self._modules = modules
        self._depth = 0
        self._facts: dict[int, Facts] = {}
        self._names: set[str] = set()

    # Tokens

    def advance(self) -> Token:
        """Return the token here and go to the next."""
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        self.token = self._tokens[self._at]
        return token

    def ahead(self) -> Token:
        """Return the token after the one here."""
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def follows(self) -> str:
        """Return the operator after the token here, or nothing."""
        token = self.ahead()
        return token.text if token.kind == "operator" else ""

    def sees(self, *texts: str) -> bool:
        """Return whether one of the operators is here."""
        return self.token.kind == "operator" and self.token.text in texts

    def expect(self, text: str, hint: str | None = None) -> Token:
        """Go over the operator, or refuse what is here."""
        if not self.sees(text):
            raise self.unexpected(f"'{text}'", hint)
        return self.advance()

    def error(self, place: Place, message: str, *, code: str = "DK007", hint: str | None = None) -> DerivkitError:
        """Return the error for a place in this text."""
        return error_at(self.source, place, message, code=code, hint=hint)

    def unexpected(self, wanted: str, hint: str | None = None) -> DerivkitError:
        """Return the error for the token here."""
        ends = {"newline": "the end of the line", "end": "the end of the text"}
        seen = ends.get(self.token.kind) or f"'{echo(self.token.text)}'"
        if self.token.kind == "name":
            hint = WORDS.get(self.token.text, hint)
        return self.error(self.token.place, f"expected {wanted}, saw {seen}", hint=hint)

    def product_hint(self) -> str | None:
        """Return what to say of two operands side by side, as in ``W x``."""
        before = self._tokens[self._at - 1] if self._at else self.token
        if self.token.kind not in ("name", "number") and not self.sees("("):
            return None
        both = before.kind == self.token.kind == "name"
        example = f": {echo(before.text)} @ {echo(self.token.text)} is one of matrices" if both else ""
        return f"a product is written with * or @{example}"

    # Names

    def variable(self, token: Token, wanted: str = "a name") -> str:
        """Return the text of ``token`` as a variable, an index or a size: no word of Python, no function's name."""
        name = token.text
        if token.kind != "name":
            raise self.unexpected(wanted)
        if keyword.iskeyword(name):
            raise self.error(token.place, f"'{name}' is a word of Python", code="DK006", hint=WORDS.get(name))
        if name in self._functions:
            raise self.error(token.place, f"'{name}' is a function", code="DK006", hint=f"write {name}(...), or another name")
        if name not in self._names and len(self._names) >= limits.NAMES:
            raise self.error(token.place, f"more than {limits.NAMES} names", code="DK016")
        self._names.add(name)
        return name

    def target(self) -> tuple[str, Place]:
        """Go over a name that a line declares or defines."""
        token, name = self.token, self.variable(self.token)
        if name in CONSTANTS:
            raise self.error(token.place, f"'{name}' is a constant", code="DK006", hint=OTHER_NAME.format(name))
        self.variables.add(name)
        return name, self.advance().place

    def indices(self, names: Iterable[Expression]) -> tuple[Name, ...]:
        """Return bare, different indices."""
        found: dict[str, Name] = {}
        for name in names:
            if not isinstance(name, Name):
                raise self.error(name.place, "expected a bare index", code="DK019", hint="as in y[i,j] = ... and sum[k,l](...)")
            if name.id in found:
                raise self.error(name.place, f"index '{name.id}' is there twice", code="DK019")
            found[name.id] = name
        return tuple(found.values())

    # Expressions

    def value(self) -> Expression:
        """Return the expression here, which must stand for a value."""
        return self._valued(self.expression())

    def expression(self, least: int = 0) -> Expression:
        """Return the longest expression here whose operators bind more tightly than ``least``."""
        self._depth += 1
        if self._depth > limits.NESTING:
            raise self.error(self.token.place, f"nested deeper than {limits.NESTING}", code="DK003")
        left = self._signed()
        while self.token.kind == "operator" and BINDING.get(self.token.text, 0) > least:
            operator = self.advance()
            binding = BINDING[operator.text]
            right = self._valued(self.expression(POWER - 1 if binding == POWER else binding))
            left = self._joined(operator, self._valued(left), right)
            if binding == COMPARISON and BINDING.get(self.token.text) == COMPARISON and self.token.kind == "operator":
                raise self.error(self.token.place, "comparisons do not chain", hint="write (a < b) * (b < c)")
        self._depth -= 1
        return left

    def facts(self, node: Expression) -> Facts:
        """Return what the bounds know of a node."""
        return self._facts[id(node)]

    def _valued(self, node: Expression) -> Expression:
        if not isinstance(node, _VALUES):
            what = {"NoneItem": "None", "Boolean": "a truth value"}.get(type(node).__name__, f"a {type(node).__name__.lower()}")
            raise self.error(node.place, f"{what} is no value here", hint="it can only be an argument of a function")
        return node

    def _built(self, node: _Node, facts: Facts) -> _Node:
        if facts.height > limits.NESTING:
            raise self.error(node.place, f"nested deeper than {limits.NESTING}", code="DK003")
        self._facts[id(node)] = facts
        return node

    def _opaque(self, node: _Node, *children: Expression | None) -> _Node:
        return self._built(node, bounds.opaque(self.facts(child) for child in children if child is not None))

    def _joined(self, operator: Token, left: Expression, right: Expression) -> Expression:
        place = operator.place
        if BINDING.get(operator.text) == COMPARISON:
            return self._opaque(syntax.Compare(operator.text, left, right, place=place), left, right)
        op = "**" if operator.kind == "power" else operator.text
        try:
            facts = bounds.joined(op, self.facts(left), self.facts(right))
        except DerivkitError as error:
            raise self.error(place, error.message, code=error.code, hint=error.hint) from None
        return self._built(syntax.Binary(op, left, right, place=place), facts)

    def _signed(self) -> Expression:
        if not self.sees("+", "-"):
            return self._postfixed()
        signs = []
        while self.sees("+", "-"):
            signs.append(self.advance())
        node = self._valued(self.expression(SIGN))
        for sign in reversed(signs):
            facts = bounds.signed(sign.text, self.facts(node))
            node = self._built(syntax.Unary(sign.text, node, place=sign.place), facts)
        return node

    def _postfixed(self) -> Expression:
        node = self._atom()
        while True:
            token = self.token
            if token.kind == "power":
                exponent = self._number()
                node = self._joined(token, self._valued(node), exponent)
            elif self.sees("("):
                raise self.error(token.place, "only a function is called", hint="a product is written with *")
            elif self.sees("["):
                items = self._items(self._valued(node))
                parts = [p for i in items for p in ((i.start, i.stop, i.step) if isinstance(i, syntax.Slice) else (i,))]
                node = self._opaque(syntax.Subscript(node, items, place=token.place), node, *parts)
            elif self.sees("."):
                node = self._attribute(self._valued(node))
            else:
                return node

    def _attribute(self, node: Expression) -> Expression:
        dot = self.advance()
        name = self.token.text if self.token.kind == "name" else ""
        if name != "T":
            hint = f"write {name}(...)" if name in self._functions else "a transpose is written .T"
            raise self.unexpected("'T' after the dot", hint)
        self.advance()
        return self._opaque(syntax.Attribute(node, "T", place=dot.place), node)

    def _items(self, base: Expression) -> tuple[Expression | syntax.Slice, ...]:
        """Return the subscripts between brackets."""
        if isinstance(base, syntax.Number):
            raise self.error(self.token.place, "a number has no subscripts")
        opener, items = self.advance(), [self._item()]
        while self.sees(","):
            self.advance()
            if self.sees("]"):
                break
            items.append(self._item())
        self.expect("]")
        if sum(not isinstance(item, syntax.NoneItem) for item in items) > limits.RANK:
            raise self.error(opener.place, f"more than {limits.RANK} subscripts", code="DK017")
        return tuple(items)

    def _item(self) -> Expression | syntax.Slice:
        place = self.token.place
        parts: list[Expression | None] = [None if self.sees(":") else self.expression()]
        if not self.sees(":"):
            item = parts[0]
            return item if item is None or isinstance(item, syntax.NoneItem) else self._valued(item)  # type: ignore[return-value]
        while self.sees(":") and len(parts) < 3:
            self.advance()
            parts.append(None if self.sees(":", ",", "]") else self.expression())
        start, stop, step = (p and self._valued(p) for p in (*parts, None)[:3])
        return syntax.Slice(start, stop, step, place=place)

    def _atom(self) -> Expression:
        token = self.token
        if token.kind == "number":
            return self._number()
        if token.kind == "string":
            return self._opaque(syntax.String(self.advance().text, place=token.place))
        if token.kind == "name":
            return self._named()
        if self.sees("("):
            return self._group()
        if self.sees("["):
            self.advance()
            items = self._sequence("]")
            return self._opaque(syntax.List(items, place=token.place), *items)
        hint = "a comparison is written ==" if self.sees("=") else None
        raise self.unexpected("an expression", hint)

    def _number(self) -> Expression:
        token = self.advance()
        value = Fraction(token.text)
        try:
            facts = bounds.literal(value)
        except DerivkitError as error:
            raise self.error(token.place, error.message, code=error.code) from None
        return self._built(syntax.Number(value, token.text, place=token.place), facts)

    def _group(self) -> Expression:
        opener = self.advance()
        if not self.sees(")"):
            first = self.expression()
            if self.sees(")"):
                self.advance()
                return first
            self.expect(",", self.product_hint() or "')' closes the parenthesis")
            items = (first, *self._sequence(")"))
        else:
            items = self._sequence(")")
        return self._opaque(syntax.Tuple(items, place=opener.place), *items)

    def _sequence(self, closer: str) -> tuple[Expression, ...]:
        """Return the expressions up to ``closer``."""
        items: list[Expression] = []
        while not self.sees(closer):
            items.append(self.expression())
            if not self.sees(closer):
                self.expect(",", self.product_hint())
        self.advance()
        return tuple(items)

    def _named(self) -> Expression:
        """Return what begins with a name: a call, a reduction, a delta, a word or the name alone."""
        if self.token.text in self._modules and self.follows() == ".":
            self.advance()
            self.advance()
            if self.token.kind != "name":
                raise self.unexpected("a name after the dot")
        token, name, follows = self.token, self.token.text, self.follows()
        if name in ("None", "newaxis"):
            return self._opaque(syntax.NoneItem(place=self.advance().place))
        if name in ("True", "False"):
            return self._opaque(syntax.Boolean(name == "True", place=self.advance().place))
        if follows == "(" and not keyword.iskeyword(name):
            return self._call()
        if follows == "[" and name in REDUCTIONS:
            return self._reduction()
        if follows == "[" and name == "delta" and name not in self.variables:
            return self._delta()
        return self._opaque(Name(self.variable(self.advance()), place=token.place))

    def _call(self) -> Expression:
        function, _ = self.advance(), self.advance()
        args: list[Expression] = []
        keywords: dict[str, syntax.Keyword] = {}
        while not self.sees(")"):
            if self.token.kind == "name" and self.follows() == "=":
                name, _ = self.advance(), self.advance()
                if name.text in keywords:
                    raise self.error(name.place, f"'{echo(name.text)}' is given twice", code="DK010")
                keywords[name.text] = syntax.Keyword(name.text, self.expression(), place=name.place)
            elif keywords:
                raise self.error(self.token.place, "an argument without a name after one with a name", code="DK010")
            else:
                args.append(self.expression())
            if not self.sees(")"):
                self.expect(",", self.product_hint())
        self.advance()
        node = syntax.Call(function.text, tuple(args), tuple(keywords.values()), place=function.place)
        return self._opaque(node, *args, *(k.value for k in keywords.values()))

    def _reduction(self) -> Expression:
        """Return ``sum[k,l](body)``."""
        name, _ = self.advance(), self.advance()
        indices = self.indices(self._sequence("]"))
        if not indices:
            raise self.error(name.place, f"'{name.text}[]' names no index", code="DK019", hint=f"as in {name.text}[k](...)")
        self.expect("(", f"as in {name.text}[k](...)")
        body = self.value()
        self.expect(")")
        return self._opaque(syntax.IndexedReduce(name.text, indices, body, place=name.place), body)

    def _delta(self) -> Expression:
        name, _ = self.advance(), self.advance()
        items = self._sequence("]")
        if len(items) == 1:
            base = self._opaque(Name(self.variable(name), place=name.place))
            return self._opaque(syntax.Subscript(base, (self._valued(items[0]),), place=name.place), base, items[0])
        if len(items) != 2:
            raise self.error(name.place, f"delta has two subscripts, not {len(items)}", code="DK019", hint="as in delta[i,j]")
        a, b = (self._valued(item) for item in items)
        return self._opaque(syntax.DeltaTerm(a, b, place=name.place), a, b)
