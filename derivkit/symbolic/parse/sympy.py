"""Reading SymPy: an expression's structure (its classes and arguments, never its text) as index notation.

Symbols stand for scalars, for sizes (in the limits of a Σ or a shape) or for positions (in a subscript); ``IndexedBase`` for
arrays; Σ and ∏ bind indices.  What a kernel cannot compute is refused with what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import Boolean
from sympy.matrices.expressions.matexpr import MatrixElement

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.expr import ONE_EXPR, ZERO_EXPR, Const, Delta, Expr, Fn, Inside, Name, Num, Pow, Prim, Ref, walk
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import add, fn, mul, num, power, scaled, size_factor, sum_over
from derivkit.symbolic.parse import inverse
from derivkit.symbolic.ranges import reach

Basic = Any
Scope = Mapping[Basic, Affine]

_LARGEST_POWER = 8  # of a size

#: The name of an input that holds nan, for a Piecewise that says nothing.
NAN = Name("anon", "nan_")


@dataclass(frozen=True, slots=True)
class Read:
    """One axis that is read: its least and greatest position; a ``guarded`` one may be out of range, where a factor is 0."""

    array: Name
    axis: int
    sub: Affine
    low: Size
    high: Size
    guarded: bool


@dataclass
class SympyReader:
    """The reading of several expressions over the same arguments.

    ``scalars`` are arguments that are numbers (any expression may be one), ``arrays`` the bases; ``batch`` is the index of
    the scalars where they are arrays.  ``reads``, ``ranges`` and ``positions`` say afterwards what was read, which arrays
    0, 1, 2, ... are needed, and which arguments hold positions.
    """

    scalars: Mapping[Basic, Name]
    arrays: Mapping[Basic, Name]
    sizes: Mapping[Basic, Size]
    batch: Index | None = None
    partial: bool = False
    reads: list[Read] = field(default_factory=list)
    ranges: dict[Name, Size] = field(default_factory=dict)
    positions: set[Name] = field(default_factory=set)
    nan: bool = False
    guards: int = 0

    def read(self, expr: Basic, at: Scope | None = None) -> Expr:
        """Return an expression or a condition (1 where it holds) in index notation."""
        scope = at or {}
        if expr in self.scalars:
            return Ref(self.scalars[expr], () if self.batch is None else (Affine.of(self.batch),))
        for kind in type(expr).__mro__:
            if kind in _RULES:
                return _RULES[kind](self, expr, scope)
        raise _unread(expr)

    def all(self, args: tuple[Basic, ...], at: Scope) -> list[Expr]:
        """Return several."""
        return [self.read(a, at) for a in args]

    def guarded(self, expr: Basic, at: Scope) -> Expr:
        """Return an expression of which only a part counts: reading out of range is no error there."""
        self.guards += 1
        try:
            return self.read(expr, at)
        finally:
            self.guards -= 1

    def symbol(self, expr: Basic, at: Scope) -> Expr:
        """Return what a symbol stands for: an index as a number, a size."""
        if expr in at:
            return self.number(at[expr])
        if expr in self.sizes:
            return size_factor(self.sizes[expr])
        known = [str(s) for s in (*self.scalars, *self.arrays)]
        hint = did_you_mean(str(expr), known) or f"the arguments are {', '.join(known)}"[:120]
        if str(expr) in known:
            hint = "there is one with this name and other assumptions"
        raise DerivkitError(f"'{echo(expr)}' is no argument", code="DK008", hint=hint)

    def number(self, sub: Affine) -> Expr:
        """Return a position as a number: index i is entry i of the array 0, 1, 2, ..."""
        parts: list[Expr] = [size_factor(sub.const)]
        for atom, coefficient in sub.terms:
            value: Expr = atom if isinstance(atom, Expr) else self.counted(atom)  # type: ignore[arg-type]
            parts.append(mul((size_factor(coefficient), value)))
        return add(parts)

    def counted(self, index: Index) -> Expr:
        """Return the entry of the array 0, 1, 2, ... at an index."""
        name = Name("anon", f"range_{len(self.ranges)}")
        name = next((n for n, size in self.ranges.items() if size == index.size), name)
        self.ranges[name] = index.size
        return Ref(name, (Affine.of(index),))

    def affine(self, expr: Basic, at: Scope) -> Affine:
        """Return a position: sizes, indices and labels with whole coefficients."""
        if expr in at:
            return at[expr]
        if expr in self.scalars:
            self.positions.add(self.scalars[expr])
            return Affine.of(self.read(expr, at))
        if expr in self.sizes:
            return Affine.of(self.sizes[expr])
        if expr.is_Integer:
            return Affine.of(int(expr))
        if expr.is_Add:
            total = Affine.of(0)
            for term in expr.args:
                total = total + self.affine(term, at)
            return total
        if expr.is_Mul:
            factors = [self.affine(f, at) for f in expr.args]
            moving = [f for f in factors if f.terms]
            if len(moving) < 2:
                made = moving[0] if moving else Affine.of(1)
                for factor in factors:
                    made = made if factor in moving else made.scaled(factor.const)
                return made
        if expr.is_Pow and expr.exp.is_Integer and 0 < expr.exp <= _LARGEST_POWER:
            return self.affine(sympy.Mul(*[expr.base] * int(expr.exp), evaluate=False), at)
        if isinstance(expr, sympy.floor):
            above, below = (self.affine(e, at) for e in sympy.fraction(sympy.together(expr.args[0])))
            if not above.terms and not below.terms:
                return Affine.of(above.const // below.const)
        if isinstance(expr, sympy.Indexed) and expr.base in self.arrays:
            self.positions.add(self.arrays[expr.base])
            return Affine.of(self.read(expr, at))
        if expr.is_Symbol:
            self.symbol(expr, at)
        message = f"'{echo(expr)}' is no position"
        raise DerivkitError(message, code="DK019", hint="positions are sums of indices, sizes and whole numbers")

    def entry(self, expr: Basic, at: Scope) -> Expr:
        """Return an entry of an array, and keep where it is read."""
        base, indices = (expr.parent, expr.indices) if isinstance(expr, MatrixElement) else (expr.base, expr.indices)
        if base not in self.arrays:
            known = list(map(str, self.arrays))
            same = "there is one with this name and another shape or other assumptions" if str(base) in known else None
            raise DerivkitError(
                f"the array '{echo(base)}' is no argument", code="DK008", hint=same or did_you_mean(str(base), known)
            )
        name = self.arrays[base]
        subs = tuple(self.affine(i, at) for i in indices)
        for axis, sub in enumerate(subs):
            low, high = reach(sub)
            self.reads.append(Read(name, axis, sub, low, high, self.guards > 0))
        return Ref(name, subs)

    def total(self, expr: Basic, at: Scope) -> Expr:
        """Return a Σ."""
        return self.reduced(expr.function, expr.limits, at, lambda index, body: sum_over((index,), body), ZERO_EXPR)

    def product(self, expr: Basic, at: Scope) -> Expr:
        """Return a ∏."""
        return self.reduced(expr.function, expr.limits, at, lambda index, body: Prim("prod", (index,), (body,), ()), ONE_EXPR)

    def reduced(self, body: Basic, limits: Any, at: Scope, combine: Callable[[Index, Expr], Expr], nothing: Expr) -> Expr:
        """Return Σ or ∏ over the ranges, the last of which is the outermost."""
        if not limits:
            return self.read(body, at)
        *inner, limit = limits
        if len(limit) != 3:
            raise DerivkitError(
                f"the range of '{echo(limit[0])}' is not given", code="DK019", hint="as in Sum(x[i], (i, 0, n - 1))"
            )
        symbol, low, high = limit
        if low.is_infinite or high.is_infinite:
            raise DerivkitError(f"an infinite range of '{echo(symbol)}' is not summed", code="DK019", hint="call .doit() first")
        first, last = self.affine(low, at), self.affine(high, at)
        (least, _), (_, greatest) = reach(first), reach(last)
        size = greatest - least + 1
        if size.literal is not None and size.literal < 1:
            return nothing
        index = Index(str(symbol)[:1] if str(symbol)[:1].isalpha() else "i", size, self.partial)
        place = Affine.of(index) + least
        scope = {**at, symbol: Affine(place.terms, place.const, self.partial)}
        if not first.terms and not last.terms:
            return combine(index, self.reduced(body, inner, scope, combine, nothing))
        self.guards += 1
        made = self.reduced(body, inner, scope, combine, nothing)
        self.guards -= 1
        within = mul((Inside(place - first, size), Inside(last - place, size)))
        if nothing is ZERO_EXPR and _is_finite(made):
            return combine(index, mul((within, made)))
        return combine(index, fn("where", (within, made, nothing)))

    def delta(self, expr: Basic, at: Scope) -> Expr:
        """Return a δ: of positions, else of numbers."""
        left, right = expr.args[:2]
        before = set(self.positions)
        try:
            one, other = self.affine(left, at), self.affine(right, at)
            if one.indices() or other.indices():
                return Delta(one, other)
        except DerivkitError as error:
            if error.code != "DK019":
                raise
        self.positions = before
        return fn("equal", (self.read(left, at), self.read(right, at)))

    def pieces(self, expr: Basic, at: Scope) -> Expr:
        """Return nested choices; where no condition holds the value is nan, as SymPy has it."""
        made: Expr | None = None
        for value, condition in reversed(expr.args):
            chosen = self.guarded(value, at)
            if condition == sympy.true:
                made = chosen
                continue
            if made is None:
                self.nan = True
            made = fn("where", (self.guarded(condition, at), chosen, made or Ref(NAN)))
        return made or Ref(NAN)

    def factors(self, expr: Basic, at: Scope) -> Expr:
        """Return a product; beside a factor that may be 0 by a condition, reading out of range is no error."""
        condition = any(isinstance(f, sympy.Heaviside | sympy.KroneckerDelta | sympy.Piecewise) for f in expr.args)
        return mul([self.guarded(a, at) if condition else self.read(a, at) for a in expr.args])


def _is_finite(expr: Expr) -> bool:
    return not any(isinstance(n, Pow) or (isinstance(n, Fn) and n.op in ("log", "log1p", "tan", "exp")) for n in walk(expr))


def _unread(expr: Basic) -> DerivkitError:
    word = type(expr).__name__
    if isinstance(expr, sympy.Derivative | sympy.Integral | sympy.Limit | sympy.Subs):
        return DerivkitError(f"a {word} is not computed numerically", code="DK009", hint="call .doit() first")
    if isinstance(expr, AppliedUndef | sympy.Function):
        known = [k.__name__ for k in _RULES if issubclass(k, sympy.Function)]
        hint = did_you_mean(word, known) or "give it as an argument, or write it out"
        return DerivkitError(f"no NumPy form of the function '{echo(word)}'", code="DK009", hint=hint)
    if expr in (sympy.I, sympy.zoo):
        return DerivkitError("complex numbers are not computed", code="DK040", hint="real expressions only")
    entries = "write it by its entries: Sum(A[i, j]*x[j], (j, 0, n - 1))" if getattr(expr, "is_Matrix", False) else None
    return DerivkitError(f"a SymPy {echo(word)} is not read", code="DK007", hint=entries)


# -- the table -------------------------------------------------------------------------------------------------------------


def _float(expr: Basic) -> Expr:
    if not expr.is_finite:
        return Const("inf") if expr.is_positive else scaled(-1, Const("inf"))
    return Num(Fraction(repr(float(expr))))


def _plain(op: str) -> Callable[[SympyReader, Basic, Scope], Expr]:
    return lambda run, expr, at: fn(op, tuple(run.all(expr.args, at)))


def _of(formula: Callable[[Expr], Expr]) -> Callable[[SympyReader, Basic, Scope], Expr]:
    return lambda run, expr, at: formula(run.read(expr.args[0], at))


def _folded(op: str) -> Callable[[SympyReader, Basic, Scope], Expr]:
    def rule(run: SympyReader, expr: Basic, at: Scope) -> Expr:
        first, *rest = run.all(expr.args, at)
        if op == "maximum" and len(rest) == 1 and ZERO_EXPR in (first, *rest):
            return fn("relu", (rest[0] if first == ZERO_EXPR else first,))
        for other in rest:
            first = fn(op, (first, other))
        return first

    return rule


def _heaviside(run: SympyReader, expr: Basic, at: Scope) -> Expr:
    x, at_zero = run.all(expr.args, at)
    if at_zero == ZERO_EXPR:
        return fn("step", (x,))
    return fn("where", (fn("equal", (x, ZERO_EXPR)), at_zero, fn("step", (x,))))


def _inverse(op: str) -> Callable[[SympyReader, Basic, Scope], Expr]:
    return _of(lambda x: power(fn(op, (x,)), num(-1)))


def _either(run: SympyReader, expr: Basic, at: Scope) -> Expr:
    return inverse.less(ONE_EXPR, mul([inverse.less(ONE_EXPR, c) for c in run.all(expr.args, at)]))


_RELATIONS = {"Gt": "greater", "Lt": "less", "Ge": "greater_equal", "Le": "less_equal", "Eq": "equal", "Ne": "not_equal"}

_RULES: dict[type, Callable[[SympyReader, Basic, Scope], Expr]] = {
    sympy.Rational: lambda run, expr, at: Num(Fraction(int(expr.p), int(expr.q))),
    sympy.Float: lambda run, expr, at: _float(expr),
    type(sympy.oo): lambda run, expr, at: Const("inf"),
    type(-sympy.oo): lambda run, expr, at: scaled(-1, Const("inf")),
    type(sympy.pi): lambda run, expr, at: Const("pi"),
    type(sympy.E): lambda run, expr, at: fn("exp", (ONE_EXPR,)),
    sympy.NumberSymbol: lambda run, expr, at: _float(expr.evalf(20)),
    sympy.Symbol: SympyReader.symbol,
    sympy.Idx: lambda run, expr, at: run.symbol(expr, at) if expr in at else run.read(expr.label, at),
    sympy.Indexed: SympyReader.entry,
    MatrixElement: SympyReader.entry,
    sympy.Add: lambda run, expr, at: add(run.all(expr.args, at)),
    sympy.Mul: SympyReader.factors,
    sympy.Pow: lambda run, expr, at: power(run.read(expr.base, at), run.read(expr.exp, at)),
    sympy.Sum: SympyReader.total,
    sympy.Product: SympyReader.product,
    sympy.KroneckerDelta: SympyReader.delta,
    sympy.Piecewise: SympyReader.pieces,
    **{
        getattr(sympy, op): _plain(op)
        for op in ("exp", "log", "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc")
    },
    sympy.Abs: _plain("abs"),
    sympy.atan: _plain("arctan"),
    sympy.Heaviside: _heaviside,
    sympy.DiracDelta: lambda run, expr, at: ZERO_EXPR,  # 0 but at its point, as the slope of a step is
    sympy.Max: _folded("maximum"),
    sympy.Min: _folded("minimum"),
    sympy.sec: _inverse("cos"),
    sympy.csc: _inverse("sin"),
    sympy.cot: _inverse("tan"),
    sympy.sech: _inverse("cosh"),
    sympy.csch: _inverse("sinh"),
    sympy.coth: _inverse("tanh"),
    sympy.asin: _of(inverse.asin),
    sympy.acos: _of(inverse.acos),
    sympy.asinh: _of(inverse.asinh),
    sympy.acosh: _of(inverse.acosh),
    sympy.atanh: _of(inverse.atanh),
    sympy.sinc: _of(inverse.sinc),
    **{getattr(sympy, word): _plain(op) for word, op in _RELATIONS.items()},
    type(sympy.true): lambda run, expr, at: ONE_EXPR,
    type(sympy.false): lambda run, expr, at: ZERO_EXPR,
    sympy.And: lambda run, expr, at: mul(run.all(expr.args, at)),
    sympy.Or: _either,
    sympy.Not: _of(lambda c: inverse.less(ONE_EXPR, c)),
    sympy.ITE: lambda run, expr, at: fn("where", tuple(run.all(expr.args, at))),
}


def is_condition(expr: Basic) -> bool:
    """Return whether an expression is true or false rather than a number."""
    return isinstance(expr, Boolean) and not isinstance(expr, sympy.Symbol)
