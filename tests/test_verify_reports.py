"""What is printed of a verification: text, JSON there and back, HTML without a script, and what Gradescope reads."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from fractions import Fraction
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from documents import ASSUMPTIONS, CLAIMS, COURSE, HOMEWORK, letter, number, tree
from test_html import MATH, XHTML, flat, well_formed, well_formed_math

import derivkit as dk
from derivkit.checking.verify.findings import COUNTED, STATUSES, Claim, Document, Verification
from derivkit.checking.verify.told import COLOURS, VERDICTS, cells
from derivkit.checking.verify.told_json import CAUSES, SCHEMA, from_json
from derivkit.symbolic.notes import formula as notes
from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.formula import Chain
from derivkit.symbolic.parse.syntax import Place
from derivkit.symbolic.render.signs import LETTERS
from derivkit.symbolic.render.written import _PRODUCTS, _RELATIONS, _WRITERS, DEEPEST, mathml

GOLDEN = Path(__file__).parent / "golden" / "documents"
EVIL = "<script>alert(1)</script>&\"'\x1b[31m\u202e\x00\ud800"


def one(**fields: object) -> Verification:
    """Return a verification of one relation."""
    claim = {"line": 1, "column": 1, "text": "a = b", "status": "wrong", "source": "$a = b$", **fields}
    return Verification((Document("notes.tex", (), (Claim(**claim),)),))  # type: ignore[arg-type]


# -- text ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["homework", "course"])
def test_the_page_reads_as_it_did(name: str, update_golden: bool) -> None:
    shown = str({"homework": HOMEWORK, "course": COURSE}[name]) + "\n"
    path = GOLDEN / f"{name}.txt"
    if update_golden:
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = "x " * 500 + "y" * 500
    wide = Claim(99999, 400, long, "wrong", "sign", (long,), long, {"left": 1.0, "right": 2.0, "values": {long: 3.0}}, long, long)
    said = Verification((*COURSE.files, Document("p" * 300, (long,), (wide, Claim(1, 1, long, "undecided", message=long)))))
    lines = said.text(width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.isprintable() or not line for line in lines)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.status)
def test_every_status_has_its_place_its_verdict_and_what_a_reader_needs(claim: Claim) -> None:
    text = Verification((Document("a.tex", (), (claim,)),)).text(width=200)
    (line,) = (line for line in text.splitlines() if line.startswith(f"  {claim.line}:{claim.column}  "))
    assert line.split("  ")[2] == VERDICTS[claim.status]
    for said in ("" if claim.needs else claim.message, claim.cause, claim.correction, *claim.needs):
        assert (said or "") in text
    assert ("^" in {line.strip() for line in text.splitlines()}) == (claim.status in ("wrong", "unread"))
    if claim.status in ("right", "definition"):
        assert len(text.splitlines()) == 5  # path, blank, the relation, blank, the summary


CARETS = {
    "plain": ("$a = b$", 6, "b"),
    "tab": ("\t\t$a = b$", 8, "b"),
    "escape": ("\x1b[31m $a = b$", 12, "b"),
    "wide": ("数式 $a = b$", 9, "b"),
    "accent": ("e\u0301 $a = b$", 9, "b"),
    "far": ("word " * 60 + "$a = b$" + " word" * 60, 306, "b"),
    "at the end": ("word " * 60 + "$a = b", 306, "b"),
    "behind the end": ("$a = b", 99, None),
    "before the start": ("    $a = b", 1, None),
}


@pytest.mark.parametrize(("source", "column", "under"), CARETS.values(), ids=CARETS)
def test_the_caret_stands_under_the_relation(source: str, column: int, under: str | None) -> None:
    lines = one(source=source, column=column).text(width=80).splitlines()
    caret = next(n for n, line in enumerate(lines) if line.strip() == "^")
    shown, at = lines[caret - 1], lines[caret].index("^")
    assert shown.isprintable()
    if under is not None:
        (character,) = (c for n, c in enumerate(shown) if cells(shown[:n]) == at and cells(c))
        assert character == under
    assert at <= cells(shown)


def test_a_relation_without_its_line_is_shown_by_itself() -> None:
    lines = one(source="").text().splitlines()
    assert any(line.strip() == "a = b" for line in lines)
    assert not any("^" in line for line in lines)


def test_both_sides_of_a_counterexample_look_different() -> None:
    text = one(counterexample={"left": 0.123456781, "right": 0.123456789}).text()
    assert "left 0.123456781, right 0.123456789" in text
    assert "left 1, right 2\n" in one(counterexample={"left": np.float64(1), "right": 2}).text()
    large = one(counterexample={"left": 1.0, "right": 2.0, "values": {"W": np.zeros((5, 6)), "v": np.ones(2)}}).text()
    assert "W of shape 5×6, v = [1, 1]" in large


def test_a_share_is_never_rounded_up_to_all() -> None:
    claims = (*(Claim(n, 1, "a = a", "right") for n in range(1, 1000)), Claim(1000, 1, "a = b", "wrong"))
    assert "999 of 1000 right (99 %)" in str(Verification((Document("long.tex", (), claims),)))


def test_colours_come_only_when_asked_for_and_change_nothing_else() -> None:
    plain, coloured = COURSE.text(), COURSE.text(colour=True)
    assert "\x1b" not in plain
    assert {c for c in COLOURS.values() if c in coloured} == set(COLOURS.values())
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize("width", [39, 0, -1, True, 80.0, "80"])
def test_a_width_that_is_none_is_refused(width: object) -> None:
    with pytest.raises(dk.DerivkitError) as caught:
        HOMEWORK.text(width=width)
    assert caught.value.code == "DK031"


# -- counts --------------------------------------------------------------------------------------------------------------


def test_every_status_has_a_word_a_colour_and_an_example() -> None:
    assert set(STATUSES) == set(VERDICTS) == set(COLOURS) == {c.status for c in CLAIMS}
    assert set(COUNTED) <= set(STATUSES)


def test_counts_and_share() -> None:
    assert HOMEWORK.counts == dict.fromkeys(STATUSES, 1)
    assert HOMEWORK.share == pytest.approx(2 / 3)  # right and right if; what follows from a wrong line counts neither way
    assert COURSE.share == pytest.approx(3 / 4)
    assert COURSE.files[2].share is None
    assert [bool(document) for document in COURSE.files] == [False, True, True]
    assert not COURSE.ok


def test_the_short_form_and_the_record_itself() -> None:
    assert repr(one()) == "<Verification of notes.tex: 1 wrong>"
    assert repr(COURSE).startswith("<Verification of 3 files: 2 right, 1 right if, 1 wrong, ")
    assert repr(Verification(())) == "<Verification of 0 files: no formula>"
    assert str(COURSE) == COURSE.text()
    assert pickle.loads(pickle.dumps(COURSE)).html() == COURSE.html()  # noqa: S301 - our own


# -- JSON ----------------------------------------------------------------------------------------------------------------

#: The schema, as docs/reference/verify.md has it: each key with the types of its value.
KEYS = {
    "line": int, "column": int, "text": str, "status": str, "cause": (str, type(None)), "needs": list,
    "correction": (str, type(None)), "counterexample": (dict, type(None)), "message": str,
}  # fmt: skip


def conforms(made: object) -> None:
    """Check JSON data against the schema."""
    assert isinstance(made, dict)
    assert list(made) == ["schema", "files"]
    assert made["schema"] == SCHEMA == "derivkit.verify/1"
    for file in made["files"]:
        assert list(file) == ["path", "assumptions", "claims"]
        assert all(isinstance(a, str) for a in file["assumptions"])
        for claim in file["claims"]:
            assert list(claim) == list(KEYS)
            assert all(isinstance(claim[key], kind) for key, kind in KEYS.items())
            assert claim["status"] in STATUSES
            assert claim["cause"] in (None, *CAUSES)


@pytest.mark.parametrize("said", [HOMEWORK, COURSE, Verification(())], ids=["homework", "course", "nothing"])
def test_json_conforms_and_is_read_back(said: Verification) -> None:
    written = json.dumps(said.to_json(), allow_nan=False)
    conforms(json.loads(written))
    for again in (from_json(written), Verification.from_json(written.encode()), Verification.from_json(said.to_json())):
        assert again == said
        assert again.to_json() == said.to_json()


def test_numbers_of_any_kind_become_those_of_json() -> None:
    example = {
        "left": np.float64(1.5),
        "right": math.inf,
        "values": {"x": np.arange(2), "f": Fraction(1, 3), "n": math.nan, "b": True},
    }
    made = json.loads(json.dumps(one(counterexample=example).to_json(), allow_nan=False))
    expected = {"left": 1.5, "right": None, "values": {"x": [0, 1], "f": "1/3", "n": None, "b": True}}
    assert made["files"][0]["claims"][0]["counterexample"] == expected


def test_a_path_that_is_no_text_is_written() -> None:
    made = json.dumps(Verification((Document("a\udcff.tex", (), ()),)).to_json(), ensure_ascii=False)
    assert "a\\\\udcff.tex" in made.encode().decode()


def _changed(*path: object, to: object = None, gone: bool = False) -> object:
    data = copy.deepcopy(HOMEWORK.to_json())
    holder: object = data
    for key in path[:-1]:
        holder = holder[key]  # type: ignore[index]
    if gone:
        del holder[path[-1]]  # type: ignore[attr-defined]
    else:
        holder[path[-1]] = to  # type: ignore[index]
    return data


def _deep(levels: int) -> object:
    made: object = 1
    for _ in range(levels):
        made = {"a": [made]}
    return made


CLAIM = ("files", 0, "claims", 3)
BAD_REPORTS = {
    "no JSON": ("{", "is JSON, and this is none"),
    "bytes that are no text": (b"\xff\xfe\x00", "is JSON, and this is none"),
    "deep JSON": ("[" * 100_000, "is JSON, and this is none"),
    "a list": ([], "not 'list'"),
    "no schema": ({}, "not 'None'"),
    "another schema": ({"schema": "derivkit.report/1"}, "not 'derivkit.report/1'"),
    "no files": (_changed("files", gone=True), "report has no 'files'"),
    "a file that is none": (_changed("files", 0, to=3), "files[0] is a JSON object, not int"),
    "a path that is none": (_changed("files", 0, "path", to=None), "files[0].path cannot be null"),
    "an assumption that is none": (_changed("files", 0, "assumptions", to=[1]), "files[0].assumptions is a list of texts"),
    "a claim that is none": (_changed(*CLAIM, to="x"), "files[0].claims[3] is a JSON object, not str"),
    "a line that is true": (_changed(*CLAIM, "line", to=True), "files[0].claims[3].line cannot be true"),
    "a line that is text": (_changed(*CLAIM, "line", to="7\x1b"), "files[0].claims[3].line cannot be \"7\\u001b\""),
    "no message": (_changed(*CLAIM, "message", gone=True), "files[0].claims[3] has no 'message'"),
    "another status": (_changed(*CLAIM, "status", to="right?"), "files[0].claims[3].status cannot be 'right?'"),
    "another cause": (_changed(*CLAIM, "cause", to="Sign"), "files[0].claims[3].cause cannot be 'Sign'"),
    "needs in one text": (_changed(*CLAIM, "needs", to="abc"), "files[0].claims[3].needs cannot be"),
    "a list for an example": (_changed(*CLAIM, "counterexample", to=[1]), "files[0].claims[3].counterexample cannot be"),
    "sizes that are none": (_changed(*CLAIM, "counterexample", to={"sizes": 3}), "claims[3].counterexample.sizes cannot be 3"),
    "a place that is none": (_changed(*CLAIM, "counterexample", to={"at": [1]}), "claims[3].counterexample.at cannot be [1]"),
    "a deep example": (_changed(*CLAIM, "counterexample", to=_deep(300)), "nested too deep"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BAD_REPORTS.values(), ids=BAD_REPORTS)
def test_what_is_no_report_is_refused_with_its_place(data: object, message: str) -> None:
    with pytest.raises(dk.DerivkitError) as caught:
        from_json(data)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_keys_of_a_later_version_are_passed_over() -> None:
    data = _changed(*CLAIM, "certainty", to=0.5)
    assert from_json(data) == HOMEWORK


# -- Gradescope ----------------------------------------------------------------------------------------------------------

#: What Gradescope's documentation allows at the top and in a test, and the values of those that are words.
TOP = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format", "visibility",
       "stdout_visibility", "extra_data", "tests", "leaderboard"}  # fmt: skip
TEST = {
    "score",
    "max_score",
    "status",
    "name",
    "name_format",
    "number",
    "output",
    "output_format",
    "tags",
    "visibility",
    "extra_data",
}
WORDS = {"status": {"passed", "failed"}, "visibility": {"hidden", "after_due_date", "after_published", "visible"}}


@pytest.mark.parametrize("points", [1.0, 10, 0.3])
@pytest.mark.parametrize("said", [HOMEWORK, COURSE], ids=["homework", "course"])
def test_gradescope_reads_it(said: Verification, points: float) -> None:
    made = json.loads(json.dumps(said.gradescope(points=points), allow_nan=False))
    assert set(made) <= TOP
    assert made["score"] == pytest.approx(points * said.share)
    assert {made[key] for key in made if key.endswith("_format")} == {"text"}  # else it is read as HTML
    for test in made["tests"]:
        assert set(test) <= TEST
        assert ("score" in test) == ("max_score" in test) == ("status" in test)
        assert all(test.get(key, next(iter(words))) in words for key, words in WORDS.items())
        assert test["name"].isprintable()
        assert len(test["name"]) <= 100
    assert sum(test.get("score", 0) for test in made["tests"]) == pytest.approx(made["score"])
    assert sum(test.get("max_score", 0) for test in made["tests"]) == pytest.approx(points)
    shown = [claim for document in said.files for claim in document.claims if claim.status != "definition"]
    assert [test.get("status") for test in made["tests"]] == [
        {"right": "passed", "right_if": "passed", "wrong": "failed"}.get(claim.status) for claim in shown
    ]


def test_a_student_is_told_what_is_wrong_and_what_was_assumed() -> None:
    made = HOMEWORK.gradescope()
    assert all(assumption in made["output"] for assumption in ASSUMPTIONS)
    (wrong,) = (test for test in made["tests"] if test.get("status") == "failed")
    assert wrong["name"].startswith("line 7: wrong: ")
    for said in ("opposite sign (sign)", "instead: (y_k - t_k) h_j", "left -0.2007, right 0.2007", "^"):
        assert said in wrong["output"]
    assert [t["name"].split(",")[0] for t in COURSE.gradescope()["tests"]][-1] == "good.md"


def test_where_nothing_was_decided_a_teacher_is_told() -> None:
    made = one(status="undecided").gradescope()
    assert made["score"] == 0
    assert "grade it by hand" in made["output"]


@pytest.mark.parametrize("points", [0, -1, math.nan, math.inf, True, "10"])
def test_points_that_are_none_are_refused(points: object) -> None:
    with pytest.raises(dk.DerivkitError, match="points is a positive number"):
        HOMEWORK.gradescope(points=points)


# -- HTML ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [HOMEWORK, COURSE, Verification(())], ids=["homework", "course", "nothing"])
def test_the_page_is_well_formed_and_fetches_nothing(said: Verification) -> None:
    page = well_formed(said.html())
    verdicts = [e.text for e in page.iter(f"{XHTML}div") if e.get("class") == "verdict"]
    assert verdicts == [VERDICTS[c.status] for document in said.files for c in document.claims]


def test_formulas_are_set_and_unread_ones_shown_as_they_stand() -> None:
    page = well_formed(HOMEWORK.html())
    boxes = [e for e in page.iter(f"{XHTML}div") if (e.get("class") or "").startswith("claim ")]
    for claim, box in zip(CLAIMS, boxes, strict=True):
        assert (box.find(f".//{MATH}math") is not None) == (claim.read is not None)
        assert (box.find(f".//{XHTML}pre") is not None) == (claim.status == "unread")
        text = "".join(box.itertext())
        for said in ("" if claim.needs else claim.message, claim.cause, claim.correction, *claim.needs):
            assert (said or "") in text


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("field", ["text", "message", "correction", "needs", "counterexample", "source", "read", "path"])
def test_nothing_that_a_document_says_becomes_an_element_or_a_control(field: str, status: str) -> None:
    fields = {
        "needs": (EVIL,), "counterexample": {EVIL: 1, "left": EVIL, "right": 1, "values": {EVIL: EVIL}},
        "read": tree("Product", (("", tree("Words", EVIL)), ("", letter(EVIL, EVIL)), ("", tree("Number", 1, EVIL)))),
    }  # fmt: skip
    path = EVIL if field == "path" else "a.tex"
    given = {"text": "a", **({} if field == "path" else {field: fields.get(field, EVIL)})}
    claim = Claim(1, 1, status=status, **given)  # type: ignore[arg-type]
    said = Verification((Document(path, (EVIL,), (claim,)),))
    page = well_formed(said.html(title=EVIL))
    assert not [e for e in page.iter() if e.tag.endswith("script")]
    ET.fromstring(said._repr_mimebundle_()["text/html"])  # noqa: S314 - our own
    for text in (said.html(), said._repr_mimebundle_()["text/html"]):
        text.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
    for text in (said.text(), said.text(colour=False)):
        assert all(line.isprintable() for line in text.splitlines())
    made = json.dumps(said.gradescope(), ensure_ascii=False)
    assert "\\u001b" not in made.replace("\\\\u001b", "")
    conforms(json.loads(json.dumps(said.to_json())))


def test_a_notebook_gets_text_and_html() -> None:
    bundle = COURSE._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == str(COURSE)
    page = ET.fromstring(bundle["text/html"])  # noqa: S314 - our own
    assert page.tag == "div"
    assert page.find(".//script") is None
    rules = re.findall(r"^([^@{}\n][^{}\n]*)\{", page.findtext("style") or "", re.MULTILINE)
    assert rules
    assert all(part.strip().startswith(".derivkit") for rule in rules for part in rule.split(","))
    assert set(COURSE._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(COURSE._repr_mimebundle_(exclude=["text/plain"])) == {"text/html"}


# -- formulas ------------------------------------------------------------------------------------------------------------

A, B, C, X, Y = (letter(name) for name in "abcxy")


def total(*terms: object) -> object:
    return tree("Sum", tuple(("-" if isinstance(t, tuple) else "+", t[0] if isinstance(t, tuple) else t) for t in terms))


def product(*factors: object, sign: str = "") -> object:
    return tree("Product", tuple(("" if n == 0 else sign, f) for n, f in enumerate(factors)))


def call(function: object, *arguments: object, brackets: bool = True) -> object:
    return tree("Application", letter(function) if isinstance(function, str) else function, arguments, brackets)


def slope(of: object, *by: object, spelled: str = "partial") -> object:
    return tree("Derivative", of, by, spelled)


def summed(
    body: object, *letters: object, op: str = "sum", lower: object = None, upper: object = None, where: tuple = ()
) -> object:
    return tree("Big", op, letters, lower, upper, where, body)


SO = tree("Words", "if so")
NOT = tree("Relation", "!=", X, Y)
#: A tree, and how it is set (see ``test_html.flat``).
FORMULAS = {
    "a-b+c": (total(A, (B,), C), "a−b+c"),
    "-a+b": (total((A,), B), "−a+b"),
    "a-(b+c)": (total(A, (total(B, C),)), "a−(b+c)"),
    "a-(-b)": (total(A, (tree("Sign", "-", B),)), "a−(−b)"),
    "(a+b)c": (product(total(A, B), C), "(a+b)*c"),
    "a(bc)": (product(A, product(B, C), sign="cdot"), "a·(b*c)"),
    "a*(-b)": (product(A, tree("Sign", "-", B), sign="times"), "a×(−b)"),
    "sum last": (product(A, summed(X, Y)), "a*∑_{y}x"),
    "sum first": (product(summed(X, Y), A), "(∑_{y}x)*a"),
    "sum of a sum": (summed(total(A, B), X), "∑_{x}(a+b)"),
    "sum from to": (summed(A, X, lower=number(1), upper=letter("K")), "∑_{x=1}^{K}a"),
    "sum to": (summed(A, upper=letter("K")), "∑^{K}a"),
    "sum, all but one, to": (summed(A, X, upper=letter("K"), where=(NOT,)), "∑_{x≠y}^{K}a"),
    "sum over several": (summed(A, X, Y), "∑_{x,y}a"),
    "sum over nothing": (summed(A), "∑a"),
    "largest": (summed(A, X, op="max"), "max_{x}a"),
    "expectation": (summed(total(A, B), X, op="expectation"), "𝔼_{x}[a+b]"),
    "call": (call("f", A, B), "f(a,b)"),
    "call without brackets": (product(A, call("ln", X, brackets=False)), "a*ln\u2009x"),
    "call without brackets, then more": (product(call("ln", X, brackets=False), A), "(ln\u2009x)*a"),
    "root": (call("sqrt", total(A, B)), "√{a+b}"),
    "power of a call": (tree("Power", call("exp", X), number(2)), "exp(x)^{2}"),
    "power on a name": (tree("Power", call("exp", X), number(2), True), "exp^{2}(x)"),
    "struck out": (tree("Struck", letter("y", "i"), number(0)), "y_{i}^{0}"),
    "power": (tree("Power", total(A, B), number(2)), "(a+b)^{2}"),
    "power of a power": (tree("Power", tree("Power", A, B), C), "(a^{b})^{c}"),
    "power of a letter with subscripts": (tree("Power", letter("a", "i", "j"), number(2)), "a_{ij}^{2}"),
    "power of a fraction": (tree("Power", tree("Quotient", A, B), C), "((a)/(b))^{c}"),
    "transposed": (tree("Transposed", product(A, B)), "(a*b)^{⊤}"),
    "subscripts that are long": (letter("x", "b", tree("Sum", (("+", A), ("+", B)))), "x_{b,a+b}"),
    "subscripts of a sum": (tree("Indexed", total(A, B), (C,)), "(a+b)_{c}"),
    "a word below, and subscripts": (letter("x_max", "i"), "x_{max,i}"),
    "hat": (letter("y_hat", "k"), "^y_{k}"),
    "prime": (letter("z_prime", "k"), "z_{k}^{′}"),
    "label": (letter("w", "j", "i", label=number(2)), "w_{ji}^{(2)}"),
    "star": (letter("y", label=letter("star")), "y^{∗}"),
    "bold": (letter("x", style="bold"), "𝐱"),
    "calligraphic": (letter("L", style="cal"), "ℒ"),
    "blackboard": (letter("R", style="bb"), "ℝ"),
    "Greek": (product(letter("lamda"), letter("lambda"), letter("nu"), letter("Sigma", style="bold")), "λ*λ*ν*𝚺"),
    "df/dx": (slope(letter("E"), letter("w", "i")), "(∂E)/(∂w_{i})"),
    "d/dx of a sum": (slope(total(A, B), X), "(∂)/(∂x)*(a+b)"),
    "d/dx of a product, in a product": (product(slope(product(A, B), X), C), "((∂)/(∂x)*a*b)*c"),
    "second": (slope(letter("E"), X, X, Y), "(∂^{3}E)/(∂x^{2}∂y)"),
    "with d": (slope(letter("E"), X, spelled="d"), "(dE)/(dx)"),
    "of a fraction": (slope(tree("Quotient", A, B), X), "(∂)/(∂x)*(a)/(b)"),
    "gradient": (slope(letter("L"), X, spelled="nabla"), "∇_{x}L"),
    "gradient of a sum": (slope(total(A, B), spelled="nabla"), "∇(a+b)"),
    "Hessian": (slope(letter("L"), X, X, spelled="hessian"), "∇_{x}^{2}L"),
    "f prime": (slope(call("f", X), spelled="prime"), "f^{′}(x)"),
    "a sum, primed": (slope(total(A, B), spelled="prime"), "(a+b)^{′}"),
    "differential": (tree("Differential", X), "dx"),
    "matrix": (tree("Matrix", ((A, None), (B, C))), "(a⋯bc)"),
    "cases": (tree("Cases", ((A, NOT), (B, None), (C, SO))), "{a\xa0if\xa0x≠yb\xa0otherwise\xa0c\xa0if so\xa0"),
    "list": (tree("List", (A, None, B), "{}"), "{a,…,b}"),
    "norm": (tree("Bracketed", "norm", (A,), number(2)), "‖a‖_{2}"),
    "inner": (tree("Bracketed", "inner", (A, B)), "⟨a,b⟩"),
    "at": (tree("At", A, (tree("Relation", "=", X, number(0)),)), "a|_{x=0}"),
    "indicator": (tree("Indicator", NOT), "𝟙[x≠y]"),
    "relation": (tree("Relation", ":=", A, B), "a≔b"),
    "no arguments": (call("f"), "f()"),
    "chain": (Chain(None, (("=", Place(1, 1), A), ("<=", Place(1, 1), B)), (NOT,)), "=a≤b\xa0\xa0x≠y"),
}  # fmt: skip


def _flat(element: ET.Element) -> str:
    if element.tag == "munderover":
        return f"{_flat(element[0])}_{{{_flat(element[1])}}}^{{{_flat(element[2])}}}"
    if element.tag == "mover" and element[0].text == "∑":
        return f"∑^{{{_flat(element[1])}}}"
    if element.tag in ("math", "mrow", "mtable", "mtr", "mtd"):
        return "".join(map(_flat, element))
    return flat(element)


@pytest.mark.parametrize(("formula", "expected"), FORMULAS.values(), ids=FORMULAS)
def test_a_formula_is_set_as_it_was_read(formula: object, expected: str) -> None:
    element = mathml(formula)  # type: ignore[arg-type]
    assert _flat(element) == expected
    for child in ET.fromstring(ET.tostring(element)):  # noqa: S314 - our own
        well_formed_math(child)


def test_every_kind_of_formula_has_its_writer_and_an_example() -> None:
    kinds = set(notes.Formula.__args__) | {Chain}
    assert set(_WRITERS) == kinds
    shown = {type(node) for formula, _ in FORMULAS.values() for node in notes.walk(formula)}
    assert shown == kinds


def test_every_letter_and_sign_that_is_read_is_set() -> None:
    assert [name for name in tables.LETTERS.values() if len(LETTERS.get(name, "")) != 1] == []
    assert set(tables.RELATIONS.values()) <= set(_RELATIONS)
    assert set(get_args(notes.ProductSign)) == set(_PRODUCTS)


def test_a_formula_deeper_than_a_page_can_show_is_shown_as_it_stands() -> None:
    def nested(levels: int) -> object:
        deep = A
        for _ in range(levels):
            deep = tree("Power", tree("Quotient", call("f", deep), B), number(2))
        return deep

    ET.tostring(mathml(nested(DEEPEST // 3 - 1)))  # type: ignore[arg-type]
    for levels in (DEEPEST // 3 + 1, 100 * DEEPEST):
        with pytest.raises(dk.DerivkitError) as caught:
            mathml(nested(levels))  # type: ignore[arg-type]
        assert caught.value.code == "DK003"
        page = well_formed(one(read=nested(levels)).html())
        assert [e.text for e in page.iter(f"{XHTML}code")] == ["a = b"]


# -- the front door ------------------------------------------------------------------------------------------------------

SIGMOID = r"$s(a) = \frac{1}{1 + e^{-a}}$, so that $\frac{d s(a)}{d a} = s(a) (1 - s(a))$"


def test_a_document_is_its_text_or_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "notes.tex"
    path.write_text("\ufeff" + SIGMOID + "\r\n", encoding="utf-8")
    Path("$5.tex").write_text(SIGMOID, encoding="utf-8")
    Path("README").write_text(SIGMOID, encoding="utf-8")
    expected = dk.verify(SIGMOID)
    assert expected.files[0].path == "text"
    assert expected.counts == {"right": 1, "definition": 1}
    for given, named in ((path, str(path)), ("notes.tex", "notes.tex"), ("README", "README"), (Path("$5.tex"), "$5.tex")):
        found = dk.verify(given)
        assert found.files[0].path == named
        assert found.files[0].claims == expected.files[0].claims
    for text in ("words", "", r"\(y = 0.5 x\)", "$$", "x\ny.tex"):
        assert dk.verify(text).files[0].path == "text"


@pytest.mark.parametrize(
    ("given", "code"),
    [("no.tex", "DK042"), (Path("no"), "DK042"), (Path(), "DK042"), (3, "DK010"), (None, "DK010"), (b"x", "DK010")],
)
def test_what_is_no_document_is_refused(given: object, code: str) -> None:
    with pytest.raises(dk.DerivkitError) as caught:
        dk.verify(given)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_each_kind_of_repair_is_told_once_with_its_lines() -> None:
    text = "\n".join(r"$a = rac{1}{2} rac{1}{3}$" for _ in range(9)) + "\n$h = anh(a)$"
    told = dk.verify(text).files[0].assumptions
    assert r"lines 1, 2, 3, 4, 5, 6 and 3 more: 'rac' was read as \frac" in told
    assert r"line 10: 'anh' was read as \tanh" in told
    assert sum("was read as" in line for line in told) == 2


# -- the page of the reference -------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "verify.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("head", "known"),
    [("status", STATUSES), ("cause", CAUSES), ("key of a claim", KEYS)],
)
def test_the_reference_has_a_row_for_each(head: str, known: object) -> None:
    table = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == list(known)  # type: ignore[call-overload]


def test_the_causes_are_those_that_mistakes_have() -> None:
    source = (Path(__file__).parent.parent / "derivkit" / "checking" / "verify").glob("*.py")
    named = {c for path in source for c in re.findall(r'cause="([\w-]+)"', path.read_text(encoding="utf-8"))}
    assert named <= set(CAUSES)
