r"""What stands below, above and behind a letter: subscripts, labels, transposes, powers, primes, brackets, values at a point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from derivkit import limits
from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.derivatives import at
from derivkit.symbolic.notes.formula import (
    Application,
    Bracketed,
    Derivative,
    Formula,
    Indexed,
    Indicator,
    List,
    Number,
    Power,
    Product,
    Relation,
    Sum,
    Symbol,
    Transposed,
    Words,
)

if TYPE_CHECKING:
    from derivkit.symbolic.notes.marks import Span
    from derivkit.symbolic.notes.pratt import Parser

_UNCALLED = {"e", "infty"}
_CALLED_INDICATORS = {"I", "delta", "1", "chi"}


@dataclass(slots=True)
class Raised:
    """What stands above a letter, sorted."""

    labels: list[Formula] = field(default_factory=list)
    transposed: bool = False
    exponent: Formula | None = None
    elementwise: bool = False
    primes: int = 0


def scripted(p: Parser, start: int, base: Formula) -> Formula:
    """Read all that hangs on ``base``."""
    for _ in range(limits.FORMULA_NESTING):
        before = p.i
        base = _one(p, start, base)
        if p.i == before:
            return base
    raise p.error(f"more than {limits.FORMULA_NESTING} scripts on one letter", code="DK003")


def _one(p: Parser, start: int, base: Formula) -> Formula:
    """Read one round of scripts, then at most one pair of brackets."""
    raised = Raised()
    subscripts: list[tuple[int, int]] = []
    first = p.token.kind
    while p.token.kind in ("_", "^", "'"):
        kind = p.next().kind
        if kind == "'":
            raised.primes += 1
            continue
        a, b = _range(p)
        if kind == "_":
            subscripts.append((a, b))
        else:
            _raise(p, a, b, base, raised)
    if raised.primes > 4:
        raise p.error("more than four primes")
    function = _function(base)
    base = _labelled(p, start, base, raised)
    called = p.token.kind == "open" and p.token.text == "("
    if raised.primes and not called and isinstance(base, Symbol):
        base, raised.primes = replace(base, name=base.name + "_prime" * raised.primes), 0
    if first == "^" and raised.transposed and sum(b - a for a, b in subscripts) > 1:  # W^T_{ij}: an entry of the transpose
        base, raised.transposed = Transposed(base, **p.span(start)), False
    for a, b in subscripts:
        base = below(p, start, base, a, b)
    return _called(p, start, base, raised, function)


def _called(p: Parser, start: int, base: Formula, raised: Raised, function: bool) -> Formula:
    """Read the brackets behind, then put primes, transposes and powers around it all."""
    applied = None
    if not raised.transposed:
        applied = _applied(p, start, base, raised, function)
    node = applied or base
    for _ in range(raised.primes):
        node = Derivative(node, (), "prime", **p.span(start))
    if raised.transposed:
        node = Transposed(node, **p.span(start))
    if raised.exponent is not None and raised.elementwise:
        node = _elementwise(p, start, node, raised.exponent)
    elif raised.exponent is not None:
        node = Power(node, raised.exponent, applied is not None, **p.span(start))
    if p.token.kind == "bar" and p.token.text == "|" and p.i + 1 < p.end and p.tokens[p.i + 1].kind == "_" and not p.bars:
        node = at(p, start, node)
    if p.token.kind == "!":
        p.next()
        node = Application(Symbol("factorial", **p.span(start)), (node,), **p.span(start))
    return node


def _function(base: Formula) -> bool:
    return isinstance(base, Symbol) and base.name in tables.FUNCTIONS and base.label is None


def _applied(p: Parser, start: int, base: Formula, raised: Raised, function: bool) -> Formula | None:
    """Return the call, if brackets (or, behind a function, anything) follow."""
    if not isinstance(base, Symbol) and not (isinstance(base, Indexed) and isinstance(base.base, Symbol)):
        return None
    if raised.exponent is not None and not function and not _integer(raised.exponent):
        return None
    letter = base if isinstance(base, Symbol) else base.base
    token = p.token
    worded = isinstance(letter, Symbol) and (letter.name in tables.BRACKETED or letter.style in ("text", "op", "bb"))
    callable_ = isinstance(letter, Symbol) and letter.name not in _UNCALLED
    if token.kind == "open" and callable_ and (token.text == "(" or (token.text in ("[", "\\{") and (worded or _parted(p)))):
        close = p.match[p.i]
        if p.tokens[close].text == ")|":
            return None
        found = p.inside(p.i + 1, close, p.arguments)
        p.i = close + 1
        if not found:
            return None
        return _indicating(p, start, letter, Application(base, found, **p.span(start)))
    if not function or not (p.starts_factor() or p.is_op("-")):
        return None
    if token.kind == "lbrace":
        return _braced(p, start, base)
    argument = p.implicit()
    return Application(base, (argument,), False, **p.span(start))


def _parted(p: Parser) -> bool:
    """Return whether the brackets here hold two parts with a bar between them: ``D[p || q]``."""
    bars, depth = 0, 0
    for token in p.tokens[p.i + 1 : p.match[p.i]]:
        depth += token.kind in ("open", "lbrace", "begin")
        depth -= token.kind in ("close", "rbrace", "end")
        bars += token.kind == "bar" and not depth
    return bars == 1


def _indicating(p: Parser, start: int, letter: Formula, call: Application) -> Formula:
    r"""Return ``\mathbb{1}(i = j)`` as an indicator."""
    only = call.arguments[0]
    if isinstance(letter, Symbol) and letter.name in _CALLED_INDICATORS and isinstance(only, Relation | Indicator):
        return only if isinstance(only, Indicator) else Indicator(only, **p.span(start))
    return call


def _braced(p: Parser, start: int, base: Formula) -> Formula:
    r"""Read ``\exp{(z)}`` and ``\exp{z}``."""
    opened = p.i
    close = p.match[opened]
    bracket = p.tokens[opened + 1] if opened + 1 < close else None
    if bracket and bracket.kind == "open" and bracket.text in "([" and p.match[opened + 1] == close - 1:
        found = p.inside(opened + 2, close - 1, p.arguments)
        p.i = close + 1
        return Application(base, found, **p.span(start))
    argument = p.inside(opened + 1, close, p.relation)
    p.i = close + 1
    return Application(base, (argument,), False, **p.span(start))


def _integer(exponent: Formula) -> bool:
    inner = getattr(exponent, "operand", exponent)
    return isinstance(inner, Number) and inner.value.denominator == 1


def _elementwise(p: Parser, start: int, base: Formula, exponent: Formula) -> Formula:
    r"""Return ``A^{\odot 2}`` as the product it stands for."""
    if isinstance(exponent, Number) and exponent.value in (2, 3, 4):
        factors = (("", base), *(("odot", base),) * (int(exponent.value) - 1))
        return Product(factors, **p.span(start))  # type: ignore[arg-type]
    raise p.error("an elementwise power that is no small number")


def _range(p: Parser) -> tuple[int, int]:
    """Return the range of a script's argument, and go behind it."""
    if p.is_op("-", "+") and p.i + 1 < p.end and p.tokens[p.i + 1].kind in ("number", "name"):
        p.i += 2
        return p.i - 2, p.i
    if p.token.kind in ("op", "dots", "'"):
        p.i += 1
        return p.i - 1, p.i
    return p.argument()


