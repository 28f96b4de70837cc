"""The rank of a call in an author's line, from the table of operations: whether it is a number, a vector or a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from derivkit.symbolic.ops import ELEMENTWISE, OPS
from derivkit.symbolic.parse import syntax

#: Calls whose result has the axes of their first argument; and those of a fixed rank.
_ALIKE = frozenset({"softmax", "log_softmax", "cumsum", "flip", "layer_norm", "rms_norm", "batch_norm", "attention", "linear"})
_FIXED = {"eye": 2, "outer": 2, "det": 0, "logdet": 0, "trace": 0, "dot": 0, "inner": 0}
_REDUCING = frozenset({"sum", "mean", "max", "min", "prod", "norm", "logsumexp", "var", "std"})


def rank_of(function: str, ranks: Sequence[int | None], given: Mapping[str, syntax.Expression]) -> int | None:
    """Return the rank of a call with arguments of these ranks, ``None`` where it is not known."""
    known = [r for r in ranks if r is not None]
    if function in ("ones", "zeros"):
        return len(ranks)
    if not known or len(known) < len(ranks):
        return _FIXED.get(function)
    if function in ELEMENTWISE:
        return max(known)
    if function in _ALIKE:
        return known[0]
    if function == "diag":
        return 3 - known[0]
    if function in OPS and OPS[function].group == "loss":
        return max(max(known) - 1, 0)
    if function in _REDUCING and len(ranks) == 1:
        return _reduced(known[0], given)
    return _FIXED.get(function)


def _reduced(rank: int, given: Mapping[str, syntax.Expression]) -> int | None:
    axis, kept = given.get("axis"), given.get("keepdims")
    if isinstance(kept, syntax.Boolean) and kept.value:
        return None  # a row or a column under a matrix
    if axis is None or isinstance(axis, syntax.NoneItem):
        return 0
    return max(rank - (len(axis.items) if isinstance(axis, syntax.Tuple) else 1), 0)
