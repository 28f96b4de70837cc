"""Writes ``operations.md`` and ``rules.md`` of the reference from the tables: ``python docs/generate.py`` after a row was added.

The derivatives on the page are derived here, not copied.  ``tests/test_docs_examples.py`` fails when the page is old.
"""

from __future__ import annotations

from pathlib import Path

import derivkit as dk
from derivkit.symbolic.ops import COMPARISONS, DEFINED, ELEMENTWISE, FUNCTIONS, OPS, PRIMITIVES, Op
from derivkit.symbolic.ops_linear import LINEAR, MATRICES
from derivkit.symbolic.parse.arguments import SIGNATURES
from derivkit.symbolic.rules import RULES, SENTENCES

PAGE = Path(__file__).parent / "reference" / "operations.md"
RULES_PAGE = PAGE.with_name("rules.md")

HEAD = """\
# Operations

This page is written by `docs/generate.py` from the table of operations, `derivkit/symbolic/ops.py`. The derivatives are derived,
not typed in. Names, arguments and meaning are NumPy's, SciPy's or PyTorch's. What a kink does is a convention:
see [kinks](../explanation/kinks.md).

Also in the language, without a name: `+ - * / ** @`, `.T`, the comparisons `> < >= <= == !=`, subscripts and slices,
`sum[k](...)` and `delta[i,j]`: see [the language](language.md). The constants are `pi` and `inf`.
"""

ELEMENTWISE_HEAD = """\
## Elementwise

They act on every entry, with NumPy's broadcasting. *Definition* is empty where the function is elementary.
Where there are several arguments, the derivatives are in their order. ¹ The kernel needs SciPy.

| operation | definition | derivative, with `y` the output | kinks at |
|---|---|---|---|
"""

PRIMITIVES_HEAD = """\
## Softmax and reductions

They act along `axis` (all axes, or the last for the softmax family). In the definition `i` is the position that is read
and `k` is bound. The derivative is that of `y`, the operation on one vector `x` of size `K`, entry by entry.

| operation | definition | derivative |
|---|---|---|
"""

MATRICES_HEAD = """\
## Inverses and determinants

Of a square matrix `A`, or of each in a stack (the last two axes). The derivative is that of `y`, entry by entry, by each
argument: `inv` and `solve` are differentiated through the equations `A @ inv(A) = I` and `A @ y = b`, `det` by Jacobi's formula.
A singular matrix has no inverse: evaluation raises `DerivkitError` DK044, a kernel NumPy's `LinAlgError`. So does the gradient of
`det` there, which is written with the inverse, and that of `logdet`. NumPy's `inv(A) @ b` and `solve(A, b)` are one thing here;
a kernel solves the system either way.

| operation | definition | derivative |
|---|---|---|
"""

OTHERS_HEAD = """\
## {title}

| operation | definition |
|---|---|
"""

GROUPS = {
    "elementwise": "More elementwise operations",
    "reduction": "More reductions",
    "loss": "Losses",
    "layer": "Layers",
    "linear algebra": "Linear algebra",
    "structure": "Structure",
    "convolution": "Convolution and pooling",
}

#: What the operations without a formula are.
SAID = {
    "max": "the largest entry",
    "min": "the smallest entry",
    "first_max": "1 at the first largest entry, else 0",
    "argmax": "the position of the first largest entry: a label",
    "prod": "the product of the entries",
    "sum": "the sum of the entries",
    "mean": "the sum divided by the number of entries",
    "diag": "a vector as a diagonal matrix; the diagonal of a matrix",
    "trace": "`sum(diag(A))`",
    "eye": "the identity matrix",
    "zeros": "zeros of a shape",
    "ones": "ones of a shape",
    "einsum": "the sum of products that the letters say",
    "stack": "arrays of one shape along a new axis",
    "onehot": "the one-hot vector of a label `k`, of size `K`",
    "concat": "arrays one behind the other along an axis",
    "reshape": "the same entries in the same order, the last axis running fastest; a size of -1 is what is left",
    "pad": "zeros around: `n` at every end, `(before, after)`, or such a pair for each axis",
    "flip": "the entries in reverse order, along `axis` or along all",
    "repeat": "every entry `n` times along `axis`: entry `i` is that at `i // n`",
    "conv1d": "`y[b,o,i] = sum[c,p](w[o,c,p]*x[b,c,stride*i+dilation*p-padding])`, where out of range is 0",
    "conv2d": "`y[b,o,i,j] = sum[c,p,q](w[o,c,p,q]*x[b,c,i+p,j+q])`, likewise",
    "avg_pool1d": "`y[i] = mean[p](x[stride*i+p])`, `p` in a window of `size`; the axes before the last are a batch",
    "avg_pool2d": "`y[i,j] = mean[p,q](x[stride*i+p,stride*j+q])`, likewise",
    "max_pool1d": "`y[i] = max[p](x[stride*i+p])`: the gradient passes to the first maximum of each window",
    "max_pool2d": "`y[i,j] = max[p,q](x[stride*i+p,stride*j+q])`, likewise",
    "attention": "`softmax(Q @ K.T/sqrt(D)) @ V` with `D` the size of a key; where `mask` is 0 the score is -1e9",
    "transpose": "the axes in another order; all reversed without `axes`",
    "inv": "`Z` with `A @ Z = I`",
    "solve": "`x` with `A @ x = b`, `b` a vector or a matrix (stacks as in NumPy)",
    "det": "the determinant",
}


