"""Right derivations as textbooks write them, in many notations: facts, in words of our own, one file for each field."""

from __future__ import annotations

import re
from pathlib import Path


def documents() -> dict[str, str]:
    """Return every document by its name; in the files each begins behind a line ``%%% name``."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.glob("*.tex")):
        parts = re.split(r"^%%% (\S+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found.update(zip(parts[1::2], parts[2::2], strict=True))
    return found
