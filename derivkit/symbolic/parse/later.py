"""Operations of the language that are not there yet, so that asking for one gets an honest answer."""

from __future__ import annotations

from collections.abc import Iterable

from derivkit.errors import did_you_mean

#: A name leaves this table when its row enters the table of operations; a test holds the two apart.
LATER = frozenset(
    "conv1d conv2d avg_pool1d avg_pool2d max_pool1d max_pool2d layer_norm rms_norm batch_norm attention concat reshape pad flip "
    "repeat inv solve det logdet".split()
)


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
    """Return what to say of the unknown function ``name``: that it comes later, or the nearest of the ``known`` ones.

    >>> hint_for("conv2d", ["cos"])
    'conv2d is not there yet: it comes with a later release'
    >>> hint_for("sofmax", ["softmax"])
    "did you mean 'softmax'?"
    """
    if name in LATER:
        return f"{name} is not there yet: it comes with a later release"
    if name.lower() in ELSEWHERE:
        return f"here it is called {ELSEWHERE[name.lower()]}"
    return did_you_mean(name, known)
