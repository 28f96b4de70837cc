"""Inverses, solutions and determinants: values in every number system, the textbook's derivatives, proofs, forms, kernels."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import mpmath
import numpy as np
import oracle
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.equations import proof, setting
from derivkit.symbolic.derive.lemmas import lemma
from derivkit.symbolic.derive.symmetry import symmetric_facts
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Ref, walk
from derivkit.symbolic.gallery import gallery, matrices, wrt
from derivkit.symbolic.ops import PRIMITIVES
from derivkit.symbolic.ops_linear import LINEAR, MATRICES
from derivkit.symbolic.ops_matrix import MATRIX
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.render.matrix import matrix_latex, matrix_text
from derivkit.symbolic.render.notation import Notation

NAMES = [line.split()[1] for line in matrices.ROWS.splitlines() if line.startswith("== ")]
CASES = [pytest.param(name, w, id=f"{name} by {w}") for name in NAMES for w in wrt[name]]
IMPLICIT = [pytest.param(row, n, id=f"{row.name} by {p}") for row in PRIMITIVES.values() if row.equation[0]
            for n, p in zip(range(len(row.by)), row.parameters, strict=False)]  # fmt: skip


@cache
def derivation(name: str, by: str) -> Any:
    return dk.derive(gallery[name], by)


def well(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return random matrices that are far from singular ones."""
    return rng.uniform(-1, 1, shape) + (shape[-1] + 1) * np.eye(shape[-1])


def point(text: str, sizes: dict[str, int], seed: int = 3) -> dict[str, np.ndarray]:
    """Return random inputs of a program, square ones well conditioned (of both signs of the determinant)."""
    values = oracle.sample(text, sizes, np.random.default_rng(seed))
    for name, value in values.items():
        if np.ndim(value) == 2 and value.shape[0] == value.shape[1]:
            values[name] = value + (value.shape[0] + 1) * np.eye(value.shape[0])
    return values


def sizes_of(text: str, first: int) -> dict[str, int]:
    """Return distinct sizes, the later the larger."""
    return {n: first + k for k, n in enumerate(oracle.size_names(text))}


# -- values ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 6))
@pytest.mark.parametrize("op", sorted(MATRICES))
def test_values_in_every_number_system(op, n):
    rng = np.random.default_rng(n)
    a, b = well(rng, 3, n, n) * np.array([1, -1, 1])[:, None, None], rng.uniform(-1, 1, (3, n))
    args = (a, b) if op == "solve" else (a,)
    book = {
        "inv": lambda a: np.linalg.inv(a),
        "solve": lambda a, b: np.linalg.solve(a, b[..., None])[..., 0],
        "det": np.linalg.det,
        "logdet": lambda a: np.linalg.slogdet(a)[1],
    }[op](*args)
    np.testing.assert_allclose(MATRIX[op](*args), book, rtol=1e-12, atol=1e-14)
    single = MATRIX[op](*(x.astype(np.float32) for x in args))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, book, rtol=2e-5, atol=1e-6)
    long = MATRIX[op](*(x.astype(np.longdouble) for x in args))
    assert long.dtype == np.longdouble
    np.testing.assert_allclose(long.astype(float), book, rtol=1e-12, atol=1e-14)
    with mpmath.workdps(40):
        objects = MATRIX[op](*(np.frompyfunc(mpmath.mpf, 1, 1)(x) for x in args))
        exact = [exactly(op, *(x[k] for x in args)) for k in range(3)]
        assert max(abs(o - e) for k in range(3) for o, e in zip(np.ravel(objects[k]), exact[k], strict=True)) < 1e-36
    np.testing.assert_allclose(objects.astype(float), book, rtol=1e-12, atol=1e-14)


def exactly(op: str, a: np.ndarray, b: np.ndarray | None = None) -> list[Any]:
    """Return the value by mpmath's own linear algebra."""
    m = mpmath.matrix(a.tolist())
    if op == "det":
        return [mpmath.det(m)]
    if op == "logdet":
        return [mpmath.log(abs(mpmath.det(m)))]
    return list(m**-1) if b is None else list(m**-1 * mpmath.matrix(b.tolist()))


