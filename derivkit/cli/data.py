"""Named values out of a file: ``.npz`` and ``.json`` by name, a ``.csv`` by column, a ``.npy`` by the one name asked for."""

from __future__ import annotations

import json
import math
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError
from derivkit.numeric.data_files import bad_file, kind_of, opened, read_archive, read_array

Array = NDArray[Any]

#: The largest text that is read: its numbers take some twenty times as much memory while they are.
TEXT_BYTES = 10_000_000
ENDINGS = (".npz", ".json", ".csv", ".npy")


def read_values(path: str, only: str | None = None) -> dict[str, Any]:
    """Return what a file holds, by name; ``only`` is the name of a ``.npy`` file's array.

    A list of numbers is an array, a number is a number, a dictionary a tree of them.  Raises DK042 for what cannot be used.
    """
    kind = kind_of(path)
    if kind not in ENDINGS:
        raise bad_file(path, f"its name ends in none of {' '.join(ENDINGS)}")
    with opened(path) as file:
        if kind == ".npz":
            return dict(read_archive(file))
        if kind == ".npy":
            if only is None:
                raise DerivkitError(
                    "an array without a name, and more than one is needed", code="DK042", hint="an .npz has names"
                )
            return {only: read_array(file)}
        text = _text(file)
        return _columns(text) if kind == ".csv" else _json(text)


def _text(file: IO[bytes]) -> str:
    data = file.read(TEXT_BYTES + 1)
    if len(data) > TEXT_BYTES:
        raise ValueError(f"more than the limit of {TEXT_BYTES} bytes; an .npz may be larger")
    return data.decode("utf-8-sig")


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(found, dict) or not found:
        raise ValueError('it is no dictionary of names and values, such as {"x": [1.0, 2.0]}')
    return {str(name): _value(str(name), value) for name, value in found.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _value(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list):
        array = np.array(value, dtype=None if _numbers(value) else object)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"'{name}' is a list of something else than numbers")
        return array
    return value


def _numbers(value: Any) -> bool:
    """Return whether nested lists have the same lengths everywhere, and numbers in them."""
    if not isinstance(value, list):
        return isinstance(value, (int, float))
    lengths = {len(item) if isinstance(item, list) else -1 for item in value}
    return len(lengths) <= 1 and all(_numbers(item) for item in value)


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:20]} is beyond the numbers computed in")
    return value


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _columns(text: str) -> dict[str, Any]:
    lines = [line for line in text.splitlines() if line.strip()]
    names = [word.strip().strip("\"'") for word in lines[0].split(",")] if lines else []
    if not names or not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError("its first line must name the columns, each by a name of its own")
    if len(lines) < 2:
        raise ValueError("it has no numbers")
    table = np.loadtxt(lines[1:], delimiter=",", comments=None, ndmin=2)
    if table.shape[1] != len(names):
        raise ValueError(f"{len(names)} names, and {table.shape[1]} columns")
    return {name: np.ascontiguousarray(column) for name, column in zip(names, table.T, strict=True)}
