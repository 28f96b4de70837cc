"""Reads and sums at labels, one-hot rows, diagonals: written into memory that is there, where NumPy's words make arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from derivkit.numeric.codegen import products
from derivkit.numeric.codegen.builder import Builder, lengths
from derivkit.numeric.codegen.instructions import BUFFER, PLACE, REAL, Instruction, Storage, Value
from derivkit.numeric.codegen.labels import places
from derivkit.symbolic.arrays import Array

#: Rows are added up by a product with one-hot rows for so few labels, else at places of the flat array (measured).
_FEW = 16


def index(build: Builder, node: Array) -> Value | None:
    """Lower a read at fixed places, or at the labels in an array."""
    at = [n for n, sub in enumerate(node.params) if isinstance(sub, int)]
    if len(at) != 1 or len(node.args) != 2 or any(sub is not None for sub in (*node.params[: at[0]], *node.params[at[0] + 1 :])):
        return products.index(build, node)
    x, label = (build.value(a) for a in node.args)
    if x.is_number or label.is_number or not label.shape or x.holds != REAL:
        return None
    rows = (False, True) if not at[0] and label.has_rows else ()
    return build.emit(f"{{0}}.take({{1}}, {at[0]}, {{out}}, 'clip')", (x, label), lengths(node), rows=rows)


def written_in_zeros(build: Builder, text: str, reads: Sequence[Value], shape: tuple[int, ...], step: int = 1) -> Value:
    """Append an instruction that fills zeros, of which ``text`` knows each ``step``-th of the flat array by the last number."""
    storage = Storage("u", shape, REAL, BUFFER)
    whole = Value(shape, REAL, storage)
    part = whole.flat() if step == 1 else whole.view(f"{{}}.reshape({prod(shape)})[::{step}]", (-(-prod(shape) // step),))
    build.instructions.append(Instruction("{out}.fill(0); " + text, (*reads, part), storage, inplace=False))
    return whole


def onehot(build: Builder, node: Array) -> Value | None:
    """Lower one-hot rows: zeros, and a 1 in each; of a fixed label they are made once."""
    shape = lengths(node)
    if not node.args:
        place = int(node.params[0].literal or 0)  # type: ignore[attr-defined]
        return build.constant(f"np.eye(1, {shape[0]}, {place})", (1, *shape), "mark").reshaped(*shape) if place >= 0 else None
    label = build.value(node.args[0])
    if label.is_number:
        return None
    if not label.shape:
        return written_in_zeros(build, "{1}[{0}] = 1", (label,), shape)
    return written_in_zeros(build, "{1}[{0}] = 1", (places(build, node.args[0], shape[-1]),), shape)


def diag(build: Builder, node: Array) -> Value | None:
    """Lower a diagonal matrix: zeros, and the vector on the diagonal."""
    v, (count, _) = build.value(node.args[0]), lengths(node)
    if v.is_number:
        return None
    return written_in_zeros(build, "copyto({1}, {0})", (build.as_real(v),), (count, count), step=count + 1)


def arange(build: Builder, node: Array) -> Value:
    """Return the positions along an axis: made once."""
    shape = lengths(node)
    return build.constant(f"np.arange({shape[0]})", shape, "places", PLACE)


def add_rows(build: Builder, node: Array) -> Value | None:
    """Lower the sum of rows by their labels."""
    label, values, shape = build.value(node.args[0]), build.value(node.args[1]), lengths(node)
    if label.is_number or values.is_number or not label.shape or not min(values.shape):
        return None
    build.recognised["rows added up by their labels"] += 1
    count, width = label.entries, prod(shape[1:])
    rows = build.whole(build.as_real(values)).reshaped(count, width)
    if shape[0] <= _FEW:
        marks = onehot(build, Array("onehot", (node.args[0],), (*node.args[0].shape, node.shape[0])))
        if marks is None:
            return None
        turned = marks.reshaped(count, shape[0]).view("{}.T", (shape[0], count))
        return build.emit("{0}.dot({1}, {out})", (turned, rows), (shape[0], width)).reshaped(*shape)
    flat = build.whole(label).flat()
    if width > 1:
        first = build.emit(f"multiply({{0}}, {width}, {{out}})", (flat,), (count,), PLACE)
        along = build.constant(f"np.arange({width})", (width,), "along", PLACE)
        flat = build.emit("add({0}, {1}, {out})", (first.column(), along), (count, width), PLACE).flat()
    return written_in_zeros(build, "add.at({2}, {0}, {1})", (flat, rows.flat()), shape)


def einsum(build: Builder, node: Array) -> Value | None:
    """Lower what is no product of two matrices."""
    values = [build.as_real(build.value(a)) for a in node.args]
    if not node.rank or any(v.is_number for v in values):
        return None
    operands = ", ".join(f"{{{n}}}" for n in range(len(values)))
    return build.emit(f"np.einsum('{node.params[0]}', {operands}, out={{out}})", values, lengths(node))