@pytest.mark.parametrize("op", sorted(MATRICES))
def test_a_complex_step_goes_through(op):
    rng = np.random.default_rng(5)
    a, v, b = -well(rng, 3, 3), rng.uniform(-1, 1, (3, 3)), rng.uniform(-1, 1, 3)  # a negative determinant
    args = (b,) if op == "solve" else ()
    step = MATRIX[op](a + 1e-40j * v, *(x.astype(complex) for x in args)).imag / 1e-40
    near = (MATRIX[op](a + 1e-6 * v, *args) - MATRIX[op](a - 1e-6 * v, *args)) / 2e-6
    np.testing.assert_allclose(step, near, rtol=1e-7, atol=1e-9)


def test_a_singular_matrix_is_named():
    singular = np.ones((2, 2))
    d = dk.derive("X: N, N\nZ = inv(X)", "X")
    with pytest.raises(DerivkitError, match=r"a singular matrix \(2 by 2\) has no inverse") as caught:
        d.evaluate(X=singular)
    assert caught.value.code == "DK044"
    for kind in (np.longdouble, object):
        with pytest.raises(DerivkitError, match="singular"):
            MATRIX["inv"](singular.astype(kind) if kind is not object else np.frompyfunc(mpmath.mpf, 1, 1)(singular))
        assert float(MATRIX["det"](singular.astype(np.longdouble))) == 0
    with pytest.raises(np.linalg.LinAlgError):
        dk.compile(d)(X=singular)


# -- the rows ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "n"), IMPLICIT)
def test_a_folded_hint_is_what_the_equation_gives(row, n):
    where = setting(row)
    made = proof(where, n)
    from_equation = made.short
    wrong = replace(row, folded=tuple(f"2*({f})" for f in row.folded))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRIMITIVES, row.name, wrong)
        blind = Notation("text")(proof(setting(wrong), n).short)  # found without the hint, so in any order
    assert sorted(blind.lstrip("−").split()) == sorted(Notation("text")(from_equation).lstrip("−").split())
    assert blind.startswith("−") == Notation("text")(from_equation).startswith("−")
    assert Notation("text")(from_equation) == {
        ("inv", 0): "−y_ip y_qj", ("solve", 0): "−A⁻¹_ip y_q", ("solve", 1): "A⁻¹_ip", ("norm", 0): "x_j / y",
    }[row.name, n]  # fmt: skip


@pytest.mark.parametrize("row", LINEAR, ids=lambda row: row.name)
@pytest.mark.parametrize("wrong", ["2*({})", "-({})", "({})*y"])
def test_a_wrong_hint_is_caught(row, wrong, monkeypatch):
    factor = wrong if row.name in ("det", "logdet") or "y" not in wrong else "2*({})"
    monkeypatch.setitem(PRIMITIVES, row.name, replace(row, folded=tuple(factor.format(f) for f in row.folded)))
    lemma.cache_clear()
    declared = "A: N, N\nb: N\n" if row.name == "solve" else "A: N, N\n"
    try:
        with pytest.raises(DerivkitError, match="fails derivkit's own check"):
            dk.derive(f"{declared}y = {row.name}({', '.join(row.parameters)})", "A")
    finally:
        lemma.cache_clear()


def test_a_transposed_hint_is_caught(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, "logdet", replace(PRIMITIVES["logdet"], folded=("inv(A)[p,q]",)))
    with pytest.raises(DerivkitError, match="fails derivkit's own check"):
        dk.derive("A: N, N\nL = logdet(A)", "A")


LEMMAS = {
    "inv": """\
Lemma 1 (inv)   y_ij = A⁻¹_ij
 1  Σ_m A_im y_mj          = δ_ij                   what y_ij is
 2  Σ_k A_ik · ∂y_kj/∂A_pq = −δ_ip y_qj             differentiate 1 by A_pq
 3  ∂y_ij/∂A_pq            = −Σ_k y_ik δ_kp y_qj    multiply by y_ij from the left
                           = −y_ip y_qj             contract δ""",
    "det": """\
Lemma 1 (det, Jacobi's formula)   y = det(A)
 1  y             = Σ_k A_pk C_pk         expand along a row, whose entries are in none of its C_pk
 2  ∂y/∂A_pq      = C_pq                  only one of the terms depends on A_pq
 3  Σ_k A_rk C_pk = y δ_rp                with another row in its place two rows are equal: the determinant is 0
 4  C_pq          = Σ_r A⁻¹_qr y δ_rp     multiply 3 by A⁻¹_qr
                  = y A⁻¹_qp              contract δ
 5  ∂y/∂A_pq      = y A⁻¹_qp              by 2 and 4""",
    "norm": """\
Lemma 1 (norm)   y = norm(x)
 1  y²            = Σ_m x_m²    what y is
 2  2 y · ∂y/∂x_j = 2 x_j       differentiate 1 by x_j
 3  ∂y/∂x_j       = x_j / y     divide by 2 y""",
}


