"""What is said of a document: the verdict on each of its relations, data only; the printing methods are forwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from derivkit.errors import echo
from derivkit.symbolic.notes.formula import Relation

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

#: Of the statuses that count for the share of right lines, whether they are right.  One that follows from a wrong line counts
#: neither way: a slip counts once.
COUNTED = {"right": True, "right_if": True, "wrong": False}


@dataclass(frozen=True, slots=True)
class Claim:
    """One relation of a document.

    ``line`` and ``column`` (from 1) are where its right side stands; ``text`` is the relation as its author wrote it, both sides;
    ``cause`` is a code of the table in :mod:`derivkit.checking.verify.mistakes`; ``needs`` are the assumptions without which it
    does not hold; ``correction`` is the right side in the author's notation, where one was found and checked;
    ``counterexample`` has ``sizes`` and ``values`` by name, ``left`` and ``right`` (the two sides: numbers or nested lists), and
    ``at``, the letters and numbers of the entry that they are, from 1; ``message`` is a sentence.
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
    read: Relation | None = field(default=None, compare=False, repr=False)  # how it was read, for a page that sets it


@dataclass(frozen=True, slots=True)
class Document:
    """What is said of one document: the assumptions made, and its relations in reading order.

    >>> document = Document("notes.tex", (), (Claim(1, 1, "a = a", "right"), Claim(2, 1, "a = b", "wrong")))
    >>> document.counts, document.share, bool(document)
    ({'right': 1, 'wrong': 1}, 0.5, False)
    """

    path: str
    assumptions: tuple[str, ...]
    claims: tuple[Claim, ...]

    def __bool__(self) -> bool:
        """Return whether nothing in it is wrong."""
        return not any(c.status == "wrong" for c in self.claims)

    @property
    def counts(self) -> dict[str, int]:
        """How many relations have each status."""
        return _counts(self.claims)

    @property
    def share(self) -> float | None:
        """The share of right ones among the relations that were decided; ``None`` where there is none."""
        return _share(self.counts)


@dataclass(frozen=True, slots=True, repr=False)
class Verification:
    r"""What is said of all documents, in the order in which they were given; true when nothing in them is wrong.

    >>> found = Verification((Document("notes.tex", (), (Claim(3, 5, "y = x", "wrong", "sign", correction="-x"),)),))
    >>> found
    <Verification of notes.tex: 1 wrong>
    >>> Verification.from_json(found.to_json()) == found
    True
    """

    files: tuple[Document, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(self.files)

    def __bool__(self) -> bool:
        """Return ``ok``."""
        return self.ok

    @property
    def counts(self) -> dict[str, int]:
        """How many relations of all documents have each status."""
        return _counts(c for document in self.files for c in document.claims)

    @property
    def share(self) -> float | None:
        """The share of right ones among the relations that were decided, of all documents; ``None`` where there is none."""
        return _share(self.counts)

    def text(self, **options: Any) -> str:
        """Return the report as plain text; see :func:`derivkit.checking.verify.told.to_text` for the options."""
        from derivkit.checking.verify.told import to_text

        return to_text(self, **options)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data with ``"schema": "derivkit.verify/1"``, ready for ``json.dumps``."""
        from derivkit.checking.verify.told_json import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, data: object) -> Verification:
        """Return the report that ``to_json`` wrote, from its data or from JSON text; DerivkitError (DK040) for anything else."""
        from derivkit.checking.verify.told_json import from_json

        return from_json(data)

    def html(self, **options: Any) -> str:
        """Return one self-contained HTML page; see :func:`derivkit.checking.verify.told_html.to_html` for the options."""
        from derivkit.checking.verify.told_html import to_html

        return to_html(self, **options)

    def gradescope(self, **options: Any) -> dict[str, Any]:
        """Return what Gradescope reads as ``results.json``; see :func:`derivkit.checking.verify.told_json.to_gradescope`."""
        from derivkit.checking.verify.told_json import to_gradescope

        return to_gradescope(self, **options)

    def _repr_mimebundle_(self, include: Collection[str] | None = None, exclude: Collection[str] | None = None) -> dict[str, str]:
        from derivkit.checking.verify.told_html import mime_bundle

        return mime_bundle(self, include, exclude)

    def __str__(self) -> str:
        """Return the report as plain text."""
        return self.text()

    def __repr__(self) -> str:
        """Return the counts, short."""
        named = echo(self.files[0].path) if len(self.files) == 1 else f"{len(self.files)} files"
        counts = ", ".join(f"{number} {STATUSES[status]}" for status, number in self.counts.items())
        return f"<Verification of {named}: {counts or 'no formula'}>"


def _counts(claims: Iterable[Claim]) -> dict[str, int]:
    found = Counter(c.status for c in claims)
    return {status: found[status] for status in STATUSES if found[status]}


def _share(counts: Mapping[str, int]) -> float | None:
    decided = sum(counts.get(status, 0) for status in COUNTED)
    return sum(counts.get(status, 0) for status, right in COUNTED.items() if right) / decided if decided else None
