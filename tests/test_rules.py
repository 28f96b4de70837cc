"""Every rewriting is an equation: what stands before and after has the same value wherever what stood before has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from expressions import FREE, SIZES, expressions, value
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from derivkit.symbolic.derive import folds, forms, rewrite, rows, softmaxes, terms
from derivkit.symbolic.derive.cost import cost
from derivkit.symbolic.derive.match import match
from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import (
    Add,
    Delta,
    Expr,
    Mul,
    Num,
    Pow,
    Prim,
    Ref,
    Sum,
    bare,
    binders,
    freshen,
    key,
    substitute,
    user,
    walk,
)
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import add, fn, mul, negative, normal, num, power, scaled, sum_over
from derivkit.symbolic.rules import RULES

STEADY = settings(
    max_examples=100, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
I, J = FREE  # noqa: E741


def differs(before: Expr, after: Expr, order: tuple[Index, ...] = FREE) -> str:
    """Return where two expressions differ; entries at which the first has no value do not count."""
    for sizes in SIZES:
        left, right = value(before, sizes, order), value(after, sizes, order)
        defined = np.isfinite(left)
        left, right = left[defined], right[defined]
        scale = np.maximum(1, np.abs(left))
        if not np.all(np.abs(left - right) <= 1e-8 * scale):
            return f"at {sizes}: {left} is not {right}"
    return ""


# -- normal forms --------------------------------------------------------------------------------------------------------


@STEADY
@given(expressions(depth=4))
def test_a_normal_form_has_the_same_value(expr):
    assume(well_conditioned(expr))
    assert differs(expr, normal(expr)) == ""


def well_conditioned(expr: Expr) -> bool:
    """Say whether no step of the evaluation is so large that rounding hides the value, or undefined at some entries."""
    for sizes in SIZES:
        for node in walk(expr):
            order = tuple(node.free)
            at = value(node, sizes, order)
            if not np.all(np.isfinite(at)) or np.max(np.abs(at), initial=0) > 1e4:
                return False
            if isinstance(node, Pow) and isinstance(node.exponent, Num) and node.exponent.value <= Num(1).value / 2:
                small = value(node.base, sizes, order)
                if np.any(np.abs(small) < 1e-3):
                    return False
    return True


CONSTRUCTORS: dict[str, tuple[Callable[..., Expr], Callable[..., Expr]]] = {
    "add": (lambda a, b, c: add((a, b, c)), lambda a, b, c: Add((a, b, c))),
    "mul": (lambda a, b, c: mul((a, b, c)), lambda a, b, c: Mul((a, b, c))),
    "square": (lambda a, b, c: mul((a, b, a)), lambda a, b, c: Mul((a, b, a))),
    "quotient": (lambda a, b, c: mul((a, power(b, num(-1)))), lambda a, b, c: Mul((a, Pow(b, Num(-1))))),
    "power 2": (lambda a, b, c: power(mul((a, b)), num(2)), lambda a, b, c: Pow(Mul((a, b)), Num(2))),
    "power 1/2": (
        lambda a, b, c: power(power(a, num(2)), Num(num(1).value / 2)),
        lambda a, b, c: Pow(Pow(a, Num(2)), Num(num(1).value / 2)),
    ),
    "negative": (lambda a, b, c: negative(add((a, b))), lambda a, b, c: Mul((Num(-1), Add((a, b))))),
    "scaled": (lambda a, b, c: scaled(-2, a), lambda a, b, c: Mul((Num(-2), a))),
    "sum over i": (lambda a, b, c: sum_over((I,), mul((a, b))), lambda a, b, c: Sum((I,), Mul((a, b)))),
    "sum over both": (lambda a, b, c: sum_over((I, J), add((a, b))), lambda a, b, c: Sum((I, J), Add((a, b)))),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
@settings(STEADY, max_examples=40)
@given(operands=st.tuples(expressions(depth=2), expressions(depth=2), expressions(depth=1)))
def test_a_constructor_means_what_it_constructs(name, operands):
    made, raw = CONSTRUCTORS[name]
    parts = tuple(map(normal, operands))
    before = raw(*parts)
    assume(well_conditioned(before))
    assert differs(before, made(*parts)) == ""


FORMS: dict[str, Callable[[Expr], Expr]] = {
    "expand": forms.expand,
    "factored": forms.factored,
    "together": forms.together,
    "merged": forms.merged,
    "branches joined": forms.branches_joined,
    "polished": forms.polished,
    "rules": lambda e: rewrite.rewrite(e)[0],
    "spread": folds.spread,
    "softmaxes": lambda e: softmaxes.with_softmaxes(e, {}),
    "by denominator": lambda e: forms.everywhere(
        e, lambda n: terms.by_denominator(n, forms.factored) if isinstance(n, Add) else n
    ),
    "roots joined": terms.with_joined_roots,
    "term by term": lambda e: forms.everywhere(e, lambda n: terms.term_by_term(n, forms.expand) if isinstance(n, Mul) else n),
}


@pytest.mark.parametrize("name", FORMS)
@settings(STEADY, max_examples=60)
@given(expr=expressions(depth=4))
def test_a_form_has_the_same_value(name, expr):
    assume(well_conditioned(expr))
    before = normal(expr)
    assume(before.nodes <= 200)
    assert differs(before, FORMS[name](before)) == ""


def gathering_all_terms(expr: Expr) -> Expr:
    """Merge Σ_i a + Σ_j b into one sum whatever their sizes: wrong."""
    sums = [t for t in expr.args if isinstance(t, Sum)] if isinstance(expr, Add) else []
    if len(sums) == 2 and len(sums[0].indices) == len(sums[1].indices) == 1:
        to = {sums[1].indices[0]: Affine.of(sums[0].indices[0])}
        return Sum(sums[0].indices, Add((sums[0].body, substitute(sums[1].body, to))))
    return expr


def test_a_wrong_form_is_seen():
    x, y, m = Ref(user("x"), (bare(I),)), Ref(user("y"), (bare(J),)), Ref(user("s"))
    planted = [
        (gathering_all_terms, Add((Sum((I,), x), Sum((J,), y)))),
        (lambda e: Pow(e.base.base, Num(2 * num(1).value / 2)), Pow(Pow(x, Num(2)), Num(num(1).value / 2))),  # √x² = x
        (lambda e: Ref(user("x"), (Affine.of(I) + 1,)), Sum((J,), Mul((Delta(bare(J), Affine.of(I) + 1), y)))),
        (lambda e: m, Sum((I,), m)),  # a sum forgets how many
        (lambda e: Num(1), Sum((J,), Delta(bare(J), Affine.of(I) + 1))),  # out of range counts
    ]
    for wrong, before in planted:
        assert differs(before, wrong(before)) != ""
        assert differs(before, normal(before)) == ""


# -- δ, ranges, capture ------------------------------------------------------------------------------------------------------

P, Q = Index("p", Size.of("N")), Index("q", Size.of("M"))
X_P = Ref(user("x"), (bare(P),))
LABEL = Affine.of(Ref(user("k")))


@pytest.mark.parametrize(
    "body",
    [
        Mul((Delta(bare(P), bare(I)), X_P)),
        Mul((Delta(bare(I), bare(P)), Pow(X_P, Num(2)), Ref(user("A"), (bare(P), bare(J))))),
        Mul((Delta(bare(P), Affine.of(I) + 1), X_P)),
        Delta(bare(P), Affine.of(I) + 1),
        Mul((Delta(bare(P), Affine.of(I) - 1), Add((X_P, Num(1))))),
        Mul((Delta(Affine.of(P).scaled(2), bare(I)), X_P)),
        Mul((Delta(bare(P), bare(J)), X_P)),
        Mul((Delta(bare(P), LABEL), X_P)),
        Delta(bare(P), LABEL + 1),
        Mul((Delta(bare(P), LABEL + 1), Add((X_P, Num(1))))),
        Mul((Delta(bare(P), bare(I)), Delta(bare(P), Affine.of(0)))),
        Mul((Delta(Affine.of(P) + I, bare(J)), X_P)),
        Mul((Add((Delta(bare(P), bare(I)), X_P)), X_P)),
        Mul((Delta(bare(P), bare(I)), Pow(X_P, Num(-1)))),
        Mul((Delta(bare(P), Affine.of(I) + 1), Pow(Add((X_P, Num(3))), Num(-1)))),
    ],
    ids=lambda e: f"{type(e).__name__}-{e.nodes}",
)
def test_a_delta_is_contracted_within_its_range(body):
    assert differs(Sum((P,), body), normal(Sum((P,), body))) == ""
    assert differs(Sum((P, Q), body), normal(Sum((P, Q), body))) == ""


@STEADY
@given(expressions(depth=4), st.data())
def test_substitution_does_not_capture(expr, data):
    inner = [b for node in walk(expr) for b in binders(node) if b.size == I.size]
    new = data.draw(st.sampled_from(inner)) if inner else Index("i", I.size)
    moved = substitute(expr, {I: Affine.of(new)})
    assert moved.free <= {new, J}
    for sizes in SIZES:
        left, right = value(expr, sizes, (I, J)), value(moved, sizes, (new, J))
        np.testing.assert_array_equal(left, right)


def test_a_capturing_substitution_would_be_seen():
    body = Sum((P,), Mul((X_P, Ref(user("B"), (bare(I), bare(P))))))
    captured = Sum((P,), Mul((X_P, Ref(user("B"), (bare(P), bare(P))))))
    right = substitute(body, {I: Affine.of(P)})
    sizes = SIZES[0]
    assert np.array_equal(value(right, sizes, (P,)), value(body, sizes, (I,)))
    assert not np.array_equal(value(captured, sizes, (P,)), value(body, sizes, (I,)))


# -- alpha keys --------------------------------------------------------------------------------------------------------------


def shuffled(expr: Expr, draw: Callable[..., object]) -> Expr:
    """Return ``expr`` with the terms, factors and bound indices in another order."""
    children = tuple(shuffled(c, draw) for c in expr.children)
    if isinstance(expr, Add | Mul):
        return type(expr)(tuple(draw(st.permutations(children))))  # type: ignore[call-overload]
    if isinstance(expr, Sum) and len(expr.indices) == 1:
        return Sum(expr.indices, children[0])
    return expr.rebuilt(children) if children else expr


@STEADY
@given(expressions(depth=4), st.data())
def test_renaming_and_reordering_keep_the_key(expr, data):
    assert key(freshen(expr)) == key(expr)
    assert key(shuffled(expr, data.draw)) == key(expr)


@settings(STEADY, max_examples=300)
@given(expressions(depth=2), expressions(depth=2), st.data())
def test_equal_keys_mean_equal_values(one, two, data):
    mutants = [two, substitute(one, {I: Affine.of(I) + 1}), *one.children]
    for node in walk(one):
        if isinstance(node, Sum | Prim) and len(binders(node)) == 2:
            a, b = binders(node)
            mutants.append(swapped(one, a, b))
    for other in mutants:
        if key(one) == key(other):
            for sizes in SIZES:
                np.testing.assert_allclose(value(one, sizes), value(other, sizes), rtol=1e-12, atol=1e-12, equal_nan=True)


def swapped(expr: Expr, a: Index, b: Index) -> Expr:
    """Return ``expr`` with one binder's two indices exchanged in its body."""
    if isinstance(expr, Sum) and expr.indices == (a, b):
        return Sum((a, b), substitute(expr.body, {a: Affine.of(b), b: Affine.of(a)}))
    children = tuple(swapped(c, a, b) for c in expr.children)
    return expr.rebuilt(children) if children else expr


