"""Products and contractions of labelled arrays: which letters are kept decides what is written.

An operand is an array whose axes carry indices.  A product is cut into components that share summed indices; each is
contracted pair by pair, greedily by a cost in which all sizes are alike and larger than 1; what remains is multiplied
elementwise, by ``outer``, or by broadcasting.  Operands stay in their own axis order; the planner transposes once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from derivkit.symbolic.arrays.nodes import einsum, expand, matmul, mul, number, outer, reduce
from derivkit.symbolic.arrays.transposes import transpose, transpose_cost
from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.index import Index

Axes = tuple[Index, ...]


class Operand(NamedTuple):
    """An array, the index of each of its axes, and whether the product divides by it."""

    node: Array
    axes: Axes
    inverse: bool = False


def moved(x: Operand, axes: Sequence[Index]) -> Array:
    """Return the array of ``x`` with its axes in the order ``axes``."""
    return transpose(x.node, [x.axes.index(a) for a in axes])


def multiplied(factors: Iterable[tuple[Array, bool]]) -> Array:
    """Return the elementwise product of nodes, divided by those marked."""
    pairs = list(factors)
    return mul([n for n, inverse in pairs if not inverse], [n for n, inverse in pairs if inverse])


def straight(x: Operand) -> Operand:
    """Return ``x`` as a factor (a divisor as its reciprocal)."""
    return Operand(mul([number(1)], [x.node]), x.axes) if x.inverse else x


def align(operands: Sequence[Operand], hint: Axes = ()) -> tuple[list[Array], Axes]:
    """Return the arrays so that they broadcast together, with the common axes.

    The order is the operands' own: the one with the fewest transposes, preferring ``hint``.
    """
    union: dict[Index, None] = {}
    for each in sorted(operands, key=lambda o: -len(o.axes)):
        union.update(dict.fromkeys(each.axes))
    first = tuple(union)
    hinted = (*(a for a in hint if a in union), *(a for a in first if a not in hint))
    full = [o.axes for o in operands if len(o.axes) == len(union)]
    told = bool(hint) and (not full or union.keys() <= {*hint})  # a hint for some axes does not turn what has them all
    candidates = list(dict.fromkeys([hinted, first, *full[:4]] if told else [first, *full[:4], hinted]))
    if len(candidates) > 1:
        costs = [_align_cost(operands, c) for c in candidates]
        axes = candidates[costs.index(min(costs))]
    else:
        axes = candidates[0]
    return [_spread(o, axes) for o in operands], axes


def _align_cost(operands: Sequence[Operand], axes: Axes) -> int:
    cost = 0
    for each in operands:
        order = [each.axes.index(a) for a in axes if a in each.axes]
        cost += transpose_cost(each.node, order)
    return cost


def _spread(x: Operand, axes: Axes) -> Array:
    present = [a for a in axes if a in x.axes]
    node = moved(x, present)
    if not present:
        return node
    start = axes.index(present[0])  # new axes in front come by broadcasting
    return expand(node, [a not in x.axes for a in axes[start:]])


def combine(operands: Sequence[Operand], hint: Axes = ()) -> Operand:
    """Return the product without a sum: equal index sets merge, two vectors make an outer product, the rest broadcasts."""
    groups: dict[frozenset[Index], list[Operand]] = {}
    for each in operands:
        groups.setdefault(frozenset(each.axes), []).append(each)
    scalars = [(o.node, o.inverse) for o in groups.pop(frozenset(), [])]
    merged = [_merge(group, hint) for group in groups.values()]
    if not merged:
        return Operand(multiplied(scalars), ())
    if len(merged) == 2 and all(len(o.axes) == 1 and not o.inverse for o in merged):
        a, b = merged
        if a.axes[0] in hint and b.axes[0] in hint and hint.index(b.axes[0]) < hint.index(a.axes[0]):
            a, b = b, a
        return Operand(multiplied([*scalars, (outer(a.node, b.node), False)]), a.axes + b.axes)
    if _far_apart(merged):  # Z_iq Z_rp: in no order of its axes are these two arrays broadcast
        order = hint if {*hint} == {a for o in merged for a in o.axes} else tuple(a for o in merged for a in o.axes)
        whole = _einsum(merged, frozenset(), order)
        return Operand(multiplied([*scalars, (whole.node, False)]), whole.axes)
    nodes, axes = align(merged, hint)
    return Operand(multiplied([*scalars, *((n, o.inverse) for n, o in zip(nodes, merged, strict=True))]), axes)


def _far_apart(operands: Sequence[Operand]) -> bool:
    """Say whether these are matrices (no identities, no divisors) that share no axis."""
    axes = [a for o in operands for a in o.axes]
    plain = all(len(o.axes) > 1 and not o.inverse and o.node.op != "eye" for o in operands)
    return len(operands) > 1 and plain and len(set(axes)) == len(axes)


def _merge(group: Sequence[Operand], hint: Axes) -> Operand:
    if len(group) == 1:
        return group[0]
    group = sorted(group, key=lambda o: o.node.op != "matmul")  # as it is read: what came back, times the local slope
    nodes, axes = align(group, hint)
    if all(o.inverse for o in group):
        return Operand(mul(nodes), axes, inverse=True)
    return Operand(multiplied((n, o.inverse) for n, o in zip(nodes, group, strict=True)), axes)


def contract(operands: Sequence[Operand], order: Sequence[Index], hint: Axes = ()) -> Operand:
    """Return Σ over ``order`` of the product of the operands; every summed index is on some operand.

    Of two ways that cost the same the sum that stands later in the ``order``, the inner one, is done first.
    """
    rest: list[Operand | None] = []
    summed = frozenset(order)
    depth = {i: n for n, i in enumerate(order)}
    operands = _outer_first(operands, summed)
    for component in _components(operands, summed):
        inner = summed.intersection(*[frozenset().union(*(o.axes for o in component))])
        rest.append(_component(component, inner, depth, hint) if inner else component[0])
    return combine([o for o in rest if o is not None], hint)


def _outer_first(operands: Sequence[Operand], summed: frozenset[Index]) -> list[Operand]:
    """Return the operands, two vectors that scale a matrix as one: ``outer(r, v) * G``, not ``r[:, None] * v * G``.

    A vector that is all that the matrix is summed with is multiplied from the side: ``G @ v``.
    """
    work = list(operands)
    for matrix in operands:
        if len(matrix.axes) != 2 or matrix.node.op == "eye" or matrix not in work:
            continue
        found = [next((v for v in work if v.axes == (a,) and not v.inverse), None) for a in matrix.axes]
        rows, columns = found
        if rows is None or columns is None:
            continue
        others = {a for o in work if len(o.axes) > 1 and o is not matrix for a in o.axes}
        if any(a in summed and a not in others for a in matrix.axes):
            continue
        place = work.index(matrix)
        made = _merge([Operand(outer(rows.node, columns.node), matrix.axes), matrix], ())
        work = [made if n == place else o for n, o in enumerate(work) if o is not rows and o is not columns]
    return work


def _components(operands: Sequence[Operand], summed: frozenset[Index]) -> list[list[Operand]]:
    """Return the operands in groups linked by summed indices, in order of first appearance."""
    owner: dict[Index, int] = {}
    parent = list(range(len(operands)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for n, each in enumerate(operands):
        for axis in each.axes:
            if axis in summed:
                a, b = root(owner.setdefault(axis, n)), root(n)
                parent[max(a, b)] = min(a, b)
    groups: dict[int, list[Operand]] = {}
    for n, each in enumerate(operands):
        groups.setdefault(root(n), []).append(each)
    return list(groups.values())


def _component(operands: list[Operand], summed: frozenset[Index], depth: Mapping[Index, int], hint: Axes) -> Operand:
    work = list(operands)
    left = set(summed)
    while True:
        if len(work) > 2:
            work = _merge_equal(work, hint)
        work = _sum_alone(work, left)
        if len(work) == 1:
            return work[0]
        a, b = _best_pair(work, left, depth)
        gone = _exclusive(work, a, b, left)
        made = _pair(work[a], work[b], gone, hint)
        left -= gone
        work = [made if n == a else o for n, o in enumerate(work) if n != b]


def _merge_equal(work: list[Operand], hint: Axes) -> list[Operand]:
    groups: dict[frozenset[Index], list[Operand]] = {}
    for each in work:
        groups.setdefault(frozenset(each.axes), []).append(each)
    if len(groups) == 1:  # keep one for the contraction: (a * b) @ c
        return [_merge(work[:-1], hint), work[-1]]
    return [_merge(group, hint) for group in groups.values()]


def _counts(work: Sequence[Operand], left: set[Index]) -> dict[Index, int]:
    counts: dict[Index, int] = {}
    for each in work:
        for axis in each.axes:
            if axis in left:
                counts[axis] = counts.get(axis, 0) + 1
    return counts


def _sum_alone(work: list[Operand], left: set[Index]) -> list[Operand]:
    """Sum the indices that one operand alone has, before it meets the others."""
    counts = _counts(work, left)
    result = []
    for each in work:
        own = [a for a in each.axes if counts.get(a) == 1]
        left.difference_update(own)
        result.append(summed_over(straight(each), own) if own else each)
    return result


def summed_over(x: Operand, axes: Sequence[Index]) -> Operand:
    """Return ``x`` summed over ``axes``."""
    node = reduce("sum", x.node, [x.axes.index(a) for a in axes])
    return Operand(node, tuple(a for a in x.axes if a not in axes))


def _exclusive(work: Sequence[Operand], a: int, b: int, left: set[Index]) -> frozenset[Index]:
    """Return the summed indices that only operands ``a`` and ``b`` have."""
    return _finished(work[a], work[b], _counts(work, left))


def _finished(x: Operand, y: Operand, counts: dict[Index, int]) -> frozenset[Index]:
    return frozenset(s for s in {*x.axes, *y.axes} if s in counts and counts[s] == (s in x.axes) + (s in y.axes))


def _best_pair(work: Sequence[Operand], left: set[Index], depth: Mapping[Index, int]) -> tuple[int, int]:
    """Return the pair to contract next: one that finishes an index, the cheapest, the smallest result, as it stands.

    What then meets a matrix of the same axes is a slope times what came back: there the inner sum is done first.
    """
    counts = _counts(work, left)
    best: tuple[tuple[int, ...], tuple[int, int]] | None = None
    for a, x in enumerate(work):
        for b in range(a + 1, len(work)):
            y = work[b]
            if len(work) > 2 and not any(s in counts for s in x.axes if s in y.axes):
                continue
            union = len({*x.axes, *y.axes})
            gone = _finished(x, y, counts)
            kept = {*x.axes, *y.axes} - gone
            meets = len(kept) > 1 and any({*o.axes} == kept for n, o in enumerate(work) if n not in (a, b))
            inner = max((depth[i] for i in gone), default=0) if meets else 0
            score = (not gone, union, len(kept), -inner, _crossed(x, y, gone), a, b)
            if best is None or score < best[0]:
                best = (score, (a, b))
    if best is None:  # a component is linked, so some pair shares a summed index
        raise AssertionError("unlinked component")
    return best[1]


def _crossed(x: Operand, y: Operand, gone: frozenset[Index]) -> bool:
    """Say whether the product of two matrices over one index needs a transpose of one of them."""
    if len(gone) != 1 or len(x.axes) != 2 or len(y.axes) != 2:
        return False
    (over,) = gone
    return (x.axes[0] is over) == (y.axes[0] is over)


def _pair(x: Operand, y: Operand, gone: frozenset[Index], hint: Axes) -> Operand:
    """Return Σ over ``gone`` of the product of two operands."""
    shared = {*x.axes} & {*y.axes}
    batch = shared - gone
    if not gone:
        return combine([x, y], hint)
    if {*x.axes} == {*y.axes} and (batch or len(gone) > 1 or x.inverse or y.inverse):
        merged = _merge([x, y], hint)
        return summed_over(straight(merged), [a for a in merged.axes if a in gone])
    x, y = straight(x), straight(y)
    if len(gone) == 1:
        (over,) = gone
        made = _batched(x, y, over, batch, hint) if batch else _matmul(x, y, over, hint)
        if made is not None:
            return made
    return _einsum([x, y], gone)


def _matmul(x: Operand, y: Operand, over: Index, hint: Axes) -> Operand | None:
    """Return the contraction of one shared index as ``@``, with the fewest transposes."""
    if len(x.axes) == 1 and len(y.axes) == 1:
        return Operand(matmul(x.node, y.node), ())
    if len(x.axes) == 1 or (len(x.axes) == 2 and len(y.axes) > 2):
        x, y = y, x  # the matrix first: W.T @ d
    xs = (*(a for a in x.axes if a != over), over)
    ys = (over, *(a for a in y.axes if a != over))
    if len(y.axes) == 1:
        return Operand(matmul(_factor(x, xs), y.node), xs[:-1])
    if len(y.axes) > 2:
        return None
    if len(x.axes) > 2:
        return Operand(matmul(_factor(x, xs), _factor(y, ys)), xs[:-1] + ys[1:])
    a, b = matmul(_factor(x, xs), _factor(y, ys)), matmul(_factor(y, ys[::-1]), _factor(x, xs[::-1]))
    forward, backward = (Operand(a, (xs[0], ys[1])), Operand(b, (ys[1], xs[0])))
    turned = [[n.args[0].op != "name" for n in m.args if n.op == "transpose"] for m in (a, b)]
    costs = [(len(each), sum(each)) for each in turned]  # X W Wᵀ, not (W (X W)ᵀ)ᵀ
    if costs[0] != costs[1]:
        return forward if costs[0] < costs[1] else backward
    wanted = [i for i in hint if i in forward.axes]
    return backward if len(wanted) == 2 and wanted[0] is ys[1] else forward


def _factor(x: Operand, axes: Sequence[Index]) -> Array:
    return transpose(x.node, [x.axes.index(a) for a in axes], factor=True)


def _batched(x: Operand, y: Operand, over: Index, batch: set[Index], hint: Axes) -> Operand | None:
    """Return a stack of matrix products, when each side has one index of its own."""
    left = [a for a in x.axes if a not in batch and a is not over]
    right = [a for a in y.axes if a not in batch and a is not over]
    if len(left) != 1 or len(right) != 1:
        return None
    if left[0] in hint and right[0] in hint and hint.index(right[0]) < hint.index(left[0]):
        x, y, left, right = y, x, right, left
    stack = tuple(a for a in (hint if batch <= set(hint) else x.axes) if a in batch)
    node = matmul(moved(x, (*stack, *left, over)), moved(y, (*stack, over, *right)))
    return Operand(node, (*stack, *left, *right))


def _einsum(operands: Sequence[Operand], gone: frozenset[Index], order: Axes = ()) -> Operand:
    letters: dict[Index, str] = {}
    for axis in (a for o in operands for a in o.axes):
        if axis not in letters:
            letters[axis] = letter(axis, letters.values())
    axes = order or tuple(a for a in letters if a not in gone)
    spec = ",".join("".join(letters[a] for a in o.axes) for o in operands) + "->" + "".join(letters[a] for a in axes)
    return Operand(einsum(spec, [o.node for o in operands], tuple(a.size for a in axes)), axes)


def letter(axis: Index, taken: Iterable[str]) -> str:
    """Return the index's own letter where it is free, else the first free one."""
    used = set(taken)
    own = axis.hint if len(axis.hint) == 1 and axis.hint.isascii() and axis.hint.isalpha() else "i"
    return next(c for c in own + "ijklmnopqrstuvwxyzabcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in used)
