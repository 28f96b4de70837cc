"""A program at a point: the table of a backpropagation exercise, against hand-worked numbers and complex steps."""

from __future__ import annotations

import numpy as np
import oracle
import pytest

import derivkit
from derivkit.symbolic.gallery import gallery, wrt

RESIDUAL = """x0:
w0:
w1:
b0:
b1:
xw0 = x0*w0
xwb0 = xw0 + b0
x1 = relu(xwb0)
xw1 = x1*w1
y1 = xw1 + b1
yx = y1 + x0
z = relu(yx)"""
POINT = {"x0": 1, "w0": 0.3, "w1": -0.2, "b0": 0.1, "b1": -0.3}


def test_the_residual_graph_worked_by_hand():
    made = derivkit.derive(RESIDUAL, wrt="w0, w1, b0, b1").at(POINT)
    by_hand = {"xw0": 0.3, "xwb0": 0.4, "x1": 0.4, "xw1": -0.08, "y1": -0.38, "yx": 0.62, "z": 0.62}
    assert {n: round(float(made.values[n]), 12) for n in by_hand} == by_hand
    gradients = {"w0": -0.2, "w1": 0.4, "b0": -0.2, "b1": 1.0}
    assert {n: round(float(made.gradients[n]), 12) for n in gradients} == gradients
    assert float(made.locals["xw1", "x1"]) == -0.2
    text = str(made)
    assert "∂z/∂w1 = ∂z/∂yx · ∂yx/∂y1 · ∂y1/∂xw1 · ∂xw1/∂w1" in text
    assert "       = 1 · 1 · 1 · 0.4\n       = 0.4" in text


def test_two_paths_are_added():
    text = str(derivkit.derive(RESIDUAL, wrt="x0").at(POINT))
    assert text.endswith("= 1 · 1 · 1 · (−0.2) · 1 · 1 · 0.3 + 1 · 1\n       = 0.94")


def test_more_paths_than_a_page_holds_are_counted():
    lines = ["x:", "h0 = x", *(f"h{k + 1} = h{k}*h{k} + h{k}*x" for k in range(12))]
    chain = derivkit.derive("\n".join(lines), wrt="x").at(x=0.1).chains[0]
    assert not chain.paths
    assert chain.count > 12
    assert "paths)" in str(derivkit.derive("\n".join(lines), wrt="x").at(x=0.1))


@pytest.mark.parametrize("name", ["two_layer_tanh", "softmax_cross_entropy", "quadratic_regression", "ridge"])
def test_local_derivatives_multiply_to_the_gradient(name):
    """Values, and the sum over paths of products of the printed local derivatives, against the oracle's complex steps."""
    text = gallery[name]
    sizes = {n: 2 + k for k, n in enumerate(oracle.size_names(text))}
    values = oracle.sample(text, sizes, np.random.default_rng(3))
    variable = wrt[name][0]
    made = derivkit.derive(text, wrt=variable).at(values)
    measured = oracle.complex_step_jacobian(text, values, sizes, variable)
    np.testing.assert_allclose(made.gradients[variable], measured, atol=1e-10)
    (chain,) = made.chains
    total = np.zeros_like(measured)
    for path in chain.paths:
        product = np.ones(())
        for one in path:
            inner = np.ndim(made.values[one.of])
            product = np.tensordot(product, one.value, inner) if inner else product * one.value
        total = total + product
    np.testing.assert_allclose(total, measured, atol=1e-10)


def test_arrays_are_shortened():
    text = str(derivkit.derive("x: N\nW: M, N\ny = W @ x\nE = sum(y**2)", wrt="W").at(x=np.ones(50), W=np.ones((40, 50))))
    assert "40×50 [1, …, 1]" in text
    assert "[1, 1, 1, …] (50)" in text
    assert max(map(len, text.splitlines())) < 160


@pytest.mark.parametrize(
    ("options", "code"), [({}, "DK041"), ({"x": 1, "q": 2}, "DK008"), ({"x": [1, 2]}, "DK040"), ({"x": 1j}, "DK040")]
)
def test_what_is_refused(options, code):
    with pytest.raises(derivkit.DerivkitError) as caught:
        derivkit.derive("x:\nE = x**2", wrt="x").at(options)
    assert caught.value.code == code


def test_a_second_derivative_has_no_table():
    with pytest.raises(derivkit.DerivkitError, match="first derivatives"):
        derivkit.derive("x:\nE = x**3", wrt="x", kind="hessian").at(x=1)