# Above ------------------------------------------------------------------------------------------------------------------


def _raise(p: Parser, a: int, b: int, base: Formula, raised: Raised) -> None:
    """Sort what stands above, piece by piece: labels in brackets, transposes, primes, and for the rest an exponent."""
    named = isinstance(base, Symbol) and base.name not in _UNCALLED
    while a < b:
        token = p.tokens[a]
        if token.kind == "open" and named and (a > 0 and p.match[a] < b) and _label_ends(p, p.match[a] + 1, b):
            raised.labels.append(p.inside(a + 1, p.match[a], lambda: _label(p)))
            a = p.match[a] + 1
        elif token.kind == "name" and token.text in ("T", "top") and (b - a == 1 or _label_ends(p, a + 1, b)):
            raised.transposed = True
            a += 1
        elif token.kind == "'":
            raised.primes += 1
            a += 1
        elif named and _is_label(p, a, b, base):
            angled = token.kind == "rel"  # a^{<t>}
            raised.labels.append(p.inside(a + angled, b - angled, lambda: _label(p)))
            return
        elif (word := _word(p, a, b)) is not None and named:
            raised.labels.append(word)
            return
        elif token.kind == "op" and token.text in ("odot", "circ") and b - a > 1:
            raised.elementwise = True
            a += 1
        elif token.kind == "op" and token.text == "-" and b - a == 2 and p.tokens[a + 1].text in ("T", "top"):
            raised.transposed = True
            raised.exponent = _minus_one(p, a)
            return
        else:
            if raised.exponent is not None:
                raise p.error("two exponents on one letter", token)
            if token.kind == "open" and b - a == 3 and not isinstance(base, Symbol):
                raise p.error("a raised bracket on something that is no letter", token, code="DK071")
            raised.exponent = p.inside(a, b, p.relation)
            return


