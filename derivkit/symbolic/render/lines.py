"""The lines of a page: definitions as their author wrote them, steps with their letters, and the reason for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from derivkit.symbolic.derive.lemmas import cases
from derivkit.symbolic.expr import Delta, Expr, Name, Num, Ref, Sum, walk
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.render.matrix import math_form
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.pieces import Ranks
from derivkit.symbolic.render.source import authored, equation
from derivkit.symbolic.render.styles import TEXT, Style
from derivkit.symbolic.steps import Step


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a step: what stands right of the ``=``, and why; ``by_cases`` are (value, condition) instead."""

    right: str
    reason: str = ""
    by_cases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A numbered step: its left side, and its lines."""

    number: int
    left: str
    rows: tuple[Row, ...]


def definition_text(notation: Notation, d: Definition, graph: Graph) -> str:
    """Return the author's line as it is read; when it is ours its matrix notation, else entry by entry."""
    ranks = notation.ranks
    known = ranks.spelled if isinstance(ranks, Ranks) else {str(n): rank for n, rank in ranks.items()}
    line = authored(d, known, notation.style)
    if line is not None:
        return line
    form = math_form(d.rhs, d.indices, graph, notation.style)
    if form is not None:
        return f"{notation.style.variable(d.name)} = {form}"
    if d.text and notation.style.name == "text":
        return prettier(equation(d), notation.style)
    left, right = notation.line((d.ref(), d.rhs))
    return f"{left} = {right}"


def prettier(text: str, style: Style = TEXT) -> str:
    """Return a line of program text with mathematical signs: products of matrices side by side, powers raised.

    >>> prettier("E = sum((W @ x.T - t)**2) * 0.5")
    'E = sum((W xᵀ − t)²) · 0.5'
    """
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    text = re.sub(r"\*\*([0-9]+)(?![0-9.eE])", lambda m: m[1].translate(raised), text)
    text = re.sub(r"\.T\b", "ᵀ", text)
    text = re.sub(r"[A-Za-z_][A-Za-z0-9_]*", lambda m: style.greek(m[0]), text)
    text = re.sub(r"\s*@\s*", " ", text)
    text = re.sub(r"\s*\*\s*(?!\*)", " · ", text) if "**" not in text else text
    return re.sub(r"(?<![eE])-", "−", text)


def step_block(notation: Notation, step: Step, brief: bool, split: bool) -> Block:
    """Return a step as it is printed, in one line when it is ``brief``; with ``split`` its last δ by cases."""
    lines = _brief(step) if brief else step.substeps or (step,)
    left = ""
    rows = []
    letters: dict[Index, str] = {}
    past: tuple[Expr, dict[Index, str]] = Num(0), {}
    for n, line in enumerate(lines):
        chosen = notation.letters.bound((line.before, line.after))
        letters = {**letters, **chosen}  # a reason may speak of the line before, too
        left_text, right = notation.written((line.before, line.after), chosen)
        left = left or left_text
        values = conditioned(notation, line.before, line.after) if split and n == len(lines) - 1 else ()
        told = {**letters, **_same_entry(line, letters, notation.ranks)}
        # a definition is quoted in the letters that it was introduced with; a sum in a reason takes none of its line's
        quoted = line.reason.startswith("chain rule")
        used = set() if quoted else {letters[i] for e in (line.before, line.after) for i in e.free}
        about = notation.written(line.about, notation.letters.beside(line.about, told, used))
        about = tuple(_as_it_stood(notation, expr, past) or text for expr, text in zip(line.about, about, strict=True))
        past = line.after, chosen
        why = reason(notation, line.reason, about)
        rows.append(Row(right, why if n or not step.lemma else f"{why} (lemma {step.lemma})", values))
    return Block(step.number, left, tuple(rows))


def _as_it_stood(notation: Notation, expr: Expr, past: tuple[Expr, Mapping[Index, str]]) -> str:
    """Return a δ or a Σ of the line before in the letters that it had there, nothing where it is none of that line."""
    line, letters = past
    if not isinstance(expr, Delta | Sum) or not any(node == expr for node in walk(line) if isinstance(node, type(expr))):
        return ""
    return notation.written((expr,), letters)[0]


