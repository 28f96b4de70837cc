"""A derivation as JSON, of the schema ``derivkit.derivation/1``."""

from __future__ import annotations

import json
from typing import Any

from derivkit.layout import read_layout
from derivkit.symbolic.graph import Input
from derivkit.symbolic.render.letters import Letters
from derivkit.symbolic.render.matrix import matrix_latex, matrix_program, matrix_text
from derivkit.symbolic.render.notation import Notation
from derivkit.symbolic.render.page import Block, LemmaPart, Outcome, page, ranks
from derivkit.symbolic.steps import Derivation

SCHEMA = "derivkit.derivation/1"


def to_json(derivation: Derivation, *, layout: str | None = None, indent: int | None = 1) -> str:
    """Return the derivation as JSON text (ASCII only), its keys always in this order.

    - ``schema``: ``"derivkit.derivation/1"``; ``kind``: ``"gradient"``, ``"jacobian"``, ...; ``layout``; ``wrt``: names
    - ``inputs``: ``{name, kind, shape, range}`` with sizes as text; ``definitions``: the program's lines
    - ``assumed``: what the reader assumed of undeclared names; ``facts``: the declared facts that were used
    - ``steps``: ``{number, left, lines: [{right, reason}]}``, numbered from 1, in Unicode text and index notation
    - ``lemmas``: ``{number, title, definitions, steps, cases}``
    - ``results``: ``{wrt, name, shape, axes, text, latex, program, matrix}``: ``text``, ``latex`` and ``program`` are entry by
      entry, ``matrix`` is ``{text, latex, program}`` with ``null`` where there is no such form; ``shape`` is in the layout
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
        "wrt": [str(n) for n in derivation.wrt],
        "inputs": [_input(i) for i in made.inputs],
        "definitions": [d.text or f"{d.name}" for d in derivation.primal.definitions],
        "assumed": list(made.assumed),
        "facts": [fact.partition(": {")[0] for fact in derivation.facts],
        "steps": [_block(b) for b in made.blocks],
        "lemmas": [_lemma(part) for part in made.lemmas],
        "results": [_outcome(derivation, o, made.layout) for o in made.outcomes],
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


def _block(block: Block) -> dict[str, Any]:
    lines = [{"right": row.right, "reason": row.reason} for row in block.rows]
    return {"number": block.number, "left": block.left, "lines": lines}


def _lemma(part: LemmaPart) -> dict[str, Any]:
    cases = [{"value": value, "condition": condition} for value, condition in part.by_cases]
    steps = [_block(b) for b in part.blocks]
    return {"number": part.number, "title": part.title, "definitions": list(part.definitions), "steps": steps, "cases": cases}


def _outcome(derivation: Derivation, outcome: Outcome, layout: str) -> dict[str, Any]:
    result = outcome.result
    forms = {s: Notation(s, Letters.of(derivation.graph), ranks(derivation.graph))(result.expr) for s in ("latex", "program")}
    chosen = read_layout(layout)
    matrix = {"text": matrix_text, "latex": matrix_latex, "program": matrix_program}
    return {
        "wrt": str(result.wrt),
        "name": str(result.name),
        "shape": [str(s) for s in outcome.shape],
        "axes": list(outcome.axes),
        "text": outcome.row.right,
        **forms,
        "matrix": {style: make(result, chosen) for style, make in matrix.items()},
    }
