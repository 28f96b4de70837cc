"""What a row of the table of operations holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Op:
    """One row: see the module's text.  ``kinks`` are the points where the derivative is a ``convention``."""

    name: str
    signature: str
    formula: str = ""
    folded: tuple[str, ...] = ()
    numpy: str = ""
    latex: str = ""
    reason: str = ""
    group: str = "elementwise"
    domain: tuple[float, float] = (float("-inf"), float("inf"))
    kinks: tuple[float, ...] = ()
    samples: tuple[float, ...] = (-1.3, -0.4, 0.6, 1.7)
    needs: str = ""
    convention: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the arguments, in order."""
        return tuple(p.split("=")[0].strip() for p in self.signature.split(",") if p.strip())

    @property
    def defaults(self) -> dict[str, str]:
        """The arguments that have a default, with its text."""
        pairs = (p.split("=") for p in self.signature.split(",") if "=" in p)
        return {name.strip(): value.strip() for name, value in pairs}
