"""Which lengths are one, found from what is multiplied, added and compared: ``W x`` has as many columns as x has entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import user
from derivkit.symbolic.index import Index
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import Context
from derivkit.symbolic.notes.gather import read_context
from derivkit.symbolic.notes.lengths import equate
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.reading import Reading
from derivkit.symbolic.notes.spaces import Told
from derivkit.symbolic.notes.terms import Misfit

_PASSES = 40


def read_fitted(
    chains: Sequence[f.Chain], told: Mapping[str, Told] | None = None, alike: Mapping[str, str] | None = None
) -> Context:
    """Return what the chains of a document say of its names, with every length that follows.

    The document is read again and again; wherever two lengths do not fit of which one is made up, they are made one.
    """
    context = read_context(chains, told, alike)
    _fit(context, chains)
    equate(context)
    context.axes.renew()
    _fit(context, chains)
    return context


def _fit(context: Context, chains: Sequence[f.Chain]) -> None:
    for _ in range(_PASSES):
        meaning = Meaning(context)
        found = [_joined(meaning, order, chain) for order, chain in enumerate(chains)]
        if not any([_told(meaning), *found]):
            break
        context.axes.renew()


def _joined(meaning: Meaning, order: int, chain: f.Chain) -> bool:
    """Make lengths one that one chain compares; say whether any was new."""
    found = False
    before: tuple[Index, ...] | None = None
    reading = Reading(meaning, order)
    for side in (chain.first, *(part for _, _, part in chain.links)):
        try:
            axes = None if side is None else _axes(reading, side)
        except Misfit as misfit:
            found |= meaning.context.axes.unite(misfit.pairs)
            continue
        except DerivkitError:
            continue
        if before is not None and axes is not None and len(before) == len(axes):
            found |= meaning.context.axes.unite([(a.size, b.size) for a, b in zip(before, axes, strict=True)])
        before = axes
    return found


def _axes(reading: Reading, side: f.Formula) -> tuple[Index, ...] | None:
    """Return the axes of one side; of a derivative those of its parts, of which none is worked out."""
    if isinstance(side, f.Derivative):
        parts = [_axes(reading, part) for part in (side.of, *side.by)]
        return None if None in parts or not side.by else tuple(i for part in parts for i in part or ())
    if any(isinstance(n, f.Derivative | f.Differential) for n in f.walk(side)):
        return None
    return reading.term(side).axes


def _told(meaning: Meaning) -> bool:
    """Say how long the axes of what is defined are; say whether any was new."""
    axes, found = meaning.context.axes, False
    for key, stated in meaning.context.definitions.items():
        definition = meaning.definitions.get(user(key))
        if definition is not None and len(stated) == 1 and not meaning.hidden.get(definition.name):
            found |= axes.unite([(axes.size(("axis", key, n)), size) for n, size in enumerate(definition.shape)])
    return found
