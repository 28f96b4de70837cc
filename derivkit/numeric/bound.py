"""Kernels bound to arrays: a step allocates nothing, reads what lies in the arrays now, and keeps its results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
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
        held = held_arrays(kernel, arrays)
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
        self._given = kernel, held
        #: Computes anew and returns the value as NumPy has it.
        self.run = self._checked if self._labels else self._run

    def __call__(self) -> Any:
        """Compute anew; return the value."""
        value = self.run()
        self.value = value = float(value) if self._is_number else value
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the kernel, the arrays and the results; the memory is laid out anew."""
        return _again, (*self._given, self.value, self.grads)

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


def _again(kernel: Kernel, held: Mapping[str, Array], value: Any, grads: Mapping[str, Array]) -> Step:
    made = bind(kernel, held)
    made.value = value
    for word, array in grads.items():
        made.grads[word][...] = array
    return made


def _written(
    kernel: Kernel, held: Mapping[str, Array], planned: Sequence[Assignment], sizes: Mapping[str, int], dtype: np.dtype[Any]
) -> tuple[Lowered, BoundModule]:
    """Return the instructions over the arrays ``held``, and their text."""
    returned = {kernel.program.value, *kernel.program.gradients.values()}
    lowered = lower(kernel.program, at_sizes(planned, sizes, returned), held, dtype)
    at = ", ".join(f"{k} = {v}" for k, v in sizes.items())
    return lowered, write_bound(lowered, dtype, f"{kernel.signature}{f', at {at}' if at else ''}.")


def explain(kernel: Kernel, sizes: Mapping[str, Any] | None, named: Mapping[str, Any], dtype: str) -> str:
    """Return how a kernel was made; with ``sizes`` also the plan of a step over arrays of them: see :meth:`Kernel.explain`."""
    if sizes is not None and not isinstance(sizes, Mapping):
        raise DerivkitError("sizes are numbers by name", code="DK010", hint="k.explain(N=64)")
    sizes = {**(sizes or {}), **named}
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
    shapes = {i: tuple(s.evaluate(sizes) for s in i.shape) for i in kernel.inputs}
    held = {str(i.name): _unreal(shape, np.dtype(int) if i.kind == "label" else real) for i, shape in shapes.items()}
    return _written(kernel, held, kernel.planned(), kernel.sizes(held), real)[1].plan


def _unreal(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of this shape that takes no memory and may not be read."""
    if math.prod(shape) * dtype.itemsize > np.iinfo(np.intp).max:
        raise DerivkitError("no memory holds arrays of these sizes", code="DK020", hint="smaller sizes")
    steps = [math.prod(shape[n + 1 :]) * dtype.itemsize for n in range(len(shape))]
    return np.lib.stride_tricks.as_strided(np.empty(1, dtype), shape, steps, writeable=False)


class _Labels:
    """Labels that may be refilled: looked through before each call, unless they are few and what they were."""

    def __init__(self, word: str, labels: Array, top: int) -> None:
        self._word, self._labels, self._top = word, unsigned(labels), top
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


def held_arrays(kernel: Kernel, arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays to read at each step, checked: the caller's own where he gave arrays, so that refilling is enough.

    What the kernel cannot read in place is copied once: lists, and labels in real numbers.
    """
    checked = {str(i.name): a for i, a in zip(kernel.program.inputs, kernel.arguments(arrays, {}), strict=True)}
    return {word: _own(arrays.get(word), array) for word, array in checked.items()}


def _own(given: Any, array: Array) -> Array:
    if not isinstance(given, np.ndarray) or given.shape != array.shape or given.dtype == object:
        return array
    return np.asarray(given) if array.dtype.kind in ("f", given.dtype.kind) else array


def unsigned(whole: Array) -> Array:
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


def whole_number(name: str, value: Any, least: int) -> int:
    """Return a whole number from ``least``, of Python or of NumPy."""
    number = value if isinstance(value, Integral) and not isinstance(value, bool) else least - 1
    if number < least:
        raise DerivkitError(f"{name} must be a whole number from {least}, not {echo(repr(value))}", code="DK010")
    return int(number)
