"""The letters of indices: chosen when printing, never those of the author's names, the same on every run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from derivkit.symbolic.expr import Expr, Inside, SizeOf, binders, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Index, Size

_ALPHABET = "ijklmnpqrsuvabcdfghowxyzt"


class Letters:
    """The letters of one document.

    A free index keeps its letter through the whole document: its hint, unless that is a name of the program or the letter
    of an index that stands in one of the same lines.  A bound index differs from every letter in its scope.

    >>> from derivkit.symbolic.index import Size
    >>> i, other = Index("i", Size.of("N")), Index("i", Size.of("M"))
    >>> letters = Letters({"j"})
    >>> letters.together((i, other))
    >>> letters[i], letters[other]
    ('i', 'k')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Start with the names that no index may have."""
        self.taken = frozenset(taken)
        self._free: dict[Index, str] = {}
        self._near: dict[Index, set[Index]] = {}

    @staticmethod
    def of(graph: Graph) -> Letters:
        """Return the letters for a program: its names and sizes are taken."""
        names = [str(n) for n in (*graph.inputs, *graph.extra, *(d.name for d in graph))]
        shapes = [*(i.shape for i in graph.inputs.values()), *(d.shape for d in graph)]
        ranges = [i.range for i in graph.inputs.values() if i.range is not None]
        inner = [size for d in graph for node in walk(d.rhs) for size in _sizes_of(node)]
        sizes = [n for size in (*itertools.chain(*shapes), *ranges, *inner) for n in size.names()]
        return Letters((*names, *sizes, "pi", "inf"))

    def together(self, indices: Iterable[Index]) -> None:
        """Say that ``indices`` are free in one line; say it of every line before the first one is printed."""
        group = sorted(set(indices), key=lambda i: i.uid)
        for index in group:
            self._near.setdefault(index, set()).update(group)

    def __getitem__(self, index: Index) -> str:
        """Return the letter of a free index."""
        if index not in self._free:
            near = {self._free[i] for i in self._near.get(index, ()) if i in self._free}
            self._free[index] = self._choose(index, near)
        return self._free[index]

    def _choose(self, index: Index, avoid: set[str]) -> str:
        return next(c for c in _candidates(index.hint) if c not in avoid and c not in self.taken)

    def beyond(self, index: Index, avoid: set[str]) -> str:
        """Return a letter for an index that is bound inside the scope of the letters ``avoid``."""
        return self._choose(index, avoid)

    def bound(
        self, roots: tuple[Expr, ...], scope: Iterable[Index] = (), given: Mapping[Index, str] | None = None
    ) -> dict[Index, str]:
        """Return the letter of every index free or bound in ``roots``, which stand in one line with ``scope``.

        ``given`` are letters that some indices have from another line that this one speaks about.
        """
        fixed = given or {}
        free = sorted({i for root in roots for i in root.free}.union(scope), key=lambda i: i.uid)
        self._separate([i for i in free if i not in fixed])
        chosen = {i: fixed.get(i) or self[i] for i in free}
        outside = set(chosen.values())
        order, inner = _binders_of(roots)
        meets: dict[Index, set[Index]] = {}  # whose scopes are one inside the other; a node may be read in several places
        for node in order:
            for index in binders(node):
                for i in inner[id(node)]:
                    meets.setdefault(index, set()).add(i)
                    meets.setdefault(i, set()).add(index)
        sizes = {c: i.size for i, c in chosen.items() if len(c) == 1}
        for node in order:
            for index in binders(node):
                if index in chosen:
                    continue
                avoid = outside | {chosen[i] for i in meets[index] if i in chosen}
                others = {c for c, size in sizes.items() if size != index.size}
                apart = self._choose(index, avoid | others)  # one letter, one size, if it can be
                chosen[index] = apart if len(apart) == 1 else self._choose(index, avoid)
                if len(chosen[index]) == 1:
                    sizes.setdefault(chosen[index], index.size)
        return chosen

    def beside(self, roots: tuple[Expr, ...], line: Mapping[Index, str], free: Iterable[str]) -> dict[Index, str]:
        """Return letters for ``roots``, which a reason sets beside a line with the letters ``line``.

        An index of the line keeps its letter; no other has one of the letters that are ``free`` in the line.
        """
        outside = {*free}
        order, inner = _binders_of(roots)
        chosen: dict[Index, str] = {}
        for index in sorted({i for root in roots for i in root.free}, key=lambda i: i.uid):
            taken = {*outside, *chosen.values()}
            own = line.get(index) or self[index]
            chosen[index] = own if index in line or own not in taken else self._choose(index, taken)
        outside.update(chosen.values())
        for node in order:
            for index in binders(node):
                taken = outside | {chosen[i] for i in chosen if i in inner[id(node)] or i not in line}
                if index not in chosen:
                    own = line.get(index, "")
                    chosen[index] = own if own and own not in taken else self._choose(index, taken)
        return chosen

    def _separate(self, free: list[Index]) -> None:
        """Give another letter to an index that meets, unforeseen, one with the same letter."""
        self.together(free)
        seen: set[str] = set()
        for index in free:
            if index in self._free and self._free[index] in seen:
                del self._free[index]
            seen.add(self[index])


def _candidates(hint: str) -> Iterator[str]:
    yield hint
    start = _ALPHABET.find(hint) + 1  # the letters after the hint, then those before it: i, j, k for an i
    yield from _ALPHABET[start:] + _ALPHABET[:start]
    yield from (f"{letter}{n}" for n in itertools.count(1) for letter in "ijkl")


def _sizes_of(node: Expr) -> list[Size]:
    return [node.size] if isinstance(node, SizeOf | Inside) else [i.size for i in binders(node)]


def _binders_of(roots: tuple[Expr, ...]) -> tuple[list[Expr], dict[int, frozenset[Index]]]:
    """Return the binding nodes, outer before inner in order of reading, and the indices bound in and below each."""
    order: list[Expr] = []
    inner: dict[int, frozenset[Index]] = {}
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    seen: set[int] = set()
    nothing: frozenset[Index] = frozenset()
    while stack:
        node, done = stack.pop()
        if done:
            below = [inner[id(c)] for c in node.children]
            own = binders(node)
            parts = [b for b in below if b]
            inner[id(node)] = nothing.union(own, *parts) if own or len(parts) > 1 else parts[0] if parts else nothing
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        if not node.children and not binders(node):
            inner[id(node)] = nothing
            continue
        if binders(node):
            order.append(node)
        stack.append((node, True))
        stack.extend((c, False) for c in reversed(node.children))
    return order, inner
