"""A program at one point: every node's value, every local derivative, and the products of the chain rule.

It is the table of a backpropagation exercise worked by hand; arrays are shown shortened.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.door import derive
from derivkit.symbolic.derive.reverse import local_derivative
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Expr, Fn, Name, Num, Prim, Ref, Sum, references
from derivkit.symbolic.given import by_name, fix_sizes, given_sizes, real_arrays
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.normal import normal
from derivkit.symbolic.ops import COMPARISONS
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.lines import definition_text
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.page import ranks
from derivkit.symbolic.steps import Derivation

Array = NDArray[Any]
PATHS = 12  # more ways than that from a name to the output are counted, not written
ENTRIES = 3  # of a vector that are shown
SMALL = 9  # entries of an array that is shown as it is
WIDTH = 60  # of the local derivatives in one line


@dataclass(frozen=True)
class Local:
    """The derivative of the node ``of`` by ``by``, which it reads: as a formula, and its value (the axes of ``of`` first)."""

    of: str
    by: str
    formula: str
    value: Array


@dataclass(frozen=True)
class Node:
    """A node at the point: its ``formula`` (none for an input), its value, and the output's derivative by it."""

    name: str
    formula: str
    value: Array
    gradient: Array | None
    locals: tuple[Local, ...]


@dataclass(frozen=True)
class Chain:
    """A derivative of the output as the sum over ``paths`` of products of local derivatives, the output's first."""

    wrt: str
    paths: tuple[tuple[Local, ...], ...]
    count: int
    value: Array


