"""The value of a SymPy expression, by its structure alone: loops for Σ and ∏, one branch of a Piecewise, nothing simplified."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy

RELATIONS: dict[type, Callable[[Any, Any], bool]] = {
    sympy.StrictGreaterThan: operator.gt,
    sympy.StrictLessThan: operator.lt,
    sympy.GreaterThan: operator.ge,
    sympy.LessThan: operator.le,
    sympy.Equality: operator.eq,
    sympy.Unequality: operator.ne,
}
FUNCTIONS: dict[type, Callable[..., float]] = {
    **{getattr(sympy, n): getattr(math, n) for n in "exp log sin cos tan sinh cosh tanh erf erfc floor".split()},
    sympy.atan: math.atan,
    sympy.Abs: abs,
    sympy.sign: np.sign,
    sympy.KroneckerDelta: lambda a, b: float(a == b),
    sympy.Heaviside: lambda x, at_zero: at_zero if x == 0 else float(x > 0),
    sympy.Max: max,
    sympy.Min: min,
}


def value(expr: Any, env: Mapping[str, Any]) -> Any:
    """Return the number that ``expr`` is when names stand for the arrays and numbers of ``env``."""
    if isinstance(expr, sympy.Symbol):
        return env[expr.name]
    if isinstance(expr, sympy.Indexed):
        array = env[expr.base.label.name]
        at = tuple(int(value(i, env)) for i in expr.indices)
        assert all(0 <= a < n for a, n in zip(at, array.shape, strict=True)), f"{expr} is read at {at}"
        return array[at]
    if expr.is_Number or expr.is_NumberSymbol:
        return int(expr) if expr.is_Integer else float(expr)
    if isinstance(expr, sympy.Add):
        return sum(value(a, env) for a in expr.args)
    if isinstance(expr, sympy.Mul):  # conditions first: what they exclude is not read
        product = 1
        for factor in sorted(expr.args, key=lambda a: not isinstance(a, sympy.Heaviside)):
            if isinstance(product := product * value(factor, env), int | float) and product == 0:
                break
        return product
    if isinstance(expr, sympy.Pow):
        return value(expr.base, env) ** value(expr.exp, env)
    if isinstance(expr, sympy.Sum | sympy.Product):
        terms = list(over(expr.function, expr.limits, env))
        return sum(terms) if isinstance(expr, sympy.Sum) else math.prod(terms)
    if isinstance(expr, sympy.Piecewise):
        return next(value(e, env) for e, c in expr.args if value(c, env))
    if type(expr) in RELATIONS:
        return RELATIONS[type(expr)](*(value(a, env) for a in expr.args))
    if isinstance(expr, sympy.And | sympy.Or):
        return (all if isinstance(expr, sympy.And) else any)(value(a, env) for a in expr.args)
    if expr in (sympy.true, sympy.false):
        return bool(expr)
    if isinstance(expr, sympy.Determinant):
        return np.linalg.det(matrix(expr.arg, env))
    if isinstance(expr, sympy.matrices.expressions.matexpr.MatrixElement):
        return np.linalg.inv(matrix(expr.parent.arg, env))[tuple(int(value(i, env)) for i in expr.indices)]
    return FUNCTIONS[type(expr)](*(value(a, env) for a in expr.args))


def over(body: Any, limits: Any, env: Mapping[str, Any]) -> Any:
    """Yield the values of ``body`` over ranges, the last of which is the outermost."""
    if not limits:
        yield value(body, env)
        return
    *inner, (symbol, low, high) = limits
    for n in range(int(value(low, env)), int(value(high, env)) + 1):
        yield from over(body, inner, {**env, symbol.name: n})


def matrix(function: Any, env: Mapping[str, Any]) -> np.ndarray:
    """Return a FunctionMatrix as an array."""
    shape = [int(value(n, env)) for n in function.shape]
    names = [v.name for v in function.lamda.variables]
    found = np.empty(shape)
    for at in itertools.product(*map(range, shape)):
        found[at] = value(function.lamda.expr, {**env, **dict(zip(names, at, strict=True))})
    return found
