"""Lowering: programs in index notation are what NumPy computes, in A-normal form, with every refusal in its place."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from timing import patience

from derivkit import limits
from derivkit.errors import DerivkitError
from derivkit.symbolic.derive.door import derive
from derivkit.symbolic.evaluate import evaluate_expr, evaluate_graph
from derivkit.symbolic.expr import Add, Const, Delta, Expr, Fn, Inside, Mul, Num, Pow, Prim, Ref, SizeOf, Sum, references, walk
from derivkit.symbolic.graph import Graph
from derivkit.symbolic.index import Affine, Index
from derivkit.symbolic.ops import COMPARISONS, ELEMENTWISE, FUNCTIONS
from derivkit.symbolic.parse import read_expression, read_program


def refused(text, shapes=None):
    with pytest.raises(DerivkitError) as caught:
        read_program(text, shapes)
    return caught.value


# -- a small printer: each index shows as its letter, with primes where two different ones have the same -----------------


class Printer:
    def __init__(self):
        self.names = {}

    def index(self, index: Index) -> str:
        if index not in self.names:
            taken = set(self.names.values())
            self.names[index] = next(n for n in (index.hint + "'" * k for k in itertools.count()) if n not in taken)
        return self.names[index]

    def affine(self, sub: Affine) -> str:
        parts = []
        for atom, c in sub.terms:
            name = self.index(atom) if isinstance(atom, Index) else self.expr(atom)
            parts.append(name if str(c) == "1" else f"{c}*{name}")
        if sub.const.terms or not parts:
            parts.append(str(sub.const))
        return "+".join(parts).replace("+-", "-")

    def expr(self, e: Expr) -> str:
        match e:
            case Num():
                return str(e.value)
            case Const():
                return e.name
            case SizeOf():
                return str(e.size)
            case Ref():
                return str(e.name) + (f"[{','.join(map(self.affine, e.subs))}]" if e.subs else "")
            case Add():
                return "(" + " + ".join(map(self.expr, e.args)) + ")"
            case Mul():
                return " ".join(map(self.expr, e.args))
            case Pow():
                base = self.expr(e.base)
                return f"{f'({base})' if isinstance(e.base, Mul) else base}^{self.expr(e.exponent)}"
            case Fn():
                return f"{e.op}({', '.join(map(self.expr, e.args))})"
            case Sum():
                letters = ",".join(map(self.index, e.indices))
                return f"Σ{letters}({self.expr(e.body)})"
            case Delta():
                return f"δ({self.affine(e.left)},{self.affine(e.right)})"
            case Inside():
                return f"[{self.affine(e.subscript)} in {e.size}]"
            case Prim():
                bound = ",".join(map(self.index, e.bound))
                at = f"@{','.join(map(self.affine, e.at))}" if e.at else ""
                return f"{e.op}{{{bound}}}({', '.join(map(self.expr, e.args))}){at}"
        raise AssertionError(e)


def printed(graph: Graph) -> list[str]:
    lines = []
    for definition in graph:
        printer = Printer()
        axes = ",".join("1" if i is None else printer.index(i) for i in definition.indices)
        lines.append(f"{definition.name}{f'[{axes}]' if axes else ''} = {printer.expr(definition.rhs)}")
    return lines


NETWORK = "x: D\nW1: M, D\nW2: K, M\nt: onehot K\n"
DATA = "X: N, D\nw: D\ny: N\n"

# Each program with its lines of index notation.
LOWERED = {
    NETWORK + "y = softmax(W2 @ tanh(W1 @ x))\nE = cross_entropy(t, y)": [
        "a[j] = Σi(W1[j,i] x[i])",
        "h[j] = tanh(a[j])",
        "z[k] = Σj(W2[k,j] h[j])",
        "y[k] = softmax{k'}(z[k'])@k",
        "E = -1 Σk(t[k] log(y[k]))",
    ],
    DATA + "E = sum((X @ w - y)**2) / N": ["u[n] = Σi(X[n,i] w[i])", "E = Σn((u[n] + -1 y[n])^2) N^-1"],
    DATA + "u = X @ w\nE = sum((X @ w - y)**2)": ["u[n] = Σi(X[n,i] w[i])", "E = Σn((u[n] + -1 y[n])^2)"],
    DATA + "E = mean((X @ w - y)**2) + sum((X @ w)**2)": [
        "u[n] = Σi(X[n,i] w[i])",
        "E = (N^-1 Σn((u[n] + -1 y[n])^2) + Σn'(u[n']^2))",
    ],
    DATA + "sum(sum(X, axis=1))": ["out = Σn,i(X[n,i])"],
    DATA + "mean(mean(X, axis=1))": ["out = N^-1 D^-1 Σn,i(X[n,i])"],
    DATA + "sum(-y)": ["out = -1 Σn(y[n])"],
    DATA + "X - mean(X, axis=0)": ["u[i] = N^-1 Σn(X[n,i])", "out[n,i] = (X[n,i] + -1 u[i])"],
    DATA + "X - mean(X, axis=1, keepdims=True)": ["u[n] = D^-1 Σi(X[n,i])", "out[n,i] = (X[n,i] + -1 u[n])"],
    DATA + "X @ w + y": ["out[n] = (Σi(X[n,i] w[i]) + y[n])"],
    DATA + "(X @ w) * sum(w)": ["u = Σi(w[i])", "out[n] = Σi(X[n,i] w[i]) u"],
    DATA + "(w @ w) * sum(w) / N": ["out = Σi(w[i] w[i]) Σi'(w[i']) N^-1"],
    DATA + "y / sum(y)": ["u = Σn(y[n])", "out[n] = y[n] u^-1"],
    DATA + "exp(X @ w / sqrt(D))": ["u[n] = Σi(X[n,i] w[i]) D^1/2^-1", "out[n] = exp(u[n])"],
    DATA + "sum(exp(y))": ["out = Σn(exp(y[n]))"],
    DATA + "X.T @ (X @ w - y) / N": ["u[n] = Σi(X[n,i] w[i])", "out[i] = Σn(X[n,i] (u[n] + -1 y[n])) N^-1"],
    DATA + "logsumexp(X @ w) - 1": ["z[n] = Σi(X[n,i] w[i])", "l = logsumexp{n}(z[n])", "out = (l + -1)"],
    DATA + "max(X, axis=1)": ["out[n] = max{i}(X[n,i])"],
    DATA + "norm(X)": ["out = norm{n,i}(X[n,i])"],
    DATA + "softmax(X.T, axis=0)": ["out[i,n] = softmax{i'}(X[n,i'])@i"],
    DATA + "softmax(X[0])": ["z[i] = X[0,i]", "out[i] = softmax{i'}(z[i'])@i"],
    DATA + "y @ norm(X, axis=1)": ["r[n] = norm{i}(X[n,i])", "out = Σn(y[n] r[n])"],
    DATA + "outer(y, w)": ["out[n,i] = y[n] w[i]"],
    DATA + "diag(w)": ["out[i,i'] = w[i] δ(i,i')"],
    DATA + "trace(X.T @ X)": ["out = Σi,n(X[n,i] X[n,i])"],
    DATA + "eye(D) - outer(w, w)": ["out[i,i'] = (δ(i,i') + -1 w[i] w[i'])"],
    DATA + "where(y > 0, y, 2*y)": ["out[n] = where(greater(y[n], 0), y[n], 2 y[n])"],
    DATA + "(y > 0) @ X": ["out[i] = Σn(greater(y[n], 0) X[n,i])"],
    DATA + "relu(y) @ X": ["h[n] = relu(y[n])", "out[i] = Σn(h[n] X[n,i])"],
    DATA + "gelu(y)": ["out[n] = gelu(y[n])"],
    DATA + 'gelu(y, approximate="tanh")': ["out[n] = gelu_tanh(y[n])"],
    DATA + "leaky_relu(y)": ["out[n] = leaky_relu(y[n], 1/100)"],
    DATA + "stack(y, 2*y)": ["out[i,n] = (δ(i,0) y[n] + δ(i,1) 2 y[n])"],
    DATA + "einsum('ij,j->i', X, w)": ["out[n] = Σi(X[n,i] w[i])"],
    DATA + "X[:, None, :] * X[None, :, :]": ["out[n,n',i] = X[n,i] X[n',i]"],
    DATA + "y[1:] - y[:-1]": ["out[i] = (y[i+1] + -1 y[i])"],
    DATA + "y[-1] + y[0] + y[N-2]": ["out = (y[N-1] + y[0] + y[N-2])"],
    DATA + "y[::2]": ["out[i] = y[2*i]"],
    DATA + "y[::-1]": ["out[n] = y[-1*n+N-1]"],
    DATA + "1/2*w + D - 2*pi": ["out[i] = (1/2 w[i] + D + -2 pi)"],
    "k: label K\nz: K\nsoftmax_cross_entropy(k, z)": ["l[i] = log_softmax{i'}(z[i'])@i", "out = -1 l[k]"],
    "k: label K, N\ny: N, K\ncross_entropy(k, y)": ["out[n] = -1 log(y[n,k[n]])"],
    "k: label K, N\nonehot(k, K)": ["out[n,i] = δ(k[n],i)"],
    "E: V, D\nk: label V, N\nE[k]": ["out[n,i] = E[k[n],i]"],
    "A: N, M\nx: M\ny[i] = sum[k](A[i,k]*x[k]) + 1": ["y[i] = (Σk(A[i,k] x[k]) + 1)"],
    "A: N, M\nx: M\ny[i] = sum[k](A[i,k]*x[k])*sum[k](x[k])": ["u = Σk(x[k])", "y[i] = Σk(A[i,k] x[k]) u"],
    "A: N, M\ny[i] = max[k](A[i,k]**2)": ["z[i,k] = A[i,k]^2", "y[i] = max{k}(z[i,k])"],
    "A: N, M\ny[i] = mean[k](A[i,k])": ["y[i] = M^-1 Σk(A[i,k])"],
    "A: N, M\ny[j,i] = A[i,j]*delta[i,0]": ["y[j,i] = A[i,j] δ(i,0)"],
    "x: L\nw: 2*R+1\ny[i] = sum[p](w[p]*x[i+p-R]*0*x[i])": ["y[i] = Σp(w[p] x[i+p-R] 0 x[i])"],
    "x: 1\nw: D\nw * x + x": ["out[i] = (w[i] x[0] + x[0])"],
    "X: 1, D\nsum(X, axis=0) + softmax(X, axis=0)": ["out[1,i] = (X[0,i] + 1)"],
    "A: M, D\nx: D\nA @ x": ["out[j] = Σi(A[j,i] x[i])"],
    "A: M, D\nx: D\ny = A @ x\ny": ["y[j] = Σi(A[j,i] x[i])"],
    "sum: D\nsum".replace("sum", "sums"): ["out[i] = sums[i]"],
}


@pytest.mark.parametrize("text", LOWERED, ids=lambda t: t.splitlines()[-1])
def test_index_notation(text):
    assert printed(read_program(text)) == LOWERED[text]


def test_definitions_keep_the_text_of_their_line():
    graph = read_program("x: D  # data\n\nE = sum(  # long\n    exp(x)\n)\ny = E*x # end\ny + 1")
    assert [(str(d.name), d.text, d.line) for d in graph] == [
        ("E", "E = sum( exp(x) )", 3),
        ("y", "y = E*x", 6),
        ("out", "y + 1", 7),
    ]
    assert [(d.text, d.line) for d in read_program("x: D\nE = exp(sum(x))")] == [("", 2), ("E = exp(sum(x))", 2)]
    assert graph.source.startswith("x: D  # data")


def test_inputs_in_order_and_the_unused_apart():
    graph = read_program("b:\nx: D\nt: onehot K\nW: K, D\nc + W @ x*b", {"v": "K", "k": "label K, N"})
    assert [str(n) for n in graph.inputs] == ["b", "x", "W", "c"]
    assert [(str(n), i.kind, [*map(str, i.shape)], str(i.range)) for n, i in graph.extra.items()] == [
        ("t", "onehot", ["K"], "None"),
        ("v", "real", ["K"], "None"),
        ("k", "label", ["N"], "K"),
    ]


def test_labels_of_anonymous_nodes_avoid_every_name():
    graph = read_program("a: M, D\nh: D\nu: D\nz = exp(sum(u)) + tanh(a @ h)\na1 = softmax(a @ u)\np = a1 @ softmax(z)")
    assert len({str(d.name) for d in graph}) == len(graph.definitions)
    names = [str(d.name) for d in graph]
    assert names == ["u1", "a2", "z", "z1", "a1", "p1", "p"]


def test_the_output():
    assert str(read_program("x: D\nE = sum(x)").output) == "E"
    assert str(read_program("x: D\nsum(x)").output) == "out"
    assert str(read_program("x: D\ny = sum(x)\nz = 2*x\ny").output) == "y"
    assert str(read_program("x: D\nout: D\nsum(x + out)").output) == "out1"


def test_what_is_assumed_of_undeclared_names():
    assumed = {
        "h = tanh(W1 @ x + b1)\ny = softmax(W2 @ h)\nE = cross_entropy(t, y)": [
            "W1: a matrix of sizes M, D", "x: a vector of size D", "b1: a vector of size M",
            "W2: a matrix of sizes K, M", "t: a vector of size K",
        ],
        "sum((X @ w - y)**2)/N": ["X: a matrix of sizes N, D", "w: a vector of size D", "y: a vector of size N"],
        "alpha*x": ["alpha: a scalar", "x: a vector of size D"],
        "x @ Σ @ x": ["x: a vector of size D", "Sigma: a matrix of sizes D, D"],
        "squared_error(Y, t)": ["Y: a matrix of sizes M, D", "t: a matrix of sizes M, D"],
        "squared_error(t, Y @ W)": ["Y: a matrix of sizes K, M", "W: a matrix of sizes M, D", "t: a matrix of sizes K, D"],
        "y[i] = sum[j](a[i,j]*x[j])": ["a: a matrix of sizes M, D", "x: a vector of size D"],
        "D: M\nsum(D*x)": ["x: a vector of size M"],
        "y: D\nsum(y*eye(M))": [],
        "huber(y, t, c)": ["y: a vector of size D", "t: a vector of size D", "c: a scalar"],
        "clip(X, lo, hi)": ["X: a matrix of sizes N, D", "lo: a scalar", "hi: a scalar"],
        "w: P\ny[i] = sum[p](w[p]*x[2*i+p])": ["x: a vector of size D", "i runs over (D-P)//2+1: there 2*i+p stays inside"],
    }  # fmt: skip
    for text, sentences in assumed.items():
        if text.startswith("y: D"):
            assert refused(text).code == "DK012"
            continue
        graph = read_program(text)
        assert sorted(graph.assumed) == sorted(sentences), text


def test_convolution_by_indices():
    graph = read_program("w: O,C,P,Q\nx: B,C,H,W\ny[b,o,i,j] = sum[c,p,q](w[o,c,p,q] * x[b,c,i+p,j+q])")
    assert [str(s) for s in graph[graph.output].shape] == ["B", "O", "H-P+1", "W-Q+1"]
    assert [i.hint for i in graph[graph.output].bound] == ["b", "o", "i", "j"]
    assert graph.assumed[0] == "i runs over H-P+1: there i+p stays inside"


def test_a_letter_that_only_divides_is_a_size_if_an_axis_has_it():
    graph = read_program("E = sum((X @ w - y)**2)/N")
    assert [[str(s) for s in i.shape] for i in graph.inputs.values()] == [["N", "D"], ["D"], ["N"]]
    assert any(isinstance(n, SizeOf) and str(n.size) == "N" for n in walk(graph[graph.output].rhs))
    assert "N: a scalar" in read_program("E = sum((A @ w - y)**2)/N").assumed
    assert "N: a matrix of sizes M, D" in read_program("E = sum(N @ w)/N").assumed


def test_the_body_of_a_decorated_function():
    body = "    h = np.tanh(W @ x)\n    return np.sum(h**2)"
    graph = read_program(body, {"W": "M, D", "x": "D"}, modules={"np"}, returns=True)
    assert printed(graph) == ["a[j] = Σi(W[j,i] x[i])", "h[j] = tanh(a[j])", "out = Σj(h[j]^2)"]


def test_the_same_text_gives_the_same_program():
    text = NETWORK + "E = cross_entropy(t, softmax(W2 @ tanh(W1 @ x))) + sum(W1**2)/M"
    assert printed(read_program(text)) == printed(read_program(text))
    undeclared = "E = cross_entropy(t, softmax(W2 @ tanh(W1 @ x)))"
    assert read_program(undeclared).assumed == read_program(undeclared).assumed


# -- A-normal form -------------------------------------------------------------------------------------------------------


def assert_normal(graph: Graph) -> None:
    """Check what every later floor relies on."""
    seen = {str(n) for n in graph.inputs}
    for definition in graph:
        rhs = definition.rhs
        assert {str(n) for n in references(rhs)} <= seen, definition.name
        assert str(definition.name) not in seen
        seen.add(str(definition.name))
        assert rhs.free <= set(definition.bound)
        assert len(definition.bound) == len(set(definition.bound))
        for node in walk(rhs):
            if isinstance(node, Prim):
                assert node is rhs
                (argument,) = node.args
                assert isinstance(argument, Ref)
                bare = [s.bare for s in argument.subs if s.terms]
                assert None not in bare
                assert len(set(bare)) == len(bare)
                assert set(node.bound) <= set(bare)
            if isinstance(node, Sum):
                assert not any(isinstance(inner, Sum) for inner in walk(node.body))
            if isinstance(node, Fn | Pow):
                assert not any(isinstance(inner, Sum) for child in node.children for inner in walk(child))
        terms = rhs.args if isinstance(rhs, Add) else (rhs,)
        for term in terms:
            for node in walk(term):
                if isinstance(node, Sum):
                    assert node.free >= rhs.free - frozenset(i for i in definition.bound if i not in term.free) & rhs.free


# -- against NumPy -------------------------------------------------------------------------------------------------------


def softmax(x, axis=-1):
    return special.softmax(x, axis=axis)


def losses(x):
    return np.sum(x, axis=-1)


def cross_entropy(t, y):
    if np.asarray(t).dtype.kind == "i":
        return -np.log(np.take_along_axis(y, np.asarray(t)[..., None], -1)[..., 0])
    return -losses(t * np.log(y))


def sized(make):
    return lambda *n: make(n[0] if isinstance(n[0], tuple) else n)


NUMPY = {
    **{n: getattr(np, n) for n in "exp log log1p expm1 abs sign sin cos tan sinh cosh tanh arctan sqrt square".split()},
    **{n: getattr(np, n) for n in "minimum maximum where sum mean prod var std max min argmax dot outer inner".split()},
    **{n: getattr(np, n) for n in ("einsum", "transpose", "clip", "pi", "diag", "trace", "eye", "zeros", "ones")},
    "erf": special.erf,
    "erfc": special.erfc,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "elu": lambda x, alpha=1: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x, approximate="none": (
        x * (1 + special.erf(x / math.sqrt(2))) / 2
        if approximate == "none"
        else x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
    "silu": lambda x: x * special.expit(x), "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "hardtanh": lambda x: np.clip(x, -1, 1), "step": lambda x: np.where(x > 0, 1.0, 0.0),
    "logsumexp": lambda x, axis=None, keepdims=False: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
    "softmax": softmax, "log_softmax": lambda x, axis=-1: special.log_softmax(x, axis=axis),
    "norm": lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
    "cross_entropy": cross_entropy,
    "softmax_cross_entropy": lambda t, z: cross_entropy(t, softmax(z)),
    "binary_cross_entropy": lambda t, p: -losses(t * np.log(p) + (1 - t) * np.log(1 - p)),
    "squared_error": lambda y, t: losses((y - t) ** 2), "kl_div": lambda p, q: losses(p * np.log(p / q)),
    "huber": lambda y, t, c=1: losses(np.where(abs(y - t) <= c, (y - t) ** 2 / 2, c * (abs(y - t) - c / 2))),
    "hinge": lambda t, s: losses(np.maximum(0, 1 - t * s)), "linear": lambda x, W, b: x @ W.T + b,
    "stack": lambda *xs, axis=0: np.stack(xs, axis=axis), "onehot": lambda k, K: np.eye(K)[k],
    "zeros": sized(np.zeros), "ones": sized(np.ones),
}  # fmt: skip
SIZES = {"N": 4, "D": 3, "K": 5, "M": 2}
SHAPES = {
    "x": "D", "v": "D", "y": "N", "X": "N, D", "A": "D, D", "W": "M, D", "b": "M", "c": "", "B": "N, M, D", "P": "D, N",
    "s": "1", "R": "1, D", "C": "N, 1", "p": "positive D", "Q": "positive N, D", "k": "label D", "q": "label D, N", "m": "mask D",
}  # fmt: skip


def random_values(seed=0):
    rng = np.random.default_rng(seed)
    values = {}
    for name, text in SHAPES.items():
        kind, _, sizes = text.rpartition("label ") if "label" in text else text.rpartition("positive ")
        names = [n for n in sizes.replace("mask", "").replace(" ", "").split(",") if n]
        shape = tuple(SIZES.get(n, 1) for n in names)
        if "label" in text:
            values[name] = rng.integers(0, shape[0], shape[1:])
        elif "mask" in text:
            values[name] = rng.integers(0, 2, shape).astype(float)
        else:
            values[name] = rng.normal(size=shape) if not kind and "positive" not in text else rng.uniform(0.2, 1.5, shape)
    return values


def ours_of(text, shapes=SHAPES, seed=0):
    graph = read_program(text, shapes)
    assert_normal(graph)
    values = random_values(seed)
    return evaluate_graph(graph, {str(n): values[str(n)] for n in graph.inputs}, SIZES)[graph.output]


def numpys_of(text, seed=0):
    namespace = {**NUMPY, **SIZES, **random_values(seed)}
    *lines, last = text.replace("²", "**2").splitlines()
    for line in lines:
        exec(line, namespace)
    _, equals, value = last.partition(" = ")
    return np.asarray(eval(value if equals else last, namespace), float)  # noqa: S307


def run(text, shapes=SHAPES, seed=0):
    """Return derivkit's value of the output, and NumPy's of the same text."""
    return ours_of(text, shapes, seed), numpys_of(text, seed)


PROGRAMS = """
zeros(D, N) + P | ones(N, D)*X | onehot(0, D) - x | onehot(-1, D) | onehot(argmax(x), D) | onehot(argmax(X, axis=1), D) @ x
onehot(argmax(X, axis=0), N) | x[argmax(v)] | A[argmax(A, axis=0)] | 2*argmax(x) | A[argmax(2*x), 1:]
argmax(X, axis=0)[1] | s + argmax(x)
x + v | x - v*2 | -x**2 | X + x | X * y[:, None] | x / v | 2 / p | x**3 - 1/2 | c*x | X / 2 / 3 | x - (v - c) | x*(v*c)
-(-x) | X @ x | x @ A @ v | X @ A | x @ X.T | B @ x | B @ A | X.T @ y | A @ A @ A @ x | W @ X.T | x @ v | B @ B[0].T
(X @ x) @ (X @ v) | sum(X) | sum(X, axis=0) | sum(X, axis=-1) | sum(B, axis=(0, 2)) | sum(X, axis=1, keepdims=True) | mean(X)
mean(B, axis=(0, 1)) | X - mean(X, axis=0) | (X - mean(X, axis=0))/std(X, axis=0) | var(X, axis=1) | std(x)
var(B, axis=(1, 2), keepdims=True) | max(X) | max(X, axis=0) | min(X, axis=1) | prod(X, axis=1) | argmax(x)
argmax(X, axis=1) | norm(X) | norm(X, axis=1) | norm(2*x)**2 | logsumexp(X, axis=1) | logsumexp(X @ x) | softmax(X)
softmax(X, axis=(0, 1)) | softmax(B, axis=(0, -1)) | log_softmax(X @ A, axis=(1, 0)) | log_softmax(x, axis=None)
softmax(X, axis=0) | log_softmax(2*X) | softmax(X)[:, 1] | softmax(x) @ v | softmax_cross_entropy(m, x)
cross_entropy(p, softmax(x)) | binary_cross_entropy(m, sigmoid(x)) | squared_error(X, x) | huber(x, v)
kl_div(p, softmax(x)) | hinge(x, v) | mean(squared_error(X @ A, X)) | huber(X @ x, y, 0.5) | huber(X @ A @ x, y)
linear(x, W, b) | cross_entropy(k, softmax(x)) | softmax_cross_entropy(k, A @ x) | mean(softmax_cross_entropy(q, X))
softmax_cross_entropy(q, X @ A) | dot(x, v) | dot(X, x) | outer(x, v) | outer(X @ x, v) | inner(x, v) | diag(A) | diag(x)
diag(A @ x) | trace(A) | trace(A @ A) | eye(D) - A | zeros(D) + x | ones((N, D)) + X | ones(N) @ X | sum(ones((N, 2)))
einsum('ij,kj->ik', X, A) | einsum('ii->i', A) | einsum('ij,ij', X, X) | einsum('nij,j->ni', B, x) | einsum('i,j', x, v)
einsum('ii', A) | einsum('ij->ji', X) | einsum("i,ij,j->", x, A, v) | transpose(B) | transpose(B, (1, 0, 2)) | transpose(X)
X.T | B.T | x.T | stack(x, v) | stack(x, v, axis=1) | stack(x, A @ v, axis=-1) @ stack(c, 1.5) | X[0] | X[:, 0] | X[-1]
X[1, 2] | X[:, None, :] | x[None, :] * y[:, None] | x[1:] | x[:-1] | x[::2] | x[::-1] | X[1:3, ::2] | X[:, -2:] | A[k]
A[k, 0] | X[:, k] | A[q] | A[q][:, k] | A[q, 1:] | x[q] * y | A[1:, k] | (2*x)[q] | (X @ x)[1] | A[q, q] | A.T[q] | x[q][1:]
onehot(k, D) | onehot(q, D) | onehot(q, D) * X | sum(onehot(q, D) @ x) | x[k]**2 | where(x > 0, x, v)
where(X > y[:, None], 1, 0) | (x > v) * x | (x >= 0) @ A | where(x == v, 1, 2) | where((x < 1)*(x > -1), x, 0)
where(sum(x) > 0, x, v) | where(X @ x != y, y, 0) | x + s | s * s | X * C | R + x | R + C | R @ x | C.T @ X | sum(R)
sum(C, axis=1) | softmax(R, axis=0) | softmax(C) | max(C, axis=1) | mean(R, axis=0) | logsumexp(C, axis=1) | norm(s)
prod(s) | R.T @ R | R @ R.T | diag(s) | diag(s[:, None]) | log_softmax(C) | var(C, axis=1) | trace(s[:, None])
einsum('ij,ij->j', R, R) | einsum('ij,kj->ki', C, C) | stack(s) | stack(x)[0] | outer(s, s) | argmax(C, axis=1) | s[0]
exp(X @ x) | tanh(X @ A) @ x | exp(-x**2/2)/sqrt(2*pi) | sigmoid(X @ x + c) | log(sum(exp(x))) | exp(x)/sum(exp(x))
sqrt(x @ x) | 1/(1 + exp(-X @ x)) | sum(x)**2 | 1/sum(p) | p**x | 2**x | p**0.5 | p**-0.5 | (x @ v)**3 / norm(x) / norm(v)
sum(log(Q)) / (N*D) | x / N | sqrt(D)*x | (2*N+1)*x | N//2*x | (N+D)//2 - x | N*D/2 | x**2 @ v | X**2 @ p | maximum(x, v)
minimum(X, c) | clip(x, -0.5, 0.5) | leaky_relu(x) | leaky_relu(x, 0.2) | leaky_relu(x, slope=c) | elu(x, alpha=0.5)
gelu(X) | gelu(X, approximate="tanh") | x² | abs(x) | mean(x)*mean(v) | mean(x)*x | sum(x)*sum(X, axis=1) | (X @ x)*(X @ v)
(X @ x + y)*sum(x) | (X @ x)[:, None]*X | sum(X, axis=0)*X + X @ A
"""
TEXTS = [t.strip() for line in PROGRAMS.strip().splitlines() for t in line.split(" | ")]


@pytest.mark.parametrize("text", TEXTS)
def test_numpy_agrees(text):
    ours, theirs = run(text)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [n for n, op in ELEMENTWISE.items() if n in FUNCTIONS and n not in COMPARISONS.values()])
def test_every_elementwise_operation_agrees_with_numpy(name):
    if name == "gelu_tanh":
        return
    op = ELEMENTWISE[name]
    required = [p for p in op.parameters if p not in op.defaults]
    text = f"{name}({', '.join(['Q', 'x', 'c'][: len(required)])})"
    ours, theirs = run(text)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


LINES = [
    "h = tanh(X @ A)\ny2 = h @ x\nE = sum((y2 - y)**2)/N",
    "z = A @ x\ne = exp(z)\nZ = sum(e)\ng = e/Z\nE = -sum(p*log(g))",
    "h = relu(W @ x)\ng = W.T @ h\nE = x @ g + sum(h)*c",
    "mu = mean(X, axis=1, keepdims=True)\nr = sqrt(var(X, axis=1, keepdims=True) + 1e-5)\nE = sum(((X - mu)/r)**3)",
    "f = x*v\ng = f - softmax(f)*sum(f)\nE = g @ g/norm(g)",
    "S = X @ A @ X.T/sqrt(D)\nF = softmax(S)\nO = F @ X\nE = sum(O**2)",
]


@pytest.mark.parametrize("text", LINES)
def test_numpy_agrees_on_several_lines(text):
    ours, theirs = run(text)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


INDEXED = {
    "y1[i] = sum[g](A[i,g]*x[g]) + 1": "A @ x + 1",
    "y1[i,j] = sum[g](X[i,g]*A[g,j])*y[i]": "X @ A * y[:, None]",
    "E = sum[i,j](x[i]*A[i,j]*v[j])": "x @ A @ v",
    "E = sum[i](x[i]*sum[j](A[i,j]*v[j]))": "x @ A @ v",
    "E[i] = exp(x[i])/sum[g](exp(x[g]))": "np.exp(x)/np.exp(x).sum()",
    "E[i] = max[g](A[i,g]*x[g])": "(A*x).max(1)",
    "E = min[g,l](A[g,l])": "A.min()",
    "E[l] = prod[g](A[g,l] + 1)": "(A + 1).prod(0)",
    "E[l] = mean[g](A[g,l])**2": "A.mean(0)**2",
    "E[j,i] = delta[i,j]*x[i] - x[i]*x[j]": "np.diag(x) - np.outer(x, x)",
    "E[i] = x[i+1] + 0*x[i]": "np.append(x[1:], 0)",
    "E[i] = x[2*i-1] + 0*x[i]": "np.array([0, x[1], 0])",
    "E[i] = (x + v)[i+1] + 0*x[i]": "np.append((x + v)[1:], 0)",
    "E[i] = sum[h](x[h]*y[i+h])": "np.correlate(y, x, 'valid')",
    "E[i] = softmax(A @ x)[i] + tanh(x)[i]": "softmax(A @ x) + np.tanh(x)",
    "E[i] = (A @ x)[i]*x[i]": "(A @ x)*x",
    "E[n] = A[q[n], k]": "A[q, k]",
    "E[n] = sum[j](A[q[n], j]*x[j])": "A[q] @ x",
    "E[i] = sum(A[i])": "A.sum(1)",
    "E[i] = sum(A[:, i]*x)": "A.T @ x",
    "E[i] = A[i,i]": "np.diag(A)",
    "E[i] = s[i] + R[i,0]": "s + R[:, 0]",
    "E[i] = sum[j](x[j])*v[i]": "x.sum()*v",
    "E[i] = sum[j](delta[i,j]*x[j])": "x",
    "E[i] = sum[j](delta[i,j+1]*x[j])*v[i]": "np.append(0, x[:-1])*v",
    "E = sum[n](log(sum[j](exp(X[n,j]))))": "np.log(np.exp(X).sum(1)).sum()",
    "E[i] = sum[j](x[j]) + v[D-1-i] + 0*x[i]": "x.sum() + v[::-1]",
    "E = sum[i](x[i]**2)/D": "x @ x/D",
    "E[n] = sum[i,j](B[n,i,j])": "B.sum((1, 2))",
    "E[i] = sum[j](s[j]*x[i])": "s[0]*x",
    "E[i] = s[i+0]*sum[j](s[j])": "s*s",
    "E[j,g] = onehot(argmax(X, axis=0)[g], N)[j]": "np.eye(4)[X.argmax(0)].T",
    "E[j] = onehot(argmax(x), D)[j]*x[j]": "np.eye(3)[x.argmax()]*x",
    "E[i] = A[i, argmax(x)]": "A[:, x.argmax()]",
    "E[i,j] = onehot(i, D)[j] + 0*x[i]": "np.eye(3)",
}


@pytest.mark.parametrize("text", INDEXED)
def test_index_notation_agrees_with_numpy(text):
    graph = read_program(text, SHAPES)
    assert_normal(graph)
    values = random_values()
    ours = evaluate_graph(graph, {str(n): values[str(n)] for n in graph.inputs}, SIZES)[graph.output]
    theirs = eval(INDEXED[text], {**NUMPY, **SIZES, **values, "np": np})  # noqa: S307
    assert ours.shape == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


_ARRAYS = st.sampled_from(["x", "v", "X", "A", "c", "p", "s", "R", "C", "B", "y", "W", "b", "1", "0.5", "N"])


def _grown(children):
    two = st.tuples(children, children)
    return st.one_of(
        st.tuples(two, st.sampled_from(["+", "-", "*", "@"])).map(lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"),
        children.map(lambda c: f"({c}).T"),
        children.map(lambda c: f"(-{c})"),
        children.map(lambda c: f"({c})**2"),
        st.tuples(
            st.sampled_from(["tanh", "relu", "sigmoid", "sum", "mean", "max", "norm", "var", "softmax", "exp"]), children
        ).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(
            st.sampled_from(["sum", "mean", "max", "logsumexp", "var"]),
            children,
            st.sampled_from(["axis=0", "axis=-1, keepdims=True"]),
        ).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        children.map(lambda c: f"({c})[0]"),
        children.map(lambda c: f"({c})[:, None]"),
        two.map(lambda t: f"where({t[0]} > 0, {t[1]}, 1)"),
    )


_SHALLOW = st.one_of(_ARRAYS, _grown(_ARRAYS))


@given(st.one_of(_SHALLOW, _grown(_SHALLOW), _grown(_grown(_ARRAYS))), st.integers(0, 3))
@settings(max_examples=400, deadline=None)
def test_numpy_agrees_on_what_hypothesis_writes(text, seed):
    with np.errstate(all="ignore"):
        try:
            theirs = numpys_of(text, seed)
        except (ValueError, IndexError, TypeError, AttributeError, SyntaxError, SyntaxWarning):
            theirs = None  # a number has no .T in Python, and a scalar no axis
        try:
            ours = ours_of(text, seed=seed)
        except DerivkitError as error:
            code = error.code
            refused_too = theirs is None or (code, "@ 1" in text or "@ 0.5" in text) == ("DK010", True)
            assert refused_too or code in {"DK005", "DK015", "DK018"} or (code == "DK010" and "softmax" in text), str(error)  # noqa: PT017
            return
    if theirs is not None:
        assert ours.shape == theirs.shape
        finite = np.isfinite(theirs)
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-8, atol=1e-8)


# -- refusals ------------------------------------------------------------------------------------------------------------

DECLARED = "x: D\ny: N\nX: N, D\nk: label D\nq: label D, N\n"
# The last line, its code, its column, a part of the message, a part of the hint.
REFUSALS = [
    ("sofmax(x)", "DK009", 1, "unknown function 'sofmax'", "'softmax'"),
    ("X(x)", "DK009", 1, "unknown function 'X'", "a product"),
    ("prod_except(x)", "DK009", 1, "unknown function", None),
    ("X @ y", "DK012", 5, "shapes do not fit: (N, D) at line 6, column 1; (N) at line 6, column 5", "last axis"),
    ("X + y", "DK012", 5, "(N, D) at line 6, column 1; (N) at line 6, column 5", "from the right"),
    ("2 + X*x*y", "DK012", 9, "(N)", None),
    ("x @ 2", "DK012", 5, "a scalar", "*"),
    ("sum(x) @ x", "DK012", 1, "a scalar", "*"),
    ("squared_error(x, y)", "DK012", 1, "(D)", None),
    ("stack(x, y)", "DK012", 10, "(D)", "one shape"),
    ("x[0, 1]", "DK012", 1, "2 subscripts", None),
    ("where(x > 0, y, 1)", "DK012", 14, "(N)", None),
    ("trace(X)", "DK012", 7, "not square", None),
    ("trace(x)", "DK010", 7, "trace of an array of shape (D)", "trace(A)"),
    ("einsum('ij,jk->ik', X, X)", "DK012", 24, "(N, D)", "'j' has two sizes"),
    ("einsum('ij', X, X)", "DK010", 8, "1 operands specified, 2 given", "einsum("),
    ("einsum('i', X)", "DK010", 13, "'i' for an array of shape (N, D)", None),
    ("einsum('ij->ijk', X)", "DK010", 8, "of no operand", None),
    ("einsum('ij->ii', X)", "DK010", 8, "repeats", None),
    ("einsum(X, X)", "DK010", 8, "specification", None),
    ("einsum('i2', X)", "DK010", 8, "specification", None),
    ("tanh(x, x)", "DK010", 1, "tanh takes 1 argument, 2 are given", "tanh(x)"),
    ("tanh()", "DK010", 1, "tanh lacks its argument 'x'", "tanh(x)"),
    ("tanh(x, axs=1)", "DK010", 9, "no argument 'axs'", None),
    ("softmax(x, axs=1)", "DK010", 12, "no argument 'axs'", "'axis'"),
    ("softmax(x, x=1)", "DK010", 12, "'x' is given twice", None),
    ("sum(x, axis=1)", "DK010", 13, "axis 1 of an array with 1 axis", "sum("),
    ("sum(X, axis=(0, 0))", "DK010", 17, "axis 0 twice", None),
    ("sum(X, axis=0.5)", "DK010", 13, "an integer", None),
    ("sum(X, axis=x)", "DK010", 13, "an integer", None),
    ("max(x, y)", "DK010", 8, "an integer", "maximum(a, b)"),
    ("sum(x, keepdims=1)", "DK010", 17, "True or False", None),
    ("softmax(1)", "DK010", 1, "over an axis", None),
    ("log_softmax(X, axis=(0, 0))", "DK010", 25, "axis 0 twice", None),
    ("gelu(x, approximate='erf')", "DK010", 1, "approximate is", None),
    ("gelu(x, approximate=None)", "DK010", 1, "approximate is", None),
    ("stack()", "DK010", 1, "nothing to stack", None),
    ("transpose(X, (0,))", "DK010", 14, "1 axes of 2", None),
    ("eye(x)", "DK011", 1, "", None),
    ("zeros(0)", "DK010", 7, "expected a size", None),
    ("zeros(1.5)", "DK010", 7, "expected a size", None),
    ("tanh((x, y))", "DK010", 6, "a tuple is no value", None),
    ("tanh('x')", "DK010", 6, "a string is no value", None),
    ("tanh(None)", "DK010", 6, "", None),
    ("x // 2", "DK010", 3, "'//' is for sizes", "/"),
    ("k + 1", "DK014", 1, "no number", "subscript"),
    ("tanh(k)", "DK014", 6, "no number", None),
    ("k", "DK014", 1, "no number", None),
    ("(q == 1) * 2", "DK014", 2, "no number", None),
    ("q == 1", "DK007", 3, "a comparison is no output", "one ="),
    ("X @ q", "DK014", 5, "no number", None),
    ("onehot(x, D)", "DK019", 8, "this is no subscript", "label"),
    ("onehot(0.5, D)", "DK019", 8, "this is no subscript", None),
    ("onehot(argmax(x), N)", "DK012", 8, "runs over D", None),
    ("onehot(k, N)", "DK012", 8, "runs over D", None),
    ("y[k]", "DK012", 3, "", "run over D"),
    ("cross_entropy(k, X)", "DK012", 18, "", "one axis less"),
    ("cross_entropy(k, y)", "DK012", 18, "", "runs over D"),
    ("x[i]", "DK008", 3, "unknown name 'i' in a subscript", "label"),
    ("x[y]", "DK019", 3, "no subscript", "affine"),
    ("x[0.5]", "DK019", 3, "no subscript", None),
    ("x[q+1]", "DK019", 3, "array of labels", None),
    ("x[0:y]", "DK019", 5, "sizes and integers", None),
    ("x[::0]", "DK019", 3, "the step", None),
    ("x[::0]", "DK019", 3, "the step", None),
    ("x[2::-1]", "DK010", 3, "reversed", None),
    ("x[:0]", "DK020", 3, "an empty slice", None),
    ("D[0]", "DK019", 1, "'D' is a size", None),
    ("g[i] = x[i]*y[i]", "DK012", 15, "index 'i' runs over D, this axis has N", None),
    ("g[i] = x[i*i]", "DK019", 11, "no subscript", None),
    ("g[i] = x", "DK012", 8, "still has axes", None),
    ("g[i] = i*x[i]", "DK019", 8, "is an index here", None),
    ("g[i] = 1", "DK019", 3, "nothing tells the range of index 'i'", "x[i]"),
    ("g = sum[j](x[0])", "DK019", 9, "nothing tells the range of index 'j'", None),
    ("g[i] = sum[i](x[i])", "DK019", 12, "bound already", None),
    ("g[x] = X[x,0]", "DK019", 3, "is an array or a size", None),
    ("g[D] = x[D]", "DK019", 3, "is an array or a size", None),
    ("g[i] = x[i,0]", "DK012", 8, "2 subscripts", None),
    ("x[k, None, k]", "DK012", 1, "2 subscripts", None),
    ("X[q, None, q]", "DK010", 12, "between them", "transpose"),
    ("g = h\nh = x", "DK008", 5, "'h' is used before line 7", None),
    ("g = g + 1", "DK008", 5, "'g' is used before line 6", None),
    ("x = 1", "DK011", 1, "declared input", None),
    ("D = 1", "DK011", 1, "both an array and a size", None),
]  # fmt: skip


@pytest.mark.parametrize(("last", "code", "column", "message", "hint"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_refusals(last, code, column, message, hint):
    error = refused(DECLARED + last)
    assert error.code == code, str(error)
    if last != "eye(x)":
        assert (error.line, error.column) == (6, column), str(error)
    assert message in error.message
    assert hint is None or (error.hint is not None and hint in error.hint), error.hint
    assert error.source is not None
    assert len(error.report().splitlines()) <= 4


def test_a_shape_given_apart_is_named_in_its_error():
    error = refused("E = sum(x)", {"x": "onehat N"})
    assert str(error) == "line 1, column 1: in the shape of 'x': unknown kind 'onehat'"


def test_several_axes_of_softmax_are_derived_and_read_back():
    """The gradient of logsumexp over several axes is printed by a softmax over them: it must read, and derive, again."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    p = special.softmax(x)
    d = derive("X: N, D\nE = logsumexp(X)", "X")
    assert d.result.program() == "softmax(X, axis=(0, 1))"
    again = read_program(d.program())
    np.testing.assert_allclose(evaluate_graph(again, {"X": x})[again.output], p)
    text = "X: N, D\nV: N, D\nE = sum(V*{}(X, axis=(0, 1)))"
    for op, truth in (("softmax", p * (v - np.sum(p * v))), ("log_softmax", v - np.sum(v) * p)):
        d = derive(text.format(op), "X")
        np.testing.assert_allclose(d.evaluate(X=x, V=v), truth)
        for notation in ("index", "matrix"):
            again = read_program(d.program(notation=notation))
            np.testing.assert_allclose(evaluate_graph(again, {"X": x, "V": v})[again.output], truth)


