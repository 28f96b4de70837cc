"""Check a claimed gradient, pullback, pushforward or Jacobian against differences: right, wrong with the cause, or undecided.

What is measured is the *residual* along scaled random directions (see :mod:`derivkit.numeric.finite_difference`), so
there is no step and no tolerance to tune, and the cost of a right answer does not grow with the number of entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from derivkit.checking.contract import CROOKED, contract
from derivkit.checking.diagnose import diagnose
from derivkit.checking.directions import directions, joint, only, settle
from derivkit.checking.evidence import blamed, every_entry, evidence_for, slope, worst_entries
from derivkit.checking.kinks import entries_alone, off_zeros, outside, shifts
from derivkit.checking.libraries import hosted
from derivkit.checking.line import Line
from derivkit.checking.narrow import judge_empty, judge_narrow, widened_arguments
from derivkit.checking.precision import casts, departure, exact, widened
from derivkit.checking.problem import COARSE, Finding, Problem, Task, typical
from derivkit.checking.report import Entry, Report
from derivkit.checking.residual import Residual
from derivkit.checking.resolution import negligible, resolve
from derivkit.checking.spelled import reproduce
from derivkit.checking.trees import argument_names, leaves
from derivkit.errors import DerivkitError

#: An iteration that stops at its tolerance has a slope of its own: off by so much of it in all entries, and rounded by no cast.
ITERATED = 1e-7
#: What is off by a larger share of the slopes than this is no rounding to float32.
ROUNDED = 1e-6


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


def _check(kind: str, f: Callable[..., Any], claim: Callable[..., Any], args: tuple[Any, ...], seed: int, rtol: float) -> Report:
    if not (callable(f) and callable(claim)):
        raise DerivkitError(f"check_{kind} takes two functions, then their arguments", code="DK010")
    if not (math.isfinite(rtol) and 0 <= rtol < 1):
        raise DerivkitError(f"rtol must be a number from 0 up to 1, not {rtol!r}", code="DK010")
    names = argument_names(f, len(args))
    found = leaves(args, names) or leaves(args, names, hollow=True)
    if not found:
        hint = "integers are not differentiable: write 1.0 for 1, or x.astype(float)"
        raise DerivkitError("no argument is a float or a float array: nothing to differentiate", code="DK010", hint=hint)
    value, derivative = hosted(kind, f, claim)
    task = Task(kind, value, derivative, args, found, seed, rtol, [0], dict(np.geterr()))
    wide = widened_arguments(args, found)
    with np.errstate(all="ignore"):  # overflow in our own steps is foreseen; the caller's functions keep the caller's setting
        if not found[0].array.size:
            report = judge_empty(task)
        elif wide is not None:
            report = judge_narrow(task, claim, wide, partial(_check, kind, f, seed=seed), _measured)
        else:
            report = _measured(task)
    return replace(report, subject=f"{kind} of {_name(task)}", reproduce=reproduce(kind, f, claim, args, seed, rtol))


def _measured(task: Task) -> Report:
    problem = contract(task, tuple(leaf.array for leaf in task.leaves))
    if isinstance(problem, Finding):
        return _report_finding(task, problem)
    wide = widened(task, problem)
    report = _judge(task, problem) if wide is None else _judge_widely(*wide)
    return _report_finding(task, CROOKED) if problem.bent and (report.ok or report.undecided) else report


def _judge(task: Task, problem: Problem) -> Report:
    """Measure along the joint directions, then wherever those are too blunt, then look at the kinks."""
    residuals: list[tuple[Line, Residual]] = []
    for k, direction in enumerate(directions(task, problem)):
        slack = negligible([r for _, r in residuals[:2]]) if k > 1 and problem.unit <= COARSE else 0.0
        residuals.append(settle(task, problem, direction, slack))
        if _wrong(residuals):
            break
        if k == 1:
            problem = replace(problem, noise=max(r.noise for _, r in residuals))
    else:
        residuals += resolve(task, problem, [r for _, r in residuals[:2]])
    wrong = _wrong(residuals)
    sharp = any(r.error_bar <= ROUNDED / 100 * r.scale for _, r in residuals[:2])
    if sharp and all(abs(r.value) <= ROUNDED * r.scale for _, r in wrong) and (narrow := casts(task, problem)):
        return _report_casts(task, problem, narrow)
    if wrong:
        return _report_wrong(task, problem, wrong)
    kinks = [line for line, r in residuals if r.gap]
    if kinks:
        elsewhere = off_zeros(task, problem)
        if elsewhere:
            return _report_wrong(task, problem, elsewhere)
        for attempt in range(4):
            aside = _aside(task, problem, attempt)
            if aside is not None:
                return aside
        alone = entries_alone(task, problem)
        if wrong := _wrong(alone):
            return _report_wrong(task, problem, wrong)
        for line in chain((line for line, r in (*residuals, *alone) if r.gap), shifts(problem)):
            if (found := outside(line, problem, task)) is not None:
                return _report_kink(task, settle(task, problem, line.direction), found)
    unclear = [(line, r) for line, r in residuals if r.verdict == "unclear" and not r.gap]
    return _report_undecided(task, unclear) if unclear else _report_ok(task, problem, residuals, bool(kinks))


def _wrong(residuals: Sequence[tuple[Line, Residual]]) -> list[tuple[Line, Residual]]:
    return [(line, r) for line, r in residuals if r.verdict == "wrong" and not r.gap]


def _judge_widely(there: Task, low: Problem) -> Report:
    """Judge claims of low precision (``low``) against f in float64; if they are but rounding, by the claim in float64."""
    precise = exact(there)
    if precise is None:
        return _judge(there, low)
    verdict, far = _judge(there, precise), departure(low, precise)
    if verdict.ok and far <= max(1e-3, 16 * low.grain):
        return replace(verdict, evidence=(*verdict.evidence, "measured with float64 copies of the arguments"))
    if not (verdict.ok or verdict.undecided) and _beyond_rounding(there, low, verdict):
        return _with_own_numbers(there, low, verdict)
    report = _judge(there, low)
    if verdict.ok and (far <= 0.1 or report.ok):
        summary = f"right in float64, but in the precision given some entries differ by {far:.2g}: rounding or a fault"
        return replace(report, ok=False, undecided=True, diagnosis="undecided", summary=summary, blame=(), entries=())
    return report


def _with_own_numbers(task: Task, low: Problem, verdict: Report) -> Report:
    """Show the entries as the caller's own call gave them, not as the call in float64 did."""
    own = {leaf.name: c for leaf, c in zip(task.leaves, low.claims or (), strict=True) if c is not None}
    entries = [replace(e, yours=float(own[e.leaf][e.index])) if e.leaf in own else e for e in verdict.entries]
    return replace(verdict, entries=tuple(entries))


