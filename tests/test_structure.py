"""Convolution, pooling, structure and layers: values against loops and NumPy, derivatives against themselves, and how they read.

Every derivation checks itself against complex steps; the kernel is held against reference evaluation of the derivation.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.index import Size
from derivkit.symbolic.ops_tensor import TENSOR
from derivkit.symbolic.parse import read_program

RNG = np.random.default_rng(7)
V1, V2, V3 = RNG.normal(size=7), RNG.normal(size=3), RNG.normal(size=4)
M1, M2 = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 2))
IMAGE, FILTERS = RNG.normal(size=(2, 3, 6, 7)), RNG.normal(size=(4, 3, 3, 2))
SOUND, BANK = RNG.normal(size=(2, 3, 9)), RNG.normal(size=(4, 3, 3))
QUERY, KEY, VALUE = RNG.normal(size=(5, 4)), RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3))
MASK = np.tri(5, 6)
SQUARE = np.random.default_rng(8).normal(size=(3, 3))


# -- the same operations by loops --------------------------------------------------------------------------------------------


def slid(x: Any, size: tuple[int, ...], stride: Any, dilation: Any, padding: Any) -> Any:
    """Return the windows of the last axes: shape lead + outputs + size, zeros around."""
    dims = len(size)
    stride, dilation, padding = (v if isinstance(v, tuple) else (v,) * dims for v in (stride, dilation, padding))
    x = np.pad(x, [(0, 0)] * (x.ndim - dims) + [(p, p) for p in padding])
    counts = [(x.shape[a - dims] - dilation[a] * (size[a] - 1) - 1) // stride[a] + 1 for a in range(dims)]
    found = np.empty((*x.shape[: x.ndim - dims], *counts, *size), dtype=x.dtype)
    for at in itertools.product(*map(range, counts)):
        for inside in itertools.product(*map(range, size)):
            where = tuple(s * i + d * p for s, i, d, p in zip(stride, at, dilation, inside, strict=True))
            found[(..., *at, *inside)] = x[(..., *where)]
    return found


def convolved(x: Any, w: Any, stride: Any = 1, dilation: Any = 1, padding: Any = 0) -> Any:
    dims = w.ndim if w.ndim == x.ndim and w.ndim < 3 else w.ndim - 2
    windows = slid(x, w.shape[-dims:], stride, dilation, padding)
    if w.ndim == dims:
        return np.tensordot(windows, w, dims)
    windows = np.moveaxis(windows, -2 * dims - 1, -dims - 1)  # the channels beside the window
    found = np.tensordot(windows, w, [range(-dims - 1, 0), range(1, w.ndim)])
    return np.moveaxis(found, -1, -dims - 1)


def normalised(x: Any, axis: int, eps: float = 1e-5) -> Any:
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def attended(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(k.shape[-1])
    scores = scores if mask is None else np.where(mask > 0, scores, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


# -- every row ---------------------------------------------------------------------------------------------------------------

#: program, inputs, value; the last line is the output.
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("x: L\ny = x[::-2]*2", {"x": V1}, 2 * V1[::-2]),
    ("A: N,M\ny = A[::-3, ::-1]", {"A": np.arange(35.0).reshape(5, 7)}, np.arange(35.0).reshape(5, 7)[::-3, ::-1]),
    ("x: L\nw: P\ny = conv1d(x, w)", {"x": V1, "w": V2}, np.correlate(V1, V2, "valid")),
    ("x: L\nw: P\ny = conv1d(x, w, padding='same')", {"x": V1, "w": V2}, np.correlate(V1, V2, "same")),
    ("x: L\nw: P\ny = conv1d(x, w, padding=P-1)", {"x": V1, "w": V2}, np.correlate(V1, V2, "full")),
    ("x: L\nw: 1\ny = conv1d(x, w)", {"x": V1, "w": V2[:1]}, V1 * V2[0]),
    ("x: L\nw: P\ny = conv1d(tanh(x), w, 2, 1, 2)", {"x": V1, "w": V2}, convolved(np.tanh(V1), V2, 2, 2, 1)),
    ("x: C,L\nw: O,C,P\ny = conv1d(x, w, stride=2)", {"x": SOUND[0], "w": BANK}, convolved(SOUND[0], BANK, 2)),
    ("x: N,C,L\nw: O,C,P\ny = conv1d(x, w, dilation=2, padding=1)", {"x": SOUND, "w": BANK}, convolved(SOUND, BANK, 1, 2, 1)),
    ("x: H,W\nw: P,Q\ny = conv2d(x, w)", {"x": IMAGE[0, 0], "w": FILTERS[0, 0]}, convolved(IMAGE[0, 0], FILTERS[0, 0])),
    ("x: N,C,H,W\nw: O,C,P,Q\ny = conv2d(x, w)", {"x": IMAGE, "w": FILTERS}, convolved(IMAGE, FILTERS)),
    ("x: N,C,H,W\nw: O,C,P,Q\ny = conv2d(exp(x), w, stride=(2,1), padding=(1,0))", {"x": IMAGE, "w": FILTERS},
     convolved(np.exp(IMAGE), FILTERS, (2, 1), 1, (1, 0))),
    ("x: N,C,H,W\nw: O,C,3,3\ny = conv2d(x, w, padding='same')", {"x": IMAGE, "w": FILTERS[..., [0, 1, 0]]},
     convolved(IMAGE, FILTERS[..., [0, 1, 0]], 1, 1, 1)),
    ("x: L\ny = avg_pool1d(x, 2)", {"x": V1}, slid(V1, (2,), 2, 1, 0).mean(-1)),
    ("x: 2*M\ny = avg_pool1d(x, 2)", {"x": V1[:6]}, V1[:6].reshape(3, 2).mean(1)),
    ("x: L\nw: P\ny = avg_pool1d(x, P, stride=1)*sum(w)", {"x": V1, "w": V2}, slid(V1, (3,), 1, 1, 0).mean(-1) * V2.sum()),
    ("x: N,C,H,W\ny = avg_pool2d(x, (2,3))", {"x": IMAGE}, slid(IMAGE, (2, 3), (2, 3), 1, 0).mean((-1, -2))),
    ("x: L\ny = max_pool1d(exp(x), 3, stride=2)", {"x": V1}, slid(np.exp(V1), (3,), 2, 1, 0).max(-1)),
    ("x: N,C,H,W\ny = max_pool2d(x, 2)", {"x": IMAGE}, slid(IMAGE, (2, 2), 2, 1, 0).max((-1, -2))),
    ("x: L\ny = max_pool1d(x, 1)", {"x": V1}, V1),
    ("x: L\ny = pad(x, 2)", {"x": V1}, np.pad(V1, 2)),
    ("x: L\ny = pad(exp(x), (1,2))", {"x": V1}, np.pad(np.exp(V1), (1, 2))),
    ("x: N,D\ny = pad(x, ((0,1),(2,0)))*2", {"x": M1}, 2 * np.pad(M1, ((0, 1), (2, 0)))),
    ("x: N,D\ny = flip(x)", {"x": M1}, np.flip(M1)),
    ("x: N,D\ny = tanh(flip(x, axis=1))", {"x": M1}, np.tanh(np.flip(M1, 1))),
    ("x: L\ny = repeat(x, 3)", {"x": V1}, np.repeat(V1, 3)),
    ("x: N,D\nw: P\ny = repeat(exp(x), P, axis=0)*sum(w)", {"x": M1, "w": V2}, np.repeat(np.exp(M1), 3, 0) * V2.sum()),
    ("x: L\nz: M\ny = concat(x, z)", {"x": V1, "z": V3}, np.concatenate([V1, V3])),
    ("x: L\nz: M\ny = concat(exp(x), ones(1), ones(M), 2*z)", {"x": V1, "z": V3},
     np.concatenate([np.exp(V1), np.ones(5), 2 * V3])),
    ("x: N,D\nz: N,M\ny = tanh(concat([x, z], axis=1))", {"x": M1, "z": M2}, np.tanh(np.concatenate([M1, M2], 1))),
    ("x: N,D\ny = concat(x, ones(N, 1), axis=-1)", {"x": M1}, np.concatenate([M1, np.ones((3, 1))], 1)),
    ("x: N,C,H,W\ny = reshape(x, (N, C*H*W))", {"x": IMAGE}, IMAGE.reshape(2, -1)),
    ("x: N,C,H,W\ny = exp(reshape(x, (C*N, -1)))", {"x": IMAGE}, np.exp(IMAGE.reshape(6, -1))),
    ("x: N,H*K\nt: K\ny = reshape(x, (N, H, K))*t", {"x": M1, "t": V1[:2]}, M1.reshape(3, 2, 2) * V1[:2]),
    ("x: A,2*B\ny = reshape(x, (2*A, B))", {"x": M1}, M1.reshape(6, 2)),
    ("x: 12\ny = reshape(x, 3, 4)**2", {"x": M1.ravel()}, M1**2),
    ("x: N,D\ny = layer_norm(x, gamma, beta)", {"x": M1, "gamma": V3, "beta": V1[:4]}, normalised(M1, -1) * V3 + V1[:4]),
    ("x: D\ny = rms_norm(x, gamma, 0.1)", {"x": V3, "gamma": V1[:4]}, V3 / np.sqrt((V3**2).mean() + 0.1) * V1[:4]),
    ("x: N,D\ny = batch_norm(x, gamma, beta, eps=0.1)", {"x": M1, "gamma": V3, "beta": V1[:4]},
     normalised(M1, 0, 0.1) * V3 + V1[:4]),
    ("Y = attention(Q, K, V)", {"Q": QUERY, "K": KEY, "V": VALUE}, attended(QUERY, KEY, VALUE)),
    ("m: mask N,M\nY = attention(Q, K, V, m)", {"Q": QUERY, "K": KEY, "V": VALUE, "m": MASK},
     attended(QUERY, KEY, VALUE, MASK)),
    ("Q: H,N,D\nK: H,M,D\nV: H,M,F\nm: mask N,M\nY = attention(Q, K, V, mask=m)",
     {"Q": np.stack([QUERY, 2 * QUERY]), "K": np.stack([KEY, KEY]), "V": np.stack([VALUE, -VALUE]), "m": MASK},
     attended(np.stack([QUERY, 2 * QUERY]), KEY, np.stack([VALUE, -VALUE]), MASK)),
    # what is padded does not depend on the axis, is a quotient, or has one entry
    ("x: L\nw: 3\ny = conv1d(ones(L), w, padding=1)*x", {"x": V1, "w": V2}, convolved(np.ones(7), V2, 1, 1, 1) * V1),
    ("x: L\nw: 3\ny = conv1d(ones(L), w, padding='same')*x", {"x": V1, "w": V2}, convolved(np.ones(7), V2, 1, 1, 1) * V1),
    ("x: L\nw: 3\ny = conv1d(ones(L)*x[0], w, padding=2, dilation=2)", {"x": V1, "w": V2},
     convolved(np.full(7, V1[0]), V2, 1, 2, 2)),
    ("x: L\nw: 3\ny = conv1d(x/x, w, padding=1)*x", {"x": V1, "w": V2}, convolved(np.ones(7), V2, 1, 1, 1) * V1),
    ("x: L\nz: L\nw: P\ny = conv1d(x/z, w, padding=1)", {"x": V1, "z": V1 + 5, "w": V2},
     convolved(V1 / (V1 + 5), V2, 1, 1, 1)),
    ("s: N\nA: N,D\nw: 3,3\ny = conv2d(s[:, None]*ones((N, D)), w, padding=1)*A", {"s": V2, "A": M1, "w": SQUARE},
     convolved(V2[:, None] * np.ones((3, 4)), SQUARE, 1, 1, 1) * M1),
    ("s: N\nA: N,D\nw: 3,3\ny = conv2d(s[:, None] + zeros((N, D)), w, padding=1)*A", {"s": V2, "A": M1, "w": SQUARE},
     convolved(V2[:, None] * np.ones((3, 4)), SQUARE, 1, 1, 1) * M1),
    ("s: N\nz: D\nw: 3,3\ny = conv2d(outer(s, ones(D)), w, padding=1)*z", {"s": V2, "z": V3, "w": SQUARE},
     convolved(V2[:, None] * np.ones((3, 4)), SQUARE, 1, 1, 1) * V3),
    ("x: L\nw: P\ny = conv2d(x[None, :], outer(w, w), padding=1)", {"x": V1, "w": V2},
     convolved(V1[None, :], np.outer(V2, V2), 1, 1, 1)),
    ("x: L\nz: M\ny = concat(x/x, z)", {"x": V1, "z": V3}, np.concatenate([np.ones(7), V3])),
    ("x: L\nz: L\ny[i] = z[i]*x[1:][i-1]", {"x": V1, "z": V1**2}, V1**2 * np.concatenate([[0], V1[1:]])),
]  # fmt: skip
SWEEP = [pytest.param(*case, id=case[0].replace("\n", "; ")) for case in CASES]


def wrt_of(text: str) -> list[str]:
    return [str(n) for n, i in read_program(text).inputs.items() if i.kind == "real"]


@pytest.mark.parametrize(("text", "inputs", "value"), SWEEP)
def test_a_value_is_that_of_loops(text, inputs, value):
    graph = read_program(text)
    found = evaluate_graph(graph, inputs)[graph.output]
    assert found.shape == value.shape
    np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("text", "inputs", "value"), SWEEP)
def test_a_pullback_checks_itself_reads_back_and_compiles(text, inputs, value):
    assert_all_agree(text, inputs, value)


def assert_all_agree(text: str, inputs: dict[str, Any], value: Any) -> None:
    """Derivation, both programs of its result and the kernel agree."""
    names = wrt_of(text)
    derivation = dk.derive(text, wrt=names, kind="vjp")
    assert derivation.checked.startswith("checked"), derivation.checked
    assert derivation.latex()
    seed = RNG.normal(size=value.shape)
    given = {**inputs, f"{read_program(text).output}_bar": seed}
    expected = {str(n): a for n, a in evaluate_graph(derivation.graph, given).items()}
    for notation in ("matrix", "index"):
        again = read_program(derivation.program(notation=notation))
        found = {str(n): a for n, a in evaluate_graph(again, given).items()}
        for name in names:
            np.testing.assert_allclose(found[f"{name}_bar"], expected[f"{name}_bar"], rtol=1e-9, atol=1e-10)
    made, gradients = dk.compile(text, wrt=names, kind="vjp")(**given)
    np.testing.assert_allclose(made, value, rtol=1e-9, atol=1e-12)
    for name in names:
        np.testing.assert_allclose(gradients[name], expected[f"{name}_bar"], rtol=1e-9, atol=1e-10)


def test_every_row_is_swept():
    programs = " ".join(text for text, _, _ in CASES)
    assert [op.name for op in TENSOR if f"{op.name}(" not in programs] == []


# -- random programs of these rows -------------------------------------------------------------------------------------------

LINES = {
    "x: L\nz: M\nw: P": [
        "pad({0}, (0,2))", "flip({0})", "repeat({0}, 2)", "tanh({0})", "{0}[1:]", "{0}[::2]", "conv1d({0}, w, padding='same')",
        "conv1d({0}, w, stride=2, padding=1)", "conv1d({0}, w, dilation=2, padding=2)", "avg_pool1d({0}, 2)",
        "avg_pool1d({0}, 3, stride=1)", "max_pool1d({0}, 2, stride=1)", "concat({0}, x)", "concat(z, {0})", "exp({0}/4)",
        "concat({0}[2:], {0}[:2])", "sum(reshape(concat({0},{0}), (-1,2)), axis=1)", "{0}/norm({0})", "softmax({0})",
    ],
    "x: H,W\nz: H,W\nw: P,Q": [
        "pad({0}, ((0,2),(1,0)))", "flip({0}, axis=1)", "repeat({0}, 2, axis=0)", "tanh({0})", "{0}[::2, 1:]", "{0}.T",
        "conv2d({0}, w, padding='same')", "conv2d({0}, w, stride=(2,1), padding=1)", "conv2d({0}, w, dilation=2, padding=2)",
        "avg_pool2d({0}, 2)", "avg_pool2d({0}, (1,3), stride=1)", "max_pool2d({0}, 2)", "concat({0}, {0}**2, axis=1)",
        "attention({0}, {0}, {0})", "reshape({0}, -1)[None, :]", "norm({0}, axis=1, keepdims=True)*{0}", "softmax({0})",
    ],
}  # fmt: skip
LENGTHS = {"L": 11, "M": 9, "H": 7, "W": 6, "P": 2, "Q": 3}


def random_program(seed: int) -> str:
    draw = random.Random(seed)  # noqa: S311
    declared = draw.choice(list(LINES))
    lines, last = [declared], draw.choice("xz")
    for n in range(draw.randint(1, 4)):
        lines.append(f"v{n} = {draw.choice(LINES[declared]).format(last)}")
        last = f"v{n}"
    return "\n".join([*lines, f"y = {last}**2"])


@pytest.mark.parametrize("seed", range(24))
def test_a_random_program_is_derived_read_back_and_compiled(seed):
    text = random_program(seed)
    graph, draw = read_program(text), np.random.default_rng(seed)
    inputs = {str(n): draw.normal(size=[LENGTHS[str(s)] for s in i.shape]) for n, i in graph.inputs.items()}
    assert_all_agree(text, inputs, evaluate_graph(graph, inputs)[graph.output])


# -- how the derivatives read ----------------------------------------------------------------------------------------------------

CONV = "x: N,C,H,W\nw: O,C,P,Q\ng: N,O,H-P+1,W-Q+1\n"
READS = {
    CONV + "E = sum(g*conv2d(x, w))": [
        "∂E/∂x_ncij = Σ_{o,p,q} g_{n,o,i−p,j−q} w_ocpq", "∂E/∂w_ocpq = Σ_{n,i,j} g_noij x_{n,c,i+p,j+q}",
        "conv2d(g, flip(transpose(w, (1, 0, 2, 3)), axis=(2, 3)), padding=(P-1, Q-1))"],
    CONV + "y[b,o,i,j] = sum[c,p,q](w[o,c,p,q]*x[b,c,i+p,j+q])\nE = sum(g*y)": [
        "∂E/∂x_bcij = Σ_{o,p,q} g_{b,o,i−p,j−q} w_ocpq"],
    "x: L\nw: P\nE = sum(conv1d(x, w, stride=2))": ["∂E/∂x_i = Σ_j w_{i−2j}"],
    "x: L\nw: P\nE = sum(exp(conv1d(x, w)))": ["∂E/∂x_i", "w_{i−j}"],
    "x: L\ng: L\nw: P\nE = sum(g*conv1d(x, w, padding='same'))": ["∂E/∂x_i = Σ_p g_{i−p+⌊(P−1)/2⌋} w_p"],
    "x: L\nw: P\ng: L-P+1\nE = sum(g*avg_pool1d(x, P, stride=1))*sum(w)": ["(1 / P)", "g_{i−p}"],
    "x: A\nz: B\ng: A+B\nE = sum(g*concat(x, z))": ["dE_dx = g[:A]", "dE_dz = g[A:]"],
    "x: H,W\ng: H*W\nE = sum(g*reshape(x, H*W))": ["g_{Wj+w}", "dE_dx = reshape(g, (H, W))"],
    "x: H*W\ng: H,W\nE = sum(g*reshape(x, (H, W)))": ["dE_dx = reshape(g, H*W)"],
    "x: L\ng: L\nE = sum(g*flip(x))": ["g_{−i+L−1}", "dE_dx = g[::-1]"],
    "x: L\ng: L+4\nE = sum(g*pad(x, 2))": ["g_{i+2}", "dE_dx = g[2:-2]"],
    "x: L\ng: 3*L\nE = sum(g*repeat(x, 3))": ["Σ_r g_{3l+r}", "dE_dx = sum(reshape(g, (L, 3)), axis=1)"],
    "mask: mask N,M\nG: N,D\nE = sum(G*attention(Q, K, V, mask))": ["dE_dV = A.T @ G"],
    "x: N,D\nG: N,D\nE = sum(G*batch_norm(x, gamma, beta))": [
        "mean(G * n, axis=0)", "dE_dgamma = sum(G * n, axis=0)"],
}  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), READS.items(), ids=lambda v: v.splitlines()[-1] if isinstance(v, str) else "")
def test_a_derivative_reads_as_in_a_book(text, wanted):
    derivation = dk.derive(text, wrt=wrt_of(text))
    page = f"{derivation}\n{derivation.program()}"
    assert [line for line in wanted if line not in page] == [], page


def test_a_convolution_and_its_definition_by_indices_have_one_derivation():
    called = dk.derive("x: L\nw: P\ny = conv1d(x, w)\nE = sum(y**2)", wrt="x")
    written = dk.derive("x: L\nw: P\ny[i] = sum[p](w[p]*x[i+p])\nE = sum(y**2)", wrt="x")
    assert [str(s.after) for s in called.steps] == [str(s.after) for s in written.steps] or (
        called.program(notation="index").splitlines()[-1] == written.program(notation="index").splitlines()[-1]
    )


def test_a_hessian_through_a_part_of_an_axis_is_right():
    text = "x: A\nz: B\nE = sum(concat(x, z)**3*concat(z, x))"
    assert dk.derive(text, wrt="x", kind="hessian").checked.startswith("checked")


def test_a_quotient_of_parts_has_a_hessian_at_the_ends():
    text, point = "x: N\nE = sum(x[1:]/x[:-1])", np.array([1.0, 2.0, 4.0])
    d = dk.derive(text, wrt="x", kind="hessian")
    wanted = [[2 * 2, -1, 0], [-1, 2 * 4 / 8, -1 / 4], [0, -1 / 4, 0]]
    np.testing.assert_allclose(d.evaluate(x=point), wanted, atol=1e-14)
    np.testing.assert_allclose(dk.compile(d)(x=point)[1]["x"], wanted, atol=1e-14)  # and without a warning
    np.testing.assert_allclose(dk.derive(text, wrt="x").evaluate(x=point), [-2, 1 - 1, 1 / 2], atol=1e-14)


@pytest.mark.parametrize("pad", ["(1, 0))[:-1]", "(1, 2))[:-3]"])
def test_a_range_never_divides(pad):
    text = f"p: N,N\nX: N\nk: N\nE = binary_cross_entropy(p @ k, sigmoid(where(X < 2*k, pad(k, {pad}, k)))"
    given = {"p": np.array([[-1.0, -1], [1, 1]]), "X": np.array([-9.0, -9]), "k": np.array([0.5, 0.7])}
    d = dk.derive(text, wrt="k", kind="hessian")
    # u = (0, k_1): E = log(2) + softplus(k_1) - (k_1 + k_2) k_1
    s = 1 / (1 + np.exp(-0.5))
    wanted = [[s * (1 - s) - 2, -1], [-1, 0]]
    np.testing.assert_allclose(d.evaluate(**given), wanted, atol=1e-12)
    np.testing.assert_allclose(dk.compile(d)(**given)[1]["k"], wanted, atol=1e-12)


#: last line, the length of x that is too short, and the least that is not
SHORT = [
    ("y = mean(x[:2])", 1, "the slice :2 in line 2 leaves its axis at N = 1"),
    ("y = max(x[:5])", 4, "the slice :5"),
    ("y = x[3]**2", 3, "position 3"),
    ("y = sum(x[2:5:2])", 4, "the slice 2:5:2"),
    ("y = logsumexp(x[-3:])", 2, "the slice -3:"),
    ("y = x[N-2]**2", 1, "position N-2"),
    ("y = x[-2]**2", 1, "position -2"),
    ("y = sum(max_pool1d(x, 3))", 2, "a window of size 3"),
]


@pytest.mark.parametrize(("last", "length", "said"), SHORT)
def test_what_leaves_its_axis_is_refused_wherever_sizes_are_known(last, length, said):
    d = dk.derive(f"x: N\n{last}", wrt="x")
    assert d.checked.startswith("checked")
    for run in (d.evaluate, dk.compile(d)):
        with pytest.raises(DerivkitError, match=said) as caught:
            run(x=np.ones(length))
        assert caught.value.code == "DK020"
        run(x=np.arange(1.0, length + 2))


# -- shapes and refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("x: 2*M+P\nw: P\nconv1d(x, w, stride=2)", "M+1"),
        ("x: H,W\nmax_pool2d(x, 2)", "H//2, W//2"),
        ("x: P*M\navg_pool1d(x, P)", "M"),
        ("x: N,C,H,W\nw: O,C,3,3\nconv2d(x, w, padding=1)", "N, O, H, W"),
        ("w: O,C,P,Q\nconv2d(x, w)", "K, O, M-P+1, D-Q+1"),
        ("conv1d(x, w)", "M-D+1"),
        ("x: 2*M\nx[::2]*x[1::2]", "M"),
    ],
)
def test_a_shape_is_exact(text, shape):
    graph = read_program(text)
    found = [str(s) for s in graph.shape(graph.output)]
    assert ", ".join(found) == shape


REFUSED = {
    "conv1d(x, A)": ("DK010", "w has shape (N, D): expected P or O,C,P"),
    "conv2d(x, A)": ("DK010", "for this w: expected H,W"),
    "conv2d(A, A, stride=2, padding='same')": ("DK010", "padding 'same' is for a stride of 1"),
    "conv2d(A, A, padding='full')": ("DK010", "padding is 'valid', 'same' or a number"),
    "conv2d(A, A, padding=-1)": ("DK010", "expected an integer from 0 or a size"),
    "conv2d(A, A, stride=(1,2,3))": ("DK010", "expected one number, or 2 of them"),
    "conv1d(five, eight)": ("DK020", "a window of size 8 does not fit on an axis of size 5"),
    "avg_pool2d(x, 2)": ("DK010", "expected at least 2 axes"),
    "max_pool1d(five, 6)": ("DK020", "a window of size 6 does not fit on an axis of size 5"),
    "max_pool1d(x, 0)": ("DK010", "expected an integer from 1 or a size"),
    "pad(A, ((1,1),(1,1),(1,1)))": ("DK010", "such a pair for each of 2 axes"),
    "repeat(A, 2)": ("DK010", "axis= says along which of 2 axes"),
    "concat(x, A)": ("DK012", "joined arrays have the same number of axes"),
    "concat(A, A.T)": ("DK012", "joined arrays have the same sizes but along axis 0"),
    "concat()": ("DK010", "nothing to join"),
    "reshape(five, (2, 3))": ("DK012", "5 entries of shape (5) as 6: (2, 3)"),
    "reshape(A, (-1, -1))": ("DK010", "one size of -1 at most"),
    "reshape(five, (2, -1))": ("DK010", "are no multiple of 2"),
    "attention(x, A, A)": ("DK010", "expected a matrix, or a stack of them"),
    "x[3::-1]": ("DK010", "a reversed part"),
}


@pytest.mark.parametrize("last", REFUSED)
def test_a_refusal_says_what_was_expected_and_where(last):
    with pytest.raises(DerivkitError) as caught:
        read_program(f"x: D\nA: N,D\nfive: 5\neight: 8\n{last}")
    code, message = REFUSED[last]
    assert caught.value.code == code
    text = f"{caught.value.message} {caught.value.hint}"
    assert message in text, text
    assert caught.value.line == 5


def test_sizes_divide_exactly_where_they_can():
    m, p = Size.of("M"), Size.of("P")
    assert (m * p - p) // p + 1 == m
    assert (m * 2 + 1) // 2 == m
    assert str((m - 2) // 2 + 1) == "M//2"
    assert str((m // 2) * 2) == "2*(M//2)"
    assert str((m // 2) * -1) == "-(M//2)"
