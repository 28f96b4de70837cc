r"""The door of the reading half: the text of one formula to its chains."""

from __future__ import annotations

from collections.abc import Callable, Collection

from derivkit.symbolic.notes.formula import Chain, Formula, List, Relation, Words
from derivkit.symbolic.notes.marks import Token, Unfinished, Unreadable, normalised
from derivkit.symbolic.notes.pratt import Parser
from derivkit.symbolic.notes.rows import Statement, statements, unframed
from derivkit.symbolic.notes.tokens import Lexer
from derivkit.symbolic.notes.traced import Traced
from derivkit.symbolic.parse.syntax import Place

#: A sign without what it is applied to, in as many tokens as this, is spoken of and not applied.
_SPOKEN = 16


def read_chains(formula: Traced, place: Callable[[int], Place], names: Collection[str] = ()) -> tuple[Chain, ...]:
    """Return the chains of a formula; ``place`` takes an offset in the document."""
    formula = normalised(formula)

    def located(offset: int) -> Place:
        return place(formula.origin(offset))

    try:
        tokens = Lexer(formula.text, names).tokens()
        unframed(tokens)
        return tuple(chain for s in statements(tokens) if (chain := _mention_or_chain(s, located, names)) is not None)
    except Unreadable as error:
        error.line, error.column = located(error.offset)
        raise


def _mention_or_chain(statement: Statement, place: Callable[[int], Place], names: Collection[str]) -> Chain | None:
    r"""Read one statement; a sign that is only spoken of (``\odot``, ``\frac{d}{dx}``) is none."""
    try:
        return _chain(statement, place, names)
    except Unfinished:
        spoken = len(statement.tokens) <= _SPOKEN
        if spoken and not any(t.kind == "rel" for t in statement.tokens[:-1]):
            return None
        raise


def _chain(statement: Statement, place: Callable[[int], Place], names: Collection[str]) -> Chain | None:
    where = tuple(part for tokens in statement.where for part in _where(tokens, place))
    if not statement.tokens:
        return Chain(None, (), where) if where else None
    p = Parser(statement.tokens, place, names)
    first = None if p.token.kind == "rel" else _term(p)
    links: list[tuple[str, Place, Formula]] = []
    if first is not None and p.token.kind == ":" and any(t.text == "->" for t in statement.tokens):
        return Chain(first, (("in", place(p.next().start), p.relation()),), where)  # f: R -> R
    while p.token.kind == "rel":
        sign = p.next()
        if p.token.kind == "rel":
            raise p.error("two relations side by side")
        if p.token.kind == "over" and (first is not None or links):
            break  # a dangling "=": the next block goes on
        links.append((sign.text, place(sign.start), _term(p)))
    if p.i < p.end:
        raise p.error(f"cannot go on at {p.token.text[:30]!r}")
    return Chain(first, tuple(links), where)


def _term(p: Parser) -> Formula:
    """Read a side of a relation: a term, or a list without brackets."""
    start = p.i
    items: list[Formula | None] = []
    while True:
        if p.token.kind == "dots" and items:
            p.next()
            items.append(None)
        else:
            items.append(p.sum())
        if p.token.kind == "?":
            p.next()
        if p.token.kind != ",":
            break
        p.next()
    only = items[0]
    return only if len(items) == 1 and only is not None else List(tuple(items), "", **p.span(start))


def _where(tokens: list[Token], place: Callable[[int], Place]) -> list[Formula]:
    """Read what was said beside a statement: words, and relations among them."""
    found: list[Formula] = []
    run: list[Token] = []
    for token in [*tokens, None]:
        if token is not None and token.kind not in ("words", "quad") and not (token.kind == "command" and token.text == "forall"):
            run.append(token)
            continue
        if any(t.kind not in (",", ".", ":", ";") for t in run):
            found.append(_said(run, place))
        run = []
        if token is not None and token.kind != "quad":
            text = "for all" if token.text == "forall" else token.text
            found.append(Words(text, place=place(token.start), end=place(token.end)))
    return found


def _said(run: list[Token], place: Callable[[int], Place]) -> Formula:
    while run[-1].kind in (",", ".", ":", ";"):
        run = run[:-1]
    while run[0].kind in (",", ".", ":", ";"):
        run = run[1:]
    try:
        p = Parser(run, place)
        left = _term(p)
        while p.token.kind == "rel":
            op = p.next().text
            left = Relation(op, left, _term(p), **p.span(0))
        if p.i < p.end:
            raise p.error("a remark that goes on")
        return left
    except Unreadable:  # a remark in words and signs: it is kept, not understood
        return Words(" ".join(t.text for t in run), place=place(run[0].start), end=place(run[-1].end))
