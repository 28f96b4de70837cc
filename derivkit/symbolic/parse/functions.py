"""The operations that are no formula of others: a row each, from arguments to index notation."""

from __future__ import annotations

from collections.abc import Callable

from derivkit.symbolic.expr import ONE_EXPR, ZERO_EXPR, Add, Delta, Expr, Num, Prim, substitute
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import delta
from derivkit.symbolic.parse import algebra, linear_algebra, syntax
from derivkit.symbolic.parse.arguments import Arguments, Row, read_axes, read_keep, read_size_option, wrong
from derivkit.symbolic.parse.context import Context, Value, pairs
from derivkit.symbolic.parse.convolution import CONVOLUTION_ROWS
from derivkit.symbolic.parse.layers import LAYER_ROWS
from derivkit.symbolic.parse.shapes import shown
from derivkit.symbolic.parse.structure import STRUCTURE_ROWS
from derivkit.symbolic.parse.syntax import Expression

# -- reductions ----------------------------------------------------------------------------------------------------------


def _reduction(build: Callable[..., Value]) -> Row:
    def reduced(context: Context, arguments: Arguments) -> Value:
        x = arguments.x
        positions = read_axes(context, arguments, len(x.axes), arguments.options.get("axis"))
        return build(context, x, positions, read_keep(context, arguments), arguments.place)

    return Row(reduced)


def _primitive(context: Context, arguments: Arguments) -> Value:
    x, op = arguments.x, arguments.function
    positions = read_axes(context, arguments, len(x.axes), arguments.options.get("axis"))
    if op in ("softmax", "log_softmax", "first_max") and not positions:
        raise wrong(context, arguments, arguments.place, f"{op} is over an axis of an array, this has {shown(x.shape)}")
    return algebra.primitive(context, op, x, positions, read_keep(context, arguments), arguments.place)


# -- linear algebra ------------------------------------------------------------------------------------------------------


def _square(context: Context, arguments: Arguments) -> tuple[Value, Index | None]:
    """Return a matrix read on its diagonal, and the index of the diagonal."""
    x = context.whole(arguments.x)
    if len(x.axes) != 2:
        raise wrong(context, arguments, x.place, f"{arguments.function} of an array of shape {shown(x.shape)}")
    row, column = x.axes
    sizes = x.shape
    if not context.sizes.unify(*sizes):
        raise context.error(x.place, f"a matrix of shape {shown(sizes)} is not square", "DK012")
    if row is None or column is None:
        return x, row or column
    return Value((row,), substitute(x.expr, pairs((column,), (row,))), x.place), row


def _diag(context: Context, arguments: Arguments) -> Value:
    x = context.whole(arguments.x)
    if len(x.axes) != 1:
        value, index = _square(context, arguments)
        return Value((index,), value.expr, arguments.place)
    axis = x.axes[0]
    if axis is None:
        return Value((None, None), x.expr, arguments.place)
    column = axis.fresh()
    entry = Delta(Affine.of(axis), Affine.of(column))
    expr = context.without_sums(x.expr, (axis,))
    return Value((axis, column), algebra.product((expr, entry)), arguments.place)


def _trace(context: Context, arguments: Arguments) -> Value:
    value, index = _square(context, arguments)
    return Value((), algebra.summed(context, () if index is None else (index,), value.expr, value.indices), arguments.place)


def _eye(context: Context, arguments: Arguments) -> Value:
    row = context.index(read_size_option(context, arguments, arguments.options["n"]))
    if row is None:
        return Value((None, None), ONE_EXPR, arguments.place)
    column = row.fresh()
    return Value((row, column), Delta(Affine.of(row), Affine.of(column)), arguments.place)


def _constant(value: Num) -> Row:
    def filled(context: Context, arguments: Arguments) -> Value:
        node = arguments.options["n"]
        sizes = node.items if isinstance(node, syntax.Tuple | syntax.List) else (node, *arguments.rest)
        axes = tuple(context.index(read_size_option(context, arguments, size)) for size in sizes)
        return Value(axes, value, arguments.place)

    return Row(filled, frozenset({"n"}), rest=True)


