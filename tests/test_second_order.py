"""Hessians, Hessian–vector products and JVPs against differences of the oracle's complex steps, and their textbook forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest

import derivkit
from derivkit.symbolic.gallery import gallery, wrt

ENTRIES = 36  #: of the inputs in one sweep: a second difference costs their square
LOGISTIC = "X: N, D\nw: D\ny: N\np = sigmoid(X @ w)\nE = -sum(y*log(p) + (1 - y)*log(1 - p))"
SOFTMAX = "z: K\nt: onehot K\ny = softmax(z)\nE = cross_entropy(t, y)"
NET = "x: D\nt: onehot K\nW1: M, D\nW2: K, M\nh = tanh(W1 @ x)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)"

FORMS = [
    (SOFTMAX, "z", "hessian", "diag(y) - outer(y, y)"),
    ("z: K\nE = logsumexp(z)", "z", "hessian", "diag(softmax(z)) - outer(softmax(z), softmax(z))"),
    ("z: K\ny = softmax(z)\nE = logsumexp(z)", "z", "hessian", "diag(y) - outer(y, y)"),
    ("X: N, D\nw: D\ny: N\nE = sum((X @ w - y)**2)", "w", "hessian", "2 * X.T @ X"),
    ("A: N, N\nx: N\nE = x @ A @ x", "x", "hessian", "A.T + A"),
    ("A: symmetric N, N\nx: N\nE = x @ A @ x / 2", "x", "hessian", "A"),
    ("x: N\nE = sum(x**3)", "x", "hessian", "6 * diag(x)"),
    ("a: N\nb: N\nE = a @ b", "a", "hessian", "zeros((N, N))"),
    (SOFTMAX, "z", "hvp", "y * (v - y @ v)"),
    (LOGISTIC, "w", "hvp", "X.T @ ((X @ v) * p * (1 - p))"),
    ("X: N, D\nw: D\ny: N\nE = sum((X @ w - y)**2)", "w", "hvp", "2 * X.T @ (X @ v)"),
    ("W: M, D\nx: D\nh = tanh(W @ x)", "x", "jvp", "(W @ v) * (1 - h**2)"),
    ("x: N\ny = softmax(x)", "x", "jvp", "y * (v - y @ v)"),
    ("x: N\nE = sum(x**2)", "x", "jvp", "2 * x @ v"),
    (
        "x: N\nE = prod(x)",
        "x",
        "hessian",
        "prod(where((eye(N) == 1)[:, :, None], 1, where(eye(N) == 1, 1, x[:, None])), axis=1) * (1 - eye(N))",
    ),
]


@pytest.mark.parametrize(("program", "name", "kind", "form"), FORMS)
def test_the_textbooks_form(program: str, name: str, kind: str, form: str) -> None:
    along = None if kind == "hessian" else "v"
    result = derivkit.derive(program, wrt=name, kind=kind, along=along).result
    assert result.program() == form


def reference(text: str, values: dict[str, Any], sizes: dict[str, int], one: str, other: str) -> np.ndarray:
    """Return ∂²E/∂one∂other by central differences, twice refined, of complex steps through the oracle's interpreter."""
    x = np.asarray(values[other], dtype=float)

    def slope(where: tuple[int, ...], h: float) -> np.ndarray:
        moved = [x.copy(), x.copy()]
        moved[0][where] += h
        moved[1][where] -= h
        up, down = (oracle.complex_step_jacobian(text, {**values, other: m}, sizes, one) for m in moved)
        return (up - down) / (2 * h)

    columns = [(4 * slope(w, 1e-4) - slope(w, 2e-4)) / 3 for w in np.ndindex(x.shape)]
    return np.moveaxis(np.array(columns).reshape(x.shape + columns[0].shape), range(x.ndim), range(-x.ndim, 0))


#: A result reads an adjoint that is not computed for it; a name that starts to pass leaves this list.


def scalar_programs() -> list[str]:
    return [n for n in gallery if not n.startswith("deep_sigmoid") and is_smooth(gallery[n])]


def is_smooth(text: str) -> bool:
    return not any(op in text for op in ("relu", "abs", "max", "min", "hinge", "huber", "where", "step", "sign", "clip", "elu"))


def measurable(text: str, names: list[str]) -> list[str]:
    """Return the first of ``names`` whose second differences take a moment: they have few entries together."""
    shapes, found, entries = oracle.shapes(text, oracle.lengths(text)), [], 0
    for name in names:
        entries += math.prod(shapes[name])
        if entries <= ENTRIES:
            found.append(name)
    return found


