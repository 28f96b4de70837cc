"""What prose, conditions and declarations say of a document's names: one-hot, symmetric, which case is treated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.graph import KINDS
from derivkit.symbolic.index import Size
from derivkit.symbolic.notes.context import subscripts_of
from derivkit.symbolic.notes.formula import Big, Chain, Formula, Number, Relation, Symbol
from derivkit.symbolic.notes.spaces import Told, bits, space
from derivkit.symbolic.notes.spelled import spelled
from derivkit.symbolic.parse.syntax import Place

_ONEHOT = re.compile(r"one[- ]?hot|1-of-K|(?:is|equals?|=) 1 if\b.{0,40}\b(?:class|label)", re.IGNORECASE)
_SYMMETRIC = re.compile(r"(?<![-a-z])(?<!not )symmetric\b", re.IGNORECASE)
_NAME = re.compile(r"(?<![A-Za-z\\])(\$[A-Za-z]+|[A-Za-z])(?:_\{?[a-z]+\}?)?(?![A-Za-z])")
_CASE = re.compile(r"\b(?:if|for|when|case)\W*([a-z])\s*(=|≠|!=|\\neq?)\s*([a-z])\W*$", re.IGNORECASE)
_LEADS = re.compile(r"\b(?:if|for|when|case)\W*$", re.IGNORECASE)
_NOT = frozenset("aAI")


def declared(text: str) -> Told:
    """Return the kind and the sizes that a declaration states: ``onehot K`` is a one-hot vector.

    >>> [(told.kind, told.rank) for told in map(declared, ("onehot K", "M, D", "real"))]
    [('onehot', 1), ('real', 2), ('real', 0)]
    """
    words = text.replace(",", " ").split()
    kind = words[0] if words and words[0] in KINDS else "real"
    sizes = words[1:] if words and words[0] in KINDS else words
    if any(not re.fullmatch(r"[A-Za-z0-9_+*/() -]+", s) for s in sizes):
        raise DerivkitError(f"'{echo(text)}' is no declaration", code="DK020", hint="onehot K")
    if not all(re.fullmatch(r"[A-Za-z]\w*|\d{1,9}", s) for s in sizes):
        return Told(kind, len(sizes))
    lengths = tuple(Size.of(int(s) if s.isdigit() else s) for s in sizes)
    if kind == "label":
        return Told(kind, len(lengths) - 1, lengths[1:], lengths[0]) if lengths else Told(kind, 0)
    return Told(kind, len(lengths), lengths)


def directive(text: str) -> Iterable[tuple[str, Told]]:
    """Yield the names that an author's line declares: ``% derivkit: t: onehot K``."""
    for part in text.split("derivkit:", 1)[-1].split(";"):
        name, colon, kind = part.strip().partition(":")
        if colon and name.strip():
            yield name.strip(), declared(kind.strip())


def kinds_in(prose: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Return the kinds that prose states of names: of "t is a one-hot vector" t is one."""
    known = set(names)
    found: dict[str, str] = {}
    for text in prose:
        for sentence in re.split(r"(?<=[.;])\s|\n\s*\n", text):
            for pattern, kind in ((_ONEHOT, "onehot"), (_SYMMETRIC, "symmetric")):
                if pattern.search(sentence):
                    here = [n.removeprefix("$") for n in _NAME.findall(sentence) if n not in _NOT]
                    mentioned = [n for n in here if n in known]
                    found.update(dict.fromkeys(mentioned[:1], kind))
    return found


_BEHIND = re.compile(
    r"\s*,?\s*(?:(?:which|that)\s+)?(?:is|are|be|being)?\s*(?:an?|the|both)?\s*(?:[a-z]+\s+){0,2}?(one[- ]?hot|symmetric)\b",
    re.IGNORECASE,
)


def described(before: Sequence[tuple[str, str]], words: str, read: Mapping[str, Sequence[Chain]]) -> tuple[str, Told] | None:
    """Return what words say of the name before them: of "$t$ is one-hot" that t is."""
    kind, text = before[-1] if before else ("", "")
    found = _BEHIND.match(words)
    chains = read.get(text, ()) if kind == "formula" else ()
    if found is None or len(chains) != 1 or len(chains[0].links) > 1:
        return None
    symbol, _ = (None, ()) if chains[0].first is None else subscripts_of(chains[0].first)
    if symbol is None or (chains[0].links and chains[0].links[0][0] != "in"):
        return None
    return spelled(symbol), Told("symmetric" if found[1].lower() == "symmetric" else "onehot")


def kind_of(relation: Relation) -> tuple[str, Told] | None:
    """Return the name and what a relation states of it: t_k ∈ {0, 1}, Σ_k t_k = 1, x ∈ R^N; ``None`` for any other."""
    symbol, subscripts = subscripts_of(relation.left)
    whole = symbol is not None and all(isinstance(s, Number) for s in subscripts)
    if relation.op == "in" and whole and (told := space(relation.right)) is not None:
        return spelled(relation.left), told
    if relation.op in ("in", "=") and bits(relation.right):
        return None if symbol is None else (spelled(symbol), Told("mask" if whole and relation.op == "in" else "onehot"))
    left, right = relation.left, relation.right
    if relation.op == "=" and isinstance(left, Big) and left.op == "sum" and isinstance(right, Number) and right.value == 1:
        symbol, _ = subscripts_of(left.body)
        return None if symbol is None else (spelled(symbol), Told("simplex"))
    return None


def case_of(before: Sequence[tuple[str, str]], read: Mapping[str, Sequence[Chain]]) -> Formula | None:
    """Return the condition that stands before a formula: "If k = j," in words, or "If" and a formula.

    ``before`` are the last pieces of the document: their kind and text; ``read`` the chains of formulas by text.
    """
    if not before:
        return None
    kind, text = before[-1]
    if kind == "prose" and (found := _CASE.search(text)):
        return _compared(found[1], "=" if found[2] == "=" else "!=", found[3])
    if kind == "prose" and text.strip(" \t\n,:.") == "" and len(before) > 1:
        kind, text = before[-2]
        before = before[:-1]
    if kind == "formula" and len(before) > 1 and before[-2][0] == "prose" and _LEADS.search(before[-2][1]):
        for chain in read.get(text, ()):
            if chain.first is not None and len(chain.links) == 1 and chain.links[0][0] in ("=", "!="):
                op, place, right = chain.links[0]
                return Relation(op, chain.first, right, place=place, end=place)
    return None


def _compared(left: str, op: str, right: str) -> Relation:
    here = Place(1, 1)
    a, b = (Symbol(name, place=here, end=here) for name in (left, right))
    return Relation(op, a, b, place=here, end=here)
