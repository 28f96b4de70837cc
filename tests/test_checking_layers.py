"""What somebody met who checked hand-written layers: float32 beside small slopes, the wrong leaf, calls that miss an argument."""

from __future__ import annotations

import numpy as np
import pytest

from derivkit.checking.check import check_gradient

F32 = np.float32


def gate(x, w):
    a = x.astype(F32) @ w.astype(F32)
    return F32(np.mean(np.square(a / (1 + np.exp(-a)))))


def gate_slopes(x, w):
    x, w = x.astype(F32), w.astype(F32)
    a = x @ w
    s = 1 / (1 + np.exp(-a))
    moved = 2 * a * s * (s + a * s * (1 - s)) / F32(a.size)
    return moved @ w.T, x.T @ moved


@pytest.mark.parametrize("number", [13, 18, 23, 27, 34, 39])  # points where a few slopes are a fiftieth of the others
def test_float32_is_enough_for_a_right_gradient_with_a_few_small_slopes(number):
    rng = np.random.default_rng(number)
    x, w = rng.normal(size=(4, 3)).astype(F32), rng.normal(size=(3, 5)).astype(F32)
    assert check_gradient(gate, gate_slopes, x, w).ok
    slopes = gate_slopes(x, w)[1]
    smallest = np.unravel_index(np.argmin(np.abs(slopes)), slopes.shape)
    for factor in (1.5, -1.0):  # the smallest slope wrong: unsure perhaps, but never right

        def wrong(x, w, factor=factor):
            made = gate_slopes(x, w)
            made[1][smallest] *= F32(factor)
            return made

        assert not check_gradient(gate, wrong, x, w).ok
