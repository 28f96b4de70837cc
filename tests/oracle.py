"""An interpreter of programs that shares nothing with derivkit: Python reads the lines, NumPy's object arrays do the rest.

The scalars may be SymPy expressions, mpmath numbers or Python's complex numbers; each has its table of functions, and a
function of a complex argument continues the real one from its real part.
"""

from __future__ import annotations

import cmath
import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
import sympy

DECLARATION = re.compile(r"^(\w+):\s*(?:(real|onehot|simplex|label|mask|positive|symmetric)\b)?\s*(.*)$")
SCALAR_TEST = re.compile(r"\bwhere\((\w+) > ([\d.]+),")  # Python's complex numbers do not compare
STEP = 1e-40


def _branch(test: Callable[[Any], Any], yes: Callable[[Any], Any], no: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return x ↦ yes(x) where test(x), else no(x), for whatever x is; SymPy keeps both."""

    def chosen(x: Any) -> Any:
        if isinstance(x, sympy.Basic) and not x.is_number:
            return sympy.Piecewise((yes(x), test(x)), (no(x), True))
        return yes(x) if test(getattr(x, "real", x)) else no(x)

    return chosen


def _flag(test: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def decided(a: Any, b: Any) -> Any:
        if isinstance(a, sympy.Basic) or isinstance(b, sympy.Basic):
            return sympy.Piecewise((1, test(sympy.sympify(a), sympy.sympify(b))), (0, True))
        return int(test(getattr(a, "real", a), getattr(b, "real", b)))

    return decided


def _where(c: Any, a: Any, b: Any) -> Any:
    if isinstance(c, sympy.Basic):
        return sympy.Piecewise((a, sympy.Ne(c, 0)), (b, True))
    return a if c else b


def _complex_erf(x: complex) -> complex:
    x = complex(x)
    return math.erf(x.real) + 1j * x.imag * 2 / math.sqrt(math.pi) * math.exp(-(x.real**2))


def _complex_erf_slope(x: complex) -> float:
    return 2 / math.sqrt(math.pi) * math.exp(-(complex(x).real ** 2))


class _Sympy:
    exp, log, sin, cos, tan, sinh, cosh, tanh, erf = (getattr(sympy, n) for n in "exp log sin cos tan sinh cosh tanh erf".split())
    erfc = sympy.erfc
    arctan, sqrt, pi = sympy.atan, sympy.sqrt, sympy.pi
    half, rational = sympy.Rational(1, 2), staticmethod(lambda text: sympy.Rational(text))


class _Mpmath:
    exp, log, sin, cos, tan, sinh, cosh, tanh, erf = (
        getattr(mpmath, n) for n in "exp log sin cos tan sinh cosh tanh erf".split()
    )
    arctan, sqrt, pi, erfc = mpmath.atan, mpmath.sqrt, mpmath.pi, mpmath.erfc
    half, rational = mpmath.mpf("0.5"), staticmethod(lambda text: mpmath.mpf(text))


class _Complex:
    exp, log, sin, cos, tan, sinh, cosh, tanh = (getattr(cmath, n) for n in "exp log sin cos tan sinh cosh tanh".split())
    erf = staticmethod(_complex_erf)
    erfc = staticmethod(lambda x: math.erfc(complex(x).real) - 1j * complex(x).imag * _complex_erf_slope(x))
    arctan, sqrt, pi = cmath.atan, cmath.sqrt, math.pi
    half, rational = 0.5, staticmethod(lambda text: float(text))


SYMPY, MPMATH, COMPLEX = _Sympy, _Mpmath, _Complex


def scalar_functions(s: Any) -> dict[str, Callable[..., Any]]:
    """Return every elementwise operation of the language on scalars of the system ``s``, written from the books."""
    exp, log, tanh, erf, half, r = s.exp, s.log, s.tanh, s.erf, s.half, s.rational

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + exp(-x))

    def softplus(x: Any) -> Any:
        return log(1 + exp(x))

    def positive(x: Any) -> Any:
        return x > 0

    def smaller(a: Any, b: Any) -> Any:
        return a <= b

    flags = {
        "greater": _flag(lambda a, b: a > b),
        "less": _flag(lambda a, b: a < b),
        "greater_equal": _flag(lambda a, b: a >= b),
        "less_equal": _flag(smaller),
        "equal": _flag(lambda a, b: sympy.Eq(a, b) if isinstance(a, sympy.Basic) else a == b),
        "not_equal": _flag(lambda a, b: sympy.Ne(a, b) if isinstance(a, sympy.Basic) else a != b),
    }

    def pick(flag: str, a: Any, b: Any) -> Any:
        return _where(flags[flag](a, b), a, b)

    def elu(x: Any, alpha: Any = 1) -> Any:
        return _branch(positive, lambda v: v, lambda v: alpha * (exp(v) - 1))(x)

    def leaky_relu(x: Any, slope: Any = None) -> Any:
        return _branch(positive, lambda v: v, lambda v: (r("0.01") if slope is None else slope) * v)(x)

    def clip(x: Any, lo: Any, hi: Any) -> Any:
        inside = _where(flags["less"](x, lo), lo, x)
        return _where(flags["greater"](inside, hi), hi, inside)

    return {
        **{n: getattr(s, n) for n in "exp log sin cos tan sinh cosh tanh erf erfc arctan sqrt".split()},
        **flags,
        "log1p": lambda x: log(1 + x),
        "expm1": lambda x: exp(x) - 1,
        "square": lambda x: x * x,
        "abs": _branch(positive, lambda x: x, _branch(lambda x: x < 0, lambda x: -x, lambda x: 0 * x)),
        "sign": _branch(positive, lambda x: 1 + 0 * x, _branch(lambda x: x < 0, lambda x: -1 + 0 * x, lambda x: 0 * x)),
        "step": _branch(positive, lambda x: 1 + 0 * x, lambda x: 0 * x),
        "sigmoid": sigmoid,
        "softplus": softplus,
        "relu": _branch(positive, lambda x: x, lambda x: 0 * x),
        "leaky_relu": leaky_relu,
        "elu": elu,
        "selu": lambda x: r("1.0507009873554805") * elu(x, r("1.6732632423543772")),
        "gelu": lambda x: x * half * (1 + erf(x / s.sqrt(2))),
        "gelu_tanh": lambda x: x * half * (1 + tanh(s.sqrt(2 / s.pi) * (x + r("0.044715") * x**3))),
        "silu": lambda x: x * sigmoid(x),
        "mish": lambda x: x * tanh(softplus(x)),
        "hardtanh": lambda x: _where(flags["less"](x, 1), _where(flags["greater"](x, -1), x, -1 + 0 * x), 1 + 0 * x),
        "minimum": lambda a, b: pick("less_equal", a, b),
        "maximum": lambda a, b: pick("greater_equal", a, b),
        "clip": clip,
        "where": _where,
    }


def _reduced(x: Any, axis: int | tuple[int, ...] | None, keepdims: bool, one: Callable[[Any], Any]) -> Any:
    """Apply ``one`` (of a list of scalars) along an axis, over several, or to everything."""
    x = np.asarray(x, dtype=object)
    if isinstance(axis, tuple):
        kept = [n for n in range(x.ndim) if n not in axis]
        x, axis = x.transpose(*kept, *axis).reshape(*(x.shape[n] for n in kept), -1), -1
    if axis is None:
        value = one(list(x.ravel()))
        return np.full((1,) * x.ndim, value, dtype=object) if keepdims else value
    moved = np.moveaxis(x, axis, -1)
    out = np.empty(moved.shape[:-1], dtype=object)
    for where in np.ndindex(out.shape):
        out[where] = one(list(moved[where]))
    return np.expand_dims(out, axis) if keepdims else out[()]


def functions(s: Any) -> dict[str, Any]:
    """Return the names of the language as functions of object arrays over the system ``s``."""
    scalar = scalar_functions(s)

    def lifted(f: Callable[..., Any]) -> Callable[..., Any]:
        def each(*args: Any) -> Any:
            arrays = np.broadcast_arrays(*(np.asarray(a, dtype=object) for a in args))
            out = np.empty(arrays[0].shape, dtype=object)
            for where in np.ndindex(out.shape):
                out[where] = f(*(a[where] for a in arrays))
            return out.view(Array)[()]

        return each

    class Array(np.ndarray):
        """An array of scalars that compares by the system's own comparisons."""

        __gt__ = lifted(scalar["greater"])
        __lt__ = lifted(scalar["less"])
        __ge__ = lifted(scalar["greater_equal"])
        __le__ = lifted(scalar["less_equal"])

    e = {name: lifted(f) for name, f in scalar.items()}

    def biggest(values: list[Any]) -> Any:
        if isinstance(values[0], sympy.Basic):
            return sympy.Max(*values)
        best = values[0]
        for v in values[1:]:
            best = scalar["maximum"](best, v)
        return best

    def total(values: list[Any]) -> Any:
        return sum(values[1:], values[0]) if values else 0

    def reduction(one: Callable[[list[Any]], Any]) -> Callable[..., Any]:
        return lambda x, axis=None, keepdims=False: _reduced(x, axis, keepdims, one)

    def product(values: list[Any]) -> Any:
        out = values[0]
        for v in values[1:]:
            out = out * v
        return out

    def mean(values: list[Any]) -> Any:
        return total(values) / len(values)

    def var(values: list[Any]) -> Any:
        m = mean(values)
        return mean([(v - m) * (v - m) for v in values])

    summed = reduction(total)

    def softmax(x: Any, axis: int = -1) -> Any:
        z = e["exp"](x)
        return z / summed(z, axis, True)

    def log_softmax(x: Any, axis: int = -1) -> Any:
        return x - e["log"](summed(e["exp"](x), axis, True))

    def picked(t: Any, rows: Any) -> Any:
        """Return −Σ t · rows over the last axis; a label t picks."""
        t, rows = np.asarray(t), np.asarray(rows, dtype=object)
        if t.dtype.kind in "iu":
            return -np.take_along_axis(rows, t[..., None], -1)[..., 0][()]
        return -summed(t * rows, -1)

    def huber(y: Any, t: Any, c: Any = 1) -> Any:
        r = np.asarray(y - t, dtype=object)
        size = e["abs"](r)
        return summed(e["where"](e["less_equal"](size, c), r * r / 2, c * (size - c * s.half)), -1)

    def minor(a: Any, row: int, column: int) -> Any:
        return np.delete(np.delete(np.asarray(a, dtype=object), row, 0), column, 1)

    def det(a: Any) -> Any:
        """Return the determinant by cofactors along the first row."""
        a = np.asarray(a, dtype=object)
        if a.shape == (0, 0):
            return 1
        return total([(-1) ** k * a[0, k] * det(minor(a, 0, k)) for k in range(a.shape[1])])

    def inv(a: Any) -> Any:
        """Return the adjugate over the determinant."""
        out = np.empty(np.shape(a), dtype=object)
        for i, j in np.ndindex(out.shape):
            out[i, j] = (-1) ** (i + j) * det(minor(a, j, i)) / det(a)
        return out.view(Array)

    return {
        **e,
        "inv": inv,
        "solve": lambda a, b: inv(a) @ b,
        "det": det,
        "logdet": lambda a: e["log"](e["abs"](det(a))),
        "array": lambda x: np.asarray(x, dtype=object).view(Array)[()],
        "pi": s.pi,
        "sum": summed,
        "mean": reduction(mean),
        "prod": reduction(product),
        "var": reduction(var),
        "std": reduction(lambda v: s.sqrt(var(v))),
        "max": reduction(biggest),
        "min": reduction(lambda v: -biggest([-x for x in v])),
        "norm": reduction(lambda v: s.sqrt(total([x * x for x in v]))),
        "logsumexp": reduction(lambda v: s.log(total([s.exp(x) for x in v]))),
        "softmax": softmax,
        "log_softmax": log_softmax,
        "cross_entropy": lambda t, y: picked(t, e["log"](y)),
        "softmax_cross_entropy": lambda t, z: picked(t, log_softmax(z)),
        "binary_cross_entropy": lambda t, p: -summed(t * e["log"](p) + (1 - t) * e["log"](1 - p), -1),
        "squared_error": lambda y, t: summed((y - t) * (y - t), -1),
        "kl_div": lambda p, q: summed(p * e["log"](p / q), -1),
        "huber": huber,
        "hinge": lambda t, y: summed(e["maximum"](0, 1 - t * y), -1),
        "linear": lambda x, W, b: x @ W.T + b,
        "dot": lambda a, b: a @ b,
        "outer": np.multiply.outer,
        "inner": lambda a, b: np.sum(a * b),
        "diag": np.diag,
        "trace": np.trace,
        "eye": lambda n: np.eye(n, dtype=int).astype(object),
        "zeros": lambda n: np.zeros(n, dtype=int).astype(object),
        "ones": lambda n: np.ones(n, dtype=int).astype(object),
        "over": lambda n: lambda body: total([body(k) for k in range(n)]),
        "stack": lambda *x, axis=0: np.stack([np.asarray(v, dtype=object) for v in x], axis=axis),
        "transpose": np.transpose,
        "reshape": np.reshape,
        "flip": np.flip,
        "repeat": np.repeat,
        "pad": np.pad,
        "concat": lambda *x, axis=0: np.concatenate(x, axis=axis),
        **{f"conv{n}d": _convolution(n) for n in (1, 2)},
        **{f"avg_pool{n}d": _pooling(n, reduction(mean)) for n in (1, 2)},
        **{f"max_pool{n}d": _pooling(n, reduction(biggest)) for n in (1, 2)},
        "einsum": lambda spec, *x: np.einsum(spec, *x),
        "onehot": lambda k, size: np.eye(size, dtype=int).astype(object)[k],
    }


def _two(value: Any, dims: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * dims


def _windows(x: Any, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> np.ndarray:
    """Return what each window sees on the last axes: (..., places, inside)."""
    dims = len(size)
    spans = [(n - 1) * d + 1 for n, d in zip(size, dilation, strict=True)]
    counts = tuple((n - span) // s + 1 for n, span, s in zip(x.shape[-dims:], spans, stride, strict=True))
    found = np.empty((*x.shape[: x.ndim - dims], *counts, *size), dtype=object)
    for at in np.ndindex(*counts, *size):
        place = (s * i + d * p for s, i, d, p in zip(stride, at[:dims], dilation, at[dims:], strict=True))
        found[(..., *at)] = x[(..., *place)]
    return found


def _convolution(dims: int) -> Callable[..., Any]:
    """Return conv1d or conv2d, by its windows."""

    def conv(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1) -> Any:
        x, w = np.asarray(x, dtype=object), np.asarray(w, dtype=object)
        stride, dilation = _two(stride, dims), _two(dilation, dims)
        ends = [(0, 0)] * dims if padding == "valid" else [(p, p) for p in _two(0 if padding == "same" else padding, dims)]
        if padding == "same":
            spans = [(n - 1) * d for n, d in zip(w.shape[-dims:], dilation, strict=True)]
            ends = [(span // 2, span - span // 2) for span in spans]
        seen = _windows(np.pad(x, [(0, 0)] * (x.ndim - dims) + ends), w.shape[-dims:], stride, dilation)
        if w.ndim == dims:
            return np.tensordot(seen, w, dims)
        seen = np.moveaxis(seen, -2 * dims - 1, -dims - 1)  # the channels beside the window
        return np.moveaxis(np.tensordot(seen, w, [range(-dims - 1, 0), range(1, w.ndim)]), -1, -dims - 1)

    return conv


def _pooling(dims: int, one: Callable[..., Any]) -> Callable[..., Any]:
    def pool(x: Any, size: Any, stride: Any = None) -> Any:
        sizes = _two(size, dims)
        seen = _windows(np.asarray(x, dtype=object), sizes, _two(size if stride is None else stride, dims), (1,) * dims)
        return one(seen, axis=tuple(range(-dims + seen.ndim, seen.ndim)))

    return pool


def declared(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the declarations of a program: kind and sizes by name."""
    found = {}
    for line in text.splitlines():
        match = DECLARATION.match(line)
        if match:
            found[match[1]] = (match[2] or "real", tuple(s.strip() for s in match[3].split(",") if s.strip()))
    return found


def shapes(text: str, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every declared input at ``sizes``; a label's first size is its range."""
    out = {}
    for name, (kind, names) in declared(text).items():
        axes = names[1:] if kind == "label" else names
        out[name] = tuple(eval(s, {}, dict(sizes)) for s in axes)  # noqa: S307
    return out


def size_names(text: str) -> list[str]:
    """Return the size names of a program in order of appearance."""
    found: dict[str, None] = {}
    for _, names in declared(text).values():
        for size in names:
            found.update(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", size)))
    return list(found)


#: Sizes with room for windows of 2 by 3 in an image of 3 by 4 or a signal of 5.
WINDOWED = {"P": 2, "Q": 3, "H": 3, "W": 4, "L": 5, "N": 2, "C": 2, "O": 3, "K": 2}


def lengths(text: str) -> dict[str, int]:
    """Return a size for each size name: all different, except where windows slide."""
    names = size_names(text)
    if re.search(r"conv|pool|\[\w\+\w\]", text):
        return {n: WINDOWED[n] for n in names}
    return dict(zip(names, itertools.chain(range(2, 8), itertools.count(2)), strict=False))


def words(line: str) -> set[str]:
    """Return the names that a line reads (its target is none of them)."""
    return set(re.findall(r"[A-Za-z_]\w*", line.partition(" = ")[2] or line))


def _entry_by_entry(letters: list[str], body: str, names: Mapping[str, Any]) -> Any:
    """Return the array with the entry ``body`` at ``letters``, with ``sum[p](...)`` over what p reads barely.

    A letter that is read only as in x[i+p] runs over the places where every window fits.
    """
    sizes: dict[str, int] = {}
    reads = [(names[a], s.split(",")) for a, s in re.findall(r"(\w+)\[([^\]]*)\]", body) if isinstance(names.get(a), np.ndarray)]
    for array, subscripts in reads:
        sizes.update({s: n for s, n in zip(subscripts, array.shape, strict=True) if s.isalpha()})
    for array, subscripts in reads:
        for s, n in zip(subscripts, array.shape, strict=True):
            for first, second in [s.split("+")] if "+" in s else []:
                sizes.setdefault(first, n - sizes.get(second, 1) + 1)
    code = re.sub(r"sum\[(\w)\]\(", lambda m: f"over({sizes[m[1]]})(lambda {m[1]}: ", body)
    out = np.empty([sizes[i] for i in letters], dtype=object)
    entry = eval(f"lambda {', '.join(letters)}: {code}", dict(names))  # noqa: S307
    for where in np.ndindex(out.shape):
        out[where] = entry(*where)
    return names["array"](out)


def run(text: str, values: Mapping[str, Any], sizes: Mapping[str, int], system: Any) -> Any:
    """Return the value of a program's last line: whatever the lines mean to Python, with the oracle's functions."""
    names = {**functions(system), **sizes}
    for name, value in values.items():
        array = np.asarray(value)
        names[name] = array if array.dtype.kind in "iu" else names["array"](array)
    result = None
    for line in text.splitlines():
        code = line.partition("#")[0].strip()
        if not code or DECLARATION.match(code):
            continue
        if entry := re.match(r"^(\w+)\[([\w,]+)\] = (.*)$", code):
            result = names[entry[1]] = _entry_by_entry(entry[2].split(","), entry[3], names)
            continue
        target, _, expression = re.match(r"^(?:(\w+)\s*(=)(?!=))?\s*(.*)$", code).groups()  # type: ignore[union-attr]
        expression = SCALAR_TEST.sub(r"where(greater(\1, \2),", expression)
        result = eval(expression, {}, names)  # noqa: S307
        names[target or "out"] = result
    return result


def complex_step_jacobian(text: str, values: Mapping[str, Any], sizes: Mapping[str, int], wrt: str) -> np.ndarray:
    """Return ∂ output / ∂ ``wrt``, the output's axes first, by complex steps through the interpreter."""
    x = np.asarray(values[wrt], dtype=complex)
    columns = []
    for where in np.ndindex(x.shape):
        moved = x.copy()
        moved[where] += 1j * STEP
        out = np.asarray(run(text, {**values, wrt: moved}, sizes, COMPLEX), dtype=complex)
        columns.append(out.imag / STEP)
    last = np.array(columns).reshape(x.shape + columns[0].shape)
    return np.moveaxis(last, range(x.ndim), range(-x.ndim, 0))


def sample(text: str, sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """Return random inputs for a program, of the declared kinds; ``positive`` ones lie in (0, 1)."""
    out: dict[str, Any] = {}
    shape = shapes(text, sizes)
    for name, (kind, names) in declared(text).items():
        n = shape[name]
        if kind == "label":
            out[name] = rng.integers(0, eval(names[0], {}, dict(sizes)), n)  # noqa: S307
        elif kind == "mask":
            out[name] = rng.integers(0, 2, n).astype(float)
        elif kind == "onehot":
            out[name] = np.eye(n[-1])[rng.integers(0, n[-1], n[:-1])]
        elif kind == "simplex":
            raw = rng.uniform(0.2, 1.0, n)
            out[name] = raw / raw.sum(axis=-1, keepdims=True)
        elif kind == "positive":
            out[name] = rng.uniform(0.2, 0.9, n)
        else:
            value = rng.uniform(0.2, 1.2, n) * rng.choice([-1.0, 1.0], n)
            out[name] = (value + np.swapaxes(value, -1, -2)) / 2 if kind == "symmetric" else value
    return out
