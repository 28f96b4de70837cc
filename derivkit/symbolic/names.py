"""The structured names of nodes: what a name is of, not how it is spelt."""

from __future__ import annotations

from dataclasses import dataclass, field

_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class Name:
    """The structured name of a node.

    ``kind`` is ``user`` (the author's word), ``anon`` (made for a step that needs one), ``adjoint`` (∂``output``/∂``of``),
    ``cotangent`` or ``tangent`` (of ``of``; a ``label`` tells those of a second pass apart) or ``local`` (``of`` differentiated
    with respect to ``output``).  An anonymous
    name that the formula of an operation gives (the ``n`` of a layer norm) is ``of`` that operation: results keep it.
    """

    kind: str
    label: str
    of: Name | None = None
    output: Name | None = None
    _hash: int = field(init=False, repr=False, compare=False)
    _text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash and spell once: names are looked up far more often than they are made."""
        _set(self, "_hash", hash((self.kind, self.label, self.of, self.output)))
        _set(self, "_text", self._spelling())

    def __hash__(self) -> int:
        """Return the hash made before."""
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Compare the fields, but for names whose hashes tell them apart."""
        if self is other or not isinstance(other, Name) or self._hash != other._hash:
            return self is other
        return (self.kind, self.label, self.of, self.output) == (other.kind, other.label, other.of, other.output)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the hash, which another process makes anew."""
        return (Name, (self.kind, self.label, self.of, self.output))

    @property
    def pushed(self) -> Name | None:
        """The adjoint of which this is the tangent, as a product with a Hessian is; ``None`` for any other name."""
        return self.of if self.kind == "tangent" and self.of is not None and self.of.kind == "adjoint" else None

    @property
    def is_derivative(self) -> bool:
        """Say whether mathematics writes the name as a quotient of differentials."""
        return self.kind in {"adjoint", "local"} or self.pushed is not None

    @property
    def told(self) -> bool:
        """Say whether results are written with the name: the author's own, and those of formulas."""
        return self.kind == "user" or (self.kind == "anon" and not self.opened)

    @property
    def opened(self) -> bool:
        """Whether results write out what it stands for: nobody has given it."""
        return self.kind == "anon" and self.of is None

    def __str__(self) -> str:
        """Return the program spelling: ``h``, ``dE_dh``."""
        return self._text

    def _spelling(self) -> str:
        if self.kind == "adjoint":
            return _differentials(self)
        if self.kind == "local":
            return f"d{self.of}_d{self.output}"
        if self.kind in {"tangent", "cotangent"}:
            return f"{self.of}_{'dot' if self.kind == 'tangent' else 'bar'}{self.label}"
        return self.label


def _differentials(name: Name) -> str:
    """Return ``dE_dW1``, of a second derivative ``d2E_dW1_dW2``."""
    below: list[str] = []
    top: Name = name
    while top.kind == "adjoint" and top.of is not None and top.output is not None:
        below.insert(0, f"_d{top.of}")
        top = top.output
    return f"d{len(below) if len(below) > 1 else ''}{top}{''.join(below)}"


def user(label: str) -> Name:
    """Return the name of a node that the author named."""
    return Name("user", label)
