"""The same text in gives the same bytes out, under every hash seed and in every order of calls; time grows as the depth does."""

from __future__ import annotations

import cProfile
import hashlib
import os
import pstats
import subprocess
import sys

import derivkit as dk
from derivkit.symbolic.gallery import deep_sigmoid, gallery, wrt

NAMES = [
    "two_layer_tanh",
    "softmax_by_hand",
    "kl_softmaxes",
    "cosine_similarity",
    "matrix_factorisation",
    "logistic",
    "standardise",
]
SCRIPT = """
import hashlib, sys
import derivkit as dk
from derivkit.symbolic.gallery import gallery, wrt
for name in sys.argv[1:]:
    d = dk.derive(gallery[name], wrt[name], check=False)
    printed = "\\n".join([d.text(), d.latex(), d.program(), d.to_json()])
    print(name, hashlib.sha256(printed.encode()).hexdigest())
"""


def digests(names: list[str], seed: str) -> dict[str, str]:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", SCRIPT, *names], env=environment, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def test_hash_seeds_and_the_order_of_calls_change_nothing():
    first = digests(NAMES, "0")
    assert set(first) == set(NAMES)
    assert len(set(first.values())) == len(NAMES)
    assert digests(NAMES[::-1], "1") == first
    assert digests([*NAMES[3:], *NAMES[:3], *NAMES], "4242") == first


def test_a_second_call_in_the_same_process_prints_the_same():
    def page(name: str) -> str:
        return hashlib.sha256(dk.derive(gallery[name], wrt[name], check=False).text().encode()).hexdigest()

    before = {name: page(name) for name in NAMES}
    assert before == {name: page(name) for name in reversed(NAMES)}


def work(layers: int) -> int:
    """Return how many calls deriving and printing a network makes: as good as its time, and the same on a busy machine."""
    profile = cProfile.Profile()
    profile.runcall(lambda: dk.derive(deep_sigmoid(layers), "W1").text())
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


def test_twice_the_layers_cost_about_twice_the_work():
    work(2)
    assert work(20) < 2.25 * work(10)  # 2.06; the time itself is scripts/bench's
