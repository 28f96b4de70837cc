"""The means of lowering: values of nodes, each computed once, and instructions appended in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from derivkit.errors import DerivkitError
from derivkit.numeric.codegen.instructions import BUFFER, CONSTANT, FLAG, FRESH, PLACE, REAL, Instruction, Storage, Value, literal
from derivkit.symbolic.arrays import Array, Numbering, postorder
from derivkit.symbolic.arrays.dialects import HELPERS, NUMPY
from derivkit.symbolic.arrays.text import SUM, TEST, Text, within, write

#: Up to this many entries a ufunc reads a constant faster from an array than from a Python number (measured: 0.4 us a call).
SMALL = 2048

#: Arrays of more entries than this (1 MB in float32) do not stay in the cache from one pass to the next.
LARGE = 262_144

Rule = Callable[["Builder", Array], Value | None]

_WIDTH = {REAL: "dtype", FLAG: "bool", PLACE: "np.intp"}


class Builder:
    """Lowers nodes one by one; ``rules`` say how, by operation, and what no rule takes NumPy computes as it is written."""

    def __init__(self, rules: Mapping[str, Rule], roots: Sequence[Array], precision: str = "float64") -> None:
        """Count what is read in the trees of ``roots``; the values of names are put into ``known``."""
        self.rules = rules
        self.precision = precision  # the name of the type that is computed in
        self.known: dict[object, Value] = {}
        self.numbers = Numbering()
        self.values: dict[int, Value] = {}
        self.notes: dict[object, Any] = {}  # what several rules share: positions of labels, say
        self.constants: dict[tuple[object, ...], Storage] = {}
        self.instructions: list[Instruction] = []
        self.calls: dict[tuple[object, ...], Value] = {}  # elementwise functions of the same operands
        self.helpers: set[str] = set()
        self.recognised: Counter[str] = Counter()  # what was computed in another way than it is written, and how often
        self.onehot: set[object] = set()  # the names whose rows are known to add up to 1
        self.uses = self._count(roots)

    def _count(self, roots: Sequence[Array]) -> Counter[int]:
        uses: Counter[int] = Counter()
        seen: set[int] = set()
        for root in roots:
            uses[self.numbers(root)] += 1
            for node in postorder(root):
                if (own := self.numbers(node)) not in seen:
                    seen.add(own)
                    uses.update(self.numbers(a) for a in node.args)
        return uses

    # -- nodes ------------------------------------------------------------------------------------------------------------

    def value(self, node: Array) -> Value:
        """Return the value of ``node``, which is computed at its first use."""
        own = self.numbers(node)
        if own not in self.values:
            rule = self.rules.get(node.op)
            made = None if rule is None else rule(self, node)
            self.values[own] = made or self.written(node)
        return self.values[own]

    def is_shared(self, node: Array) -> bool:
        """Return whether ``node`` is read in several places."""
        return self.uses[self.numbers(node)] > 1

    def written(self, node: Array) -> Value:
        """Return the value of a node as NumPy's own call makes it, in memory of its own."""
        args = [self.value(a) for a in node.args]
        texts = [
            Text(plain(a.number) if a.is_number else f"{{{n}}}", TEST if a.holds == FLAG else SUM) for n, a in enumerate(args)
        ]
        texts = [t._replace(as_number=f"{t.text}.astype(dtype)") if t.binds == TEST else t for t in texts]
        made = write(node, texts, NUMPY)
        if made is None:
            raise DerivkitError(f"no NumPy form of '{node.op}'", code="DK032")
        self.helpers.update(w for w in HELPERS if w + "(" in made.text)
        holds = PLACE if _holds_places(node) else FLAG if made.binds == TEST else REAL
        text = made.text if made.binds == TEST else within(made, SUM)
        storage = Storage(node.op, lengths(node), holds, FRESH, may_view=True)
        self.instructions.append(Instruction("{out} = " + text, tuple(args), storage, inplace=False))
        return Value(storage.shape, holds, storage, whole=not storage.shape)

    # -- constants --------------------------------------------------------------------------------------------------------

    def constant(self, made: str, shape: tuple[int, ...], hint: str, holds: str = REAL) -> Value:
        """Return an array that is made once; ``made`` is the NumPy call, the type left out."""
        key = (made, shape, holds)
        if key not in self.constants:
            text = f"{made[:-1]}, dtype={_WIDTH[holds]})"
            self.constants[key] = Storage(hint, shape, holds, CONSTANT, text)
        return Value(shape, holds, self.constants[key])

    def ones(self, length: int) -> Value:
        """Return a vector of ones, which sums by a product."""
        return self.constant(f"np.ones({length})", (length,), "ones")

    def filled(self, number: float, shape: tuple[int, ...], *, always: bool = False) -> Value:
        """Return a number as a ufunc reads it fastest beside an array of ``shape``."""
        if not shape or (prod(shape) > SMALL and not always):
            return literal(number)
        made = f"np.zeros({shape})" if number == 0 else f"np.full({shape}, {plain(number)})"
        return self.constant(made, shape, "zeros" if number == 0 else "c")

    # -- instructions -----------------------------------------------------------------------------------------------------

    def emit(
        self,
        text: str,
        reads: Sequence[Value],
        shape: tuple[int, ...],
        holds: str = REAL,
        *,
        hint: str = "u",
        inplace: bool = False,
        updates: bool = False,
        early: bool = False,
        rows: tuple[bool | None, ...] = (),
        adding: str = "",
    ) -> Value:
        """Append an instruction and return its output."""
        storage = Storage(hint, shape, holds, BUFFER if shape else FRESH)
        self.instructions.append(Instruction(text, tuple(reads), storage, inplace, updates, early, rows, adding))
        return Value(shape, holds, storage)

    def ufunc(self, word: str, *operands: Value, holds: str = REAL) -> Value:
        """Append an elementwise function; of numbers it is computed, and of rank 0 it returns a NumPy number."""
        shape = common(*operands)
        if all(o.is_number for o in operands) and word in _ARITHMETIC:
            return literal(_ARITHMETIC[word](*(o.number for o in operands)))
        key = (word, *operands)
        if key in self.calls:
            return self.calls[key]
        self.calls[key] = made = self._called(word, operands, shape, holds)
        if word in _COMMUTE:
            self.calls[word, operands[1], operands[0]] = made
        return made

    def _called(self, word: str, operands: Sequence[Value], shape: tuple[int, ...], holds: str) -> Value:
        given = [self.filled(o.number, shape) if o.is_number else o for o in operands]
        places = ", ".join(f"{{{n}}}" for n in range(len(given)))
        if not shape:
            return self.emit("{out} = " + (_OPERATORS.get(word) or f"{word}({places})"), given, (), holds)
        out = "out={out}" if word in _NAMED_OUT else "{out}"
        rows = tuple(len(o.shape) == len(shape) and o.shape[0] == shape[0] for o in given)
        return self.emit(f"{word}({places}, {out})", given, shape, holds, inplace=holds == REAL, rows=rows)

    def chosen(self, test: Value, yes: Value, no: Value) -> Value:
        """Append the choice between two arrays, entry by entry."""
        return self.emit("copyto({out}, {2}); copyto({out}, {1}, where={0})", (test, yes, no), common(test, yes, no))

    def as_real(self, x: Value) -> Value:
        """Return flags and positions as real numbers."""
        if x.holds == REAL:
            return x
        if not x.shape:
            return self.emit("{out} = dtype.type({0})", (x,), ())
        return self.emit("copyto({out}, {0})", (x,), x.shape)

    def whole(self, x: Value) -> Value:
        """Return the value in memory that may be read flat."""
        return x if x.whole else self.emit("copyto({out}, {0})", (x,), x.shape, x.holds)

    def named(self, value: Value, hint: str, comment: str) -> None:
        """Give a storage the name of the definition that it holds; the first line that computes it gets the comment."""
        if value.storage is not None and value.path == "{}" and value.storage.hint in ("u", *_ANONYMOUS):
            value.storage.hint = hint
        if comment and self.instructions and value.storage is self.instructions[-1].out:
            self.instructions[-1].comment = comment


_ANONYMOUS = frozenset({"e", "c"})

#: NumPy asks for the name of this argument.
_NAMED_OUT = frozenset({"maximum", "minimum"})

#: Of two NumPy numbers an operator is several times as fast as the ufunc.
_OPERATORS = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}", "negative": "-{0}"}

_COMMUTE = frozenset({"add", "multiply", "maximum", "minimum"})

_ARITHMETIC: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "negative": lambda a: -a,
}


def plain(number: float) -> str:
    """Return a number as Python writes it.

    >>> plain(0.5), plain(float("-inf"))
    ('0.5', '-np.inf')
    """
    return repr(number).replace("inf", "np.inf").replace("nan", "np.nan")


def _holds_places(node: Array) -> bool:
    return node.op == "arange" or (node.op == "reduce" and node.params[0] == "argmax")


def lengths(node: Array) -> tuple[int, ...]:
    """Return the shape of a node whose sizes are put in."""
    return tuple(int(s.literal or 0) for s in node.shape)


def common(*values: Value) -> tuple[int, ...]:
    """Return the shape that the values have together."""
    return np.broadcast_shapes(*(v.shape for v in values))
