"""What a row of the table of operations holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Op:
    """One row: see the module's text.  ``kinks`` are the points where the derivative is a ``convention``.

    ``against`` are the arguments that the first one is compared with, where those decide and not the ``kinks``.

    A row of an array operation may be implicit: ``equation`` holds between its arguments and its output ``y``.  ``at`` are the
    letters of the positions that are read, ``by`` for each argument those of the entry that is differentiated by; one letter
    stands for all the axes that are bound, two for a row and a column.
    """

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
    against: tuple[str, ...] = ()
    samples: tuple[float, ...] = (-1.3, -0.4, 0.6, 1.7)
    needs: str = ""
    convention: str = ""
    equation: tuple[str, str] = ("", "")
    at: str = "i"
    by: tuple[str, ...] = ("j",)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the arguments, in order."""
        return tuple(p.split("=")[0].strip() for p in self.signature.split(",") if p.strip())

    @property
    def defaults(self) -> dict[str, str]:
        """The arguments that have a default, with its text."""
        pairs = (p.split("=") for p in self.signature.split(",") if "=" in p)
        return {name.strip(): value.strip() for name, value in pairs}
