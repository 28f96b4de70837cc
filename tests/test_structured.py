"""Every gradient entry of a kernel, checked by the structure of its program: right ones pass, wrong ones are named."""

from __future__ import annotations

import itertools
import time
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from programs import programs
from timing import patience

import derivkit as dk
from derivkit.checking.structured import routes
from derivkit.numeric.codegen import cuts
from derivkit.symbolic.expr import Mul, Num
from derivkit.symbolic.gallery import gallery, wrt

SIZES = {
    "N": 7,
    "D": 4,
    "T": 3,
    "C": 2,
    "H": 5,
    "W": 6,
    "O": 3,
    "V": 6,
    "K": 3,
    "M": 3,
    "L": 6,
    "P": 3,
    "D0": 3,
    "D1": 4,
    "D2": 2,
}


def drawn(kernel, seed=0, dtype=np.float64, **fixed):
    """Return arrays for the inputs of a kernel."""
    rng = np.random.default_rng(seed)
    sizes = {n: SIZES.get(n, 3) for i in kernel.program.inputs for s in i.shape for n in s.names()}
    made = {}
    for i in kernel.program.inputs:
        shape = [s.evaluate(sizes) for s in i.shape]
        values = rng.normal(size=shape)
        if i.kind == "label":
            values = rng.integers(0, i.range.evaluate({**SIZES, **sizes}), shape)
        elif i.kind == "onehot":
            values = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
        elif i.kind == "simplex":
            values = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        elif i.kind == "mask":
            values = rng.integers(0, 2, shape).astype(float)
        elif i.kind == "positive":
            values = rng.uniform(0.2, 0.8, shape)
        elif i.kind == "symmetric":
            values = values + np.swapaxes(values, -1, -2)
        made[str(i.name)] = values if i.kind == "label" else values.astype(dtype)
    return {**made, **fixed}


# -- right gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(gallery))
def test_the_gallery_passes(name):
    k = dk.compile(gallery[name], wrt=wrt[name])
    if k.derivation.kind != "gradient":  # an array: its pullback, at any cotangent
        k = dk.compile(gallery[name], wrt=wrt[name], kind="vjp")
    for seed, dtype in itertools.product(range(2), (np.float64, np.float32)):
        report = k.check(drawn(k, seed, dtype))
        assert report.ok, report
        assert report.evaluations > 0
        assert report.reproduce == "derivkit.check_kernel(kernel, arrays)"


