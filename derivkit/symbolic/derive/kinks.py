"""Which conventions a result rests on: those of the kinks that it still has.

A kink of an operation may be none of the whole: ``x*abs(x)`` is smooth, and so is Huber's loss.  A result without any
operation that jumps has no kink; another is evaluated on both sides of each kink that was differentiated through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.symbolic.derive.points import points, size_sets
from derivkit.symbolic.elementary import INDICATORS
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import ONE_EXPR, ZERO_EXPR, Expr, Fn, Name, Num, Pow, Prim, key, references, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.normal import add, scaled
from derivkit.symbolic.ops import OPS
from derivkit.symbolic.steps import Result

Array = NDArray[Any]

#: Operations whose value jumps.
JUMPS = INDICATORS | {"sign", "first_max", "argmax"}
#: What selects entries: a kink shows only where its entry is the one selected, which a point or two seldom meet.
_SELECTING = frozenset({"first_max", "argmax"})
#: Kinds of inputs whose points may be joined by a line.
_CONVEX = frozenset({"real", "positive", "simplex", "symmetric"})
#: Beyond these nothing is evaluated, and the convention is stated: nodes of the graph, kinks of one operation, lines tried.
_NODES, _KINKS, _LINES = 600, 4, 4
#: How far beside a kink the result is looked at (of the line), and what part of it a jump is at least.
_BESIDE, _JUMP = 1e-7, 1e-4
#: How far from a tie still is one, at the kink itself.
_TIE = 1e-9


def conventions(through: Iterable[Expr], graph: Graph, results: Iterable[Result]) -> tuple[str, ...]:
    r"""Return the conventions of the operations in ``through`` that the ``results`` rest on; ``graph`` defines their names.

    >>> import derivkit
    >>> [derivkit.derive(f"x: N\nE = sum({f})", "x").conventions for f in ("abs(x)", "x*abs(x)")]
    [("abs'(0) = 0",), ()]
    """
    met: dict[str, dict[int, Fn | Prim]] = {}
    for rhs in through:
        for node in walk(rhs):
            if isinstance(node, Fn | Prim) and (said := OPS[node.op].convention):
                met.setdefault(said, {})[key(node)] = node
    if not met:
        return ()
    shown = tuple(results)
    held = list(_held(graph, shown))
    jumps = frozenset(n.op for n in held if isinstance(n, Fn | Prim) and n.op in JUMPS)
    stated = (said for said, nodes in met.items() if _rests(tuple(nodes.values()), held, jumps, graph, shown))
    return tuple(stated)


def _held(graph: Graph, results: Iterable[Result]) -> Iterator[Expr]:
    """Yield every node of the results, also behind the names in them."""
    defined = {d.name: d.rhs for d in graph}
    done: set[Name] = set()
    for result in results:
        defined |= {d.name: d.best for d in result.shared}
        waiting = [result.expr]
        while waiting:
            expr = waiting.pop()
            yield from walk(expr)
            for name in references(expr):
                if name in defined and name not in done:
                    done.add(name)
                    waiting.append(defined[name])


def _rests(
    nodes: tuple[Fn | Prim, ...], held: list[Expr], jumps: frozenset[str], graph: Graph, results: tuple[Result, ...]
) -> bool:
    """Say whether the results rest on the convention of ``nodes``, which are of one operation."""
    op = nodes[0].op
    if op in JUMPS:  # the operation itself has no slope there
        return True
    if op == "norm":
        return any(_undefined_at_zero(node) for node in held)
    if not jumps:
        return False
    if jumps & _SELECTING or isinstance(nodes[0], Prim) or len(nodes) > _KINKS or sum(d.rhs.nodes for d in graph) > _NODES:
        return True
    sides = _Sides(graph, results)
    return any(sides.differ(locus) for node in nodes if isinstance(node, Fn) for locus in _loci(node))


def _undefined_at_zero(node: Expr) -> bool:
    divides = isinstance(node, Pow) and not (isinstance(node.exponent, Num) and node.exponent.value > 0)
    return divides or (isinstance(node, Fn) and node.op == "log")


def _loci(node: Fn) -> Iterator[Expr]:
    """Yield what is zero at a kink of ``node``."""
    row = OPS[node.op]
    first, others = node.args[0], dict(zip(row.parameters[1:], node.args[1:], strict=True))
    limits = [others[name] for name in row.against] if row.against else [Num(Fraction(value)) for value in row.kinks]
    for limit in limits:
        yield add((first, scaled(-1, limit)))


class _Sides:
    """The results on both sides of a kink, along lines between points of the program."""

    def __init__(self, graph: Graph, results: tuple[Result, ...]) -> None:
        self.graph, self.results = graph, results
        rng = np.random.default_rng(7)
        self.sizes = next(iter(size_sets(graph)), {})
        self.ends = list(pairwise(islice(points(graph, self.sizes, rng, _LINES + 1), _LINES + 1)))
        kinds = {str(n): i.kind for n, i in (*graph.inputs.items(), *graph.extra.items())}
        self.fixed = {name for name, kind in kinds.items() if kind not in _CONVEX}

    def differ(self, locus: Expr) -> bool:
        """Say whether a result jumps where ``locus`` changes its sign, also when no such place was found."""
        order = tuple(sorted(locus.free, key=lambda i: i.uid))
        with np.errstate(all="ignore"):
            for ends in self.ends:
                marks = [0.0, 0.5, 1.0]
                values = [evaluate_expr(locus, self._at(ends, s), self.sizes, order).ravel() for s in marks]
                for (a, low), (b, high) in pairwise(zip(marks, values, strict=True)):
                    for entry in np.flatnonzero(low * high < 0)[:1]:
                        at = self._root(ends, locus, order, int(entry), (a, b), (low[entry], high[entry]))
                        here = self._shown(self._at(ends, at), _blunt)
                        beside = [self._shown(self._at(ends, at + side * _BESIDE)) for side in (-1, 1)]
                        usual = [self._shown(self._at(ends, s)) for s in marks]  # a result may be 0 around its kink
                        return not all(map(_near, here, *beside, *usual))
        return True

    def _at(self, ends: tuple[Mapping[str, Array], Mapping[str, Array]], s: float) -> dict[Name, Array]:
        one, other = ends
        values = {n: a if n in self.fixed else np.asarray((1 - s) * a + s * other[n]) for n, a in one.items()}
        return evaluate_graph(self.graph, values, self.sizes)

    def _root(self, ends: Any, locus: Expr, order: Any, entry: int, where: tuple[float, float], values: tuple[Any, Any]) -> float:
        """Return the place where an entry of ``locus`` is zero: regula falsi with halving (Illinois)."""
        (a, b), (low, high) = where, values
        for _ in range(40):
            c = (a * high - b * low) / (high - low)
            value = evaluate_expr(locus, self._at(ends, c), self.sizes, order).ravel()[entry]
            if value == 0 or abs(b - c) < _BESIDE * 1e-5:
                return float(c)
            a, low = (b, high) if value * high < 0 else (a, low / 2)
            b, high = c, value
        return float(b)

    def _shown(self, env: dict[Name, Array], read: Callable[[Expr], Expr] = lambda e: e) -> list[Array]:
        found = []
        for result in self.results:
            here = dict(env)
            for d in result.shared:
                here.setdefault(d.name, evaluate_expr(read(d.best), here, self.sizes, d.indices))
            found.append(evaluate_expr(read(result.expr), here, self.sizes, result.outputs + result.inputs))
        return found


def _above(a: Expr, b: Expr) -> Expr:
    return Fn("step", (add((a, scaled(-1, b), Num(Fraction(-_TIE)))),))


#: Each operation that jumps, with a tie for what is nearly one: a root found by floats is no exact one.
_BLUNT: dict[str, Callable[..., Expr]] = {
    "step": lambda a: _above(a, ZERO_EXPR),
    "sign": lambda a: add((_above(a, ZERO_EXPR), scaled(-1, _above(ZERO_EXPR, a)))),
    "greater": _above,
    "less": lambda a, b: _above(b, a),
    "greater_equal": lambda a, b: add((ONE_EXPR, scaled(-1, _above(b, a)))),
    "less_equal": lambda a, b: add((ONE_EXPR, scaled(-1, _above(a, b)))),
}


def _blunt(expr: Expr) -> Expr:
    if not expr.children:
        return expr
    made = expr.rebuilt(tuple(_blunt(c) for c in expr.children))
    return _BLUNT[made.op](*made.args) if isinstance(made, Fn) and made.op in _BLUNT else made


def _near(here: Array, left: Array, right: Array, *usual: Array) -> bool:
    scale = max(float(np.max(np.abs(array), initial=0.0)) for array in (here, left, right, *usual))
    return bool(np.all(np.abs(left - right) <= _JUMP * scale) and np.all(np.abs(left - here) <= _JUMP * scale))
