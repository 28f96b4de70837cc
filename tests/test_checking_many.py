"""Tables of checks, whoever runs them."""

from __future__ import annotations

import itertools
import os
import pickle
import sys
import threading
import time
import warnings
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import SimpleNamespace

import numpy as np
import pytest

import derivkit as dk
from derivkit.checking.many import Reports
from derivkit.checking.report import Report

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


def test_loky():
    loky = pytest.importorskip("loky")
    with loky.ProcessPoolExecutor(2) as workers:
        assert dk.check_many(CASES, workers) == dk.check_many(CASES)


def test_dask():
    alone = dk.check_many(CASES)
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            assert dk.check_many(CASES, client.get_executor()) == alone


def test_closures_go_by_cloudpickle():
    pytest.importorskip("cloudpickle")
    cases = {f"times {k}": (lambda x, k=k: k * cubes(x), lambda x, k=k: k * cubes_grad(x), X) for k in range(2, 6)}
    alone = dk.check_many(cases)
    assert alone.ok
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert dk.check_many(cases, processes) == alone


@pytest.mark.parametrize("executor", [None, Inline()])
def test_an_exception_carries_the_name_of_its_case(executor):
    with pytest.raises(dk.DerivkitError, match=r"case 'broken': .*no such thing") as caught:
        dk.check_many({"fine": (cubes, cubes_grad, X), "broken": (raises, cubes_grad, X)}, executor)
    assert "broken" in "".join(caught.value.__notes__)
    for bad in ((cubes,), "gradient", (), ("gradient", cubes), None):
        with pytest.raises(dk.DerivkitError, match="'short'"):
            dk.check_many({"short": bad}, executor)
    with pytest.raises(dk.DerivkitError, match="'short': there is no check 'jacobean'") as caught:
        dk.check_many({"short": ("jacobean", cubes, cubes_grad, X)}, executor)
    assert caught.value.hint == "did you mean 'jacobian'?"


def test_an_exception_in_another_process_carries_the_name_of_its_case():
    cases = {"fine": (cubes, cubes_grad, X), "broken": (raises, cubes_grad, X), "dead": (dies, cubes_grad, X)}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        with pytest.raises(dk.DerivkitError, match="case 'broken'") as caught:
            dk.check_many(cases, processes)
        assert caught.value.__notes__ == ["in the case 'broken'"]
        with pytest.raises(BrokenProcessPool) as broken:
            dk.check_many({"dead": cases["dead"]}, processes)
        assert broken.value.__notes__ == ["in the case 'dead'"]


def dies(x):
    os._exit(1)


def test_what_cannot_be_sent_is_named(monkeypatch):
    pytest.importorskip("cloudpickle")
    lock = threading.Lock()

    def locked(x):
        with lock:
            return cubes(x)

    with pytest.raises(dk.DerivkitError, match=r"'held'.*the closure .*locked \(line \d+ of test_checking_many.py\), .* 'lock'"):
        dk.check_many({"held": (locked, cubes_grad, X)}, Inline())
    with pytest.raises(dk.DerivkitError, match="'argument': an argument of lock cannot be sent"):
        dk.check_many({"argument": (cubes, cubes_grad, X, lock)}, Inline())
    assert dk.check_many({"held": (locked, cubes_grad, X)}).ok
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(dk.DerivkitError, match=r"'closure': the function .*<lambda>") as caught:
        dk.check_many({"closure": (lambda x: cubes(x), cubes_grad, X)}, Inline())
    assert "cloudpickle" in caught.value.hint


@pytest.mark.parametrize(("seconds", "tasks"), [(0, 1), (1 / 1024, 6), (1 / 64, 75), (1 / 16, 297), (2, 297)])
def test_tasks_are_worth_sending(seconds, tasks, monkeypatch):
    class Counting(Inline):
        sent = 0

        def submit(self, call, *args):
            self.sent += 1
            return super().submit(call, *args)

    clock = itertools.count(0, seconds)  # read before and after each check
    faked = SimpleNamespace(perf_counter=lambda: next(clock), monotonic=time.monotonic)
    monkeypatch.setattr("derivkit.checking.many.time", faked)
    executor = Counting()
    reports = dk.check_many({str(k): (cubes, cubes_grad, X + k / 100) for k in range(300)}, executor)
    assert list(reports) == [str(k) for k in range(300)]
    assert executor.sent == 3 + tasks


def test_errors_of_arithmetic_are_handled_as_the_caller_wants_whoever_runs_them():
    def logs(x):
        return float(np.sum(np.log(x - 1.0)) if x.min() > 1 else -np.log(np.zeros(1))[0])

    with np.errstate(all="raise"), ThreadPoolExecutor(1) as threads:
        for executor in (None, threads):
            with pytest.raises(dk.DerivkitError, match="FloatingPointError"):
                dk.check_many({"log": (logs, lambda x: x, np.ones(2))}, executor)


def test_the_table_prints_and_is_true_when_all_are_right():
    reports = dk.check_many(CASES.items())
    assert isinstance(reports, dict)
    assert not reports
    assert not reports.ok
    lines = str(reports).splitlines()
    assert lines[0].split() == ["case", "verdict", "cause", "relative", "error", "evaluations"]
    assert "scale:0.5" in lines[2]
    assert lines[-1] == "7 checks: 1 wrong"
    assert len(lines) == len(CASES) + 2
    assert dk.check_many({"right": CASES["right"]})
    unclear = Reports(one=Report(False, undecided=True, diagnosis="undecided"))
    assert str(unclear).splitlines()[-1] == "1 check: 1 undecided"
    with pytest.raises(dk.DerivkitError, match="two cases are called 'same'"):
        dk.check_many([("same", CASES["right"]), ("same", CASES["half"])])


def test_reports_without_a_number_are_equal_too():
    one = dk.check_gradient(cubes, lambda x: x[:2], X)
    assert np.isnan(one.error)
    sent = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own
    assert sent == one
    assert hash(sent) == hash(one)
    assert one != dk.check_gradient(cubes, cubes_grad, X)
    assert one != "wrong"


def test_progress_is_for_terminals_and_the_patient(monkeypatch, capsys):
    def shown(patience):
        monkeypatch.setattr("derivkit.checking.many.PATIENCE", patience)
        dk.check_many(CASES)
        return capsys.readouterr().err

    assert shown(0.0) == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert shown(1000.0) == ""
    text = shown(0.0)
    assert "checked 1 of 7" in text
    assert "checked 7 of 7, 1 wrong" in text
    assert text.endswith("\r")
    assert "\n" not in text