@pytest.mark.parametrize("op", LEMMAS)
def test_a_lemma_proves_the_derivative_from_the_equation(op):
    declared = "x: N\n" if op == "norm" else "A: N, N\n"
    text = dk.derive(f"{declared}f = {op}({declared[0]})", declared[0]).text(lemmas=True)
    said = text[text.index("Lemma 1") :].splitlines()
    assert [line.split() for line in said] == [line.split() for line in LEMMAS[op].splitlines()]


@pytest.mark.parametrize("op", sorted(MATRICES))
def test_every_line_of_a_lemma_holds(op):
    """Each numbered line of a lemma, and each line below it, is an equation: both sides are evaluated."""
    n = 3
    rng = np.random.default_rng(8)
    a, b = well(rng, n, n), rng.uniform(-1, 1, n)
    args = (a, b) if op == "solve" else (a,)
    values: dict[str, Any] = {"A": a, "b": b, "y": MATRIX[op](*args), "S": np.linalg.det(a)}
    values["C"] = np.linalg.det(a) * np.linalg.inv(a).T
    for target, place in (("A", 0), ("b", 1)):
        if place < len(args):
            values[f"dy_d{target}"] = jacobian(lambda *x: MATRIX[op](*x), args, place)
    values["dS_dA"] = jacobian(MATRIX["det"], (a,), 0)
    checked = 0
    for step in lemma(op, 1).steps:
        for line in (step, *step.substeps):
            names = {r.name for e in (line.before, line.after) for r in walk(e) if isinstance(r, Ref)}
            env = {name: np.asarray(values[str(name)]) for name in names}
            order = tuple(sorted(line.before.free | line.after.free, key=lambda i: i.uid))
            left, right = (evaluate_expr(e, env, {"N": n}, order) for e in (line.before, line.after))
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)
            checked += 1
    assert checked >= 3


def jacobian(f: Any, args: tuple[np.ndarray, ...], place: int) -> np.ndarray:
    """Return the Jacobian of ``f`` by one of its arguments, by complex steps."""
    x = args[place].astype(complex)
    columns = []
    for where in np.ndindex(x.shape):
        moved = x.copy()
        moved[where] += 1e-40j
        columns.append(f(*(moved if k == place else a.astype(complex) for k, a in enumerate(args))).imag / 1e-40)
    return np.moveaxis(np.array(columns).reshape(x.shape + columns[0].shape), range(x.ndim), range(-x.ndim, 0))


# -- the textbook's forms ------------------------------------------------------------------------------------------------------

