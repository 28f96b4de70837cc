"""Stochastic gradient descent with a generated kernel: seeded, shuffled, checked on the data before the first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivationError, DerivkitError, did_you_mean, echo
from derivkit.numeric.bound import Sgd, check_trainable, learning_rate, whole_number
from derivkit.numeric.codegen import generate, scores_of
from derivkit.numeric.kernel import Kernel, checked, load
from derivkit.symbolic.given import by_name

Array = NDArray[Any]

#: Progress is shown on a terminal once training has taken this long, in seconds.
PATIENCE = 1.0
#: How many samples the gradients are checked on, and how far they may be from differences (relative).
CHECKED, TOLERANCE = 8, 1e-3
#: How far the check moves off a point that may be at a kink (relative to the largest entry), and how often it tries.
ASIDE, MOVES = 0.05, 3


@dataclass(frozen=True)
class History:
    """What happened: the mean loss of each epoch, the accuracy after it, and the parameters at the end.

    ``loss`` and ``accuracy`` have one entry an epoch; the loss is that of the minibatches as they were met.  ``accuracy`` is
    the part of samples (of the held-out ones, where there are any) whose class has the highest score; it is empty when
    the program has no softmax over classes.  ``checked`` says what was checked before the first step.
    """

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    params: Mapping[str, Array] = field(default_factory=dict)
    checked: str = ""
    seconds: float = 0.0


def fit(
    kernel: Kernel,
    /,
    *,
    data: Mapping[str, Any],
    params: Mapping[str, Any],
    epochs: int = 10,
    batch_size: int | None = None,
    lr: float = 0.1,
    seed: int = 0,
    test: Mapping[str, Any] | None = None,
    progress: IO[str] | None = None,
    callback: Callable[[int, float, Mapping[str, Array]], object] | None = None,
) -> History:
    r"""Train ``params`` by gradient descent on ``data`` and return the :class:`History`; nothing given is changed.

    ``data`` holds the kernel's inputs that are not trained, samples first where they are batched; ``batch_size=None`` is
    the full batch.  Each epoch visits every sample once, in an order shuffled from ``seed``, the last smaller minibatch
    included; the same seed gives the same bits.  ``test`` are held-out samples for the accuracy, ``progress`` a stream for a
    progress line (used when it is a terminal), ``callback(epoch, loss, params)`` is called after each epoch and ends the
    training by returning ``False``.  Raises :class:`DerivationError` when a gradient is not that of the data, and
    :class:`DerivkitError` when the loss or a parameter is no longer finite: ``lr`` is too large.

    >>> import numpy as np
    >>> import derivkit as dk
    >>> k = dk.compile("x: D\nw: D\ny:\nE = (w @ x - y)**2", wrt="w", batch=("x", "y"))
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> h = dk.fit(k, data={"x": X, "y": X @ [2.0, -1.0]}, params={"w": [0.0, 0.0]}, epochs=200, lr=0.5)
    >>> h.params["w"].round(6).tolist()
    [2.0, -1.0]
    """
    if not hasattr(kernel, "derivation"):
        raise DerivkitError(f"a kernel is trained, not a {type(kernel).__name__}", code="DK010", hint="fit(compile(...), ...)")
    trained = _trained(kernel, by_name(params))
    inputs = by_name(data)
    count = _samples(kernel, inputs)
    size = _batch_size(kernel, batch_size, count)
    epochs, seed = whole_number("epochs", epochs, 1), whole_number("seed", seed, 0)
    lr = learning_rate(lr)
    if callback is not None and not callable(callback):
        raise DerivkitError("callback is a function of the epoch, the loss and the parameters", code="DK010")
    if progress is not None and not hasattr(progress, "isatty"):
        raise DerivkitError("progress is a stream", code="DK010", hint="progress=sys.stderr")
    evidence = check(kernel, inputs, trained, seed)
    predict = _accuracy(kernel, {**inputs, **by_name(test)})
    meter = _Progress(progress, epochs)
    step = kernel.sgd({**inputs, **trained}, lr=lr, rows=max(min(size, count), min(CHECKED, count)))
    _same_steps(kernel, inputs, step, min(CHECKED, count))
    trained = step.params
    random = np.random.default_rng(seed)
    loss: list[float] = []
    accuracy: list[float] = []
    for epoch in range(epochs):
        with np.errstate(all="ignore"):  # what overflows is told in a sentence
            loss.append(_epoch(kernel, step, count, size, random))
        _stop_when_lost(epoch, lr, loss, trained)
        if predict is not None:
            accuracy.append(predict(trained))
        meter.show(epoch, loss, accuracy)
        if callback is not None and callback(epoch, loss[-1], trained) is False:
            break
    meter.close()
    return History(tuple(loss), tuple(accuracy), trained, evidence, time.perf_counter() - meter.start)


def _epoch(kernel: Kernel, step: Sgd, count: int, size: int, random: np.random.Generator) -> float:
    """Do one epoch in place on the parameters of ``step``; return the mean loss of its samples."""
    if size >= count:
        return step()
    order = random.permutation(count)
    total = 0.0
    for first in range(0, count, size):
        chosen = order[first : first + size]
        total += step(chosen) * (len(chosen) if kernel.program.reduce == "mean" else 1)
    return total / count


def _same_steps(kernel: Kernel, inputs: Mapping[str, Any], step: Sgd, count: int) -> None:
    """Refuse to train when the steps would not go along the gradients that were checked."""
    rows = {name: np.asarray(inputs[name])[:count] for name in kernel.batch}
    with np.errstate(all="ignore"):
        checked = kernel({**inputs, **rows, **step.params})[1]
        found = step.gradients(np.arange(count) if rows else None)
    for name, gradient in checked.items():
        scale = float(np.max(np.abs(gradient), initial=0.0))
        if np.isfinite(scale) and not np.max(np.abs(found[name] - gradient), initial=0.0) <= TOLERANCE * scale:
            raise DerivationError(f"the step along '{name}' is not its gradient; nothing trained", code="DK033")


def _stop_when_lost(epoch: int, lr: float, loss: list[float], params: Mapping[str, Array]) -> None:
    """Refuse to go on from a loss or a parameter that is not finite: no later epoch mends it."""
    lost = next((name for name, array in params.items() if not np.all(np.isfinite(array))), None)
    if lost is None and np.isfinite(loss[-1]):
        return
    seen = f"the loss is {loss[-1]}" if lost is None or not np.isfinite(loss[-1]) else f"'{lost}' is not finite"
    finite = [f"{value:.3g}" for value in loss if np.isfinite(value)]
    before = f"; the losses before: {', '.join(finite[-3:])}" if finite else ""
    raise DerivkitError(f"training diverged in epoch {epoch + 1} at lr={lr:g}: {seen}{before}", code="DK010", hint="a smaller lr")


# -- arguments ------------------------------------------------------------------------------------------------------------


def _trained(kernel: Kernel, params: Mapping[str, Any]) -> dict[str, Array]:
    """Return copies of the parameters: those that the kernel has gradients for."""
    check_trainable(kernel)
    for name in params:
        if name not in kernel.program.gradients:
            known = tuple(kernel.program.gradients)
            hint = did_you_mean(str(name), known) or f"the gradients are {', '.join(known)}"
            raise DerivkitError(f"the kernel has no gradient by '{echo(name)}'", code="DK041", hint=hint)
    copies = {name: np.array(value) for name, value in params.items()}
    return {name: a if a.dtype.kind == "f" else a.astype(float) for name, a in copies.items()}


def _samples(kernel: Kernel, inputs: Mapping[str, Any]) -> int:
    counts = {name: len(np.atleast_1d(np.asarray(inputs[name]))) for name in kernel.batch if name in inputs}
    missing = [name for name in kernel.batch if name not in inputs]
    if missing:
        raise DerivkitError(f"no data for '{missing[0]}'", code="DK041", hint=f"data={{'{missing[0]}': ...}}")
    for name in counts:
        if np.ndim(inputs[name]) == 0:
            raise DerivkitError(f"'{name}' is one number, and the kernel is batched over it", code="DK040", hint="samples first")
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise DerivkitError(f"the data have different numbers of samples: {said}", code="DK040")
    return next(iter(counts.values()), 1)


def _batch_size(kernel: Kernel, batch_size: int | None, count: int) -> int:
    if batch_size is None:
        return count
    size = whole_number("batch_size", batch_size, 1)
    if not kernel.batch and size < count:
        raise DerivkitError("the kernel has no batch to cut", code="DK010", hint="compile it with batch=(...)")
    return size


# -- the check before the first step --------------------------------------------------------------------------------------


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


# -- accuracy -------------------------------------------------------------------------------------------------------------


def _accuracy(kernel: Kernel, inputs: Mapping[str, Any]) -> Callable[[Mapping[str, Array]], float] | None:
    """Return the function from parameters to accuracy: the highest score against the one-hot or integer target."""
    primal = kernel.derivation.primal
    targets = [i for i in primal.inputs.values() if str(i.name) in kernel.batch and i.kind in ("onehot", "label")]
    if len(targets) != 1:
        return None
    (target,) = targets
    classes = target.range if target.kind == "label" else target.shape[-1]
    program = None if classes is None else scores_of(primal, classes)
    if program is None:
        return None
    lifted, module = generate(program, kernel.batch)
    if lifted.value not in {d.name for d in lifted.definitions}:
        return None
    function = load(module)
    truth = np.asarray(inputs[str(target.name)])
    wanted = truth if target.kind == "label" else truth.argmax(axis=-1)

    def measure(params: Mapping[str, Array]) -> float:
        given = checked(lifted, {str(n): {**inputs, **params}[str(n)] for n in module.inputs})
        scores = function(*given)
        return float(np.mean(np.argmax(scores, axis=-1) == wanted))

    return measure if not module.sizes else None


# -- progress -------------------------------------------------------------------------------------------------------------


class _Progress:
    """One line on a terminal, written over itself, from the first second on."""

    def __init__(self, stream: IO[str] | None, epochs: int) -> None:
        self.stream = stream if stream is not None and stream.isatty() else None
        self.epochs = epochs
        self.start = time.perf_counter()
        self.shown = False

    def show(self, epoch: int, loss: list[float], accuracy: list[float]) -> None:
        if self.stream is None or time.perf_counter() - self.start < PATIENCE:
            return
        right = f"   accuracy {100 * accuracy[-1]:.1f} %" if accuracy else ""
        self.stream.write(f"\repoch {epoch + 1}/{self.epochs}   loss {loss[-1]:.4f}{right}   ")
        self.stream.flush()
        self.shown = True

    def close(self) -> None:
        if self.stream is not None and self.shown:
            self.stream.write("\n")
            self.stream.flush()
