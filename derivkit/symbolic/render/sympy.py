"""Results for SymPy users: the same entries as a SymPy expression at symbolic sizes.

Names become ``IndexedBase`` with their shapes (scalars become symbols), sizes positive integer symbols, Σ and ∏ SymPy's own,
δ ``KroneckerDelta``.  What SymPy has no word for is written out by the formula of its row, so that nothing is opaque: a
result can be evaluated, and differentiated away from kinks.  A condition is a factor that is 0 or 1, made of ``Heaviside``
with its value at 0 given: SymPy moves a ``Piecewise`` out of the sum that binds its index, which is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy

from derivkit import limits
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.layout import axis_order, read_layout
from derivkit.symbolic.derive.differentiate import row_bindings
from derivkit.symbolic.derive.rows import Bindings, read_row
from derivkit.symbolic.elementary import is_indicator
from derivkit.symbolic.expr import (
    Add,
    Const,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    freshen,
)
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Affine, FloorDiv, Index, Size
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES
from derivkit.symbolic.ranges import is_within
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.steps import Derivation, Result

Basic = Any  # SymPy has no types: Expr, Boolean and Indexed alike

#: Operations that SymPy has under a name of its own; the others are written by the formulas of their rows.
_FUNCTIONS: dict[str, Callable[..., Basic]] = {
    **{op: getattr(sympy, op) for op in ("exp", "log", "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc")},
    "abs": sympy.Abs,
    "arctan": sympy.atan,
}

#: Conditions as numbers, 0 or 1.
_TESTS: dict[str, Callable[..., Basic]] = {
    "greater": lambda a, b: _beyond(a - b, 0),
    "less": lambda a, b: _beyond(b - a, 0),
    "greater_equal": lambda a, b: _beyond(a - b, 1),
    "less_equal": lambda a, b: _beyond(b - a, 1),
    "equal": lambda a, b: 1 - sympy.sign(a - b) ** 2,
    "not_equal": lambda a, b: sympy.sign(a - b) ** 2,
    "step": lambda a: _beyond(a, 0),
}
_ASSUMED: dict[str, dict[str, bool]] = {
    "label": {"integer": True, "nonnegative": True},
    "positive": {"positive": True},
}


def to_sympy(
    derivation: Derivation,
    wrt: str | None = None,
    *,
    indices: tuple[Any, ...] | None = None,
    expand: bool = False,
    layout: str | None = None,
) -> Basic:
    r"""Return an entry of a result as a SymPy expression; without a name, of the one result.

    The axes are those of ``result.shape``; ``indices`` says where each is read: integers or SymPy expressions.  Without it
    they are integer symbols named by the letters that index notation prints.  The program's lines stay names (``h[j]``);
    with ``expand=True`` only inputs are left.

    Raises :class:`DerivkitError`: DK008 (no such result), DK010 (another number of indices), DK018 (too long written out).

    >>> from derivkit.symbolic.derive import derive
    >>> d = derive("x: D\nE = sum(x**2)", "x", check=False)
    >>> to_sympy(d), to_sympy(d, indices=(0,))
    (2*x[i], 2*x[0])
    """
    result = _chosen(derivation, wrt)
    order = axis_order(read_layout(layout or derivation.layout), len(result.outputs), len(result.inputs))
    natural = (*result.outputs, *result.inputs)
    axes = tuple(natural[n] for n in order)
    writer = _Writer(result.graph, Letters.of(result.graph), _opened(result, expand))
    return writer.run(result.expr, writer.positions(axes, indices))


def _chosen(derivation: Derivation, wrt: str | None) -> Result:
    if wrt is None:
        return derivation.result
    if str(wrt) not in derivation.results:
        known = ", ".join(derivation.results)
        hint = did_you_mean(str(wrt), derivation.results) or f"the results are {known}"
        raise DerivkitError(f"there is no result for '{echo(wrt)}'", code="DK008", hint=hint)
    return derivation.results[str(wrt)]


def _opened(result: Result, expand: bool) -> dict[Name, Definition]:
    """Return the lines that are written out: all that are not the author's own, or with ``expand`` all."""
    lines = {d.name: d for d in (*result.graph, *result.shared)}
    return {name: d for name, d in lines.items() if expand or name.kind != "user"}