FORMS = """
log_determinant          | X     | inv(X).T
determinant              | X     | D * inv(X).T
inverse_form             | X     | -inv(X).T @ outer(a, b) @ inv(X).T
inverse_form             | a     | inv(X) @ b
inverse_form             | b     | inv(X).T @ a
inverse_quadratic_form   | x     | (inv(A) + inv(A).T) @ x
trace_inverse            | X     | -inv(X).T @ inv(X).T
trace_inverse_product    | X     | -inv(X).T @ A.T @ inv(X).T or -(inv(X) @ A @ inv(X)).T
trace_inverse_product    | A     | inv(X).T
gram_determinant         | A     | 2 * inv(A @ A.T) @ A
shifted_gram_determinant | A     | 2 * inv(A @ A.T + eye(N)) @ A
linear_system            | A     | 2 * outer(solve(A.T, t - x), x)
linear_system            | b     | 2 * solve(A.T, x - t)
linear_systems           | A     | 2 * solve(A.T, T - X) @ X.T
linear_systems           | B     | 2 * solve(A.T, X - T)
gaussian_covariance      | mu    | inv(Sigma) @ d
gaussian_covariance      | Sigma | (inv(Sigma) @ outer(d, d) @ inv(Sigma) - inv(Sigma)) / 2
gaussian_by_solving      | mu    | -u
gaussian_by_solving      | Sigma | (inv(Sigma) - outer(u, u)) / 2
mahalanobis              | x     | 2 * inv(S) @ (x - mu)
mahalanobis              | S     | -inv(S) @ outer(x - mu, x - mu) @ inv(S)
ridge_closed_form        | y     | 2 * X @ solve(X.T @ X + lam * eye(D), V.T @ (V @ w - t))
ridge_closed_form        | lam   | 2 * (t - V @ w) @ V @ solve(X.T @ X + lam * eye(D), w)
normal_equations         | y     | 2 * (x @ w - t) * (X @ solve(X.T @ X, x)) or 2 * (x @ w - t) * X @ solve(X.T @ X, x)
woodbury                 | C     | -outer(U.T @ solve(M.T, b), U.T @ solve(M, b))
kalman_update            | z     | 2 * K.T @ (u - x)
"""
FORM_CASES = [tuple(cell.strip() for cell in line.split("|")) for line in FORMS.strip().splitlines()]


@pytest.mark.parametrize(("name", "by", "form"), FORM_CASES, ids=lambda c: c if len(c) < 30 else "form")
def test_a_result_is_the_textbooks(name, by, form):
    assert derivation(name, by).result.program() in form.split(" or ")


@pytest.mark.parametrize(
    ("name", "by", "text", "latex"),
    [
        ("log_determinant", "X", "X⁻ᵀ", r"X^{-\top}"),
        ("inverse_form", "X", "−X⁻ᵀ a bᵀ X⁻ᵀ", r"-X^{-\top} a b^\top X^{-\top}"),
        ("trace_inverse", "X", "−X⁻ᵀ X⁻ᵀ", r"-X^{-\top} X^{-\top}"),
        ("gaussian_by_solving", "Sigma", "(Σ⁻¹ − u uᵀ)/2", r"\frac{1}{2} (\Sigma^{-1} - u u^\top)"),
        ("gram_determinant", "A", "2 (A Aᵀ)⁻¹ A", r"2 (A A^\top)^{-1} A"),
        ("linear_system", "A", "2 A⁻ᵀ (t − x) xᵀ", r"2 A^{-\top} (t - x) x^\top"),
    ],
)
def test_a_result_as_mathematics(name, by, text, latex):
    result = derivation(name, by).result
    assert (matrix_text(result), matrix_latex(result)) == (text, latex)


def test_entries_are_read_of_an_inverse():
    result = derivation("inverse_form", "a").result
    assert Notation("text")(result.expr) == "Σ_p b_p X⁻¹_np"
    assert Notation("latex")(result.expr) == r"\sum_{p} b_{p} \, (X^{-1})_{np}"
    page = derivation("linear_system", "A")
    assert "x = A⁻¹ b" in page.text() or "x = solve(A, b)" in page.text()
    assert r"A^{-1} b" in page.latex()


def test_what_the_program_named_stays_a_name():
    d = dk.derive("X: N, N\na: N\nb: N\nZ = inv(X)\nL = a @ Z @ b + logdet(X)", "X")
    assert d.result.program() == "Z.T - outer(Z.T @ a, Z @ b)"
    d = dk.derive("A: N, N\nb: N\nx = solve(A, b)\ns = a @ solve(A, b)", "b", {"a": "N"})
    assert d.result.program() == "solve(A.T, a)"


def test_what_has_a_formula_may_be_expanded():
    d = dk.derive("X: N, N\nL = logdet(X)", "X", expand="logdet")
    assert d.result.program() == "inv(X).T"
    assert "not checked" not in d.text()
    assert dk.derive("x: N\nr = norm(x)", "x", expand="norm").result.program() == "x / r"
    with pytest.raises(DerivkitError, match="'inv' has no definition to expand"):
        dk.derive("X: N, N\nL = sum(inv(X))", "X", expand="inv")


