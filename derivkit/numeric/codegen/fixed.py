"""Planned arrays with their sizes put in, and names that are read once written out: what is bound has no symbol left."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from derivkit.numeric.codegen.emit import MATH, Assignment
from derivkit.symbolic.arrays import Array, Numbering, postorder
from derivkit.symbolic.arrays.nodes import number
from derivkit.symbolic.expr import Name
from derivkit.symbolic.index import Size

#: How many names may be written out one in another: lowering is recursive.
DEEPEST = 20


def at_sizes(planned: Sequence[Assignment], sizes: Mapping[str, int], returned: Collection[Name]) -> list[Assignment]:
    """Return the assignments at ``sizes``: every axis a number, functions of sizes computed, names read once written out."""
    done: dict[int, Array] = {}
    once = _read_once(planned, returned)
    opened: dict[Name, Array] = {}
    depth: dict[Name, int] = {}

    def fixed(parameter: Any) -> Any:
        if isinstance(parameter, Size):
            return Size.of(parameter.evaluate(sizes))
        return tuple(map(fixed, parameter)) if type(parameter) is tuple else parameter

    def made(node: Array) -> Array:
        if node.op == "name" and node.params[0] in opened:
            return opened[node.params[0]]
        if node.op == "size":
            return number(node.params[0].evaluate(sizes))  # type: ignore[attr-defined]
        args = tuple(done[id(a)] for a in node.args)
        computed = _computed(node, args)
        if computed is not None:
            return computed
        return Array(node.op, args, fixed(node.shape), fixed(node.params))

    kept = []
    for each in planned:
        reads = [n.params[0] for n in postorder(each.node) if n.op == "name" and n.params[0] in opened]
        for node in postorder(each.node):
            if id(node) not in done:
                done[id(node)] = made(node)
        depth[each.name] = 1 + max((depth[r] for r in reads), default=0)
        if each.name in once and depth[each.name] < DEEPEST:
            opened[each.name] = done[id(each.node)]
        else:
            kept.append(replace(each, node=done[id(each.node)]))
    return kept


def _computed(node: Array, args: Sequence[Array]) -> Array | None:
    """Return a function of numbers as a number, ``None`` where NumPy has to say what it makes of it."""
    if node.op == "constant" and node.params[0] == "pi":
        return number(Fraction(math.pi))
    if not args or any(a.op != "number" for a in args):
        return None
    values = [float(a.params[0]) for a in args]  # type: ignore[arg-type]
    try:
        if node.op == "fn" and node.params[0] in MATH:
            return number(Fraction(getattr(math, str(node.params[0]))(*values)))
        if node.op == "pow":
            return number(Fraction(values[0] ** values[1]))
        if node.op == "mul":
            count: int = node.params[0]  # type: ignore[assignment]
            return number(Fraction(math.prod(values[:count]) / math.prod(values[count:])))
        if node.op == "add":
            return number(Fraction(math.fsum(s * v for s, v in zip(node.params, values, strict=True))))  # type: ignore[operator]
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        pass
    return None


def _read_once(planned: Sequence[Assignment], returned: Collection[Name]) -> set[Name]:
    """Return the names that one operation reads, and nobody else."""
    numbers = Numbering()
    readers: dict[Name, set[int]] = {}
    for each in planned:
        for node in postorder(each.node):
            for arg in node.args:
                if arg.op == "name":
                    readers.setdefault(arg.params[0], set()).add(numbers(node))  # type: ignore[arg-type]
        if each.node.op == "name":
            readers.setdefault(each.node.params[0], set()).update((-1, -2))  # type: ignore[arg-type]
    return {name for name, found in readers.items() if len(found) == 1 and name not in returned}
