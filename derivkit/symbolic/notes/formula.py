"""The tree of a formula as it was written: places, no meaning.

Whether ``f(z)`` is a call or a product, whether ``x^{(i)}`` names a layer or a sample, and what shape a letter has, is decided
by who knows the document; here stands only what can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

from derivkit.symbolic.parse.syntax import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How a product was written: side by side, ``\cdot``, ``\times``, ``\otimes``, ``\odot``, ``\circ``, ``*``, ``\circledast``.
ProductSign: TypeAlias = Literal["", "cdot", "times", "otimes", "odot", "circ", "ast", "circledast"]


@dataclass(frozen=True, slots=True)
class _Node:
    place: Place = field(compare=False, repr=False, kw_only=True)
    end: Place = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Number(_Node):
    """A literal number, exact."""

    value: Fraction
    text: str


@dataclass(frozen=True, slots=True)
class Symbol(_Node):
    r"""A letter or word: its name, how it was set (``bold``, ``text``, ``cal``, ``bb``, ``op``; empty for plain), its label.

    ``name`` is ASCII: ``\alpha`` is ``alpha``, ``\hat{y}`` is ``y_hat``, ``z'`` is ``z_prime``, ``\ell`` is ``ell``.
    ``label`` is what stands in a raised bracket, a tree of its own: ``w^{(2)}`` and ``a^{[l-1]}``; a raised star or word
    (``y^*``, ``x^{new}``) is a Symbol.
    """

    name: str
    style: str = ""
    label: Formula | None = None


@dataclass(frozen=True, slots=True)
class Indexed(_Node):
    """``base`` with subscripts, in order: ``w_{kj}`` has two, ``x_{b,i+p}`` two, ``x_{max}`` is a Symbol ``x_max``."""

    base: Formula
    subscripts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Application(_Node):
    r"""``function(arguments)`` as written: a call where the function is one, else a product.

    ``brackets`` is false for an argument without any: ``\ln y_k``, ``\exp -x``.
    """

    function: Formula
    arguments: tuple[Formula, ...]
    brackets: bool = True


@dataclass(frozen=True, slots=True)
class Sign(_Node):
    """``-x`` or ``+x``."""

    op: Literal["-", "+"]
    operand: Formula


@dataclass(frozen=True, slots=True)
class Sum(_Node):
    """Terms with their signs, in order: ``a - b + c`` is one."""

    terms: tuple[tuple[Literal["+", "-"], Formula], ...]


@dataclass(frozen=True, slots=True)
class Product(_Node):
    """Factors in order, and how each was joined to the one before (the first has an empty sign)."""

    factors: tuple[tuple[ProductSign, Formula], ...]


@dataclass(frozen=True, slots=True)
class Quotient(_Node):
    r"""``\frac{a}{b}`` or ``a / b``."""

    over: Formula
    under: Formula


@dataclass(frozen=True, slots=True)
class Power(_Node):
    r"""``base^exponent``; of a function's name (``\exp^2(z)``) it is the power of the call.

    ``on_name`` tells ``h^2(x)`` from ``h(x)^2``: both are a power of the Application h(x), but where h is no function the first
    is h^2 times x, the second h times x^2.
    """

    base: Formula
    exponent: Formula
    on_name: bool = False


@dataclass(frozen=True, slots=True)
class Transposed(_Node):
    r"""``A^T``, ``A^\top``, ``{}^t A``."""

    base: Formula


@dataclass(frozen=True, slots=True)
class Big(_Node):
    r"""``\sum``, ``\prod``, ``\max``, ``\min`` or ``\mathbb{E}`` (``expectation``) over letters, as far as bounds are written.

    ``letters`` are what runs; ``lower`` and ``upper`` the bounds of one letter; ``conditions`` what else stands below
    (``l \neq k``, ``j \in S``).  ``\sum^K_{l \neq k}`` has upper K, letter l, and one condition.
    """

    op: Literal["sum", "prod", "max", "min", "expectation"]
    letters: tuple[Symbol, ...]
    lower: Formula | None
    upper: Formula | None
    conditions: tuple[Relation, ...]
    body: Formula


@dataclass(frozen=True, slots=True)
class Derivative(_Node):
    r"""``\frac{\partial of}{\partial by}`` in each of its spellings, of any order: ``by`` has a part for each time.

    ``spelled`` is ``partial``, ``d``, ``delta`` (\delta written for \partial), ``nabla`` (a gradient; without a subscript ``by``
    is empty), ``hessian`` (\nabla^2) or ``prime`` (f'(x): of is the call, ``by`` empty).  ``of`` may be a product.
    """

    of: Formula
    by: tuple[Formula, ...]
    spelled: Literal["partial", "d", "delta", "nabla", "hessian", "prime"]


@dataclass(frozen=True, slots=True)
class Differential(_Node):
    r"""``dx`` or ``\mathrm{d}x`` that stands by itself, outside of a quotient."""

    of: Formula


@dataclass(frozen=True, slots=True)
class Matrix(_Node):
    """``pmatrix`` and its like: rows of entries; ``None`` stands for dots."""

    rows: tuple[tuple[Formula | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Cases(_Node):
    r"""``cases``, or rows behind ``\left\{``: values with their conditions (``None``: otherwise, or none was read)."""

    rows: tuple[tuple[Formula, Formula | None], ...]


@dataclass(frozen=True, slots=True)
class List(_Node):
    r"""``(a, b)``, ``\{a, \dots, z\}``, ``[a, b]``: ``None`` stands for dots."""

    items: tuple[Formula | None, ...]
    brackets: str = "()"


@dataclass(frozen=True, slots=True)
class Bracketed(_Node):
    r"""``|x|``, ``\|x\|_p`` (``norm``, with its order), ``\langle a, b\rangle`` (``inner``), ``floor`` and ``ceil``."""

    kind: Literal["abs", "norm", "inner", "floor", "ceil"]
    items: tuple[Formula, ...]
    order: Formula | None = None


@dataclass(frozen=True, slots=True)
class At(_Node):
    """``x |_{y = 0}``: a value at a point."""

    base: Formula
    point: tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class Indicator(_Node):
    r"""``\mathbb{1}[i = j]``, ``1_{i=j}``, ``[i = j]``, ``(x > 0 ?)``: one where the condition holds, else zero."""

    condition: Formula


@dataclass(frozen=True, slots=True)
class Struck(_Node):
    r"""``\cancel{x}^0``: what its author struck out, and the number that stands in its place."""

    base: Formula
    value: Number


@dataclass(frozen=True, slots=True)
class Relation(_Node):
    r"""``left op right`` for ``= != < <= > >= in approx`` and ``:=`` (also ``\triangleq``).

    ``op`` is one of ``= := == <- != < <= > >= in sub approx propto sim -> => &`` (``==`` is \equiv, ``&`` joins conditions).
    """

    op: str
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Words(_Node):
    r"""Prose inside a formula, ``\text{if }``, where it is no name."""

    text: str


Formula: TypeAlias = (
    Number | Symbol | Indexed | Application | Sign | Sum | Product | Quotient | Power | Transposed | Big | Derivative
    | Differential | Matrix | Cases | List | Bracketed | At | Indicator | Struck | Relation | Words
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chain:
    r"""``a = b = c``: terms and the signs between them (one less).

    ``first`` is ``None`` where the left side is missing: the row or block goes on from the one before (``&= b``).  ``where`` is
    prose or a condition that stands behind on the same row (``\text{if } k = j``).
    """

    first: Formula | None
    links: tuple[tuple[str, Place, Formula], ...]
    where: tuple[Formula, ...] = ()


def walk(formula: object) -> Iterator[object]:
    """Yield a formula and all that it is made of, outermost first."""
    waiting = [formula]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting += reversed(node)
        elif is_dataclass(node) and not isinstance(node, type):
            yield node
            waiting += [getattr(node, f.name) for f in reversed(fields(node)) if f.name not in ("place", "end")]
