"""A formula of somebody's document as MathML: set as it was read, with the brackets that its tree needs and no others.

What is deeper than a page can show is refused, so that the recursion is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.notes import formula as notes
from derivkit.symbolic.notes.formula import Chain, Formula
from derivkit.symbolic.render.mathml import NAMESPACE, branch, fenced, single
from derivkit.symbolic.render.mathml import leaf as bare
from derivkit.symbolic.render.signs import (
    APPLY,
    COMMA,
    LETTERS,
    SPACE,
    TIMES,
    Row,
    below,
    brackets,
    joined,
    leaf,
    named,
    operator,
    scripts,
    times,
    words,
)

DEEPEST = 50
#: How tightly a formula holds together; where something tighter is needed it gets brackets.
_RELATION, _SUM, _PRODUCT, _ATOM = range(4)
_LEVELS: dict[type, int] = {
    notes.Relation: _RELATION,
    Chain: _RELATION,
    notes.Sum: _SUM,
    notes.Sign: _SUM,
    notes.Product: _PRODUCT,
    notes.Big: _PRODUCT,
    notes.Differential: _PRODUCT,
}

_PRODUCTS = {
    "": TIMES,
    "cdot": "·",
    "times": "×",
    "otimes": "⊗",
    "odot": "⊙",
    "circ": "∘",
    "ast": "∗",
    "circledast": "⊛",
}
_RELATIONS = {
    **{sign: sign for sign in "=<>"},
    **{":=": "≔", "==": "≡", "<-": "←", "!=": "≠", "<=": "≤", ">=": "≥", "in": "∈", "sub": "⊂", "approx": "≈"},
    **{"propto": "∝", "sim": "∼", "->": "→", "=>": "⇒", "&": ","},
}
_BIG = {"sum": "∑", "prod": "∏", "expectation": "𝔼"}
_CURLS = {"partial": "∂", "d": "d", "delta": "δ"}
_FENCES = {"abs": "||", "norm": "‖‖", "inner": "⟨⟩", "floor": "⌊⌋", "ceil": "⌈⌉"}


def mathml(formula: Formula | Chain, display: bool = False) -> ET.Element:
    """Return a formula, or a chain of relations, as a ``math`` element.

    Raises DerivkitError (DK003) for a tree deeper than 50: no page could show it.

    >>> from derivkit.symbolic.notes.formula import Quotient, Symbol
    >>> from derivkit.symbolic.parse.syntax import Place
    >>> at = {"place": Place(1, 1), "end": Place(1, 1)}
    >>> ET.tostring(mathml(Quotient(Symbol("a", **at), Symbol("beta", **at), **at)), encoding="unicode")
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mfrac><mi>a</mi><mi>β</mi></mfrac></math>'
    """
    if _deeper(formula, DEEPEST):
        raise DerivkitError(f"the formula is deeper than {DEEPEST}", code="DK003")
    element = ET.Element("math", {"xmlns": NAMESPACE, **({"displaystyle": "true"} if display else {})})
    element.extend(_row(formula))
    return element


def _row(formula: Formula | Chain) -> Row:
    return _WRITERS[type(formula)](formula)


def _deeper(formula: object, most: int) -> bool:
    """Say whether a tree is deeper than ``most``; no recursion, which it is there to bound."""
    layer = [formula]
    for _ in range(most):
        layer = [inner for node in layer for inner in _held(node)]
    return bool(layer)


def _held(node: object) -> Iterator[object]:
    waiting = [getattr(node, name) for name in type(node).__slots__]  # type: ignore[attr-defined]
    while waiting:
        value = waiting.pop()
        if type(value) is tuple:
            waiting += value
        elif type(value) in _WRITERS:
            yield value


def _within(formula: Formula, level: int = _ATOM) -> Row:
    """Return a formula where something as tight as ``level`` is needed."""
    row = _row(formula)
    return row if _level(formula) >= level else [brackets(row)]


def _level(formula: Formula) -> int:
    """Return how tightly a formula holds together: an operator in front of what it acts on (ln y, ∇f, Σ a) as a product does."""
    match formula:
        case notes.Application(brackets=False):
            return _PRODUCT
        case notes.Derivative(spelled=spelled):
            return _ATOM if spelled == "prime" or _over_a_bar(formula) else _PRODUCT
    return _LEVELS.get(type(formula), _ATOM)


def _listed(items: Iterable[Formula | None]) -> Row:
    return joined([operator("…")] if item is None else _row(item) for item in items)


# -- letters -------------------------------------------------------------------------------------------------------------


def _symbol(symbol: notes.Symbol) -> Row:
    label = None if symbol.label is None else _row(symbol.label)
    if label and not (isinstance(symbol.label, notes.Symbol) and len(symbol.label.name) > 1):  # a star, a word
        label = [brackets(label)]
    return named(symbol.name, symbol.style, label)


def _indexed(indexed: notes.Indexed) -> Row:
    under = joined(map(_row, indexed.subscripts), COMMA if all(map(_short, indexed.subscripts)) else ",")
    return below(_row(indexed.base), under) if isinstance(indexed.base, notes.Symbol) else scripts(_base(indexed.base), under)


def _short(formula: Formula) -> bool:
    match formula:
        case notes.Number():
            return len(formula.text) == 1
        case notes.Symbol():
            return len(LETTERS.get(formula.name, formula.name)) == 1
    return False


def _base(formula: Formula) -> Row:
    """Return what a script is put on."""
    loose = isinstance(formula, notes.Quotient | notes.Derivative | notes.Power | notes.Transposed | notes.At)
    return [brackets(_row(formula))] if loose or _level(formula) < _ATOM else _row(formula)


# -- calls, sums, products -----------------------------------------------------------------------------------------------


def _application(call: notes.Application) -> Row:
    match call:
        case notes.Application(function=notes.Symbol(name="sqrt"), arguments=(held,)):
            return [branch("msqrt", *_row(held))]
    return [*_within(call.function), operator(APPLY), *_arguments(call)]


def _arguments(call: notes.Application) -> Row:
    if call.brackets:
        return [brackets(_listed(call.arguments))]
    return [leaf("mtext", "\u2009"), *joined(_within(a, _PRODUCT) for a in call.arguments)]


def _sign(sign: notes.Sign) -> Row:
    return [operator(_minus(sign.op), form="prefix"), *_within(sign.operand, _PRODUCT)]


def _minus(op: str) -> str:
    return "−" if op == "-" else op


def _sum(formula: notes.Sum) -> Row:
    row: Row = []
    for number, (op, term) in enumerate(formula.terms):
        if number or op == "-":
            row.append(operator(_minus(op), **({} if number else {"form": "prefix"})))
        row += _within(term, _PRODUCT if number or op == "-" else _SUM)
    return row


def _product(product: notes.Product) -> Row:
    row: Row = []
    last = len(product.factors) - 1
    for number, (sign, factor) in enumerate(product.factors):
        if number:
            row.append(times(_PRODUCTS[sign]))
        seen = number == last and not isinstance(factor, notes.Product)  # nothing follows that would seem to belong to it
        row += _within(factor, _PRODUCT if seen else _ATOM)
    return row


def _quotient(quotient: notes.Quotient) -> Row:
    return [branch("mfrac", single(_row(quotient.over)), single(_row(quotient.under)))]


def _power(power: notes.Power) -> Row:
    base, above = power.base, _row(power.exponent)
    if isinstance(base, notes.Application) and power.on_name:
        return [*scripts(_base(base.function), None, above), operator(APPLY), *_arguments(base)]
    return scripts(_base(base), None, above)


def _struck(struck: notes.Struck) -> Row:
    return scripts([branch("mrow", *_row(struck.base), **{"class": "struck"})], None, _row(struck.value))


def _transposed(turned: notes.Transposed) -> Row:
    return scripts(_base(turned.base), None, [operator("⊤")])


def _big(big: notes.Big) -> Row:
    sign = operator(_BIG.get(big.op, big.op), **({} if big.op in _BIG else {"form": "prefix", "movablelimits": "false"}))
    under, over = _range(big), [] if big.upper is None else _row(big.upper)
    kind = "munderover" if under and over else "munder" if under else "mover"
    head = branch(kind, sign, *(single(script) for script in (under, over) if script)) if under or over else sign
    return [head, *([brackets(_row(big.body), "[]")] if big.op == "expectation" else _within(big.body, _PRODUCT))]


def _range(big: notes.Big) -> Row:
    """Return what stands below: each letter once, where it starts or what holds of it."""
    told = {node.name for c in big.conditions for node in notes.walk(c) if isinstance(node, notes.Symbol)}
    letters = [letter for letter in big.letters if big.lower is not None or letter.name not in told]
    start = [] if big.lower is None else [operator("="), *_row(big.lower)]
    return joined([row for row in ([*joined(map(_row, letters)), *start], *map(_row, big.conditions)) if row])


# -- derivatives ---------------------------------------------------------------------------------------------------------


def _over_a_bar(derivative: notes.Derivative) -> bool:
    """Say whether what is differentiated stands in the numerator."""
    tall = isinstance(derivative.of, notes.Quotient | notes.Derivative | notes.Matrix | notes.Cases)
    return derivative.spelled in _CURLS and not tall and _level(derivative.of) == _ATOM


def _derivative(derivative: notes.Derivative) -> Row:
    match derivative.spelled:
        case "nabla" | "hessian":
            return _gradient(derivative)
        case "prime":
            return _primed(derivative.of)
    curl = leaf("mi", _CURLS[derivative.spelled], mathvariant="normal")
    order = len(derivative.by)
    top = scripts([curl], None, [leaf("mn", str(order))]) if order > 1 else [curl]
    above = _over_a_bar(derivative)
    bottom: Row = []
    for by, power in ((one, len(list(same))) for one, same in groupby(derivative.by)):
        bottom += [curl, *(_row(by) if power == 1 else scripts(_base(by), None, [leaf("mn", str(power))]))]
    fraction = branch("mfrac", single([*top, *_row(derivative.of)] if above else top), single(bottom))
    return [fraction] if above else [fraction, times(TIMES), *_within(derivative.of, _PRODUCT)]


def _gradient(derivative: notes.Derivative) -> Row:
    nabla: Row = [leaf("mi", "∇")]
    if derivative.by:
        nabla = scripts(nabla, _listed(dict.fromkeys(derivative.by)))
    if derivative.spelled == "hessian":
        nabla = scripts(nabla, None, [leaf("mn", "2")])
    return [*nabla, *_within(derivative.of)]


def _primed(of: Formula) -> Row:
    prime: Row = [operator("′")]
    if isinstance(of, notes.Application):
        return [*scripts(_base(of.function), None, prime), operator(APPLY), *_arguments(of)]
    return scripts(_base(of), None, prime)


def _differential(differential: notes.Differential) -> Row:
    return [leaf("mi", "d", mathvariant="normal"), *_within(differential.of)]


# -- tables, lists, relations --------------------------------------------------------------------------------------------


def _table(rows: Iterable[Iterable[Row]], **attributes: str) -> ET.Element:
    table = ET.Element("mtable", attributes)
    for row in rows:
        line = ET.SubElement(table, "mtr")
        for cell in row:
            ET.SubElement(line, "mtd").extend(cell or [leaf("mtext", SPACE)])
    return table


def _matrix(matrix: notes.Matrix) -> Row:
    return [brackets([_table([[operator("⋯")] if e is None else _row(e) for e in row] for row in matrix.rows)])]


def _cases(cases: notes.Cases) -> Row:
    lines = ([_row(value), [words("otherwise")] if when is None else _condition(when)] for value, when in cases.rows)
    return [fenced("{", [_table(lines, **{"class": "cases"})], "", "cases")]


def _condition(condition: Formula) -> Row:
    return _row(condition) if isinstance(condition, notes.Words) else [words("if"), *_row(condition)]


def _list(formula: notes.List) -> Row:
    return [brackets(_listed(formula.items), formula.brackets if len(formula.brackets) == 2 else "()")]


def _bracketed(formula: notes.Bracketed) -> Row:
    bars: Row = [brackets(_listed(formula.items), _FENCES[formula.kind])]
    return bars if formula.order is None else scripts(bars, _row(formula.order), None)


def _at(formula: notes.At) -> Row:
    bar = branch("msub", operator("|", stretchy="true", form="postfix"), single(joined(map(_row, formula.point))))
    return [*_within(formula.base, _PRODUCT), bar]


def _indicator(indicator: notes.Indicator) -> Row:
    return [leaf("mn", "𝟙"), brackets(_row(indicator.condition), "[]")]


def _relation(relation: notes.Relation) -> Row:
    return [*_row(relation.left), operator(_RELATIONS.get(relation.op, echo(relation.op))), *_row(relation.right)]


def _chain(chain: Chain) -> Row:
    row = [] if chain.first is None else _row(chain.first)
    for op, _, term in chain.links:
        row += [operator(_RELATIONS.get(op, echo(op))), *_row(term)]
    for where in chain.where:
        row += [bare("mtext", 2 * SPACE), *_row(where)]
    return row


_WRITERS: dict[type, Callable[[Any], Row]] = {
    notes.Number: lambda number: [leaf("mn", number.text)],
    notes.Symbol: _symbol,
    notes.Indexed: _indexed,
    notes.Application: _application,
    notes.Sign: _sign,
    notes.Sum: _sum,
    notes.Product: _product,
    notes.Quotient: _quotient,
    notes.Power: _power,
    notes.Transposed: _transposed,
    notes.Struck: _struck,
    notes.Big: _big,
    notes.Derivative: _derivative,
    notes.Differential: _differential,
    notes.Matrix: _matrix,
    notes.Cases: _cases,
    notes.List: _list,
    notes.Bracketed: _bracketed,
    notes.At: _at,
    notes.Indicator: _indicator,
    notes.Relation: _relation,
    notes.Words: lambda prose: [words(prose.text)],
    Chain: _chain,
}
