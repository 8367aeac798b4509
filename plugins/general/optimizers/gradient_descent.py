"""Gradient descent."""

from __future__ import annotations

from pydantic import PositiveFloat

import nnflow
from nnflow import Descent, Optimizer


class GradientDescent(Optimizer):
    """W⁺ = W − α∇L(W).

    Yarotsky, "Optimization of neural networks": on an M-smooth L it decreases the loss
    for 0 < α < 2/M.
    """

    rate: PositiveFloat
    """Learning rate α."""

    varies = ("rate",)
    is_gradient_descent = True

    def stable_curvature(self):
        return 2 / self.rate

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None]}

    def step(self, objective, weights, state):
        return weights - state["rate"] * objective.gradient(weights), state

    def steps(self, objective, weights, state, count):
        together = objective.descend(weights, Descent(count, state["rate"]))
        if together is None:
            return super().steps(objective, weights, state, count)
        return together.weights, state


@nnflow.hookimpl
def nnflow_register(register):
    register("gradient_descent", GradientDescent)
