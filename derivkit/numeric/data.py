"""The handwritten digits that ship with derivkit, data of one's own, and what a training loop needs of both."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.data_files import (
    NUMBERS,
    bad_file,
    is_idx,
    kind_of,
    names_of,
    opened,
    read_archive,
    read_array,
    read_idx,
    read_table,
)

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIGITS = Path(__file__).with_name("digits.csv.gz")
BRIGHTEST = 16

#: More classes than this in labels are a mistake (a column of numbers taken for labels), and one-hot would fill the memory.
CLASSES = 10_000

#: The names under which a ``.npz`` file may hold the samples and their labels, and those held out.
SAMPLES = ("x_train", "x", "X", "images", "data", "X_train", "train_images")
LABELS = ("y_train", "labels", "y", "target", "train_labels")
TEST_SAMPLES, TEST_LABELS = ("x_test", "X_test", "test_images"), ("y_test", "test_labels")
#: What the files of held-out samples of MNIST begin with, in place of ``train``.
TESTS = ("t10k", "test")


class Samples(NamedTuple):
    """What a file holds: samples (N, ...) in float32, labels (N,), perhaps a pair of both held out, and the divisor of all.

    Where targets are read instead of labels, they are (N,) or (N, K), in float32, and not divided.
    """

    samples: NDArray[np.float32]
    labels: Array
    held_out: tuple[NDArray[np.float32], Array] | None
    scale: float


class Split(NamedTuple):
    """Samples to learn from and samples held out, with their labels."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


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


