"""Lowering: surface trees to index notation, node by node."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from derivkit.errors import did_you_mean, echo
from derivkit.symbolic.expr import Const, Delta, Num, Prim, user
from derivkit.symbolic.graph import Definition, Input
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import size_factor
from derivkit.symbolic.ops import COMPARISONS, ELEMENTWISE, FUNCTIONS, OPS, Op
from derivkit.symbolic.parse import algebra, linear_algebra, syntax
from derivkit.symbolic.parse.arguments import Arguments, bind_arguments, formula_trees
from derivkit.symbolic.parse.context import Context, Value
from derivkit.symbolic.parse.functions import LABELLED, ROWS
from derivkit.symbolic.parse.habits import Habits
from derivkit.symbolic.parse.later import hint_for
from derivkit.symbolic.parse.pratt import CONSTANTS
from derivkit.symbolic.parse.shapes import SCALARS, Unknown, rank_beside, read_size, walk
from derivkit.symbolic.parse.subscripts import At, Item, NewAxis, Span, take
from derivkit.symbolic.parse.syntax import Expression, Place

_GROUPS = {"+": "+", "-": "+", "*": "*", "/": "*"}


@dataclass(frozen=True, slots=True)
class Scope:
    """The arguments of the operation whose formula is being lowered."""

    values: Mapping[str, Value]
    options: Mapping[str, Expression]


@dataclass(slots=True)
class Lowering:
    """One pass over a program: what its names mean so far."""

    context: Context
    habits: Habits | None
    declared: Mapping[str, Input]
    later: dict[str, Place]
    defined: dict[str, Definition] = field(default_factory=dict)
    used: dict[str, Input] = field(default_factory=dict)
    guessed: dict[str, Input] = field(default_factory=dict)
    letters: dict[str, Affine] = field(default_factory=dict)
    scope: Scope | None = None

    def lower(self, node: Expression) -> Value:
        """Return the value of an expression."""
        handler = _NODES.get(type(node))
        if handler is None:
            what = type(node).__name__.lower()
            raise self.context.error(node.place, f"a {what} is no value here", "DK010", "it is an option of some operations")
        return handler(self, node)

    # Names

    def name(self, node: syntax.Name) -> Value:
        """Return what a name stands for: the operand of a formula, an array, a size or a constant."""
        place, name = self.context.place(node), node.id
        if self.scope is not None and name in self.scope.values:
            return self.scope.values[name].fresh()
        if name in CONSTANTS:
            return Value((), Const(name), place)
        if name in self.letters:
            raise self.context.error(place, f"'{name}' is an index here, no value", "DK019", "an index stands in subscripts")
        if name in self.defined:
            made = self.defined[name]
            axes = tuple(a and Index(a.hint, a.size) for a in made.indices)
            rhs = made.rhs
            label = algebra.label_of(rhs.bound) if isinstance(rhs, Prim) and rhs.op == "argmax" else None
            return self.context.array(made.name, axes, place, label)
        if name in self.later:
            line = self.later[name].line
            message = f"'{name}' is used before line {line} defines it"
            raise self.context.error(place, message, "DK008", "lines are read from the top")
        if name in self.context.size_names and name not in self.declared:
            return Value((), size_factor(Size.of(name)), place)
        return self._input(self.known_input(name) or self.guess(name, None, place), place)

    def known_input(self, name: str) -> Input | None:
        """Return an input that has a shape by now."""
        return self.declared.get(name) or self.guessed.get(name)

    def guess(self, name: str, like: Value | None, place: Place, rank: int | None = None) -> Input:
        """Return an undeclared name as an input, with the given rank, that of ``like``, or by its letter."""
        if self.habits is None:
            known = (*self.defined, *self.declared, *self.context.size_names)
            hint = did_you_mean(name, known) or f"the names are {echo(', '.join(map(str, dict.fromkeys(known))), 100)}"
            raise self.context.error(place, f"unknown name '{echo(name)}'", "DK008", hint)
        sizes = self.context.sizes
        if rank is None or name in self.habits.exact:
            rank = self.habits.exact.get(name, len(like.axes)) if like is not None else self.habits.rank(name)
        shape = tuple(sizes.unknown(Unknown(name, axis, place)) for axis in range(rank))
        found = Input(user(name), "real", shape)
        self.guessed[name] = found
        return found

    def _input(self, found: Input, place: Place) -> Value:
        self.used.setdefault(found.name.label, found)
        axes = tuple(self.context.index(size) for size in found.shape)
        is_label = found.kind == "label"
        return self.context.array(found.name, axes, place, found.range if is_label else None, number=not is_label)

    def is_new(self, node: Expression) -> bool:
        """Say whether ``node`` is a name that nothing tells about."""
        if not isinstance(node, syntax.Name) or self.habits is None:
            return False
        name = node.id
        known = (self.defined, self.declared, self.guessed, self.later, self.letters, self.context.size_names, CONSTANTS)
        return not any(name in names for names in known) and not (self.scope is not None and name in self.scope.values)

    # Operators

    def chain(self, node: syntax.Binary) -> Value:
        """Return a chain of operators, each run of + − or * / at once."""
        context = self.context
        first, steps = syntax.spine(node)
        value = self.lower(first)
        at = 0
        while at < len(steps):
            run = [steps[at]]
            group = _GROUPS.get(run[0].op)
            while group and at + len(run) < len(steps) and _GROUPS.get(steps[at + len(run)].op) == group:
                run.append(steps[at + len(run)])
            at += len(run)
            place = context.place(run[0])
            values = [value]
            for step in run:
                values.append(self.lower(step.right))
            if group == "+":
                value = algebra.add(context, values, [1, *(1 if step.op == "+" else -1 for step in run)], place)
            elif group == "*":
                value = algebra.multiply(context, values, [False, *(step.op == "/" for step in run)], place)
            elif run[0].op == "**":
                value = algebra.power(context, value, values[1], place)
            elif run[0].op == "@":
                value = algebra.matmul(context, value, values[1], place)
            else:
                value = self._quotient(run[0])
        return value

    def _quotient(self, node: syntax.Binary) -> Value:
        size = read_size(node, self.context.size_names)
        if size is None:
            raise self.context.error(self.context.place(node), "'//' is for sizes", "DK010", "a quotient is written /")
        return Value((), size_factor(size), self.context.place(node))

    def unary(self, node: syntax.Unary) -> Value:
        """Return ``-x`` or ``+x``."""
        value = self.lower(node.operand)
        return algebra.add(self.context, [value], [-1 if node.op == "-" else 1], self.context.place(node))

    def compare(self, node: syntax.Compare) -> Value:
        """Return a comparison: 1 where it holds, else 0."""
        values = [self.lower(node.left), self.lower(node.right)]
        if node.op in ("==", "!=") and not any(v.number for v in values):  # two labels are no numbers, but the same or not
            values = [replace(v, label=None, number=True) for v in values]
        return algebra.apply(self.context, COMPARISONS[node.op], values, self.context.place(node))

    def transpose(self, node: syntax.Attribute) -> Value:
        """Return ``x.T``."""
        value = self.context.whole(self.lower(node.base))
        return Value(value.axes[::-1], value.expr, value.place)

    # Subscripts

    def subscript(self, node: syntax.Subscript) -> Value:
        """Return ``base[items]``."""
        if isinstance(node.base, syntax.Name) and node.base.id in self.context.size_names and self.is_size(node.base.id):
            raise self.context.error(node.base.place, f"'{node.base.id}' is a size", "DK019")
        base = self.lower(node.base)
        items: list[Item] = []
        for item in node.items:
            if isinstance(item, syntax.NoneItem):
                items.append(NewAxis())
            elif isinstance(item, syntax.Slice):
                items.append(self._span(item))
            else:
                position = self.position(item)
                found = not isinstance(position, Value) and any(
                    isinstance(n, syntax.Name) and n.id in self.letters for n in walk(item)
                )
                place = self.context.place(item)
                items.append(position if isinstance(position, Value) else At(position, place, _alone(item), found))
        return take(self.context, base, items, base.place)

    def is_size(self, name: str) -> bool:
        """Say whether ``name`` is a size and nothing else."""
        return name in self.context.size_names and name not in self.defined and self.known_input(name) is None

    def _span(self, node: syntax.Slice) -> Span:
        ends: list[Size | None] = []
        for part in (node.start, node.stop, node.step):
            size = None if part is None else read_size(part, self.context.size_names)
            if part is not None and size is None:
                raise self.context.error(part.place, "a slice is made of sizes and integers", "DK019", "as in x[1:L-1:2]")
            ends.append(size)
        step = 1 if ends[2] is None else ends[2].literal
        if not step:
            raise self.context.error(self.context.place(node), "the step of a slice is an integer other than 0", "DK019")
        return Span(ends[0], ends[1], step, self.context.place(node))

    def position(self, node: Expression) -> Affine | Value:
        """Return a subscript: an affine form, or an array of labels."""
        size = read_size(node, self.context.size_names)
        if size is not None and not (isinstance(node, syntax.Name) and node.id in self.letters):
            return Affine.of(size)
        match node:
            case syntax.Name(name) if name in self.letters:
                return self.letters[name]
            case syntax.Name(name) if self.is_new(node):
                hint = f"an index is bound by sum[i](...) or y[i] = ..., a label is declared: {name}: label N"
                raise self.context.error(node.place, f"unknown name '{echo(name)}' in a subscript", "DK008", hint)
            case syntax.Unary(op, operand):
                inner = self._affine(operand)
                return inner if op == "+" else inner.scaled(-1)
            case syntax.Binary(op, left, right) if op in ("+", "-", "*"):
                one, other = self._affine(left), self._affine(right)
                if op != "*":
                    return one + other if op == "+" else one - other
                if one.constant is not None or other.constant is not None:
                    return other.scaled(one.constant) if one.constant is not None else one.scaled(other.constant or 0)
        if isinstance(node, syntax.Name | syntax.Subscript | syntax.Call | syntax.IndexedReduce):
            value = self.lower(node)
            if value.label is not None:
                return value
        example = f"declare {node.id}: label N" if isinstance(node, syntax.Name) else "x[2*i+p-1], E[k]"
        hint = f"a subscript is affine in indices, or a label: {example}"
        raise self.context.error(self.context.place(node), "this is no subscript", "DK019", hint)

    def _affine(self, node: Expression) -> Affine:
        found = self.position(node)
        if isinstance(found, Value) and not found.axes:
            return Affine.of(found.expr)
        if isinstance(found, Value):
            raise self.context.error(found.place, "arithmetic with an array of labels", "DK019", "subscript it first: t[n]+1")
        return found

    # Indices

    def bind(self, names: Sequence[syntax.Name]) -> dict[str, Affine]:
        """Return the meaning of new index names; a size of 1 leaves the position 0."""
        found: dict[str, Affine] = {}
        for name in names:
            if (
                name.id in self.defined
                or name.id in self.later
                or self.known_input(name.id)
                or name.id in self.context.size_names
            ):
                hint = "give the index another letter"
                raise self.context.error(name.place, f"'{name.id}' is an array or a size, no new index", "DK019", hint)
            if name.id in self.letters:
                raise self.context.error(name.place, f"index '{name.id}' is bound already", "DK019", "give it another letter")
            index = self.context.index(self.context.sizes.unknown(Unknown(name.id, -1, name.place)), name.id)
            found[name.id] = Affine.of(0 if index is None else index)
        return found

    def reduce(self, node: syntax.IndexedReduce) -> Value:
        """Return ``sum[k](body)`` and its like; ``softmax[k](body)`` is an array over k."""
        context, place = self.context, self.context.place(node)
        outer, new = self.letters, self.bind(node.indices)
        self.letters = {**outer, **new}
        body = context.whole(self.lower(node.body))
        self.letters = outer
        axes = tuple(position.bare for position in new.values())
        if node.name in ("sum", "mean"):
            bound = tuple(index for index in axes if index is not None)
            expr = algebra.summed(context, bound, body.expr, body.indices)
            return Value(body.axes, expr if node.name == "sum" else algebra.averaged([i.size for i in bound], expr), place)
        if node.name in linear_algebra.ROWS:
            if len(axes) != 2:
                hint = f"as in {node.name}[i,j](...)"
                raise context.error(place, f"{node.name} binds a row and a column, not {len(axes)} indices", "DK019", hint)
            return linear_algebra.of_matrix(context, node.name, Value((*body.axes, *axes), body.expr, place), place)
        over = range(len(body.axes), len(body.axes) + len(axes))
        return algebra.primitive(context, node.name, Value((*body.axes, *axes), body.expr, place), over, False, place)

    def delta(self, node: syntax.DeltaTerm) -> Value:
        """Return ``delta[a,b]``."""
        a, b = self._affine(node.a), self._affine(node.b)
        if a.bare is not None and b.bare is not None and _alone(node.a) and _alone(node.b):
            self.context.sizes.unify(a.bare.size, b.bare.size)
        return Value((), Delta(a, b), self.context.place(node))

    # Calls

    def call(self, node: syntax.Call) -> Value:
        """Return a call of an operation of the table."""
        context, place = self.context, self.context.place(node)
        op = OPS.get(node.function) if node.function in FUNCTIONS else None
        if op is None:
            name = syntax.Name(node.function, place=node.place)
            hint = hint_for(node.function, FUNCTIONS) if self.is_new(name) or self.habits is None else None
            hint = hint or ("a product is written with *" if not self.is_new(name) else None)
            raise context.error(place, f"unknown function '{echo(node.function)}'", "DK009", hint)
        row = ROWS.get(op.name)
        outer = {} if self.scope is None else self.scope.options
        bound, more = bind_arguments(context, node, op, row, outer)
        options = {p: n for p, n in bound.items() if row is not None and p in row.options}
        if row is None and op.formula and op.name not in ELEMENTWISE:
            options = {p: n for p, n in bound.items() if p in ("axis", "keepdims")}
        values: dict[str, Value] = {}
        positions: dict[str, Affine | Value] = {}
        for parameter in self._order(op, bound, options):
            argument = bound[parameter]
            if row is not None and parameter in row.positions:
                positions[parameter] = self.position(argument)
                continue
            if isinstance(argument, syntax.NoneItem) and op.defaults.get(parameter) == "None":
                continue
            shared = op.group == "loss" and values and parameter not in SCALARS.get(op.name, ())
            if isinstance(argument, syntax.Name) and self.is_new(argument):
                rank = rank_beside(op.name, parameter, {p: len(v.axes) for p, v in values.items()})
                if shared or rank is not None:
                    self.guess(argument.id, next(iter(values.values()), None), argument.place, rank)
            values[parameter] = self.lower(argument)
        values = {p: values[p] for p in bound if p in values}
        extra: list[Value] = []
        if row is not None and row.more:
            for argument in more:
                extra.append(self.lower(argument))
        rest = () if row is None or row.more else tuple(more)
        arguments = Arguments(op.name, values, tuple(extra), options, rest, place, positions)
        if row is not None:
            return row.build(context, arguments)
        if op.name in ELEMENTWISE:
            return algebra.apply(context, op.name, list(values.values()), place)
        if op.name in LABELLED and arguments.x.label is not None:
            return LABELLED[op.name](context, arguments)
        return self._formula(op, arguments)

    def _order(self, op: Op, bound: Mapping[str, Expression], options: Container[str]) -> list[str]:
        """Return the parameters that are values; in a loss an undeclared one last, since it follows the other."""
        parameters = [p for p in bound if p not in options]
        new = [self.is_new(bound[p]) for p in parameters[:2]]
        if op.group in ("loss", "convolution") and new == [True, False]:
            parameters[:2] = reversed(parameters[:2])
        return parameters

    def _formula(self, op: Op, arguments: Arguments) -> Value:
        """Return an operation that the language itself defines."""
        trees, counts = formula_trees(op.formula)
        values: dict[str, Value] = {}
        for parameter, value in arguments.values.items():
            often = counts[parameter] > 1 and not value.atomic and value.label is None
            values[parameter] = self.context.renamed(value, "u") if often else value
        outer, self.scope = self.scope, Scope(values, arguments.options)
        try:
            with self.context.inside(arguments.place):
                for name, tree in trees:
                    made = self.lower(tree)
                    values[name] = self.context.renamed(made, name, op.name) if name else made
        finally:
            self.scope = outer
        return Value(made.axes, made.expr, arguments.place)


def _alone(node: Expression | syntax.Slice) -> bool:
    """Say whether a subscript is an index alone, which has the range of its axis; ``i+0`` reads i wherever it runs."""
    return not isinstance(node, syntax.Binary)


_NODES: dict[type, Callable[[Lowering, Any], Value]] = {
    syntax.Number: lambda low, node: Value((), Num(node.value), low.context.place(node)),
    syntax.Name: Lowering.name,
    syntax.Unary: Lowering.unary,
    syntax.Binary: Lowering.chain,
    syntax.Compare: Lowering.compare,
    syntax.Attribute: Lowering.transpose,
    syntax.Subscript: Lowering.subscript,
    syntax.IndexedReduce: Lowering.reduce,
    syntax.DeltaTerm: Lowering.delta,
    syntax.Call: Lowering.call,
}
