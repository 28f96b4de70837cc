"""The expressions of index notation: small immutable nodes, with cached free indices, node counts and alpha keys.

The classes are the *raw* constructors: a line as it is written.  The normalising ones are in ``normal``.
A bound index is unique to its binder, and substitution avoids capture whatever it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from derivkit.symbolic.index import ONE, Affine, Index, Size

_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class Name:
    """The structured name of a node.

    ``kind`` is ``user`` (the author's word), ``anon`` (made for a step that needs one), ``adjoint`` (∂``output``/∂``of``),
    ``cotangent`` or ``tangent`` (of ``of``) or ``local`` (``of`` differentiated with respect to ``output``).
    """

    kind: str
    label: str
    of: Name | None = None
    output: Name | None = None

    def __str__(self) -> str:
        """Return the program spelling: ``h``, ``dE_dh``."""
        if self.kind == "adjoint":
            return f"d{self.output}_d{self.of}"
        if self.kind == "local":
            return f"d{self.of}_d{self.output}"
        if self.kind in {"tangent", "cotangent"}:
            return f"{self.of}_{'dot' if self.kind == 'tangent' else 'bar'}"
        return self.label


def user(label: str) -> Name:
    """Return the name of a node that the author named."""
    return Name("user", label)


class Expr:
    """An expression; ``free`` are its free indices, ``nodes`` its number of nodes as a tree."""

    __slots__ = ("_hash", "_key", "free", "nodes")
    free: frozenset[Index]
    nodes: int
    _hash: int
    _key: tuple[int, int] | None

    def parts(self) -> tuple[object, ...]:
        """Return what makes this node equal to another of its class."""
        raise NotImplementedError

    @property
    def children(self) -> tuple[Expr, ...]:
        """The sub-expressions, in order of reading."""
        return ()

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same raw node over other children."""
        del children
        return self

    def _finish(self, free: frozenset[Index]) -> None:
        _set(self, "free", free)
        _set(self, "nodes", 1 + sum(c.nodes for c in self.children))
        _set(self, "_hash", hash((type(self).__name__, self.parts())))
        _set(self, "_key", None)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: expressions are immutable."""
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        """Compare as written (not up to renaming of bound indices: see :func:`key`)."""
        if self is other:
            return True
        return type(self) is type(other) and self._hash == other._hash and self.parts() == other.parts()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        """Hash the written form."""
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle through the constructor."""
        return (type(self), self.parts())

    def substituted(self, mapping: Mapping[Index, Affine]) -> Expr:
        """Return the expression with free indices replaced, capture avoided."""
        return substitute(self, mapping)


def _union(children: tuple[Expr, ...]) -> frozenset[Index]:
    free: frozenset[Index] = frozenset()
    for child in children:
        if child.free:
            free = free | child.free if free else child.free
    return free


class Num(Expr):
    """An exact rational number."""

    __slots__ = ("value",)
    value: Fraction

    def __init__(self, value: Fraction | int) -> None:
        """Keep ``value`` as a fraction."""
        _set(self, "value", Fraction(value))
        self._finish(frozenset())

    def parts(self) -> tuple[object, ...]:
        """Return the value."""
        return (self.value,)


class Const(Expr):
    """A named constant: ``pi`` or ``inf``."""

    __slots__ = ("name",)
    name: str

    def __init__(self, name: str) -> None:
        """Keep the name."""
        _set(self, "name", name)
        self._finish(frozenset())

    def parts(self) -> tuple[object, ...]:
        """Return the name."""
        return (self.name,)


class SizeOf(Expr):
    """A size used as a number, as in ``/ N``."""

    __slots__ = ("size",)
    size: Size

    def __init__(self, size: Size) -> None:
        """Keep the size."""
        _set(self, "size", size)
        self._finish(frozenset())

    def parts(self) -> tuple[object, ...]:
        """Return the size."""
        return (self.size,)


class Ref(Expr):
    """An entry of a named array; out of its range it reads as 0.  An axis of literal size 1 has subscript 0."""

    __slots__ = ("name", "subs")
    name: Name
    subs: tuple[Affine, ...]

    def __init__(self, name: Name, subs: tuple[Affine, ...] = ()) -> None:
        """Keep the name and one subscript for each axis."""
        _set(self, "name", name)
        _set(self, "subs", subs)
        free: frozenset[Index] = frozenset()
        for sub in subs:
            free = free | sub.free
        self._finish(free)

    def parts(self) -> tuple[object, ...]:
        """Return the name and subscripts."""
        return (self.name, self.subs)


class _Nary(Expr):
    __slots__ = ("args",)
    args: tuple[Expr, ...]

    def __init__(self, args: tuple[Expr, ...]) -> None:
        """Keep the operands in the order given."""
        _set(self, "args", args)
        self._finish(_union(args))

    def parts(self) -> tuple[object, ...]:
        """Return the operands."""
        return (self.args,)

    @property
    def children(self) -> tuple[Expr, ...]:
        """The operands."""
        return self.args

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same operation on other operands."""
        return type(self)(children)


class Add(_Nary):
    """A sum of terms, in the order in which they are written."""

    __slots__ = ()


class Mul(_Nary):
    """A product of factors, in the order in which they are written; a quotient has powers of −1."""

    __slots__ = ()


class Pow(Expr):
    """``base ** exponent``."""

    __slots__ = ("base", "exponent")
    base: Expr
    exponent: Expr

    def __init__(self, base: Expr, exponent: Expr) -> None:
        """Keep base and exponent."""
        _set(self, "base", base)
        _set(self, "exponent", exponent)
        self._finish(_union((base, exponent)))

    def parts(self) -> tuple[object, ...]:
        """Return base and exponent."""
        return (self.base, self.exponent)

    @property
    def children(self) -> tuple[Expr, ...]:
        """Base and exponent."""
        return (self.base, self.exponent)

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return another power."""
        return Pow(*children)


class Fn(Expr):
    """An elementwise operation of the table, applied to scalars; comparisons give 0 or 1."""

    __slots__ = ("args", "op")
    op: str
    args: tuple[Expr, ...]

    def __init__(self, op: str, args: tuple[Expr, ...]) -> None:
        """Keep the operation's name and its operands."""
        _set(self, "op", op)
        _set(self, "args", args)
        self._finish(_union(args))

    def parts(self) -> tuple[object, ...]:
        """Return the name and operands."""
        return (self.op, self.args)

    @property
    def children(self) -> tuple[Expr, ...]:
        """The operands."""
        return self.args

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same operation on other operands."""
        return Fn(self.op, children)


class Sum(Expr):
    """Σ over ``indices`` (each over its own range) of ``body``."""

    __slots__ = ("body", "indices")
    indices: tuple[Index, ...]
    body: Expr

    def __init__(self, indices: tuple[Index, ...], body: Expr) -> None:
        """Bind ``indices`` in ``body``."""
        _set(self, "indices", indices)
        _set(self, "body", body)
        self._finish(body.free.difference(indices))

    def parts(self) -> tuple[object, ...]:
        """Return indices and body."""
        return (self.indices, self.body)

    @property
    def children(self) -> tuple[Expr, ...]:
        """The body."""
        return (self.body,)

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same sum over another body."""
        return Sum(self.indices, children[0])


class Delta(Expr):
    """δ: 1 where two subscripts are equal, else 0."""

    __slots__ = ("left", "right")
    left: Affine
    right: Affine

    def __init__(self, left: Affine, right: Affine) -> None:
        """Keep both sides."""
        _set(self, "left", left)
        _set(self, "right", right)
        self._finish(left.free | right.free)

    def parts(self) -> tuple[object, ...]:
        """Return both sides."""
        return (self.left, self.right)


class Inside(Expr):
    """The range indicator [0 ≤ ``subscript`` < ``size``]."""

    __slots__ = ("size", "subscript")
    subscript: Affine
    size: Size

    def __init__(self, subscript: Affine, size: Size) -> None:
        """Keep the subscript and the size of its range."""
        _set(self, "subscript", subscript)
        _set(self, "size", size)
        self._finish(subscript.free)

    def parts(self) -> tuple[object, ...]:
        """Return subscript and size."""
        return (self.subscript, self.size)


class Prim(Expr):
    """A primitive on whole axes: ``op`` over the ``bound`` indices of ``args``, read at the subscripts ``at``.

    ``softmax`` binds one index and is read at one; ``max`` binds any number and is read at none; ``inv`` binds two and is
    read at two.  Indices of the arguments that are not bound are batch.
    """

    __slots__ = ("args", "at", "bound", "op")
    op: str
    bound: tuple[Index, ...]
    args: tuple[Expr, ...]
    at: tuple[Affine, ...]

    def __init__(self, op: str, bound: tuple[Index, ...], args: tuple[Expr, ...], at: tuple[Affine, ...]) -> None:
        """Bind ``bound`` in ``args``."""
        _set(self, "op", op)
        _set(self, "bound", bound)
        _set(self, "args", args)
        _set(self, "at", at)
        free = _union(args).difference(bound)
        for sub in at:
            free = free | sub.free
        self._finish(free)

    def parts(self) -> tuple[object, ...]:
        """Return all fields."""
        return (self.op, self.bound, self.args, self.at)

    @property
    def children(self) -> tuple[Expr, ...]:
        """The arguments."""
        return self.args

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same primitive on other arguments."""
        return Prim(self.op, self.bound, children, self.at)


ZERO_EXPR = Num(0)
ONE_EXPR = Num(1)


def binders(expr: Expr) -> tuple[Index, ...]:
    """Return the indices that the node itself binds."""
    if isinstance(expr, Sum):
        return expr.indices
    return expr.bound if isinstance(expr, Prim) else ()


def substitute(expr: Expr, mapping: Mapping[Index, Affine]) -> Expr:
    """Return ``expr`` with its free indices replaced by subscripts; bound indices are renamed where they would capture."""
    relevant = {i: s for i, s in mapping.items() if i in expr.free}
    if not relevant:
        return expr
    if isinstance(expr, Ref):
        return Ref(expr.name, tuple(s.substitute(relevant) for s in expr.subs))
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
    return expr.rebuilt(tuple(substitute(c, relevant) for c in expr.children))


def _avoid_capture(
    bound: tuple[Index, ...], mapping: Mapping[Index, Affine]
) -> tuple[tuple[Index, ...], dict[Index, Affine]]:
    inner = {i: s for i, s in mapping.items() if i not in bound}
    coming: frozenset[Index] = frozenset().union(*(s.free for s in inner.values()))
    renamed = tuple(b.fresh() if b in coming else b for b in bound)
    inner.update((b, Affine.of(r)) for b, r in zip(bound, renamed, strict=True) if b is not r)
    return renamed, inner


def freshen(expr: Expr) -> Expr:
    """Return ``expr`` with every bound index new: a copy that can stand beside the original."""
    if isinstance(expr, Sum):
        fresh = tuple(i.fresh() for i in expr.indices)
        return Sum(fresh, freshen(substitute(expr.body, _pairs(expr.indices, fresh))))
    if isinstance(expr, Prim):
        fresh = tuple(i.fresh() for i in expr.bound)
        mapping = _pairs(expr.bound, fresh)
        return Prim(expr.op, fresh, tuple(freshen(substitute(a, mapping)) for a in expr.args), expr.at)
    if not expr.children:
        return expr
    return expr.rebuilt(tuple(freshen(c) for c in expr.children))


def _pairs(old: tuple[Index, ...], new: tuple[Index, ...]) -> dict[Index, Affine]:
    return {o: Affine.of(n) for o, n in zip(old, new, strict=True)}


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
        stack.extend(a for s in _subscripts(node) for a, _ in s.terms if isinstance(a, Expr))


def _subscripts(node: Expr) -> tuple[Affine, ...]:
    if isinstance(node, Ref):
        return node.subs
    if isinstance(node, Delta):
        return (node.left, node.right)
    if isinstance(node, Inside):
        return (node.subscript,)
    return node.at if isinstance(node, Prim) else ()


def references(expr: Expr) -> dict[Name, None]:
    """Return the names read by ``expr`` (also in subscripts), in order of first appearance."""
    return {node.name: None for node in walk(expr) if isinstance(node, Ref)}


def replace(expr: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """Return ``expr`` with each node replaced by ``change(node)`` where that is not ``None``, topmost first, raw."""
    new = change(expr)
    if new is not None:
        return new
    if not expr.children:
        return expr
    children = tuple(replace(c, change) for c in expr.children)
    if all(a is b for a, b in zip(children, expr.children, strict=True)):
        return expr
    return expr.rebuilt(children)


# -- alpha keys ---------------------------------------------------------------------------------------------------------

_table: dict[tuple[object, ...], int] = {}
_epoch = 0
_TABLE_LIMIT = 2_000_000


def key(expr: Expr) -> int:
    """Return a number that is the same for expressions equal up to bound names and the order of terms and factors.

    Equal keys mean equal values, always; unequal keys of equal expressions are possible (several indices bound at once).
    """
    global _epoch
    if len(_table) > _TABLE_LIMIT:
        _table.clear()
        _epoch += 1
    return _key(expr, {})


def _intern(*parts: object) -> int:
    return _table.setdefault(parts, len(_table) + _epoch * 10 * _TABLE_LIMIT)


def _key(expr: Expr, env: dict[Index, int]) -> int:
    closed = not env or expr.free.isdisjoint(env)
    if closed:
        cached = expr._key
        if cached is not None and cached[0] == _epoch:
            return cached[1]
        env = {}
    made = _make_key(expr, env)
    if closed:
        _set(expr, "_key", (_epoch, made))
    return made


def _make_key(expr: Expr, env: dict[Index, int]) -> int:
    kind = type(expr).__name__
    if isinstance(expr, Ref):
        return _intern(kind, expr.name, *(_affine_key(s, env) for s in expr.subs))
    if isinstance(expr, Add | Mul):
        return _intern(kind, *sorted(_key(a, env) for a in expr.args))
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

        def look(index: Index) -> tuple[str, int]:
            marked = {**env, **{b: level + (b is index) for b in bound}}
            return (str(index.size), _key(bodies[0], marked))

        bound = tuple(sorted(bound, key=look))
    return _ordered_keys(bound, bodies, env)


def bare(index: Index) -> Affine:
    """Return the index as a subscript."""
    return Affine(((index, ONE),), Size.of(0))
