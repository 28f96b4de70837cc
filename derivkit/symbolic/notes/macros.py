r"""The author's own commands: ``\newcommand``, ``\def`` and their like, expanded as far as bounds allow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from derivkit import limits
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.notes.traced import Traced, joined

_NEW = re.compile(r"\\((?:re)?newcommand|providecommand|DeclareRobustCommand|DeclareMathOperator|[gex]?def|let)\*?(?![A-Za-z])")
_NAME = re.compile(r"\s*(\{)?\s*\\([A-Za-z]+|[^A-Za-z\s])\s*(?(1)\})")
_COUNT = re.compile(r"\s*\[\s*([0-9])\s*\]")
_DEFAULT = re.compile(r"\s*\[([^\]]{0,200})\]")
_PARAMETERS = re.compile(r"\s*((?:#[1-9])*)\s*(?=\{)")
_LET = re.compile(r"\s*=?\s*(\\(?:[A-Za-z]+|[^A-Za-z\s]))")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
#: After so many definitions that are none, no more are looked for.
_MOST_BROKEN = 20
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Macro:
    """What a command stands for: its body with ``#1`` to ``#9``, how many arguments it takes, a first that may be left out."""

    body: str
    arguments: int = 0
    default: str | None = None


def group_end(text: str, start: int) -> int | None:
    """Return the offset behind the group whose brace opens at ``start``, if it is closed within the length of a formula."""
    depth = 0
    for brace in _BRACE.finditer(text, start, start + limits.FORMULA_LENGTH):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if not depth:
            return brace.end()
    return None


def without_definitions(piece: Traced, macros: dict[str, Macro]) -> Traced:
    r"""Return a piece of a document without its definitions, which are put into ``macros``.

    >>> macros = {}
    >>> without_definitions(Traced.whole(r"\newcommand{\pd}[2]{\frac{\partial #1}{\partial #2}} so"), macros).text
    ' so'
    >>> macros["pd"].arguments
    2
    """
    parts, at, failed = [], 0, 0
    for found in _NEW.finditer(piece.text):
        if found.start() < at or len(macros) >= limits.MACROS or failed >= _MOST_BROKEN:
            continue
        end = _define(piece.text, found.group(1), found.end(), macros)
        if end is not None:
            parts.append(piece.cut(at, found.start()))
            at = end
        failed += end is None
    return joined([*parts, piece.cut(at, len(piece.text))]) if parts else piece


def _define(text: str, command: str, at: int, macros: dict[str, Macro]) -> int | None:
    """Read one definition, and return where it is over; ``None`` where it is none that can be read."""
    name = _NAME.match(text, at)
    if name is None:
        return None
    at = name.end()
    if command == "let":
        same = _LET.match(text, at)
        if same is None or same.group(1) == "\\" + name.group(2):
            return None
        macros[name.group(2)] = macros.get(same.group(1)[1:], Macro(same.group(1)))
        return same.end()
    count, default = 0, None
    if command.endswith("def"):
        parameters = _PARAMETERS.match(text, at)
        if parameters is None:
            return None
        count, at = len(parameters.group(1)) // 2, parameters.end()
    else:
        if counted := _COUNT.match(text, at):
            count, at = int(counted.group(1)), counted.end()
            if optional := _DEFAULT.match(text, at):
                default, at = optional.group(1), optional.end()
        at += len(text[at : at + 80]) - len(text[at : at + 80].lstrip())
    end = group_end(text, at) if text[at : at + 1] == "{" else None
    if end is None:
        return None
    body = text[at + 1 : end - 1]
    macros[name.group(2)] = Macro(f"\\operatorname{{{body}}}" if command == "DeclareMathOperator" else body, count, default)
    return end


def expanded(formula: Traced, macros: Mapping[str, Macro]) -> Traced:
    """Return a formula with the author's commands expanded; what is new stands where its command stood."""
    return _Expansion(macros).expand(formula, 0) if macros else formula


class _Expansion:
    """One formula's expansion, and how much it has cost."""

    def __init__(self, macros: Mapping[str, Macro]) -> None:
        self.macros = macros
        self.count = 0
        self.length = 0

    def expand(self, formula: Traced, depth: int) -> Traced:
        if depth > limits.MACRO_DEPTH:
            raise DerivkitError(f"commands of the author's nested deeper than {limits.MACRO_DEPTH}", code="DK072")
        parts, at = [], 0
        for found in _COMMAND.finditer(formula.text):
            macro = self.macros.get(found.group(1))
            if macro is None or found.start() < at:
                continue
            self.count += 1
            if self.count > limits.EXPANSIONS:
                raise DerivkitError(f"more than {limits.EXPANSIONS} expansions of the author's commands", code="DK072")
            parts.append(formula.cut(at, found.start()))
            arguments, at = self.arguments(formula, found.end(), macro, found.group(1))
            parts.append(self.expand(self.filled(formula, found.start(), macro, arguments), depth + 1))
        return joined([*parts, formula.cut(at, len(formula.text))]) if parts else formula

    def arguments(self, formula: Traced, at: int, macro: Macro, name: str) -> tuple[list[Traced], int]:
        """Return the arguments of one use, and where it is over."""
        text, found = formula.text, []
        if macro.default is not None:
            optional = _DEFAULT.match(text, at)
            inside = formula.cut(*optional.span(1)) if optional else formula.anchored(max(at - 1, 0), macro.default)
            found, at = [inside], optional.end() if optional else at
        while len(found) < macro.arguments:
            while at < len(text) and text[at].isspace():
                at += 1
            if at >= len(text):
                raise DerivkitError(f"\\{echo(name)} takes {macro.arguments} arguments", code="DK072")
            if text[at] == "{":
                end = group_end(text, at)
                if end is None:
                    raise DerivkitError(f"an argument of \\{echo(name)} is never closed", code="DK074")
                found.append(formula.cut(at + 1, end - 1))
            else:
                command = _COMMAND.match(text, at)
                end = command.end() if command else at + 1
                found.append(formula.cut(at, end))
            at = end
        return found, at

    def filled(self, formula: Traced, start: int, macro: Macro, arguments: list[Traced]) -> Traced:
        """Return the body with its arguments in place."""
        parts, at = [], 0
        for slot in re.finditer(r"#([1-9])", macro.body):
            parts.append(formula.anchored(start, macro.body[at : slot.start()]))
            number = int(slot.group(1))
            if number <= len(arguments):
                parts.append(arguments[number - 1])
            at = slot.end()
        parts.append(formula.anchored(start, macro.body[at:]))
        self.length += sum(len(part.text) for part in parts)
        if self.length > limits.FORMULA_LENGTH:
            raise DerivkitError(f"the author's commands expand to more than {limits.FORMULA_LENGTH} characters", code="DK072")
        whole = joined(parts)
        # A command of letters does not run into the letter behind it.
        return whole if not re.search(r"\\[A-Za-z]+$", whole.text) else joined([whole, formula.anchored(start, " ")])
