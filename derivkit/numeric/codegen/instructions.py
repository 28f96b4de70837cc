"""What a bound kernel does: instructions on storages whose sizes are known, each written as one line of NumPy.

A storage is written once, by one instruction; which storages share memory is decided afterwards (see ``memory``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

#: What an array holds: real numbers of the kernel's precision, flags, positions.
REAL, FLAG, PLACE = "real", "flag", "place"

#: Where an array is: an ``input``, a ``constant`` made once, a ``buffer`` of the pool, ``padded`` (zeros made once, of which
#: steps fill the same part), ``kept`` (a result), or ``fresh`` on every call (a number, or what NumPy allocates itself).
INPUT, CONSTANT, BUFFER, PADDED, KEPT, FRESH = "input", "constant", "buffer", "padded", "kept", "fresh"


@dataclass(eq=False, slots=True)
class Storage:
    """An array of fixed shape; ``made`` is the text of a constant, ``may_view`` says that it may be a view of what it reads."""

    hint: str
    shape: tuple[int, ...]
    holds: str = REAL
    place: str = BUFFER
    made: str = ""
    may_view: bool = False

    @property
    def entries(self) -> int:
        """The number of entries."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Value:
    """A view of a storage, written by filling its name into ``path``; or a number, which has no storage.

    ``whole``: all entries of a storage that is contiguous, in their order, so that it may be read flat.  ``by_rows``: the
    rows of the view (its first axis) are those of the storage, whatever the path says.
    """

    shape: tuple[int, ...]
    holds: str = REAL
    storage: Storage | None = None
    path: str = "{}"
    whole: bool = True
    number: float = 0.0
    by_rows: bool = False

    @property
    def entries(self) -> int:
        """The number of entries."""
        return prod(self.shape)

    @property
    def is_number(self) -> bool:
        """Whether the value is a number that is known already."""
        return self.storage is None

    @property
    def has_rows(self) -> bool:
        """Whether the rows of the view (its first axis) are those of the storage."""
        return self.by_rows or self.path == "{}" or self.path.startswith("{}[:,")

    def view(self, path: str, shape: tuple[int, ...], *, whole: bool = False, by_rows: bool = False) -> Value:
        """Return a view of this value, ``path`` saying how it is written after it."""
        return Value(shape, self.holds, self.storage, path.replace("{}", self.path), whole, by_rows=by_rows)

    def reshaped(self, *shape: int) -> Value:
        """Return the entries of a whole value in another shape."""
        return self if shape == self.shape else self.view(f"{{}}.reshape{shape}", shape, whole=True)

    def flat(self) -> Value:
        """Return a whole value as a vector."""
        return self.reshaped(self.entries)

    def column(self) -> Value:
        """Return a vector as a column; a number as it is."""
        return self.view("{}[:, None]", (*self.shape, 1)) if self.shape else self


def literal(number: float) -> Value:
    """Return a number that is known."""
    return Value((), number=number)


ZERO, ONE = literal(0.0), literal(1.0)


@dataclass(eq=False, slots=True)
class Instruction:
    """One line: ``text`` with the operands filled in; ``out`` is written.

    ``inplace``: the output may take the memory of an operand of its shape that nobody reads any more; ``updates``: it must
    take that of the first operand, which is copied when somebody still reads it.  ``early``: it reads much and writes
    little, and is done as soon as it can be.  ``rows``: which operands are cut when it is done for some rows of the output
    (the first axis) alone, empty when it cannot be; ``None`` for one that is read flat, at places of these rows.
    ``adding``: the text that adds the part of some rows to an output that is a sum over the first axis.  ``block``: the
    entries of a block that suit it best, if it wants more than the usual number.
    """

    text: str
    reads: tuple[Value, ...]
    out: Storage
    inplace: bool = True
    updates: bool = False
    early: bool = False
    rows: tuple[bool | None, ...] = ()
    adding: str = ""
    comment: str = ""
    block: int = 0


@dataclass(slots=True)
class Lowered:
    """Instructions in order, and what is returned: the value, and a storage for each gradient."""

    instructions: list[Instruction]
    value: Value
    results: dict[str, Storage]
    inputs: dict[str, Storage]
    helpers: set[str] = field(default_factory=set)
    recognised: dict[str, int] = field(default_factory=dict)
