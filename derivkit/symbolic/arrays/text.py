"""Array nodes as Python text: one writer for the program language and for NumPy, which differ in a table of calls.

:func:`write` writes one node from the texts of its operands, so that a generator may emit a statement for a node that is
used twice and write the others in place; :func:`text_of` writes a whole tree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from derivkit.symbolic.arrays.nodes import decimal
from derivkit.symbolic.arrays.slices import slices
from derivkit.symbolic.arrays.tree import Array, postorder
from derivkit.symbolic.expr import Name
from derivkit.symbolic.index import Size
from derivkit.symbolic.ops import COMPARISONS

#: How tightly a text binds.
TEST, SUM, PRODUCT, UNARY, POWER, ATOM = range(6)

_SIGNS = {op: sign for sign, op in COMPARISONS.items()}
_STATIC = frozenset({"number", "size", "constant"})


class Text(NamedTuple):
    """A piece of program text and how tightly it binds; for a test also how it is written as 0 or 1."""

    text: str
    binds: int = ATOM
    as_number: str = ""


Call = Callable[[Array, Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the program language and NumPy.

    ``calls`` maps an operation (``reduce`` and ``along`` with their own names, functions by theirs) to its text, an empty
    text meaning that the language cannot say it; ``powers``: write small integer powers as products;
    ``signs``: comparisons have signs; ``flags``: a test is an array of flags, which may be a factor;
    ``terse``: no brackets that change nothing but the order of equal work.
    """

    calls: Mapping[str, Call]
    name: Callable[[Name], str] = str
    constants: Mapping[str, str] | None = None
    function: Callable[[str, Sequence[Text]], Text] | None = None
    signs: bool = True
    flags: bool = False
    powers: bool = False
    terse: bool = False


def within(text: Text, least: int) -> str:
    """Return the text, in parentheses where it binds less tightly than ``least``; a test becomes a number."""
    if text.binds == TEST and least > TEST:
        return text.as_number
    return text.text if text.binds >= least else f"({text.text})"


def write(node: Array, args: Sequence[Text], dialect: Dialect) -> Text | None:
    """Return the text of ``node`` given those of its operands, ``None`` when the language has no word for it."""
    writer = _SYNTAX.get(node.op)
    if writer is not None:
        return writer(node, args, dialect)
    word = str(node.params[0]) if node.op in ("reduce", "along", "fn") else node.op
    if node.op == "fn" and dialect.signs and word in _SIGNS:
        test = f"{within(args[0], SUM)} {_SIGNS[word]} {within(args[1], SUM)}"
        return Text(test, TEST, f"({test})")
    tests = TEST if word == "where" else SUM  # the condition of where may be a comparison as it stands
    inner = [within(a, tests if n == 0 else SUM) for n, a in enumerate(args)]
    if node.op == "fn" and word not in dialect.calls:
        return dialect.function(word, args) if dialect.function else Text(f"{word}({', '.join(inner)})")
    made = dialect.calls[word](node, inner)
    return Text(made) if made else None


def text_of(root: Array, dialect: Dialect, limit: int = 20_000) -> str | None:
    """Return the whole tree as one expression; ``None`` when it has none, or one longer than ``limit`` characters."""
    done: dict[int, Text] = {}
    for node in postorder(root):
        made = write(node, [done[id(a)] for a in node.args], dialect)
        if made is None or len(made.text) > limit:
            return None
        done[id(node)] = made
    return within(done[id(root)], SUM)


# -- leaves ---------------------------------------------------------------------------------------------------------------


def _name(node: Array, _: Sequence[Text], dialect: Dialect) -> Text:
    return Text(dialect.name(node.params[0]))  # type: ignore[arg-type]


def number_text(value: Fraction) -> Text:
    """Return a rational number.

    >>> number_text(Fraction(-1, 3)), number_text(Fraction(1, 100)).text
    (Text(text='-1/3', binds=1, as_number=''), '0.01')
    """
    plain = abs(value)
    if decimal(plain):
        made = Text(decimal(plain))
    elif plain.denominator == 1:
        made = Text(str(plain))
    else:
        made = Text(f"{plain.numerator}/{plain.denominator}", PRODUCT)
    return Text("-" + made.text, SUM) if value < 0 else made


