"""Stochastic gradient descent on bound kernels: an update is one pass over all parameters, in place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, echo
from derivkit.numeric.bound import Step, held_arrays, unsigned, whole_number
from derivkit.numeric.kernel import Kernel, computed_in, precision
from derivkit.symbolic.given import by_name

Array = NDArray[Any]

#: Steps are planned at one learning rate; another one that is further from it, as a quotient, is planned for anew:
#: gradients times a tiny rate have lost digits of float32.
FAR = 1e6


#: Steps are kept for so many numbers of rows: each has memory of its own.
KEPT_SIZES = 16


class Sgd:
    """Stochastic gradient descent with a kernel: ``step()`` does one step on the bound rows and returns the loss before it.

    ``step(indices)`` does it on these rows of the batched arrays.  ``step.params`` are the live parameters by name.
    ``step.lr = ...`` is the learning rate from the next step on: that costs no planning, for the update is scaled.  Nothing
    is looked at on the way: a rate that is too large gives NaN, without a word.
    """

    def __init__(
        self,
        kernel: Kernel,
        arrays: Mapping[str, Any],
        *,
        lr: float,
        rows: int | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        """Copy the parameters, and lay them and their gradients out one behind the other: an update is one pass."""
        self.rows = None if rows is None else whole_number("rows", rows, 1)
        for word, value, end in (("momentum", momentum, 1.0), ("weight_decay", weight_decay, math.inf)):
            if not isinstance(value, Real) or not 0 <= value < end:
                up = "0 to below 1" if end == 1 else "0 on"
                raise DerivkitError(f"{word} is a number from {up}, not {echo(repr(value))}", code="DK010")
        check_trainable(kernel)
        self._kernel = kernel
        self._arrays = given = held_arrays(kernel, arrays)
        self._batch = kernel.batch
        self.samples = len(given[self._batch[0]]) if self._batch else 1
        dtype = computed_in(precision(given.values()))
        words = list(kernel.program.gradients)
        if moving := [w for w in words if w in kernel.batch]:
            raise DerivkitError(f"'{moving[0]}' is batched: its rows are data", code="DK010", hint="train what is not batched")
        self._flat, self.params = _flat({w: given[w] for w in words}, dtype)
        self._grads, self._slots = _flat({w: given[w] for w in words}, dtype)
        for word in words:
            self.params[word][...] = given[word]
        self._momentum, self._decay = momentum, weight_decay
        self._speed = np.zeros_like(self._flat) if momentum else None
        self._buffers: dict[str, Array] = {}
        self.value: float | None = None
        self._lr = self._fitting(lr)
        self._plan(self._lr)

    def _plan(self, rate: float) -> None:
        """Plan steps whose gradients are ``rate`` times as large; they are made at their first use."""
        self._rate = rate
        self._planned = self._kernel.planned(rate)
        self._full: Step | None = None
        self._steps: dict[int, tuple[Step, list[tuple[Callable[..., Any], Array]]]] = {}
        self._last: Step | None = None

    def _fitting(self, lr: Any) -> float:
        """Return a rate that is a number of the type computed in."""
        rate, limits = learning_rate(lr), np.finfo(self._flat.dtype)
        if not float(limits.tiny) <= rate <= float(limits.max):
            raise DerivkitError(f"lr={rate:g} is beyond the numbers of {self._flat.dtype}", code="DK010")
        return rate

    @property
    def lr(self) -> float:
        """The learning rate; it may be set before any step."""
        return self._lr

    @lr.setter
    def lr(self, lr: Any) -> None:
        rate = self._fitting(lr)
        if not 1 / FAR <= rate / self._rate <= FAR:
            if self._speed is not None:
                self._speed *= rate / self._rate
            self._plan(rate)
        self._lr = rate

    @property
    def source(self) -> str:
        """The module of the step that was made last: over all rows, where none was."""
        return (self._last or self._whole()).source

    def explain(self) -> str:
        """Return the plan of the step whose :attr:`source` it is: see :meth:`Step.explain`."""
        return (self._last or self._whole()).explain()

    def __call__(self, indices: Any = None) -> float:
        """Do one step, on all bound rows or on those at ``indices``; return the loss before it."""
        self.value = value = float((self._full or self._whole()).run()) if indices is None else self._gathered(indices)
        grads, flat = self._grads, self._flat
        if self._decay:
            grads += (self._rate * self._decay) * flat
        if self._speed is not None:  # the velocity times the planned rate
            self._speed *= self._momentum
            self._speed += grads
            grads = self._speed
        if self._lr != self._rate:
            grads = np.multiply(grads, self._lr / self._rate, self._grads)
        np.subtract(flat, grads, flat)
        return value

    def state(self) -> tuple[Array, Array | None]:
        """Return a copy of all parameters, and of their velocity where there is momentum, for :meth:`restore`."""
        return self._flat.copy(), None if self._speed is None else self._speed.copy()

    def restore(self, state: tuple[Array, Array | None]) -> None:
        """Put parameters and velocity back to what they were at :meth:`state`."""
        flat, speed = state
        self._flat[...] = flat
        if self._speed is not None and speed is not None:
            self._speed[...] = speed

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the kernel, the arrays and what was reached; the memory is laid out anew."""
        flat, speed = self.state()
        speed = None if speed is None else speed * (self._lr / self._rate)
        options = {"lr": self._lr, "rows": self.rows, "momentum": self._momentum, "weight_decay": self._decay}
        return _again, (self._kernel, dict(self._arrays), options, (flat, speed), self.value)

    def gradients(self, indices: Any = None) -> dict[str, Array]:
        """Return the gradients at these rows, as :meth:`__call__` would step along them, and do no step."""
        if indices is None:
            self._whole().run()
        else:
            self._gathered(indices)
        return {word: array / self._rate for word, array in self._slots.items()}

    def _whole(self) -> Step:
        """Return the step over all bound rows, made at its first use."""
        if self._full is None:
            self._full = self._last = Step(self._kernel, {**self._arrays, **self.params}, self._planned, self._slots)
        return self._full

    def _gathered(self, indices: Any) -> float:
        places = self._places(indices)
        step, takes = self._steps.get(len(places)) or self._bound(len(places))
        for take, rows in takes:
            take(places, 0, rows, "clip")
        return float(step.run())

    def _places(self, indices: Any) -> Array:
        """Return the numbers of rows, all of them in range."""
        if not self._batch:
            raise DerivkitError("the kernel has no batch to take rows of", code="DK010", hint="compile it with batch=(...)")
        places = indices if type(indices) is np.ndarray else _array(indices)
        if places.ndim != 1 or places.dtype.kind not in "iu" or not places.size:
            raise DerivkitError("indices are the numbers of some rows", code="DK040", hint="step(order[:64])")
        if self.rows is not None and len(places) > self.rows:
            raise DerivkitError(f"{len(places)} rows, and there is room for {self.rows}", code="DK040", hint="give rows=...")
        whole = unsigned(places)
        if whole[whole.argmax()] >= self.samples:
            raise DerivkitError(f"a row outside of 0..{self.samples - 1}", code="DK040")
        return places

    def _bound(self, count: int) -> tuple[Step, list[tuple[Callable[..., Any], Array]]]:
        """Return the step over ``count`` gathered rows and how they are gathered, made once; larger buffers are new to all."""
        if not self._buffers or count > len(next(iter(self._buffers.values()))):
            room = max(count, self.rows or 0)
            self._buffers = {w: np.zeros((room, *self._arrays[w].shape[1:]), self._arrays[w].dtype) for w in self._batch}
            self._steps = {}
        rows = {w: b[:count] for w, b in self._buffers.items()}
        self._last = step = Step(self._kernel, {**self._arrays, **rows, **self.params}, self._planned, self._slots)
        if len(self._steps) >= KEPT_SIZES:
            del self._steps[next(iter(self._steps))]
        self._steps[count] = step, [(self._arrays[w].take, r) for w, r in rows.items()]
        return self._steps[count]

    def __repr__(self) -> str:
        """Say what is trained."""
        return f"<Sgd lr={self.lr:g} {', '.join(f'{w}: {a.shape}' for w, a in self.params.items())}>"


