"""A derivation as JSON, of the schema ``derivkit.derivation/1``."""

from __future__ import annotations

import json
from typing import Any

from derivkit.layout import read_layout
from derivkit.symbolic.graph import Input
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.lines import Block
from derivkit.symbolic.render.matrix import matrix_latex, matrix_program, matrix_text
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.page import LemmaPart, Outcome, page, ranks
from derivkit.symbolic.render.program import result_program
from derivkit.symbolic.steps import Derivation, Lemma, Step

SCHEMA = "derivkit.derivation/1"


def to_json(derivation: Derivation, *, layout: str | None = None, indent: int | None = 1) -> str:
    """Return the derivation as JSON text (ASCII only), its keys always in this order.

    - ``schema``: ``"derivkit.derivation/1"``; ``kind``: ``"gradient"``, ``"jacobian"``, ...; ``layout`` and its ``meaning``;
      ``wrt``: names
    - ``inputs``: ``{name, kind, shape, range}`` with sizes as text; ``definitions``: the program's lines as written;
      ``header``, ``lets``: the definitions and the names of ours as printed
    - ``assumed``: what the reader assumed of undeclared names; ``facts``: the declared facts that were used, as printed
    - ``steps``: ``{number, left, rule, cites, lemma, lines: [{right, reason, rule, facts}]}``, numbered from 1, in Unicode
      text and index notation; ``lemma`` is the number of a lemma or ``null``
    - ``lemmas``: ``{number, title, op, definitions, steps, cases}``
    - ``results``: ``{wrt, name, left, shape, axes, entry, text, reason, latex, program, matrix, shared}``: ``text``, ``latex``
      and ``program`` are entry by entry, ``reason`` says how that follows from its step (``""`` when it is the step's last
      line); ``matrix`` is ``{text, latex, program}`` with ``null`` where there is no such form; ``shape``, ``axes``,
      ``program`` and ``matrix`` are in the layout, ``entry`` says which entry stands where (``null``: as it is read)
    - ``conventions``: what was taken for a derivative at a kink
    - ``checked``: what derivkit checked before it printed, or ``""``

    >>> from derivkit.symbolic.derive import derive
    >>> made = json.loads(to_json(derive("E = sum(x**2)", "x", {"x": "D"}, check=False)))
    >>> made["schema"], made["results"][0]["matrix"]["program"]
    ('derivkit.derivation/1', '2 * x')
    """
    made = page(derivation, "text", layout, "full", True, "delta")
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": derivation.kind,
        "layout": made.layout,
        "meaning": made.meaning,
        "wrt": [str(n) for n in derivation.wrt],
        "inputs": [_input(i) for i in made.inputs],
        "definitions": [d.text or f"{d.name}" for d in derivation.primal.definitions],
        "header": list(made.definitions),
        "lets": list(made.lets),
        "assumed": list(made.assumed),
        "facts": list(made.facts),
        "steps": [_block(b, s) for b, s in zip(made.blocks, derivation.steps, strict=True)],
        "lemmas": [_lemma(part, one) for part, one in zip(made.lemmas, derivation.lemmas, strict=True)],
        "results": [_outcome(derivation, o, made.layout) for o in made.outcomes],
        "conventions": list(made.conventions),
        "checked": made.checked,
    }
    return json.dumps(data, indent=indent)


def _input(declared: Input) -> dict[str, Any]:
    return {
        "name": str(declared.name),
        "kind": declared.kind,
        "shape": [str(s) for s in declared.shape],
        "range": None if declared.range is None else str(declared.range),
    }


def _block(block: Block, step: Step) -> dict[str, Any]:
    lines = [
        {"right": row.right, "reason": row.reason, "rule": line.rule, "facts": [f.partition(": {")[0] for f in line.facts]}
        for row, line in zip(block.rows, step.substeps or (step,), strict=True)
    ]
    told = {"rule": step.rule, "cites": list(step.cites), "lemma": step.lemma or None}
    return {"number": block.number, "left": block.left, **told, "lines": lines}


def _lemma(part: LemmaPart, lemma: Lemma) -> dict[str, Any]:
    cases = [{"value": value, "condition": condition} for value, condition in part.by_cases]
    steps = [_block(b, s) for b, s in zip(part.blocks, lemma.steps, strict=True)]
    named = {"number": part.number, "title": part.title, "op": lemma.op}
    return {**named, "definitions": list(part.definitions), "steps": steps, "cases": cases}


def _outcome(derivation: Derivation, outcome: Outcome, layout: str) -> dict[str, Any]:
    result = outcome.result
    latex = Notation("latex", Letters.of(derivation.graph), ranks(derivation.graph))(result.expr)
    chosen = read_layout(layout)
    matrix = {"text": matrix_text, "latex": matrix_latex, "program": matrix_program}
    return {
        "wrt": str(result.wrt),
        "name": str(result.name),
        "left": outcome.left,
        "shape": [str(s) for s in outcome.shape],
        "axes": list(outcome.axes),
        "entry": None if outcome.entry is None else f"{outcome.entry[1]} at [{outcome.entry[0]}]",
        "text": outcome.row.right,
        "reason": outcome.row.reason,
        "latex": latex,
        "program": result_program(result, "index", layout),
        "matrix": {style: make(result, chosen) for style, make in matrix.items()},
        "shared": list(outcome.shared),
    }
