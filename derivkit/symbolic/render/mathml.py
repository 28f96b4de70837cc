"""MathML Core: a style of the one notation whose texts carry marks, and the tree of elements that a marked text stands for.

A mark is a control character, which no program may contain: ``begin kind, slot, slot, ..., end``.  Between marks stand
letters, digits and signs, each of which becomes an element of its own; brackets are grouped, so that each pair stretches
over no more than it holds.  Everything goes through ``xml.etree``, so that nothing needs escaping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from xml.etree import ElementTree as ET

from derivkit.symbolic.render.names import TO_GREEK, parts
from derivkit.symbolic.render.styles import TEXT, Style

NAMESPACE = "http://www.w3.org/1998/Math/MathML"

_BEGIN, _NEXT, _END = "\x02", "\x04", "\x03"
_FORMULA, _WORDS = "\x0e", "\x0f"  # a formula among words begins and ends
_INVISIBLE_TIMES, _APPLY, _COMMA = "\u2062", "\u2061", "\u2063"

#: The sign above a letter for each accent of a name or a label.
ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~", "dot": "˙", "ddot": "¨", "vec": "→", "check": "ˇ", "breve": "˘"}


def mark(kind: str, *slots: str) -> str:
    """Return a marked text: ``mark("frac", "a", "b")`` is the fraction a/b."""
    return _BEGIN + kind + "".join(_NEXT + s for s in slots) + _END


# -- the style -----------------------------------------------------------------------------------------------------------


def below(subs: tuple[str, ...]) -> str:
    """Return subscripts in one text: letters side by side, anything longer with commas."""
    return (_COMMA if all(len(s) == 1 for s in subs) else ",").join(subs)


def lettered(letter: str, under: tuple[str, ...], subs: tuple[str, ...]) -> str:
    """Return a letter with what its name has below, and its subscripts behind that."""
    shown = ",".join([*under, *([below(subs)] if subs else [])])
    return mark("sub", letter, shown) if shown else letter


def _subscripted(name: str, subs: tuple[str, ...]) -> str:
    base, accent, under = parts(name)
    base = TO_GREEK.get(base, base)
    letter = mark("i" if len(base) == 1 else "name", base)
    return lettered(mark("over", letter, ACCENTS[accent]) if accent else letter, tuple(mark("word", w) for w in under), subs)


def _power(base: str, exponent: str, _: bool) -> str:
    return mark("sup", base, exponent)


def _call(op: str, args: tuple[str, ...]) -> str:
    if op == "exp":
        return mark("sup", mark("i", "e"), args[0])
    if op in _FENCES:
        return mark("fence", _FENCES[op], args[0], _FENCES[op])
    return mark("word", _SIGNS.get(op, op)) + f"({', '.join(args)})"


_FENCES = {"abs": "|", "norm": "‖"}
_SIGNS = {"sigmoid": "σ", "prod": "∏", "minimum": "min", "maximum": "max"}


def _over(called: str, letters: str) -> str:
    head, bracket, tail = called.partition("(")
    return mark("sub", head, letters) + bracket + tail if head.count(_BEGIN) == head.count(_END) else mark("sub", called, letters)


def _norm(inner: str, frobenius: bool) -> str:
    bars = mark("fence", "‖", inner, "‖")
    return mark("sub", bars, mark("i", "F")) if frobenius else bars


def _derivative(top: str, bottoms: tuple[str, ...]) -> str:
    curl = mark("sup", "∂", str(len(bottoms))) if len(bottoms) > 1 else "∂"
    return mark("frac", curl + top, " ".join(f"∂{b}" for b in bottoms))


def _decimal(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    power = mark("sup", "10", exponent.replace("-", "−"))
    return text if not e else power if mantissa == "1" else f"{mantissa} · {power}"


MATHML = Style(
    name="mathml",
    minus="−",
    times=" ",
    dot=" · ",
    compare=TEXT.compare,
    greek=lambda n: _subscripted(n, ()),
    subscripted=_subscripted,
    paren=lambda t: f"({t})",
    fraction=lambda a, b: mark("frac", a, b),
    power=_power,
    sqrt=lambda t, _: mark("sqrt", t),
    sum=lambda letters, body: f"{mark('sum', ','.join(letters))} {body}",
    delta=lambda a, b: mark("sub", mark("i", "δ"), below((a, b))),
    inside=lambda s, n: f"[0 ≤ {s} < {n}]",
    derivative=_derivative,
    call=_call,
    decimal=_decimal,
    constants={"pi": mark("i", "π"), "inf": "∞"},
    top="⊤",
    transposed=lambda t: mark("sup", t, "⊤"),
    inverse=lambda t: mark("sup", t, "−1"),
    turned_inverse=lambda t: mark("sup", t, "−⊤"),
    circled=lambda b, e: mark("sup", b, f"∘{e}"),
    word=lambda w: mark("word", w),
    read=lambda base, subs: mark("sub", base, below(subs)),
    over=_over,
    norm=_norm,
    keyword=lambda name, shown: f"{mark('word', name)}={shown}",
    literal=lambda w: mark("word", w),
    beside=below,
    inline=lambda t: f"{_FORMULA}{t}{_WORDS}",
    bar=_BEGIN + "frac",
    above=_BEGIN + "sup",
    exponential=True,
    exp=lambda t: f"{mark('word', 'exp')}({t})",
)


def among_words(text: str) -> list[str | ET.Element]:
    """Return words with formulas among them, in order, each formula as a ``math`` element."""
    pieces: list[str | ET.Element] = []
    for n, piece in enumerate(re.split(f"[{_FORMULA}{_WORDS}]", text)):
        pieces.append(math(piece) if n % 2 else piece)
    return [p for p in pieces if p != ""]


# -- the tree ------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(rf"{_BEGIN}[a-z]+|{_NEXT}|{_END}|[0-9]+(?:\.[0-9]+)?|[A-Za-z]{{2,}}|\s+|.", re.DOTALL)
_OPENING, _CLOSING = {"(": ")", "[": "]", "{": "}", "⌊": "⌋"}, frozenset(")]}⌋")
_OPERATORS = frozenset("+−=<>≥≤≠⊙⊘⊗·,∈×;∘:/…" + _COMMA)
_SIGNED = frozenset("+−")  # in front of an operand these are no operators between two


def math(text: str, display: bool = False) -> ET.Element:
    """Return the ``math`` element of a marked text.

    >>> ET.tostring(math(mark("frac", "a", "b")), encoding="unicode")
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mfrac><mi>a</mi><mi>b</mi></mfrac></math>'
    """
    element = ET.Element("math", {"xmlns": NAMESPACE, **({"displaystyle": "true"} if display else {})})
    element.extend(_Reader(text).row())
    return element


def by_cases(left: str, values: tuple[tuple[str, str], ...]) -> ET.Element:
    """Return ``left = { value if condition``, a line for each case."""
    element = ET.Element("math", {"xmlns": NAMESPACE, "displaystyle": "true"})
    row = ET.SubElement(element, "mrow")
    row.extend(_Reader(left).row())
    leaf("mo", "{", _bar("prefix"), row)
    table = ET.SubElement(row, "mtable", {"class": "cases"})
    for value, condition in values:
        line = ET.SubElement(table, "mtr")
        ET.SubElement(line, "mtd").extend(_Reader(value).row())
        cell = ET.SubElement(line, "mtd")
        leaf("mtext", "if\u00a0", _PLAIN, cell)
        cell.extend(_Reader(condition).row())
    return element


_PLAIN: Mapping[str, str] = {}
_WORD, _NAME, _ROMAN = {"class": "word"}, {"class": "name"}, {"mathvariant": "normal"}


def leaf(tag: str, text: str, attributes: Mapping[str, str] = _PLAIN, parent: ET.Element | None = None) -> ET.Element:
    """Return an element that holds a text and nothing else, put into its parent if it has one."""
    element = ET.Element(tag, {**attributes})
    element.text = text
    if parent is not None:
        parent.append(element)
    return element


_TALL = frozenset({"mfrac", "munder", "munderover", "mtable"})


def _bar(form: str, tall: bool = True) -> dict[str, str]:
    return {"fence": "true", "form": form, "stretchy": "true" if tall else "false"}


class _Reader:
    """The reading of one marked text, from left to right."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def row(self, until: frozenset[str] = frozenset()) -> list[ET.Element]:
        """Return the elements up to one of the tokens ``until``, which is left to be read."""
        found: list[ET.Element] = []
        space = False
        while self.at < len(self.tokens) and self.tokens[self.at] not in until:
            token = self.tokens[self.at]
            self.at += 1
            if token.isspace():
                space = True
                continue
            element = self.element(token, found)
            if found and _operand(found[-1]) and _operand(element):
                self.join(found, element, space)
            found.append(element)
            space = False
        return found

    def join(self, found: list[ET.Element], element: ET.Element, space: bool) -> None:
        """Put what is not seen between two operands: a function is applied, factors are multiplied."""
        if element.get("class") == "brackets" and _word(found[-1]) and not space:
            found.append(leaf("mo", _APPLY))
        elif space:
            found.append(leaf("mo", _INVISIBLE_TIMES, {"lspace": "0", "rspace": "0.17em"}))

    def element(self, token: str, found: list[ET.Element]) -> ET.Element:
        """Return the element that begins with a token."""
        if token.startswith(_BEGIN):
            return self.marked(token[1:])
        if token in _OPENING:
            return self.brackets(token)
        if token[0].isdigit():
            return leaf("mn", token)
        if token in _OPERATORS or token in _CLOSING:
            if token in _SIGNED and (not found or not _operand(found[-1])):
                return leaf("mo", token, {"form": "prefix"})
            return leaf("mo", token)
        return leaf("mi", token, _WORD if len(token) > 1 else _PLAIN)

    def brackets(self, opening: str) -> ET.Element:
        """Return a pair of brackets with what it holds."""
        closing = _OPENING[opening]
        held = self.row(frozenset({closing, _NEXT, _END}))
        closed = self.at < len(self.tokens) and self.tokens[self.at] == closing
        self.at += closed
        return fenced(opening, held, closing if closed else "", "brackets")

    def marked(self, kind: str) -> ET.Element:
        """Return the element of a mark, whose kind was read."""
        slots: list[list[ET.Element]] = []
        texts: list[str] = []
        while self.tokens[self.at] == _NEXT:
            self.at += 1
            start = self.at
            slots.append(self.row(frozenset({_NEXT, _END})))
            texts.append("".join(self.tokens[start : self.at]))
        self.at += 1
        return _MARKS[kind](slots, texts)


def _operand(element: ET.Element) -> bool:
    return element.tag not in ("mo", "munder")


def _word(element: ET.Element) -> bool:
    """Say whether an element is a word, or one with a subscript: what may be applied to brackets."""
    inner = element[0] if element.tag == "msub" else element
    return inner.tag == "mi" and inner.get("class") == "word"


def single(row: list[ET.Element]) -> ET.Element:
    """Return a row as the one element that a slot of MathML needs."""
    if len(row) == 1:
        return row[0]
    group = ET.Element("mrow")
    group.extend(row)
    return group


def branch(tag: str, *children: ET.Element, **attributes: str) -> ET.Element:
    """Return an element that holds others."""
    element = ET.Element(tag, attributes)
    element.extend(children)
    return element


_FLAT = frozenset("^¯~ˇ˘")
Slots = list[list[ET.Element]]


def _sup(slots: Slots, _: list[str]) -> ET.Element:
    base, exponent = single(slots[0]), single(slots[1])
    if base.tag == "msub":  # the exponent stands above the subscript
        return branch("msubsup", *base, exponent)
    return branch("msup", base, exponent)


def _sub(slots: Slots, _: list[str]) -> ET.Element:
    base, under = single(slots[0]), single(slots[1])
    if base.tag == "msup":
        return branch("msubsup", base[0], under, base[1])
    return branch("msub", base, under)


def _over_letter(slots: Slots, texts: list[str]) -> ET.Element:
    sign = leaf("mo", texts[1], {"stretchy": "false"})
    flat = {"accent": "true"} if texts[1] in _FLAT else {}  # a dot or an arrow set as an accent runs into the letter
    return branch("mover", single(slots[0]), sign, **flat)


def _sum(slots: Slots, _: list[str]) -> ET.Element:
    return branch("munder", leaf("mo", "∑"), single(slots[0]))


def _fence(slots: Slots, texts: list[str]) -> ET.Element:
    return fenced(texts[0], slots[1], texts[2], "bars")


def fenced(opening: str, held: list[ET.Element], closing: str, kind: str) -> ET.Element:
    """Return what stands between two signs; they grow with what is tall, and only then: browsers space them wider."""
    tall = any(e.tag in _TALL for one in held for e in one.iter())
    group = ET.Element("mrow", {"class": kind})
    leaf("mo", opening, _bar("prefix", tall), group)
    group.extend(held)
    if closing:
        leaf("mo", closing, _bar("postfix", tall), group)
    return group


def _identifier(_: Slots, texts: list[str]) -> ET.Element:
    return leaf("mi", texts[0])


_MARKS: dict[str, Callable[[Slots, list[str]], ET.Element]] = {
    "frac": lambda slots, texts: branch("mfrac", single(slots[0]), single(slots[1])),
    "sup": _sup,
    "sub": _sub,
    "sqrt": lambda slots, texts: branch("msqrt", *slots[0]),
    "over": _over_letter,
    "sum": _sum,
    "fence": _fence,
    "i": _identifier,
    "row": lambda slots, texts: single(slots[0]),
    "word": lambda slots, texts: leaf("mn", texts[0]) if texts[0].isdigit() else leaf("mi", texts[0], _WORD),
    "roman": lambda slots, texts: leaf("mi", texts[0], _ROMAN),
    "name": lambda slots, texts: leaf("mi", texts[0], _NAME),
}
