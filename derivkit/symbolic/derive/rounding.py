"""How much of the difference between two lines rounding explains: what remains of large terms that cancel has few digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from derivkit.symbolic.evaluate import Evaluation
from derivkit.symbolic.expr import Expr, Fn, Name, Num, Pow, Prim, Ref, bare, replace
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import num
from derivkit.symbolic.ops_values import Array

ROUNDING = 1e-13  # of the terms' magnitude: 450 units of rounding, which the sums and products of one line do not reach


def is_rounding(left: Array, right: Array, lines: Sequence[Expr], run: Evaluation, order: tuple[Index | None, ...]) -> bool:
    """Say whether every entry of two values of one thing differs by no more than evaluating ``lines`` may round away.

    An entry of ``left`` that has no value is not compared.  A line that is wrong differs by a term, or a good part of one: some
    10¹² times as much.
    """
    allowed = sum((magnitude(line, run, order) for line in lines), start=np.zeros(()))
    alike = np.isfinite(right) & (np.abs(left - right) <= ROUNDING * allowed)
    return bool(np.all(alike | ~np.isfinite(left)))


def magnitude(expr: Expr, run: Evaluation, order: tuple[Index | None, ...]) -> Array:
    r"""Return the value of ``expr`` when no terms cancel: each number, name and function in it replaced by its modulus.

    >>> import numpy as np
    >>> from derivkit.symbolic.parse import read_program
    >>> graph = read_program("x:\ny = 2*x - 3*x*x")
    >>> run = Evaluation({n: np.array(5.0) for n in graph.inputs}, {})
    >>> float(magnitude(graph.definitions[-1].rhs, run, ()))
    85.0
    """
    env = {name: np.abs(array) if array.dtype.kind in "fc" else array for name, array in run.env.items()}

    def change(node: Expr) -> Expr | None:
        if isinstance(node, Num):
            return num(abs(node.value))
        if not isinstance(node, Pow | Fn | Prim):
            return None
        axes = tuple(sorted(node.free, key=lambda i: i.uid))
        name = Name("anon", f"magnitude {len(env)}")
        env[name] = np.abs(run.array(node, axes))
        return Ref(name, tuple(bare(i) for i in axes))

    return Evaluation(env, run.sizes).array(replace(expr, change), order)
