"""``dk.lambdify``: the values of SymPy's own ``lambdify`` and of explicit sums, as stable array code without loops."""

from __future__ import annotations

import math
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import Eq, Heaviside, IndexedBase, KroneckerDelta, Max, Min, Piecewise, Product, Rational, Sum, exp, log, sqrt, symbols
from sympy_values import value

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.gallery import gallery, wrt

x, y, z = symbols("x y z", real=True)
i, j, k, n, m = symbols("i j k n m", integer=True)
X, Y, W, A, B = (IndexedBase(letter) for letter in "XYWAB")
S, T = IndexedBase("S", shape=(n, m)), IndexedBase("T", shape=(n,))

#: Expressions in x, y and z, all in (0.1, 0.9); SymPy's own function is the judge, point by point.
SCALARS = [
    x + y * z, x - 2 * y, x**2, x**3, x**4, x**7, x**-1, 1 / x**2, x ** Rational(1, 2), x ** Rational(1, 3), x**y, x ** (y + 1),
    sqrt(x + y), exp(x), exp(-(x**2) / 2), log(x), log(x * y, 2), sympy.sin(x), sympy.cos(x * y), sympy.tan(x), sympy.sinh(x),
    sympy.cosh(x), sympy.tanh(x), sympy.atan(x), sympy.asin(x), sympy.acos(x), sympy.asinh(x), sympy.asinh(-3 * x),
    sympy.acosh(1 + x), sympy.atanh(x), sympy.atanh(-x), sympy.sec(x), sympy.csc(x), sympy.cot(x), sympy.sech(x), sympy.csch(x),
    sympy.coth(x), sympy.erf(x), sympy.erfc(x), sympy.Abs(x - y), sympy.sign(x - y), Max(x, y, z), Min(x, y, Rational(1, 2)),
    Max(0, x - y), Heaviside(x - y), Heaviside(x - y, 0), sympy.sinc(x), Piecewise((x, x > y), (y**2, True)),
    Piecewise((1, x < 0.3), (x, x < 0.6), (z, True)), Piecewise((x, (x > y) & (y > z)), (y, (x > z) | (z > y)), (z, True)),
    Piecewise((x, sympy.Not(x > y)), (0, True)), sympy.ITE(x > y, x > z, y > z), log(1 + exp(x)), 1 / (1 + exp(-x)),
    exp(x) / (1 + exp(x)), log(exp(x) + exp(y)), log(exp(x) + 2 * exp(y) + exp(z)), exp(x) - 1, log(1 + x), sympy.pi * x,
    sympy.E**2 * x, sympy.GoldenRatio + x, 0.1 * x, 1.5e-3 * x + 2e10, Rational(1, 3) * x, x * (1 - x) * (1 - y**2) / (z + 3),
]  # fmt: skip

LSE = log(Sum(exp(X[i]), (i, 0, n - 1)))
PAIRS = Sum(A[i, j] * X[i] * X[j], (i, 0, n - 1), (j, 0, n - 1))
MEAN = Sum(X[k], (k, 0, n - 1)) / n

