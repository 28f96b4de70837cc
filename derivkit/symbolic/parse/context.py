"""The state of a lowering: values with axes, the definitions made on the way, letters, names and places."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count

from derivkit import limits
from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Const, Expr, Fn, Mul, Name, Num, Prim, Ref, SizeOf, Sum, freshen, key, substitute, user, walk
from derivkit.symbolic.graph import Definition, Need
from derivkit.symbolic.index import ONE, Affine, Index, Size
from derivkit.symbolic.ops import COMPARISONS, FUNCTIONS
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.shapes import Sizes, shown
from derivkit.symbolic.parse.syntax import Place
from derivkit.symbolic.ranges import at_least

#: The letters that sizes usually have; other sizes take the next letter.
LETTERS: dict[str, str] = {"D": "i", "M": "j", "K": "k", "N": "n", "H": "j"}
SUPPLY = "ijklmpqrstuvabcdefgh"
#: The names of nodes that get one.
HINTS: dict[str, str] = {
    "softmax": "p",
    "log_softmax": "l",
    "logsumexp": "l",
    "max": "m",
    "min": "m",
    "norm": "r",
    "prod": "q",
    "argmax": "m",
    "inv": "Z",
    "det": "d",
    "logdet": "l",
    "solve": "s",
}
_COMPARING = frozenset(COMPARISONS.values())


@dataclass(frozen=True, slots=True)
class Value:
    """An array during lowering: an index for each axis (``None`` where the size is literally 1) and a scalar expression.

    ``label`` is the range of an integer-valued array, which may stand in subscripts, and only there unless it is a
    ``number`` too, as an argmax is.
    """

    axes: tuple[Index | None, ...]
    expr: Expr
    place: Place
    label: Size | None = None
    number: bool = True

    @property
    def shape(self) -> tuple[Size, ...]:
        """The size of each axis."""
        return tuple(ONE if axis is None else axis.size for axis in self.axes)

    @property
    def indices(self) -> tuple[Index, ...]:
        """The indices of the axes that have one."""
        return tuple(axis for axis in self.axes if axis is not None)

    @property
    def atomic(self) -> bool:
        """Whether a copy costs nothing."""
        return isinstance(self.expr, Ref | Num | Const | SizeOf)

    def fresh(self) -> Value:
        """Return a copy that shares no index with this one."""
        axes = tuple(axis and axis.fresh() for axis in self.axes)
        expr = freshen(self.expr, pairs(self.axes, axes))
        return Value(axes, expr, self.place, self.label, self.number)


def pairs(old: Sequence[Index | None], new: Sequence[Index | None]) -> dict[Index, Affine]:
    """Return the renaming of ``old`` indices to ``new`` ones."""
    return {o: Affine.of(n) for o, n in zip(old, new, strict=True) if o is not None and n is not None and o is not n}


def holds(expr: Expr, *kinds: type[Expr]) -> bool:
    """Say whether a node of one of the ``kinds`` is in ``expr``."""
    return any(isinstance(node, kinds) for node in walk(expr))


def holds_function(expr: Expr) -> bool:
    """Say whether an elementwise operation other than a comparison is in ``expr``."""
    return any(isinstance(node, Fn) and node.op not in _COMPARING for node in walk(expr))


def ordered(indices: Iterable[Index], first: Iterable[Index] = ()) -> tuple[Index, ...]:
    """Return ``indices``, those of ``first`` in front, the others by age."""
    left = set(indices)
    front = [i for i in dict.fromkeys(first) if i in left]
    return (*front, *sorted(left.difference(front), key=lambda i: i.uid))


#: What has the number of the line that it stands in: h2 = tanh(a2).
NUMBERED = frozenset({"a", "z"})


@dataclass(slots=True)
class Context:
    """What one pass over a program knows and makes; ``naming`` is off for a single expression, which stays whole.

    A right side that the author has given a name is ``reused`` under it, unless his lines are to stay ``apart``.
    """

    source: str
    sizes: Sizes
    taken: set[str]
    size_names: set[str]
    naming: bool = True
    apart: bool = False
    reused: bool = False
    definitions: list[Definition] = field(default_factory=list)
    needs: dict[tuple[Size, Size], Need] = field(default_factory=dict)
    shared: list[Place] = field(default_factory=list)
    line: int = 0
    number: str = ""
    _known: dict[int, tuple[Name, tuple[int | None, ...]]] = field(default_factory=dict)
    _ones: dict[Name, tuple[bool, ...]] = field(default_factory=dict)
    _letters: dict[Size, str] = field(default_factory=dict)

    # Places and errors

    def place(self, node: syntax.Expression | syntax.Slice) -> Place:
        """Where to put the caret for ``node``: in the formula of an operation it is the call."""
        return self.shared[-1] if self.shared else node.place

    @contextmanager
    def inside(self, place: Place) -> Iterator[None]:
        """Blame ``place`` for whatever goes wrong."""
        self.shared.append(self.shared[-1] if self.shared else place)
        try:
            yield
        finally:
            self.shared.pop()

    def error(self, place: Place, message: str, code: str, hint: str | None = None) -> DerivkitError:
        """Return the error for ``place``."""
        at = self.shared[-1] if self.shared else place
        return syntax.error_at(self.source, at, message, code=code, hint=hint)

    def need(self, least: Size, size: Size, what: str) -> None:
        """Remember that ``what`` is only meant where ``least`` ≤ ``size``, unless that is certain."""
        least, size = self.sizes.resolve(least), self.sizes.resolve(size)
        if not at_least(size - least):
            self.needs.setdefault((least, size), Need(least, size, f"{what} in line {self.line}"))

    def misfit(self, left: Value, right: Value, why: str) -> DerivkitError:
        """Return the error for two shapes that do not fit."""
        one, other = (shown(map(self.sizes.resolve, v.shape)) for v in (left, right))
        first = f"{one} at line {left.place.line}, column {left.place.column}"
        second = f"{other} at line {right.place.line}, column {right.place.column}"
        return self.error(right.place, f"shapes do not fit: {first}; {second}", "DK012", why)

    def real(self, value: Value) -> Value:
        """Return ``value``, which must hold real numbers."""
        if not value.number:
            hint = "a label stands in a subscript, in onehot(k, K), or first in cross_entropy"
            raise self.error(value.place, "a label is no number to compute with", "DK014", hint)
        return value

    # Indices

    def index(self, size: Size, letter: str | None = None) -> Index | None:
        """Return a new index over ``size``, or ``None`` where the size is literally 1."""
        size = self.sizes.resolve(size)
        return None if size == ONE else Index(letter or self.letter(size), size)

    def letter(self, size: Size) -> str:
        """Return the letter of a size; another size has another letter."""
        if size not in self._letters:
            used = {*self._letters.values(), *self.taken}
            name = size.name or ""
            wanted = chain((LETTERS.get(name, name.lower() if len(name) == 1 else ""),), SUPPLY, (f"i{n}" for n in count(1)))
            self._letters[size] = next(c for c in wanted if c and c not in used)
        return self._letters[size]

    def array(
        self, name: Name, axes: tuple[Index | None, ...], place: Place, label: Size | None = None, number: bool = True
    ) -> Value:
        """Return the array ``name`` read at ``axes``."""
        self._ones[name] = tuple(axis is None for axis in axes)
        return Value(axes, Ref(name, tuple(Affine.of(0 if a is None else a) for a in axes)), place, label, number)

    def is_plain(self, expr: Expr) -> bool:
        """Say whether ``expr`` is an array read at different bare indices (an axis of size 1 has none)."""
        if not isinstance(expr, Ref):
            return False
        ones = self._ones.get(expr.name, (False,) * len(expr.subs))
        bare = [sub.bare for sub, one in zip(expr.subs, ones, strict=True) if not one]
        return None not in bare and len(set(bare)) == len(bare)

    # Names for what has none

    def label(self, hint: str) -> str:
        """Return a name that nothing else has: in the line of h2 the activation's argument is a2."""
        numbered = (f"{hint}{self.number}",) if hint in NUMBERED else ()
        candidates = itertools.chain(numbered, (hint,), (f"{hint}{n}" for n in itertools.count(1)))
        name = next(n for n in candidates if n not in self.taken and n not in FUNCTIONS)
        self.taken.add(name)
        return name

    def remember(self, name: Name, axes: tuple[Index | None, ...], expr: Expr) -> None:
        """Keep a definition, so that the same right side is not named again."""
        indices = tuple(axis for axis in axes if axis is not None)
        pattern = tuple(None if axis is None else indices.index(axis) for axis in axes)
        self._known.setdefault(_alpha_key(indices, expr), (name, pattern))

    def named(
        self, expr: Expr, hint: str, order: Sequence[Index] | None = None, always: bool = False, of: str | None = None
    ) -> Expr:
        """Return a reference to ``expr`` under a name: the one it has, or a new one.

        ``order`` are its axes, in order; by default its free indices by age.  A constant is only named if ``always``.
        A name ``of`` an operation is one that results keep.
        """
        if not self.naming or not (always or holds(expr, Ref)):
            return expr
        axes = ordered(expr.free) if order is None else tuple(order)
        known = self._known.get(_alpha_key(axes, expr))
        if known is not None:
            name, pattern = known
            self.reused |= name.kind == "user"
            return Ref(name, tuple(Affine.of(0 if slot is None else axes[slot]) for slot in pattern))
        own = tuple(axis.fresh() for axis in axes)
        name = Name("anon", self.label(hint), None if of is None else user(of))
        self.define(Definition(name, tuple(a.size for a in own), own, substitute(expr, pairs(axes, own)), line=self.line))
        return Ref(name, tuple(Affine.of(a) for a in axes))

    def define(self, definition: Definition) -> None:
        """Add a definition, within the limits."""
        if sum(node is not None for node in definition.shape) > limits.RANK:
            raise self.error(Place(self.line or 1, 1), f"more than {limits.RANK} axes", "DK017")
        if definition.rhs.nodes > limits.RESULT_NODES:
            hint = "give parts of the line a name"
            raise self.error(Place(self.line or 1, 1), f"a line of more than {limits.RESULT_NODES} nodes", "DK018", hint)
        if definition.name.kind != "user" or not self.apart:
            self.remember(definition.name, definition.indices, definition.rhs)
        self.definitions.append(definition)

    def whole(self, value: Value) -> Value:
        """Return ``value`` for use in a larger expression: a primitive gets a name first."""
        value = self.real(value)
        if not isinstance(value.expr, Prim):
            return value
        return self.renamed(value, HINTS.get(value.expr.op, "u"))

    def renamed(self, value: Value, hint: str, of: str | None = None) -> Value:
        """Return ``value`` under a name, with the same axes."""
        expr = self.named(value.expr, hint, ordered(value.expr.free, value.indices), of=of)
        return Value(value.axes, expr, value.place, value.label, value.number)

    def without_sums(self, expr: Expr, axes: Sequence[Index], wanted: frozenset[Index] | None = None) -> Expr:
        """Return ``expr`` with its sums under names.

        With ``wanted`` only those sums are named which lack one of these indices: the others may stay in a product or a
        sum of terms that has just these indices.
        """
        if not self.naming or not holds(expr, Sum):
            return expr
        if isinstance(expr, Sum):
            return expr if wanted is not None and wanted <= expr.free else self._term(expr, axes)
        if isinstance(expr, Mul):
            return self._product(expr, axes, wanted)
        return expr.rebuilt(tuple(self.without_sums(child, axes, wanted) for child in expr.children))

    def _term(self, expr: Expr, axes: Sequence[Index]) -> Expr:
        return self.named(expr, "u", ordered(expr.free, axes))

    def _product(self, expr: Mul, axes: Sequence[Index], wanted: frozenset[Index] | None) -> Expr:
        """Name a sum together with the factors that have no index of their own, as the 1/N of a mean."""
        sums = [factor for factor in expr.args if holds(factor, Sum)]
        if wanted is not None and all(wanted <= factor.free for factor in sums):
            return expr
        if len(sums) > 1:
            return Mul(tuple(self.without_sums(factor, axes, wanted) for factor in expr.args))
        inner = sums[0].free
        company = [f for f in expr.args if f.free <= inner and not (isinstance(f, Num) and f.value == -1)]
        alone = len(company) == 1
        made = self.without_sums(company[0], axes) if alone else self._term(Mul(tuple(company)), axes)
        kept: list[Expr] = []
        for factor in expr.args:
            if factor is sums[0]:
                kept.append(made)
            elif not any(factor is other for other in company):
                kept.append(factor)
        return kept[0] if len(kept) == 1 else Mul(tuple(kept))

    # Broadcasting

    def broadcast(self, values: Sequence[Value]) -> tuple[tuple[Index | None, ...], list[Expr]]:
        """Return the common axes, aligned from the right as in NumPy, and each expression on them."""
        rank = max(len(value.axes) for value in values)
        if rank > limits.RANK:
            raise self.error(values[-1].place, f"more than {limits.RANK} axes", "DK017")
        chosen: list[Index | None] = [None] * rank
        owner: list[Value] = [values[0]] * rank
        renamings: list[dict[Index, Affine]] = []
        for value in values:
            renaming: dict[Index, Affine] = {}
            for position, axis in enumerate(value.axes, rank - len(value.axes)):
                common = chosen[position]
                if axis is None or axis is common:
                    continue
                if self.sizes.resolve(axis.size) == ONE:  # found out since it was made: the next pass gives it no index
                    renaming[axis] = Affine.of(0)
                    continue
                if common is None:
                    chosen[position], owner[position] = axis, value
                elif self.sizes.unify(common.size, axis.size):
                    renaming[axis] = Affine.of(common)
                else:
                    raise self.misfit(owner[position], value, "axes are aligned from the right; only a literal 1 is stretched")
            renamings.append(renaming)
        return tuple(chosen), [substitute(value.expr, r) for value, r in zip(values, renamings, strict=True)]


def _alpha_key(axes: tuple[Index, ...], expr: Expr) -> int:
    return key(Prim("definition", axes, (expr,), ()))
