"""The text of a bound kernel: a function that lays out the memory once, and returns the step that fills it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from derivkit.numeric.codegen.blocks import Loop, blocked
from derivkit.numeric.codegen.builder import plain
from derivkit.numeric.codegen.emit import fresh, safe
from derivkit.numeric.codegen.explained import told
from derivkit.numeric.codegen.instructions import (
    BUFFER,
    CONSTANT,
    FLAG,
    FRESH,
    KEPT,
    PADDED,
    PLACE,
    REAL,
    Instruction,
    Lowered,
    Storage,
    Value,
)
from derivkit.numeric.codegen.memory import Layout, plan_memory
from derivkit.numeric.codegen.prelude import helper_source

#: The functions of NumPy that are imported by name: a bound step calls nothing through a module.
_WORDS = tuple(
    """absolute add arctan copyto cos cosh divide dot equal exp expm1 greater greater_equal less less_equal log log1p maximum
    minimum multiply negative not_equal power reciprocal rint sign sin sinh sqrt subtract tan tanh vecdot""".split()
)
_REPEATED = ("np.full((", "np.zeros((")
_WORD = re.compile(r"(?<![.\w])[A-Za-z_]\w*")
_POOLS = {REAL: ("pool", "dtype"), FLAG: ("flags", "bool"), PLACE: ("places", "np.intp")}
_PLAIN = frozenset(
    {"np", "dtype", "pool", "flags", "places", "step", "bind", "begin", "end", "special", "math", "inf", "nan", *_WORDS}
)


@dataclass(frozen=True, slots=True)
class BoundModule:
    """Source with one function, which takes the inputs and the arrays for the results, in this order."""

    source: str
    function: str = "bind"
    needs_scipy: bool = False
    plan: tuple[str, ...] = ()


def write_bound(lowered: Lowered, dtype: np.dtype[np.generic], title: str) -> BoundModule:
    """Return the module of a lowered kernel."""
    results = list(lowered.results.values())
    if lowered.value.storage is not None and lowered.value.storage.place == KEPT:
        results = [lowered.value.storage, *results]
    returned = [*results, *([lowered.value.storage] if lowered.value.storage else [])]
    instructions, loops = blocked(lowered.instructions, returned)
    layout = plan_memory(instructions, returned, loops)
    return _Text(lowered, layout, results, dtype).module(title, instructions, loops)


class _Text:
    def __init__(self, lowered: Lowered, layout: Layout, results: Sequence[Storage], dtype: np.dtype[np.generic]) -> None:
        self.lowered = lowered
        self.layout = layout
        self.results = results
        self.dtype = dtype
        self.names: dict[Storage, str] = {}
        self.taken: set[str] = set(_PLAIN)
        self.laid: dict[str, str] = {}  # the first name of each place in memory
        self.views: dict[tuple[str, str], str] = {}
        self.setup: list[str] = []
        self.body: list[str] = []
        self.inner: dict[Storage, Loop] = {}  # what has the memory of one block
        self.part_names: dict[str, str] = {}

    def module(self, title: str, instructions: Sequence[Instruction], loops: Sequence[Loop]) -> BoundModule:
        """Return the text: what is imported, the memory, the views, the step."""
        self.inner = {s: loop for loop in loops for s in (*loop.inner, *_repeated(instructions, loop))}
        inputs = [self.name(s) for s in self.lowered.inputs.values()]
        results = [self.name(s) for s in self.results]
        starts = {loop.start: loop for loop in loops}
        n = 0
        while n < len(instructions):
            if n in starts:
                self.loop(instructions[n : starts[n].stop], starts[n])
                n = starts[n].stop
            else:
                self.line(instructions[n])
                n += 1
        value = self.operand(self.lowered.value)
        pools = [
            f"{_POOLS[holds][0]} = np.empty({length}, {_POOLS[holds][1]})" for holds, length in sorted(self.layout.pools.items())
        ]
        body = [
            f"def bind({', '.join([*inputs, *results])}):",
            f'    """{title}"""',
            f"    dtype = np.dtype({self.dtype.name!r})",
            *(f"    {line}" for line in [*pools, *self.setup]),
            "",
            "    def step():",
            *(f"        {line}" for line in self.body),
            f"        return {value}",
            "",
            "    return step",
        ]
        code = "\n".join(line.partition("#")[0] for line in body)
        words = set(_WORD.findall(code))
        helpers = helper_source(self.lowered.helpers)
        head = ["import math", ""] if "math" in words | set(_WORD.findall(helpers)) else []
        head.append("import numpy as np")
        imported = [w for w in _WORDS if w in words]
        if imported:
            head.append(f"from numpy import {', '.join(imported)}")
        if needs_scipy := "special" in words | set(_WORD.findall(helpers)):
            head.append("from scipy import special")
        parts = ["\n".join(head), *([helpers.rstrip()] if helpers else []), "\n".join(body)]
        plan = tuple(told(self.lowered, self.layout, instructions, loops, self.dtype))
        return BoundModule("\n\n\n".join(parts) + "\n", needs_scipy=needs_scipy, plan=plan)

    def name(self, storage: Storage) -> str:
        """Return the variable of a storage, which is declared at its first use."""
        if storage in self.names:
            return self.names[storage]
        made = self.memory(storage)
        if storage.hint == "u" and storage in self.layout.results:
            word = made
        elif storage.hint == "u" and made in self.laid:  # a step on the way, in the memory of one before
            word = self.laid[made]
        else:
            word = self.new(storage.hint)
            if made:
                self.setup.append(f"{word} = {made}")
                self.laid[made] = word
        self.names[storage] = word
        return word

    def memory(self, storage: Storage) -> str:
        """Return the text that lays a storage out, empty for what is given or made on each call."""
        if storage.place == CONSTANT:
            return self.constant(storage)
        if storage in self.layout.results:
            return self.name(self.layout.results[storage])
        if storage.place not in (BUFFER, PADDED):
            return ""
        loop = self.inner.get(storage)
        lengths = storage.shape if loop is None else (loop.rows, *storage.shape[1:])
        if storage.place == PADDED:
            return f"np.zeros({lengths}, dtype)"
        start, count = self.layout.offsets[storage], prod(lengths)
        shape = f".reshape({', '.join(map(str, lengths))})" if len(lengths) > 1 else ""
        return f"{_POOLS[storage.holds][0]}[{start}:{start + count}]{shape}"

    def constant(self, storage: Storage) -> str:
        """Return the text that makes a constant: what one loop alone reads is as long as a block."""
        loop = self.inner.get(storage)
        return storage.made if loop is None else storage.made.replace(str(storage.shape), str((loop.rows, *storage.shape[1:])))

    def new(self, hint: str) -> str:
        """Return a variable that is not taken."""
        return fresh(safe(hint if hint.isidentifier() else "u"), self.taken)

    def operand(self, value: Value) -> str:
        """Return how a value is written: views of memory that stays are made once."""
        storage = value.storage
        if storage is None:
            return plain(value.number)
        word = self.name(storage)
        if value.path == "{}":
            return word
        if storage.place == FRESH:
            return value.path.replace("{}", word)
        key = (word, value.path)
        if key not in self.views:
            self.views[key] = self.new(f"{word}_{_suffix(value.path)}")
            self.setup.append(f"{self.views[key]} = {value.path.replace('{}', word)}")
        return self.views[key]

    def loop(self, instructions: Sequence[Instruction], loop: Loop) -> None:
        """Append a loop over blocks of rows: the parts of the arrays are cut once, before the first step."""
        cut: dict[str, str] = {}
        lines = []
        for each in instructions:
            reads = []
            for value, is_cut in zip(each.reads, each.rows, strict=True):
                word = self.operand(value)
                reads.append(self.part(cut, word, value.storage) if is_cut and value.storage else word)
            out = self.name(each.out)
            if each.adding:
                self.body.append(f"{out}.fill(0)")
            text = each.adding or each.text
            is_cut = not each.adding and ("{out}" in text or each in self.layout.copied)
            own = self.part(cut, out, each.out) if is_cut else out
            lines += self.written(each, text, reads, own)
        word = self.new("blocks")
        parts = ", ".join(cut.values())
        spans = f"for begin in range(0, {loop.count}, {loop.rows}) for end in [min(begin + {loop.rows}, {loop.count})]"
        self.setup.append(f"{word} = [({parts},) {spans}]")
        self.body.append(f"for {', '.join(self.part_names[w] for w in cut)}{',' if len(cut) == 1 else ''} in {word}:")
        self.body += [f"    {line}" for line in lines]
        self.part_names.clear()

    def part(self, cut: dict[str, str], word: str, storage: Storage) -> str:
        """Return the name of the rows of an array in a block."""
        if word not in cut:
            cut[word] = (
                f"{word}[:end - begin]" if storage in self.inner and storage not in self.layout.results else f"{word}[begin:end]"
            )
            self.part_names[word] = self.new(f"{word}_rows")
        return self.part_names[word]

    def line(self, each: Instruction) -> None:
        """Append the line of an instruction."""
        reads = [self.operand(v) for v in each.reads]
        self.body += self.written(each, each.text, reads, self.name(each.out))

    def written(self, each: Instruction, text: str, reads: Sequence[str], out: str) -> list[str]:
        """Return the lines of an instruction, its operands and its output as they are called here."""
        copied = [f"copyto({out}, {reads[0]})"] if each in self.layout.copied else []
        comment = [f"# {each.comment}"] if each.comment else []
        flat = self.operand(_flat(each.out)) if "{out_flat}" in text else ""
        return [*copied, *comment, *text.format(*reads, out=out, out_flat=flat).split("; ")]


def _repeated(instructions: Sequence[Instruction], loop: Loop) -> set[Storage]:
    """Return the constants of one number that only the loop reads, block by block: any rows of them are as good as others."""
    cut: set[Storage] = set()
    whole: set[Storage] = set()
    for n, each in enumerate(instructions):
        for value, is_cut in zip(each.reads, each.rows or (False,) * len(each.reads), strict=True):
            if value.storage is not None and value.storage.place == CONSTANT and value.storage.made.startswith(_REPEATED):
                (cut if is_cut and loop.start <= n < loop.stop else whole).add(value.storage)
    return cut - whole


def _flat(storage: Storage) -> Value:
    return Value(storage.shape, storage.holds, storage).flat()


def _suffix(path: str) -> str:
    if path == "{}.T":
        return "T"
    if re.fullmatch(r"\{\}\.reshape\(\d+,\)", path):
        return "flat"
    return "column" if path.endswith("[:, None]") else "view"
