"""The reduction of a linear network to X = I and Y = (D 0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnflow import UserError, torch


@dataclass(frozen=True)
class Reduction:
    """½‖Y − W_K⋯W₁X‖² = ½‖D' − W'_K⋯W'₁‖² + constant, with D' = (D 0),

    W'₁ = W₁TV, W'_K = UᵀW_K (one matrix: W' = UᵀWTV) and W'_k = W_k between them, where
    X = TQ with T = (XXᵀ)^{1/2}, Q has orthonormal rows, and YQᵀ = UD'Vᵀ.

    It is linear and invertible, so that critical points, their values up to the constant, and
    the signs of Hessian eigenvalues are kept. Gradient flows are kept only where XXᵀ = I: else
    T changes the metric. Chitour, Liao & Couillet (arXiv:1811.03568), Section 2.

    singular_values: the diagonal of D. root: T. left, right: U and V.
    """

    singular_values: np.ndarray
    constant: float
    root: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def forth(self, weights: dict[str, Any]) -> dict[str, Any]:
        """W' from W, tensors (run, *shape), the first layer first."""
        return _mapped(weights, self.left.T, self.root @ self.right)

    def back(self, weights: dict[str, Any]) -> dict[str, Any]:
        """W from W'."""
        return _mapped(weights, self.left, self.right.T @ np.linalg.inv(self.root))


def _mapped(weights, left: np.ndarray, right: np.ndarray):
    mapped = dict(weights)
    first, last = next(iter(mapped)), next(reversed(mapped))
    mapped[first] = mapped[first] @ torch.as_tensor(right)
    mapped[last] = torch.as_tensor(left) @ mapped[last]
    return mapped


def reduction(x: np.ndarray, y: np.ndarray) -> Reduction:
    """The reduction for X, (d₀, m), and Y, (d_K, m). Raises UserError where XXᵀ is singular."""
    values, vectors = np.linalg.eigh(x @ x.T)
    if values[0] <= 1e-12 * values[-1]:
        raise UserError(f"linear_network.inputs: X has a rank below its {len(x)} rows")
    root = (vectors * np.sqrt(values)) @ vectors.T
    left, singular, right = np.linalg.svd(y @ np.linalg.solve(root, x).T)
    constant = float((y**2).sum() - (singular**2).sum()) / 2
    return Reduction(singular, constant, root, left, right.T)
