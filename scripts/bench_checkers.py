"""The gradient checker beside others, on its corpus of right and wrong gradients: ``scripts/bench checkers``.

Each is called as its documentation says, with its default tolerances; what is not installed is left out, and said so.
``--table`` prints Markdown, ``--rows`` what each got wrong; a number is the seed of the corpus' random data.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

import numpy as np  # noqa: E402 - one thread, or the times say nothing
import scipy  # noqa: E402 - the proofs of the corpus need it
from gradient_cases.checkers import HERE, Checker, Outcome, Problem, formal, outcomes, tally  # noqa: E402
from gradient_cases.rows import rows  # noqa: E402
from scipy.optimize import check_grad  # noqa: E402

try:
    from scipy.differentiate import jacobian
except ImportError:  # before SciPy 1.15
    jacobian = None
try:
    import torch
except ImportError:
    torch = None
try:
    import jax
    from jax import test_util

    jax.config.update("jax_enable_x64", True)
    logging.getLogger("jax").setLevel(logging.CRITICAL)  # it logs what a function raises, and raises it too
except ImportError:
    jax = None
try:
    import numdifftools
except ImportError:
    numdifftools = None
try:
    import autograd
    from autograd.extend import defvjp_argnums, primitive
    from autograd.test_util import check_grads
except ImportError:
    autograd = None


def of_torch(p: Problem, fast: bool = False) -> bool:
    class Claimed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return torch.from_numpy(p.f(*(x.detach().numpy() for x in xs)).copy())

        @staticmethod
        def backward(ctx: Any, y_bar: Any) -> Any:
            made = p.pull(y_bar.numpy(), *(x.detach().numpy() for x in ctx.saved_tensors))
            return tuple(torch.as_tensor(np.asarray(g, order="C")) for g in made)

    given = tuple(torch.tensor(leaf, requires_grad=True) for leaf in p.leaves)
    return torch.autograd.gradcheck(Claimed.apply, given, fast_mode=fast, raise_exception=False)


def of_jax(p: Problem) -> bool:
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, float) for leaf in p.leaves)
    value = jax.ShapeDtypeStruct(p.cotangent.shape, float)

    def f(*xs: Any) -> Any:
        return jax.pure_callback(lambda *given: p.f(*map(np.asarray, given)), value, *xs)

    def pull(xs: Any, y_bar: Any) -> Any:
        return jax.pure_callback(lambda *given: tuple(p.pull(*map(np.asarray, given))), shapes, y_bar, *xs)

    claimed = jax.custom_vjp(f)
    claimed.defvjp(lambda *xs: (f(*xs), xs), pull)
    try:
        test_util.check_grads(claimed, p.leaves, order=1, modes=("rev",))
    except AssertionError:
        return False
    return True


def of_autograd(p: Problem) -> bool:
    claimed = primitive(p.f)
    defvjp_argnums(claimed, lambda argnums, ans, args, kwargs: lambda y_bar: [p.pull(y_bar, *args)[n] for n in argnums])
    try:
        check_grads(claimed, tuple(range(len(p.leaves))), modes=["rev"], order=1)(*p.leaves)
    except AssertionError:
        return False
    return True


def of_scipy(p: Problem) -> bool:
    # It returns the norm of the difference, and leaves to us what is small: no other power of ten, in front of 1, of the
    # gradient's norm or of the larger of them, is right on two rows more.
    return bool(check_grad(p.value, p.gradient, p.x) < 1e-6 * max(1.0, float(np.linalg.norm(p.gradient(p.x)))))


def of_scipy_jacobian(p: Problem) -> bool:
    slopes = jacobian(lambda points: np.apply_along_axis(p.value, 0, points), p.x).df
    return np.allclose(p.gradient(p.x), slopes)


def of_numdifftools(p: Problem) -> bool:
    return np.allclose(p.gradient(p.x), numdifftools.Gradient(p.value)(p.x))


#: Each with its package, and whether that is here.
PEERS = (
    (Checker("torch.autograd.gradcheck", of_torch, 2), "torch", torch),
    (Checker("the same, fast_mode=True", lambda p: of_torch(p, fast=True)), "torch", torch),
    (Checker("jax.test_util.check_grads", of_jax), "jax", jax),
    (Checker("autograd.test_util.check_grads", of_autograd), "autograd", autograd),
    (Checker("scipy.optimize.check_grad", of_scipy, 1), "scipy", scipy),
    (Checker("scipy.differentiate.jacobian", of_scipy_jacobian, 10), "scipy.differentiate", jacobian),
    (Checker("numdifftools.Gradient", of_numdifftools, 10), "numdifftools", numdifftools),
)


def headings(seed: int) -> tuple[str, ...]:
    right, forms = (sum(map(choose, rows(seed))) for choose in (lambda row: row.right, formal))
    return (
        "checker",
        f"right, rejected (of {right})",
        f"wrong in value, accepted (of {len(rows(seed)) - right - forms})",
        f"wrong in form or behaviour, accepted (of {forms})",
        "no verdict",
        "verdicts that are right",
        "evaluations of f: right, median",
        "wrong, median",
        "most",
        "causes named",
        "seconds",
    )


def cells(name: str, made: list[Outcome]) -> tuple[str, ...]:
    t = tally(made)
    return (
        name,
        *map(str, (t.alarms, t.values, t.forms, t.silent)),
        f"{100 * t.share:.1f} %",
        f"{t.right:g}",
        f"{t.wrong:g}",
        str(t.most),
        f"{100 * t.named:.0f} %" if t.named else "—",
        f"{t.seconds:.1f}",
    )


def complaints(made: list[Outcome]) -> str:
    words = {True: "accepted", False: "rejected", None: "no verdict"}
    return "".join(
        f"    {o.row.name} ({o.row.expected}): {words[o.said]} {o.why[:120]}\n" for o in made if o.said != o.row.right or o.why
    )


def main(arguments: list[str]) -> int:
    """Print a row for each checker, as soon as it is through."""
    seed = next((int(a) for a in arguments if a.isdigit()), 0)
    absent = sorted({package for _, package, module in PEERS if module is None})
    used = sorted({"numpy"} | {package.partition(".")[0] for _, package, module in PEERS if module is not None})
    table = "--table" in arguments
    print(f"{', '.join(f'{package} {version(package)}' for package in used)}; data seed {seed}")
    if absent:
        print(f"not installed, and left out: {', '.join(absent)}")
    words = headings(seed)
    print(f"\n| {' | '.join(words)} |\n|{'---|' * len(words)}" if table else "\n".join(f"{n}: {w}" for n, w in enumerate(words)))
    if not table:
        print("".join(f"{n:<34}" if n == 0 else f"{n:>9}" for n in range(len(words))))
    for checker in (HERE[0], *(peer for peer, _, module in PEERS if module is not None), *HERE[1:]):
        made = outcomes(checker, seed)
        row = cells(checker.name, made)
        print(f"| {' | '.join(row)} |" if table else f"{row[0]:<34}" + "".join(f"{cell:>9}" for cell in row[1:]), flush=True)
        if "--rows" in arguments:
            print(complaints(made), end="")
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # theirs, at points where f is not defined
    sys.exit(main(sys.argv[1:]))
