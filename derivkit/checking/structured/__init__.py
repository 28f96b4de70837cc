"""Every gradient entry of a kernel against differences, by the structure of its program: the verb is in ``door``."""

from __future__ import annotations

from derivkit.checking.structured.door import check_kernel

__all__ = ["check_kernel"]
