"""Where the arrays of a bound kernel lie: in place where an operand is not read again, else in memory that is free by then.

Sizes are known, so this is a plan of offsets into one pool a type, made once: first fit among what has been let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from derivkit.numeric.codegen.blocks import Loop
from derivkit.numeric.codegen.instructions import BUFFER, KEPT, Instruction, Storage, Value

#: Arrays begin at multiples of this many entries, so that each starts a line of the cache.
ALIGNED = 16


@dataclass(slots=True)
class Layout:
    """The offset of each buffer in the pool of its type, the lengths of the pools, and the updates that need a copy first."""

    offsets: dict[Storage, int] = field(default_factory=dict)
    pools: dict[str, int] = field(default_factory=dict)
    copied: set[Instruction] = field(default_factory=set)
    results: dict[Storage, Storage] = field(default_factory=dict)


def plan_memory(instructions: Sequence[Instruction], returned: Sequence[Storage], loops: Sequence[Loop] = ()) -> Layout:
    """Return where each buffer lies; what is ``returned`` is never reused, and within a loop nothing is let go."""
    last: dict[Storage, int] = {}
    for n, each in enumerate(instructions):
        last[each.out] = max(n, last.get(each.out, 0))
        for value in each.reads:
            if value.storage is not None:
                last[value.storage] = n
    for storage in returned:
        last[storage] = len(instructions)
    layout = Layout()
    uncut = _uncut(instructions, loops)
    for each in reversed(instructions):
        if each.out.may_view:
            for value in each.reads:
                if value.storage is not None:
                    last[value.storage] = max(last[value.storage], last[each.out])
    for n in reversed(range(len(instructions))):
        _begin_in_result(instructions[n], n, last, layout, uncut[n])
    free: dict[str, list[tuple[int, int]]] = {}
    held: dict[Storage, tuple[int, int]] = {}
    ends = {n: loop.stop - 1 for loop in loops for n in range(loop.start, loop.stop)}
    lengths = {s: s.entries // loop.count * loop.rows for loop in loops for s in loop.inner}
    leaving: set[Storage] = set()
    for n, each in enumerate(instructions):
        out = each.out
        near = {s: h for s, h in held.items() if (s in lengths) == (out in lengths) and s not in uncut[n]}
        old = _reusable(each, n, last, near)
        if each.updates and old is None and not _in_same_result(each, layout):
            layout.copied.add(each)
        if out.place == BUFFER and out not in layout.results:
            if old is not None:
                held[out] = held.pop(old)
            else:
                length = -(-max(lengths.get(out, out.entries), 1) // ALIGNED) * ALIGNED
                held[out] = _take(free.setdefault(out.holds, []), length, layout, out.holds), length
            layout.offsets[out] = held[out][0]
        leaving |= {s for s in ({v.storage for v in each.reads} | {out}) if s in held and last[s] <= n}
        if ends.get(n, n) == n:
            for storage in sorted(leaving & held.keys(), key=held.__getitem__):
                _give(free.setdefault(storage.holds, []), held.pop(storage))
            leaving = set()
    return layout


def _in_same_result(each: Instruction, layout: Layout) -> bool:
    """Return whether the first operand lies in the result that the output lies in."""
    first = each.reads[0].storage if each.reads else None
    return first in layout.results and layout.results[first] is layout.results.get(each.out, each.out)


def _uncut(instructions: Sequence[Instruction], loops: Sequence[Loop]) -> list[set[Storage]]:
    """Return for each instruction what its loop reads whole: the next pass of the loop reads it again."""
    found: list[set[Storage]] = [set() for _ in instructions]
    for loop in loops:
        inside = instructions[loop.start : loop.stop]
        whole = {v.storage for i in inside for v, cut in zip(i.reads, i.rows, strict=True) if cut is False and v.storage}
        for n in range(loop.start, loop.stop):
            found[n] = whole
    return found


def _begin_in_result(each: Instruction, n: int, last: dict[Storage, int], layout: Layout, uncut: set[Storage]) -> None:
    """Compute an operand in the memory of the result that is made of it in place, so that it need not be copied there."""
    target = layout.results.get(each.out, each.out)
    if target.place != KEPT or not (each.inplace or each.updates):
        return
    for value in each.reads[:1] if each.updates else each.reads:
        storage = value.storage
        if storage is None or storage.place != BUFFER or storage in uncut:
            continue
        if last[storage] == n and _fits(value, each):
            layout.results[storage] = target
            return


def _fits(value: Value, each: Instruction) -> bool:
    """Return whether the output may lie where ``value`` does, which no other operand reads in another view."""
    storage = value.storage
    same = storage is not None and storage.holds == each.out.holds and storage.entries == value.entries == each.out.entries
    whole = same and value.whole and value.shape == each.out.shape == storage.shape  # type: ignore[union-attr]
    return whole and all(_is_same(other, value) for other in each.reads if other.storage is storage)


def _reusable(each: Instruction, n: int, last: dict[Storage, int], held: dict[Storage, tuple[int, int]]) -> Storage | None:
    """Return the storage of an operand that the output may lie in, when nobody reads it later or in another view now."""
    if not (each.inplace or each.updates) or each.out.place != BUFFER:
        return None
    for value in each.reads[:1] if each.updates else each.reads:
        storage = value.storage
        if storage is not None and storage in held and last[storage] <= n and _fits(value, each):
            return storage
    return None


def _is_same(a: Value, b: Value) -> bool:
    return a.whole and a.shape == b.shape and b.whole


def _take(free: list[tuple[int, int]], length: int, layout: Layout, holds: str) -> int:
    """Return the offset of ``length`` entries: the smallest gap that is large enough, or the end of the pool."""
    gaps = [gap for gap in free if gap[1] >= length]
    if gaps:
        best = min(gaps, key=lambda gap: gap[1])
        free.remove(best)
        if best[1] > length:
            free.append((best[0] + length, best[1] - length))
        return best[0]
    end = layout.pools.get(holds, 0)
    tail = next((gap for gap in free if gap[0] + gap[1] == end), None)
    if tail is not None:
        free.remove(tail)
        end = tail[0]
    layout.pools[holds] = end + length
    return end


def _give(free: list[tuple[int, int]], gap: tuple[int, int]) -> None:
    """Let go of a gap, joined with its neighbours."""
    start, length = gap
    for other in list(free):
        if other[0] + other[1] == start:
            free.remove(other)
            start, length = other[0], length + other[1]
        elif start + length == other[0]:
            free.remove(other)
            length += other[1]
    free.append((start, length))
