"""The table of checkers counts what the labels say: with our own in it, and with some that are known to be no good."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_cases import checkers
from gradient_cases.checkers import HERE, Checker, Outcome, Problem, formal, outcome, outcomes, tally
from gradient_cases.rows import right, rows, wrong

CORPUS = [row for row in rows(0) if not row.huge]
NAMES = {row.name for row in CORPUS}
FAULTY = [row for row in CORPUS if not row.right]
#: Pullbacks, Jacobians, pushforwards; trees, several leaves, one number, float32; a layer that keeps its forward pass.
KINDS = set(
    """\
pullback
pullback: twice
Jacobian
Jacobian: one row
pushforward
pushforward: no slope
tree
tree: first layer by 3
many leaves
many leaves: one of them
number
float32: squares
float32: twice
float32 beside float64
layer with a cache
integers among floats
empty beside""".splitlines()
)


def raising(p: Problem) -> bool:
    raise RuntimeError("no verdict")


def test_one_that_accepts_all_misses_every_fault_and_raises_no_alarm():
    made = tally(outcomes(Checker("yes", lambda p: True), 0, NAMES))
    assert made.alarms == made.silent == made.most == 0
    assert (made.values, made.forms) == (sum(not formal(row) for row in FAULTY), sum(formal(row) for row in FAULTY))
    assert made.values + made.forms == len(FAULTY) > made.forms > 0
    assert made.share == pytest.approx(1 - len(FAULTY) / len(CORPUS))


def test_one_that_rejects_all_alarms_at_every_right_one():
    made = tally(outcomes(Checker("no", lambda p: False), 0, NAMES))
    assert (made.alarms, made.values, made.forms, made.silent) == (len(CORPUS) - len(FAULTY), 0, 0, 0)
    assert made.share == pytest.approx(len(FAULTY) / len(CORPUS))


def test_an_exception_counts_in_favour():
    made = tally(outcomes(Checker("raises", raising), 0, NAMES))
    assert (made.alarms, made.values, made.forms, made.silent) == (0, 0, 0, len(CORPUS) - len(FAULTY))


def test_one_that_knows_the_labels_is_always_right():
    made = tally(outcomes(Checker("knows", lambda p: p.row.right), 0, NAMES))
    assert (made.alarms, made.values, made.forms, made.silent, made.share) == (0, 0, 0, 0, 1)


def test_each_row_reaches_a_checker_of_vectors_as_it_is():
    """Central differences judge these rightly, so that values, shapes and the order of the leaves came over."""
    assert KINDS <= NAMES
    made = outcomes(HERE[1], 0, KINDS)
    assert [o.row.name for o in made if o.said != o.row.right or o.why] == []
    for o in made:
        p = Problem(o.row)
        assert o.calls == 2 * p.size
        for whole, part in zip(p.pull(p.cotangent, *p.leaves), p.pull(0.5 * p.cotangent, *p.leaves), strict=True):
            np.testing.assert_allclose(part, whole / 2)


def test_ours_is_in_the_table_and_names_causes():
    made = outcomes(HERE[0], 0, KINDS)
    assert (tally(made).share, tally(made).named, tally(made).silent) == (1, 1, 0)
    for o in made:
        assert o.calls == checkers.ours(Problem(o.row)).evaluations


def test_a_row_that_would_take_too_long_has_no_verdict_whatever_its_label(monkeypatch):
    monkeypatch.setattr(checkers, "PATIENCE", -1.0)  # of which everything is more
    x, f = np.ones(3), lambda x: np.sum(x**2)
    for row in (right("right", f, lambda x: 2 * x, x), wrong("wrong", "scale:2", f, lambda x: 4 * x, x)):
        assert outcome(Checker("per entry", lambda p: True, 1), row).said is None
        late = outcome(Checker("none known", lambda p: bool(p.f(*p.leaves))), row)
        assert (late.said, late.calls) == (None, 0)


def test_evaluations_are_medians_of_right_and_wrong_apart():
    one, two = right("r", np.sum, np.ones_like, np.ones(2)), wrong("w", "sign", np.sum, np.ones_like, np.ones(2))
    made = tally([Outcome(one, True, False, 4, 1.0), Outcome(two, False, True, 10, 2.0), Outcome(two, None, False, 99, 9.0)])
    assert (made.right, made.wrong, made.most, made.seconds, made.named, made.silent) == (4, 10, 10, 3.0, 1.0, 1)
