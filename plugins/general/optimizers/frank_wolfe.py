"""The Frank–Wolfe method on a convex set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, model_validator

import nnflow
from nnflow import Optimizer, torch


class FrankWolfe(Optimizer):
    """W⁺ = W + γ(S − W) with S = argmin ⟨∇L(W), S⟩ over the bounded convex set that the model's
    weights are confined to (Frank & Wolfe 1956; Jaggi 2013, Revisiting Frank–Wolfe).

    By default γ = 2/(t + 2) at step t = 0, 1, …, which reaches the minimum of a convex loss at the
    rate 1/t. With γ = 1 it is successive linearization: a concave loss falls at every step, from
    vertex to vertex. With `smoothness` M the loss never rises: γ minimizes the bound
    L + γ⟨∇L, S − W⟩ + ½Mγ²‖S − W‖² (Demyanov & Rubinov 1970).
    """

    step_size: Annotated[float, Field(gt=0, le=1)] | None = None
    """γ, the same at every step; null: 2/(t + 2), or from `smoothness`."""
    smoothness: PositiveFloat | None = None
    """M, a Lipschitz constant of ∇L."""

    varies = ("step_size", "smoothness")
    keeps_constraints = True
    needs_constraints = True

    @model_validator(mode="after")
    def _one_rule(self):
        if self.step_size is not None and self.smoothness is not None:
            raise ValueError("step_size and smoothness: only one of them may be given")
        return self

    def start(self, weights, scale):
        return {"scale": scale[:, None], "steps": torch.zeros_like(scale)[:, None]}

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        way = objective.constraints.extreme(gradient) - weights
        share = state["scale"] * self._share(gradient, way, state["steps"])
        return weights + share * way, {"scale": state["scale"], "steps": state["steps"] + 1}

    def _share(self, gradient, way, steps):
        """γ, (run, 1)."""
        if self.step_size is not None:
            return self.step_size * torch.ones_like(steps)
        if self.smoothness is None:
            return 2 / (steps + 2)
        fall = -(gradient * way).sum(1, keepdim=True)
        bend = self.smoothness * way.square().sum(1, keepdim=True)
        return torch.where(bend > 0, fall / bend, 0.0).clamp(0, 1)


@nnflow.hookimpl
def nnflow_register(register):
    register("frank_wolfe", FrankWolfe)
