"""Stochastic gradient descent with a generated kernel: seeded, shuffled, checked on the data before the first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.bound import whole_number
from derivkit.numeric.codegen import generate, scores_of
from derivkit.numeric.kernel import Kernel, checked, load, plain_array
from derivkit.numeric.sgd import Sgd, check_trainable, learning_rate
from derivkit.numeric.train_check import CHECKED, check, check_finite, check_steps
from derivkit.symbolic.given import by_name

Array = NDArray[Any]

#: Progress is shown on a terminal once training has taken this long, and again after so long, in seconds.
PATIENCE, AGAIN = 1.0, 0.1


@dataclass(frozen=True, repr=False)
class History:
    """What happened: the mean loss of each epoch, the accuracy after it, and the parameters at the end.

    ``loss`` and ``accuracy`` have one entry an epoch; the loss is that of the minibatches as they were met.  ``accuracy`` is
    the part of samples (of the held-out ones, where there are any) whose class has the highest score; it is empty when
    the program has no softmax over classes.  ``checked`` says what was checked before the first step; ``interrupted``
    whether Ctrl-C ended the training, and then everything is as after the last epoch that was finished.
    """

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    params: Mapping[str, Array] = field(default_factory=dict)
    checked: str = ""
    seconds: float = 0.0
    interrupted: bool = False

    def __repr__(self) -> str:
        """Say how it went in a line, without the arrays.

        >>> History((0.5, 0.25), (), {"w": np.zeros(3)})
        <History of 2 epochs: loss 0.5 -> 0.25, params w: (3,)>
        """
        ends = dict.fromkeys(f"{loss:.4g}" for loss in (*self.loss[:1], *self.loss[-1:]))
        went = [f"loss {' -> '.join(ends)}"] if ends else []
        went += [f"accuracy {100 * self.accuracy[-1]:.1f} %"] if self.accuracy else []
        shapes = f"params {', '.join(f'{name}: {np.shape(array)}' for name, array in self.params.items()) or 'none'}"
        epochs = f"{len(self.loss)} epoch{'s' * (len(self.loss) != 1)}{', interrupted' * self.interrupted}"
        return f"<History of {epochs}: {', '.join([*went, shapes])}>"


class TrainingError(DerivkitError):
    """A loss, a gradient or a parameter is no longer finite; ``history`` is that of the epochs finished before."""

    history = History()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the history, and with what was noted on the way."""
        made, arguments, *_ = super().__reduce__()
        return made, arguments, self.__dict__


