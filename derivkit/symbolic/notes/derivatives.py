r"""Derivatives as they are written: fractions of \partial, d or \delta, \partial_x, \nabla, dx, and values at a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivkit.symbolic.notes.formula import (
    Application,
    At,
    Derivative,
    Differential,
    Formula,
    Indexed,
    Number,
    Power,
    Product,
    Relation,
    Symbol,
    Transposed,
    walk,
)

if TYPE_CHECKING:
    from derivkit.symbolic.notes.pratt import Parser

_MOST_ORDER = 8
#: Letters whose differential is that of the whole call: ``df(x)``.
_FUNCTION_LETTERS = {"f", "g", "h", "F", "L", "E", "J", "C", "sigma", "phi"}


def _mark(p: Parser, i: int, end: int) -> str | None:
    r"""Return which sign of differentiation stands at token ``i``: partial, d or delta."""
    if i >= end:
        return None
    token = p.tokens[i]
    if token.kind == "command" and token.text == "partial":
        return "partial"
    if token.kind == "name" and token.text == "d" and token.style in ("", "text"):
        return "d"
    scripted = i + 1 < end and p.tokens[i + 1].kind == "_"
    if token.kind == "name" and token.text == "delta" and not scripted:
        return "delta"
    return None


def fraction(p: Parser, start: int, over: tuple[int, int], under: tuple[int, int]) -> Formula | None:
    """Read a derivative written as a fraction; ``None`` if it is none."""
    mark = _mark(p, *over)
    if mark is None or _mark(p, *under) != mark or under[1] - under[0] < 2:
        return None
    if mark == "d" and p.tokens[under[0] + 1].kind not in ("name", "command", "lbrace", "open"):
        return None
    after = p.i
    a, order = _order(p, over[0] + 1, over[1])
    by = p.inside(*under, lambda: _by(p, mark, order))
    p.i = after
    if a < over[1]:
        of = p.inside(a, over[1], p.relation)
        p.i = after
    else:
        of = operand(p)
    return Derivative(of, by, mark, **p.span(start))  # type: ignore[arg-type]


def _order(p: Parser, a: int, end: int) -> tuple[int, int | None]:
    r"""Return the order in ``\partial^2``, and where what is differentiated begins."""
    if a < end and p.tokens[a].kind == "^":
        b = a + 1
        braced = p.tokens[b].kind == "lbrace"
        token = p.tokens[b + braced]
        if token.kind == "number" and token.text.isdigit() and 1 <= int(token.text) <= _MOST_ORDER:
            return (p.match[b] if braced else b) + 1, int(token.text)
        raise p.error("a derivative of an order that is no small number", token)
    return a, None


def _by(p: Parser, mark: str, order: int | None) -> tuple[Formula, ...]:
    """Read what is differentiated by: a part for each time."""
    found: list[Formula] = []
    while p.i < p.end:
        if _mark(p, p.i, p.end) != mark:
            raise p.error("a derivative by more than names")
        p.next()
        found.append(_variable(p))
    return _times(p, found, order)


def _times(p: Parser, found: list[Formula], order: int | None) -> tuple[Formula, ...]:
    r"""Return a part for each time: ``\partial x^2`` are two."""
    if order is None or len(found) == order:
        return tuple(found)
    times: list[Formula] = []
    for variable in found:
        if isinstance(variable, Power) and isinstance(variable.exponent, Number) and 1 <= variable.exponent.value <= order:
            times += [variable.base] * int(variable.exponent.value)
        else:
            times.append(variable)
    if len(times) != order:
        raise p.error("the orders above and below are not the same", p.tokens[p.end - 1])
    return tuple(times)


def _variable(p: Parser) -> Formula:
    """Read one variable: a factor; letters side by side (``dyx``) are one name here."""
    first, last = p.i, p.i
    while last < p.end and p.tokens[last].kind == "name" and len(p.tokens[last].text) == 1 and not p.tokens[last].style:
        if last > first and p.tokens[last].start != p.tokens[last - 1].end:
            break
        last += 1
    if last - first > 1:
        run = "".join(t.text for t in p.tokens[first:last])
        whole = p.tokens[first]._replace(text=run, end=p.tokens[last - 1].end)
        # The letters become one token and holes, so that no place of another bracket moves.
        p.tokens[last - 1] = whole
        p.i = last - 1
    return p.factor()


def called(p: Parser, start: int, found: Formula) -> Formula:
    r"""Read ``\frac{df}{dx}(0)``: a derivative's value, where one letter or number stands in brackets behind a bare name."""
    bare = isinstance(found, Derivative) and isinstance(found.of, Symbol)
    if not bare or p.token.kind != "open" or p.token.text != "(" or p.tokens[p.match[p.i]].text != ")":
        return found
    opened = p.i
    values = p.inside(opened + 1, p.match[opened], p.items)
    if not values or not all(isinstance(v, Symbol | Number | Indexed) for v in values):
        p.i = opened
        return found
    p.i = p.match[opened] + 1
    return Application(found, tuple(v for v in values if v is not None), **p.span(start))


