"""Numbers of more digits than are read: they are written as the float that they are, and read again."""

from __future__ import annotations

import pytest

import derivkit as dk

WRITTEN = [
    ("x: N\nE = sum((x/3)**60)", "20/14130386091738734504764811067"),
    ("x: N\nE = sum(x)*1e200*1e40", "1e240"),
    ("x: N\nE = sum(x)/1e200/1e40", "1e-240"),
    ("x: N\na = 1e-150*sum(x)\nE = a*1e-100/3", "e-251"),
    ("x: N\nE = sum(x**2)*123456789012345678901234567890*98765432109876543210", "e49"),
]


@pytest.mark.parametrize(("program", "part"), WRITTEN, ids=[c[1] for c in WRITTEN])
def test_a_long_number_is_read_again(program, part):
    d = dk.derive(program, "x")
    for notation in ("matrix", "index"):
        text = d.program(notation=notation)
        assert max(len(word) for word in text.split("\n")[-1].split()) < 60
        again = dk.derive(text, "x", kind="jacobian")
        assert again.primal.shape(again.primal.output)
    assert part in d.result.program() or part in d.program(notation="index")


@pytest.mark.parametrize("body", ["sum(x)*1e-300*1e-300", "1e300*sum(x)*1e300", "sum(x)/1e300/1e300"])
def test_a_number_that_no_float_holds_is_refused(body):
    with pytest.raises(dk.DerivkitError, match="a number beyond 1e±308"):
        dk.derive(f"x: N\nE = {body}", "x")
