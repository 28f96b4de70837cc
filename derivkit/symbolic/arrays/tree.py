"""The node of an array expression, and walks over it.  Nodes are made by the constructors in ``nodes`` only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from derivkit.errors import DerivkitError
from derivkit.symbolic.index import Size

#: Every operation, with the meaning of its parameters.
OPS: dict[str, str] = {
    "name": "(Name,): an input or a definition",
    "number": "(Fraction,)",
    "constant": "(str,): pi or inf",
    "size": "(Size,): a size as a number",
    "add": "signs, one for each operand",
    "mul": "(n,): the first n operands are factors, the others divisors; scalars come first",
    "pow": "base, exponent",
    "fn": "(name,): a row of the elementwise table",
    "transpose": "axes",
    "matmul": "NumPy's @ for any ranks",
    "outer": "of two vectors",
    "reduce": "(name, axes, keepdims): sum mean max min prod norm logsumexp argmax, in reading var std",
    "along": "(name, axes): softmax log_softmax first_max prod_except, of the operand's shape",
    "diag": "the diagonal matrix of a vector",
    "diagonal": "the diagonal of a matrix",
    "trace": "the sum of a matrix's diagonal",
    "eye": "1 on the diagonal; the shape may be oblong",
    "ones": "ones of the shape",
    "zeros": "zeros of the shape",
    "expand": "for each axis of the result whether it is new, of length 1",
    "broadcast": "the operand repeated to the shape",
    "index": "for each axis of the first operand: None (kept), a Size, or the label operand's place",
    "gather": "all axes read at once: an integer operand for each axis, broadcast together",
    "arange": "0, 1, ... along one axis",
    "window": "(starts, (axis, step, length) for each axis of the result): the operand read at starts + steps, 0 outside",
    "scatter": "(axes, steps, start): axes[0] becomes the axis of start + Σ steps · positions, the other axes are added up",
    "conv": "(strides, paddings, dilations): the cross-correlation of two arrays (in reading only, as turn and flip)",
    "turn": "axes, as transpose",
    "flip": "axes",
    "concat": "(axis,): the operands one behind the other (in reading only)",
    "repeat": "(n,): each entry of a vector n times (in reading only)",
    "reshape": "the same entries in the shape of the result",
    "entries": "as gather, 0 where a position is out of range",
    "onehot": "(label or Size,): 1 where the last axis equals the label",
    "einsum": "(spec,)",
    "tensordot": "(axes of the first, axes of the second): summed over pairs of axes",
    "window_dot": "tensordot whose first operand is a window",
    "add_rows": "(length,): rows of the second operand added up by the labels in the first",
    "inv": "of the last two axes, as those below",
    "solve": "NumPy's solve: a matrix, and a vector or columns",
    "det": "the determinant",
    "logdet": "log |det|",
}


class NoArrayForm(DerivkitError):
    """The expression cannot be planned as arrays: a primitive of the table has no array form yet, say."""

    def __init__(self, message: str) -> None:
        """Say what stands in the way."""
        super().__init__(message, code="DK032", hint="use index notation")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the message."""
        return (NoArrayForm, (self.message,))


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """One operation on arrays; nodes are shared, and compared by identity (see :class:`Numbering`)."""

    op: str
    args: tuple[Array, ...]
    shape: tuple[Size, ...]
    params: tuple[object, ...] = ()

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)


class Numbering:
    """Value numbers: equal numbers for nodes that compute the same, found in one walk over the DAG.

    >>> two, again = Array("number", (), (), (2,)), Array("number", (), (), (2,))
    >>> numbers = Numbering()
    >>> two == again, numbers(two) == numbers(again)
    (False, True)
    """

    def __init__(self) -> None:
        """Begin with no numbers."""
        self._by_id: dict[int, tuple[Array, int]] = {}
        self._by_value: dict[tuple[object, ...], int] = {}

    def __call__(self, node: Array) -> int:
        """Return the number of ``node``."""
        for each in postorder(node):
            if id(each) not in self._by_id:
                args = tuple(self._by_id[id(a)][1] for a in each.args)
                value = self._by_value.setdefault((each.op, each.params, each.shape, args), len(self._by_value))
                self._by_id[id(each)] = (each, value)  # the node is kept alive, so its id stays its own
        return self._by_id[id(node)][1]


def postorder(root: Array) -> Iterator[Array]:
    """Yield every node of the DAG once, operands before the operation."""
    seen: set[int] = set()
    stack: list[tuple[Array, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))


def rebuilt(node: Array, args: tuple[Array, ...]) -> Array:
    """Return the same operation on other operands of the same shapes."""
    return Array(node.op, args, node.shape, node.params)
