"""What a long program holds, by the names it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter
from typing import Generic, TypeVar

from derivkit.symbolic.names import Name

Held = TypeVar("Held")


class ByReads(Generic[Held]):
    """What can only stand where certain names are read, found by these names: of a long program few things are tried.

    >>> from derivkit.symbolic.expr import user
    >>> x, y, z = map(user, "xyz")
    >>> table = ByReads(("both", "one", "none"), ({x, y}, {x}, set()))
    >>> table.within({x: None, z: None}), table.within({y: None})
    (['one', 'none'], ['none'])
    """

    def __init__(self, held: Iterable[Held], needs: Iterable[Collection[Name]]) -> None:
        """Keep each of ``held`` under that of the names it needs that the fewest others need."""
        pairs = [(one, frozenset(names)) for one, names in zip(held, needs, strict=True)]
        counts = Counter(n for _, names in pairs for n in names)
        self._always: list[tuple[int, Held]] = []
        self._table: dict[Name, list[tuple[int, Held, frozenset[Name]]]] = {}
        for place, (one, names) in enumerate(pairs):
            if names:
                self._table.setdefault(min(names, key=lambda n: (counts[n], str(n))), []).append((place, one, names))
            else:
                self._always.append((place, one))

    def within(self, reads: Mapping[Name, None]) -> list[Held]:
        """Return what needs no other names than these, in order."""
        found = [(place, one) for n in reads for place, one, names in self._table.get(n, ()) if names <= reads.keys()]
        return [one for _, one in sorted(found + self._always, key=itemgetter(0))]
