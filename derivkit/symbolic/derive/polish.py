"""The look of a chosen form: a textbook's order of terms and factors, signs absorbed by differences, means as means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import is_

from derivkit.symbolic.elementary import fn, number_of
from derivkit.symbolic.expr import Add, Expr, Fn, Mul, Name, Num, Pow, Ref, SizeOf, Sum, key, references
from derivkit.symbolic.index import Size
from derivkit.symbolic.normal import add, coefficient, factors_of, mul, negative, num, power, scaled, sum_over

ODD = frozenset({"sign", "tanh", "sin", "sinh", "arctan", "erf"})  # f(−x) = −f(x)


def by_textbook(expr: Expr) -> Expr:
    """Return one node in the order a textbook uses: a positive term first, sums last in a product, signs absorbed."""
    if isinstance(expr, Add):
        if all(map(_is_minus, expr.args)):
            expr = Add(tuple(map(without_minus, expr.args)))
        terms = sorted(expr.args, key=lambda t: isinstance(t, Num) and t.value.numerator < 0)  # p − 1
        first = next((n for n, t in enumerate(terms) if not _is_minus(t)), 0)
        ordered = (terms[first], *terms[:first], *terms[first + 1 :])
        return expr if all(map(is_, ordered, expr.args)) else Add(ordered)
    if isinstance(expr, Fn):
        args = tuple(map(without_minus, expr.args))
        return expr if all(a is b for a, b in zip(args, expr.args, strict=True)) else fn(expr.op, args)
    if not isinstance(expr, Mul):
        return expr
    factors = _even_slopes(expr.args)
    c = number_of(expr)
    if c.numerator > 0:
        for n, factor in enumerate(factors):
            if isinstance(factor, Add) and all(map(_is_minus, factor.args)):
                flipped = add(scaled(-1, t) for t in factor.args)
                return by_textbook(mul((num(-1), *factors[:n], flipped, *factors[n + 1 :])))
    mean = averaged(expr)
    if mean is not expr:
        return by_textbook(mean)
    met: dict[Name, int] = {}
    for n, factor in enumerate(factors):
        if isinstance(factor, Ref):
            met.setdefault(factor.name, n)
    kinds = [2 if isinstance(f, Sum) else int(isinstance(f, Add)) for f in factors]
    places = [(kinds[n], met[f.name] if isinstance(f, Ref) else n, n) for n, f in enumerate(factors)]  # x_i x_j y_k
    made = tuple(factors[n] for _, _, n in sorted(places))
    return expr if made == expr.args else Mul(made)


def _even_slopes(factors: Sequence[Expr]) -> list[Expr]:
    """Return factors with σ(a) (1 − σ(a)) for σ(−a) (1 − σ(−a)): the slope of a sigmoid is even."""
    made = list(factors)
    for n, one in enumerate(factors):
        if isinstance(one, Fn) and one.op == "sigmoid" and coefficient(one.args[0])[0] < 0:
            rest = key(add((num(1), negative(one))))
            place = next((m for m, f in enumerate(factors) if key(f) == rest), None)
            if place is not None:
                made[n] = fn("sigmoid", (negative(one.args[0]),))
                made[place] = add((num(1), negative(made[n])))
    return made


def without_minus(expr: Expr) -> Expr:
    """Return a whole product with its minus sign taken into a difference within it, ``z·(t − p)`` for ``−z·(p − t)``."""
    c, rest = coefficient(expr)
    if c == -1 and isinstance(rest, Add) and any(map(_is_minus, rest.args)):
        return by_textbook(negative(rest))  # c − a − b for −(a + b − c)
    turned = _opposite(rest) if c.numerator < 0 else None
    return expr if turned is None else by_textbook(scaled(-c, turned))


def _is_minus(term: Expr) -> bool:
    return number_of(term).numerator < 0


def _is_slope(expr: Add) -> bool:
    """Say whether a sum is 1 − h², which is known that way round."""
    last = expr.args[-1]
    square = coefficient(last)[1]
    return isinstance(expr.args[0], Num) and len(expr.args) == 2 and _is_minus(last) and isinstance(square, Pow)


def _differs(place: int, factors: Sequence[Expr]) -> bool:
    """Say whether no other factor has the same names: the two of ``(x − m)(x − m)ᵀ`` stay alike."""
    names = references(factors[place]).keys()
    return not any(n != place and isinstance(f, Add) and references(f).keys() == names for n, f in enumerate(factors))


def _opposite(expr: Expr) -> Expr | None:
    """Return minus the expression where that is no longer: t − p for p − t, also within a Σ or an odd function."""
    if isinstance(expr, Add):
        minus = sum(map(_is_minus, expr.args))
        if minus and 2 * minus >= len(expr.args):
            return None if _is_slope(expr) else by_textbook(negative(expr))
        return _one_turned(expr) if 2 * (minus + 1) >= len(expr.args) else None
    if isinstance(expr, Sum):
        inner = _opposite(expr.body)
        return None if inner is None else sum_over(expr.indices, inner)
    if isinstance(expr, Fn) and expr.op in ODD:
        inner = _opposite(expr.args[0])
        return None if inner is None else fn(expr.op, (inner,))
    if isinstance(expr, Mul) and number_of(expr).numerator > 0:
        for n, factor in enumerate(expr.args):
            inner = _opposite(factor) if _differs(n, expr.args) else None
            if inner is not None:
                return by_textbook(mul((*expr.args[:n], inner, *expr.args[n + 1 :])))
    return None


def _one_turned(expr: Add) -> Expr | None:
    """Return minus a sum, one of whose terms takes the sign in: ``s (1 − t) − a`` for ``a + s (t − 1)``, that of a −1 first."""
    for lowered in (True, False):
        for place, term in enumerate(expr.args):
            brackets = [f for f in factors_of(term) if isinstance(f, Add)]
            if not brackets or any(num(1) in f.args for f in brackets):  # 1 − t stays
                continue
            turned = _opposite(term) if any(num(-1) in f.args for f in brackets) is lowered else None
            if turned is not None:
                others = (negative(t) for n, t in enumerate(expr.args) if n != place)
                return add((turned, *others))
    return None


# -- means ----------------------------------------------------------------------------------------------------------------


def averaged(expr: Mul) -> Expr:
    """Return ``(x − Σx/N)/N`` for ``(N x − Σx)/N²``: a textbook subtracts the mean."""
    for place, factor in enumerate(expr.args):
        for size in _counted(factor):
            if not _divides(expr, size):
                continue
            inverse = power(SizeOf(size), num(-1))
            inner = add(mul((t, inverse)) for t in factor.children)
            others = (*expr.args[:place], SizeOf(size), *expr.args[place + 1 :])
            return mul((*others, by_textbook(inner)))
    return expr


def _divides(expr: Mul, size: Size) -> bool:
    return any(
        isinstance(f, Pow) and f.base == SizeOf(size) and isinstance(f.exponent, Num) and f.exponent.value <= -1
        for f in expr.args
    )


def _counted(expr: Expr) -> Iterator[Size]:
    """Yield the sizes N for which each term of a sum is N times something, or a Σ over N; both must be there."""
    if not isinstance(expr, Add):
        return
    times = [{f.size for f in factors_of(t) if isinstance(f, SizeOf)} for t in expr.args]
    sums = [{i.size for f in factors_of(t) if isinstance(f, Sum) for i in f.indices} for t in expr.args]
    for size in sorted({s for each in times for s in each}, key=str):
        if all(size in a or size in b for a, b in zip(times, sums, strict=True)) and any(size in b for b in sums):
            yield size
