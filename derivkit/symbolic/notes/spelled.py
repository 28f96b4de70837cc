"""What a letter is called: the same for every way of setting it."""

from __future__ import annotations

from derivkit.symbolic.notes.formula import (
    Application,
    Formula,
    Indexed,
    List,
    Number,
    Product,
    Quotient,
    Relation,
    Sign,
    Sum,
    Symbol,
)

#: Letters that look alike in print, and come out one for the other where a page was read by a machine.
LOOKALIKES = {"gamma": "y", "nu": "v", "omega": "w", "rho": "p", "kappa": "k", "chi": "x", "upsilon": "u", "ell": "l"}


def spelled(formula: Formula | None) -> str:
    """Return a short text for a label or a subscript that is no index: ``(2)``, ``l-1``, ``max``."""
    match formula:
        case None:
            return ""
        case Number():
            return formula.text
        case Symbol():
            return formula.name + (f"^({spelled(formula.label)})" if formula.label is not None else "")
        case Indexed():
            return f"{spelled(formula.base)}_{','.join(map(spelled, formula.subscripts))}"
        case Sign():
            return f"{formula.op}{spelled(formula.operand)}"
        case Sum():
            return "".join(f"{sign}{spelled(term)}" for sign, term in formula.terms).removeprefix("+")
        case Product():
            return "".join(spelled(factor) for _, factor in formula.factors)
        case Quotient():
            return f"{spelled(formula.over)}/{spelled(formula.under)}"
        case Relation():
            return f"{spelled(formula.left)}{formula.op}{spelled(formula.right)}"
        case Application():
            return f"{spelled(formula.function)}({','.join(map(spelled, formula.arguments))})"
        case List():
            return ",".join("..." if item is None else spelled(item) for item in formula.items)
        case _:
            return type(formula).__name__


def symbol_of(formula: Formula) -> Symbol | None:
    """Return the letter of ``x``, ``x_{ij}`` or ``x_{ij}(a, b)``; ``None`` for anything else."""
    match formula:
        case Symbol():
            return formula
        case Indexed(base=base) | Application(function=base):
            return symbol_of(base)
        case _:
            return None
