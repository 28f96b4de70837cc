"""The axis order of a derivative: decided when printing or returning, never when deriving."""

from __future__ import annotations

from typing import Literal, get_args

from derivkit.errors import DerivkitError, did_you_mean, echo

Layout = Literal["mixed", "numerator", "denominator"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

#: What each layout means, printed in the header of a derivation.
MEANING: dict[Layout, str] = {
    "mixed": "a gradient has the shape of its variable; a Jacobian is ∂out/∂in",
    "numerator": "the output's axes come first; a gradient is a row (the transpose of its variable)",
    "denominator": "the variable's axes come first; a Jacobian is the transpose of ∂out/∂in",
}


def read_layout(name: str) -> Layout:
    """Return ``name`` as a layout, or raise :class:`DerivkitError` (DK031) with the nearest one.

    >>> read_layout("mixed")
    'mixed'
    """
    for layout in LAYOUTS:
        if str(name) == layout:
            return layout
    raise DerivkitError(
        f"unknown layout '{echo(name)}'", code="DK031", hint=did_you_mean(str(name), LAYOUTS) or f"one of {', '.join(LAYOUTS)}"
    )


def axis_order(layout: Layout, out_rank: int, in_rank: int) -> tuple[int, ...]:
    """Return the transposition from the natural axes (output's axes, then the variable's) to ``layout``.

    A gradient of a scalar (``out_rank`` 0) in numerator layout is the transpose of its variable: ∂E/∂W of a
    K×M matrix is M×K.  A Jacobian ∂out/∂in has the output's axes first, in denominator layout the variable's.

    >>> axis_order("numerator", 0, 2), axis_order("denominator", 1, 2), axis_order("mixed", 1, 1)
    ((1, 0), (1, 2, 0), (0, 1))
    """
    outputs, inputs = tuple(range(out_rank)), tuple(range(out_rank, out_rank + in_rank))
    if out_rank == 0:
        return inputs[::-1] if layout == "numerator" else inputs
    return inputs + outputs if layout == "denominator" else outputs + inputs
