"""Exponentials over their own sum, which is a softmax: what ``log(sum(exp(x)))`` leads to, nobody having named it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from derivkit.symbolic.derive.match import Binding, match
from derivkit.symbolic.expr import Add, Expr, Fn, Mul, Name, Num, Pow, Prim, Ref, Sum, key, replace, substitute, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine
from derivkit.symbolic.normal import add, factors_of, mul, normal, num, power


def exponential_sums(definitions: Iterable[Definition]) -> dict[Name, Definition]:
    """Return the definitions, of those that nobody has named, that are a Σ of exponentials."""
    return {d.name: d for d in definitions if d.name.opened and _is_exponential_sum(d.rhs)}


def with_softmaxes(expr: Expr, sums: Mapping[Name, Definition]) -> Expr:
    """Return ``expr`` with each exp(a_i) / Σ_p exp(a_p) written as softmax(a)_i; itself where there is none.

    The Σ may also be one of the definitions ``sums``.
    """
    if not any(_divided_by(n, sums) is not None for n in walk(expr)):
        return expr

    def change(node: Expr) -> Expr | None:
        made = _gathered(node, sums) if isinstance(node, Mul) else None
        return None if made is None else replace(made, change)

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def _is_exponential_sum(expr: Expr) -> bool:
    return isinstance(expr, Sum) and isinstance(expr.body, Fn) and expr.body.op == "exp"


def _divided_by(node: Expr, sums: Mapping[Name, Definition]) -> Sum | None:
    """Return the Σ of exponentials by which ``node`` divides, ``None`` if it does not."""
    if not isinstance(node, Pow) or not isinstance(node.exponent, Num):
        return None
    if node.exponent.value >= 0 or node.exponent.value.denominator != 1:
        return None
    base = node.base
    total = sums[base.name].at(base.subs) if isinstance(base, Ref) and base.name in sums else base
    return total if isinstance(total, Sum) and _is_exponential_sum(total) else None


def _gathered(product: Mul, sums: Mapping[Name, Definition]) -> Expr | None:
    """Return a product with one exponential and the Σ below it as a softmax, ``None`` where it has no such pair."""
    factors = factors_of(product)
    for below in factors:
        total = _divided_by(below, sums)
        if total is None or not isinstance(below, Pow):
            continue
        for n, above in enumerate(factors):
            made = None if above is below else _normalised(above, total, below.base)
            if made is not None:
                return mul((*factors[:n], *factors[n + 1 :], below.base, made))
    return None


def _normalised(expr: Expr, total: Sum, name: Expr) -> Expr | None:
    """Return ``expr`` / ``total`` with the exponential in ``expr``, which may stand in a Σ, as a softmax; else ``None``.

    ``name`` is what ``total`` is written as.
    """
    if isinstance(expr, Fn):
        binding = match(total.body, expr, frozenset(total.indices))
        return None if binding is None or any(i not in binding for i in total.indices) else _softmax(total, binding)
    if isinstance(expr, Pow) and isinstance(expr.exponent, Num) and expr.exponent.value >= 1:
        made = _normalised(expr.base, total, name)
        return None if made is None else mul((made, power(expr.base, num(expr.exponent.value - 1))))
    if isinstance(expr, Sum) and total.free.isdisjoint(expr.indices):
        made = _normalised(expr.body, total, name)
        return None if made is None else Sum(expr.indices, made)
    if isinstance(expr, Mul):
        for n, factor in enumerate(expr.args):
            made = _normalised(factor, total, name)
            if made is not None:
                return mul((*expr.args[:n], made, *expr.args[n + 1 :]))
    if isinstance(expr, Add):
        terms = [_normalised(t, total, name) or _cancelled(t, name) for t in expr.args]
        return None if None in terms else add(t for t in terms if t is not None)
    return None


def _cancelled(term: Expr, name: Expr) -> Expr | None:
    """Return a term without its factor ``name``, ``None`` where it has none."""
    factors = factors_of(term)
    place = next((n for n, f in enumerate(factors) if key(f) == key(name)), None)
    return None if place is None else mul(factors[:place] + factors[place + 1 :])


def _softmax(total: Sum, binding: Binding) -> Expr:
    """Return the softmax over the indices of a Σ of exponentials, at the place where ``binding`` reads it."""
    bound = tuple(i.fresh() for i in total.indices)
    (argument,) = substitute(total.body, {i: Affine.of(b) for i, b in zip(total.indices, bound, strict=True)}).children
    return Prim("softmax", bound, (argument,), tuple(binding[i] for i in total.indices))
