"""Arguments that leave nothing to measure: those without entries, and float16, bfloat16 and their like.

Of the latter float32 copies are measured, and the gradient of the originals is held to that.  Two or three digits leave
differences nothing to see.  The functions still get what came, once: what they say there may differ from what they say in
float32 by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from derivkit.checking.libraries import numeric, precision_name
from derivkit.checking.problem import Array, Task, call, typical
from derivkit.checking.report import UNDECIDED, Report
from derivkit.checking.trees import Leaf, Misfit, children, claimed, rebuild, refilled
from derivkit.errors import DerivkitError

#: A gradient of the originals that is off by more than this share, at an entry of typical size, is more than rounding.
ROUNDING = 0.1
#: How many bits follow the first one; what has no row has at least so few.
BITS = {"float16": 10, "bfloat16": 7}
FEWEST = 2


def widened_arguments(args: Sequence[Any], found: Sequence[Leaf]) -> tuple[Any, ...] | None:
    """Return the arguments with float32 copies of those that have fewer digits; ``None`` if there are none.

    >>> x = np.ones(2, np.float16)
    >>> widened_arguments((x,), (Leaf("x", (0,), x, False),))
    (array([1., 1.], dtype=float32),)
    """
    narrow = [leaf for leaf in found if precision_name(_at(args, leaf.path)) is not None or leaf.array.dtype.itemsize < 4]
    if not narrow:
        return None
    wide = [replace(leaf, array=leaf.array.astype(np.float32)) if leaf in narrow else leaf for leaf in found]
    return rebuild(args, wide, [leaf.array for leaf in wide])


def _at(args: Sequence[Any], path: tuple[Any, ...]) -> Any:
    value: Any = args
    for key in path:
        value = (children(value) or {})[key]
    return value


def judge_narrow(
    task: Task, claim: Callable[..., Any], wide: tuple[Any, ...], check: Callable[..., Report], otherwise: Callable[..., Report]
) -> Report:
    """Return what ``check(claim, *wide)`` says; right only if the gradient of the originals is rounded from that.

    A gradient that is of low precision whatever comes in may be off by its own rounding.  Where the functions take no others
    than the originals, ``otherwise`` has the word, unless NumPy has not their precision.
    """
    came = _claims(task, rebuild(task.args, (), ()))
    if isinstance(came, Misfit):
        return Report(False, diagnosis="shape", blame=(came.leaf,), evaluations=1, seed=task.seed, summary=came.sentence)
    try:
        precise = _claims(task, wide)
    except DerivkitError as error:
        if all(precision_name(_at(task.args, leaf.path)) is None for leaf in task.leaves):
            return otherwise(task)
        summary = f"f or its gradient takes arguments of low precision only, and those are too coarse to measure: {error}"
        hint = "let them take float32 too: what is right there is right here"
        return Report(
            False, undecided=True, diagnosis=UNDECIDED, evaluations=2, summary=summary, evidence=(hint,), seed=task.seed
        )
    if isinstance(precise, Misfit):
        return check(claim, wide, rtol=task.rtol)
    bits = min(BITS.get(name, FEWEST) for name in _names(task))
    if all(_rounded(c, bits) for c in precise if c is not None):
        report = check(lambda *given: _as_float32(claim(*given)), wide, rtol=max(task.rtol, 4 * 0.5**bits))
    else:
        report = check(claim, wide, rtol=task.rtol)
    note = "measured with float32 copies of the arguments"
    report = replace(report, evaluations=report.evaluations + task.calls.made, evidence=(*report.evidence, note))
    far = max((_apart(a, b) for a, b in zip(came, precise, strict=True) if a is not None and b is not None), default=0.0)
    if report.ok and not far <= ROUNDING:
        summary = f"right in float32, but in the precision given some entries differ by {far:.2g}: rounding or a fault"
        return replace(report, ok=False, undecided=True, diagnosis=UNDECIDED, summary=summary)
    return report


def _names(task: Task) -> list[str]:
    """Return the names of the low precisions among the arguments."""
    given = [(precision_name(_at(task.args, leaf.path)), leaf.array.dtype) for leaf in task.leaves]
    return [name or dtype.name for name, dtype in given if name is not None or dtype.itemsize < 4]


def _rounded(numbers: Array, bits: int) -> bool:
    """Return whether each of the numbers has no more than so many bits behind its first."""
    if numbers.dtype.kind != "f":
        return True
    fraction = np.ldexp(np.frexp(numbers.astype(np.float64))[0], bits + 1)
    return bool(np.all(fraction == np.round(fraction)))


def _as_float32(claim: Any) -> Any:
    """Return a claimed derivative, a tree or not, with its arrays in float32."""
    read = numeric(claim)
    if isinstance(read, np.ndarray):
        return read.astype(np.float32)
    parts = children(claim)
    return claim if parts is None else refilled(claim, {key: _as_float32(part) for key, part in parts.items()})


def judge_empty(task: Task) -> Report:
    """Return the verdict where no argument has an entry: right if both functions run and the shapes fit."""
    came = _claims(task, rebuild(task.args, (), ()))
    if isinstance(came, Misfit):
        return Report(False, diagnosis="shape", blame=(came.leaf,), evaluations=1, seed=task.seed, summary=came.sentence)
    return Report(True, evaluations=1, seed=task.seed, summary="has no entries: there is nothing to measure")


def _claims(task: Task, given: tuple[Any, ...]) -> list[Array | None] | Misfit:
    task.calls.one_more()
    output = np.asarray(call(task, "f", task.f, *given))
    if task.kind == "jvp":
        return [np.asarray(call(task, "the pushforward", task.claim, given if len(given) > 1 else given[0], *given))]
    if task.kind == "vjp":
        seed = np.random.default_rng(task.seed).choice([-1.0, 1.0], output.shape).astype(output.dtype)
        raw = call(task, "the gradient", task.claim, seed, *given)
    else:
        raw = call(task, "the gradient", task.claim, *given)
    return claimed(raw, task.args, task.leaves, output.shape if task.kind == "jacobian" else ())


def _apart(low: Array, high: Array) -> float:
    """Return the largest difference, relative to the entry or, where that is small, to a typical one."""
    if low.shape != high.shape or low.dtype.kind not in "fiu" or not high.size:
        return 0.0
    wide = high.astype(np.float64)
    size = np.maximum(np.abs(wide), typical(wide))
    off = np.abs(low.astype(np.float64) - wide)
    return float(np.max(np.where(off == 0, 0.0, off / np.maximum(size, 1e-300))))
