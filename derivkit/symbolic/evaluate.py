"""Reference evaluation with NumPy: what an expression of index notation means, and never clever.

Everything that derivkit prints is held against this module, so it knows nothing of derivatives, facts or normal forms.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic import ops_values
from derivkit.symbolic.expr import Add, Const, Delta, Expr, Fn, Inside, Mul, Name, Num, Pow, Prim, Ref, SizeOf, Sum
from derivkit.symbolic.graph import Graph, Input
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import factors_of, terms_of
from derivkit.symbolic.ops import COMPARISONS, ELEMENTWISE, FUNCTIONS
from derivkit.symbolic.ops_values import Array, Numbers, integers
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.statements import parse_program

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
    with np.errstate(all="ignore"):
        axes, value = _Evaluation(env, sizes).run(expr)
    kept = tuple(i for i in order if i is not None)
    stray = [i.hint for i in axes if i not in kept]
    if stray:
        raise DerivkitError(f"index '{stray[0]}' of the expression is no axis of the result", code="DK019")
    lengths = tuple(1 if i is None else i.size.evaluate(sizes) for i in order)
    own = tuple(n if i in axes else 1 for i, n in zip(order, lengths, strict=True))
    return np.array(np.broadcast_to(_align((axes, value), kept).reshape(own), lengths))


def evaluate_graph(
    graph: Graph, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None, *, best: bool = False
) -> dict[Name, Array]:
    """Return the value of every input and every definition; with ``best`` by the textbook forms, which use declared facts.

    ``values`` are the inputs by name.  DK041 when one is missing, DK008 for a name that the program does not have, DK012 or
    DK040 when the shapes contradict the declarations.
    """
    arrays = {name: ops_values.array(name, value) for name, value in values.items()}
    fixed = fix_sizes(graph, arrays, sizes or {})
    env = {_inputs(graph)[name].name: array for name, array in arrays.items()}
    for name, declared in graph.inputs.items():
        if name not in env:
            raise DerivkitError(f"no value for '{echo(name)}'", code="DK041", hint=f"give {echo(name)}=...")
        if declared.kind == "label":
            _check_labels(declared, env[name], fixed)
    for definition in graph:
        if empty := [str(s) for s in definition.shape if s.evaluate(fixed) < 1]:
            raise DerivkitError(f"'{definition.name}' has no entries: its size {empty[0]} is below 1", code="DK020")
        env[definition.name] = evaluate_expr(definition.best if best else definition.rhs, env, fixed, definition.indices)
    return env


def fix_sizes(graph: Graph, values: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return every size of the program, solved from the arrays' shapes and the ``sizes`` given.

    DK012 when two places give a size different values (both are named), DK040 when an array has the wrong number of axes or
    no numbers, DK041 when nothing fixes a size.
    """
    known = _inputs(graph)
    found: dict[str, tuple[int, str]] = {n: (int(v), f"sizes gives {n} = {v}") for n, v in sizes.items()}
    axes: list[tuple[Size, int, str]] = []
    for name, value in values.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"the inputs are {', '.join(known)}"
            raise DerivkitError(f"'{echo(name)}' is no input of this program", code="DK008", hint=hint)
        axes += _lengths(known[name], np.asarray(value))
    for size, length, place in axes:
        if size.name is not None:
            _fix(found, size.name, length, place)
    while sum(_solve_one(found, *axis) for axis in axes):  # a sum, not any(): each axis gets its turn
        pass
    plain = {n: v for n, (v, _) in found.items()}
    for size, length, place in axes:
        missing = [n for n in size.names() if n not in plain]
        if not missing and size.evaluate(plain) != length:
            reasons = "; ".join(dict.fromkeys(found[n][1] for n in size.names()))
            wanted = f"{place} must be {size} = {size.evaluate(plain)}, not {length}"
            raise DerivkitError(wanted, code="DK012", hint=reasons or None)
    shapes = [*(i.shape for i in graph.inputs.values()), *(d.shape for d in graph)]
    for needed in dict.fromkeys(n for shape in shapes for size in shape for n in size.names()):
        if needed not in plain:
            hint = f"give sizes={{'{needed}': ...}}"
            raise DerivkitError(f"size '{echo(needed)}' is not fixed by any input", code="DK041", hint=hint)
    return plain


