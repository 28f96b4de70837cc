"""Arrays as they are computed: contractions by one matrix product each, embedding gradients by adding up rows.

The planner says what is computed in the words of a reader (``einsum``, ``onehot(k, V).T @ G``); this pass says how.
"""

from __future__ import annotations

from derivkit.symbolic.arrays.convolution import is_panel, letters_of
from derivkit.symbolic.arrays.nodes import add_rows, arange, fn, size, tensordot
from derivkit.symbolic.arrays.transposes import transpose
from derivkit.symbolic.arrays.tree import Array, postorder, rebuilt
from derivkit.symbolic.arrays.views import window
from derivkit.symbolic.index import ONE, ZERO, Size
from derivkit.symbolic.ranges import at_least


def for_running(root: Array) -> Array:
    """Return an array of the same value that NumPy computes fast, and that reads 0 where a place is out of range."""
    done: dict[int, Array] = {}
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        made = node if same else rebuilt(node, args)
        for rule in (_contraction, _rows, _places, _place, _turns):
            made = rule(made) or made
        done[id(node)] = made
    return done[id(root)]


def _contraction(node: Array) -> Array | None:
    """Write a contraction of two arrays without a common kept axis as one matrix product (einsum has none)."""
    letters = letters_of(node)
    if letters is None:
        return None
    a, b, result = letters
    x, y = node.args
    gone = [c for c in a if c in b and c not in result]
    if not gone or set(a) & set(b) & set(result):
        return None
    if is_panel(y) and not is_panel(x):
        x, y, a, b = y, x, b, a
    gone = [c for c in a if c in gone]
    word = "window_dot" if is_panel(x) else "tensordot"
    made = tensordot(x, y, [a.index(c) for c in gone], [b.index(c) for c in gone], word)
    axes = [c for c in a + b if c not in gone]
    return transpose(made, [axes.index(c) for c in result])


def _turns(node: Array) -> Array | None:
    """Write two transposes as one."""
    if node.op != "transpose" or node.args[0].op != "transpose":
        return None
    return transpose(node.args[0], node.params)  # type: ignore[arg-type]


def _rows(node: Array) -> Array | None:
    """Write ``onehot(k, V).T @ G``, rows added where the labels say, as that."""
    if node.op == "matmul" and node.args[0].op == "transpose" and node.args[0].params == (1, 0):
        marks, values = node.args[0].args[0], node.args[1]
        return add_rows(marks.args[0], values, marks.shape[1]) if _is_marks(marks) and values.rank <= 2 else None
    if node.op != "tensordot":
        return None
    sides = list(zip(node.args, node.params, strict=True))
    for n, ((marks, over), (values, axes)) in enumerate((sides, sides[::-1])):
        pairs = sorted(zip(over, axes, strict=True))  # type: ignore[call-overload]
        if _is_marks(marks) and [a for a, _ in pairs] == list(range(marks.rank - 1)):
            first = [b for _, b in pairs]
            made = add_rows(
                marks.args[0], transpose(values, first + [b for b in range(values.rank) if b not in first]), marks.shape[-1]
            )
            return made if n == 0 else transpose(made, [*range(1, made.rank), 0])
    return None


def _is_marks(node: Array) -> bool:
    return node.op == "onehot" and bool(node.args)


def _places(node: Array) -> Array | None:
    """Read a fixed place that may lie beyond its axis as a window, which is 0 there."""
    if node.op != "index" or len(node.args) > 1:
        return None
    x = node.args[0]
    pairs = list(zip(node.params, x.shape, strict=True))
    if all(s is None or _holds(s, length) for s, length in pairs):
        return None
    starts = [ZERO if s is None else s for s, _ in pairs]
    return window(x, starts, [(n, ONE, length) for n, (s, length) in enumerate(pairs) if s is None])  # type: ignore[arg-type]


def _place(node: Array) -> Array | None:
    """Write a one-hot vector whose place may lie beyond its axis as a comparison."""
    if node.op != "onehot" or node.args or _holds(node.params[0], node.shape[0]):
        return None
    return fn("equal", arange(node.shape[0]), size(node.params[0]))  # type: ignore[arg-type]


def _holds(place: object, length: Size) -> bool:
    return isinstance(place, Size) and at_least(place) and at_least(length - place, 1)
