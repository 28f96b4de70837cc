"""From text to Graph: the door of the reader."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.expr import Expr, Name, user
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import Index
from derivkit.symbolic.ops import FUNCTIONS
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.context import Context, Value
from derivkit.symbolic.parse.habits import Habits, read_habits
from derivkit.symbolic.parse.lower import Lowering
from derivkit.symbolic.parse.shapes import SIZE_TERMS, Sizes, assumption, read_size, shown, size_names, walk
from derivkit.symbolic.parse.statements import guarded, parse_declaration, parse_program
from derivkit.symbolic.parse.syntax import Place

_COMMENT = re.compile(r"#[^\n]*")
_SPACE = re.compile(r"\s+")
_RETURN = re.compile(r"^return\b\s*")


def read_program(
    text: str, shapes: Mapping[str, str] | None = None, *, modules: Collection[str] = (), returns: bool = False
) -> Graph:
    r"""Return the program as named definitions in index notation, in the order of its lines.

    ``shapes`` declares as the text does: ``{"t": "onehot K"}``.  Undeclared names get their shapes by unification and by
    the habit of their letters; ``graph.assumed`` says what was assumed.  Raises :class:`DerivkitError` with the place.

    >>> graph = read_program("h = tanh(W @ x)\nE = sum(h**2)", {"W": "M, D"})
    >>> [f"{d.name}{[i.hint for i in d.bound]}" for d in graph], graph.assumed
    (["a['j']", "h['j']", 'E[]'], ('x: a vector of size D',))
    """
    program = parse_program(text, FUNCTIONS, modules=modules, returns=returns)
    graph = guarded(lambda: _program(program, shapes or {}))
    return _as_function(graph, modules) if returns or modules else graph


def _as_function(graph: Graph, modules: Collection[str]) -> Graph:
    apart = None if graph.apart is None else _as_function(graph.apart, modules)
    return replace(graph, definitions=tuple(_as_program(d, modules) for d in graph), apart=apart)


def _as_program(d: Definition, modules: Collection[str]) -> Definition:
    """Return a line of a Python function as a line of a program: without ``return``, and ``exp`` for ``np.exp``."""
    text = _RETURN.sub("", d.text)
    for module in modules:
        text = re.sub(rf"\b{module}\s*\.\s*(?=[A-Za-z])", "", text)
    return replace(d, text=text)


def read_expression(text: str, graph: Graph) -> tuple[Expr, tuple[Index | None, ...]]:
    r"""Return one expression in the names of ``graph``, and the index of each of its axes (``None`` for a size of 1).

    An index definition ``g[j,i] = ...`` has the axes on its left.  Nothing gets a name: the expression stays whole.

    >>> graph = read_program("y: K\nt: K\nE = sum((y - t)**2)")
    >>> expr, axes = read_expression("2*(y - t)", graph)
    >>> [str(axis.size) for axis in axes]
    ['K']
    """
    program = parse_program(text, FUNCTIONS)
    return guarded(lambda: _expression(program, graph))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is known of a program before any line of it is lowered."""

    program: syntax.Program
    declared: Mapping[str, Input]
    defined: Mapping[str, Definition]
    sizes: frozenset[str]
    habits: Habits | None
    apart: bool = False

    def begin(self, sizes: Sizes) -> Lowering:
        """Return a pass that has seen no line yet."""
        statements = self.program.statements
        later = {s.name: s.place for s in statements if isinstance(s, syntax.Definition | syntax.IndexDefinition)}
        names = {n.id for n in walk(statements) if isinstance(n, syntax.Name)}
        answers = {n for size in sizes.answers or () for n in size.names()}
        context = Context(
            self.program.source, sizes, {*names, *later, *self.declared, *self.defined, *self.sizes, *answers}, set(self.sizes)
        )
        context.naming = self.habits is not None
        context.apart = self.apart
        return Lowering(context, self.habits, self.declared, later, dict(self.defined))


