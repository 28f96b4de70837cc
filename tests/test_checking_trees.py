"""Trees of arguments: every kind of container and leaf goes in as it came, and its gradient is found in it."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pytest

import derivkit as dk

W = np.array([[1.0, -2.0], [0.5, 3.0]])
B = np.array([0.3, -0.7])
Pair = namedtuple("Pair", "W b")


@dataclass(frozen=True)
class Layer:
    W: np.ndarray
    b: np.ndarray
    name: str = "layer"
    width: int = 2
    made: list = field(default_factory=list, init=False)


def value(W, b):
    return float(np.sum(np.tanh(W @ b + b)))


def slopes(W, b):
    z = 1 - np.tanh(W @ b + b) ** 2
    return np.outer(z, b), W.T @ z + z


#: how the two arrays are put together, and what reads them
TREES = {
    "dict": ({"W": W, "b": B}, lambda p: (p["W"], p["b"]), lambda g: {"W": g[0], "b": g[1]}),
    "ordered": (OrderedDict(b=B, W=W), lambda p: (p["W"], p["b"]), lambda g: {"W": g[0], "b": g[1]}),
    "read-only mapping": (MappingProxyType({"W": W, "b": B}), lambda p: (p["W"], p["b"]), lambda g: {"W": g[0], "b": g[1]}),
    "list": ([W, B], tuple, list),
    "tuple": ((W, B), tuple, tuple),
    "list, tuple back": ([W, B], tuple, tuple),
    "named tuple": (Pair(W, B), lambda p: (p.W, p.b), lambda g: Pair(*g)),
    "dataclass": (Layer(W, B), lambda p: (p.W, p.b), lambda g: Layer(*g)),
    "dataclass, dict back": (Layer(W, B), lambda p: (p.W, p.b), lambda g: {"W": g[0], "b": g[1]}),
    "nested": (
        {"a": [{"W": W}, (B, 3)], "c": None},
        lambda p: (p["a"][0]["W"], p["a"][1][0]),
        lambda g: {"a": [{"W": g[0]}, (g[1], None)]},
    ),
}


@pytest.mark.parametrize(("tree", "parts", "back"), TREES.values(), ids=TREES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_containers(tree, parts, back, wrapped):
    def f(tree_):
        assert type(tree_) is type(tree)
        return value(*parts(tree_))

    def grad(tree_, factor=1.0):
        gW, gb = slopes(*parts(tree_))
        made = back((gW, factor * gb))
        return (made,) if wrapped else made

    assert dk.check_gradient(f, grad, tree).ok
    report = dk.check_gradient(f, lambda tree_: grad(tree_, 0.5), tree)
    assert report.diagnosis == "scale:0.5"
    names = list(parts(tree))
    assert np.array_equal(names[1], B)
    assert report.blame == ((0,) if isinstance(tree, OrderedDict) else (1,))
    assert dk.check_vjp(lambda t: np.tanh(parts(t)[0] @ parts(t)[1]), lambda c, t: back(_linear(c, *parts(t))), tree).ok
    assert dk.check_jvp(lambda t: parts(t)[0] * 2.0, lambda dt, t: parts(dt)[0] * 2.0, tree).ok


def _linear(c, W, b):
    z = c * (1 - np.tanh(W @ b) ** 2)
    return np.outer(z, b), W.T @ z


def test_integers_booleans_and_none_are_skipped():
    def f(x, n, flag, nothing, text, indices):
        assert (n, flag, nothing, text, indices.tolist()) == (3, True, None, "a", [1, 0])
        return float(np.sum(x[indices] ** n))

    rest = (3, True, None, "a", np.array([1, 0]))
    full = dk.check_gradient(f, lambda x, *rest: (3 * x**2, None, None, None, None, None), B, *rest)
    assert full.ok
    assert dk.check_gradient(f, lambda x, *rest: 3 * x**2, B, *rest).ok
    assert dk.check_gradient(f, lambda x, *rest: (3 * x**2, 0, 0, 0, 0, np.zeros(2)), B, *rest).ok
    two = dk.check_gradient(lambda x, n, y: float(x @ y) * n, lambda x, n, y: (n * y, n * x), B, 2, B + 1)
    assert two.ok  # what is not differentiable may be left out


def test_none_is_no_claim_and_all_none_an_error():
    report = dk.check_gradient(lambda x, y: float(x @ y), lambda x, y: (y, None), B, B + 1)
    assert report.ok
    assert "not claimed, so not checked: y" in str(report)
    with pytest.raises(dk.DerivkitError, match="nothing is claimed"):
        dk.check_gradient(lambda x: float(x @ x), lambda x: None, B)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,)])
def test_every_float_and_shape(dtype, shape):
    rng = np.random.default_rng(1)
    x = rng.uniform(0.5, 2.0, shape).astype(dtype)
    seen = []

    def f(x):
        seen.append(x.dtype)
        return np.sum(x * x)

    report = dk.check_gradient(f, lambda x: 2 * x, x)
    assert report.ok, str(report)
    assert seen[0] == dtype
    if x.size:
        assert dk.check_gradient(f, lambda x: 3 * x, x).diagnosis[:9] == "scale:1.5"
        assert dk.check_gradient(f, lambda x: (2 * x).astype(dtype), x).ok
        assert not dk.check_gradient(f, lambda x: (3 * x).astype(dtype), x)
    else:
        assert "nothing to measure" in str(report)
        assert dk.check_gradient(f, lambda x: np.zeros((0, 2)), x).diagnosis == "shape"


def test_python_floats_and_numpy_scalars_stay_what_they_are():
    kinds = []

    def f(x):
        kinds.append(type(x))
        return x * x

    for x in (3.0, np.float64(3.0), np.float32(3.0), np.array(3.0)):
        kinds.clear()
        assert dk.check_gradient(f, lambda x: 2 * x, x).ok
        assert kinds[0] is type(x)


LAYOUTS = {
    "read-only": np.broadcast_to(B, (3, 2)),
    "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
    "negative strides": np.arange(6.0).reshape(3, 2)[::-1, ::-1],
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}


@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS)
def test_any_memory_layout(x):
    before = x.copy()
    weights = np.arange(1.0, 7.0).reshape(3, 2)
    assert dk.check_gradient(lambda x: float(np.sum(weights * x**2)), lambda x: 2 * weights * x, x).ok
    assert not dk.check_gradient(lambda x: float(np.sum(weights * x**2)), lambda x: 2 * weights[::-1] * x, x)
    assert np.array_equal(x, before)


def test_an_empty_array_beside_others():
    f = lambda x, none: float(x @ x) + float(none.sum())  # noqa: E731
    assert dk.check_gradient(f, lambda x, none: (2 * x, np.zeros(0)), B, np.zeros(0)).ok
    assert dk.check_gradient(f, lambda x, none: (3 * x, np.zeros(0)), B, np.zeros(0)).diagnosis == "scale:1.5"


def test_what_is_changed_in_a_container_is_seen():
    def adds(p):
        p["new"] = 1
        return float(p["x"] @ p["x"])

    def counts(p):
        p["n"] += 1
        return float(p["x"] @ p["x"])

    for f in (adds, counts):
        assert dk.check_gradient(f, lambda p: {"x": 2 * p["x"], "n": None}, {"x": B, "n": 1}).diagnosis == "mutates-input"
    integers = np.array([1, 2])

    def writes(x, n):
        n[0] = 7
        return float(x @ x)

    assert dk.check_gradient(writes, lambda x, n: (2 * x, None), B, integers).diagnosis == "mutates-input"
    assert integers.tolist() == [1, 2]


def test_a_jacobian_may_come_in_a_tuple():
    assert dk.check_jacobian(lambda x: W @ x, lambda x: (W,), B).ok
    assert dk.check_jacobian(lambda x: W @ x, lambda x: W, B).ok
    assert dk.check_jacobian(lambda x: W @ x, lambda x: [W.tolist()], B).ok


def test_what_does_not_fit_is_told():
    f = lambda p: float(p["a"] @ p["a"])  # noqa: E731
    assert "no entry 'a'" in str(dk.check_gradient(f, lambda p: {"b": p["a"]}, {"a": B}))
    assert "no entry 'a'" in str(dk.check_gradient(f, lambda p: 2 * p["a"], {"a": B}))
    assert "too few" in str(dk.check_gradient(lambda p: float(p[1] @ p[1]), lambda p: [None], [1, B]))
    assert "ragged" in str(dk.check_gradient(lambda x: float(x @ x), lambda x: [[1.0], [1.0, 2.0]], B))
    assert "3 entries for 2 arguments" in str(dk.check_gradient(lambda x, y: 0.0, lambda x, y: (x, y, x), B, B))


def test_what_cannot_be_differentiated_is_an_error():
    circle: list = [B]
    circle.append(circle)
    for bad, match in (
        (circle, "nested deeper"),
        (1 + 2j, "complex"),
        (np.array([1j]), "complex128"),
        (np.array([B, None], dtype=object), "object"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "masked"),
        (np.array([np.nan]), "not finite"),
        (3, "nothing to differentiate"),
    ):
        with pytest.raises(dk.DerivkitError, match=match):
            dk.check_gradient(lambda x: 0.0, lambda x: x, bad)


def test_masked_results_pass_nothing():
    masked = lambda x: np.ma.array(2 * x, mask=[False, True])  # noqa: E731
    assert dk.check_gradient(lambda x: float(x @ x), masked, B).diagnosis == "non-finite"
    with pytest.raises(dk.DerivkitError, match="not finite"):
        dk.check_vjp(masked, lambda c, x: 2 * c, B)