#: (expression, its arrays): X and Y have 4 entries, W has 2, A is 4 by 4, B is 3 by 4, S is 3 by 2; n = 4 and m = 3.
SUMS = [
    Sum(X[i], (i, 0, n - 1)), Sum(X[i] ** 2, (i, 0, n - 1)), Sum(X[i] * Y[i], (i, 0, n - 1)), Sum(X[i] ** 3, (i, 0, n - 1)),
    PAIRS, LSE, Sum(exp(x * X[i]), (i, 0, n - 1)), x * Sum(X[i], (i, 0, n - 1)) + y, Sum(i * X[i], (i, 0, n - 1)), MEAN,
    Sum((X[i] - MEAN) ** 2, (i, 0, n - 1)) / n, sqrt(Sum(X[i] ** 2, (i, 0, n - 1))), Product(X[i], (i, 0, n - 1)),
    Product(1 + X[i] * y, (i, 0, n - 1)), Sum(X[i] * Y[n - 1 - i], (i, 0, n - 1)), Sum(X[i + 1] - X[i], (i, 0, n - 2)),
    Sum(Y[i] * exp(X[i]), (i, 0, n - 1)) / Sum(exp(X[j]), (j, 0, n - 1)), Sum(A[i, i], (i, 0, n - 1)), Sum(T[i], (i, 1, n - 2)),
    Sum(A[i, j] * B[k, j] * X[i], (k, 0, m - 1), (j, 0, n - 1), (i, 0, n - 1)), Sum(X[i] * X[j], (j, 0, i), (i, 0, n - 1)),
    Sum(1 / (1 + X[i] - X[j]), (j, i + 1, n - 1), (i, 0, n - 2)),
    Sum(KroneckerDelta(i, j) * A[i, j], (i, 0, n - 1), (j, 0, n - 1)),
    Sum(KroneckerDelta(i, 2) * X[i], (i, 0, n - 1)), Sum(Piecewise((X[i], X[i] > x), (0, True)), (i, 0, n - 1)),
    Sum(Max(0, X[i] - x), (i, 0, n - 1)), Sum(sympy.erf(X[i]), (i, 0, n - 1)), Sum(sympy.Abs(X[i] - Y[i]), (i, 0, n - 1)),
    Sum(S[i, j] ** 2, (i, 0, n - 1), (j, 0, m - 1)), Sum(x**k, (k, 0, 5)), Sum(x**k / (k + 1), (k, 0, 3)), X[0] + X[1] * X[3],
    Sum(X[i], (i, 0, 2)), Sum(X[i], (i, 2, 1)), Sum(Sum(A[i, j] * X[j], (j, 0, n - 1)) ** 2, (i, 0, n - 1)),
    Sum(log(Sum(exp(B[i, j]), (j, 0, n - 1))), (i, 0, m - 1)), Sum(X[i] ** 2 * exp(-X[i]), (i, 0, n - 1)),
    Sum(exp(X[i]) / Sum(exp(X[j]), (j, 0, n - 1)) * Y[i], (i, 0, n - 1)), n * x,
    Sum(X[i] * W[j] * A[i, j], (i, 0, n - 1), (j, 0, 1)),
    Sum(Heaviside(i - 1, 1) * T[i - 1], (i, 0, n - 1)), Sum(exp(-((X[i] - X[j]) ** 2)), (i, 0, n - 1), (j, 0, n - 1)),
    Sum(Y[i] * log(1 + exp(-X[i])) + (1 - Y[i]) * log(1 + exp(X[i])), (i, 0, n - 1)), LSE - Sum(X[i] * Y[i], (i, 0, n - 1)),
    Sum(sympy.sign(X[i] - x) * (-1) ** i, (i, 0, n - 1)), Product(Sum(B[i, j], (j, 0, n - 1)), (i, 0, m - 1)),
]  # fmt: skip
SHAPES = {"X": (4,), "T": (4,), "Y": (4,), "W": (2,), "A": (4, 4), "B": (3, 4), "S": (3, 2)}
RNG = np.random.default_rng(5)
ARRAYS = {name: RNG.uniform(0.1, 0.9, shape) for name, shape in SHAPES.items()}
POINTS = RNG.uniform(0.1, 0.9, (3, 7))


@pytest.mark.parametrize("expr", SCALARS, ids=str)
def test_a_scalar_expression_is_sympy_s_own_function_on_arrays(expr):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SymPy's function divides by zero where it does not choose
        own = sympy.lambdify((x, y, z), expr, "math")
        expected = np.array([own(*map(float, point)) for point in POINTS.T])
    ours = dk.lambdify((x, y, z), expr)
    assert ours(*POINTS) == pytest.approx(expected, rel=1e-13)
    assert ours(*POINTS[:, 0]) == pytest.approx(expected[0], rel=1e-13)
    assert ours(*POINTS.astype(np.float32)).dtype in (np.float32, bool)
    assert not re.search(r"\bfor\b|\*\*[34]\b", ours.source[ours.source.index("def values") :])


def bases(expr: Any) -> list[Any]:
    return sorted(expr.atoms(IndexedBase), key=str)


