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
#: A letter with something raised that no exponent is: a one, or a time and the one before.
_RAISED_ONE = re.compile(r"(?:\\([a-zA-Z]+)|([A-Za-z]))(?:\})?(?:_(?:\{[^{}]*\}|\w))?\^(?:1(?![\d.])|\{1\})")
_RAISED_TIME = re.compile(r"(?:\\([a-zA-Z]+)|([A-Za-z]))(?:\})?(?:_(?:\{[^{}]*\}|\w))?\^\{t\s*[-+]\s*1\}")
_RAISED_NOW = re.compile(r"(?:\\([a-zA-Z]+)|([A-Za-z]))(?:\})?(?:_(?:\{[^{}]*\}|\w))?\^(?:t(?![a-z])|\{t\})")
_RATES = {"gamma", "beta", "lambda", "alpha", "rho", "eta"}
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


def labelled(formulas: Iterable[str]) -> frozenset[str]:
    r"""Return the letters whose raised numbers or times are labels in one document, each with a caret behind it.

    Nobody writes a first power: where ``W^1`` stands, ``W^2`` is a layer.  Where ``h^{t-1}`` stands, so does a time above h.

    >>> sorted(labelled(["h^t = f(W^1 h^{t-1})", "1 - \\beta^t"]))
    ['W^', 'h^']
    """
    texts = list(formulas)
    timed = [match for text in texts for match in _RAISED_TIME.finditer(text)]
    matches = [match for text in texts for match in _RAISED_ONE.finditer(text)] + timed
    matches += [match for text in texts for match in _RAISED_NOW.finditer(text)] if timed else []
    found = {tables.LETTERS.get(m.group(1), m.group(1)) if m.group(1) else m.group(2) for m in matches}
    return frozenset(f"{letter}^" for letter in sorted(found - _RATES)[:_MOST])
