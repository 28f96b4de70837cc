"""``lambdify``: SymPy expressions as stable, vectorised NumPy, through the graph, the planner and the emitter of kernels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.codegen import Module, Program, generate
from derivkit.numeric.exponentials import shifted
from derivkit.numeric.kernel import load, precision
from derivkit.symbolic.expr import Expr, Name, references, user
from derivkit.symbolic.given import fix_sizes
from derivkit.symbolic.graph import Definition, Graph, Input
from derivkit.symbolic.index import Index, Size
from derivkit.symbolic.parse.sympy import NAN, Read, SympyReader, is_condition

Array = NDArray[Any]
Basic = Any
_BATCH = "batch_"
_MODULES = ("numpy", "scipy")


def lambdify(
    args: Any,
    expr: Any,
    modules: Any = None,
    printer: Any = None,
    use_imps: bool = True,
    dummify: bool = False,
    cse: bool = False,
    docstring_limit: int | None = 1000,
) -> Lambdified:
    """Return a NumPy function of ``args`` for a SymPy expression, with SymPy's signature.

    ``args`` are symbols, ``IndexedBase`` arrays, ``MatrixSymbol``, or any expressions to be replaced, nested as they will be
    given; ``expr`` an expression, a condition, a matrix, or a list or tuple of them.  Symbols broadcast as NumPy's operands
    do; Σ and ∏ over ``Indexed`` entries become array operations.  Symbolic sizes are found from the arrays' shapes: an
    ``IndexedBase`` has the shape that it declares, else it ends at the last position read, unless the size is an argument.
    Forms that overflow or lose digits are replaced: ``log(1 + exp(x))``, softmax, log Σ exp.  The result has the precision of the
    floating-point arguments.  ``Heaviside(0)`` is its second argument, ½ by default, as in SymPy.  Common terms are always
    shared, so ``cse`` changes nothing; ``modules`` may name NumPy and SciPy only, ``printer`` nothing.

    Raises :class:`DerivkitError`: DK008 (a symbol that is no argument), DK009 (a function without a NumPy form), DK019 (a
    subscript that is no position), DK031 (another module), DK041 (a size that no argument tells).

    >>> import sympy, numpy
    >>> x, i, n = sympy.IndexedBase("x"), sympy.Symbol("i"), sympy.Symbol("n")
    >>> f = lambdify(x, sympy.log(sympy.Sum(sympy.exp(x[i]), (i, 0, n - 1))))
    >>> float(f(numpy.array([1000.0, 1000.0])))
    1000.6931471805599
    """
    del use_imps, dummify, cse, docstring_limit
    named = (modules,) if isinstance(modules, str) else tuple(modules or ())
    if printer is not None or any(m not in _MODULES for m in named):
        what = "printer=" if printer is not None else f"modules={echo(repr(modules))}"
        raise DerivkitError(f"{what} has no meaning here: the function is NumPy's", code="DK031", hint="leave it out")
    return Lambdified(_sympified(args), _sympified(expr))


def _sympified(value: Any) -> Any:
    """Return nested lists and tuples of SymPy objects; text is refused, never read."""
    if isinstance(value, list | tuple):
        return type(value)(_sympified(v) for v in value)
    try:
        return sympy.sympify(value, strict=True)
    except sympy.SympifyError:
        raise DerivkitError(
            f"{type(value).__name__} is no SymPy object", code="DK010", hint="sympy.Symbol('x'), not 'x'"
        ) from None


@dataclass(frozen=True)
class Lambdified:
    """A function of arrays and numbers, in the order and nesting of its ``args``; printing it shows its source."""

    args: Any
    expr: Any
    _plan: _Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read, generate and compile."""
        object.__setattr__(self, "_plan", _Plan(self.args, self.expr))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what it is made of."""
        return (Lambdified, (self.args, self.expr))

    @property
    def source(self) -> str:
        """The text of the module, as it is for numbers; arrays of numbers may have another."""
        return self._plan.variant(False).module.source

    def __str__(self) -> str:
        """Return the source."""
        return self.source

    def __repr__(self) -> str:
        """Return the arguments."""
        return f"<Lambdified({', '.join(map(str, self._plan.names))})>"

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Return the value: a number, an array, or as many as there are expressions, nested as they are."""
        return self._plan(values, named)


# -- arguments -------------------------------------------------------------------------------------------------------------


def _leaves(args: Any) -> Iterator[Basic]:
    if isinstance(args, list | tuple | sympy.Tuple):
        for each in args:
            yield from _leaves(each)
    elif isinstance(args, sympy.MatrixBase):
        yield from args
    else:
        yield args