def _beyond_rounding(task: Task, low: Problem, verdict: Report) -> bool:
    """Return whether a fault seen in float64 is more than a cast inside the claim would do."""
    size = {leaf.name: typical(c) for leaf, c in zip(task.leaves, low.claims or (), strict=True) if c is not None}
    if verdict.diagnosis == "precision":
        return False
    off = [(abs(e.yours - e.measured), 1e-3 * abs(e.measured) + 16 * low.grain * size.get(e.leaf, 0.0)) for e in verdict.entries]
    return any(much > granted for much, granted in off)


def _aside(task: Task, problem: Problem, attempt: int) -> Report | None:
    """Check the same two functions at a point a little aside, where f is smooth: a kink must not hide another fault."""
    if task.kind == "jvp":
        return None
    rng = np.random.default_rng([task.seed, 2, attempt])
    moved = tuple(
        (p.astype(np.float64) + 1e-3 * u).astype(p.dtype) for p, u in zip(problem.point, joint(problem, rng), strict=True)
    )
    there = replace(task, leaves=tuple(replace(leaf, array=m) for leaf, m in zip(task.leaves, moved, strict=True)))
    try:
        other = contract(there, moved)
    except DerivkitError:
        return None
    if isinstance(other, Finding) or other.claims is None or problem.claims is None:
        return None
    if all(a is None or (b is not None and np.array_equal(a, b)) for a, b in zip(problem.claims, other.claims, strict=True)):
        return None  # a table for this point only, or a linear piece: the other point says nothing about this one
    other = replace(other, grain=max(other.grain, problem.grain), doubt=problem.doubt)
    residuals = [settle(there, other, direction) for direction in directions(there, other)]
    wrong = _wrong(residuals)
    if any(r.gap for _, r in residuals) or not wrong:
        return None
    report = _report_wrong(there, other, wrong)
    return replace(report, evidence=(*report.evidence, "measured a thousandth aside: the point itself is on a kink"))


def _report(task: Task, *, ok: bool, worst: Residual | None = None, **fields: Any) -> Report:
    numbers = (math.nan, math.nan)
    if worst is not None:
        scale = worst.scale or 1.0
        numbers = (abs(worst.value) / scale, worst.error_bar / scale)
        fields["ladder"] = tuple((r.step, r.central, r.rounding / r.step) for r in worst.rungs)
    return Report(
        ok=ok,
        error=numbers[0],
        error_bar=numbers[1],
        evaluations=task.calls[0],
        seed=task.seed,
        **fields,
    )


def _name(task: Task) -> str:
    return str(getattr(task.f, "__name__", type(task.f).__name__)).replace("<lambda>", "f")


def _report_finding(task: Task, finding: Finding) -> Report:
    return _report(task, ok=False, diagnosis=finding.code, summary=finding.sentence, blame=finding.blame)


def _report_ok(task: Task, problem: Problem, residuals: Sequence[tuple[Line, Residual]], kinks: bool) -> Report:
    skipped = [leaf.name for leaf, c in zip(task.leaves, problem.claims or (), strict=False) if c is None]
    notes = [f"not claimed, so not checked: {', '.join(skipped)}"] if skipped else []
    notes += ["at a kink: the claim lies in the range of the slopes around"] if kinks else []
    smooth = [r for _, r in residuals[:2] if not r.gap]  # the joint directions: a part may be too small to have a size
    worst = max(smooth, key=lambda r: abs(r.value) / (r.scale or 1.0), default=None)
    if worst is not None and 1e-5 * worst.scale < worst.error_bar <= worst.scale:
        share = worst.error_bar / worst.scale
        notes.append(f"f is too coarse here to show a fault smaller than about {3 * share:.1g} of the slope")
    return _report(task, ok=True, worst=worst, summary="agrees with differences", evidence=tuple(notes))


