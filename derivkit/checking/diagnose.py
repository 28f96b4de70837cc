"""Why a gradient is wrong: one table of suspects, each a hypothesis that predicts what was measured.

A suspect says "the truth is T(claim)"; it is convicted when T(claim) agrees with every measured slope.  Small leaves
are measured entry by entry, large ones along a few random directions, so the cost does not grow with the leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from derivkit.checking import factors, places
from derivkit.checking.calls import Spent
from derivkit.checking.measured import Evidence, Mask, fit, lone, when

#: A coefficient of three digits is exact to this share, or it is none.
ROUND = 1e-6


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row of the table: ``hypothesis`` returns the detail (perhaps empty) when it explains the evidence, else ``None``."""

    code: str
    sentence: str
    hypothesis: Callable[[Evidence], str | None]


def diagnose(evidence: Evidence) -> tuple[str, str]:
    """Return ``(code or code:detail, sentence)`` of the first suspect that explains ``evidence``."""
    evidence = _of_one(evidence)
    for suspect in SUSPECTS:
        detail = None
        with suppress(Spent):  # a hypothesis that asks for more than may be asked is none
            detail = suspect.hypothesis(evidence)
        if detail is not None:
            code = f"{suspect.code}:{detail}" if suspect.code == "scale" else suspect.code
            inverse = f"{1 / float(detail):.9g}" if suspect.code == "scale" else ""
            of = "times" if inverse and abs(float(detail)) > 1 else "of"
            return code, suspect.sentence.format(name=evidence.name, detail=detail, inverse=inverse, of=of)
    raise AssertionError("the last suspect explains everything")


def _of_one(e: Evidence) -> Evidence:
    """Return the evidence in units of its largest slope: squares of large and of tiny ones would leave the floats."""
    largest = float(np.max(np.abs(e.measured), initial=float(np.max(np.abs(e.claim), initial=0.0))))
    if not 0 < largest < np.inf or 1e-60 < largest < 1e60:
        return e
    unit = 2.0 ** -max(float(np.floor(np.log2(largest))), -1000.0)
    others = tuple(o * unit for o in e.others)
    return replace(e, claim=e.claim * unit, measured=e.measured * unit, bars=e.bars * unit, others=others)


def _zero(e: Evidence) -> str | None:
    return when(not np.any(e.claim))


def _factor(e: Evidence) -> float | None:
    if lone(e) or not _moves(e):
        return None
    weights = e.weights()
    predicted, measured, bars = e.project(e.claim) * weights, e.measured * weights, e.bars * weights
    top = float(np.max(np.abs(predicted), initial=0.0))
    if not 0 < top < np.inf:
        return None
    ratio = float(predicted / top @ (measured / top)) / float(np.sum((predicted / top) ** 2))
    if not ratio or not np.isfinite(ratio) or not e.agrees(ratio * e.claim):
        return None
    uncertainty = min(float(np.linalg.norm(bars / top)) / float(np.linalg.norm(measured / top)), 1e-4)
    for exact in (round(ratio), 1 / round(1 / ratio) if round(1 / ratio) else 0):
        if exact not in (0, 1) and abs(exact / ratio - 1) <= 2 * uncertainty + 1e-9:  # 1 would be no fault
            return 1 / exact
    short = float(f"{1 / ratio:.7g}")
    return short if short != 1 and abs(short * ratio - 1) <= min(2 * uncertainty, 1e-8) + 1e-9 else 1 / ratio


def _moves(e: Evidence) -> bool:
    """Return whether anything was measured that is not zero: of nothing, everything is a multiple."""
    return bool(np.any(np.abs(e.measured) > 5 * e.bars))


def _still(e: Evidence) -> str | None:
    most = 1e-3 * float(np.max(np.abs(e.project(e.claim)), initial=0.0))
    return when(not _moves(e) and bool(np.all(np.abs(e.measured) + 5 * e.bars <= most)))


def _sign(e: Evidence) -> str | None:
    return when(_moves(e) and e.agrees(-e.claim))


def _scale(e: Evidence) -> str | None:
    factor = _factor(e)
    return None if factor is None else f"{factor:.10g}"


def _swapped(e: Evidence) -> str | None:
    return when(not lone(e) and any(o.shape == e.claim.shape and e.agrees(o) for o in e.others))


