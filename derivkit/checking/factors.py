"""Suspects about local factors: the slope of an inner function is lost, is another function's, or is taken at another point."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from derivkit.checking.measured import Evidence, Floats, lone


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)), dtype=np.float64)


#: Local factors that a chain rule may have lost, or has where another belongs: slopes of common functions at the argument,
#: at their own output (the slope taken twice on), and as they read in terms of the output (at the wrong point).
LOCAL: dict[str, Callable[[Floats], Floats]] = {
    "x": lambda x: x,
    "tanh'(x)": lambda x: 1 - np.tanh(x) ** 2,
    "1 - x²": lambda x: 1 - x**2,
    "sigmoid'(x)": lambda x: _sigmoid(x) * _sigmoid(-x),
    "x (1 - x)": lambda x: x * (1 - x),
    "x²": lambda x: x**2,
    "exp(x)": np.exp,
    "cos(x)": np.cos,
    "sin(x)": np.sin,
    "sigmoid(x)": _sigmoid,
    "sigmoid(-x)": lambda x: _sigmoid(-x),
    "tanh'(tanh(x))": lambda x: 1 - np.tanh(np.tanh(x)) ** 2,
    "sigmoid'(sigmoid(x))": lambda x: _sigmoid(_sigmoid(x)) * _sigmoid(-_sigmoid(x)),
    "tanh(x)": np.tanh,
    "tanh(x) (1 - tanh(x))": lambda x: np.tanh(x) * (1 - np.tanh(x)),
    "sqrt(x)": np.sqrt,
    "log(x)": np.log,
    "1 + x²": lambda x: 1 + x**2,
    "sqrt(1 - x²)": lambda x: np.sqrt(1 - x**2),
    "sqrt(1 + x²)": lambda x: np.sqrt(1 + x**2),
    "sign(x)": np.sign,
    "cosh(x)": np.cosh,
    "sinh(x)": np.sinh,
    "exp(-x²)": lambda x: np.exp(-(x**2)),
    "exp(-x²/2)": lambda x: np.exp(-(x**2) / 2),
}
#: So many different values must the argument have, or any two factors look alike.
SPREAD = 3
#: What hundreds of guesses cannot hit by chance, in three entries.
SURE = 1e-6


def certain(e: Evidence) -> bool:
    """Return whether a lost or exchanged function of the argument explains the claim, also where few entries are not zero.

    Those would look like a block, or like a few wrong entries; a factor that fits them all is no chance.
    """
    nonzero = e.claim != 0
    sharp = bool(np.all(5 * e.bars <= SURE * np.max(np.abs(e.measured), initial=0.0)))
    if e.rows is not None or not sharp or lone(e) or e.point.shape != e.claim.shape or np.unique(e.point[nonzero]).size < SPREAD:
        return False
    return _first_proportional(e, list(_exchanges(e.point.ravel()))) is not None


def missing_factor(e: Evidence) -> str | None:
    """Return which factor, a function of the argument or constant along an axis, the truth has and the claim has not."""
    if e.claim.size < 3 or lone(e):
        return None
    if e.point.shape == e.claim.shape and np.unique(e.point).size >= SPREAD:
        shown = _first_proportional(e, list(_exchanges(e.point.ravel())))
        if shown is not None:
            return shown.replace("(x", f"({e.name}").replace("x²", f"{e.name}²")
    along = e.rows is None and e.claim.ndim > 1 and any(_factor_along(e, axis) for axis in range(e.claim.ndim))
    return ": one number for each line of it" if along else None


def _exchanges(x: Floats) -> Iterator[tuple[str, Floats]]:
    """Yield what the claim must be multiplied with, the simple ones first: lost, too much, one for the other."""
    with np.errstate(all="ignore"):
        known = {name: np.asarray(f(x), dtype=np.float64) for name, f in LOCAL.items()}
        usable = {name: v for name, v in known.items() if np.all(np.isfinite(v)) and np.any(v)}
        whole = {name: v for name, v in usable.items() if np.all(v)}
        yield from ((f", {name}", v) for name, v in usable.items())
        yield from ((f": it has {name} too much", 1 / v) for name, v in whole.items())
        for name, v in usable.items():
            yield from ((f": it has {other} for {name}", v / w) for other, w in whole.items() if other != name)


def _first_proportional(e: Evidence, exchanges: list[tuple[str, Floats]]) -> str | None:
    """Return the first exchange that makes the claim a multiple of the truth; all are tried at once, for there are hundreds."""
    if not exchanges:
        return None
    with np.errstate(all="ignore"):
        guesses = e.claim.ravel() * np.stack([factor for _, factor in exchanges])
        guesses = guesses / np.max(np.abs(guesses), axis=1, keepdims=True)  # squares of tiny ones would vanish
        predicted = guesses if e.rows is None else guesses @ e.rows.T
        weighted = predicted * e.weights() ** 2
        coefficients = weighted @ e.measured / np.sum(weighted * predicted, axis=1)
        agrees = np.all(np.abs(coefficients[:, None] * predicted - e.measured) <= e.allowed(), axis=1)
    return exchanges[int(np.argmax(agrees))][0] if np.any(agrees) else None


def _factor_along(e: Evidence, axis: int) -> bool:
    """Return whether the truth is the claim times one number for each index of the other axes."""
    if e.claim.shape[axis] < 3:
        return False
    truth = e.measured.reshape(e.claim.shape)
    weight = np.sum(e.claim**2, axis, keepdims=True)
    factor = np.sum(e.claim * truth, axis, keepdims=True) / np.where(weight > 0, weight, 1.0)
    return bool(np.all(factor != 0)) and e.agrees(factor * e.claim)
