"""The recipes of CONTRIBUTING.md, followed: each row shown there goes into a copy of the package, and nothing else changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from derivkit.symbolic.derive import derive
from derivkit.symbolic.derive.rows import Bindings, read_row
from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import Ref, user
from derivkit.symbolic.rules import RULES, Rule

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^ *```py\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def shown(recipe: str) -> list[str]:
    """Return the rows that a recipe of CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"## {recipe}\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(body) for body in FENCE.findall(section)]


class Copy:
    """A copy of the package, to which rows are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "derivkit", folder / "derivkit", ignore=shutil.ignore_patterns("__pycache__", "digits*"))

    def add(self, file: str, before: str, text: str) -> None:
        """Put ``text`` before the only line of ``file`` that starts with ``before``; behind it, when it opens a table."""
        path = self.folder / "derivkit" / file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (at,) = [n for n, line in enumerate(lines) if line.startswith(before)]
        at += before.endswith("(")
        path.write_text("".join([*lines[:at], text, *lines[at:]]), encoding="utf-8")

    def run(self, code: str) -> str:
        """Run Python on the copy; return what it prints."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-W", "error", "-c", "import derivkit as dk, numpy as np\n" + textwrap.dedent(code)]
        made = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=self.folder, env=environment, timeout=60)
        assert made.returncode == 0, made.stderr
        return made.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_an_op_is_one_row(copy: Copy) -> None:
    (row,) = shown("Add an op")
    copy.add("symbolic/ops.py", "_ELEMENTWISE = (", row)
    printed = copy.run("""
        d = dk.derive("x: D\\nW: M, D\\ng: M\\nh = bent(W @ x)\\nE = g @ h", "W")  # checks itself
        print(d)
        print(d.latex())
        x, W, g = np.array([0.5, -2.0]), np.array([[1.0, 2.0], [0.3, 0.1], [0.0, 0.0]]), np.array([1.0, 2.0, -1.0])
        a = W @ x
        truth = np.outer(g * (a / (2 * np.sqrt(a**2 + 1)) + 1), x)
        np.testing.assert_allclose(d.evaluate(x=x, W=W, g=g), truth, rtol=1e-14)
        value, gradients = dk.compile(d)(x=x, W=W, g=g)
        np.testing.assert_allclose(gradients["W"], truth, rtol=1e-14)
        np.testing.assert_allclose(value, g @ ((np.sqrt(a**2 + 1) - 1) / 2 + a), rtol=1e-14)
        from derivkit.symbolic.evaluate import evaluate_graph
        from derivkit.symbolic.parse import read_program
        graph = read_program(d.program())  # its last line is the derivative
        np.testing.assert_allclose(evaluate_graph(graph, dict(x=x, W=W, g=g))[graph.output], truth, rtol=1e-14)
    """)
    assert "bent' = x / (2 √(x² + 1)) + 1" in printed
    assert r"\operatorname{bent}" in printed


def test_a_rule_is_one_row(copy: Copy) -> None:
    (row,) = shown("Add a rule")
    code = """
        d = dk.derive("u: positive N\\nv: positive N\\nx: N\\nE = sum(x * exp(log(u) + log(v)))", "x")
        print(d.result.program())
    """
    assert copy.run(code) == "exp(log(u) + log(v))\n"
    copy.add("symbolic/rules.py", "RULES: tuple[Rule, ...] = (", row)
    assert copy.run(code) == "u * v\n"


def test_a_rule_prints_its_sentence() -> None:
    assert "log eˣ = x" in str(derive("x: N\nu: N\nE = sum(x * log(exp(u)))", "x"))


def test_a_suspect_is_a_hypothesis_and_a_row(copy: Copy) -> None:
    hypothesis, row = shown("Add a suspect")
    code = """
        x = np.array([0.3, 1.7, 2.2, 0.9])
        squared = dk.check_gradient(lambda x: np.sum(x**3) / 3, lambda x: x**4, x)
        halved = dk.check_gradient(lambda x: np.sum(x**3) / 3, lambda x: x**2 / 2, x)
        right = dk.check_gradient(lambda x: np.sum(x**3) / 3, lambda x: x**2, x)
        print(squared.diagnosis, halved.diagnosis, right.diagnosis)
    """
    assert copy.run(code) == "missing-factor scale:0.5 None\n"
    copy.add("checking/diagnose.py", '    Suspect("regulariser"', textwrap.indent(row, "    "))
    copy.add("checking/diagnose.py", "#: The third table", hypothesis + "\n\n")
    assert copy.run(code) == "squared scale:0.5 None\n"


# -- what the recipe for a rule promises: before = after, row by row -------------------------------------------------------


def gap(rule: Rule) -> float:
    """Return how far the two sides of a rule are apart at most, at points where the pattern is defined."""
    letters = {letter: Ref(user(letter)) for letter in "xab"}
    random = np.random.default_rng(0)
    points = {user(letter): random.normal(size=(200,)) * 2 for letter in "xab"}
    worst, seen = 0.0, 0
    for n in range(200):
        here = {name: np.asarray(values[n]) for name, values in points.items()}
        with np.errstate(all="ignore"):
            before, after = (
                evaluate_expr(read_row(side, Bindings(scalars=letters)), here, {}, ())[()] for side in (rule.before, rule.after)
            )
        if np.isfinite(before):
            seen += 1
            worst = max(worst, abs(before - after) / max(1.0, abs(before)))
    assert seen > 20
    return worst


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_sides_of_a_rule_are_equal(rule: Rule) -> None:
    assert gap(rule) < 1e-12


@pytest.mark.parametrize(
    ("before", "after"), [("abs(x)*sign(x)", "abs(x)"), ("log(exp(x))", "abs(x)"), ("x/abs(x)", "step(x)"), ("relu(x)", "x")]
)
def test_a_wrong_rule_is_seen(before: str, after: str) -> None:
    assert gap(Rule("wrong", before, after, "")) > 0.1