def _inputs(graph: Graph) -> dict[str, Input]:
    return {str(name): i for name, i in (*graph.extra.items(), *graph.inputs.items())}


def _lengths(declared: Input, array: Array) -> Iterator[tuple[Size, int, str]]:
    name = echo(declared.name)
    if array.dtype.kind not in "fciubO":
        raise DerivkitError(f"'{name}' holds no numbers ({array.dtype})", code="DK040")
    if array.ndim != len(declared.shape):
        shape = ", ".join(map(str, declared.shape)) or "a scalar"
        raise DerivkitError(f"'{name}' has shape {array.shape}, declared was {shape}", code="DK040")
    for n, (size, length) in enumerate(zip(declared.shape, array.shape, strict=True)):
        if length == 0:
            raise DerivkitError(f"axis {n} of '{name}' is empty", code="DK020", hint="sizes start at 1")
        yield size, length, f"axis {n} of '{name}'"


def _fix(found: dict[str, tuple[int, str]], name: str, value: int, place: str) -> None:
    reason = f"{place} gives {name} = {value}"
    before = found.setdefault(name, (value, reason))
    if before[0] != value:
        raise DerivkitError(f"size '{echo(name)}' is both {before[0]} and {value}", code="DK012", hint=f"{before[1]}, {reason}")


def _solve_one(found: dict[str, tuple[int, str]], size: Size, length: int, place: str) -> bool:
    """Solve ``size = length`` when it has one unknown name, and that linearly; say whether something was learnt."""
    unknown = [n for n in size.names() if n not in found]
    if len(unknown) != 1:
        return False
    name = unknown[0]
    plain = {n: v for n, (v, _) in found.items()}
    if any(m.count(name) > 1 or not all(isinstance(atom, str) for atom in m) for m, _ in size.terms):
        return False
    at0, at1 = size.evaluate({**plain, name: 0}), size.evaluate({**plain, name: 1})
    slope = at1 - at0
    if slope == 0:
        return False
    value, rest = divmod(length - at0, slope)
    if rest or value < 1:
        raise DerivkitError(f"{place} is {length}: no size {echo(name)} makes {size} that long", code="DK012")
    _fix(found, name, value, place)
    return True


def _check_labels(declared: Input, array: Array, sizes: Mapping[str, int]) -> None:
    limit = None if declared.range is None else declared.range.evaluate(sizes)
    numbers = ops_values.real(array)
    if np.any(numbers != integers(array)):
        raise DerivkitError(f"'{echo(declared.name)}' is a label: its values must be integers", code="DK040")
    if limit is not None and np.any((numbers < 0) | (numbers >= limit)):
        raise DerivkitError(f"'{echo(declared.name)}' has a label outside of 0..{limit - 1}", code="DK040")


