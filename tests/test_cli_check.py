"""``derivkit check``: a program's gradients, claims for them, and other people's functions; files that nobody vouches for."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_cli import Terminal, terminal

import derivkit as dk

__all__ = ["terminal"]

NET = "x: D\nt: onehot K\nW: K, D\nb: K\nE = softmax_cross_entropy(t, W @ x + b)"
RNG = np.random.default_rng(5)
ARRAYS = {
    "x": RNG.normal(size=(6, 4)),
    "t": np.eye(3)[RNG.integers(3, size=6)],
    "W": RNG.normal(size=(3, 4)),
    "b": RNG.normal(size=3),
}

MODEL = """
import numpy as np

def loss(x, n=2):
    print("called")
    return float(np.sum(x**n))

def grad(x, n=2):
    return n * x ** (n - 1)

def wrong(x, n=2):
    return x ** (n - 1)

def near(x, n=2):
    return 1.01 * grad(x, n)

def pair(x, y, *, scale=1.0):
    return float(x @ y)

def pair_grad(x, y):
    return y, x

def tree(p):
    return float(np.sum(p["w"] ** 2) * p["b"])

def tree_grad(p):
    return {"w": 2 * p["w"] * p["b"], "b": np.sum(p["w"] ** 2)}

def sines(x):
    return np.sin(x)

def sines_vjp(y_bar, x):
    return y_bar * np.cos(x)

def many(*args):
    return float(sum(np.sum(a**2) for a in args))

def many_grad(*args):
    return tuple(2 * a for a in args)

def fails(x):
    raise RuntimeError("not\\ntoday")

def leaves(x):
    raise SystemExit(3)

class Layer:
    @staticmethod
    def loss(x):
        return float(np.sum(x))

