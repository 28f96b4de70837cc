"""Calls: operations of the table by the words that people use, and the functions that a document defines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

from derivkit.errors import echo
from derivkit.symbolic.expr import Fn, Name, Num, Prim, Ref, freshen, key
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes import language
from derivkit.symbolic.notes.context import Stated, subscripts_of
from derivkit.symbolic.notes.linear import MATRIX
from derivkit.symbolic.notes.meaning import Reads
from derivkit.symbolic.notes.terms import Parameter, Term, power, times, unclear
from derivkit.symbolic.ops import ELEMENTWISE as LANGUAGE

#: Functions of one number, as they are written: as in the language, and as elsewhere.
ELEMENTWISE = {
    **{word: word for word, op in LANGUAGE.items() if len(op.signature.split(",")) == 1},
    "log": "log",
    "ln": "log",
    "arctan": "arctan",
    "ReLU": "relu",
    "Relu": "relu",
    "logistic": "sigmoid",
    "sgn": "sign",
    "sign": "sign",
}
#: Functions of a row, likewise.
#: Functions that may say below which letters run over their argument: inv_{ij}(A_ik B_kj).
_BINDING = {"inv": "inv", "det": "det", "logdet": "logdet", "softmax": "softmax", "logsumexp": "logsumexp"}
ROWS = {"softmax": "softmax", "Softmax": "softmax", "SoftMax": "softmax"}


def is_function(reading: Reads, formula: f.Application) -> bool:
    """Say whether what stands before a bracket is a function."""
    symbol, subscripts = subscripts_of(formula.function)
    if symbol is None:
        return isinstance(formula.function, f.Power) and is_function(reading, replace(formula, function=formula.function.base))
    word = reading.context.key(symbol)
    if word in reading.context.functions:
        return True
    stated = reading.context.definition(word, reading.order)
    if stated is not None and stated.parameters and reading.context.is_call(formula):
        return True
    named = builtin(reading, symbol) is not None or language.known(symbol.name) is not None
    return not subscripts and stated is None and named and not reading.context.ranks.get(word)


def builtin(reading: Reads, symbol: f.Symbol) -> str | None:
    """Return the operation that a word is called by."""
    word = symbol.name
    if word == "sigma" and not reading.context.ranks.get("sigma"):
        return "sigmoid"
    return ELEMENTWISE.get(word) or ROWS.get(word)


def applied(reading: Reads, formula: f.Application) -> Term:
    """Return a call; a name with what it depends on; or a product."""
    function = formula.function
    if isinstance(function, f.Power):  # exp^2(z), or A^{-1} (x - y)
        inner = replace(formula, function=function.base)
        if not is_function(reading, inner):
            return product_of(reading, formula)
        exponent = reading.term(function.exponent)
        return power(applied(reading, inner), exponent.expr)
    if reading.context.name_of(formula) is not None:
        word, subscripts = reading.context.name_of(formula)  # type: ignore[misc]
        return reading.array(word, subscripts)
    symbol, subscripts = subscripts_of(function)
    word = "" if symbol is None else reading.context.key(symbol)
    stated = reading.context.definition(word, reading.order)
    if symbol is not None and stated is None and len(formula.arguments) == 1 and symbol.name in _BINDING and subscripts:
        return language.bound(reading, _BINDING[symbol.name], subscripts, formula.arguments[0])
    if word in reading.context.functions and stated is not None and reading.context.is_call(formula):
        return called(reading, stated, subscripts, formula)
    if symbol is not None and stated is None and symbol.name in MATRIX and len(formula.arguments) == 1:
        return MATRIX[symbol.name](reading.term(formula.arguments[0]))
    if symbol is not None and stated is None and not subscripts and symbol.label is None:
        if len(formula.arguments) == 1 and (op := builtin(reading, symbol)) is not None:
            return operation(reading, op, formula)
        if (name := language.known(symbol.name, len(formula.arguments))) is not None and not reading.context.ranks.get(word):
            return language.spoken(reading, name, formula.arguments)
    if stated is not None and stated.parameters and reading.context.is_call(formula):
        return reading.named(function)  # E(w) is E
    if not formula.brackets:
        raise unclear(f"{echo(word)} is no function that derivkit knows")
    return product_of(reading, formula)


def product_of(reading: Reads, formula: f.Application) -> Term:
    """Return a product that was written as a call is."""
    inner = f.List(formula.arguments, place=formula.place, end=formula.end)
    return times(reading.term(formula.function), "", reading.term(inner))


def operation(reading: Reads, op: str, formula: f.Application) -> Term:
    """Return an operation of the table."""
    if len(formula.arguments) != 1:
        raise unclear(f"{op} of several arguments")
    inner = reading.term(formula.arguments[0])
    if op == "sqrt":
        return power(inner, Num(Fraction(1, 2)))
    if op != "softmax":
        return replace(inner, expr=Fn(op, (inner.expr,)))
    index = row_index(reading, inner, formula.arguments[0], None)
    bound = index.fresh()
    return replace(inner, expr=Prim("softmax", (bound,), (freshen(inner.expr, {index: Affine.of(bound)}),), (Affine.of(index),)))


def row_index(reading: Reads, term: Term, formula: f.Formula, hint: str | None) -> Index:
    """Return the index of a term over which a function of a row runs."""
    if term.axes:
        return term.axes[-1]
    free = sorted(term.expr.free, key=lambda i: i.uid)
    if len(free) == 1:
        return free[0]
    named = [i for i in free if i.hint == hint]
    if len(named) == 1:
        return named[0]
    _, subscripts = subscripts_of(formula)
    last = subscripts[-1] if subscripts else None
    if isinstance(last, f.Symbol) and last.name in reading.scope:
        return reading.scope[last.name]
    raise unclear("a function of a row, and no index that runs over it")


def called(reading: Reads, stated: Stated, subscripts: tuple[f.Formula, ...], formula: f.Application) -> Term:
    """Return a call of a document's function: a line of its own, so that one may differentiate by it."""
    if len(stated.parameters) != len(formula.arguments):
        raise unclear("a function with another number of arguments than in its definition")
    terms = tuple(map(reading.term, formula.arguments))
    version = reading.context.version(stated)
    free = free_of(reading, terms)
    own = stated.subscripts
    for before, definition in reading.meaning.calls.get(version, ()):
        if (places := _matched(before, terms, definition.bound, free)) is not None:
            return read_call(reading, definition, places, terms, own, subscripts)
    if version in reading.meaning.open:
        raise unclear("a function that calls itself")
    reading.meaning.open.add(version)
    try:
        inner = reading.begun(stated.order)
        for given, term, written in zip(stated.parameters, terms, formula.arguments, strict=True):
            bind(reading, inner, given, term, written)
        letters = tuple(inner.letter(s.name) for s in own if isinstance(s, f.Symbol))
        body = inner.term(stated.right)
    finally:
        reading.meaning.open.discard(version)
    if any(a not in body.expr.free for t in terms for a in t.axes):  # of a whole array, and not entry by entry
        if own or subscripts:
            raise unclear("a function of an array, with subscripts of its own")
        return body
    axes = (*free, *letters, *(a for a in body.axes if a not in free))
    name = Name("user", f"{version}({len(reading.meaning.calls.get(version, ())) + 1})")
    definition = reading.meaning.define(name, axes, body.expr)
    reading.meaning.calls.setdefault(version, []).append((terms, definition))
    return read_call(reading, definition, tuple(map(Affine.of, free)), terms, own, subscripts)


