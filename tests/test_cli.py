"""The command line from end to end: what goes in comes out right, in a file or a pipe; what is wrong is told in one line."""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from timing import patience

import derivkit as dk
from derivkit.cli import main
from derivkit.numeric.data import load_digits
from derivkit.symbolic.gallery import groups
from derivkit.symbolic.parse import read_program

NET = "x: D\nW: K, D\nb: K\nt: onehot K\nE = softmax_cross_entropy(t, W @ x + b)\n"
LABELS = "x: D\nW: K, D\nk: label K\nE = softmax_cross_entropy(k, W @ x)\n"


class Terminal:
    """Runs commands in this process, with a text on standard input, in a folder of their own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.capsys, self.monkeypatch, self.folder = capsys, monkeypatch, folder
        monkeypatch.chdir(folder)

    def run(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        self.capsys.readouterr()
        status = main(arguments)
        return (status, *self.capsys.readouterr())

    def done(self, *arguments: str, stdin: str = "") -> str:
        status, out, err = self.run(*arguments, stdin=stdin.encode())
        assert (status, err) == (0, "")
        return out

    def refused(self, *arguments: str, stdin: bytes = b"") -> str:
        """Return the error of a command that must fail politely: one line, some context, no output, no file, no wait."""
        before, started = self.files(), time.perf_counter()
        status, out, err = self.run(*arguments, stdin=stdin)
        assert time.perf_counter() - started < patience()
        assert (status, out, self.files()) == (2, "", before)
        first, *context = err.splitlines()
        assert first.startswith("derivkit: error: ")
        assert err.count("derivkit: error:") == 1
        assert len(context) <= 3
        assert all(line.startswith("  ") and line.strip() and len(line) < 200 for line in context)
        assert len(first) < 250
        assert first.isprintable()
        assert "fault of derivkit" not in err
        return err

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file() and path.stat().st_size < 10**6}


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    return Terminal(capsys, monkeypatch, tmp_path)


# -- what works ----------------------------------------------------------------------------------------------------------


def test_a_program_comes_as_text_from_standard_input_and_from_a_file(terminal: Terminal) -> None:
    (terminal.folder / "net.txt").write_text(NET)
    printed = terminal.done("derive", NET, "--wrt", "W")
    assert "∂E/∂W_ki" in printed
    assert terminal.done("derive", "-", "--wrt", "W", stdin=NET) == printed
    assert terminal.done("derive", "--file", "-", "--wrt", "W", stdin=NET) == printed
    assert terminal.done("derive", "--wrt", "W", "--file", "net.txt") == printed
    assert terminal.done("derive", "--wrt=W", "--", NET) == printed
    windows = "\ufeff" + NET.replace("\n", "\r\n")
    assert terminal.done("derive", "-", "--wrt", "W", stdin=windows) == printed


@pytest.mark.parametrize("text", ["-sum(t*log(y))", "-y@t", "−sum(y*t)", "--sum(y*t)"])
def test_a_program_may_start_with_a_minus(text: str, terminal: Terminal) -> None:
    assert terminal.done("derive", text, "--wrt", "y", "--format", "program").endswith(
        {"-sum(t*log(y))": "dout_dy = -t / y\n", "--sum(y*t)": "dout_dy = t\n"}.get(text, "dout_dy = -t\n")
    )


def test_shapes_and_kinds_are_told_by_options(terminal: Terminal) -> None:
    loose = "softmax_cross_entropy(t, z)"
    assert "sum(t)" in terminal.done("derive", loose, "--wrt", "z", "--format", "program")
    told = terminal.done("derive", loose, "--wrt", "z", "--format", "program", "--shape", "t=onehot K", "--shape", "z = K")
    assert told.endswith("dout_dz = softmax(z) - t\n")


@pytest.mark.parametrize("name", ["two_layer_tanh", "softmax", "ridge", "gaussian_known_variance"])
def test_every_format_says_the_same(name: str, terminal: Terminal) -> None:
    text = terminal.done("gallery", name)
    graph = read_program(text)
    wrt = next(str(n) for n, given in graph.inputs.items() if given.kind == "real")
    line = f"d{graph.output}_d{wrt}"

    data = json.loads(terminal.done("derive", "-", "--wrt", wrt, "--format", "json", stdin=text))
    assert (data["schema"], data["wrt"]) == ("derivkit.derivation/1", [wrt])
    for notation in ("index", "matrix"):
        program = terminal.done("derive", "-", "--wrt", wrt, "--format", "program", "--notation", notation, stdin=text)
        assert str(read_program(program).output) == line
    plain = terminal.done("derive", "-", "--wrt", wrt, "--format", "text", "--lemmas", "--style", "cases", stdin=text)
    assert "checked:" in plain
    assert len(plain) > len(terminal.done("derive", "-", "--wrt", wrt, "--steps", "none", stdin=text))
    latex = terminal.done("derive", "-", "--wrt", wrt, "--format", "latex", stdin=text)
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") > 0
    assert latex.isascii()
    assert "amsmath" in terminal.done("derive", "--help")

    terminal.done("derive", "-", "--wrt", wrt, "--format", "python", "-o", "made.py", stdin=text)
    made = runpy.run_path("made.py")
    (function,) = (made[n] for n in made if n.startswith(("loss_and", "value_and")))
    kernel = dk.compile(text, wrt=wrt)
    sizes = {"D": 3, "M": 4, "K": 5, "N": 6}
    random = np.random.default_rng(0)
    arrays = {n: random.random([s if isinstance(s, int) else sizes[str(s)] for s in shape]) for n, shape in kernel.shapes.items()}
    for mine, theirs in zip(function(*arrays.values())[1].values(), kernel(arrays)[1].values(), strict=True):
        np.testing.assert_allclose(mine, theirs)


@pytest.mark.parametrize("layout", ["mixed", "numerator", "denominator"])
def test_layouts(layout: str, terminal: Terminal) -> None:
    made = terminal.done("derive", "h = W @ x", "--wrt", "x", "--format", "program", "--layout", layout)
    assert made.endswith("dh_dx = W.T\n" if layout == "denominator" else "dh_dx = W\n")


def test_a_kind_is_chosen(terminal: Terminal) -> None:
    assert terminal.done("derive", "h = W @ x", "--wrt", "x", "--kind", "vjp", "--format", "program").endswith("W.T @ h_bar\n")
    assert "gradient is of a scalar" in terminal.refused("derive", "h = W @ x", "--wrt", "x", "--kind", "gradient")
    shape = ("--shape", "x=N", "--shape", "v=N")
    for kind, along, last in (
        ("hessian", (), "diag(exp(x))"),
        ("hvp", ("--along", "v"), "exp(x) * v"),
        ("jvp", (), "exp(x) @ x_dot"),
    ):
        printed = terminal.done("derive", "sum(exp(x))", "--wrt", "x", *shape, "--kind", kind, *along, "--format", "program")
        assert printed.endswith(f" = {last}\n")
    assert "along= means nothing to a gradient" in terminal.refused("derive", "sum(x)", "--wrt", "x", *shape, "--along", "v")


def test_a_kernel_of_another_kind_is_printed(terminal: Terminal) -> None:
    source = terminal.done("kernel", "sum(x**3)", "--shape", "x=D", "--wrt", "x", "--kind", "hvp", "--along", "v")
    assert "6 * x * v" in source
    assert "--batch" in terminal.refused("kernel", "sum(x**3)", "--wrt", "x", "--kind", "hessian", "--reduce", "sum")


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_the_printed_kernel_is_a_module_with_the_right_gradient(reduce: str, terminal: Terminal) -> None:
    terminal.done("kernel", LABELS, "--wrt", "W", "--batch", "x,k", "--reduce", reduce, "-o", "net.py")
    step = runpy.run_path("net.py")["loss_and_gradients"]
    random = np.random.default_rng(1)
    x, labels, w = random.normal(size=(7, 3)), random.integers(0, 4, size=7), random.normal(size=(4, 3))
    dk.assert_gradient(lambda w: step(x, w, labels)[0], lambda w: step(x, w, labels)[1]["W"], w)
    scores = x @ w.T
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(7), labels]
    np.testing.assert_allclose(step(x, w, labels)[0], getattr(np, reduce)(losses))


def test_the_gallery_lists_and_prints_its_programs(terminal: Terminal) -> None:
    listed = terminal.done("gallery")
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")] == list(dk.gallery)
    assert [line for line in listed.splitlines() if line[:1].strip()] == list(groups)
    for name, text in dk.gallery.items():
        assert terminal.done("gallery", name).strip() == text.strip()


# -- training ------------------------------------------------------------------------------------------------------------


def told(printed: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in printed.splitlines())}


def accuracy(printed: str) -> float:
    return float(told(printed)["held-out accuracy"].removesuffix(" %"))


def test_training_says_what_was_checked_and_how_well_it_went(terminal: Terminal) -> None:
    printed = terminal.done("train", "--epochs", "3")
    assert told(printed)["check"] == "gradients by W1, W2 agree with differences on 8 samples"
    assert told(printed)["data"] == "digits, 1442 samples to learn from, 355 held out, 10 classes"
    assert accuracy(printed) > 90
    first, last = map(float, told(printed)["loss"].split(" -> "))
    assert last < first
    assert terminal.done("train", "--epochs", "3") == printed
    assert terminal.done("train", "--epochs", "3", "--seed", "1") != printed
    terminal.done("train", "--epochs", "3", "-o", "report.txt")
    assert (terminal.folder / "report.txt").read_text() == printed


@pytest.mark.parametrize("target", ["onehot K", "label K"])
def test_training_ones_own_net_on_ones_own_data(target: str, terminal: Terminal) -> None:
    net = f"x: D\nW: K, D\nb: K\nt: {target}\nE = softmax_cross_entropy(t, W @ x + b)"
    samples, labels = load_digits()
    chosen = labels < 3
    samples, labels = samples[chosen], labels[chosen]
    np.savez("data.npz", x=samples, labels=labels)
    np.savetxt("data.csv", np.column_stack([samples, labels]), delimiter=",", fmt="%g")
    printed = [terminal.done("train", "--net", net, "--data", f"data.{s}", "--epochs", "2") for s in ("npz", "csv")]
    assert told(printed[0])["net"] == "as given, 195 parameters"
    assert told(printed[0])["check"].startswith("gradients by W, b agree")
    assert all(accuracy(p) > 95 for p in printed)
    assert accuracy(printed[0]) == accuracy(printed[1])


def test_a_rate_too_large_is_told(terminal: Terminal) -> None:
    printed = terminal.done(
        "train", "--net", "E = squared_error(t, W @ x)", "--epochs", "5", "--lr", "0.3", "--batch-size", "2000"
    )
    assert "try a smaller --lr" in told(printed)["loss"]
    assert len(told(printed)["loss"]) < 80
    assert "not measured" in told(printed)["held-out accuracy"]
    status, out, err = terminal.run("train", "--net", "E = squared_error(t, W @ x)", "--epochs", "50", "--lr", "1000")
    assert (status, out) == (2, "")
    assert err.startswith("derivkit: error: training diverged in epoch ")
    assert "at lr=1000" in err


def written(folder: Path) -> None:
    """Write files that are no data."""
    zeros = np.zeros((6, 2))
    np.savez(folder / "pickled.npz", x=np.array([object()], dtype=object), labels=np.array([1]))
    np.savez(folder / "other.npz", q=np.zeros(3))
    np.savez(folder / "lengths.npz", x=zeros, labels=np.arange(5))
    np.savez(folder / "fractions.npz", x=zeros, labels=np.arange(6) / 2)
    np.savez(folder / "single.npz", x=zeros, labels=np.zeros(6, int))
    np.savez(folder / "few.npz", x=zeros, labels=np.arange(6))
    (folder / "random.npz").write_bytes(np.random.default_rng(0).bytes(3000))
    (folder / "random.csv").write_bytes(np.random.default_rng(0).bytes(3000))
    (folder / "empty.csv").write_bytes(b"")
    (folder / "words.csv").write_text("a,b,c\nd,e,f\n")
    (folder / "infinite.csv").write_text("1,2,0\n3,inf,1\n")
    (folder / "folder.csv").mkdir()
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(10**9)


def test_what_is_no_data_is_refused(terminal: Terminal) -> None:
    written(terminal.folder)
    names = sorted(path.name for path in terminal.folder.iterdir())
    assert len(names) == 13
    for name in [*names, "missing.npz", "missing.txt", os.devnull]:
        assert name in terminal.refused("train", "--data", name, "--epochs", "1")


# -- what is refused -----------------------------------------------------------------------------------------------------

LONG = b"x + " * 20_000 + b"x"
TEXTS: dict[str, tuple[bytes, str]] = {
    "shapes": (b"x: N\ny: M\nE = sum(x*y)", "line 3, column 11: shapes do not fit: (N) at line 3, column 9; (M) at"),
    "declared twice": (b"x: N\nx: M\nE = sum(x)", "line 2, column 1: 'x' is declared twice"),
    "unclosed": (b"E = sum(x*x", "line 1, column 8: '(' is never closed"),
    "unknown function": (b"E = sun(x)", "line 1, column 5: unknown function 'sun'"),
    "function of elsewhere": (b"E = sum(swish(x))", "here it is called silu"),
    "caret": (b"x^2", "line 1, column 2: '^' is not allowed"),
    "import": (b"import os", "line 1, column 1: 'import' is a word of Python"),
    "dunder": (b"__import__('os').system('id')", "line 1, column 1: '__import__' begins with _"),
    "nul": (b"E = sum(x)\0", "line 1, column 11: U+0000 is not allowed"),
    "bidi": ("\u202eE = x".encode(), "line 1, column 1: U+202E"),
    "look-alike": ("E = sum(\u0445)".encode(), "line 1, column 9: U+0445"),
    "escape": (b"\x1b[31mE = x", "line 1, column 1: U+001B"),
    "binary": (b"\x7fELF\xff\xfe\0" * 100, "is not UTF-8 text: byte 0xff at offset 4"),
    "long": (LONG, "longer than 64000 bytes"),
    "too long": (b"x" * 10_000_000, "the limit is 1000000 bytes"),
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty"),
    "deep": (b"(" * 5000 + b"x" + b")" * 5000, "nested deeper than 100"),
    "tower": (b"x*10**10**10", "line 1, column 5: a tower of powers"),
    "axes": (b"x: N,N,N,N,N,N,N,N,N\nsum(x)", "line 1, column 1: more than 8 axes"),
    "tokens": (b"x" + b"+x" * 5000, "more than 5000 tokens"),
    "lines": (b"".join(b"v%d = x\n" % n for n in range(300)), "200"),
    "last line": (b"x: N", "line 1, column 1: the last line is a declaration"),
    "other name": (b"E = sum(y)", "cannot differentiate with respect to 'x'"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_hostile_texts(case: str, terminal: Terminal) -> None:
    content, message = TEXTS[case]
    path = terminal.folder / "program.txt"
    path.write_bytes(content)
    assert message in terminal.refused("derive", "--file", "program.txt", "--wrt", "x", "-o", "out.txt")
    assert message in terminal.refused("derive", "-", "--wrt", "x", stdin=content)
    assert message in terminal.refused("kernel", "-", "--wrt", "x", stdin=content)
    argument = os.fsdecode(content)
    if case not in ("binary", "too long"):
        assert message in terminal.refused("derive", argument, "--wrt", "x", "--format", "json")
    if case in ("shapes", "unclosed", "nul", "long"):
        assert message in terminal.refused("train", "--net", argument)


def test_hostile_options(terminal: Terminal) -> None:
    (terminal.folder / "old.txt").write_text("old")
    (terminal.folder / "folder").mkdir()
    long = "a" * 5000
    for arguments in (
        ["--wrt", "x,y\x1b[31m"],
        ["--wrt", "\udcff"],
        ["--wrt", long],
        ["--wrt", "x", "--shape", "x=onehat N"],
        ["--wrt", "x", "--shape", "x=" + "N," * 9000],
        ["--wrt", "x", "--shape", f"{long}=N"],
        ["--wrt", "x", "--shape", "x y=N"],
        ["--wrt", "x", "--layout", "numerater"],
        ["--wrt", "x", "--nonsense"],
        ["--wrt", "x", "-Z"],
        ["--wrt", "x", "-o", "folder"],
        ["--wrt", "x", "-o", "missing/out.txt"],
        ["--wrt", "x", "-o", long],
        ["--wrt", "x", "-o", "a\0b"],
        ["--wrt", "y", "-o", "old.txt"],
    ):
        terminal.refused("derive", "sum(x)", *arguments)
    for path in ("folder", "missing", "a\0b", long, os.devnull):
        terminal.refused("derive", "--file", path, "--wrt", "x")
    terminal.refused("gallery", "\x1b]0;title\x07" + long)
    terminal.refused("kernel", "sum(x)", "--wrt", "x", "--batch", "y")


def test_a_name_or_a_file_put_in_a_programs_place_is_recognised(terminal: Terminal) -> None:
    (terminal.folder / "net.txt").write_text(NET)
    assert "a file? derivkit derive --file net.txt" in terminal.refused("derive", "net.txt", "--wrt", "W")
    assert "derivkit gallery ridge | derivkit kernel - ..." in terminal.refused("kernel", "ridge", "--wrt", "W")
    assert 'a file? derivkit train --net "$(cat net.txt)"' in terminal.refused("train", "--net", "net.txt")


def test_an_old_file_is_replaced_only_by_a_whole_one(terminal: Terminal) -> None:
    path = terminal.folder / "out.txt"
    path.write_text("old")
    terminal.refused("derive", "sum(x", "--wrt", "x", "-o", "out.txt")
    assert terminal.done("derive", "sum(x)", "--wrt", "x", "-o", "out.txt") == ""
    assert path.read_text() == terminal.done("derive", "sum(x)", "--wrt", "x", "-o", "-")
    assert [p.name for p in terminal.folder.iterdir()] == ["out.txt"]


# -- processes -----------------------------------------------------------------------------------------------------------


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command in which ``derivkit`` is the one that is tested."""
    start = f"derivkit() {{ '{sys.executable}' -m derivkit \"$@\"; }}\n"
    return subprocess.run(["/bin/sh", "-c", start + command], capture_output=True, text=True, check=False, cwd=folder)


