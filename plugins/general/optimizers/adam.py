"""Adam, and RMSProp, which is Adam without momentum."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

import nnflow
from nnflow import Optimizer, torch


class Adam(Optimizer):
    """M⁺ = β₁M + (1 − β₁)∇L(W),  N⁺ = β₂N + (1 − β₂)∇L(W)²,  W⁺ = W − αP⁻¹M⁺, entry by entry.

    The preconditioner is P = (1 − β₁ᵗ)(√(N⁺/(1 − β₂ᵗ)) + ε) at step t = 1, 2, …; M = N = 0 at
    first. Kingma & Ba (2015). With momentum 0 it is RMSProp (Tieleman & Hinton 2012), started
    without a bias. With P as it is, steps on a quadratic with the Hessian H do not grow where all
    eigenvalues λ of P^(−1/2)HP^(−1/2) have αλ < 2(1 + β₁)/(1 − β₁), 38 with β₁ = 0.9 (Cohen et al.
    2022, arXiv:2207.14484).
    """

    rate: PositiveFloat = Field(examples=[0.001])
    """Learning rate α."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """β₁, memory of the gradients."""
    memory: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """β₂, memory of their squares."""
    epsilon: NonNegativeFloat = 1e-8
    """ε, which bounds the step where gradients vanish."""

    varies = ("rate", "momentum", "memory", "epsilon")

    def stable_curvature(self):
        return 2 * (1 + self.momentum) / (1 - self.momentum) / self.rate

    def start(self, weights, scale):
        return {
            "rate": self.rate * scale[:, None],
            "step": torch.zeros_like(scale)[:, None],
            "mean": torch.zeros_like(weights),
            "square": torch.zeros_like(weights),
        }

    def preconditioner(self, state):
        """NaN before the first step."""
        step = state["step"]
        root = (state["square"] / (1 - self.memory**step)).sqrt()
        return (1 - self.momentum**step) * (root + self.epsilon)

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        mean = self.momentum * state["mean"] + (1 - self.momentum) * gradient
        square = self.memory * state["square"] + (1 - self.memory) * gradient.square()
        state = {**state, "step": state["step"] + 1, "mean": mean, "square": square}
        step = mean / self.preconditioner(state)
        # an entry whose gradients were all 0 has no direction
        return weights - state["rate"] * torch.where(mean == 0, 0.0, step), state


@nnflow.hookimpl
def nnflow_register(register):
    register("adam", Adam)
