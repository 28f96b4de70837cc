"""From a program to its derivation."""

from derivkit.symbolic.derive.door import PARAMETERS, derive

__all__ = ["PARAMETERS", "derive"]
