"""``derivkit kernel``."""

from __future__ import annotations

from typing import Any

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.derive import read_shapes, required_wrt
from derivkit.cli.files import helped, read_program


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the source of the kernel: a NumPy module that needs no derivkit."""
    if arguments.has("--reduce") and not arguments.has("--batch"):
        raise usage("--reduce has no meaning without --batch", "--batch names the inputs that have a batch axis: --batch x,t")
    text = read_program(arguments, "kernel")
    options: dict[str, Any] = {name: arguments.get(f"--{name}") for name in ("reduce", "kind") if arguments.has(f"--{name}")}
    if arguments.has("--along"):
        options["along"] = arguments.names("--along")
    batch = tuple(arguments.names("--batch"))
    wrt, shapes = required_wrt(arguments), read_shapes(arguments)
    with helped(arguments.positional, "kernel"):
        kernel = dk.compile(text, wrt=wrt, shapes=shapes, batch=batch, **options)
    return kernel.source, 0
