"""Passes over large arrays, some rows at a time: what one pass writes is still in the cache when the next one reads it.

A run of instructions that can each be done row by row becomes a loop over blocks of rows; an array that only the loop reads
has the memory of one block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from derivkit.numeric.codegen.builder import LARGE
from derivkit.numeric.codegen.instructions import BUFFER, FRESH, PADDED, Instruction, Storage

#: Entries of a block (measured beside 1 MB of cache: with 32,768 steps take 10 to 20 % longer, and with 10^6 up to 20 %).
BLOCK = 262_144


@dataclass(eq=False, slots=True)
class Loop:
    """The instructions from ``start`` up to ``stop``, done ``rows`` rows at a time of ``count``; ``inner`` are of one block."""

    start: int
    stop: int
    rows: int
    count: int
    inner: set[Storage] = field(default_factory=set)


def blocked(instructions: Sequence[Instruction], returned: Sequence[Storage]) -> tuple[list[Instruction], list[Loop]]:
    """Return the instructions, numbers that a run does not need moved behind it, and the loops."""
    if all(i.out.entries <= LARGE and all(v.entries <= LARGE for v in i.reads) for i in instructions):
        return list(instructions), []
    order: list[Instruction] = []
    loops: list[Loop] = []
    left = list(instructions)
    while left:
        run, later = _run(left)
        if run and (rows := _rows(run)):
            run = _once(run, later)
            loops.append(Loop(len(order), len(order) + len(run), rows, _count(run[0])))
            order += run
            left = later
        elif any(i.block for i in run):  # one block is enough
            order += run
            left = later
        else:
            order.append(left.pop(0))
    for loop in loops:
        loop.inner = _inner(order, loop, returned)
    return order, loops


def _run(instructions: Sequence[Instruction]) -> tuple[list[Instruction], list[Instruction]]:
    """Return the longest run from the first instruction on that goes over the same rows, and the others in order."""
    if not instructions[0].rows:
        return [], []
    count = _count(instructions[0])
    run: list[Instruction] = []
    later: list[Instruction] = []
    made: set[Storage] = set()
    unready: set[Storage] = set()  # numbers that are computed behind the run, and sums that are complete there
    for n, each in enumerate(instructions):
        if each.rows and _count(each) == count and not any(v.storage in unready for v in each.reads) and _in_step(each, made):
            run.append(each)
            across = any(v.storage is each.out and not v.has_rows for v in each.reads)  # written in rows of another axis
            (unready if each.adding or across else made).add(each.out)
        elif not each.out.shape:
            later.append(each)
            unready.add(each.out)
        else:
            return run, [*later, *instructions[n:]]
    return run, later


def _once(run: Sequence[Instruction], later: Sequence[Instruction]) -> list[Instruction]:
    """Return the instructions of a loop without the panels that are there already, which is what all read then."""
    panels: dict[tuple[object, ...], Storage] = {}
    same: dict[Storage | None, Storage] = {}
    for each in run:
        first = panels.setdefault((each.text, each.reads), each.out) if each.block else each.out
        if first is not each.out:
            same[each.out] = first
    if not same:
        return list(run)
    for each in (*run, *later):
        each.reads = tuple(replace(v, storage=same[v.storage]) if v.storage in same else v for v in each.reads)
    return [each for each in run if each.out not in same]


def _in_step(each: Instruction, made: set[Storage]) -> bool:
    """Return whether an instruction reads of what the run has made the same rows only, and cuts what stays in its place."""
    if any(cut and v.storage is not None and v.storage.place == FRESH for v, cut in zip(each.reads, each.rows, strict=True)):
        return False
    mine = [(v, cut) for v, cut in zip(each.reads, each.rows, strict=True) if v.storage in made]
    return all(cut is None or (cut and v.has_rows) for v, cut in mine)


def _count(each: Instruction) -> int:
    """Return how many rows an instruction goes over, 0 where nothing is cut."""
    if not each.rows:
        return 0
    return next((v.shape[0] for v, cut in zip(each.reads, each.rows, strict=True) if cut), each.out.shape[0])


def _rows(run: Sequence[Instruction]) -> int:
    """Return the rows of a block; 0 where a loop gains nothing: the arrays are small, or nothing is read twice."""
    count = _count(run[0])
    largest = max(max((v.entries for v in i.reads), default=0) for i in run)
    largest = max(largest, *(i.out.entries for i in run))
    made = {i.out for i in run if i.out.entries * 4 > LARGE}
    again = any(v.storage in made for i in run for v in i.reads)
    if largest <= LARGE or not again or count < 2:
        return 0
    rows = max(1, max(BLOCK, *(i.block for i in run)) * count // largest)
    return -(-count // -(-count // rows)) if rows < count else 0  # blocks of about the same size


def _inner(order: Sequence[Instruction], loop: Loop, returned: Sequence[Storage]) -> set[Storage]:
    """Return the arrays that nobody reads outside of the loop, nor flat."""
    inside = order[loop.start : loop.stop]
    found = {i.out for i in inside if i.out.place in (BUFFER, PADDED) and not i.adding} - set(returned)
    for n, each in enumerate(order):
        for value, cut in zip(each.reads, each.rows or (False,) * len(each.reads), strict=True):
            if not (loop.start <= n < loop.stop) or not cut or not value.has_rows:
                found.discard(value.storage)
        if each.updates and "{out_flat}" in each.text:
            found.discard(each.out)
            found.discard(each.reads[0].storage)
    return found