def test_refusals_of_literal_sizes():
    assert refused("x: 3\nx[3]").code == "DK019"
    assert refused("x: 3\nx[-4]").code == "DK019"
    assert refused("x: 3\ny: 4\nx + y").code == "DK012"
    assert refused("x: 3\nx[2:1]").code == "DK020"
    read_program("x: 3\nx[-3] + x[2]")


def test_refusals_of_declarations():
    assert refused("x: D\nx", {"x": "D"}).code == "DK011"
    assert refused("y = 2*x", {"y": "D"}).code == "DK011"
    assert refused("S: symmetric N\nS").code == "DK014"
    assert refused("S: symmetric N, M\nS").code == "DK014"
    assert refused("x", {"x y": "D"}).code == "DK006"
    assert refused("x", {"x": "onehto D"}).code == "DK014"
    assert refused("D: D\nD").code == "DK011"
    graph = read_program("S: symmetric N, N\np: simplex N, K\nm: mask N\nsum(S) + sum(p) + sum(m)")
    assert [i.kind for i in graph.inputs.values()] == ["symmetric", "simplex", "mask"]


def test_too_many_axes():
    error = refused("a: A,B,C,D\nb: E,F,G,H,I\neinsum('abcd,efghi->abcdefghi', a, b)")
    assert error.code == "DK017"
    error = refused("a: A,B,C,D,E,F,G,H\na[:,:,:,:,:,:,:,:,None]*2")
    assert error.code == "DK017"


