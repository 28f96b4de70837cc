"""Reductions over short axes that lie across long ones, as in pooling: a pass over slices for each place.

NumPy's own reduction does a few entries at a time there: 8 times as slow for windows of 3 x 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from derivkit.numeric.codegen import labels, products
from derivkit.numeric.codegen.builder import Builder, lengths
from derivkit.numeric.codegen.gathers import written_in_zeros
from derivkit.numeric.codegen.instructions import BUFFER, FLAG, REAL, Instruction, Storage, Value, literal
from derivkit.numeric.codegen.windows import part_of, source, starts_of, views_of
from derivkit.symbolic.arrays import Array
from derivkit.symbolic.arrays.nodes import reduce as reduced
from derivkit.symbolic.arrays.transposes import transpose
from derivkit.symbolic.arrays.views import reshape, window
from derivkit.symbolic.index import ONE, ZERO, Size

#: So many places are worth a line each, where each line does so many entries (measured).
PLACES, ENTRIES = 32, 512

_PASSES = {
    "sum": "add({0}, {1}, {out})",
    "mean": "add({0}, {1}, {out})",
    "max": "maximum({0}, {1}, out={out})",
    "min": "minimum({0}, {1}, out={out})",
}


def reduce(build: Builder, node: Array) -> Value | None:
    """Lower a reduction."""
    word, axes, keepdims = str(node.params[0]), node.params[1], node.params[2]
    if word == "prod" and node.rank:
        value = build.as_real(build.value(node.args[0]))
        text = f"multiply.reduce({{0}}, {axes}, None, {{out}}, {bool(keepdims)})"
        return None if value.is_number else build.emit(text, (value,), lengths(node), early=True)
    if word not in _PASSES or keepdims or not _is_short(node.args[0], axes, lengths(node)):  # type: ignore[arg-type]
        return products.reduce(build, node)
    single = _one_by_one(node.args[0], word, axes)  # type: ignore[arg-type]
    made = _passes(build, node.args[0], word, axes) if single is None else build.value(single)  # type: ignore[arg-type]
    if made is None:
        return products.reduce(build, node)
    build.recognised["a reduction over short axes: a pass for each place"] += 1
    factor = float(node.params[3]) if len(node.params) > 3 else 1.0  # type: ignore[arg-type]
    if word == "mean":
        factor /= prod(lengths(node.args[0])[n] for n in axes)  # type: ignore[attr-defined]
    return made if factor == 1 else build.ufunc("multiply", made, literal(factor))


def _is_short(x: Array, axes: Sequence[int], shape: Sequence[int]) -> bool:
    return 1 < prod(lengths(x)[n] for n in axes) <= PLACES and prod(shape) >= ENTRIES


def _one_by_one(x: Array, word: str, axes: Sequence[int]) -> Array | None:
    """Return a reduction of windows over several axes as one of the other: 2 P passes instead of P x P."""
    views, made = views_of(x), source(x)
    if len(axes) < 2 or not views:
        return None
    kept = [view for n, view in enumerate(views) if n not in axes]
    taps = {views[n][0]: views[n] for n in axes}
    if len(taps) < len(axes) or sorted(n for n, _, _ in kept) != list(range(made.rank)):
        return None
    for n, *_ in sorted(kept):
        starts = [Size.of(starts_of(x)[n]) if k == n else ZERO for k in range(made.rank)]
        plain = [(k, ONE, length) for k, length in enumerate(made.shape)]
        own = [view for view in (*kept, *taps.values()) if view[0] == n]
        made = window(made, starts, [*plain[:n], *((n, Size.of(s), Size.of(c)) for _, s, c in own), *plain[n + 1 :]])
        made = reduced("sum" if word == "mean" else word, made, (n + 1,)) if n in taps else made
    return transpose(made, [n for n, _, _ in kept])


def _passes(build: Builder, x: Array, word: str, axes: Sequence[int]) -> Value | None:
    """Lower a reduction as passes over slices."""
    v = build.value(x)
    before, behind = tuple(axes) == tuple(range(len(axes))), tuple(axes) == tuple(range(x.rank - len(axes), x.rank))
    if v.is_number or (v.whole and (before or (behind and word in ("sum", "mean")))):
        return None
    v, rows = build.as_real(v), 0 not in axes and v.has_rows
    parts = [_at(v, axes, place, rows) for place in product(*(range(v.shape[n]) for n in axes))]
    lines = [_PASSES[word]]
    lines += [_PASSES[word].format("{out}", f"{{{n}}}", out="{out}") for n in range(2, len(parts))]
    cut = (True,) * len(parts) if rows else ()
    storage = Storage("u", parts[0].shape, REAL, BUFFER)
    build.instructions.append(Instruction("; ".join(lines), tuple(parts), storage, inplace=False, rows=cut))
    return Value(storage.shape, REAL, storage)


def _at(v: Value, axes: Sequence[int], place: Sequence[int], rows: bool) -> Value:
    """Return what lies at a place along some axes."""
    at = dict(zip(axes, map(str, place), strict=True))
    items = [at.get(n, ":") for n in range(len(v.shape))]
    return part_of(v, items, tuple(length for n, length in enumerate(v.shape) if n not in at), rows)


def along(build: Builder, node: Array) -> Value | None:
    """Lower what goes along axes and keeps the shape."""
    word, axes, x = str(node.params[0]), tuple(int(n) for n in node.params[1]), node.args[0]  # type: ignore[attr-defined]
    if word not in ("softmax", "log_softmax", "first_max") or build.value(x).is_number:
        return None
    kept = [n for k, n in enumerate(lengths(x)) if k not in axes]
    if word == "first_max" and _is_short(x, axes, kept):
        return _marks(build, x, axes)
    if axes != (x.rank - 1,):
        return build.value(_along_last(node, axes))
    return _first_of_rows(build, build.whole(build.as_real(build.value(x)))) if word == "first_max" else labels.along(build, node)


def _marks(build: Builder, x: Array, axes: tuple[int, ...]) -> Value:
    """Lower the marks of the first largest entry by comparing what lies at each place with the largest."""
    build.recognised["the first of the largest entries: a comparison for each place"] += 1
    top, v = build.value(reduced("max", x, axes)), build.as_real(build.value(x))
    shape = top.shape
    rows = 0 not in axes and v.has_rows
    places = list(product(*(range(v.shape[n]) for n in axes)))
    values = [_at(v, axes, place, rows) for place in places]
    both = (True, True) if rows else ()
    here = build.emit("equal({0}, {1}, {out})", (values[0], top), shape, FLAG, rows=both)
    found = build.emit("copyto({out}, {0})", (here,), shape, FLAG, rows=both[:1])
    storage = Storage("marks", v.shape, FLAG, BUFFER)
    marks = Value(v.shape, FLAG, storage)
    own = [_at(marks, axes, place, rows) for place in places]
    reads, lines = [here, found, top, own[0]], ["copyto({3}, {0})"]
    for value, mark in zip(values[1:], own[1:], strict=True):
        n = len(reads)
        lines += [f"equal({{{n}}}, {{2}}, {{0}})", f"greater({{0}}, {{1}}, {{{n + 1}}})", "maximum({0}, {1}, out={1})"]
        reads += [value, mark]
    cut = (True,) * len(reads) if rows else ()
    build.instructions.append(Instruction("; ".join(lines[:-1]), tuple(reads), storage, inplace=False, rows=cut))
    return marks


def _along_last(node: Array, axes: tuple[int, ...]) -> Array:
    """Return what goes along some axes as the same along one, the last."""
    x, (word, _, *factor) = node.args[0], node.params
    others = [n for n in range(x.rank) if n not in axes]
    order = [*others, *axes]
    turned, count = _turned(x, order), ONE
    for n in axes:
        count = count * x.shape[n]
    flat = reshape(turned, [*(x.shape[n] for n in others), count])
    made = reshape(Array("along", (flat,), flat.shape, (word, (flat.rank - 1,), *factor)), turned.shape)
    return _turned(made, [order.index(n) for n in range(x.rank)])


def _turned(x: Array, order: Sequence[int]) -> Array:
    """Return an array transposed as it stands: pushed inwards the transpose would be found again."""
    if list(order) == list(range(x.rank)):
        return x
    return Array("transpose", (x,), tuple(x.shape[n] for n in order), tuple(order))


def _first_of_rows(build: Builder, v: Value) -> Value:
    """Return zeros with a 1 at the largest entry of each row."""
    place = labels.largest(build, v.reshaped(v.entries // v.shape[-1], v.shape[-1]))
    return written_in_zeros(build, "{1}[{0}] = 1", (place,), v.shape)
