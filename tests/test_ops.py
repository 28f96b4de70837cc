"""Every row of the table of operations: its value, its derivative, its conventions, and how it behaves far out.

The values are held against the oracle's own functions, the derivatives against SymPy and mpmath, never against the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import oracle
import pytest
import sympy

from derivkit.errors import DerivkitError
from derivkit.symbolic.derive import derive, rows
from derivkit.symbolic.derive.differentiate import local_slope
from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import Add, Const, Expr, Fn, Mul, Num, Pow, Prim, Ref, bare, user
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.ops import ELEMENTWISE, PRIMITIVES, Op
from derivkit.symbolic.ops_linear import MATRICES

DIGITS = 40
AGREE = mpmath.mpf(10) ** -30
OTHERS = {"lo": "-1", "hi": "1", "slope": "0.01", "alpha": "1.5", "b": "0.25", "c": "1"}
MP, SY = oracle.scalar_functions(oracle.MPMATH), oracle.scalar_functions(oracle.SYMPY)
CONDITIONS = {("where", 0)}  # an operand that only decides


def points(row: Op) -> list[tuple[str, ...]]:
    """Return the sample points of a row as decimal text, so that every number system reads the same number."""
    return [(str(s), *(OTHERS.get(p, "0.7") for p in row.parameters[1:])) for s in row.samples]


def operands(row: Op) -> tuple[Ref, ...]:
    return tuple(Ref(user(p)) for p in row.parameters)


def formula_of(row: Op) -> Expr:
    """Return the row's formula over its operands; the operation itself when SymPy knows it by name."""
    if not row.formula:
        return Fn(row.name, operands(row))
    return rows.read_row(row.formula, rows.Bindings(scalars=dict(zip(row.parameters, operands(row), strict=True))))


def slope(row: Op, n: int) -> Expr:
    """Return the derivative that derivkit uses, in terms of the operands alone."""
    return local_slope(Fn(row.name, operands(row)), n)


def exact(expr: Expr, row: Op, point: tuple[str, ...]) -> Any:
    env = {user(p): np.array(mpmath.mpf(v), dtype=object) for p, v in zip(row.parameters, point, strict=True)}
    return evaluate_expr(expr, env, {}, ())[()]


def floating(expr: Expr, row: Op, point: tuple[Any, ...], dtype: Any = float) -> Any:
    env = {user(p): np.asarray(v, dtype=dtype) for p, v in zip(row.parameters, point, strict=True)}
    return evaluate_expr(expr, env, {}, ())[()]


CASES = [pytest.param(row, n, id=f"{row.name}-{p}") for row in ELEMENTWISE.values() for n, p in enumerate(row.parameters)]


@pytest.mark.parametrize("row", ELEMENTWISE.values(), ids=lambda r: r.name)
def test_a_value_is_that_of_the_books_to_thirty_digits(row):
    with mpmath.workdps(DIGITS):
        for point in points(row):
            book = MP[row.name](*(mpmath.mpf(v) for v in point))
            assert abs(exact(Fn(row.name, operands(row)), row, point) - book) <= AGREE * max(1, abs(book)), point
            if row.formula:
                assert abs(exact(formula_of(row), row, point) - book) <= AGREE * max(1, abs(book)), point


# -- derivatives -----------------------------------------------------------------------------------------------------------


def in_sympy(expr: Expr, symbols: Mapping[str, sympy.Symbol], row: Op, point: tuple[str, ...]) -> Any:
    """Return ``expr`` in SymPy, every decision made as it falls at ``point``: a smooth function of its neighbourhood."""
    if isinstance(expr, Num):
        return sympy.Rational(expr.value.numerator, expr.value.denominator)
    if isinstance(expr, Const):
        return sympy.pi
    if isinstance(expr, Ref):
        return symbols[expr.name.label]
    args = [in_sympy(c, symbols, row, point) for c in expr.children]
    if isinstance(expr, Add):
        return sympy.Add(*args)
    if isinstance(expr, Mul):
        return sympy.Mul(*args)
    if isinstance(expr, Pow):
        return sympy.Pow(*args)
    assert isinstance(expr, Fn)
    here = [exact(c, row, point) for c in expr.children]
    if expr.op == "where":
        return args[1] if here[0] else args[2]
    if expr.op in {"minimum", "maximum"}:
        return args[0] if MP[expr.op](*here) == here[0] else args[1]
    if len(args) == 2 and ELEMENTWISE[expr.op].reason == "a comparison is flat":
        return sympy.Integer(MP[expr.op](*here))
    if expr.op in {"sign", "step"}:
        return sympy.Integer(int(MP[expr.op](here[0])))
    if expr.op in {"abs", "relu"}:
        return args[0] * {"abs": sympy.sign, "relu": lambda v: int(v > 0)}[expr.op](here[0])
    return SY[expr.op](*args)


