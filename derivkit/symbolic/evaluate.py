"""Reference evaluation with NumPy: what an expression of index notation means, and never clever.

Everything that derivkit prints is held against this module, so it knows nothing of derivatives, facts or normal forms.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from derivkit.errors import DerivkitError, echo
from derivkit.symbolic import ops_values
from derivkit.symbolic.expr import Add, Const, Delta, Expr, Fn, Inside, Mul, Name, Num, Pow, Prim, Ref, SizeOf, Sum
from derivkit.symbolic.given import check_labels, fix_sizes, inputs_of
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import factors_of, terms_of
from derivkit.symbolic.ops import COMPARISONS, ELEMENTWISE, FUNCTIONS
from derivkit.symbolic.ops_matrix import MATRIX
from derivkit.symbolic.ops_values import Array, Numbers, integers
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.statements import parse_program
from derivkit.symbolic.plans import plan_of

_SMALL_POWER = 64
_EINSUM_LETTERS = 50
_EINSUM_WORK = 20_000  # below, looking for the best order costs more than it saves

#: A value with a name for each of its axes.
Labelled = tuple[tuple[Index, ...], Array]


def evaluate_expr(expr: Expr, env: Mapping[Name, Array], sizes: Mapping[str, int], order: tuple[Index | None, ...]) -> Array:
    """Return the array of ``expr``, one axis for each of ``order``; ``None`` is an axis of length 1.

    An index of ``order`` on which ``expr`` does not depend gives an axis of equal entries.  The result has the precision of
    the arrays in ``env``; complex arrays carry a complex step through every operation; object arrays hold mpmath numbers.

    >>> from derivkit.symbolic.expr import bare, user
    >>> n = Index("n", Size.of("N"))
    >>> x = Ref(user("x"), (bare(n),))
    >>> float(evaluate_expr(Sum((n,), Mul((x, x))), {user("x"): np.array([1.0, 2.0])}, {"N": 2}, ()))
    5.0
    """
    return Evaluation(env, sizes).array(expr, order)


def evaluate_graph(
    graph: Graph, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None, *, best: bool = False
) -> dict[Name, Array]:
    """Return the value of every input and every definition; with ``best`` by the textbook forms, which use declared facts.

    ``values`` are the inputs by name.  DK041 when one is missing, DK008 for a name that the program does not have, DK012 or
    DK040 when the shapes contradict the declarations.
    """
    arrays = {name: ops_values.array(name, value) for name, value in values.items()}
    fixed = fix_sizes(graph, arrays, sizes or {})
    env = {inputs_of(graph)[name].name: array for name, array in arrays.items()}
    for name, declared in graph.inputs.items():
        if name not in env:
            raise DerivkitError(f"no value for '{echo(name)}'", code="DK041", hint=f"give {echo(name)}=...")
        if declared.kind == "label":
            check_labels(declared, env[name], fixed)
    run = Evaluation(env, fixed)  # inputs alone decide the number system
    for definition in graph:
        if empty := [str(s) for s in definition.shape if s.evaluate(fixed) < 1]:
            raise DerivkitError(f"'{definition.name}' has no entries: its size {empty[0]} is below 1", code="DK020")
        env[definition.name] = run.array(definition.best if best else definition.rhs, definition.indices)
    return env


class Evaluation:
    """The evaluation of expressions at one point; every node once, however often it is used, and without recursion."""

    def __init__(self, env: Mapping[Name, Array], sizes: Mapping[str, int]) -> None:
        """Take the values of the names (more may come later) and of the sizes."""
        self.env = env
        self.sizes = sizes
        self.numbers = Numbers.of(env.values())
        self.order: dict[Index, int] = {}
        self._reads: dict[Expr, Labelled] = {}
        self._axes: dict[frozenset[Index], tuple[Index, ...]] = {}
        self._lengths: dict[Index, int] = {}

    def length(self, index: Index) -> int:
        """Return how many positions an index has."""
        if index not in self._lengths:
            self._lengths[index] = index.size.evaluate(self.sizes)
        return self._lengths[index]

    def number(self, node: Num | SizeOf) -> Labelled:
        """Return a number at full precision, made once."""
        if node not in self._reads:
            value = node.value if isinstance(node, Num) else node.size.evaluate(self.sizes)
            self._reads[node] = (), self.numbers.rational(value)
        return self._reads[node]

    def reference(self, node: Ref) -> Labelled:
        """Return the entries that ``node`` reads; lines read the same ones again and again."""
        if node in self._reads:
            return self._reads[node]
        if node.name not in self.env:
            raise DerivkitError(f"no value for '{echo(node.name)}'", code="DK041")
        axes, value = self.read(self.env[node.name], node.subs)
        made = axes, self.numbers.cast(value)
        if value.size <= _KEPT_ENTRIES:
            self._reads[node] = made
        return made

    def array(self, expr: Expr, order: tuple[Index | None, ...]) -> Array:
        """Return the array of ``expr``, as :func:`evaluate_expr` does."""
        with np.errstate(all="ignore"):
            axes, value = self.run(expr)
        kept = tuple(i for i in order if i is not None)
        stray = [i.hint for i in axes if i not in kept]
        if stray:
            raise DerivkitError(f"index '{stray[0]}' of the expression is no axis of the result", code="DK019")
        lengths = tuple(1 if i is None else self.length(i) for i in order)
        if axes == order and value.shape == lengths:
            return np.array(value)
        own = tuple(n if i in axes else 1 for i, n in zip(order, lengths, strict=True))
        return np.array(np.broadcast_to(_align((axes, value), kept).reshape(own), lengths))

    def run(self, expr: Expr) -> Labelled:
        """Return the value of ``expr``; a value is let go after its last use."""
        values: dict[int, Labelled] = {}
        plan = plan_of(expr)
        for n, (node, operands, done) in enumerate(plan):
            values[n] = _RULES[type(node)](self, node, [values[o] for o in operands])
            for operand in done:
                del values[operand]
        return values[len(plan) - 1]

    def axes(self, free: frozenset[Index]) -> tuple[Index, ...]:
        """Return indices in the one order that every value of this evaluation keeps."""
        if len(free) < 2:
            return tuple(free)
        if free in self._axes:
            return self._axes[free]
        for index in sorted(free.difference(self.order), key=lambda i: i.uid):
            self.order[index] = len(self.order)
        self._axes[free] = tuple(sorted(free, key=self.order.__getitem__))
        return self._axes[free]

    def positions(self, sub: Affine) -> Labelled:
        """Return the integers that a subscript takes, over its free indices."""
        axes = self.axes(sub.free)
        total = np.full((1,) * len(axes), sub.const.evaluate(self.sizes), dtype=np.int64)
        for atom, coefficient in sub.terms:
            if isinstance(atom, Index):
                part = _align(((atom,), np.arange(self.length(atom))), axes)
            else:
                # an integer-valued reference
                part = integers(_align(self.read(self.env[atom.name], atom.subs), axes))  # type: ignore[attr-defined]
            total = total + part * coefficient.evaluate(self.sizes)
        return axes, total

    def read(self, array: Array, subs: tuple[Affine, ...]) -> Labelled:
        """Return the entries of ``array`` at ``subs``; out of range they are 0."""
        bare = tuple(s.bare for s in subs)
        kept = tuple(b for b in bare if b is not None)
        plain = len(set(kept)) == len(kept) and all(b is not None or s.constant == _ZERO for b, s in zip(bare, subs, strict=True))
        if plain and array.shape == tuple(1 if b is None else self.length(b) for b in bare):
            axes = self.axes(frozenset(kept))  # the whole array, its axes in some order
            return axes, _align((kept, array.reshape(tuple(n for b, n in zip(bare, array.shape, strict=True) if b))), axes)
        free: frozenset[Index] = frozenset().union(*(s.free for s in subs))
        axes = self.axes(free)
        valid: Any = True
        where = []
        for sub, length in zip(subs, array.shape, strict=True):
            at = _align(self.positions(sub), axes)
            valid = valid & (at >= 0) & (at < length)
            where.append(np.clip(at, 0, length - 1))
        entries = array[tuple(where)] if where else array
        return axes, entries if np.all(valid) else np.where(valid, entries, np.zeros_like(entries))


_ZERO = Size.of(0)
_KEPT_ENTRIES = 10_000  # larger arrays are read anew


def _align(value: Labelled, axes: tuple[Index, ...]) -> Array:
    """Return the array with exactly ``axes``, of length 1 where it has none of them."""
    own, array = value
    if own == axes:
        return array
    order, places = _turn(own, axes)
    return array.transpose(order)[places] if len(own) > 1 else array[places]


@lru_cache(maxsize=1024)
def _turn(own: tuple[Index, ...], axes: tuple[Index, ...]) -> tuple[tuple[int, ...], tuple[slice | None, ...]]:
    """Return the order in which an array's axes follow ``axes``, and what makes an axis of length 1 of each that it lacks."""
    order = tuple(sorted(range(len(own)), key=lambda n: axes.index(own[n])))
    return order, tuple(slice(None) if i in own else None for i in axes)


