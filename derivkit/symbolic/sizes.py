"""Sizes: integer polynomials in size names, with floors of quotients, in a form in which equal ones are equal."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

from derivkit.errors import DerivkitError, echo


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
        """Return the floor of the quotient, exact where it is a polynomial; equal quotients by a number have one form."""
        divisor = Size.of(other)
        n = divisor.literal
        if n == 0:
            raise DerivkitError("a size is divided by zero", code="DK020")
        if n is not None and n > 0:
            return self._floored(n)
        exact, rest = self._divided(divisor)
        if n is not None and rest.literal is not None:
            return exact + rest.literal // n
        if rest.literal in (0, -1):  # the divisor is at least 1
            return exact + Size.of(rest.literal or 0)
        if self == divisor:
            return ONE
        return Size({(FloorDiv(self, divisor),): 1})

    def _floored(self, n: int) -> Size:
        """Return the floor of a quotient by ``n``: what it divides before, a number from 0 to n − 1 behind.

        >>> L = Size.of("L")
        >>> str((L - 1) // 2 + 1), str((L * 2 + 1) // 4), str((L // 2 + 1) // 2), str((L - 2) // 2 + 1)
        ('(L+1)//2', 'L//2', '(L+2)//4', 'L//2')
        """
        whole: dict[tuple[SizeAtom, ...], int] = {}
        rest: dict[tuple[SizeAtom, ...], int] = {}
        for monomial, coefficient in self.terms:  # towards 0, so that −P stays: (L − P)//2 is no (L + P)//2 − P
            count = abs(coefficient) // n * (1 if coefficient > 0 else -1) if monomial else coefficient // n
            whole[monomial], rest[monomial] = count, coefficient - count * n
        number, moving = rest.pop((), 0), {m: c for m, c in rest.items() if c}
        if not moving:
            return Size(whole)
        shared = gcd(n, *moving.values())  # (2 L + 1)//4 is L//2
        left = Size({m: c // shared for m, c in moving.items()})
        number, n = number // shared, n // shared
        if n == 1:
            return Size(whole) + left + number
        (monomial, coefficient), *others = left.terms
        inner = monomial[0]
        if not others and coefficient == 1 and len(monomial) == 1 and isinstance(inner, FloorDiv):
            d = inner.denominator.literal
            if d is not None and d > 0:  # (L//2 + 1)//2 is (L + 2)//4
                return Size(whole) + (inner.numerator + number * d)._floored(d * n)
        return Size(whole) + Size({(FloorDiv(left + number, Size.of(n)),): 1})

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

    @property
    def written(self) -> tuple[tuple[tuple[SizeAtom, ...], int], ...]:
        """The terms as they are written: W-Q+1 rather than -Q+W+1, and (P-1)//2 rather than (P+1)//2-1."""
        terms = dict(self.terms)
        floors = [(m, c) for m, c in self.terms if len(m) == 1 and isinstance(m[0], FloorDiv)]
        if len(floors) == 1 and abs(floors[0][1]) == 1 and () in terms:
            (atom,), sign = floors[0]
            n, number = atom.denominator.literal, dict(atom.numerator.terms).get((), 0)  # type: ignore[union-attr]
            if n is not None and number:
                taken = FloorDiv(atom.numerator + terms.pop(()) * sign * n, atom.denominator)  # type: ignore[union-attr]
                terms = {((taken,) if m == (atom,) else m): c for m, c in terms.items()}
        first = next((m for m, c in terms.items() if c > 0 and m), None)
        return tuple(sorted(terms.items(), key=lambda term: term[0] != first))

    def _spelling(self) -> str:
        if not self.terms:
            return "0"
        parts = []
        for monomial, coefficient in self.written:
            size = abs(coefficient)
            alone = coefficient == 1 and len(monomial) == 1  # 2*(L//2) is not 2*L//2, nor is -(L//2) -L//2
            names = "*".join(a if isinstance(a, str) else str(a) if alone else f"({a})" for a in monomial)
            body = names if names and size == 1 else f"{size}*{names}" if names else str(size)
            parts.append(("-" if coefficient < 0 else "+") + body)
        return "".join(parts).removeprefix("+")

    def __repr__(self) -> str:
        """Return a short form."""
        return f"Size({self})"


def _tight(size: Size) -> str:
    text = str(size)
    return text if text.isalnum() else f"({text})"


ZERO = Size.of(0)
ONE = Size.of(1)
