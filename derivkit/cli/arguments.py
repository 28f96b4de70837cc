"""Reading the command line from a table of options.

Not argparse: a program may start with a minus sign (``-sum(t*log(y))``), an error is one line, and the help must cost
a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.limits import SIZE

#: What an option looks like, as opposed to a program that starts with a minus sign.
_OPTION = re.compile(r"(--[a-z][a-z-]*)(?:=(.*))?", re.DOTALL)


class Option(NamedTuple):
    """One row of a command's table: a flag when ``value`` is empty, else what stands for its value in the help."""

    name: str
    value: str
    help: str
    choices: tuple[str, ...] = ()
    repeats: bool = False
    short: str = ""


class Command(NamedTuple):
    """One subcommand: its positional argument (or none), its options, and the module whose ``run`` does it.

    ``second`` is what may stand beside the positional argument, and with ``many`` any number of its kind.
    """

    name: str
    summary: str
    positional: str
    positional_help: str
    options: tuple[Option, ...]
    module: str
    second: str = ""
    many: bool = False


class Arguments(NamedTuple):
    """What was given: the positional argument and, for each option, its values in order (``""`` for a flag).

    ``others`` are the positional arguments behind the first, of a command that takes many.
    """

    positional: str | None
    values: dict[str, list[str]]
    second: str | None = None
    others: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of the option ``name``, or ``None``."""
        return self.values[name][-1] if name in self.values else None

    def all(self, name: str) -> list[str]:
        """Return every value given for the option ``name``."""
        return self.values.get(name, [])

    def has(self, name: str) -> bool:
        """Return whether the option ``name`` was given."""
        return name in self.values

    def names(self, name: str) -> list[str]:
        """Return the value of ``name`` as a list of names separated by commas.

        >>> Arguments(None, {"--wrt": ["W1, b"]}).names("--wrt")
        ['W1', 'b']
        """
        names = [part.strip() for part in (self.get(name) or "").split(",")]
        if names == [""]:
            return []
        if "" in names:
            raise usage(f"{name} needs names separated by commas, not '{echo(self.get(name))}'", f"{name} W1,b1")
        return names

    def sizes(self, most: int = SIZE) -> dict[str, int]:
        """Return the numbers of ``--sizes`` by name, each from 1 to ``most``.

        >>> Arguments(None, {"--sizes": ["D=784, N=64"]}).sizes()
        {'D': 784, 'N': 64}
        """
        sizes: dict[str, int] = {}
        for given in self.names("--sizes"):
            name, _, value = (part.strip() for part in given.partition("="))
            number = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(most)) else 0
            if not name.isidentifier() or not 0 < number <= most:
                raise usage(f"--sizes needs NAME=NUMBER, from 1 to {most}, not '{echo(given)}'", "--sizes 'D=784, N=64'")
            if name in sizes:
                raise usage(f"--sizes was given twice for '{name}'")
            sizes[name] = number
        return sizes


def usage(message: str, hint: str | None = None) -> DerivkitError:
    """Return the error for a wrong command line."""
    return DerivkitError(message, code="DK060", hint=hint)


def read_arguments(command: Command, tokens: Sequence[str]) -> Arguments:
    """Return the arguments of ``command``, or raise :class:`DerivkitError` (DK060).

    >>> derive = Command("derive", "", "PROGRAM", "", (Option("--wrt", "NAMES", ""),), "")
    >>> read_arguments(derive, ["-sum(t*log(y))", "--wrt", "y"])
    Arguments(positional='-sum(t*log(y))', values={'--wrt': ['y']}, second=None, others=())
    """
    options = {flag: option for option in command.options for flag in (option.name, option.short) if flag}
    positional: str | None = None
    second: str | None = None
    others: list[str] = []
    values: dict[str, list[str]] = {}
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if token == "--":
            rest, plain = [], rest
        elif token != "-" and (found := _split(command, options, token, command.many or positional is not None)):
            option, value = found
            if option.value and value is None:
                if not rest or rest[0] in options:
                    raise usage(f"{option.name} needs a value: {option.name} {'|'.join(option.choices) or option.value}")
                value = rest.pop(0)
            _keep(values, option, value)
            continue
        else:
            plain = [token]
        for text in plain:
            if positional is not None and second is None and command.second:
                second = text
                continue
            if positional is not None and command.many:
                others.append(text)
                continue
            if positional is not None or not command.positional:
                program = command.positional == "PROGRAM"
                hint = (
                    f"quote a program: derivkit {command.name} 'sum(x**2)'" if program else f"see derivkit {command.name} --help"
                )
                raise usage(f"unexpected argument '{echo(text)}'", hint)
            positional = text
    return Arguments(positional, values, second, tuple(others))


def _split(command: Command, options: dict[str, Option], token: str, filled: bool) -> tuple[Option, str | None] | None:
    """Return the option that ``token`` names and the value attached to it, or ``None`` when it is no option."""
    if token in options:
        return options[token], None
    match = _OPTION.fullmatch(token)
    if match is None:
        if token.startswith("-") and (filled or not command.positional):
            raise usage(f"unknown option '{echo(token)}'", f"see derivkit {command.name} --help")
        return None
    name, value = match.groups()
    if name not in options:
        hint = did_you_mean(name, options) or f"see derivkit {command.name} --help; a program that starts with -- goes after --"
        raise usage(f"unknown option '{echo(name)}'", hint)
    if value is not None and not options[name].value:
        raise usage(f"{name} takes no value")
    return options[name], value


#: What people call a choice elsewhere, where another choice is spelt more like it.
_MEANT = {"tex": "latex", "md": "markdown", "py": "python", "numpy": "python"}


def _keep(values: dict[str, list[str]], option: Option, value: str | None) -> None:
    """Add ``value`` to ``values`` when the option's row allows it."""
    text = value or ""
    if option.value and not text.strip():
        raise usage(f"{option.name} needs a value: {option.name} {'|'.join(option.choices) or option.value}")
    if option.choices and text not in option.choices:
        meant = _MEANT.get(text)
        hint = (
            f"did you mean '{meant}'?"
            if meant in option.choices
            else did_you_mean(text, option.choices) or f"one of {', '.join(option.choices)}"
        )
        raise usage(f"{option.name} cannot be '{echo(text)}'", hint)
    if option.name in values and option.value and not option.repeats:
        raise usage(f"{option.name} was given twice")
    values.setdefault(option.name, []).append(text)


def command_help(command: Command) -> str:
    """Return what ``derivkit COMMAND --help`` prints."""
    rows = [(f"{command.positional} {command.second}".rstrip(), command.positional_help)] if command.positional else []
    for option in command.options:
        flags = f"{option.short}, {option.name}" if option.short else option.name
        value = "|".join(option.choices) or option.value
        rows.append((f"{flags} {value}".rstrip(), option.help))
    second = f"[{command.second}]" if command.second else ""
    positional = f"{command.positional}..." if command.many else command.positional
    head = " ".join(part for part in ("usage: derivkit", command.name, positional, second, "[OPTIONS]") if part)
    return "\n".join([head, "", command.summary, "", *table(rows)]) + "\n"


def table(rows: Iterable[tuple[str, str]], width: int = 26) -> list[str]:
    """Return two columns as lines; a left entry longer than ``width`` has a line of its own.

    >>> table([("-o FILE", "write there")], width=9)
    ['  -o FILE    write there']
    """
    lines: list[str] = []
    for left, right in rows:
        if len(left) > width:
            lines += [f"  {left}", f"  {'':{width}}  {right}"]
        else:
            lines.append(f"  {left:{width}}  {right}")
    return lines
