"""Heavy but legal programs: an answer or a clear refusal, within two seconds and half a gigabyte."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading

import pytest
from timing import patience

import derivkit as dk
from derivkit.collector import collector_paused
from derivkit.symbolic.gallery import deep_sigmoid

SECONDS, MEGABYTES = 2.0, 512
SLOW_MACHINE = 3.0  # the tests share a processor whose speed was seen to halve between two runs; scripts/bench measures


def nested(function: str, depth: int) -> str:
    return f"x: N\nE = sum({function + '(' if function else ''}" + f"{function}(" * (depth - 1) + "x" + ")" * depth + ")"


def lines(*body: str) -> str:
    return "\n".join(body)


def chained(first: str, line: str, count: int, last: str, declared: str = "x: N") -> str:
    """Return a program whose lines v0, v1, ... each read the one before, as {0}."""
    return lines(declared, f"v0 = {first}", *(f"v{n} = {line.format(f'v{n - 1}')}" for n in range(1, count)), f"E = {last}")


PROGRAMS: dict[str, tuple[str, str]] = {
    "tanh nested 90 deep": (nested("tanh", 90), "x"),
    "softmax nested 40 deep": ("x: N\nE = sum(" + "softmax(" * 40 + "x" + ")" * 40 + ")", "x"),
    "brackets 95 deep": ("x:\nE = " + "(" * 95 + "x" + ")" * 95, "x"),
    "quotients 60 deep": ("x:\nE = " + "1/(1 + " * 60 + "x" + ")" * 60, "x"),
    "powers nested 40 deep": ("x: positive\nE = " + "(" * 40 + "x" + "**1.5 + 1)" * 40, "x"),
    "squares shared 25 deep": (chained("x*x", "{0}*{0}", 25, "v24", "x:"), "x"),
    "sums shared 25 deep": (chained("x + sin(x)", "{0} + sin({0})", 25, "sum(v24)"), "x"),
    "products shared 25 deep, unnamed": ("x:\nE = " + "(x + " * 25 + "1" + ")*x" * 25, "x"),
    "2,400 terms": ("x: N\nE = sum(" + " + ".join(["x"] * 2400) + ")", "x"),
    "5,001 tokens": ("x: N\nE = sum(" + " + ".join(["x"] * 3000) + ")", "x"),
    "600 different terms": ("x:\nE = " + " + ".join(f"sin({n}*x)" for n in range(1, 601)), "x"),
    "a product of 300": ("x: N\nE = sum(" + "*".join(["x"] * 300) + ")", "x"),
    "a product of 300 factors": ("x:\nE = " + "*".join(f"(x + {n})" for n in range(300)), "x"),
    "a product of 60 functions": ("x:\nE = " + "*".join(f"sin(x + {n})" for n in range(60)), "x"),
    "a product of 120 sums": ("x:\ny:\nE = " + "*".join(["(x + y)"] * 120), "x"),
    "190 names": (chained("tanh(x)", "tanh({0} + x)", 190, "sum(v189)"), "x"),
    "layers normalised 30 deep": (chained("x", "({0} - mean({0}))/std({0})*x", 30, "sum(v29)"), "x"),
    "softmax 60 deep": (chained("x", "softmax({0})*x", 60, "sum(v59)"), "x"),
    "a tower of 90 powers": ("x:\nE = " + "**".join(["x"] * 90), "x"),
    "maximum 45 deep": ("x: N\nE = sum(" + "maximum(x, " * 45 + "x" + ")" * 46, "x"),
    "a chain too long to open": (chained("x", "tanh(w + {0})", 186, "v185", "x: N\nw: N"), "x"),
    "logsumexp 190 deep": (chained("x", "x*logsumexp({0})", 190, "sum(v189)"), "x"),
    "max 190 deep": (chained("x", "x*max({0})", 190, "sum(v189)"), "x"),
    "matrices 190 deep": (chained("A", "tanh({0} @ A)", 190, "sum(v189)", "A: N, N"), "A"),
    "layers normalised 40 deep": (chained("x", "({0} - mean({0}))/std({0})*x", 40, "v39"), "x"),
    "large arrays 190 deep": (chained("tanh(x)", "tanh({0} + x)", 190, "sum(v189)", "x: 1000, 1000"), "x"),
    "large matrices": ("A: 300, 300\nE = trace(" + " @ ".join(["A"] * 12) + ")", "A"),
    "attention twenty times": (
        lines("X0: N, D", *(f"X{n} = softmax(X{n - 1} @ X{n - 1}.T) @ X{n - 1}" for n in range(1, 21)), "E = sum(X20**2)"),
        "X0",
    ),
    "a chain of 60 products of matrices": ("A: N, N\nE = trace(" + " @ ".join(["A"] * 60) + ")", "A"),
    "a chain of 12 products of matrices": ("A: N, N\nE = trace(" + " @ ".join(["A"] * 12) + ")", "A"),
    "24 layers, all weights": (deep_sigmoid(24), ",".join(f"W{n}" for n in range(1, 25))),
    "eight axes": ("x: A, B, C, D, F, G, H, I\nE = sum(x*x)", "x"),
    "where nested 30 deep": ("x:\nE = " + "where(x > 1, x, " * 30 + "0" + ")" * 30, "x"),
    "a polynomial of 64": ("x:\nE = (1 + x + x**2)**64", "x"),
    "huge sizes": ("x: 2147483647\nE = sum(x)", "x"),
    "variance of variances": (chained("x - var(x)", "{0} - var({0})", 20, "sum(v19)"), "x"),
    "attention six times": (
        lines("X0: N, D", *(f"X{n} = softmax(X{n - 1} @ X{n - 1}.T) @ X{n - 1}" for n in range(1, 7)), "E = sum(X6**2)"),
        "X0",
    ),
}  # fmt: skip


def _inputs(count: int, declared: str) -> tuple[str, str]:
    """Return declarations of x0, x1, ... and their names as ``wrt`` takes them."""
    return lines(*(f"x{n}: {declared}" for n in range(count))), ",".join(f"x{n}" for n in range(count))


MANY, MANY_WRT = _inputs(190, "N")
CHAIN, CHAIN_WRT = _inputs(60, "N, N")
DEEP, DEEP_WRT = _inputs(95, "D, D")
PROGRAMS |= {
    "95 layers, all weights": (
        lines("v0: D", DEEP, *(f"v{n + 1} = tanh(x{n} @ v{n})" for n in range(95)), "E = sum(v95**2)"),
        DEEP_WRT,
    ),
    "a chain of 60 different matrices": (lines(CHAIN, "E = trace(" + " @ ".join(f"x{n}" for n in range(60)) + ")"), CHAIN_WRT),
    "190 inputs of a function": (lines(MANY, "E = sum(tanh(" + " + ".join(MANY_WRT.split(",")) + "))"), MANY_WRT),
    "190 inputs of a named sum": (lines(MANY, "u = " + " + ".join(MANY_WRT.split(",")), "E = sum(tanh(u))"), MANY_WRT),
    "190 inputs of a product": (lines(MANY, "E = sum(" + "*".join(MANY_WRT.split(",")) + ")"), MANY_WRT),
    "padded convolutions 16 deep": (
        lines("v0: H, W", "w: 3, 3", *(f"v{n + 1} = relu(conv2d(v{n}, w, padding=1))" for n in range(16)), "E = sum(v16**2)"),
        "w",
    ),
    "convolutions 20 deep": (
        lines("v0: N, C, L", "w: C, C, P", *(f"v{n + 1} = tanh(conv1d(v{n}, w))" for n in range(20)), "E = sum(v20)"),
        "v0, w",
    ),
}

#: The longest chains of one operation: what is quadratic in the number of lines shows here.
CHAINS: dict[str, tuple[str, str]] = {
    "norm 188 deep": (chained("x", "{0}/norm({0}) + x", 188, "v187"), "x"),
    "logsumexp 188 deep": (chained("x", "{0} - logsumexp({0})", 188, "v187"), "x"),
    "max 188 deep": (chained("x", "{0} - max({0})*x", 188, "v187"), "x"),
    "softmax 188 deep": (chained("x", "softmax({0})*x", 188, "v187"), "x"),
    "matrix times vector 188 deep": (chained("x", "A @ {0}", 188, "v187", "A: N, N\nx: N"), "x"),
    "variance 188 deep": (chained("x", "{0}*var({0})", 188, "v187"), "x"),
    "inverses 90 deep": (chained("A", "inv({0}) + A", 90, "sum(v89)", "A: N, N"), "A"),
    "solutions 90 deep": (chained("x", "solve(A, {0}) + x", 90, "sum(v89)", "A: N, N\nx: N"), "A, x"),
    "convolutions of images 40 deep": (
        chained("x", "relu(conv2d({0}, w, padding='same'))", 41, "sum(v40**2)", "x: N, C, H, W\nw: C, C, P, P"),
        "x, w",
    ),
    "layer norms 60 deep": (chained("x", "layer_norm({0}, g, b)", 61, "sum(v60**2)", "x: N, D\ng: D\nb: D"), "x, g, b"),
}
PROGRAMS |= CHAINS

RUNNER = """
import json, resource, sys, time
import derivkit as dk
from derivkit.errors import DerivkitError
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
dk.derive("x: N\\nE = sum(tanh(x)**2)", "x").text(), dk.compile("x: N\\nE = sum(tanh(x)**2)", "x")  # what is loaded on first use
verb, text, wrt = json.load(sys.stdin)
start = time.process_time()
try:
    made = dk.compile(text, wrt) if verb == "compile" else dk.derive(text, wrt)
    said = f"{len(str(made))} characters"