def _report_casts(task: Task, problem: Problem, found: Sequence[tuple[int, Line, Residual]]) -> Report:
    """Name the leaves that were rounded to float32 on the way; a look at one entry shows by how much."""
    k, line, worst = max(found, key=lambda item: abs(item[2].value) / (item[2].scale or 1.0))
    summary = f"{task.leaves[k].name}'s gradient is right only to low precision: is there an inner cast?"
    evidence = ("every number of it fits in float32, and float32's rounding is what it is off by",)
    entries: tuple[Entry, ...] = ()
    shares = None if problem.claims is None else problem.claims[k]
    if shares is not None:
        index = tuple(int(n) for n in np.unravel_index(int(np.argmax(np.abs(shares * line.direction[k]))), shares.shape))
        mask = np.zeros(shares.shape, dtype=np.bool_)
        mask[index] = True
        value, bar = slope(problem, only(line.direction, k, mask))
        unit = float(line.direction[k][index])
        entries = (Entry(task.leaves[k].name, index, float(shares[index]), value / unit, bar / abs(unit)),)
    blame = tuple(position for position, _, _ in found)
    told = {"diagnosis": "precision", "summary": summary, "blame": blame, "evidence": evidence, "entries": entries}
    return _report(task, ok=False, worst=worst, **told)


def _report_undecided(task: Task, unclear: Sequence[tuple[Line, Residual]]) -> Report:
    line, worst = max(unclear, key=lambda item: item[1].error_bar / (item[1].scale or 1.0))
    moving = [leaf.name for leaf, u in zip(task.leaves, line.direction, strict=True) if np.any(u)]
    why = f"the error bar {worst.error_bar:.2g} is too wide for a slope of {worst.scale:.2g}"
    if worst.error_bar <= 1e-4 * worst.scale:
        why = f"off by {abs(worst.value):.2g} of {worst.scale:.2g}: more than rounding should do, less than a fault would"
    if math.isinf(worst.error_bar):
        why = "f cannot be evaluated on either side of the point"
    summary = f"along {', '.join(moving)}: {why}"
    return _report(task, ok=False, undecided=True, worst=worst, diagnosis="undecided", summary=summary)


def _report_kink(task: Task, measured: tuple[Line, Residual], found: tuple[float, float]) -> Report:
    line, worst = measured
    moving = tuple(k for k, u in enumerate(line.direction) if np.any(u))
    summary = "f has a kink here, and the claim is no slope of any point around"
    low, high = (worst.claimed + off for off in found)
    evidence = (
        f"along one direction the slopes around run from {low:.6g} to {high:.6g}; the claimed slope is {worst.claimed:.6g}",
    )
    return _report(task, ok=False, diagnosis="kink", worst=worst, summary=summary, evidence=evidence, blame=moving)


def _report_wrong(task: Task, problem: Problem, wrong: Sequence[tuple[Line, Residual]]) -> Report:
    """Find the wrong leaves, measure their truth, and ask the table of suspects."""
    worst = max((r for _, r in wrong), key=lambda r: abs(r.value) / (r.scale or 1.0))
    if problem.claims is None:
        evidence = f"along one direction: yours {worst.claimed:.9g}, measured {worst.value + worst.claimed:.9g}"
        return _report(task, ok=False, worst=worst, diagnosis="dense", summary="is wrong", evidence=(evidence,))
    problem = replace(problem, noise=max(problem.noise, min(r.noise for _, r in wrong)))
    rng = np.random.default_rng([task.seed, 4])
    blame, cases = evidence_for(task, problem, blamed(task, problem, wrong, rng), rng)
    found = sorted(((*diagnose(case), case) for case in cases), key=lambda one: one[0] == "dense")  # a cause goes before none
    code, sentence, first = found[0]
    if code == "precision" and abs(worst.value) <= ITERATED * worst.scale:
        much = f"off by {abs(worst.value) / worst.scale:.1g} of the slopes in all entries: as far as an iteration within f may be"
        return _report(task, ok=True, worst=worst, summary="agrees with differences", evidence=(much,))
    entries = [entry for own, _, case in found for entry in worst_entries(task, problem, case, own)]
    entries.sort(key=lambda e: -abs(e.yours - e.measured))
    others = tuple(f"{case.name}: {own}" for own, _, case in found) if len(cases) > 1 else ()
    share = f"measured slopes of {first.name}: {first.measured.size}, largest bar {float(np.max(first.bars)):.1g}"
    told = {"diagnosis": code, "summary": sentence, "blame": tuple(blame), "entries": tuple(entries)}
    told["leaves"] = tuple(every_entry(case) for case in cases if case.rows is None)
    return _report(task, ok=False, worst=worst, evidence=(share, *others), **told)
