"""Gradient descent with momentum: Polyak's heavy ball."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Optimizer, torch


class HeavyBall(Optimizer):
    """V⁺ = βV + α∇L(W),  W⁺ = W − V⁺,  V = 0 at first.

    Polyak (1964). On a quadratic with curvature λ > 0 it converges iff αλ < 2(1 + β); the
    effective rate is α/(1 − β), the memory 1/(1 − β) steps.
    """

    rate: PositiveFloat = Field(examples=[0.1])
    """Learning rate α."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum coefficient β."""

    varies = ("rate", "momentum")

    def stable_curvature(self):
        return 2 * (1 + self.momentum) / self.rate

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None], "velocity": torch.zeros_like(weights)}

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        velocity = self.momentum * state["velocity"] + state["rate"] * gradient
        return weights - velocity, {**state, "velocity": velocity}


@nnflow.hookimpl
def nnflow_register(register):
    register("heavy_ball", HeavyBall)
