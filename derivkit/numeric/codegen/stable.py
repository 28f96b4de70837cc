"""Stable forms: a table of shapes that overflow or lose digits, and what is computed instead.

Each row looks at one node and, through names, at what stands behind them: ``log(y)`` with ``y = softmax(z)`` is
``log_softmax(z)``, which never takes the log of 0.  The rows are equalities; a test holds each against its left side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from derivkit.numeric.codegen import tails
from derivkit.numeric.codegen.lift import Program
from derivkit.numeric.codegen.look import Look, argument_of, base_and_power, beside, logit_of, minus, opposite
from derivkit.symbolic.arrays.dialects import has_numpy
from derivkit.symbolic.derive.everywhere import rebuilt
from derivkit.symbolic.derive.rows import Bindings, read_row
from derivkit.symbolic.elementary import divides
from derivkit.symbolic.expr import ONE_EXPR, Add, Expr, Fn, Mul, Name, Num, Pow, Prim, Ref, Sum, key, references, walk
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine
from derivkit.symbolic.normal import add, coefficient, mul, power, scaled
from derivkit.symbolic.ops import ELEMENTWISE

_FEW_NODES = 400


def stabilise(program: Program, applied: list[tuple[Name, Row]] | None = None) -> Program:
    """Return the program with the forms of :data:`TABLE` in the place of those that overflow.

    The rows that were ``applied`` are put there, each with the definition that it changed.
    """
    done: dict[Name, Definition] = {}
    look = Look(done)
    unsafe: set[Name] = set()
    for d in program.definitions:
        rhs = d.rhs
        if not unsafe.isdisjoint(references(rhs)):
            rhs = _cancelled(look.opened(rhs, unsafe))
        if _divides_by_probability(rhs, look):
            unsafe.add(d.name)
        rows: list[Row] = []
        rhs = _complemented(_rewritten(rhs, look, rows), look)
        if _divides_by_exponentials(rhs, look):
            unsafe.add(d.name)
        done[d.name] = replace(d, rhs=rhs)
        if applied is not None:
            applied += [(d.name, row) for row in dict.fromkeys(rows)]
    return replace(program, definitions=tuple(done.values()))


def _rewritten(expr: Expr, look: Look, applied: list[Row]) -> Expr:
    """Return ``expr`` with the table applied from the leaves up; the rows that were ``applied`` are put there."""
    done: dict[int, Expr] = {}

    def visit(node: Expr) -> Expr:
        if id(node) not in done:
            children = tuple(visit(c) for c in node.children)
            same = all(a is b for a, b in zip(children, node.children, strict=True))
            made = node if same else node.rebuilt(children)
            for row in TABLE:
                new = row.apply(made, look)
                if new is not None:
                    applied.append(row)
                    made = visit(new)
                    break
            done[id(node)] = made
            kept.append(node)
        return done[id(node)]

    kept: list[Expr] = []  # keeps nodes alive, so that an id stays its own
    return visit(expr)


# -- the rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One stable form: its name, the equality in words, and the function that applies it or returns ``None``."""

    name: str
    equality: str
    apply: Callable[[Expr, Look], Expr | None]


def _log_argument(expr: Expr) -> Expr | None:
    return argument_of(expr, "log")


def _log_of(inside: str, made: str) -> Callable[[Expr, Look], Expr | None]:
    """Return the row that puts the operation ``made`` in the place of the logarithm of ``inside``."""

    def apply(expr: Expr, look: Look) -> Expr | None:
        inner = _log_argument(expr)
        prim = None if inner is None else look.through(inner)
        return Prim(made, prim.bound, prim.args, prim.at) if isinstance(prim, Prim) and prim.op == inside else None

    return apply


def _log_sigmoid(expr: Expr, look: Look) -> Expr | None:
    inner = _log_argument(expr)
    logit = None if inner is None else logit_of(inner, look)
    return None if logit is None else minus(Fn("softplus", (minus(logit),)))


def _is_probability(expr: Expr, look: Look) -> bool:
    seen = look.through(expr)
    return (isinstance(seen, Prim) and seen.op == "softmax") or logit_of(expr, look) is not None


