"""The constructors of array expressions: what a NumPy user writes, with symbolic shapes.

They work out the shape and remove what no one would write (``x[:, 0][:, None]`` of a column, products of ones).  Shapes
broadcast from the right as in NumPy; only a literal 1 broadcasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from derivkit.symbolic.arrays.tree import Array
from derivkit.symbolic.elementary import rounded
from derivkit.symbolic.expr import Name
from derivkit.symbolic.index import ONE, Size

# -- leaves ---------------------------------------------------------------------------------------------------------------


def named(name: Name, shape: tuple[Size, ...]) -> Array:
    """Return the array that an input or a definition is."""
    return Array("name", (), shape, (name,))


def number(value: Fraction | int) -> Array:
    """Return a scalar."""
    return Array("number", (), (), (Fraction(value),))


def constant(name: str) -> Array:
    """Return ``pi`` or ``inf``."""
    return Array("constant", (), (), (name,))


def size(value: Size) -> Array:
    """Return a size as a number."""
    literal = value.literal
    return Array("size", (), (), (value,)) if literal is None else number(literal)


def ones(shape: tuple[Size, ...]) -> Array:
    """Return ones; the scalar 1 for no axes."""
    return Array("ones", (), shape) if shape else number(1)


def zeros(shape: tuple[Size, ...]) -> Array:
    """Return zeros; the scalar 0 for no axes."""
    return Array("zeros", (), shape) if shape else number(0)


def eye(rows: Size, columns: Size) -> Array:
    """Return δ over two axes."""
    return Array("eye", (), (rows, columns))


def arange(length: Size) -> Array:
    """Return the positions along an axis."""
    return Array("arange", (), (length,))


# -- elementwise ----------------------------------------------------------------------------------------------------------


def broadcast_shape(shapes: Iterable[tuple[Size, ...]]) -> tuple[Size, ...]:
    """Return the common shape, aligned from the right.

    >>> [str(s) for s in broadcast_shape([(Size.of("N"), ONE), (Size.of("K"),)])]
    ['N', 'K']
    """
    result: list[Size] = []
    for shape in shapes:
        for n, length in enumerate(reversed(shape)):
            if n == len(result):
                result.append(length)
            elif result[n] == ONE:
                result[n] = length
    return tuple(reversed(result))


def add(terms: Sequence[tuple[int, Array]]) -> Array:
    """Return the sum of signed terms."""
    flat: list[tuple[int, Array]] = []
    for sign, term in terms:
        negative, bare = split_sign(term)
        if bare.op == "number" and bare.params[0] == 0 and len(terms) > 1:
            continue
        flat.append((-sign if negative else sign, bare))
    if not flat:
        return number(0)
    if len(flat) == 1:
        sign, term = flat[0]
        return term if sign > 0 else mul([number(-1), term])
    nodes = tuple(t for _, t in flat)
    return Array("add", nodes, broadcast_shape(t.shape for t in nodes), tuple(s for s, _ in flat))


def split_sign(node: Array) -> tuple[bool, Array]:
    """Return whether ``node`` has a minus in front, and the node without it."""
    if node.op == "number" and node.params[0] < 0:  # type: ignore[operator]
        return True, number(-node.params[0])  # type: ignore[operator]
    if node.op == "mul" and node.params[0] and node.args[0].op == "number" and node.args[0].params[0] < 0:  # type: ignore[operator]
        factors, divisors = parts(node)
        return True, mul([number(-factors[0].params[0]), *factors[1:]], divisors)  # type: ignore[operator]
    return False, node


def parts(node: Array) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Return factors and divisors of a node (those of a product, else the node alone)."""
    if node.op != "mul":
        return (node,), ()
    count: int = node.params[0]  # type: ignore[assignment]
    return node.args[:count], node.args[count:]


def mul(factors: Sequence[Array], divisors: Sequence[Array] = ()) -> Array:
    """Return a product with divisors: one rational number, then scalars, then arrays, each in the order given.

    Products among the operands are opened, and ``1/N · sum`` over the N of an axis becomes a mean.
    """
    coefficient = Fraction(1)
    above: list[Array] = []
    below: list[Array] = []
    for each in factors:
        up, down = parts(each)
        above += up
        below += down
    for each in divisors:
        if each.op == "mul" and not each.rank:
            up, down = parts(each)
            above += down
            below += up
        else:
            below.append(each)
    shape = broadcast_shape(a.shape for a in (*above, *below))
    for node, sign in [*((a, 1) for a in above), *((b, -1) for b in below)]:
        if node.op == "number" and (sign > 0 or node.params[0] != 0):
            value: Fraction = node.params[0]  # type: ignore[assignment]
            coefficient *= value if sign > 0 else 1 / value
    above = [a for a in above if a.op != "number"]
    below = [b for b in below if b.op != "number" or b.params[0] == 0]
    above, below = _means(*_cancel_sizes(above, below))
    if coefficient == 0:
        return zeros(shape)
    if any(a.rank and a.op != "ones" for a in above):
        kept = [a for a in above if a.op != "ones"]  # ones multiply nothing, unless they give the shape
        above = kept if broadcast_shape(a.shape for a in (*kept, *below)) == shape else above
    above.sort(key=lambda a: (a.rank > 0, a.op != "size"))
    below.sort(key=lambda b: (b.rank > 0, b.op != "size"))
    if not above and not below:
        return number(coefficient)
    up_number, down_number = coefficient.numerator, coefficient.denominator
    if decimal(coefficient):
        up_number, down_number = 0, 1
        above.insert(0, number(coefficient))
    if up_number not in (0, 1):
        above.insert(0, number(up_number))
    if down_number != 1:
        below.insert(0, number(down_number))
    if not below and len(above) == 1:
        return above[0]
    return Array("mul", (*above, *below), shape, (len(above),))


