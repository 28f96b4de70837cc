"""The derivative of one right side with respect to the entries of one name: product and chain rule, nothing clever.

Everything that is not a product, a power or a sum comes from a row of the operation table.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import cast

from derivkit import limits
from derivkit.errors import DerivkitError
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
    Pow,
    Prim,
    Ref,
    Sum,
    freshen,
    references,
    substitute,
    user,
)
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.normal import add, delta, fn, mul, normal, num, power, sum_over
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES


def partial(expr: Expr, target: Name, at: tuple[Index | None, ...], output: Expr | None = None) -> Expr:
    """Return ∂ ``expr`` / ∂ ``target[at]`` in normal form, with a δ wherever two positions must agree.

    ``output`` is a name's reference that equals ``expr`` (the left side of its definition): local derivatives are
    written with it, as in ``1 − h²``.
    """
    if target not in references(expr):
        return ZERO_EXPR
    if isinstance(expr, Ref):
        if expr.name != target:
            return ZERO_EXPR  # the target is read in a subscript: a position has no derivative
        pairs = zip(expr.subs, at, strict=True)
        return mul((ONE_EXPR, *(delta(s, Affine.of(i)) for s, i in pairs if i is not None)))
    if isinstance(expr, Add):
        return add(partial(t, target, at) for t in expr.args)
    if isinstance(expr, Mul):
        _check_budget(expr, target)
        return add(_one_factor(expr, n, target, at) for n in range(len(expr.args)))
    if isinstance(expr, Sum):
        fresh = cast(Sum, freshen(expr))
        return sum_over(fresh.indices, partial(fresh.body, target, at))
    if isinstance(expr, Pow):
        return _power(expr, target, at, output)
    if isinstance(expr, Fn):
        pieces = ((n, partial(a, target, at)) for n, a in enumerate(expr.args))
        return add(mul((local_slope(expr, n, output), inner)) for n, inner in pieces if inner is not ZERO_EXPR)
    if isinstance(expr, Prim):
        return _primitive(expr, target, at, output)
    if isinstance(expr, Delta | Inside):
        return ZERO_EXPR  # the target is read in a subscript, as a label is
    raise DerivkitError(f"cannot differentiate a {type(expr).__name__}", code="DK030")


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
    if inner is not ZERO_EXPR:
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
        fresh = tuple(i.fresh() for i in expr.bound)
        entry = freshen(substitute(argument, {b: Affine.of(f) for b, f in zip(expr.bound, fresh, strict=True)}))
        inner = partial(entry, target, at)
        if inner is not ZERO_EXPR:
            pieces.append(sum_over(fresh, mul((primitive_slope(expr, n, fresh, output), inner))))
    return add(pieces)


def primitive_slope(expr: Prim, n: int, at: tuple[Index, ...], output: Expr | None = None) -> Expr:
    """Return ∂ ``expr`` / ∂ (its ``n``-th argument at the position ``at``), folded into the output where the row does."""
    row = PRIMITIVES[expr.op]
    if not row.folded:
        raise DerivkitError(f"{expr.op} has no derivative here", code="DK030", hint="differentiate it once only")
    position = tuple(Affine.of(i) for i in at)
    bindings = Bindings(
        arrays={"x": _argument(expr, n), "y": _output(expr, output)},
        letters={"i": expr.at, "j": position},
        bound=expr.bound,
    )
    return read_row(row.folded[n], bindings)


def _argument(expr: Prim, n: int) -> Entry:
    def entry(subs: tuple[Affine, ...]) -> Expr:
        return freshen(substitute(expr.args[n], dict(zip(expr.bound, subs, strict=True))))

    return entry


def _output(expr: Prim, output: Expr | None) -> Entry:
    def entry(subs: tuple[Affine, ...]) -> Expr:
        if not expr.at:
            return output or expr
        if output is None:
            return Prim(expr.op, expr.bound, expr.args, subs)
        pairs = {a.bare: s for a, s in zip(expr.at, subs, strict=True) if a.bare is not None}
        return substitute(output, pairs)

    return entry
