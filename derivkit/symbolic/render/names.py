"""How the author's names are read: ``x_hat`` is x with a hat, ``W1`` is W with a 1 below, ``alpha`` is α."""

from __future__ import annotations

import re
from typing import NamedTuple

from derivkit.symbolic.parse.lexer import GREEK

TO_GREEK = {name: letter for letter, name in GREEK.items()}
_ACCENTS = frozenset({"hat", "bar", "tilde", "dot", "ddot", "vec", "check", "breve"})
_NAME = re.compile(r"(?P<base>.*?)(?P<digits>[0-9]*)(?:_(?P<rest>.+))?")


class Parts(NamedTuple):
    """A name taken apart: a letter or a word, the accent on it (or ``""``), and what stands below."""

    base: str
    accent: str = ""
    below: tuple[str, ...] = ()


def parts(name: str) -> Parts:
    """Return a name taken apart.

    >>> parts("x_hat_k")
    Parts(base='x', accent='hat', below=('k',))
    """
    found = _NAME.fullmatch(_freed(name))
    if found is None or not found["base"]:
        return Parts(name)
    words = [w for w in (found["rest"] or "").split("_") if w]
    accent = next((w for w in words if w in _ACCENTS), "")
    if accent:
        words.remove(accent)
    return Parts(found["base"], accent, (*([found["digits"]] if found["digits"] else []), *words))


def text_name(name: str) -> str:
    """Return a name with Greek letters: ``alpha`` is α, ``sigma2`` is σ2.

    >>> text_name("sigma2"), text_name("x_hat"), text_name("pi_")
    ('σ2', 'x_hat', 'π')
    """
    found = re.fullmatch(r"([A-Za-z]+)(.*)", _freed(name))
    return TO_GREEK[found[1]] + found[2] if found and found[1] in TO_GREEK else name


def _freed(name: str) -> str:
    """Return a Greek name without the underscore that keeps it apart from a constant or a keyword: ``pi_``, ``lambda_``."""
    return name[:-1] if name.endswith("_") and name[:-1] in TO_GREEK else name


def latex_name(name: str) -> tuple[str, str]:
    r"""Return the LaTeX of a name in two parts: the letter with its accent, and what stands in the subscript.

    >>> latex_name("W1"), latex_name("x_hat"), latex_name("alpha"), latex_name("loss")
    (('W', '1'), ('\\hat{x}', ''), ('\\alpha', ''), ('\\mathit{loss}', ''))
    """
    base, accent, below = parts(name)
    if base in TO_GREEK:
        letter = r"\lambda" if base == "lamda" else f"\\{base}"
    else:
        letter = base if len(base) == 1 else rf"\mathit{{{escape_word(base)}}}"
    if accent:
        letter = rf"\{accent}{{{letter}}}"
    return letter, ",".join(w if w.isdigit() or len(w) == 1 else rf"\mathrm{{{escape_word(w)}}}" for w in below)


def ends_below(text: str) -> bool:
    r"""Say whether LaTeX ends with a subscript, to which TeX lets no other be joined: ``x_{1}``, ``A_{1}^{-1}``.

    >>> ends_below("x_{1}"), ends_below(r"\hat{x}"), ends_below("A_{1}^{-1}"), ends_below("f(x_{1})")
    (True, False, True, False)
    """
    while text:
        start, depth = len(text) - 1, 0
        while start >= 0:
            depth += (text[start] == "}") - (text[start] == "{")
            if not depth:
                break
            start -= 1
        before = text[start - 1] if start > 0 else ""
        if before != "^":
            return before == "_"
        text = text[: start - 1]
    return False


def escape_word(word: str) -> str:
    """Return a word for LaTeX's math mode."""
    return word.replace("_", r"\_")
