"""Calls that can be sent to another process: by pickle, by cloudpickle where that fails, or an error that says what cannot."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from derivkit.errors import DerivkitError, echo

#: What pickling a thing of somebody else's may raise.
_REFUSALS = (pickle.PicklingError, AttributeError, TypeError, ValueError, RecursionError, NotImplementedError)


def packed(name: str, case: Sequence[Any], call: Callable[[], Any]) -> Callable[[], Any]:
    """Return ``call`` in a form that can be sent; DerivkitError (DK010) names the case and what of it cannot be."""
    try:
        pickle.dumps(call)
        return call
    except _REFUSALS as error:
        try:
            import cloudpickle
        except ImportError:
            hint = "define its functions at the top of a module, or install cloudpickle"
            raise _refusal(name, _culprit(case, pickle.dumps), "", error, hint) from error
    try:
        return _Unpacked(cloudpickle.dumps(call))
    except Exception as error:  # whatever the things that a closure holds say to this
        hint = "make it inside the function, or use threads"
        raise _refusal(name, _culprit(case, cloudpickle.dumps), ", even by cloudpickle", error, hint) from error


def _refusal(name: str, what: str, how: str, error: Exception, hint: str) -> DerivkitError:
    said = f"case {name!r}: {what} cannot be sent to another process{how}: {_line(error)}"
    return DerivkitError(said, code="DK010", hint=hint)


class _Unpacked:
    """A call that was made by cloudpickle; it is read where it is called."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __call__(self) -> Any:
        return pickle.loads(self.data)()  # noqa: S301 - our own bytes, made by packed


def _culprit(case: Sequence[Any], dumps: Callable[[Any], bytes]) -> str:
    """Return what of a case cannot be pickled, and of a closure which variable."""
    for part in case:
        if _fails(part, dumps):
            cells = getattr(part, "__closure__", None) or ()
            held = zip(getattr(getattr(part, "__code__", None), "co_freevars", ()), cells, strict=False)
            inner = next((name for name, cell in held if _fails(_content(cell), dumps)), None)
            closure = f", through its variable '{echo(inner)}'," if inner else ""
            kind = "the closure" if cells else "the function" if callable(part) else f"an argument of {type(part).__name__}"
            return f"{kind} {_described(part)}{closure}" if callable(part) else kind
    return "it"


def _described(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__name__)
    code = getattr(function, "__code__", None)
    return f"{name} (line {code.co_firstlineno} of {code.co_filename.rpartition('/')[2]})" if code else str(name)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _fails(value: Any, dumps: Callable[[Any], bytes]) -> bool:
    try:
        dumps(value)
    except Exception:
        return True
    return False


def _line(error: Exception) -> str:
    return echo(str(error).partition("\n")[0], 120)