XT = ("x", "t")
NETS = {
    "biases and labels": (
        "x: 6\nt: label 4\nW1: 5, 6\nb1: 5\nW2: 4, 5\nb2: 4\nh = relu(W1 @ x + b1)\nE = cross_entropy(t, softmax(W2 @ h + b2))",
        ("W1", "b1", "W2", "b2"),
        XT,
    ),
    "penalty": (
        "x: 6\nt: onehot 4\nc:\nW1: 5, 6\nW2: 4, 5\nh = tanh(W1 @ x)\n"
        "E = cross_entropy(t, softmax(W2 @ h)) + 0.5*c*sum(W1**2) + 0.5*c*sum(W2**2)",
        ("W1", "W2", "c"),
        XT,
    ),
    "one matrix twice": ("x: 6\nW: 4, 6\nb: 6\nh = sigmoid(W @ x)\ny = W.T @ h + b\nE = sum((y - x)**2)", ("W", "b"), ("x",)),
    "residual": (
        "x: 5\nW: 5, 5\nt: onehot 5\nh = x + gelu(W @ x)\ng = h + gelu(W @ h)\nE = cross_entropy(t, softmax(g))",
        ("W",),
        XT,
    ),
    "attention": (
        "X: T, D\nWq: D, D\nWk: D, D\nWv: D, D\nY: T, D\nA = softmax(X @ Wq @ (X @ Wk).T / sqrt(D))\n"
        "E = sum((A @ X @ Wv - Y)**2)",
        ("Wq", "Wk", "Wv"),
        ("X", "Y"),
    ),
    "convolution": (
        "x: C, H, W\nk: O, C, 3, 3\nb: O\nt: label O\nz[o,i,j] = sum[c,p,q](k[o,c,p,q]*x[c,i+p-1,j+q-1]) + b[o]\n"
        "s[o] = sum[i,j](relu(z[o,i,j]))\nE = cross_entropy(t, softmax(s))",
        ("k", "b"),
        XT,
    ),
    "embedding": (
        "i: label V\nU: V, D\nW: K, D\nt: label K\nh = U[i]\nE = cross_entropy(t, softmax(W @ tanh(h)))",
        ("U", "W"),
        ("i", "t"),
    ),
    "own axis of samples": (
        "X: N, D\nW: K, D\nb: K\nT: onehot N, K\nZ = tanh(X @ W.T + b)\nE = sum(cross_entropy(T, softmax(Z)))/N",
        ("W", "b"),
        (),
    ),
    "batch norm": (
        "X: N, D\nW: K, D\ng: K\nT: onehot N, K\nZ = X @ W.T\nm = mean(Z, axis=0)\nv = mean((Z - m)**2, axis=0)\n"
        "H = g*(Z - m)/sqrt(v + 0.001)\nE = sum(cross_entropy(T, softmax(H)))",
        ("W", "g"),
        (),
    ),
    "not linear": ("x: 6\nw: 6\nv: 6\nE = exp(-sum(w*x)) + sum(sin(v*x))", ("w", "v"), ("x",)),
    "by batched data": ("x: 6\nW: 3, 6\nE = sum(tanh(W @ x))", ("x", "W"), ("x",)),
    "unbatched": ("x: 6\nW1: 5, 6\nW2: 4, 5\nE = sum(W2 @ tanh(W1 @ x))", ("W1", "W2"), ()),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_networks_pass_entry_by_entry(name, dtype):
    text, names, batch = NETS[name]
    for reduce in ("mean", "sum") if batch else (None,):
        k = dk.compile(text, wrt=names, batch=batch, reduce=reduce)
        arrays = drawn(k, 1, dtype)
        report = dk.check_kernel(k, arrays)
        assert report.ok, report
        count = sum(g.size for g in k(arrays)[1].values())
        assert report.evidence[0] == f"{count} entries, each against its own difference"


@pytest.mark.parametrize("name", NETS)
def test_one_wrong_entry_is_named(name):
    text, names, batch = NETS[name]
    k = dk.compile(text, wrt=names, batch=batch)
    arrays = drawn(k, 2)
    for position, word in enumerate(names):
        grads = {w: g.copy() for w, g in k(arrays)[1].items()}
        index = tuple(n // 2 for n in grads[word].shape)
        grads[word][index] += 1e-4 * np.max(np.abs(grads[word]))
        report = k.check(arrays, grads)
        assert report.verdict == "wrong", report
        assert report.blame == (position,)
        assert [(e.leaf, e.index) for e in report.entries] == [(word, index)]
        assert report.entries[0].yours == grads[word][index]
        assert len(str(report).splitlines()) <= 20


def test_the_pullback_is_that_of_its_cotangent():
    k = dk.compile("x: D\nW: K, D\ny = tanh(W @ x)", wrt=("W", "x"), kind="vjp", batch="x")
    arrays = drawn(k)
    assert k.check(arrays).ok
    grads = k(arrays)[1]
    assert k.check(arrays, {"W": 2 * grads["W"]}).diagnosis == "scale:2"


def test_what_nobody_reads_has_no_slope():
    k = dk.compile("x: 3\ny: 3\nE = sum(x)", wrt=("y", "x"))
    arrays = {"x": np.ones(3), "y": np.ones(3)}
    assert k.check(arrays).ok
    assert k.check(arrays, {"y": np.array([0.0, 1.0, 0.0])}).entries[0].index == (1,)


def test_units_far_apart_pass():
    k = dk.compile("x: positive 4\nE = sum(log(x))", wrt="x")
    assert k.check(x=np.array([1e-9, 1e-3, 1.0, 1e4])).evidence == ("4 entries, each against its own difference",)
    k = dk.compile("x: 3\nE = 1e12*sum(x**2)", wrt="x")
    assert k.check(x=np.array([1e-8, 1e8, 1.0])).ok


# -- wrong gradients ------------------------------------------------------------------------------------------------------

TWO_LAYERS = """x: 6
t: onehot 4
W1: 5, 6
b1: 5
W2: 5, 5
b2: 5
W3: 4, 5
h1 = tanh(W1 @ x + b1)
h2 = sigmoid(W2 @ h1 + b2)
y = softmax(W3 @ h2)
E = cross_entropy(t, y)"""
LEAVES = ("W1", "b1", "W2", "b2", "W3")


def by_hand(v, slope1=lambda h: 1 - h**2, slope2=lambda h: h * (1 - h)):
    h1 = np.tanh(v["x"] @ v["W1"].T + v["b1"])
    h2 = 1 / (1 + np.exp(-(h1 @ v["W2"].T + v["b2"])))
    e = np.exp(h2 @ v["W3"].T)
    d3 = (e / e.sum(1, keepdims=True) - v["t"]) / len(v["x"])
    d2 = d3 @ v["W3"] * slope2(h2)
    d1 = d2 @ v["W2"] * slope1(h1)
    return {"W1": d1.T @ v["x"], "b1": d1.sum(0), "W2": d2.T @ h1, "b2": d2.sum(0), "W3": d3.T @ h2, "d1": d1}


@pytest.fixture(scope="module")
def two_layers():
    k = dk.compile(TWO_LAYERS, wrt=LEAVES, batch=XT)
    arrays = drawn(k)
    right = by_hand(arrays)
    d1 = right.pop("d1")
    assert k.check(arrays, right).ok
    return k, arrays, right, d1


def without(faulty, name):
    return {w: g for w, g in faulty.items() if w != name}


PLANTED = {
    "transpose": (lambda g, v, d: {**g, "W2": g["W2"].T}, "transpose", ["W2"]),
    "scale": (lambda g, v, d: {w: 7 * a for w, a in g.items()}, "scale:7", list(LEAVES)),
    "scale of one": (lambda g, v, d: {**g, "W3": 7 * g["W3"]}, "scale:7", ["W3"]),
    "one entry": (lambda g, v, d: {**g, "W1": g["W1"] + 1e-3 * np.eye(5, 6, 3) * (np.arange(6) == 4)}, "few-entries", ["W1"]),
    "a row": (lambda g, v, d: {**g, "W2": g["W2"] * np.array([1, 1, 2, 1, 1])[:, None]}, "block", ["W2"]),
    "bias not summed": (lambda g, v, d: {**g, "b1": d}, "wrong-axis", ["b1"]),
    "sign": (lambda g, v, d: {**g, "W1": -g["W1"]}, "sign", ["W1"]),
    "zero": (lambda g, v, d: {**g, "W2": 0 * g["W2"]}, "zero", ["W2"]),
    "swapped": (lambda g, v, d: {**g, "b1": g["b2"], "b2": g["b1"]}, "swapped-args", ["b1", "b2"]),
    "penalty": (lambda g, v, d: {**g, "W1": g["W1"] + 0.01 * v["W1"]}, "regulariser", ["W1"]),
    "shape, transposed": (lambda g, v, d: {**g, "W1": g["W1"].T}, "transpose", ["W1"]),
    "shape": (lambda g, v, d: {**g, "W1": g["W1"][1:]}, "shape", ["W1"]),
    "not finite": (lambda g, v, d: {**g, "b2": g["b2"] * np.nan}, "non-finite", ["b2"]),
    "complex": (lambda g, v, d: {**g, "b2": g["b2"] + 0j}, "dtype", ["b2"]),
    "no slope": (lambda g, v, d: without(by_hand(v, lambda h: np.ones(h.shape)), "d1"), "missing-factor", ["W1", "b1"]),
    "wrong slope": (lambda g, v, d: without(by_hand(v, lambda h: h * (1 - h)), "d1"), "missing-factor", ["W1", "b1"]),
    "slope at h": (lambda g, v, d: without(by_hand(v, lambda h: 1 - np.tanh(h) ** 2), "d1"), "missing-factor", ["W1", "b1"]),
    "no slope above": (
        lambda g, v, d: without(by_hand(v, slope2=lambda h: np.ones(h.shape)), "d1"),
        "missing-factor",
        ["W1", "b1", "W2", "b2"],
    ),
    "only some given": (lambda g, v, d: {"b2": 2 * g["b2"]}, "scale:2", ["b2"]),
}


@pytest.mark.parametrize("fault", PLANTED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_planted_fault_is_named(fault, dtype, two_layers):
    k, arrays, right, d1 = two_layers
    plant, code, leaves = PLANTED[fault]
    grads = plant(right, arrays, d1)
    if dtype == np.float32:
        arrays = {w: a.astype(dtype) for w, a in arrays.items()}
        grads = {w: a if a.dtype.kind == "c" else a.astype(dtype) for w, a in grads.items()}
    report = k.check(arrays, grads)
    assert report.diagnosis == code, report
    assert [tuple(w for w in LEAVES if w in grads)[p] for p in report.blame] == leaves
    assert len(str(report).splitlines()) <= 20


# -- where the way back goes wrong first ----------------------------------------------------------------------------------

THREE_LAYERS = """x: 4
t: onehot 3
W1: 5, 4
b1: 5
W2: 5, 5
b2: 5
W3: 3, 5
b3: 3
h1 = tanh(W1 @ x + b1)
h2 = ACT(W2 @ h1 + b2)
E = cross_entropy(t, softmax(W3 @ h2 + b3))"""
ALL = ("W1", "b1", "W2", "b2", "W3", "b3")
ACTS = {
    "tanh": (np.tanh, lambda z, h: 1 - h**2),
    "relu": (lambda z: np.maximum(z, 0), lambda z, h: z > 0),
}


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def backwards(v, act="tanh", head=lambda z, p, t: p - t, slope=None, post=lambda d: d, turned=False, mean=8):
    """Return the gradients of THREE_LAYERS by hand, with a fault put in."""
    f, right = ACTS[act]
    a1 = v["x"] @ v["W1"].T + v["b1"]
    h1 = np.tanh(a1)
    a2 = h1 @ v["W2"].T + v["b2"]
    h2 = f(a2)
    z = h2 @ v["W3"].T + v["b3"]
    d3 = head(z, softmax(z), v["t"]) / mean
    d2 = post(d3 @ v["W3"] * (slope or right)(a2, h2))
    d1 = d2 @ (v["W2"].T if turned else v["W2"]) * (1 - h1**2)
    return {"W1": d1.T @ v["x"], "b1": d1.sum(0), "W2": d2.T @ h1, "b2": d2.sum(0), "W3": d3.T @ h2, "b3": d3.sum(0)}


@pytest.fixture(scope="module")
def three_layers():
    made = {act: dk.compile(THREE_LAYERS.replace("ACT", act), wrt=ALL, batch=XT) for act in ACTS}
    arrays = drawn(made["tanh"], 4)
    rng = np.random.default_rng(4)
    arrays["x"], arrays["t"] = rng.normal(size=(8, 4)), np.eye(3)[rng.integers(0, 3, 8)]
    for act, k in made.items():
        assert k.check(arrays, backwards(arrays, act)).ok
    return made, arrays


def but_last(d):
    return np.concatenate([d[:-1], 0 * d[-1:]])


#: code, first wrong leaves, words of the cause, and what is put in
FAULTS = {
    "p (1 - p) too much": ("missing-factor", "W3, b3", "p (1 - p)", {"head": lambda z, p, t: (p - t) * p * (1 - p)}),
    "softmax over samples": ("wrong-axis", "W3, b3", "softmax over axis 0", {"head": lambda z, p, t: softmax(z, 0) - t}),
    "next label": ("permutation", "W3, b3", "another class, off by +1", {"head": lambda z, p, t: p - np.roll(t, 1, 1)}),
    "no target": ("missing-term", "W3, b3", "- t belongs", {"head": lambda z, p, t: p}),
    "diagonal": ("missing-term", "W3, b3", "only the diagonal", {"head": lambda z, p, t: -t * (1 - p)}),
    "no Jacobian": ("missing-factor", "W3, b3", "lack the Jacobian of softmax", {"head": lambda z, p, t: -t / p}),
    "last sample": ("missing-term", "W3, b3", "lack the last sample", {"head": lambda z, p, t: but_last(p - t)}),
    "mean without": ("missing-term", "W3, b3", "all but the last sample", {"head": lambda z, p, t: but_last(p - t), "mean": 7}),
    "no tanh'": ("missing-factor", "W2, b2", "no factor where the slope of h2", {"slope": lambda z, h: 1}),
    "1 - h": ("missing-factor", "W2, b2", "the factor 1 - h2 where", {"slope": lambda z, h: 1 - h}),
    "W2 turned": ("transpose", "W1, b1", "W2 transposed", {"turned": True}),
    "no relu'": ("mask", "W2, b2", "no factor where the slope of h2", {"act": "relu", "slope": lambda z, h: 1}),
    "relu' inverted": ("mask", "W2, b2", "wrong way round", {"act": "relu", "slope": lambda z, h: z < 0}),
    "relu leaks": ("mask", "W2, b2", "slope 0.01 of h2", {"act": "relu", "slope": lambda z, h: np.where(z > 0, 1, 0.01)}),
    "clipped delta": ("mask", "W2, b2", "clipped to ±0.05", {"post": lambda d: np.clip(d, -0.05, 0.05)}),
    "unknown": ("dense", "W3, b3", "W3's and b3's gradients are wrong in no", {"head": lambda z, p, t: np.sin(7 * z)}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_first_fault_on_the_way_back_is_named(fault, dtype, three_layers):
    kernels, arrays = three_layers
    code, first, words, put_in = FAULTS[fault]
    grads = backwards(arrays, **put_in)
    if dtype == np.float32:
        arrays, grads = ({w: a.astype(dtype) for w, a in some.items()} for some in (arrays, grads))
    report = kernels[put_in.get("act", "tanh")].check(arrays, grads)
    assert report.diagnosis == code, report
    assert words in report.summary
    assert report.summary.startswith(" and ".join(f"{w}'s" for w in first.split(", ")))
    assert report.evidence[0].startswith(f"first wrong on the way back: {first}")
    if code != "dense":
        assert report.evidence[0].endswith("is wrong already")
        before = [w for w in ALL if f"{w[0]}{w[1]}" not in first and w[1] < first[1]]
        assert ("(all before them follow)" in report.evidence[0]) == bool(before)
        assert all(line.endswith(f"; {code}") for line in report.evidence[1:] if "entries are wrong" in line)
    assert str(report).splitlines()[0].startswith(f"wrong: gradient of E: {report.summary[:40]}")
    assert len(str(report).splitlines()) <= 20


def test_what_is_right_beside_a_wrong_leaf_is_told(three_layers):
    kernels, arrays = three_layers
    right = backwards(arrays)
    report = kernels["tanh"].check(arrays, {**right, "b3": right["b3"] + np.array([0.1, 0.3, -0.2])})
    assert report.evidence[1] == "W3, from the same ∂E/∂(W3 @ h2 + b3), is right", report
    report = kernels["tanh"].check(arrays, {w: np.clip(g, -0.1, 0.1) for w, g in right.items()})
    assert (report.diagnosis, report.summary[-15:]) == ("mask", "clipped to ±0.1")
    unit = np.sqrt(sum(np.sum(g * g) for g in right.values()))
    report = kernels["tanh"].check(arrays, {w: 0.5 * g / unit for w, g in right.items()})
    assert report.summary.endswith("the norm of all gradients is 0.5, was it clipped to that?")
    assert report.blame == tuple(range(6))


def attention(v, factor=0.5, jacobian=lambda a, g: a * (g - (g * a).sum(1, keepdims=True)), paths=(1, 1, 1)):
    q, s = v["X"] @ v["Wq"], v["X"] @ v["Wk"]
    a = softmax(q @ s.T / 2)
    d = 2 * (a @ v["X"] @ v["Wv"] - v["Y"])
    dz = jacobian(a, d @ v["Wv"].T @ v["X"].T) * factor
    x = (dz @ s @ v["Wq"].T, dz.T @ q @ v["Wk"].T, a.T @ d @ v["Wv"].T)
    gx = sum(use * part for use, part in zip(paths, x, strict=True))
    return {"X": gx, "Wq": v["X"].T @ dz @ s, "Wk": v["X"].T @ dz.T @ q, "Wv": (a @ v["X"]).T @ d}


ATTENDED = {
    "no 1/sqrt(D)": ("scale:2", "2 times the true ∂E/∂((X @ Wq) @ (X @ Wk).T / sqrt(D))", {"factor": 1}),
    "diagonal": ("missing-term", "only the diagonal A (1 - A)", {"jacobian": lambda a, g: a * (1 - a) * g}),
    "wrong axis": ("wrong-axis", "axis 0, not over axis 1", {"jacobian": lambda a, g: a * (g - (g * a).sum(0, keepdims=True))}),
    "no Jacobian": ("missing-factor", "lacks the Jacobian of A", {"jacobian": lambda a, g: g}),
    "a path": ("missing-term", "from X through X @ Wk", {"paths": (1, 0, 1)}),
}


@pytest.mark.parametrize("fault", ATTENDED)
def test_a_fault_in_attention_is_one_cause_with_its_consequences(fault):
    text, _, _ = NETS["attention"]
    k = dk.compile(text, wrt=("X", "Wq", "Wk", "Wv"))
    arrays = drawn(k, 1)
    code, words, put_in = ATTENDED[fault]
    assert k.check(arrays, attention(arrays)).ok
    report = k.check(arrays, attention(arrays, **put_in))
    assert report.diagnosis == code, report
    assert words in report.summary
    assert ("(all before them follow)" in report.evidence[0]) == ("paths" not in put_in)


def normed(v, back, gamma=True):
    u = v["x"] @ v["W"].T
    s = np.sqrt(u.var(1, keepdims=True) + 1e-5)
    n = (u - u.mean(1, keepdims=True)) / s
    d = 2 * (n * v["g"] + v["b"] - v["t"]) / len(u)
    du = back(d * v["g"] if gamma else d, n, s)
    return {"W": du.T @ v["x"], "x": du @ v["W"], "g": (d * n).sum(0), "b": d.sum(0)}


def whole_slope(g, n, s, axis=1):
    return (g - g.mean(axis, keepdims=True) - n * (g * n).mean(axis, keepdims=True)) / s


NORMED = {
    "both held": ("missing-term", "hold the mean and the deviation of W @ x constant", (lambda g, n, s: g / s,)),
    "deviation held": ("missing-term", "W @ x", (lambda g, n, s: (g - g.mean(1, keepdims=True)) / s,)),
    "wrong axis": ("wrong-axis", "over axis 0, not over axis 1", (lambda g, n, s: whole_slope(g, n, s, 0),)),
    "gamma forgotten": ("missing-factor", "lack the factor g on the way back through h", (whole_slope, False)),
}


@pytest.mark.parametrize("fault", NORMED)
def test_a_fault_in_a_normalisation_is_named(fault):
    text = "x: 6\nW: 5, 6\ng: 5\nb: 5\nt: 5\nh = layer_norm(W @ x, g, b)\nE = sum((h - t)**2)"
    k = dk.compile(text, wrt=("W", "x", "g", "b"), batch=XT)
    arrays = drawn(k)
    assert k.check(arrays, normed(arrays, whole_slope)).ok
    code, words, put_in = NORMED[fault]
    report = k.check(arrays, normed(arrays, *put_in))
    assert report.diagnosis == code, report
    assert words in report.summary
    assert report.blame == (0, 1)
    assert report.evidence[0] == "first wrong on the way back: W, x; ∂E/∂(W @ x) is wrong already"


def test_arrays_without_a_name_are_written_as_their_author_did():
    text = "x: 5, 4\nWk: 4, 4\nWv: 4, 4\nE = sum(tanh(x @ Wk.T) @ (x @ Wv.T).T)"
    k = dk.compile(text, wrt=("x", "Wk", "Wv"))
    arrays = drawn(k)
    right = k(arrays)[1]
    slope = 1 - np.tanh(arrays["x"] @ arrays["Wk"].T) ** 2
    through = (np.ones((5, 5)) @ (arrays["x"] @ arrays["Wv"].T) * slope) @ arrays["Wk"]
    report = k.check(arrays, {**right, "x": right["x"] - through})
    assert report.diagnosis == "missing-term"
    assert "from x through x @ Wk.T:" in report.summary or "from x through tanh(x @ Wk.T):" in report.summary
    report = k.check(arrays, {w: -g for w, g in right.items()})
    assert report.evidence[0].endswith("(all before them are wrong in the same way)"), report


PATHS = {
    "past the layer": (
        "x: 5\nU: 5, 5\nW: 5, 5\nt: onehot 5\nh = U @ x\ng = h + tanh(W @ h)\nE = cross_entropy(t, softmax(g))",
        "x: 5\nU: 5, 5\nW: 5, 5\nH: 5\nt: onehot 5\nh = U @ x\ng = H + tanh(W @ h)\nE = cross_entropy(t, softmax(g))",
    ),
    "through the layer": (
        "x: 5\nU: 5, 5\nW: 5, 5\nt: onehot 5\nh = U @ x\ng = h + tanh(W @ h)\nE = cross_entropy(t, softmax(g))",
        "x: 5\nU: 5, 5\nW: 5, 5\nH: 5\nt: onehot 5\nh = U @ x\ng = h + tanh(W @ H)\nE = cross_entropy(t, softmax(g))",
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_left_out_is_named(name):
    whole, part = PATHS[name]
    k = dk.compile(whole, wrt="U", batch=XT)
    arrays = drawn(k)
    cut = dk.compile(part, wrt="U", batch=("x", "t", "H"))
    grads = cut(H=arrays["x"] @ arrays["U"].T, **arrays)[1]
    report = k.check(arrays, grads)
    assert report.diagnosis == "missing-term", report
    assert "path" in report.summary


def test_one_use_of_a_matrix_left_out_is_named():
    text, _, batch = NETS["one matrix twice"]
    k = dk.compile(text, wrt="W", batch=batch)
    arrays = drawn(k)
    part = dk.compile(text.replace("W.T", "V.T").replace("b: 6", "b: 6\nV: 4, 6"), wrt="W", batch=batch)
    report = k.check(arrays, part(V=arrays["W"], **arrays)[1])
    assert report.diagnosis == "missing-term", report


# -- kinks ----------------------------------------------------------------------------------------------------------------

RELU = "x: 6\nt: label 4\nW1: 8, 6\nb1: 8\nW2: 4, 8\nh = relu(W1 @ x + b1)\nE = cross_entropy(t, softmax(W2 @ h))"


def at_kinks(kernel):
    base = drawn(kernel, 3)
    blank = base["x"].copy()
    blank[3] = 0
    yield {**base, "x": blank, "b1": np.zeros(8)}  # a blank sample: every unit of it is at its kink
    yield {**base, "W1": np.zeros((8, 6)), "b1": np.zeros(8)}
    yield {**base, "W1": np.zeros((8, 6)), "W2": np.zeros((4, 8)), "b1": np.zeros(8)}
    for near in (1e-5, 1e-6, 1e-7, 1e-9, 1e-13, -1e-6, -1e-9, -1e-12):
        bias = base["b1"].copy()
        bias[2] = near - base["x"][0] @ base["W1"][2]
        yield {**base, "b1": bias}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_false_alarm_at_kinks(dtype):
    k = dk.compile(RELU, wrt=("W1", "b1", "W2"), batch=XT)
    for n, arrays in enumerate(at_kinks(k)):
        arrays = {w: a if a.dtype.kind == "i" else a.astype(dtype) for w, a in arrays.items()}
        report = k.check(arrays)
        assert report.ok, (n, report)
        grads = {w: g.copy() for w, g in k(arrays)[1].items()}
        if n >= 3:  # the kink is of another unit
            grads["W1"][5, 1] += 0.01 * np.max(np.abs(grads["W1"]))
            assert k.check(arrays, grads).entries[0].index == (5, 1)


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("x: 5\nE = max(x)", [1.0, 3, 3, 0, 2]),
        ("x: 5\nE = sum(abs(x))", [1.0, 0, -3, 0, 2]),
        ("x: 5\nE = sum(maximum(0, 1 - x))", [1.0, 1, -3, 0, 2]),
        ("x: 3\nE = exp(sum(x))", [200.0, 200, 10]),
    ],
)
def test_ties_and_corners_pass(text, x):
    report = dk.compile(text, wrt="x").check(x=np.array(x))
    assert report.ok, report


# -- what is not trusted --------------------------------------------------------------------------------------------------


def test_a_wrong_identity_is_caught_by_its_projection(monkeypatch, two_layers):
    k, arrays, right, _ = two_layers
    whole = cuts.pullback

    def broken(program, site, name, terms):
        pull, absolute = whole(program, site, name, terms)
        (d,) = pull.definitions
        doubled = Mul((Num(2), d.rhs))
        return cuts.replace(pull, definitions=(cuts.replace(d, rhs=doubled),)), absolute

    monkeypatch.setattr(routes, "pullback", broken)
    report = k.check(arrays, right)
    assert report.ok, report
    assert "along random directions only: W1, b1, W2, b2, W3" in report.evidence
    assert k.check(arrays, {**right, "W2": right["W2"].T}).diagnosis == "transpose"


def test_a_missing_share_is_caught_by_the_loss_itself(monkeypatch):
    text, names, batch = NETS["one matrix twice"]
    k = dk.compile(text, wrt=names, batch=batch)
    arrays = drawn(k)
    whole = routes.routes

    def broken(program, leaves, sizes):
        made = whole(program, leaves, sizes)
        return cuts.replace(made, shares={leaf: shares[:1] for leaf, shares in made.shares.items()})

    monkeypatch.setattr("derivkit.checking.structured.door.routes", broken)
    report = k.check(arrays)
    assert report.ok, report
    assert "along random directions only: W, b" in report.evidence


def test_no_adjoint_of_the_derivation_is_read(two_layers):
    k, *_ = two_layers
    program = cuts.objective(k.derivation, k.program)
    assert not {d.name.kind for d in program.definitions} & {"adjoint", "cotangent"}


def test_a_leaf_too_large_is_measured_along_directions(monkeypatch, two_layers):
    k, arrays, right, _ = two_layers
    monkeypatch.setattr(routes, "MOST_COLUMNS", 4)
    assert any(line.startswith("along random directions only") for line in k.check(arrays, right).evidence)
    assert k.check(arrays, {**right, "W1": -right["W1"]}).diagnosis == "sign"


def test_the_linear_way_takes_two_evaluations_a_column():
    k = dk.compile("x: 50\nW: 4, 50\nt: onehot 4\nE = cross_entropy(t, softmax(W @ x))", wrt="W", batch=XT)
    report = k.check(drawn(k))
    assert report.evaluations < 2 * 4 + 30  # and not 2 * 200


# -- speed ----------------------------------------------------------------------------------------------------------------


def test_a_large_network_is_checked_much_faster_than_by_naive_differences():
    text = "x: 98\nt: onehot 10\nW1: 64, 98\nW2: 10, 64\nh = relu(W1 @ x)\nE = cross_entropy(t, softmax(W2 @ h))"
    k = dk.compile(text, wrt=("W1", "W2"), batch=XT)
    arrays = drawn(k)
    grads = {w: g.copy() for w, g in k(arrays)[1].items()}
    grads["W1"][17, 31] *= 1.01
    k.check(arrays, grads)
    started = time.process_time()
    report = k.check(arrays, grads)
    spent = time.process_time() - started
    assert (report.entries[0].leaf, report.entries[0].index) == ("W1", (17, 31))
    assert report.evaluations < 300  # 6912 entries
    assert spent < patience(1.0)


# -- bad calls ------------------------------------------------------------------------------------------------------------


def test_bad_calls_are_one_clear_error(two_layers):
    k, arrays, right, _ = two_layers
    for call, code, words in [
        (lambda: k.check(), "DK041", "no value for 'x'"),
        (lambda: k.check(arrays, {"W9": 1.0}), "DK008", "no gradient by 'W9'"),
        (lambda: k.check(arrays, {}), "DK010", "grads is a mapping"),
        (lambda: k.check(arrays, right["W1"]), "DK010", "grads is a mapping"),
        (lambda: k.check(arrays, {"W1": None, "b2": None}), "DK010", "no gradient is given: W1, b2 are None"),
        (lambda: k.check({**arrays, "x": arrays["x"][:3]}), "DK012", "size 'N'"),
        (lambda: k.check({**arrays, "W1": arrays["W1"] * np.nan}), "DK050", "the loss is nan"),
        (lambda: k.check(arrays, z=1.0), "DK008", "'z' is no input"),
        (lambda: k.check(arrays, {"W1": [[1.0], [1.0, 2.0]]}), "DK040", "no array of numbers"),
        (lambda: dk.check_kernel(lambda x: x, {}), "DK010", "a kernel is checked"),
    ]:
        with pytest.raises(dk.DerivkitError, match=words) as caught:
            call()
        assert caught.value.code == code
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(("text", "kind"), [("x: D\ny = tanh(x)", None), ("x: D\nE = sum(x**3)", "hessian")])
def test_other_kinds_are_refused_with_a_way_out(text, kind):
    k = dk.compile(text, wrt="x", kind=kind)
    with pytest.raises(dk.DerivkitError, match="not checked one by one") as caught:
        k.check(x=np.ones(3))
    assert "vjp" in (caught.value.hint or "")


@pytest.mark.parametrize("given", ["left out", "None"])
def test_a_forgotten_gradient_is_told(given, two_layers):
    k, arrays, right, _ = two_layers
    grads = without(right, "b1") | ({"b1": None} if given == "None" else {})
    for some, verdict in ((grads, "ok"), ({**grads, "W2": -grads["W2"]}, "wrong")):
        report = k.check(arrays, some)
        assert report.verdict == verdict
        assert report.unchecked == ("b1",)
        assert report.to_json()["unchecked"] == ["b1"]
        assert "  not checked: b1 (no gradient given)" in str(report).splitlines()
    assert "b1 not given" in str(k.check(arrays, grads)).splitlines()[0]
    assert k.check(arrays, right).unchecked == ()


def test_nothing_given_is_changed_and_nothing_is_said(two_layers):
    k, arrays, right, _ = two_layers
    before = {w: a.copy() for w, a in arrays.items()}
    state = np.random.get_state()[1].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = k.check(arrays, right), k.check(arrays, right)
    assert str(one) == str(two)
    assert all(np.array_equal(before[w], a) for w, a in arrays.items())
    assert np.array_equal(state, np.random.get_state()[1])


# -- random programs ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(programs(wide=True), st.integers(0, 3))
def test_random_programs_pass_and_one_wrong_entry_does_not(program, seed):
    names = tuple(n for n in program.inputs if not program.kinds[n])
    try:
        k = dk.compile(program.text, wrt=names)
        k = k if k.derivation.kind == "gradient" else dk.compile(program.text, wrt=names, kind="vjp")
    except dk.DerivkitError:
        assume(False)
    assume(not k.module.sizes)
    arrays = drawn(k, seed)
    report = k.check(arrays)
    assert report.ok or report.undecided, f"{program.text}\n{report}"
    grads = {w: g.copy() for w, g in k(arrays)[1].items()}
    largest = float(np.max(np.abs(grads[names[0]])))
    if report.ok and largest > 1e-3 and len(report.evidence) == 1:
        index = tuple(n // 2 for n in grads[names[0]].shape)
        grads[names[0]][index] += 0.01 * largest
        wrong = k.check(arrays, grads)
        assert (names[0], index) in [(e.leaf, e.index) for e in wrong.entries], f"{program.text}\n{wrong}"


@pytest.mark.parametrize(
    "change", [lambda g: 0 * g, lambda g: -g, lambda g: g.T.copy(), lambda g: 1.5 * g], ids=["zero", "sign", "transpose", "scale"]
)
@pytest.mark.parametrize("name", ["W1", "W2"])
def test_what_is_too_faint_to_measure_is_never_called_right(name, change):
    layers, rng = 6, np.random.default_rng(0)
    lines = [f"h{n} = sigmoid(W{n} @ {f'h{n - 1}' if n > 1 else 'x'} + b{n})" for n in range(1, layers)]
    declared = [f"W{n}: D{n}, D{n - 1}\nb{n}: D{n}" for n in range(1, layers)]
    text = "\n".join(["x: D0", "k: label K", *declared, f"W{layers}: K, D{layers - 1}", *lines])
    names = [f"{w}{n}" for n in range(1, layers) for w in "Wb"] + [f"W{layers}"]
    kernel = dk.compile(f"{text}\nE = cross_entropy(k, softmax(W{layers} @ h{layers - 1}))", names, batch=("x", "k"))
    values = {w: np.zeros(8) if w[0] == "b" else 0.01 * rng.normal(size=(8, 8)) for w in names}
    values |= {"x": rng.normal(size=(32, 8)), "k": rng.integers(0, 8, 32)}
    gradients = kernel(values)[1]
    report = kernel.check(values, grads={**gradients, name: change(gradients[name])})
    assert not report.ok
