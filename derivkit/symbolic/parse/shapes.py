"""Shapes of a program: sizes that are not known yet, what makes them known, and the habit that decides the rest."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from derivkit.symbolic.index import Affine, Index, Size
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.syntax import Place

#: Sizes of our own, in the order in which they are taken; the batch of an ``X`` is an N.
SIZE_NAMES = ("D", "M", "K", "L", "P", "Q", "R", "S", "N", "A", "B", "C", "F", "G", "H", "J", "U", "V")
#: The longest size, in terms of its polynomial.
SIZE_TERMS = 200
#: What an array of each rank is called.
RANKS = ("a scalar", "a vector of size {}", "a matrix of sizes {}")
#: Parameters of operations that are scalars whatever their letter says.
SCALARS: dict[str, tuple[str, ...]] = {"leaky_relu": ("slope",), "elu": ("alpha",), "clip": ("lo", "hi"), "huber": ("c",)}
_NORMALISED = {"gamma": 1, "beta": 1, "eps": 0}
#: Parameters of operations whose rank their letter does not tell.
PARAMETER_RANKS: dict[str, dict[str, int]] = {
    **{name: dict.fromkeys(parameters, 0) for name, parameters in SCALARS.items()},
    "layer_norm": _NORMALISED,
    "rms_norm": _NORMALISED,
    "batch_norm": {"x": 2, **_NORMALISED},
    "attention": {"Q": 2, "K": 2, "V": 2, "mask": 2},
    "avg_pool2d": {"x": 2},
    "max_pool2d": {"x": 2},
}
#: Where an operation takes sizes: positions of its arguments, and keywords.
SIZE_ARGUMENTS: dict[str, tuple[int, ...]] = {
    **{"eye": (0,), "zeros": (0,), "ones": (0,), "onehot": (1,), "reshape": (1,), "pad": (1,), "repeat": (1,)},
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"), (1, 2)),
    **dict.fromkeys(("conv1d", "conv2d"), (2, 3, 4)),
}
SIZE_KEYWORDS = frozenset({"K", "n", "shape", "size", "stride", "padding", "dilation"})


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a size stands for until it is known: axis ``axis`` of an input, or the range of an index (``axis`` is -1)."""

    name: str
    axis: int
    place: Place


