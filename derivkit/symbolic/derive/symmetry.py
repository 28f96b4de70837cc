"""Symmetric matrices: declared, or proved from a definition; the inverse of one is symmetric, too.

A matrix is proved symmetric when its right side stays the same with both indices exchanged: ``A Aᵀ + λ I``, ``H P Hᵀ + R``
of symmetric ``P`` and ``R``, ``inv(S)``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from derivkit.symbolic.derive.facts import Fact
from derivkit.symbolic.expr import (
    Add,
    Expr,
    Fn,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    Sum,
    freshen,
    key,
    references,
    replace,
    substitute,
    walk,
)
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.normal import negative, normal

PROOF_NODES = 40


def symmetric_facts(graph: Graph) -> tuple[Fact, ...]:
    """Return that the inputs declared symmetric are, and the definitions that follow from their right sides."""
    found = {i.name: _fact(i.name, True) for i in graph.inputs.values() if i.kind == "symmetric"}
    anonymous: dict[Name, Definition] = {}
    for d in graph.definitions:
        if d.name.kind == "anon":
            anonymous[d.name] = d
        if len(d.bound) != len(d.indices) or len(d.indices) < 2 or d.rhs.nodes > PROOF_NODES or isinstance(d.rhs, Ref):
            continue
        row, column = d.bound[-2:]
        if row.size != column.size:
            continue
        rhs = _opened(d.rhs, {n: anonymous[n] for n in anonymous if n not in found and n != d.name})
        if is_symmetric(rhs, row, column, found):
            used = [found[n] for n in references(rhs) if n in found]
            by_itself = is_symmetric(rhs, row, column, ())
            found[d.name] = _fact(d.name, not by_itself and any(f.declared for f in used))
    return tuple(found.values())


def _opened(expr: Expr, table: Mapping[Name, Definition]) -> Expr:
    """Return ``expr`` with the anonymous names written out, as long as it stays short."""
    made = replace(expr, lambda n: table[n.name].at(n.subs) if isinstance(n, Ref) and n.name in table else None)
    return expr if made is expr or made.nodes > PROOF_NODES else _opened(made, table)


def _fact(name: Name, declared: bool) -> Fact:
    return Fact(name, -1, 0, declared, f"{name} is symmetric: {name}ᵀ = {name}")


def is_symmetric(expr: Expr, row: Index, column: Index, names: Collection[Name]) -> bool:
    """Say whether ``expr`` stays the same, provably, when two of its indices are exchanged; ``names`` are symmetric.

    >>> from derivkit.symbolic.expr import Mul, Sum, bare, user
    >>> from derivkit.symbolic.index import Size
    >>> i, j, k = (Index(c, Size.of("N")) for c in "ijk")
    >>> A = user("A")
    >>> is_symmetric(Sum((k,), Mul((Ref(A, (bare(i), bare(k))), Ref(A, (bare(j), bare(k)))))), i, j, ())
    True
    """
    plain = _one_sum(normal(expr))
    exchanged = substitute(plain, {row: Affine.of(column), column: Affine.of(row)})
    return key(_unordered(plain, names)) == key(_unordered(exchanged, names))


def _one_sum(expr: Expr) -> Expr:
    """Return ``expr`` with the sums among the factors of its terms as one sum: Σ_n (Σ_p a_p b_pn) c_n is Σ_np a_p b_pn c_n."""
    if isinstance(expr, Add):
        return Add(tuple(_one_sum(t) for t in expr.args))
    indices: list[Index] = []
    factors: list[Expr] = []
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Mul):
            stack.extend(reversed(node.args))
        elif isinstance(node, Sum) and not isinstance(node.body, Add):
            fresh = freshen(node)
            indices += fresh.indices  # type: ignore[attr-defined]
            stack.append(fresh.body)  # type: ignore[attr-defined]
        else:
            factors.append(node)
    body = factors[0] if len(factors) == 1 else Mul(tuple(factors))
    return Sum(tuple(indices), body) if indices else body


def _unordered(expr: Expr, names: Collection[Name]) -> Expr:
    """Return ``expr`` with each entry of a symmetric matrix replaced by a node for which both subscripts are alike."""

    def change(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and node.name in names:
            *batch, row, column = node.subs
            return _pair(Ref(node.name, tuple(batch)), node.name, (row, column))
        if isinstance(node, Prim) and node.op == "inv" and _inverts_symmetric(node, names):
            return _pair(Prim("det", node.bound, (_unordered(node.args[0], names),), ()), Name("anon", "inv"), node.at)
        if isinstance(node, Pow) and isinstance(node.base, Add) and isinstance(node.exponent, Num) and node.exponent.value == 2:
            either = sorted((_unordered(node.base, names), _unordered(negative(node.base), names)), key=key)
            return Fn("square", (either[0],))  # (x_i − x_j)² is (x_j − x_i)²
        return None

    return replace(expr, change)


def _inverts_symmetric(node: Prim, names: Collection[Name]) -> bool:
    row, column = node.bound
    return is_symmetric(node.args[0], row, column, names)


def _pair(whole: Expr, name: Name, subs: Sequence[Affine]) -> Expr:
    return Fn("pair", (whole, Add(tuple(Ref(name, (s,)) for s in subs))))


def _place(sub: Affine, own: frozenset[Index]) -> tuple[bool, int]:
    return (not sub.free <= own, min((i.uid for i in sub.free), default=-1))


def turned_inverses(expr: Expr) -> int:
    """Return how many inverses are read the other way than one would read a symmetric one: the column first."""
    found = (n.at for n in walk(expr) if isinstance(n, Prim) and n.op == "inv")
    return sum(list(at) != sorted(at, key=lambda s: _place(s, expr.free)) for at in found)


def oriented(expr: Expr, fact: Fact) -> Expr:
    """Return ``expr`` with every entry of a symmetric matrix read with the expression's own indices first; itself if it is."""

    def sorted_pair(subs: tuple[Affine, ...]) -> tuple[Affine, ...]:
        return (*subs[:-2], *sorted(subs[-2:], key=lambda s: _place(s, expr.free)))

    def change(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and node.name == fact.name:
            subs = sorted_pair(node.subs)
            return None if subs == node.subs else Ref(node.name, subs)
        if isinstance(node, Prim) and node.op == "inv" and sorted_pair(node.at) != node.at:
            return Prim(node.op, node.bound, node.args, sorted_pair(node.at)) if _inverts_symmetric(node, (fact.name,)) else None
        return None

    made = replace(expr, change)
    return expr if made is expr else normal(made)


def without_solutions(d: Definition) -> Definition:
    """Return a definition with ``solve(A, b)`` written as what it is, ``Σ_p A⁻¹_ip b_p``: then it meets inverses in sums."""

    def change(node: Expr) -> Expr | None:
        return contraction(node) if isinstance(node, Prim) and node.op == "solve" else None

    made = replace(d.rhs, change)
    return d if made is d.rhs else Definition(d.name, d.shape, d.indices, made, d.shown, d.facts, d.text, d.line)


def contraction(node: Prim) -> Expr:
    """Return a solution as the sum over the entries of an inverse times those of the right-hand side."""
    row = node.bound[0].fresh()
    inner = tuple(i.fresh() for i in node.bound)
    matrix = substitute(node.args[0], {b: Affine.of(i) for b, i in zip(node.bound, inner, strict=True)})
    right = substitute(node.args[1], {node.bound[0]: Affine.of(row)})
    return Sum((row,), Mul((Prim("inv", inner, (matrix,), (*node.at, Affine.of(row))), right)))
