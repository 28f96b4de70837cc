"""Arguments as trees: dicts, lists and tuples whose leaves are float arrays or Python floats.

Float leaves are differentiable; integers, booleans, strings and ``None`` are not and pass through untouched.  A leaf
keeps the dtype it came in; every rebuilt tree holds fresh copies, so nobody's arrays are written to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError

Array = NDArray[Any]
Path = tuple[Any, ...]


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


def leaves(args: Sequence[Any], names: Sequence[str]) -> tuple[Leaf, ...]:
    """Return the differentiable leaves of ``args``, arguments in order, dicts in insertion order; empty arrays are none.

    Raises DerivkitError (DK010) for complex or object arrays, (DK050) for values that are not finite.

    >>> found = leaves(({"w": np.ones(2), "n": 3}, 1.5), ("params", "b"))
    >>> [leaf.name for leaf in found]
    ["params['w']", 'b']
    """
    return tuple(leaf for i, arg in enumerate(args) for leaf in _leaves(arg, (i,), names[i]))


def _leaves(value: Any, path: Path, name: str) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key), f"{name}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for key, item in enumerate(value):
            yield from _leaves(item, (*path, key), f"{name}[{key}]")
    elif (array := _array(value)) is not None:
        if array.dtype.kind in "cO":
            raise DerivkitError(
                f"{name} has dtype {array.dtype}: only real floats can be differentiated",
                code="DK010",
                hint="pass real and imaginary parts as two arguments",
            )
        if array.dtype.kind == "f" and array.size:
            if not np.all(np.isfinite(array)):
                raise DerivkitError(f"{name} has entries that are not finite: nothing can be measured there", code="DK050")
            yield Leaf(name, path, array.copy(), isinstance(value, float) and not isinstance(value, np.floating))


def _array(value: Any) -> Array | None:
    """Return a float-like value as an array, or ``None`` for whatever cannot be a number."""
    if isinstance(value, (np.ndarray, np.generic, float, complex)):
        return np.asarray(value)
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return None
    if hasattr(value, "__array__"):
        return np.asarray(value)
    return None


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
        fresh = np.array(array, dtype=leaf.array.dtype, order="K", copy=True)
        if isinstance(value, np.floating):
            return fresh[()]
        library = getattr(value, "__array_namespace__", None)
        return fresh if isinstance(value, np.ndarray) or library is None else library().asarray(fresh)
    if isinstance(value, dict):
        return {key: _rebuild(item, (*path, key), table) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_rebuild(item, (*path, key), table) for key, item in enumerate(value)))
    if isinstance(value, (list, tuple)):
        return type(value)(_rebuild(item, (*path, key), table) for key, item in enumerate(value))
    return value.copy() if isinstance(value, np.ndarray) else value


def same(args: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two argument lists hold bitwise the same numbers (NaN equals NaN) in the same places."""
    return len(args) == len(others) and all(_same(a, b) for a, b in zip(args, others, strict=True))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and same(a, b)
    left, right = _array(a), _array(b)
    if left is None or right is None:
        return True
    return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()


def entries_by_argument(gradient: Any, args: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return the claimed gradient as one entry for each argument, or ``None`` if the count does not fit.

    A single argument may have its gradient bare; so may the only differentiable one among several.
    """
    if len(args) == 1:
        container = isinstance(args[0], (list, tuple))
        wrapped = isinstance(gradient, (list, tuple)) and len(gradient) == 1
        if wrapped and (isinstance(gradient[0], (dict, list, tuple)) if container else _fits(gradient[0], args[0])):
            return tuple(gradient)
        return (gradient,)
    if isinstance(gradient, (list, tuple)) and len(gradient) == len(args):
        return tuple(gradient)
    moving = [i for i, arg in enumerate(args) if next(_leaves(arg, (), ""), None) is not None]
    if len(moving) == 1 and not isinstance(gradient, (list, tuple)):
        return tuple(gradient if i == moving[0] else None for i in range(len(args)))
    return None


def _fits(claim: Any, arg: Any) -> bool:
    return claim is None or isinstance(arg, dict) or np.shape(claim) == np.shape(arg)


def claimed(
    gradient: Any, args: Sequence[Any], found: Sequence[Leaf], outer: tuple[int, ...] = ()
) -> list[Array | None] | Misfit:
    """Return the claimed gradient leaf by leaf (``None`` where nothing is claimed), or the first :class:`Misfit`.

    ``outer`` is the shape that stands before the leaf's own (a Jacobian's rows).  Lists of numbers count as arrays of
    that shape, and the other way round.
    """
    by_argument = entries_by_argument(gradient, args)
    if by_argument is None:
        count = len(gradient) if isinstance(gradient, (list, tuple)) else 1
        return Misfit(0, None, f"the gradient has {count} entries for {len(args)} arguments")
    result: list[Array | None] = []
    for position, leaf in enumerate(found):
        entry = _descend(by_argument[leaf.path[0]], leaf.path[1:], outer)
        if isinstance(entry, str):
            return Misfit(position, None, f"{leaf.name}: {entry}")
        if entry is None:
            result.append(None)
            continue
        try:
            array = np.asarray(entry)
        except ValueError:
            return Misfit(position, None, f"the gradient of {leaf.name} is a ragged list")
        if array.shape != outer + leaf.array.shape:
            expected = outer + leaf.array.shape
            return Misfit(position, array, f"the gradient of {leaf.name} has shape {array.shape}, expected {expected}")
        result.append(array)
    return result


def _descend(entry: Any, path: Path, outer: tuple[int, ...]) -> Any:
    """Follow ``path`` into a claimed gradient; a string says why it cannot be followed."""
    for key in path:
        if entry is None:
            return None
        if isinstance(entry, dict):
            if key not in entry:
                return f"the gradient has no entry {key!r}"
            entry = entry[key]
        elif isinstance(entry, (list, tuple)) and isinstance(key, int):
            if key >= len(entry):
                return f"the gradient has {len(entry)} entries, too few"
            entry = entry[key]
        elif isinstance(key, int) and np.ndim(entry) > len(outer) and key < np.shape(entry)[len(outer)]:
            entry = np.asarray(entry)[(slice(None),) * len(outer) + (key,)]
        else:
            return f"the gradient has no entry {key!r}"
    return entry
