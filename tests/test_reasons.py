"""The reason beside a line is the one of that line."""

from __future__ import annotations

import pytest

import derivkit as dk

CENTRED = [
    ("X: N, D\nE = sum(std(X, axis=0))", "u_i = (1 / N) Σ_n X_ni"),
    ("X: N, D\nE = sum(var(X, axis=1))", "u_n = (1 / D) Σ_i X_ni"),
    ("X: N, D\nE = sum(log(var(X, axis=0)))", "u_i = (1 / N) Σ_n X_ni"),
    ("x: N\nE = std(x)", "u = (1 / N) Σ_n x_n"),
    ("x: N\nE = log(var(x))", "u = (1 / N) Σ_n x_n"),
    ("x: N\nm = mean(x)\nv = mean((x - m)**2)\nE = v", "m = (1 / N) Σ_n x_n"),
]


@pytest.mark.parametrize(("program", "reason"), CENTRED, ids=[c[0].replace("\n", "; ") for c in CENTRED])
def test_a_centred_sum_is_zero_because_of_its_mean(program, reason):
    lines = dk.derive(program, program[0]).text().split("\n")
    zero = next(line for line in lines if line.split()[:2] == ["=", "0"])
    assert zero.split("  ")[-1].strip() == reason
