"""The pictures of a report: the residual against the step, above the floor that rounding makes, and the map of a wrong matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from derivkit.checking.report import Leaf, Report
from derivkit.errors import DerivkitError

#: A residual that is exactly zero is drawn here, at the lower edge of a logarithmic axis.
LEAST = 1e-18
#: So many wrong leaves are drawn.
MAPS = 2


def figure(report: Report) -> Any:
    """Return a matplotlib figure of a report; DK043 without matplotlib, DK050 where nothing was measured."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DerivkitError("report.plot needs matplotlib", code="DK043", hint="python -m pip install matplotlib") from error
    maps = report.leaves[:MAPS]
    panels = bool(report.ladder) + len(maps)
    if not panels:
        raise DerivkitError("nothing was measured that could be drawn: the report says it all", code="DK050")
    made = Figure(figsize=(4.8 * panels, 3.8), layout="constrained")
    made.suptitle(f"{report.verdict}: {report.subject}", parse_math=False)
    axes = list(made.subplots(1, panels, squeeze=False)[0])
    if report.ladder:
        _residual(axes.pop(0), report)
    for leaf, place in zip(maps, axes, strict=True):
        _map(place, leaf)
    return made


def _residual(axes: Any, report: Report) -> None:
    """Draw |measured slope − claimed slope| against the step: a right claim falls down to the floor, a wrong one levels off."""
    rungs = [(step, abs(off), floor) for step, off, floor in report.ladder if math.isfinite(off)]
    steps = [step for step, _, _ in rungs]
    axes.loglog(steps, [max(off, LEAST) for _, off, _ in rungs], "o-", color="tab:blue", label="residual of your slope")
    axes.fill_between(
        steps, LEAST, [max(floor, LEAST) for _, _, floor in rungs], color="0.85", label="error floor: rounding / step"
    )
    if rungs:
        axes.set_ylim(bottom=max(LEAST, 0.1 * min(max(min(off, floor), LEAST) for _, off, floor in rungs)))
    axes.set_xlabel("step, relative to the arguments")
    axes.set_ylabel("residual")
    axes.legend(loc="best", fontsize="small")
    axes.grid(alpha=0.3)


def _map(axes: Any, leaf: Leaf) -> None:
    """Draw which entries of a leaf are off, in error bars, on one logarithmic scale."""
    yours, measured, bars = (np.array(row).reshape(leaf.shape) for row in (leaf.yours, leaf.measured, leaf.error_bar))
    size = float(np.max(np.abs(measured), initial=0.0)) or 1.0
    off = np.log10(np.maximum(np.abs(yours - measured) / np.maximum(np.abs(bars), 1e-16 * size), 1.0))
    rows = off.reshape(-1, off.shape[-1]) if off.ndim > 2 else np.atleast_2d(off)  # all axes but the last stand below each other
    image = axes.imshow(
        rows,
        aspect="equal" if max(rows.shape) <= 8 * min(rows.shape) else "auto",
        cmap="Reds",
        vmin=0.0,
        vmax=max(2.0, float(np.max(off, initial=0.0))),
    )
    axes.set_title(f"{leaf.name}: log10 of how many error bars off", fontsize="medium", parse_math=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.figure.colorbar(image, ax=axes, shrink=0.8)
