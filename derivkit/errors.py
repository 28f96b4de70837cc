"""The one deliberate error of derivkit, and the table of its codes."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

#: Every code that a :class:`DerivkitError` may carry.  A code never changes its meaning.
CODES: dict[str, str] = {
    "DK001": "text too long",
    "DK002": "too many tokens",
    "DK003": "nested too deep",
    "DK004": "character not allowed",
    "DK005": "number out of bounds",
    "DK006": "name not allowed",
    "DK007": "syntax error",
    "DK008": "unknown name",
    "DK009": "unknown function",
    "DK010": "wrong arguments",
    "DK011": "name defined twice",
    "DK012": "shapes do not fit",
    "DK013": "shape unknown",
    "DK014": "kind not allowed",
    "DK015": "power out of bounds",
    "DK016": "too many names",
    "DK017": "rank too high",
    "DK018": "result too large",
    "DK019": "index misused",
    "DK020": "size out of bounds",
    "DK030": "cannot differentiate",
    "DK031": "unknown option",
    "DK032": "form does not exist",
    "DK033": "derivation failed its own check",
    "DK040": "bad data",
    "DK041": "missing input",
    "DK042": "bad file",
    "DK043": "missing optional dependency",
    "DK044": "singular matrix",
    "DK050": "check cannot run",
    "DK060": "wrong usage",
    "DK070": "formula not understood",
    "DK071": "formula with more than one meaning",
    "DK072": "macro out of bounds",
    "DK073": "command not followed",
    "DK074": "bracket not closed",
}

ECHO_LIMIT = 60


def echo(text: object, limit: int = ECHO_LIMIT) -> str:
    """Return ``text`` safe to print on one line: control and bidi characters escaped, cut at ``limit``.

    >>> echo("a\\nb")
    'a\\\\nb'
    """
    safe = "".join(_printable(c) for c in str(text)[: 4 * limit])
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def _printable(character: str) -> str:
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}"
    return character


class DerivkitError(ValueError):
    """Base of every deliberate error: what was seen, what was expected, what to do next.

    ``code`` is stable (``"DK012"``), ``line`` and ``column`` count from 1 (``None`` when there is no place),
    ``hint`` is one sentence or ``None``, ``source`` the offending source line.  ``str(error)`` is one line.

    >>> str(DerivkitError("unknown name 'z'", code="DK008", line=2, column=5))
    "line 2, column 5: unknown name 'z'"
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
        source: str | None = None,
    ) -> None:
        """Keep the message and its place; ``code`` must be a key of :data:`CODES`."""
        super().__init__(message)
        if code not in CODES:
            raise KeyError(code)
        self.message = message
        self.code = code
        self.line = line
        self.column = column
        self.hint = hint
        self.source = source

    def __str__(self) -> str:
        """Return the place and the message, on one line."""
        place = "" if self.line is None else f"line {self.line}, column {self.column}: "
        return place + self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the keyword arguments, and with what was noted on the way (``add_note``)."""
        notes = {"__notes__": self.__notes__} if hasattr(self, "__notes__") else None
        return (_rebuild, (type(self), self.message, self.code, self.line, self.column, self.hint, self.source), notes)

    def report(self) -> str:
        """Return what the command line prints: the error line, then at most three lines of context."""
        lines = [f"derivkit: error: {self}"]
        if self.source is not None and self.source.strip() and self.column is not None:
            start = max(0, self.column - 1 - ECHO_LIMIT // 2)
            shown = "".join(_printable(c) if c != "\t" else " " for c in self.source[start : start + ECHO_LIMIT])
            caret = len("".join(_printable(c) if c != "\t" else " " for c in self.source[start : self.column - 1]))
            lines += [f"  {shown}", f"  {' ' * caret}^"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


def _rebuild(
    cls: type[DerivkitError],
    message: str,
    code: str,
    line: int | None,
    column: int | None,
    hint: str | None,
    source: str | None,
) -> DerivkitError:
    return cls(message, code=code, line=line, column=column, hint=hint, source=source)


class DerivationError(DerivkitError):
    """A derivation line failed derivkit's own numerical check: a bug of ours, never printed as a result."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return "did you mean 'x'?" for the nearest of the ``known`` names, or ``None``.

    >>> did_you_mean("sofmax", ["softmax", "tanh"])
    "did you mean 'softmax'?"
    """
    near = difflib.get_close_matches(name[:64], sorted(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None
