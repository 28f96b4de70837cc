"""What a document defines: names, functions, the arguments of functions that it does not name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from derivkit.symbolic.notes.context import DEFINING, WHOLE, Context, Key, Stated, subscripts_of
from derivkit.symbolic.notes.formula import (
    Application,
    Chain,
    Derivative,
    Formula,
    Indexed,
    List,
    Number,
    Power,
    Symbol,
    walk,
)


def number_names(made: Context, nodes: Iterable[object]) -> None:
    """Find the names whose subscripts are numbers everywhere, or on some left side: x_0, x_1 are names then, and no entries.

    So are those that are said to be arrays, W_1 ∈ R^{M×D}; of such a name W_{1,ji} is an entry.
    """
    seen: set[Key] = set()
    counts: dict[Key, set[int]] = {}  # how many subscripts a name has where they are letters
    behind: dict[Key, set[int]] = {}  # and where the first is a number
    for n in nodes:
        if isinstance(n, Indexed) and isinstance(n.base, Symbol):
            key = made.key(n.base)
            if _numbers(n.subscripts):
                seen.add(key)
            else:
                (behind if isinstance(n.subscripts[0], Number) else counts).setdefault(key, set()).add(len(n.subscripts))
    defined = [n.first for n in nodes if isinstance(n, Chain) and n.links and n.links[0][0] in DEFINING]
    lefts = {
        made.key(n.base) for n in defined if isinstance(n, Indexed) and isinstance(n.base, Symbol) and _numbers(n.subscripts)
    }
    arrays = {word for key in made.told for word, _, number in (key.rpartition("_"),) if word and number.isdigit()}
    made.numbered = (seen - counts.keys()) | lefts | arrays
    made.parted = {key for key in behind if key in made.numbered and not counts.get(key, set()) & behind[key]}


def layered_names(made: Context, chains: Sequence[Chain]) -> set[Key]:
    """Find the letters that stand for one array in each layer, told apart by their subscripts: a_j has w_ji, and y_k has w_kj."""
    seen: dict[Key, set[tuple[str, ...]]] = {}
    for chain in chains:
        if not isinstance(chain.first, Indexed) or not chain.links or chain.links[0][0] not in DEFINING:
            continue
        for n in walk((chain.links[0][2],)):
            if isinstance(n, Indexed) and isinstance(n.base, Symbol) and len(n.subscripts) > 1:
                letters = tuple(s.name for s in n.subscripts if isinstance(s, Symbol))
                left = [s.name for s in chain.first.subscripts if isinstance(s, Symbol)]
                if len(letters) == len(n.subscripts) and left == [letters[0]]:
                    seen.setdefault(made.key(n.base), set()).add(letters)
    follow = {k for k, many in seen.items() if any(a[-1] == b[0] for a in many for b in many if a != b)}
    return {k for k in follow if len({a[0] for a in seen[k]}) > 1}


def _numbers(subscripts: tuple[Formula, ...]) -> bool:
    return all(isinstance(s, Number) for s in subscripts)


def define_names(made: Context, chains: Sequence[Chain], nodes: Sequence[object]) -> None:
    """Collect what stands on the left of a chain as a bare name, or on the right of what it is called for."""
    heads = {id(chain.first) for chain in chains}
    calls: dict[Key, list[tuple[Formula, ...]]] = {}
    for n in nodes:
        if isinstance(n, Application) and id(n) not in heads and (named := made.name_of(n.function)) is not None:
            if any(isinstance(m, Symbol) and made.key(m) == named[0] for a in n.arguments for m in walk((a,))):
                continue  # s (1 - s)
            calls.setdefault(named[0], []).append(n.arguments)
    for order, chain in enumerate(chains):
        left = chain.first
        if left is None or not chain.links or chain.links[0][0] not in DEFINING:
            continue
        if isinstance(left, Derivative):
            _called_so(made, left, chain, order)
            continue
        named = made.name_of(left.function if isinstance(left, Application) and made.name_of(left) is None else left)
        right = chain.links[0][2]
        if named is None or (not named[1] and named[0] in made.letters) or isinstance(_base(right), List):
            continue
        if _says_itself(made, named[0], right) or not _general(named[1]) or _is_claim(made, named[0], right):
            continue
        made.definitions.setdefault(named[0], []).append(Stated(named[0], left, right, order))
        if isinstance(left, Application) and made.name_of(left) is None and _is_function(left, calls.get(named[0], ())):
            made.functions.add(named[0])
    _infer(made, nodes)
    for stated in (s for many in made.definitions.values() for s in many):
        if isinstance(stated.right, WHOLE) and not stated.parameters:
            made.rights.setdefault(stated.right, stated)


def _is_function(left: Application, calls: Sequence[tuple[Formula, ...]]) -> bool:
    """Say whether a name is called at anything but the letters of its definition: J(w) that is read at w alone is J."""
    plain = all(isinstance(a, Symbol) for a in left.arguments)
    return any(not plain or arguments != left.arguments for arguments in calls)


def _called_so(made: Context, left: Formula, chain: Chain, order: int) -> None:
    r"""Define what a derivative is called: \frac{\partial E}{\partial a_j} \equiv \delta_j."""
    op, _, right = chain.links[0]
    named = made.name_of(right)
    if op in ("==", ":=") and named is not None and _general(named[1]) and named[0] not in made.definitions:
        made.definitions[named[0]] = [Stated(named[0], right, left, order)]


def _is_claim(made: Context, key: Key, right: Formula) -> bool:
    """Say whether a name was defined before as a derivative, or is one now: what is said of it then is a claim."""
    before = made.definitions.get(key, ())
    return bool(before) and any(isinstance(n, Derivative) for n in walk((right, *(s.right for s in before))))


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
    inner = {id(n.base) for n in walk(right) if isinstance(n, Indexed)}
    names = [n for n in walk(right) if isinstance(n, Symbol | Indexed) and id(n) not in inner]
    return any((named := made.name_of(n)) is not None and named[0] == key for n in names)
