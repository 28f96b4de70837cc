"""Check a claimed gradient, pullback, pushforward or Jacobian against differences: right, wrong with the cause, or undecided.

What is measured is the *residual* along scaled random directions (see :mod:`derivkit.numeric.finite_difference`), so
there is no step and no tolerance to tune, and the cost of a right answer does not grow with the number of entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.diagnose import Evidence, diagnose, explains_shape, wrong_part
from derivkit.checking.report import Entry, Report
from derivkit.checking.trees import Leaf, Misfit, argument_names, claimed, leaves, rebuild, same
from derivkit.errors import DerivkitError
from derivkit.numeric.finite_difference import Line, Residual, jacobian, measure, scales

Array = NDArray[Any]
Floats = NDArray[np.float64]
Point = tuple[Array, ...]

#: Leaves up to this size are measured entry by entry once they are known to be wrong.
SMALL = 130
#: A claim may differ by this share of its own norm: far above what a float64 gradient loses to rounding.
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Task:
    """What the caller asked: the kind, the two functions, the arguments and their leaves; ``calls`` counts calls of f."""

    kind: str
    f: Callable[..., Any]
    claim: Callable[..., Any]
    args: tuple[Any, ...]
    leaves: tuple[Leaf, ...]
    seed: int
    rtol: float
    calls: list[int]


@dataclass(frozen=True, slots=True)
class Problem:
    """A scalar function F = ⟨cotangent, f⟩ at ``point`` with the claimed gradient leaf by leaf (``None``: not claimed).

    ``predict`` gives the claimed change of F for a displacement; ``unit`` is the coarsest epsilon of f and the claim.
    """

    value: Callable[[Point], float]
    predict: Callable[[Point], float]
    point: Point
    claims: tuple[Floats | None, ...] | None
    base: float
    unit: float
    output: Array
    cotangent: Array
    jacobians: tuple[Array | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault seen before anything was measured: the code, the sentence, the blamed leaves."""

    code: str
    sentence: str
    blame: tuple[int, ...] = ()


def check_gradient(f: Callable[..., Any], grad: Callable[..., Any], /, *args: Any, seed: int = 0, rtol: float = 0.0) -> Report:
    """Check ``grad(*args)`` against the scalar ``f(*args)``.

    Arguments are trees of float arrays and floats (integers and booleans are not differentiable).  ``grad`` returns
    one entry for each argument, shaped like it, ``None`` where there is none; a bare value for a single argument.
    ``rtol`` can only relax: a claim within ``rtol`` of the truth, relative to the gradient's norm, passes.
    Raises DerivkitError: DK010 where the call makes no sense, DK050 where f cannot be evaluated at the point.

    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> check_gradient(lambda x: float(x @ x), lambda x: 2 * x, x).ok
    True
    >>> check_gradient(lambda x: float(x @ x) / 3, lambda x: 2 * x, x).diagnosis
    'scale:3'
    """
    return _check("gradient", f, grad, args, seed, rtol)


def check_vjp(f: Callable[..., Any], vjp: Callable[..., Any], /, *args: Any, seed: int = 0, rtol: float = 0.0) -> Report:
    """Check the pullback ``vjp(cotangent, *args)`` of the array function ``f(*args)``; the cotangent is shaped like f's value.

    >>> import numpy as np
    >>> bool(check_vjp(np.sin, lambda y_bar, x: y_bar * np.cos(x), np.array([1.0, 2.0])))
    True
    """
    return _check("vjp", f, vjp, args, seed, rtol)


def check_jvp(f: Callable[..., Any], jvp: Callable[..., Any], /, *args: Any, seed: int = 0, rtol: float = 0.0) -> Report:
    """Check the pushforward ``jvp(tangents, *args)`` of the array function ``f(*args)``.

    ``tangents`` is a tuple with one tangent for each argument (not differentiable ones come as they are), bare for a
    single argument; the result is shaped like f's value.

    >>> import numpy as np
    >>> bool(check_jvp(np.sin, lambda x_dot, x: x_dot * np.cos(x), np.array([1.0, 2.0])))
    True
    """
    return _check("jvp", f, jvp, args, seed, rtol)


def check_jacobian(f: Callable[..., Any], jac: Callable[..., Any], /, *args: Any, seed: int = 0, rtol: float = 0.0) -> Report:
    """Check ``jac(*args)``, one ``J[out..., in...]`` for each argument, against the array function ``f(*args)``.

    >>> import numpy as np
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> check_jacobian(lambda x: A @ x, lambda x: A.T, np.array([1.0, 2.0])).diagnosis
    'transpose'
    """
    return _check("jacobian", f, jac, args, seed, rtol)


