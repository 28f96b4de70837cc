"""``d.sympy``: every result of the gallery and of the table is the same number for SymPy, and SymPy can work on with it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sympy
from sympy_values import value

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.gallery import gallery, wrt
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES

NAMES = [n for n in gallery if not n.startswith("deep_sigmoid") or n in {"deep_sigmoid_1", "deep_sigmoid_3"}]
ENTRIES = 2


def worst(d: Any, expand: bool, seed: int = 0) -> float:
    """Return the largest relative error of some entries of every result, at sizes 2 and 3 where the program allows them."""
    error = 0.0
    for sizes in size_sets(d.primal)[:1]:
        small = {name: 2 + n % 2 for n, name in enumerate(sizes)}
        at = next((s for s in (small, sizes) if list(points(d.primal, s, np.random.default_rng(seed), 1))), None)
        assert at is not None
        (point,) = points(d.primal, at, np.random.default_rng(seed), 1)
        env = {str(name): v for name, v in evaluate_graph(d.primal, point, at).items()}
        if expand:
            env = {name: v for name, v in env.items() if name in point}
        for name, result in d.results.items():
            truth = result.evaluate(point, sizes=at)
            axes = sympy.symbols(f"at0:{truth.ndim}", integer=True)
            expr = d.sympy(name, indices=axes, expand=expand)
            places = list(np.ndindex(truth.shape))
            for where in {places[0], places[-1], *places[1 :: max(1, len(places) // ENTRIES)]}:
                found = value(expr, {**env, **at, **{f"at{n}": i for n, i in enumerate(where)}})
                error = max(error, abs(found - truth[where]) / max(1e-3, float(np.max(np.abs(truth)))))
    return error


@pytest.mark.parametrize("name", NAMES)
def test_the_results_of_the_gallery_are_the_same_numbers(name):
    d = dk.derive(gallery[name], wrt[name], check=False)
    assert worst(d, expand=False) < 1e-9


@pytest.mark.parametrize("name", NAMES[::8])
def test_written_over_the_inputs_they_are_still_the_same(name):
    d = dk.derive(gallery[name], wrt[name], check=False)
    assert worst(d, expand=True) < 1e-9


OTHERS = {"lo": "-0.5", "hi": "0.5", "slope": "0.01", "alpha": "1.5", "b": "0.25", "c": "x > 0"}
DEFINED = """
    E = var(x) + std(x) + mean(x)          | E = cross_entropy(softmax(x), sigmoid(x))
    E = binary_cross_entropy(sigmoid(x), sigmoid(u))
    E = kl_div(softmax(x), softmax(u))     | E = huber(x, u)                             | E = hinge(x, u)
    E = squared_error(linear(u, A, x), x)  | E = sum(layer_norm(x, u, u)**2)             | E = sum(rms_norm(x, u)**3)
    E = sum(batch_norm(A, x, u)**3)        | E = sum(attention(A, A, A)**2)              | E = sum(attention(A, A, A, mask=k)**2)
    E = sum(conv1d(x, w, padding=1)**2)    | E = sum(conv1d(x, w, padding='same')**2)    | E = sum(avg_pool1d(x, 1)**2)
    E = sum(max_pool1d(x, 1)**2)           | E = sum(concat(x, u)**2*concat(u, x))       | E = sum(flip(x)*u)
    E = sum(reshape(A, N*N)**2)            | E = sum(repeat(x, 2)**3)                    | E = sum(pad(x, 1)**2)
    E = trace(A @ outer(x, u))             | E = det(A + outer(x, x))                    | E = logdet(A + diag(x))
    E = x @ solve(A, u)                    | E = sum((A @ diag(x))**2)                   | E = sum(inv(A + diag(x)))
    E = x[l]*u[l]                          | E = sum(onehot(l, N)*x**2)                  | E = sum(x[argmax(u)]*u)
    E = logsumexp(x)*norm(x)               | E = prod(x)                                 | E = max(x*u) + min(x)
    E = sum(log_softmax(x)*u)              | E = sum(max(A*x, axis=1)**2)                | E = sum(prod(A*x, axis=0)**2)
