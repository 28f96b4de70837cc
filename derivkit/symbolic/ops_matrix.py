"""The values of the operations of linear algebra, in every number system: the last two axes are rows and columns.

NumPy's ``linalg`` has float32, float64 and their complex numbers; for ``longdouble`` and for object arrays of mpmath numbers
there is elimination with pivots.  A matrix that has no inverse raises :class:`DerivkitError` (DK044) here; a kernel, which
knows nothing of derivkit, lets NumPy raise ``LinAlgError``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from derivkit.errors import DerivkitError
from derivkit.symbolic.ops_values import OBJECT, Array, real

_LAPACK = "fdFD"


def inverse(a: Array) -> Array:
    """Return the inverse of each matrix.

    >>> inverse(np.array([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return solved(a, np.broadcast_to(np.eye(a.shape[-1], dtype=int), a.shape))


def solved(a: Array, b: Array) -> Array:
    """Return X with A X = B; both are stacks of matrices."""
    if a.dtype.char in _LAPACK and b.dtype.char in _LAPACK + "l":
        try:
            return np.asarray(np.linalg.solve(a, b.astype(a.dtype) if b.dtype.kind == "i" else b))
        except np.linalg.LinAlgError:
            raise _singular(a) from None
    return _eliminated(a, b)[0]


def determinant(a: Array) -> Array:
    """Return the determinant of each matrix."""
    return np.asarray(np.linalg.det(a)) if a.dtype.char in _LAPACK else _eliminated(a, a[..., :0])[1]


def log_determinant(a: Array) -> Array:
    """Return log |det A|; of a complex matrix the continuation from its real part, which a complex step needs."""
    if a.dtype.char in _LAPACK:
        sign, size = np.linalg.slogdet(a)
        return np.asarray(size + 1j * np.angle(sign * np.where(sign.real < 0, -1, 1)) if np.iscomplexobj(a) else size)
    value = determinant(a)
    value = np.asarray(np.where(real(value) < 0, -value, value), dtype=value.dtype)
    return OBJECT["log"](value) if value.dtype == object else np.asarray(np.log(value))


def _singular(a: Array) -> DerivkitError:
    return DerivkitError(f"a singular matrix ({a.shape[-2]} by {a.shape[-1]}) has no inverse", code="DK044")


def _eliminated(a: Array, b: Array) -> tuple[Array, Array]:
    """Return (X with A X = B, det A) by elimination with the largest pivots; without columns in B it may be singular."""
    n = a.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = np.concatenate([np.broadcast_to(a, (*lead, n, n)), np.broadcast_to(b, (*lead, n, b.shape[-1]))], axis=-1)
    flat = rows.reshape((-1, n, rows.shape[-1]))
    determinants = np.empty(len(flat), dtype=flat.dtype)
    for which, m in enumerate(flat):
        determinants[which] = _reduce(m, n, b.shape[-1] > 0, a)
    return flat[..., n:].reshape((*lead, n, b.shape[-1])), determinants.reshape(lead)


def _reduce(m: Array, n: int, solving: bool, a: Array) -> Any:
    """Bring the left half of ``m`` to the identity, in place; return its determinant."""
    determinant: Any = 1
    for column in range(n):
        sizes = [abs(v) for v in real(m[column:, column])]
        pivot = column + max(range(n - column), key=sizes.__getitem__)
        if sizes[pivot - column] == 0:
            if solving:
                raise _singular(a)
            return determinant * m[pivot, column]
        if pivot != column:
            m[[column, pivot]] = m[[pivot, column]]
            determinant = -determinant
        determinant = determinant * m[column, column]
        m[column] = m[column] / m[column, column]
        for row in range(n):
            if row != column:
                m[row] = m[row] - m[row, column] * m[column]
    return determinant


#: Each operation as a function of stacks of matrices; a right-hand side is a stack of columns.
MATRIX: dict[str, Callable[..., Array]] = {
    "inv": inverse,
    "solve": lambda a, b: solved(a, b[..., None])[..., 0],
    "det": determinant,
    "logdet": log_determinant,
}