def _broadcast(run: Evaluation, operands: list[Labelled], apply: Callable[..., Array]) -> Labelled:
    axes = operands[0][0]
    if any(a != axes for a, _ in operands):
        axes = run.axes(frozenset().union(*[a for a, _ in operands]))
    return axes, run.numbers.cast(np.asarray(apply(*[_align(o, axes) for o in operands])))


_BRACKETS = (Inside, Delta)


def _bracketed(run: Evaluation, factors: Sequence[Expr], operands: list[Labelled]) -> list[Labelled]:
    """Return the operands of a product, 0 where a range or a δ among them is 0 and they have no value.

    Such a bracket is strongly zero (Knuth, Two notes on notation, 1992): [0 ≤ i−1 < N] / x[i−1] is the padded 1/x, not 0/0.
    """
    brackets = [o for f, o in zip(factors, operands, strict=True) if isinstance(f, _BRACKETS)]
    if not brackets:
        return operands
    made = []
    for axes, value in operands:
        if value.dtype != object and not np.all(np.isfinite(value)):
            everything = run.axes(frozenset(axes).union(*(a for a, _ in brackets)))
            holds = reduce(operator.and_, (_align(b, everything) != 0 for b in brackets))
            axes, value = everything, np.where(holds, _align((axes, value), everything), np.zeros((), value.dtype))
        made.append((axes, value))
    return made