def size_text(value: Size) -> Text:
    """Return a size as a number."""
    text = str(value)
    if value.name is not None or (value.literal or -1) >= 0:
        return Text(text)
    return Text(text, PRODUCT if len(value.terms) == 1 and not text.startswith("-") else SUM)


def _number(node: Array, _: Sequence[Text], __: Dialect) -> Text:
    return number_text(node.params[0])  # type: ignore[arg-type]


def _size(node: Array, _: Sequence[Text], __: Dialect) -> Text:
    return size_text(node.params[0])  # type: ignore[arg-type]


def _constant(node: Array, _: Sequence[Text], dialect: Dialect) -> Text:
    word = str(node.params[0])
    return Text((dialect.constants or {}).get(word, word))


# -- arithmetic -----------------------------------------------------------------------------------------------------------


def _add(node: Array, args: Sequence[Text], _: Dialect) -> Text:
    pieces = []
    for n, (sign, arg) in enumerate(zip(node.params, args, strict=True)):
        text = within(arg, PRODUCT)
        pieces.append(("-" if sign == -1 else "") + text if n == 0 else f" {'-' if sign == -1 else '+'} {text}")
    return Text("".join(pieces), SUM)


def _mul(node: Array, args: Sequence[Text], dialect: Dialect) -> Text:
    count: int = node.params[0]  # type: ignore[assignment]
    sign, first = "", 0
    if count and node.args[0].op == "number" and args[0].text.startswith("-"):
        sign, args = "-", [Text(args[0].text[1:]), *args[1:]]
        first = int(args[0].text == "1")
    factors = list(zip(node.args, args, strict=True))[first:count]
    divisors = list(zip(node.args, args, strict=True))[count:]
    if dialect.flags:
        factors = _flags_last(node, factors)
    lead = [t for n, t in factors if n.op in _STATIC]
    rest = [(n, t) for n, t in factors if n.op not in _STATIC]
    below = [t for n, t in divisors if n.op in _STATIC]
    others = [t for n, t in divisors if n.op not in _STATIC]
    text = ""
    if lead or not rest:
        text = "*".join(within(t, PRODUCT if n == 0 else UNARY) for n, t in enumerate(lead)) or "1"
        if rest or (lead and not others):
            text += "".join(f"/{within(t, UNARY)}" for t in below)
            below = []
    for n, (factor, t) in enumerate(rest):
        # a scalar may multiply a matrix product from the left without parentheses, and divide it
        bare = factor.op == "matmul" and n == len(rest) - 1 and not any(f.rank for f, _ in rest[:n])
        bare = bare and not any(d.rank for d in node.args[count:]) if dialect.terse else bare and not others and not n
        piece = t.text if bare else within(t, UNARY)
        text = f"{text} * {piece}" if text else piece
    if others or below:
        bottom = [*below, *others]
        inner = [within(t, UNARY) for t in bottom]
        text += f" / {inner[0]}" if len(inner) == 1 else f" / ({' * '.join(inner)})"
    return Text(sign + text, SUM if sign else PRODUCT)


def _flags_last(node: Array, factors: list[tuple[Array, Text]]) -> list[tuple[Array, Text]]:
    """Put tests behind the arrays they multiply, where they need no conversion (minus a flag is an error in NumPy)."""
    plain = [(n, t) for n, t in factors if t.binds != TEST]
    if not any(n.rank == node.rank > 0 for n, _ in plain):
        return factors
    tests = [(n, Text(t.text) if n.rank else t) for n, t in factors if t.binds == TEST]
    return plain + tests


def _pow(node: Array, args: Sequence[Text], dialect: Dialect) -> Text:
    base, exponent = node.args
    if dialect.powers and base.rank and args[0].text.isidentifier() and exponent.op == "number":
        value: Fraction = exponent.params[0]  # type: ignore[assignment]
        if value in (3, 4):  # x*x*x is 250 times as fast as x**3
            return Text(" * ".join([args[0].text] * int(value)), PRODUCT)
    return Text(f"{within(args[0], ATOM)}**{within(args[1], ATOM)}", POWER)


