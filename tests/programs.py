"""Random programs of the language, as text, with what is drawn next depending on the shapes that are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Shape = tuple[str, ...]

INPUTS: list[Shape] = [
    (),
    ("N",),
    ("M",),
    ("N", "M"),
    ("M", "N"),
    ("M", "M"),
    ("N", "1"),
    ("1", "M"),
    ("1",),
    ("B", "N"),
    ("B", "N", "M"),
]
UNARY = [
    "exp(-{0}**2)", "log(1 + {0}**2)", "sqrt(1 + {0}**2)", "tanh({0})", "sigmoid({0})", "softplus({0})", "relu({0})",
    "leaky_relu({0})", "elu({0})", "selu({0})", "gelu({0})", "silu({0})", "mish({0})", "hardtanh({0})", "abs({0})", "sin({0})",
    "cos({0})", "arctan({0})", "erf({0})", "square({0})", "step({0})*{0}", "log1p({0}**2)", "expm1({0}/2)", "{0}**3", "-{0}",
    "2*{0} - 1", "1/(2 + {0}**2)", "where({0} > 0.1, {0}**2, sin({0}))", "clip({0}, -0.5, 0.5)", "sinh({0}/2)", "cosh({0}/2)",
    "2**tanh({0})",
]  # fmt: skip
BINARY = ["{0} + {1}", "{0} - {1}", "{0}*{1}", "{0}/(1 + {1}**2)", "maximum({0}, {1})", "minimum({0}, {1})", "{0}*sigmoid({1})"]
REDUCTIONS = ["sum", "mean", "max", "min", "logsumexp", "norm", "prod", "var"]
LOSSES = [
    "squared_error({0}, {1})", "cross_entropy({1}, softmax({0}))", "softmax_cross_entropy({1}, {0})",
    "binary_cross_entropy({1}, sigmoid({0}))", "kl_div(softmax({0}), softmax({1}))", "huber({0}, {1})", "hinge({1}, {0})",
]  # fmt: skip


#: Slices of an axis of size N, with the sizes that they leave, and positions.
SLICES = [("1:", "{0}-1"), (":-1", "{0}-1"), ("::2", "({0}+1)//2"), ("::-1", "{0}"), ("1:-1", "{0}-2"), ("-1", None), ("0", None)]
EINSUMS = ["i,i->i", "i,j->ij", "ij,j->i", "ij,ij->i", "ij,kj->ik", "ij,ji->", "ii->i", "i,l->i", "ij->ji", "ij,k->kij"]

WINDOWS = [
    "[i1] = sum[j1]({1}[j1]*{0}[i1+j1])*{0}[i1]", "[i1] = sum[j1]({1}[j1]*{0}[2*i1+j1])*{0}[i1]",
    "[i1] = sum[j1]({1}[j1]*{0}[i1-j1])*{0}[i1]", "[i1] = max[j1]({1}[j1]*{0}[i1])", "[i1] = sum[j1]({1}[j1+0]*{0}[i1]*{0}[j1])",
]  # fmt: skip


@dataclass
class Program:
    """A program that grows: declared inputs, lines, and the shapes of all names."""

    inputs: dict[str, Shape] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def declare(self, name: str, shape: Shape, kind: str = "") -> None:
        self.inputs[name] = self.shapes[name] = shape
        self.kinds[name] = kind

    def define(self, expression: str, shape: Shape) -> None:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name}{expression}" if expression.startswith("[") else f"{name} = {expression}")
        self.shapes[name] = shape

    @property
    def text(self) -> str:
        declared = [f"{n}: {self.kinds[n]} {', '.join(s)}".rstrip() for n, s in self.inputs.items()]
        return "\n".join(" ".join(line.split()) for line in [*declared, *self.lines])


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """Return the shape of ``a + b``, or ``None`` when they do not fit for every size."""
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    out = list(long)
    for n in range(1, len(short) + 1):
        x, y = long[-n], short[-n]
        if x != y and "1" not in (x, y):
            return None
        out[-n] = y if x == "1" else x
    return tuple(out)


def matmul(a: Shape, b: Shape) -> Shape | None:
    """Return the shape of ``a @ b`` for at most two axes each, or ``None``."""
    if not 1 <= len(a) <= 2 or not 1 <= len(b) <= 2 or a[-1] != b[0]:
        return None
    return a[:-1] + b[1:]


def reduced(shape: Shape, axis: int | None, keepdims: bool) -> Shape:
    """Return the shape after a reduction."""
    if axis is None:
        return ("1",) * len(shape) if keepdims else ()
    axis %= len(shape)
    return shape[:axis] + (("1",) if keepdims else ()) + shape[axis + 1 :]


def steps(program: Program, one: str, two: str) -> dict[str, list[tuple[str, Shape]]]:
    """Return the lines that may come next, by family, from two names that are there."""
    a, b = program.shapes[one], program.shapes[two]
    found: dict[str, list[tuple[str, Shape]]] = {"unary": [(u.format(one), a) for u in UNARY]}
    both = broadcast(a, b)
    if both is not None and len(both) <= 3:
        found["binary"] = [(f.format(one, two), both) for f in BINARY]
    product = matmul(a, b)
    if product is not None:
        found["matmul"] = [(f"{one} @ {two}", product), (f"tanh({one} @ {two})", product)]
    structure: list[tuple[str, Shape]] = []
    if a:
        axes = [None, *range(-len(a), len(a))]
        found["reduction"] = [
            (f"{r}({one}{'' if axis is None else f', axis={axis}'}{', keepdims=True' if keep else ''})", reduced(a, axis, keep))
            for r in REDUCTIONS for axis in axes for keep in (False, True)
        ]  # fmt: skip
        found["softmax"] = [
            (f"{s}({one}, axis={axis})", a) for s in ("softmax", "log_softmax") for axis in range(-len(a), len(a))
        ]
        structure += [(f"{one}[0]", a[1:]), (f"stack({one}, {one}**2)", ("2", *a))]
        if a == b:
            found["loss"] = [(f.format(one, two), a[:-1]) for f in LOSSES]
            structure.append((f"stack({one}, {two}, axis=0)", ("2", *a)))
    if len(a) == 1:
        structure += [(f"diag({one})", a * 2), (f"{one}[:, None]", (*a, "1")), (f"{one}[None, :]", ("1", *a))]
        if a == ("M",) and "k" in program.inputs:
            structure.append((f"{one}[k]", ()))
        if len(b) == 1:
            structure.append((f"outer({one}, {two})", a + b))
    if len(a) == 2:
        structure += [(f"{one}.T", a[::-1])]
        if a[0] == a[1]:
            structure += [(f"trace({one})", ()), (f"diag({one})", a[:1]), (f"{one} @ {one}", a)]
            if a == ("M", "M"):
                structure += [(f"{one} - eye(M)", a)]
    if structure:
        found["structure"] = [s for s in structure if len(s[1]) <= 3]
    return found


def wider(program: Program, one: str, two: str) -> dict[str, list[tuple[str, Shape]]]:
    """Return lines that the oracle's interpreter cannot run: slices, stacks, einsums, reductions over indices, labels."""
    a, b = program.shapes[one], program.shapes[two]
    found: dict[str, list[tuple[str, Shape]]] = {}
    plain = [n for n, size in enumerate(a) if size.isalpha()]
    colons = [":"] * len(a)
    found["slice"] = []
    for n in plain:
        for part, left in SLICES:
            kept = () if left is None else (left.format(a[n]),)
            found["slice"].append((f"{one}[{', '.join([*colons[:n], part, *colons[n + 1 :]])}]", (*a[:n], *kept, *a[n + 1 :])))
    if a == b and len(a) < 3:
        found["stack"] = [(f"stack({one}, {two}, axis={n})", (*a[:n], "2", *a[n:])) for n in range(len(a) + 1)]
        found["stack"] += [(f"sum(stack({one}, {two}**2, {one})**2, axis=0)", a)]
    found["einsum"] = [made for made in (einsum(program, spec, one, two) for spec in EINSUMS) if made is not None]
    if len(a) == 1 and a[0].isalpha():
        size = a[0]
        found["index"] = [
            (f"sum[k1]({one}[k1]**2)", ()), (f"max[k1](sin({one}[k1]))", ()), (f"logsumexp[k1](2*{one}[k1])", ()),
            (f"prod[k1](tanh({one}[k1]))", ()), (f"norm[k1]({one}[k1] + 1)", ()), (f"softmax[k1]({one}[k1]**2)", a),
            (f"{one}[argmax({one})]*3", ()), (f"onehot(argmax({one}), {size})*{one}", a), (f"{one}*logsumexp(ones({size}))", a),
            (f"{one} + logsumexp(ones(B))", a), (f"prod({one} + 2)*{one}", a),
        ]  # fmt: skip
        if len(b) == 1 and b[0].isalpha():
            found["window"] = [(text.format(one, two), a) for text in WINDOWS]
            found["layers"] = [(f"concat({one}, {two})[:{size}]", a), (f"conv1d({one}, {two}, padding='same')*{one}", a)]
        found["turned"] = [
            (f"{f}*{one}", a) for f in (f"flip({one})", f"pad({one}, 1)[1:-1]", f"std({one})", f"repeat({one}, 2)[::2]")
        ]
    if len(a) == 2 and all(n.isalpha() for n in a):
        found["index"] = [
            ("[i1] = max[j1]({0}[i1,j1]**2)", a[:1]), ("[j1,i1] = {0}[i1,j1]*delta[0,i1]", a[::-1]),
            ("[i1] = logsumexp[j1]({0}[i1,j1]) + prod[j1]({0}[i1,j1] + 2)", a[:1]),
        ]  # fmt: skip
        found["index"] = [(text.format(one), shape) for text, shape in found["index"]]
        rows, columns = a
        found["layers"] = [
            (f"inv({one} @ {one}.T + eye({rows}))", (rows, rows)), (f"logdet({one} @ {one}.T + eye({rows}))", ()),
            (f"reshape({one}, ({columns}, {rows}))", a[::-1]), (f"max_pool1d({one}, 1)", a),
            (f"concat({one}, {one}**2, axis=1)[:, :{columns}]", a),
        ]  # fmt: skip
    return {family: made for family, made in found.items() if made}


