"""No verdict, cause or cost depends on the units of a function or of its arguments: powers of two change no digit."""

from __future__ import annotations

import numpy as np
import pytest
import test_check_gradient
import test_checking_wrong

from derivkit.checking.check import check_gradient

ROWS = {f"right: {name}": row for name, row in test_check_gradient.RIGHT.items()} | {
    f"wrong: {name}": (f, grad, *args)
    for table in (test_check_gradient.WRONG, test_checking_wrong.WRONG)
    for name, (f, grad, _, *args) in table.items()
    if name not in ("mutates", "overwrites")  # what is multiplied is another array
}
#: The cause is a function of the argument, which is another one in another unit.
NOT_OF_UNITS = {"missing-factor", "mask"}
#: These are at zero, which has no unit, or their sums are rounded in another way.
AT_ZERO = {"even at zero", "one tiny entry", "float32 large", "integers and None", "bias not summed", "wrong where exp is large"}


def times(tree, factor):
    if isinstance(tree, dict):
        return {key: times(value, factor) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(times(value, factor) for value in tree)
    if isinstance(tree, (np.ndarray, np.generic)):
        return tree * tree.dtype.type(factor) if tree.dtype.kind == "f" else tree
    return tree * factor if isinstance(tree, float) else tree


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_another_unit_changes_nothing(name):
    f, grad, *args = ROWS[name]
    known = check_gradient(f, grad, *args)
    for of_f, of_x in ((2.0**-60, 2.0**30), (2.0**40, 2.0**-30)):
        report = check_gradient(
            lambda *x, of_f=of_f, of_x=of_x: times(f(*times(x, of_x)), of_f),
            lambda *x, of_f=of_f, of_x=of_x: times(grad(*times(x, of_x)), of_f * of_x),
            *times(tuple(args), 1 / of_x),
        )
        assert (report.verdict, report.blame) == (known.verdict, known.blame), f"{known}\n{report}"
        if name.partition(": ")[2] not in AT_ZERO:
            assert report.evaluations == known.evaluations
            assert report.error_bar == pytest.approx(known.error_bar, rel=1e-9, nan_ok=True)
        if known.diagnosis not in NOT_OF_UNITS:
            assert report.diagnosis == known.diagnosis