def call(op: Op) -> str:
    """Return how the operation is called."""
    return f"`{op.name}({SIGNATURES.get(op.name, op.signature).partition(';')[0]})`"


def code(text: str) -> str:
    """Return the text as code, or nothing."""
    return f"`{text}`" if text else ""


def slopes(op: Op) -> str:
    """Return the derivative by each argument at scalars, as derivkit derives it."""
    program = "".join(f"{name}:\n" for name in op.parameters) + f"y = {op.name}({', '.join(op.parameters)})"
    derivation = dk.derive(program, wrt=op.parameters, check=False)
    return ", ".join(code(result.program("index")) for result in derivation.results.values())


def jacobian(op: Op) -> str:
    """Return the derivative along a vector, as derivkit derives it."""
    if op.name == "argmax":
        return code("0")
    derivation = dk.derive(f"x: K\ny = {op.name}(x)", wrt="x", check=False)
    notation = "matrix" if op.name in {"max", "min"} else "index"
    return code(derivation.program(notation=notation).splitlines()[-1].partition("  #")[0])


def kinks(op: Op) -> str:
    """Return where the derivative is a convention."""
    return {"minimum": "a tie", "maximum": "a tie", "clip": "the limits"}.get(op.name, ", ".join(f"{k:g}" for k in op.kinks))


def elementwise() -> str:
    """Return the table of the elementwise operations."""
    flat = {*COMPARISONS.values(), "where", "gelu_tanh"}
    rows = [
        f"| {call(op)}{'¹' if op.needs else ''} | {code(op.formula)} | {slopes(op)} | {kinks(op)} |\n"
        for op in ELEMENTWISE.values()
        if op.name in FUNCTIONS - flat
    ]
    rows.append("| `where(c, a, b)` | `a` where the comparison `c` holds, else `b` | 0, `where(c, 1, 0)`, `where(c, 0, 1)` | |\n")
    return ELEMENTWISE_HEAD + "".join(rows)


def primitives() -> str:
    """Return the table of the operations along an axis."""
    rows = [f"| {call(op)} | {defined(op)} | {jacobian(op)} |\n" for op in PRIMITIVES.values() if op.name in FUNCTIONS - MATRICES]
    return PRIMITIVES_HEAD + "".join(rows)


def matrices() -> str:
    """Return the table of the operations on matrices."""
    rows = []
    for op in LINEAR:
        declared = "A: N, N\nb: N\n" if len(op.parameters) > 1 else "A: N, N\n"
        derivation = dk.derive(f"{declared}y = {op.name}({', '.join(op.parameters)})", wrt=op.parameters, check=False)
        lines = derivation.program(notation="index").splitlines()[-len(op.parameters) :]
        rows.append(f"| {call(op)} | {defined(op)} | {', '.join(map(code, lines))} |\n")
    return MATRICES_HEAD + "".join(rows)


def defined(op: Op) -> str:
    """Return what the operation is: its formula, or a few words."""
    return "; ".join(map(code, op.formula.split("\n"))) if op.formula else SAID[op.name]


def others(group: str, title: str) -> str:
    """Return the table of a group of operations that are defined by others."""
    rows = [f"| {call(op)} | {defined(op)} |\n" for op in DEFINED.values() if op.group == group]
    return OTHERS_HEAD.format(title=title) + "".join(rows)


LABELS = """\
`cross_entropy` and `softmax_cross_entropy` also take a label in the place of `t`: `k: label K`, or `k: label K, N` for N of them.
Losses are sums over the last axis, one for each sample; divide by `N` yourself where you want a mean.
"""


RULES_HEAD = """\
# Rules

This page is written by `docs/generate.py` from the table of rewriting rules, `derivkit/symbolic/rules.py`. The two sides are
equal wherever the left one is defined; `x`, `a` and `b` stand for any expression; products and sums match in any order, and
as a part of a longer one. A rule is used only where it makes a form shorter, and its sentence is then printed beside the step.

| rule | before | after | printed |
|---|---|---|---|
"""

SENTENCES_HEAD = """
## What else a step may say

The structural rules are no patterns: they contract a δ, cancel factors, merge and open brackets, and fold expressions back to a
name of the program. A *fact* (Σ of a one-hot vector is 1, Σ of centred values is 0, a matrix is symmetric) has its sum beside it.

| rule | printed |
|---|---|
"""


def rules_page() -> str:
    """Return the text of the page of rules."""
    rows = [f"| {r.name} | {code(r.before)} | {code(r.after)} | {r.sentence.replace('|', chr(92) + '|')} |\n" for r in RULES]
    said = [f"| {name} | {text.format('*this*', '*that*')} |\n" for name, text in SENTENCES.items()]
    return RULES_HEAD + "".join(rows) + SENTENCES_HEAD + "".join(said)


def page() -> str:
    """Return the page's text."""
    parts = [HEAD, elementwise(), primitives(), matrices()]
    for group, title in GROUPS.items():
        parts.append(others(group, title) + (f"\n{LABELS}" if group == "loss" else ""))
    unknown = {op.group for op in OPS.values()} - {*GROUPS, "softmax", "hidden"}
    if unknown:
        raise SystemExit(f"docs/generate.py: no title for {', '.join(sorted(unknown))}")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    RULES_PAGE.write_text(rules_page(), encoding="utf-8")
