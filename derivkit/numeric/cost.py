"""What a program costs: parameters, floating-point operations, bytes and arithmetic intensity, per node and in total.

Counts are polynomials in the sizes.  A product of M×K by K×N is 2 M N K operations (M N K multiply-adds); an elementwise
operation is one for each entry, a reduction one for each entry that goes in, a softmax three for each.  Bytes are those of
each operand read once and of the result written once.  The intensity is operations per byte (Williams et al. 2009, roofline).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.codegen import Program, lift, program_of
from derivkit.numeric.codegen.emit import needed
from derivkit.symbolic.arrays import Array, NoArrayForm, plan, postorder
from derivkit.symbolic.derive import differentiate
from derivkit.symbolic.derive.decorate import ProgramFunction
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.given import words_of
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import ONE, ZERO, Size
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.render.styles import TEXT
from derivkit.symbolic.steps import Derivation

ITEMSIZE = {"float16": 2, "float32": 4, "float64": 8}

#: Names that are data by habit, where nobody says which inputs are parameters.
_DATA = re.compile(r"[xXtTyY]\d*|(inputs?|data|targets?|labels?|mask)\d*")

#: Operations of the planner that compute nothing: they are views, or constants.
_FREE = frozenset(
    "name number constant size transpose expand broadcast index diagonal eye ones zeros arange onehot reshape flip turn window "
    "gather entries diag".split()
)


@dataclass(frozen=True)
class NodeCost:
    """What one node costs: its shape, operations, the multiply-adds among them, and bytes."""

    name: str
    shape: tuple[Size, ...]
    flops: Size
    multiply_adds: Size
    bytes: Size

    def at(self, sizes: Mapping[str, Size]) -> NodeCost:
        """Return the same with sizes replaced."""
        shape = tuple(s.substitute(sizes) for s in self.shape)
        counts = (c.substitute(sizes) for c in (self.flops, self.multiply_adds, self.bytes))
        return NodeCost(self.name, shape, *counts)

    @property
    def intensity(self) -> float | str:
        """Operations per byte: a number, or a quotient in the sizes."""
        return _quotient(self.flops, self.bytes)


@dataclass(frozen=True, repr=False)
class Cost:
    r"""The cost of a program; ``str`` prints the table, ``at`` puts numbers for sizes.

    >>> c = cost("A: M, K\nB: K, N\nC = A @ B", parameters="A")
    >>> str(c.flops), c.intensity, c.at(M=2, K=3, N=4).flops
    ('4*K*M*N', '4KMN / (16 (KM+KN+MN))', 96)
    """

    parameters_by_name: Mapping[str, Size]
    forward: tuple[NodeCost, ...]
    backward: tuple[NodeCost, ...]
    dtype: str

    @property
    def parameters(self) -> Size | int:
        """The number of parameters."""
        return _plain(_sum(self.parameters_by_name.values()))

    @property
    def flops(self) -> Size | int:
        """All operations, forward and backward."""
        return _plain(_sum(n.flops for n in self.nodes))

    @property
    def multiply_adds(self) -> Size | int:
        """The multiply-adds of all contractions."""
        return _plain(_sum(n.multiply_adds for n in self.nodes))

    @property
    def bytes(self) -> Size | int:
        """The bytes that all nodes read and write."""
        return _plain(_sum(n.bytes for n in self.nodes))

    @property
    def intensity(self) -> float | str:
        """Operations per byte, over everything."""
        return _quotient(_sum(n.flops for n in self.nodes), _sum(n.bytes for n in self.nodes))

    @property
    def nodes(self) -> tuple[NodeCost, ...]:
        """The nodes, forward then backward."""
        return self.forward + self.backward

    def at(self, sizes: Mapping[str, int] | None = None, /, **named: int) -> Cost:
        """Return the cost with numbers for sizes; those not given stay symbols.  DK008 for a size that is not in it."""
        known = {n for node in self.nodes for s in (*node.shape, node.bytes) for n in s.names()}
        known |= {n for s in self.parameters_by_name.values() for n in s.names()}
        told: dict[str, Size] = {}
        for word, value in {**(sizes or {}), **named}.items():
            if word not in known:
                hint = did_you_mean(str(word), known) or f"the sizes are {', '.join(sorted(known))}"
                raise DerivkitError(f"no size is called '{echo(str(word))}'", code="DK008", hint=hint)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise DerivkitError(f"size '{echo(str(word))}' is a positive integer", code="DK041")
            told[word] = Size.of(value)
        parameters = {n: s.substitute(told) for n, s in self.parameters_by_name.items()}
        forward, backward = (tuple(n.at(told) for n in nodes) for nodes in (self.forward, self.backward))
        return Cost(parameters, forward, backward, self.dtype)

    def __repr__(self) -> str:
        """Return a short form."""
        return f"<Cost: {self.parameters} parameters, {self.flops} FLOPs>"

    def __str__(self) -> str:
        """Return the table."""
        return "\n".join(_table(self))


def cost(
    program: str | Graph | ProgramFunction | Derivation,
    /,
    *,
    parameters: str | Iterable[str] | None = None,
    shapes: Mapping[str, str] | None = None,
    batch: str | Iterable[str] = (),
    sizes: Mapping[str, int] | None = None,
    dtype: str = "float64",
) -> Cost:
    r"""Return what a program costs, forward, and backward to its ``parameters``.

    ``parameters`` are the inputs that are learned; where nobody says, all real inputs but those whose names are data's by
    habit (x, X, t, y, data, target, ...).  ``batch`` are inputs that get an axis of samples.  ``sizes`` puts numbers.

    >>> net = "x: 30\nW1: 1024, 30\nb1: 1024\nW2: 512, 1024\nb2: 512\nW3: 1, 512\nb3: 1\ny = W3 @ (W2 @ (W1 @ x + b1) + b2) + b3"
    >>> cost(net).parameters
    557057
    """
    derivation = _derived(program, parameters, shapes)
    lifted = lift(program_of(derivation), words_of("batch", batch), None)
    return cost_of(lifted, derivation, dtype, sizes or {})


def cost_of(program: Program, derivation: Derivation, dtype: str, sizes: Mapping[str, int]) -> Cost:
    """Return the cost of what a kernel computes, with numbers for ``sizes``."""
    if dtype not in ITEMSIZE:
        raise DerivkitError(f"unknown dtype '{echo(str(dtype))}'", code="DK031", hint=f"one of {', '.join(ITEMSIZE)}")
    primal = {d.name for d in derivation.primal.definitions}
    shapes = program.shapes()
    forward: list[NodeCost] = []
    backward: list[NodeCost] = []
    for place in needed(program):
        d = program.definitions[place]
        made = _node(d, shapes, ITEMSIZE[dtype])
        (forward if d.name in primal or d.name == program.value else backward).append(made)
    learned = {str(n): _count(derivation.graph.shape(n)) for n in derivation.wrt if n not in program.batched}
    return Cost(learned, tuple(forward), tuple(backward), dtype).at(sizes)


def _derived(
    program: str | Graph | ProgramFunction | Derivation, parameters: Any, shapes: Mapping[str, str] | None
) -> Derivation:
    if isinstance(program, Derivation):
        if parameters is not None or shapes is not None:
            raise DerivkitError("a derivation has its own parameters and shapes", code="DK010", hint="leave them out")
        return program
    if not isinstance(program, str | Graph | ProgramFunction):
        raise DerivkitError(f"a program is text or a program function, not {type(program).__name__}", code="DK010")
    given = program.graph if isinstance(program, ProgramFunction) else program
    graph = read_program(given, shapes) if isinstance(given, str) else given
    kind = None if not graph.shape(graph.output) else "vjp"
    return differentiate(graph, wrt=_by_habit(graph) if parameters is None else parameters, kind=kind)


def _by_habit(graph: Graph) -> list[str]:
    real = [str(n) for n, i in graph.inputs.items() if i.kind in ("real", "positive", "symmetric")]
    return [n for n in real if not _DATA.fullmatch(n)] or real


# -- counting -------------------------------------------------------------------------------------------------------------


def _node(d: Definition, shapes: Mapping[Name, tuple[Size, ...]], itemsize: int) -> NodeCost:
    try:
        root = plan(d.rhs, d.indices, shapes)
    except NoArrayForm:
        raise DerivkitError(f"'{d.name}' has no array form to count", code="DK032") from None
    flops = adds = ZERO
    for node in postorder(root):
        more, contracted = operations(node)
        flops, adds = flops + more, adds + contracted
    read = _sum(_count(shapes[n]) for n in dict.fromkeys(references(d.rhs)))
    moved = (read + _count(d.shape)) * itemsize
    return NodeCost(str(d.name), d.shape, flops, adds, moved)


def operations(node: Array) -> tuple[Size, Size]:
    """Return the operations of one node of a plan, and the multiply-adds of contractions among them."""
    size = _count(node.shape)
    if node.op in _FREE:
        return ZERO, ZERO
    inner = _contracted(node)
    if inner is not None:
        return size * inner * 2, size * inner
    entries = _count(node.args[0].shape) if node.args else ZERO
    n = node.args[0].shape[-1] if node.args and node.args[0].shape else ONE
    cubic = {"inv": 2, "solve": 1, "det": 1, "logdet": 1}  # of n³: by LU with back substitution (Golub & Van Loan, 3.2)
    if node.op in cubic:
        return entries * n * cubic[node.op], ZERO
    if node.op == "reduce":
        return entries * (3 if node.params[0] in ("logsumexp", "norm") else 1), ZERO
    if node.op == "along":
        return entries * 3, ZERO
    if node.op in ("scatter", "add_rows", "trace"):
        return _count(node.args[-1].shape), ZERO
    return size * max(1, len(node.args) - 1), ZERO


def _contracted(node: Array) -> Size | None:
    """Return the product of the sizes that a node sums over, ``None`` when it contracts nothing."""
    if node.op == "matmul":
        return node.args[0].shape[-1]
    if node.op == "tensordot":
        axes: Any = node.params[0]
        return _count(tuple(node.args[0].shape[a] for a in axes))
    if node.op == "einsum":
        left, _, right = str(node.params[0]).partition("->")
        sizes = {c: s for part, a in zip(left.split(","), node.args, strict=True) for c, s in zip(part, a.shape, strict=True)}
        return _count(tuple(s for c, s in sizes.items() if c not in right))
    return None


def _count(shape: tuple[Size, ...]) -> Size:
    total = ONE
    for size in shape:
        total = total * size
    return total


def _sum(sizes: Iterable[Size]) -> Size:
    total = ZERO
    for size in sizes:
        total = total + size
    return total


def _plain(size: Size) -> Size | int:
    return size if size.literal is None else size.literal


def _quotient(flops: Size, moved: Size) -> float | str:
    """Return operations per byte in lowest terms: what both have is cancelled, what all terms below have stands in front."""
    if flops.literal is not None and moved.literal:
        return flops.literal / moved.literal
    top, bottom = ([(Counter(m), c) for m, c in size.terms] for size in (flops, moved))
    shared = _common([m for m, _ in (*top, *bottom)])
    top, bottom = ([(m - shared, c) for m, c in terms] for terms in (top, bottom))
    if not any(m for m, _ in (*top, *bottom)):
        return sum(c for _, c in top) / sum(c for _, c in bottom)
    front, count = _common([m for m, _ in bottom]), gcd(*(c for _, c in bottom))
    inside = _text([(m - front, c // count) for m, c in bottom])
    above = _text(top)
    above = f"({above})" if "+" in above else above
    if len(bottom) == 1:
        return f"{above} / {_text(bottom)}"
    lead = _text([(front, count)])
    return f"{above} / ({inside})" if lead == "1" else f"{above} / ({lead} ({inside}))"


Term = tuple[Counter[Any], int]


def _common(monomials: list[Counter[Any]]) -> Counter[Any]:
    """Return what all monomials have."""
    shared = Counter(monomials[0]) if monomials else Counter()
    for monomial in monomials:
        shared &= monomial
    return shared


def _text(terms: list[Term]) -> str:
    return _shown(Size({tuple(sorted(m.elements(), key=str)): c for m, c in terms}))


# -- the table ------------------------------------------------------------------------------------------------------------


def _table(made: Cost) -> Iterator[str]:
    head = ("node", "shape", "FLOPs", f"bytes ({made.dtype})", "FLOPs/byte")
    rows: list[tuple[str, ...]] = [head]
    for title, nodes in (("forward", made.forward), ("backward", made.backward)):
        if nodes:
            rows.append((f"-- {title}", "", "", "", ""))
            rows += [_row(n.name, "×".join(map(_shown, n.shape)) or "scalar", n.flops, n.bytes) for n in nodes]
            rows.append(_row(f"{title}, in all", "", _sum(n.flops for n in nodes), _sum(n.bytes for n in nodes)))
    widths = [max(len(r[k]) for r in rows) for k in range(len(head))]
    for row in rows:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
    yield ""
    each = ", ".join(f"{n} {_shown(s)}" for n, s in made.parameters_by_name.items())
    yield f"parameters: {_shown(Size.of(made.parameters))}" + (f"  ({each})" if each else "")
    yield f"in all: {_shown(Size.of(made.flops))} FLOPs, of which {_shown(Size.of(made.multiply_adds))} multiply-adds"


def _row(name: str, shape: str, flops: Size, moved: Size) -> tuple[str, ...]:
    ratio = _quotient(flops, moved)
    return name, shape, _shown(flops), _shown(moved), ratio if isinstance(ratio, str) else f"{ratio:.4g}"


def _shown(size: Size) -> str:
    return f"{size.literal:,}" if size.literal is not None else TEXT.size(size)
