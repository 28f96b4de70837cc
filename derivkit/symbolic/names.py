"""The structured names of nodes: what a name is of, not how it is spelt."""

from __future__ import annotations

from threading import Lock
from weakref import WeakValueDictionary

_set = object.__setattr__


class Name:
    """The structured name of a node.

    ``kind`` is ``user`` (the author's word), ``anon`` (made for a step that needs one), ``adjoint`` (∂``output``/∂``of``),
    ``cotangent`` or ``tangent`` (of ``of``; a ``label`` tells those of a second pass apart) or ``local`` (``of`` differentiated
    with respect to ``output``).  An anonymous
    name that the formula of an operation gives (the ``n`` of a layer norm) is ``of`` that operation: results keep it.

    Equal names are one object, so that they are found in tables by identity: a derivation looks names up a million times.
    """

    __slots__ = ("__weakref__", "_text", "kind", "label", "of", "output")
    kind: str
    label: str
    of: Name | None
    output: Name | None
    _text: str

    def __new__(cls, kind: str, label: str, of: Name | None = None, output: Name | None = None) -> Name:
        """Return the one name of these parts, spelled once."""
        parts = (kind, label, of, output)
        known = _made.get(parts)
        if known is not None:
            return known
        made = super().__new__(cls)
        for field, value in zip(("kind", "label", "of", "output"), parts, strict=True):
            _set(made, field, value)
        _set(made, "_text", made._spelling())
        with _lock:  # of two threads one is first
            return _made.setdefault(parts, made)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: names are immutable."""
        raise AttributeError("Name is immutable")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the parts: another process has its own one."""
        return (Name, (self.kind, self.label, self.of, self.output))

    def __repr__(self) -> str:
        """Return the parts."""
        return f"Name({self.kind!r}, {self.label!r}, of={self.of!r}, output={self.output!r})"

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


_made: WeakValueDictionary[tuple[str, str, Name | None, Name | None], Name] = WeakValueDictionary()
_lock = Lock()


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