number = 3
"""


@pytest.fixture
def model(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    (terminal.folder / "my_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(terminal.folder))
    monkeypatch.delitem(__import__("sys").modules, "my_model", raising=False)
    np.savez(terminal.folder / "x.npz", x=np.array([1.0, -2.0, 0.5]))
    return terminal


# -- programs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_the_derived_gradients_of_a_program_and_claims_for_them(ending: str, terminal: Terminal) -> None:
    def saved(**more: np.ndarray) -> str:
        arrays = ARRAYS | more
        if ending == "npz":
            np.savez(terminal.folder / "data.npz", **arrays)
        else:
            (terminal.folder / "data.json").write_text(json.dumps({name: a.tolist() for name, a in arrays.items()}))
        return f"data.{ending}"

    base = ("check", NET, "--wrt", "W,b", "--batch", "x,t", "--data")
    printed = terminal.done(*base, saved())
    assert printed.startswith("ok: gradient of E")
    assert "15 entries" in printed
    _, grads = dk.compile(NET, wrt=("W", "b"), batch=("x", "t"), reduce="mean")(ARRAYS)
    assert terminal.done(*base, saved(grad_W=grads["W"], grad_b=grads["b"])).startswith("ok")
    status, printed, err = terminal.run(*base, saved(grad_W=grads["W"], grad_b=6 * grads["b"]))
    assert (status, err) == (1, "")
    assert "cause: scale:6" in printed
    status, printed, err = terminal.run(*base, saved(grad_W=2 * grads["W"], spare=np.ones(2)), "--format", "json")
    assert (status, err) == (1, "derivkit: not used: spare\n")
    made = json.loads(printed)
    assert (made["schema"], made["verdict"], made["diagnosis"][:7]) == ("derivkit.report/1", "wrong", "scale:2")


def test_columns_a_bare_array_and_a_program_from_a_file(terminal: Terminal) -> None:
    (terminal.folder / "data.csv").write_text("x, y, grad_y\n1.0, 2.0, 1.0\n3, 4, 3\n")
    assert terminal.done("check", "sum(x*y)", "--wrt", "y", "--data", "data.csv").startswith("ok")
    assert terminal.run("check", "sum(x*y**2)", "--wrt", "y", "--data", "data.csv")[0] == 1
    np.save(terminal.folder / "x.npy", np.array([1.0, -2.0]))
    (terminal.folder / "program.txt").write_text("sum(x**2)")
    assert terminal.done("check", "--file", "program.txt", "--wrt", "x", "--data", "x.npy").startswith("ok")
    assert terminal.done("check", "-", "--wrt", "x", "--data", "x.npy", stdin="sum(x**3)").startswith("ok")
    terminal.done("check", "sum(x**2)", "--wrt", "x", "--data", "x.npy", "-o", "report.txt")
    assert (terminal.folder / "report.txt").read_text().startswith("ok")


def test_jacobians_of_a_program(terminal: Terminal) -> None:
    A, x = RNG.normal(size=(2, 3)), RNG.normal(size=3)
    np.savez(terminal.folder / "d.npz", A=A, x=x)
    assert terminal.done("check", "y = tanh(A @ x)", "--shape", "A=M,D", "--wrt", "A,x", "--data", "d.npz").startswith(
        "ok: jacobian of y"
    )
    np.savez(terminal.folder / "d.npz", A=A, x=x, grad_x=-A)
    status, printed, _ = terminal.run("check", "y = A @ x", "--wrt", "A,x", "--data", "d.npz")
    assert status == 1
    assert "cause: sign" in printed
    assert "reproduce: derivkit check 'y = A @ x' --wrt A,x --data d.npz" in printed


# -- functions -----------------------------------------------------------------------------------------------------------


def test_functions_of_ones_own(model: Terminal) -> None:
    (model.folder / "noisy.py").write_text("print('loading the model')\nfrom my_model import *")
    status, printed, err = model.run("check", "noisy:loss", "my_model:grad", "--args", "x.npz")
    assert status == 0
    assert printed.startswith("ok: gradient of loss")
    assert "called" not in printed  # what they print is no result of ours
    assert "loading the model" in err
    status, printed, _ = model.run("check", "my_model:loss", "my_model:wrong", "--args", "x.npz", "--seed", "7")
    assert status == 1
    assert "cause: scale:0.5" in printed
    assert "seed 7" in printed
    assert "reproduce: derivkit check my_model:loss my_model:wrong --args x.npz --seed 7" in printed
    assert model.run("check", "my_model:loss", "my_model:near", "--args", "x.npz")[0] == 1
    assert model.run("check", "my_model:loss", "my_model:near", "--args", "x.npz", "--rtol", "0.1")[0] == 0


#: name: what the file holds (an ending and its content), the command
CALLS = {
    "json": (".json", b'{"n": 3, "x": [1.0, -2.5]}', ["my_model:loss", "my_model:grad"]),
    "by name": (".json", b'{"y": [1.0, 2.0], "x": [0.5, 3.0]}', ["my_model:pair", "my_model:pair_grad"]),
    "a tree": (".json", b'{"p": {"w": [1.0, 2.0], "b": 0.5}}', ["my_model:tree", "my_model:tree_grad"]),
    "columns": (".csv", b"x,y\n1,2\n3,4\n", ["my_model:pair", "my_model:pair_grad"]),
    "pullback": (".json", b'{"x": [[0.5, 1.0]]}', ["my_model:sines", "my_model:sines_vjp", "--kind", "vjp"]),
    "in order": (".json", b'{"a": [0.5, 1.0], "b": 2.0}', ["my_model:many", "my_model:many_grad"]),
}


@pytest.mark.parametrize(("ending", "content", "command"), CALLS.values(), ids=CALLS)
def test_arguments_come_by_name(ending: str, content: bytes, command: list[str], model: Terminal) -> None:
    (model.folder / f"args{ending}").write_bytes(content)
    assert model.run("check", *command, "--args", f"args{ending}")[0] == 0


def test_arrays_without_names_come_in_order(model: Terminal) -> None:
    np.savez(model.folder / "two.npz", np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert model.run("check", "my_model:pair", "my_model:pair_grad", "--args", "two.npz")[0] == 0
    np.save(model.folder / "one.npy", np.array([1.0, 2.0]))
    assert model.run("check", "my_model:loss", "my_model:grad", "--args", "one.npy")[0] == 0


# -- what is refused -----------------------------------------------------------------------------------------------------

#: name: the command, what the error says
REFUSED = {
    "no data": (["sum(x**2)", "--wrt", "x"], "--data is missing"),
    "no wrt": (["sum(x**2)", "--data", "x.npz"], "--wrt is missing"),
    "no program": (["--wrt", "x", "--data", "x.npz"], "no program given"),
    "options of functions": (["sum(x)", "--wrt", "x", "--data", "x.npz", "--seed", "1"], "--seed has no meaning for a program"),
    "options of programs": (
        ["my_model:loss", "my_model:grad", "--args", "x.npz", "--wrt", "x"],
        "--wrt has no meaning for functions",
    ),
    "reduce": (["sum(x)", "--wrt", "x", "--data", "x.npz", "--reduce", "sum"], "--reduce has no meaning without --batch"),
    "missing input": (["sum(x*y)", "--wrt", "x", "--data", "x.npz"], "has no 'y', an input"),
    "unknown claim": (["sum(x**2)", "--wrt", "x", "--data", "claims.npz"], "has 'grad_z', and there is no such gradient"),
    "shapes": (["sum((A @ x)**2)", "--shape", "x=2,3", "--wrt", "x", "--data", "x.npz"], "A"),
    "one function": (["my_model:loss", "--args", "x.npz"], "a function and its gradient are needed"),
    "no arguments": (["my_model:loss", "my_model:grad"], "--args is missing"),
    "three": (["my_model:loss", "my_model:grad", "my_model:loss", "--args", "x.npz"], "unexpected argument"),
    "no module": (["no_such_module:f", "my_model:grad", "--args", "x.npz"], "there is no module 'no_such_module'"),
    "no submodule": (["my_model.sub:f", "my_model:grad", "--args", "x.npz"], "there is no module 'my_model.sub'"),
    "no function": (["my_model:los", "my_model:grad", "--args", "x.npz"], "'my_model' has no 'los'"),
    "no callable": (["my_model:number", "my_model:grad", "--args", "x.npz"], "is no function, but int"),
    "no name": (["my_model:", "my_model:grad", "--args", "x.npz"], "is no module:function"),
    "a path": (["../my_model.py:loss", "my_model:grad", "--args", "x.npz"], "is no module:function"),
    "raises": (["my_model:fails", "my_model:grad", "--args", "x.npz"], "not"),
    "exits": (["my_model:leaves", "my_model:grad", "--args", "x.npz"], "the code under test wants to exit"),
    "broken module": (["broken:f", "my_model:grad", "--args", "x.npz"], "importing 'broken' fails: SyntaxError"),
    "module that exits": (["exits:f", "my_model:grad", "--args", "x.npz"], "wants to exit"),
    "module that lacks": (["lacks:f", "my_model:grad", "--args", "x.npz"], "importing 'lacks' fails: ModuleNotFoundError"),
    "wrong arity": (["my_model:Layer.loss", "my_model:sines_vjp", "--args", "x.npz"], "TypeError"),
    "argument": (["my_model:pair", "my_model:pair_grad", "--args", "x.npz"], "has no 'y', an argument"),
    "unknown argument": (["my_model:sines", "my_model:grad", "--args", "claims.npz"], "has 'grad_z', which is no argument"),
    "seed": (["my_model:loss", "my_model:grad", "--args", "x.npz", "--seed", "-1"], "--seed must be a number from 0"),
    "seed, a word": (["my_model:loss", "my_model:grad", "--args", "x.npz", "--seed", "one"], "--seed must be"),
    "rtol": (["my_model:loss", "my_model:grad", "--args", "x.npz", "--rtol", "2"], "--rtol must be"),
    "kind": (["my_model:loss", "my_model:grad", "--args", "x.npz", "--kind", "jacobean"], "--kind cannot be 'jacobean'"),
    "no floats": (["my_model:loss", "my_model:grad", "--args", "ints.json"], "nothing to differentiate"),
}


@pytest.mark.parametrize(("command", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(command: list[str], message: str, model: Terminal) -> None:
    np.savez(model.folder / "claims.npz", x=np.ones(2), grad_z=np.ones(2))
    (model.folder / "ints.json").write_text('{"x": [1, 2]}')
    (model.folder / "broken.py").write_text("def f(:")
    (model.folder / "exits.py").write_text("raise SystemExit(7)")
    (model.folder / "lacks.py").write_text("import no_such_thing_at_all")
    assert message in model.refused("check", *command)


def _zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(200_000_000))
    return buffer.getvalue()


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([print, None], dtype=object))
    return buffer.getvalue()


#: name: the file, what it holds
HOSTILE = {
    "another kind": ("data.txt", b"x"),
    "no archive": ("data.npz", b"PK nonsense"),
    "pickled": ("data.npz", _pickled()),
    "bomb": ("data.npz", _zip_bomb()),
    "empty": ("data.json", b""),
    "no json": ("data.json", b"{x: 1}"),
    "a list": ("data.json", b"[1.0]"),
    "nothing": ("data.json", b"{}"),
    "deep": ("data.json", b'{"x": ' + b"[" * 100_000),
    "deep, closed": ("data.json", b'{"x": ' + b"[" * 900 + b"1.0" + b"]" * 900 + b"}"),
    "infinite": ("data.json", b'{"x": [1e999]}'),
    "not a number": ("data.json", b'{"x": [NaN]}'),
    "ragged": ("data.json", b'{"x": [[1.0], [1.0, 2.0]]}'),
    "half ragged": ("data.json", b'{"x": [[1.0], 2.0]}'),
    "words": ("data.json", b'{"x": ["a", "b"]}'),
    "long number": ("data.json", b'{"x": [' + b"1" * 6000 + b"]}"),
    "binary": ("data.json", b'{"x": "\xff"}'),
    "no names": ("data.csv", b"1.0,2.0\n"),
    "names twice": ("data.csv", b"x,x\n1,2\n"),
    "no rows": ("data.csv", b"x,y\n"),
    "other rows": ("data.csv", b"x,y\n1,2,3\n"),
    "words in rows": ("data.csv", b"x,y\n1,two\n"),
    "no lines": ("data.csv", b"\n\n"),
    "bell": ("data.csv", b"x,\x1b]0;title\x07\n1,2\n"),
    "too long": ("data.csv", b"x\n" + b"1\n" * 5_000_001),
    "no array": ("data.npy", b"\x93NUMPY nonsense"),
    "a lie": (
        "data.npy",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999,), }" + b" " * 50 + b"\n",
    ),
}


@pytest.mark.parametrize(("name", "content"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_in_one_line(name: str, content: bytes, model: Terminal) -> None:
    (model.folder / name).write_bytes(content)
    model.refused("check", "sum(x**2)", "--wrt", "x", "--data", name)
    assert name in model.refused("check", "my_model:loss", "my_model:grad", "--args", name)


def test_what_is_no_file_is_refused(model: Terminal) -> None:
    for path in ("missing.npz", ".", "a\0b.npz", "x.npz/y.npz", "/dev/zero.npz"):
        model.refused("check", "sum(x**2)", "--wrt", "x", "--data", path)
    np.save(model.folder / "one.npy", np.ones(2))
    assert "a name" in model.refused("check", "sum(x*y)", "--wrt", "x,y", "--data", "one.npy")


def test_hints_name_what_was_meant(model: Terminal) -> None:
    np.savez(model.folder / "d.npz", weigths=np.ones(2), x=np.ones(2))
    assert "did you mean 'weigths'?" in model.refused("check", "sum(weights*x)", "--wrt", "weights", "--data", "d.npz")
    assert "did you mean 'loss'?" in model.refused("check", "my_model:los", "my_model:grad", "--args", "x.npz")
    assert Path("d.npz").exists()
