"""Which axes of a document's arrays have one length: found from the letters that subscript them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from derivkit.symbolic.index import Size


class Axes:
    """Sets of axes and index letters of one length, and what is known of the length.

    >>> axes = Axes()
    >>> axes.join(("axis", "z", 0), ("letter", 1, "k"))
    >>> axes.tell(("letter", 1, "k"), Size.of("K"))
    >>> str(axes.size(("axis", "z", 0)))
    'K'
    """

    def __init__(self) -> None:
        """Start with every axis apart."""
        self._above: dict[Hashable, Hashable] = {}
        self._told: dict[Hashable, list[Size]] = {}
        self._named: dict[Hashable, Size] = {}
        self._firsts: list[tuple[Hashable, Size, int]] = []
        self._taken: set[str] = set()
        self._made: dict[Size, Hashable] = {}
        #: The letters that bounds are made of.
        self.words: set[str] = set()

    def root(self, axis: Hashable) -> Hashable:
        """Return the one that stands for all axes of this length."""
        while (above := self._above.get(axis, axis)) != axis:
            self._above[axis] = self._above.get(above, above)
            axis = above
        return axis

    def join(self, one: Hashable, other: Hashable) -> None:
        """Say that two axes are equally long."""
        a, b = self.root(one), self.root(other)
        if a != b:
            self._above[b] = a
            self._told.setdefault(a, []).extend(self._told.pop(b, ()))

    def tell(self, axis: Hashable, size: Size, first: int = 1) -> None:
        """Say what a length is called: the bound of a sum over it, which begins at ``first``."""
        self._firsts.append((axis, size, first))
        self._told.setdefault(self.root(axis), []).append(size)
        self.words.update(size.names())

    def settle(self) -> None:
        """Join the axes of which the same length was said."""
        first: dict[Size, Hashable] = {}
        for root in list(self._told):
            sizes = self._told.get(root, [])
            if sizes:
                most = max(dict.fromkeys(sizes), key=sizes.count)
                self.join(first.setdefault(most, root), root)

    def size(self, axis: Hashable, hint: str = "N") -> Size:
        """Return the length: what the document says most often, else a name after ``hint`` that nothing else has."""
        root = self.root(axis)
        if root not in self._named:
            told = self._told.get(root, [])
            self._named[root] = max(dict.fromkeys(told), key=told.count) if told else self._new(hint)
            if not told:
                self._made[self._named[root]] = root
        return self._named[root]

    def is_made(self, size: Size) -> bool:
        """Say whether a size is one that nothing was said of."""
        return size in self._made

    def unite(self, pairs: Iterable[tuple[Size, Size]]) -> bool:
        """Make each two sizes one, of which at least one is made up; say whether any is new.  They keep their names."""
        return sum([self._united(one, other) for one, other in pairs]) > 0

    def _united(self, one: Size, other: Size) -> bool:
        if self.is_made(other) and not self.is_made(one):
            one, other = other, one
        if one == other or not self.is_made(one):
            return False
        root = self.root(self._made[one])
        if not self.is_made(other):
            if self._told.get(root):
                return False
            self._told[root] = [other]
            return True
        new = root != self.root(self._made[other])
        self.join(self._made[one], self._made[other])
        return new

    def renew(self) -> None:
        """Forget what lengths are called."""
        self._named.clear()
        self._taken.clear()
        self._made.clear()

    def first(self, size: Size) -> int | None:
        """Return at which number the sums begin, most often, that run over all of a length."""
        found = [first for axis, told, first in self._firsts if told == size and self._named.get(self.root(axis)) == size]
        return max(dict.fromkeys(found), key=found.count) if found else None

    def _new(self, hint: str) -> Size:
        word, number = f"n_{hint}", 1
        while word in self._taken:
            number += 1
            word = f"n_{hint}{number}"
        self._taken.add(word)
        return Size.of(word)

    def has(self, axis: Hashable) -> bool:
        """Say whether anything was said of an axis or a letter."""
        return axis in self._above or axis in self._told or any(axis == above for above in self._above.values())
