"""Affine subscripts in kernels: slices, strides, convolutions and pooling in every form that can be written, at any sizes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from test_arrays import read_again, run

import derivkit as dk
from derivkit.numeric.codegen.prelude import HELPERS
from derivkit.symbolic.arrays import plan
from derivkit.symbolic.arrays.dialects import NUMPY, program_text
from derivkit.symbolic.arrays.running import for_running
from derivkit.symbolic.arrays.text import text_of
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Add, Delta, Fn, Inside, Mul, Num, Pow, Prim, Ref, Sum, freshen, references, user
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.render.matrix import matrix_program, matrix_text
from derivkit.symbolic.render.notation import Notation

#: name: (declarations, body, wrt, batched); the sizes are chosen so that every axis is at least 1.
TABLE = {
    "valid": ("x: L\nw: K", "y[i] = sum[k](x[i+k]*w[k])\nE = sum(tanh(y))", "x, w", "x"),
    "valid by a signal": ("x: L\nw: K\ng: L-K+1", "y[i] = sum[k](x[i+k]*w[k])\nE = sum(g*y)", "x, w", "x, g"),
    "same": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*tanh(sum[k](x[i+k-1]*w[k])))", "x, w, g", "x"),
    "full": ("x: L\nw: K\ng: L+K-1", "E = sum[i](g[i]**2*sum[k](x[i-k]*w[k]))", "x, w, g", "x, g"),
    "flipped kernel": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*sum[k](x[i+k]*flip(w)[k])**2)", "x, w", "x"),
    "stride 2": ("x: L\nw: K\ng: (L-K)//2+1", "E = sum[i](g[i]*sin(sum[k](x[2*i+k]*w[k])))", "x, w", "x"),
    "stride 3, padding 2": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*sum[k](x[3*i+k-2]*w[k]))", "x, w", "x"),
    "dilation 2": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*tanh(sum[k](x[i+2*k]*w[k])))", "x, w", "x"),
    "stride 2, dilation 3": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*tanh(sum[k](x[2*i+3*k-1]*w[k])))", "x, w", "x"),
    "stride 2, flipped": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*tanh(sum[k](x[2*i-k+1]*w[k])))", "x, w", "x"),
    "2-D": ("x: H, W\nw: P, Q", "y[i,j] = sum[p,q](x[i+p,j+q]*w[p,q])\nE = sum(tanh(y))", "x, w", "x"),
    "2-D, stride 2": (
        "x: H, W\nw: P, Q\ng: (H-P)//2+1, (W-Q)//2+1",
        "E = sum[i,j](g[i,j]*tanh(sum[p,q](x[2*i+p,2*j+q]*w[p,q])))",
        "x, w",
        "x",
    ),
    "channels": ("x: C, H, W\nw: O, C, P, Q", "y[o,i,j] = sum[c,p,q](x[c,i+p,j+q]*w[o,c,p,q])\nE = sum(tanh(y))", "x, w", "x"),
    "channels, padding 1": (
        "x: C, H, W\nw: O, C, P, Q\nb: O\ng: O, H, W",
        "y[o,i,j] = sum[c,p,q](x[c,i+p-1,j+q-1]*w[o,c,p,q]) + b[o] + 0*g[o,i,j]\nE = sum(tanh(y)*g)",
        "x, w, b",
        "x, g",
    ),
    "channels, stride 2, padding 1": (
        "x: C, H, W\nw: O, C, P, Q\ng: O, H, W",
        "E = sum[o,i,j](g[o,i,j]*tanh(sum[c,p,q](x[c,2*i+p-1,2*j+q-1]*w[o,c,p,q])))",
        "x, w",
        "x",
    ),
    "samples": (
        "x: N, C, H, W\nw: O, C, P, Q",
        "y[n,o,i,j] = sum[c,p,q](x[n,c,i+p,j+q]*w[o,c,p,q])\nE = sum(tanh(y))",
        "x, w",
        "",
    ),
    "depthwise": ("x: C, H, W\nw: C, P, Q", "y[c,i,j] = sum[p,q](x[c,i+p,j+q]*w[c,p,q])\nE = sum(tanh(y))", "x, w", "x"),
    "two layers": (
        "x: L\nw: K\nv: M",
        "h[i] = tanh(sum[k](x[i+k]*w[k]))\ny[j] = sum[m](h[j+m]*v[m])\nE = sum(y**2)",
        "x, w, v",
        "x",
    ),
    "differences": ("x: L", "E = sum((x[1:]-x[:-1])**2)", "x", "x"),
    "neighbours": ("x: L", "E = sum(x[1:]*x[:-1])", "x", "x"),
    "named differences": ("x: L", "y = x[1:] - x[:-1]\nE = sum(y**4)", "x", "x"),
    "a part, padded again": ("x: L", "E = sum(pad(x[1:], (0, 1))**3)", "x", "x"),
    "every other": ("x: L", "E = sum(x[::2]**3)", "x", "x"),
    "a part": ("x: H, W", "E = sum(x[1:-1, ::2]**3)", "x", "x"),
    "reversed": ("x: L", "E = sum(x[::-1]*x*exp(x))", "x", "x"),
    "above the diagonal": ("x: N, N+1", "E = sum[i](x[i,i+1]**2*x[i,N-i])", "x", "x"),
    "both summed": ("x: L\nv: M\nu: L-M+1", "E = sum[i,j](x[i+j]*u[i]*v[j])", "x, u, v", "x"),
    "a product of two reads": ("x: L\nw: K\ng: L", "E = sum[i,k](g[i]*w[k]*x[i+k]*x[i-k])", "x, w, g", "x"),
    "beyond, in cos": ("x: L\nw: K\ng: L", "E = sum[i,k](g[i]*cos(x[i+k])*w[k])", "x, w, g", "x"),
    "beyond, squared": ("x: L\nw: K\ng: L", "E = sum[i](g[i]*sum[k](x[i-k]**2*(w[k]+1)))", "x, w, g", "x"),
    "average pooling": ("x: L\ng: L//2\no: P", "E = sum[i](g[i]*sum[p](x[2*i+p]*(0*o[p]+1))**2)", "x", "x"),
    "max pooling": ("x: L\ng: L//2\no: P", "E = sum[i](g[i]*max[p](x[2*i+p]+0*o[p]))", "x, g", "x"),
    "2-D max pooling": (
        "x: H, W\ng: H//2, W//2\no: P, Q",
        "E = sum[i,j](g[i,j]*max[p,q](x[2*i+p,2*j+q]+0*o[p,q]))",
        "x, g",
        "x",
    ),
    "flat": ("x: N*M\nA: N, M", "E = sum[i,j](tanh(x[M*i+j])*A[i,j])", "x, A", "x"),
    "rows": ("E: V, D\nk: label V, N\ng: N, D", "L = sum[n,d](tanh(E[k[n],d])*g[n,d])", "E, g", ""),
    "rows of a text": ("E: V, D\nk: label V, N\ng: N, D", "L = sum(tanh(E[k])**2 * g)", "E, g", "k, g"),
    "entries by label": ("E: V\nk: label V, N\ng: N", "L = sum(tanh(E[k])**2 * g)", "E, g", "k, g"),
    "the row after": ("E: V, D\nk: label V, N\ng: N, D", "L = sum[n,d](tanh(E[k[n]+1,d])*g[n,d])", "E, g", ""),
}
NAMES = "LKMHWPQCONVD"
SIZES = [
    dict(zip(NAMES, (9, 3, 4, 7, 8, 3, 2, 2, 3, 4, 5, 3), strict=True)),
    dict(zip(NAMES, (6, 2, 2, 5, 5, 2, 3, 3, 1, 2, 2, 1), strict=True)),
    dict(zip(NAMES, (4, 4, 1, 4, 6, 1, 4, 1, 2, 1, 3, 2), strict=True)),
    dict.fromkeys(NAMES, 1) | {"L": 2, "H": 3, "W": 3},
    dict.fromkeys(NAMES, 1) | {"H": 2, "W": 2, "L": 2},
]


def inputs(graph, sizes, rng, batch=(), samples=0, dtype=float):
    made = {}
    for name, declared in graph.inputs.items():
        shape = [s.evaluate(sizes) for s in declared.shape]
        shape = [samples, *shape] if str(name) in batch else shape
        if declared.kind == "label":
            made[str(name)] = rng.integers(0, declared.range.evaluate(sizes), shape)
        else:
            made[str(name)] = rng.normal(size=shape).astype(dtype)
    return made


def complex_step(graph, values, word):
    """Return the gradient of the output by one input, entry by entry, without any of our derivatives."""
    gradient = np.zeros(values[word].shape)
    for place in np.ndindex(gradient.shape):
        moved = values[word].astype(complex)
        moved[place] += 1e-30j
        gradient[place] = evaluate_graph(graph, {**values, word: moved})[graph.output].imag * 1e30
    return gradient


def compiled(case, batch=()):
    declarations, body, wrt, _ = TABLE[case]
    return dk.compile(dk.derive(f"{declarations}\n{body}", wrt=wrt.split(", "), check=False), batch=batch)


@pytest.mark.parametrize("case", TABLE)
def test_a_kernel_is_the_derivative_by_complex_steps(case):
    kernel = compiled(case)
    rng = np.random.default_rng(0)
    graph = kernel.derivation.primal
    for sizes in SIZES:
        values = inputs(graph, sizes, rng)
        value, gradients = kernel(values)
        np.testing.assert_allclose(value, evaluate_graph(graph, values)[graph.output].real, rtol=1e-12, atol=1e-12)
        for word, gradient in gradients.items():
            assert gradient.shape == values[word].shape
            np.testing.assert_allclose(
                gradient, complex_step(graph, values, word), rtol=1e-9, atol=1e-11, err_msg=f"{word} {sizes}"
            )


@pytest.mark.parametrize("case", [c for c, row in TABLE.items() if row[3]])
def test_a_batch_is_the_loop_over_its_samples(case):
    batch = TABLE[case][3].split(", ")
    one, many = compiled(case), compiled(case, batch)
    rng = np.random.default_rng(1)
    for sizes in SIZES[:2]:
        values = inputs(one.derivation.primal, sizes, rng, batch, samples=3)
        value, gradients = many(values)
        loop = [one({w: v[n] if w in batch else v for w, v in values.items()}) for n in range(3)]
        np.testing.assert_allclose(value, np.mean([v for v, _ in loop]))
        for word, gradient in gradients.items():
            each = np.array([g[word] for _, g in loop])
            expected = each / 3 if word in batch else each.mean(axis=0)
            np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12, err_msg=word)


@pytest.mark.parametrize("case", TABLE)
def test_single_precision_stays_single(case):
    kernel = compiled(case)
    values = inputs(kernel.derivation.primal, SIZES[0], np.random.default_rng(2), dtype=np.float32)
    value, gradients = kernel._function(*kernel.arguments(values, {}), *kernel._sizes(kernel.arguments(values, {})))
    assert np.asarray(value).dtype == np.float32
    assert {w: g.dtype for w, g in gradients.items()} == dict.fromkeys(gradients, np.dtype(np.float32))


# -- random expressions ---------------------------------------------------------------------------------------------------

INDICES = {c: Index(c, Size.of(s)) for c, s in (("i", "N"), ("j", "N"), ("k", "M"), ("l", "N"), ("p", "K"), ("q", "K"))}
ARRAYS = {"x": ("N",), "y": ("M",), "w": ("K",), "A": ("N", "K"), "B": ("M", "N"), "s": ()}
LABELS = {"t": "N"}


@st.composite
def subscripts(draw):
    letters = draw(st.lists(st.sampled_from("iijjkllppq"), min_size=0, max_size=3, unique=True))
    sub = Affine.of(draw(st.sampled_from([0, 0, 0, 1, -1, 2])))
    if draw(st.integers(0, 5)) == 0:
        sub = sub + Size.of(draw(st.sampled_from(["N", "K"]))) - 1
    for letter in letters:
        sub = sub + Affine.of(INDICES[letter]).scaled(draw(st.sampled_from([1, 1, 1, -1, -1, 2, -2, 3])))
    if draw(st.integers(0, 11)) == 0:
        sub = sub + Affine.of(Ref(user("t"), (Affine.of(INDICES["i"]),)))
        sub = sub + (0 if len(sub.terms) > 1 else 1)  # a label alone is in range by its declaration
    return sub


@st.composite
def subscript_or_index(draw, size):
    bare = [i for i in INDICES.values() if str(i.size) == size]
    return Affine.of(draw(st.sampled_from(bare))) if draw(st.booleans()) else draw(subscripts())


@st.composite
def factors(draw):
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return Delta(draw(subscripts()), draw(subscripts()))
    if kind == 1:
        return Delta(draw(subscripts()), Affine.of(INDICES[draw(st.sampled_from("ijkp"))]))
    if kind == 2:
        return Inside(draw(subscripts()), Size.of(draw(st.sampled_from("NMK"))))
    if kind == 3:
        bound = INDICES["q"].fresh()
        return Prim(
            draw(st.sampled_from(["first_max", "softmax"])),
            (bound,),
            (Fn("sin", (Ref(user("A"), (Affine.of(INDICES["i"]), Affine.of(bound))),)),),
            (draw(subscripts()),),
        )
    name = draw(st.sampled_from(sorted(ARRAYS)))
    made = Ref(user(name), tuple(draw(subscript_or_index(size)) for size in ARRAYS[name]))
    if kind == 4:
        return Fn("cos", (made,))
    if kind == 5:
        return Pow(made, Num(2))
    if kind == 6:
        return Pow(Add((Num(3), made)), Num(-1))
    return made


@st.composite
def sums(draw, depth=1):
    parts = [draw(factors()) for _ in range(draw(st.integers(1, 3)))]
    if depth and draw(st.integers(0, 3)) == 0:
        parts.append(freshen(draw(sums(depth - 1))))
    body = Mul(tuple(parts)) if len(parts) > 1 else parts[0]
    if draw(st.integers(0, 4)) == 0:
        body = Add((body, draw(factors())))
    free = sorted(body.free, key=lambda a: a.uid)
    bound = tuple(draw(st.lists(st.sampled_from(free), max_size=3, unique=True))) if free else ()
    return freshen(Sum(bound, body)) if bound else body


@settings(max_examples=400, deadline=None)
@given(sums(), st.sampled_from([(4, 3, 2), (1, 1, 1), (2, 3, 3), (3, 1, 4)]), st.integers(0, 2**32 - 1))
def test_whatever_is_affine_has_the_values_of_its_expression(expr, lengths, seed):
    rng = np.random.default_rng(seed)
    sizes = dict(zip("NMK", lengths, strict=True))
    shapes = {user(a): tuple(map(Size.of, axes)) for a, axes in ARRAYS.items()}
    env = {name: rng.uniform(0.3, 1.5, [s.evaluate(sizes) for s in shape]) for name, shape in shapes.items()}
    for label, length in LABELS.items():
        shapes[user(label)] = (Size.of(length),)
        env[user(label)] = rng.integers(0, min(lengths), sizes[length])  # in range, as labels are by their declaration
    order = tuple(sorted(expr.free, key=lambda a: a.uid))
    note(str(Notation("text").line((expr,))))
    expected = evaluate_expr(expr, env, sizes, order)
    node = plan(expr, order, shapes)
    note(text_of(for_running(node), NUMPY))
    np.testing.assert_allclose(run(for_running(node), env, sizes), expected, rtol=1e-9, atol=1e-9)
    text = program_text(node)
    used = {a: shapes[a] for a in references(expr)}
    known = {n for shape in used.values() for s in shape for n in s.names()}
    readable = text is not None and not {"where", "argmax", *LABELS, *{*"NMK"} - known} & set(re.findall("[A-Za-z]+", text))
    if text is not None and readable and used:
        note(text)
        np.testing.assert_allclose(read_again(text, used, env, sizes, expr, order), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("over_v", "over_a"), [((1, 3, 5), (1, 2, 3)), ((0, 2, 4), (0, 2, 3)), ((2, 4), (2, 3)), ((1, 2, 3, 5), (1, 0, 2, 3))]
)
def test_a_product_with_windows_in_blocks_is_the_product(over_v, over_a):
    scope = {"np": np}
    for word in ("windows", "window_dot"):
        exec(HELPERS[word], scope)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 5, 40, 41)).astype(np.float32)
    v = scope["windows"](x, (0, 0, -1, 1), [(0, 1, 9), (1, 1, 5), (2, 1, 40), (2, 1, 3), (3, 1, 41), (3, -1, 4)])
    shape = dict(zip(over_a, (v.shape[n] for n in over_v), strict=True))
    a = rng.normal(size=[shape.get(n, 6) for n in range(4)]).astype(np.float32)
    made = scope["window_dot"](v, a, over_v, over_a)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, np.tensordot(v.astype(float), a, (over_v, over_a)), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("size", [3, 16, 17, 50])
@pytest.mark.parametrize("shape", [(20,), (20, 3)])
def test_rows_with_one_label_add_up(size, shape):
    scope = {"np": np}
    exec(HELPERS["add_rows"], scope)
    rng = np.random.default_rng(0)
    labels, rows = rng.integers(0, size, 20), rng.normal(size=shape).astype(np.float32)
    made = scope["add_rows"](labels, rows, size)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, np.eye(size)[labels].T @ rows, rtol=1e-5, atol=1e-5)


#: (declarations, body, wrt, the gradient in matrix notation and as mathematics)
PRINTED = [
    ("x: L\nw: K\ng: L-K+1", "E = g @ conv1d(x, w)", "x", "conv1d(g, flip(w), padding=K-1)", "conv(g, flip(w), padding=K−1)"),
    ("x: L\nw: K\ng: L-K+1", "E = g @ conv1d(x, w)", "w", "conv1d(x, g)", "conv(x, g)"),
    (
        "x: H, W\nw: 3, 3\ng: H, W",
        "E = sum(g * conv2d(x, w, padding=1))",
        "x",
        "conv2d(g, flip(w), padding=1)",
        "conv(g, flip(w), padding=1)",
    ),
    (
        "x: N, C, H, W\nw: O, C, 3, 3\ng: N, O, H-2, W-2",
        "E = sum(g * conv2d(x, w))",
        "x",
        "conv2d(g, flip(transpose(w, (1, 0, 2, 3)), axis=(2, 3)), padding=2)",
        None,
    ),
    (
        "x: N, C, H, W\nw: O, C, P, Q\ng: N, O, H-P+1, W-Q+1",
        "E = sum(g * conv2d(x, w))",
        "w",
        "transpose(conv2d(transpose(x, (1, 0, 2, 3)), transpose(g, (1, 0, 2, 3))), (1, 0, 2, 3))",
        None,
    ),
    (
        "x: L\nw: K\ng: (L-K)//2+1",
        "E = g @ conv1d(x, w, stride=2)",
        "w",
        "conv1d(x, g, dilation=2)[:K]",
        "conv(x, g, dilation=2)[:K]",
    ),
    ("x: N\ny: N-1", "E = y @ x[1:]", "y", "x[1:]", "x[1:]"),
    ("x: N\ny: N", "E = y @ x[::-1]", "x", "y[::-1]", "y[::−1]"),
    ("x: 2*N\ny: N", "E = y @ x[::2]", "y", "x[::2]", "x[::2]"),
    ("x: N\ny: N-1", "E = y @ x[1:]", "x", "pad(y, (1, 0))", "pad(y, (1, 0))"),
    (
        "x: N, D",
        "E = sum(x[1:] * x[:-1])",
        "x",
        "pad(x[:-1], ((1, 0), (0, 0))) + pad(x[1:], ((0, 1), (0, 0)))",
        "pad(x[:−1], ((1, 0), (0, 0))) + pad(x[1:], ((0, 1), (0, 0)))",
    ),
    (
        "x: N",
        "E = sum((x[1:]-x[:-1])**2)/2",
        "x",
        "pad(x[1:] - x[:-1], (1, 0)) - pad(x[1:] - x[:-1], (0, 1))",
        "pad(x[1:] − x[:−1], (1, 0)) − pad(x[1:] − x[:−1], (0, 1))",
    ),
    ("x: N", "y = x[1:]\nE = sum(tanh(y))", "x", "pad(1 - tanh(y)**2, (1, 0))", "pad(1 − tanh(y)², (1, 0))"),
    ("x: N, M", "E = sum(concat(x, x[:, :1], axis=1)**2)", "x", "2 * (x + outer(x[:, 0], onehot(0, M)))", None),
    ("x: N", "E = sum(concat(x, x[:1])**2)", "x", "2 * (x + x[0] * onehot(0, N))", "2 (x + x_0 e_0)"),
    ("E: V, D\nk: label V, N\ng: N, D", "L = sum(E[k] * g)", "E", "onehot(k, V).T @ g", "onehot(k)ᵀ g"),
]


@pytest.mark.parametrize(("declarations", "body", "variable", "program", "mathematics"), PRINTED)
def test_convolutions_and_slices_are_printed_as_such_and_read_again(declarations, body, variable, program, mathematics):
    derivation = dk.derive(f"{declarations}\n{body}", wrt=variable, check=False)
    result = derivation.results[variable]
    assert (matrix_program(result), matrix_text(result)) == (program, mathematics)
    sizes = dict(zip(NAMES, (9, 3, 4, 7, 8, 3, 2, 2, 3, 4, 5, 3), strict=True))
    values = inputs(derivation.primal, sizes, np.random.default_rng(0))
    named = [line for line in body.split("\n") if not line.startswith(("E =", "L ="))]
    again = read_program("\n".join([declarations, *named, f"read = {program}"]))
    known = {str(name): values[str(name)] for name in again.inputs}
    expected = dk.compile(derivation)(values)[1][variable]
    np.testing.assert_allclose(evaluate_graph(again, known, sizes)[again.output], expected, rtol=1e-10)
