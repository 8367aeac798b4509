"""The Levenberg–Marquardt method on ∇L = 0, which finds critical points of any index."""

from __future__ import annotations

from pydantic import PositiveFloat

import nnflow
from nnflow import Damping, LevenbergMarquardtSteps, Optimizer, torch

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

    varies = ("damping",)

    def start(self, weights, scale):
        least = self.damping * torch.ones_like(scale)[:, None]
        return {"damping": least / scale[:, None], "least": least}

    def step(self, objective, weights, state):
        method = LevenbergMarquardtSteps(Damping(state["least"].squeeze(1), RAISE, LOWER))
        factor, gradient = state["damping"].squeeze(1), objective.gradient(weights)
        moved, _, _, better = method.trial(objective, weights, gradient, None, factor)
        damping = method.damping.after(factor, better)[:, None]
        return torch.where(better[:, None], moved, weights), {**state, "damping": damping}


@nnflow.hookimpl
def nnflow_register(register):
    register("levenberg_marquardt", LevenbergMarquardt)
