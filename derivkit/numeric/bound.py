"""Kernels bound to arrays: a step allocates nothing, reads what lies in the arrays now, and keeps its results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.codegen import Assignment
from derivkit.numeric.codegen.bound import BoundModule, write_bound
from derivkit.numeric.codegen.fixed import at_sizes
from derivkit.numeric.codegen.instructions import KEPT, Lowered
from derivkit.numeric.codegen.lower import lower
from derivkit.numeric.codegen.stable import Row, stabilise
from derivkit.numeric.kernel import Kernel, computed_in, load, precision
from derivkit.symbolic.expr import Name
from derivkit.symbolic.given import by_name

Array = NDArray[Any]

#: So many bytes of labels are compared with what they were faster than their largest is found (measured: 0.1 us, not 1 us).
FEW = 8192


class Step:
    """A kernel bound to arrays: ``step()`` computes anew from what lies in them and returns the value.

    ``step.value`` is the last value (a float, or the step's own array) and ``step.grads`` the gradients by name, in arrays
    that each call fills again; ``step.source`` is the module that runs, its memory laid out.
    """

    def __init__(
        self, kernel: Kernel, arrays: Mapping[str, Any], planned: Sequence[Assignment], grads: Mapping[str, Array] | None = None
    ) -> None:
        """Bind what a kernel computes, as ``planned``; its gradients come into the arrays ``grads``, else into new ones."""
        held = _held(kernel, arrays)
        real = precision(held.values())
        dtype = computed_in(real)
        sizes = kernel.sizes(held)
        lowered, module = _written(kernel, held, planned, sizes, dtype)
        self.source = module.source
        self._plan = module.plan
        self.value: Any = None
        self.grads = dict(grads) if grads is not None else {w: np.empty(s.shape, dtype) for w, s in lowered.results.items()}
        made = [self.grads[w] for w in lowered.results]
        if (value := lowered.value.storage) is not None and value.place == KEPT:
            made.insert(0, np.empty(value.shape, dtype))
        self._run: Callable[[], Any] = load(module)(*held.values(), *made)
        if real != dtype and grads is None:
            pairs = [(np.empty(a.shape, real), a) for a in made]
            self._run = _narrowed(self._run, pairs)
            self.grads = dict(zip(lowered.results, [half for half, _ in pairs][-len(self.grads) :], strict=True))
        labels = [i for i in kernel.program.inputs if i.kind == "label" and i.range is not None]
        self._labels = [_Labels(str(i.name), held[str(i.name)], i.range.evaluate(sizes)) for i in labels]  # type: ignore[union-attr]
        self._is_number = not lowered.value.shape
        #: Computes anew and returns the value as NumPy has it.
        self.run = self._checked if self._labels else self._run

    def __call__(self) -> Any:
        """Compute anew; return the value."""
        value = self.run()
        self.value = value = float(value) if self._is_number else value
        return value

    def explain(self) -> str:
        """Return the plan: what was recognised, the loops over blocks, which arrays share which memory."""
        return "\n".join(self._plan)

    def _checked(self) -> Any:
        for labels in self._labels:
            labels.check()
        return self._run()

    def __repr__(self) -> str:
        """Say what is kept."""
        return f"<Step {', '.join(f'{w}: {a.shape}' for w, a in self.grads.items())}>"


def _written(
    kernel: Kernel, held: Mapping[str, Array], planned: Sequence[Assignment], sizes: Mapping[str, int], dtype: np.dtype[Any]
) -> tuple[Lowered, BoundModule]:
    """Return the instructions over the arrays ``held``, and their text."""
    returned = {kernel.program.value, *kernel.program.gradients.values()}
    lowered = lower(kernel.program, at_sizes(planned, sizes, returned), held, dtype)
    at = ", ".join(f"{k} = {v}" for k, v in sizes.items())
    return lowered, write_bound(lowered, dtype, f"{kernel.signature}{f', at {at}' if at else ''}.")


def explain(kernel: Kernel, sizes: Mapping[str, Any], dtype: str) -> str:
    """Return how a kernel was made; with ``sizes`` also the plan of a step over arrays of them: see :meth:`Kernel.explain`."""
    over = f"batched over {', '.join(kernel.batch)} ({kernel.program.reduce or 'not reduced'})" if kernel.batch else "not batched"
    applied: list[tuple[Name, Row]] = []
    stabilise(kernel.program, applied)
    forms = dict.fromkeys(f"  {name}: {row.equality}" for name, row in applied)
    steps = [f"  {line}" for line in kernel.module.steps if not line.startswith("#")]
    lines = [kernel.signature, over, *(["stable forms:", *forms] if forms else []), f"{len(steps)} statements:", *steps]
    return "\n".join([*lines, *(_plan_at(kernel, sizes, dtype) if sizes else ())])


def _plan_at(kernel: Kernel, sizes: Mapping[str, Any], dtype: str) -> tuple[str, ...]:
    known = {n for i in kernel.inputs for s in i.shape for n in s.names()}
    for word, value in sizes.items():
        if word not in known:
            hint = did_you_mean(str(word), known) or f"the sizes are {', '.join(sorted(known))}"
            raise DerivkitError(f"no size is called '{echo(str(word))}'", code="DK008", hint=hint)
        whole_number(f"size '{echo(str(word))}'", value, 1)
    if missing := sorted(known - {*sizes}):
        raise DerivkitError(f"no number for size '{missing[0]}'", code="DK041", hint="a plan needs a number for each size")
    if dtype not in ("float32", "float64"):
        raise DerivkitError(f"no plan in '{echo(str(dtype))}'", code="DK010", hint="float32 or float64")
    real = np.dtype(dtype)
    held = {
        str(i.name): np.empty(tuple(s.evaluate(sizes) for s in i.shape), real if i.kind != "label" else int)
        for i in kernel.inputs
    }
    return _written(kernel, held, kernel.planned(), kernel.sizes(held), real)[1].plan


class _Labels:
    """Labels that may be refilled: looked through before each call, unless they are few and what they were."""

    def __init__(self, word: str, labels: Array, top: int) -> None:
        self._word, self._labels, self._top = word, _unsigned(labels), top
        self._seen: bytes | None = None
        self._few = labels.nbytes <= FEW

    def check(self) -> None:
        now = self._labels.tobytes() if self._few else None
        if now is not None and now == self._seen:
            return
        if np.maximum.reduce(self._labels, None) >= self._top:
            raise DerivkitError(f"'{self._word}' has a label outside of 0..{self._top - 1}", code="DK040")
        self._seen = now


def _narrowed(run: Callable[[], Any], pairs: Sequence[tuple[Array, Array]]) -> Callable[[], Any]:
    """Return ``run`` with its results copied into arrays of fewer digits: (array, what was computed)."""

    def narrow() -> Any:
        value = run()
        for half, wide in pairs:
            np.copyto(half, wide, "same_kind")
        return next((half for half, wide in pairs if wide is value), value)

    return narrow


def _held(kernel: Kernel, arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays to read at each step, checked: the caller's own where he gave arrays, so that refilling is enough.

    What the kernel cannot read in place is copied once: lists, and labels in real numbers.
    """
    checked = {str(i.name): a for i, a in zip(kernel.program.inputs, kernel.arguments(arrays, {}), strict=True)}
    return {word: _own(arrays.get(word), array) for word, array in checked.items()}


def _own(given: Any, array: Array) -> Array:
    if not isinstance(given, np.ndarray) or given.shape != array.shape or given.dtype == object:
        return array
    return np.asarray(given) if array.dtype.kind in ("f", given.dtype.kind) else array


def _unsigned(whole: Array) -> Array:
    """Return a view in which numbers below 0 are larger than all others, so that one pass finds what is out of range."""
    if whole.dtype.kind != "i":
        return whole
    return whole.view(_UNSIGNED if whole.dtype is _PLACES else whole.dtype.str.replace("i", "u"))  # in its own order of bytes


#: The type that NumPy counts places in.
_PLACES = np.dtype(np.intp)
_UNSIGNED = np.dtype(np.uintp)


def bind(kernel: Kernel, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> Step:
    r"""Return the step of ``kernel`` over the given arrays: no call of it allocates memory.

    The arrays are read again at each call, so refilling them is enough.

    >>> import derivkit as dk
    >>> k = dk.compile("x: D\nw: D\nE = (w @ x)**2", wrt="w", batch="x")
    >>> x, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, -1.0])
    >>> step = k.bind(x=x, w=w)
    >>> step(), step.grads["w"].tolist()
    (1.0, [-4.0, -6.0])
    >>> w[:] = 0
    >>> step()
    0.0
    """
    return Step(kernel, by_name(arrays, named), kernel.planned())


class Sgd:
    """Stochastic gradient descent with a kernel: ``step()`` does one step on the bound rows and returns the loss before it.

    ``step(indices)`` does it on these rows of the batched arrays.  ``step.params`` are the live parameters by name.
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
        self.lr = learning_rate(lr)
        self.rows = None if rows is None else whole_number("rows", rows, 1)
        for word, value, end in (("momentum", momentum, 1.0), ("weight_decay", weight_decay, math.inf)):
            if not isinstance(value, Real) or not 0 <= value < end:
                up = "0 to below 1" if end == 1 else "0 on"
                raise DerivkitError(f"{word} is a number from {up}, not {echo(repr(value))}", code="DK010")
        check_trainable(kernel)
        self._kernel = kernel
        self._arrays = given = _held(kernel, arrays)
        self._batch = kernel.batch
        self.samples = len(given[self._batch[0]]) if self._batch else 1
        self._planned = kernel.planned(self.lr)
        dtype = computed_in(precision(given.values()))
        limits = np.finfo(dtype)
        if not float(limits.tiny) <= self.lr <= float(limits.max):
            raise DerivkitError(f"lr={self.lr:g} is beyond the numbers of {dtype}", code="DK010")
        words = list(kernel.program.gradients)
        if moving := [w for w in words if w in kernel.batch]:
            raise DerivkitError(f"'{moving[0]}' is batched: its rows are data", code="DK010", hint="train what is not batched")
        self._flat, self.params = _flat({w: given[w] for w in words}, dtype)
        self._grads, self._slots = _flat({w: given[w] for w in words}, dtype)
        for word in words:
            self.params[word][...] = given[word]
        self._momentum, self._decay = momentum, weight_decay
        self._speed = np.zeros_like(self._flat) if momentum else None
        self._full: Step | None = None
        self._steps: dict[int, tuple[Step, list[tuple[Callable[..., Any], Array]]]] = {}
        self._buffers: dict[str, Array] = {}
        self.value: float | None = None

    def __call__(self, indices: Any = None) -> float:
        """Do one step, on all bound rows or on those at ``indices``; return the loss before it."""
        self.value = value = float((self._full or self._whole()).run()) if indices is None else self._gathered(indices)
        grads, flat = self._grads, self._flat
        if self._decay:
            grads += (self.lr * self._decay) * flat
        if self._speed is not None:
            self._speed *= self._momentum
            self._speed += grads
            grads = self._speed
        np.subtract(flat, grads, flat)
        return value

    def gradients(self, indices: Any = None) -> dict[str, Array]:
        """Return the gradients at these rows, as :meth:`__call__` would step along them, and do no step."""
        if indices is None:
            self._whole().run()
        else:
            self._gathered(indices)
        return {word: array / self.lr for word, array in self._slots.items()}

    def _whole(self) -> Step:
        """Return the step over all bound rows, made at its first use."""
        self._full = self._full or Step(self._kernel, {**self._arrays, **self.params}, self._planned, self._slots)
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
        whole = _unsigned(places)
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
        step = Step(self._kernel, {**self._arrays, **rows, **self.params}, self._planned, self._slots)
        self._steps[count] = step, [(self._arrays[w].take, r) for w, r in rows.items()]
        return self._steps[count]

    def __repr__(self) -> str:
        """Say what is trained."""
        return f"<Sgd lr={self.lr:g} {', '.join(f'{w}: {a.shape}' for w, a in self.params.items())}>"


def _array(indices: Any) -> Array:
    try:
        return np.empty(0) if isinstance(indices, np.ma.MaskedArray) else np.asarray(indices)
    except (ValueError, TypeError, OverflowError, RuntimeError):
        return np.empty(0)


def check_trainable(kernel: Kernel) -> None:
    """Refuse a kernel that is not of a loss."""
    if kernel.derivation.kind != "gradient":
        raise DerivkitError(f"a {kernel.derivation.kind} cannot be trained", code="DK010", hint="compile a scalar loss")


def whole_number(name: str, value: Any, least: int) -> int:
    """Return a whole number from ``least``, of Python or of NumPy."""
    number = value if isinstance(value, Integral) and not isinstance(value, bool) else least - 1
    if number < least:
        raise DerivkitError(f"{name} must be a whole number from {least}, not {echo(repr(value))}", code="DK010")
    return int(number)


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
    those of torch.optim.SGD: v = momentum v + g + weight_decay w, w = w - lr v.

    >>> import derivkit as dk
    >>> k = dk.compile("x: D\nw: D\ny:\nE = (w @ x - y)**2", wrt="w", batch=("x", "y"))
    >>> step = k.sgd(lr=0.5, x=np.eye(2), y=np.array([2.0, -1.0]), w=np.zeros(2))
    >>> step(), step.params["w"].tolist(), step(np.array([1]))
    (2.5, [1.0, -0.5], 0.25)
    """
    return Sgd(kernel, by_name(arrays, named), lr=lr, rows=rows, momentum=momentum, weight_decay=weight_decay)
