"""Simulated annealing: random moves, fewer of them uphill as it cools."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Optimizer, torch


class SimulatedAnnealing(Optimizer):
    """W⁺ = W + δ with the probability min(1, exp(−(L(W + δ) − L(W))/T_t)), else W⁺ = W.

    δ moves `coordinates` weights, drawn anew in each step, by N(0, scale² T_t/T₀): steps shrink as
    thermal motion does in a valley. T_t falls from T₀ to T₀ `last` at equal ratios over
    `total_steps` steps and stays there. Kirkpatrick, Gelatt & Vecchi 1983; Metropolis et al. 1953.
    Each step evaluates the loss over all samples once, and no gradient.

    Where nothing is accepted the weights stay: set `gradient_norm: null`, as ends are no critical
    points.
    """

    temperature: PositiveFloat
    """T₀, in units of the loss."""
    last: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Last temperature over the first."""
    total_steps: PositiveInt
    """Steps in which it cools."""
    scale: PositiveFloat = 0.5
    """Standard deviation of a weight's move at T₀."""
    coordinates: PositiveInt = 1
    """Weights that a step moves; of few weights one may be drawn twice."""

    varies = ("temperature", "last", "scale")

    def start(self, weights, scale):
        return {
            "step": torch.zeros(len(weights), dtype=torch.int64, device=weights.device),
            "scale": scale[:, None],
            # of the weights at hand; filled at the first step, when there is an objective
            "loss": torch.full_like(scale, math.nan),
        }

    def step(self, objective, weights, state):
        step, loss = state["step"], state["loss"]
        if loss.isnan().any():
            loss = torch.where(loss.isnan(), objective.loss(weights), loss)
        passed = (step[:, None].to(weights.dtype) / self.total_steps).clamp(max=1)
        cooled = self.last**passed
        moved, chance = self._proposal(objective, weights, state["scale"] * cooled**0.5, step)
        there = objective.loss(moved)
        hot = (self.temperature * cooled).squeeze(1)
        # ln of the chance is below 0: a step that is not uphill is taken. NaN is not
        taken = there - loss <= -hot * chance.log()
        return torch.where(taken[:, None], moved, weights), {
            **state,
            "step": step + 1,
            "loss": torch.where(taken, there, loss),
        }

    def _proposal(self, objective, weights, size, step):
        """W + δ, and a number that is uniform on (0, 1), (run,)."""
        count, moves = weights.shape[1], self.coordinates
        drawn = objective.streams.uniform(1 + 2 * moves, draw=step.cpu().numpy())
        drawn = torch.as_tensor(drawn).to(weights)
        places = (drawn[:, 1 : 1 + moves] * count).long().clamp(max=count - 1)
        away = self.scale * size * torch.special.ndtri(drawn[:, 1 + moves :])
        return weights.scatter_add(1, places, away), drawn[:, 0]


@nnflow.hookimpl
def nnflow_register(register):
    register("simulated_annealing", SimulatedAnnealing)
