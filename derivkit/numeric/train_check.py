"""What is asked before the first step: is everything finite, are the gradients those of the data, is the step along them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivationError, DerivkitError, echo
from derivkit.numeric.kernel import Kernel
from derivkit.numeric.sgd import Sgd

Array = NDArray[Any]

#: How many samples the gradients are checked on, and how far they may be from differences (relative).
CHECKED, TOLERANCE = 8, 1e-3
#: How far the check moves off a point that may be at a kink (relative to the largest entry), and how often it tries.
ASIDE, MOVES = 0.05, 3


def check_finite(kernel: Kernel, data: Mapping[str, Array], params: Mapping[str, Array], test: Mapping[str, Array]) -> None:
    """Refuse what is not a number, and infinities where the loss or its gradients are not finite, by name and place.

    An infinity may be meant: a mask holds minus infinity, and softmax makes zeros of it.
    """
    infinite: dict[str, Array] = {}
    for where, arrays in (("data", data), ("params", params), ("test", test)):
        for name, array in arrays.items():
            if array.dtype.kind != "f" or np.isfinite(array).all():
                continue
            if where == "params" or np.isnan(array).any():
                raise _not_finite(where, name, np.isnan(array) if np.isnan(array).any() else np.isinf(array), array)
            if where == "data":
                infinite[name] = np.isinf(array)
    if infinite and not _finite_at(kernel, {**data, **params}, infinite):
        name, places = next(iter(infinite.items()))
        raise _not_finite("data", name, places, data[name])


def _not_finite(where: str, name: str, places: Array, array: Array) -> DerivkitError:
    place = tuple(int(n) for n in np.argwhere(places)[0])
    index = f"[{', '.join(map(str, place))}]" if place else ""
    return DerivkitError(f"{where}['{echo(name)}']{index} is {array[place]}", code="DK040", hint="nothing was trained")


def _finite_at(kernel: Kernel, arrays: Mapping[str, Array], infinite: Mapping[str, Array]) -> bool:
    """Return whether loss and gradients are finite on the samples with infinities; what is not batched is seen by any sample."""
    batched = [places.reshape(len(places), -1).any(axis=1) for name, places in infinite.items() if name in kernel.batch]
    rows = np.flatnonzero(np.logical_or.reduce(batched)) if batched else np.arange(CHECKED)
    chosen = {name: arrays[name][rows[rows < len(arrays[name])]] for name in kernel.batch}
    with np.errstate(all="ignore"):
        value, gradients = kernel({**arrays, **chosen})
    return bool(np.isfinite(value)) and all(bool(np.isfinite(g).all()) for g in gradients.values())


def check_steps(kernel: Kernel, inputs: Mapping[str, Any], step: Sgd, count: int) -> None:
    """Refuse to train when the steps would not go along the gradients that were checked.

    Where the gradients of the samples cancel, what is left is rounding: what disagrees is compared again at moved parameters.
    """
    rows = {name: np.asarray(inputs[name])[:count] for name in kernel.batch}
    if _astray(kernel, {**inputs, **rows}, step, count) is None:
        return
    start = {name: array.copy() for name, array in step.params.items()}
    for name, array in _moved(kernel, start, np.random.default_rng(0)).items():
        step.params[name][...] = array
    astray = _astray(kernel, {**inputs, **rows}, step, count)
    for name, array in start.items():
        step.params[name][...] = array
    if astray is not None:
        raise DerivationError(f"the step along '{astray}' is not its gradient; nothing trained", code="DK033")


def _astray(kernel: Kernel, arrays: Mapping[str, Any], step: Sgd, count: int) -> str | None:
    """Return the name of a parameter along which the step is not the gradient."""
    with np.errstate(all="ignore"):
        checked = kernel({**arrays, **step.params})[1]
        found = step.gradients(np.arange(count) if kernel.batch else None)
    for name, gradient in checked.items():
        scale = float(np.max(np.abs(gradient), initial=0.0))
        if np.isfinite(scale) and not np.max(np.abs(found[name] - gradient), initial=0.0) <= TOLERANCE * scale:
            return name
    return None


def check(kernel: Kernel, inputs: Mapping[str, Any], params: Mapping[str, Array], seed: int = 0) -> str:
    """Compare each gradient with central differences of the kernel's value, on the first samples; a wrong one never trains.

    The differences run along random directions, in double precision.  At a kink (zero biases and a blank sample put every
    relu at its own) differences decide nothing: what disagrees there is compared again beside it, at moved numbers, and is
    refused only when it disagrees there too.
    """
    rows = {name: np.asarray(inputs[name])[:CHECKED] for name in kernel.batch}
    fixed = {name: _double(value) for name, value in {**inputs, **rows}.items()}
    point = {name: _double(value) for name, value in params.items()}
    random = np.random.default_rng(seed)
    gaps = _gaps(kernel, fixed, point, list(point), random)
    if gaps is None:
        value = kernel({**fixed, **point})[0]
        raise DerivkitError(f"the loss of the first samples is {value}", code="DK040", hint="look at the data and params")
    doubted = {name: gap for name, gap in gaps.items() if gap >= TOLERANCE}
    for _ in range(MOVES if doubted else 0):
        both = _moved(kernel, fixed, random), _moved(kernel, point, random)
        for data, start in (both, (fixed, both[1])):  # a logarithm may have no value beside the data
            found = _gaps(kernel, data, start, list(doubted), random)
            if found is not None:
                doubted = {name: min(gap, doubted[name]) for name, gap in found.items() if gap >= TOLERANCE}
                break
    for name, gap in doubted.items():
        raise DerivationError(
            f"the kernel's gradient by '{name}' is not that of the data (relative error {gap:.1e}); nothing trained",
            code="DK033",
        )
    beside = ", beside a kink" if any(gap >= TOLERANCE for gap in gaps.values()) else ""
    return f"gradients by {', '.join(point)} agree with differences on {len(next(iter(rows.values()), [0]))} samples{beside}"


def _gaps(
    kernel: Kernel, fixed: Mapping[str, Array], point: Mapping[str, Array], names: list[str], random: np.random.Generator
) -> dict[str, float] | None:
    """Return how far each gradient is from differences, the median of three directions; ``None`` where the loss is not finite.

    One direction may be nearly orthogonal to a wrong gradient, or cross a kink of a right one: two must agree.
    """
    with np.errstate(all="ignore"):
        value, gradients = kernel({**fixed, **point})
        if not np.isfinite(value):
            return None
        found: dict[str, float] = {}
        for name in names:
            directions = [random.normal(size=point[name].shape) for _ in range(3)]
            gaps = sorted(_gap(kernel, fixed, point, name, gradients[name], d, abs(value)) for d in directions[:2])
            if gaps[0] < TOLERANCE <= gaps[1]:
                gaps = sorted([*gaps, _gap(kernel, fixed, point, name, gradients[name], directions[2], abs(value))])
            found[name] = gaps[1] if np.all(np.isfinite(gaps)) else np.inf
    return found


def _moved(kernel: Kernel, arrays: Mapping[str, Array], random: np.random.Generator) -> dict[str, Array]:
    """Return the arrays with their real numbers moved a little; what is declared positive stays so."""
    kinds = {str(name): given.kind for name, given in kernel.derivation.primal.inputs.items()}
    found = dict(arrays)
    for name, array in arrays.items():
        noise = ASIDE * random.normal(size=array.shape)
        if array.dtype.kind == "f" and kinds.get(name) == "real":
            found[name] = array + (float(np.max(np.abs(array), initial=0.0)) or 1.0) * noise
        elif array.dtype.kind == "f" and kinds.get(name) == "positive":
            found[name] = array * np.exp(noise)
    return found


def _double(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(float) if array.dtype.kind == "f" else array


def _gap(
    kernel: Kernel,
    fixed: Mapping[str, Array],
    point: Mapping[str, Array],
    name: str,
    gradient: Array,
    direction: Array,
    level: float,
) -> float:
    """Return the relative difference of the slope along ``direction`` and the measured one."""
    length = float(np.linalg.norm(direction)) or 1.0
    direction = direction / length
    step = 1e-5 * max(1.0, float(np.max(np.abs(point[name]), initial=0.0)))

    def at(t: float) -> float:
        return float(kernel({**fixed, **point, name: point[name] + t * direction})[0])

    measured = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    claimed = float(np.sum(gradient * direction))
    noise = 1e-15 * max(level, 1e-300) / step  # what rounding of the loss does to a difference
    scale = max(abs(measured), abs(claimed), float(np.linalg.norm(gradient)) / np.sqrt(max(gradient.size, 1)))
    return max(0.0, abs(measured - claimed) - 10 * noise) / scale if scale else 0.0