@pytest.mark.parametrize("name", scalar_programs())
def test_products_with_the_hessian(name: str) -> None:
    """(H v)_w for every real input at once, against differences; and the batchless kernel against the reference evaluation."""
    text = gallery[name]
    declared = oracle.declared(text)
    reals = measurable(text, [n for n in wrt[name] if n in declared and declared[n][0] in ("real", "positive")])
    if not reals:
        pytest.skip("nothing to differentiate by")
    try:
        d = derivkit.derive(text, wrt=reals, kind="hvp")
    except derivkit.DerivkitError as error:
        if error.code == "DK031":
            pytest.skip("no scalar")
        raise
    kernel = derivkit.compile(d)
    rng = np.random.default_rng(5)
    for sizes in (oracle.lengths(text), dict.fromkeys(oracle.size_names(text), 1)):
        values = oracle.sample(text, sizes, rng)
        directions = {n: rng.normal(size=np.shape(values[n])) for n in reals}
        given = values | {f"{n}_dot": v for n, v in directions.items()}
        with np.errstate(all="ignore"):
            made = {n: d.results[n].evaluate(given, sizes=sizes) for n in reals}
            if not all(np.all(np.isfinite(m)) for m in made.values()):
                continue  # a standard deviation of one number
        _, products = kernel(given)
        for n in reals:
            blocks = (np.tensordot(reference(text, values, sizes, n, m), directions[m], directions[m].ndim) for m in reals)
            wanted = sum(blocks)
            scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
            np.testing.assert_allclose(made[n], wanted, atol=3e-6 * scale, rtol=0)
            np.testing.assert_allclose(products[n], made[n], atol=1e-10 * scale, rtol=1e-9)


@pytest.mark.parametrize("program", [LOGISTIC, SOFTMAX, NET, "x: N\ny: M\nA: N, M\nE = sum(sigmoid(A @ y) * tanh(x))"])
def test_blocks_of_a_hessian(program: str) -> None:
    """Every block, mixed ones too, at sizes that tell a transpose, and at ones; the kernel agrees."""
    reals = [n for n, (kind, _) in oracle.declared(program).items() if kind == "real"]
    d = derivkit.derive(program, wrt=reals, kind="hessian")
    kernel = derivkit.compile(d)
    rng = np.random.default_rng(6)
    names = oracle.size_names(program)
    for sizes in ({n: 2 + i for i, n in enumerate(names)}, dict.fromkeys(names, 1)):
        values = oracle.sample(program, sizes, rng)
        values |= {"y": rng.uniform(0.1, 0.9, np.shape(values["y"]))} if "y" in values else {}
        _, blocks = kernel(values)
        for row in reals:
            for column in reals:
                key = row if row == column else f"{row}, {column}"
                wanted = reference(program, values, sizes, row, column)
                made = d.results[key].evaluate(values, sizes=sizes)
                np.testing.assert_allclose(made, wanted, atol=1e-6, rtol=1e-6)
                np.testing.assert_allclose(blocks[key], made, atol=1e-12)


def test_the_third_derivative() -> None:
    d = derivkit.derive("z: K\nE = logsumexp(z)", wrt="z")
    for _ in range(2):
        d = derivkit.derive(d, wrt="z")
    z = np.array([0.3, -0.2, 0.9])
    y = np.exp(z) / np.exp(z).sum()
    eye = np.eye(3)
    wanted = np.einsum("i,ij,ik->ijk", y, eye, eye) - np.einsum("i,ij,k->ijk", y, eye, y) - np.einsum("i,j,ik->ijk", y, y, eye)
    wanted += 2 * np.einsum("i,j,k->ijk", y, y, y) - np.einsum("i,j,jk->ijk", y, y, eye)
    np.testing.assert_allclose(d.evaluate(z=z), wanted, atol=1e-14)
    assert str(d.result.name) == "d3E_dz_dz_dz"


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_products_over_a_batch(reduce: str) -> None:
    """The product with the Hessian of the reduced loss is that of the samples, reduced; a batched name keeps its axis."""
    rng = np.random.default_rng(7)
    n, sizes = 5, {"D": 3, "K": 4, "M": 2}
    x, t = rng.normal(size=(n, 3)), np.eye(4)[rng.integers(0, 4, n)]
    weights = {"W1": rng.normal(size=(2, 3)), "W2": rng.normal(size=(4, 2))}
    moves = {"W1_dot": rng.normal(size=(2, 3)), "W2_dot": rng.normal(size=(4, 2)), "x_dot": rng.normal(size=(n, 3))}
    one = derivkit.derive(NET, wrt="W1, W2, x", kind="hvp", check=False)
    many = derivkit.compile(NET, wrt="W1, W2, x", kind="hvp", batch="x, t", reduce=reduce)
    value, products = many(x=x, t=t, **weights, **moves)
    samples = []
    for k in range(n):
        given = {"x": x[k], "t": t[k], **weights, **moves, "x_dot": moves["x_dot"][k]}
        samples.append({w: one.results[w].evaluate(given, sizes=sizes) for w in ("W1", "W2", "x")})
    share = 1 / n if reduce == "mean" else 1.0
    for w in ("W1", "W2"):
        np.testing.assert_allclose(products[w], share * sum(s[w] for s in samples), atol=1e-12)
    np.testing.assert_allclose(products["x"], share * np.array([s["x"] for s in samples]), atol=1e-12)
    assert isinstance(value, float)


