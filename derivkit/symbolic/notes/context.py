"""What a document says of its names: which are defined, which are functions, which subscripts run over one length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from derivkit.symbolic.index import Size
from derivkit.symbolic.notes.axes import Axes
from derivkit.symbolic.notes.formula import (
    Application,
    Big,
    Chain,
    Derivative,
    Formula,
    Indexed,
    List,
    Matrix,
    Number,
    Power,
    Relation,
    Sum,
    Symbol,
    Transposed,
    walk,
)
from derivkit.symbolic.notes.spelled import spelled

Key = str
#: Relations that define what stands on their left.
DEFINING = frozenset({"=", ":=", "=="})


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
    functions: set[Key] = field(default_factory=set)
    ranks: dict[Key, int] = field(default_factory=dict)
    numbered: set[Key] = field(default_factory=set)
    samples: set[str] = field(default_factory=set)
    letters: set[str] = field(default_factory=set)
    lowest: int = 1
    matrices: bool = False
    scalars: set[Key] = field(default_factory=set)
    kinds: dict[Key, str] = field(default_factory=dict)
    styles: dict[Key, set[str]] = field(default_factory=dict)
    aliases: dict[Key, Key] = field(default_factory=dict)
    inferred: list[tuple[Formula, Formula]] = field(default_factory=list)

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
        if subscripts and key in self.numbered and _numbers(subscripts):
            return f"{key}_{','.join(map(spelled, subscripts))}", ()
        return key, subscripts

    def definition(self, key: Key, order: int) -> Stated | None:
        """Return the definition in force at a place: the last one before it, else the first after it."""
        stated = self.definitions.get(key, ())
        before = [s for s in stated if s.order < order]
        return before[-1] if before else next(iter(stated), None)

    def knows(self, key: Key, order: int) -> bool:
        """Say whether the document uses a letter as a name of its own."""
        return self.definition(key, order) is not None or self.ranks.get(key, 0) > 0

    def is_family(self, key: Key, order: int) -> bool:
        """Say whether x_1, x_2 are defined one by one, and nothing is said of an array x."""
        return key in self.numbered and key not in self.kinds and self.definition(key, order) is None

    def rank(self, key: Key) -> int:
        """Return how many axes a name has: as many as it has subscripts, else as many as its kind of letter has by habit."""
        if self.ranks.get(key) or not self.matrices or key in self.scalars:
            return self.ranks.get(key, 0)
        bold = "bold" in self.styles.get(key, ())
        if len(key) > 1 and not bold and not key[:1].isupper():
            return 0
        return 2 if key[:1].isupper() else 1

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


def read_context(
    chains: Sequence[Chain], told: Mapping[str, tuple[str, int | None]] | None = None, alike: Mapping[str, str] | None = None
) -> Context:
    """Return what the chains of a document say of its names.

    ``told`` are kinds and ranks that the reader was told, by name; ``alike`` letters that are taken for others.
    """
    made = Context(aliases=dict(alike or {}))
    nodes = [n for chain in chains for n in walk((chain,))]
    made.samples = {s.name for n in nodes if isinstance(n, Big) for s in n.letters}
    made.letters = {s.name for n in nodes if isinstance(n, Indexed) for s in n.subscripts if isinstance(s, Symbol)}
    made.matrices = any(isinstance(n, Transposed | Matrix) or (isinstance(n, Derivative) and n.spelled == "nabla") for n in nodes)
    made.lowest = min((int(n.lower.value) for n in nodes if isinstance(n, Big) and isinstance(n.lower, Number)), default=1)
    _number(made, nodes)
    for n in nodes:
        if isinstance(n, Symbol):
            made.styles.setdefault(made.key(n), set()).add(n.style)
        if isinstance(n, Derivative) and (named := made.name_of(n.of)) is not None and not named[1]:
            made.scalars.add(named[0])
    for key, (kind, rank) in (told or {}).items():
        made.kinds[key] = kind
        if rank is not None:
            made.ranks[key] = rank
    _define(made, chains, nodes)
    for order, chain in enumerate(chains):
        _measure(made, order, chain)
    made.axes.settle()
    return made


def _number(made: Context, nodes: Iterable[object]) -> None:
    """Find the names whose subscripts are numbers everywhere, or on some left side: x_0, x_1 are names then, and no entries."""
    lettered: set[Key] = set()
    seen: set[Key] = set()
    for n in nodes:
        if isinstance(n, Indexed) and isinstance(n.base, Symbol):
            (seen if _numbers(n.subscripts) else lettered).add(made.key(n.base))
    defined = [n.first for n in nodes if isinstance(n, Chain) and n.links and n.links[0][0] in DEFINING]
    lefts = {
        made.key(n.base) for n in defined if isinstance(n, Indexed) and isinstance(n.base, Symbol) and _numbers(n.subscripts)
    }
    made.numbered = (seen - lettered) | lefts


def _numbers(subscripts: tuple[Formula, ...]) -> bool:
    return all(isinstance(s, Number) for s in subscripts)


def _define(made: Context, chains: Sequence[Chain], nodes: Sequence[object]) -> None:
    heads = {id(chain.first) for chain in chains}
    applied: dict[Key, int] = {}
    for n in nodes:
        if isinstance(n, Application) and id(n) not in heads and (named := made.name_of(n.function)) is not None:
            applied[named[0]] = applied.get(named[0], 0) + 1
    for order, chain in enumerate(chains):
        left = chain.first
        if left is None or not chain.links or chain.links[0][0] not in DEFINING:
            continue
        named = made.name_of(left.function if isinstance(left, Application) and made.name_of(left) is None else left)
        right = chain.links[0][2]
        if named is None or (not named[1] and named[0] in made.letters) or isinstance(_base(right), List):
            continue
        if _says_itself(made, named[0], right) or not _general(named[1]):
            continue
        made.definitions.setdefault(named[0], []).append(Stated(named[0], left, right, order))
        if isinstance(left, Application) and made.name_of(left) is None and applied.get(named[0]):
            made.functions.add(named[0])
    _infer(made, nodes)


def _infer(made: Context, nodes: Sequence[object]) -> None:
    """Define the argument of a document's function: of f(z_k) and y_k = f(Σ_j w_kj x_j) it is z_k = Σ_j w_kj x_j."""
    used = {made.key(n) for n in nodes if isinstance(n, Symbol)}
    for word in sorted(made.functions):
        parameters = made.definitions[word][0].parameters
        symbol, letters = subscripts_of(parameters[0]) if len(parameters) == 1 else (None, ())
        if symbol is None or made.key(symbol) in made.definitions or made.key(symbol) not in used:
            continue
        found = [(s, n) for many in made.definitions.values() for s in many if (n := _called(made, word, s.right)) is not None]
        if len(found) == 1 and len(found[0][0].subscripts) == len(letters):
            stated, call = found[0]
            given = parameters[0]
            left = replace(given, subscripts=stated.subscripts) if isinstance(given, Indexed) else given
            made.definitions[made.key(symbol)] = [Stated(made.key(symbol), left, call.arguments[0], stated.order)]
            versions = made.definitions[stated.key]
            versions[versions.index(stated)] = replace(stated, right=replace(call, arguments=(left,)))
            made.inferred.append((left, call.arguments[0]))


