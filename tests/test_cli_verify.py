"""``derivkit verify`` at the command line: what is read and what is not, formats, exit codes, many documents at a time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_cli import Terminal
from test_html import well_formed

import derivkit as dk
from derivkit.checking.verify import explain, notes
from derivkit.checking.verify.findings import Claim, Document, Verification
from derivkit.cli import documents, main, verify
from derivkit.limits import FILE_BYTES

LINES = {"right", "wrong", "definition", "undecided", "unread", "follows"}


def judged(path: str, text: str) -> Document:
    """Return what is said of a document whose lines say themselves what they are."""
    claims = []
    for number, line in enumerate(text.splitlines(), 1):
        if (status := line.partition(" ")[0]) in LINES:
            cause = "sign" if status == "wrong" else None
            claims.append(Claim(number, 1, line, status, cause, message=f"because of {path}", source=line))
    return Document(path, ("assumed of it",) if claims else (), tuple(claims))


def stub(
    sources: Sequence[tuple[str, str]],
    *,
    shapes: Mapping[str, str] | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Stand in for the judge: the same order whatever the executor."""
    SEEN.append((list(sources), dict(shapes or {}), executor))
    if executor is None:
        found = [judged(*source) for source in sources]
    else:
        found = [future.result() for future in [executor.submit(judged, *source) for source in sources]]
    for n in range(len(sources)):
        if progress is not None:
            progress(n + 1, len(sources))
    return Verification(tuple(found))


SEEN: list[Any] = []


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    SEEN.clear()
    monkeypatch.setattr(notes, "verify_documents", stub)
    yield SEEN
    SEEN.clear()


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    return Terminal(capsys, monkeypatch, tmp_path)


@pytest.fixture
def shell(terminal: Terminal, judge: list[Any]) -> Terminal:
    """A terminal whose judge is the stub."""
    return terminal


# -- exit codes ----------------------------------------------------------------------------------------------------------

#: The lines of a document, and the exit code without and with --strict.
EXITS = {
    "right": ("right", 0, 0),
    "a definition alone": ("definition", 0, 0),
    "undecided": ("right\nundecided", 0, 1),
    "undecided alone": ("undecided", 0, 1),
    "one not read": ("right\nunread", 0, 1),
    "wrong": ("right\nwrong\nfollows\nundecided", 1, 1),
    "nothing read": ("unread\nunread", 2, 2),
    "no formula": ("words", 2, 2),
    "empty": ("", 2, 2),
}


@pytest.mark.parametrize(("text", "loose", "strict"), EXITS.values(), ids=EXITS)
def test_exit_codes(text: str, loose: int, strict: int, shell: Terminal) -> None:
    Path("notes.tex").write_text(text)
    for options, code in (((), loose), (("--strict",), strict)):
        for style in ("text", "json", "html", "gradescope"):
            status, out, err = shell.run("verify", "notes.tex", "--format", style, *options)
            assert status == code
            assert bool(out) == (code < 2) == (not err)


def test_what_cannot_be_read_at_all_is_one_line_with_its_place(shell: Terminal) -> None:
    Path("bad.tex").write_text("words\nunread $\\frac$")
    error = shell.refused("verify", "bad.tex", "-o", "out.txt")
    assert error.startswith("derivkit: error: line 2, column 1: nothing in 'bad.tex' can be read: because of bad.tex\n")
    assert "  unread $\\frac$\n  ^" in error
    Path("none.tex").write_text("words")
    assert "no formula in 'none.tex'" in shell.refused("verify", "none.tex")
    assert "no formula in '2 files'" in shell.refused("verify", "none.tex", "-", stdin=b"words")


# -- formats -------------------------------------------------------------------------------------------------------------


def test_every_format_says_the_same(shell: Terminal) -> None:
    Path("a.tex").write_text("right\nwrong\n")
    Path("b.md").write_text("undecided\n")
    expected = Verification((judged("a.tex", "right\nwrong\n"), judged("b.md", "undecided\n")))
    status, text, _ = shell.run("verify", "a.tex", "b.md")
    assert (status, text) == (1, str(expected) + "\n")
    made = json.loads(shell.run("verify", "a.tex", "b.md", "--format", "json")[1])
    assert Verification.from_json(made) == expected
    page = shell.run("verify", "a.tex", "b.md", "--format", "html")[1]
    assert page == expected.html()
    well_formed(page)
    grade = json.loads(shell.run("verify", "a.tex", "b.md", "--format", "gradescope", "--points", "10")[1])
    assert grade == expected.gradescope(points=10)
    assert grade["score"] == 5


