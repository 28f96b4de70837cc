"""``derivkit train``: a network of the gallery, or one's own, on the digits or on a file."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.commands import BATCH_SIZE, EPOCHS, NET, RATE, SEED
from derivkit.cli.files import helped
from derivkit.cli.gallery import program
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.data import Floats, Split, load_digits, load_file, one_hot, split
from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import Size
from derivkit.symbolic.parse import read_program

N = TypeVar("N", int, float)

#: What a net calls the samples and their targets.
DATA = ("x", "t")

#: The width given to a hidden layer when ``--sizes`` does not fix it.
WIDTH = 64
WIDEST = 100_000


def run(arguments: Arguments) -> tuple[str, int]:
    """Return what was trained, on what, and how well it does on samples that it never saw."""
    epochs = _number(arguments, "--epochs", int, EPOCHS, "a whole number from 1 to 100000", lambda n: 0 < n <= 100_000)
    batch_size = _number(arguments, "--batch-size", int, BATCH_SIZE, "a whole number from 1", lambda n: n > 0)
    rate = _number(arguments, "--lr", float, RATE, "a positive number", lambda x: math.isfinite(x) and x > 0)
    seed = _number(arguments, "--seed", int, SEED, "a whole number from 0", lambda n: 0 <= n < 2**63)
    sizes = arguments.sizes(WIDEST)
    given = arguments.get("--net") or NET
    text = program(given) if given.isidentifier() else given
    source = arguments.get("--data") or "digits"
    parts, classes = _data(source)
    with helped(None if given.isidentifier() else given, "train --net"):
        inputs = _inputs(text)
        _check_sizes(sizes, (size for given in inputs.values() for size in (*given.shape, given.range) if size is not None))
        kernel = dk.compile(text, wrt=[name for name in inputs if name not in DATA], batch=DATA, reduce="mean")
    if any(str(inputs["t"].range) in map(str, shape) for shape in kernel.shapes.values()):
        sizes.setdefault(str(inputs["t"].range), classes)
    targets = (lambda t: one_hot(t, classes)) if kernel.shapes["t"] else (lambda t: t)
    train = {"x": parts.train_images, "t": targets(parts.train_labels)}
    test = {"x": parts.test_images, "t": targets(parts.test_labels)}
    start = initial(kernel.shapes, train, sizes, seed)
    with np.errstate(all="ignore"):  # a rate that is too large is told below, in a sentence
        history = dk.fit(
            kernel,
            data=train,
            test=test,
            params=start,
            epochs=epochs,
            batch_size=batch_size,
            lr=rate,
            seed=seed,
            progress=sys.stderr,
        )
    lines = [
        f"net:   {given if given.isidentifier() else 'as given'}, {sum(p.size for p in start.values())} parameters",
        f"data:  {echo(source)}, {len(train['x'])} samples to learn from, {len(test['x'])} held out, {classes} classes",
        f"check: {history.checked}",
        f"steps: {_count(epochs, 'epoch')}, {_count(batch_size, 'sample')} a step, learning rate {rate:g}, seed {seed}",
        f"loss:  {' -> '.join(map(_short, dict.fromkeys((history.loss[0], history.loss[-1]))))}{_rising(history.loss)}",
        _accuracy(history.accuracy),
    ]
    return "\n".join(lines), 0


def _data(source: str) -> tuple[Split, int]:
    """Return the samples to learn from and those held out, and how many classes there are."""
    samples, labels = load_digits() if source == "digits" else load_file(source)
    parts, seen = split(samples, labels), len(np.unique(labels))
    if not len(parts.test_labels) or seen < 2:
        hint = "two classes at least, and five samples of one: every fifth sample of a class is held out"
        message = f"cannot train on '{echo(source)}': {_count(len(labels), 'sample')}, {seen} class{'es' * (seen != 1)}"
        raise DerivkitError(message, code="DK040", hint=hint)
    return parts, int(labels.max()) + 1


def _inputs(text: str) -> dict[str, Input]:
    """Return the inputs of a net: the samples ``x``, the targets ``t``, and real parameters."""
    inputs = {str(name): given for name, given in read_program(text).inputs.items()}
    for name in DATA:
        if name not in inputs:
            hint = f"the samples are called x and the targets t; this one has {', '.join(inputs) or 'no inputs'}"
            raise DerivkitError(f"the net has no input '{name}'", code="DK041", hint=hint)
    if len(inputs) == len(DATA):
        raise DerivkitError("the net has no parameters", code="DK041", hint="every input but x and t is trained")
    for name, given in inputs.items():
        if given.kind != "real" and name not in DATA:
            message = f"'{name}' is {given.kind}, and only real parameters are trained"
            raise DerivkitError(message, code="DK041", hint="write a constant into the program as a number")
    return inputs


def _check_sizes(given: Iterable[str], sizes: Iterable[Size]) -> None:
    """Refuse a size that the net has not, before any work is done."""
    known = sorted({name for size in sizes for name in size.names()})
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or (f"its sizes are {', '.join(known)}" if known else "its sizes are all numbers")
            raise DerivkitError(f"the net has no size '{echo(name)}'", code="DK008", hint=hint)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _short(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1e4 else f"{loss:.3g}"


def _rising(losses: tuple[float, ...]) -> str:
    """Return what to say of a loss that did not fall: the usual cause."""
    fell = len(losses) == 1 or losses[-1] < losses[0]
    return "" if fell and math.isfinite(losses[-1]) else "  (it did not fall: try a smaller --lr)"


def _accuracy(accuracies: tuple[float, ...]) -> str:
    if not accuracies:
        return "held-out accuracy: not measured; it needs a target declared onehot or label, and a softmax over its classes"
    return f"held-out accuracy: {100 * accuracies[-1]:.1f} %"


def initial(
    shapes: Mapping[str, tuple[str | int, ...]], data: Mapping[str, Floats], sizes: Mapping[str, int], seed: int
) -> dict[str, Floats]:
    """Return first values for every parameter: normal with variance 1 / fan-in for matrices, zero for the rest.

    A size is read off the data where the data fix it, then from ``sizes``, and is :data:`WIDTH` otherwise.

    >>> start = initial({"x": ("D",), "t": ("K",), "W": ("K", "D")}, {"x": np.ones((5, 3)), "t": np.ones((5, 2))}, {}, 0)
    >>> start["W"].shape
    (2, 3)
    """
    known = dict(sizes)
    for name, array in data.items():
        for size, length in zip(shapes.get(name, ()), array.shape[1:], strict=False):
            if known.setdefault(str(size), length) != length:
                raise DerivkitError(f"size {size} is {known[str(size)]}, but the data's {name} has {length}", code="DK040")
    random = np.random.default_rng(seed)
    start: dict[str, Floats] = {}
    for name, shape in shapes.items():
        if name not in data:
            lengths = tuple(size if isinstance(size, int) else known.get(size, WIDTH) for size in shape)
            start[name] = random.normal(size=lengths) / math.sqrt(lengths[-1]) if len(lengths) > 1 else np.zeros(lengths)
    return start


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
