"""The Levenberg–Marquardt method on ∇L = 0, which finds critical points of any index."""

from __future__ import annotations

from pydantic import PositiveFloat

import nnflow
from nnflow import Optimizer, torch

RAISE, LOWER = 8.0, 4.0
"""Factors by which c rises after a step that was refused and falls after one that was not."""


class LevenbergMarquardt(Optimizer):
    """W⁺ = W − (H² + c‖g‖²I)⁻¹Hg with g = ∇L and H = ∇²L, where it lowers ‖g‖; else W stays and
    c rises.

    Like Newton's method it does not care for the loss, and converges quadratically; unlike it
    also to critical points that are not isolated, under a local error bound (Yamashita &
    Fukushima 2001, with ‖g‖² as here), as those of deep linear networks are. It may get stuck at
    a minimum of ‖g‖ that is no critical point. Each step costs O(weights³).
    """

    damping: PositiveFloat = 1.0
    """First and smallest c."""

    def start(self, weights, scale):
        return {"damping": self.damping / scale[:, None]}

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        values, vectors = torch.linalg.eigh(objective.hessian(weights))
        along = (vectors.mT @ gradient[..., None]).squeeze(-1)
        size = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        curvature = values.square() + state["damping"] * size.square()
        # at a critical point all of it is 0, and so is the step
        along = torch.where(curvature > 0, values * along / curvature, 0.0)
        moved = weights - (vectors @ along[..., None]).squeeze(-1)
        new = torch.linalg.vector_norm(objective.gradient(moved), dim=1, keepdim=True)
        better = new < size
        lower = (state["damping"] / LOWER).clamp_min(self.damping)
        damping = torch.where(better, lower, state["damping"] * RAISE)
        return torch.where(better, moved, weights), {"damping": damping}


@nnflow.hookimpl
def nnflow_register(register):
    register("levenberg_marquardt", LevenbergMarquardt)
