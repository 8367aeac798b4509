"""Linear networks that learn signs, under any convex loss."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

import nnflow
from nnflow import Streams

from ._convex_loss import LinearNetworkLoss


class LinearNetworkConvexLoss(LinearNetworkLoss):
    """L(W) = 1/N Σₛ ℓ(W_K⋯W_1xₛ, tₛ) with labels tₛ = sign(Axₛ + noise), entry by entry.

    Laurent & von Brecht 2018 (arXiv:1712.01473), Theorem 1: where ℓ is convex and differentiable
    and no hidden layer is thinner than both ends, every local minimum is global. x and A are
    standard normal, so no line separates the labels of enough samples with noise, and the
    infimum of the logistic loss is attained as well.
    """

    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = Field(examples=[[3, 4, 2]])
    """Inputs d₀, hidden neurons of each layer, outputs d_K."""
    sample_count: PositiveInt = 40
    """Samples N."""
    noise: NonNegativeFloat = 1.0
    """Standard deviation of the noise."""
    seed: NonNegativeInt = 0
    """Seed of x, A and the noise."""

    def chain(self):
        return self.widths

    def samples(self):
        return _samples(self.widths[0], self.widths[-1], self.sample_count, self.noise, self.seed)


@cache
def _samples(inputs: int, outputs: int, count: int, noise: float, seed: int):
    streams = Streams(seed, "linear_network_convex_loss", np.arange(count), "samples")
    teacher = Streams(seed, "linear_network_convex_loss", np.arange(outputs), "teacher")
    seen = streams.normal(inputs, draw=0)
    told = seen @ teacher.normal(inputs).T + noise * streams.normal(outputs, draw=1)
    return seen, np.sign(told)


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_network_convex_loss", LinearNetworkConvexLoss)
