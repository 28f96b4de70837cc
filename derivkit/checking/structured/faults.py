"""The suspects on the way back from the loss: what somebody may have taken for the slopes by an array, or for one line's share.

Each row of the two tables yields faults at one place; ``flow`` holds them against all leaves at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.structured.columns import typical
from derivkit.checking.structured.flow import Fault, Flow
from derivkit.checking.structured.words import Words, listed
from derivkit.numeric.codegen.cuts import elementwise
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.graph import Definition

Floats = NDArray[np.float64]
Axes = tuple[int, ...]

#: Two measured arrays are the same to this share.
SAME = 1e-6
#: Samples are left out one by one up to so many, else the first and the last.
SAMPLES = 64
#: So many readers of an array are taken in all combinations.
READERS = 4
#: The bounds that gradients are clipped to.
BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Place:
    """An array on the way back with its measured slopes; for a line's share its ``reader``, that line's slopes, and the share."""

    flow: Flow
    words: Words
    name: Name
    slopes: Floats
    reader: Definition | None = None
    behind: Floats | None = None
    share: Floats | None = None

    @property
    def z(self) -> Floats:
        """The array itself."""
        return self.flow.value(self.name)

    @property
    def there(self) -> str:
        """The slopes by the array, in words."""
        return self.words.slope(self.name)

    def instead(self, code: str, said: str, other: Floats) -> Fault:
        """Return the fault that ``other`` stands for the slopes, or for the share of the reader."""
        right = self.slopes if self.share is None else self.share
        return Fault(code, said, self.name, other - right)


# -- the slopes of a line that is a function of one array, entry by entry -------------------------------------------------


class Factor(NamedTuple):
    """A slope that somebody may have taken for that of h(z): in words, and from z and h."""

    words: str
    slope: Callable[[Floats, Floats], Floats]
    code: str = "missing-factor"


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def _softmax(z: Floats, axes: int | Axes | None = -1) -> Floats:
    e = np.exp(z - np.max(z, axis=axes, keepdims=True))
    return np.asarray(e / np.sum(e, axis=axes, keepdims=True))


#: The slopes of common functions, in their argument and in their value.
FACTORS = (
    Factor("no factor", lambda z, h: np.ones(z.shape), "mask"),
    Factor("the factor 1 - {h}²", lambda z, h: 1 - h**2),
    Factor("the factor 1 - {h}", lambda z, h: 1 - h),
    Factor("the factor {h} (1 - {h})", lambda z, h: h * (1 - h)),
    Factor("the factor [{bare} > 0]", lambda z, h: np.where(z > 0, 1.0, 0.0), "mask"),
    Factor("the factor [{h} > 0]", lambda z, h: np.where(h > 0, 1.0, 0.0), "mask"),
    Factor("the factor [{bare} < 0], the mask the wrong way round,", lambda z, h: np.where(z < 0, 1.0, 0.0), "mask"),
    Factor("the factor 1 - {z}²", lambda z, h: 1 - z**2),
    Factor("the factor {z} (1 - {z})", lambda z, h: z * (1 - z)),
    Factor("the factor {h}", lambda z, h: h),
    Factor("the factor {z}", lambda z, h: z),
    Factor("the factor 1 - tanh({z})²", lambda z, h: 1 - np.tanh(z) ** 2),
    Factor("the factor σ({z}) (1 - σ({z}))", lambda z, h: _sigmoid(z) * (1 - _sigmoid(z))),
    Factor("the factor 1/(1 + {h}²)", lambda z, h: 1 / (1 + h**2)),
    Factor("the factor -{h}", lambda z, h: -h),
)


def _wrong_slope(p: Place) -> Iterator[Fault]:
    """Yield the slopes of other functions, the right one at the wrong point, and slopes of a relu that leaks."""
    if p.reader is None or p.behind is None or p.share is None or not elementwise(p.reader, p.name):
        return
    z, h, behind = p.z, p.flow.value(p.reader.name), p.behind
    z_words, h_words = p.words.of(p.name), p.words.of(p.reader.name)
    where = f"where the slope of {h_words} belongs"
    bends = _bends(p.share, behind)
    for factor in FACTORS:
        other = factor.slope(z, h)
        if not np.any(other):  # a path that is lost has its own row
            continue
        said = factor.words.format(z=_in_brackets(z_words), h=_in_brackets(h_words), bare=z_words)
        code = factor.code if bends else "missing-factor"
        yield p.instead(code, f"{{has}} {said} {where}", behind * other)
    at = p.flow.m.at(p.reader, p.name)
    step = 1e-6 * (typical(h) or 1.0)
    slope = (at(h + step) - at(h - step)) / (2 * step)
    yield p.instead("missing-factor", f"{{has}} the slope of {h_words} at {h_words}, not at {z_words},", behind * slope)
    below = np.where(z <= 0, behind, 0.0)
    leaking = f"{{has}} the slope {{other}} of {h_words} where {z_words} ≤ 0: another one belongs there"
    yield Fault("mask", leaking, p.name, np.where(z > 0, behind, 0.0) - p.share, below)


def _bends(share: Floats, behind: Floats) -> bool:
    """Return whether the slope of a line is 1 or 0 everywhere, as that of relu is."""
    passed = np.abs(share - behind) <= SAME * np.abs(behind)
    return bool(np.all(passed | (np.abs(share) <= SAME * np.abs(behind))))


def _in_brackets(text: str) -> str:
    return f"({text})" if " " in text else text


# -- what goes back through one line --------------------------------------------------------------------------------------


def _lost(p: Place) -> Iterator[Fault]:
    """Yield one reader of several left out: a path of the chain rule."""
    if p.share is not None and p.reader is not None and len(p.flow.readers(p.name)) > 1:
        said = f"{{lack}} what goes from {p.words.of(p.name)} through {p.words.of(p.reader.name)}: one path of the chain rule"
        yield p.instead("missing-term", said, np.zeros(p.slopes.shape))


def _one_path_scaled(p: Place) -> Iterator[Fault]:
    if p.share is not None and p.reader is not None and len(p.flow.readers(p.name)) > 1:
        path = f"from {p.words.of(p.name)} through {p.words.of(p.reader.name)}"
        yield Fault("scale:{factor}", f"{{has}} {{factor}} times what goes {path}", p.name, np.zeros(p.slopes.shape), p.share)


def _other_factor(p: Place) -> Iterator[Fault]:
    """Yield the share with what multiplies the array in this line forgotten, or transposed."""
    if p.reader is None or p.share is None:
        return
    for other in references(p.reader.rhs):
        value = p.flow.m.values.get(other)
        if other == p.name or value is None or np.asarray(value).dtype.kind != "f" or elementwise(p.reader, p.name):
            continue
        w, word = p.flow.value(other), p.words.of(other)
        mask = bool(np.all((w == 0) | (w == 1)))
        square = w.ndim == 2 and w.shape[0] == w.shape[1] and not np.array_equal(w, w.T)
        line = f"on the way back through {p.words.of(p.reader.name)}"
        changed: list[tuple[str, str, Floats]] = []
        if not np.all(w == 1):
            changed.append(("mask" if mask else "missing-factor", f"{{lack}} the factor {word} {line}", np.ones(w.shape)))
        if square:
            changed.append(("transpose", f"{{has}} {word} transposed {line}", w.T))
        for code, said, held in changed:
            moved = p.flow.pulled(p.reader, p.name, {other: held})
            if moved is not None:
                yield p.instead(code, said, moved)


def _softmax_slopes(p: Place) -> Iterator[Fault]:
    """Yield what is taken for the Jacobian of a softmax: its diagonal, half of it, nothing, or sums over another axis."""
    if p.reader is None or p.behind is None or p.behind.shape != p.slopes.shape:
        return
    h, g = p.flow.value(p.reader.name), p.behind
    own = next((a for a in range(h.ndim) if h.shape[a] > 1 and np.allclose(_softmax(p.z, a), h, SAME, 1e-12)), None)
    if own is None:
        return
    word = p.words.of(p.reader.name)
    yield p.instead("missing-term", f"{{has}} only the diagonal {word} (1 - {word}) of the Jacobian of {word}", g * h * (1 - h))
    yield p.instead(
        "missing-term", f"{{lack}} the subtracted sum in the Jacobian of {word}, diag({word}) - {word} {word}ᵀ", g * h
    )
    yield p.instead("missing-factor", f"{{lack}} the Jacobian of {word}", g)
    for axes in _other_axes(h.ndim, (own,)):
        said = f"{{has}} the Jacobian of {word} with its sum over {_axes(axes)}, not over axis {own}"
        yield p.instead("wrong-axis", said, h * (g - np.sum(g * h, axes, keepdims=True)))
        other = _softmax(p.z, axes)
        said = f"{{has}} the Jacobian of a softmax over {_axes(axes)}, where {word} is one over axis {own}"
        yield p.instead("wrong-axis", said, other * (g - np.sum(g * other, axes, keepdims=True)))


def _other_axes(rank: int, own: Axes) -> Iterator[Axes]:
    found = [(a,) for a in range(rank)] + ([tuple(range(rank))] if rank > 1 else [])
    yield from (a for a in found if a != own)


def _axes(axes: Axes) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else "all axes"


# -- the slopes by an array -----------------------------------------------------------------------------------------------


def _scaled(p: Place) -> Iterator[Fault]:
    said = f"{{has}} {{factor}} {{of}} the true {p.there}: is a factor {{inverse}} missing there?"
    yield Fault("scale:{factor}", said, p.name, np.zeros(p.z.shape), p.slopes)


def _several_lost(p: Place) -> Iterator[Fault]:
    """Yield several readers of an array left out: a mean and a deviation held constant, say."""
    readers = p.flow.readers(p.name)
    if not 2 < len(readers) <= READERS:
        return
    shares = {d.name: p.flow.pulled(d, p.name) for d in readers}
    for count in range(2, len(readers)):
        for some in combinations(shares, count):
            gone = [g for n in some if (g := shares[n]) is not None]
            if len(gone) == count:
                held = listed([p.words.of(n) for n in some])
                word = p.words.of(p.name)
                said = f"{{lack}} what goes from {word} through {held}: held constant, but {word} moves them"
                yield Fault("missing-term", said, p.name, -np.sum(gone, axis=0))


#: What a loss subtracts its targets from.
GUESSES: Mapping[str, Callable[[Floats], Floats]] = {"softmax": _softmax, "sigmoid": _sigmoid, "": lambda z: z}


def _targets(p: Place) -> Iterator[tuple[str, Floats]]:
    """Yield the inputs that could be targets for the array, classes as one-hot rows."""
    for i in p.flow.program.inputs:
        value, z = np.asarray(p.flow.m.values[i.name]), p.z
        if value.dtype.kind == "f" and value.shape == z.shape and i.name != p.name:
            yield str(i.name), value
        elif value.dtype.kind in "iu" and z.ndim and value.shape == z.shape[:-1] and np.all((value >= 0) & (value < z.shape[-1])):
            yield str(i.name), np.eye(z.shape[-1])[value]


def _head(p: Place) -> Iterator[Fault]:
    """Yield what is taken for guess - target where the slopes are known to be that, times a weight for each row."""
    if p.z.ndim == 0:
        return
    for (kind, guess), (target, t) in ((a, b) for a in GUESSES.items() for b in _targets(p)):
        if kind == "softmax" and not _has_classes(p):
            continue
        q = guess(p.z)
        off = q - t
        size = np.sum(off**2, -1, keepdims=True)
        weight = np.sum(p.slopes * off, -1, keepdims=True) / np.where(size > 0, size, 1.0)
        if not np.all(np.abs(p.slopes - weight * off) <= SAME * typical(p.slopes)):
            continue
        y = f"{kind}({p.words.of(p.name)})" if kind else p.words.of(p.name)
        belongs = f"where {y} - {target} belongs"
        yield p.instead("missing-term", f"{{has}} {y} {belongs}", weight * q)
        yield p.instead("missing-term", f"{{has}} -{target} {belongs}", -weight * t)
        yield p.instead("sign", f"{{has}} {y} + {target} {belongs}", weight * (q + t))
        for shift in (1, -1):
            said = f"{{has}} the target of another class, off by {shift:+d}, {belongs}"
            yield p.instead("permutation", said, weight * (q - np.roll(t, shift, -1)))
        for shift in (1, -1) if t.ndim > 1 else ():
            said = f"{{has}} the target of another sample, off by {-shift:+d}, {belongs}"
            yield p.instead("permutation", said, weight * (q - np.roll(t, shift, 0)))
        if kind == "softmax":
            yield p.instead(
                "missing-term", f"{{has}} only the diagonal of the Jacobian of softmax {belongs}", -weight * t * (1 - q)
            )
            with np.errstate(all="ignore"):
                yield p.instead("missing-factor", f"{{lack}} the Jacobian of softmax: -{target}/{y} {belongs}", -weight * t / q)
            for axes in _other_axes(t.ndim, (t.ndim - 1,)):
                other = _softmax(p.z, axes)
                said = f"{{has}} a softmax over {_axes(axes)} {belongs}"
                yield p.instead("wrong-axis", said, weight * (other - t))


def _has_classes(p: Place) -> bool:
    """Return whether the last axis could be one of classes: samples are none."""
    return p.z.ndim > 0 and p.z.shape[-1] > 1 and p.z.ndim - 1 not in p.flow.kept(p.name)


#: Factors that are put in once too often.
EXTRA: Mapping[str, Callable[[Floats], Floats]] = {
    "p (1 - p), p = softmax({z}),": lambda z: _softmax(z) * (1 - _softmax(z)),
    "σ({z}) (1 - σ({z}))": lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
    "{z} (1 - {z})": lambda z: z * (1 - z),
    "1 - tanh({z})²": lambda z: 1 - np.tanh(z) ** 2,
    "1 - {z}²": lambda z: 1 - z**2,
    "[{z} > 0]": lambda z: np.where(z > 0, 1.0, 0.0),
    "{z}": lambda z: z,
}


def _extra_factor(p: Place) -> Iterator[Fault]:
    for words, factor in EXTRA.items():
        if "softmax" in words and not _has_classes(p):
            continue
        if not np.any(other := factor(p.z)):
            continue
        said = words.format(z=_in_brackets(p.words.of(p.name)) if words == "{z}" else p.words.of(p.name))
        yield p.instead("missing-factor", f"{{has}} a factor too much in {p.there}: {said}", p.slopes * other)


def _dropped(p: Place) -> Iterator[Fault]:
    """Yield single samples left out, the mean taken over all or over the others."""
    for axis in p.flow.kept(p.name):
        count = p.z.shape[axis]
        for k in range(count - 1, -1, -1) if count <= SAMPLES else (count - 1, 0):
            rest = p.slopes.copy()
            np.moveaxis(rest, axis, 0)[k] = 0
            which = "last sample" if k == count - 1 else "first sample" if k == 0 else f"sample {k}"
            yield p.instead("missing-term", f"{{lack}} the {which} (of {count}, counted along axis {axis} of {p.there})", rest)
            if count > 1:
                said = f"{{is}} the mean over all but the {which} (of {count})"
                yield p.instead("missing-term", said, rest * (count / (count - 1)))


def _clipped(p: Place) -> Iterator[Fault]:
    counts = {1.0, *(float(p.z.shape[a]) for a in p.flow.kept(p.name))}
    top = float(np.max(np.abs(p.slopes), initial=0.0))
    for bound in BOUNDS:
        for c in sorted({bound / n for n in counts if bound / n < top}):
            said = f"{{has}} {p.there} clipped to ±{bound:g}" + ("" if c == bound else " before the mean over samples")
            yield p.instead("mask", said, np.clip(p.slopes, -c, c))


def _normalised(p: Place) -> Iterator[Fault]:
    """Yield the slopes of a normalisation over the wrong axis, or with its mean or its deviation held constant.

    Whether a later array is this one normalised is seen from its values.
    """
    z = p.z
    for d in p.flow.program.definitions:
        v = p.flow.value(d.name)
        if d.name == p.name or v.shape != z.shape or z.ndim == 0 or z.size < 3:
            continue
        for axis in range(z.ndim):
            centred = z - z.mean(axis, keepdims=True)
            size = np.sum(v * v, axis, keepdims=True)
            spread = np.sum(centred * v, axis, keepdims=True) / np.where(size > 0, size, 1.0)
            if z.shape[axis] < 3 or not np.all(spread > 0) or not np.allclose(centred, spread * v, SAME, 1e-9 * typical(z)):
                continue
            if not 0.5 < float(np.mean(v * v)) < 1 + SAME:
                continue  # less its mean only
            g = p.flow.slopes(d.name)
            if g is None:
                continue
            word = p.words.of(p.name)
            for other in _other_axes(z.ndim, (axis,)):
                means = [np.mean(a, other, keepdims=True) for a in (g, g * v)]
                said = f"{{has}} the means in the slope of the normalised {word} over {_axes(other)}, not over axis {axis}"
                yield p.instead("wrong-axis", said, (g - means[0] - v * means[1]) / spread)
            means = [np.mean(a, axis, keepdims=True) for a in (g, g * v)]
            held = f"constant along axis {axis}, but {word} moves"
            yield p.instead("missing-term", f"{{hold}} the mean and the deviation of {word} {held} them", g / spread)
            yield p.instead("missing-term", f"{{hold}} the deviation of {word} {held} it", (g - means[0]) / spread)
            yield p.instead("missing-term", f"{{hold}} the mean of {word} {held} it", (g - v * means[1]) / spread)
            break


#: Suspects at the slopes of an array, and at what one line that reads it gives: the more telling ones first.
AT_ARRAYS = (_scaled, _head, _normalised, _extra_factor, _several_lost, _dropped, _clipped)
AT_LINES = (_lost, _wrong_slope, _softmax_slopes, _other_factor, _one_path_scaled)


def faults(flow: Flow, words: Words) -> Iterator[Fault]:
    """Yield every suspect, those nearest to the loss first."""
    names = [d.name for d in reversed(flow.program.definitions)]
    leaves = [flow.leaves[j.name] for j in flow.backwards(flow.judged) if np.any(j.wrong)]
    wrong = [j for j in flow.judged if np.any(j.wrong)]
    for name in (*names, *leaves):
        if not any(flow.reaches(name, j) for j in wrong) or (slopes := flow.slopes(name)) is None:
            continue
        place = Place(flow, words, name, slopes)
        for suspect in AT_ARRAYS:
            yield from suspect(place)
        for reader in flow.readers(name):
            behind, share = flow.slopes(reader.name), flow.pulled(reader, name)
            if behind is not None and share is not None:
                line = Place(flow, words, name, slopes, reader, behind, share)
                for suspect in AT_LINES:
                    yield from suspect(line)
