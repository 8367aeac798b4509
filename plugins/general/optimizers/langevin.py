"""Langevin dynamics: gradient descent in contact with a heat bath."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat

import nnflow
from nnflow import Optimizer, torch


class Langevin(Optimizer):
    """W⁺ = R(W − α grad L(W) + √(2ατ) ξ) with ξ ∼ N(0, I), new in each step.

    For α → 0 this is dW = −grad L dt + √(2τ) dB, whose stationary law has the density ∝ exp(−L/τ)
    where that can be normalized. R is the retraction of the model's manifold, which also removes
    what of ξ is across it; without a manifold R(W) = W. The law of steps of α is off by O(α)
    (Euler–Maruyama; Roberts & Tweedie 1996).

    Runs don't converge: set `gradient_norm: null`, so that the step limit ends them.
    """

    rate: PositiveFloat
    """Learning rate α: the time that a step takes."""
    temperature: NonNegativeFloat
    """τ, in units of the loss. 0: gradient descent."""

    varies = ("rate", "temperature")
    keeps_manifold = True

    def start(self, weights, scale):
        step = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
        return {"rate": self.rate * scale[:, None], "step": step}

    def step(self, objective, weights, state):
        return self.steps(objective, weights, state, 1)

    def steps(self, objective, weights, state, count):
        rate, step = state["rate"], state["step"]
        size, streams = (2 * rate * self.temperature) ** 0.5, objective.streams
        draws = step.cpu().numpy() + np.arange(count)[:, None]
        for drawn in streams.in_turn(streams.normal, weights.shape[1], draws):
            moved = weights - rate * objective.gradient(weights)
            weights = objective.retract(moved + size * torch.as_tensor(drawn).to(weights))
        return weights, {**state, "step": step + count}


@nnflow.hookimpl
def nnflow_register(register):
    register("langevin", Langevin)
