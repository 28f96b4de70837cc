r"""From the text of a document to its formulas: what stands where, what had to be mended, what cannot be read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from derivkit import limits
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.notes.brackets import balanced
from derivkit.symbolic.notes.containers import Piece, directives_in_html, is_latex, pieces
from derivkit.symbolic.notes.formula import Chain
from derivkit.symbolic.notes.macros import Macro, expanded, without_definitions
from derivkit.symbolic.notes.names import labelled, multiletter
from derivkit.symbolic.notes.reader import read_chains
from derivkit.symbolic.notes.repair import Repair, repaired
from derivkit.symbolic.notes.scan import scan
from derivkit.symbolic.notes.traced import Lines, Traced
from derivkit.symbolic.parse.syntax import Place


class Unread(NamedTuple):
    """What could not be read: where, why, and how it begins."""

    line: int
    column: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    r"""A stretch of a document: ``kind`` is ``formula``, ``prose`` or ``comment-directive`` (``% derivkit: t: onehot K``).

    ``text`` is mended and expanded; :meth:`place` leads from an offset in it to the line and column in the document.
    """

    kind: Literal["formula", "prose", "comment-directive"]
    text: str
    traced: Traced = field(repr=False, compare=False)
    lines: Lines = field(repr=False, compare=False)

    def place(self, offset: int) -> Place:
        """Return where in the document the character at ``offset`` of ``text`` stands."""
        return self.lines.place(self.traced.origin(offset))

    @property
    def line(self) -> int:
        """The line on which the block begins."""
        return self.place(0).line

    @property
    def column(self) -> int:
        """The column in which the block begins."""
        return self.place(0).column


@dataclass(frozen=True, slots=True)
class Source:
    """A document that was read: its blocks in order, what was mended, what was not read.

    ``names`` are its names of several letters, and with a caret behind them (``W^``) those whose raised numbers are labels.
    """

    blocks: tuple[Block, ...]
    repairs: tuple[Repair, ...]
    unread: tuple[Unread, ...]
    names: frozenset[str] = frozenset()

    @property
    def prose(self) -> tuple[Block, ...]:
        """The blocks of prose, in order."""
        return tuple(b for b in self.blocks if b.kind == "prose")

    @property
    def formulas(self) -> tuple[Block, ...]:
        """The formulas, in order."""
        return tuple(b for b in self.blocks if b.kind == "formula")


class _Reading:
    """A document while it is read."""

    def __init__(self, text: str) -> None:
        self.lines = Lines(text)
        self.macros: dict[str, Macro] = {}
        self.repairs: list[tuple[int, str, str]] = []
        self.unread: list[Unread] = []
        self.found: list[tuple[str, Traced]] = []
        self.formulas = 0

    def give_up(self, traced: Traced, reason: str) -> None:
        """Note that a stretch cannot be read."""
        if len(self.unread) >= limits.FORMULAS:
            raise DerivkitError(f"more than {limits.FORMULAS} formulas that cannot be read in one document", code="DK002")
        place = self.lines.place(traced.origin(0))
        self.unread.append(Unread(place.line, place.column, reason, echo(traced.text)))

    def cut(self, piece: Piece, latex: bool) -> None:
        """Cut one piece of the document into prose and formulas, mended but not yet expanded."""
        if piece.kind == "comment-directive":
            self.found.append((piece.kind, piece.traced))
            return
        traced = without_definitions(piece.traced, self.macros)
        if piece.kind == "formula":
            self.formula(traced)
            return
        at = 0
        for found in scan(traced.text, latex):
            self.prose(traced.cut(at, found.opens))
            at = found.over
            stretch = traced.cut(found.start, found.end)
            if found.kind == "unread":
                self.give_up(stretch, found.reason)
                continue
            if found.surplus is not None:
                self.repairs.append((traced.origin(found.surplus), "$ and $$ do not pair", "read as the end of the formula"))
            self.formula(stretch)
        self.prose(traced.cut(at, len(traced.text)))

    def prose(self, traced: Traced) -> None:
        if traced.text.strip():
            self.found.append(("prose", traced))

    def formula(self, traced: Traced) -> None:
        """Mend one formula."""
        if not traced.text.strip():
            return
        self.formulas += 1
        if self.formulas > limits.FORMULAS:
            raise DerivkitError(f"more than {limits.FORMULAS} formulas in one document", code="DK002")
        if len(traced.text) > limits.FORMULA_LENGTH:
            self.give_up(traced, f"a formula of more than {limits.FORMULA_LENGTH} characters")
            return
        mended, repairs = repaired(traced)
        self.repairs += repairs
        self.found.append(("formula", mended))

    def blocks(self, names: Collection[str]) -> Iterator[Block]:
        """Yield the blocks, with macros expanded and brackets paired."""
        for kind, traced in self.found:
            if kind != "formula":
                yield Block(kind, traced.text, traced, self.lines)  # type: ignore[arg-type]
                continue
            try:
                whole, repairs = balanced(expanded(traced, self.macros), names)
            except DerivkitError as error:
                self.give_up(traced, error.message)
                continue
            self.repairs += repairs
            if whole.text.strip():
                yield Block("formula", whole.text, whole, self.lines)


def _placed(said: list[Piece], found: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the pieces of a document, with what is said to derivkit where it stands."""
    for whole in found:
        piece = whole
        while said and said[0].traced.origin(0) < piece.traced.origin(len(piece.traced.text)):
            at = bisect_left(piece.traced.origins, said[0].traced.origin(0)) if piece.kind == "text" else 0
            if at:
                yield Piece("text", piece.traced.cut(0, at))
            yield said.pop(0)
            piece = Piece(piece.kind, piece.traced.cut(at, len(piece.traced.text)))
        yield piece
    yield from said


