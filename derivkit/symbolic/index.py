"""Sizes, typed indices and affine subscripts: the arithmetic of positions, exact and free of conditions."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from derivkit.errors import DerivkitError, echo

_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """The atom ``numerator // denominator`` of a size polynomial."""

    numerator: Size
    denominator: Size

    def __str__(self) -> str:
        """Return program text."""
        return f"{_tight(self.numerator)}//{_tight(self.denominator)}"


SizeAtom = str | FloorDiv


class Size:
    """An integer polynomial in size names, canonical: equal sizes compare equal.

    ``terms`` maps a sorted monomial (a tuple of atoms) to its non-zero integer coefficient.

    >>> R, L = Size.of("R"), Size.of("L")
    >>> str(L - R * 2 + 1), L + R == R + L
    ('L-2*R+1', True)
    """

    __slots__ = ("_hash", "_text", "terms")
    terms: tuple[tuple[tuple[SizeAtom, ...], int], ...]
    _text: str | None

    def __init__(self, terms: Mapping[tuple[SizeAtom, ...], int]) -> None:
        """Keep the non-zero ``terms`` in canonical order."""
        kept = [(m, c) for m, c in terms.items() if c]
        if len(kept) > 1:
            kept.sort(key=lambda item: (-len(item[0]), [str(a) for a in item[0]]))
        self.terms = tuple(kept)
        self._hash = hash(self.terms)
        self._text = None

    @staticmethod
    def of(value: Size | int | str) -> Size:
        """Return ``value`` (an integer, a size name or a size) as a size."""
        if isinstance(value, Size):
            return value
        if isinstance(value, int):
            return Size({(): value})
        return Size({(value,): 1})

    @property
    def literal(self) -> int | None:
        """The integer that this size is, or ``None`` when it has names."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def name(self) -> str | None:
        """The bare name that this size is, or ``None``."""
        if len(self.terms) == 1:
            monomial, coefficient = self.terms[0]
            if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], str):
                return monomial[0]
        return None

    def names(self) -> tuple[str, ...]:
        """Return the size names in it, each once, in order of appearance."""
        found: dict[str, None] = {}
        for monomial, _ in self.terms:
            for atom in monomial:
                inner = (atom,) if isinstance(atom, str) else (*atom.numerator.names(), *atom.denominator.names())
                found.update(dict.fromkeys(inner))
        return tuple(found)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Return the integer at the given ``sizes``; DK041 when one is missing."""
        total = 0
        for monomial, coefficient in self.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    if atom not in sizes:
                        raise DerivkitError(f"size '{echo(atom)}' is not fixed by any input", code="DK041")
                    coefficient *= sizes[atom]
                else:
                    coefficient *= atom.numerator.evaluate(sizes) // atom.denominator.evaluate(sizes)
            total += coefficient
        return total

    def substitute(self, values: Mapping[str, Size]) -> Size:
        """Return the size with names replaced by sizes."""
        if not any(n in values for n in self.names()):
            return self
        total = ZERO
        for monomial, coefficient in self.terms:
            product = Size.of(coefficient)
            for atom in monomial:
                if isinstance(atom, str):
                    product = product * values.get(atom, Size.of(atom))
                else:
                    product = product * (atom.numerator.substitute(values) // atom.denominator.substitute(values))
            total = total + product
        return total

    def __add__(self, other: Size | int) -> Size:
        """Return the sum."""
        more = Size.of(other).terms
        if not more:
            return self
        terms = dict(self.terms)
        for monomial, coefficient in more:
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Size(terms)

    def __sub__(self, other: Size | int) -> Size:
        """Return the difference."""
        return self + Size.of(other) * -1

    def __mul__(self, other: Size | int) -> Size:
        """Return the product."""
        if other is ONE:
            return self
        terms: dict[tuple[SizeAtom, ...], int] = {}
        for (m1, c1), (m2, c2) in itertools.product(self.terms, Size.of(other).terms):
            monomial = tuple(sorted(m1 + m2, key=str))
            terms[monomial] = terms.get(monomial, 0) + c1 * c2
        return Size(terms)

    def __floordiv__(self, other: Size | int) -> Size:
        """Return the floor of the quotient, exact where it is a polynomial."""
        divisor = Size.of(other)
        n = divisor.literal
        if n == 0:
            raise DerivkitError("a size is divided by zero", code="DK020")
        exact, rest = self._divided(divisor)
        if n is not None and rest.literal is not None:  # (2*M + 1)//2 is M
            return exact + rest.literal // n
        if rest.literal in (0, -1):  # the divisor is at least 1
            return exact + Size.of(rest.literal or 0)
        if self == divisor:
            return ONE
        whole = dict(exact.terms).get((), 0) if n is not None else 0  # (H - 2)//2 + 1 is H//2
        return Size({(FloorDiv(self - whole * (n or 0), divisor),): 1, (): whole})

    def _divided(self, divisor: Size) -> tuple[Size, Size]:
        """Return (quotient, rest): the terms that a divisor of one term divides, and the others."""
        if len(divisor.terms) != 1:
            return ZERO, self
        (by, scale) = divisor.terms[0]
        quotient: dict[tuple[SizeAtom, ...], int] = {}
        rest: dict[tuple[SizeAtom, ...], int] = {}
        for monomial, coefficient in self.terms:
            left = Counter(monomial)
            left.subtract(by)
            if coefficient % scale == 0 and all(count >= 0 for count in left.values()):
                quotient[tuple(left.elements())] = coefficient // scale
            else:
                rest[monomial] = coefficient
        return Size(quotient), Size(rest)

    def __eq__(self, other: object) -> bool:
        """Compare canonical forms."""
        return isinstance(other, Size) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        """Hash the canonical form."""
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the hash, which another process makes anew."""
        return (Size, (dict(self.terms),))

    def __str__(self) -> str:
        """Return program text, made once: atoms are sorted by it."""
        if self._text is None:
            self._text = self._spelling()
        return self._text

    def _spelling(self) -> str:
        if not self.terms:
            return "0"
        parts = []
        first = next((t for t in self.terms if t[1] > 0 and t[0]), self.terms[0])  # W-Q+1 rather than -Q+W+1
        for monomial, coefficient in (first, *(t for t in self.terms if t is not first)):
            size = abs(coefficient)
            alone = coefficient == 1 and len(monomial) == 1  # 2*(L//2) is not 2*L//2, nor is -(L//2) -L//2
            names = "*".join(a if isinstance(a, str) else str(a) if alone else f"({a})" for a in monomial)
            body = names if names and size == 1 else f"{size}*{names}" if names else str(size)
            parts.append(("-" if coefficient < 0 else "+") + body)
        return "".join(parts).removeprefix("+")

    def __repr__(self) -> str:
        """Return a short form."""
        return f"Size({self})"


def _substituted(atom: object, mapping: Mapping[Index, Affine]) -> object:
    return atom.substituted(mapping)  # type: ignore[attr-defined]


def _tight(size: Size) -> str:
    text = str(size)
    return text if text.isalnum() else f"({text})"


ZERO = Size.of(0)
ONE = Size.of(1)


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
