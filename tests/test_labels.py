"""Labels and titles: what is allowed is read whole and written anew in each format; everything else is refused in one line."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest

import derivkit as dk
from derivkit.cli import main
from derivkit.errors import DerivkitError
from derivkit.symbolic.render.labels import read_label, read_labels, written
from derivkit.symbolic.render.mathml import math

PROGRAM = "x: D\nW1: M, D\nt: onehot M\nA: symmetric D, D\nE = cross_entropy(t, softmax(W1 @ x)) + x @ A @ x"
LABELS = {
    "W1": r"\mathbf{W}_1^{l}",
    "x": r"\hat x",
    "A": r"\mathcal{A}",
    "t": "\N{GREEK SMALL LETTER THETA}",
    "D": "d",
    "E": r"\mathrm{Loss}",
}

#: A label, and what it is with the subscripts i, j in text and in LaTeX.
WRITTEN = {
    "V": ("V_ij", "V_{ij}"),
    "V_1": ("V_{1,ij}", "V_{1,ij}"),
    r"\theta": ("θ_ij", r"\theta_{ij}"),
    "θ_1": ("θ_{1,ij}", r"\theta_{1,ij}"),
    r"\hat{x}": ("x̂_ij", r"\hat{x}_{ij}"),
    r"\hat x": ("x̂_ij", r"\hat{x}_{ij}"),
    r"\vec\beta^2": ("β⃗_ij^2", r"\vec{\beta}_{ij}^{2}"),
    r"\mathbf{W}_{ab}^{12}": ("𝐖_{ab,ij}^12", r"\mathbf{W}_{ab,ij}^{12}"),
    r"\mathcal L": ("ℒ_ij", r"\mathcal{L}_{ij}"),
    r"\mathrm{loss}": ("loss_ij", r"\mathrm{loss}_{ij}"),
    r"\tilde{\mathbf h}": ("𝐡̃_ij", r"\tilde{\mathbf{h}}_{ij}"),
    r"x_{\theta_1}": ("x_{θ_1,ij}", r"x_{\theta_{1},ij}"),
    r"\alpha\beta b": ("αβb_ij", r"\alpha \beta b_{ij}"),
    r"{a}": ("a_ij", "a_{ij}"),
    r"\Omega": ("Ω_ij", r"\Omega_{ij}"),
}
REFUSED = [
    r"\input{/etc/passwd}",
    r"\write18{ls}",
    r"\def\x{1}",
    r"\mathbff{W}",
    r"\href{javascript:alert(1)}{x}",
    r"\catcode`\%=0",
    r"x\\y",
    "<b>",
    "</math><script>",
    "a&b",
    "$x$",
    "x%",
    "x'",
    "W(1)",
    "x\n",
    "x\x00",
    "x\u202e",
    "\u200b",
    "ж",
    "x~y",
    "#1",
    "{a",
    "a}",
    "}{",
    "_1",
    "x_",
    "x__1",
    "x_1_2",
    "x^1^2",
    "x_^2",
    r"\hat",
    r"\hat{}",
    "{}",
    "",
    " ",
    "a" * 61,
    "{" * 30 + "a" + "}" * 30,
    r"\hat" * 12 + "a",
    r"\mathbf_1",
]


@pytest.mark.parametrize("label", [k for k, v in WRITTEN.items() if v])
def test_a_label_is_written_in_each_format(label):
    text, latex = WRITTEN[label]
    read = read_label(label)
    assert unicodedata.normalize("NFC", written(read, "text", ("i", "j"))) == unicodedata.normalize("NFC", text)
    assert written(read, "latex", ("i", "j")) == latex
    assert written(read, "latex").isascii()
    assert read_label(written(read, "latex")) == read  # what is written is a label again
    shown = "".join(math(written(read, "mathml", ("i", "j"))).itertext())
    assert shown.replace("\u2063", "").endswith("ij") or "^" in label


@pytest.mark.parametrize("label", REFUSED, ids=map(ascii, REFUSED))
def test_what_is_not_allowed_is_refused_in_one_line(label):
    with pytest.raises(DerivkitError) as caught:
        read_label(label)
    assert caught.value.code == "DK006"
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_a_wrong_command_is_answered_with_the_right_one():
    with pytest.raises(DerivkitError, match="mathbf"):
        read_label(r"\mathbff{W}")


def test_a_name_that_the_program_does_not_have_is_answered_with_those_it_has():
    with pytest.raises(DerivkitError, match="'W2', which the program does not name") as caught:
        read_labels({"W2": "V"}, ["W1", "x"])
    assert caught.value.code == "DK008"
    assert "W1" in str(caught.value.hint)
    assert list(read_labels({"α": "a"}, ["alpha"])) == ["alpha"]


@pytest.mark.parametrize("labels", [{"W": "x"}, {"W": "V", "x": "V"}, {"W": r"\alpha"}])
def test_two_names_never_look_the_same(labels):
    with pytest.raises(DerivkitError, match="would both be printed as") as caught:
        read_labels(labels, ["W", "x", "alpha"])
    assert caught.value.code == "DK011"


def test_names_may_change_places():
    assert set(read_labels({"W": "x", "x": "W"}, ["W", "x"])) == {"W", "x"}


@pytest.fixture(scope="module")
def derivation():
    return dk.derive(PROGRAM, ["x", "W1"], check=False)


def test_a_label_stands_wherever_its_name_stood(derivation):
    text = derivation.text(labels=LABELS, lemmas=True)
    page, _, _ = text.partition("Lemma")
    assert not re.search(r"W1|(?<![A-Za-z])x(?!\N{COMBINING CIRCUMFLEX ACCENT})|(?<![A-Za-z])[tAED](?![a-z])", page), page
    assert "θ is one-hot" in page
    latex = derivation.latex(labels=LABELS)
    assert latex.isascii()
    assert r"\mathbf{W}_{1,ji}^{l}" in latex
    assert r"(\mathbf{W}_{1}^{l})^\top" in latex  # no double superscript
    assert not re.search(r"\}\^\{[^}]*\}\^", latex)


def test_an_index_is_never_written_like_a_label(derivation):
    plain = derivation.text(steps="none", notation="index")
    assert "Σ_j" in plain or "Σ_k" in plain
    labelled = derivation.text(labels={"A": "j", "W1": "k"}, steps="none", notation="index")
    assert "Σ_j" not in labelled
    assert "Σ_k" not in labelled


def test_e_as_a_label_makes_exp_a_word():
    d = dk.derive("y = exp(x)", "x", {"x": ""}, check=False)
    assert "e^{x}" in d.latex()
    assert "e^{" not in d.latex(labels={"x": "e"})


def test_what_is_derived_from_a_name_has_its_label_too():
    hvp = dk.derive("X: N, D\nw: D\nE = sum((X @ w)**2)", "w", kind="hvp", check=False)
    assert "2 Xᵀ X \u03b8\u0307" in hvp.text(labels={"w": r"\theta"})
    assert r"\dot{\mathbf{w}}_{1}" in hvp.latex(labels={"w": r"\mathbf{w}_1"})
    assert "2 Xᵀ X v" in hvp.text(labels={"w": r"\theta", "w_dot": "v"})
    vjp = dk.derive("x: D\nW: M, D\ny = W @ x", "W", kind="vjp", check=False)
    assert r"\bar{\mathcal{W}}_{ji}" in vjp.latex(labels={"W": r"\mathcal W"})


TITLES = [
    "</title><script>alert(1)</script>",
    "a\nb\x00\u202e",
    "100 % of $x_1$ & {y} \\ #^~ *b* `c` | [d](e) <i>",
    "\\input{x}",
    "é Ω 文",
    "x" * 1000,
]


@pytest.mark.parametrize("title", TITLES, ids=range(len(TITLES)))
def test_a_title_is_text_in_every_format(derivation, title):
    pages = {f: getattr(derivation, f)(title=title, steps="none") for f in ("text", "latex", "markdown", "html")}
    for form, page in pages.items():
        assert "\x00" not in page
        assert "\u202e" not in page
        assert form == "text" or "<script" not in page
        assert "x" * 201 not in page
    assert len(pages["text"].splitlines()[0]) <= 200
    assert pages["latex"].isascii()
    head = pages["latex"].splitlines()[0]
    assert head.startswith(r"\textbf{")
    assert r"\input" not in head
    bare = re.sub(r"\\[\\%&#_${}^~`'\"]|\\[a-zA-Z]+(\{\})?", "", head)
    assert not set("%&#_~") & set(bare)
    assert bare.count("{") == bare.count("}")
    head = pages["markdown"].splitlines()[0]
    assert head.startswith("# ")
    assert not re.search(r"(?<!\\)[*`\[$|<>]", head)


def test_the_command_line_takes_labels_and_titles(capsys):
    common = ["derive", PROGRAM, "--wrt", "x", "--title", "T & Co", "--label", r"x=\hat{x}", "--label", "W1=V"]
    for form, words in {
        "text": ["x̂", "T & Co"],
        "latex": [r"\hat{x}", r"T \& Co"],
        "markdown": [r"\hat{x}", "T &amp; Co"],
    }.items():
        assert main([*common, "--format", form]) == 0
        out = capsys.readouterr().out
        assert all(w in out for w in words), form
    assert main([*common, "--format", "html"]) == 0
    assert "<title>T &amp; Co</title>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--label", "x"], "--label needs NAME=TEX"),
        (["--label", "x=a", "--label", "x=b"], "--label was given twice for 'x'"),
        (["--label", r"x=\input{a}"], "not allowed"),
        (["--label", "y9=a"], "which the program does not name"),
        (["--title", "t", "--format", "json"], "--title has no meaning with --format json"),
        (["--label", "x=a", "--format", "python"], "--label has no meaning with --format python"),
    ],
)
def test_the_command_line_refuses_in_one_line(given, said, capsys):
    assert main(["derive", PROGRAM, "--wrt", "x", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("derivkit: error: ")
    assert said in err
    assert err.count("error:") == 1


def test_json_knows_no_labels(derivation):
    assert json.loads(derivation.to_json())["schema"] == "derivkit.derivation/1"
