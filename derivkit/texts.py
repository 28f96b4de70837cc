"""Files of text: regular ones only, their size checked before they are read, UTF-8."""

from __future__ import annotations

import os
import stat

from derivkit.errors import DerivkitError, echo
from derivkit.limits import FILE_BYTES

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_regular(path: str) -> bytes:
    """Return the content of a regular file of at most ``FILE_BYTES``; DK042 or DK001 for anything else."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DerivkitError(f"cannot read '{echo(path)}': not a regular file", code="DK042")
            if status.st_size > FILE_BYTES:
                raise too_long(f"'{echo(path)}' has {status.st_size} bytes")
            return file.read(FILE_BYTES + 1)
    except DerivkitError:
        raise
    except (OSError, ValueError) as error:
        raise DerivkitError(f"cannot read '{echo(path)}': {why(error)}", code="DK042") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe put in a file's place at once, to be refused; opened as usual it would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes, name: str) -> str:
    """Return UTF-8 text, with or without a byte order mark, its lines ended by newlines; DK042 for anything else."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}"
        hint = "it looks like UTF-16; save it as UTF-8" if data.startswith(_UTF16) else None
        raise DerivkitError(message, code="DK042", hint=hint) from error


def document_text(path: str) -> str:
    """Return the text of a document: a regular file of UTF-8 without NUL characters.

    >>> document_text("no/such/file")
    Traceback (most recent call last):
        ...
    derivkit.errors.DerivkitError: cannot read 'no/such/file': No such file or directory
    """
    return as_document(read_regular(path), f"'{echo(path)}'")


def as_document(data: bytes, name: str) -> str:
    """Return the text of a document; ``name`` is what it is called in an error."""
    text = decode(data, name)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DerivkitError(f"{name} is no text: U+0000 in line {line}", code="DK042")
    return text


def too_long(seen: str) -> DerivkitError:
    """Return the error for more than ``FILE_BYTES``."""
    return DerivkitError(f"{seen}; the limit is {FILE_BYTES} bytes", code="DK001")


def why(error: Exception) -> str:
    """Return the reason of an error of the system."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
