"""A document's names gathered from its chains, pass by pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from derivkit.symbolic.notes.context import Context
from derivkit.symbolic.notes.defined import define_names, layered_names, number_names
from derivkit.symbolic.notes.formula import (
    Application,
    Big,
    Bracketed,
    Chain,
    Derivative,
    Formula,
    Indexed,
    Indicator,
    List,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Symbol,
    walk,
)
from derivkit.symbolic.notes.lengths import hide, measure
from derivkit.symbolic.notes.ranks import infer_shapes
from derivkit.symbolic.notes.spaces import Told


def read_context(
    chains: Sequence[Chain], told: Mapping[str, Told] | None = None, alike: Mapping[str, str] | None = None
) -> Context:
    """Return what the chains of a document say of its names.

    ``told`` are kinds and ranks that the reader was told, by name; ``alike`` letters that are taken for others.
    """
    made = Context(aliases=dict(alike or {}), told=dict(told or {}))
    nodes = [n for chain in chains for n in walk((chain,))]
    made.samples = {s.name for n in nodes if isinstance(n, Big) for s in n.letters}
    made.letters = {s.name for n in nodes if isinstance(n, Indexed) for s in n.subscripts if isinstance(s, Symbol)}
    made.matrices = any(map(made.is_whole, nodes)) or any(said.rank for said in made.told.values())
    made.lowest = min((int(n.lower.value) for n in nodes if isinstance(n, Big) and isinstance(n.lower, Number)), default=1)
    number_names(made, nodes)
    made.layered = layered_names(made, chains)
    for n in nodes:
        if isinstance(n, Symbol):
            made.styles.setdefault(made.key(n), set()).add(n.style)
        if isinstance(n, Derivative) and (named := made.name_of(n.of)) is not None and not named[1]:
            made.scalars.add(named[0])
    for key, said in made.told.items():
        made.kinds[key] = said.kind
        if said.rank is not None:
            made.ranks[key] = said.rank
        for place, size in enumerate(said.sizes or ()):
            made.axes.tell(("axis", key, place), size)
        if said.range is not None:
            made.axes.words.update(said.range.names())
    define_names(made, chains, nodes)
    for order, chain in enumerate(chains):
        measure(made, order, chain)
    hide(made, chains)
    made.axes.settle()
    infer_shapes(made, chains)
    made.axes.settle()
    made.atoms = {order: tuple(atoms_of(made, chain)) for order, chain in enumerate(chains)}
    return made


def atoms_of(made: Context, chain: Chain) -> list[Formula]:
    """Return the names and the calls that a chain is made of, each once."""
    nodes = list(walk((chain,)))
    inner = {id(part) for n in nodes if isinstance(n, Indexed) for part in (n.base, *n.subscripts)}
    inner |= {id(n.order) for n in nodes if isinstance(n, Bracketed)}
    inner |= {id(n.function) for n in nodes if isinstance(n, Application)}
    inner |= {id(part) for n in nodes if isinstance(n, Big) for part in (*n.letters, n.lower, n.upper)}
    found: list[Formula] = [n for n in nodes if isinstance(n, Symbol | Indexed | Application) and id(n) not in inner]
    factors = [part for n in nodes if isinstance(n, Product) for _, part in n.factors]
    factors += [n for n in nodes if isinstance(n, Quotient)] + [n.under for n in nodes if isinstance(n, Quotient)]
    found += [n for n in factors if isinstance(n, List | Sum | Power | Quotient | Indicator | Derivative)]
    return list(dict.fromkeys(n for n in found if not (isinstance(n, Symbol) and (n.name == "e" or n.name in made.letters))))
