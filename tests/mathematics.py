"""A reader of printed matrix notation, ``((W2ᵀ (y − t)) ⊙ (1 − h²)) xᵀ``, as a mathematician reads it.

A vector is a column, a product of two matrices or vectors is a matrix product, and a scalar multiplies anything.  Terms
and entrywise factors have one shape (no row or column is repeated under a matrix); only 𝟏 has the length that it needs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import oracle

Value = np.ndarray
TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|axis=-?\d|[A-Za-zΑ-Ωα-ω][A-Za-z0-9_]*|⁻¹|⁻ᵀ|[−+⊙⊘·/ᵀ²³⁴^(),‖√\[\]|><≤≥𝟏])")
SUPERSCRIPTS = {"²": 2, "³": 3, "⁴": 4}
COMPARISONS = {">": np.greater, "<": np.less, "≤": np.less_equal, "≥": np.greater_equal}
ELEMENTWISE = {name: np.vectorize(f, otypes=[float]) for name, f in oracle.scalar_functions(oracle.MPMATH).items()}


class Loose(np.ndarray):
    """A matrix plus a number under each entry: a mathematician reads this among entrywise operations only."""


ANY = 97  # the length of 𝟏 until another operand tells it
OPENERS = {"(", "√", "‖", "|", "[", "𝟏"}


def spelled(token: str) -> str:
    """Return a name's program spelling: a Greek letter in words."""
    if len(token) > 1 or ord(token) <= 0x370:
        return token
    word = unicodedata.name(token).split()[-1]
    return word.capitalize() if token.isupper() else word.lower()


class Reader:
    """Evaluates a formula while reading it."""

    def __init__(self, text: str, names: Mapping[str, Any], rows: int) -> None:
        """Read ``text`` over the values of ``names``; ``rows`` is the size that I, 𝟏 and one-hot vectors have."""
        self.tokens = TOKEN.findall(text)
        assert "".join(self.tokens) == "".join(text.split()), f"not read: {text}"
        self.names = {n: np.asarray(v, float) for n, v in names.items()}
        self.rows = rows
        self.at = 0
        self.inside: list[str] = []  # bars that were opened: the next of its kind closes

    def value(self) -> Value:
        made = self.sum()
        assert self.at == len(self.tokens), self.tokens[self.at :]
        assert not isinstance(made, Loose), "a number beside a matrix"
        return made

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        assert not expected or token == expected, (expected, token)
        self.at += 1
        return token

    def sum(self) -> Value:
        total = -self.product() if self.peek() == "−" and self.take() else self.product()
        while self.peek() in {"+", "−"}:
            sign = 1 if self.take() == "+" else -1
            left, right = fitted(total, self.product())
            total = left + sign * right
            if left.ndim != right.ndim and min(total.shape) > 1:
                total = total.view(Loose)
        return total

    def product(self) -> Value:
        made = self.power()
        while True:
            token = self.peek()
            if token in {"⊙", "·"}:
                self.take()
                left, right = fitted(made, self.power())
                made = np.asarray(left) * np.asarray(right) if left.ndim == right.ndim else left * right
            elif token in {"⊘", "/"}:
                self.take()
                divisor = self.power()
                assert token == "⊘" or divisor.ndim == 0
                made, divisor = fitted(made, divisor)
                made = made / divisor
            elif (token in OPENERS and token not in self.inside) or (token[:1].isalnum() and token != "ᵀ"):
                made = times(made, self.power())
            else:
                return made

    def power(self) -> Value:
        made = self.atom()
        while self.peek() in {"ᵀ", "⁻¹", "⁻ᵀ", "^", *SUPERSCRIPTS}:
            token = self.take()
            if token in {"⁻¹", "⁻ᵀ"}:
                made = np.linalg.inv(made) if token == "⁻¹" else np.linalg.inv(made).T
            elif token == "ᵀ":
                assert made.ndim == 2
                made = made.T
            else:
                made = made ** (SUPERSCRIPTS[token] if token in SUPERSCRIPTS else self.atom())
        return made

    def atom(self) -> Value:
        token = self.take()
        if token[0].isdecimal() and token != "𝟏":
            return np.asarray(float(token))
        if token == "(":
            return self.closed(")")
        if token == "√":
            return np.sqrt(self.atom())
        if token == "‖":
            inner = self.closed("‖")
            assert not isinstance(inner, Loose), "a number beside a matrix"
            return np.asarray(np.sqrt(np.sum(inner**2)))
        if token == "|":
            return np.abs(self.closed("|"))
        if token == "[":
            return self.comparison()
        if token == "𝟏":
            return np.ones((ANY, 1))
        name = spelled(token)
        if self.peek() == "(" and name not in self.names:
            return self.call(name)
        if name == "I" and name not in self.names:
            return np.eye(ANY)
        found = self.names[name] if name in self.names else np.asarray(np.pi)
        return found[:, None] if found.ndim == 1 else found

    def closed(self, bracket: str) -> Value:
        before, self.inside = self.inside, [bracket] if bracket in OPENERS else []
        made = self.sum()
        self.take(bracket)
        self.inside = before
        return made

    def comparison(self) -> Value:
        made = self.compared()
        self.take("]")
        return made

    def compared(self) -> Value:
        """Read a term, and what it is compared with if a sign follows: 1 where it holds."""
        left = self.sum()
        return np.asarray(COMPARISONS[self.take()](left, self.sum()), float) if self.peek() in COMPARISONS else left

    def call(self, name: str) -> Value:
        self.take("(")
        arguments, axis = [], None
        while self.peek() != ")":
            if self.peek().startswith("axis="):
                axis = int(self.take().removeprefix("axis="))
            else:
                arguments.append(self.compared())
            if self.peek() == ",":
                self.take()
        self.take(")")
        (x, *_) = arguments
        if name in {"sum", "mean"}:
            f = getattr(np, name)
            return np.asarray(f(x)) if axis is None else f(x, axis=axis, keepdims=True).reshape(-1, 1)
        if name in {"softmax", "log_softmax"}:
            e = np.exp(x) / np.sum(np.exp(x), axis=0 if x.shape[1] == 1 else 1, keepdims=True)
            return e if name == "softmax" else np.log(e)
        if name == "diag":
            return np.diagflat(x) if x.shape[1] == 1 else np.diag(x)[:, None]
        if name == "onehot":
            return np.eye(self.rows)[:, [int(x)]]
        return np.asarray(ELEMENTWISE[name](*arguments))


def times(a: Value, b: Value) -> Value:
    """Return the product of two things side by side."""
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    assert not isinstance(a, Loose), "a number beside a matrix"
    assert not isinstance(b, Loose), "a number beside a matrix"
    if a.shape[1] != b.shape[0]:
        a, b = (a[:, : b.shape[0]], b) if a.shape[1] == ANY else (a, b[: a.shape[1]])
    made = a @ b
    return made[0, 0] if made.shape == (1, 1) else made


def fitted(a: Value, b: Value) -> tuple[Value, Value]:
    """Return two operands that are to have one shape, where they are no scalars: 𝟏 takes the length of the other."""
    if a.ndim == 0 or b.ndim == 0:
        return a, b
    a, b = as_long_as(a, b.shape), as_long_as(b, a.shape)
    assert a.shape == b.shape, f"{a.shape} beside {b.shape}"
    return a, b


def as_long_as(x: Value, shape: tuple[int, ...]) -> Value:
    """Return ``x``, where it has the length of 𝟏 with that of ``shape``."""
    return x[tuple(slice(n if n < length == ANY else length) for n, length in zip(shape, x.shape, strict=True))]