def _called(made: Context, word: Key, right: Formula) -> Application | None:
    """Return a right side that is a call of a function at something that is no name."""
    if not isinstance(right, Application) or len(right.arguments) != 1 or made.name_of(right.arguments[0]) is not None:
        return None
    symbol, _ = subscripts_of(right.function)
    return right if symbol is not None and made.key(symbol) == word else None


def _general(subscripts: tuple[Formula, ...]) -> bool:
    """Say whether a left side stands for the whole array: its subscripts are letters, each once."""
    letters = [s.name for s in subscripts if isinstance(s, Symbol)]
    return len(letters) == len(subscripts) == len(set(letters))


def _base(formula: Formula) -> Formula:
    return formula.base if isinstance(formula, Power) else formula


def _says_itself(made: Context, key: Key, right: Formula) -> bool:
    return any(isinstance(n, Symbol) and made.key(n) == key for n in walk(right))


# -- lengths ---------------------------------------------------------------------------------------------------------------


def _measure(made: Context, order: int, chain: Chain) -> None:
    scope: dict[str, object] = {}
    for part in (chain.first, *(term for _, _, term in chain.links), *chain.where):
        if part is not None:
            _visit(made, part, scope, order)


def letter(scope: dict[str, object], order: int, name: str) -> object:
    """Return the key of an index letter: its binder's, else the chain's own."""
    return scope.get(name, ("letter", order, name))


def _visit(made: Context, formula: object, scope: dict[str, object], order: int) -> None:
    if isinstance(formula, tuple):
        for part in formula:
            _visit(made, part, scope, order)
        return
    if isinstance(formula, Big):
        _visit_big(made, formula, scope, order)
        return
    named = made.name_of(formula) if isinstance(formula, Symbol | Indexed | Application) else None
    if named is not None:
        key, subscripts = named
        made.ranks[key] = max(made.ranks.get(key, 0), len(subscripts))
        for place, sub in enumerate(subscripts):
            if isinstance(sub, Symbol):
                made.axes.join(("axis", key, place), letter(scope, order, sub.name))
        return
    for part in _children(formula):
        _visit(made, part, scope, order)


def _visit_big(made: Context, big: Big, scope: dict[str, object], order: int) -> None:
    inner = {**scope, **{s.name: ("bound", id(big), s.name) for s in big.letters}}
    if len(big.letters) == 1 and (size := length(big)) is not None:
        made.axes.tell(inner[big.letters[0].name], size)
    for part in (*big.conditions, big.body):
        _visit(made, part, inner, order)


def length(big: Big) -> Size | None:
    """Return how many values a letter takes from its lower to its upper bound."""
    if big.upper is None or any(r.op in ("<", ">", "<=", ">=") for r in big.conditions):
        return None
    upper = size_of(big.upper)
    lower = Size.of(1) if big.lower is None else size_of(big.lower)
    return None if upper is None or lower is None else upper - lower + 1


def size_of(formula: Formula) -> Size | None:
    """Return a bound as a size: a letter, a whole number, or a sum of them."""
    match formula:
        case Number() if formula.value.denominator == 1:
            return Size.of(int(formula.value))
        case Symbol(label=None):
            return Size.of(formula.name)
        case Sum():
            parts = [(sign, size_of(term)) for sign, term in formula.terms]
            total = Size.of(0)
            for sign, part in parts:
                if part is None:
                    return None
                total = total + part if sign == "+" else total - part
            return total
        case _:
            return None


def _children(formula: object) -> tuple[object, ...]:
    names = getattr(type(formula), "__slots__", ())
    return tuple(v for n in names if isinstance(v := getattr(formula, n, None), tuple) or hasattr(v, "__slots__"))
