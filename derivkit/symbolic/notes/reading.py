"""What a formula of a document means: an expression of index notation over the document's names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from derivkit import limits
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.expr import (
    Const,
    Delta,
    Expr,
    Fn,
    Inside,
    Name,
    Num,
    Ref,
    SizeOf,
    Sum,
    freshen,
    user,
)
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.calls import applied, is_function
from derivkit.symbolic.notes.comparing import cases, compared, condition
from derivkit.symbolic.notes.context import WHOLE, Context, Stated, subscripts_of
from derivkit.symbolic.notes.lengths import is_pair, length
from derivkit.symbolic.notes.linear import identity, ones, raised
from derivkit.symbolic.notes.meaning import Meaning
from derivkit.symbolic.notes.slopes import derivative
from derivkit.symbolic.notes.terms import (
    MINUS,
    Misfit,
    Parameter,
    Term,
    added,
    bracketed,
    negative,
    power,
    same_lengths,
    times,
    transposed,
    unclear,
)


@dataclass(slots=True)
class Reading:
    """A reading of one chain: its letters, and the parameters of the function whose body is read."""

    meaning: Meaning
    order: int
    scope: dict[str, Index] = field(default_factory=dict)
    binders: dict[str, object] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """What the document says of its names."""
        return self.meaning.context

    def begun(self, order: int) -> Reading:
        """Return a reading of another chain, which knows none of the letters of this one."""
        return Reading(self.meaning, order)

    def nested(self) -> Reading:
        """Return a reading of a part of this chain, which may bind letters of its own."""
        return Reading(self.meaning, self.order, dict(self.scope), dict(self.binders), self.parameters)

    # -- the nodes -------------------------------------------------------------------------------------------------------

    def term(self, formula: f.Formula) -> Term:
        """Return what a formula means; DerivkitError (DK060) for what is not clear."""
        if isinstance(formula, WHOLE) and not self.parameters:
            stated = self.context.called(formula, self.order)
            if stated is not None and self.context.version(stated) not in self.meaning.open:
                return self.named(stated.left)
        match formula:
            case f.Number():
                return Term(Num(formula.value))
            case f.Symbol() | f.Indexed():
                return self.named(formula)
            case f.Sign():
                return negative(self.term(formula.operand)) if formula.op == "-" else self.term(formula.operand)
            case f.Sum():
                parts = [negative(self.term(t)) if sign == "-" else self.term(t) for sign, t in formula.terms]
                return added(parts)
            case f.Product():
                return self.product(formula)
            case f.Quotient():
                return self.quotient(formula)
            case f.Power():
                return self.raised(formula)
            case f.Transposed(base=f.Number(value=1)):
                return ones(self.context.axes.size(("ones", id(formula.base))))
            case f.Transposed():
                return transposed(self.term(formula.base))
            case f.Big():
                return self.big(formula)
            case f.Application():
                return applied(self, formula)
            case f.Derivative():
                return derivative(self, formula)
            case f.Cases():
                return cases(self, formula)
            case f.Bracketed():
                return bracketed(formula, [self.term(i) for i in formula.items])
            case f.Indicator():
                return Term(self.condition(formula.condition))
            case f.Relation():
                return Term(self.condition(formula))
            case f.Struck():
                return self.term(formula.value)
            case f.List(items=(item,)) if item is not None:
                return self.term(item)
            case _:
                raise unclear(f"derivkit does not know what this {type(formula).__name__.lower()} means")

    def named(self, formula: f.Formula) -> Term:
        """Return a name, whole or at its subscripts."""
        symbol, _ = subscripts_of(formula)
        if symbol is None:
            return self.entry(formula)
        if (given := self.parameters.get(symbol.name)) is not None and symbol.label is None:
            return self.parameter(formula, given)
        word, subscripts = self.context.name_of(formula) or (symbol.name, ())
        if word in self.context.eyes and is_pair(self.context, word, subscripts):
            return Term(Delta(*map(self.subscript, subscripts)))
        if not subscripts and self.context.is_eye(word):
            return identity(self.context.axes.size(("eye", id(formula))))
        if (
            word in self.context.functions
            and not subscripts
            and (stated := self.context.definition(word, self.order)) is not None
        ):
            return applied(self, stated.left)  # type: ignore[arg-type]  # s of s(x)
        if not subscripts and (known := self.constant(symbol, word)) is not None:
            return Term(known)
        if not subscripts and symbol.name == "1" and not self.context.knows(word, self.order):
            return replace(ones(self.context.axes.size(("ones", id(formula)))), row=False)
        return self.array(word, subscripts)

    def constant(self, symbol: f.Symbol, word: str) -> Expr | None:
        """Return a letter that is a number: a size, π, e; an index has no value here."""
        if word in self.scope or word in self.binders:
            raise unclear(f"the index {echo(word)} is used as a number")
        if self.context.definition(word, self.order) is not None or self.context.ranks.get(word):
            return None
        if symbol.name == "pi":
            return Const("pi")
        if symbol.name == "infty":
            return Const("inf")
        told = Size.of(word)
        return SizeOf(told) if word in self.context.axes.words else None

    def entry(self, formula: f.Formula) -> Term:
        """Return an entry of a bracket: ``(W x)_k``."""
        if not isinstance(formula, f.Indexed):
            raise unclear("this is no name")
        base = self.term(formula.base)
        if len(base.axes) < len(formula.subscripts):
            raise unclear("there are more subscripts than axes")
        places = {a: self.subscript(s) for a, s in zip(base.axes, formula.subscripts, strict=False)}
        read = [(a, s.bare) for a, s in places.items() if s.bare is not None]
        same_lengths(tuple(a for a, _ in read), tuple(b for _, b in read))
        return Term(freshen(base.expr, places), base.axes[len(places) :])

    def parameter(self, formula: f.Formula, given: Parameter) -> Term:
        """Return what the argument of a function stands for, at the subscripts of its parameter."""
        _, subscripts = subscripts_of(formula)
        if not subscripts:
            return Term(given.expr, given.axes)
        if len(subscripts) > len(given.indices):
            raise unclear("an argument has fewer axes than its parameter has subscripts")
        places = {i: self.subscript(s) for i, s in zip(given.indices, subscripts, strict=False)}
        return Term(freshen(given.expr, places), tuple(a for a in given.axes if a not in places))

    def array(self, word: str, subscripts: tuple[f.Formula, ...]) -> Term:
        """Return a document's array at its subscripts; axes without one stay."""
        if subscripts and self.context.is_family(word, self.order):
            raise unclear(f"{echo(word)} has letters for subscripts here, and numbers where its entries are defined one by one")
        name, sizes = self.array_named(word)
        hidden = self.meaning.hidden.get(name, ())
        if any(w in self.binders for w in hidden):
            raise unclear(f"{echo(word)} was defined for one index, over which this sums")
        if len(subscripts) > len(sizes) - len(hidden):
            raise unclear(f"{echo(word)} has {len(subscripts)} subscripts here, and {len(sizes)} where it is defined")
        given = [self.subscript(s) for s in subscripts] + [Affine.of(self.letter(w)) for w in hidden]
        read = [(s.bare.size, size) for s, size in zip(given, sizes, strict=False) if s.bare is not None and s.bare.size != size]
        if any(self.context.axes.is_made(size) for pair in read for size in pair):
            raise Misfit(read)
        rest = tuple(Index("ijkl"[n % 4], size) for n, size in enumerate(sizes[len(given) :]))
        return Term(Ref(name, (*given, *map(Affine.of, rest))), rest)

    def array_named(self, word: str) -> tuple[Name, tuple[Size, ...]]:
        """Return the name of an array and its sizes; what the document defines is defined first."""
        meaning, context = self.meaning, self.context
        stated = context.definition(word, self.order)
        if stated is not None and context.version(stated) not in meaning.open and word not in context.functions:
            name = user(context.version(stated))
            if name not in meaning.definitions:
                self.define(name, stated)
            return name, meaning.definitions[name].shape
        name = user(word)
        if name not in meaning.inputs:
            rank = context.rank(word)
            if rank > limits.RANK:
                raise unclear(f"{echo(word)} has more than {limits.RANK} subscripts")
            shape = tuple(context.axes.size(("axis", word, n), "NMKLD"[n % 5]) for n in range(rank))
            kind = context.kinds.get(word, "real")
            meaning.inputs[name] = ("real" if kind == "symmetric" and rank != 2 else kind, shape)
            if word in context.told and (size := context.told[word].range) is not None:
                meaning.ranges[name] = size
        return name, meaning.inputs[name][1]

    def define(self, name: Name, stated: Stated) -> None:
        """Read a definition of the document."""
        meaning = self.meaning
        version = self.context.version(stated)
        meaning.open.add(version)
        try:
            inner = Reading(meaning, stated.order)
            named = self.context.name_of(stated.left.function if self.context.name_of(stated.left) is None else stated.left)  # type: ignore[union-attr]
            letters = () if named is None else named[1]
            indices = tuple(inner.letter(s.name) for s in letters if isinstance(s, f.Symbol))
            made = inner.term(stated.right)
            free = made.expr.free.difference(indices, made.axes)
            hidden = {w: i for w, i in inner.scope.items() if i in free}
            if hidden:
                meaning.hidden[name] = tuple(hidden)
            meaning.define(name, (*indices, *hidden.values(), *made.axes), made.expr)
        finally:
            meaning.open.discard(version)

    # -- indices ---------------------------------------------------------------------------------------------------------

    def letter(self, name: str) -> Index:
        """Return the index of a letter: its binder's, else one of the whole chain."""
        if name not in self.scope:
            self.scope[name] = Index(name, self.context.axes.size(("letter", self.order, name), name))
        return self.scope[name]

    def subscript(self, formula: f.Formula) -> Affine:
        """Return a subscript: letters, numbers, and their sums."""
        match formula:
            case f.Number() if formula.value.denominator == 1:
                return Affine.of(int(formula.value) - self.context.lowest)
            case f.Symbol() | f.Indexed() if self.context.is_label(formula):
                return Affine.of(self.named(formula).expr)
            case f.Symbol(label=None) if formula.name not in self.parameters:
                size = self.context.axes.words
                if formula.name in size and formula.name not in self.scope:
                    return Affine.of(Size.of(formula.name) - self.context.lowest)
                return Affine.of(self.letter(formula.name))
            case f.Sum():
                total = Affine.of(0)
                for sign, part in formula.terms:
                    one = Affine.of(int(part.value)) if isinstance(part, f.Number) else self.subscript(part)
                    total = total + one if sign == "+" else total - one
                return total
            case f.Product(factors=((_, f.Number(value=value)), (_, f.Symbol() as letter))) if value.denominator == 1:
                return self.subscript(letter).scaled(int(value))
            case _:
                raise unclear("a subscript is neither a letter nor a number")

    def product(self, formula: f.Product) -> Term:
        """Return a product, from the left."""
        (_, first), *others = formula.factors if self.parameters else self.context.named_factors(formula)
        made = self.term(first)
        for sign, factor in others:
            made = times(made, sign, self.term(factor))
        return made

    def quotient(self, formula: f.Quotient) -> Term:
        """Return a quotient; of two vectors it is one of their entries."""
        over, under = self.term(formula.over), self.term(formula.under)
        if len(under.axes) > 1 and not isinstance(formula.over, f.Number):
            raise unclear("a quotient by a matrix")
        return times(over, "odot" if under.axes else "", power(under, MINUS))

    def raised(self, formula: f.Power) -> Term:
        """Return a power; of ``e`` it is the exponential, of a call of what is no function that of its last factor."""
        base = formula.base
        if isinstance(base, f.Symbol) and base.name == "e" and not self.context.knows("e", self.order):
            inner = self.term(formula.exponent)
            return replace(inner, expr=Fn("exp", (inner.expr,)))
        exponent = self.term(formula.exponent)
        if exponent.axes:
            raise unclear("the exponent is no number")
        if isinstance(base, f.Application) and not is_function(self, base):
            left, inner = self.term(base.function), self.term(f.List(base.arguments, place=base.place, end=base.end))
            if formula.on_name:
                return times(raised(left, exponent.expr), "", inner)
            return times(left, "", raised(inner, exponent.expr))
        made = self.term(base)
        return raised(made, exponent.expr)

    # -- sums ------------------------------------------------------------------------------------------------------------

    def big(self, formula: f.Big) -> Term:
        """Return a sum or product over letters, with what restricts them."""
        if formula.op != "sum":
            raise unclear(f"a {formula.op} over letters")
        if not formula.letters:
            raise unclear("a sum that does not say over what")
        inner = self.nested()
        indices = []
        for symbol in formula.letters:
            inner.scope.pop(symbol.name, None)
            index = Index(symbol.name, self.range_of(formula, symbol.name))
            inner.scope[symbol.name] = inner.binders[symbol.name] = index
            indices.append(index)
        body = inner.term(formula.body)
        own = {symbol.name for symbol in formula.letters}
        for word in (w for w in inner.scope if w not in self.scope and w not in own):
            self.scope[word] = inner.scope[word]  # a free letter that was met first in here
        tests = [inner.condition(c) for c in formula.conditions if c.op != "in"]
        tests += [self.within(formula, indices[0])] if self.is_part(formula, indices[0]) else []
        expr = body.expr
        for test in tests:
            expr = Fn("where", (test, expr, Num(0)))
        return Term(Sum(tuple(indices), expr), body.axes, body.row)

    def is_part(self, big: f.Big, index: Index) -> bool:
        """Say whether a sum runs over a part of an axis: a known number of its places is left out."""
        length_of, first = length(big), self.context.axes.first(index.size)
        if len(big.letters) > 1 or length_of is None or first is None or not isinstance(big.lower, f.Number):
            return False
        left = index.size - length_of
        return left != Size.of(0) and not left.names()

    def within(self, big: f.Big, index: Index) -> Expr:
        """Return 1 at the places of an axis over which a sum runs, else 0."""
        first = self.context.axes.first(index.size)
        assert first is not None  # noqa: S101 - asked for by who calls
        assert isinstance(big.lower, f.Number)  # noqa: S101
        return Inside(Affine.of(index) + (first - int(big.lower.value)), length(big) or index.size)

    def range_of(self, big: f.Big, name: str) -> Size:
        """Return over how many values a letter of a sum runs: over the axis that it subscripts, else as far as is written."""
        for node in f.walk(big.body):
            if isinstance(node, f.Indexed | f.Application) and (found := self.axis_of(node, name)) is not None:
                return found
        if (told := length(big)) is not None:
            return told
        for node in f.walk(big.body):
            if (
                isinstance(node, f.Indexed)
                and subscripts_of(node)[0] is None
                and (found := self.axis_behind(node, name)) is not None
            ):
                return found
        return self.context.axes.size(("free", self.order, name), name)

    def axis_of(self, node: f.Indexed | f.Application, name: str) -> Size | None:
        """Return the length of the axis that a letter subscripts in a name."""
        symbol, subscripts = subscripts_of(node)
        if symbol is not None and (given := self.parameters.get(symbol.name)) is not None:
            sizes = [i.size for i in given.indices]
            return next((size for size, s in zip(sizes, subscripts, strict=False) if _is_letter(s, name)), None)
        word, subscripts = self.context.name_of(node) or ("", ())
        place = next((n for n, s in enumerate(subscripts) if _is_letter(s, name)), None)
        return None if place is None else self.context.axes.size(("axis", word, place), name)

    def axis_behind(self, node: f.Indexed, name: str) -> Size | None:
        """Return the length of the axis that a letter subscripts in a bracket: of (X^{-1})_{qn}."""
        place = next((n for n, s in enumerate(node.subscripts) if _is_letter(s, name)), None)
        if place is None or any(isinstance(n, f.Indexed) for n in f.walk(node.base)):
            return None
        try:
            return self.term(node.base).axes[place].size
        except (DerivkitError, IndexError):
            return None

    def condition(self, formula: f.Formula) -> Expr:
        """Return 1 where a condition holds, else 0: between indices, or between numbers."""
        return condition(self, formula)

    def compared(self, formula: f.Relation) -> Term:
        """Return 1 where a relation holds, else 0: of two arrays entry by entry."""
        return compared(self, formula)

    def is_position(self, formula: f.Formula) -> bool:
        """Say whether this is a letter that subscripts something in this chain, or one more or less than such a letter."""
        if isinstance(formula, f.Sum):
            parts = [part for _, part in formula.terms]
            return any(map(self.is_position, parts)) and all(isinstance(p, f.Number) or self.is_position(p) for p in parts)
        if not isinstance(formula, f.Symbol):
            return False
        return formula.name in self.scope or self.context.axes.has(("letter", self.order, formula.name))


def _is_letter(formula: f.Formula, name: str) -> bool:
    return isinstance(formula, f.Symbol) and formula.name == name
