"""A derivation as a page: what stands on it and in which order, for text and LaTeX alike; only the setting differs.

The lines themselves are written in ``lines``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.layout import MEANING, Layout, axis_order, read_layout
from derivkit.symbolic.expr import Expr, Name, Prim, Ref, key, references, walk
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.normal import normal
from derivkit.symbolic.ops_linear import MATRICES
from derivkit.symbolic.render.kronecker import kronecker
from derivkit.symbolic.render.labels import labelled, letters_of, names_of, read_labels, with_derived
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.lines import Block, Row, conditioned, definition_text, reason, step_block
from derivkit.symbolic.render.matrix import matrix_in
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.operator import operator_blocks
from derivkit.symbolic.render.pieces import Ranks
from derivkit.symbolic.render.styles import Style, style_for
from derivkit.symbolic.rules import SENTENCES
from derivkit.symbolic.steps import Derivation, Lemma, Result, Step

NOTATIONS = ("index", "matrix", "both", "operator")
STEPS = ("full", "brief", "none")
STYLES = ("delta", "cases")
SHORT = 3  # lines of a program that are read at a glance, as E = ‖y − t‖², y = f(z), z = W x
TITLE = 200  # the most characters of a title


@dataclass(frozen=True, slots=True)
class LemmaPart:
    """A lemma on the page: its title, its definitions, its proof, its statement by cases."""

    number: int
    title: str
    definitions: tuple[str, ...]
    blocks: tuple[Block, ...]
    by_cases: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result on the page: its name (∂E/∂W1), shape, entry by entry, in matrix notation where there is one.

    ``space`` is its shape on paper, where a row is 1×D; ``entry`` says which entry stands where, when a layout turns the axes.
    """

    result: Result
    whole: str
    shape: tuple[Size, ...]
    space: tuple[Size, ...]
    entry: tuple[str, str] | None
    axes: tuple[str, ...]
    left: str
    row: Row
    shared: tuple[str, ...]
    shown: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is printed of a derivation, in order; ``told`` says that the steps tell the facts already."""

    definitions: tuple[str, ...]
    layout: Layout
    meaning: str
    inputs: tuple[Input, ...]
    lets: tuple[str, ...]
    assumed: tuple[str, ...]
    blocks: tuple[Block, ...]
    outcomes: tuple[Outcome, ...]
    facts: tuple[str, ...]
    told: bool
    conventions: tuple[str, ...]
    checked: str
    title: str
    style: Style
    lemmas: tuple[LemmaPart, ...] = field(default=())


def with_results(made: Page, matrix: Callable[[Outcome], Iterable[Row]]) -> Iterator[Block]:
    """Yield the steps, each that ends in a result followed by its other forms; then the results not yet written."""
    waiting = list(made.outcomes)
    last = {b.left: n for n, b in enumerate(made.blocks)}
    for n, block in enumerate(made.blocks):
        mine = [o for o in waiting if o.left == block.left and last[block.left] == n and not o.shared]
        more = [r for o in mine for r in _forms(o, tuple(matrix(o)))]
        yield Block(block.number, block.left, (*block.rows, *more))
        waiting = [o for o in waiting if o not in mine]
    told: set[str] = set()
    for outcome in waiting:
        for line in outcome.shared:
            if line in told:  # by a result before
                continue
            told.add(line)
            left, _, right = line.partition(" = ")
            yield Block(0, left, (Row(right, "a shared part"),))
        yield Block(0, outcome.left, (outcome.row, *matrix(outcome)))


def _forms(outcome: Outcome, matrix: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the lines of a result below its step: entry by entry, then in matrix notation.

    Where a matrix that is inverted would be written out under the inverse's entries, the matrix line follows at once.
    """
    if outcome.shown:
        return matrix
    opaque = any(isinstance(n, Prim) and n.op in MATRICES and not isinstance(n.args[0], Ref) for n in walk(outcome.result.expr))
    if not opaque or not matrix or matrix[0].reason != "in matrix notation":
        return (outcome.row, *matrix)
    return (Row(matrix[0].right, f"{outcome.row.reason}; {matrix[0].reason}"), *matrix[1:])


def listed(made: Page) -> tuple[str, ...]:
    """Return the lines of the program as they stand below one another: a long one in its own order, a short one from its end."""
    return made.definitions if len(made.definitions) <= SHORT else made.definitions[::-1]


def in_matrix(outcome: Outcome, made: Page, notation: str) -> Iterator[Row]:
    """Yield a result's line in matrix notation; its entries where it has no such form and no other is asked for."""
    matrix = matrix_in(outcome.result, made.layout, made.style) if notation != "index" else None
    if matrix is not None and _another(outcome, matrix):
        yield Row(matrix, "in matrix notation")
    elif matrix is None and notation != "index" and (product := _on_vectors(outcome, made)) is not None:
        yield Row(product, "on vectors, matrices read row by row")
    elif matrix is None and notation == "matrix":
        yield Row(outcome.row.right, "index notation: there is no matrix form", outcome.row.by_cases)


