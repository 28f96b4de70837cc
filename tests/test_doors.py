"""The Python doors: one spelling of names, nothing taken silently, the same meaning in text, evaluation and kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.symbolic.ops import OPS

SQUARE = "x: N\nE = sum(x**2)"
GREEK = "δ:\nx: N\nE = δ*sum(x**2)"
POINT = {"x": np.array([1.0, 2.0])}

# -- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrt", ["δ", "delta"])
@pytest.mark.parametrize("given", ["δ", "delta"])
@pytest.mark.parametrize("text", [GREEK, GREEK.replace("δ", "delta")])
def test_greek_letters_and_their_names_are_one(text: str, given: str, wrt: str) -> None:
    values = {given: 3.0, **POINT}
    assert dk.derive(text, wrt).evaluate(values) == 5
    assert dk.derive(text, wrt).evaluate(**values) == 5
    assert dk.derive("E = δ*sum(x**2)", wrt, shapes={given: "", "x": "N"}).evaluate(values) == 5
    value, grads = dk.compile(text, wrt)(values)
    assert (value, grads["delta"]) == (15, 5)
    batched = dk.compile(text, wrt, batch=given)
    assert batched({given: np.array([3.0, 4.0]), **POINT})[0] == 17.5
    history = dk.fit(dk.compile(text, wrt), data=POINT, params={given: 1.0}, epochs=1, lr=0.1)
    assert history.params["delta"] == pytest.approx(0.5)


# -- nothing is taken silently --------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[], object], str, str]] = {
    "a size of no axis": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"Q": 4}), "DK008", "no size 'Q'"),
    "a size below 1": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"N": 0}), "DK020", "whole number from 1"),
    "half a size": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"N": 2.5}), "DK020", "whole number"),  # type: ignore[dict-item]
    "a size that is True": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes={"N": True}), "DK020", "whole number"),
    "sizes that are a list": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, sizes=["N"]), "DK010", "mapping"),  # type: ignore[arg-type]
    "complex numbers": (lambda: dk.derive(SQUARE, "x").evaluate(x=[1j, 2]), "DK040", "complex128, not real"),
    "complex numbers for a kernel": (lambda: dk.compile(SQUARE, "x")(x=[1j, 2]), "DK040", "complex128, not real"),
    "arrays without names": (lambda: dk.derive(SQUARE, "x").evaluate(np.ones(3)), "DK010", "by name"),  # type: ignore[arg-type]
    "arrays without names for a kernel": (lambda: dk.compile(SQUARE, "x")(np.ones(3)), "DK010", "by name"),  # type: ignore[arg-type]
    "a name twice": (lambda: dk.derive(GREEK, "x").evaluate({"δ": 1, "delta": 2, **POINT}), "DK010", "given twice"),
    "an unknown name": (lambda: dk.derive(SQUARE, "x").evaluate(POINT, y=2), "DK008", "'y' is no input"),
    "a check that is a word": (lambda: dk.derive(SQUARE, "x", check="no"), "DK010", "check= is True or False"),  # type: ignore[arg-type]
    "a direction of a gradient": (lambda: dk.derive(SQUARE, "x", along="v"), "DK031", "along="),
    "batch that is no name": (lambda: dk.compile(SQUARE, "x", batch=1.5), "DK010", "batch= is a name or several"),  # type: ignore[arg-type]
    "expand that is no name": (lambda: dk.derive(SQUARE, "x", expand=[None]), "DK010", "expand= is a name"),  # type: ignore[list-item]
    "a kind that is an array": (lambda: dk.derive(SQUARE, "x", kind=np.ones(2)), "DK031", "unknown kind"),  # type: ignore[arg-type]
    "a layout that is an array": (lambda: dk.derive(SQUARE, "x", layout=np.ones(2)), "DK031", "unknown layout"),  # type: ignore[arg-type]
    "zero over zero": (lambda: dk.derive("x: N\nE = sum(x)*0/0", "x"), "DK005", "division by zero"),
    "a sum over zero": (lambda: dk.derive("x: N\nE = sum(x)/0", "x"), "DK005", "division by zero"),
    "a zero by arithmetic": (lambda: dk.derive("x: N\nE = sum(x)/(1 - 1)", "x"), "DK005", "division by zero"),
    "a root of zero below": (lambda: dk.derive("x: N\nE = sum(x)*0**-0.5", "x"), "DK005", "division by zero"),
}


@pytest.mark.parametrize("call", WRONG)
def test_what_means_nothing_is_refused(call: str) -> None:
    run, code, said = WRONG[call]
    with pytest.raises(DerivkitError, match=said) as caught:
        run()
    assert caught.value.code == code


def test_a_division_by_zero_has_its_place() -> None:
    with pytest.raises(DerivkitError) as caught:
        dk.derive("x: N\nE = sum(x)*0/0", "x")
    assert (caught.value.line, caught.value.column) == (2, 14)


# -- one meaning in evaluation, kernels and derivatives ------------------------------------------------------------------


@pytest.mark.parametrize(("lo", "hi"), [(-1.0, 1.0), (1.0, -1.0), (0.5, 0.5)])
def test_clip_is_that_of_numpy_also_where_its_limits_cross(lo: float, hi: float) -> None:
    text = "x: N\na:\nb:\nc = clip(x, a, b)\nE = c @ x"
    point = {"x": np.array([-3.0, -0.2, 0.2, 3.0]), "a": lo, "b": hi}

    def value(**moved: object) -> float:
        at = {**point, **moved}
        return float(np.clip(at["x"], at["a"], at["b"]) @ at["x"])

    kernel, step = dk.compile(text, "x, a, b"), 1e-6
    assert kernel(point)[0] == pytest.approx(value())
    for name in "ab" if lo != hi else "":
        slope = (value(**{name: point[name] + step}) - value(**{name: point[name] - step})) / (2 * step)
        assert kernel(point)[1][name] == pytest.approx(slope, abs=1e-8)
        assert dk.derive(text, name).evaluate(point) == pytest.approx(slope, abs=1e-8)
    inside = (point["x"] >= lo) & (point["x"] <= hi)
    slopes = np.clip(point["x"], lo, hi) + inside * point["x"]
    np.testing.assert_allclose(kernel(point)[1]["x"], slopes)
    np.testing.assert_allclose(dk.derive(text, "x").evaluate(point), slopes)


@pytest.mark.parametrize("line", ["gelu(x)", "x*(1 + erf(x/sqrt(2)))/2", "x*erfc(-x/sqrt(2))/2"])
@pytest.mark.parametrize("x", [-30.0, -10.0, -3.0, -1e-3, 0.5, 8.0])
def test_gelu_keeps_its_digits_far_below_zero(line: str, x: float) -> None:
    mp = pytest.importorskip("mpmath")
    with mp.workdps(40):
        value, slope = float(x * mp.ncdf(x)), float(mp.ncdf(x) + x * mp.npdf(x))
    got, grads = dk.compile(f"x:\nE = {line}", "x")(x=x)
    assert got == pytest.approx(value, rel=1e-12)
    assert grads["x"] == pytest.approx(slope, rel=1e-12)
    if line == "gelu(x)":
        assert dk.derive("x:\nE = gelu(x)", "x").evaluate(x=x) == pytest.approx(slope, rel=1e-12)
        assert dk.derive("x:\ny = gelu(x)\nE = y**2", "y").evaluate(x=x) == pytest.approx(2 * value, rel=1e-12)


# -- a kink is stated where the whole has one ------------------------------------------------------------------------------

KINKED = {
    "sum(abs(x))": ["abs"],
    "sum(relu(x))": ["relu"],
    "norm(x)": ["norm"],
    "log(norm(x))": ["norm"],
    "sum(maximum(x, w))": ["maximum"],
    "sum(maximum(x, w) + minimum(x, w))": ["maximum", "minimum"],  # at a tie the formula says 2
    "sum(relu(x) - relu(-x))": ["relu"],  # at 0 it says 0, and the whole has slope 1
    "sum(clip(x, 0, 1))": ["clip"],
    "sum(hardtanh(x)**2)": ["hardtanh"],
    "sum(elu(x, 0.5))": ["elu"],
    "max(x)": ["max"],
    "sum(huber(x, w)) + sum(relu(x - 1))": ["relu"],
    "sum(x*abs(x))": [],
    "sum(abs(x)**3)": [],
    "sum(relu(x)**2)": [],
    "sum(maximum(x, 0)**2)": [],
    "sum(maximum(0, 1 - w*x)**2)": [],
    "huber(x, w)": [],
    "huber(x, w, 0.3)": [],
    "norm(x)**2": [],
    "norm(x)**3": [],
    "sum(elu(x))": [],
    "sum(clip(x, 0, 1)**2*(clip(x, 0, 1) - 1)**2)": [],
    "max(relu(x))": ["max", "relu"],  # at the kink of the largest entry
}


@pytest.mark.parametrize("loss", KINKED)
def test_a_kink_is_stated_where_the_result_has_one(loss: str) -> None:
    d = dk.derive(f"x: N\nw: N\nE = {loss}", "x")
    said = [OPS[op].convention for op in KINKED[loss]]
    assert list(d.conventions) == said
    assert ("at kinks" in str(d)) == bool(said)


# -- a slip in a name ------------------------------------------------------------------------------------------------------

SLIPS = {
    "x: D\nW1: M, D\nE = sum(tanh(W12 @ x)**2)": "W12: a matrix of sizes K, D (W12 is not declared; did you mean 'W1'?)",
    "x: D\nhidden = tanh(x)\nE = sum(hiddn*hidden)": "hiddn: a vector of size D (hiddn is not declared; did you mean 'hidden'?)",
    "x: D\nW1: M, D\nE = sum((W1 @ x + b1)**2)": "b1: a vector of size M",
    "t_hat: D\nE = sum((x_hat - t_hat)**2)": "x_hat: a vector of size D",
    "x: D\nE = sum(W @ x)": "W: a matrix of sizes M, D",
}


@pytest.mark.parametrize("text", SLIPS)
def test_an_undeclared_name_near_another_is_said_to_be(text: str) -> None:
    d = dk.derive(text, text.split()[0].rstrip(":"))
    assert d.primal.assumed == (SLIPS[text],)
    assert SLIPS[text] in str(d)
    assert d.latex()
    assert dk.derive("E = sum(hiden*hidden)", "hidden").primal.assumed[0] == "hiden: a vector of size D"


@pytest.mark.parametrize("line", ["stack(a, b)[0] @ b", "sum(exp(stack(b, a))[1]*b)", "stack(b, 2*a)[-1] @ stack(a, b)[1]"])
def test_an_entry_of_a_stack_is_the_operand_in_a_kernel_too(line: str) -> None:
    point = {"a": np.array([1.0, 2.0]), "b": np.array([0.5, -1.0])}
    text = f"a: N\nb: N\nE = {line}"
    for name in "ab":
        np.testing.assert_allclose(dk.compile(text, name)(point)[1][name], dk.derive(text, name).evaluate(point))


def test_a_lambda_is_no_program() -> None:
    with pytest.raises(dk.DerivkitError, match="a lambda is no program") as error:
        dk.program(lambda x, w: x @ w)
    assert "write a def" in (error.value.hint or "")
