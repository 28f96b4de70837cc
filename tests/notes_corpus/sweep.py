"""The lines of the corpus, and what is said of each slip in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from derivkit.checking.verify.judge import Judge, judged
from derivkit.checking.verify.notes import _read
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.reading import Reading
from tests.notes_corpus.mutations import slips


@dataclass(frozen=True)
class Said:
    """A slip in a document: its kind, whether it alters the meaning (``None``: it has none), and what was said of it."""

    document: str
    kind: str
    formula: f.Formula
    alters: bool | None
    status: str
    cause: str | None
    message: str


def said(name: str, text: str, every: int = 1, first: int = 0) -> Iterator[Said]:
    """Yield what is said of one in so many of the slips in a document."""
    read = _read(text, {})
    plain = judged(read.chains, read.told)
    number = first
    for order, chain in enumerate(read.chains):
        for n, (op, place, right) in enumerate(chain.links):
            before = chain.first if n == 0 else chain.links[n - 1][2]
            status = [c.status for c in plain.claims if (c.line, c.column) == (place.line, place.column)]
            if status != ["right"]:
                continue
            for kind, made in slips(right, before):
                number += 1
                if number % every == 0:
                    links = (*chain.links[:n], (op, place, made))
                    yield _told(name, kind, made, read, plain, order, replace(chain, links=links), n, right)


def _told(name, kind, made, read, plain: Judge, order: int, chain: f.Chain, link: int, right: f.Formula) -> Said:  # type: ignore[no-untyped-def]
    reading = Reading(plain.meaning, order)
    if chain.first is not None:
        plain.side(reading, chain.first)
    alters: bool | None = None
    one, other = plain.side(reading, right), plain.side(reading, made)
    if one.term is not None and other.term is not None:
        same = plain.same(one, other, plain.where(reading, chain))
        alters = None if same is None else not same
    chains = (*read.chains[:order], chain, *read.chains[order + 1 :])
    place = chain.links[link][1]
    (claim,) = [c for c in judged(chains, read.told).claims if (c.line, c.column) == (place.line, place.column)][:1]
    return Said(name, kind, made, alters, claim.status, claim.cause, claim.message)