def read_call(
    reading: Reads, definition: Definition, places: tuple[Affine, ...], terms: tuple[Term, ...], own: tuple[f.Formula, ...],
    subscripts: tuple[f.Formula, ...],
) -> Term:  # fmt: skip
    """Return a call's line at the indices of its arguments, and at its own subscripts."""
    given = [reading.subscript(s) for s in subscripts]
    rest = definition.bound[len(places) :]
    fresh = [i.fresh() for i in rest[len(given) :]]
    if len(given) > len(own):
        raise unclear("a function with more subscripts than in its definition")
    axes = tuple(a for t in terms for a in t.axes)
    return Term(Ref(definition.name, (*places, *given, *map(Affine.of, fresh))), (*axes, *fresh))


def free_of(reading: Reads, terms: tuple[Term, ...]) -> tuple[Index, ...]:
    """Return the free indices of some terms, in a fixed order."""
    found = dict.fromkeys(i for t in terms for i in (*sorted(t.expr.free - {*t.axes}, key=lambda i: i.uid), *t.axes))
    return tuple(found)


def bind(reading: Reads, inner: Reads, given: f.Formula, term: Term, written: f.Formula) -> None:
    """Say what a parameter stands for inside of a function's body."""
    symbol, subscripts = subscripts_of(given)
    if symbol is None or not all(isinstance(s, f.Symbol) for s in subscripts):
        raise unclear("a parameter that is no name")
    body_letters = [s.name for s in subscripts if isinstance(s, f.Symbol)]
    if not body_letters and not term.axes and term.expr.free and is_subscripted(reading, inner, symbol):
        body_letters = [""]
    indices: tuple[Index, ...] = term.axes
    if body_letters and not term.axes:
        indices = (row_index(reading, term, written, body_letters[-1]),) if len(body_letters) == 1 else ()
        if not indices:
            raise unclear("a function of several indices")
    for name, index in zip(body_letters, indices[-len(body_letters) :] if body_letters else (), strict=False):
        if name:
            inner.scope[name] = index
    inner.parameters[symbol.name] = Parameter(term.expr, indices, term.axes)


def is_subscripted(reading: Reads, inner: Reads, symbol: f.Symbol) -> bool:
    """Say whether a function's body reads its parameter entry by entry."""
    stated = [s for many in reading.context.definitions.values() for s in many if s.order == inner.order]
    return any(
        isinstance(n, f.Indexed) and isinstance(n.base, f.Symbol) and n.base.name == symbol.name
        for s in stated
        for n in f.walk(s.right)
    )


def _matched(
    before: tuple[Term, ...], terms: tuple[Term, ...], own: tuple[Index, ...], free: tuple[Index, ...]
) -> tuple[Affine, ...] | None:
    """Return at which of the indices ``free`` a call that was made before is this call."""
    first = own[: len(free)]
    if len(first) != len(free) or len(free) > 4:
        return None
    wanted = [key(t.expr) for t in terms]
    for order in permutations(free):
        if any(a.size != b.size for a, b in zip(first, order, strict=True)):
            continue
        places: Mapping[Index, Affine] = {a: Affine.of(b) for a, b in zip(first, order, strict=True)}
        if [key(freshen(t.expr, places)) for t in before] == wanted:
            return tuple(map(Affine.of, order))
    return None
