"""Reference evaluation: every operation against mpmath, complex steps, subscripts of every kind, sizes from shapes."""

from __future__ import annotations

import time
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from timing import patience

from derivkit.errors import DerivkitError
from derivkit.symbolic.derive import derive
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Add, Const, Delta, Fn, Inside, Mul, Name, Num, Pow, Prim, Ref, SizeOf, Sum, bare, user
from derivkit.symbolic.given import fix_sizes
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES
from derivkit.symbolic.ops_linear import MATRICES

B, J, K = (Index(h, Size.of(h.upper())) for h in "bjk")
SIZES = {"B": 2, "J": 3, "K": 4}
X = Ref(user("x"), (bare(J),))
A = Ref(user("A"), (bare(B), bare(J)))


def ev(expr, order=(), sizes=SIZES, **env):
    return evaluate_expr(expr, {user(n): np.asarray(v) for n, v in env.items()}, sizes, order)


def points(row):
    first = row.samples
    others = {"lo": -1.0, "hi": 1.0, "slope": 0.01, "alpha": 1.5, "b": 0.25, "c": 1.0}
    return [(s, *(others.get(p, 0.7) for p in row.parameters[1:])) for s in first]


@pytest.mark.parametrize("op", sorted(ELEMENTWISE))
def test_an_elementwise_operation_agrees_with_mpmath_and_keeps_the_precision(op):
    row = ELEMENTWISE[op]
    for point in points(row):
        names = [user(p) for p in row.parameters]
        expr = Fn(op, tuple(Ref(n) for n in names))
        with mpmath.workdps(30):
            exact = evaluate_expr(
                expr, {n: np.array(mpmath.mpf(v), dtype=object) for n, v in zip(names, point, strict=True)}, {}, ()
            )[()]
            for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-14), (np.longdouble, 1e-14), (np.complex128, 1e-14)):
                got = evaluate_expr(expr, {n: np.array(v, dtype=dtype) for n, v in zip(names, point, strict=True)}, {}, ())
                assert abs(complex(got) - complex(exact)) <= tolerance * max(1, abs(exact))
                assert got.dtype in (dtype, np.dtype(dtype).type(0).real.dtype)


@pytest.mark.parametrize("op", sorted(ELEMENTWISE))
def test_a_complex_step_goes_through_every_elementwise_operation(op):
    row = ELEMENTWISE[op]
    names = [user(p) for p in row.parameters]
    expr = Fn(op, tuple(Ref(n) for n in names))

    def at(point):
        return evaluate_expr(expr, dict(zip(names, map(np.asarray, point), strict=True)), {}, ())

    for point in points(row):
        for n in range(len(point)):
            if op == "where" and n == 0:
                continue
            step = list(point)
            step[n] = step[n] + 1e-40j
            up, down = list(point), list(point)
            up[n], down[n] = point[n] + 1e-6, point[n] - 1e-6
            assert at(step).imag * 1e40 == pytest.approx((at(up) - at(down)) / 2e-6, abs=1e-8)


@pytest.mark.parametrize("op", ["exp", "sigmoid", "softplus", "tanh", "silu", "gelu", "mish", "relu", "erf"])
def test_extreme_arguments_give_no_nan_where_the_limit_is_finite(op):
    at = Fn(op, (Ref(user("x")),))
    low = ev(at, x=-1e4)
    assert low == pytest.approx({"tanh": -1, "erf": -1}.get(op, 0), abs=1e-12)
    if op != "exp":
        assert ev(at, x=1e4) == pytest.approx({"sigmoid": 1, "tanh": 1, "erf": 1}.get(op, 1e4))


def test_a_sum_counts_indices_that_its_body_does_not_have():
    assert ev(Sum((J, K), X), x=[1.0, 2, 3]) == 6 * 4
    assert ev(Sum((K,), Num(1))) == 4
    assert ev(Sum((J,), Add((X, Num(Fraction(1, 2))))), x=[1.0, 2, 3]) == 7.5


def test_products_broadcast_transpose_and_contract():
    rng = np.random.default_rng(0)
    a, x = rng.standard_normal((2, 3)), rng.standard_normal(3)
    assert np.allclose(ev(Sum((J,), Mul((A, X))), (B,), A=a, x=x), a @ x)
    assert np.allclose(ev(Mul((A, X)), (J, B), A=a, x=x), (a * x).T)
    assert ev(X, (None, J, B), x=x).shape == (1, 3, 2)
    twice = Ref(user("S"), (bare(J), bare(J)))
    assert np.allclose(ev(twice, (J,), S=np.arange(9.0).reshape(3, 3)), [0, 4, 8])
    assert np.allclose(ev(Pow(X, Num(-2)), (J,), x=x), x**-2.0)
    assert np.allclose(ev(Pow(X, Num(Fraction(1, 2))), (J,), x=x**2), abs(x))


