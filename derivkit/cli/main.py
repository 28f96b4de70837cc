"""``derivkit``: results on standard output, all else on standard error.

Exit 0 when it is done (or right), 1 when a claim or gradient is wrong, 2 for bad input, 130 when interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import derivkit
from derivkit.cli.arguments import Arguments, Command, command_help, read_arguments, table, usage
from derivkit.cli.commands import COMMANDS
from derivkit.cli.files import check_output, write_output
from derivkit.errors import DerivkitError, did_you_mean, echo

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    derivkit ...
    0
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        text, path, status = _run(tokens)
        if path is None:
            _print(text)
        else:
            write_output(path, text)
    except KeyboardInterrupt as stop:
        return _complain(" ".join(["derivkit: interrupted", *map(str, stop.args)]), INTERRUPTED)
    except Exception as error:
        if "--debug" in tokens and sys.stderr is not None:
            sys.excepthook(type(error), error, error.__traceback__)
        return _complain(_deliberate(error).report(), BAD_INPUT)
    return status


def _run(tokens: list[str]) -> tuple[str, str | None, int]:
    """Return the text of the result, the file that it goes to (``None``: standard output), and the exit code."""
    if not tokens:
        raise usage("no command given", f"one of {', '.join(c.name for c in COMMANDS)}; see derivkit --help")
    name, rest = tokens[0], tokens[1:]
    if name in {"-h", "--help"}:
        return _help(), None, DONE
    if name == "--version":
        return f"derivkit {derivkit.__version__}\n", None, DONE
    command = _command(name)
    before = rest[: rest.index("--")] if "--" in rest else rest
    if {"-h", "--help"} & set(before):
        return command_help(command), None, DONE
    arguments = read_arguments(command, rest)
    path = arguments.get("--output")
    if path == "-":
        path = None
    if path is not None:
        check_output(path, "without -o, it is printed")
    text, status = _handler(command, arguments)
    return text if text.endswith("\n") else text + "\n", path, status


def _handler(command: Command, arguments: Arguments) -> tuple[str, int]:
    """Load the command's module, and do it."""
    result: tuple[str, int] = import_module(command.module).run(arguments)
    return result


def _command(name: str) -> Command:
    for command in COMMANDS:
        if command.name == name:
            return command
    names = [command.name for command in COMMANDS]
    what = "option" if name.startswith("--") else "command"
    raise usage(f"unknown {what} '{echo(name)}'", did_you_mean(name, [*names, "--help", "--version"]) or "see derivkit --help")


def _help() -> str:
    lines = [
        "usage: derivkit COMMAND [OPTIONS]",
        "",
        "Derive gradients at symbolic sizes, run them as NumPy, verify anybody's.",
        "",
        *table((command.name, command.summary) for command in COMMANDS),
        "",
        *table([("--version", "print the version"), ("COMMAND --help", "the options of a command")]),
        "",
        "for example:",
        "  derivkit derive 'E = sum((W @ x - y)**2)' --wrt W",
        "  derivkit gallery two_layer_tanh | derivkit derive - --wrt W1",
    ]
    return "\n".join(lines) + "\n"


def _deliberate(error: Exception) -> DerivkitError:
    """Return ``error`` as one that can be reported in one line."""
    match error:
        case DerivkitError():
            return error
        case RecursionError() | MemoryError():
            return DerivkitError("the input is too large or nested too deep", code="DK018")
        case _:
            message = f"unexpected {type(error).__name__}: {echo(error)}"
            return DerivkitError(message, code="DK060", hint="this is a fault of derivkit; --debug shows where")


def _print(text: str) -> None:
    """Write ``text`` to standard output; a reader that has seen enough (``| head``) is no error."""
    if sys.stdout is None:
        raise DerivkitError("standard output is closed", code="DK042")
    try:
        try:
            text.encode(sys.stdout.encoding or "utf-8")
        except UnicodeEncodeError:
            # Right bytes on a narrow terminal are better than question marks in a formula.
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DerivkitError(f"cannot write to standard output: {error.strerror}", code="DK042") from error


def _complain(text: str, status: int) -> int:
    if sys.stderr is not None:
        print(text, file=sys.stderr)
    return status
