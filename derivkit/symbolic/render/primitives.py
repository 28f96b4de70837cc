"""Printing the primitives on whole axes: ``softmax(z)_k`` on the page, ``softmax(z)[k]`` in a program."""

from __future__ import annotations

from derivkit.errors import DerivkitError
from derivkit.symbolic.expr import Mul, Num, Prim, Ref, substitute
from derivkit.symbolic.render.pieces import ATOM, QUOTIENT, SUM, Piece, Writer, named
from derivkit.symbolic.render.styles import PROGRAM, Style


def primitive(w: Writer, node: Prim) -> Piece:
    """Return a primitive read at its subscripts."""
    at = tuple(w.subscript(s) for s in node.at)
    argument = node.args[0]
    plain = _plain_argument(node)
    if w.style is PROGRAM:
        return _primitive_program(w, node, at, plain)
    if plain is not None:
        batch = tuple("·" if n in plain else w.subscript(s) for n, s in enumerate(argument.subs))  # type: ignore[attr-defined]
        while batch and batch[-1] == "·":
            batch = batch[:-1]
        shown = named(w.style, w.ranks, argument.name, tuple(_dot(w.style, b) for b in batch))  # type: ignore[attr-defined]
        text = w.style.call(node.op, (shown,))
    else:
        letters = ",".join(w.letters_of(node.bound))
        under = f"_{letters}" if len(letters) == 1 and w.style.name == "text" else f"_{{{letters}}}"
        head, bracket, tail = w.style.call(node.op, (w.text(argument),)).partition(r"\left(" if w.style.name == "latex" else "(")
        if not bracket:
            head, bracket, tail = head.partition("(")
        text = head + under + bracket + tail
    if at:
        joined = "".join(at) if all(len(s) == 1 for s in at) else ",".join(at)
        text += f"_{joined}" if w.style.name == "text" and joined.isalnum() else f"_{{{joined}}}"
    return Piece(text)


def _dot(style: Style, letter: str) -> str:
    return r"\cdot" if letter == "·" and style.name == "latex" else letter


def _plain_argument(node: Prim) -> tuple[int, ...] | None:
    """Return the axes of the argument that are bound, when it is an array read barely at each of them once."""
    argument = node.args[0]
    if not isinstance(argument, Ref):
        return None
    places = tuple(n for n, s in enumerate(argument.subs) if s.bare is not None and s.bare in node.bound)
    bound = tuple(argument.subs[n].bare for n in places)
    if any(i.part for i in node.bound):
        return None  # of a slice, not of the whole axis
    inside = any(i in node.bound for n, s in enumerate(argument.subs) if n not in places for i in s.free)
    return places if bound == node.bound and not inside else None


def _primitive_program(w: Writer, node: Prim, at: tuple[str, ...], plain: tuple[int, ...] | None) -> Piece:
    """Return program text; the operations that only derivatives make are spelt out in those of the language."""
    argument = node.args[0]
    letters = w.letters_of(node.bound)
    if node.op == "prod_except":
        itself = " * ".join(f"delta[{a},{b}]" for a, b in zip(at, letters, strict=True))
        return Piece(f"prod[{','.join(letters)}](where({itself} == 1, 1, {w.text(argument)}))")
    positive = _negated(node)
    if positive is not None:
        return _of_negated(w, positive, at)
    if plain is None:
        return _spelt_out(w, node, at, letters)
    assert isinstance(argument, Ref)  # noqa: S101 - a plain argument is a reference
    rank = len(argument.subs)
    axis = "" if _default_axis(node.op, plain, rank) else f", axis={plain[0] if len(plain) == 1 else plain}"
    batch = [w.subscript(s) for n, s in enumerate(argument.subs) if n not in plain]
    name = str(argument.name)
    if node.op == "first_max" and len(plain) == 1:
        size = w.style.size(node.bound[0].size)
        along = "" if rank == 1 else f", axis={plain[0]}"  # argmax is over everything unless it is told an axis
        inner = f"argmax({name}{along})" + (f"[{','.join(batch)}]" if batch else "")
        return Piece(f"onehot({inner}, {size})[{at[0]}]")
    subs = batch
    if at:
        reads = dict(zip(plain, at, strict=True))
        subs = [reads.get(n) or w.subscript(s) for n, s in enumerate(argument.subs)]
    return Piece(f"{node.op}({name}{axis})" + (f"[{','.join(subs)}]" if subs else ""))


def _negated(node: Prim) -> Prim | None:
    """Return the primitive of x when this is that of −x and x is a plain array, as the derivative of ``min`` has it."""
    argument = node.args[0]
    if not isinstance(argument, Mul) or len(argument.args) != 2 or argument.args[0] != Num(-1):
        return None
    positive = Prim(node.op, node.bound, (argument.args[1],), node.at)
    return positive if _plain_argument(positive) is not None else None


def _of_negated(w: Writer, positive: Prim, at: tuple[str, ...]) -> Piece:
    text = _primitive_program(w, positive, at, _plain_argument(positive)).text
    name = str(positive.args[0].name)  # type: ignore[attr-defined]
    return Piece(text.replace(f"({name}", f"(-{name}", 1))


def _default_axis(op: str, plain: tuple[int, ...], rank: int) -> bool:
    if op in {"softmax", "log_softmax", "first_max"}:
        return plain == (rank - 1,)
    return plain == tuple(range(rank))


def _spelt_out(w: Writer, node: Prim, at: tuple[str, ...], letters: tuple[str, ...]) -> Piece:
    """Return program text for a primitive of something that is no plain array: its definition, where it has one."""
    over = f"[{','.join(letters)}]"
    inner = w.text(node.args[0])
    read = substitute(node.args[0], dict(zip(node.bound, node.at, strict=True))) if at else node.args[0]
    here = Writer(w.style, w.letters, w.ranks, w.writers).whole(read)
    texts = {
        "max": f"max{over}({inner})",
        "min": f"min{over}({inner})",
        "prod": f"prod{over}({inner})",
        "logsumexp": f"log(sum{over}(exp({inner})))",
        "norm": f"sqrt(sum{over}(({inner})**2))",
        "softmax": f"exp({here}) / sum{over}(exp({inner}))",
        "log_softmax": f"{here} - log(sum{over}(exp({inner})))",
    }
    if node.op not in texts:
        hint = "give the argument a line of its own"
        raise DerivkitError(f"{node.op} of an expression has no program text", code="DK032", hint=hint)
    return Piece(texts[node.op], {"softmax": QUOTIENT, "log_softmax": SUM}.get(node.op, ATOM))
