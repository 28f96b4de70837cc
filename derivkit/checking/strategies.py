"""Hypothesis strategies for whoever tests gradients: shapes, well-conditioned arrays away from kinks, cotangents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import DTypeLike, NDArray

from derivkit.errors import DerivkitError

Array = NDArray[Any]
Shape = tuple[int, ...]

#: Numbers are multiples of this: few bits, so that they are exact in float16 and bfloat16, too.
GRID = 1 / 64
#: A number keeps so far from every kink: all but the widest steps of a check stay on one side.
MARGIN = 1 / 16


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> st.SearchStrategy[Shape]:
    """Return the strategy of shapes: of few axes and entries, since faults of layout and broadcasting show in small arrays.

    >>> from hypothesis import find
    >>> find(shapes(min_dims=2), lambda shape: shape[0] != shape[1])
    (1, 2)
    """
    return arrays_of.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def arrays(
    shape: Shape | int | st.SearchStrategy[Shape] | None = None,
    *,
    dtype: DTypeLike = np.float64,
    low: float = -2.0,
    high: float = 2.0,
    kinks: Sequence[float] = (0.0,),
    distinct: bool = False,
) -> st.SearchStrategy[Array]:
    """Return the strategy of arrays that differences can be taken at: from ``low`` to ``high``, away from the ``kinks``.

    ``shape`` is a shape or a strategy of shapes (default: :func:`shapes`).  ``distinct`` keeps the entries apart, for
    functions with kinks where two are equal (max, sort).  Raises DerivkitError (DK010) where there are no such numbers.

    >>> from hypothesis import find
    >>> find(arrays(2, distinct=True), lambda x: x[0] > x[1])
    array([ 1., -1.])
    >>> find(arrays((2, 1), kinks=(1.0,)), lambda x: x.min() > 1)
    array([[2.],
           [2.]])
    """
    numbers = _numbers(float(low), float(high), tuple(map(float, kinks)), MARGIN if distinct else GRID)
    if not numbers.size:
        raise DerivkitError(f"no number from {low} to {high} is away from the kinks {list(kinks)}", code="DK010")
    elements = st.integers(0, numbers.size - 1)

    def made(sizes: Shape) -> st.SearchStrategy[Array]:
        if distinct and math.prod(sizes) > numbers.size:
            count = math.prod(sizes)
            message = f"from {low} to {high} there are {numbers.size} distinct numbers, not {count}"
            raise DerivkitError(message, code="DK010", hint="widen the range: low=, high=")
        drawn = arrays_of.arrays(np.int64, sizes, elements=elements, unique=distinct)
        return drawn.map(lambda places: numbers[places].astype(dtype))

    if isinstance(shape, st.SearchStrategy):
        return shape.flatmap(made)
    if shape is None:
        return shapes().flatmap(made)
    return made((shape,) if isinstance(shape, int) else tuple(shape))


@lru_cache(maxsize=64)
def _numbers(low: float, high: float, kinks: tuple[float, ...], spacing: float) -> Array:
    """Return the numbers that may be drawn, the simplest first: a counterexample shrinks towards them."""
    grid = np.arange(math.ceil(low / spacing), math.floor(high / spacing) + 1) * spacing
    kept = [float(x) for x in grid if all(abs(x - kink) >= MARGIN for kink in kinks)]
    kept.sort(key=lambda x: (x.as_integer_ratio()[1], abs(x), x < 0))
    return np.array(kept)


def cotangents(shape: Shape | int, *, dtype: DTypeLike = np.float64) -> st.SearchStrategy[Array]:
    """Return the strategy of cotangents of a shape: of size 0.5 to 1.5 and either sign, so that no entry is left out.

    >>> from hypothesis import find
    >>> find(cotangents(2), lambda y_bar: y_bar[1] < 0).tolist()
    [-1.0, -1.0]
    """
    return arrays(shape, dtype=dtype, low=-1.5, high=1.5, kinks=tuple(np.arange(-7, 8) / 16))
