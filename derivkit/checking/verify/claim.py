"""``d.verify(claim, wrt)``: is somebody's closed form this derivative?

A claim is right when it equals the derivative at several sizes (all distinct, and all ones) and points of the declared kinds.
A wrong one gets the cause from the table in ``corruptions`` and the smallest counterexample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np

from derivkit.checking.report import UNDECIDED, Entry, Report
from derivkit.checking.verify.conditions import conditions
from derivkit.checking.verify.corruptions import cause
from derivkit.checking.verify.samples import (
    Case,
    Formula,
    Sample,
    close,
    decides,
    drawn,
    elsewhere,
    off,
    sampled,
    telling,
    tolerated,
)
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.layout import Layout, axis_order, read_layout
from derivkit.symbolic.derive import derive
from derivkit.symbolic.expr import user
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import ONE
from derivkit.symbolic.ops import FUNCTIONS
from derivkit.symbolic.parse import read_expression, syntax
from derivkit.symbolic.parse.shapes import walk
from derivkit.symbolic.parse.statements import parse_program
from derivkit.symbolic.render.program import result_program
from derivkit.symbolic.steps import Derivation, Result

__all__ = ["Report", "verify_claim"]

_SHAPES = "DK012"
_SHOWN = 8  # numbers of a counterexample's inputs
LONGEST = 400  # characters of a claim that are kept; a report prints both ends of what does not fit a line


def verify_claim(
    derivation: Derivation, claim: str, wrt: str | None = None, *, layout: str | None = None, seed: int = 0
) -> Report:
    r"""Return whether ``claim``, program text in the program's names, is the derivative with respect to ``wrt``.

    The claim is an expression (``"W.T @ (y - t)"``), a line (``"dE_dW[j,i] = r[j] * x[i]"``), or several, of which the last
    counts.  Of an index expression without a left side the order of its letters is found.  ``wrt`` may be any name of the
    program that the derivation has no result for.  Raises :class:`DerivkitError` for a claim that cannot be read; one whose
    shapes do not fit is wrong.

    >>> from derivkit.symbolic.derive import derive
    >>> d = derive("z: K\nt: onehot K\ny = softmax(z)\nE = cross_entropy(t, y)", "z")
    >>> bool(verify_claim(d, "y - t")), verify_claim(d, "t - y").diagnosis
    (True, 'sign')
    """
    if not isinstance(claim, str):
        raise DerivkitError(f"a claim is program text, not {type(claim).__name__}", code="DK010", hint="d.verify('y - t', 'z')")
    result = _result(derivation, wrt)
    asked = read_layout(layout or derivation.layout)
    subject = _subject(claim, result)
    reproduce = f"d.verify({claim!r}, wrt={str(result.wrt)!r})"
    try:
        formulas = list(_formulas(claim, result))
    except DerivkitError as error:
        if error.code != _SHAPES:
            raise
        message = f"its {error.message}" if error.message.startswith("shapes do") else f"its shapes do not fit: {error.message}"
        return Report(False, diagnosis="shape", subject=subject, summary=message, seed=seed, reproduce=reproduce)
    meant = (f for f in formulas if all(close(s.claim, s.truth) for s in drawn(result, f, asked, seed)))
    formula = formulas[0] if len(formulas) == 1 else next(meant, formulas[0])
    case = Case(derivation, result, asked, formula, sampled(result, formula, asked, seed))
    if case.right and decides((case.formula.expr, case.result.expr, *(d.rhs for d in result.graph))):
        case = replace(case, samples=(*case.samples, *elsewhere(case, seed)))
    points = len(case.samples)
    if not telling(case.samples):
        message = "no point was found at which the program is finite"
        return Report(False, True, UNDECIDED, subject=subject, summary=message, seed=seed, reproduce=reproduce)
    worst = max(off(s.claim, s.truth) for s in case.samples)
    if case.right:
        message = f"right: equal at {points} points of {_count(case)}"
        return Report(
            True, error=worst, error_bar=1e-9, evaluations=points, seed=seed, subject=subject, summary=message,
            evidence=_needs(case), reproduce=reproduce,
        )  # fmt: skip
    code, sentence = cause(case)
    example = min(
        (s for s in case.samples if not close(s.claim, s.truth)), key=lambda s: (not np.any(s.truth), sum(s.sizes.values()))
    )
    return Report(
        False,
        diagnosis=code,
        blame=(0,),
        entries=tuple(_entries(str(result.wrt), example)),
        error=worst,
        error_bar=1e-9,
        evaluations=points,
        seed=seed,
        reproduce=reproduce,
        subject=subject,
        summary=sentence,
        evidence=(*_counterexample(example), f"right: {_text(result, asked)}"),
    )


def _result(derivation: Derivation, wrt: str | None) -> Result:
    if wrt is None:
        return derivation.result
    word = str(wrt)
    if word in derivation.results:
        return derivation.results[word]
    if derivation.kind not in ("gradient", "jacobian"):
        known = ", ".join(derivation.results)
        hint = did_you_mean(word, derivation.results) or f"the results are {known}"
        raise DerivkitError(f"there is no result for '{echo(word)}'", code="DK008", hint=hint)
    return derive(derivation.primal, wrt=word, kind=derivation.kind, check=False).result


# -- reading ---------------------------------------------------------------------------------------------------------------


def _formulas(claim: str, result: Result) -> Iterator[Formula]:
    """Yield what the claim may mean: one thing, but for an index expression that does not say the order of its letters."""
    graph, lines = result.graph, _lines(claim)
    before: list[Definition] = []
    taken = {str(n) for n in (*graph.inputs, *graph.extra, *(d.name for d in graph))}
    for name, text in lines[:-1]:
        if name in taken:
            raise DerivkitError(f"'{name}' is a name of the program", code="DK011", hint="give the claim's line another name")
        taken.add(name)
        expr, axes = read_expression(text, graph)
        shape = tuple(ONE if a is None else a.size for a in axes)
        before.append(Definition(user(name), shape, axes, expr, text=text))
        graph = Graph(graph.inputs, (*graph.definitions, before[-1]), graph.output, extra=graph.extra)
    text = lines[-1][1]
    try:
        yield Formula(*read_expression(text, graph), graph, tuple(before))
        return
    except DerivkitError as error:
        letters = _loose_letters(text, graph) if error.code != _SHAPES or "[" in text else []
        found = False
        for order in permutations(letters) if len(letters) == len(result.shape) > 0 else ():
            try:
                expr, axes = read_expression(f"claim_[{','.join(order)}] = {text}", graph)
            except DerivkitError:
                continue
            found = True
            yield Formula(expr, axes, graph, tuple(before))
        if not found:
            raise error from None


def _lines(claim: str) -> list[tuple[str, str]]:
    """Return the name and the text of each statement."""
    statements = parse_program(claim, FUNCTIONS).statements
    lines = claim.split("\n")
    starts = [s.place.line for s in statements]
    texts = ["\n".join(lines[a - 1 : b - 1]) for a, b in zip(starts, [*starts[1:], len(lines) + 1], strict=True)]
    return [(getattr(s, "name", ""), text) for s, text in zip(statements, texts, strict=True)]


def _loose_letters(text: str, graph: Graph) -> list[str]:
    """Return the index letters that nothing binds, in order of appearance."""
    statements = parse_program(text, FUNCTIONS).statements
    if len(statements) != 1 or not isinstance(statements[0], syntax.Output):
        return []
    nodes = list(walk(statements))
    bound = {i.id for n in nodes if isinstance(n, syntax.IndexedReduce) for i in n.indices}
    known = {str(n) for n in (*graph.inputs, *graph.extra, *(d.name for d in graph))}
    sizes = {w for i in (*graph.inputs.values(), *graph.extra.values()) for size in i.shape for w in size.names()}
    places = [p for n in nodes for p in _places(n)]
    inside = [m for p in places for m in walk((p,)) if isinstance(m, syntax.Name)]
    return list(dict.fromkeys(m.id for m in inside if m.id not in bound | known | sizes))


def _places(node: object) -> tuple[object, ...]:
    if isinstance(node, syntax.DeltaTerm):
        return (node.a, node.b)
    return tuple(node.items) if isinstance(node, syntax.Subscript) else ()


def _subject(claim: str, result: Result) -> str:
    """Return the claim as an equation, with the left side that it has or the derivative's name; its other lines stand behind."""
    *before, (name, last) = ((name, " ".join(text.split())) for name, text in _lines(claim))
    return ", ".join([echo(last if name else f"{result.name} = {last}", LONGEST), *(echo(text, LONGEST) for _, text in before)])


