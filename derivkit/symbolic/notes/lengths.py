"""Which subscripts of a document run over one length; letters that a definition leaves open; δ_ij that is one where i = j."""

from __future__ import annotations

from collections.abc import Sequence

from derivkit.symbolic.index import Size
from derivkit.symbolic.notes.context import Context, Stated
from derivkit.symbolic.notes.formula import Application, Big, Chain, Formula, Indexed, Number, Symbol, walk
from derivkit.symbolic.notes.sizes import size_of

#: Letters that with two subscripts are one where those are equal, and nothing else: Kronecker's, the identity's.
EYES = frozenset({"delta", "I"})


def measure(made: Context, order: int, chain: Chain) -> None:
    """Join the axes that the letters of a chain subscript."""
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
        if is_pair(made, key, subscripts):
            if not any(map(made.is_label, subscripts)):
                one, other = (letter(scope, order, s.name) for s in subscripts if isinstance(s, Symbol))
                made.pairs.setdefault(key, []).append((one, other))
            return
        made.ranks[key] = max(made.ranks.get(key, 0), len(subscripts))
        for place, sub in enumerate(subscripts):
            if isinstance(sub, Symbol) and not made.is_label(sub):
                made.axes.join(("axis", key, place), letter(scope, order, sub.name))
        return
    for part in _children(formula):
        _visit(made, part, scope, order)


def _visit_big(made: Context, big: Big, scope: dict[str, object], order: int) -> None:
    inner = {**scope, **{s.name: ("bound", id(big), s.name) for s in big.letters}}
    if len(big.letters) == 1 and (size := length(big)) is not None:
        first = int(big.lower.value) if isinstance(big.lower, Number) else 1
        made.axes.tell(inner[big.letters[0].name], size, first)
    for part in (*big.conditions, big.body):
        _visit(made, part, inner, order)


def length(big: Big) -> Size | None:
    """Return how many values a letter takes from its lower to its upper bound."""
    if big.upper is None or any(r.op in ("<", ">", "<=", ">=") for r in big.conditions):
        return None
    upper = size_of(big.upper)
    lower = Size.of(1) if big.lower is None else size_of(big.lower)
    return None if upper is None or lower is None else upper - lower + 1


def _children(formula: object) -> tuple[object, ...]:
    names = getattr(type(formula), "__slots__", ())
    return tuple(v for n in names if isinstance(v := getattr(formula, n, None), tuple) or hasattr(v, "__slots__"))


# -- deltas ----------------------------------------------------------------------------------------------------------------


def is_pair(made: Context, key: str, subscripts: Sequence[Formula]) -> bool:
    """Say whether a name may be Kronecker's delta: it has two letters below, and is nowhere defined with two."""
    letters = {s.name for s in subscripts if isinstance(s, Symbol)}
    return (
        key in EYES
        and len(letters) == len(subscripts) == 2
        and all(len(s.subscripts) != 2 for s in made.definitions.get(key, ()))
    )


def equate(made: Context) -> None:
    """Take δ_ij for Kronecker's where its letters run over one length wherever it stands, else for an array of the document."""
    for key, pairs in made.pairs.items():
        known = [(a, b) for a, b in pairs if made.axes.has(a) and made.axes.has(b)]
        if all(made.axes.size(a) == made.axes.size(b) for a, b in known):
            made.eyes.add(key)
            for a, b in pairs:
                made.axes.join(a, b)
        else:
            made.ranks[key] = 2
            for pair in pairs:
                for place, one in enumerate(pair):
                    made.axes.join(("axis", key, place), one)


# -- what a definition leaves open -----------------------------------------------------------------------------------------


def hide(made: Context, chains: Sequence[Chain]) -> None:
    """Find the letters that a definition leaves open, as c in L = -ln p_c: they mean the same wherever L stands."""
    stated = [s for many in made.definitions.values() for s in many if s.key not in made.functions]
    for s in stated:
        own = {n.name for n in s.subscripts if isinstance(n, Symbol)}
        made.hidden[id(s)] = tuple(sorted(_open(s.right, made) - own))
    for _ in range(4):
        for s in stated:
            own = {n.name for n in s.subscripts if isinstance(n, Symbol)}
            inherited = {w for other in _used(made, s.right, s.order) for w in made.hidden.get(id(other), ())}
            made.hidden[id(s)] = tuple(sorted({*made.hidden[id(s)], *inherited} - own))
            for other in _used(made, s.right, s.order):
                for word in made.hidden.get(id(other), ()):
                    made.axes.join(("letter", s.order, word), ("letter", other.order, word))
    for order, chain in enumerate(chains):
        for other in _used(made, (chain,), order):
            for word in made.hidden.get(id(other), ()):
                made.axes.join(("letter", order, word), ("letter", other.order, word))


def _used(made: Context, formula: object, order: int) -> list[Stated]:
    keys = {made.key(n) for n in walk(formula) if isinstance(n, Symbol)}
    return [s for k in keys if (s := made.definition(k, order)) is not None and s.order != order]


def _open(formula: object, made: Context) -> set[str]:
    """Return the letters that subscript something and are bound by no sum around it."""
    if isinstance(formula, tuple):
        return {w for part in formula for w in _open(part, made)}
    if isinstance(formula, Big):
        return _open((*formula.conditions, formula.body), made) - {s.name for s in formula.letters}
    named = made.name_of(formula) if isinstance(formula, Symbol | Indexed | Application) else None
    if named is not None:
        inner = {n.name for s in named[1] for n in walk((s,)) if isinstance(n, Symbol)}
        return inner - made.axes.words
    return {w for part in _children(formula) for w in _open(part, made)}