def _spread(args: Any, values: Any) -> Iterator[Any]:
    """Yield the values in the order of the leaves, nested as the arguments are."""
    if isinstance(args, sympy.MatrixBase):
        yield from np.asarray(values).ravel()
    elif isinstance(args, list | tuple | sympy.Tuple):
        if len(values) != len(args):
            raise DerivkitError(f"{len(args)} arguments are taken, {len(values)} given", code="DK010")
        for one, value in zip(args, values, strict=True):
            yield from _spread(one, value)
    else:
        yield values


def _identifiers(leaves: Sequence[Basic]) -> list[str]:
    """Return a name of our own for each argument: its word where that is a plain one."""
    taken: set[str] = set()
    found = []
    for n, leaf in enumerate(leaves):
        word = str(getattr(leaf, "name", "")) if not isinstance(leaf, sympy.Indexed) else ""
        plain = word.isascii() and word.isidentifier() and not word.startswith("_") and not iskeyword(word) and len(word) < 40
        label = word if plain and word not in taken else f"argument_{n}"
        taken.add(label)
        found.append(label)
    return found


def _outputs(expr: Any) -> list[Basic]:
    if isinstance(expr, list | tuple | sympy.Tuple):
        return [e for each in expr for e in _outputs(each)]
    if isinstance(expr, sympy.MatrixBase | sympy.NDimArray):
        return list(itertools.chain(expr)) if isinstance(expr, sympy.MatrixBase) else list(sympy.flatten(expr.tolist()))
    return [expr]


def _nested(expr: Any, values: Iterator[Any]) -> Any:
    """Return the values nested as the expressions are; a matrix is an array with its axes first."""
    if isinstance(expr, list | tuple | sympy.Tuple):
        made = [_nested(e, values) for e in expr]
        return made if isinstance(expr, list) else tuple(made)
    if isinstance(expr, sympy.MatrixBase | sympy.NDimArray):
        entries = np.broadcast_arrays(*(next(values) for _ in _outputs(expr)))
        return np.array(entries).reshape((*map(int, expr.shape), *entries[0].shape))
    return next(values)


def _size_symbols(leaves: Sequence[Basic], outputs: Sequence[Basic]) -> list[Basic]:
    """Return the symbols in limits of Σ and ∏, and in shapes."""
    found: dict[Basic, None] = {}
    nodes = [n for e in (*outputs, *leaves) for n in sympy.preorder_traversal(e)]
    for node in nodes:
        parts: list[Basic] = []
        if isinstance(node, sympy.Sum | sympy.Product):
            bound = {limit[0] for limit in node.limits}
            parts = [p for limit in node.limits for p in limit[1:] if not p.free_symbols & bound]
        elif isinstance(node, sympy.IndexedBase | sympy.MatrixSymbol):
            parts = list(node.shape or ())
        for part in parts:
            found.update(dict.fromkeys(sorted(part.free_symbols, key=str)))
    bound_anywhere = {limit[0] for n in nodes if isinstance(n, sympy.Sum | sympy.Product) for limit in n.limits}
    return [s for s in found if s not in bound_anywhere]


# -- the plan --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Variant:
    """One generated function: for numbers, or for arrays of numbers."""

    module: Module
    function: Callable[..., Any]
    graph: Graph
    reads: tuple[Read, ...]
    ranges: Mapping[Name, Size]
    lifted: tuple[bool, ...]


