"""The nodes of index notation: small and immutable, with cached free indices, node counts and hashes.

The classes are the *raw* constructors: a line as it is written.  The normalising ones are in ``normal``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.names import Name

_set = object.__setattr__
_HASHED_LATER = 100  # nodes: most small ones are never looked up; a deep one is hashed at once, over parts that are, or recurses


class Expr:
    """An expression; ``free`` are its free indices, ``nodes`` its number of nodes as a tree.

    ``doubles`` counts those of them that bind several indices at once; ``children`` are the sub-expressions, in order of reading.
    """

    __slots__ = ("_hash", "_key", "_open_keys", "_reads", "children", "doubles", "free", "nodes")
    children: tuple[Expr, ...]
    free: frozenset[Index]
    nodes: int
    doubles: int
    _hash: int | None
    _key: tuple[int, int] | None
    _open_keys: dict[tuple[object, ...], int] | None
    _reads: Mapping[Name, None] | None

    def parts(self) -> tuple[object, ...]:
        """Return what makes this node equal to another of its class."""
        raise NotImplementedError

    @property
    def subscripts(self) -> tuple[Affine, ...]:
        """The subscripts that the node itself has."""
        return ()

    @property
    def reads(self) -> Mapping[Name, None]:
        """The names read in it (also in subscripts), in order of first appearance; made once, and shared by its parents."""
        if self._reads is None:
            _set(self, "_reads", _reads(self))
        return self._reads  # type: ignore[return-value]

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same raw node over other children."""
        del children
        return self

    def _finish(self, free: frozenset[Index], children: tuple[Expr, ...] = (), binds: int = 0) -> None:
        nodes, doubles = 1, int(binds > 1)
        for child in children:
            nodes += child.nodes
            doubles += child.doubles
        _set(self, "children", children)
        _set(self, "free", free)
        _set(self, "nodes", nodes)
        _set(self, "doubles", doubles)
        _set(self, "_hash", None if nodes <= _HASHED_LATER else hash((type(self).__name__, self.parts())))
        _set(self, "_key", None)
        _set(self, "_open_keys", None)
        _set(self, "_reads", None)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: expressions are immutable."""
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        """Compare as written (not up to renaming of bound indices: see :func:`key`)."""
        if self is other:
            return True
        return type(self) is type(other) and hash(self) == hash(other) and self.parts() == other.parts()

    def __hash__(self) -> int:
        """Hash the written form, once."""
        known = self._hash
        if known is None:
            known = hash((type(self).__name__, self.parts()))
            _set(self, "_hash", known)
        return known

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle through the constructor."""
        return (type(self), self.parts())


def _union(children: tuple[Expr, ...]) -> frozenset[Index]:
    free: frozenset[Index] = frozenset()
    for child in children:
        if child.free:
            free = free | child.free if free else child.free
    return free


def _reads(expr: Expr) -> Mapping[Name, None]:
    found: Mapping[Name, None] = {expr.name: None} if isinstance(expr, Ref) else {}
    atoms = [a for sub in expr.subscripts for a, _ in sub.terms if isinstance(a, Expr)]
    for part in (*reversed(atoms), *expr.children):
        more = part.reads
        if not found:
            found = more
        elif more is not found and not more.keys() <= found.keys():
            found = {**found, **more}
    return found


class Num(Expr):
    """An exact rational number."""

    __slots__ = ("value",)
    value: Fraction

    def __init__(self, value: Fraction | int) -> None:
        """Keep ``value`` as a fraction."""
        _set(self, "value", value if type(value) is Fraction else Fraction(value))
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

    @property
    def subscripts(self) -> tuple[Affine, ...]:
        """One for each axis."""
        return self.subs

    def parts(self) -> tuple[object, ...]:
        """Return the name and subscripts."""
        return (self.name, self.subs)

    def substituted(self, mapping: Mapping[Index, Affine]) -> Ref:
        """Return the reference with the indices of its subscripts replaced."""
        return Ref(self.name, tuple(sub.substitute(mapping) for sub in self.subs))


class _Nary(Expr):
    __slots__ = ("args",)
    args: tuple[Expr, ...]

    def __init__(self, args: tuple[Expr, ...]) -> None:
        """Keep the operands in the order given."""
        _set(self, "args", args)
        self._finish(_union(args), args)

    def parts(self) -> tuple[object, ...]:
        """Return the operands."""
        return (self.args,)

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
        self._finish(_union((base, exponent)), (base, exponent))

    def parts(self) -> tuple[object, ...]:
        """Return base and exponent."""
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
        self._finish(_union(args), args)

    def parts(self) -> tuple[object, ...]:
        """Return the name and operands."""
        return (self.op, self.args)

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
        self._finish(body.free.difference(indices), (body,), len(indices))

    def parts(self) -> tuple[object, ...]:
        """Return indices and body."""
        return (self.indices, self.body)

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

    @property
    def subscripts(self) -> tuple[Affine, ...]:
        """Both sides."""
        return (self.left, self.right)

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

    @property
    def subscripts(self) -> tuple[Affine, ...]:
        """What must be in range."""
        return (self.subscript,)

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
        self._finish(free, args, len(bound))

    @property
    def subscripts(self) -> tuple[Affine, ...]:
        """Where it is read."""
        return self.at

    def parts(self) -> tuple[object, ...]:
        """Return all fields."""
        return (self.op, self.bound, self.args, self.at)

    def rebuilt(self, children: tuple[Expr, ...]) -> Expr:
        """Return the same primitive on other arguments."""
        return Prim(self.op, self.bound, children, self.at)


ZERO_EXPR = Num(0)
ONE_EXPR = Num(1)
