"""A step along the gradient, brought back to where the model's weights belong."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from nnflow import Optimizer


class RetractedDescent(Optimizer):
    """W⁺ = R(W − α∇L(W))."""

    rate: PositiveFloat = Field(examples=[0.1])
    """Learning rate α."""

    varies = ("rate",)
    is_gradient_descent = True

    def stable_curvature(self):
        return 2 / self.rate

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None]}

    def step(self, objective, weights, state):
        return objective.retract(weights - state["rate"] * objective.gradient(weights)), state