def test_second_derivatives():
    assert dk.derive("S: symmetric N, N\nx: N\nL = x @ inv(S) @ x", "x", kind="hessian").result.program() == "2 * inv(S)"
    d = dk.derive("X: N, N\nL = logdet(X)", "X", kind="hessian")
    x = well(np.random.default_rng(3), 3, 3)
    z = np.linalg.inv(x)
    np.testing.assert_allclose(d.evaluate(X=x), -np.einsum("qi,jp->pqij", z, z), rtol=1e-12)


def test_the_inverse_by_its_matrix_is_of_order_four():
    d = dk.derive("X: N, N\nZ = inv(X)", "X", kind="jacobian")
    x = well(np.random.default_rng(2), 3, 3)
    z = np.linalg.inv(x)
    np.testing.assert_allclose(d.evaluate(X=x), -np.einsum("ip,qj->ijpq", z, z), rtol=1e-12)
    np.testing.assert_allclose(d.evaluate(X=x, layout="denominator"), -np.einsum("ip,qj->pqij", z, z), rtol=1e-12)
    assert "einsum" in d.result.program()
    kron = d.evaluate(X=x).reshape(9, 9)
    np.testing.assert_allclose(kron, -np.kron(z, z.T), rtol=1e-12, atol=1e-15)


# -- symmetric matrices -----------------------------------------------------------------------------------------------------

SYMMETRIC = """
S = A @ A.T                 | A: N, M                                  | proved
S = A.T @ A + lam*eye(M)    | A: N, M; lam:                            | proved
S = H @ P @ H.T + R         | H: N, M; P: symmetric M, M; R: symmetric N, N | declared
S = (x[:, None] - x)**2     | x: N                                     | proved
S = x[:, None] - x          | x: N                                     |
S = inv(P)                  | P: symmetric N, N                        | declared
S = inv(A @ A.T)            | A: N, M                                  | proved
S = A + A.T                 | A: N, N                                  | proved
S = A @ A                   | A: N, N                                  |
S = A @ B.T                 | A: N, M; B: N, M                         |
S = H @ A @ H.T             | H: N, M; A: M, M                         |
S = inv(A)                  | A: N, N                                  |
"""
SYMMETRIC_CASES = [tuple(c.strip() for c in line.split("|")) for line in SYMMETRIC.strip().splitlines()]


@pytest.mark.parametrize(("line", "declared", "how"), SYMMETRIC_CASES, ids=[c[0] for c in SYMMETRIC_CASES])
def test_a_matrix_is_proved_symmetric_from_its_definition(line, declared, how):
    graph = read_program("\n".join([*(d.strip() for d in declared.split(";")), line]))
    found = {str(f.name): f.declared for f in symmetric_facts(graph)}
    assert found.get("S") == {"proved": False, "declared": True, "": None}[how]
    text = "\n".join([*(d.strip() for d in declared.split(";")), line])
    value = oracle.run(text, point(text, sizes_of(text, 2)), sizes_of(text, 2), oracle.COMPLEX).astype(complex)
    assert np.allclose(value, value.T) == bool(how)


def test_no_layout_turns_a_symmetric_inverse():
    for name, by in (
        ("ridge_closed_form", "y"),
        ("normal_equations", "y"),
        ("gaussian_covariance", "Sigma"),
        ("mahalanobis", "x"),
    ):
        for layout in ("mixed", "numerator", "denominator"):
            assert "⁻ᵀ" not in str(matrix_text(derivation(name, by).result, layout))


def test_an_index_bound_in_an_inverse_is_no_case():
    page = derivation("ridge_closed_form", "y").text(style="cases")
    assert " if " not in page


def test_a_declared_symmetry_is_told():
    page = derivation("gaussian_covariance", "Sigma").text()
    assert "Σ is symmetric" in page or "Sigma is symmetric" in page


# -- right, whatever the form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "by"), CASES)
@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_derivative_agrees_with_complex_steps_of_another_interpreter(name, by, first):
    text = gallery[name]
    sizes = sizes_of(text, first)
    values = point(text, sizes)
    measured = oracle.complex_step_jacobian(text, values, sizes, by)
    d = derivation(name, by)
    np.testing.assert_allclose(d.evaluate(values), measured, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("name", "by"), CASES)