def decimal(value: Fraction) -> str:
    """Return a decimal literal equal to ``value`` where a person would write one, else an empty text (a quotient).

    >>> decimal(Fraction(44715, 1000000)), decimal(Fraction(1, 3)), decimal(Fraction(1, 2))
    ('0.044715', '', '')
    """
    bottom = value.denominator
    if nearest := rounded(value):
        return nearest
    if bottom in (1, 2, 4, 8, 16) or abs(value) > 10**15:
        return ""
    text = repr(float(value))
    return text if Fraction(text) == value else ""


def _cancel_sizes(above: list[Array], below: list[Array]) -> tuple[list[Array], list[Array]]:
    for node in [a for a in above if a.op == "size"]:
        same = next((b for b in below if b.op == "size" and b.params == node.params), None)
        if same is not None:
            above = [a for a in above if a is not node]
            below = [b for b in below if b is not same]
    return above, below


def _means(above: list[Array], below: list[Array]) -> tuple[list[Array], list[Array]]:
    for place, node in enumerate(above):
        if node.op != "reduce" or node.params[0] != "sum":
            continue
        count = ONE
        for axis in node.params[1]:  # type: ignore[attr-defined]
            count = count * node.args[0].shape[axis]
        match = next((b for b in below if b.op == "size" and b.params[0] == count), None)
        if match is not None:
            mean = Array("reduce", node.args, node.shape, ("mean", *node.params[1:]))
            return [*above[:place], mean, *above[place + 1 :]], [b for b in below if b is not match]
    return above, below


def power(base: Array, exponent: Array) -> Array:
    """Return ``base ** exponent``; a negative number in the exponent is a division."""
    if exponent.op == "number":
        value: Fraction = exponent.params[0]  # type: ignore[assignment]
        if value == 1:
            return base
        if value < 0:
            return mul([number(1)], [power(base, number(-value))])
        if value == Fraction(1, 2):
            return fn("sqrt", base)
    return Array("pow", (base, exponent), broadcast_shape((base.shape, exponent.shape)))


def fn(name: str, *args: Array) -> Array:
    """Return an elementwise function of the table."""
    return Array("fn", args, broadcast_shape(a.shape for a in args), (name,))


# -- axes -----------------------------------------------------------------------------------------------------------------


def expand(x: Array, new: Sequence[bool]) -> Array:
    """Return ``x`` with axes of length 1 where ``new`` is true; a column that was just read off stays a column."""
    new = tuple(new)
    if not any(new):
        return x
    if not x.rank:
        return broadcast(x, (ONE,) * len(new))
    places = tuple(n for n, fresh in enumerate(new) if fresh)
    if x.op == "reduce" and not x.params[2] and x.params[1] == places and len(new) == x.args[0].rank:
        return reduce(str(x.params[0]), x.args[0], places, keepdims=True)
    if x.op == "index" and len(new) == x.args[0].rank:
        subs = x.params
        if all((s is None) is not fresh for s, fresh in zip(subs, new, strict=True)) and all(
            x.args[0].shape[n] == ONE for n in places
        ):
            return x.args[0]
    if x.op == "mul":
        factors, divisors = parts(x)
        if sum(a.rank > 0 for a in factors) == 1 and not any(d.rank for d in divisors):  # scalars stay outside
            return mul([expand(a, new) if a.rank else a for a in factors], divisors)
    shape = iter(x.shape)
    return Array("expand", (x,), tuple(ONE if fresh else next(shape) for fresh in new), new)


def broadcast(x: Array, shape: tuple[Size, ...]) -> Array:
    """Return ``x`` repeated to ``shape``."""
    if x.shape == shape:
        return x
    if x.op == "number":
        return mul([x, ones(shape)])
    return Array("broadcast", (x,), shape)


def index(x: Array, subs: Sequence[Size | int | None], labels: Sequence[Array] = ()) -> Array:
    """Return ``x`` read at ``subs``: ``None`` keeps the axis, a Size reads a place, an integer names one of ``labels``."""
    shape: list[Size] = []
    for sub, length in zip(subs, x.shape, strict=True):
        if sub is None:
            shape.append(length)
        elif isinstance(sub, int):
            shape.extend(labels[sub].shape)
    return Array("index", (x, *labels), tuple(shape), tuple(subs))


