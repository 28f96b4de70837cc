r"""The tokens of a formula to statements: rows, ``&``, commas, words between formulas, numbers of equations."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.marks import Token, Unreadable

_OPEN = {"open", "lbrace", "begin"}
_CLOSE = {"close", "rbrace", "end"}
_JOINS = {"cdot", "times", "otimes", "odot", "circ", "ast", "circledast", "/"}


class Statement(NamedTuple):
    """The tokens of one chain, and those of what was said beside it."""

    tokens: list[Token]
    where: list[list[Token]]


@dataclass(slots=True)
class Row:
    """One row: its tokens without ``&``, and before which of them one stood."""

    tokens: list[Token]
    marks: set[int]
    asides: list[list[Token]] = field(default_factory=list)

    def has_relation(self) -> bool:
        """Return whether a relation stands outside of all brackets."""
        return any(t.kind == "rel" for t, depth in _depths(self.tokens) if not depth)


def statements(tokens: list[Token]) -> list[Statement]:
    """Return the statements of a formula, in order: rows that belong together joined, lists of relations parted."""
    found: list[Statement] = []
    for line in _joined(_rows(_bare(tokens))):
        found += _parted(line)
    return found


def _depths(tokens: list[Token]) -> list[tuple[Token, int]]:
    """Return every token with the brackets that are open around it; a bracket is outside of itself."""
    depth, found = 0, []
    for token in tokens:
        depth -= token.kind in _CLOSE
        found.append((token, max(depth, 0)))
        depth += token.kind in _OPEN
    return found


def _bare(tokens: list[Token]) -> list[Token]:
    """Drop the frames whose rows are the formula's own, and the row signs inside of round brackets that go over rows."""
    drop: set[int] = set()
    waiting: list[str] = []
    framed: list[str] = []
    frames = 0  # environments among those that wait
    for i, token in enumerate(tokens):
        if token.kind == "begin" and frames == len(waiting) and _transparent(tokens, i):
            drop.add(i)
            framed.append(token.text)
        elif token.kind in _OPEN:
            waiting.append(token.kind)
            frames += token.kind == "begin"
        elif token.kind == "end" and framed and token.text == framed[-1] and not waiting:
            framed.pop()
            drop.add(i)
        elif token.kind in _CLOSE and waiting:
            frames -= waiting.pop() == "begin"
        elif token.kind in ("row", "&", "quad") and waiting and not frames:
            drop.add(i)
    return [t for i, t in enumerate(tokens) if i not in drop]


def _transparent(tokens: list[Token], start: int) -> bool:
    name = tokens[start].text
    if name in tables.ROWS:
        return True
    if name in tables.CASES and not any(t.kind not in ("begin", "quad") for t in tokens[:start]):
        return _system(tokens[start:])
    if name not in tables.ARRAYS:
        return False
    for token, depth in _depths(tokens[start:])[1:]:  # an array of relations is an alignment of old
        if token.kind == "end" and not depth:
            return False
        if token.kind == "rel" and depth == 1:
            return True
    return False


def _system(tokens: list[Token]) -> bool:
    """Return whether a frame for cases at the front holds equations and no conditions: it joins them, nothing more."""
    related = False
    for token, depth in _depths(tokens)[1:]:
        if token.kind == "end" and not depth:
            return related
        if depth == 1:
            related = related or token.kind == "rel"
            if token.kind in ("&", "words"):
                return False
    return False


def _rows(tokens: list[Token]) -> list[Row]:
    rows = [Row([], set())]
    for token, depth in _depths(tokens):
        if token.kind == "row" and not depth:
            rows.append(Row([], set()))
        elif token.kind == "&" and not depth:
            rows[-1].marks.add(len(rows[-1].tokens))
        else:
            rows[-1].tokens.append(token)
    return [_trimmed(row) for row in rows if any(t.kind not in ("quad", ".", ",") for t in row.tokens)]


def _trimmed(row: Row) -> Row:
    """Drop spaces in front, and spaces and full stops behind."""
    lead = next(i for i, t in enumerate(row.tokens) if t.kind != "quad")
    tokens = row.tokens[lead:]
    while tokens and tokens[-1].kind in (".", "quad"):
        tokens.pop()
    return Row(tokens, {max(m - lead, 0) for m in row.marks})


def _joined(rows: list[Row]) -> list[Row]:
    """Return the rows with those joined that go on from the one before."""
    lines: list[Row] = []
    for row in rows:
        if lines and 0 in row.marks and lines[-1].has_relation() and _is_remark(row):
            _set_aside(lines[-1])
            lines[-1].asides.append(row.tokens)
        elif lines and _goes_on(lines[-1], row):
            before = lines[-1]
            if row.tokens[0].kind == "rel":
                _set_aside(before)
            if before.tokens and before.tokens[-1].kind == "rel" and row.tokens[0].kind == "rel":
                before.tokens.pop()
            before.marks |= {m + len(before.tokens) for m in row.marks if m}
            before.tokens += row.tokens
        else:
            lines.append(row)
    return lines


def _is_remark(row: Row) -> bool:
    """Say whether a row says why the one before it holds: words in brackets, or words without a relation."""
    tokens = [t for t in row.tokens if t.kind not in ("quad", "open", "close")]
    return bool(tokens) and tokens[0].kind == "words" and not row.has_relation()


def _set_aside(row: Row) -> None:
    """Take the remark, the number and the punctuation from the end of a row that goes on in the next."""
    related = False
    for i, (token, depth) in enumerate(_depths(row.tokens)):
        related = related or (token.kind == "rel" and not depth)
        remark = token.kind == "words" or (token.kind == "quad" and not any(t.kind == "rel" for t in row.tokens[i:]))
        if related and not depth and remark:
            row.asides.append([t for t in row.tokens[i:] if t.kind != "quad"])
            del row.tokens[i:]
            break
    while row.tokens and row.tokens[-1].kind in (",", ".", ";", "quad"):
        row.tokens.pop()


