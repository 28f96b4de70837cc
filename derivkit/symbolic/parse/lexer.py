"""Text to tokens: every character is on a list, every limit is checked before the work."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

from derivkit import limits
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.parse.syntax import Place, error_at

Kind = Literal["name", "number", "string", "operator", "power", "newline", "end"]

#: Greek letters that look like no Latin one, with their only spelling.  ``lambda`` is a word of Python, hence ``lamda``.
GREEK: dict[str, str] = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta"},
    **{"λ": "lamda", "μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi"},
    **{"ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma"},
    **{"Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"},
}
#: Typographic signs, read as their ASCII meaning.  ``ᵀ`` and superscript digits are postfix and have rows of their own.
SIGNS: dict[str, str] = {"·": "*", "⋅": "*", "×": "*", "⊙": "*", "−": "-", "≤": "<=", "≥": ">=", "≠": "!="}
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
TRANSPOSE = "ᵀ"
#: Characters that people do type, with what to type here.
HINTS: dict[str, str] = {
    "^": "a power is written **",
    "^T": "a transpose is written .T, a product of matrices @: x.T @ A",
    ";": "write one statement a line",
    "\\": "parentheses continue a line; this is not LaTeX",
    "&": "a product of comparisons is their 'and'",
    "|": "an absolute value is written abs(x)",
    "||": "a norm is written norm(x), its square norm(x)**2",
    "‖": "a norm is written norm(x), its square norm(x)**2",
    **dict.fromkeys("₀₁₂₃₄₅₆₇₈₉", "digits of a name stand on the line, W1; an entry is read as x[1]"),
    "%": "there is no remainder here",
    "!": "'not equal' is written !=",
    "{": "group with parentheses",
    "}": "group with parentheses",
    "`": "a fence is ``` alone on the first and on the last line",
    "–": "the minus sign is -",
    "—": "the minus sign is -",
    "µ": "this is the micro sign: write mu",
    "⁻": "write 1/x for a reciprocal, inv(X) for an inverse",
    "⊤": "a transpose is written .T",
    "′": "a transpose is written .T",
    "∑": "a sum over an index is written sum[k](...)",
    "∞": "write inf",
    "\u00a0": "this is a no-break space: write an ordinary one",
    "\ufeff": "this is a byte order mark: save the text without it",
}
OPENERS = {"(": ")", "[": "]"}
CLOSERS = {")": "(", "]": "["}
STRING_LENGTH = 100

_LETTERS = "".join(GREEK)
_SPACE = re.compile(r"[ \t]*")
_WORD = re.compile(rf"[A-Za-z0-9_{_LETTERS}]+")
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OPERATOR = re.compile(r"\*\*|//|<=|>=|==|!=|[-+*/@()\[\],:=.<>]")
_TWO = re.compile(r"\|\||\^T(?![A-Za-z0-9_])")  # signs of two characters that have a hint of their own
_POWER = re.compile(f"[{SUPERSCRIPTS}]+")
_STRING = re.compile(r"""(["'])([A-Za-z0-9_,.>\- ]*)\1""")
_FENCE = re.compile(r"[ \t]*```[A-Za-z0-9_+-]*[ \t]*")
_UNUSUAL = re.compile(r"[^\x20-\x7e\n\t]")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def ascii_name(word: str) -> str:
    """Return the one spelling of a name: ``δ_x`` is ``delta_x``, an ASCII name is itself.

    >>> ascii_name("δ_x")
    'delta_x'
    """
    return "_".join(GREEK.get(part[:1], part[:1]) + part[1:] for part in word.split("_"))


class Token(NamedTuple):
    """One token: ``text`` is canonical (ASCII), ``line`` and ``column`` count from 1, ``offset`` from 0."""

    kind: Kind
    text: str
    line: int
    column: int
    offset: int

    @property
    def place(self) -> Place:
        """Where the token begins."""
        return Place(self.line, self.column)


def tokenize(text: str) -> list[Token]:
    """Return the tokens of ``text``: a ``newline`` after each statement, an ``end`` after the last.

    Raises :class:`DerivkitError`: DK001 (too long), DK002 (too many tokens), DK003 (nesting), DK004 (a character that
    is not allowed, with its code point), DK005 (a literal out of bounds), DK006 (a name), DK007 (syntax).

    >>> [token.text for token in tokenize("y = α·x²  # a comment")]
    ['y', '=', 'alpha', '*', 'x', '2', '', '']
    >>> tokenize("y = \u0445")
    Traceback (most recent call last):
    ...
    derivkit.errors.DerivkitError: line 1, column 5: U+0445 (CYRILLIC SMALL LETTER HA) is not allowed
    """
    _check_text(text)
    return list(_Lexer(text).run())


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise DerivkitError(f"a program is text, not {type(text).__name__}", code="DK060")
    limit = limits.TEXT_BYTES
    if len(text) > limit or len(text.encode("utf-8", "surrogatepass")) > limit:
        raise DerivkitError(f"the text is longer than {limit} bytes", code="DK001")
    for match in _UNUSUAL.finditer(text):
        character, start = match.group(), match.start()
        if unicodedata.category(character) in _UNSEEN and text[start : start + 2] != "\r\n":
            line_start = text.rfind("\n", 0, start) + 1
            raise _refused(text, Place(text.count("\n", 0, start) + 1, start - line_start + 1), character)


def _refused(source: str, place: Place, character: str) -> DerivkitError:
    hint = HINTS.get(character)
    if "\x21" <= character[0] <= "\x7e":
        return error_at(source, place, f"'{character}' is not allowed", code="DK004", hint=hint)
    name = unicodedata.name(character, "")
    shown = f"U+{ord(character):04X}" + (f" ({name})" if name else "")
    if hint is None and unicodedata.category(character)[0] == "L":
        hint = "names are made of ASCII letters, digits, _ and the Greek letters that look like no Latin one"
    return error_at(source, place, f"{shown} is not allowed", code="DK004", hint=hint)


class _Lexer:
    """The state of one reading: open brackets, indentation, number of tokens."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0
        self.open: list[Token] = []
        self.indent: str | None = None
        self.loose = False

    def run(self) -> Iterator[Token]:
        """Yield the tokens of all lines inside the fence, if there is one."""
        raw = self.source.split("\n")
        lines = [line.removesuffix("\r") for line in raw]
        first, last = self._fence(lines)
        offset, end = 0, Token("end", "", 1, 1, 0)
        for number, line in enumerate(lines, 1):
            if first <= number <= last:
                fresh, seen = not self.open, False
                for token in self._line(line, number, offset):
                    if fresh and not seen:
                        self._indentation(line, token)
                    seen = True
                    self._bound(token.place)
                    yield token
                end = Token("end", "", number, len(line) + 1, offset + len(line))
                if seen and not self.open:
                    self._bound(end.place)
                    yield end._replace(kind="newline")
            offset += len(raw[number - 1]) + 1
        if self.open:
            opener = self.open[-1]
            raise self._error(opener.place, f"'{opener.text}' is never closed", hint=f"expected a '{OPENERS[opener.text]}'")
        yield end

    def _error(self, place: Place, message: str, *, code: str = "DK007", hint: str | None = None) -> DerivkitError:
        return error_at(self.source, place, message, code=code, hint=hint)

    def _bound(self, place: Place) -> None:
        self.count += 1
        if self.count > limits.TOKENS:
            raise self._error(place, f"more than {limits.TOKENS} tokens", code="DK002")

    def _fence(self, lines: list[str]) -> tuple[int, int]:
        """Return the first and the last line to read."""
        filled = [number for number, line in enumerate(lines, 1) if line.strip()]
        if not filled or not _FENCE.fullmatch(lines[filled[0] - 1]):
            return 1, len(lines)
        place = Place(filled[0], lines[filled[0] - 1].index("`") + 1)
        closing = [n for n in filled[1:] if lines[n - 1].strip() == "```"]
        if not closing:
            raise self._error(place, "the ``` fence is never closed")
        if closing[0] != filled[-1]:
            after = Place(filled[filled.index(closing[0]) + 1], 1)
            raise self._error(after, "text after the closing ```", hint="paste one block")
        return filled[0] + 1, closing[0] - 1

    def _indentation(self, line: str, token: Token) -> None:
        """Refuse an indentation that differs: it is nearly always a continued line that is none."""
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        if self.indent is None:
            # The first line of a Python string often begins right after the quotes; the rest is then indented alike.
            self.indent, self.loose = indent, not indent and token.line == 1
        elif self.loose and indent and token.kind in ("name", "number"):
            self.indent, self.loose = indent, False
        elif indent != self.indent:
            hint = "parentheses continue a line" if len(indent) > len(self.indent) else "indent all lines alike"
            raise self._error(token.place, "unexpected indentation", hint=hint)
        else:
            self.loose = False

    def _line(self, line: str, number: int, offset: int) -> Iterator[Token]:
        at = 0
        while True:
            space = _SPACE.match(line, at)
            at = space.end() if space else at
            if at == len(line) or line[at] == "#":
                return
            place = Place(number, at + 1)
            read = self._token(line, at, place)
            for kind, text in read[0]:
                token = Token(kind, text, number, at + 1, offset + at)
                if kind == "operator":
                    self._bracket(token)
                yield token
            at = read[1]

    def _token(self, line: str, at: int, place: Place) -> tuple[list[tuple[Kind, str]], int]:
        """Return the tokens that begin at column ``at`` (``ᵀ`` is two) and the column after them."""
        character = line[at]
        if line.startswith("...", at):
            raise self._error(place, "'...' is not allowed", hint="write the axes out, as in x[:, 0]")
        if number := _NUMBER.match(line, at):
            return [("number", self._number(number.group(), line, number.end(), place))], number.end()
        if word := _WORD.match(line, at):
            return [("name", self._word(word.group(), place))], word.end()
        if operator := _OPERATOR.match(line, at):
            return [("operator", operator.group())], operator.end()
        if character in "\"'":
            return self._string(line, at, place)
        if character in SIGNS:
            return [("operator", SIGNS[character])], at + 1
        if character == TRANSPOSE:
            return [("operator", "."), ("name", "T")], at + 1
        if power := _POWER.match(line, at):
            digits = "".join(str(SUPERSCRIPTS.index(c)) for c in power.group()[: limits.LITERAL_DIGITS + 1])
            return [("power", self._number(digits, line, power.end(), place))], power.end()
        known = _TWO.match(line, at)
        raise _refused(self.source, place, known.group() if known else character)

    def _number(self, text: str, line: str, end: int, place: Place) -> str:
        """Check the bounds of a literal on its characters, before any arithmetic."""
        mantissa, _, exponent = text.lower().partition("e")
        if sum(c != "." for c in mantissa) > limits.LITERAL_DIGITS:
            raise self._error(place, f"a literal of more than {limits.LITERAL_DIGITS} digits", code="DK005")
        exponent = exponent.lstrip("+-").lstrip("0")
        if len(exponent) > 9 or int(exponent or "0") > limits.LITERAL_EXPONENT:
            raise self._error(place, f"an exponent beyond {limits.LITERAL_EXPONENT}", code="DK005")
        if len(mantissa) > 1 and mantissa[0] == "0" and mantissa[1] != ".":
            raise self._error(place, "a literal begins with 0", code="DK005", hint="leave the leading zeros out")
        if run_on := _WORD.match(line, end):
            shown = echo(text + run_on.group())
            raise self._error(place, f"'{shown}' is neither a number nor a name", hint="a product is written with *")
        return text

    def _word(self, word: str, place: Place) -> str:
        """Return the one spelling of a name."""
        shown, hint = echo(word), None
        parts = word.split("_") if len(word) <= limits.NAME_LENGTH else []
        spelled = ascii_name(word) if parts else ""
        if not parts or len(spelled) > limits.NAME_LENGTH:
            problem = f"a name of more than {limits.NAME_LENGTH} characters"
        elif word[0] == "_":
            problem, hint = f"'{shown}' begins with _", "a name begins with a letter"
        elif "__" in word:
            problem, hint = f"'{shown}' has two _ together", "use one _"
        elif not all(part.isascii() or part[1:].isdigit() or len(part) == 1 for part in parts) or not spelled.isascii():
            problem, hint = f"'{shown}' joins a Greek letter to others", "write α*x for a product, α_x for one name"
        else:
            return spelled
        raise self._error(place, problem, code="DK006", hint=hint)

    def _string(self, line: str, at: int, place: Place) -> tuple[list[tuple[Kind, str]], int]:
        match = _STRING.match(line, at)
        if match is None:
            end = line.find(line[at], at + 1)
            if end < 0:
                hint = "a transpose is written .T" if line[at] == "'" and at and line[at - 1] not in " (,=" else None
                raise self._error(place, "a quote is never closed", hint=hint)
            raise self._error(place, "a character that is not allowed in quotes", code="DK004", hint="letters, digits and ,.->_")
        if len(match.group(2)) > STRING_LENGTH:
            raise self._error(place, f"more than {STRING_LENGTH} characters in quotes")
        return [("string", match.group(2))], match.end()

    def _bracket(self, token: Token) -> None:
        """Keep the open brackets; inside them a line end is a space."""
        if token.text in OPENERS:
            if len(self.open) >= limits.NESTING:
                raise self._error(token.place, f"nested deeper than {limits.NESTING}", code="DK003")
            self.open.append(token)
        elif token.text in CLOSERS:
            if not self.open:
                raise self._error(token.place, f"'{token.text}' closes nothing")
            opener = self.open.pop()
            if opener.text != CLOSERS[token.text]:
                seen = f"'{token.text}' closes '{opener.text}' of line {opener.line}, column {opener.column}"
                raise self._error(token.place, seen, hint=f"expected a '{OPENERS[opener.text]}'")