def assert_gradient(
    f: Callable[..., Any],
    grad: Callable[..., Any],
    /,
    *args: Any,
    seed: int = 0,
    rtol: float = 0.0,
    allow_undecided: bool = False,
) -> None:
    """Raise ``AssertionError(str(report))`` unless ``grad`` is right; undecided fails too, unless it is allowed.

    >>> assert_gradient(lambda x: x**2, lambda x: 2 * x, 3.0)
    """
    report = check_gradient(f, grad, *args, seed=seed, rtol=rtol)
    if not report.ok and not (report.undecided and allow_undecided):
        raise AssertionError(str(report))


# ------------------------------------------------------------------ the passes


def _check(
    kind: str, f: Callable[..., Any], claim: Callable[..., Any], args: tuple[Any, ...], seed: int, rtol: float
) -> Report:
    if not (callable(f) and callable(claim)):
        raise DerivkitError(f"check_{kind} takes two functions, then their arguments", code="DK010")
    if not (math.isfinite(rtol) and 0 <= rtol < 1):
        raise DerivkitError(f"rtol must be a number from 0 up to 1, not {rtol!r}", code="DK010")
    found = leaves(args, argument_names(f, len(args)))
    if not found:
        raise DerivkitError("no argument is a float or a float array: nothing to differentiate", code="DK010")
    task = Task(kind, f, claim, args, found, seed, rtol, [0])
    point = tuple(leaf.array for leaf in found)
    problem = _contract(task, point)
    if isinstance(problem, Finding):
        return _report_finding(task, problem)
    residuals = [_settle(task, problem, direction) for direction in _directions(task, problem)]
    kinks = [line for line, r in residuals if r.gap]
    wrong = [(line, r) for line, r in residuals if r.verdict == "wrong" and not r.gap]
    if wrong:
        return _report_wrong(task, problem, wrong)
    if kinks:
        elsewhere = _off_zeros(task, problem)
        if elsewhere:
            return _report_wrong(task, problem, elsewhere)
        for attempt in range(4):
            aside = _aside(task, problem, attempt)
            if aside is not None:
                return aside
        outside = [line for line in kinks if not _inside(line, problem, task)]
        if outside:
            return _report_kink(task, residuals, outside)
    unclear = [(line, r) for line, r in residuals if r.verdict == "unclear" and not r.gap]
    return _report_undecided(task, unclear) if unclear else _report_ok(task, problem, residuals, bool(kinks))