@dataclass(frozen=True, repr=False)
class Trace:
    r"""The values and derivatives of every node at one point; ``str`` prints the table.

    >>> import derivkit
    >>> t = derivkit.derive("x:\nw:\nz = relu(x*w)", wrt="w").at(x=2, w=3)
    >>> float(t.values["z"]), float(t.gradients["w"])
    (6.0, 2.0)
    """

    output: str
    nodes: tuple[Node, ...]
    chains: tuple[Chain, ...]

    @property
    def values(self) -> dict[str, Array]:
        """The value of every node."""
        return {n.name: n.value for n in self.nodes}

    @property
    def gradients(self) -> dict[str, Array]:
        """The derivative of the output by every node that it depends on, the output's axes first."""
        return {n.name: n.gradient for n in self.nodes if n.gradient is not None}

    @property
    def locals(self) -> dict[tuple[str, str], Array]:
        """The local derivatives by (node, what it reads)."""
        return {(one.of, one.by): one.value for n in self.nodes for one in n.locals}

    def __repr__(self) -> str:
        """Return a short form."""
        return f"<Trace of {self.output}: {len(self.nodes)} nodes>"

    def __str__(self) -> str:
        """Return the table, and below it the chain rule with numbers."""
        head = ("node", "formula", "value", "local derivatives", f"∂{self.output}/∂node")
        rows = [head, *(r for n in self.nodes for r in self._rows(n))]
        widths = [max(len(r[k]) for r in rows) for k in range(len(head))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        lines.insert(1, "  ".join("─" * w for w in widths))
        return "\n".join([*lines, "", *(line for c in self.chains for line in self._chain(c))])

    def _rows(self, node: Node) -> Iterator[tuple[str, ...]]:
        """Yield the line of a node; local derivatives that are too long for one stand below each other."""
        locals_ = [_local(one) for one in node.locals]
        if sum(map(len, locals_)) <= WIDTH:
            locals_ = [",  ".join(locals_)]
        gradient = "" if node.gradient is None else short(node.gradient)
        yield node.name, node.formula, short(node.value), locals_[0], gradient
        yield from (("", "", "", more, "") for more in locals_[1:])

    def _chain(self, chain: Chain) -> Iterator[str]:
        left = f"∂{self.output}/∂{chain.wrt}"
        plain = all(one.value.ndim == 0 for path in chain.paths for one in path)
        if not chain.paths:
            yield f"{left} = {short(chain.value)}   ({chain.count} paths)" if chain.count else f"{left} = {short(chain.value)}"
            return
        names = " + ".join(" · ".join(f"∂{one.of}/∂{one.by}" for one in path) for path in chain.paths)
        yield f"{left} = {names}"
        indent = " " * len(left)
        if plain and (len(chain.paths) > 1 or len(chain.paths[0]) > 1):
            numbers = " + ".join(" · ".join(_bracketed(short(one.value)) for one in path) for path in chain.paths)
            yield f"{indent} = {numbers}"
        yield f"{indent} = {short(chain.value)}"


def _local(one: Local) -> str:
    """Return a local derivative: its formula, and its value where that is a number."""
    shown = f"∂{one.of}/∂{one.by} = {one.formula}"
    value = short(one.value)
    return shown if one.value.ndim or one.formula == value else f"{shown} = {value}"


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("−") else text


def short(array: Array, entries: int = ENTRIES) -> str:
    """Return an array in a few words: all of a small one, the first entries of a vector, the corners of a matrix with its shape.

    >>> import numpy as np
    >>> short(np.array([[0.5, -2.0], [1.0, 0.0]])), short(np.arange(12.0).reshape(3, 4))
    ('[[0.5, −2], [1, 0]]', '3×4 [0, …, 11]')
    """
    if array.ndim == 0:
        return _number(array)
    if array.size <= SMALL or (array.ndim == 1 and len(array) <= entries + 1):
        return f"[{', '.join(short(a) for a in array)}]"
    if array.ndim == 1:
        return f"[{', '.join(map(_number, array[:entries]))}, …] ({len(array)})"
    flat = array.ravel()
    inner = f"{_number(flat[0])}, …, {_number(flat[-1])}" if flat.size > 1 else _number(flat[0])
    return f"{'×'.join(map(str, array.shape))} [{inner}]"


def _number(value: Any) -> str:
    return f"{float(value) + 0.0:.6g}".replace("-", "−")


def trace(
    derivation: Derivation,
    values: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    named: Mapping[str, Any] | None = None,
) -> Trace:
    r"""Return the values and derivatives of every node of a program at the point ``values`` (arrays by name; ``named``: more).

    ``sizes`` are for size names that no input fixes.  Raises :class:`DerivkitError`: DK041 (an input is missing), DK012,
    DK040 (shapes), DK031 for a derivation that is no first derivative.

    >>> import derivkit
    >>> print(trace(derivkit.derive("x:\nE = x**2", wrt="x"), {"x": 3}))
    node  formula  value  local derivatives  ∂E/∂node
    ────  ───────  ─────  ─────────────────  ────────
    x              3                         6
    E     x²       9      ∂E/∂x = 2 x = 6    1
    <BLANKLINE>
    ∂E/∂x = ∂E/∂x
          = 6
    """
    if derivation.kind not in ("gradient", "jacobian"):
        raise DerivkitError(f"a table is of first derivatives, not of a {derivation.kind}", code="DK031")
    return _Tracer(derivation, real_arrays(by_name(values, named)), given_sizes(derivation.primal, sizes)).trace()


def refined(graph: Graph) -> Graph:
    """Return a program in which what goes into a function has a name of its own: z = relu(relu(x w) v) has three nodes."""
    taken = {str(n) for n in (*graph.inputs, *graph.extra, *(d.name for d in graph.definitions))}
    fresh = (f"a{k}" for k in itertools.count(1) if f"a{k}" not in taken)
    definitions: list[Definition] = []
    for d in graph.definitions:
        inner: list[Definition] = []

        def named(node: Expr, d: Definition = d, inner: list[Definition] = inner) -> Expr:
            if not node.children or isinstance(node, Sum | Prim):
                return node
            args = tuple(named(c) for c in node.children)
            if isinstance(node, Fn) and node.op not in COMPARISONS.values():
                args = tuple(_given_a_name(a, d, inner, fresh) for a in args)
            return node.rebuilt(args)

        rhs = named(d.rhs)
        definitions += [*inner, replace(d, rhs=rhs, text="" if inner else d.text)]
    return replace(graph, definitions=tuple(definitions))


def _given_a_name(argument: Expr, d: Definition, inner: list[Definition], fresh: Iterator[str]) -> Expr:
    bound = tuple(i for i in d.bound if i in argument.free)
    if isinstance(argument, Ref | Num) or not references(argument) or argument.free != frozenset(bound):
        return argument
    made = Definition(Name("anon", next(fresh)), tuple(i.size for i in bound), bound, argument)
    inner.append(made)
    return made.ref()


class _Tracer:
    """One program at one point."""

    def __init__(self, derivation: Derivation, values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        self.graph: Graph = refined(derivation.primal)
        self.wrt = derivation.wrt
        self.given = values
        self.env = evaluate_graph(self.graph, values, sizes)
        self.sizes = fix_sizes(self.graph, values, sizes)
        self.notation = Notation("text", Letters.of(self.graph), ranks(self.graph))

    def trace(self) -> Trace:
        graph = self.graph
        below = graph.dependents(frozenset(graph.inputs))
        moving = [d for d in graph.definitions if d.name in below]
        locals_ = {d.name: tuple(self._locals(d)) for d in moving}
        gradients = self._gradients()
        nodes = [Node(str(n), "", self.env[n], gradients.get(n), ()) for n in graph.inputs]
        for d in graph.definitions:
            nodes.append(Node(str(d.name), self._formula(d), self.env[d.name], gradients.get(d.name), locals_.get(d.name, ())))
        chains = tuple(self._chain(n, locals_, gradients) for n in self.wrt if n in gradients)
        return Trace(str(graph.output), tuple(nodes), chains)

    def _formula(self, d: Definition) -> str:
        return definition_text(self.notation, d, self.graph).partition(" = ")[2]

    def _locals(self, d: Definition) -> Iterator[Local]:
        for name in references(normal(d.rhs)):
            given = self.graph.inputs.get(name)
            if name == d.name or (given is not None and given.kind == "label"):
                continue
            local, rows, columns = local_derivative(self.graph, d, name)
            order = rows + columns
            scope = tuple(i for i in order if i is not None)
            (text,) = self.notation.line((local,), scope)
            yield Local(str(d.name), str(name), text, evaluate_expr(local, self.env, self.sizes, order))

    def _gradients(self) -> dict[Name, Array]:
        graph = self.graph
        needed = graph.needed((graph.output,))
        labels = {n for n, i in graph.inputs.items() if i.kind == "label"}
        names = [n for n in (*graph.inputs, *(d.name for d in graph.definitions)) if n in needed and n not in labels]
        made = derive(graph, [str(n) for n in names], check=False)
        return {n: made.results[str(n)].evaluate(self.given, sizes=self.sizes) for n in names}

    def _chain(self, wrt: Name, locals_: Mapping[Name, tuple[Local, ...]], gradients: Mapping[Name, Array]) -> Chain:
        output = str(self.graph.output)
        readers: dict[str, list[Local]] = {}
        for found in locals_.values():
            for one in found:
                readers.setdefault(one.by, []).append(one)
        counts: dict[str, int] = {output: 1}
        for d in reversed(self.graph.definitions):
            name = str(d.name)
            counts.setdefault(name, sum(counts.get(r.of, 0) for r in readers.get(name, ())))
        start = str(wrt)
        total = counts.get(start, sum(counts.get(r.of, 0) for r in readers.get(start, ())))

        def paths(name: str) -> Iterator[tuple[Local, ...]]:
            if name == output:
                yield ()
                return
            for one in readers.get(name, ()):
                if counts.get(one.of, 0):
                    for ahead in paths(one.of):
                        yield (*ahead, one)

        every: tuple[tuple[Local, ...], ...] = tuple(paths(start)) if 0 < total <= PATHS and start != output else ()
        return Chain(start, every, total, gradients[wrt])
