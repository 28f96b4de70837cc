"""Sums, products, powers and functions, entry by entry: as few passes over as little memory as they take.

Small operands are combined before large ones, a small divisor becomes a factor, a number is put where it multiplies least.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations

from derivkit.numeric.codegen import accurate
from derivkit.numeric.codegen.builder import Builder, common
from derivkit.numeric.codegen.factors import opened
from derivkit.numeric.codegen.instructions import FLAG, INPUT, ONE, REAL, ZERO, Value, literal
from derivkit.numeric.codegen.labels import less_onehot
from derivkit.symbolic.arrays import Array
from derivkit.symbolic.ops import COMPARISONS

#: A reciprocal of a divisor so many times smaller than the result is cheaper than dividing by it.
_SMALLER = 4


def add(build: Builder, node: Array, factor: float = 1.0) -> Value:
    """Lower a sum of signed terms, all times ``factor``."""
    signs: tuple[int, ...] = node.params  # type: ignore[assignment]
    marks = [(s, a) for s, a in zip(signs, node.args, strict=True) if a.op == "onehot" and a.args and len(node.args) > 1]
    number, terms = 0.0, []
    for sign, arg in zip(signs, node.args, strict=True):
        if any(arg is m for _, m in marks):
            continue
        value = scaled(build, arg, factor)
        if value.is_number:
            number += sign * value.number
        else:
            terms.append((sign, build.as_real(value)))
    if number == 1 and len(terms) == 1 and terms[0][0] < 0 and not marks:
        made = accurate.complement(build, terms[0][1])
        if made is not None:
            return made
    terms.sort(key=lambda t: (t[1].entries, t[0] < 0))
    if number or not terms:
        total = literal(number)
    else:  # begin with a positive term: there is nothing to negate then
        first = next((t for t in terms if t[0] > 0), terms[0])
        terms.remove(first)
        total = first[1] if first[0] > 0 else build.ufunc("negative", first[1])
    for sign, term in terms:
        total = build.ufunc("add" if sign > 0 else "subtract", total, term)
    for sign, mark in marks:
        total = less_onehot(build, total, mark, -sign * factor)
    return total


def scaled(build: Builder, node: Array, factor: float) -> Value:
    """Return ``factor`` times the value of ``node``; a product takes the factor where it multiplies least."""
    if factor == 1:
        return build.value(node)
    alone = not build.is_shared(node)
    if alone and node.op == "mul":
        return mul(build, node, factor)
    if alone and node.op == "add" and any(t.op == "onehot" for t in node.args):
        return add(build, node, factor)
    if alone and (found := opened(build, node)) is not None:
        return _times_sum(build, *found, factor)
    if alone and (node.op, node.params[:1]) in _SCALABLE:
        made = build.rules[node.op](build, Array(node.op, node.args, node.shape, (*node.params, factor)))
        if made is not None:
            return made
    return build.ufunc("multiply", build.as_real(build.value(node)), literal(factor))


def _times_sum(build: Builder, common_factor: Array | None, total: Array, factor: float) -> Value:
    """Return ``factor`` times a product with a sum that it can go into."""
    build.recognised["a number times a sum: put into the sum"] += 1
    inner = add(build, total, factor)
    return inner if common_factor is None else build.ufunc("multiply", build.as_real(build.value(common_factor)), inner)


#: Operations whose rule takes a factor as one more parameter.
_SCALABLE = {("along", ("softmax",)), ("reduce", ("sum",)), ("reduce", ("mean",))}


def mul(build: Builder, node: Array, factor: float = 1.0) -> Value:
    """Lower a product with divisors."""
    count: int = node.params[0]  # type: ignore[assignment]
    factor *= _coefficient(node)
    above = [a for a in node.args[:count] if a.op != "number"]
    below = [b for b in node.args[count:] if b.op != "number" or not _float(b)]
    if len(above) == 1 and not below:
        return scaled(build, above[0], factor)
    taker = next((a for a in above if opened(build, a) is not None), None) if factor != 1 else None
    arrays: list[Value] = []
    divisors: list[Value] = []
    for arg in above:
        value, divisor = (scaled(build, arg, factor), None) if arg is taker else accurate.quotient(build, arg)
        factor = 1.0 if arg is taker else factor
        divisors += [divisor] if divisor else []
        if value.is_number:
            factor *= value.number
        else:
            arrays.append(value)
    for arg in below:
        value = build.as_real(build.value(arg))
        if value.is_number and value.number:
            factor /= value.number
        elif not value.is_number and arrays and value.entries * _SMALLER <= max(a.entries for a in arrays):
            arrays.append(build.ufunc("divide", ONE, value))
        else:
            divisors.append(value)
    return _divided(build, _product(build, arrays, factor), divisors)


def _coefficient(node: Array) -> float:
    """Return the number that a product multiplies by; a divisor 0 stays where it is."""
    count: int = node.params[0]  # type: ignore[assignment]
    factor = 1.0
    for n, each in enumerate(node.args):
        if each.op == "number" and (n < count or _float(each)):
            factor = factor * _float(each) if n < count else factor / _float(each)
    return factor


def _product(build: Builder, arrays: list[Value], factor: float) -> Value | None:
    """Return the product, ``None`` for the number 1."""
    flags = [a for a in arrays if a.holds != REAL]
    reals = sorted((a for a in arrays if a.holds == REAL), key=lambda a: (a.entries, _is_input(a)))
    if not reals and flags:
        reals = [build.as_real(flags.pop(0))]
    if not reals:
        return None if factor == 1 else literal(factor)
    reals = _with_known_pairs(build, reals)
    total = reals[0]
    if factor == -1 and len(reals) + len(flags) == 1:
        return build.ufunc("negative", total)
    if factor != 1:
        total = build.ufunc("multiply", total, literal(factor))
    for each in (*reals[1:], *sorted(flags, key=lambda a: a.entries)):
        total = build.ufunc("multiply", total, each)
    return total


def _with_known_pairs(build: Builder, reals: list[Value]) -> list[Value]:
    """Return factors with the same product: two of them whose product is there already are that product."""
    for first, second in combinations(range(len(reals)), 2):
        made = build.calls.get(("multiply", reals[first], reals[second]))
        if made is not None:
            return _with_known_pairs(build, [*(r for n, r in enumerate(reals) if n not in (first, second)), made])
    return reals


def _is_input(value: Value) -> bool:
    """Return whether a value is given: its multiple is less likely to be asked for again than that of a computed one."""
    return value.storage is not None and value.storage.place == INPUT


def _divided(build: Builder, total: Value | None, divisors: list[Value]) -> Value:
    if not divisors:
        return total or ONE
    below = divisors[0]
    for each in divisors[1:]:
        below = build.ufunc("multiply", below, each)
    return build.ufunc("divide", ONE if total is None else total, below)


def _float(node: Array) -> float:
    value: Fraction = node.params[0]  # type: ignore[assignment]
    return float(value)


def pow_(build: Builder, node: Array) -> Value | None:
    """Lower a power: small whole ones are products (``x**3`` of NumPy is 250 times as slow)."""
    base, exponent = node.args
    value = build.as_real(build.value(base))
    if exponent.op == "number" and not value.is_number:
        times = _float(exponent)
        if times in (2, 3, 4):
            square = build.ufunc("multiply", value, value)
            return square if times == 2 else build.ufunc("multiply", square, value if times == 3 else square)
    if value.is_number:
        return None
    return build.ufunc("power", value, build.as_real(build.value(exponent)))


# -- functions ------------------------------------------------------------------------------------------------------------


def fn(build: Builder, node: Array) -> Value | None:
    """Lower a function of the elementwise table."""
    word = str(node.params[0])
    if word == "sigmoid":
        return accurate.sigmoid(build, node)
    args = [build.value(a) for a in node.args]
    if all(a.is_number for a in args):
        return None
    if word in _TESTS:
        return build.ufunc(_TESTS[word], *map(build.as_real, args), holds=FLAG)
    if word == "where":
        return _where(build, *args)
    args = [build.as_real(a) for a in args]
    if word in _UFUNCS:
        return build.ufunc(_UFUNCS[word], *args)
    return _FUNCTIONS[word](build, *args) if word in _FUNCTIONS else None


def _where(build: Builder, test: Value, yes: Value, no: Value) -> Value | None:
    shape = common(test, yes, no)
    if test.holds != FLAG or not shape:
        return None
    return build.chosen(
        test, *(build.filled(v.number, shape, always=True) if v.is_number else build.as_real(v) for v in (yes, no))
    )


def _relu(build: Builder, x: Value) -> Value:
    """max(x, 0), the 0 as an array: that path of NumPy is vectorised, the one with a number is not."""
    return build.ufunc("maximum", x, build.filled(0.0, x.shape, always=True) if x.shape else ZERO)


def _step(build: Builder, x: Value) -> Value:
    return build.ufunc("greater", x, ZERO, holds=FLAG)


def _softplus(build: Builder, x: Value) -> Value:
    """max(x, 0) + log1p(exp(-|x|))."""
    e = build.ufunc("exp", build.ufunc("negative", build.ufunc("absolute", x)))
    return build.ufunc("add", build.ufunc("log1p", e), _relu(build, x))


def _clip(build: Builder, x: Value, low: Value, high: Value) -> Value:
    return build.ufunc("minimum", build.ufunc("maximum", x, low), high)


_TESTS = {word: word for word in COMPARISONS.values()}

_UFUNCS = {
    **{w: w for w in ("exp", "log", "log1p", "expm1", "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "sqrt")},
    **{"abs": "absolute", "minimum": "minimum", "maximum": "maximum", "erf": "special.erf"},
}

_FUNCTIONS: dict[str, Callable[..., Value | None]] = {
    "relu": _relu,
    "step": _step,
    "sigmoid_slope": accurate.sigmoid_slope,
    "exp_square": accurate.exp_square,
    "normal_cdf": accurate.normal_cdf,
    "erfc": accurate.erfc,
    "xlogy": accurate.xlogy,
    "softplus": _softplus,
    "clip": _clip,
}
