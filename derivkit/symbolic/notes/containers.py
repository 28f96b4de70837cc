r"""What a document is made of, line by line: text, blocks of formulas, lines for derivkit; comments and code are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from derivkit.symbolic.notes.traced import Traced, joined

_LATEX = re.compile(r"\\documentclass|\\begin\{document\}|\\(?:sub)*section\*?\{|\\usepackage|\\chapter\*?\{|\\paragraph\{")
_MARKDOWN = re.compile(r"\A---\n|^```|^#{1,6} |^\.\. math::", re.MULTILINE)
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*\{?[ \t]*([A-Za-z0-9_+.-]*)")
_RST = re.compile(r"([ \t]*)\.\. math::(.*)")
_RST_CODE = re.compile(r"([ \t]*)\.\. (?:code|code-block|literalinclude|sourcecode|parsed-literal)::")
_OPTION = re.compile(r"[ \t]*:[a-z-]+:.*")
_QUOTE = re.compile(r"[ \t]{0,3}>[ \t]?")
_SKIPPED = "verbatim|Verbatim|lstlisting|minted|comment|tikzpicture|filecontents|thebibliography"
_BLOCK_SKIP = re.compile(rf"[ \t]*\\begin\{{({_SKIPPED})\*?\}}|[ \t]*(\\iffalse)\b")
_DIRECTIVE = re.compile(r"[ \t]*%+[ \t]*derivkit:[ \t]*(.*)")
_HTML_DIRECTIVE = re.compile(r"\s*derivkit:[ \t]*([^\n]*)")
_PERCENT = re.compile(r"(?<!\\)(?:\\\\)*%")


#: With what a line begins that may be more than text.
_SPECIAL = frozenset("`~.%>\\")


class Piece(NamedTuple):
    """A piece of a document: ``kind`` is ``text``, ``formula`` or ``comment-directive``."""

    kind: str
    traced: Traced


class Line(NamedTuple):
    """A line, with the newline at its end, and where it stands."""

    text: str
    start: int


def is_latex(text: str) -> bool:
    """Return whether a document is LaTeX itself, and not Markdown or plain text with formulas in it."""
    return _LATEX.search(text) is not None and _MARKDOWN.search(text) is None


def pieces(text: str, latex: bool) -> Iterator[Piece]:
    """Yield the pieces of a document in order."""
    text = text if latex else _without_html(text)
    lines = []
    at = 0
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        lines.append(Line(line, at))
        at += len(line)
    yield from _merged(_lines(lines, latex))


def directives_in_html(text: str) -> Iterator[Piece]:
    """Yield the lines for derivkit that stand in comments of HTML."""
    for start, end in _html(text):
        said = _HTML_DIRECTIVE.match(text, start + 4, end - 3)
        if said:
            yield Piece("comment-directive", Traced.whole(said.group(1).rstrip(), said.start(1)))


def _html(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the comments of HTML begin and end."""
    start = text.find("<!--")
    while start >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            return
        yield start, end + 3
        start = text.find("<!--", end + 3)


def _without_html(text: str) -> str:
    """Return the text with blanks in place of comments of HTML, so that nothing moves."""
    parts, at = [], 0
    for start, end in _html(text):
        parts += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def _merged(found: Iterator[Piece]) -> Iterator[Piece]:
    """Join pieces of text that follow each other."""
    waiting: list[Traced] = []
    for piece in found:
        if piece.kind == "text":
            waiting.append(piece.traced)
            continue
        if waiting:
            yield Piece("text", joined(waiting))
            waiting = []
        yield piece
    if waiting:
        yield Piece("text", joined(waiting))