def _regulariser(e: Evidence) -> str | None:
    if e.point.shape != e.claim.shape or not np.any(e.point):
        return None
    signs = np.sign(e.point)
    mixed = np.unique(signs[signs != 0]).size > 1  # of one sign, the penalty's slope is just a constant: a missing term
    for term, shown in ((e.point, e.name), *([(signs, f"sign({e.name})")] if mixed else [])):
        if (found := fit(e, [term])) is not None and not (term is e.point and _length_held(e, float(found[0]))):
            much = f"{abs(float(found[0])):.6g} · {shown}"
            return f"lacks {much}" if found[0] > 0 else f"has {much} too much"
    return None


def _length_held(e: Evidence, coefficient: float) -> bool:
    """Return whether the truth has nothing along the argument, though the claim has: its length was taken for a constant.

    A penalty would cancel the claim's part along the argument by chance only, unless f does not mind the argument's length;
    but a penalty's coefficient has been written down by somebody: it is a round number.
    """
    if abs(float(f"{coefficient:.3g}") / coefficient - 1) <= ROUND:
        return False
    truth = e.claim + coefficient * e.point
    mine, true = float(np.sum(e.claim * e.point)), float(np.sum(truth * e.point))
    return abs(true) <= 1e-3 * abs(mine) and bool(np.any(np.abs(truth) > 1e-3 * np.max(np.abs(e.claim))))


def _missing_term(e: Evidence) -> str | None:
    g = e.claim
    terms = [np.ones_like(g)] + [o for o in e.others if o.shape == g.shape and np.any(o)]
    for axis in range(g.ndim):
        terms.append(np.broadcast_to(g.mean(axis, keepdims=True), g.shape))
        if e.point.shape == g.shape:
            terms.append(e.point * (e.point * g).sum(axis, keepdims=True))
            terms += places.shifts(e.point, axis, 1) if g.shape[axis] > 1 else []
    if g.ndim == 2 and g.shape[0] == g.shape[1]:
        terms.append(g.T)
    return when(any(fit(e, [np.asarray(term, dtype=np.float64)]) is not None for term in terms if np.any(term)))


def _mask(e: Evidence) -> str | None:
    """Return whether the truth is the claim where a mask lets it through and zero elsewhere, or the masks exclude each other."""
    if e.point.shape == e.claim.shape:
        sides = (e.point > 0, e.point < 0, np.abs(e.point) < 1, np.abs(e.point) > 1)
        if any(_closed(e, ~side) and e.agrees(np.where(side, e.claim, 0.0)) for side in sides):
            return ""
    if e.rows is not None or e.claim.size < 4:
        return None
    truth = e.measured.reshape(e.claim.shape)
    size = float(np.max(np.abs(truth), initial=0.0))
    through = np.abs(truth) > e.allowed().reshape(truth.shape) + 1e-9 * size
    few = int(np.sum(~through & (e.claim != 0))) <= _few_limit(truth.size)
    if through.all() or not through.any() or few:
        return None
    return when(e.agrees(np.where(through, e.claim, 0.0)) or not np.any(through & (e.claim != 0)))


def _closed(e: Evidence, off: Mask) -> bool:
    """Return whether the claim lets the larger part of what is ``off`` through, as if there were no mask; not only an entry."""
    return bool(np.any(off) and np.any(e.claim[~off])) and 2 * int(np.count_nonzero(e.claim[off])) > int(np.sum(off))


def wrong_part(e: Evidence) -> Mask | None:
    """Return the entries on which the claim is wrong, or ``None`` when they are too many or too spread to be found.

    Large leaves are searched by bisection along each axis; the answer is then the product of the faulty indices.
    """
    if e.rows is None:
        return e.misses()
    active = [_faulty_indices(e, axis) for axis in range(e.claim.ndim)]
    if all(found is None for found in active):
        return None
    mask = np.zeros(e.claim.shape, dtype=np.bool_)
    mask[np.ix_(*(range(n) if found is None else found for found, n in zip(active, e.claim.shape, strict=True)))] = True
    return mask if mask.any() else None


def _faulty_indices(e: Evidence, axis: int, limit: int = 4) -> list[int] | None:
    ranges = [(0, e.claim.shape[axis])]
    while any(stop - start > 1 for start, stop in ranges):
        halves = [part for start, stop in ranges for part in _halves(start, stop)]
        ranges = [part for part in halves if e.faulty(_slab(e.claim.shape, axis, *part))]
        if len(ranges) > limit:
            return None
    return [start for start, _ in ranges]


def _halves(start: int, stop: int) -> tuple[tuple[int, int], ...]:
    middle = (start + stop) // 2
    return ((start, middle), (middle, stop)) if stop - start > 1 else ((start, stop),)


