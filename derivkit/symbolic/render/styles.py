"""The styles of the one notation, as tables: text with Unicode signs, LaTeX with amsmath, program text (MathML: see there)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

from derivkit.symbolic.elementary import rounded
from derivkit.symbolic.expr import Name
from derivkit.symbolic.index import FloorDiv, Size, SizeAtom
from derivkit.symbolic.ops import OPS
from derivkit.symbolic.render.names import ends_below, escape_word, latex_name
from derivkit.symbolic.render.names import text_name as text_name

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_COMPARISON = {"greater": ">", "less": "<", "greater_equal": "≥", "less_equal": "≤", "equal": "=", "not_equal": "≠"}
_COMPARE_LATEX = {**_COMPARISON, "greater_equal": r"\ge", "less_equal": r"\le", "not_equal": r"\ne"}
_COMPARE_PROGRAM = {**_COMPARISON, "greater_equal": ">=", "less_equal": "<=", "equal": "==", "not_equal": "!="}


def _joined(subs: tuple[str, ...]) -> str:
    return "".join(subs) if all(len(s) == 1 for s in subs) else ",".join(subs)


def _text_read(base: str, subs: tuple[str, ...]) -> str:
    joined = _joined(subs)
    return f"{base}_{joined}" if joined.isalnum() else f"{base}_{{{joined}}}"


def _text_over(called: str, letters: str) -> str:
    head, bracket, tail = called.partition("(")
    return head + (f"_{letters}" if len(letters) == 1 else f"_{{{letters}}}") + bracket + tail


@dataclass(frozen=True)
class Style:
    """One style: signs, and small functions from texts to text.

    ``times`` joins factors, ``dot`` those that would run together; ``fraction`` is ``None`` where a quotient is written in
    one line; ``last`` says whether a Σ is written behind the other factors, reaching to the end of its term.  ``read`` reads an
    expression at subscripts; ``inline`` sets a formula among ``words``; ``bar`` is how a fraction begins and
    ``above`` what stands above; ``exponential``:
    exp is a power of e; ``between`` stands between two arrays side by side; ``labels`` are the names that are printed otherwise.
    """

    name: str
    minus: str
    times: str
    dot: str
    compare: dict[str, str]
    greek: Callable[[str], str]
    subscripted: Callable[[str, tuple[str, ...]], str]
    paren: Callable[[str], str]
    fraction: Callable[[str, str], str] | None
    power: Callable[[str, str, bool], str]
    sqrt: Callable[[str, bool], str]
    sum: Callable[[tuple[str, ...], str], str]
    delta: Callable[[str, str], str]
    inside: Callable[[str, str], str]
    derivative: Callable[[str, tuple[str, ...]], str]
    call: Callable[[str, tuple[str, ...]], str]
    decimal: Callable[[str], str]
    last: bool = True
    constants: dict[str, str] = field(default_factory=dict)
    entrywise: tuple[str, str] = ("⊙", "⊘")
    between: Callable[[str, str], str] = lambda left, right: " "
    kronecker: str = " ⊗ "
    top: str = "ᵀ"
    colon: str = ":"
    transposed: Callable[[str], str] = lambda t: f"{t}ᵀ"
    inverse: Callable[[str], str] = lambda t: f"{t}⁻¹"
    turned_inverse: Callable[[str], str] = lambda t: f"{t}⁻ᵀ"
    circled: Callable[[str, str], str] = lambda b, e: f"{b}^∘{e}"
    ones: str = "𝟏"
    word: Callable[[str], str] = lambda w: w
    read: Callable[[str, tuple[str, ...]], str] = _text_read
    over: Callable[[str, str], str] = _text_over
    norm: Callable[[str, bool], str] = lambda t, frobenius: f"‖{t}‖" + ("_F" if frobenius else "")
    literal: Callable[[str], str] = lambda w: w
    beside: Callable[[tuple[str, ...]], str] = _joined
    keyword: Callable[[str, str], str] = lambda name, shown: f"{name}={shown}"
    inline: Callable[[str], str] = lambda t: t
    words: Callable[[str], str] = lambda t: t
    bar: str = ""
    above: str = "^"
    exponential: bool = False
    labels: frozenset[str] = frozenset()
    exp: Callable[[str], str] = lambda t: f"exp({t})"

    def product(self, *factors: str) -> str:
        """Return factors side by side, as arrays are written."""
        text = factors[0] if factors else ""
        for before, factor in pairwise(factors):
            text += self.between(before, factor) + factor
        return text

    def variable(self, name: Name) -> str:
        """Return a name without subscripts."""
        return self.greek(str(name))

    def barred(self, text: str) -> bool:
        """Say whether a text begins with a fraction."""
        return bool(self.bar) and text.startswith(self.bar)

    def raised(self, text: str) -> bool:
        """Say whether a name as it is printed has something above it already."""
        return self.above in text

    def size(self, size: Size) -> str:
        """Return a size polynomial: ``L−2R+1``, ``L-2*R+1``."""
        return str(size) if self.name == "program" else _size(size, self)


# -- sizes and subscripts ------------------------------------------------------------------------------------------------


def _size(size: Size, style: Style) -> str:
    def atom(a: SizeAtom) -> str:
        if isinstance(a, FloorDiv):
            top, bottom = _size(a.numerator, style), _size(a.denominator, style)
            bottom = bottom if bottom.isalnum() else f"({bottom})"
            top = top if top.isalnum() else f"({top})"
            inner = rf"{top}/{bottom}"
            return rf"\lfloor {inner} \rfloor" if style.name == "latex" else f"⌊{inner}⌋"
        return style.subscripted(a, ())

    text = ""
    for monomial, c in size.written:
        counts = Counter(monomial)
        atoms = [atom(a) if n == 1 else style.power(atom(a), str(n), True) for a, n in counts.items()]
        names = (" " if style.name == "latex" else "").join(atoms)
        if style.name == "text" and any(isinstance(a, str) and len(a) > 1 for a in monomial):
            names = "·".join(atoms)
        sign = style.minus if c < 0 else "+" if text else ""
        count = "" if abs(c) == 1 and names else str(abs(c))
        text += sign + count + (" " if count and style.name == "latex" and names else "") + names
    return text or "0"


def _text_subscripted(name: str, subs: tuple[str, ...]) -> str:
    shown = text_name(name)
    if not subs:
        return shown
    joined = _joined(subs)
    return f"{shown}_{joined}" if joined.isalnum() else f"{shown}_{{{joined}}}"


def _latex_subscripted(name: str, subs: tuple[str, ...]) -> str:
    letter, below = latex_name(name)
    joined = _joined(subs)
    both = ",".join(p for p in (below, joined) if p)
    return f"{letter}_{{{both}}}" if both else letter


def _program_subscripted(name: str, subs: tuple[str, ...]) -> str:
    return f"{name}[{','.join(subs)}]" if subs else name


_WORDS: Mapping[str, str] = {
    **{c: f"\\{c}" for c in "_%&#${}"},
    **{
        "¹": "$^1$",
        "²": "$^2$",
        "³": "$^3$",
        "ˣ": "$^x$",
        "−": "$-$",
        "Σ": r"$\sum$",
        "∂": r"$\partial$",
        "·": r"$\cdot$",
        "ᵀ": r"$^\top$",
    },
    **{"σ": r"$\sigma$", "δ": r"$\delta$", "λ": r"$\lambda$", "α": r"$\alpha$", "π": r"$\pi$", "Φ": r"$\Phi$", "φ": r"$\varphi$"},
    **{"√": r"$\surd$", "≤": r"$\le$", "≥": r"$\ge$", "≠": r"$\ne$", "<": "$<$", ">": "$>$", "|": r"$\vert$", "^": r"\^{}"},
    **{"∈": r"$\in$", "×": r"$\times$", "⊙": r"$\odot$", "…": r"\dots{}", "\\": r"\textbackslash{}", "~": r"\~{}", "⁻": "$^-$"},
}


def escaped(text: str) -> str:
    r"""Return words for LaTeX's text mode.

    >>> print(escaped("t_k is 100 %, h²"))
    t\_k is 100 \%, h$^2$
    """
    return "".join(_WORDS.get(c, c) for c in text)


# -- the records ---------------------------------------------------------------------------------------------------------


def _latex_over(called: str, letters: str) -> str:
    head, bracket, tail = called.partition(r"\left(")
    if not bracket:
        head, bracket, tail = called.partition("(")
    return f"{head}_{{{letters}}}{bracket}{tail}"


def _latex_word(word: str) -> str:
    return r"\mathrm{diag}" if word == "diag" else rf"\operatorname{{{escape_word(word)}}}"


_WORD_FIRST = re.compile(r"\\math(?:it|rm)\{")
_WORD_LAST = re.compile(r"\\math(?:it|rm)\{[^{}]*\}(?:\^\\top|[_^]\{(?:[^{}]|\{[^{}]*\})*\})*$")


def _latex_between(left: str, right: str) -> str:
    """Return a thin space beside a word, whose letters would run into its neighbour's."""
    return r" \, " if _WORD_FIRST.match(right) or _WORD_LAST.search(left) else " "


