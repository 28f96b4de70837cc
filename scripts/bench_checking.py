"""The checker on its corpus of right and wrong gradients: ``scripts/bench checking [seeds]``.

Prints how many wrong ones are rejected, right ones accepted and causes named, and at what cost; exit 1 when a limit is missed.
The rows, with the proofs of their labels, are in ``tests/gradient_cases``.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

import numpy as np  # noqa: E402 - one thread, or the times say nothing
from gradient_cases.scores import complaints, faintest, missed, run, shares  # noqa: E402

SEEDS = 6


def main() -> int:
    """Print the numbers of each seed, and what is beyond its limit."""
    failed = False
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS):
        np.random.seed(seed)  # must make no difference
        results = run(seed)
        numbers = shares(results)
        if seed == 0:
            seen = faintest(seed)
            numbers["faintest fault seen in all"] = max(least for _, least in seen)
            numbers["faintest fault seen, median"] = statistics.median(least for _, least in seen)
            numbers["rows of it"] = len(seen)
        print(f"data seed {seed}: {len(results)} rows, {sum(r.row.right for r in results)} of them right")
        print("\n".join(f"  {name}: {value:.4g}" for name, value in numbers.items()))
        print("\n".join(complaints(results)))
        if beyond := missed(numbers):
            failed = True
            print(f"  MISSED: {'; '.join(beyond)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
