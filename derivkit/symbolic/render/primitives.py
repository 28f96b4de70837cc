"""Printing the primitives on whole axes: ``softmax(z)_k`` on the page, ``softmax(z)[k]`` in a program."""

from __future__ import annotations

from derivkit.symbolic.expr import Mul, Num, Prim, Ref
from derivkit.symbolic.ops_linear import MATRICES
from derivkit.symbolic.render import inverses
from derivkit.symbolic.render.pieces import Piece, Shapes, Writer, named
from derivkit.symbolic.render.styles import PROGRAM

_NONE: Shapes = {}


def primitive(w: Writer, node: Prim) -> Piece:
    """Return a primitive read at its subscripts."""
    at = tuple(w.subscript(s) for s in node.at)
    argument = node.args[0]
    if w.style is PROGRAM:
        return _primitive_program(w, node)
    matrix = inverses.entry(w, node)
    if matrix is not None:
        return matrix
    plain = _plain_argument(node)
    if plain is not None:
        batch = tuple("·" if n in plain else w.subscript(s) for n, s in enumerate(argument.subs))  # type: ignore[attr-defined]
        while batch and batch[-1] == "·":
            batch = batch[:-1]
        shown = named(w.style, w.ranks, argument.name, tuple(w.style.dot.strip() if b == "·" else b for b in batch))  # type: ignore[attr-defined]
        text = w.style.call(node.op, (shown,))
    else:
        text = w.style.over(w.style.call(node.op, (w.text(argument),)), ",".join(w.letters_of(node.bound)))
    return Piece(w.style.read(text, at) if at else text)


def _plain_argument(node: Prim, shapes: Shapes = _NONE) -> tuple[int, ...] | None:
    """Return the axes of the argument that are bound, when it is an array read barely at each of them once."""
    argument = node.args[0]
    if not isinstance(argument, Ref):
        return None
    places = tuple(n for n, s in enumerate(argument.subs) if s.bare is not None and s.bare in node.bound)
    bound = tuple(argument.subs[n].bare for n in places)
    shape = shapes.get(argument.name)
    sizes = [i.size for i in node.bound]
    if any(i.part for i in node.bound) or (shape is not None and [shape[n] for n in places] != sizes[: len(places)]):
        return None  # of a slice, not of the whole axis
    inside = any(i in node.bound for n, s in enumerate(argument.subs) if n not in places for i in s.free)
    return places if bound == node.bound and not inside else None


def _primitive_program(w: Writer, node: Prim) -> Piece:
    """Return program text: an operation over axes of an array, or over indices, ``max[n](x[n]**2)``."""
    argument = node.args[0]
    matrix = inverses.program(w, node)
    if matrix is not None:
        return Piece(matrix)
    positive = _negated(node, w.shapes)
    if positive is not None:
        return _of_negated(w, positive)
    plain = _plain_argument(node, w.shapes)
    at = w.reads(node.at, [b.size for b in node.bound] if node.at else [])
    if plain is None or (node.op in MATRICES and not _default_axis(node.op, plain, len(argument.subs))):  # type: ignore[attr-defined]
        over = f"{node.op}[{','.join(w.letters_of(node.bound))}]({w.text(argument)})"
        return Piece(over + (f"[{','.join(at)}]" if at else ""))
    assert isinstance(argument, Ref)  # noqa: S101 - a plain argument is a reference
    rank = len(argument.subs)
    axis = "" if _default_axis(node.op, plain, rank) else f", axis={plain[0] if len(plain) == 1 else plain}"
    places = [n for n in range(rank) if n not in plain]
    shape = w.shapes.get(argument.name)
    written = w.reads(argument.subs, shape) if shape is not None else tuple(map(w.subscript, argument.subs))
    batch = [written[n] for n in places]
    name = str(argument.name)
    if node.op == "first_max" and len(plain) == 1:
        size = w.style.size(node.bound[0].size)
        along = "" if rank == 1 else f", axis={plain[0]}"  # argmax is over everything unless it is told an axis
        inner = f"argmax({name}{along})" + (f"[{','.join(batch)}]" if batch else "")
        return Piece(f"onehot({inner}, {size})[{at[0]}]")
    subs = batch
    if at:
        reads = dict(zip(plain, at, strict=True))
        subs = [reads.get(n) or written[n] for n in range(rank)]
    return Piece(f"{node.op}({name}{axis})" + (f"[{','.join(subs)}]" if subs else ""))


def _negated(node: Prim, shapes: Shapes) -> Prim | None:
    """Return the primitive of x when this is that of −x and x is a plain array, as the derivative of ``min`` has it."""
    argument = node.args[0]
    if not isinstance(argument, Mul) or len(argument.args) != 2 or argument.args[0] != Num(-1):
        return None
    positive = Prim(node.op, node.bound, (argument.args[1],), node.at)
    return positive if _plain_argument(positive, shapes) is not None else None


def _of_negated(w: Writer, positive: Prim) -> Piece:
    text = _primitive_program(w, positive).text
    name = str(positive.args[0].name)  # type: ignore[attr-defined]
    return Piece(text.replace(f"({name}", f"(-{name}", 1))


def _default_axis(op: str, plain: tuple[int, ...], rank: int) -> bool:
    if op in {"softmax", "log_softmax", "first_max"}:
        return plain == (rank - 1,)
    if op in MATRICES:
        return plain == (rank - 2, rank - 1)
    return plain == tuple(range(rank))
