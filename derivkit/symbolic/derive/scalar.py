"""Scalar calculus by SymPy: one line at a time, atoms masked by symbols, the result read back into our own classes.

SymPy never sees a sum, a δ, an index, or a word of the user's: each atom is a numbered symbol of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import sympy

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Add, Const, Expr, Fn, Mul, Name, Num, Pow, Ref, key
from derivkit.symbolic.normal import add, fn, mul, num, power

_TO: dict[str, Callable[..., sympy.Basic]] = {
    "exp": sympy.exp,
    "log": sympy.log,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "arctan": sympy.atan,
    "erf": sympy.erf,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log1p": lambda x: sympy.log(1 + x),
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "abs": sympy.Abs,
    "sign": sympy.sign,
}
_BACK: dict[type, str] = {
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.atan: "arctan",
    sympy.erf: "erf",
    sympy.Abs: "abs",
    sympy.sign: "sign",
}


class Mask:
    """Atoms of an expression and the SymPy symbols that stand for them, in order of first appearance."""

    def __init__(self, positive: Callable[[Expr], bool] = lambda _: False) -> None:
        """Start empty; ``positive`` says which atoms may be taken as positive."""
        self._symbols: dict[int, sympy.Symbol] = {}
        self._atoms: dict[sympy.Symbol, Expr] = {}
        self._positive = positive

    def symbol(self, atom: Expr) -> sympy.Symbol:
        """Return the symbol of ``atom``."""
        k = key(atom)
        if k not in self._symbols:
            made = sympy.Symbol(f"s{len(self._symbols):04d}", real=True, positive=self._positive(atom) or None)
            self._symbols[k] = made
            self._atoms[made] = atom
        return self._symbols[k]

    def to(self, expr: Expr) -> sympy.Expr:
        """Return the SymPy form; whatever is no scalar algebra is an atom."""
        if isinstance(expr, Num):
            return sympy.Rational(expr.value.numerator, expr.value.denominator)
        if isinstance(expr, Const) and expr.name == "pi":
            return sympy.pi
        if isinstance(expr, Add):
            return sympy.Add(*(self.to(a) for a in expr.args))
        if isinstance(expr, Mul):
            return sympy.Mul(*(self.to(a) for a in expr.args))
        if isinstance(expr, Pow):
            return sympy.Pow(self.to(expr.base), self.to(expr.exponent))
        if isinstance(expr, Fn) and expr.op in _TO:
            return _TO[expr.op](*(self.to(a) for a in expr.args))
        return self.symbol(expr)

    def back(self, expr: sympy.Basic) -> Expr:
        """Return our form of a SymPy expression over the mask's symbols, terms in the order of the atoms."""
        if isinstance(expr, sympy.Symbol):
            return self._atoms[expr]
        if isinstance(expr, sympy.Rational):
            return num(Fraction(int(expr.p), int(expr.q)))
        if expr is sympy.pi:
            return Const("pi")
        if expr is sympy.E:
            return Fn("exp", (num(1),))
        if isinstance(expr, sympy.Add):
            return add(self.back(a) for a in expr.as_ordered_terms())
        if isinstance(expr, sympy.Mul):
            return mul(self.back(a) for a in expr.as_ordered_factors())
        if isinstance(expr, sympy.Pow):
            return power(self.back(expr.base), self.back(expr.exp))
        if type(expr) in _BACK:
            return fn(_BACK[type(expr)], tuple(self.back(a) for a in expr.args))
        raise DerivkitError(f"SymPy gave back a {type(expr).__name__}", code="DK030")


def scalar_derivative(expr: Expr, target: Name) -> Expr:
    """Return the derivative of a scalar formula with respect to a scalar name.

    >>> from derivkit.symbolic.expr import user
    >>> x = user("x")
    >>> scalar_derivative(Fn("sin", (Ref(x),)), x).op
    'cos'
    """
    mask = Mask()
    return mask.back(sympy.diff(mask.to(expr), mask.symbol(Ref(target))))


__all__ = ["Mask", "scalar_derivative"]
