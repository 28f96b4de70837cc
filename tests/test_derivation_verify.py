"""``d.verify``: the derivative's own text is right, every planted corruption is wrong, and the cause that is named fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest

import derivkit as dk
from derivkit.checking.verify.corruptions import ROWS
from derivkit.checking.verify.edits import MOST, edits
from derivkit.errors import DerivkitError
from derivkit.symbolic.gallery import gallery, wrt

NAMES = [n for n in gallery if not n.startswith("deep_sigmoid") or n == "deep_sigmoid_3"]


@cache
def derivation(name: str) -> Any:
    return dk.derive(gallery[name], wrt[name], check=False)


@pytest.mark.parametrize("name", NAMES[::3])  # every third program
def test_the_derivative_s_own_text_is_right(name):
    d = derivation(name)
    variable, result = list(d.results.items())[len(name) % len(d.results)]  # the others of a program are alike
    assert d.verify(str(result), variable), f"{variable}: {result}"
    if not result.shared and len(name) % 4 == 0:
        assert d.verify(result.program(notation="index"), variable), f"{variable}: {result.program(notation='index')}"


def whole(name: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yield (variable, claim, codes that fit) for corruptions of a result as a whole."""
    for variable, result in derivation(name).results.items():
        line = str(result)
        if result.shared or "[" in line.partition("=")[0]:
            continue
        right = line.partition("=")[2]
        yield variable, f"-({right})", {"sign"}
        yield variable, f"({right})/2", {"scale:0.5"}
        yield variable, f"3*({right})", {"scale:3"}
        yield variable, f"0*({right})", {"zero"}
        for size in [s.name for s in result.shape if s.name][:1]:
            yield variable, f"({right})/{size}", {f"scale:1/{size}"}
            yield variable, f"({right})*{size}", {f"scale:{size}"}
        if len(result.shape) == 2 and result.shape[0] != result.shape[1]:
            yield variable, f"({right}).T", {"transpose"}
        if not result.outputs and variable in {str(i) for i in result.graph.inputs}:
            yield variable, f"({right}) + {variable}", {"extra-term", "missing-term", "missing-factor"}
            yield variable, f"({right})*{variable}", {"extra-factor", "missing-factor", "power", "scale"}


@pytest.mark.parametrize("n", range(0, len(NAMES), 8), ids=NAMES[::8])
def test_a_corruption_of_the_whole_is_named(n):
    for variable, claim, codes in [*whole(NAMES[n])][n % 13 :: 13]:
        report = derivation(NAMES[n]).verify(claim, variable)
        assert not report
        assert not report.undecided
        assert report.diagnosis in codes or report.diagnosis.partition(":")[0] in codes, f"{claim}: {report}"


#: What may be said of an edit of one place instead: the same claim has several explanations.
SAME = {
    "missing-factor": {"sign", "scale", "power", "zero"},
    "extra-factor": {"power", "missing-factor", "scale"},
    "power": {"extra-factor", "missing-factor", "scale", "zero"},
    "missing-term": {"zero", "missing-factor", "extra-factor", "diagonal", "wrong-name"},
    "sign": {"extra-factor", "zero", "missing-term", "wrong-variable", "missing-factor"},
    "wrong-name": {"zero", "missing-term", "wrong-variable", "power", "missing-factor", "extra-factor"},
    "index-swapped": {"transpose", "shape"},
    "scale": {"missing-factor"},
    "diagonal": {"missing-term"},
    "function": {"missing-factor", "extra-factor", "missing-term"},
}


