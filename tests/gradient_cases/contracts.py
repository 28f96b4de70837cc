"""What is wrong before anything is measured: memory, state, shapes, types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradient_cases.rows import Row, family, put, right, wrong


def _f(x):
    return np.sum(np.sin(x) + x**3)


def _g(x):
    return np.cos(x) + 3 * x**2


class Layer:
    """A layer that keeps its forward pass; its backward is right for what it kept."""

    def __init__(self, copies: bool = True) -> None:
        self.kept, self.buffer, self.copies, self.total = np.zeros(1), None, copies, 0.0

    def forward(self, x):
        self.kept = x.copy() if self.copies else x
        return _f(x)

    def backward(self, x):
        return _g(self.kept)

    def reused(self, x):
        if self.buffer is None:
            self.buffer = np.zeros_like(x)
        self.buffer[...] = _g(x)
        return self.buffer

    def accumulated(self, x):
        self.total = self.total + _g(x)
        return self.total

    def late(self, x):
        given, self.kept = self.kept, x.copy()
        return _g(given) if given.shape == x.shape else _g(x) * 0


def _scribbles(x):
    x *= 2
    return _g(x / 2)


def _shuffles(x):
    np.random.default_rng().shuffle(x)
    return _g(x)


@family
def memory(r: np.random.Generator) -> Iterator[Row]:
    x, X, stream = r.normal(size=6), r.normal(size=(4, 5)), np.random.default_rng(r.integers(1 << 30))
    cached, aliased = Layer(), Layer(copies=False)
    yield right("layer with a cache", cached.forward, cached.backward, x)
    yield right("layer that keeps its argument", aliased.forward, aliased.backward, x)
    yield wrong("writes into its argument", "mutates-input", _f, _scribbles, x)
    yield wrong("shuffles its argument", "mutates-input", _f, _shuffles, x)
    yield wrong("f writes into its argument", "mutates-input", lambda x: _f(x.__imul__(1.0000001)), _g, x)
    yield wrong("one buffer for all calls", "aliasing", _f, Layer().reused, x)
    yield wrong("gradients accumulate", "stateful", _f, Layer().accumulated, x)
    yield wrong("of the call before", "stateful|nondeterministic|aliasing", _f, Layer().late, x)
    yield wrong("random", "nondeterministic", _f, lambda x: _g(x) + 1e-3 * stream.normal(size=x.shape), x)
    yield wrong("random mask", "nondeterministic", _f, lambda x: _g(x) * (stream.uniform(size=x.shape) < 0.7), X)
    yield wrong("f is random", "nondeterministic", lambda x: _f(x) + 1e-3 * stream.normal(), _g, x)
    yield wrong("memory order", "layout", _f, lambda x: _g(x.ravel(order="K")).reshape(x.shape), X)
    yield right("Fortran order", _f, _g, np.asfortranarray(X))
    yield right("not contiguous", _f, _g, r.normal(size=(8, 10))[::2, ::2])
    yield right("result not contiguous", _f, lambda x: _g(x.T).T, X)
    frozen = r.normal(size=5)
    frozen.setflags(write=False)
    yield right("read-only", _f, _g, frozen)
    pull = lambda y, x: y * np.cos(x)
    yield right("pullback", np.sin, pull, X, kind="vjp")
    yield right("pullback that is the cotangent", lambda x: x + 1, lambda y, x: y, X, kind="vjp")
    yield wrong("pullback: cotangent ignored", "cotangent", np.sin, lambda y, x: np.cos(x), X, kind="vjp")
    yield wrong("pullback: square of the cotangent", "cotangent", np.sin, lambda y, x: y * np.abs(y) * np.cos(x), X, kind="vjp")
    yield wrong("pullback: offset", "cotangent", np.sin, lambda y, x: y * np.cos(x) + 1e-3, X, kind="vjp")
    yield wrong(
        "pullback: cotangent's memory order",
        "layout",
        np.sin,
        lambda y, x: y.ravel(order="K").reshape(x.shape) * np.cos(x),
        X,
        kind="vjp",
    )

    def in_place(y, x):
        y *= np.cos(x)
        return y

    yield wrong("pullback: writes into the cotangent", "mutates-input", np.sin, in_place, X, kind="vjp")
    yield wrong("pullback: twice", "scale:2", np.sin, lambda y, x: 2 * y * np.cos(x), X, kind="vjp")
    M = r.normal(size=(3, 5))
    yield right("Jacobian", lambda x: M @ np.sin(x), lambda x: M * np.cos(x), x[:5], kind="jacobian")
    yield wrong("Jacobian: transposed", "transpose", lambda x: M @ np.sin(x), lambda x: (M * np.cos(x)).T, x[:5], kind="jacobian")
    yield wrong(
        "Jacobian: one row", "block", lambda x: M @ np.sin(x), lambda x: put(M * np.cos(x), 1, 0.3), x[:5], kind="jacobian"
    )
    yield right("pushforward", lambda x: M @ np.sin(x), lambda v, x: M @ (v * np.cos(x)), x[:5], kind="jvp")
    yield wrong("pushforward: no slope", "missing-factor|dense", lambda x: M @ np.sin(x), lambda v, x: M @ v, x[:5], kind="jvp")


@family
def forms(r: np.random.Generator) -> Iterator[Row]:
    x, X = r.normal(size=6), r.normal(size=(4, 5))
    yield wrong("NaN", "non-finite", _f, lambda x: put(_g(x), 2, np.nan), x)
    yield wrong("infinity", "non-finite", _f, lambda x: put(_g(x), 0, np.inf), x)
    yield wrong("column for vector", "shape", _f, lambda x: _g(x)[:, None], x)
    yield wrong("flat for matrix", "shape", _f, lambda x: _g(x).ravel(), X)
    yield wrong("too short", "shape", _f, lambda x: _g(x)[:-1], x)
    yield wrong("a scalar for all", "shape", _f, lambda x: 1.0, x)
    yield wrong("two for one", "shape", lambda x, y: _f(x) + _f(y), lambda x, y: (_g(x), _g(y), _g(x)), x, X)
    yield wrong("integers", "dtype", _f, lambda x: np.rint(_g(x)).astype(int), x)
    yield wrong("float32 for float64", "dtype", _f, lambda x: _g(x).astype(np.float32), x)
    yield wrong("complex", "dtype", _f, lambda x: _g(x) + 0j, x)
    yield wrong("strings", "dtype", _f, lambda x: _g(x).astype(str), x)
