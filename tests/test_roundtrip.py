"""Printed programs are programs: they parse again, mean the same at every size, and can be derived again."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, assume, given, settings
from programs import programs

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.layout import axis_order
from derivkit.symbolic.derive import derive
from derivkit.symbolic.evaluate import evaluate_graph
from derivkit.symbolic.expr import Delta, Fn, Inside, Mul, Num, Pow, Prim, Ref, Sum, bare, user
from derivkit.symbolic.gallery import deep_sigmoid
from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.parse import read_program
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.spelling import spelled

SIZES = [{"N": 3, "M": 4, "K": 2, "B": 5, "L": 7, "P": 3}, {"N": 4, "M": 2, "K": 3, "B": 3, "L": 8, "P": 2}]
SIZES.append(dict.fromkeys(SIZES[0], 1))
LAYOUTS = ("mixed", "numerator", "denominator")
STEADY = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.large_base_example],
)


def inputs(text: str) -> list[str]:
    """Return the inputs that a program reads and that have a derivative."""
    body = [line for line in text.splitlines() if not oracle.DECLARATION.match(line)]
    return [
        n for n, (kind, _) in oracle.declared(text).items() if kind != "label" and any(n in oracle.words(line) for line in body)
    ]


def points(text: str, d: Any) -> list[tuple[dict[str, int], dict[str, Any], dict[str, np.ndarray]]]:
    """Return sizes, values and the derivatives there; a slice that is empty at size 1 has none."""
    found = []
    for seed, sizes in enumerate(SIZES):
        known = {n: s for n, s in sizes.items() if re.search(rf"\b{n}\b", text)}
        try:
            values = oracle.sample(text, sizes, np.random.default_rng(seed))
            values = {str(n): values[str(n)] for n in d.primal.inputs}
            with np.errstate(all="ignore"):
                found.append((known, values, {w: r.evaluate(values, sizes=known) for w, r in d.results.items()}))
        except (DerivkitError, ValueError) as error:
            if isinstance(error, DerivkitError) and error.code != "DK020":
                raise
    return found


def check(text: str, d: Any, notation: str, layout: str) -> str:
    """Print, read, evaluate; return what was printed."""
    printed = d.program(notation=notation, layout=layout)
    again = read_program(printed)
    for sizes, values, derivatives in points(text, d):
        known = {n: s for n, s in sizes.items() if re.search(rf"\b{n}\b", printed)}
        with np.errstate(all="ignore"):
            read = {str(n): v for n, v in evaluate_graph(again, {str(n): values[str(n)] for n in again.inputs}, known).items()}
        for wrt, result in d.results.items():
            order = axis_order(layout, len(result.output_shape), len(result.input_shape))
            wanted = np.transpose(derivatives[wrt], order)
            got = read[max((n for n in read if n.rstrip("_") == str(result.name)), key=len)]
            assert np.shape(got) == wanted.shape, printed
            scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted))))
            np.testing.assert_allclose(got / scale, wanted / scale, rtol=1e-8, atol=1e-10, err_msg=f"{printed}\nat {sizes}")
    return printed


@STEADY
@given(programs(most_lines=3, wide=True))
def test_what_is_printed_reads_back_and_means_the_same(program):
    text = program.text
    wrt = inputs(text)
    assume(wrt)
    d = derive(text, wrt, check=False)
    for notation in ("index", "matrix"):
        derive(check(text, d, notation, "mixed"), wrt[:1], check=False)
        check(text, d, notation, "denominator")


#: Programs whose derivatives were printed as something else, or as no program at all.
TABLE = {
    "a letter is bound once": ("Y: N, N\nE = prod(einsum('i,l->i', diag(Y), Y[-1]))", "Y"),
    "nothing tells the range of a sum": ("x: M\nE = sum(x)*logsumexp(ones(N))", "x"),
    "a stack is summed": ("x: N\ny: N\nE = logsumexp(sum(stack(x, y)**2, axis=0))", "x"),
    "a maximum over an expression": ("x: N, M\nE = max(x**2)", "x"),
    "a maximum over an index": ("x: N, M\ny[i] = max[p](sin(x[i,p]))*min[k](x[i,k])", "x"),
    "a softmax of an expression": ("x: N\nE = logsumexp(tanh(x)*x)", "x"),
    "the product of the others": ("x: N, M\nE = sum(prod(tanh(x), axis=1))", "x"),
    "a slice": ("x: L\ny = x[1:]*x[:-1]", "x"),
    "a stride": ("x: L\ny = x[::2]**2", "x"),
    "a reversed axis": ("x: L, M\ny = x[::-1]*x", "x"),
    "a slice of a slice": ("x: L, N\ny = x[1:][:, 0]", "x"),
    "a window": ("x: L\nw: P\ny[i] = sum[p](w[p]*x[i+p])\nE = sum(y**2)", "x, w"),
    "a window with a stride": ("x: L\nw: P\nE = sum(x)\ny[i] = sum[p](w[p]*x[2*i+p])", "x, w"),
    "a window backwards": ("x: L\nw: P\ny[i] = x[i]*sum[p](w[p]*x[i-p])", "x, w"),
    "a part of an axis": ("x: L\ny[i] = x[i+0]*ones(3)[i]\nE = sum(y**3)", "x"),
    "past an axis": ("x: P\ny[i] = (x[i+0] + 1)**2*ones(L)[i]\nE = sum(y**3)", "x"),
    "an argmax is read": ("x: N\ny = x[argmax(x)]*3", "x"),
    "the largest of each row": ("x: N, M\nm = argmax(x, axis=1)\ny[i] = x[i,m[i]]**2", "x"),
    "a last line with a keyword": ("x: N, M\nsum(x**2, axis=0)", "x"),
    "the author has the name of a result": ("x: N\ndE_dx = x**2\nE = sum(dE_dx**2)", "x"),
    "the author has the letter": ("i: N\nj: N\nE = sum(outer(i, j)**2)", "i"),
    "an axis of size one": ("x: N, 1\nE = sum(x*x.T)", "x"),
    "a size that is no axis": ("x: N\nE = sum(x**2)/sqrt(N)*sum(ones(K))", "x"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("notation", ["index", "matrix"])
@pytest.mark.parametrize(("text", "wrt"), TABLE.values(), ids=TABLE)
def test_a_program_that_was_once_misprinted_reads_back(text, wrt, notation, layout):
    d = derive(text, wrt)
    printed = check(text, d, notation, layout)
    derive(printed, wrt)


@pytest.mark.parametrize(
    ("kind", "wrt"), [("hessian", "x"), ("vjp", "x, w"), ("jvp", "x, w"), ("hvp", "x, w"), ("jacobian", "x, w")]
)
@pytest.mark.parametrize("notation", ["index", "matrix"])
def test_every_kind_of_derivative_declares_what_it_reads(kind, wrt, notation):
    d = derive("x: N\nw: N\nh = tanh(x*w)\nE = sum(h**3)", wrt, kind=kind)
    again = read_program(d.program(notation=notation))
    rng = np.random.default_rng(0)
    values = {str(n): rng.normal(size=[3] * len(i.shape)) for n, i in {**d.graph.extra, **d.graph.inputs}.items()}
    read = {str(n): v for n, v in evaluate_graph(again, {str(n): values[str(n)] for n in again.inputs}).items()}
    whole = {str(n): v for n, v in evaluate_graph(d.graph, values, best=True).items()}
    assert not again.assumed
    for result in d.results.values():
        np.testing.assert_allclose(read[str(result.name)], whole[str(result.name)])


def test_a_program_that_would_be_too_long_names_its_steps():
    d = derive(deep_sigmoid(20), [f"W{n}" for n in range(1, 21)], check=False)
    for notation in ("index", "matrix"):
        assert not read_program(d.program(notation=notation)).assumed


def test_a_python_function_is_printed_as_a_program():
    @dk.program
    def loss(x: "N, 3"):  # noqa: F821, UP037
        h = np.tanh(x)  # a comment
        return np.sum(h**2, axis=0)

    printed = dk.derive(loss, "x").program()
    assert printed.splitlines()[:3] == ["x: N, 3", "h = tanh(x)", "out = sum(h**2, axis=0)"]
    assert "np" not in dk.derive(loss, "x").text()
    read_program(printed)


# -- the spelling of single expressions ----------------------------------------------------------------------------------

i, k, m = Index("i", Size.of("N")), Index("k", Size.of("K")), Index("m", Size.of("K"))
short = Index("s", Size.of("N") - 1)
two = Index("p", Size.of(2))
x, z = user("x"), user("z")
SHAPES = {x: (Size.of("N"),), z: (Size.of("K"),)}
SPELLED = [
    (Sum((i,), Fn("exp", (Num(1),))), "N * exp(1)"),
    (Prim("logsumexp", (i,), (Num(1),), ()), "logsumexp[i](ones(N)[i])"),
    (Prim("max", (i,), (Pow(Ref(x, (bare(i),)), Num(2)),), ()), "max[i](x[i]**2)"),
    (Prim("prod_except", (k,), (Ref(z, (bare(k),)),), (bare(m),)), "prod[k](where(eye(K)[m,k] == 1, 1, z[k]))"),
    (Sum((short,), Ref(x, (bare(short),))), "sum[s](x[s+0] * ones(N-1)[s])"),
    (Sum((short,), Ref(x, (bare(short) + 1,))), "sum[s](x[s+1] * ones(N-1)[s])"),
    (Sum((i,), Mul((Ref(x, (bare(i),)), Delta(bare(i), bare(short))))), "sum[i](x[i] * delta[i+0,s])"),
    (Sum((i,), Mul((Ref(x, (bare(i),)), Inside(bare(i), Size.of("K"))))), "sum[i](x[i] * ones(K)[i+0])"),
    (Pow(Sum((two,), Mul((Delta(bare(two), Affine.of(1)), Ref(x, (bare(i),))))), Num(2)), "x[i]**2"),
]


@pytest.mark.parametrize(("expr", "text"), SPELLED, ids=[text for _, text in SPELLED])
def test_every_index_has_its_range(expr, text):
    made = spelled(expr, SHAPES)
    notation = Notation("program")
    notation.ranged, notation.shapes = made.ranged, SHAPES
    assert notation(made.expr) == text


def test_a_part_that_is_read_in_two_places_shares_no_letter_with_either():
    inner = Sum((k,), Ref(z, (bare(k),)))
    one = Prim("prod", (i,), (Mul((Ref(x, (bare(i),)), inner)),), ())
    letters = Letters().bound((Mul((inner, one, Sum((m,), Mul((Ref(z, (bare(m),)), one))))),))
    assert letters[k] not in {letters[i], letters[m]}
    assert letters[i] != letters[m]
