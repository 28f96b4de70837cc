"""Choosing a form: candidates that are equal by construction, the smallest of which is shown.

Deterministic: candidates are made in a fixed order and a later one must be strictly smaller to win.
Budgets are spent before building: a product is opened only when the number of its terms is known to be small.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import reduce

from derivkit.symbolic.derive.branches import branches_joined
from derivkit.symbolic.derive.contractions import regrouped
from derivkit.symbolic.derive.cost import cost
from derivkit.symbolic.derive.differences import alike
from derivkit.symbolic.derive.everywhere import everywhere
from derivkit.symbolic.derive.facts import Fact, use_facts
from derivkit.symbolic.derive.folds import Knowledge, fold_monomials, fold_whole, with_solved
from derivkit.symbolic.derive.polish import averaged, by_textbook, without_minus
from derivkit.symbolic.derive.rewrite import rewrite
from derivkit.symbolic.derive.softmaxes import with_softmaxes
from derivkit.symbolic.derive.split import broadcasts
from derivkit.symbolic.derive.terms import by_denominator, term_by_term, with_joined_roots
from derivkit.symbolic.derive.totals import without_centred
from derivkit.symbolic.elementary import divides, number_of
from derivkit.symbolic.expr import (
    ONE_EXPR,
    Add,
    Expr,
    Fn,
    Mul,
    Num,
    Pow,
    Prim,
    SizeOf,
    Sum,
    key,
    references,
    substitute,
    walk,
)
from derivkit.symbolic.index import Affine
from derivkit.symbolic.normal import add, coefficient, factors_of, mul, normal, num, power, scaled, sum_over, terms_of

OPEN_TERMS = 40
WORK_NODES = 400
ROUNDS = 4


def simplify(expr: Expr, known: Knowledge) -> Expr:
    """Return the smallest of the equal forms of a normal ``expr``; itself when none is smaller."""
    if expr not in known.forms:
        before = known.effort.left
        known.forms[expr] = _simplified(expr, known), before - known.effort.left
        return known.forms[expr][0]
    made, spent = known.forms[expr]
    known.effort.spend(spent)  # as much as before: what is short does not depend on what was asked first
    return expr if made == expr else made


def _simplified(expr: Expr, known: Knowledge) -> Expr:
    for _ in range(ROUNDS):
        if expr.nodes > WORK_NODES or is_plain(expr) or not known.effort.spend(expr.nodes):
            return expr
        folded = fold(expr, known)
        best = folded if cost(folded, known.own) <= cost(expr, known.own) else expr
        for candidate in _candidates(folded, known):
            if cost(candidate, known.own) < cost(best, known.own):
                best = candidate
        if best is expr or cost(best, known.own) >= cost(expr, known.own):
            return best
        expr = best
    return expr


def shortest(expr: Expr, known: Knowledge) -> Expr:
    """Return the smallest form that folds and the facts about the program's own definitions lead to."""
    for _ in range(ROUNDS):
        made = simplify(use_facts(simplify(expr, known), known.facts, declared=False)[0], known)
        if made is expr or cost(made, known.own) >= cost(expr, known.own):
            return expr if cost(expr, known.own) <= cost(made, known.own) else made
        expr = made
    return expr


def settled(expr: Expr, known: Knowledge) -> tuple[Expr, tuple[tuple[Fact, Expr], ...]]:
    """Return ``expr`` multiplied out where that lets facts shorten it, and the facts: Σ p (R + 1) is Σ p R + 1."""
    if not known.facts or expr.nodes > WORK_NODES or is_plain(expr) or opened_terms(expr) > OPEN_TERMS:
        return expr, ()
    made, facts = use_facts(expand(expr), known.facts, declared=True)
    return (made, facts) if facts and cost(simplify(made, known)) < cost(expr) else (expr, ())


def is_plain(expr: Expr) -> bool:
    """Say whether ``expr`` is a product of names, sums of such included: no other form of it can be shorter."""
    if isinstance(expr, Add | Pow | Fn | Prim):
        return False
    return all(is_plain(c) for c in expr.children)


def _candidates(expr: Expr, known: Knowledge) -> Iterable[Expr]:
    yield factored(expr)
    same = alike(expr, known.own)
    if same is not expr:
        yield merged(factored(merged(same)))
    yield merged(expr)
    yield branches_joined(expr)
    yield with_softmaxes(expr, known.exponential_sums)
    yield with_joined_roots(expr)
    yield everywhere(expr, lambda e: term_by_term(e, _briefest) if isinstance(e, Mul) else e)
    yield regrouped(expr, known.contractions)
    yield without_centred(expr, known.means)
    means = everywhere(expr, lambda e: averaged(e) if isinstance(e, Mul) else e)
    if means is not expr:
        yield merged(fold(means, known))
    joined = together(expr)
    if joined is not expr:
        yield fold(joined, known)
    if opened_terms(expr) <= OPEN_TERMS:
        opened = fold(expand(expr), known)
        yield opened
        yield factored(opened)
        yield merged(factored(merged(opened)))
        yield everywhere(opened, lambda e: by_denominator(e, factored) if isinstance(e, Add) else e)
        yield fold(factored(opened), known)
    for one in known.solved_of.within(references(expr)):
        solved = with_solved(expr, one)
        if solved is not None and opened_terms(solved) <= OPEN_TERMS:
            yield factored(fold(expand(solved), known))
    if any(isinstance(n, Fn) for n in walk(expr)):
        rewritten, used = rewrite(expr)
        if used:
            yield fold(rewritten, known)


