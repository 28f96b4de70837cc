"""What was done to a wrong claim: a table of causes, each a hypothesis that must explain every point.

The first rows look at the numbers (another layout, a sign, a factor 1/N, another variable, a missing declaration).  The next
change one place of the derivative or of the claim: a term or factor dropped, a sign turned, a name or two subscripts
exchanged; what then agrees names the cause and the place.  What is left goes to the suspects of gradient checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.diagnose import diagnose
from derivkit.checking.measured import Evidence
from derivkit.checking.verify.edits import Edit, edits
from derivkit.checking.verify.samples import KIND_WORDS, Axes, Case, Sample, close, each, evaluated, sampled, telling
from derivkit.checking.verify.slips import constant, doubled, unflipped
from derivkit.errors import DerivkitError
from derivkit.layout import LAYOUTS, axis_order
from derivkit.symbolic.derive import derive
from derivkit.symbolic.derive.differentiate import local_slope
from derivkit.symbolic.expr import Expr, Fn, Ref, Sum, walk
from derivkit.symbolic.graph import Input
from derivkit.symbolic.index import ONE, Size
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.page import ranks
from derivkit.symbolic.steps import Result

Array = NDArray[Any]
Cause = tuple[str, str]  # (code or code:detail, sentence)


@dataclass(frozen=True, slots=True)
class Row:
    """One cause: its code, what is true of the claim, and the hypothesis, which returns the cause where it explains all."""

    code: str
    meaning: str
    hypothesis: Callable[[Case], Cause | None]


def cause(case: Case) -> Cause:
    """Return ``(code or code:detail, sentence)`` of the first row that explains the case."""
    found = (row.hypothesis(case) for row in ROWS)
    return next(f for f in found if f is not None)


def _same_shapes(case: Case) -> bool:
    return all(a.shape == b.shape for a, b in each(case))


def _everywhere(case: Case, changed: Callable[[Array], Array]) -> bool:
    return all(close(changed(claim), truth) for claim, truth in each(case))


# -- the numbers -------------------------------------------------------------------------------------------------------------


def _layout(case: Case) -> Cause | None:
    outputs, inputs = len(case.result.outputs), len(case.result.inputs)
    back = np.argsort(axis_order(case.layout, outputs, inputs))
    for other in LAYOUTS:
        order = axis_order(other, outputs, inputs)
        if all(close(claim, np.transpose(np.transpose(truth, back), order)) for claim, truth in each(case)):
            told = f"is the derivative in {other} layout: the transpose of what {case.layout} layout asks for"
            return "transpose", told
    return None


def _transposed(case: Case) -> Cause | None:
    rank = case.samples[0].claim.ndim
    if rank != case.samples[0].truth.ndim:
        return None
    for order in permutations(range(rank)) if 1 < rank < 5 else ():
        if _everywhere(case, lambda a, order=order: np.transpose(a, order)):  # type: ignore[misc]
            return "transpose", "is right but transposed"
    return None


def _shape(case: Case) -> Cause | None:
    if _same_shapes(case):
        return None
    shape, wanted = (", ".join("1" if a is None else str(a.size) for a in axes) for axes in (case.formula.axes, case.axes))
    told = (
        f"{f'has shape ({shape})' if shape else 'is a scalar'}, the derivative {f'has shape ({wanted})' if wanted else 'is one'}"
    )
    if all(_diagonal(claim, truth) for claim, truth in each(case)):
        return "diagonal", "is the diagonal of the derivative, whose other entries are not claimed"
    for axis in range(case.samples[0].claim.ndim):
        if _everywhere(case, lambda a, axis=axis: a.sum(axis)):  # type: ignore[misc]
            return "missing-sum", f"is not summed over axis {axis}: it {told}"
    if all(_broadcasts(claim, truth) for claim, truth in each(case)):
        return "shape", f"is right in every entry, but {told}"
    for axis in range(case.samples[0].truth.ndim):
        if all(close(claim, truth.sum(axis)) for claim, truth in each(case)):
            return "wrong-axis", f"is summed over axis {axis}, which the derivative has: it {told}"
    other = _variable("user", "anon")(case)
    return ("shape", told) if other is None else other


def _diagonal(claim: Array, truth: Array) -> bool:
    return truth.ndim == 2 and truth.shape[0] == truth.shape[1] and close(claim, np.diagonal(truth))


def _broadcasts(claim: Array, truth: Array) -> bool:
    try:
        return close(np.broadcast_to(claim, truth.shape), truth)
    except ValueError:
        return False


def _zero(case: Case) -> Cause | None:
    if all(not np.any(claim) for claim, _ in each(case)):
        return "zero", "is zero, the derivative is not"
    return None


def _sign(case: Case) -> Cause | None:
    return ("sign", "has the opposite sign") if _everywhere(case, lambda a: -a) else None


def _ratios(case: Case) -> list[float] | None:
    """Return claim / truth at every point, ``None`` where it is not one number."""
    found = []
    for claim, truth in each(case):
        if not np.all(np.isfinite(claim)):
            return None
        norm = float(np.sum(truth * truth))
        if not norm:
            if np.any(claim):
                return None
            found.append(float("nan"))
            continue
        ratio = float(np.sum(claim * truth)) / norm
        if not ratio or not close(claim, ratio * truth):
            return None
        found.append(ratio)
    return None if all(np.isnan(r) for r in found) else found


def _constant(values: list[float]) -> float | None:
    known = [v for v in values if not np.isnan(v)]
    return known[0] if known and max(abs(v / known[0] - 1) for v in known) < 1e-9 else None


def _scale(case: Case) -> Cause | None:
    ratios = _ratios(case)
    if ratios is None:
        return None
    plain = _constant(ratios)
    if plain is not None and len({tuple(s.sizes.items()) for s in case.samples}) > bool(case.samples[0].sizes):
        number = Fraction(plain).limit_denominator(1000)
        shown = f"{float(number):.10g}" if abs(float(number) / plain - 1) < 1e-9 else f"{plain:.10g}"
        return f"scale:{shown}", f"is {shown} times the derivative: is a factor {1 / plain:.6g} missing?"
    names = list(case.samples[0].sizes)
    for powers in sorted(product((0, -1, 1, -2, 2), repeat=len(names)), key=lambda p: sum(map(abs, p)))[1:200]:
        scales = [float(np.prod([float(s.sizes[n]) ** p for n, p in zip(names, powers, strict=True)])) for s in case.samples]
        left = _constant([r / s for r, s in zip(ratios, scales, strict=True)])
        if left is not None:
            detail = _monomial(left, names, powers)
            mean = "a mean where a sum is meant" if sum(powers) < 0 else "a sum where a mean is meant"
            return f"scale:{detail}", f"is {detail} times the derivative: {mean}"
    return None


def _monomial(number: float, names: list[str], powers: tuple[int, ...]) -> str:
    above = [n for n, p in zip(names, powers, strict=True) for _ in range(max(0, p))]
    below = [n for n, p in zip(names, powers, strict=True) for _ in range(max(0, -p))]
    lead = [] if abs(number - 1) < 1e-9 else [f"{number:.10g}"]
    return "*".join([*lead, *above] or ["1"]) + "".join(f"/{n}" for n in below)


def _variable(*kinds: str) -> Callable[[Case], Cause | None]:
    """Return the hypothesis that a claim belongs to another name, of one of the ``kinds`` of names."""

    def hypothesis(case: Case) -> Cause | None:
        for name, other in _others(case, kinds).items():
            if all(close(s.claim, _value(case, other, s)) for s in case.samples):
                return f"wrong-variable:{name}", f"is the derivative with respect to {name}: wrt='{name}' asks for that"
        return None

    return hypothesis


def _others(case: Case, kinds: tuple[str, ...]) -> Mapping[str, Result]:
    """Return the derivatives with respect to the other names whose shape is that of the claim."""
    if case.derivation.kind not in ("gradient", "jacobian"):
        return {}
    graph, wanted = case.result.graph, tuple(ONE if a is None else a.size for a in case.formula.axes)
    shapes = {n: i.shape for n, i in graph.inputs.items() if i.kind != "label"} | {d.name: d.shape for d in graph}
    out = shapes.pop(graph.output)
    known = [str(n) for n, s in shapes.items() if n.kind in kinds and n != case.result.wrt and _fits(wanted, (*out, *s))]
    try:
        return derive(case.derivation.primal, wrt=known, kind=case.derivation.kind, check=False).results if known else {}
    except DerivkitError:
        return {}


def _fits(one: tuple[Size, ...], other: tuple[Size, ...]) -> bool:
    return sorted(map(str, one)) == sorted(map(str, other))


def _value(case: Case, result: Result, s: Sample) -> Array:
    order = axis_order(case.layout, len(result.outputs), len(result.inputs))
    env = dict(s.env)
    for d in result.shared:
        env[d.name] = evaluated(d.best, d.indices, env, s.sizes, s.truth)
    return np.transpose(
        evaluated(result.expr, (*result.outputs, *result.inputs), env, s.sizes, np.zeros(len(order) * (0,))), order
    )


def _declaration(*kinds: str) -> Callable[[Case], Cause | None]:
    """Return the hypothesis that an input lacks a declaration, one of ``kinds``."""

    def hypothesis(case: Case) -> Cause | None:
        real = [i for i in case.result.graph.inputs.values() if i.kind == "real"]
        for given, kind in product(real, kinds):
            if given.name == case.result.wrt and kind != "positive":
                continue  # it is moved: a declaration would not say where to
            if (kind != "positive" and not given.shape) or (kind == "symmetric" and not _is_square(given)):
                continue
            if _right_under(case, given, kind):
                told = f"would be right if {given.name} were declared {kind}: {given.name} is not declared {KIND_WORDS[kind]}"
                return f"declaration:{given.name}: {kind}", told
        return None

    return hypothesis


def _total(case: Case) -> Cause | None:
    """Return the input whose Σ stands in the derivative and is taken for 1 in the claim."""
    sums = [n.body.name for n in walk(case.result.expr) if isinstance(n, Sum) and isinstance(n.body, Ref)]
    for given in case.result.graph.inputs.values():
        if given.kind == "real" and given.shape and given.name in sums and _right_under(case, given, "simplex"):
            told = f"would be right if {given.name} were declared onehot or simplex: {given.name} is not declared one-hot"
            return f"declaration:{given.name}: onehot", told
    return None


def _right_under(case: Case, given: Input, kind: str) -> bool:
    samples = sampled(case.result, case.formula, case.layout, 1, {given.name: kind})
    return telling(samples) and all(close(s.claim, s.truth) for s in samples)


def _is_square(given: Input) -> bool:
    return len(given.shape) > 1 and given.shape[-1] == given.shape[-2]


# -- one place -----------------------------------------------------------------------------------------------------------------


def _edited(case: Case) -> Cause | None:
    """Return the edit of one place that leads from the derivative to the claim, or back."""
    shown = Notation("program", Letters.of(case.formula.graph), ranks(case.formula.graph))
    forward = ((e, e.lost, case.axes, True) for e in edits(case.result.expr, case.formula.graph))
    back = ((e, e.extra, case.formula.axes, False) for e in edits(case.formula.expr, case.formula.graph))
    for edit, (code, sentence), axes, is_claim in chain(forward, back):
        said = (_explains(edit, axes, s, is_claim) for s in _first_wrong(case))
        if next(said) and False not in said:
            return code, _told(case, edit, code, sentence, shown)
    return None


def _told(case: Case, edit: Edit, code: str, sentence: str, shown: Callable[[Expr], str]) -> str:
    """Return the sentence on an edit: what it names repairs the claim as a whole, or it is said in which part it stands."""
    place = edit.place
    if code == "missing-term" and edit.whole is not None and _repairs(case, edit.whole, None):
        return sentence.format(place=shown(edit.whole))
    repair = _REPAIRS.get(sentence)
    in_part = code == "missing-term" or (repair is not None and not _repairs(case, place, repair))
    part = edit.node if in_part and edit.node is not place else None
    return sentence.format(place=shown(place)) + ("" if part is None else f" in {shown(part)}")


#: What to do with what a sentence names, so that a claim becomes right.
_REPAIRS = {
    "lacks the factor {place}": np.multiply,
    "lacks a factor {place}": np.multiply,
    "has the factor {place} twice": np.divide,
    "has the factor {place} too much": np.divide,
}


def _repairs(case: Case, part: Expr, operation: Callable[[Array, Array], Array] | None) -> bool:
    """Return whether the claim is right once ``part`` is multiplied with it, or divided out, or (``None``) added to it."""
    axes = case.axes
    if not part.free <= {axis for axis in axes if axis is not None}:
        return False
    with np.errstate(all="ignore"):
        parts = ((evaluated(part, axes, s.env, s.sizes, s.truth), s) for s in case.samples)
        both = ((p, s.truth - s.claim) if operation is None else (operation(s.claim, p), s.truth) for p, s in parts)
        return all(close(a, b) for a, b in both)


def _first_wrong(case: Case) -> list[Sample]:
    """Return the points with the one that tells most first."""
    return sorted(case.samples, key=lambda s: (close(s.claim, s.truth), not np.all(np.isfinite(s.claim))))


def _explains(edit: Edit, axes: Axes, s: Sample, is_claim: bool) -> bool | None:
    """Return whether an edit explains one point; ``None`` where neither side has a value."""
    made, wanted = evaluated(edit.expr, axes, s.env, s.sizes, s.truth), s.claim if is_claim else s.truth
    if not np.all(np.isfinite(made)) and not np.all(np.isfinite(wanted)):
        return None
    return close(made, wanted)


def _slope(case: Case) -> Cause | None:
    """Return a local derivative, or a name, that is a factor of one side alone."""
    graph = case.result.graph
    slopes: list[tuple[Expr, Axes]] = []
    for d in graph:
        if isinstance(d.rhs, Fn):
            slopes += [(local_slope(d.rhs, n, d.ref()), d.indices) for n in range(len(d.rhs.args))]
        slopes.append((d.ref(), d.indices))
    shown = Notation("program", Letters.of(graph), ranks(graph))
    for slope, axes in slopes:
        for place in range(len(case.axes) - len(axes) + 1):
            after = len(case.axes) - len(axes) - place
            if all(_is_factor(slope, axes, after, s) for s in case.samples):
                return "missing-factor", f"lacks the factor {shown(slope)}"
            if all(_is_factor(slope, axes, after, s, inverse=True) for s in case.samples):
                return "extra-factor", f"has the factor {shown(slope)}, which the derivative has not"
    return None


def _is_factor(slope: Expr, axes: Axes, after: int, s: Sample, inverse: bool = False) -> bool:
    factor = evaluated(slope, axes, s.env, s.sizes, s.truth)
    factor = factor.reshape((*factor.shape, *(1,) * after))
    try:
        left, right = (s.truth * factor, s.claim) if inverse else (s.claim * factor, s.truth)
    except ValueError:
        return False
    return left.shape == right.shape and close(left, right)


# -- the suspects of gradient checks -------------------------------------------------------------------------------------------

#: Codes that say something of one point only, and are decided above.
_OF_ALL_POINTS = frozenset({"sign", "scale", "zero", "swapped-args", "transpose", "precision"})


def _suspect(case: Case) -> Cause:
    wrong = [s for s in case.samples if not close(s.claim, s.truth)]
    if any(not np.all(np.isfinite(s.claim)) for s in wrong):
        return "non-finite", "has no finite value where the derivative has one"
    large = sorted(wrong, key=lambda s: -s.truth.size)[:2]
    found = [diagnose(_evidence(case, s)) for s in large]
    code = found[0][0] if found else "dense"
    if code.partition(":")[0] in _OF_ALL_POINTS or any(c != code for c, _ in found) or code == "dense":
        return "dense", "is wrong in no recognised way"
    return found[0][0], found[0][1]


def _evidence(case: Case, s: Sample) -> Evidence:
    claim, truth = np.asarray(s.claim, dtype=float), np.asarray(s.truth, dtype=float)
    at = np.asarray(s.env[case.result.wrt], dtype=float)
    point = at if at.shape == claim.shape else np.empty(0)
    bars = np.full(truth.size, 1e-12 * float(np.max(np.abs(truth), initial=0.0)))
    wrong = np.abs(claim - truth) > 1e-9 * float(np.max(np.abs(truth), initial=1e-300))
    name = str(case.result.wrt)
    return Evidence(name, 0, claim, point, None, truth.ravel(), bars, (), lambda mask: bool(np.any(wrong & mask)))


#: First match wins: the order runs from the whole to its parts, and from the certain to the vague.  Rows behind "has another
#: shape", which takes all such claims, have two sides of one shape.
ROWS: tuple[Row, ...] = (
    Row("transpose", "is the derivative in another layout", _layout),
    Row("transpose", "has its axes in another order", _transposed),
    Row("shape", "has another shape: a diagonal, an axis not summed, a scalar", _shape),
    Row("zero", "is zero", _zero),
    Row("sign", "has the opposite sign", _sign),
    Row("scale", "is a constant, or a power of sizes, times the derivative", _scale),
    Row("wrong-variable", "is the derivative with respect to another name", _variable("user")),
    Row("declaration", "takes a sum for 1", _total),
    Row("declaration", "would be right for a symmetric matrix", _declaration("symmetric")),
    Row("doubled-off-diagonal", "counts the entries off the diagonal twice", doubled),
    Row("flip", "reads an array the wrong way round", unflipped),
    Row("missing-term", "differs in one place: a term, a factor, a sign, a power, a name, two subscripts", _edited),
    Row("missing-factor", "differs by a local derivative", _slope),
    Row("held-constant", "takes a line of the program for a constant", constant),
    Row("wrong-variable", "is the derivative with respect to a name between the lines", _variable("anon")),
    Row("declaration", "would be right under a declaration", _declaration("simplex", "onehot", "positive", "mask")),
    Row("dense", "is what the suspects of a gradient check say", _suspect),
)
