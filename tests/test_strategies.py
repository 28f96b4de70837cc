"""The hypothesis strategies: what they draw is what differences can be taken at, and programs are right when derived."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import derivkit as dk
from derivkit.strategies import Program, arrays, cotangents, programs, shapes

QUICK = settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(shapes(1, 2, 2, 3))
def test_shapes(shape: tuple[int, ...]) -> None:
    assert 1 <= len(shape) <= 2
    assert all(2 <= side <= 3 for side in shape)


@QUICK
@given(arrays(kinks=(-1.0, 0.0, 1.0)))
def test_arrays_keep_away_from_kinks(x: np.ndarray) -> None:
    assert x.dtype == np.float64
    assert np.all(np.abs(x) <= 2)
    assert np.all(np.abs(np.abs(x)[..., None] - [0.0, 1.0]) >= 1 / 16)
    assert np.array_equal(x, x.astype(np.float16))  # exact in every precision
    clipped = dk.check_gradient(lambda x: np.clip(x, -1, 1).sum(), lambda x: (np.abs(x) < 1) * 1.0, x)
    assert clipped.ok


@QUICK
@given(st.data())
def test_arrays_of_a_shape_a_type_and_distinct_entries(data: st.DataObject) -> None:
    x = data.draw(arrays((3, 4), dtype=np.float32, low=0.5, high=3, distinct=True))
    assert (x.shape, x.dtype) == ((3, 4), np.float32)
    assert np.min(np.diff(np.sort(x, axis=None))) >= 1 / 16
    assert dk.check_gradient(lambda x: x.max(), lambda x: (x == x.max()).astype(x.dtype), x).ok
    assert data.draw(arrays(shapes(2, 2))).ndim == 2
    assert data.draw(arrays(3)).shape == (3,)


def test_what_there_is_none_of_is_told() -> None:
    with pytest.raises(dk.DerivkitError, match="away from the kinks"):
        arrays(low=-0.01, high=0.01)
    with pytest.raises(dk.DerivkitError, match="distinct numbers, not 1000"):
        arrays(1000, distinct=True)
    with pytest.raises(dk.DerivkitError, match="'tan_h' is no elementwise") as caught:
        find(programs(ops=["tan_h"]), lambda made: True)
    assert caught.value.hint == "did you mean 'tanh'?"


@QUICK
@given(cotangents((2, 3), dtype=np.float32))
def test_cotangents_leave_no_entry_out(y_bar: np.ndarray) -> None:
    assert (y_bar.shape, y_bar.dtype) == ((2, 3), np.float32)
    assert np.all((np.abs(y_bar) >= 0.5) & (np.abs(y_bar) <= 1.5))


@settings(QUICK, max_examples=60)
@given(programs())
def test_programs_are_right_when_derived_and_run(made: Program) -> None:
    kernel = dk.compile(made.text, wrt=made.wrt)
    used = {name: made.arrays[name] for name in kernel.shapes}
    report = kernel.check(used)
    assert report.ok or report.undecided, f"{made}\n{report}"

    def value(*given: np.ndarray) -> float:
        return kernel(dict(zip(used, given, strict=True)))[0]

    def grads(*given: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(kernel(dict(zip(used, given, strict=True)))[1][name] for name in used)

    again = dk.check_gradient(value, grads, *used.values())
    assert again.ok or again.undecided, f"{made}\n{again}"


def test_programs_of_one_operation() -> None:
    for name in ("relu", "tan", "log", "log1p", "softplus"):
        made = find(programs(ops=[name]), lambda made, name=name: f"{name}(" in made.text)
        assert dk.compile(made.text, wrt="x0").check(made.arrays).ok


def test_without_hypothesis_the_error_says_so() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import derivkit as dk\n"
        "from derivkit import *\n"
        "assert 'strategies' in dir(dk)\n"
        "try: dk.strategies\n"
        "except dk.DerivkitError as error: print(error.code, error, error.hint)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(dk.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    assert done.stdout == "DK043 derivkit.strategies needs hypothesis python -m pip install hypothesis\n"