def gather(x: Array, places: Sequence[Array]) -> Array:
    """Return ``x[places[0], places[1], ...]``, the places broadcast together."""
    return Array("gather", (x, *places), broadcast_shape(p.shape for p in places))


def onehot(label: Array | Size, length: Size) -> Array:
    """Return 1 where a new last axis of ``length`` equals the label."""
    if isinstance(label, Size):
        return Array("onehot", (), (length,), (label,))
    return Array("onehot", (label,), (*label.shape, length))


def reduce(name: str, x: Array, axes: Sequence[int], keepdims: bool = False) -> Array:
    """Return a reduction of ``x`` over ``axes``."""
    axes = tuple(axes) if name == "argmax" else tuple(sorted(axes))
    if keepdims:
        shape = tuple(ONE if n in axes else s for n, s in enumerate(x.shape))
    else:
        shape = tuple(s for n, s in enumerate(x.shape) if n not in axes)
    if name == "sum" and x.op == "diagonal":
        return Array("trace", x.args, ())
    return Array("reduce", (x,), shape, (name, axes, keepdims))


def along(name: str, x: Array, axes: Sequence[int]) -> Array:
    """Return an operation along ``axes`` that keeps the shape."""
    return Array("along", (x,), x.shape, (name, tuple(axes)))


def diag(x: Array) -> Array:
    """Return the diagonal matrix of a vector."""
    return eye(x.shape[0], x.shape[0]) if x.op == "ones" else Array("diag", (x,), (x.shape[0], x.shape[0]))


def diagonal(x: Array) -> Array:
    """Return the diagonal of a square matrix."""
    return x.args[0] if x.op == "diag" else Array("diagonal", (x,), (x.shape[0],))


# -- products -------------------------------------------------------------------------------------------------------------


def matmul(a: Array, b: Array) -> Array:
    """Return ``a @ b`` as NumPy means it for ranks 1 and more; scalar factors come out in front."""
    shape: tuple[Size, ...]
    if a.rank == 1 and b.rank == 1:
        shape = ()
    elif b.rank == 1:
        shape = a.shape[:-1]
    elif a.rank == 1:
        shape = (*b.shape[:-2], b.shape[-1])
    else:
        shape = (*broadcast_shape((a.shape[:-2], b.shape[:-2])), a.shape[-2], b.shape[-1])
    return Array("matmul", (a, b), shape)


def scalars_first(node: Array) -> Array:
    """Return ``(2 * B) @ w`` as ``2 * B @ w``: the scalar factors of a product's operands in front of it."""
    outside: tuple[list[Array], list[Array]] = ([], [])
    inside = []
    for arg in node.args:
        above, below = parts(arg)
        for found, scalars in zip((above, below), outside, strict=True):
            scalars += [a for a in found if not a.rank]
        inside.append(mul([a for a in above if a.rank], [b for b in below if b.rank]))
    if node.op != "matmul" or not (outside[0] or outside[1]) or any(not a.rank for a in inside):
        return node
    return mul([*outside[0], matmul(*inside)], outside[1])


def common_number(node: Array) -> Array:
    """Return ``2 * A - 2 * B`` as ``2 * (A - B)``."""
    if node.op != "add":
        return node
    pairs = [parts(a) for a in node.args]
    numbers = [above[0].params[0] if above and above[0].op == "number" else 1 for above, _ in pairs]
    if len(set(numbers)) > 1 or numbers[0] in (0, 1) or any(len(above) == 1 for above, _ in pairs):
        return node
    terms = [(sign, mul(above[1:], below)) for sign, (above, below) in zip(node.params, pairs, strict=True)]
    return mul([number(numbers[0]), add(terms)])  # type: ignore[arg-type]


def outer(a: Array, b: Array) -> Array:
    """Return the outer product of two vectors."""
    return Array("outer", (a, b), (a.shape[0], b.shape[0]))


def tensordot(a: Array, b: Array, over_a: Sequence[int], over_b: Sequence[int], word: str = "tensordot") -> Array:
    """Return the sum over pairs of axes as one matrix product: the axes left of ``a``, then those of ``b``."""
    left = tuple(s for n, s in enumerate(a.shape) if n not in over_a)
    right = tuple(s for n, s in enumerate(b.shape) if n not in over_b)
    return Array(word, (a, b), left + right, (tuple(over_a), tuple(over_b)))


def add_rows(label: Array, values: Array, length: Size) -> Array:
    """Return an array of ``length`` rows: the sum of those ``values`` whose label is the row's."""
    return Array("add_rows", (label, values), (length, *values.shape[label.rank :]), (length,))


def einsum(spec: str, args: Sequence[Array], shape: tuple[Size, ...]) -> Array:
    """Return the fallback that always works."""
    return Array("einsum", tuple(args), shape, (spec,))
