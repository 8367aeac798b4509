"""Errors backpropagated through random networks of finite width, many at once.

δ_k = σ'(z_k) ∘ W_{k+1}ᵀ δ_{k+1}. For infinite width, all lengths at the fixed point,
‖δ_k‖² = χ₁^{K−k}‖δ_K‖²: it decays, or grows, towards the input.
"""

from __future__ import annotations

import numpy as np

from ._finite_width import blocks
from ._signal import Propagation


def backpropagated(
    maps: Propagation, generator: np.random.Generator, width: int, depth: int, runs: int,
    q: float, tied: bool = True,
) -> np.ndarray:  # fmt: skip
    """‖δ_k‖²/‖δ_K‖² of each run, (run, depth), k = 1 … K = depth, from lengths q.

    tied: backward through the transposes of the forward matrices, as gradients go; else through
    independent copies of them, as the derivation assumes.
    """
    found = np.empty((runs, depth))
    scale = np.sqrt(maps.weight_variance / width)
    for rows in blocks(runs, depth * width**2):
        found[rows] = _some(maps, generator, (len(rows), depth, width), q, scale, tied)
    return found


def _some(maps: Propagation, generator, shape, q: float, scale: float, tied: bool) -> np.ndarray:
    runs, depth, width = shape
    sigma = maps.moments.sigma
    z = np.sqrt(q) * generator.standard_normal((runs, width))
    slopes, matrices = [sigma.slope(z)], []
    for _ in range(depth - 1):
        matrix = scale * generator.standard_normal((runs, width, width))
        z = (matrix @ sigma.value(z)[..., None])[..., 0]
        z += np.sqrt(maps.bias_variance) * generator.standard_normal(z.shape)
        slopes.append(sigma.slope(z))
        matrices.append(matrix)
    delta = generator.standard_normal((runs, width))
    squares = [(delta**2).sum(axis=1)]
    for layer in range(depth - 2, -1, -1):
        matrix = matrices[layer]
        if not tied:
            matrix = scale * generator.standard_normal(matrix.shape)
        delta = slopes[layer] * (matrix.mT @ delta[..., None])[..., 0]
        squares.append((delta**2).sum(axis=1))
    return np.array(squares[::-1]).T / squares[0][:, None]
