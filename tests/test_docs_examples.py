"""Every example in README.md and docs/ runs: Python blocks, and console blocks whose printed output is compared.

``--update-golden`` writes the printed outputs of the pages anew, to be reviewed as a diff.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from derivkit.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "changelog.d").glob("*.md")),
]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\[[^\]\n]*\]\(<?([^)\s>]+)>?[^)\n]*\)|^\[[^\]\n]+\]: *(\S+)", re.MULTILINE)
#: What rounding decides: error sizes, and how many evaluations it took to be sure of them.
ROUNDING = re.compile(r"\d(?:\.\d+)?e[+-]\d+|\b\d+ evaluations")
HEADING = re.compile(r"^#+ +(.*?)#* *$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block of a page."""

    language: str
    body: str
    line: int


class Shown(NamedTuple):
    """One command of a console block and the output printed under it (empty: none is shown)."""

    command: str
    output: str
    source: str


def blocks(text: str) -> Iterator[Block]:
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        body = "".join(line[indent:] if line.strip() else line for line in match["body"].splitlines(keepends=True))
        yield Block(match["language"], body, text.count("\n", 0, match.start()) + 2)


def commands(body: str) -> Iterator[Shown]:
    """Yield each ``$`` command, with the lines that it continues on and the lines shown under it."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    for part in parts:
        command, output = [], part.splitlines(keepends=True)
        source = []
        while output:
            line = output.pop(0).rstrip("\n")
            source.append(line)
            quoted = "\n".join([*command, line])
            command.append(line.removesuffix("\\") if line.endswith("\\") else line)
            # A quotation that is still open goes on in the next line, as in a shell.
            if not line.endswith("\\") and not _open_quotation(quoted):
                break
        yield Shown("\n".join(command), "".join(output), "\n".join(source))


def _open_quotation(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False


def run_command(command: str) -> str:
    """Run a pipeline of ``derivkit`` commands in this process, and return what the last one prints."""
    words = shlex.shlex(command, posix=True, punctuation_chars="|")
    words.whitespace_split, words.commenters = True, ""
    pipeline: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            pipeline.append([])
        else:
            pipeline[-1].append(word)
    printed = ""
    for program, *arguments in pipeline:
        assert program == "derivkit", f"only derivkit can be piped here, not {program}"
        output, errors = io.StringIO(), io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(printed.encode()), encoding="utf-8")
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            status = main(arguments)
        assert status < 2, errors.getvalue()  # 1: a gradient that is wrong is shown to be
        printed = output.getvalue()
    return printed


def matches(shown: str, printed: str) -> bool:
    """Return whether the output is as shown; ``...`` stands for anything, and what rounding decides is not compared."""
    pair = ("\n".join(line.rstrip() for line in text.strip("\n").splitlines()) for text in (shown, printed))
    want, got = (ROUNDING.sub("#", text) for text in pair)
    return re.fullmatch(".*?".join(re.escape(piece) for piece in want.split("...")), got, re.DOTALL) is not None


class Checker(doctest.OutputChecker):
    """Compares as ``matches`` does; keeps what was printed, for the page that is written anew."""

    def __init__(self) -> None:
        self.printed: list[str] = []

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        self.printed.append(got)
        return matches(want.replace("<BLANKLINE>", ""), got)


def run_doctest(block: Block, namespace: dict[str, object], name: str, update: bool) -> str:
    """Run a block of ``>>>`` examples; return it with the outputs as they were printed."""
    test = doctest.DocTestParser().get_doctest(block.body, namespace, name, name, block.line - 1)
    report, checker = io.StringIO(), Checker()
    runner = doctest.DocTestRunner(checker)
    runner.run(test, out=report.write, clear_globs=False)
    namespace.update(test.globs)
    raised = len(checker.printed) < len(test.examples)
    assert runner.failures == 0 or (update and not raised), report.getvalue()
    lines, made, last = block.body.splitlines(keepends=True), "", 0
    for example, got in zip(test.examples, checker.printed, strict=True):
        start = example.lineno + example.source.count("\n")
        keep = "..." in example.want or matches(example.want, got)
        made += "".join(lines[last:start]) + (example.want if keep else re.sub(r"^\n", "<BLANKLINE>\n", got, flags=re.MULTILINE))
        last = start + example.want.count("\n")
    return made + "".join(lines[last:])


def run_console(block: Block, update: bool) -> str:
    """Run the ``derivkit`` commands of a console block; return it with the outputs as they were printed."""
    made = ""
    for shown in commands(block.body):
        output = shown.output
        if shown.command.split()[0] == "derivkit":
            printed = run_command(shown.command)
            fits = matches(output, printed) or (not output.strip() and not update)
            assert update or fits, f"{shown.command}\nprints\n{printed}"
            output = output if fits or "..." in output else printed.strip("\n") + "\n"
        made += f"$ {shown.source}\n{output}"
    return made


def run_page(text: str, name: str, update: bool = False) -> tuple[int, str]:
    """Run every block of a page, in order and in one namespace; return how many there were, and the page as it should be."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    count = 0
    for block in blocks(text):
        made = block.body
        if block.language == "python" and ">>>" in block.body:
            made = run_doctest(block, namespace, name, update)
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.body, name, "exec"), namespace)
        elif block.language == "console":
            made = run_console(block, update)
        else:
            continue
        text = text.replace(block.body, made, 1)
        count += 1
    return count, text


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_example_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    _, made = run_page(text, str(page.relative_to(ROOT)), update_golden)
    if update_golden and made != text:
        page.write_text(made, encoding="utf-8")


