r"""Sums, products, maxima and expectations: what runs below them, and over how much they go."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from derivkit.symbolic.notes.formula import Application, Big, Formula, Indexed, List, Relation, Symbol

if TYPE_CHECKING:
    from derivkit.symbolic.notes.pratt import Parser


@dataclass(slots=True)
class Bounds:
    """What stands below and above: letters with where they begin, conditions."""

    letters: list[Symbol] = field(default_factory=list)
    lower: dict[str, Formula] = field(default_factory=dict)
    upper: dict[str, Formula] = field(default_factory=dict)
    conditions: list[Relation] = field(default_factory=list)

    def run(self, letter: object) -> None:
        """Let a letter run, once."""
        if isinstance(letter, Symbol) and all(letter.name != other.name for other in self.letters):
            self.letters.append(letter)


def big(p: Parser, start: int, op: str, below: tuple[int, int] | None) -> Formula:
    """Read a big sign with its bounds, and the product behind it."""
    above = None
    while p.token.kind in ("_", "^"):
        kind = p.next().kind
        found = _argument(p)
        if kind == "_":
            below = found
        else:
            above = found
    if op in ("max", "min") and below is None:
        return _function(p, start, op)
    after = p.i
    bounds = Bounds()
    if below is not None:
        _below(p, *below, bounds)
    upper = p.inside(*above, p.relation) if above else None
    p.i = after
    body = p.product()
    return _nested(p, start, op, bounds, upper, body)


def _argument(p: Parser) -> tuple[int, int]:
    if p.token.kind == "open":  # \sum_(i): no brace
        start = p.i
        p.i = p.match[start] + 1
        return start, p.i
    return p.argument()


def _function(p: Parser, start: int, op: str) -> Formula:
    r"""Read ``\max(0, z)``."""
    name = Symbol(op, **p.span(start))
    if p.token.kind == "open":
        close = p.match[p.i]
        found = p.inside(p.i + 1, close, p.arguments)
        p.i = close + 1
        return Application(name, found, **p.span(start))
    if p.token.kind == "lbrace" and p.i + 1 < p.end and p.tokens[p.i + 1].kind == "open":
        opened = p.i
        found = p.inside(opened + 2, p.match[opened + 1], p.arguments)
        p.i = p.match[opened] + 1
        return Application(name, found, **p.span(start))
    if not p.starts_factor():
        return name
    return Application(name, (p.implicit(),), False, **p.span(start))


def expectation(p: Parser, start: int) -> Formula:
    r"""Read ``\mathbb{E}_{x \sim p}[f(x)]``."""
    bounds = Bounds()
    if p.token.kind == "_":
        p.next()
        a, b = p.argument()
        after = p.i
        _below(p, a, b, bounds)
        p.i = after
    body = p.atom() if p.token.kind == "open" else p.factor()  # E[x]^2 is the square of it all
    return _nested(p, start, "expectation", bounds, None, body)


def _nested(p: Parser, start: int, op: str, bounds: Bounds, upper: Formula | None, body: Formula) -> Formula:
    """Return one sign, or one for each letter that has bounds of its own."""
    letters, conditions = tuple(bounds.letters), tuple(bounds.conditions)
    if len(letters) > 1 and bounds.lower:
        for letter in reversed(letters):
            lower = bounds.lower.get(letter.name)
            top = bounds.upper.get(letter.name, upper)
            body = Big(op, (letter,), lower, top, conditions, body, **p.span(start))  # type: ignore[arg-type]
            conditions = ()
        return body
    lower = bounds.lower.get(letters[0].name) if letters else None
    top = bounds.upper.get(letters[0].name, upper) if letters else upper
    return Big(op, letters, lower, top, conditions, body, **p.span(start))  # type: ignore[arg-type]


def _below(p: Parser, a: int, b: int, bounds: Bounds) -> None:
    """Read what stands below, part by part."""
    bare: list[Symbol] = []
    for c, d in _parts(p, a, b):
        if all(t.kind == "dots" for t in p.tokens[c:d]):
            continue
        if not p.comparing(c, d):
            found = p.inside(c, d, lambda: _letters(p))
            known = bounds.letters[-1:] if not bare else []
            if known and len(found) == 1 and (not isinstance(found[0], Symbol)) and p.tokens[c - 2].kind == "dots":
                bounds.upper[known[0].name] = found[0]
                continue
            if known and len(found) == 1 and p.tokens[max(c - 2, a)].kind == "dots":
                bounds.upper[known[0].name] = found[0]
                continue
            for letter in found:
                bounds.run(letter)
                bare += [letter] if isinstance(letter, Symbol) else []
            if not all(isinstance(letter, Symbol) for letter in found):
                raise p.error("a sum over what is no letter", p.tokens[c])
            continue
        _relations(p, p.inside(c, d, lambda: _chain(p)), bounds, bare)


def _chain(p: Parser) -> list[tuple[str, Formula]]:
    r"""Read ``1 \le i \le n`` as its terms, each with the sign before it."""
    found = [("", p.sum())]
    while p.token.kind == "rel":
        op = p.next().text
        found.append((op, p.sum()))
    return found


def _relations(p: Parser, chain: list[tuple[str, Formula]], bounds: Bounds, bare: list[Symbol]) -> None:
    signs = [op for op, _ in chain[1:]]
    terms = [term for _, term in chain]
    if set(signs) == {"="} and all(isinstance(t, Symbol) for t in terms[:-1]):
        for letter in [*bare, *terms[:-1]]:
            bounds.run(letter)
            if isinstance(letter, Symbol):
                bounds.lower.setdefault(letter.name, terms[-1])
        return
    if signs == ["<=", "<="] and isinstance(terms[1], Symbol):
        bounds.run(terms[1])
        bounds.lower[terms[1].name], bounds.upper[terms[1].name] = terms[0], terms[2]
        return
    for (_, left), (op, right) in pairwise(chain):
        bounds.conditions.append(Relation(op, left, right, place=left.place, end=right.end))
    first = terms[1] if len(terms) > 2 else terms[0]
    for item in first.items if isinstance(first, List) and not first.brackets else (first,):
        bounds.run(item)


def _letters(p: Parser) -> list[Formula]:
    """Read letters side by side, or a list in brackets."""
    found: list[Formula] = []
    while p.i < p.end:
        item = p.factor()
        found += [i for i in item.items if i is not None] if isinstance(item, List) else [_named(item)]
    return found


def _named(item: Formula) -> Formula:
    r"""Return ``\theta_g`` below a sign as the letter it is there."""
    if isinstance(item, Indexed) and isinstance(item.base, Symbol) and isinstance(item.subscripts[0], Symbol):
        name = f"{item.base.name}_{item.subscripts[0].name}"
        return Symbol(name, item.base.style, item.base.label, place=item.place, end=item.end)
    return item


def _parts(p: Parser, a: int, b: int) -> list[tuple[int, int]]:
    """Return the ranges between commas, colons and spaces."""
    found, begin, depth = [], a, 0
    for i in range(a, b):
        kind = p.tokens[i].kind
        depth += kind in ("open", "lbrace", "begin")
        depth -= kind in ("close", "rbrace", "end")
        if kind in (",", ";", ":", "quad", "words", "row") and not depth:
            found.append((begin, i))
            begin = i + 1
    found.append((begin, b))
    return [(c, d) for c, d in found if c < d]
