"""Training: the gallery's networks learn the digits, the same seed gives the same bits, a wrong gradient never trains."""

from __future__ import annotations

import io
from unittest.mock import create_autospec

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivationError, DerivkitError
from derivkit.numeric.data import one_hot, split
from derivkit.numeric.kernel import Kernel
from derivkit.numeric.sgd import Sgd
from derivkit.numeric.train import History
from derivkit.symbolic.gallery import gallery


@pytest.fixture(scope="module")
def digits():
    parts = split(*dk.load_digits())
    train = {"x": parts.train_images, "t": one_hot(parts.train_labels, 10)}
    return train, {"x": parts.test_images, "t": one_hot(parts.test_labels, 10)}


def start(kernel: Kernel, sizes: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {w: [sizes[s] for s in kernel.shapes[w]] for w in kernel.program.gradients}
    return {w: rng.normal(size=s) * (np.sqrt(2 / s[-1]) if len(s) > 1 else 0) for w, s in shapes.items()}


@pytest.mark.parametrize(
    ("net", "lr", "epochs"), [("two_layer_tanh", 0.5, 25), ("three_layer_relu", 0.2, 40), ("three_layer_relu_biases", 0.2, 40)]
)
def test_networks_learn_the_digits(net, lr, epochs, digits):
    train, test = digits
    k = dk.compile(gallery[net], wrt=dk.PARAMETERS, batch=("x", "t"))
    k = dk.compile(gallery[net], wrt=[w for w in k.program.gradients if w != "x"], batch=("x", "t"))
    params = start(k, {"D": 64, "M": 64, "L": 32, "K": 10})
    history = dk.fit(k, data=train, test=test, params=params, epochs=epochs, batch_size=32, lr=lr)
    assert len(history.loss) == len(history.accuracy) == epochs
    assert history.accuracy[-1] >= 0.95
    assert history.loss[-1] < history.loss[0]
    assert "agree" in history.checked


LINE = "x: D\nw: D\ny:\nE = (w @ x - y)**2"


def line_data(count: int = 23):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(count, 3))
    return {"x": X, "y": X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=count)}


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    runs = [dk.fit(k, data=line_data(), params={"w": np.zeros(3)}, epochs=3, batch_size=5, seed=s) for s in (0, 0, 1)]
    assert runs[0].params["w"].tobytes() == runs[1].params["w"].tobytes() != runs[2].params["w"].tobytes()
    assert runs[0].loss == runs[1].loss


def test_each_epoch_visits_every_sample_the_last_small_minibatch_included():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"), reduce="sum")
    data = line_data(7)
    seen = []

    class Spy:
        def __getattr__(self, name):
            return getattr(k, name)

        def __call__(self, arrays):
            return k(arrays)

        def sgd(self, *arrays, **options):
            step = k.sgd(*arrays, **options)
            watched = create_autospec(step, side_effect=lambda rows: (seen.append(data["y"][rows]), step(rows))[1])
            watched.params, watched.gradients = step.params, step.gradients
            return watched

    dk.fit(Spy(), data=data, params={"w": np.zeros(3)}, epochs=1, batch_size=3, lr=1e-3)
    assert [len(s) for s in seen[-3:]] == [3, 3, 1]
    assert sorted(np.concatenate(seen[-3:])) == sorted(data["y"])


def test_what_is_given_stays_untouched():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    w = np.zeros(3)
    history = dk.fit(k, data=line_data(), params={"w": w}, epochs=2)
    assert w.tolist() == [0, 0, 0]
    assert history.accuracy == ()


def test_quadratic_regression_reaches_least_squares():
    k = dk.compile(gallery["quadratic_regression"], wrt="w")
    x = np.linspace(-1, 1, 40)
    y = 1 - 2 * x + 3 * x**2 + 0.1 * np.sin(20 * x)
    history = dk.fit(k, data={"x": x, "y": y}, params={"w": np.zeros(3)}, epochs=4000, batch_size=None, lr=0.4)
    exact = np.linalg.lstsq(np.stack([np.ones(40), x, x**2], axis=1), y, rcond=None)[0]
    np.testing.assert_allclose(history.params["w"], exact, atol=1e-9)