def test_a_result_reads_back_in_both_notations(name, by):
    """Both printed forms are programs: parsed again and evaluated they are the derivative."""
    d, text = derivation(name, by), gallery[name]
    sizes = sizes_of(text, 2)
    values = point(text, sizes)
    truth = d.evaluate(values)
    for notation in ("index", "matrix"):
        printed = d.program(notation=notation)
        graph = read_program(printed)
        used = {n: v for n, v in values.items() if n in {str(i) for i in (*graph.inputs, *graph.extra)}}
        again = evaluate_graph(graph, used, sizes)[graph.output]
        np.testing.assert_allclose(again, truth, rtol=1e-9, atol=1e-11, err_msg=printed)


@pytest.mark.parametrize(("name", "by"), [c.values for c in CASES if c.values[0] != "inverse"])
def test_a_derivative_to_thirty_digits(name, by):
    d, text = derivation(name, by), gallery[name]
    sizes = sizes_of(text, 2)
    values = point(text, sizes)
    with mpmath.workdps(40):
        exact = {n: np.frompyfunc(mpmath.mpf, 1, 1)(v) for n, v in values.items()}
        claimed = np.asarray(d.evaluate(exact))
        direction = np.asarray(np.frompyfunc(mpmath.mpf, 1, 1)(np.random.default_rng(1).uniform(-1, 1, np.shape(values[by]))))
        h = mpmath.mpf(10) ** -12
        near = [oracle.run(text, {**exact, by: exact[by] + s * h * direction}, sizes, oracle.MPMATH) for s in (1, -1)]
        slope = (near[0] - near[1]) / (2 * h)
        assert abs(np.sum(claimed * direction) - slope) < 1e-18 * (1 + abs(slope))


@pytest.mark.parametrize("text", ["y = inv(x)", "y = det(x)", "y = logdet(x)", "y = solve(x, x)"])
def test_a_matrix_of_literal_size_one(text):
    d = dk.derive(f"x: 1, 1\n{text}", "x")
    x = np.array([[-0.7]])
    expected = {"inv": -1 / 0.49, "det": 1, "logdet": -1 / 0.7, "solve": 0}[text.split("(")[0].split()[-1]]
    np.testing.assert_allclose(np.ravel(d.evaluate(x=x)), expected, atol=1e-14)


def test_a_stack_of_matrices():
    text = "A: B, N, N\nb: B, N, K\nL = sum(logdet(A)) + sum(inv(A)**2) + sum(solve(A, b)**2)"
    rng = np.random.default_rng(4)
    a, b = well(rng, 2, 3, 3), rng.uniform(-1, 1, (2, 3, 2))
    z, x = np.linalg.inv(a), np.linalg.solve(a, b)
    t = z.transpose(0, 2, 1)
    by_a = t - 2 * t @ z @ t - 2 * (t @ x) @ x.transpose(0, 2, 1)
    d = dk.derive(text, "A, b")
    np.testing.assert_allclose(d.results["A"].evaluate(A=a, b=b), by_a, rtol=1e-11)
    np.testing.assert_allclose(d.results["b"].evaluate(A=a, b=b), 2 * t @ x, rtol=1e-11)
    made = dk.compile(d)(A=a, b=b)
    np.testing.assert_allclose(made[1]["A"], by_a, rtol=1e-11)


# -- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("A: N, M\ny = inv(A)", "DK012", "is not square"),
        ("A: N, M\ny = det(A.T @ A) + logdet(A)", "DK012", "is not square"),
        ("x: N\ny = inv(x)", "DK010", "no rows and columns"),
        ("s:\ny = det(s)", "DK010", "no rows and columns"),
        ("A: N, N\nb: M\ny = solve(A, b)", "DK012", "shapes do not fit"),
        ("A: N, N\nb:\ny = solve(A, b)", "DK010", "a scalar"),
        ("A: N, N\ny = solve(A)", "DK010", "lacks its argument 'b'"),
        ("A: N, N\ny = inv(A, axis=0)", "DK010", "no argument 'axis'"),
        ("A: N, N\ny[i,j] = inv[k](A[k,k])[i,j]", "DK019", "binds a row and a column"),
    ],
)
def test_what_has_no_meaning_is_refused(text, code, said):
    with pytest.raises(DerivkitError, match=said) as caught:
        read_program(text)
    assert caught.value.code == code
    assert caught.value.line == len(text.splitlines())