@pytest.mark.parametrize("n", range(1, len(NAMES), 6), ids=NAMES[1::6])
def test_a_slip_in_one_place_is_named(n):
    """Where the verdict is right, the slip changes nothing: complex steps must say so, too."""
    d, rng = derivation(NAMES[n]), np.random.default_rng(n)
    variable, result = list(d.results.items())[n % len(d.results)]
    made = [] if result.shared else list(edits(result.expr, result.graph))
    for place in rng.choice(len(made), min(1, len(made)), replace=False):
        edit = made[place]
        claim = str(replace(result, expr=edit.expr))
        try:
            report = d.verify(claim, variable)
        except DerivkitError:
            continue  # a slip that the language refuses, as a power of 0
        if report:
            assert same(d, replace(result, expr=edit.expr), result), claim
            continue
        code, _, detail = report.diagnosis.partition(":")
        if code == "wrong-variable" and derivation(NAMES[n]).verify(claim.partition(" = ")[2], detail):
            continue  # the slip has made it the derivative by another variable, which is what is said
        assert code == edit.lost[0] or code in SAME[edit.lost[0]] | {"non-finite"}, f"{claim}: {report}"


def same(d: Any, one: Any, other: Any) -> bool:
    from derivkit.symbolic.derive.points import points, size_sets

    sizes = size_sets(d.primal)[0]
    for values in points(d.primal, sizes, np.random.default_rng(99), 10):
        if not np.allclose(one.evaluate(values, sizes=sizes), other.evaluate(values, sizes=sizes), rtol=1e-9, atol=1e-12):
            return False
    return True


# -- causes, one by one -------------------------------------------------------------------------------------------------------

CE = "z: K\nt: onehot K\ny = softmax(z)\nE = cross_entropy(t, y)"
NET = "x: D\nW1: M, D\nW2: K, M\nt: onehot K\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)"
FORM = "A: N, N\nx: N\nE = x @ A @ x"
LEAST = "X: N, D\nw: D\ny: N\nr = X @ w - y\nE = mean(r**2)"
JACOBIAN = "x: N\nA: M, N\ny = A @ x**2"
SOFTMAX = "z: K\ny = softmax(z)"

MOMENT = "X: N, D\nS: symmetric D, D\nM = X.T @ X\nE = sum(S*M)"
NORMED = "x: N, D\nG: N, D\nm = mean(x, axis=0)\ns = std(x, axis=0)\nn = (x - m)/s\nE = sum(G*n)"
FILTER = "x: L\nw: P\nG: L-P+1\nE = sum(G*conv1d(x, w))"
IMAGE = "x: L, L\nw: P, P\nG: L-P+1, L-P+1\nE = sum(G*conv2d(x, w))"
LOGISTIC = "x: D\nW: K, D\nt: K\ny = sigmoid(W @ x)\nE = -sum(t*log(y) + (1 - t)*log(1 - y))"
GAUSS = "X: N, D\nmu: D\nS: symmetric D, D\nE = -N*logdet(S)/2 - sum((X - mu) @ inv(S) * (X - mu))/2"

