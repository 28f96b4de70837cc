"""``derivkit train``: a network of the gallery, or one's own, on the digits or on a file."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.gallery import program
from derivkit.errors import DerivationError, DerivkitError, echo
from derivkit.numeric.data import Floats, load_digits, load_file, one_hot, split

N = TypeVar("N", int, float)

NET = "two_layer_tanh"
EPOCHS, BATCH_SIZE, RATE, SEED = 30, 32, 0.5, 0

#: How many samples the gradients are checked on before the first step.
CHECKED = 8

#: The width given to a hidden layer when ``--sizes`` does not fix it.
WIDTH = 64


def run(arguments: Arguments) -> tuple[str, int]:
    """Return what was trained, on what, and how well it does on samples that it never saw."""
    epochs = _number(arguments, "--epochs", int, EPOCHS, lambda n: 0 < n <= 100_000)
    batch_size = _number(arguments, "--batch-size", int, BATCH_SIZE, lambda n: n > 0)
    rate = _number(arguments, "--lr", float, RATE, lambda x: math.isfinite(x) and x > 0)
    seed = _number(arguments, "--seed", int, SEED, lambda n: 0 <= n < 2**63)
    sizes = _sizes(arguments)
    given = arguments.get("--net") or NET
    text = program(given) if given.isidentifier() else given
    source = arguments.get("--data") or "digits"
    samples, labels = load_digits() if source == "digits" else load_file(source)
    parts, classes = split(samples, labels), int(labels.max()) + 1
    train = {"x": parts.train_images, "t": one_hot(parts.train_labels, classes)}
    test = {"x": parts.test_images, "t": one_hot(parts.test_labels, classes)}

    kernel = dk.compile(text, wrt=dk.PARAMETERS, batch=("x", "t"), reduce="mean")
    start = initial(kernel.shapes, train, sizes, seed)
    evidence = check(kernel, {name: rows[:CHECKED] for name, rows in train.items()}, start)
    history = dk.fit(
        kernel, data=train, test=test, params=start, epochs=epochs, batch_size=batch_size, lr=rate, seed=seed, progress=sys.stderr
    )
    lines = [
        f"net:   {given if given.isidentifier() else 'as given'}, {sum(p.size for p in start.values())} parameters",
        f"data:  {echo(source)}, {len(train['x'])} samples to learn from, {len(test['x'])} held out, {classes} classes",
        f"check: {evidence}",
        f"steps: {epochs} epochs, {batch_size} samples a step, learning rate {rate:g}, seed {seed}",
        f"loss:  {history.loss[0]:.4f} -> {history.loss[-1]:.4f}",
        f"held-out accuracy: {100 * history.accuracy[-1]:.1f} %",
    ]
    return "\n".join(lines), 0


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


def check(kernel: Callable[..., Any], data: Mapping[str, Floats], start: Mapping[str, Floats]) -> str:
    """Return a sentence on the kernel's gradients against differences on real data; a wrong kernel never trains."""

    def value(*params: Floats) -> float:
        return float(kernel({**data, **dict(zip(start, params, strict=True))})[0])

    def gradients(*params: Floats) -> tuple[Floats, ...]:
        grads = kernel({**data, **dict(zip(start, params, strict=True))})[1]
        return tuple(grads[name] for name in start)

    report = dk.check_gradient(value, gradients, *start.values())
    if not (report.ok or report.undecided):
        raise DerivationError(f"the kernel's gradients are wrong ({report.diagnosis}); nothing was trained", code="DK033")
    verdict = "agree with" if report.ok else "could not be decided by"
    return f"the gradients {verdict} differences on {len(data['x'])} samples"


def _number(arguments: Arguments, name: str, kind: type[N], default: N, fits: Callable[[N], bool]) -> N:
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
    what = "a positive number" if kind is float else "a whole number"
    raise usage(f"{name} must be {what} within bounds, not '{echo(given)}'", f"{name} {default}")


def _sizes(arguments: Arguments) -> dict[str, int]:
    """Return ``--sizes "M=64, K=10"`` as a mapping."""
    sizes: dict[str, int] = {}
    for given in arguments.names("--sizes"):
        name, _, value = (part.strip() for part in given.partition("="))
        if (
            not name.isidentifier()
            or not (value.isascii() and value.isdigit() and len(value) < 7)
            or not 0 < int(value) <= 100_000
        ):
            raise usage(f"--sizes needs NAME=NUMBER, not '{echo(given)}'", "--sizes 'M=64'")
        sizes[name] = int(value)
    return sizes