def _power(run: Evaluation, node: Pow, operands: list[Labelled]) -> Labelled:
    value = node.exponent.value if isinstance(node.exponent, Num) else None
    if value is not None and value.denominator == 1 and abs(value.numerator) <= _SMALL_POWER:
        n = value.numerator
        return _broadcast(run, operands[:1], lambda x: ops_values.integer_power(x, n))
    return _broadcast(run, operands, ops_values.power)


def apply_op(run: Evaluation, op: str, args: tuple[Array, ...]) -> Array:
    """Return an elementwise operation by its entry in the tables of values, else by the formula of its row."""
    system = ops_values.OBJECT if run.numbers.dtype == object else ops_values.NUMERIC
    for table in (ops_values.DECISIONS, ops_values.CHOICES, system):
        if op in table:
            return np.asarray(table[op](*args))
    row = ELEMENTWISE.get(op)
    if row is None or not row.formula:
        raise DerivkitError(f"no value for the operation '{echo(op)}'", code="DK009")
    return _formula(run, _tree(row.formula), dict(zip(row.parameters, args, strict=True)))


@lru_cache(maxsize=256)
def _tree(formula: str) -> syntax.Expression:
    return parse_program(f"y = {formula}", FUNCTIONS).statements[0].value  # type: ignore[union-attr]


def _formula(run: Evaluation, node: syntax.Expression, names: Mapping[str, Array]) -> Array:
    if isinstance(node, syntax.Number):
        return run.numbers.rational(node.value)
    if isinstance(node, syntax.Name):
        return names[node.id] if node.id in names else run.numbers.constant(node.id)
    if isinstance(node, syntax.Unary):
        value = _formula(run, node.operand, names)
        return np.asarray(-value) if node.op == "-" else value
    if isinstance(node, syntax.Binary | syntax.Compare):
        left, right = _formula(run, node.left, names), _formula(run, node.right, names)
        if isinstance(node, syntax.Compare):
            return run.numbers.cast(ops_values.DECISIONS[COMPARISONS[node.op]](left, right))
        if node.op == "**" and isinstance(node.right, syntax.Number) and node.right.value.denominator == 1:
            return ops_values.integer_power(left, node.right.value.numerator)
        return np.asarray(_ARITHMETIC[node.op](left, right))
    if not isinstance(node, syntax.Call):
        raise DerivkitError(f"the formula of an elementwise row cannot hold a {type(node).__name__}", code="DK007")
    args = tuple(_formula(run, a, names) for a in node.args)
    if node.function == "sqrt":
        return ops_values.power(args[0], np.asarray(0.5))
    return run.numbers.cast(np.asarray(apply_op(run, node.function, args)))


_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": ops_values.power}


