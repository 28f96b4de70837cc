"""``dk.verify``: documents read, every relation in them judged and told."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from derivkit.checking.verify.findings import Claim, Document, Verification
from derivkit.checking.verify.judge import Judge, judged
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.document import Block, Source, read_document, read_formula
from derivkit.symbolic.notes.repair import Repair
from derivkit.symbolic.notes.settled import settled
from derivkit.symbolic.notes.spaces import Told, joined, placed
from derivkit.symbolic.notes.spelled import LOOKALIKES, spelled
from derivkit.symbolic.notes.told import case_of, declared, described, directive, kind_of, kinds_in
from derivkit.symbolic.notes.written import latex
from derivkit.texts import document_text

LONGEST_PATH = 1_000
LINES = 6  # of a document that are told of one kind of repair


@dataclass(frozen=True, slots=True)
class Read:
    """A document that was read: its chains, what was said of its names, and what could not be read."""

    chains: tuple[f.Chain, ...]
    told: Mapping[str, Told]
    unread: tuple[Claim, ...]
    notes: tuple[str, ...]


def verify(
    text_or_path: str | os.PathLike[str], shapes: Mapping[str, str] | None = None, *, executor: Executor | None = None
) -> Verification:
    r"""Return what is said of every relation in a document: LaTeX, Markdown or plain text, or the path of such a file.

    ``shapes`` are declarations by name, as in ``{"t": "onehot K"}``; what the document does not say is assumed by habit, and
    told.  A string that names a file is its path.  Raises :class:`DerivkitError` for a file that cannot be read.

    >>> found = verify(r"$s(a) = \frac{1}{1 + e^{-a}}$ has $\frac{d s(a)}{d a} = s(a) (1 - s(a)) = s(a) - s(a)^2$.")
    >>> [claim.status for claim in found.files[0].claims]
    ['definition', 'right', 'right']
    """
    path, text = _opened(text_or_path)
    return verify_documents([(path, text)], shapes=shapes, executor=executor)


def _opened(text_or_path: str | os.PathLike[str]) -> tuple[str, str]:
    if not isinstance(text_or_path, (str, os.PathLike)):
        raise DerivkitError(f"a document is its text or its path, not {type(text_or_path).__name__}", code="DK010")
    path = os.fspath(text_or_path)
    if isinstance(text_or_path, str):
        formula = re.search(r"[$\n]|\\[(\[]|\\begin", path) is not None or len(path) > LONGEST_PATH
        if formula or not (os.path.splitext(path)[1] or os.path.exists(path)):
            return "text", path
    return path, document_text(path)


def verify_documents(
    sources: Iterable[tuple[str, str]],
    *,
    shapes: Mapping[str, str] | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Return the verdicts on documents, given as (path, text), in their order, whoever runs them.

    ``progress`` is called after each with how many are done, and of how many.
    """
    given = list(sources)
    calls = [partial(verify_document, path, text, dict(shapes or {})) for path, text in given]
    waiting = calls if executor is None else [executor.submit(call).result for call in calls]
    found: list[Document] = []
    for result in waiting:
        found.append(result())
        if progress is not None:
            progress(len(found), len(given))
    return Verification(tuple(found))


def verify_document(path: str, text: str, shapes: Mapping[str, str]) -> Document:
    """Return what is said of one document."""
    read = _read(text, shapes)
    judge = _best(read)
    lines = text.split("\n")
    claims = [replace(c, text=_excerpt(lines, c), source=_line(lines, c.line)) for c in judge.claims if c.read is not None]
    found = sorted((*claims, *(replace(c, source=_line(lines, c.line)) for c in read.unread)), key=lambda c: (c.line, c.column))
    return Document(path, (*read.notes, *_assumptions(judge)), tuple(found))


def judge_document(text: str, shapes: Mapping[str, str]) -> tuple[tuple[f.Chain, ...], Judge]:
    """Return the chains of a document, and their judge."""
    read = _read(text, shapes)
    return read.chains, _best(read)


# -- reading ---------------------------------------------------------------------------------------------------------------


def _read(text: str, shapes: Mapping[str, str]) -> Read:
    source = read_document(text)
    told: dict[str, Told] = {}
    unread = [Claim(u.line, u.column, u.text, "unread", message=u.reason) for u in source.unread]
    chains: list[f.Chain] = []
    formulas: dict[str, tuple[f.Chain, ...]] = {}
    before: list[tuple[str, str]] = []
    for block in source.blocks:
        if block.kind == "comment-directive":
            told.update(directive(block.text))
        elif block.kind == "formula":
            found = _chains(block, source, unread)
            formulas[block.text] = found
            if (stood := placed(before, found, formulas)) is not None:
                told[stood[0]] = joined(told.get(stood[0]), stood[1])
            case = case_of(before, formulas)
            for chain in found:
                _append(chains, chain if case is None else replace(chain, where=(*chain.where, case)))
        elif (stood := described(before, block.text, formulas)) is not None:
            told[stood[0]] = joined(told.get(stood[0]), stood[1])
        before.append((block.kind, block.text))
    for name, said in _kinds(source, chains):
        told[name] = joined(told.get(name), said)
    told.update({name: declared(text) for name, text in shapes.items()})
    return Read(settled(chains), told, tuple(unread), tuple(_mended(source.repairs)))


