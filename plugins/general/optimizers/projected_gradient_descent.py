"""Gradient descent on a convex set."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Optimizer


class ProjectedGradientDescent(Optimizer):
    """W⁺ = P(W − α∇L(W)), P the Euclidean projection onto the convex set that the model's weights
    are confined to (Goldstein 1964; Levitin & Polyak 1966). Without constraints it is gradient
    descent. With α < 2/M, M the Lipschitz constant of ∇L, the loss never rises.
    """

    rate: PositiveFloat = Field(examples=[0.1])
    """Learning rate α."""

    varies = ("rate",)
    is_gradient_descent = True
    keeps_constraints = True

    def stable_curvature(self):
        return 2 / self.rate

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None]}

    def step(self, objective, weights, state):
        return objective.retract(weights - state["rate"] * objective.gradient(weights)), state


@nnflow.hookimpl
def nnflow_register(register):
    register("projected_gradient_descent", ProjectedGradientDescent)
