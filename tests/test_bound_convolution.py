"""Bound convolutions and pooling: the values of the kernel in double precision, without allocating, whole and in blocks."""

from __future__ import annotations

import tracemalloc
from functools import cache

import numpy as np
import pytest

import derivkit as dk
from derivkit.numeric.codegen import blocks, convolution, pooling

IMAGES = "x: N, C, H, W\nw: K, C, P, Q\n"
SIGNALS = "x: N, C, L\nw: K, C, P\n"

#: A program, and the lengths of its sizes in the order in which they first stand in it.
CONVOLUTIONS = [
    (f"{IMAGES}y = conv2d(x, w)", (5, 3, 9, 8, 4, 3, 2)),
    (f"{IMAGES}y = conv2d(x, w)", (1, 1, 9, 9, 1, 9, 9)),  # as large as the image
    (f"{IMAGES}y = conv2d(x, w)", (3, 2, 6, 5, 4, 1, 1)),
    (f"{IMAGES}y = conv2d(x, w, padding=1)", (4, 1, 7, 7, 6, 3, 3)),
    (f"{IMAGES}y = conv2d(x, w, padding=1)", (4, 6, 7, 7, 1, 3, 3)),
    (f"{IMAGES}y = conv2d(x, w, padding=2)", (3, 2, 3, 4, 3, 5, 5)),  # larger than the image
    (f"{IMAGES}y = conv2d(x, w, padding=(P-1, Q-1))", (3, 2, 4, 6, 3, 3, 2)),
    (f"{IMAGES}y = conv2d(x, w, padding=3)", (2, 2, 4, 4, 3, 2, 2)),  # the edge reads zeros alone
    (f"{IMAGES}y = conv2d(x, w, stride=2)", (3, 2, 9, 8, 4, 3, 3)),
    (f"{IMAGES}y = conv2d(x, w, stride=(3, 1), padding=1)", (3, 2, 9, 8, 4, 2, 3)),
    (f"{IMAGES}y = conv2d(x, w, stride=2, padding=1, dilation=2)", (3, 2, 9, 9, 4, 3, 2)),
    (f"{IMAGES}y = conv2d(x, w, dilation=(2, 3))", (2, 2, 9, 9, 2, 3, 3)),
    (f"{IMAGES}y = conv2d(x, w, padding=1)", (3, 2, 4, 140, 3, 3, 3)),  # columns too long to be shifted first
    ("x: H, W\nw: P, Q\ny = conv2d(x, w, padding='same')", (7, 8, 3, 3)),
    ("x: C, H, W\nw: K, C, P, Q\ny = conv2d(x, w, padding=1)", (2, 7, 8, 3, 3, 3)),
    ("x: C, H, W\nw: K, C, P, Q\ny = conv2d(x, w, padding=1)", (1, 1, 1, 1, 3, 3)),
    ("x: L\nw: P\ny = conv1d(x, w)", (11, 4)),
    ("x: L\nw: P\ny = conv1d(x, w, stride=3, padding=2)", (11, 4)),
    (f"{SIGNALS}y = conv1d(x, w, padding=1)", (5, 3, 9, 2, 3)),
    (f"{SIGNALS}y = conv1d(x, w, stride=2, dilation=2)", (5, 3, 11, 4, 3)),
]

#: The same with ``x`` batched: the lengths begin with that of the batch.
BATCHED = [
    ("x: C, H, W\nw: K, C, P, Q\ny = conv2d(x, w, padding=1)", (5, 2, 7, 6, 3, 3, 3)),
    ("x: C, H, W\nw: K, C, P, Q\ny = conv2d(x, w, stride=2)", (5, 2, 7, 7, 3, 3, 3)),
    ("x: M, C, H, W\nw: K, C, P, Q\ny = conv2d(x, w)", (4, 3, 2, 7, 6, 3, 3, 3)),
    ("x: C, L\nw: K, C, P\nb: K\ny = tanh(conv1d(x, w, padding=1) + b[:, None])", (1, 2, 7, 3, 3)),
    ("x: C, H, W\nw: K, C, P, Q\nb: K\ny = relu(conv2d(x, w, padding=1) + b[:, None, None])", (5, 2, 7, 6, 3, 3, 3)),
    ("x: H, W\nw: P, Q\ny = relu(conv2d(x, w, padding='same'))", (5, 7, 8, 3, 3)),
]

