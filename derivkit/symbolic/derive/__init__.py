"""From a program to its derivation."""

from derivkit.symbolic.derive.decorate import ProgramFunction, program
from derivkit.symbolic.derive.door import PARAMETERS, derive, differentiate

__all__ = ["PARAMETERS", "ProgramFunction", "derive", "differentiate", "program"]
