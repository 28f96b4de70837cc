"""Array operations in index notation: each takes values with axes and returns one, naming on the way what needs a name."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from derivkit import limits
from derivkit.symbolic.expr import ONE_EXPR, Add, Expr, Fn, Mul, Num, Pow, Prim, Ref, Sum, substitute
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import size_factor
from derivkit.symbolic.ops import ELEMENTWISE
from derivkit.symbolic.parse.context import Context, Value, holds, holds_function, ordered, pairs
from derivkit.symbolic.parse.syntax import Place

#: Operations whose argument a textbook calls a.
ACTIVATIONS = frozenset(
    {"tanh", "sigmoid", "softplus", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "hardtanh"}
)
_MINUS = Num(-1)


def joined(context: Context, values: Sequence[Value]) -> tuple[tuple[Index | None, ...], list[Expr]]:
    """Return common axes and the operands on them, without primitives and without sums that lack an index."""
    axes, exprs = context.broadcast([context.whole(value) for value in values])
    if len(exprs) > 1:
        wanted = frozenset[Index]().union(*(e.free for e in exprs))
        present = tuple(a for a in axes if a is not None)
        exprs = [context.without_sums(e, present, wanted) for e in exprs]
    return axes, exprs


def add(context: Context, values: Sequence[Value], signs: Sequence[int], place: Place) -> Value:
    """Return the sum of the values with their signs, in the order in which they are written."""
    axes, exprs = joined(context, values)
    if all(isinstance(e, Num) for e in exprs):
        return Value(axes, Num(sum(s * e.value for s, e in zip(signs, exprs, strict=True) if isinstance(e, Num))), place)
    terms: list[Expr] = []
    for sign, expr in zip(signs, exprs, strict=True):
        signed = expr if sign > 0 else negated(expr)
        terms.extend(signed.args if isinstance(signed, Add) else (signed,))
    return Value(axes, terms[0] if len(terms) == 1 else Add(tuple(terms)), place)


def negated(expr: Expr) -> Expr:
    """Return minus the expression, as a product with −1."""
    if isinstance(expr, Num):
        return Num(-expr.value)
    if not isinstance(expr, Mul):
        return Mul((_MINUS, expr))
    first = expr.args[0]
    if not isinstance(first, Num):
        return Mul((_MINUS, *expr.args))
    return product(expr.args[1:]) if first.value == -1 else Mul((Num(-first.value), *expr.args[1:]))


def product(factors: Sequence[Expr]) -> Expr:
    """Return the product of the factors, flat, without ones."""
    flat: list[Expr] = []
    for factor in factors:
        flat.extend(factor.args if isinstance(factor, Mul) else (factor,))
    flat = [f for f in flat if not (isinstance(f, Num) and f.value == 1)]
    if not flat:
        return ONE_EXPR
    return flat[0] if len(flat) == 1 else Mul(tuple(flat))


def multiply(context: Context, values: Sequence[Value], inverse: Sequence[bool], place: Place) -> Value:
    """Return the product of the values, those with ``inverse`` as divisors."""
    values = [
        _unsummed(context, context.whole(v)) if i and not isinstance(v.expr, Num) else v
        for v, i in zip(values, inverse, strict=True)
    ]
    axes, exprs = joined(context, values)
    for value, expr, divides in zip(values, exprs, inverse, strict=True):
        if divides and isinstance(expr, Num) and not expr.value:
            raise context.error(value.place, "a division by zero", "DK005")
    total = Fraction(1)
    for expr, divides in zip(exprs, inverse, strict=True):
        if isinstance(expr, Num):
            total = total / expr.value if divides else total * expr.value
    if total and not Fraction(1, 10**limits.LITERAL_EXPONENT) <= abs(total) < 10 ** (limits.LITERAL_EXPONENT + 1):
        raise context.error(place, f"a number beyond 1e±{limits.LITERAL_EXPONENT}", "DK005")
    if all(isinstance(e, Num) for e in exprs):
        return Value(axes, Num(total), place)
    factors: list[Expr] = []
    for expr, divides in zip(exprs, inverse, strict=True):
        first = factors[0] if len(factors) == 1 else None
        if isinstance(expr, Num) and expr.value and isinstance(first, Num):
            factors = [Num(first.value / expr.value if divides else first.value * expr.value)]  # 1/2*x is half of x
        else:
            factors.append(Pow(expr, _MINUS) if divides else expr)
    return Value(axes, product(factors), place)


def _unsummed(context: Context, value: Value) -> Value:
    return Value(value.axes, context.without_sums(value.expr, value.indices), value.place)


def power(context: Context, base: Value, exponent: Value, place: Place) -> Value:
    """Return ``base ** exponent``."""
    values = [_unsummed(context, context.whole(v)) for v in (base, exponent)]
    axes, (low, high) = joined(context, values)
    if isinstance(low, Num) and isinstance(high, Num) and high.value.denominator == 1 and (low.value or high.value > 0):
        return Value(axes, Num(low.value**high.value.numerator), place)
    if isinstance(low, Num) and isinstance(high, Num) and not low.value and high.value < 0:
        raise context.error(place, "a division by zero", "DK005")
    if isinstance(low, Num) and isinstance(high, Num) and low.value < 0 and high.value.denominator > 1:
        raise context.error(place, f"a root of {low.value} has no value", "DK005")
    return Value(axes, Pow(low, high), place)


def apply(context: Context, op: str, values: Sequence[Value], place: Place) -> Value:
    """Return an elementwise operation; an argument with a sum in it gets a name."""
    hint = "a" if op in ACTIVATIONS else "u"
    values = [context.whole(value) for value in values]
    if context.naming:
        values = [context.renamed(v, hint) if holds(v.expr, Sum) else v for v in values]
    axes, exprs = joined(context, values)
    least = ELEMENTWISE[op].domain[0]
    if isinstance(exprs[0], Num) and (exprs[0].value < least or (op == "log" and not exprs[0].value)):
        written = "minus infinity is written -inf" if op == "log" else None
        raise context.error(place, f"{op}({exprs[0].value}) has no value", "DK005", written)
    return Value(axes, Fn(op, tuple(exprs)), place)


def total(context: Context, value: Value, positions: Sequence[int], keep: bool, place: Place) -> Value:
    """Return Σ over the axes at ``positions``."""
    value = context.whole(value)
    bound = tuple(a for n, a in enumerate(value.axes) if n in positions and a is not None)
    return Value(_left(value, positions, keep), summed(context, bound, value.expr, value.indices), place)


def summed(context: Context, bound: tuple[Index, ...], body: Expr, axes: Sequence[Index]) -> Expr:
    """Return Σ over ``bound`` of ``body``: a sum of a sum is one sum, any other sum inside gets a name."""
    if not bound:
        return body
    if isinstance(body, Sum):
        return Sum((*bound, *body.indices), body.body)
    if isinstance(body, Mul) and isinstance(body.args[0], Num) and body.args[0].value == -1:
        return negated(summed(context, bound, product(body.args[1:]), axes))
    if isinstance(body, Mul) and holds(body, Sum):
        constant = [f for f in body.args if not f.free and not holds(f, Sum, Ref)]
        others = [f for f in body.args if not any(f is c for c in constant)]
        if constant and len(others) == 1:
            return product((*constant, summed(context, bound, others[0], axes)))
    return Sum(bound, context.without_sums(body, axes))


def mean(context: Context, value: Value, positions: Sequence[int], keep: bool, place: Place) -> Value:
    """Return the mean over the axes at ``positions``: 1/N in front of the sum."""
    sizes = [axis.size for n, axis in enumerate(value.axes) if n in positions and axis is not None]
    result = total(context, value, positions, keep, place)
    return Value(result.axes, averaged(sizes, result.expr), place)


def averaged(sizes: Sequence[Size], expr: Expr) -> Expr:
    """Return the expression divided by the sizes."""
    shares = [Pow(size_factor(size), _MINUS) for size in sizes]
    if isinstance(expr, Mul) and isinstance(expr.args[0], Num):
        return product((expr.args[0], *shares, *expr.args[1:]))
    return product((*shares, expr))


def _left(value: Value, positions: Sequence[int], keep: bool) -> tuple[Index | None, ...]:
    if keep:
        return tuple(None if n in positions else a for n, a in enumerate(value.axes))
    return tuple(a for n, a in enumerate(value.axes) if n not in positions)


def operand(context: Context, value: Value) -> Value:
    """Return an operand of a contraction: what has an elementwise operation in it gets a name."""
    value = context.whole(value)
    if context.naming and holds_function(value.expr):
        return context.renamed(value, "h")
    return value


def matmul(context: Context, left: Value, right: Value, place: Place) -> Value:
    """Return ``left @ right`` with NumPy's rules for vectors and stacks of matrices."""
    left, right = operand(context, left), operand(context, right)
    for value in (left, right):
        if not value.axes:
            raise context.error(value.place, "'@' with a scalar", "DK012", "a product with a scalar is written *")
    row, column = left.axes[-1], right.axes[-2 if len(right.axes) > 1 else -1]
    if (row is None) != (column is None) or (row and column and not context.sizes.unify(row.size, column.size)):
        raise context.misfit(left, right, "'@' needs the last axis of the left to be the last but one of the right")
    kept = left.axes[:-1][-1:], right.axes[-1:] if len(right.axes) > 1 else ()
    lead = Value(left.axes[:-2], left.expr, left.place)
    follow = Value(right.axes[:-2], substitute(right.expr, pairs((column,), (row,))), right.place)
    axes, exprs = context.broadcast([lead, follow])
    result = (*axes, *kept[0], *kept[1])
    if row is None:
        value, other = Value(result, exprs[0], left.place), Value(result, exprs[1], right.place)
        return multiply(context, [value, other], [False, False], place)
    return Value(result, contracted(context, (row,), exprs, tuple(a for a in (*result, row) if a is not None)), place)