def einsum(program: Program, spec: str, one: str, two: str) -> tuple[str, Shape] | None:
    """Return a call of einsum, where the shapes fit."""
    left, _, right = spec.partition("->")
    names = (one, two)[: left.count(",") + 1]
    sizes: dict[str, str] = {}
    for letters, name in zip(left.split(","), names, strict=True):
        shape = program.shapes[name]
        if len(letters) != len(shape) or any(sizes.setdefault(c, n) != n for c, n in zip(letters, shape, strict=True)):
            return None
    return f"einsum('{spec}', {', '.join(names)})", tuple(sizes[c] for c in right)


@st.composite
def programs(draw: Any, most_lines: int = 6, wide: bool = False) -> Program:
    """Draw a program of 1 to ``most_lines`` lines over 1 to 4 inputs; its output has at most two axes.

    A ``wide`` one has lines that only the reader understands.
    """
    p = Program()
    for n, shape in enumerate(draw(st.lists(st.sampled_from(INPUTS), min_size=1, max_size=4))):
        p.declare("xyzw"[n], shape)
    if draw(st.booleans()):
        p.declare("k", ("M",), "label")
        p.shapes.pop("k")
    if draw(st.booleans()):
        p.declare("t", ("M",), "onehot")
    for _ in range(draw(st.integers(1, most_lines))):
        names = list(p.shapes)
        recent = names[-3:] * 2 + names  # later lines are read more often
        one, two = draw(st.sampled_from(recent)), draw(st.sampled_from(recent))
        options = steps(p, one, two)
        if wide and (more := wider(p, one, two)) and draw(st.booleans()):
            options = more
        family = options[draw(st.sampled_from(sorted(options)))]
        p.define(*draw(st.sampled_from(family)))
    last = f"v{len(p.lines) - 1}"
    if len(p.shapes[last]) > 2 or draw(st.booleans()):
        p.define(f"sum({last}**2)" if p.shapes[last] else f"{last}**2", ())
    return p
