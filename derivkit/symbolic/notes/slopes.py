"""Derivatives as people write them: by a name, or by what a function of the document returns."""

from __future__ import annotations

from fractions import Fraction

from derivkit.errors import echo
from derivkit.symbolic.derive.differentiate import partial
from derivkit.symbolic.expr import Expr, Fn, Name, Num, Pow, Ref, freshen
from derivkit.symbolic.expr import replace as replaced
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.calls import bind, builtin
from derivkit.symbolic.notes.context import subscripts_of
from derivkit.symbolic.notes.meaning import Reads
from derivkit.symbolic.notes.terms import Term, unclear


def derivative(reading: Reads, formula: f.Derivative) -> Term:
    """Return a derivative by a name, or by what a document's function returns."""
    if formula.spelled == "prime":
        return prime(reading, formula)
    named = formula.by or reading.context.parameters_of(formula)
    if not named:
        raise unclear("a derivative that does not say by what")
    made = reading.term(formula.of)
    twice = formula.spelled == "hessian" and len(named) == 1
    for by in named * (2 if twice else 1):
        made = slope(reading, made, formula.of, by)
    return made


def slope(reading: Reads, of: Term, written: f.Formula, by: f.Formula) -> Term:
    """Return the derivative of a term by one name."""
    target = reading.term(by)
    if not isinstance(target.expr, Ref):
        raise unclear("a derivative by something that is no name")
    name = target.expr.name
    refuse_unknown(reading, of, name)
    places = tuple(i.fresh() for i in indices_of(reading, name))
    expr = partial(reading.meaning.inlined(of.expr, name), name, places)
    subs = dict(zip(places, target.expr.subs, strict=True))
    fresh = {a: a.fresh() for a in target.axes}
    subs = {p: s.substitute({a: Affine.of(b) for a, b in fresh.items()}) for p, s in subs.items()}
    return Term(freshen(expr, subs), (*of.axes, *fresh.values()))


def prime(reading: Reads, formula: f.Derivative) -> Term:
    """Return f'(x), or f''(x): the derivative of a function of one number, at an argument."""
    of, order = formula.of, 1
    while isinstance(of, f.Derivative) and of.spelled == "prime":
        of, order = of.of, order + 1
    if not isinstance(of, f.Application) or len(of.arguments) != 1:
        raise unclear("a prime on what is no function of one number")
    point = reading.term(of.arguments[0])
    name = Name("anon", f"prime{len(reading.meaning.definitions)}")
    expr = function_at(reading, of, Term(Ref(name, ())))
    for _ in range(order):
        expr = partial(reading.meaning.inlined(expr, name), name, ())

    def put(node: Expr) -> Expr | None:
        return point.expr if isinstance(node, Ref) and node.name == name else None

    return Term(replaced(expr, put), point.axes, point.row)


def function_at(reading: Reads, call: f.Application, argument: Term) -> Expr:
    """Return what a function has for a value at a number."""
    symbol, subscripts = subscripts_of(call.function)
    word = "" if symbol is None else reading.context.key(symbol)
    stated = reading.context.definition(word, reading.order)
    if symbol is None or subscripts or (stated is not None and len(stated.parameters) != 1):
        raise unclear("a prime on what is no function of one number")
    if stated is None:
        op = builtin(reading, symbol)
        if op is None or op == "softmax":
            raise unclear(f"{echo(word)} is no function that derivkit knows")
        return Pow(argument.expr, Num(Fraction(1, 2))) if op == "sqrt" else Fn(op, (argument.expr,))
    inner = reading.begun(stated.order)
    bind(reading, inner, stated.parameters[0], argument, call.arguments[0])
    body = inner.term(stated.right)
    if body.axes or body.expr.free:
        raise unclear("a prime on what is no function of one number")
    return body.expr


def indices_of(reading: Reads, name: Name) -> tuple[Index, ...]:
    """Return an index for each axis of a name."""
    definition = reading.meaning.definitions.get(name)
    if definition is not None:
        return definition.bound
    return tuple(Index("ijkl"[n % 4], size) for n, size in enumerate(reading.meaning.inputs[name][1]))


def refuse_unknown(reading: Reads, of: Term, target: Name) -> None:
    """Refuse the derivative of what the document does not relate to that by which it is differentiated."""
    if not reading.meaning.depends(of.expr, target):
        word = str(of.expr.name) if isinstance(of.expr, Ref) else "this"
        raise unclear(f"the document does not say how {echo(word)} depends on {echo(str(target))}")
