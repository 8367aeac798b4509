"""Square weight matrices with one number on the diagonal, another one off it, and noise."""

from __future__ import annotations

import math

import numpy as np
from pydantic import NonNegativeFloat

import nnflow
from nnflow import Initializer, UserError


class SymmetricStart(Initializer):
    """wⱼ = x eⱼ + y Σ_{i≠j} eᵢ + ε, with ε normal of standard deviation `noise`: the starts of
    Tian (arXiv:1703.00560, Theorem 7, Conjecture 2 and Fig. 9) for orthonormal teachers eⱼ."""

    x: float
    """Along the neuron's own teacher."""
    y: float = 0.0
    """Along every other teacher."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of independent normal numbers that are added to every entry."""

    varies = ("x", "y", "noise")

    def draw(self, shapes, streams):
        x, y = (np.reshape(number, (-1, 1, 1)) for number in (self.x, self.y))
        drawn = {}
        for number, (name, shape) in enumerate(shapes.items()):
            if len(shape) != 2 or shape[0] != shape[1]:
                raise UserError(f"symmetric_start: the weight {name!r} {shape} is not square")
            middle = y + (x - y) * np.eye(shape[0])
            noise = self.noise * streams.normal(math.prod(shape), draw=number)
            drawn[name] = middle + noise.reshape(-1, *shape)
        return drawn


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_start", SymmetricStart)
