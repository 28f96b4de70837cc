"""``derivkit cost``."""

from __future__ import annotations

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.derive import read_shapes
from derivkit.cli.files import helped, read_program
from derivkit.errors import echo


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the table of what a program costs."""
    text = read_program(arguments, "cost")
    sizes = read_sizes(arguments.get("--sizes") or "")
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


def read_sizes(text: str) -> dict[str, int]:
    """Return the numbers of ``--sizes`` by name.

    >>> read_sizes("D=784, N=64")
    {'D': 784, 'N': 64}
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        name, _, value = (p.strip() for p in part.partition("="))
        if not name.isidentifier() or not (value.isascii() and value.isdigit()) or len(value) > 10:
            raise usage(f"--sizes needs NAME=NUMBER, not '{echo(part.strip())}'", "--sizes 'D=784, N=64'")
        sizes[name] = int(value)
    return sizes
