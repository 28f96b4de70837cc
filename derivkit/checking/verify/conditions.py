"""What a right claim rests on: the declared kinds of inputs without which it is no longer the derivative."""

from __future__ import annotations

from itertools import islice

from derivkit.checking.verify.samples import KIND_WORDS, Case, close, declared, drawn, telling
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive import derive
from derivkit.symbolic.expr import Name
from derivkit.symbolic.steps import Result

ENOUGH = 8  # points: formulas that differ anywhere differ nearly everywhere


def conditions(case: Case) -> tuple[str, ...]:
    """Return the declarations that a right claim needs, in words: ``t is one-hot``.

    Each in turn is forgotten, and the derivative made anew, since a form that used it is another function without it.
    Where one declaration stands in for another, so that only together they are needed, both are told.
    """
    known = [i.name for i in case.result.graph.inputs.values() if i.kind in KIND_WORDS]
    needed = [name for name in known if not _right_without(case, name)]
    spare = [name for name in known if name not in needed]
    if len(spare) > 1 and not _right_without(case, *spare):
        needed = known
    return tuple(f"{name} is {KIND_WORDS[case.result.graph.inputs[name].kind]}" for name in needed)


def _right_without(case: Case, *names: Name) -> bool:
    """Say whether the claim is right for any real arrays of these names; where nothing can be told, what was used decides."""
    kinds = dict.fromkeys(names, "real")
    try:
        result = _derived(case, kinds)
        samples = tuple(islice(drawn(result, case.formula, case.layout, 1), ENOUGH))
    except DerivkitError:
        samples = ()
    if not telling(samples):
        used = (*case.derivation.facts, *case.result.facts)
        return not any(f.startswith(f"{name} is ") for f in used for name in names)
    return all(close(s.claim, s.truth) for s in samples)


def _derived(case: Case, kinds: dict[Name, str]) -> Result:
    d, name = case.derivation, str(case.result.wrt)
    key = next((key for key, result in d.results.items() if result is case.result), name)
    wrt = list(map(str, d.wrt)) if key in d.results else name
    along = [str(v) for v in d.directions.values()] or None
    return derive(declared(d.primal, kinds), wrt, kind=d.kind, along=along, check=False).results[key]
