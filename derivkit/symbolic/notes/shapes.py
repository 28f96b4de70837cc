"""What shapes a document's names have where they are written without subscripts: those with which its equations conform.

A reading of formulas with given ranks alone: what does not conform costs, and the axes that must be equally long are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes import language
from derivkit.symbolic.notes.context import Context, subscripts_of
from derivkit.symbolic.ops import ELEMENTWISE as LANGUAGE

#: What it costs that two things do not conform, that a number is added to an array, that a row is written as a column.
HARD, BROADCAST, ODD, ROW = 100, 12, 5, 2
#: Functions of a matrix that return a number.
SCALARS = frozenset({"det", "tr", "Tr", "trace", "Trace", "logdet"})
ELEMENTWISE = frozenset({"odot", "circ", "ast"})


@dataclass(frozen=True, slots=True)
class Shape:
    """The lengths of the axes that are not written, and whether a vector is a row; a literal number fits everywhere."""

    axes: tuple[Hashable, ...] = ()
    row: bool = False
    literal: bool = False


NUMBER = Shape()


@dataclass(slots=True)
class Shapes:
    """One reading of formulas with given ranks: what it costs, and the axes that it joins."""

    context: Context
    ranks: Mapping[str, int]
    join: Callable[[Hashable, Hashable], None]
    cost: int = 0
    parameters: frozenset[str] = field(default_factory=frozenset)

    # -- chains ----------------------------------------------------------------------------------------------------------

    def chain(self, chain: f.Chain) -> None:
        """Read a chain: its sides have one shape."""
        if chain.first is None:
            return
        before = self.of(self.defined(chain))
        for op, _, part in chain.links:
            after = self.of(part)
            if op in ("=", ":=", "==", "<-", "approx"):
                self.equal(before, after, part)
            before = after

    def defined(self, chain: f.Chain) -> f.Formula:
        """Return the left side of a chain, without the parameters of a function that it defines."""
        left = chain.first
        assert left is not None  # noqa: S101 - asked for above
        named = self.context.name_of(left.function) if isinstance(left, f.Application) else None
        if not isinstance(left, f.Application) or named is None or named[0] not in self.context.definitions:
            return left
        if self.context.name_of(left) is not None:
            return left
        inner = f.walk(left.arguments) if named[0] in self.context.general else ()
        self.parameters = frozenset(n.name for n in inner if isinstance(n, f.Symbol))
        return left.function

    def equal(self, before: Shape | None, after: Shape | None, part: object) -> None:
        """Ask that two sides have one shape; a derivative may be laid out either way."""
        if before is None or after is None or after.literal:
            return
        if len(before.axes) != len(after.axes):
            self.cost += HARD if after.axes or before.axes else 0
            return
        if before.row != after.row:
            self.cost += ROW
        if len(before.axes) == 1 or not any(isinstance(n, f.Derivative) for n in f.walk((part,))):
            self.joined(before.axes, after.axes)

    def joined(self, one: Sequence[Hashable], other: Sequence[Hashable]) -> None:
        """Join axes one by one."""
        for a, b in zip(one, other, strict=True):
            self.join(a, b)

    # -- the nodes -------------------------------------------------------------------------------------------------------

    def of(self, node: f.Formula) -> Shape | None:
        """Return the shape of a formula; ``None`` for what may have any."""
        match node:
            case f.Number():
                return Shape(literal=True)
            case f.Symbol() | f.Indexed():
                return self.named(node)
            case f.Sign():
                return self.of(node.operand)
            case f.Sum():
                return self.added([self.of(t) for _, t in node.terms])
            case f.Product():
                made = self.of(node.factors[0][1])
                for sign, factor in node.factors[1:]:
                    made = self.times(made, sign, self.of(factor))
                return made
            case f.Quotient():
                return self.quotient(self.of(node.over), self.of(node.under))
            case f.Power():
                return self.power(node)
            case f.Transposed():
                return self.transposed(node)
            case f.Application():
                return self.applied(node)
            case f.Derivative():
                return self.derivative(node)
            case f.Bracketed():
                return self.bracketed(node)
            case f.Big():
                for condition in node.conditions:
                    self.of(condition)
                return self.of(node.body)
            case f.List(items=(item,)) if item is not None:
                return self.of(item)
            case f.Indicator() | f.Relation():
                return NUMBER
            case f.Struck():
                return self.of(node.value)
            case _:
                return None

    def named(self, node: f.Formula) -> Shape | None:
        """Return the shape of a name: its axes that have no subscript."""
        named = self.context.name_of(node)
        if named is None:
            base = self.of(node.base) if isinstance(node, f.Indexed) else None
            return None if base is None or not isinstance(node, f.Indexed) else Shape(base.axes[len(node.subscripts) :])
        key, subscripts = named
        if isinstance(node, f.Symbol) and node.name in self.parameters:
            return None
        if self.context.is_eye(key):
            axis = ("eye", id(node))
            return Shape((axis, axis)) if not subscripts else NUMBER
        rank = self.ranks.get(key, self.context.ranks.get(key, 0))
        axes = tuple(("axis", key, n) for n in range(len(subscripts), rank))
        if len(subscripts) > rank:
            self.cost += HARD
        return Shape(axes)

    def added(self, parts: Sequence[Shape | None]) -> Shape | None:
        """Return the shape of a sum."""
        known = [p for p in parts if p is not None]
        if not known:
            return None
        most = max(known, key=lambda p: (len(p.axes), not p.literal))
        for part in known:
            if len(part.axes) == len(most.axes):
                self.joined(part.axes, most.axes)
                self.cost += ROW * 3 if part.row != most.row else 0
            elif part.axes:
                self.cost += HARD
            elif not part.literal:
                self.cost += BROADCAST
        return most

    def times(self, a: Shape | None, sign: f.ProductSign, b: Shape | None) -> Shape | None:
        """Return the shape of a product; mirrors :func:`derivkit.symbolic.notes.terms.times`."""
        if a is None or b is None:
            return None
        one, other = len(a.axes), len(b.axes)
        if not one or not other:
            self.cost += ODD if sign in ELEMENTWISE and sign != "ast" and one != other else 0
            return Shape(a.axes or b.axes, a.row or b.row)
        if sign in ELEMENTWISE:
            if one == other:
                self.joined(a.axes, b.axes)
            else:
                self.cost += HARD
            return a
        if sign in ("otimes", "times") or (one == other == 1 and not a.row and b.row):
            self.cost += HARD if one != 1 or other != 1 else 0
            return Shape((*a.axes, *b.axes))
        if one == other == 1 and not a.row and sign != "cdot":
            self.cost += HARD
            return a
        if other == 1 and b.row:
            self.cost += HARD
        if sign == "cdot" and one == other == 2:
            return None
        self.cost += ROW if one == 1 and other == 2 and not a.row else 0
        self.join(a.axes[-1], b.axes[0])
        return Shape((*a.axes[:-1], *b.axes[1:]), one == 1 and other > 1)

    def is_function(self, call: f.Application) -> bool:
        """Say whether brackets behind a letter are arguments: of a name with a shape of its own they are a factor."""
        symbol, _ = subscripts_of(call.function)
        if symbol is None:
            return False
        word = self.context.key(symbol)
        return word in self.context.functions or (word not in self.ranks and not self.context.ranks.get(word))

    def quotient(self, over: Shape | None, under: Shape | None) -> Shape | None:
        """Return the shape of a quotient: by a number, or entry by entry."""
        if over is None or under is None:
            return None
        if under.axes:
            if over.axes and len(over.axes) == len(under.axes):
                self.joined(over.axes, under.axes)
            self.cost += ODD if over.literal or over.axes else HARD
        return Shape(over.axes or under.axes, over.row)

    def power(self, node: f.Power) -> Shape | None:
        """Return the shape of a power: of a matrix a matrix."""
        if isinstance(node.base, f.Symbol) and node.base.name == "e" and not self.context.definitions.get("e"):
            return self.of(node.exponent)
        if isinstance(node.base, f.Application) and not self.is_function(node.base):
            left, inner = node.base.function, f.List(node.base.arguments, place=node.place, end=node.end)
            if node.on_name:
                return self.times(self.power(replace(node, base=left, on_name=False)), "", self.of(inner))
            return self.times(self.of(left), "", self.power(replace(node, base=inner)))
        base, exponent = self.of(node.base), self.of(node.exponent)
        if exponent is not None and exponent.axes:
            self.cost += HARD
        if base is not None and len(base.axes) == 2:
            self.join(*base.axes)
            self.cost += 0 if isinstance(node.exponent, f.Number | f.Sign) else ODD
        elif base is not None and base.axes:
            self.cost += ODD
        return base

    def transposed(self, node: f.Transposed) -> Shape | None:
        """Return the shape of a transpose; a number has none, but for the vector of ones."""
        if isinstance(node.base, f.Number):
            return Shape((("ones", id(node.base)),), True)
        base = self.of(node.base)
        if base is None:
            return None
        if not base.axes:
            self.cost += ODD
        return Shape(base.axes[::-1], len(base.axes) == 1 and not base.row)

    def applied(self, node: f.Application) -> Shape | None:
        """Return the shape of a call: a function of a matrix, of each entry, or of the document."""
        symbol, _ = subscripts_of(node.function)
        word = "" if symbol is None else self.context.key(symbol)
        if self.context.name_of(node) is not None:
            return self.named(node)
        arguments = [self.of(a) for a in node.arguments]
        if word in self.context.functions:
            return None if word in self.context.general else self.of(node.function)
        if symbol is not None and symbol.name in SCALARS and len(arguments) == 1:
            inner = arguments[0]
            if inner is not None and len(inner.axes) == 2:
                self.join(*inner.axes)
            elif inner is not None:
                self.cost += HARD
            return NUMBER
        if symbol is not None and symbol.name == "diag" and len(arguments) == 1 and arguments[0] is not None:
            inner = arguments[0]
            self.cost += 0 if len(inner.axes) == 1 else ODD
            return Shape((*inner.axes, *inner.axes)) if len(inner.axes) == 1 else Shape(inner.axes[:1])
        known = self.context.definition(word, 0) is not None or self.context.ranks.get(word) or word in self.ranks
        if isinstance(node.function, f.Power):
            base = subscripts_of(node.function.base)[0]
            known = base is not None and (self.context.key(base) in self.ranks)
        if not known and symbol is not None and (op := language.known(symbol.name, len(arguments))) is not None:
            if op in ("sum", "mean") and len(arguments) == 1:
                return NUMBER
            if op not in LANGUAGE and op not in ("softmax", "log_softmax"):
                return None
        if not known:
            return arguments[0] if len(arguments) == 1 else None
        stated = self.context.definition(word, 0)
        if stated is not None and stated.parameters:
            return self.of(node.function)
        return self.times(self.of(node.function), "", arguments[0] if arguments else None)

    def derivative(self, node: f.Derivative) -> Shape | None:
        """Return the shape of a derivative: the axes of what is differentiated, then those of by what."""
        made = self.of(node.of)
        for by in node.by or self.context.parameters_of(node):
            part = self.of(by)
            made = None if made is None or part is None else Shape((*made.axes, *part.axes))
        if node.spelled == "hessian" and made is not None and not (node.by and len(node.by) > 1):
            made = Shape((*made.axes, *made.axes[-1:])) if len(made.axes) == 1 else made
        return made

    def bracketed(self, node: f.Bracketed) -> Shape | None:
        """Return the shape of a norm, a magnitude or an inner product."""
        inner = [self.of(i) for i in node.items]
        if node.kind == "abs":
            return inner[0]
        if node.kind == "norm" and inner[0] is not None and not inner[0].axes:
            self.cost += ODD
        if node.kind == "inner" and len(inner) == 2 and inner[0] is not None and inner[1] is not None:
            if len(inner[0].axes) == len(inner[1].axes):
                self.joined(inner[0].axes, inner[1].axes)
            else:
                self.cost += HARD
        return NUMBER
