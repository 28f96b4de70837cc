r"""The text of a formula to tokens: commands become what they are, fonts and spaces a property of the letters.

What TeX would print with another size, place or colour is dropped here; what would read, write or run something is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from derivkit import limits
from derivkit.errors import DerivkitError, echo
from derivkit.symbolic.notes import tables
from derivkit.symbolic.notes.marks import Token, Unreadable, delimiter, is_remark, paired

_PIECE = re.compile(
    r"""(?P<space>[\s~]+)
    |(?P<comment>%[^\n]*)
    |(?P<row>\\\\(?:\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\])?|\\cr(?![A-Za-z])|\\tabularnewline(?![A-Za-z]))
    |(?P<command>\\(?:[A-Za-z]+\*?|.))
    |(?P<number>(?:(?<!_\{)\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\{,\}\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+(?![\d^]))?)
    |(?P<letters>[A-Za-z]+)
    |(?P<dots>\.\.\.+)
    |(?P<relation>:=|!=|<=|>=|[=<>])
    |(?P<double>\|\|)
    |(?P<sign>[^\s])""",
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_ .][A-Za-z0-9]+)*")
_DEEPEST_FONT = 12


class Lexer:
    """One formula's text to tokens, with ``names``, the runs of letters that are one name in this document."""

    def __init__(self, text: str, names: Collection[str] = ()) -> None:
        """Check the size before the work."""
        self.text = text
        self.names = frozenset(names)
        self.longest = max(map(len, self.names), default=0)
        self.found: list[Token] = []
        if len(text) > limits.FORMULA_LENGTH:
            raise DerivkitError(f"a formula of more than {limits.FORMULA_LENGTH} characters", code="DK001")

    def tokens(self) -> list[Token]:
        """Return all tokens."""
        self.lex(0, len(self.text), "", 0)
        return paired(self.found)

    def error(self, offset: int, message: str, code: str = "DK070", hint: str | None = None) -> DerivkitError:
        """Return the error for one offset; the reader puts line and column to it."""
        return Unreadable(message, offset, code=code, hint=hint)

    def lex(self, start: int, end: int, style: str, depth: int) -> None:
        """Put the tokens between two offsets to those found, all in one font."""
        if depth > _DEEPEST_FONT:
            raise self.error(start, f"fonts nested deeper than {_DEEPEST_FONT}", code="DK003")
        at, space = start, False
        while at < end:
            piece = _PIECE.match(self.text, at, end)
            if piece is None:
                raise self.error(at, "a character that cannot be read")
            kind = piece.lastgroup or ""
            if kind in ("space", "comment"):
                at, space = piece.end(), True
                continue
            before = len(self.found)
            at = self.piece(kind, piece.group(), at, piece.end(), end, style, depth)
            if space and len(self.found) > before:
                self.found[before] = self.found[before]._replace(space=True)
            space = space and len(self.found) == before
            if len(self.found) > limits.TOKENS:
                raise self.error(at, f"more than {limits.TOKENS} tokens", code="DK002")

    def piece(self, kind: str, text: str, start: int, stop: int, end: int, style: str, depth: int) -> int:
        """Read one piece, and return where the next begins."""
        match kind:
            case "command":
                return self.command(text[1:], start, stop, end, style, depth)
            case "letters":
                self.letters(text, start, style)
            case "number":
                self.number(text, start, style)
            case "row":
                self.put("row", text, start, stop)
            case "dots":
                self.put("dots", text, start, stop)
            case "relation":
                self.put("rel", tables.RELATIONS[text], start, stop)
            case "double":
                self.put("bar", "\\|", start, stop)
            case _:
                self.sign(text, start)
        return stop

    def put(self, kind: str, text: str, start: int, end: int, style: str = "") -> None:
        """Add one token."""
        self.found.append(Token(kind, text, start, end, style))

    def number(self, text: str, start: int, style: str) -> None:
        """Read a number, within bounds; a bold 1 is a letter: the vector of ones, or an indicator."""
        digits = text.replace("{,}", "").replace(",", "")
        if text == "1" and style in ("bold", "bb") and (not self.found or self.found[-1].kind not in ("_", "^", "lbrace")):
            self.put("name", text, start, start + 1, style)
            return
        mantissa, _, exponent = digits.lower().partition("e")
        if len(mantissa) > limits.LITERAL_DIGITS or (
            exponent and (len(exponent) > 5 or abs(int(exponent)) > limits.LITERAL_EXPONENT)
        ):
            raise self.error(start, "a number out of bounds", code="DK005")
        self.put("number", digits, start, start + len(text))

    def sign(self, text: str, start: int) -> None:
        """Read a sign of one character."""
        kinds = {
            "{": "lbrace",
            "}": "rbrace",
            "(": "open",
            "[": "open",
            ")": "close",
            "]": "close",
            "|": "bar",
            "’": "'",
            "´": "'",
        }
        if text in "^_',;&?!:":
            self.put(text, text, start, start + 1)
        elif text in kinds:
            self.put(kinds[text], text, start, start + 1)
        elif text in "+-/":
            self.put("op", text, start, start + 1)
        elif text == ".":
            self.put(".", text, start, start + 1)
        elif text in tables.PRODUCTS:
            self.put("op", tables.PRODUCTS[text], start, start + 1)
        elif text in tables.RELATIONS:
            self.put("rel", tables.RELATIONS[text], start, start + 1)
        elif text in tables.ARROWS:
            self.put("arrow", text, start, start + 1)
        elif text in tables.GREEK_SIGNS:
            self.put("name", tables.GREEK_SIGNS[text], start, start + 1)
        elif text.isalpha():  # a letter of a language that formulas are not written in
            self.put("words", text, start, start + 1)
        else:
            raise self.error(start, f"a character that has no meaning in a formula: {echo(text)!r}", code="DK004")

    def letters(self, run: str, start: int, style: str) -> None:
        """Read a run of letters: a word that is known, else one symbol for each letter."""
        if run in tables.PROSE and len(run) > 1 and not style:
            self.put("words", run, start, start + len(run))
            return
        at = 0
        for part in self.parted(run):
            self.put("name", part, start + at, start + at + len(part), style)
            at += len(part)

    def parted(self, run: str) -> Iterator[str]:
        """Yield the names that a run of letters is made of."""
        if run in self.names or run in tables.WORDS:
            yield run
            return
        at = 0
        while at < len(run):
            sizes = range(min(self.longest, len(run) - at), 1, -1)
            size = next((n for n in sizes if run[at : at + n] in self.names), 1)
            yield run[at : at + size]
            at += size

    def argument(self, at: int, end: int) -> tuple[int, int, int]:
        """Return the inside of the argument that begins at or after ``at``, and where it is over."""
        while at < end and self.text[at].isspace():
            at += 1
        if at >= end:
            raise self.error(max(at - 1, 0), "a command without its argument")
        if self.text[at] != "{":
            piece = _PIECE.match(self.text, at, end)
            single = piece.end() if piece and piece.lastgroup == "command" else at + 1
            return at, single, single
        depth = 0
        for brace in re.finditer(r"\\.|[{}]", self.text[at:end], re.DOTALL):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if not depth:
                return at + 1, at + brace.start(), at + brace.end()
        raise self.error(at, "a brace that is never closed", code="DK074")

    def command(self, name: str, start: int, stop: int, end: int, style: str, depth: int) -> int:
        """Read one command, with its argument where that is no formula of its own."""
        if name.endswith("*") and name not in ("operatorname*", "tag*", "hspace*", "vspace*"):
            name, stop = name[:-1], stop - 1
        if name in tables.FORBIDDEN:
            raise self.error(start, f"\\{name} is not followed", code="DK073", hint="a formula can neither read nor run anything")
        if name in tables.BOXES:
            return self.box(stop, end, style, depth)
        if name in tables.FONTS or name in tables.TEXTS or name in tables.OPERATORS:
            return self.font(name, start, stop, end, style, depth)
        if name in ("begin", "end"):
            inside, close, after = self.argument(stop, end)
            environment = self.text[inside:close].strip().removesuffix("*")
            self.put(name, environment, start, after)
            return self.preamble(environment, after, end) if name == "begin" else after
        if name in ("left", "right"):
            return self.delimiter(name, start, stop, end)
        if name == "substack":
            return self.substack(stop, end, style, depth)
        for kind, table in (("rel", tables.RELATIONS), ("op", tables.PRODUCTS)):
            if name in table:
                self.put(kind, table[name], start, stop)
                return stop
        return self.plain(name, start, stop, end, style)

    def plain(self, name: str, start: int, stop: int, end: int, style: str) -> int:
        """Read a command that stands alone."""
        if name in tables.SPACES or name in tables.SILENT or name.isspace():
            for _ in range(tables.SILENT.get(name, 0)):
                stop = self.argument(stop, end)[2]
            if name in tables.SPACES:
                self.put("quad", name, start, stop)
        elif name in tables.DELIMITERS:
            self.put(*delimiter(name), start, stop)
        elif name in tables.LETTERS:
            self.put("name", tables.LETTERS[name], start, stop, style)
        elif name in tables.FUNCTION_COMMANDS:
            self.put("name", name, start, stop, "op")
        elif name in tables.DOTS:
            self.put("dots", name, start, stop)
        elif name in tables.ARROWS:
            self.put("arrow", name, start, stop)
        elif name in tables.FRACTIONS:
            return self.halves(name, start, stop, end)
        elif name == "prime":
            self.put("'", name, start, stop)
        elif name == "xrightarrow" or name == "xleftarrow":
            self.put("rel", "->" if "right" in name else "<-", start, self.argument(stop, end)[2])
            return self.argument(stop, end)[2]
        elif name in tables.TRANSPARENT:
            return self.transparent(name, start, stop, end)
        else:
            self.put("command", name, start, stop, style)
        return stop

    def transparent(self, name: str, start: int, stop: int, end: int) -> int:
        r"""Read a command whose argument stands for itself: ``\boxed{a = b}``, ``\overset{!}{=}``."""
        marked = ""
        for _ in range(tables.TRANSPARENT[name]):
            inside, close, stop = self.argument(stop, end)
            marked = self.text[inside:close]
        inside, close, after = self.argument(stop, end)
        inner = self.text[inside:close].strip()
        if inner.removeprefix("\\") in tables.RELATIONS:
            self.put("rel", ":=" if "def" in marked else tables.RELATIONS[inner.removeprefix("\\")], start, after)
            return after
        if name == "underset":
            self.put("command", name, start, start + len(name))
            return start + 1 + len(name)
        if name in ("boxed", "fbox") and ("=" in inner or "\\text" in inner):
            self.lex(inside, close, "", 1)
            return after
        return stop

    def halves(self, name: str, start: int, stop: int, end: int) -> int:
        r"""Read a fraction; ``\frac12`` has two arguments of one digit."""
        self.put("command", name, start, stop)
        for _ in range(2):
            while stop < end and self.text[stop].isspace():
                stop += 1
            if stop < end and self.text[stop].isdigit():
                self.put("number", self.text[stop], stop, stop + 1)
                stop += 1
            else:
                break
        return stop

    def font(self, name: str, start: int, stop: int, end: int, style: str, depth: int) -> int:
        """Read what a command for a font, an operator's name or prose holds."""
        if name in ("bf", "rm", "it", "sf", "tt", "cal") and not self.text[stop:end].lstrip().startswith("{"):
            close = self.group_end(stop, end)
            self.switched(tables.FONTS[name], stop, close, depth)
            return close
        inside, close, after = self.argument(stop, end)
        text = self.text[inside:close]
        if name in tables.TEXTS:
            self.prose(text, inside, after, depth)
            return after
        new = "op" if name in tables.OPERATORS else tables.FONTS[name]
        word = re.sub(r"[\s{}]", "", re.sub(r"\\[,!;: ]|\\thinspace(?![A-Za-z])\s*", "", text).replace(r"\_", "_"))
        if new in ("op", "text") and _WORD.fullmatch(word):
            self.put("name", re.sub(r"\W", "_", word), start, after, new)
        else:
            self.lex(inside, close, style or new, depth + 1)
        return after

    def box(self, stop: int, end: int, style: str, depth: int) -> int:
        r"""Read ``\rlap{$a$}``: what it holds, in its own dollars."""
        inside, close, after = self.argument(stop, end)
        text = self.text[inside:close]
        lead = len(text) - len(text.lstrip())
        if text.strip().startswith("$") and text.strip().endswith("$") and len(text.strip()) > 1:
            inside, close = inside + lead + 1, inside + len(text.rstrip()) - 1
        self.lex(inside, close, style, depth + 1)
        return after

    def group_end(self, at: int, end: int) -> int:
        """Return where the group that is open at ``at`` is closed."""
        depth = 0
        for brace in re.finditer(r"\\.|[{}]", self.text[at:end], re.DOTALL):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if depth < 0:
                return at + brace.start()
        return end

    def switched(self, style: str, stop: int, end: int, depth: int) -> None:
        r"""Read ``\bf x``: the rest of the group is in that font."""
        text = self.text[stop:end].strip()
        if style == "text" and _WORD.fullmatch(text):
            at = stop + self.text[stop:end].index(text)
            self.put("name", re.sub(r"\W", "_", text), at, at + len(text), "text")
        else:
            self.lex(stop, end, style, depth + 1)

    def prose(self, text: str, start: int, after: int, depth: int) -> None:
        r"""Read ``\text{...}``: a name, or words with formulas between dollars or behind an "if"."""
        word = text.strip()
        if not word:
            return
        if self.found and self.found[-1].kind in ("_", "^") and "$" not in word and re.search(r"\w", word):
            self.put("name", "_".join(re.findall(r"[A-Za-z0-9]+", word)) or "text", start, after, "text")
            return
        if "$" not in text and is_remark(self.found, self.text[after:]):
            self.put("words", word, start, after)
            return
        if "$" in text:
            if text.lstrip().startswith("$"):
                self.put("words", "", start, start)  # a remark that begins with a formula is no part of what stands before
            at = 0
            for i, part in enumerate(text.split("$")):
                if i % 2:
                    self.lex(start + at, start + at + len(part), "", depth + 1)
                elif part.strip():
                    self.put("words", part.strip(), start + at, start + at + len(part))
                at += len(part) + 1
            return
        lead = re.match(r"\s*(?:if|when|for|where|and|or|otherwise)\b", text, re.IGNORECASE)
        if lead and re.search(r"[=<>≠≤≥∈\\]", text[lead.end() :]):
            self.put("words", lead.group().strip(), start, start + lead.end())
            self.lex(start + lead.end(), start + len(text), "", depth + 1)
        elif (
            _WORD.fullmatch(word)
            and word.lower() not in tables.REMARKS
            and (text == word or self.called(after))
            and (" " not in word or self.called(after))
        ):
            self.put("name", re.sub(r"[-. ]", "_", word), start, after, "text")
        else:
            self.put("words", word, start, after)

    def called(self, after: int) -> bool:
        """Return whether a bracket or script follows, as behind a name."""
        return self.text[after : after + 8].lstrip().startswith(("(", "_", "^", "\\left("))

    def substack(self, stop: int, end: int, style: str, depth: int) -> int:
        """Read the rows below a sum as a list."""
        inside, close, after = self.argument(stop, end)
        before = len(self.found)
        self.lex(inside, close, style, depth + 1)
        self.found[before:] = [t._replace(kind=",", text=",") if t.kind == "row" else t for t in self.found[before:]]
        return after

    def preamble(self, environment: str, after: int, end: int) -> int:
        """Return where the rows of an environment begin, behind its columns or place."""
        optional = re.compile(r"\s*\[[a-zA-Z]{0,3}\]").match(self.text, after, end)
        after = optional.end() if optional else after
        if environment in tables.ARRAYS or environment in ("alignat", "alignedat", "IEEEeqnarray"):
            return self.argument(after, end)[2]
        return after

    def delimiter(self, name: str, start: int, stop: int, end: int) -> int:
        r"""Read ``\left(`` and its like."""
        piece = re.compile(r"\s*(\\[A-Za-z]+|\\.|\S)").match(self.text, stop, end)
        if piece is None:
            raise self.error(start, f"\\{name} without a delimiter")
        sign = piece.group(1).removeprefix("\\") if len(piece.group(1)) > 1 else piece.group(1)
        side = {"left": "open", "right": "close"}[name]
        if sign == ".":
            self.put(name, ".", start, piece.end())
        elif sign in "()[]":
            self.put(side, sign, start, piece.end(), name)
        elif sign in "<>":
            self.put(side, {"<": "\\langle", ">": "\\rangle"}[sign], start, piece.end(), name)
        elif sign in ("|", "/") and piece.group(1) == sign:
            self.put(side, sign, start, piece.end(), name)
        elif sign in tables.DELIMITERS:
            self.put(side, tables.DELIMITERS[sign], start, piece.end(), name)
        else:
            raise self.error(start, f"no delimiter: {echo(piece.group(1))!r}")
        return piece.end()