def test_read_expression():
    graph = read_program(
        "k: label K\nx: D\nW: K, D\nt: K\nv: D\nz = W @ x\ny = softmax(z)\nE = cross_entropy(t, y)", {"unused": "K"}
    )
    values = {n: a for n, a in random_values().items() if n == "x"}
    rng = np.random.default_rng(1)
    values.update(W=rng.normal(size=(5, 3)), t=rng.uniform(size=5), unused=rng.normal(size=5))
    env = evaluate_graph(graph, values, SIZES)
    named = {str(n): v for n, v in env.items()}
    env.update({n: values[str(n)] for n in graph.extra if str(n) in values})
    claims = {
        "y - t": "y - t", "sum(t)*y - t": "sum(t)*y - t", "outer(y - t, x)": "outer(y - t, x)", "W.T @ (y - t)": "W.T @ (y - t)",
        "g[j,i] = (y[j] - t[j])*x[i]": "outer(y - t, x)", "softmax(W @ x) - t": "y - t", "E": "E", "x": "x",
        "unused*2": "unused*2",
        "g[l] = sum[k2](y[k2]*(delta[k2,l] - y[l]))": "y - sum(y)*y", "norm(W @ tanh(x))": "norm(W @ tanh(x))", "x/D": "x/D",
        "diag(y) - outer(y, y)": "diag(y) - outer(y, y)",
        "onehot(argmax(y), K)*t": "onehot(argmax(y), K)*t",
        "onehot(argmax(W @ x), K)": "onehot(argmax(y), K)",
        "1/sum(exp(W @ x))":
        "1/sum(exp(W @ x))", "3": "3",
    }  # fmt: skip
    for claim, meant in claims.items():
        expr, axes = read_expression(claim, graph)
        ours = evaluate_expr(expr, env, SIZES, axes)
        namespace = {**NUMPY, **SIZES, **values, **named, "unused": values["unused"]}
        theirs = eval(meant, namespace)  # noqa: S307
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14, err_msg=claim)
    refusals = {
        "y - tt": "DK008", "yy": "DK008", "y - x": "DK012", "a = 1\nb = 2": "DK007", "foo(x)": "DK009", "g[i] = y[i+q]": "DK008",
        "g[i] = 1": "DK019", "k": "DK014", "": "DK007",
    }  # fmt: skip
    for wrong, code in refusals.items():
        with pytest.raises(DerivkitError) as caught:
            read_expression(wrong, graph)
        assert caught.value.code == code, wrong
    with pytest.raises(DerivkitError) as caught:
        read_expression("2*unsed", graph)
    assert caught.value.hint == "did you mean 'unused'?"


