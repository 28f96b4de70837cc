"""Functions that a generated module defines when it uses them: stable, and readable where they land."""

from __future__ import annotations

from collections.abc import Iterable

#: The text of each helper; it may use those named in :data:`USES`.
HELPERS: dict[str, str] = {
    "softmax": '''def softmax(x, axis=-1):
    """exp(x_i) / sum_k exp(x_k), shifted by the maximum so that nothing overflows."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    e /= np.sum(e, axis=axis, keepdims=True)
    return e
''',
    "log_softmax": '''def log_softmax(x, axis=-1):
    """x_i - log sum_k exp(x_k), shifted by the maximum so that nothing overflows.

    The maximum's own term is 1, and log1p of the others keeps the digits of a result near 0.
    """
    if isinstance(axis, tuple):
        last = tuple(range(x.ndim - len(axis), x.ndim))
        y = np.moveaxis(x, axis, last)
        flat = y.reshape(*y.shape[:x.ndim - len(axis)], -1)
        return np.moveaxis(log_softmax(flat, -1).reshape(y.shape), last, axis)
    top = np.argmax(x, axis=axis, keepdims=True)
    x = x - np.take_along_axis(x, top, axis)
    e = np.exp(x)
    np.put_along_axis(e, top, 0, axis)
    x -= np.log1p(np.sum(e, axis=axis, keepdims=True))
    return x
''',
    "softmax_and_log": '''def softmax_and_log(x, axis=-1):
    """softmax(x) and its logarithm, shifted by the maximum so that nothing overflows.

    The maximum's own exponential is 1, and log1p of the sum of the others keeps the digits of a logarithm near 0.
    """
    top = np.argmax(x, axis=axis, keepdims=True)
    x = x - np.take_along_axis(x, top, axis)
    e = np.exp(x)
    np.put_along_axis(e, top, 0, axis)
    others = np.sum(e, axis=axis, keepdims=True)
    np.put_along_axis(e, top, 1, axis)
    e /= 1 + others
    x -= np.log1p(others)
    return e, x
''',
    "softmax_and_log_of": '''def softmax_and_log_of(x, labels):
    """softmax(x) over the last axis, and of its logarithm the entry at each row's label; see softmax_and_log."""
    rows, top = np.arange(len(x)), np.argmax(x, axis=1)
    x = x - x[rows, top][:, None]
    own = x[rows, labels]
    e = np.exp(x, out=x)
    e[rows, top] = 0
    others = e @ np.ones(e.shape[1], e.dtype)
    e[rows, top] = 1
    e /= 1 + others[:, None]
    return e, own - np.log1p(others)
''',
    "minus_onehot": '''def minus_onehot(x, labels):
    """x - onehot(labels): one entry of each row changes."""
    x = np.array(x)
    x[(np.arange(len(x)), labels) if np.ndim(labels) else labels] -= 1
    return x
''',
    "sigmoid_and_slope": '''def sigmoid_and_slope(x):
    """sigmoid(x) and sigmoid(x) (1 - sigmoid(x)), of e = exp(-|x|): of 1 - sigmoid(x) no digit is left for large x."""
    e = np.exp(-np.abs(x))
    below = 1 + e
    return np.exp(np.minimum(x, 0)) / below, e / (below * below)
''',
    "softplus_and_slope": '''def softplus_and_slope(x):
    """softplus(x) = log(1 + exp(x)) and its slope sigmoid(x), of e = exp(-|x|)."""
    e = np.exp(-np.abs(x))
    return np.maximum(x, 0) + np.log1p(e), np.exp(np.minimum(x, 0)) / (1 + e)
''',
    "logsumexp": '''def logsumexp(x, axis=None, keepdims=False):
    """log sum_k exp(x_k), shifted by the maximum so that nothing overflows.

    The maximum's own exponential is 1, and log1p of the sum of the others keeps the digits of a result near 0.
    """
    m = np.max(x, axis=axis, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)
    e, top = np.exp(x - m), x == m
    others = np.sum(np.where(top, 0, e), axis=axis, keepdims=True) + (np.sum(top, axis=axis, keepdims=True, dtype=e.dtype) - 1)
    y = np.log1p(others) + m
    return y if keepdims else np.squeeze(y, axis=axis)
''',
    "argmax_over": '''def argmax_over(x, axes, keepdims=False):
    """The position of the first maximum among the entries along several axes, counted in the order of the axes."""
    y = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
    place = np.argmax(y.reshape(*y.shape[:x.ndim - len(axes)], -1), axis=-1)
    return np.expand_dims(place, axes) if keepdims else place
''',
    "first_max": '''def first_max(x, axis=-1):
    """1 at the first maximum along the axis, else 0."""
    if isinstance(axis, tuple):
        last = tuple(range(x.ndim - len(axis), x.ndim))
        y = np.moveaxis(x, axis, last)
        flat = y.reshape(*y.shape[:x.ndim - len(axis)], -1)
        return np.moveaxis(first_max(flat, -1).reshape(y.shape), last, axis)
    shape = [1] * x.ndim
    shape[axis] = -1
    return (np.arange(x.shape[axis]).reshape(shape) == np.argmax(x, axis=axis, keepdims=True)).astype(x.dtype)
''',
    "prod_except": '''def prod_except(x, axis=-1):
    """For each entry the product of the others along the axis; no division, so zeros are harmless."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    last = tuple(range(x.ndim - len(axes), x.ndim))
    y = np.moveaxis(x, axes, last)
    flat = y.reshape(*y.shape[:x.ndim - len(axes)], -1)
    one = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([one, flat[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    return np.moveaxis((before * after).reshape(y.shape), last, axes)
''',
    "norm": '''def norm(x, axis=None, keepdims=False):
    """The square root of the sum of squares, scaled by the largest entry so that nothing overflows."""
    m = np.max(np.abs(x), axis=axis, keepdims=True)
    m = np.where(m > 0, m, np.ones_like(m))
    y = m * np.sqrt(np.sum((x / m) ** 2, axis=axis, keepdims=True))
    return y if keepdims else np.squeeze(y, axis=axis)
''',
    "sigmoid": '''def sigmoid(x):
    """e / (1 + e) with e = exp(x), which is 1 long before e overflows; right in the far tail below 0, without a branch."""
    e = np.exp(np.minimum(x, 80))
    return e / (1 + e)
''',
    "sigmoid_slope": '''def sigmoid_slope(x):
    """sigmoid(x) (1 - sigmoid(x)) as e / (1 + e)^2 with e = exp(-|x|): of 1 - sigmoid(x) no digit is left for large x."""
    e = np.exp(-np.abs(x))
    below = 1 + e
    return e / (below * below)
''',
    "exp_square": '''def exp_square(x, c):
    """exp(c x^2) for c < 0, in two factors: h has so few digits that h^2 is exact, for the exponent magnifies its rounding."""
    x = np.minimum(np.abs(x), math.sqrt(800 / -c))
    h = np.rint(x * 64) / 64
    return np.exp(h * h * c) * np.exp((x - h) * (x + h) * c)
''',
    "xlogy": '''def xlogy(x, y):
    """x log(y), and 0 where x is 0, also where y is."""
    return x * np.log(np.where(x == 0, 1, y))
''',
    "erfc": '''def erfc(x):
    """1 - erf(x).  SciPy computes it in double, where far above 0 its own has lost digits."""
    if np.result_type(x) == np.float32:
        return special.erfc(x)
    far = np.maximum(x, 0.5)
    return np.where(x > 0.5, exp_square(far, -1.0) * special.erfcx(far), 1 - special.erf(x))
''',
    "normal_cdf": '''def normal_cdf(x):
    """erfc(-x / sqrt(2)) / 2.  SciPy computes it in double, where far below 0 its own has lost digits."""
    if np.result_type(x) == np.float32:
        return special.ndtr(x)
    far = np.minimum(x, -1)
    return np.where(x < -1, exp_square(far, -0.5) * special.erfcx(far * -math.sqrt(0.5)) * 0.5, special.ndtr(x))
''',
    "softplus": '''def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): no overflow, and no loss for large x."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
''',
    "windows": '''def windows(x, starts, axes):
    """A view of x from starts on, where x is 0 outside: each (axis of x, step, length) in axes is an axis of the view."""
    first, last = list(starts), list(starts)
    for axis, step, length in axes:
        first[axis] += min(0, step * (length - 1))
        last[axis] += max(0, step * (length - 1))
    before = [max(0, -a) for a in first]
    after = [max(0, b + 1 - n) for b, n in zip(last, x.shape)]
    if any(before) or any(after):
        padded = np.zeros([a + n + b for a, n, b in zip(before, x.shape, after)], x.dtype)
        padded[tuple(slice(a, a + n) for a, n in zip(before, x.shape))] = x
        x = padded
    corner = x[tuple(slice(s + a, None) for s, a in zip(starts, before))]
    lengths = [max(0, length) for _, _, length in axes]
    strides = [step * x.strides[axis] for axis, step, _ in axes]
    return np.lib.stride_tricks.as_strided(corner, lengths, strides, writeable=False)
''',
    "window_dot": '''def window_dot(v, a, over_v, over_a):
    """np.tensordot(v, a, (over_v, over_a)) of a view v, which is copied in blocks of its first axis that stay in the cache."""
    run = max(range(v.ndim), key=lambda n: (-abs(v.strides[n]), v.shape[n]))  # along it entries lie side by side
    others = a.ndim - len(over_a)

    def block(v, a):
        if run in over_v:
            return np.tensordot(v, a, (over_v, over_a))
        return np.moveaxis(np.tensordot(a, v, (over_a, over_v)), range(others), range(-others, 0))

    step = max(1, 1_500_000 * len(v) // v.nbytes)
    starts = range(0, len(v), step)
    if step >= len(v):
        return block(v, a)
    if 0 in over_v:
        before = (slice(None),) * over_a[over_v.index(0)]
        return sum(block(v[n:n + step], a[before + (slice(n, n + step),)]) for n in starts)
    shape = [n for k, n in enumerate(a.shape) if k not in over_a] + [n for k, n in enumerate(v.shape) if k and k not in over_v]
    out = np.empty((len(v), *shape), np.result_type(v, a))
    out = np.moveaxis(out, range(1, 1 + others), range(-others, 0))
    for n in starts:
        out[n:n + step] = block(v[n:n + step], a)
    return out
''',
    "scatter": '''def scatter(v, axes, steps, start, size):
    """Add up v by position: v at the places i along axes goes to start + sum(steps * i) of an axis of length size.

    The new axis stands where axes[0] did; what falls outside of it is dropped.
    """
    if steps[0] < 0:
        v, start = np.flip(v, axes[0]), start + steps[0] * (v.shape[axes[0]] - 1)
    step, count = abs(steps[0]), v.shape[axes[0]]
    whole = (slice(None),) * (axes[0] - sum(a < axes[0] for a in axes))
    v = np.moveaxis(v, axes[1:], range(len(axes) - 1))
    places = v.shape[:len(axes) - 1]
    shape = list(v.shape[len(places):])
    shape[len(whole)] = size
    out = np.zeros(shape, v.dtype)
    for place in np.ndindex(places):
        first = start + sum(s * i for s, i in zip(steps[1:], place))
        low, high = max(0, -(first // step)), min(count, (size - 1 - first) // step + 1)
        if low < high:
            out[whole + (slice(first + step * low, first + step * high, step),)] += v[place][whole + (slice(low, high),)]
    return out
''',
    "onehot": '''def onehot(labels, size, dtype):
    """Rows that are 1 at their label and 0 elsewhere."""
    rows = np.zeros((*np.shape(labels), size), dtype)
    np.put_along_axis(rows, np.asarray(labels)[..., None], 1, -1)
    return rows
''',
    "add_rows": '''def add_rows(labels, rows, size):
    """An array of size rows: the sum of the rows that have its label.  For few labels a product with one-hot rows is faster."""
    shape = rows.shape[labels.ndim:]
    labels, rows = labels.ravel(), rows.reshape(labels.size, -1)
    if size <= 16:
        return (np.eye(size, dtype=rows.dtype)[:, labels] @ rows).reshape(size, *shape)
    width = rows.shape[1]
    places = labels[:, None] * width + np.arange(width)
    total = np.bincount(places.ravel(), rows.ravel(), size * width)
    return total.reshape(size, *shape).astype(rows.dtype, copy=False)
''',
    "entries": '''def entries(x, *places):
    """The entries of x at the places, 0 where one is outside."""
    places = np.broadcast_arrays(*places)
    inside = np.logical_and.reduce([(0 <= p) & (p < n) for p, n in zip(places, x.shape)])
    return np.where(inside, x[tuple(np.clip(p, 0, n - 1) for p, n in zip(places, x.shape))], x.dtype.type(0))
''',
}


#: The helpers that a helper calls.
USES: dict[str, tuple[str, ...]] = {"erfc": ("exp_square",), "normal_cdf": ("exp_square",)}


def helper_source(names: Iterable[str]) -> str:
    """Return the definitions of the helpers ``names``, in the table's order.

    >>> print(helper_source({"softplus"}).splitlines()[0])
    def softplus(x):
    """
    wanted = {used for name in names for used in (name, *USES.get(name, ()))}
    return "\n\n".join(text for name, text in HELPERS.items() if name in wanted)