def _call(task: Task, what: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except DerivkitError:
        raise
    except Exception as error:
        raise DerivkitError(f"{what} raised {type(error).__name__}: {error}", code="DK050") from error


def _output(task: Task, result: Any) -> Array:
    try:
        array = np.asarray(result)
    except ValueError as error:
        raise DerivkitError("f must return one array of numbers", code="DK010") from error
    if array.dtype.kind not in "fiub":
        raise DerivkitError(f"f returned {type(result).__name__} of dtype {array.dtype}, not real numbers", code="DK010")
    if task.kind == "gradient" and array.size != 1:
        raise DerivkitError(
            f"f returned an array of shape {array.shape}, not a scalar",
            code="DK010",
            hint="use check_vjp or check_jacobian for a function with an array value",
        )
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _contract(task: Task, point: Point) -> Problem | Finding:
    """Call both functions as a user would, and hold them to what any gradient must keep: then there is a Problem."""
    first = rebuild(task.args, task.leaves, point)
    task.calls[0] += 1
    output = _output(task, _call(task, "f", task.f, *first)).copy()
    if not same(first, rebuild(task.args, task.leaves, point)):
        return Finding("mutates-input", "f changes its arguments")
    if not np.all(np.isfinite(output)):
        raise DerivkitError("f is not finite at the point: nothing can be measured there", code="DK050")
    values = [output] + [_f_again(task, point) for _ in range(3)]
    loose = 64 * float(np.finfo(output.dtype).eps)
    if (repeat := _repeats(values, loose)) is not None:
        why = "it depends on earlier calls" if repeat == "stateful" else "it is random"
        return Finding(repeat, f"f gives another value when called again: {why}")
    rng = np.random.default_rng(task.seed)
    cotangent = np.ones(output.shape, output.dtype)
    if task.kind != "gradient":
        cotangent = (rng.choice([-1.0, 1.0], output.shape) * rng.uniform(0.5, 1.5, output.shape)).astype(output.dtype)
    weights = cotangent.astype(np.float64)

    def value(reached: Point) -> float:
        task.calls[0] += 1
        try:
            with np.errstate(all="ignore"):
                result = _output(task, task.f(*rebuild(task.args, task.leaves, reached)))
        except Exception:  # outside f's domain there is nothing to measure, whatever f says about it
            return math.nan
        return float(np.sum(weights * result)) if result.shape == output.shape else math.nan

    base = float(np.sum(weights * output))
    unit = float(np.finfo(output.dtype).eps)
    if task.kind == "jvp":
        return _contract_jvp(task, Problem(value, lambda moved: 0.0, point, None, base, unit, output, cotangent))
    claims = _claims(task, point, cotangent, output.shape)
    if isinstance(claims, Finding):
        return claims
    coarsest = max([unit] + [float(np.finfo(c.dtype).eps) for c in claims if c is not None and c.dtype.kind == "f"])
    numbers = tuple(None if c is None else _contracted(task, c, weights) for c in claims)
    rows = tuple(claims) if task.kind == "jacobian" else ()
    return _with_claims(Problem(value, lambda moved: 0.0, point, numbers, base, coarsest, output, cotangent, rows))


def _with_claims(problem: Problem) -> Problem:
    claims = problem.claims or ()

    def predict(moved: Point) -> float:
        return float(sum(float(np.sum(c * m)) for c, m in zip(claims, moved, strict=True) if c is not None))

    return replace(problem, predict=predict)


def _contracted(task: Task, claim: Array, weights: Floats) -> Floats:
    numbers = claim.astype(np.float64)
    return np.tensordot(weights, numbers, axes=weights.ndim) if task.kind == "jacobian" else numbers


def _f_again(task: Task, point: Point) -> Array:
    task.calls[0] += 1
    return _output(task, _call(task, "f", task.f, *rebuild(task.args, task.leaves, point))).copy()


def _repeats(values: Sequence[Array], loose: float) -> str | None:
    """Return why repeated results differ: "stateful" if they drift or settle, "nondeterministic" if they jump about."""
    size = max(float(np.max(np.abs(v), initial=0.0)) for v in values)
    steps = [b.astype(np.float64) - a for a, b in pairwise(values)]
    if all(np.all(np.abs(step) <= loose * size) for step in steps):
        return None
    steady = np.allclose(steps[-1], steps[-2], rtol=1e-6, atol=loose * size)
    ratios = [float(np.linalg.norm(b)) / max(float(np.linalg.norm(a)), 1e-300) for a, b in pairwise(steps)]
    return "stateful" if steady or abs(ratios[-1] - ratios[0]) <= 1e-6 * abs(ratios[0]) else "nondeterministic"


def _claims(task: Task, point: Point, cotangent: Array, shape: tuple[int, ...]) -> list[Array | None] | Finding:
    """Call the claimed derivative often enough to see what it does to its inputs, to its outputs, and by itself."""
    outer = shape if task.kind == "jacobian" else ()
    raw, fitted = _claim_once(task, point, cotangent, outer)
    if isinstance(fitted, Finding):
        return fitted
    kept = [None if c is None else c.copy() for c in fitted]
    nearby = tuple((p.astype(np.float64) + 0.01 * scales(p.astype(np.float64))).astype(p.dtype) for p in point)
    try:  # another point: a result that lives in a reused buffer changes under our hands
        with np.errstate(all="ignore"):
            _claim_once(task, nearby, -2.5 * cotangent, outer)
    except DerivkitError:
        pass
    after = claimed(raw, task.args, task.leaves, outer)
    if isinstance(after, Misfit) or not all(_equal(a, b) for a, b in zip(kept, after, strict=True)):
        return Finding("aliasing", "the gradient returns a buffer that its next call overwrites")
    series = [kept]
    for _ in range(3):
        _f_again(task, point)
        _, again = _claim_once(task, point, cotangent, outer)
        if isinstance(again, Finding):
            return again
        series.append([None if c is None else c.copy() for c in again])
    flat = [np.concatenate([c.ravel().astype(np.float64) for c in one if c is not None]) for one in series]
    loose = 64 * max(float(np.finfo(c.dtype).eps) if c.dtype.kind == "f" else 0.0 for c in kept if c is not None)
    if (repeat := _repeats(flat, max(loose, 1e-14))) is not None:
        why = "it depends on earlier calls" if repeat == "stateful" else "it is random"
        return Finding(repeat, f"the gradient gives another result when called again: {why}")
    if task.kind == "vjp":
        _f_again(task, point)
        _, scaled = _claim_once(task, point, (-2.5 * cotangent).astype(cotangent.dtype), outer)
        if isinstance(scaled, Finding):
            return scaled
        linear = np.concatenate([c.ravel().astype(np.float64) for c in scaled if c is not None])
        if not np.all(np.abs(linear + 2.5 * flat[0]) <= max(1e-9, 100 * loose) * max(float(np.max(np.abs(flat[0]))), 1e-300)):
            return Finding("cotangent", "the pullback is not linear in its cotangent")
    return kept


def _equal(a: Array | None, b: Array | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))


