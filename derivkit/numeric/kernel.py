"""Kernels: generated NumPy source, compiled once, called with named arrays."""

from __future__ import annotations

import builtins
import importlib.util
import itertools
import linecache
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from derivkit.collector import collector_paused
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.codegen import REDUCED, Assignment, Module, Program, generate, lift, planned, program_of
from derivkit.numeric.codegen.bound import BoundModule
from derivkit.symbolic.derive import differentiate
from derivkit.symbolic.given import by_name, fix_sizes, words_of
from derivkit.symbolic.graph import Graph, Input
from derivkit.symbolic.steps import Derivation

if TYPE_CHECKING:
    from derivkit.numeric.cost import Cost

Array = NDArray[Any]

#: From here on a float does not hold every integer.
_LARGEST_LABEL = 2.0**53

#: A kernel takes arrays alone.
_UNFIXED = "write it as a number"


@collector_paused()
def compile(
    program: Any,
    /,
    wrt: Any = None,
    shapes: Mapping[str, str] | None = None,
    *,
    batch: str | Iterable[str] = (),
    reduce: str | None = None,
    kind: str | None = None,
    along: str | Iterable[str] | None = None,
) -> Kernel:
    r"""Return the kernel of a program's value and derivatives: readable NumPy, vectorised over ``batch``.

    ``program`` is program text, or a derivation (then ``wrt``, ``shapes`` and ``kind`` are its own).  The inputs named in
    ``batch`` get a leading axis of samples; the value is then the mean over them, or the sum with ``reduce="sum"``, and so
    are the gradients.  The program is the loss of one sample: what does not depend on the sample, a penalty say, is in the
    sum once for each of the N samples, also when it is the whole loss.  Raises :class:`DerivkitError` for what
    cannot be read, derived or batched.

    >>> import numpy as np
    >>> k = compile("x: D\nw: D\nE = (w @ x)**2", wrt="w", batch="x")
    >>> value, grads = k(x=np.array([[1.0, 2.0], [3.0, 4.0]]), w=np.array([1.0, -1.0]))
    >>> value, grads["w"].tolist()
    (1.0, [-4.0, -6.0])
    """
    names = words_of("batch", batch)
    derivation = _derived(program, wrt, shapes, kind, along, names)
    if reduce is not None and (not names or derivation.kind not in REDUCED):
        why = "there is no batch" if not names else f"a {derivation.kind} is not reduced"
        raise DerivkitError(f"reduce='{echo(reduce)}' means nothing here: {why}", code="DK010", hint="leave reduce= out")
    lifted, module = generate(program_of(derivation), names, reduce)
    return Kernel(derivation, lifted, module)


def _derived(
    program: Any,
    wrt: Any,
    shapes: Mapping[str, str] | None,
    kind: str | None,
    along: str | Iterable[str] | None,
    batch: Collection[str],
) -> Derivation:
    if isinstance(program, Derivation):
        if any(given is not None for given in (wrt, shapes, kind, along)):
            raise DerivkitError("a derivation has its own wrt, shapes and kind", code="DK010", hint="leave them out")
        return program
    if wrt is None:
        raise DerivkitError("nothing to differentiate with respect to", code="DK010", hint="give a name: wrt='W1'")
    return differentiate(program, wrt=wrt, shapes=shapes, kind=kind, along=along, data=batch)


