"""How long a test may take of the processor: the promised two seconds, and more while coverage traces each line."""

from __future__ import annotations

import sys


def patience() -> float:
    """Return the seconds."""
    return 2.0 if sys.gettrace() is None else 12.0
