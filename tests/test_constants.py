"""Numbers among the operands: powers of 0, and what has no value whatever the inputs are."""

from __future__ import annotations

import numpy as np
import pytest

import derivkit as dk


def test_a_power_of_zero_is_flat():
    d = dk.derive("x: N\nE = sum(0**x)", "x")
    assert d.checked.startswith("checked")
    np.testing.assert_array_equal(d.evaluate(x=np.array([1.0, 2.0])), [0, 0])
    assert d.verify("0*x")
    assert not d.verify("x")
    assert dk.compile("x: N\nE = sum(0**x)", "x")(x=np.array([1.0, 2.0]))[0] == 0


REFUSED = [
    ("log(0)*sum(x)", r"log\(0\) has no value"),
    ("log(-2)*sum(x)", r"log\(-2\) has no value"),
    ("sqrt(-1)*sum(x)", "a root of -1 has no value"),
    ("sum((-2)**x)", "real values only at integers"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED, ids=[c[0] for c in REFUSED])
def test_what_has_no_value_is_refused(body, said):
    with pytest.raises(dk.DerivkitError, match=said):
        dk.derive(f"x: N\nE = {body}", "x")


def test_a_product_has_derivatives_of_every_order():
    x = np.array([2.0, 3.0, 0.0, 5.0])
    first = dk.derive("x: N\nE = prod(x)", "x")
    second = dk.derive(first, "x")
    np.testing.assert_allclose(second.evaluate(x=x)[2], [15, 10, 0, 6])
    third = dk.derive(second, "x")
    assert third.checked.startswith("checked")
    assert third.evaluate(x=x)[0, 1, 2] == 5
    hvp = dk.derive("x: N, M\nE = sum(prod(x, axis=1)**2)", "x", kind="hvp")
    np.testing.assert_allclose(hvp.evaluate(x=x[None], x_dot=np.ones((1, 4))), [[0, 0, 1800, 0]])
    assert dk.derive("x: N\nE = prod[i](1 + x[i]**2)", "x", kind="hessian").checked.startswith("checked")