def test_subscripts_read_zero_out_of_range_and_labels_gather():
    shifted = Ref(user("x"), (Affine.of(J) + 1,))
    assert ev(shifted, (J,), x=[1.0, 2, 3]).tolist() == [2, 3, 0]
    back = Ref(user("x"), (Affine.of(J).scaled(-2) + 3,))
    assert ev(back, (J,), x=[1.0, 2, 3]).tolist() == [0, 2, 0]
    label = Ref(user("k"), (bare(B),))
    gathered = Ref(user("E"), (Affine.of(label), bare(J)))
    rows = np.arange(12.0).reshape(4, 3)
    assert np.array_equal(ev(gathered, (B, J), E=rows, k=[3, 1]), rows[[3, 1]])
    assert np.array_equal(ev(gathered, (B, J), E=rows, k=np.array([3, 1 + 0j])), rows[[3, 1]])
    assert ev(Delta(Affine.of(label), bare(K)), (B, K), k=[3, 1]).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
    assert ev(Delta(bare(J), Affine.of(K) + 1), (J, K)).sum() == 2
    assert ev(Inside(Affine.of(J) - 1, Size.of("J") - 1), (J,)).tolist() == [0, 1, 1]


def test_numbers_constants_and_sizes():
    assert ev(Mul((Const("pi"), SizeOf(Size.of("J") + 1)))) == 4 * np.pi
    assert ev(Const("inf")) == np.inf
    assert ev(Add((X, Num(Fraction(1, 3)))), (J,), x=np.ones(3, np.float32)).dtype == np.float32
    with mpmath.workdps(40):
        third = ev(Mul((Num(Fraction(1, 3)), Ref(user("x")))), x=np.array(mpmath.mpf(1), dtype=object))[()]
        assert abs(third - mpmath.mpf(1) / 3) < mpmath.mpf(10) ** -39


def prim(op):
    return Prim(op, (B, J), (A,), (bare(B), bare(J)) if op in {"softmax", "log_softmax", "first_max", "prod_except"} else ())


@pytest.mark.parametrize("op", sorted(set(PRIMITIVES) - MATRICES))  # those: test_linear_algebra
def test_primitives_over_several_axes_at_once(op):
    a = np.array([[0.5, 2.0, -1.0], [2.0, 0.25, 1.5]])
    e = np.exp(a) / np.exp(a).sum()
    first = np.array([[0, 1, 0], [0, 0, 0]])
    expected = {
        "softmax": e, "log_softmax": np.log(e), "logsumexp": np.log(np.exp(a).sum()), "max": 2.0, "min": -1.0, "argmax": 1,
        "first_max": first, "prod": a.prod(), "prod_except": a.prod() / a, "norm": np.linalg.norm(a),
    }[op]  # fmt: skip
    expr = prim(op)
    order = (B, J) if expr.at else ()
    assert np.allclose(ev(expr, order, A=a), expected)
    objects = np.array([[mpmath.mpf(v) for v in row] for row in a], dtype=object)
    assert np.allclose(ev(expr, order, A=objects).astype(float), expected)
    step = ev(expr, order, A=a + 1e-30j * np.ones_like(a))
    assert np.allclose(step.real, expected)
    assert np.all(np.isfinite(ev(expr, order, A=a * 1e4)) | (op in {"prod", "prod_except"}))


def test_a_primitive_with_batch_and_repeated_position():
    a = np.random.default_rng(1).standard_normal((3, 3))
    i, j = Index("i", Size.of("J")), Index("j", Size.of("J"))
    softmax = Prim("softmax", (j,), (Ref(user("A"), (bare(i), bare(j))),), (bare(i),))
    e = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    assert np.allclose(ev(softmax, (i,), A=a), np.diag(e))
    assert ev(Prim("prod_except", (J,), (X,), (bare(J),)), (J,), x=[0.0, 2, 3]).tolist() == [6, 0, 0]
    assert np.allclose(ev(Prim("softmax", (J,), (Num(5),), (bare(J),)), (J,)), 1 / 3)


