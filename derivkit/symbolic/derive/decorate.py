"""``@program``: the body of a Python function read as program text.

The body is never run by Python: it is text for our own reader, and a call evaluates the graph that the reader made.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.parse import read_program

_QUOTES = ('"""', "'''", '"', "'")


@dataclass(frozen=True, repr=False)
class ProgramFunction:
    """A program that was written as a Python function: ``derive`` and ``compile`` take it, and it can be called.

    ``parameters`` are the names of its arguments in order, ``graph`` is what the reader made of its body.
    """

    name: str
    parameters: tuple[str, ...]
    graph: Graph
    __doc__: str | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the value of the program at arrays, given by position or by name."""
        if len(args) > len(self.parameters):
            raise DerivkitError(f"{self.name} takes {len(self.parameters)} arrays, not {len(args)}", code="DK010")
        values = dict(zip(self.parameters, args, strict=False))
        if twice := [n for n in named if n in values]:
            raise DerivkitError(f"{self.name} got '{echo(twice[0])}' twice", code="DK010")
        return evaluate_graph(self.graph, {**values, **named})[self.graph.output][()]

    def __repr__(self) -> str:
        """Return the signature."""
        return f"<derivkit program {self.name}({', '.join(self.parameters)})>"


def program(function: Callable[..., Any], /) -> ProgramFunction:
    """Return a Python function as a program: its annotations are declarations, its body is program text.

    An annotation is what stands behind the colon of a declaration (``"M, D"``, ``"onehot K"``); a parameter without one is
    undeclared.  Names of NumPy (``np.exp``) are read as those of the language.  Raises :class:`DerivkitError` with the line
    of the body, DK007 when the source cannot be found.

    >>> import derivkit, doctest
    >>> derivkit.program.__name__
    'program'
    """
    if getattr(function, "__name__", "") == "<lambda>":
        hint = "write a def, with the shapes as annotations: def f(x: 'N, D', w: 'D'): return x @ w"
        raise DerivkitError("a lambda is no program: it has no lines and no annotations", code="DK007", hint=hint)
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise DerivkitError("the source of the function cannot be found", code="DK007", hint="give the program as text") from None
    body = _without_docstring(textwrap.dedent(_body(source)))
    parameters = tuple(inspect.signature(function).parameters)
    shapes = {n: _declaration(a) for n, a in function.__annotations__.items() if n in parameters}
    graph = read_program(body, shapes, modules=("np", "numpy"), returns=True)
    return ProgramFunction(function.__name__, parameters, graph, function.__doc__)


def _declaration(annotation: object) -> str:
    if not isinstance(annotation, str):
        raise DerivkitError(
            f"an annotation is a declaration in quotes, not {echo(annotation)}", code="DK007", hint='write x: "N, D"'
        )
    text = annotation.strip()
    return text[1:-1] if text[:1] in {'"', "'"} and text[:1] == text[-1:] else text


def _body(source: str) -> str:
    """Return what stands behind the colon that ends the ``def`` line, which may be several lines long."""
    start = source.find("def ")
    if start < 0:
        raise DerivkitError("a program is a function that a def defines", code="DK007", hint="or give the program as text")
    depth, n = 0, start
    while n < len(source):
        character = source[n]
        if character in "\"'":
            n = source.index(character, n + 1)
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == ":" and depth == 0:
            return source[n + 1 :].lstrip(" ").removeprefix("\n")
        n += 1
    raise DerivkitError("the function has no body", code="DK007")


def _without_docstring(body: str) -> str:
    text = body.lstrip()
    for quote in _QUOTES:
        if text.startswith(quote):
            return text[text.index(quote, len(quote)) + len(quote) :].lstrip("\n")
    return body
