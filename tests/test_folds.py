"""What a program's own definitions allow, folds and facts, keeps every value; a fact that is none is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import oracle
import pytest
from expressions import FREE, SIZES
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from derivkit.symbolic.derive import facts, folds, forms
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Delta, Expr, Num, Ref, Sum, bare
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import add, mul, normal, num, power, sum_over
from derivkit.symbolic.parse import read_program

STEADY = settings(
    max_examples=25, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
I, J = FREE  # noqa: E741
Q = Index("q", Size.of("M"))

PROGRAMS = {
    "softmax by hand": "x: N\ny: M\ns:\ne = exp(x)\nZ = sum(e)\np = e/Z\nh = tanh(y)\nq = p*Z\nE = sum(p**2) + sum(h) + s",
    "declared": "p: simplex N\nt: onehot M\ny: M\ns:\nu = softmax(y)\nr = p/(1 + s**2)\nE = sum(p) + u @ t + sum(r)",
    "centred": "x: N\ny: M\ns:\nm = mean(x)\nc = x - m\nv = mean(c**2)\nn = c/sqrt(v + 1)\nw = y/(1 + s**2)\nE = sum(n) + sum(w)",
}


def program_expressions(graph, draw, depth=3) -> Expr:
    """Draw an expression over the names of a program and over the right sides of its definitions."""
    p, q = Index("p", Size.of("N")), Index("q", Size.of("M"))
    by_size = {Size.of("N"): [I, p], Size.of("M"): [J, q]}
    leaves = []
    for name in (*graph.inputs, *(d.name for d in graph.definitions)):
        subs = tuple(Affine.of(draw(st.sampled_from(by_size[s]))) for s in graph.shape(name))
        leaves.append(Ref(name, subs))
        if name not in graph.inputs:
            leaves.append(normal(graph[name].at(subs)))

    def grown(level: int) -> Expr:
        if not level:
            return draw(st.sampled_from([*leaves, Num(2), Num(-1), Delta(bare(p), bare(I)), Delta(bare(q), bare(J))]))
        kind = draw(st.sampled_from(["add", "mul", "mul", "divide", "sum p", "sum q"]))
        if kind == "add":
            return add((grown(level - 1), grown(level - 1)))
        if kind == "mul":
            return mul((grown(level - 1), grown(level - 1)))
        if kind == "divide":
            return mul((grown(level - 1), power(grown(0), num(-1))))
        return sum_over((p,) if kind == "sum p" else (q,), grown(level - 1))

    made = grown(depth)
    return sum_over(tuple(i for i in (p, q) if i in made.free), made)


CHANGES = {
    "fold whole": lambda e, known: folds.fold_whole(e, known),
    "fold monomials": lambda e, known: folds.fold_monomials(e, known),
    "proved facts": lambda e, known: facts.use_facts(e, known.facts, declared=False)[0],
    "declared facts": lambda e, known: facts.use_facts(e, known.facts, declared=True)[0],
    "simplify": forms.simplify,
    "shortest": forms.shortest,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("program", PROGRAMS)
@STEADY
@given(data=st.data())
def test_what_a_program_allows_keeps_the_value(program, change, data):
    graph = GRAPHS[program]
    before = program_expressions(graph, data.draw)
    assume(before.nodes <= 120)
    after = CHANGES[change](before, KNOWN[program])
    for sizes in SIZES:
        env = evaluate_graph(graph, SAMPLES[program](sizes), sizes)
        left, right = (evaluate_expr(e, env, sizes, FREE) for e in (before, after))
        defined = np.isfinite(left) & (np.abs(left) < 1e6)
        np.testing.assert_allclose(right[defined], left[defined], rtol=1e-7, atol=1e-7)


def sampler(text: str) -> Callable[[dict[str, int]], dict[str, np.ndarray]]:
    return lambda sizes: oracle.sample(text, sizes, np.random.default_rng(sizes["N"]))


GRAPHS = {name: read_program(text) for name, text in PROGRAMS.items()}
KNOWN = {name: folds.knowledge(graph) for name, graph in GRAPHS.items()}
SAMPLES = {name: sampler(text) for name, text in PROGRAMS.items()}


def test_a_fact_that_is_not_one_is_seen():
    graph, known = GRAPHS["softmax by hand"], KNOWN["softmax by hand"]
    h = next(d for d in graph.definitions if str(d.name) == "h")
    lie = facts.Fact(h.name, 0, 1, False, "the entries of h have sum 1")
    before = Sum((Q,), Ref(h.name, (bare(Q),)))
    after, used = facts.use_facts(before, (*known.facts, lie), declared=False)
    env = evaluate_graph(graph, SAMPLES["softmax by hand"](SIZES[0]), SIZES[0])
    assert used
    assert not np.allclose(evaluate_expr(before, env, SIZES[0], ()), evaluate_expr(after, env, SIZES[0], ()))
    assert facts.use_facts(before, known.facts, declared=True)[1] == ()