needs_shell = pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a POSIX shell")


@needs_shell
def test_pipes(tmp_path: Path) -> None:
    done = shell("derivkit gallery two_layer_tanh | derivkit derive - --wrt W1 --format program", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("dE_dW1 = outer((W2.T @ (y - t)) * (1 - h**2), x)\n")
    done = shell("(derivkit gallery; echo $? >&2) | head -n 1", tmp_path)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "0\n")
    done = shell("(derivkit derive 'sum(x)' --wrt x; echo $? >&2) | :", tmp_path)
    assert (done.stdout, done.stderr) == ("", "0\n")
    done = shell("derivkit derive - --wrt x <&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "derivkit: error: standard input is closed\n"


@needs_shell
def test_a_fresh_process_refuses_quickly(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(10_000_000))
    (tmp_path / "long").write_bytes(LONG)
    for command in ("derive --file zeros --wrt x", "derive --file long --wrt x", "derive - --wrt x < zeros"):
        started = time.perf_counter()
        done = shell(f"derivkit {command}", tmp_path)
        assert time.perf_counter() - started < patience()
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@needs_shell
def test_a_traceback_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    quiet, asked = (shell(f"derivkit derive 'sum(x)' --wrt y {option}", tmp_path) for option in ("", "--debug"))
    assert quiet.returncode == asked.returncode == 2
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in asked.stderr
    assert asked.stderr.endswith(quiet.stderr)


@pytest.mark.parametrize(("word", "meant"), [("tex", "latex"), ("md", "markdown"), ("py", "python"), ("htm", "html")])
def test_a_format_by_another_word_is_recognised(word, meant, tmp_path):
    done = shell(f"derivkit derive 'E = sum(x**2)' --wrt x --format {word}", tmp_path)
    assert done.returncode == 2
    assert f"did you mean '{meant}'?" in done.stderr