@dataclass(slots=True)
class Sizes:
    """Sizes by unification.

    The program is lowered twice: the first time an unknown size is a name with a ``?``, and wherever two sizes meet
    they are made equal; the second time the same questions are asked in the same order, and are answered.
    """

    answers: tuple[Size, ...] | None = None
    asked: list[Unknown] = field(default_factory=list)
    bound: dict[str, Size] = field(default_factory=dict)
    reads: list[tuple[Affine, Size]] = field(default_factory=list)

    def unknown(self, about: Unknown) -> Size:
        """Return a size for ``about``: open in the first pass, the answer in the second."""
        self.asked.append(about)
        number = len(self.asked) - 1
        return Size.of(f"?{number}") if self.answers is None else self.answers[number]

    def resolve(self, size: Size) -> Size:
        """Return ``size`` as far as it is known by now."""
        while any(name in self.bound for name in size.names()):
            size = size.substitute(self.bound)
        return size

    def unify(self, left: Size, right: Size) -> bool:
        """Make two sizes equal; ``False`` when they cannot be."""
        gap = self.resolve(left) - self.resolve(right)
        if not gap.terms:
            return True
        for monomial, coefficient in gap.terms:
            if len(monomial) != 1 or coefficient not in (1, -1):
                continue
            name = monomial[0]
            rest = gap - Size({monomial: coefficient})
            if isinstance(name, str) and name.startswith("?") and name not in rest.names():
                self.bound[name] = rest * -coefficient
                return True
        return False

    def settle(self, taken: Iterable[str]) -> tuple[tuple[Size, ...], list[str], Unknown | None]:
        """Return the answers, what was assumed, and an index whose range nothing tells."""
        assumed: list[str] = []
        used = frozenset(taken)
        self._stay_inside(assumed)
        numbered = (f"D{n}" for n in range(1, len(self.asked) + len(used) + 1))
        names = dict.fromkeys(n for n in (*SIZE_NAMES, *numbered) if n not in used)
        arrays: dict[str, list[int]] = {}
        for number, about in enumerate(self.asked):
            if about.axis >= 0:
                arrays.setdefault(about.name, []).append(number)
        order = sorted(arrays.items(), key=lambda item: self._naming_order(item[1]))
        for name, numbers in order:
            for axis in reversed(range(len(numbers))):  # a matrix maps its last axis to its first
                for open_name in self.resolve(Size.of(f"?{numbers[axis]}")).names():
                    if open_name.startswith("?") and self.asked[int(open_name[1:])].axis >= 0:
                        batch = name == "X" and axis == 0 and len(numbers) == 2 and "N" in names
                        chosen = "N" if batch else next(iter(names))
                        del names[chosen]
                        self.bound[open_name] = Size.of(chosen)
        self._stay_inside(assumed)
        answers = tuple(self.resolve(Size.of(f"?{number}")) for number in range(len(self.asked)))
        lost = (about for about, size in zip(self.asked, answers, strict=True) if any(n.startswith("?") for n in size.names()))
        return answers, assumed, next(lost, None)

    def _naming_order(self, numbers: list[int]) -> tuple[bool, int, int]:
        """Matrices first, and in a line from the right, since the right one is applied first."""
        place = self.asked[numbers[0]].place
        return len(numbers) < 2, place.line, -place.column

    def _stay_inside(self, assumed: list[str]) -> None:
        """Give an index that only stands in sums, as i in x[i+p], the range in which every read is inside x."""
        waiting = [(sub, size, index) for sub, size in self.reads for index in sub.indices()]
        found = True
        while found:
            found = False
            for subscript, size, index in waiting:
                length = self._inside(subscript, self.resolve(size), index)
                if length is not None:
                    found = True
                    self.bound[self.resolve(index.size).names()[0]] = length
                    assumed.append(f"{index.hint} runs over {length}: there {subscript} stays inside")

    def _inside(self, subscript: Affine, axis: Size, index: Index) -> Size | None:
        """Return the number of positions of an open ``index`` for which ``subscript`` is inside ``axis``, once it is known."""
        stride = subscript.coefficient(index).literal
        rest = [i for i in subscript.indices() if i is not index]
        known = len(rest) + 1 == len(subscript.terms) and not self._is_open(axis) and self._is_open(index.size)
        if not known or stride is None or stride < 1:
            return None
        others = subscript.const
        for i in rest:
            if self._is_open(i.size) or (subscript.coefficient(i).literal or -1) < 0:
                return None
            others = others + (self.resolve(i.size) - 1) * subscript.coefficient(i)
        return (axis - 1 - others) // stride + 1

    def _is_open(self, size: Size) -> bool:
        return any(name.startswith("?") for name in self.resolve(size).names())


def walk(node: object) -> Iterator[syntax.Expression | syntax.Slice]:
    """Yield every expression of a surface tree, in order of reading, without recursion."""
    stack = [node]
    while stack:
        found = stack.pop()
        if isinstance(found, tuple):
            stack.extend(reversed(found))
        elif isinstance(found, syntax.Keyword):
            stack.append(found.value)
        elif found is not None and not isinstance(found, str | syntax.Place):
            if isinstance(found, syntax.Expression | syntax.Slice):
                yield found
            stack.extend(reversed(parts(found)))


