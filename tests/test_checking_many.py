"""Tables of checks, whoever runs them."""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import derivkit as dk

X = np.array([1.0, -2.0, 0.5])


def cubes(x):
    return float(np.sum(x**3))


def cubes_grad(x):
    return 3 * x**2


def half(x):
    return 1.5 * x**2


def raises(x):
    raise ZeroDivisionError("no such thing")


def sines_vjp(y_bar, x):
    return y_bar * np.cos(x)


CASES = {"right": (cubes, cubes_grad, X), "half": (cubes, half, X), "vjp": ("vjp", np.sin, sines_vjp, X)} | {
    f"right, {k}": (cubes, cubes_grad, X + k) for k in range(4)
}


class Inline:
    """The least that counts as an executor."""

    def submit(self, call, *args):
        future = Future()
        try:
            future.set_result(call(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def test_the_reports_do_not_depend_on_the_executor():
    alone = dk.check_many(CASES)
    assert [name for name, report in alone.items() if not report] == ["half"]
    assert list(alone) == list(CASES)
    assert dk.check_many(CASES, Inline()) == alone
    with ThreadPoolExecutor(2) as threads:
        assert dk.check_many(CASES, threads) == alone
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert dk.check_many(CASES, processes) == alone


@pytest.mark.parametrize("executor", [None, Inline()])
def test_an_exception_carries_the_name_of_its_case(executor):
    with pytest.raises(dk.DerivkitError, match="no such thing") as caught:
        dk.check_many({"fine": (cubes, cubes_grad, X), "broken": (raises, cubes_grad, X)}, executor)
    assert "broken" in "".join(caught.value.__notes__)
    with pytest.raises(dk.DerivkitError, match="'short'"):
        dk.check_many({"short": (cubes,)}, executor)


def test_what_cannot_be_sent_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(dk.DerivkitError, match="'closure'"):
        dk.check_many({"closure": (lambda x: cubes(x), cubes_grad, X)}, Inline())
