"""Sizes, typed indices and affine subscripts: the arithmetic of positions, exact and free of conditions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from derivkit.symbolic.sizes import ONE, ZERO, FloorDiv, Size, SizeAtom

__all__ = ["ONE", "ZERO", "Affine", "FloorDiv", "Index", "Size", "SizeAtom"]

_counter = itertools.count()


def _substituted(atom: object, mapping: Mapping[Index, Affine]) -> object:
    return atom.substituted(mapping)  # type: ignore[attr-defined]


class Index:
    """A typed index: a letter to print and the size it runs over.  Two indices are the same only by identity.

    >>> i = Index("i", Size.of("N"))
    >>> i.fresh() == i, i.hint
    (False, 'i')
    """

    __slots__ = ("free", "hint", "part", "size", "uid")

    def __init__(self, hint: str, size: Size, part: bool = False) -> None:
        """Make a new index; ``hint`` is the letter that printing tries first.

        ``part`` says that it runs over a part of an axis that it subscripts (a slice): reading there beyond its size need
        not be reading out of range.
        """
        self.hint = hint
        self.size = size
        self.part = part
        self.uid = next(_counter)
        self.free = frozenset((self,))

    def fresh(self) -> Index:
        """Return another index with the same letter and size."""
        return Index(self.hint, self.size, self.part)

    def __repr__(self) -> str:
        """Return the letter with the size."""
        return f"{self.hint}<{self.size}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        """Pickle by identity within one pickle (the memo keeps sharing)."""
        return (Index, (self.hint, self.size, self.part))


class Affine:
    """A subscript: Σ coefficient·atom + constant, the atoms being indices and integer-valued tensor references.

    >>> i, p = Index("i", Size.of("N")), Index("p", Size.of("P"))
    >>> Affine.of(i).bare is i, (Affine.of(i) + p).bare, str(Affine.of(i) + p - 1)
    (True, None, 'i+p-1')
    """

    __slots__ = ("_hash", "bare", "const", "free", "part", "terms")
    terms: tuple[tuple[object, Size], ...]
    bare: Index | None  #: the index that this subscript is, or ``None``

    def __init__(self, terms: Iterable[tuple[object, Size]], const: Size, part: int = 0) -> None:
        """Collect equal atoms, dropping those that vanish.

        ``part`` is 1 of a bare index that took the place of one with another range, or one over a part of an axis: where it
        is out of its own range, what is read need not be 0; it is 2 where what is read may have no value there at all.  Of a
        position it is 1 when it was found in the place of an index, and not written: nobody has said that it is in range.
        """
        self.part = part
        collected: dict[object, Size] = {}
        for atom, coefficient in terms:
            collected[atom] = collected[atom] + coefficient if atom in collected else coefficient
        kept = [(a, c) for a, c in collected.items() if c.terms]
        if len(kept) > 1:
            kept.sort(key=lambda term: (term[1].literal or 1) < 0)  # i − j, not −j + i
        self.terms = tuple(kept)
        self.const = const
        free: frozenset[Index] = frozenset()
        for atom, _ in self.terms:
            free |= atom.free  # type: ignore[attr-defined]
        self.free = free
        self.bare = None
        if len(kept) == 1 and not const.terms and isinstance(kept[0][0], Index) and kept[0][1] == ONE:
            self.bare = kept[0][0]
        self._hash = hash((frozenset(self.terms), const))

    @staticmethod
    def of(value: object) -> Affine:
        """Return an index, an integer, a size or an integer-valued reference as a subscript."""
        if isinstance(value, Affine):
            return value
        if isinstance(value, int | Size):
            return Affine((), Size.of(value))
        return Affine(((value, ONE),), ZERO)

    @property
    def constant(self) -> Size | None:
        """The size that this subscript is, or ``None`` when it has atoms."""
        return None if self.terms else self.const

    def indices(self) -> tuple[Index, ...]:
        """Return the indices that appear as atoms (not those inside integer tensors), in order."""
        return tuple(a for a, _ in self.terms if isinstance(a, Index))

    def coefficient(self, index: Index) -> Size:
        """Return the coefficient of ``index`` as an atom (0 when absent)."""
        for atom, coefficient in self.terms:
            if atom is index:
                return coefficient
        return ZERO

    def substitute(self, mapping: Mapping[Index, Affine]) -> Affine:
        """Return the subscript with indices replaced (also inside integer-valued references)."""
        if self.free.isdisjoint(mapping):
            return self
        bare = self.bare
        if bare is not None:
            new = mapping[bare]
            other = new.bare
            part = int(not new.terms) if other is None else max(self.part, bare.part or other.size != bare.size)
            return new if part <= new.part else Affine(new.terms, new.const, part)
        terms: list[tuple[object, Size]] = []
        const = self.const
        for atom, coefficient in self.terms:
            new = mapping.get(atom, Affine.of(atom)) if isinstance(atom, Index) else Affine.of(_substituted(atom, mapping))
            times = new.scaled(coefficient)
            terms.extend(times.terms)
            const = const + times.const
        result = Affine(terms, const)
        found = result.bare is not None or not result.terms
        part = max(self.part, 1) if found else self.part  # x[j+1] at j = i−1 reads x[i], past the end of j + 1
        return Affine(result.terms, result.const, part) if part else result

    def scaled(self, factor: Size | int) -> Affine:
        """Return ``factor`` times the subscript."""
        size = Size.of(factor)
        if size == ONE and not self.part:
            return self
        return Affine(((a, c * size) for a, c in self.terms), self.const * size)

    def __add__(self, other: object) -> Affine:
        """Return the sum."""
        right = Affine.of(other)
        return Affine((*self.terms, *right.terms), self.const + right.const)

    def __sub__(self, other: object) -> Affine:
        """Return the difference."""
        return self + Affine.of(other).scaled(-1)

    def __eq__(self, other: object) -> bool:
        """Compare as linear forms, whatever the order of terms."""
        return (
            isinstance(other, Affine)
            and self._hash == other._hash
            and self.const == other.const
            and dict(self.terms) == dict(other.terms)
        )

    def __hash__(self) -> int:
        """Hash the linear form."""
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the hash, which another process makes anew."""
        return (Affine, (self.terms, self.const, self.part))

    def __str__(self) -> str:
        """Return program text with the indices' hints."""
        parts = []
        for atom, coefficient in self.terms:
            name = atom.hint if isinstance(atom, Index) else str(atom)
            text = str(coefficient)
            sign = "-" if text.startswith("-") else "+"
            text = text.lstrip("-")
            parts.append(sign + (name if text == "1" else f"{text}*{name}"))
        if self.const.terms or not parts:
            text = str(self.const)
            parts.append(text if text.startswith("-") else "+" + text)
        return "".join(parts).removeprefix("+")

    def __repr__(self) -> str:
        """Return a short form."""
        return f"Affine({self})"
