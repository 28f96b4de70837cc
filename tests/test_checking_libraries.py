"""Arrays of other libraries: arguments go in as they came, gradients come back as they are, and the verdict is the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tensors import Parameter, Tensor, from_numpy

import derivkit as dk
from derivkit.checking.libraries import like, numeric, precision_name

strict = pytest.importorskip("array_api_strict")
POINT = [1.25, -2.0, 0.5, 3.0]


def torch_or_skip():
    return pytest.importorskip("torch")


def jax_or_skip():
    return pytest.importorskip("jax")


# -- the array API standard --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1"])
def test_any_library_of_the_standard(dtype, device):
    x = strict.asarray(POINT, dtype=getattr(strict, dtype), device=strict.Device(device))
    seen = set()

    def f(x):
        seen.add((type(x).__module__.partition(".")[0], str(x.device)))
        return strict.sum(x**3)

    def vjp(y_bar, x):
        assert type(y_bar) is type(x)
        assert (y_bar.dtype, y_bar.device) == (x.dtype, x.device)
        return y_bar * strict.cos(x)

    assert dk.check_gradient(f, lambda x: 3 * x**2, x).ok
    assert seen == {("array_api_strict", str(x.device))}
    assert dk.check_gradient(f, lambda x: 6 * x**2, x).diagnosis == "scale:2"
    assert dk.check_vjp(strict.sin, vjp, x).ok
    assert dk.check_vjp(strict.sin, lambda y_bar, x: -vjp(y_bar, x), x).diagnosis == "sign"
    assert dk.check_jvp(strict.sin, lambda x_dot, x: x_dot * strict.cos(x), x).ok
    there = {"dtype": x.dtype, "device": x.device}
    assert dk.check_jacobian(lambda x: x * x, lambda x: 2 * strict.eye(4, **there) * x, x).ok


def test_trees_of_them_and_integers_beside():
    n = strict.asarray([2, 3])
    params = {"w": strict.asarray(POINT), "b": [strict.asarray(0.5)]}

    def f(params, n):
        assert type(n) is type(params["w"])
        return strict.sum(params["w"] ** 2) * params["b"][0] * float(strict.sum(n))

    def grad(params, n):
        return {"w": 10 * params["w"] * params["b"][0], "b": [5 * strict.sum(params["w"] ** 2)]}, None

    assert dk.check_gradient(f, grad, params, n).ok
    assert dk.check_gradient(f, lambda params, n: grad(params, n)[0], params, n).ok


def test_what_cannot_be_read_is_an_error():
    class Locked:
        dtype = "float32"

        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("it is elsewhere")

    with pytest.raises(dk.DerivkitError, match=r"Locked cannot be read by NumPy"):
        dk.check_gradient(lambda x: 0.0, lambda x: x, Locked())


class Foreign:
    """An array of a library whose arrays NumPy reads by one way only, and which knows no devices."""

    def __init__(self, numbers, way):
        self.numbers, self.way, self.dtype = np.asarray(numbers), way, np.asarray(numbers).dtype

    def __array__(self, dtype=None, copy=None):
        if self.way != "__array__":
            raise TypeError("it is on the device")
        return self.numbers

    def get(self):
        if self.way != "get":
            raise RuntimeError("it is elsewhere")
        return self.numbers

    def __array_namespace__(self):
        way = self.way

        class Library:
            @staticmethod
            def asarray(array, dtype=None):
                return Foreign(array, way)

        return Library

    def __mul__(self, other):
        return Foreign(self.numbers * (other.numbers if isinstance(other, Foreign) else other), self.way)


@pytest.mark.parametrize("way", ["__array__", "get"])
def test_libraries_that_follow_half_of_the_standard(way):
    def f(x):
        assert isinstance(x, Foreign)
        return float(np.sum((x * x).numbers))

    assert dk.check_gradient(f, lambda x: x * 2, Foreign(POINT, way)).ok
    assert dk.check_gradient(f, lambda x: x * 3, Foreign(POINT, way)).diagnosis == "scale:1.5"
    kept = Foreign(np.arange(3), way)  # integers pass, as copies
    assert dk.check_gradient(lambda x, n: f(x) * int(n.numbers[1]), lambda x, n: x * 2, Foreign(POINT, way), kept).ok


# -- what PyTorch refuses, where it is not installed ---------------------------------------------------------------------------


@pytest.fixture
def tensors(monkeypatch):
    stands_in = SimpleNamespace(Tensor=Tensor, nn=SimpleNamespace(Parameter=Parameter), from_numpy=from_numpy)
    monkeypatch.setitem(sys.modules, "torch", stands_in)


KEPT = [
    Tensor(POINT),
    Tensor(POINT, requires_grad=True),
    Tensor(POINT, device="cuda:0"),
    Tensor(POINT, layout="torch.sparse_coo"),
    Tensor(np.float32(POINT), "torch.bfloat16", requires_grad=True),
    Parameter(POINT),
]


@pytest.mark.parametrize("x", KEPT, ids=lambda x: f"{type(x).__name__}-{x.dtype}-{x.device}-{x.layout}-{x.requires_grad}")
@pytest.mark.usefixtures("tensors")
def test_a_tensor_is_read_as_it_stands_and_given_as_it_came(x):
    seen = set()

    def f(x):
        seen.add((type(x), x.device, x.requires_grad))
        return Tensor((x.numbers**2).sum())

    assert dk.check_gradient(f, lambda x: Tensor(2 * x.numbers), x).ok
    assert dk.check_gradient(f, lambda x: Tensor(3 * x.numbers), x).diagnosis.startswith("scale:1.5")
    assert seen == {(type(x), x.device, x.requires_grad)}
    made = like(np.arange(4.0), x, dtype=True)
    assert (type(made), made.dtype if type(x) is Tensor else x.dtype) == (type(x), x.dtype)


@pytest.mark.usefixtures("tensors")
def test_integers_a_lost_device_and_the_reproduction_of_tensors():
    x, n = Tensor(POINT, requires_grad=True), Tensor([2, 3], "torch.int64")
    f = lambda x, n: Tensor((x.numbers**2).sum() * n.numbers.sum())  # noqa: E731
    report = dk.check_gradient(f, lambda x, n: (Tensor(20 * x.numbers), None), x, n)
    assert report.diagnosis == "scale:2"
    assert f"torch.tensor({POINT}, dtype=torch.float64, requires_grad=True)" in report.reproduce
    assert "torch.tensor([2, 3], dtype=torch.int64)" in report.reproduce
    with pytest.raises(dk.DerivkitError, match=r"cannot be read by NumPy: the device is lost$"):
        dk.check_gradient(f, lambda x, n: x, Tensor(POINT, device="lost"), n)


@pytest.mark.usefixtures("tensors")
def test_what_takes_bfloat16_only_is_not_measured():
    x = Tensor(np.float32(POINT), "torch.bfloat16")

    def f(x):
        if x.dtype != "torch.bfloat16":
            raise TypeError("bfloat16 only")
        return Tensor((x.numbers**2).sum())

    report = dk.check_gradient(f, lambda x: Tensor(2 * x.numbers), x)
    assert report.undecided
    assert "low precision only" in report.summary


def test_what_is_no_number_passes_through():
    class Key:
        """As a random key of JAX: it has a dtype, and NumPy cannot read it."""

        dtype = "key<fry>"

        def __array__(self, dtype=None, copy=None):
            raise TypeError("JAX array with PRNGKey dtype cannot be converted to a NumPy array.")

    key = Key()

    def f(x, key):
        assert isinstance(key, Key)
        return float(np.sum(x**2))

    assert dk.check_gradient(f, lambda x, key: (2 * x, None), np.array(POINT), key).ok


# -- PyTorch -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False], ids=["requires_grad", "plain"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_tensors_of_pytorch(dtype, wanted):
    torch = torch_or_skip()
    x = torch.tensor(POINT, dtype=getattr(torch, dtype), requires_grad=wanted)
    seen = []

    def f(x):
        seen.append((type(x), x.dtype, x.requires_grad))
        return (x**3).sum()

    def grad(x):
        y = x if x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad((y**3).sum(), y)[0]

    def vjp(y_bar, x):
        assert isinstance(y_bar, torch.Tensor)
        y = x if x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad(torch.sin(y), y, y_bar)

    assert dk.check_gradient(f, grad, x).ok
    assert seen[0] == (torch.Tensor, x.dtype, wanted)
    assert {(kind, needs) for kind, _, needs in seen} == {(torch.Tensor, wanted)}
    assert dk.check_gradient(f, lambda x: 2 * grad(x), x).diagnosis.startswith("scale:2")
    assert dk.check_vjp(torch.sin, vjp, x).ok
    assert not dk.check_vjp(torch.sin, lambda y_bar, x: (vjp(y_bar, x)[0] * 1.5,), x).ok
    assert dk.check_jvp(torch.sin, lambda x_dot, x: x_dot * torch.cos(x), x).ok
    assert dk.check_jacobian(torch.sin, lambda x: torch.diag(torch.cos(x)), x).ok
    assert x.grad is None
    assert x.tolist() == POINT


def test_backward_and_parameters_of_pytorch():
    torch = torch_or_skip()
    W = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [5.0, -4.0]], dtype=torch.float64))
    x = torch.tensor([0.5, -1.5], dtype=torch.float64)

    def loss(W, x):
        assert isinstance(W, torch.nn.Parameter)
        return ((W @ x) ** 2).sum()

    def grads(W, x):
        loss(W, x).backward()
        return W.grad, None

    report = dk.check_gradient(loss, grads, W, x)
    assert report.ok
    assert "not claimed" in str(report)
    assert W.grad is None

    def turned(W, x):
        return torch.autograd.grad(loss(W, x), W)[0].T, None

    assert dk.check_gradient(loss, turned, W, x).diagnosis == "transpose"


def test_what_is_changed_in_place_is_seen_in_pytorch():
    torch = torch_or_skip()
    x = torch.tensor(POINT, dtype=torch.float64)
    assert dk.check_gradient(lambda x: x.mul_(2).sum(), lambda x: 2 * torch.ones_like(x), x).diagnosis == "mutates-input"
    assert dk.check_vjp(torch.sin, lambda y_bar, x: y_bar.mul_(torch.cos(x)), x).diagnosis == "mutates-input"
    assert x.tolist() == POINT


def test_bfloat16_that_cannot_be_widened_is_undecided_and_a_fault_in_it_alone_is_seen():
    torch = torch_or_skip()
    x = torch.tensor(POINT, dtype=torch.bfloat16)
    w = torch.ones(4, dtype=torch.bfloat16)
    fixed = dk.check_gradient(lambda x: w @ x, lambda x: w.clone(), x)
    assert fixed.undecided
    assert "float32" in str(fixed)
    assert dk.check_gradient(lambda x: (x**2).sum(), lambda x: x * (3 if x.dtype == torch.bfloat16 else 2), x).undecided
    assert dk.check_gradient(lambda x: (x**2).sum(), lambda x: (2 * x)[:2], x).diagnosis == "shape"
    assert dk.check_gradient(lambda x: (x**2).sum(), lambda x: [2 * x], x).ok
    third = torch.tensor([1 / 3, -2.7], dtype=torch.bfloat16)
    assert dk.check_gradient(lambda x: (x**3).sum(), lambda x: (3 * x**2).bfloat16(), third).ok
    assert not dk.check_gradient(lambda x: (x**3).sum(), lambda x: (3.3 * x**2).bfloat16(), third)


def test_what_low_precision_gets_wrong_by_itself():
    torch = torch_or_skip()
    x = torch.tensor(POINT, dtype=torch.bfloat16)

    def half(x):
        return 2 * x if x.dtype == torch.bfloat16 else (2 * x)[:2]

    assert dk.check_gradient(lambda x: (x**2).sum(), half, x).diagnosis == "shape"
    integers = dk.check_gradient(lambda x: (x * x).sum(), lambda x: {"a": 2 * x["a"]}["a"] if isinstance(x, dict) else 2 * x, x)
    assert integers.ok

    def tree(p):
        return {"a": (3 * p["a"] ** 2).bfloat16(), "b": None}

    assert dk.check_gradient(lambda p: (p["a"] ** 3).sum(), tree, {"a": x, "b": 1}).ok
    sparse = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).to_sparse()
    assert numeric(sparse).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    with pytest.raises(dk.DerivkitError, match=r"torch\.Tensor cannot be read"):
        numeric(torch.empty(2, device="meta"))


def test_a_layer_of_pytorch_reproduces():
    torch = torch_or_skip()
    layer = torch.nn.Linear(2, 1, dtype=torch.float64)
    x = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)

    def f(x):
        return layer(x).sum()

    def grad(x):
        return 3 * torch.autograd.grad(f(x), x)[0]

    report = dk.check_gradient(f, grad, x)
    again = eval(report.reproduce, {"derivkit": dk, "torch": torch, "f": f, "grad": grad})  # noqa: S307 - our own line
    assert again == report
    assert report.diagnosis == "scale:3"


# -- JAX ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_arrays_of_jax(dtype):
    jax = jax_or_skip()
    jnp = jax.numpy
    x = jnp.asarray(POINT, dtype=dtype)
    seen = []

    @jax.jit
    def cubes(x):
        return (x**3).sum()

    def f(x):
        seen.append((isinstance(x, jax.Array), str(x.dtype)))
        return cubes(x)

    assert dk.check_gradient(f, jax.grad(cubes), x).ok
    assert seen[0] == (True, dtype)
    assert dk.check_gradient(f, lambda x: 2 * jax.grad(cubes)(x), x).diagnosis.startswith("scale:2")
    assert dk.check_vjp(jnp.sin, lambda y_bar, x: jax.vjp(jnp.sin, x)[1](y_bar), x).ok
    assert not dk.check_vjp(jnp.sin, lambda y_bar, x: y_bar * jnp.sin(x), x)
    assert dk.check_jvp(jnp.sin, lambda x_dot, x: jax.jvp(jnp.sin, (x,), (x_dot,))[1], x).ok
    assert dk.check_jacobian(jnp.sin, jax.jacobian(jnp.sin), x).ok


def test_a_random_key_of_jax_passes_through():
    jax = jax_or_skip()
    key = jax.random.key(0)

    def f(x, key):
        return (x * jax.random.normal(key, x.shape)).sum()

    assert dk.check_gradient(f, jax.grad(f), jax.numpy.asarray(POINT), key).ok


# -- the page ----------------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "checking.md"
BLOCKS = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition("\n")[0] for block in BLOCKS])
def test_the_examples_of_other_libraries_run(block):
    pytest.importorskip(block.partition("\n")[0].split()[1])
    namespace: dict = {}
    exec(compile(block, str(PAGE), "exec"), namespace)
    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


# -- reading and making ------------------------------------------------------------------------------------------------------


def test_arrays_are_read_and_made_again():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    assert np.isnan(numeric(masked)[1])
    assert numeric(np.ma.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert numeric(len) is len
    assert numeric(float) is float
    assert type(like(np.eye(2), np.eye(2).view(np.matrix))) is np.matrix
    assert like(np.ones(2), np.float32(1), dtype=True).dtype == np.float32
    assert like(np.ones(2), "text").tolist() == [1.0, 1.0]
    assert precision_name("float99") is None
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.ones(2, ml_dtypes.bfloat16)
    assert (numeric(x).dtype, precision_name(x)) == (np.float32, "bfloat16")
    assert like(np.ones(2, np.float32), x, dtype=True).dtype == x.dtype
    assert numeric(np.ones(2, ml_dtypes.int4)).dtype == np.int64
    assert dk.check_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, x).ok
