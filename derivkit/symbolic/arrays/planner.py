"""From index notation to arrays: one planner, from which both matrix notation and kernels come.

``plan`` visits an expression bottom up.  Every sub-expression becomes an operand (an array with an index on each axis) in
its own axis order; products go to ``contract``; δ between kept indices becomes ``diag``, δ with a summed index renames it.
Genuinely affine subscripts become windows, scatters and masks (see ``affine``).  What has no array form, a primitive that is
not in the tables here, raises :class:`NoArrayForm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from derivkit.symbolic.arrays import linear, nodes
from derivkit.symbolic.arrays.affine import (
    ALONG,
    inside,
    is_part,
    is_plain,
    is_window,
    part_of,
    positions,
    scattered,
    where_it_counts,
    windowed,
    with_distinct_axes,
)
from derivkit.symbolic.arrays.contract import Axes, Operand, align, combine, contract, moved
from derivkit.symbolic.arrays.equations import (
    differ,
    has_affine,
    is_affine,
    is_place,
    padded_read,
    reads_of,
    resolved,
    solve,
    unsolved,
)
from derivkit.symbolic.arrays.tree import Array, NoArrayForm
from derivkit.symbolic.arrays.views import entries
from derivkit.symbolic.expr import (
    Add,
    Const,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    substitute,
)
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.normal import inside as range_of
from derivkit.symbolic.ops_linear import MATRICES
from derivkit.symbolic.ranges import is_beyond

Shapes = Callable[[Name], tuple[Size, ...]]
Order = tuple[Index | None, ...]

_REDUCE = frozenset({"max", "min", "prod", "norm", "logsumexp", "argmax"})


def plan(expr: Expr, order: Order, shapes: Shapes | Graph | Mapping[Name, tuple[Size, ...]]) -> Array:
    """Return ``expr`` as an array with the axes ``order`` (``None`` for an axis of length 1), or raise :class:`NoArrayForm`.

    ``shapes`` gives the shape of every name: a graph, a mapping or a function.  An index that ``expr`` does not depend on
    still gets its axis, of equal entries.

    >>> from derivkit.symbolic.expr import bare, user
    >>> n, i, j = (Index(c, Size.of(c.upper())) for c in "nij")
    >>> X, G = Ref(user("X"), (bare(n), bare(i))), Ref(user("G"), (bare(n), bare(j)))
    >>> of = {user("X"): (n.size, i.size), user("G"): (n.size, j.size)}
    >>> node = plan(Sum((n,), Mul((X, G))), (i, j), of)
    >>> node.op, node.args[0].op
    ('matmul', 'transpose')
    """
    if isinstance(shapes, Graph):
        of: Shapes = shapes.shape
    elif isinstance(shapes, Mapping):
        of = shapes.__getitem__
    else:
        of = shapes
    planner = _Planner(of)
    wanted = tuple(i for i in order if i is not None)
    result = planner.visit(expr, wanted)
    stray = [a.hint for a in result.axes if a not in wanted]
    if stray:
        raise NoArrayForm(f"index '{stray[0]}' of the expression is no axis of the result")
    node = _filled(result, wanted)
    return nodes.expand(node, [i is None for i in order])


def _filled(x: Operand, wanted: Axes) -> Array:
    """Return the array with all the axes ``wanted``, entries repeated along those that it lacks."""
    present = [a for a in wanted if a in x.axes]
    node = moved(x, present)
    if len(present) == len(wanted):
        return node
    shape = tuple(a.size for a in wanted)
    if present:
        node = nodes.expand(node, [a not in x.axes for a in wanted[wanted.index(present[0]) :]])
    return nodes.broadcast(node, shape)


class _Planner:
    """One call of :func:`plan`: the shapes, and what is planned already (an expression is a DAG)."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.done: dict[tuple[int, Axes], tuple[Expr, Operand]] = {}

    def visit(self, expr: Expr, hint: Axes = ()) -> Operand:
        """Return the operand that ``expr`` is; ``hint`` is the axis order that breaks ties."""
        hint = tuple(a for a in hint if a in expr.free)
        known = self.done.get((id(expr), hint))
        if known is None:
            known = (expr, self._visit(expr, hint))  # the expression is kept alive, so its id stays its own
            self.done[id(expr), hint] = known
        return known[1]

    def _visit(self, expr: Expr, hint: Axes) -> Operand:
        if isinstance(expr, Num):
            return Operand(nodes.number(expr.value), ())
        if isinstance(expr, Const):
            return Operand(nodes.constant(expr.name), ())
        if isinstance(expr, SizeOf):
            return Operand(nodes.size(expr.size), ())
        if isinstance(expr, Ref):
            return self.read(nodes.named(expr.name, self.shapes(expr.name)), expr.subs)
        if isinstance(expr, Add):
            return self.elementwise(expr.args, hint, lambda xs: nodes.add([(1, x) for x in xs]))
        if isinstance(expr, Fn):
            op = expr.op
            return self.elementwise(expr.args, hint, lambda xs: nodes.fn(op, *xs))
        if isinstance(expr, Pow) and not _is_reciprocal(expr):
            return self.elementwise(expr.children, hint, lambda xs: nodes.power(*xs))
        if isinstance(expr, Mul | Delta | Pow):
            return self.product((expr,), (), hint)
        if isinstance(expr, Sum):
            return self.product((expr.body,), expr.indices, hint)
        if isinstance(expr, Inside):
            return inside(expr, self.visit)
        if isinstance(expr, Prim):
            return self.primitive(expr)
        raise NoArrayForm(f"a {type(expr).__name__.lower()} has no array form")

    def elementwise(self, args: Sequence[Expr], hint: Axes, make: Callable[[list[Array]], Array]) -> Operand:
        """Return an elementwise operation on the arguments, broadcast together."""
        arrays, axes = align([self.visit(a, hint) for a in args], hint)
        return Operand(make(arrays), axes)

    # -- products -----------------------------------------------------------------------------------------------------

    def product(self, args: Iterable[Expr], summed: Sequence[Index], hint: Axes) -> Operand:
        """Return Σ over ``summed`` of a product."""
        left = list(summed)
        factors = self.flat(args, left)
        scalars = [f for f in factors if not f[0].free and not isinstance(f[0], Delta)]
        if any(isinstance(f, Num) and f.value == 0 and not inverse for f, inverse in scalars):
            return Operand(nodes.number(0), ())
        rest = [f for f in factors if f[0].free or isinstance(f[0], Delta)]
        rest, diagonals = self.deltas(rest, left)
        padded = padded_read(rest, left, self.shapes) if not diagonals else None
        if padded is not None:
            return self.padded_whole([*scalars, *rest], left, padded, hint)
        rest, equations = unsolved(rest, left, self.shapes)
        if any(isinstance(f, Delta) and differ(f) for f, _ in rest):
            return Operand(nodes.number(0), ())
        equations += [solve(f, left) for f, _ in rest if isinstance(f, Delta) and is_affine(f)]
        parts = [f for f, inverse in rest if isinstance(f, Inside) and not inverse and is_part(f, left)]
        read = {i for f, _ in rest if not isinstance(f, Inside) for i in f.free}
        parts = [f for f in parts if f.free <= read and not any(f.free & e.delta.free for e in equations)]
        masks = [f for f, inverse in rest if isinstance(f, Inside) and not inverse and f not in parts]
        rest = [(where_it_counts(f, inverse, masks), inverse) for f, inverse in rest] if masks else rest
        operands = [self.factor(f, inverse, hint) for f, inverse in rest if not is_affine(f) and f not in parts]
        outside = [Operand(self.visit(f).node, (), inverse) for f, inverse in scalars]
        if any(o.node.op == "number" and o.node.params[0] == 0 and not o.inverse for o in (*operands, *outside)):
            return Operand(nodes.number(0), ())
        operands, scatters = resolved(operands, equations, left, self.visit)
        gone = {i for each in scatters for i in each.sub.indices()}
        left = [i for i in left if i not in gone]
        sizes = [i.size for i in left if not any(i in o.axes for o in operands)]  # Σ over what nothing depends on
        core = contract(operands, left, hint)
        for into, sub, outer in scatters:
            core = scattered(_with_axes(core, sub.indices()), into, sub)
            core = core if outer is None else windowed(core, {into: outer})
        for each in parts:
            core = part_of(core, each)
        for i, j in diagonals:
            core = _placed(core, i, j, hint)
        outside += [Operand(nodes.size(s), ()) for s in sizes]
        return combine([*outside, core], hint) if outside else core

    def padded_whole(
        self, factors: list[tuple[Expr, bool]], summed: Sequence[Index], read: tuple[Affine, Size], hint: Axes
    ) -> Operand:
        """Return a product that is 0 where one factor is read beyond its axis: made over that axis, zeros around."""
        sub, length = read
        (old,) = sub.indices()
        index = Index(old.hint, length)
        there = [(substitute(f, {old: Affine.of(index) - sub.const}), inverse) for f, inverse in factors]
        order = tuple(index if i is old else i for i in hint)
        made = self.product([Pow(f, Num(-1)) if inverse else f for f, inverse in there], summed, order)
        return windowed(made, {index: sub})

    def flat(self, args: Iterable[Expr], summed: list[Index]) -> list[tuple[Expr, bool]]:
        """Return the factors, each with whether it divides; a product summed inside a sum joins it."""
        result: list[tuple[Expr, bool]] = []
        stack = list(args)[::-1]
        while stack:
            arg = stack.pop()
            if isinstance(arg, Mul):
                stack.extend(reversed(arg.args))
            elif summed and isinstance(arg, Sum) and self.joins(arg, summed, alone=not result and not stack):
                summed.extend(arg.indices)
                stack.append(arg.body)
            elif isinstance(arg, Pow) and isinstance(arg.exponent, Num) and arg.exponent.value < 0:
                result.append((_raised(arg.base, -arg.exponent.value), True))
            else:
                result.append((arg, False))
        return result

    def joins(self, inner: Sum, summed: Sequence[Index], alone: bool) -> bool:
        """Return whether the factors of a sum inside a sum may join the others: affine ones only when there are no others."""
        return _is_product(inner.body) and not set(inner.indices) & set(summed) and (alone or not has_affine(inner.body))

    def factor(self, expr: Expr, inverse: bool, hint: Axes) -> Operand:
        """Return a factor of a product; a δ with one fixed side is a one-hot row."""
        if not isinstance(expr, Delta):
            return self.visit(expr, hint)._replace(inverse=inverse)
        left, right = (expr.left, expr.right) if expr.left.bare else (expr.right, expr.left)
        index, other = left.bare, right.bare
        if index is not None and other is not None:
            return Operand(nodes.eye(index.size, other.size), (index, other))
        if index is None or index in right.free or not (is_plain(right) or is_place(right)):
            a, b = (positions(s, self.visit) for s in (expr.left, expr.right))
            (x, y), axes = align([a, b], hint)
            return Operand(nodes.fn("equal", x, y), axes)
        if right.constant is not None:
            return Operand(nodes.onehot(right.constant, index.size), (index,))
        label = self.visit(right.terms[0][0])  # type: ignore[arg-type]
        return Operand(nodes.onehot(label.node, index.size), (*label.axes, index))

    def deltas(
        self, factors: list[tuple[Expr, bool]], summed: list[Index]
    ) -> tuple[list[tuple[Expr, bool]], list[tuple[Index, Index]]]:
        """Contract each δ that has a summed index, and set aside those between two kept ones as diagonals."""
        diagonals: list[tuple[Index, Index]] = []
        n = 0
        while n < len(factors):
            delta = factors[n][0]
            if not isinstance(delta, Delta):
                n += 1
                continue
            if delta.left == delta.right:
                renaming: dict[Index, Affine] = {}
            else:
                found = _solved(delta, summed)
                if found is None:
                    n += 1
                    continue
                index, side = found
                renaming = {index: side}
                if index in summed:
                    summed.remove(index)
                    if side.constant is not None and not self.vanishes(index, factors[:n] + factors[n + 1 :]):
                        factors.append((range_of(side, index.size), False))
                else:
                    other = side.bare
                    if other is None:
                        raise AssertionError("a diagonal is between indices")
                    diagonals.append((other, index))
            del factors[n]
            factors = [(substitute(f, renaming), inverse) for f, inverse in factors]
            n = 0
        return factors, diagonals[::-1]

    def vanishes(self, index: Index, factors: Sequence[tuple[Expr, bool]]) -> bool:
        """Return whether a product is 0 by itself where ``index`` is out of range: some factor is an array read there."""
        for factor, inverse in factors:
            reads = () if inverse else reads_of(factor, self.shapes)
            if any(s.bare is index and length == index.size for s, length in reads):
                return True
        return False

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, array: Array, subs: Sequence[Affine]) -> Operand:
        """Return ``array`` read at the subscripts: its axes are theirs.  Out of range it is 0."""
        windows: dict[Index, Affine] = {}
        plain: list[Affine] = []
        for sub, length in zip(subs, array.shape, strict=True):
            where, index = sub.constant, sub.bare
            if index is None and (where is not None or is_window(sub)) and is_beyond(sub, length):
                return Operand(nodes.number(0), ())
            if (where is not None and not is_place(sub)) or (is_window(sub) and (index is None or index.size != length)):
                axis = Index("p", length)  # read whole, then at the subscript
                windows[axis] = sub
                sub = Affine.of(axis)
            plain.append(sub)
        whole = self._read(array, plain)
        return windowed(whole, windows) if windows else whole

    def _read(self, array: Array, subs: Sequence[Affine]) -> Operand:
        """Return ``array`` read at places, bare indices and labels."""
        if any(s.constant is not None for s in subs):
            array = nodes.index(array, [s.constant for s in subs])
            subs = [s for s in subs if s.constant is None]
        bares = [s.bare for s in subs]
        kept = [b for b in bares if b is not None]
        if len(kept) == len(bares):
            return with_distinct_axes(array, tuple(kept))
        free = not all(b is not None or is_plain(s) for s, b in zip(subs, bares, strict=True))
        labels = {n: positions(s, self.visit) for n, (s, b) in enumerate(zip(subs, bares, strict=True)) if b is None}
        if not free and len(labels) == 1 and len(set(kept)) == len(kept) and not set(kept) & set(labels[min(labels)].axes):
            ((n, label),) = labels.items()
            node = nodes.index(array, [0 if m == n else None for m in range(len(subs))], [label.node])
            return Operand(node, (*kept[:n], *label.axes, *kept[n:]))
        operands = [labels[n] if b is None else Operand(nodes.arange(b.size), (b,)) for n, b in enumerate(bares)]
        places, axes = align(operands)
        return Operand((entries if free else nodes.gather)(array, places), axes)

    def primitive(self, expr: Prim) -> Operand:
        """Return a primitive: a reduction of its bound axes, or an operation along them that is then read."""
        if expr.op in MATRICES:
            return linear.operation(expr, self.visit, self.read)
        if expr.op not in ALONG | _REDUCE or len(expr.args) != 1:
            raise NoArrayForm(f"'{expr.op}' has no array form")
        x = self.visit(expr.args[0])  # in its own axis order: softmax(X @ W.T + b), whatever is made of it
        if not set(expr.bound) <= set(x.axes) or (_is_flat(expr) and [a for a in x.axes if a in expr.bound] != [*expr.bound]):
            axes = (*(a for a in x.axes if a not in expr.bound), *expr.bound)
            x = Operand(_filled(x, axes), axes)
        over = [x.axes.index(b) for b in expr.bound]
        if expr.op in _REDUCE:
            axes = tuple(a for a in x.axes if a not in expr.bound)
            return Operand(nodes.reduce(expr.op, x.node, over), axes)
        reads = dict(zip(expr.bound, expr.at, strict=True))
        return self.read(nodes.along(expr.op, x.node, over), [reads.get(a, Affine.of(a)) for a in x.axes])


