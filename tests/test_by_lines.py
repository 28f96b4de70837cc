"""Derivatives by a line of the program: the line moves, and whatever is only equal to it stays."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import derivkit as dk
from derivkit.symbolic.derive import door
from derivkit.symbolic.graph import Graph

RNG = np.random.default_rng(11)
Z = RNG.uniform(0.3, 1.2, 4)
P = np.exp(Z) / np.exp(Z).sum()
ONES = np.ones((4, 4))
#: Program in z, the line, the kind, and the derivative where the line has its own value.
HELD = [
    ("y = softmax(z)\nE = sum(y*softmax(z)**2)", "y", "gradient", P**2),
    ("y = norm(z)\nE = y*norm(z)", "y", "gradient", np.linalg.norm(Z)),
    ("y = max(z)\nE = y**2*max(z)", "y", "gradient", 2 * Z.max() ** 2),
    ("y = logsumexp(z)\nE = y*logsumexp(z)", "y", "gradient", np.log(np.exp(Z).sum())),
    ("y = mean(z)\nE = y*mean(z)", "y", "gradient", Z.mean()),
    ("y = tanh(z)\nE = sum(y*tanh(z))", "y", "gradient", np.tanh(Z)),
    ("y = tanh(z)\nE = sum(y**2*tanh(z))", "y", "hessian", np.diag(2 * np.tanh(Z))),
    ("y = softmax(z)\nE = sum(y)**2", "y", "hessian", 2 * ONES),
    ("y = z - mean(z)\nE = sum(y)**2", "y", "hessian", 2 * ONES),
    ("y = exp(z)\nu = y**2\nE = sum(u*y*exp(z))", "y", "hessian", np.diag(6 * np.exp(2 * Z))),
    ("a = 2*z\ny = exp(a)\nE = sum(y*exp(2*z)*a)", "a", "gradient", np.exp(4 * Z) * (1 + 2 * Z)),
]


@pytest.mark.parametrize(("lines", "name", "kind", "right"), HELD, ids=[f"{c[0]}, {c[2]}".replace("\n", "; ") for c in HELD])
def test_what_is_only_equal_to_a_line_does_not_move_with_it(lines, name, kind, right):
    d = dk.derive(f"z: N\n{lines}", name, kind=kind)
    assert d.checked.startswith("checked")
    np.testing.assert_allclose(d.evaluate(z=Z), right, rtol=1e-12)


def test_a_derivative_is_held_when_it_is_differentiated_again():
    first = dk.derive("z: N\ny = tanh(z)\nE = sum(y**2*tanh(z))", "y")
    assert dk.derive(first, "y").result.program() == "2 * diag(tanh(z))"


def test_what_is_written_twice_is_one_line_where_nothing_hangs_on_it():
    d = dk.derive("z: N\ny = softmax(z)\nE = sum(y*softmax(z)**2)", "z")
    assert "softmax" not in d.result.program()


def test_the_check_sees_two_uses_that_were_taken_for_one(monkeypatch):
    monkeypatch.setattr(Graph, "moving", lambda graph, names: graph)
    with pytest.raises(dk.DerivationError, match="fails derivkit's own check"):
        door.derive("z: N\ny = softmax(z)\nE = sum(y*softmax(z)**2)", "y")


def test_a_program_without_repetition_is_read_once():
    assert dk.derive("z: N\ny = softmax(z)\nE = sum(y**2)", "z").primal.apart is None


UNHELD = ["y = softmax(z)\nE = sum(y**2*softmax(z))", "y = tanh(z)\nE = sum(y**2*tanh(z))", "y = norm(z)\nE = y**2*norm(z)"]


@pytest.mark.parametrize("lines", UNHELD)
def test_the_check_sees_what_is_true_at_the_point_alone(monkeypatch, lines):
    monkeypatch.setattr(Graph, "holding", lambda graph, names: graph)
    monkeypatch.setattr(Graph, "moving", lambda graph, names: graph)
    with pytest.raises(dk.DerivationError, match="near the point, fails derivkit's own check"):
        door.derive(f"z: N\n{lines}", "y", kind="hessian")


def test_the_check_sees_a_declared_fact_that_was_differentiated(monkeypatch):
    program = "z: K\nt: onehot K\ny = softmax(z)\nE = cross_entropy(t, y)"
    dk.derive(program, "z", kind="hessian")
    monkeypatch.setattr(sys.modules["derivkit.symbolic.derive.reverse"], "_exact", lambda *args: None)
    with pytest.raises(dk.DerivationError, match="near the point, fails derivkit's own check"):
        door.derive(program, "z", kind="hessian")