def _latex_paren(text: str) -> str:
    tall = any(sign in text for sign in (r"\frac", r"\sum", r"\left", r"\prod"))
    return rf"\left({text}\right)" if tall else f"({text})"


def _text_power(base: str, exponent: str, simple: bool) -> str:
    if exponent.isdigit():
        return base + exponent.translate(_SUPERSCRIPT)
    return f"{base}^{exponent}" if simple else f"{base}^({exponent})"


def _text_derivative(top: str, bottoms: tuple[str, ...]) -> str:
    order = str(len(bottoms)).translate(_SUPERSCRIPT) if len(bottoms) > 1 else ""
    return f"∂{order}{top}/" + "".join(f"∂{b}" for b in bottoms)


def _latex_derivative(top: str, bottoms: tuple[str, ...]) -> str:
    order = f"^{{{len(bottoms)}}}" if len(bottoms) > 1 else ""
    return rf"\frac{{\partial{order} {top}}}{{" + r" \, ".join(rf"\partial {b}" for b in bottoms) + "}"


def _text_sum(letters: tuple[str, ...], body: str) -> str:
    return f"Σ_{letters[0]} {body}" if len(letters) == 1 and len(letters[0]) == 1 else f"Σ_{{{','.join(letters)}}} {body}"


def _text_delta(left: str, right: str) -> str:
    return f"δ_{left}{right}" if len(left) == len(right) == 1 else f"δ_{{{left},{right}}}"