def _is_flat(expr: Prim) -> bool:
    """Return whether the order of the bound axes matters (the first of equal entries)."""
    return len(expr.bound) > 1 and expr.op in ("argmax", "first_max")


def _is_reciprocal(expr: Pow) -> bool:
    return isinstance(expr.exponent, Num) and expr.exponent.value < 0


def _is_product(expr: Expr) -> bool:
    return isinstance(expr, Ref | Mul | Delta) or (isinstance(expr, Sum) and _is_product(expr.body))


def _raised(base: Expr, exponent: Fraction) -> Expr:
    return base if exponent == 1 else Pow(base, Num(exponent))


def _with_axes(x: Operand, needed: Sequence[Index]) -> Operand:
    """Return the operand with all the axes ``needed``, those that it lacks behind the first that it has."""
    axes = list(x.axes)
    place = min((axes.index(i) + 1 for i in needed if i in axes), default=0)
    axes[place:place] = [i for i in needed if i not in axes]
    return Operand(_filled(x, tuple(axes)), tuple(axes))


def _solved(delta: Delta, summed: Sequence[Index]) -> tuple[Index, Affine] | None:
    """Return the index that a δ renames, and to what: a summed one if it can be, else the second of two kept ones."""
    sides = ((delta.left, delta.right), (delta.right, delta.left))
    for one, other in sides:
        index, target = one.bare, other.bare
        if index is None or index in other.free:
            continue
        within = target is not None and target.size == index.size
        if index in summed and (within or is_plain(other) or is_place(other)):
            return index, other
    left, right = delta.left.bare, delta.right.bare
    if left is None or right is None or left.size != right.size:
        return None  # over different sizes it is an oblong identity
    return right, delta.left


def _placed(x: Operand, i: Index, j: Index, hint: Axes) -> Operand:
    """Return ``x δ_ij``: a vector over i goes onto a diagonal, the rest is a product with the identity."""
    if x.axes == (i,):
        factors, divisors = nodes.parts(x.node)
        inner = nodes.mul([f for f in factors if f.rank], [d for d in divisors if d.rank])
        scalars = [f for f in factors if not f.rank], [d for d in divisors if not d.rank]
        return Operand(nodes.mul([*scalars[0], nodes.diag(inner)], scalars[1]), (i, j))
    return combine([x, Operand(nodes.eye(i.size, j.size), (i, j))], hint)
