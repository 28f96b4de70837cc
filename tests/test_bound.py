"""Bound kernels: the values of the kernel, without allocating, from what lies in the arrays now; and descent in place."""

from __future__ import annotations

import copy
import gc
import linecache
import pickle
import tracemalloc
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from programs import programs
from test_kernel import BATCHED, SIZES, TANH, sample

import derivkit as dk
from derivkit.errors import DerivkitError
from derivkit.numeric.codegen import blocks
from derivkit.numeric.codegen.instructions import BUFFER, Instruction, Storage, Value
from derivkit.numeric.codegen.memory import plan_memory
from derivkit.symbolic.gallery import gallery, wrt

RELU = (
    "x: D\nt: label K\nW1: A, D\nb1: A\nW2: K, A\nb2: K\nh = relu(W1 @ x + b1)\nz = W2 @ h + b2\n"
    "E = cross_entropy(onehot(t, K), softmax(z))"
)


def close(got, expected, dtype=np.float64):
    far = 1e-9 if dtype == np.float64 else 3e-3
    scale = max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(got, expected, rtol=far, atol=far * scale)


def quiet(call):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return call()


@cache
def derived(name):
    return dk.derive(gallery[name], wrt=wrt[name], check=False)


@pytest.fixture(params=["whole", "in blocks"], scope="module")
def pieces(request):
    """Passes over whole arrays; and in blocks of a few entries, as large arrays are passed over."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in blocks":
            patch.setattr(blocks, "LARGE", 8)
            patch.setattr(blocks, "BLOCK", 6)
        yield request.param


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("name", sorted(gallery))
def test_a_bound_step_has_the_values_of_the_kernel_also_after_refilling(name):
    d = derived(name)
    k = dk.compile(d)
    for dtype in (np.float64, np.float32):
        for lengths in (None, dict.fromkeys(SIZES, 1)):
            first, second = (sample(d.primal, np.random.default_rng(seed), lengths) for seed in (0, 1))
            first = {w: v.astype(dtype) if v.dtype.kind == "f" else v for w, v in first.items()}
            step = k.bind(first)
            for values in (first, second):
                for word in first:
                    first[word][...] = values[word]
                value, grads = quiet(lambda: k(first))  # noqa: B023
                close(quiet(step), value, dtype)
                for word, grad in grads.items():
                    assert step.grads[word].dtype == dtype
                    close(step.grads[word], grad, dtype)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(("name", "batch"), BATCHED)
def test_a_batched_kernel_is_bound_likewise(name, batch):
    d = derived(name)
    k = dk.compile(d, batch=batch)
    values = sample(d.primal, np.random.default_rng(5), batch=batch)
    value, grads = k(values)
    step = k.bind(values)
    close(step(), value)
    for word, grad in grads.items():
        close(step.grads[word], grad)


REPEATED = [
    "b*a + b*a*a",
    "a*b*a*b + b*a",
    "b*b + b*b*b*b",
    "where(a > 0, a*b, a*a*b)",
    "sigmoid(a)*b + sigmoid(a)*b*b",
    "a/b + a/b/b",
]


@pytest.mark.parametrize("kind", ["gradient", "hessian"])
@pytest.mark.parametrize("terms", REPEATED)
def test_factors_that_are_there_twice_multiply_twice(terms, kind):
    k = dk.compile(f"a: N\nb: N\nE = sum({terms})**2", ["a", "b"] if kind == "gradient" else "a", kind=kind)
    values = {"a": np.array([3.0, -1.0, 0.5]), "b": np.array([1.0, 2.0, -0.7])}
    value, grads = k(values)
    step = k.bind(values)
    close(step(), value)
    for word, grad in grads.items():
        close(step.grads[word], grad)


@pytest.mark.usefixtures("pieces")
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(programs(wide=True))
def test_random_programs_are_bound_likewise(program):
    try:
        k = dk.compile(program.text, [w for w in program.inputs if program.kinds[w] != "label"])
        values = sample(k.derivation.primal, np.random.default_rng(0))
        value, grads = quiet(lambda: k(values))
    except DerivkitError:
        return
    step = k.bind(values)
    close(quiet(step), value)
    for word, grad in grads.items():
        close(step.grads[word], grad)


def test_the_plan_says_what_was_recognised_and_what_shares_memory():
    k = dk.compile(RELU, ("W1", "b1", "W2", "b2"), batch=("x", "t"))
    told = k.explain(N=64, D=20, A=30, K=5)
    assert "E: log(softmax(z)) = log_softmax(z)" in told
    for line in (
        "one pass of exponentials",
        "one entry of each changes",
        "a product with ones (2 times)",
        "a(64, 30)",
        "-> dE_dz(64, 5)",
    ):
        assert line in told
    step = k.bind(
        {
            str(i.name): np.ones(
                [{"N": 64, "D": 20, "A": 30, "K": 5}[str(s)] for s in i.shape], int if i.kind == "label" else float
            )
            for i in k.inputs
        }
    )
    assert told.endswith(step.explain())
    assert "allocated on each call: 0 arrays" in step.explain()
    assert " TB:" in dk.compile("x: D\nE = sum(tanh(x)**2)", "x", batch="x").explain(N=10**7, D=10**7)
    assert "loop over blocks" in dk.compile("x: N\ny = gelu_tanh(x)", "x", kind="vjp").explain(N=10**6)


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ({"N": 3}, "DK041"),
        ({"N": 3, "D": 0}, "DK010"),
        ({"N": 2, "D": 2, "Q": 1}, "DK008"),
        ({"N": 2, "D": 2.5}, "DK010"),
        ({"N": 2**62, "D": 9}, "DK020"),
        ([1, 2], "DK010"),
    ],
)
def test_a_plan_needs_a_number_for_each_size(sizes, code):
    with pytest.raises(DerivkitError) as caught:
        dk.compile("x: D\nE = sum(x**2)", "x", batch="x").explain(sizes)
    assert caught.value.code == code


BROKEN_ONCE = {
    "x: N\nE = mean(x**4/4 - x**2/2)": ("x", ()),  # x³ - x: the common factor was taken off the first term twice
    "x: N\nv = 1 - exp(x)/(1 + exp(x))\nE = sum(v**2)": ("x", ()),
    "x: T, K\nk: label K, T\nE = sum((softmax(x) - onehot(k, K))**2)": ("x", ("x", "k")),  # more labels than rows
    "x: T, K\nk: label K, T\nE = sum(cross_entropy(k, softmax(tanh(x))))": ("x", ("x", "k")),
    "x: T, K\nk: label K, T\nv = cross_entropy(k, softmax(x))\nE = mean(tanh(v))": ("x", ("x", "k")),
    "x: N, K\nj: label K, N\nk: label K, N\na: N\nE = sum(a*cross_entropy(j, softmax(x))) + sum(cross_entropy(k, softmax(x)))": (
        "x",
        (),
    ),
}


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("text", BROKEN_ONCE)
def test_kernels_that_were_wrong_once_have_the_slopes_of_their_values(text):
    name, batch = BROKEN_ONCE[text]
    k = dk.compile(text, name, batch=batch)
    rng, sizes = np.random.default_rng(0), {"N": 4, "T": 3, "K": 5}
    shapes = {str(i.name): [sizes.get(str(s), 4) for s in i.shape] for i in k.inputs}
    values = {w: rng.integers(0, 5, s) if w in "jk" else rng.normal(size=s) for w, s in shapes.items()}
    step, along = k.bind(values), rng.normal(size=values[name].shape)
    step()

    def at(t):
        return k({**values, name: values[name] + t * along})[0]

    slope = (at(1e-6) - at(-1e-6)) / 2e-6
    for gradient in (step.grads[name], k(values)[1][name]):
        assert abs(np.sum(gradient * along) - slope) < 1e-7 * max(1, abs(slope))


@pytest.mark.usefixtures("pieces")
def test_what_a_loop_reads_whole_is_not_overwritten_in_it():
    k = dk.compile("x: M\ny: B, N, M\nz:\nv = z + y/(1 + x**2)\nE = sum(v**2)", ["x", "y", "z"])
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=3), "y": rng.normal(size=(3, 5, 3)), "z": 0.3}  # as many rows as x has entries
    value, grads = k(values)
    step = k.bind(values)
    close(step(), value)
    for word, grad in grads.items():
        close(step.grads[word], grad)


@pytest.mark.usefixtures("pieces")
def test_what_is_read_before_and_after_labels_are_taken_off_is_kept():
    k = dk.compile("z: K\nt: label K\ny = softmax(z)\nd = y - onehot(t, K)\nE = sum(d**2*y)", "z", batch=("z", "t"))
    values = {"z": np.random.default_rng(0).normal(size=(7, 3)), "t": np.arange(7) % 3}
    value, grads = k(values)
    step = k.bind(values)
    close(step(), value)
    close(step.grads["z"], grads["z"])


@pytest.mark.parametrize("kind", ["jacobian", "vjp", "jvp", "hessian", "hvp"])
def test_other_kinds_are_bound_too(kind):
    text = "x: N\nA: N, N\ny = tanh(A @ x)" if kind in ("jacobian", "vjp", "jvp") else "x: N\nA: N, N\ny = sum(tanh(A @ x))"
    along = {"along": "v"} if kind in ("jvp", "hvp") else {}
    k = dk.compile(text, "x", kind=kind, **along)
    rng = np.random.default_rng(2)
    values = {str(i.name): rng.normal(size=(4,) * len(i.shape)) for i in k.inputs}
    value, grads = k(values)
    step = k.bind(values)
    np.testing.assert_allclose(step(), value)
    np.testing.assert_allclose(step.grads["x"], grads["x"])


def bound(text: str, words: tuple[str, ...], rows: int, **sizes: int):
    k = dk.compile(text, words, batch=("x", "t"))
    rng = np.random.default_rng(0)
    arrays = {}
    for i in k.inputs:
        shape = [s.evaluate({"N": rows, **sizes}) for s in i.shape]
        if i.kind == "label":
            arrays[str(i.name)] = rng.integers(0, sizes["K"], shape)
        else:
            arrays[str(i.name)] = rng.normal(size=shape).astype(np.float32)
    return k, arrays


def test_a_step_allocates_nothing():
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 256, D=64, A=128, K=10)
    for step in (k.bind(arrays), k.sgd(arrays, lr=0.1)):
        step()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak - before < 50_000, "h alone is 131 kB"  # NumPy's own buffer of 8192 entries, where flags multiply


def test_labels_are_read_again_and_refused_out_of_range():
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 8, D=4, A=5, K=3)
    step = k.bind(arrays)
    step()
    arrays["t"][:] = (arrays["t"] + 1) % 3
    value, grads = k(arrays)
    close(step(), value, np.float32)
    close(step.grads["W2"], grads["W2"], np.float32)
    for bad in (-1, 3):
        kept = step.grads["W2"].copy()
        arrays["t"][2] = bad
        with pytest.raises(DerivkitError, match="label outside"):
            step()
        np.testing.assert_array_equal(step.grads["W2"], kept)


@pytest.mark.parametrize(
    "change", [lambda x: x.astype(np.float64), lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, 0)[::2]]
)
def test_arrays_of_another_type_or_order_are_bound_and_read_again(change):
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 8, D=4, A=5, K=3)
    arrays["x"], arrays["W1"] = change(arrays["x"]), change(arrays["W1"])
    step = k.bind(arrays)
    step()
    arrays["x"] *= 2
    arrays["W1"] -= 1
    value, grads = k(arrays)
    np.testing.assert_allclose(step(), value, rtol=1e-5)
    np.testing.assert_allclose(step.grads["W1"], grads["W1"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change", [lambda k: k.copy(), np.asfortranarray, lambda k: np.repeat(k, 2, 1)[:, ::2], lambda k: k.astype(np.int32)]
)
def test_labels_in_a_matrix_are_read_again_whatever_their_order(change):
    k = dk.compile("Z: M, N, K\nt: label K, M, N\nE = sum(cross_entropy(onehot(t, K), softmax(Z)))", "Z")
    rng = np.random.default_rng(4)
    t = change(rng.integers(0, 5, (3, 4)))
    Z = rng.normal(size=(3, 4, 5))
    step = k.bind(Z=Z, t=t)
    step()
    t[...] = (t + 1) % 5
    value, grads = k(Z=Z, t=t)
    close(step(), value)
    close(step.grads["Z"], grads["Z"])


def test_softmax_and_its_logarithm_share_one_pass():
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 8, D=4, A=5, K=3)
    body = k.bind(arrays).source.partition("def step")[2]
    assert body.count("exp(") == 1
    assert "copyto" not in body


def test_a_loss_near_zero_keeps_its_digits():
    k = dk.compile("z: K\nt: label K\nE = cross_entropy(onehot(t, K), softmax(z))", "z", batch=("z", "t"))
    step = k.bind(z=np.array([[40.0, 0.0, -1.0]]), t=np.array([0]))
    expected = np.exp(-40.0) + np.exp(-41.0)
    assert abs(step() / expected - 1) < 1e-15
    assert abs(step.grads["z"][0, 1] / np.exp(-40.0) - 1) < 1e-15


# -- descent --------------------------------------------------------------------------------------------------------------


def by_hand(k, arrays, words, steps, lr, momentum=0.0, decay=0.0):
    params = {w: arrays[w].astype(float) for w in words}
    speed = {w: np.zeros_like(p) for w, p in params.items()}
    losses = []
    for rows in steps:
        chosen = {w: arrays[w][rows] if w in k.batch else params.get(w) for w in map(str, (i.name for i in k.inputs))}
        loss, grads = k(chosen)
        losses.append(loss)
        for w, p in params.items():
            speed[w] = momentum * speed[w] + grads[w] + decay * p
            p -= lr * speed[w]
    return losses, params


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"weight_decay": 0.01}, {"momentum": 0.5, "weight_decay": 0.1}])
@pytest.mark.parametrize("text", [RELU, TANH])
def test_descent_is_that_of_the_kernel(text, options):
    words = ("W1", "b1", "W2", "b2") if text is RELU else ("W1", "W2")
    k, arrays = bound(text, words, 10, D=4, A=5, K=3, M=6)
    arrays = {w: a if a.dtype.kind == "i" else a.astype(float) for w, a in arrays.items()}
    if text is TANH:
        arrays["t"] = np.eye(3)[np.arange(10) % 3]
    given = {w: a.copy() for w, a in arrays.items()}
    steps = [np.arange(10), np.array([3, 1, 4]), np.array([5, 9]), np.array([3, 1, 4]), np.array([0])]
    step = k.sgd(arrays, lr=0.3, rows=3, **options)
    losses = [step(), *(step(rows) for rows in steps[1:])]
    expected, params = by_hand(k, arrays, words, steps, 0.3, options.get("momentum", 0.0), options.get("weight_decay", 0.0))
    np.testing.assert_allclose(losses, expected)
    for w, p in params.items():
        np.testing.assert_allclose(step.params[w], p, rtol=1e-9, atol=1e-12)
    for w, a in arrays.items():
        np.testing.assert_array_equal(a, given[w])


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"weight_decay": 0.01}, {"momentum": 0.5, "weight_decay": 0.1}])
@pytest.mark.parametrize("rates", [(0.3, 0.2, 0.05, 0.4), (1e-9, 0.2, 0.3, 1e-9)], ids=["near", "far"])
def test_the_rate_may_be_set_before_any_step(rates, options):
    """The velocity of torch.optim.SGD does not depend on the rate: a new one scales all of it."""
    k = dk.compile("x: D\nw: D\ny:\nE = (w @ x - y)**2", "w", batch=("x", "y"))
    rng = np.random.default_rng(1)
    arrays = {"x": rng.normal(size=(6, 3)), "y": rng.normal(size=6), "w": rng.normal(size=3)}
    rows = [np.arange(6), np.array([1, 2]), np.array([0, 5]), np.array([3])]
    step = k.sgd(arrays, lr=0.1, rows=2, **options)
    w, v = arrays["w"].copy(), np.zeros(3)
    for rate, chosen in zip(rates, rows, strict=True):
        step.lr = rate
        assert step.lr == rate
        assert f"lr={rate:g} " in repr(step)
        loss, grads = k(x=arrays["x"][chosen], y=arrays["y"][chosen], w=w)
        indices = None if len(chosen) == 6 else chosen
        np.testing.assert_allclose(step.gradients(indices)["w"], grads["w"])
        assert step(indices) == pytest.approx(loss, rel=1e-12)
        v = options.get("momentum", 0.0) * v + grads["w"] + options.get("weight_decay", 0.0) * w
        w = w - rate * v
        np.testing.assert_allclose(step.params["w"], w, rtol=1e-12)


def test_a_rate_costs_no_planning_and_a_wrong_one_changes_nothing(monkeypatch):
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 10, D=4, A=5, K=3)
    step = k.sgd(arrays, lr=0.1)
    step()
    monkeypatch.setattr(type(k), "planned", lambda *_: pytest.fail("it planned"))
    for rate in (0.05, 1e-3, 10):
        step.lr = rate
        step()
    for wrong in (0.0, -1, float("nan"), float("inf"), "a", True, 1e300):
        with pytest.raises(DerivkitError, match="lr"):
            step.lr = wrong
        assert step.lr == 10


def test_descent_shows_its_source_and_its_plan():
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 10, D=4, A=5, K=3)
    step = k.sgd(arrays, lr=0.1, rows=3)
    assert "def bind(" in step.source  # no step is made yet: that over all rows is
    assert step.explain().splitlines()
    step([1, 2, 3])
    assert "N = 3" in step.source
    assert step.explain() != k.sgd(arrays, lr=0.1).explain()


# -- where it stands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["kernel", "step"])
def test_a_warning_shows_the_line_that_it_comes_from(door):
    k = dk.compile("x: D\nE = sum(exp(x))", "x")
    x = np.full(3, 1e3)
    call = k.bind(x=x) if door == "step" else lambda: k(x=x)
    with pytest.warns(RuntimeWarning, match="overflow") as told:
        call()
    assert told[0].filename.startswith(f"<derivkit {door} ")
    line = linecache.getline(told[0].filename, told[0].lineno)
    assert "exp(x" in line
    assert line in (call.source if door == "step" else k.source)


def test_sources_are_listed_no_longer_than_they_live():
    def listed():
        gc.collect()
        return {name for name in linecache.cache if name.startswith("<derivkit ")}

    before = listed()
    kept = dk.compile("x: D\nE = sum(exp(x))", "x")
    step = kept.bind(x=np.ones(2))
    for n in range(20):
        dk.compile(kept.derivation).bind(x=np.ones(n + 1))()
    assert len(listed() - before) == 2
    del kept, step
    assert listed() <= before


def test_a_penalty_is_scaled_with_the_rest():
    k = dk.compile("x: D\nw: D\ny:\nE = (w @ x - y)**2 + 0.1*sum(w**2)", "w", batch=("x", "y"))
    rng = np.random.default_rng(1)
    arrays = {"x": rng.normal(size=(6, 3)), "y": rng.normal(size=6), "w": rng.normal(size=3)}
    step = k.sgd(arrays, lr=0.05)
    losses, params = [step(), step()], by_hand(k, arrays, ("w",), [np.arange(6)] * 2, 0.05)
    np.testing.assert_allclose(losses, params[0])
    np.testing.assert_allclose(step.params["w"], params[1]["w"])


@pytest.mark.parametrize("rows", [[], [10], [-1], [[1]], [0.5], range(11), "a"])
def test_bad_rows_are_one_clear_error_and_change_nothing(rows):
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 10, D=4, A=5, K=3)
    step = k.sgd(arrays, lr=0.1, rows=10)
    with pytest.raises(DerivkitError):
        step(rows)
    for w, p in step.params.items():
        np.testing.assert_array_equal(p, arrays[w])


BAD: list[dict[str, object]] = [
    {"lr": "a"},
    {"lr": float("nan")},
    {"lr": 0},
    {"lr": -1},
    {"rows": 0},
    {"rows": 1.5},
    {"momentum": 1},
    {"momentum": "a"},
    {"weight_decay": -1},
]


@pytest.mark.parametrize("options", BAD, ids=str)
def test_bad_options_are_one_clear_error(options):
    k, arrays = bound(RELU, ("W1", "b1", "W2", "b2"), 10, D=4, A=5, K=3)
    with pytest.raises(DerivkitError, match=next(iter(options))):
        k.sgd(arrays, **{"lr": 0.1, **options})


# -- memory ---------------------------------------------------------------------------------------------------------------


def test_no_two_living_arrays_share_memory():
    rng = np.random.default_rng(7)
    for _ in range(200):
        made: list[Storage] = []
        instructions = []
        for n in range(30):
            reads = [made[i] for i in rng.integers(0, len(made), 2)] if made else []
            out = Storage(f"a{n}", (int(rng.integers(1, 60)),), place=BUFFER)
            instructions.append(
                Instruction("", tuple(Value(s.shape, s.holds, s) for s in reads), out, inplace=bool(rng.integers(2)))
            )
            made.append(out)
        layout = plan_memory(instructions, [made[-1]])
        last = {s: max([n for n, i in enumerate(instructions) if any(v.storage is s for v in i.reads)], default=-1) for s in made}
        last[made[-1]] = len(made)
        for a in range(30):
            for b in range(a):
                if last[made[b]] > a or (last[made[b]] == a and not instructions[a].inplace):
                    x, y = layout.offsets[made[a]], layout.offsets[made[b]]
                    assert x + made[a].entries <= y or y + made[b].entries <= x, (a, b)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])  # noqa: S301
@pytest.mark.parametrize("used", [False, True])
def test_copies_of_steps_go_on_from_where_the_step_was_and_leave_it_alone(again, used):
    k = dk.compile(RELU, ("W1", "b1", "W2", "b2"), batch=("x", "t"))
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=(6, 4)), "t": np.arange(6) % 3, "W1": rng.normal(size=(5, 4)), "b1": np.zeros(5)}
    values |= {"W2": rng.normal(size=(3, 5)), "b2": np.zeros(3)}
    bound, descent = k.bind(values), k.sgd(values, lr=0.1, momentum=0.9)
    if used:
        bound()
        descent.lr = 0.2
        descent(np.array([1, 2]))
    other, twin = again(bound), again(descent)
    assert other() == bound()
    close(other.grads["W1"], bound.grads["W1"])
    assert not np.shares_memory(other.grads["W1"], bound.grads["W1"])
    before = {w: p.copy() for w, p in descent.params.items()}
    losses = [twin() for _ in range(3)]
    assert losses[2] < losses[0]
    for word, array in before.items():
        close(descent.params[word], array)
    assert [descent() for _ in range(3)] == pytest.approx(losses)


def test_steps_are_kept_for_a_few_numbers_of_rows():
    k = dk.compile("x: D\nw: D\nE = (w @ x)**2", "w", batch="x")
    step = k.sgd(lr=1e-3, rows=40, x=np.ones((50, 2)), w=np.ones(2))
    for rows in range(1, 41):
        step(np.arange(rows))
    assert len(step._steps) == 16
