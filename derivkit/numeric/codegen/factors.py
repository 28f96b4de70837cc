"""Sums that a number can go into: ``c (a + b x)`` is ``ca + cb x``, a pass less; ``c (x + b x^3)`` is ``x (c + cb x^2)``."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from derivkit.numeric.codegen.builder import Builder
from derivkit.symbolic.arrays import Array
from derivkit.symbolic.arrays.nodes import add, mul, number, parts


def opened(build: Builder, node: Array) -> tuple[Array | None, Array] | None:
    """Return a factor, or none, and a sum whose terms all take a number at no cost; their product is ``node``."""
    if node.op != "add" or build.is_shared(node):
        return None
    if all(_takes_number(build, term) for term in node.args):
        return None, node
    return _without_common(build, node)


def _takes_number(build: Builder, term: Array) -> bool:
    """Return whether a term is a number, or a product with one that nobody else reads."""
    if term.op == "number":
        return True
    factors, divisors = parts(term)
    return term.op == "mul" and not build.is_shared(term) and any(p.op == "number" for p in (*factors, *divisors))


def _without_common(build: Builder, node: Array) -> tuple[Array, Array] | None:
    """Return what all terms of a sum have in common, and the sum of what is left of them, when a number can go into that."""
    found: dict[int, Array] = {}
    powers: list[Counter[int]] = []
    for term in node.args:
        factors, divisors = parts(term)
        if any(d.op != "number" for d in divisors) or (build.is_shared(term) and term.op == "mul"):
            return None
        count: Counter[int] = Counter()
        for base, times in map(_power, factors):
            if base.op != "number":
                found[build.numbers(base)] = base
                count[build.numbers(base)] += times
        powers.append(count)
    shared = Counter(powers[0])
    for each in powers[1:]:
        shared &= each
    if not shared or any(found[n].shape != node.shape for n in shared):
        return None
    rest = []
    for sign, term, count in zip(node.params, node.args, powers, strict=True):
        left = [_raised(found[n], times) for n, times in (count - shared).items()]
        rest.append((int(sign), mul([number(_coefficient(term)), *left])))  # type: ignore[call-overload]
    inner = add(rest)
    if inner.op != "add" or not all(_takes_number(build, term) for term in inner.args):
        return None
    return mul([_raised(found[n], times) for n, times in shared.items()]), inner


def _power(node: Array) -> tuple[Array, int]:
    """Return a factor as a base and a whole exponent from 1 on."""
    if node.op == "pow" and node.args[1].op == "number":
        times: Fraction = node.args[1].params[0]  # type: ignore[assignment]
        if times.denominator == 1 and times >= 1:
            return node.args[0], int(times)
    return node, 1


def _raised(base: Array, times: int) -> Array:
    return base if times == 1 else Array("pow", (base, number(times)), base.shape)


def _coefficient(term: Array) -> Fraction:
    """Return the number that a term is a multiple of."""
    factors, divisors = parts(term)
    value = Fraction(1)
    for n, each in enumerate((*factors, *divisors)):
        if each.op == "number":
            value = value * each.params[0] if n < len(factors) else value / each.params[0]  # type: ignore[operator]
    return value
