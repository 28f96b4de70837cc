"""From a derivation to a NumPy module: lift over the batch, stabilise, plan, share, emit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from derivkit.numeric.codegen.emit import Assignment, Module, emit, needed
from derivkit.numeric.codegen.lift import REDUCED, Program, lift, program_of, scores_of
from derivkit.numeric.codegen.stable import stabilise
from derivkit.symbolic.arrays import plan, postorder
from derivkit.symbolic.arrays.linear import with_solves
from derivkit.symbolic.arrays.running import for_running
from derivkit.symbolic.expr import Name
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.render.notation import Notation

__all__ = ["REDUCED", "Assignment", "Module", "Program", "generate", "lift", "planned", "program_of", "scores_of"]


def generate(program: Program, batch: Iterable[str] = (), reduce: str | None = None) -> tuple[Program, Module]:
    """Return the lifted program and its module.  This is the pipeline: read it from top to bottom."""
    lifted = lift(program, batch, reduce)
    arrays = planned(lifted)
    module = emit(lifted, arrays)  # emit shares common terms, by value numbers
    telling = (next((i for i in lifted.unread if any(s.name == size for s in i.shape)), None) for size in module.sizes)
    told = tuple(i for i in dict.fromkeys(telling) if i is not None)
    if told:
        lifted = replace(lifted, inputs=(*lifted.inputs, *told))
        module = emit(lifted, arrays)
    return lifted, module


def planned(lifted: Program) -> list[Assignment]:
    """Return the stable form of a lifted program as arrays."""
    stable = stabilise(lifted)
    return solve_systems(stable, choose_contractions(stable))


def choose_contractions(program: Program) -> list[Assignment]:
    """Return each definition that is needed as a planned array, with its formula."""
    shapes = program.shapes()
    result = []
    for place in needed(program):
        d = program.definitions[place]
        result.append(Assignment(d.name, for_running(plan(d.rhs, d.indices, shapes)), comment(program, d)))
    return result


def solve_systems(program: Program, planned: list[Assignment]) -> list[Assignment]:
    """Return the assignments without the inverses that only multiply: linear systems are solved instead."""
    returned = {program.value, *program.gradients.values()}
    named = {a.name: a.node for a in planned if a.node.op == "inv" and a.name.kind == "anon" and a.name not in returned}
    others = [a for a in planned if a.name not in named]
    solved = [replace(a, node=n) for a, n in zip(others, with_solves([a.node for a in others], named), strict=True)]
    read = {n.params[0] for a in solved for n in postorder(a.node) if n.op == "name"}
    made = {a.name: a for a in solved}
    return [made.get(a.name, a) for a in planned if a.name in made or a.name in read]


def comment(program: Program, d: Definition) -> str:
    """Return the line of the program, or the formula for one sample, that a statement computes."""
    shown = program.shown.get(d.name)
    if shown is None:
        return ""
    if shown.text and shown.name.kind == "user":
        return " ".join(shown.text.split())
    notation = Notation("text")
    left, right = notation.line((shown.ref(), shown.best))
    return f"{left} = {right}" if len(right) < 90 and isinstance(d.name, Name) else ""