def operand(p: Parser) -> Formula:
    r"""Read what stands behind ``\frac{\partial}{\partial x}``: brackets side by side, else the rest of the product."""
    start = p.i
    if p.token.kind == "over" or p.token.kind in ("rel", "close"):
        raise p.unfinished("a derivative of nothing")
    if p.token.kind != "open":
        return p.product()
    factors = [p.factor()]
    while p.token.kind == "open":
        factors.append(p.factor())
    return factors[0] if len(factors) == 1 else Product(tuple(("", f) for f in factors), **p.span(start))


def differential(p: Parser) -> Formula:
    """Read ``dx``; ``dy/dx`` is a derivative, which the product sees."""
    start = p.i
    p.next()
    of = p.factor() if p.token.text in _FUNCTION_LETTERS else _uncalled(p)
    return Differential(of, **p.span(start))


def _uncalled(p: Parser) -> Formula:
    """Read a letter with its scripts, and not what stands in brackets behind it."""
    kept = p.end
    if p.token.kind == "name":
        p.end = _scripts_end(p, p.i + 1)
    found = p.factor()
    p.end = kept
    return found


def _scripts_end(p: Parser, i: int) -> int:
    """Return where the scripts of the letter before token ``i`` are over."""
    while i < p.end and p.tokens[i].kind in ("_", "^", "'"):
        i += 1
        if p.tokens[i - 1].kind != "'" and i < p.end:
            i = p.match[i] + 1 if p.tokens[i].kind in ("lbrace", "open") else i + 1
    return i


def partial(p: Parser) -> Formula:
    r"""Read ``\partial_x f``, ``\partial f / \partial x``, and ``\partial f`` by itself: a differential."""
    start = p.i
    p.next()
    if p.token.kind == "_":
        p.next()
        by = _names(p, *p.argument())
        return Derivative(_nearest(p, by), by, "partial", **p.span(start))
    order_end, order = _order(p, p.i, p.end)
    p.i = order_end
    operator = _slashed(p)
    of = None if operator else p.factor()
    if operator or _slashed(p):
        found: list[Formula] = []
        while p.token.kind == "command" and p.token.text == "partial":
            p.next()
            found.append(_variable(p) if of is not None else _uncalled(p))
        return Derivative(of if of is not None else operand(p), _times(p, found, order), "partial", **p.span(start))
    if of is None or order is not None:
        raise p.error("a derivative of an order by nothing")
    return Differential(of, **p.span(start))


def _slashed(p: Parser) -> bool:
    r"""Go behind the stroke in ``\partial f / \partial x``, if that is what stands here."""
    if p.is_op("/") and p.i + 1 < p.end and p.tokens[p.i + 1].text == "partial":
        p.next()
        return True
    return False


def nabla(p: Parser) -> Formula:
    r"""Read ``\nabla_x f`` and ``\nabla^2 f``."""
    start = p.i
    p.next()
    spelled: str = "nabla"
    by: tuple[Formula, ...] = ()
    while p.token.kind in ("_", "^"):
        kind = p.next().kind
        a, b = p.argument()
        if kind == "_":
            by = _names(p, a, b)
        elif b - a == 1 and p.tokens[a].text == "2":
            spelled = "hessian"
        else:
            raise p.error("a gradient of an order that is not 2", p.tokens[a])
    if p.is_op("cdot", "times"):
        raise p.error("a divergence or curl is not read")
    if p.token.kind in ("over", "rel", "close"):
        raise p.unfinished("a gradient of nothing")
    return Derivative(_nearest(p, by), by, spelled, **p.span(start))  # type: ignore[arg-type]


def _names(p: Parser, a: int, b: int) -> tuple[Formula, ...]:
    after = p.i
    found = p.inside(a, b, p.items)
    p.i = after
    return tuple(item for item in found if item is not None)


def _nearest(p: Parser, by: tuple[Formula, ...]) -> Formula:
    r"""Read what ``\nabla_x`` takes: the next factor, or the juxtaposed group where x stands only further on or first.

    ``\nabla_z L x^T`` is a gradient times x^T, ``\nabla_x x^T A x`` and ``\nabla_x a^T x`` are gradients of all of it.
    """
    start = p.i
    factors = [p.factor()]
    names = {n.name for v in by for n in walk(v) if isinstance(n, Symbol)}

    def has(node: Formula) -> bool:
        return any(isinstance(n, Symbol) and n.name in names for n in walk(node))

    plain = isinstance(factors[0], Number | Transposed) or (isinstance(factors[0], Symbol | Indexed | Power) and has(factors[0]))
    if not plain:
        return factors[0]
    while p.starts_factor():
        factors.append(p.factor())
    if len(factors) == 1:
        return factors[0]
    return Product(tuple(("", f) for f in factors), **p.span(start))


def at(p: Parser, start: int, base: Formula) -> Formula:
    """Read ``|_{y = 0}``: the next token is the stroke, or what closed before it."""
    p.next()
    p.next()
    a, b = p.argument()
    after = p.i
    found = p.inside(a, b, p.items)
    p.i = after
    point = []
    for item in found:
        if isinstance(item, Relation):
            point.append(item)
        elif item is not None and isinstance(base, Derivative) and len(base.by) == 1:
            point.append(Relation("=", base.by[0], item, place=item.place, end=item.end))
        else:
            raise p.error("a value at a point that is no equation", p.tokens[a])
    if p.token.kind == "^":
        raise p.error("a difference between two points")
    return At(base, tuple(point), **p.span(start))