def disagreement(row: Op, n: int) -> str:
    """Return where the row's derivative is not that of SymPy, as text; nothing when all is well."""
    symbols = {p: sympy.Symbol(p, real=True) for p in row.parameters}
    with mpmath.workdps(DIGITS):
        for point in points(row):
            truth = sympy.diff(in_sympy(formula_of(row), symbols, row, point), symbols[row.parameters[n]])
            found = in_sympy(slope(row, n), symbols, row, point)
            at = dict(zip(symbols.values(), map(sympy.Rational, point), strict=True))
            gap = abs(sympy.N((truth - found).subs(at), DIGITS))
            numeric = mpmath.diff(lambda v, p=point: MP[row.name](*(v if m == n else mpmath.mpf(o) for m, o in enumerate(p))),
                                  mpmath.mpf(point[n]), h=mpmath.mpf(10) ** -15)  # fmt: skip
            if not gap < 1e-30 or abs(numeric - exact(slope(row, n), row, point)) > 1e-12:
                return f"d {row.name}/d {row.parameters[n]} at {point}: off by {gap}"
    return ""


@pytest.mark.parametrize(("row", "n"), [c for c in CASES if (c.values[0].name, c.values[1]) not in CONDITIONS])
def test_a_derivative_is_that_of_sympy_to_thirty_digits(row, n):
    assert disagreement(row, n) == ""


@pytest.mark.parametrize(("row", "n"), [c for c in CASES if (c.values[0].name, c.values[1]) not in CONDITIONS])
def test_a_derivative_is_proved_by_sympy(row, n):
    symbols = {p: sympy.Symbol(p, real=True) for p in row.parameters}
    gaps = set()  # one for each branch that the points fall into
    for point in points(row):
        whole = in_sympy(formula_of(row), symbols, row, point)
        gaps.add(sympy.diff(whole, symbols[row.parameters[n]]) - in_sympy(slope(row, n), symbols, row, point))
    assert all(sympy.simplify(sympy.expand(gap.rewrite(sympy.exp))) == 0 for gap in gaps)


@pytest.mark.parametrize(
    ("op", "n", "wrong"),
    [
        ("tanh", 0, "1 + y**2"),
        ("sigmoid", 0, "y*(1 + y)"),
        ("log", 0, "1/(1 + x)"),
        ("gelu", 0, "(1 + erf(x))/2 + x*exp(-x**2/2)/sqrt(2*pi)"),
        ("elu", 1, "where(x > 0, 1, expm1(minimum(x, 0)))"),
        ("maximum", 1, "(a > b)"),
        ("hardtanh", 0, "(x > -1)"),
    ],
)
def test_a_wrong_derivative_in_a_row_is_caught(op, n, wrong, monkeypatch):
    row = ELEMENTWISE[op]
    planted = replace(row, folded=(*row.folded[:n], wrong, *row.folded[n + 1 :]))
    monkeypatch.setitem(ELEMENTWISE, op, planted)
    assert disagreement(planted, n).startswith(f"d {op}/d {row.parameters[n]} at")


@pytest.mark.parametrize(("row", "n"), [c for c in CASES if (c.values[0].name, c.values[1]) not in CONDITIONS])
def test_a_derivative_is_that_of_a_complex_step(row, n):
    for point in points(row):
        at: list[Any] = [float(v) for v in point]
        claimed = floating(slope(row, n), row, tuple(at))
        at[n] += 1j * oracle.STEP
        measured = floating(Fn(row.name, operands(row)), row, tuple(at), complex).imag / oracle.STEP
        assert claimed == pytest.approx(measured, rel=1e-12, abs=1e-13)