def _text_call(op: str, args: tuple[str, ...]) -> str:
    return f"|{args[0]}|" if op == "abs" else f"{op}({', '.join(args)})"


def _latex_call(op: str, args: tuple[str, ...]) -> str:
    row = OPS[op]
    if not row.latex or any(f"{{{p}}}" not in row.latex for p in row.parameters[: len(args)] if row.group == "elementwise"):
        return rf"\operatorname{{{escape_word(op)}}}" + _latex_paren(", ".join(args))
    template = row.latex
    if template.endswith(" {x}"):
        template = template[:-4] + "({x})"  # \log {x}: always with parentheses, so that it never runs on
    shown = template.format(**dict(zip(row.parameters, args, strict=False)))
    opening = template.find("({")
    if opening >= 0 and template.endswith("})") and _latex_paren(shown).startswith(r"\left"):
        head = template[:opening].format()
        return head + _latex_paren(shown[len(head) + 1 : -1])
    return shown


def _latex_decimal(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    power = f"10^{{{exponent}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"


TEXT = Style(
    name="text",
    minus="−",
    times=" ",
    dot=" · ",
    compare=_COMPARISON,
    greek=text_name,
    subscripted=_text_subscripted,
    paren=lambda t: f"({t})",
    fraction=None,
    power=_text_power,
    sqrt=lambda t, simple: f"√{t}" if simple else f"√({t})",
    sum=_text_sum,
    delta=_text_delta,
    inside=lambda s, n: f"[0 ≤ {s} < {n}]",
    derivative=_text_derivative,
    call=_text_call,
    decimal=lambda t: t,
    constants={"pi": "π", "inf": "∞"},
)

LATEX = Style(
    name="latex",
    minus="-",
    times=r" \, ",
    dot=r" \cdot ",
    compare=_COMPARE_LATEX,
    greek=lambda n: _latex_subscripted(n, ()),
    subscripted=_latex_subscripted,
    paren=_latex_paren,
    fraction=lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    power=lambda b, e, _: f"{b}^{{{e}}}",
    sqrt=lambda t, _: rf"\sqrt{{{t}}}",
    sum=lambda letters, body: rf"\sum_{{{','.join(letters)}}} {body}",
    delta=lambda a, b: rf"\delta_{{{a}{b}}}" if len(a) == len(b) == 1 else rf"\delta_{{{a},{b}}}",
    inside=lambda s, n: rf"[0 \le {s} < {n}]",
    derivative=_latex_derivative,
    call=_latex_call,
    decimal=_latex_decimal,
    constants={"pi": r"\pi", "inf": r"\infty"},
    entrywise=(r"\odot", r"\oslash"),
    between=_latex_between,
    kronecker=r" \otimes ",
    top=r"^\top",
    colon="{:}",
    transposed=lambda t: rf"{t}^\top",
    inverse=lambda t: f"{t}^{{-1}}",
    turned_inverse=lambda t: rf"{t}^{{-\top}}",
    circled=lambda b, e: rf"{b}^{{\circ {e}}}",
    ones=r"\mathbf{1}",
    word=_latex_word,
    read=lambda base, subs: f"{f'({base})' if ends_below(base) else base}_{{{_joined(subs)}}}",
    over=_latex_over,
    norm=lambda t, frobenius: rf"\lVert {t} \rVert" + ("_F" if frobenius else ""),
    literal=lambda w: rf"\mathrm{{{escape_word(w)}}}",
    keyword=lambda name, shown: rf"\mathrm{{{escape_word(name)}}}{{=}}{shown}",
    words=escaped,
    inline=lambda t: rf"$\textstyle {t}$",
    bar=r"\frac",
    exponential=True,
    exp=lambda t: r"\exp" + _latex_paren(t),
)

PROGRAM = Style(
    name="program",
    minus="-",
    times=" * ",
    dot=" * ",
    compare=_COMPARE_PROGRAM,
    greek=lambda n: n,
    subscripted=_program_subscripted,
    paren=lambda t: f"({t})",
    fraction=None,
    power=lambda b, e, simple: f"{b}**{e}" if simple else f"{b}**({e})",
    sqrt=lambda t, _: f"sqrt({t})",
    sum=lambda letters, body: f"sum[{','.join(letters)}]({body})",
    delta=lambda a, b: f"delta[{a},{b}]",
    inside=lambda s, n: f"ones({n})[{s}]",  # reading a vector of ones out of its range gives 0
    derivative=lambda top, bottoms: f"d{top}_" + "".join(f"d{b}" for b in bottoms),
    call=lambda op, args: f"{op}({', '.join(args)})",
    decimal=lambda t: t,
    last=False,
    constants={"pi": "pi", "inf": "inf"},
)

STYLES: dict[str, Style] = {s.name: s for s in (TEXT, LATEX, PROGRAM)}


def style_for(style: str | Style, names: Container[str]) -> Style:
    r"""Return the style for a program: where ``e`` is one of its names, the exponential is ``\exp`` and no power of it."""
    style = STYLES[style] if isinstance(style, str) else style
    if not style.exponential or "e" not in names:
        return style
    call = style.call
    return replace(style, exponential=False, call=lambda op, args: style.exp(args[0]) if op == "exp" else call(op, args))


def number(value: Fraction) -> tuple[str, str]:
    """Return a non-negative rational number as (numerator, denominator), the latter empty for integers and decimals.

    >>> number(Fraction(1, 2)), number(Fraction(2, 3)), number(Fraction("0.044715")), number(Fraction(1, 100000))
    (('1', '2'), ('2', '3'), ('0.044715', ''), ('1e-5', ''))
    """
    top, bottom = value.numerator, value.denominator
    if nearest := rounded(value):
        return nearest, ""
    if bottom == 1:
        digits = str(top)
        zeros = len(digits) - len(digits.rstrip("0"))
        return (f"{digits[:-zeros]}e{zeros}" if zeros > 15 else digits), ""
    twos = fives = 0
    rest = bottom
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1 or (fives == 0 and twos <= 4) or max(twos, fives) > 30:
        return str(top), str(bottom)
    places = max(twos, fives)
    digits = str(top * 10**places // bottom)
    if len(digits) <= places - 3:  # 1e-5, 1.5e-7
        exponent = len(digits) - 1 - places
        return (digits[0] + ("." + digits[1:] if digits[1:] else "") + f"e{exponent}"), ""
    digits = digits.rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}", ""
