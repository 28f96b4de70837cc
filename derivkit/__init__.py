"""Derive gradients at symbolic sizes, run them as NumPy, verify anybody's.

The front door is lazy: importing derivkit loads neither SymPy nor NumPy, and a name's module is imported when the name
is first used.

>>> import derivkit as dk
>>> "derive" in dir(dk)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from derivkit.checking.check import assert_gradient, check_gradient, check_jacobian, check_jvp, check_vjp
    from derivkit.checking.many import check_many
    from derivkit.checking.report import Report
    from derivkit.checking.structured import check_kernel
    from derivkit.checking.verify.findings import Verification
    from derivkit.checking.verify.notes import verify
    from derivkit.errors import DerivationError, DerivkitError
    from derivkit.numeric.cost import cost as cost
    from derivkit.numeric.data import load_digits
    from derivkit.numeric.kernel import compile
    from derivkit.numeric.lambdify import lambdify
    from derivkit.numeric.train import fit
    from derivkit.symbolic.derive import PARAMETERS, derive, program
    from derivkit.symbolic.gallery import gallery

__version__ = "0.1.0"

__all__ = [
    "PARAMETERS",
    "DerivationError",
    "DerivkitError",
    "Report",
    "Verification",
    "__version__",
    "assert_gradient",
    "check_gradient",
    "check_jacobian",
    "check_jvp",
    "check_kernel",
    "check_many",
    "check_vjp",
    "compile",
    "cost",
    "derive",
    "fit",
    "gallery",
    "lambdify",
    "load_digits",
    "program",
    "verify",
]

#: Where each public name lives.
_HOME: dict[str, str] = {
    "derive": "derivkit.symbolic.derive",
    "PARAMETERS": "derivkit.symbolic.derive",
    "program": "derivkit.symbolic.derive",
    "gallery": "derivkit.symbolic.gallery",
    "compile": "derivkit.numeric.kernel",
    "cost": "derivkit.numeric.cost",
    "lambdify": "derivkit.numeric.lambdify",
    "fit": "derivkit.numeric.train",
    "load_digits": "derivkit.numeric.data",
    "check_gradient": "derivkit.checking.check",
    "check_vjp": "derivkit.checking.check",
    "check_jvp": "derivkit.checking.check",
    "check_jacobian": "derivkit.checking.check",
    "check_many": "derivkit.checking.many",
    "check_kernel": "derivkit.checking.structured",
    "assert_gradient": "derivkit.checking.check",
    "Report": "derivkit.checking.report",
    "verify": "derivkit.checking.verify.notes",
    "Verification": "derivkit.checking.verify.findings",
    "DerivkitError": "derivkit.errors",
    "DerivationError": "derivkit.errors",
}

#: Modules behind the door that need more than derivkit does: not in ``__all__``, so that ``import *`` does without.
_MODULES = ("strategies",)


def __getattr__(name: str) -> object:
    """Import the module where ``name`` lives, and keep the value for the next time."""
    if name in _MODULES:
        return import_module(f"derivkit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'derivkit' has no attribute '{name}'")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__, *_MODULES})
