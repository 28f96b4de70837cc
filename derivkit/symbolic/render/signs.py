"""The signs that a formula of somebody's document is set with: leaves, brackets, scripts and letters of MathML.

What stands in a document is text of somebody else: every leaf goes through ``echo``, and XML escapes the rest.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TypeAlias
from xml.etree import ElementTree as ET

from derivkit.errors import echo
from derivkit.symbolic.render.mathml import ACCENTS, branch, fenced, single
from derivkit.symbolic.render.mathml import leaf as bare
from derivkit.symbolic.render.names import TO_GREEK, parts

Row: TypeAlias = list[ET.Element]

LONGEST = 200  # characters of a word
TIMES, APPLY, COMMA, SPACE = "\u2062", "\u2061", "\u2063", "\u00a0"

#: Letters and signs that are no names of the language.
LETTERS = {
    **TO_GREEK,
    **dict(zip("lambda nu xi kappa iota upsilon Upsilon varepsilon vartheta varphi".split(), "λνξκιυΥεϑφ", strict=True)),
    **dict(zip("varpi varrho varsigma ell hbar imath jmath aleph wp Re Im".split(), "ϖϱςℓℏıȷℵ℘ℜℑ", strict=True)),
    **dict(zip("infty inf star ast prime dagger nabla emptyset top bot square".split(), "∞∞∗∗′†∇∅⊤⊥□", strict=True)),
}
_ALPHABETS = {"bold": "BOLD", "cal": "SCRIPT", "bb": "DOUBLE-STRUCK"}
_FLAT = frozenset("^¯~ˇ˘")  # a dot or an arrow set as an accent runs into the letter


def leaf(tag: str, text: str, **attributes: str) -> ET.Element:
    """Return an element of somebody's text."""
    return bare(tag, echo(text, LONGEST) or SPACE, attributes)


def operator(sign: str, **attributes: str) -> ET.Element:
    """Return a sign of ours."""
    return bare("mo", sign, attributes)


def times(sign: str) -> ET.Element:
    """Return the sign of a product; one that is not seen takes a little space."""
    return operator(sign, lspace="0", rspace="0.17em") if sign == TIMES else operator(sign)


def words(text: str) -> ET.Element:
    """Return prose inside a formula, with space around."""
    return bare("mtext", f"{SPACE}{echo(' '.join(text.split()), LONGEST)}{SPACE}")


def brackets(row: Row, pair: str = "()") -> ET.Element:
    """Return a row between two signs."""
    return fenced(pair[0], row, pair[1], "brackets" if pair in ("()", "[]", "{}", "⌊⌋") else "bars")


def joined(rows: Iterable[Row], sign: str = ",") -> Row:
    """Return rows one behind the other with a sign between them."""
    made: Row = []
    for number, row in enumerate(rows):
        made += [*([operator(sign)] if number else []), *row]
    return made


def scripts(base: Row, under: Row | None = None, above: Row | None = None) -> Row:
    """Return a base with what stands below and above it, one over the other where the base has one of them already."""
    core = single(base)
    if core.tag == "msub" and not under:
        core, under = core[0], [core[1]]
    elif core.tag == "msup" and not above:
        core, above = core[0], [core[1]]
    if under and above:
        return [branch("msubsup", core, single(under), single(above))]
    if under:
        return [branch("msub", core, single(under))]
    return [branch("msup", core, single(above))] if above else base


def below(base: Row, under: Row) -> Row:
    """Return a letter with subscripts; what its name has below already stands in front of them."""
    core = single(base)
    if core.tag not in ("msub", "msubsup"):
        return scripts(base, under)
    return scripts([core[0]], [core[1], operator(","), *under], list(core[2:]))


def named(name: str, style: str, label: Row | None) -> Row:
    """Return a letter or word by its name, in a style, with what stands above it.

    >>> [ET.tostring(e, encoding="unicode") for e in named("x_hat_max", "", None)]
    ['<msub><mover accent="true"><mi>x</mi><mo stretchy="false">^</mo></mover><mi class="word">max</mi></msub>']
    """
    base, accent, under = parts(name)
    letter = _letter(base, style)
    if accent:
        flat = {"accent": "true"} if ACCENTS[accent] in _FLAT else {}
        letter = branch("mover", letter, operator(ACCENTS[accent], stretchy="false"), **flat)
    primes = under.count("prime")
    above = [*([operator("′" * primes)] if primes else []), *(label or [])]
    return scripts([letter], joined([_letter(word)] for word in under if word != "prime"), above)


def _letter(name: str, style: str = "") -> ET.Element:
    text = LETTERS.get(name, name)
    if text.isdigit():
        return leaf("mn", text)
    if style in _ALPHABETS:
        text = "".join(_styled(c, _ALPHABETS[style]) for c in text)
    upright = {"mathvariant": "normal"} if style in ("text", "op") and len(text) == 1 else {}
    return leaf("mi", text, **upright, **({"class": "word"} if len(text) > 1 else {}))


def _styled(letter: str, alphabet: str) -> str:
    """Return a letter of one of Unicode's mathematical alphabets, as far as there is one."""
    name = unicodedata.name(letter, "").replace("LATIN ", "").replace("GREEK ", "").replace("LETTER ", "")
    for known in (f"MATHEMATICAL {alphabet} {name}", f"{alphabet} {name}"):
        try:
            return unicodedata.lookup(known)
        except KeyError:
            continue
    return letter
