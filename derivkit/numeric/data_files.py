"""Arrays out of files that nobody vouches for: sizes are checked before anything is read, nothing is unpickled."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, echo

Array = NDArray[Any]

#: The largest file that is read, the largest that a compressed one may become, and the most numbers of a table in it.
DATA_BYTES, NUMBERS = 150_000_000, 60_000_000
#: The longest line of a table, and the largest list of contents of an archive: both are held in memory as they are.
LINE_BYTES, CONTENTS_BYTES = 1_000_000, 1_000_000
#: How much is read at a time: bytes of a compressed file, numbers of a table.
PIECE = 1_000_000

#: What the third byte of an IDX file says of its numbers.
IDX_TYPES: Mapping[int, str] = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IDX_AXES = 8

#: Columns with one of these names hold the labels; without one, the last column does.
LABEL_COLUMNS = ("label", "labels", "class", "target", "y")

#: Delimiters that a table of another kind may have.
OTHERS: Mapping[bytes, str] = {b";": "semicolons", b"\t": "tabs", b"|": "bars"}


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a regular file of bounded size, expanded in memory when it is compressed; every failure is one DK042."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise bad_file(path, "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
            if status.st_size > DATA_BYTES:
                raise bad_file(path, f"{status.st_size} bytes are more than the limit of {DATA_BYTES}")
            yield _expanded(file) if Path(path).suffix.lower() == ".gz" else file
    except DerivkitError as error:
        raise error if error.code == "DK042" else bad_file(path, error.message) from error
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise bad_file(path, getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    except RuntimeError as error:
        raise bad_file(path, "it is encrypted") from error


def bad_file(path: str | os.PathLike[str], why: str, hint: str | None = None) -> DerivkitError:
    """Return the error for a file that cannot be used."""
    return DerivkitError(f"cannot use '{echo(os.fspath(path))}': {echo(why, 100)}", code="DK042", hint=hint)


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return the ending that says what is in a file, the one below ``.gz``.

    >>> kind_of("a.CSV.gz"), kind_of("train-images-idx3-ubyte.gz")
    ('.csv', '')
    """
    name = Path(path)
    return (Path(name.stem) if name.suffix.lower() == ".gz" else name).suffix.lower()


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe put in a file's place at once, to be refused; opened as usual it would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _expanded(file: IO[bytes]) -> IO[bytes]:
    """Return what a compressed file holds, piece by piece: a small file may hold any number of bytes."""
    found = io.BytesIO()
    with gzip.GzipFile(fileobj=file) as stream:
        while piece := stream.read(PIECE):
            found.write(piece)
            if found.tell() > DATA_BYTES:
                raise ValueError(f"it expands to more than the limit of {DATA_BYTES} bytes")
    found.seek(0)
    return found


# -- NumPy's own ----------------------------------------------------------------------------------------------------------


def read_archive(file: IO[bytes], wanted: Iterable[str] | None = None) -> dict[str, Array]:
    """Return the arrays of a ``.npz`` file, all or those ``wanted``, by name."""
    _check_contents(file)
    with zipfile.ZipFile(file) as archive:
        found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = found if wanted is None else {name: found[name] for name in wanted if name in found}
        if sum(info.file_size for info in chosen.values()) > DATA_BYTES:
            raise ValueError(f"its arrays have more than {DATA_BYTES} bytes")
        arrays = {}
        for name, info in chosen.items():
            with archive.open(info) as member:
                _check_header(member, info.file_size, info.filename)
            with archive.open(info) as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays


def names_of(file: IO[bytes]) -> set[str]:
    """Return the names of the arrays in a ``.npz`` file."""
    _check_contents(file)
    with zipfile.ZipFile(file) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def _check_contents(file: IO[bytes]) -> None:
    """Refuse an archive whose list of contents would fill the memory, before ``zipfile`` reads it."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 65_557))  # the end record, and the longest comment behind it
    tail = file.read()
    file.seek(0)
    place = len(tail) - 22 if tail[-22:-18] == b"PK\5\6" and tail[-2:] == b"\0\0" else tail.rfind(b"PK\5\6")
    end = tail[place : place + 22] if place >= 0 else b""
    if len(end) < 22:
        raise ValueError("it is no archive, or not all of one")
    large = tail[max(0, place - 20) :].startswith(b"PK\6\7")
    if large or int.from_bytes(end[12:16], "little") > CONTENTS_BYTES:
        raise ValueError("its list of contents is too long")


def read_array(file: IO[bytes]) -> Array:
    """Return the array of a ``.npy`` file."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    _check_header(file, length, "in it")
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _check_header(file: IO[bytes], length: int, name: str) -> None:
    """Refuse a header that promises more than there is: NumPy takes the memory first."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except (TypeError, OverflowError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:  # it is Python
        raise ValueError(f"the header of the array {name} cannot be read") from error
    whole = all(type(n) is int and 0 <= n <= NUMBERS for n in shape)
    if dtype.hasobject or not whole or dtype.itemsize * prod(shape) > length:
        raise ValueError(f"the array {name} is not what its header says")


# -- IDX ------------------------------------------------------------------------------------------------------------------


def is_idx(start: bytes) -> bool:
    """Return whether a file that starts so is in the format of MNIST: two zeros, a type, a number of axes."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in IDX_TYPES and 0 < start[3] <= IDX_AXES


