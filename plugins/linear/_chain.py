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


def pulled_hessian(factors: Sequence, below: Sequence, slope, curvature):
    """The Hessian of g(W_K⋯W_1) in all entries of W_1, …, W_K, (run, weight, weight), of tensors.

    below, slope: as in `pulled_back`. curvature: ∇²g, (run, d_K d_0, d_K d_0). With
    A_k = W_K⋯W_{k+1}, B_k = W_{k−1}⋯W_1 and J the derivative of the product it is Jᵀ ∇²g J, and
    between the entries (a, b) of W_k and (c, d) of W_l, k < l, besides
    (W_{l−1}⋯W_{k+1})_{da} (A_lᵀ G B_kᵀ)_{cb}.
    """
    count = len(factors)
    inward, outward = [identity(factors[0].shape[-1], slope), *below[:-1]], above(factors)
    jacobian = torch.cat(
        [
            torch.einsum("ria,rbj->rijab", a, b).flatten(3).flatten(1, 2)
            for a, b in zip(outward, inward, strict=True)
        ],
        dim=2,
    )
    hessian = jacobian.mT @ (curvature @ jacobian)
    ends = list(accumulate((f.shape[-2] * f.shape[-1] for f in factors), initial=0))
    for k in range(count):
        between = identity(factors[k].shape[-2], slope)
        for other in range(k + 1, count):
            bent = outward[other].mT @ slope @ inward[k].mT
            block = torch.einsum("rda,rcb->rabcd", between, bent).flatten(3).flatten(1, 2)
            rows, columns = slice(*ends[k : k + 2]), slice(*ends[other : other + 2])
            hessian[:, rows, columns] += block
            hessian[:, columns, rows] += block.mT
            between = factors[other] @ between
    return hessian


def above(factors: Sequence) -> list:
    """A_1, …, A_K, the last of which is the identity, of tensors."""
    last = factors[-1]
    upward = accumulate(reversed(factors[1:]), lambda beyond, factor: beyond @ factor)
    return [*reversed(list(upward)), identity(last.shape[-2], last)]


def identity(size: int, like):
    """The identity for each run of a tensor."""
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return eye.expand(len(like), size, size)


def in_numpy(tensors: Sequence) -> list:
    """Tensors on a CPU as NumPy arrays that share their memory, others as they are: NumPy's
    products of many small matrices take half of torch's time."""
    return [t.detach().numpy() if t.device.type == "cpu" else t for t in tensors]


def in_torch(arrays: Sequence) -> list:
    """Tensors again."""
    return [a if isinstance(a, torch.Tensor) else torch.from_numpy(a) for a in arrays]


def as_tensor_like(array, like):
    """A NumPy array as an array or a tensor of the dtype, and on the device, of `like`."""
    if isinstance(like, torch.Tensor):
        return torch.as_tensor(array).to(like)
    return array.astype(like.dtype, copy=False)


def for_each_run(matrix, like):
    """A NumPy matrix for each run of `like`, by `as_tensor_like`: one product per run, as how runs
    are grouped must not change their last bits. NumPy's products are so by themselves."""
    matrix = as_tensor_like(matrix, like)
    return matrix.expand(len(like), -1, -1) if isinstance(matrix, torch.Tensor) else matrix
