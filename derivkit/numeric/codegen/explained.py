"""The plan of a bound kernel in words: what was recognised, the loops, the buffers and who shares their memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from derivkit.numeric.codegen.blocks import Loop
from derivkit.numeric.codegen.instructions import FLAG, FRESH, PLACE, REAL, Instruction, Lowered, Storage
from derivkit.numeric.codegen.memory import Layout

_UNITS = ("B", "KB", "MB", "GB", "TB")


def told(
    lowered: Lowered, layout: Layout, instructions: Sequence[Instruction], loops: Sequence[Loop], dtype: np.dtype[np.generic]
) -> Iterator[str]:
    """Yield the lines."""
    yield "recognised:"
    yield from (f"  {what}{f' ({times} times)' if times > 1 else ''}" for what, times in lowered.recognised.items())
    if not lowered.recognised:
        yield "  nothing beyond what is written"
    for loop in loops:
        count, span = loop.stop - loop.start, f"{loop.rows} of {loop.count} rows"
        yield f"  {count} passes over large arrays: a loop over blocks of {span}, {len(loop.inner)} arrays of one block"
    width = {REAL: dtype.itemsize, FLAG: 1, PLACE: np.dtype(np.intp).itemsize}
    pooled = sum(length * width[holds] for holds, length in layout.pools.items())
    alone = sum(s.entries * width[s.holds] for s in layout.offsets)
    fresh = [i for i in instructions if i.out.place == FRESH and i.out.shape]
    yield f"buffers: {human(pooled)}, which hold {len(layout.offsets)} arrays of {human(alone)}:"
    yield from (f"  {line}" for line in _places(layout, width))
    in_results = [s.hint for s in layout.results]
    if in_results:
        yield f"  {len(in_results)} more {'lie' if len(in_results) > 1 else 'lies'} in the arrays of the results"
    made = f": {', '.join(sorted({i.out.hint for i in fresh}))}" if fresh else ""
    yield f"allocated on each call: {len(fresh)} arrays{made}"


def _places(layout: Layout, width: Mapping[str, int]) -> Iterator[str]:
    """Yield a line for each place in memory: its arrays, one after the other."""
    found: dict[tuple[str, int], list[Storage]] = {}
    for storage, start in layout.offsets.items():
        found.setdefault((storage.holds, start), []).append(storage)
    for (holds, start), arrays in sorted(found.items()):
        names = " -> ".join(f"{s.hint}{s.shape}".replace(",)", ")") for s in arrays)
        names = names if len(names) < 90 else f"{names[:86]} ..."
        yield f"{holds} at {human(start * width[holds])}: {names}"


def human(count: float) -> str:
    """Return a number of bytes with its unit.

    >>> human(512), human(3_500_000)
    ('512 B', '3.5 MB')
    """
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_UNITS[unit]}"