def _transpose(context: Context, arguments: Arguments) -> Value:
    x, order = context.whole(arguments.x), arguments.options.get("axes")
    given = arguments.rest if order is None else (order, *arguments.rest)
    node: Expression | None = given[0] if len(given) == 1 else syntax.Tuple(given, place=arguments.place) if given else None
    if node is None or isinstance(node, syntax.NoneItem):
        return Value(x.axes[::-1], x.expr, arguments.place)
    positions = read_axes(context, arguments, len(x.axes), node)
    if len(positions) != len(x.axes):
        raise wrong(context, arguments, node.place, f"{len(positions)} axes of {len(x.axes)}")
    return Value(tuple(x.axes[p] for p in positions), x.expr, arguments.place)


def _einsum(context: Context, arguments: Arguments) -> Value:
    """Letters of the specification become indices; those that the result lacks are summed."""
    node = arguments.options["spec"]
    text = node.value.replace(" ", "") if isinstance(node, syntax.String) else ""
    left, arrow, right = text.partition("->")
    operands = left.split(",")
    result = right if arrow else "".join(sorted(c for c in set(left) if c != "," and left.count(c) == 1))
    if not all(part.isalpha() for part in operands if part) or (result and not result.isalpha()) or not text:
        raise wrong(context, arguments, node.place, "expected a specification such as 'ij,jk->ik'")
    if len(operands) != len(arguments.more):
        raise wrong(context, arguments, node.place, f"{len(operands)} operands specified, {len(arguments.more)} given")
    if len(set(result)) < len(result) or not set(result) <= set(left):
        raise wrong(context, arguments, node.place, f"the result '{result}' repeats a letter, or has one of no operand")
    letters: dict[str, Index | None] = {}
    owners: dict[str, Value] = {}
    factors: list[Expr] = []
    for letters_of, value in zip(operands, arguments.more, strict=True):
        value = algebra.operand(context, value)
        if len(letters_of) != len(value.axes):
            raise wrong(context, arguments, value.place, f"'{letters_of}' for an array of shape {shown(value.shape)}")
        renaming: dict[Index, Affine] = {}
        for letter, axis, size in zip(letters_of, value.axes, value.shape, strict=True):
            known = letters.setdefault(letter, axis)
            owner = owners.setdefault(letter, value)
            if (known is None) != (axis is None) or (known and not context.sizes.unify(known.size, size)):
                raise context.misfit(owner, value, f"'{letter}' has two sizes")
            if known is not None and axis is not None and axis is not known:
                renaming[axis] = Affine.of(known)
        factors.append(substitute(value.expr, renaming))
    axes = tuple(letters[c] for c in result)
    bound = tuple(i for c, i in letters.items() if c not in result and i is not None)
    everything = tuple(i for i in letters.values() if i is not None)
    wanted = frozenset(everything) if len(factors) > 1 else None
    factors = factors if bound or wanted is None else [context.without_sums(f, everything, wanted) for f in factors]
    return Value(axes, algebra.contracted(context, bound, factors, everything), arguments.place)


# -- structure -----------------------------------------------------------------------------------------------------------


def _stack(context: Context, arguments: Arguments) -> Value:
    """A new axis of literal size: Σ_m δ(m, index)·array_m."""
    if not arguments.more:
        raise wrong(context, arguments, arguments.place, "nothing to stack")
    for value in arguments.more[1:]:
        first = arguments.more[0]
        same = len(value.axes) == len(first.axes) and all(map(context.sizes.unify, value.shape, first.shape))
        if not same:
            raise context.misfit(first, value, "stacked arrays have one shape")
    axes, exprs = algebra.joined(context, arguments.more)
    positions = read_axes(
        context, arguments, len(axes) + 1, arguments.options.get("axis", syntax.NoneItem(place=arguments.place))
    )
    new = context.index(Size.of(len(exprs)))
    if new is not None:
        present = tuple(a for a in axes if a is not None)
        exprs = [context.without_sums(e, present) for e in exprs]
        exprs = [algebra.product((Delta(Affine.of(new), Affine.of(n)), e)) for n, e in enumerate(exprs)]
    expr = exprs[0] if len(exprs) == 1 else Add(tuple(exprs))
    return Value((*axes[: positions[0]], new, *axes[positions[0] :]), expr, arguments.place)


