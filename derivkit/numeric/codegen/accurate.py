"""Functions of a bound step that keep their digits in the tails: those of ``tails``, and sigmoids.

What a sigmoid is divided by is remembered: 1 - sigmoid(x) is its reciprocal, right where subtracting from 1 leaves nothing.
"""

from __future__ import annotations

from math import sqrt

from derivkit.numeric.codegen.builder import Builder, common
from derivkit.numeric.codegen.instructions import ONE, Value, literal
from derivkit.symbolic.arrays import Array
from derivkit.symbolic.arrays.nodes import mul, number

#: e^x is finite up to here, and 1 / (1 + e^x) no larger than the smallest normal number.
_LIMIT = {"float32": 87.5}
_LIMIT_OF_DOUBLE = 709.0


def sigmoid(build: Builder, node: Array) -> Value | None:
    """Return e / (1 + e) where e = exp(min(x, limit)), which does not overflow; of a sigmoid of -x that is there 1 minus it."""
    other = build.values.get(build.numbers(mul([number(-1), node.args[0]])))
    if other is not None and (known := build.notes.get(("sigmoid", other))) is not None:
        return complement(build, known) or known
    x = build.as_real(build.value(node.args[0]))
    if x.is_number:
        return None
    limit = _LIMIT.get(build.precision, _LIMIT_OF_DOUBLE)
    e = build.ufunc("exp", build.ufunc("minimum", x, build.filled(limit, x.shape, always=True)))
    below = build.ufunc("add", e, ONE)
    made = build.ufunc("divide", e, below)
    build.notes["sigmoid", x] = made
    build.notes["below", made] = below
    return made


def complement(build: Builder, value: Value) -> Value | None:
    """Return 1 - value where the value is a sigmoid."""
    below = build.notes.get(("below", value))
    return None if below is None else build.ufunc("divide", ONE, below)


def quotient(build: Builder, node: Array) -> tuple[Value, Value | None]:
    """Return a node as factor and divisor: the slope of a sigmoid is the sigmoid by what it was divided by."""
    if node.op == "fn" and node.params == ("sigmoid_slope",) and not build.is_shared(node):
        known = build.notes.get(("sigmoid", build.value(node.args[0])))
        if known is not None:
            return known, build.notes["below", known]
    return build.value(node), None


def sigmoid_slope(build: Builder, x: Value) -> Value:
    """sigmoid(x) (1 - sigmoid(x)): from the sigmoid where it is there, or e / (1 + e)² with e = exp(-|x|)."""
    known = build.notes.get(("sigmoid", x))
    if known is not None:
        return build.ufunc("divide", known, build.notes["below", known])
    e = build.ufunc("exp", build.ufunc("negative", build.ufunc("absolute", x)))
    below = build.ufunc("add", e, ONE)
    return build.ufunc("divide", e, build.ufunc("multiply", below, below))


def exp_square(build: Builder, x: Value, c: Value) -> Value:
    """exp(c x²) for c < 0, the square split: h has so few digits that h² is exact."""
    size = build.ufunc("minimum", build.ufunc("absolute", x), literal(sqrt(800 / -c.number)))
    h = build.ufunc("multiply", build.ufunc("rint", build.ufunc("multiply", size, literal(64.0))), literal(1 / 64))
    rest = build.ufunc("multiply", build.ufunc("subtract", size, h), build.ufunc("add", size, h))
    large, small = (build.ufunc("multiply", part, c) for part in (build.ufunc("multiply", h, h), rest))
    return build.ufunc("multiply", build.ufunc("exp", large), build.ufunc("exp", small))


def normal_cdf(build: Builder, x: Value) -> Value:
    """erfc(-x / √2) / 2, far below 0 with erfcx and :func:`exp_square`."""
    near = build.ufunc("special.ndtr", x)
    if build.precision == "float32" or not x.shape:
        return near
    far = build.ufunc("multiply", build.ufunc("minimum", x, literal(-1.0)), literal(-sqrt(0.5)))
    half = build.ufunc("multiply", build.ufunc("special.erfcx", far), literal(0.5))
    tail = build.ufunc("multiply", exp_square(build, x, literal(-0.5)), half)
    return build.chosen(build.ufunc("less", x, literal(-1.0), holds="flag"), tail, near)


def erfc(build: Builder, x: Value) -> Value:
    """1 - erf(x), above ½ with erfcx and :func:`exp_square`."""
    if build.precision == "float32" or not x.shape:
        return build.ufunc("special.erfc", x)
    near = build.ufunc("subtract", ONE, build.ufunc("special.erf", x))
    tail = build.ufunc("special.erfcx", build.ufunc("maximum", x, literal(0.5)))
    tail = build.ufunc("multiply", tail, exp_square(build, x, literal(-1.0)))
    return build.chosen(build.ufunc("greater", x, literal(0.5), holds="flag"), tail, near)


def xlogy(build: Builder, x: Value, y: Value) -> Value | None:
    """Return x log(y), the logarithm taken of 1 where x is 0."""
    shape = common(x, y)
    if x.is_number or y.shape != shape or not shape:
        return None
    zero = build.ufunc("equal", x, literal(0.0), holds="flag")
    inner = build.emit("copyto({out}, {1}); copyto({out}, 1, where={0})", (zero, y), shape)
    return build.ufunc("multiply", x, build.ufunc("log", inner))
