"""Exercises that everybody sets: the printed program is the very text of the textbook, not only as short as it."""

from __future__ import annotations

from pathlib import Path

import pytest
from problems import Problem, read_problems

import derivkit as dk
from derivkit.symbolic.render.matrix import matrix_text

EXERCISES = read_problems((Path(__file__).parent / "exercises.txt").read_text())


@pytest.mark.parametrize("exercise", EXERCISES, ids=[f"{e.family}: {e.by} {e.kind}".rstrip() for e in EXERCISES])
def test_an_exercise_has_the_answer_of_the_book(exercise: Problem):
    d = dk.derive(exercise.program, exercise.by, kind=exercise.kind or None)
    assert d.result.program() == exercise.textbook


#: Programs, what is derived, and the mathematics that is printed.
MATHEMATICS = [
    ("X: N, D\nW: D, K\nL = sum((X - X @ W @ W.T)**2)", "W", "", "2 (Xᵀ (X W Wᵀ − X) W + (X W Wᵀ − X)ᵀ X W)"),
    (
        "X: N, D\nmu: D\nS: symmetric D, D\nL = sum(((X - mu) @ inv(S))*(X - mu))/2",
        "S",
        "",
        "−Σ⁻¹ (X − 𝟏 μᵀ)ᵀ (X − 𝟏 μᵀ) Σ⁻¹/2".replace("Σ", "S"),
    ),
    (
        "X: N, D\nW: D, M\nb: M\nw: M\ny: N\nH = tanh(X @ W + b)\nL = sum((H @ w - y)**2)/2",
        "b",
        "",
        "((𝟏 𝟏ᵀ − H ⊙ H)ᵀ (H w − y)) ⊙ w",
    ),
]


@pytest.mark.parametrize(("program", "by", "kind", "expected"), MATHEMATICS)
def test_mathematics_turns_brackets_as_a_whole(program, by, kind, expected):
    assert matrix_text(dk.derive(program, by, kind=kind or None).result) == expected


@pytest.mark.parametrize(
    ("program", "by", "line"),
    [
        ("x: D\nW: K, D\nt: onehot K\ny = softmax(W @ x)\nE = cross_entropy(t, y)", "W", "= (diag(y) − y yᵀ) ⊗ (x xᵀ)"),
        ("X: N, D\nw: D\nt: N\np = sigmoid(X @ w)\nE = sum(binary_cross_entropy(t, p))", "w", "= Σ_n X_ni X_nj p_n (1 − p_n)"),
    ],
)
def test_a_hessian_is_written_in_the_book_s_order(program, by, line):
    assert line in str(dk.derive(program, by, kind="hessian"))
