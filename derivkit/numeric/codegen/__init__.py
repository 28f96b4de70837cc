"""From a derivation to a NumPy module: lift over the batch, stabilise, plan, share, emit."""

from __future__ import annotations

from collections.abc import Iterable

from derivkit.numeric.codegen.emit import Assignment, Module, emit, needed
from derivkit.numeric.codegen.lift import REDUCED, Program, lift, program_of, scores_of
from derivkit.numeric.codegen.stable import stabilise
from derivkit.symbolic.arrays import plan
from derivkit.symbolic.arrays.running import for_running
from derivkit.symbolic.expr import Name
from derivkit.symbolic.graph import Definition
from derivkit.symbolic.render.notation import Notation

__all__ = ["REDUCED", "Module", "Program", "generate", "lift", "program_of", "scores_of"]


def generate(program: Program, batch: Iterable[str] = (), reduce: str | None = None) -> tuple[Program, Module]:
    """Return the lifted program and its module.  This is the pipeline: read it from top to bottom."""
    lifted = lift(program, batch, reduce)
    stable = stabilise(lifted)
    planned = choose_contractions(stable)
    return lifted, emit(lifted, planned)  # emit shares common terms, by value numbers


def choose_contractions(program: Program) -> list[Assignment]:
    """Return each definition that is needed as a planned array, with its formula."""
    shapes = program.shapes()
    result = []
    for place in needed(program):
        d = program.definitions[place]
        result.append(Assignment(d.name, for_running(plan(d.rhs, d.indices, shapes)), comment(program, d)))
    return result


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
