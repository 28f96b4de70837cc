"""Hypothesis strategies for those who test gradients; hypothesis must be installed.

>>> import derivkit as dk
>>> from hypothesis import given
>>> @given(dk.strategies.arrays())
... def test_relu(x):
...     dk.assert_gradient(lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, x)
>>> import numpy as np
>>> test_relu()
"""

from __future__ import annotations

from derivkit.errors import DerivkitError

try:
    from derivkit.checking.strategies import arrays, cotangents, shapes
    from derivkit.checking.strategies_programs import Program, programs
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "hypothesis":
        raise
    raise DerivkitError("derivkit.strategies needs hypothesis", code="DK043", hint="python -m pip install hypothesis") from error

__all__ = ["Program", "arrays", "cotangents", "programs", "shapes"]
