"""What a second derivative starts from, off the point: a first derivative that is right only where it was checked is not enough.

Of y = softmax(z) the sum is 1, and of a one-hot t: a form that used this is right at a point, and its derivative by y or t is
wrong.  So the lines that move are moved off their definitions here, and one-hots and distributions off theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.symbolic.derive.kinds import Claim
from derivkit.symbolic.derive.measure import STEP, compare, stepped
from derivkit.symbolic.graph import Graph

Array = NDArray[Any]
FAR = 0.1  # how far everything is moved, of its own size: signs stay
_FREE = frozenset({"real", "positive", "onehot", "simplex"})


def around(primal: Graph, claim: Claim, values: Mapping[str, Array], sizes: Mapping[str, int], rng: np.random.Generator) -> float:
    """Compare the derivative that ends ``claim.graph`` with complex steps of ``primal`` near the point; return the error.

    It is nan where there is nothing to compare.
    """
    name = claim.graph.output
    if name.kind != "adjoint" or name.of is None or name.output != primal.output or not primal.knows(name.of):
        return np.nan
    given = {**primal.extra, **primal.inputs}
    at = {n: values[str(n)] * _near(values[str(n)], rng) if i.kind in _FREE else values[str(n)] for n, i in given.items()}
    shape = tuple(s.evaluate(sizes) for s in primal.shape(name.of))
    direction = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    moved = {name.of: 1 + FAR * rng.uniform(-1, 1, shape)} if name.of not in given else {}
    with np.errstate(all="ignore"):
        derivative = stepped(claim.graph, at, {}, sizes, moved)[name]
        measured = np.imag(stepped(primal.apart or primal, at, {name.of: direction}, sizes, moved)[primal.output]) / STEP
    if not np.all(np.isfinite(measured)):
        return np.nan
    claimed = np.asarray(np.sum(derivative * direction))
    return compare(np.asarray(measured), claimed, f"{name}, near the point,", float(np.sum(np.abs(derivative))))


def _near(value: Array, rng: np.random.Generator) -> Array:
    return np.asarray(1 + FAR * rng.uniform(-1, 1, value.shape))
