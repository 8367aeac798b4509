"""Langevin dynamics of spins on a sphere, in a physicist's units."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat

import nnflow
from nnflow import Optimizer, torch

DRAWS = 2**32
"""Steps of a run are fewer."""


class SpinLangevin(Optimizer):
    """σ⁺ = R(σ − ∇H dt + √(2T dt) ξ) for Λ spins with |σ|² = Λ and the energy H = Λe, e = L/√2, in
    the weights x = σ/√Λ: x⁺ = R(x − grad L dt/√2 + √(2T dt/Λ) ξ), ξ ∼ N(0, I).

    That is `langevin` with the rate dt/√2 and the temperature √2 T/Λ. The dynamics of Cugliandolo &
    Kurchan 1993. Runs that differ in their disorder have noises that are independent of each
    other, unlike runs that differ in another setting that varies: means over disorders would
    keep the fluctuations of a common noise.
    """

    time_step: PositiveFloat = Field(0.05, examples=[0.02])
    """dt."""
    temperature: NonNegativeFloat = 0.0
    """T. The dynamical transition of three spins is at √(3/8), the statical one at .586."""

    varies = ("temperature",)
    keeps_manifold = True

    @property
    def rate(self) -> float:
        """Of gradient descent on L."""
        return self.time_step / math.sqrt(2)

    def start(self, weights, scale):
        step = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
        return {"rate": self.rate * scale[:, None], "step": step}

    def step(self, objective, weights, state):
        return self.steps(objective, weights, state, 1)

    def steps(self, objective, weights, state, count):
        rate, spins = state["rate"], weights.shape[1]
        size = (2 * math.sqrt(2) * rate * self.temperature / spins) ** 0.5
        streams, draws = objective.streams, _draws(objective, state["step"], count)
        for drawn in streams.in_turn(streams.normal, spins, draws):
            moved = weights - rate * objective.gradient(weights)
            weights = objective.retract(moved + size * torch.as_tensor(drawn).to(weights))
        return weights, {**state, "step": state["step"] + count}


def _draws(objective, step, count):
    """Numbers of the draws of the next steps, (step, run), that differ between steps, and between
    disorders."""
    disorder = np.asarray(getattr(objective.model, "disorder", 0)).astype(int)
    return step.cpu().numpy() + np.arange(count)[:, None] + DRAWS * disorder


@nnflow.hookimpl
def nnflow_register(register):
    register("spin_langevin", SpinLangevin)
