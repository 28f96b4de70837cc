"""Operator notation: the chain rule as a product of Jacobians, its factors as matrices, and what both orders cost."""

from __future__ import annotations

import re

import numpy as np
import oracle
import pytest

import derivkit
from derivkit.symbolic.gallery import gallery, wrt

NET = "x: D\nt: onehot K\nW1: M, D\nW2: K, M\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)"


def lines(program: str, name: str) -> list[tuple[str, str, str]]:
    """Return (left, right, reason) of each line of the derivation in operator notation."""
    text = derivkit.derive(program, wrt=name).text(notation="operator")
    found = []
    for line in text.splitlines():
        match = re.match(r"^ {4}(\S.*?)? += (.*?)(?: {3,}(.*))?$", line)
        if match:
            found.append((match[1] or "", match[2].strip(), (match[3] or "").strip()))
    return found


def test_the_tanh_network():
    made = lines(NET, "W1")
    assert made[0][:2] == ("D E(W1)", "D_y E(t, y) · D_z softmax(z) · D_h (W2 h) · D_a tanh(a) · D_W1 (W1 x)")
    values = [(left, right) for left, right, _ in made[1:14]]
    assert values[:10] == [
        ("D_y E(t, y)", "−(t ⊘ y)ᵀ"),
        ("D_z softmax(z)", "diag(y) − y yᵀ"),
        ("D_h (W2 h)", "W2"),
        ("D_a tanh(a)", "diag(1 − h²)"),
        ("D_W1 (W1 x)", "δ_jk x_i"),
        ("", "I ⊗ xᵀ"),
        ("D_z E", "(y − t)ᵀ"),
        ("D_h E", "(y − t)ᵀ W2"),
        ("D_a E", "((W2ᵀ (y − t)) ⊙ (1 − h²))ᵀ"),
        ("D_W1 E", "x ((W2ᵀ (y − t)) ⊙ (1 − h²))ᵀ"),
    ]
    # a row times K×K, K×M, M×M, M×MD; and from the other end K×M·M·MD first
    assert values[10] == ("cost", "DM²+K²+KM+M²")
    assert values[11] == ("", "DK²M+DKM²+DM³+DKM")


def test_a_bias_is_the_identity():
    assert ("D_b (W x + b)", "I", "") in lines("x: D\nW: M, D\nb: M\nE = sum(tanh(W @ x + b)**2)", "b")


def test_two_ways_to_the_output_are_added():
    made = lines("x: N\nA: N, N\nh = tanh(A @ x)\ny = x + h\nE = sum(y**2)", "x")
    assert made[0][1] == "D_y E(y) · D_h (x + h) · D_a tanh(a) · D_x (A x) + D_y E(y) · D_x (x + h)"


KRONECKER = [
    ("W: M, D\nx: D\ny = W @ x", "W", "I ⊗ xᵀ", lambda v: np.kron(np.eye(2), v["x"][None, :])),
    ("A: M, N\nX: N, D\nY = A @ X", "X", "A ⊗ I", lambda v: np.kron(v["A"], np.eye(4))),
    ("X: N, D\nB: D, K\nY = X @ B", "X", "I ⊗ Bᵀ", lambda v: np.kron(np.eye(2), v["B"].T)),
    ("x: M\nW: M, D\ny = x @ W", "W", "xᵀ ⊗ I", lambda v: np.kron(v["x"][None, :], np.eye(3))),
    ("X: N, D\nb: D\nY = X + b", "b", "𝟏 ⊗ I", lambda v: np.kron(np.ones((2, 1)), np.eye(3))),
    ("a: N\nb: M\nY = outer(a, b)", "b", "a ⊗ I", lambda v: np.kron(v["a"][:, None], np.eye(3))),
    ("a: N\nb: M\nY = outer(a, b)", "a", "I ⊗ b", lambda v: np.kron(np.eye(2), v["b"][:, None])),
]


@pytest.mark.parametrize(("program", "name", "form", "matrix"), KRONECKER)
def test_jacobians_by_matrices_are_kronecker_products(program, name, form, matrix):
    assert form in [right for _, right, _ in lines(program, name)]
    sizes = {n: 2 + k for k, n in enumerate(oracle.size_names(program))}
    values = oracle.sample(program, sizes, np.random.default_rng(2))
    jacobian = oracle.complex_step_jacobian(program, values, sizes, name)
    rows = jacobian.size // values[name].size
    np.testing.assert_allclose(matrix(values), jacobian.reshape(rows, -1), atol=1e-12)


def test_a_transpose_between_is_no_kronecker_product():
    """Z = X Wᵀ by W: the entry is told, but (n, j), (k, i) does not fall apart into (n, k), (j, i)."""
    assert not any("⊗" in right for _, right, _ in lines("X: N, D\nW: M, D\nZ = X @ W.T", "W"))


@pytest.mark.parametrize("name", [n for n in gallery if not n.startswith("deep_sigmoid") or n == "deep_sigmoid_3"])
def test_every_gallery_program_has_an_operator_form(name):
    assert "D_" in derivkit.derive(gallery[name], wrt=wrt[name][:1], check=False).text(notation="operator")


def test_latex_has_it_too():
    made = derivkit.derive(NET, wrt="W1", check=False).latex(notation="operator")
    assert r"D_{a} \tanh(a) &= \mathrm{diag}(1 - h^{2})" in made
    assert r"&= I \otimes x^\top" in made


def test_other_layouts_and_kinds_are_refused():
    with pytest.raises(derivkit.DerivkitError, match="numerator"):
        derivkit.derive(NET, wrt="x").text(notation="operator", layout="denominator")
    with pytest.raises(derivkit.DerivkitError, match="first derivatives"):
        derivkit.derive(NET, wrt="x", kind="hessian").text(notation="operator")


@pytest.mark.parametrize(("program", "name", "form", "matrix"), KRONECKER)
def test_a_jacobian_of_matrices_is_printed_as_it_acts_on_vectors(program, name, form, matrix):
    text = derivkit.derive(program, wrt=name, kind="jacobian").text()
    assert re.search(rf"= {re.escape(form)} +on vectors", text)
    assert "on vectors" not in derivkit.derive(program, wrt=name, kind="jacobian").text(layout="denominator")
