"""A step along the gradient, brought back to where the model's weights belong."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from .gradient_descent import GradientDescent


class RetractedDescent(GradientDescent):
    """W⁺ = R(W − α∇L(W))."""

    rate: PositiveFloat = Field(examples=[0.1])
    """Learning rate α."""

    def step(self, objective, weights, state):
        return objective.retract(weights - state["rate"] * objective.gradient(weights)), state
