"""Labelled arrays, behind matrix notation and kernels: ``planner`` is the entry, ``nodes`` says what there is."""

from __future__ import annotations

from derivkit.symbolic.arrays.planner import plan
from derivkit.symbolic.arrays.tree import Array, NoArrayForm, Numbering, postorder

__all__ = ["Array", "NoArrayForm", "Numbering", "plan", "postorder"]
