"""Whether the matrices of a program can be inverted at a point: what is nearly singular shows nothing of a derivative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import Name, Prim, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.ops_linear import MATRICES
from derivkit.symbolic.ops_values import Array

WORST = 1e5  # a condition number: twice its digits are lost in a derivative, and enough are left


def matrices(graph: Graph) -> Iterator[Prim]:
    """Yield the operations on matrices in a program."""
    for d in graph.definitions:
        for node in walk(d.rhs):
            if isinstance(node, Prim) and node.op in MATRICES:
                yield node


def well_conditioned(graph: Graph, env: Mapping[Name, Array], sizes: Mapping[str, int]) -> bool:
    """Say whether every matrix of which an inverse or a determinant is taken is far from a singular one."""
    for node in matrices(graph):
        matrix = node.args[0]
        batch = sorted(matrix.free.difference(node.bound), key=lambda i: i.uid)
        values = evaluate_expr(matrix, env, sizes, (*batch, *node.bound))
        if not np.all(np.linalg.cond(values) < WORST):
            return False
    return True
