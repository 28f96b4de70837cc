"""Layers that need more than a formula: attention, whose scale is the size of a key."""

from __future__ import annotations

from fractions import Fraction

from derivkit.symbolic.expr import Num, Pow
from derivkit.symbolic.normal import num, size_factor
from derivkit.symbolic.parse import algebra
from derivkit.symbolic.parse.arguments import Arguments, Row, wrong
from derivkit.symbolic.parse.context import Context, Value
from derivkit.symbolic.parse.shapes import shown

#: The score where the mask is 0: its exponential is 0 in single precision, too, and unlike −∞ it is a number.
_NOWHERE = num(-(10**9))


def _attention(context: Context, arguments: Arguments) -> Value:
    """softmax(Q Kᵀ/√d) V, d the size of a key; a query attends only where ``mask`` is 1."""
    place = arguments.place
    q, k, v = (context.whole(arguments.values[name]) for name in ("Q", "K", "V"))
    for value in (q, k, v):
        if len(value.axes) < 2:
            raise wrong(context, arguments, value.place, f"expected a matrix, or a stack of them: this has {shown(value.shape)}")
    key = Value((*k.axes[:-2], k.axes[-1], k.axes[-2]), k.expr, k.place)
    products = algebra.matmul(context, q, key, place)
    scale = Value((), Pow(size_factor(context.sizes.resolve(k.shape[-1])), num(Fraction(1, 2))), place)
    scores = context.renamed(algebra.multiply(context, [products, scale], [False, True], place), "S")
    mask = arguments.values.get("mask")
    if mask is not None:
        may = algebra.apply(context, "greater", [mask, Value((), Num(0), place)], place)
        masked = algebra.apply(context, "where", [may, scores, Value((), _NOWHERE, place)], place)
        scores = context.renamed(masked, "S")
    weights = algebra.primitive(context, "softmax", scores, (len(scores.axes) - 1,), False, place)
    return algebra.matmul(context, context.renamed(weights, "A", arguments.function), v, place)


LAYER_ROWS: dict[str, Row] = {"attention": Row(_attention, frozenset())}
