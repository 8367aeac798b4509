"""Newton's method, which finds critical points of any index."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Optimizer, newton_step, torch


class Newton(Optimizer):
    """W⁺ = W − αH⁺∇L(W),  H⁺ the pseudo-inverse of the Hessian H = ∇²L(W).

    It solves ∇L = 0 and does not care for the loss: minima, saddles and maxima all
    attract, quadratically with α = 1 where H is regular. Each step costs O(weights³).
    """

    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Damping α."""
    longest_step: PositiveFloat | None = None
    """Longer steps are shortened to this length; null: steps of any length."""
    singular_below: Annotated[float, Field(ge=0, lt=1)] = 1e-12
    """Eigenvalues of H below this fraction of the largest magnitude count as zero: the step
    has no part along them."""

    varies = ("rate", "longest_step", "singular_below")

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None]}

    def step(self, objective, weights, state):
        hessian, gradient = objective.hessian(weights), objective.gradient(weights)
        step = state["rate"] * newton_step(hessian, gradient, self.singular_below)
        if self.longest_step is not None:
            length = torch.linalg.vector_norm(step, dim=1, keepdim=True)
            # torch divides a number so, but a tensor otherwise: the last bits would depend on it
            step = step * (length.reciprocal() * self.longest_step).clamp(max=1)
        return weights - step, state


@nnflow.hookimpl
def nnflow_register(register):
    register("newton", Newton)
