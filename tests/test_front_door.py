"""The front door and the command line: lazy, small, checked, and polite to whoever knocks with the wrong thing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from timing import patience

import derivkit
from derivkit.cli import main
from derivkit.cli.arguments import read_arguments
from derivkit.cli.commands import CHECKS, COMMANDS, KINDS
from derivkit.cli.files import write_output
from derivkit.errors import CODES, DerivkitError

HEAVY = {"sympy", "numpy", "mpmath", "scipy", "pytest", "hypothesis"}
DERIVE = COMMANDS[0]


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_all_is_what_the_door_knows() -> None:
    assert set(derivkit.__all__) == set(derivkit._HOME) | {"__version__"}
    assert len(derivkit.__all__) == len(set(derivkit.__all__))
    assert set(derivkit.__all__) <= set(dir(derivkit))


@pytest.mark.parametrize("name", derivkit.__all__)
def test_every_public_name_opens(name: str) -> None:
    value = getattr(derivkit, name)
    assert value is getattr(derivkit, name)
    if callable(value):
        assert value.__doc__, f"{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'derve'"):
        derivkit.derve  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import derivkit",
        "import derivkit; dir(derivkit); derivkit.DerivkitError",
        "from derivkit.cli import main; main(['--help']); main(['--version']); main(['derive', '--help']); main(['nonsense'])",
    ],
)
def test_the_door_loads_nothing_heavy(code: str) -> None:
    done = python("-c", f"import sys; {code}; print('loaded:', *({HEAVY!r} & set(sys.modules)))")
    assert done.stdout.splitlines()[-1] == "loaded:", done.stderr


def test_the_pytest_plugin_loads_nothing_heavy() -> None:
    done = python("-c", "import sys, derivkit.pytest_plugin; print('loaded:', *({'sympy', 'numpy'} & set(sys.modules)))")
    assert done.stdout == "loaded:\n", done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_is_quick(arguments: list[str]) -> None:
    def best(*command: str) -> float:
        spans = []
        for _ in range(5):
            started = time.perf_counter()
            assert python(*command).returncode == 0
            spans.append(time.perf_counter() - started)
        return min(spans)

    assert best("-m", "derivkit", *arguments) - best("-c", "pass") < patience(0.1)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_names_every_option(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command.name, "--help"]) == 0  # type: ignore[attr-defined]
    printed = capsys.readouterr()
    assert printed.err == ""
    assert all(option.name in printed.out for option in command.options)  # type: ignore[attr-defined]
    assert all(len(line) <= 110 for line in printed.out.splitlines())


USAGE = {
    "nothing": ([], "no command given"),
    "command": (["derivee"], "unknown command 'derivee'"),
    "global option": (["--hepl"], "unknown option '--hepl'"),
    "option": (["derive", "x", "--wtr", "x"], "unknown option '--wtr'"),
    "short option": (["derive", "x", "-q"], "unknown option '-q'"),
    "no program": (["derive", "--wrt", "x"], "no program given"),
    "no wrt": (["derive", "sum(x)"], "--wrt is missing"),
    "no value": (["derive", "sum(x)", "--wrt"], "--wrt needs a value"),
    "option for a value": (["derive", "sum(x)", "--wrt", "--lemmas"], "--wrt needs a value"),
    "empty value": (["derive", "sum(x)", "--wrt="], "--wrt needs a value"),
    "empty name": (["derive", "sum(x)", "--wrt", "x,,y"], "--wrt needs names"),
    "value for a flag": (["derive", "sum(x)", "--lemmas=yes"], "--lemmas takes no value"),
    "twice": (["derive", "sum(x)", "--wrt", "x", "--wrt", "y"], "--wrt was given twice"),
    "choice": (["derive", "sum(x)", "--wrt", "x", "--layout", "numerater"], "--layout cannot be 'numerater'"),
    "a kind that is none": (["derive", "x", "--wrt", "x", "--kind", "hesian"], "--kind cannot be 'hesian'"),
    "an empty direction": (["derive", "x", "--wrt", "x", "--along", ","], "--along needs names"),
    "operators as a program": (
        ["derive", "x", "--wrt", "x", "--format", "program", "--notation", "operator"],
        "--notation operator has no meaning with --format program",
    ),
    "no point": (["derive", "x", "--wrt", "x", "--at", "x"], "--at needs NAME=VALUE, not 'x'"),
    "a word at a point": (["derive", "x", "--wrt", "x", "--at", "x=one"], "'one' is no value for 'x'"),
    "a point in LaTeX": (["derive", "x", "--wrt", "x", "--at", "x=1", "--format", "latex"], "--at has no meaning"),
    "no number": (["cost", "x", "--sizes", "D=many"], "--sizes needs NAME=NUMBER, from 1 to 2147483648, not 'D=many'"),
    "no document": (["verify"], "no document given"),
    "option before a document": (["verify", "-x", "notes.tex"], "unknown option '-x'"),
    "no jobs": (["verify", "notes.tex", "--jobs", "0"], "--jobs must be a whole number from 1 to 256, not '0'"),
    "points of text": (["verify", "notes.tex", "--points", "10"], "--points has no meaning with --format text"),
    "no points": (["verify", "notes.tex", "--format", "gradescope", "--points", "nan"], "--points must be a positive number"),
    "a shape without a name": (["verify", "notes.tex", "--shape", "K"], "--shape needs NAME=KIND SIZES, not 'K'"),
    "no such document": (["verify", "no/such/file.tex"], "cannot read 'no/such/file.tex'"),
    "two gradients": (["check", "a:f", "a:g", "a:h"], "unexpected argument 'a:h'"),
    "two programs": (["derive", "sum(x)", "sum(y)", "--wrt", "x"], "unexpected argument 'sum(y)'"),
    "program twice": (["derive", "sum(x)", "--file", "x.txt", "--wrt", "x"], "a program and --file"),
    "shape": (["derive", "sum(x)", "--wrt", "x", "--shape", "D"], "--shape needs NAME=SIZES"),
    "shape twice": (["derive", "sum(x)", "--wrt", "x", "--shape", "x=D", "--shape", "x=E"], "--shape was given twice"),
    "a file": (["derive", "pyproject.toml", "--wrt", "x"], "expected 'T' after the dot, saw 'toml'"),
    "a name of the gallery": (["kernel", "two_layer_tanh", "--wrt", "W1"], "the program has no such name"),
    "reduce without batch": (["kernel", "sum(x)", "--wrt", "x", "--reduce", "sum"], "--reduce has no meaning without --batch"),
    "steps of json": (["derive", "sum(x)", "--wrt", "x", "--format", "json", "--steps", "none"], "--steps has no meaning"),
    "no such file": (["derive", "--file", "no/such/file", "--wrt", "x"], "cannot read 'no/such/file'"),
    "null in a path": (["derive", "--file", "a\0b", "--wrt", "x"], "cannot read"),
    "folder for a file": (["derive", "--file", ".", "--wrt", "x"], "cannot read '.'"),
    "no folder": (["derive", "sum(x)", "--wrt", "x", "-o", "no/such/file"], "its folder does not exist"),
    "output is a folder": (["derive", "sum(x)", "--wrt", "x", "-o", "."], "not a regular file"),
    "output is a device": (["derive", "sum(x)", "--wrt", "x", "-o", os.devnull], "not a regular file"),
    "train takes no program": (["train", "sum(x)"], "unexpected argument"),
    "epochs": (["train", "--epochs", "0"], "--epochs must be"),
    "rate": (["train", "--lr", "nan"], "--lr must be"),
    "seed": (["train", "--seed", "١٢x"], "--seed must be"),
    "sizes": (["train", "--sizes", "M=0"], "--sizes needs NAME=NUMBER"),
    "sizes twice": (["train", "--sizes", "M=3,M=4"], "--sizes was given twice for 'M'"),
    "sizes of nothing": (["train", "--sizes", "Q=3"], "the net has no size 'Q'"),
    "a size of the data": (["train", "--sizes", "D=3"], "size D is 3, but the data's x has 64"),
    "net without x": (["train", "--net", "ridge"], "the net has no input 'x'"),
    "net without parameters": (["train", "--net", "E = sum(x*t)"], "the net has no parameters"),
    "net with a constant": (["train", "--net", "c: positive\nE = c*sum(t*x)"], "'c' is positive, and only real parameters"),
    "data of no kind": (["train", "--data", "digit"], "cannot tell what 'digit' holds"),
    "null in an output": (["derive", "sum(x)", "--wrt", "x", "-o", "a\0b"], "its folder does not exist"),
    "control characters": (["derive\x1b[31m\u202e"], "unknown command 'derive\\u001b[31m\\u202e'"),
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0].startswith("derivkit: error: ")
    assert message in lines[0]
    assert len(lines) <= 4
    assert sum("derivkit: error:" in line for line in lines) == 1


def test_the_kinds_offered_are_those_that_exist() -> None:
    assert set(KINDS) == set(import_module("derivkit.symbolic.derive.kinds").KINDS)
    assert set(CHECKS) == set(import_module("derivkit.checking.many").KINDS)


def test_debug_shows_the_traceback() -> None:
    done = python("-m", "derivkit", "derive", "sum(x)", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "--wrt is missing" in done.stderr


@pytest.mark.parametrize("text", ["-sum(t*log(y))", "-x", "--x**2", "-(x)", "−x", "-", "x"])
def test_the_program_may_start_with_a_minus(text: str) -> None:
    for words in ([text, "--wrt", "y"], ["--wrt", "y", text], ["--wrt=y", "--", text]):
        found = read_arguments(DERIVE, words)
        assert (found.positional, found.names("--wrt")) == (text, ["y"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"x" * 1_000_001, "the limit is 1000000 bytes"), (b"sum(x)\n\xff", "not UTF-8 text: byte 0xff at offset 7")],
    ids=["long", "not text"],
)
def test_what_is_read_is_checked_first(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "program.txt"
    path.write_bytes(content)
    from_file = python("-m", "derivkit", "derive", "--file", str(path), "--wrt", "x")
    with path.open("rb") as stdin:
        from_stdin = python("-m", "derivkit", "derive", "-", "--wrt", "x", stdin=stdin)
    for done in (from_file, from_stdin):
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_put_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = python("-m", "derivkit", "derive", "--file", str(tmp_path / "pipe"), "--wrt", "x", timeout=20)
    assert done.returncode == 2
    assert "not a regular file" in done.stderr


def test_output_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    path.chmod(0o600)
    assert main(["--version"]) == 0
    assert main(["derive", "sum(x)", "-o", str(path)]) == 2
    assert path.read_text() == "old"
    with pytest.raises(DerivkitError, match="cannot write"):
        write_output(str(path), "new \ud800")
    assert path.read_text() == "old"
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    write_output(str(link), "∂E/∂x\n")
    assert (path.read_text(encoding="utf-8"), link.is_symlink(), path.stat().st_mode & 0o777) == ("∂E/∂x\n", True, 0o600)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.txt", "out.txt"]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes and signals")
def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "derivkit", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "derivkit", "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith(b"derivkit: error: cannot write to standard output")
    assert b"Traceback" not in done.stderr


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["derivkit.cli.main"], "_run", interrupted)
    assert main(["gallery"]) == 130
    assert capsys.readouterr() == ("", "derivkit: interrupted\n")


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), TypeError("a\nb" * 100), ImportError("x")])
def test_a_fault_of_ours_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty(_: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["derivkit.cli.main"], "_run", faulty)
    assert main(["gallery"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("derivkit: error: ")
    assert len(printed.err.splitlines()) <= 2


def test_a_narrow_terminal_gets_the_right_bytes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "derivkit", "derive", "--help"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert "δ" in done.stdout.decode("utf-8")


def test_the_codes_are_stable_in_form() -> None:
    assert all(code.startswith("DK") and len(code) == 5 for code in CODES)


class Recorder:
    """Stands for the engine: every call is written down, and what it returns prints as the call."""

    def __init__(self, calls: list[tuple[str, tuple[object, ...], dict[str, object]]], name: str) -> None:
        self.calls, self.name = calls, name

    def __getattr__(self, name: str) -> Recorder:
        return Recorder(self.calls, name)

    def __call__(self, *args: object, **options: object) -> Recorder:
        self.calls.append((self.name, args, options))
        return self

    def __str__(self) -> str:
        return f"<{self.name}>"

    def endswith(self, _: str) -> bool:
        return False

    def __add__(self, text: str) -> str:
        return str(self) + text


CALLS: dict[str, tuple[list[str], list[tuple[str, tuple[object, ...], dict[str, object]]]]] = {
    "defaults": (
        ["derive", "-sum(x)", "--wrt", "x"],
        [("derive", ("-sum(x)",), {"wrt": ["x"], "shapes": {}, "kind": None}), ("text", (), {})],
    ),
    "latex": (
        (
            "derive f --wrt a,b --shape a=D --kind vjp --format latex --layout numerator --lemmas --style cases --steps brief"
        ).split(),
        [
            ("derive", ("f",), {"wrt": ["a", "b"], "shapes": {"a": "D"}, "kind": "vjp"}),
            ("latex", (), {"layout": "numerator", "steps": "brief", "lemmas": True, "style": "cases"}),
        ],
    ),
    "program": (
        ["derive", "f", "--wrt", "x", "--format", "program", "--notation", "index"],
        [("derive", ("f",), {"wrt": ["x"], "shapes": {}, "kind": None}), ("program", (), {"notation": "index"})],
    ),
    "json": (
        ["derive", "f", "--wrt", "x", "--format", "json"],
        [("derive", ("f",), {"wrt": ["x"], "shapes": {}, "kind": None}), ("to_json", (), {})],
    ),
    "python": (
        ["derive", "f", "--wrt", "x", "--format", "python"],
        [("compile", ("f",), {"wrt": ["x"], "shapes": {}, "kind": None, "batch": ()})],
    ),
    "kernel": (
        ["kernel", "f", "--wrt", "W", "--batch", "x, t", "--reduce", "sum"],
        [("compile", ("f",), {"wrt": ["W"], "shapes": {}, "batch": ("x", "t"), "reduce": "sum"})],
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), CALLS.values(), ids=CALLS)
def test_options_become_the_python_call(
    arguments: list[str], expected: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
    for name in ("derive", "compile"):
        monkeypatch.setitem(vars(derivkit), name, Recorder(calls, name))
    assert main(arguments) == 0
    assert calls == expected
    assert capsys.readouterr().out.startswith("<")
