"""Every label proved by another route than the checker's: the complex step, mpmath, a convex combination, a demonstration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
from scipy.optimize import nnls

from gradient_cases.rows import Row

STEP = 1e-150
#: Larger leaves are projected on a few directions.
WHOLE = 130
#: How many points around a kink the gradient is taken at, how far away, and how near a mixture of them must come.
AROUND, ASIDE, NEAR = 400, 1e-7, 1e-4

Path = tuple[Any, ...]


def paths(tree: Any, here: Path = ()) -> Iterator[Path]:
    """Yield the places of the float leaves, in order; empty ones are none."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from paths(item, (*here, key))
    elif isinstance(tree, (list, tuple)):
        for key, item in enumerate(tree):
            yield from paths(item, (*here, key))
    elif np.asarray(tree).dtype.kind == "f" and np.size(tree):
        yield here


def at(tree: Any, path: Path) -> Any:
    """Return what is at a place."""
    for key in path:
        tree = tree[key]
    return tree


def with_leaf(tree: Any, path: Path, value: Any) -> Any:
    """Return a copy of the tree with another leaf there."""
    if not path:
        return value
    if isinstance(tree, dict):
        return {key: with_leaf(item, path[1:], value) if key == path[0] else item for key, item in tree.items()}
    return type(tree)(with_leaf(item, path[1:], value) if key == path[0] else item for key, item in enumerate(tree))


def wide(tree: Any) -> Any:
    """Return the tree with complex leaves (those that are floats), so that no precision is lost in it."""
    for path in paths(tree):
        tree = with_leaf(tree, path, np.asarray(at(tree, path)).astype(complex)[()])
    return tree


def directions(shape: tuple[int, ...], seed: int = 5) -> Iterator[np.ndarray]:
    """Yield the unit vectors of a small leaf, a few dense directions of a large one."""
    size = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    for k in range(size if size <= WHOLE else 4):
        yield (
            np.eye(1, size, k).reshape(shape) if size <= WHOLE else rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)
        )


def slopes(function: Callable[..., Any], args: Any, path: Path) -> np.ndarray:
    """Return the derivatives along the directions of a leaf by the complex step: exact to rounding."""
    leaf, given = np.asarray(at(args, path), dtype=float), wide(args)
    moved = (with_leaf(given, path, (leaf + 1j * STEP * u)[()]) for u in directions(leaf.shape))
    return np.array([np.imag(function(*tree)) / STEP for tree in moved])


def closed_slopes(row: Row, path: Path) -> np.ndarray:
    """Return the same by mpmath at 50 digits, from a formula of the entries of one vector."""
    values = [float(v) for v in np.ravel(at(row.args, path))]
    found = []
    with mpmath.workdps(50):
        for k, v in enumerate(values):
            h = mpmath.mpf(10) ** -22 * (abs(mpmath.mpf(v)) or 1)
            sides = [row.closed(*(mpmath.mpf(w) + (s * h if j == k else 0) for j, w in enumerate(values))) for s in (1, -1)]
            found.append(float(mpmath.re(sides[0] - sides[1]) / (2 * h)))
    return np.array(found)


def claimed(row: Row) -> list[np.ndarray]:
    """Return the claim along the same directions, leaf by leaf; called as a user would, f first."""
    args = tuple(_copied(a) for a in row.args)
    row.f(*(_copied(a) for a in row.args))
    result = row.grad(*args)
    entries = result if len(args) > 1 else (result,)
    if len(args) == 1 and isinstance(result, tuple) and len(result) == 1 and not isinstance(args[0], tuple):
        entries = result
    return [
        np.array([np.sum(at(entries, p) * u) for u in directions(np.shape(at(row.args, p)))], dtype=float)
        for p in paths(row.args)
    ]


def _copied(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copied(item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_copied(item) for item in tree)
    return tree.copy() if isinstance(tree, np.ndarray) else tree


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(b))), 1e-300))


def prove_value(row: Row) -> str | None:
    """Return why the label is not proved, if it is not: the claim must be off in the blamed leaves, and nowhere else."""
    function = row.exact or row.f
    truth = [closed_slopes(row, p) if row.closed else slopes(function, row.args, p) for p in paths(row.args)]
    off = [k for k, (g, t) in enumerate(zip(claimed(row), truth, strict=True)) if not _near(g, t, row)]
    expected = list(row.blame or range(len(truth))) if not row.right else []
    return None if off == expected else f"wrong leaves {off}, not {expected}"


def _near(g: np.ndarray, truth: np.ndarray, row: Row) -> bool:
    # units that are far apart have a closed form, in which every entry has all its digits
    floor = 0.0 if row.closed else max(1e-9, 1e-3 * row.accuracy) * float(np.max(np.abs(truth), initial=0.0))
    return bool(np.all(np.abs(g - truth) <= row.accuracy * np.abs(truth) + floor))


