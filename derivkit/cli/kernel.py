"""``derivkit kernel``."""

from __future__ import annotations

import derivkit as dk
from derivkit.cli.arguments import Arguments
from derivkit.cli.derive import read_shapes, required_wrt
from derivkit.cli.files import read_program


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the source of the kernel: a NumPy module that needs no derivkit."""
    text = read_program(arguments, "kernel")
    reduce = {"reduce": arguments.get("--reduce")} if arguments.has("--reduce") else {}
    batch = tuple(arguments.names("--batch"))
    kernel = dk.compile(text, wrt=required_wrt(arguments), shapes=read_shapes(arguments), batch=batch, **reduce)
    return kernel.source, 0