def _certain(sub: Affine, size: Size) -> bool:
    """Return whether a subscript is in range for sure: by arithmetic, or since it is a label or an index of that axis."""
    bare = sub.bare
    if bare is not None and bare.size == size:
        return True
    label = not sub.const.terms and len(sub.terms) == 1 and not sub.indices()
    return label or sub.constant is not None or is_within(sub, size)


# -- the writer ------------------------------------------------------------------------------------------------------------


@dataclass
class _Writer:
    """The walk over one expression; a letter is chosen where its index is bound, so that equal sums are equal for SymPy."""

    graph: Graph
    letters: Letters
    opened: Mapping[Name, Definition]
    names: dict[Name, Basic] = field(default_factory=dict)
    done: dict[tuple[Expr, tuple[tuple[Index, str], ...]], Basic] = field(default_factory=dict)

    def positions(self, axes: tuple[Index | None, ...], given: tuple[Any, ...] | None) -> dict[Index, Basic]:
        """Return where each axis is read."""
        if given is None:
            free = [i for i in axes if i is not None]
            self.letters.together(free)
            return {i: sympy.Symbol(self.letters[i], integer=True) for i in free}
        if not isinstance(given, tuple | list):
            raise DerivkitError("indices= has one index for each axis", code="DK010", hint="indices=(0, 1)")
        if len(given) != len(axes):
            raise DerivkitError(f"{len(given)} indices for {len(axes)} axes", code="DK010")
        try:  # strict: no text is ever read
            return {i: sympy.sympify(g, strict=True) for i, g in zip(axes, given, strict=True) if i is not None}
        except sympy.SympifyError:
            raise DerivkitError("an index is an integer or a SymPy expression", code="DK010") from None

    def run(self, expr: Expr, at: dict[Index, Basic]) -> Basic:
        """Return the SymPy expression of ``expr``, its indices standing for ``at``."""
        key = (expr, tuple(sorted(((i, str(s)) for i, s in at.items() if i in expr.free), key=lambda p: p[0].uid)))
        if key not in self.done:
            if len(self.done) > limits.RESULT_NODES:
                message = f"written out, the result has more than {limits.RESULT_NODES} nodes"
                raise DerivkitError(message, code="DK018", hint="evaluate it with d.evaluate(...)")
            self.done[key] = _RULES[type(expr)](self, expr, at)
        return self.done[key]

    def bind(self, bound: tuple[Index, ...], at: dict[Index, Basic]) -> tuple[dict[Index, Basic], list[Basic]]:
        """Return the scope below a binder, and the ranges of its indices as SymPy writes them."""
        taken = {str(s) for value in at.values() for s in value.free_symbols}
        inner, ranges = dict(at), []
        for index in bound:
            letter = self.letters.beyond(index, taken)
            taken.add(letter)
            inner[index] = sympy.Symbol(letter, integer=True)
            ranges.append((inner[index], 0, size_of(index.size) - 1))
        return inner, ranges

    def affine(self, sub: Affine, at: dict[Index, Basic]) -> Basic:
        """Return a subscript."""
        total = size_of(sub.const)
        for atom, coefficient in sub.terms:
            value = at[atom] if isinstance(atom, Index) else self.run(atom, at)  # type: ignore[arg-type]
            total = total + size_of(coefficient) * value
        return total

    def base(self, name: Name) -> Basic:
        """Return the symbol of a scalar, the IndexedBase of an array."""
        if name not in self.names:
            given = self.graph.inputs.get(name) or self.graph.extra.get(name)
            assumed = _ASSUMED.get(given.kind if given is not None else "real", {"real": True})
            symbol = sympy.Symbol(str(name), **assumed)  # a symbol of that name: SymPy never reads it as text
            shape = self.graph.shape(name)
            self.names[name] = sympy.IndexedBase(symbol, shape=tuple(map(size_of, shape))) if shape else symbol
        return self.names[name]

    def reference(self, node: Ref, at: dict[Index, Basic]) -> Basic:
        line = self.opened.get(node.name)
        subs = [self.affine(s, at) for s in node.subs]
        if line is not None:
            entry, shape = self.run(line.at(node.subs, line.best), at), line.shape
        else:
            base, shape = self.base(node.name), self.graph.shape(node.name)
            entry = base[tuple(subs)] if subs else base
        guards = [_within(s, n) for sub, s, n in zip(node.subs, subs, shape, strict=True) if not _certain(sub, n)]
        return sympy.Mul(*guards, entry)

    def function(self, node: Fn, at: dict[Index, Basic]) -> Basic:
        if node.op == "where":
            return self.choice(node, at)
        for table in (_TESTS, _FUNCTIONS):
            if node.op in table:
                return table[node.op](*(self.run(a, at) for a in node.args))
        row = ELEMENTWISE[node.op]
        return self.run(read_row(row.formula, Bindings(scalars=dict(zip(row.parameters, node.args, strict=True)))), at)

    def choice(self, node: Fn, at: dict[Index, Basic]) -> Basic:
        """Return the chosen branch; beside an infinite one, as a mask has it, a factor 0 would give nan."""
        condition, yes, no = (self.run(a, at) for a in node.args)
        chosen = condition if is_indicator(node.args[0]) else sympy.sign(condition) ** 2
        if yes.has(sympy.oo, -sympy.oo) or no.has(sympy.oo, -sympy.oo):
            return sympy.Piecewise((yes, sympy.StrictGreaterThan(chosen, 0, evaluate=False)), (no, True), evaluate=False)
        return chosen * yes + (1 - chosen) * no

    def sum(self, node: Sum, at: dict[Index, Basic]) -> Basic:
        inner, ranges = self.bind(node.indices, at)
        return sympy.Sum(self.run(node.body, inner), *ranges[::-1])  # SymPy's first range is the innermost

    def primitive(self, node: Prim, at: dict[Index, Basic]) -> Basic:
        if node.op in _WHOLE:
            return _WHOLE[node.op](self, node, at)
        row = PRIMITIVES[node.op]
        if not row.formula:
            raise DerivkitError(f"SymPy has no form of '{node.op}'", code="DK032", hint="evaluate it with d.evaluate(...)")
        return self.run(read_row(row.formula, row_bindings(row, node, None, ())), at)