@pytest.mark.parametrize("expr", SUMS, ids=str)
def test_a_sum_is_the_explicit_one(expr):
    arrays = bases(expr)
    loose = sorted(expr.free_symbols & {x, y}, key=str)
    sizes = [] if arrays else sorted(expr.free_symbols & {n, m}, key=str)
    f = dk.lambdify((*arrays, *loose, *sizes), expr)
    at = {"n": 3, "m": 2} if S in arrays else {"n": 4, "m": 3}
    given = [ARRAYS[str(b.label)] for b in arrays]
    expected = [value(expr, {**ARRAYS, **at, "x": p, "y": q}) for p, q in POINTS[:2].T]
    numbers = [at[str(s)] for s in sizes]
    scalars = [[{"x": p, "y": q}[str(s)] for s in loose] for p, q in POINTS[:2].T]
    assert f(*given, *scalars[0], *numbers) == pytest.approx(expected[0], rel=1e-12)
    if loose:  # a scalar may be an array of any shape
        many = [np.array([s[c] for s in scalars]).reshape(1, 7) for c in range(len(loose))]
        assert f(*given, *many, *numbers) == pytest.approx(np.array(expected).reshape(1, 7), rel=1e-12)
    single = f(*(g.astype(np.float32) for g in given), *map(np.float32, scalars[0]), *numbers)
    assert single.dtype == np.float32 or not (given or loose)
    body = f.source[f.source.index("def values") :]
    assert " for " not in body


