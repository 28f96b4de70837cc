"""A tree of a formula as LaTeX, in the notation in which it was read."""

from __future__ import annotations

from dataclasses import replace

from derivkit.symbolic.notes import formula as f

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell infty".split()
)
ACCENTS = frozenset("hat tilde bar vec dot".split())
STYLES = {"bold": "mathbf", "text": "text", "cal": "mathcal", "bb": "mathbb", "op": "operatorname"}
FUNCTIONS = frozenset("exp log ln sin cos tan sinh cosh tanh arctan max min det".split())
SIGNS = {
    "": " ", "cdot": r" \cdot ", "times": r" \times ", "otimes": r" \otimes ", "odot": r" \odot ", "circ": r" \circ ",
    "ast": " * ", "circledast": r" \circledast ",
}  # fmt: skip
RELATIONS = {"!=": r"\neq", "<=": r"\le", ">=": r"\ge", "in": r"\in", "==": r"\equiv", "approx": r"\approx", "&": ","}
BRACKETS = {"abs": (r"|", "|"), "norm": (r"\|", r"\|"), "inner": (r"\langle ", r"\rangle"), "floor": (r"\lfloor ", r"\rfloor"),
            "ceil": (r"\lceil ", r"\rceil")}  # fmt: skip
OPS = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min", "expectation": r"\mathbb{E}"}
#: How tightly each node holds together: what is below its surroundings gets brackets.
ADDED, SIGNED, TIMES, POWER, WHOLE = range(5)


def latex(formula: f.Formula) -> str:
    r"""Return LaTeX for a formula.

    >>> from fractions import Fraction
    >>> from derivkit.symbolic.parse.syntax import Place
    >>> here = {"place": Place(1, 1), "end": Place(1, 1)}
    >>> latex(f.Power(f.Sign("-", f.Symbol("alpha", **here), **here), f.Number(Fraction(2), "2", **here), **here))
    '\\left(-\\alpha\\right)^{2}'
    """
    return _put(formula, ADDED)


def _put(node: f.Formula, least: int) -> str:
    text, holds = _written(node)
    return text if holds >= least else rf"\left({text}\right)"


def symbol(node: f.Symbol) -> str:
    """Return a letter with its accents, style and label."""
    word, _, accent = node.name.partition("_")
    base = f"\\{word}" if word in GREEK or (word in FUNCTIONS and not accent) else word
    if node.style in STYLES:
        base = rf"\{STYLES[node.style]}{{{base}}}"
    elif len(word) > 1 and not base.startswith("\\"):
        base = rf"\mathrm{{{base}}}"
    if accent in ACCENTS:
        base = rf"\{accent}{{{base}}}"
    elif accent == "prime":
        base += "'"
    elif accent:
        base += f"_{{{accent}}}"
    return base if node.label is None else f"{base}^{{({latex(node.label)})}}"


def _written(node: f.Formula) -> tuple[str, int]:
    match node:
        case f.Number():
            return node.text, WHOLE
        case f.Symbol():
            return symbol(node), WHOLE
        case f.Indexed():
            return _indexed(node), WHOLE
        case f.Application():
            inner = ", ".join(map(latex, node.arguments))
            gap = "" if node.brackets else " "
            return (
                f"{_put(node.function, POWER)}{gap}{f'({inner})' if node.brackets else inner}",
                WHOLE if node.brackets else TIMES,
            )
        case f.Sign():
            return f"{node.op}{_put(node.operand, TIMES)}", SIGNED
        case f.Sum():
            parts = [f" {sign} {_put(term, TIMES)}" for sign, term in node.terms]
            text = "".join(parts).removeprefix(" + ")
            return text.replace(" - ", "-", 1) if text.startswith(" - ") else text, ADDED
        case f.Product():
            parts = [f"{SIGNS[sign] if n else ''}{_put(factor, TIMES)}" for n, (sign, factor) in enumerate(node.factors)]
            return "".join(parts), TIMES
        case f.Quotient():
            return rf"\frac{{{latex(node.over)}}}{{{latex(node.under)}}}", WHOLE
        case f.Power():
            return f"{_put(node.base, WHOLE)}^{{{latex(node.exponent)}}}", POWER
        case f.Transposed():
            return rf"{_put(node.base, WHOLE)}^\top", POWER
        case f.Big():
            return _big(node), TIMES
        case f.Derivative():
            return _derivative(node)
        case f.Differential():
            return f"d{_put(node.of, WHOLE)}", TIMES
        case f.Matrix():
            rows = r" \\ ".join(" & ".join(r"\dots" if e is None else latex(e) for e in row) for row in node.rows)
            return rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}", WHOLE
        case f.Cases():
            rows = r" \\ ".join(f"{latex(v)} & {'' if c is None else latex(c)}" for v, c in node.rows)
            return rf"\begin{{cases}} {rows} \end{{cases}}", WHOLE
        case f.List():
            items = ", ".join(r"\dots" if i is None else latex(i) for i in node.items)
            return f"({items})" if node.brackets != "{}" else rf"\{{{items}\}}", WHOLE
        case f.Bracketed():
            left, right = BRACKETS[node.kind]
            order = "" if node.order is None else f"_{{{latex(node.order)}}}"
            return f"{left}{', '.join(map(latex, node.items))}{right}{order}", WHOLE
        case f.At():
            return rf"{latex(node.base)} \big|_{{{', '.join(map(latex, node.point))}}}", TIMES
        case f.Indicator():
            return rf"\mathbb{{1}}[{latex(node.condition)}]", WHOLE
        case f.Struck():
            return rf"\cancel{{{latex(node.base)}}}^{node.value.text}", WHOLE
        case f.Relation():
            return f"{latex(node.left)} {RELATIONS.get(node.op, node.op)} {latex(node.right)}", ADDED
        case f.Words():
            return rf"\text{{{node.text}}}", WHOLE


def _indexed(node: f.Indexed) -> str:
    subscripts = [latex(s) for s in node.subscripts]
    below = ("" if all(len(s) == 1 for s in subscripts) else ",").join(subscripts)
    if isinstance(node.base, f.Symbol) and node.base.label is not None:
        return f"{symbol(replace(node.base, label=None))}_{{{below}}}^{{({latex(node.base.label)})}}"
    return f"{_put(node.base, WHOLE)}_{{{below}}}"


def _big(node: f.Big) -> str:
    letters = ", ".join(map(symbol, node.letters))
    lower = f"{letters}={latex(node.lower)}" if node.lower is not None else letters
    below = ", ".join(latex(c) for c in node.conditions) or lower
    upper = "" if node.upper is None else f"^{{{latex(node.upper)}}}"
    return f"{OPS[node.op]}{f'_{{{below}}}' if below else ''}{upper} {_put(node.body, TIMES)}"


def _derivative(node: f.Derivative) -> tuple[str, int]:
    if node.spelled in ("nabla", "hessian"):
        below = f"_{{{', '.join(map(latex, node.by))}}}" if node.by else ""
        return rf"\nabla{'^2' if node.spelled == 'hessian' else ''}{below} {_put(node.of, TIMES)}", TIMES
    if node.spelled == "prime":
        return f"{_put(node.of, WHOLE)}'", POWER
    d = {"partial": r"\partial ", "delta": r"\delta ", "d": "d"}[node.spelled]
    times = f"^{len(node.by)}" if len(node.by) > 1 else ""
    return rf"\frac{{{d.rstrip()}{times} {_put(node.of, TIMES)}}}{{{' '.join(d + _put(b, WHOLE) for b in node.by)}}}", WHOLE
