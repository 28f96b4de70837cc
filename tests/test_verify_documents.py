"""Whole documents: every line of a homework judged, the mistakes found and named, nobody accused who is right."""

from __future__ import annotations

import pytest

from derivkit.checking.verify.findings import Claim
from derivkit.checking.verify.notes import verify

SOFTMAX = r"""
The output unit is $p(u_r) = \frac{\exp(u_r)}{\sum_{s=1}^R \exp(u_s)}$ and the loss $L(v) = -\sum_{r=1}^R q_r \ln o_r$ with
$$o_r(x, v) = p(\sum_{m=0}^M v_{rm} g(\sum_{d=0}^D a_{md} x_d)), g(c) = \tanh(c)$$
The target q is a one-hot vector.
"""
NETWORK = (
    SOFTMAX
    + r"""
If s = r,
$$\begin{aligned}
\frac{\partial p(u_s)}{\partial u_r} &= \frac{\exp(u_r) \sum_{l=1}^R \exp(u_l) - \exp^2(u_r)}{(\sum_{l=1}^R \exp(u_l))^2} \\
&= p(u_r) (1 - p(u_r))
\end{aligned}$$
If $r \neq s$,
$$\frac{\partial p(u_s)}{\partial u_r} = -p(u_r) p(u_s)$$
The chain rule gives
$$\begin{aligned}
\frac{\partial L}{\partial u_r} &= \sum_{s=1}^R \frac{\partial L}{\partial p(u_s)} \times \frac{\partial p(u_s)}{\partial u_r} \\
&= \sum_{s=1}^R \frac{\partial (-\sum_{r=1}^R q_r \ln p(u_s))}{\partial p(u_s)} \times \frac{\partial p(u_s)}{\partial u_r} \\
&= -\sum_{s=1}^R \frac{q_s}{p(u_s)} \frac{\partial p(u_s)}{\partial u_r} \\
&= -q_r (1 - p(u_r)) + \sum_{s \neq r}^R q_s p(u_r) \\
&= \sum_{s=1}^R q_s p(u_s) - q_r
\end{aligned}$$
and, since q is one-hot, $\frac{\partial L}{\partial u_r} = p(u_r) - q_r$, so that
$$\frac{\partial L}{\partial a_{md}} = \sum_r (o_r - q_r) v_{rm} (1 - g^2(\sum_{d=0}^D a_{md} x_d)) x_d$$
"""
)
CHAIN = r"""
$$x_0 = 2.0$$ $$w_0 = 0.5$$ $$b_0 = -0.4$$
$$xw_0 = x_0 \cdot w_0 = 1.0 \quad dxw_0 = w_0 dx_0, dxw_0 = x_0 dw_0$$
$$xwb_0 = xw_0 + b_0 = 0.6 \quad dxwb_0 = dxw_0, dxwb_0 = db_0$$
$$z = \text{ReLU}(xwb_0) = 0.6 \quad dz = 1 \cdot (xwb_0 > 0?) dxwb_0$$
$$\frac{dz}{dw_0} = \frac{dz}{dxwb_0} \cdot \frac{dxwb_0}{dxw_0} \cdot \frac{dxw_0}{dw_0}$$
$$= 1 \cdot 1 \cdot (2.0)$$
$$= 2$$
It has $4 \times 8 + 8$ parameters.
"""


def claims(text: str) -> tuple[Claim, ...]:
    return verify(text).files[0].claims


def statuses(text: str) -> list[str]:
    return [c.status for c in claims(text)]


def test_a_network_with_two_slips():
    found = claims(NETWORK)
    assert [c.cause for c in found if c.status == "wrong"] == ["index-reused", "index-swapped"]
    assert [c.correction for c in found if c.status == "wrong"][1] == r"\sum_{s=1}^{R} q_{s} p(u_{r}) - q_{r}"
    assert not [c for c in found if c.status not in ("right", "definition", "wrong")]


def test_a_chain_of_numbers():
    assert set(statuses(CHAIN)) == {"definition", "right"}
    assert [c.message for c in claims(CHAIN) if c.message] == ["= 40"]
    wrong = claims(
        CHAIN.replace("= 0.6 \\quad dz", "= 0.7 \\quad dz").replace("x_0 dw_0", "w_0 dw_0").replace("$$= 2$$", "$$= 4$$")
    )
    assert [c.text.split("=")[-1].strip() for c in wrong if c.status == "wrong"] == ["w_0 dw_0", "0.7", "4"]


@pytest.mark.parametrize(
    ("right", "slip", "cause"),
    [
        ("p(u_r) - q_r", "p(u_r) + q_r", "sign"),
        ("(1 - g^2(", "(1 - g(", "power"),
        (r"\sum_r (o_r - q_r) v_{rm}", "(o_r - q_r) v_{rm}", "missing-sum"),
        (r"-p(u_r) p(u_s)", r"p(u_r) p(u_s)", "sign"),
        ("p(u_r) (1 - p(u_r))", "p(u_r) (1 - p(u_s)^2)", "power"),
    ],
)
def test_single_slips_are_named(right, slip, cause):
    assert right in NETWORK
    head, _, tail = NETWORK.rpartition(right)
    found = [c for c in claims(head + slip + tail) if c.status == "wrong"]
    assert cause in [c.cause for c in found], [(c.text, c.cause, c.message) for c in found]


def test_a_line_that_lacks_an_assumption_is_right_if():
    text = SOFTMAX.replace("The target q is a one-hot vector.", "") + r"$\frac{\partial L}{\partial u_r} = p(u_r) - q_r$"
    last = claims(text)[-1]
    assert (last.status, last.needs) == ("right_if", ("the entries of q sum to 1",))


def test_lines_after_a_wrong_one_follow_or_recover():
    text = r"$f = x^2$. $$\frac{d f}{d x} = -2 x = -x - x = 2 x$$"
    assert statuses(text) == ["definition", "wrong", "follows", "right"]


def test_what_is_struck_out_is_an_assumption():
    text = SOFTMAX + r"$$\frac{\partial L}{\partial u_r} = p(u_r) - \cancel{q_r}^1 = p(u_r) - 1$$"
    last = claims(text)[-2]
    assert (last.status, last.needs) == ("right_if", ("q_{r} = 1",))


def test_letters_that_a_machine_took_for_others():
    text = SOFTMAX.replace("q", "y") + r"$$\frac{\partial L}{\partial u_r} = p(u_r) - \gamma_r$$"
    found = verify(text).files[0]
    assert "gamma is read as y" in found.assumptions
    assert found.claims[-1].status == "right"


@pytest.mark.parametrize(
    "text",
    [
        r"$$\frac{\partial E}{\partial w} = 2 w$$",  # no E
        r"$E = \sum_i x_i^2$. $$\frac{\partial E}{\partial y_i} = 2 y_i$$",  # no y in E
        r"$x_1 = a$, $x_2 = b$, $$\sum_h x_h = x_1 + x_2$$",
        r"$$w \leftarrow w - \eta g$$ $$x \in \mathbb{R}^n$$",
    ],
)
def test_what_is_not_clear_is_nobodys_mistake(text):
    assert "wrong" not in statuses(text)
    assert "right" not in statuses(text)


@pytest.mark.parametrize(
    "text", ["$2^{99999999999}$", "$1/0$", "$0^{-1}$", "$(-1)^{0.5}$", r"$\frac{1}{0} = 2$", "$10^{10^{10^{10}}} + 1 = 2$"]
)
def test_what_has_no_value_is_no_claim_and_no_crash(text):
    assert set(statuses(text)) <= {"undecided"}
