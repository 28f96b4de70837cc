"""From a program to its derivation."""

from derivkit.symbolic.derive.door import PARAMETERS, derive, differentiate

__all__ = ["PARAMETERS", "derive", "differentiate"]