# -- conventions and extremes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "point", "slopes"),
    [
        ("relu", (0.0,), (0,)),
        ("step", (0.0,), (0,)),
        ("abs", (0.0,), (0,)),
        ("sign", (0.0,), (0,)),
        ("leaky_relu", (0.0, 0.01), (0.01, 0)),
        ("elu", (0.0, 1.5), (1.5, 0)),
        ("hardtanh", (1.0,), (0,)),
        ("hardtanh", (-1.0,), (0,)),
        ("minimum", (0.3, 0.3), (1, 0)),
        ("maximum", (0.3, 0.3), (1, 0)),
        ("clip", (1.0, -1.0, 1.0), (1, 0, 0)),
        ("clip", (-1.0, -1.0, 1.0), (1, 0, 0)),
    ],
)
def test_at_a_kink_the_stated_convention_holds(op, point, slopes):
    row = ELEMENTWISE[op]
    assert tuple(floating(slope(row, n), row, point) for n in range(len(point))) == slopes


@pytest.mark.parametrize("row", [r for r in ELEMENTWISE.values() if r.kinks], ids=lambda r: r.name)
def test_at_a_kink_a_complex_step_keeps_the_convention(row):
    for kink in row.kinks:
        others = [kink if p == "b" else float(OTHERS.get(p, "0.7")) for p in row.parameters[1:]]
        for n in range(1 + len(others)):
            point: list[Any] = [kink, *others]
            claimed = floating(slope(row, n), row, tuple(point))
            point[n] += 1j * oracle.STEP
            assert claimed == floating(Fn(row.name, operands(row)), row, tuple(point), complex).imag / oracle.STEP


def test_every_row_with_a_kink_has_its_convention_tested():
    tested = {"relu", "step", "abs", "sign", "leaky_relu", "elu", "hardtanh", "minimum", "maximum", "clip"}
    assert {row.name for row in ELEMENTWISE.values() if row.kinks} - tested == {"selu"}


@pytest.mark.parametrize(
    ("op", "values", "expected"),
    [
        ("max", [2.0, 5.0, 5.0], [0, 1, 0]),
        ("max", [7.0, 7.0, 7.0], [1, 0, 0]),
        ("min", [2.0, 5.0, 2.0], [1, 0, 0]),
        ("argmax", [2.0, 5.0, 5.0], [0, 0, 0]),
    ],
)
def test_of_equal_entries_the_first_is_chosen(op, values, expected):
    assert derive(one_primitive(op, (3,)), "x", check=False).evaluate(x=values).tolist() == expected


FAR = [
    pytest.param(row, size, id=f"{row.name}-{size}")
    for row in ELEMENTWISE.values()
    for size in ("1e4", "-1e4", "50", "-50")
    if row.domain[0] < float(size) < row.domain[1]
]


@pytest.mark.parametrize(("row", "size"), FAR)
def test_far_out_values_and_derivatives_are_those_of_the_books(row, size):
    point = (size, *(OTHERS.get(p, "0.7") for p in row.parameters[1:]))
    numbers = tuple(map(float, point))
    with mpmath.workdps(10_000 if abs(float(size)) > 1e3 and row.name in {"tanh", "sigmoid"} else 200):
        book = MP[row.name](*map(mpmath.mpf, point))
        steep = exact(slope(row, 0), row, point)
    value, derivative = floating(Fn(row.name, operands(row)), row, numbers), floating(slope(row, 0), row, numbers)
    for claimed, true in ((value, book), (derivative, steep)):
        if abs(true) < 1e300:
            assert claimed == pytest.approx(float(true), rel=1e-9, abs=1e-13)
        else:
            assert abs(claimed) > 1e300


# -- primitives --------------------------------------------------------------------------------------------------------------


