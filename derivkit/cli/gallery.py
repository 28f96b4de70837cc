"""``derivkit gallery``."""

from __future__ import annotations

from derivkit.cli.arguments import Arguments, table
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.gallery import gallery, groups


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the list of the programs by group, or one of them."""
    name = arguments.positional
    if name is not None:
        return program(name), 0
    width = max(map(len, gallery))
    blocks = ("\n".join([title, *table([(n, _summary(gallery[n])) for n in names], width)]) for title, names in groups.items())
    return "\n\n".join(blocks), 0


def program(name: str) -> str:
    """Return the text of the gallery's program ``name``."""
    if name not in gallery:
        hint = did_you_mean(name, gallery) or "derivkit gallery lists them"
        raise DerivkitError(f"no program '{echo(name)}' in the gallery", code="DK008", hint=hint)
    return gallery[name]


def _summary(text: str) -> str:
    """Return the comment that the program starts with."""
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""
