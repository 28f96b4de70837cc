"""The problems of courses and papers: every result right, as short as the textbook's and in matrix notation nearly always."""

from __future__ import annotations

from functools import cache

import pytest
from problems import PROBLEMS
from textbook import Outcome, outcome

#: What stands; a change that lowers one of these has made results longer somewhere.  ``scripts/problems`` names them.
SHORT, MATRIX = 0.94, 0.99


@cache
def outcomes(every: int) -> tuple[Outcome, ...]:
    return tuple(outcome(p, sizes=2) for p in PROBLEMS[::every])


def test_the_textbook_and_both_notations_agree_with_the_derivative(every):
    assert not [(e.problem, e.wrong) for e in outcomes(every) if e.wrong]


@pytest.mark.parametrize(("least", "flag"), [(SHORT, lambda e: e.is_short), (MATRIX, lambda e: bool(e.matrix))])
def test_most_results_are_as_short_as_the_textbooks_and_in_matrix_notation(least, flag, every):
    made = [flag(e) for e in outcomes(every)]
    assert sum(made) >= least * len(made)


def test_the_corpus_is_broad():
    assert len(PROBLEMS) >= 400
    assert len({p.family for p in PROBLEMS}) >= 15