def one_primitive(op: str, lengths: tuple[int, ...]) -> Graph:
    """Return the program y = op(x), over all axes of x at once."""
    sizes = tuple(Size.of(f"S{n}") for n in range(len(lengths)))
    bound = tuple(Index(h, s) for h, s in zip("mn", sizes, strict=False))
    keeps = op in {"softmax", "log_softmax", "first_max"}
    read = tuple(i.fresh() for i in bound) if keeps else ()
    y = Prim(op, bound, (Ref(user("x"), tuple(map(bare, bound))),), tuple(map(bare, read)))
    shape = sizes if keeps else ()
    return Graph({user("x"): Input(user("x"), "real", sizes)}, (Definition(user("y"), shape, read, y),), user("y"))


def explicit_jacobian(op: str, values: np.ndarray) -> np.ndarray:
    """Return SymPy's own Jacobian at explicit sizes, evaluated at ``values`` to thirty digits."""
    symbols = np.array(sympy.symbols(f"x:{values.size}", real=True), dtype=object).reshape(values.shape)
    flat = symbols.ravel()
    functions = oracle.functions(oracle.SYMPY)
    if op in {"argmax", "first_max"}:
        shape = values.shape if op == "first_max" else ()
        return np.zeros((*shape, *values.shape))
    out = functions[op](flat)
    matrix = sympy.Matrix(np.atleast_1d(out)).jacobian(list(flat))
    at = {s: sympy.Rational(str(v)) for s, v in zip(flat, values.ravel(), strict=True)}
    numbers = np.array([float(sympy.N(entry.subs(at), 30)) for entry in matrix])
    return numbers.reshape((*(() if np.ndim(out) == 0 else values.shape), *values.shape))


@pytest.mark.parametrize("lengths", [(2,), (3,), (2, 2), (1, 2)], ids=str)
@pytest.mark.parametrize("op", sorted(set(PRIMITIVES) - {"prod_except"} - MATRICES))  # those: test_linear_algebra
def test_the_jacobian_of_a_primitive_is_the_explicit_one_of_sympy(op, lengths):
    values = np.round(np.random.default_rng(sum(lengths)).uniform(-1.5, 1.5, lengths), 3)
    ours = derive(one_primitive(op, lengths), "x").evaluate(x=values)
    np.testing.assert_allclose(ours, explicit_jacobian(op, values), rtol=1e-13, atol=1e-15)


def test_a_wrong_derivative_of_a_primitive_is_caught(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, "softmax", replace(PRIMITIVES["softmax"], folded=("y[i]*(delta[i,j] - y[i])",)))
    values = np.array([0.1, 0.7, -0.4])
    ours = derive(one_primitive("softmax", (3,)), "x", check=False).evaluate(x=values)
    assert not np.allclose(ours, explicit_jacobian("softmax", values))
    with pytest.raises(DerivkitError, match="fails derivkit's own check"):
        derive(one_primitive("softmax", (3,)), "x")


@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp", "max", "min", "norm"])
def test_a_primitive_and_its_derivative_stay_finite_far_out(op):
    for values in ([1e4, -1e4, 0.0], [-1e4, -1e4 - 1, -1e4], [1e4, 1e4, 1e4]):
        d = derive(one_primitive(op, (3,)), "x", check=False)
        assert np.all(np.isfinite(d.evaluate(x=values)))


# -- operations that the language defines by others ----------------------------------------------------------------------------