def read_document(text: str) -> Source:
    r"""Return what a document is made of: LaTeX, Markdown, reStructuredText or plain text.

    >>> source = read_document("So $$h = anh(a)$$ and it costs $5 or $6.")
    >>> [(b.kind, b.text) for b in source.blocks]
    [('prose', 'So '), ('formula', 'h = \\tanh(a)'), ('prose', ' and it costs $5 or $6.')]
    >>> source.repairs
    (Repair(line=1, column=10, what='anh', became='\\tanh'),)

    Raises:
        DerivkitError: the text is too long, holds too many formulas, or is no text.
    """
    if len(text) > limits.FILE_BYTES:
        raise DerivkitError(f"the document is longer than {limits.FILE_BYTES} bytes", code="DK001")
    if "\0" in text:
        place = Lines(text).place(text.index("\0"))
        raise DerivkitError("this is no text: it holds a NUL character", code="DK004", line=place.line, column=place.column)
    reading, latex = _Reading(text), is_latex(text)
    said = [] if latex else list(directives_in_html(text))
    for piece in _placed(said, pieces(text, latex)):
        reading.cut(piece, latex)
    texts = [traced.text for kind, traced in reading.found if kind == "formula"]
    names = multiletter(texts) | labelled(texts)
    blocks = tuple(reading.blocks(names))
    repairs = sorted((reading.lines.place(offset), what, became) for offset, what, became in reading.repairs)
    mended = tuple(Repair(place.line, place.column, what, became) for place, what, became in repairs)
    return Source(blocks, mended, tuple(sorted(reading.unread)), names)


def read_formula(formula: Block | str, names: Collection[str] | None = None) -> tuple[Chain, ...]:
    r"""Return the chains of relations that stand in a formula; ``names`` are its document's names of several letters.

    >>> chain, = read_formula(r"\sum_k y_k = 1")
    >>> type(chain.first).__name__, chain.links[0][0]
    ('Big', '=')

    Raises:
        DerivkitError: the formula cannot be read; with line and column in the document.
    """
    if isinstance(formula, str):
        names = multiletter([formula]) | labelled([formula]) if names is None else names
        lines = Lines(formula)
        mended = balanced(repaired(Traced.whole(formula))[0], names)[0]
        formula = Block("formula", mended.text, mended, lines)
    return read_chains(formula.traced, formula.lines.place, names or ())
