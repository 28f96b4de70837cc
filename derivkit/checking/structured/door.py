"""Check every entry of every gradient of a kernel: the structure of its program makes that cheap.

Only the primal program is evaluated, in float64 whatever the kernel computes in; no derived adjoint is read.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.check import check_gradient
from derivkit.checking.line import Line, rung
from derivkit.checking.problem import COARSE, SLACK, Point, norm
from derivkit.checking.report import Report
from derivkit.checking.residual import measure
from derivkit.checking.structured.blamed import blame
from derivkit.checking.structured.columns import BARS, typical
from derivkit.checking.structured.measured import Measurement
from derivkit.checking.structured.routes import compiled, routes
from derivkit.checking.structured.verdict import Judged, judge, misfit
from derivkit.checking.structured.words import Words
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.codegen.cuts import objective
from derivkit.numeric.finite_difference import scales
from derivkit.numeric.kernel import Kernel, precision
from derivkit.symbolic.expr import Name
from derivkit.symbolic.given import by_name, fix_sizes
from derivkit.symbolic.graph import Graph

Array = NDArray[Any]

#: The kinds whose results are slopes of one number.
KINDS = ("gradient", "vjp")
SEED = 0
#: All entries of a wrong leaf of at most this many are kept, to be drawn.
DRAWN = 4096
#: The whole gradient is held against the loss at these steps, to this share of its size: a missing part is more.
NEAR, CLOSE = (1e-6, 1e-7), 1e-5


def check_kernel(
    kernel: Kernel, arrays: Mapping[str, Any] | None = None, /, grads: Mapping[str, Any] | None = None, **named: Any
) -> Report:
    r"""Check every entry of every gradient of a kernel, or of the arrays ``grads`` by name, at the point given.

    An input W that enters by a product z = h W is not moved: each column of z is, for all samples at once, each sample
    with its own loss.  That gives ∂L/∂z in two evaluations a column, and ∂L/∂W = hᵀ ∂L/∂z exactly; random projections
    certify it.  ``blame`` of the report are positions among the gradients that were checked, ``unchecked`` the names of
    those that ``grads`` lacks or has ``None`` for.  Raises :class:`DerivkitError` for arrays that the kernel does not
    take, unknown names, no gradient at all, and kinds other than gradient and vjp.

    >>> import numpy as np
    >>> import derivkit as dk
    >>> k = dk.compile("x: D\nw: D\nE = (w @ x)**2", wrt="w", batch="x")
    >>> arrays = {"x": np.array([[1.0, 2.0], [3.0, 4.0]]), "w": np.array([1.0, -1.0])}
    >>> check_kernel(k, arrays).ok
    True
    >>> check_kernel(k, arrays, grads={"w": np.array([-8.0, -12.0])}).diagnosis
    'scale:2'
    """
    if not isinstance(kernel, Kernel):
        raise DerivkitError(
            f"a kernel is checked, not a {type(kernel).__name__}", code="DK010", hint="check_kernel(compile(...))"
        )
    kind = kernel.derivation.kind
    if kind not in KINDS:
        hint = "compile it with kind='vjp', or hand its function to dk.check_jvp or dk.check_jacobian"
        raise DerivkitError(f"the entries of a {kind} are not checked one by one", code="DK010", hint=hint)
    given = by_name(arrays, named)
    with np.errstate(all="ignore"):
        return _Check(kernel, given, grads).report()


class _Check:
    """One check: the point, the claims, and what was measured."""

    def __init__(self, kernel: Kernel, given: Mapping[str, Any], grads: Mapping[str, Any] | None) -> None:
        found = kernel.arguments(given, {})
        self.kernel = kernel
        self.own = grads is None
        self.dtype = precision(found)
        claims = kernel({str(i.name): a for i, a in zip(kernel.program.inputs, found, strict=True)})[1]
        unread = {word: np.zeros(c.shape) for word, c in claims.items()}
        self.claims = {word: _claim(word, c) for word, c in (claims if grads is None else _known(kernel, grads)).items()}
        self.unchecked = tuple(word for word in claims if word not in self.claims)
        self.eps = max([float(np.finfo(self.dtype).eps), *(_eps(c) for c in self.claims.values())])
        self.program = objective(kernel.derivation, kernel.program)
        words = unread | {
            str(i.name): a if i.kind == "label" else a.astype(float) for i, a in zip(kernel.program.inputs, found, strict=True)
        }
        self.values: dict[Name, Array] = {i.name: words[str(i.name)] for i in self.program.inputs}
        sizes = fix_sizes(Graph({i.name: i for i in self.program.inputs}, (), self.program.value), self._words(), {})
        self.sizes = {**kernel.sizes({str(i.name): words[str(i.name)] for i in kernel.program.inputs}), **sizes}
        self.leaves = {word: next(i.name for i in self.program.inputs if str(i.name) == word) for word in self.claims}
        self._whole = compiled(replace(self.program, kind="value"), self.sizes)
        self.calls = 0
        blur = 0.0 if self.eps <= COARSE else 64 * self.eps
        self.measured = Measurement(routes(self.program, self.leaves.values(), self.sizes), self.sizes, dict(self.values), blur)
        if not math.isfinite(self.measured.loss):
            raise DerivkitError(f"the loss is {self.measured.loss} at the point: nothing can be measured", code="DK050")
        self.measured.measure()

    def _words(self) -> dict[str, Array]:
        return {str(name): a for name, a in self.values.items()}

    def report(self) -> Report:
        """Return the verdict: of what fits and is finite, every entry is held against its measured slope."""
        early = self._misfits()
        if early is not None:
            return early
        judged = self._judged()
        trusted = [j for j in judged if not j.blunt and self.measured.certified(self.leaves[j.name], np.random.default_rng(SEED))]
        if not self._adds_up(trusted):
            trusted = []
        if wrong := [j for j in trusted if np.any(j.wrong)]:
            return self._wrong(wrong, trusted)
        again = [word for word in self.claims if word not in {j.name for j in trusted}]
        if again and not (verdict := self._directions(again)).ok:
            return verdict
        if doubtful := [j for j in trusted if np.any(j.unclear)]:
            return self._undecided(doubtful, "off by more than rounding should do, less than a fault would")
        if unseen := [j for j in trusted if j.unseen]:
            return self._undecided(unseen, "too faint: a change of its own size moves the loss by no more than rounding does")
        return self._ok(trusted, again)

    def _judged(self) -> list[Judged]:
        found = []
        for position, (word, claim) in enumerate(self.claims.items()):
            leaf = self.leaves[word]
            if self.measured.routes.shares[leaf] is not None:
                found.append(judge(self.measured, leaf, position, claim.astype(float), self.eps))
        return found

    def _adds_up(self, judged: Sequence[Judged]) -> bool:
        """Return whether the measured gradients predict the loss itself along one random direction of all leaves together.

        Each step from a column to an entry is certified by itself; this is the proof that no step is missing.
        """
        if not judged:
            return True
        rng = np.random.default_rng([SEED, 1])
        names = [self.leaves[j.name] for j in judged]
        direction = tuple(np.asarray(scales(j.point) * rng.choice([-1.0, 1.0], j.point.shape)) for j in judged)
        slopes = [j.found.value for j in judged]

        def predict(moved: Point) -> float:
            return float(sum(np.sum(g * m) for g, m in zip(slopes, moved, strict=True)))

        def value(reached: Point) -> float:
            self.calls += 1
            return self._loss(names, reached)

        line = Line(
            value, predict, tuple(j.point for j in judged), direction, self.measured.loss, float(np.finfo(float).eps), 0.0
        )
        size = norm(np.concatenate([(g * u).ravel() for g, u in zip(slopes, direction, strict=True)]))
        bars = [(BARS * j.found.bar + j.found.gap) * np.abs(u) for j, u in zip(judged, direction, strict=True)]
        bar = float(sum(np.sum(b) for b in bars))
        quick = (rung(line, step).central for step in NEAR)  # the residual, where no kink is that near
        return any(abs(r) <= CLOSE * size + bar for r in quick) or measure(line, size, SLACK * size + bar).verdict != "wrong"

    def _loss(self, names: Sequence[Name], arrays: Sequence[Array]) -> float:
        try:
            return float(self._whole({**self.values, **dict(zip(names, arrays, strict=True))}))
        except (ArithmeticError, ValueError):  # a singular matrix, say
            return math.nan

    def _report(self, **fields: Any) -> Report:
        claims = "" if self.own else ", grads"
        return Report(
            evaluations=self.measured.calls + self.calls,
            seed=SEED,
            reproduce=f"derivkit.check_kernel(kernel, arrays{claims})",
            subject=f"{self.kernel.derivation.kind} of {self.kernel.derivation.primal.output}",
            unchecked=self.unchecked,
            **fields,
        )

    def _misfits(self) -> Report | None:
        for position, (word, claim) in enumerate(self.claims.items()):
            told: dict[str, Any] = {"ok": False, "blame": (position,)}
            if claim.dtype.kind not in "fiub":
                said = f"the gradient of {word} has dtype {claim.dtype}, not real numbers"
                return self._report(diagnosis="dtype", summary=said, **told)
            if not np.all(np.isfinite(claim)):
                bad = tuple(int(n) for n in np.argwhere(~np.isfinite(claim))[0])
                said = (
                    f"the gradient of {word} is not finite, first at {list(bad)}"
                    if bad
                    else f"the gradient of {word} is not finite"
                )
                return self._report(diagnosis="non-finite", summary=said, **told)
            if claim.shape != self.values[self.leaves[word]].shape:
                code, said = misfit(word, claim, self.measured.leaf(self.leaves[word]))
                return self._report(diagnosis=code, summary=said, **told)
        return None

    def _ok(self, judged: Sequence[Judged], again: Sequence[str]) -> Report:
        count = sum(j.claim.size for j in judged if j.name not in again)
        notes = [f"{count} entries, each against its own difference"] if count else []
        notes += [f"along random directions only: {', '.join(again)}"] if again else []
        kinks = sum(int(np.sum(j.found.gap > 0.1 * (np.abs(j.found.value) + typical(j.found.value)))) for j in judged)
        notes += [f"at a kink: {kinks} entries lie in the range of their one-sided slopes"] if kinks else []
        error, bar = max((_relative(j) for j in judged if not j.blunt), default=(math.nan, math.nan))
        told = f"agrees with differences; {', '.join(self.unchecked)} not given" if self.unchecked else "agrees with differences"
        return self._report(ok=True, summary=told, evidence=tuple(notes), error=error, error_bar=bar)

    def _wrong(self, wrong: Sequence[Judged], trusted: Sequence[Judged]) -> Report:
        claims = {word: c.astype(float) for word, c in self.claims.items()}
        words = Words(self.kernel.derivation.primal)
        why = blame(self.program, self.measured, words, trusted, self.leaves, claims)
        entries = sorted((e for j in wrong for e in j.entries()), key=lambda e: -abs(e.yours - e.measured))
        error, bar = max(_relative(j) for j in wrong)
        return self._report(
            ok=False,
            diagnosis=why.code,
            summary=why.sentence,
            blame=tuple(j.position for j in wrong),
            entries=tuple(entries[:16]),
            error=error,
            error_bar=bar,
            evidence=why.evidence,
            leaves=tuple(j.leaf() for j in wrong if j.claim.size <= DRAWN),
        )

    def _undecided(self, doubtful: Sequence[Judged], why: str) -> Report:
        names = ", ".join(j.name for j in doubtful)
        summary = f"{names}: {why}"
        error, bar = max(_relative(j) for j in doubtful)
        return self._report(ok=False, undecided=True, diagnosis="undecided", summary=summary, error=error, error_bar=bar)

    def _directions(self, words: Sequence[str]) -> Report:
        """Return the verdict of :func:`check_gradient` on some leaves: along random directions, to any number of entries."""
        names = [self.leaves[word] for word in words]

        def loss(*arrays: Array) -> float:
            return self._loss(names, [a.astype(float) for a in arrays])

        loss.__name__ = str(self.kernel.derivation.primal.output)
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
        loss.__signature__ = inspect.Signature([inspect.Parameter(word, kinds) for word in words])  # type: ignore[attr-defined]
        claims = tuple(self.claims[word] for word in words)
        point = [self.values[n].astype(c.dtype if c.dtype.kind == "f" else float) for n, c in zip(names, claims, strict=True)]
        made = check_gradient(loss, lambda *arrays: tuple(c.copy() for c in claims), *point, seed=SEED)
        self.calls += made.evaluations
        places = {k: list(self.claims).index(word) for k, word in enumerate(words)}
        mine = self._report(ok=made.ok)
        return replace(
            made,
            blame=tuple(places[b] for b in made.blame),
            evaluations=mine.evaluations,
            reproduce=mine.reproduce,
            subject=mine.subject,
            unchecked=mine.unchecked,
        )


def _relative(judged: Judged) -> tuple[float, float]:
    """Return the largest difference and its bar, relative to a typical entry."""
    size = max(typical(judged.found.value), typical(judged.claim)) or 1.0
    off = np.maximum(judged.off - judged.found.gap, 0.0)
    worst = int(np.argmax(off))
    return float(off.ravel()[worst]) / size, float(judged.found.bar.ravel()[worst]) / size


def _claim(word: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DerivkitError(f"the gradient of '{echo(word)}' is no array of numbers", code="DK040") from error


def _eps(claim: Array) -> float:
    return float(np.finfo(claim.dtype).eps) if claim.dtype.kind == "f" else 0.0


def _known(kernel: Kernel, grads: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the claims in the kernel's order (``None`` claims nothing); an error for a name of which it has no gradient."""
    if not isinstance(grads, Mapping) or not grads:
        raise DerivkitError("grads is a mapping from names to arrays", code="DK010", hint="grads={'W': ...}")
    known = tuple(kernel.program.gradients)
    for word in grads:
        if word not in known:
            hint = did_you_mean(str(word), known) or f"the gradients are {', '.join(known)}"
            raise DerivkitError(f"the kernel has no gradient by '{echo(word)}'", code="DK008", hint=hint)
    claimed = {word: grads[word] for word in known if grads.get(word) is not None}
    if not claimed:
        raise DerivkitError(
            f"no gradient is given: {', '.join(map(str, grads))} {'is' if len(grads) == 1 else 'are'} None",
            code="DK010",
            hint=f"grads={{'{known[0]}': ...}}, an array for each of {', '.join(known)}",
        )
    return claimed