@dataclass(frozen=True)
class Kernel:
    """Generated source with its callable; printing it shows the source.

    ``kernel(x=..., W=...)``, or with one mapping, returns the value and the gradients by name, each of its variable's shape.
    """

    derivation: Derivation
    program: Program
    module: Module
    _function: Callable[..., Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the source, once."""
        object.__setattr__(self, "_function", load(self.module))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the compiled function."""
        return {k: v for k, v in self.__dict__.items() if k != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Compile again."""
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def source(self) -> str:
        """The text of the module: it imports NumPy, and SciPy where the program uses ``erf``; derivkit is not in it."""
        return self.module.source

    @property
    def shapes(self) -> dict[str, tuple[str | int, ...]]:
        """The sizes of each input, for one sample: a name, a number or a formula of names."""
        primal = self.derivation.primal
        return {
            str(name): tuple(str(s) if s.literal is None else s.literal for s in i.shape) for name, i in primal.inputs.items()
        }

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs as the kernel takes them, batched ones with their axis of samples."""
        return self.program.inputs

    @property
    def batch(self) -> tuple[str, ...]:
        """The names of the batched inputs."""
        return tuple(str(i.name) for i in self.program.inputs if i.name in self.program.batched)

    @property
    def signature(self) -> str:
        """The call with the shapes that it takes and returns."""

        def shaped(name: Any) -> str:
            return "(" + ", ".join(map(str, self.program.shape(name))) + ")"

        takes = ", ".join(f"{i.name}: {shaped(i.name)}" for i in self.program.inputs)
        gives = ", ".join(f"{word}: {shaped(name)}" for word, name in self.program.gradients.items())
        return f"{self.module.function}({takes}) -> {shaped(self.program.value)}, {{{gives}}}"

    def cost(self, sizes: Mapping[str, int] | None = None, /, *, dtype: str = "float64", **named: int) -> Cost:
        """Return what a call costs: operations, bytes and parameters, in the sizes or in numbers (``k.cost(N=64)``)."""
        from derivkit.numeric.cost import cost_of

        return cost_of(self.program, self.derivation, dtype, {**(sizes or {}), **named})

    def __str__(self) -> str:
        """Return the source."""
        return self.source

    def __repr__(self) -> str:
        """Return the signature."""
        return f"<Kernel {self.signature}>"

    def explain(self, sizes: Mapping[str, int] | None = None, /, *, dtype: str = "float64", **named: int) -> str:
        r"""Return how the kernel was made: signature, batching, rows of the stable forms, one line for each statement.

        With numbers for all sizes also the plan of a step that is bound to arrays of them: what was recognised, which arrays
        share which memory.  :class:`DerivkitError` for a size that is missing or unknown.

        >>> k = compile("z: K\nt: onehot K\nE = cross_entropy(t, softmax(z))", wrt="z")
        >>> print(k.explain())
        loss_and_gradients(z: (K), t: (K)) -> (), {z: (K)}
        not batched
        stable forms:
          E: log(softmax(z)) = log_softmax(z)
        3 statements:
          p, log_p = softmax_and_log(z)
          E = -t @ log_p
          dE_dz = p - t
        """
        from derivkit.numeric.bound import explain

        return explain(self, sizes, named, dtype)

    def __call__(self, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> tuple[Any, dict[str, Array]]:
        """Return the value (a float, or an array for an array output) and the gradients by name."""
        given = self.arguments(arrays, named)
        dtype = precision(given)
        wide = computed_in(dtype)
        reals = given if wide == dtype else [a.astype(wide) if a.dtype == dtype else a for a in given]
        value, gradients = self._function(*reals, *self._sizes(given))
        made = {word: np.asarray(g, dtype=dtype) for word, g in gradients.items()}
        return (float(value) if np.ndim(value) == 0 else np.asarray(value, dtype=dtype)), made

    def arguments(self, arrays: Mapping[str, Any] | None, named: Mapping[str, Any]) -> list[Array]:
        """Return the arrays in the order of the function, checked: names, numbers of axes, sizes, labels in range."""
        taken = {i.name for i in self.program.inputs}
        unused = {str(name) for name in self.derivation.graph.extra if name not in taken}  # declared, and read by nobody
        given = by_name(arrays, named)
        found = checked(self.program, {word: value for word, value in given.items() if word not in unused})
        if needs := self.derivation.primal.needs:
            values = {str(i.name): a for i, a in zip(self.program.inputs, found, strict=True)}
            fix_sizes(Graph({i.name: i for i in self.program.inputs}, (), self.program.value, needs=needs), values, {})
        return found

    def planned(self, rate: float | None = None) -> list[Assignment]:
        """Return what is computed, as arrays at symbolic sizes; with a ``rate`` the gradients are that many times as large."""
        if rate is None:
            return planned(self.program)
        program = program_of(self.derivation)
        return planned(lift(program, self.batch, self.program.reduce, Fraction(rate)))

    def sizes(self, values: Mapping[str, Array]) -> dict[str, int]:
        """Return the sizes that the inputs fix; DK041 when one of the kernel's is not among them."""
        inputs = Graph({i.name: i for i in self.program.inputs}, (), self.program.value)
        try:
            known = fix_sizes(inputs, values, {})
        except DerivkitError as error:
            if error.code != "DK041":
                raise
            raise DerivkitError(error.message, code="DK041", hint=_UNFIXED) from None
        if unfixed := [size for size in self.module.sizes if size not in known]:
            raise DerivkitError(f"size '{unfixed[0]}' is not fixed by any input", code="DK041", hint=_UNFIXED)
        return dict(known)

    def _sizes(self, given: list[Array]) -> list[int]:
        if not self.module.sizes:
            return []
        known = self.sizes({str(name): a for name, a in zip(self.module.inputs, given, strict=True)})
        return [known[size] for size in self.module.sizes]

    def bind(self, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """Return a step over these arrays that allocates nothing: a forward to :func:`derivkit.numeric.bound.bind`."""
        from derivkit.numeric.bound import bind

        return bind(self, arrays, **named)

    def sgd(self, arrays: Mapping[str, Any] | None = None, /, **options: Any) -> Any:
        """Return a step of gradient descent in place: a forward to :func:`derivkit.numeric.sgd.sgd`."""
        from derivkit.numeric.sgd import sgd

        return sgd(self, arrays, **options)

    def check(self, arrays: Mapping[str, Any] | None = None, /, grads: Mapping[str, Any] | None = None, **named: Any) -> Any:
        """Check every entry of the gradients at a point: a forward to :func:`derivkit.check_kernel`."""
        from derivkit.checking.structured import check_kernel

        return check_kernel(self, arrays, grads, **named)

    def fit(self, **options: Any) -> Any:
        """Train with this kernel: a forward to :func:`derivkit.fit`."""
        from derivkit.numeric.train import fit

        return fit(self, **options)


# -- arguments ------------------------------------------------------------------------------------------------------------


def checked(program: Program, given: Mapping[str, Any]) -> list[Array]:
    """Return the named arrays in the order of the program's inputs; one clear error for the first that does not fit."""
    known = {str(i.name): i for i in program.inputs}
    for word in given:
        if word not in known:
            hint = did_you_mean(str(word), known) or f"the inputs are {', '.join(known)}"
            raise DerivkitError(f"'{echo(word)}' is no input of this kernel", code="DK008", hint=hint)
    for word in known:
        if word not in given:
            raise DerivkitError(f"no value for '{word}'", code="DK041", hint=f"give {word}=...")
    values = {word: _numbers(word, given[word], i) for word, i in known.items()}
    dtype = precision(values.values())
    _check_sizes(program, values)
    return [v if known[w].kind == "label" else np.asarray(v, dtype=dtype) for w, v in values.items()]


def precision(values: Iterable[Any]) -> np.dtype[Any]:
    """Return the type of the results: the widest of the floating-point arrays, which integers follow; float64 without one.

    >>> precision([np.zeros(2, np.float32), np.zeros(3, int)]), precision([np.zeros(2, np.float32), np.zeros(3)])
    (dtype('float32'), dtype('float64'))
    """
    floats = [v.dtype for v in values if isinstance(v, np.ndarray | np.generic) and v.dtype.kind == "f"]
    return np.result_type(*floats) if floats else np.dtype(float)


def computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which results of ``dtype`` are computed: those of float16 in float32, for sums soon exceed it."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def plain_array(word: str, value: Any, *, large: bool = True) -> Array:
    """Return what is given as an array, without a class of its own; one clear error for what is none.

    Integers beyond 64 bits become real numbers when they may be ``large``.
    """
    if isinstance(value, np.ma.MaskedArray):  # its mask would be lost without a word
        raise DerivkitError(f"'{echo(word)}' is a masked array", code="DK040", hint="fill its gaps: .filled(0)")
    try:
        array = np.asarray(value)
        whole = large and array.dtype == object and array.size and all(type(v) is int for v in array.flat)
        return array.astype(float) if whole else array
    except (ValueError, TypeError, OverflowError, RuntimeError):
        raise DerivkitError(f"'{echo(word)}' is no array of numbers", code="DK040") from None


def _numbers(word: str, value: Any, declared: Input) -> Array:
    array = plain_array(word, value, large=declared.kind != "label")
    if declared.kind == "label":
        return _labels(word, array)
    if array.dtype.kind not in "fiub":
        raise DerivkitError(f"'{word}' holds {array.dtype}, not real numbers", code="DK040")
    return array


def _labels(word: str, array: Array) -> Array:
    """Return labels as integers; a Boolean is none, for NumPy would read it as a mask and not as a position."""
    if array.dtype.kind not in "fiu":
        raise DerivkitError(f"'{word}' is a label: labels are integers, not {array.dtype}", code="DK040")
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)) or np.any(np.trunc(array) != array):
            raise DerivkitError(f"'{word}' is a label: labels are integers", code="DK040")
        if np.any(np.abs(array) >= _LARGEST_LABEL):
            raise DerivkitError(f"'{word}' is a label: its values are too large", code="DK040")
        return array.astype(np.int64)
    return array


def _check_sizes(program: Program, values: Mapping[str, Array]) -> None:
    found: dict[str, tuple[int, str]] = {}
    for i in program.inputs:
        word = str(i.name)
        array = values[word]
        if array.ndim != len(i.shape):
            shape = ", ".join(map(str, i.shape)) or "a scalar"
            batch = " (batched: samples come first)" if i.name in program.batched else ""
            raise DerivkitError(f"'{word}' has shape {array.shape}, not {shape}{batch}", code="DK012")
        for axis, (size, length) in enumerate(zip(i.shape, array.shape, strict=True)):
            if size.literal is not None and size.literal != length:
                raise DerivkitError(f"axis {axis} of '{word}' is {length}, not {size}", code="DK012")
            if length == 0:
                raise DerivkitError(f"axis {axis} of '{word}' is empty", code="DK020", hint="sizes start at 1")
            if size.name is not None:
                place = f"axis {axis} of '{word}'"
                before = found.setdefault(size.name, (length, place))
                if before[0] != length:
                    hint = f"{before[1]} gives {before[0]}, {place} gives {length}"
                    raise DerivkitError(f"size '{size.name}' is both {before[0]} and {length}", code="DK012", hint=hint)
    plain = {n: v for n, (v, _) in found.items()}
    for i in program.inputs:
        limit = i.range
        if i.kind == "label" and limit is not None and all(n in plain for n in limit.names()):
            top, array = limit.evaluate(plain), values[str(i.name)]
            if np.any((array < 0) | (array >= top)):
                raise DerivkitError(f"'{i.name}' has a label outside of 0..{top - 1}", code="DK040")


#: The numbers of the sources that were compiled, for their names.
_NUMBERS = itertools.count(1)

# -- the one exec ---------------------------------------------------------------------------------------------------------


def load(module: Module | BoundModule) -> Callable[..., Any]:
    """Return the function of a generated module.  This is the one ``exec`` of derivkit, on source built from our own tree."""
    if module.needs_scipy and importlib.util.find_spec("scipy") is None:
        raise DerivkitError("this kernel uses erf, which SciPy has", code="DK043", hint="pip install scipy")
    name = f"<derivkit {'step' if isinstance(module, BoundModule) else 'kernel'} {next(_NUMBERS)}>"
    scope: dict[str, Any] = {"__name__": "derivkit_kernel", "__source__": _Listed(name, module.source)}
    exec(builtins.compile(module.source, name, "exec"), scope)  # noqa: S102
    function: Callable[..., Any] = scope[module.function]
    return function


class _Listed:
    """Source whose lines warnings and tracebacks show, as long as this is alive: as long as a function has it in its scope."""

    def __init__(self, name: str, source: str) -> None:
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
        weakref.finalize(self, linecache.cache.pop, name, None).atexit = False
