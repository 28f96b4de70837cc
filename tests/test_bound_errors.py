"""Arguments of kernels: what fits works whatever its memory, what does not is one clear error and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError

NET = "x: D\nt: label K\nW: K, D\nb: K\nE = softmax_cross_entropy(t, W @ x + b)"
PRODUCT = "a: N\nb: N\nE = sum(a * b)"
K = dk.compile(NET, ("W", "b"), batch=("x", "t"))


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = np.array([0, 1, 2, 3, 0, 1])
    return {"x": rng.normal(size=(6, 3)), "t": labels, "W": rng.normal(size=(4, 3)), "b": np.zeros(4)}


#: The three doors, and minibatches.
DOORS = {
    "call": lambda given: K(given)[0],
    "bind": lambda given: K.bind(given)(),
    "sgd": lambda given: K.sgd(given, lr=0.1)(),
    "rows": lambda given: K.sgd(given, lr=0.1)([0, 1]),
}


@pytest.fixture(params=DOORS)
def door(request):
    return DOORS[request.param]


class Own(np.ndarray):
    """An array of a class of its own, as ``numpy.memmap`` is."""


#: name: (what is given for it, made of the right array; code; what the error says)
WRONG = {
    "an axis too short": ("x", lambda x: x[:, :2], "DK012", "size 'D' is both 2 and 3"),
    "fewer samples than labels": ("x", lambda x: x[:4], "DK012", "size 'N' is both 4 and 6"),
    "an axis missing": ("x", lambda x: x[0], "DK012", r"'x' has shape \(3,\), not N, D \(batched: samples come first\)"),
    "a scalar for a matrix": ("W", lambda w: 1.0, "DK012", r"'W' has shape \(\), not K, D"),
    "complex numbers": ("x", lambda x: x + 0j, "DK040", "'x' holds complex128, not real numbers"),
    "objects": ("x", lambda x: x.astype(object), "DK040", "'x' holds object"),
    "words": ("x", lambda x: x.astype(str), "DK040", "'x' holds <U"),
    "dates": ("x", lambda x: x.astype("datetime64[s]"), "DK040", "'x' holds datetime64"),
    "records": ("x", lambda x: np.zeros((6, 3), [("a", "f8")]), "DK040", "not real numbers"),
    "nothing": ("x", lambda x: None, "DK040", "'x' holds object"),
    "a ragged list": ("x", lambda x: [[1.0], [1.0, 2.0]], "DK040", "'x' is no array of numbers"),
    "a generator": ("x", lambda x: (row for row in x), "DK040", "'x' holds object"),
    "a masked array": ("x", lambda x: np.ma.masked_array(x, x > 0), "DK040", "'x' is a masked array"),
    "no samples": ("x", lambda x: x[:0], "DK020", "axis 0 of 'x' is empty"),
    "a label too large": ("t", lambda t: t + 1, "DK040", r"'t' has a label outside of 0\.\.3"),
    "a label below zero": ("t", lambda t: t - 1, "DK040", r"'t' has a label outside of 0\.\.3"),
    "half labels": ("t", lambda t: t + 0.5, "DK040", "labels are integers"),
    "labels that are no numbers": ("t", lambda t: t * np.nan, "DK040", "labels are integers"),
    "Boolean labels": ("t", lambda t: t > 0, "DK040", "labels are integers, not bool"),
    "labels in words": ("t", lambda t: t.astype(str), "DK040", "labels are integers"),
    "labels in a column": ("t", lambda t: t[:, None], "DK012", r"'t' has shape \(6, 1\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_clear_error(case, door):
    name, change, code, message = WRONG[case]
    given = arrays()
    given[name] = change(given[name])
    with pytest.raises(DerivkitError, match=message) as error:
        door(given)
    assert error.value.code == code


def test_a_name_missing_or_unknown_is_one_clear_error(door):
    given = arrays()
    del given["b"]
    with pytest.raises(DerivkitError, match="no value for 'b'"):
        door(given)
    with pytest.raises(DerivkitError, match="'c' is no input of this kernel"):
        door({**arrays(), "c": 1.0})
    with pytest.raises(DerivkitError, match="arrays go in by name"):
        door([1.0])


#: Other memory, the same numbers.
LAYOUTS = {
    "columns first": np.asfortranarray,
    "every second entry": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "of a class of its own": lambda a: a.view(Own),
    "bytes the other way round": lambda a: a.astype(a.dtype.newbyteorder()),
    "nested lists": lambda a: a.tolist(),
    "in the midst of memory": lambda a: np.concatenate([a.ravel()[:1], a.ravel()])[1:].reshape(a.shape),
    "not aligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_is_read_and_none_is_written(layout, door):
    expected = door(arrays())
    given = {word: LAYOUTS[layout](a) for word, a in arrays().items()}
    for a in given.values():
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    assert door(given) == pytest.approx(expected, rel=1e-14)
    for word, a in arrays().items():
        np.testing.assert_array_equal(given[word], a)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i4", float])
def test_labels_of_any_type_of_number(dtype, door):
    given = arrays()
    expected = door(given)
    assert door({**given, "t": given["t"].astype(dtype)}) == expected


# -- rows -----------------------------------------------------------------------------------------------------------------

ROWS = {
    "none": [],
    "too large": [6],
    "below zero": [-1],
    "below zero, the other way round": np.array([-1], ">i4"),
    "too many": range(7),
    "too large for NumPy": [2**70],
    "fractions": [0.0, 1.0],
    "flags": [True, False],
    "a mask": np.array([True] * 6),
    "a matrix": [[0, 1]],
    "a ragged list": [[0], [0, 1]],
    "one number": 3,
    "a set": {0, 1},
    "a slice": slice(0, 2),
    "words": ["0"],
    "objects": np.zeros(3, object),
    "a masked array": np.ma.masked_array([0, 1], [True, False]),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_do_not_fit_change_nothing(case):
    step = K.sgd(arrays(), lr=0.1, rows=6, momentum=0.9)
    value = step([2, 1])
    params = {word: a.copy() for word, a in step.params.items()}
    with pytest.raises(DerivkitError) as error:
        step(ROWS[case])
    assert error.value.code == "DK040"
    assert step.value == value
    for word, a in params.items():
        np.testing.assert_array_equal(step.params[word], a)
    other = K.sgd(arrays(), lr=0.1, rows=6, momentum=0.9)
    other([2, 1])
    assert step([0]) == other([0])
    assert step() == other()  # and so its momentum is the same


@pytest.mark.parametrize("rows", [(1, 2), range(1, 3), np.array([1, 2], np.uint64), np.array([1, 2], ">i8"), np.arange(6)[1:3]])
def test_rows_may_be_any_whole_numbers(rows):
    assert K.sgd(arrays(), lr=0.1)(rows) == K.sgd(arrays(), lr=0.1)([1, 2])


def test_labels_out_of_range_after_refilling_change_nothing():
    given = arrays()
    step, whole = K.sgd(given, lr=0.1, momentum=0.9), K.bind(given)
    value, before = step([0, 1]), whole()
    params, grads = ({w: a.copy() for w, a in found.items()} for found in (step.params, whole.grads))
    given["t"][1] = 4
    for call in (step, lambda: step([1]), whole):
        with pytest.raises(DerivkitError, match=r"'t' has a label outside of 0\.\.3"):
            call()
    assert (step.value, whole.value) == (value, before)
    for word in params:
        np.testing.assert_array_equal(step.params[word], params[word])
        np.testing.assert_array_equal(whole.grads[word], grads[word])
    given["t"][1] = 3
    assert np.isfinite([step(), whole()]).all()


# -- arrays in several places ---------------------------------------------------------------------------------------------


def test_one_array_may_be_two_inputs():
    k, a = dk.compile(PRODUCT, ("a", "b")), np.array([1.0, 2.0, 3.0])
    step = k.bind(a=a, b=a)
    assert step() == 14.0
    assert not any(np.shares_memory(g, a) for g in step.grads.values())
    descent = k.sgd(lr=0.1, a=a, b=a)
    descent()
    assert not np.shares_memory(descent.params["a"], descent.params["b"])
    np.testing.assert_allclose(descent.params["a"], 0.9 * a)
    assert a.tolist() == [1.0, 2.0, 3.0]
    grads = k(a=a, b=a)[1]
    assert not any(np.shares_memory(g, a) for g in grads.values())


def test_results_of_one_step_may_be_inputs_of_another():
    k, a = dk.compile(PRODUCT, ("a", "b")), np.array([1.0, 2.0, 3.0])
    first = k.bind(a=a, b=2 * a)
    second = k.bind(a=first.grads["a"][::-1], b=a)  # 2 a, once the first has run
    first()
    assert second() == 2 * (a @ a[::-1])
    assert first.grads["a"].tolist() == [2.0, 4.0, 6.0]
    descent = k.sgd(lr=0.1, a=a, b=a)
    watched = k.bind(descent.params)
    for _ in range(3):
        descent()
        assert watched() == pytest.approx(descent.params["a"] @ descent.params["b"])


def test_a_value_may_be_the_input_of_another_step():
    k, x = dk.compile("x: N\ny = tanh(x)", "x", kind="vjp"), np.array([0.3, -0.2])
    first = k.bind(x=x, y_bar=np.ones(2))
    second = k.bind(x=first(), y_bar=first.grads["x"])
    np.testing.assert_allclose(second(), np.tanh(np.tanh(x)))
    x *= 2
    first()
    np.testing.assert_allclose(second(), np.tanh(np.tanh(x)))


@pytest.mark.parametrize("rate", [None, True, 0, -1.0, float("nan"), float("inf"), 1j, "fast", np.array(0.1), 10**400])
def test_a_rate_that_is_none_is_one_clear_error(rate):
    with pytest.raises(DerivkitError, match="lr must be a positive number"):
        K.sgd(arrays(), lr=rate)


@pytest.mark.parametrize("rate", [1e-40, 1e39])
def test_a_rate_beyond_the_numbers_computed_in_is_one_clear_error(rate):
    single = {w: a if w == "t" else a.astype(np.float32) for w, a in arrays().items()}
    with pytest.raises(DerivkitError, match="is beyond the numbers of float32"):
        K.sgd(single, lr=rate)
    K.sgd(arrays(), lr=rate)
