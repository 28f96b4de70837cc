"""``derivkit cost``."""

from __future__ import annotations

import derivkit as dk
from derivkit.cli.arguments import Arguments
from derivkit.cli.derive import read_shapes
from derivkit.cli.files import helped, read_program


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the table of what a program costs."""
    text = read_program(arguments, "cost")
    sizes = arguments.sizes()
    wrt, batch = arguments.names("--wrt") or None, tuple(arguments.names("--batch"))
    with helped(arguments.positional, "cost"):
        made = dk.cost(
            text,
            parameters=wrt,
            shapes=read_shapes(arguments),
            batch=batch,
            sizes=sizes,
            dtype=arguments.get("--dtype") or "float64",
        )
    return str(made), 0
