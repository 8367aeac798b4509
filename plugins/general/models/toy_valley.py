"""A curved valley in two dimensions."""

from __future__ import annotations

import math

from pydantic import Field, NonNegativeFloat

import nnflow
from nnflow import torch

from ._plane import PlaneModel


class ToyValley(PlaneModel):
    """L(w₁, w₂) = (w₂ − w₁²)² + εw₁².

    Yarotsky, "Optimization of neural networks", after Draxler et al. (2018). For ε > 0 the
    only critical point is the minimum at 0, with Hessian diag(2ε, 2) and condition number
    1/ε; for ε = 0 the whole parabola w₂ = w₁² is minimal. Gradient descent is in the valley
    in a time of order 1 and then slides along it, dw₁/dt ≈ −2εw₁/(1 + 4w₁²).
    """

    epsilon: NonNegativeFloat = Field(examples=[0.1])
    """Slope ε of the valley's floor."""

    varies = ("epsilon",)

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        w1, w2 = weights["w"].unbind(1)
        return (w2 - w1**2) ** 2 + self.epsilon * w1**2

    def gradient(self, weights, data):
        w1, w2 = weights["w"].unbind(1)
        above = w2 - w1**2
        return {"w": torch.stack([2 * w1 * (self.epsilon - 2 * above), 2 * above], dim=1)}

    def hessian(self, weights, data):
        w1, w2 = weights["w"].unbind(1)
        first = 12 * w1**2 - 4 * w2 + 2 * self.epsilon
        rows = [first, -4 * w1, -4 * w1, torch.full_like(w1, 2)]
        return torch.stack(rows, dim=1).unflatten(1, (2, 2))

    def third_derivative_bound(self, weights, radius):
        """B = 24(|w₁| + r) + 4√2, as the derivative of the Hessian along a unit vector h is
        [[24w₁h₁ − 4h₂, −4h₁], [−4h₁, 0]]."""
        return 24 * (weights["w"][:, 0].abs() + radius) + 4 * math.sqrt(2)

    def enclosure(self):
        from ._toy_valley_enclosure import ToyValleyEnclosure

        return ToyValleyEnclosure(self.epsilon)


@nnflow.hookimpl
def nnflow_register(register):
    register("toy_valley", ToyValley)