def size_of(size: Size) -> Basic:
    """Return a size as a polynomial of positive integer symbols.

    >>> size_of(Size.of("L") * 2 + 1)
    2*L + 1
    """
    total = sympy.Integer(0)
    for monomial, coefficient in size.terms:
        total += sympy.Mul(coefficient, *map(_atom, monomial))
    return total


def _atom(atom: str | FloorDiv) -> Basic:
    if isinstance(atom, FloorDiv):
        return sympy.floor(size_of(atom.numerator) / size_of(atom.denominator))
    return sympy.Symbol(atom, integer=True, positive=True)


def _beyond(value: Basic, at_zero: int) -> Basic:
    """Return 1 above 0; unevaluated, since deciding whether a Σ is positive takes SymPy seconds."""
    return sympy.Heaviside(value, at_zero, evaluate=bool(value.is_number))


def _within(sub: Basic, size: Size) -> Basic:
    return _beyond(sub, 1) * _beyond(size_of(size) - 1 - sub, 1)


# -- primitives without a formula in the table ------------------------------------------------------------------------------


def _product(run: _Writer, node: Prim, at: dict[Index, Basic]) -> Basic:
    inner, ranges = run.bind(node.bound, at)
    return sympy.Product(run.run(node.args[0], inner), *ranges[::-1])


def _others(run: _Writer, node: Prim, at: dict[Index, Basic]) -> Basic:
    """Return the product of the other entries."""
    inner, ranges = run.bind(node.bound, at)
    here = [run.affine(s, at) for s in node.at]
    same = sympy.Mul(*(sympy.KroneckerDelta(inner[i], h) for i, h in zip(node.bound, here, strict=True)))
    entry = run.run(node.args[0], inner)
    return sympy.Product(entry * (1 - same) + same, *ranges[::-1])