CAUSES = [
    (CE, "z", "t - y", "sign"),
    (CE, "z", "y + t", "sign"),
    (CE, "z", "y", "missing-term"),
    (CE, "z", "(y - t)/K", "scale:1/K"),
    (CE, "z", "-t/y", "wrong-variable:y"),
    (CE, "z", "y - z", "wrong-name"),
    (CE, "z", "outer(y, t)", "shape"),
    (CE, "z", "0*y", "zero"),
    (CE.replace("onehot ", ""), "z", "y - t", "declaration:t: onehot"),
    (NET, "W1", "outer(W2.T @ (y - t), x)", "missing-factor"),
    (NET, "W1", "outer((W2.T @ (y - t)) * h * (1 - h), x)", "missing-factor"),
    (NET, "W1", "outer(x, (W2.T @ (y - t)) * (1 - h**2))", "transpose"),
    (NET, "W1", "outer((W2.T @ (y - t)) * (1 + h**2), x)", "sign"),
    (NET, "W1", "outer((W2.T @ (y - t)) * (1 - h), x)", "power"),
    (NET, "W1", "outer((W2 @ (y - t)) * (1 - h**2), x)", "shape"),
    (NET, "W1", "outer((W2.T @ y) * (1 - h**2), x)", "missing-term"),
    (NET, "x", "W1.T @ (W2.T @ (y - t))", "missing-factor"),
    (NET, "W1", "y - t", "wrong-variable:z"),
    (NET, "W1", "outer(y - t, h)", "wrong-variable:W2"),
    (FORM, "x", "A @ x", "missing-term"),
    (FORM, "x", "2*A @ x", "declaration:A: symmetric"),
    (FORM, "A", "outer(x, x)/2", "scale:0.5"),
    (FORM, "x", "(A + A.T) @ x + x", "extra-term"),
    (LEAST, "w", "2*X.T @ r", "scale:N"),
    (LEAST, "w", "X.T @ r/N", "scale:0.5"),
    (LEAST, "w", "2*X.T @ (X @ w + y)/N", "sign"),
    (LEAST, "w", "2/N*r*X[:, 0]", "shape"),
    (LEAST, "w", "2/N*r[:, None]*X", "missing-sum"),
    (JACOBIAN, "x", "2*diag(x) @ A.T", "transpose"),
    (JACOBIAN, "x", "A*x", "scale:0.5"),
    (SOFTMAX, "z", "y*(1 - y)", "diagonal"),
    (SOFTMAX, "z", "diag(y)", "missing-term"),
    (SOFTMAX, "z", "diag(y) + outer(y, y)", "sign"),
    ("x: N\nE = sum(abs(x))", "x", "ones(N)", "declaration:x: positive"),
    ("x: N\nE = sum(relu(x)**2)", "x", "2*x", "mask"),
    ("x: N\nE = sum(x)", "x", "1", "shape"),
    ("x:\nw:\nE = sin(w*x)", "w", "cos(w*x)", "missing-factor"),
    ("x:\nw:\nE = sin(w*x)", "w", "w*cos(w*x)", "wrong-variable:x"),
    (MOMENT, "S", "2*M - diag(diag(M))", "doubled-off-diagonal"),
    (MOMENT.replace("symmetric ", ""), "S", "M + M.T - diag(diag(M))", "doubled-off-diagonal"),
    (NORMED, "x", "G/s", "held-constant"),
    (NORMED, "x", "(G - mean(G, axis=0))/s", "missing-term"),
    ("x: N, D\nG: N, D\ng: D\nb: D\nE = sum(G*batch_norm(x, g, b, 0))", "x", "G*g/std(x, axis=0)", "held-constant"),
    (FILTER, "x", "conv1d(G, w, padding=P-1)", "flip"),
    (IMAGE, "x", "conv2d(G, w, padding=P-1)", "flip"),
    ("x: N, N, N\nE = sum(x**3)", "x", "g[i,j,k] = 3*x[k,i,j]**2", "transpose"),
    ("X: N, D\nE = sum(X**2)", "X", "2*sum(X, axis=0)", "wrong-axis"),
    ("x: N\nG: N\nh = tanh(x)\nE = sum(G*h)", "x", "G*h - G*h**3", "extra-factor"),
    (LOGISTIC, "W", "outer((1 - t)/(1 - y) - t/y, x)", "missing-factor"),
    ("x: N\nE = sum(x**2)", "x", "log(-x**2)", "non-finite"),
    ("x: N\nA: N, N\nE = sum(inv(A) @ x)", "x", "inv(0*A) @ ones(N)", "non-finite"),
    ("x: N\nE = mean(x[1:])", "x", "x", "dense"),
]


@pytest.mark.parametrize(("text", "variable", "claim", "code"), CAUSES, ids=[f"{v}-{c}" for _, v, c, _ in CAUSES])
def test_the_cause_is_named(text, variable, claim, code):
    report = dk.derive(text, variable, check=False).verify(claim, variable)
    assert not report
    assert report.diagnosis == code, str(report)


