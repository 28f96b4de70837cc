"""What a check costs: never more than 500 calls of f, few for a right claim of many leaves, and no fault hides among those."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from derivkit.checking.check import check_gradient, check_jacobian, check_jvp, check_vjp

F32 = np.float32
LEAVES = 300


def many(seed, spread):
    """Return f and its gradient for so many Python floats whose slopes spread over that many decades."""
    rng = np.random.default_rng(seed)
    weights = 10.0 ** rng.uniform(-spread / 2, spread / 2, LEAVES)

    def f(*values):
        return float(np.sum(weights * np.sin(values)))

    def grad(*values):
        return tuple(float(g) for g in weights * np.cos(values))

    return f, grad, [float(v) for v in rng.uniform(0.5, 1.4, LEAVES)], np.argsort(weights)


def with_one(grad, k, factor):
    return lambda *values: tuple(g * factor if j == k else g for j, g in enumerate(grad(*values)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [0, 3, 6])
def test_many_leaves_of_any_size_cost_little_and_no_fault_hides_in_one(seed, spread):
    f, grad, values, order = many(seed, spread)
    right = check_gradient(f, grad, *values)
    assert right.ok, str(right)
    assert right.evaluations <= 50
    for k in map(int, order[[0, 1, LEAVES // 2, -1]]):
        report = check_gradient(f, with_one(grad, k, 1.01), *values)
        assert report.blame == (k,), str(report)
        assert float(report.diagnosis.removeprefix("scale:")) == pytest.approx(1.01, rel=1e-4)
        assert report.evaluations <= 400


def test_a_factor_on_all_of_many_leaves_blames_them_all():
    f, grad, values, _ = many(0, 3)
    report = check_gradient(f, lambda *v: tuple(2 * g for g in grad(*v)), *values)
    assert report.blame == tuple(range(LEAVES))
    assert report.diagnosis == "scale:2"
    assert report.evaluations <= 400


def test_several_leaves_among_many_are_found():
    f, grad, values, order = many(1, 3)
    picked = tuple(sorted(int(k) for k in order[[5, 100, 200, -2]]))
    report = check_gradient(f, lambda *v: tuple(-g if k in picked else g for k, g in enumerate(grad(*v))), *values)
    assert report.blame == picked
    assert report.evaluations <= 500


def _noisy(x):
    value = float(np.sum(np.sin(x)))
    return value * (1 + 1e-9 * np.sin(1e14 * value))


RNG = np.random.default_rng(3)
X = RNG.uniform(0.5, 2, 100)
ZEROS = np.where(np.arange(130) % 2, RNG.normal(size=130), 0.0)
TIED = RNG.integers(0, 3, 130).astype(float)
A = RNG.normal(size=(130, 130)) / 12
ARRAYS = [RNG.normal(size=(8, 5)) for _ in range(40)]


def _one(g):
    g = g.copy()
    g[3] *= 1.5
    return g


def _only32(x):
    return F32(np.sum(np.sin(x.astype(F32)), dtype=F32))


def _ranks(x):
    g = np.zeros(x.size)
    g[np.argsort(x, kind="stable")] = np.arange(x.size)
    return g


#: name: the check, f, the claim, the arguments, and what the verdict must not be.
COSTLY = {
    "noisy": (check_gradient, _noisy, np.cos, X, "wrong"),
    "noisy and wrong": (check_gradient, _noisy, lambda x: np.cos(x) + x, X, "ok"),
    "rounded and one wrong": (check_gradient, lambda x: round(_noisy(x), 8), lambda x: _one(np.cos(x)), X, "ok"),
    "float32": (check_gradient, _only32, lambda x: np.cos(x.astype(F32)), X.astype(F32), "wrong"),
    "float32 and one wrong": (check_gradient, _only32, lambda x: _one(np.cos(x.astype(F32))), X.astype(F32), "ok"),
    "kinks": (check_gradient, lambda x: float(np.sum(np.maximum(x, 0))), lambda x: (x > 0) * 1.0, ZEROS, "wrong"),
    "kinks, no slope": (
        check_gradient,
        lambda x: float(np.sum(np.maximum(x, 0))),
        lambda x: np.where(x == 0, -1.0, x > 0),
        ZEROS,
        "ok",
    ),
    "ties": (check_gradient, lambda x: float(np.sort(x) @ np.arange(x.size)), _ranks, TIED, "wrong"),
    "jacobian": (check_jacobian, lambda x: np.tanh(A @ x), lambda x: ((1 - np.tanh(A @ x) ** 2)[:, None] * A).T, ZEROS, "ok"),
    "pullback": (check_vjp, lambda x: np.tanh(A @ x), lambda y, x: A.T @ y, TIED, "ok"),
    "pushforward": (check_jvp, lambda x: np.tanh(A @ x), lambda v, x: A @ v, TIED, "ok"),
    "arrays, all wrong": (
        check_gradient,
        lambda p: float(sum(np.sum(np.sin(v)) for v in p)),
        lambda p: [np.cos(v) + np.exp(v) for v in p],
        ARRAYS,
        "ok",
    ),
    "oscillating": (check_gradient, lambda x: float(np.sum(np.sin(1e6 * x))), lambda x: np.cos(1e6 * x), X, "ok"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_check_calls_f_more_than_500_times(name):
    check, f, claim, x, never = COSTLY[name]
    calls = Counter()

    def counted(*given):
        calls["f"] += 1
        return f(*given)

    report = check(counted, claim, x)
    assert report.evaluations == calls["f"] <= 500
    assert report.verdict not in (never, "undecided"), str(report)


@pytest.mark.parametrize("n", [40, 130])
def test_a_large_jacobian_is_named_by_two_calls_for_each_column(n):
    B, x = A[:n, :n], ZEROS[:n] + 0.5
    report = check_jacobian(lambda x: np.tanh(B @ x), lambda x: ((1 - np.tanh(B @ x) ** 2)[:, None] * B).T, x)
    assert report.diagnosis == "transpose"
    assert report.evaluations <= 2 * n + 50


@pytest.mark.parametrize("seed", range(12))
def test_a_granted_tolerance_is_a_share_of_the_gradients_norm_and_only_relaxes(seed):
    rng = np.random.default_rng(seed)
    x, W = rng.normal(size=(n := int(rng.integers(3, 30)))), rng.normal(size=(4, n)) / np.sqrt(n)  # no saturated tanh
    signs = [rng.choice([-1.0, 1.0], a.shape) for a in (x, W)]

    def f(x, W):
        return float(np.sum(np.tanh(W @ x)))

    def off(share, signs):
        def grad(x, W):
            s = 1 - np.tanh(W @ x) ** 2
            return tuple(g * (1 + share * e) for g, e in zip((W.T @ s, np.outer(s, x)), signs, strict=True))

        return grad

    for each in (signs, [1.0, 1.0]):  # every leaf and entry is off by as much, this way and that or all one way
        assert check_gradient(f, off(5e-4, each), x, W, seed=seed, rtol=1e-3).ok
        assert check_gradient(f, off(5e-3, each), x, W, seed=seed, rtol=1e-3).verdict == "wrong"
    for share in (0.0, 3e-9, 1e-8):  # what is right without it is right with it
        if check_gradient(f, off(share, signs), x, W, seed=seed).ok:
            assert all(check_gradient(f, off(share, signs), x, W, seed=seed, rtol=rtol).ok for rtol in (1e-15, 1e-9, 1e-7, 0.5))
