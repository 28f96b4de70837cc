"""Bound reads at labels, sums by label, marks and diagonals: the values of the kernel, in memory that is there."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from test_bound import close, derived, quiet
from test_kernel import BATCHED, sample

import derivkit as dk
from derivkit.numeric.codegen.builder import Builder
from derivkit.symbolic.gallery import gallery

#: A program, what it is derived by, and the lengths of its sizes in the order in which its inputs name them.
PROGRAMS = [
    ("T: V, D\nk: label V, N\nw: D\nE = sum(tanh(T[k] @ w))", "T,w", (30, 4, 9)),
    ("T: V, D\nk: label V, N\nG: N, D\nE = sum(G*T[k]**2)", "T", (30, 4, 9)),
    ("T: V, D\nk: label V, N\nG: N, D\nE = sum(G*T[k]**2)", "T", (5, 4, 9)),  # few labels
    ("T: V, D\nk: label V, N\nG: N, D\nE = sum(G*T[k]**2)", "T", (30, 1, 9)),
    ("T: V, D\nk: label V, N, M\nG: N, M, D\nE = sum(G*T[k]**2)", "T", (30, 4, 3, 5)),
    ("T: D, V\nk: label V, N\nG: D, N\nE = sum(G*T[:, k]**2)", "T", (4, 30, 9)),
    ("T: V, D\nk: label V\nE = sum(T[k]**2)", "T", (30, 4)),
    ("x: N\nk: label N\nE = sum((x - onehot(k, N))**2)", "x", (6,)),
    ("x: N\nA: N, N\nE = sum((A - diag(x))**2)", "x,A", (5,)),
    ("x: N, M\nE = sum(softmax(x, axis=0)**2)", "x", (5, 4)),
    ("x: N, M, K\nE = sum(log_softmax(x, axis=(0, 1))**2)", "x", (3, 4, 2)),
    ("x: N, M\nE = sum(max(x, axis=0)**2)", "x", (40, 3)),
    ("x: N, M\nE = sum(max(x, axis=1)**2)", "x", (3, 40)),
    ("x: N\nE = max(x)**2", "x", (7,)),
    ("x: N, M\nE = sum(prod(x, axis=1))", "x", (4, 3)),
    ("x: B, I, J\ny: B, J, K\nE = sum(einsum('bij,bjk->bik', x, y)**2)", "x,y", (3, 4, 2, 5)),
    ("x: N, D\nz: N, M\nG: N, D+M\nE = sum(G*concat(x, z, axis=1))", "x,z", (3, 4, 2)),
    ("x: N, D\nG: N, D\nE = sum(G*flip(x)**2)", "x", (3, 4)),
    ("x: N, D\nG: N+2, D+2\nE = sum(G*pad(x, 1)**2)", "x", (3, 4)),
    ("x: N, D\nG: 2*N, D\nE = sum(G*repeat(x, 2, axis=0)**2)", "x", (3, 4)),
    ("x: 2*N\nG: N\nE = sum(G*x[::2]*x[1::2])", "x", (3,)),
]


def arrays_for(k, lengths, rng):
    names = list(
        dict.fromkeys(n for i in k.inputs for s in (*((i.range,) if i.kind == "label" else ()), *i.shape) for n in s.names())
    )
    sizes = dict(zip(names, lengths, strict=True))
    shapes = {str(i.name): ([s.evaluate(sizes) for s in i.shape], i) for i in k.inputs}
    return {
        w: rng.integers(0, i.range.evaluate(sizes), s) if i.kind == "label" else rng.normal(size=s)
        for w, (s, i) in shapes.items()
    }


@pytest.mark.parametrize(("text", "words", "lengths"), PROGRAMS)
def test_values_and_gradients_are_those_of_the_kernel_also_after_refilling(text, words, lengths):
    k = dk.compile(text, words)
    rng = np.random.default_rng(5)
    arrays = arrays_for(k, lengths, rng)
    step = k.bind(arrays)
    for _ in range(2):
        value, grads = k(arrays)
        close(step(), value)
        for word, grad in grads.items():
            close(step.grads[word], grad)
        for word, fresh in arrays_for(k, lengths, rng).items():
            arrays[word][...] = fresh


#: What NumPy computes in memory of its own: factorisations take no ``out``, and a few forms have no rule yet.
ALLOCATED = {"solve", "inv", "norm"}


@pytest.fixture
def fallen(monkeypatch):
    """The operations on arrays that no rule has taken."""
    found = set()
    plain = Builder.written

    def written(build, node):
        if node.shape:
            found.add(str(node.params[0]) if node.op in ("fn", "along", "reduce") else node.op)
        return plain(build, node)

    monkeypatch.setattr(Builder, "written", written)
    return found


def test_all_of_the_gallery_has_rules_but_for_systems_of_equations(fallen):
    for name in gallery:
        d = derived(name)
        k = dk.compile(d)
        quiet(lambda: k.bind(sample(d.primal, np.random.default_rng(0))))  # noqa: B023
    for name, batch in BATCHED:
        d = derived(name)
        k = dk.compile(d, batch=batch)
        quiet(lambda: k.bind(sample(d.primal, np.random.default_rng(0), batch=batch)))  # noqa: B023
    assert fallen <= ALLOCATED


@pytest.mark.parametrize("lengths", [(2000, 64, 512), (10, 64, 4096)])
def test_embeddings_are_read_and_summed_without_allocating(lengths):
    k = dk.compile("T: V, D\nk: label V, N\nG: N, D\nE = sum(G*T[k]**2)", "T")
    arrays = arrays_for(k, lengths, np.random.default_rng(0))
    step = k.bind(arrays)
    step()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 200_000, "the rows read have 262 kB or more; NumPy's own two buffers have 8192 entries each"