def _on_vectors(outcome: Outcome, made: Page) -> str | None:
    """Return a Jacobian by a matrix, or of one, as a Kronecker product, ``None`` where it is none."""
    result = outcome.result
    if made.layout == "denominator" or result.shared:
        return None
    return kronecker(result.expr, result.outputs, result.inputs, result.graph, made.style)


def _another(outcome: Outcome, text: str) -> bool:
    """Say whether a matrix form says more than the entry by entry form, which among scalars it does not."""
    expr = outcome.result.expr
    alone = not any(isinstance(n, Ref) and n.subs for n in walk(expr)) and not expr.free
    return not alone and "".join(text.split()) != "".join(outcome.row.right.split()).replace(r"\,", "")


def option(name: str, value: str, known: tuple[str, ...]) -> str:
    """Return an option's value when it is one of ``known``, else raise DK031."""
    if value in known:
        return value
    hint = did_you_mean(str(value), known) or f"one of {', '.join(known)}"
    raise DerivkitError(f"unknown {name} '{echo(value)}'", code="DK031", hint=hint)


def page(
    derivation: Derivation,
    style: str | Style,
    layout: str | None,
    steps: str,
    lemmas: bool,
    delta_style: str,
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
    *,
    notation: str = "both",
) -> Page:
    """Return the page of a derivation, its expressions printed in ``style`` with ``labels`` for names."""
    operators = option("notation", notation, NOTATIONS) == "operator"
    if operators and layout not in (None, "numerator"):
        raise DerivkitError("operator notation is in numerator layout", code="DK031", hint="leave the layout out")
    chosen = read_layout("numerator" if operators else layout or derivation.layout)
    detail = option("steps", steps, STEPS)
    split = option("style", delta_style, STYLES) == "cases"
    known = with_derived(read_labels(labels, names_of(derivation.graph)), derivation.graph)
    letters = Letters((*Letters.of(derivation.graph).taken, *letters_of(known)))
    _announce(derivation, letters)
    writer = Notation(labelled(style_for(style, letters.taken), known), letters, ranks(derivation.graph))
    shown = derivation.steps if detail != "none" and not operators else ()
    blocks = tuple(step_block(writer, s, detail == "brief", split) for s in shown)
    if operators:
        blocks = operator_blocks(derivation, writer)
    steps_told, parts = derivation.steps if shown else (), dict[int, str]()
    outcomes = tuple(_outcome(writer, r, chosen, steps_told, split, parts) for r in derivation.results.values())
    return Page(
        definitions=tuple(definition_text(writer, d, derivation.primal) for d in _told(derivation)),
        layout=chosen,
        meaning=MEANING[chosen],
        inputs=tuple(derivation.primal.inputs.values()),
        lets=(*(definition_text(writer, d, derivation.primal) for d in derivation.lets), *_moves(derivation, writer)),
        assumed=derivation.primal.assumed,
        blocks=blocks,
        outcomes=outcomes,
        facts=_facts(writer, derivation),
        told=detail == "full" and not operators,
        conventions=derivation.conventions,
        checked=derivation.checked,
        title=echo(title, TITLE) if title is not None else "",
        style=writer.style,
        lemmas=tuple(_lemma(style, one) for one in derivation.lemmas) if lemmas else (),
    )


def _moves(derivation: Derivation, writer: Notation) -> Iterator[str]:
    """Yield what a reader must know of a derivative along a direction: ``ẇ = v``, and that ``∂Ė/∂w`` is the Hessian times it."""
    style = writer.style
    for name, direction in derivation.directions.items():
        tangent = Name("tangent", "", of=name)
        if str(tangent) != str(direction):
            yield f"{writer.array(tangent)} = {writer.array(direction)}"
    if derivation.kind == "hvp" and len(derivation.directions) == 1:
        ((name, direction),) = derivation.directions.items()
        output, below = writer.array(derivation.primal.output), writer.array(name)
        product = writer.array(Name("tangent", "", of=Name("adjoint", "", of=name, output=derivation.primal.output)))
        hessian = style.derivative(output, (below, below))
        yield f"{product} = {hessian}{style.dot}{writer.array(direction)}"


def ranks(graph: Graph) -> Ranks:
    """Return the number of axes of every name of a graph."""
    return Ranks({n: i.shape for n, i in (*graph.extra.items(), *graph.inputs.items())} | {d.name: d.shape for d in graph})


def _facts(notation: Notation, derivation: Derivation) -> tuple[str, ...]:
    """Return the declared facts that were used, their sums written out: ``t is one-hot: Σ_k t_k = 1``."""
    lines = [line for step in derivation.steps for line in (step, *step.substeps) if line.about]
    sentences = {f.partition(": {")[0]: (f, line) for line in reversed(lines) for f in line.facts}
    filled = []
    for fact in derivation.facts:
        words = fact.partition(": {")[0]
        if words not in sentences:
            filled.append(reason(notation, words, ()))
            continue
        sentence, line = sentences[words]
        scope = line.before.free if not any(a.free for a in line.about) else ()
        about = notation.written(line.about, notation.letters.bound(line.about, scope))
        filled.append(reason(notation, sentence, about))
    return tuple(dict.fromkeys(filled))