def fit(
    kernel: Kernel,
    /,
    *,
    data: Mapping[str, Any],
    params: Mapping[str, Any],
    epochs: int = 10,
    batch_size: int | None = None,
    lr: float = 0.1,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    seed: int = 0,
    test: Mapping[str, Any] | None = None,
    progress: IO[str] | None = None,
    callback: Callable[[int, float, Mapping[str, Array]], object] | None = None,
) -> History:
    r"""Train ``params`` by gradient descent on ``data`` and return the :class:`History`; nothing given is changed.

    ``data`` holds the kernel's inputs that are not trained, samples first where they are batched; ``batch_size=None`` is
    the full batch.  Each epoch visits every sample once, in an order shuffled from ``seed``, the last smaller minibatch
    included; the same seed gives the same bits.  ``momentum`` and ``weight_decay`` are those of :meth:`Kernel.sgd`.  ``test``
    are held-out samples for the accuracy, ``progress`` a stream for a progress line (used when it is a terminal),
    ``callback(epoch, loss, params)`` is called after each epoch, from 0, with its mean loss and the live parameters, and
    ends the training by returning ``False``.  Ctrl-C ends it as after the last finished epoch, ``interrupted`` then being true.

    Raises :class:`DerivationError` when a gradient is not that of the data, and :class:`DerivkitError` for data that are not
    finite and when a loss, a gradient or a parameter becomes so (then ``error.history`` is that of the finished epochs).

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
    trained = _trained(kernel, params)
    inputs, held_out = _arrays(data), _held_out(kernel, test)
    count = _samples(kernel, inputs)
    size = _batch_size(kernel, batch_size, count)
    epochs, seed = whole_number("epochs", epochs, 1), whole_number("seed", seed, 0)
    lr = learning_rate(lr)
    if callback is not None and not callable(callback):
        raise DerivkitError("callback is a function of the epoch, the loss and the parameters", code="DK010")
    if progress is not None and not hasattr(progress, "isatty"):
        raise DerivkitError("progress is a stream", code="DK010", hint="progress=sys.stderr")
    _check_complete(kernel, inputs, trained)
    check_finite(kernel, inputs, trained, held_out)
    evidence = check(kernel, inputs, trained, seed)
    rows = max(min(size, count), min(CHECKED, count))
    step = kernel.sgd({**inputs, **trained}, lr=lr, rows=rows, momentum=momentum, weight_decay=weight_decay)
    check_steps(kernel, inputs, step, min(CHECKED, count))
    predict = _accuracy(kernel, {**inputs, **held_out})
    if predict is not None:
        predict(step.params)  # held-out samples that do not fit are told now, not after an epoch
    run = _Run(kernel, step, _Progress(progress, epochs), evidence)
    random = np.random.default_rng(seed)
    try:
        for epoch in range(epochs):
            run.epoch(_minibatches(random, count, size), predict)
            if callback is not None:
                going = callback(epoch, run.loss[-1], step.params)
                run.keep()  # the parameters are live: it may have changed them
                if going is False:
                    break
    except KeyboardInterrupt:
        return run.history(interrupted=True)
    finally:
        run.meter.close()
    return run.history()


class _Run:
    """A training: the losses and accuracies so far, and the parameters as they were after the last finished epoch."""

    def __init__(self, kernel: Kernel, step: Sgd, meter: _Progress, evidence: str) -> None:
        self.means = kernel.program.reduce == "mean"
        self.batched = kernel.batch
        self.step = step
        self.meter = meter
        self.evidence = evidence
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.keep()

    def keep(self) -> None:
        """Keep the parameters, in one assignment: an interruption finds those of one epoch or of the other."""
        self.kept = len(self.loss), self.step.state()

    def epoch(self, minibatches: Sequence[Array | None], predict: Callable[[Mapping[str, Array]], float] | None) -> None:
        """Do one epoch in place on the parameters, and note its loss and the accuracy after it."""
        with np.errstate(all="ignore"):  # what overflows is told in a sentence
            loss = self._descend(minibatches)
            if not (isfinite(loss) and all(np.isfinite(array).all() for array in self.step.params.values())):
                raise self._lost(minibatches)
            right = None if predict is None else predict(self.step.params)
        self.loss.append(loss)
        if right is not None:
            self.accuracy.append(right)
        self.keep()
        self.meter.show(self.loss, self.accuracy)

    def _descend(self, minibatches: Sequence[Array | None]) -> float:
        """Return the mean or the sum of the losses as they were met; where one step's is not finite, that one at once."""
        step, means, total, count = self.step, self.means, 0.0, 0
        for rows in minibatches:
            loss = step(rows)
            if rows is None or not isfinite(loss):
                return loss
            total += loss * (len(rows) if means else 1)
            count += len(rows)
        return total / count if means else total

    def history(self, interrupted: bool = False) -> History:
        """Return what happened; all of it as after the last finished epoch."""
        epochs, kept = self.kept
        self.step.restore(kept)
        seconds = time.perf_counter() - self.meter.start
        losses, accuracies = tuple(self.loss[:epochs]), tuple(self.accuracy[:epochs])
        return History(losses, accuracies, self.step.params, self.evidence, seconds, interrupted)

    def _lost(self, minibatches: Sequence[Array | None]) -> TrainingError:
        """Return the error for an epoch in which something is no longer finite: its steps are done again, looking at each."""
        history = self.history()
        number, what, hint = _first_lost(self.step, minibatches)
        self.step.restore(self.kept[1])
        if self.kept[0] == 0 and (sample := self._lost_sample(minibatches[number - 1])) is not None:
            hint = f"sample {sample} has no finite loss and gradient at the given params: a logarithm, a root, a division by 0?"
        before = f"; the losses before: {', '.join(f'{loss:.3g}' for loss in history.loss[-3:])}" if history.loss else ""
        where = f"in epoch {len(history.loss) + 1} at lr={self.step.lr:g}: in step {number} {what}"
        error = TrainingError(f"training diverged {where}{before}", code="DK010", hint=hint)
        error.history = history
        return error

    def _lost_sample(self, rows: Array | None) -> int | None:
        """Return the first of these samples with which loss or gradient is not finite where the epoch began, if there is any."""
        if not self.batched or _is_finite(self.step, rows):
            return None
        samples = range(self.step.samples) if rows is None else map(int, rows)
        return next((n for n in samples if not _is_finite(self.step, np.array([n]))), None)


def _first_lost(step: Sgd, minibatches: Sequence[Array | None]) -> tuple[int, str, str]:
    """Return the first step in which something is not finite, what it is, and what to do about it."""
    for number, rows in enumerate(minibatches, 1):
        gradients = step.gradients(rows)
        loss = step(rows)
        if not isfinite(loss):
            return number, f"the loss is {loss}", "a smaller lr"
        for name, gradient in gradients.items():
            if not np.isfinite(gradient).all():
                hint = "a smaller lr, or a loss whose derivative has a value there (sqrt at 0 has none)"
                return number, f"the gradient by '{name}' is not finite, the loss being {loss:.3g}", hint
        for name, array in step.params.items():
            if not np.isfinite(array).all():
                return number, f"'{name}' is not finite after it", "a smaller lr"
    return len(minibatches), "something is not finite", "a smaller lr"


