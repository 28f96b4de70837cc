"""A verification made by hand, with one relation of each status, and formulas as trees without their places."""

from __future__ import annotations

from typing import Any

from derivkit.checking.verify.findings import Claim, Document, Verification
from derivkit.symbolic.notes import formula
from derivkit.symbolic.parse.syntax import Place

_AT = {"place": Place(1, 1), "end": Place(1, 1)}


def tree(kind: str, *fields: Any, **named: Any) -> Any:
    """Return a node of a formula: ``tree("Quotient", a, b)``."""
    return getattr(formula, kind)(*fields, **named, **_AT)


def letter(name: str, *subscripts: Any, style: str = "", label: Any = None) -> Any:
    """Return a letter with its subscripts, each a tree or a name."""
    symbol = tree("Symbol", name, style, label)
    under = tuple(letter(s) if isinstance(s, str) else s for s in subscripts)
    return tree("Indexed", symbol, under) if under else symbol


def number(value: int) -> Any:
    """Return a whole number."""
    return tree("Number", value, str(value))


def _slope(of: str, *by: str) -> Any:
    return tree("Derivative", letter(of), (letter(*by),), "partial")


def _minus(a: Any, b: Any) -> Any:
    return tree("Sum", (("+", a), ("-", b)))


SLOPE = _slope("E", "z", "k")
CLAIMS = (
    Claim(
        3, 9, r"E = -\sum_k t_k \ln y_k", "definition",
        source=r"$$ E = -\sum_k t_k \ln y_k $$",
        read=tree("Relation", "=", letter("E"), tree("Sign", "-", tree(
            "Big", "sum", (letter("k"),), None, None, (),
            tree("Product", (("", letter("t", "k")), ("", tree("Application", letter("ln"), (letter("y", "k"),), False)))),
        ))),
    ),
    Claim(
        5, 40, r"\frac{\partial E}{\partial y_k} = -\frac{t_k}{y_k}", "right",
        source=r"\begin{align} \frac{\partial E}{\partial y_k} &= -\frac{t_k}{y_k} \\",
        read=tree(
            "Relation", "=", _slope("E", "y", "k"), tree("Sign", "-", tree("Quotient", letter("t", "k"), letter("y", "k")))
        ),
    ),
    Claim(
        6, 33, r"\frac{\partial E}{\partial z_k} = y_k - t_k", "right_if",
        needs=("the entries of t sum to 1",), message="right if the entries of t sum to 1",
        source=r"\frac{\partial E}{\partial z_k} &= y_k - t_k \\",
        read=tree("Relation", "=", SLOPE, _minus(letter("y", "k"), letter("t", "k"))),
    ),
    Claim(
        7, 36, r"\frac{\partial E}{\partial w_{kj}} = (t_k - y_k) h_j", "wrong", "sign",
        correction=r"(y_k - t_k) h_j",
        counterexample={
            "sizes": {"K": 2, "M": 1}, "values": {"t": [1.0, 0.0], "z": [0.3, -0.1], "h": [0.5]},
            "at": {"k": 1, "j": 1}, "left": -0.20065617, "right": 0.20065617,
        },
        message="the right side has the opposite sign",
        source="\t" + r"\frac{\partial E}{\partial w_{kj}} &= (t_k - y_k) h_j \\",
        read=tree("Relation", "=", _slope("E", "w", "k", "j"), tree(
            "Product", (("", _minus(letter("t", "k"), letter("y", "k"))), ("", letter("h", "j")))
        )),
    ),
    Claim(
        8, 4, r"(t_k - y_k) h_j = h_j (t_k - y_k)", "follows", source=r"&= h_j (t_k - y_k) \end{align}",
    ),
    Claim(
        11, 12, r"q = Q(z) \text{<script>alert(1)</script>}", "undecided", message="nothing says what Q is",
        source=r"so that $q = Q(z) \text{<script>alert(1)</script>}$",
        read=tree("Relation", "=", letter("q"), tree("Product", (
            ("", tree("Application", letter("Q"), (letter("z"),))), ("", tree("Words", "<script>alert(1)</script>")),
        ))),
    ),
    Claim(
        12, 21, r"\frac{a}{b = c", "unread", message="'{' is never closed",
        source=r"words before it $$ \frac{a}{b = c $$ and behind it, so many of them that the line is much longer than there "
        "is room for on a page of one hundred columns",
    ),
)  # fmt: skip
ASSUMPTIONS = ("z, y, t: vectors of size K", "t is one-hot: the text says so in line 4", "w: a matrix of sizes K, M")
HOMEWORK = Verification((Document("homework.tex", ASSUMPTIONS, CLAIMS),))
COURSE = Verification((
    *HOMEWORK.files,
    Document("good.md", (), (Claim(1, 4, "y = y", "right", source="$ y = y $"),)),
    Document("empty.txt", (), ()),
))  # fmt: skip