# -- what is said ----------------------------------------------------------------------------------------------------------


def _count(case: Case) -> str:
    sets = len({tuple(s.sizes.items()) for s in case.samples})
    return "one set of sizes" if sets == 1 else f"{sets} sets of sizes"


def _needs(case: Case) -> tuple[str, ...]:
    told = conditions(case)
    return (f"where {', '.join(told)}",) if told else ()


def _entries(name: str, sample: Sample) -> Iterator[Entry]:
    if sample.claim.shape != sample.truth.shape:
        return
    gap = np.abs(np.asarray(sample.claim - sample.truth, dtype=float))
    gap = np.where(np.isnan(gap), np.inf, gap)
    wrong = np.flatnonzero(gap > tolerated(sample.truth))
    for flat in wrong[np.argsort(-gap.ravel()[wrong], kind="stable")][:5]:
        at = tuple(int(i) for i in np.unravel_index(int(flat), gap.shape))
        yield Entry(name, at, float(sample.claim[at]), float(sample.truth[at]), 1e-9 * abs(float(sample.truth[at])))


def _counterexample(sample: Sample) -> Iterator[str]:
    sizes = ", ".join(f"{n} = {v}" for n, v in sample.sizes.items())
    where = f" at {sizes}" if sizes else ""
    if sample.claim.shape != sample.truth.shape:
        yield f"counterexample{where}: the claim has shape {sample.claim.shape}, the derivative {sample.truth.shape}"
        return
    worst = next(_entries("", sample))
    at = f" entry {list(worst.index)} of" if worst.index else ""
    yield f"counterexample{where}:{at} the claim is {worst.yours:.6g}, the derivative {worst.measured:.6g}"
    if sum(v.size for v in sample.values.values()) <= _SHOWN:
        shown = (
            f"{n} = {np.array2string(np.asarray(v, dtype=float), precision=4, separator=', ')}" for n, v in sample.values.items()
        )
        yield "with " + ", ".join(shown)


def _text(result: Result, layout: Layout) -> str:
    """Return the derivative as program text, in matrix notation where there is one."""
    for notation in ("matrix", "index"):
        try:
            return " ".join(result_program(result, notation, layout).split())
        except DerivkitError:
            continue
    order = axis_order(layout, len(result.outputs), len(result.inputs))
    return f"an array of {len(order)} axes"
