"""Suspects that only the graph knows: a wrong or lost slope of one line, a path of the chain rule left out.

Asked where the gradient of a leaf alone explains nothing: a sum over samples hides the factor that each of them lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.structured.columns import BARS, typical
from derivkit.checking.structured.measured import Measurement
from derivkit.checking.structured.routes import Share
from derivkit.checking.structured.verdict import Judged
from derivkit.numeric.codegen.cuts import elementwise
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.graph import Definition

Floats = NDArray[np.float64]


class Factor(NamedTuple):
    """A slope that somebody may have taken for that of h(z): in words, and from z and h."""

    words: str
    slope: Callable[[Floats, Floats], Floats]


#: The slopes of common functions, in their argument and in their value.
FACTORS = (
    Factor("no factor", lambda z, h: np.ones(z.shape)),
    Factor("the factor 1 - {h}²", lambda z, h: 1 - h**2),
    Factor("the factor {h} (1 - {h})", lambda z, h: h * (1 - h)),
    Factor("the factor [{z} > 0]", lambda z, h: np.where(z > 0, 1.0, 0.0)),
    Factor("the factor [{h} > 0]", lambda z, h: np.where(h > 0, 1.0, 0.0)),
    Factor("the factor 1 - {z}²", lambda z, h: 1 - z**2),
    Factor("the factor {z} (1 - {z})", lambda z, h: z * (1 - z)),
    Factor("the factor {h}", lambda z, h: h),
    Factor("the factor {z}", lambda z, h: z),
    Factor("the factor 1 - tanh({z})²", lambda z, h: 1 - np.tanh(z) ** 2),
    Factor("the factor σ({z}) (1 - σ({z}))", lambda z, h: 0.25 * (1 - np.tanh(z / 2) ** 2)),
)


def explained(m: Measurement, judged: Judged, leaf: Name) -> tuple[str, str] | None:
    """Return the code and the sentence of the path or the line that explains a wrong leaf, or ``None``."""
    found = judged.found
    close = BARS * found.bar + found.gap + judged.granted + 1e-7 * typical(found.value)
    for code, sentence, predicted in _hypotheses(m, leaf):
        if np.all(np.abs(found.value + predicted - judged.claim) <= close):
            return code, f"{judged.name}'s gradient {sentence}"
    return None


def _hypotheses(m: Measurement, leaf: Name) -> Iterator[tuple[str, str, Floats]]:
    """Yield ``(code, sentence, change)``: what the claim would be off by."""
    shares = m.routes.shares[leaf] or ()
    for share in shares if len(shares) > 1 else ():
        yield "missing-term", f"lacks what goes through {share.cut}: one path of the chain rule", -m.through(share).value
    for share in shares:
        readers = [d for d in m.routes.program.definitions if share.cut in references(d.rhs)]
        for reader in readers:
            one = m.slopes(share.cut, reader.name) if len(readers) > 1 else m.columns[share.cut].slopes.value
            lost = m.pulled(share, one)
            if len(readers) > 1:
                yield "missing-term", f"lacks what goes from {share.cut} through {reader.name}: one path of the chain rule", -lost
            if elementwise(reader, share.cut):
                yield from _factors(m, share, reader, lost)


def _factors(m: Measurement, share: Share, reader: Definition, lost: Floats) -> Iterator[tuple[str, str, Floats]]:
    z, h = (np.asarray(m.values[name], dtype=np.float64) for name in (share.cut, reader.name))
    behind = m.slopes(reader.name)
    words = {"z": share.cut, "h": reader.name}
    for factor in FACTORS:
        said = factor.words.format(**words)
        yield (
            "missing-factor",
            f"has {said} where the slope of {reader.name} belongs",
            m.pulled(share, behind * factor.slope(z, h)) - lost,
        )
    step = 1e-6 * (typical(h) or 1.0)
    at = m.at(reader, share.cut)
    slope = (at(h + step) - at(h - step)) / (2 * step)
    yield (
        "missing-factor",
        f"has the slope of {reader.name} at {reader.name}, not at {share.cut}",
        m.pulled(share, behind * slope) - lost,
    )
