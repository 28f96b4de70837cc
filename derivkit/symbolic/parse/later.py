"""What to say of a function that is not in the table of operations."""

from __future__ import annotations

from collections.abc import Iterable

from derivkit.errors import did_you_mean

#: What people call operations elsewhere, and their names here.
ELSEWHERE = {
    "ln": "log",
    "sigma": "sigmoid",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "swish": "silu",
    "atan": "arctan",
    "amax": "max",
    "amin": "min",
    "average": "mean",
    "pow": "**",
    "matmul": "@",
    "heaviside": "step",
    "sgn": "sign",
    "tr": "trace",
}


def hint_for(name: str, known: Iterable[str]) -> str | None:
    """Return what to say of the unknown function ``name``: its name here, or the nearest of the ``known`` ones.

    >>> hint_for("swish", ["silu"])
    'here it is called silu'
    >>> hint_for("sofmax", ["softmax"])
    "did you mean 'softmax'?"
    """
    if name.lower() in ELSEWHERE:
        return f"here it is called {ELSEWHERE[name.lower()]}"
    return did_you_mean(name, known)
