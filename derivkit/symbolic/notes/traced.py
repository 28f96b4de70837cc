"""Text that remembers where each of its characters stood in the document, however often it is cut and mended."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from derivkit.symbolic.parse.syntax import Place


@dataclass(frozen=True, slots=True)
class Traced:
    """``text``, and for each of its characters the offset in the document that it came from.

    >>> whole = Traced.whole("a bc")
    >>> mended = whole.replaced(2, 3, "xyz")
    >>> mended.text, list(mended.origins)
    ('a xyzc', [0, 1, 2, 2, 2, 3])
    """

    text: str
    origins: Sequence[int]

    @classmethod
    def whole(cls, text: str, start: int = 0) -> Traced:
        """Return the text as it stands in the document from ``start``."""
        return cls(text, range(start, start + len(text)))

    def cut(self, start: int, end: int) -> Traced:
        """Return the characters from ``start`` to ``end``."""
        return Traced(self.text[start:end], self.origins[start:end])

    def replaced(self, start: int, end: int, new: str) -> Traced:
        """Return the text with another piece in place of one; what is new comes from where the old began."""
        return joined([self.cut(0, start), self.anchored(start, new), self.cut(end, len(self.text))])

    def anchored(self, offset: int, new: str) -> Traced:
        """Return ``new`` as if it had been written at ``offset``."""
        return Traced(new, [self.origin(offset)] * len(new))

    def origin(self, offset: int) -> int:
        """Return the offset in the document of one character; behind the last one, the one behind it."""
        if not len(self.origins):
            return 0
        if offset < len(self.origins):
            return self.origins[max(offset, 0)]
        return self.origins[len(self.origins) - 1] + 1


def joined(parts: Sequence[Traced]) -> Traced:
    """Return the parts in a row."""
    origins: list[int] = []
    for part in parts:
        origins.extend(part.origins)
    return Traced("".join(part.text for part in parts), origins)


class Lines:
    """Where the lines of a document begin: from an offset to (line, column) in logarithmic time.

    Only a newline ends a line: a form feed or a vertical tab may be what is left of a command.
    """

    __slots__ = ("starts",)

    def __init__(self, text: str) -> None:
        """Count the lines once."""
        self.starts = [0]
        at = text.find("\n")
        while at >= 0:
            self.starts.append(at + 1)
            at = text.find("\n", at + 1)

    def place(self, offset: int) -> Place:
        """Return the line and column (from 1) of an offset."""
        line = bisect_right(self.starts, offset)
        return Place(line, offset - self.starts[line - 1] + 1)
