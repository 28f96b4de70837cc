"""From planned arrays to a readable NumPy module: common terms shared, one statement for each name, formulas as comments."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from derivkit.errors import DerivkitError
from derivkit.numeric.codegen.lift import Program
from derivkit.numeric.codegen.pairs import Pairs
from derivkit.numeric.codegen.prelude import HELPERS, helper_source
from derivkit.symbolic.arrays import Array, Numbering, postorder
from derivkit.symbolic.arrays.dialects import NUMPY
from derivkit.symbolic.arrays.nodes import mul, parts
from derivkit.symbolic.arrays.text import SUM, TEST, Dialect, Text, within, write
from derivkit.symbolic.expr import Name, references
from derivkit.symbolic.index import Size

#: A longer sub-expression gets a name of its own.
_LONG = 72

_STATIC = frozenset({"number", "size", "constant"})
_CHEAP = _STATIC | {"name", "transpose", "expand", "index", "arange", "diagonal"}
_VIEWS = frozenset({"name", "transpose", "expand", "broadcast", "index", "diagonal", "window", "reshape"})
#: The functions of ``math``: what is computed from sizes alone is a Python number.
MATH = frozenset({"sqrt", "log", "exp", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh"})


@dataclass(frozen=True, slots=True)
class Assignment:
    """``name = node``, with the formula that it computes."""

    name: Name
    node: Array
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """A generated module: its source, the function in it, and the order of its parameters (inputs, then loose sizes)."""

    source: str
    function: str
    inputs: tuple[Name, ...]
    sizes: tuple[str, ...]
    needs_scipy: bool
    steps: tuple[str, ...] = ()


_FUNCTIONS = {
    "gradient": "loss_and_gradients",
    "jacobian": "value_and_jacobians",
    "vjp": "value_and_gradients",
    "jvp": "value_and_tangents",
    "hessian": "loss_and_hessians",
    "hvp": "loss_and_products",
    "value": "value",
    "values": "values",
}

_RETURNED = {
    "gradient": "the gradients",
    "jacobian": "the Jacobians",
    "vjp": "the cotangents",
    "jvp": "the tangents",
    "hessian": "the Hessians",
    "hvp": "the Hessian times the direction",
}


def emit(program: Program, assignments: Sequence[Assignment], title: str = "") -> Module:
    """Return the module of one function, which computes the assignments and returns the value and the gradients."""
    writer = _Writer(program, assignments)
    writer.run()
    body = writer.lines
    value = writer.variables[program.value]
    loose, fixed = _size_lines(program, assignments, "\n".join(body))
    text = "\n".join(body)
    if "dtype" in _words(text):
        reals = [writer.variables[i.name] for i in program.inputs if i.kind != "label"]
        fixed.append(f"dtype = np.result_type({', '.join(reals)})" if reals else "dtype = np.dtype(float)")
    returned = [f'"{word}": {text}' for word, text in writer.returned().items()]
    result = value if program.kind == "value" else f"{value}, {{{', '.join(returned)}}}"
    if program.kind == "values":
        words = [writer.variables[name] for name in program.gradients.values()]
        result = f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"
    function = _FUNCTIONS[program.kind]
    parameters = [writer.variables[i.name] for i in program.inputs]
    signature = ", ".join([*parameters, *loose])
    lines = [
        f"def {function}({signature}):",
        f'    """{_summary(program)}"""',
        *(f"    {line}" if line else "" for line in [*fixed, *body]),
        f"    return {result}",
    ]
    used = {w for w in _words(text) if w in HELPERS}
    head = [f'"""{title or _summary(program)}"""', ""]
    if "math" in _words(text + helper_source(used)):
        head += ["import math", ""]
    head.append("import numpy as np")
    scipy = "special" in _words(text + helper_source(used))
    if scipy:
        head.append("from scipy import special")
    parts = ["\n".join(head)]
    if used:
        parts.append(helper_source(used).rstrip())
    parts.append("\n".join(lines))
    inputs = tuple(i.name for i in program.inputs)
    return Module("\n\n\n".join(parts) + "\n", function, inputs, tuple(loose), scipy, tuple(body))


def _words(text: str) -> set[str]:
    """Return the identifiers of the code in ``text``, comments left out."""
    code = "\n".join(line.partition("#")[0] for line in text.split("\n"))
    return set("".join(c if c.isalnum() or c == "_" else " " for c in code).split())


def _summary(program: Program) -> str:
    def shape(name: Name) -> str:
        sizes = ", ".join(map(str, program.shape(name)))
        return f"{name}: {sizes}" if sizes else f"{name}: scalar"

    inputs = "; ".join(shape(i.name) for i in program.inputs)
    if program.kind in ("value", "values"):
        return f"Return {program.value if program.kind == 'value' else 'the values'}.  {inputs}."
    what = _RETURNED[program.kind]
    over = f", the {program.reduce} over {program.batch} samples," if program.reduce and program.batch else ""
    return f"Return {program.value}{over} and {what} by {', '.join(program.gradients)}.  {inputs}."


# -- sizes ----------------------------------------------------------------------------------------------------------------


def _size_lines(program: Program, assignments: Sequence[Assignment], body: str) -> tuple[list[str], list[str]]:
    """Return the sizes that must be given, and the lines that read the others off the inputs."""
    used = _words(body)
    shapes = {str(i.name): i.shape for i in program.inputs}
    lines, loose = [], []
    for size in _size_names(program, assignments):
        if size not in used:
            continue
        if size in _RESERVED:
            hint = f"give it another name, such as {size.upper()}; an array may have it"
            raise DerivkitError(f"the size '{size}' has a name that a kernel needs itself", code="DK006", hint=hint)
        place = next(((i, a) for i, shape in shapes.items() for a, s in enumerate(shape) if s.name == size), None)
        if place is None:
            loose.append(size)
        else:
            lines.append(f"{size} = {safe(place[0])}.shape[{place[1]}]")
    return loose, lines


def _size_names(program: Program, assignments: Sequence[Assignment]) -> dict[str, None]:
    """Return the sizes of the arrays, and those that are used as numbers, starts and lengths."""
    sizes = [s for shape in program.shapes().values() for s in shape]
    sizes += [s for a in assignments for node in postorder(a.node) for s in _sizes_in((node.shape, node.params))]
    return dict.fromkeys(n for s in sizes for n in s.names())


def _sizes_in(parameter: object) -> Iterator[Size]:
    if isinstance(parameter, Size):
        yield parameter
    elif type(parameter) is tuple:
        for each in parameter:
            yield from _sizes_in(each)


# -- statements -----------------------------------------------------------------------------------------------------------

_RESERVED = frozenset({"np", "math", "special", "dtype", "value", "float", *HELPERS, *_FUNCTIONS.values(), *keyword.kwlist})


def safe(word: str) -> str:
    """Return a Python identifier for a name of the program."""
    if not word.isidentifier():
        raise DerivkitError(f"'{word}' cannot be a variable", code="DK006")
    return word + "_" if word in _RESERVED else word


def fresh(wanted: str, taken: set[str]) -> str:
    """Return a variable that is not ``taken``, and take it.

    >>> taken = {"u"}
    >>> fresh("u", taken), fresh("u", taken), fresh("v", taken)
    ('u_2', 'u_3', 'v')
    """
    word, n = wanted, 1
    while word in taken:
        n += 1
        word = f"{wanted}_{n}"
    taken.add(word)
    return word


@dataclass
class _Writer:
    program: Program
    assignments: Sequence[Assignment]
    lines: list[str] = field(default_factory=list)
    variables: dict[Name, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taken: set[str] = {*_size_names(self.program, self.assignments)}
        for each in self.program.inputs:
            self.variables[each.name] = self._new(safe(str(each.name)))
        self.numbers = Numbering()
        self.texts: dict[int, Text] = {}
        self.roots: dict[Name, Array] = {a.name: a.node for a in self.assignments}
        self.dialect: Dialect = replace(NUMPY, name=lambda name: self.variables[name])
        self.uses = self._count()
        self.inlined = self._once()
        self.fixed: dict[int, bool] = {}
        self.owners: dict[int, Name] = {}
        for assignment in reversed(self.assignments):
            if assignment.name not in self.inlined:
                self.owners[self.numbers(assignment.node)] = assignment.name
        self.pairs = Pairs(self, [a.node for a in self.assignments])

    def _new(self, wanted: str) -> str:
        return fresh(wanted, self.taken)

    def _count(self) -> Counter[int]:
        """Count how often each value is read, over all assignments."""
        uses: Counter[int] = Counter()
        seen: set[int] = set()
        for each in self.assignments:
            for node in postorder(each.node):
                number = self.numbers(node)
                if number not in seen:
                    seen.add(number)
                    uses.update(self.numbers(a) for a in node.args)
        return uses

    def _once(self) -> set[Name]:
        """Return the anonymous names read once: they are written where they are read."""
        reads: Counter[Name] = Counter()
        for each in self.assignments:
            reads.update(n.params[0] for n in postorder(each.node) if n.op == "name")  # type: ignore[misc]
        returned = {self.program.value, *self.program.gradients.values()}
        return {n for n, r in reads.items() if r == 1 and n.kind == "anon" and n in self.roots and n not in returned}

    def run(self) -> None:
        for each in self.assignments:
            if each.name in self.inlined:
                continue
            if each.node.op == "name" and each.node.params[0] not in self.inlined:  # another word for what is there
                self.variables[each.name] = self.variables[each.node.params[0]]  # type: ignore[index]
                continue
            number = self.numbers(each.node)
            before = len(self.lines)
            text = within(self.text(each.node, root=True), SUM)
            if each.name in self.variables:  # a statement of two values has named it
                if each.comment and len(self.lines) > before:
                    self.lines.insert(before, f"# {each.comment}")
                continue
            word = self._new(safe(str(each.name)))
            if each.comment:
                self.lines.insert(before, f"# {each.comment}")
            self.lines.append(f"{word} = {text}")
            self.variables[each.name] = word
            if each.node.op not in _STATIC:
                self.texts[number] = Text(word)

    def text(self, node: Array, root: bool = False) -> Text:
        """Return the text of a node, after the statements that it needs."""
        number = self.numbers(node)
        if number in self.texts:
            return self.texts[number]
        if node.op == "name" and node.params[0] in self.inlined:
            return self.text(self.roots[node.params[0]])
        if (paired := self.pairs.text(node)) is not None:
            return paired
        whole, node = node, self.with_known_product(node)
        args = [self.text(a) for a in node.args]
        if node.op == "pow" and node.args[1].op == "number" and node.args[1].params[0] in (3, 4) and node.rank:
            args[0] = self.bound(node.args[0], args[0])
        made = self.static(node, args) or write(node, args, self.dialect)
        if made is None:
            raise DerivkitError(f"no NumPy form of '{node.op}'", code="DK032")
        if not root and node.op not in _CHEAP and (self.uses[number] > 1 or len(made.text) > _LONG) and not self._is_static(node):
            return self.bound(whole, made)
        return made

    def uses_of(self, node: Array) -> int:
        """Return how often a node is read, one for the definition that it is."""
        number = self.numbers(node)
        return self.uses[number] + (number in self.owners) + sum(self.numbers(self.roots[n]) == number for n in self.inlined)

    def is_line(self, node: Array) -> bool:
        """Return whether a node is a definition with a statement of its own."""
        return self.numbers(node) in self.owners

    def word_for(self, node: Array, wanted: str) -> str:
        """Return the variable of the definition that a node is, or a new one."""
        owner = self.owners.get(self.numbers(node))
        if owner is None or owner in self.variables:
            return self._new(wanted)
        self.variables[owner] = word = self._new(safe(str(owner)))
        return word

    def resolved(self, node: Array) -> Array:
        """Return the node that an inlined name stands for."""
        return self.roots[node.params[0]] if node.op == "name" and node.params[0] in self.inlined else node

    def with_known_product(self, node: Array) -> Array:
        """Return a product of three or more with two of its arrays as the variable that holds their product."""
        factors, divisors = parts(node)
        if node.op == "mul" and len(node.args) > 2:
            for first, second in combinations([f for f in factors if f.rank], 2):
                pair = mul([first, second])
                if self.numbers(pair) in self.texts and pair.shape == node.shape:
                    rest = [f for f in factors if f is not first and f is not second]
                    return Array("mul", (*rest, pair, *divisors), node.shape, (len(rest) + 1,))
        return node

    def bound(self, node: Array, text: Text) -> Text:
        """Return a variable for the text of a node."""
        number = self.numbers(node)
        if text.text.isidentifier():
            return text
        word = self._new("u")
        self.lines.append(f"{word} = {text.text if text.binds == TEST else within(text, SUM)}")
        self.texts[number] = Text(word, TEST, f"{word}.astype(dtype)") if text.binds == TEST else Text(word)
        return self.texts[number]

    def static(self, node: Array, args: Sequence[Text]) -> Text | None:
        """A function of sizes alone is a Python float: a NumPy scalar would turn float32 arrays into float64."""
        if node.op != "fn" or not self._is_static(node):
            return None
        word = str(node.params[0])
        inner = ", ".join(within(a, SUM) for a in args)
        if word in MATH:
            return Text(f"math.{word}({inner})")
        plain = write(node, args, self.dialect)
        return None if plain is None else Text(f"float({within(plain, SUM)})")

    def _is_static(self, node: Array) -> bool:
        """Return whether the node is computed from numbers and sizes alone."""
        number = self.numbers(node)
        if number not in self.fixed:
            inner = node.op in {"add", "mul", "pow", "fn"} and all(self._is_static(a) for a in node.args)
            self.fixed[number] = not node.rank and (node.op in _STATIC or inner)
        return self.fixed[number]

    def returned(self) -> dict[str, str]:
        """Return each gradient as it is handed back: never a view of an input, nor one array under two names."""
        inputs = {self.variables[i.name] for i in self.program.inputs}
        given: set[str] = {self.variables[self.program.value]}
        made = {}
        for key, name in self.program.gradients.items():
            word = self.variables[name]
            view = word in inputs | given or self.is_view(self.roots[name])
            made[key] = f"np.array({word})" if view else word
            given.add(word)
        return made

    def is_view(self, node: Array) -> bool:
        """Return whether an array is a view of one that has a name, or cannot be written to."""
        if node.op not in _VIEWS or node.op == "name":
            return False
        while node.op in ("transpose", "expand", "reshape"):
            node = node.args[0]
        return node.op in _VIEWS or self.uses[self.numbers(node)] > 1


def needed(program: Program) -> Iterator[int]:
    """Yield the places of the definitions that the value and the gradients depend on."""
    wanted: set[Name] = {program.value, *program.gradients.values()}
    places = []
    for n in reversed(range(len(program.definitions))):
        d = program.definitions[n]
        if d.name in wanted:
            places.append(n)
            wanted |= set(references(d.rhs))
    return reversed(places)
