"""The verdict on claimed gradients of which every entry was measured: which entries are off, by how much, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.diagnose import diagnose
from derivkit.checking.measured import Evidence
from derivkit.checking.places import explains_shape
from derivkit.checking.problem import COARSE, SLACK
from derivkit.checking.report import Entry
from derivkit.checking.report import Leaf as Measured
from derivkit.checking.structured.columns import BARS, typical
from derivkit.checking.structured.measured import Leaf, Measurement
from derivkit.symbolic.expr import Name

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: What is off by more than rounding does, and by less than this many times that, is neither right nor wrong.
DOUBT = 10.0
#: A claim that moves the loss by less than this share of it over a full-size move says that it does not move at all; to be
#: believed what was measured must be below so many times that, too.
FAINT = 3e-14
SEEN = 70.0
#: So many entries are listed.
LISTED = 16
#: So many entries are measured closely at a time, and so many columns of a leaf that is wrong anyway.
CLOSELY = 16
ENOUGH = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """One leaf: the claim beside what was measured; which entries are ``wrong``, and which are ``unclear``.

    A claim below ``faint`` says that the leaf does not move the loss: of such a one no digits are asked.
    """

    name: str
    position: int
    claim: Floats
    point: Floats
    found: Leaf
    granted: Floats
    wrong: Mask
    unclear: Mask
    faint: float

    @property
    def off(self) -> Floats:
        """How far the claim is from what was measured."""
        return np.abs(self.claim - self.found.value)

    def near(self, array: Floats) -> Mask:
        """Return where an array is the claim, as far as that is known of what was computed from measured slopes."""
        found = self.found
        return np.asarray(np.abs(array - self.claim) <= BARS * found.bar + found.gap + self.granted + 1e-7 * typical(found.value))

    @property
    def blunt(self) -> bool:
        """Whether the error bars are too wide for the gradient, or there is no number at all."""
        bars = self.found.bar
        if not (np.all(np.isfinite(bars)) and np.all(np.isfinite(self.found.value))):
            return True
        size = max(typical(self.claim), typical(self.found.value))
        return BARS * typical(bars) > 1e-2 * size and not self.still

    @property
    def still(self) -> bool:
        """Whether the claim says that the leaf does not move the loss, and no more was measured."""
        known = float(np.max(np.abs(self.found.value) + BARS * self.found.bar, initial=0.0))
        return float(np.max(np.abs(self.claim), initial=0.0)) <= self.faint and known <= SEEN * self.faint

    @property
    def unseen(self) -> bool:
        """Whether the leaf moves the loss, or is claimed to, by less than its rounding shows."""
        return self.still and bool(np.any(self.claim) or np.any(self.found.value))

    def leaf(self) -> Measured:
        """Return all entries, for pictures."""
        bars = self.found.bar + self.found.gap
        yours, measured, bar = (tuple(float(n) for n in np.ravel(a)) for a in (self.claim, self.found.value, bars))
        return Measured(self.name, self.claim.shape, yours, measured, bar)

    def entries(self) -> list[Entry]:
        """Return the wrong entries, the worst first."""
        flat = np.flatnonzero(self.wrong.ravel())
        order = flat[np.argsort(-self.off.ravel()[flat], kind="stable")][:LISTED]
        return [
            Entry(
                self.name,
                tuple(int(n) for n in np.unravel_index(i, self.claim.shape)),
                float(self.claim.ravel()[i]),
                float(self.found.value.ravel()[i]),
                float((self.found.bar + self.found.gap).ravel()[i]),
            )
            for i in order
        ]


def judge(m: Measurement, leaf: Name, position: int, claim: Floats, eps: float) -> Judged:
    """Hold every entry of a claim against what was measured; what is off is measured closely before it is called so."""
    point = np.asarray(m.values[leaf], dtype=np.float64)
    faint = FAINT * abs(m.loss) / (typical(point) or 1.0)
    looked = 0
    while True:
        found = m.leaf(leaf)
        granted = _granted(found, eps, m.amplification)
        off = np.abs(claim - found.value)
        allowed = BARS * found.bar + found.gap + granted
        wrong = ~(off <= allowed + (DOUBT - 1) * granted * (eps > COARSE))
        doubted = ~(off <= found.bar + granted)
        judged = Judged(str(leaf), position, claim, point, found, granted, wrong, ~(off <= allowed) & ~wrong, faint)
        more = m.sharpen(leaf, _worst(off / allowed, doubted)) if looked < ENOUGH or not np.any(wrong) else 0
        looked += more
        if not more:
            return judged


def _granted(found: Leaf, eps: float, amplification: float) -> Floats:
    """Return how far a right claim of this epsilon may be off.

    The addends of an entry are rounded in proportion to themselves, and each has errors from the values before it; a slope
    that is the small difference of large ones (y - t where y is nearly t) from those.
    """
    share = max(SLACK, 128 * eps) * (np.abs(found.value) + typical(found.value))
    return np.asarray(share + 32 * eps * amplification * (found.mass + typical(found.mass)) + 8 * eps * found.reach)


def _worst(ratio: Floats, doubted: Mask) -> Mask:
    """Return the worst of the doubted entries, a few at a time."""
    flat = np.flatnonzero(doubted.ravel())
    order = flat[np.argsort(-np.nan_to_num(ratio.ravel()[flat], nan=np.inf), kind="stable")]
    mask = np.zeros(doubted.size, dtype=np.bool_)
    mask[order[:CLOSELY]] = True
    return mask.reshape(doubted.shape)


# -- why ------------------------------------------------------------------------------------------------------------------


def cause(judged: Judged, others: Sequence[Floats]) -> tuple[str, str]:
    """Return the code and the sentence of the suspect that explains a wrong leaf; all of its truth is known."""
    bars = np.asarray(judged.found.bar + judged.found.gap + judged.granted / BARS)
    case = Evidence(
        judged.name,
        judged.position,
        judged.claim,
        judged.point,
        None,
        judged.found.value.ravel(),
        bars.ravel(),
        tuple(others),
        lambda mask: bool(np.any(judged.wrong & mask)),
    )
    return diagnose(case)


def misfit(name: str, came: NDArray[np.generic], found: Leaf) -> tuple[str, str]:
    """Return the code and the sentence of a claim that has the wrong shape: perhaps all else of it is right."""
    shape = found.value.shape
    close = 1e-6 * (np.abs(found.value) + typical(found.value)) + BARS * found.bar + found.gap
    for code, sentence, array in explains_shape(came.astype(np.float64), shape):
        if np.all(np.abs(array - found.value) <= close):
            return code, f"{name}'s gradient {sentence}: it has shape {came.shape}, expected {shape}"
    return "shape", f"the gradient of {name} has shape {came.shape}, expected {shape}"
