"""HTML, Markdown and notebooks: every page of the gallery is well-formed, self-contained, without a script, the same each time.

MathML has no check of its own in a parser of XML, so its arities are held here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import derivkit as dk
from derivkit.symbolic.gallery import gallery, wrt
from derivkit.symbolic.render.html import POLICY
from derivkit.symbolic.render.mathml import NAMESPACE, among_words, mark, math

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_PAGES = ("two_layer_tanh", "softmax", "least_squares")
NAMES = [n for n in gallery if not n.startswith("deep_sigmoid") or n.endswith(("_1", "_4"))]
OPTIONS = {
    "everything": {"lemmas": True},
    "numerator": {"layout": "numerator", "notation": "matrix", "steps": "brief", "style": "cases"},
    "operator": {"notation": "operator", "lemmas": False},
    "denominator": {"layout": "denominator", "notation": "index", "steps": "none", "title": "a < b & c"},
}
XHTML = "{http://www.w3.org/1999/xhtml}"
MATH = f"{{{NAMESPACE}}}"
PLAIN_TAGS = set("html head meta title style body main section h1 h2 p div span ul li pre code details summary".split())
#: How many children each element of MathML has; ``None``: any number.
ARITY = {
    **dict.fromkeys(("mi", "mn", "mo", "mtext"), 0),
    **dict.fromkeys(("mfrac", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("math", "mrow", "msqrt", "mtable", "mtr", "mtd"), None),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}


@cache
def derivation(name):
    return dk.derive(gallery[name], wrt[name], check=False)


def well_formed(page):
    """Return the tree of a page after everything that holds for each."""
    assert page.startswith("<!DOCTYPE html>\n<html ")
    assert "<script" not in page.lower()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page), "a mark was left"
    head, _, rest = page.partition("<body>")
    assert not re.search(r"\b(?:src|href|on[a-z]+)\s*=|url\(|@import|https?://(?!www\.w3\.org/1999/xhtml)", head)
    assert not re.search(r"\b(?:src|href|style|on[a-z]+)\s*=\s*[\"']", re.sub(r">[^<]*<", "><", rest))
    tree = ET.fromstring(page)  # noqa: S314 - our own page
    policies = [m.get("content") for m in tree.iter(f"{XHTML}meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [POLICY]
    for element in tree.iter():
        if element.tag.startswith(XHTML):
            assert element.tag.removeprefix(XHTML) in PLAIN_TAGS
            assert element.tag == f"{XHTML}meta" or len(element) or element.text, f"an empty {element.tag}"
        else:
            well_formed_math(element)
    return tree


def well_formed_math(element):
    tag = element.tag.removeprefix(MATH)
    assert tag in ARITY, tag
    arity = ARITY[tag]
    assert arity is None or len(element) == arity, ET.tostring(element, encoding="unicode")
    if arity == 0:
        assert element.text
        assert element.text.strip(" ") == element.text
    else:
        assert not (element.text or "").strip()
        assert len(element), f"an empty {tag}"
        assert not any((child.tail or "").strip() for child in element)
    brackets = {"(": ")", "[": "]", "{": "}", "⌊": "⌋"}
    if element.get("class") == "brackets":
        assert brackets[element[0].text] == element[-1].text


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_well_formed_and_fetches_nothing(name, options):
    d = derivation(name)
    tree = well_formed(d.html(**options))
    assert len(tree.findall(f".//{XHTML}details")) == (len(d.lemmas) if options.get("lemmas", True) else 0)
    assert not re.search(r"\\[a-z]+", "".join(tree.find(f"{XHTML}body").itertext())), "LaTeX was left"
    numbers = [e.text for e in tree.iter(f"{XHTML}div") if e.get("class") == "number"]
    if options.get("steps") != "none" and options.get("notation") != "operator":
        assert numbers[: len(d.steps)] == [f"({s.number})" for s in d.steps]


def test_what_is_not_well_formed_is_seen():
    bad = ET.fromstring(f'<math xmlns="{NAMESPACE}"><mfrac><mi>a</mi></mfrac></math>')  # noqa: S314
    with pytest.raises(AssertionError):
        well_formed_math(bad[0])
    page = derivation("ridge").html()
    with pytest.raises(AssertionError):
        well_formed(page.replace("<h1>", "<h1><img />"))
    with pytest.raises(AssertionError):
        well_formed(page.replace("<main", "<main onclick='x()'"))


@pytest.mark.parametrize("name", ["two_layer_tanh", "cosine_similarity", "standardise"])
def test_a_page_is_the_same_each_time(name):
    again = dk.derive(gallery[name], wrt[name], check=False)
    for form in ("html", "markdown", "text", "latex"):
        options = {"title": "T", "labels": {str(again.primal.output): r"\mathcal{L}"}}
        assert getattr(derivation(name), form)(**options) == getattr(again, form)(**options)


# -- formulas ------------------------------------------------------------------------------------------------------------


def flat(element):
    """Return a formula of MathML in one line: ``x_{i}^{2}``, ``(a)/(b)``, ``Σ_{k}``."""
    inner = [flat(child) for child in element]
    match element.tag:
        case "mfrac":
            return f"({inner[0]})/({inner[1]})"
        case "msub" | "munder":
            return f"{inner[0]}_{{{inner[1]}}}"
        case "msup":
            return f"{inner[0]}^{{{inner[1]}}}"
        case "msubsup":
            return f"{inner[0]}_{{{inner[1]}}}^{{{inner[2]}}}"
        case "mover":
            return inner[1] + inner[0]
        case "msqrt":
            return f"√{{{''.join(inner)}}}"
    return (element.text or "").translate({0x2062: "*", 0x2061: "", 0x2063: ""}) + "".join(inner)


#: A marked text, and what it is.
FORMULAS = {
    mark("sup", mark("sub", mark("i", "h"), "j"), "2"): "h_{j}^{2}",
    mark("sub", mark("sup", "x", "l"), "i"): "x_{i}^{l}",
    "−" + mark("frac", "a b", "2"): "−(a*b)/(2)",
    f"{mark('word', 'softmax')}(z)": "softmax(z)",
    f"{mark('sum', 'i,j')} (a − b)": "∑_{i,j}(a−b)",
    mark("fence", "‖", "x", "‖"): "‖x‖",
    mark("over", mark("i", "x"), "^"): "^x",
    "2i+1": "2i+1",
    "[a > 0]": "[a>0]",
    "10.5": "10.5",
    "((a) b": "((a)*b",  # never lost, even where it does not balance
    "a <b> & c": "a<b>&*c",
}


@pytest.mark.parametrize("text", FORMULAS, ids=FORMULAS.values())
def test_a_marked_text_becomes_a_tree(text):
    element = math(text)
    assert flat(element) == FORMULAS[text]
    ET.fromstring(ET.tostring(element))  # noqa: S314


def test_the_steps_of_a_network_are_its_formulas():
    tree = well_formed(derivation("two_layer_tanh").html(lemmas=False))
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    shown = [flat(box) for box in tree.iter("div") if box.get("class") == "right"]
    assert "=∑_{k}W_{2,kj}*(y_{k}−t_{k})" in shown
    assert "=1−h_{j}^{2}" in shown
    assert "=((W_{2}^{⊤}*(y−t))⊙(1−h^{2}))*x^{⊤}" in shown


def test_brackets_grow_only_around_what_is_tall():
    def stretched(text):
        return [e.get("stretchy") for e in math(text).iter("mo") if e.text == "("]

    assert stretched("(a + b)") == ["false"]
    assert stretched(f"(a + {mark('frac', 'a', 'b')})") == ["true"]


def test_a_minus_without_a_left_operand_is_a_sign():
    signs = [e.get("form") for e in math("−a − b").iter("mo") if e.text == "−"]
    assert signs == ["prefix", None]
    assert [e.get("form") for e in math("(−a)").iter("mo") if e.text == "−"] == ["prefix"]


def test_words_stay_words():
    assert among_words("a <b> & c") == ["a <b> & c"]


def test_a_program_cannot_write_a_mark():
    with pytest.raises(dk.DerivkitError):
        dk.derive("E = x\x02frac", "x")


# -- Markdown ------------------------------------------------------------------------------------------------------------


def formulas(markdown):
    """Return the displayed and the other formulas of a page, and what is left of it."""
    displayed = re.findall(r"^\$\$\n(.*?)\n\$\$$", markdown, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^\$\$\n.*?\n\$\$$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    pieces = re.split(r"(?<!\\)\$", rest)
    assert len(pieces) % 2 == 1, rest
    return displayed, pieces[1::2], "".join(pieces[::2])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_markdown_leaves_formulas_alone(name, options):
    markdown = derivation(name).markdown(**options)
    displayed, inline, rest = formulas(markdown)
    assert displayed
    for formula in (*displayed, *inline):
        assert not re.search(r"(?<!\\)\\[^A-Za-z\\]", formula), "a backslash in front of a sign is Markdown's own"
        assert not re.search(r"[<>$`*|]|\n\n", formula)
        assert formula.count("{") == formula.count("}")
        assert formula.isascii()
    assert all(f == f.strip() and "\n" not in f for f in inline)  # else the dollars are dollars
    assert not re.search(r"(?<!\\)[_`|]|(?<![\\*])\*(?!\*)|<", rest.replace("a &lt; b", ""))


@pytest.mark.parametrize("name", GOLDEN_PAGES)
def test_markdown_reads_as_it_did(name, update_golden):
    path = GOLDEN / f"{name}.md"
    shown = derivation(name).markdown(lemmas=True, title=name)
    if update_golden:
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


# -- notebooks -----------------------------------------------------------------------------------------------------------


def test_a_notebook_gets_every_form():
    d = derivation("ridge")
    bundle = d._repr_mimebundle_()
    assert sorted(bundle) == ["text/html", "text/latex", "text/markdown", "text/plain"]
    assert bundle["text/plain"] == str(d)
    assert bundle["text/latex"] == d.latex()
    assert bundle["text/html"].startswith('<div class="derivkit">')
    for element in ET.fromstring(bundle["text/html"]).iter():  # noqa: S314
        if element.tag.startswith(MATH):
            well_formed_math(element)
    assert set(d._repr_mimebundle_(include=["text/html", "image/png"])) == {"text/html"}
    assert "text/latex" not in d._repr_mimebundle_(exclude={"text/latex"})
    rules = re.findall(r"^([^@{}\n][^{}\n]*)\{", bundle["text/html"], re.MULTILINE)
    assert rules
    assert all(one.strip().startswith(".derivkit") for rule in rules for one in rule.split(","))  # the notebook's own stay


def test_a_number_stays_in_one_line_and_a_reason_with_its_formula():
    made = dk.derive(gallery["batch_norm"], wrt["batch_norm"], check=False).html()
    rule = next(line for line in made.splitlines() if line.startswith(".derivkit .number"))
    assert "white-space: nowrap" in rule  # (10) in two lines on a telephone
    rows = [e for e in well_formed(made).iter(f"{XHTML}div") if e.get("class") == "row"]
    assert rows
    assert {tuple(e.get("class") for e in row) for row in rows} <= {("right",), ("right", "why")}