def _matmul(node: Array, args: Sequence[Text], dialect: Dialect) -> Text:
    left = args[0].text if node.args[0].op == "matmul" else within(args[0], UNARY)
    a, b = node.args
    equal_work = a.rank == 1 or node.rank == 2  # A (B C) and (A B) C, but not A (B c)
    chained = dialect.terse and b.op == "matmul" and equal_work and a.rank <= 2 and b.args[0].rank == 2 and b.args[1].rank <= 2
    return Text(f"{left} @ {args[1].text if chained else within(args[1], UNARY)}", PRODUCT)


# -- axes -----------------------------------------------------------------------------------------------------------------


def _transpose(node: Array, args: Sequence[Text], dialect: Dialect) -> Text | None:
    if node.params == tuple(range(node.rank))[::-1]:
        return Text(f"{within(args[0], ATOM)}.T")
    made = dialect.calls["transpose"](node, [within(args[0], SUM)])
    return Text(made) if made else None


def _expand(node: Array, args: Sequence[Text], _: Dialect) -> Text:
    return Text(f"{within(args[0], ATOM)}[{', '.join('None' if new else ':' for new in node.params)}]")


def _index(node: Array, args: Sequence[Text], dialect: Dialect) -> Text:
    items = []
    lengths = iter(node.args[0].shape)
    for sub in node.params:
        last = next(lengths) - 1
        if isinstance(sub, Size):
            items.append("-1" if dialect.terse and sub == last and last.literal is None else str(sub))
        else:
            items.append(":" if sub is None else within(args[1 + sub], SUM))  # type: ignore[operator]
    while items[-1] == ":":
        items.pop()
    return Text(f"{within(args[0], ATOM)}[{', '.join(items)}]")


def _window(node: Array, args: Sequence[Text], dialect: Dialect) -> Text | None:
    part = slices(node)
    if part is not None:
        return Text(f"{within(args[0], ATOM)}[{part}]")
    made = dialect.calls["window"](node, [within(args[0], SUM)])
    return Text(made) if made else None


_SYNTAX: dict[str, Callable[[Array, Sequence[Text], Dialect], Text | None]] = {
    "name": _name,
    "number": _number,
    "size": _size,
    "constant": _constant,
    "add": _add,
    "mul": _mul,
    "pow": _pow,
    "matmul": _matmul,
    "transpose": _transpose,
    "expand": _expand,
    "index": _index,
    "window": _window,
}


# -- calls ----------------------------------------------------------------------------------------------------------------


def options(axes: Sequence[int], rank: int, keepdims: bool = False, last: bool = False) -> str:
    """Return the ``axis`` and ``keepdims`` options as they follow an argument; ``last``: the last axis is the default."""
    if (tuple(axes) == (rank - 1,)) if last else (len(axes) == rank):
        text = ""
    else:
        text = f", axis={axes[0]}" if len(axes) == 1 else f", axis=({', '.join(map(str, axes))})"
    return text + (", keepdims=True" if keepdims else "")


def reduce_call(prefix: str = "") -> Call:
    """Return the writer of a reduction called ``prefix`` and its own name."""

    def call(node: Array, args: Sequence[str]) -> str:
        word, axes, keepdims = node.params
        return f"{prefix}{word}({args[0]}{options(axes, node.args[0].rank, bool(keepdims))})"  # type: ignore[arg-type]

    return call


def along_call(prefix: str = "") -> Call:
    """Return the writer of an operation along axes."""

    def call(node: Array, args: Sequence[str]) -> str:
        word, axes = node.params
        return f"{prefix}{word}({args[0]}{options(axes, node.args[0].rank, last=True)})"  # type: ignore[arg-type]

    return call


def plain_call(word: str) -> Call:
    """Return the writer of a call with the operands as its arguments."""
    return lambda node, args: f"{word}({', '.join(args)})"


def sizes_text(shape: Sequence[Size]) -> str:
    """Return sizes separated by commas."""
    return ", ".join(map(str, shape))
