"""``derivkit train``: a network of the gallery, or one's own, on the digits or on a file."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.commands import BATCH_SIZE, EPOCHS, NET, RATE, SEED
from derivkit.cli.files import check_output, helped, write_output
from derivkit.cli.gallery import program
from derivkit.cli.train_plot import check_plot, drawn
from derivkit.cli.train_start import WIDEST, archive, check_shapes, check_sizes, initial, lengths, resumed, shaped, shapes_of
from derivkit.errors import DerivkitError, echo
from derivkit.numeric.data import Samples, Split, load_digits, load_file, one_hot, split
from derivkit.numeric.kernel import Kernel
from derivkit.numeric.train import PATIENCE, History
from derivkit.symbolic.graph import Input
from derivkit.symbolic.parse import read_program

N = TypeVar("N", int, float)
Array = NDArray[Any]

#: What a net calls the samples and their targets.
DATA = ("x", "t")


#: The kinds of targets that are classes.
CLASSES = ("label", "onehot")


class Options(NamedTuple):
    """The numbers of a training."""

    epochs: int
    batch_size: int
    rate: float
    momentum: float
    decay: float
    seed: int


def run(arguments: Arguments) -> tuple[str, int]:
    """Return what was trained, on what, and how well it does on samples that it never saw."""
    options = _options(arguments)
    sizes = arguments.sizes(WIDEST)
    _check_files(arguments)
    given = arguments.get("--net") or NET
    text = program(given) if given.isidentifier() else given
    with helped(None if given.isidentifier() else given, "train --net"):
        inputs = _inputs(text)
        check_sizes(sizes, inputs)
        learned = {name: declared for name, declared in inputs.items() if name not in DATA}
        start = _resumed(arguments, learned, sizes)
        kernel = dk.compile(text, wrt=list(learned), batch=DATA, reduce="mean")
    source = arguments.get("--data") or "digits"
    parts, classes, scale = _data(source, arguments.get("--labels"), inputs["t"])
    train = _named(parts.train_images, parts.train_labels, inputs, classes, sizes)
    test = _named(parts.test_images, parts.test_labels, inputs, classes, sizes)
    before = None if start is None else "the parameters of --resume are of other data"
    shapes = shapes_of(learned, lengths(inputs, train, sizes, before))
    if start is not None:
        check_shapes(arguments.get("--resume") or "", start, shapes)
    known = [
        f"net:   {given if given.isidentifier() else 'as given'}, {sum(map(math.prod, shapes.values()))} parameters",
        f"data:  {echo(source)}, {len(train['x'])} samples to learn from, {len(test['x'])} held out, {_targets(classes)}",
    ]
    with _told(known):
        history = dk.fit(
            kernel,
            data=train,
            test=test,
            params=initial(shapes, options.seed) if start is None else start,
            epochs=options.epochs,
            batch_size=options.batch_size,
            lr=options.rate,
            momentum=options.momentum,
            weight_decay=options.decay,
            seed=options.seed,
            progress=sys.stderr,
        )
    if scale > 1 and not history.interrupted:
        _tell(f"the samples were divided by {scale:g}, the largest number in them")
    written = _written(arguments, history, f"{given if given.isidentifier() else 'net'} on {echo(source)}")
    lines = [
        *known,
        f"check: {history.checked}",
        _steps(options),
        f"loss:  {' -> '.join(map(_short, dict.fromkeys((history.loss[0], history.loss[-1]))))}{_rising(history.loss)}",
        *([] if inputs["t"].kind in CLASSES else [f"held-out loss: {_short(_loss(kernel, test, history))}"]),
        *([] if classes is None else [_accuracy(history.accuracy)]),
        *written,
    ]
    return "\n".join(lines), 0


# -- what is given --------------------------------------------------------------------------------------------------------


def _options(arguments: Arguments) -> Options:
    return Options(
        _number(arguments, "--epochs", int, EPOCHS, "a whole number from 1 to 100000", lambda n: 0 < n <= 100_000),
        _number(arguments, "--batch-size", int, BATCH_SIZE, "a whole number from 1", lambda n: n > 0),
        _number(arguments, "--lr", float, RATE, "a positive number", lambda x: math.isfinite(x) and x > 0),
        _number(arguments, "--momentum", float, 0.0, "a number from 0 to below 1", lambda x: 0 <= x < 1),
        _number(arguments, "--weight-decay", float, 0.0, "a number from 0", lambda x: 0 <= x < math.inf),
        _number(arguments, "--seed", int, SEED, "a whole number from 0", lambda n: 0 <= n < 2**63),
    )


def _check_files(arguments: Arguments) -> None:
    """Ask whether everything can be written, before anything is read or trained."""
    if arguments.has("--labels") and not arguments.has("--data"):
        raise usage("--labels without --data", "--data train-images-idx3-ubyte --labels train-labels-idx1-ubyte")
    names = [name for name in ("--save", "--plot", "--output") if arguments.get(name) not in (None, "-")]
    paths = [arguments.get(name) or "" for name in names]
    if "--plot" in names:
        check_plot(arguments.get("--plot") or "")
    save = arguments.get("--save")
    if save is not None and not save.lower().endswith(".npz"):
        raise usage(f"--save needs a name that ends in .npz, not '{echo(save)}'", "--save params.npz")
    for path in paths:
        check_output(path)
    real = [os.path.realpath(path) for path in paths]
    given = [arguments.get(name) or "" for name in ("--data", "--labels")]
    read = [os.path.realpath(path) for path in given if path and "\0" not in path]
    for name, path, target in zip(names, paths, real, strict=True):
        if real.count(target) > 1 or target in read:
            raise usage(f"{name} would overwrite '{echo(path)}', which is used for something else", f"another name for {name}")


def _resumed(arguments: Arguments, learned: Mapping[str, Input], sizes: dict[str, int]) -> dict[str, Array] | None:
    path = arguments.get("--resume")
    return None if path is None else resumed(path, learned, sizes)


def _inputs(text: str) -> dict[str, Input]:
    """Return the inputs of a net: the samples ``x``, the targets ``t``, and real parameters."""
    inputs = {str(name): given for name, given in read_program(text).inputs.items()}
    for name in DATA:
        if name not in inputs:
            hint = f"the samples are called x and the targets t; this one has {', '.join(inputs) or 'no inputs'}"
            raise DerivkitError(f"the net has no input '{name}'", code="DK041", hint=hint)
    if len(inputs) == len(DATA):
        raise DerivkitError("the net has no parameters", code="DK041", hint="every input but x and t is trained")
    if inputs["x"].kind == "label":
        raise DerivkitError("the net's 'x' is a label, and samples are real numbers", code="DK041", hint="dk.fit trains it")
    for name, given in inputs.items():
        if given.kind != "real" and name not in DATA:
            message = f"'{name}' is {given.kind}, and only real parameters are trained"
            raise DerivkitError(message, code="DK041", hint="write a constant into the program as a number")
    return inputs


# -- data -----------------------------------------------------------------------------------------------------------------


def _data(source: str, labels: str | None, target: Input) -> tuple[Split, int | None, float]:
    """Return samples to learn from and those held out, the number of classes, and what the samples were divided by.

    There are no classes where the targets are real numbers: the net has a ``t`` that is no label and not one-hot.
    """
    kind = "labels" if target.kind in CLASSES else "rows" if target.shape else "numbers"
    found = _digits(kind) if source == "digits" and labels is None else load_file(source, labels, targets=kind)
    apart = found.held_out
    parts = split(found.samples, found.labels) if apart is None else Split(found.samples, found.labels, *apart)
    real = found.labels.dtype.kind == "f"
    seen = len(np.unique(found.labels))
    if not len(parts.test_labels) or (seen < 2 and not real):
        samples = f"cannot train on '{echo(source)}': {_count(len(found.labels), 'sample')}"
        if real:
            raise DerivkitError(samples, code="DK040", hint="five at least: every fifth sample is held out")
        hint = "two classes at least, and five samples of one: every fifth sample of a class is held out"
        raise DerivkitError(f"{samples}, {seen} class{'es' * (seen != 1)}", code="DK040", hint=hint)
    return parts, None if real else 1 + int(max(parts.train_labels.max(), parts.test_labels.max())), found.scale


def _digits(targets: str) -> Samples:
    images, labels = load_digits()
    wanted = labels.astype(np.float32) if targets == "numbers" else labels
    return Samples(images.reshape(-1, 8, 8).astype(np.float32), wanted, None, 1.0)


def _named(
    samples: Array, labels: Array, inputs: Mapping[str, Input], classes: int | None, sizes: dict[str, int]
) -> dict[str, Array]:
    """Return samples and targets as the net declares them: labels stay so, or become rows with a one; real targets stay so."""
    target = inputs["t"]
    if len(target.shape) > 1:
        raise DerivkitError("the net's 't' has more than one axis", code="DK040", hint="t: onehot K, or t: label K")
    if classes is None:
        if labels.ndim != 1 + len(target.shape):
            message = f"a target has {labels.shape[1]} numbers, and the net's 't' is one"
            raise DerivkitError(message, code="DK040", hint="t: K")
        return {"x": shaped(samples, inputs["x"]), "t": labels}
    if target.range is not None and target.range.name is not None:
        sizes.setdefault(target.range.name, classes)
    if not target.shape:
        return {"x": shaped(samples, inputs["x"]), "t": labels}
    width = target.shape[0].literal or sizes.get(str(target.shape[0]), classes)
    return {"x": shaped(samples, inputs["x"]), "t": one_hot(labels, max(width, classes)).astype(np.float32)}


# -- results --------------------------------------------------------------------------------------------------------------


def _written(arguments: Arguments, history: History, title: str) -> list[str]:
    """Write what was asked for, and return the lines that say so; an interrupted training ends here."""
    save, plot = arguments.get("--save"), arguments.get("--plot")
    epochs = len(history.loss)
    if save is not None and epochs:
        write_output(save, archive(history.params))
    if history.interrupted:
        if not epochs:
            raise KeyboardInterrupt("before an epoch was finished: nothing is kept")
        kept = f"its parameters are in {echo(save)}" if save is not None else "nothing is kept without --save"
        raise KeyboardInterrupt(f"after epoch {epochs}, loss {_short(history.loss[-1])}: {kept}")
    if plot is not None:
        write_output(plot, drawn(history, plot, title))
    return [f"{word} {echo(path)}" for word, path in (("saved:", save), ("plot: ", plot)) if path is not None]


@contextmanager
def _told(known: Sequence[str]) -> Iterator[None]:
    """Tell what is known on standard error when training takes longer than a moment, where no progress line is shown."""
    timer = threading.Timer(PATIENCE, lambda: _tell("\nderivkit: ".join(known)))
    timer.daemon = True
    if sys.stderr is not None and not sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _loss(kernel: Kernel, test: Mapping[str, Array], history: History) -> float:
    """Return the mean loss of the samples held out."""
    with np.errstate(all="ignore"):
        return float(kernel({**test, **history.params})[0])


def _tell(note: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"derivkit: {note}\n")


def _targets(classes: int | None) -> str:
    return "real targets" if classes is None else f"{classes} classes"


def _steps(options: Options) -> str:
    numbers = [("learning rate", options.rate), ("momentum", options.momentum), ("weight decay", options.decay)]
    given = [f"{word} {number:g}" for word, number in numbers if number]
    counts = f"{_count(options.epochs, 'epoch')}, {_count(options.batch_size, 'sample')} a step"
    return f"steps: {counts}, {', '.join(given)}, seed {options.seed}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _short(loss: float) -> str:
    return f"{loss:.4f}" if 1e-2 <= loss < 1e4 else f"{loss:.3g}"


def _rising(losses: tuple[float, ...]) -> str:
    """Return what to say of a loss that did not fall: the usual cause."""
    fell = len(losses) == 1 or losses[-1] < losses[0]
    return "" if fell and math.isfinite(losses[-1]) else "  (it did not fall: try a smaller --lr)"


def _accuracy(accuracies: tuple[float, ...]) -> str:
    if not accuracies:
        return "held-out accuracy: not measured; it needs a target declared onehot or label, and a softmax over its classes"
    return f"held-out accuracy: {100 * accuracies[-1]:.1f} %"


def _number(arguments: Arguments, name: str, kind: type[N], default: N, what: str, fits: Callable[[N], bool]) -> N:
    """Return the value of the option ``name`` as a number that fits."""
    given = arguments.get(name)
    if given is None:
        return default
    try:
        value = kind(given)
        if fits(value):
            return value
    except ValueError:
        pass
    raise usage(f"{name} must be {what}, not '{echo(given)}'", f"{name} {default}")
