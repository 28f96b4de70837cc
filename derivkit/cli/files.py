"""Files at the command line: read with the size checked first, written whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.errors import DerivkitError, echo
from derivkit.limits import FILE_BYTES
from derivkit.texts import decode, read_regular, too_long, why

STDIN = "standard input"


def read_program(arguments: Arguments, command: str) -> str:
    """Return the program's text: the positional argument, standard input for ``-``, or the file of ``--file``."""
    path, given = arguments.get("--file"), arguments.positional
    if path is not None and given is not None:
        raise usage("a program and --file were both given", "leave one of them out")
    if path is None and given is None:
        raise usage("no program given", f"derivkit {command} 'sum(x**2)' --wrt x, or - for standard input, or --file PATH")
    if "-" in (path, given):
        text, source = decode(read_stdin(), STDIN), STDIN
    elif path is not None:
        text, source = decode(read_regular(path), f"'{echo(path)}'"), f"'{echo(path)}'"
    else:
        text, source = given or "", "the program"
    if not text.strip():
        raise DerivkitError(f"{source} is empty", code="DK007", hint="one line is enough: E = sum(x**2)")
    return text


@contextmanager
def helped(text: str | None, command: str) -> Iterator[None]:
    """Add to an error what was probably meant when ``text`` is no program but the name of one, or of a file."""
    try:
        yield
    except DerivkitError as error:
        if text is not None and text.isidentifier() and text in dk.gallery:
            error.hint = f"a program of the gallery? derivkit gallery {text} | derivkit {command} - ..."
        elif text is not None and len(text) < 256 and "\0" not in text and os.path.isfile(text):
            how = "--file" if command in ("derive", "kernel") else '"$(cat'
            error.hint = f"a file? derivkit {command} {how} {echo(text)}{'' if how == '--file' else chr(41) + chr(34)}"
        raise


def read_stdin() -> bytes:
    """Return standard input, at most ``FILE_BYTES`` of it."""
    if sys.stdin is None:
        raise DerivkitError(f"{STDIN} is closed", code="DK042")
    data = sys.stdin.buffer.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise too_long(f"{STDIN} is longer")
    return data


def check_output(path: str, hint: str | None = None) -> None:
    """Raise :class:`DerivkitError` (DK042) when ``path`` cannot become a file: asked before the work is done."""
    target = "" if "\0" in path else os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise DerivkitError(f"cannot write '{echo(path)}': its folder does not exist", code="DK042")
    if not os.access(folder, os.W_OK):
        raise DerivkitError(f"cannot write '{echo(path)}': its folder is not ours to write in", code="DK042")
    if os.path.lexists(target) and not os.path.isfile(target):
        raise DerivkitError(f"cannot write '{echo(path)}': not a regular file", code="DK042", hint=hint)


def write_output(path: str, content: str | bytes) -> None:
    """Write to a temporary neighbour of ``path`` and rename it: the old file stays until the new one is whole."""
    target = os.path.realpath(path)
    neighbour = os.path.join(os.path.dirname(target), f".derivkit-{os.getpid()}.tmp")
    try:
        handle = os.open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                if os.path.exists(target):
                    os.chmod(neighbour, stat.S_IMODE(os.stat(target).st_mode))
                file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(neighbour, target)
        except BaseException:
            os.unlink(neighbour)
            raise
    except (OSError, UnicodeError) as error:
        raise DerivkitError(f"cannot write '{echo(path)}': {why(error)}", code="DK042") from error
