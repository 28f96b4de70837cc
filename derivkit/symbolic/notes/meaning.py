"""The names of a document as definitions and inputs of the graph, and what a reading of its formulas offers.

Everything is read into index notation.  A name that the document defines is a definition, read when it is first needed; what it
does not define is an input.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from derivkit.symbolic.expr import Expr, Name, Ref
from derivkit.symbolic.expr import replace as replaced
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import Context
from derivkit.symbolic.notes.terms import Parameter, Term


@dataclass(slots=True)
class Meaning:
    """The names of a document as definitions, made when they are needed."""

    context: Context
    definitions: dict[Name, Definition] = field(default_factory=dict)
    inputs: dict[Name, tuple[str, tuple[Size, ...]]] = field(default_factory=dict)
    ranges: dict[Name, Size] = field(default_factory=dict)
    calls: dict[str, list[tuple[tuple[Term, ...], Definition]]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    hidden: dict[Name, tuple[str, ...]] = field(default_factory=dict)

    def define(self, name: Name, indices: tuple[Index | None, ...], expr: Expr) -> Definition:
        """Add a definition."""
        shape = tuple(i.size for i in indices if i is not None)
        self.definitions[name] = made = Definition(name, shape, indices, expr)
        return made

    def inlined(self, expr: Expr, target: Name) -> Expr:
        """Return an expression in which every definition that depends on ``target`` is written out."""
        moving = self._moving(target)

        def opened(node: Expr) -> Expr | None:
            if isinstance(node, Ref) and node.name != target and node.name in moving:
                made = self.definitions[node.name].at(node.subs)
                return replaced(made, opened)
            return None

        return replaced(expr, opened)

    def _moving(self, target: Name) -> set[Name]:
        found = {target}
        grown = True
        while grown:
            more = {n for n, d in self.definitions.items() if n not in found and not found.isdisjoint(d.rhs.reads)}
            grown = bool(more)
            found |= more
        return found

    def needed(self, names: Iterable[Name]) -> set[Name]:
        """Return some names and everything that they are made of."""
        found = {*names}
        for name in reversed(list(self.definitions)):
            if name in found:
                found.update(self.definitions[name].rhs.reads)
        return found

    def depends(self, expr: Expr, target: Name) -> bool:
        """Say whether an expression depends on a name."""
        return not self._moving(target).isdisjoint(expr.reads)


class Reads(Protocol):
    """What the parts of a reading ask of it: one chain's letters, and the parameters of the function whose body is read."""

    meaning: Meaning
    order: int
    scope: dict[str, Index]
    binders: dict[str, object]
    parameters: dict[str, Parameter]

    @property
    def context(self) -> Context:
        """What the document says of its names."""

    def begun(self, order: int) -> Reads:
        """Return a reading of another chain, which knows none of the letters of this one."""

    def term(self, formula: f.Formula) -> Term:
        """Return what a formula means."""

    def nested(self) -> Reads:
        """Return a reading of a part of this chain, which may bind letters of its own."""

    def axis_of(self, node: f.Indexed | f.Application, name: str) -> Size | None:
        """Return the length of the axis that a letter subscripts in a name."""

    def is_position(self, formula: f.Formula) -> bool:
        """Say whether this is a letter that subscripts something, or one more or less than such a letter."""

    def compared(self, formula: f.Relation) -> Term:
        """Return 1 where a relation holds, else 0: of two arrays entry by entry."""

    def array(self, word: str, subscripts: tuple[f.Formula, ...]) -> Term:
        """Return a document's array at its subscripts."""

    def named(self, formula: f.Formula) -> Term:
        """Return a name, whole or at its subscripts."""

    def letter(self, name: str) -> Index:
        """Return the index of a letter."""

    def subscript(self, formula: f.Formula) -> Affine:
        """Return a subscript."""
