"""Labels and softmax over the last axis: one pass for the exponentials, whatever is read of them.

With ``top`` the place of the largest entry, ``e = exp(z - z[top])`` and ``r`` the sum of the *other* entries of ``e``:
softmax is ``e / (1 + r)`` and its logarithm ``z - z[top] - log1p(r)``, which keeps the digits of a loss near 0.
(``argmax`` and one entry read are also faster than ``max`` in NumPy 2.)
"""

from __future__ import annotations

from derivkit.numeric.codegen.builder import Builder, lengths, plain
from derivkit.numeric.codegen.instructions import PLACE, Value
from derivkit.symbolic.arrays import Array

ONE = Value((), number=1.0)


def places(build: Builder, label: Array, count: int) -> Value:
    """Return the positions of the labelled entries in a flat array of rows of ``count`` entries."""
    key = ("places", build.numbers(label), count)
    if key not in build.notes:
        value = build.value(label)
        first = _first(build, value.entries, count)
        text = "add({0}, {1}, {out})"
        build.notes[key] = build.emit(
            text,
            (value.view("{}.reshape(-1)", (value.entries,)), first),
            (value.entries,),
            PLACE,
            hint="place",
            rows=(True, True),
        )
    return build.notes[key]


def _first(build: Builder, rows: int, count: int) -> Value:
    return build.constant(f"np.arange(0, {rows * count}, {count})", (rows,), "first", PLACE)


def less_onehot(build: Builder, total: Value, mark: Array, factor: float) -> Value:
    """Return ``total - factor * onehot(label)``: one entry of each row changes."""
    shape = lengths(mark)
    if total.shape != shape:
        whole = build.filled(0.0, shape, always=True)
        total = build.emit(
            "add({0}, {1}, {out})", (build.filled(total.number, shape, always=True) if total.is_number else total, whole), shape
        )
    label = mark.args[0]
    if label.rank == 0:
        return build.emit("{out}[{1}] -= " + plain(factor), (total, build.value(label)), shape, updates=True)
    place = places(build, label, shape[-1])
    return build.emit("{out_flat}[{1}] -= " + plain(factor), (total, place), shape, updates=True, rows=(True, True))


class Exponentials:
    """What softmax and its logarithm over the last axis of ``z`` share; each part is computed when it is asked for."""

    def __init__(self, build: Builder, z: Value) -> None:
        """Find the largest entries, and the exponentials of the distances from them."""
        self.build = build
        self.shape = z.shape
        rows, count = z.entries // z.shape[-1], z.shape[-1]
        self.z = build.whole(z)
        table = self.z.view("{}.reshape" + f"({rows}, {count})", (rows, count), whole=True) if len(z.shape) != 2 else self.z
        self.largest, self.place = self._largest_of_one() if rows == 1 else self._largest(table)
        self.distance = build.ufunc("subtract", table, _column(self.largest))
        self.powers = build.ufunc("exp", self.distance)
        flat, ones = self.powers.flat(), build.ones(count)
        if rows == 1:
            text = "{0}[{1}] = 0; {out} = {0}.dot({2}); {0}[{1}] = 1"
            self.others = build.emit(text, (flat, self.place, ones), (), hint="r", early=True)
        else:
            text = "{0}[{1}] = 0; {2}.dot({3}, {out}); {0}[{1}] = 1"
            reads, cut = (flat, self.place, self.powers, ones), (None, True, True, False)
            self.others = build.emit(text, reads, (rows,), hint="r", early=True, rows=cut)

    def _largest(self, table: Value) -> tuple[Value, Value]:
        """Return the largest entry of each row, and its place in the flat array."""
        build, (rows, count) = self.build, table.shape
        top = build.emit("{0}.argmax(1, {out})", (table,), (rows,), PLACE, hint="top", early=True, rows=(True,))
        starts, both = _first(build, rows, count), (True, True)
        place = build.emit("add({0}, {1}, {out})", (top, starts), (rows,), PLACE, hint="top", early=True, rows=both)
        text = "{0}.take({1}, None, {out}, 'clip')"
        return build.emit(text, (self.z.flat(), place), (rows,), hint="m", early=True, rows=(None, True)), place

    def _largest_of_one(self) -> tuple[Value, Value]:
        """Return the same for one row: numbers, which are read and written faster than arrays of one entry."""
        top = self.build.emit("{out} = {0}.argmax()", (self.z.flat(),), (), PLACE, hint="top", early=True)
        return self.build.emit("{out} = {0}[{1}]", (self.z.flat(), top), (), hint="m", early=True), top

    def logarithm(self) -> Value:
        """Return log Σ e, for each row."""
        return self.build.ufunc("log1p", self.others)

    def softmax(self, factor: float) -> Value:
        """Return the softmax times ``factor``."""
        build = self.build
        share = build.ufunc("divide", build.filled(factor, self.others.shape, always=True), build.ufunc("add", self.others, ONE))
        made = build.ufunc("multiply", self.powers, _column(share))
        return made if len(self.shape) == 2 else made.view("{}.reshape" + f"{self.shape}", self.shape, whole=True)

    def log_softmax(self) -> Value:
        """Return the logarithm of the softmax."""
        below = self.logarithm()
        made = self.build.ufunc("subtract", self.distance, _column(below))
        return made if len(self.shape) == 2 else made.view("{}.reshape" + f"{self.shape}", self.shape, whole=True)

    def distance_of_label(self, label: Array) -> Value:
        """Return how far the labelled entry of each row is from the largest: read before the exponentials are taken."""
        build = self.build
        place = places(build, label, self.shape[-1])
        return build.emit(
            "{0}.take({1}, None, {out}, 'clip')",
            (self.distance.flat(), place),
            place.shape,
            hint="own",
            early=True,
            rows=(None, True),
        )


def _column(value: Value) -> Value:
    return value.view("{}[:, None]", (*value.shape, 1)) if value.shape else value


def exponentials(build: Builder, node: Array) -> Exponentials:
    """Return what the softmaxes of ``node`` over its last axis share."""
    key = ("exponentials", build.numbers(node))
    if key not in build.notes:
        build.notes[key] = Exponentials(build, build.value(node))  # type: ignore[assignment]
    return build.notes[key]  # type: ignore[return-value]


def along(build: Builder, node: Array) -> Value | None:
    """Lower softmax and log-softmax over the last axis."""
    word, axes = node.params[:2]
    factor = float(node.params[2]) if len(node.params) > 2 else 1.0  # type: ignore[arg-type]
    if word not in ("softmax", "log_softmax") or axes != (node.rank - 1,):
        return None
    if build.value(node.args[0]).is_number:
        return None
    shared = exponentials(build, node.args[0])
    return shared.softmax(factor) if word == "softmax" else shared.log_softmax()


def is_of_labels(node: Array) -> bool:
    """Return whether a node reads one labelled entry of each row."""
    if node.op != "gather" or len(node.args) != 3:
        return False
    x, rows, label = node.args
    return x.rank == 2 and rows.op == "arange" and label.op == "name" and rows.shape == label.shape


def gather(build: Builder, node: Array) -> Value | None:
    """Lower the labelled entries of a matrix's rows."""
    if not is_of_labels(node):
        return None
    x, *where = node.args
    if x.op == "along" and x.params == ("log_softmax", (1,)):
        shared = exponentials(build, x.args[0])
        return build.ufunc("subtract", shared.distance_of_label(where[1]), shared.logarithm())
    value = build.whole(build.value(x))
    place = places(build, where[1], value.shape[1])
    return build.emit("{0}.take({1}, None, {out}, 'clip')", (value.flat(), place), place.shape, early=True, rows=(None, True))
