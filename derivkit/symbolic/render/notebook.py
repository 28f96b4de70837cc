"""What a notebook shows of a derivation: it takes the richest form that it can set."""

from __future__ import annotations

from collections.abc import Callable, Collection

from derivkit.symbolic.render.html import html_fragment
from derivkit.symbolic.render.latex import to_latex
from derivkit.symbolic.render.markdown import to_markdown
from derivkit.symbolic.render.text import to_text
from derivkit.symbolic.steps import Derivation

_FORMS: dict[str, Callable[[Derivation], str]] = {
    "text/plain": to_text,
    "text/html": html_fragment,
    "text/latex": to_latex,
    "text/markdown": to_markdown,
}


def mime_bundle(derivation: Derivation, include: Collection[str] | None, exclude: Collection[str] | None) -> dict[str, str]:
    """Return a derivation in each form, of those that are asked for; see IPython's ``_repr_mimebundle_``.

    >>> from derivkit.symbolic.derive import derive
    >>> sorted(mime_bundle(derive("E = x * x", "x", {"x": ""}, check=False), None, ["text/plain"]))
    ['text/html', 'text/latex', 'text/markdown']
    """
    wanted = [kind for kind in _FORMS if (not include or kind in include) and (not exclude or kind not in exclude)]
    return {kind: _FORMS[kind](derivation) for kind in wanted}
