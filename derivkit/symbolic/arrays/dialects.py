"""The two tables of words: the program language, and NumPy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from derivkit.symbolic.arrays import convolution, linear
from derivkit.symbolic.arrays.nodes import matmul, mul, onehot, ones, outer, reduce
from derivkit.symbolic.arrays.reading import shortened
from derivkit.symbolic.arrays.slices import concatenation, padding
from derivkit.symbolic.arrays.text import (
    ATOM,
    SUM,
    TEST,
    Call,
    Dialect,
    Text,
    along_call,
    options,
    plain_call,
    reduce_call,
    sizes_text,
    text_of,
    within,
)
from derivkit.symbolic.arrays.transposes import transpose, transpose_cost
from derivkit.symbolic.arrays.tree import Array, postorder, rebuilt
from derivkit.symbolic.index import Size
from derivkit.symbolic.ops import COMPARISONS, ELEMENTWISE

_REDUCTIONS = ("sum", "mean", "max", "min", "prod", "norm", "logsumexp", "argmax")


def _einsum(prefix: str) -> Call:
    return lambda node, args: f'{prefix}einsum("{node.params[0]}", {", ".join(args)})'


# -- the program language ---------------------------------------------------------------------------------------------------


def _lengths(node: Array) -> str:
    return str(node.shape[0]) if node.rank == 1 else _shape(node)


def _eye(node: Array, _: Sequence[str]) -> str:
    rows, columns = node.shape
    return f"eye({rows})" if rows == columns else ""


def _onehot(node: Array, args: Sequence[str]) -> str:
    label = args[0] if args else str(node.params[0])
    return f"onehot({label}, {node.shape[-1]})"


def _first_max(node: Array, args: Sequence[str]) -> str:
    axes: tuple[int, ...] = node.params[1]  # type: ignore[assignment]
    if axes != (node.rank - 1,):
        return f"first_max({args[0]}{options(axes, node.rank, last=True)})"
    return f"onehot(argmax({args[0]}{options(axes, node.rank)}), {node.shape[-1]})"


def _pad(node: Array, args: Sequence[str]) -> str:
    widths = padding(node)
    return "" if widths is None else f"pad({args[0]}, {widths})"


def _prod_except(node: Array, args: Sequence[str]) -> str:
    if node.rank != 1:
        return ""
    return f"prod(where(eye({node.shape[0]}) == 1, 1, {args[0]}), axis=1)"


def _no_word(_: Array, __: Sequence[str]) -> str:
    return ""


def _turn(node: Array, args: Sequence[str]) -> str:
    if node.params != (1, 0):
        return f"transpose({args[0]}, {node.params})"
    return f"{args[0]}.T" if node.args[0].op == "name" else f"transpose({args[0]})"


PROGRAM = Dialect(
    calls={
        **dict.fromkeys((*_REDUCTIONS, "var", "std"), reduce_call()),
        "softmax": along_call(),
        "log_softmax": along_call(),
        "first_max": _first_max,
        "prod_except": _prod_except,
        "outer": plain_call("outer"),
        "diag": plain_call("diag"),
        "diagonal": plain_call("diag"),
        "trace": plain_call("trace"),
        "eye": _eye,
        "ones": lambda node, _: f"ones({_lengths(node)})",
        "zeros": lambda node, _: f"zeros({_lengths(node)})",
        "arange": _no_word,
        "broadcast": _no_word,  # rewritten with ones: see for_reading
        "gather": _no_word,  # rewritten with one-hot rows: see for_reading
        "onehot": _onehot,
        "conv": convolution.words,
        "turn": _turn,
        "flip": lambda node, args: f"flip({args[0]}{options(node.params, node.rank)})",  # type: ignore[arg-type]
        "reshape": lambda node, args: f"reshape({args[0]}, {_lengths(node)})",
        "repeat": lambda node, args: f"repeat({args[0]}, {node.params[0]})",
        "concat": lambda node, args: f"concat({', '.join(args)}{f', axis={node.params[0]}' if node.params[0] else ''})",
        "window": _pad,
        **dict.fromkeys(("scatter", "entries", "tensordot", "window_dot", "add_rows"), _no_word),
        "einsum": _einsum(""),
        "transpose": lambda node, args: "",
        **{word: plain_call(word) for word in ("inv", "solve", "det", "logdet")},
    },
    terse=True,
)

# -- NumPy ----------------------------------------------------------------------------------------------------------------


def _shape(node: Array) -> str:
    return f"({sizes_text(node.shape)}{',' if node.rank == 1 else ''})"


def _np_onehot(node: Array, args: Sequence[str]) -> str:
    label = args[0] if args else str(node.params[0])
    return f"onehot({label}, {node.shape[-1]}, dtype)"


def _np_eye(node: Array, _: Sequence[str]) -> str:
    rows, columns = node.shape
    return f"np.eye({rows}, dtype=dtype)" if rows == columns else f"np.eye({rows}, {columns}, dtype=dtype)"


def has_numpy(word: str) -> bool:
    """Return whether an elementwise operation is written in NumPy directly; the others are computed by their formula."""
    return word == "sqrt" or word in HELPERS or bool(ELEMENTWISE[word].numpy)


def _np_function(word: str, args: Sequence[Text]) -> Text:
    row = ELEMENTWISE.get(word)
    template = "np.sqrt({x})" if word == "sqrt" else row.numpy if row is not None else ""
    if word in HELPERS or not template:
        return Text(f"{word}({', '.join(within(a, SUM) for a in args)})")
    parameters = row.parameters if row is not None else ("x",)
    inner = {}
    for parameter, arg in zip(parameters, args, strict=True):
        least = TEST if word == "where" and parameter == "c" else SUM
        inner[parameter] = within(arg, least if _alone(template, parameter) else ATOM)
    made = template.format(**inner)
    if word in _FLAGS:
        return Text(made, TEST, f"{made}.astype(dtype)")
    return Text(made, ATOM if _CALL.fullmatch(template) else SUM)


_FLAGS = frozenset({*COMPARISONS.values(), "step"})

#: A template that is one call, so that its text binds like a name.
_CALL = re.compile(r"[a-z.0-9_]+\([^()]*\)")


def _alone(template: str, parameter: str) -> bool:
    """Return whether the parameter stands only between brackets and commas, where it needs no parentheses."""
    pieces = template.split("{" + parameter + "}")
    return all(a.endswith(("(", ", ")) and b.startswith((")", ",")) for a, b in pairwise(pieces))


#: Functions that a generated module defines when it uses them (see numeric/codegen); their calls are written here.
HELPERS = (
    *("softmax", "log_softmax", "logsumexp", "first_max", "prod_except", "norm", "sigmoid", "softplus"),
    *("softmax_and_log", "softmax_and_log_of", "minus_onehot", "sigmoid_and_slope", "softplus_and_slope"),
    *("sigmoid_slope", "exp_square", "normal_cdf", "erfc", "xlogy"),
    *("windows", "window_dot", "scatter", "entries", "add_rows", "argmax_over", "onehot"),
)


def _tuple(items: Sequence[object]) -> str:
    return f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"


def _np_argmax(node: Array, args: Sequence[str]) -> str:
    """NumPy's argmax takes one axis, or all of them in their order."""
    _, axes, keepdims = node.params
    if axes == tuple(range(node.args[0].rank)) or len(axes) == 1:  # type: ignore[arg-type]
        return reduce_call("np.")(node, args)
    return f"argmax_over({args[0]}, {axes}{', keepdims=True' if keepdims else ''})"


