"""Deriving through a definition instead of citing its lemma: an operation replaced by the formula of its row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as replace_fields
from typing import cast

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.derive.differentiate import row_bindings
from derivkit.symbolic.derive.rows import Bindings, read_row
from derivkit.symbolic.expr import Expr, Fn, Name, Prim, Ref, Sum, freshen, replace, substitute, walk
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Affine
from derivkit.symbolic.ops import ELEMENTWISE, OPS, PRIMITIVES


def expanded(graph: Graph, ops: str | Iterable[str]) -> Graph:
    """Return ``graph`` with every definition that is one of ``ops`` replaced by its formula, the sum in it named."""
    words = [w.strip() for w in ops.split(",") if w.strip()] if isinstance(ops, str) else list(ops)
    for word in words:
        if not _has_formula(word):
            known = [n for n in OPS if _has_formula(n)]
            raise DerivkitError(f"'{echo(word)}' has no definition to expand", code="DK031", hint=did_you_mean(word, known))
    if not words:
        return graph
    taken = {str(n) for n in graph.inputs} | {str(d.name) for d in graph.definitions}
    made: list[Definition] = []
    for d in graph.definitions:
        made += _opened(d, taken) if isinstance(d.rhs, Fn | Prim) and d.rhs.op in words else [d]
    apart = None if graph.apart is None else expanded(graph.apart, words)
    return replace_fields(graph, definitions=tuple(made), apart=apart)


def _has_formula(op: str) -> bool:
    row = PRIMITIVES.get(op) or ELEMENTWISE.get(op)
    return row is not None and bool(row.formula)


def _opened(d: Definition, taken: set[str]) -> list[Definition]:
    rhs = _formula(cast(Fn | Prim, d.rhs))
    total = next((n for n in walk(rhs) if isinstance(n, Sum)), None)
    if total is None:
        return [Definition(d.name, d.shape, d.indices, rhs, None, (), d.text, d.line)]
    label = next(c for c in ("S", *(f"S{n}" for n in range(1, 1000))) if c not in taken)
    taken.add(label)
    kept = [(i, s) for i, s in zip(d.indices, d.shape, strict=True) if i is not None and i in total.free]
    name = Name("anon", label)
    here = Ref(name, tuple(Affine.of(i) for i, _ in kept))
    outer = replace(rhs, lambda n: here if n is total else None)
    fresh = tuple(i.fresh() for i, _ in kept)
    inner = substitute(freshen(total), {i: Affine.of(f) for (i, _), f in zip(kept, fresh, strict=True)})
    normaliser = Definition(name, tuple(s for _, s in kept), fresh, inner)
    return [normaliser, Definition(d.name, d.shape, d.indices, outer, None, (), d.text, d.line)]


def _formula(expr: Fn | Prim) -> Expr:
    if isinstance(expr, Fn):
        row = ELEMENTWISE[expr.op]
        return read_row(row.formula, Bindings(scalars=dict(zip(row.parameters, expr.args, strict=True))))
    row = PRIMITIVES[expr.op]
    return read_row(row.formula, row_bindings(row, expr, None, ()))