RIGHT = [
    (CE, "z", "y - t"), (CE, "z", "sum(t)*y - t"), (CE, "z", "g[k] = y[k] - t[k]"), (CE, "z", "y[k] - t[k]"), (CE, "y", "-t/y"),
    (NET, "W2", "dE_dW2 = outer(y - t, h)"), (NET, "W2", "(y[k] - t[k]) * h[j]"), (NET, "h", "W2.T @ (y - t)"),
    (NET, "W1", "d = (W2.T @ (y - t)) * (1 - h**2)\nouter(d, x)"), (FORM, "x", "(A + A.T) @ x"), (LEAST, "w", "2/N*X.T @ r"),
    (SOFTMAX, "z", "diag(y) - outer(y, y)"), (SOFTMAX, "z", "y[i]*(delta[i,j] - y[j])"), (JACOBIAN, "x", "2*A*x"),
    (MOMENT, "S", "M"), (FILTER, "x", "conv1d(G, flip(w, 0), padding=P-1)"), (FILTER, "w", "conv1d(x, G)"),
    (NORMED, "x", "(G - mean(G, axis=0) - n*mean(G*n, axis=0))/s"), (IMAGE, "x", "conv2d(G, flip(w), padding=P-1)"),
    ("x: N\nE = sum(relu(x))", "x", "step(x)"), ("x: N\nE = sum(x)", "x", "ones(N)"), ("x:\nE = sqrt(x**2)", "x", "sign(x)"),
    ("x: N\nE = sum(x**2)", "x", "2*((x + 10000000) - 10000000)"),  # what is off is rounding
]  # fmt: skip


@pytest.mark.parametrize(("text", "variable", "claim"), RIGHT, ids=[c for _, _, c in RIGHT])
def test_another_form_is_right(text, variable, claim):
    report = dk.derive(text, variable, check=False).verify(claim, variable)
    assert report, str(report)
    assert report.diagnosis is None
    assert report.evaluations >= 8


HALF = "x: K\nt: onehot K\nE = sum(t*x**2)/2"
BOWL = "A: symmetric N, N\nx: N\nE = x @ A @ x"
EITHER = "s: positive\nr: positive\nx: N\nE = sum(x**2)*abs(maximum(s, r))"
CONDITIONS = [
    (NET, "W1", "W1", "outer((W2.T @ (y - t)) * (1 - h**2), x)", "t is one-hot"),
    (NET, "W1", "z", "y - t", "t is one-hot"),  # no result of this derivation, whose steps used the fact
    (NET, "W1", "W2", "outer(y - t, h)", "t is one-hot"),
    (NET, "W1, W2", "W2", "outer(sum(t)*y - t, h)", ""),  # another result used it, this claim does not
    (CE, "z", "y", "-t/y", ""),
    (HALF, "x", "x", "t**2*x", "t is one-hot"),  # the derivation did not use it, the claim does
    (HALF, "x", "x", "t*x", ""),
    (BOWL, "x", "x", "2*A @ x", "A is symmetric"),
    (BOWL, "x", "x", "(A + A.T) @ x", ""),
    ("A: symmetric N, N\nB: symmetric N, N\nE = sum(A*B*A.T*B.T)", "A", "A", "2*B*B*A", "A is symmetric, B is symmetric"),
    ("x: positive N\nE = sum(abs(x))", "x", "x", "ones(N)", "x is positive"),
    ("x: positive N\nE = sum(log(x))", "x", "x", "1/x", ""),
    ("s: positive\nx: N\nE = sum(x**2)*sqrt(s**2)", "x", "x", "2*x*s", "s is positive"),
    (EITHER, "x", "x", "2*x*maximum(s, r)", "s is positive, r is positive"),  # each stands in for the other
]


@pytest.mark.parametrize(("text", "made", "variable", "claim", "needs"), CONDITIONS, ids=[c[3] + c[2] for c in CONDITIONS])
def test_a_right_claim_says_what_it_rests_on(text, made, variable, claim, needs):
    report = dk.derive(text, made, check=False).verify(claim, variable)
    assert report, str(report)
    assert report.evidence == ((f"where {needs}",) if needs else ())


def test_a_name_without_a_result_may_be_asked_for():
    d = dk.derive(NET, "W1", check=False)
    assert d.verify("y - t", wrt="z")  # a name that the derivation gave
    assert d.verify("W2.T @ (y - t)", wrt="h")


