"""What a formula of a document means: an expression of the graph, over the document's names.

Everything is read into index notation.  A term keeps the axes that matrix notation does not write; a name that the document
defines is a definition, read in the order in which it is needed; what it does not define is an input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import permutations

from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.derive.differentiate import partial
from derivkit.symbolic.expr import (
    Add,
    Const,
    Delta,
    Expr,
    Fn,
    Inside,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    SizeOf,
    Sum,
    freshen,
    key,
    substitute,
    user,
    walk,
)
from derivkit.symbolic.expr import replace as replaced
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import Context, Stated, subscripts_of

#: Functions of one number, as they are written.
ELEMENTWISE = {
    **{word: word for word in "exp sin cos tan sinh cosh tanh sqrt abs relu sigmoid softplus gelu erf".split()},
    "log": "log",
    "ln": "log",
    "arctan": "arctan",
    "ReLU": "relu",
    "Relu": "relu",
    "logistic": "sigmoid",
    "sgn": "sign",
    "sign": "sign",
}
#: Functions of a row, likewise.
ROWS = {"softmax": "softmax", "Softmax": "softmax", "SoftMax": "softmax"}
COMPARED = {"<": "less", ">": "greater", "<=": "less_equal", ">=": "greater_equal", "=": "equal", "!=": "not_equal"}
MINUS = Num(-1)


def unclear(message: str) -> DerivkitError:
    """Return the error for what has no meaning that derivkit can be sure of: such a relation is not decided."""
    return DerivkitError(message, code="DK060")


@dataclass(frozen=True, slots=True)
class Term:
    """An expression, the axes that are not written, and whether a vector is a row."""

    expr: Expr
    axes: tuple[Index, ...] = ()
    row: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an argument of a document's function stands for: an expression, read at ``indices``."""

    expr: Expr
    indices: tuple[Index, ...]
    axes: tuple[Index, ...]


