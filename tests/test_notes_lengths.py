r"""What documents say of shapes: spaces, kinds in words, lengths that follow from products; functions of derivkit's language."""

from __future__ import annotations

import pytest

import derivkit as dk

_LOSS = r"$y = \operatorname{softmax}(W x)$, $E = \operatorname{cross\_entropy}(t, y)$. Let $z = W x$."


def _verdicts(text: str) -> list[str]:
    return [c.status for c in dk.verify(text + "\n").files[0].claims if c.status != "definition"]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (r"Let $t$ one-hot in $\mathbf{R}^{K}$.", "right"),
        (r"Let $t$ in the simplex of $\mathbb{R}^{K}$.", "right"),
        (r"Let $t \in \mathbb{R}^{K}$ be one-hot.", "right"),
        (r"Let $t \in \mathbb{R}^{K}$.", "right_if"),
    ],
)
def test_a_kind_is_read_from_the_words_around_a_space(said: str, status: str) -> None:
    spaces = r"Let $W \in \mathbf{R}^{K \times D}$, $x \in \mathbf{R}^{D}$."
    assert _verdicts(rf"{_LOSS} {spaces} {said} Then $\frac{{\partial E}}{{\partial z_k}} = y_k - t_k$.") == [status]


def test_lengths_follow_from_products_where_no_space_is_told() -> None:
    text = rf"{_LOSS} Let $t$ be one-hot. Then $\frac{{\partial E}}{{\partial W_{{kj}}}} = (y_k - t_k) x_j$."
    assert _verdicts(text) == ["right"]
    assert _verdicts(text.replace("x_j$.", r"x_j + x_j$.")) == ["wrong"]


def test_a_name_with_a_number_is_a_name_beside_one_without() -> None:
    text = (
        r"Let $A \in \mathbf{R}^{N \times D}$, $A_{1} = A A^\top$. "
        r"$$\frac{\partial A_{1,qp}}{\partial A_{ni}} = \delta_{qn} A_{pi} + \delta_{pn} A_{qi}$$"
    )
    assert _verdicts(text) == ["right"]


@pytest.mark.parametrize(
    ("formula", "status"),
    [
        (r"E = \operatorname{mean}((x - y)^{2}) \\ \frac{\partial E}{\partial x_i} &= \frac{2 (x_i - y_i)}{N}", "right"),
        (r"E = \operatorname{mean}((x - y)^{2}) \\ \frac{\partial E}{\partial x_i} &= \frac{2 (y_i - x_i)}{N}", "wrong"),
        (r"E = \operatorname{sum}(\max(x, 0)) \\ \frac{\partial E}{\partial x_i} &= \operatorname{step}(x_i)", "right"),
        (r"E = \operatorname{sum}(x \oslash y) \\ \frac{\partial E}{\partial x_i} &= \frac{1}{y_i}", "right"),
        (r"E = x^\top \mathbf{1} \\ \frac{\partial E}{\partial x_i} &= 1", "right"),
    ],
)
def test_functions_of_the_language_are_known_by_their_names(formula: str, status: str) -> None:
    text = rf"Let $x \in \mathbb{{R}}^N$, $y \in \mathbb{{R}}^N$. \begin{{align}} {formula} \end{{align}}"
    assert _verdicts(text) == [status]


def test_a_remark_in_a_column_of_its_own_is_no_factor() -> None:
    text = (
        r"\begin{align*} (1)\quad \frac{\partial (x^2)}{\partial x} &= 2 \, x && \text{simplify} \\"
        r" &= \rlap{$\displaystyle x$} \\ & \rlap{$\displaystyle \qquad {}+ x \qquad \text{by 1}$} \\"
        r" & \rlap{$\displaystyle \qquad \text{(by $x$ = $x$)}$} \\ &= x + x + 0 && \text{$2x$ = $x + x$} \end{align*}"
    )
    assert _verdicts(text) == ["right", "right", "right"]
