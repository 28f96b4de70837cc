"""Right derivations in textbooks' notations are all accepted; a slip in one of them is refuted, and called what it is."""

from __future__ import annotations

from collections import Counter

import pytest

from derivkit.checking.verify.notes import verify_documents
from tests.notes_corpus import documents
from tests.notes_corpus.mutations import CAUSES
from tests.notes_corpus.sweep import said

CORPUS = documents()


def test_there_are_sixty_documents() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.parametrize("name", CORPUS)
def test_nothing_right_is_accused_and_something_is_decided(name: str) -> None:
    (document,) = verify_documents([(name, CORPUS[name])]).files
    assert not [c for c in document.claims if c.status in ("wrong", "right_if", "follows", "unread")]
    assert document.counts.get("right", 0) > document.counts.get("undecided", 0)


def test_nearly_all_of_the_corpus_is_decided() -> None:
    found = verify_documents(CORPUS.items()).files
    counts = Counter(c.status for d in found for c in d.claims)
    judged = counts["right"] + counts["undecided"]
    print(f"{counts['right']} of {judged} lines of {len(CORPUS)} documents are found right")
    assert counts["right"] / judged >= 0.95


@pytest.mark.parametrize(
    ("name", "right", "slip", "cause"),
    [
        ("softmax-temperature", r"(q_i - p_i)$$", r"(q_i + p_i)$$", "sign"),
        ("goodfellow-mlp", r"= \boldsymbol{V}^\top (\b", r"= \boldsymbol{V} (\b", "transpose"),
        ("linear-layer-batch", r"= X^T (Y - T)", r"= X (Y - T)", "transpose"),
        ("embedding-average", r"\sum_c O_{dc} \frac", r"\sum_c O_{cd} \frac", "index-swapped"),
        (
            "least-squares-mean",
            r"\frac{2}{N} \sum_{n=1}^{N} (w x_n + b - y_n)$$",
            r"2 \sum_{n=1}^{N} (w x_n + b - y_n)$$",
            "factor",
        ),
        (
            "goodfellow-two-layers",
            r"\nabla_{\mathbf{w}} J = (\hat{y} - y) \mathbf{h}",
            r"\nabla_{\mathbf{w}} J = \mathbf{h}",
            "factor",
        ),
        ("sigmoid-second", r"s (1 - s)(1 - 2 s)", r"s (1 - s)(1 - s)", "factor"),
        ("gaussian-log-likelihood", r"\frac{1}{s^3}", r"\frac{1}{s^2}", "power"),
        ("softplus", r"\frac{1}{1 + e^{-x}}", r"\frac{1}{1 + e^{x}}", "exponent"),
        ("attention-scores", r"\sum_i a_{ij} o_{id}", r"a_{ij} o_{id}", "missing-sum"),
        ("vae-kl", r"\frac{1}{2} (e^{v_j} - 1)", r"\frac{1}{2} e^{v_j} - 1", "parenthesis"),
        ("staged-scalars", r"\frac{\partial f}{\partial y} = z", r"\frac{\partial f}{\partial y} = q", "wrong-variable"),
        ("entropy", r"-\ln p_j - 1", r"-\ln p_j", "other"),
    ],
)
def test_slips_of_the_pen_are_called_what_they_are(name: str, right: str, slip: str, cause: str) -> None:
    assert CORPUS[name].count(right) == 1
    (document,) = verify_documents([(name, CORPUS[name].replace(right, slip))]).files
    assert [c.cause for c in document.claims if c.status == "wrong"] == [cause]


@pytest.mark.sweep
def test_a_slip_is_refuted_and_nothing_that_says_the_same(every: int) -> None:
    found = [s for n, name in enumerate(CORPUS) for s in said(name, CORPUS[name], 15 * every, n)]
    altered = [s for s in found if s.alters]
    wrong = [s for s in altered if s.status == "wrong"]
    named = [s for s in wrong if s.cause in CAUSES[s.kind]]
    print(f"{len(wrong)} of {len(altered)} slips are refuted, {len(named)} of them called what they are")
    assert not [s for s in found if s.alters is False and s.status == "wrong"]
    assert len(wrong) >= 0.92 * len(altered)
    assert len(named) >= 0.85 * len(wrong)


@pytest.mark.parametrize(
    "text",
    [
        r"Let $L = (y - t)^2 + \lambda w^2$, the model linear. $$\frac{\partial L}{\partial w} = 2 (y - t) x + 2 \lambda w$$",
        r"$L = \frac{1}{2} (y - t)^2$, the output being linear in the input. $$\frac{\partial L}{\partial w} = (y - t) x$$",
        r"For one example $$\frac{\partial}{\partial \theta_j} \frac{1}{2} (h(x) - y)^2 = (h(x) - y) x_j$$",
        r"$D = W X$. $$\frac{\partial L}{\partial W} = \frac{\partial L}{\partial D} X^T$$",
        r"$c_t = f_t \odot c_{t-1} + i_t \odot g_t$. $$\frac{\partial c_t}{\partial f_t} = c_{t-1}$$",
    ],
)
def test_what_a_document_leaves_unsaid_accuses_nobody(text: str) -> None:
    (document,) = verify_documents([("notes", text)]).files
    assert not [c for c in document.claims if c.status == "wrong"]
