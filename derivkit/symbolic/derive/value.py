"""The value of a derivative at given arrays: reference evaluation of the derived graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.layout import axis_order, read_layout
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.given import by_name, fix_sizes, given_sizes, real_arrays
from derivkit.symbolic.steps import Result


def evaluate_result(
    result: Result,
    values: Mapping[str, Any] | None,
    layout: str = "mixed",
    sizes: Mapping[str, int] | None = None,
    named: Mapping[str, Any] | None = None,
) -> NDArray[Any]:
    """Return a result at ``values`` (arrays by name; ``named`` are more of them), its axes in ``layout``.

    ``sizes`` are for size names that no input fixes; others may be repeated and must agree.  Shapes are those of the
    program's declarations.  Raises :class:`DerivkitError`: DK041 (an input or a size is missing), DK008
    (a name that the program does not have), DK012/DK040 (shapes, complex numbers).

    >>> import derivkit
    >>> derivkit.derive("E = sum(x**2)", wrt="x").evaluate(x=[1.0, 2.0]).tolist()
    [2.0, 4.0]
    """
    graph, order = result.graph, read_layout(layout)
    arrays = real_arrays(by_name(values, named))
    told = given_sizes(graph, sizes)
    env = evaluate_graph(graph, arrays, told)
    fixed = fix_sizes(graph, arrays, told)
    for d in result.shared:
        if d.name not in env:
            env[d.name] = evaluate_expr(d.best, env, fixed, d.indices)
    natural = evaluate_expr(result.expr, env, fixed, result.outputs + result.inputs)
    return np.array(np.transpose(natural, axis_order(order, len(result.outputs), len(result.inputs))), order="C")