def _goes_on(before: Row, row: Row) -> bool:
    first, last = row.tokens[0], before.tokens[-1]
    signed = first.kind == "op" and first.text in "+-"
    if first.kind == "rel" or first.kind == "close" or (first.kind == "op" and first.text in _JOINS):
        return True
    if last.kind == "rel" or (last.kind == "op" and not (signed and row.has_relation())):
        return True
    if signed:
        return 0 in row.marks or not row.has_relation()
    return 0 in row.marks and before.has_relation() and not row.has_relation() and first.kind not in ("words", "command", "name")


def _parted(line: Row) -> list[Statement]:
    """Return the statements of one line of a formula."""
    pieces = _pieces(line)
    found: list[Statement] = []
    for piece in pieces:
        if not piece or _numbering(piece):
            continue
        if found and _condition(piece):
            found[-1].where.append(piece)
        elif piece[0].kind == "words" or piece[0].text == "forall":
            found.append(Statement([], [piece]))
        else:
            cut = next((i for i, (t, d) in enumerate(_depths(piece)) if t.kind == "words" and not d), len(piece))
            before = found.pop().where if found and not found[-1].tokens else []  # "If k = j," and what holds then
            found.append(Statement(piece[:cut], [*before, piece[cut:]] if cut < len(piece) else before))
    if found:
        found[0].where[:0] = [aside for aside in line.asides if aside and not _numbering(aside)]
    return found


def _pieces(line: Row) -> list[list[Token]]:
    """Cut a line at commas, spaces and arrows between relations."""
    pieces: list[list[Token]] = [[]]
    related = False
    depths = _depths(line.tokens)
    for i, (token, depth) in enumerate(depths):
        if not depth and (token.kind == "arrow" or _cuts(line, depths, i, related, pieces[-1])):
            pieces.append([])
            related = False
            if token.kind in ("arrow", "quad", ",", ";") or (token.kind == "words" and token.text in ("and", "or")):
                continue
        if token.kind == "quad":
            continue
        related = related or (token.kind == "rel" and not depth)
        pieces[-1].append(token)
    return [_stripped(p) for p in pieces]


def _stripped(piece: list[Token]) -> list[Token]:
    while piece and piece[-1].kind in (",", ";", ".", ":"):
        piece.pop()
    while piece and piece[0].kind in (",", ";", "."):
        piece.pop(0)
    return piece


def _cuts(line: Row, depths: list[tuple[Token, int]], i: int, related: bool, piece: list[Token]) -> bool:
    """Say whether a new statement begins at token ``i``."""
    token = depths[i][0]
    following = depths[i + 1][0] if i + 1 < len(depths) else None
    if token.kind == "words" and token.text in ("and", "or"):
        return True
    if token.kind == "quad":
        return bool(piece) and (piece[-1].kind == "," or (_begins(following) and piece[-1].kind not in ("rel", "op")))
    if token.kind in (",", ";"):
        return related and (following is None or _own(depths, i + 1))
    if i in line.marks and i:
        return related and _begins(token) and piece[-1:] != [] and piece[-1].kind not in ("rel", "op") and _own(depths, i)
    return False


def _begins(token: Token | None) -> bool:
    return token is None or token.kind not in ("rel", "op", "close", ",", ";", ".", "row")


def _own(depths: list[tuple[Token, int]], start: int) -> bool:
    """Say whether what begins here is a statement of its own: it has a relation, or is prose, before the next comma."""
    for token, depth in islice(depths, start, None):
        if depth:
            continue
        if token.kind in ("rel", "words", "arrow") or (token.kind == "command" and token.text == "forall"):
            return True
        if token.kind in (",", ";", "dots"):
            return False
    return start >= len(depths)


def _numbering(piece: list[Token]) -> bool:
    """Say whether this is the number of an equation: ``(1)``, ``(2a)``."""
    return (
        len(piece) in (3, 4)
        and (piece[0].text, piece[-1].text) == ("(", ")")
        and piece[1].kind == "number"
        and all(t.kind in ("number", "name") for t in piece[1:-1])
    )


def _condition(piece: list[Token]) -> bool:
    """Say whether a piece tells where the statement before it holds, and is none itself."""
    first = piece[0]
    if first.kind == "words" or (first.kind == "command" and first.text == "forall"):
        return True
    signs = [t.text for t, d in _depths(piece) if t.kind == "rel" and not d]
    ranged = any(t.kind == "dots" for t, d in _depths(piece) if not d)
    return bool(signs) and (ranged or all(s in ("in", "!=", "<", ">", "<=", ">=") for s in signs))


def unframed(tokens: list[Token]) -> None:
    """Refuse frames that do not close as they open."""
    waiting: list[Token] = []
    for token in tokens:
        if token.kind in ("begin", "lbrace"):
            waiting.append(token)
        elif token.kind in ("end", "rbrace"):
            if not waiting or (waiting[-1].kind == "begin") != (token.kind == "end"):
                raise Unreadable("a brace or environment that closes without having been opened", token.start, code="DK074")
            if token.kind == "end" and waiting.pop().text != token.text:
                raise Unreadable(f"\\end{{{token.text[:40]}}} closes another environment", token.start, code="DK074")
            if token.kind == "rbrace":
                waiting.pop()
    if waiting:
        raise Unreadable("a brace or environment that is never closed", waiting[-1].start, code="DK074")
