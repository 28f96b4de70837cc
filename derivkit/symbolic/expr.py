"""Expressions of index notation and what is done to them as trees: substituting, renaming, walking, comparing.

A bound index is unique to its binder, and substitution avoids capture whatever it is given.  Two expressions have the same
:func:`key` only if they are equal up to bound names and the order of terms and factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from operator import is_

from derivkit.symbolic.index import ONE, Affine, Index, Size
from derivkit.symbolic.names import Name, user
from derivkit.symbolic.nodes import (
    ONE_EXPR,
    ZERO_EXPR,
    Add,
    Const,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
)

__all__ = [
    "ONE_EXPR",
    "ZERO_EXPR",
    "Add",
    "Const",
    "Delta",
    "Expr",
    "Fn",
    "Inside",
    "Mul",
    "Name",
    "Num",
    "Pow",
    "Prim",
    "Ref",
    "SizeOf",
    "Sum",
    "bare",
    "binders",
    "freshen",
    "key",
    "references",
    "replace",
    "substitute",
    "user",
    "walk",
]

_set = object.__setattr__


def binders(expr: Expr) -> tuple[Index, ...]:
    """Return the indices that the node itself binds."""
    if isinstance(expr, Sum):
        return expr.indices
    return expr.bound if isinstance(expr, Prim) else ()


def substitute(expr: Expr, mapping: Mapping[Index, Affine]) -> Expr:
    """Return ``expr`` with its free indices replaced by subscripts; bound indices are renamed where they would capture."""
    free = expr.free
    if not free or free.isdisjoint(mapping):
        return expr
    relevant = {i: s for i, s in mapping.items() if i in free}
    if isinstance(expr, Ref):
        return expr.substituted(relevant)
    if isinstance(expr, Delta):
        return Delta(expr.left.substitute(relevant), expr.right.substitute(relevant))
    if isinstance(expr, Inside):
        return Inside(expr.subscript.substitute(relevant), expr.size)
    if isinstance(expr, Sum):
        indices, inner = _avoid_capture(expr.indices, relevant)
        return Sum(indices, substitute(expr.body, inner))
    if isinstance(expr, Prim):
        bound, inner = _avoid_capture(expr.bound, relevant)
        at = tuple(s.substitute(relevant) for s in expr.at)
        return Prim(expr.op, bound, tuple(substitute(a, inner) for a in expr.args), at)
    return expr.rebuilt(tuple([substitute(c, relevant) for c in expr.children]))


def _avoid_capture(bound: tuple[Index, ...], mapping: Mapping[Index, Affine]) -> tuple[tuple[Index, ...], dict[Index, Affine]]:
    inner = {i: s for i, s in mapping.items() if i not in bound}
    coming: frozenset[Index] = frozenset().union(*(s.free for s in inner.values()))
    renamed = tuple(b.fresh() if b in coming else b for b in bound)
    inner.update((b, Affine.of(r)) for b, r in zip(bound, renamed, strict=True) if b is not r)
    return renamed, inner


def freshen(expr: Expr, mapping: Mapping[Index, Affine] | None = None) -> Expr:
    """Return ``expr`` with every bound index new: a copy that can stand beside the original.

    With a ``mapping`` its free indices are replaced at the same time, which a new binder cannot capture.
    """
    if isinstance(expr, Sum):
        fresh = tuple(i.fresh() for i in expr.indices)
        return Sum(fresh, freshen(expr.body, _inner(mapping, expr.indices, fresh)))
    if isinstance(expr, Prim):
        fresh = tuple(i.fresh() for i in expr.bound)
        inner = _inner(mapping, expr.bound, fresh)
        at = tuple(s.substitute(mapping) for s in expr.at) if mapping else expr.at
        return Prim(expr.op, fresh, tuple(freshen(a, inner) for a in expr.args), at)
    if not expr.children:
        return substitute(expr, mapping) if mapping else expr
    children = tuple([freshen(c, mapping) for c in expr.children])
    return expr if all(map(is_, children, expr.children)) else expr.rebuilt(children)


def _inner(mapping: Mapping[Index, Affine] | None, old: tuple[Index, ...], new: tuple[Index, ...]) -> dict[Index, Affine]:
    return {**(mapping or {}), **{o: Affine.of(n) for o, n in zip(old, new, strict=True)}}


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield every node once (as a DAG), parents before children."""
    seen: set[int] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        stack.extend(reversed(node.children))
        for sub in node.subscripts:
            if sub.bare is None:
                stack.extend([a for a, _ in sub.terms if isinstance(a, Expr)])


def references(expr: Expr) -> Mapping[Name, None]:
    """Return the names read by ``expr`` (also in subscripts), in order of first appearance."""
    return expr.reads


def replace(expr: Expr, change: Callable[[Expr], Expr | None], reading: Set[Name] | None = None) -> Expr:
    """Return ``expr`` with each node replaced by ``change(node)`` where that is not ``None``, topmost first, raw.

    With ``reading`` only nodes in which one of these names is read are asked: the others are left as they are.
    """
    if reading is not None and reading.isdisjoint(expr.reads):
        return expr
    new = change(expr)
    if new is not None:
        return new
    old = expr.children
    children = [replace(c, change, reading) for c in old]
    if all(map(is_, children, old)):
        return expr
    return expr.rebuilt(tuple(children))


# -- alpha keys ---------------------------------------------------------------------------------------------------------

_table: dict[tuple[object, ...], int] = {}
_epoch = 0
_TABLE_LIMIT = 2_000_000
_NESTED = 2