@pytest.mark.parametrize("claim", ["2*x + x[5]", "2*x + x[7]**2", "2*x + sum(x[9:])", "2*x + x[30]"])
def test_what_is_read_far_along_an_axis_is_looked_at_there(claim):
    report = dk.derive("x: N\nE = sum(x**2)", "x").verify(claim)
    assert report.verdict == "wrong"


@pytest.mark.parametrize("claim", ["2.000000003*x", "2*x + 0.00000003*x**3"])
def test_what_is_wrong_has_a_counterexample_however_little_it_is_off(claim):
    report = dk.derive("x: N\nE = sum(x**2)", "x", check=False).verify(claim)
    assert not report.ok
    assert report.entries
    assert any("of the claim is" in line for line in report.evidence)


def test_a_long_formula_is_not_searched_for_ever():
    d = dk.derive("x: N\nE = sum(" + " + ".join(f"sin({k}*x)" for k in range(1, 90)) + ")", "x", check=False)
    assert len(list(edits(d.result.expr, d.result.graph))) == MOST


def test_layouts_are_told_apart():
    d = dk.derive(NET, "W1", check=False)
    gradient = str(d.result).partition("=")[2]
    assert d.verify(f"({gradient}).T", "W1", layout="numerator")
    report = d.verify(f"({gradient}).T", "W1")
    assert report.diagnosis == "transpose"
    assert "numerator layout" in report.summary
    assert dk.derive(JACOBIAN, "x", layout="denominator", check=False).verify("2*diag(x) @ A.T")


def test_other_kinds_are_verified_too():
    d = dk.derive("z: K\nE = logsumexp(z)", "z", kind="hessian", check=False)
    assert d.verify("diag(softmax(z)) - outer(softmax(z), softmax(z))")
    assert d.verify("diag(softmax(z))").diagnosis == "missing-term"
    d = dk.derive("x: N\nA: M, N\ny = A @ x", "x", kind="vjp", check=False)
    assert d.verify("A.T @ y_bar")
    assert d.verify("tanh(A.T @ y_bar)").diagnosis == "function"
    with pytest.raises(DerivkitError, match="no result for 'A'"):
        d.verify("outer(y_bar, x)", "A")
    d = dk.derive("x: N\nA: M, N\ny = tanh(A @ x)", "x", kind="vjp", check=False)
    assert d.verify("A.T @ (y_bar*y)").diagnosis == "dense"  # no derivative of a scalar: what may be held constant is not asked


def test_a_difference_that_shows_at_few_points_is_seen():
    d = dk.derive("y: N\nt: N\nE = huber(y, t)", "y", check=False)
    assert d.verify("where(abs(y - t) <= 1, y - t, sign(y - t))")
    assert not d.verify("where(abs(y - t) <= 1, y - t, sign(y - t/2))")
    assert not d.verify("where(abs(y - t) <= 2, y - t, sign(y - t))")


def test_a_wrong_report_has_a_counterexample_and_the_right_form():
    report = dk.derive(NET, "W1", check=False).verify("outer(W2.T @ (y - t), x)", "W1")
    text = str(report)
    assert "wrong: dE_dW1 = outer(W2.T @ (y - t), x): lacks the factor 1 - h[j]**2" in text
    assert "counterexample at D = " in text
    assert "right: outer((W2.T @ (y - t)) * (1 - h**2), x)" in text
    assert report.entries[0].leaf == "W1"
    assert abs(report.entries[0].yours - report.entries[0].measured) > 1e-6
    assert report.to_json()["diagnosis"] == "missing-factor"
    assert len(text.splitlines()) <= 20


@pytest.mark.parametrize(
    ("claim", "code"),
    [("y -", "DK007"), ("yy - t", "DK008"), ("sofmax(z) - t", "DK009"), (3, "DK010"), ("y = t\ny", "DK011")],
)
def test_what_cannot_be_read_is_no_verdict(claim, code):
    with pytest.raises(DerivkitError) as caught:
        dk.derive(CE, "z", check=False).verify(claim, "z")
    assert caught.value.code == code


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(DerivkitError) as caught:
        dk.derive("x: D\nE = sum(x**2)", "x", check=False).verify("residual - t")
    assert caught.value.hint == "the names are E, x, D"


