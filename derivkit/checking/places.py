"""Suspects about places: the right numbers stand in the wrong entries, or only in some."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations, product

import numpy as np

from derivkit.checking.measured import Evidence, Floats, fit, lone, when

AXES = 4  # axes of which every order is tried
FARTHEST = 3  # places that a term is looked for beside its own
PLAIN = 10  # so many times what is allowed must entries be off, to be in each other's places
SPARE = 2  # measurements that a fit must leave over, so that it cannot fit anything


def transpose(e: Evidence) -> str | None:
    """Return whether the truth is the claim transposed."""
    shape = e.claim.shape
    return when(len(shape) == 2 and shape[0] == shape[1] and not lone(e) and e.agrees(e.claim.T))


def permutation(e: Evidence) -> str | None:
    """Return whether the truth has the entries of the claim in another order."""
    known = e.allowed() <= 0.1 * np.max(np.abs(e.measured), initial=0.0)
    if lone(e) or 2 * int(np.sum(known)) <= known.size:  # what is not known fits in any order
        return None
    for reordered in _reorderings(e.claim):
        if e.agrees(reordered):
            return ""
    if e.rows is None and e.claim.size > 1:
        allowed = float(np.max(e.allowed()))
        off = np.abs(e.claim.ravel() - e.measured)
        if float(np.median(off[e.misses().ravel()])) <= PLAIN * allowed:
            return None  # what differs by little more than is allowed is in the same order anyway
        return when(bool(np.all(np.abs(np.sort(e.claim.ravel()) - np.sort(e.measured)) <= allowed)))
    return None


def _reorderings(claim: Floats) -> Iterator[Floats]:
    for axis in range(claim.ndim):
        yield np.flip(claim, axis)
        for shift in {1, -1, claim.shape[axis] // 2}:
            yield np.roll(claim, shift, axis)
    if claim.ndim > 1:
        yield claim.ravel(order="F").reshape(claim.shape)
        yield claim.ravel().reshape(claim.shape, order="F")
        yield np.flip(claim)


def shifted(e: Evidence) -> str | None:
    """Return how far a term of the claim, the argument itself, stands beside its place: zeros may go in at the ends."""
    x = e.point
    if x.shape != e.claim.shape or lone(e):
        return None
    for axis, n in enumerate(x.shape):
        for places in range(1, min(FARTHEST, n - 1) + 1):
            terms = shifts(x, axis, places)
            if any(fit(e, [a - b], SPARE) is not None for a, b in combinations(terms, 2) if np.any(a != b)):
                along = f" along axis {axis}" if x.ndim > 1 else ""
                return f"{places} place{'s' if places > 1 else ''}{along}"
    return None


def shifts(x: Floats, axis: int, places: int) -> list[Floats]:
    """Return x moved both ways round the end, and each of the parts x[1:] and x[:-1] with zeros before and behind it."""
    found = [np.roll(x, places, axis), np.roll(x, -places, axis)]
    zeros = np.zeros_like(np.take(x, range(places), axis))
    for part in np.split(x, [places], axis)[1], np.split(x, [x.shape[axis] - places], axis)[0]:
        found += [np.concatenate([zeros, part], axis), np.concatenate([part, zeros], axis)]
    return found


def diagonal(e: Evidence) -> str | None:
    """Return whether the claim, read as a square, is right on its diagonal and zero beside it."""
    side = int(np.prod(e.claim.shape[: e.claim.ndim // 2]))
    if e.rows is not None or side < 2 or side * side != e.claim.size:
        return None
    off = ~np.eye(side, dtype=np.bool_).ravel()
    claim = e.claim.ravel()
    right = np.abs(claim - e.measured) <= e.allowed()
    return when(not np.any(claim[off]) and bool(np.all(right[~off])) and bool(np.any(claim)))


def doubled(e: Evidence) -> str | None:
    """Return whether a claim for a square is T + Tᵀ with the diagonal once: the derivative by the entries of one triangle."""
    g = e.claim
    if g.ndim != 2 or g.shape[0] != g.shape[1] or len(g) < 2 or lone(e):
        return None
    symmetric = (g + np.diag(np.diagonal(g))) / 2
    if e.rows is not None:
        return when(e.agrees(symmetric))
    halves = [half for half in (np.tril, np.triu) if np.array_equal(half(g), g)]
    truth = e.measured.reshape(g.shape)
    made = truth + truth.T - np.diag(np.diagonal(truth))
    made = halves[0](made) if len(halves) == 1 else made
    return when(bool(np.all(np.abs(made - g).ravel() <= 2 * np.maximum(e.allowed(), e.allowed().reshape(g.shape).T.ravel()))))


def wrong_axis(e: Evidence) -> str | None:
    """Return whether the claim sums or averages a matrix of at least three entries along one of its axes."""
    if e.rows is not None or e.claim.size < 3:
        return None
    truth = e.measured.reshape(e.claim.shape)
    allowed = float(np.max(e.allowed()))
    for axis in range(e.claim.ndim if e.claim.ndim > 1 else 0):
        for reduced in (truth.sum(axis, keepdims=True), truth.mean(axis, keepdims=True)):
            if np.all(np.abs(e.claim - reduced) <= allowed * e.claim.shape[axis]):
                return ""
    return None


def right_total(e: Evidence) -> str | None:
    """Return whether a vector has the true total: a matrix was summed over its other axis, or terms stand beside their place.

    The total alone cannot tell which: no matrix is known here.
    """
    if e.rows is not None or e.claim.size < 3 or e.claim.ndim != 1:
        return None
    truth = e.measured
    total, mass = abs(float(np.sum(truth))), float(np.sum(np.abs(truth)))
    moved = int(np.count_nonzero(e.misses()))
    same_total = abs(float(np.sum(e.claim)) - float(np.sum(truth))) <= float(np.sum(e.bars)) + 1e-9 * mass
    return when(moved > 2 and total > 1e-3 * mass and same_total)


def held(e: Evidence) -> str | None:
    """Return the axis along which a mean and a spread of the argument were held constant.

    A mean moves with all entries alike, a variance or a norm with the entries themselves: along each line the truth and the
    claim differ by a multiple of 1 and one of x.
    """
    x, g = e.point, e.claim
    if x.shape != g.shape or not np.any(x):
        return None
    lines: list[tuple[int, ...]] = [(axis,) for axis in range(x.ndim)]
    lines += [tuple(range(k, x.ndim)) for k in range(x.ndim - 1)]  # a layer's statistics
    lines += [tuple(a for a in range(x.ndim) if a != k) for k in range(x.ndim) if x.ndim > 2]  # a channel's
    explains = _spanned if e.rows is None else _projected
    found = next((a for a in lines if _spare(x.shape, a) >= SPARE and explains(e, a)), None)
    return None if found is None else f"axis {found[0]}" if len(found) == 1 else f"axes {found}"


def _spare(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """Return how many entries two multiples for each line leave over; lines of two leave nothing, however many there are."""
    along, size = int(np.prod([shape[k] for k in axes])), int(np.prod(shape))
    return size - 2 * (size // along) if along > 2 else 0


def _spanned(e: Evidence, axes: tuple[int, ...]) -> bool:
    """Say whether truth and claim differ by multiples of 1 and x, others for each line."""
    rest, weights = e.measured.reshape(e.claim.shape) - e.claim, e.weights().reshape(e.claim.shape) ** 2
    total = weights.sum(axes, keepdims=True)
    mean = (weights * rest).sum(axes, keepdims=True) / total
    centred = e.point - (weights * e.point).sum(axes, keepdims=True) / total
    square = (weights * centred**2).sum(axes, keepdims=True)
    slope = (weights * centred * (rest - mean)).sum(axes, keepdims=True) / np.where(square > 0, square, 1.0)
    return e.agrees(e.claim + mean + slope * centred)


def _projected(e: Evidence, axes: tuple[int, ...]) -> bool:
    """Say the same of a leaf measured along few directions: with the multiples that a plain mean and deviation have."""
    mean = np.broadcast_to(e.claim.mean(axes, keepdims=True), e.claim.shape)
    scaled = _along(e.point, e.claim - mean, axes)
    return fit(e, [scaled, mean], SPARE) is not None or fit(e, [scaled], SPARE) is not None


def _along(x: Floats, g: Floats, axes: tuple[int, ...]) -> Floats:
    """Return the part of ``g`` along x less its mean."""
    centred = x - x.mean(axes, keepdims=True)
    weight = np.sum(centred**2, axes, keepdims=True)
    part = centred * np.sum(centred * g, axes, keepdims=True) / np.where(weight > 0, weight, 1.0)
    return np.asarray(part, dtype=np.float64)


def explains_shape(came: Floats, shape: tuple[int, ...]) -> Iterator[tuple[str, str, Floats]]:
    """Yield ``(code, sentence, array)``: ways in which a claim of the wrong shape would be right after all.

    >>> [code for code, _, _ in explains_shape(np.ones((2, 3)), (3, 2))]
    ['transpose', 'shape']
    """
    if came.ndim == len(shape) <= AXES:
        for order in permutations(range(came.ndim)):
            if tuple(came.shape[axis] for axis in order) == shape:
                yield "transpose", "is right but transposed", came.transpose(order)
    extra = came.ndim - len(shape)
    for axes in product(range(came.ndim), repeat=extra) if extra > 0 else ():
        kept = tuple(n for axis, n in enumerate(came.shape) if axis not in axes)
        if len(set(axes)) == extra and kept == shape and any(came.shape[a] > 1 for a in axes):
            yield "wrong-axis", f"was not summed over axis {axes[0]}", came.sum(axis=axes)
    if extra >= 0:
        ones = tuple(extra + axis for axis, n in enumerate(shape) if n == 1 < came.shape[extra + axis])
        over = (*range(extra), *ones)
        if ones and tuple(n for axis, n in enumerate(came.shape) if axis not in over) == tuple(n for n in shape if n > 1):
            yield "wrong-axis", f"was not summed over axis {over[-1]}", came.sum(axis=over).reshape(shape)
    if came.size == int(np.prod(shape)):
        yield "shape", "is right but for its shape", came.reshape(shape)
