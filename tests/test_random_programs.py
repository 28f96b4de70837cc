"""Random programs: every derivative, printed form and kernel against complex steps of an independent interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, assume, given, settings
from programs import programs

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.parse import read_program

SIZES = [{"N": 2, "M": 3, "K": 4, "B": 2}, {"N": 3, "M": 2, "K": 2, "B": 4}, {"N": 1, "M": 1, "K": 1, "B": 1}]
STEADY = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
Point = tuple[dict[str, int], dict[str, Any], dict[str, np.ndarray]]


def used(text: str) -> list[str]:
    """Return the inputs that a program reads and that have a derivative."""
    body = [line for line in text.splitlines() if not oracle.DECLARATION.match(line)]
    kinds = oracle.declared(text)
    return [n for n, (kind, _) in kinds.items() if kind != "label" and any(n in oracle.words(line) for line in body)]


def points(text: str) -> Iterator[Point]:
    """Yield sizes and values at which the program and its derivatives are finite, with the Jacobians there."""
    for seed, sizes in enumerate(SIZES):
        values = oracle.sample(text, sizes, np.random.default_rng(seed))
        try:
            jacobians = {n: oracle.complex_step_jacobian(text, values, sizes, n) for n in used(text)}
        except (ZeroDivisionError, ValueError, OverflowError):
            continue
        if all(np.all(np.isfinite(j)) for j in jacobians.values()):
            yield {n: sizes[n] for n in oracle.size_names(text)}, values, jacobians


def close(claimed: Any, measured: Any, note: str) -> None:
    """Compare shape and entries, relative to the largest."""
    assert np.shape(claimed) == np.shape(measured), note
    scale = max(1.0, float(np.max(np.abs(measured), initial=0.0)))
    np.testing.assert_allclose(np.asarray(claimed) / scale, measured / scale, rtol=1e-8, atol=1e-10, err_msg=note)


def check_derivative(d: Any, point: Point) -> None:
    sizes, values, jacobians = point
    for name, measured in jacobians.items():
        close(d.results[name].evaluate(values, sizes=sizes), measured, f"by {name} at {sizes}")


def check_printed(d: Any, printed: str, found: list[Point]) -> None:
    again = read_program(printed)
    for sizes, values, jacobians in found:
        known = {str(n): values[str(n)] for n in (*again.inputs, *again.extra)}
        env = {str(n): v for n, v in evaluate_graph(again, known, sizes).items()}
        for name, measured in jacobians.items():
            close(env[str(d.results[name].name)], measured, f"{printed}\nby {name} at {sizes}")


def check_kernel(d: Any, kernel: Any, text: str, point: Point) -> None:
    sizes, values, jacobians = point
    read = {str(n) for n in d.primal.inputs}
    with np.errstate(all="ignore"):
        value, grads = kernel({n: v for n, v in values.items() if n in read})
    close(value, np.asarray(oracle.run(text, values, sizes, oracle.COMPLEX), complex).real, "the value")
    for name, measured in jacobians.items():
        close(grads[name], measured, f"by {name} at {sizes}\n{kernel.source}")


@STEADY
@given(programs())
def test_derivation_print_and_kernel_agree_with_complex_steps(program):
    text = program.text
    assume(used(text))
    d = dk.derive(text, used(text))
    found = list(points(text))
    kernel = dk.compile(d)
    for point in found:
        check_derivative(d, point)
        check_kernel(d, kernel, text, point)
    for notation in ("index", "matrix"):
        try:
            printed = d.program(notation=notation)
        except DerivkitError as error:
            if error.code != "DK032":  # no form in this notation: a matrix form need not exist
                raise
            continue
        check_printed(d, printed, found)


@settings(STEADY, max_examples=60)
@given(programs(most_lines=3))
def test_there_is_always_an_index_form(program):
    text = program.text
    assume(used(text))
    assume(not any(op in text for op in ("max(", "min(", "prod(")))  # over several axes: they have none yet
    assert dk.derive(text, used(text), check=False).program(notation="index")


TEXT = "x: N\ny: N\nv = tanh(x)*y\nE = sum(v**2)"


def test_a_wrong_derivative_would_be_seen():
    (sizes, values, jacobians), *_ = points(TEXT)
    right = dk.derive(TEXT, "x").evaluate(values, sizes=sizes)
    close(right, jacobians["x"], "right")
    for wrong in (right * 1.0001, right[::-1], np.abs(right), right[None]):
        with pytest.raises(AssertionError):
            close(wrong, jacobians["x"], "wrong")


@pytest.mark.parametrize(
    ("old", "new"),
    [("dE_dx = 2", "dE_dx = 3"), ("* y *", "* x *"), ("(1 - ", "(1 + "), ("dE_dx = ", "dE_dx = -"), ("y", "tanh(y)")],
)
def test_a_wrong_printed_form_would_be_seen(old, new):
    d = dk.derive(TEXT, ["x"])
    found = [(sizes, values, {"x": jacobians["x"]}) for sizes, values, jacobians in points(TEXT)]
    printed = d.program(notation="matrix")
    check_printed(d, printed, found)
    head, line = printed.rsplit("\n", 1)
    assert old in line, line
    with pytest.raises(AssertionError):
        check_printed(d, f"{head}\n{line.replace(old, new)}", found)
