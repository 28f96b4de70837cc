"""What a document says of its names: which are defined, which are functions, which subscripts run over one length."""

from __future__ import annotations

from dataclasses import dataclass, field

from derivkit.symbolic.notes.axes import Axes
from derivkit.symbolic.notes.formula import (
    Application,
    Big,
    Bracketed,
    Derivative,
    Formula,
    Indexed,
    Matrix,
    Number,
    Power,
    Product,
    ProductSign,
    Quotient,
    Relation,
    Sum,
    Symbol,
    Transposed,
    walk,
)
from derivkit.symbolic.notes.spaces import Told
from derivkit.symbolic.notes.spelled import spelled

Key = str
#: Functions of a matrix or a vector, as they are written.
MATRIX = frozenset("tr Tr trace Trace det diag logdet".split())
#: Relations that define what stands on their left.
DEFINING = frozenset({"=", ":=", "=="})
LONGEST_PART = 6  # factors that have one name
#: What is no name nor number: where it is the right side of a definition it may be read as the name.
WHOLE = (Sum, Product, Quotient, Big, Application, Power, Transposed, Bracketed)


@dataclass(frozen=True, slots=True)
class Stated:
    """One definition: what stands on its left, what on its right, and which chain of the document it is in."""

    key: Key
    left: Formula
    right: Formula
    order: int

    @property
    def subscripts(self) -> tuple[Formula, ...]:
        """The subscripts on its left."""
        left = self.left.function if isinstance(self.left, Application) else self.left
        return subscripts_of(left)[1]

    @property
    def parameters(self) -> tuple[Formula, ...]:
        """The arguments on its left."""
        return self.left.arguments if isinstance(self.left, Application) else ()


