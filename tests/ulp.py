"""How far results are from the exact ones, in units of the last place: the measure, the table of limits, the points.

The exact result is that of the input as it is represented, by SymPy's derivative of the formula from the books (see
``oracle``) in mpmath.  An ulp is the spacing of the floats at the exact result, down to the smallest denormal.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import mpmath
import numpy as np
import oracle
import sympy

import derivkit as dk

X = sympy.Symbol("x", real=True)
FUNCTIONS = oracle.scalar_functions(oracle.SYMPY)
#: Digits: the exact result may be 1e-324 below terms of size 1, as that of 1 - tanh(x)² is.
DIGITS = 400
FORMS = ("k", "bind")


class Row(NamedTuple):
    """A function of one argument, and how many ulps its value and its slope may be off.

    ``low`` and ``high``: where it is measured.  ``zero``: the slope is f / x plus a second term and crosses 0, near which it is
    right to the ulps of the larger term.  ``tiny``: errors below the smallest normal number do not count, for a factor
    underflows there.  ``right``: another form of the exact function, where the first cannot be evaluated.
    """

    name: str
    text: str
    value: float = 4
    slope: float = 4
    low: float = -1e30
    high: float = 1e30
    zero: bool = False
    tiny: bool = False
    right: str = ""
    wide: tuple[float, float] = (0, 0)  # the limits in float64, where SciPy's own error is larger there

    def limits(self, dtype: type) -> tuple[float, float]:
        """Return the limits of value and slope."""
        return self.wide if dtype is np.float64 and any(self.wide) else (self.value, self.slope)


def plain(*names: str, **options: float) -> list[Row]:
    """Return rows of functions that are called by their name."""
    return [Row(name, f"{name}(x)", **options) for name in names]  # type: ignore[arg-type]


ROWS = (
    *plain("exp", "expm1", "sinh", "cosh", "sin", "cos", "tan", "tanh", "abs", "sign", "step", "relu", "hardtanh"),
    *plain("log", "sqrt", low=0),
    *plain("log1p", low=-1),
    *plain("arctan", low=-1e18, high=1e18),
    *plain("erf", slope=5),
    Row("erfc", "erfc(x)", slope=5, wide=(8, 4)),
    *plain("softplus", "leaky_relu", "elu", "selu"),
    Row("sigmoid", "sigmoid(x)", tiny=True),
    *plain("silu", "mish", slope=5, zero=True, tiny=True),
    Row("gelu", "gelu(x)", slope=5, zero=True, tiny=True, wide=(10, 10)),
    Row("gelu_tanh", "gelu_tanh(x)", slope=5, low=-1, high=1e10, zero=True, tiny=True),
    Row("gelu_tanh, below -1", "gelu_tanh(x)", 150, 200, low=-1e12, high=-1, tiny=True, wide=(1000, 1200)),
    Row("x**2", "x**2", high=1e15, low=-1e15),
    Row("x**3", "x**3", high=1e12, low=-1e12),
    Row("1/x", "1/x", high=1e15, low=-1e15),
    Row("x**1.5", "x**1.5", low=0, high=1e18),
    Row("2**x", "2**x"),
    Row("exp(-x**2/2)", "exp(-x**2/2)", tiny=True),
    Row("log(sigmoid(x))", "log(sigmoid(x))"),
    Row("log(1 - sigmoid(x))", "log(1 - sigmoid(x))", right="-softplus(x)"),
)


def exact(row: Row) -> tuple[sympy.Expr, sympy.Expr | None]:
    """Return the function and its slope; no slope where it is 0 beside a kink."""
    value = eval(row.right or row.text, {"__builtins__": {}}, {**FUNCTIONS, "x": X})  # noqa: S307
    value = value if row.text != "x**1.5" else X ** sympy.Rational(3, 2)
    return value, None if row.name in ("sign", "step", "hardtanh") else sympy.diff(value, X)


@cache
def points(low: float, high: float, dtype: type) -> np.ndarray:
    """Return numbers from the smallest denormal on, of both signs, all bits of theirs in use; more of them where tails begin."""
    rng, info = np.random.default_rng(7), np.finfo(dtype)
    first = np.log10(float(info.smallest_subnormal)) + 1
    parts = [np.linspace(first, -3, 16), np.linspace(-3, 4, 60), np.linspace(-1.2, 2.2, 90), np.linspace(4, 30, 8)]
    sizes = 10.0 ** np.concatenate(parts) * (1 + 1e-3 * rng.random(sum(map(len, parts))))
    beside = [low + sizes[(sizes < 1) & (sizes > info.eps)]] if low == -1 else []
    each = np.concatenate([sizes, -sizes, *beside, [1e4, -1e4]]).astype(dtype)
    return each[(each > low) & (each < high) & (np.abs(each) <= 1.01e30)]


def computed(expr: sympy.Expr, at: np.ndarray) -> list[mpmath.mpf]:
    """Return the values of an expression, infinite beyond all floats."""
    function, made = sympy.lambdify(X, expr, "mpmath"), []
    with mpmath.workdps(DIGITS):
        for p in at:
            made.append(mpmath.mpf(function(mpmath.mpf(float(p)))))
    return made


def ulps(got: np.ndarray, right: list[mpmath.mpf], scale: list[mpmath.mpf] | None = None, *, tiny: bool = False) -> np.ndarray:
    """Return the error of each number in units of the last place of the exact one, or of ``scale`` where that is larger.

    Results beyond the largest float are no errors.
    """
    info = np.finfo(got.dtype)
    largest, least = mpmath.mpf(float(info.max)), mpmath.mpf(float(info.tiny))
    made = np.zeros(len(right))
    for n, (number, true) in enumerate(zip(got.tolist(), right, strict=True)):
        if abs(true) > largest:
            continue
        if not np.isfinite(number):
            made[n] = np.inf
            continue
        error = abs(mpmath.mpf(number) - true)
        if tiny and error <= least:
            continue
        size = max(abs(true), abs(scale[n])) if scale else abs(true)
        power = max(mpmath.frexp(size)[1] - 1 if size else info.minexp, info.minexp)
        made[n] = float(error / mpmath.mpf(2) ** (power - info.nmant))
    return made


@cache
def right_results(row: Row, dtype: type) -> tuple[list[mpmath.mpf], list[mpmath.mpf] | None]:
    """Return exact values and slopes at the points of a row."""
    at = points(row.low, row.high, dtype)
    value, slope = exact(row)
    return computed(value, at), None if slope is None else computed(slope, at)


def measured(row: Row, dtype: type) -> dict[str, tuple[float, float]]:
    """Return for k(...) and for bound steps the largest errors of value and slope."""
    at = points(row.low, row.high, dtype)
    k, one = dk.compile(f"x: N\ny = {row.text}", "x", kind="vjp"), np.ones_like(at)
    with warnings.catch_warnings():
        if np.abs(at).max() > 1.1e4:  # up to there nothing may warn but what is too large for a float
            warnings.simplefilter("ignore")
        value, grads = k(x=at, y_bar=one)
        step = k.bind(x=at, y_bar=one)
        step()
    found = {"k": (value, grads["x"]), "bind": (step.value, step.grads["x"])}
    return {form: errors(row, *pair) for form, pair in found.items()}


def errors(row: Row, value: np.ndarray, slope: np.ndarray | None) -> tuple[float, float]:
    """Return the largest errors of values and slopes at the points of a row."""
    dtype = value.dtype.type
    right, slopes = right_results(row, dtype)
    off = float(ulps(value, right, tiny=row.tiny).max())
    if slope is None or slopes is None:
        return off, 0.0
    at = points(row.low, row.high, dtype)
    first = [r / mpmath.mpf(float(p)) for r, p in zip(right, at, strict=True)]
    larger = [max(abs(f), abs(s - f)) for f, s in zip(first, slopes, strict=True)] if row.zero else None
    return off, float(ulps(slope, slopes, larger, tiny=row.tiny).max())


# -- softmax and losses ---------------------------------------------------------------------------------------------------

ARRAY = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)
EXP, LOG = np.frompyfunc(mpmath.exp, 1, 1), np.frompyfunc(mpmath.log, 1, 1)
Exact = np.ndarray


class Loss(NamedTuple):
    """A program over the logits ``z``, and what its value and its gradient are.

    ``exact`` takes logits and targets and returns the value, the gradient, and the size that the gradient's ulps are of: that of
    the larger term of a difference p − t.
    """

    name: str
    text: str
    exact: Callable[[Exact, Exact], tuple[Exact, Exact, Exact]]
    target: str = ""
    kind: str = "gradient"


def softmax(z: Exact) -> Exact:
    """Return the softmax of the rows."""
    e = EXP(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_sum(z: Exact) -> Exact:
    """Return log Σ exp of the rows."""
    top = z.max(-1, keepdims=True)
    return top + LOG(EXP(z - top).sum(-1, keepdims=True))


def entropy(z: Exact, t: Exact) -> tuple[Exact, Exact, Exact]:
    """Return the mean cross entropy."""
    p, n = softmax(z), len(z)
    return -(t * (z - log_sum(z))).sum() / n, (p * t.sum(-1, keepdims=True) - t) / n, np.maximum(p, t) / n


def divergence(z: Exact, t: Exact) -> tuple[Exact, Exact, Exact]:
    """Return the mean divergence of the targets from the softmax."""
    value, slope, size = entropy(z, t)
    return value + (t * LOG(t)).sum() / len(z), slope, size


def logistic(z: Exact, t: Exact) -> tuple[Exact, Exact, Exact]:
    """Return the mean binary cross entropy."""
    p, n = 1 / (1 + EXP(-z)), len(z)
    loss = np.frompyfunc(lambda v, u: mpmath.log1p(mpmath.exp(v)) - u * v, 2, 1)(z, t)
    return loss.sum() / n, (p - t) / n, np.maximum(p, t) / n


def summed(z: Exact, _: Exact) -> tuple[Exact, Exact, Exact]:
    """Return log Σ exp."""
    p = softmax(z)
    return log_sum(z)[:, 0], p, p


LOSSES = (
    Loss("softmax", "z: N, K\ny = softmax(z)", lambda z, t: (softmax(z), None, None), kind="vjp"),
    Loss("log_softmax", "z: N, K\ny = log_softmax(z)", lambda z, t: (z - log_sum(z), None, None), kind="vjp"),
    Loss("logsumexp", "z: N, K\ny = logsumexp(z, axis=1)", summed, kind="vjp"),
    Loss("cross entropy, labels", "z: K\nt: label K\nE = cross_entropy(onehot(t, K), softmax(z))", entropy, "label"),
    Loss("cross entropy, one-hot", "z: K\nt: onehot K\nE = cross_entropy(t, softmax(z))", entropy, "onehot"),
    Loss("softmax_cross_entropy", "z: K\nt: onehot K\nE = softmax_cross_entropy(t, z)", entropy, "onehot"),
    Loss("kl_div", "z: K\nt: simplex K\nE = kl_div(t, softmax(z))", divergence, "simplex"),
    Loss("binary cross entropy", "z: K\nt: K\nE = binary_cross_entropy(t, sigmoid(z))", logistic, "bits"),
    Loss("the same on logits", "z: K\nt: K\nE = sum(softplus(z) - t*z)", logistic, "bits"),
)

SCALES = ("1", "10", "1e4", "300 more", "equal", "one far above", "one class", "one row")


def logits(scale: str, dtype: type) -> np.ndarray:
    """Return rows of logits."""
    z = np.random.default_rng(3).normal(size=(4, 5))
    far = np.where(np.arange(5) == 2, z + 25, z)
    table = {"1": z, "10": 10 * z, "1e4": 1e4 * np.sign(z), "300 more": z + 300, "equal": 1.7 + 0 * z, "one far above": far}
    return {**table, "one class": z[:, :1], "one row": z[:1]}[scale].astype(dtype)


def targets(target: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return targets as the kernel takes them, and as an array: the largest and the smallest logit are labels by turns."""
    labels = np.where(np.arange(len(z)) % 2, z.argmin(1), z.argmax(1))
    marks = np.eye(z.shape[1], dtype=z.dtype)[labels]
    if target == "simplex":
        shares = np.random.default_rng(5).integers(1, 9, z.shape)
        marks = np.where(np.arange(z.shape[1]) == 0, 64 - shares[:, 1:].sum(1, keepdims=True), shares).astype(z.dtype) / 64
    if target == "bits":
        marks = (np.arange(z.size).reshape(z.shape) % 3 == 0).astype(z.dtype)
    return (labels if target == "label" else marks), marks


