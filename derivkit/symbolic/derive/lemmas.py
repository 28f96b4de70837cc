"""The derivative of an operation as a lemma: derived from the row's formula, folded back into the output, with its proof."""

from __future__ import annotations

from functools import lru_cache

from derivkit.symbolic.derive.differentiate import local_slope, partial, primitive_slope
from derivkit.symbolic.derive.equations import implicit_lemma, jacobi_lemma, through_lemma
from derivkit.symbolic.derive.forms import polished
from derivkit.symbolic.derive.reverse import reference
from derivkit.symbolic.derive.rows import Bindings, read_row
from derivkit.symbolic.expr import Add, Delta, Expr, Fn, Mul, Name, Pow, Prim, Ref, Sum, replace, substitute, user, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import add, mul, normal, num, power
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES, Op
from derivkit.symbolic.rules import SENTENCES
from derivkit.symbolic.steps import Lemma, Step

_X, _Y, _S = user("x"), user("y"), user("S")


def has_lemma(op: str) -> bool:
    """Say whether the row of ``op`` has a formula or an equation to prove its derivative from."""
    row = PRIMITIVES.get(op) or ELEMENTWISE.get(op)
    return row is not None and (bool(row.formula or row.equation[0]) or op in _PROOFS)


#: Proofs of operations on matrices that are no formula over entries.
_PROOFS = {"det": jacobi_lemma, "logdet": through_lemma}


@lru_cache(maxsize=256)
def lemma(op: str, number: int) -> Lemma:
    """Return the lemma for an operation of the table, derived once.

    >>> lemma("softmax", 1).title
    'softmax'
    """
    if op in ELEMENTWISE:
        return _elementwise_lemma(ELEMENTWISE[op], number)
    row = PRIMITIVES[op]
    if op in _PROOFS:
        return _PROOFS[op](row, number)
    return implicit_lemma(row, number) if row.equation[0] else _primitive_lemma(row, number)


def _local(of: Name, subs: tuple[Index, ...]) -> Ref:
    return reference(Name("local", "", of=of, output=_X), subs)


def _primitive_lemma(row: Op, number: int) -> Lemma:
    size = Size.of("K")
    k, other, m = Index("k", size), Index("l", size), Index("m", size)
    entry = {"x": lambda at: Ref(_X, at or (Affine.of(m),))}
    position = (k,) if row.formula.count("[i]") else ()
    letters = {"i": (Affine.of(k),), "j": (Affine.of(other),)}
    formula = read_row(row.formula, Bindings(arrays=entry, letters=letters, bound=(m,)))
    total = next(n for n in walk(formula) if isinstance(n, Sum))
    outer = normal(replace(formula, lambda n: Ref(_S) if n is total else None))
    definitions = (
        Definition(_Y, tuple(size for _ in position), position, outer),
        Definition(_S, (), (), total),
    )
    inner = polished(partial(total, _X, (other,)))
    first = Step(
        "local derivative",
        _local(_S, (other,)),
        inner,
        "only one of the terms depends on {0}",
        number=1,
        about=(reference(_X, (other,)),),
    )
    before = _local(_Y, (*position, other))
    raw = _total_derivative(outer, (other,), inner)
    prim = Prim(row.name, (m,), (reference(_X, (m,)),), tuple(Affine.of(i) for i in position))
    folded = polished(primitive_slope(prim, 0, (other,), reference(_Y, position)))
    lines = [
        Step(
            "quotient rule" if _is_quotient(outer) else "chain rule",
            before,
            raw,
            "quotient rule" if _is_quotient(outer) else "chain rule, by 1",
        ),
        Step("fold", before, folded, SENTENCES["fold"], about=_folded_by(folded, outer, total, other, reference(_Y, position))),
    ]
    statement = Step(lines[0].rule, before, lines[-1].after, lines[0].reason, tuple(lines), 2, (1,))
    return Lemma(number, row.name, row.name, definitions, (first, statement), statement, cases(folded))


def _folded_by(folded: Expr, outer: Expr, total: Expr, other: Index, output: Ref) -> tuple[Expr, Expr]:
    """Return what the lemma's last line folds, and to what: the output, or the primitive that stands in the result."""
    found = next((n for n in walk(folded) if isinstance(n, Prim)), None)
    if found is None or not isinstance(total, Sum):
        return outer, output
    entry = substitute(total.body, {total.indices[0]: Affine.of(other)})
    return mul((entry, power(Ref(_S), num(-1)))), found


def _total_derivative(outer: Expr, at: tuple[Index, ...], inner: Expr) -> Expr:
    direct = partial(outer, _X, at)
    through = mul((partial(outer, _S, ()), inner))
    quotient = _over_square(outer, at, inner)
    return quotient if quotient is not None else add((direct, through))


def _is_quotient(outer: Expr) -> bool:
    return isinstance(outer, Mul) and any(isinstance(f, Pow) and f.base == Ref(_S) for f in outer.args)


def _over_square(outer: Expr, at: tuple[Index, ...], inner: Expr) -> Expr | None:
    """Return (u' S − u S') / S² as it is written, for an outer formula u / S."""
    if not _is_quotient(outer) or not isinstance(outer, Mul):
        return None
    top = mul(f for f in outer.args if not isinstance(f, Pow))
    from_top, minus = Mul((partial(top, _X, at), Ref(_S))), Mul((num(-1), top, inner))
    return Mul((Add((from_top, minus)), Pow(Ref(_S), num(-2))))


def _elementwise_lemma(row: Op, number: int) -> Lemma:
    x = Ref(_X)
    others = {p: Ref(user(p)) for p in row.parameters if p != "x"}
    first = row.parameters[0]
    target = _X if first == "x" else user(first)
    scalars = {"x": x, **others}
    formula = read_row(row.formula, Bindings(scalars=scalars))
    definition = Definition(_Y, (), (), formula)
    before = reference(Name("local", "", of=_Y, output=target), ())
    raw = polished(partial(formula, target, ()))
    folded = polished(local_slope(Fn(row.name, tuple(scalars[p] for p in row.parameters)), 0, Ref(_Y)))
    lines: tuple[Step, ...] = (Step("local derivative", before, raw, SENTENCES["differentiate"], about=(Ref(_Y), formula)),)
    if row.folded:
        lines += (Step("fold", before, folded, row.reason),)
    statement = Step("local derivative", before, lines[-1].after, lines[0].reason, lines, 1, about=lines[0].about)
    return Lemma(number, row.name, row.name, (definition,), (statement,), statement)


def cases(expr: Expr) -> tuple[tuple[Expr, str], ...]:
    """Return an expression with one δ of two bare indices by cases: equal, then different; else nothing.

    >>> len(cases(lemma("softmax", 1).statement.after))
    2
    """
    deltas = {n for n in walk(expr) if isinstance(n, Delta)}
    if len(deltas) != 1:
        return ()
    (found,) = deltas
    left, right = found.left.bare, found.right.bare
    if left is None or right is None or not {left, right} <= expr.free:
        return ()  # a bound index, as in the inverse of X Xᵀ + λ I, is no case
    equal = normal(replace(substitute(expr, {right: Affine.of(left)}), lambda n: num(1) if isinstance(n, Delta) else None))
    other = normal(replace(expr, lambda n: num(0) if isinstance(n, Delta) else None))
    return (polished(equal), "="), (polished(other), "≠")
