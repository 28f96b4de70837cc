r"""Labels: what stands on the page for a name, ``\hat{x}`` for ``x``, read from an allow-list and written anew in each format.

A label is letters, digits, Greek and six commands with braces, ``_`` and ``^``: nothing else gets through, so that whatever
is given, a page stays a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.symbolic.expr import Name
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.parse.lexer import ascii_name
from derivkit.symbolic.render.mathml import ACCENTS, below, mark
from derivkit.symbolic.render.names import text_name
from derivkit.symbolic.render.styles import Style

_LONGEST, _DEEPEST = 60, 6

_LOWER = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
_UPPER = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
_GREEK = dict(zip((*_LOWER.split(), *_UPPER.split()), "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", strict=True))
_MACROS = {letter: name for name, letter in _GREEK.items()}
_COMBINING = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "vec": "\u20d7", "dot": "\u0307"}
_COMMANDS = ("mathbf", "mathcal", "mathrm", "hat", "tilde", "bar", "vec")  # a dot is a tangent's, not a label's

_TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z0-9_^{}]|[" + "".join(_MACROS) + r"]| +")
_ALLOWED = r"letters, digits, Greek, \mathbf \mathcal \mathrm \hat \tilde \bar \vec, braces, _ and ^"


class Sign(NamedTuple):
    """One letter or digit, or with a ``command`` what it is applied to, with what stands below and above."""

    text: str = ""
    command: str = ""
    inner: Label = ()
    below: Label = ()
    above: Label = ()


Label = tuple[Sign, ...]


def read_labels(given: Mapping[str, str] | None, names: Iterable[str]) -> dict[str, Label]:
    r"""Return the labels of names; DK006 for what is not allowed, DK008 for a name that the program does not have.

    >>> written(read_labels({"W1": r"\mathbf W_1"}, ["W1"])["W1"], "text")
    '𝐖_1'
    """
    known = list(dict.fromkeys(names))
    labels: dict[str, Label] = {}
    if given is not None and not isinstance(given, Mapping):
        raise DerivkitError("labels= is a mapping of names to labels", code="DK010", hint=r"labels={'W1': r'\mathbf W_1'}")
    for word, text in (given or {}).items():
        name = ascii_name(str(word))
        if not isinstance(text, str):
            raise DerivkitError(f"the label of '{echo(word)}' is text, not {echo(repr(text))}", code="DK006")
        if name not in known:
            hint = did_you_mean(name, known) or f"one of {', '.join(known)}"
            raise DerivkitError(f"a label for '{echo(word)}', which the program does not name", code="DK008", hint=hint)
        if name in labels:
            raise DerivkitError(f"two labels for '{echo(word)}'", code="DK011")
        labels[name] = read_label(text)
    shown = {name: written(labels[name], "text") if name in labels else text_name(name) for name in known}
    for name in labels:
        twin = next((n for n in known if n != name and shown[n] == shown[name]), None)
        if twin is not None:
            hint = "a reader could not tell them apart"
            raise DerivkitError(f"'{name}' and '{twin}' would both be printed as '{shown[name]}'", code="DK011", hint=hint)
    return labels


def read_label(text: str) -> Label:
    r"""Return a label's signs, or raise DK006.

    >>> read_label(r"\theta_1")
    (Sign(text='θ', command='', inner=(), below=(Sign(text='1', command='', inner=(), below=(), above=()),), above=()),)
    """
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        raise _refused(text, f"a label has 1 to {_LONGEST} characters")
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        wrong = next(c for n, c in enumerate(text) if not _TOKEN.match(text, n))
        raise _refused(text, f"'{echo(wrong)}' is not among {_ALLOWED}")
    reader = _Reader(text, [t for t in tokens if not t.isspace()])
    label = reader.signs(0)
    if reader.tokens:
        raise _refused(text, "a } has no {")
    return label


def _refused(text: object, why: str) -> DerivkitError:
    return DerivkitError(f"label '{echo(text)}' not allowed: {why}", code="DK006", hint=r"for example \mathbf{W}_1 or \hat{x}")


class _Reader:
    """The reading of one label, token by token."""

    def __init__(self, text: str, tokens: list[str]) -> None:
        self.text, self.tokens = text, tokens

    def signs(self, depth: int) -> Label:
        """Return the signs up to a closing brace or the end."""
        found: list[Sign] = []
        while self.tokens and self.tokens[0] != "}":
            token = self.tokens[0]
            if token in ("_", "^"):
                self.tokens.pop(0)
                last = found[-1] if found else Sign()
                if not found or (last.below if token == "_" else last.above):
                    raise _refused(self.text, f"{token} needs a letter, once")
                script = self.argument(depth)
                found[-1] = last._replace(below=script) if token == "_" else last._replace(above=script)
            else:
                found += self.plain(depth)
        if not found:
            raise _refused(self.text, "braces hold something")
        return tuple(found)

    def argument(self, depth: int) -> Label:
        """Return what a command, ``_`` or ``^`` is applied to."""
        if not self.tokens or self.tokens[0] in ("_", "^", "}"):
            raise _refused(self.text, "something is missing at the end")
        return self.plain(depth)

    def plain(self, depth: int) -> Label:
        """Return one letter, one command with its argument, or what a pair of braces holds."""
        token = self.tokens.pop(0)
        if depth > _DEEPEST:
            raise _refused(self.text, "nested too deep")
        if token == "{":
            inner = self.signs(depth + 1)
            if not self.tokens:
                raise _refused(self.text, "a { has no }")
            self.tokens.pop(0)
            return inner
        if not token.startswith("\\"):
            return (Sign(token),)
        word = token[1:]
        if word in _GREEK:
            return (Sign(_GREEK[word]),)
        if word not in _COMMANDS:
            meant = did_you_mean(word, (*_COMMANDS, *_GREEK))
            raise _refused(self.text, f"'{echo(token)}' is not among {_ALLOWED}" + (f" ({meant})" if meant else ""))
        return (Sign(command=word, inner=self.argument(depth + 1)),)


# -- writing -------------------------------------------------------------------------------------------------------------


def written(label: Label, style: str, subs: tuple[str, ...] = ()) -> str:
    r"""Return a label in the notation of a style, its last letter with ``subs`` behind what it has below.

    >>> for style in ("text", "latex"):
    ...     print(written(read_label(r"\hat\theta_1"), style, ("i", "j")))
    θ̂_{1,ij}
    \hat{\theta}_{1,ij}
    """
    return _WRITERS[style](label, subs)


def _latex(label: Label, subs: tuple[str, ...] = ()) -> str:
    text = ""
    for n, sign in enumerate(label):
        if sign.command:
            text += rf"\{sign.command}{{{_latex(sign.inner)}}}"
        else:
            macro = _MACROS.get(sign.text)
            text += sign.text if macro is None else rf"\{macro}" + (" " if n + 1 < len(label) and not sign.below else "")
        under = _under(_latex(sign.below), subs if n + 1 == len(label) else (), "")
        text += (f"_{{{under}}}" if under else "") + (f"^{{{_latex(sign.above)}}}" if sign.above else "")
    return text


def _text(label: Label, subs: tuple[str, ...] = ()) -> str:
    text = ""
    for n, sign in enumerate(label):
        text += _COMMANDED[sign.command](_text(sign.inner)) if sign.command else sign.text
        under = _under(_text(sign.below), subs if n + 1 == len(label) else (), "")
        for mark_, script in (("_", under), ("^", _text(sign.above))):
            text += f"{mark_}{script}" if script.isalnum() else f"{mark_}{{{script}}}" if script else ""
    return text


def _mathml(label: Label, subs: tuple[str, ...] = ()) -> str:
    pieces = []
    for n, sign in enumerate(label):
        piece = _commanded_mathml(sign) if sign.command else mark("i", sign.text)
        under = _under(_mathml(sign.below), subs if n + 1 == len(label) else (), None)
        piece = mark("sub", piece, under) if under else piece
        pieces.append(mark("sup", piece, _mathml(sign.above)) if sign.above else piece)
    return pieces[0] if len(pieces) == 1 else mark("row", "".join(pieces)) if pieces else ""


def _commanded_mathml(sign: Sign) -> str:
    if sign.command in ACCENTS:
        return mark("over", _mathml(sign.inner), ACCENTS[sign.command])
    if any(s.command or s.below or s.above for s in sign.inner):
        return _mathml(sign.inner)  # a font reaches letters only
    word = _COMMANDED[sign.command](_text(sign.inner))
    if sign.command != "mathrm":
        return mark("row", "".join(mark("i", c) for c in word))
    return mark("roman" if len(word) == 1 else "word", word)


def _under(own: str, subs: tuple[str, ...], comma: str | None) -> str:
    """Return what stands below: the label's own, then the subscripts of the array."""
    joined = below(subs) if comma is None else ("" if all(len(s) == 1 for s in subs) else ",").join(subs)
    return ",".join(p for p in (own, joined) if p)