def test_the_table_is_long_enough():
    assert len(SCALARS) + len(SUMS) >= 100


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (log(1 + exp(x)), [0, math.log(2), 1e4]),
        (1 / (1 + exp(-x)), [0, 0.5, 1]),
        (log(exp(x) + exp(2 * x)), [-1e4, math.log(2), 2e4]),
        (exp(x) / (exp(x) + 1), [0, 0.5, 1]),
        (log(1 / (1 + exp(-x))), [-1e4, -math.log(2), 0]),
        (sympy.tanh(x), [-1, 0, 1]),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows_far_out(expr, expected, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dk.lambdify(x, expr)(np.array([-1e4, 0, 1e4], dtype=dtype))
    assert found.dtype == dtype
    assert found == pytest.approx(np.array(expected), rel=1e-6, abs=1e-30)


def test_sums_of_exponentials_do_not_overflow():
    far = np.array([1e4, -1e4, 1e4])
    softmax_mean = Sum(Y[i] * exp(X[i]), (i, 0, n - 1)) / Sum(exp(X[i]), (i, 0, n - 1))
    assert dk.lambdify(X, LSE)(far) == pytest.approx(1e4 + math.log(2))
    assert dk.lambdify((X, Y), softmax_mean)(far, np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert dk.lambdify((X, k), exp(X[k]) / Sum(exp(X[i]), (i, 0, n - 1)))(far, 0) == pytest.approx(0.5)


# -- the manners of NumPy and of SymPy's lambdify -----------------------------------------------------------------------------


def test_symbols_broadcast():
    f = dk.lambdify((x, y), x + y**2)
    assert f(np.ones((3, 1)), np.arange(4)).shape == (3, 4)
    assert dk.lambdify(x, sympy.sin(x))(np.zeros(3)).tolist() == [0, 0, 0]
    g = dk.lambdify((X, x, y), Sum(exp(x * X[i]) * y, (i, 0, n - 1)))
    assert g(np.ones(2), np.zeros((3, 1)), np.arange(4)).tolist() == [[0, 2, 4, 6]] * 3


def test_precision_is_that_of_the_arrays():
    f = dk.lambdify((X, x), x * Sum(X[i], (i, 0, n - 1)) / 3)
    assert f(np.ones(3, np.float32), 0.1).dtype == np.float32
    assert f(np.ones(3, np.float32), np.float64(0.1)).dtype == np.float64
    assert f(np.ones(3, int), 2).dtype == np.float64
    assert dk.lambdify(x, x**2)(3) == 9


def test_lists_tuples_and_matrices_come_back_as_they_are():
    f = dk.lambdify((x, y), [x, (x + y, [y]), sympy.Matrix([[x, y], [1, 2]])])
    one, (two, (three,)), four = f(1.0, np.array([2.0, 3.0]))
    assert (one, two.tolist(), three.tolist()) == (1, [3, 4], [2, 3])
    assert four.shape == (2, 2, 2)
    assert four[0, 1].tolist() == [2, 3]
    assert dk.lambdify(x, sympy.Array([x, 2 * x]))(1.0).tolist() == [1, 2]


def test_common_terms_are_shared():
    f = dk.lambdify((x, y), [sympy.sin(x * y + 1) ** 2, sympy.sin(x * y + 1) + 1])
    assert f.source.count("np.sin") == 1


def test_arguments_may_be_nested_named_or_any_expression():
    f = dk.lambdify((x, (y, z)), x + y * z)
    assert f(1, (2, 3)) == 7
    assert dk.lambdify((x, y), x - y)(y=1, x=3) == 2
    assert dk.lambdify((X[0], X[1]), X[0] * X[1] ** 2)(2, 3) == 18
    u = sympy.Function("u")(x)
    assert dk.lambdify((u, u.diff(x)), u * u.diff(x))(2, 5) == 10
    assert dk.lambdify(sympy.Symbol("lambda"), sympy.Symbol("lambda") + 1)(1) == 2
    matrix = sympy.MatrixSymbol("M", 2, 2)
    assert dk.lambdify(matrix, matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])(np.eye(2)) == 1


def test_sizes_come_from_shapes_or_are_given():
    total = Sum(X[i], (i, 0, n - 1))
    assert dk.lambdify(X, total)([1, 2, 3]) == 6
    assert dk.lambdify((X, n), total)([1, 2, 3], 2) == 3
    assert dk.lambdify(X, Sum(X[i], (i, 1, n)))([1, 2, 3]) == 5  # entries 1..n: n is 2
    assert dk.lambdify(S, Sum(S[i, 0], (i, 0, n - 1)) * m)(np.ones((3, 2))) == 6


def test_positions_may_be_arguments():
    f = dk.lambdify((X, k), X[k] ** 2)
    assert f([1, 2, 3], 2) == 9
    assert f([1, 2, 3], np.array([[0, 1]])).tolist() == [[1, 4]]


def test_conditions_are_booleans():
    assert dk.lambdify(x, (x > 0) & (x < 1))(np.array([-1, 0.5, 2])).tolist() == [False, True, False]
    assert dk.lambdify((x, y), Eq(x, y))(1.0, 1.0).dtype == bool


def test_a_piecewise_computes_in_silence_and_says_nan_where_it_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dk.lambdify(x, Piecewise((log(x), x > 0)))(np.array([-1.0, 0.0, 1.0]))
    assert np.isnan(found[:2]).all()
    assert found[2] == 0


def test_heaviside_is_sympy_s_at_0():
    zeros = np.array([-1.0, 0.0, 1.0])
    assert dk.lambdify(x, Heaviside(x))(zeros).tolist() == [0, 0.5, 1]
    assert dk.lambdify(x, Heaviside(x, 0))(zeros).tolist() == [0, 0, 1]
    assert dk.lambdify(x, sympy.DiracDelta(x) + x)(zeros).tolist() == [-1, 0, 1]


def test_a_result_of_derivkit_goes_round():
    d = dk.derive("x: D\nW: M, D\nE = sum(tanh(W @ x)**2)", "W", check=False)
    expr = d.sympy(indices=(j, k), expand=True)
    arrays = sorted(expr.atoms(IndexedBase), key=str)
    w, v = RNG.normal(size=(3, 2)), RNG.normal(size=2)
    f = dk.lambdify((*arrays, j, k), expr)
    assert f(w, v, *np.indices((3, 2))) == pytest.approx(d.evaluate(W=w, x=v))


@pytest.mark.parametrize("name", list(gallery)[3::7])
def test_the_results_of_the_gallery_go_round(name):
    d = dk.derive(gallery[name], wrt[name], check=False)
    sizes = size_sets(d.primal)[0]
    (point,) = points(d.primal, sizes, np.random.default_rng(0), 1)
    env = {**{str(k): v for k, v in evaluate_graph(d.primal, point, sizes).items()}, **sizes}
    for variable, result in d.results.items():
        truth = result.evaluate(point, sizes=sizes)
        axes = sympy.symbols(f"at0:{truth.ndim}", integer=True)
        expr = d.sympy(variable, indices=axes)
        if expr.has(sympy.Inverse, sympy.Determinant):
            continue
        arrays = bases(expr)
        inside = {s for b in arrays for n in b.shape for s in n.free_symbols} | {b.label for b in arrays} | {*axes}
        loose = sorted((s for s in expr.free_symbols if isinstance(s, sympy.Symbol) and s not in inside), key=str)
        f = dk.lambdify((*arrays, *loose, *axes), expr)
        found = f(*(env[str(b.label)] for b in arrays), *(env[str(s)] for s in loose), *np.indices(truth.shape))
        assert found == pytest.approx(truth, rel=1e-9, abs=1e-10)


def test_it_pickles_and_prints_its_source():
    f = pickle.loads(pickle.dumps(dk.lambdify(X, LSE)))  # noqa: S301
    assert f([0.0, 0.0]) == pytest.approx(math.log(2))
    assert "logsumexp(X)" in str(f)
    assert repr(f) == "<Lambdified(X)>"


# -- what is refused --------------------------------------------------------------------------------------------------------

u = sympy.Function("sgmoid")
REFUSED = [
    (lambda: dk.lambdify(x, x + y), "DK008", "'y' is no argument"),
    (lambda: dk.lambdify(x, Sum(X[i], (i, 0, n - 1))), "DK008", "array 'X'"),
    (lambda: dk.lambdify(x, sympy.Symbol("x") + 1), "DK008", "'x' is no argument"),
    (lambda: dk.lambdify(x, sympy.Integral(sympy.sin(x**x), (x, 0, 1)) + x), "DK009", "Integral"),
    (lambda: dk.lambdify(x, sympy.Derivative(sympy.Function("f")(x), x)), "DK009", "Derivative"),
    (lambda: dk.lambdify(x, u(x)), "DK009", "sgmoid"),
    (lambda: dk.lambdify(x, sympy.gamma(x)), "DK009", "gamma"),
    (lambda: dk.lambdify(x, sympy.floor(x)), "DK009", "floor"),
    (lambda: dk.lambdify(x, sympy.I * x), "DK040", "complex"),
    (lambda: dk.lambdify(x, Sum(x**i, (i, 0, sympy.oo))), "DK019", "infinite"),
    (lambda: dk.lambdify(X, Sum(X[i**2], (i, 0, n - 1))), "DK019", "no position"),
    (lambda: dk.lambdify(x, Sum(x * i, (i, 0, n))), "DK041", "no argument tells the size 'n'"),
    (lambda: dk.lambdify("x", x), "DK010", "no SymPy object"),
    (lambda: dk.lambdify(x, "x + 1"), "DK010", "no SymPy object"),
    (lambda: dk.lambdify(x, x, modules="tensorflow"), "DK031", "modules="),
    (lambda: dk.lambdify(X, Sum(X[i], (i, 0, n - 1)) + X[7])([1, 2, 3]), "DK020", "positions 0..2, and 7 is read"),
    (lambda: dk.lambdify((X, n), Sum(X[i], (i, 0, n - 1)))([1, 2, 3], 4), "DK020", "positions 0..2, and 3 is read"),
    (lambda: dk.lambdify((X, k), X[k])([1, 2, 3], -1), "DK020", "-1 is read"),
    (lambda: dk.lambdify((X, k), X[k])([1, 2, 3], 0.5), "DK040", "whole number"),
    (lambda: dk.lambdify((X, Y), Sum(X[i] * Y[i], (i, 0, n - 1)))([1, 2, 3], [1, 2]), "DK012", "both 3 and 2"),
    (lambda: dk.lambdify(x, x)(1j), "DK040", "not real"),
    (lambda: dk.lambdify((x, y), x)(1), "DK010", "2 arguments are taken, 1 given"),
    (lambda: dk.lambdify((x, y), x)(1, w=2), "DK010", "'w' is no argument"),
    (lambda: dk.lambdify(X, Sum(X[i], (i, 0, n - 1)))([[1.0]]), "DK040", "shape"),
]


@pytest.mark.parametrize(("call", "code", "words"), REFUSED, ids=[f"{c}-{w}" for _, c, w in REFUSED])
def test_what_cannot_be_read_is_refused_clearly(call, code, words):
    with pytest.raises(DerivkitError) as caught:
        call()
    assert caught.value.code == code
    assert words in str(caught.value)


def test_an_unknown_function_gets_a_suggestion():
    with pytest.raises(DerivkitError) as caught:
        dk.lambdify(x, sympy.Function("Heavyside")(x))
    assert caught.value.hint == "did you mean 'Heaviside'?"
