"""Exponentials over their own sum, which is a softmax: what ``log(sum(exp(x)))`` leads to, nobody having named it."""

from __future__ import annotations

from derivkit.symbolic.derive.match import Binding, match
from derivkit.symbolic.expr import Expr, Fn, Mul, Num, Pow, Prim, Sum, replace, substitute, walk
from derivkit.symbolic.index import Affine
from derivkit.symbolic.normal import factors_of, mul, normal, num, power


def with_softmaxes(expr: Expr) -> Expr:
    """Return ``expr`` with each exp(a_i) / Σ_p exp(a_p) written as softmax(a)_i; itself where there is none."""
    if not any(_is_normaliser(n) for n in walk(expr)):
        return expr

    def change(node: Expr) -> Expr | None:
        made = _gathered(node) if isinstance(node, Mul) else None
        return None if made is None else replace(made, change)

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def _is_normaliser(node: Expr) -> bool:
    """Say whether ``node`` divides by a Σ of exponentials."""
    if not isinstance(node, Pow) or not isinstance(node.base, Sum) or not isinstance(node.exponent, Num):
        return False
    body = node.base.body
    return node.exponent.value < 0 and node.exponent.value.denominator == 1 and isinstance(body, Fn) and body.op == "exp"


def _gathered(product: Mul) -> Expr | None:
    """Return a product with one exponential and the Σ below it as a softmax, ``None`` where it has no such pair."""
    factors = factors_of(product)
    for below in factors:
        if not isinstance(below, Pow) or not isinstance(below.base, Sum) or not _is_normaliser(below):
            continue
        for n, above in enumerate(factors):
            made = None if above is below else _normalised(above, below.base)
            if made is not None:
                return mul((*factors[:n], *factors[n + 1 :], below.base, made))
    return None


def _normalised(expr: Expr, total: Sum) -> Expr | None:
    """Return ``expr`` / ``total`` with the exponential in ``expr``, which may stand in a Σ, as a softmax; else ``None``."""
    if isinstance(expr, Fn):
        binding = match(total.body, expr, frozenset(total.indices))
        return None if binding is None or any(i not in binding for i in total.indices) else _softmax(total, binding)
    if isinstance(expr, Pow) and isinstance(expr.exponent, Num) and expr.exponent.value >= 1:
        made = _normalised(expr.base, total)
        return None if made is None else mul((made, power(expr.base, num(expr.exponent.value - 1))))
    if isinstance(expr, Sum) and total.free.isdisjoint(expr.indices):
        made = _normalised(expr.body, total)
        return None if made is None else Sum(expr.indices, made)
    if isinstance(expr, Mul):
        for n, factor in enumerate(expr.args):
            made = _normalised(factor, total)
            if made is not None:
                return mul((*expr.args[:n], made, *expr.args[n + 1 :]))
    return None


def _softmax(total: Sum, binding: Binding) -> Expr:
    """Return the softmax over the indices of a Σ of exponentials, at the place where ``binding`` reads it."""
    bound = tuple(i.fresh() for i in total.indices)
    (argument,) = substitute(total.body, {i: Affine.of(b) for i, b in zip(total.indices, bound, strict=True)}).children
    return Prim("softmax", bound, (argument,), tuple(binding[i] for i in total.indices))