"""


@pytest.mark.parametrize("row", ELEMENTWISE.values(), ids=lambda row: row.name)
def test_every_elementwise_row_has_its_form(row):
    moving = 1 if row.name == "where" else 0
    arguments = [OTHERS.get(p, "x") if n != moving else "x" for n, p in enumerate(row.parameters)]
    text = f"x: N\nE = sum(x**2*{row.name}({', '.join(arguments)}))"
    if row.name in {"greater", "less", "greater_equal", "less_equal", "equal", "not_equal"}:
        sign = {"greater": ">", "less": "<", "greater_equal": ">=", "less_equal": "<=", "equal": "==", "not_equal": "!="}[
            row.name
        ]
        text = f"x: N\nE = sum(where(x {sign} 0.3, x**2, x**3))"
    d = dk.derive(text, "x", check=False)
    assert worst(d, expand=True) < 1e-9
    assert worst(d, expand=True, seed=1) < 1e-9


@pytest.mark.parametrize("line", [c.strip() for c in DEFINED.replace("\n", "|").split("|") if c.strip()])
def test_every_other_operation_has_its_form(line):
    declared = {"x": "N", "u": "N", "A": "N, N", "w": "2", "k": "mask N, N", "l": "label N"}
    text = "\n".join(f"{name}: {kind}" for name, kind in declared.items() if name in line) + f"\n{line}"
    assert worst(dk.derive(text, "x" if "x" in line.replace("max", "") else "A", check=False), expand=True) < 1e-8


def test_every_primitive_is_swept():
    written = DEFINED + " ".join(gallery.values())
    assert [op for op in PRIMITIVES if op not in written and op not in {"first_max", "prod_except"}] == []


# -- for SymPy users --------------------------------------------------------------------------------------------------------


def test_names_have_shapes_and_assumptions():
    d = dk.derive("x: D\np: positive D\nk: label D\nE = sum(log(p)*x**2)*x[k]", "x", check=False)
    bases = {str(b.label): b for b in d.sympy().atoms(sympy.IndexedBase)}
    size = sympy.Symbol("D", integer=True, positive=True)
    assert bases["x"].shape == (size,)
    assert bases["x"][0].is_real
    assert not bases["x"][0].is_positive
    assert bases["p"][0].is_positive
    assert sympy.Symbol("k", integer=True, nonnegative=True) in d.sympy().free_symbols
    assert d.sympy(indices=(sympy.Integer(2),)).subs(size, 3).doit().free_symbols.isdisjoint({size})


def test_sympy_s_own_doit_gives_the_number():
    d = dk.derive(gallery["two_layer_tanh"], "W1", check=False)
    sizes = {"D": 2, "M": 2, "K": 3}
    (point,) = points(d.primal, sizes, np.random.default_rng(0), 1)
    expr = d.sympy("W1", indices=(1, 0), expand=True)
    expr = expr.subs({sympy.Symbol(n, integer=True, positive=True): v for n, v in sizes.items()}).doit()
    entries = {e: float(point[str(e.base.label)][tuple(map(int, e.indices))]) for e in expr.atoms(sympy.Indexed)}
    assert float(expr.xreplace(entries)) == pytest.approx(d.evaluate(point)[1, 0], rel=1e-10)


def test_sympy_differentiates_on():
    d = dk.derive("x: N\nE = logsumexp(x) + sum(relu(x)**2)", "x", check=False)
    hessian = dk.derive("x: N\nE = logsumexp(x) + sum(relu(x)**2)", "x", kind="hessian", check=False)
    x = np.array([0.3, -0.7])
    explicit = d.sympy(indices=(0,)).subs(sympy.Symbol("N", integer=True, positive=True), 2).doit()
    (base,) = explicit.atoms(sympy.IndexedBase)
    for j in range(2):
        slope = explicit.diff(base[j])
        assert float(slope.subs({base[n]: v for n, v in enumerate(x)})) == pytest.approx(hessian.evaluate(x=x)[0, j])


def test_the_determinant_becomes_a_number_as_sympy_users_do_it():
    d = dk.derive("A: N, N\nE = det(A)", "A", check=False)
    expr = d.sympy(indices=(0, 1)).subs(sympy.Symbol("N", integer=True, positive=True), 2)
    expr = expr.replace(sympy.Determinant, lambda m: m.as_explicit().det()).doit() if expr.has(sympy.Determinant) else expr.doit()
    a = np.array([[2.0, 1.0], [0.5, 3.0]])
    values = {e: a[tuple(map(int, e.indices))] for e in expr.atoms(sympy.Indexed)}
    values |= {s: np.linalg.det(a) for s in expr.free_symbols if str(s) == "E"}
    assert float(expr.subs(values)) == pytest.approx(-0.5)


def test_a_convolution_reads_0_outside():
    d = dk.derive("x: N\nw: P\ny = conv1d(x, w)\nE = sum(y**2)", "x", check=False)
    assert d.sympy().has(sympy.Heaviside)
    assert not d.sympy().has(sympy.Piecewise)  # SymPy would take it out of the sum that binds its index


def test_layouts_and_letters_are_those_of_the_result():
    d = dk.derive("x: N\nA: M, N\ny = A @ x**2", "x", check=False)
    i, j = sympy.symbols("i j", integer=True)
    assert d.sympy(indices=(i, j)) == d.sympy(indices=(j, i), layout="denominator")
    assert {str(s) for s in d.sympy().free_symbols if s.is_integer and not s.is_positive} <= {"i", "j", "m", "n"}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda d: d.sympy("y"), "DK008"),
        (lambda d: d.sympy(), "DK010"),
        (lambda d: d.sympy("x", indices=(1, 2)), "DK010"),
        (lambda d: d.sympy("x", indices=("i",)), "DK010"),
    ],
)
def test_what_cannot_be_is_refused(call, code):
    d = dk.derive("x: N\nw: N\nE = sum(x*w)", "x, w", check=False)
    with pytest.raises(DerivkitError) as caught:
        call(d)
    assert caught.value.code == code


def test_nothing_else_pays_for_sympy():
    code = (
        "import sys, derivkit as dk; d = dk.derive('E = sum(softmax(x)*t)', 'x'); str(d); d.html(); dk.compile(d);"
        "d.verify('t', 'x'); print('sympy' in sys.modules); d.sympy(); print('sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