def parts(node: object) -> list[object]:
    """Return the parts of a surface node."""
    match node:
        case syntax.Unary(_, operand):
            return [operand]
        case syntax.Binary(_, left, right) | syntax.Compare(_, left, right):
            return [left, right]
        case syntax.Call(_, args, keywords):
            return [args, keywords]
        case syntax.Slice(start, stop, step):
            return [start, stop, step]
        case syntax.Subscript(base, items):
            return [base, items]
        case syntax.Attribute(base, _):
            return [base]
        case syntax.IndexedReduce(_, indices, body) | syntax.IndexDefinition(_, indices, body):
            return [indices, body]
        case syntax.DeltaTerm(a, b):
            return [a, b]
        case syntax.Tuple(items) | syntax.List(items):
            return [items]
        case syntax.Definition(_, value) | syntax.Output(value):
            return [value]
        case syntax.Declaration(_, _, sizes):
            return [sizes]
    return []


def size_names(statements: Iterable[syntax.Statement]) -> dict[str, None]:
    """Return the names that stand where only sizes stand."""
    found: dict[str, None] = {}
    for statement in statements:
        if isinstance(statement, syntax.Declaration):
            found.update((n.id, None) for n in walk(statement.sizes) if isinstance(n, syntax.Name))
    for node in walk(tuple(s for s in statements if not isinstance(s, syntax.Declaration))):
        if isinstance(node, syntax.Call):
            for position in SIZE_ARGUMENTS.get(node.function, ()):
                found.update((n.id, None) for n in walk(node.args[position : position + 1]) if isinstance(n, syntax.Name))
            keywords = (k.value for k in node.keywords if node.function in SIZE_ARGUMENTS and k.name in SIZE_KEYWORDS)
            found.update((n.id, None) for n in walk(tuple(keywords)) if isinstance(n, syntax.Name))
    return found


def rank_beside(function: str, parameter: str, ranks: Mapping[str, int]) -> int | None:
    """Return the rank of an undeclared argument, given those of the arguments beside it; ``None`` where they tell nothing.

    >>> rank_beside("conv2d", "w", {"x": 4}), rank_beside("conv2d", "x", {})
    (4, 2)
    """
    dims = {"conv1d": 1, "conv2d": 2}.get(function)
    if dims is None:
        return None
    other = ranks.get("x" if parameter == "w" else "w", dims)
    return dims if other == dims else dims + 2


def read_size(node: object, names: Container[str]) -> Size | None:
    """Return the size that a surface expression over ``names`` and integers is, or ``None`` when it is none (or too long).

    >>> from derivkit.symbolic.parse.statements import parse_declaration
    >>> str(read_size(parse_declaration("x", "(L-2*R)//2").sizes[0], {"L", "R"}))
    'L//2-R'
    """
    match node:
        case syntax.Number(value) if value.denominator == 1:
            return Size.of(value.numerator)
        case syntax.Name(name) if name in names:
            return Size.of(name)
        case syntax.Unary(op, operand):
            size = read_size(operand, names)
            return size if size is None or op == "+" else size * -1
        case syntax.Binary():
            first, steps = syntax.spine(node)
            size = read_size(first, names)
            for step in steps:
                right = read_size(step.right, names)
                if size is None or right is None or step.op not in _SIZE_ARITHMETIC:
                    return None
                if step.op == "*" and len(size.terms) * len(right.terms) > SIZE_TERMS:
                    return None
                size = _SIZE_ARITHMETIC[step.op](size, right)
            return size
    return None


_SIZE_ARITHMETIC: dict[str, Callable[[Size, Size], Size]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
}


def assumption(name: str, shape: tuple[Size, ...]) -> str:
    """Return the sentence that says what was assumed of an undeclared input.

    >>> assumption("W", (Size.of("M"), Size.of("D")))
    'W: a matrix of sizes M, D'
    """
    sizes = ", ".join(map(str, shape))
    text = RANKS[len(shape)] if len(shape) < len(RANKS) else "an array of sizes {}"
    return f"{name}: {text.format(sizes)}"


def shown(shape: Iterable[Size]) -> str:
    """Return a shape for a message."""
    return f"({', '.join(map(str, shape))})"