def contracted(context: Context, bound: tuple[Index, ...], factors: Sequence[Expr], axes: Sequence[Index]) -> Expr:
    """Return Σ over ``bound`` of a product."""
    if not bound:
        return product(factors)
    return summed(context, bound, product([context.without_sums(f, axes) for f in factors]), axes)


#: What a primitive is over no axis at all (an axis of literal size 1 has no index).
_TRIVIAL = {"softmax": Num(1), "log_softmax": Num(0), "first_max": Num(1), "argmax": Num(0)}


def primitive(context: Context, op: str, value: Value, positions: Sequence[int], keep: bool, place: Place) -> Value:
    """Return a primitive over whole axes; its argument is a plain reference, named first when it is not."""
    value = context.whole(value)
    bound = tuple(a for n, a in enumerate(value.axes) if n in positions and a is not None)
    located = op in ("softmax", "log_softmax", "first_max")
    axes = value.axes if located else _left(value, positions, keep)
    if not bound:
        if op == "norm":
            return apply(context, "abs", [Value(axes, value.expr, value.place)], place)
        return Value(axes, _TRIVIAL.get(op, value.expr), place)
    label = label_of(bound) if op == "argmax" else None
    letters = ordered(value.expr.free.difference(value.indices))  # of the left side of an index definition: a batch
    return Value(axes, over(context, op, bound, value.expr, (*letters, *value.indices), located), place, label)


def label_of(bound: Sequence[Index]) -> Size:
    """Return the range of the position of a maximum."""
    size = Size.of(1)
    for index in bound:
        size = size * index.size
    return size


def over(context: Context, op: str, bound: tuple[Index, ...], expr: Expr, axes: Sequence[Index], located: bool = False) -> Expr:
    """Return the primitive ``op`` of ``expr`` over the ``bound`` indices, read at them when it is ``located``."""
    if not context.is_plain(expr) or not frozenset(bound) <= expr.free:
        expr = context.named(expr, "z", ordered({*expr.free, *bound}, axes), always=True)
    inner = tuple(index.fresh() for index in bound)
    at = tuple(Affine.of(index) for index in bound) if located else ()
    return Prim(op, inner, (substitute(expr, pairs(bound, inner)),), at)
