r"""Functions that derivkit's own language knows, by the same names: ``\operatorname{cross\_entropy}(t, y)``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Expr, Name, Ref, freshen, user, walk
from derivkit.symbolic.expr import replace as replaced
from derivkit.symbolic.graph import Graph, Input
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.meaning import Reads
from derivkit.symbolic.notes.terms import Term, unclear
from derivkit.symbolic.ops import ELEMENTWISE, FUNCTIONS
from derivkit.symbolic.parse.reader import read_expression

#: What is written otherwise in documents.
_SPELT = {"tr": "trace", "Tr": "trace", "LSE": "logsumexp", "KL": "kl_div"}
_WORDS = {**{name.replace("_", ""): name for name in sorted(FUNCTIONS)}, **_SPELT}
_OPTIONS = frozenset("axis keepdims stride padding dilation approximate".split())
_OF_TWO = {"max": "maximum", "min": "minimum"}


def known(word: str, arguments: int = 1) -> str | None:
    """Return the function of the language that a word is the name of; ``cross_entropy`` and ``crossentropy`` are one.

    >>> known("cross-entropy"), known("max", 2), known("f")
    ('cross_entropy', 'maximum', None)
    """
    name = _WORDS.get(re.sub(r"[\W_]", "", word))
    return _OF_TWO.get(name, name) if name is not None and arguments > 1 else name


def spoken(reading: Reads, function: str, arguments: Sequence[f.Formula]) -> Term:
    """Return a call as the language lowers it."""
    words: list[str] = []
    terms: list[Term] = []
    labels: dict[Name, Input] = {}
    for argument in arguments:
        word = _option(reading, argument) or _literal(reading, argument)
        if word is None:
            term = reading.compared(argument) if isinstance(argument, f.Relation) else reading.term(argument)
            _refuse_entry(function, term)
            label = term.expr.name if isinstance(term.expr, Ref) and term.expr.name in reading.meaning.ranges else None
            word = f"x_{len(terms)}" if label is None else str(label)
            if label is None:
                terms.append(term)
            else:
                labels[label] = Input(label, "label", tuple(a.size for a in term.axes), reading.meaning.ranges[label])
        words.append(word)
    return lowered(function, words, terms, sorted(reading.context.axes.words), labels)


def lowered(
    function: str, words: Sequence[str], terms: Sequence[Term], sizes: Sequence[str], labels: Mapping[Name, Input]
) -> Term:
    """Return a function of some terms, which ``words`` call ``x_0``, ``x_1`` ..., as the language lowers it."""
    inputs: dict[Name, Input] = dict(labels)
    given: dict[Name, Term] = {}
    for n, term in enumerate(terms):
        name = user(f"x_{n}")
        inputs[name] = Input(name, "real", tuple(a.size for a in term.axes))
        given[name] = term
    extra = {user("x_sizes"): Input(user("x_sizes"), "real", tuple(map(Size.of, sizes)))}
    graph = Graph(inputs, (), user("x_0"), extra=extra)
    try:
        expr, axes = read_expression(f"{function}({', '.join(words)})", graph)
    except DerivkitError as error:
        raise unclear(f"{function}: {error.message}") from None

    def filled(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or node.name not in given:
            return None
        term = given[node.name]
        return freshen(term.expr, dict(zip(term.axes, node.subs, strict=True)))

    made = replaced(expr, filled)
    if any(
        isinstance(a, Expr) and not set(given).isdisjoint(a.reads) for n in walk(made) for s in n.subscripts for a, _ in s.terms
    ):
        raise unclear(f"{function} of a label that is no name")
    return Term(made, tuple(Index("i", Size.of(1)) if a is None else a for a in axes))


def bound(reading: Reads, function: str, letters: Sequence[f.Formula], argument: f.Formula) -> Term:
    """Return a function of the array whose entry at some letters is the argument."""
    inner = reading.nested()
    axes = []
    for letter in letters:
        if not isinstance(letter, f.Symbol):
            raise unclear("a function that says below over what it runs, but by no letter")
        found = (reading.axis_of(n, letter.name) for n in f.walk(argument) if isinstance(n, f.Indexed | f.Application))
        size = next((s for s in found if s is not None), None)
        if size is None:
            raise unclear("a function of an array, and no index that runs over it")
        inner.scope[letter.name] = inner.binders[letter.name] = index = Index(letter.name, size)
        axes.append(index)
    made = inner.term(argument)
    if made.axes:
        raise unclear("a function of an array of arrays")
    return lowered(function, ["x_0"], [Term(made.expr, tuple(axes))], (), {})


def _refuse_entry(function: str, term: Term) -> None:
    """Refuse a function of arrays at an entry: of Σ over what, mean(x_i) does not say."""
    if function not in ELEMENTWISE and not term.axes and term.expr.free:
        raise unclear(f"{function} of an entry")


def _option(reading: Reads, argument: f.Formula) -> str | None:
    """Return ``axis = 1`` as the language writes it."""
    if not isinstance(argument, f.Relation) or argument.op != "=" or not isinstance(argument.left, f.Symbol):
        return None
    name, value = argument.left.name, argument.right
    if name not in _OPTIONS:
        return None
    word = (
        f'"{value.name}"' if isinstance(value, f.Symbol) and value.name in ("same", "valid", "tanh") else _literal(reading, value)
    )
    return None if word is None else f"{name}={word}"


def _literal(reading: Reads, argument: f.Formula) -> str | None:
    """Return a number, a size, or a list of them as the language writes it; ``None`` for anything else."""
    match argument:
        case f.Number() if argument.value.denominator == 1:
            return str(argument.value)
        case f.Sign(op="-", operand=f.Number()) if argument.operand.value.denominator == 1:  # type: ignore[union-attr]
            return f"-{argument.operand.value}"  # type: ignore[union-attr]
        case f.Symbol(label=None, name=word) if word in reading.context.axes.words and not reading.context.knows(
            word, reading.order
        ):
            return word
        case f.List(items=items):
            words = [None if i is None else _literal(reading, i) for i in items]
            return None if None in words else f"({', '.join(map(str, words))})"
        case _:
            return None
