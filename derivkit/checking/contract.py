"""What any claimed derivative must keep before it is measured: repeatable, leaves its inputs alone, fits, is linear."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from derivkit.checking.problem import SMALL, Array, Finding, Floats, Point, Problem, Task, call, output_of, unalarmed
from derivkit.checking.shapes import explained
from derivkit.checking.trees import Misfit, claimed, rebuild, same
from derivkit.errors import DerivkitError
from derivkit.numeric.finite_difference import scales

#: A pullback of low precision inside is off by less than this share, and its cast is a better cause than what the cast does.
CAST = 1e-5
CROOKED = Finding("cotangent", "the pullback is not linear in its cotangent")


def contract(task: Task, point: Point) -> Problem | Finding:
    """Call both functions as a user would, and hold them to what any gradient must keep: then there is a Problem."""
    first = rebuild(task.args, task.leaves, point)
    task.calls.one_more()
    output = output_of(task, call(task, "f", task.f, *first)).copy()
    if not same(first, rebuild(task.args, task.leaves, point)):
        return Finding("mutates-input", "f changes its arguments")
    if not np.all(np.isfinite(output)):
        raise DerivkitError("f is not finite at the point: nothing can be measured there", code="DK050")
    rng = np.random.default_rng(task.seed)
    cotangent = np.ones(output.shape, output.dtype)
    if task.kind != "gradient":
        cotangent = (rng.choice([-1.0, 1.0], output.shape) * rng.uniform(0.5, 1.5, output.shape)).astype(output.dtype)
    weights = cotangent.astype(np.float64)
    value = scalar(task, weights)
    base = float(np.sum(weights * output))
    unit = float(np.finfo(output.dtype).eps)
    if task.kind == "jvp":
        if (finding := _moody(output, lambda: _f_again(task, point))) is not None:
            return finding
        return contract_jvp(task, Problem(value, lambda moved: 0.0, point, None, base, unit, output, cotangent, unit))
    claims = _claims(task, point, cotangent, output)
    if isinstance(claims, Finding):
        return claims
    bent = _bent(task, point, cotangent, claims) if task.kind == "vjp" else 0.0
    if isinstance(bent, Finding) or not bent <= CAST:
        return bent if isinstance(bent, Finding) else CROOKED
    coarsest = max([unit] + [float(np.finfo(c.dtype).eps) for c in claims if c is not None and c.dtype.kind == "f"])
    numbers = tuple(None if c is None else _contracted(task, c, weights) for c in claims)
    rows = tuple(claims) if task.kind == "jacobian" else ()
    problem = Problem(value, lambda moved: 0.0, point, numbers, base, coarsest, output, cotangent, coarsest, rows, bent=bent > 0)
    return _with_claims(problem)


def scalar(task: Task, weights: Floats) -> Callable[[Point], float]:
    """Return F = ⟨weights, f⟩ as a function of the leaves: NaN wherever f cannot be evaluated."""

    def value(reached: Point) -> float:
        task.calls.one_more()
        try:
            with np.errstate(all="ignore"):
                result = output_of(task, unalarmed(task.f, *rebuild(task.args, task.leaves, reached)))
        except Exception:  # outside f's domain there is nothing to measure, whatever f says about it
            return math.nan
        return float(np.sum(weights * result)) if result.shape == weights.shape else math.nan

    return value


def _with_claims(problem: Problem) -> Problem:
    claims = problem.claims or ()

    def predict(moved: Point) -> float:
        return float(sum(float(np.sum(c * m)) for c, m in zip(claims, moved, strict=True) if c is not None))

    return replace(problem, predict=predict)


def _contracted(task: Task, claim: Array, weights: Floats) -> Floats:
    numbers = claim.astype(np.float64)
    return np.tensordot(weights, numbers, axes=weights.ndim) if task.kind == "jacobian" else numbers


def _moody(output: Array, again: Callable[[], Array]) -> Finding | None:
    """Return why f gives another value when it is called again, if it does."""
    repeat = repeats(output, again, 64 * float(np.finfo(output.dtype).eps))
    why = "it depends on earlier calls" if repeat == "stateful" else "it is random"
    return None if repeat is None else Finding(repeat, f"f gives another value when called again: {why}")


def _f_again(task: Task, point: Point) -> Array:
    task.calls.one_more()
    return output_of(task, call(task, "f", task.f, *rebuild(task.args, task.leaves, point))).copy()


def repeats(first: Array, again: Callable[[], Array], loose: float) -> str | None:
    """Return why a repeated result differs: "stateful" if it drifts or settles, "nondeterministic" if it jumps about.

    One repetition is enough for what is the same; two more tell why it is not.
    """
    second = again()
    if _close(first, second, loose):
        return None
    values = [first, second, again(), again()]
    size = max(float(np.max(np.abs(v), initial=0.0)) for v in values)
    steps = [b.astype(np.float64) - a for a, b in pairwise(values)]
    steady = np.allclose(steps[-1], steps[-2], rtol=1e-6, atol=loose * size)
    ratios = [float(np.linalg.norm(b)) / max(float(np.linalg.norm(a)), 1e-300) for a, b in pairwise(steps)]
    return "stateful" if steady or abs(ratios[-1] - ratios[0]) <= 1e-6 * abs(ratios[0]) else "nondeterministic"


def _close(a: Array, b: Array, loose: float) -> bool:
    size = max(float(np.max(np.abs(v), initial=0.0)) for v in (a, b))
    wide = np.result_type(a, b, np.float64)  # float16 would overflow, float64 would round a longdouble
    return bool(np.all(np.abs(b.astype(wide) - a.astype(wide)) <= loose * size))


def _claims(task: Task, point: Point, cotangent: Array, output: Array) -> list[Array | None] | Finding:
    """Call the claimed derivative often enough to see what it does to its inputs, to its outputs, and by itself."""
    outer = output.shape if task.kind == "jacobian" else ()
    raw, fitted = _claim_once(task, point, cotangent, outer)
    if isinstance(fitted, Finding):
        return fitted
    kept = [None if c is None else c.copy() for c in fitted]
    nearby = tuple((p.astype(np.float64) + 0.01 * scales(p.astype(np.float64))).astype(p.dtype) for p in point)
    with suppress(DerivkitError):  # another point: a result that lives in a reused buffer changes under our hands
        _claim_once(replace(task, errstate={}), nearby, -2.5 * cotangent, outer)
    after = claimed(raw, task.args, task.leaves, outer)
    if isinstance(after, Misfit) or not all(_equal(a, b) for a, b in zip(kept, after, strict=True)):
        return Finding("aliasing", "the gradient returns a buffer that its next call overwrites")

    values: list[Array] = []  # f is called before the gradient, as by its users, so its own repetition costs nothing more

    def again() -> Array:
        values.append(_f_again(task, point))
        _, repeated = _claim_once(task, point, cotangent, outer)
        return np.full(flat.shape, math.nan) if isinstance(repeated, Finding) else _flat(repeated)

    flat = _flat(kept)
    loose = _loose(kept)
    repeat = repeats(flat, again, max(loose, 1e-14))
    if (finding := _moody(output, lambda: values.pop(0) if values else _f_again(task, point))) is not None:
        return finding
    if repeat is not None:
        why = "it depends on earlier calls" if repeat == "stateful" else "it is random"
        return Finding(repeat, f"the gradient gives another result when called again: {why}")
    if (finding := _layout(task, point, cotangent, outer, flat, max(loose, 1e-14))) is not None:
        return finding
    return kept


def _bent(task: Task, point: Point, cotangent: Array, claims: list[Array | None]) -> Finding | float:
    """Return by which share of its largest entry a pullback of -2.5 cotangents is not -2.5 pullbacks, beyond its rounding."""
    _f_again(task, point)
    _, scaled = _claim_once(task, point, (-2.5 * cotangent).astype(cotangent.dtype), ())
    if isinstance(scaled, Finding):
        return scaled
    flat = _flat(claims)
    off = float(np.max(np.abs(_flat(scaled) + 2.5 * flat), initial=0.0)) / max(float(np.max(np.abs(flat), initial=0.0)), 1e-300)
    return off if off > max(1e-9, 100 * _loose(claims)) else 0.0


def _loose(claims: Sequence[Array | None]) -> float:
    return 64 * max(float(np.finfo(c.dtype).eps) if c.dtype.kind == "f" else 0.0 for c in claims if c is not None)


def _layout(task: Task, point: Point, cotangent: Array, outer: tuple[int, ...], flat: Floats, loose: float) -> Finding | None:
    """Ask for the same with the arrays in Fortran order: same numbers, other memory."""
    if all(a.ndim < 2 for a in (*point, cotangent)):
        return None
    _f_again(task, point)
    turned, seed = tuple(np.array(p, order="F") for p in point), np.array(cotangent, order="F")
    sentence = "the gradient is wrong for arrays in Fortran order (a transpose is one): does it count on the memory's order?"
    try:
        _, other = _claim_once(task, turned, seed, outer)
    except DerivkitError as error:
        return Finding("layout", f"{sentence} {error}")
    if isinstance(other, Finding):
        return other if other.code == "mutates-input" else Finding("layout", sentence)
    size = max(float(np.max(np.abs(flat), initial=0.0)), 1e-300)
    # sums run in another order, so rounding may differ; a wrong order does not stay below a thousandth
    return None if np.all(np.abs(_flat(other) - flat) <= max(1e-3, 1e3 * loose) * size) else Finding("layout", sentence)


def _flat(claims: Sequence[Array | None]) -> Floats:
    return np.concatenate([c.ravel().astype(np.float64) for c in claims if c is not None])


def _equal(a: Array | None, b: Array | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))


def _claim_once(task: Task, point: Point, cotangent: Array, outer: tuple[int, ...]) -> tuple[Any, list[Array | None] | Finding]:
    given, seed = rebuild(task.args, task.leaves, point), cotangent.copy(order="K")
    inputs = (seed[()] if seed.ndim == 0 else seed, *given) if task.kind == "vjp" else given
    raw = call(task, "the gradient", task.claim, *inputs)
    if not same(given, rebuild(task.args, task.leaves, point)) or not np.array_equal(seed, cotangent):
        return raw, Finding("mutates-input", "the gradient changes its arguments")
    fitted = claimed(raw, task.args, task.leaves, outer)
    if isinstance(fitted, Misfit):
        return raw, _misfit(task, point, cotangent, fitted, outer, raw)
    if all(c is None for c in fitted):
        raise DerivkitError("the gradient is None everywhere: nothing is claimed", code="DK010")
    for position, (leaf, c) in enumerate(zip(task.leaves, fitted, strict=True)):
        if c is None:
            continue
        narrow = c.dtype.kind == "f" and c.dtype.itemsize < leaf.array.dtype.itemsize
        if c.dtype.kind not in "fiu" or (not leaf.bare and (c.dtype.kind != "f" or narrow)):
            sentence = f"the gradient of {leaf.name} has dtype {c.dtype}, expected {leaf.array.dtype}"
            return raw, Finding("dtype", sentence, (position,))
        if not np.all(np.isfinite(c)):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(c))[0])
            return raw, Finding("non-finite", f"the gradient of {leaf.name} is {c[where]} at {list(where)}", (position,))
    return raw, fitted


def _misfit(task: Task, point: Point, cotangent: Array, misfit: Misfit, outer: tuple[int, ...], raw: Any) -> Finding:
    """Hold a claim of the wrong shape against f: what would make it right is the cause."""
    output, weights = _f_again(task, point), cotangent.astype(np.float64)
    unit, base = float(np.finfo(output.dtype).eps), float(np.sum(weights * output))
    problem = Problem(scalar(task, weights), lambda moved: 0.0, point, None, base, unit, output, cotangent, unit)
    return explained(task, problem, misfit, outer, raw)


def contract_jvp(task: Task, problem: Problem) -> Problem | Finding:
    """The same contract for a pushforward; small ones are turned into a gradient, one basis tangent at a time."""
    weights = problem.cotangent.astype(np.float64)

    changed: list[bool] = []

    def push(moved: Point, order: Literal["C", "F"] = "C") -> Array:
        point, seed = (tuple(np.array(a, order=order) for a in arrays) for arrays in (problem.point, moved))
        given, tangents = rebuild(task.args, task.leaves, point), rebuild(task.args, task.leaves, seed)
        pushed = np.asarray(task.claim(tangents if len(tangents) > 1 else tangents[0], *given))
        kept = zip((given, tangents), (point, seed), strict=True)
        changed.extend(True for mine, was in kept if not same(mine, rebuild(task.args, task.leaves, was)))
        return pushed

    def predict(moved: Point) -> float:
        size = max(float(np.max(np.abs(m), initial=0.0)) for m in moved)
        if size == 0.0:
            return 0.0
        far = tuple(np.where(np.abs(m) < 1e-150 * size, m, 0.0) for m in moved)
        if any(np.any(m) for m in far):  # of so different units that one scale for all would lose some
            return predict(tuple(m - f for m, f in zip(moved, far, strict=True))) + predict(far)
        pushed = call(task, "the pushforward", push, tuple(m / size for m in moved))
        return float(np.sum(weights * pushed)) * size

    some = tuple(scales(p.astype(np.float64)) for p in problem.point)
    raw = call(task, "the pushforward", push, some)
    first = raw.copy()
    if changed:
        return Finding("mutates-input", "the pushforward changes its arguments or its tangents")
    if first.shape != problem.output.shape:
        return Finding("shape", f"the pushforward has shape {first.shape}, f has {problem.output.shape}")
    if first.dtype.kind not in "fiu" or first.dtype.itemsize < problem.output.dtype.itemsize:
        return Finding("dtype", f"the pushforward has dtype {first.dtype}, f has {problem.output.dtype}")
    if not np.all(np.isfinite(first)):
        return Finding("non-finite", "the pushforward is not finite")
    if (repeat := repeats(first, lambda: np.array(call(task, "the pushforward", push, some)), 64 * problem.unit)) is not None:
        return Finding(repeat, "the pushforward gives another result when called again")
    finding = _not_linear(partial(call, task, "the pushforward", push), task, some, (raw, first), problem.unit)
    if finding is not None:
        return finding
    if sum(p.size for p in problem.point) > SMALL:
        return replace(problem, predict=predict)
    claims = []
    for k, p in enumerate(problem.point):
        claim = np.zeros(p.shape)
        for index in np.ndindex(p.shape):
            basis = tuple(np.zeros(q.shape) for q in problem.point)
            basis[k][index] = 1.0
            claim[index] = predict(basis)
        claims.append(claim)
    return replace(problem, predict=predict, claims=tuple(claims))


def _not_linear(push: Callable[..., Array], task: Task, some: Point, came: tuple[Array, Array], unit: float) -> Finding | None:
    """Return what a pushforward does wrong with other tangents than ``some``: ``came`` is its result, and a copy made at once."""
    rng = np.random.default_rng([task.seed, 11])
    others = tuple(s * rng.choice([-1.0, 1.0], s.shape) * rng.uniform(0.5, 1.5, s.shape) for s in some)
    raw, first = came
    second = push(others).astype(np.float64)
    if not np.array_equal(raw, first):
        return Finding("aliasing", "the pushforward returns a buffer that its next call overwrites")
    size = max(float(np.max(np.abs(a), initial=0.0)) for a in (first, second))
    loose = max(1e-9, 6400 * unit) * max(size, 1e-300)
    scaled, both = push(tuple(-2.5 * s for s in some)), push(tuple(a + b for a, b in zip(some, others, strict=True)))
    for came_out, expected in ((scaled, -2.5 * first), (both, first + second)):
        if came_out.shape != first.shape or not np.all(np.abs(came_out - expected) <= loose):
            return Finding("cotangent", "the pushforward is not linear in its tangents")
    if any(s.ndim > 1 for s in some) and not np.all(np.abs(push(others, "F") - second) <= 1e3 * loose):
        return Finding("layout", "the pushforward is wrong for arrays in Fortran order: does it count on the memory's order?")
    return None
