"""What an undeclared name is: what its uses force comes first, the habit of its letter decides the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from derivkit.symbolic.ops import OPS
from derivkit.symbolic.parse import syntax
from derivkit.symbolic.parse.lexer import GREEK
from derivkit.symbolic.parse.shapes import PARAMETER_RANKS, walk

#: Words for small or scalar quantities that are no spelling of a Greek letter, but are read as one.
GREEK_WORDS = frozenset({*GREEK.values(), "eps", "lam", "lambda"})
#: Small numbers that are added to whatever it may be.
_TINY = frozenset({"eps", "epsilon"})
#: Operations that make one number of an array, unless told an axis.
_TO_NUMBERS = frozenset({"sum", "mean", "prod", "norm", "max", "min", "logsumexp", "var", "std", "trace", "det", "logdet"})
#: Operations whose first argument is a matrix.
_OF_MATRIX = frozenset({"inv", "det", "logdet", "solve", "trace"})


@dataclass(frozen=True, slots=True)
class Habits:
    """The rank of each undeclared name, by its uses and else by its letter.

    ``divisors`` are upper-case letters that only divide: sizes, if an axis comes to have that name, else scalars.
    ``coefficients`` are names that would be scalars if the output were one.
    """

    exact: Mapping[str, int]
    least: Mapping[str, int]
    divisors: frozenset[str] = frozenset()
    coefficients: frozenset[str] = frozenset()

    def rank(self, name: str) -> int:
        """Return the rank that ``name`` is assumed to have."""
        return self.exact.get(name, max(_by_letter(name), self.least.get(name, 0)))

    def with_scalars(self) -> Habits:
        """Return the habits under which the coefficients are scalars."""
        return replace(self, exact={**self.exact, **dict.fromkeys(self.coefficients, 0)}, coefficients=frozenset())


def _by_letter(name: str) -> int:
    """Upper case is a matrix, lower case a vector, a Greek letter a scalar (``eps`` is ε, ``lam`` is λ)."""
    stem = name.split("_")[0].rstrip("0123456789")
    if stem in GREEK_WORDS:
        return 0
    return _by_case(name)


def _by_case(name: str) -> int:
    return 2 if name[0].isupper() else 1


def read_habits(statements: Iterable[syntax.Statement]) -> Habits:
    """Return what the uses of names tell about their ranks.

    >>> from derivkit.symbolic.parse.statements import parse_program
    >>> habits = read_habits(parse_program("y[i] = sum[j](a[i,j]*x[j]) + beta/N + (c - mu) @ inv(Sigma) @ c", set()).statements)
    >>> [habits.rank(name) for name in ("a", "x", "beta", "N", "W", "b", "mu", "Sigma")]
    [2, 1, 0, 0, 2, 1, 1, 2]
    """
    statements = tuple(statements)
    nodes = list(walk(statements))
    lines = {s.name: s.value for s in statements if isinstance(s, syntax.Definition)}
    letters = {
        i.id for n in (*nodes, *statements) if isinstance(n, syntax.IndexedReduce | syntax.IndexDefinition) for i in n.indices
    }
    exact: dict[str, int] = {}
    least: dict[str, int] = {}
    uses: dict[str, list[bool]] = {}
    numbers = _beside_numbers(nodes)
    scaling: dict[str, bool] = {}  # whether it stands beside a number wherever it stands
    divisors: set[int] = set()
    for node in nodes:
        match node:
            case syntax.Binary("/", _, right):
                divisors.add(id(right))
            case syntax.Binary("@", left, right):
                for name in (*_multiplied(left, lines), *_multiplied(right, lines)):
                    least[name] = max(least.get(name, 0), _by_case(name))
            case syntax.Call("sqrt", (argument,)):
                divisors.add(id(argument))
            case syntax.Call(function, (argument, *others)) if function in _OF_MATRIX:
                least.update(dict.fromkeys((n for right in others for n in _multiplied(right, lines) if n not in least), 1))
                least.update(dict.fromkeys(_matrices(argument), 2))
            case syntax.Call(function, args) if function in PARAMETER_RANKS:
                named = zip(OPS[function].parameters, args, strict=False)
                given = [*named, *((k.name, k.value) for k in node.keywords)]
                ranks = PARAMETER_RANKS[function]
                exact.update({a.id: ranks[p] for p, a in given if p in ranks and isinstance(a, syntax.Name)})
            case syntax.Subscript(syntax.Name(name), items):
                inside = {n.id for n in walk(items) if isinstance(n, syntax.Name)}
                if inside & letters and not any(isinstance(i, syntax.Slice | syntax.NoneItem) for i in items):
                    exact[name] = max(exact.get(name, 0), len(items))
            case syntax.Name(name):
                uses.setdefault(name, []).append(id(node) in divisors)
                scaling[name] = scaling.get(name, True) and id(node) in numbers
    divide = frozenset(n for n, divides in uses.items() if len(n) == 1 and n.isupper() and all(divides) and n not in exact)
    exact = {**exact, **dict.fromkeys(divide, 0)}
    habits = Habits(exact, least, divide)
    once = {n for n, found in uses.items() if len(found) == 1 and n not in exact and n not in least and n not in lines}
    beside = {n for n, scales in scaling.items() if scales and n not in exact and n not in least and n not in lines}
    found = _coefficients(statements, lines, {n for n in once if habits.rank(n)})
    return replace(habits, coefficients=found | {n for n in beside if habits.rank(n)})


def _multiplied(operand: syntax.Expression, lines: Mapping[str, syntax.Expression]) -> Iterator[str]:
    """Yield the names that an operand of ``@`` forces to be no scalars: itself, and the terms of x − μ, named or not."""
    inner = operand.base if isinstance(operand, syntax.Attribute) else operand
    if isinstance(inner, syntax.Name) and inner.id not in lines:
        yield inner.id
        return
    value = lines.get(inner.id, inner) if isinstance(inner, syntax.Name) else inner
    for term in _parts(value, "+-"):
        if isinstance(term, syntax.Name) and term.id.split("_")[0] not in _TINY:
            yield term.id


def _matrices(argument: syntax.Expression) -> Iterator[str]:
    """Yield the names that are matrices because a whole argument is one: Σ in 2 Σ + λ I."""
    terms = [f for term in _parts(argument, "+-") for f in _parts(term, "*/")]
    inner = [t.base if isinstance(t, syntax.Attribute) else t for t in terms]
    names = [t.id for t in inner if isinstance(t, syntax.Name)]
    plain = [t for t in inner if not isinstance(t, syntax.Number)]
    yield from names if len(plain) == 1 else (n for n in names if n[0].isupper())


def _parts(node: syntax.Expression, operators: str) -> list[syntax.Expression]:
    """Return the terms of a sum, or the factors of a product, without signs."""
    found: list[syntax.Expression] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, syntax.Unary):
            waiting.append(part.operand)
        elif isinstance(part, syntax.Binary) and part.op in operators:
            waiting += [part.right, part.left]
        else:
            found.append(part)
    return found


def _beside_numbers(nodes: Iterable[syntax.Expression | syntax.Slice]) -> set[int]:
    """Return the ids of the names, squared or not, that multiply or divide what is one number: C in C/2*sum(w**2)."""
    found: set[int] = set()
    inner: set[int] = set()
    for node in nodes:
        if not isinstance(node, syntax.Binary) or node.op not in "*/" or id(node) in inner:
            continue
        factors: list[syntax.Expression] = []
        waiting: list[syntax.Expression] = [node]
        while waiting:
            part = waiting.pop()
            if isinstance(part, syntax.Binary) and part.op in "*/":
                inner.add(id(part))
                waiting += [part.right, part.left]
            elif isinstance(part, syntax.Unary):
                waiting.append(part.operand)
            else:
                factors.append(part.left if isinstance(part, syntax.Binary) and part.op == "**" else part)
        if any(isinstance(f, syntax.Call) and f.function in _TO_NUMBERS and not f.keywords and len(f.args) == 1 for f in factors):
            found.update(id(f) for f in factors if isinstance(f, syntax.Name))
    return found


def _coefficients(
    statements: tuple[syntax.Statement, ...], lines: Mapping[str, syntax.Expression], once: set[str]
) -> frozenset[str]:
    """Return the names of ``once`` that only multiply a term of the last line, beside a term without such a name."""
    last = statements[-1]
    value = last.value if isinstance(last, syntax.Output | syntax.Definition) else None
    if isinstance(value, syntax.Name):
        value = lines.get(value.id)
    found: Counter[str] = Counter()
    plain = False
    for term in [] if value is None else _parts(value, "+-"):
        factors = [f for f in _parts(term, "*/") if not isinstance(f, syntax.Number)]
        names = {f.id for f in factors if isinstance(f, syntax.Name) and f.id in once}
        found.update(names if len(names) < len(factors) else ())
        plain = plain or not names
    return frozenset(found) if plain else frozenset()
