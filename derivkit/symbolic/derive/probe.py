"""A look at one point before a search for a proof: what is not 0 or 1 there is not worth the search."""

from __future__ import annotations

from math import prod

import numpy as np

from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.expr import Name
from derivkit.symbolic.graph import Graph

ENTRIES = 10_000  # larger arrays are not looked at
TOLERANCE = 1e-6


def sums_to_prove(graph: Graph) -> frozenset[tuple[Name, int]]:
    r"""Return the names and axes over which the sum may be 0 everywhere, or 1: those of which it is so at one point.

    All of them where no point can be had.  A wrong guess costs a search; nothing is believed because of it.

    >>> from derivkit.symbolic.parse import read_program
    >>> graph = read_program("x: N\nc = x - mean(x)\nd = 2*c + 1")
    >>> sorted((str(name), axis) for name, axis in sums_to_prove(graph))
    [('c', 0)]
    """
    every = frozenset((d.name, axis) for d in graph.definitions for axis in range(len(d.shape)))
    sizes = next(iter(size_sets(graph)), None)
    if sizes is None or any(prod(s.evaluate(sizes) for s in graph.shape(n)) > ENTRIES for n, _ in every):
        return every
    values = next(points(graph, sizes, np.random.default_rng(0), 1), None)
    if values is None:
        return every
    with np.errstate(all="ignore"):
        env = evaluate_graph(graph, values, sizes)
        sums = {(n, axis): np.sum(env[n], axis) for n, axis in every}
        return frozenset(k for k, s in sums.items() if any(np.all(np.abs(s - v) < TOLERANCE) for v in (0, 1)))
