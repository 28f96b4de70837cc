"""The pytest plugin: it costs nothing until it is used, and then a failed test says all that the report says."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import derivkit as dk

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def square(x):
    return x**2

def test_right(check_gradient):
    assert check_gradient(square, lambda x: 2 * x, 3.0).ok

def test_wrong(check_gradient):
    check_gradient(square, lambda x: x, 3.0)

@pytest.mark.derivkit(rtol=0.1)
def test_loose(check_gradient):
    check_gradient(square, lambda x: 2.01 * x, 3.0)

@pytest.mark.derivkit(rtol=0.1)
def test_tight(check_gradient):
    check_gradient(square, lambda x: 2.01 * x, 3.0, rtol=0.0)

@pytest.mark.derivkit(tolerance=0.1)
def test_marker(check_gradient):
    pass

def test_others(check_vjp, check_jvp, check_jacobian):
    check_vjp(square, lambda y_bar, x: 2 * x * y_bar, 3.0)
    check_jvp(square, lambda x_dot, x: 2 * x * x_dot, 3.0)
    check_jacobian(square, lambda x: 2 * x, 3.0)
    with pytest.raises(AssertionError, match="sign"):
        check_vjp(square, lambda y_bar, x: -2 * x * y_bar, 3.0)
"""

UNDECIDED = """
import math
import pytest

def alone(x):
    return 1.0 if x == 3.0 else math.nan

def test_fails(check_gradient):
    check_gradient(alone, lambda x: 1.0, 3.0)

@pytest.mark.derivkit(allow_undecided=True)
def test_allowed(check_gradient):
    assert check_gradient(alone, lambda x: 1.0, 3.0).undecided
"""


def test_the_plugin_is_an_entry_point() -> None:
    found = [e.value for e in entry_points(group="pytest11") if e.name == "derivkit"]
    if not found:
        pytest.skip("derivkit is not installed here")
    assert found == ["derivkit.pytest_plugin"]


def test_the_fixtures_fail_with_the_report_and_take_options(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("--derivkit-seed=7", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, failed=2, errors=1)
    result.stdout.fnmatch_lines(["*scale:0.5*", "*seed=7*", "*scale:1.005*"])
    result.stdout.fnmatch_lines(["*the marker derivkit takes rtol=, allow_undecided=, seed= only*"])
    result.stdout.no_fnmatch_line("*in check*")  # our own frames are not shown


def test_undecided_fails_unless_it_is_allowed(pytester: pytest.Pytester) -> None:
    report = dk.check_gradient(lambda x: 1.0 if x == 3.0 else np.nan, lambda x: 1.0, 3.0)
    assert report.undecided
    pytester.makepyfile(UNDECIDED)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1, failed=1)


def test_the_text_is_whole(pytester: pytest.Pytester) -> None:
    """Pytest cuts long explanations of an assertion; a raised text it must not."""
    pytester.makepyfile("""
        import numpy as np

        def loss(a, b, c, d):
            return float(np.sum(np.tanh(a)) + b @ b + np.sum(c**3) + d @ d)

        def test_wrong(check_gradient):
            a, b, c, d = np.random.default_rng(0).normal(size=(4, 6))
            check_gradient(loss, lambda a, b, c, d: (a, b, c, 3 * d), a, b, c, d)
    """)
    text = "\n".join(pytester.runpytest_inprocess("-p", "no:cacheprovider").outlines)
    shown = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E ")]
    assert any(line.startswith("AssertionError: wrong: gradient of loss") for line in shown)
    assert any(line.startswith("worst entry:") for line in shown)
    assert any(line.startswith("reproduce: derivkit.check_gradient(loss") and line.endswith("seed=0)") for line in shown)
    assert not any("Full diff" in line or "truncated" in line for line in shown)


@pytest.mark.parametrize("seed", ["-1", "one", "1.5", "¹"])
def test_a_seed_is_a_number(pytester: pytest.Pytester, seed: str) -> None:
    result = pytester.runpytest_inprocess(f"--derivkit-seed={seed}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a seed is a number such as 0 or 7*"])


CLEAN = {**os.environ, "PYTHONPATH": str(Path(dk.__file__).parent.parent)}


def test_loading_it_takes_milliseconds_and_neither_numpy_nor_sympy() -> None:
    code = "import sys, pytest, derivkit.pytest_plugin\nsys.exit(bool({'numpy', 'sympy', 'hypothesis'} & set(sys.modules)))"
    spent = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True, env=CLEAN
        )
        row = next(line for line in done.stderr.splitlines() if line.endswith(" derivkit.pytest_plugin"))
        spent.append(int(row.split("|")[1]))
    assert min(spent) < 10_000  # microseconds


PLAIN = """
import sys

def test_plain():
    assert 'derivkit' in sys.modules
    assert not {'numpy', 'sympy'} & set(sys.modules)
"""


def test_a_run_that_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(PLAIN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "derivkit.pytest_plugin", str(tmp_path)]
    env = {**CLEAN, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout
