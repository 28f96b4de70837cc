"""Matrix notation: a result as NumPy users write it, and as mathematics with columns, ⊙, ᵀ and diag.

The arrays come from the planner, the same that kernels are made from.  A form that mathematics has no honest notation for
(broadcasting a vector over a matrix, three axes, einsum) gives ``None``: then index notation is printed.
"""

from __future__ import annotations

from collections.abc import Callable

from derivkit.layout import Layout, axis_order
from derivkit.symbolic.arrays import Array, NoArrayForm, plan, postorder
from derivkit.symbolic.arrays.cancel import cancelled
from derivkit.symbolic.arrays.dialects import program_text
from derivkit.symbolic.arrays.linear import with_solves
from derivkit.symbolic.arrays.symmetric import symmetrised
from derivkit.symbolic.derive.forms import expand, opened_terms, polished
from derivkit.symbolic.derive.split import inward, split
from derivkit.symbolic.derive.symmetry import symmetric_facts
from derivkit.symbolic.expr import Delta, Expr, Mul, Name, Prim, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.normal import factors_of, mul
from derivkit.symbolic.render.formula import formula, row_formula
from derivkit.symbolic.render.styles import TEXT, Style, style_for
from derivkit.symbolic.steps import Result

OPEN_NODES = 60
OPEN_TERMS = 6
SPLIT_NODES = 160
BROADCAST_PENALTY = 12  # characters: a reader would rather see a longer line than a broadcast
UNTOLD_PENALTY = 2  # where a vector meets the rows of a matrix, which the text does not say


def matrix_program(result: Result, layout: Layout = "mixed") -> str | None:
    """Return the result as one line of the program language, or ``None``: ``outer((W2.T @ d) * (1 - h**2), x)``."""
    node = _planned(result, layout)
    return None if node is None else program_text(node)


def matrix_text(result: Result, layout: Layout = "mixed") -> str | None:
    """Return the result as mathematics in Unicode, or ``None``: ``((W2ᵀ d) ⊙ (1 − h²)) xᵀ``."""
    return _mathematics(result, layout, TEXT)


def matrix_latex(result: Result, layout: Layout = "mixed") -> str | None:
    r"""Return the result as LaTeX, or ``None``: ``((W_{2}^\top d) \odot (1 - h^{2})) x^\top``."""
    return _mathematics(
        result, layout, style_for("latex", {str(n) for n in result.graph.inputs} | {str(d.name) for d in result.graph})
    )


def matrix_in(result: Result, layout: Layout, style: Style) -> str | None:
    """Return the result as mathematics in a style, or ``None``."""
    return _mathematics(result, layout, style)


def math_form(expr: Expr, order: tuple[Index | None, ...], graph: Graph, style: Style = TEXT) -> str | None:
    """Return any expression over the names of ``graph`` as mathematics with the axes ``order``, or ``None``."""
    return _text(_plan(expr, order, graph.shape), style)


def jacobian_form(expr: Expr, order: tuple[Index | None, ...], graph: Graph, style: Style = TEXT) -> str | None:
    """Return an expression with a δ as the matrix that reads best, or ``None``: ``diag(y) − y yᵀ``."""
    return _text(_shortest(expr, order, graph.shape), style)


def row_form(expr: Expr, order: tuple[Index | None, ...], graph: Graph, style: Style = TEXT) -> str | None:
    """Return a vector over the names of ``graph`` as a row, or ``None``: ``−(t ⊘ y)ᵀ``."""
    return _text(_plan(expr, order, graph.shape), style, as_row=True)


def _mathematics(result: Result, layout: Layout, style: Style) -> str | None:
    is_row = layout == "numerator" and not result.outputs and len(result.inputs) == 1  # as the gradient of a scalar is
    return _text(_planned(result, layout), style, is_row)


def _text(node: Array | None, style: Style, as_row: bool = False) -> str | None:
    """Return an array as mathematics, a vector as a row if wanted; ``None`` where there is no array, or no notation."""
    piece = None if node is None else (row_formula if as_row else formula)(node, style)
    return None if piece is None else piece.text


def _planned(result: Result, layout: Layout) -> Array | None:
    natural = result.outputs + result.inputs
    order = tuple(natural[a] for a in axis_order(layout, len(result.outputs), len(result.inputs)))
    shared = {d.name: d.shape for d in result.shared}
    shape = result.graph.shape
    node = _shortest(result.expr, order, lambda name: shared[name] if name in shared else shape(name))
    solving = any(isinstance(n, Prim) and n.op == "solve" for d in result.graph.definitions for n in walk(d.rhs))
    if node is None:
        return None
    node = symmetrised(cancelled(node), {f.name for f in symmetric_facts(result.graph)})
    return with_solves([node])[0] if solving else node  # in the words of the program


def _shortest(expr: Expr, order: tuple[Index | None, ...], shape: Callable[[Name], tuple[Size, ...]]) -> Array | None:
    """Return the plan that reads best of the expression as it is and multiplied out: diag(y) − y yᵀ is the latter."""
    forms = [expr]
    if any(isinstance(n, Delta) for n in walk(expr)) and expr.nodes <= OPEN_NODES and opened_terms(expr) <= OPEN_TERMS:
        forms.append(polished(expand(expr)))
        scalars = [f for f in factors_of(expr) if not f.free]
        if scalars:  # (diag(p) − p pᵀ)/t
            rest = polished(expand(mul(f for f in factors_of(expr) if f.free)))
            forms.append(Mul((*scalars, rest)))
    apart = split(expr) if expr.nodes <= SPLIT_NODES else expr
    if apart is not expr:
        forms.append(polished(apart))
    closer = inward(expr)
    if closer is not expr:
        forms.append(closer)
    plans = [(p, program_text(p)) for p in (_plan(form, order, shape) for form in forms) if p is not None]
    written = [(p, text) for p, text in plans if text is not None]
    return min(written, key=lambda pair: _reading_length(*pair), default=(None, ""))[0]


def _reading_length(node: Array, text: str) -> int:
    """Return the length of a text, what one must know of broadcasting counted: ``X.T * r`` scales columns."""
    told = text.count("None") + text.count("einsum")
    untold = sum(0 < a.rank < n.rank for n in postorder(node) if n.op in ("add", "mul") for a in n.args)
    return len(text) + BROADCAST_PENALTY * told + UNTOLD_PENALTY * untold


def _plan(expr: Expr, order: tuple[Index | None, ...], shape: Callable[[Name], tuple[Size, ...]]) -> Array | None:
    try:
        return plan(expr, order, shape)
    except NoArrayForm:
        return None
