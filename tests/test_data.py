"""The digits, the split, one-hot, and files of samples: what is read is checked, what is wrong is said in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from derivkit.errors import DerivkitError
from derivkit.numeric import data_files
from derivkit.numeric.data import load_digits, load_file, one_hot, split


def test_the_digits_are_all_there() -> None:
    images, labels = load_digits()
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == ((1797, 64), np.float64, (1797,), np.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (images * 16 == np.round(images * 16)).all()


def test_the_split_never_changes_and_is_fair() -> None:
    images, labels = load_digits()
    parts = split(images, labels)
    assert np.bincount(parts.test_labels).tolist() == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    assert len(parts.train_images) + len(parts.test_images) == len(images)
    together = np.vstack([parts.train_images, parts.test_images])
    assert sorted(map(tuple, together)) == sorted(map(tuple, images))
    for wrong in (0, 1):
        with pytest.raises(DerivkitError, match="at least 2"):
            split(images, labels, every=wrong)
    with pytest.raises(DerivkitError, match="1797 samples but 3 labels"):
        split(images, labels[:3])


def test_one_hot() -> None:
    assert one_hot([1, 0], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert one_hot(np.array([], dtype=int), 2).shape == (0, 2)
    assert one_hot(np.array([255], dtype=np.uint8)).shape == (1, 256)
    for wrong, classes in [([1.0], None), ([[1]], None), ([3], 3), ([-1], 3), ([10**9], None), ([True], None)]:
        with pytest.raises(DerivkitError):
            one_hot(wrong, classes)


@pytest.mark.parametrize(("images", "labels"), [("x", "labels"), ("images", "y"), ("x_train", "y_train")])
def test_npz_files(images: str, labels: str, tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "a.npz", **{images: np.arange(24, dtype=np.uint8).reshape(3, 2, 4), labels: np.array([0, 2, 1])}
    )
    found = load_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.samples, (np.arange(24).reshape(3, 2, 4) / 23).astype(np.float32))
    assert (found.labels.tolist(), found.held_out, found.scale) == ([0, 2, 1], None, 23)


@pytest.mark.parametrize("head", ["", "a,b,label\n", "\ufeff", "NaN_count,x,y\n"])
def test_csv_files(head: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(head + "0.5,1e-1,0\n-4,2,1\n", encoding="utf-8")
    found = load_file(tmp_path / "a.csv")
    np.testing.assert_array_equal(found.samples, np.array([[0.5, 0.1], [-4, 2]], np.float32) / 4)
    assert (found.labels.tolist(), found.scale) == ([0, 1], 4)


def lying_npz(path: Path) -> None:
    """Write an archive whose array promises far more than its member holds."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64)
        archive.writestr("y.npy", b"")


def test_hostile_files_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.array([0, 1])
    arrays = {
        "pickled.npz": {"x": np.array([[object()], [object()]]), "y": labels},
        "text.npz": {"x": np.array([["a"], ["b"]]), "y": labels},
        "nan.npz": {"x": np.array([[1.0], [np.nan]]), "y": labels},
        "long.npz": {"x": np.ones((3, 2)), "y": labels},
        "flat.npz": {"x": np.ones(2), "y": labels},
        "empty.npz": {"x": np.ones((0, 2)), "y": labels[:0]},
        "fraction.npz": {"x": np.ones((2, 2)), "y": np.array([0.5, 1])},
        "negative.npz": {"x": np.ones((2, 2)), "y": -labels},
        "huge.npz": {"x": np.ones((2, 2)), "y": labels * 1e300},
        "nameless.npz": {"a": np.ones((2, 2))},
    }
    for name, content in arrays.items():
        np.savez(tmp_path / name, **content)
    lying_npz(tmp_path / "lying.npz")
    texts = {
        "words.csv": "a,b\nc,d\n",
        "ragged.csv": "1,2\n3\n",
        "none.csv": "",
        "no.npz": "not a zip",
        "binary.csv": "\x00\x01",
        "a.txt": "1",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder.csv").mkdir()
    for name in [*arrays, "lying.npz", *texts, "folder.csv", "absent.csv", "a\0.csv"]:
        with pytest.raises(DerivkitError) as caught:
            load_file(tmp_path / name)
        assert caught.value.code == "DK042", name
        assert "\n" not in str(caught.value)
    np.savez(tmp_path / "good.npz", x=np.ones((2, 2)), y=labels)
    load_file(tmp_path / "good.npz")
    monkeypatch.setattr(data_files, "DATA_BYTES", 10)
    with pytest.raises(DerivkitError, match="more than the limit of 10"):
        load_file(tmp_path / "good.npz")
