"""The textbook programs: every derivative right in every layout, in the textbook's form, and the page that prints it pinned."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest

import derivkit as dk
from derivkit.layout import LAYOUTS
from derivkit.symbolic.gallery import deep_sigmoid, gallery, groups, wrt
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.notation import Notation

GOLDEN = Path(__file__).parent / "golden"
MEASURED = re.compile(r"worst error \S+")  # the last digits differ between machines
PAGES = [name for name in gallery if not name.startswith("deep_sigmoid") or name in {"deep_sigmoid_1", "deep_sigmoid_3"}]


def inputs(text: str) -> list[str]:
    """Return every input of a program that has a derivative."""
    return [name for name, (kind, _) in oracle.declared(text).items() if kind != "label"]


@cache
def derivation(name: str) -> Any:
    return dk.derive(gallery[name], inputs(gallery[name]))


def layouts(jacobian: np.ndarray, out_rank: int) -> dict[str, np.ndarray]:
    """Return the Jacobian (the output's axes first) in each layout, by the words of its definition."""
    outputs, variable = list(range(out_rank)), list(range(out_rank, jacobian.ndim))
    return {
        "mixed": jacobian,
        "numerator": jacobian if out_rank else jacobian.T,
        "denominator": jacobian.transpose(variable + outputs),
    }


#: At size 1 these lie on the edge of their domain, where there is no derivative: 0**(gamma - 1).
EDGE = {"focal"}
SIZES = [pytest.param(n, ones, id=f"{n}-{'ones' if ones else 'distinct'}") for n in gallery for ones in (False, True)]


@pytest.mark.parametrize(("name", "all_ones"), [p for p in SIZES if p.values not in {(n, True) for n in EDGE}])
def test_every_derivative_agrees_with_a_complex_step_in_every_layout(name, all_ones):
    text = gallery[name]
    d = derivation(name)
    sizes = {n: 1 if all_ones else s for n, s in oracle.lengths(text).items()}
    values = oracle.sample(text, sizes, np.random.default_rng(7))
    for variable in inputs(text):
        measured = oracle.complex_step_jacobian(text, values, sizes, variable)
        out_rank = measured.ndim - np.ndim(values[variable])
        expected = layouts(measured, out_rank)
        assert set(expected) == set(LAYOUTS)
        for layout, truth in expected.items():
            claimed = d.results[variable].evaluate(values, layout=layout, sizes=sizes)
            assert claimed.shape == truth.shape == tuple(s.evaluate(sizes) for s in d.results[variable].shape_in(layout))
            np.testing.assert_allclose(claimed, truth, rtol=1e-9, atol=1e-11, err_msg=f"{name} by {variable}, {layout}")


def test_a_wrong_layout_is_not_taken_for_a_right_one():
    d = derivation("linear")
    values = oracle.sample(gallery["linear"], {"D": 2, "M": 3}, np.random.default_rng(1))
    shapes = {layout: d.results["W"].evaluate(values, layout=layout).shape for layout in LAYOUTS}
    assert shapes == {"mixed": (3, 3, 2), "numerator": (3, 3, 2), "denominator": (3, 2, 3)}


def test_the_gallery_says_what_it_holds():
    assert dk.gallery is gallery
    assert set(wrt) == set(gallery)
    for name, text in gallery.items():
        assert text.startswith("# "), name
        assert len(text.splitlines()[0]) <= 90
        assert set(wrt[name]) <= set(inputs(text)), name
    assert [name for names in groups.values() for name in names] == list(gallery)
    assert gallery["deep_sigmoid_4"] == deep_sigmoid(4)
    assert {f"deep_sigmoid_{k}" for k in range(1, 11)} < set(gallery)


# -- textbook forms ----------------------------------------------------------------------------------------------------------

FORMS = """
softmax                          | x     | diag(y) - outer(y, y)
log_softmax                      | x     | eye(K) - softmax(x)
softmax_by_hand                  | z     | p - t
logsumexp                        | x     | softmax(x)
sigmoid                          | x     | diag(y*(1 - y))
tanh                             | x     | diag(1 - y**2)
relu                             | x     | diag(step(x))
elu                              | x     | diag(where(x > 0, 1, alpha*exp(minimum(x, 0))))
softplus                         | x     | diag(sigmoid(x))
swish                            | beta  | y*(x - y)
temperature                      | z     | (y - t)/tau
temperature                      | tau   | -(z @ (y - t))/tau**2
cross_entropy                    | y     | -t/y
softmax_cross_entropy            | z     | y - t
softmax_cross_entropy_undeclared | z     | sum(t)*y - t
softmax_cross_entropy_undeclared | t     | -log(y)
softmax_cross_entropy_label      | z     | y - onehot(k, K)
softmax_cross_entropy_batched    | Z     | (Y - T)/N
label_smoothing                  | z     | y - s
kl_softmaxes                     | a     | p*(log(p/q) - E)
kl_softmaxes                     | b     | q - p
bce                              | p     | (p - t)/(p*(1 - p))
bce_logits                       | z     | p - t
entropy                          | p     | -(log(p) + 1)
softmax_entropy                  | z     | -p*(log(p) + H)
squared_error                    | y     | y - t
huber                            | y     | where(abs(y - t) <= c, y - t, c*sign(y - t))
hinge                            | s     | -step(1 - t*s)*t
triplet                          | n     | 2*step(sum((a - p)**2) - sum((a - n)**2) + m)*(a - n)
least_squares                    | w     | 2*X.T @ (X @ w - y)/N
quadratic_regression             | w     | 2*X.T @ (X @ w - y)/N
ridge                            | w     | 2*X.T @ (X @ w - y)/N + 2*lam*w
lasso                            | w     | X.T @ (X @ w - y)/N + lam*sign(w)
logistic                         | w     | X.T @ (p - t)/N
logistic_signs                   | w     | -X.T @ (sigmoid(-t*(X @ w))*t)/N
poisson                          | w     | X.T @ (exp(X @ w) - k)
gaussian_known_variance          | mu    | sum(x - mu)/v
gaussian_unknown_variance        | v     | (sum((x - mu)**2)/v - N)/(2*v)
gaussian_multivariate            | mu    | P @ sum(R, axis=0)
gaussian_multivariate            | P     | -R.T @ R/2
matrix_factorisation             | U     | 2*((O*(U @ V.T - R)) @ V + lam*U)
matrix_factorisation             | V     | 2*((O*(U @ V.T - R)).T @ U + lam*V)
quadratic_form                   | x     | (A + A.T) @ x
quadratic_form                   | A     | outer(x, x)
quadratic_form_symmetric         | x     | 2*A @ x
bilinear_form                    | x     | A @ y
bilinear_form                    | y     | A.T @ x
bilinear_form                    | A     | outer(x, y)
frobenius                        | X     | 2*A.T @ (A @ X - B)
frobenius_norm                   | A     | A/f
euclidean_norm                   | x     | x/r
trace_product                    | X     | A.T
cosine_similarity                | x     | (y/norm(y) - c*x/norm(x))/norm(x)
rayleigh                         | x     | 2*(A @ x - r*x)/sum(x**2)
linear                           | x     | W
linear                           | b     | eye(M)
two_layer_tanh                   | W1    | outer((W2.T @ (y - t))*(1 - h**2), x)
two_layer_tanh                   | W2    | outer(y - t, h)
two_layer_tanh                   | x     | W1.T @ ((W2.T @ (y - t))*(1 - h**2))
two_layer_tanh_batched           | W1    | (((Y - T) @ W2)*(1 - H**2)).T @ X/N
two_layer_tanh_batched           | W2    | (Y - T).T @ H/N
three_layer_relu                 | W1    | outer(step(W1 @ x)*(W2.T @ (step(W2 @ h1)*(W3.T @ (y - t)))), x)
three_layer_relu                 | W3    | outer(y - t, h2)
three_layer_relu_biases          | b2    | step(W2 @ h1 + b2)*(W3.T @ (y - t))
three_layer_relu_biases          | b3    | y - t
sigmoid_mlp                      | b2    | (W3.T @ (y - t))*h2*(1 - h2)
sigmoid_mlp                      | b3    | y - t
relu_residual                    | x0    | step(y1 + x0)*(1 + w1*step(y0)*w0)
relu_residual                    | w0    | step(y1 + x0)*w1*step(y0)*x0
deep_linear                      | W2    | outer(W3.T @ (y - t), W1 @ x)
tied_autoencoder                 | W     | 2*(outer((1 - h**2)*(W @ (r - x)), x) + outer(h, r - x))
tied_autoencoder                 | c     | 2*(r - x)
attention_head                   | Q     | ((A*(G @ V.T - sum(O*G, axis=1, keepdims=True))) @ K)/sqrt(D)
attention_head                   | V     | A.T @ G
standardise                      | x     | (g - mean(g) - n*mean(g*n))/s
convolution_by_hand              | w     | conv1d(x, y - t)
conv1d_strided                   | w     | conv1d(x, g, dilation=2)[:P]
conv1d_dilated                   | w     | conv1d(x, g, stride=2)
conv2d                           | x     | conv2d(G, flip(transpose(w, (1, 0, 2, 3)), axis=(2, 3)), padding=(P-1, Q-1))
conv2d_same                      | w     | conv2d(x, y - t, padding=1)
conv_net                         | W     | outer(y - t, f)
global_average_pooling           | V     | outer(y - onehot(k, K), m)
layer_norm                       | gamma | sum(G*n, axis=0)
layer_norm                       | X     | (G*gamma - (G @ gamma)[:, None]/D - n*((G*n) @ gamma)[:, None]/D)/s[:, None]
rms_norm                         | x     | (g*gamma - E*n/D)/r
batch_norm                       | X     | gamma*(G - mean(G, axis=0) - n*mean(G*n, axis=0))/s
attention_masked                 | Q     | ((P*(G @ V.T - sum(G*O, axis=1, keepdims=True))) @ K)/sqrt(D)
self_attention                   | Wv    | X.T @ A.T @ G
multi_query_attention            | Q     | (A*(G @ V.T - sum(G*O, axis=2, keepdims=True))) @ K/sqrt(D)
residual_block                   | x     | g + W1.T @ ((W2.T @ g)*step(h))
gated_linear_unit                | W     | outer(u*y*(1 - g), x)
dropout                          | W     | 2*outer(y - t, m*x)/q
rnn_step                         | U     | outer(v*(1 - y**2), h)
rnn_two_steps                    | V     | outer(y1 - t1, h1) + outer(y2 - t2, h2)
lstm_cell                        | Wo    | outer(v*h*(1 - o), u)
lstm_cell                        | c0    | v*o*(1 - tanh(c)**2)*f
gru_cell                         | Wz    | outer(v*(h - n)*z*(1 - z), x)
embedding_classifier             | E     | outer(sum(onehot(idx, V), axis=0), W.T @ y - W[k])/N
info_nce                         | U     | (P @ V - V)/(N*tau)
contrastive_cosine               | a     | (c*u - v)/norm(a)
contrastive_margin               | a     | 2*(y*d - (1 - y)*relu(m - d))*(a - b)/d
negative_sampling                | v     | (p - 1)*u + U.T @ q
distillation                     | z     | tau*(q - p)
vae                              | mu    | W.T @ (p - x) + mu
mixture                          | m     | r*(x - m)/v
mixture                          | a     | r - p
policy_gradient                  | theta | X.T @ (p*(R - J))
reinforce                        | W     | A*outer(onehot(k, K) - p, x)
preference                       | a     | beta*(sigmoid(d) - 1)/N
deep_sigmoid_2                   | W1    | outer(h1*(1 - h1)*(W2.T @ (y - t)), x)
"""


def rows() -> list[Any]:
    found = []
    for line in FORMS.strip().splitlines():
        name, variable, expected = (part.strip() for part in line.split("|"))
        found.append(pytest.param(name, variable, expected, id=f"{name}-{variable}"))
    return found


def written(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(("name", "variable", "expected"), rows())
def test_a_derivative_comes_out_in_the_textbook_s_form(name, variable, expected):
    text = gallery[name]
    ours = dk.derive(text, variable).result.program()
    sizes = oracle.lengths(text)
    values = oracle.sample(text, sizes, np.random.default_rng(3))
    book = oracle.run(f"{text}\n{expected}", values, sizes, oracle.COMPLEX)
    printed = oracle.run(f"{text}\n{ours}", values, sizes, oracle.COMPLEX)
    np.testing.assert_allclose(np.asarray(printed, complex), np.asarray(book, complex), rtol=1e-9, atol=1e-11, err_msg=ours)
    assert len(written(ours)) <= len(written(expected)), f"{ours}   is longer than   {expected}"


@pytest.mark.parametrize("name", PAGES)
def test_what_is_printed_in_matrix_notation_is_numpy(name):
    text = gallery[name]
    sizes = oracle.lengths(text)
    values = oracle.sample(text, sizes, np.random.default_rng(11))
    for variable in wrt[name]:
        d = dk.derive(text, variable, check=False)
        lines = [line for line in d.program().splitlines() if line.startswith("d")]
        if "] = " in lines[-1]:
            continue  # no matrix notation: test_roundtrip reads it back
        printed = oracle.run("\n".join([text, *lines]), values, sizes, oracle.COMPLEX)
        np.testing.assert_allclose(
            np.asarray(printed, complex).real, d.evaluate(values, sizes=sizes), rtol=1e-9, atol=1e-11, err_msg="\n".join(lines)
        )


HELD = [
    ("z: K\nt: K\np = exp(z)/sum(exp(z))\nE = -sum(t*log(p))", "z", "∂p_k/∂z_k", "u held"),
    ("x: N\ng: N\nm = mean(x)\nv = mean((x - m)**2)\nE = v*sum(g*x)", "x", "∂v/∂x_n", "m held"),
    ("x:\na = x**2\nb = a*x\ny = exp(a)*sin(b)*x\nE = y**2", "x", "∂y/∂a", "b held"),
    ("x:\na = x**2\nb = a*x\ny = exp(a)*sin(b)*x\nE = y**2", "x", "∂y/∂b", ""),
    ("x: N\nz: N\np = z*exp(-sum(x**2))\nE = sum(p**2)", "x", "∂p_n/∂u", ""),
]


@pytest.mark.parametrize(("text", "variable", "left", "told"), HELD, ids=[f"{row[2]} {row[3]}" for row in HELD])
def test_a_partial_derivative_says_what_it_holds(text, variable, left, told):
    line = next(line for line in dk.derive(text, variable, check=False).text().splitlines() if f"  {left} " in line)
    assert line.endswith(f", {told}") if told else "held" not in line


def bare(text):
    """Return a formula without its subscripts and brackets: two lines may have other letters."""
    return re.sub(r"_\{[^}]*\}|_[a-z]+|[()]", "", text)


@pytest.mark.parametrize(
    "name", ["batch_norm", "layer_norm", "kalman_update", "ridge_closed_form", "lstm_cell", "attention_masked"]
)
def test_a_line_inserts_what_the_steps_that_it_cites_ended_with(name):
    d = dk.derive(gallery[name], wrt[name], check=False)
    shown = Notation("text", Letters.of(d.graph))
    seen = 0
    for step in d.steps:
        inserts = [line for line in step.substeps if line.reason.startswith("by ")]
        for cited in (d.steps[n - 1] for n in step.cites if inserts):
            *before, last = [bare(shown(line.after)) for line in cited.substeps or (cited,)]
            unfinished = [text for text in before if text not in last]
            seen += len(unfinished)
            assert not any(text in bare(shown(inserts[0].after)) for text in unfinished), (step.number, cited.number)
    assert seen or name not in ("batch_norm", "layer_norm")


# -- golden pages --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_golden_one(name, update_golden):
    page = MEASURED.sub("worst error …", dk.derive(gallery[name], wrt[name]).text()) + "\n"
    path = GOLDEN / f"{name}.txt"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
    assert path.exists(), "no golden page: scripts/test tests/test_gallery.py --update-golden writes it"
    assert page == path.read_text(encoding="utf-8"), (
        "if the new page is better: scripts/test tests/test_gallery.py --update-golden"
    )


def test_no_golden_page_is_left_over():
    assert {p.stem for p in GOLDEN.glob("*.txt")} == set(PAGES)
