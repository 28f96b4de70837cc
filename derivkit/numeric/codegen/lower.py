"""From planned arrays to instructions: one table of rules, and a fallback that always works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from derivkit.numeric.codegen import convolution, elementwise, gathers, labels, pooling, products, windows
from derivkit.numeric.codegen.builder import Builder, Rule, plain
from derivkit.numeric.codegen.emit import Assignment
from derivkit.numeric.codegen.instructions import BUFFER, INPUT, KEPT, PLACE, REAL, Instruction, Lowered, Storage, Value
from derivkit.numeric.codegen.lift import Program

RULES: dict[str, Rule] = {
    "name": products.name,
    "number": products.number,
    "ones": products.ones,
    "zeros": products.ones,
    "eye": products.eye,
    "transpose": convolution.transpose,
    "expand": products.expand,
    "broadcast": products.broadcast,
    "reshape": products.reshape,
    "index": gathers.index,
    "window": windows.window,
    "scatter": windows.scatter,
    "tensordot": convolution.dot,
    "window_dot": convolution.dot,
    "diagonal": products.diagonal,
    "matmul": products.matmul,
    "outer": products.outer,
    "reduce": pooling.reduce,
    "add": elementwise.add,
    "mul": elementwise.mul,
    "pow": elementwise.pow_,
    "fn": elementwise.fn,
    "along": pooling.along,
    "gather": labels.gather,
    "onehot": gathers.onehot,
    "diag": gathers.diag,
    "arange": gathers.arange,
    "add_rows": gathers.add_rows,
    "einsum": gathers.einsum,
}


def lower(
    program: Program, planned: Sequence[Assignment], arrays: Mapping[str, NDArray[np.generic]], dtype: np.dtype[np.generic]
) -> Lowered:
    """Return the instructions that compute ``planned``, whose sizes are put in, from the inputs ``arrays``."""
    inputs: dict[str, Storage] = {}
    build = Builder(RULES, [a.node for a in planned], dtype.name)
    for each in program.inputs:
        word, array = str(each.name), arrays[str(each.name)]
        inputs[word] = Storage(word, array.shape, PLACE if each.kind == "label" else REAL, INPUT)
        build.known[each.name] = _input(build, inputs[word], array, dtype)
        if each.kind == "onehot":
            build.onehot.add(each.name)
    for assignment in planned:
        value = build.value(assignment.node)
        build.known[assignment.name] = value
        build.named(value, str(assignment.name), assignment.comment)
    results = {word: _kept(build, build.known[name], word) for word, name in program.gradients.items()}
    value = build.known[program.value]
    if value.shape:
        storage = _kept(build, value, "value", taken=set(results.values()))
        value = Value(value.shape, REAL, storage)
    return Lowered(sooner(build.instructions), value, results, inputs, build.helpers, dict(build.recognised))


def _input(build: Builder, storage: Storage, array: NDArray[np.generic], dtype: np.dtype[np.generic]) -> Value:
    """Return an input as it is read: as it lies there, or copied on each call to the type that is computed in."""
    value = Value(storage.shape, storage.holds, storage, whole=array.flags.c_contiguous)
    if array.dtype == (np.intp if storage.holds == PLACE else dtype):
        return value
    made = build.emit("copyto({out}, {0}, 'unsafe')", (value,), storage.shape, storage.holds, hint=storage.hint)
    if not storage.shape:
        build.instructions[-1].text = "{out} = dtype.type({0})" if storage.holds == REAL else "{out} = int({0})"
    return made


def _kept(build: Builder, value: Value, word: str, taken: set[Storage] | None = None) -> Storage:
    """Return the storage of a result that is handed out: its own, or a copy of what is read elsewhere under another name."""
    own = value.storage
    whole = own is not None and own.place == BUFFER and value.path == "{}" and own.shape == value.shape and value.holds == REAL
    if whole and own is not None and own not in (taken or ()):
        own.place = KEPT
        return own
    storage = Storage(word, value.shape, REAL, KEPT)
    text = "{out}[...] = {0}" if not value.is_number else "{out}[...] = " + plain(value.number)
    build.emit(text, () if value.is_number else (value,), value.shape)
    build.instructions[-1].out = storage
    return storage


def sooner(instructions: Sequence[Instruction]) -> list[Instruction]:
    """Return the instructions, those that read much and write little moved to where they can first be done."""
    place = {each.out: n for n, each in enumerate(instructions)}
    slots: list[list[Instruction]] = [[] for _ in instructions]
    for n, each in enumerate(instructions):
        if each.early:
            place[each.out] = max((place[r.storage] for r in each.reads if r.storage in place), default=0)
        slots[place[each.out] if each.early else n].append(each)
    return [each for slot in slots for each in slot]
