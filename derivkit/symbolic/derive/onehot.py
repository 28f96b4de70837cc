"""What a one-hot array picks: where t_k is not 0, f_k is Σ_l t_l f_l.

Then t_k f_k − p_k Σ_l t_l f_l is (t_k − p_k) Σ_l t_l f_l: the slope of a loss at the right class times the error.
"""

from __future__ import annotations

from collections.abc import Iterator

from derivkit.symbolic.derive.facts import Fact
from derivkit.symbolic.derive.folds import spread
from derivkit.symbolic.derive.forms import expand, factored, opened_terms
from derivkit.symbolic.expr import Expr, Ref, Sum, key, references, substitute
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import add, factors_of, mul, num, power, terms_of

MOST_TERMS = 12


def picked(expr: Expr, fact: Fact) -> Expr:
    """Return ``expr`` with t_k f_k written t_k Σ_l t_l f_l, where that Σ stands beside it; itself where it does not."""
    if fact.name not in references(expr) or opened_terms(expr) > MOST_TERMS:
        return expr
    terms = terms_of(spread(expr))
    for total in _totals(terms):
        for one, index, rest in _picks(total, fact):
            for here in _readers(terms, one):
                made = _made(terms, here, total, substitute(rest, {index: here.subs[-1]}))
                if made is not None:
                    return factored(made)
    return expr


def _totals(terms: tuple[Expr, ...]) -> Iterator[Sum]:
    for term in terms:
        for factor in factors_of(term):
            if isinstance(factor, Sum) and len(factor.indices) == 1:
                yield factor


def _picks(total: Sum, fact: Fact) -> Iterator[tuple[Ref, Index, Expr]]:
    """Yield the one-hot factor of Σ_l t_l f_l, its index and f_l."""
    (index,) = total.indices
    factors = factors_of(total.body)
    for factor in factors:
        if not isinstance(factor, Ref) or factor.name != fact.name or factor.subs[-1].bare is not index:
            continue
        if not any(index in s.free for s in factor.subs[:-1]):
            yield factor, index, mul(f for f in factors if f is not factor)


def _readers(terms: tuple[Expr, ...], one: Ref) -> list[Ref]:
    """Return the entries of the same row that are factors of terms."""
    refs = [f for t in terms for f in factors_of(t) if isinstance(f, Ref) and f.name == one.name]
    same = (r for r in refs if r.subs[:-1] == one.subs[:-1] and r.subs[-1].bare is not None and r.subs[-1] != one.subs[-1])
    return list(dict.fromkeys(same))


def _made(terms: tuple[Expr, ...], here: Ref, total: Sum, value: Expr) -> Expr | None:
    """Return the terms with those that read ``here`` as a multiple of the total, ``None`` when they are none."""
    mine = [t for t in terms if here in factors_of(t)]
    entry = expand(add(mul((t, power(here, num(-1)))) for t in mine))
    opened = terms_of(expand(value))
    wanted = key(entry)
    for term in opened:
        ratio = _quotient(terms_of(entry)[0], term)
        if key(expand(mul((ratio, add(opened))))) == wanted:
            return add((*(t for t in terms if here not in factors_of(t)), mul((ratio, here, total))))
    return None


def _quotient(above: Expr, below: Expr) -> Expr:
    """Return one product over another, what both have cancelled, whatever its exponent."""
    left = {key(f): f for f in factors_of(below)}
    kept = [f for f in factors_of(above) if left.pop(key(f), None) is None]
    return mul((*kept, *(power(f, num(-1)) for f in left.values())))
