"""Reports: what they print, hand on as JSON and HTML, draw, and how they run again."""

from __future__ import annotations

import io
import json
import math
import pickle
import sys
from collections import namedtuple
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

import derivkit as dk
from derivkit.checking.report import Entry, Report
from derivkit.checking.spelled import reproduce

W = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]])
Pair = namedtuple("Pair", "a b")


@dataclass
class Point:
    x: np.ndarray
    n: int = 2


def squares(*args: object) -> float:
    return sum(float(np.sum(np.asarray(a, dtype=float) ** 2)) for a in flat(args))


def flat(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in flat(item)]
    if isinstance(value, Point):
        return flat(value.x)
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    return [value] if isinstance(value, (float, np.ndarray, np.floating)) else []


def tripled(value: object) -> object:
    if isinstance(value, dict):
        return {key: tripled(item) for key, item in value.items()}
    if isinstance(value, Point):
        return Point(tripled(value.x))  # type: ignore[arg-type]
    if isinstance(value, Pair):
        return Pair(*map(tripled, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(tripled, value))
    return 3 * value if isinstance(value, (float, np.ndarray, np.floating)) else None


def triple(*args: object) -> tuple[object, ...]:
    return tuple(map(tripled, args))


#: arguments that are spelled out
SPELLED = {
    "arrays": (np.array([1.0, 2.0]), np.array([[0.1]])),
    "float32": (np.array([0.1, 2.0], np.float32), np.float32(0.3)),
    "scalars": (1.5, np.float64(2.5), 3, True, None, "name"),
    "integers": (np.array([1.0]), np.array([1, 2]), np.array([1], np.int8)),
    "a dict": ({"w": np.array([1.0]), "b": {"c": 2.0, "n": 3}},),
    "lists": ([1.0, np.array([2.0])], (3.0,), []),
    "a named tuple": (Pair(1.0, np.array([2.0])),),
    "a dataclass": (Point(np.array([1.0, 2.0])),),
    "empty beside": (np.array([1.0]), np.zeros((0, 2))),
    "longdouble": (np.array([1.0, 0.1], np.longdouble),),
}


@pytest.mark.parametrize("args", SPELLED.values(), ids=SPELLED)
def test_the_line_that_reproduces_runs_and_says_the_same(args: tuple[object, ...]) -> None:
    report = dk.check_gradient(squares, triple, *args, seed=3)
    assert report.diagnosis == "scale:1.5", str(report)
    assert "*args" not in report.reproduce
    names = {"derivkit": dk, "np": np, "squares": squares, "triple": triple, "Pair": Pair, "Point": Point}
    assert eval(report.reproduce, names) == report  # noqa: S307 - our own line
    assert report.reproduce in str(report)


def test_the_line_that_reproduces_for_others() -> None:
    x = np.linspace(1, 2, 50)
    line = dk.check_vjp(np.sin, lambda y_bar, x: y_bar, x, rtol=1e-3).reproduce
    assert line == "derivkit.check_vjp(sin, grad, *args, seed=0, rtol=0.001)"
    assert eval(line, {"derivkit": dk, "sin": np.sin, "grad": lambda y_bar, x: y_bar, "args": (x,)}).diagnosis  # noqa: S307
    cases = {
        "*args": ({"k" * 50: 1.0}, {(1, 2): 1.0}, [object()], {1.0: 2.0}, type("Odd", (dict,), {})(a=1.0), np.zeros(13)),
    }
    for expected, values in cases.items():
        for value in values:
            assert f"f, grad, {expected}, seed=0" in reproduce("gradient", lambda x: 0, lambda x: 0, (value, "t" * 99), 0)

    seven = np.zeros(7)  # short one by one, long together
    assert "(f, grad, *args, seed=0)" in reproduce("gradient", lambda x: 0, lambda x: 0, (seven, seven), 0)

    class Layer:
        def loss(self, x: float) -> float:
            return x

        __call__ = loss

    assert "(f, grad, 1.0, seed=0)" in reproduce("gradient", Layer().loss, Layer(), (1.0,), 0)


def wrong() -> Report:
    def claim(W: np.ndarray) -> np.ndarray:
        made = 2 * W
        made[1, 2] += 0.5
        return made

    return dk.check_gradient(lambda W: float(np.sum(W**2)), claim, W)


def test_json_is_json() -> None:
    for report in (wrong(), dk.check_gradient(squares, lambda x: 2 * x, 3.0), Report(False, diagnosis="shape")):
        made = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert made["schema"] == "derivkit.report/1"
        assert made["verdict"] == report.verdict
        assert len(made["ladder"]) == len(report.ladder)
    assert wrong().to_json()["entries"][0]["index"] == [1, 2]  # type: ignore[index]


def test_reports_are_at_most_twenty_lines_and_end_with_how_to_run_them_again() -> None:
    entries = tuple(Entry("W" * 300, (k,), 1.0, 2.0, 1e-9) for k in range(40))
    long = Report(
        False,
        diagnosis="few-entries",
        entries=entries,
        evidence=("e" * 500,) * 30,
        subject="s" * 400,
        summary="m " * 400,
        reproduce="again(x)",
    )
    lines = str(long).splitlines()
    assert len(lines) <= 20
    assert all(len(line) <= 160 for line in lines)
    assert lines[-1] == "  reproduce: again(x)"
    assert len(str(wrong()).splitlines()) <= 20


def test_a_notebook_gets_html_that_escapes() -> None:
    evil = "<script>alert(1)</script>"
    report = Report(
        False,
        diagnosis="dense",
        subject=evil,
        summary=evil,
        evidence=(evil,),
        reproduce=evil,
        entries=(Entry(evil, (0,), 1, 2, 0),),
    )
    bundle = report._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    page = Xml.fromstring(bundle["text/html"])  # noqa: S314 - our own
    assert page.find(".//script") is None
    assert page.findtext(".//pre/code") == evil
    assert [cell.text for cell in page.findall(".//td")] == [f"{evil}[0]", "1", "2", "0"]
    assert report._repr_mimebundle_(include=["text/plain"]) == {"text/plain": str(report)}
    assert set(report._repr_mimebundle_(exclude=["text/plain"])) == {"text/html"}
    assert "<table>" not in dk.check_gradient(squares, lambda x: 2 * x, 3.0)._repr_mimebundle_()["text/html"]


def test_pictures() -> None:
    pytest.importorskip("matplotlib")
    report = wrong()
    assert report.leaves[0].shape == (2, 3)
    assert report.leaves[0].yours[5] == W[1, 2] * 2 + 0.5
    for made in (report, pickle.loads(pickle.dumps(report))):  # noqa: S301 - our own
        figure = made.plot()
        residual, picture = figure.axes[:2]
        steps = residual.get_lines()[0].get_xdata()
        assert len(steps) == sum(math.isfinite(off) for _, off, _ in made.ladder)
        off = np.asarray(picture.get_images()[0].get_array())
        assert np.argwhere(off > 1).tolist() == [[1, 2]]
        file = io.BytesIO()
        figure.savefig(file, format="png")
        assert file.getvalue().startswith(b"\x89PNG")
    right = dk.check_gradient(squares, lambda x: 2 * x, 3.0).plot()
    assert len(right.axes) == 1
    vector = dk.check_gradient(lambda x: float(x @ x), lambda x: 3 * x, W[0]).plot()
    assert len(vector.axes) == 3  # with the colour bar
    tensor = dk.check_gradient(lambda x: float(np.sum(x**2)), lambda x: 3 * x, np.arange(1.0, 13.0).reshape(2, 3, 2)).plot()
    assert np.asarray(tensor.axes[1].get_images()[0].get_array()).shape == (6, 2)
    kernel = dk.compile("x: D\nW: M, D\nE = sum(tanh(W @ x))", wrt="W")
    arrays = {"x": np.ones(3), "W": W}
    grads = kernel(arrays)[1]
    grads["W"][0, 1] *= 2
    (picture, _) = kernel.check(arrays, grads).plot().axes
    assert np.argwhere(np.asarray(picture.get_images()[0].get_array()) > 1).tolist() == [[0, 1]]
    with pytest.raises(dk.DerivkitError, match="nothing was measured"):
        dk.check_gradient(lambda x: float(x @ x), lambda x: x[:1], W[0]).plot()


def test_without_matplotlib_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(dk.DerivkitError, match="needs matplotlib") as caught:
        wrong().plot()
    assert caught.value.code == "DK043"
