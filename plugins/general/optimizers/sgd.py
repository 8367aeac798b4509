"""Stochastic gradient descent on minibatches."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

import nnflow
from nnflow import Optimizer, UserError, torch


class Sgd(Optimizer):
    """V⁺ = μV + ∇L_B(W),  W⁺ = W − α_t V⁺, with L_B the mean over a minibatch B.

    Each run goes through its samples in an order of its own, a fresh permutation every
    epoch. Where the minibatch does not divide the samples, the last few of an epoch's order
    are left out. Robbins & Monro (1951); momentum as in Sutskever et al. (2013), with the
    rate outside the velocity.
    """

    rate: PositiveFloat
    """Learning rate α₀."""
    minibatch: PositiveInt
    """Samples per step."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum coefficient μ."""
    schedule: Literal["constant", "cosine", "step_decay", "linear_decay"] = "constant"
    """α_t = α₀; α₀(1 + cos πt/T)/2; α₀ times `decay` to the power of the number of `milestones`
    that t/T has reached; or α₀ up to the first milestone, then straight down to `decay` α₀ at the
    last one (Izmailov et al. 2018)."""
    total_steps: PositiveInt | None = None
    """T, the steps that the schedule covers; α stays as it is there afterwards."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor of the rate at each milestone of step_decay, and at the end of linear_decay."""
    milestones: list[Annotated[float, Field(gt=0, lt=1)]] = [0.5, 0.75]
    """Fractions of T at which step_decay lowers the rate; between the first and the last of them
    linear_decay does."""

    varies = ("rate", "momentum", "decay")

    @model_validator(mode="after")
    def _covered(self):
        if self.schedule != "constant" and self.total_steps is None:
            raise ValueError(f"total_steps is needed with schedule {self.schedule!r}")
        if self.schedule == "linear_decay" and not max(self.milestones) > min(self.milestones):
            raise ValueError("milestones: schedule 'linear_decay' needs two different ones")
        return self

    def stable_curvature(self):
        """Of the mean step, at a constant rate."""
        return 2 * (1 + self.momentum) / self.rate if self.schedule == "constant" else None

    def start(self, weights, scale):
        runs = len(weights)
        return {
            "scale": scale,
            "step": torch.zeros(runs, dtype=torch.int64, device=weights.device),
            "velocity": torch.zeros_like(weights),
            # filled at the first step, when the number of samples is known
            "order": torch.empty(runs, 0, dtype=torch.int64, device=weights.device),
        }

    def step(self, objective, weights, state):
        return self.steps(objective, weights, state, 1)

    def steps(self, objective, weights, state, count):
        velocity, order, batches = state["velocity"], state["order"], self._batches(objective)
        steps = state["step"][:, None] + torch.arange(count, device=weights.device)
        rates = state["scale"][:, None] * self._rate(steps).to(weights.dtype)
        places, within = steps % batches, torch.arange(self.minibatch, device=weights.device)
        orders = self._orders(objective, order, steps // batches, places == 0)
        for order, place, rate in zip(orders, places.T[..., None], rates.T[..., None], strict=True):
            batch = objective.minibatch(order.gather(1, place * self.minibatch + within))
            velocity = self.momentum * velocity + batch.gradient(weights)
            weights = weights - rate * velocity
        state = {**state, "step": state["step"] + count, "velocity": velocity, "order": order}
        return weights, state

    def _batches(self, objective):
        """Minibatches per epoch."""
        if self.minibatch > objective.samples:
            raise UserError(
                f"optimizer 'sgd': minibatch: {self.minibatch} is more than the"
                f" {objective.samples} samples of the dataset"
            )
        return objective.samples // self.minibatch

    def _orders(self, objective, order, epochs, due):
        """The order of the samples in each step, (run, sample), with a new permutation where one
        is due. epochs, due: (run, step)."""
        drawn, streams = due.any(dim=0), objective.streams
        draws = epochs[:, drawn].T.cpu().numpy()
        permutations = streams.in_turn(streams.permutation, objective.samples, draws)
        for anew, fresh in zip(due.T, drawn.cpu().tolist(), strict=True):
            if fresh:
                permutation = torch.as_tensor(next(permutations), device=due.device)
                order = (
                    permutation if anew.all() else torch.where(anew[:, None], permutation, order)
                )
            yield order

    def _rate(self, step):
        """α_t of each run, (run, step)."""
        if self.schedule == "constant":
            return self.rate * torch.ones_like(step, dtype=torch.float64)
        passed = (step.to(torch.float64) / self.total_steps).clamp(max=1)
        if self.schedule == "cosine":
            return self.rate * (1 + torch.cos(math.pi * passed)) / 2
        if self.schedule == "linear_decay":
            first, last = min(self.milestones), max(self.milestones)
            fallen = ((passed - first) / (last - first)).clamp(0, 1)
            return self.rate * (1 - (1 - self.decay) * fallen)
        lowered = sum((passed >= milestone).to(torch.float64) for milestone in self.milestones)
        return self.rate * self.decay**lowered


@nnflow.hookimpl
def nnflow_register(register):
    register("sgd", Sgd)
