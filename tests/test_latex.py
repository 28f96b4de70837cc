"""LaTeX: every page balances and uses known commands only; where pdflatex is installed, the whole gallery compiles and fits."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from functools import cache

import pytest

import derivkit as dk
from derivkit.symbolic.gallery import gallery, wrt
from derivkit.symbolic.render.latex import latex_document
from derivkit.symbolic.render.styles import LATEX
from derivkit.symbolic.render.widths import broken, width

NAMES = [n for n in gallery if not n.startswith("deep_sigmoid") or n.endswith(("_1", "_4"))]
OPTIONS = {
    "everything": {"lemmas": True},
    "numerator": {"layout": "numerator", "notation": "matrix", "steps": "brief", "style": "cases"},
    "denominator": {"layout": "denominator", "notation": "index", "steps": "none"},
}
COMMANDS = set(
    """Sigma alpha arctan begin beta cdot circ cos displaystyle dots end frac gamma ge in int lVert lambda le left lfloor log
    lvert mathbf mathit mathrm max min mu ne odot operatorname oslash partial pi prod quad qquad rVert rfloor right rlap rvert
    sigma sin sqrt sum tanh tau text textbf textstyle theta times otimes top varphi delta sinh cosh exp infty hat surd vert det
    Phi eps epsilon allowdisplaybreaks biggl biggr""".split()
)


@cache
def derivation(name):
    return dk.derive(gallery[name], wrt[name], check=False)


def structure(latex):
    """Return what is wrong with the nesting of a fragment: braces, environments, \\left and \\right, dollars."""
    wrong = []
    stack = []
    bare = re.sub(r"\\[\\%&#_${}]", "", latex)
    for token in re.findall(r"\\begin\{[^}]*\}|\\end\{[^}]*\}|\\left(?![a-z])|\\right(?![a-z])|[{}]", bare):
        if token == "{" or token.startswith((r"\begin", r"\left")):
            stack.append(token)
            continue
        opened = stack.pop() if stack else ""
        fits = {"}": "{", r"\right": r"\left"}.get(token, token.replace("end", "begin"))
        if opened != fits:
            wrong.append((opened, token))
    if bare.count("$") % 2:
        wrong.append("$")
    return (
        wrong + stack + re.findall(r"_(?:\{(?:[^{}]|\{[^{}]*\})*\}|\w)(?:\^(?:\{[^{}]*\}|\w))?_", bare)
    )  # TeX: Double subscript


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_balances_and_uses_known_commands_only(name, options):
    latex = derivation(name).latex(**options)
    assert latex.isascii()
    assert structure(latex) == []
    assert set(re.findall(r"\\([A-Za-z]+)", latex)) <= COMMANDS
    environments = Counter(re.findall(r"\\begin\{([^}]*)\}", latex))
    assert set(environments) <= {"align*", "cases"}
    assert r"\\" + "\n\\end" not in latex  # no empty last line


def test_what_does_not_balance_is_seen():
    assert structure(r"\left( x") == [r"\left"]
    assert structure(r"{ \begin{align*} } \end{align*}") != []
    assert structure("$x") == ["$"]
    assert structure(r"x_{1}_{1{:}} + A_1^{-1}_{ij}") != [] == structure(r"(x_{1})_{1{:}} + x_{1}^{2} x_{2}")


SLICED = [
    ("x1: N\nE = sum(x1[1:]**2)", "x1", {}),
    ("x: N\nE = sum(x[1:]**2)", "x", {"x": r"\hat{x}_1"}),
    ("W12: M, N\nE = sum(W12[1:,0]**2)", "W12", {}),
    ("x_1: N\nE = sum(x_1[::2]*x_1[0])", "x_1", {}),
    ("A1: N, N\nE = sum(inv(A1)[1:,0])", "A1", {}),
]


@pytest.mark.parametrize("notation", ["index", "matrix", "both", "operator"])
@pytest.mark.parametrize(("program", "name", "labels"), SLICED, ids=[c[0].replace("\n", "; ") for c in SLICED])
def test_a_part_of_what_has_a_subscript_has_no_second_one(program, name, labels, notation):
    d = dk.derive(program, name)
    assert structure(d.latex(notation=notation, labels=labels)) == []
    assert structure(d.markdown(notation=notation, labels=labels)) == []


def test_a_long_line_is_broken_outside_braces():
    long = r"\frac{a + b}{c} + " + " + ".join(f"x_{{{n}}} \\, (y_{{{n}}} - t_{{{n}}})" for n in range(12))
    lines = broken(long, 300)
    assert len(lines) > 1
    assert " ".join(lines) == long
    assert all(width(line) <= 300 for line in lines)
    assert all(line.count("{") == line.count("}") and line.count("(") == line.count(")") for line in lines)


def test_a_long_line_is_broken_inside_brackets_only_where_nothing_else_helps():
    whole = r"A \, (b + c) \odot (1 - \tanh(x)^{2}) \odot (d + e)"
    assert broken(whole, 90) == [r"A \, (b + c)", r"\odot (1 - \tanh(x)^{2})", r"\odot (d + e)"]
    terms = " + ".join(f"x_{{{n}}}" for n in range(30))
    lines = broken(rf"y - z \, \left({terms}\right) \, w + v", 150)
    assert lines[0].startswith(r"y - z \, \biggl(")  # it fits no line: it is cut inside, at a fixed size
    assert lines[-1].endswith(r"\biggr) \, w + v")
    assert all(width(line) <= 150 for line in lines)
    assert (
        " ".join(lines).replace(r"\biggl(", r"\left(").replace(r"\biggr)", r"\right)")
        == rf"y - z \, \left({terms}\right) \, w + v"
    )


WORDS = [
    ("W_out: K, M\nhidden: M\ny = W_out @ hidden", "hidden", r"W_{\mathrm{out}} \, \mathit{hidden}"),
    ("gain: M\nx: M\nE = gain @ x", "x", r"\mathit{gain}^\top \, x"),
    ("a: 3*H\nx = a[H:2*H]", "a", r"x &= a_{H{:}2\,H}"),
]


@pytest.mark.parametrize(("text", "variable", "shown"), WORDS, ids=[shown for _, _, shown in WORDS])
def test_the_letters_of_a_word_do_not_run_into_its_neighbour(text, variable, shown):
    assert shown in dk.derive(text, variable, check=False).latex()
    assert LATEX.product("A", r"\mathrm{diag}(s)", "X") == r"A \, \mathrm{diag}(s) X"


def test_a_long_program_stands_in_its_own_order():
    long = derivation("lstm_cell").latex().partition("Layout")[0]
    names = [line.partition(" &=")[0] for line in long.splitlines() if "&=" in line]
    assert names == [str(d.name) for d in derivation("lstm_cell").primal if d.name.kind == "user"]
    short = derivation("two_layer_tanh").latex()
    assert short.index("E &=") < short.index("y &=") < short.index("h &=")
    for page in (derivation("lstm_cell").html(), derivation("lstm_cell").markdown()):
        assert page.index("tanh") > page.index("σ" if "<html" in page else "sigma")


def test_exp_is_a_word_where_e_is_a_name():
    latex = derivation("softmax_by_hand").latex()
    assert r"e &= \exp(z)" in latex
    assert "e^{" not in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_gallery_compiles_and_fits_its_page(options, tmp_path):
    pages = (rf"\subsection*{{{name.replace('_', ' ')}}}" + "\n" + derivation(name).latex(**options) for name in NAMES)
    (tmp_path / "page.tex").write_text(latex_document("\n".join(pages)), encoding="ascii")
    command = [str(shutil.which("pdflatex")), "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "page.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_a_long_derivation_goes_on_on_the_next_page_of_any_document(tmp_path):
    page = r"\documentclass{article}\usepackage{amsmath}\begin{document}" + derivation("batch_norm").latex(lemmas=True)
    (tmp_path / "page.tex").write_text(page + r"\end{document}", encoding="ascii")
    command = [str(shutil.which("pdflatex")), "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "page.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2000:]
    assert r"Overfull \vbox" not in log


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_titles_and_labels_compile(tmp_path):
    d = dk.derive("x: D\nW1: M, D\nt: onehot M\nE = softmax_cross_entropy(t, W1 @ x**2)", ["W1", "x"], check=False)
    labels = {
        "W1": r"\mathbf{W}_1^{l}",
        "x": r"\hat\theta",
        "t": r"\vec{\mathcal T}^2_{ab}",
        "E": "\u039bx",
        "D": "d",
        "M": r"\mathrm{out}_\Xi",
    }
    titles = ("100 % of $x_1$ & {y} \\ #^~ *b* <i> | é Å ñ 文", r"\input{x} \end{document} %", "^^41 ~ \u0394 \u03b1")
    pages = "\n".join(d.latex(title=title, labels=labels, lemmas=True) for title in titles)
    (tmp_path / "page.tex").write_text(latex_document(pages), encoding="ascii")
    command = [str(shutil.which("pdflatex")), "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, (tmp_path / "page.log").read_text(encoding="latin-1")[-2000:]