@dataclass(slots=True)
class Meaning:
    """The names of a document as definitions, made when they are needed."""

    context: Context
    definitions: dict[Name, Definition] = field(default_factory=dict)
    inputs: dict[Name, tuple[str, tuple[Size, ...]]] = field(default_factory=dict)
    calls: dict[str, list[tuple[tuple[Term, ...], Definition]]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def at(self, order: int) -> Reading:
        """Return a reading of the formulas of one chain."""
        return Reading(self, order)

    def define(self, name: Name, indices: tuple[Index | None, ...], expr: Expr) -> Definition:
        """Add a definition."""
        shape = tuple(i.size for i in indices if i is not None)
        self.definitions[name] = made = Definition(name, shape, indices, expr)
        return made

    def inlined(self, expr: Expr, target: Name) -> Expr:
        """Return an expression in which every definition that depends on ``target`` is written out."""
        moving = self._moving(target)

        def opened(node: Expr) -> Expr | None:
            if isinstance(node, Ref) and node.name != target and node.name in moving:
                made = self.definitions[node.name].at(node.subs)
                return replaced(made, opened)
            return None

        return replaced(expr, opened)

    def _moving(self, target: Name) -> set[Name]:
        found = {target}
        grown = True
        while grown:
            more = {n for n, d in self.definitions.items() if n not in found and not found.isdisjoint(d.rhs.reads)}
            grown = bool(more)
            found |= more
        return found

    def depends(self, expr: Expr, target: Name) -> bool:
        """Say whether an expression depends on a name."""
        return not self._moving(target).isdisjoint(expr.reads)


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

    # -- the nodes -------------------------------------------------------------------------------------------------------

    def term(self, formula: f.Formula) -> Term:
        """Return what a formula means; DerivkitError (DK060) for what is not clear."""
        match formula:
            case f.Number():
                return Term(Num(formula.value))
            case f.Symbol() | f.Indexed():
                return self.named(formula)
            case f.Sign():
                return self.negative(self.term(formula.operand)) if formula.op == "-" else self.term(formula.operand)
            case f.Sum():
                parts = [self.negative(self.term(t)) if sign == "-" else self.term(t) for sign, t in formula.terms]
                return self.added(parts)
            case f.Product():
                return self.product(formula)
            case f.Quotient():
                return self.times(self.term(formula.over), "", self.power(self.term(formula.under), MINUS))
            case f.Power():
                return self.raised(formula)
            case f.Transposed():
                return self.transposed(self.term(formula.base))
            case f.Big():
                return self.big(formula)
            case f.Application():
                return self.applied(formula)
            case f.Derivative():
                return self.derivative(formula)
            case f.Cases():
                return self.cases(formula)
            case f.Bracketed():
                return self.bracketed(formula)
            case f.Indicator():
                return Term(self.condition(formula.condition))
            case f.Relation():
                return Term(self.condition(formula))
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
        if not subscripts and (known := self.constant(symbol, word)) is not None:
            return Term(known)
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
        return Term(substitute(base.expr, places), base.axes[len(places) :])

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
        name, sizes = self.array_named(word)
        if len(subscripts) > len(sizes):
            raise unclear(f"{echo(word)} has {len(subscripts)} subscripts here, and {len(sizes)} where it is defined")
        given = [self.subscript(s) for s in subscripts]
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
            shape = tuple(context.axes.size(("axis", word, n), "NMKLD"[n % 5]) for n in range(rank))
            meaning.inputs[name] = (context.kinds.get(word, "real"), shape)
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
            meaning.define(name, (*indices, *made.axes), made.expr)
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
            case _:
                raise unclear("a subscript is neither a letter nor a number")

    # -- arithmetic ------------------------------------------------------------------------------------------------------

    def negative(self, term: Term) -> Term:
        """Return the term with the other sign."""
        return replace(term, expr=Mul((MINUS, term.expr)))

    def added(self, terms: list[Term]) -> Term:
        """Return a sum; a number is added to every entry."""
        axes = max((t.axes for t in terms), key=len)
        row = next(t.row for t in terms if t.axes == axes)
        return Term(Add(tuple(self.onto(t, axes) for t in terms)), axes, row)

    def onto(self, term: Term, axes: tuple[Index, ...]) -> Expr:
        """Return a term's expression over other axes, which must be as long as its own."""
        if not term.axes or term.axes == axes:
            return term.expr
        if len(term.axes) != len(axes):
            raise unclear("the shapes do not fit")
        self.same_lengths(term.axes, axes)
        return freshen(term.expr, {a: Affine.of(b) for a, b in zip(term.axes, axes, strict=True)})

    def same_lengths(self, one: tuple[Index, ...], other: tuple[Index, ...]) -> None:
        """Refuse axes of different lengths."""
        if any(a.size != b.size for a, b in zip(one, other, strict=True)):
            raise unclear("the shapes do not fit")

    def product(self, formula: f.Product) -> Term:
        """Return a product, from the left."""
        (_, first), *others = formula.factors
        made = self.term(first)
        for sign, factor in others:
            made = self.times(made, sign, self.term(factor))
        return made

    def times(self, a: Term, sign: f.ProductSign, b: Term) -> Term:
        """Return a product of numbers, matrices and vectors, as its sign and their shapes say."""
        if not a.axes or not b.axes:
            return Term(Mul((a.expr, b.expr)), a.axes or b.axes, a.row or b.row)
        if sign in ("odot", "circ", "ast") or (sign == "cdot" and a.row == b.row and len(a.axes) == len(b.axes) == 2):
            return Term(Mul((a.expr, self.onto(b, a.axes))), a.axes, a.row)
        outer = sign in ("otimes", "times") or (len(a.axes) == len(b.axes) == 1 and not a.row and b.row)
        if outer:
            if len(a.axes) != 1 or len(b.axes) != 1:
                raise unclear("derivkit is not sure what this product of arrays is")
            inner = tuple(i.fresh() for i in b.axes)
            return Term(Mul((a.expr, self.onto(b, inner))), (*a.axes, *inner))
        if len(a.axes) == len(b.axes) == 1 and not a.row and sign != "cdot":
            raise unclear("a product of two vectors, neither of them transposed")
        self.same_lengths(a.axes[-1:], b.axes[:1])
        bound = a.axes[-1].fresh()
        left = freshen(a.expr, {a.axes[-1]: Affine.of(bound)})
        rest = tuple(i.fresh() for i in b.axes[1:])
        right = freshen(b.expr, {i: Affine.of(j) for i, j in zip(b.axes, (bound, *rest), strict=True)})
        return Term(Sum((bound,), Mul((left, right))), (*a.axes[:-1], *rest), len(a.axes) == 1 and bool(rest))

    def power(self, base: Term, exponent: Expr) -> Term:
        """Return each entry to a power."""
        return replace(base, expr=Pow(base.expr, exponent))

    def raised(self, formula: f.Power) -> Term:
        """Return a power; of ``e`` it is the exponential, of a call of what is no function that of its last factor."""
        base = formula.base
        if isinstance(base, f.Symbol) and base.name == "e" and not self.context.knows("e", self.order):
            inner = self.term(formula.exponent)
            return replace(inner, expr=Fn("exp", (inner.expr,)))
        exponent = self.term(formula.exponent)
        if exponent.axes:
            raise unclear("the exponent is no number")
        if isinstance(base, f.Application) and not self.is_function(base):
            left = self.term(base.function)
            inner = self.power(self.term(f.List(base.arguments, place=base.place, end=base.end)), exponent.expr)
            return self.times(left, "", inner)
        made = self.term(base)
        if len(made.axes) > 1:
            raise unclear("a power of a matrix")
        if len(made.axes) == 1:
            raise unclear("a power of a vector")
        return self.power(made, exponent.expr)

    def transposed(self, term: Term) -> Term:
        """Return the transpose."""
        if len(term.axes) < 2:
            return replace(term, row=bool(term.axes) and not term.row)
        return replace(term, axes=term.axes[::-1])

    def bracketed(self, formula: f.Bracketed) -> Term:
        """Return a norm, a magnitude or an inner product."""
        items = [self.term(i) for i in formula.items]
        if formula.kind == "abs" and len(items) == 1:
            return replace(items[0], expr=Fn("abs", (items[0].expr,)))
        if formula.kind == "norm" and len(items) == 1 and items[0].axes:
            if formula.order is not None and not (isinstance(formula.order, f.Number) and formula.order.value == 2):
                raise unclear("a norm other than the Euclidean one")
            square = Sum(items[0].axes, Pow(items[0].expr, Num(2)))
            return Term(Pow(square, Num(Fraction(1, 2))))
        if formula.kind == "inner" and len(items) == 2 and items[0].axes:
            return Term(Sum(items[0].axes, Mul((items[0].expr, self.onto(items[1], items[0].axes)))))
        raise unclear("derivkit does not know these brackets")

    # -- sums ------------------------------------------------------------------------------------------------------------

    def big(self, formula: f.Big) -> Term:
        """Return a sum or product over letters, with what restricts them."""
        if formula.op != "sum":
            raise unclear(f"a {formula.op} over letters")
        if not formula.letters:
            raise unclear("a sum that does not say over what")
        inner = Reading(self.meaning, self.order, dict(self.scope), dict(self.binders), self.parameters)
        indices = []
        for symbol in formula.letters:
            inner.scope.pop(symbol.name, None)
            index = Index(symbol.name, self.range_of(formula, symbol.name))
            inner.scope[symbol.name] = index
            indices.append(index)
        body = inner.term(formula.body)
        own = {symbol.name for symbol in formula.letters}
        for word in (w for w in inner.scope if w not in self.scope and w not in own):
            self.scope[word] = inner.scope[word]  # a free letter that was met first in here
        tests = [inner.condition(c) for c in formula.conditions if c.op != "in"]
        expr = body.expr
        for test in tests:
            expr = Fn("where", (test, expr, Num(0)))
        return Term(Sum(tuple(indices), expr), body.axes, body.row)

    def range_of(self, big: f.Big, name: str) -> Size:
        """Return over how many values a letter of a sum runs: over the axis that it subscripts."""
        if (found := self.found_range(big.body, name)) is not None:
            return found
        return self.context.axes.size(("bound", id(big), name), name)

    def found_range(self, formula: object, name: str) -> Size | None:
        """Return the length of the axis of a parameter that a letter subscripts."""
        for node in f.walk(formula):
            if isinstance(node, f.Indexed):
                symbol, subscripts = subscripts_of(node)
                given = self.parameters.get(symbol.name) if symbol is not None else None
                if given is not None:
                    for index, sub in zip(given.indices, subscripts, strict=False):
                        if isinstance(sub, f.Symbol) and sub.name == name:
                            return index.size
        return None

    def condition(self, formula: f.Formula) -> Expr:
        """Return 1 where a condition holds, else 0: between indices, or between numbers."""
        if isinstance(formula, f.Relation) and formula.op == "&":
            return Mul((self.condition(formula.left), self.condition(formula.right)))
        if not isinstance(formula, f.Relation) or formula.op not in COMPARED:
            raise unclear("derivkit does not know this condition")
        letters = [s for s in (formula.left, formula.right) if isinstance(s, f.Symbol) and self.is_index(s.name)]
        if letters:
            return self.between(formula.op, self.subscript(formula.left), self.subscript(formula.right))
        left, right = self.term(formula.left), self.term(formula.right)
        if left.axes or right.axes:
            raise unclear("a condition on arrays")
        return Fn(COMPARED[formula.op], (left.expr, right.expr))

    def is_index(self, name: str) -> bool:
        """Say whether a letter subscripts something in this chain."""
        return name in self.scope or self.context.axes.has(("letter", self.order, name))

    def between(self, op: str, a: Affine, b: Affine) -> Expr:
        """Return 1 where two positions are so, else 0."""
        different = {"<": b - a - 1, "<=": b - a, ">": a - b - 1, ">=": a - b}
        if op in different:
            return Inside(different[op], Size.of(2**31))
        same = Delta(a, b)
        return same if op == "=" else Add((Num(1), Mul((MINUS, same))))

    def cases(self, formula: f.Cases) -> Term:
        """Return the first value whose condition holds."""
        terms = [(self.term(value), None if test is None else self.condition(test)) for value, test in formula.rows]
        if any(t.axes for t, _ in terms):
            raise unclear("cases of arrays")
        made = terms[-1][0].expr
        for value, test in reversed(terms[:-1]):
            if test is None:
                raise unclear("a case without a condition")
            made = Fn("where", (test, value.expr, made))
        return Term(made)

    # -- functions -------------------------------------------------------------------------------------------------------

    def is_function(self, formula: f.Application) -> bool:
        """Say whether what stands before a bracket is a function."""
        symbol, subscripts = subscripts_of(formula.function)
        if symbol is None:
            return isinstance(formula.function, f.Power)
        word = self.context.key(symbol)
        if word in self.context.functions:
            return True
        defined = self.context.definition(word, self.order) is not None
        return not subscripts and not defined and self.builtin(symbol) is not None

    def builtin(self, symbol: f.Symbol) -> str | None:
        """Return the operation that a word is called by."""
        word = symbol.name
        if word == "sigma" and not self.context.ranks.get("sigma"):
            return "sigmoid"
        return ELEMENTWISE.get(word) or ROWS.get(word)

    def applied(self, formula: f.Application) -> Term:
        """Return a call; a name with what it depends on; or a product."""
        function = formula.function
        if isinstance(function, f.Power):  # exp^2(z)
            inner = replace(formula, function=function.base)
            exponent = self.term(function.exponent)
            return self.power(self.applied(inner), exponent.expr)
        if self.context.name_of(formula) is not None:
            word, subscripts = self.context.name_of(formula)  # type: ignore[misc]
            return self.array(word, subscripts)
        symbol, subscripts = subscripts_of(function)
        word = "" if symbol is None else self.context.key(symbol)
        stated = self.context.definition(word, self.order)
        if word in self.context.functions and stated is not None:
            return self.called(stated, subscripts, formula)
        if symbol is not None and stated is None and not subscripts and (op := self.builtin(symbol)) is not None:
            return self.operation(op, formula)
        if stated is not None and stated.parameters:
            return self.named(function)  # E(w) is E
        if not formula.brackets:
            raise unclear(f"{echo(word)} is no function that derivkit knows")
        return self.times(self.term(function), "", self.term(f.List(formula.arguments, place=formula.place, end=formula.end)))

    def operation(self, op: str, formula: f.Application) -> Term:
        """Return an operation of the table."""
        if len(formula.arguments) != 1:
            raise unclear(f"{op} of several arguments")
        inner = self.term(formula.arguments[0])
        if op != "softmax":
            return replace(inner, expr=Fn(op, (inner.expr,)))
        index = self.row_index(inner, formula.arguments[0], None)
        bound = index.fresh()
        return replace(
            inner, expr=Prim("softmax", (bound,), (freshen(inner.expr, {index: Affine.of(bound)}),), (Affine.of(index),))
        )

    def row_index(self, term: Term, formula: f.Formula, hint: str | None) -> Index:
        """Return the index of a term over which a function of a row runs."""
        if term.axes:
            return term.axes[-1]
        free = sorted(term.expr.free, key=lambda i: i.uid)
        if len(free) == 1:
            return free[0]
        named = [i for i in free if i.hint == hint]
        if len(named) == 1:
            return named[0]
        _, subscripts = subscripts_of(formula)
        last = subscripts[-1] if subscripts else None
        if isinstance(last, f.Symbol) and last.name in self.scope:
            return self.scope[last.name]
        raise unclear("a function of a row, and no index that runs over it")

    def called(self, stated: Stated, subscripts: tuple[f.Formula, ...], formula: f.Application) -> Term:
        """Return a call of a document's function: a line of its own, so that one may differentiate by it."""
        if len(stated.parameters) != len(formula.arguments):
            raise unclear("a function with another number of arguments than in its definition")
        terms = tuple(map(self.term, formula.arguments))
        version = self.context.version(stated)
        free = self.free_of(terms)
        own = stated.subscripts
        for before, definition in self.meaning.calls.get(version, ()):
            if (places := _matched(before, terms, definition.bound, free)) is not None:
                return self.read_call(definition, places, terms, own, subscripts)
        if version in self.meaning.open:
            raise unclear("a function that calls itself")
        self.meaning.open.add(version)
        try:
            inner = Reading(self.meaning, stated.order)
            for given, term, written in zip(stated.parameters, terms, formula.arguments, strict=True):
                self.bind(inner, given, term, written)
            letters = tuple(inner.letter(s.name) for s in own if isinstance(s, f.Symbol))
            body = inner.term(stated.right)
        finally:
            self.meaning.open.discard(version)
        axes = (*free, *letters, *(a for a in body.axes if a not in free))
        name = Name("user", f"{version}({len(self.meaning.calls.get(version, ())) + 1})")
        definition = self.meaning.define(name, axes, body.expr)
        self.meaning.calls.setdefault(version, []).append((terms, definition))
        return self.read_call(definition, tuple(map(Affine.of, free)), terms, own, subscripts)

    def read_call(
        self, definition: Definition, places: tuple[Affine, ...], terms: tuple[Term, ...], own: tuple[f.Formula, ...],
        subscripts: tuple[f.Formula, ...],
    ) -> Term:  # fmt: skip
        """Return a call's line at the indices of its arguments, and at its own subscripts."""
        given = [self.subscript(s) for s in subscripts]
        rest = definition.bound[len(places) :]
        fresh = [i.fresh() for i in rest[len(given) :]]
        if len(given) > len(own):
            raise unclear("a function with more subscripts than in its definition")
        axes = tuple(a for t in terms for a in t.axes)
        return Term(Ref(definition.name, (*places, *given, *map(Affine.of, fresh))), (*axes, *fresh))

    def free_of(self, terms: tuple[Term, ...]) -> tuple[Index, ...]:
        """Return the free indices of some terms, in a fixed order."""
        found = dict.fromkeys(i for t in terms for i in (*sorted(t.expr.free - {*t.axes}, key=lambda i: i.uid), *t.axes))
        return tuple(found)

    def bind(self, inner: Reading, given: f.Formula, term: Term, written: f.Formula) -> None:
        """Say what a parameter stands for inside of a function's body."""
        symbol, subscripts = subscripts_of(given)
        if symbol is None or not all(isinstance(s, f.Symbol) for s in subscripts):
            raise unclear("a parameter that is no name")
        body_letters = [s.name for s in subscripts if isinstance(s, f.Symbol)]
        if not body_letters and not term.axes and term.expr.free and self.is_subscripted(inner, symbol):
            body_letters = [""]
        indices: tuple[Index, ...] = term.axes
        if body_letters and not term.axes:
            indices = (self.row_index(term, written, body_letters[-1]),) if len(body_letters) == 1 else ()
            if not indices:
                raise unclear("a function of several indices")
        for name, index in zip(body_letters, indices[-len(body_letters) :] if body_letters else (), strict=False):
            if name:
                inner.scope[name] = index
        inner.parameters[symbol.name] = Parameter(term.expr, indices, term.axes)

    def is_subscripted(self, inner: Reading, symbol: f.Symbol) -> bool:
        """Say whether a function's body reads its parameter entry by entry."""
        stated = [s for many in self.context.definitions.values() for s in many if s.order == inner.order]
        return any(
            isinstance(n, f.Indexed) and isinstance(n.base, f.Symbol) and n.base.name == symbol.name
            for s in stated
            for n in f.walk(s.right)
        )

    # -- derivatives -----------------------------------------------------------------------------------------------------

    def derivative(self, formula: f.Derivative) -> Term:
        """Return a derivative by a name, or by what a document's function returns."""
        if not formula.by:
            raise unclear("a derivative that does not say by what")
        made = self.term(formula.of)
        for by in formula.by:
            made = self.slope(made, formula.of, by)
        return made

    def slope(self, of: Term, written: f.Formula, by: f.Formula) -> Term:
        """Return the derivative of a term by one name."""
        target = self.term(by)
        if not isinstance(target.expr, Ref):
            raise unclear("a derivative by something that is no name")
        name = target.expr.name
        self.refuse_unknown(of, written, name)
        places = tuple(i.fresh() for i in self.indices_of(name))
        expr = partial(self.meaning.inlined(of.expr, name), name, places)
        subs = dict(zip(places, target.expr.subs, strict=True))
        fresh = {a: a.fresh() for a in target.axes}
        subs = {p: s.substitute({a: Affine.of(b) for a, b in fresh.items()}) for p, s in subs.items()}
        return Term(freshen(expr, subs), (*of.axes, *fresh.values()))

    def indices_of(self, name: Name) -> tuple[Index, ...]:
        """Return an index for each axis of a name."""
        definition = self.meaning.definitions.get(name)
        if definition is not None:
            return definition.bound
        return tuple(Index("ijkl"[n % 4], size) for n, size in enumerate(self.meaning.inputs[name][1]))

    def refuse_unknown(self, of: Term, written: f.Formula, target: Name) -> None:
        """Refuse the derivative of a bare name that the document does not relate to what it is differentiated by."""
        if self.meaning.depends(of.expr, target):
            return
        named = isinstance(of.expr, Ref)
        if named or not any(isinstance(n, Ref) for n in walk(of.expr)):
            word = str(of.expr.name) if isinstance(of.expr, Ref) else "this"
            raise unclear(f"the document does not say how {echo(word)} depends on {echo(str(target))}")
        del written


def _matched(
    before: tuple[Term, ...], terms: tuple[Term, ...], own: tuple[Index, ...], free: tuple[Index, ...]
) -> tuple[Affine, ...] | None:
    """Return at which of the indices ``free`` a call that was made before is this call."""
    first = own[: len(free)]
    if len(first) != len(free) or len(free) > 4:
        return None
    wanted = [key(t.expr) for t in terms]
    for order in permutations(free):
        if any(a.size != b.size for a, b in zip(first, order, strict=True)):
            continue
        places: Mapping[Index, Affine] = {a: Affine.of(b) for a, b in zip(first, order, strict=True)}
        if [key(freshen(t.expr, places)) for t in before] == wanted:
            return tuple(map(Affine.of, order))
    return None
