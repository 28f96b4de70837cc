"""``derivkit check``: a program's gradients, or somebody's for it, or those of somebody's own functions."""

from __future__ import annotations

import inspect
import json
import math
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from typing import Any

from derivkit.checking.many import KINDS
from derivkit.checking.report import Report
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.data import read_values
from derivkit.errors import DerivkitError, did_you_mean, echo

RIGHT, WRONG = 0, 1
#: Which options belong to which of the two forms.
_OF_PROGRAMS = ("--wrt", "--data", "--file", "--shape", "--batch", "--reduce")
_OF_FUNCTIONS = ("--args", "--kind", "--rtol", "--seed")
_EXAMPLE = "derivkit check 'sum(x**2)' --wrt x --data x.npz, or derivkit check module:function module:gradient --args x.npz"


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the report, and 0 if the gradients are right, else 1 (also where it cannot be decided)."""
    functions = arguments.second is not None or arguments.has("--args")
    other = _OF_PROGRAMS if functions else _OF_FUNCTIONS
    for name in other:
        if arguments.has(name):
            raise usage(f"{name} has no meaning for {'functions' if functions else 'a program'}", _EXAMPLE)
    # a program costs SymPy to import, and functions need none of it
    report = _of_functions(arguments) if functions else import_module("derivkit.cli.check_program").report_of(arguments)
    report = replace(report, reproduce=_again(arguments))
    written = json.dumps(report.to_json(), indent=2) if arguments.get("--format") == "json" else str(report)
    return written, RIGHT if report.ok else WRONG


def _again(arguments: Arguments) -> str:
    """Return the command that was given; ``""`` where it would not be one line."""
    given = [arguments.positional, arguments.second]
    options = [word for name, values in arguments.values.items() for value in values for word in (name, value) if name != "-o"]
    line = shlex.join(["derivkit", "check", *(g for g in given if g is not None), *(word for word in options if word)])
    return "" if "\n" in line else line


# -- somebody's functions -------------------------------------------------------------------------------------------------


def _of_functions(arguments: Arguments) -> Report:
    path = arguments.get("--args")
    if path is None:
        raise usage("--args is missing", "a file with the function's arguments by name: --args arrays.npz")
    if arguments.positional is None or arguments.second is None:
        raise usage("a function and its gradient are needed", "derivkit check module:function module:gradient --args arrays.npz")
    options: dict[str, Any] = {"seed": _number(arguments, "--seed", int, 0), "rtol": _number(arguments, "--rtol", float, 0.0)}
    kind = arguments.get("--kind") or "gradient"
    if not 0 <= options["rtol"] < 1:
        raise usage("--rtol must be a number from 0 up to 1", "--rtol 1e-3")
    with redirect_stdout(sys.stderr):  # what they print is no result of ours
        try:
            f, claim = (_function(text) for text in (arguments.positional, arguments.second))
            return KINDS[kind](f, claim, *_arguments(f, path), **options)
        except SystemExit as error:
            raise DerivkitError("the code under test wants to exit", code="DK050") from error


def _number(arguments: Arguments, name: str, number: type, otherwise: float) -> Any:
    text = arguments.get(name)
    if text is None:
        return otherwise
    try:
        value = number(text)
    except ValueError:
        value = math.nan
    if not (text.isascii() and math.isfinite(value) and 0 <= value < 2**63):
        raise usage(f"{name} must be a number from 0, not '{echo(text)}'", f"{name} {'7' if number is int else '1e-3'}")
    return value


def _function(text: str) -> Callable[..., Any]:
    """Return the function that ``module:name`` means; the current folder is looked in first, as Python does."""
    module, _, name = text.partition(":")
    parts = [*module.split("."), *name.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise usage(f"'{echo(text)}' is no module:function", "derivkit check model:loss model:grad --args arrays.npz")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            message = f"there is no module '{echo(module)}'"
            raise DerivkitError(message, code="DK042", hint="it is looked for in the current folder first") from error
        raise _failed(module, error) from error
    except Exception as error:
        raise _failed(module, error) from error
    for part in name.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, [known for known in dir(found) if not known.startswith("_")])
            raise DerivkitError(f"'{echo(module)}' has no '{echo(part)}'", code="DK008", hint=hint)
        found = getattr(found, part)
    if not callable(found):
        raise DerivkitError(f"'{echo(text)}' is no function, but {type(found).__name__}", code="DK010")
    return found  # type: ignore[no-any-return]


def _failed(module: str, error: Exception) -> DerivkitError:
    return DerivkitError(f"importing '{echo(module)}' fails: {type(error).__name__}: {echo(error)}", code="DK050")


def _arguments(f: Callable[..., Any], path: str) -> list[Any]:
    """Return the arguments in the order of f's signature; in the file's, where the signature has no names or they are none."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    values = read_values(path, named[0].name if named else "x")
    nameless = list(values) == [f"arr_{k}" for k in range(len(values))]  # what numpy.savez calls arrays without names
    if nameless or not named or any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return list(values.values())
    names = [p.name for p in named]
    for name in values:
        if name not in names:
            hint = did_you_mean(name, names) or f"its arguments are {', '.join(names)}"
            raise DerivkitError(
                f"'{echo(path)}' has '{echo(name)}', which is no argument of the function", code="DK040", hint=hint
            )
    for p in named:
        if p.name not in values and p.default is p.empty:
            raise DerivkitError(f"'{echo(path)}' has no '{p.name}', an argument of the function", code="DK041")
    given = [p for p in named if p.name in values]
    if [p.name for p in given] != names[: len(given)]:
        skipped = next(name for name in names if name not in values)
        raise DerivkitError(f"'{echo(path)}' has no '{skipped}', which comes before others that it has", code="DK041")
    return [values[p.name] for p in given]
