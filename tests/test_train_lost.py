"""Training that cannot go on: what is not finite is named with its place before or its step, Ctrl-C keeps the last epoch."""

from __future__ import annotations

import io
import os
import pickle
import signal
import threading

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.numeric import train

K = dk.compile("x: D\nw: D\ny:\nE = (w @ x - y)**2", wrt="w", batch=("x", "y"))


def given(**changes):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(23, 3))
    data = {"x": X, "y": X @ [1.0, -2.0, 0.5]}
    return {"data": data, "params": {"w": np.zeros(3)}, "epochs": 3, "batch_size": 5, "lr": 0.05, **changes}


def refused(kernel=K, **changes) -> DerivkitError:
    with pytest.raises(DerivkitError) as error:
        dk.fit(kernel, **given(**changes))
    return error.value


# -- before training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_place(value):
    for where, name, place in (("data", "x", (5, 2)), ("data", "y", (7,)), ("params", "w", (1,))):
        arrays = given()[where]
        arrays[name][place] = value
        assert f"{where}['{name}']{list(place)} is {value}" in str(refused(**{where: arrays}))
    test = given()["data"]
    test["x"][0, 1] = np.nan
    assert "test['x'][0, 1] is nan" in str(refused(test=test))


def test_a_mask_of_minus_infinities_trains_and_one_of_nothing_else_does_not():
    k = dk.compile("B: N\nW: N\nE = sum(W * softmax(W + B))", wrt="W", batch="B")
    mask = np.zeros((6, 4))
    mask[2, 1] = -np.inf
    history = dk.fit(k, data={"B": mask}, params={"W": np.arange(4.0)}, batch_size=2)
    assert np.isfinite(history.loss).all()
    mask[4] = -np.inf
    with pytest.raises(DerivkitError, match=r"data\['B'\]\[2, 1\] is -inf"):
        dk.fit(k, data={"B": mask}, params={"W": np.arange(4.0)}, batch_size=2)
    k = dk.compile("B: N\nx: N\nW: N\nE = sum(W * x * softmax(W + B))", wrt="W", batch="x")
    assert dk.fit(k, data={"B": mask[2], "x": np.ones((5, 4))}, params={"W": np.arange(4.0)}).loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"x": np.ones((0, 3)), "y": np.ones(0)}}, "axis 0 of 'x' is empty"),
        ({"data": {}}, "no data for 'x'"),
        ({"data": None}, "no data for 'x'"),
        ({"data": {"x": [[1.0], [1.0, 2.0]], "y": [1.0, 2.0]}}, "'x' is no array of numbers"),
        ({"params": None}, "no value for 'w'"),
        ({"params": {"w": np.zeros(4)}}, "size 'D' is both 3 and 4"),
        ({"params": {"w": np.zeros(3) + 1j}}, "'w' holds complex128"),
        ({"params": {"w": ["a", "b", "c"]}}, "'w' holds <U1"),
        ({"params": {"w": [[1.0], 2.0]}}, "'w' is no array of numbers"),
        ({"params": {"w": np.ma.masked_array(np.zeros(3), [1, 0, 0])}}, "'w' is a masked array"),
        ({"test": {"w": np.zeros(3)}}, "'w' of test is no batched input"),
    ],
)
def test_what_cannot_be_trained_on_is_one_clear_error(changes, message):
    assert message in str(refused(**changes))


def test_what_is_missing_is_asked_for_where_it_belongs():
    k = dk.compile("x: D\nw: D\nb:\nlam: positive\nE = (w @ x + b)**2 + lam * b**2", wrt=("w", "b"), batch="x")
    data, params = {"x": np.ones((4, 2)), "lam": 0.1}, {"w": np.zeros(2), "b": 0.0}
    for name, hint in (("b", "params={'b': ...}"), ("lam", "data={'lam': ...}"), ("x", "data={'x': ...}")):
        with pytest.raises(DerivkitError, match=f"'{name}'") as error:
            dk.fit(k, data={n: v for n, v in data.items() if n != name}, params={n: v for n, v in params.items() if n != name})
        assert error.value.hint == hint


@pytest.mark.parametrize("lr", [3.0, 2.0, 1.5, 1.2, 1.0])
def test_the_step_that_is_named_is_found_with_the_velocity_of_the_epoch(lr):
    options = given(epochs=5000, lr=lr, momentum=0.9)
    with pytest.raises(train.TrainingError) as error:
        dk.fit(K, **options)
    step = K.sgd({**options["data"], **options["params"]}, lr=lr, momentum=0.9)
    random, lost = np.random.default_rng(0), []
    while not lost:
        order = random.permutation(23)
        with np.errstate(all="ignore"):
            losses = [step(order[first : first + 5]) for first in range(0, 23, 5)]
        lost = [number for number, loss in enumerate(losses, 1) if not np.isfinite(loss)]
    assert f"at lr={lr:g}: in step {lost[0]} the loss is " in str(error.value)


def test_held_out_samples_that_do_not_fit_are_told_before_the_first_step():
    k = dk.compile("x: D\nt: label K\nW: K, D\nE = softmax_cross_entropy(t, W @ x)", wrt="W", batch=("x", "t"))
    seen = []
    with pytest.raises(DerivkitError, match="'D'"):
        dk.fit(
            k,
            data={"x": np.ones((5, 3)), "t": np.arange(5)},
            test={"x": np.ones((2, 4)), "t": np.arange(2)},
            params={"W": np.zeros((5, 3))},
            callback=lambda *a: seen.append(a),
        )
    assert not seen


