"""Arrays of other libraries: read as NumPy arrays, and made again as they came (library, dtype, device, gradient asked for).

No library is imported here: one whose arrays come in has been imported by whoever made them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivkit.errors import DerivkitError

Array = NDArray[Any]

#: What the array API standard, the NumPy protocol and DLPack call their ways in: one of them makes an array.
_DOORS = ("__array_namespace__", "__array__", "__dlpack__")
#: NumPy has no names for these: they are read as float32, which holds each of their numbers.
_INTEGERS = ("int", "uint")


def numeric(value: Any) -> Any:
    """Return an array of any library as a NumPy array; what is no array comes back as it is.

    bfloat16 and the like, which NumPy has not, come as float32.  Masked entries come as NaN.  Raises DerivkitError (DK010)
    for an array of floats that cannot be read.

    >>> numeric(np.float32(0.5)), numeric("text"), numeric(np.ma.array([1.0, 2.0], mask=[False, True]))
    (array(0.5, dtype=float32), 'text', array([ 1., nan]))
    """
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.filled(value.astype(np.float64), np.nan) if np.any(np.ma.getmaskarray(value)) else np.asarray(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _known(np.asarray(value))
    if is_torch(value):
        return _from_torch(value)
    if isinstance(value, type) or not any(hasattr(value, door) for door in _DOORS):
        return value
    return _from_any(value)


def is_torch(value: Any) -> bool:
    """Return whether ``value`` is a tensor of PyTorch."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(value, tensor)


def _known(array: Array) -> Array:
    """Return an array of a dtype that others have added to NumPy (ml_dtypes, of JAX) in one that NumPy computes in."""
    if array.dtype.kind != "V" or array.dtype.type is np.void:
        return array
    return array.astype(np.int64 if array.dtype.name.startswith(_INTEGERS) else np.float32)


def _from_torch(tensor: Any) -> Array:
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        strided = plain if str(plain.layout) == "torch.strided" else plain.to_dense()
        try:
            return np.asarray(strided.numpy())
        except TypeError:  # bfloat16 and narrower
            return np.asarray(strided.float().numpy())
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise _unreadable(tensor, error) from error


def _from_any(value: Any) -> Any:
    why: Exception = TypeError("it has no way in")
    for way in (np.asarray, np.from_dlpack, _from_default_device, _from_get):
        try:
            return _known(way(value))
        except Exception as error:  # whatever somebody's array says to this, the next way is tried
            why = error
    if "float" in str(getattr(value, "dtype", "")):
        raise _unreadable(value, why)
    return value  # a random key of JAX, say: no number


def _from_default_device(value: Any) -> Array:
    library = value.__array_namespace__()
    return np.asarray(value.to_device(library.__array_namespace_info__().default_device()))


def _from_get(value: Any) -> Array:
    return np.asarray(value.get())  # CuPy's word for a copy on the host


def _unreadable(value: Any, error: Exception) -> DerivkitError:
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    message = f"an array of {kind} cannot be read by NumPy: {str(error).partition(chr(10))[0]}"
    return DerivkitError(message, code="DK010", hint="pass one that converts by __array__ or DLPack")


def precision_name(value: Any) -> str | None:
    """Return the name of a float dtype that NumPy has not, such as bfloat16, or ``None``.

    >>> precision_name(np.ones(2)) is None
    True
    """
    dtype = getattr(value, "dtype", None)
    name = str(getattr(dtype, "name", None) or dtype).rpartition(".")[2]
    return name if "float" in name and name not in _NUMPY_FLOATS else None


_NUMPY_FLOATS = {np.dtype(letter).name for letter in "efdg"} | {np.dtype(letter).name for letter in "FDG"}


def like(array: Array, template: Any, *, dtype: bool = False) -> Any:
    """Return ``array``, which is nobody else's, as ``template`` came: library, device, gradient asked for, kind of scalar.

    With ``dtype``, in the template's dtype too; else in the array's own, as far as the library has it.

    >>> like(np.array(2.0), np.float64(1.0)), like(np.ones(2), np.zeros(2))
    (np.float64(2.0), array([1., 1.]))
    """
    if isinstance(template, np.generic):
        return array.astype(template.dtype)[()] if dtype else array[()]
    if isinstance(template, np.matrix):
        return array.view(np.matrix)
    if isinstance(template, np.ndarray):
        return array.astype(template.dtype, copy=False) if dtype else array
    if is_torch(template):
        return _to_torch(array, template, dtype)
    if hasattr(template, "__array_namespace__"):
        return _to_any(array, template, dtype)
    return array


def _to_torch(array: Array, template: Any, dtype: bool) -> Any:
    torch = sys.modules["torch"]
    made = torch.from_numpy(array).to(device=template.device)
    made = made.to(dtype=template.dtype) if dtype else made
    if isinstance(template, torch.nn.Parameter):
        return torch.nn.Parameter(made, requires_grad=template.requires_grad)
    return made.requires_grad_(template.requires_grad) if made.is_floating_point() else made


def _to_any(array: Array, template: Any, dtype: bool) -> Any:
    library = template.__array_namespace__()
    device = getattr(template, "device", None)
    options = {"dtype": template.dtype} if dtype else {}
    try:
        return library.asarray(array, device=device, **options)
    except (TypeError, ValueError):  # not every library follows the standard in what it calls a device
        return library.asarray(array, **options)


def hosted(kind: str, f: Callable[..., Any], claim: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the two functions so that their values are NumPy's: arguments go in as they are, a cotangent as f's value came.

    The pullback is called after f, as a layer object's must be.

    >>> value, pullback = hosted("vjp", lambda x: x, lambda y_bar, x: y_bar)
    >>> value(np.ones(2)), pullback(np.zeros(2), np.ones(2))
    (array([1., 1.]), array([0., 0.]))
    """
    came: list[Any] = [None]

    def value(*args: Any) -> Any:
        came[0] = f(*args)
        return numeric(came[0])

    def claimed(*args: Any) -> Any:
        if kind == "jvp":
            return numeric(claim(*args))
        if kind == "vjp" and not isinstance(came[0], (np.ndarray, np.generic)):
            seed = like(np.asarray(args[0]), came[0], dtype=True)
            return claim(seed[()] if isinstance(seed, np.ndarray) and seed.ndim == 0 else seed, *args[1:])
        return claim(*args)

    value.__name__ = getattr(f, "__name__", type(f).__name__)
    return value, claimed
