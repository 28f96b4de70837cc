"""A derivation as data: steps, lemmas, results.  Nothing here computes; the methods are forwards to the verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivkit.symbolic.expr import Expr, Name
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Index, Size


@dataclass(frozen=True, slots=True)
class Step:
    """One step: by ``rule``, ``before`` equals ``after``, for the ``reason`` that a reader is given.

    A numbered step states a derivative: ``before`` is its reference (∂E/∂z_l) and the ``substeps`` lead there line by line,
    each beginning where the one before ended.  ``cites`` are the numbers of the steps that it uses, ``lemma`` of its lemma.
    """

    rule: str
    before: Expr
    after: Expr
    reason: str
    substeps: tuple[Step, ...] = ()
    number: int = 0
    cites: tuple[int, ...] = ()
    lemma: int = 0
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lemma:
    """The derivative of one operation with its proof: ``definitions`` say what it is, ``steps`` prove ``statement``.

    ``cases`` are (expression, condition) pairs when a δ splits the statement: ``y_k (1 − y_k)`` if ``k = l``.
    """

    number: int
    title: str
    op: str
    definitions: tuple[Definition, ...]
    steps: tuple[Step, ...]
    statement: Step
    cases: tuple[tuple[Expr, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A derivative: ``expr`` over the program's names, entry by entry; ``outputs`` then ``inputs`` are its natural axes.

    ``name`` is the adjoint's; ``shared`` are the definitions that the expression uses beyond the program's own.
    """

    name: Name
    wrt: Name
    expr: Expr
    outputs: tuple[Index | None, ...]
    inputs: tuple[Index | None, ...]
    output_shape: tuple[Size, ...]
    input_shape: tuple[Size, ...]
    graph: Graph
    layout: str = "mixed"
    shared: tuple[Definition, ...] = ()


@dataclass(frozen=True)
class Derivation:
    """Everything that ``derive`` found: see the fields; printing and evaluating are forwards.

    ``program`` is the graph of the author's program, ``graph`` the same with the adjoint definitions behind it.
    ``lets`` are the definitions that a reader is told of before the first step; ``checked`` says what was checked.
    """

    primal: Graph
    graph: Graph
    kind: str
    wrt: tuple[Name, ...]
    steps: tuple[Step, ...]
    lemmas: tuple[Lemma, ...]
    results: Mapping[str, Result]
    facts: tuple[str, ...] = ()
    lets: tuple[Definition, ...] = ()
    checked: str = ""
    layout: str = "mixed"
