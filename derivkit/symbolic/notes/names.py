r"""Which runs of letters are one name in a document: ``xwb_0 = ...``, ``\frac{dz}{dyx}``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from derivkit.symbolic.notes import tables

_COMMAND = re.compile(r"\\[A-Za-z]+(?:\s*\{[A-Za-z]+\*?\})?|\\.")
_RUN = re.compile(r"[A-Za-z]{2,}")
_LEFT = re.compile(
    r"(?:^|\\\\|\\quad|\\qquad|[,;&$\n])[ \t&]*([A-Za-z]{2,})(?:_(?:\{[^{}]*\}|\w))?(?: ?\([^()=]{0,40}\))?[\s&]*="
)
_BELOW_D = re.compile(r"\\[dt]?frac\s*\{\s*d[^{}]*(?:\{[^{}]*\}[^{}]*)*\}\s*\{\s*d\s?([A-Za-z]{2,})\s*(?=[_^}])")
_BELOW_PARTIAL = re.compile(r"\}\s*\{\s*\\partial\s*\{?([a-z]{2,})\s*(?=[_^}])")
_MOST = 100


def multiletter(formulas: Iterable[str]) -> frozenset[str]:
    r"""Return the runs of letters that the formulas of one document use as names.

    A run below a derivative is one.  One that stands alone left of ``=`` is, where it comes back somewhere and begins with no
    capital: ``Ax = b`` is a product.

    >>> sorted(multiletter(["xw_0 = x_0 w_0", "dxw_0 = w_0 dx_0", r"\\frac{dz}{dyx} = 1"]))
    ['xw', 'yx']
    """
    found: set[str] = set()
    left: set[str] = set()
    runs: Counter[str] = Counter()
    for text in formulas:
        found.update(_BELOW_D.findall(text), _BELOW_PARTIAL.findall(text))
        left.update(_LEFT.findall(text))
        runs.update(_RUN.findall(_COMMAND.sub(" ", text)))
    for run in left:
        used = runs[run] + sum(count for other, count in runs.items() if other == "d" + run)
        if run.islower() and used > 1 and run not in tables.PROSE:
            found.add(run)
    whole = {run for run in found if not (run.startswith("d") and (run[1:] in found or (len(run) == 2 and run not in left)))}
    whole -= {run for run in whole if run.startswith("d") and any(run[1:] in (other, other[1:]) for other in left | found)}
    return frozenset(sorted(whole)[:_MOST])