def loss_errors(row: Loss, scale: str, dtype: type) -> dict[str, tuple[float, float]]:
    """Return for k(...) and for bound steps the largest errors of value and gradient.

    Of an entry far below the largest logit, by more than 16, that distance is rounded: it counts as many times less.
    """
    z = logits(scale, dtype)
    given, marks = targets(row.target, z)
    arrays = {"z": z, **({"t": given} if row.target else {})}
    k = dk.compile(row.text, "z", kind="vjp") if row.kind == "vjp" else dk.compile(row.text, "z", batch=tuple(arrays))
    if row.kind == "vjp":
        arrays["y_bar"] = np.ones(len(z) if row.name == "logsumexp" else z.shape, dtype)
    value, grads = k(arrays)
    step = k.bind(arrays)
    step()
    with mpmath.workdps(60):
        right, slope, size = row.exact(ARRAY(z), ARRAY(marks))
    far = np.maximum(1, (z.max(-1, keepdims=True) - z) / 16).ravel() if row.exact is not logistic else 1
    made = {}
    for form, (v, g) in {"k": (value, grads), "bind": (step.value, step.grads)}.items():
        number = np.asarray(v, dtype).ravel()
        flat = [mpmath.mpf(r) for r in np.asarray(right, object).ravel()]
        off = float((ulps(number, flat) / (far if number.size == z.size else 1)).max())
        slopes = np.zeros(1) if slope is None else ulps(g["z"].ravel(), [*slope.ravel()], [*size.ravel()]) / far
        made[form] = off, float(slopes.max())
    return made