def _log_product(expr: Expr, look: Look) -> Expr | None:
    inner = _log_argument(expr)
    if inner is None:
        return None
    factors = inner.args if isinstance(inner, Mul) else (inner,)
    bases = [(f.base, f.exponent) if isinstance(f, Pow) else (f, ONE_EXPR) for f in factors]
    good = [_is_probability(base, look) for base, _ in bases]
    if not any(good) or (len(factors) == 1 and bases[0][1] is ONE_EXPR):
        return None
    logs: list[Expr] = [mul((e, Fn("log", (b,)))) for (b, e), g in zip(bases, good, strict=True) if g]
    rest = [f for f, g in zip(factors, good, strict=True) if not g]
    return add([*logs, Fn("log", (mul(rest),))] if rest else logs)


def _logsumexp(expr: Expr, look: Look) -> Expr | None:
    inner = _log_argument(expr)
    total = None if inner is None else look.through(inner)
    if not isinstance(total, Sum):
        return None
    exponent = argument_of(look.through(total.body), "exp")
    return None if exponent is None else Prim("logsumexp", total.indices, (exponent,), ())


def _softplus(expr: Expr, look: Look) -> Expr | None:
    inner = _log_argument(expr)
    if inner is not None:
        inner = look.through(inner)
        inner = beside(inner, 1)
    else:
        inner = argument_of(expr, "log1p")
    exponent = None if inner is None else argument_of(look.through(inner), "exp")
    return None if exponent is None else Fn("softplus", (exponent,))


def _softmax(expr: Expr, look: Look) -> Expr | None:
    """exp(z_i) / Σ_k exp(z_k), written out by hand, also over several lines."""
    if not isinstance(expr, Mul):
        return None
    for below in expr.args:
        total = look.through(below.base) if isinstance(below, Pow) and below.exponent == Num(-1) else None
        if not isinstance(total, Sum) or len(total.indices) != 1:
            continue
        exponent = argument_of(look.through(total.body), "exp")
        if exponent is None:
            continue
        for above in expr.args:
            own = argument_of(look.through(above), "exp")
            at = None if own is None else _read_at(exponent, own, total)
            if at is not None:
                rest = [f for f in expr.args if f is not above and f is not below]
                return mul([Prim("softmax", total.indices, (exponent,), (at,)), *rest])
    return None


def _read_at(pattern: Expr, own: Expr, total: Sum) -> Affine | None:
    """Return the subscript at which ``pattern``, over the index of ``total``, is ``own``."""
    (index,) = total.indices
    for candidate in sorted(own.free, key=lambda i: i.uid):
        if candidate.size == index.size:
            at = Affine.of(candidate)
            if key(Definition(Name("anon", ""), (index.size,), (index,), pattern).at((at,))) == key(own):
                return at
    return None


def _sigmoid(expr: Expr, look: Look) -> Expr | None:
    """1 / (1 + exp(-z)), and powers of it."""
    base, exponent = base_and_power(expr)
    if exponent >= 0:
        return None
    other = beside(look.through(base), 1)
    inner = None if other is None else argument_of(look.through(other), "exp")
    return None if inner is None else power(Fn("sigmoid", (minus(inner),)), Num(-exponent))


def _exp_times_sigmoid(expr: Expr, look: Look) -> Expr | None:
    """exp(z) sigmoid(-z): what is left of exp(z) / (1 + exp(z)), and of the derivatives of sigmoids by hand."""
    factors = [base_and_power(f) for f in expr.args] if isinstance(expr, Mul) else []
    for n, (above, m) in enumerate(factors):
        own = argument_of(look.through(above), "exp")
        for k, (below, times) in enumerate(factors if own is not None else []):
            logit = argument_of(look.through(below), "sigmoid")
            ratio = 0 if own is None or logit is None else opposite(scaled(m, own), logit)
            if logit is None or ratio < 1 or times < 1 or ratio.denominator * times.denominator != 1:
                continue
            both = min(ratio, times)
            up = minus(logit)
            left = [Fn("exp", (scaled(ratio - both, up),))] if ratio > both else []
            rest = [power(b, Num(e)) for j, (b, e) in enumerate(factors) if j not in (n, k)]
            return mul([*left, power(Fn("sigmoid", (up,)), Num(both)), power(below, Num(times - both)), *rest])
    return None


