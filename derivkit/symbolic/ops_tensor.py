"""Rows of the table of operations: structure, convolution and pooling, and layers, all defined in the language.

A formula of several lines names what its lines are called; the last line is the value.
"""

from __future__ import annotations

from derivkit.symbolic.ops_row import Op

_STRUCTURE = (
    Op("concat", "x, axis=0", group="structure"),
    Op("reshape", "x, shape", group="structure"),
    Op("pad", "x, n", group="structure"),
    Op("flip", "x, axis=None", group="structure"),
    Op("repeat", "x, n, axis=None", group="structure"),
)

_CONVOLUTION = (
    *(Op(f"conv{d}d", "x, w, stride=1, padding='valid', dilation=1", group="convolution") for d in (1, 2)),
    *(Op(f"{kind}_pool{d}d", "x, size, stride=size", group="convolution") for kind in ("avg", "max") for d in (1, 2)),
)

_LAYERS = (
    Op(
        "layer_norm",
        "x, gamma, beta, eps=1e-5",
        "mu = mean(x, axis=-1, keepdims=True)\n"
        "s = sqrt(mean((x - mu)**2, axis=-1, keepdims=True) + eps)\n"
        "n = (x - mu)/s\n"
        "gamma*n + beta",
        group="layer",
    ),
    Op(
        "rms_norm",
        "x, gamma, eps=1e-5",
        "s = sqrt(mean(x**2, axis=-1, keepdims=True) + eps)\nn = x/s\ngamma*n",
        group="layer",
    ),
    Op(
        "batch_norm",
        "x, gamma, beta, eps=1e-5",
        "mu = mean(x, axis=0)\ns = sqrt(mean((x - mu)**2, axis=0) + eps)\nn = (x - mu)/s\ngamma*n + beta",
        group="layer",
    ),
    Op("attention", "Q, K, V, mask=None", group="layer"),
)

TENSOR: tuple[Op, ...] = (*_STRUCTURE, *_CONVOLUTION, *_LAYERS)
