"""Symmetric matrices: declared, or proved from a definition; the inverse of one is symmetric, too.

A matrix is proved symmetric when its right side stays the same with both indices exchanged: ``A Aᵀ + λ I``, ``H P Hᵀ + R``
of symmetric ``P`` and ``R``, ``inv(S)``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

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
    return _symmetric_facts(tuple(i.name for i in graph.inputs.values() if i.kind == "symmetric"), graph.definitions)


@lru_cache(maxsize=8)  # each result of a derivation asks
def _symmetric_facts(declared: tuple[Name, ...], definitions: tuple[Definition, ...]) -> tuple[Fact, ...]:
    found = {name: _fact(name, True) for name in declared}
    anonymous: dict[Name, Definition] = {}
    for d in definitions:
        if _may_be_proved(d):
            rhs = _opened(d.rhs, anonymous)
            row, column = d.bound[-2:]
            if is_symmetric(rhs, row, column, found):
                used = [found[n] for n in references(rhs) if n in found]
                by_itself = is_symmetric(rhs, row, column, ())
                found[d.name] = _fact(d.name, not by_itself and any(f.declared for f in used))
        if d.name.kind == "anon" and d.name not in found:  # what is known to be symmetric is read as it is
            anonymous[d.name] = d
    return tuple(found.values())


def _may_be_proved(d: Definition) -> bool:
    if len(d.bound) != len(d.indices) or len(d.indices) < 2 or d.rhs.nodes > PROOF_NODES or isinstance(d.rhs, Ref):
        return False
    row, column = d.bound[-2:]
    return row.size == column.size


def _opened(expr: Expr, table: Mapping[Name, Definition]) -> Expr:
    """Return ``expr`` with the anonymous names written out, as long as it stays short."""
    made = replace(expr, lambda n: table[n.name].at(n.subs) if isinstance(n, Ref) and n.name in table else None, table.keys())
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
    plain = normal(expr)
    if _readers(plain, row, names) != _readers(plain, column, names):
        return False
    plain = _one_sum(plain)
    exchanged = substitute(plain, {row: Affine.of(column), column: Affine.of(row)})
    return key(_unordered(plain, names)) == key(_unordered(exchanged, names))


def _readers(expr: Expr, index: Index, names: Collection[Name]) -> dict[Name, set[int]]:
    """Return where arrays are read at ``index``: the axes, of a symmetric matrix either of two."""
    found: dict[Name, set[int]] = {}
    for node in walk(expr):
        if isinstance(node, Ref) and index in node.free:
            known = len(node.subs) - 2 if node.name in names else len(node.subs)
            found.setdefault(node.name, set()).update(n for n, s in enumerate(node.subs) if index in s.free and n < known)
    return found


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
