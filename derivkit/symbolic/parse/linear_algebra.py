"""Inverses, solutions and determinants: primitives that bind the rows and the columns of a matrix, or of a stack of them."""

from __future__ import annotations

from derivkit.symbolic.expr import Expr, Mul, Num, Pow, Prim, Ref, substitute
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.parse import algebra
from derivkit.symbolic.parse.arguments import Arguments, Row, wrong
from derivkit.symbolic.parse.context import Context, Value, ordered, pairs
from derivkit.symbolic.parse.shapes import shown
from derivkit.symbolic.parse.syntax import Place


def _matrix(context: Context, arguments: Arguments) -> Value:
    """Return the first argument, which must be a square matrix or a stack of such."""
    x = context.whole(arguments.x)
    if len(x.axes) < 2:
        message = f"{arguments.function} of an array of shape {shown(x.shape)}: it has no rows and columns"
        raise wrong(context, arguments, x.place, message)
    _check_square(context, x)
    return x


def _check_square(context: Context, x: Value) -> None:
    if not context.sizes.unify(*x.shape[-2:]):
        hint = "an inverse and a determinant are of a square matrix; least squares is solve(A.T @ A, A.T @ b)"
        raise context.error(x.place, f"a matrix of shape {shown(x.shape[-2:])} is not square", "DK012", hint)


def of_matrix(context: Context, op: str, x: Value, place: Place) -> Value:
    """Return ``inv``, ``det`` or ``logdet`` of a matrix over the last two axes; of a single number what that means."""
    _check_square(context, x)
    lead, row, column = x.axes[:-2], *x.axes[-2:]
    axes = x.axes if op == "inv" else lead
    if row is None or column is None:
        one = Value(axes, x.expr, place)
        return _OF_NUMBER[op](context, one, place) if op in _OF_NUMBER else one
    argument = _plain(context, x, "A")
    at: tuple[Index, ...] = (row, column) if op == "inv" else ()
    if _is_turned(argument, row, column):  # the inverse of Aᵀ is that of A, transposed
        row, column, at = column, row, at[::-1]
    inner = (row.fresh(), column.fresh())
    expr = substitute(argument, pairs((row, column), inner))
    return Value(axes, Prim(op, inner, (expr,), tuple(map(Affine.of, at))), place)


_OF_NUMBER = {
    "inv": lambda context, x, place: algebra.power(context, x, Value((), Num(-1), place), place),
    "logdet": lambda context, x, place: algebra.apply(context, "log", [algebra.apply(context, "abs", [x], place)], place),
}


def _is_turned(argument: Expr, row: Index, column: Index) -> bool:
    if not isinstance(argument, Ref):
        return False
    read = [s.bare for s in argument.subs]
    return column in read and row in read and read.index(column) < read.index(row)


def _plain(context: Context, x: Value, hint: str) -> Expr:
    """Return the argument as an array read at its axes, under a name when it is anything else."""
    if context.is_plain(x.expr) and frozenset(x.indices) <= x.expr.free:
        return x.expr
    return context.named(x.expr, hint, ordered({*x.expr.free, *x.indices}, x.indices), always=True)


def _of(context: Context, arguments: Arguments) -> Value:
    return of_matrix(context, arguments.function, _matrix(context, arguments), arguments.place)


def _solve(context: Context, arguments: Arguments) -> Value:
    """Return x with A x = b: b is a vector, or a matrix (a stack of matrices) of columns, as NumPy reads it."""
    matrix = _matrix(context, arguments)
    right = context.whole(arguments.values["b"])
    if not right.axes:
        raise wrong(context, arguments, right.place, "the right-hand side is a vector or a matrix, this is a scalar")
    along = -1 if len(right.axes) == 1 else -2
    (row, column), across = matrix.axes[-2:], right.axes[along]
    same = (row is None) == (across is None) and (row is None or across is None or context.sizes.unify(row.size, across.size))
    if not same:
        raise context.misfit(matrix, right, "solve(A, b) needs as many rows in b as in A")
    tail = () if along == -1 else right.axes[-1:]
    if row is None or column is None or across is None:
        lead = Value(matrix.axes[:-2], matrix.expr, matrix.place)
        rest = Value(right.axes[: max(0, len(right.axes) - 2)], right.expr, right.place)
        axes, (below, above) = context.broadcast([lead, rest])
        return Value((*axes, None, *tail), Mul((above, Pow(below, Num(-1)))), arguments.place)
    first = Value(matrix.axes[:-2], _plain(context, matrix, "A"), matrix.place)
    second = Value(right.axes[: max(0, len(right.axes) - 2)], _plain(context, right, "b"), right.place)
    axes, (a, b) = context.broadcast([first, second])
    inner = (row.fresh(), column.fresh())
    args = (substitute(a, pairs((row, column), inner)), substitute(b, pairs((across,), inner[:1])))
    return Value((*axes, column, *tail), Prim("solve", inner, args, (Affine.of(column),)), arguments.place)


ROWS: dict[str, Row] = {
    "inv": Row(_of, frozenset()),
    "det": Row(_of, frozenset()),
    "logdet": Row(_of, frozenset()),
    "solve": Row(_solve, frozenset()),
}
