"""Derivatives as people write them: by a name, or by what a function of the document returns."""

from __future__ import annotations

from derivkit.errors import echo
from derivkit.symbolic.derive.differentiate import partial
from derivkit.symbolic.expr import Name, Ref, freshen, walk
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.meaning import Reads
from derivkit.symbolic.notes.terms import Term, unclear


def derivative(reading: Reads, formula: f.Derivative) -> Term:
    """Return a derivative by a name, or by what a document's function returns."""
    if not formula.by:
        raise unclear("a derivative that does not say by what")
    made = reading.term(formula.of)
    for by in formula.by:
        made = slope(reading, made, formula.of, by)
    return made


def slope(reading: Reads, of: Term, written: f.Formula, by: f.Formula) -> Term:
    """Return the derivative of a term by one name."""
    target = reading.term(by)
    if not isinstance(target.expr, Ref):
        raise unclear("a derivative by something that is no name")
    name = target.expr.name
    refuse_unknown(reading, of, written, name)
    places = tuple(i.fresh() for i in indices_of(reading, name))
    expr = partial(reading.meaning.inlined(of.expr, name), name, places)
    subs = dict(zip(places, target.expr.subs, strict=True))
    fresh = {a: a.fresh() for a in target.axes}
    subs = {p: s.substitute({a: Affine.of(b) for a, b in fresh.items()}) for p, s in subs.items()}
    return Term(freshen(expr, subs), (*of.axes, *fresh.values()))


def indices_of(reading: Reads, name: Name) -> tuple[Index, ...]:
    """Return an index for each axis of a name."""
    definition = reading.meaning.definitions.get(name)
    if definition is not None:
        return definition.bound
    return tuple(Index("ijkl"[n % 4], size) for n, size in enumerate(reading.meaning.inputs[name][1]))


def refuse_unknown(reading: Reads, of: Term, written: f.Formula, target: Name) -> None:
    """Refuse the derivative of a bare name that the document does not relate to what it is differentiated by."""
    if reading.meaning.depends(of.expr, target):
        return
    named = isinstance(of.expr, Ref)
    if named or not any(isinstance(n, Ref) for n in walk(of.expr)):
        word = str(of.expr.name) if isinstance(of.expr, Ref) else "this"
        raise unclear(f"the document does not say how {echo(word)} depends on {echo(str(target))}")
    del written