def test_float32_parameters_stay_float32():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    data = {w: v.astype(np.float32) for w, v in line_data().items()}
    history = dk.fit(k, data=data, params={"w": np.zeros(3, np.float32)}, epochs=2, batch_size=4)
    assert history.params["w"].dtype == np.float32


def test_a_wrong_gradient_never_trains():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    honest = k._function
    object.__setattr__(k, "_function", lambda *a: (honest(*a)[0], {"w": 1.01 * honest(*a)[1]["w"]}))
    with pytest.raises(DerivationError, match="gradient by 'w'"):
        dk.fit(k, data=line_data(), params={"w": np.zeros(3)})


def test_a_wrong_step_never_trains(monkeypatch):
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    honest = Sgd.gradients
    monkeypatch.setattr(Sgd, "gradients", lambda *a: {w: 1.01 * g for w, g in honest(*a).items()})
    with pytest.raises(DerivationError, match="step along 'w'"):
        dk.fit(k, data=line_data(), params={"w": np.ones(3)})


#: Zero biases and a blank sample: relu(0), abs(0) and max(0, ..., 0) are at their kinks.
KINKED = {
    "relu": "x: D\nW: M, D\nb: M\nv: M\nt:\nE = (v @ relu(W @ x + b) - t)**2",
    "abs": "x: D\nW: M, D\nb: M\nv: M\nt:\nE = (v @ abs(W @ x + b) - t)**2",
    "max": "x: D\nW: M, D\nb: M\nv: M\nt:\nE = (max(W @ x + b) + v @ v - t)**2",
}


def kinked(net: str, factor: float = 1.0):
    rng = np.random.default_rng(0)
    k = dk.compile(KINKED[net], wrt=("W", "b", "v"), batch=("x", "t"))
    honest = k._function
    object.__setattr__(k, "_function", lambda *a: (honest(*a)[0], {n: factor * g for n, g in honest(*a)[1].items()}))
    data = {"x": rng.normal(size=(8, 3)), "t": rng.normal(size=8)}
    data["x"][0] = 0
    return k, data, {"W": rng.normal(size=(5, 3)), "b": np.zeros(5), "v": rng.normal(size=5)}


@pytest.mark.parametrize("net", KINKED)
def test_a_right_gradient_trains_from_a_kink_and_a_wrong_one_does_not(net):
    k, data, params = kinked(net)
    history = dk.fit(k, data=data, params=params, epochs=2, lr=1e-3)
    assert history.checked.endswith("beside a kink") == (net != "abs")  # sign(0) = 0 is what central differences say
    k, data, params = kinked(net, factor=1.01)
    with pytest.raises(DerivationError, match="gradient by"):
        dk.fit(k, data=data, params=params)


CNN = """x: 64\nw: 6, 1, 3, 3\nb: 6\nV: K, 6*4*4\nc: K\nt: label K
h = relu(conv2d(reshape(x, (1, 8, 8)), w, padding=1) + b[:, None, None])
z = V @ reshape(max_pool2d(h, 2), (-1,)) + c
E = softmax_cross_entropy(t, z)"""


def test_a_convolution_with_zero_biases_learns_the_digits():
    parts, rng = split(*dk.load_digits()), np.random.default_rng(0)
    k = dk.compile(CNN, wrt=("w", "b", "V", "c"), batch=("x", "t"))
    params = {"w": rng.normal(size=(6, 1, 3, 3)) / 3, "b": np.zeros(6), "V": rng.normal(size=(10, 96)) / 10, "c": np.zeros(10)}
    data = {"x": parts.train_images, "t": parts.train_labels}
    test = {"x": parts.test_images, "t": parts.test_labels}
    history = dk.fit(k, data=data, test=test, params=params, epochs=4, batch_size=32, lr=0.2)
    assert history.accuracy[-1] > 0.7
    object.__setattr__(k, "_function", lambda *a, f=k._function: (f(*a)[0], {**f(*a)[1], "b": 0.9 * f(*a)[1]["b"]}))
    with pytest.raises(DerivationError, match="gradient by 'b'"):
        dk.fit(k, data=data, params=params)