def _is_label(p: Parser, a: int, b: int, base: Formula) -> bool:
    r"""Return whether a raised letter or number is no exponent: a layer (``a^{l-1}``), or what the document says."""
    tokens = p.tokens[a:b]
    if tokens[0].kind == "rel":
        return len(tokens) > 2 and (tokens[0].text, tokens[-1].text) == ("<", ">")
    moved = len(tokens) == 3 and tokens[1].kind == "op" and tokens[1].text in "+-" and tokens[2].kind == "number"
    if not moved and len(tokens) != 1:
        return False
    if tokens[0].text in ("l", "L", "ell") and tokens[0].text not in p.summed:
        return True
    marked = isinstance(base, Symbol) and f"{base.name}^" in p.names
    return marked and (tokens[0].text == "t" or (len(tokens) == 1 and tokens[0].text.isdigit()))


def _minus_one(p: Parser, a: int) -> Formula:
    place = p.place(p.tokens[a].start)
    return Number(Fraction(-1), "-1", place=place, end=place)


def _label_ends(p: Parser, a: int, b: int) -> bool:
    """Return whether what follows a label is nothing, or another thing that stands above for itself."""
    if a >= b:
        return True
    token = p.tokens[a]
    return token.kind in ("open", "'") or token.text in ("T", "top", "-") or token.kind == "number"


def _label(p: Parser) -> Formula:
    start = p.i
    found = p.items()
    only = found[0] if len(found) == 1 else None
    return only if only is not None else List(tuple(found), "", **p.span(start))


def _word(p: Parser, a: int, b: int) -> Symbol | None:
    """Return the word that stands there, if it is one: ``new``, a star, a dagger."""
    tokens = p.tokens[a:b]
    place: Span = {"place": p.place(tokens[0].start), "end": p.place(tokens[-1].end - 1)}
    if len(tokens) == 1:
        token = tokens[0]
        signs = {"ast": "star", "star": "star", "dagger": "dagger", "+": "plus", "-": "minus"}
        if token.text in signs and (token.kind == "op" or token.kind == "name"):
            return Symbol(signs[token.text], **place)
        worded = token.kind == "name" and (token.style in ("text", "op") or token.text in tables.LABEL_WORDS)
        if token.kind == "words" or (worded and token.text not in tables.LETTERS.values()):
            return Symbol("_".join(token.text.replace("-", " ").split()), token.style or "text", **place)
    if all(t.kind == "name" and len(t.text) == 1 for t in tokens) and len(tokens) > 1:
        run = "".join(t.text for t in tokens)
        adjacent = all(x.end == y.start for x, y in pairwise(tokens))
        if adjacent and run in tables.LABEL_WORDS:
            return Symbol(run, "text", **place)
    if len(tokens) == 1 and tokens[0].kind == "command" and tokens[0].text in ("max", "min"):
        return Symbol(tokens[0].text, "text", **place)
    return None


def _labelled(p: Parser, start: int, base: Formula, raised: Raised) -> Formula:
    """Return the symbol with what stands above it in brackets."""
    if not raised.labels:
        return base
    if not isinstance(base, Symbol) or base.label is not None:
        raise p.error("a raised bracket on something that is no letter", p.tokens[start])
    label = raised.labels[0] if len(raised.labels) == 1 else List(tuple(raised.labels), "", **p.span(start))
    return Symbol(base.name, base.style, label, **p.span(start))


# Below ------------------------------------------------------------------------------------------------------------------