# -- sizes of minibatches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 22, 23, 24, 10**9, None])
def test_any_size_of_minibatches(size):
    history = dk.fit(K, **given(batch_size=size))
    assert len(history.loss) == 3
    assert history.loss[-1] < history.loss[0]
    if size is None or size >= 23:
        assert history.loss == dk.fit(K, **given(batch_size=23)).loss


def test_one_sample_is_enough():
    data = {"x": np.array([[1.0, 2.0, 3.0]]), "y": np.array([1.0])}
    assert dk.fit(K, **given(data=data, batch_size=1)).loss[-1] < 1.0


# -- while training -------------------------------------------------------------------------------------------------------


def test_a_rate_too_large_names_epoch_and_step_and_keeps_the_last_epoch():
    error = refused(lr=10.0, epochs=500)
    assert isinstance(error, train.TrainingError)
    assert error.hint == "a smaller lr"
    epochs = len(error.history.loss)
    assert f"diverged in epoch {epochs + 1} at lr=10: in step " in str(error)
    again = dk.fit(K, **given(lr=10.0, epochs=epochs))
    assert again.loss == error.history.loss
    np.testing.assert_array_equal(again.params["w"], error.history.params["w"])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(copy), copy.history.loss) == (str(error), again.loss)


def test_a_gradient_that_is_lost_first_is_named():
    k = dk.compile("w: D\nE = sqrt(sum(w**2))", wrt="w")
    with pytest.raises(DerivkitError, match=r"epoch 2 .* step 1 the gradient by 'w' is not finite, the loss being 0") as error:
        dk.fit(k, data={}, params={"w": np.array([0.5, 0.0, 0.0])}, lr=0.5)
    assert "sqrt at 0 has none" in str(error.value.hint)
    assert error.value.history.params["w"].tolist() == [0.0, 0.0, 0.0]


def test_a_parameter_that_is_lost_first_is_named():
    k = dk.compile("x:\nw:\nE = -w*x", wrt="w", batch="x")
    with pytest.raises(DerivkitError, match="step 2 'w' is not finite after it"):
        dk.fit(k, data={"x": np.ones(9)}, params={"w": 0.0}, lr=9e307, batch_size=3)


def test_a_sample_without_a_loss_is_no_fault_of_the_rate():
    k = dk.compile("x:\nw:\nE = w - log(x + w)", wrt="w", batch="x")
    x = np.ones(20)
    x[13] = -2.0
    with pytest.raises(DerivkitError, match=r"epoch 1 .* the loss is nan") as error:
        dk.fit(k, data={"x": x}, params={"w": 1.0}, lr=1e-3, batch_size=4)
    assert "sample 13 has no finite loss" in str(error.value.hint)
    assert error.value.history.params["w"] == 1.0


# -- interrupted ----------------------------------------------------------------------------------------------------------


def test_an_interruption_keeps_the_last_finished_epoch():
    def stop(epoch, loss, params):
        if epoch == 3:
            raise KeyboardInterrupt

    history = dk.fit(K, **given(epochs=10, callback=stop))
    four = dk.fit(K, **given(epochs=4))
    assert (history.interrupted, four.interrupted) == (True, False)
    assert history.loss == four.loss
    np.testing.assert_array_equal(history.params["w"], four.params["w"])


def test_an_interruption_amid_an_epoch_goes_back_to_its_start(monkeypatch):
    steps = [0]
    honest = train.Sgd.__call__

    def counted(step, rows=None):
        steps[0] += 1
        if steps[0] == 8:  # five steps to an epoch
            raise KeyboardInterrupt
        return honest(step, rows)

    one = dk.fit(K, **given(epochs=1))
    monkeypatch.setattr(train.Sgd, "__call__", counted)
    history = dk.fit(K, **given())
    assert (history.interrupted, history.loss) == (True, one.loss)
    np.testing.assert_array_equal(history.params["w"], one.params["w"])
    steps[0] = 5
    history = dk.fit(K, **given())
    assert (history.interrupted, history.loss, history.params["w"].tolist()) == (True, (), [0.0, 0.0, 0.0])


def test_control_c_ends_the_training_with_what_it_has():
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    history = dk.fit(K, **given(epochs=10**7))
    assert history.interrupted
    assert 0 < len(history.loss) < 10**7


def test_what_a_callback_does_to_the_parameters_counts():
    def clip(epoch, loss, params):
        params["w"][...] = 0.25
        return epoch < 1

    assert dk.fit(K, **given(callback=clip)).params["w"].tolist() == [0.25] * 3


# -- progress -------------------------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_written_over_itself(monkeypatch):
    monkeypatch.setattr(train, "AGAIN", 0.0)
    screen = Screen()
    dk.fit(K, **given(progress=screen))
    assert screen.getvalue() == ""  # it took less than a second
    monkeypatch.setattr(train, "PATIENCE", 0.0)
    dk.fit(K, **given(progress=screen))
    assert screen.getvalue().count("\repoch ") == 3
    assert "\repoch 3/3   loss " in screen.getvalue()
    assert screen.getvalue().count("\n") == 1
    refused(lr=10.0, epochs=500, progress=screen)
    assert screen.getvalue().endswith("\n"), "an error begins on a line of its own"
