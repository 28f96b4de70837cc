"""Printed matrix notation, read as mathematics, is the derivative."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from mathematics import Reader, as_long_as

import derivkit as dk
from derivkit.layout import LAYOUTS
from derivkit.symbolic.gallery import gallery, groups, wrt
from derivkit.symbolic.render.matrix import matrix_text

WINDOWS = groups["convolution and pooling"]
#: Sums over heads and over counted words: index notation says it.
WITHOUT = {("multi_query_attention", "K"), ("multi_query_attention", "V"), ("embedding_classifier", "E")}
CASES = [
    (name, variable) for name in gallery if not name.startswith("deep") or name == "deep_sigmoid_3" for variable in wrt[name]
]


WORDS = "E: V, D\nU: V, D\nw: label V\nc: label V\nh = E[w]\np = softmax(U @ h)\nL = -log(p[c])"
NORM = "X: N, D\ngamma: D\nbeta: D\nG: N, D\nL = sum(G*layer_norm(X, gamma, beta))"
WRITTEN = [
    (WORDS, "E", "onehot(w) (pᵀ U − (U_c)ᵀ)"),
    (WORDS.replace("h = E[w]\np = softmax(U @ h)", "p = softmax(U @ E[w])"), "U", "(p − onehot(c)) (E_w)ᵀ"),
    (NORM, "X", "diag(s)⁻¹ (G diag(γ) − (G γ/D) 𝟏ᵀ − diag((G ⊙ n) γ) n/D)"),
]


@pytest.mark.parametrize(("text", "variable", "wanted"), WRITTEN, ids=[wanted for _, _, wanted in WRITTEN])
def test_rows_and_columns_are_written(text, variable, wanted):
    assert matrix_text(dk.derive(text, variable, check=False).result) == wanted


def values_of(text: str) -> tuple[dict[str, int], dict[str, object]]:
    """Return sizes, and the value of every name of a program at a random point."""
    sizes = oracle.lengths(text)
    values = oracle.sample(text, sizes, np.random.default_rng(13))
    names: dict[str, object] = {**sizes, **values}
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        if " = " in line:
            found = np.asarray(oracle.run("\n".join(lines), values, sizes, oracle.COMPLEX), complex).real
            names[line.split(" = ")[0]] = found
    return sizes, names


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "variable"), CASES, ids=[f"{n}-{v}" for n, v in CASES])
def test_matrix_notation_means_the_derivative(name, variable, layout):
    text = gallery[name]
    result = dk.derive(text, variable, check=False).result
    printed = matrix_text(result, layout)
    if printed is None:
        assert len(result.shape) > 2 or name in WINDOWS or (name, variable) in WITHOUT, "no matrix notation"
        return
    if name in WINDOWS and any(word in printed for word in ("conv(", "pad(")):
        return  # no matrices: test_affine reads them
    sizes, names = values_of(text)
    inputs = {n: names[n] for n in oracle.declared(text)}
    expected = result.evaluate(inputs, sizes=sizes, layout=layout)
    labels = [sizes[named[0]] for kind, named in oracle.declared(text).values() if kind == "label"]  # how long onehot(k) is
    read = Reader(printed, names, labels[-1] if labels else expected.shape[0] if expected.ndim else 1).value()
    if layout == "numerator" and expected.ndim == 1 and not result.output_shape:
        expected = expected[None, :]  # a gradient is a row
    if expected.ndim == 1 and read.ndim == 2:
        expected = expected[:, None]
    if expected.ndim == 2:
        read = as_long_as(read, expected.shape)
    assert np.allclose(np.broadcast_to(read, expected.shape), expected, rtol=1e-9, atol=1e-11), f"{printed}\n{read}\n{expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x xᵀ", [[1, 2], [2, 4]]),
        ("xᵀ x", 5),
        ("A x", [[5], [11]]),
        ("(A + Aᵀ) x/2", [[6], [10.5]]),
        ("2 x ⊙ x − 1", [[1], [7]]),
        ("diag(x) − x xᵀ", [[0, -2], [-2, -2]]),
        ("−zᵀ x/τ²", -2.75),
        ("‖x‖ √4", 2 * np.sqrt(5)),
        ("where(x > 1, x, 0)", [[0], [2]]),
        ("[|x| > 1]", [[0], [1]]),
    ],
)
def test_the_reader_reads_as_a_mathematician_does(text, expected):
    names = {"x": [1, 2], "A": [[1, 2], [3, 4]], "z": [3, 4], "tau": 2}
    np.testing.assert_allclose(Reader(text, names, 2).value(), expected)


@pytest.mark.parametrize(("right", "wrong"), [("−(log(p) + 1)", "−log(p) + 1"), ("y ⊙ (1 − y)", "y ⊙ 1 − y"), ("x yᵀ", "y xᵀ")])
def test_a_misplaced_bracket_would_be_seen(right, wrong):
    names = {"p": [0.3, 0.4], "y": [0.1, 0.7], "x": [2, 3]}
    assert not np.allclose(Reader(right, names, 2).value(), Reader(wrong, names, 2).value())


@pytest.mark.parametrize("text", ["A − x", "A ⊙ (A − x)", "A ⊘ x", "x − xᵀ"])
def test_an_array_beside_one_of_another_shape_would_be_seen(text):
    with pytest.raises(AssertionError, match="beside"):
        Reader(text, {"x": [1, 2], "A": [[1, 2], [3, 4]]}, 2).value()
    assert Reader("A − x 𝟏ᵀ", {"x": [1, 2], "A": [[1, 2], [3, 4]]}, 2).value().tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize(
    ("text", "variable", "layout", "expected"),
    [
        ("G: N, N\nZ: N, N\nA = softmax(Z)\nE = sum(G*A)", "Z", "mixed", "A ⊙ (G − sum(G ⊙ A, axis=1) 𝟏ᵀ)"),
        ("G: N, M\nZ: N, M\nA = softmax(Z, axis=0)\nE = sum(G*A)", "Z", "mixed", "A ⊙ (G − 𝟏 sum(G ⊙ A, axis=0)ᵀ)"),
        ("X: N, D\nw: D\ny: N\nE = sum((X @ w - y)**2)", "w", "numerator", "2 (X w − y)ᵀ X"),
        ("A: D, D\nx: D\nE = x @ A @ x", "x", "numerator", "xᵀ (A + Aᵀ)"),
        (
            "X: N, D\nW: D, K\nT: N, K\nm: positive\nE = sum((X @ W - T)**2) + m*sum(W**2)",
            "W",
            "numerator",
            "2 ((X W − T)ᵀ X + m Wᵀ)",
        ),
        ("A: M, D\nx: D\ny: M\nt: positive\nE = y @ A @ x / sqrt(t)", "x", "numerator", "yᵀ A/√t"),
        ("y: N\nc: positive\nE = sum(where(abs(y) <= c, y**2/2, c*(abs(y)-c/2)))", "y", "mixed", "where(|y| ≤ c, y, c sign(y))"),
        ("y: N\nc: positive\nE = sum(where(abs(y) <= c, y**2/2, c*(abs(y)-c/2)))", "c", "mixed", "[|y| > c]ᵀ (|y| − c)"),
        ("x: D\ng: D\nE = sum(tanh(x)*g)", "x", "numerator", "(g ⊙ (1 − tanh(x)²))ᵀ"),
        ("x: D\ny = x - mean(x)", "x", "mixed", "I − 𝟏 𝟏ᵀ/D"),
        ("A: D, D\nx: D\nE = x @ (A*A - 2) @ x", "x", "mixed", "(A ⊙ A + (A ⊙ A)ᵀ − 4 𝟏 𝟏ᵀ) x"),
        ("A: N, D\nx: N\nE = sum(x @ (A - A**3/3))", "A", "mixed", "diag(x) (𝟏 𝟏ᵀ − A ⊙ A)"),
        ("A: N, D\nG: N, D\nE = sum(G*tanh(A))", "A", "mixed", "G ⊙ (1 − tanh(A)²)"),
        ("a: D\nx: D\nE = (a @ x)*(x @ x)", "x", "mixed", "‖x‖² a + 2 (aᵀ x) x"),
        ("a: D\nx: D\ny = (a @ x)*x", "x", "mixed", "x aᵀ + (aᵀ x) I"),
    ],
)
def test_rows_columns_and_ones_stand_as_on_paper(text, variable, layout, expected):
    result = dk.derive(text, variable, check=False).result
    assert matrix_text(result, layout) == expected