def test_heavy_expressions_stay_cheap():
    n, d, m = (Index(h, Size.of(h.upper())) for h in "ndm")
    w, x, g = (np.ones(s) for s in ((256, 784), (64, 784), (64, 256)))
    body = Mul((Ref(user("W"), (bare(m), bare(d))), Ref(user("X"), (bare(n), bare(d))), Ref(user("G"), (bare(n), bare(m)))))
    start = time.process_time()
    assert ev(Sum((n, m, d), body), sizes={"N": 64, "D": 784, "M": 256}, W=w, X=x, G=g) == 64 * 784 * 256
    shared = Ref(user("x"))
    for _ in range(60):
        shared = Mul((Add((shared, shared)), Num(Fraction(1, 2))))  # 2**60 nodes as a tree
    assert ev(shared, x=3.0) == 3
    deep = Ref(user("x"))
    for _ in range(3000):
        deep = Fn("abs", (deep,))
    assert ev(deep, x=-3.0) == 3
    assert time.process_time() - start < patience()


# -- graphs --------------------------------------------------------------------------------------------------------------


def linear_graph():
    d, m = Index("i", Size.of("D")), Index("j", Size.of("M"))
    sizes = {"x": ("D",), "W": ("M", "D"), "k": ()}
    inputs = {user(n): Input(user(n), "real", tuple(map(Size.of, s))) for n, s in sizes.items() if n != "k"}
    inputs[user("k")] = Input(user("k"), "label", (), Size.of("M"))
    product = Mul((Ref(user("W"), (bare(m), bare(d))), Ref(user("x"), (bare(d),))))
    a = Definition(user("a"), (Size.of("M"),), (m,), Sum((d,), product))
    out = Definition(user("out"), (), (), Ref(user("a"), (Affine.of(Ref(user("k"))),)))
    return Graph(inputs, (a, out), user("out"))


def test_a_graph_is_evaluated_in_order():
    w = np.arange(6.0).reshape(2, 3)
    values = evaluate_graph(linear_graph(), {"x": [1.0, 2, 3], "W": w, "k": 1})
    assert values[Name("user", "out")] == (w @ [1, 2, 3])[1]


@pytest.mark.parametrize(
    ("values", "sizes", "code", "said"),
    [
        ({"x": [1.0, 2], "W": np.ones((2, 3)), "k": 0}, {}, "DK012", "'D' is both 2 and 3"),
        ({"x": [1.0, 2], "W": np.ones((2, 2)), "k": 0}, {"M": 5}, "DK012", "'M' is both 5 and 2"),
        ({"x": [[1.0, 2]], "W": np.ones((2, 2)), "k": 0}, {}, "DK040", "declared was D"),
        ({"x": ["a"], "W": np.ones((2, 2)), "k": 0}, {}, "DK040", "no numbers"),
        ({"x": [1.0, 2], "W": np.ones((2, 2)), "k": 2}, {}, "DK040", "outside of 0..1"),
        ({"x": [1.0, 2], "W": np.ones((2, 2)), "k": 0.5}, {}, "DK040", "integers"),
        ({"x": [1.0, 2], "k": 0}, {}, "DK041", "no value for 'W'"),  # not: size M is not fixed
        ({"x": [1.0, 2], "k": 0}, {"M": 2}, "DK041", "no value for 'W'"),
        ({"x": [1.0, 2], "w": 0}, {}, "DK008", "'w' is no input"),
    ],
)
def test_bad_data_is_refused_with_the_reason(values, sizes, code, said):
    with pytest.raises(DerivkitError, match=said) as caught:
        evaluate_graph(linear_graph(), values, sizes)
    assert caught.value.code == code


def test_linear_sizes_are_solved():
    size = Size.of("R") * 2 + 1
    shapes = {"w": size, "x": Size.of("L"), "y": Size.of("L") - size + 1}
    inputs = {user(n): Input(user(n), "real", (s,)) for n, s in shapes.items()}
    graph = Graph(inputs, (), user("x"))
    values = {"w": np.ones(5), "x": np.ones(9), "y": np.ones(5)}
    assert fix_sizes(graph, values, {}) == {"L": 9, "R": 2}
    assert fix_sizes(graph, {"w": np.ones(5), "y": np.ones(5)}, {}) == {"L": 9, "R": 2}
    with pytest.raises(DerivkitError, match="no size R"):
        fix_sizes(graph, {**values, "w": np.ones(4)}, {})
    with pytest.raises(DerivkitError, match=r"is both 9 and 8|must be"):
        fix_sizes(graph, {**values, "y": np.ones(4)}, {})


def test_a_forgotten_input_is_named_before_the_size_that_it_would_give():
    d = derive("x: D\nW: M, D\nE = sum(W @ x)", "W", check=False)
    for ask in (d.evaluate, d.at):
        with pytest.raises(DerivkitError, match="no value for 'W'") as error:
            ask({"x": [1.0, 2.0]})
        assert error.value.code == "DK041"
