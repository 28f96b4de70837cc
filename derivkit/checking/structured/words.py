"""What a reader calls an array of a program: the name in it, or the formula where the author gave it none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from derivkit.symbolic.arrays import NoArrayForm, plan
from derivkit.symbolic.arrays.dialects import program_text
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.graph import Definition, Graph

#: A formula longer than this is not read any more: the author's line is named instead.
LONGEST = 60
_WORD = re.compile(r"\w+")
_TURNED = re.compile(r"(\w+) @ (\w+)\.T")


class Words:
    """The names and formulas of one program, as its author wrote it: samples have no axis in it."""

    def __init__(self, primal: Graph) -> None:
        """Look up the definitions."""
        self._primal = primal
        self._made = {d.name: d for d in primal.definitions}
        self._order = {d.name: n for n, d in enumerate(primal.definitions)}

    def of(self, name: Name) -> str:
        """Return the name of an array, or the formula of one that has none: ``X @ Wk``."""
        d = self._made.get(name)
        if d is None or name.kind != "anon":
            return str(name)
        text = self._as_author(self._written(d))
        return text if text is not None and len(text) <= LONGEST else self._inside(d)

    def slope(self, name: Name) -> str:
        """Return what the slope of the result by an array is written as: ``∂E/∂(X @ Wk)``."""
        text = self.of(name)
        return f"∂{self._primal.output}/∂{text if _WORD.fullmatch(text) else f'({text})'}"

    def _written(self, d: Definition) -> str | None:
        try:
            text = program_text(plan(d.rhs, d.indices, self._primal.shape))
        except NoArrayForm:
            return None
        for inner in (n for n in references(d.rhs) if n.kind == "anon" and n in self._made):
            made = self._written(self._made[inner])
            if text is None or made is None:
                return None
            bare = made if re.fullmatch(r"\w+(\([^()]*\))?", made) or text == str(inner) else f"({made})"
            text = re.sub(rf"\b{re.escape(str(inner))}\b(?!\()", lambda _, bare=bare: bare, text)  # type: ignore[misc]
        return text

    def _as_author(self, text: str | None) -> str | None:
        """Return a product in the order in which the author has it: ``x @ W.T`` may have been planned as ``W @ x.T``."""
        if text is None or (turned := _TURNED.fullmatch(text)) is None:
            return text
        other = f"{turned[2]} @ {turned[1]}.T"
        return other if text not in self._primal.source and other in self._primal.source else text

    def _inside(self, d: Definition) -> str:
        """Return where an array stands whose formula is too long."""
        line = next((e.text for e in self._primal.definitions[self._order[d.name] :] if e.text and e.line == d.line), "")
        what = f"{d.name} of {d.name.of}" if d.name.of is not None else "an array"
        return f"{what} in `{line}`" if line else str(d.name)


def listed(words: Sequence[str], joint: str = "and") -> str:
    """Return words as a list: ``W1, b1 and W2``.

    >>> listed(["W1", "b1", "W2"])
    'W1, b1 and W2'
    """
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
