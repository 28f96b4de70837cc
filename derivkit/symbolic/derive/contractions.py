"""Folding a product of matrices back to its name when its factors have been regrouped.

``Σ_k P_nk Σ_d G_nd V_kd`` has the factors of ``O_nd = Σ_k P_nk V_kd`` in it: nested sums are one product of factors, some of
which are a definition's; its summed index must be in no other of them.  Then ``Σ_d G_nd O_nd`` is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace as replace_fields
from typing import cast

from derivkit.symbolic.derive.match import Binding, match
from derivkit.symbolic.expr import Add, Expr, Prim, Ref, Sum, freshen, references, replace, substitute
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import factors_of, mul, normal, sum_over

MOST_FACTORS = 8


def contractions(definitions: Sequence[Definition]) -> tuple[Definition, ...]:
    """Return the definitions that are a Σ of a product of names and primitives, what nobody named in them written out."""
    unnamed = {d.name: d for d in definitions if d.name.opened and isinstance(d.rhs, Sum)}

    def opened(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or node.name not in unnamed:
            return None
        return replace(unnamed[node.name].at(node.subs), opened, unnamed.keys())

    made = [replace_fields(d, rhs=normal(replace(d.rhs, opened, unnamed.keys()))) for d in definitions if isinstance(d.rhs, Sum)]
    products = (d for d in made if isinstance(d.rhs, Sum) and not d.name.opened)
    return tuple(d for d in products if all(isinstance(f, Ref | Prim) for f in _flat(cast(Sum, d.rhs))[1]))


def regrouped(expr: Expr, named: Sequence[Definition]) -> Expr:
    """Return ``expr`` with the contractions ``named`` folded wherever their factors stand in a Σ; itself where none do."""
    read = references(expr).keys()
    useful = [d for d in named if references(d.rhs).keys() <= read]
    return _everywhere(expr, useful) if useful else expr


def _everywhere(expr: Expr, named: Sequence[Definition]) -> Expr:
    if isinstance(expr, Sum):
        made = _folded(expr, named)
        if made is not None:
            return made
    if not expr.children:
        return expr
    children = tuple(_everywhere(c, named) for c in expr.children)
    return expr if all(a is b for a, b in zip(children, expr.children, strict=True)) else normal(expr.rebuilt(children))


def _flat(expr: Sum) -> tuple[list[Index], list[Expr]]:
    """Return the indices and the factors of nested sums."""
    indices, factors = list(expr.indices), []
    stack = list(factors_of(expr.body))[::-1]
    while stack:
        factor = stack.pop()
        if isinstance(factor, Sum) and not isinstance(factor.body, Add):
            inner = cast(Sum, freshen(factor)) if set(factor.indices) & set(indices) else factor
            indices += inner.indices
            stack += factors_of(inner.body)[::-1]
        else:
            factors.append(factor)
    return indices, factors


def _folded(expr: Sum, named: Sequence[Definition]) -> Expr | None:
    indices, factors = _flat(expr)
    changed = False
    while len(factors) <= MOST_FACTORS:
        found = next((f for d in named for f in _found(d, indices, factors)), None)
        if found is None:
            break
        indices, factors = found
        changed = True
    return _nested(indices, [_everywhere(f, named) for f in factors]) if changed else None


def _found(d: Definition, indices: list[Index], factors: list[Expr]) -> Iterator[tuple[list[Index], list[Expr]]]:
    """Yield what is left of the sum when the factors of a definition are replaced by its name."""
    summed, patterns = _flat(cast(Sum, d.rhs))
    free = frozenset((*d.bound, *summed))
    for chosen, binding in _chosen(patterns, factors, free, {}, ()):
        images: list[Index | None] = [binding[i].bare if i in binding else None for i in summed]
        if len(set(images)) < len(images) or any(i is None or i not in indices for i in images):
            continue
        if any(i.size != j.size for i, j in zip(summed, images, strict=True) if j is not None):
            continue
        rest = [f for n, f in enumerate(factors) if n not in chosen]
        outside = [binding[i] for i in d.bound if i in binding]
        if len(outside) < len(d.bound) or any(f.free & set(images) for f in rest):
            continue
        if any(s.free & set(images) for s in outside):
            continue
        made = substitute(d.ref(), {i: binding[i] for i in d.bound})
        yield [i for i in indices if i not in images], [*rest, made]


def _chosen(
    patterns: Sequence[Expr], factors: Sequence[Expr], free: frozenset[Index], binding: Binding, taken: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Binding]]:
    if len(taken) == len(patterns):
        yield taken, binding
        return
    for n, factor in enumerate(factors):
        if n not in taken:
            found = match(patterns[len(taken)], factor, free, binding)
            if found is not None:
                yield from _chosen(patterns, factors, free, found, (*taken, n))


def _nested(indices: Sequence[Index], factors: Sequence[Expr]) -> Expr:
    """Return Σ over ``indices``, each around the factors that depend on it, that of the fewest first."""
    left, work = list(indices), list(factors)
    while left:
        index = min(left, key=lambda i: sum(i in f.free for f in work))
        inside = [f for f in work if index in f.free]
        together = [i for i in left if all((i in f.free) == (f in inside) for f in work)] if inside else [index]
        work = [*(f for f in work if index not in f.free), sum_over(tuple(together), mul(inside))]
        left = [i for i in left if i not in together]
    return mul(work)
