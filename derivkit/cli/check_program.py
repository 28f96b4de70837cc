"""``derivkit check PROGRAM``: the derived gradients of a program, or somebody's for it, at the arrays of a file."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

import derivkit as dk
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.data import read_values
from derivkit.cli.derive import read_shapes, required_wrt
from derivkit.cli.files import helped, read_program
from derivkit.errors import DerivkitError, did_you_mean, echo
from derivkit.numeric.kernel import Kernel

#: What an array is called that claims to be the gradient by NAME.
CLAIM = "grad_"


def report_of(arguments: Arguments) -> dk.Report:
    """Return the report on the derived gradients, or on those that the file claims."""
    text = read_program(arguments, "check")
    wrt = required_wrt(arguments)
    path = arguments.get("--data")
    if path is None:
        raise usage("--data is missing", "a file with the inputs by name, and your gradients as grad_NAME: --data arrays.npz")
    if arguments.has("--reduce") and not arguments.has("--batch"):
        raise usage("--reduce has no meaning without --batch", "--batch names the inputs that have a batch axis: --batch x,t")
    reduce = {"reduce": arguments.get("--reduce")} if arguments.has("--reduce") else {}
    with helped(arguments.positional, "check"):
        kernel = dk.compile(text, wrt=wrt, shapes=read_shapes(arguments), batch=tuple(arguments.names("--batch")), **reduce)
    values = read_values(path, wrt[0] if len(wrt) == 1 else None)
    arrays, claims = _sorted(values, kernel, path)
    if kernel.derivation.kind == "jacobian":
        return _jacobian(kernel, arrays, claims)
    return dk.check_kernel(kernel, arrays, claims or None)


def _sorted(values: Mapping[str, Any], kernel: Kernel, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and the claims that a file holds; what is neither is told on standard error."""
    inputs = {str(i.name) for i in kernel.program.inputs}
    wanted = tuple(kernel.program.gradients)
    arrays = {name: value for name, value in values.items() if name in inputs}
    claims = {name[len(CLAIM) :]: value for name, value in values.items() if name.startswith(CLAIM) and name not in inputs}
    for name in claims:
        if name not in wanted:
            hint = did_you_mean(name, wanted) or f"--wrt names {', '.join(wanted)}"
            raise DerivkitError(
                f"'{echo(path)}' has '{echo(CLAIM + name)}', and there is no such gradient", code="DK040", hint=hint
            )
    unused = [name for name in values if name not in arrays and name.removeprefix(CLAIM) not in claims]
    missing = [name for name in sorted(inputs) if name not in arrays]
    if missing:
        near = did_you_mean(missing[0], unused) if unused else None
        hint = near or f"it has {', '.join(echo(name) for name in values) or 'none'}"
        raise DerivkitError(f"'{echo(path)}' has no '{missing[0]}', an input of the program", code="DK041", hint=hint)
    if unused and sys.stderr is not None:
        print(f"derivkit: not used: {', '.join(echo(name) for name in unused[:8])}", file=sys.stderr)
    return arrays, claims


def _jacobian(kernel: Kernel, arrays: dict[str, Any], claims: dict[str, Any]) -> dk.Report:
    """Check the Jacobians of a program whose value is an array: all entries, along random directions."""
    names = [name for name in kernel.program.gradients if not claims or name in claims]

    def value(*given: Any) -> Any:
        return kernel({**arrays, **dict(zip(names, given, strict=True))})[0]

    def jacobians(*given: Any) -> Any:
        derived = claims or kernel({**arrays, **dict(zip(names, given, strict=True))})[1]
        return tuple(derived[name] for name in names)

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    value.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    value.__name__ = str(kernel.derivation.primal.output)
    found = dict(zip((str(i.name) for i in kernel.program.inputs), kernel.arguments(arrays, {}), strict=True))
    return dk.check_jacobian(value, jacobians, *(found[name] for name in names))