def _is_finite(step: Sgd, rows: Array | None) -> bool:
    """Return whether loss and gradients of these samples are finite, and leave the step as it is."""
    before = step.state()
    finite = all(np.isfinite(gradient).all() for gradient in step.gradients(rows).values()) and isfinite(step(rows))
    step.restore(before)
    return finite


# -- arguments ------------------------------------------------------------------------------------------------------------


def _arrays(given: Mapping[str, Any] | None) -> dict[str, Array]:
    return {name: plain_array(name, value) for name, value in by_name(given).items()}


def _trained(kernel: Kernel, params: Mapping[str, Any]) -> dict[str, Array]:
    """Return copies of the parameters: those that the kernel has gradients for."""
    check_trainable(kernel)
    arrays = _arrays(params)
    for name in arrays:
        if name not in kernel.program.gradients:
            known = tuple(kernel.program.gradients)
            hint = did_you_mean(str(name), known) or f"the gradients are {', '.join(known)}"
            raise DerivkitError(f"the kernel has no gradient by '{echo(name)}'", code="DK041", hint=hint)
    return {name: a.astype(float) if a.dtype.kind in "iub" else a.copy() for name, a in arrays.items()}


def _held_out(kernel: Kernel, test: Mapping[str, Any] | None) -> dict[str, Array]:
    held_out = _arrays(test)
    for name in held_out:
        if name not in kernel.batch:
            hint = did_you_mean(name, kernel.batch) or f"the batched inputs are {', '.join(kernel.batch) or 'none'}"
            raise DerivkitError(f"'{echo(name)}' of test is no batched input of this kernel", code="DK041", hint=hint)
    return held_out


def _check_complete(kernel: Kernel, inputs: Mapping[str, Array], trained: Mapping[str, Array]) -> None:
    """Refuse when an input is missing, and say where it belongs."""
    for name in (str(i.name) for i in kernel.program.inputs):
        if name not in inputs and name not in trained:
            place = "params" if name in kernel.program.gradients else "data"
            raise DerivkitError(f"no value for '{name}'", code="DK041", hint=f"{place}={{'{name}': ...}}")


def _samples(kernel: Kernel, inputs: Mapping[str, Array]) -> int:
    for name in kernel.batch:
        if name not in inputs:
            raise DerivkitError(f"no data for '{name}'", code="DK041", hint=f"data={{'{name}': ...}}")
        if inputs[name].ndim == 0:
            raise DerivkitError(f"'{name}' is one number, and the kernel is batched over it", code="DK040", hint="samples first")
    counts = {name: len(inputs[name]) for name in kernel.batch}
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


def _minibatches(random: np.random.Generator, count: int, size: int) -> list[Array | None]:
    """Return the samples of an epoch's steps in a new order; ``None`` is all of them, as they lie."""
    if size >= count:
        return [None]
    order = random.permutation(count)
    return [order[first : first + size] for first in range(0, count, size)]


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
        values = {**inputs, **params}
        given = checked(lifted, {str(name): values[str(name)] for name in module.inputs})
        known = kernel.sizes({str(i.name): values[str(i.name)] for i in kernel.inputs}) if module.sizes else {}
        scores = function(*given, *(known[size] for size in module.sizes))
        return float(np.mean(np.argmax(scores, axis=-1) == wanted))

    return measure


# -- progress -------------------------------------------------------------------------------------------------------------


class _Progress:
    """One line on a terminal, written over itself, from the first second on."""

    def __init__(self, stream: IO[str] | None, epochs: int) -> None:
        self.stream = stream if stream is not None and stream.isatty() else None
        self.epochs = epochs
        self.start = time.perf_counter()
        self.told = 0.0

    def show(self, loss: list[float], accuracy: list[float]) -> None:
        if self.stream is None or (now := time.perf_counter()) - self.start < PATIENCE or now - self.told < AGAIN:
            return
        right = f"   accuracy {100 * accuracy[-1]:.1f} %" if accuracy else ""
        self.stream.write(f"\repoch {len(loss)}/{self.epochs}   loss {loss[-1]:.4g}{right}   ")
        self.stream.flush()
        self.told = now

    def close(self) -> None:
        if self.stream is not None and self.told:
            self.stream.write("\n")
            self.stream.flush()