def test_without_a_point_nothing_is_decided():
    report = dk.derive("x: N\nE = sum(log(-x**2))", "x", check=False).verify("2/x", "x")
    assert not report
    assert report.undecided


def test_every_row_of_the_table_says_what_it_means():
    assert all(row.code and row.meaning and callable(row.hypothesis) for row in ROWS)
    assert ROWS[-1].code == "dense"


# -- what is said is true: the repair that is named makes the claim right -----------------------------------------------------

LACKING = [
    (NORMED, "x", "(G - mean(G, axis=0))/s"),
    (NORMED, "x", "(G - n*mean(G*n, axis=0))/s"),
    (SOFTMAX, "z", "diag(y)"),
    ("z: N, K\nG: N, K\nE = sum(G*softmax(z, axis=1))", "z", "softmax(z, axis=1)*G"),
    ("x: D\nG: D\ny = x/norm(x)\nE = sum(G*y)", "x", "G/norm(x)"),
    (NET, "W1", "outer((W2.T @ y) * (1 - h**2), x)"),
]


@pytest.mark.parametrize(("text", "variable", "claim"), LACKING, ids=[c for _, _, c in LACKING])
def test_a_term_that_is_named_repairs_the_claim(text, variable, claim):
    d = dk.derive(text, variable, check=False)
    report = d.verify(claim, variable)
    assert report.diagnosis == "missing-term"
    term = report.summary.removeprefix("lacks the term ")
    free = _letters_in(term)
    letters = [*free, *(f"free{n}" for n in range(len(free), len(d.result.outputs) + len(d.result.inputs)))]
    assert any(_sum_is_right(d, variable, claim, term, order) for order in permutations(letters)), term


def _letters_in(term: str) -> list[str]:
    bound = set("".join(re.findall(r"sum\[([^]]*)\]", term)).replace(",", ""))
    inside = re.findall(r"\b[a-z]\b", " ".join(re.findall(r"(?<!sum)\[([^]]*)\]", term)))
    return [i for i in dict.fromkeys(inside) if i not in bound]


def _sum_is_right(d: Any, variable: str, claim: str, term: str, order: tuple[str, ...]) -> bool:
    try:
        return bool(d.verify(f"whole_ = {claim}\nsum_[{','.join(order)}] = whole_[{','.join(order)}] + ({term})", variable))
    except DerivkitError:
        return False


def test_a_factor_of_one_term_is_said_to_be_that_of_the_term():
    d = dk.derive(GAUSS, "S", check=False)
    assert d.verify("(inv(S)@(X-mu).T@(X-mu)@inv(S) - inv(S))/2").summary.startswith("lacks the factor N in -N * inv(S)[")
    assert dk.derive(NET, "W1", check=False).verify("outer(W2.T @ (y - t), x)").summary == "lacks the factor 1 - h[j]**2"


def test_a_headline_keeps_the_cause_and_the_numbers():
    d = dk.derive(MOMENT, "S", check=False)
    for claim in ("(X.T @ X)/2", f"({' + '.join(['X.T @ X'] * 40)})/80 - 2*X.T @ X", "dE_dS = -M", "A = M\n-A"):
        report = d.verify(claim)
        lines = str(report).split("\n")
        assert report.summary in "\n".join(lines[:2]), lines[0]
        assert "evaluations, seed 0)" in lines[0]
        assert all(len(line) <= 160 for line in lines if "reproduce" not in line)
    assert str(d.verify("dE_dS = M")).startswith("ok: dE_dS = M: right")
    assert str(d.verify("A = M\n-A")).startswith("wrong: dE_dS = -A, A = M: has the opposite sign")
    assert d.verify("0").summary == "is a scalar, the derivative has shape (D, D)"
    shapes = dk.derive(LEAST, "w", check=False).verify("2*X@(X@w-y)/N")
    assert "(N, D) at line 1, column 2; (N) at line 1, column 9" in str(shapes).split("\n")[0]
