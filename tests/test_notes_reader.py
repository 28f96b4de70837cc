# ruff: noqa: E501 (a formula and its tree are easier to compare in one line)
r"""Formulas as people write them, and the trees that they are read as; documents, repairs, and what is not read.

A tree is written in one line: ``{a b}`` a product (with its signs), ``(+ a -b)`` a sum, ``(/ a b)`` a quotient, ``(^ a b)`` a
power (``^name``: written on the name, before the bracket), ``a[i]`` subscripts, ``a^(l)`` a label, ``f(x)`` and ``f<x>`` a call
with and without brackets, ``(D f | x)`` a derivative, ``(d x)`` a differential, ``(sum i=1..n (c): x)`` a sum under conditions,
``1{c}`` an indicator, ``<a if c; b>`` cases, ``[a, b; c, d]`` a matrix, ``List()(a, b)`` a list with its brackets, ``a:bold`` a
style.
"""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derivkit import limits
from derivkit.errors import DerivkitError
from derivkit.symbolic.notes import formula as f
from derivkit.symbolic.notes.document import Source, read_document, read_formula

SIGNS = {"": " ", "cdot": " · ", "times": " × ", "otimes": " ⊗ ", "odot": " ⊙ ", "circ": " ∘ ", "ast": " * ", "circledast": " ⊛ "}


def several(nodes: tuple[f.Formula | None, ...], sign: str = ", ") -> str:
    return sign.join(map(tree, nodes))


def tree(node: f.Formula | None) -> str:
    """Return a formula in one line."""
    match node:
        case None:
            return "..."
        case f.Number():
            return node.text
        case f.Symbol():
            return f"{node.name}{':' * bool(node.style)}{node.style}" + (f"^({tree(node.label)})" if node.label else "")
        case f.Indexed():
            return f"{tree(node.base)}[{several(node.subscripts)}]"
        case f.Application():
            left, right = "()" if node.brackets else "<>"
            return f"{tree(node.function)}{left}{several(node.arguments)}{right}"
        case f.Sign():
            return f"({node.op} {tree(node.operand)})"
        case f.Sum():
            return "(+ " + " ".join(f"{sign.strip('+')}{tree(term)}" for sign, term in node.terms) + ")"
        case f.Product():
            return "{" + "".join(SIGNS[sign] * bool(i) + tree(part) for i, (sign, part) in enumerate(node.factors)) + "}"
        case f.Quotient():
            return f"(/ {tree(node.over)} {tree(node.under)})"
        case f.Power():
            return f"(^{'name' * node.on_name} {tree(node.base)} {tree(node.exponent)})"
        case f.Transposed():
            return f"{tree(node.base)}.T"
        case f.Differential():
            return f"(d {tree(node.of)})"
        case f.Relation():
            return f"({tree(node.left)} {node.op} {tree(node.right)})"
        case f.Words():
            return f'"{node.text}"'
        case _:
            return special(node)


def special(node: f.Formula) -> str:
    match node:
        case f.Big():
            bounds = several(node.letters)
            bounds += f"={tree(node.lower)}" if node.lower else ""
            bounds += f"..{tree(node.upper)}" if node.upper else ""
            return f"({' '.join(part for part in (node.op, bounds, *map(tree, node.conditions)) if part)}: {tree(node.body)})"
        case f.Derivative():
            spelled = "" if node.spelled == "partial" else f":{node.spelled}"
            return f"(D{spelled} {tree(node.of)} | {several(node.by)})"
        case f.Matrix():
            return "[" + "; ".join(several(row) for row in node.rows) + "]"
        case f.Cases():
            return "<" + "; ".join(tree(value) + (f" if {tree(when)}" if when else "") for value, when in node.rows) + ">"
        case f.List():
            return f"List{node.brackets or '_'}({several(node.items)})"
        case f.Bracketed():
            return f"{node.kind}{'_' * bool(node.order)}{tree(node.order) if node.order else ''}({several(node.items)})"
        case f.At():
            return f"(at {tree(node.base)} | {several(node.point)})"
        case f.Indicator():
            return f"1{{{tree(node.condition)}}}"
        case f.Struck():
            return f"struck({tree(node.base)} -> {tree(node.value)})"
    raise TypeError(node)


def chain(read: f.Chain) -> str:
    """Return a chain in one line: ``_`` where the left side is that of the block before, remarks behind a semicolon."""
    links = "".join(f" {op} {tree(term)}" for op, _, term in read.links)
    return (tree(read.first) if read.first else "_") + links + (" ; " + several(read.where) if read.where else "")


def chains(source: str) -> str:
    return " || ".join(map(chain, read_formula(source)))


