"""The printer of index notation: what each expression looks like in each style, and that program text reads back."""

from __future__ import annotations

import itertools
import json
import re
import time
from fractions import Fraction as F

import numpy as np
import pytest
from timing import patience

from derivkit.errors import DerivkitError
from derivkit.layout import axis_order
from derivkit.symbolic.derive import derive
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.expr import (
    Add,
    Const,
    Delta,
    Fn,
    Inside,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    bare,
    key,
    replace,
    substitute,
    user,
    walk,
)
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import normal
from derivkit.symbolic.ops import ELEMENTWISE
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.matrix import math_form
from derivkit.symbolic.render.notation import NODES, Notation
from derivkit.symbolic.render.page import NOTATIONS, STEPS
from derivkit.symbolic.render.source import authored
from derivkit.symbolic.render.styles import TEXT, number

i, j, k, l, n, p = (Index(h, Size.of(s)) for h, s in zip("ijklnp", ("D", "M", "K", "K", "N", "P"), strict=True))  # noqa: E741
N, E = Size.of("N"), user("E")


def v(name, *indices):
    return Ref(user(name), tuple(Affine.of(s) for s in indices))


def minus(expr):
    return Mul((Num(-1), expr))


def over(expr):
    return Pow(expr, Num(-1))


x, h, y, t, z = v("x", i), v("h", j), v("y", l), v("t", l), v("z", k)
residual = Add((y, minus(t)))
slope = Add((Num(1), minus(Pow(h, Num(2)))))
dE_dz = Ref(Name("adjoint", "", user("z"), E), (bare(l),))
dE_dy = Ref(Name("adjoint", "", user("y"), E), (bare(k),))
dy_dz = Ref(Name("adjoint", "", user("z"), user("y")), (bare(k), bare(l)))
dh_da = Ref(Name("local", "", user("h"), user("a")), (bare(j),))
RANKS = {user(m): 1 for m in "xhytzaw"} | {user("E"): 0}