@pytest.mark.parametrize("style", ["text", "json", "html", "gradescope"])
def test_a_file_gets_what_would_be_printed(style: str, shell: Terminal) -> None:
    Path("a.tex").write_text("right\nundecided\n")
    printed = shell.done("verify", "a.tex", "--format", style)
    assert shell.done("verify", "a.tex", "--format", style, "-o", "made") == ""
    assert Path("made").read_text(encoding="utf-8") == printed
    Path("a.tex").write_text("unread")
    shell.refused("verify", "a.tex", "--format", style, "-o", "made")  # and the old file stays


class Screen:
    """Standard output or error that says it is a terminal."""

    def __init__(self) -> None:
        self.text, self.encoding = "", "utf-8"

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return True


@contextmanager
def screen(monkeypatch: pytest.MonkeyPatch, name: str = "stdout") -> Iterator[Screen]:
    with monkeypatch.context() as patch:
        made = Screen()
        patch.setattr(sys, name, made)
        yield made


#: The environment, and whether a terminal gets colours.
TERMINALS = {
    "plain": ({}, True),
    "NO_COLOR": ({"NO_COLOR": "1"}, False),
    "NO_COLOR, empty": ({"NO_COLOR": ""}, True),
    "dumb": ({"TERM": "dumb"}, False),
}


