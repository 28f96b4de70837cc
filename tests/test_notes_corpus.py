"""Right derivations in textbooks' notations are all accepted; a slip in one of them is refuted, and called what it is."""

from __future__ import annotations

from collections import Counter

import pytest

from derivkit.checking.verify.notes import verify_documents
from tests.notes_corpus import documents

CORPUS = documents()


def test_there_are_sixty_documents() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.parametrize("name", CORPUS)
def test_nothing_right_is_accused_and_something_is_decided(name: str) -> None:
    (document,) = verify_documents([(name, CORPUS[name])]).files
    assert not [c for c in document.claims if c.status in ("wrong", "right_if", "follows", "unread")]
    assert document.counts.get("right", 0) > document.counts.get("undecided", 0)


def test_nearly_all_of_the_corpus_is_decided() -> None:
    found = verify_documents(CORPUS.items()).files
    counts = Counter(c.status for d in found for c in d.claims)
    judged = counts["right"] + counts["undecided"]
    print(f"{counts['right']} of {judged} lines of {len(CORPUS)} documents are found right")
    assert counts["right"] / judged >= 0.95
