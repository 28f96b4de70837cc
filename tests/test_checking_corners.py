"""The corners of the checker's surfaces: what happens seldom still says the right thing."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
import pytest

import derivkit as dk
from derivkit.checking import many
from derivkit.checking.line import Line, quantum, rung
from derivkit.checking.narrow import _apart, _rounded
from derivkit.checking.report import Report
from derivkit.checking.sending import packed
from derivkit.checking.trees import argument_names, claimed, leaves, same

X = np.array([1.25, -2.0, 0.5])


def test_a_fault_of_the_checker_itself_names_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> Report:
        raise AssertionError("a fault of ours")

    monkeypatch.setitem(many.KINDS, "gradient", broken)
    with pytest.raises(AssertionError, match="a fault of ours") as caught:
        dk.check_many({"first": (np.sum, np.ones_like, X)})
    assert caught.value.__notes__ == ["in the case 'first'"]


def test_what_cloudpickle_has_packed_is_called_where_it_arrives() -> None:
    pytest.importorskip("cloudpickle")
    call = packed("c", (), lambda: 7)
    assert call() == 7

    lock = threading.Lock()

    def late() -> tuple[object, int]:
        return lock, number  # a variable of the closure that has no value yet

    with pytest.raises(dk.DerivkitError, match=r"the closure .*late .* its variable 'lock'"):
        packed("c", (X, late), lambda: late)
    number = 3
    assert late()[1] == 3
    with pytest.raises(dk.DerivkitError, match="case 'c': it cannot be sent"):
        packed("c", (X,), lambda: lock)


def test_a_report_says_one_thing() -> None:
    with pytest.raises(AssertionError, match="not both"):
        Report(True, diagnosis="sign")
    assert repr(Report(False, diagnosis="sign")) == "<Report wrong: sign>"
    assert str(Report(False, undecided=True, summary="f is noise")).startswith("undecided: f is noise")


@pytest.mark.parametrize("claim", [lambda x: 2 * x, lambda x: (2 * x).astype(np.float16), lambda x: [2 * x]])
def test_float16_of_numpy(claim: Callable[[np.ndarray], object]) -> None:
    x = X.astype(np.float16)
    assert dk.check_gradient(lambda x: np.sum(x * x), claim, x).ok


def test_float16_alone_is_measured_as_it_is() -> None:
    x = X.astype(np.float16)

    def f(x: np.ndarray) -> np.floating:
        if x.dtype != np.float16:
            raise TypeError("float16 only")
        return np.sum(x * x)

    report = dk.check_gradient(f, lambda x: 2 * x, x)
    assert report.ok or report.undecided
    assert not dk.check_gradient(f, lambda x: -2 * x, x)


def test_float16_and_float32_must_say_the_same() -> None:
    x = X.astype(np.float16)

    def narrow(x: np.ndarray) -> bool:
        return bool(x.dtype == np.float16)

    report = dk.check_gradient(lambda x: np.sum(x * x), lambda x: 4 * x if narrow(x) else 2 * x, x)
    assert report.undecided
    assert "in the precision given" in report.summary
    assert dk.check_gradient(lambda x: np.sum(x * x), lambda x: 2 * x if narrow(x) else x[:2], x).diagnosis == "shape"


def _refused(x: np.ndarray, wrong: bool) -> np.ndarray:
    if wrong:
        raise TypeError("float32 only")
    return 2 * x


#: name: a function of float32 whose float64 self cannot speak for it, and its gradient 2x.
UNLIKE: dict[str, tuple[Callable[[np.ndarray], object], Callable[[np.ndarray], np.ndarray]]] = {
    "another value": (lambda x: np.sum(x * x) * (2 if x.dtype == np.float64 else 1), lambda x: 2 * x),
    "another shape": (lambda x: np.sum(x * x, keepdims=x.dtype == np.float64), lambda x: 2 * x),
    "the claim takes float32 only": (lambda x: np.sum(x * x), lambda x: _refused(x, x.dtype == np.float64)),
    "the claim takes numbers of float32 only": (lambda x: np.sum(x * x), lambda x: _refused(x, np.any(x != np.float32(x)))),
}


@pytest.mark.parametrize(("f", "grad"), UNLIKE.values(), ids=UNLIKE)
def test_float32_is_judged_where_float64_is_another_function(
    f: Callable[[np.ndarray], object], grad: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = X.astype(np.float32)
    assert dk.check_gradient(f, grad, x).ok
    assert dk.check_gradient(f, lambda x: 3 * grad(x), x).diagnosis == "scale:3"


def test_what_has_no_signature_has_names_for_its_arguments() -> None:
    report = dk.check_gradient(math.hypot, lambda x, y: (x / math.hypot(x, y), 2 * y / math.hypot(x, y)), 3.0, 4.0)
    assert report.summary.startswith("args[1]'s gradient is 2 times the true one")


def test_an_argument_that_cannot_be_spelled_is_named_in_the_reproduction() -> None:
    report = dk.check_gradient(lambda x, rest: np.sum(x * x), lambda x, rest: (4 * x, None), X, object())
    assert report.diagnosis == "scale:2"
    assert report.reproduce.startswith("derivkit.check_gradient(f, grad, *args")


def test_float16_with_a_vjp_a_jvp_and_a_jacobian() -> None:
    x = X.astype(np.float16)
    assert dk.check_vjp(np.square, lambda y_bar, x: 2 * x * y_bar, x).ok
    assert dk.check_jvp(np.square, lambda x_dot, x: 2 * x * x_dot, x).ok
    assert dk.check_jvp(lambda x, y: x * y, lambda dots, x, y: dots[0] * y + x * dots[1], x, x + 1).ok
    assert dk.check_jacobian(np.square, lambda x: np.diag(2 * x), x).ok
    assert dk.check_gradient(lambda x: np.sum(x * x), lambda x: (2 * x)[:2], x).diagnosis == "shape"


@pytest.mark.parametrize("seed", range(5))
def test_float16_within_is_noise_to_small_entries_and_no_fault(seed: int) -> None:
    x = np.array([-0.4, 0.077, -0.88, 1.46, -1.03, 0.29, -0.28]) * np.random.default_rng(seed).uniform(0.8, 1.2)

    def f(x: np.ndarray) -> float:
        return float(np.sum(x.astype(np.float16) ** 2))

    report = dk.check_gradient(f, lambda x: 2 * x, x)
    assert report.ok or report.undecided
    thrice = dk.check_gradient(f, lambda x: 6 * x, x)
    assert float(str(thrice.diagnosis).removeprefix("scale:")) == pytest.approx(3, rel=0.01)


def test_a_leaf_that_does_not_matter_does_not_keep_float32_from_being_measured_in_float64() -> None:
    def f(x: np.ndarray, y: np.ndarray) -> np.floating:
        return np.sum(np.sin(y)) + 0 * np.sum(x)

    report = dk.check_gradient(f, lambda x, y: (0 * x, np.cos(y)), X.astype(np.float32), X.astype(np.float32))
    assert report.evidence == ("measured with float64 copies of the arguments",)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("off", [3e-5, -3e-5, 1e-5, -1e-5])
def test_a_kink_nearer_than_any_step_of_float32_does_not_make_a_right_slope_wrong(off: float, count: int) -> None:
    x = np.linspace(1.25, 1.75, count).astype(np.float32)
    kinks = (x * (1 + off)).astype(np.float32)

    def f(x: np.ndarray) -> np.float32:
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return np.abs(x - kinks).sum() + np.float32(1)

    report = dk.check_gradient(f, lambda x: np.sign(x - kinks), x)
    assert report.ok or report.undecided, str(report)
    assert not dk.check_gradient(f, lambda x: 3 * np.sign(x - kinks), x).ok


@pytest.mark.parametrize("value", [7, True, np.int8(3), np.longdouble(2), np.float16(2)])
def test_a_constant_of_any_kind_has_no_slope(value: object) -> None:
    assert dk.check_gradient(lambda x: value, lambda x: 0 * x, X).ok
    assert not dk.check_gradient(lambda x: value, lambda x: x, X).ok


@pytest.mark.parametrize(
    ("places", "steps", "height"),
    [
        (1e4, (0.2, 0.0717, 0.0203, 0.0053, 0.0003, 1e-5, 2e-6), 1e-4),  # 3 and 53 quanta: the quantum is no move that was seen
        (1e4, (0.9, 0.0203, 0.0053, 0.0003, 1e-5, 2e-6), 1e-4),  # what is far is left out
        (1e4, (0.2, 0.0717, 0.0203, 1e-5, 2e-6), 0.0),  # three moves are on some grid by chance
        (1e4, (0.2, 0.0717, 0.0203, 0.0003, 1e-5), 0.0),  # flat once may be chance, too
        (2e1, (0.2, 0.15, 0.1, 0.05, 1e-5, 2e-6), 0.0),  # a few large steps are meant
        (None, (0.2, 0.0717, 0.0203, 0.0053, 0.0003, 1e-5, 2e-6), 0.0),
    ],
)
def test_the_height_of_a_functions_steps(places: float | None, steps: tuple[float, ...], height: float) -> None:
    def value(point: tuple[np.ndarray, ...]) -> float:
        return float(point[0] if places is None else np.round(point[0] * places) / places)

    line = Line(value, lambda moved: 0.0, (np.array(1.0),), (np.array(1.0),), 1.0, 2.0**-52)
    assert quantum(line, [rung(line, step) for step in steps]) == pytest.approx(height, rel=1e-9)


def test_what_is_rounded_and_how_far_apart() -> None:
    assert _rounded(np.array([1, 2]), 3)
    assert _rounded(np.array([1.5, -0.375]), 3)
    assert not _rounded(np.array([1 / 3]), 7)
    assert _apart(np.ones(2), np.ones(3)) == 0.0
    assert _apart(np.array([1.0, 2.2]), np.array([1.0, 2.0])) == pytest.approx(0.1)


def test_trees_that_are_not_the_same() -> None:
    assert not same([1], [True])
    assert not same([X], [None])
    assert not same([[X]], [X])
    assert not same([{"a": X}], [{"b": X}])
    assert same([len, {"a": (X, "t")}], [len, {"a": (X.copy(), "t")}])
    assert not same([len], [abs])
    assert argument_names(np.dot, 2)[0] in ("a", "args[0]")


def test_claims_that_fit_in_their_own_way() -> None:
    args = ({"a": X, "b": 1.0},)
    found = leaves(args, ("p",))
    assert claimed({"a": X, "b": None}, args, found)[1] is None  # type: ignore[index]
    assert claimed(None, args, found) == [None, None]
    pair = ([1.0, 2.0],)
    rows = claimed(np.array([[1.0, 2.0], [3.0, 4.0]]), pair, leaves(pair, ("x",)), (2,))
    assert [row.tolist() for row in rows] == [[1.0, 3.0], [2.0, 4.0]]  # type: ignore[union-attr]
    short = claimed(np.array([1.0]), pair, leaves(pair, ("x",)))
    assert "no entry 1" in short.sentence  # type: ignore[union-attr]
    assert claimed([[1.0], [1.0, 2.0]], (X[:2],), leaves((X[:2],), ("x",))).sentence.endswith("ragged list")  # type: ignore[union-attr]
