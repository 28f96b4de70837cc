"""``derivkit train`` on files as they come: MNIST's in every format, parameters saved and resumed, plots, hostile files."""

from __future__ import annotations

import gzip
import importlib.util
import os
import signal
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from timing import patience

from derivkit.cli import main
from derivkit.cli import train as door
from derivkit.numeric import data_files
from derivkit.numeric.data import load_digits, load_file

LINEAR = "x: D\nW: K, D\nb: K\nt: label K\nE = softmax_cross_entropy(t, W @ x + b)"
NOTE = "derivkit: the samples were divided by 16, the largest number in them\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(door, "PATIENCE", 60.0)  # a slow machine tells no more than a fast one
    before = os.getcwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def run(capsys):
    def running(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["train", *arguments])
        return (status, *capsys.readouterr())

    return running


def accuracy(printed: str) -> float:
    (line,) = (line for line in printed.splitlines() if line.startswith("held-out accuracy: "))
    return float(line.split()[2])


# -- formats --------------------------------------------------------------------------------------------------------------


def idx(array: np.ndarray, kind: int = 0x08) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits as bytes, in another order: the last ones of the file are by writers of their own."""
    images, labels = load_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    return np.round(images * 16).astype(np.uint8).reshape(-1, 8, 8)[order], labels.astype(np.uint8)[order]


def written_idx(end: str = "", mark: str = "-") -> None:
    """Write the digits as MNIST comes: four files, 1000 images to learn from and the others to test."""
    images, labels = pixels()
    pack = gzip.compress if end else bytes
    for name, part in (("train", slice(None, 1000)), ("t10k", slice(1000, None))):
        Path(f"{name}-images{mark}idx3-ubyte{end}").write_bytes(pack(idx(images[part])))
        Path(f"{name}-labels{mark}idx1-ubyte{end}").write_bytes(pack(idx(labels[part])))


def written_npz() -> None:
    images, labels = pixels()
    np.savez("a.npz", x_train=images[:1000], y_train=labels[:1000], x_test=images[1000:], y_test=labels[1000:])


SPLIT = "1000 samples to learn from, 797 held out, 10 classes"
WHOLE = "1442 samples to learn from, 355 held out, 10 classes"
FORMATS = {
    "npz": (written_npz, ["a.npz"], SPLIT),
    "idx": (written_idx, ["train-images-idx3-ubyte"], SPLIT),
    "idx, compressed": (lambda: written_idx(".gz"), ["train-images-idx3-ubyte.gz"], SPLIT),
    "idx, spelt otherwise": (lambda: written_idx(mark="."), ["train-images.idx3-ubyte"], SPLIT),
    "idx, a folder": (lambda: written_idx(".gz"), ["."], SPLIT),
}


@pytest.mark.parametrize("case", FORMATS)
def test_mnist_as_it_comes(case, run):
    write, source, parts = FORMATS[case]
    write()
    status, out, err = run("--data", *source, "--epochs", "8")
    assert (status, err) == (0, NOTE)
    assert parts in out
    assert accuracy(out) > 90


@pytest.mark.parametrize("net", ["sigmoid_mlp", "three_layer_relu_biases"])
def test_networks_learn_with_the_defaults(net, run):
    assert accuracy(run("--net", net)[1]) > 95


def test_tables_and_arrays_hold_the_same(run):
    images, labels = pixels()
    table = np.column_stack([images.reshape(-1, 64), labels])
    np.save("a.npy", table)
    np.savetxt("a.csv", table, "%d", ",")
    Path("b.csv.gz").write_bytes(gzip.compress(Path("a.csv").read_bytes()))
    names = ",".join(["label", *(f"pixel{n}" for n in range(64))])
    np.savetxt("c.csv", np.column_stack([labels, images.reshape(-1, 64)]), "%d", ",", header=names, comments="")
    np.save("images.npy", images)
    Path("labels").write_bytes(idx(labels))
    found = [run("--data", *given, "--epochs", "2") for given in [["a.npy"], ["a.csv"], ["b.csv.gz"], ["c.csv"]]]
    found.append(run("--data", "images.npy", "--labels", "labels", "--epochs", "2"))
    for status, out, err in found:
        assert (status, err) == (0, NOTE)
        assert WHOLE in out
        assert out.splitlines()[2:] == found[0][1].splitlines()[2:]


def test_samples_and_their_test_are_divided_alike():
    np.savez("a.npz", x_train=np.array([[10, 20]], np.uint8), y_train=[0], x_test=np.array([[40, 20]], np.uint8), y_test=[[1]])
    found = load_file("a.npz")
    assert found.samples.tolist() == [[0.5, 1.0]]
    assert found.held_out is not None
    assert (found.held_out[0].tolist(), found.held_out[1].tolist()) == ([[2.0, 1.0]], [1])
    np.savez("b.npz", x=[[0.25, -1.0]], y=[0])
    assert (load_file("b.npz").samples.tolist(), load_file("b.npz").scale) == ([[0.25, -1.0]], 1.0)


@pytest.mark.parametrize("kind", data_files.IDX_TYPES)
def test_idx_numbers_of_every_type(kind):
    array = np.array([[1, 2], [3, 4]], data_files.IDX_TYPES[kind])
    Path("a").write_bytes(idx(array, kind))
    Path("b").write_bytes(idx(np.array([1, 0], np.uint8)))
    assert load_file("a", "b").samples.tolist() == [[0.25, 0.5], [0.75, 1.0]]


def test_images_come_as_the_net_declares_them(run):
    written_npz()
    status, out, _ = run("--data", "a.npz", "--net", "conv_net", "--sizes", "P=3, O=3", "--epochs", "6")
    assert status == 0
    assert "net:   conv_net, 307 parameters" in out  # 3 filters of 3 × 3, 10 × 3·3·3 weights, 10 biases
    assert accuracy(out) > 50
    status, out, err = run("--data", "a.npz", "--net", "conv_net")
    assert (status, out) == (2, "")
    assert "hint: give H or P: --sizes 'P=3'" in err
    plain = LINEAR.replace("x: D", "x: A, B").replace("W @ x", "W @ reshape(x, -1)").replace("W: K, D", "W: K, A*B")
    assert "net:   as given, 650 parameters" in run("--data", "a.npz", "--net", plain, "--epochs", "1")[1]


# -- parameters -----------------------------------------------------------------------------------------------------------


def test_saved_parameters_are_resumed(run):
    assert "saved: a.npz" in run("--net", LINEAR, "--epochs", "3", "--save", "a.npz")[1]
    with np.load("a.npz") as kept:
        assert {name: (a.shape, a.dtype) for name, a in kept.items()} == {
            "W": ((10, 64), np.float32),
            "b": ((10,), np.float32),
        }
    first = Path("a.npz").read_bytes()
    run("--net", LINEAR, "--epochs", "3", "--save", "a.npz")
    assert Path("a.npz").read_bytes() == first
    assert sorted(os.listdir()) == ["a.npz"]
    status, out, _ = run("--net", LINEAR, "--epochs", "1", "--resume", "a.npz", "--save", "a.npz")
    assert status == 0
    assert accuracy(out) > 90
    assert Path("a.npz").read_bytes() != first


def test_the_widths_of_what_is_resumed_are_the_nets(run):
    run("--sizes", "M=7", "--epochs", "1", "--save", "a.npz")
    assert "net:   two_layer_tanh, 518 parameters" in run("--resume", "a.npz", "--epochs", "1")[1]


def test_parameters_that_do_not_fit_are_one_clear_error(run):
    run("--net", LINEAR, "--epochs", "1", "--save", "good.npz")
    W, b = np.zeros((10, 64)), np.zeros(10)
    files = {
        "missing": ({"W": W}, "it has no 'b'"),
        "other": ({"W": W, "b": b, "c": b}, "the net has no parameter 'c'"),
        "axes": ({"W": W[0], "b": b}, r"'W' has shape (64,), and the net's is K, D"),
        "sizes": ({"W": W, "b": b[:9]}, "'b' has shape (9,), and K is 10"),
        "samples": ({"W": W[:, :9], "b": b}, "size D is 9, but the data's x has 64"),
        "whole": ({"W": W.astype(int), "b": b}, "'W' holds int64"),
        "nan": ({"W": W, "b": b * np.nan}, "'b' holds NaN or infinity"),
    }
    for name, (arrays, message) in files.items():
        np.savez(name, **arrays)
        status, out, err = run("--net", LINEAR, "--resume", f"{name}.npz", "--save", "out.npz")
        assert (status, out) == (2, "")
        assert err.startswith("derivkit: error: ")
        assert message in err
    assert "'W' has shape" not in run("--net", LINEAR, "--resume", "good.npz", "--epochs", "1")[2]
    assert not Path("out.npz").exists()


# -- real targets ---------------------------------------------------------------------------------------------------------

LINE = "x: D\nw: D\nb:\nt:\nE = (w @ x + b - t)**2"
LINES = "x: D\nW: K, D\nb: K\nt: K\nE = sum((W @ x + b - t)**2)"


@pytest.mark.parametrize(("net", "columns"), [(LINE, 1), (LINES, 2)], ids=["a number", "a row"])
def test_real_targets_are_learned_without_classes(net, columns, run):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(100, 3))
    np.savez("a.npz", x=X, y=X @ rng.normal(size=(3, columns)) + 0.5)
    status, out, err = run("--net", net, "--data", "a.npz", "--lr", "0.2", "--epochs", "60")
    assert (status, err) == (0, "")
    assert "80 samples to learn from, 20 held out, real targets" in out
    assert "accuracy" not in out
    assert float(out.partition("held-out loss: ")[2]) < 1e-3


def test_whole_numbers_are_no_classes_where_the_target_is_a_number(run):
    x = np.arange(90.0)[:, None] / 90
    np.savetxt("a.csv", np.column_stack([x, np.arange(90)]), delimiter=",")
    out = run("--net", LINE, "--data", "a.csv", "--lr", "0.01", "--epochs", "2")[1]
    assert "18 held out, real targets" in out
    assert "real targets" in run("--net", LINE, "--data", "digits", "--lr", "0.001", "--epochs", "1")[1]
    out = run("--net", LINES, "--data", "digits", "--lr", "0.001", "--epochs", "1")[1]  # rows with a one
    assert "10 classes" in out
    assert "held-out loss: " in out


@pytest.mark.parametrize(
    ("net", "arrays", "message"),
    [
        (LINE, {"x": np.ones((9, 2)), "y": np.ones((9, 2))}, "a target has 2 numbers, and the net's 't' is one"),
        (LINE, {"x": np.ones((9, 2)), "y": np.full(9, 1e39)}, "targets are beyond the numbers of float32"),
        (LINE, {"x": np.ones((3, 2)), "y": np.ones(3)}, "cannot train on 'a.npz': 3 samples"),
        (LINE, {"x": np.ones((9, 2)), "y": np.array([1, np.nan] * 4 + [1])}, "targets[1] is nan"),
        (LINES, {"x": np.ones((9, 2)), "y": np.ones((9, 2)), "x_test": np.ones((9, 2)), "y_test": np.ones((9, 3))}, "shape (3,)"),
        (LINES, {"x": np.ones((9, 2)), "y": np.full(9, 0.5)}, "labels must be integers"),
        (LINEAR, {"x": np.ones((9, 2)), "y": np.full(9, 0.5)}, "labels must be integers"),
        (LINEAR, {"x": np.array([[1.0, 2], [3, np.inf]] * 4), "y": np.arange(8) % 2}, "samples[1, 1] is inf"),
        (
            LINEAR,
            {"x": np.ones((4, 2)), "y": [0, 1, 0, 1], "x_test": np.ones((2, 2)), "y_test": [0, np.nan]},
            "held-out labels[1] is nan",
        ),
    ],
)
def test_targets_that_do_not_fit_are_one_clear_error(net, arrays, message, run):
    np.savez("a.npz", **arrays)
    status, out, err = run("--net", net, "--data", "a.npz")
    assert (status, out) == (2, "")
    assert message in err.splitlines()[0]


def test_momentum_and_decay_are_passed_on(run):
    status, out, _ = run("--epochs", "2", "--lr", "0.1", "--momentum", "0.9", "--weight-decay", "0.0001")
    assert status == 0
    assert "learning rate 0.1, momentum 0.9, weight decay 0.0001, seed 0" in out
    assert accuracy(out) > 85


def test_a_long_training_tells_what_it_does_where_no_progress_is_shown(run, monkeypatch):
    monkeypatch.setattr(door, "PATIENCE", 0.0)
    status, out, err = run("--epochs", "20")
    assert status == 0
    assert err == "".join(f"derivkit: {line}\n" for line in out.splitlines()[:2])


# -- plots ----------------------------------------------------------------------------------------------------------------


def test_a_plot_without_matplotlib_is_refused_before_training(run, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else find(name, *a))
    monkeypatch.setattr(door.dk, "fit", lambda *a, **o: pytest.fail("it trained"))
    status, out, err = run("--plot", "loss.svg")
    assert (status, out, os.listdir()) == (2, "", [])
    assert err == "derivkit: error: --plot needs matplotlib\n  hint: pip install 'derivkit-verify[plot]', or leave --plot out\n"


@pytest.mark.parametrize("end", ["svg", "png"])
def test_a_plot_of_loss_and_accuracy(end, run):
    pytest.importorskip("matplotlib")
    drawn = []
    for name in ("a", "b"):
        status, out, _ = run("--epochs", "3", "--plot", f"{name}.{end}")
        assert status == 0
        assert f"plot:  {name}.{end}" in out
        drawn.append(Path(f"{name}.{end}").read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith(b"\x89PNG" if end == "png" else b"<?xml")
    if end == "svg":
        assert b">loss<" in drawn[0]
        assert b">held-out accuracy (%)<" in drawn[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--momentum", "1"], "--momentum must be a number from 0 to below 1"),
        (["--weight-decay", "-1"], "--weight-decay must be a number from 0"),
        (["--plot", "a.pdf"], "--plot needs a name that ends in .svg or .png"),
        (["--save", "params"], "--save needs a name that ends in .npz"),
        (["--save", "no/a.npz"], "its folder does not exist"),
        (["--save", "a.npz", "-o", "a.npz"], "--save would overwrite 'a.npz'"),
        (["--data", "a.npz", "--save", "./a.npz"], "--save would overwrite './a.npz'"),
        (["--net", "x: label V\nt: label K\nW: K, V\nE = softmax_cross_entropy(t, W[:, x])"], "the net's 'x' is a label"),
        (["--labels", "a.npz"], "--labels without --data"),
        (["--data", "a.npz", "--labels", "a.npz"], "a table or an archive has its labels in it"),
        (["--resume", "a.csv"], "parameters are in an .npz file"),
        (["--data", "a.npz", "--net", "sigmoid_mlp", "--sizes", "M=99999, L=99999"], "parameters are more than the limit"),
        (["--data", "a.npz", "--net", LINEAR.replace("x: D", "x: A, B, C, D").replace("W @ x", "W @ x[0, 0, 0]")], "has 4 axes"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, run):
    written_npz()
    before = Path("a.npz").read_bytes()
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[0]
    assert Path("a.npz").read_bytes() == before
    assert os.listdir() == ["a.npz"]


# -- interrupted ----------------------------------------------------------------------------------------------------------


def test_control_c_saves_the_last_finished_epoch(run, monkeypatch):
    honest = door.dk.fit

    def interrupt(epoch, loss, params):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(door.dk, "fit", lambda *a, **o: honest(*a, **o, callback=interrupt))
    status, out, err = run("--epochs", "1000", "--save", "a.npz")
    assert (status, out, os.listdir()) == (130, "", ["a.npz"])
    assert err.startswith("derivkit: interrupted after epoch 3, loss ")
    assert err.endswith(": its parameters are in a.npz\n")
    assert err.count("\n") == 1
    monkeypatch.undo()
    run("--epochs", "3", "--save", "b.npz")
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()


@pytest.mark.parametrize("epochs", [0, 2])
def test_an_interruption_says_what_is_kept(epochs, run, monkeypatch):
    honest = door.dk.fit

    def stop(epoch, loss, params):
        raise KeyboardInterrupt

    def interrupted(*a, **o):
        if not epochs:
            raise KeyboardInterrupt
        return honest(*a, **{**o, "epochs": 9}, callback=lambda e, *_: stop(e, *_) if e == epochs - 1 else None)

    monkeypatch.setattr(door.dk, "fit", interrupted)
    status, out, err = run("--plot", "a.svg") if epochs and importlib.util.find_spec("matplotlib") else run()
    assert (status, out, os.listdir()) == (130, "", [])
    assert err.startswith("derivkit: interrupted after epoch 2, loss" if epochs else "derivkit: interrupted\n")
    assert ("nothing is kept without --save" in err) == bool(epochs)


# -- hostile files --------------------------------------------------------------------------------------------------------


def header(text: bytes, body: bytes = b"") -> bytes:
    line = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + body


def lying(name: str, text: bytes, body: bytes = b"") -> None:
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("x.npy", header(text, body))
        archive.writestr("y.npy", header(b"{'descr':'|u1','fortran_order':False,'shape':(2,)}", bytes(2)))


def images(content: bytes) -> None:
    Path("images-idx3").write_bytes(content)
    Path("labels-idx1").write_bytes(idx(np.array([0, 1, 0, 1], np.uint8)))


def sized(*lengths: int, kind: int = 8, body: int = 16) -> bytes:
    return bytes([0, 0, kind, len(lengths)]) + b"".join(struct.pack(">I", n % 2**32) for n in lengths) + bytes(body)


def many(name: str) -> None:
    with zipfile.ZipFile(name, "w") as archive:
        for n in range(30_000):
            archive.writestr(str(n), b"")


def bomb(name: str) -> None:
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as member:
        member.write(header(b"{'descr':'|u1','fortran_order':False,'shape':(1000000,400)}"))
        for _ in range(400):
            member.write(bytes(10**6))


U1 = b"{'descr':'|u1','fortran_order':False,'shape':%s}"
HOSTILE = {
    "cut short": ("images-idx3", lambda n: images(sized(4, 2, 2, body=15)), "its header promises 4×2×2 of 1"),
    "too long": ("images-idx3", lambda n: images(sized(4, 2, 2, body=17)), "17 bytes of numbers"),
    "below zero": ("images-idx3", lambda n: images(sized(-4, 2, 2)), "its header promises 4294967292×2×2"),
    "huge": ("images-idx3", lambda n: images(sized(*[2**32 - 1] * 8)), "16 bytes of numbers, and its header promises"),
    "two gigabytes": ("images-idx3", lambda n: images(sized(2**31)), "promises 2147483648 of 1"),
    "another magic": ("images-idx3", lambda n: images(sized(4, 2, 2, kind=7)), "cannot tell what 'images-idx3' holds"),
    "no axes": ("images-idx3", lambda n: images(sized()), "cannot tell what 'images-idx3' holds"),
    "half a header": ("images-idx3", lambda n: images(sized(4, 2, 2)[:9]), "it ends within its header"),
    "no samples": ("images-idx3", lambda n: images(sized(0, 2, 2, body=0)), "samples of shape (0, 2, 2)"),
    "labels missing": ("images-idx3", lambda n: Path(n).write_bytes(sized(4, 2, 2)), "it has no labels"),
    "labels of another length": ("images-idx3", lambda n: images(sized(5, 2, 2, body=20)), "do not fit labels of shape (4,)"),
    "gzip bomb": ("a.csv.gz", lambda n: Path(n).write_bytes(gzip.compress(bytes(2 * 10**8), 1)), "it expands to more than"),
    "gzip cut short": ("a.csv.gz", lambda n: Path(n).write_bytes(gzip.compress(b"1,2\n" * 99)[:-9]), "Compressed file ended"),
    "no gzip": ("a.csv.gz", lambda n: Path(n).write_bytes(b"1,2\n"), "Not a gzipped file"),
    "zip bomb": ("a.npz", bomb, "more than 150000000 bytes"),
    "long contents": ("a.npz", many, "its list of contents is too long"),
    "cut archive": ("a.npz", lambda n: Path(n).write_bytes(b"PK\3\4" + bytes(99)), "it is no archive"),
    "large claim": ("a.npz", lambda n: lying(n, U1 % b"(1000000000,1000)", bytes(64)), "is not what its header says"),
    "negative claim": ("a.npz", lambda n: lying(n, U1 % b"(-1,-8)", bytes(64)), "is not what its header says"),
    "claim beyond C": ("a.npz", lambda n: lying(n, U1 % b"(0,99999999999999999999999)"), "is not what its header says"),
    "flags for sizes": ("a.npz", lambda n: lying(n, U1 % b"(True,2)", bytes(2)), "is not what its header says"),
    "code": ("a.npz", lambda n: lying(n, b"__import__('os').mkdir('pwned')"), "malformed"),
    "brackets": ("a.npz", lambda n: lying(n, b"(" * 100), "cannot be read"),
    "pickled": ("a.npz", lambda n: lying(n, U1.replace(b"|u1", b"|O") % b"(2,2)", b"."), "is not what its header says"),
    "a pipe": ("a.npz", os.mkfifo, "not a regular file"),
    "an empty folder": ("a.npz", os.mkdir, "a folder without train-images-idx3-ubyte"),
    "one long line": ("a.csv", lambda n: Path(n).write_bytes(b"1," * 10**6), "a line of more than 1000000 bytes"),
    "blank lines": ("a.csv", lambda n: Path(n).write_bytes(b"\n" * 10**6), "it holds no samples"),
    "semicolons": ("a.csv", lambda n: Path(n).write_bytes(b"1;2\n3;4\n"), "the delimiter of a table is a comma"),
    "tabs": ("a.csv", lambda n: Path(n).write_bytes(b"1\t2\n3\t4\n"), "its lines have tabs"),
    "one column": ("a.csv", lambda n: Path(n).write_bytes(b"1\n2\n"), "a table has a column of labels and others"),
    "a word": ("a.csv", lambda n: Path(n).write_bytes(b"1,0\n" * 99 + b"x,1\n"), "string 'x' to float64 at row 100, column 1"),
    "a longer row": ("a.csv", lambda n: Path(n).write_bytes(b"1,0\n" * 99 + b"1,0,1\n"), "from 2 to 3 at row 100"),
    "other letters": ("a.csv", lambda n: Path(n).write_bytes("1,2\n".encode("utf-16")), "'utf-8' codec can't decode"),
    "test without labels": ("a.npz", lambda n: np.savez(n, x=np.ones((9, 2)), y=np.ones(9), x_test=np.ones((9, 2))), "not both"),
    "test of another shape": (
        "a.npz",
        lambda n: np.savez(n, x=np.ones((9, 2)), y=np.arange(9) % 2, x_test=np.ones((2, 3)), y_test=[0, 1]),
        "held out are some of shape (3,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_in_one_line(case, run):
    name, write, message = HOSTILE[case]
    write(name)
    before = sorted(os.listdir())
    for option in ("--data", "--resume"):
        started = time.process_time()
        status, out, err = run(option, name)
        assert time.process_time() - started < patience()
        assert (status, out, sorted(os.listdir())) == (2, "", before)
        assert err.startswith("derivkit: error: ")
        assert err.count("derivkit: error: ") == 1
        assert "fault of derivkit" not in err
        assert len(err.splitlines()) <= 2
        assert message in err or option == "--resume"


def test_rows_are_counted_over_all_pieces(monkeypatch):
    monkeypatch.setattr(data_files, "PIECE", 10)
    rows = [f"{n},{n % 3}\n" for n in range(50)]
    Path("a.csv").write_text("a,b\n" + "\n".join(rows))
    found = load_file("a.csv")
    np.testing.assert_array_equal(found.samples[:, 0], np.arange(50, dtype=np.float32) / np.float32(49))
    assert found.labels.tolist() == [n % 3 for n in range(50)]
    Path("a.csv").write_text("".join(rows) + "7,x\n")
    with pytest.raises(ValueError, match="row 51, column 2"):
        load_file("a.csv")