class _Plan:
    """What is known of the arguments and expressions, and the functions made for them."""

    def __init__(self, args: Any, expr: Any) -> None:
        self.args, self.expr = args, expr
        self.leaves = list(_leaves(args))
        self.outputs = _outputs(expr)
        self.names = [user(word) for word in _identifiers(self.leaves)]
        self.whole = not isinstance(args, list | tuple | sympy.Tuple)
        self.conditions = [is_condition(e) for e in self.outputs]
        self.branches = any(e.has(sympy.Piecewise, sympy.ITE, sympy.sinc) for e in self.outputs)
        arrays = sympy.IndexedBase | sympy.MatrixSymbol
        self.arrays = {a: n for a, n in zip(self.leaves, self.names, strict=True) if isinstance(a, arrays)}
        words = {str(n) for n in self.names}
        self.sizes: dict[Basic, Size] = {}
        for n, symbol in enumerate(_size_symbols(self.leaves, self.outputs)):
            (own,) = _identifiers([symbol])
            self.sizes[symbol] = Size.of(own if own not in words | {"argument_0"} else f"size_{n}")
        self.given_sizes = {n: self.sizes[a] for a, n in zip(self.leaves, self.names, strict=True) if a in self.sizes}
        pairs = zip(self.leaves, self.names, strict=True)
        self.scalars = {a: n for a, n in pairs if a not in self.arrays and a not in self.sizes}
        self.labels: frozenset[Name] = frozenset()
        self.variants: dict[bool, _Variant] = {}
        self.simple = not self.arrays and not self.sizes and not any(e.has(sympy.Sum, sympy.Product) for e in self.outputs)
        made = self.variant(self.simple)
        if self.simple and f"{_BATCH} =" in made.module.source:  # an axis is counted after all
            self.simple = False
            self.variants.clear()

    def variant(self, lifted: bool) -> _Variant:
        """Return the function for numbers, or for arrays of numbers; one of them is enough where nothing has an axis."""
        lifted = lifted or self.simple
        if lifted not in self.variants:
            self.variants[lifted] = self._made(lifted)
        return self.variants[lifted]

    def _made(self, lifted: bool) -> _Variant:
        batch = Index("n", Size.of(_BATCH)) if lifted else None
        first = SympyReader(self.scalars, self.arrays, self.sizes, batch)
        for e in self.outputs:
            first.read(e)
        self.labels = frozenset(first.positions)
        read = {r.array for r in first.reads}
        shapes = {n: self._shape(base, n, first.reads) for base, n in self.arrays.items() if n in read or base.shape}
        own = any(s.name is not None and s.name.startswith("length_") for shape in shapes.values() for s in shape)
        reader = SympyReader(self.scalars, self.arrays, self.sizes, batch, partial=own)
        bodies = [shifted(reader.read(e)) for e in self.outputs]
        self._check_sizes(shapes, bodies)
        definitions = []
        for n, body in enumerate(bodies):
            axes = (batch,) if batch is not None and batch in body.free else ()
            definitions.append(Definition(Name("anon", f"value_{n}"), tuple(i.size for i in axes), axes, body))
        one = () if batch is None else (batch.size,)
        inputs = [Input(n, "label" if n in self.labels else "real", one) for n in self.scalars.values()]
        inputs += [Input(n, "label" if n in self.labels else "real", shape) for n, shape in shapes.items()]
        inputs += [Input(n, "real", (size,)) for n, size in reader.ranges.items()]
        inputs += [Input(NAN, "real", ())] if reader.nan else []
        graph = Graph({i.name: i for i in inputs}, tuple(definitions), definitions[0].name if definitions else user("nothing"))
        results = {str(n): d.name for n, d in enumerate(definitions)}
        program = Program(tuple(inputs), tuple(definitions), graph.output, results, "values")
        _, module = generate(program)
        flags = tuple(bool(d.indices) for d in definitions)
        return _Variant(module, load(module), graph, tuple(reader.reads), reader.ranges, flags)

    def _shape(self, base: Basic, name: Name, reads: list[Read]) -> tuple[Size, ...]:
        """Return the sizes of an array: those that it declares, else as far as it is read."""
        reader = SympyReader({}, {}, self.sizes)
        if base.shape is not None and (isinstance(base, sympy.MatrixSymbol) or base.shape):
            return tuple(reader.affine(s, {}).const for s in base.shape)
        own = [r for r in reads if r.array == name]
        return tuple(self._length(name, n, own) for n in range(1 + max((r.axis for r in own), default=-1)))

    def _length(self, name: Name, axis: int, reads: list[Read]) -> Size:
        given = {n for size in self.given_sizes.values() for n in size.names()}
        found: Size | None = None
        for read in sorted(reads, key=lambda r: r.guarded):
            size = read.high + 1
            if read.axis != axis or not set(size.names()) - given or any(isinstance(a, Expr) for a, _ in read.sub.terms):
                continue
            gap = None if found is None else (size - found).literal
            if found is None or (gap is not None and gap > 0 and not read.guarded):
                found = size
        return found if found is not None else Size.of(f"length_{name}_{axis}")

    def _check_sizes(self, shapes: Mapping[Name, tuple[Size, ...]], bodies: Sequence[Expr]) -> None:
        told = {n for shape in shapes.values() for s in shape for n in s.names()}
        told |= {n for s in self.given_sizes.values() for n in s.names()}
        for symbol, size in self.sizes.items():
            if not told.issuperset(size.names()):
                hint = "make it an argument, or the last position of an array"
                raise DerivkitError(f"no argument tells the size '{echo(symbol)}'", code="DK041", hint=hint)

    # -- a call ------------------------------------------------------------------------------------------------------------

    def __call__(self, values: Sequence[Any], named: Mapping[str, Any]) -> Any:
        given = dict(zip(self.names, self._arguments(values, named), strict=True))
        dtype = precision(v for n, v in given.items() if n not in self.labels)
        sizes = {size.names()[0]: _whole(n, given[n]) for n, size in self.given_sizes.items()}
        taken = self.variant(self.simple).graph.inputs
        arrays = {
            n: _numbers(n, given[n], None if taken[n].kind == "label" else dtype) for n in self.arrays.values() if n in taken
        }
        scalars = {n: _numbers(n, given[n], None if n in self.labels else dtype) for n in self.scalars.values()}
        shape = np.broadcast_shapes(*(a.shape for a in scalars.values()))
        lifted = self.simple or bool(shape)
        made = self.variant(lifted)
        if lifted and not self.simple:
            scalars = {n: np.broadcast_to(a, shape).ravel() for n, a in scalars.items()}
            sizes[_BATCH] = int(np.prod(shape))
        known = fix_sizes(made.graph, {str(n): a for n, a in arrays.items()}, {_BATCH: 1, **sizes})
        _check_reads(made, arrays, scalars, known)
        counted = {n: np.arange(size.evaluate(known), dtype=dtype) for n, size in made.ranges.items()}
        inputs = {**scalars, **arrays, **counted, NAN: np.asarray(np.nan, dtype=dtype)}
        quiet: Any = dict.fromkeys(("invalid", "divide", "over") if self.branches else (), "ignore")
        with np.errstate(**quiet):  # of a Piecewise both branches are computed, and one is chosen
            results = made.function(*(inputs[n] for n in made.module.inputs), *(known[s] for s in made.module.sizes))
        return _nested(self.expr, self._shaped(results, made, shape, dtype))

    def _shaped(self, results: Sequence[Any], made: _Variant, shape: tuple[int, ...], dtype: Any) -> Iterator[Any]:
        for value, lifted, condition in zip(results, made.lifted, self.conditions, strict=True):
            array = np.asarray(value)
            if lifted and not self.simple:
                array = array.reshape(shape)
            yield array.astype(bool if condition else dtype, copy=False)[()]

    def _arguments(self, values: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Return the values leaf by leaf, positional ones first, then those by name."""
        args = (self.args,) if self.whole else tuple(self.args)
        given = list(values)
        if named:
            words = [str(getattr(a, "name", a)) for a in args]
            for word in named:
                if word not in words[len(given) :]:
                    hint = did_you_mean(word, words) or f"the arguments are {', '.join(words)}"
                    raise DerivkitError(f"'{echo(word)}' is no argument, or given twice", code="DK010", hint=hint)
            given += [named[w] for w in words[len(given) :] if w in named]
        return list(_spread(args, given))


def _numbers(name: Name, value: Any, dtype: Any) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:
        raise DerivkitError(f"'{name}' is no array of numbers", code="DK040") from None
    if array.dtype.kind not in "fiub":
        raise DerivkitError(f"'{name}' holds {array.dtype}, not real numbers", code="DK040")
    if dtype is not None:
        return array.astype(dtype, copy=False)
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and not np.all(array == np.rint(array))):
        raise DerivkitError(f"'{name}' is a position: a whole number", code="DK040")
    return array.astype(np.int64, copy=False)


def _whole(name: Name, value: Any) -> int:
    array = _numbers(name, value, None)
    if array.ndim or array < 0:
        raise DerivkitError(f"'{name}' is a size: one whole number", code="DK040")
    return int(array)


def _check_reads(made: _Variant, arrays: Mapping[Name, Array], scalars: Mapping[Name, Array], sizes: Mapping[str, int]) -> None:
    """Refuse to read out of range, where NumPy would take the last entry or raise, and a graph read 0."""
    for read in made.reads:
        indices = read.sub.indices()
        if read.guarded or any(i.size.evaluate(sizes) < 1 for i in indices):
            continue
        low, high = read.low.evaluate(sizes), read.high.evaluate(sizes)
        for atom, coefficient in read.sub.terms:
            if isinstance(atom, Expr):
                (name,) = references(atom)
                labels = scalars.get(name, arrays.get(name))
                c = coefficient.evaluate(sizes)
                ends = (c * int(np.min(labels)), c * int(np.max(labels))) if labels is not None and labels.size else (0, 0)
                low, high = low + min(ends), high + max(ends)
        length = arrays[read.array].shape[read.axis]
        if low < 0 or high >= length:
            where = f"axis {read.axis} of '{read.array}'"
            message = f"{where} has positions 0..{length - 1}, and {low if low < 0 else high} is read"
            raise DerivkitError(message, code="DK020")