@dataclass(slots=True)
class Context:
    """The names of a document; made by :func:`read_context`."""

    axes: Axes = field(default_factory=Axes)
    definitions: dict[Key, list[Stated]] = field(default_factory=dict)
    rights: dict[Formula, Stated] = field(default_factory=dict)
    functions: set[Key] = field(default_factory=set)
    ranks: dict[Key, int] = field(default_factory=dict)
    numbered: set[Key] = field(default_factory=set)
    parted: set[Key] = field(default_factory=set)
    samples: set[str] = field(default_factory=set)
    letters: set[str] = field(default_factory=set)
    lowest: int = 1
    matrices: bool = False
    scalars: set[Key] = field(default_factory=set)
    kinds: dict[Key, str] = field(default_factory=dict)
    told: dict[Key, Told] = field(default_factory=dict)
    styles: dict[Key, set[str]] = field(default_factory=dict)
    aliases: dict[Key, Key] = field(default_factory=dict)
    inferred: list[tuple[Formula, Formula]] = field(default_factory=list)
    whole: dict[Key, int] = field(default_factory=dict)
    general: set[Key] = field(default_factory=set)
    layered: set[Key] = field(default_factory=set)
    eyes: set[Key] = field(default_factory=set)
    pairs: dict[Key, list[tuple[object, object]]] = field(default_factory=dict)
    atoms: dict[int, tuple[Formula, ...]] = field(default_factory=dict)
    hidden: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def key(self, symbol: Symbol) -> Key:
        """Return what a letter is called, with its label where that is no sample's number."""
        label = symbol.label
        plain = symbol.name if label is None or self.is_sample(label) else f"{symbol.name}^({spelled(label)})"
        return self.aliases.get(plain, plain)

    def is_sample(self, label: Formula | None) -> bool:
        """Say whether a raised bracket is an index: some sum of the document runs over that letter."""
        return isinstance(label, Symbol) and label.name in self.samples

    def name_of(self, formula: Formula) -> tuple[Key, tuple[Formula, ...]] | None:
        """Return what a name with its subscripts is called, and its indices; ``None`` for what is no name."""
        if isinstance(formula, Application) and len(formula.arguments) == 1 and isinstance(formula.arguments[0], Relation):
            inner = formula.arguments[0]  # P(y = j) is an array over j
            base = self.name_of(formula.function)
            if inner.op == "=" and base is not None and not base[1]:
                left = self.key(inner.left) if isinstance(inner.left, Symbol) else spelled(inner.left)
                return f"{base[0]}({left})", (inner.right,)
        symbol, subscripts = subscripts_of(formula)
        if symbol is None:
            return None
        key = self.key(symbol)
        if symbol.label is not None and self.is_sample(symbol.label):
            subscripts = (symbol.label, *subscripts)
        if key in self.layered and all(isinstance(s, Symbol) for s in subscripts) and len(subscripts) > 1:
            return f"{key}<{''.join(map(spelled, subscripts))}>", subscripts  # w_ji and w_kj of two layers
        leading = next((n for n, s in enumerate(subscripts) if not isinstance(s, Number)), len(subscripts))
        if leading and key in self.numbered and (leading == len(subscripts) or key in self.parted):
            return f"{key}_{','.join(map(spelled, subscripts[:leading]))}", subscripts[leading:]
        return key, subscripts

    def definition(self, key: Key, order: int) -> Stated | None:
        """Return the definition in force at a place: the last one before it, else the first after it."""
        stated = self.definitions.get(key, ())
        before = [s for s in stated if s.order < order]
        return before[-1] if before else next(iter(stated), None)

    def called(self, formula: Formula, order: int) -> Stated | None:
        """Return the definition of which this is the right side, letter by letter: of z = W x, in y = f(W x)."""
        stated = self.rights.get(formula)
        return stated if stated is not None and self.definition(stated.key, order) is stated else None

    def named_factors(self, formula: Product) -> tuple[tuple[ProductSign, Formula], ...]:
        """Return the factors of a product, those that the document names as one in one: of A^T X w, X w."""
        factors = formula.factors
        for many in range(min(len(factors) - 1, LONGEST_PART) if self.rights else 0, 1, -1):
            for start in range(len(factors) - many + 1):
                run = factors[start : start + many]
                if any(sign for sign, _ in run[1:]):
                    continue
                part = Product((("", run[0][1]), *run[1:]), place=run[0][1].place, end=run[-1][1].end)
                if part in self.rights:
                    return (*factors[:start], (run[0][0], part), *factors[start + many :])
        return factors

    def knows(self, key: Key, order: int) -> bool:
        """Say whether the document uses a letter as a name of its own."""
        return self.definition(key, order) is not None or self.ranks.get(key, 0) > 0

    def is_family(self, key: Key, order: int) -> bool:
        """Say whether x_1, x_2 are defined one by one, and nothing is said of an array x."""
        return key in self.numbered and key not in self.kinds and self.definition(key, order) is None

    def rank(self, key: Key) -> int:
        """Return how many axes a name has: as many as it has subscripts, else as many as its kind of letter has by habit."""
        said = self.told.get(key)
        if said is not None and said.rank is not None:
            return said.rank
        return self.whole.get(key, self.ranks.get(key, 0))

    def is_label(self, formula: Formula) -> bool:
        """Say whether a subscript is a label: a name that is said to run over the positions of an axis."""
        named = self.name_of(formula)
        return named is not None and self.kinds.get(named[0]) == "label"

    def is_whole(self, node: object) -> bool:
        """Say whether a node is one of matrix notation."""
        if isinstance(node, Symbol):
            return node.style == "bold" and node.name not in self.letters
        if isinstance(node, Product):
            return any(sign == "odot" for sign, _ in node.factors)
        if isinstance(node, Application) and isinstance(node.function, Symbol):
            return node.function.name in MATRIX
        return (
            isinstance(node, Transposed | Matrix)
            or (isinstance(node, Derivative) and node.spelled in ("nabla", "hessian"))
            or (isinstance(node, Bracketed) and node.kind in ("norm", "inner"))
        )

    def is_eye(self, key: Key) -> bool:
        """Say whether a letter is the identity matrix where it is written whole."""
        return key == "I" and self.matrices and key not in self.definitions and key not in self.scalars

    def is_call(self, formula: Application) -> bool:
        """Say whether brackets behind a document's function are its arguments: of s (1 - s) they are a factor."""
        named = self.name_of(formula.function)
        if named is None:
            return False
        stated = self.definitions.get(named[0], ())
        lengths = {len(s.parameters) for s in stated} - {0}
        inside = any(isinstance(n, Symbol) and self.key(n) == named[0] for a in formula.arguments for n in walk((a,)))
        return not inside and (not lengths or len(formula.arguments) in lengths)

    def parameters_of(self, formula: Derivative) -> tuple[Formula, ...]:
        """Return by what a gradient is taken that does not say so: the only argument of what it is taken of."""
        of = formula.of
        if isinstance(of, Application):
            return of.arguments if len(of.arguments) == 1 else ()
        named = self.name_of(of)
        stated = () if named is None else self.definitions.get(named[0], ())
        return next((s.parameters for s in stated if len(s.parameters) == 1), ())

    def version(self, stated: Stated) -> str:
        """Return the name of what is defined, told from another definition of the same letter."""
        number = self.definitions[stated.key].index(stated)
        return stated.key if number == 0 else f"{stated.key}#{number + 1}"


def subscripts_of(formula: Formula) -> tuple[Symbol | None, tuple[Formula, ...]]:
    """Return the letter and the subscripts of a name."""
    if isinstance(formula, Symbol):
        return formula, ()
    if isinstance(formula, Indexed):
        symbol, before = subscripts_of(formula.base)
        return symbol, (*before, *formula.subscripts)
    return None, ()