#: Formulas as people write them, and the trees that they are.
ROWS = [
    (r"E = -\sum t_k \ln y_k", "E = (- (sum: {t[k] ln<y[k]>}))"),
    (r"\sum_{l \neq k}^K t_l", "(sum l..K (l != k): t[l])"),
    (r"\sum_{(x_i,t_i)\in D} (t_i - w x_i)^2", "(sum (List()(x[i], t[i]) in D): (^ (+ t[i] -{w x[i]}) 2))"),
    (r"\frac{\partial f(z_l)}{\partial z_k}", "(D f(z[l]) | z[k])"),
    (r"\frac{\partial}{\partial x} \frac{\partial}{\partial y} f(x, y)", "(D (D f(x, y) | y) | x)"),
    (r"\nabla_x f(x)", "(D:nabla f(x) | x)"),
    ("x_{b,ic,i+i',j+j'}", "x[b, ic, (+ i i_prime), (+ j j_prime)]"),
    ("f'(x) = 2x", "(D:prime f(x) | ) = {2 x}"),
    ("f''(x)", "(D:prime (D:prime f(x) | ) | )"),
    ("w^{(2)}_{ji}", "w^(2)[j, i]"),
    ("w_{ji}^{(2)}", "w^(2)[j, i]"),
    ("a^{[l-1]}", "a^((+ l -1))"),
    (r"\exp^2(z)", "(^name exp(z) 2)"),
    (r"\exp{(z)}", "exp(z)"),
    (r"\exp{z}", "exp<z>"),
    (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", "[a, b; c, d]"),
    (r"\begin{bmatrix} w_1 \\ \vdots \\ w_n \end{bmatrix}", "[w[1]; ...; w[n]]"),
    (r"f(x) = \begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}", "f(x) = <x if (x > 0); 0>"),
    (
        r"f(x) = \begin{cases} x, & \text{if } x > 0, \\ \alpha x, & \text{if $x \le 0$.} \end{cases}",
        "f(x) = <x if (x > 0); {alpha x} if (x <= 0)>",
    ),
    ("{}^t(y-t)", "(+ y -t).T"),
    ("x^T A x", "{x.T A x}"),
    (r"x^\top A x", "{x.T A x}"),
    (r"\mathbf{x}^{\mathsf{T}} \mathbf{W}", "{x:bold.T W:bold}"),
    (r"\boldsymbol{\theta}", "theta:bold"),
    (r"\text{relu}(x)", "relu:text(x)"),
    (r"\operatorname{softmax}(z)_i", "softmax:op(z)[i]"),
    (r"a \equiv b", "a == b"),
    ("a := b", "a := b"),
    (r"a \triangleq b", "a := b"),
    (r"a \times b", "{a × b}"),
    (r"\delta \otimes x", "{delta ⊗ x}"),
    (r"\delta^{(l)} \odot \sigma'(z^{(l)})", "{delta^(l) ⊙ (D:prime sigma(z^(l)) | )}"),
    (r"f \circ g", "{f ∘ g}"),
    (r"\frac{\mathrm{d} y}{\mathrm{d} x}", "(D:d y | x)"),
    (r"\frac{\mathrm{d}}{\mathrm{d} x} x^2 = 2x", "(D:d (^ x 2) | x) = {2 x}"),
    ("a = b = c", "a = b = c"),
    (r"x_1, x_2, \cdots, x_n", "List_(x[1], x[2], ..., x[n])"),
    (r"\mathbf{x} = (x_1, \dots, x_n)", "x:bold = List()(x[1], ..., x[n])"),
    (r"\partial_w C", "(D C | w)"),
    (r"\frac{\delta E}{\delta w}", "(D:delta E | w)"),
    (r"\nabla a_{11}", "(D:nabla a[11] | )"),
    ("f(x)|_{x=0}", "(at f(x) | (x = 0))"),
    (r"\left. \frac{\partial f}{\partial x} \right|_{x=0}", "(at (D f | x) | (x = 0))"),
    (r"(\sigma(x))'", "(D:prime sigma(x) | )"),
    (r"df = \operatorname{tr}(A\, dX)", "(d f) = tr:op({A (d X)})"),
    (r"\langle a, b \rangle", "inner(a, b)"),
    ("1_{i=j}", "1{(i = j)}"),
    (r"\mathbb{1}[i=j]", "1{(i = j)}"),
    (r"\mathbb{1}_{\{i=j\}}", "1{(i = j)}"),
    (r"\delta_{ij}", "delta[i, j]"),
    (r"\delta_j", "delta[j]"),
    (r"\delta^{(l)}_j", "delta^(l)[j]"),
    (r"\sum_{w\in V} \exp(u_w^\top v_c)", "(sum w (w in V): exp({u[w].T v[c]}))"),
    ("w * x", "{w * x}"),
    (r"w \circledast x", "{w ⊛ x}"),
    (r"A \otimes B", "{A ⊗ B}"),
    (r"A \cdot B", "{A · B}"),
    ("A^{-1}", "(^ A (- 1))"),
    (r"A^{\odot 2}", "{A ⊙ A}"),
    ("A' B", "{A_prime B}"),
    ("A^t B", "{(^ A t) B}"),
    (r"\operatorname{diag}(v)", "diag:op(v)"),
    (r"\text{rot180}(w)", "rot180:text(w)"),
    (r"\mathbf{1}\mathbf{1}^T", "{1:bold 1:bold.T}"),
    (r"w \leftarrow w - \eta g", "w <- (+ w -{eta g})"),
    (r"w := w - \alpha \frac{\partial J}{\partial w}", "w := (+ w -{alpha (D J | w)})"),
    (r"\nabla L = 0", "(D:nabla L | ) = 0"),
    (r"x = y \in \mathbb{R}^n", "x = y in (^ R:bb n)"),
    (r"a = b \implies c = d", "a = b || c = d"),
    (r"\therefore a = b", "a = b"),
    (r"W \in \mathbb{R}^{m \times n}", "W in (^ R:bb {m × n})"),
    (r"a \approx 0.3", "a approx 0.3"),
    ("xw_0 = x_0 w_0", "{x w[0]} = {x[0] w[0]}"),
    ("P(y=j)", "P((y = j))"),
    ("h^2(x)", "(^name h(x) 2)"),
    ("h(x)^2", "(^ h(x) 2)"),
    (r"\bold{k} = \bold{j}", "k:bold = j:bold"),
    (r"\log \frac{a}{b}", "log<(/ a b)>"),
    (r"\ln y_k", "ln<y[k]>"),
    (r"\exp x y", "exp<{x y}>"),
    (r"\exp -x", "exp<(- x)>"),
    (r"\log x - 1", "(+ log<x> -1)"),
    (r"t \log y + (1-t) \log (1-y)", "(+ {t log<y>} {(+ 1 -t) log((+ 1 -y))})"),
    (r"\sin x \cos x", "{sin<x> cos<x>}"),
    (
        r"-\frac{1}{N}\sum_{n=1}^N \sum_{k=1}^K t_{nk} \log y_{nk}",
        "(- {(/ 1 N) (sum n=1..N: (sum k=1..K: {t[n, k] log<y[n, k]>}))})",
    ),
    (r"\sum_i a_i b_i + c", "(+ (sum i: {a[i] b[i]}) c)"),
    (r"\sum_{i=1,j=1}^{n} a_{ij}", "(sum i=1..n: (sum j=1..n: a[i, j]))"),
    (r"\sum_{i,j} a_{ij}", "(sum i, j: a[i, j])"),
    (r"\sum_{ij} a_{ij}", "(sum i, j: a[i, j])"),
    (r"\sum_{1 \le i \le n} x_i", "(sum i=1..n: x[i])"),
    (r"\sum_{i=1}^{n}\nolimits x_i", "(sum i=1..n: x[i])"),
    (r"\sum\limits_{k} y_k", "(sum k: y[k])"),
    (r"\max(0, z)", "max(0, z)"),
    (r"\max_j z_j", "(max j: z[j])"),
    (r"\min_{x \in S} f(x)", "(min x (x in S): f(x))"),
    (r"\arg\max_j z_j", "argmax:op[j]<z[j]>"),
    (r"\operatorname*{argmax}_j z_j", "argmax:op[j]<z[j]>"),
    (r"\mathbb{E}_{x \sim p}[f(x)]", "(expectation x (x sim p): f(x))"),
    (r"\mathbb{E}[x^2]", "(expectation: (^ x 2))"),
    (r"\frac{\partial^2 L}{\partial x^2}", "(D L | x, x)"),
    (r"\frac{\partial^2 f}{\partial x \partial y}", "(D f | x, y)"),
    (r"\nabla^2 f(x)", "(D:hessian f(x) | )"),
    (r"\nabla_{\theta} J(\theta)", "(D:nabla J(theta) | theta)"),
    (r"\nabla_W L = \delta x^T", "(D:nabla L | W) = {delta x.T}"),
    (r"\nabla_x (x^T A x) = (A + A^T) x", "(D:nabla {x.T A x} | x) = {(+ A A.T) x}"),
    (r"\nabla_x x^T A x = (A + A^T) x", "(D:nabla {x.T A x} | x) = {(+ A A.T) x}"),
    (r"\nabla_x a^T x = a", "(D:nabla {a.T x} | x) = a"),
    (r"\partial L / \partial w", "(D L | w)"),
    ("dy/dx = 2x", "(D:d y | x) = {2 x}"),
    (r"\frac{dL}{dW^{(1)}} = x", "(D:d L | W^(1)) = x"),
    (r"\|x\|_2^2", "(^ norm_2(x) 2)"),
    (r"\|x - y\|^2", "(^ norm((+ x -y)) 2)"),
    ("|x|", "abs(x)"),
    ("|x_i| + |y|", "(+ abs(x[i]) abs(y))"),
    (r"\left\| W x \right\|_F", "norm_F({W x})"),
    (r"\left|\frac{a}{b}\right|", "abs((/ a b))"),
    (r"\lVert x \rVert", "norm(x)"),
    ("||x||^2", "(^ norm(x) 2)"),
    (r"\sqrt{x}", "sqrt(x)"),
    (r"\sqrt[3]{x}", "(^ x (/ 1 3))"),
    (r"\frac12", "(/ 1 2)"),
    (r"\frac1N \sum_i x_i", "{(/ 1 N) (sum i: x[i])}"),
    (r"\hat{y}_i", "y_hat[i]"),
    (r"\hat{y_i}", "y_hat[i]"),
    (r"\bar x", "x_bar"),
    (r"\tilde{\mathbf{x}}", "x_tilde:bold"),
    (r"\vec{v}", "v:bold"),
    ("z'", "z_prime"),
    ("i'", "i_prime"),
    ("y^*", "y^(star)"),
    ("x^{new}", "x^(new:text)"),
    (r"x^{\text{new}}", "x^(new:text)"),
    ("x_{max}", "x_max"),
    (r"x_{\text{max}}", "x_max"),
    ("W_{hh} h_{t-1}", "{W[h, h] h[(+ t -1)]}"),
    ("L_{CE}", "L_CE"),
    ("w_{kj}", "w[k, j]"),
    ("w_{k,j}", "w[k, j]"),
    ("x_{i+1}", "x[(+ i 1)]"),
    ("x_{2i}", "x[{2 i}]"),
    ("a_{11}", "a[11]"),
    ("y_k^{(i)}", "y^(i)[k]"),
    (r"p(y | x; \theta)", "p(y, x, theta)"),
    (r"p(y \mid x)", "p(y, x)"),
    (r"f(x; \theta)", "f(x, theta)"),
    (r"(W^{(l+1)})^T \delta^{(l+1)} \odot \sigma'(z^{(l)})", "{W^((+ l 1)).T delta^((+ l 1)) ⊙ (D:prime sigma(z^(l)) | )}"),
    (
        r"\left((w^{l+1})^T \delta^{l+1}\right) \odot \sigma'(z^l)",
        "{{w^((+ l 1)).T delta^((+ l 1))} ⊙ (D:prime sigma(z^(l)) | )}",
    ),
    (r"a^l = \sigma(w^l a^{l-1} + b^l)", "a^(l) = sigma((+ {w^(l) a^((+ l -1))} b^(l)))"),
    (r"\sigma(z) = \frac{1}{1+e^{-z}}", "sigma(z) = (/ 1 (+ 1 (^ e (- z))))"),
    (r"\sigma' = \sigma(1-\sigma)", "sigma_prime = sigma((+ 1 -sigma))"),
    ("y(1-y)", "y((+ 1 -y))"),
    ("y (1 - y)", "y((+ 1 -y))"),
    ("2(x - 1)", "{2 (+ x -1)}"),
    ("(x+1)(x-1)", "{(+ x 1) (+ x -1)}"),
    ("x^2(1-x)", "(^name x((+ 1 -x)) 2)"),
    ("e^{-x}(1+x)", "{(^ e (- x)) (+ 1 x)}"),
    (r"e^{-\frac{x^2}{2\sigma^2}}", "(^ e (- (/ (^ x 2) {2 (^ sigma 2)})))"),
    ("1/2 x", "{(/ 1 2) x}"),
    (r"1/N \sum_i x_i", "{(/ 1 N) (sum i: x[i])}"),
    ("a/b", "(/ a b)"),
    (r"\frac{1}{2} \| y - t \|^2", "{(/ 1 2) (^ norm((+ y -t)) 2)}"),
    ("10^{-3}", "(^ 10 (- 3))"),
    ("x^2y", "{(^ x 2) y}"),
    ("x^{2n}", "(^ x {2 n})"),
    ("1,000", "1000"),
    ("3{,}000", "3000"),
    ("0.3", "0.3"),
    (".5", ".5"),
    ("1e-5", "1e-5"),
    (r"\frac12 x", "{(/ 1 2) x}"),
    (r"\frac1{2}", "(/ 1 2)"),
    ("1{,}000 + 1,000", "(+ 1000 1000)"),
    (r"\mathbf{1}^T x", "{1:bold.T x}"),
    (r"\mathbb{1}\{y = k\}", "1{(y = k)}"),
    (r"\mathbf{1}(y = k)", "1{(y = k)}"),
    (r"1\{y=k\}", "1{(y = k)}"),
    ("1[i=j]", "1{(i = j)}"),
    ("[i = j]", "1{(i = j)}"),
    ("(x > 0)", "1{(x > 0)}"),
    ("I(y = j)", "1{(y = j)}"),
    (r"a &= b \\ &= c", "a = b = c"),
    (r"\begin{align} a &= b \\ &= c \\ d &= e \end{align}", "a = b = c || d = e"),
    (r"\begin{align*} a &= b + c \\ &\quad + d \\ &= e \end{align*}", "a = (+ b c d) = e"),
    (r"\begin{align} a &= b \\ &+ c \\ &- d \end{align}", "a = (+ b c -d)"),
    (r"\begin{eqnarray} a &=& b \\ &=& c \end{eqnarray}", "a = b = c"),
    (r"\begin{aligned} a =& b \\ =& c \end{aligned}", "a = b = c"),
    (r"\begin{aligned} a = & b \\ + & c \end{aligned}", "a = (+ b c)"),
    (r"\begin{align} a &= b, & c &= d \\ e &= f, & g &= h \end{align}", "a = b || c = d || e = f || g = h"),
    (r"\begin{gather} a = b \\ c = d \end{gather}", "a = b || c = d"),
    (r"\begin{multline} a = b + c \\ + d + e \end{multline}", "a = (+ b c d e)"),
    (r"\begin{equation}\begin{split} a &= b \\ &= c \end{split}\end{equation}", "a = b = c"),
    (r"\begin{array}{rcl} a &=& b \\ &=& c \end{array}", "a = b = c"),
    (r"\begin{align} a &= b && \text{(chain rule)} \\ &= c && \text{by (2)} \end{align}", 'a = b = c ; "(chain rule)", "by (2)"'),
    ("a = b =\n", "a = b"),
    ("= c", "_ = c"),
    ("= -0.2", "_ = (- 0.2)"),
    (r"a = b \quad (1)", "a = b"),
    (r"a = b \tag{3.2} \label{eq:x}", "a = b"),
    (r"a = b \nonumber \\ c = d", "a = b || c = d"),
    (r"a = b, \quad c = d", "a = b || c = d"),
    ("a = b, c = d", "a = b || c = d"),
    (r"a = b \quad \text{and} \quad c = d", "a = b || c = d"),
    (r"a = b \text{ where } c = d", 'a = b ; "where", (c = d)'),
    (r"a = b \quad \text{if } k = j", 'a = b ; "if", (k = j)'),
    (r"a = b, \quad k = j", "a = b || k = j"),
    (r"a_i = b_i, \quad i = 1, \dots, n", "a[i] = b[i] ; (i = List_(1, ..., n))"),
    (r"a_i = b_i \quad \forall i", 'a[i] = b[i] ; "for all", i'),
    (r"a_{ij} = 0 \text{ for } i \neq j", 'a[i, j] = 0 ; "for", (i != j)'),
    (r"t_k \in \{0,1\}", "t[k] in List{}(0, 1)"),
    (r"\text{If } k = j, a = b", 'a = b ; "If", (k = j)'),
    (r"f(x) = \left\{ \begin{array}{ll} x & x > 0 \\ 0 & x \le 0 \end{array} \right.", "f(x) = <x if (x > 0); 0 if (x <= 0)>"),
    (r"f(x) = \left\{\begin{matrix} 1 & i = j \\ 0 & i \ne j \end{matrix}\right.", "f(x) = <1 if (i = j); 0 if (i != j)>"),
    (r"f(x)=\begin{cases}1 & \text{if }i=j\\0 & \text{if }i\neq j\end{cases}", "f(x) = <1 if (i = j); 0 if (i != j)>"),
    (r"f = \begin{cases} a, & i = j, k > 0 \\ b, & \text{else} \end{cases}", "f = <a if ((i = j) & (k > 0)); b>"),
    (r"f = \begin{cases} a \text{ if } i = j \\ b \text{ otherwise} \end{cases}", "f = <a if (i = j); b>"),
    (r"f = \begin{cases} a & \text{if k = j} \\ b & \text{if k ≠ j} \end{cases}", "f = <a if (k = j); b if (k != j)>"),
    (r"\left[ \begin{array}{cc} a & b \\ c & d \end{array} \right]", "[a, b; c, d]"),
    (r"\begin{vmatrix} a & b \\ c & d \end{vmatrix}", "det([a, b; c, d])"),
    (
        r"\begin{pmatrix} a_{11} & \cdots & a_{1n} \\ \vdots & \ddots & \vdots \\ a_{m1} & \cdots & a_{mn} \end{pmatrix}",
        "[a[11], ..., a[1, n]; ..., ..., ...; a[m, 1], ..., a[m, n]]",
    ),
    ("[a, b, c]^T", "List[](a, b, c).T"),
    (r"(x^{(1)}, \ldots, x^{(m)})", "List()(x^(1), ..., x^(m))"),
    (r"\{0, \dots, N-1\}", "List{}(0, ..., (+ N -1))"),
    ("t_k = (0,1)^K", "t[k] = (^ List()(0, 1) K)"),
    (r"x \in [0, 1)", "x in List[)(0, 1)"),
    (r"\underbrace{a + b}_{\text{sum}} = c", "(+ a b) = c"),
    (r"\overset{!}{=} c", "_ = c"),
    (r"\stackrel{(a)}{=} c", "_ = c"),
    (r"\boxed{a = b}", "a = b"),
    (r"{\color{red} a} + \textcolor{blue}{b}", "(+ a b)"),
    (r"{\bf x} + {\rm tr}(A)", "(+ x:bold tr:text(A))"),
    (r"\cancel{x} + \cancel{y}^0 + \cancelto{1}{z}", "(+ x struck(y -> 0) 1)"),
    (r"{a \over b}", "(/ a b)"),
    (r"{\partial L \over \partial x}", "(D L | x)"),
    (r"\frac{\partial{L}}{\partial{x}}", "(D L | x)"),
    (r"\frac{\partial (a + b)}{\partial c}", "(D (+ a b) | c)"),
    (r"\frac{\partial \mathcal{L}}{\partial \mathbf{W}^{(1)}}", "(D L:cal | W:bold^(1))"),
    (r"\frac{\partial \ell}{\partial \hat{x}_i}", "(D ell | x_hat[i])"),
    (
        r"\frac{\partial E_{total}}{\partial out_{o1}} * \frac{\partial out_{o1}}{\partial net_{o1}}",
        "{(D E_total | out[o, 1]) * (D out[o, 1] | net[o, 1])}",
    ),
    (r"\frac{d}{dx}(uv) = u'v + uv'", "(D:d {u v} | x) = (+ {u_prime v} {u v_prime})"),
    (r"\frac{d}{dx}\left(x^2\right) \cdot y", "{(D:d (^ x 2) | x) · y}"),
    (r"\frac{df}{dx} = \frac{df}{dg} \frac{dg}{dx}", "(D:d f | x) = {(D:d f | g) (D:d g | x)}"),
    (r"\frac{\partial}{\partial x_i}\sum_j x_j y_j + c", "(+ (D (sum j: {x[j] y[j]}) | x[i]) c)"),
    (
        r"\frac{\partial}{\partial \theta_j} J(\theta) = \frac{1}{m} \sum_{i=1}^m (h_\theta(x^{(i)}) - y^{(i)}) x_j^{(i)}",
        "(D J(theta) | theta[j]) = {(/ 1 m) (sum i=1..m: {(+ h[theta](x^(i)) -y^(i)) x^(i)[j]})}",
    ),
    (r"dJ = \mathrm{tr}(A^T \mathrm{d}X)", "(d J) = tr:text({A.T (d X)})"),
    (r"d\mathbf{y} = W d\mathbf{x}", "(d y:bold) = {W (d x:bold)}"),
    (r"\mathrm{d}L = \langle \nabla L, \mathrm{d}x\rangle", "(d L) = inner((D:nabla L | ), (d x))"),
    (r"\nabla_{\mathbf{w}} \ell(\mathbf{w}) = -y \mathbf{x}", "(D:nabla ell(w:bold) | w:bold) = (- {y x:bold})"),
    (r"\frac{\partial f}{\partial x}\bigg|_{x = x_0}", "(at (D f | x) | (x = x[0]))"),
    (r"\frac{\partial f}{\partial x}|_{x_0}", "(at (D f | x) | (x = x[0]))"),
    (r"W := W - \alpha \, dW", "W := (+ W -{alpha (d W)})"),
    (
        r"\mathrm{softmax}(\mathbf{z})_i = \frac{e^{z_i}}{\sum_{j=1}^K e^{z_j}}",
        "softmax:text(z:bold)[i] = (/ (^ e z[i]) (sum j=1..K: (^ e z[j])))",
    ),
    (r"\sigma(\mathbf{W}\mathbf{x} + \mathbf{b})", "sigma((+ {W:bold x:bold} b:bold))"),
    (r"S_i(\delta_{ij} - S_j)", "S[i]((+ delta[i, j] -S[j]))"),
    (r"p_i (1\{i=j\} - p_j)", "p[i]((+ 1{(i = j)} -p[j]))"),
    (
        r"J = -\frac{1}{m} \left[ \sum_{i=1}^{m} y^{(i)} \log h_\theta(x^{(i)}) + (1 - y^{(i)}) \log (1 - h_\theta(x^{(i)})) \right]",
        "J = (- {(/ 1 m) (+ (sum i=1..m: {y^(i) log<h[theta](x^(i))>}) {(+ 1 -y^(i)) log((+ 1 -h[theta](x^(i))))})})",
    ),
    (r"\Theta^{(1)}_{ij}", "Theta^(1)[i, j]"),
    ("dz^{[2]} = a^{[2]} - y", "(d z^(2)) = (+ a^(2) -y)"),
    (r"dW^{[1]} = \frac{1}{m} dZ^{[1]} X^T", "(d W^(1)) = {(/ 1 m) (d Z^(1)) X.T}"),
    ("Z^{[l]} = W^{[l]} A^{[l-1]} + b^{[l]}", "Z^(l) = (+ {W^(l) A^((+ l -1))} b^(l))"),
    (r"g^{[1]\prime}(z^{[1]})", "(D:prime g^(1)(z^(1)) | )"),
    ("x^{(i)T} w", "{x^(i).T w}"),
    (r"\mathbf{W}^{(l)\top} \boldsymbol{\delta}^{(l)}", "{W:bold^(l).T delta:bold^(l)}"),
    ("W^T_{ij} = W_{ji}", "W.T[i, j] = W[j, i]"),
    ("X^{-T}", "(^ X.T -1)"),
    (r"A^{\dagger}", "A^(dagger)"),
    ("A^+", "A^(plus)"),
    ("y_{n,k}", "y[n, k]"),
    ("x_{i,j+1}", "x[i, (+ j 1)]"),
    ("x_{i_1 i_2}", "x[i[1], i[2]]"),
    (r"x_{\pi(i)}", "x[pi(i)]"),
    (r"\sum_{i=1}^{n-1} \sum_{\substack{j=1 \\ j \ne i}}^{n} a_{ij}", "(sum i=1..(+ n -1): (sum j=1..n (j != i): a[i, j]))"),
    (r"\sum_{j=1, j \neq i}^n a_j", "(sum j=1..n (j != i): a[j])"),
    (r"\sum_{k: k \neq i} p_k", "(sum k (k != i): p[k])"),
    (r"\sum_{i<j} a_{ij}", "(sum i (i < j): a[i, j])"),
    (r"\prod_{i=1}^n x_i", "(prod i=1..n: x[i])"),
    (r"\log \prod_i p_i = \sum_i \log p_i", "log<(prod i: p[i])> = (sum i: log<p[i]>)"),
    (r"\max_{j\neq y}(s_j - s_y + 1)", "(max j (j != y): (+ s[j] -s[y] 1))"),
    (r"\max(0, s_j - s_{y_i} + \Delta)", "max(0, (+ s[j] -s[y[i]] Delta))"),
    (r"\text{ReLU}(x) = \max\{0, x\}", "ReLU:text(x) = max(0, x)"),
    (r"loss = -\log p", "loss = (- log<p>)"),
    ("net_{h1} = w_1 * i_1 + w_2 * i_2 + b_1 * 1", "net[h, 1] = (+ {w[1] * i[1]} {w[2] * i[2]} {b[1] * 1})"),
    (r"out_{h1} = \frac{1}{1+e^{-net_{h1}}} = 0.593269992", "out[h, 1] = (/ 1 (+ 1 (^ e (- net[h, 1])))) = 0.593269992"),
    (r"\partial L/\partial x_i = y_i", "(D L | x[i]) = y[i]"),
    ("∂L/∂x = 2x²", "(D L | x) = {2 (^ x 2)}"),
    ("∇f(x) = 2Ax", "(D:nabla f(x) | ) = {2 A x}"),
    ("σ(x) = 1/(1+e^{-x})", "sigma(x) = (/ 1 (+ 1 (^ e (- x))))"),
    ("α·β × γ", "{alpha · beta × gamma}"),
    ("x₁ + x₂²", "(+ x[1] (^ x[2] 2))"),
    ("Σ_{i} x_i", "(sum i: x[i])"),
    ("y = Wᵀx", "y = {W.T x}"),
    ("x ≤ y", "x <= y"),
    (r"\mathcal{N}(x; \mu, \sigma^2)", "N:cal(x, mu, (^ sigma 2))"),
    (r"\log p(x|z)", "log<p(x, z)>"),
    (r"KL(p \| q)", "KL(p, q)"),
    (r"\text{KL}(p\|q)", "KL:text(p, q)"),
    (r"f: \mathbb{R}^n \to \mathbb{R}", "f in ((^ R:bb n) -> R:bb)"),
    ("a = b?", "a = b"),
    ("x!", "factorial(x)"),
    ("P(A, B)", "P(A, B)"),
    (r"Var[X] = \mathbb{E}[X^2] - \mathbb{E}[X]^2", "Var(X) = (+ (expectation: (^ X 2)) -(^ (expectation: X) 2))"),
    (r"\det A", "det<A>"),
    (r"\operatorname{tr} A B", "tr:op<{A B}>"),
    (r"\log\det X", "log<det<X>>"),
    (r"\frac{\partial \log |X|}{\partial X} = X^{-T}", "(D log<abs(X)> | X) = (^ X.T -1)"),
    (r"\frac{\partial}{\partial X} \mathrm{tr}(AX) = A^T", "(D tr:text({A X}) | X) = A.T"),
    (r"\operatorname{vec}(AXB) = (B^T \otimes A) \operatorname{vec}(X)", "vec:op({A X B}) = {{B.T ⊗ A} vec:op(X)}"),
    ("(h_i - x_i)^2 / 2", "(/ (^ (+ h[i] -x[i]) 2) 2)"),
    ("-(target_{o1} - out_{o1})", "(- (+ target[o, 1] -out[o, 1]))"),
    (r"\vec{x} \cdot \vec{y}", "{x:bold · y:bold}"),
    (r"a \, b \; c \! d", "{a b c d}"),
    (r"a\ b", "{a b}"),
    ("a~b", "{a b}"),
    (r"\left( a + \left[ b - c \right] \right)", "(+ a (+ b -c))"),
    (r"\big( a + b \big)", "(+ a b)"),
    (r"\{ a + b \} c", "{(+ a b) c}"),
    (r"x_{t} \sim p", "x[t] sim p"),
    (r"a \propto b", "a propto b"),
    (r"a \ll b", "a approx b"),
    (r"\lambda", "lambda"),
    (r"\infty", "infty"),
    (r"\begin{align} a &= b, \\ &= c. \end{align}", "a = b = c"),
    (r"\begin{align} a &= b \quad (1) \\ &= c \quad (2) \end{align}", "a = b = c"),
    (r"a_i = b_i, \quad i, j = 1, \dots, n", "a[i] = b[i] ; (List_(i, j) = List_(1, ..., n))"),
    (r"a \overset{!}{=} c", "a = c"),
    (r"a \stackrel{\text{def}}{=} c", "a := c"),
    (r"a \underset{(a)}{=} c", "a = c"),
    (r"\underset{w}{\min} L(w)", "(min w: L(w))"),
    (r"2\boxed{a+b}", "{2 (+ a b)}"),
    (r"\mathbb{E}[X]^2", "(^ (expectation: X) 2)"),
    (r"\frac{\partial f}{\partial x}(x) = 2x", "(D f | x)(x) = {2 x}"),
    (r"= \frac{\partial}{\partial x} f", "_ = (D f | x)"),
    ("a = b", "a = b"),
    ("a) = b", "a = b"),
    ("f(x = y", "f(x) = y"),
    ("(a + b = c", "(+ a b) = c"),
    (r"h(\sum_i w_i x_i = y", "h((sum i: {w[i] x[i]})) = y"),
    (r"\left( a + b \right. = c", "(+ a b) = c"),
    (r"\sum_k (y_k - t_k w_k", "(sum k: (+ y[k] -{t[k] w[k]}))"),
    (r"\left. a + b \right) = c", "(+ a b) = c"),
    (r"\left[ 0, 1 \right)", "List[)(0, 1)"),
    ("f(g(x) = 2", "f(g(x)) = 2"),
    ("(a + [b - c) = d", "(+ a (+ b -c)) = d"),
    (r"\frac{(a}{b} = c", "(/ a b) = c"),
    ("x_{(i} = c", "x[i] = c"),
    ("P(y = j = 1", "P(((y = j) & (j = 1)))"),
    (r"\partial/\partial x_k (b_k x_k) = b_k", "(D {b[k] x[k]} | x[k]) = b[k]"),
    (r"\partial^2 f / \partial x_i \partial x_j", "(D f | x[i], x[j])"),
    (r"\exp(-(x - y)^2 / 2\tau^2)", "exp((- (/ (^ (+ x -y) 2) {2 (^ tau 2)})))"),
    ("(n{+}1)", "(+ n 1)"),
    ("x_{<t}", 'x["<t"]'),
    ("d(XY) = (dX)Y + X(dY)", "(d {X Y}) = (+ {(d X) Y} X((d Y)))"),
    ("d(X^{-1}) = -X^{-1}(dX)X^{-1}", "(d (^ X (- 1))) = (- {(^name X((d X)) (- 1)) (^ X (- 1))})"),
    (r"\mathbf{X_1} = \mathbf{1}", "X:bold[1] = 1:bold"),
    (r"\{x : Ax = 0\}", '"a set by its condition"'),
    (r"f: A \to B", "f in (A -> B)"),
    (r"\underset{w, b}{\operatorname{arg\,min}} L", "{argmin:op[w, b] L}"),
    (r"D_{KL}(p \| q)", "D_KL(p, q)"),
    ("D_{KL}[p || q]", "D_KL(p, q)"),
    (r"\sigma(\cdot)", r'sigma("\cdot")'),
    (r"\text{from } x = y", '_ ; "from", (x = y)'),
    (r"\begin{align} a &= b && \text{from } x = y \\ &= c \end{align}", 'a = b = c ; "from", (x = y)'),
    (
        r"Q(s, a) \leftarrow Q(s, a) + \alpha [r + \gamma \max_{a'} Q(s', a') - Q(s, a)]",
        "Q(s, a) <- (+ Q(s, a) {alpha (+ r {gamma (max a_prime: Q(s_prime, a_prime))} -Q(s, a))})",
    ),
    (r"C=\frac{1}{2}\sum_j(y_j-a^L_j)^2", "C = {(/ 1 2) (sum j: (^ (+ y[j] -a^(L)[j]) 2))}"),
    (r"\frac{\partial C}{\partial w^l_{jk}} = a^{l-1}_k \delta^l_j", "(D C | w^(l)[j, k]) = {a^((+ l -1))[k] delta^(l)[j]}"),
    (r"\delta^L = \nabla_a C \odot \sigma'(z^L)", "delta^(L) = {(D:nabla C | a) ⊙ (D:prime sigma(z^(L)) | )}"),
    (r"E = - \sum_{i=1}^{N} [y_i ln(O_i)]", "E = (- (sum i=1..N: {y[i] ln(O[i])}))"),
    (r"\nabla_{A} \operatorname{tr} A B A^T C = C A B + C^T A B^T", "(D:nabla tr:op<{A B A.T C}> | A) = (+ {C A B} {C.T A B.T})"),
    (r"\frac{\partial L}{\partial W} = \frac{\partial L}{\partial z} x^T", "(D L | W) = {(D L | z) x.T}"),
    (r"\frac{\partial l}{\partial z}^T", "(D l | z).T"),
    (r"\hat{x}_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}", "x_hat[i] = (/ (+ x[i] -mu) sqrt((+ (^ sigma 2) epsilon)))"),
    (r"\frac{d(x^\top x)}{dx} = 2x^\top", "(D:d {x.T x} | x) = {2 x.T}"),
    (r"\Delta w_{ij} = -\eta \frac{\partial E}{\partial w_{ij}}", "Delta_w[i, j] = (- {eta (D E | w[i, j])})"),
    (r"\dot{x} = f(x)", "x_dot = f(x)"),
    (r"\left.\frac{d}{dt} f(t)\right|_{t=0}", "(at (D:d f(t) | t) | (t = 0))"),
    (r"\mathrm{d}L = \mathrm{tr}\left( (\nabla_W L)^\top \mathrm{d}W \right)", "(d L) = tr:text({(D:nabla L | W).T (d W)})"),
    (r"\operatorname{diag}(\sigma'(z)) W", "{diag:op((D:prime sigma(z) | )) W}"),
    (r"\frac{\partial \mathbf{y}}{\partial \mathbf{x}} = \mathbf{A}", "(D y:bold | x:bold) = A:bold"),
    (r"y = \mathbf{w}\cdot\mathbf{x} + b", "y = (+ {w:bold · x:bold} b)"),
    (r"L(\theta) = \frac{1}{2}\lVert X\theta - y \rVert_2^2", "L(theta) = {(/ 1 2) (^ norm_2((+ {X theta} -y)) 2)}"),
    (r"\ell(\theta) = \sum_i \log p(y^{(i)} \mid x^{(i)}; \theta)", "ell(theta) = (sum i: log<p(y^(i), x^(i), theta)>)"),
    (r"\mathcal{L} = - \log \frac{e^{f_{y_i}}}{\sum_j e^{f_j}}", "L:cal = (- log<(/ (^ e f[y[i]]) (sum j: (^ e f[j])))>)"),
    (r"\partial_{x} f + \partial_{y} g", "(+ (D f | x) (D g | y))"),
    (r"f_{x} = \frac{\partial f}{\partial x}", "f[x] = (D f | x)"),
    (r"a^{(2)} = g(\Theta^{(1)} a^{(1)})", "a^(2) = g({Theta^(1) a^(1)})"),
    (r"\frac{\partial J}{\partial \theta} = X^T (X\theta - y) = 0", "(D J | theta) = {X.T (+ {X theta} -y)} = 0"),
    (r"H = -p \log_2 p", "H = (- {p log[2]<p>})"),
    (r"\tanh'(x) = 1 - \tanh^2(x)", "(D:prime tanh(x) | ) = (+ 1 -(^name tanh(x) 2))"),
    (r"\frac{d}{dx} \tanh x = 1 - \tanh^2 x", "(D:d tanh<x> | x) = (+ 1 -(^name tanh<x> 2))"),
    (r"\frac{d}{dx} \sin^2 x = 2 \sin x \cos x", "(D:d (^name sin<x> 2) | x) = {2 sin<x> cos<x>}"),
    (r"\text{softmax}(x)_i (1 - \text{softmax}(x)_i)", "{softmax:text(x)[i] (+ 1 -softmax:text(x)[i])}"),
    (r"\sum_{k=1}^{K} t_k = 1, \quad t_k \in \{0, 1\}", "(sum k=1..K: t[k]) = 1 ; (t[k] in List{}(0, 1))"),
    (r"W_{ij} \leftarrow W_{ij} - \eta \, \delta_i x_j", "W[i, j] <- (+ W[i, j] -{eta delta[i] x[j]})"),
    (r"\mathbf{J} = \mathrm{diag}(\mathbf{p}) - \mathbf{p}\mathbf{p}^\top", "J:bold = (+ diag:text(p:bold) -{p:bold p:bold.T})"),
    (r"x \in \mathbb{R}^{n}, \; y \in \mathbb{R}^m", "x in (^ R:bb n) ; (y in (^ R:bb m))"),
    (r"e^{i\pi} = -1", "(^ e {i pi}) = (- 1)"),
    (r"\| \mathbf{x} \|_{2}", "norm_2(x:bold)"),
    ("(AB)^T = B^T A^T", "{A B}.T = {B.T A.T}"),
    (r"\left( \frac{\partial f}{\partial x} \right)^2", "(^ (D f | x) 2)"),
    (r"\frac{\partial f}{\partial x}^2", "(^ (D f | x) 2)"),
    ("y'' + y = 0", "(+ y_prime_prime y) = 0"),
    (r"w^{new} = w^{old} - \eta \nabla L", "w^(new:text) = (+ w^(old:text) -{eta (D:nabla L | )})"),
    (r"\mathbf{y} - \mathbf{t}", "(+ y:bold -t:bold)"),
    (r"a_1 + a_2 + \cdots + a_n", '(+ a[1] a[2] "..." a[n])'),
    (r"\prod_{t=1}^T p_t", "(prod t=1..T: p[t])"),
    (
        r"\frac{\partial E}{\partial w} = \sum_n (y_n - t_n) x_n, \quad n = 1, \ldots, N",
        "(D E | w) = (sum n: {(+ y[n] -t[n]) x[n]}) ; (n = List_(1, ..., N))",
    ),
    (
        r"\begin{aligned} \frac{\partial L}{\partial z} &= a - y \\[4pt] \frac{\partial L}{\partial w} &= x (a-y) \end{aligned}",
        "(D L | z) = (+ a -y) || (D L | w) = x((+ a -y))",
    ),
    (
        r"\begin{cases} \dfrac{\partial L}{\partial x} = 0 \\ \dfrac{\partial L}{\partial y} = 0 \end{cases}",
        "(D L | x) = 0 || (D L | y) = 0",
    ),
    (r"\frac{1}{N} \sum_{n} (\cdot)", r'{(/ 1 N) (sum n: "\cdot")}'),
    (
        r"a^l_j = \sigma(\sum_k w^l_{jk} a^{l-1}_k + b^l_j)",
        "a^(l)[j] = sigma((+ (sum k: {w^(l)[j, k] a^((+ l -1))[k]}) b^(l)[j]))",
    ),
    (r"\sum_{l=0}^L x^l", "(sum l=0..L: (^ x l))"),
    ("a^{<t>} = g(W a^{<t-1>})", "a^(t) = g({W a^((+ t -1))})"),
    (r"a^{\langle t \rangle}", "a^(t)"),
    (r"h^t = \tanh(W h^{t-1} + U x^t)", "h^(t) = tanh((+ {W h^((+ t -1))} {U x^(t)}))"),
    ("W^1 x + W^2 y + x^2", "(+ {W^(1) x} {W^(2) y} (^ x 2))"),
    (r"\Delta w_{ij} = -\eta \delta_j x_i", "Delta_w[i, j] = (- {eta delta[j] x[i]})"),
    (r"s_j - s_y + \Delta", "(+ s[j] -s[y] Delta)"),
    (r"\begin{cases} x + y = 1 \\ x - y = 2 \end{cases}", "(+ x y) = 1 || (+ x -y) = 2"),
    ("E[y]", "E(y)"),
    (r"E[y; \eta] = \mu", "E(y, eta) = mu"),
    (r"0.01 \to 0.001", "0.01 -> 0.001"),
    (r"p(y; \phi) = \phi^y (1 - \phi)^{1 - y}", "p(y, phi) = {(^ phi y) (^ (+ 1 -phi) (+ 1 -y))}"),
    (r"\left(x^T z\right)^2 \ge 0", "(^ {x.T z} 2) >= 0"),
    (r"T = [t^{(1)} \cdots t^{(n)}]", 'T = {t^(1) "..." t^(n)}'),
    (r"\theta, x \in \mathbb{R}^n", "List_(theta, x) in (^ R:bb n)"),
    (r"\exp\Big(\underbrace{\log\tfrac{\phi}{1-\phi}}_{\eta}\cdot y\Big)", "exp({log<(/ phi (+ 1 -phi))> · y})"),
    (r"\nabla f(x) = g'(a^T x) \, a", "(D:nabla f(x) | ) = {(D:prime g({a.T x}) | ) a}"),
    (r"\frac{\partial}{\partial \eta} a(\eta)", "(D a(eta) | eta)"),
    (
        r"f = \left\{\begin{array}{ll}{\left(a - b\right)_{i j}} & {\text { if } x_{i j}>0} \\ {0} & {\text { if } x_{i j}<0}\end{array}\right.",
        "f = <(+ a -b)[i, j] if (x[i, j] > 0); 0 if (x[i, j] < 0)>",
    ),
    ("x 是向量", 'x ; "是", "向", "量"'),
    ("x、y = 1", "List_(x, y) = 1"),
    (r"\left( \frac{\partial f}{\partial x} \right)^\top", "(D f | x).T"),
    (
        r"\frac{\partial L}{\partial W^{[l]}} = \frac{1}{m} dZ^{[l]} A^{[l-1]T}",
        "(D L | W^(l)) = {(/ 1 m) (d Z^(l)) A^((+ l -1)).T}",
    ),
    (r"\mathbf{H} = \nabla^2 f(\mathbf{x})", "H:bold = (D:hessian f(x:bold) | )"),
    (
        r"\hat{\mathbf{y}} = \operatorname{softmax}(\mathbf{W}\mathbf{x} + \mathbf{b})",
        "y_hat:bold = softmax:op((+ {W:bold x:bold} b:bold))",
    ),
    (
        r"\frac{\partial \hat{y}_i}{\partial z_j} = \hat{y}_i (\delta_{ij} - \hat{y}_j)",
        "(D y_hat[i] | z[j]) = y_hat[i]((+ delta[i, j] -y_hat[j]))",
    ),
    (
        r"J(w, b) = \frac{1}{2m} \sum_{i=0}^{m-1} (f_{w,b}(x^{(i)}) - y^{(i)})^2",
        "J(w, b) = {(/ 1 {2 m}) (sum i=0..(+ m -1): (^ (+ f[w, b](x^(i)) -y^(i)) 2))}",
    ),
    (r"\left. \frac{\partial f}{\partial x} \right|_{x = 0, y = 1}", "(at (D f | x) | (x = 0), (y = 1))"),
]

#: Formulas that are not read: the code, and where.
UNREAD = [
    ("1/2x", "DK071", 1, 3),
    ("a/bc", "DK071", 1, 3),
    (r"x_{ij+1}", "DK071", 1, 4),
    (r"\int_0^1 x \, dx = 1", "DK070", 1, 1),
    (r"f = \lim_{h \to 0} g", "DK070", 1, 5),
    (r"y = \pm x", "DK070", 1, 5),
    (r"\nabla \cdot F = 0", "DK070", 1, 8),
    (r"a = \unheardof{b}", "DK070", 1, 5),
    ("a = = b", "DK070", 1, 5),
    ("a = b + ", "DK070", 1, 8),
    (r"a = \frac{b}{c", "DK074", 1, 13),
    (r"a = |b", "DK074", 1, 5),
    ("a = b}", "DK074", 1, 6),
    (r"\begin{align} a = b \end{gather}", "DK074", 1, 21),
    (r"\input{/etc/passwd} = x", "DK073", 1, 1),
    (r"x = \write18{ls}", "DK073", 1, 5),
    (r"x = \csname input\endcsname", "DK073", 1, 5),
    ("a = b # c", "DK004", 1, 7),
    ("x = \x00", "DK004", 1, 5),
    ("x = \u202e", "DK004", 1, 5),
    (r"{(x + y)^{(i)}} = 2", "DK071", 1, 11),
    ("x" + "'" * 9 + "(y) = 1", "DK070", 1, 11),
    ("x = " + "(" * 60 + "y" + ")" * 60, "DK003", 1, 45),
    (r"x = " + "- " * 60 + "y", "DK003", 1, None),
    (r"x = " + r"\frac{1}{" * 60 + "y" + "}" * 60, "DK003", 1, None),
    (r"x = " + r"\mathbf{\mathcal{" * 10 + "y" + "}" * 20, "DK003", 1, None),
    ("x = " + "1/" * 60 + "y", "DK003", 1, None),
    ("x = " + "+ ".join(["y"] * (limits.TOKENS // 2 + 2)), "DK002", 1, None),
    ("x = " + "9" * (limits.LITERAL_DIGITS + 1), "DK005", 1, 5),
    ("x = 1e99999", "DK005", 1, 5),
    ("x = " + "y" * limits.FORMULA_LENGTH, "DK001", None, None),
    ("\n\na = \n   b ? ? c", "DK070", 4, None),
]

#: Documents, and their formulas.
DOCUMENTS = [
    ("costs $5 and $6", []),
    ("costs $5 and $6, and $x = 2$ holds", ["x = 2"]),
    ("$5 million and she said that $x = 2$ works", ["x = 2"]),
    ("it is $5-$10 per unit, or US$ 5 and US$ 7", []),
    ("$2$ apples and $n + 1$ more", ["2", "(+ n 1)"]),
    ("mail $foo and $bar", []),
    (r"it is \$5, and $x = 1$, and \$6", ["x = 1"]),
    ("$x$ and $y$, so $x=y$.", ["x", "y", "x = y"]),
    ("$a$$b$", ["a", "b"]),
    ("$ a = b $ with spaces", ["a = b"]),
    ("$a = b$$ and\nmore $c$", ["a = b", "c"]),
    ("$$a = b$ done\n$$c = d$$", ["a = b", "c = d"]),
    ("$$\na = b\n\n= c\n$$", ["a = b = c"]),
    ("first $$a = b$$ then $$= c$$", ["a = b", "_ = c"]),
    (r"\(a = b\) and \[c = d\]", ["a = b", "c = d"]),
    (r"\\(a = b\\) and \\[c = d\\]", ["a = b", "c = d"]),
    ("text\n\n```math\na = b\n```\nend", ["a = b"]),
    ("> ```math\n> a = b\n> ```", ["a = b"]),
    ("```python\nx = '$a = b$'\n```\n$c = d$", ["c = d"]),
    ("~~~\n$a = b$\n~~~\n$c = d$", ["c = d"]),
    ("inline `$a=b$` code and $c=d$", ["c = d"]),
    ("``quoted'' \\section{x} $c=d$ `a'", ["c = d"]),
    ("> quote $$a\n> = b$$\n> more", ["a = b"]),
    ("$`a = b`$", ["a = b"]),
    ("<math>a = b</math> [latex]c = d[/latex]", ["a = b", "c = d"]),
    (".. math::\n\n   a = b\n\n   c = d\n\ntext :math:`e = f` end", ["a = b", "c = d", "e = f"]),
    (".. math:: a = b\n   :label: eq\n\nnext", ["a = b"]),
    (".. code-block:: latex\n\n   $a = b$\n\n$c = d$", ["c = d"]),
    ("\\begin{document}\n% $a = b$\n$c = d$ % $e = f$\n\\end{document}", ["c = d"]),
    ("\\section{x} 5\\% of $c = d$", ["c = d"]),
    ("5% of $c = d$", ["c = d"]),
    ("\\section{x}\n\\begin{align}\n a &= b % so\n \\\\ &= c\n\\end{align}", ["a = b = c"]),
    ("\\begin{equation*} a = b \\end{equation*} so \\begin{equation} = c \\end{equation}", ["a = b", "_ = c"]),
    ("\\begin{equation}\\begin{aligned} a &= b \\\\ &= c \\end{aligned}\\end{equation}", ["a = b = c"]),
    ("<!-- $a = b$ -->\n$c = d$", ["c = d"]),
    ("\\begin{verbatim}\n$a=b$\n\\end{verbatim}\n$c=d$", ["c = d"]),
    ("\\iffalse\n$a=b$\n\\fi\n$c=d$", ["c = d"]),
    (r"\verb|$a| and $c=d$", ["c = d"]),
    ("$$ L = \\text{if $x$ then} $$ and $y$", ['L ; "if", x, "then"', "y"]),
    ("\r\n$a = b$\r\n$$c\r\n= d$$\r\n", ["a = b", "c = d"]),
    (r"\newcommand{\pd}[2]{\frac{\partial #1}{\partial #2}} $\pd{L}{w} = x$", ["(D L | w) = x"]),
    (r"\renewcommand\vec[1]{\mathbf{#1}} $\vec x = \vec{y}_1$", ["x:bold = y:bold[1]"]),
    (r"\def\ov#1{\overline{#1}} $\ov x = 2$", ["x_bar = 2"]),
    (r"$$\gdef\par#1#2{\frac{\partial #1}{\partial #2}}$$ $\par L x = 1$", ["(D L | x) = 1"]),
    (r"\DeclareMathOperator{\relu}{relu} $\relu(x) = 1$", ["relu:op(x) = 1"]),
    (r"\DeclareMathOperator*{\am}{arg\,max} $\am_k y_k$", ["argmax:op[k]<y[k]>"]),
    (r"\newcommand{\R}{\mathbb{R}} $x\in\R$ but $\Rx$", ["x in R:bb"]),
    (r"\newcommand{\E}[2][x]{\mathbb{E}_{#1}[#2]} $\E{f} = \E[y]{g}$", ["(expectation x: f) = (expectation y: g)"]),
    (r"\let\a=\alpha $\a x = 1$", ["{alpha x} = 1"]),
    (r"\newcommand{\x}{x_1}\newcommand{\y}{\x + \x} $y = \y$", ["y = (+ x[1] x[1])"]),
    (r"\newcommand{\x}{\y\y}\newcommand{\y}{\x\x} $\x$ and $a = b$", ["a = b"]),
    (
        r"$xw_0 = x_0 w_0$ $\frac{dz}{dxw_0} = 1$ $dxw_0 = dx_0$",
        ["xw[0] = {x[0] w[0]}", "(D:d z | xw[0]) = 1", "(d xw[0]) = (d x[0])"],
    ),
    (r"$z = xy$, $\frac{dz}{dx} = y$", ["z = {x y}", "(D:d z | x) = y"]),
    ("$Ax = b$ and $Ax - b = 0$", ["{A x} = b", "(+ {A x} -b) = 0"]),
    ("$a^1 = W^1 x$ and $a^2 = W^2 a^1$ and $x^2$", ["a^(1) = {W^(1) x}", "a^(2) = {W^(2) a^(1)}", "(^ x 2)"]),
    ("see \\[20\\] and \\(the other one here\\) and $a = b$", ["a = b"]),
    ("参见\\(如果有\\)和\\[条件\\]，$a = b$", ["a = b"]),
    ("---\ntitle: \\section{x}\n---\n`$a$` and $b = c$ 5% and $d$", ["b = c", "d"]),
    (r"$\frac{\partial E}{\partial out} = out - target$", ["(D E | out) = (+ out -target)"]),
]

#: Lost escapes: a document, what was mended, and its formulas.
REPAIRS = [
    ("$$\x0crac{a}{b}$$", [(1, 3, r"\x0crac", r"\frac")], ["(/ a b)"]),
    ("$$rac{a}{b}$$", [(1, 3, "rac", r"\frac")], ["(/ a b)"]),
    ("$$a = 2 rac{a}{b}$$", [(1, 9, "rac", r"\frac")], ["a = {2 (/ a b)}"]),
    (
        "$$\x08eta = \x08egin{cases} a & b=c \\end{cases}$$",
        [(1, 3, r"\x08eta", r"\beta"), (1, 10, r"\x08egin", r"\begin")],
        ["beta = <a if (b = c)>"],
    ),
    ("$$\x07lpha + \x0bec{x}$$", [(1, 3, r"\x07lpha", r"\alpha"), (1, 11, r"\x0bec", r"\vec")], ["(+ alpha x:bold)"]),
    ("$h(a) = anh(a)$", [(1, 9, "anh", r"\tanh")], ["h(a) = tanh(a)"]),
    ("$h(a) = \tanh(a)$", [(1, 9, r"\tanh", r"\tanh")], ["h(a) = tanh(a)"]),
    ("$a imes b = \theta$", [(1, 4, "imes", r"\times "), (1, 13, r"\theta", r"\theta")], ["{a × b} = theta"]),
    ("$i\neq j$", [(1, 3, r"\neq", r"\neq")], ["i != j"]),
    ("$\\left( a \right)$", [(1, 11, r"\right", r"\right")], ["a"]),
    (
        "$$\\left\\{ egin{aligned} a & ext{if } i = j \\ b & ext{if } i\neq j \\end{aligned}\night.$$",
        None,
        ["<a if (i = j); b if (i != j)>"],
    ),
    ("egin{align} a &= b \\ &= c \\end{align}", [(1, 1, "egin", r"\begin"), (1, 20, "\\", r"\\")], ["a = b = c"]),
    ("$$\\begin{cases} a & i = j \\ b & i \\neq j \\end{cases}$$", [(1, 27, "\\", r"\\")], ["<a if (i = j); b if (i != j)>"]),
    ("$$\\begin{aligned} a &= b\\ c \\\\ &= d \\end{aligned}$$", [], ["a = {b c} = d"]),
    (r"$$\\frac{a}{b} = \\sum_i x_i$$", [(1, 3, r"\\", "\\"), (1, 18, r"\\", "\\")], ["(/ a b) = (sum i: x[i])"]),
    (r"$x\_1 &lt; 2$", [(1, 3, r"\_", "_"), (1, 7, "&lt;", "<")], ["x[1] < 2"]),
    ("$$partial f = frac{a}{b} cdot x$$", None, ["(d f) = {(/ a b) · x}"]),
    ("$x eq y$", [], ["{x e q y}"]),
    ("$\\text{next} + \\mathrm{rac} + n$", [], ["(+ next:text rac:text n)"]),
    ("the rac{a} of anh is no formula", [], []),
    ("$a = b$$ so", [(1, 7, "$ and $$ do not pair", "read as the end of the formula")], ["a = b"]),
    ("$(a)) = b$", [(1, 5, "surplus )", "read as (a) = b")], ["a = b"]),
    ("$f(x = y$", [(1, 5, "missing ) of (", "read as f(x) = y")], ["f(x) = y"]),
    ("$$a = \\left( b + c \\right. \\\\ \\left. + d \\right)$$", [], ["a = (+ b c d)"]),
    ("$$\\begin{aligned} a &= (b + c \\\\ &= d \\end{aligned}$$", [(1, 30, "missing ) of (", None)], ["a = (+ b c) = d"]),
]


@pytest.mark.parametrize(("source", "expected"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_a_formula_is_read_as_the_tree_that_it_is(source: str, expected: str) -> None:
    assert chains(source) == expected


@pytest.mark.parametrize(("source", "code", "line", "column"), UNREAD, ids=[row[0][:40].strip() for row in UNREAD])
def test_what_cannot_be_read_says_where_and_why(source: str, code: str, line: int | None, column: int | None) -> None:
    with pytest.raises(DerivkitError) as caught:
        read_formula(source)
    assert caught.value.code == code, caught.value
    assert caught.value.line == line
    assert column is None or caught.value.column == column


def formulas(source: Source) -> list[str]:
    """Return what every block of a document is read as; what is not read is left out."""
    found = []
    for block in source.formulas:
        try:
            found.append(" || ".join(map(chain, read_formula(block, source.names))))
        except DerivkitError:
            continue
    return found


@pytest.mark.parametrize(("text", "expected"), DOCUMENTS, ids=[row[0][:50] for row in DOCUMENTS])
def test_the_formulas_of_a_document_are_found(text: str, expected: list[str]) -> None:
    assert formulas(read_document(text)) == expected


@pytest.mark.parametrize(("text", "repairs", "expected"), REPAIRS, ids=[repr(row[0])[:50] for row in REPAIRS])
def test_what_was_lost_on_the_way_is_mended_and_told(
    text: str, repairs: list[tuple[int, int, str, str | None]] | None, expected: list[str]
) -> None:
    source = read_document(text)
    assert formulas(source) == expected
    if repairs is not None:
        told = [(*made[:3], made.became if became else None) for made, (*_, became) in zip(source.repairs, repairs, strict=True)]
        assert told == repairs


def test_a_block_knows_where_it_stands_whatever_was_mended_and_expanded() -> None:
    text = "\\newcommand{\\pd}[1]{\\partial_{#1} f}\nfirst\n\n  $$h = anh(a)\n + \\pd{w} = rac{c}{d}$$"
    source = read_document(text)
    (block,) = source.formulas
    assert (block.line, block.column) == (4, 5)
    (read,) = read_formula(block, source.names)
    assert [place for _, place, _ in read.links] == [(4, 7), (5, 11)]
    last = read.links[-1][2]
    assert isinstance(last, f.Quotient)
    assert last.place == (5, 13)  # where rac stands, not \frac
    assert last.under.place == (5, 20)
    derivative = read.links[0][2].terms[1][1]  # type: ignore[union-attr]
    assert derivative.place == (5, 4)  # the author's command


def test_every_link_of_rows_has_its_own_line() -> None:
    (read,) = read_formula("\\begin{align}\n a &= b \\\\\n &= c \\\\\n &= d\n\\end{align}")
    assert [place.line for _, place, _ in read.links] == [2, 3, 4]


def test_prose_and_lines_for_derivkit_come_in_order() -> None:
    text = "% derivkit: t: onehot K\nLet $t$ be one-hot,\n<!-- derivkit: x: D -->\nso $\\sum t = 1$."
    found = [(block.kind, block.text.strip()) for block in read_document(text).blocks]
    assert found == [
        ("comment-directive", "t: onehot K"),
        ("prose", "Let"),
        ("formula", "t"),
        ("prose", "be one-hot,"),
        ("comment-directive", "x: D"),
        ("prose", "so"),
        ("formula", "\\sum t = 1"),
        ("prose", "."),
    ]
    assert [block.text.strip() for block in read_document(text).prose] == ["Let", "be one-hot,", "so", "."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$a = b and\n\n$c = d$", "$ is never closed"),
        ("$$a = b", "$$ is never closed"),
        (r"\begin{align} a = b", "the environment align is never closed"),
        (r"\[ a = b", r"\[ is never closed"),
        (r"\def\x{\x\x} $\x$", f"commands of the author's nested deeper than {limits.MACRO_DEPTH}"),
        (r"\newcommand{\x}[2]{#1} $\x{a}$", r"\x takes 2 arguments"),
        ("$$" + "x + " * limits.FORMULA_LENGTH + "$$", None),
    ],
)
def test_what_is_no_whole_formula_is_listed_and_the_rest_goes_on(text: str, reason: str | None) -> None:
    source = read_document(text + "\n\n$e = f$")
    assert len(source.unread) == 1
    assert reason is None or source.unread[0].reason == reason
    assert formulas(source)[-1:] == ["e = f"]


def test_a_bomb_of_macros_is_refused_before_it_explodes() -> None:
    names = "abcdefghijklmnop"
    bomb = "".join("\\def\\" + x + "{" + ("\\" + y) * 10 + "}" for x, y in pairwise(names)) + "\\def\\p{boom} $\\a$"
    (unread,) = read_document(bomb).unread
    assert f"{limits.EXPANSIONS} expansions" in unread.reason


@pytest.mark.parametrize(
    "text", ["x" * (limits.FILE_BYTES + 1), "a\0b", "$x$ " * (limits.FORMULAS + 1)], ids=["long", "binary", "many"]
)
def test_what_is_no_document_is_one_error(text: str) -> None:
    with pytest.raises(DerivkitError):
        read_document(text)


#: Stretches that a scan could walk over again and again.
HOSTILE = {
    "open comments": "<!--",
    "open dollars": "$x",
    "open brackets": r"\( ",
    "open frames": r"\begin{align}",
    "open code": "```a\n",
    "ticks": "`a ``",
    "definitions": r"\newcommand{\x}{",
    "verbatim": "\\begin{verbatim}\n",
    "braces": "$" + "{" * 500 + "$ ",
    "commas": "$$" + "a," * 400 + "$$",
    "brackets": "$$" + "(" * 400 + "$$",
    "frames": "$$" + r"\begin{array}{c}" * 100 + "$$",
    "newlines": "$$" + "\n" * 400 + "ab$$",
    "words": r"$\text{" + "a" * 400 + "!}$",
    "quotes": ">" * 400 + "\n",
}


@pytest.mark.parametrize("stretch", HOSTILE.values(), ids=HOSTILE)
def test_reading_takes_time_in_proportion(stretch: str) -> None:
    def cost(size: int) -> float:
        text = (stretch * (size // len(stretch) + 1))[:size]
        start = time.process_time()
        try:
            source = read_document(text)
        except DerivkitError:
            return 0.0
        for block in source.formulas[:200]:
            try:
                read_formula(block, source.names)
            except DerivkitError:
                continue
        return time.process_time() - start

    small = min(cost(25_000) for _ in range(2))
    assert cost(200_000) < 32 * max(small, 0.02)  # eight times the text: a square would be 64 times


PIECES = [
    *(row[0] for row in ROWS),
    *r"\frac \sum \left \right \begin{aligned} \end{aligned} \begin{cases} \end{cases} \\ & $ $$ { } ( ) [ ] | \| _ ^ '".split(),
    *r"\partial \nabla \log \max \mathbf \text \hat \quad \underset \cancel \sqrt \dots \over d dx x 1 0.5 1e-5 \mathbb{E}".split(),
    *r"= + - / \cdot , . ; : ? \mathbb{1} \Delta \arg \mathrm{d} \right. \left. \substack \tag".split(),
    *["\\newcommand", "\\def", "#1", "%", "\x0c", "\t", "\n", " ", "```", "> ", "é", "²", "\u202e", "\ud800", "<!--", "-->", "`"],
]
#: What formulas are made of, in any order.
anything = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=12).map("".join)


def every_place(text: str) -> list[tuple[int, int]]:
    """Return the places of all that was read of a document, or of the error."""
    found = []
    try:
        source = read_document(text)
    except DerivkitError as error:
        return [(error.line or 1, error.column or 1)]
    for block in source.formulas:
        try:
            read = read_formula(block, source.names)
        except DerivkitError as error:
            found += [(error.line or 1, error.column or 1)]
        else:
            nodes = f.walk(tuple((c.first, c.links, c.where) for c in read))
            found += [place for node in nodes if isinstance(node, f.Symbol) for place in (node.place, node.end)]
    return found


@given(anything)
@settings(max_examples=150, deadline=None)
def test_nothing_but_a_deliberate_error_escapes(text: str) -> None:
    try:
        read_formula(text)
    except DerivkitError as caught:
        reason = caught
    else:
        reason = None
    assert reason is None or reason.line is None or 1 <= reason.line <= text.count("\n") + 1
    whole = f"Let ${text}$ and\n\n$${text}$$\n\n{text}"
    lines = re.split("\n", whole)
    for line, column in every_place(whole):
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 2