def _sigmoid_quotient(expr: Expr, look: Look) -> Expr | None:
    """sigmoid(-z) / (1 - y) with y = sigmoid(z) is 1: both may underflow to 0."""
    factors = [base_and_power(f) for f in expr.args] if isinstance(expr, Mul) else []
    logits = {n: z for n, (base, _) in enumerate(factors) if (z := logit_of(base, look)) is not None}
    for n, one in logits.items():
        for k, other in logits.items():
            (below, e), (above, m) = factors[n], factors[k]
            if e < 0 < m and opposite(minus(one), other) == 1:
                rest = [power(b, Num(q)) for j, (b, q) in enumerate(factors) if j not in (n, k)]
                return mul([power(above if m + e > 0 else below, Num(m + e)), *rest])
    return None


def _complement(expr: Expr, _: Look) -> Expr | None:
    """1 - sigmoid(z), where the sigmoid is written out: a name for it is kept, as in y (1 - y)."""
    for sign in (1, -1):
        other = beside(expr, sign)
        logit = None if other is None else argument_of(scaled(-sign, other), "sigmoid")
        if logit is not None:
            return scaled(sign, Fn("sigmoid", (minus(logit),)))
    return None


def _expm1(expr: Expr, look: Look) -> Expr | None:
    """exp(z) - 1, and 1 - exp(z)."""
    for sign in (1, -1):
        other = beside(expr, -sign)
        inner = None if other is None else argument_of(look.through(scaled(sign, other)), "exp")
        if inner is not None:
            return scaled(sign, Fn("expm1", (inner,)))
    return None


def _erfc(expr: Expr, _: Look) -> Expr | None:
    """1 - erf(z) and 1 + erf(z), with any factor, also beside other terms: of the 1 nothing is left far out."""
    if not isinstance(expr, Add):
        return None
    for number in expr.args:
        for term in expr.args if isinstance(number, Num) else ():
            share, z = coefficient(term)
            inner = argument_of(z, "erf")
            if inner is not None and abs(share) == abs(number.value):  # type: ignore[attr-defined]
                made = scaled(number.value, Fn("erfc", (inner if share == -number.value else minus(inner),)))  # type: ignore[attr-defined]
                return add([made, *(t for t in expr.args if t is not number and t is not term)])
    return None


def _log1p(expr: Expr, look: Look) -> Expr | None:
    inner = _log_argument(expr)
    other = None if inner is None else beside(look.through(inner), 1)
    return None if other is None else Fn("log1p", (other,))


def _formula(expr: Expr, _: Look) -> Expr | None:
    """An operation that NumPy has not, by its formula."""
    if not isinstance(expr, Fn) or has_numpy(expr.op):
        return None
    row = ELEMENTWISE[expr.op]
    return read_row(row.formula, Bindings(scalars=dict(zip(row.parameters, expr.args, strict=True))))


def _complemented(expr: Expr, look: Look) -> Expr:
    """Return ``expr`` with 1 - p as sigmoid(-z) for a *name* p of a sigmoid: of 1 - p no digit is left where p is near 1.

    Only where the logit costs nothing to read again.  Beside a factor p, as in the slope p (1 - p), the textbook's form
    stays, which computes no second exponential.
    """
    if expr.nodes > _FEW_NODES or not expr.children:
        return expr
    for sign in (1, -1):
        other = beside(expr, sign)
        name = None if other is None else scaled(-sign, other)
        logit = argument_of(look.through(name), "sigmoid") if isinstance(name, Ref) else None
        if logit is not None and not any(isinstance(node, Sum | Prim) for node in walk(logit)):
            return scaled(sign, Fn("sigmoid", (minus(logit),)))
    bases = {key(base_and_power(f)[0]) for f in expr.args if isinstance(f, Ref | Pow)} if isinstance(expr, Mul) else set()
    children = []
    for child in expr.children:
        other = next((o for sign in (1, -1) if (o := beside(child, sign)) is not None), None)
        kept = other is not None and {key(other), key(minus(other))} & bases
        children.append(child if kept else _complemented(child, look))
    same = all(a is b for a, b in zip(children, expr.children, strict=True))
    return expr if same else expr.rebuilt(tuple(children))


