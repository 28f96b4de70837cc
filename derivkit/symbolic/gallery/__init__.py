"""The textbook programs by name and by group, and what each is worth deriving by."""

from __future__ import annotations

from derivkit.symbolic.gallery import convolutions, functions, layers, learning, matrices, models, networks
from derivkit.symbolic.gallery.networks import deep_sigmoid as deep_sigmoid

DEEPEST = 10

#: Program text by name; the first line of each is a comment that says what it is.
gallery: dict[str, str] = {}

#: The names that each program is worth deriving by.
wrt: dict[str, tuple[str, ...]] = {}

#: The names of the programs, by the title of their group.
groups: dict[str, tuple[str, ...]] = {}

_GROUPS = {
    "functions, activations and losses": functions.ROWS,
    "regression, likelihoods, factorisations and forms": models.ROWS,
    "inverses, linear systems and determinants": matrices.ROWS,
    "convolution and pooling": convolutions.ROWS,
    "normalisation, attention, gates, recurrence and embeddings": layers.ROWS,
    "contrast, generative models, policies and preferences": learning.ROWS,
    "networks": networks.ROWS,
}


def _rows(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the program and its ``wrt`` by name."""
    found = {}
    for row in text.strip().split("\n\n"):
        head, _, program = row.partition("\n")
        name, _, names = head.removeprefix("== ").partition("  wrt ")
        found[name] = program, tuple(names.split())
    return found


for _title, _text in _GROUPS.items():
    _found = _rows(_text)
    gallery |= {name: program for name, (program, _) in _found.items()}
    wrt |= {name: names for name, (_, names) in _found.items()}
    groups[_title] = tuple(_found)

for _layers in range(1, DEEPEST + 1):
    gallery[f"deep_sigmoid_{_layers}"] = deep_sigmoid(_layers)
    wrt[f"deep_sigmoid_{_layers}"] = tuple(f"W{n}" for n in range(1, _layers + 1))
groups["networks"] += tuple(f"deep_sigmoid_{n}" for n in range(1, DEEPEST + 1))