def _briefest(expr: Expr) -> Expr:
    """Return one term as it is or opened and factored again, whichever is shorter."""
    made = factored(expand(expr)) if opened_terms(expr) <= OPEN_TERMS else expr
    return made if cost(made) < cost(expr) else expr


def fold(expr: Expr, known: Knowledge) -> Expr:
    """Return ``expr`` folded back to the program's names."""
    return fold_monomials(fold_whole(expr, known), known)


# -- opening ------------------------------------------------------------------------------------------------------------


def opened_terms(expr: Expr) -> int:
    """Return how many terms ``expr`` has once its products are opened (an upper bound, capped)."""
    cap = OPEN_TERMS + 1
    if isinstance(expr, Add):
        return min(cap, sum(opened_terms(a) for a in expr.args))
    if isinstance(expr, Mul):
        return min(cap, reduce(lambda a, b: min(cap, a * b), (opened_terms(a) for a in expr.args), 1))
    if isinstance(expr, Sum):
        return opened_terms(expr.body)
    if isinstance(expr, Pow) and isinstance(expr.exponent, Num) and expr.exponent.value in {2, 3}:
        return min(cap, int(opened_terms(expr.base) ** expr.exponent.value))
    return 1


def expand(expr: Expr) -> Expr:
    """Return ``expr`` with products over sums opened, and Σ spread over terms; arguments of functions stay."""
    if isinstance(expr, Add):
        return add(expand(a) for a in expr.args)
    if isinstance(expr, Mul):
        for n, factor in enumerate(expr.args):
            if isinstance(factor, Add) and any(_is_quotient(t) for t in factor.args):
                # quotients first, against whole factors: (t/p + u/(1 − p)) p (1 − p) must meet p and 1 − p unopened
                others = expr.args[:n] + expr.args[n + 1 :]
                return add(expand(mul((t, *others))) for t in factor.args)
        terms: list[tuple[Expr, ...]] = [()]
        for factor in expr.args:
            choices = terms_of(expand(factor))
            terms = [(*t, c) for t in terms for c in choices]
        return add(mul(t) for t in terms)
    if isinstance(expr, Sum):
        return add(sum_over(expr.indices, t) for t in terms_of(expand(expr.body)))
    if isinstance(expr, Pow) and isinstance(expr.exponent, Num) and expr.exponent.value in {2, 3}:
        base = expand(expr.base)
        return expand(Mul((base,) * int(expr.exponent.value))) if isinstance(base, Add) else power(base, expr.exponent)
    return expr


def _is_quotient(term: Expr) -> bool:
    return any(map(divides, factors_of(term)))


# -- factoring ----------------------------------------------------------------------------------------------------------


def factored(expr: Expr) -> Expr:
    """Return ``expr`` with what all terms of a sum share taken out, at every depth."""
    return everywhere(expr, lambda e: _take_out(e) if isinstance(e, Add) else e)


def _take_out(expr: Add) -> Expr:
    powers = [_powers(t) for t in expr.args]
    shared: list[tuple[Expr, Fraction]] = []
    for k, (base, exponent) in powers[0].items():
        if all(k in p for p in powers[1:]):
            least = min(p[k][1] for p in powers)
            if least > 0 or all(p[k][1] < 0 for p in powers):
                common = least if least > 0 else max(p[k][1] for p in powers)
                shared.append((base, common))
        del exponent
    c = _common_number(expr)
    if not shared and c == 1:
        return expr
    divisor = [power(base, num(-e)) for base, e in shared]
    inner = add(mul((scaled(1 / c, t), *divisor)) for t in expr.args)
    made = mul((num(c), *(power(base, num(e)) for base, e in shared)))
    if isinstance(inner, Add):
        return Mul((*factors_of(made), inner)) if made is not ONE_EXPR else inner
    return mul((made, inner))


def _powers(term: Expr) -> dict[int, tuple[Expr, Fraction]]:
    found = {}
    for factor in factors_of(term):
        numbered = isinstance(factor, Pow) and isinstance(factor.exponent, Num)  # (1 − p)**γ is a base by itself
        base, exponent = (factor.base, factor.exponent) if numbered else (factor, ONE_EXPR)  # type: ignore[attr-defined]
        if isinstance(exponent, Num) and not isinstance(base, Num):
            found[key(base)] = (base, exponent.value)
    return found