class _Evaluation:
    """The evaluation of one expression; every node once, however often it is used, and without recursion."""

    def __init__(self, env: Mapping[Name, Array], sizes: Mapping[str, int]) -> None:
        self.env = env
        self.sizes = sizes
        self.numbers = Numbers.of(env.values())
        self.order: dict[Index, int] = {}

    def run(self, expr: Expr) -> Labelled:
        """Return the value of ``expr``; a value is let go after its last use."""
        values: dict[int, Labelled] = {}
        plan = _plan(expr) if expr.nodes <= _PLANNED else _plan.__wrapped__(expr)
        for n, (node, operands, done) in enumerate(plan):
            values[n] = _RULES[type(node)](self, node, [values[o] for o in operands])
            for operand in done:
                del values[operand]
        return values[len(plan) - 1]

    def axes(self, free: frozenset[Index]) -> tuple[Index, ...]:
        """Return indices in the one order that every value of this evaluation keeps."""
        if len(free) < 2:
            return tuple(free)
        for index in sorted(free.difference(self.order), key=lambda i: i.uid):
            self.order[index] = len(self.order)
        return tuple(sorted(free, key=self.order.__getitem__))

    def positions(self, sub: Affine) -> Labelled:
        """Return the integers that a subscript takes, over its free indices."""
        axes = self.axes(sub.free)
        total = np.full((1,) * len(axes), sub.const.evaluate(self.sizes), dtype=np.int64)
        for atom, coefficient in sub.terms:
            if isinstance(atom, Index):
                part = _align(((atom,), np.arange(atom.size.evaluate(self.sizes))), axes)
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
        if plain and array.shape == tuple(1 if b is None else b.size.evaluate(self.sizes) for b in bare):
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
_PLANNED = 1_000  # plans of larger expressions are not kept


