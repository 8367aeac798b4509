"""Newton's method within a trust region, from products of the Hessian alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Optimizer, torch, trust_region_step

TAKEN = 1e-4
"""A step is taken where the loss falls by at least this part of what was foretold."""
POOR, GOOD = 0.25, 0.75
"""Below the one the region shrinks, above the other it grows where the step met its edge."""
ROUNDING = 1e-12
"""A foretold fall of less than this, relative to 1 + |L|, can't be told from rounding. A step is
taken then where the gradient falls or, on the way out of a saddle, where the loss does not rise by
more."""


class TrustRegion(Optimizer):
    """W⁺ = W + p with p the step that lowers ∇Lᵀp + ½pᵀHp within ‖p‖ ≤ r, H = ∇²L, by truncated
    conjugate gradients, where L falls about as much as that; else W stays, and r is quartered.

    Steihaug (1983); Toint (1981); radii as in Conn, Gould & Toint, Trust-region methods (2000).
    Near a minimum with a positive definite Hessian it converges superlinearly, to rounding; it
    leaves saddles along directions of negative curvature. Hessians are not formed, so that it
    serves networks of 10⁵ weights. The inner residual is min(`forcing`, √‖∇L‖)·‖∇L‖.
    """

    radius: PositiveFloat = 1.0
    """r at first."""
    products: PositiveInt = Field(500, examples=[200])
    """Products of the Hessian for a step at most."""
    forcing: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Largest relative residual of a step."""

    varies = ("radius", "forcing")

    def start(self, weights, scale):
        return {"radius": self.radius * scale[:, None]}

    def step(self, objective, weights, state):
        gradient, loss = objective.gradient(weights), objective.loss(weights)
        norm, radius = torch.linalg.vector_norm(gradient, dim=1), state["radius"].squeeze(1)
        forcing = norm.sqrt().clamp(max=1) * norm
        forcing = torch.minimum(forcing, (self.forcing * norm[:, None])[:, 0])
        product = objective.hessian_vector(weights)
        found = trust_region_step(product, gradient, radius, forcing, self.products)
        moved = weights + found.step
        there = torch.linalg.vector_norm(objective.gradient(moved), dim=1)
        foretold = -((gradient + found.image / 2) * found.step).sum(dim=1)
        fall, rounding = loss - objective.loss(moved), ROUNDING * (1 + loss.abs())
        tiny = foretold <= rounding
        fine = (there < norm) | (found.at_edge & (fall >= -rounding))
        ratio = torch.where(tiny, torch.where(fine, 1.0, -1.0), fall / foretold)
        taken = (ratio > TAKEN) & torch.isfinite(there)
        length = torch.linalg.vector_norm(found.step, dim=1)
        radius = torch.where(found.at_edge & (ratio > GOOD), 2 * radius, radius)
        radius = torch.where((ratio < POOR) | ~taken, length / 4, radius)
        return torch.where(taken[:, None], moved, weights), {"radius": radius[:, None]}


@nnflow.hookimpl
def nnflow_register(register):
    register("trust_region", TrustRegion)