@pytest.mark.parametrize(("path", "page"), [("PAGE", "page"), ("RULES_PAGE", "rules_page")])
def test_the_tables_are_on_their_pages(path: str, page: str, update_golden: bool) -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    if update_golden:
        generate[path].write_text(generate[page](), encoding="utf-8")
    assert generate[path].read_text(encoding="utf-8") == generate[page](), "run: python docs/generate.py"


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    plain = FENCE.sub("", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(plain)}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    for target in (first or second for first, second in LINK.findall(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def test_relative_links_resolve() -> None:
    assert {page.name: found for page in PAGES if (found := broken_links(page))} == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One thing, or two\n[a](#one-thing-or-two) [b](no.md) [c](page.md#x) [d](https://e.org) `[e](no2.md)`\n\n[f]: no3.md\n"
    )
    assert broken_links(page) == ["no.md", "page.md#x", "no3.md"]


GOOD = """
```python
x = 1
```

- in a list
  ```python
  assert x == 1
  ```

```python
>>> x + 1
2
```

```console
$ derivkit --version
derivkit ...
$ derivkit derive \\
    --help
usage: derivkit derive...
  PROGRAM ...
$ ls
```
"""


def test_a_page_runs_in_one_namespace() -> None:
    assert run_page(GOOD, "good") == (4, GOOD)


def test_a_page_is_written_anew() -> None:
    old = "```python\n>>> 1 + 1\n3\n\n>>> print('a\\n\\nb')\n```\n\n```console\n$ derivkit gallery relu\nold\n```\n"
    new = run_page(old, "old", update=True)[1]
    assert ">>> 1 + 1\n2\n\n>>> print" in new
    assert "a\n<BLANKLINE>\nb\n```" in new
    assert "y = relu(x)\n```" in new
    assert run_page(new, "new") == (2, new)


def test_what_rounding_decides_is_not_compared() -> None:
    assert matches("worst error 3e-16 (19 evaluations)", "worst error 2e-16 (21 evaluations)")
    assert not matches("worst error 3e-16", "worst error")
    assert not matches("1.5", "1.6")


@pytest.mark.parametrize(
    "text",
    [
        "```python\nassert False\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
        "```console\n$ derivkit --version\nderivkit 99\n```\n",
        "```console\n$ derivkit nonsense\n```\n",
    ],
)
def test_a_wrong_example_fails(text: str) -> None:
    with pytest.raises(AssertionError):
        run_page(text, "wrong")


def test_commands_are_read_as_a_shell_would() -> None:
    assert list(commands("$ derivkit derive 'x: D\nsum(x)' --wrt x\nout\n$ derivkit a | derivkit b -\n")) == [
        Shown("derivkit derive 'x: D\nsum(x)' --wrt x", "out\n", "derivkit derive 'x: D\nsum(x)' --wrt x"),
        Shown("derivkit a | derivkit b -", "", "derivkit a | derivkit b -"),
    ]
