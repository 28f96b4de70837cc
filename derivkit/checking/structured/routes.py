"""How each leaf of a kernel is measured: through the arrays that it enters linearly, or by itself.

Of a layer z = h Wᵀ the array z has far fewer columns than W has entries: ∂L/∂z is measured, and ∂L/∂W is hᵀ ∂L/∂z exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.numeric.codegen import Program, choose_contractions, solve_systems
from derivkit.numeric.codegen.cuts import Cut, alone, cut, linear, pullback, renamed
from derivkit.numeric.codegen.emit import emit
from derivkit.numeric.kernel import load
from derivkit.symbolic.arrays import NoArrayForm
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.graph import Definition

Array = NDArray[Any]
Values = Mapping[Name, Array]
Run = Callable[[Values], Any]

#: A leaf that takes more columns than this is measured along random directions.
MOST_COLUMNS = 20_000


@dataclass(frozen=True, slots=True)
class Share:
    """What goes to a leaf through one cut: ``pull`` takes ∂L/∂cut to it, ``absolute`` does so with absolute values.

    Both are ``None`` where the cut is the leaf itself.  ``site`` computes the cut array.
    """

    cut: Name
    pull: Program | None = None
    absolute: Program | None = None
    site: Program | None = None


@dataclass(frozen=True, slots=True)
class Routes:
    """The program (a leaf may have a second name in it), its cuts, and the shares of each leaf; no shares: too large."""

    program: Program
    cuts: Mapping[Name, Cut]
    shares: Mapping[Name, tuple[Share, ...] | None]
    aliases: Mapping[Name, Name]


def routes(program: Program, leaves: Iterable[Name], sizes: Mapping[str, int]) -> Routes:
    """Return the cheapest way to each of the leaves, the large ones first: their cuts serve the small ones, too."""
    cuts: dict[Name, Cut] = {}
    shares: dict[Name, tuple[Share, ...] | None] = {}
    aliases: dict[Name, Name] = {}

    def columns(made: Cut) -> int:
        return int(np.prod([s.evaluate(sizes) for n, s in enumerate(made.shape) if n not in made.kept]))

    def entries(leaf: Name) -> int:
        return int(np.prod([s.evaluate(sizes) for s in program.shape(leaf)]))

    for leaf in sorted(leaves, key=entries, reverse=True):
        readers = [d for d in program.definitions if leaf in references(d.rhs)]
        straight = [d for d in readers if _is_straight(program, d, leaf)]
        bent = [d.name for d in readers if d not in straight]
        there, alias = renamed(program, leaf, bent) if straight and bent else (program, leaf)
        sites = {d.name: cuts.get(d.name) or cut(there, d.name) for d in straight}
        sites |= {alias: cut(there, alias)} if bent else {}
        whole = cut(program, leaf)
        cost = sum(columns(c) for name, c in sites.items() if name not in cuts)
        if straight and cost < columns(whole):
            program = there
            aliases |= {alias: leaf} if bent else {}
            shares[leaf] = (*(_share(program, d, leaf) for d in straight), *((Share(alias),) if bent else ()))
        else:
            cost, sites = columns(whole), {leaf: whole}
            shares[leaf] = (Share(leaf),)
        if not readers:
            sites, shares[leaf] = {}, ()
        if cost > MOST_COLUMNS:
            sites, shares[leaf] = {}, None
        cuts |= sites
    return Routes(program, {name: cut(program, name) for name in cuts}, shares, aliases)


def _share(program: Program, site: Definition, leaf: Name) -> Share:
    pull, absolute = pullback(program, site, leaf, linear(site.rhs, leaf) or [])
    return Share(site.name, pull, absolute, alone(program, site))


def _is_straight(program: Program, d: Definition, leaf: Name) -> bool:
    """Return whether a definition is linear in the leaf, and the way back can be written as arrays."""
    terms = linear(d.rhs, leaf)
    try:
        return terms is not None and all(choose_contractions(p) for p in pullback(program, d, leaf, terms))
    except NoArrayForm:
        return False


def compiled(program: Program, sizes: Mapping[str, int]) -> Run:
    """Return the function from named arrays to the value of a program that is stable already."""
    module = emit(program, solve_systems(program, choose_contractions(program)))
    function, extra = load(module), [sizes[s] for s in module.sizes]
    return lambda values: function(*(values[name] for name in module.inputs), *extra)


def behind(cut: Cut, sizes: Mapping[str, int], values: Values) -> Callable[[Array], Array]:
    """Return the losses as a function of the cut array, all else held."""
    module = emit(cut.tail, solve_systems(cut.tail, choose_contractions(cut.tail)))
    function = load(module)
    rest = [*(values[name] for name in module.inputs[1:]), *(sizes[s] for s in module.sizes)]
    return lambda array: np.asarray(function(array, *rest))