def _claim_once(
    task: Task, point: Point, cotangent: Array, outer: tuple[int, ...]
) -> tuple[Any, list[Array | None] | Finding]:
    given, seed = rebuild(task.args, task.leaves, point), cotangent.copy()
    inputs = (seed[()] if seed.ndim == 0 else seed, *given) if task.kind == "vjp" else given
    raw = _call(task, "the gradient", task.claim, *inputs)
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
    """Ask whether a claim of the wrong shape would be right in another one; else it is the shape itself."""
    leaf, came = task.leaves[misfit.leaf], misfit.came
    if came is None or came.dtype.kind not in "fiu" or not np.all(np.isfinite(came)):
        return Finding("shape", misfit.sentence, (misfit.leaf,))

    def alone(x: Floats) -> Floats:
        reached = tuple(x.astype(p.dtype) if k == misfit.leaf else p for k, p in enumerate(point))
        return np.asarray(np.sum(cotangent * task.f(*rebuild(task.args, task.leaves, reached))), dtype=np.float64)

    if leaf.array.size <= SMALL and leaf.array.dtype == np.float64:
        truth, bars = jacobian(alone, point[misfit.leaf].astype(np.float64))
        guesses = list(explains_shape(came.astype(np.float64), outer + leaf.array.shape))
        guesses += [("swapped-args", "belongs to another argument", a) for a in _exchanged(task, raw, misfit.leaf, outer)]
        for code, sentence, array in guesses:
            weights = cotangent.astype(np.float64)
            guess = np.tensordot(weights, array, axes=weights.ndim) if outer else array
            if np.all(np.abs(guess - truth) <= 5 * bars + 1e-7 * float(np.max(np.abs(truth)))):
                return Finding(code, f"{misfit.sentence}: it {sentence}", (misfit.leaf,))
    return Finding("shape", misfit.sentence, (misfit.leaf,))


def _exchanged(task: Task, raw: Any, position: int, outer: tuple[int, ...]) -> Iterator[Floats]:
    """Yield what the claim for one leaf would be if two arguments' gradients had been exchanged."""
    entries = list(raw) if isinstance(raw, (list, tuple)) and len(raw) == len(task.args) > 1 else []
    for j in range(len(entries)):
        for i in range(j):
            other = list(entries)
            other[i], other[j] = other[j], other[i]
            fitted = claimed(tuple(other), task.args, task.leaves, outer)
            if not isinstance(fitted, Misfit) and (array := fitted[position]) is not None:
                yield array.astype(np.float64)


def _contract_jvp(task: Task, problem: Problem) -> Problem | Finding:
    """The same contract for a pushforward; small ones are turned into a gradient, one basis tangent at a time."""
    weights = problem.cotangent.astype(np.float64)

    def push(moved: Point) -> Array:
        given = rebuild(task.args, task.leaves, problem.point)
        tangents = rebuild(task.args, task.leaves, moved)
        return np.asarray(task.claim(tangents if len(tangents) > 1 else tangents[0], *given))

    def predict(moved: Point) -> float:
        size = max(float(np.max(np.abs(m), initial=0.0)) for m in moved)
        if size == 0.0:
            return 0.0
        pushed = _call(task, "the pushforward", push, tuple(m / size for m in moved))
        return float(np.sum(weights * pushed)) * size

    some = tuple(scales(p.astype(np.float64)) for p in problem.point)
    first = np.array(_call(task, "the pushforward", push, some))
    if first.shape != problem.output.shape:
        return Finding("shape", f"the pushforward has shape {first.shape}, f has {problem.output.shape}")
    if first.dtype.kind not in "fiu" or first.dtype.itemsize < problem.output.dtype.itemsize:
        return Finding("dtype", f"the pushforward has dtype {first.dtype}, f has {problem.output.dtype}")
    if not np.all(np.isfinite(first)):
        return Finding("non-finite", "the pushforward is not finite")
    series = [first] + [np.array(_call(task, "the pushforward", push, some)) for _ in range(3)]
    if (repeat := _repeats(series, 64 * problem.unit)) is not None:
        return Finding(repeat, "the pushforward gives another result when called again")
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


