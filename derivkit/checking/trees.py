"""Arguments as trees: dicts, lists, tuples, named tuples and dataclasses whose leaves are float arrays or Python floats.

Float leaves are differentiable; integers, booleans, strings and ``None`` are not and pass through untouched.  A leaf
keeps the library and the dtype it came in; every rebuilt tree holds fresh copies, so nobody's arrays are written to.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.libraries import like, numeric
from derivkit.errors import DerivkitError
from derivkit.limits import NESTING

Array = NDArray[Any]
Path = tuple[Any, ...]

#: What is compared as it is, and never differentiated.
_PLAIN = (bool, int, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class Leaf:
    """One differentiable leaf: its printed name, its path from the argument list, its values, and whether it is a float.

    ``array`` is a private copy in the leaf's own dtype, of shape ``()`` for a Python float (``bare``).
    """

    name: str
    path: Path
    array: Array
    bare: bool


@dataclass(frozen=True, slots=True)
class Misfit:
    """A claimed gradient whose tree or shape does not fit: which leaf, what came, and one sentence."""

    leaf: int
    came: Array | None
    sentence: str


def argument_names(f: Callable[..., Any], count: int) -> tuple[str, ...]:
    """Return the names of the first ``count`` positional parameters of ``f``, or ``args[i]`` where they have none.

    >>> argument_names(lambda x, W: 0, 2), argument_names(lambda *rest: 0, 1)
    (('x', 'W'), ('args[0]',))
    """
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(named[i] if i < len(named) else f"args[{i}]" for i in range(count))


def leaves(args: Sequence[Any], names: Sequence[str], *, hollow: bool = False) -> tuple[Leaf, ...]:
    """Return the differentiable leaves of ``args``, arguments and keys in order; with ``hollow`` empty arrays too.

    Raises DerivkitError (DK010) for complex, object or masked arrays, (DK050) for values that are not finite.

    >>> found = leaves(({"w": np.ones(2), "n": 3}, 1.5, np.zeros(0)), ("params", "b", "none"))
    >>> [leaf.name for leaf in found]
    ["params['w']", 'b']
    """
    every = (leaf for i, arg in enumerate(args) for leaf in _leaves(arg, (i,), names[i]))
    return tuple(leaf for leaf in every if hollow or leaf.array.size)


def _leaves(value: Any, path: Path, name: str) -> Iterator[Leaf]:
    if len(path) > NESTING:
        raise DerivkitError(f"the arguments are nested deeper than {NESTING}: does a container hold itself?", code="DK003")
    if (array := _array(value)) is not None:
        _refuse(name, value, array)
        if array.dtype.kind == "f":
            if not np.all(np.isfinite(array)):
                raise DerivkitError(f"{name} has entries that are not finite: nothing can be measured there", code="DK050")
            yield Leaf(name, path, array.copy(), isinstance(value, float) and not isinstance(value, np.floating))
    elif (parts := children(value)) is not None:
        for key, item in parts.items():
            yield from _leaves(item, (*path, key), f"{name}{_label(value, key)}")


def _refuse(name: str, value: Any, array: Array) -> None:
    if array.dtype.kind in "cO":
        raise DerivkitError(
            f"{name} has dtype {array.dtype}: only real floats can be differentiated",
            code="DK010",
            hint="pass real and imaginary parts as two arguments" if array.dtype.kind == "c" else None,
        )
    if isinstance(value, np.ma.MaskedArray):
        hint = "pass its data, filled, and its mask as two arguments"
        raise DerivkitError(f"{name} is a masked array: what is masked has no gradient", code="DK010", hint=hint)


def _array(value: Any) -> Array | None:
    """Return a float-like value as an array, or ``None`` for whatever cannot be a number."""
    if isinstance(value, _PLAIN):
        return None
    if isinstance(value, (float, complex)):
        return np.asarray(value)
    read = numeric(value)
    return read if isinstance(read, np.ndarray) else None


def children(value: Any) -> dict[Any, Any] | None:
    """Return what a container holds: by key, by position, by a dataclass's fields; ``None`` for what is no container.

    >>> children([5, 6]), children({"a": 1}), children(5)
    ({0: 5, 1: 6}, {'a': 1}, None)
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in fields if hasattr(value, name)}
    return None


def _label(container: Any, key: Any) -> str:
    if isinstance(container, Mapping):
        return f"[{key!r}]"
    if isinstance(container, (list, tuple)):
        return f".{container._fields[key]}" if hasattr(container, "_fields") else f"[{key}]"
    return f".{key}"


def refilled(value: Any, parts: Mapping[Any, Any]) -> Any:
    """Return a container of the kind of ``value`` that holds ``parts``.

    >>> refilled((1, 2), {0: "a", 1: "b"})
    ('a', 'b')
    """
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*parts.values())
    if isinstance(value, (list, tuple)):
        return type(value)(parts.values())
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return type(value)(parts)  # type: ignore[call-arg]  # as the read-only mappings of others are made
    fresh = copy.copy(value)
    if isinstance(value, dict):
        fresh.update(parts)
    else:
        for name, part in parts.items():
            object.__setattr__(fresh, name, part)  # frozen ones too: this one is not out yet
    return fresh


def rebuild(args: Sequence[Any], found: Sequence[Leaf], arrays: Sequence[Array]) -> tuple[Any, ...]:
    """Return ``args`` with its differentiable leaves replaced by copies of ``arrays``, all containers and arrays fresh.

    >>> x = ({"w": np.ones(2)}, 4)
    >>> rebuild(x, leaves(x, ("p", "n")), [np.zeros(2)])
    ({'w': array([0., 0.])}, 4)
    """
    table = {leaf.path: (leaf, array) for leaf, array in zip(found, arrays, strict=True)}
    return tuple(_rebuild(arg, (i,), table) for i, arg in enumerate(args))


