"""Convolution (cross-correlation, as in deep learning) and pooling: reads at affine positions, where out of range is 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from derivkit.symbolic.expr import Expr, Mul, Pow, substitute
from derivkit.symbolic.index import ONE, ZERO, Affine, Index, Size
from derivkit.symbolic.normal import num, size_factor
from derivkit.symbolic.parse import algebra, syntax
from derivkit.symbolic.parse.arguments import Arguments, Row, wrong
from derivkit.symbolic.parse.context import Context, Value, pairs
from derivkit.symbolic.parse.shapes import shown
from derivkit.symbolic.parse.structure import extended, items_of, read_at, read_length
from derivkit.symbolic.parse.syntax import Expression

_WINDOW = ("p", "q")
_OUTPUT = {1: ("i",), 2: ("k", "l")}  # beside i, j of an image: both stand in one line
_CONV_OPTIONS = frozenset({"stride", "padding", "dilation"})
_POOL_OPTIONS = frozenset({"size", "stride"})


@dataclass(frozen=True, slots=True)
class _Slide:
    """How a window slides along one axis: output i reads the positions stride·i + dilation·p − before."""

    window: Size
    stride: Size
    dilation: Size
    before: Size
    after: Size

    @property
    def padded(self) -> bool:
        """Whether it reads beyond the axis."""
        return (self.before, self.after) != (ZERO, ZERO)

    def length(self, size: Size) -> Size:
        """Return how many windows fit on an axis of ``size``."""
        return (size + self.before + self.after - self.dilation * (self.window - 1) - 1) // self.stride + 1

    def position(self, output: Index | None, window: Index | None) -> Affine:
        """Return what the entry ``window`` of the window ``output`` reads."""
        first = Affine.of(0 if output is None else output).scaled(self.stride)
        return first + Affine.of(0 if window is None else window).scaled(self.dilation) - self.before


# -- reading the options -------------------------------------------------------------------------------------------------


def _lengths(context: Context, arguments: Arguments, node: Expression, dims: int, least: int) -> list[Size]:
    """Return a length for each spatial axis: one for all, or a tuple."""
    items = items_of(node) or (node,) * dims
    if len(items) != dims:
        raise wrong(context, arguments, node.place, f"expected one number, or {dims} of them")
    return [read_length(context, arguments, item, least) for item in items]


def _slides(context: Context, arguments: Arguments, windows: Sequence[Size]) -> list[_Slide]:
    dims = len(windows)
    strides = _lengths(context, arguments, arguments.options["stride"], dims, 1)
    dilations = _lengths(context, arguments, arguments.options["dilation"], dims, 1)
    node = arguments.options["padding"]
    word = node.value if isinstance(node, syntax.String) else None
    if word == "same":
        if any(stride != ONE for stride in strides):
            hint = "with a stride the padding is a number"
            raise wrong(context, arguments, node.place, f"padding 'same' is for a stride of 1; {hint}")
        around = [dilation * (window - 1) for window, dilation in zip(windows, dilations, strict=True)]
        before = [total // 2 for total in around]
        after = [total - low for total, low in zip(around, before, strict=True)]
    elif word not in (None, "valid"):
        raise wrong(context, arguments, node.place, "padding is 'valid', 'same' or a number")
    else:
        before = after = [ZERO] * dims if word else _lengths(context, arguments, node, dims, 0)
    return [_Slide(*one) for one in zip(windows, strides, dilations, before, after, strict=True)]


def _outputs(context: Context, arguments: Arguments, axes: Sequence[Size], slides: Sequence[_Slide]) -> list[Index | None]:
    """Return an index for each spatial axis of the output."""
    found: list[Index | None] = []
    for letter, size, slide in zip(_OUTPUT[len(axes)], axes, slides, strict=True):
        length = slide.length(context.sizes.resolve(size))
        if length.literal is not None and length.literal < 1:
            span = f"a window of size {slide.window}"
            if slide.dilation != ONE:
                span += f", which spans {slide.dilation * (slide.window - 1) + 1} with a dilation of {slide.dilation},"
            message = f"{span} does not fit on an axis of size {context.sizes.resolve(size)}"
            raise context.error(arguments.place, message, "DK020", "padding= adds zeros at both ends")
        least = slide.dilation * (slide.window - 1) + 1
        context.need(least, size + slide.before + slide.after, f"a window of size {slide.window}")
        found.append(context.index(length, letter))
    return found


# -- rows ----------------------------------------------------------------------------------------------------------------


def _convolution(dims: int) -> Row:
    def built(context: Context, arguments: Arguments) -> Value:
        x, w = (algebra.operand(context, arguments.values[name]) for name in ("x", "w"))
        layered = len(w.axes) == dims + 2
        ranks = (dims + 1, dims + 2) if layered else (dims,)
        if not layered and len(w.axes) != dims:
            windows = " or ".join(("P", "O,C,P") if dims == 1 else ("P,Q", "O,C,P,Q"))
            raise wrong(context, arguments, w.place, f"w has shape {shown(w.shape)}: expected {windows}")
        if len(x.axes) not in ranks:
            form = {1: "L", 2: "H,W"}[dims]
            wanted = f"C,{form} or N,C,{form}" if layered else form
            raise wrong(context, arguments, x.place, f"x has shape {shown(x.shape)} for this w: expected {wanted}")
        sizes = [context.sizes.resolve(size) for size in w.shape[-dims:]]
        slides = _slides(context, arguments, sizes)
        padded = [n for n, slide in enumerate(slides, len(x.axes) - dims) if slide.padded]
        x = extended(context, x, padded, arguments.function)
        return _correlated(context, arguments, x, w, slides)

    return Row(built, _CONV_OPTIONS)


def _correlated(context: Context, arguments: Arguments, x: Value, w: Value, slides: Sequence[_Slide]) -> Value:
    """Return Σ_{c,p,q} w[o,c,p,q] x[n,c,i+p,j+q]."""
    dims = len(slides)
    outputs = _outputs(context, arguments, x.shape[-dims:], slides)
    windows = w.axes[-dims:]
    expr, mapping = _windows(x, slides, outputs, windows), dict[Index, Affine]()
    bound = [p for p in windows if p is not None]
    lead, filters = x.axes[:-dims], w.axes[:-dims]
    if filters:
        mine, theirs = lead[-1], filters[1]
        one, other = x.shape[-dims - 1], w.shape[1]
        if (mine is None) != (theirs is None) or not context.sizes.unify(one, other):
            raise context.misfit(x, w, "both have the same channels")
        if mine is not None and theirs is not None:
            mapping[mine] = Affine.of(theirs)
            bound.insert(0, theirs)
        lead = (*lead[:-1], filters[0])
    axes = (*lead, *outputs)
    factors = [w.expr, substitute(expr, mapping)]
    everything = tuple(a for a in (*axes, *bound) if a is not None)
    return Value(axes, algebra.contracted(context, tuple(bound), factors, everything), arguments.place)


def _windows(x: Value, slides: Sequence[_Slide], outputs: Sequence[Index | None], windows: Sequence[Index | None]) -> Expr:
    """Return the entries of ``x`` that the windows read; 0 in the padding."""
    for n, (slide, i, p) in enumerate(zip(slides, outputs, windows, strict=True), len(x.axes) - len(slides)):
        axis, position = x.axes[n], slide.position(i, p)
        if slide.padded:
            x = replace(x, expr=read_at(x, n, position))
        elif axis is not None:
            x = replace(x, expr=substitute(x.expr, {axis: position}))
    return x.expr


def _pooling(op: str, dims: int) -> Row:
    def pooled(context: Context, arguments: Arguments) -> Value:
        x = algebra.operand(context, arguments.x)
        if len(x.axes) < dims:
            raise wrong(context, arguments, x.place, f"x has shape {shown(x.shape)}: expected at least {dims} axes")
        sizes = _lengths(context, arguments, arguments.options["size"], dims, 1)
        node = arguments.options["stride"]
        same = isinstance(node, syntax.Name) and node.id == "size"
        strides = sizes if same or isinstance(node, syntax.NoneItem) else _lengths(context, arguments, node, dims, 1)
        slides = [_Slide(size, stride, ONE, ZERO, ZERO) for size, stride in zip(sizes, strides, strict=True)]
        outputs = _outputs(context, arguments, x.shape[-dims:], slides)
        windows = [None if size == ONE else Index(letter, size) for letter, size in zip(_WINDOW, sizes, strict=False)]
        moves = zip(x.axes[-dims:], slides, outputs, windows, strict=True)
        mapping = {axis: slide.position(i, p) for axis, slide, i, p in moves if axis is not None}
        lead = tuple(a and a.fresh() for a in x.axes[:-dims])
        expr = substitute(x.expr, {**mapping, **pairs(x.axes[:-dims], lead)})
        axes, bound = (*lead, *outputs), tuple(p for p in windows if p is not None)
        present = tuple(a for a in axes if a is not None)
        if op == "max":
            expr = context.named(expr, "z", (*present, *bound), of=arguments.function) if bound else expr
            made = algebra.over(context, "max", bound, expr, present) if bound else expr
        else:
            made = algebra.summed(context, bound, expr, present)
            made = Mul((*(Pow(size_factor(p.size), num(-1)) for p in bound), made)) if bound else made
        return Value(axes, made, arguments.place)

    return Row(pooled, _POOL_OPTIONS)


CONVOLUTION_ROWS: dict[str, Row] = {
    **{f"conv{dims}d": _convolution(dims) for dims in (1, 2)},
    **{f"{op}_pool{dims}d": _pooling(op, dims) for op in ("avg", "max") for dims in (1, 2)},
}