DEFINED = """
sum(x)              | x: N
sum(x, axis=0)      | x: N, M
sum(x, axis=-1)     | x: N, M
sum(x, axis=1, keepdims=True) | x: N, M
mean(x)             | x: N, M
mean(x, axis=0)     | x: N, M
var(x)              | x: N
var(x, axis=1)      | x: N, M
std(x)              | x: N
std(x, axis=0)      | x: N, M
norm(x, axis=1)     | x: N, M
max(x, axis=0)      | x: N, M
min(x, axis=1)      | x: N, M
prod(x, axis=0)     | x: N, M
logsumexp(x, axis=1, keepdims=True) | x: N, M
softmax(x, axis=0)  | x: N, M
softmax(x)          | x: N, M
log_softmax(x)      | x: N, M
square(x)           | x: N
sqrt(x)             | x: positive N
cross_entropy(t, x) | x: positive N; t: N
cross_entropy(t, x) | x: positive N, M; t: N, M
cross_entropy(k, x) | x: positive N; k: label N
cross_entropy(k, x) | x: positive N, M; k: label M, N
softmax_cross_entropy(t, x) | x: N; t: N
softmax_cross_entropy(k, x) | x: N, M; k: label M, N
binary_cross_entropy(t, x) | x: positive N; t: N
squared_error(x, t) | x: N, M; t: N, M
kl_div(x, q)        | x: positive N; q: positive N
kl_div(q, x)        | x: positive N; q: positive N
huber(x, t)         | x: N; t: N
huber(x, t, c)      | x: N; t: N; c: positive
hinge(t, x)         | x: N; t: N
linear(x, W, b)     | x: N; W: M, N; b: M
linear(u, x, b)     | x: M, N; u: N; b: M
linear(U, x, b)     | x: M, N; U: L, N; b: M
dot(x, A)           | x: N; A: N, M
dot(A, x)           | x: N, M; A: L, N
outer(x, y)         | x: N; y: M
outer(y, x)         | x: N; y: M
inner(x, y)         | x: N; y: N
diag(x)             | x: N
diag(x)             | x: N, N
trace(x)            | x: N, N
x.T                 | x: N, M
transpose(x)        | x: N, M
x @ x               | x: N, N
x @ x               | x: N
x.T @ A @ x         | x: N, M; A: N, N
x[0]                | x: N, M
x*eye(N)            | x: N, N
x + ones(N)         | x: N
stack(x, x**2)      | x: N
stack(x, y, axis=1) | x: N; y: N
x[:, None]*y        | x: N; y: M
x/(1 + x**2)        | x: N
x**3 - 2*x          | x: N
2**x                | x: N
x**y                | x: positive N; y: N
einsum('ij,j->i', A, x) | x: N; A: M, N
einsum('ij,jk->ik', x, A) | x: M, N; A: N, L
where(x > 0, x**2, -x) | x: N
maximum(x, y)       | x: N; y: N
onehot(k, N)*x      | x: N; k: label N
"""
DEFINED_CASES = [
    pytest.param(*(part.strip() for part in line.split("|")), id=line.split("|")[0].strip() + " " + line.split("|")[1].strip())
    for line in DEFINED.strip().splitlines()
]


@pytest.mark.parametrize(("expression", "declarations"), DEFINED_CASES)
def test_an_operation_of_the_language_has_the_jacobian_of_sympy(expression, declarations):
    text = "\n".join([*(d.strip() for d in declarations.split(";")), f"f = {expression}"])
    d = derive(text, "x")
    for base in (2, 3):
        sizes = {n: base + (i % 2) for i, n in enumerate(oracle.size_names(text))}
        values = oracle.sample(text, sizes, np.random.default_rng(base))
        x = values["x"]
        symbols = np.array(sympy.symbols(f"x:{x.size}", real=True), dtype=object).reshape(x.shape)
        others = {n: v for n, v in values.items() if n != "x"}
        exact_others = {n: v if v.dtype.kind in "iu" else rational(v) for n, v in others.items()}
        out = np.asarray(oracle.run(text, {**exact_others, "x": symbols}, sizes, oracle.SYMPY), dtype=object)
        at = {s: sympy.Rational(float(v)) for s, v in zip(symbols.ravel(), x.ravel(), strict=True)}
        matrix = [[float(sympy.N(sympy.diff(o, s).subs(at))) for s in symbols.ravel()] for o in out.ravel()]
        expected = np.array(matrix).reshape(out.shape + x.shape)
        np.testing.assert_allclose(d.evaluate(**values), expected, rtol=1e-10, atol=1e-13)


def rational(values: Any) -> np.ndarray:
    """Return the same numbers as exact fractions of SymPy."""
    array = np.asarray(values, dtype=float)
    out = np.empty(array.shape, dtype=object)
    for where in np.ndindex(array.shape):
        out[where] = sympy.Rational(float(array[where]))
    return out
