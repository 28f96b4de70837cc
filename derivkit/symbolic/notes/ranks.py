"""How many axes the names have that a document writes whole: the ranks with which its equations conform best.

First are tried the ranks that letters have by habit (bold or large: a matrix; small: a vector; Greek: a number), then others, one
or two at a time, as long as less is left that does not conform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.context import Context
from derivkit.symbolic.notes.shapes import Shapes

#: Ranks by habit, the likeliest first, each with what it costs to take it: by how a letter is set.
HABITS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "bold large": ((2, 0), (1, 8), (0, 12)),
    "bold": ((1, 0), (2, 8), (0, 8)),
    "large": ((2, 0), (1, 3), (0, 3)),
    "small": ((1, 0), (0, 1), (2, 4)),
    "small among bold": ((0, 0), (1, 8), (2, 12)),
    "greek": ((0, 0), (1, 1), (2, 6)),
    "word": ((0, 0), (1, 2), (2, 4)),
    "loss": ((0, 0), (1, 9), (2, 9)),
}
GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega".split()
)
LOSSES = frozenset({"E", "L", "J", "C", "ell", "c"})
NAMES, ROUNDS = 24, 6  # whose shapes are searched; how often


def infer_shapes(context: Context, chains: Sequence[f.Chain]) -> None:
    """Choose the ranks of the names that are used whole, and join the axes that must be equally long."""
    if not context.matrices:
        return
    context.general.update(_general(context, chains))
    choices = {key: _choices(context, key) for key in list(_whole(context, chains))[:NAMES]}
    taken = _cheapest(context, chains, choices)
    context.whole.update({key: rank for key, rank in taken.items() if rank > context.ranks.get(key, 0)})
    final = Shapes(context, taken, context.axes.join)
    for chain in chains:
        final.chain(chain)


def _general(context: Context, chains: Sequence[f.Chain]) -> Iterator[str]:
    """Yield the functions that are called at something else than the names of their parameters."""
    for node in f.walk(tuple(chains)):
        if isinstance(node, f.Application) and (named := context.name_of(node.function)) is not None:
            stated = context.definitions.get(named[0], ())
            if named[0] in context.functions and any(s.parameters != node.arguments for s in stated):
                yield named[0]


def _whole(context: Context, chains: Sequence[f.Chain]) -> Iterator[str]:
    """Yield the names that are read with fewer subscripts than they might have axes."""
    seen: set[str] = set()
    for node in f.walk(tuple(chains)):
        if not isinstance(node, f.Symbol):
            continue
        key = context.key(node)
        if key not in seen and not context.is_eye(key) and key not in context.functions:
            seen.add(key)
            if key not in context.axes.words and (key not in context.letters or context.ranks.get(key)):
                yield key


def _choices(context: Context, key: str) -> tuple[tuple[int, int], ...]:
    if key in context.told and context.told[key].rank is not None:
        return ((context.rank(key), 0),)
    if (least := context.ranks.get(key, 0)) > 0:
        return ((least, 0), (least + 1, 1)) if context.samples and key not in context.kinds and least < 2 else ((least, 0),)
    if key in context.kinds:
        return ((2, 0),) if context.kinds[key] == "symmetric" else ((1, 0), (2, 2), (0, 2))
    return HABITS[_habit(context, key)]


def _habit(context: Context, key: str) -> str:
    bold = "bold" in context.styles.get(key, ())
    letter = key.partition("^")[0].partition("_")[0]
    if letter in LOSSES and key in context.scalars:
        return "loss"
    if bold:
        return "bold large" if letter[:1].isupper() else "bold"
    if letter in GREEK:
        return "greek"
    if len(letter) > 1:
        return "large" if letter[:1].isupper() and letter not in ("Tr",) else "word"
    if letter.isupper():
        return "large"
    return "small among bold" if any("bold" in s for s in context.styles.values()) else "small"


def _cheapest(context: Context, chains: Sequence[f.Chain], choices: Mapping[str, tuple[tuple[int, int], ...]]) -> dict[str, int]:
    """Return the ranks that cost least, found by changing one and two at a time."""
    names = [{context.key(n) for n in f.walk((c,)) if isinstance(n, f.Symbol)} & choices.keys() for c in chains]
    known: dict[tuple[int, tuple[tuple[str, int], ...]], int] = {}

    def part(n: int, ranks: Mapping[str, int]) -> int:
        mine = (n, tuple(sorted((k, ranks[k]) for k in names[n])))
        if mine not in known:
            tried = Shapes(context, ranks, lambda a, b: None)
            tried.chain(chains[n])
            known[mine] = tried.cost
        return known[mine]

    def cost(ranks: Mapping[str, int]) -> int:
        return sum(part(n, ranks) for n in range(len(chains))) + sum(dict(choices[k])[r] for k, r in ranks.items())

    best = {key: many[0][0] for key, many in choices.items()}
    least = cost(best)
    for _ in range(ROUNDS):
        moves = [m for size in (1, 2) for m in combinations(choices, size)]
        improved = False
        for keys in moves:
            if least == 0:
                return best
            for ranks in product(*([r for r, _ in choices[k]] for k in keys)):
                other = {**best, **dict(zip(keys, ranks, strict=True))}
                if other != best and (price := cost(other)) < least:
                    best, least, improved = other, price, True
        if not improved:
            break
    return best
