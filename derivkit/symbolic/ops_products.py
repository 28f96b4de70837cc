"""Rows of the table of operations: products over axes, and what is left of one without an entry."""

from __future__ import annotations

from derivkit.symbolic.ops_row import Op

PRODUCTS: tuple[Op, ...] = (
    Op(
        "prod",
        "x, axis=None, keepdims=False",
        folded=("prod_except(x)[j]",),
        group="reduction",
        latex=r"\prod {x}",
        reason="the product of the others",
    ),
    Op(
        "prod_except",
        "x",
        folded=(
            "(1 - delta[i,j])*prod[k](where(delta[i,k] == 1, 1, where(delta[j,k] == 1, 1, x[k])))",
        ),  # no quotient: x may be 0
        group="hidden",
        latex=r"\textstyle\prod_{{\ne}} {x}",
        reason="the product of the others",
    ),
)
