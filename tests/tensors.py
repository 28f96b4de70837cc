"""A stand-in for PyTorch, where that is not installed: what a tensor refuses to hand to NumPy, this refuses too."""

from __future__ import annotations

import numpy as np


class Tensor:
    """As much of a tensor as a check asks of one."""

    def __init__(self, numbers, dtype="torch.float64", device="cpu", layout="torch.strided", requires_grad=False):
        self.numbers, self.dtype, self.device, self.layout = np.asarray(numbers), dtype, device, layout
        self.requires_grad, self.shape = requires_grad, np.shape(numbers)

    def _with(self, **changes):
        kept = {word: getattr(self, word) for word in ("numbers", "dtype", "device", "layout", "requires_grad")}
        return type(self)(**{**kept, **changes})

    def numpy(self):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.device != "cpu" or self.layout != "torch.strided" or self.dtype == "torch.bfloat16":
            raise TypeError(f"can't convert {self.layout} {self.device} {self.dtype} to numpy")
        return self.numbers

    def to(self, device=None, dtype=None):
        if device == "lost" != self.device:
            raise RuntimeError("no such device")
        return self._with(device=device or self.device, dtype=dtype or self.dtype)

    def cpu(self):
        if self.device == "lost":
            raise RuntimeError("the device is lost\nat line 7")
        return self._with(device="cpu")

    detach = lambda self: self._with(requires_grad=False)  # noqa: E731
    resolve_conj = resolve_neg = lambda self: self
    to_dense = lambda self: self._with(layout="torch.strided")  # noqa: E731
    float = lambda self: self._with(dtype="torch.float32", numbers=self.numbers.astype(np.float32))  # noqa: E731
    is_floating_point = lambda self: "float" in self.dtype  # noqa: E731
    requires_grad_ = lambda self, wanted: self._with(requires_grad=wanted)  # noqa: E731


class Parameter(Tensor):
    def __init__(self, numbers, requires_grad=True, **options):
        plain = numbers.numbers if isinstance(numbers, Tensor) else numbers
        super().__init__(plain, requires_grad=requires_grad, **options)


def from_numpy(array):
    return Tensor(array, f"torch.{array.dtype.name}")