def _common_number(expr: Add) -> Fraction:
    values = [number_of(t) for t in expr.args]
    size = abs(values[0])
    if size == 1 or any(abs(v) != size for v in values):
        return Fraction(1)
    return size


def together(expr: Expr) -> Expr:
    """Return ``expr`` with the quotients of a sum over one denominator, at every depth."""
    return everywhere(expr, lambda e: _one_denominator(e) if isinstance(e, Add) else e)


def _one_denominator(expr: Add) -> Expr:
    if len(expr.args) > 4 or opened_terms(expr) > OPEN_TERMS // 4:
        return expr
    below: dict[int, tuple[Expr, Fraction]] = {}
    for term in expr.args:
        for k, (base, exponent) in _powers(term).items():
            if exponent < 0 and (k not in below or exponent < below[k][1]):
                below[k] = (base, exponent)
    if not below:
        return expr
    lifted = [power(base, num(-e)) for base, e in below.values()]
    closed = add(mul((t, *lifted)) for t in expr.args)
    top = min((closed, factored(expand(closed))), key=cost)
    return mul((top, *(power(base, num(e)) for base, e in below.values())))


def merged(expr: Expr) -> Expr:
    """Return ``expr`` with sums over indices of the same size made one where their bodies share a factor."""
    return everywhere(expr, lambda e: _merge_sums(e) if isinstance(e, Add) else e)


def _merge_sums(expr: Add) -> Expr:
    terms = list(expr.args)
    if not any(isinstance(f, Sum) for t in terms for f in factors_of(t)):
        return expr
    for a in range(len(terms)):
        for b in range(a + 1, len(terms)):
            joined = _joined(terms[a], terms[b])
            if joined is not None:
                rest = [*terms[:a], joined, *terms[a + 1 : b], *terms[b + 1 :]]
                return _merge_sums(Add(tuple(rest))) if len(rest) > 1 else joined
    return expr


def _joined(left: Expr, right: Expr) -> Expr | None:
    (c, outer, one), (c2, outer2, two) = _outer_sum(left), _outer_sum(right)
    if one is None or len(one.indices) != 1:
        return None
    index = one.indices[0]
    if two is None:
        return _taken_in(c, outer, one, right)
    if len(two.indices) != 1 or index.size != two.indices[0].size:
        return None
    renamed = normal(substitute(two.body, {two.indices[0]: Affine.of(index)}))
    shared = {key(f) for f in outer} & {key(f) for f in outer2}
    own, own2 = ([f for f in fs if key(f) not in shared] for fs in (outer, outer2))  # they go into the Σ
    if (
        (own and own2)
        or any(f.free and not f.free <= two.free for f in own)
        or any(f.free and not f.free <= one.free for f in own2)
    ):
        return None
    outer = [f for f in outer if key(f) in shared]
    body = _take_out_any(add((mul((*own, one.body)), scaled(c2 / c, mul((*own2, renamed))))))
    if body is None or any(isinstance(f, Add) and broadcasts(f) for f in factors_of(body)):
        return None
    return mul((num(c), *outer, sum_over(one.indices, body)))


def _taken_in(c: Fraction, outer: list[Expr], one: Sum, right: Expr) -> Expr | None:
    """Return Σ_n (x_n − m) for Σ_n x_n − N m: what was counted N times goes back into the sum over N."""
    size = SizeOf(one.indices[0].size)
    if size not in factors_of(right):
        return None
    rest = mul((right, power(size, num(-1)), *(power(f, num(-1)) for f in (num(c), *outer))))
    if not rest.free <= one.free or _is_quotient(rest):
        return None
    return mul((num(c), *outer, Sum(one.indices, add((one.body, rest)))))


def _outer_sum(term: Expr) -> tuple[Fraction, list[Expr], Sum | None]:
    c, rest = coefficient(term)
    factors = list(factors_of(rest))
    sums = [f for f in factors if isinstance(f, Sum)]
    if len(sums) != 1:
        return c, factors, None
    return c, [f for f in factors if f is not sums[0]], sums[0]


def _take_out_any(expr: Expr) -> Expr | None:
    if not isinstance(expr, Add):
        return expr
    made = _take_out(expr)
    return made if made is not expr else None


# -- the look of a chosen form --------------------------------------------------------------------------------------------


def polished(expr: Expr) -> Expr:
    """Return ``expr`` in the order a textbook uses: a positive term first, sums last in a product, signs absorbed."""
    return without_minus(everywhere(expr, by_textbook))


def is_sum_free(expr: Expr) -> bool:
    """Say whether no Σ and no primitive stands in ``expr``."""
    if isinstance(expr, Sum | Prim):
        return False
    return all(is_sum_free(c) for c in expr.children)