def _slab(shape: tuple[int, ...], axis: int, start: int, stop: int) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[(slice(None),) * axis + (slice(start, stop),)] = True
    return mask


def _few_limit(size: int) -> int:
    return max(1, min(8, size // 5))


def _block(e: Evidence) -> str | None:
    part = wrong_part(e)
    if part is None or part.all() or not part.any():
        return None
    spans = [np.flatnonzero(part.any(axis=tuple(a for a in range(part.ndim) if a != axis))) for axis in range(part.ndim)]
    is_box = np.prod([len(s) for s in spans]) == part.sum() and all(len(s) == s[-1] - s[0] + 1 for s in spans)
    full_line = part.ndim > 1 and any(len(s) == n > 1 for s, n in zip(spans, part.shape, strict=True))
    most = 2 * part.sum() > part.size  # of such a claim "right but for" would be the wrong word
    block = bool(is_box) and not most and bool(full_line or part.sum() > _few_limit(part.size))
    return when(block and not factors.certain(e))


def _few_entries(e: Evidence) -> str | None:
    part = wrong_part(e)
    if part is None or part.all() or not part.any():
        return None
    few = int(part.sum()) <= (_few_limit(part.size) if e.rows is None else 16)
    return when(few and not factors.certain(e))


def _partly_zero(e: Evidence) -> str | None:
    part = wrong_part(e) if e.rows is None else None
    return when(part is not None and bool(part.any()) and not np.any(e.claim[part]))


def _precision(e: Evidence) -> str | None:
    off = np.abs(e.project(e.claim) - e.measured)
    return when(bool(np.all(off <= 1e-5 * float(np.max(np.abs(e.measured), initial=0.0)) + 5 * e.bars)))


#: The third table of the house.  First match wins, so the order runs from the most specific to the least.
SUSPECTS: tuple[Suspect, ...] = (
    Suspect("zero", "{name}'s gradient is zero, the true one is not: is a branch detached?", _zero),
    Suspect("sign", "{name}'s gradient has the opposite sign", _sign),
    Suspect("scale", "{name}'s gradient is {detail} {of} the true one: is a factor {inverse} missing?", _scale),
    Suspect("swapped-args", "{name}'s gradient belongs to another argument", _swapped),
    Suspect("transpose", "{name}'s gradient is right but transposed", places.transpose),
    Suspect(
        "permutation", "{name}'s gradient has the right entries in the wrong order (flip, roll, reshape?)", places.permutation
    ),
    Suspect("permutation", "a term of {name}'s gradient is {name} shifted to the wrong side, by {detail}", places.shifted),
    Suspect("missing-term", "{name}'s gradient is the diagonal of the true one, without its other entries", places.diagonal),
    Suspect(
        "missing-factor",
        "{name}'s gradient counts each entry off the diagonal together with its mirror image, as if one triangle moved both",
        places.doubled,
    ),
    Suspect("wrong-axis", "{name}'s gradient is summed or averaged over the wrong axis", places.wrong_axis),
    Suspect("mask", "{name}'s gradient ignores or misuses a mask, clip or threshold", _mask),
    Suspect("block", "{name}'s gradient is right but for one block (row, column, gate)", _block),
    Suspect("few-entries", "{name}'s gradient is right but for a few entries", _few_entries),
    Suspect("regulariser", "{name}'s gradient {detail}: the slope of a penalty on {name}", _regulariser),
    Suspect("dense", "{name}'s gradient should be zero: f does not move with {name} here", _still),
    Suspect("missing-term", "{name}'s gradient lacks an added term: one path of the chain rule", _missing_term),
    Suspect(
        "missing-term",
        "{name}'s gradient holds a mean, deviation or norm along {detail} constant, but {name} moves it",
        places.held,
    ),
    Suspect("missing-factor", "{name}'s gradient lacks a local factor, or has a wrong one{detail}", factors.missing_factor),
    Suspect("zero", "{name}'s gradient is zero where the true one is not: is a branch detached?", _partly_zero),
    Suspect("precision", "{name}'s gradient is right only to low precision: is there an inner cast?", _precision),
    Suspect(  # one equation, that chance may fulfil: after all that must fit every entry
        "wrong-axis",
        "{name}'s gradient has the true total in the wrong entries: a sum over the other axis, or a shift?",
        places.right_total,
    ),
    Suspect("dense", "{name}'s gradient is wrong in no recognised way", lambda e: ""),
)
