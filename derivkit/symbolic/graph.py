"""A program as named definitions in order: the one representation that is derived, run and verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from derivkit.symbolic.deltas import is_rough, may_leave, vanishes
from derivkit.symbolic.expr import Expr, Inside, Mul, Name, Ref, freshen, references
from derivkit.symbolic.index import ONE, Affine, Index, Size

#: The kinds an input may be declared to have (language.md); ``label`` is integer-valued, the others are real.
KINDS = ("real", "onehot", "simplex", "label", "mask", "positive", "symmetric")


@dataclass(frozen=True, slots=True)
class Input:
    """A declared input: its kind, its sizes, and for a label the size that its values run over (``k: label K, N``)."""

    name: Name
    kind: str
    shape: tuple[Size, ...]
    range: Size | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What a slice, a position or a window asks of the sizes: ``least`` ≤ ``size``; ``what`` names it and its line."""

    least: Size
    size: Size
    what: str

    def missing(self, sizes: Mapping[str, int]) -> int:
        """Return by how much the size is too small; 0 where it is not, or not known."""
        if not all(name in sizes for name in (*self.least.names(), *self.size.names())):
            return 0
        return max(0, self.least.evaluate(sizes) - self.size.evaluate(sizes))


@dataclass(frozen=True, slots=True)
class Definition:
    """``name[indices] = rhs``; an axis of literal size 1 has ``None`` for an index.

    ``rhs`` is free of declared facts, so that it may be differentiated again; ``shown`` is the textbook form, which holds
    under the ``facts`` named.  ``text`` is the author's line (or the formula of the operation), ``line`` its place.
    """

    name: Name
    shape: tuple[Size, ...]
    indices: tuple[Index | None, ...]
    rhs: Expr
    shown: Expr | None = None
    facts: tuple[str, ...] = ()
    text: str = ""
    line: int = 0

    @property
    def best(self) -> Expr:
        """The textbook form where there is one."""
        return self.rhs if self.shown is None else self.shown

    @property
    def bound(self) -> tuple[Index, ...]:
        """The indices of the axes that have one."""
        return tuple(i for i in self.indices if i is not None)

    def ref(self) -> Ref:
        """Return the reference ``name[indices]``."""
        return Ref(self.name, tuple(Affine.of(0 if i is None else i) for i in self.indices))

    def at(self, subs: tuple[Affine, ...], body: Expr | None = None) -> Expr:
        """Return the right side (or ``body``) read at ``subs``, its bound indices new; 0 out of range, as the array is."""
        pairs = {i: s for i, s in zip(self.indices, subs, strict=True) if i is not None}
        body = self.rhs if body is None else body
        made = freshen(body, pairs)
        left = (i for i, s in pairs.items() if may_leave(s, i) and (is_rough(body, i) or not vanishes(body, i)))
        ranges = [Inside(pairs[i], i.size) for i in left]
        return Mul((made, *ranges)) if ranges else made


@dataclass(frozen=True, slots=True)
class Graph:
    """Inputs and definitions, in the order of the program; the last definition need not be the output.

    ``apart`` is the same program where a right side that stands in it again is not read under the author's name for it: of
    y = softmax(z), E = y·softmax(z) a derivative by y holds softmax(z).  ``None`` where there is no such thing.
    """

    inputs: Mapping[Name, Input]
    definitions: tuple[Definition, ...]
    output: Name
    assumed: tuple[str, ...] = ()
    source: str = ""
    extra: Mapping[Name, Input] = field(default_factory=dict)  # declared, not used by the program
    needs: tuple[Need, ...] = ()
    apart: Graph | None = field(default=None, repr=False, compare=False)
    _named: dict[Name, Definition] = field(init=False, repr=False, compare=False)
    _spelled: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the table of definitions and that of spellings once: they are looked up for every line."""
        object.__setattr__(self, "_named", {d.name: d for d in reversed(self.definitions)})
        object.__setattr__(self, "_spelled", frozenset(map(str, (*self.inputs, *self.extra, *self._named))))

    def __iter__(self) -> Iterator[Definition]:
        """Iterate over the definitions."""
        return iter(self.definitions)

    def __getitem__(self, name: Name) -> Definition:
        """Return the definition of ``name``."""
        return self._named[name]

    def knows(self, name: Name) -> bool:
        """Say whether the program has an input or a definition of this name."""
        return name in self.inputs or name in self.extra or name in self._named

    def shape(self, name: Name) -> tuple[Size, ...]:
        """Return the shape of an input or a definition."""
        if name in self.inputs:
            return self.inputs[name].shape
        return self.extra[name].shape if name in self.extra else self[name].shape

    def unused(self, kind: str, of: Name) -> Name:
        """Return the cotangent or tangent of ``of``, numbered where a pass before has left one of that name."""
        labels = ("", *map(str, range(2, 100)))
        return next(name for label in labels if str(name := Name(kind, label, of=of)) not in self._spelled)

    def needed(self, targets: Iterable[Name]) -> frozenset[Name]:
        """Return ``targets`` and everything that they are made of."""
        found = {*targets}
        for definition in reversed(self.definitions):
            if definition.name in found:
                found.update(references(definition.rhs))
        return frozenset(found)

    def moving(self, names: Iterable[Name]) -> Graph:
        """Return the program for a derivative by ``names``: what is read under one of them only because it is equal stays."""
        return self if self.apart is None or not any(n in self._named and n.kind == "user" for n in names) else self.apart

    def holding(self, names: Iterable[Name]) -> Graph:
        """Return the program with the lines of ``names`` as inputs: what is true of them wherever they move to."""
        held = {n: Input(n, "real", self[n].shape) for n in names if n in self._named}
        kept = tuple(d for d in self.definitions if d.name not in held)
        return replace(self, inputs={**self.inputs, **held}, definitions=kept) if held else self

    def dependents(self, roots: frozenset[Name]) -> frozenset[Name]:
        """Return ``roots`` and every definition that depends on one of them."""
        found = set(roots)
        for definition in self.definitions:
            if not found.isdisjoint(references(definition.rhs)):
                found.add(definition.name)
        return frozenset(found)


def axes(shape: tuple[Size, ...], hints: str = "ijklmnpq") -> tuple[Index | None, ...]:
    """Return new indices for ``shape``, ``None`` where the size is literally 1."""
    return tuple(None if s == ONE else Index(hints[n % len(hints)], s) for n, s in enumerate(shape))