def prove_kink(row: Row) -> str | None:
    """A claim at a kink is right if it is a mixture of the gradients of the points around (Clarke), else wrong."""
    rng = np.random.default_rng(11)
    path = next(paths(row.args))
    point = np.asarray(at(row.args, path), dtype=float)
    gradients = []
    for _ in range(AROUND):
        there = with_leaf(row.args, path, (point + ASIDE * rng.normal(size=point.shape))[()])
        gradients.append(slopes(row.exact or row.f, there, path))
    size = float(np.max(np.abs(gradients)))
    claim = claimed(row)[0]
    matrix = np.vstack([np.array(gradients).T, size * np.ones(AROUND)])
    _, rest = nnls(matrix, np.append(claim, size))
    inside = rest <= NEAR * size
    return None if inside == row.right else f"the claim is {rest / size:.2g} away from the mixtures of the slopes around"


def prove_kind(row: Row) -> str | None:
    """A pullback, pushforward or Jacobian is held against the Jacobian that complex steps give."""
    x = row.args[0]
    J = np.stack([np.imag(row.f(x + 1e-150j * np.eye(1, x.size, k).reshape(x.shape))).ravel() / 1e-150 for k in range(x.size)], 1)
    shape = np.shape(row.f(x))
    rng = np.random.default_rng(3)
    if row.kind == "vjp":
        y = rng.normal(size=shape)
        mine, true = np.ravel(row.grad(y.copy(), x)), J.T @ y.ravel()
    elif row.kind == "jvp":
        v = rng.normal(size=x.shape)
        mine, true = np.ravel(row.grad(v, x)), J @ v.ravel()
    else:
        given = np.asarray(row.grad(x))
        if given.shape != (*shape, *x.shape):
            return None if not row.right else f"shape {given.shape}"
        mine, true = given.ravel(), J.ravel()
    return None if (_apart(mine, true) < 1e-9) == row.right else f"off by {_apart(mine, true):.2g}"


def _twice(row: Row) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array(row.grad(*(_copied(a) for a in row.args)), copy=True) for _ in range(2))


def _mutates(row: Row) -> bool:
    given = [_copied(a) for a in row.args]
    if row.kind == "vjp":
        given.insert(0, np.ones(np.shape(row.f(*row.args))))
    kept = [_copied(a) for a in given]
    if row.kind == "gradient":
        row.f(*given)
    row.grad(*given)
    return any(not np.array_equal(a, b) for a, b in zip(given, kept, strict=True))


def _changes(row: Row) -> bool:
    values = {float(row.f(*(_copied(a) for a in row.args))) for _ in range(3)}
    a, b = _twice(row)
    return len(values) > 1 or not np.array_equal(a, b)


def _aliases(row: Row) -> bool:
    first = row.grad(*row.args)
    kept = first.copy()
    row.grad(*(1.5 * a for a in row.args))
    return not np.array_equal(first, kept)


def _ordered(row: Row) -> bool:
    turned = [np.asfortranarray(a) for a in row.args]
    y = np.arange(1.0, 1 + row.args[0].size).reshape(row.args[0].shape)
    seeds = ((y,), (np.asfortranarray(y),)) if row.kind == "vjp" else ((), ())
    return not np.allclose(row.grad(*seeds[0], *row.args), row.grad(*seeds[1], *turned))


def _not_linear(row: Row) -> bool:
    y = np.random.default_rng(1).normal(size=np.shape(row.f(*row.args)))
    return not np.allclose(row.grad(-2.5 * y, *row.args), -2.5 * row.grad(y, *row.args))


def _misshapen(row: Row) -> bool:
    given = row.grad(*row.args)
    entries = given if isinstance(given, tuple) else (given,)
    return len(entries) != len(row.args) or any(np.shape(g) != np.shape(a) for g, a in zip(entries, row.args, strict=True))


def _mistyped(row: Row) -> bool:
    return np.asarray(row.grad(*row.args)).dtype != row.args[0].dtype


def _infinite(row: Row) -> bool:
    return not np.all(np.isfinite(row.grad(*row.args)))


#: Faults of form and of behaviour: shown, not computed.
SHOWN: dict[str, Callable[[Row], bool]] = {
    "mutates-input": _mutates,
    "stateful": _changes,
    "nondeterministic": _changes,
    "aliasing": _aliases,
    "layout": _ordered,
    "cotangent": _not_linear,
    "shape": _misshapen,
    "dtype": _mistyped,
    "non-finite": _infinite,
}


def unproved(row: Row) -> str | None:
    """Return why the label of a row does not hold, or ``None``: it does."""
    code = row.expected.partition("|")[0].partition(":")[0]
    if code in SHOWN:
        return None if SHOWN[code](row) else f"it is not {code}"
    if row.kink:
        return prove_kink(row)
    if row.kind != "gradient":
        return prove_kind(row)
    if not row.right and _misshapen(row) and not isinstance(row.args[0], dict):
        return None  # not even the shape is right
    return prove_value(row)
