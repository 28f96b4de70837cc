"""The textbook programs by name, and what each is worth deriving by."""

from __future__ import annotations

from derivkit.symbolic.gallery import functions, matrices, models, networks
from derivkit.symbolic.gallery.networks import deep_sigmoid as deep_sigmoid

DEEPEST = 10

#: Program text by name; the first line of each is a comment that says what it is.
gallery: dict[str, str] = {}

#: The names that each program is worth deriving by.
wrt: dict[str, tuple[str, ...]] = {}

for _rows in (functions.ROWS, models.ROWS, matrices.ROWS, networks.ROWS):
    for _row in _rows.strip().split("\n\n"):
        _head, _, _text = _row.partition("\n")
        _name, _, _names = _head.removeprefix("== ").partition("  wrt ")
        gallery[_name], wrt[_name] = _text, tuple(_names.split())

for _layers in range(1, DEEPEST + 1):
    gallery[f"deep_sigmoid_{_layers}"] = deep_sigmoid(_layers)
    wrt[f"deep_sigmoid_{_layers}"] = tuple(f"W{n}" for n in range(1, _layers + 1))
