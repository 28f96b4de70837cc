"""A derivation as data: steps, lemmas, results.  Nothing here computes; the methods are forwards to the verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from derivkit.errors import DerivkitError
from derivkit.layout import axis_order, read_layout
from derivkit.symbolic.expr import Expr, Name
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Index, Size

if TYPE_CHECKING:
    from derivkit.checking.verify.claim import Report
    from derivkit.numeric.trace import Trace


@dataclass(frozen=True, slots=True)
class Step:
    """One step: by ``rule``, ``before`` equals ``after``, for the ``reason`` that a reader is given.

    A numbered step states a derivative: ``before`` is its reference (∂E/∂z_l) and the ``substeps`` lead there line by line,
    each reached from the one before; all have the same ``before``.  ``cites`` are the numbers of the steps that it uses,
    ``lemma`` that of its lemma.  ``{0}``, ``{1}`` in a reason stand for the expressions of ``about``.
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
    about: tuple[Expr, ...] = ()


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

    ``name`` is the adjoint's; ``shared`` are the definitions that the expression uses beyond the program's own, ``facts``
    the declared ones that it used beyond those of the steps.
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
    facts: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[Size, ...]:
        """The sizes of the result's axes, in the layout that was asked for."""
        return self.shape_in(self.layout)

    def shape_in(self, layout: str) -> tuple[Size, ...]:
        """Return the sizes of the result's axes in ``layout``."""
        natural = self.output_shape + self.input_shape
        order = axis_order(read_layout(layout), len(self.output_shape), len(self.input_shape))
        return tuple(natural[n] for n in order)

    def program(self, notation: str = "matrix", layout: str | None = None) -> str:
        """Return the result as one expression of the program language; DK032 where there is no matrix form."""
        from derivkit.symbolic.render.program import result_program

        return result_program(self, notation, layout or self.layout)

    def evaluate(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        layout: str | None = None,
        sizes: Mapping[str, int] | None = None,
        **named: Any,
    ) -> NDArray[Any]:
        """Return the derivative at given arrays (a mapping first, or keywords), its axes in ``layout``."""
        from derivkit.symbolic.derive.value import evaluate_result

        return evaluate_result(self, values, layout or self.layout, sizes, named)

    def __str__(self) -> str:
        """Return the result as program text."""
        from derivkit.symbolic.render.program import result_line

        return result_line(self)


@dataclass(frozen=True, repr=False)
class Derivation:
    """Everything that ``derive`` found: see the fields; printing and evaluating are forwards.

    ``primal`` is the graph of the author's program, ``graph`` the same with the adjoint definitions behind it.
    ``lets`` are the definitions that a reader is told of before the first step; ``checked`` says what was checked,
    ``conventions`` what was taken for a derivative at a kink, ``directions`` the direction of each name that moves.
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
    conventions: tuple[str, ...] = ()
    directions: Mapping[Name, Name] = field(default_factory=dict)

    @property
    def result(self) -> Result:
        """The result, when there is one; DK010 when there are several: ``results[name]``."""
        if len(self.results) != 1:
            names = ", ".join(self.results)
            raise DerivkitError(f"there are several results ({names})", code="DK010", hint="use results[name]")
        return next(iter(self.results.values()))

    def text(self, **options: Any) -> str:
        """Return the derivation as plain text; see ``render.text.to_text`` for the options."""
        from derivkit.symbolic.render.text import to_text

        return to_text(self, **options)

    def latex(self, **options: Any) -> str:
        """Return a LaTeX fragment (amsmath); see ``render.latex.to_latex`` for the options."""
        from derivkit.symbolic.render.latex import to_latex

        return to_latex(self, **options)

    def markdown(self, **options: Any) -> str:
        """Return Markdown with formulas between dollars; see ``render.markdown.to_markdown`` for the options."""
        from derivkit.symbolic.render.markdown import to_markdown

        return to_markdown(self, **options)

    def html(self, **options: Any) -> str:
        """Return one self-contained HTML page with MathML; see ``render.html.to_html`` for the options."""
        from derivkit.symbolic.render.html import to_html

        return to_html(self, **options)

    def to_json(self, **options: Any) -> str:
        """Return JSON of the schema ``derivkit.derivation/1``."""
        from derivkit.symbolic.render.json import to_json

        return to_json(self, **options)

    def program(self, **options: Any) -> str:
        """Return the results in the program language: the program's lines, then a line for each derivative."""
        from derivkit.symbolic.render.program import to_program

        return to_program(self, **options)

    def sympy(self, wrt: str | None = None, **options: Any) -> Any:
        """Return an entry of a result as a SymPy expression; see ``render.sympy.to_sympy`` for the options."""
        from derivkit.symbolic.render.sympy import to_sympy

        return to_sympy(self, wrt, **options)

    def evaluate(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        layout: str | None = None,
        sizes: Mapping[str, int] | None = None,
        **named: Any,
    ) -> NDArray[Any]:
        """Return the derivative at given arrays (a mapping first, or keywords), its axes in ``layout``."""
        from derivkit.symbolic.derive.value import evaluate_result

        return evaluate_result(self.result, values, layout or self.layout, sizes, named)

    def verify(self, claim: str, wrt: str | None = None, **options: Any) -> Report:
        """Return whether a claim, as program text, is this derivative; see ``derivkit.checking.verify.claim.verify_claim``."""
        from derivkit.checking.verify.claim import verify_claim

        return verify_claim(self, claim, wrt, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows: HTML, LaTeX, Markdown or plain text."""
        from derivkit.symbolic.render.notebook import mime_bundle

        return mime_bundle(self, include, exclude)

    def at(self, values: Mapping[str, Any] | None = None, /, *, sizes: Mapping[str, int] | None = None, **named: Any) -> Trace:
        """Return the table of every node's value and derivatives at given arrays; see ``derivkit.numeric.trace``."""
        from derivkit.numeric.trace import trace

        return trace(self, values, sizes, named)

    def __str__(self) -> str:
        """Return the derivation as plain text."""
        return self.text()

    def __repr__(self) -> str:
        """Return a short form."""
        wrt = ", ".join(map(str, self.wrt))
        return f"<Derivation: {self.kind} of {self.primal.output} with respect to {wrt}, {len(self.steps)} steps>"
