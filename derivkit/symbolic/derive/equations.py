"""Implicit operations: the derivative of an inverse, a solution, a norm, from the equation that defines it.

The equation is differentiated on both sides; what comes out is linear in the derivative sought, and is solved for it by a
quotient or by the inverse of its matrix.  Jacobi's formula for a determinant has its proof by cofactors here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from derivkit.symbolic.derive.differentiate import bound_of, partial, primitive_slope, row_bindings
from derivkit.symbolic.derive.forms import polished
from derivkit.symbolic.derive.rewrite import rewrite
from derivkit.symbolic.derive.rows import read_row
from derivkit.symbolic.expr import Expr, Mul, Name, Prim, Ref, Sum, key, replace, substitute, user, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import add, coefficient, factors_of, mul, normal, num, power, scaled, sum_over
from derivkit.symbolic.ops import PRIMITIVES, Op
from derivkit.symbolic.rules import SENTENCES
from derivkit.symbolic.steps import Lemma, Step

_Y, _S, _C = user("y"), user("S"), user("C")


@dataclass(frozen=True)
class Setting:
    """An operation at general positions: ``y[at]`` is the primitive over arrays that are named as in its row."""

    row: Op
    prim: Prim
    at: tuple[Index, ...]

    @property
    def output(self) -> Ref:
        """The entry of the output that is read."""
        return _entry(_Y, self.at)

    @property
    def definition(self) -> Definition:
        """The definition of ``y``."""
        return Definition(_Y, tuple(i.size for i in self.at), self.at, self.prim)


def _entry(name: Name, indices: tuple[Index, ...]) -> Ref:
    return Ref(name, tuple(Affine.of(i) for i in indices))


def _letters(text: str, size: Size) -> tuple[Index, ...]:
    return tuple(Index(c, size) for c in text.split(",") if c)


def setting(row: Op) -> Setting:
    """Return ``y = op(A, ...)`` for a row, everything of size N (a vector of size K)."""
    matrix = "," in row.by[0]
    size = Size.of("N" if matrix else "K")
    bound = _letters("m,n" if matrix else "m", size)
    at = _letters(row.at, size) if matrix or "[i]" in row.formula else ()
    shell = Prim(row.name, bound, (num(0),) * len(row.by), tuple(map(Affine.of, at)))
    args = tuple(_entry(user(p), bound_of(shell, n)) for n, p in zip(range(len(row.by)), row.parameters, strict=False))
    return Setting(row, Prim(row.name, bound, args, shell.at), at)


@dataclass(frozen=True)
class Proof:
    """The derivative by the ``n``-th argument: ``differentiated`` (left = right), then ``solved`` as it is and in short."""

    local: Ref
    differentiated: tuple[Expr, Expr]
    factor: Expr
    solved: Expr
    short: Expr


def equation(where: Setting) -> tuple[Expr, Expr]:
    """Return both sides of the equation of an implicit row."""
    left, right = (read_row(side, row_bindings(where.row, where.prim, None, (), where.output)) for side in where.row.equation)
    return left, right


def proof(where: Setting, n: int) -> Proof:
    """Return the derivative of an implicit operation by its ``n``-th argument, found from the equation.

    >>> from derivkit.symbolic.ops import PRIMITIVES
    >>> from derivkit.symbolic.render.notation import Notation
    >>> Notation("text")(proof(setting(PRIMITIVES["inv"]), 0).short)
    '−y_ip y_qj'
    """
    row, size = where.row, where.prim.bound[0].size
    target = user(row.parameters[n])
    by = _letters(row.by[n], size)
    name = Name("local", "", of=_Y, output=target)
    left, right = equation(where)
    moving = add((_through(left, name, where.at, by), scaled(-1, _through(right, name, where.at, by))))
    still = add((partial(right, target, by), scaled(-1, partial(left, target, by))))
    factor, solved, short = _solved(moving, still, name, where)
    book = polished(primitive_slope(where.prim, n, by, where.output))  # the row's order, where it is the same
    short = book if key(book) == key(short) else polished(short)
    return Proof(_entry(name, (*where.at, *by)), (moving, polished(still)), factor, solved, short)


def _through(side: Expr, name: Name, at: tuple[Index, ...], by: tuple[Index, ...]) -> Expr:
    """Return the change of one side of the equation that comes through ``y``."""
    fresh = tuple(i.fresh() for i in at)
    return sum_over(fresh, mul((partial(side, _Y, fresh), _entry(name, (*fresh, *by)))))


def _solved(moving: Expr, still: Expr, name: Name, where: Setting) -> tuple[Expr, Expr, Expr]:
    """Solve ``moving = still`` for the derivative ``name``: return what both sides are multiplied by, and the result."""
    body = moving.body if isinstance(moving, Sum) else moving
    times = mul(f for f in factors_of(body) if not (isinstance(f, Ref) and f.name == name))
    if not isinstance(moving, Sum):
        factor = power(times, num(-1))
        return times, Mul((factor, still)), mul((factor, still))
    (column,) = moving.indices
    matrix = cast(Ref, times)
    (row,) = (i for s in matrix.subs if (i := s.bare) is not None and i is not column)
    inner, fresh = (row.fresh(), row.fresh()), row.fresh()
    at = (Affine.of(row), Affine.of(fresh))
    inverse: Expr = Prim("inv", inner, (_entry(matrix.name, inner),), at)
    if where.row.name == "inv":
        inverse = Ref(_Y, at)
    sign, rest = coefficient(substitute(still, {row: Affine.of(fresh)}))
    raw: Expr = Sum((fresh,), Mul((inverse, *factors_of(rest))))
    return inverse, scaled(sign, raw), normal(scaled(sign, raw))


def implicit_lemma(row: Op, number: int) -> Lemma:
    """Return the lemma of an implicit operation: its equation, differentiated, solved, for each argument."""
    where = setting(row)
    left, right = equation(where)
    steps = [Step("definition", left, right, "what {0} is", number=1, about=(where.output,))]
    statements = []
    for n in range(len(row.by)):
        made = proof(where, n)
        before, after = made.differentiated
        entry = Ref(cast(Name, made.local.name.output), made.local.subs[len(where.at) :])
        steps.append(
            Step("differentiate", before, after, "differentiate 1 by {0}", number=len(steps) + 1, cites=(1,), about=(entry,))
        )
        why = "multiply by {0} from the left" if isinstance(before, Sum) else "divide by {0}"
        lines: tuple[Step, ...] = (
            Step("solve", made.local, made.solved, why, about=(made.factor,)),
            Step("contract", made.local, made.short, _contracted(made.solved)),
        )
        same = key(normal(made.solved)) == key(made.solved) or not isinstance(before, Sum)
        lines = (Step("solve", made.local, made.short, why, about=(made.factor,)),) if same else lines
        statements.append(Step("solve", made.local, made.short, lines[0].reason, lines, len(steps) + 1, (len(steps),)))
        steps.append(statements[-1])
    return Lemma(number, row.name, row.name, (where.definition,), tuple(steps), statements[0])


def _contracted(expr: Expr) -> str:
    return "contract δ" if any(type(n).__name__ == "Delta" for n in walk(expr)) else SENTENCES["simplify"]


# -- determinants ---------------------------------------------------------------------------------------------------------


def jacobi_lemma(row: Op, number: int) -> Lemma:
    """Return Jacobi's formula, proved by cofactors: ``det A = Σ_k A_pk C_pk`` along a row, and 0 along another one's."""
    where = setting(row)
    size, matrix = where.prim.bound[0].size, user(row.parameters[0])
    p, q, r, k = (Index(c, size) for c in "pqrk")
    local = _entry(Name("local", "", of=_Y, output=matrix), (p, q))
    along = Sum((k,), Mul((_entry(matrix, (p, k)), _entry(_C, (p, k)))))
    other = Sum((k,), Mul((_entry(matrix, (r, k)), _entry(_C, (p, k)))))
    alien = mul((where.output, normal(partial(_entry(matrix, (r, k)), matrix, (p, k)))))
    inner = (r.fresh(), r.fresh())
    inverse = Prim("inv", inner, (_entry(matrix, inner),), (Affine.of(q), Affine.of(r)))
    lines = (
        Step("solve", _entry(_C, (p, q)), Sum((r,), Mul((inverse, *factors_of(alien)))), "multiply 3 by {0}", about=(inverse,)),
        Step("contract", _entry(_C, (p, q)), sum_over((r,), mul((inverse, alien))), "contract δ"),
    )
    book = polished(primitive_slope(where.prim, 0, (p, q), where.output))
    cofactor = book if key(book) == key(lines[-1].after) else lines[-1].after  # in the row's order
    lines = (lines[0], Step("contract", lines[1].before, cofactor, lines[1].reason))
    steps = (
        Step(
            "definition",
            where.output,
            along,
            "expand along a row, whose entries are in none of its {0}",
            number=1,
            about=(_entry(_C, (p, k)),),
        ),
        Step(
            "local derivative",
            local,
            partial(along, matrix, (p, q)),
            "only one of the terms depends on {0}",
            number=2,
            cites=(1,),
            about=(_entry(matrix, (p, q)),),
        ),
        Step(
            "definition",
            other,
            alien,
            "with another row in its place two rows are equal: the determinant is 0",
            number=3,
            cites=(1,),
        ),
        Step("solve", _entry(_C, (p, q)), cofactor, lines[0].reason, lines, 4, (3,)),
        Step("chain rule", local, cofactor, "by 2 and 4", number=5, cites=(2, 4)),
    )
    return Lemma(number, "det, Jacobi's formula", row.name, (where.definition,), steps, steps[-1])


def through_lemma(row: Op, number: int) -> Lemma:
    """Return the lemma of a row that is a function of another primitive, as ``log |det A|``: the chain rule through it."""
    where = setting(row)
    matrix = user(row.parameters[0])
    by = _letters(row.by[0], where.prim.bound[0].size)
    formula = read_row(row.formula, row_bindings(row, where.prim, None, ()))
    inside = next(n for n in walk(formula) if isinstance(n, Prim))
    outer = normal(replace(formula, lambda n: Ref(_S) if n is inside else None))
    inner = primitive_slope(inside, 0, by, Ref(_S))
    raw = mul((partial(outer, _S, ()), inner))
    local = _entry(Name("local", "", of=_Y, output=matrix), by)
    first = Step(
        "local derivative", _entry(Name("local", "", of=_S, output=matrix), by), inner, PRIMITIVES[inside.op].reason, number=1
    )
    lines = (Step("chain rule", local, raw, "chain rule, by 1"), Step("fold", local, rewrite(raw)[0], SENTENCES["simplify"]))
    statement = Step("chain rule", local, lines[-1].after, lines[0].reason, lines, 2, (1,))
    definitions = (Definition(_Y, (), (), outer), Definition(_S, (), (), inside))
    return Lemma(number, row.name, row.name, definitions, (first, statement), statement)