def _total(run: Evaluation, node: Sum, operands: list[Labelled]) -> Labelled:
    axes = run.axes(node.free)
    total: Any = None
    rest = iter(operands)
    for term in terms_of(node.body):
        factors = factors_of(term)
        part = _sum_product(run, node.indices, _bracketed(run, factors, [next(rest) for _ in factors]))
        aligned = _align(part, axes)
        total = aligned if total is None else total + aligned
    lengths = tuple([run.length(i) for i in axes])
    return axes, np.broadcast_to(total, lengths) if total.shape != lengths else total


def _sum_product(run: Evaluation, bound: tuple[Index, ...], factors: list[Labelled]) -> Labelled:
    """Return Σ over ``bound`` of a product; a bound index that no factor has counts its size."""
    present = run.axes(frozenset().union(*(a for a, _ in factors)))
    kept = tuple(i for i in present if i not in bound)
    copies = math.prod([run.length(i) for i in bound if i not in present])
    if any(v.dtype.kind == "O" for _, v in factors) or len(present) > _EINSUM_LETTERS:
        product = _align(factors[0], present)
        for factor in factors[1:]:
            product = product * _align(factor, present)
        value = np.sum(product, axis=tuple(n for n, i in enumerate(present) if i in bound))
    else:
        letter = {i: n for n, i in enumerate(present)}
        operands: list[Any] = []
        for own, array in factors:
            operands += [array, [letter[i] for i in own]]
        work = math.prod([run.length(i) for i in present])
        value = np.einsum(*operands, [letter[i] for i in kept], optimize=work > _EINSUM_WORK)
    return kept, np.asarray(value * run.numbers.rational(copies) if copies != 1 else value)


def _primitive(run: Evaluation, node: Prim, operands: list[Labelled]) -> Labelled:
    if node.op in MATRIX:
        return _matrix(run, node, operands)
    own = operands[0]
    batch = tuple(i for i in own[0] if i not in node.bound)
    lengths = tuple(run.length(i) for i in node.bound)
    array = _align(own, (*batch, *node.bound))
    array = np.broadcast_to(array, (*array.shape[: len(batch)], *lengths))
    flat = array.reshape((*array.shape[: len(batch)], -1))
    if node.op in ops_values.REDUCING:
        return batch, run.numbers.cast(np.asarray(ops_values.REDUCING[node.op](flat)))
    if node.op not in ops_values.ENTRYWISE:
        raise DerivkitError(f"no value for the operation '{echo(node.op)}'", code="DK009")
    result = run.numbers.cast(ops_values.ENTRYWISE[node.op](flat)).reshape(array.shape)
    return run.read(result, (*(Affine.of(i) for i in batch), *node.at))


def _matrix(run: Evaluation, node: Prim, operands: list[Labelled]) -> Labelled:
    """Return an operation on matrices: they bind a row and a column, a right-hand side its row alone."""
    free = frozenset().union(*(axes for axes, _ in operands))
    batch = run.axes(free.difference(node.bound))
    lengths = tuple(run.length(i) for i in node.bound)
    args = []
    for operand, count in zip(operands, (2, 1), strict=False):
        array = _align(operand, (*batch, *node.bound[:count]))
        args.append(np.broadcast_to(array, (*array.shape[: len(batch)], *lengths[:count])))
    return run.read(MATRIX[node.op](*args), (*(Affine.of(i) for i in batch), *node.at))


def _delta(run: Evaluation, node: Delta, _: list[Labelled]) -> Labelled:
    left, right = run.positions(node.left), run.positions(node.right)
    return _broadcast(run, [left, right], lambda a, b: a == b)


def _inside(run: Evaluation, node: Inside, _: list[Labelled]) -> Labelled:
    size = node.size.evaluate(run.sizes)
    return _broadcast(run, [run.positions(node.subscript)], lambda at: (at >= 0) & (at < size))


_RULES: dict[type, Callable[[Evaluation, Any, list[Labelled]], Labelled]] = {
    Num: lambda run, node, _: run.number(node),
    Const: lambda run, node, _: ((), run.numbers.constant(node.name)),
    SizeOf: lambda run, node, _: run.number(node),
    Ref: lambda run, node, _: run.reference(node),
    Add: lambda run, node, operands: _broadcast(run, operands, lambda *args: reduce(operator.add, args)),
    Mul: lambda run, node, operands: _broadcast(
        run, _bracketed(run, node.args, operands), lambda *args: reduce(operator.mul, args)
    ),
    Pow: _power,
    Fn: lambda run, node, operands: _broadcast(run, operands, lambda *args: apply_op(run, node.op, args)),
    Sum: _total,
    Delta: _delta,
    Inside: _inside,
    Prim: _primitive,
}