def test_a_key_tells_apart_what_differs():
    b = Ref(user("B"), (bare(P), bare(I)))
    turned = Ref(user("B"), (bare(I), bare(P)))
    assert key(Sum((P,), b)) != key(Sum((P,), turned))
    assert key(Sum((P,), Num(1))) != key(Sum((Q,), Num(1)))
    assert key(Sum((P,), Sum((I,), b))) == key(Sum((I,), Sum((P,), turned)))


# -- the table of rules --------------------------------------------------------------------------------------------------------

LETTERS = {c: Ref(user(c)) for c in "xab"}


def broken(before: str, after: str) -> bool:
    """Say whether two texts over scalars differ where the first has a value."""
    left, right = (rows.read_row(t, rows.Bindings(scalars=LETTERS)) for t in (before, after))
    rng = np.random.default_rng(5)
    with mpmath.workdps(60):
        for point in (*rng.uniform(-2, 2, (40, 3)), *rng.uniform(0, 30, (10, 3))):
            env = {user(c): np.array(mpmath.mpf(v), dtype=object) for c, v in zip("xab", point, strict=True)}
            try:
                one = evaluate_expr(left, env, {}, ())[()]
            except (ValueError, ZeroDivisionError):
                continue
            if isinstance(one, mpmath.mpf) and abs(one - evaluate_expr(right, env, {}, ())[()]) > 1e-30 * max(1, abs(one)):
                return True
    return False


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_is_an_equation(rule):
    assert not broken(rule.before, rule.after)
    assert rule.sentence


