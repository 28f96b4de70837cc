"""Check a claimed gradient, pullback, pushforward or Jacobian against differences: right, wrong with the cause, or undecided.

What is measured is the *residual* along scaled random directions (see :mod:`derivkit.numeric.finite_difference`), so
there is no step and no tolerance to tune, and the cost of a right answer does not grow with the number of entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from derivkit.checking.calls import BUDGET, Calls, Spent
from derivkit.checking.contract import CROOKED, contract
from derivkit.checking.diagnose import diagnose
from derivkit.checking.directions import Direction, Measured, hidden, joint, only, relaxed, settle
from derivkit.checking.evidence import blamed, every_entry, evidence_for, slope, worst_entries
from derivkit.checking.kinks import between, entries_alone, moved_aside, off_zeros, outside, shifts
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
#: This share of all calls may go into the verdict, and of what is left then this into the question whose fault it is.
DECIDING, BLAMING = 0.65, 0.5
#: At a kink so many points aside are looked at, until so many of them are smooth.
ATTEMPTS, SMOOTH = 4, 2


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
    task = Task(kind, value, derivative, args, found, seed, rtol, Calls(), dict(np.geterr()))
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


def _judge(task: Task, problem: Problem, budget: int = BUDGET) -> Report:
    """Measure, and stop at the first thing that is wrong; look at the kinks; where the calls run out, say what was seen."""
    task.calls.budget = budget
    task.calls.grant(DECIDING)
    residuals: list[Measured] = []
    kinks, spent, wrong = False, False, []
    try:
        for found in _along(task, problem):
            residuals.append(found)
            if wrong := _wrong([found]):
                break
        if (narrow := _narrow(task, problem, residuals, wrong)) is not None:
            return narrow
        if wrong:
            return _report_wrong(task, problem, wrong)
        kinks = any(r.gap for _, r in residuals)
        if kinks and (report := _at_kinks(task, problem, residuals)) is not None:
            return report
    except Spent:
        spent = True
    unclear = [(line, r) for line, r in residuals if r.verdict == "unclear" and not r.gap]
    return _report_undecided(task, unclear) if unclear or not residuals else _report_ok(task, problem, residuals, kinks, spent)


def _along(task: Task, problem: Problem) -> Iterator[Measured]:
    """Measure along two joint directions, along those of what hides in them, and wherever they are too blunt."""
    rng = np.random.default_rng([task.seed, 1])
    directions = joint(problem, rng), joint(problem, rng)
    together: list[Measured] = []
    for direction in directions:
        together.append(settle(task, problem, direction))
        yield together[-1]
    yield from relaxed(task, problem, rng, together)
    residuals = [r for _, r in together]
    problem = replace(problem, noise=max(r.noise for r in residuals))
    slack = negligible(residuals) if problem.unit <= COARSE else 0.0
    for direction in hidden(task, problem, *directions):
        yield settle(task, problem, direction, slack, brief=True)
    if not any(r.gap for r in residuals):
        yield from resolve(task, problem, residuals)


def _at_kinks(task: Task, problem: Problem, residuals: Sequence[Measured]) -> Report | None:
    """Return what is wrong at a kink, or hidden by one."""
    task.calls.grant(0.9)
    if elsewhere := off_zeros(task, problem):
        return _report_wrong(task, problem, elsewhere)
    if (aside := _aside(task, problem)) is not None:
        return aside
    together = chain(shifts(problem), (line for line, r in residuals if r.gap))
    suspicious = [line for line in together if not between(task, problem, line)]
    for line, r in entries_alone(task, problem):
        if _wrong([(line, r)]):
            return _report_wrong(task, problem, [(line, r)])
        if r.gap and (found := outside(line, problem, task)) is not None:
            return _report_kink(task, (line, r), found)
    for line in suspicious:
        if (found := outside(line, problem, task)) is not None:
            return _report_kink(task, settle(task, problem, line.direction), found)
    return None


def _narrow(task: Task, problem: Problem, residuals: Sequence[Measured], wrong: Sequence[Measured]) -> Report | None:
    """Return the report on a claim that is off by no more than a rounding to float32, where that is what was done to it."""
    sharp = any(r.error_bar <= ROUNDED / 100 * r.scale for _, r in residuals[:2])
    if not sharp or any(abs(r.value) > ROUNDED * r.scale for _, r in wrong):
        return None
    found = casts(task, problem)
    return _report_casts(task, problem, found) if found else None


def _wrong(residuals: Sequence[Measured]) -> list[Measured]:
    return [(line, r) for line, r in residuals if r.verdict == "wrong" and not r.gap]


def _judge_widely(there: Task, low: Problem) -> Report:
    """Judge claims of low precision (``low``) against f in float64; if they are but rounding, by the claim in float64."""
    precise = exact(there)
    if precise is None:
        return _judge(there, low)
    verdict, far = _judge(there, precise, BUDGET // 2), departure(low, precise)
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


def _aside(task: Task, problem: Problem) -> Report | None:
    """Check the same two functions at points a little aside, where f is smooth: a kink must not hide another fault."""
    smooth = 0
    for attempt in range(ATTEMPTS if task.kind != "jvp" else 0):
        if (elsewhere := moved_aside(task, problem, attempt)) is None:
            continue
        there, other = elsewhere
        residuals: list[Measured] = []
        for direction in _directions(task, other):
            residuals.append(settle(there, other, direction))
            if residuals[-1][1].gap:
                break
        else:
            smooth += 1
            if wrong := _wrong(residuals):
                report = _report_wrong(there, other, wrong)
                aside = "measured a thousandth aside: the point itself is on a kink"
                return replace(report, evidence=(*report.evidence, aside))
        if smooth == SMOOTH:
            break
    return None


def _directions(task: Task, problem: Problem) -> Iterator[Direction]:
    """Yield two joint directions, then those of what hides in them."""
    rng = np.random.default_rng([task.seed, 1])
    first, second = joint(problem, rng), joint(problem, rng)
    yield from (first, second)
    yield from hidden(task, problem, first, second)


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
        evaluations=task.calls.made,
        seed=task.seed,
        **fields,
    )


def _name(task: Task) -> str:
    return str(getattr(task.f, "__name__", type(task.f).__name__)).replace("<lambda>", "f")


def _report_finding(task: Task, finding: Finding) -> Report:
    return _report(task, ok=False, diagnosis=finding.code, summary=finding.sentence, blame=finding.blame)


def _report_ok(task: Task, problem: Problem, residuals: Sequence[Measured], kinks: bool, spent: bool) -> Report:
    skipped = [leaf.name for leaf, c in zip(task.leaves, problem.claims or (), strict=False) if c is None]
    notes = [f"not claimed, so not checked: {', '.join(skipped)}"] if skipped else []
    notes += ["at a kink: the claim lies in the range of the slopes around"] if kinks else []
    notes += [f"after {task.calls.made} calls of f the parts were not looked at any closer"] if spent else []
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
        unit = float(line.direction[k][index])
        with suppress(Spent):
            value, bar = slope(problem, only(line.direction, k, mask))
            entries = (Entry(task.leaves[k].name, index, float(shares[index]), value / unit, bar / abs(unit)),)
    blame = tuple(position for position, _, _ in found)
    told = {"diagnosis": "precision", "summary": summary, "blame": blame, "evidence": evidence, "entries": entries}
    return _report(task, ok=False, worst=worst, **told)


def _report_undecided(task: Task, unclear: Sequence[Measured]) -> Report:
    line, worst = max(unclear, key=lambda item: item[1].error_bar / (item[1].scale or 1.0))
    moving = [leaf.name for leaf, u in zip(task.leaves, line.direction, strict=True) if np.any(u)]
    why = f"the error bar {worst.error_bar:.2g} is too wide for a slope of {worst.scale:.2g}"
    if worst.error_bar <= 1e-4 * worst.scale:
        why = f"off by {abs(worst.value):.2g} of {worst.scale:.2g}: more than rounding should do, less than a fault would"
    if math.isinf(worst.error_bar):
        why = "f cannot be evaluated on either side of the point"
    summary = f"along {', '.join(moving)}: {why}"
    return _report(task, ok=False, undecided=True, worst=worst, diagnosis="undecided", summary=summary)


def _report_kink(task: Task, measured: Measured, found: tuple[float, float]) -> Report:
    line, worst = measured
    moving = tuple(k for k, u in enumerate(line.direction) if np.any(u))
    if found[0] > found[1]:
        summary = "f has a kink here and is not finite around: whether the claim is one of its slopes cannot be told"
        return _report(task, ok=False, undecided=True, diagnosis="undecided", worst=worst, summary=summary, blame=moving)
    summary = "f has a kink here, and the claim is no slope of any point around"
    low, high = (worst.claimed + off for off in found)
    evidence = (
        f"along one direction the slopes around run from {low:.6g} to {high:.6g}; the claimed slope is {worst.claimed:.6g}",
    )
    return _report(task, ok=False, diagnosis="kink", worst=worst, summary=summary, evidence=evidence, blame=moving)


def _report_wrong(task: Task, problem: Problem, wrong: Sequence[Measured]) -> Report:
    """Find the wrong leaves, measure their truth, and ask the table of suspects."""
    worst = max((r for _, r in wrong), key=lambda r: abs(r.value) / (r.scale or 1.0))
    problem = replace(problem, noise=max(problem.noise, min(r.noise for _, r in wrong)))
    rng = np.random.default_rng([task.seed, 4])
    task.calls.grant(BLAMING)
    blame = blamed(task, problem, wrong, rng)
    task.calls.grant(1.0)
    blame, cases = evidence_for(task, problem, blame, rng)
    if not cases:
        evidence = f"along one direction: yours {worst.claimed:.9g}, measured {worst.value + worst.claimed:.9g}"
        return _report(
            task, ok=False, worst=worst, diagnosis="dense", summary="is wrong", blame=tuple(blame), evidence=(evidence,)
        )
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