# -- speed ---------------------------------------------------------------------------------------------------------------

HEAVY = {
    "a long sum": "x: D\n" + "+".join(["x"] * 2_000),
    "a long sum of different terms": "x: D\n" + "+".join(f"{k}*x" for k in range(1_000)),
    "a long product": "x: D\n" + "*".join(["x"] * 2_000),
    "a long chain of matrices": "A: D, D\n" + "@".join(["A"] * 1_500),
    "alternating": "x: D\n" + "x" + "+x*x" * 1_000,
    "alternating spine": "x: D\n(" + "x" + "*x+x" * 1_000 + ")",
    "deep calls": "x: D\n" + "tanh(" * 95 + "x" + ")" * 95,
    "deep reductions": "x: D\n" + "tanh(x*sum(" * 45 + "x" + "))" * 45,
    "deep losses": "x: D\n" + "huber(x*" * 90 + "x" + ",x)" * 90,
    "deep variances": "x: D\n" + "(x - var(" * 45 + "x" + "))" * 45,
    "deep losses of undeclared names": "squared_error(x," * 90 + "x" + ")" * 90,
    "new names in deep losses": "".join(f"squared_error(x{k}, " for k in range(90)) + "x" + ")" * 90,
    "deep subscripts": "x: D\nk: label D\n" + "x" + "[None]" * 7 + "\n",
    "deep index sums": "x: D\n" + "".join(f"sum[i{k}](x[i{k}]*" for k in range(45)) + "1" + ")" * 45,
    "shared lines": "x0 = x*x\n" + "\n".join(f"x{k+1} = x{k}*x{k} + softmax(x{k})*sum(x{k}*x{k})" for k in range(60)),
    "doubling lines": "x0 = X @ X\n" + "\n".join(f"x{k+1} = (x{k} @ x{k}) @ (x{k} @ x{k})" for k in range(60)),
    "many undeclared": "+".join(f"x{k}" for k in range(190)),
    "many sizes": "".join(f"x{k}: N{k}\n" for k in range(95)) + "+".join(f"sum(x{k})" for k in range(95)),
    "an einsum of many": "einsum('" + ",".join(["ij"] * 30) + "->ij'," + ",".join(["A"] * 30) + ")",
    "a long stack": "x: D\nstack(" + ",".join(["x"] * 1_500) + ")",
    "size polynomials": "x: " + "*".join(f"(A{k}+1)" for k in range(12)) + "\nx",
    "size powers": "x: " + "*".join(["(A+B+C+D)"] * 60) + "\nx",
    "constants": "x: D\nx*" + "*".join(["1e300*x*1e-300"] * 500),
    "nested size quotients": "x: " + "(" * 90 + "L" + "+1)//2" * 90 + "\nx[1:] + x[:-1]",
}  # fmt: skip


@pytest.mark.parametrize("case", HEAVY)
def test_heavy_programs_are_read_or_refused_quickly(case):
    start = time.process_time()
    try:
        graph = read_program(HEAVY[case])
    except DerivkitError as error:
        code = error.code
        assert code in {"DK018", "DK020", "DK003"}, str(error)  # noqa: PT017
    else:
        assert all(d.rhs.nodes <= limits.RESULT_NODES for d in graph)
    assert time.process_time() - start < patience()
