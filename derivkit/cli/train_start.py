"""Where a training begins: the sizes that the data and ``--sizes`` fix, the first values of every parameter, drawn or read."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.data_files import bad_file, kind_of, opened, read_archive
from derivkit.symbolic.given import fix_sizes
from derivkit.symbolic.graph import Graph, Input

Array = NDArray[Any]

#: The width given to a hidden layer when ``--sizes`` does not fix it.
WIDTH = 64
WIDEST = 100_000
#: The most numbers that the parameters of a net may have together.
PARAMETERS = 20_000_000


def sizes_of(inputs: Mapping[str, Input]) -> list[str]:
    """Return the names of all sizes of a net."""
    sizes = [size for given in inputs.values() for size in (*given.shape, given.range) if size is not None]
    return sorted({name for size in sizes for name in size.names()})


def check_sizes(given: Mapping[str, int], inputs: Mapping[str, Input]) -> None:
    """Refuse a size that the net has not, before any work is done."""
    known = sizes_of(inputs)
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or (f"its sizes are {', '.join(known)}" if known else "its sizes are all numbers")
            raise DerivkitError(f"the net has no size '{echo(name)}'", code="DK008", hint=hint)


def shaped(samples: Array, declared: Input) -> Array:
    """Return the samples with as many axes as the net declares: images flattened, or with an axis of one channel.

    Raises DK040 when neither fits.
    """
    axes = len(declared.shape)
    if samples.ndim - 1 == axes:
        return samples
    if axes == 1:
        return samples.reshape(len(samples), -1)
    if axes == samples.ndim:
        return samples[:, None]
    message = f"a sample has shape {samples.shape[1:]}, and the net's '{declared.name}' has {axes} axes"
    raise DerivkitError(
        message, code="DK040", hint="images have two axes; of a table, reshape(x, (1, 28, 28)) in the net makes some"
    )


def lengths(
    inputs: Mapping[str, Input], data: Mapping[str, Array], given: Mapping[str, int], hint: str | None = None
) -> dict[str, int]:
    """Return every size of a net: as the data fix it, then as given, :data:`WIDTH` for one that only parameters have.

    The ``hint`` says where what is given comes from, should the data disagree.
    """
    read = {name: given for name, given in inputs.items() if name in data}
    in_data = {name for declared in read.values() for size in declared.shape for name in size.names()}
    known = {name: given.get(name, WIDTH) for name in sizes_of(inputs) if name in given or name not in in_data}
    for name, declared in read.items():  # said in the words of the command line, where a size stands alone
        for size, length in zip(declared.shape, data[name].shape[1:], strict=True):
            if size.name in known and known[size.name] != length:
                message = f"size {size} is {known[size.name]}, but the data's {name} has {length}"
                raise DerivkitError(message, code="DK040", hint=hint)
    one = {name: array[0] for name, array in data.items() if read[name].shape}
    try:
        graph = Graph({read[name].name: read[name] for name in one}, (), next(iter(read.values())).name)
        return {**known, **fix_sizes(graph, one, {name: size for name, size in known.items() if name in in_data})}
    except DerivkitError as error:
        if error.code == "DK041":
            alone = {size.name for declared in read.values() for size in declared.shape}
            free = sorted(in_data - known.keys() - alone)
            error.hint = f"give {' or '.join(free)}: --sizes '{free[-1]}=3'" if free else None
        raise


def shapes_of(inputs: Mapping[str, Input], sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter, or say which are too large or too small."""
    shapes = {name: tuple(size.evaluate(sizes) for size in declared.shape) for name, declared in inputs.items()}
    for name, shape in shapes.items():
        if min(shape, default=1) < 1:
            raise DerivkitError(f"'{name}' would have shape {shape}", code="DK020", hint="other --sizes, or other data")
    count = sum(map(math.prod, shapes.values()))
    if count > PARAMETERS:
        raise DerivkitError(f"{count} parameters are more than the limit of {PARAMETERS}", code="DK020", hint="--sizes 'M=100'")
    return shapes


def initial(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
    """Return first values for every parameter: normal with variance 1 / fan-in for matrices and filters, zero for the rest.

    >>> start = initial({"W": (2, 3), "b": (2,)}, 0)
    >>> start["W"].shape, start["b"].tolist()
    ((2, 3), [0.0, 0.0])
    """
    random = np.random.default_rng(seed)
    return {name: _drawn(shape, random) for name, shape in shapes.items()}


def _drawn(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if len(shape) < 2:
        return np.zeros(shape, np.float32)
    return (random.normal(size=shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float32)


# -- parameters of an earlier training ------------------------------------------------------------------------------------


def resumed(path: str, inputs: Mapping[str, Input], sizes: dict[str, int]) -> dict[str, Array]:
    """Return the parameters that ``--save`` has written, and add the sizes that they fix to ``sizes``."""
    if kind_of(path) != ".npz":
        raise bad_file(path, "parameters are in an .npz file", "--save params.npz writes one")
    with opened(path) as file:
        found = read_archive(file)
    for name in (*inputs, *found):
        if name not in found or name not in inputs:
            why = f"it has no '{name}'" if name in inputs else f"the net has no parameter '{echo(name)}'"
            raise bad_file(path, why, f"the net's are {', '.join(inputs)}; the file's {', '.join(map(echo, found)) or 'none'}")
    for name, array in found.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise bad_file(path, f"'{name}' holds {'NaN or infinity' if array.dtype.kind == 'f' else array.dtype}")
        _check_shape(path, name, array, inputs[name].shape)
        for size, length in zip(inputs[name].shape, array.shape, strict=True):
            if size.name is not None and sizes.setdefault(size.name, length) != length:
                raise bad_file(path, f"'{name}' has shape {array.shape}, and {size} is {sizes[size.name]}")
    return {name: found[name].astype(np.float32) for name in inputs}


def check_shapes(path: str, params: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse parameters whose shapes are not the net's on these data."""
    for name, array in params.items():
        if array.shape != shapes[name]:
            raise bad_file(path, f"'{name}' has shape {array.shape}, and the net's has {shapes[name]}")


def _check_shape(path: str, name: str, array: Array, shape: Sequence[object]) -> None:
    if array.ndim != len(shape):
        wanted = ", ".join(map(str, shape)) or "a number"
        raise bad_file(path, f"'{name}' has shape {array.shape}, and the net's is {wanted}")


def archive(params: Mapping[str, Array]) -> bytes:
    """Return the bytes of an ``.npz`` file: the same for the same numbers, whatever the names and the time.

    >>> np.load(io.BytesIO(archive({"file": np.ones(2)})))["file"].tolist()
    [1.0, 1.0]
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in params.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()
