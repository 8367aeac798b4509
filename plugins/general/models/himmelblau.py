"""Himmelblau's function, whose nine critical points are known."""

from __future__ import annotations

import math

import nnflow
from nnflow import torch

from ._plane import PlaneModel


class Himmelblau(PlaneModel):
    """L(w₁, w₂) = (w₁² + w₂ − 11)² + (w₁ + w₂² − 7)².

    Himmelblau, "Applied Nonlinear Programming" (1972). It has four minima, all with L = 0,
    four saddles and one maximum, at (−0.270845, −0.923039) with L = 181.6165.
    """

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        a, b = _residuals(weights)
        return a**2 + b**2

    def gradient(self, weights, data):
        w1, w2 = weights["w"].unbind(1)
        a, b = _residuals(weights)
        return {"w": torch.stack([4 * w1 * a + 2 * b, 2 * a + 4 * w2 * b], dim=1)}

    def hessian(self, weights, data):
        w1, w2 = weights["w"].unbind(1)
        a, b = _residuals(weights)
        first, second = 4 * a + 8 * w1**2 + 2, 4 * b + 8 * w2**2 + 2
        mixed = 4 * (w1 + w2)
        return torch.stack([first, mixed, mixed, second], dim=1).unflatten(1, (2, 2))

    def third_derivative_bound(self, weights, radius):
        """B = 24(max|wᵢ| + r) + 4√5, as the derivative of the Hessian along a unit vector h is
        diag(24w₁h₁, 24w₂h₂) + 4[[h₂, h₁ + h₂], [h₁ + h₂, h₁]], whose second part has a
        Frobenius norm of at most 4√(1 + 2·2)."""
        return 24 * (weights["w"].abs().amax(1) + radius) + 4 * math.sqrt(5)

    def enclosure(self):
        from ._himmelblau_enclosure import HimmelblauEnclosure

        return HimmelblauEnclosure()


def _residuals(weights):
    w1, w2 = weights["w"].unbind(1)
    return w1**2 + w2 - 11, w1 + w2**2 - 7


@nnflow.hookimpl
def nnflow_register(register):
    register("himmelblau", Himmelblau)