@pytest.mark.parametrize(("environment", "coloured"), TERMINALS.values(), ids=TERMINALS)
def test_a_terminal_gets_colours_and_its_width(
    environment: Mapping[str, str], coloured: bool, shell: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.tex").write_text("right " + "x" * 300)
    for name, value in {"TERM": "xterm", "COLUMNS": "72", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(name, value)
    with screen(monkeypatch) as shown:
        assert main(["verify", "a.tex"]) == 0
    assert ("\x1b[32m" in shown.text) == coloured
    assert max(map(len, shown.text.replace("\x1b[32m", "").replace("\x1b[0m", "").splitlines())) == 72
    with screen(monkeypatch) as shown:
        assert main(["verify", "a.tex", "-o", "a.txt"]) == 0
    assert shown.text == ""
    assert "\x1b" not in Path("a.txt").read_text()


def test_progress_is_shown_on_a_terminal_only_and_wiped(shell: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PATIENCE", -1.0)
    monkeypatch.setattr(verify, "AGAIN", -1.0)
    for n in range(12):
        Path(f"{n}.tex").write_text("right")
    names = [f"{n}.tex" for n in range(12)]
    assert shell.run("verify", *names)[2] == ""
    with screen(monkeypatch, "stderr") as shown:
        assert main(["verify", *names]) == 0
    assert "\rverified 1 of 12" in shown.text
    assert "\rverified 12 of 12" in shown.text
    assert shown.text.endswith("\r" + " " * len("verified 12 of 12") + "\r")


# -- which documents -----------------------------------------------------------------------------------------------------


def tree(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"right {name}")


def paths(out: str) -> list[str]:
    return [file["path"] for file in json.loads(out)["files"]]


def test_a_directory_stands_for_the_documents_in_it(shell: Terminal) -> None:
    tree("c/2.tex", "c/1.md", "c/10.TXT", "c/b/1.rst", "c/a.pdf", "c/a.py", "c/.hidden.tex", "c/.git/x.tex", "z.tex")
    expected = [os.path.join("c", *name.split("/")) for name in ("1.md", "10.TXT", "2.tex", "b/1.rst")]
    assert paths(shell.done("verify", "c", "--format", "json")) == expected
    assert paths(shell.done("verify", "z.tex", "c", "z.tex", "c/2.tex", "--format", "json")) == ["z.tex", *expected]
    Path("none").mkdir()
    assert "documents end in .tex" in shell.refused("verify", "none")


def test_standard_input_is_a_document(shell: Terminal) -> None:
    tree("a.tex")
    assert "standard input\n" in shell.done("verify", "-", stdin="right\n")
    assert paths(shell.run("verify", "a.tex", "-", "--format", "json", stdin=b"wrong")[1]) == ["a.tex", "standard input"]
    assert shell.run("verify", "-", "-", stdin=b"right")[0] == 0
    assert len(SEEN[-1][0]) == 1


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_out_of_a_directory_are_not_followed(shell: Terminal) -> None:
    tree("secret.tex", "hidden/s.tex", "c/a.tex")
    Path("c/link.tex").symlink_to("../secret.tex")
    Path("c/linked").symlink_to("../hidden")
    Path("c/round").symlink_to("../c")
    assert paths(shell.done("verify", "c", "--format", "json")) == [os.path.join("c", "a.tex")]
    assert paths(shell.done("verify", "c/link.tex", "--format", "json")) == ["c/link.tex"]  # that one was named


def test_encodings(shell: Terminal) -> None:
    for text in ("\ufeffright α\r\nright\r\n", "right α\nright\n"):
        Path("a.tex").write_bytes(text.encode())
        shell.done("verify", "a.tex")
        shell.done("verify", "-", stdin=text)
    assert len({str(sources[0][1]) for sources, _, _ in SEEN}) == 1


#: What is in a file, and what is said of it.
HOSTILE = {
    "Latin-1": ("right é".encode("latin-1"), "is not UTF-8 text: byte 0xe9 at offset 6"),
    "UTF-16": ("right".encode("utf-16"), "save it as UTF-8"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0", "is not UTF-8 text: byte 0x89"),
    "zeros": (b"right\n\0\0", "is no text: U+0000 in line 2"),
    "one byte too many": (b"r" * (FILE_BYTES + 1), f"the limit is {FILE_BYTES} bytes"),
    "10 MB": (b"right\n" * 1_700_000, f"the limit is {FILE_BYTES} bytes"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(content: bytes, message: str, shell: Terminal) -> None:
    Path("bad.tex").write_bytes(content)
    Path("good.tex").write_text("right")
    assert message in shell.refused("verify", "bad.tex")
    assert message in shell.refused("verify", "-", stdin=content)
    assert message in shell.refused("verify", "good.tex", "bad.tex", "-o", "out.html", "--format", "html")
    assert not SEEN
    made = Verification.from_json(shell.done("verify", ".", "--format", "json"))  # only met: the others are verified
    bad, good = made.files
    assert (bad.path, good.counts) == (os.path.join(".", "bad.tex"), {"right": 1})
    (claim,) = bad.claims
    assert (claim.status, claim.line) == ("unread", 1)
    assert message in claim.message or content.startswith((b"\xff\xfe", b"\xfe\xff"))
    assert shell.run("verify", ".", "--strict")[0] == 1


def test_hostile_paths(shell: Terminal) -> None:
    long = "a" * 5000
    for path in ("missing.tex", "a\0b", long, os.devnull, "\x1b]0;title\x07.tex", "\udcff.tex", "\u202e.tex"):
        error = shell.refused("verify", path)
        assert "cannot read" in error
    Path("\x1b[31m.tex").write_text("words")
    Path("d").mkdir()
    Path("d/\x1b[31m.tex").write_bytes(b"\0")
    Path("d/good.tex").write_text("right")
    shell.refused("verify", "\x1b[31m.tex")
    assert "\x1b" not in shell.done("verify", "d")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(shell: Terminal) -> None:
    os.mkfifo("pipe.tex")
    assert "not a regular file" in shell.refused("verify", "pipe.tex")
    Path("good.tex").write_text("right")
    assert len(json.loads(shell.done("verify", ".", "--format", "json"))["files"]) == 1


def test_more_than_can_be_held_is_refused(shell: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    tree("c/1.tex", "c/2.tex", "c/3.tex")
    monkeypatch.setattr(documents, "DOCUMENTS", 2)
    assert "more than 2 documents in 'c'" in shell.refused("verify", "c")
    monkeypatch.setattr(documents, "DOCUMENTS", 3)
    shell.done("verify", "c")
    monkeypatch.setattr(documents, "DOCUMENTS_BYTES", 20)
    assert "more than 20 bytes of documents" in shell.refused("verify", "c")


def test_nothing_but_the_documents_is_opened(shell: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    tree("c/a.tex", "c/b.tex", "other.tex")
    opened: list[str] = []
    reads = documents.document_text

    def read(path: str) -> str:
        opened.append(path)
        return reads(path)

    monkeypatch.setattr(documents, "document_text", read)
    shell.done("verify", "c")
    assert opened == [os.path.join("c", "a.tex"), os.path.join("c", "b.tex")]


# -- shapes and jobs -----------------------------------------------------------------------------------------------------


def test_shapes_are_handed_on(shell: Terminal) -> None:
    tree("a.tex")
    shell.done("verify", "a.tex", "--shape", "t=onehot K", "--shape", "W = K, M")
    assert SEEN[-1][1] == {"t": "onehot K", "W": "K, M"}
    assert "--shape was given twice for 't'" in shell.refused("verify", "a.tex", "--shape", "t=K", "--shape", "t=M")


def test_the_report_does_not_depend_on_the_jobs(shell: Terminal) -> None:
    tree(*(f"c/{n}.tex" for n in range(7)))
    Path("c/3.tex").write_text("wrong")
    Path("c/4.tex").write_bytes(b"\0")
    alone = shell.run("verify", "c")
    assert SEEN[-1][2] is None
    assert alone[0] == 1
    assert shell.run("verify", "c", "--jobs", "2") == alone
    assert SEEN[-1][2] is not None


def test_an_interrupt_ends_the_workers_too(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(sources: Any, *, executor: Executor, **_: Any) -> Verification:
        futures = [executor.submit(time.sleep, 600) for _ in sources]
        while not any(future.running() for future in futures):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(notes, "verify_documents", interrupted)
    tree("c/1.tex", "c/2.tex", "c/3.tex")
    status, out, err = terminal.run("verify", "c", "--jobs", "2")
    assert (status, out, err) == (130, "", "derivkit: interrupted\n")


def test_any_executor_will_do() -> None:
    sources = [(f"{n}.tex", "right\nwrong") for n in range(5)]
    with ThreadPoolExecutor(3) as executor:
        assert stub(sources, executor=executor) == stub(sources)


# -- explain -------------------------------------------------------------------------------------------------------------


def test_a_line_is_explained(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def explained(text: str, line: int, *, path: str, shapes: Mapping[str, str]) -> str:
        asked.append((text, line, path, shapes))
        return "the derivation"

    monkeypatch.setattr(explain, "explain_line", explained)
    tree("a.tex", "c/1.tex", "c/2.tex")
    assert terminal.done("verify", "a.tex", "--explain", "3", "--shape", "t=K") == "the derivation\n"
    assert asked == [("right a.tex", 3, "a.tex", {"t": "K"})]
    assert "is for one document, not 2" in terminal.refused("verify", "c", "--explain", "3")
    for line in ("0", "-1", "x", "1.5", "٣", "1" * 400):
        assert "--explain must be a whole number" in terminal.refused("verify", "a.tex", "--explain", line)
    for option in (("--format", "json"), ("--strict",), ("--jobs", "2")):
        assert "has no meaning with --explain" in terminal.refused("verify", "a.tex", "--explain", "3", *option)


def test_an_error_of_the_judge_is_one_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Verification:
        raise dk.DerivkitError("'Q' is no kind", code="DK014")

    monkeypatch.setattr(notes, "verify_documents", refuse)
    tree("a.tex")
    assert "'Q' is no kind" in terminal.refused("verify", "a.tex", "--shape", "t=Q")


# -- the judge itself ----------------------------------------------------------------------------------------------------

#: Documents that want more than there is, or something else done: what is said of them.
WANTING = {
    "environments": (r"\begin{align}" * 70_000, "more than"),
    "unclosed": (r"\(" * 400_000, "more than"),
    "tags": ("[latex]" * 120_000, "no formula"),
    "prices": ("$1 " * 150_000, "no formula"),
    "deep": ("$y = " + "(" * 2000 + "x" + ")" * 2000 + "$", "nested deeper than"),
    "fractions": ("$y = " + r"\frac{1}{" * 300 + "x" + "}" * 300 + "$", "nested deeper than"),
    "a macro bomb": (
        r"\def\a{x+x}" + "".join(rf"\def\{chr(98 + n)}{{{(chr(92) + chr(97 + n)) * 3}}}" for n in range(20)) + r"$y = \u$",
        "deeper than",
    ),
    "a file": (r"$y = \input{/etc/passwd}$", "\\input is not followed"),
    "a command": (r"$y = \write18{touch pwned}$", "\\write is not followed"),
    "an escape": ("$a = \x1b[31m b$", "has no meaning in a formula"),
}


@pytest.mark.parametrize(("text", "message"), WANTING.values(), ids=WANTING)
def test_what_wants_too_much_is_refused(text: str, message: str, terminal: Terminal) -> None:
    Path("bad.tex").write_text(text)
    assert message in terminal.refused("verify", "bad.tex")


def test_many_axes_are_not_filled(terminal: Terminal) -> None:
    letters = ",".join("abcdefghijklmn")
    status, out, _ = terminal.run("verify", "-", stdin=f"$x_{{{letters}}} = x_{{{letters}}} + 0$".encode())
    assert status == 0
    assert "x has more than 8 subscripts" in out


COURSE = {
    "right.tex": (r"$E = \sum_k x_k^2$, so $\frac{\partial E}{\partial x_k} = 2 x_k$", {"right": 1, "definition": 1}),
    "wrong.tex": (r"$E = \sum_k x_k^2$, so $\frac{\partial E}{\partial x_k} = -2 x_k$", {"wrong": 1, "definition": 1}),
    "script.md": (r"$a = b \text{<script>alert(1)</script>}$ and $2 + 2 = 4$", None),
}


def test_a_course_is_verified_alike_by_one_and_by_two(terminal: Terminal) -> None:
    Path("c").mkdir()
    for name, (text, _) in COURSE.items():
        Path("c", name).write_text(text)
    status, out, err = terminal.run("verify", "c", "--format", "json")
    assert (status, err) == (1, "")
    for file, document in zip(json.loads(out)["files"], Verification.from_json(out).files, strict=True):
        expected = COURSE[os.path.basename(file["path"])][1]
        assert expected in (None, document.counts)
    assert terminal.run("verify", "c", "--format", "json", "--jobs", "2") == (status, out, err)
    page = well_formed(terminal.run("verify", "c", "--format", "html")[1])
    assert not [element for element in page.iter() if element.tag.endswith("script")]