def _rebuild(value: Any, path: Path, table: dict[Path, tuple[Leaf, Array]]) -> Any:
    if path in table:
        leaf, array = table[path]
        if leaf.bare:
            return float(array)
        return like(np.array(array, dtype=leaf.array.dtype, order="K", copy=True), value)
    if isinstance(value, (*_PLAIN, float)):
        return value
    read = numeric(value)
    if isinstance(read, np.ndarray):
        return value if isinstance(value, np.generic) else like(read.copy(), value, dtype=True)
    parts = children(value)
    return value if parts is None else refilled(value, {key: _rebuild(item, (*path, key), table) for key, item in parts.items()})


def same(args: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two argument lists hold bitwise the same numbers (NaN equals NaN) in the same places."""
    return len(args) == len(others) and all(_same(a, b) for a, b in zip(args, others, strict=True))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, _PLAIN):
        return type(a) is type(b) and bool(a == b)
    left, right = _array(a), _array(b)
    if left is not None or right is not None:
        if left is None or right is None:
            return False
        return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()
    parts, others = children(a), children(b)
    if parts is None or others is None:
        return a is b  # what is no number is handed over as it is
    return list(parts) == list(others) and all(_same(part, others[key]) for key, part in parts.items())


def entries_by_argument(gradient: Any, args: Sequence[Any], outer: tuple[int, ...] = ()) -> tuple[Any, ...] | None:
    """Return the claimed gradient as one entry for each argument, or ``None`` if the count does not fit.

    A single argument may have its gradient bare; so may the only differentiable one among several, and those that are
    not differentiable may be left out altogether.
    """
    many = isinstance(gradient, (list, tuple))
    if len(args) == 1:
        container = isinstance(args[0], (list, tuple))
        if many and len(gradient) == 1:
            inner = gradient[0]
            if (children(inner) is not None) if container else _fits(inner, args[0], outer):
                return tuple(gradient)
        return (gradient,)
    if many and len(gradient) == len(args):
        return tuple(gradient)
    moving = [i for i, arg in enumerate(args) if next(_leaves(arg, (), ""), None) is not None]
    if many and len(gradient) == len(moving) and not hasattr(gradient, "_fields"):
        given = dict(zip(moving, gradient, strict=True))
        return tuple(given.get(i) for i in range(len(args)))
    if len(moving) == 1 and not many:
        return tuple(gradient if i == moving[0] else None for i in range(len(args)))
    return None


def _fits(claim: Any, arg: Any, outer: tuple[int, ...]) -> bool:
    if claim is None or (_array(arg) is None and children(arg) is not None):
        return True
    try:
        return bool(np.shape(claim) == (*outer, *np.shape(arg)))
    except ValueError:  # a ragged list
        return False


def claimed(
    gradient: Any, args: Sequence[Any], found: Sequence[Leaf], outer: tuple[int, ...] = ()
) -> list[Array | None] | Misfit:
    """Return the claimed gradient leaf by leaf (``None`` where nothing is claimed), or the first :class:`Misfit`.

    ``outer`` is the shape that stands before the leaf's own (a Jacobian's rows).  Lists of numbers count as arrays of
    that shape, and the other way round.
    """
    by_argument = entries_by_argument(gradient, args, outer)
    if by_argument is None:
        if gradient is None:
            return Misfit(0, None, "the gradient is None: is a return missing?")
        count = len(gradient) if isinstance(gradient, (list, tuple)) else 1
        entries = f"{count} {'entry' if count == 1 else 'entries'}"
        return Misfit(0, None, f"the gradient has {entries} for {len(args)} arguments: give None for one that has no gradient")
    result: list[Array | None] = []
    for position, leaf in enumerate(found):
        entry = _descend(by_argument[leaf.path[0]], leaf.path[1:], outer)
        if isinstance(entry, str):
            return Misfit(position, None, f"{leaf.name}: {entry}")
        if entry is None:
            result.append(None)
            continue
        try:
            array = np.asarray(_numbers(entry))
        except ValueError:
            return Misfit(position, None, f"the gradient of {leaf.name} is a ragged list")
        if array.shape != outer + leaf.array.shape:
            expected = outer + leaf.array.shape
            return Misfit(position, array, f"the gradient of {leaf.name} has shape {array.shape}, expected {expected}")
        result.append(array)
    return result


def _numbers(entry: Any) -> Any:
    """Return a claim with the arrays of other libraries read, also those within a list."""
    return [_numbers(item) for item in entry] if isinstance(entry, (list, tuple)) else numeric(entry)


def _descend(entry: Any, path: Path, outer: tuple[int, ...]) -> Any:
    """Follow ``path`` into a claimed gradient; a string says why it cannot be followed."""
    for key in path:
        if entry is None:
            return None
        read = numeric(entry)
        if isinstance(read, np.ndarray):
            if not (isinstance(key, int) and read.ndim > len(outer) and key < read.shape[len(outer)]):
                return f"the gradient has no entry {key!r}"
            entry = read[(slice(None),) * len(outer) + (key,)]
            continue
        parts = children(entry)
        if parts is None or key not in parts:
            few = isinstance(entry, (list, tuple)) and isinstance(key, int)
            return f"the gradient has {len(entry)} entries, too few" if few else f"the gradient has no entry {key!r}"
        entry = parts[key]
    return entry