@lru_cache(maxsize=1024)
def _plan(expr: Expr) -> tuple[tuple[Expr, tuple[int, ...], tuple[int, ...]], ...]:
    """Return (node, places of its operands, places no longer needed), operands first; every node once, without recursion."""
    place: dict[int, int] = {}
    found: list[tuple[Expr, tuple[int, ...]]] = []
    stack = [(expr, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in place:
            continue
        if ready:
            place[id(node)] = len(found)
            found.append((node, tuple(place[id(o)] for o in _operands(node))))
        else:
            stack.append((node, True))
            stack.extend((o, False) for o in reversed(_operands(node)))
    last = {operand: n for n, (_, operands) in enumerate(found) for operand in operands}
    return tuple((node, ops, tuple(o for o in dict.fromkeys(ops) if last[o] == n)) for n, (node, ops) in enumerate(found))


def _align(value: Labelled, axes: tuple[Index, ...]) -> Array:
    """Return the array with exactly ``axes``, of length 1 where it has none of them."""
    own, array = value
    if own == axes:
        return array
    order = sorted(range(len(own)), key=lambda n: axes.index(own[n]))
    lengths = dict(zip(own, array.shape, strict=True))
    return array.transpose(order).reshape(tuple(lengths.get(i, 1) for i in axes))


def _operands(node: Expr) -> tuple[Expr, ...]:
    if isinstance(node, Sum):  # Σ of a sum of products: the products are never built
        return tuple(f for term in terms_of(node.body) for f in factors_of(term))
    return node.children


def _broadcast(run: _Evaluation, operands: list[Labelled], apply: Callable[..., Array]) -> Labelled:
    axes = run.axes(frozenset().union(*(a for a, _ in operands)))
    return axes, run.numbers.cast(np.asarray(apply(*(_align(o, axes) for o in operands))))


def _power(run: _Evaluation, node: Pow, operands: list[Labelled]) -> Labelled:
    if isinstance(node.exponent, Num) and node.exponent.value.denominator == 1 and abs(node.exponent.value) <= _SMALL_POWER:
        n = node.exponent.value.numerator
        return _broadcast(run, operands[:1], lambda x: ops_values.integer_power(x, n))
    return _broadcast(run, operands, ops_values.power)


def apply_op(run: _Evaluation, op: str, args: tuple[Array, ...]) -> Array:
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


def _formula(run: _Evaluation, node: syntax.Expression, names: Mapping[str, Array]) -> Array:
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


def _total(run: _Evaluation, node: Sum, operands: list[Labelled]) -> Labelled:
    axes = run.axes(node.free)
    total: Any = None
    rest = iter(operands)
    for term in terms_of(node.body):
        part = _sum_product(run, node.indices, [next(rest) for _ in factors_of(term)])
        aligned = _align(part, axes)
        total = aligned if total is None else total + aligned
    lengths = tuple(i.size.evaluate(run.sizes) for i in axes)
    return axes, np.broadcast_to(total, lengths) if total.shape != lengths else total


def _sum_product(run: _Evaluation, bound: tuple[Index, ...], factors: list[Labelled]) -> Labelled:
    """Return Σ over ``bound`` of a product; a bound index that no factor has counts its size."""
    present = run.axes(frozenset().union(*(a for a, _ in factors)))
    kept = tuple(i for i in present if i not in bound)
    copies = math.prod(i.size.evaluate(run.sizes) for i in bound if i not in present)
    if any(v.dtype == object for _, v in factors) or len(present) > _EINSUM_LETTERS:
        product = _align(factors[0], present)
        for factor in factors[1:]:
            product = product * _align(factor, present)
        value = np.sum(product, axis=tuple(n for n, i in enumerate(present) if i in bound))
    else:
        letter = {i: n for n, i in enumerate(present)}
        operands: list[Any] = []
        for own, array in factors:
            operands += [array, [letter[i] for i in own]]
        work = math.prod(i.size.evaluate(run.sizes) for i in present)
        value = np.einsum(*operands, [letter[i] for i in kept], optimize=work > _EINSUM_WORK)
    return kept, np.asarray(value * run.numbers.rational(copies) if copies != 1 else value)


def _primitive(run: _Evaluation, node: Prim, operands: list[Labelled]) -> Labelled:
    own = operands[0]
    batch = tuple(i for i in own[0] if i not in node.bound)
    lengths = tuple(i.size.evaluate(run.sizes) for i in node.bound)
    array = _align(own, (*batch, *node.bound))
    array = np.broadcast_to(array, (*array.shape[: len(batch)], *lengths))
    flat = array.reshape((*array.shape[: len(batch)], -1))
    if node.op in ops_values.REDUCING:
        return batch, run.numbers.cast(np.asarray(ops_values.REDUCING[node.op](flat)))
    if node.op not in ops_values.ENTRYWISE:
        raise DerivkitError(f"no value for the operation '{echo(node.op)}'", code="DK009")
    result = run.numbers.cast(ops_values.ENTRYWISE[node.op](flat)).reshape(array.shape)
    return run.read(result, (*(Affine.of(i) for i in batch), *node.at))


def _delta(run: _Evaluation, node: Delta, _: list[Labelled]) -> Labelled:
    left, right = run.positions(node.left), run.positions(node.right)
    return _broadcast(run, [left, right], lambda a, b: a == b)


def _inside(run: _Evaluation, node: Inside, _: list[Labelled]) -> Labelled:
    size = node.size.evaluate(run.sizes)
    return _broadcast(run, [run.positions(node.subscript)], lambda at: (at >= 0) & (at < size))


def _reference(run: _Evaluation, node: Ref, _: list[Labelled]) -> Labelled:
    if node.name not in run.env:
        raise DerivkitError(f"no value for '{echo(node.name)}'", code="DK041")
    axes, value = run.read(run.env[node.name], node.subs)
    return axes, run.numbers.cast(value)


_RULES: dict[type, Callable[[_Evaluation, Any, list[Labelled]], Labelled]] = {
    Num: lambda run, node, _: ((), run.numbers.rational(node.value)),
    Const: lambda run, node, _: ((), run.numbers.constant(node.name)),
    SizeOf: lambda run, node, _: ((), run.numbers.rational(node.size.evaluate(run.sizes))),
    Ref: _reference,
    Add: lambda run, node, operands: _broadcast(run, operands, lambda *args: reduce(operator.add, args)),
    Mul: lambda run, node, operands: _broadcast(run, operands, lambda *args: reduce(operator.mul, args)),
    Pow: _power,
    Fn: lambda run, node, operands: _broadcast(run, operands, lambda *args: apply_op(run, node.op, args)),
    Sum: _total,
    Delta: _delta,
    Inside: _inside,
    Prim: _primitive,
}
