"""Random expressions of index notation with values for their names; sizes of 1 and repeated letters included."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from derivkit.symbolic.evaluate import evaluate_expr
from derivkit.symbolic.expr import Add, Const, Delta, Expr, Fn, Inside, Mul, Num, Pow, Prim, Ref, SizeOf, Sum, user
from derivkit.symbolic.index import Affine, Index, Size

N, M = Size.of("N"), Size.of("M")
FREE = (Index("i", N), Index("j", M))
SIZES = ({"N": 3, "M": 2}, {"N": 2, "M": 4}, {"N": 1, "M": 1})
NUMBERS = [Num(v) for v in (0, 1, -1, 2, Fraction(1, 2), -3)]
EXPONENTS = [Num(v) for v in (-2, -1, Fraction(1, 2), 0, 1, 2, 3)]
UNARY = ["exp", "tanh", "sigmoid", "abs", "relu", "step", "sign", "sin", "log"]
BINARY = ["maximum", "greater", "less_equal", "equal"]
ARRAYS: dict[str, tuple[Size, ...]] = {"x": (N,), "y": (M,), "A": (N, M), "B": (N, N), "s": (), "one": (Size.of(1),)}


def environment(sizes: dict[str, int], seed: int = 0) -> dict[Any, np.ndarray]:
    """Return values for every name of :data:`ARRAYS`, of both signs, and a label ``k`` in range(N)."""
    rng = np.random.default_rng(seed + 17 * sizes["N"])
    env = {user(n): rng.uniform(0.3, 1.6, tuple(s.evaluate(sizes) for s in shape)) for n, shape in ARRAYS.items()}
    env = {n: a * rng.choice([-1.0, 1.0], a.shape) for n, a in env.items()}
    return {**env, user("k"): np.asarray(rng.integers(0, sizes["N"]))}


def value(expr: Expr, sizes: dict[str, int], order: tuple[Index, ...] = FREE, seed: int = 0) -> np.ndarray:
    with np.errstate(all="ignore"):
        return evaluate_expr(expr, environment(sizes, seed), sizes, order)


@st.composite
def subscripts(draw: Any, scope: tuple[Index, ...], size: Size) -> Affine:
    """Draw a subscript for an axis of ``size``: an index over it, shifted or not, a constant or a label."""
    if size.literal == 1:
        return Affine.of(0)
    fitting = [i for i in scope if i.size == size]
    kind = draw(st.sampled_from(["bare"] * 6 + ["shift", "label", "constant", "mixed"])) if fitting else "constant"
    if kind == "constant":
        return Affine.of(0)
    if kind == "label" and size == N:
        return Affine.of(Ref(user("k")))
    index = draw(st.sampled_from(fitting))
    if kind == "shift":
        return Affine.of(index) + draw(st.sampled_from([-1, 1]))
    if kind == "mixed":
        return Affine.of(index).scaled(draw(st.sampled_from([1, -1, 2]))) + draw(st.sampled_from(scope))
    return Affine.of(index)


@st.composite
def expressions(draw: Any, scope: tuple[Index, ...] = FREE, depth: int = 3) -> Expr:
    """Draw an expression whose free indices lie in ``scope``."""
    leaf = depth == 0 or draw(st.integers(0, 4)) == 0
    if leaf:
        kind = draw(st.sampled_from(["ref"] * 5 + ["number", "size", "delta", "inside", "pi"]))
        if kind == "number":
            return draw(st.sampled_from(NUMBERS))
        if kind == "size":
            return SizeOf(draw(st.sampled_from([N, M, N * M, N + 1])))
        if kind == "pi":
            return Const("pi")
        if kind == "delta":
            size = draw(st.sampled_from([N, M]))
            return Delta(draw(subscripts(scope, size)), draw(subscripts(scope, size)))
        if kind == "inside":
            return Inside(draw(subscripts(scope, N)), draw(st.sampled_from([N, M])))
        name = draw(st.sampled_from(sorted(ARRAYS)))
        return Ref(user(name), tuple(draw(subscripts(scope, s)) for s in ARRAYS[name]))
    deeper = expressions(scope, depth - 1)
    kind = draw(st.sampled_from(["add", "mul", "mul", "pow", "unary", "binary", "where", "sum", "sum", "sum", "prim"]))
    if kind in {"add", "mul"}:
        args = tuple(draw(st.lists(deeper, min_size=2, max_size=3)))
        args += args[:1] if draw(st.booleans()) else ()  # like terms and powers to collect
        return Add(args) if kind == "add" else Mul(args)
    if kind == "pow":
        return Pow(draw(deeper), draw(st.sampled_from(EXPONENTS)))
    if kind == "unary":
        return Fn(draw(st.sampled_from(UNARY)), (draw(deeper),))
    if kind == "binary":
        return Fn(draw(st.sampled_from(BINARY)), (draw(deeper), draw(deeper)))
    if kind == "where":
        condition = Fn(draw(st.sampled_from(["greater", "less"])), (draw(deeper), draw(st.sampled_from(NUMBERS))))
        return Fn("where", (condition, draw(deeper), draw(deeper)))
    bound = tuple(Index(draw(st.sampled_from("ijk")), draw(st.sampled_from([N, M]))) for _ in range(draw(st.integers(1, 2))))
    if kind == "sum":
        return Sum(bound, draw(expressions(scope + bound, depth - 1)))
    body = draw(expressions(scope + bound[:1], depth - 1))
    op = draw(st.sampled_from(["softmax", "logsumexp", "max"]))
    fitting = [i for i in scope if i.size == bound[0].size]
    at = (Affine.of(draw(st.sampled_from(fitting))) if fitting else Affine.of(0),) if op == "softmax" else ()
    return Prim(op, bound[:1], (body,), at)
