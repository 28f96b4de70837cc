"""The arguments of a call: bound to the parameters of an operation, and its options read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from derivkit.errors import did_you_mean, echo
from derivkit.symbolic.index import Affine, Size
from derivkit.symbolic.ops import OPS, Op
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.context import Context, Value
from derivkit.symbolic.parse.shapes import read_size, walk
from derivkit.symbolic.parse.statements import parse_program
from derivkit.symbolic.parse.syntax import Expression, Place


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a call: ``values`` by name, ``more`` values after the named ones, ``options`` still unread."""

    function: str
    values: Mapping[str, Value]
    more: tuple[Value, ...]
    options: Mapping[str, Expression]
    rest: tuple[Expression, ...]
    place: Place
    positions: Mapping[str, Affine | Value] = field(default_factory=dict)

    @property
    def x(self) -> Value:
        """The first value."""
        return next(iter(self.values.values()))


@dataclass(frozen=True, slots=True)
class Row:
    """How an operation is lowered: ``options`` are parameters that are no values.

    ``more`` says that values follow the named ones, ``rest`` that options do; ``positions`` are read as subscripts are.
    """

    build: Callable[[Context, Arguments], Value]
    options: frozenset[str] = frozenset({"axis", "keepdims"})
    more: bool = False
    rest: bool = False
    positions: frozenset[str] = frozenset()


def wrong(context: Context, arguments: Arguments, place: Place, message: str) -> Exception:
    """Return the error for an argument that does not fit the operation, with its signature."""
    signature = SIGNATURES.get(arguments.function, OPS[arguments.function].signature)
    return context.error(place, message, "DK010", f"{arguments.function}({signature})")


#: Signatures that say more than the row of the table.
SIGNATURES: dict[str, str] = {
    "einsum": "'ij,jk->ik', a, b, ...",
    "stack": "a, b, ..., axis=0",
    "concat": "a, b, ..., axis=0",
    "reshape": "x, (size, size, ...)",
    "transpose": "x, axes=None",
    "zeros": "size, or (size, size, ...)",
    "ones": "size, or (size, size, ...)",
    "gelu": "x, approximate='none'",
    "max": "x, axis=None, keepdims=False; of two arrays: maximum(a, b)",
    "min": "x, axis=None, keepdims=False; of two arrays: minimum(a, b)",
}


def bind_arguments(
    context: Context, node: syntax.Call, op: Op, row: Row | None, outer: Mapping[str, Expression]
) -> tuple[dict[str, Expression], list[Expression]]:
    """Return the argument of each parameter, and the arguments after the last of them.

    ``outer`` are the options of the operation whose formula holds the call, as ``axis`` in ``sum(x, axis=axis)``.
    """
    place = context.place(node)
    signature = f"{op.name}({SIGNATURES.get(op.name, op.signature)})"
    parameters, args = list(op.parameters), list(node.args)
    more: list[Expression] = []
    if row is not None and row.more:
        first = [p for p in parameters if p == "spec"]
        args, more = args[: len(first)], args[len(first) :]
        if len(more) == 1 and isinstance(more[0], syntax.List | syntax.Tuple):
            more = list(more[0].items)
        parameters = [p for p in parameters if p == "spec" or p in op.defaults]
    elif row is not None and row.rest:
        args, more = args[: len(parameters)], args[len(parameters) :]
    if len(args) > len(parameters):
        message = f"{op.name} takes {len(parameters)} argument{'s' * (len(parameters) != 1)}, {len(args)} are given"
        raise context.error(place, message, "DK010", signature)
    bound = dict(zip(parameters, args, strict=False))
    allowed = {*parameters, *(row.options if row is not None else ())}
    for keyword in node.keywords:
        if keyword.name not in allowed:
            hint = did_you_mean(keyword.name, allowed) or signature
            raise context.error(keyword.place, f"{op.name} has no argument '{echo(keyword.name)}'", "DK010", hint)
        if keyword.name in bound:
            raise context.error(keyword.place, f"'{keyword.name}' is given twice", "DK010", signature)
        bound[keyword.name] = keyword.value
    for parameter in parameters:
        if parameter not in bound:
            if parameter not in op.defaults:
                raise context.error(place, f"{op.name} lacks its argument '{parameter}'", "DK010", signature)
            bound[parameter] = option_tree(op.defaults[parameter])
    bound = {p: outer[n.id] if isinstance(n, syntax.Name) and n.id in outer else n for p, n in bound.items()}
    order = [*parameters, *(p for p in bound if p not in parameters)]
    return {p: bound[p] for p in order}, more


@lru_cache(maxsize=256)
def option_tree(text: str) -> Expression:
    """Return the tree of one argument in the table of operations."""
    match parse_program(f"f({text})", frozenset()).statements:
        case (syntax.Output(syntax.Call("f", (tree,))),):
            return tree
    raise ValueError(text)


@lru_cache(maxsize=256)
def formula_trees(text: str) -> tuple[tuple[tuple[str, Expression], ...], Counter[str]]:
    """Return the lines of a formula, each with its name (the last has none), and how often each name is read in them."""
    halves = [line.rpartition(" = ") for line in text.split("\n")]
    trees = tuple((name, option_tree(right)) for name, _, right in halves)
    return trees, Counter(node.id for _, tree in trees for node in walk(tree) if isinstance(node, syntax.Name))


def _integer(node: Expression) -> int | None:
    size = read_size(node, ())
    return None if size is None else size.literal


def read_axes(context: Context, arguments: Arguments, rank: int, node: Expression | None) -> tuple[int, ...]:
    """Return the positions of ``axis=``, all of them for ``None``."""
    if node is None or isinstance(node, syntax.NoneItem):
        return tuple(range(rank))
    found: list[int] = []
    for item in node.items if isinstance(node, syntax.Tuple) else (node,):
        axis = _integer(item)
        if axis is None:
            raise wrong(context, arguments, item.place, "an axis is an integer")
        if rank == 0 and axis in (0, -1):
            continue
        if not -rank <= axis < rank:
            raise wrong(context, arguments, item.place, f"axis {axis} of an array with {rank} ax{'i' if rank == 1 else 'e'}s")
        if axis % rank in found:
            raise wrong(context, arguments, item.place, f"axis {axis} twice")
        found.append(axis % rank)
    return tuple(found)


def read_keep(context: Context, arguments: Arguments) -> bool:
    """Return ``keepdims=``."""
    node = arguments.options.get("keepdims")
    if node is None or isinstance(node, syntax.Boolean):
        return node is not None and node.value
    raise wrong(context, arguments, node.place, "keepdims is True or False")


def read_size_option(context: Context, arguments: Arguments, node: Expression) -> Size:
    """Return a size among the arguments."""
    size = read_size(node, context.size_names)
    if size is None or (size.literal is not None and size.literal < 1):
        raise wrong(context, arguments, node.place, "expected a size: names of sizes and integers")
    return context.sizes.resolve(size)
