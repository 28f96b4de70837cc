"""Sizes in normal form: equal quotients are equal sizes, and no form changes what a size is."""

from __future__ import annotations

import itertools

import pytest

import derivkit as dk
from derivkit.symbolic.sizes import Size

L, M = Size.of("L"), Size.of("M")
EQUAL = [
    ((L - 1) // 2 + 1, (L + 1) // 2),
    ((M - 1) // 3 + 1, (M + 2) // 3),
    (((L + 1) // 2 + 1) // 2, (L + 3) // 4),
    ((L - M + 3) // 2, (L - M + 1) // 2 + 1),
    ((L * 2 + 1) // 4, L // 2),
    ((L * 3) // 2, L + L // 2),
    ((L // 2) // 3, L // 6),
    ((L + M * 2 + 5) // 2, (L + 1) // 2 + M + 2),
    ((L - 1) // 1, L - 1),
    ((L - 2) // 2 + 1, L // 2),
]


@pytest.mark.parametrize(("left", "right"), EQUAL, ids=lambda s: str(s))
def test_equal_quotients_have_one_form(left, right):
    assert left == right


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_a_quotient_is_that_of_its_numbers(n):
    for a, b, k in itertools.product((-3, -2, -1, 1, 2, 4), (-2, 0, 3), range(-5, 6)):
        made = (L * a + M * b + k) // n
        twice = (made + 1) // 2
        for x, y in itertools.product(range(1, 6), repeat=2):
            exact = (a * x + b * y + k) // n
            assert made.evaluate({"L": x, "M": y}) == exact
            assert twice.evaluate({"L": x, "M": y}) == (exact + 1) // 2


RESIDUAL = [
    "x: L\nw: 3\ny = conv1d(x, w, stride=2, padding=1) + x[::2]\nE = sum(y**2)",
    "x: L\ny = x[::2][::2] + x[::4]\nE = sum(y**2)",
    "x: M\nw: 1\nv = conv1d(x, w, stride=3)\nE = sum(v*x[::3])",
]


@pytest.mark.parametrize("program", RESIDUAL)
def test_strided_lengths_meet(program):
    d = dk.derive(program, "x")
    assert d.checked.startswith("checked")


def test_a_result_over_a_strided_axis_is_read_again():
    program = "x: M\nw: 1\nv = conv1d(x, w, stride=2)\nE = sum(v**2)"
    d = dk.derive(program, "w")
    assert d.verify(d.result.program())