def split(images: Array, labels: Array, every: int = 5) -> Split:
    """Hold out every fifth sample of each class (the 5th, the 10th, ... in the order of the file), or of all with real targets.

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
    classes = labels if labels.dtype.kind in "iu" else np.zeros(len(labels), int)  # real targets are of one class
    for label in np.unique(classes):
        held_out[np.flatnonzero(classes == label)[every - 1 :: every]] = True
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


def load_file(path: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None, *, targets: str = "labels") -> Samples:
    """Return the samples and labels of a file, and those that it keeps apart for testing, divided by the largest number.

    - ``.npz``: samples and labels under names of :data:`SAMPLES` and :data:`LABELS`, and perhaps those of a test;
    - ``.csv``: a sample a line, the label last or in a column that is called ``label``;
    - ``.npy``: the same as an array, or samples alone with ``labels`` in a file of their own;
    - IDX, as MNIST comes: ``train-images-idx3-ubyte`` finds its labels and the ``t10k-`` files beside it, so does their folder.

    With ``targets="numbers"`` what would be labels is real numbers, one or a row of them for each sample; with ``"rows"`` so is
    what has two axes.

    All may be compressed (``.gz``).  Only regular files are read, sizes are checked first, nothing is unpickled.
    """
    if os.path.isdir(path):
        path = _images_in(path)
    if labels is not None:
        return _clean(path, (_read_numbers(path), _read_numbers(labels)), None, targets)
    kind = kind_of(path)
    if kind == ".npz":
        with opened(path) as file:
            return _clean(path, *_named(read_archive(file, _known(names_of(file)))), targets)
    if kind in (".csv", ".npy"):
        with opened(path) as file:
            table = read_table(file) if kind == ".csv" else _columns(read_array(file))
        return _clean(path, table, None, targets)
    images = _read_numbers(path)
    partner = _beside(path, "images", "labels")
    if partner is None:
        hint = "--labels FILE, or beside it under the name that it has in MNIST: train-labels-idx1-ubyte"
        raise bad_file(path, "it has no labels", hint)
    tests = [(found, _beside(found, "images", "labels")) for word in TESTS if (found := _beside(path, "train", word))]
    held_out = next(((_read_numbers(a), _read_numbers(b)) for a, b in tests if b is not None), None)
    return _clean(path, (images, _read_numbers(partner)), held_out, targets)


def _read_numbers(path: str | os.PathLike[str]) -> Array:
    """Return the array of an IDX or ``.npy`` file."""
    if kind_of(path) == ".npy":
        with opened(path) as file:
            return read_array(file)
    if kind_of(path) in (".csv", ".npz"):
        raise bad_file(path, "a table or an archive has its labels in it", "leave --labels out")
    if not kind_of(path) and not os.path.lexists(path) and (meant := did_you_mean(os.fspath(path), ["digits"])):
        raise DerivkitError(f"cannot tell what '{echo(os.fspath(path))}' holds", code="DK042", hint=meant)
    with opened(path) as file:
        if not is_idx(file.read(4)):
            hint = "one of .npz, .csv, .npy or IDX, each also with .gz"
            raise DerivkitError(f"cannot tell what '{echo(os.fspath(path))}' holds", code="DK042", hint=hint)
        file.seek(0)
        return read_idx(file)


def _beside(path: str | os.PathLike[str], word: str, other: str) -> Path | None:
    """Return the file beside an IDX file whose name has ``other`` in place of ``word``, compressed or not."""
    name = Path(path).name
    if word not in name:
        return None
    name = name.replace(word, other, 1)
    if word == "images":
        name = re.sub(r"idx\d", "idx1", name)
    names = [name, name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"]
    return next((found for n in names if (found := Path(path).with_name(n)).is_file()), None)


def _images_in(folder: str | os.PathLike[str]) -> Path:
    """Return the file of images to learn from in a folder with the files of MNIST."""
    names = [f"train-images{mark}idx3-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    found = next((path for n in names if (path := Path(folder, n)).is_file()), None)
    if found is None:
        raise bad_file(folder, "a folder without train-images-idx3-ubyte[.gz]")
    return found


def _known(names: Collection[str]) -> list[str]:
    """Return which of the arrays of an archive are read."""
    return [name for table in (SAMPLES, LABELS, TEST_SAMPLES, TEST_LABELS) for name in table if name in names]


def _named(arrays: Mapping[str, Array]) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
    """Return samples and labels to learn from, and those held out."""

    def first(names: tuple[str, ...]) -> Array | None:
        return next((arrays[name] for name in names if name in arrays), None)

    samples, labels = first(SAMPLES), first(LABELS)
    if samples is None or labels is None:
        raise ValueError(f"it has none of the arrays {', '.join(SAMPLES if samples is None else LABELS)}")
    test = first(TEST_SAMPLES), first(TEST_LABELS)
    if test[0] is None and test[1] is None:
        return (samples, labels), None
    if test[0] is None or test[1] is None:
        raise ValueError("it has samples or labels of a test, not both")
    return (samples, labels), (test[0], test[1])


def _columns(table: Array) -> tuple[Array, Array]:
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"an array of shape {table.shape}, not of a sample a row with its label last")
    return table[:, :-1], table[:, -1]


# -- what is read is checked ----------------------------------------------------------------------------------------------


def _clean(path: str | os.PathLike[str], given: tuple[Array, Array], test: tuple[Array, Array] | None, targets: str) -> Samples:
    """Return finite samples in float32, divided by the largest number where that is beyond 1, and integer labels, or targets."""
    learned = _fitting(path, *given, targets)
    kept = None if test is None else _fitting(path, *test, targets, "held-out ")
    scale = max(1.0, float(learned[0].max()), -float(learned[0].min()))
    if kept is not None and kept[0].shape[1:] != learned[0].shape[1:]:
        raise bad_file(path, f"samples of shape {learned[0].shape[1:]}, and held out are some of shape {kept[0].shape[1:]}")
    if kept is not None and kept[1].shape[1:] != learned[1].shape[1:]:
        raise bad_file(path, f"targets of shape {learned[1].shape[1:]}, and held out are some of shape {kept[1].shape[1:]}")
    apart = None if kept is None else (_divided(kept[0], scale), kept[1])
    return Samples(_divided(learned[0], scale), learned[1], apart, scale)


def _divided(samples: Array, scale: float) -> Array:
    found = np.empty(samples.shape, np.float32)
    np.divide(samples, scale, out=found, casting="unsafe")  # a piece at a time: no array of float64
    return found


def _fitting(path: str | os.PathLike[str], samples: Array, labels: Array, targets: str, which: str = "") -> tuple[Array, Array]:
    """Return finite samples and their labels as integers, or their targets; or say what is wrong with them."""
    if not (samples.dtype.kind in "iufb" and labels.dtype.kind in "iuf"):
        raise bad_file(path, f"samples and labels must be numbers, not {samples.dtype} and {labels.dtype}")
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    real = targets == "numbers" or (targets == "rows" and labels.ndim == 2)
    if samples.ndim < 2 or labels.ndim not in ((1, 2) if real else (1,)) or len(samples) != len(labels) or not samples.size:
        raise bad_file(path, f"samples of shape {samples.shape} do not fit labels of shape {labels.shape}")
    if samples.size > NUMBERS:
        raise bad_file(path, f"{samples.size} numbers are more than the limit of {NUMBERS}")
    for word, array in (("samples", samples), ("targets" if real else "labels", labels)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(int(n) for n in np.argwhere(~np.isfinite(array))[0])
            raise bad_file(path, f"{which}{word}[{', '.join(map(str, place))}] is {array[place]}, counted from 0")
    if real:
        if np.abs(labels).max() > np.finfo(np.float32).max:
            raise bad_file(path, "targets are beyond the numbers of float32")
        return samples, labels.astype(np.float32)
    if labels.min() < 0 or labels.max() >= CLASSES or (labels != np.trunc(labels)).any():
        hint = "for real targets, a net with 't:' (no label, no onehot)"
        raise bad_file(path, f"labels must be integers in range({CLASSES})", hint)
    return samples, labels.astype(np.int64)
