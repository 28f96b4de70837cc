"""Spellings that only the whole document settles: layers as raised numbers, words for subscripts, a maximum of two.

``a^2`` is a layer's name where ``a^1`` or a definition of ``a^2`` stands somewhere, ``z^l_j`` one of layer l; ``a_f`` is a word
where ``f`` is a quantity of its own; ``O_{dc}`` has two subscripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.spelled import symbol_of
from derivkit.symbolic.parse.syntax import Place

DEFINING = frozenset({"=", ":=", "=="})
LAYERS = frozenset({"l", "L", "ell"})


@dataclass(frozen=True, slots=True)
class _Found:
    """What a document's formulas say of their spelling: letters with layers, and letters that are quantities."""

    layers: frozenset[str]
    words: frozenset[str]


def settled(chains: Sequence[f.Chain]) -> tuple[f.Chain, ...]:
    """Return the chains of a document with the spellings settled."""
    nodes = [n for chain in chains for n in f.walk((chain,))]
    found = _Found(frozenset(_layers(chains, nodes)), frozenset(_words(chains, nodes)))
    return tuple(_rewritten(chain, found) for chain in chains)


def _layers(chains: Sequence[f.Chain], nodes: Sequence[object]) -> Iterator[str]:
    """Yield the letters whose raised numbers are labels: a power of one is never written, nor does one define a power."""
    heads = [c.first for c in chains if c.first is not None and c.links and c.links[0][0] in DEFINING]
    defined = {id(h) for h in heads}
    for node in nodes:
        if isinstance(node, f.Power) and (symbol := _named(node.base)) is not None and symbol.label is None:
            one = isinstance(node.exponent, f.Number) and node.exponent.value == 1
            if one or id(node) in defined or _is_layer(node.exponent):
                yield symbol.name


def _words(chains: Sequence[f.Chain], nodes: Sequence[object]) -> Iterator[str]:
    """Yield the letters that are quantities, and no indices: defined bare, and bound by no sum."""
    bound = {s.name for n in nodes if isinstance(n, f.Big) for s in n.letters}
    letters = {s.name for n in nodes if isinstance(n, f.Indexed) for s in n.subscripts if isinstance(s, f.Symbol)}
    for chain in chains:
        left = chain.first
        if not isinstance(left, f.Symbol) or not chain.links or chain.links[0][0] not in DEFINING:
            continue
        if left.name in letters - bound and not isinstance(chain.links[0][2], f.Symbol | f.Number | f.List):
            yield left.name


def _named(node: f.Formula) -> f.Symbol | None:
    return symbol_of(node) if isinstance(node, f.Symbol | f.Indexed) else None


def _is_layer(node: f.Formula) -> bool:
    """Say whether an exponent is l, L, l + 1 or l - 1."""
    if isinstance(node, f.Sum):
        return any(_is_layer(t) for _, t in node.terms) and all(_is_layer(t) or isinstance(t, f.Number) for _, t in node.terms)
    return isinstance(node, f.Symbol) and node.name in LAYERS and node.label is None


def _is_label(node: f.Formula) -> bool:
    return _is_layer(node) or isinstance(node, f.Number)


def _rewritten(node: Any, found: _Found) -> Any:
    if isinstance(node, Place):
        return node
    if isinstance(node, tuple):
        return tuple(_rewritten(part, found) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    changed = {}
    for part in fields(node):
        if part.name not in ("place", "end"):
            before = getattr(node, part.name)
            after = _rewritten(before, found)
            if after is not before and after != before:
                changed[part.name] = after
    return _one(replace(node, **changed) if changed else node, found)


def _one(node: Any, found: _Found) -> Any:
    if isinstance(node, f.Power):
        symbol = _named(node.base)
        known = symbol is not None and symbol.name in found.layers and symbol.label is None
        return _labelled(node.base, node.exponent) if known and _is_label(node.exponent) else node
    if isinstance(node, f.Product):
        return _reaching(node)
    if isinstance(node, f.Indexed):
        subscripts = tuple(s for sub in node.subscripts for s in _letters(sub))
        last = subscripts[-1]
        if isinstance(node.base, f.Symbol) and len(subscripts) == 1 and isinstance(last, f.Symbol) and last.name in found.words:
            return replace(node.base, name=f"{node.base.name}_{last.name}", end=node.end)
        return node if subscripts == node.subscripts else replace(node, subscripts=subscripts)
    return node


def _reaching(node: f.Product) -> f.Formula:
    r"""Let \partial/\partial x before (b - x)^T W (b - x) reach to the end: of a row alone one takes no gradient."""
    for n, (sign, part) in enumerate(node.factors[:-1]):
        if not isinstance(part, f.Derivative) or not isinstance(part.of, f.Transposed) or not part.by:
            continue
        after = node.factors[n + 1 :]
        if part.of.place > part.by[-1].place and not any(s for s, _ in after):
            of = f.Product((("", part.of), *after), place=part.of.place, end=node.end)
            whole = replace(part, of=of, end=node.end)
            return replace(node, factors=(*node.factors[:n], (sign, whole))) if n else whole
    return node


def _letters(sub: f.Formula) -> tuple[f.Formula, ...]:
    """Return a subscript; of what looks like a differential its two letters."""
    if isinstance(sub, f.Differential):
        return (f.Symbol("d", place=sub.place, end=sub.of.place), sub.of)
    return (sub,)


def _labelled(node: f.Formula, label: f.Formula) -> f.Formula:
    if isinstance(node, f.Indexed):
        return replace(node, base=_labelled(node.base, label))
    assert isinstance(node, f.Symbol)  # noqa: S101 - asked for by who calls
    return replace(node, label=label)
