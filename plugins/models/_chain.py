"""Products of the matrices of deep linear networks, and gradients through them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def product(factors: Sequence):
    """W_K⋯W_1 of W_1, …, W_K, matrices with any leading axes."""
    *_, whole = accumulate(factors, lambda before, factor: factor @ before)
    return whole


def pulled_back(factors: Sequence, slope) -> list:
    """The gradients (W_K⋯W_{k+1})ᵀ G (W_{k−1}⋯W_1)ᵀ for k = 1, …, K of g(W_K⋯W_1).

    factors: W_1, …, W_K. slope: G = ∇g at their product, in its shape.
    """
    # after the factors above k: (W_K⋯W_{k+1})ᵀ G
    above = [slope]
    for factor in reversed(factors[1:]):
        above.append(factor.mT @ above[-1])
    gradients = [above[-1]]
    below = None
    for factor, part in zip(factors[:-1], reversed(above[:-1]), strict=True):
        below = factor if below is None else factor @ below
        gradients.append(part @ below.mT)
    return gradients