def _np_windows(node: Array, args: Sequence[str]) -> str:
    starts: tuple[Size, ...] = node.params[0]  # type: ignore[assignment]
    axes: tuple[tuple[int, Size, Size], ...] = node.params[1]  # type: ignore[assignment]
    return f"windows({args[0]}, {_tuple(starts)}, [{', '.join(_tuple(axis) for axis in axes)}])"


def _np_tensordot(node: Array, args: Sequence[str]) -> str:
    left, right = node.params
    return f"np.tensordot({args[0]}, {args[1]}, axes=({list(left)}, {list(right)}))"  # type: ignore[call-overload]


def _np_window_dot(node: Array, args: Sequence[str]) -> str:
    left, right = node.params
    return f"window_dot({args[0]}, {args[1]}, {_tuple(left)}, {_tuple(right)})"  # type: ignore[arg-type]


def _np_scatter(node: Array, args: Sequence[str]) -> str:
    axes: tuple[int, ...] = node.params[0]  # type: ignore[assignment]
    steps: tuple[Size, ...] = node.params[1]  # type: ignore[assignment]
    length = node.shape[axes[0] - sum(a < axes[0] for a in axes)]
    return f"scatter({args[0]}, {_tuple(axes)}, {_tuple(steps)}, {node.params[2]}, {length})"


