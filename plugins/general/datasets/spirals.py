"""Classes that wind around each other in the plane."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat

import nnflow
from nnflow import Streams

from .._drawn_classes import DrawnClasses


class Spirals(DrawnClasses):
    """Arms of a spiral: `inputs` (sample, 2) = t (cos φ, sin φ) + noise · N(0, I) with
    φ = 2π (turns · t + c / arms), t uniform on (0, 1), and the arm c in `targets` (sample,).

    The arms take turns. Held out: `test_inputs` and `test_targets`, of the same distribution. After
    the two spirals of Lang & Witbrock 1988.
    """

    arms: Annotated[int, Field(ge=2)] = 2
    """Number of arms, which are the classes."""
    turns: PositiveFloat = 1.5
    """How often an arm goes around the centre."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of each coordinate about the arm; arms end at the distance 1."""

    def number(self):
        return self.arms

    def drawn(self, purpose, targets):
        streams = Streams(self.seed, "spirals", np.arange(len(targets)), purpose)
        place = streams.uniform(1, draw=0)[:, 0]
        angle = 2 * np.pi * (self.turns * place + targets / self.arms)
        points = place[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return points + self.noise * streams.normal(2, draw=1)


@nnflow.hookimpl
def nnflow_register(register):
    register("spirals", Spirals)
