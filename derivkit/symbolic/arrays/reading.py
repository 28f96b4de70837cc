"""Products as a person writes them in a line of program text: transposes where they are shortest, ``x @ x`` for Σ x².

Only what is printed passes through here: kernels keep the planner's order, which is chosen for speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

from derivkit.symbolic.arrays.nodes import matmul, mul, parts
from derivkit.symbolic.arrays.nodes import reduce as reduce_nodes
from derivkit.symbolic.arrays.transposes import transpose
from derivkit.symbolic.arrays.tree import Array, Numbering, postorder, rebuilt
from derivkit.symbolic.index import ONE


def shortened(root: Array) -> Array:
    """Return the array with its products in the form that takes the fewest characters.

    >>> from derivkit.symbolic.arrays.nodes import named
    >>> from derivkit.symbolic.arrays.transposes import transpose
    >>> from derivkit.symbolic.expr import user
    >>> from derivkit.symbolic.index import Size
    >>> A, B = (named(user(c), (Size.of("N"), Size.of("N"))) for c in "AB")
    >>> turned = Array("transpose", (matmul(matmul(A, transpose(B, (1, 0))), A),), A.shape, (1, 0))
    >>> [f.op for f in chain(shortened(turned))]
    ['transpose', 'name', 'transpose']
    """
    done: dict[int, Array] = {}
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        made = node if same else rebuilt(node, args)
        done[id(node)] = _in_words(_square(_pushed(made)))
    return _everywhere_pulled(done[id(root)])


def _everywhere_pulled(root: Array) -> Array:
    """Turn whole products only: not the beginning of one that is longer."""
    done: dict[int, Array] = {}
    inner = {id(a) for node in postorder(root) if len(chain(node)) > 1 for a in node.args}
    for node in postorder(root):
        args = tuple(done[id(a)] for a in node.args)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        made = node if same else rebuilt(node, args)
        done[id(node)] = made if id(node) in inner else _pulled(made)
    return done[id(root)]


def chain(node: Array) -> list[Array]:
    """Return the factors of a product of matrices, in order, however they are bracketed."""
    if node.op != "matmul" or node.rank != 2 or any(a.rank != 2 for a in node.args):
        return [node]
    return [f for a in node.args for f in chain(a)]


def product(factors: Sequence[Array]) -> Array:
    """Return the product of matrices, bracketed from the left."""
    return reduce(matmul, factors)


def _turned(factor: Array) -> Array:
    if factor.op == "mul":
        return transpose(factor, (1, 0))  # r[:, None] * X for (r * X.T).T
    return factor.args[0] if factor.op == "transpose" else Array("transpose", (factor,), factor.shape[::-1], (1, 0))


def _pushed(node: Array) -> Array:
    """Return ``(B @ Y.T @ A).T`` as ``A.T @ Y @ B.T``: on equal counts names are turned rather than a product."""
    if node.op != "transpose" or node.rank != 2:
        return node
    factors = chain(node.args[0])
    turned = sum(f.op == "transpose" for f in factors)
    if len(factors) == 1 or len(factors) - turned > turned + 2:
        return node
    return product([_turned(f) for f in reversed(factors)])


def _pulled(node: Array) -> Array:
    """Return ``X.T @ A.T @ X.T`` as ``(X @ A @ X).T``, where so many of the factors are turned that it is shorter."""
    factors = chain(node)
    turned = sum(f.op == "transpose" for f in factors)
    if turned < 2 or 2 * turned <= len(factors) + 2:
        return node
    whole = product([_turned(f) for f in reversed(factors)])
    return Array("transpose", (whole,), node.shape, (1, 0))


def _square(node: Array) -> Array:
    """Return the sum of the squares of a named vector as ``x @ x``."""
    if node.op != "reduce" or node.params[0] != "sum" or node.rank or node.args[0].op != "pow":
        return node
    x, exponent = node.args[0].args
    if x.op != "name" or x.rank != 1 or exponent.params != (Fraction(2),):
        return node
    return matmul(x, x)


def _in_words(node: Array) -> Array:
    """Return ``mean((x - mean(x))**2)`` as ``var(x)``, its root as ``std(x)``, ``sqrt(sum(x**2))`` as ``norm(x)``, and so on."""
    if node.op == "reshape" and node.rank == 1 and node.args[0].op == "outer" and node.args[0].args[1].op == "ones":
        return Array("repeat", node.args[0].args[:1], node.shape, node.args[0].shape[1:])
    if node.op == "fn" and node.params == ("sqrt",) and node.args[0].op == "reduce" and node.args[0].params[0] == "var":
        inner = node.args[0]
        return Array("reduce", inner.args, inner.shape, ("std", *inner.params[1:]))
    if node.op == "fn" and node.params == ("sqrt",):
        return _norm(node)
    if node.op == "matmul" and node.rank == 1 and node.args[0].op == "transpose":
        return _scaled_rows(node)
    if node.op == "mul" and node.params == (1,) and len(node.args) == 2 and all(_is_natural_power(a) for a in node.args):
        return _power_of_ratio(node)
    if node.op != "reduce" or node.params[0] != "mean" or node.args[0].op != "pow":
        return node
    centred, exponent = node.args[0].args
    if exponent.params != (Fraction(2),) or centred.op != "add" or sorted(centred.params) != [-1, 1]:  # type: ignore[type-var]
        return node
    x, mean = sorted(centred.args, key=lambda a: a.op == "reduce")
    if mean.op != "reduce" or mean.params[:2] != ("mean", node.params[1]) or not _lines_up(mean):
        return node
    numbers = Numbering()
    same = numbers(mean.args[0]) == numbers(x)
    return Array("reduce", (x,), node.shape, ("var", *node.params[1:])) if same else node


def _scaled_rows(node: Array) -> Array:
    """Return ``C.T @ (1 / s[:, 0])`` as ``sum(C / s, axis=0)``: the column is there already."""
    (matrix,), weights = node.args[0].args, node.args[1]
    above, below = ([_column(a) for a in each] for each in parts(weights))
    if matrix.rank != 2 or None in (*above, *below):
        return node
    return reduce_nodes("sum", mul([matrix, *(a for a in above if a)], [b for b in below if b]), [0])


def _column(x: Array) -> Array | None:
    """Return the column, an axis of length 1 included, that ``s[:, 0]`` is read from; a scalar as it is, else ``None``."""
    if not x.rank:
        return x
    whole = x.op == "index" and len(x.args) == 1 and x.args[0].rank == 2 and x.params[0] is None
    return x.args[0] if whole and x.args[0].shape[1] == ONE else None


def _norm(root: Array) -> Array:
    """Return ``sqrt(sum(x**2, axis=1))`` as ``norm(x, axis=1)``."""
    total = root.args[0]
    if total.op == "reduce" and total.params[0] == "sum" and total.args[0].op == "pow":
        x, exponent = total.args[0].args
        if exponent.params == (Fraction(2),):
            return Array("reduce", (x,), root.shape, ("norm", *total.params[1:]))
    if total.op == "matmul" and not total.rank and total.args[0] is total.args[1]:
        return Array("reduce", total.args[:1], (), ("norm", (0,), False))
    return root


def _is_natural_power(node: Array) -> bool:
    """Say whether a node is ``x**3``, of a number beyond 1."""
    return node.op == "pow" and node.args[1].op == "number" and node.args[1].params[0] > 1  # type: ignore[operator]


def _power_of_ratio(node: Array) -> Array:
    """Return ``r**2 / c**2`` as ``(r / c)**2``."""
    (top, exponent), (bottom, below) = (a.args for a in node.args)
    if exponent.params != below.params:
        return node
    return Array("pow", (Array("mul", (top, bottom), node.shape, (1,)), exponent), node.shape)


def _lines_up(mean: Array) -> bool:
    """Say whether a mean is subtracted from what it is the mean of: kept as an axis of 1, or of leading axes."""
    axes = mean.params[1]
    return bool(mean.params[2]) or axes == tuple(range(len(axes)))  # type: ignore[arg-type]