POOLS = [
    ("x: N, C, 2*H, 2*W\ny = max_pool2d(x, 2)", (3, 2, 3, 4)),
    ("x: N, C, 2*H, 2*W\ny = avg_pool2d(x, 2)", (3, 2, 3, 4)),
    ("x: N, C, H, W\ny = max_pool2d(x, 3, stride=2)", (3, 2, 9, 8)),
    ("x: N, C, H, W\ny = avg_pool2d(x, 3, stride=1)", (3, 2, 9, 8)),
    ("x: C, L\ny = max_pool1d(x, 3, stride=3)", (4, 9)),
    ("x: C, L\ny = avg_pool1d(x, 2, stride=1)", (4, 9)),
    ("x: H, W, 3\ny = mean(x, axis=(0, 2))", (4, 600)),
    ("x: M, 3, N\ny = min(x, axis=1)*sum(x, axis=1)", (40, 20)),
]

NET = """x: C, H, W
t: label M
w: K, C, 3, 3
b: K
V: M, K
h = relu(conv2d(x, w, padding=1) + b[:, None, None])
E = cross_entropy(onehot(t, M), softmax(V @ mean(h, axis=(1, 2))))"""


@pytest.fixture(params=["whole", "in blocks", "in strips"])
def pieces(request, monkeypatch):
    """Panels of all images; of one at a time, as large ones are made; of some lines of one.  Pooling as of large images."""
    if request.param != "whole":
        panel = 6 if request.param == "in blocks" else 300
        limits = [(blocks, "LARGE", 8), (blocks, "BLOCK", 6), (convolution, "PANEL", panel), (pooling, "ENTRIES", 1)]
        for module, word, value in limits:
            monkeypatch.setattr(module, word, value)
    return request.param


@cache
def kernel(text: str, batch: tuple[str, ...] = ()):
    """Return the kernel of the output and of the gradients by all inputs, a cotangent given."""
    words = [line.partition(":")[0] for line in text.splitlines() if ": " in line]
    return dk.compile(text, words, kind="vjp", batch=batch)


def arrays_for(k, lengths, dtype, rng):
    """Return arrays for a kernel whose sizes are ``lengths``, in the order in which its inputs name them."""
    names = dict.fromkeys(n for i in k.inputs for s in i.shape for n in s.names())
    sizes = dict(zip(names, lengths, strict=True))
    return {str(i.name): rng.normal(size=[s.evaluate(sizes) for s in i.shape]).astype(dtype) for i in k.inputs}


def agree(got, expected, dtype):
    far = 1e-10 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(got, expected, rtol=far, atol=far * max(1.0, float(np.abs(expected).max(initial=0.0))))


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("text", "lengths", "batch"),
    [*((*c, ()) for c in CONVOLUTIONS), *((*c, ("x",)) for c in BATCHED), *((*c, ()) for c in POOLS)],
)
def test_values_and_gradients_are_those_in_double_precision(text, lengths, batch, dtype):
    k, rng = kernel(text, batch), np.random.default_rng(3)
    arrays = arrays_for(k, lengths, dtype, rng)
    step = k.bind(arrays)
    for _ in range(2):
        value, grads = k({w: a.astype(np.float64) for w, a in arrays.items()})
        agree(step(), value, dtype)
        for word, grad in grads.items():
            assert step.grads[word].dtype == dtype
            agree(step.grads[word], grad, dtype)
        for array in arrays.values():  # what lies in the arrays now is read, and the zeros around it are still there
            array[...] = rng.normal(size=array.shape)


@pytest.mark.usefixtures("pieces")
def test_of_equal_entries_the_first_is_the_largest_one():
    k = kernel("x: N, C, H, W\ny = max_pool2d(x, 3, stride=2)")
    rng = np.random.default_rng(1)
    arrays = arrays_for(k, (3, 2, 9, 8), np.float64, rng)
    arrays["x"][...] = rng.integers(0, 3, arrays["x"].shape)
    step = k.bind(arrays)
    value, grads = k(arrays)
    np.testing.assert_array_equal(step(), value)
    np.testing.assert_allclose(step.grads["x"], grads["x"], rtol=1e-12)


def allocated(step):
    """Return the most bytes that a call has allocated at a time."""
    step()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - before


