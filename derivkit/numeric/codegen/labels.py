"""Labels and softmax over the last axis: one pass for the exponentials, whatever is read of them.

With ``top`` the place of the largest entry, ``e = exp(z - z[top])`` and ``r`` the sum of the *other* entries of ``e``:
softmax is ``e / (1 + r)`` and its logarithm ``z - z[top] - log1p(r)``, which keeps the digits of a loss near 0.
(``argmax`` and one entry read are also faster than ``max`` in NumPy 2, but for very many classes.)
"""

from __future__ import annotations

from derivkit.numeric.codegen.builder import SMALL, Builder, lengths, plain
from derivkit.numeric.codegen.instructions import ONE, PLACE, Value, literal
from derivkit.symbolic.arrays import Array

#: One entry of each row of a flat array, at its place.
_TAKE = "{0}.take({1}, None, {out}, 'clip')"


def places(build: Builder, label: Array, count: int) -> Value:
    """Return the positions of the labelled entries in a flat array of rows of ``count`` entries."""
    key = ("places", build.numbers(label), count)
    if key not in build.notes:
        value = build.value(label)
        first = _first(build, value.entries, count)
        reads, both = (build.whole(value).flat(), first), (True, True)
        build.notes[key] = build.emit("add({0}, {1}, {out})", reads, (value.entries,), PLACE, hint="place", rows=both)
    found: Value = build.notes[key]
    return found


def _first(build: Builder, rows: int, count: int) -> Value:
    return build.constant(f"np.arange(0, {rows * count}, {count})", (rows,), "first", PLACE)


def largest(build: Builder, table: Value) -> Value:
    """Return the place of the largest entry of each row in the flat array."""
    (rows, count), both = table.shape, (True, True)
    top = build.emit("{0}.argmax(1, {out})", (table,), (rows,), PLACE, hint="top", early=True, rows=(True,))
    reads = top, _first(build, rows, count)
    return build.emit("add({0}, {1}, {out})", reads, (rows,), PLACE, hint="top", early=True, rows=both)


def less_onehot(build: Builder, total: Value, mark: Array, factor: float) -> Value:
    """Return ``total - factor * onehot(label)``: one entry of each row changes."""
    shape = lengths(mark)
    if total.shape != shape:
        repeated = build.filled(total.number, shape, always=True) if total.is_number else total
        total = build.ufunc("add", repeated, build.filled(0.0, shape, always=True))
    label = mark.args[0]
    if label.rank == 0:
        return build.emit("{out}[{1}] -= " + plain(factor), (total, build.value(label)), shape, updates=True)
    build.recognised["one-hot rows: one entry of each changes"] += 1
    place = places(build, label, shape[-1])
    cut = (True,) * 3 if place.shape[0] == shape[0] else ()  # labels of several axes are more than the rows of a block
    if not total.whole:
        return build.emit("{out_flat}[{1}] -= " + plain(factor), (total, place), shape, updates=True, rows=cut[:2])
    own = build.emit(_TAKE, (total.flat(), place), place.shape, hint="own", rows=(None, True))
    less = build.ufunc("subtract", own, literal(factor))
    return build.emit("{out_flat}[{1}] = {2}", (total, place, less), shape, updates=True, rows=cut)


class Exponentials:
    """What softmax and its logarithm over the last axis of ``z`` share; each part is computed when it is asked for."""

    def __init__(self, build: Builder, z: Value) -> None:
        """Find the largest entries, and the exponentials of the distances from them."""
        self.build = build
        build.recognised["softmax, its logarithm and sum: one pass of exponentials"] += 1
        self.shape = z.shape
        rows, count = z.entries // z.shape[-1], z.shape[-1]
        self.z = build.whole(z)
        table = self.z.reshaped(rows, count)
        self.largest, self.place = self._largest_of_one() if rows == 1 else self._largest(table)
        self.distance = build.ufunc("subtract", table, self.largest.column())
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
        place = largest(self.build, table)
        reads = self.z.flat(), place
        return self.build.emit(_TAKE, reads, place.shape, hint="m", early=True, rows=(None, True)), place

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
        if factor == 1 and self.powers.entries <= SMALL:  # a division more is faster than a call more
            made = build.ufunc("divide", self.powers, build.ufunc("add", self.others, ONE).column())
            return made.reshaped(*self.shape)
        share = build.ufunc("divide", build.filled(factor, self.others.shape, always=True), build.ufunc("add", self.others, ONE))
        made = build.ufunc("multiply", self.powers, share.column())
        return made.reshaped(*self.shape)

    def log_softmax(self) -> Value:
        """Return the logarithm of the softmax."""
        below = self.logarithm()
        made = self.build.ufunc("subtract", self.distance, below.column())
        return made.reshaped(*self.shape)

    def distance_of_label(self, label: Array) -> Value:
        """Return how far the labelled entry of each row is from the largest.

        Few distances are read before the exponentials are taken; of many no array is kept for it.
        """
        few = self.distance.entries <= SMALL
        place = places(self.build, label, self.shape[-1])
        reads = ((self.distance if few else self.z).flat(), place)
        own = self.build.emit(_TAKE, reads, place.shape, hint="own", early=True, rows=(None, True))
        return own if few else self.build.ufunc("subtract", own, self.largest)


def exponentials(build: Builder, node: Array) -> Exponentials:
    """Return what the softmaxes of ``node`` over its last axis share."""
    key = ("exponentials", build.numbers(node))
    if key not in build.notes:
        build.notes[key] = Exponentials(build, build.value(node))
    found: Exponentials = build.notes[key]
    return found


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
    return build.emit(_TAKE, (value.flat(), place), place.shape, early=True, rows=(None, True))
