"""Kernels: the same values as the reference, batched as well; stable at the extremes; readable, importable, precise."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from programs import programs

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.numeric.codegen.prelude import HELPERS
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.gallery import gallery, wrt
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.parse import read_program

TANH = "x: D\nW1: M, D\nW2: K, M\nt: onehot K\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)"
SIZES = {"N": 5, "D": 4, "M": 3, "K": 2, "L": 6, "P": 3, "H": 3, "D0": 3, "D1": 4, "D2": 2}


def sample(graph: Graph, rng: np.random.Generator, lengths=None, batch=()) -> dict[str, np.ndarray]:
    """Return random values for every input, of its kind."""
    names = {n for i in graph.inputs.values() for s in i.shape for n in s.names()}
    names |= {n for i in graph.inputs.values() if i.range for n in i.range.names()}
    sizes = {n: (lengths or SIZES).get(n, 3) for n in names}
    values = {}
    for name, i in graph.inputs.items():
        shape = ((7,) if str(name) in batch else ()) + tuple(s.evaluate(sizes) for s in i.shape)
        if i.kind == "label":
            values[str(name)] = rng.integers(0, i.range.evaluate(sizes), shape)
        elif i.kind == "onehot":
            values[str(name)] = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
        elif i.kind == "simplex":
            values[str(name)] = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        elif i.kind == "mask":
            values[str(name)] = rng.integers(0, 2, shape).astype(float)
        elif i.kind == "positive":
            values[str(name)] = rng.uniform(0.2, 0.8, shape)
        else:
            values[str(name)] = rng.normal(size=shape)
            if i.kind == "symmetric":
                values[str(name)] = values[str(name)] + values[str(name)].T
    return values


@pytest.fixture(scope="module")
def derived():
    return {name: dk.derive(text, wrt=wrt[name], check=False) for name, text in gallery.items()}


@pytest.mark.parametrize("name", sorted(gallery))
def test_a_kernel_has_the_values_of_its_derivation(name, derived):
    d = derived[name]
    k = dk.compile(d)
    for seed, lengths in enumerate([None, dict.fromkeys(SIZES, 1), None]):
        values = sample(d.primal, np.random.default_rng(seed), lengths)
        env = evaluate_graph(d.graph, values, best=True)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            value, grads = k(values)
        np.testing.assert_allclose(value, env[d.primal.output], rtol=1e-9, atol=1e-12)
        for word, result in d.results.items():
            expected = env.get(result.name)
            if expected is not None and np.all(np.isfinite(expected)):
                assert grads[word].shape == expected.shape
                np.testing.assert_allclose(grads[word], expected, rtol=1e-8, atol=1e-10)


BATCHED = [
    ("two_layer_tanh", ("x", "t")),
    ("three_layer_relu_biases", ("x", "t")),
    ("softmax_cross_entropy_label", ("z", "k")),
    ("bce_logits", ("z", "t")),
    ("kl_softmaxes", ("a",)),
    ("focal", ("z", "t")),
    ("temperature", ("z", "t")),
    ("standardise", ("x",)),
    ("huber", ("y",)),
    ("tied_autoencoder", ("x",)),
    ("quadratic_form", ("x",)),
    ("deep_sigmoid_3", ("x", "t")),
    ("ridge", ("X", "y")),
    ("cosine_similarity", ("x",)),
]


@pytest.mark.parametrize(("name", "batch"), BATCHED)
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_a_batched_kernel_is_the_mean_of_its_samples(name, batch, reduce, derived):
    d = derived[name]
    one, many = dk.compile(d), dk.compile(d, batch=batch, reduce=reduce)
    values = sample(d.primal, np.random.default_rng(3), batch=batch)
    singles = [one({w: v[n] if w in batch else v for w, v in values.items()}) for n in range(7)]
    value, grads = many(values)
    scale = 1 / 7 if reduce == "mean" else 1.0
    np.testing.assert_allclose(value, scale * sum(v for v, _ in singles), rtol=1e-10, atol=1e-12)
    for word, got in grads.items():
        each = [g[word] for _, g in singles]
        expected = np.stack(each) * scale if word in batch else scale * sum(each)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "batch"), BATCHED)
def test_the_value_stands_before_the_lines_of_the_gradients(name, batch, derived):
    source = dk.compile(derived[name], batch=batch).source
    made = re.findall(r"(?m)^    (\w+)(?:\[[^]]*\])? [-+*/@]?= ", source)
    returned = re.search(r"return (\w+), ", source)
    assert returned is not None
    backward = [n for n, line in enumerate(made) if line.startswith(f"d{derived[name].graph.output}_d")]
    if returned[1] in made and backward:
        assert made.index(returned[1]) < backward[0]


def test_a_batched_network_is_written_with_matrix_products():
    k = dk.compile(TANH, wrt=("W1", "W2"), batch=("x", "t"))
    for line in ("h = np.tanh(x @ W1.T)", "dE_dz = (y - t) / N", "dE_dW1 = dE_da.T @ x", "dE_dW2 = dE_dz.T @ h"):
        assert line in k.source
    assert k.source.count("/ N") == 2  # once in the value, once where the adjoints begin
    assert "einsum" not in k.source
    assert str(k) == k.source
    assert "x: (N, D)" in k.signature
    assert "dE_dz = (y - t) / N" in k.explain()
    assert k.shapes == {"x": ("D",), "W1": ("M", "D"), "W2": ("K", "M"), "t": ("K",)}


BY_HAND = {  # a softmax and a logsumexp that are written out, and what they are
    "S = Q@K.T\nA = exp(S)/sum(exp(S), axis=1, keepdims=True)\nE = sum((A@V)**2)": "E = sum((softmax(Q@K.T, axis=1)@V)**2)",
    "E = sum(log(sum(exp(Q @ K.T), axis=1))) + sum(V)": "E = sum(logsumexp(Q @ K.T, axis=1)) + sum(V)",
    "s = sum(exp(Q))\nE = log(s)**2 + 0.1*log(sum(exp(V))) + sum(K)": "E = logsumexp(Q)**2 + 0.1*logsumexp(V) + sum(K)",
}


@pytest.mark.parametrize("text", BY_HAND)
@pytest.mark.parametrize("wide", [1.0, 30.0])
def test_exponentials_by_hand_have_the_gradients_of_the_operation(text, wide):
    declared = "Q: L, D\nK: L, D\nV: L, P\n"
    rng = np.random.default_rng(0)
    values = {w: wide * rng.normal(size=(4, n)) for w, n in (("Q", 3), ("K", 3), ("V", 2))}
    value, grads = dk.compile(declared + text, "Q,K,V")(values)
    expected, rows = dk.compile(declared + BY_HAND[text], "Q,K,V")(values)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for word, row in rows.items():
        np.testing.assert_allclose(grads[word], row, rtol=1e-9, atol=1e-12 * wide**4)


def test_parameters_are_what_is_real_and_not_batched():
    assert set(dk.compile(TANH, wrt=dk.PARAMETERS, batch=("x", "t")).program.gradients) == {"W1", "W2"}
    assert set(dk.compile(TANH, wrt=dk.PARAMETERS).program.gradients) == {"W1", "W2", "x"}


def test_the_source_runs_without_derivkit(tmp_path):
    (tmp_path / "net.py").write_text(dk.compile(TANH, wrt="W1", batch=("x", "t")).source, encoding="utf-8")
    code = (
        "import sys, numpy as np, net; r = net.loss_and_gradients(np.ones((2, 3)), np.ones((4, 3)), np.ones((2, 4)), np.eye(2));"
        "assert r[1]['W1'].shape == (4, 3); assert not any(m.startswith('derivkit') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", sorted(gallery))
def test_float32_stays_float32(name, derived):
    d = derived[name]
    k = dk.compile(d)
    values = sample(d.primal, np.random.default_rng(0))
    single = {w: v if v.dtype.kind in "iu" else v.astype(np.float32) for w, v in values.items()}
    scope = {}
    exec(k.source, scope)
    with np.errstate(all="ignore"):
        value, grads = scope[k.module.function](*(single[str(n)] for n in k.module.inputs), *(SIZES[n] for n in k.module.sizes))
    for array in (value, *grads.values()):
        assert np.asarray(array).dtype == np.float32 or (np.ndim(array) == 0 and isinstance(array, float))


EXTREME = {
    "softmax_cross_entropy": ("z: K\nt: onehot K\ny = softmax(z)\nE = cross_entropy(t, y)", "z", {"t": [0.0, 1.0, 0.0]}, 3),
    "by hand": ("z: K\nt: onehot K\ne = exp(z)\nZ = sum(e)\np = e/Z\nE = cross_entropy(t, p)", "z", {"t": [0.0, 1.0, 0.0]}, 3),
    "label": ("z: K\nk: label K\nE = cross_entropy(k, softmax(z))", "z", {"k": 1}, 3),
    "logits": ("z: K\nt: K\nE = softmax_cross_entropy(t, z)", "z", {"t": [0.0, 1.0, 0.0]}, 3),
    "logsumexp": ("z: K\nE = logsumexp(z)", "z", {}, 3),
    "log sum exp": ("z: K\nE = log(sum(exp(z)))", "z", {}, 3),
    "bce": ("z: K\nt: K\np = sigmoid(z)\nE = binary_cross_entropy(t, p)", "z", {"t": [0.0, 1.0, 0.0]}, 3),
    "logistic": ("z: K\nE = sum(softplus(z))", "z", {}, 3),
    "log1p exp": ("z: K\nE = sum(log(1 + exp(z)))", "z", {}, 3),
    "log sigmoid": ("z: K\nE = -sum(log(sigmoid(z)))", "z", {}, 3),
    "kl": ("z: K\nb: K\np = softmax(z)\nq = softmax(b)\nE = kl_div(p, q)", "z", {"b": [0.0, 1.0, 0.0]}, 3),
    "entropy": ("z: K\np = softmax(z)\nE = -sum(p*log(p))", "z", {}, 3),
    "silu": ("z: K\nE = sum(silu(z))", "z", {}, 3),
    "gelu": ("z: K\nE = sum(gelu_tanh(z))", "z", {}, 3),
    "elu": ("z: K\nE = sum(elu(z))", "z", {}, 3),
    "norm": ("z: K\nE = norm(z)", "z", {}, 3),
}

HAND = {
    "sigmoid": "E = sum(1/(1 + exp(-z)))",
    "sigmoid, the other way": "E = sum(exp(2*z + 1)/(1 + exp(2*z + 1)))",
    "powers": "E = sum(exp(2*z)/(1 + exp(z))**2) + sum(1/(1 + exp(-z/2))**3)",
    "a name": "p = 1/(1 + exp(-z))\nE = sum(p**2)",
    "names": "e = exp(z)\nu = 1 + e\np = e/u\nE = sum(p**2) + sum(p)**2",
    "log of a name": "p = 1/(1 + exp(-z))\nE = -sum(log(p)) - sum(log(1 - p))",
    "cross entropy": "t: K\np = 1/(1 + exp(-z))\nE = binary_cross_entropy(t, p)",
    "cross entropy, the other way": "t: K\np = exp(z)/(1 + exp(z))\nE = binary_cross_entropy(t, p)",
    "complement": "E = sum((1 - sigmoid(z))*z) + sum(sigmoid(z) - 1)",
    "expm1": "u = exp(z)\nE = sum(log(1 + u)) + sum(exp(-abs(z)) - 1) + sum((1 - exp(-z**2))**2)",
    "log1p": "u = 1 + z**2/1e8\nE = sum(log(u)) + sum(log(1 + abs(z)))",
}
EXTREME |= {f"hand: {w}": ("z: K\n" + t, "z", {"t": [0.0, 1.0, 0.0]} if "t:" in t else {}, 3) for w, t in HAND.items()}


@pytest.mark.parametrize("name", sorted(HAND))
def test_each_stable_form_is_equal_to_what_was_written(name):
    d = dk.derive("z: K\n" + HAND[name], "z", check=False)
    values = {"z": np.array([-3.0, -0.4, 0.7, 5.0]), "t": np.array([0.0, 1.0, 0.3, 0.0])}
    values = {w: v for w, v in values.items() if w in map(str, d.primal.inputs)}
    env = evaluate_graph(d.graph, values)
    value, grads = dk.compile(d)(values)
    np.testing.assert_allclose(value, env[d.primal.output], rtol=1e-11)
    np.testing.assert_allclose(grads["z"], env[d.results["z"].name], rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(EXTREME))
@pytest.mark.parametrize("point", [(1e4, -1e4, 0.0), (-1e4, 1e4, 1e4), (-1e4, -1e4, -1e4), (1e4, 1e4, 1e4), (0.0, 0.0, 1e-8)])
def test_nothing_overflows_at_the_extremes(name, dtype, point):
    text, variable, rest, _ = EXTREME[name]
    k = dk.compile(text, wrt=variable)
    arrays = {w: np.asarray(v, dtype=None if w == "k" else dtype) for w, v in rest.items()}
    arrays[variable] = np.array(point, dtype=dtype)
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        value, grads = k(arrays)
    assert np.isfinite(value)
    assert np.all(np.isfinite(grads[variable]))
    assert grads[variable].dtype == dtype


DIGITS = {
    "E = -sum(log(sigmoid(z)))": 50,
    "E = sum(1/(1 + exp(-z)))": 50,
    "E = sum(expm1(z))": -700,
    "p = sigmoid(z)\nE = -sum(log(p))": 50,
    "p = sigmoid(-z)\nE = -sum(log(1 - p))": 50,
    "a = 1*z\np = sigmoid(a)\nl = log(p)\nE = sum(l)": 700,
}


@pytest.mark.parametrize(("text", "z"), DIGITS.items())
def test_a_derivative_keeps_its_digits(text, z):
    slope = dk.compile(f"z: K\n{text}", "z")(z=[z])[1]["z"]
    np.testing.assert_allclose(abs(slope), np.exp(-abs(z)), rtol=1e-11)


def test_cross_entropy_at_the_extreme_is_exact():
    text, _, rest, _ = EXTREME["softmax_cross_entropy"]
    value, grads = dk.compile(text, wrt="z")(z=np.array([1e4, -1e4, 0.0]), **rest)
    assert value == 2e4
    assert grads["z"].tolist() == [1.0, -1.0, 0.0]


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "logsumexp", "log_softmax", "softmax"])
def test_helpers_are_accurate_over_the_whole_range(name):
    mp = pytest.importorskip("mpmath")
    scope = {"np": np}
    for text in HELPERS.values():
        exec(text, scope)
    xs = np.concatenate([-np.logspace(-8, 2.8, 40), np.logspace(-8, 2.8, 40)])
    with mp.workdps(50):
        for x in xs:
            if name in ("sigmoid", "softplus"):
                got = float(scope[name](np.float64(x)))
                e = mp.e ** (-mp.mpf(float(x)))
                exact = 1 / (1 + e) if name == "sigmoid" else mp.log1p(1 / e)
            else:
                pair = np.array([x, 0.5])
                got = float(np.ravel(scope[name](pair))[0])
                total = mp.e ** mp.mpf(float(x)) + mp.e ** mp.mpf(0.5)
                exact = {
                    "softmax": mp.e ** mp.mpf(float(x)) / total,
                    "logsumexp": mp.log(total),
                    "log_softmax": -mp.log1p(mp.e ** (mp.mpf(0.5) - mp.mpf(float(x)))),
                }[name]
            assert abs(got - exact) <= 16 * np.spacing(abs(float(exact))) + 1e-323, (name, x)


def test_a_vector_jacobian_product_takes_the_cotangent_as_an_input():
    k = dk.compile("x: D\nW: K, D\ny = softmax(W @ x)", wrt=("W", "x"), kind="vjp", batch="x")
    rng = np.random.default_rng(0)
    X, W, G = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    value, grads = k(x=X, W=W, y_bar=G)
    assert value.shape == (5, 4)
    inner = value * (G - np.sum(value * G, axis=1, keepdims=True))
    np.testing.assert_allclose(grads["W"], inner.T @ X)
    np.testing.assert_allclose(grads["x"], inner @ W)


def test_a_gradient_is_never_a_view_of_an_input():
    k = dk.compile("x: D\ny: D\nE = x @ y", wrt=("x", "y"))
    y = np.full(3, 2.0)
    k(x=np.ones(3), y=y)[1]["x"][:] = 7
    assert y.tolist() == [2, 2, 2]


def test_names_that_python_uses_are_kept_apart():
    k = dk.compile("np: D\ndtype: D\nsoftplus_: D\nE = sum(np*dtype*softplus_)", wrt="np")
    assert k({"np": np.ones(2), "dtype": np.full(2, 2.0), "softplus_": np.ones(2)})[1]["np"].tolist() == [2, 2]


def test_a_kernel_pickles():
    k = pickle.loads(pickle.dumps(dk.compile("x: D\nE = x @ x", wrt="x")))  # noqa: S301
    assert k(x=np.array([1.0, 2.0]))[0] == 5


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda k: k(x=np.ones((2, 3)), W=np.ones((4, 3))), "DK041"),
        (lambda k: k(x=np.ones((2, 3)), W=np.ones((4, 3)), t=np.ones((2, 4)), z=1), "DK008"),
        (lambda k: k(x=np.ones((2, 3)), W=np.ones((4, 5)), t=np.ones((2, 4))), "DK012"),
        (lambda k: k(x=np.ones(3), W=np.ones((4, 3)), t=np.ones((2, 4))), "DK012"),
        (lambda k: k(x=np.ones((2, 3)), W=np.ones((4, 3)), t=np.ones((3, 4))), "DK012"),
        (lambda k: k(x=np.ones((2, 3)), W="no", t=np.ones((2, 4))), "DK040"),
        (lambda k: k(x=np.ones((2, 3)), W=1j * np.ones((4, 3)), t=np.ones((2, 4))), "DK040"),
        (lambda k: k([1, 2]), "DK010"),
        (lambda k: dk.compile(TANH, wrt="W1", batch="u"), "DK008"),
        (lambda k: dk.compile(TANH, wrt="W1", batch="x", reduce="median"), "DK031"),
        (lambda k: dk.compile(TANH, wrt="W1", reduce="mean"), "DK010"),
        (lambda k: dk.compile("x: D\ny = tanh(x)", wrt="x", batch="x"), "DK031"),
        (lambda k: dk.compile(TANH), "DK010"),
    ],
)
def test_bad_arguments_are_one_clear_error(call, code):
    k = dk.compile("x: D\nW: K, D\nt: K\nE = sum((W @ x - t)**2)", wrt="W", batch=("x", "t"))
    with pytest.raises(DerivkitError) as error:
        call(k)
    assert error.value.code == code
    assert "\n" not in str(error.value)


OBJECTS = [None, {}, 10**30, np.array(1, object), np.array(True, object), [[1], [1, 2]], "1", 1j]


@pytest.mark.parametrize(
    "value", [*OBJECTS, True, np.array(True), 1.5, np.nan, np.inf, 1e30, -1, 3, np.uint64(2**64 - 1)], ids=repr
)
def test_a_label_is_an_integer_in_range(value):
    text = "z: K\nk: label K\nE = cross_entropy(k, softmax(z))"
    z = np.array([1.0, 2.0, 3.0])
    for batch, labels in (((), value), (("k",), [value, value]), (("z", "k"), [value, value])):
        k = dk.compile(text, "z", batch=batch)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(DerivkitError) as error:
                k(z=np.stack([z, z]) if "z" in batch else z, k=labels)
        assert error.value.code == "DK040"
        assert "\n" not in str(error.value)
    assert z.tolist() == [1, 2, 3]
    for good in (1, 1.0, np.int8(1), np.uint64(1)):
        np.testing.assert_allclose(dk.compile(text, "z")(z=z, k=good)[0], 1.4076059644443804)


@pytest.mark.parametrize("value", [None, [1, None, 2], 10**400, ["1", "2", "3"], np.array([True, False, True], object)], ids=repr)
def test_what_is_no_number_is_one_clear_error(value):
    with pytest.raises(DerivkitError) as error:
        dk.compile("z: K\nE = z @ z", "z")(z=value)
    assert error.value.code == "DK040"
    assert dk.compile("s:\nE = 2*s", "s")(s=10**30)[0] == 2e30


MIXED = [
    ("regularised", "x: D\nw: D\ny:\nlam: positive\nE = (w @ x - y)**2 + lam*sum(w**2)", ("w", "lam", "x"), ("x", "y")),
    ("product of parameters", "x: D\nA: K, M\nB: M, D\nt: K\nW = A @ B\nE = sum((W @ x - t)**2)", ("A", "B", "W"), ("x", "t")),
    ("parameters alone", "x: D\nw: D\nE = sum(w**2) + x @ x", ("w", "x"), ("x",)),
    ("an intermediate", "x: D\nW: K, D\nh = tanh(W @ x)\nE = sum(h**2)", ("h", "W"), ("x",)),
    ("a scalar parameter", "x: D\ns:\nE = sum(tanh(s*x))", ("s",), ("x",)),
    ("a shared weight", "x: D\nW: D, D\nh = tanh(W @ x)\nE = sum((W @ h)**2)", ("W",), ("x",)),
    ("a softmax of parameters", "x: D\nv: D\np = softmax(v)\nE = log(p @ exp(x))", ("v",), ("x",)),
    ("a penalty alone", "x: D\nw: D\nlam:\nE = lam*sum(w**2)", ("w", "lam"), ("x",)),
    ("labels", "W: K, D\nx: D\nk: label K\nE = cross_entropy(k, softmax(W @ x))", ("W",), ("x", "k")),
]


@pytest.mark.parametrize(("text", "by", "batch"), [row[1:] for row in MIXED], ids=[row[0] for row in MIXED])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_what_depends_on_the_batch_and_what_does_not_add_up(text, by, batch, reduce):
    d = dk.derive(text, wrt=by, check=False)
    one, many = dk.compile(d), dk.compile(d, batch=batch, reduce=reduce)
    values = {"x": np.ones((7, 3))} | sample(d.primal, np.random.default_rng(3), {"D": 3}, batch)
    singles = [one({w: v[n] if w in batch else v for w, v in values.items()}) for n in range(7)]
    value, grads = many(values)
    scale = 1 / 7 if reduce == "mean" else 1.0
    np.testing.assert_allclose(value, scale * sum(v for v, _ in singles), rtol=1e-10)
    for word, got in grads.items():
        each = [g[word] for _, g in singles]
        expected = scale * (np.stack(each) if word in batch or word == "h" else sum(each))
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=120, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_random_programs_run_alone_and_in_batches(program):
    text = program.text
    graph = read_program(text)
    names = [str(n) for n, i in graph.inputs.items() if i.kind not in ("label", "onehot")]
    if not names:
        return
    d = dk.derive(text, names, check=False)
    k = dk.compile(d)
    sizes = {"N": 2, "M": 3, "K": 4, "B": 2}
    rng = np.random.default_rng(0)
    values = oracle.sample(text, sizes, rng)
    with np.errstate(all="ignore"):
        expected = evaluate_graph(d.graph, values, {n: sizes[n] for n in oracle.size_names(text)}, best=True)
        value, grads = k(values)
    agree(value, expected[d.primal.output], text)
    for word, result in d.results.items():
        if result.name in expected:
            agree(grads[word], expected[result.name], f"{text} by {word}")
    if d.kind != "gradient":
        return
    batch = [names[0]]
    many = dk.compile(d, batch=batch)
    stack = {**values, **{w: np.stack([values[w], 0.7 * values[w] + 0.1, -values[w]]) for w in batch}}
    with np.errstate(all="ignore"):
        singles = [k({**values, **{w: stack[w][n] for w in batch}}) for n in range(3)]
        value, grads = many(stack)
    agree(value, sum(v for v, _ in singles) / 3, text)
    for word, got in grads.items():
        each = [g[word] for _, g in singles]
        agree(got, np.stack(each) / 3 if word in batch else sum(each) / 3, f"{text} by {word}")


def agree(got, expected, note: str) -> None:
    expected = np.asarray(expected)
    assert np.shape(got) == expected.shape, note
    if np.all(np.isfinite(expected)):
        scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
        np.testing.assert_allclose(np.asarray(got) / scale, expected / scale, rtol=1e-8, atol=1e-9, err_msg=note)