def _told(derivation: Derivation) -> list[Definition]:
    lets = {d.name for d in derivation.lets}
    return [d for d in reversed(derivation.primal.definitions) if d.name not in lets]


def _announce(derivation: Derivation, letters: Letters) -> None:
    """Tell the letters which indices stand in one line, before the first is chosen."""

    def lines(step: Step) -> Iterable[Step]:
        yield step
        for sub in step.substeps:
            yield from lines(sub)

    for result in derivation.results.values():
        letters.together((*_indices(result), *result.expr.free))
    for step in derivation.steps:
        for line in lines(step):
            here = {*line.before.free, *line.after.free}
            letters.together(here)
            letters.together({i for a in line.about for i in a.free} - here)


def _indices(result: Result) -> tuple[Index, ...]:
    return tuple(i for i in (*result.outputs, *result.inputs) if i is not None)


# -- results and lemmas --------------------------------------------------------------------------------------------------


def _outcome(
    notation: Notation, result: Result, layout: Layout, steps: tuple[Step, ...], split: bool, parts: dict[int, str]
) -> Outcome:
    """Return a result as it is printed; ``parts`` are the lines of shared definitions, for those that share them, too."""
    order = axis_order(layout, len(result.output_shape), len(result.input_shape))
    natural = (*result.outputs, *result.inputs)
    before = reference(result)
    for d in result.shared:
        if id(d) not in parts:
            parts[id(d)] = " = ".join(notation.line((d.ref(), d.best), before.free))
    left, right = notation.line((before, result.expr))
    row = Row(right, "", conditioned(notation, before, result.expr) if split else ())
    last = next((s for s in reversed(steps) if isinstance(s.before, Ref) and s.before.name == result.name), None)
    shown = last is not None and (
        notation.line((last.before, last.after))[1] == right or key(normal(last.after)) == key(normal(result.expr))
    )
    if last is not None and not shown:
        told = {f for step in steps for line in step.substeps for f in line.facts}
        facts = [reason(notation, f, ()) for f in result.facts if f not in told and "{" not in f]
        row = Row(row.right, "; ".join((_written_out(notation, last.after, result.expr), *facts)), row.by_cases)
    axes = tuple("1" if natural[n] is None else notation.letters[natural[n]] for n in order)  # type: ignore[index]
    shape = result.shape_in(layout)
    is_row = layout == "numerator" and not result.output_shape and len(shape) == 1
    at = ("0" if natural[n] is None else axis for n, axis in zip(order, axes, strict=True))
    entry = None if order == tuple(range(len(order))) else (", ".join(at), left)
    space = (Size.of(1), *shape) if is_row else shape
    shared = tuple(parts[id(d)] for d in result.shared)
    return Outcome(result, notation.array(result.name), shape, space, entry, axes, left, row, shared, shown)


def _written_out(notation: Notation, before: Expr, after: Expr) -> str:
    """Return why a result looks other than its step: the names of ours that it no longer has."""
    kept = references(after)
    gone = [notation.array(n) for n in references(before) if n not in kept and n.kind != "user"]
    shown = [notation.style.inline(g) for g in gone]
    if shown:
        return f"write out {', '.join(shown)}"
    return SENTENCES["simplify"] if {*references(before)} == {*kept} else SENTENCES["names"]


def reference(result: Result) -> Ref:
    """Return the reference ∂E/∂W1_ji of a result."""
    shape = (*result.output_shape, *result.input_shape)
    return Definition(result.name, shape, (*result.outputs, *result.inputs), result.expr).ref()


def _lemma(style: str | Style, lemma: Lemma) -> LemmaPart:
    names = {str(d.name): len(d.shape) for d in lemma.definitions}
    exprs = [e for s in lemma.steps for e in (s.before, s.after, *(x for sub in s.substeps for x in (sub.after,)))]
    found: dict[Name, int] = {d.name: len(d.shape) for d in lemma.definitions}
    for expr in (*exprs, *(d.rhs for d in lemma.definitions)):
        for node in walk(expr):
            if isinstance(node, Ref) and node.name.kind == "user":
                found.setdefault(node.name, len(node.subs))
    letters = Letters((*names, *map(str, found)))
    notation = Notation(style, letters, found)
    definitions = tuple(" = ".join(notation.line((d.ref(), d.rhs))) for d in lemma.definitions)
    blocks = tuple(step_block(notation, s, False, False) for s in lemma.steps)
    by_cases = conditioned(notation, lemma.statement.before, lemma.statement.after) if lemma.cases else ()
    return LemmaPart(lemma.number, lemma.title, definitions, blocks, by_cases)
