"""Names without a declaration: what the program forces comes first, then the habit; what is no program is helped."""

from __future__ import annotations

import pytest

import derivkit as dk
from derivkit.cli.main import main
from derivkit.errors import DerivkitError
from derivkit.symbolic.parse import read_program

#: Programs, the name that is asked for, and its shape.
FORCED = [
    ("logdet(Sigma)", "Sigma", "D, D"),
    ("det(Sigma.T)", "Sigma", "D, D"),
    ("trace(inv(Sigma) @ S)", "Sigma", "D, D"),
    ("sum(inv(2*Sigma + eps*eye(D)))", "Sigma", "D, D"),
    ("sum(inv(2*Sigma + eps*eye(D)))", "eps", ""),
    ("sum(inv(a))", "a", "D, D"),
    ("0.5*(x - mu) @ inv(Sigma) @ (x - mu)", "mu", "D"),
    ("0.5*(x - mu) @ inv(Sigma) @ (x - mu)", "Sigma", "D, D"),
    ("d = x - mu\nE = d @ inv(S) @ d", "mu", "D"),
    ("sum(solve(Sigma, x - mu))", "mu", "D"),
    ("sum((x - mu)**2)", "mu", ""),
    ("sum((x + eps) @ W)", "eps", ""),
    ("sum((X - mu)**2)/sigma", "sigma", ""),
    ("sum(exp(lam*x))", "lam", ""),
    ("sum(exp(lambda_*x))", "lambda_", ""),
    ("sum(lamp*x)", "lamp", "D"),
    ("L = sum(relu(X @ w)) + lam*sum(w**2)", "lam", ""),
    ("L = sum(relu(X @ w)) + a*sum(w**2)/2", "a", ""),
    ("L = sum(relu(X @ w)) - C*sum(w**2)", "C", ""),
    ("L = sum((x - mu)**2)/sigma + N*log(sigma)\nL", "N", ""),
    ("y = W @ x + b", "b", "M"),
    ("y = a*x + b", "a", "D"),
    ("f = v*sum(x) + w*sum(x)", "w", ""),
    ("f = v*sum(x)", "v", ""),
    ("f = v*sum(x, axis=0)", "v", "M"),
    ("f = v*sum(x) + v", "v", "M"),
    ("L = N/2*logdet(Lam) - N/2*trace(S @ Lam)", "N", ""),
    ("E = C/2*sum(w**2)", "C", ""),
    ("E = exp(-sum((x - y)**2)/(2*s**2))", "s", ""),
    ("E = exp(-sum((x - y)**2)/(2*s**2))", "y", "D"),
]


@pytest.mark.parametrize(("text", "name", "shape"), FORCED, ids=[f"{n} of {t}"[:60] for t, n, _ in FORCED])
def test_an_undeclared_name_is_what_the_program_forces(text, name, shape):
    inputs = {str(n): i for n, i in read_program(text).inputs.items()}
    assert ", ".join(map(str, inputs[name].shape)) == shape


def test_a_gaussian_without_declarations_has_its_gradient():
    d = dk.derive("L = logdet(Sigma) + (x - mu) @ inv(Sigma) @ (x - mu)", "mu")
    assert d.result.program() == dk.derive(
        "x: D\nmu: D\nS: D, D\nL = (x - mu) @ inv(S) @ (x - mu)", "mu"
    ).result.program().replace("S", "Sigma")


HELPED = [
    ("y = tanh(W x)", {}, "W @ x"),
    ("y = tanh(W x + b)", {}, "W @ x"),
    ("y = (W x + b)", {}, "W @ x"),
    ("y = W x", {}, "W @ x"),
    ("y = f(2 x)", {}, "a product is written with *"),
    ("E = ||A@x - b||", {}, "norm(x)"),
    ("E = |x|", {}, "abs(x)"),
    ("z: V\nk: V\nE = z[k]", {}, "declare k: label N"),
    ("z: V\nE = z[k]", {}, "k: label N"),
    ("x: D\nE = sum(x)", {"x": "D"}, "declare it once"),
    ("x: D\nE = sum(x)", {"D": "3"}, "only arrays have shapes"),
]


@pytest.mark.parametrize(("text", "shapes", "hint"), HELPED, ids=[t for t, _, _ in HELPED])
def test_what_is_no_program_is_answered_with_what_to_write(text, shapes, hint):
    with pytest.raises(DerivkitError) as caught:
        read_program(text, shapes)
    assert hint in (caught.value.hint or "")
    if shapes:
        assert caught.value.line is None
        assert "--shape" in caught.value.message


def test_a_shape_given_twice_is_blamed_on_the_option(capsys):
    assert main(["derive", "x: D\nE = sum(x)", "--wrt", "x", "--shape", "x=D,M"]) == 2
    assert "--shape" in capsys.readouterr().err
