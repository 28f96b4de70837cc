"""The handwritten digits that ship with derivkit, data of one's own, and what a training loop needs of both."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import zipfile
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivkit.errors import DerivkitError, did_you_mean, echo

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIGITS = Path(__file__).with_name("digits.csv.gz")
BRIGHTEST = 16

#: The largest data file that is read, and the largest sum of the arrays in it.
DATA_BYTES = 100_000_000
#: More classes than this in labels are a mistake (a column of numbers taken for labels), and one-hot would fill the memory.
CLASSES = 10_000

#: The names under which a ``.npz`` file may hold the samples and their labels.
SAMPLES, LABELS = ("x", "images", "data", "x_train"), ("labels", "y", "target", "y_train")


class Split(NamedTuple):
    """Samples to learn from and samples held out, with their labels."""

    train_images: Floats
    train_labels: Ints
    test_images: Floats
    test_labels: Ints


def load_digits() -> tuple[Floats, Ints]:
    """Return the 1797 handwritten digits: images (1797, 64) with pixels in [0, 1], and labels (1797,).

    Each image is 8×8, row by row.  They are the UCI Optical Recognition of Handwritten Digits, by E. Alpaydin and
    C. Kaynak, CC BY 4.0; see ``digits.LICENSE.md``.

    >>> images, labels = load_digits()
    >>> images.shape, float(images.max()), labels[:5].tolist()
    ((1797, 64), 1.0, [0, 1, 2, 3, 4])
    """
    table = np.loadtxt(io.StringIO(gzip.decompress(DIGITS.read_bytes()).decode("ascii")), delimiter=",", dtype=np.int64)
    return table[:, :-1] / BRIGHTEST, np.ascontiguousarray(table[:, -1])


def split(images: Floats, labels: Ints, every: int = 5) -> Split:
    """Hold out every fifth sample of each class (the 5th, the 10th, ... in the order of the file).

    It needs no seed and never changes: the same samples are held out on every machine and with every version of NumPy,
    in each class in the same proportion.

    >>> parts = split(*load_digits())
    >>> len(parts.train_labels), len(parts.test_labels)
    (1442, 355)
    """
    if len(images) != len(labels):
        raise DerivkitError(f"{len(images)} samples but {len(labels)} labels", code="DK040")
    if every < 2:
        raise DerivkitError(f"every must be at least 2, not {every}", code="DK040")
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        held_out[np.flatnonzero(labels == label)[every - 1 :: every]] = True
    return Split(images[~held_out], labels[~held_out], images[held_out], labels[held_out])


def one_hot(labels: ArrayLike, classes: int | None = None) -> Floats:
    """Return labels (N,) as rows (N, classes) with a 1 at the label; ``classes`` is one more than the largest by default.

    >>> one_hot([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    given = np.asarray(labels)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise DerivkitError(f"labels must be a vector of integers, not {given.dtype} of shape {given.shape}", code="DK040")
    count = classes if classes is not None else int(given.max()) + 1 if given.size else 0
    if count > CLASSES:
        raise DerivkitError(f"{count} classes are too many; the limit is {CLASSES}", code="DK040")
    if given.size and (given.min() < 0 or given.max() >= count):
        wrong = given[(given < 0) | (given >= count)][0]
        raise DerivkitError(f"label {wrong} is not in range({count})", code="DK040")
    rows = np.zeros((len(given), count))
    rows[np.arange(len(given)), given] = 1.0
    return rows


def load_file(path: str | os.PathLike[str]) -> tuple[Floats, Ints]:
    """Return samples (N, D) and labels (N,) of a ``.npz`` or ``.csv`` file, the samples scaled into [-1, 1].

    A ``.npz`` file holds the samples as ``x`` and the labels as ``labels`` (or under another name of :data:`SAMPLES` and
    :data:`LABELS`); samples with more axes are flattened.  A ``.csv`` file has one sample a line, its label last, and
    perhaps a first line with names.  Only regular files are read, sizes are checked first, nothing is unpickled.
    """
    readers = {".npz": _read_npz, ".csv": _read_csv}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        hint = did_you_mean(os.fspath(path), ["digits"]) or "one of .npz, .csv"
        raise DerivkitError(f"cannot tell what '{echo(os.fspath(path))}' holds", code="DK042", hint=hint)
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _bad_file(path, "not a regular file")
            if status.st_size > DATA_BYTES:
                raise _bad_file(path, f"{status.st_size} bytes are more than the limit of {DATA_BYTES}")
            samples, labels = readers[suffix](file)
    except DerivkitError as error:
        raise error if error.code == "DK042" else _bad_file(path, error.message) from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _bad_file(path, getattr(error, "strerror", None) or str(error)) from error
    return _clean(path, samples, labels)


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe put in a file's place at once, to be refused; opened as usual it would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _bad_file(path: str | os.PathLike[str], why: str) -> DerivkitError:
    return DerivkitError(f"cannot use '{echo(os.fspath(path))}': {echo(why)}", code="DK042")


def _clean(path: str | os.PathLike[str], samples: NDArray[np.generic], labels: NDArray[np.generic]) -> tuple[Floats, Ints]:
    """Return finite float64 samples (N, D) in [-1, 1] and integer labels (N,), or raise."""
    if not (samples.dtype.kind in "iuf" and labels.dtype.kind in "iuf"):
        raise _bad_file(path, f"samples and labels must be numbers, not {samples.dtype} and {labels.dtype}")
    if samples.ndim < 2 or labels.ndim != 1 or len(samples) != len(labels) or not samples.size:
        raise _bad_file(path, f"samples of shape {samples.shape} do not fit labels of shape {labels.shape}")
    flat = samples.reshape(len(samples), -1).astype(np.float64)
    numbers = labels.astype(np.float64)
    if not (np.isfinite(flat).all() and np.isfinite(numbers).all()):
        raise _bad_file(path, "it holds NaN or infinity")
    whole = numbers.astype(np.int64) if np.abs(numbers).max() < 2**53 else np.full(len(numbers), -1)
    if (whole != numbers).any() or whole.min() < 0 or whole.max() >= CLASSES:
        raise _bad_file(path, f"labels must be integers in range({CLASSES})")
    return flat / max(1.0, float(np.abs(flat).max())), whole


def _read_csv(file: IO[bytes]) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    first = file.readline()
    names = (
        re.search(rb"[a-z_]", re.sub(rb"nan|inf(inity)?|\de[+-]?\d", b"", first.removeprefix(codecs.BOM_UTF8).lower()))
        is not None
    )
    # NumPy only warns about a file without data, so that is asked first.
    if not any(line.strip() for line in chain([] if names else [first], file)):
        raise ValueError("it holds no samples")
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig")
    try:
        table = np.loadtxt(text, delimiter=",", skiprows=int(names), comments=None, ndmin=2)
    finally:
        text.detach()
    return table[:, :-1], table[:, -1]


def _read_npz(file: IO[bytes]) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    with zipfile.ZipFile(file) as archive:
        found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if sum(info.file_size for info in found.values()) > DATA_BYTES:
            raise ValueError(f"its arrays have more than {DATA_BYTES} bytes")
        arrays = [_read_npy(archive, found, names) for names in (SAMPLES, LABELS)]
    return arrays[0], arrays[1]


def _read_npy(archive: zipfile.ZipFile, found: dict[str, zipfile.ZipInfo], names: tuple[str, ...]) -> NDArray[np.generic]:
    """Return the first of ``names`` in the archive; its header must not promise more than the member holds."""
    info = next((found[name] for name in names if name in found), None)
    if info is None:
        raise ValueError(f"it has none of the arrays {', '.join(names)}")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(member)
    if dtype.hasobject or dtype.itemsize * int(np.prod(shape, dtype=object)) > info.file_size:
        raise ValueError(f"the array {info.filename} is not what its header says")
    with archive.open(info) as member:
        array: NDArray[np.generic] = np.lib.format.read_array(member, allow_pickle=False)
    return array
