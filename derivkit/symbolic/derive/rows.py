"""Reading the formulas of the operation table: from a row's text to an expression over given arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import cast

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import ONE_EXPR, Const, Expr, Num, Prim, SizeOf
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import add, delta, fn, mul, num, power, scaled, sum_over
from derivkit.symbolic.ops import COMPARISONS, ELEMENTWISE, FUNCTIONS, PRIMITIVES
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.statements import parse_program

Entry = Callable[[tuple[Affine, ...]], Expr]


@dataclass(frozen=True)
class Bindings:
    """What the names of a row's formula stand for.

    ``scalars`` are arguments of elementwise rows; ``arrays`` give the entry of an argument (or of the output) at some
    subscripts; ``letters`` are positions, each a tuple of subscripts, since a primitive may run over several axes at once
    (several letters in one subscript, ``A[i,p]``, stand one after the other).  A primitive in a row binds copies of ``bound``,
    a Σ copies of ``summed``: all the axes, or of a matrix one.
    """

    scalars: Mapping[str, Expr] = field(default_factory=dict)
    arrays: Mapping[str, Entry] = field(default_factory=dict)
    letters: Mapping[str, tuple[Affine, ...]] = field(default_factory=dict)
    bound: tuple[Index, ...] = ()
    summed: tuple[Index, ...] | None = None


@lru_cache(maxsize=1024)
def _tree(text: str) -> syntax.Expression:
    statement = parse_program(text, FUNCTIONS).statements[-1]
    return cast(syntax.Output, statement).value


def read_row(text: str, bindings: Bindings) -> Expr:
    """Return the formula ``text`` of a row as a normal expression.

    >>> from derivkit.symbolic.expr import Ref, user
    >>> y = Ref(user("y"))
    >>> len(read_row("1 - y**2", Bindings(scalars={"y": y})).children)
    2
    """
    return _read(_tree(text), bindings)


def _read(node: syntax.Expression, b: Bindings) -> Expr:
    reader = _READERS.get(type(node))
    if reader is None:
        raise DerivkitError(f"a row of the table cannot hold a {type(node).__name__}", code="DK007")
    return reader(node, b)


def _name(node: syntax.Name, b: Bindings) -> Expr:
    if node.id in b.scalars:
        return b.scalars[node.id]
    if node.id in b.arrays:
        return b.arrays[node.id](())
    if node.id in {"pi", "inf"}:
        return Const(node.id)
    return SizeOf(Size.of(node.id))


def _unary(node: syntax.Unary, b: Bindings) -> Expr:
    value = _read(node.operand, b)
    return scaled(-1, value) if node.op == "-" else value


def _binary(node: syntax.Binary, b: Bindings) -> Expr:
    left, right = _read(node.left, b), _read(node.right, b)
    if node.op in "+-":
        return add((left, right if node.op == "+" else scaled(-1, right)))
    if node.op == "**":
        return power(left, right)
    return mul((left, right if node.op == "*" else power(right, num(-1))))


def _compare(node: syntax.Compare, b: Bindings) -> Expr:
    return fn(COMPARISONS[node.op], (_read(node.left, b), _read(node.right, b)))


def _call(node: syntax.Call, b: Bindings) -> Expr:
    if node.function == "sqrt":
        return power(_read(node.args[0], b), Num(_HALF))
    if node.function in ELEMENTWISE:
        return fn(node.function, tuple(_read(a, b) for a in node.args))
    if node.function in PRIMITIVES:
        return _whole(node, b, ())
    raise DerivkitError(f"a row of the table cannot call {node.function}", code="DK009")


def _subscript(node: syntax.Subscript, b: Bindings) -> Expr:
    at = tuple(sub for item in node.items for sub in b.letters[cast(syntax.Name, item).id])
    base = node.base
    if isinstance(base, syntax.Name):
        return b.arrays[base.id](at)
    if not isinstance(base, syntax.Call) or base.function not in PRIMITIVES:
        raise DerivkitError("a row of the table reads arrays and primitives at a position, nothing else", code="DK009")
    return _whole(base, b, at)


def _whole(node: syntax.Call, b: Bindings, at: tuple[Affine, ...]) -> Expr:
    """Return a primitive of a whole array, read at ``at``."""
    fresh = tuple(i.fresh() for i in b.bound)
    whole = replace(b, arrays={n: _along(e, fresh) for n, e in b.arrays.items()})
    return Prim(node.function, fresh, (_read(node.args[0], whole),), at)


def _along(entry: Entry, indices: tuple[Index, ...]) -> Entry:
    return lambda at: entry(at or tuple(Affine.of(i) for i in indices))


def _reduce(node: syntax.IndexedReduce, b: Bindings) -> Expr:
    fresh = tuple(i.fresh() for i in (b.bound if b.summed is None else b.summed))
    (letter,) = node.indices
    inner = replace(b, letters={**b.letters, letter.id: tuple(Affine.of(i) for i in fresh)})
    body = _read(node.body, inner)
    return sum_over(fresh, body) if node.name == "sum" else Prim(node.name, fresh, (body,), ())


def _delta(node: syntax.DeltaTerm, b: Bindings) -> Expr:
    left, right = cast(syntax.Name, node.a), cast(syntax.Name, node.b)
    pairs = zip(b.letters[left.id], b.letters[right.id], strict=True)
    return mul((ONE_EXPR, *(delta(one, other) for one, other in pairs)))


_HALF = num(1).value / 2
_READERS: dict[type, Callable[..., Expr]] = {
    syntax.Number: lambda node, b: Num(node.value),
    syntax.Name: _name,
    syntax.Unary: _unary,
    syntax.Binary: _binary,
    syntax.Compare: _compare,
    syntax.Call: _call,
    syntax.Subscript: _subscript,
    syntax.IndexedReduce: _reduce,
    syntax.DeltaTerm: _delta,
}