def _onehot(context: Context, arguments: Arguments) -> Value:
    """δ(position, index); the one-hot vector of an argmax is the primitive that selects the first maximum."""
    k = arguments.positions["k"]
    size = read_size_option(context, arguments, arguments.options["K"])
    axis = context.index(size)
    if isinstance(k, Affine):
        literal = k.constant.literal if k.constant is not None else None
        k = k if literal is None or literal >= 0 else k + Affine.of(size)
        return Value((axis,), delta(k, Affine.of(0 if axis is None else axis)), arguments.place)
    if k.label is not None and not context.sizes.unify(k.label, size):
        raise context.error(k.place, f"the label runs over {k.label}, not {size}", "DK012")
    if axis is None:
        return Value((*k.axes, None), ONE_EXPR, arguments.place)
    if isinstance(k.expr, Prim) and len(k.expr.bound) == 1:
        read = substitute(k.expr.args[0], pairs(k.expr.bound, (axis,)))
        made = algebra.over(context, "first_max", (axis,), read, (*k.indices, axis), located=True)
        return Value((*k.axes, axis), made, arguments.place)
    return Value((*k.axes, axis), Delta(Affine.of(k.expr), Affine.of(axis)), arguments.place)


def _gelu(context: Context, arguments: Arguments) -> Value:
    node = arguments.options.get("approximate")
    forms = {None: "gelu", "none": "gelu", "tanh": "gelu_tanh"}
    form = forms.get(node.value if isinstance(node, syntax.String) else None) if isinstance(node, syntax.String | None) else None
    if form is None:
        raise wrong(context, arguments, arguments.place, "approximate is 'none' or 'tanh'")
    return algebra.apply(context, form, [arguments.x], arguments.place)


# -- losses of a label ---------------------------------------------------------------------------------------------------


def _picked(context: Context, arguments: Arguments, y: Value) -> Value:
    """Return y at the label along its last axis, one for each sample."""
    t = arguments.x
    if len(t.axes) != len(y.axes) - 1:
        raise context.misfit(t, y, "a label has one axis less than what it picks from")
    y = context.whole(y)
    last = y.axes[-1]
    lead, (read, label) = context.broadcast([Value(y.axes[:-1], y.expr, y.place), Value(t.axes, t.expr, t.place)])
    if t.label is not None and not context.sizes.unify(t.label, y.shape[-1]):
        raise context.misfit(t, y, f"the label runs over {t.label}")
    if last is not None:
        read = substitute(read, {last: Affine.of(label)})
    return Value(lead, read, y.place)


def _cross_entropy(context: Context, arguments: Arguments) -> Value:
    picked = _picked(context, arguments, arguments.values["y"])
    value = algebra.apply(context, "log", [picked], arguments.place)
    return algebra.add(context, [value], [-1], arguments.place)


def _softmax_cross_entropy(context: Context, arguments: Arguments) -> Value:
    z = arguments.values["z"]
    logs = algebra.primitive(context, "log_softmax", z, (len(z.axes) - 1,), False, arguments.place)
    return algebra.add(context, [_picked(context, arguments, logs)], [-1], arguments.place)


#: Losses when the first argument is a label.
LABELLED: dict[str, Callable[[Context, Arguments], Value]] = {
    "cross_entropy": _cross_entropy,
    "softmax_cross_entropy": _softmax_cross_entropy,
}

ROWS: dict[str, Row] = {
    **linear_algebra.ROWS,
    "sum": _reduction(algebra.total),
    "mean": _reduction(algebra.mean),
    **dict.fromkeys(
        ("softmax", "log_softmax", "first_max", "logsumexp", "max", "min", "argmax", "norm", "prod"), Row(_primitive)
    ),
    "diag": Row(_diag),
    "trace": Row(_trace),
    "eye": Row(_eye, frozenset({"n"})),
    "zeros": _constant(ZERO_EXPR),
    "ones": _constant(ONE_EXPR),
    "transpose": Row(_transpose, frozenset({"axes"}), rest=True),
    "einsum": Row(_einsum, frozenset({"spec"}), more=True),
    "stack": Row(_stack, frozenset({"axis"}), more=True),
    "onehot": Row(_onehot, frozenset({"K"}), positions=frozenset({"k"})),
    "gelu": Row(_gelu, frozenset({"approximate"})),
    **STRUCTURE_ROWS,
    **CONVOLUTION_ROWS,
    **LAYER_ROWS,
}