TABLE = [
    (
        Mul((x, slope, Sum((l,), Mul((v("W2", l, j), residual))))),
        "x_i (1 − h_j²) Σ_l W2_lj (y_l − t_l)",
        r"x_{i} \, (1 - h_{j}^{2}) \, \sum_{l} W_{2,lj} \, (y_{l} - t_{l})",
        "x[i] * (1 - h[j]**2) * sum[l](W2[l,j] * (y[l] - t[l]))",
    ),
    (
        Mul((Sum((l,), y), slope)),
        "(1 − h_j²) Σ_l y_l",
        r"(1 - h_{j}^{2}) \, \sum_{l} y_{l}",
        "sum[l](y[l]) * (1 - h[j]**2)",
    ),
    (minus(Mul((t, over(y)))), "−t_l / y_l", r"-\frac{t_{l}}{y_{l}}", "-t[l] / y[l]"),
    (Mul((Num(-1), t, over(y))), "−t_l / y_l", r"-\frac{t_{l}}{y_{l}}", "-t[l] / y[l]"),
    (
        Mul((v("y", k), Add((Delta(bare(k), bare(l)), minus(y))))),
        "y_k (δ_kl − y_l)",
        r"y_{k} \, (\delta_{kl} - y_{l})",
        "y[k] * (delta[k,l] - y[l])",
    ),
    (
        Sum((k,), Mul((Mul((Num(-1), v("t", k), over(v("y", k)))), v("y", k), Add((Delta(bare(k), bare(l)), minus(y)))))),
        "Σ_k (−t_k / y_k) · y_k (δ_kl − y_l)",
        r"\sum_{k} \left(-\frac{t_{k}}{y_{k}}\right) \, y_{k} \, (\delta_{kl} - y_{l})",
        "sum[k]((-t[k] / y[k]) * y[k] * (delta[k,l] - y[l]))",
    ),
    (
        Add((minus(t), Mul((y, Sum((k,), v("t", k)))))),
        "−t_l + y_l Σ_k t_k",
        r"-t_{l} + y_{l} \, \sum_{k} t_{k}",
        "-t[l] + y[l] * sum[k](t[k])",
    ),
    (
        Sum((k,), Mul((dE_dy, dy_dz))),
        "Σ_k ∂E/∂y_k · ∂y_k/∂z_l",
        r"\sum_{k} \frac{\partial E}{\partial y_{k}} \cdot \frac{\partial y_{k}}{\partial z_{l}}",
        "sum[k](dE_dy[k] * dy_dz[k,l])",
    ),
    (dh_da, "∂h_j/∂a_j", r"\frac{\partial h_{j}}{\partial a_{j}}", "dh_da[j]"),
    (
        Ref(Name("adjoint", "", user("w"), Name("adjoint", "", user("x"), E)), (bare(i), bare(n))),
        "∂²E/∂x_i∂w_n",
        r"\frac{\partial^{2} E}{\partial x_{i} \, \partial w_{n}}",
        "d2E_dx_dw[i,n]",
    ),
    (Mul((Num(F(1, 2)), x)), "x_i / 2", r"\frac{x_{i}}{2}", "x[i] / 2"),
    (Mul((Num(F(-2, 3)), x)), "−2 x_i / 3", r"-\frac{2 \, x_{i}}{3}", "-2 * x[i] / 3"),
    (Num(F(1, 2)), "1/2", r"\frac{1}{2}", "1/2"),
    (Add((x, Num(F(-1, 2)))), "x_i − 1/2", r"x_{i} - \frac{1}{2}", "x[i] - 1/2"),
    (Mul((Num(F("0.1")), x)), "0.1 x_i", r"0.1 \, x_{i}", "0.1 * x[i]"),
    (Mul((Num(F("1e-5")), x)), "1e-5 x_i", r"10^{-5} \, x_{i}", "1e-5 * x[i]"),
    (
        Mul((Num(2), Sum((n,), Mul((v("r", n), v("X", n, i)))), over(SizeOf(N)))),
        "(2 / N) Σ_n r_n X_ni",
        r"\frac{2}{N} \, \sum_{n} r_{n} \, X_{ni}",
        "2 * sum[n](r[n] * X[n,i]) / N",
    ),
    (
        Mul((x, over(Sum((l,), y)))),
        "x_i / (Σ_l y_l)",
        r"\frac{x_{i}}{\sum_{l} y_{l}}",
        "x[i] / sum[l](y[l])",
    ),
    (
        Mul((x, over(h), over(residual))),
        "x_i / (h_j (y_l − t_l))",
        r"\frac{x_{i}}{h_{j} \, (y_{l} - t_{l})}",
        "x[i] / (h[j] * (y[l] - t[l]))",
    ),
    (Mul((residual, over(SizeOf(N)))), "(y_l − t_l) / N", r"\frac{y_{l} - t_{l}}{N}", "(y[l] - t[l]) / N"),
    (Pow(x, Num(F(1, 2))), "√x_i", r"\sqrt{x_{i}}", "sqrt(x[i])"),
    (Pow(residual, Num(F(-1, 2))), "1 / √(y_l − t_l)", r"\frac{1}{\sqrt{y_{l} - t_{l}}}", "1 / sqrt(y[l] - t[l])"),
    (Pow(x, Num(-2)), "1 / x_i²", r"\frac{1}{x_{i}^{2}}", "1 / x[i]**2"),
    (Pow(x, Num(F(3, 2))), "x_i^(3/2)", "x_{i}^{3/2}", "x[i]**(3/2)"),
    (Pow(x, v("q")), "x_i^q", "x_{i}^{q}", "x[i]**q"),
    (Pow(x, minus(v("q"))), "x_i^(−q)", "x_{i}^{-q}", "x[i]**(-q)"),
    (Pow(minus(x), Num(2)), "(−x_i)²", "(-x_{i})^{2}", "(-x[i])**2"),
    (minus(Pow(x, Num(2))), "−x_i²", "-x_{i}^{2}", "-x[i]**2"),
    (Pow(residual, Num(2)), "(y_l − t_l)²", "(y_{l} - t_{l})^{2}", "(y[l] - t[l])**2"),
    (Pow(dE_dz, Num(2)), "(∂E/∂z_l)²", r"\left(\frac{\partial E}{\partial z_{l}}\right)^{2}", "dE_dz[l]**2"),
    (Fn("exp", (minus(x),)), "exp(−x_i)", "e^{-x_{i}}", "exp(-x[i])"),
    (Pow(Fn("exp", (x,)), Num(2)), "exp(x_i)²", "(e^{x_{i}})^{2}", "exp(x[i])**2"),
    (Mul((Fn("log", (x,)), h)), "log(x_i) h_j", r"\log(x_{i}) \, h_{j}", "log(x[i]) * h[j]"),
    (Fn("abs", (residual,)), "|y_l − t_l|", r"\lvert y_{l} - t_{l} \rvert", "abs(y[l] - t[l])"),
    (
        Fn("sigmoid", (Mul((x, over(h))),)),
        "sigmoid(x_i / h_j)",
        r"\sigma\left(\frac{x_{i}}{h_{j}}\right)",
        "sigmoid(x[i] / h[j])",
    ),
    (
        Fn("where", (Fn("greater", (x, Num(0))), x, Num(0))),
        "where(x_i > 0, x_i, 0)",
        r"\operatorname{where}(x_{i} > 0, x_{i}, 0)",
        "where(x[i] > 0, x[i], 0)",
    ),
    (Mul((h, Fn("less_equal", (x, Num(1))))), "h_j [x_i ≤ 1]", r"h_{j} \, [x_{i} \le 1]", "h[j] * (x[i] <= 1)"),
    (Inside(Affine.of(i) + p, Size.of("P")), "[0 ≤ i+p < P]", r"[0 \le i+p < P]", "ones(P)[i+p]"),
    (v("x", Affine.of(i) + p - 1), "x_{i+p−1}", "x_{i+p-1}", "x[i+p-1]"),
    (v("x", Affine.of(i).scaled(2) - p), "x_{2i−p}", "x_{2i-p}", "x[2*i-p]"),
    (v("E", Affine.of(v("idx", n)), i), "E_{idx_n,i}", r"E_{\mathit{idx}_{n},i}", "E[idx[n],i]"),
    (v("y", Affine.of(v("k"))), "y_k", "y_{k}", "y[k]"),
    (Delta(Affine.of(i), Affine.of(n) + p), "δ_{i,n+p}", r"\delta_{i,n+p}", "delta[i,n+p]"),
    (Add((SizeOf(Size.of("L") - Size.of("R") * 2), x)), "(L−2R) + x_i", "(L-2 R) + x_{i}", "(L-2*R) + x[i]"),
    (minus(Const("inf")), "−∞", r"-\infty", "-inf"),
    (Mul((Num(2), Const("pi"), v("alpha"))), "2 π α", r"2 \, \pi \, \alpha", "2 * pi * alpha"),
    (Mul((x, Num(3))), "x_i · 3", r"x_{i} \cdot 3", "x[i] * 3"),
    (Mul((v("x_hat", i), v("loss"))), "x_hat_i loss", r"\hat{x}_{i} \, \mathit{loss}", "x_hat[i] * loss"),
    (Prim("softmax", (k,), (z,), (bare(l),)), "softmax(z)_l", r"\operatorname{softmax}(z)_{l}", "softmax(z)[l]"),
    (
        Prim("softmax", (k,), (v("z", n, k),), (bare(l),)),
        "softmax(z_n)_l",
        r"\operatorname{softmax}(z_{n})_{l}",
        "softmax(z)[n,l]",
    ),
    (
        Prim("softmax", (k,), (v("z", k, n),), (bare(l),)),
        "softmax(z_{·n})_l",
        r"\operatorname{softmax}(z_{\cdot,n})_{l}",
        "softmax(z, axis=0)[l,n]",
    ),
    (
        Prim("logsumexp", (k,), (v("z", n, k),), ()),
        "logsumexp(z_n)",
        r"\operatorname{logsumexp}(z_{n})",
        "logsumexp(z, axis=1)[n]",
    ),
    (Prim("max", (k,), (minus(z),), ()), "max_k(−z_k)", r"\max_{k}(-z_{k})", "max(-z)"),
    (
        Prim("first_max", (k,), (z,), (bare(l),)),
        "first_max(z)_l",
        r"\operatorname{first\,max}(z)_{l}",
        "onehot(argmax(z), K)[l]",
    ),
    (
        Prim("prod_except", (k,), (z,), (bare(l),)),
        "prod_except(z)_l",
        r"\textstyle\prod_{\ne}(z)_{l}",
        "prod_except(z)[l]",
    ),
]