@pytest.mark.parametrize(
    ("before", "after"), [("abs(x)**2", "abs(x)"), ("x/abs(x)", "1"), ("log(exp(x))", "abs(x)"), ("x*step(x)", "x")]
)
def test_a_wrong_rule_is_seen(before, after):
    assert broken(before, after)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_is_applied_where_it_stands_in_something_larger(rule):
    x = Ref(user("x"), (bare(I),))
    inner = rows.read_row(rule.before, rows.Bindings(scalars={"x": x, "a": Ref(user("s")), "b": num(2)}))
    for whole in (
        inner,
        normal(Mul((Num(3), Ref(user("y"), (bare(J),)), inner))),
        fn("tanh", (normal(Add((inner, Ref(user("s"))))),)),
    ):
        made, used = rewrite.rewrite(whole)
        assert rule in used or cost(made) < cost(whole)
        assert differs(whole, made) == ""


def test_a_wrong_rule_in_the_table_changes_a_value(monkeypatch):
    wrong = tuple(replace(r, after="x + 1") if r.name == "log of exp" else r for r in RULES)
    monkeypatch.setattr(rewrite, "RULES", wrong)
    rewrite._compiled.cache_clear()
    before = fn("log", (fn("exp", (Ref(user("x"), (bare(I),)),)),))
    assert differs(before, rewrite.rewrite(before)[0]) != ""


