"""Subgradient descent with steps whose lengths shrink."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Optimizer, torch


class Subgradient(Optimizer):
    """W⁺ = W − αqᵗ g/‖g‖ at step t = 0, 1, …, with the gradient g of the piece at W, or 0 where
    g = 0.

    A step of fixed rate never comes to rest at a kink. These do: on a convex loss with a sharp
    minimum (a loss that grows at least linearly off it) the distance falls as qᵗ, where α is large
    and q near enough to 1 (Goffin 1977, On convergence rates of subgradient optimization methods).
    A run can't go farther than α/(1 − q).
    """

    length: PositiveFloat = Field(examples=[0.1])
    """α, the length of the first step."""
    ratio: Annotated[float, Field(gt=0, lt=1)] = Field(examples=[0.99])
    """q."""

    varies = ("length", "ratio")

    def start(self, weights, scale):
        return {"length": self.length * scale[:, None]}

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        size = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        way = torch.where(size > 0, gradient / size, 0.0)
        return weights - state["length"] * way, {"length": state["length"] * self.ratio}


@nnflow.hookimpl
def nnflow_register(register):
    register("subgradient", Subgradient)
