"""The corpus of gradients: every label is proved by another route, and every verdict on it is right, at a bounded cost."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import records
from gradient_cases import scores
from gradient_cases.proof import unproved
from gradient_cases.rows import rows


@pytest.fixture(scope="module")
def results():
    return scores.run(0)


def test_the_corpus_is_large_and_its_names_are_its_own():
    corpus = rows(0)
    assert len(corpus) >= 150
    assert 0.3 <= sum(row.right for row in corpus) / len(corpus) <= 0.7
    assert max(Counter(row.name for row in corpus).values()) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
def test_every_label_is_proved_by_another_route(seed):
    with np.errstate(all="ignore"):
        reasons = {row.name: why for row in rows(seed) if (why := unproved(row)) is not None}
    assert reasons == {}


def test_every_right_gradient_is_accepted_and_every_wrong_one_rejected(results):
    assert {r.row.name: str(r.report) for r in results if not r.judged} == {}


def test_the_cause_and_the_leaf_are_named_at_the_promised_cost(results):
    numbers = {name: value for name, value in scores.shares(results).items() if name != "seconds"}
    assert scores.missed(numbers) == [], "\n".join(scores.complaints(results))
    assert scores.complaints(results) == []


@pytest.mark.filterwarnings("ignore")
def test_each_check_reads_and_costs_as_recorded(results, update_golden):
    with np.errstate(all="ignore"):
        lines = [records.line(name, check()) for name, check in records.tables()]
    lines += [records.line(r.row.name, r.report) for r in results]
    if update_golden:
        records.FILE.write_text("\n".join((*lines, "")), encoding="utf-8")
    stories, bars = records.departures(lines)
    better = "if the new are better, scripts/test tests/test_gradient_cases.py --update-golden\n"
    assert len(stories) <= records.OTHERWISE, better + "\n".join(stories)
    assert len(bars) <= records.BARS, better + "\n".join(bars)


def test_no_verdict_depends_on_the_global_random_state(results):
    np.random.seed(12345)
    random.seed(5)
    state = np.random.get_state()[1].copy()
    some = [r for k, r in enumerate(results) if k % 5 == 0 and not r.row.huge]
    again = {r.row.name: r for r in scores.run(0, only={r.row.name for r in some})}
    assert {r.row.name: r.report for r in some} == {name: r.report for name, r in again.items()}
    assert np.array_equal(state, np.random.get_state()[1])
