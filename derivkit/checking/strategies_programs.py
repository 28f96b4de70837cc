"""A Hypothesis strategy of whole programs, from the table of operations: each with arrays at which it is smooth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray

from derivkit.checking.strategies import arrays
from derivkit.errors import DerivkitError, did_you_mean
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.ops import OPS
from derivkit.symbolic.ops_row import Op
from derivkit.symbolic.parse import read_program

Array = NDArray[Any]
Shape = tuple[str, ...]

#: Where the steps of an elementwise operation are, no input is; and no value is larger than this.
KINKS = (-1.0, 0.0, 1.0)
LARGEST = 1e3
#: Operations over the last axis that keep the shape, and those that leave one number.
OVER_AXIS = ("softmax", "log_softmax")
LOSSES = ("sum", "mean", "logsumexp", "norm", "var")
#: How a value is brought to where a row of the table has its samples.
_POSITIVE, _SMALL = "1 + {}**2", "tanh({})/2"
_ANYWHERE = Op("", "").samples


@dataclass(frozen=True)
class Program:
    """A program as text, arrays for its inputs, and the names to differentiate it by; its value is a number."""

    text: str
    arrays: dict[str, Array]
    wrt: tuple[str, ...]


@dataclass
class _Draft:
    """A program that grows line by line, and the shapes of all names that are there."""

    sizes: dict[str, int]
    inputs: dict[str, Shape] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def declare(self, shape: Shape) -> str:
        name = f"{'W' if len(shape) == 2 else 'x'}{len(self.inputs)}"
        self.inputs[name] = self.shapes[name] = shape
        return name

    def define(self, text: str, shape: Shape) -> None:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.shapes[name] = shape

    @property
    def text(self) -> str:
        declared = [f"{name}: {', '.join(shape)}" for name, shape in self.inputs.items()]
        return "\n".join([*declared, *self.lines])


@st.composite
def programs(draw: st.DrawFn, ops: Iterable[str] | None = None, max_lines: int = 4) -> Program:
    """Return the strategy of programs with at most ``max_lines`` lines before the last one, from rows of the op table.

    ``ops`` are the names of the elementwise operations to draw from (default: every smooth one, and those with kinks where
    inputs are read, which are away from them).  Raises DerivkitError (DK009) for a name that is no such row.

    >>> from hypothesis import find
    >>> made = find(programs(ops=["tanh"]), lambda made: "tanh" in made.text)
    >>> print(made.text)
    x0: N
    v0 = tanh(x0)
    E = sum(v0)
    >>> made.arrays, made.wrt
    ({'x0': array([2.])}, ('x0',))
    """
    rows = _rows(ops)
    side = st.integers(1, 3)
    draft = _Draft({"N": draw(side), "M": draw(side)})
    draft.declare(draw(st.sampled_from([("N",), ("M", "N")])))
    for _ in range(draw(st.integers(1, max_lines))):
        _line(draw, draft, rows)
    last = list(draft.shapes)[-1]
    draft.lines.append(f"E = {draw(st.sampled_from(LOSSES))}({last})")
    values = {name: draw(arrays(tuple(draft.sizes[size] for size in shape), kinks=KINKS)) for name, shape in draft.inputs.items()}
    made = Program(draft.text, values, tuple(draft.inputs))
    return made if _tame(made, draft.sizes) else reject()


def _rows(names: Iterable[str] | None) -> list[Op]:
    """Return the rows to draw from: elementwise, of one argument, without what an extra would have to be installed for."""
    known = {name: op for name, op in OPS.items() if op.group == "elementwise" and len(op.parameters) - len(op.defaults) == 1}
    if names is None:
        return [op for op in known.values() if not op.needs]
    chosen = list(names)
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, known)
            raise DerivkitError(f"'{name}' is no elementwise operation of one argument", code="DK009", hint=hint)
    return [known[name] for name in chosen]


def _line(draw: st.DrawFn, draft: _Draft, rows: list[Op]) -> None:
    """Add one line: an elementwise operation, a product, a sum of two, an operation over an axis."""
    name = draw(st.sampled_from(list(draft.shapes)[::-1]))
    shape = draft.shapes[name]
    kind = draw(st.sampled_from(["elementwise", "product", "two", "over axis"]))
    fitting = [op for op in rows if name in draft.inputs or not op.kinks]
    if kind == "product" and shape[0] == "N" and len(shape) == 1:
        draft.define(f"{draft.declare(('M', 'N'))} @ {name}", ("M",))
    elif kind == "two":
        other = draw(st.sampled_from([n for n, s in draft.shapes.items() if s == shape]))
        draft.define(f"{name} {draw(st.sampled_from('+-*'))} {other}", shape)
    elif kind == "over axis":
        draft.define(f"{draw(st.sampled_from(OVER_AXIS))}({name})", shape)
    elif fitting:
        op = draw(st.sampled_from(fitting))
        inner = _POSITIVE if op.domain[0] == 0 else "{}" if op.samples == _ANYWHERE else _SMALL
        draft.define(f"{op.name}({inner.format(name)})", shape)


def _tame(made: Program, sizes: dict[str, int]) -> bool:
    """Return whether all values are finite, and of a size that leaves digits."""
    graph = read_program(made.text)
    with np.errstate(all="ignore"):
        try:
            env = evaluate_graph(graph, made.arrays, {str(n): s for n, s in sizes.items() if n in made.text})
        except DerivkitError:
            return False
    return all(bool(np.all(np.abs(value) <= LARGEST)) for value in env.values())
