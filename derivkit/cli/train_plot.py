"""``--plot``: loss and accuracy by epoch, drawn by matplotlib, which is asked for before anything is trained."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence

from derivkit.cli.arguments import usage
from derivkit.errors import DerivkitError, echo
from derivkit.numeric.train import History

FORMATS = ("svg", "png")


def check_plot(path: str) -> None:
    """Refuse a file that is no picture, and a plot without matplotlib."""
    if _format(path) not in FORMATS:
        raise usage(f"--plot needs a name that ends in .svg or .png, not '{echo(path)}'", "--plot loss.svg")
    if importlib.util.find_spec("matplotlib") is None:
        hint = "pip install 'derivkit-verify[plot]', or leave --plot out"
        raise DerivkitError("--plot needs matplotlib", code="DK043", hint=hint)


def _format(path: str) -> str:
    return path.rpartition(".")[2].lower()


def drawn(history: History, path: str, title: str) -> bytes:
    """Return the picture: the losses on the left, the accuracies on the right, the epochs from 1."""
    import matplotlib
    from matplotlib.figure import Figure

    # Text stays text, and the same numbers give the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "derivkit"}):
        series: list[tuple[str, Sequence[float], str]] = [("loss", history.loss, "tab:blue")]
        if history.accuracy:
            series.append(("held-out accuracy (%)", [100 * part for part in history.accuracy], "tab:orange"))
        figure = Figure(figsize=(4.5 * len(series), 3.4), layout="constrained")
        figure.suptitle(title, parse_math=False)
        for axes, (name, values, color) in zip(figure.subplots(1, len(series), squeeze=False)[0], series, strict=True):
            axes.plot(range(1, len(values) + 1), values, color=color, marker="." if len(values) < 40 else "")
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.grid(alpha=0.3)
            axes.xaxis.get_major_locator().set_params(integer=True)
        if min(history.loss) > 0 and max(history.loss) > 20 * min(history.loss):
            figure.axes[0].set_yscale("log")
        buffer = io.BytesIO()
        kind = _format(path)
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()