NUMPY = Dialect(
    calls={
        **dict.fromkeys(_REDUCTIONS, reduce_call("np.")),
        "argmax": _np_argmax,
        "norm": reduce_call(),
        "logsumexp": reduce_call(),
        **dict.fromkeys(("softmax", "log_softmax", "first_max", "prod_except"), along_call()),
        "outer": plain_call("np.outer"),
        "diag": plain_call("np.diag"),
        "diagonal": plain_call("np.diagonal"),
        "trace": plain_call("np.trace"),
        "eye": _np_eye,
        "ones": lambda node, _: f"np.ones({_shape(node)}, dtype=dtype)",
        "zeros": lambda node, _: f"np.zeros({_shape(node)}, dtype=dtype)",
        "arange": lambda node, _: f"np.arange({node.shape[0]})",
        "broadcast": lambda node, args: f"np.broadcast_to({args[0]}, {_shape(node)})",
        "window": _np_windows,
        "reshape": lambda node, args: f"np.reshape({args[0]}, {_shape(node)})",
        "scatter": _np_scatter,
        "entries": plain_call("entries"),
        "add_rows": lambda node, args: f"add_rows({args[0]}, {args[1]}, {node.shape[0]})",
        "tensordot": _np_tensordot,
        "window_dot": _np_window_dot,
        "gather": lambda node, args: f"{args[0] if args[0].isidentifier() else f'({args[0]})'}[{', '.join(args[1:])}]",
        "onehot": _np_onehot,
        "einsum": _einsum("np."),
        "transpose": lambda node, args: f"np.transpose({args[0]}, {node.params})",
        **{word: plain_call(f"np.linalg.{word}") for word in ("inv", "solve", "det")},
        "logdet": lambda node, args: f"np.linalg.slogdet({args[0]})[1]",
    },
    constants={"pi": "np.pi", "inf": "np.inf"},
    function=_np_function,
    signs=False,
    flags=True,
    powers=True,
)


def program_text(node: Array) -> str | None:
    """Return the array as program text, ``None`` where the language has no words for it."""
    return text_of(shortened(for_reading(node)), PROGRAM)


def for_reading(root: Array) -> Array:
    """Return the array as a person writes it: ``x @ A @ y`` for a form, products with ones for repeated entries."""
    done: dict[int, Array] = {}
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        done[id(node)] = _readable(node if same else rebuilt(node, args))
    return done[id(root)]


def _is_pick(node: Array) -> bool:
    """Return whether the node is ``Z[n, k[n]]``, which the language reads through one-hot rows."""
    places = node.args[1:]
    return len(places) == 2 and [p.op for p in places] == ["arange", "name"] and places[1].rank == 1


def _readable(node: Array) -> Array:
    found = convolution.convolution(node) or concatenation(node)
    if found is not None:
        return found
    if node.op == "transpose" and (node.rank > 2 or node.args[0].op == "turn"):
        return convolution.turn(node.args[0], node.params)  # type: ignore[arg-type]
    if node.op == "matmul" and node.rank == 0 and node.args[0].op == "matmul":
        (matrix, x), y = node.args[0].args, node.args[1]
        if matrix.rank == 2 and x.rank == 1:
            turned = transpose_cost(matrix, (1, 0)) < 0
            x, y, matrix = (x, y, transpose(matrix, (1, 0))) if turned else (y, x, matrix)
            return matmul(matmul(x, matrix), y)
    if node.op == "gather" and _is_pick(node):
        matrix, label = node.args[0], node.args[2]
        return reduce("sum", mul([matrix, onehot(label, matrix.shape[1])]), [1])
    if node.op == "broadcast":
        x = node.args[0]
        if node.rank == 2 and x.rank == 1:
            return outer(ones(node.shape[:1]), x)
        if node.rank == 2 and x.op == "expand" and x.params == (False, True):
            return outer(x.args[0], ones(node.shape[1:]))
        return mul([x, ones(node.shape)])
    return linear.around(node)
