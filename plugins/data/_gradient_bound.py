"""A lower bound of the gradient that every point of weight space satisfies."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ROUNDING, SLACK = 1e-9, 1e-13
"""A norm may be below its bound by this factor and, for all rounding of its terms, by this much."""

INFORMATIVE = 1e-11
"""A bound below this is drowned in the rounding of the norm."""

Activation = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Bound(NamedTuple):
    """At each point: ‖∇L‖_F in one layer, its lower bound, and the residual ‖e‖_F."""

    norm: np.ndarray
    bound: np.ndarray
    residual: np.ndarray

    @property
    def informative(self) -> int:
        """Points at which the bound says something, as it isn't 0 to rounding."""
        return int((self.bound > INFORMATIVE).sum())

    @property
    def broken(self) -> np.ndarray:
        """At each point: is the norm below the bound?"""
        return self.norm < self.bound * (1 - ROUNDING) - SLACK

    @property
    def violations(self) -> int:
        """Points at which the norm is below the bound."""
        return int(self.broken.sum())


def gradient_bound(
    weights: list[np.ndarray],
    inputs: np.ndarray,
    targets: np.ndarray,
    activation: Activation,
    layer: int,
    biases: list[np.ndarray] | None = None,
) -> Bound:
    """With L = ½‖E‖_F², E = W_H σ(W_{H−1} … σ(W_1 X)) − Y, and k + 1 = `layer`,

        ‖∂L/∂W_{k+1}‖_F ≥ σ_m(F_k) Π_{l>k+1} σ_min(W_lᵀ) Π_{k<l<H} min σ'(Z_l) · ‖E‖_F.

    For ∂L/∂W_{k+1} = Δ_{k+1} F_kᵀ with the outputs F_k of layer k, (d_k, m), and the backpropagated
    Δ_H = E, Δ_l = σ'(Z_l) ∘ W_{l+1}ᵀ Δ_{l+1}. σ_m(F) is the m-th singular value, 0 if there are
    fewer; σ_min(W_lᵀ) the d_l-th. So where L is stationary in W_{k+1} and the bound's factors are
    not 0, E = 0. With biases F_k has a row of ones, and ∂L/∂(W_{k+1} b_{k+1}) is meant.

    weights: W_l (point, d_l, d_{l−1}). inputs: (d_0, m), or (point, d_0, m). targets: (d_H, m), or
    with a leading axis, too. activation: gives σ and σ'. biases: b_l (point, d_l).
    """
    points, depth = len(weights[0]), len(weights)
    values = np.broadcast_to(inputs, (points, *inputs.shape[-2:]))
    outputs, slopes = [], []
    for index, weight in enumerate(weights):
        if biases is not None:
            values = np.concatenate([values, np.ones((points, 1, values.shape[2]))], axis=1)
            weight = np.concatenate([weight, biases[index][..., None]], axis=2)
        outputs.append(values)
        sums = weight @ values
        if index < depth - 1:
            values, slope = activation(sums)
            slopes.append(slope)
    error = sums - targets
    residual = np.linalg.norm(error, axis=(1, 2))
    back, bound = error, residual.copy()
    for index in range(depth - 1, layer - 1, -1):
        back = slopes[index - 1] * (weights[index].mT @ back)
        bound *= smallest(weights[index].mT) * slopes[index - 1].min(axis=(1, 2))
    norm = np.linalg.norm(back @ outputs[layer - 1].mT, axis=(1, 2))
    return Bound(norm, bound * smallest(outputs[layer - 1]), residual)


def smallest(matrices: np.ndarray) -> np.ndarray:
    """The n-th singular value of matrices A (…, k, n): 0 where Ax = 0 for an x ≠ 0."""
    rows, columns = matrices.shape[-2:]
    if rows < columns:
        return np.zeros(matrices.shape[:-2])
    return np.linalg.svd(matrices, compute_uv=False)[..., -1]
