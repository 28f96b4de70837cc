"""The surface tree: what the reader saw, with places and without meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from derivkit.errors import DerivkitError


class Place(NamedTuple):
    """Where a caret belongs: line and column, counted in characters from 1."""

    line: int
    column: int


def error_at(source: str, place: Place, message: str, *, code: str, hint: str | None = None) -> DerivkitError:
    """Return the error for ``place`` in the text ``source``, with the source line for the caret.

    >>> print(error_at("y = zz", Place(1, 5), "unknown name 'zz'", code="DK008").report())
    derivkit: error: line 1, column 5: unknown name 'zz'
      y = zz
          ^
    """
    lines = source.split("\n", place.line)
    line = lines[place.line - 1].removesuffix("\r") if place.line <= len(lines) else None
    return DerivkitError(message, code=code, line=place.line, column=place.column, hint=hint, source=line)


@dataclass(frozen=True, slots=True)
class _Node:
    place: Place = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Number(_Node):
    """A literal: its exact ``value``, and the ``text`` that the user wrote."""

    value: Fraction
    text: str


@dataclass(frozen=True, slots=True)
class Name(_Node):
    """A name in canonical spelling (``α`` and ``alpha`` are ``alpha``)."""

    id: str


@dataclass(frozen=True, slots=True)
class String(_Node):
    """A quoted word; only ever an argument of a call."""

    value: str


@dataclass(frozen=True, slots=True)
class Boolean(_Node):
    """``True`` or ``False``; only ever an argument of a call."""

    value: bool


@dataclass(frozen=True, slots=True)
class NoneItem(_Node):
    """``None``: an argument of a call, or a new axis in a subscript."""


@dataclass(frozen=True, slots=True)
class Unary(_Node):
    """``op operand`` for ``+ -``; the place is the sign's."""

    op: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(_Node):
    """``left op right`` for ``+ - * / // ** @``; the place is the operator's."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare(_Node):
    """``left op right`` for ``< <= > >= == !=``; the place is the operator's."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Keyword(_Node):
    """``name=value`` among the arguments of a call."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Call(_Node):
    """``function(args, keywords)``; whether there is such a function is decided when lowering."""

    function: str
    args: tuple[Expression, ...]
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True)
class Slice(_Node):
    """``start:stop:step`` in a subscript."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(frozen=True, slots=True)
class Subscript(_Node):
    """``base[items]``; whether ``i`` in ``x[i]`` is an index or a value is decided when lowering."""

    base: Expression
    items: tuple[Expression | Slice, ...]


@dataclass(frozen=True, slots=True)
class Attribute(_Node):
    """``base.T``; the place is the dot's."""

    base: Expression
    name: str


@dataclass(frozen=True, slots=True)
class IndexedReduce(_Node):
    """``sum[k,l](body)``, and likewise ``prod mean max min``."""

    name: str
    indices: tuple[Name, ...]
    body: Expression


@dataclass(frozen=True, slots=True)
class DeltaTerm(_Node):
    """``delta[a,b]``: one where the subscripts are equal, else zero."""

    a: Expression
    b: Expression


@dataclass(frozen=True, slots=True)
class Tuple(_Node):
    """``(a, b)``; only ever an argument of a call, or inside one."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class List(_Node):
    """``[a, b]``; only ever an argument of a call, or inside one."""

    items: tuple[Expression, ...]


#: What stands for a value.
Value: TypeAlias = Number | Name | Unary | Binary | Compare | Call | Subscript | Attribute | IndexedReduce | DeltaTerm
Expression: TypeAlias = Value | Tuple | List | String | Boolean | NoneItem


@dataclass(frozen=True, slots=True)
class Declaration(_Node):
    """``name: kind sizes``; no sizes is a scalar, and ``label K, N`` keeps both its sizes."""

    name: str
    kind: str
    sizes: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Definition(_Node):
    """``name = value``."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class IndexDefinition(_Node):
    """``name[indices] = value``."""

    name: str
    indices: tuple[Name, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Output(_Node):
    """A bare expression on the last line: the output, called ``out``."""

    value: Expression


Statement: TypeAlias = Declaration | Definition | IndexDefinition | Output


@dataclass(frozen=True, slots=True)
class Program:
    """The statements in order, and the text they were read from."""

    statements: tuple[Statement, ...]
    source: str = field(compare=False, repr=False)

    def error(self, place: Place, message: str, *, code: str, hint: str | None = None) -> DerivkitError:
        """Return the error for ``place`` in this program, with the source line for the caret."""
        return error_at(self.source, place, message, code=code, hint=hint)


def spine(expression: Expression) -> tuple[Expression, tuple[Binary, ...]]:
    """Return the first operand of a chain, then the operations in the order of evaluation.

    A sum of two thousand terms is two thousand ``Binary`` deep on the left: whoever walks the tree takes the spine
    in a loop and recurs into the right operands only, whose nesting is bounded by ``limits.NESTING``.

    >>> a, b = (Name(n, place=Place(1, 1)) for n in "ab")
    >>> chain = Binary("-", Binary("+", a, b, place=Place(1, 1)), b, place=Place(1, 1))
    >>> first, steps = spine(chain)
    >>> first.id, [step.op for step in steps]
    ('a', ['+', '-'])
    """
    steps: list[Binary] = []
    while isinstance(expression, Binary):
        steps.append(expression)
        expression = expression.left
    return expression, tuple(reversed(steps))
