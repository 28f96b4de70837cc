"""Applying the table of rules: matching modulo associativity and commutativity, scalar letters standing for anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import permutations

from derivkit.symbolic.derive.rows import Bindings, read_row
from derivkit.symbolic.expr import Add, Const, Expr, Fn, Mul, Name, Num, Pow, Ref, SizeOf, key, walk
from derivkit.symbolic.normal import add, fn, mul, normal, power, scaled
from derivkit.symbolic.rules import RULES, Rule

_LETTERS = "xab"
_PARTS_LIMIT = 6

Letters = dict[Name, Expr]


def rewrite(expr: Expr) -> tuple[Expr, tuple[Rule, ...]]:
    """Return ``expr`` with every rule of the table applied where it matches, and the rules used."""
    used: dict[str, Rule] = {}
    calls = {n.op for n in walk(expr) if isinstance(n, Fn)}
    if not any(_calls(rule) <= calls for rule in RULES):
        return expr, ()
    made = _everywhere(expr, used, tuple(r for r in RULES if not r.alone))
    for rule in RULES:
        if rule.alone:
            tried: dict[str, Rule] = {}
            other = _everywhere(made, tried, (rule,))
            if tried and _functions(other) <= _functions(made):
                made, used = other, used | tried
    return made, tuple(used.values())


@lru_cache(maxsize=256)
def _calls(rule: Rule) -> frozenset[str]:
    """Return the functions that an expression must call for a rule to match in it."""
    return frozenset(n.op for n in walk(_compiled(rule)[0]) if isinstance(n, Fn))


def _functions(expr: Expr) -> int:
    """Return how many different calls of functions are written: a rule that is for what stands ``alone`` adds none."""
    return len({key(n) for n in walk(expr) if isinstance(n, Fn)})


def _everywhere(expr: Expr, used: dict[str, Rule], rules: Sequence[Rule]) -> Expr:
    if expr.children:
        children = tuple(_everywhere(c, used, rules) for c in expr.children)
        if any(a is not b for a, b in zip(children, expr.children, strict=True)):
            expr = normal(expr.rebuilt(children))
    for rule in rules:
        pattern, result = _compiled(rule)
        for whole, rest in _parts(pattern, expr):
            found = next(_match(pattern, whole, {}), None)
            if found is not None:
                used[rule.name] = rule
                new = _filled(result, found)
                made = new if not rest else (mul if isinstance(expr, Mul) else add)((new, *rest))
                return _everywhere(made, used, rules)
    return expr


@lru_cache(maxsize=256)
def _compiled(rule: Rule) -> tuple[Expr, Expr]:
    letters = {c: Ref(Name("pattern", c)) for c in _LETTERS}
    return read_row(rule.before, Bindings(scalars=letters)), read_row(rule.after, Bindings(scalars=letters))


def _parts(pattern: Expr, expr: Expr) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
    """Yield the parts of ``expr`` that a product or sum pattern may match, each with the operands left over."""
    kind = type(pattern)
    if kind is type(expr) and isinstance(expr, Mul | Add) and isinstance(pattern, Mul | Add):
        size = len(pattern.args)
        if len(expr.args) <= _PARTS_LIMIT:
            for chosen in permutations(range(len(expr.args)), size):
                rest = tuple(a for n, a in enumerate(expr.args) if n not in chosen)
                yield type(expr)(tuple(expr.args[n] for n in chosen)), rest
    elif kind is type(expr):
        yield expr, ()
    elif isinstance(expr, Mul) and not isinstance(pattern, Add):
        for n, factor in enumerate(expr.args):
            if isinstance(factor, kind):
                yield factor, expr.args[:n] + expr.args[n + 1 :]


def _match(pattern: Expr, expr: Expr, found: Letters) -> Iterator[Letters]:
    if isinstance(pattern, Ref) and pattern.name.kind == "pattern":
        if pattern.name not in found:
            yield {**found, pattern.name: expr}
        elif key(found[pattern.name]) == key(expr):
            yield found
        return
    if _is_negated_letter(pattern) and isinstance(expr, Mul | Num):
        yield from _match(pattern.children[1], scaled(-1, expr), found)
        return
    if type(pattern) is not type(expr) or len(pattern.children) != len(expr.children):
        return
    if isinstance(pattern, Num | Const | SizeOf):
        if pattern == expr:
            yield found
    elif isinstance(pattern, Fn) and isinstance(expr, Fn):
        if pattern.op == expr.op:
            yield from _in_order(pattern.children, expr.children, found)
    elif isinstance(pattern, Pow):
        yield from _in_order(pattern.children, expr.children, found)
    elif isinstance(pattern, Mul | Add):
        for order in permutations(expr.children):
            yield from _in_order(pattern.children, order, found)


def _is_negated_letter(pattern: Expr) -> bool:
    """Say whether the pattern is −x: it matches anything, x being minus it; used for a sign that is already there."""
    return isinstance(pattern, Mul) and len(pattern.args) == 2 and pattern.args[0] == Num(-1) and isinstance(pattern.args[1], Ref)


def _in_order(patterns: tuple[Expr, ...], exprs: tuple[Expr, ...], found: Letters) -> Iterator[Letters]:
    if not patterns:
        yield found
        return
    for inner in _match(patterns[0], exprs[0], found):
        yield from _in_order(patterns[1:], exprs[1:], inner)


def _filled(expr: Expr, found: Letters) -> Expr:
    if isinstance(expr, Ref):
        return found.get(expr.name, expr)
    children = tuple(_filled(c, found) for c in expr.children)
    if isinstance(expr, Add):
        return add(children)
    if isinstance(expr, Mul):
        return mul(children)
    if isinstance(expr, Pow):
        return power(*children)
    return fn(expr.op, children) if isinstance(expr, Fn) else expr