LARGE = [
    (f"{IMAGES}y = conv2d(x, w)", (8, 3, 40, 40, 4, 3, 3), ()),
    (f"{IMAGES}y = conv2d(x, w, padding=1)", (32, 8, 40, 40, 4, 3, 3), ()),  # 37 MB of windows
    (f"{IMAGES}y = conv2d(x, w, padding=1)", (8, 3, 40, 40, 16, 3, 3), ()),
    (f"{IMAGES}y = conv2d(x, w, stride=2, padding=1)", (8, 3, 40, 40, 4, 3, 3), ()),
    (f"{IMAGES}y = conv2d(x, w, dilation=2)", (8, 3, 40, 40, 4, 3, 3), ()),
    (f"{SIGNALS}y = conv1d(x, w, padding=1)", (8, 3, 4000, 4, 3), ()),
    ("x: H, W\nw: P, Q\ny = conv2d(x, w, padding='same')", (200, 200, 3, 3), ()),
    ("x: C, H, W\nw: K, C, P, Q\nb: K\ny = relu(conv2d(x, w, padding=1) + b[:, None, None])", (8, 3, 40, 40, 4, 3, 3), ("x",)),
    ("x: N, C, H, W\ny = avg_pool2d(x, 3, stride=1)", (8, 4, 40, 40), ()),
    ("x: N, C, 2*H, 2*W\ny = avg_pool2d(x, 2)", (8, 4, 20, 20), ()),
    ("x: N, C, 2*H, 2*W\ny = max_pool2d(x, 2)", (8, 4, 20, 20), ()),
    ("x: N, C, H, W\ny = max_pool2d(x, 3, stride=2)", (8, 4, 41, 41), ()),
]


@pytest.mark.parametrize(("text", "lengths", "batch"), LARGE)
def test_a_convolution_allocates_nothing(text, lengths, batch):
    k = kernel(text, batch)
    arrays = arrays_for(k, lengths, np.float32, np.random.default_rng(0))
    assert allocated(k.bind(arrays)) < 110_000, "the smallest image has 153 kB; NumPy's own three buffers have 8192 entries each"


def test_a_panel_has_the_size_of_a_block_and_serves_output_and_gradient():
    k = kernel(f"{IMAGES}y = conv2d(x, w, padding=1)")
    step = k.bind(arrays_for(k, (64, 8, 32, 32, 16, 3, 3), np.float32, np.random.default_rng(0)))
    memory, _, body = step.source.partition("def step")
    pool = int(memory.partition("pool = np.empty(")[2].partition(",")[0])
    assert pool < 4 * convolution.PANEL, "the windows of all images would be 4.7 million entries"
    assert body.count("copyto(panel_rows") == 1


def test_one_large_image_is_convolved_strip_by_strip():
    k = kernel("x: C, H, W\nw: K, C, P, Q\ny = conv2d(x, w, padding=1)")
    arrays = arrays_for(k, (16, 128, 128, 16, 3, 3), np.float32, np.random.default_rng(0))
    step = k.bind(arrays)
    memory = step.source.partition("def step")[0]
    assert int(memory.partition("pool = np.empty(")[2].partition(",")[0]) < 2 * convolution.PANEL, "all windows: 2.4 million"
    value, grads = k({w: a.astype(np.float64) for w, a in arrays.items()})
    agree(step(), value, np.float32)
    for word, grad in grads.items():
        agree(step.grads[word], grad, np.float32)


def test_a_network_is_trained_in_place_on_bound_convolutions():
    k = dk.compile(NET, ("w", "b", "V"), batch=("x", "t"))
    rng = np.random.default_rng(2)
    arrays = {"x": rng.normal(size=(12, 2, 6, 6)), "t": rng.integers(0, 3, 12), "w": rng.normal(size=(4, 2, 3, 3)) / 3}
    arrays |= {"b": np.zeros(4), "V": rng.normal(size=(3, 4))}
    step = k.sgd(arrays, lr=0.2)
    for _ in range(3):
        loss, grads = k({**arrays, **step.params})
        before = {w: p.copy() for w, p in step.params.items()}
        np.testing.assert_allclose(step(), loss, rtol=1e-12)
        for word, grad in grads.items():
            np.testing.assert_allclose(step.params[word], before[word] - 0.2 * grad, rtol=1e-9, atol=1e-12)
