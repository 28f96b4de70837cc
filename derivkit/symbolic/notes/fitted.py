"""Which lengths are one, found from what is multiplied, added and compared: ``W x`` has as many columns as x has entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from derivkit.errors import DerivkitError
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import Context
from derivkit.symbolic.notes.gather import read_context
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.reading import Reading
from derivkit.symbolic.notes.spaces import Told
from derivkit.symbolic.notes.terms import Misfit, Term

_PASSES = 40


def read_fitted(
    chains: Sequence[f.Chain], told: Mapping[str, Told] | None = None, alike: Mapping[str, str] | None = None
) -> Context:
    """Return what the chains of a document say of its names, with every length that follows.

    The document is read again and again; wherever two lengths do not fit of which one is made up, they are made one.
    """
    context = read_context(chains, told, alike)
    for _ in range(_PASSES):
        meaning = Meaning(context)
        found = [_joined(meaning, order, chain) for order, chain in enumerate(chains)]
        if not any(found):
            break
        context.axes.renew()
    return context


def _joined(meaning: Meaning, order: int, chain: f.Chain) -> bool:
    """Make lengths one that one chain compares; say whether any was new."""
    found = False
    before: Term | None = None
    reading = Reading(meaning, order)
    for side in (chain.first, *(part for _, _, part in chain.links)):
        if side is None or any(isinstance(n, f.Derivative | f.Differential) for n in f.walk(side)):
            before = None
            continue
        try:
            term = reading.term(side)
        except Misfit as misfit:
            found |= meaning.context.axes.unite(misfit.pairs)
            continue
        except DerivkitError:
            continue
        if before is not None and len(before.axes) == len(term.axes):
            found |= meaning.context.axes.unite([(a.size, b.size) for a, b in zip(before.axes, term.axes, strict=True)])
        before = term
    return found