def _again(
    kernel: Kernel, arrays: Mapping[str, Any], options: Mapping[str, Any], state: tuple[Array, Array | None], value: float | None
) -> Sgd:
    made = Sgd(kernel, arrays, **options)
    made.restore(state)
    made.value = value
    return made


def _array(indices: Any) -> Array:
    try:
        return np.empty(0) if isinstance(indices, np.ma.MaskedArray) else np.asarray(indices)
    except (ValueError, TypeError, OverflowError, RuntimeError):
        return np.empty(0)


def check_trainable(kernel: Kernel) -> None:
    """Refuse a kernel that is not of a loss."""
    if kernel.derivation.kind != "gradient":
        raise DerivkitError(f"a {kernel.derivation.kind} cannot be trained", code="DK010", hint="compile a scalar loss")


def learning_rate(lr: Any) -> float:
    """Return a positive number, or say what is wrong with it."""
    try:
        rate = float(lr) if isinstance(lr, Real) and not isinstance(lr, bool) else math.nan
    except OverflowError:
        rate = math.inf
    if not 0 < rate < math.inf:
        raise DerivkitError(f"lr must be a positive number, not {echo(repr(lr))}", code="DK010")
    return rate


def _flat(arrays: Mapping[str, Array], dtype: np.dtype[Any]) -> tuple[Array, dict[str, Array]]:
    """Return one vector, and the views of it that have the shapes of ``arrays``."""
    flat = np.empty(sum(a.size for a in arrays.values()), dtype)
    views, start = {}, 0
    for word, array in arrays.items():
        views[word] = flat[start : start + array.size].reshape(array.shape)
        start += array.size
    return flat, views


def sgd(
    kernel: Kernel,
    arrays: Mapping[str, Any] | None = None,
    /,
    *,
    lr: float,
    rows: int | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    **named: Any,
) -> Sgd:
    r"""Return a step of stochastic gradient descent with ``kernel``, in place on copies of the parameters.

    ``lr`` is the learning rate, ``rows`` the most rows that ``step(indices)`` may name; ``momentum`` and ``weight_decay`` are
    those of torch.optim.SGD: v = momentum v + g + weight_decay w, w = w - lr v.  Set ``step.lr`` to follow a schedule.

    >>> import derivkit as dk
    >>> k = dk.compile("x: D\nw: D\ny:\nE = (w @ x - y)**2", wrt="w", batch=("x", "y"))
    >>> step = k.sgd(lr=0.5, x=np.eye(2), y=np.array([2.0, -1.0]), w=np.zeros(2))
    >>> step(), step.params["w"].tolist(), step(np.array([1]))
    (2.5, [1.0, -0.5], 0.25)
    >>> step.lr = 0.25
    >>> step(np.array([0])), step.params["w"].tolist()
    (1.0, [1.5, -1.0])
    """
    return Sgd(kernel, by_name(arrays, named), lr=lr, rows=rows, momentum=momentum, weight_decay=weight_decay)