def _same_entry(line: Step, letters: Mapping[Index, str], ranks: Mapping[Name, int]) -> dict[Index, str]:
    """Return letters for a definition's own indices as the line reads its arrays: a line with ``∂z_nj`` is by ``z_nj = …``."""
    local = isinstance(line.before, Ref) and line.before.name.kind == "local"  # all its indices are the definition's
    own = {i for a in line.about for i in a.free if local or i not in letters}
    if not own:
        return {}
    reads: dict[Name, tuple[Affine, ...]] = {}
    for node in (n for expr in (line.before, line.after) for n in walk(expr)):
        if isinstance(node, Ref):
            for name, subs in _parts(node, ranks):
                reads.setdefault(name, subs)
    found: dict[Index, str] = {}
    for node in (n for a in sorted(line.about, key=lambda a: not isinstance(a, Ref)) for n in walk(a)):
        if isinstance(node, Ref) and node.subs and len(reads.get(node.name, ())) == len(node.subs):
            pairs = [(a.bare, b.bare) for a, b in zip(node.subs, reads[node.name], strict=True)]
            for mine, theirs in pairs:
                if (
                    mine is not None
                    and mine in own
                    and mine not in found
                    and theirs is not None
                    and letters.get(theirs, "") not in {"", *found.values()}
                ):
                    found[mine] = letters[theirs]
    return found


def _parts(node: Ref, ranks: Mapping[Name, int]) -> Iterator[tuple[Name, tuple[Affine, ...]]]:
    """Yield what a reference reads: an array, or both sides of a derivative, with their subscripts."""
    name = node.name
    yield name, node.subs
    if name.of is not None and name.output is not None:
        top, bottom = (name.of, name.output) if name.kind == "local" else (name.output, name.of)
        yield top, node.subs[: ranks.get(top, 0)]
        yield bottom, node.subs[len(node.subs) - ranks.get(bottom, 0) :]


def _brief(step: Step) -> tuple[Step, ...]:
    """Return a numbered step as one line: from its left side to its end, for the reason of its beginning."""
    first = step.substeps[0] if step.substeps else step
    used = "by " + ", ".join(map(str, step.cites))
    told = used if first.reason.startswith("by ") else f"{first.reason}; {used}" if step.cites else first.reason
    return (Step(step.rule, step.before, step.after, told, about=first.about),)


def conditioned(notation: Notation, before: Expr, after: Expr) -> tuple[tuple[str, str], ...]:
    """Return an expression with one δ by cases, as (value, condition) in letters that fit ``before``."""
    split = cases(after)
    if not split:
        return ()
    delta = next(n for n in walk(after) if isinstance(n, Delta))
    _, *values = notation.line((before, *(value for value, _ in split)), after.free)
    sides = (delta.left.bare, delta.right.bare)
    first, second = (notation.letters[i] for i in sides if i is not None)
    return tuple((value, f"{first} {sign} {second}") for value, (_, sign) in zip(values, split, strict=True))


def reason(notation: Notation, text: str, about: Iterable[str]) -> str:
    """Return a reason with the expressions it speaks about; those are set as formulas, the words escaped."""
    shown, style = [*about], notation.style
    pieces = re.split(r"\{([0-9])\}", text)
    return "".join(style.inline(shown[int(p)]) if n % 2 else _named(style, p) for n, p in enumerate(pieces))


def _named(style: Style, words: str) -> str:
    """Return words of a reason, the names that a fact is about (``A is symmetric: Aᵀ = A``) with their labels."""
    if not style.labels:
        return style.words(words)
    names = "|".join(map(re.escape, sorted(style.labels)))
    pieces = re.split(rf"(^(?:{names})(?= is )|\b(?:{names})(?=ᵀ = )|(?<=ᵀ = )(?:{names})$)", words)
    return "".join(style.inline(style.greek(p)) if n % 2 else style.words(p) for n, p in enumerate(pieces))