def read_idx(file: IO[bytes]) -> Array:
    """Return the array of an IDX file: its sizes are of four bytes each, the largest byte first.

    >>> read_idx(io.BytesIO(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))).tolist()
    [[7, 8, 9]]
    """
    data = file.read()
    if not is_idx(data[:4]):
        raise ValueError("it does not begin as an IDX file does")
    kind, start = np.dtype(IDX_TYPES[data[2]]), 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError("it ends within its header")
    shape = [int.from_bytes(data[n : n + 4], "big") for n in range(4, start, 4)]
    if len(data) != start + kind.itemsize * prod(shape):
        promised = "×".join(map(str, shape))
        raise ValueError(f"{len(data) - start} bytes of numbers, and its header promises {promised} of {kind.itemsize}")
    return np.frombuffer(data, kind, offset=start).reshape(shape)


# -- tables ---------------------------------------------------------------------------------------------------------------


def read_table(file: IO[bytes]) -> tuple[Array, Array]:
    """Return the samples (N, D), in float32, and the labels (N,) of a table of numbers with commas, a sample a line.

    The first line may have names: a column of :data:`LABEL_COLUMNS` is the labels, else the last one is.
    """
    first, lines = _scan(file)
    if b"," not in first and (seen := [word for mark, word in OTHERS.items() if mark in first]):
        raise ValueError(f"the delimiter of a table is a comma, and its lines have {seen[0]}")
    names = _names(first)
    columns = first.count(b",") + 1
    if not columns > 1 or lines * columns > NUMBERS:
        wrong = "a table has a column of labels and others" if columns < 2 else f"more than {NUMBERS} numbers"
        raise ValueError(wrong)
    label = next((names.index(word) for word in LABEL_COLUMNS if word in names), columns - 1)
    samples, labels, done = np.empty((lines, columns - 1), np.float32), np.empty(lines), 0
    text = io.TextIOWrapper(file, encoding="utf-8-sig")
    try:
        rows = islice((line for line in text if line.strip()), bool(names), None)
        while piece := list(islice(rows, max(1, PIECE // columns))):
            numbers = _numbers(piece, done)
            if numbers.shape[1] != columns or done + len(numbers) > lines:
                raise ValueError(f"row {done + 1} has {numbers.shape[1]} columns, and the first line {columns}")
            labels[done : done + len(numbers)] = numbers[:, label]
            samples[done : done + len(numbers)] = np.delete(numbers, label, axis=1)
            done += len(numbers)
    finally:
        text.detach()
    if not done:
        raise ValueError("it holds no samples")
    return samples[:done], labels[:done]


def _scan(file: IO[bytes]) -> tuple[bytes, int]:
    """Return the first line that is not blank, and how many lines there are at most."""
    most, pending = {b"\n": 1, b"\r": 1}, 0
    while piece := file.read(PIECE):
        for end in most:
            most[end] += piece.count(end)
        last = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        pending = pending + len(piece) if last < 0 else len(piece) - 1 - last
        if pending > LINE_BYTES:
            raise ValueError(f"a line of more than {LINE_BYTES} bytes")
    file.seek(0)
    first = next((line for line in file.read(2 * LINE_BYTES).splitlines() if line.strip()), b"")
    file.seek(0)
    if not first:
        raise ValueError("it holds no samples")
    return first, max(most.values())


def _names(first: bytes) -> list[str]:
    """Return the names in a first line, none when it has numbers."""
    line = first.removeprefix(codecs.BOM_UTF8).lower()
    if re.search(rb"[a-z_]", re.sub(rb"nan|inf(inity)?|\de[+-]?\d", b"", line)) is None:
        return []
    return [word.strip(" \t\"'") for word in line.decode("utf-8", "replace").split(",")]


def _numbers(lines: list[str], before: int) -> Array:
    """Return the numbers of these lines; what is wrong is told with the row in the file."""
    try:
        return np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        why = str(error).partition(";")[0]
        start = before + ("convert" in why)  # there NumPy counts rows from 0, elsewhere from 1
        told = re.sub(r"\brow (\d+)", lambda match: f"row {int(match[1]) + start}", why)
        raise ValueError(told) from error