# -- matching ------------------------------------------------------------------------------------------------------------


@STEADY
@given(expressions(scope=(I,), depth=3))
def test_a_match_is_an_equation(expr):
    pattern = normal(expr)
    other = substitute(freshen(pattern), {I: Affine.of(P)})
    binding = match(pattern, other, frozenset({I}))
    if binding is not None:
        assert key(substitute(pattern, binding)) == key(other)


X_I, Y_Q = Ref(user("x"), (bare(I),)), Ref(user("y"), (bare(Q),))
SQUARE = Sum((P,), Pow(X_P, Num(2)))


@pytest.mark.parametrize(
    ("pattern", "expr", "found"),
    [
        (X_I, X_P, True),
        (Mul((X_I, Num(2))), Mul((Num(2), X_P)), True),
        (Add((X_I, SQUARE)), Add((freshen(SQUARE), X_P)), True),
        (Mul((X_I, Ref(user("B"), (bare(I), bare(I))))), Mul((X_P, Ref(user("B"), (bare(P), bare(P))))), True),
        (Mul((X_I, Ref(user("B"), (bare(I), bare(I))))), Mul((X_P, Ref(user("B"), (bare(P), bare(J))))), False),
        (Mul((X_I, Num(2))), Mul((X_P, Num(3))), False),
        (Sum((P,), Mul((X_I, X_P))), Sum((P,), Mul((X_P, X_P))), False),
        (Sum((P,), X_P), Sum((Q,), Y_Q), False),
    ],
)
def test_a_match_is_found_where_there_is_one(pattern, expr, found):
    assert (match(pattern, expr, frozenset({I})) is not None) is found