except DerivkitError as error:
    said = f"{error.code} {error}"
seconds = time.process_time() - start
try:  # of this process alone: what getrusage has starts from the memory of the process that forked it
    with open("/proc/self/status") as status:
        kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
except OSError:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([said, seconds, kilobytes / 1024]))
"""


def hold_to_time(verb: str, program: tuple[str, str]) -> None:
    """Assert that a program in a process of its own is answered or refused, for a reason, in time and in memory."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([verb, *program]),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, seconds, megabytes = json.loads(done.stdout)
    assert not said.startswith("DK033"), said
    assert seconds < patience(SECONDS * SLOW_MACHINE), f"{seconds:.1f} s: {said}"
    assert megabytes < MEGABYTES, f"{megabytes:.0f} MB: {said}"


@pytest.mark.sweep
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_heavy_program_is_answered_or_refused_in_time(name):
    hold_to_time("derive", PROGRAMS[name])


@pytest.mark.sweep
@pytest.mark.parametrize("name", CHAINS)
def test_a_long_chain_is_compiled_or_refused_in_time(name):
    hold_to_time("compile", CHAINS[name])


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_left_as_it_was_found(on):
    def derive_badly() -> None:
        with collector_paused(), pytest.raises(dk.DerivkitError):
            dk.derive("E = sum(", "x")
        found.append(gc.isenabled())

    found: list[bool] = []
    before = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        with collector_paused():
            threads = [threading.Thread(target=derive_badly) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [False] * 4  # the first is still inside
        assert gc.isenabled() == on
    finally:
        (gc.enable if before else gc.disable)()
