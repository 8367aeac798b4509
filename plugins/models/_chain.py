"""Products of the matrices of deep linear networks, and derivatives through them.

Factors W_1, …, W_K are matrices with any leading axes, all of NumPy or all of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from nnflow import torch


def products(factors: Sequence) -> list:
    """W_1, W_2W_1, …, W_K⋯W_1."""
    return list(accumulate(factors, lambda before, factor: factor @ before))


def pulled_back(factors: Sequence, below: Sequence, slope) -> list:
    """The gradients (W_K⋯W_{k+1})ᵀ G (W_{k−1}⋯W_1)ᵀ for k = 1, …, K of g(W_K⋯W_1).

    below: `products(factors)`. slope: G = ∇g at the last of them, in its shape.
    """
    gradients = []
    for k in range(len(factors) - 1, 0, -1):
        gradients.append(slope @ below[k - 1].mT)
        slope = factors[k].mT @ slope
    return [slope, *reversed(gradients)]


def in_numpy(tensors: Sequence) -> list:
    """Tensors on a CPU as NumPy arrays that share their memory, others as they are: NumPy's
    products of many small matrices take half of torch's time."""
    return [t.detach().numpy() if t.device.type == "cpu" else t for t in tensors]


def in_torch(arrays: Sequence) -> list:
    """Tensors again."""
    return [a if isinstance(a, torch.Tensor) else torch.from_numpy(a) for a in arrays]


def alike(array, like):
    """A NumPy array as an array or a tensor of the dtype, and on the device, of `like`."""
    if isinstance(like, torch.Tensor):
        return torch.as_tensor(array).to(like)
    return array.astype(like.dtype, copy=False)
