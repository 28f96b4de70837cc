"""``derivkit gallery``."""

from __future__ import annotations

import derivkit as dk
from derivkit.cli.arguments import Arguments, table
from derivkit.errors import DerivkitError, did_you_mean, echo


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the list of the programs, or one of them."""
    name = arguments.positional
    if name is not None:
        return program(name), 0
    rows = [(key, _summary(text)) for key, text in dk.gallery.items()]
    return "\n".join(table(rows, width=max(len(key) for key, _ in rows))), 0


def program(name: str) -> str:
    """Return the text of the gallery's program ``name``."""
    if name not in dk.gallery:
        hint = did_you_mean(name, dk.gallery) or "derivkit gallery lists them"
        raise DerivkitError(f"no program '{echo(name)}' in the gallery", code="DK008", hint=hint)
    return str(dk.gallery[name])


def _summary(text: str) -> str:
    """Return the comment that the program starts with."""
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""