_SCRIPT = {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ", "e": "ℯ", "g": "ℊ", "o": "ℴ"}
_CAPITALS, _SMALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"


def _alphabet(capital: int, small: int, digit: int = 0) -> dict[str, str]:
    letters = {c: chr(start + n) for start, row in ((capital, _CAPITALS), (small, _SMALL)) for n, c in enumerate(row)}
    return letters | ({str(n): chr(digit + n) for n in range(10)} if digit else {})


#: Unicode's mathematical alphabets: bold, and script with the letters that were there before it.
_BOLD_LETTERS = str.maketrans(_alphabet(0x1D400, 0x1D41A, 0x1D7CE))
_SCRIPT_LETTERS = str.maketrans(_alphabet(0x1D49C, 0x1D4B6) | _SCRIPT)


def _accent(sign: str) -> Callable[[str], str]:
    return lambda text: text[:1] + sign + text[1:]


_COMMANDED: dict[str, Callable[[str], str]] = {
    "mathbf": lambda t: t.translate(_BOLD_LETTERS),
    "mathcal": lambda t: t.translate(_SCRIPT_LETTERS),
    "mathrm": lambda t: t,
    **{name: _accent(sign) for name, sign in _COMBINING.items()},
}
_WRITERS: dict[str, Callable[[Label, tuple[str, ...]], str]] = {"latex": _latex, "text": _text, "mathml": _mathml}


def names_of(graph: Graph) -> tuple[str, ...]:
    """Return the names that may have a label: those of the arrays, and the sizes."""
    arrays = [*graph.inputs, *graph.extra, *(d.name for d in graph)]
    shapes = [*(i.shape for i in (*graph.inputs.values(), *graph.extra.values())), *(d.shape for d in graph)]
    ours = ("adjoint", "local", "anon")
    return (*(str(n) for n in arrays if n.kind not in ours), *sorted({n for shape in shapes for s in shape for n in s.names()}))


def with_derived(labels: Mapping[str, Label], graph: Graph) -> dict[str, Label]:
    """Return the labels, and for the tangent or cotangent of a name with a label that label with a dot or a bar."""
    names = [*graph.inputs, *graph.extra, *(d.name for d in graph)]
    own = {str(n) for n in names if n.kind == "user"}
    found = dict(labels)
    for name in (n for n in names if str(n) in labels):
        *others, last = label = labels[str(name)]
        alone = Sign(last.text, last.command, last.inner)
        for kind, accent in _DERIVED.items():
            derived = str(Name(kind, "", of=name))
            if derived not in own and derived not in labels:
                over = last._replace(text="", command=accent, inner=(alone,))
                found[derived] = (Sign(command=accent, inner=label),) if others else (over,)
    return found


_DERIVED = {"tangent": "dot", "cotangent": "bar"}


def letters_of(labels: Mapping[str, Label]) -> tuple[str, ...]:
    """Return how labels look in plain text: letters that no index may have."""
    return tuple(_text(label) for label in labels.values())


def labelled(style: Style, labels: Mapping[str, Label]) -> Style:
    """Return a style that prints the labels for their names."""
    if not labels:
        return style

    def subscripted(name: str, subs: tuple[str, ...]) -> str:
        return written(labels[name], style.name, subs) if name in labels else style.subscripted(name, subs)

    return replace(style, subscripted=subscripted, greek=lambda name: subscripted(name, ()), labels=frozenset(labels))