def _mended(repairs: Sequence[Repair]) -> Iterator[str]:
    """Yield what was read otherwise than it is written, each kind of repair once with its lines."""
    found: dict[tuple[str, str], dict[int, None]] = {}
    for repair in repairs:
        found.setdefault((repair.what, repair.became), {})[repair.line] = None
    for (what, became), where in found.items():
        lines = [str(line) for line in where]
        more = f" and {len(lines) - LINES} more" if len(lines) > LINES else ""
        if became.startswith("read as") or not became:
            told = f"{echo(what)}, {echo(became or 'left out')}"
        else:
            told = f"'{echo(what)}' was read as {echo(became)}"
        yield f"line{'s' * (len(lines) > 1)} {', '.join(lines[:LINES])}{more}: {told}"


def _chains(block: Block, source: Source, unread: list[Claim]) -> tuple[f.Chain, ...]:
    try:
        return read_formula(block, source.names)
    except DerivkitError as error:
        unread.append(
            Claim(error.line or block.line, error.column or block.column, echo(block.text), "unread", message=error.message)
        )
        return ()


def _append(chains: list[f.Chain], chain: f.Chain) -> None:
    """Add a chain, or the rest of the one before where it has no left side."""
    if chain.first is None and chain.links and chains and chains[-1].links:
        last = chains.pop()
        chain = replace(last, links=(*last.links, *chain.links), where=(*last.where, *chain.where))
    chains.append(chain)


def _kinds(source: Source, chains: Sequence[f.Chain]) -> Iterator[tuple[str, Told]]:
    """Yield what relations and prose state of names."""
    for chain in chains:
        if chain.first is not None and chain.links:
            op, place, right = chain.links[0]
            stated = kind_of(f.Relation(op, chain.first, right, place=place, end=place))
            if stated is not None:
                yield stated
    names = {spelled(n) for c in chains for n in f.walk((c,)) if isinstance(n, f.Symbol)}
    for name, kind in kinds_in(_sentences(source), names).items():
        yield name, Told(kind)


def _sentences(source: Source) -> list[str]:
    """Return the prose of a document with the names that stand in it: "let $A$ be symmetric"."""
    made = " ".join(b.text if b.kind == "prose" else _name(b.text) for b in source.blocks if b.kind != "comment-directive")
    return [made]


def _name(text: str) -> str:
    """Return a formula that is but a name, without what sets it; of any other a mark."""
    bare = re.sub(r"\\(?:mathbf|boldsymbol|bm|mathrm|vec|mathit)\b|[{}\s$\\]", "", text)
    return f"${bare}$" if re.fullmatch(r"[A-Za-z]+(?:_[a-z]+)?", bare) else ";"


# -- judging ---------------------------------------------------------------------------------------------------------------


def _best(read: Read) -> Judge:
    """Judge a document; where letters that look alike were taken one for the other, with those read as one."""
    plain = judged(read.chains, read.told)
    if not _open(plain):
        return plain
    names = {n.name for c in read.chains for n in f.walk((c,)) if isinstance(n, f.Symbol)}
    alike = {a: b for a, b in LOOKALIKES.items() if a in names and b in names and a not in plain.context.definitions}
    if not alike:
        return plain
    other = judged(read.chains, read.told, alike)
    return other if _open(other) < _open(plain) and _wrong(other) <= _wrong(plain) else plain


def _open(judge: Judge) -> int:
    return sum(c.status in ("wrong", "undecided") for c in judge.claims)


def _wrong(judge: Judge) -> int:
    return sum(c.status == "wrong" for c in judge.claims)


def _assumptions(judge: Judge) -> tuple[str, ...]:
    context = judge.context
    made = [f"{a} is read as {b}" for a, b in context.aliases.items()]
    made += [f"{latex(left)} = {latex(right)}: the argument of a function" for left, right in context.inferred]
    for name, (kind, shape) in judge.meaning.inputs.items():
        sizes = ", ".join(map(str, shape))
        made.append(f"{name}: {'' if kind == 'real' else kind + ' '}{sizes or 'a number'}")
    return tuple(made)


# -- telling ---------------------------------------------------------------------------------------------------------------


def _line(lines: Sequence[str], number: int) -> str:
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _excerpt(lines: Sequence[str], claim: Claim) -> str:
    """Return a relation as its author wrote it."""
    read = claim.read
    assert read is not None  # noqa: S101 - only such claims come here
    return " ".join(f"{_cut(lines, read.left)} {read.op} {_cut(lines, read.right)}".split())


def _cut(lines: Sequence[str], node: Any) -> str:
    (first, start), (last, end) = node.place, node.end
    if first == last:
        text = _line(lines, first)
        while text[start - 1 : end - 1].count("}") > text[start - 1 : end - 1].count("{") and "\\" in text[: start - 1]:
            start = text.rindex("\\", 0, start - 1) + 1  # a word begins behind its \text{
        return text[start - 1 : end - 1]
    inner = [_line(lines, n) for n in range(first + 1, last)]
    return "\n".join([_line(lines, first)[start - 1 :], *inner, _line(lines, last)[: end - 1]])