def _first(run: _Writer, node: Prim, at: dict[Index, Basic], places: tuple[Affine, ...], sign: int = 1) -> Basic:
    """Return 1 where no entry is larger and none before it as large, else 0: a product of conditions."""
    own = tuple(i.fresh() for i in node.bound)
    inner, ranges = run.bind(own, at)
    here = sign * run.run(freshen(node.args[0], dict(zip(node.bound, places, strict=True))), at)
    entry = freshen(node.args[0], {b: Affine.of(o) for b, o in zip(node.bound, own, strict=True)})
    other = sign * run.run(entry, inner)
    behind = run.affine(_position(tuple(map(Affine.of, own)), own) - _position(places, own), {**at, **inner})
    return sympy.Product(_beyond(here - other, 0) + (1 - sympy.sign(here - other) ** 2) * _beyond(behind, 1), *ranges[::-1])


def _position(places: tuple[Affine, ...], bound: tuple[Index, ...]) -> Affine:
    """Return the place in row-major order."""
    total = Affine.of(0)
    for place, index in zip(places, bound, strict=True):
        total = total.scaled(index.size) + place
    return total


def _selected(run: _Writer, node: Prim, at: dict[Index, Basic], sign: int, position: bool = False) -> Basic:
    """Return Σ of the entries (or their positions) times 1 at the first largest one."""
    inner, ranges = run.bind(node.bound, at)
    places = tuple(map(Affine.of, node.bound))
    entry = run.affine(_position(places, node.bound), inner) if position else run.run(node.args[0], inner)
    return sympy.Sum(entry * _first(run, node, inner, places, sign), *ranges[::-1])


def _matrix(run: _Writer, node: Prim, at: dict[Index, Basic]) -> Basic:
    """Return the matrix of the argument, a function of its row and column."""
    inner, ranges = run.bind(node.bound, at)
    rows, columns = (r[2] + 1 for r in ranges)
    entry = sympy.Lambda(tuple(inner[i] for i in node.bound), run.run(node.args[0], inner))
    return sympy.FunctionMatrix(rows, columns, entry)


def _inverse(run: _Writer, node: Prim, at: dict[Index, Basic]) -> Basic:
    row, column = (run.affine(s, at) for s in node.at)
    return sympy.Inverse(_matrix(run, node, at))[row, column]


def _solution(run: _Writer, node: Prim, at: dict[Index, Basic]) -> Basic:
    inner, ranges = run.bind(node.bound[:1], at)
    (column,) = (inner[i] for i in node.bound[:1])
    inverse = sympy.Inverse(_matrix(run, node, at))[run.affine(node.at[0], at), column]
    return sympy.Sum(inverse * run.run(node.args[1], inner), *ranges)


_WHOLE: dict[str, Callable[[_Writer, Prim, dict[Index, Basic]], Basic]] = {
    "prod": _product,
    "prod_except": _others,
    "first_max": lambda run, node, at: _first(run, node, at, node.at),
    "max": lambda run, node, at: _selected(run, node, at, 1),
    "min": lambda run, node, at: _selected(run, node, at, -1),
    "argmax": lambda run, node, at: _selected(run, node, at, 1, position=True),
    "inv": _inverse,
    "solve": _solution,
    "det": lambda run, node, at: sympy.Determinant(_matrix(run, node, at)),
    "logdet": lambda run, node, at: sympy.log(sympy.Abs(sympy.Determinant(_matrix(run, node, at)))),
}

_RULES: dict[type, Callable[[_Writer, Any, dict[Index, Basic]], Basic]] = {
    Num: lambda run, node, at: sympy.Rational(node.value.numerator, node.value.denominator),
    Const: lambda run, node, at: {"pi": sympy.pi, "inf": sympy.oo}[node.name],
    SizeOf: lambda run, node, at: size_of(node.size),
    Ref: _Writer.reference,
    Add: lambda run, node, at: sympy.Add(*(run.run(a, at) for a in node.args)),
    Mul: lambda run, node, at: sympy.Mul(*(run.run(a, at) for a in node.args)),
    Pow: lambda run, node, at: sympy.Pow(run.run(node.base, at), run.run(node.exponent, at)),
    Fn: _Writer.function,
    Sum: _Writer.sum,
    Delta: lambda run, node, at: sympy.KroneckerDelta(run.affine(node.left, at), run.affine(node.right, at)),
    Inside: lambda run, node, at: _within(run.affine(node.subscript, at), node.size),
    Prim: _Writer.primitive,
}