def below(p: Parser, start: int, base: Formula, a: int, b: int) -> Formula:
    """Return ``base`` with the subscripts between two tokens."""
    if a == b:
        return base
    if p.tokens[a].kind == "open" and p.match[a] == b - 1 and p.comparing(a + 1, b - 1):
        a, b = a + 1, b - 1  # 1_{\{i = j\}}
    if p.tokens[a].kind == "rel":  # x_{<t}: what came before
        said = Words("".join(t.text for t in p.tokens[a:b]), **p.span(start))
        return Indexed(base, (said,), **p.span(start))
    if p.comparing(a, b):
        if isinstance(base, Number) or (isinstance(base, Symbol) and base.name in _CALLED_INDICATORS):
            return Indicator(p.inside(a, b, p.relation), **p.span(start))
        return Indexed(base, (p.inside(a, b, p.relation),), **p.span(start))
    if isinstance(base, Bracketed) and base.kind in ("abs", "norm"):
        return Bracketed("norm", base.items, p.inside(a, b, p.relation), **p.span(start))
    found: list[Formula] = []
    parts = _parts(p, a, b)
    single = sum(p.tokens[c].kind != "number" or d - c > 1 for c, d in parts) == 1  # W_{2,kj} is an entry of W_2
    for c, d in parts:
        word = _subscript_word(p, c, d, single=single)
        if word is None:
            found += _subscripts(p, c, d, single=single)
        elif not found and isinstance(base, Symbol):
            base = Symbol(f"{base.name}_{word.name}", base.style, base.label, **p.span(start))
        else:
            found.append(word)
    if not found:
        return base
    if isinstance(base, Indexed):
        return Indexed(base.base, base.subscripts + tuple(found), **p.span(start))
    return Indexed(base, tuple(found), **p.span(start))


def _parts(p: Parser, a: int, b: int) -> list[tuple[int, int]]:
    r"""Return the ranges between commas; one bar (``\mu_{z | x}``) parts as a comma does."""
    found, begin, depth = [], a, 0
    barred = sum(t.kind == "bar" for t in p.tokens[a:b]) == 1
    for i in range(a, b):
        kind = p.tokens[i].kind
        depth += kind in ("open", "lbrace", "begin")
        depth -= kind in ("close", "rbrace", "end")
        if (kind in (",", ";") or (kind == "bar" and barred)) and not depth:
            found.append((begin, i))
            begin = i + 1
    found.append((begin, b))
    return [(c, d) for c, d in found if c < d]


def _subscript_word(p: Parser, a: int, b: int, *, single: bool) -> Symbol | None:
    """Return the word below a letter; between commas, letters side by side are one word unless they are neighbours (``ij``)."""
    tokens = p.tokens[a:b]
    word = _word(p, a, b)
    if word is not None:
        return word
    if not all(t.kind == "name" and len(t.text) == 1 and not t.style for t in tokens) or len(tokens) < 2:
        return None
    run = "".join(t.text for t in tokens)
    if len({t.end for t in tokens[:-1]} & {t.start for t in tokens[1:]}) < len(tokens) - 1:
        return None
    span: Span = {"place": p.place(tokens[0].start), "end": p.place(tokens[-1].end - 1)}
    if run.isupper():
        return Symbol(run, "text", **span)
    return None if single else _between_commas(run, span)


def _between_commas(run: str, span: Span) -> Symbol | None:
    return None if run in "ijklmn" else Symbol(run, **span)


def _subscripts(p: Parser, a: int, b: int, *, single: bool) -> list[Formula]:
    """Read subscripts side by side, or one that is an expression."""
    word = None if single else _subscript_word(p, a, b, single=False)
    if word is not None:
        return [word]
    tokens = p.tokens[a:b]
    if any(t.kind == "op" for t in tokens):
        found = p.inside(a, b, p.relation)
        if isinstance(found, Sum) and any(_letters(term) > 1 for _, term in found.terms):
            raise p.error("subscripts side by side with a sum: it is not clear where one ends", tokens[0], code="DK071")
        return [found]
    if tokens[0].kind == "number" and len(tokens) > 1 and tokens[0].text not in ("0", "1"):
        return [p.inside(a, b, p.relation)]
    return p.inside(a, b, lambda: _side_by_side(p))


def _letters(term: Formula) -> int:
    return sum(isinstance(f, Symbol) for _, f in term.factors) if isinstance(term, Product) else 0


def _side_by_side(p: Parser) -> list[Formula]:
    found = []
    while p.i < p.end:
        found.append(p.factor())
    return found
