"""The one line that runs a check again: pasteable where ``derivkit``, ``np`` and the two functions are known."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from derivkit.checking.libraries import is_torch, numeric, precision_name
from derivkit.checking.trees import children

#: Arguments of more entries than this are not spelled: the line says ``*args``.
ENTRIES = 12
#: Nor are texts that are longer.
_LENGTH = 40


def reproduce(
    kind: str, f: Callable[..., Any], claim: Callable[..., Any], args: Sequence[Any], seed: int, rtol: float = 0.0
) -> str:
    """Return the call that runs this check again; small arguments are spelled out, larger ones are ``*args``.

    >>> reproduce("gradient", np.sum, np.ones_like, ({"w": np.array([1.0, 2.0])}, 3), 0)
    "derivkit.check_gradient(sum, ones_like, {'w': np.array([1.0, 2.0])}, 3, seed=0)"
    """
    names = (_name(f, "f"), _name(claim, "grad"))
    shown = [_spelled(arg) for arg in args]
    small = None not in shown and sum(_entries(arg) for arg in args) <= ENTRIES
    given = ", ".join(map(str, shown)) if small else "*args"
    relaxed = f", rtol={rtol!r}" if rtol else ""
    return f"derivkit.check_{kind}({names[0]}, {names[1]}, {given}, seed={seed}{relaxed})"


def _name(function: Callable[..., Any], otherwise: str) -> str:
    """Return the name by which the caller's own code knows a function, as far as can be told."""
    name = getattr(inspect.unwrap(function), "__name__", otherwise)
    return name if name.isidentifier() and not inspect.ismethod(inspect.unwrap(function)) else otherwise


def _entries(value: Any) -> int:
    read = numeric(value)
    if isinstance(read, np.ndarray):
        return read.size
    parts = children(value)
    return 1 if parts is None else sum(_entries(part) for part in parts.values())


def _spelled(value: Any) -> str | None:
    """Return Python text for ``value``, ``None`` where there is none that is short and exact."""
    if value is None or (isinstance(value, (bool, int, str, bytes)) and type(value).__module__ == "builtins"):
        return repr(value) if len(repr(value)) <= _LENGTH else None
    if isinstance(value, float) and not isinstance(value, np.generic):
        return repr(float(value)) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return repr(value)
    read = numeric(value)
    if isinstance(read, np.ndarray):
        return _array(value, read) if read.size <= ENTRIES else None
    parts = children(value)
    if parts is None or not all(isinstance(key, (str, int)) for key in parts):
        return None
    inner = {key: _spelled(part) for key, part in parts.items()}
    return None if None in inner.values() else _container(value, inner)


def _array(value: Any, read: Any) -> str:
    numbers = repr(read.tolist())
    dtype = precision_name(value) or read.dtype.name
    if is_torch(value):
        wanted = ", requires_grad=True" if value.requires_grad else ""
        return f"torch.tensor({numbers}, dtype=torch.{dtype}{wanted})"
    if not isinstance(value, np.ndarray) and hasattr(value, "__array_namespace__"):
        library = value.__array_namespace__().__name__
        return f"{library}.asarray({numbers}, dtype={library}.{dtype})"
    if not read.size:
        return f"np.zeros({read.shape!r}, dtype=np.{dtype})"
    return f"np.array({numbers})" if read.dtype in (np.float64, np.int64) else f"np.array({numbers}, dtype=np.{dtype})"


def _container(value: Any, inner: Mapping[Any, Any]) -> str | None:
    name = type(value).__name__
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key!r}: {part}" for key, part in inner.items()) + "}"
        return text if type(value) is dict else None
    if hasattr(value, "_fields"):
        return f"{name}({', '.join(inner.values())})"
    if type(value) is list:
        return f"[{', '.join(inner.values())}]"
    if type(value) is tuple:
        return f"({', '.join(inner.values())}{',' if len(inner) == 1 else ''})"
    if hasattr(value, "__dataclass_fields__"):
        return f"{name}({', '.join(f'{key}={part}' for key, part in inner.items())})"
    return None
