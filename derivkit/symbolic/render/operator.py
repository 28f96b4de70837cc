"""Operator notation: the chain rule as a product of Jacobians at the points where they are taken, as analysis books write it.

``D E(W1) = D_y E(t, y) · D_z softmax(z) · D_h (W2 h) · D_a tanh(a) · D_W1 (W1 x)``; each factor as its matrix, then the product
from the left, one factor at a time, and what both orders cost.  Everything is in numerator layout: rows are outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.door import derive
from derivkit.symbolic.derive.reverse import local_derivative
from derivkit.symbolic.expr import Expr, Fn, Name, Prim, references
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import ONE, Index, Size
from derivkit.symbolic.render.kronecker import kronecker
from derivkit.symbolic.render.lines import Block, Row, definition_text
from derivkit.symbolic.render.matrix import jacobian_form, math_form, matrix_in, row_form
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.steps import Derivation, Result

KINDS = ("gradient", "jacobian")


@dataclass(frozen=True)
class Factor:
    """One Jacobian of the product: of the line ``of`` with respect to ``by``, which it reads."""

    of: Definition
    by: Name
    local: Expr
    rows: tuple[Index | None, ...]
    columns: tuple[Index | None, ...]


def operator_blocks(derivation: Derivation, notation: Notation) -> tuple[Block, ...]:
    """Return the lines of a derivation in operator notation, for each name that it is by."""
    if derivation.kind not in KINDS:
        raise DerivkitError(
            f"operator notation writes first derivatives, not a {derivation.kind}", code="DK032", hint="notation='both'"
        )
    blocks: list[Block] = []
    for name in derivation.wrt:
        chain = _Chain(derivation.primal, name, notation)
        if name not in derivation.primal.extra and chain.moving:
            blocks += chain.blocks()
    return tuple(blocks)


class _Chain:
    """What lies between one name and the output."""

    def __init__(self, graph: Graph, wrt: Name, notation: Notation) -> None:
        self.graph, self.wrt, self.notation, self.style = graph, wrt, notation, notation.style
        alive = graph.dependents(frozenset((wrt,))) & graph.needed((graph.output,))
        self.moving = tuple(d for d in graph.definitions if d.name in alive and d.name != wrt)

    @cached_property
    def factors(self) -> dict[Name, tuple[Factor, ...]]:
        """For each name, the Jacobians of the lines that read it."""
        found: dict[Name, tuple[Factor, ...]] = {}
        for name in (self.wrt, *(d.name for d in self.moving)):
            readers = [d for d in self.moving if name in references(d.rhs) and d.name != name]
            found[name] = tuple(self._factor(d, name) for d in readers)
        return found

    def _factor(self, d: Definition, name: Name) -> Factor:
        return Factor(d, name, *local_derivative(self.graph, d, name))

    @cached_property
    def results(self) -> dict[str, Result]:
        """The derivatives of the output by everything that moves."""
        names = [str(n) for n in self.factors if n != self.graph.output]
        return dict(derive(self.graph, names, check=False).results)

    # -- the lines ---------------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        """Yield the product, its factors, the partial products from the left, and their cost."""
        whole = self._whole(self.wrt)
        yield Block(0, whole, (Row(self._product(self.wrt), "chain rule: a product of Jacobians"),))
        for name in self._branches():
            yield Block(0, self._short(name), (Row(self._product(name), "two ways from it to the output: their sum"),))
        seen: set[tuple[Name, Name]] = set()
        for f in (f for name in self._from_left() for f in self.factors[name]):
            if (f.of.name, f.by) not in seen:
                seen.add((f.of.name, f.by))
                yield Block(0, self._written(f), tuple(self._values(f)))
        for name in self._from_left():
            value = self._value(name)
            if value is not None and name != self.graph.output and not self._is_last(name):
                why = "from the left: " + self._step(name)
                yield Block(0, self._short(name), (Row(value, why),))
        yield from self._costs()

    def _from_left(self) -> list[Name]:
        return [n for n in (*(d.name for d in reversed(self.moving)), self.wrt) if self.factors[n]]

    def _branches(self) -> list[Name]:
        return [n for n in self._from_left() if len(self.factors[n]) > 1 and n != self.wrt]

    def _is_last(self, name: Name) -> bool:
        """Say whether the first factor already is the derivative by ``name``."""
        return [f.of.name for f in self.factors[name]] == [self.graph.output]

    def _product(self, name: Name) -> str:
        terms = []
        for f in self.factors[name]:
            parts = [self._written(f)]
            at = f.of.name
            while at != self.graph.output:
                ahead = self.factors[at]
                if len(ahead) > 1:
                    parts.insert(0, self._short(at))
                    break
                parts.insert(0, self._written(ahead[0]))
                at = ahead[0].of.name
            terms.append(self._dots(parts))
        return " + ".join(terms)

    def _dots(self, parts: list[str]) -> str:
        return self.style.dot.join(parts)

    def _step(self, name: Name) -> str:
        shown = [self._inline(self._dots([self._short(f.of.name), self._written(f)])) for f in self.factors[name]]
        if all(f.of.name == self.graph.output for f in self.factors[name]):
            return self._inline(self._written(self.factors[name][0]))
        return " + ".join(shown)

    def _inline(self, text: str) -> str:
        return self.style.inline(text)

    # -- names -------------------------------------------------------------------------------------------------------------

    def _variable(self, name: Name) -> str:
        return self.style.variable(name)

    def _d(self, name: Name) -> str:
        return self.style.read("D", (self._variable(name),))

    def _whole(self, name: Name) -> str:
        return f"D {self._variable(self.graph.output)}({self._variable(name)})"

    def _short(self, name: Name) -> str:
        return f"{self._d(name)} {self._variable(self.graph.output)}"

    def _written(self, f: Factor) -> str:
        """Return a factor: D_z softmax(z), D_h (W2 h), of the output D_y E(t, y)."""
        if f.of.name == self.graph.output and not isinstance(f.of.rhs, Fn | Prim):
            read = ", ".join(self._variable(n) for n in dict.fromkeys(references(f.of.rhs)))
            return f"{self._d(f.by)} {self._variable(f.of.name)}({read})"
        if isinstance(f.of.rhs, Fn | Prim):
            body = math_form(f.of.rhs, f.of.indices, self.graph, self.style)
            if body is not None:
                return f"{self._d(f.by)} {body}"
        _, _, body = definition_text(self.notation, f.of, self.graph).partition(" = ")
        return f"{self._d(f.by)} {self.style.paren(body)}"

    # -- values ------------------------------------------------------------------------------------------------------------

    def _values(self, f: Factor) -> Iterator[Row]:
        """Yield a Jacobian as a matrix; beyond matrices entry by entry, and on vectors where it is a Kronecker product."""
        if len(f.rows) + len(f.columns) <= 2:
            matrix = self._matrix(f)
            if matrix is not None:
                yield Row(matrix)
                return
        scope = tuple(i for i in (*f.rows, *f.columns) if i is not None)
        (entry,) = self.notation.line((f.local,), scope)
        letters = self.style.beside(tuple(self.notation.letters[i] for i in scope))
        yield Row(entry, f"its entry at {self._inline(letters)}")
        product = kronecker(f.local, f.rows, f.columns, self.graph, self.style)
        if product is not None:
            yield Row(product, "on vectors, matrices read row by row")

    def _matrix(self, f: Factor) -> str | None:
        if not f.rows and len(f.columns) == 1:
            return row_form(f.local, f.columns, self.graph, self.style)
        if not f.rows and len(f.columns) == 2:
            return math_form(f.local, f.columns[::-1], self.graph, self.style)
        return jacobian_form(f.local, f.rows + f.columns, self.graph, self.style)

    def _value(self, name: Name) -> str | None:
        result = self.results.get(str(name))
        return None if result is None else matrix_in(result, "numerator", self.style)

    # -- cost --------------------------------------------------------------------------------------------------------------

    def _costs(self) -> Iterator[Block]:
        """Yield the multiply-adds of both orders, for a chain of at least two factors."""
        names = [self.wrt]
        while names[0] != self.graph.output:
            ahead = self.factors[names[0]]
            if len(ahead) != 1:
                return
            names.insert(0, ahead[0].of.name)
        if len(names) < 3:
            return
        sizes = [self._size(n) for n in names]
        left = right = Size.of(0)
        for k in range(1, len(sizes) - 1):
            left = left + sizes[0] * sizes[k] * sizes[k + 1]
            right = right + sizes[k - 1] * sizes[k] * sizes[-1]
        orders = ((left, "multiply-adds from the left (reverse mode)"), (right, "from the right (forward mode)"))
        yield Block(0, self.style.word("cost"), tuple(Row(self.style.size(total), why) for total, why in orders))

    def _size(self, name: Name) -> Size:
        total = ONE
        for size in self.graph.shape(name):
            total = total * size
        return total
