"""Matrix products, sums and views: a sum over rows or columns is a product with ones, which BLAS does at memory speed."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from derivkit.numeric.codegen.builder import LARGE, SMALL, Builder, lengths
from derivkit.numeric.codegen.instructions import REAL, Value, literal
from derivkit.numeric.codegen.labels import exponentials, is_of_labels
from derivkit.symbolic.arrays import Array
from derivkit.symbolic.arrays.nodes import mul as product
from derivkit.symbolic.arrays.slices import slices

# -- leaves and views -----------------------------------------------------------------------------------------------------


def name(build: Builder, node: Array) -> Value:
    """Return the input or the definition."""
    return build.known[node.params[0]]


def number(_: Builder, node: Array) -> Value:
    """Return a number."""
    return literal(float(node.params[0]))  # type: ignore[arg-type]


def ones(build: Builder, node: Array) -> Value:
    """Return ones, or zeros: made once."""
    shape = lengths(node)
    return build.constant(f"np.{node.op}({shape})", shape, node.op)


def eye(build: Builder, node: Array) -> Value:
    """Return the identity: made once."""
    rows, columns = shape = lengths(node)
    return build.constant(f"np.eye({rows}, {columns})", shape, "eye")


def transpose(build: Builder, node: Array) -> Value:
    """Return a view with its axes in another order."""
    x = build.value(node.args[0])
    if node.params == tuple(range(node.rank))[::-1]:
        return x.view("{}.T", lengths(node), whole=min(x.shape, default=1) == 1 and len(x.shape) == 2 and x.whole)
    return x.view("np.transpose({}, " + f"{node.params})", lengths(node))


def expand(build: Builder, node: Array) -> Value:
    """Return a view with new axes of length 1."""
    x = build.value(node.args[0])
    if x.is_number:
        return build.filled(x.number, lengths(node), always=True)
    return x.view("{}[" + ", ".join("None" if new else ":" for new in node.params) + "]", lengths(node), whole=x.whole)


def broadcast(build: Builder, node: Array) -> Value:
    """Return a view that repeats entries."""
    x, shape = build.value(node.args[0]), lengths(node)
    if x.is_number:
        return build.filled(x.number, shape, always=True)
    return x.view("np.broadcast_to({}, " + f"{shape})", shape)


def reshape(build: Builder, node: Array) -> Value:
    """Return the same entries in another shape."""
    x, shape = build.value(node.args[0]), lengths(node)
    return build.whole(x).reshaped(*shape)


def index(build: Builder, node: Array) -> Value | None:
    """Return a view at fixed places."""
    x, shape = build.value(node.args[0]), lengths(node)
    if len(node.args) > 1 or x.is_number or not shape:
        return None
    items = [":" if s is None else str(s) for s in node.params]
    first = all(s is not None for s in node.params[: len(items) - len(shape)])
    return x.view("{}[" + ", ".join(items) + "]", shape, whole=x.whole and first)


def window(build: Builder, node: Array) -> Value | None:
    """Return a slice as a view."""
    x, part = build.value(node.args[0]), slices(node)
    return None if part is None or x.is_number else x.view("{}[" + part + "]", lengths(node))


def diagonal(build: Builder, node: Array) -> Value | None:
    """Return a view of the diagonal."""
    x = build.value(node.args[0])
    return None if x.is_number else x.view("np.diagonal({})", lengths(node))


# -- products -------------------------------------------------------------------------------------------------------------


def matmul(build: Builder, node: Array) -> Value | None:
    """Lower ``a @ b``: ``dot`` into a buffer; a product over an axis of length 1 by broadcasting."""
    a, b = (build.as_real(build.value(x)) for x in node.args)
    shape = lengths(node)
    if a.is_number or b.is_number:
        return None
    if len(a.shape) == 1 and len(b.shape) == 1:
        return build.emit("{out} = {0}.dot({1})", (a, b), ())
    if max(len(a.shape), len(b.shape)) > 2:
        return build.emit("np.matmul({0}, {1}, {out})", (a, b), shape)
    if len(a.shape) == 2 == len(b.shape) and a.shape[1] == 1:
        build.recognised["a product of rank 1: broadcasting"] += 1
        return build.emit("multiply({0}, {1}, {out})", (a, b), shape)
    if len(a.shape) == 2 == len(b.shape) and a.shape[0] == 1 and a.whole:  # a row is a vector, whose product is a simpler call
        return build.emit("{0}.dot({1}, {out_flat})", (a.flat(), b), shape)
    rows = (True, False) if len(b.shape) == 1 else ()
    return build.emit("{0}.dot({1}, {out})", (a, b), shape, rows=rows)


def outer(build: Builder, node: Array) -> Value:
    """Lower an outer product by broadcasting."""
    a, b = (build.as_real(build.value(x)) for x in node.args)
    return build.emit("multiply({0}, {1}, {out})", (a.column(), b), lengths(node))


# -- reductions -----------------------------------------------------------------------------------------------------------


def reduce(build: Builder, node: Array) -> Value | None:
    """Lower a sum, a mean or an extreme."""
    word, axes, keepdims = node.params[:3]
    if word not in ("sum", "mean", "max", "min"):
        return None
    x, shape = node.args[0], lengths(node)
    kept = tuple(n for k, n in enumerate(lengths(x)) if k not in axes)  # type: ignore[operator]
    if word in ("max", "min"):
        value = build.as_real(build.value(x))
        return None if value.is_number else _extreme(build, f"{word}imum", value, tuple(axes), bool(keepdims), shape)  # type: ignore[arg-type]
    count = prod(lengths(x)[k] for k in axes)  # type: ignore[attr-defined]
    factor = (float(node.params[3]) if len(node.params) > 3 else 1.0) / (count if word == "mean" else 1)  # type: ignore[arg-type]
    made = _sum(build, x, tuple(axes), kept)  # type: ignore[arg-type]
    if factor != 1:
        made = build.ufunc("multiply", made, literal(factor))
    if not keepdims or made.shape == shape:
        return made
    if made.storage is None or not made.shape:
        return build.emit("{out}[...] = {0}", (made,), shape)
    return made.reshaped(*shape)


def _extreme(build: Builder, word: str, x: Value, axes: tuple[int, ...], keepdims: bool, shape: tuple[int, ...]) -> Value:
    if not shape:
        return build.emit(f"{{out}} = {word}.reduce({{0}}, None)", (x,), (), early=True)
    return build.emit(f"{word}.reduce({{0}}, {axes}, None, {{out}}, {keepdims})", (x,), shape, early=True)


def _sum(build: Builder, x: Array, axes: tuple[int, ...], kept: tuple[int, ...]) -> Value:
    log_of = (_of_labels(build, x) or _cross_entropy(build, x)) if len(axes) == x.rank else None
    if log_of is not None:
        return log_of
    pair = _pair(build, x, axes)
    if pair is not None:
        return pair
    value = build.as_real(build.value(x))
    if value.is_number:
        return literal(value.number * prod(lengths(x)))
    if not kept:
        return _total(build, value)
    rank = len(value.shape)
    if value.whole and axes in (tuple(range(len(axes))), tuple(range(rank - len(axes), rank))):
        return (_row_sums if axes[-1] == rank - 1 else _column_sums)(build, value, prod(kept)).reshaped(*kept)
    return build.emit(f"add.reduce({{0}}, {axes}, None, {{out}})", (value,), kept, early=True)


_AS_PRODUCT = "a sum over rows or columns: a product with ones"


def _row_sums(build: Builder, value: Value, rows: int) -> Value:
    count = value.entries // rows
    build.recognised[_AS_PRODUCT] += 1
    return build.emit(
        "{0}.dot({1}, {out})", (value.reshaped(rows, count), build.ones(count)), (rows,), early=True, rows=(True, False)
    )


def _column_sums(build: Builder, value: Value, count: int) -> Value:
    rows = value.entries // count
    build.recognised[_AS_PRODUCT] += 1
    reads, adding = (build.ones(rows), value.reshaped(rows, count)), "add({out}, {0}.dot({1}), {out})"
    return build.emit("{0}.dot({1}, {out})", reads, (count,), early=True, rows=(True, True), adding=adding)


def _pair(build: Builder, x: Array, axes: Sequence[int]) -> Value | None:
    """Lower the sum of a product of two arrays, or of a square, without the product: all of it, or over the last axis."""
    if x.op == "pow" and x.args[1].op == "number" and x.args[1].params[0] == 2:
        factors, factor = [x.args[0], x.args[0]], 1.0
    elif x.op == "mul" and x.params[0] == len(x.args) and not build.is_shared(x):
        factors = [a for a in x.args if a.op != "number"]
        factor = 1.0
        for number_ in (a for a in x.args if a.op == "number"):
            factor *= float(number_.params[0])  # type: ignore[arg-type]
    else:
        return None
    if len(factors) < 2 or any(f.shape != x.shape for f in factors[-2:]) or list(axes) != list(range(x.rank - len(axes), x.rank)):
        return None
    *others, last = factors
    first = build.value(others[0] if len(others) == 1 else product(others))
    values = [build.as_real(first), build.as_real(build.value(last))]
    if any(v.is_number or v.shape != lengths(x) for v in values) or (len(axes) == x.rank and not all(v.whole for v in values)):
        return None
    build.recognised["a sum of products: no array of products"] += 1
    if len(axes) == x.rank:
        made = build.emit("{out} = {0}.dot({1})", [v.flat() for v in values], (), early=True)
    elif len(axes) == 1:
        made = build.emit("vecdot({0}, {1}, {out})", values, lengths(x)[:-1], early=True, rows=(True, True))
    else:
        return None
    return build.ufunc("multiply", made, literal(factor)) if factor != 1 else made


def _total(build: Builder, value: Value) -> Value:
    """Return the sum of all entries: of few by a product, of many by NumPy's pairwise sum, which keeps the digits."""
    if not value.shape:
        return value
    if value.whole and value.entries <= SMALL:
        return build.emit("{out} = {0}.dot({1})", (value.flat(), build.ones(value.entries)), (), early=True)
    return build.emit("{out} = add.reduce({0}, None)", (value.flat() if value.whole else value,), (), early=True)


