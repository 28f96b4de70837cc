"""The operations of the table as functions of arrays, for the reference evaluation: plain, stable, and safe for complex steps.

One table for each number system: NumPy's floats (``float32``, ``float64``, ``longdouble``) and complex numbers, and object
arrays of mpmath numbers (each carries its context, so mpmath itself is never imported).  A function of a complex argument is
the analytic continuation from its real part: comparisons, ``abs``, ``max`` and the branches of ``where`` go by real parts, so
that ``f(x + ih)`` has ``h f'(x)`` as its imaginary part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, echo

Array = NDArray[Any]


def array(name: str, value: Any) -> Array:
    """Return ``value`` as an array of numbers; DK040 when it is ragged, too large or holds something else.

    >>> array("x", [1.0, 2.0]).shape
    (2,)
    """
    try:
        made = np.asarray(value)
        if made.dtype == object and not all(hasattr(v, "real") and hasattr(v, "__add__") for v in made.flat):
            raise TypeError
        if made.dtype == object and all(isinstance(v, int) for v in made.flat):
            made = made.astype(float)  # integers beyond 64 bits
    except (TypeError, ValueError, OverflowError):
        raise DerivkitError(f"'{echo(name)}' is no array of numbers", code="DK040") from None
    return made


def real(x: Array) -> Array:
    """Return the real part, the array itself when it has no other.

    >>> float(real(np.array(2 + 1j)))
    2.0
    """
    if x.dtype == object:
        return np.asarray(_OBJECT_REAL(x), dtype=object)
    return np.asarray(x.real)


_OBJECT_REAL = np.frompyfunc(lambda v: getattr(v, "real", v), 1, 1)


def integers(array: Array) -> Array:
    """Return a label array as integers, whatever type it came in (a complex step makes complex labels)."""
    if array.dtype == object:
        return np.asarray(np.frompyfunc(int, 1, 1)(real(array)), dtype=np.int64)
    return array if array.dtype.kind in "iu" else np.rint(array.real).astype(np.int64)


@dataclass(frozen=True)
class Numbers:
    """The number system of one evaluation: the real ``dtype`` of its constants and, for mpmath numbers, their context."""

    dtype: np.dtype[Any]
    context: Any = None

    @staticmethod
    def of(arrays: Iterable[Array]) -> Numbers:
        """Return the number system that holds all ``arrays``; integers decide nothing.

        >>> Numbers.of([np.ones(2, np.complex64), np.arange(3)]).dtype
        dtype('float32')
        """
        given = list(arrays)
        kinds = frozenset(a.dtype for a in given)
        contexts = (v.context for a in given if a.dtype == object for v in a.flat if hasattr(v, "context"))
        return _system(kinds, next(contexts, None))

    def rational(self, value: Fraction | int) -> Array:
        """Return a rational number at full precision."""
        exact = Fraction(value)
        if self.dtype == object and self.context is not None:
            return np.asarray(self.context.mpf(exact.numerator) / exact.denominator, dtype=object)
        if self.dtype == np.longdouble:
            return np.asarray(np.longdouble(exact.numerator) / np.longdouble(exact.denominator))
        try:
            nearest = float(exact)
        except OverflowError:
            nearest = math.inf if exact > 0 else -math.inf
        return np.asarray(nearest, dtype=self.dtype)

    def constant(self, name: str) -> Array:
        """Return π or ∞."""
        if self.context is not None:
            return np.asarray(+getattr(self.context, name), dtype=object)
        return np.asarray({"pi": _PI, "inf": np.inf}[name], dtype=self.dtype)

    def cast(self, value: Array) -> Array:
        """Return booleans and integers as numbers of the system."""
        if value.dtype.kind not in "biu":
            return value
        if self.context is not None:
            return np.asarray(np.frompyfunc(self.context.mpf, 1, 1)(value.astype(int).astype(object)), dtype=object)
        return value.astype(self.dtype)


@lru_cache(maxsize=64)
def _system(kinds: frozenset[np.dtype[Any]], context: Any) -> Numbers:
    inexact = [k for k in kinds if k.kind in "fcO"]
    common = np.result_type(*inexact) if inexact else np.dtype(float)
    return Numbers(common.type(0).real.dtype if common.kind == "c" else common, context)


_PI = np.longdouble("3.14159265358979323846264338327950288")


def _abs(x: Array) -> Array:
    at = real(x)
    size = np.where(at < 0, -x, x)
    return np.where(at == 0, 0 * x, size) if not np.all(at) else size  # |x|' is 0 at 0, along a complex step too


def _sigmoid(x: Array) -> Array:
    up = real(x) >= 0
    z = np.exp(np.where(up, -x, x))  # |z| <= 1: nothing overflows
    return np.asarray(np.where(up, 1, z) / (1 + z))


def _softplus(x: Array) -> Array:
    up = real(x) >= 0
    return np.asarray(_log1p(np.exp(np.where(up, -x, x))) + np.where(up, x, 0 * x))


def _log1p(x: Array) -> Array:
    if not np.iscomplexobj(x):
        return np.asarray(np.log1p(x))
    a, b = x.real, x.imag
    near = a > -0.5  # log |1 + x| by log1p there: NumPy's complex log1p rounds 1 + x first
    size = np.where(near, 0.5 * np.log1p(np.where(near, a * (2 + a) + b * b, 0)), np.log(np.hypot(1 + a, b)))
    return np.asarray(size + 1j * np.arctan2(b, 1 + a))


_ERF = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Array) -> Array:
    """Return erf, for a complex argument to first order in its (tiny) imaginary part."""
    value = np.asarray(_ERF(np.asarray(x.real, dtype=float)), dtype=x.real.dtype)
    if not np.iscomplexobj(x):
        return value
    return np.asarray(value + 1j * x.imag * (2 / math.sqrt(math.pi)) * np.exp(-(x.real**2)))


_ERFC = np.frompyfunc(math.erfc, 1, 1)


def _erfc(x: Array) -> Array:
    """Return 1 − erf with its digits where that is tiny, for a complex argument to first order as erf."""
    value = np.asarray(_ERFC(np.asarray(x.real, dtype=float)), dtype=x.real.dtype)
    if not np.iscomplexobj(x):
        return value
    return np.asarray(value - 1j * x.imag * (2 / math.sqrt(math.pi)) * np.exp(-(x.real**2)))


#: NumPy's number systems; what is missing here is evaluated by the formula of its row.
NUMERIC: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": _log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arctan": np.arctan,
    "erf": _erf,
    "erfc": _erfc,
    "abs": _abs,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
}

#: Names of an mpmath context for the same; ``softplus`` and the like go by their formulas at whatever precision is set.
_OF_CONTEXT: dict[str, str] = {
    **{name: name for name in ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc")},
    "arctan": "atan",
}


def _mp(name: str) -> Callable[[Array], Array]:
    one = np.frompyfunc(lambda v: getattr(v.context, name)(v), 1, 1)
    return lambda x: np.asarray(one(x), dtype=object)


OBJECT: dict[str, Callable[..., Array]] = {op: _mp(name) for op, name in _OF_CONTEXT.items()} | {"abs": _abs}


def _flag(test: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Array]:
    return lambda a, b: np.asarray(test(real(a), real(b)))


#: Operations that decide: booleans, of real parts.
DECISIONS: dict[str, Callable[..., Array]] = {
    "greater": _flag(lambda a, b: a > b),
    "less": _flag(lambda a, b: a < b),
    "greater_equal": _flag(lambda a, b: a >= b),
    "less_equal": _flag(lambda a, b: a <= b),
    "equal": _flag(lambda a, b: a == b),
    "not_equal": _flag(lambda a, b: a != b),
    "step": lambda x: np.asarray(real(x) > 0),
}

#: Operations that choose: the same in every number system.
CHOICES: dict[str, Callable[..., Array]] = {
    "sign": lambda x: np.asarray(1 * (real(x) > 0) - 1 * (real(x) < 0)),
    "relu": lambda x: np.asarray(np.where((real(x) > 0) | (x != x), x, np.zeros_like(x))),  # nan is kept, as NumPy keeps it
    "where": lambda c, a, b: np.asarray(np.where(real(c) != 0, a, b)),
    "minimum": lambda a, b: np.asarray(np.where((real(a) <= real(b)) | (a != a), a, b)),
    "maximum": lambda a, b: np.asarray(np.where((real(a) >= real(b)) | (a != a), a, b)),
}


def integer_power(x: Array, n: int) -> Array:
    """Return ``x ** n`` by multiplication, exact for small integers in any number system.

    >>> float(integer_power(np.array(-2.0), 3)), float(integer_power(np.array(4.0), -1))
    (-8.0, 0.25)
    """
    if n < 0:
        return np.asarray(1 / integer_power(x, -n))
    result, square = None, x
    while n:
        if n & 1:
            result = square if result is None else result * square
        n >>= 1
        if n:
            square = square * square
    return np.ones_like(x) if result is None else np.asarray(result)


def power(x: Array, y: Array) -> Array:
    """Return ``x ** y`` for an exponent that is no small integer; ``y = ½`` is a square root."""
    if y.ndim == 0 and y == 0.5:
        return np.asarray(_OBJECT_ROOT(x), dtype=object) if x.dtype == object else np.asarray(np.sqrt(x))
    if x.dtype == object and y.dtype != object:
        return np.asarray(x ** y.astype(object), dtype=object)
    if y.dtype.kind == "c" and y.ndim and not np.all(x):  # 0 ** (y + ih): NumPy has nan there
        return np.asarray(np.where((x == 0) & (y.real > 0), 0, x**y))
    return np.asarray(x**y)


_OBJECT_ROOT = np.frompyfunc(lambda v: v.context.sqrt(v), 1, 1)


# -- primitives: the last axis is the one (or several, flattened in row-major order) that they work on -------------------


def _exp(x: Array) -> Array:
    return OBJECT["exp"](x) if x.dtype == object else np.asarray(np.exp(x))


def _log(x: Array) -> Array:
    return OBJECT["log"](x) if x.dtype == object else np.asarray(np.log(x))


def _first(x: Array) -> Array:
    return np.expand_dims(np.argmax(real(x), axis=-1), -1)


def _max(x: Array) -> Array:
    return np.take_along_axis(x, _first(x), -1)[..., 0]


def _logsumexp(x: Array) -> Array:
    m = real(_max(x))
    if x.dtype != object:
        m = np.where(np.isfinite(m), m, 0)
    return np.asarray(m + _log(np.asarray(np.sum(_exp(x - m[..., None]), axis=-1))))


def _softmax(x: Array) -> Array:
    e = _exp(x - real(_max(x))[..., None])
    return np.asarray(e / np.sum(e, axis=-1, keepdims=True))


def _first_max(x: Array) -> Array:
    return np.asarray(np.arange(x.shape[-1]) == _first(x))


def _prod_except(x: Array) -> Array:
    ones = np.ones_like(x[..., :1])  # products of what stands before and after: right with zeros, too
    before = np.cumprod(np.concatenate((ones, x[..., :-1]), axis=-1), axis=-1)
    after = np.cumprod(np.concatenate((ones, x[..., :0:-1]), axis=-1), axis=-1)[..., ::-1]
    return np.asarray(before * after)


def _norm(x: Array) -> Array:
    return power(np.asarray(np.sum(x * x, axis=-1)), np.asarray(0.5))


#: Primitives that keep the axis, and those that take it away.
ENTRYWISE: dict[str, Callable[[Array], Array]] = {
    "softmax": _softmax,
    "log_softmax": lambda x: np.asarray(x - _logsumexp(x)[..., None]),
    "first_max": _first_max,
    "prod_except": _prod_except,
}
REDUCING: dict[str, Callable[[Array], Array]] = {
    "logsumexp": _logsumexp,
    "max": _max,
    "min": lambda x: np.asarray(-_max(-x)),
    "argmax": lambda x: _first(x)[..., 0],
    "prod": lambda x: np.asarray(np.prod(x, axis=-1)),
    "norm": _norm,
}
