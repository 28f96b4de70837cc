"""What was measured of one leaf that is known to be wrong, and what a hypothesis about it may ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of one leaf's true gradient.

    ``claim`` and ``point`` have the leaf's shape (n entries; ``point`` is empty where it has no meaning); ``rows``
    (K, n) are the directions measured, ``None`` when every entry was; ``measured`` and ``bars`` are (K,) or (n,);
    ``others`` the claims for the other leaves; ``faulty`` tells whether the claim is wrong on a masked part; ``units`` (n,)
    are the entries' own units, where each was measured.
    """

    name: str
    position: int
    claim: Floats
    point: Floats
    rows: Floats | None
    measured: Floats
    bars: Floats
    others: tuple[Floats, ...]
    faulty: Callable[[Mask], bool]
    units: Floats | None = None

    def project(self, array: Floats) -> Floats:
        """Return what ``array`` (leaf-shaped) predicts for the measured slopes."""
        return array.ravel() if self.rows is None else self.rows @ array.ravel()

    def agrees(self, array: Floats) -> bool:
        """Return whether ``array`` could be the true gradient."""
        return bool(np.all(np.abs(self.project(array) - self.measured) <= self.allowed()))

    def allowed(self) -> Floats:
        """Return how far a true slope may lie from a measured one: never so far that the fault itself would fit in."""
        fault = self.project(self.claim) - self.measured
        return np.asarray(5 * self.bars + np.minimum(1e-7 * self._largest(self.measured), 1e-3 * self._largest(fault)))

    def _largest(self, values: Floats) -> Floats:
        """Return the largest of the values: as they are, or for moves of one unit each, whichever is less there.

        Of entries in far units, what is rounding in one may be all of another.
        """
        size = np.full(values.shape, float(np.max(np.abs(values), initial=0.0)))
        if self.units is None:
            return size
        return np.asarray(np.minimum(size, float(np.max(np.abs(values * self.units), initial=0.0)) / self.units))

    def convicts(self) -> bool:
        """Return whether something was measured that the claim cannot be."""
        return not self.agrees(self.claim)

    def weights(self) -> Floats:
        """Return the weight of each measurement in a fit: what is known badly must not spoil what is known well."""
        allowed = self.allowed()
        least = np.maximum(1e-9 * self._largest(self.measured), 1e-300)
        return np.asarray(np.max(allowed, initial=0.0) / np.maximum(allowed, least))

    def misses(self) -> Mask:
        """Return which entries are certainly wrong; only where every entry was measured."""
        off = np.abs(self.claim.ravel() - self.measured)
        wrong = off > self.allowed()
        if not np.any(wrong):  # known to be wrong, and all bars are wide: the most suspicious entry
            wrong[np.argmax(off / np.maximum(self.bars, 1e-300))] = True
        return np.asarray(wrong, dtype=np.bool_).reshape(self.claim.shape)


def lone(e: Evidence) -> bool:
    """Return whether one entry alone is wrong: with wide bars, anything that changes the others little would agree, too."""
    return e.rows is None and e.claim.size > 2 and int(e.misses().sum()) == 1


def fit(evidence: Evidence, terms: list[Floats], least: int = 2) -> Floats | None:
    """Return the coefficients c with truth = claim + Σ c_k terms_k, or ``None``; ``least`` measurements must be spare."""
    matrix = np.stack([evidence.project(term) for term in terms], axis=1)
    rest = evidence.measured - evidence.project(evidence.claim)
    if matrix.shape[0] < len(terms) + least or not np.all(np.any(matrix, axis=0)):
        return None
    weights = evidence.weights()
    matrix, rest = matrix * weights[:, None], rest * weights
    size = np.linalg.norm(matrix, axis=0)
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(size)) and np.all(size > 0) and np.all(np.isfinite(rest))):
        return None  # squares that leave the floats
    coefficients = np.linalg.lstsq(matrix / size, rest, rcond=None)[0] / size
    corrected = evidence.claim + sum(c * t for c, t in zip(coefficients, terms, strict=True))
    return coefficients if evidence.agrees(corrected) else None


def when(found: bool, detail: str = "") -> str | None:
    """Return the answer of a hypothesis that is true or not."""
    return detail if found else None