def key(expr: Expr) -> int:
    """Return a number that is the same for expressions equal up to bound names and the order of terms and factors.

    Equal keys mean equal values, always; unequal keys of equal expressions are possible (several indices bound at once).
    """
    global _epoch
    cached = expr._key
    if cached is not None and cached[0] == _epoch:
        return cached[1]
    if len(_table) > _TABLE_LIMIT:
        _table.clear()
        _epoch += 1
    return _key(expr, {})


def _intern(*parts: object) -> int:
    return _table.setdefault(parts, len(_table) + _epoch * 10 * _TABLE_LIMIT)


def _key(expr: Expr, env: dict[Index, int]) -> int:
    if not env or expr.free.isdisjoint(env):
        cached = expr._key
        if cached is not None and cached[0] == _epoch:
            return cached[1]
        made = _make_key(expr, {})
        _set(expr, "_key", (_epoch, made))
        return made
    if isinstance(expr, Ref):
        return _make_key(expr, env)
    known = expr._open_keys
    if known is None:
        known = {}
        _set(expr, "_open_keys", known)
    free = expr.free  # what stands around the part that is looked at says nothing: Σ in Σ in Σ would be exponential
    here = (_epoch, *[pair for pair in env.items() if pair[0] in free])
    if here not in known:
        known[here] = _make_key(expr, env)
    return known[here]


def _make_key(expr: Expr, env: dict[Index, int]) -> int:
    kind = type(expr).__name__
    if isinstance(expr, Ref):
        return _intern(kind, expr.name, *[_affine_key(s, env) for s in expr.subs])
    if isinstance(expr, Add | Mul):
        return _intern(kind, *sorted([_key(a, env) for a in expr.args]))
    if isinstance(expr, Sum):
        return _intern(kind, len(expr.indices), *_bound_keys(expr.indices, (expr.body,), env))
    if isinstance(expr, Prim):
        at = tuple(_affine_key(s, env) for s in expr.at)
        return _intern(kind, expr.op, at, len(expr.bound), *_ordered_keys(expr.bound, expr.args, env))
    if isinstance(expr, Delta):
        return _intern(kind, *sorted((_affine_key(expr.left, env), _affine_key(expr.right, env))))
    if isinstance(expr, Inside):
        return _intern(kind, _affine_key(expr.subscript, env), expr.size)
    if isinstance(expr, Fn):
        return _intern(kind, expr.op, *(_key(a, env) for a in expr.args))
    if isinstance(expr, Pow):
        return _intern(kind, _key(expr.base, env), _key(expr.exponent, env))
    return _intern(kind, *expr.parts())


def _affine_key(sub: Affine, env: dict[Index, int]) -> int:
    bare = sub.bare
    if bare is not None:
        return _intern("bound", env[bare]) if bare in env else _intern("free", bare.uid)
    parts = []
    for atom, coefficient in sub.terms:
        if isinstance(atom, Index):
            token: object = ("bound", env[atom]) if atom in env else ("free", atom.uid)
        else:
            token = ("value", _key(atom, env))  # type: ignore[arg-type]
        parts.append(_intern("term", token, coefficient))
    return _intern("affine", sub.const, *sorted(parts))


def _ordered_keys(bound: tuple[Index, ...], bodies: tuple[Expr, ...], env: dict[Index, int]) -> tuple[object, ...]:
    level = len(env)
    inner = {**env, **{b: level + n for n, b in enumerate(bound)}}
    return (*(b.size for b in bound), *(_key(body, inner) for body in bodies))


def _bound_keys(bound: tuple[Index, ...], bodies: tuple[Expr, ...], env: dict[Index, int]) -> tuple[object, ...]:
    if len(bound) > 1:  # an order that does not depend on names: by the look of the body with this index marked
        level = len(env)

        def look(index: Index) -> tuple[int, int]:
            marked = {**env, **{b: level + (b is index) for b in bound}}
            return (_intern("size", index.size), _key(bodies[0], marked))

        def reads(index: Index) -> tuple[int, tuple[tuple[str, ...], ...]]:
            return (_intern("size", index.size), _readings(index, bodies[0]))

        deep = bodies[0].doubles > _NESTED  # each would be looked at anew for each around it
        bound = tuple(sorted(bound, key=reads) if deep else sorted(bound, key=look))
    return _ordered_keys(bound, bodies, env)


#: By identity, for every Σ around one asks again, and to compare the bodies takes longer than to look at them.
_readings_of: dict[tuple[int, int], tuple[Expr, tuple[tuple[str, ...], ...]]] = {}


def _readings(index: Index, body: Expr) -> tuple[tuple[str, ...], ...]:
    """Return where a body reads at an index: the names, the axes, and what stands beside it in the subscript."""
    asked = index.uid, id(body)
    if asked not in _readings_of:
        if len(_readings_of) >= 4_096:
            _readings_of.clear()
        _readings_of[asked] = body, _newly_read(index, body)  # the body is kept, so that its identity stays its own
    return _readings_of[asked][1]


def _newly_read(index: Index, body: Expr) -> tuple[tuple[str, ...], ...]:
    found = set()
    stack = [body]
    while stack:
        node = stack.pop()
        if index not in node.free:
            continue
        stack.extend(node.children)
        stack.extend(a for s in node.subscripts for a, _ in s.terms if isinstance(a, Expr))
        for axis, sub in enumerate(node.subscripts):
            if index in sub.free:
                name = str(node.name) if isinstance(node, Ref) else type(node).__name__
                found.add((name, str(axis), str(len(sub.terms)), str(sub.coefficient(index)), str(sub.const)))
    return tuple(sorted(found))


def bare(index: Index) -> Affine:
    """Return the index as a subscript."""
    return Affine(((index, ONE),), Size.of(0))