def _lines(lines: list[Line], latex: bool) -> Iterator[Piece]:
    i, quoted = 0, False
    unclosed: set[str] = set()
    while i < len(lines):
        line = lines[i]
        if line.text.lstrip(" \t")[:1] not in _SPECIAL and not (latex and "%" in line.text):
            j = i + 1
            while j < len(lines) and lines[j].text.lstrip(" \t")[:1] not in _SPECIAL and not (latex and "%" in lines[j].text):
                j += 1
            yield Piece("text", Traced.whole("".join(plain.text for plain in lines[i:j]), line.start))
            i, quoted = j, False
            continue
        skipped = _skipped(lines, i, latex, unclosed)
        if skipped is not None:
            kind, j = skipped
            if kind == "math":
                yield from _fenced(lines[i + 1 : j - 1])
            i = j
            continue
        rst = None if latex else _RST.match(line.text)
        if rst:
            j = _indented(lines, i, len(rst.group(1).expandtabs()))
            yield from _directive_block(lines[i:j], rst)
            i = j
            continue
        said = _DIRECTIVE.match(line.text)
        if said:
            yield Piece("comment-directive", Traced.whole(said.group(1).rstrip(), line.start + said.start(1)))
            i += 1
            continue
        before = lines[i - 1].text.strip() if i else ""
        quoted = not latex and _QUOTE.match(line.text) is not None and (quoted or not before)
        yield Piece("text", _bare(line, latex, quoted))
        i += 1


def _bare(line: Line, latex: bool, quoted: bool) -> Traced:
    """Return a line without the sign of a quotation and without a comment."""
    start = 0
    while quoted and (sign := _QUOTE.match(line.text, start)):
        start = sign.end()
    whole = Traced.whole(line.text, line.start)
    comment = _PERCENT.search(line.text, start) if latex else re.compile(r"[ \t]*%").match(line.text, start)
    if comment is None:
        return whole.cut(start, len(line.text))
    if latex and not line.text[start : comment.end() - 1].strip():
        return whole.cut(start, start)
    end = comment.end() - 1
    return joined(
        [whole.cut(start, end), whole.cut(len(line.text) - 1, len(line.text)) if line.text.endswith("\n") else Traced("", ())]
    )


def _skipped(lines: list[Line], i: int, latex: bool, unclosed: set[str]) -> tuple[str, int] | None:
    """Return what a block of code at line ``i`` is, and the line behind it; ``None`` where none begins.

    ``unclosed`` are the ends that were looked for in vain: no later line has them either.
    """
    fence = None if latex else _FENCE.match(lines[i].text)
    if fence and fence.group(1) not in unclosed:
        mark = fence.group(1)
        for j in range(i + 1, len(lines)):
            stripped = lines[j].text.strip(" \t\n\r>")
            if stripped.startswith(mark) and not stripped.strip(mark[0]):
                return "math" if fence.group(2).lower() in ("math", "katex") else "code", j + 1
        unclosed.add(mark)
    block = _BLOCK_SKIP.match(lines[i].text)
    if block:
        end = rf"\end{{{block.group(1)}" if block.group(1) else "\\fi"
        for j in range(i, len(lines) if end not in unclosed else i):
            if end in lines[j].text:
                return "code", j + 1
        unclosed.add(end)
    code = None if latex else _RST_CODE.match(lines[i].text)
    return ("code", _indented(lines, i, len(code.group(1).expandtabs()))) if code else None


def _fenced(lines: list[Line]) -> Iterator[Piece]:
    parts = []
    for line in lines:
        sign = _QUOTE.match(line.text)
        whole = Traced.whole(line.text, line.start)
        parts.append(whole.cut(sign.end(), len(line.text)) if sign and "&" not in line.text[: sign.end()] else whole)
    if parts:
        yield Piece("formula", joined(parts))


def _indented(lines: list[Line], i: int, depth: int) -> int:
    """Return the line behind a block that is indented deeper than its first line."""
    j = i + 1
    while j < len(lines):
        text = lines[j].text.expandtabs()
        if text.strip() and len(text) - len(text.lstrip()) <= depth:
            break
        j += 1
    return j


def _directive_block(lines: list[Line], rst: re.Match[str]) -> Iterator[Piece]:
    """Yield the formulas of a block of reStructuredText: one for each paragraph."""
    first = Traced.whole(rst.group(2), lines[0].start + rst.start(2))
    parts = [first] if rst.group(2).strip() else []
    for line in lines[1:]:
        if _OPTION.fullmatch(line.text.rstrip("\n")):
            continue
        if line.text.strip():
            parts.append(Traced.whole(line.text, line.start))
        elif parts:
            yield Piece("formula", joined(parts))
            parts = []
    if parts:
        yield Piece("formula", joined(parts))