def _settled(frame: _Frame) -> tuple[Lowering, Name, list[str]]:
    """Lower the program, twice if there was anything to find out; return the last pass, the output and what was assumed."""
    sizes = Sizes()
    lowering = frame.begin(sizes)
    output = _lines(frame.program, lowering)
    if not sizes.asked:
        return lowering, output, []
    free = (
        frozenset[str]()
        if frame.habits is None
        else frame.habits.divisors - frame.declared.keys() - frame.defined.keys() - frame.sizes
    )
    answers, assumed, lost = sizes.settle(lowering.context.taken - free)
    frame = replace(frame, sizes=frame.sizes | {n for n in free if any(n in size.names() for size in answers)})
    if lost is not None:
        hint = f"an index has the range of an axis that it subscripts alone, as in x[{lost.name}]"
        raise frame.program.error(lost.place, f"nothing tells the range of index '{lost.name}'", code="DK019", hint=hint)
    lowering = frame.begin(Sizes(answers))
    output = _lines(frame.program, lowering)
    return lowering, output, assumed


def _lines(program: syntax.Program, lowering: Lowering) -> Name:
    """Lower every line; return the name of the output."""
    texts = _texts(program)
    output = user("out")
    for statement, text in zip(program.statements, texts, strict=True):
        if isinstance(statement, syntax.Declaration):
            continue
        lowering.context.line = statement.place.line
        if isinstance(statement, syntax.Output):
            node = statement.value
            if isinstance(node, syntax.Compare) and node.op == "==":
                raise lowering.context.error(
                    node.place, "a comparison is no output", "DK007", "a definition is written with one ="
                )
            if isinstance(node, syntax.Name) and node.id in lowering.defined:
                return lowering.defined[node.id].name
            name = "out" if "out" not in lowering.context.taken else lowering.context.label("out")
        else:
            name = statement.name
        lowering.context.number = name[len(name.rstrip("0123456789")) :]
        value = line(lowering, statement)
        definition = Definition(user(name), value.shape, value.axes, value.expr, text=text, line=statement.place.line)
        lowering.context.define(definition)
        lowering.defined[name] = definition
        lowering.later.pop(name, None)
        output = definition.name
    return output


def line(lowering: Lowering, statement: syntax.Definition | syntax.IndexDefinition | syntax.Output) -> Value:
    """Return the value of one line, on the axes of its left side."""
    if not isinstance(statement, syntax.IndexDefinition):
        return lowering.context.real(lowering.lower(statement.value))
    lowering.letters = lowering.bind(statement.indices)
    value = lowering.context.real(lowering.lower(statement.value))
    axes = tuple(position.bare for position in lowering.letters.values())
    lowering.letters = {}
    if value.axes:
        message = f"the right side still has axes: {shown(value.shape)}"
        raise lowering.context.error(value.place, message, "DK012", "subscript it with the indices of the left side")
    return Value(axes, value.expr, statement.place)


def _texts(program: syntax.Program) -> list[str]:
    """Return the source of each statement, on one line and without comments."""
    lines = program.source.split("\n")
    starts = [s.place.line for s in program.statements]
    ends = [*starts[1:], len(lines) + 1]
    texts = [_COMMENT.sub("", "\n".join(lines[a - 1 : b - 1])) for a, b in zip(starts, ends, strict=True)]
    return [_SPACE.sub(" ", text.replace("```", "")).strip() for text in texts]


def _given(name: str, text: str) -> syntax.Declaration:
    try:
        return parse_declaration(name, text, FUNCTIONS)
    except DerivkitError as error:
        error.message = f"in the shape of '{echo(name)}': {error.message}"  # its line and column are those in that text
        raise


def _program(program: syntax.Program, shapes: Mapping[str, str]) -> Graph:
    frame = _frame(program, [_given(name, text) for name, text in shapes.items()])
    graph, reused = _read(program, frame)
    return replace(graph, apart=_read(program, replace(frame, apart=True))[0]) if reused else graph


def _read(program: syntax.Program, frame: _Frame) -> tuple[Graph, bool]:
    """Return the graph, and whether what the author wrote twice is read under the name that he gave it."""
    lowering, output, inside = _settled(frame)
    if frame.habits is not None and frame.habits.coefficients - frame.declared.keys() and lowering.defined[str(output)].shape:
        other = _settled(replace(frame, habits=frame.habits.with_scalars()))
        if not other[0].defined[str(other[1])].shape:  # in a loss + λ ‖w‖², λ is a number: a loss is a scalar
            lowering, output, inside = other
    used = lowering.used
    inputs = {
        i.name: i
        for i in (*(i for n, i in frame.declared.items() if n in used), *lowering.guessed.values())
        if i.name.label in used
    }
    extra = {i.name: i for n, i in frame.declared.items() if n not in used}
    known = {*frame.declared, *(lowering.defined if frame.declared else ())}
    assumed = (*(_assumed(i, known) for i in lowering.guessed.values()), *inside)
    needs = tuple(lowering.context.needs.values())
    graph = Graph(inputs, tuple(lowering.context.definitions), output, assumed, program.source, extra, needs)
    return graph, lowering.context.reused