def test_a_rate_too_large_is_told_with_the_epoch_and_the_rate():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    with pytest.raises(DerivkitError, match=r"diverged in epoch \d+ at lr=1000: .*the losses before: ") as error:
        dk.fit(k, data=line_data(), params={"w": np.zeros(3)}, epochs=500, lr=1000.0)
    assert error.value.code == "DK010"
    assert dk.fit(k, data=line_data(), params={"w": np.zeros(3)}, epochs=np.int64(2), seed=np.int32(1), lr=np.float32(0.1)).loss


@pytest.mark.parametrize("options", [{"momentum": 0.5}, {"weight_decay": 0.1}])
def test_momentum_and_decay_are_those_of_the_step(options):
    k, data = dk.compile(LINE, wrt="w", batch=("x", "y")), line_data()
    history = dk.fit(k, data=data, params={"w": np.zeros(3)}, epochs=4, lr=0.1, **options)
    step = k.sgd({**data, "w": np.zeros(3)}, lr=0.1, **options)
    assert history.loss == tuple(step() for _ in range(4))
    np.testing.assert_array_equal(history.params["w"], step.params["w"])
    with pytest.raises(DerivkitError, match=next(iter(options))):
        dk.fit(k, data=data, params={"w": np.zeros(3)}, **dict.fromkeys(options, -1.0))


def test_a_history_is_printed_in_a_line():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    history = dk.fit(k, data=line_data(), params={"w": np.zeros(3)}, epochs=3)
    assert repr(history) == str(history)
    assert repr(history).startswith("<History of 3 epochs: loss ")
    assert repr(history).endswith(", params w: (3,)>")
    assert repr(History()) == "<History of 0 epochs: params none>"


def test_a_callback_may_end_the_training():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    history = dk.fit(k, data=line_data(), params={"w": np.zeros(3)}, epochs=9, callback=lambda e, loss, p: e < 2)
    assert len(history.loss) == 3


def test_progress_goes_to_a_terminal_only():
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    stream = io.StringIO()
    dk.fit(k, data=line_data(), params={"w": np.zeros(3)}, epochs=2, progress=stream)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"params": {"u": np.zeros(3)}}, "DK041"),
        ({"data": {"x": np.ones((3, 3))}}, "DK041"),
        ({"data": {"x": np.ones((3, 3)), "y": np.ones(2)}}, "DK040"),
        ({"epochs": 0}, "DK010"),
        ({"batch_size": 0}, "DK010"),
        ({"batch_size": 2.0}, "DK010"),
        ({"epochs": True}, "DK010"),
        ({"seed": -1}, "DK010"),
        ({"seed": "a"}, "DK010"),
        ({"lr": float("nan")}, "DK010"),
        ({"lr": "fast"}, "DK010"),
        ({"callback": "stop"}, "DK010"),
        ({"progress": "bar"}, "DK010"),
        ({"data": {"x": 1.0, "y": 2.0}}, "DK040"),
        ({"lr": 10**400}, "DK010"),
        ({"params": [np.zeros(3)]}, "DK010"),
        ({"data": np.ones((3, 3))}, "DK010"),
    ],
)
def test_bad_arguments_are_one_clear_error(options, code):
    k = dk.compile(LINE, wrt="w", batch=("x", "y"))
    with pytest.raises(DerivkitError) as error:
        dk.fit(k, **{"data": line_data(), "params": {"w": np.zeros(3)}, **options})
    assert error.value.code == code


@pytest.mark.parametrize(("reduce", "expected"), [("sum", 10.0), ("mean", 1.0)])
@pytest.mark.parametrize("size", [None, 3])
def test_the_loss_of_an_epoch_is_reduced_as_the_kernel_reduces(reduce, expected, size):
    k = dk.compile("x:\nw:\nE = (w*x - 1)**2", "w", batch="x", reduce=reduce)
    went = dk.fit(k, data={"x": np.ones(10)}, params={"w": 0.0}, epochs=1, batch_size=size, lr=1e-9)
    assert went.loss[0] == pytest.approx(expected, rel=1e-6)
