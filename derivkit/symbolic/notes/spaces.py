r"""In which space a document says that a name is: ``x \in \mathbb{R}^{N \times D}``, "t one-hot in" it, "k a label in"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from derivkit.symbolic.index import Size
from derivkit.symbolic.notes.formula import Chain, Formula, Indexed, List, Number, Power, Product, Symbol
from derivkit.symbolic.notes.sizes import size_of
from derivkit.symbolic.notes.spelled import spelled


class Told(NamedTuple):
    """What is said of a name: its kind, how many axes it has, how long they are, and over how many values a label runs."""

    kind: str
    rank: int | None = None
    sizes: tuple[Size, ...] | None = None
    range: Size | None = None


def joined(before: Told | None, more: Told) -> Told:
    """Return what is said of a name twice: what was said first wins, except that no kind at all says less than one."""
    if before is None:
        return more
    kind = more.kind if before.kind == "real" else before.kind
    if before.rank is None:
        return more._replace(kind=kind)
    return before._replace(kind=kind)


_WORDS = (
    (re.compile(r"\bone[- ]?hot\b[^.;]*\bin\s*$", re.IGNORECASE), "onehot"),
    (re.compile(r"\bsimplex of\s*$", re.IGNORECASE), "simplex"),
    (re.compile(r"\bsymmetric\b[^.;]*\bin\s*$", re.IGNORECASE), "symmetric"),
    (re.compile(r"\blabels?\b[^.;]*\bin\s*$", re.IGNORECASE), "label"),
    (re.compile(r"\bin\s*$", re.IGNORECASE), "real"),
)


def space(formula: Formula) -> Told | None:
    r"""Return what ``\mathbf{R}^{N \times D}`` or ``\{0, 1\}^N`` says of its elements; ``None`` for no space of arrays."""
    base, sizes = (formula.base, sizes_of(formula.exponent)) if isinstance(formula, Power) else (formula, ())
    if isinstance(base, Symbol) and base.label is not None and not isinstance(formula, Power):  # R^L, as a layer is written
        sizes = sizes_of(base.label)
        base = replace(base, label=None)
    if isinstance(formula, Power) and bits(base):
        return None if sizes is None else Told("mask", len(sizes), sizes)
    if not (isinstance(base, Symbol) and base.name == "R" and base.style in ("bold", "bb")) or base.label is not None:
        return None
    return Told("real") if sizes is None else Told("real", len(sizes), sizes)


def bits(formula: Formula) -> bool:
    """Say whether a set is {0, 1}, or a power of it."""
    inner = formula.base if isinstance(formula, Power) else formula
    if not isinstance(inner, List) or len(inner.items) != 2:
        return False
    return sorted(item.value for item in inner.items if isinstance(item, Number)) == [0, 1]


def sizes_of(exponent: Formula) -> tuple[Size, ...] | None:
    r"""Return the sizes of ``N \times (M + 1)``; ``None`` where one of them is no size."""
    runs: list[list[tuple[str, Formula]]] = [[]]
    factors: Sequence[tuple[str, Formula]] = exponent.factors if isinstance(exponent, Product) else (("", exponent),)
    for sign, factor in factors:
        if sign == "times":
            runs.append([])
        runs[-1].append((sign, factor))
    found = []
    for run in runs:
        size = Size.of(1)
        for sign, factor in run:
            one = size_of(factor)
            if one is None or sign not in ("", "times", "cdot"):
                return None
            size = size * one
        found.append(size)
    return tuple(found)


Chains = Mapping[str, Sequence[Chain]]


def placed(before: Sequence[tuple[str, str]], chains: Sequence[Chain], read: Chains) -> tuple[str, Told] | None:
    """Return what a space that stands by itself says of the name before it: of "t one-hot in R^K", or "p > 0 in R^K".

    ``before`` are the last pieces of the document, ``chains`` those of the space, ``read`` those of formulas by their text.
    """
    alone = chains[0].first if len(chains) == 1 and not chains[0].links else None
    if alone is None or [kind for kind, _ in before[-2:]] != ["formula", "prose"]:
        return None
    words = before[-1][1]
    kind = next((kind for pattern, kind in _WORDS if pattern.search(words)), None)
    if kind == "label":
        return _label(alone, before, read)
    name, told = _named(read.get(before[-2][1], ())), space(alone)
    if kind is None or name is None or told is None:
        return None
    word, positive = name
    return word, told._replace(kind="positive" if positive else kind if kind != "real" else told.kind)


def _named(chains: Sequence[Chain]) -> tuple[str, bool] | None:
    """Return the name that a formula is, and whether it is said to be positive."""
    if len(chains) != 1 or not isinstance(first := chains[0].first, Symbol | Indexed):
        return None
    links = chains[0].links
    if not links:
        return spelled(first), False
    op, _, right = links[0]
    return (spelled(first), True) if len(links) == 1 and op == ">" and isinstance(right, Number) and not right.value else None


def _label(values: Formula, before: Sequence[tuple[str, str]], read: Chains) -> tuple[str, Told] | None:
    """Return that "k, a label in 0, ..., K - 1" runs over that; of "y, N labels in", y has N of them."""
    if not isinstance(values, List) or None not in values.items or not isinstance(values.items[0], Number):
        return None
    last = values.items[-1]
    most = None if last is None else size_of(last)
    shape: tuple[Size, ...] | None = ()
    if before[-1][1].split()[0] == "labels" and len(before) > 3:
        only = read.get(before[-2][1], ())
        shape = sizes_of(only[0].first) if len(only) == 1 and only[0].first is not None else None
        before = before[:-2]
    name = _named(read.get(before[-2][1], ()))
    if most is None or shape is None or name is None:
        return None
    return name[0], Told("label", len(shape), shape, most - int(values.items[0].value) + 1)
