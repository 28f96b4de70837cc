"""The table of rewriting rules: a row each; ``before`` equals ``after`` wherever ``before`` is defined.

The letters of a row stand for any expression; products and sums match in any order, and as a part of a longer one.
A rule is used only where it makes a form shorter.  The structural rules (contracting a δ, cancelling, facts, folds) are the
constructors in ``normal`` and the searches in ``derive``; their sentences stand here too, so that each is said in one way.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: its ``name``, two equal texts of the program language, and the ``sentence`` printed beside the step.

    ``alone`` is for a function that is read only in what the row replaces: ``sigmoid(x)*(1 - sigmoid(x))`` stays.
    """

    name: str
    before: str
    after: str
    sentence: str
    alone: bool = False


RULES: tuple[Rule, ...] = (
    Rule("log of exp", "log(exp(x))", "x", "log eˣ = x"),
    Rule("exp of log", "exp(log(x))", "x", "exp(log x) = x"),
    Rule("exp times its inverse", "exp(x)*exp(-x)", "1", "eˣ e⁻ˣ = 1"),
    Rule("square of abs", "abs(x)**2", "x**2", "|x|² = x²"),
    Rule("abs times sign", "abs(x)*sign(x)", "x", "|x| sign x = x"),
    Rule("number times its sign", "x*sign(x)", "abs(x)", "x sign x = |x|"),
    Rule("ratio to abs", "x/abs(x)", "sign(x)", "x / |x| = sign x"),
    Rule("sign over abs", "sign(x)/abs(x)", "1/x", "sign x / |x| = 1 / x"),
    Rule("sin² + cos²", "sin(x)**2 + cos(x)**2", "1", "sin² + cos² = 1"),
    Rule("cosh² − sinh²", "cosh(x)**2 - sinh(x)**2", "1", "cosh² − sinh² = 1"),
    Rule("tanh as a ratio", "sinh(x)/cosh(x)", "tanh(x)", "sinh / cosh = tanh"),
    Rule("step keeps relu", "relu(x)*step(x)", "relu(x)", "relu is 0 where step is"),
    Rule("step keeps a maximum", "maximum(0, x)*step(x)", "maximum(0, x)", "the maximum is 0 where step is"),
    Rule("relu as a product", "x*step(x)", "relu(x)", "x step(x) = relu(x)"),
    Rule("sigmoid from exp(−x)", "1/(1 + exp(-x))", "sigmoid(x)", "1 / (1 + e⁻ˣ) = σ(x)"),
    Rule("sigmoid from exp(x)", "exp(x)/(1 + exp(x))", "sigmoid(x)", "eˣ / (1 + eˣ) = σ(x)"),
    Rule("complement of sigmoid", "1 - sigmoid(x)", "sigmoid(-x)", "1 − σ(x) = σ(−x)", alone=True),
    Rule("sigmoid less 1", "sigmoid(x) - 1", "-sigmoid(-x)", "σ(x) − 1 = −σ(−x)", alone=True),
    Rule("sigmoid of −x", "sigmoid(x)*exp(-x)", "sigmoid(-x)", "σ(x) e⁻ˣ = σ(−x)"),
)

#: The sentences of the structural rules; ``{0}`` stands for what the rule was applied to.
SENTENCES: dict[str, str] = {
    "contract": "contract {0}",
    "cancel": "cancel {0}",
    "fold": "fold {0} = {1}",
    "names": "in the names of the program",
    "factor": "take out the common factor",
    "open": "multiply out",
    "simplify": "simplify",
    "differentiate": "differentiate {0} = {1}",
    "held": "{0} held",
}
