"""The derivative of one right side with respect to the entries of one name: product and chain rule, nothing clever.

Everything that is not a product, a power or a sum comes from a row of the operation table.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar, cast

from derivkit import limits
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.guards import chosen
from derivkit.symbolic.derive.rows import Bindings, Entry, read_row
from derivkit.symbolic.expr import (
    ONE_EXPR,
    ZERO_EXPR,
    Add,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    Sum,
    freshen,
    references,
    substitute,
    user,
    walk,
)
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.normal import add, delta, fn, mul, normal, num, power, sum_over
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES, Op

Place = TypeVar("Place")


def partial(expr: Expr, target: Name, at: tuple[Index | None, ...], output: Expr | None = None) -> Expr:
    """Return ∂ ``expr`` / ∂ ``target[at]`` in normal form, with a δ wherever two positions must agree.

    ``output`` is a name's reference that equals ``expr`` (the left side of its definition): local derivatives are
    written with it, as in ``1 − h²``.
    """
    if isinstance(expr, Ref) and expr.name != target:
        return ZERO_EXPR  # the target may be read in a subscript: a position has no derivative
    if target not in references(expr):
        return ZERO_EXPR
    if isinstance(expr, Ref):
        pairs = zip(expr.subs, at, strict=True)
        return mul((ONE_EXPR, *(delta(s, Affine.of(i)) for s, i in pairs if i is not None)))
    if isinstance(expr, Add):
        return add(partial(t, target, at) for t in expr.args)
    if isinstance(expr, Mul):
        _check_budget(expr, target)
        return checked_size(add(_one_factor(expr, n, target, at) for n in range(len(expr.args))), target)
    if isinstance(expr, Sum):
        fresh = cast(Sum, freshen(expr))
        return sum_over(fresh.indices, partial(fresh.body, target, at))
    if isinstance(expr, Pow):
        return _power(expr, target, at, output)
    if isinstance(expr, Fn):
        pieces = ((n, partial(a, target, at)) for n, a in enumerate(expr.args))
        slopes = (chosen(local_slope(expr, n, output), inner) for n, inner in pieces if inner is not ZERO_EXPR)
        return checked_size(add(slopes), target)
    if isinstance(expr, Prim):
        return _primitive(expr, target, at, output)
    if isinstance(expr, Delta | Inside):
        return ZERO_EXPR  # the target is read in a subscript, as a label is
    raise DerivkitError(f"cannot differentiate a {type(expr).__name__}", code="DK030")


def checked_size(made: Expr, target: Name) -> Expr:
    """Return a derivative; refuse one that nobody could read, before more is built on it (shared parts count once)."""
    if made.nodes > limits.RESULT_NODES and (count := sum(1 for _ in walk(made))) > limits.RESULT_NODES:
        raise DerivkitError(
            f"the derivative by '{target}' has {count} nodes, more than the limit of {limits.RESULT_NODES}",
            code="DK018",
            hint="give parts of the program names of their own",
        )
    return made


def _check_budget(expr: Mul, target: Name) -> None:
    """Refuse a product whose derivative would be too long, before building it: every factor that moves is a term."""
    moving = sum(target in references(f) for f in expr.args)
    if moving * expr.nodes > limits.RESULT_NODES:
        raise DerivkitError(
            f"the derivative of a product of {len(expr.args)} factors has {moving} terms of {expr.nodes} nodes, more than the "
            f"limit of {limits.RESULT_NODES} nodes",
            code="DK018",
            hint="use prod(...) over an array",
        )


def _one_factor(expr: Mul, n: int, target: Name, at: tuple[Index | None, ...]) -> Expr:
    inner = partial(expr.args[n], target, at)
    if inner is ZERO_EXPR:
        return ZERO_EXPR
    return mul((*expr.args[:n], inner, *expr.args[n + 1 :]))


def _power(expr: Pow, target: Name, at: tuple[Index | None, ...], output: Expr | None) -> Expr:
    base, exponent = expr.base, expr.exponent
    pieces = []
    inner = partial(base, target, at)
    if inner is not ZERO_EXPR:
        lowered = power(base, add((exponent, num(-1))))
        if output is not None and exponent == _HALF:
            lowered = power(output, num(-1))  # (√x)' = 1 / (2 √x)
        pieces.append(mul((exponent, lowered, inner)))
    inner = partial(exponent, target, at)
    if inner is not ZERO_EXPR and base != ZERO_EXPR:  # 0**x is 0 wherever it has a slope
        if isinstance(base, Num) and base.value < 0:
            message = f"({base.value})**x has real values only at integers: it has no derivative by '{target}'"
            raise DerivkitError(message, code="DK030", hint="a base is positive: exp(x*log(b))")
        pieces.append(mul((output or expr, fn("log", (base,)), inner)))
    return add(pieces)


_HALF = num(Fraction(1, 2))


def local_slope(expr: Fn, n: int, output: Expr | None = None) -> Expr:
    """Return the derivative of an elementwise operation with respect to its ``n``-th operand."""
    row = ELEMENTWISE[expr.op]
    bindings = Bindings(scalars={**dict(zip(row.parameters, expr.args, strict=True)), "y": output or expr})
    if row.folded:
        return read_row(row.folded[n], bindings)
    names, slope = _derived_slope(expr.op, n)
    return normal(_bind(slope, dict(zip(names, expr.args, strict=True))))


@lru_cache(maxsize=256)
def _derived_slope(op: str, n: int) -> tuple[tuple[Name, ...], Expr]:
    """Return the derivative of a row's formula by its ``n``-th argument: a row need not give a folded form."""
    row = ELEMENTWISE[op]
    names = tuple(user(p) for p in row.parameters)
    formula = read_row(row.formula, Bindings(scalars={p.label: Ref(p) for p in names}))
    return names, partial(formula, names[n], ())