#: The rows, in the order in which they are tried.
TABLE: tuple[Row, ...] = (
    Row("formula", "an operation without a NumPy form is its formula", _formula),
    Row("log softmax", "log(softmax(z)) = log_softmax(z)", _log_of("softmax", "log_softmax")),
    Row("log determinant", "log(det(A)) = logdet(A): a determinant overflows long before", _log_of("det", "logdet")),
    Row("log sigmoid", "log(sigmoid(z)) = -softplus(-z), log(1 - sigmoid(z)) = -softplus(z)", _log_sigmoid),
    Row("log product", "log(p q) = log(p) + log(q) for a probability p", _log_product),
    Row("logsumexp", "log(sum(exp(z))) = logsumexp(z)", _logsumexp),
    Row("softplus", "log(1 + exp(z)) = softplus(z)", _softplus),
    Row("softmax", "exp(z) / sum(exp(z)) = softmax(z)", _softmax),
    Row("sigmoid", "1 / (1 + exp(-z)) = sigmoid(z)", _sigmoid),
    Row("exp times sigmoid", "exp(z) sigmoid(-z) = sigmoid(z)", _exp_times_sigmoid),
    Row("sigmoid quotient", "sigmoid(-z) / (1 - sigmoid(z)) = 1", _sigmoid_quotient),
    Row("sigmoid slope", "p (1 - p) = exp(-|z|) / (1 + exp(-|z|))^2 with p = sigmoid(z)", tails.sigmoid_slope),
    Row("half tanh", "1 + tanh(z) = 2 sigmoid(2 z)", tails.half_tanh),
    Row("tanh slope", "1 - tanh(z)^2 = 4 p (1 - p) with p = sigmoid(2 z)", tails.tanh_slope),
    Row("complement", "1 - sigmoid(z) = sigmoid(-z)", _complement),
    Row("expm1", "exp(z) - 1 = expm1(z)", _expm1),
    Row("erfc", "1 - erf(z) = erfc(z), 1 + erf(z) = erfc(-z)", _erfc),
    Row("normal", "erfc(-z / sqrt(2)) = 2 Phi(z)", tails.normal_cdf),
    Row("exp of a square", "exp(-z^2) in two factors, the square split", tails.exp_square),
    Row("power times log", "x log(x) = 0 at x = 0", tails.power_times_log),
    Row("log1p", "log(1 + z) = log1p(z)", _log1p),
)


# -- quotients by probabilities -------------------------------------------------------------------------------------------


def _divides_by_probability(expr: Expr, look: Look) -> bool:
    """Return whether ``expr`` divides by a softmax or a sigmoid, which may underflow to 0."""
    return any(divides(node) and _is_probability(node.base, look) for node in walk(expr))


def _divides_by_exponentials(expr: Expr, look: Look) -> bool:
    """Return whether ``expr`` divides by a sum of exponentials, which may overflow: its readers may make a softmax of it."""
    sums = (look.through(node.base) for node in walk(expr) if divides(node))
    return any(isinstance(s, Sum) and argument_of(look.through(s.body), "exp") is not None for s in sums)


def _cancelled(expr: Expr) -> Expr:
    """Return ``expr`` with products spread over sums that hold quotients, so that ``p · (t / p)`` is ``t``."""
    if expr.nodes > _FEW_NODES or not expr.children:
        return expr
    made = rebuilt(expr, tuple(_cancelled(c) for c in expr.children))
    if not isinstance(expr, Mul):
        return made
    factors = made.args if isinstance(made, Mul) else (made,)
    for n, factor in enumerate(factors):
        if isinstance(factor, Add) and any(_has_quotient(t) for t in factor.args):
            others = [f for m, f in enumerate(factors) if m != n]
            if others:
                return add(_cancelled(mul([t, *others])) for t in factor.args)
    return made


def _has_quotient(term: Expr) -> bool:
    factors = term.args if isinstance(term, Mul) else (term,)
    return any(divides(f) or (isinstance(f, Add) and any(map(_has_quotient, f.args))) for f in factors)