def _of_labels(build: Builder, x: Array) -> Value | None:
    """Lower Σ log softmax(z)[label]: two sums of numbers that are not far apart."""
    if not is_of_labels(x) or x.args[0].op != "along" or x.args[0].params != ("log_softmax", (1,)) or build.is_shared(x):
        return None
    shared = exponentials(build, x.args[0].args[0])
    return build.ufunc("subtract", _total(build, shared.distance_of_label(x.args[2])), _total(build, shared.logarithm()))


def _cross_entropy(build: Builder, x: Array) -> Value | None:
    """Lower Σ t · log softmax(z) as Σ t · (z - max) less Σ (Σ t) log Σ e: the logarithms are one a row."""
    if x.rank != 2 or x.op != "mul" or x.params[0] != len(x.args) or len(x.args) != 2 or build.is_shared(x):
        return None
    place = next((n for n, a in enumerate(x.args) if a.op == "along" and a.params == ("log_softmax", (1,))), None)
    if place is None or build.is_shared(x.args[place]):
        return None
    target = build.as_real(build.value(x.args[1 - place]))
    if target.is_number or target.shape != lengths(x) or not target.whole or target.holds != REAL:
        return None
    shared = exponentials(build, x.args[place].args[0])
    rows, count = target.shape
    if target.entries <= LARGE:
        near = build.emit("{out} = {0}.dot({1})", (target.flat(), shared.distance.flat()), (), early=True)
    else:
        near = _total(
            build, build.emit("vecdot({0}, {1}, {out})", (target, shared.distance), (rows,), early=True, rows=(True, True))
        )
    if x.args[1 - place].op == "name" and x.args[1 - place].params[0] in build.onehot:
        below = _total(build, shared.logarithm())
    else:
        share = build.emit("{0}.dot({1}, {out})", (target, build.ones(count)), (rows,), early=True, rows=(True, False))
        logarithm = shared.logarithm()
        if rows == 1:
            below = build.ufunc("multiply", _total(build, share), logarithm)
        else:
            below = build.emit("{out} = {0}.dot({1})", (share, logarithm), ())
    return build.ufunc("subtract", near, below)