def _bind(expr: Expr, found: dict[Name, Expr]) -> Expr:
    if isinstance(expr, Ref):
        return found.get(expr.name, expr)
    if not expr.children:
        return expr
    return expr.rebuilt(tuple(_bind(c, found) for c in expr.children))


def _primitive(expr: Prim, target: Name, at: tuple[Index | None, ...], output: Expr | None) -> Expr:
    pieces = []
    for n, argument in enumerate(expr.args):
        own = bound_of(expr, n)
        fresh = tuple(i.fresh() for i in own)
        entry = freshen(substitute(argument, {b: Affine.of(f) for b, f in zip(own, fresh, strict=True)}))
        inner = partial(entry, target, at)
        if inner is not ZERO_EXPR:
            pieces.append(sum_over(fresh, mul((primitive_slope(expr, n, fresh, output), inner))))
    return add(pieces)


def bound_of(expr: Prim, n: int) -> tuple[Index, ...]:
    """Return the bound indices that the ``n``-th argument runs over: of a right-hand side it is the row alone."""
    letters = PRIMITIVES[expr.op].by
    places = _places(letters[0], expr.bound)
    return tuple(i for letter in letters[n].split(",") for i in places[letter])


def _places(letters: str, indices: Sequence[Place]) -> dict[str, tuple[Place, ...]]:
    """Return what each letter of a row stands for: one letter for all positions, or one for each."""
    words = letters.split(",") if letters else []
    return {words[0]: tuple(indices)} if len(words) == 1 else {w: (i,) for w, i in zip(words, indices, strict=True)}


def primitive_slope(expr: Prim, n: int, at: tuple[Index, ...], output: Expr | None = None) -> Expr:
    """Return ∂ ``expr`` / ∂ (its ``n``-th argument at the position ``at``), folded into the output where the row does."""
    row = PRIMITIVES[expr.op]
    if not row.folded:
        of = next((name for name, other in PRIMITIVES.items() if f"{expr.op}(" in "".join(other.folded)), None)
        which = expr.op if of is None else f"the derivative of {of}, {row.reason},"  # what nobody writes has no name to a reader
        hint = "differentiate it once only, or write it with other operations: x[0]*x[1]"
        raise DerivkitError(f"{which} is not differentiated again", code="DK030", hint=hint)
    return read_row(row.folded[n], row_bindings(row, expr, n, at, output))


def row_bindings(row: Op, expr: Prim, n: int | None, at: tuple[Index, ...], output: Expr | None = None) -> Bindings:
    """Return what the names and letters of a row stand for, when its ``n``-th argument (if any) is differentiated at ``at``."""
    named = {p: _argument(expr, k) for k, p in zip(range(len(expr.args)), row.parameters, strict=False)}
    letters = {**_places(row.at, expr.at)} if expr.at else {}
    if n is not None:
        letters |= _places(row.by[n], [Affine.of(i) for i in at])
    one_each = len(row.by[0].split(",")) > 1
    summed = expr.bound[:1] if one_each else expr.bound
    return Bindings(arrays={**named, "y": _output(expr, output)}, letters=letters, bound=expr.bound, summed=summed)


def _argument(expr: Prim, n: int) -> Entry:
    def entry(subs: tuple[Affine, ...]) -> Expr:
        return freshen(substitute(expr.args[n], dict(zip(bound_of(expr, n), subs, strict=True))))

    return entry


def _output(expr: Prim, output: Expr | None) -> Entry:
    def entry(subs: tuple[Affine, ...]) -> Expr:
        if not expr.at:
            return output or expr
        read = [a.bare for a in expr.at]
        if output is None or None in read or len(set(read)) < len(read):
            return Prim(expr.op, expr.bound, expr.args, subs)
        return substitute(output, {i: s for i, s in zip(read, subs, strict=True) if i is not None})

    return entry
