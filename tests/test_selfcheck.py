"""The check of every line: a wrong line is found wherever it stands, and rounding is not taken for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import derivkit as dk
from derivkit.symbolic.derive import door, points
from derivkit.symbolic.derive.measure import compare
from derivkit.symbolic.derive.rounding import is_rounding, magnitude
from derivkit.symbolic.derive.selfcheck import selfcheck
from derivkit.symbolic.evaluate import Evaluation, evaluate_graph
from derivkit.symbolic.expr import Add, Expr, Mul, Pow, Ref
from derivkit.symbolic.expr import replace as replace_nodes
from derivkit.symbolic.normal import num, scaled
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.steps import Step

LAYERS = 20
ATTENTION = "\n".join(
    [
        "X0: N, D\nQ: D, K\nP: D, K\nV: D, D",
        *(
            f"X{n} = X{n - 1} + softmax((X{n - 1} @ Q) @ (X{n - 1} @ P).T / sqrt(D)) @ (X{n - 1} @ V)"
            for n in range(1, LAYERS + 1)
        ),
        f"E = sum(X{LAYERS}**2)",
    ]
)


def negated(expr: Expr) -> Expr:
    """Return the expression with the last term of its first sum negated; as a whole where it has none."""
    done: list[Expr] = []

    def change(node: Expr) -> Expr | None:
        if not isinstance(node, Add) or done:
            return None
        done.append(node)
        return Add((*node.args[:-1], scaled(-1, node.args[-1])))

    made = replace_nodes(expr, change)
    return made if done else Mul((num(-1), expr))


def doubled(expr: Expr) -> Expr:
    return Mul((num(2), expr))


def swapped(expr: Expr) -> Expr:
    """Return the expression with one name replaced by another's value: a slip of the pen."""
    first = next(n for n in iter_refs(expr))
    return replace_nodes(expr, lambda n: Mul((n, n)) if n is first else None)


def iter_refs(expr: Expr) -> list[Expr]:
    found: list[Expr] = []
    replace_nodes(expr, lambda n: found.append(n) if isinstance(n, Ref) else None)  # type: ignore[func-returns-value]
    return found


def with_wrong_line(steps: tuple[Step, ...], where: int, slip: Callable[[Expr], Expr]) -> tuple[Step, ...]:
    step = steps[where]
    lines = (*step.substeps[:-1], replace(step.substeps[-1], after=slip(step.substeps[-1].after)))
    return (*steps[:where], replace(step, substeps=lines), *steps[where + 1 :])


@pytest.fixture(scope="module")
def checked() -> tuple[tuple[Any, ...], tuple[Step, ...], tuple[Any, ...]]:
    """What a derivation gives to its check: what comes before the steps, the steps, what comes after."""
    given: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "selfcheck", lambda *args: given.extend(args))
        dk.derive(ATTENTION, "X0, Q, P, V")
    return tuple(given[:2]), given[2], tuple(given[3:])


@pytest.mark.parametrize("slip", [negated, doubled, swapped])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.95])
def test_a_wrong_line_of_a_long_program_is_found(checked, slip, where):
    before, steps, after = checked
    long = [n for n, s in enumerate(steps) if len(s.substeps) > 1]
    wrong = with_wrong_line(steps, long[int(where * len(long))], slip)
    with pytest.raises(dk.DerivationError, match="fails derivkit's own check"):
        selfcheck(*before, wrong, *after)


@pytest.mark.parametrize("largest", [points.MODERATE, np.inf], ids=["moderate", "huge"])
def test_twenty_layers_of_attention_pass(monkeypatch, checked, largest):
    monkeypatch.setattr(points, "MODERATE", largest)  # of values at 1e9 little but rounding is left where p is 1
    before, steps, after = checked
    assert selfcheck(*before, steps, *after).worst < 1e-7


def test_points_are_moderate_where_they_can_be():
    graph = read_program(ATTENTION)
    sizes = points.size_sets(graph)[0]
    (values,) = points.points(graph, sizes, np.random.default_rng(1), 1)
    assert max(np.max(np.abs(a)) for a in evaluate_graph(graph, values, sizes).values()) < points.MODERATE


def test_points_are_finite_where_they_cannot_be_moderate():
    graph = read_program("x: N\ny = sum(1000000000 + x)")
    (values,) = points.points(graph, {"N": 3}, np.random.default_rng(1), 1)
    assert values["x"].shape == (3,)


def test_what_cancels_is_judged_by_what_cancelled():
    graph = read_program("g: N\np: N\na = p*(g - sum(p*g))\nb = p*g - p*sum(p*g)\nc = p*g + p*sum(p*g)")
    rng = np.random.default_rng(3)
    values = {"g": 1e9 * rng.uniform(0.5, 1.5, 4), "p": np.array([1.0, 3e-18, 2e-30, 1e-12])}
    env = evaluate_graph(graph, values, {"N": 4})
    a, b, c = (next(d for d in graph.definitions if str(d.name) == n) for n in "abc")
    run = Evaluation(env, {"N": 4})
    other = run.array(b.rhs, b.indices)
    assert is_rounding(run.array(a.rhs, a.indices), other, (a.rhs,), run, a.indices)
    assert not is_rounding(run.array(c.rhs, c.indices), other, (b.rhs,), run, b.indices)


def test_the_magnitude_of_a_line_is_that_of_its_terms():
    graph = read_program("x: N\ny = sum((x - 2)**2*x) - exp(-x[0])")
    at = np.array([-1.0, 2.0, 3.0])
    run = Evaluation(dict.fromkeys(graph.inputs, at), {"N": 3})
    assert np.isclose(magnitude(graph.definitions[-1].rhs, run, ()), 9 + 0 + 3 + np.e)


#: What was measured, what is claimed, and whether that can be right; nan is an entry without a value.
NO_VALUES = [
    ([1.0, 2.0], [1.0, np.nan], False),
    ([1.0, 2.0], [np.inf, 2.0], False),
    ([1.0, np.nan], [1.0, np.nan], True),
    ([1.0, np.nan], [1.0, 7.0], True),
    ([1.0, np.nan], [2.0, np.nan], False),
]


@pytest.mark.parametrize(("measured", "claimed", "right"), NO_VALUES)
def test_what_has_no_value_is_not_taken_for_right(measured, claimed, right):
    if right:
        assert compare(np.array(measured), np.array(claimed), "a line") < 1e-7
        return
    with pytest.raises(dk.DerivationError, match="a line fails derivkit's own check"):
        compare(np.array(measured), np.array(claimed), "a line")


def test_nothing_is_said_to_be_checked_where_nothing_was_compared():
    assert np.isnan(compare(np.array([np.nan]), np.array([np.nan]), "a line"))
    assert "at 2 sets of sizes" in dk.derive("x: N\ns = std(x)", "x").checked  # of one number there is none


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_a_line_written_twice_is_measured_along_cotangents_too(kind):
    program = "x: N\nmu = mean(x)\ns = sqrt(var(x) + 1)\ny = (x - mu)/s"  # var(x) has its own mean(x)
    assert dk.derive(program, "x", kind=kind).checked.startswith("checked")


def test_a_result_without_a_value_fails_where_a_complex_step_has_one(monkeypatch):
    def spoilt(one: Any, *args: Any) -> Any:
        made = bare_result(one, *args)
        return replace(made, expr=Mul((made.expr, Pow(scaled(0, num(1)), num(-1)))))

    bare_result = door._result
    monkeypatch.setattr(door, "_result", spoilt)
    with pytest.raises(dk.DerivationError, match="no value"):
        dk.derive("x: N\nE = sum(x**2)", "x")
