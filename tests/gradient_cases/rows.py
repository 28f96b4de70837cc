"""What a row of the corpus is, and the functions that real and complex arguments go through alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Row:
    """A function, a claimed derivative, and what a judge should say: "ok", or the codes that name the fault, "|" between them.

    ``blame`` are the positions of the wrong leaves, all if empty.  ``exact`` is f without what makes it hard to measure
    (a cast, a solver's tolerance), for the proof by the complex step; ``closed`` says the same at 50 digits with mpmath;
    ``accuracy`` is how far a right claim may be from the truth, relative to its largest entry.
    """

    name: str
    expected: str
    f: Callable[..., Any]
    grad: Callable[..., Any]
    args: tuple[Any, ...]
    blame: tuple[int, ...] = ()
    kind: str = "gradient"
    exact: Callable[..., Any] | None = None
    closed: Callable[..., Any] | None = None
    accuracy: float = 1e-8
    kink: bool = False
    huge: bool = False

    @property
    def right(self) -> bool:
        """Whether the claim is right."""
        return self.expected == "ok"


FAMILIES: dict[str, Callable[[np.random.Generator], Iterator[Row]]] = {}


def family(make: Callable[[np.random.Generator], Iterator[Row]]) -> Callable[[np.random.Generator], Iterator[Row]]:
    """Enter a function that yields rows from a random stream."""
    FAMILIES[make.__name__] = make
    return make


def rows(seed: int) -> list[Row]:
    """Return the whole corpus with the random data of ``seed``."""
    return [row for name, make in FAMILIES.items() for row in make(np.random.default_rng([seed, crc32(name.encode())]))]


def right(name: str, f: Callable[..., Any], grad: Callable[..., Any], *args: Any, **options: Any) -> Row:
    """A claim that is right."""
    return Row(name, "ok", f, grad, args, **options)


def wrong(name: str, expected: str, f: Callable[..., Any], grad: Callable[..., Any], *args: Any, **options: Any) -> Row:
    """A claim that is wrong."""
    return Row(name, expected, f, grad, args, **options)


def relu(z: Any) -> Any:
    """max(z, 0), for complex steps too."""
    return np.where(z.real > 0, z, 0 * z)


def absolute(z: Any) -> Any:
    """|z| of the real part, for complex steps too."""
    return np.where(z.real < 0, -z, z)


def clip(z: Any, low: float, high: float) -> Any:
    """Clip by the real part."""
    return np.where(z.real < low, low + 0 * z, np.where(z.real > high, high + 0 * z, z))


def softmax(z: Any, axis: int = -1) -> Any:
    """Softmax along an axis."""
    e = np.exp(z - z.real.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def logsumexp(z: Any, axis: int = -1) -> Any:
    """The logarithm of the sum of exponentials along an axis."""
    top = z.real.max(axis, keepdims=True)
    return np.log(np.exp(z - top).sum(axis)) + np.squeeze(top, axis)


def sigmoid(z: Any) -> Any:
    """The logistic function."""
    return 0.5 * (1 + np.tanh(z / 2))


def away(r: np.random.Generator, shape: Any, least: float = 0.1, most: float = 2.0) -> Any:
    """Numbers of both signs, none near zero."""
    return r.choice([-1.0, 1.0], shape) * r.uniform(least, most, shape)


def put(array: Any, index: Any, value: Any) -> Any:
    """A copy with one place changed."""
    result = array.copy()
    result[index] = value
    return result
