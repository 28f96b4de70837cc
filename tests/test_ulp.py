"""Accuracy: every row of the tables in ``ulp`` within its limit, in both precisions, called and bound; naive forms are beyond."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import ulp
from scipy import special

import derivkit as dk
from derivkit.symbolic.ops import ELEMENTWISE, FUNCTIONS

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "accuracy.md"
PRECISIONS = (np.float32, np.float64)
ROW = {row.name: row for row in ulp.ROWS}
MOST = 16.0


@pytest.mark.parametrize("dtype", PRECISIONS, ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", ROW)
def test_functions_are_right_to_few_units_of_the_last_place(name: str, dtype: type) -> None:
    row = ROW[name]
    for form, found in ulp.measured(row, dtype).items():
        assert all(u <= limit for u, limit in zip(found, row.limits(dtype), strict=True)), (form, found)


def test_every_function_of_one_argument_has_its_row() -> None:
    tested = {row.text.partition("(")[0] for row in ulp.ROWS}
    missing = {n for n, op in ELEMENTWISE.items() if n in FUNCTIONS and len(op.parameters) - len(op.defaults) == 1} - tested
    assert not missing


@pytest.mark.parametrize("dtype", PRECISIONS, ids=lambda d: d.__name__)
@pytest.mark.parametrize("row", ulp.LOSSES, ids=lambda row: row.name)
def test_softmax_and_losses_are_right_to_sixteen_units(row: ulp.Loss, dtype: type) -> None:
    for scale in ulp.SCALES:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for form, found in ulp.loss_errors(row, scale, dtype).items():
                assert max(found) <= MOST, (scale, form, found)


def sigmoid_by_tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x * 0.5) * 0.5 + 0.5


NAIVE: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray] | None]] = {
    "the tanh form of a sigmoid": ("sigmoid", sigmoid_by_tanh, None),
    "y (1 - y)": ("sigmoid", special.expit, lambda x: special.expit(x) * (1 - special.expit(x))),
    "1 - tanh²": ("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "log(1 + exp)": ("softplus", lambda x: np.log(1 + np.exp(x)), None),
    "1 + erf": ("gelu", lambda x: x * (1 + special.erf(x * np.sqrt(0.5).astype(x.dtype))) / 2, None),
    "1 + tanh": ("gelu_tanh, below -1", lambda x: x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) / 2, None),
    "exp - 1": ("expm1", lambda x: np.exp(x) - 1, None),
    "log(sigmoid)": ("log(sigmoid(x))", lambda x: np.log(special.expit(x)), None),
    "exp of a rounded square": ("exp(-x**2/2)", lambda x: np.exp(-(x**2) / 2), None),
}


@pytest.mark.parametrize("dtype", PRECISIONS, ids=lambda d: d.__name__)
@pytest.mark.parametrize("what", NAIVE)
@np.errstate(all="ignore")
def test_the_measure_tells_naive_forms(what: str, dtype: type) -> None:
    name, value, slope = NAIVE[what]
    x = ulp.points(ROW[name].low, ROW[name].high, dtype)
    found = ulp.errors(ROW[name], value(x), None if slope is None else slope(x))
    assert any(u > limit for u, limit in zip(found, ROW[name].limits(dtype), strict=True)), found


def test_small_probabilities_lose_what_the_shift_by_the_largest_logit_rounds_off() -> None:
    z = (30 * np.random.default_rng(3).normal(size=(4, 5))).astype(np.float32)
    y, _ = dk.compile("z: N, K\ny = softmax(z)", "z", kind="vjp")(z=z, y_bar=np.ones_like(z))
    off = ulp.ulps(y.ravel(), [*ulp.softmax(ulp.ARRAY(z)).ravel()])
    assert np.all(off <= np.maximum(MOST, (z.max(1, keepdims=True) - z).ravel()))


# -- masks, halves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scores", ["where(m > 0, Q @ K.T/sqrt(D), -inf)", "Q @ K.T/sqrt(D) + where(m > 0, 0, -inf)"])
def test_a_mask_of_minus_infinity_is_that_of_attention(scores: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {w: rng.normal(size=s) for w, s in {"Q": (2, 4), "K": (3, 4), "V": (3, 2), "y_bar": (2, 2)}.items()}
    arrays["m"] = np.array([[1.0, 0, 1], [0, 1, 0]])
    head = "Q: N, D\nK: L, D\nV: L, P\nm: mask N, L\n"
    k = dk.compile(head + f"A = softmax({scores})\ny = A @ V", "Q,K,V", kind="vjp")
    right, slopes = dk.compile(head + "y = attention(Q, K, V, m)", "Q,K,V", kind="vjp")(arrays)
    step = k.bind(arrays)
    step()
    for value, grads in (k(arrays), (step.value, step.grads)):
        np.testing.assert_allclose(value, right, rtol=1e-14)
        for word, slope in slopes.items():
            np.testing.assert_allclose(grads[word], slope, rtol=1e-12, atol=1e-15)


def test_labels_never_meet_a_mask_elsewhere_in_their_row() -> None:
    z = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, 0.0]])
    k = dk.compile("z: K\nt: label K\nE = cross_entropy(onehot(t, K), softmax(z))", "z", batch=("z", "t"))
    given = {"z": z, "t": np.array([0, 2])}
    step = k.bind(given)
    for value, grads in (k(given), (step(), step.grads)):
        np.testing.assert_allclose(value, np.log1p(np.e) / 2)
        np.testing.assert_allclose(grads["z"][1], 0)
        assert grads["z"][0, 1] == 0


@pytest.mark.parametrize(
    ("text", "arrays", "value", "slope"),
    [
        ("c: N\nx: N\nE = sum(c**x)", {"c": [0.0, 2.0], "x": [2.0, 3.0]}, 8.0, {"x": [0, 8 * np.log(2)]}),
        ("p: N\nx: N\nE = kl_div(p, softmax(x))", {"p": [0.0, 1.0], "x": [0.0, 0.0]}, np.log(2), {"x": [0.5, -0.5]}),
        ("p: N\nx: N\nE = kl_div(p, x)", {"p": [0.0, 1.0], "x": [0.5, 0.5]}, np.log(2), {"x": [0, -2]}),
    ],
    ids=["power", "divergence from a softmax", "divergence"],
)
def test_zero_times_the_logarithm_of_zero_is_zero(text: str, arrays: dict, value: float, slope: dict) -> None:
    given = {word: np.array(numbers) for word, numbers in arrays.items()}
    k = dk.compile(text, "x")
    step = k.bind(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found, grads in (k(given), (step(), step.grads)):
            np.testing.assert_allclose(found, value, rtol=1e-14)
            np.testing.assert_allclose(grads["x"], slope["x"], rtol=1e-14)


def test_halves_are_computed_in_float32_and_come_back_as_halves() -> None:
    x = np.full((3000, 4), 200, np.float16)
    w = np.full(4, 0.001, np.float16)
    k = dk.compile("x: D\nw: D\nE = (w @ x)**2", "w", batch="x")
    right, slopes = k(x=x.astype(float), w=w.astype(float))
    step = k.bind(x=x, w=w)
    for value, grads in (k(x=x, w=w), (step(), step.grads)):
        assert grads["w"].dtype == np.float16
        np.testing.assert_allclose(value, right, rtol=1e-5)
        np.testing.assert_allclose(grads["w"], slopes["w"], rtol=1e-3)
    x[:] = 100
    np.testing.assert_allclose(step(), right / 4, rtol=1e-5)
    assert k.sgd(lr=0.1, x=x, w=w).params["w"].dtype == np.float32


@pytest.mark.parametrize(
    ("types", "result"),
    [
        ("float32 float64", "float64"),
        ("float16 float32", "float32"),
        ("int32 float32", "float32"),
        ("int8 int64", "float64"),
        ("longdouble float32", "longdouble"),
    ],
)
def test_results_have_the_widest_type_given(types: str, result: str) -> None:
    x, w = (np.ones(s, t) for s, t in zip(((3, 4), 4), types.split(), strict=True))
    k = dk.compile("x: D\nw: D\nE = (w @ x)**2", "w", batch="x")
    step = k.bind(x=x, w=w)
    assert k(x=x, w=w)[1]["w"].dtype == step.grads["w"].dtype == np.dtype(result)


# -- the page -------------------------------------------------------------------------------------------------------------

TABLE = re.compile(r"(?<=<!-- measured: see tests/test_ulp.py -->\n).*?(?=<!-- end -->)", re.DOTALL)


def shown(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}"


def limits(row: ulp.Row) -> str:
    pairs = dict.fromkeys(row.limits(d) for d in PRECISIONS)
    return "; ".join("{:g}, {:g}".format(*pair) for pair in pairs)


def tables() -> str:
    """Return the tables of the page, measured here and now: the worst of called and bound."""
    lines = [
        "| function | limits | value, float32 | slope, float32 | value, float64 | slope, float64 |",
        "|---|---|---|---|---|---|",
    ]
    for row in ulp.ROWS:
        worst = [[max(pair) for pair in zip(*ulp.measured(row, d).values(), strict=True)] for d in PRECISIONS]
        cells = [shown(u) for found in worst for u in found]
        lines.append(f"| `{row.name}` | {limits(row)} | {' | '.join(cells)} |")
    lines += ["", "| loss | value, float32 | gradient, float32 | value, float64 | gradient, float64 |", "|---|---|---|---|---|"]
    for loss in ulp.LOSSES:
        cells = []
        for dtype in PRECISIONS:
            found = [pair for scale in ulp.SCALES for pair in ulp.loss_errors(loss, scale, dtype).values()]
            cells += [shown(max(column)) for column in zip(*found, strict=True)]
        lines.append(f"| {loss.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_rows_and_their_limits(update_golden: bool) -> None:
    text = PAGE.read_text(encoding="utf-8")
    if update_golden:
        PAGE.write_text(text := TABLE.sub(lambda _: tables(), text), encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.search(text)[0].splitlines() if line]  # type: ignore[index]
    said = {cells[0]: cells[1] for cells in rows if len(cells) == 6}
    assert {name: said.get(f"`{name}`") for name in ROW} == {name: limits(row) for name, row in ROW.items()}
    assert {loss.name for loss in ulp.LOSSES} <= {cells[0] for cells in rows}