def test_a_second_pass_names_its_cotangents_and_tangents_anew() -> None:
    """∂/∂x of x̄ = ȳ (1 − y²) along x̿, and the second derivative along ẋ: neither meets the names of the first pass."""
    x, first, second = np.array([0.3, -0.7]), np.array([1.2, 0.4]), np.array([-0.5, 0.9])
    y = np.tanh(x)
    d = derivkit.derive(derivkit.derive("x: N\ny = tanh(x)", "x", kind="vjp"), "x", kind="vjp")
    np.testing.assert_allclose(d.evaluate(x=x, y_bar=first, x_bar_bar=second), -2 * second * first * y * (1 - y**2), atol=1e-14)
    _, grads = derivkit.compile(d)(x=x, y_bar=first, x_bar_bar=second)
    np.testing.assert_allclose(grads["x"], -2 * second * first * y * (1 - y**2), atol=1e-14)
    d = derivkit.derive(derivkit.derive("x: N\nh = tanh(x)\ny = h**2", "x", kind="jvp"), "x", kind="jvp")
    np.testing.assert_allclose(d.evaluate(x=x, x_dot=first), 2 * first**2 * (1 - y**2) * (1 - 3 * y**2), atol=1e-14)


def test_layouts_of_a_mixed_block() -> None:
    program = "x: N\ny: M\nA: N, M\nE = sum(sigmoid(A @ y) * tanh(x))"
    d = derivkit.derive(program, wrt="x, y", kind="hessian")
    rng = np.random.default_rng(8)
    values = {"x": rng.normal(size=3), "y": rng.normal(size=2), "A": rng.normal(size=(3, 2))}
    block = d.results["x, y"]
    assert [*map(str, block.shape_in("numerator"))] == ["N", "M"]
    np.testing.assert_allclose(block.evaluate(values, layout="denominator"), block.evaluate(values).T)


REFUSED = [
    ({"wrt": "x", "kind": "hessian"}, "x: N\ny = tanh(x)", "DK031"),
    ({"wrt": "x", "kind": "hvp"}, "x: N\ny = tanh(x)", "DK031"),
    ({"wrt": "x", "kind": "gradient", "along": "v"}, "x: N\nE = sum(x)", "DK031"),
    ({"wrt": "x, y", "kind": "hvp", "along": "v"}, "x: N\ny: N\nE = x @ y", "DK010"),
    ({"wrt": "x", "kind": "hvp", "along": "1v"}, "x: N\nE = sum(x)", "DK010"),
    ({"wrt": "x", "kind": "jvp", "along": "A"}, "A: N, N\nx: N\ny = A @ x", "DK012"),
    ({"wrt": "x", "kind": "jvp", "along": "y"}, "x: N\ny = 2*x\nz = y**2", "DK011"),
    ({"wrt": "x", "kind": "vjp"}, "x: N\ny_bar = x**2\ny = x**2*y_bar", "DK011"),
    ({"wrt": "x, y", "kind": "hessian"}, "x: N\ny = x**2\nE = sum(y**3*x)", "DK031"),
    ({"wrt": "x, y", "kind": "jvp"}, "x: N\ny = x**2\nE = sum(y**3*x)", "DK031"),
]


@pytest.mark.parametrize(("options", "program", "code"), REFUSED)
def test_what_is_refused(options: dict[str, Any], program: str, code: str) -> None:
    with pytest.raises(derivkit.DerivkitError) as caught:
        derivkit.derive(program, **options)
    assert caught.value.code == code


@pytest.mark.parametrize(("wrt", "batch"), [("x", "x"), ("h", "x"), ("h", "W")])
def test_no_hessian_is_by_what_every_sample_has_of_its_own(wrt: str, batch: str) -> None:
    with pytest.raises(derivkit.DerivkitError, match="a Hessian by a batched name") as caught:
        derivkit.compile("x: D\nW: K, D\nh = W @ x\nE = sum(tanh(h)**2)", wrt=wrt, kind="hessian", batch=batch)
    assert caught.value.code == "DK031"


def test_a_wrong_tangent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-check measures second derivatives, too: a rule that forgets a factor does not pass."""
    from derivkit.symbolic.derive import forward

    right = forward.partial
    monkeypatch.setattr(forward, "partial", lambda *args: forward.mul((right(*args), forward.add((args[3], args[3])))))
    with pytest.raises(derivkit.DerivkitError) as caught:
        derivkit.derive(SOFTMAX, wrt="z", kind="hvp")
    assert caught.value.code == "DK033"


@pytest.mark.parametrize("kind", ["hvp", "hessian"])
def test_a_second_derivative_divides_by_no_probability(kind: str) -> None:
    along = {"along": "v"} if kind == "hvp" else {}
    k = derivkit.compile("x: N\nE = sum(log(1 + softmax(x)))", "x", kind=kind, **along)
    arrays = {"x": np.array([0.0, 800.0, 1.0]), "v": np.ones(3)}
    _, found = k({str(i.name): arrays[str(i.name)] for i in k.inputs})
    assert np.all(np.isfinite(found["x"]))
    masked = "x: N\nm: mask N\nE = sum(softmax(where(m > 0, x, -inf))**2)"
    assert "of" in str(derivkit.derive(masked, "x", kind=kind, **along).checked)