@pytest.mark.parametrize(("expr", "text", "latex", "program"), TABLE, ids=[row[1] for row in TABLE])
def test_each_expression_in_each_style(expr, text, latex, program):
    taken = {str(m) for m in {user("alpha"), user("loss")}}
    found = {style: Notation(style, Letters(taken), RANKS)(expr) for style in ("text", "latex", "program")}
    assert found == {"text": text, "latex": latex, "program": program}


def test_an_operand_that_has_its_default_is_not_written():
    leak = Fn("leaky_relu", (x, Num(F("0.01"))))
    assert Notation("program")(leak) == "leaky_relu(x[i])"
    assert Notation("latex")(Fn("leaky_relu", (x, Num(F("0.2"))))) == r"\operatorname{leaky\_relu}(x_{i}, 0.2)"


@pytest.mark.parametrize("op", sorted(ELEMENTWISE))
def test_every_operation_prints_in_every_style(op):
    expr = Fn(op, tuple(v(f"a{m}") for m, _ in enumerate(ELEMENTWISE[op].parameters)))
    for style in ("text", "latex", "program"):
        shown = Notation(style)(expr)
        assert all(f"a{m}" in shown or f"a_{{{m}}}" in shown for m, _ in enumerate(expr.args))
        assert shown.count("{") == shown.count("}")


