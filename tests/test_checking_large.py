"""Leaves too large to be measured entry by entry, in functions too coarse to show one entry among all."""

from __future__ import annotations

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_vjp
from derivkit.checking.report import Entry, Report

RNG = np.random.default_rng(9)
BIG = RNG.normal(size=300) + np.sign(RNG.normal(size=300))
F32 = np.float32


def only_float32(x):
    if x.dtype != F32:
        raise TypeError("float32 only")
    return np.sum(np.sin(x) * x)


def slope(x):
    return np.cos(x) * x + np.sin(x)


def test_a_large_leaf_of_a_float32_function_is_right_wrong_or_undecided_but_never_passed():
    x = BIG.astype(F32)
    right = check_gradient(only_float32, slope, x)
    assert right.ok or right.undecided
    assert check_gradient(only_float32, lambda x: 2 * slope(x), x).diagnosis.startswith("scale:2")
    faint = check_gradient(only_float32, lambda x: slope(x) * np.where(np.arange(300) == 7, F32(1.05), F32(1)), x)
    assert not faint.ok


@pytest.mark.parametrize("factor", [1.0, 1.5, 0.0, -1.0])
def test_one_entry_of_a_large_leaf_behind_a_constant(factor):
    k = int(np.argmax(np.abs(slope(BIG))))
    far = 1e9
    report = check_gradient(
        lambda x: far + float(np.sum(np.sin(x) * x)), lambda x: slope(x) * np.where(np.arange(300) == k, factor, 1), BIG
    )
    assert report.ok or report.undecided if factor == 1 else not report.ok


def test_a_large_float32_leaf_with_a_wrong_entry_is_bisected():
    x = BIG.astype(F32)
    report = check_gradient(
        lambda x: np.sum(np.sin(x) * x), lambda x: slope(x) + (np.arange(300) == 41).astype(x.dtype) * x.dtype.type(4), x
    )
    assert report.diagnosis == "few-entries"
    assert report.entries[0].index == (41,)


def test_a_misshapen_gradient_of_a_large_leaf_is_explained():
    X = RNG.normal(size=(30, 20))
    T = RNG.normal(size=(30, 20))
    report = check_gradient(lambda X: float(np.sum(T * np.sin(X))), lambda X: (T * np.cos(X)).T, X)
    assert report.diagnosis == "transpose"
    assert report.evaluations <= 60
    b = RNG.normal(size=200).astype(F32)
    rows = RNG.normal(size=(7, 200)).astype(F32)
    report = check_gradient(lambda b: np.sum(np.sin(rows.astype(b.dtype) + b)), lambda b: np.cos(rows.astype(b.dtype) + b), b)
    assert report.diagnosis == "wrong-axis"
    report = check_gradient(lambda b: np.sum(np.sin(b)), lambda b: np.ones((2, 100), b.dtype), b)
    assert report.diagnosis == "shape"
    pull = check_vjp(np.sin, lambda y, X: (y * np.cos(X)).ravel(), X)
    assert pull.diagnosis == "shape"
    assert "right but for its shape" in pull.summary


def test_a_long_report_keeps_to_its_lines_and_its_numbers():
    entries = tuple(Entry("W", (k, 0), float(k), 1.0, 0.1) for k in range(9))
    report = Report(
        False,
        diagnosis="few-entries",
        entries=entries,
        subject="gradient of " + "f" * 300,
        summary="is wrong " * 40,
        evidence=("seen",) * 20,
        reproduce="derivkit.check_gradient(f, grad, *args)",
    )
    text = str(report)
    assert len(text.splitlines()) <= 20
    assert "and 4 more entries" in text
    assert all(len(line) <= 170 for line in text.splitlines() if "reproduce" not in line)
    assert report.to_json()["error"] is None
    assert "wrong" in repr(report)
    with pytest.raises(AssertionError):
        Report(True, diagnosis="scale:2")


def test_a_large_symmetric_matrix_counted_by_one_triangle_is_named():
    half = RNG.normal(size=(60, 60))
    report = check_gradient(lambda a: float(np.sum(a**2)) / 2, lambda a: a + a.T - np.diag(np.diag(a)), half + half.T)
    assert "mirror image" in report.summary, report
