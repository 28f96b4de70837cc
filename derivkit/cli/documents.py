"""Documents at the command line: the files that are named, and those in directories that are named; nothing else is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from derivkit.cli.files import STDIN, read_stdin
from derivkit.errors import DerivkitError, echo
from derivkit.limits import DOCUMENTS, DOCUMENTS_BYTES, NESTING
from derivkit.texts import as_document, document_text

#: What the documents of a directory are called.
ENDINGS = (".tex", ".ltx", ".latex", ".md", ".markdown", ".rst", ".txt")


class Source(NamedTuple):
    """A document: its path and text, or why a file of a directory cannot be read."""

    path: str
    text: str
    why: str = ""


def read_documents(given: Sequence[str]) -> list[Source]:
    """Return the documents in the order in which they were given, those of a directory sorted; each once.

    Raises DerivkitError (DK042, DK001) for a file that was named and cannot be read.  One that was only met in a directory is
    no reason not to read the others: its source says why.
    """
    sources: list[Source] = []
    seen: set[str] = set()
    left = DOCUMENTS_BYTES
    for name in given:
        for path, named in _paths(name):
            real = path if path == "-" or "\0" in path else os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            source = _named(path) if named else _met(path)
            left -= len(source.text)
            if left < 0:
                raise DerivkitError(f"more than {DOCUMENTS_BYTES} bytes of documents", code="DK001", hint="verify them in parts")
            sources.append(source)
    return sources


def _paths(name: str) -> Iterator[tuple[str, bool]]:
    """Yield the files that a name stands for, and whether they were named themselves."""
    if name == "-" or "\0" in name or not os.path.isdir(name):
        yield name, True
        return
    found = sorted(_within(name))
    if not found:
        hint = f"documents end in {' '.join(ENDINGS)}"
        raise DerivkitError(f"no documents in the directory '{echo(name)}'", code="DK042", hint=hint)
    yield from ((path, False) for path in found)


def _within(folder: str) -> Iterator[str]:
    """Yield the documents below a directory; no links, which may lead anywhere, and nothing hidden."""
    waiting, number = [(folder, 0)], 0
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            raise DerivkitError(f"cannot read '{echo(here)}': {error.strerror}", code="DK042") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False) and depth < NESTING:
                waiting.append((entry.path, depth + 1))
            elif entry.name.lower().endswith(ENDINGS) and stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                number += 1
                if number > DOCUMENTS:
                    raise DerivkitError(f"more than {DOCUMENTS} documents in '{echo(folder)}'", code="DK001")
                yield entry.path


def _named(path: str) -> Source:
    return Source(STDIN, as_document(read_stdin(), STDIN)) if path == "-" else Source(path, document_text(path))


def _met(path: str) -> Source:
    try:
        return _named(path)
    except DerivkitError as error:
        return Source(path, "", error.message)
