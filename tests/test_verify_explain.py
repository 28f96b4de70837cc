"""``--explain LINE``: derivkit's own derivation of a line of a document, with the names that the document gives."""

from __future__ import annotations

import re

import pytest

import derivkit as dk
from derivkit.checking.verify.explain import explain_line

NOTES = r"""
Scores $z_k = \sum_j w_{kj} x_j$ and
$$ y_k = s(z_k), \quad s(z_k) = \frac{\exp(z_k)}{\sum_l \exp(z_l)} $$
with the loss $E = -\sum_k t_k \ln y_k$, where t is one-hot. Then
\begin{align}
\frac{\partial E}{\partial z_k} &= t_k - y_k \\
&= -(y_k - t_k)
\end{align}
and $\frac{\partial E}{\partial w_{kj}} = (y_k - t_k) x_j$. The penalty $R = \sum_j x_j^2$ has
$\frac{\partial R}{\partial x_j} = 2 x_j$. Of a line of its own, $\frac{\partial}{\partial x_j} \sum_i \exp(x_i) = \exp(x_j)$.
The rest $\frac{d Q}{d a} = 3$ is of another document.
"""
TOLD = {"t": "onehot K"}

#: A line, what is printed of its author, and the last line of the derivation.
LINES = {
    6: (r"\frac{\partial E}{\partial z_k} = t_k - y_k", "∂E/∂z_k = y_k − t_k"),
    7: ("t_k - y_k = -(y_k - t_k)", "∂E/∂z_k = y_k − t_k"),
    9: (r"\frac{\partial E}{\partial w_{kj}} = (y_k - t_k) x_j", "∂E/∂w_kj = x_j (y_k − t_k)"),
}


def ends(printed: str) -> list[str]:
    """Return every line of the derivations as an equation, its reason cut off."""
    found, left = [], ""
    for line in printed.partition("derived:")[2].splitlines():
        if match := re.match(r"[ 0-9]{4}(\S.*?)? *= (.*?)(?:\s{3,}|$)", line):
            left = match[1] or left
            found.append(f"{left} = {match[2]}")
    return found


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_derived_below_what_its_author_wrote(line: int) -> None:
    said, result = LINES[line]
    head, _, derived = explain_line(NOTES, line, path="notes.tex", shapes=TOLD, width=160).partition("\nderived:\n")
    assert head.startswith(f"notes.tex, line {line}\n")
    assert said in head or f"&= {said.partition(' = ')[2]}" in head
    assert result in ends(f"derived:{derived}")
    assert "softmax Jacobian" in derived
    assert "checked: " in derived


def test_several_derivatives_of_a_line_are_derived_and_those_of_expressions_too() -> None:
    printed = explain_line(NOTES, 10)
    assert any(line.endswith("= 2 x_j") for line in ends(printed)), printed
    assert any(line.endswith("= exp(x_i)") for line in ends(printed)), printed
    assert printed.count("checked: ") == 2


def test_the_document_says_what_its_names_are() -> None:
    text = r"$E = \sum_k t_k a_k$ has $\frac{\partial E}{\partial a_k} = t_k$"
    assert "one-hot" not in explain_line(text, 1)
    assert "t one-hot in" in explain_line(text, 1, shapes={"t": "onehot K"})


REFUSED = {
    "no formula": (1, "no formula in line 1 of 'text'", "DK008"),
    "no such line": (10**9, "no formula in line 1000000000 of 'text'", "DK008"),
    "nothing known": (11, "line 11 of 'text' cannot be explained: the document does not say how Q depends on a", "DK030"),
    "no derivative": (4, "line 4 of 'text' has no derivative to explain", "DK030"),
}


@pytest.mark.parametrize(("line", "message", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_explained_is_told(line: int, message: str, code: str) -> None:
    with pytest.raises(dk.DerivkitError) as caught:
        explain_line(NOTES, line)
    assert (caught.value.message, caught.value.code) == (message, code)
    if code == "DK008":
        assert "formulas stand in lines " in (caught.value.hint or "")


def test_an_empty_document_has_nothing_to_explain() -> None:
    with pytest.raises(dk.DerivkitError, match="no formula in line 1 of"):
        explain_line("", 1)
