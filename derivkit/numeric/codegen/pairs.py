"""Statements that compute two things at once: softmax and its logarithm, a sigmoid and its slope share their exponentials.

``writer`` is the writer of a module: it knows the texts of what is computed already, and takes new lines and variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from derivkit.symbolic.arrays import Array, Numbering, postorder
from derivkit.symbolic.arrays.text import SUM, Text, within


class Pair(NamedTuple):
    """A row: two operations of one argument, the helper that returns both, and what the second is called.

    ``plain``: a line of the program that is one of the two stays as it is written there.
    """

    first: str
    second: str
    helper: str
    called: str
    plain: bool = False


PAIRS = (
    Pair("softmax", "log_softmax", "softmax_and_log", "log_{}"),
    Pair("sigmoid", "sigmoid_slope", "sigmoid_and_slope", "slope"),
    Pair("softplus", "sigmoid", "softplus_and_slope", "slope", plain=True),
)
_OPERATIONS = frozenset(op for pair in PAIRS for op in (pair.first, pair.second))


class Writer(Protocol):
    """What is asked of a writer."""

    numbers: Numbering
    texts: dict[int, Text]
    lines: list[str]

    def text(self, node: Array, root: bool = False) -> Text:
        """Return the text of a node, after the statements that it needs."""
        ...

    def uses_of(self, node: Array) -> int:
        """Return how often a node is read, one for the definition that it is."""
        ...

    def is_line(self, node: Array) -> bool:
        """Return whether a node is a definition with a statement of its own."""
        ...

    def word_for(self, node: Array, wanted: str) -> str:
        """Return the variable of the definition that a node is, or a new one."""
        ...

    def bound(self, node: Array, text: Text) -> Text:
        """Return a variable for the text of a node."""
        ...

    def resolved(self, node: Array) -> Array:
        """Return the node that an inlined name stands for."""
        ...


class Pairs:
    """The pairs of a program."""

    def __init__(self, writer: Writer, roots: Sequence[Array]) -> None:
        """Find which operations have a partner, and which logarithms are read at labels alone."""
        self.writer = writer
        self.partner: dict[int, tuple[Pair, Array, Array]] = {}
        self.at_labels: dict[int, Array] = {}
        numbers = writer.numbers
        nodes = {numbers(node): node for root in roots for node in postorder(root) if _operation(node) in _OPERATIONS}
        for pair in PAIRS:
            for node in nodes.values():
                if _operation(node) != pair.first or numbers(node) in self.partner:
                    continue
                other = nodes.get(numbers(_other(node, pair.second)))
                if other is not None and not (pair.plain and (writer.is_line(node) or writer.is_line(other))):
                    self.partner |= dict.fromkeys((numbers(node), numbers(other)), (pair, node, other))
        for root in roots:
            for node in postorder(root):
                if _picks_labels(node) and writer.uses_of(node.args[0]) == 1 and numbers(node.args[0]) in self.partner:
                    self.at_labels[numbers(node.args[0])] = node

    def text(self, node: Array) -> Text | None:
        """Return the text of a node that has a partner, after the statement of both; ``None`` for another."""
        if node.op == "add":
            return self._less_onehot(node)
        picked = _picks_labels(node) and self.writer.numbers(node.args[0]) in self.at_labels
        found = self.partner.get(self.writer.numbers(node.args[0] if picked else node))
        if found is None:
            return None
        pair, first, second = found
        writer = self.writer
        argument = within(writer.text(first.args[0]), SUM)
        label = self.at_labels.get(writer.numbers(second))
        own = writer.word_for(first, "p" if pair.first == "softmax" else "u")
        if label is not None:
            other = writer.word_for(label, f"log_{own}")
            call = f"softmax_and_log_of({argument}, {within(writer.text(label.args[2]), SUM)})"
        else:
            other = writer.word_for(second, pair.called.format(own))
            call = f"{pair.helper}({argument}{_axis(first)})"
        writer.lines.append(f"{own}, {other} = {call}")
        writer.texts[writer.numbers(first)] = Text(own)
        writer.texts[writer.numbers(second if label is None else label)] = Text(other)
        return writer.texts[writer.numbers(node)]

    def _less_onehot(self, node: Array) -> Text | None:
        """X - onehot(label) as a change of one entry in each row, in place where x is a softmax that nobody else reads."""
        if node.params != (1, -1) or node.args[1].op != "onehot" or not node.args[1].args or node.args[0].shape != node.shape:
            return None
        label = node.args[1].args[0]
        if label.op != "name" or label.rank > 1:
            return None
        writer, softmax = self.writer, self.writer.resolved(node.args[0])
        text, place = within(writer.text(node.args[0]), SUM), within(writer.text(label), SUM)
        alone = writer.uses_of(softmax) == 1 and (softmax is node.args[0] or writer.uses_of(node.args[0]) == 1)
        if writer.numbers(softmax) in self.partner and alone and text.isidentifier():
            at = place if not label.rank else f"np.arange({node.shape[0]}), {place}"
            writer.lines.append(f"{text}[{at}] -= 1")
            writer.texts[writer.numbers(node)] = Text(text)
            return Text(text)
        made = Text(f"minus_onehot({text}, {place})")
        return writer.bound(node, made) if writer.uses_of(node) > 1 and not writer.is_line(node) else made


def _operation(node: Array) -> str:
    """Return the name of a function, or of an operation along one axis."""
    if node.op == "along" and len(node.params[1]) != 1:  # type: ignore[arg-type]
        return ""
    return str(node.params[0]) if node.op in ("fn", "along") else ""


def _other(node: Array, op: str) -> Array:
    return Array(node.op, node.args, node.shape, (op, *node.params[1:]))


def _axis(node: Array) -> str:
    axes: tuple[int, ...] = node.params[1] if node.op == "along" else (node.rank - 1,)  # type: ignore[assignment]
    return "" if axes == (node.rank - 1,) else f", axis={axes[0]}"


def _picks_labels(node: Array) -> bool:
    """Return whether a node is log_softmax(z)[n, label[n]]."""
    if node.op != "gather" or len(node.args) != 3:
        return False
    x, rows, label = node.args
    return (
        x.op == "along" and x.params == ("log_softmax", (1,)) and rows.op == "arange" and label.op == "name" and label.rank == 1
    )
