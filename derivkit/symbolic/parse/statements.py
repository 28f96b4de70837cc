"""Lines to statements: declarations, definitions, index definitions and the output."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from derivkit import limits
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.lexer import tokenize
from derivkit.symbolic.parse.pratt import CONSTANTS, OTHER_NAME, Reader
from derivkit.symbolic.parse.syntax import Expression, Name, Place

#: The kinds of a declaration, with the least number of sizes of each.
KINDS: dict[str, int] = {"real": 0, "onehot": 1, "simplex": 1, "label": 1, "mask": 0, "positive": 0, "symmetric": 1}
_SIZE_OPERATORS = ("+", "-", "*", "//")
_Result = TypeVar("_Result")


def parse_program(
    text: str, functions: Collection[str], *, modules: Collection[str] = (), returns: bool = False
) -> syntax.Program:
    r"""Return the surface tree of a program.

    ``functions`` are the names that mean an operation and may be given to nothing else.  For the body of a decorated
    Python function ``modules`` are prefixes to read over (``np.exp(x)`` is ``exp(x)``), and with ``returns`` the last
    line may be ``return expression``.

    Raises :class:`DerivkitError` and nothing else, with the line, the column and the source line.

    >>> program = parse_program("x: D\nE = sum(x**2)", {"sum"})
    >>> [type(statement).__name__ for statement in program.statements]
    ['Declaration', 'Definition']
    """
    reader = Reader(tokenize(text), text, functions, modules)
    return syntax.Program(guarded(lambda: _statements(reader, returns)), text)


def parse_declaration(name: str, text: str, functions: Collection[str] = ()) -> syntax.Declaration:
    """Return the declaration of ``name`` by ``text``, for ``shapes={"t": "onehot K"}``; places are those in ``text``.

    >>> parse_declaration("t", "onehot K")
    Declaration(name='t', kind='onehot', sizes=(Name(id='K'),))
    """
    names = tokenize(name)
    if [token.kind for token in names] != ["name", "newline", "end"]:
        raise DerivkitError(f"'{echo(name)}' is not a name", code="DK006")
    target, _ = Reader(names, name, functions).target()
    reader = Reader(tokenize(text), text, functions)
    declaration = guarded(lambda: _declaration(reader, target, Place(1, 1)))
    _end_line(reader)
    if reader.token.kind != "end":
        raise reader.unexpected("one declaration")
    return declaration


def guarded(read: Callable[[], _Result]) -> _Result:
    """Return what ``read`` returns; nesting is bounded, but a caller may have left little of the stack."""
    try:
        return read()
    except RecursionError:
        raise DerivkitError("nested too deep for the stack that is left", code="DK003") from None


def _statements(reader: Reader, returns: bool) -> tuple[syntax.Statement, ...]:
    found: list[syntax.Statement] = []
    seen: dict[tuple[type, str], Place] = {}
    while reader.token.kind != "end":
        if found and isinstance(found[-1], syntax.Output):
            raise reader.error(
                found[-1].place, "only the last line may be a bare expression", hint="give the value a name: y = ..."
            )
        statement = _statement(reader, returns)
        _end_line(reader)
        if not isinstance(statement, syntax.Output):
            # A declaration may come with a definition, which it then checks; two of a kind may not.
            key = (syntax.Declaration if isinstance(statement, syntax.Declaration) else syntax.Definition, statement.name)
            if key in seen:
                message = f"'{statement.name}' is {'declared' if key[0] is syntax.Declaration else 'defined'} twice"
                hint = f"the first is on line {seen[key].line}; a new value takes a new name"
                raise reader.error(statement.place, message, code="DK011", hint=hint)
            seen[key] = statement.place
        found.append(statement)
    if not found:
        raise reader.error(reader.token.place, "the program is empty")
    if isinstance(found[-1], syntax.Declaration):
        raise reader.error(found[-1].place, "the last line is a declaration", hint="the last line is the output, as in E = ...")
    return tuple(found)


def _end_line(reader: Reader) -> None:
    if reader.token.kind not in ("newline", "end"):
        hints = {",": "one value a line", "=": "one definition a line", ":": "as in x: D, E"}
        hint = hints.get(reader.token.text)
        if reader.token.kind != "operator" or reader.sees("("):
            hint = reader.product_hint()
        raise reader.unexpected("the end of the line", hint)
    reader.advance()


def _statement(reader: Reader, returns: bool) -> syntax.Statement:
    token, follows = reader.token, reader.follows()
    if token.kind == "name" and follows == ":":
        name, place = reader.target()
        reader.expect(":")
        return _declaration(reader, name, place)
    if token.kind == "name" and follows == "=":
        name, place = reader.target()
        reader.expect("=")
        return syntax.Definition(name, reader.value(), place=place)
    if returns and token.kind == "name" and token.text == "return":
        reader.advance()
        return syntax.Output(reader.value(), place=token.place)
    left = reader.value()
    if reader.sees("="):
        return _index_definition(reader, left, token.place)
    return syntax.Output(left, place=token.place)


def _index_definition(reader: Reader, left: Expression, place: Place) -> syntax.IndexDefinition:
    """Return ``name[indices] = value``; ``left`` was read as an expression."""
    match left:
        case syntax.Subscript(Name(name), items):
            pass
        case syntax.DeltaTerm(a, b):
            name, items = "delta", (a, b)
        case _:
            raise reader.error(place, "only a name, or a name with indices, is defined", hint="as in y = ... or y[i] = ...")
    if name in CONSTANTS:
        raise reader.error(place, f"'{name}' is a constant", code="DK006", hint=OTHER_NAME.format(name))
    for item in items:
        if isinstance(item, syntax.Slice):
            raise reader.error(item.place, "expected a bare index", code="DK019", hint="as in y[i,j] = ...")
    indices = reader.indices(item for item in items if not isinstance(item, syntax.Slice))
    reader.variables.add(name)
    reader.expect("=")
    return syntax.IndexDefinition(name, indices, reader.value(), place=place)


def _declaration(reader: Reader, name: str, place: Place) -> syntax.Declaration:
    """Return the declaration whose kind and sizes are here."""
    kind, token = "real", reader.token
    if token.kind == "name" and token.text in KINDS:
        kind = reader.advance().text
    elif token.kind == "name" and reader.ahead().kind == "name":
        hint = did_you_mean(token.text, KINDS) or f"one of {', '.join(KINDS)}; sizes are separated by commas"
        raise reader.error(token.place, f"unknown kind '{echo(token.text)}'", code="DK014", hint=hint)
    sizes: list[Expression] = []
    if reader.token.kind not in ("newline", "end"):
        sizes.append(_size(reader))
        while reader.sees(","):
            reader.advance()
            sizes.append(_size(reader))
    if len(sizes) < KINDS[kind]:
        raise reader.error(token.place, f"'{kind}' needs a size", code="DK014", hint=f"as in {name}: {kind} K")
    if len(sizes) - (kind == "label") > limits.RANK:
        raise reader.error(place, f"more than {limits.RANK} axes", code="DK017")
    return syntax.Declaration(name, kind, tuple(sizes), place=place)


def _size(reader: Reader) -> Expression:
    """Return the size here: names and integers with ``+ - * //``."""
    node = reader.expression()
    if isinstance(node, syntax.Tuple | syntax.List):
        raise reader.error(node.place, "sizes stand without brackets", hint="as in x: M, D; a scalar has none, as in b:")
    _check_size(reader, node)
    value = reader.facts(node).value
    if value is not None and not 1 <= value <= limits.SIZE:
        raise reader.error(node.place, f"a size is from 1 to {limits.SIZE}", code="DK020")
    return node


def _check_size(reader: Reader, node: Expression) -> None:
    first, steps = syntax.spine(node)
    for step in steps:
        if step.op not in _SIZE_OPERATORS:
            hint = "an integer quotient is written //" if step.op == "/" else "a size has + - * // and parentheses"
            raise reader.error(step.place, f"'{step.op}' is not for sizes", code="DK020", hint=hint)
        _check_size(reader, step.right)
    match first:
        case syntax.Number(value) if value.denominator == 1 and value <= limits.SIZE and first.text.isdigit():
            return
        case syntax.Number():
            raise reader.error(first.place, f"a size is an integer up to {limits.SIZE}", code="DK020")
        case syntax.Unary(_, operand):
            _check_size(reader, operand)
        case Name(name) if name not in CONSTANTS:
            return
        case _:
            raise reader.error(first.place, "a size is made of names and integers", code="DK020", hint="as in 2*R+1")
