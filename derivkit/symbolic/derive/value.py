"""The value of a derivative at given arrays: reference evaluation of the derived graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.layout import axis_order, read_layout
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph, fix_sizes
from derivkit.symbolic.steps import Derivation, Result


def evaluate_derivation(
    derivation: Derivation, values: Mapping[str, Any], layout: str = "mixed", sizes: Mapping[str, int] | None = None
) -> NDArray[Any]:
    """Return the only result of ``derivation`` at ``values`` (arrays by name), its axes in ``layout``.

    ``sizes`` are for size names that no input fixes; others may be repeated and must agree.  Shapes are those of the
    program's declarations.  Raises :class:`DerivkitError`: DK041 (an input or a size is missing), DK012/DK040 (shapes).

    >>> import derivkit
    >>> derivkit.derive("E = sum(x**2)", wrt="x").evaluate(x=[1.0, 2.0]).tolist()
    [2.0, 4.0]
    """
    return evaluate_result(derivation.result, derivation, values, layout, sizes)


def evaluate_result(
    result: Result, derivation: Derivation, values: Mapping[str, Any], layout: str, sizes: Mapping[str, int] | None
) -> NDArray[Any]:
    """Return one of several results, see :func:`evaluate_derivation`."""
    graph = derivation.graph
    env = evaluate_graph(graph, values, sizes, best=True)
    fixed = fix_sizes(graph, {n: np.asarray(v) for n, v in values.items()}, sizes or {})
    natural = evaluate_expr(result.expr, env, fixed, result.outputs + result.inputs)
    order = axis_order(read_layout(layout), len(result.outputs), len(result.inputs))
    return np.array(np.transpose(natural, order), order="C")  # not ascontiguousarray: a scalar stays one