def _assumed(given: Input, known: Collection[str]) -> str:
    """Return what was assumed of an undeclared name, and which name it may be a slip for."""
    name = given.name.label
    alike = [other for other in known if min(len(name), len(other)) > 1 and other[0] == name[0]]  # x_hat is no slip for t_hat
    near = did_you_mean(name, alike)
    text = assumption(name, given.shape)
    return text if near is None else f"{text} ({name} is not declared; {near})"


def _frame(program: syntax.Program, given: list[syntax.Declaration]) -> _Frame:
    """Return what the declarations say, refusing contradictions."""
    statements = program.statements
    written = [s for s in statements if isinstance(s, syntax.Declaration)]
    sizes = frozenset(size_names((*written, *given, *statements)))
    defined = {s.name: s.place for s in statements if isinstance(s, syntax.Definition | syntax.IndexDefinition)}
    declared: dict[str, Input] = {}
    for declaration in (*written, *given):
        name, inside = declaration.name, declaration in written
        place = declaration.place if inside else defined.get(name, Place(1, 1))
        if name in declared:
            raise _no_shape(name, "it has one by now, in the text or beside it", "declare it once")
        if not inside and name in sizes:
            raise _no_shape(name, "it is a size of the program", "only arrays have shapes; write the number in place of the size")
        if name in defined:
            hint = "declare inputs alone: the shape of a defined name follows"
            raise program.error(defined[name], f"'{name}' is a declared input, and defined here", code="DK011", hint=hint)
        declared[name] = _declared(program, declaration, sizes, place)
    for name in (*declared, *defined):
        if name in sizes:
            where = defined.get(name) or next((s.place for s in written if s.name == name), Place(1, 1))
            raise program.error(
                where, f"'{name}' is both an array and a size", code="DK011", hint="give one of them another name"
            )
    return _Frame(program, declared, {}, sizes, read_habits(statements))


def _no_shape(name: str, why: str, hint: str) -> DerivkitError:
    """Return the error for a shape given beside the text, which has no place in it."""
    return DerivkitError(f"'{echo(name)}' cannot get a shape from shapes= or --shape: {why}", code="DK011", hint=hint)


def _declared(program: syntax.Program, declaration: syntax.Declaration, sizes: Collection[str], place: Place) -> Input:
    read = [read_size(node, sizes) for node in declaration.sizes]
    shape = tuple(size for size in read if size is not None)
    if len(shape) < len(read):
        raise program.error(
            place, f"a size of '{declaration.name}' is too long", code="DK020", hint=f"at most {SIZE_TERMS} terms"
        )
    if declaration.kind == "label":
        return Input(user(declaration.name), "label", shape[1:], shape[0])
    if declaration.kind == "symmetric" and (len(shape) < 2 or shape[-1] != shape[-2]):
        hint = f"as in {declaration.name}: symmetric N, N"
        raise program.error(place, "a symmetric array has two equal last sizes", code="DK014", hint=hint)
    return Input(user(declaration.name), declaration.kind, shape)


def _expression(program: syntax.Program, graph: Graph) -> tuple[Expr, tuple[Index | None, ...]]:
    if len(program.statements) != 1:
        raise program.error(program.statements[1].place, "expected one expression", code="DK007")
    declared = {str(n): i for n, i in (*graph.extra.items(), *graph.inputs.items())}
    defined = {str(d.name): d for d in graph}
    shapes = [i.shape for i in declared.values()] + [d.shape for d in graph]
    ranges = [i.range for i in declared.values() if i.range is not None]
    sizes = frozenset(n for size in (*(s for shape in shapes for s in shape), *ranges) for n in size.names())
    lowering, output, _ = _settled(_Frame(program, declared, defined, sizes, None))
    made = lowering.defined[str(output)]
    if not lowering.context.definitions:  # the name of a definition alone
        return made.ref(), made.indices
    return made.rhs, made.indices
