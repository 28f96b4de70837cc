"""What is asked and what is measured: the caller's task, the scalar problem made of it, a fault seen before measuring."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.calls import Calls
from derivkit.checking.libraries import numeric
from derivkit.checking.trees import Leaf
from derivkit.errors import DerivkitError, echo

Array = NDArray[Any]
Floats = NDArray[np.float64]
Point = tuple[Array, ...]

#: Leaves up to this size are measured entry by entry once they are known to be wrong.
SMALL = 130
#: An epsilon above this is low precision.
COARSE = 1e-12
#: A claim may differ by this share of its own norm: far above what a float64 gradient loses to rounding.
SLACK = 1e-9
#: And by this share where f may be anybody's: an iteration stopped at its tolerance has a slope of its own, off by some of it.
GRANTED = 1e-8
#: How the claim of each kind is called, for one that takes other arguments.
CALLED = {
    "gradient": "the gradient is called as grad(*args)",
    "vjp": "the pullback is called as vjp(cotangent, *args)",
    "jvp": "the pushforward is called as jvp(tangents, *args)",
    "jacobian": "the Jacobian is called as jac(*args)",
}


@dataclass(frozen=True, slots=True)
class Task:
    """What the caller asked: the kind, the two functions, the arguments and their leaves; ``calls`` counts those of f.

    ``errstate`` is how the caller wants floating-point errors handled: so in the two functions, not in our own arithmetic.
    """

    kind: str
    f: Callable[..., Any]
    claim: Callable[..., Any]
    args: tuple[Any, ...]
    leaves: tuple[Leaf, ...]
    seed: int
    rtol: float
    calls: Calls
    errstate: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A scalar function F = ⟨cotangent, f⟩ at ``point`` with the claimed gradient leaf by leaf (``None``: not claimed).

    ``predict`` gives the claimed change of F for a displacement; ``unit`` is the epsilon of F's values, ``grain`` the
    coarsest of f and the claim: a right claim may be off by so much.  A claim that is off by less than ``doubt`` times
    its tolerance is not called wrong: it may be rounding that piled up.  ``noise`` is what the joint directions have
    shown of the absolute error of F's values.  ``bent``: a pullback is not quite linear, and wrong, whatever is measured.
    """

    value: Callable[[Point], float]
    predict: Callable[[Point], float]
    point: Point
    claims: tuple[Floats | None, ...] | None
    base: float
    unit: float
    output: Array
    cotangent: Array
    grain: float
    jacobians: tuple[Array | None, ...] = ()
    doubt: float = 1.0
    noise: float = 0.0
    bent: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault seen before anything was measured: the code, the sentence, the blamed leaves."""

    code: str
    sentence: str
    blame: tuple[int, ...] = ()


def norm(values: Floats) -> float:
    """Return the 2-norm, where squares overflow or vanish too."""
    largest = float(np.max(np.abs(values), initial=0.0))
    return largest * float(np.linalg.norm(np.ravel(values) / largest)) if 0 < largest < math.inf else largest


def typical(values: Floats) -> float:
    """Return the root mean square."""
    return norm(values) / math.sqrt(values.size) if values.size else 0.0


def call(task: Task, what: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call the caller's function; what it raises becomes a DerivkitError (DK050) that names it."""
    try:
        with np.errstate(**task.errstate):
            return unalarmed(function, *args)
    except DerivkitError:
        raise
    except Exception as error:
        hint = CALLED[task.kind] if isinstance(error, TypeError) and what != "f" else None
        raise DerivkitError(f"{what} raised {type(error).__name__}: {echo(error, 120)}", code="DK050", hint=hint) from error


def unalarmed(function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function``, and without warnings once more where one of its own is made an error (-W error)."""
    try:
        return function(*args)
    except Warning:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return function(*args)


def output_of(task: Task, result: Any) -> Array:
    """Return f's value as an array of floats; DerivkitError (DK010) where it is none, or no scalar where one is due."""
    try:
        array = np.asarray(numeric(result))
    except ValueError as error:
        raise DerivkitError("f must return one array of numbers", code="DK010") from error
    if array.dtype.kind not in "fiub":
        raise DerivkitError(f"f returned {type(result).__name__} of dtype {array.dtype}, not real numbers", code="DK010")
    if task.kind == "gradient" and array.size != 1:
        raise DerivkitError(
            f"f returned an array of shape {array.shape}, not a scalar",
            code="DK010",
            hint="use check_vjp or check_jacobian for a function with an array value",
        )
    # an extended value is judged in float64, as all is
    return array if array.dtype.kind == "f" and array.dtype.itemsize <= 8 else array.astype(np.float64)