def test_letters_avoid_names_scope_and_each_other():
    inner, outer = Index("k", Size.of("K")), Index("k", Size.of("K"))
    nested = Sum((outer,), Mul((v("a", outer), Sum((inner,), v("b", inner)))))
    assert Notation("program")(nested) == "sum[k](a[k] * sum[l](b[l]))"
    beside = Add((Sum((outer,), v("a", outer)), Sum((inner,), v("b", inner))))
    assert Notation("program")(beside) == "sum[k](a[k]) + sum[k](b[k])"
    letters = Letters({"k", "l"})
    assert Notation("program", letters)(nested) == "sum[m](a[m] * sum[n](b[n]))"
    free = Index("i", Size.of("D"))
    assert Notation("program")(Mul((v("a", free), Sum((i,), v("b", i))))) == "a[i] * sum[j](b[j])"
    assert Notation("program")(Sum((i,), v("b", i)), (free,)) == "sum[j](b[j])"


def test_a_free_index_keeps_its_letter():
    first, second = Index("i", Size.of("D")), Index("i", Size.of("D"))
    letters = Letters()
    letters.together((first, second))
    print_ = Notation("program", letters)
    assert [print_(v("x", first)), print_(v("x", second)), print_(Mul((v("x", second), v("y", first))))] == [
        "x[i]", "x[j]", "x[j] * y[i]",
    ]  # fmt: skip


def test_a_shared_subexpression_has_letters_that_fit_everywhere():
    inner = Sum((k,), v("a", k))
    deeper = Index("k", Size.of("K"))
    assert Notation("program")(Add((inner, Sum((deeper,), Mul((v("b", deeper), inner)))))) == (
        "sum[k](a[k]) + sum[l](b[l] * sum[k](a[k]))"
    )


@pytest.mark.parametrize("text", ["0.5", "0.1", "0.044715", "1e-5", "1.5e-7", "0.001", "123.25", "1e30", "0.0625"])
def test_numbers_are_exact(text):
    top, bottom = number(F(text))
    assert F(top) / F(bottom or 1) == F(text)


def test_large_expressions_are_quick_and_too_large_ones_refused():
    start = time.process_time()
    many = Add(tuple(Mul((v(f"a{m}", i), Sum((Index("k", Size.of("K")),), v("b", i)))) for m in range(3000)))
    assert len(Notation("latex")(many)) > 3000
    deep = v("x", i)
    for _ in range(2000):
        deep = Add((Fn("sin", (deep,)), Num(1)))
    assert Notation("text")(deep).count("sin") == 2000
    shared = v("x", i)
    while shared.nodes <= NODES:
        shared = Add((shared, shared))
    with pytest.raises(DerivkitError, match="not printed") as caught:
        Notation("text")(shared)
    assert caught.value.code == "DK018"
    assert time.process_time() - start < patience()


# -- whole derivations ---------------------------------------------------------------------------------------------------

PROGRAMS = [
    ("h = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)", "W1", {"t": "onehot K"}),
    ("y = softmax(x)", "x", {"x": "K"}),
    ("Y = softmax(X, axis=0)\nE = sum(Y * G)", "X", {"X": "N, K", "G": "N, K"}),
    ("E = softmax_cross_entropy(t, z)", "z", {"t": "K", "z": "K"}),
    ("E = -log_softmax(z)[k]", "z", {"z": "K", "k": "label K"}),
    ("E = mean((X @ w - y)**2) + 0.044715*sum(w**2)", "w", {"X": "N, D", "y": "N"}),
    ("H = relu(X @ W.T + b)\nE = sum(H * G)", "W, b", {"X": "N, D", "W": "M, D", "G": "N, M"}),
    ("y = prod(x)", "x", {"x": "K"}),
    ("E = logsumexp(x)", "x", {"x": "K"}),
    ("E = norm(x - y)/sqrt(D)", "x", {"x": "D", "y": "D"}),
    ("y = exp(alpha*n)/sum(exp(alpha*n))\nE = sum(y*q)", "n, alpha", {"n": "K", "q": "simplex K"}),
    ("y[i] = sum[p](w[p]*x[i+p])\nE = sum(y**2)", "w", {"x": "L", "w": "P"}),
    ("E = sum(where(x > 1, x, 0.1*x)*gelu(x))", "x", {"x": "D"}),
    ("Y = X @ W", "W", {"X": "N, D", "W": "D, M"}),
    ("E = sum(2*x) + sum(A)", "x, A", {"x": "D", "A": "M, 1"}),
    ("f = (x0 - 1)**2 + 100*(x1 - x0**2)**2", "x0, x1", {"x0": "", "x1": ""}),
    ("E = (x @ A @ x)/(x @ x)", "x", {"A": "D, D", "x": "D"}),
]
UNREAD = [("E = max(x)", "x", {"x": "K"})]  # onehot(argmax(x), K): the reader takes onehot of a label only
LAYOUTS = ("mixed", "numerator", "denominator")