# ------------------------------------------------------------------ directions and verdicts


def _joint(problem: Problem, rng: np.random.Generator) -> tuple[Floats, ...]:
    """Return a direction that shows every entry, in its own unit: |x| · random sign · uniform(0.5, 1.5)."""
    unclaimed = [c is None for c in problem.claims] if problem.claims is not None else [False] * len(problem.point)
    result = []
    for p, skip in zip(problem.point, unclaimed, strict=True):
        sign, size = rng.choice([-1.0, 1.0], p.shape), rng.uniform(0.5, 1.5, p.shape)
        result.append(np.zeros(p.shape) if skip else np.asarray(scales(p.astype(np.float64)) * sign * size))
    return tuple(result)


def _part(direction: tuple[Floats, ...], position: int, mask: NDArray[np.bool_] | None = None) -> tuple[Floats, ...]:
    kept = [np.zeros_like(u) for u in direction]
    kept[position] = direction[position] if mask is None else np.where(mask, direction[position], 0.0)
    return tuple(kept)


def _directions(task: Task, problem: Problem) -> Iterator[tuple[Floats, ...]]:
    """Yield two joint directions, one for each leaf that hides in them, and one for all entries that hide in their leaf."""
    rng = np.random.default_rng([task.seed, 1])
    first, second = _joint(problem, rng), _joint(problem, rng)
    yield first
    yield second
    if problem.claims is None:
        yield from (_part(first, k) for k in range(len(first)) if len(first) > 1)
        return
    shares = [np.zeros_like(u) if c is None else np.abs(c * u) for c, u in zip(problem.claims, first, strict=True)]
    total = math.sqrt(sum(float(np.sum(s**2)) for s in shares))
    hidden = [k for k, s in enumerate(shares) if np.any(first[k]) and float(np.linalg.norm(s)) < 1e-2 * total]
    if sum(bool(np.any(u)) for u in first) > 1:
        yield from (_part(second, k) for k in hidden)
    typical = total / math.sqrt(max(1, sum(s.size for s in shares)))
    small = tuple(np.where(s < 1e-5 * typical, u, 0.0) for s, u in zip(shares, first, strict=True))
    covered = [k for k, u in enumerate(small) if np.any(u) and k not in hidden]
    if covered and total > 0:
        yield tuple(u if k in covered else np.zeros_like(u) for k, u in enumerate(small))


def _line(problem: Problem, direction: tuple[Floats, ...]) -> Line:
    return Line(problem.value, problem.predict, problem.point, direction, problem.base, problem.unit)


def _size(problem: Problem, direction: tuple[Floats, ...]) -> tuple[float, float]:
    """Return the 2-norm and the 1-norm of the claimed slopes: scales that do not cancel as their sum does."""
    if problem.claims is None:
        slope = abs(problem.predict(direction))
        return slope, slope
    slopes = [np.abs(c * u).ravel() for c, u in zip(problem.claims, direction, strict=True) if c is not None]
    every = np.concatenate(slopes)
    return float(np.linalg.norm(every)), float(np.sum(every))


def _settle(task: Task, problem: Problem, direction: tuple[Floats, ...]) -> tuple[Line, Residual]:
    """Measure one direction; where it leaves f's domain on both sides, try the one that grows every |x|."""
    size, mass = _size(problem, direction)
    tolerance = max(task.rtol, SLACK, 128 * problem.unit) * size + 4 * problem.unit * mass
    line = _line(problem, direction)
    result = measure(line, size, tolerance)
    if math.isinf(result.error_bar):
        growing = tuple(np.abs(u) * np.where(p < 0, -1.0, 1.0) for u, p in zip(direction, problem.point, strict=True))
        line = _line(problem, growing)
        result = measure(line, size, tolerance)
    # A part whose full-size change moves F by less than F's own rounding, inside a gradient that is settled otherwise.
    partial = sum(bool(np.any(u)) for u in direction) < len(direction) or any(np.any(u == 0) for u in direction)
    invisible = result.verdict == "unclear" and not result.gap and partial and size <= 1e3 * result.noise
    if invisible and abs(result.value) <= 2 * result.error_bar + tolerance:
        result = replace(result, verdict="ok")
    return line, result


# ------------------------------------------------------------------ kinks


