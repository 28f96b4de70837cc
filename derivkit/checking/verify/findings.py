"""What is said of a document: the verdict on each of its relations, data only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What a relation can be, with the words for it.
STATUSES = {
    "right": "right",
    "right_if": "right if",
    "wrong": "wrong",
    "follows": "follows, but from a wrong line",
    "definition": "definition",
    "undecided": "not decided",
    "unread": "not read",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One relation of a document.

    ``line`` and ``column`` (from 1) are where its right side stands; ``text`` is the relation as its author wrote it, both sides;
    ``cause`` is a code of the table in :mod:`derivkit.checking.verify.mistakes`; ``needs`` are the assumptions without which it
    does not hold; ``correction`` is the right side in the author's notation, where one was found and checked;
    ``counterexample`` has the sizes, the values of the names, and both sides; ``message`` is a sentence.
    """

    line: int
    column: int
    text: str
    status: str
    cause: str | None = None
    needs: tuple[str, ...] = ()
    correction: str | None = None
    counterexample: Mapping[str, Any] | None = None
    message: str = ""
    source: str = field(default="", compare=False)  # the line of the document, for the caret


@dataclass(frozen=True, slots=True)
class Document:
    """What is said of one document: the assumptions made, and its relations in reading order."""

    path: str
    assumptions: tuple[str, ...]
    claims: tuple[Claim, ...]

    def __bool__(self) -> bool:
        """Return whether nothing in it is wrong."""
        return not any(c.status == "wrong" for c in self.claims)

    @property
    def counts(self) -> dict[str, int]:
        """How many relations have each status."""
        found = Counter(c.status for c in self.claims)
        return {status: found[status] for status in STATUSES if found[status]}


@dataclass(frozen=True, slots=True)
class Verification:
    """What is said of all documents, in the order in which they were given; true when nothing in them is wrong."""

    files: tuple[Document, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(self.files)

    def __bool__(self) -> bool:
        """Return ``ok``."""
        return self.ok
