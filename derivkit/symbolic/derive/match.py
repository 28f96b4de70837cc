"""Matching modulo associativity and commutativity: does an expression have the shape of a definition's right side?

A match binds the definition's free indices to subscripts, through binders, and is unique up to the order of trial.
"""

from __future__ import annotations

from collections.abc import Iterator

from derivkit.symbolic.expr import Add, Const, Delta, Expr, Fn, Inside, Mul, Num, Pow, Prim, Ref, SizeOf, Sum
from derivkit.symbolic.index import Affine, Index

Binding = dict[Index, Affine]
_OPERAND_LIMIT = 8


def match(pattern: Expr, expr: Expr, free: frozenset[Index], binding: Binding | None = None) -> Binding | None:
    """Return what ``free`` indices of ``pattern`` must be for it to equal ``expr``, or ``None``."""
    return next(_match(pattern, expr, free, binding or {}), None)


def _match(pattern: Expr, expr: Expr, free: frozenset[Index], b: Binding) -> Iterator[Binding]:
    if type(pattern) is not type(expr) or len(pattern.children) != len(expr.children):
        return
    if isinstance(pattern, Ref) and isinstance(expr, Ref):
        if pattern.name == expr.name:
            yield from _subscripts(pattern.subs, expr.subs, free, b)
    elif isinstance(pattern, Num | Const | SizeOf):
        if pattern == expr:
            yield b
    elif isinstance(pattern, Add | Mul):
        if len(pattern.args) <= _OPERAND_LIMIT:
            yield from _commutative(pattern.children, expr.children, free, b)
    elif isinstance(pattern, Sum) and isinstance(expr, Sum):
        yield from _binder(pattern.indices, expr.indices, pattern.children, expr.children, free, b)
    elif isinstance(pattern, Prim) and isinstance(expr, Prim):
        if pattern.op == expr.op and len(pattern.at) == len(expr.at):
            for inner in _subscripts(pattern.at, expr.at, free, b):
                yield from _binder(pattern.bound, expr.bound, pattern.children, expr.children, free, inner)
    elif isinstance(pattern, Fn) and isinstance(expr, Fn):
        if pattern.op == expr.op:
            yield from _in_order(pattern.children, expr.children, free, b)
    elif isinstance(pattern, Delta) and isinstance(expr, Delta):
        yield from _subscripts((pattern.left, pattern.right), (expr.left, expr.right), free, b)
        yield from _subscripts((pattern.left, pattern.right), (expr.right, expr.left), free, b)
    elif isinstance(pattern, Inside) and isinstance(expr, Inside):
        if pattern.size == expr.size:
            yield from _subscripts((pattern.subscript,), (expr.subscript,), free, b)
    elif isinstance(pattern, Pow):
        yield from _in_order(pattern.children, expr.children, free, b)


def _in_order(patterns: tuple[Expr, ...], exprs: tuple[Expr, ...], free: frozenset[Index], b: Binding) -> Iterator[Binding]:
    if not patterns:
        yield b
        return
    for inner in _match(patterns[0], exprs[0], free, b):
        yield from _in_order(patterns[1:], exprs[1:], free, inner)


def _commutative(patterns: tuple[Expr, ...], exprs: tuple[Expr, ...], free: frozenset[Index], b: Binding) -> Iterator[Binding]:
    if not patterns:
        yield b
        return
    for n, expr in enumerate(exprs):
        for inner in _match(patterns[0], expr, free, b):
            yield from _commutative(patterns[1:], exprs[:n] + exprs[n + 1 :], free, inner)


def _binder(
    mine: tuple[Index, ...],
    theirs: tuple[Index, ...],
    patterns: tuple[Expr, ...],
    exprs: tuple[Expr, ...],
    free: frozenset[Index],
    b: Binding,
) -> Iterator[Binding]:
    if len(mine) != len(theirs):
        return
    for inner in _in_order(patterns, exprs, free | frozenset(mine), b):
        images = [inner[m].bare if m in inner else None for m in mine]
        if None in images or len(set(images)) < len(images) or not set(images) <= set(theirs):
            continue
        if any(m.size != i.size for m, i in zip(mine, images, strict=True) if i is not None):
            continue
        outside = {i: s for i, s in inner.items() if i not in mine}
        if all(s.free.isdisjoint(theirs) for i, s in outside.items() if i not in b):
            yield outside


def _subscripts(mine: tuple[Affine, ...], theirs: tuple[Affine, ...], free: frozenset[Index], b: Binding) -> Iterator[Binding]:
    if len(mine) != len(theirs):
        return
    found = dict(b)
    for pattern, sub in zip(mine, theirs, strict=True):
        bare = pattern.bare
        if bare is not None and bare in free:
            if found.setdefault(bare, sub) != sub:
                return
        elif pattern.substitute(found) != sub:
            return
    yield found
