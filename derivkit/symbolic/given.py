"""What is given to a program: arrays by name, and the sizes that follow from their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import index
from typing import Any

import numpy as np

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic import ops_values
from derivkit.symbolic.expr import SizeOf, walk
from derivkit.symbolic.graph import Graph, Input, Need
from derivkit.symbolic.index import Size
from derivkit.symbolic.ops_values import Array, integers
from derivkit.symbolic.parse.lexer import ascii_name


def by_name(*given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is given, by the one spelling of each name: ``δ`` is ``delta``.  DK010 when a name is given twice.

    >>> by_name({"δ": 1.0}, {"x": 2.0})
    {'delta': 1.0, 'x': 2.0}
    """
    found: dict[str, Any] = {}
    for mapping in given:
        if mapping is not None and not isinstance(mapping, Mapping):
            raise DerivkitError("arrays go in by name", code="DK010", hint="x=..., W=... or {'x': ..., 'W': ...}")
        for word, value in (mapping or {}).items():
            name = ascii_name(str(word))
            if name in found:
                raise DerivkitError(f"'{echo(word)}' is given twice", code="DK010")
            found[name] = value
    return found


def words_of(option: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names given to an option, one text with commas or several, each in its one spelling.

    >>> words_of("batch", "x, δ"), words_of("batch", ["x"])
    (('x', 'delta'), ('x',))
    """
    if isinstance(given, str):
        words = [word.strip() for word in given.split(",") if word.strip()]
    else:
        words = list(given) if isinstance(given, Iterable) else [given]
    for word in words:
        if not isinstance(word, str):
            raise DerivkitError(f"{option}= is a name or several, not {echo(repr(word))}", code="DK010", hint=f"{option}='x'")
    return tuple(map(ascii_name, words))


def real_arrays(values: Mapping[str, Any]) -> dict[str, Array]:
    """Return ``values`` as arrays of real numbers, and refuse any other (DK040)."""
    arrays = {name: ops_values.array(name, value) for name, value in values.items()}
    for name, array in arrays.items():
        if array.dtype.kind == "c":
            hint = f"give the real part: {echo(name)}.real"
            raise DerivkitError(f"'{echo(name)}' holds {array.dtype}, not real numbers", code="DK040", hint=hint)
    return arrays


def given_sizes(graph: Graph, sizes: Mapping[str, int] | None) -> dict[str, int]:
    """Return ``sizes`` as whole numbers from 1 for sizes of the program; DK008 for another name, DK020 for another number."""
    if sizes is not None and not isinstance(sizes, Mapping):
        raise DerivkitError("sizes= is a mapping of names to numbers", code="DK010", hint="sizes={'N': 3}")
    known = _size_names(graph) if sizes else {}
    found: dict[str, int] = {}
    for word, value in (sizes or {}).items():
        if str(word) not in known:
            hint = did_you_mean(str(word), known) or (f"its sizes are {', '.join(known)}" if known else None)
            raise DerivkitError(f"the program has no size '{echo(word)}'", code="DK008", hint=hint)
        try:
            found[str(word)] = -1 if isinstance(value, bool) else index(value)
        except TypeError:
            found[str(word)] = -1
        if found[str(word)] < 1:
            raise DerivkitError(f"size '{echo(word)}' is a whole number from 1, not {echo(repr(value))}", code="DK020")
    return found


def _size_names(graph: Graph) -> dict[str, None]:
    inputs = (*graph.inputs.values(), *graph.extra.values())
    sizes = [s for i in inputs for s in (*i.shape, *(() if i.range is None else (i.range,)))]
    for d in graph:
        sizes += d.shape
        for node in walk(d.rhs):
            sizes += [node.size] if isinstance(node, SizeOf) else [i.size for i in getattr(node, "indices", ())]
    return dict.fromkeys(name for size in sizes for name in size.names())


def fix_sizes(graph: Graph, values: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return every size of the program, solved from the arrays' shapes and the ``sizes`` given.

    DK012 when two places give a size different values (both are named), DK040 when an array has the wrong number of axes or
    no numbers, DK041 when nothing fixes a size.
    """
    known = inputs_of(graph)
    found: dict[str, tuple[int, str]] = {n: (int(v), f"sizes gives {n} = {v}") for n, v in sizes.items()}
    axes: list[tuple[Size, int, str]] = []
    for name, value in values.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"the inputs are {', '.join(known)}"
            raise DerivkitError(f"'{echo(name)}' is no input of this program", code="DK008", hint=hint)
        axes += _lengths(known[name], np.asarray(value))
    for size, length, place in axes:
        if size.name is not None:
            _fix(found, size.name, length, place)
    while sum(_solve_one(found, *axis) for axis in axes):  # a sum, not any(): each axis gets its turn
        pass
    plain = {n: v for n, (v, _) in found.items()}
    for size, length, place in axes:
        missing = [n for n in size.names() if n not in plain]
        if not missing and size.evaluate(plain) != length:
            reasons = "; ".join(dict.fromkeys(found[n][1] for n in size.names()))
            wanted = f"{place} must be {size} = {size.evaluate(plain)}, not {length}"
            raise DerivkitError(wanted, code="DK012", hint=reasons or None)
    shapes = [*(i.shape for i in graph.inputs.values()), *(d.shape for d in graph)]
    for needed in dict.fromkeys(n for shape in shapes for size in shape for n in size.names()):
        if needed not in plain:
            if forgotten := next((str(n) for n in graph.inputs if str(n) not in values), None):  # its shape would tell
                raise DerivkitError(f"no value for '{echo(forgotten)}'", code="DK041", hint=f"give {echo(forgotten)}=...")
            hint = f"give sizes={{'{needed}': ...}}"
            raise DerivkitError(f"size '{echo(needed)}' is not fixed by any input", code="DK041", hint=hint)
    _check_needs(graph.needs, plain)
    return plain


def _check_needs(needs: Iterable[Need], sizes: Mapping[str, int]) -> None:
    """Refuse sizes at which a slice, a position or a window leaves its axis (DK020): NumPy would cut it, or refuse as well."""
    for need in needs:
        if need.missing(sizes):
            told = ", ".join(f"{name} = {sizes[name]}" for name in dict.fromkeys((*need.size.names(), *need.least.names())))
            raise DerivkitError(
                f"{need.what} leaves its axis at {told}", code="DK020", hint=f"{need.size} is at least {need.least}"
            )


def inputs_of(graph: Graph) -> dict[str, Input]:
    """Return the inputs of a program by name, those that it does not read first."""
    return {str(name): i for name, i in (*graph.extra.items(), *graph.inputs.items())}


def _lengths(declared: Input, array: Array) -> Iterator[tuple[Size, int, str]]:
    name = echo(declared.name)
    if array.dtype.kind not in "fciubO":
        raise DerivkitError(f"'{name}' holds no numbers ({array.dtype})", code="DK040")
    if declared.kind == "label" and array.dtype.kind == "b":  # NumPy reads a Boolean as a mask, not as a position
        raise DerivkitError(f"'{name}' is a label: labels are integers, not {array.dtype}", code="DK040")
    if array.ndim != len(declared.shape):
        shape = ", ".join(map(str, declared.shape)) or "a scalar"
        raise DerivkitError(f"'{name}' has shape {array.shape}, declared was {shape}", code="DK040")
    for n, (size, length) in enumerate(zip(declared.shape, array.shape, strict=True)):
        if length == 0:
            raise DerivkitError(f"axis {n} of '{name}' is empty", code="DK020", hint="sizes start at 1")
        yield size, length, f"axis {n} of '{name}'"


def _fix(found: dict[str, tuple[int, str]], name: str, value: int, place: str) -> None:
    reason = f"{place} gives {name} = {value}"
    before = found.setdefault(name, (value, reason))
    if before[0] != value:
        raise DerivkitError(f"size '{echo(name)}' is both {before[0]} and {value}", code="DK012", hint=f"{before[1]}, {reason}")


def _solve_one(found: dict[str, tuple[int, str]], size: Size, length: int, place: str) -> bool:
    """Solve ``size = length`` when it has one unknown name, and that linearly; say whether something was learnt."""
    unknown = [n for n in size.names() if n not in found]
    if len(unknown) != 1:
        return False
    name = unknown[0]
    plain = {n: v for n, (v, _) in found.items()}
    if any(m.count(name) > 1 or not all(isinstance(atom, str) for atom in m) for m, _ in size.terms):
        return False
    at0, at1 = size.evaluate({**plain, name: 0}), size.evaluate({**plain, name: 1})
    slope = at1 - at0
    if slope == 0:
        return False
    value, rest = divmod(length - at0, slope)
    if rest or value < 1:
        raise DerivkitError(f"{place} is {length}: no size {echo(name)} makes {size} that long", code="DK012")
    _fix(found, name, value, place)
    return True


def check_labels(declared: Input, array: Array, sizes: Mapping[str, int]) -> None:
    """Refuse labels that are no integers in range (DK040)."""
    limit = None if declared.range is None else declared.range.evaluate(sizes)
    numbers = ops_values.real(array)
    if np.any(numbers != integers(array)):
        raise DerivkitError(f"'{echo(declared.name)}' is a label: its values must be integers", code="DK040")
    if limit is not None and np.any((numbers < 0) | (numbers >= limit)):
        raise DerivkitError(f"'{echo(declared.name)}' has a label outside of 0..{limit - 1}", code="DK040")