def _off_zeros(task: Task, problem: Problem) -> list[tuple[Line, Residual]]:
    """Return what is wrong along a direction that keeps every zero argument where it is: most kinks are there."""
    direction = _joint(problem, np.random.default_rng([task.seed, 5]))
    masked = tuple(np.where(p == 0, 0.0, u) for p, u in zip(problem.point, direction, strict=True))
    if not any(np.any(u) for u in masked):
        return []
    line, residual = _settle(task, problem, masked)
    return [(line, residual)] if residual.verdict == "wrong" and not residual.gap else []


def _aside(task: Task, problem: Problem, attempt: int) -> Report | None:
    """Check the same two functions at a point a little aside, where f is smooth: a kink must not hide another fault."""
    if task.kind == "jvp":
        return None
    rng = np.random.default_rng([task.seed, 2, attempt])
    moved = tuple(
        (p.astype(np.float64) + 1e-3 * u).astype(p.dtype) for p, u in zip(problem.point, _joint(problem, rng), strict=True)
    )
    there = replace(task, leaves=tuple(replace(leaf, array=m) for leaf, m in zip(task.leaves, moved, strict=True)))
    try:
        other = _contract(there, moved)
    except DerivkitError:
        return None
    if isinstance(other, Finding) or other.claims is None or problem.claims is None:
        return None
    if all(a is None or (b is not None and np.array_equal(a, b)) for a, b in zip(problem.claims, other.claims, strict=True)):
        return None  # a table for this point only, or a linear piece: the other point says nothing about this one
    residuals = [_settle(there, other, direction) for direction in _directions(there, other)]
    wrong = [(line, r) for line, r in residuals if r.verdict == "wrong" and not r.gap]
    if any(r.gap for _, r in residuals) or not wrong:
        return None
    report = _report_wrong(there, other, wrong)
    return replace(report, evidence=(*report.evidence, "measured a thousandth aside: the point itself is on a kink"))


def _inside(line: Line, problem: Problem, task: Task) -> bool:
    """Return whether the claim lies in the range of directional derivatives around the point (Clarke, 1983, ch. 2).

    The one-sided slopes at the point are too narrow a range where convex and concave kinks meet, so slopes are taken
    at nearby points in many directions.
    """
    rng = np.random.default_rng([task.seed, 3])
    fine = line.finest > 1e-8
    offset, step = (0.02, 0.002) if fine else (1e-5, 1e-7)
    size, _ = _size(problem, line.direction)
    around = [line.direction, tuple(-u for u in line.direction)] + [_joint(problem, rng) for _ in range(30)]
    residuals = []
    for direction in around:
        centre = tuple(
            (p.astype(np.float64) + offset * u).astype(p.dtype) for p, u in zip(line.point, direction, strict=True)
        )
        sides = []
        for signed in (step, -step):
            pairs = zip(centre, line.direction, strict=True)
            reached = tuple((c.astype(np.float64) + signed * u).astype(c.dtype) for c, u in pairs)
            moved = tuple(r.astype(np.float64) - c for r, c in zip(reached, centre, strict=True))
            sides.append(line.value(reached) - problem.predict(moved))
        residuals.append((sides[0] - sides[1]) / (2 * step))
    slopes = np.array([r for r in residuals if math.isfinite(r)])
    if not slopes.size:
        return True
    low, high = float(slopes.min()), float(slopes.max())
    middle = slopes[(slopes > low + 0.01 * (high - low)) & (slopes < high - 0.01 * (high - low))]
    # two values: one kink, the range is exact; more: several kinks, of which 32 samples may miss the extremes
    width = high - low
    slack = 4 * line.unit * abs(line.base) / step + 20 * offset * max(size, width) + (0.25 * width if middle.size else 0.0)
    return low - slack <= 0.0 <= high + slack


# ------------------------------------------------------------------ reports


def _report(task: Task, *, ok: bool, worst: Residual | None = None, **fields: Any) -> Report:
    numbers = (math.nan, math.nan)
    if worst is not None:
        scale = worst.scale or 1.0
        numbers = (abs(worst.value) / scale, worst.error_bar / scale)
    name = getattr(task.f, "__name__", type(task.f).__name__)
    return Report(
        ok=ok,
        error=numbers[0],
        error_bar=numbers[1],
        evaluations=task.calls[0],
        seed=task.seed,
        reproduce=_reproduce(task),
        subject=f"{task.kind} of {name}",
        **fields,
    )


