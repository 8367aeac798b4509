"""The reduction of a linear network to X = I and Y = (D 0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnflow import UserError, torch

if TYPE_CHECKING:
    from .models.linear_network import LinearNetwork


@dataclass(frozen=True)
class Reduction:
    """½‖Y − W_K⋯W₁X‖² = ½‖D' − W'_K⋯W'₁‖² + constant, with D' = (D 0),

    W'₁ = W₁TV, W'_K = UᵀW_K (one matrix: W' = UᵀWTV) and W'_k = W_k between them, where
    X = TQ with T = (XXᵀ)^{1/2}, Q has orthonormal rows, and YQᵀ = UD'Vᵀ.

    It is linear and invertible, so that critical points, their values up to the constant, and
    the signs of Hessian eigenvalues are kept. Gradient flows are kept only where XXᵀ = I: else
    T changes the metric. Chitour, Liao & Couillet (arXiv:1811.03568), Section 2.

    network: the reduced one. root: T. left, right: U and V.
    """

    network: LinearNetwork
    constant: float
    root: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def forth(self, weights: dict[str, Any]) -> dict[str, Any]:
        """W' from W, tensors (run, *shape)."""
        return self._mapped(weights, self.left.T, self.root @ self.right)

    def back(self, weights: dict[str, Any]) -> dict[str, Any]:
        """W from W'."""
        return self._mapped(weights, self.left, self.right.T @ np.linalg.inv(self.root))

    def _mapped(self, weights, left, right):
        names = list(self.network.shapes())
        mapped = {name: weights[name] for name in names}
        mapped[names[0]] = mapped[names[0]] @ torch.as_tensor(right)
        mapped[names[-1]] = torch.as_tensor(left) @ mapped[names[-1]]
        return mapped


def reduction(model: LinearNetwork) -> Reduction:
    """The reduction of a network. Raises UserError where XXᵀ is not invertible."""
    x, y = model.x, model.y
    values, vectors = np.linalg.eigh(x @ x.T)
    if values[0] <= 1e-12 * values[-1]:
        raise UserError(f"linear_network.inputs: X has a rank below its {len(x)} rows")
    root = (vectors * np.sqrt(values)) @ vectors.T
    rows = np.linalg.solve(root, x)
    left, singular, right = np.linalg.svd(y @ rows.T)
    network = type(model)(widths=model.widths, singular_values=singular.tolist())
    constant = float((y**2).sum() - (singular**2).sum()) / 2
    return Reduction(network, constant, root, left, right.T)