def test_an_inverse_is_read_over_indices():
    graph = read_program("X: N, D\ny[i,j] = inv[p,q](sum[n](X[n,p]*X[n,q]))[i,j] * 2")
    x = np.random.default_rng(1).uniform(-1, 1, (4, 3))
    found = evaluate_graph(graph, {"X": x})[graph.output]
    np.testing.assert_allclose(found, 2 * np.linalg.inv(x.T @ x), rtol=1e-12)


# -- kernels -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_kernel_computes_the_derivative_in_its_precision(name, kind):
    text = gallery[name]
    d = dk.derive(text, wrt[name])
    sizes = sizes_of(text, 3)
    values = point(text, sizes)
    k = dk.compile(d)
    _, found = k(**{n: v.astype(kind) for n, v in values.items()})
    tolerance = 1e-9 if kind is np.float64 else 1e-3
    for word, result in d.results.items():
        assert np.asarray(found[word]).dtype == kind
        truth = result.evaluate(values)
        np.testing.assert_allclose(found[word], truth, rtol=tolerance, atol=tolerance * np.max(np.abs(truth)))


def test_a_kernel_solves_where_an_inverse_would_only_multiply():
    for name in ("linear_system", "linear_systems", "inverse_form", "woodbury", "ridge_closed_form", "normal_equations"):
        source = str(dk.compile(dk.derive(gallery[name], wrt[name])))
        assert "np.linalg.solve" in source, name
        assert "np.linalg.inv" not in source, name
    source = str(dk.compile(dk.derive(gallery["trace_inverse"], "X")))
    assert source.count("np.linalg.inv(") == 1  # needed itself: then it is made once
    assert "np.linalg.solve" not in source


def test_a_kernel_takes_the_logarithm_of_no_determinant():
    k = dk.compile(dk.derive("X: N, N\nL = log(det(X))", "X"))
    assert "slogdet" in str(k)
    large = 1e3 * np.eye(200)  # det = 1e600
    value, gradients = k(X=large)
    assert value == pytest.approx(200 * np.log(1e3))
    np.testing.assert_allclose(gradients["X"], 1e-3 * np.eye(200))


@pytest.mark.parametrize(
    ("name", "by", "batch"),
    [
        ("linear_system", "A b", ("b", "t")),
        ("linear_system", "A b", ("A", "b", "t")),
        ("linear_systems", "A B", ("B", "T")),
        ("gaussian_covariance", "mu Sigma", ("x",)),
        ("gaussian_by_solving", "mu Sigma", ("x",)),
        ("determinant_product", "A B", ("A",)),
        ("inverse_form", "X a b", ("X", "a")),
        ("kalman_update", "m z R", ("z",)),
    ],
)
def test_a_batched_kernel_is_the_mean_over_samples(name, by, batch):
    text = gallery[name]
    d = dk.derive(text, by.split())
    sizes = sizes_of(text, 2)
    samples = [point(text, sizes, seed) for seed in range(3)]
    stacked = {n: np.stack([s[n] for s in samples]) if n in batch else v for n, v in samples[0].items()}
    _, found = dk.compile(d, batch=batch)(**stacked)
    for word, result in d.results.items():
        each = np.stack([result.evaluate({n: v[k] if n in batch else v for n, v in stacked.items()}) for k in range(3)])
        np.testing.assert_allclose(found[word], each / 3 if word in batch else each.mean(axis=0), rtol=1e-9, atol=1e-11)


WRITTEN_OUT = ["determinant_product", "gram_determinant", "shifted_gram_determinant", "normal_equations", "ridge_closed_form"]


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_no_inverse_is_written_out_entry_by_entry(name):
    d = dk.derive(gallery[name], wrt[name], check=False)
    assert "inv_{" not in d.text()
    assert re.search(r"write out .*; in matrix notation", d.text())
    assert "inv_{" in d.text(notation="index")  # which has no other words
