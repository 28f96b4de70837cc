"""At ties and kinks: a mixture of the slopes around is right, and whatever is none is wrong, however near it comes."""

from __future__ import annotations

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_jvp


def largest(x):
    return float(np.max(x))


def row_largest(x):
    return float(np.max(x, axis=1).sum())


def valley(x):
    return float(abs(x[0]) - abs(x[1]))


ROWS = np.array([[1.0, 1.0], [2.0, 2.0]])
#: name: f, the point, mixtures of the slopes around it, and what is none.
TIES = {
    "maximum of three": (largest, np.ones(3), ([1, 0, 0], [0.2, 0.5, 0.3]), ([1.1, 0, 0], [0.4, 0.4, 0.3], [1.2, -0.2, 0])),
    "maximum of five": (largest, np.ones(5), ([0.2] * 5, [0, 0, 1, 0, 0]), ([0.22] * 5, [0, 0, 1.01, 0, 0], [0, 0, 0.99, 0, 0])),
    "maximum at zeros": (largest, np.zeros(3), ([0, 1, 0],), ([0, 1.1, 0],)),
    "two of three": (largest, np.array([2.0, 2.0, 1.0]), ([0.3, 0.7, 0],), ([0.3, 0.8, 0], [0.3, 0.7, 0.01])),
    "minus the maximum": (lambda x: -largest(x), np.ones(3), ([-1, 0, 0],), ([-1.1, 0, 0],)),
    "maxima of rows": (row_largest, ROWS, ([[1, 0], [0.5, 0.5]],), ([[1.1, 0], [0.5, 0.5]], [[0.6, 0.5], [0.5, 0.4]])),
    "valley and ridge": (valley, np.zeros(2), ([1, 1], [-1, 1], [0.5, 0]), ([1.1, 1], [0, 1.2])),
    "norm at zero": (lambda x: float(np.linalg.norm(x)), np.zeros(3), ([0, 0, 0], [0.9, 0, 0]), ([2, 0, 0],)),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", TIES)
def test_at_a_tie_every_mixture_of_the_slopes_is_right_and_nothing_else(name, seed):
    f, x, right, wrong = TIES[name]
    for claim in right:
        report = check_gradient(f, lambda x, g=claim: np.array(g, float), x, seed=seed)
        assert report.ok, str(report)
        assert report.evaluations <= 500
    for claim in wrong:
        report = check_gradient(f, lambda x, g=claim: np.array(g, float), x, seed=seed)
        assert not report.ok
        assert not report.undecided, str(report)


def relu_net(x, W, b, V):
    return float(np.sum(V * np.maximum(W @ x + b, 0)))


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_network_with_its_hidden_units_on_their_kinks_is_right_by_any_convention(at_zero, seed):
    rng = np.random.default_rng(seed)
    x, W, b, V = rng.normal(size=3), rng.normal(size=(4, 3)), np.zeros(4), rng.normal(size=4)
    b[: 1 + seed % 3] = -(W @ x)[: 1 + seed % 3]  # at the kink, to a bit

    def grad(x, W, b, V):
        z = W @ x + b
        slope = V * np.where(np.abs(z) < 1e-12, at_zero, z > 0)
        return W.T @ slope, np.outer(slope, x), slope, np.maximum(z, 0)

    report = check_gradient(relu_net, grad, x, W, b, V)
    assert report.ok, str(report)
    scaled = check_gradient(relu_net, lambda *a: tuple(1.3 * g for g in grad(*a)), x, W, b, V)
    assert not scaled.ok


def test_a_kink_that_f_has_no_neighbours_around_is_not_passed():
    x = np.zeros(3)

    def walled(x):
        return float(np.sum(np.abs(x))) if np.all(np.abs(x) < 5e-6) else np.nan

    report = check_gradient(walled, lambda x: np.array([0.5, 3.0, 0.0]), x)
    assert report.undecided, report
    assert "not finite around" in report.summary


@pytest.mark.parametrize("elsewhere", ["raises", "nan"])
def test_a_claim_that_is_none_but_at_the_kink_is_judged_there(elsewhere):
    def claim(much):
        def grad(x):
            if not np.any(x):
                return np.full(4, much)
            if elsewhere == "raises":
                raise ValueError("only at 0")
            return np.full(4, np.nan)

        return grad

    f = lambda x: float(np.sum(np.abs(x)))  # noqa: E731
    assert check_gradient(f, claim(0.5), np.zeros(4)).ok
    assert check_gradient(f, claim(3.0), np.zeros(4)).diagnosis == "kink"


@pytest.mark.parametrize("count", [4, 400])
def test_a_pushforward_at_kinks_is_judged(count):
    assert check_jvp(np.abs, lambda x_dot, x: 0.5 * x_dot, np.zeros(count)).ok
    report = check_jvp(np.abs, lambda x_dot, x: 3 * x_dot, np.zeros(count))
    assert report.diagnosis == "kink", report