def _reproduce(task: Task) -> str:
    names = [getattr(g, "__name__", "f").replace("<lambda>", d) for g, d in ((task.f, "f"), (task.claim, "grad"))]
    plain = all(len(leaf.path) == 1 for leaf in task.leaves) and len(task.leaves) == len(task.args)
    shown = "*args"
    if plain and sum(leaf.array.size for leaf in task.leaves) <= 8:
        arrays = [f"np.array({leaf.array.tolist()!r}, dtype=np.{leaf.array.dtype})" for leaf in task.leaves]
        shown = ", ".join(repr(float(leaf.array)) if leaf.bare else a for leaf, a in zip(task.leaves, arrays, strict=True))
    relaxed = f", rtol={task.rtol!r}" if task.rtol else ""
    return f"derivkit.check_{task.kind}({names[0]}, {names[1]}, {shown}, seed={task.seed}{relaxed})"


def _report_finding(task: Task, finding: Finding) -> Report:
    return _report(task, ok=False, diagnosis=finding.code, summary=finding.sentence, blame=finding.blame)


def _report_ok(task: Task, problem: Problem, residuals: Sequence[tuple[Line, Residual]], kinks: bool) -> Report:
    skipped = [leaf.name for leaf, c in zip(task.leaves, problem.claims or (), strict=False) if c is None]
    notes = [f"not claimed, so not checked: {', '.join(skipped)}"] if skipped else []
    notes += ["at a kink: the claim lies in the range of the slopes around"] if kinks else []
    smooth = [r for _, r in residuals[:2] if not r.gap]  # the joint directions: a part may be too small to have a size
    worst = max(smooth, key=lambda r: abs(r.value) / (r.scale or 1.0), default=None)
    return _report(task, ok=True, worst=worst, summary="agrees with differences", evidence=tuple(notes))


def _report_undecided(task: Task, unclear: Sequence[tuple[Line, Residual]]) -> Report:
    line, worst = max(unclear, key=lambda item: item[1].error_bar / (item[1].scale or 1.0))
    moving = [leaf.name for leaf, u in zip(task.leaves, line.direction, strict=True) if np.any(u)]
    why = f"the error bar {worst.error_bar:.2g} is too wide for a slope of {worst.scale:.2g}"
    if math.isinf(worst.error_bar):
        why = "f cannot be evaluated on either side of the point"
    summary = f"along {', '.join(moving)}: {why}"
    return _report(task, ok=False, undecided=True, worst=worst, diagnosis="undecided", summary=summary)


def _report_kink(task: Task, residuals: Sequence[tuple[Line, Residual]], outside: Sequence[Line]) -> Report:
    worst = next(r for line, r in residuals if line is outside[0])
    moving = tuple(k for k, u in enumerate(outside[0].direction) if np.any(u))
    summary = "f has a kink here, and the claim is no slope of any point around"
    evidence = (f"the one-sided slopes differ by {abs(worst.gap):.6g}; the claimed slope is {worst.claimed:.6g}",)
    return _report(task, ok=False, diagnosis="kink", worst=worst, summary=summary, evidence=evidence, blame=moving)


def _report_wrong(task: Task, problem: Problem, wrong: Sequence[tuple[Line, Residual]]) -> Report:
    """Find the wrong leaves, measure their truth, and ask the table of suspects."""
    worst = max((r for _, r in wrong), key=lambda r: abs(r.value) / (r.scale or 1.0))
    if problem.claims is None:
        evidence = f"along one direction: yours {worst.claimed:.9g}, measured {worst.value + worst.claimed:.9g}"
        return _report(task, ok=False, worst=worst, diagnosis="dense", summary="is wrong", evidence=(evidence,))
    rng = np.random.default_rng([task.seed, 4])
    blame = _blamed(task, problem, rng)
    cases = [_evidence(task, problem, k, rng) for k in blame[:4]]
    found = [diagnose(case) for case in cases]
    code, sentence = found[0]
    entries = [entry for case in cases for entry in _entries(task, problem, case, code)]
    entries.sort(key=lambda e: -abs(e.yours - e.measured))
    others = tuple(f"{case.name}: {c}" for case, (c, _) in zip(cases, found, strict=True)) if len(cases) > 1 else ()
    share = f"measured slopes of {cases[0].name}: {cases[0].measured.size}, largest bar {float(np.max(cases[0].bars)):.1g}"
    told = {"diagnosis": code, "summary": sentence, "blame": tuple(blame), "entries": tuple(entries)}
    return _report(task, ok=False, worst=worst, evidence=(share, *others), **told)


