"""Kernels at the edges of shapes: several axes at once, sizes that no input fixes, results that do not depend on the batch."""

from __future__ import annotations

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.evaluate import evaluate_graph

SEVERAL_AXES = [
    "sum(sin(log_softmax(k, axis=(0, 1, 2))))",
    "sum(sin(log_softmax(k, axis=(2, 0))))",
    "sum(exp(k)*log(softmax(k, axis=(0, 2))))",
    "sum(argmax(k, axis=(0, 2))) + sum(k**2)",
    "sum(argmax(k, axis=(0, 2), keepdims=True)*k)",
    "sum(argmax(k, axis=(2, 0), keepdims=True)*k)",
    "sum(argmax(k, axis=(2, 1, 0), keepdims=True)*k)",
    "argmax(k)*sum(k)",
    "sum(max(k, axis=(0, 2))**2)",
    "sum(prod(k, axis=(0, 2))**2)",
]


@pytest.mark.parametrize("body", SEVERAL_AXES)
def test_an_operation_along_several_axes_runs_alone_and_in_batches(body):
    d = dk.derive(f"k: K, M, L\nE = {body}", "k", check=False)
    rng = np.random.default_rng(0)
    one, many = dk.compile(d), dk.compile(d, batch="k")
    ks = rng.normal(size=(3, 2, 3, 4))
    values, gradients = zip(*(one(k=k) for k in ks), strict=True)
    for k, value, gradient in zip(ks, values, gradients, strict=True):
        expected = evaluate_graph(d.graph, {"k": k})
        np.testing.assert_allclose(value, expected[d.primal.output], rtol=1e-12)
        np.testing.assert_allclose(gradient["k"], expected[d.results["k"].name], rtol=1e-10, atol=1e-12)
    value, gradient = many(k=ks)
    np.testing.assert_allclose(value, np.mean(values), rtol=1e-12)
    np.testing.assert_allclose(gradient["k"], np.stack([g["k"] for g in gradients]) / 3, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("u: N\ny = ones(M) @ ones((M, N))", "vjp"),
        ("u: N\nE = sum(ones(M))*sum(u)", None),
        ("u: N\nE = sum(pad(u, (M, 0))[:N])", None),
        ("u: N*M\nE = sum(u)/M", None),
        ("u: N*M\nE = sum(reshape(u, (N, M))[0])", None),
    ],
)
def test_a_size_that_no_input_fixes_is_one_clear_error(text, kind):
    kernel = dk.compile(text, "u", kind=kind)
    with pytest.raises(DerivkitError) as error:
        kernel({str(i.name): np.ones(3) for i in kernel.inputs})
    assert (error.value.code, error.value.message) == ("DK041", "size 'M' is not fixed by any input")
    assert error.value.hint == "write it as a number"


def test_a_size_that_only_a_window_has_is_read_off_an_input():
    k = dk.compile("u: N\nv: M\nE = sum(pad(u, (M, 0))[:N])*v[0]", "u")
    assert k(u=np.arange(4.0), v=np.array([2.0, 1.0]))[1]["u"].tolist() == [2, 2, 0, 0]


def test_a_size_keeps_its_name_beside_the_kernels_own_variables():
    k = dk.compile("x: N\nv: u\nE = sum(pad(tanh(x)*exp(tanh(x)), (u, 0))[:N])*v[0]", "x")
    assert k(x=np.zeros(3), v=np.ones(2))[1]["x"].tolist() == [1, 0, 0]


def test_an_input_that_nothing_reads_tells_its_size():
    k = dk.compile("x: N\nv: M\nE = sum(pad(x, (M, 0))[:N])", "x")
    assert k(x=np.zeros(3), v=np.ones(2))[1]["x"].tolist() == [1, 0, 0]


X, Y, W = np.arange(15.0).reshape(5, 3), np.ones((5, 3)), np.array([1.0, 2.0, 3.0])

#: the program, wrt, kind, the arrays, and of each result whether it has the axis of samples; x and y are batched
SHAPES = [
    ("E = sum(w**2)", "x, w", None, {"x": X, "w": W}, [True, False]),
    ("E = sum(w**2) + sum(y)", "x", None, {"x": X, "y": Y, "w": W}, [True]),
    ("h = x + w\nE = sum(h)", "h, w, x", None, {"x": X, "w": W}, [True, False, True]),
    ("E = x @ w", "x", "hvp", {"x": X, "w": W, "x_dot": Y}, [True]),
    ("E = sum(w**2)", "w", "hvp", {"x": X, "w": W, "w_dot": W}, [False]),
    ("z = w**2", "x, w", "vjp", {"x": X, "w": W, "z_bar": Y}, [True, False]),
    ("z = w**2", "w", "vjp", {"w": W, "z_bar": X}, [False]),
    ("z = w**2*x", "x, w, y", "vjp", {"x": X, "w": W, "y": Y, "z_bar": X}, [True, False, True]),
    ("z = w**2", "x", "jvp", {"x": X, "w": W, "x_dot": X}, [True]),
    ("z = x + w", "w", "jvp", {"x": X, "w": W, "w_dot": W}, [True]),
]


@pytest.mark.parametrize(("body", "by", "kind", "arrays", "per_sample"), SHAPES)
def test_what_does_not_depend_on_the_samples_has_the_shape_of_what_does(body, by, kind, arrays, per_sample):
    text = f"x: D\ny: D\nw: D\n{body}"
    rows = [n for n, a in arrays.items() if a.ndim == 2]
    one = dk.compile(text, by, kind=kind)
    many = dk.compile(text, by, kind=kind, batch="x, y")
    values, results = zip(*(one({n: a[k] if n in rows else a for n, a in arrays.items()}) for k in range(5)), strict=True)
    value, result = many(arrays)
    reduced = kind in (None, "hvp")
    np.testing.assert_allclose(value, np.mean(values) if reduced else np.stack(values))
    for (word, got), axis in zip(result.items(), per_sample, strict=True):
        each = np.stack([r[word] for r in results]) / (5 if reduced else 1)
        np.testing.assert_allclose(got, each if axis else np.sum(each, axis=0), err_msg=word)
        assert got.shape == (each if axis else each[0]).shape


@pytest.mark.parametrize("size", ["np", "math", "dtype", "special"])
def test_a_size_that_a_kernel_has_a_word_for_is_refused_or_not_in_the_way(size):
    program = f"x: {size}\nE = sum(exp(x))/sqrt({size})"
    with pytest.raises(DerivkitError, match=f"the size '{size}' has a name that a kernel needs"):
        dk.compile(program, "x")
    assert dk.derive(program, "x").checked.startswith("checked")