def arrays(graph, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {name: 2 + m for m, name in enumerate("KMDNLP")} | {"L": 7, "P": 3}
    made = {}
    for name, declared in graph.inputs.items():
        shape = tuple(s.evaluate(sizes) for s in declared.shape)
        made[str(name)] = rng.uniform(0.2, 1.5, shape)
        if declared.kind == "label":
            made[str(name)] = rng.integers(0, declared.range.evaluate(sizes), shape)
        if declared.kind in {"onehot", "simplex"}:
            made[str(name)] = np.eye(shape[-1])[1]
    return made


@pytest.mark.parametrize(("text", "wrt", "shapes"), PROGRAMS, ids=[row[0][:30] for row in PROGRAMS])
@pytest.mark.parametrize("notation", ["index", "matrix"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_printed_program_parses_again_and_means_the_same(text, wrt, shapes, notation, layout):
    d = derive(text, wrt, shapes)
    printed = d.program(notation=notation, layout=layout)
    again = read_program(printed)
    given = arrays(d.primal)
    values = {str(m): value for m, value in evaluate_graph(again, given).items()}
    whole = {str(m): value for m, value in evaluate_graph(d.graph, given, best=True).items()}
    for result in d.results.values():
        order = axis_order(layout, len(result.output_shape), len(result.input_shape))
        assert np.allclose(values[str(result.name)], whole[str(result.name)].transpose(order))


def inlined(graph, expr):
    """Undo what the reader does: every primitive of a printed line stands under a name of its own."""

    def change(node):
        if isinstance(node, Ref) and node.name.kind == "anon":
            return inlined(graph, graph[node.name].at(node.subs))
        return None

    return replace(expr, change)


@pytest.mark.parametrize(("text", "wrt", "shapes"), PROGRAMS, ids=[row[0][:30] for row in PROGRAMS])
def test_a_printed_entry_reads_back_as_the_same_expression(text, wrt, shapes):
    d = derive(text, wrt, shapes, check=False)
    again = read_program(d.program(notation="index"))
    for result in d.results.values():
        spelt_out = [m for m in walk(result.expr) if isinstance(m, Prim) and m.op in {"prod_except", "norm"}]
        back = again[user(str(result.name))]
        natural = (*result.outputs, *result.inputs)
        pairs = {b: Affine.of(a) for a, b in zip(natural, back.indices, strict=True) if b is not None}
        found = normal(substitute(inlined(again, back.rhs), pairs))
        assert spelt_out or key(found) == key(normal(inlined(again, result.expr)))


@pytest.mark.parametrize(("text", "wrt", "shapes"), PROGRAMS + UNREAD, ids=[row[0][:30] for row in PROGRAMS + UNREAD])
def test_every_form_prints_under_every_option(text, wrt, shapes):
    d = derive(text, wrt, shapes)
    for layout, steps, notation, style in itertools.product(LAYOUTS, STEPS, NOTATIONS, ("delta", "cases")):
        if notation == "operator" and layout != "numerator":
            continue
        options = {"layout": layout, "steps": steps, "notation": notation, "style": style, "lemmas": steps == "full"}
        shown, latex = d.text(**options), d.latex(**options)
        assert f"layout: {layout}" in shown
        assert latex.isascii()
        assert latex.count("{") == latex.count("}")
        assert latex.count("$") % 2 == 0
        assert latex.count(r"\left") == latex.count(r"\right")
    data = json.loads(d.to_json())
    assert data["schema"] == "derivkit.derivation/1"
    assert [r["wrt"] for r in data["results"]] == [str(m) for m in d.wrt]


def test_the_two_layer_net_reads_like_a_textbook():
    d = derive("h = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)", "W1", {"t": "onehot K"})
    lines = d.text().splitlines()
    assert lines[0] == "E = cross_entropy(t, y),  y = softmax(W2 h),  h = tanh(W1 x);   ∂E/∂W1"
    assert lines[1].startswith("layout: mixed (")
    assert lines[1].endswith("∂E/∂W1 ∈ R^{M×D}")
    assert lines[2].startswith("Let  ")
    assert "t one-hot in R^K" in lines[2]
    assert "∂E/∂W1_ji = x_i (1 − h_j²) Σ_k W2_kj (y_k − t_k)" in d.text()
    assert d.text(steps="brief").count("∂E/∂z_k") == 1
    assert "y_l (1 − y_l) if l = k,  −y_l y_k if l ≠ k" in d.text(style="cases")
    assert "Lemma 1 (softmax)" in d.text(lemmas=True)
    with pytest.raises(DerivkitError, match="unknown steps"):
        d.text(steps="ful")


def test_a_primitive_of_an_expression_keeps_its_own_axis_order():
    shapes = {"X": "N, D", "W": "K, D", "b": "K", "T": "onehot N, K"}
    d = derive("E = sum(cross_entropy(T, softmax(X @ W.T + b)))/N", "W, b", shapes, check=False)
    assert d.results["W"].program() == "(softmax(X @ W.T + b) - T).T @ X / N"
    assert d.results["b"].program() == "mean(softmax(X @ W.T + b) - T, axis=0)"
    assert "(softmax(X Wᵀ + 𝟏 bᵀ) − T)ᵀ X/N" in d.text()


# -- layouts ---------------------------------------------------------------------------------------------------------------

#: program, wrt, and in each layout: the header's space, the matrix line (None: there is none), the array's shape.
LAYOUT_TABLE = [
    ("softmax", "y = softmax(x)", {"x": "K"}, "x", {
        "mixed": ("R^{K×K}", "diag(y) − y yᵀ", "KK"),
        "numerator": ("R^{K×K}", "diag(y) − y yᵀ", "KK"),
        "denominator": ("R^{K×K} with ∂y_k/∂x_l at [l, k]", "diag(y) − y yᵀ", "KK"),
    }),
    ("linear by x", "y = W @ x + b", {"x": "D", "W": "M, D", "b": "M"}, "x", {
        "mixed": ("R^{M×D}", "W", "MD"),
        "numerator": ("R^{M×D}", "W", "MD"),
        "denominator": ("R^{D×M} with ∂y_j/∂x_i at [i, j]", "Wᵀ", "DM"),
    }),
    ("linear by W", "y = W @ x + b", {"x": "D", "W": "M, D", "b": "M"}, "W", {
        "mixed": ("R^{M×M×D}", None, "MMD"),
        "numerator": ("R^{M×M×D}", None, "MMD"),
        "denominator": ("R^{M×D×M} with ∂y_j/∂W_ki at [k, i, j]", None, "MDM"),
    }),
    ("a gradient by a vector", "E = g @ (W @ x)", {"x": "D", "W": "M, D", "g": "M"}, "x", {
        "mixed": ("R^D", "Wᵀ g", "D"),
        "numerator": ("R^{1×D}", "gᵀ W", "D"),
        "denominator": ("R^D", "Wᵀ g", "D"),
    }),
    ("a gradient by a matrix", "E = g @ (W @ x)", {"x": "D", "W": "M, D", "g": "M"}, "W", {
        "mixed": ("R^{M×D}", "g xᵀ", "MD"),
        "numerator": ("R^{D×M} with ∂E/∂W_ji at [i, j]", "x gᵀ", "DM"),
        "denominator": ("R^{M×D}", "g xᵀ", "MD"),
    }),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("text", "shapes", "wrt", "expected"), [r[1:] for r in LAYOUT_TABLE], ids=[r[0] for r in LAYOUT_TABLE])
def test_header_result_and_matrix_line_agree_in_each_layout(text, shapes, wrt, expected, layout):
    space, matrix, axes = expected[layout]
    d = derive(text, wrt, shapes)
    shown = d.text(layout=layout)
    assert re.search(rf" ∈ {re.escape(space)}\n", shown)
    assert (f"= {matrix} " in shown) == (matrix is not None)
    assert "".join(map(str, d.result.shape_in(layout))) == axes
    given = arrays(d.primal)
    wanted = d.evaluate(given, layout=layout)
    sizes = {"K": 2, "M": 3, "D": 4}
    assert wanted.shape == tuple(sizes[a] for a in axes)
    for notation in ("index", "matrix"):
        again = read_program(d.program(notation=notation, layout=layout))
        printed = {str(m): value for m, value in evaluate_graph(again, given).items()}[str(d.result.name)]
        np.testing.assert_allclose(printed, wanted, rtol=1e-12)


# -- the page ----------------------------------------------------------------------------------------------------------------

LINES = {
    "c = x @ y/(norm(x)*norm(y))": "c = xᵀ y/(‖x‖ ‖y‖)",
    "r = (x @ A @ x)/(x @ x)": "r = xᵀ A x/(xᵀ x)",
    "E = -sum(x*(1 - y)**s*log(y))": "E = −sum(x ⊙ (1 − y)^s ⊙ log(y))",
    "E = sum((A @ B - A)**2)": "E = ‖A B − A‖_F²",
    "L = -sum(abs(x))/(2*s)": "L = −sum(|x|)/(2 s)",
    "B2 = A**2": "B2 = A ⊙ A",
    "v = -s*(A @ x)": "v = −s A x",
    "w = x @ A + y": "w = Aᵀ x + y",
    "q[i] = sum[j](A[i,j]*x[j])": "q_i = Σ_j A_ij x_j",
    "h = where(x > 0, x, 0.1*x)": "h = where(x > 0, x, 0.1 x)",
    "m = mean(A, axis=1)": "m = mean(A, axis=1)",
    "u = x[1:]": "u = x[1:]",
    "u = x[s:2*s]": "u = x[s:2s]",
    "E = x @ diag(y) @ x": "E = xᵀ diag(y) x",
    "E = y @ layer_norm(x, y, y)": "E = yᵀ layer_norm(x, y, y)",
    "E = sum(x*cross_entropy(A, B))": "E = sum(x ⊙ cross_entropy(A, B))",
    "E = s/2*(x @ x)": "E = (s/2) xᵀ x",
    "E = s/2*logdet(A)": "E = (s/2) logdet(A)",
    "E = -x @ inv(B) @ x/2": "E = −xᵀ B⁻¹ x/2",
    "C = A - x[:, None]": "C = A − x 𝟏ᵀ",
    "C = A/(x + y)[None, :]": "C = A ⊘ (𝟏 (x + y)ᵀ)",
    "c = A @ x[:, None]": None,
    "w = x @ A.T": "w = A x",
    "Y = A[k] @ B": "Y = A_k B",  # labels k gather as many rows: a matrix
    "Y = tanh(A[k]) @ B.T": "Y = tanh(A_k) Bᵀ",
    "Z = A - 2": "Z = A − 2 𝟏 𝟏ᵀ",  # not A − 2 I
    "Z = A*(1 - B) + 1": "Z = A ⊙ (1 − B) + 𝟏 𝟏ᵀ",  # among entries a number stands under each
    "Z = sum(tanh(A - s) + 1)": "Z = sum(tanh(A − s) + 1)",
    "w = 2*(x @ y)*x": "w = (2 xᵀ y) x",
    "r = 2*(x @ y)": "r = 2 xᵀ y",
    "y = A[k] @ x": "y = A_k x",
    "y = A[i] @ B": "y = Bᵀ A_i",
    "y = x[k] @ y": "y = (x_k)ᵀ y",
    "s = A[k,k] @ x[k]": "s = (A_kk)ᵀ x_k",
}


@pytest.mark.parametrize(("line", "wanted"), LINES.items(), ids=LINES)
def test_an_author_s_line_is_set_as_mathematics(line, wanted):
    ranks = {"x": 1, "y": 1, "A": 2, "B": 2, "s": 0, "j": 0, "i": 0, "k": 1}
    definition = Definition(user(line[0]), (), (), Num(0), text=line)
    assert authored(definition, ranks, TEXT) == (wanted if wanted is None or line[1] != "2" else wanted.replace("B2", "B"))


def test_long_lines_are_broken_and_facts_told():
    d = derive("p = softmax(z)\nE = -sum(t*(1 - p)**g*log(p))", "z", {"z": "K", "t": "onehot K", "g": "positive"}, check=False)
    formulas = [line for line in d.text().splitlines() if " = " in line or line.lstrip().startswith("−")]
    assert all(len(line.split("    ")[0]) <= 104 for line in formulas)
    net = derive("y = softmax(z)\nE = cross_entropy(t, y)", "z", {"z": "K", "t": "onehot K"}, check=False)
    assert "used: t is one-hot: Σ_l t_l = 1" in net.text(steps="none")
    assert "used:" not in net.text()
    assert json.loads(net.to_json())["facts"] == ["t is one-hot: Σ_l t_l = 1"]
    assert "in matrix notation" not in derive("f = 2*a*b", "a", {"a": "", "b": ""}).text()


def test_json_holds_what_the_page_says():
    text = "h = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)"
    d = derive(text, "W1, x", {"t": "onehot K"})
    made = d.to_json(layout="numerator")
    assert made == derive(text, "W1, x", {"t": "onehot K"}).to_json(layout="numerator")
    data = json.loads(made)
    page = d.text(layout="numerator", lemmas=True)
    told = [data["meaning"], *data["header"], *data["lets"], *data["facts"], data["checked"]]
    for step in (*data["steps"], *(s for one in data["lemmas"] for s in one["steps"])):
        told += [step["left"], *(line["right"] for line in step["lines"])]
    for result in data["results"]:
        told += [result["left"], result["text"], result["matrix"]["text"], *result["axes"]]
        assert result["program"] == d.results[result["wrt"]].program(notation="index", layout="numerator")
    assert [t for t in told if t not in page] == []
    assert data["results"][0]["entry"] == "∂E/∂W1_ji at [i, j]"


def test_a_minus_sign_before_a_sum_has_its_brackets():
    entropy = derive("H = -sum(p*log(p))", "p", {"p": "positive K"}, check=False)
    assert math_form(minus(Add((v("x", i), Num(1)))), (i,), GRAPH_OF_X) == "−(x + 1)"
    assert math_form(minus(Add((v("s"), Num(1)))), (), GRAPH_OF_X) == "−(s + 1)"
    assert "= −(log(p) + 1) " in entropy.text()


GRAPH_OF_X = read_program("x: D\ns:\nE = sum(x)*s")


@pytest.mark.parametrize(
    ("text", "wrt", "line"),
    [
        ("V: M, P\np: M\no = V.T @ p\nE = sum(o**2)", "V", "chain rule through o_i = Σ_j V_ji p_j"),
        ("q: D\nV: M, P\nK: M, D\np = softmax(K @ q)\no = V.T @ p", "q", "fold Σ_l V_lk p_l = o_k"),
        ("x: D\nA: K, D\nmu: D\nz[n] = sum[i](A[n,i]*(x[i]-mu[i])**2)", "mu", "differentiate z_n = Σ_j A_nj (x_j − μ_j)²"),
        ("W: K, D\nx: D\nb: K\ny = W @ x + b", "W", "differentiate y_k = Σ_j W_kj x_j + b_k"),
    ],
)
def test_a_reason_reads_an_array_as_its_line_does_and_takes_none_of_its_letters(text, wrt, line):
    assert line in derive(text, wrt, check=False).text()


def test_an_axis_of_one_entry_has_no_subscript_on_a_page():
    d = derive("x: N, M\nmu = mean(x, axis=1, keepdims=True)\ny = (x - mu)**2", "mu")
    assert "∂y_nj/∂μ_p = 2 δ_np (μ_n − x_nj)" in d.text()
    assert r"\partial \mu_{p}" in d.latex()
    assert "mu[n,0]" in d.program(notation="index")


@pytest.mark.parametrize(
    ("text", "wrt", "kind", "line"),
    [
        ("x: D\ny = layer_norm(x, ones(D), zeros(D))", "x", None, "= −1 / s Σ_j (x_j − μ) = 0"),
        ("x: D\ny = (x - mean(x))/std(x)", "x", None, "/ √u1 fold (x_i − u) / √u1 = y_i"),
        ("x: D\nE = norm(x)", "x", "hessian", "(δ_ij − x_i x_j / E²) / E take out the common factor"),
        ("X: N, D\ne:\nL = logdet(X.T @ X + e*eye(D))", "X", None, "contract δ_ji, δ_ki"),
        ("z: K\nE = max(softmax(z))", "z", None, "contract δ_lk"),
        ("Z: N, D\nY: N, D\ns:\nL = -trace(log_softmax(Z @ Y.T / s, axis=1)) / N", "s", None, "/ s² contract δ_np"),
    ],
)
def test_a_reason_is_the_reason_of_its_line(text, wrt, kind, line):
    assert line in re.sub(r"\s+", " ", derive(text, wrt, check=False, kind=kind).text())