def _blamed(task: Task, problem: Problem, rng: np.random.Generator) -> list[int]:
    moving = [k for k, c in enumerate(problem.claims or ()) if c is not None]
    direction = _joint(problem, rng)
    blame = [k for k in moving if len(moving) == 1 or _settle(task, problem, _part(direction, k))[1].verdict == "wrong"]
    return blame or moving


def _slope(problem: Problem, direction: tuple[Floats, ...]) -> tuple[float, float]:
    r = measure(_line(problem, direction), _size(problem, direction)[0], 0.0)
    return r.value + r.claimed, r.error_bar


def _evidence(task: Task, problem: Problem, k: int, rng: np.random.Generator) -> Evidence:
    claims = problem.claims or ()
    claim = claims[k]
    if claim is None:
        raise AssertionError("an unclaimed leaf cannot be blamed")
    point = problem.point[k].astype(np.float64)
    if problem.jacobians and point.size <= SMALL and problem.output.size * point.size <= SMALL**2:
        return _jacobian_evidence(task, problem, k)
    size, zero = scales(point), tuple(np.zeros(p.shape) for p in problem.point)
    if claim.size <= SMALL:
        rows, directions = None, [np.where(np.arange(claim.size) == i, size.ravel(), 0.0) for i in range(claim.size)]
        units = size.ravel()
    else:
        rows = np.stack([_joint(problem, rng)[k].ravel() for _ in range(6)])
        directions, units = list(rows), np.ones(6)
    measured = [_slope(problem, (*zero[:k], u.reshape(claim.shape), *zero[k + 1 :])) for u in directions]
    values, bars = np.array([m[0] for m in measured]) / units, np.array([m[1] for m in measured]) / units
    others = tuple(c for j, c in enumerate(claims) if j != k and c is not None)
    base = _joint(problem, rng)

    known: dict[bytes, bool] = {}  # several suspects bisect the same leaf

    def faulty(mask: NDArray[np.bool_]) -> bool:
        key = np.packbits(mask).tobytes()
        if key not in known:
            known[key] = _settle(task, problem, _part(base, k, mask))[1].verdict == "wrong"
        return known[key]

    bars = np.where(np.isfinite(bars), bars, np.max(bars[np.isfinite(bars)], initial=0.0))
    return Evidence(task.leaves[k].name, k, claim, point, rows, np.where(np.isfinite(values), values, 0.0), bars, others, faulty)


def _jacobian_evidence(task: Task, problem: Problem, k: int) -> Evidence:
    """Measure a whole Jacobian: its own rows and columns say more than their contraction with one cotangent."""

    def alone(x: Floats) -> Floats:
        task.calls[0] += 1
        reached = tuple(x.astype(p.dtype) if j == k else p for j, p in enumerate(problem.point))
        return np.asarray(task.f(*rebuild(task.args, task.leaves, reached)), dtype=np.float64)

    truth, bars = jacobian(alone, problem.point[k].astype(np.float64))
    every = [np.asarray(j, dtype=np.float64) for j in problem.jacobians if j is not None]
    claim = np.asarray(problem.jacobians[k], dtype=np.float64)
    others = tuple(j for j in every if j.shape == claim.shape and not np.array_equal(j, claim))
    name = f"d({getattr(task.f, '__name__', 'f')})/d({task.leaves[k].name})"
    return Evidence(name, k, claim, np.zeros(0), None, truth.ravel(), bars.ravel(), others, lambda mask: True)


def _entries(task: Task, problem: Problem, case: Evidence, code: str) -> list[Entry]:
    """Return the worst entries of a small leaf, and of a large one those that bisection found."""
    if case.rows is None:
        order = np.argsort(-np.abs(case.claim.ravel() - case.measured), kind="stable")
        wrong = case.misses().ravel()
        chosen = [(int(i), float(case.measured[i]), float(case.bars[i])) for i in order if wrong[i]][:16]
    else:
        part = wrong_part(case) if code in ("few-entries", "block") else None
        indices = np.flatnonzero(part)[:16] if part is not None else np.array([int(np.argmax(np.abs(case.claim)))])
        chosen = []
        for i in indices:
            size = float(scales(case.point).ravel()[i])
            direction = _part(tuple(np.full(p.shape, size) for p in problem.point), case.position)
            single = tuple(np.where(np.arange(u.size).reshape(u.shape) == i, u, 0.0) for u in direction)
            value, bar = _slope(problem, single)
            chosen.append((int(i), value / size, bar / size))
    shape, flat = case.claim.shape, case.claim.ravel()
    return [Entry(case.name, tuple(int(n) for n in np.unravel_index(i, shape)), float(flat[i]), v, b) for i, v, b in chosen]
