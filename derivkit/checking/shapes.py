"""A claim of the wrong shape: would it be right transposed, summed, reshaped, or at another argument?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from derivkit.checking.directions import joint, only
from derivkit.checking.evidence import slope
from derivkit.checking.places import explains_shape
from derivkit.checking.problem import Finding, Floats, Problem, Task
from derivkit.checking.trees import Misfit, claimed

#: Along so many random directions a guess must fit.
DIRECTIONS = 3


def explained(task: Task, problem: Problem, misfit: Misfit, outer: tuple[int, ...], raw: Any) -> Finding:
    """Ask whether a claim of the wrong shape would be right in another one; else it is the shape itself."""
    position, came = misfit.leaf, misfit.came
    plain = Finding("shape", misfit.sentence, (position,))
    if came is None or came.dtype.kind not in "fiu" or not np.all(np.isfinite(came)):
        return plain
    guesses = list(explains_shape(came.astype(np.float64), outer + task.leaves[position].array.shape))
    guesses += [("swapped-args", "belongs to another argument", a) for a in _exchanged(task, raw, position, outer)]
    if not guesses:
        return plain
    rng = np.random.default_rng([task.seed, 9])
    lines = [only(joint(problem, rng), position) for _ in range(DIRECTIONS)]
    measured = [slope(problem, line) for line in lines]
    weights = problem.cotangent.astype(np.float64)
    for code, sentence, array in guesses:
        guess = np.tensordot(weights, array, axes=weights.ndim) if outer else array
        if all(_fits(guess * line[position], *told, problem.unit) for line, told in zip(lines, measured, strict=True)):
            return Finding(code, f"{misfit.sentence}: it {sentence}", (position,))
    return plain


def _fits(shares: Floats, value: float, bar: float, unit: float) -> bool:
    size = float(np.linalg.norm(shares))
    return abs(float(np.sum(shares)) - value) <= 5 * bar + max(1e-7, 128 * unit) * size and bar <= 1e-2 * size


def _exchanged(task: Task, raw: Any, position: int, outer: tuple[int, ...]) -> Iterator[Floats]:
    """Yield what the claim for one leaf would be if two arguments' gradients had been exchanged."""
    entries = list(raw) if isinstance(raw, (list, tuple)) and len(raw) == len(task.args) > 1 else []
    for j in range(len(entries)):
        for i in range(j):
            other = list(entries)
            other[i], other[j] = other[j], other[i]
            fitted = claimed(tuple(other), task.args, task.leaves, outer)
            if not isinstance(fitted, Misfit) and (array := fitted[position]) is not None:
                yield array.astype(np.float64)
