"""Sizes as documents write them: the bounds of sums, and how long the axes of an array are."""

from __future__ import annotations

from derivkit.symbolic.index import Size
from derivkit.symbolic.notes.formula import Formula, Indexed, List, Number, Power, Product, Sum, Symbol

_HIGHEST = 4  # of a size to a power


def size_of(formula: Formula) -> Size | None:
    """Return a bound as a size: a letter, a whole number, a sum or a product of them; ``None`` for anything else."""
    match formula:
        case Number() if formula.value.denominator == 1:
            return Size.of(int(formula.value))
        case Symbol(label=None):
            return Size.of(formula.name)
        case Indexed(base=Symbol(label=None, name=name), subscripts=(Number(text=text),)):
            return Size.of(f"{name}_{text}")
        case Power(exponent=Number(value=value)) if value.denominator == 1 and 0 < value <= _HIGHEST:
            base = size_of(formula.base)
            return None if base is None else _product([base] * int(value))
        case Product():
            factors = [size_of(factor) for _, factor in formula.factors]
            return _product([f for f in factors if f is not None]) if None not in factors else None
        case List(items=(item,)) if item is not None:
            return size_of(item)
        case Sum():
            parts = [(sign, size_of(term)) for sign, term in formula.terms]
            total = Size.of(0)
            for sign, part in parts:
                if part is None:
                    return None
                total = total + part if sign == "+" else total - part
            return total
        case _:
            return None


def _product(sizes: list[Size]) -> Size:
    made = Size.of(1)
    for size in sizes:
        made = made * size
    return made
