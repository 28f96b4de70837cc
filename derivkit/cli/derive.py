"""``derivkit derive``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isinf
from typing import Any

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.files import helped, read_program
from derivkit.errors import echo
from derivkit.symbolic.ops import FUNCTIONS
from derivkit.symbolic.parse.statements import parse_program

#: The printing options that mean something for each format; any other one given is a mistake worth saying.
_PAGE = ("--layout", "--notation", "--steps", "--lemmas", "--style", "--title", "--label")
_PRINTING = {
    **dict.fromkeys(("text", "latex", "markdown", "html"), _PAGE),
    "program": ("--layout", "--notation"),
    "json": (),
    "python": (),
}


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the derivation in the format asked for."""
    style = arguments.get("--format") or "text"
    printing = _printing(arguments, style)
    text = read_program(arguments, "derive")
    wrt = required_wrt(arguments)
    shapes = read_shapes(arguments)
    options: dict[str, Any] = {"wrt": wrt, "shapes": shapes, "kind": arguments.get("--kind")}
    if arguments.has("--along"):
        options["along"] = arguments.names("--along")
    point = read_point(arguments.get("--at") or "") if arguments.has("--at") else None
    if point is not None and style != "text":
        raise usage(f"--at has no meaning with --format {style}", "it prints a table, with --format text")
    with helped(arguments.positional, "derive"):
        if style == "python":
            return dk.compile(text, batch=(), **options).source, 0
        if point is not None:
            shapes |= _scalars(text, point, shapes)
        derivation = dk.derive(text, **options)
        table = "" if point is None else f"\n\n{derivation.at(point)}"
    match style:
        case "json":
            written = derivation.to_json()
        case "latex":
            written = derivation.latex(**printing)
        case "markdown":
            written = derivation.markdown(**printing)
        case "html":
            written = derivation.html(**printing)
        case "program":
            written = derivation.program(**printing)
        case _:
            written = derivation.text(**printing) + table
    return written, 0


def read_point(text: str) -> dict[str, object]:
    """Return the values of ``--at`` by name: numbers, and lists of them in brackets.

    >>> read_point("x0=1, w=[0.3, -0.1]")
    {'x0': 1, 'w': [0.3, -0.1]}
    """
    point: dict[str, object] = {}
    example = "--at 'x0=1, w=[0.3, 0.1]'"
    for part in _at_commas(text):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not name.isidentifier() or not equals:
            raise usage(f"--at needs NAME=VALUE, not '{echo(part.strip())}'", example)
        if name in point:
            raise usage(f"--at has '{echo(name)}' twice")
        try:
            point[name] = json.loads(value.replace("−", "-"), parse_constant=_no_number, parse_float=_finite)
        except (ValueError, RecursionError):
            point[name] = _plain_number(name, value, example)
    if not point:
        raise usage("--at is empty", example)
    return point


def _finite(text: str) -> float:
    """Return a number that a float holds: 1e400 is none."""
    if isinf(value := float(text)):
        raise ValueError(text)
    return value


def _plain_number(name: str, value: str, example: str) -> float:
    """Return a number that JSON does not write: ``.5``, ``+1``."""
    if not re.fullmatch(r"[+−-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", value):
        raise usage(f"'{echo(value)}' is no value for '{echo(name)}'", example)
    try:
        return _finite(value.replace("−", "-"))
    except ValueError:
        raise usage(f"'{echo(value)}' is beyond the numbers of '{echo(name)}'", example) from None


def _no_number(word: str) -> object:
    raise ValueError(word)


def _at_commas(text: str) -> list[str]:
    """Return the parts between the commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [p for p in parts if p.strip()]


def _scalars(text: str, point: Mapping[str, object], shapes: Mapping[str, str]) -> dict[str, str]:
    """Return that names given a number are scalars, where the program does not say what they are."""
    told = {getattr(s, "name", "") for s in parse_program(text, FUNCTIONS).statements}
    return {n: "" for n, value in point.items() if not isinstance(value, list) and n not in told and n not in shapes}


def _printing(arguments: Arguments, style: str) -> dict[str, object]:
    """Return the printing options as keywords; those not given keep the default of the Python call."""
    known = _PRINTING[style]
    for name in _PAGE:
        if arguments.has(name) and name not in known:
            raise usage(f"{name} has no meaning with --format {style}")
    notation = arguments.get("--notation")
    if style == "program" and notation not in (None, "index", "matrix"):
        raise usage(f"--notation {notation} has no meaning with --format program", "one of index, matrix")
    given = [name for name in known if arguments.has(name)]
    return {_KEYWORDS.get(name, name[2:]): _value(arguments, name) for name in given}


#: The keyword of an option, where it is another word.
_KEYWORDS = {"--label": "labels"}


def _value(arguments: Arguments, name: str) -> object:
    """Return the value of a printing option as the Python call takes it."""
    match name:
        case "--lemmas":
            return True
        case "--label":
            return read_pairs(arguments, "--label", "NAME=TEX", r"--label 'W1=\mathbf{W}_1'")
    return arguments.get(name)


def required_wrt(arguments: Arguments) -> list[str]:
    """Return the names of ``--wrt``; without any there is nothing to derive."""
    wrt = arguments.names("--wrt")
    if not wrt:
        raise usage("--wrt is missing", "say what to differentiate with respect to: --wrt W1")
    return wrt


def read_shapes(arguments: Arguments) -> dict[str, str]:
    """Return ``--shape NAME=SIZES`` as a mapping.

    >>> read_shapes(Arguments(None, {"--shape": ["W1=M, D", "t = onehot K"]}))
    {'W1': 'M, D', 't': 'onehot K'}
    """
    return read_pairs(arguments, "--shape", "NAME=SIZES", "--shape W1=M,D or --shape 't=onehot K'")


def read_pairs(arguments: Arguments, option: str, form: str, example: str) -> dict[str, str]:
    """Return the values of an option that repeats, each ``NAME=...``, as a mapping."""
    pairs: dict[str, str] = {}
    for given in arguments.all(option):
        name, equals, value = (part.strip() for part in given.partition("="))
        if not name or not equals:
            raise usage(f"{option} needs {form}, not '{echo(given)}'", example)
        if name in pairs:
            raise usage(f"{option} was given twice for '{echo(name)}'")
        pairs[name] = value
    return pairs
