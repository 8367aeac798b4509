"""Simulated annealing: random moves, fewer of them uphill as it cools."""

from __future__ import annotations

import functools
import math
from typing import Annotated

import numpy as np
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
        return self.steps(objective, weights, state, 1)

    def steps(self, objective, weights, state, count):
        loss, moves = state["loss"], functools.partial(self._moves, objective, weights, state)
        if loss.isnan().any():
            loss = torch.where(loss.isnan(), objective.loss(weights), loss)
        steps = state["step"].cpu().numpy() + np.arange(count)[:, None]
        drawn = 1 + 2 * self.coordinates
        for places, away, uphill in objective.streams.in_turn(moves, drawn, steps):
            moved = weights.scatter_add(1, places, away)
            there = objective.loss(moved)
            taken = there - loss <= uphill  # NaN is not
            weights = torch.where(taken[:, None], moved, weights)
            loss = torch.where(taken, there, loss)
        return weights, {**state, "step": state["step"] + count, "loss": loss}

    def _moves(self, objective, weights, state, drawn, steps):
        """For each of the steps (step, run) the weights that move and δ, (run, coordinate), and the
        most that the loss may rise by, (run,): −T_t ln u with u uniform on (0, 1)."""
        count, moves = weights.shape[1], self.coordinates
        numbers = torch.as_tensor(objective.streams.uniform(drawn, draw=steps)).to(weights)
        passed = torch.as_tensor(steps).to(weights) / self.total_steps
        # torch's power has other last bits where other numbers stand beside
        cooled = (passed.clamp(max=1)[..., None] * _logarithm(self.last)).exp()
        places = (numbers[..., 1 : 1 + moves] * count).long().clamp(max=count - 1)
        size = self.scale * (state["scale"] * cooled**0.5)
        away = size * torch.special.ndtri(numbers[..., 1 + moves :])
        uphill = -(self.temperature * cooled).squeeze(-1) * numbers[..., 0].log()
        return zip(places, away, uphill, strict=True)


def _logarithm(number):
    """ln of a number, or of those of each run."""
    return number.log() if isinstance(number, torch.Tensor) else math.log(number)


@nnflow.hookimpl
def nnflow_register(register):
    register("simulated_annealing", SimulatedAnnealing)
